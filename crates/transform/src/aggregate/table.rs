//! Counts and sums in rows and columns, with margins from which nothing withheld can be computed.
//!
//! A cell is withheld when it has too few distinct people, or, in a table of sums, when one person makes up nearly all of it
//! or the second largest could work out the largest. Margins are cells like any other. Then more cells are withheld until the
//! rows, columns and totals leave each of the first ones open widely enough: whoever solves the table's equations, knowing
//! that no number is under zero, cannot rule out that nobody is in a small cell, nor that as many are as a cell needs. Where
//! a table is too thin for that nothing of it is shown. Which cells are withheld besides is the cheapest choice that is
//! found cell by cell, not the cheapest there is.
//!
//! The rules and the widths are those of statistical offices (minimum frequency, dominance, p-percent and their protection
//! levels: Hundepool and others, Handbook on Statistical Disclosure Control; Eurostat), and so is rounding. What stays outside: what a
//! recipient was told before ([`super::Guard`]), and what contributors know of themselves beyond the p-percent rule.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use super::{PEOPLE_MIN, SENSITIVE_PEOPLE_MIN};

mod protect;
#[cfg(test)]
mod tests;

use protect::{Grid, Need};

/// Most cells of a table, margins included.
pub const CELLS_MAX: usize = 4_096;
/// Most people in cells, a person once for each.
pub const CONTRIBUTIONS_MAX: usize = 2_000_000;
/// Largest number that one row adds: sums then fit.
pub const VALUE_MAX: u64 = 1 << 40;

/// Why a table is not made, or nothing of it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// It has no cell, or too many.
    #[error("a table has 1 to `{CELLS_MAX}` cells, margins included")]
    Size,
    /// A row or column that it does not have.
    #[error("the table has no such cell")]
    NoCell,
    /// A number that is too large, or more people than fit.
    #[error("the table holds at most `{CONTRIBUTIONS_MAX}` people and numbers up to `{VALUE_MAX}`")]
    TooMany,
    /// A percentage that is none, or over a hundred.
    #[error("a percentage is between 1 and 100")]
    Percent,
    /// Whatever is withheld, what is shown would tell of it.
    #[error("the table is too thin: nothing of it can be shown")]
    Thin,
}

/// What must be true of a cell that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    people: NonZeroU64,
    dominance: u64,
    p: u64,
    round_to: NonZeroU64,
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(PEOPLE_MIN)
    }
}

impl Rules {
    /// So many distinct people at least, no one person with more than 85 % of a sum, the largest not to be told within 10 %,
    /// and no rounding.
    #[must_use]
    pub const fn new(people: NonZeroU64) -> Self {
        Self { people, dominance: 85, p: 10, round_to: NonZeroU64::MIN }
    }

    /// For classes that are sensitive: twenty people.
    #[must_use]
    pub const fn sensitive() -> Self {
        Self::new(SENSITIVE_PEOPLE_MIN)
    }

    /// Other percentages: `dominance` of a sum is the most that one person may have; whoever is second must not be able to tell
    /// the largest within `p` percent.
    ///
    /// # Errors
    /// [`TableError::Percent`]
    pub fn percentages(self, dominance: u8, p: u8) -> Result<Self, TableError> {
        let fits = |percent| (1..=100).contains(&percent);
        if !fits(dominance) || !fits(p) {
            return Err(TableError::Percent);
        }
        Ok(Self { dominance: u64::from(dominance), p: u64::from(p), ..self })
    }

    /// Rounds what is shown to the nearest multiple.
    #[must_use]
    pub const fn rounded_to(self, multiple: NonZeroU64) -> Self {
        Self { round_to: multiple, ..self }
    }
}

/// What the numbers of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// People. In a margin a person counts once for each cell.
    People,
    /// What people contribute, in sum.
    Sum,
}

/// Who contributed what to which cell.
pub struct Table<P> {
    rows: usize,
    columns: usize,
    cells: BTreeMap<(usize, usize), BTreeMap<P, u64>>,
    contributions: usize,
}

impl<P> std::fmt::Debug for Table<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("rows", &self.rows)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl<P: Ord + Clone> Table<P> {
    /// A table without anybody in it.
    ///
    /// # Errors
    /// [`TableError::Size`]
    pub const fn new(rows: usize, columns: usize) -> Result<Self, TableError> {
        let cells = rows.saturating_add(1).saturating_mul(columns.saturating_add(1));
        if rows == 0 || columns == 0 || cells > CELLS_MAX {
            return Err(TableError::Size);
        }
        Ok(Self { rows, columns, cells: BTreeMap::new(), contributions: 0 })
    }

    /// Adds what a person contributes to a cell. A person may have many rows, in many cells.
    ///
    /// # Errors
    /// [`TableError::NoCell`], [`TableError::TooMany`]
    pub fn add(&mut self, row: usize, column: usize, person: P, value: u64) -> Result<(), TableError> {
        if row >= self.rows || column >= self.columns {
            return Err(TableError::NoCell);
        }
        if value > VALUE_MAX || self.contributions >= CONTRIBUTIONS_MAX {
            return Err(TableError::TooMany);
        }
        let sum = self.cells.entry((row, column)).or_default().entry(person);
        let sum = sum.or_insert_with(|| {
            self.contributions += 1;
            0
        });
        *sum = sum.saturating_add(value).min(VALUE_MAX);
        Ok(())
    }

    /// Who is in a cell, or in a margin where a side is not named. For [`super::Guard`].
    #[must_use]
    pub fn people(&self, row: Option<usize>, column: Option<usize>) -> BTreeSet<P> {
        self.contributors(row, column).into_keys().collect()
    }

    fn contributors(&self, row: Option<usize>, column: Option<usize>) -> BTreeMap<P, u64> {
        let mut people: BTreeMap<P, u64> = BTreeMap::new();
        let within =
            |cell: &(usize, usize)| row.is_none_or(|r| r == cell.0) && column.is_none_or(|c| c == cell.1);
        for (person, value) in self.cells.iter().filter(|(cell, _)| within(cell)).flat_map(|(_, p)| p) {
            let sum = people.entry(person.clone()).or_default();
            *sum = sum.saturating_add(*value);
        }
        people
    }

    /// What may be shown of the table.
    ///
    /// ```
    /// use transform::aggregate::{Measure, Rules, Table};
    ///
    /// let mut table = Table::new(2, 2)?;
    /// for (cell, people) in [((0, 0), 3), ((0, 1), 40), ((1, 0), 30), ((1, 1), 60)] {
    ///     for person in 0..people {
    ///         table.add(cell.0, cell.1, (cell, person), 1)?;
    ///     }
    /// }
    /// let shown = table.release(Measure::People, &Rules::default())?;
    /// // Three are too few; their row and column would tell, so that all four cells are withheld.
    /// assert_eq!((shown.cell(0, 0), shown.cell(1, 1), shown.row_total(0)), (None, None, Some(43)));
    /// # Ok::<(), transform::aggregate::table::TableError>(())
    /// ```
    ///
    /// # Errors
    /// [`TableError::Thin`]
    pub fn release(&self, measure: Measure, rules: &Rules) -> Result<Shown, TableError> {
        let inner = |cell: (usize, usize)| {
            let people = self.cells.get(&cell);
            people.map_or(0, |people| match measure {
                Measure::People => people.len() as u64,
                Measure::Sum => people.values().sum(),
            })
        };
        let mut grid = Grid::new(self.rows, self.columns, inner);
        let needs = self.needs(&grid, measure, rules);
        grid.protect(&needs)?;
        let multiple = rules.round_to.get();
        let round = |value: u64| (value + multiple / 2) / multiple * multiple;
        let cells: Vec<Option<u64>> = grid.shown().map(|value| value.map(round)).collect();
        let withheld = cells.iter().filter(|c| c.is_none()).count();
        if withheld == cells.len() {
            return Err(TableError::Thin);
        }
        Ok(Shown { columns: self.columns, rows: self.rows, cells, withheld, unsafe_by_rule: needs.len() })
    }

    /// The cells that must not be shown, and how wide they must stay open.
    fn needs(&self, grid: &Grid, measure: Measure, rules: &Rules) -> Vec<Need> {
        let sides = |most: usize| (0..most).map(Some).chain([None]);
        let cells = sides(self.rows).flat_map(|row| sides(self.columns).map(move |column| (row, column)));
        cells
            .enumerate()
            .filter_map(|(at, (row, column))| {
                let value = grid.value(at);
                let mut parts: Vec<u64> = self.contributors(row, column).into_values().collect();
                parts.sort_unstable_by(|a, b| b.cmp(a));
                let width = match measure {
                    Measure::People => few(parts.len() as u64, value, rules),
                    Measure::Sum => sensitive(&parts, value, rules),
                }?;
                Some(Need { cell: at, up: width.0, down: width.1.min(value) })
            })
            .collect()
    }
}

/// How wide a count of so many distinct people must stay open, upwards and downwards; none where it may be shown.
fn few(people: u64, value: u64, rules: &Rules) -> Option<(u64, u64)> {
    let least = rules.people.get();
    (people < least).then(|| (least.saturating_sub(value).max(1), value))
}

/// The same of a sum, whose parts are given from the largest down.
fn sensitive(parts: &[u64], sum: u64, rules: &Rules) -> Option<(u64, u64)> {
    let part = |n: usize| parts.get(n).copied().unwrap_or(0);
    let (largest, rest) = (part(0), sum.saturating_sub(part(0)).saturating_sub(part(1)));
    let few = (parts.len() as u64) < rules.people.get();
    let dominated = largest * 100 > sum * rules.dominance;
    let told = rest * 100 < largest * rules.p;
    let percent = |of: u64, percent: u64| (of * percent).div_ceil(100);
    let widths = [
        few.then(|| percent(sum, rules.p)),
        dominated.then(|| (largest * 100).div_ceil(rules.dominance) - sum),
        told.then(|| percent(largest, rules.p) - rest),
    ];
    let width = widths.into_iter().flatten().max()?.max(1);
    Some((width, width))
}

/// What may be shown of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    rows: usize,
    columns: usize,
    /// Row by row, each with its margin, and the row of margins.
    cells: Vec<Option<u64>>,
    /// How many cells are withheld, margins included.
    pub withheld: usize,
    /// How many of them for their own sake; the others because the table would tell.
    pub unsafe_by_rule: usize,
}

impl Shown {
    fn at(&self, row: usize, column: usize) -> Option<u64> {
        self.cells.get(row * (self.columns + 1) + column).copied().flatten()
    }

    /// A cell; none where it is withheld, or is none.
    #[must_use]
    pub fn cell(&self, row: usize, column: usize) -> Option<u64> {
        if row < self.rows && column < self.columns { self.at(row, column) } else { None }
    }

    /// The margin of a row.
    #[must_use]
    pub fn row_total(&self, row: usize) -> Option<u64> {
        if row < self.rows { self.at(row, self.columns) } else { None }
    }

    /// The margin of a column.
    #[must_use]
    pub fn column_total(&self, column: usize) -> Option<u64> {
        if column < self.columns { self.at(self.rows, column) } else { None }
    }

    /// The sum of everything.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.at(self.rows, self.columns)
    }
}
