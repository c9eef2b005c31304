//! Answers without noise: exact numbers of groups that are large enough, and of no others.
//!
//! A question then has no `WHERE` unless a guard looks at who is in the groups: all, and all but one, would else be two questions.
//! A guard knows people and not what they contribute, so under one there are only counts of people.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use ledger::sha256;
use transform::aggregate::table::{CONTRIBUTIONS_MAX, Shown as Shape, VALUE_MAX};
use transform::aggregate::{Measure, Rules, Table};
use transform::dp::table::Key;

use super::question::{Number, Question, Shown};
use super::refusal::Refusal;
use super::statement::Statement;
use super::told::{Cell, Told};
use super::{Row, Unanswered};

/// Most people in groups of one question, a person counting once for each group.
const PEOPLE_MAX: usize = CONTRIBUTIONS_MAX / 2;

/// A question whose answer has no noise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exact {
    question: Question,
    k: NonZeroU64,
    guarded: bool,
}

/// What would be told, and who is in it.
pub struct Measured {
    /// The answer.
    pub told: Told,
    /// Who is in each group of it, as the column of the person names them: for a guard. Nobody where there is none.
    pub groups: Vec<Vec<String>>,
}

impl std::fmt::Debug for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Measured").field("told", &self.told).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Measuring<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Measuring").field("contributions", &self.contributions.len()).finish_non_exhaustive()
    }
}

impl Exact {
    /// # Errors
    /// [`Refusal`], when such a question needs noise.
    pub(super) fn new(question: Question, k: u32, guarded: bool) -> Result<Self, Refusal> {
        let only = |why: &str| Err(Refusal::grammar(None, why).about(&question.declared));
        let people = question.numbers.iter().all(|number| *number == Number::People);
        if question.is_of_quantiles() {
            return only("an exact quantile is somebody's number: quantiles of this table would need noise");
        }
        if guarded && !people {
            return only("of this table only people are counted: sums and counts of rows would need noise");
        }
        if !guarded && !question.filters.is_empty() {
            return only("answers about this table are exact, so that WHERE is not possible: group by keys");
        }
        let summed = |number: &Number| match number {
            Number::Sum(column) => {
                let sum = question.sum(*column);
                sum.low >= 0 && sum.high.unsigned_abs() <= VALUE_MAX
            }
            Number::People | Number::Rows => true,
        };
        if !question.numbers.iter().all(summed) {
            return only("a sum that may be under zero, or as large, needs noise");
        }
        Ok(Self { k: NonZeroU64::new(k.into()).unwrap_or(NonZeroU64::MIN), question, guarded })
    }

    /// What is asked.
    #[must_use]
    pub const fn question(&self) -> &Question {
        &self.question
    }

    /// The smallest group that is told.
    #[must_use]
    pub const fn k(&self) -> NonZeroU64 {
        self.k
    }

    /// Whether a guard must let the groups pass.
    #[must_use]
    pub const fn guarded(&self) -> bool {
        self.guarded
    }

    /// What is to be run.
    #[must_use]
    pub fn statement(&self) -> Statement {
        let most = if self.guarded { transform::aggregate::guard::PEOPLE_MAX } else { PEOPLE_MAX };
        Statement::of_people(&self.question, most)
    }

    /// Begins to take what the statement answers.
    #[must_use]
    pub fn measure(&self) -> Measuring<'_> {
        Measuring { of: self, keys: BTreeMap::new(), contributions: Vec::new(), people: Vec::new() }
    }
}

/// What people contribute, while it is read.
pub struct Measuring<'e> {
    of: &'e Exact,
    keys: BTreeMap<Key, usize>,
    contributions: Vec<Contribution>,
    /// Who contributed, where a guard asks.
    people: Vec<String>,
}

struct Contribution {
    group: usize,
    person: u128,
    numbers: Vec<u64>,
}

impl Measuring<'_> {
    /// Takes one row.
    ///
    /// # Errors
    /// [`Unanswered`]
    pub fn take(&mut self, row: Row) -> Result<(), Unanswered> {
        let mut row = row.into_iter();
        let person = row.next().flatten().ok_or(Unanswered::Form)?;
        let key: Key = row.by_ref().take(self.of.question.keys.len()).collect();
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok()).ok_or(Unanswered::Form);
        let numbers = row.map(number).collect::<Result<Vec<u64>, _>>()?;
        let next = self.keys.len();
        let group = *self.keys.entry(key).or_insert(next);
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = *sha256(person.as_bytes()).bytes();
        let digest = u128::from_be_bytes([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]);
        self.contributions.push(Contribution { group, person: digest, numbers });
        if self.of.guarded {
            self.people.push(person);
        }
        if self.contributions.len() > PEOPLE_MAX { Err(Unanswered::TooMany) } else { Ok(()) }
    }

    /// What may be told: groups of which every number that was asked for may be.
    ///
    /// # Errors
    /// [`Unanswered`]
    pub fn done(self) -> Result<Measured, Unanswered> {
        let places = Places::of(&self.keys);
        let numbers: Vec<Number> = self.of.question.numbers.iter().copied().collect();
        let mut shapes = Vec::new();
        for (index, _) in numbers.iter().enumerate() {
            shapes.push(self.shape(&places, index)?);
        }
        let told = |at: (usize, usize)| {
            let shown = shapes.iter().map(|shape| shape.as_ref()?.cell(at.0, at.1));
            shown.collect::<Option<Vec<u64>>>()
        };
        let (mut rows, mut shown, mut withheld) = (Vec::new(), BTreeMap::new(), 0);
        // What is withheld depends on `k` alone, so that asking for larger groups only ever takes away from the answer.
        let least = u64::from(self.of.question.least.unwrap_or(0));
        for (key, group) in &self.keys {
            let large = |values: &Vec<u64>| values.first().is_some_and(|people| *people >= least);
            match places.at(*group).and_then(told).filter(large) {
                Some(values) => {
                    shown.insert(*group, shown.len());
                    rows.push(self.row(key, &numbers, &values)?);
                }
                None => withheld += 1,
            }
        }
        let mut groups = vec![Vec::new(); if self.of.guarded { shown.len() } else { 0 }];
        for (contribution, person) in self.contributions.iter().zip(self.people) {
            if let Some(group) = shown.get(&contribution.group).and_then(|n| groups.get_mut(*n)) {
                group.push(person);
            }
        }
        Ok(Measured { told: self.of.question.told(rows, Some(withheld)), groups })
    }

    /// What may be told of one number; none where whatever is withheld would follow.
    fn shape(&self, places: &Places, index: usize) -> Result<Option<Shape>, Unanswered> {
        let (rows, columns) = places.size();
        let mut table = Table::new(rows, columns).map_err(|_| Unanswered::TooMany)?;
        for Contribution { group, person, numbers } in &self.contributions {
            let (row, column) = places.at(*group).ok_or(Unanswered::Form)?;
            let value = index.checked_sub(1).map_or(Some(1), |index| numbers.get(index).copied());
            table
                .add(row, column, *person, value.ok_or(Unanswered::Form)?)
                .map_err(|_| Unanswered::TooMany)?;
        }
        let measure = if index == 0 { Measure::People } else { Measure::Sum };
        Ok(table.release(measure, &Rules::new(self.of.k)).ok())
    }

    fn row(&self, key: &Key, numbers: &[Number], values: &[u64]) -> Result<Vec<Cell>, Unanswered> {
        let question = &self.of.question;
        let of = |wanted: Number| {
            let found = numbers.iter().zip(values).find(|(number, _)| **number == wanted);
            found.and_then(|(_, value)| i64::try_from(*value).ok())
        };
        let cell = |(_, shown): &(String, Shown)| match shown {
            Shown::Quantile(..) => None,
            Shown::Key(_) => question.key_cell(*shown, key),
            Shown::Number(number) => of(*number).map(|n| question.number_cell(*number, n)),
            Shown::Mean(column) => {
                let rows = of(Number::Rows).or_else(|| of(Number::People))?;
                let sum = of(Number::Sum(*column))?;
                Some(question.mean_cell(*column, sum, rows))
            }
        };
        question.shown.iter().map(cell).collect::<Option<Vec<_>>>().ok_or(Unanswered::Form)
    }
}

/// Where groups lie in a table: by the first key in rows and by the second in columns. What is withheld then does not follow from
/// the table with the margins that it would be shown with, though nobody is told of those here.
struct Places {
    rows: usize,
    columns: usize,
    at: BTreeMap<usize, (usize, usize)>,
}

impl Places {
    fn of(keys: &BTreeMap<Key, usize>) -> Self {
        let mut sides: [BTreeMap<Option<String>, usize>; 2] = [BTreeMap::new(), BTreeMap::new()];
        let mut at = BTreeMap::new();
        for (key, group) in keys {
            let mut values = key.iter();
            let [row, column] = sides.each_mut().map(|side| {
                let next = side.len();
                *side.entry(values.next().cloned().flatten()).or_insert(next)
            });
            at.insert(*group, (row, column));
        }
        let [rows, columns] = sides.map(|side| side.len().max(1));
        Self { rows, columns, at }
    }

    const fn size(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    fn at(&self, group: usize) -> Option<(usize, usize)> {
        self.at.get(&group).copied()
    }
}
