//! Whether two recipients could put their releases together.

use std::collections::{BTreeMap, BTreeSet};

use super::{Columns, Digest, Fact, Finding, Limits, RiskError, Role, Verdict, at, check, digest};

/// One release of the two.
#[derive(Debug)]
struct Side {
    columns: Columns,
    tokens: Vec<usize>,
    /// The quasi-identifiers that the other has too, in the order of their names.
    common: Vec<usize>,
    rows: u64,
    seen: BTreeSet<Digest>,
    combinations: BTreeMap<Digest, u64>,
}

impl Side {
    fn new(columns: Columns, other: &Columns) -> Self {
        let names = |columns: &Columns| -> BTreeMap<String, usize> {
            columns
                .places(Role::Quasi)
                .into_iter()
                .map(|place| (columns.name(place).to_owned(), place))
                .collect()
        };
        let theirs = names(other);
        let common = names(&columns).into_iter().filter(|(name, _)| theirs.contains_key(name));
        let common = common.map(|(_, place)| place).collect();
        let (seen, combinations) = (BTreeSet::new(), BTreeMap::new());
        Self { tokens: columns.places(Role::Token), columns, common, rows: 0, seen, combinations }
    }

    fn push(&mut self, row: &[&str], limits: &Limits) -> Result<(), RiskError> {
        check(row, &self.columns, self.rows, limits)?;
        self.rows += 1;
        self.seen.extend(at(row, &self.tokens).filter(|t| !t.is_empty()).map(|token| digest([token])));
        if self.seen.len() > limits.distinct {
            return Err(RiskError::TooMany("tokens"));
        }
        if !self.common.is_empty() {
            *self.combinations.entry(digest(at(row, &self.common))).or_default() += 1;
        }
        if self.combinations.len() > limits.distinct {
            Err(RiskError::TooMany("combinations"))
        } else {
            Ok(())
        }
    }
}

/// Tries to join two releases: by equal tokens, in whatever columns, and by the quasi-identifiers of the same name.
#[derive(Debug)]
pub struct Linkage {
    first: Side,
    second: Side,
    limits: Limits,
}

impl Linkage {
    /// For releases with these columns.
    ///
    /// ```
    /// use transform::risk::{Columns, Limits, Linkage, Role};
    ///
    /// let columns = Columns::new([("person", Role::Token), ("postcode", Role::Quasi)])?;
    /// let mut two = Linkage::new(columns.clone(), columns, Limits::default());
    /// two.push_first(&["t1.1.aaaaaaaaaaaaaaaaaaaaaaaaaa", "0150"])?;
    /// two.push_second(&["t1.1.bbbbbbbbbbbbbbbbbbbbbbbbbb", "0150"])?;
    /// // No token is equal, and the one person of the postcode is found all the same.
    /// assert_eq!((two.finish().equal_tokens(), two.finish().joined()), (0, 1));
    /// # Ok::<(), transform::risk::RiskError>(())
    /// ```
    #[must_use]
    pub fn new(first: Columns, second: Columns, limits: Limits) -> Self {
        Self { first: Side::new(first.clone(), &second), second: Side::new(second, &first), limits }
    }

    /// Adds a row of the first release.
    ///
    /// # Errors
    /// [`RiskError`]: the releases are not compared.
    pub fn push_first(&mut self, row: &[&str]) -> Result<(), RiskError> {
        self.first.push(row, &self.limits)
    }

    /// Adds a row of the second release.
    ///
    /// # Errors
    /// [`RiskError`]: the releases are not compared.
    pub fn push_second(&mut self, row: &[&str]) -> Result<(), RiskError> {
        self.second.push(row, &self.limits)
    }

    /// What could be joined.
    #[must_use]
    pub fn finish(&self) -> Linked {
        let (first, second) = (&self.first, &self.second);
        let shared =
            first.combinations.iter().filter_map(|(c, rows)| Some((*rows, *second.combinations.get(c)?)));
        let (mut common, mut joined) = (0, 0);
        for rows in shared {
            common += 1;
            joined += u64::from(rows == (1, 1));
        }
        Linked {
            rows: (first.rows, second.rows),
            columns: first.common.len(),
            equal_tokens: first.seen.intersection(&second.seen).count() as u64,
            common,
            joined,
        }
    }
}

/// What two recipients could join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    pub(super) rows: (u64, u64),
    /// Quasi-identifiers that both have.
    pub(super) columns: usize,
    pub(super) equal_tokens: u64,
    /// Combinations that both have.
    pub(super) common: u64,
    pub(super) joined: u64,
}

impl Linked {
    /// Tokens that both have: none, where each recipient has keys of their own.
    #[must_use]
    pub const fn equal_tokens(&self) -> u64 {
        self.equal_tokens
    }

    /// Pairs of rows, one of each release, that only have each other's combination.
    #[must_use]
    pub const fn joined(&self) -> u64 {
        self.joined
    }

    /// What speaks against it, in the order of their numbers.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let all = [(self.equal_tokens, Finding::EqualTokens), (self.joined, Finding::JoinedRows)];
        all.into_iter().filter(|(count, _)| *count > 0).map(|(_, finding)| finding).collect()
    }

    /// How they are to be taken.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.findings())
    }

    /// The numbers for an entry's facts, by their kind.
    #[must_use]
    pub fn facts(&self) -> Vec<(Fact, u64)> {
        vec![
            (Fact::Rows, self.rows.0),
            (Fact::RowsOther, self.rows.1),
            (Fact::EqualTokens, self.equal_tokens),
            (Fact::Joined, self.joined),
        ]
    }
}
