//! Tables of services: which columns of which table of a database inside carry which catalogue fields, and what may be computed
//! of them. They are part of the rulebook for the same reason as lanes: a wrong binding is as bad as a wrong policy.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::catalogue::{Catalogue, FieldIndex, Kind};
use crate::id::Name;
use crate::problem::Problems;

/// Longest identifier that PostgreSQL keeps whole, in bytes (`NAMEDATALEN - 1`): it cuts longer ones.
pub const IDENTIFIER_MAX: usize = 63;
/// Most columns of a table: what one statement can select.
const COLUMNS_MAX: usize = 1_600;
/// Most values of a key that are declared.
const DOMAIN_MAX: usize = 1_000;
/// Farthest bound of a band: a longer number could be taken for somebody's, and would not be told.
const BAND_MAX: u64 = 999_999_999;
/// Most groups of one question that a person may be counted in.
const GROUPS_MAX: u32 = 16;
/// Most rows of a person that count in one group.
const ROWS_MAX: u32 = 1_000;
/// Most decimals of a sum.
const SCALE_MAX: u8 = 6;

/// One table of a service, as the SQL gateway shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What clients call it.
    pub name: String,
    /// The database, named in local configuration.
    pub source: Name,
    /// Its schema there.
    pub schema: String,
    /// Its name there.
    pub relation: String,
    /// The dataset of its fields.
    pub dataset: Name,
    /// The column that says whose a row is.
    pub person: String,
    /// Whether rows are shown only where each says whose it is, so that entries name nobody whose row was not shown.
    pub demands_person: bool,
    /// Columns and the fields that they carry. A column that does not stand here does not exist for clients.
    pub columns: Vec<(String, FieldIndex)>,
    /// What may be asked of it by those who see no rows.
    pub asked: Asked,
}

/// What may be computed of a table, and within which bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Columns by which may be grouped, with the values that are told apart; all others are one group.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Columns of whole numbers by which may be grouped in bands, with the least number of each: for histograms and quantiles.
    pub bands: BTreeMap<String, Vec<i64>>,
    /// Columns that may be added up.
    pub sums: BTreeMap<String, Sum>,
    /// In how many groups of one question a person counts at most.
    pub groups_max: u32,
    /// How many rows of a person count in one group at most.
    pub rows_max: u32,
}

impl Asked {
    /// Whether anything may be computed of a column.
    #[must_use]
    pub fn names(&self, column: &str) -> bool {
        self.keys.contains_key(column) || self.bands.contains_key(column) || self.sums.contains_key(column)
    }
}

/// Bounds of what one person adds to a sum, in units of its last decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The least.
    pub low: i64,
    /// The most.
    pub high: i64,
    /// Decimals.
    pub scale: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    name: String,
    source: String,
    relation: String,
    dataset: String,
    person: String,
    #[serde(default)]
    demands_person: bool,
    columns: BTreeMap<String, String>,
    #[serde(default)]
    keys: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    bands: BTreeMap<String, Vec<i64>>,
    #[serde(default)]
    sums: BTreeMap<String, RawSum>,
    #[serde(default = "one")]
    groups_max: u32,
    #[serde(default = "one")]
    rows_max: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSum {
    low: i64,
    high: i64,
    #[serde(default)]
    scale: u8,
}

fn one() -> u32 {
    1
}

/// Every table, by what clients call it.
pub(crate) fn all(raw: Vec<Raw>, catalogue: &Catalogue, p: &mut Problems) -> BTreeMap<String, Table> {
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    for raw in raw {
        let place = format!("lanes.toml: table `{}`", raw.name);
        let Some(table) = parse(&place, raw, catalogue, p) else { continue };
        // A session is of one dataset, and of one database.
        if tables.values().any(|t| t.dataset == table.dataset && t.source != table.source) {
            p.add(&place, "its dataset has tables in two databases", "keep those of one dataset in one");
        }
        if tables.insert(table.name.clone(), table).is_some() {
            p.add(&place, "declared twice", "remove one");
        }
    }
    tables
}

fn parse(place: &str, raw: Raw, catalogue: &Catalogue, p: &mut Problems) -> Option<Table> {
    let source = p.keep(place, "choose another name", Name::parse(&raw.source));
    let dataset = p.keep(place, "choose another name", Name::parse(&raw.dataset));
    if catalogue.dataset(&raw.dataset).is_none() {
        p.add(place, format!("dataset `{}` is not declared", raw.dataset), "declare it in catalogue.toml");
    }
    let (schema, relation) = raw.relation.split_once('.').unwrap_or(("", raw.relation.as_str()));
    for word in
        [&raw.name, schema, relation, &raw.person].into_iter().chain(raw.columns.keys().map(String::as_str))
    {
        if !is_identifier(word) {
            let fix = "a letter or `_`, then letters, digits and `_`, lower case, 63 at most; `relation` is schema.table";
            p.add(place, format!("`{word}` is no plain name of PostgreSQL"), fix);
        }
    }
    if raw.columns.is_empty() || raw.columns.len() > COLUMNS_MAX {
        p.add(place, "it has no columns, or more than a statement can select", "name what may be seen of it");
    }
    if raw.columns.contains_key(&raw.person) {
        let why = format!("`{}` says whose a row is and carries a field", raw.person);
        p.add(place, why, "clients see it as a pseudonym; leave it out of `columns`");
    }
    let mut columns = Vec::new();
    for (column, field) in &raw.columns {
        let ours = field.strip_prefix(&raw.dataset).is_some_and(|rest| rest.starts_with('.'));
        match catalogue.find(field) {
            Some(index) if ours => columns.push((column.clone(), index)),
            Some(_) => {
                p.add(place, format!("`{field}` is not of the table's dataset"), "one table, one dataset")
            }
            None => p.add(place, format!("field `{field}` is not declared"), "declare it in catalogue.toml"),
        }
    }
    let asked = asked(place, &raw, &columns, catalogue, p);
    Some(Table {
        name: raw.name.clone(),
        source: source?,
        schema: schema.to_owned(),
        relation: relation.to_owned(),
        dataset: dataset?,
        person: raw.person,
        demands_person: raw.demands_person,
        columns,
        asked,
    })
}

fn asked(
    place: &str,
    raw: &Raw,
    columns: &[(String, FieldIndex)],
    catalogue: &Catalogue,
    p: &mut Problems,
) -> Asked {
    let kind = |column: &String| {
        let (_, index) = columns.iter().find(|(name, _)| name == column)?;
        catalogue.field(*index).map(|field| field.kind)
    };
    for (column, values) in &raw.keys {
        if kind(column) != Some(Kind::Word) {
            let why = format!("`{column}` is no column of words");
            p.add(place, why, "people are grouped by one of a few words, so that a group names nobody");
        }
        if values.is_empty() || values.len() > DOMAIN_MAX || !values.is_sorted_by(|a, b| a < b) {
            let fix = "at most 1,000, ascending, each once; all others are one group";
            p.add(place, format!("the values of `{column}` cannot be told apart"), fix);
        }
    }
    for (column, edges) in &raw.bands {
        let decimals = raw.sums.get(column).is_some_and(|sum| sum.scale > 0);
        if kind(column) != Some(Kind::Count) || decimals {
            let why = format!("`{column}` is no column of whole counts");
            p.add(place, why, "only whole numbers are told in bands");
        }
        if edges.is_empty()
            || edges.len() > DOMAIN_MAX
            || !edges.is_sorted_by(|a, b| a < b)
            || edges.iter().any(|edge| edge.unsigned_abs() > BAND_MAX)
        {
            let fix = "at most 1,000 whole numbers of nine digits, ascending: the least of each band; what is under the first counts with none";
            p.add(place, format!("the bands of `{column}` are none"), fix);
        }
    }
    let mut sums = BTreeMap::new();
    for (column, sum) in &raw.sums {
        if kind(column) != Some(Kind::Count) {
            p.add(place, format!("`{column}` is no column of counts"), "only counts are added up");
        }
        if sum.low > sum.high || sum.scale > SCALE_MAX || sum.low.checked_abs().is_none() {
            p.add(
                place,
                format!("the bounds of `{column}` are none"),
                "`low` is at most `high`, `scale` at most 6",
            );
        }
        sums.insert(column.clone(), Sum { low: sum.low, high: sum.high, scale: sum.scale });
    }
    if !(1..=GROUPS_MAX).contains(&raw.groups_max) {
        p.add(place, "`groups_max` is not 1 to 16", "in how many groups of one question a person counts");
    }
    if !(1..=ROWS_MAX).contains(&raw.rows_max) {
        p.add(place, "`rows_max` is not 1 to 1,000", "how many rows of a person count in one group");
    }
    Asked {
        keys: raw.keys.clone(),
        bands: raw.bands.clone(),
        sums,
        groups_max: raw.groups_max,
        rows_max: raw.rows_max,
    }
}

/// A name that PostgreSQL reads the same with and without quotes.
fn is_identifier(word: &str) -> bool {
    let mut bytes = word.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && word.len() <= IDENTIFIER_MAX
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests;
