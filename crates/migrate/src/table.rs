//! A table as its server describes it, held against what was planned and against the other end.

use tokio_postgres::Row;

use crate::database::{Session, literal, quoted};
use crate::error::MigrateError;
use crate::plan::Set;

/// A column that is copied. Generated ones are not: the target computes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// As `format_type` writes it, with its modifier.
    pub(crate) kind: String,
    /// The numbers of both in this database, as the stream of changes tells them.
    pub(crate) numbers: (u32, i32),
    /// Whether no value but the next of its sequence is taken in a change (`generated always as identity`).
    always: bool,
    /// Whether its binary form is the same at both ends: that of arrays and rows of types that somebody made has their numbers
    /// in it, which differ from database to database.
    portable: bool,
}

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// `"schema"."table"`.
    pub(crate) name: String,
    /// As the plan writes it.
    pub(crate) plain: String,
    pub(crate) columns: Vec<Column>,
    /// Positions in `columns` of its primary key.
    pub(crate) key: Vec<usize>,
    /// Positions of the column that names the person, and of the one with the home.
    pub(crate) subject: usize,
    pub(crate) home: Option<usize>,
    /// About how many rows it has, as the server guesses.
    pub(crate) rows_about: u64,
}

/// How rows are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// PostgreSQL's binary format: the least work for both servers.
    Binary,
    /// The text format.
    Text,
}

impl Form {
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Text => "text",
        }
    }
}

/// Columns in order: name, type, whether generated, whether portable.
const COLUMNS: &str =
    "select a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attgenerated::text <> '',
    coalesce((t.typtype in ('b', 'e') and t.typelem = 0) or (e.oid is not null and e.oid < 16384), false),
    a.atttypid, a.atttypmod, a.attidentity = 'a'
  from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
  left join pg_catalog.pg_type e on e.oid = t.typelem
  where a.attrelid = $1::text::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum";

/// The primary key's columns in its order.
const KEY: &str = "select a.attname::text from pg_catalog.pg_index i
  cross join lateral unnest(i.indkey::int2[]) with ordinality k(attnum, place)
  join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
  where i.indrelid = $1::text::regclass and i.indisprimary order by k.place";

impl Table {
    /// Describes a table, and holds it against its set.
    pub(crate) async fn of(session: &Session, set: &Set) -> Result<Self, MigrateError> {
        let wrong = |text: String| MigrateError::Plan(format!("{}: {text}", set.table));
        let (schema, table) = set.table.split_once('.').unwrap_or(("public", &set.table));
        let name = format!("{}.{}", quoted(schema), quoted(table));
        let there =
            session.texts(&format!("select pg_catalog.to_regclass({})::text", literal(&name))).await?;
        if there.is_empty() {
            return Err(wrong("there is no such table".into()));
        }
        let kind =
            format!("select relkind::text from pg_catalog.pg_class where oid = {}::regclass", literal(&name));
        if session.text(&kind).await? != "r" {
            // Changes of a partition are told as its own.
            return Err(wrong(
                "it is no plain table: partitioned ones, views and foreign tables are not moved".into(),
            ));
        }
        let about = format!(
            "select greatest(reltuples, 0)::bigint::text from pg_catalog.pg_class where oid = {}::regclass",
            literal(&name)
        );
        let rows_about = session.text(&about).await?.parse().unwrap_or(0);
        let mut columns = Vec::new();
        for row in session.rows(COLUMNS, &[&name]).await? {
            let (column, generated) = column(&row).map_err(|e| session.wrong(&e))?;
            if !generated {
                columns.push(column);
            }
        }
        if let Some(new) = columns.iter().find(|c| !set.columns.contains_key(&c.name)) {
            return Err(wrong(format!("its column `{}` is not in the plan", new.name)));
        }
        let place = |name: &str| columns.iter().position(|c| c.name == name);
        if let Some(gone) = set.columns.keys().find(|name| place(name).is_none()) {
            return Err(wrong(format!("it has no column `{gone}`")));
        }
        let mut key = Vec::new();
        for row in session.rows(KEY, &[&name]).await? {
            let column: String = row.try_get(0).map_err(|e| session.wrong(&e))?;
            key.extend(place(&column));
        }
        if key.is_empty() {
            return Err(wrong("it has no primary key, by which a row is known again".into()));
        }
        let (subject, home) = (place(&set.subject), set.home.as_deref().and_then(place));
        let subject = subject.ok_or_else(|| wrong("its person's column is generated".into()))?;
        if let Some(column) = home.and_then(|home| columns.get(home))
            && (column.kind.starts_with("character(")
                || matches!(column.kind.as_str(), "boolean" | "\"char\""))
        {
            // As text they are written in one way, and in changes in another.
            return Err(wrong(format!("a home of type {} cannot be told apart", column.kind)));
        }
        Ok(Self { name, plain: set.table.clone(), columns, key, subject, home, rows_about })
    }

    /// That the source tells by their key which rows change. Without it writers would be refused as soon as changes are followed.
    pub(crate) async fn can_be_followed(&self, source: &Session) -> Result<(), MigrateError> {
        let sql = format!(
            "select relreplident::text from pg_catalog.pg_class where oid = {}::regclass",
            literal(&self.name)
        );
        if matches!(source.text(&sql).await?.as_str(), "d" | "f") {
            return Ok(());
        }
        let text = format!(
            "{}: its replica identity is neither its primary key nor the whole row (alter table .. replica identity default)",
            self.plain
        );
        Err(MigrateError::Plan(text))
    }

    /// That another end's table can hold what this one has.
    pub(crate) fn fits(&self, other: &Self) -> Result<(), MigrateError> {
        let wrong = |text: String| Err(MigrateError::Plan(format!("{}: {text}", self.plain)));
        let key = |table: &Self| -> Vec<String> { table.key_columns().map(|c| c.name.clone()).collect() };
        if key(self) != key(other) {
            return wrong("its primary key is another at the target".into());
        }
        for column in &self.columns {
            match other.columns.iter().find(|c| c.name == column.name) {
                None => return wrong(format!("the target has no column `{}`", column.name)),
                Some(found) if found.kind != column.kind => {
                    return wrong(format!(
                        "`{}` is {} at the source and {} at the target",
                        column.name, column.kind, found.kind
                    ));
                }
                Some(found) if found.always && !other.key_columns().any(|c| c.name == found.name) => {
                    return wrong(format!(
                        "`{}` is generated always at the target: it would not take what the source has",
                        column.name
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// That no index of the target refuses rows that come in another order than they came at the source.
    pub(crate) async fn takes_any_order(&self, target: &Session) -> Result<(), MigrateError> {
        let sql = format!(
            "select c.relname::text from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
             where i.indrelid = {}::regclass and (i.indisunique or i.indisexclusion) and not i.indisprimary",
            literal(&self.name)
        );
        let Some(index) = target.texts(&sql).await?.into_iter().next() else { return Ok(()) };
        let text = format!(
            "{}: drop `{index}` at the target, and make it again after the cut-over: rows come in another order",
            self.plain
        );
        Err(MigrateError::Plan(text))
    }

    pub(crate) fn form(&self) -> Form {
        if self.columns.iter().all(|c| c.portable) { Form::Binary } else { Form::Text }
    }

    pub(crate) fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().filter_map(|place| self.columns.get(*place))
    }

    /// Its columns' names, with commas.
    pub(crate) fn list(&self) -> String {
        self.columns.iter().map(|c| quoted(&c.name)).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn column(&self, place: usize) -> Result<&Column, MigrateError> {
        self.columns.get(place).ok_or(MigrateError::Stream("a row has another number of columns"))
    }

    /// The first column of the key if numbers of it part the table.
    pub(crate) fn numbered(&self) -> Option<&Column> {
        self.key_columns().next().filter(|c| matches!(c.kind.as_str(), "smallint" | "integer" | "bigint"))
    }
}

fn column(row: &Row) -> Result<(Column, bool), tokio_postgres::Error> {
    let column = Column {
        name: row.try_get(0)?,
        kind: row.try_get(1)?,
        portable: row.try_get(3)?,
        numbers: (row.try_get(4)?, row.try_get(5)?),
        always: row.try_get(6)?,
    };
    Ok((column, row.try_get(2)?))
}
