//! How much of a dataset's privacy a recipient has used, and whether more may be.
//!
//! A pure state machine over three rows of a store: what one recipient has spent on one dataset, what all have, and the
//! answer that a question already got. [`charge`] looks at all three, and what becomes of them is to be stored *together and
//! durably* before the answer leaves. What is charged is never given back: noise that somebody may have seen is spent,
//! whatever became of the connection. The same question gets the same answer again and costs nothing, so that nobody learns
//! from the mean of many; which questions are the same is the caller's word ([`Query`]). Of several processes that ask the
//! same at once the first to store wins, and the others give what it stored.
//!
//! Amounts count by days in UTC: what was spent on a day counts on that day and the thirty after it. The clock is an argument,
//! and one that is set back wins nothing: the latest time seen is kept.

use std::collections::BTreeMap;

use model::UnixSeconds;
use serde::{Deserialize, Serialize};

use crate::dp::table::Key;
use crate::dp::{Answer, Cost, DELTA_MAX_ATTO, EPSILON_MAX_MICRO, Noised};

pub use model::counts::{DATASET_MAX_MICRO, DATASET_MICRO, RECIPIENT_MAX_MICRO};

#[cfg(test)]
mod tests;

/// Days for which an amount counts after the day on which it was spent.
pub const WINDOW_DAYS: u32 = 30;
/// Most bytes that an answer takes, about, to be kept.
pub const ANSWER_BYTES_MAX: usize = 512 * 1024;

/// Why nothing was charged, and nothing may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The recipient's amount for these days is spent.
    #[error("the recipient's privacy budget for this dataset is spent")]
    Recipient,
    /// What all recipients together may learn is spent.
    #[error("the privacy budget of this dataset is spent")]
    Dataset,
    /// The answer costs more than one release may, or nothing at all.
    #[error("the answer costs more than one release may")]
    Release,
    /// The stored answer is of another question.
    #[error("the stored answer is of another question")]
    Mixed,
    /// Nobody has charged for the answer, or for another cost.
    #[error("the answer was not charged for")]
    Unpaid,
    /// The limits are outside of what is permitted.
    #[error("the limits of a privacy budget are outside of what is permitted")]
    Limits,
}

impl Refused {
    /// A stable word for records.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Recipient => "budget-recipient",
            Self::Dataset => "budget-dataset",
            Self::Release => "budget-release",
            Self::Mixed => "budget-mixed",
            Self::Unpaid => "budget-unpaid",
            Self::Limits => "budget-limits",
        }
    }
}

/// What a question is known by: a digest of all that its answer depends on: the dataset and its version, the grammar's normal
/// form of the question, bounds, noise and amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Query([u8; 32]);

impl Query {
    /// From a digest.
    #[must_use]
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }
}

/// How much may be spent in thirty days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    recipient_micro: u64,
    dataset_micro: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { recipient_micro: RECIPIENT_MAX_MICRO, dataset_micro: DATASET_MICRO }
    }
}

impl Limits {
    /// Millionths of epsilon for one recipient and for all.
    ///
    /// # Errors
    /// [`Refused::Limits`] when one of them is nothing, or more than may be said.
    pub const fn new(recipient_micro: u64, dataset_micro: u64) -> Result<Self, Refused> {
        let recipient = recipient_micro > 0 && recipient_micro <= RECIPIENT_MAX_MICRO;
        let dataset = dataset_micro > 0 && dataset_micro <= DATASET_MAX_MICRO;
        if recipient && dataset { Ok(Self { recipient_micro, dataset_micro }) } else { Err(Refused::Limits) }
    }

    /// For all recipients together as many times 10^-9 as their epsilon is that of one recipient, begun ones included.
    const fn dataset_atto(&self) -> u64 {
        self.dataset_micro.div_ceil(RECIPIENT_MAX_MICRO) * DELTA_MAX_ATTO
    }
}

/// What was spent: one row for each recipient and dataset, and one for each dataset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spending {
    /// By day: those that still count, at most [`WINDOW_DAYS`] and one.
    days: BTreeMap<u32, Cost>,
    /// The latest day at which anything was charged: days never go back.
    latest: u32,
    /// What was spent in all the time that the row has existed.
    ever: Cost,
}

impl Spending {
    /// What counts at this time.
    #[must_use]
    pub fn counts(&self, now: UnixSeconds) -> Cost {
        let first = now.day().max(self.latest).saturating_sub(WINDOW_DAYS);
        self.days.range(first..).fold(Cost::default(), |sum, (_, cost)| sum.plus(*cost))
    }

    /// When the first of what counts now will count no more.
    #[must_use]
    pub fn comes_back(&self, now: UnixSeconds) -> Option<UnixSeconds> {
        let first = now.day().max(self.latest).saturating_sub(WINDOW_DAYS);
        let (day, _) = self.days.range(first..).next()?;
        Some(UnixSeconds::midnight(day.saturating_add(WINDOW_DAYS + 1)))
    }

    /// What was spent since the row exists: privacy that was lost does not come back when a window is over.
    #[must_use]
    pub const fn ever(&self) -> Cost {
        self.ever
    }

    /// What is left at this time, in millionths of epsilon, of the limit of one recipient.
    #[must_use]
    pub fn left_of_recipient(&self, limits: &Limits, now: UnixSeconds) -> u64 {
        limits.recipient_micro.saturating_sub(self.counts(now).total_epsilon_micro())
    }

    /// The same of the limit of all.
    #[must_use]
    pub fn left_of_dataset(&self, limits: &Limits, now: UnixSeconds) -> u64 {
        limits.dataset_micro.saturating_sub(self.counts(now).total_epsilon_micro())
    }

    fn fits(&self, cost: Cost, now: UnixSeconds, micro: u64, atto: u64) -> bool {
        let all = self.counts(now).plus(cost);
        all.total_epsilon_micro() <= micro && all.total_delta_atto() <= atto
    }

    fn add(&mut self, cost: Cost, now: UnixSeconds) {
        self.latest = self.latest.max(now.day());
        let spent = self.days.entry(self.latest).or_default();
        *spent = spent.plus(cost);
        self.ever = self.ever.plus(cost);
        self.days = self.days.split_off(&self.latest.saturating_sub(WINDOW_DAYS));
    }
}

/// An answer that was charged for: a row of its own, which is given again to the same question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Released {
    query: Query,
    answer: Answer,
    cost: Cost,
    at: u64,
}

impl Released {
    /// What may be told, once it is stored.
    #[must_use]
    pub const fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The question.
    #[must_use]
    pub const fn query(&self) -> Query {
        self.query
    }

    /// What it cost when it was first told.
    #[must_use]
    pub const fn cost(&self) -> Cost {
        self.cost
    }

    /// When it was first told.
    #[must_use]
    pub const fn at(&self) -> UnixSeconds {
        UnixSeconds(self.at)
    }

    /// Whether it was charged for, and there is no answer yet.
    const fn owed(&self) -> bool {
        matches!(self.answer, Answer::Owed)
    }
}

/// The rows that a question concerns, as the store has them now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows {
    /// What this recipient has spent on this dataset.
    pub recipient: Spending,
    /// What all have spent on it.
    pub dataset: Spending,
    /// What this recipient was told when they asked the same.
    pub released: Option<Released>,
}

impl Rows {
    /// What this question was answered with before, free of charge.
    ///
    /// # Errors
    /// [`Refused::Mixed`] when the row is another question's.
    pub fn known(&self, query: Query) -> Result<Option<&Released>, Refused> {
        match &self.released {
            Some(released) if released.query == query => Ok((!released.owed()).then_some(released)),
            Some(_) => Err(Refused::Mixed),
            None => Ok(None),
        }
    }

    /// Whether so much could be charged now. To be asked before anything is computed; [`charge`] asks again.
    ///
    /// # Errors
    /// Why not.
    pub fn affords(&self, cost: Cost, limits: &Limits, now: UnixSeconds) -> Result<(), Refused> {
        let much = cost.total_epsilon_micro() > u64::from(EPSILON_MAX_MICRO);
        if cost.is_nothing() || much || cost.total_delta_atto() > DELTA_MAX_ATTO {
            return Err(Refused::Release);
        }
        if !self.recipient.fits(cost, now, limits.recipient_micro, DELTA_MAX_ATTO) {
            return Err(Refused::Recipient);
        }
        if !self.dataset.fits(cost, now, limits.dataset_micro, limits.dataset_atto()) {
            return Err(Refused::Dataset);
        }
        Ok(())
    }

    /// From when on so much can be charged, if nothing else is until then: now, the first second of a day, or never.
    #[must_use]
    pub fn affords_from(&self, cost: Cost, limits: &Limits, now: UnixSeconds) -> Option<UnixSeconds> {
        let today = now.day().max(self.recipient.latest).max(self.dataset.latest);
        let days =
            (today..=today.saturating_add(WINDOW_DAYS + 1)).map(|day| UnixSeconds::midnight(day).max(now));
        std::iter::once(now).chain(days).find(|at| self.affords(cost, limits, *at).is_ok())
    }

    /// What is left to this recipient at this time, in millionths of epsilon.
    #[must_use]
    pub fn left(&self, limits: &Limits, now: UnixSeconds) -> u64 {
        self.recipient.left_of_recipient(limits, now).min(self.dataset.left_of_dataset(limits, now))
    }
}

/// Charges for an answer, or gives the one that the same question got before and changes nothing. What is returned may be
/// told once `rows` are stored; on an error they are unchanged, and the noised answer is gone unread.
///
/// ```
/// use model::UnixSeconds;
/// use transform::budget::{Limits, Query, Rows, charge};
/// use transform::dp::{Bounded, Bounds, Epsilon, measure};
///
/// let people = (0..5_000).map(|person| (person, 1));
/// let rows = Bounded::new(people, Bounds::new(1, 0, 1)?)?;
/// let (mut store, query, now) = (Rows::default(), Query::new([7; 32]), UnixSeconds(1_800_000_000));
/// let mut ask = || charge(&mut store, query, measure::count(&rows, Epsilon::micro(500_000)?)?, &Limits::default(), now)
///     .map_err(|e| Box::new(e) as Box<dyn std::error::Error>);
/// assert_eq!(ask()?.answer(), ask()?.answer());
/// assert_eq!(store.recipient.left_of_recipient(&Limits::default(), now), 3_500_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Why nothing may be told.
pub fn charge(
    rows: &mut Rows,
    query: Query,
    noised: Noised,
    limits: &Limits,
    now: UnixSeconds,
) -> Result<Released, Refused> {
    if let Some(known) = rows.known(query)? {
        return Ok(known.clone());
    }
    if let Reserved::Paid = reserve(rows, query, noised.cost(), limits, now)? {
        settle(rows, query, noised)?;
    }
    rows.known(query)?.cloned().ok_or(Refused::Unpaid)
}

/// What [`reserve`] found or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// The question was answered before: free of charge.
    Known(Box<Released>),
    /// It is charged for, now or by somebody whose answer is not there: whoever [`settle`]s first answers it.
    Paid,
}

/// Charges for an answer that is still to be made, where making it already tells something (how long it takes, that it
/// ends at all). The answer may be made once `rows` are stored. A charge without an answer stands, and the same question is
/// not charged for again: one charge, one answer. On an error the rows are unchanged.
///
/// # Errors
/// Why nothing may be told.
pub fn reserve(
    rows: &mut Rows,
    query: Query,
    cost: Cost,
    limits: &Limits,
    now: UnixSeconds,
) -> Result<Reserved, Refused> {
    match &rows.released {
        Some(released) if released.query != query => return Err(Refused::Mixed),
        Some(released) if !released.owed() => return Ok(Reserved::Known(Box::new(released.clone()))),
        // Another cost than was charged for is another question.
        Some(released) if released.cost != cost => return Err(Refused::Mixed),
        Some(_) => return Ok(Reserved::Paid),
        None => rows.affords(cost, limits, now)?,
    }
    rows.recipient.add(cost, now);
    rows.dataset.add(cost, now);
    rows.released = Some(Released { query, answer: Answer::Owed, cost, at: now.0 });
    Ok(Reserved::Paid)
}

/// Answers a question that was charged for, unless somebody else did first: then theirs is the answer. Whether it was this one
/// that did. What is in `rows` may be told once they are stored.
///
/// # Errors
/// [`Refused`]; then the noised answer is gone unread.
pub fn settle(rows: &mut Rows, query: Query, noised: Noised) -> Result<bool, Refused> {
    if rows.known(query)?.is_some() {
        return Ok(false);
    }
    let owed = rows.released.as_mut().filter(|released| released.cost == noised.cost());
    let owed = owed.ok_or(Refused::Unpaid)?;
    // Whether an answer is too large to be kept follows from the draw, so that it is charged for like any other.
    owed.answer = match noised.into_answer() {
        Answer::Table(groups) if bytes_of(&groups) > ANSWER_BYTES_MAX => Answer::Table(Vec::new()),
        large if bytes(&large) > ANSWER_BYTES_MAX => Answer::Groups(Vec::new()),
        answer => answer,
    };
    Ok(true)
}

/// About how much an answer takes in a store.
fn bytes(answer: &Answer) -> usize {
    match answer {
        Answer::Groups(groups) => groups.iter().map(|(group, _)| group.len() + 32).sum(),
        Answer::Table(groups) => bytes_of(groups),
        Answer::Number(_) | Answer::Mean { .. } | Answer::Owed => 64,
    }
}

fn bytes_of(groups: &[(Key, Vec<i64>)]) -> usize {
    let name = |value: &Option<String>| value.as_ref().map_or(0, String::len) + 8;
    groups.iter().map(|(key, numbers)| key.iter().map(name).sum::<usize>() + numbers.len() * 21 + 16).sum()
}
