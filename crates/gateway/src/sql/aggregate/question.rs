//! What is asked, in the one form that equal questions share, and how the answer is to be shown.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledger::sha256;
use serde_json::{Value, json};
use transform::budget::{ANSWER_BYTES_MAX, Query};
use transform::dp::table::Key as Cell;

use super::declared::{Column, Declared, Key, Sum};
use super::literal::Literal;

/// Most keys of a question.
pub const KEYS_MAX: usize = 2;
/// Most groups that declared keys name together.
pub const NAMED_MAX: usize = 2_000;

/// A question of the closed grammar: what [`super::parse`] makes of a text. It holds no word of the text but typed values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub(super) declared: Arc<Declared>,
    /// Columns, in the order of their declaration: in which order they were named does not change the answer.
    pub(super) keys: Vec<usize>,
    pub(super) filters: BTreeSet<Filter>,
    pub(super) numbers: BTreeSet<Number>,
    pub(super) shown: Vec<(String, Shown)>,
    pub(super) order: Vec<Order>,
    pub(super) limit: Option<u64>,
    /// The smallest group that is asked for.
    pub(super) least: Option<u32>,
}

/// A number of each group. People are always counted, since they say whether a group is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Number {
    People,
    Rows,
    Sum(usize),
}

/// A column of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Key(usize),
    Number(Number),
    Mean(usize),
    /// Of a column in bands: in which of them the given part of all lies, in millionths.
    Quantile(usize, u32),
}

/// One of the conditions that rows must fulfil.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Filter {
    pub(super) column: usize,
    pub(super) test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Test {
    Compare(Comparison, Literal),
    In(BTreeSet<Literal>),
    Null(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// By which column of the answer its rows are ordered, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) by: usize,
    pub(super) down: bool,
    pub(super) nulls_first: bool,
}

impl Question {
    /// The table that it is about.
    #[must_use]
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    /// The names of all columns that its answer depends on, besides whose rows they are, for the decision about them.
    #[must_use]
    pub fn columns(&self) -> BTreeSet<&str> {
        let sums = self.numbers.iter().filter_map(|number| match number {
            Number::Sum(column) => Some(*column),
            Number::People | Number::Rows => None,
        });
        let named = self.keys.iter().copied().chain(self.filters.iter().map(|f| f.column)).chain(sums);
        named.filter_map(|column| self.declared.columns.get(column)).map(|c| c.name.as_str()).collect()
    }

    /// The columns of its answer, whatever the answer is.
    #[must_use]
    pub fn columns_told(&self) -> Vec<super::told::ToldColumn> {
        self.told(Vec::new(), None).columns
    }

    /// By what it is known: what it depends on here, and `of`, by which the caller tells apart what it depends on besides, such
    /// as the recipient, the rulebook, how much noise there is, and the day or the version of the data. In which order its
    /// answer is shown, how much of it and under which names, is not part of it.
    #[must_use]
    pub fn query(&self, of: &[&str]) -> Query {
        let key = json!(["clover sql aggregate v1", of, self.normal()]);
        Query::new(*sha256(key.to_string().as_bytes()).bytes())
    }

    /// The normal form, in which it can be told without what it was written like.
    #[must_use]
    pub fn normal(&self) -> Value {
        let declared = &self.declared;
        let name = |column: usize| declared.columns.get(column).map_or("", |c| c.name.as_str());
        // A list of values and a list of bands are two keys.
        let key = |c: &Column| match &c.key {
            Key::Bands(edges) => json!([c.name, "bands", edges]),
            Key::Listed(_) | Key::Open | Key::No => json!([c.name, listed(c)]),
        };
        let keys: Vec<Value> = self.keys().map(key).collect();
        let filters: Vec<Value> =
            self.filters.iter().map(|f| json!([name(f.column), f.test.normal()])).collect();
        let number = |number: &Number| match number {
            Number::People => json!("people"),
            Number::Rows => json!(["rows", declared.rows]),
            Number::Sum(column) => {
                let Sum { low, high, missing } = self.sum(*column);
                json!(["sum", name(*column), low, high, missing])
            }
        };
        json!({
            "table": [declared.name, declared.schema, declared.relation, declared.person],
            "groups": self.groups_of_person(),
            "keys": keys,
            "where": filters,
            "numbers": self.numbers.iter().map(number).collect::<Vec<_>>(),
        })
    }

    /// Whether its answer is one row of quantiles, made of all groups.
    pub(super) fn is_of_quantiles(&self) -> bool {
        self.shown.iter().any(|(_, shown)| matches!(shown, Shown::Quantile(..)))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Column> {
        self.keys.iter().filter_map(|key| self.declared.columns.get(*key))
    }

    /// The groups that are told whether or not anybody is in them, where all keys list their values.
    pub(super) fn named(&self) -> Option<Vec<Cell>> {
        let mut cells: Vec<Cell> = vec![Vec::new()];
        for column in self.keys() {
            let values = listed(column)?;
            let longer = |cell: &Cell| {
                let all = values.iter().cloned().map(Some).chain([None]);
                all.map(|value| [cell.as_slice(), &[value]].concat()).collect::<Vec<_>>()
            };
            cells = cells.iter().flat_map(longer).collect();
        }
        Some(cells)
    }

    /// Whether the answer can be kept, as far as that is known without the data.
    pub(super) fn keeps(&self) -> bool {
        let lists = self.keys().map(|c| listed(c).map_or(1, |values| values.len() + 1));
        if self.keys().any(|c| listed(c).is_none()) {
            return true;
        }
        let bytes = |cell: &Cell| cell.iter().map(|v| v.as_ref().map_or(0, String::len) + 8).sum::<usize>();
        let numbers = self.numbers.len() * 21 + 16;
        lists.product::<usize>() <= NAMED_MAX
            && self
                .named()
                .is_some_and(|all| all.iter().map(|c| bytes(c) + numbers).sum::<usize>() <= ANSWER_BYTES_MAX)
    }

    /// In how many groups one person counts.
    pub(super) fn groups_of_person(&self) -> u32 {
        let named = self.named().map_or(u32::MAX, |cells| u32::try_from(cells.len()).unwrap_or(u32::MAX));
        self.declared.groups.min(named).max(1)
    }

    /// How a column is summed: nothing counts where it is not declared.
    pub(super) fn sum(&self, column: usize) -> Sum {
        let none = Sum { low: 0, high: 0, missing: 0 };
        self.declared.columns.get(column).and_then(|c| c.sum).unwrap_or(none)
    }

    /// The most that one person contributes to a number of a group.
    pub(super) fn most(&self, number: Number) -> u64 {
        match number {
            Number::People => 1,
            Number::Rows => u64::from(self.declared.rows),
            Number::Sum(column) => {
                let Sum { low, high, .. } = self.sum(column);
                low.unsigned_abs().max(high.unsigned_abs())
            }
        }
    }
}

/// The groups of a key that are told whether or not anybody is in them, apart from that of all others.
fn listed(column: &Column) -> Option<Vec<String>> {
    match &column.key {
        Key::Listed(values) => Some(values.clone()),
        Key::Bands(edges) => Some(edges.iter().map(i64::to_string).collect()),
        Key::Open | Key::No => None,
    }
}

impl Test {
    fn normal(&self) -> Value {
        match self {
            Self::Compare(comparison, literal) => json!([comparison.word(), literal.text()]),
            Self::In(literals) => json!(["in", literals.iter().map(Literal::text).collect::<Vec<_>>()]),
            Self::Null(none) => json!(["null", *none]),
        }
    }
}

impl Comparison {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Unequal => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// The same with its sides exchanged.
    pub(super) const fn turned(self) -> Self {
        match self {
            Self::Equal | Self::Unequal => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }
}
