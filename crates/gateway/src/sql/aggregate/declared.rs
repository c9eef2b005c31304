//! What may be asked of a table, as the rulebook declares it.

use std::collections::BTreeSet;

use model::tables::IDENTIFIER_MAX;
use transform::dp::bound::{GROUPS_PER_PERSON_MAX, ROWS_PER_PERSON_MAX, VALUE_MAX};

use super::literal::Literal;
use super::question::Number;

/// Most columns of a declaration.
pub const COLUMNS_MAX: usize = 100;
/// Most values that a key lists.
pub const LISTED_MAX: usize = 1_000;
/// Longest value of a key, in bytes. A longer one in the data counts as none.
pub const KEY_BYTES_MAX: usize = 256;
/// Most digits after the point.
const SCALE_MAX: u8 = 9;

/// A table of which numbers may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    pub(super) name: String,
    pub(super) schema: String,
    pub(super) relation: String,
    pub(super) person: String,
    pub(super) rows: u32,
    pub(super) groups: u32,
    pub(super) columns: Vec<Column>,
}

/// A column of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, in the relation and for who asks.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether there may be groups by it.
    pub key: Key,
    /// Whether `WHERE` may name it.
    pub filter: bool,
    /// Whether it may be summed.
    pub sum: Option<Sum>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers of up to 64 bits.
    Integer,
    /// Numbers with so many digits after the point, to which they are rounded.
    Numeric {
        /// How many.
        scale: u8,
    },
    /// Text, compared byte by byte.
    Text,
    /// Truth.
    Bool,
    /// Days.
    Date,
}

/// Whether there may be groups by a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// No.
    No,
    /// By whatever values the data hold. With noise a group then shows only where it is large.
    Open,
    /// By these values, and all others together, among them none, which is told as NULL. Groups show whether or not
    /// anybody is in them. The values must not be taken from the data.
    Listed(Vec<String>),
    /// By bands of whole numbers, of each the least: what is under the first, or none, is told as NULL. Groups show whether or not
    /// anybody is in them. The bounds must not be taken from the data.
    Bands(Vec<i64>),
}

/// How a column is summed. All numbers are in units: of `numeric` with a scale of two, in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The least that one person contributes to the sum of a group: less counts as this.
    pub low: i64,
    /// The most.
    pub high: i64,
    /// What stands for a row without a value, and for one that is no number or infinite.
    pub missing: i64,
}

/// A declaration that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{what}` of the table is outside of its limits")]
pub struct Misdeclared {
    /// Where.
    pub what: String,
}

impl Declared {
    /// A table that is asked for as `name`, and lies in `schema.relation`. `person` is the column that says whose a row is: rows
    /// without are not counted. One person has at most `rows` rows in a group and is in at most `groups` groups: more of
    /// them do not count where there is noise.
    ///
    /// # Errors
    /// [`Misdeclared`]
    pub fn new(
        name: &str,
        (schema, relation): (&str, &str),
        person: &str,
        (rows, groups): (u32, u32),
        columns: Vec<Column>,
    ) -> Result<Self, Misdeclared> {
        let wrong = |what: &str| Err(Misdeclared { what: what.to_owned() });
        let names = [name, schema, relation, person];
        if let Some(named) =
            names.into_iter().chain(columns.iter().map(|c| c.name.as_str())).find(|n| !is_name(n))
        {
            return wrong(named);
        }
        if rows == 0 || rows > ROWS_PER_PERSON_MAX {
            return wrong("rows");
        }
        if groups == 0 || groups > GROUPS_PER_PERSON_MAX {
            return wrong("groups");
        }
        let different: BTreeSet<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        if different.len() != columns.len() || columns.len() > COLUMNS_MAX {
            return wrong("columns");
        }
        let columns = columns.into_iter().map(Column::checked).collect::<Result<_, _>>()?;
        let [name, schema, relation, person] = names.map(str::to_owned);
        Ok(Self { name, schema, relation, person, rows, groups, columns })
    }

    /// As what it is asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What `count(*)` counts: people, where nobody has two rows in a group.
    pub(super) const fn counted(&self) -> Number {
        if self.rows == 1 { Number::People } else { Number::Rows }
    }

    pub(super) fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, column)| column.name == name)
    }
}

impl Column {
    fn checked(mut self) -> Result<Self, Misdeclared> {
        let wrong = || Misdeclared { what: self.name.clone() };
        let scale = self.kind.scale();
        let number = matches!(self.kind, Kind::Integer | Kind::Numeric { .. });
        if scale > SCALE_MAX || (self.sum.is_some() && !number) {
            return Err(wrong());
        }
        if let Some(Sum { low, high, missing }) = self.sum {
            let fits = |n: i64| n.unsigned_abs() <= VALUE_MAX.unsigned_abs();
            if low > high || (low == 0 && high == 0) || ![low, high, missing].into_iter().all(fits) {
                return Err(wrong());
            }
        }
        if self.key != Key::No && matches!(self.kind, Kind::Numeric { .. }) {
            return Err(wrong());
        }
        if let Key::Bands(edges) = &self.key
            && (self.kind != Kind::Integer
                || !(1..=LISTED_MAX).contains(&edges.len())
                || !edges.is_sorted_by(|a, b| a < b))
        {
            return Err(wrong());
        }
        if let Key::Listed(values) = &self.key {
            let value = |text: &String| Literal::of_key(self.kind, text).map(|l| l.text()).ok_or_else(wrong);
            let listed = values.iter().map(value).collect::<Result<BTreeSet<_>, _>>()?;
            if listed.is_empty() || listed.len() != values.len() || listed.len() > LISTED_MAX {
                return Err(wrong());
            }
            self.key = Key::Listed(listed.into_iter().collect());
        }
        Ok(self)
    }

    /// How its values are named to who asks.
    pub(super) const fn word(&self) -> &'static str {
        match self.kind {
            Kind::Integer => "a whole number",
            Kind::Numeric { .. } => "a number",
            Kind::Text => "a text in single quotes",
            Kind::Bool => "true or false",
            Kind::Date => "a date as '2026-11-27'",
        }
    }
}

impl Kind {
    /// Digits after the point of what is summed.
    pub(super) const fn scale(self) -> u8 {
        match self {
            Self::Numeric { scale } => scale,
            Self::Integer | Self::Text | Self::Bool | Self::Date => 0,
        }
    }

    /// The types of PostgreSQL that hold it, by their numbers. Another one than declared could fail on some rows and not on
    /// others, which would tell of them.
    pub(super) const fn types(self) -> &'static [u32] {
        match self {
            Self::Integer => &[20, 21, 23],
            Self::Numeric { .. } => &[20, 21, 23, 700, 701, 1700],
            Self::Text => &[25, 1042, 1043],
            Self::Bool => &[16],
            Self::Date => &[1082],
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= IDENTIFIER_MAX && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: Kind, key: Key, sum: Option<Sum>) -> Column {
        Column { name: "c".to_owned(), kind, key, filter: false, sum }
    }

    fn of(column: Column) -> Result<Declared, Misdeclared> {
        Declared::new("t", ("s", "t"), "who", (1, 1), vec![column])
    }

    #[test]
    fn a_declaration_outside_of_its_limits_is_none() {
        let sum = |low, high, missing| Some(Sum { low, high, missing });
        let listed = |values: &[&str]| Key::Listed(values.iter().map(|v| (*v).to_owned()).collect());
        assert!(of(column(Kind::Integer, Key::Open, sum(-5, 5, 0))).is_ok());
        for wrong in [
            column(Kind::Numeric { scale: 10 }, Key::No, None),
            column(Kind::Numeric { scale: 2 }, Key::Open, None),
            column(Kind::Text, Key::No, sum(0, 1, 0)),
            column(Kind::Integer, Key::No, sum(1, 0, 0)),
            column(Kind::Integer, Key::No, sum(0, 0, 0)),
            column(Kind::Integer, Key::No, sum(0, i64::MAX, 0)),
            column(Kind::Integer, Key::No, sum(0, 1, i64::MIN)),
            column(Kind::Integer, listed(&[]), None),
            column(Kind::Integer, listed(&["one"]), None),
            column(Kind::Integer, listed(&["1", "01"]), None),
            column(Kind::Date, listed(&["2026-02-30"]), None),
            column(Kind::Integer, Key::Bands(vec![]), None),
            column(Kind::Integer, Key::Bands(vec![1, 1]), None),
            column(Kind::Text, Key::Bands(vec![1]), None),
        ] {
            assert!(of(wrong.clone()).is_err(), "{wrong:?}");
        }
        let named =
            |name: &str, (rows, groups)| Declared::new(name, ("s", "t"), "who", (rows, groups), vec![]);
        assert!(named("t", (1, 1)).is_ok());
        let long = "n".repeat(64);
        for (name, bounds) in
            [("", (1, 1)), ("a\0", (1, 1)), (&long, (1, 1)), ("t", (0, 1)), ("t", (1, 0)), ("t", (1, 1_001))]
        {
            assert!(named(name, bounds).is_err(), "{name} {bounds:?}");
        }
        let twice = vec![column(Kind::Bool, Key::No, None); 2];
        assert!(Declared::new("t", ("s", "t"), "who", (1, 1), twice).is_err());
    }
}
