//! What a table of MySQL looks like, and how each of its values is written for PostgreSQL without losing its meaning.

use ledger::sha256;

use super::server::{Server, text_literal, ticked};
use crate::database::quoted;
use crate::error::MigrateError;

/// What kind of values a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whole numbers, of so many bits.
    Int {
        bits: u8,
        unsigned: bool,
    },
    Decimal,
    Float,
    Double,
    Date,
    DateTime,
    Timestamp,
    Time,
    Year,
    /// Texts, also enumerations and sets.
    Text,
    Binary,
    /// So many bits.
    Bits(usize),
    /// What both write the same way: `json`, `uuid`, `inet6`.
    Same,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The character set of its texts.
    pub(crate) charset: Option<String>,
    /// How long values are that are filled up with zeros.
    pub(crate) fixed: Option<usize>,
    /// What it is to be in PostgreSQL.
    pub(crate) becomes: String,
    nullable: bool,
    /// Whether it is an enumeration or a set, whose log has numbers.
    numbered: bool,
}

/// A table of MySQL and the one that it is mirrored into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    database: String,
    /// Its name in its database.
    pub(crate) origin: String,
    /// The staging table, as `schema.table`.
    pub(crate) plain: String,
    pub(crate) columns: Vec<Column>,
    /// Places of the key's columns among all, in the key's order.
    pub(crate) key: Vec<usize>,
    /// Of all that a change of the table would change.
    pub(crate) print: String,
}

const COLUMNS: &str = "select column_name, data_type, column_type, is_nullable, character_set_name, cast(numeric_precision as char),
  cast(numeric_scale as char), cast(datetime_precision as char), cast(character_maximum_length as char)
  from information_schema.columns where table_schema = database() and table_name = ";

impl Shape {
    /// Reads what a table is.
    pub(crate) async fn of(server: &mut Server, origin: &str, plain: &str) -> Result<Self, MigrateError> {
        let refuse = |why: &str| Err(MigrateError::Plan(format!("{origin}: {why}")));
        let name = text_literal(origin);
        let about = format!(
            "select table_type, engine, table_name from information_schema.tables where table_schema = database() and table_name = {name}"
        );
        let Some(about) = server.rows(&about).await?.pop() else { return refuse("there is no such table") };
        let about: Vec<String> = about.into_iter().flatten().collect();
        if about.first().is_none_or(|kind| kind != "BASE TABLE")
            || about.get(1).is_none_or(|e| !e.eq_ignore_ascii_case("InnoDB"))
        {
            return refuse("it is no table of InnoDB: nothing else is read as it was at one moment");
        }
        if about.get(2).is_none_or(|name| name != origin) {
            // The binary log has the name as it is.
            return refuse("its name is written otherwise there");
        }
        let mut columns = Vec::new();
        for row in server.rows(&format!("{COLUMNS}{name} order by ordinal_position")).await? {
            columns.push(column(origin, &row)?);
        }
        mark_json(server, &name, &mut columns).await?;
        let keys = format!(
            "select column_name from information_schema.key_column_usage where table_schema = database() and table_name = {name}
             and constraint_name = 'PRIMARY' order by ordinal_position"
        );
        let mut key = Vec::new();
        for name in server.rows(&keys).await?.into_iter().flatten().flatten() {
            let place = columns.iter().position(|column| column.name == name);
            let Some((place, column)) = place.and_then(|place| Some((place, columns.get(place)?))) else {
                return refuse("its key has columns that it has not");
            };
            if column.numbered
                || !matches!(
                    column.kind,
                    Kind::Int { .. }
                        | Kind::Decimal
                        | Kind::Date
                        | Kind::DateTime
                        | Kind::Text
                        | Kind::Binary
                )
            {
                return refuse(&format!(
                    "`{name}` is of its key and neither number, text, bytes, date nor datetime: it cannot be followed"
                ));
            }
            key.push(place);
        }
        if key.is_empty() {
            return refuse("it has no primary key");
        }
        let mut shape = Self {
            database: server.database.clone(),
            origin: origin.to_owned(),
            plain: plain.to_owned(),
            columns,
            key,
            print: String::new(),
        };
        shape.print = data_encoding::HEXLOWER
            .encode(sha256(format!("{:?} {:?}", shape.columns, shape.key).as_bytes()).bytes());
        Ok(shape)
    }

    /// The database that it is in.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// The staging table, as SQL writes it.
    pub(crate) fn staging(&self) -> String {
        let (schema, table) = self.plain.split_once('.').unwrap_or(("public", &self.plain));
        format!("{}.{}", quoted(schema), quoted(table))
    }

    /// Its columns, as PostgreSQL writes them.
    pub(crate) fn names(&self) -> String {
        self.columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
    }

    /// The columns of its key.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().filter_map(|place| self.columns.get(*place))
    }

    /// The key's columns, as PostgreSQL writes them.
    pub(crate) fn key_names(&self) -> String {
        self.keys().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
    }

    /// That rows of two tables in PostgreSQL have the same key.
    pub(crate) fn same_key(&self, one: &str, other: &str) -> String {
        let same = |column: &Column| format!("{one}.{0} = {other}.{0}", quoted(&column.name));
        self.keys().map(same).collect::<Vec<_>>().join(" and ")
    }

    /// Reads all columns at the source, of rows that a condition tells.
    pub(crate) fn select(&self, rest: &str) -> String {
        let read = |column: &Column| match column.kind {
            // As text it has six digits; as a double it has all.
            Kind::Float => format!("{} + 0e0", ticked(&column.name)),
            _ => ticked(&column.name),
        };
        let columns: Vec<String> = self.columns.iter().map(read).collect();
        format!("select {} from {}{rest}", columns.join(", "), ticked(&self.origin))
    }

    /// Which rows of the source have one of these keys, each a list of literals.
    pub(crate) fn any_of(&self, keys: &[Vec<String>]) -> String {
        let names: Vec<String> = self.keys().map(|column| ticked(&column.name)).collect();
        if let [name] = names.as_slice() {
            let all: Vec<String> = keys.iter().flatten().cloned().collect();
            return format!("{name} in ({})", all.join(", "));
        }
        let one = |key: &Vec<String>| {
            let each = names.iter().zip(key).map(|(name, value)| format!("{name} = {value}"));
            format!("({})", each.collect::<Vec<_>>().join(" and "))
        };
        keys.iter().map(one).collect::<Vec<_>>().join(" or ")
    }

    /// Statements that make the staging table.
    pub(crate) fn ddl(&self) -> String {
        let (schema, _) = self.plain.split_once('.').unwrap_or(("public", ""));
        let one = |column: &Column| {
            format!(
                "  {} {}{}",
                quoted(&column.name),
                column.becomes,
                if column.nullable { "" } else { " not null" }
            )
        };
        let columns: Vec<String> = self.columns.iter().map(one).collect();
        format!(
            "create schema if not exists {};\ncreate table {} (\n{},\n  primary key ({})\n);\n",
            quoted(schema),
            self.staging(),
            columns.join(",\n"),
            self.key_names()
        )
    }

    /// Writes a row as PostgreSQL's `copy` reads it.
    pub(crate) fn write(&self, row: &[Option<&[u8]>], out: &mut Vec<u8>) -> Result<(), MigrateError> {
        for (place, (column, value)) in self.columns.iter().zip(row).enumerate() {
            if place > 0 {
                out.push(b'\t');
            }
            column.write(*value, out).map_err(|why| self.bad(column, why))?;
        }
        out.push(b'\n');
        Ok(())
    }

    /// A value that PostgreSQL has no place for.
    pub(crate) fn bad(&self, column: &Column, why: &str) -> MigrateError {
        MigrateError::Plan(format!(
            "{}: a value of `{}` is {why}. Correct it there; nothing of this call was taken",
            self.origin, column.name
        ))
    }
}

/// MariaDB's `json` is a text that is checked.
async fn mark_json(server: &mut Server, name: &str, columns: &mut [Column]) -> Result<(), MigrateError> {
    if !server.maria {
        return Ok(());
    }
    let valid = |clause: &str, name: &str| clause.trim() == format!("json_valid({})", ticked(name));
    let sql = format!(
        "select check_clause from information_schema.check_constraints where constraint_schema = database() and table_name = {name}"
    );
    for clause in server.rows(&sql).await?.into_iter().flatten().flatten() {
        for column in columns.iter_mut().filter(|column| valid(&clause, &column.name)) {
            column.becomes = "json".into();
        }
    }
    Ok(())
}

/// One column, as the server's catalogue tells it.
fn column(table: &str, row: &[Option<String>]) -> Result<Column, MigrateError> {
    let word = |place: usize| row.get(place).and_then(Option::as_deref).unwrap_or_default();
    let number = |place: usize| word(place).parse::<usize>().ok();
    let (name, data, whole) = (word(0), word(1).to_ascii_lowercase(), word(2).to_ascii_lowercase());
    let refuse = |why: &str| {
        Err(MigrateError::Plan(format!("{table}: its column `{name}` is {why}, which is not mirrored")))
    };
    if whole.contains("compressed") {
        return refuse("compressed");
    }
    let unsigned = whole.contains("unsigned");
    let digits = number(7).unwrap_or(0);
    let int = |bits| (Kind::Int { bits, unsigned }, whole_number(bits, unsigned).to_owned());
    let (kind, becomes) = match data.as_str() {
        "tinyint" => int(8),
        "smallint" => int(16),
        "mediumint" => int(24),
        "int" => int(32),
        "bigint" => int(64),
        "decimal" => (Kind::Decimal, format!("numeric({},{})", word(5), word(6))),
        "float" => (Kind::Float, "real".into()),
        "double" => (Kind::Double, "double precision".into()),
        "date" => (Kind::Date, "date".into()),
        "datetime" => (Kind::DateTime, format!("timestamp({digits})")),
        "timestamp" => (Kind::Timestamp, format!("timestamptz({digits})")),
        // Of up to 838 hours, either way.
        "time" => (Kind::Time, format!("interval({digits})")),
        "year" => (Kind::Year, "smallint".into()),
        "char" | "varchar" => (Kind::Text, format!("varchar({})", word(8))),
        "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" => (Kind::Text, "text".into()),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
            (Kind::Binary, "bytea".into())
        }
        "bit" => {
            let bits = number(5).unwrap_or(1);
            (Kind::Bits(bits), format!("bit({bits})"))
        }
        "json" => (Kind::Same, "json".into()),
        "uuid" => (Kind::Same, "uuid".into()),
        "inet4" | "inet6" => (Kind::Same, "inet".into()),
        _ => return refuse("of a type"),
    };
    let fixed = (data == "binary").then(|| number(8)).flatten();
    let charset = row.get(4).cloned().flatten();
    let becomes = if becomes == "varchar(0)" { "text".into() } else { becomes };
    let numbered = matches!(data.as_str(), "enum" | "set");
    Ok(Column { name: name.to_owned(), kind, charset, fixed, becomes, nullable: word(3) == "YES", numbered })
}

fn whole_number(bits: u8, unsigned: bool) -> &'static str {
    match (bits, unsigned) {
        (8, _) | (16, false) => "smallint",
        (16 | 24, _) | (32, false) => "integer",
        (32, true) | (_, false) => "bigint",
        (_, true) => "numeric(20)",
    }
}

impl Column {
    /// Writes one value as PostgreSQL's `copy` reads it, or says what is wrong with it.
    pub(crate) fn write(&self, value: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let Some(value) = value else {
            out.extend_from_slice(b"\\N");
            return Ok(());
        };
        match self.kind {
            Kind::Date | Kind::DateTime | Kind::Timestamp => {
                let date = value.get(..10).ok_or("no date")?;
                let part = |from: usize, to: usize| {
                    date.get(from..to).is_none_or(|part| part.iter().all(|b| *b == b'0'))
                };
                if part(0, 4) || part(5, 7) || part(8, 10) {
                    return Err("a date without a year, a month or a day (as `0000-00-00` is)");
                }
                out.extend_from_slice(value);
                if self.kind == Kind::Timestamp {
                    out.extend_from_slice(b"+00");
                }
            }
            Kind::Binary => {
                out.extend_from_slice(b"\\\\x");
                out.extend_from_slice(data_encoding::HEXLOWER.encode(value).as_bytes());
            }
            Kind::Bits(bits) => {
                let all = value.iter().flat_map(|byte| (0..8).rev().map(move |bit| b'0' + (byte >> bit & 1)));
                out.extend(all.skip((value.len() * 8).saturating_sub(bits)));
            }
            _ => escaped(value, out)?,
        }
        Ok(())
    }
}

/// Writes a text so that nothing in it means anything to `copy`.
fn escaped(text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    for byte in text {
        match byte {
            0 => return Err("a text with the character NUL in it"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.push(*other),
        }
    }
    Ok(())
}
