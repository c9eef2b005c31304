//! Two decisions on the same facts held against one another, and counted: by kind of actor, place, class, purpose and
//! treatment, and never by person.

use std::collections::BTreeMap;

use model::facts::{Facts, PrincipalKind};
use model::{Country, DataClass, Name, Purpose, Treatment};

use crate::Engine;
use crate::bridge::{Bridge, Uncarried};
use crate::memo::Memo;

/// Which way a decision goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// More leaves, or in a plainer form.
    Wider,
    /// Less leaves, or in a safer form.
    Narrower,
    /// Nothing changes.
    Same,
}

impl Change {
    /// From one outcome to another. Treatments are ordered from the plainest to the safest, and refusal is the safest.
    #[must_use]
    pub fn of(from: Option<Treatment>, to: Option<Treatment>) -> Self {
        let rank = |outcome: Option<Treatment>| outcome.map_or(u8::MAX, Treatment::code);
        match rank(to).cmp(&rank(from)) {
            std::cmp::Ordering::Less => Self::Wider,
            std::cmp::Ordering::Greater => Self::Narrower,
            std::cmp::Ordering::Equal => Self::Same,
        }
    }
}

/// What a group of fields is counted under.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// What kind of actor asked.
    pub actor: &'static str,
    /// Where they were.
    pub place: Country,
    /// The class as it was recorded; `None` for a person's own record.
    pub class: Option<DataClass>,
    /// The class that the other rulebook gives these fields, if it is another.
    pub becomes: Option<DataClass>,
    /// Why they asked.
    pub purpose: Purpose,
    /// The treatment that was decided; `None` for a refusal.
    pub from: Option<Treatment>,
    /// The treatment that the other rulebook decides.
    pub to: Option<Treatment>,
}

impl Row {
    /// Which way it goes.
    #[must_use]
    pub fn change(&self) -> Change {
        Change::of(self.from, self.to)
    }
}

/// Why a recorded decision was not made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Undecided {
    /// Its facts do not say how they would have read.
    Uncarried(Uncarried),
    /// The policies cannot be evaluated on them, or their schema does not take them. A gateway would refuse.
    Evaluation,
}

impl Undecided {
    /// Why, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Uncarried(why) => why.words(),
            Self::Evaluation => {
                "the candidate's policies or schema cannot take its facts: a gateway would refuse it"
            }
        }
    }
}

/// Decides recorded facts again under another rulebook: a row for each group of fields.
///
/// `allowed` says whether a person's own reading was allowed, which has no groups.
///
/// # Errors
/// [`Undecided`] when nobody can say what would have been decided.
pub fn again(
    bridge: &Bridge,
    memo: &mut Memo<'_>,
    facts: &Facts,
    lane: Option<&Name>,
    allowed: bool,
) -> Result<Vec<Row>, Undecided> {
    let carried = bridge.carry(facts, lane).map_err(Undecided::Uncarried)?;
    let row = |class, becomes, from, to| Row {
        actor: actor(facts.principal.kind),
        place: facts.principal.country,
        class,
        becomes,
        purpose: facts.purpose,
        from,
        to,
    };
    if facts.principal.kind == PrincipalKind::Subject {
        let plain = |yes: bool| yes.then_some(Treatment::Plain);
        let now = match carried.facts {
            Some(facts) => memo.self_access(facts).ok_or(Undecided::Evaluation)?,
            None => false,
        };
        return Ok(vec![row(None, None, plain(allowed), plain(now))]);
    }
    let (new, outcomes) = match carried.facts {
        Some(facts) => {
            let classes: Vec<_> = facts.groups.iter().map(|g| g.class).collect();
            (classes, memo.decide(facts).ok_or(Undecided::Evaluation)?)
        }
        None => (Vec::new(), Vec::new()),
    };
    let groups = facts.groups.iter().zip(&carried.places).map(|(group, place)| {
        let at = |n: usize| Some((new.get(n).copied()?, outcomes.get(n).copied()?));
        let (class, to) = place.and_then(at).unwrap_or((group.class, None));
        row(Some(group.class), (class != group.class).then_some(class), group.outcome, to)
    });
    Ok(groups.collect())
}

/// The word for a kind of actor.
#[must_use]
pub fn actor(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::Employee => "employee",
        PrincipalKind::Service => "service",
        PrincipalKind::Subject => "subject",
        PrincipalKind::Operator => "operator",
    }
}

/// Most rows that are told apart. What comes beyond is counted by its change alone.
const ROWS_MAX: usize = 20_000;
/// Examples kept of each row.
const EXAMPLES: usize = 5;

/// How often something was seen, and where first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// How often: groups of fields, or entries.
    pub groups: u64,
    /// A few of the entries, the lowest numbers.
    pub examples: Vec<u64>,
}

impl Count {
    /// Adds some, seen in these entries.
    pub fn add(&mut self, groups: u64, entries: impl IntoIterator<Item = u64>) {
        self.groups += groups;
        self.examples.extend(entries);
        self.examples.sort_unstable();
        self.examples.dedup();
        self.examples.truncate(EXAMPLES);
    }

    /// Adds another count.
    pub fn merge(&mut self, other: Self) {
        self.add(other.groups, other.examples);
    }
}

/// What came of many decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows that change. What does not change is counted only.
    pub rows: BTreeMap<Row, Count>,
    /// Changes of rows beyond those that are told apart.
    pub more: BTreeMap<Change, u64>,
    /// Groups that do not change.
    pub same: u64,
}

impl Tally {
    /// Counts the rows of one entry.
    pub fn add(&mut self, entry: u64, rows: Vec<Row>) {
        for row in rows {
            self.count(row, 1, [entry]);
        }
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: Self) {
        self.same += other.same;
        for (row, count) in other.rows {
            self.count(row, count.groups, count.examples);
        }
        for (change, n) in other.more {
            *self.more.entry(change).or_default() += n;
        }
    }

    fn count(&mut self, row: Row, groups: u64, entries: impl IntoIterator<Item = u64>) {
        let change = row.change();
        if change == Change::Same && row.becomes.is_none() {
            self.same += groups;
        } else if self.rows.len() < ROWS_MAX || self.rows.contains_key(&row) {
            self.rows.entry(row).or_default().add(groups, entries);
        } else {
            *self.more.entry(change).or_default() += groups;
        }
    }

    /// How many groups go one way. Fields of another class whose treatment stays are unchanged.
    #[must_use]
    pub fn groups(&self, change: Change) -> u64 {
        let told = self.rows.iter().filter(|(row, _)| row.change() == change).map(|(_, c)| c.groups);
        let same = if change == Change::Same { self.same } else { 0 };
        told.sum::<u64>() + self.more.get(&change).copied().unwrap_or(0) + same
    }
}

/// What a candidate says beside the engine that decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shadowed {
    /// Groups of fields that it treats the same.
    pub same: u64,
    /// Groups that it would let out, or plainer.
    pub wider: u64,
    /// Groups that it would keep, or safer.
    pub narrower: u64,
    /// Decisions that it cannot make.
    pub errors: u64,
}

/// Asks a candidate about facts that the live engine has decided, and counts what differs. It changes nothing: the
/// decided facts are only looked at. `allowed` is for a person's own reading, which has no groups.
#[must_use]
pub fn shadow(
    bridge: &Bridge,
    candidate: &Engine,
    decided: &Facts,
    lane: Option<&Name>,
    allowed: bool,
) -> Shadowed {
    let mut told = Shadowed::default();
    match again(bridge, &mut Memo::none(candidate), decided, lane, allowed) {
        Ok(rows) => {
            for row in rows {
                match row.change() {
                    Change::Same => told.same += 1,
                    Change::Wider => told.wider += 1,
                    Change::Narrower => told.narrower += 1,
                }
            }
        }
        Err(_) => told.errors += 1,
    }
    told
}
