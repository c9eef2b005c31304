//! What a release would give away: measured before it leaves, over records that are given as columns.
//!
//! - [`profile`] counts how many people share a combination of quasi-identifiers (k), how many values of a sensitive column they
//!   have (l), and which tokens stand beside content that can be found again;
//! - [`link`] tries to join two recipients' releases.
//!
//! A token that stays the same beside a link, a handle or a text that only few have is clear text: whoever finds the content
//! finds the person, and with the token all their other rows. The treatment must change such content, or the release
//! counts as plain.
//!
//! Measured is what is there, by the columns' declared roles; what a recipient knows from elsewhere is not. Values are kept
//! as digests, and results are numbers: none of them holds a value. Memory is bounded by [`Limits`], and a release that does not fit
//! is not measured, which whoever asks must take for a refusal. Start reading at [`Measurer`].

use std::collections::BTreeSet;

use aws_lc_rs::digest::{Context, SHA256};

pub mod content;
pub mod link;
pub mod profile;

#[cfg(test)]
mod tests;
mod text;

pub use link::{Linkage, Linked};
pub use profile::{Measurer, Report};

/// Most columns of a release.
pub const COLUMNS_MAX: usize = 1_000;

/// What a column is, for somebody who wants to find people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Known from elsewhere and, with others, pointing at somebody: birth year, postcode, device model.
    Quasi,
    /// What somebody would want to learn.
    Sensitive,
    /// A pseudonym. The first that a row has stands for its person.
    Token,
    /// What can be found elsewhere: links, handles, titles, texts.
    Content,
    /// Whose the row is. Not released: only whoever measures knows it. Where there is no such column each row is a person.
    Person,
    /// Anything else.
    Other,
}

/// The columns of a release, in the order of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<(String, Role)>);

impl Columns {
    /// From names and roles.
    ///
    /// # Errors
    /// [`RiskError::Columns`] when there are none, too many, or two of one name.
    pub fn new<N: Into<String>>(columns: impl IntoIterator<Item = (N, Role)>) -> Result<Self, RiskError> {
        let columns: Vec<_> =
            columns.into_iter().take(COLUMNS_MAX + 1).map(|(n, role)| (n.into(), role)).collect();
        let names: BTreeSet<_> = columns.iter().map(|(name, _)| name).collect();
        let fit = !columns.is_empty() && columns.len() <= COLUMNS_MAX && names.len() == columns.len();
        if fit { Ok(Self(columns)) } else { Err(RiskError::Columns) }
    }

    fn places(&self, role: Role) -> Vec<usize> {
        self.0.iter().enumerate().filter(|(_, (_, r))| *r == role).map(|(place, _)| place).collect()
    }

    fn name(&self, place: usize) -> &str {
        self.0.get(place).map_or("", |(name, _)| name)
    }

    const fn len(&self) -> usize {
        self.0.len()
    }
}

/// How much is kept while a release is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows of one release.
    pub rows: u64,
    /// Different combinations, tokens and contents, each.
    pub distinct: usize,
    /// Bytes of one value.
    pub value_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: 10_000_000, distinct: 1_000_000, value_bytes: 1 << 20 }
    }
}

/// Why a release was not measured: it is then not known to be harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RiskError {
    /// There are no columns, too many, or two of one name.
    #[error("a release has 1 to `{COLUMNS_MAX}` columns of different names")]
    Columns,
    /// k is not between 2 and a thousand.
    #[error("k is between 2 and 1000")]
    K,
    /// A row has more or fewer values than there are columns.
    #[error("row `{0}` has another number of values than there are columns")]
    Width(u64),
    /// A row has a value that is too long.
    #[error("row `{0}` has a value that is too long")]
    Long(u64),
    /// There is more than is kept.
    #[error("the release has more {0} than are kept")]
    TooMany(&'static str),
}

/// What speaks against a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Finding {
    /// Some people are alone with their combination of quasi-identifiers.
    Unique,
    /// Some combinations have fewer than k people.
    SmallClasses,
    /// Some combinations tell a sensitive value, since all who have them have the same.
    NoDiversity,
    /// Some tokens stand beside content that can be found again.
    TokenBesideContent,
    /// Two releases have equal tokens.
    EqualTokens,
    /// Rows of two releases can be joined one to one by their quasi-identifiers.
    JoinedRows,
}

impl Finding {
    /// A stable number for an entry's facts.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Unique => 1,
            Self::SmallClasses => 2,
            Self::NoDiversity => 3,
            Self::TokenBesideContent => 4,
            Self::EqualTokens => 5,
            Self::JoinedRows => 6,
        }
    }

    /// A stable word for records and tools.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unique => "risk-unique",
            Self::SmallClasses => "risk-small-classes",
            Self::NoDiversity => "risk-no-diversity",
            Self::TokenBesideContent => "risk-token-beside-content",
            Self::EqualTokens => "risk-equal-tokens",
            Self::JoinedRows => "risk-joined-rows",
        }
    }
}

/// What a measured number is, in an entry's facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fact {
    /// Rows of the release; of the first of two.
    Rows,
    /// The k that was asked for.
    Asked,
    /// People of the smallest class; at most k or twenty, whichever is more.
    K,
    /// Rows of people who are alone in their class.
    Unique,
    /// Rows in classes of fewer than k people.
    UnderK,
    /// Fewest values of a sensitive column in a class; absent where none is declared.
    L,
    /// Rows in classes that tell a sensitive value.
    Told,
    /// Different tokens.
    Tokens,
    /// Tokens beside content that can be found again.
    TokensFound,
    /// Rows of those tokens, wherever they are.
    RowsReached,
    /// Rows of the second release.
    RowsOther,
    /// Tokens that both releases have.
    EqualTokens,
    /// Combinations that one row of each release has, and no other.
    Joined,
}

impl Fact {
    /// A stable number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Rows => 1,
            Self::Asked => 2,
            Self::K => 3,
            Self::Unique => 4,
            Self::UnderK => 5,
            Self::L => 6,
            Self::Told => 7,
            Self::Tokens => 8,
            Self::TokensFound => 9,
            Self::RowsReached => 10,
            Self::RowsOther => 11,
            Self::EqualTokens => 12,
            Self::Joined => 13,
        }
    }
}

/// How a release is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing was found.
    Holds,
    /// It holds people in small classes, or can be joined: whether it may leave is the policy's word.
    Weak,
    /// Its pseudonyms can be undone by what stands beside them: it counts as plain, whatever its treatments are called.
    Plain,
}

impl Verdict {
    fn of(findings: &[Finding]) -> Self {
        let plain = |f: &Finding| matches!(f, Finding::TokenBesideContent | Finding::EqualTokens);
        if findings.iter().any(plain) {
            Self::Plain
        } else if findings.is_empty() {
            Self::Holds
        } else {
            Self::Weak
        }
    }

    /// A stable word.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Weak => "weak",
            Self::Plain => "plain",
        }
    }
}

/// A value or a combination of values, kept in place of it.
type Digest = [u8; 16];

/// Each value behind its length, so that no two combinations spell the same bytes.
fn digest<'a>(values: impl IntoIterator<Item = &'a str>) -> Digest {
    let mut context = Context::new(&SHA256);
    for value in values {
        context.update(&(value.len() as u64).to_be_bytes());
        context.update(value.as_bytes());
    }
    let mut short = [0; 16];
    short.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    short
}

/// Checks a row against its columns and limits.
fn check(row: &[&str], columns: &Columns, rows: u64, limits: &Limits) -> Result<(), RiskError> {
    if rows >= limits.rows {
        return Err(RiskError::TooMany("rows"));
    }
    if row.len() != columns.len() {
        return Err(RiskError::Width(rows + 1));
    }
    if row.iter().any(|value| value.len() > limits.value_bytes) {
        Err(RiskError::Long(rows + 1))
    } else {
        Ok(())
    }
}

/// The values at some places of a row.
fn at<'a>(row: &[&'a str], places: &[usize]) -> impl Iterator<Item = &'a str> {
    places.iter().filter_map(|place| row.get(*place).copied())
}

/// Different digests, up to so many: after that only that there are enough.
#[derive(Debug, Clone, Default)]
struct Few(Vec<Digest>);

impl Few {
    fn add(&mut self, digest: Digest, most: usize) {
        if self.0.len() < most && !self.0.contains(&digest) {
            self.0.push(digest);
        }
    }

    const fn len(&self) -> usize {
        self.0.len()
    }
}
