//! Discovery: reads a source's catalogue, looks into some rows, and proposes a plan that a person then edits. What it cannot
//! tell is `unmapped`, and stops the plan.

use std::collections::BTreeMap;
use std::fmt::Write;

use inspect::{Context, Kind};
use model::Country;

use crate::database::{Session, literal, quoted};
use crate::error::MigrateError;
use crate::plan::{End, UNMAPPED};

/// Rows of a table that are looked into.
const SAMPLE: u32 = 1_000;

/// Columns that are called so may say where somebody is at home.
const HOMES: [&str; 8] = [
    "account_country",
    "account_region",
    "country",
    "country_code",
    "home_country",
    "home_region",
    "market",
    "region",
];

/// Member states of the European Economic Area.
const EEA: [&str; 30] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT",
    "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// A proposed plan.
#[derive(Debug)]
pub struct Proposal {
    /// The plan's text.
    pub plan: String,
    /// People who are the region's, by what stands in their home.
    pub homes: BTreeMap<String, u64>,
    /// People who stay.
    pub others: BTreeMap<String, u64>,
    /// People of whom nobody knows.
    pub unknown: u64,
    /// Columns that somebody must look at, as `schema.table.column`.
    pub unmapped: Vec<String>,
    /// Tables that are not in the plan, with why.
    pub left: Vec<(String, String)>,
}

/// A table of the source.
struct Found {
    schema: String,
    name: String,
    columns: Vec<(String, String)>,
    /// The single column of its primary key.
    key: Option<String>,
    /// Columns that refer to another table: column, schema, table, and its column.
    refers: Vec<[String; 4]>,
}

impl Found {
    fn plain(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    fn home(&self) -> Option<&str> {
        let columns =
            self.columns.iter().filter(|(_, kind)| kind.starts_with("character varying") || kind == "text");
        columns.map(|(name, _)| name.as_str()).find(|name| HOMES.contains(name))
    }
}

/// Reads the catalogue of the database behind `end`, and proposes a plan to bring its people's rows to `target`.
///
/// # Errors
/// When the source does not answer.
pub async fn propose(name: &str, country: &str, end: &End) -> Result<Proposal, MigrateError> {
    let source = Session::source(end).await?;
    let tables = tables(&source).await?;
    let mut proposal = Proposal {
        plan: String::new(),
        homes: BTreeMap::new(),
        others: BTreeMap::new(),
        unknown: 0,
        unmapped: Vec::new(),
        left: Vec::new(),
    };
    let mut sets = String::new();
    let people: Vec<&Found> = tables.iter().filter(|t| t.home().is_some() && t.key.is_some()).collect();
    for table in &people {
        let (home, key) = (table.home().unwrap_or_default(), table.key.as_deref().unwrap_or_default());
        proposal.count(&source, table, home).await?;
        let head = format!("subject = {}\nhome = {}\n", text(key), text(home));
        sets += &proposal.set(&source, table, &head).await?;
    }
    for table in tables.iter().filter(|t| !people.iter().any(|p| p.plain() == t.plain())) {
        let of = |[_, schema, name, key]: &&[String; 4]| {
            people.iter().any(|p| p.schema == *schema && p.name == *name && p.key.as_ref() == Some(key))
        };
        match table.refers.iter().find(of) {
            Some([column, schema, name, _]) => {
                let head =
                    format!("subject = {}\nof = {}\n", text(column), text(&format!("{schema}.{name}")));
                sets += &proposal.set(&source, table, &head).await?;
            }
            None => {
                let why = "no column says where a person is at home, and none refers to a table that does";
                proposal.left.push((table.plain(), why.to_owned()));
            }
        }
    }
    proposal.plan = proposal.head(name, country, end) + &sets;
    Ok(proposal)
}

impl Proposal {
    fn head(&self, name: &str, country: &str, end: &End) -> String {
        let list = |homes: &BTreeMap<String, u64>| {
            homes.keys().map(|home| text(home)).collect::<Vec<_>>().join(", ")
        };
        let mut head = format!(
            "# Proposed from the source's catalogue and {SAMPLE} rows of each table. Read every line: what is wrong here is wrong in the region.\n\
             name = {}\n\n[source]\nsite = \"\"\ncountry = {}\nowner = \"\"\n[source.database]\naddress = {}\n",
            text(name),
            text(country),
            text(&end.address)
        );
        for (word, path) in [("password_file", &end.password_file), ("roots", &end.roots)] {
            if let Some(path) = path {
                let _ = writeln!(head, "{word} = {}", text(&path.display().to_string()));
            }
        }
        let count = |homes: &BTreeMap<String, u64>| homes.values().sum::<u64>();
        let _ = write!(
            head,
            "\n[target]\nsite = \"\"\ncountry = \"\"\n[target.database]\naddress = \"\"\n\n[region]\n# {} people.\nhomes = [{}]\n# {} people, who stay.\nothers = [{}]\n",
            count(&self.homes),
            list(&self.homes),
            count(&self.others),
            list(&self.others)
        );
        let _ = write!(
            head,
            "# Of {} people nobody knows: `stop`, or `stay` where they are.\nunknown = \"stop\"\n",
            self.unknown
        );
        let _ = write!(head, "\n[cutover]\n# The file that services read.\npointer = \"\"\n");
        for (table, why) in &self.left {
            let _ = writeln!(head, "\n# {table} is not in the plan: {why}.");
        }
        head
    }

    /// How many people are at home where.
    async fn count(&mut self, source: &Session, table: &Found, home: &str) -> Result<(), MigrateError> {
        let sql = format!("select {}::text, count(*) from {} group by 1", quoted(home), table.quoted());
        for row in source.rows(&sql, &[]).await? {
            let wrong = |e: tokio_postgres::Error| source.wrong(&e);
            let (home, count): (Option<String>, i64) =
                (row.try_get(0).map_err(wrong)?, row.try_get(1).map_err(wrong)?);
            let count = count.unsigned_abs();
            // What is no code of a country says nothing that could be known here.
            match home.filter(|home| Country::parse(home).is_ok()) {
                Some(home) if EEA.contains(&home.as_str()) => *self.homes.entry(home).or_default() += count,
                Some(home) => *self.others.entry(home).or_default() += count,
                None => self.unknown += count,
            }
        }
        Ok(())
    }

    async fn set(&mut self, source: &Session, table: &Found, head: &str) -> Result<String, MigrateError> {
        let mut out = format!("\n[[set]]\ntable = {}\n{head}[set.columns]\n", text(&table.plain()));
        for (column, kind) in &table.columns {
            let cut =
                format!("select left({}::text, 2000) from {} limit {SAMPLE}", quoted(column), table.quoted());
            let refers =
                table.key.as_deref() == Some(column) || table.refers.iter().any(|[c, ..]| c == column);
            let (class, word) = holds(column, kind, refers, &source.texts(&cut).await?);
            if class == UNMAPPED {
                self.unmapped.push(format!("{}.{column}", table.plain()));
            }
            let _ = writeln!(out, "{} = {{ class = \"{class}\", kind = \"{word}\" }}", text(column));
        }
        Ok(out)
    }
}

/// What a column seems to hold: class and kind.
fn holds(column: &str, kind: &str, refers: bool, values: &[String]) -> (&'static str, &'static str) {
    let known = Context::of_key(column.as_bytes()).known();
    let (mut counts, mut found) = (BTreeMap::<Kind, usize>::new(), Vec::new());
    for value in values {
        found.clear();
        known.scan(value.as_bytes(), &mut found);
        for kind in found.iter().map(|f| f.kind).collect::<std::collections::BTreeSet<_>>() {
            *counts.entry(kind).or_default() += 1;
        }
    }
    let most = counts.iter().max_by_key(|(_, count)| **count).map(|(kind, count)| (*kind, *count));
    if let Some((kind, count)) = most.filter(|(_, count)| count * 10 >= values.len()) {
        return match kind {
            Kind::Email => ("restricted", "email"),
            Kind::Phone => ("restricted", "phone"),
            Kind::Ipv4 | Kind::Ipv6 => ("restricted", "ip"),
            Kind::BirthDate => ("restricted", "date"),
            // Some of what people wrote.
            _ if count * 2 < values.len() => ("restricted", "text"),
            Kind::Name | Kind::Address => ("restricted", "text"),
            _ => ("restricted", "id"),
        };
    }
    let link = |value: &String| value.starts_with("http://") || value.starts_with("https://");
    match kind {
        _ if !counts.is_empty() => ("restricted", "text"),
        _ if kind.starts_with("timestamp") || kind == "date" => ("allowable", "date"),
        "boolean" => ("allowable", "word"),
        _ if refers => ("allowable", "id"),
        "smallint" | "integer" | "bigint" | "real" | "double precision" => ("allowable", "count"),
        _ if kind.starts_with("numeric") => ("allowable", "count"),
        _ if !values.is_empty() && values.iter().all(link) => ("restricted", "link"),
        _ if values.iter().any(|value| value.contains(' ') && value.len() > 24) => ("restricted", "text"),
        // A word, a name or a number of something: a person has to look.
        _ => (UNMAPPED, "word"),
    }
}

/// A text as TOML writes it.
fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

async fn tables(source: &Session) -> Result<Vec<Found>, MigrateError> {
    let wrong = |e: tokio_postgres::Error| source.wrong(&e);
    let sql = "select n.nspname::text, c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'r' and not c.relispartition and n.nspname not in ('pg_catalog', 'information_schema', 'clover_migrate')
        and n.nspname not like 'pg\\_%' order by 1, 2";
    let mut tables = Vec::new();
    for row in source.rows(sql, &[]).await? {
        let (schema, name): (String, String) =
            (row.try_get(0).map_err(wrong)?, row.try_get(1).map_err(wrong)?);
        let mut table = Found { schema, name, columns: Vec::new(), key: None, refers: Vec::new() };
        let own = format!("{}::regclass", literal(&table.quoted()));
        let columns = format!(
            "select attname::text, format_type(atttypid, atttypmod) from pg_attribute
             where attrelid = {own} and attnum > 0 and not attisdropped and attgenerated = '' order by attnum"
        );
        for row in source.rows(&columns, &[]).await? {
            table.columns.push((row.try_get(0).map_err(wrong)?, row.try_get(1).map_err(wrong)?));
        }
        let key = format!(
            "select a.attname::text from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
             where i.indrelid = {own} and i.indisprimary and i.indnatts = 1"
        );
        table.key = source.texts(&key).await?.into_iter().next();
        let refers = format!(
            "select a.attname::text, n.nspname::text, c.relname::text, k.attname::text from pg_constraint f
             join pg_attribute a on a.attrelid = f.conrelid and a.attnum = f.conkey[1]
             join pg_attribute k on k.attrelid = f.confrelid and k.attnum = f.confkey[1]
             join pg_class c on c.oid = f.confrelid join pg_namespace n on n.oid = c.relnamespace
             where f.contype = 'f' and f.conrelid = {own} and cardinality(f.conkey) = 1 order by a.attnum"
        );
        for row in source.rows(&refers, &[]).await? {
            let text = |place: usize| row.try_get(place).map_err(wrong);
            table.refers.push([text(0)?, text(1)?, text(2)?, text(3)?]);
        }
        tables.push(table);
    }
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_column_holds_is_told_by_its_values_its_name_and_its_type_and_else_not_at_all() {
        let holds = |column, kind, values: &[&str]| {
            holds(column, kind, false, &values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(
            holds("contact", "text", &["ann@example.org", "bob@example.org"]),
            ("restricted", "email")
        );
        assert_eq!(holds("birth_date", "date", &["1987-05-06"]), ("restricted", "date"));
        assert_eq!(
            holds("created_at", "timestamp with time zone", &["2026-05-06 07:08:09+00"]),
            ("allowable", "date")
        );
        assert_eq!(holds("likes", "integer", &["4", "5"]), ("allowable", "count"));
        assert_eq!(holds("home_page", "text", &["https://example.org/a"]), ("restricted", "link"));
        assert_eq!(holds("bio", "text", &["a quiet person who likes to walk", ""]), ("restricted", "text"));
        assert_eq!(holds("state", "text", &["open", "done"]), (UNMAPPED, "word"));
        assert_eq!(
            holds("remark", "text", &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "ann@example.org"]),
            ("restricted", "text")
        );
    }

    #[test]
    fn lists_are_sorted() {
        assert!(HOMES.is_sorted() && EEA.is_sorted());
    }
}
