//! Classes of people who look alike, and what is told of them.

use std::collections::BTreeMap;

use super::content::{Beside, Found};
use super::{Columns, Digest, Fact, Few, Finding, Limits, RiskError, Role, Verdict, at, check, digest};

/// Class sizes that a report tells apart: from each number up to the next.
pub const SIZES: [usize; 5] = [1, 2, 5, 10, 20];
/// Different sensitive values of a class that are told apart.
const DIVERSITY_MAX: usize = 20;

/// People with one combination of quasi-identifiers.
#[derive(Debug, Default)]
struct Class {
    rows: u64,
    people: Few,
    /// For each sensitive column, the values.
    values: Vec<Few>,
}

/// Measures one release, row by row.
#[derive(Debug)]
pub struct Measurer {
    columns: Columns,
    places: Places,
    k: usize,
    limits: Limits,
    rows: u64,
    classes: BTreeMap<Digest, Class>,
    beside: Beside,
}

#[derive(Debug)]
struct Places {
    quasi: Vec<usize>,
    sensitive: Vec<usize>,
    tokens: Vec<usize>,
    contents: Vec<usize>,
    person: Vec<usize>,
}

impl Measurer {
    /// For classes of at least `k` people.
    ///
    /// # Errors
    /// [`RiskError::K`]
    pub fn new(columns: Columns, k: usize, limits: Limits) -> Result<Self, RiskError> {
        if !(2..=1_000).contains(&k) {
            return Err(RiskError::K);
        }
        let places = Places {
            quasi: columns.places(Role::Quasi),
            sensitive: columns.places(Role::Sensitive),
            tokens: columns.places(Role::Token),
            contents: columns.places(Role::Content),
            person: columns.places(Role::Person),
        };
        let (classes, beside) = (BTreeMap::new(), Beside::default());
        Ok(Self { columns, places, k, limits, rows: 0, classes, beside })
    }

    /// Adds a row, a value for each column.
    ///
    /// ```
    /// use transform::risk::{Columns, Limits, Measurer, Role, Verdict};
    ///
    /// let columns = Columns::new([("person", Role::Token), ("video", Role::Content), ("region", Role::Quasi)])?;
    /// let mut release = Measurer::new(columns, 2, Limits::default())?;
    /// release.push(&["t1.1.aaaaaaaaaaaaaaaaaaaaaaaaaa", "https://video.example/@anna/7", "NO"])?;
    /// release.push(&["t1.1.bbbbbbbbbbbbbbbbbbbbbbbbbb", "t1.1.cccccccccccccccccccccccccc", "NO"])?;
    /// // Whoever opens the link knows whose token the first one is.
    /// assert_eq!(release.finish().verdict(), Verdict::Plain);
    /// # Ok::<(), transform::risk::RiskError>(())
    /// ```
    ///
    /// # Errors
    /// [`RiskError`]: the release is not measured, and no report may be made of it.
    pub fn push(&mut self, row: &[&str]) -> Result<(), RiskError> {
        check(row, &self.columns, self.rows, &self.limits)?;
        self.rows += 1;
        let class = self.classes.entry(digest(at(row, &self.places.quasi))).or_default();
        class.rows += 1;
        let number = self.rows.to_string();
        let person = match self.places.person.as_slice() {
            [] => digest([number.as_str()]),
            places => digest(at(row, places)),
        };
        class.people.add(person, self.k.max(MOST));
        class.values.resize_with(self.places.sensitive.len(), Few::default);
        for (values, value) in class.values.iter_mut().zip(at(row, &self.places.sensitive)) {
            values.add(digest([value]), DIVERSITY_MAX);
        }
        if self.classes.len() > self.limits.distinct {
            return Err(RiskError::TooMany("combinations"));
        }
        let token = at(row, &self.places.tokens).find(|token| !token.is_empty());
        self.beside.add(token, at(row, &self.places.contents), self.k, &self.limits)
    }

    /// What was measured.
    #[must_use]
    pub fn finish(&self) -> Report {
        let mut report = Report {
            rows: self.rows,
            asked: self.k,
            k: self.classes.values().map(|c| c.people.len()).min().unwrap_or(0),
            classes: self.classes.len() as u64,
            sizes: [0; SIZES.len()],
            under_k: 0,
            told: 0,
            sensitive: self.sensitive(),
            found: self.beside.found(self.k),
        };
        for class in self.classes.values() {
            let people = class.people.len();
            let size = SIZES.iter().rposition(|size| *size <= people).unwrap_or(0);
            if let Some(rows) = report.sizes.get_mut(size) {
                *rows += class.rows;
            }
            report.under_k += if people < self.k { class.rows } else { 0 };
            report.told += if class.values.iter().any(|v| v.len() < 2) { class.rows } else { 0 };
        }
        report
    }

    fn sensitive(&self) -> Vec<(String, usize)> {
        let fewest = |n: usize| self.classes.values().filter_map(|c| c.values.get(n)).map(Few::len).min();
        let columns = self.places.sensitive.iter().enumerate();
        columns.map(|(n, place)| (self.columns.name(*place).to_owned(), fewest(n).unwrap_or(0))).collect()
    }
}

/// People of a class that are told apart, where k is not more.
const MOST: usize = 20;

/// What was measured of one release. Its names are those of columns; no value is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub(super) rows: u64,
    pub(super) asked: usize,
    pub(super) k: usize,
    pub(super) classes: u64,
    pub(super) sizes: [u64; SIZES.len()],
    pub(super) under_k: u64,
    pub(super) told: u64,
    /// Names of sensitive columns, each with the fewest values that a class has.
    pub(super) sensitive: Vec<(String, usize)>,
    pub(super) found: Found,
}

impl Report {
    /// People of the smallest class, counted up to k or twenty.
    #[must_use]
    pub const fn k(&self) -> usize {
        self.k
    }

    /// Fewest values of a sensitive column in a class; none where no column is sensitive.
    #[must_use]
    pub fn l(&self) -> Option<usize> {
        self.sensitive.iter().map(|(_, l)| *l).min()
    }

    /// Rows by the size of their class, as [`SIZES`] divides them.
    #[must_use]
    pub const fn sizes(&self) -> [u64; SIZES.len()] {
        self.sizes
    }

    /// Tokens beside content.
    #[must_use]
    pub const fn found(&self) -> &Found {
        &self.found
    }

    /// What speaks against it, in the order of their numbers.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let [unique, ..] = self.sizes;
        let all = [
            (unique > 0, Finding::Unique),
            (self.under_k > 0, Finding::SmallClasses),
            (self.told > 0, Finding::NoDiversity),
            (self.found.found > 0, Finding::TokenBesideContent),
        ];
        all.into_iter().filter(|(there, _)| *there).map(|(_, finding)| finding).collect()
    }

    /// How it is to be taken.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.findings())
    }

    /// The numbers for an entry's facts, by their kind.
    #[must_use]
    pub fn facts(&self) -> Vec<(Fact, u64)> {
        let [unique, ..] = self.sizes;
        let mut facts = vec![
            (Fact::Rows, self.rows),
            (Fact::Asked, self.asked as u64),
            (Fact::K, self.k as u64),
            (Fact::Unique, unique),
            (Fact::UnderK, self.under_k),
            (Fact::Told, self.told),
            (Fact::Tokens, self.found.tokens),
            (Fact::TokensFound, self.found.found),
            (Fact::RowsReached, self.found.rows),
        ];
        facts.extend(self.l().map(|l| (Fact::L, l as u64)));
        facts.sort_unstable();
        facts
    }
}
