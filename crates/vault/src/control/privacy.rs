//! Privacy budgets: what was learned of a dataset with noise, charged durably before the answer can be read.
//!
//! Three rows change in one change or not at all: what everybody has spent on the dataset, what this recipient has, and the
//! answer to the question. The lock is the dataset's row, so that askers of one dataset come one after the other, in
//! whichever process they are. What was charged is never given back, and the first two rows are never removed: they are
//! small, and `ever` in them is all that tells what was learned since the beginning.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use ledger::sha256;
use model::{Explain, Name, UnixSeconds};
use serde::{Deserialize, Serialize};
use transform::budget::{
    Limits, Query, Refused, Released, Reserved, Rows, Spending, WINDOW_DAYS, charge, reserve, settle,
};
use transform::dp::{Cost, DpError, Noised};

use super::Control;
use super::memory::parse;
use super::store::{Becomes, ChangeError, PAGE_MAX, Row, StoreError, Table};

/// What an answer may be charged to.
#[derive(Debug, Clone, Copy)]
pub struct Spend<'a> {
    /// Who learns it.
    pub recipient: &'a str,
    /// Of which dataset.
    pub dataset: &'a Name,
    /// By what the question is known. Recipient, dataset and day of the question are part of it.
    pub query: Query,
    /// How much may be spent.
    pub limits: Limits,
    /// What the answer costs.
    pub cost: Cost,
}

/// An answer that was charged for, in rows that are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    released: Released,
    took: Cost,
}

impl Charged {
    /// The answer.
    #[must_use]
    pub const fn released(&self) -> &Released {
        &self.released
    }

    /// What it took this time: nothing, where the same was asked before.
    #[must_use]
    pub const fn took(&self) -> Cost {
        self.took
    }

    fn known(released: Released) -> Self {
        Self { released, took: Cost::default() }
    }
}

/// What [`Control::prepay`] found.
#[derive(Debug)]
pub enum Prepaid {
    /// The question was answered before: free of charge.
    Known(Charged),
    /// The answer may be made.
    Paid(Paid),
}

/// That an answer was charged for, durably, before anything of it is made. If it is dropped, the charge stands.
#[derive(Debug)]
#[must_use = "what was charged for is answered by `Control::answer`"]
pub struct Paid {
    keys: Keys,
    query: Query,
    cost: Cost,
}

/// A budget that does not give as much, and when it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Exhausted {
    /// Which, and why.
    #[source]
    pub why: Refused,
    /// What the answer costs, in millionths of epsilon.
    pub cost_micro: u64,
    /// What is left to this recipient now.
    pub left_micro: u64,
    /// When as much is there again, if nobody spends anything until then.
    pub back: Option<UnixSeconds>,
}

/// Why nothing was charged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpendError {
    /// There is not as much.
    #[error("nothing was charged")]
    Exhausted(#[source] Exhausted),
    /// The store does not say. Where the answer to a commit is missing it may have been charged; nothing was told.
    #[error("the control store charged nothing")]
    Store(#[from] StoreError),
}

impl Explain for SpendError {
    fn code(&self) -> &'static str {
        match self {
            Self::Exhausted(_) => "CLV-0408",
            Self::Store(e) => e.code(),
        }
    }
    fn fix(&self) -> &'static str {
        match self {
            Self::Exhausted(_) => "wait until the budget is back: `clover budget` tells when",
            Self::Store(e) => e.fix(),
        }
    }
    fn public(&self) -> &'static str {
        match self {
            Self::Exhausted(_) => "no more may be learned of this dataset now",
            Self::Store(e) => e.public(),
        }
    }
}

/// What was spent on a dataset, by one recipient or by all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// The dataset.
    pub dataset: String,
    /// The recipient; none for what all have spent.
    pub recipient: Option<String>,
    /// What was spent.
    pub spending: Spending,
}

/// Under which key something of a dataset and a recipient is kept. Names may be longer than keys.
pub(super) fn place(dataset: &Name, recipient: Option<&str>) -> String {
    let kind = if recipient.is_some() { 'r' } else { 'd' };
    let parts = [dataset.as_str(), recipient.unwrap_or_default()].join("\0");
    format!("{kind}/{}", HEXLOWER.encode(sha256(parts.as_bytes()).bytes()))
}

/// The rows of a question, while they are changed.
struct Held {
    dataset: Tally,
    recipient: Tally,
    rows: Rows,
}

impl Held {
    fn read(spend: &Spend<'_>, rows: &[Option<Row>]) -> Result<Self, ChangeError> {
        let [dataset, recipient, released] = rows else { return Err(ChangeError::Form("privacy budget")) };
        let dataset = tally_of(dataset.as_ref(), spend.dataset, None)?;
        let recipient = tally_of(recipient.as_ref(), spend.dataset, Some(spend.recipient))?;
        let answer = |row: &Row| parse::<Released>("answer", &row.bytes);
        let rows = Rows {
            recipient: recipient.spending.clone(),
            dataset: dataset.spending.clone(),
            released: released.as_ref().map(answer).transpose()?,
        };
        Ok(Self { dataset, recipient, rows })
    }

    fn becomes(self) -> Result<Vec<Becomes>, ChangeError> {
        fn put<T: Serialize>(value: &T) -> Result<Becomes, ChangeError> {
            serde_json::to_vec(value).map(Becomes::Put).map_err(|_| ChangeError::Form("privacy budget"))
        }
        let Self { dataset, recipient, rows } = self;
        Ok(vec![
            put(&Tally { spending: rows.dataset, ..dataset })?,
            put(&Tally { spending: rows.recipient, ..recipient })?,
            put(&rows.released)?,
        ])
    }
}

fn tally_of(row: Option<&Row>, dataset: &Name, recipient: Option<&str>) -> Result<Tally, ChangeError> {
    let (dataset, recipient) = (dataset.to_string(), recipient.map(str::to_owned));
    let Some(row) = row else { return Ok(Tally { dataset, recipient, spending: Spending::default() }) };
    let tally: Tally = parse("privacy budget", &row.bytes)?;
    let same = tally.dataset == dataset && tally.recipient == recipient;
    if same { Ok(tally) } else { Err(ChangeError::Form("privacy budget")) }
}

/// The keys of a question's rows, the one that is locked first.
#[derive(Debug)]
struct Keys {
    dataset: String,
    recipient: String,
    answer: String,
}

impl Keys {
    fn of(spend: &Spend<'_>) -> Self {
        Self {
            dataset: place(spend.dataset, None),
            recipient: place(spend.dataset, Some(spend.recipient)),
            answer: HEXLOWER.encode(spend.query.digest()),
        }
    }

    fn rows(&self) -> [(Table, &str); 3] {
        [(Table::Spent, &self.dataset), (Table::Spent, &self.recipient), (Table::Answers, &self.answer)]
    }
}

impl Control {
    /// What the same question was answered with before, free of charge; else whether it could be charged for now. To be
    /// asked before anything is computed: [`Control::charge`] asks again.
    ///
    /// # Errors
    /// [`SpendError`].
    pub fn affords(&self, spend: &Spend<'_>, now: UnixSeconds) -> Result<Option<Charged>, SpendError> {
        let keys = Keys::of(spend);
        // A row is seen only when it is durable: engines show a change after they have confirmed it.
        let rows = keys.rows().map(|(table, key)| self.store.get(table, key));
        let rows = rows.into_iter().collect::<Result<Vec<_>, _>>()?;
        let held = Held::read(spend, &rows).map_err(StoreError::from)?;
        match held.rows.known(spend.query) {
            Ok(Some(known)) => Ok(Some(Charged::known(known.clone()))),
            Ok(None) => match held.rows.affords(spend.cost, &spend.limits, now) {
                Ok(()) => Ok(None),
                Err(why) => Err(exhausted(spend, &held.rows, why, now)),
            },
            Err(why) => Err(exhausted(spend, &held.rows, why, now)),
        }
    }

    /// Draws an answer and charges for it, durably, or gives what the same question was answered with before. `noised` is
    /// called while the rows are locked, once at most, and only where the answer is charged for; what it draws can be read
    /// only when the rows are durable.
    ///
    /// # Errors
    /// [`SpendError`]; then nobody has read anything.
    pub fn charge(
        &self,
        spend: &Spend<'_>,
        now: UnixSeconds,
        noised: &mut dyn FnMut() -> Result<Noised, DpError>,
    ) -> Result<Charged, SpendError> {
        let keys = Keys::of(spend);
        let (mut charged, mut refused) = (None, None);
        let done = self.store.change_all(&keys.rows(), &mut |rows| {
            let mut held = Held::read(spend, rows)?;
            if let Some(known) = held.rows.known(spend.query)? {
                charged = Some(Charged::known(known.clone()));
                return Ok(vec![Becomes::Same; 3]);
            }
            let affords = held.rows.affords(spend.cost, &spend.limits, now);
            if let Err(why) = affords {
                refused = Some(exhausted(spend, &held.rows, why, now));
                return Err(why.into());
            }
            let noised = noised()?;
            if noised.cost() != spend.cost {
                // Another cost than was asked for is another question.
                return Err(Refused::Mixed.into());
            }
            let released = charge(&mut held.rows, spend.query, noised, &spend.limits, now)?;
            charged = Some(Charged { took: spend.cost, released });
            held.becomes()
        });
        match (done, refused) {
            // INVARIANT: nothing is returned before the store says that the rows are durable.
            (Ok(_), _) => charged.ok_or_else(|| StoreError::from(ChangeError::Form("answer")).into()),
            (Err(_), Some(refused)) => Err(refused),
            (Err(e), None) => Err(e.into()),
        }
    }

    /// Charges for an answer before it is made, durably, or gives what the same question was answered with before. For what
    /// must not even be run without a charge. A charge whose answer never came stands, and whoever asks the same again is
    /// not charged again: for one charge there is one answer.
    ///
    /// # Errors
    /// [`SpendError`]; then nothing may be run.
    pub fn prepay(&self, spend: &Spend<'_>, now: UnixSeconds) -> Result<Prepaid, SpendError> {
        let keys = Keys::of(spend);
        let (mut reserved, mut refused) = (None, None);
        let done = self.store.change_all(&keys.rows(), &mut |rows| {
            let mut held = Held::read(spend, rows)?;
            let before = held.rows.clone();
            match reserve(&mut held.rows, spend.query, spend.cost, &spend.limits, now) {
                Ok(done) => reserved = Some(done),
                Err(why) => {
                    refused = Some(exhausted(spend, &held.rows, why, now));
                    return Err(why.into());
                }
            }
            if held.rows == before { Ok(vec![Becomes::Same; 3]) } else { held.becomes() }
        });
        // INVARIANT: nothing is returned before the store says that the rows are durable.
        match (done, refused, reserved) {
            (Ok(_), _, Some(Reserved::Known(known))) => Ok(Prepaid::Known(Charged::known(*known))),
            (Ok(_), _, Some(Reserved::Paid)) => {
                Ok(Prepaid::Paid(Paid { keys, query: spend.query, cost: spend.cost }))
            }
            (Ok(_), _, None) => Err(StoreError::from(ChangeError::Form("answer")).into()),
            (Err(_), Some(refused), _) => Err(refused),
            (Err(e), None, _) => Err(e.into()),
        }
    }

    /// Answers what was charged for, durably. Of several that do so the first gives the answer to all, and only it took
    /// anything: what their entries say adds up to what was charged.
    ///
    /// # Errors
    /// [`SpendError`]; then nobody has read anything, and the charge stands.
    pub fn answer(&self, paid: Paid, noised: Noised) -> Result<Charged, SpendError> {
        let (mut charged, mut noised) = (None, Some(noised));
        self.store.change_all(&paid.keys.rows(), &mut |rows| {
            let form = || ChangeError::Form("answer");
            let released = match rows {
                [_, _, Some(row)] => parse::<Released>("answer", &row.bytes)?,
                _ => return Err(Refused::Unpaid.into()),
            };
            // The two other rows are the lock, and stay as they are: what is charged was charged.
            let mut rows = Rows { released: Some(released), ..Rows::default() };
            let first = settle(&mut rows, paid.query, noised.take().ok_or_else(form)?)?;
            let told = rows.known(paid.query)?.cloned().ok_or_else(form)?;
            let becomes = if first {
                Becomes::Put(serde_json::to_vec(&told).map_err(|_| form())?)
            } else {
                Becomes::Same
            };
            charged = Some(Charged { released: told, took: if first { paid.cost } else { Cost::default() } });
            Ok(vec![Becomes::Same, Becomes::Same, becomes])
        })?;
        // INVARIANT: nothing is returned before the store says that the row is durable.
        charged.ok_or_else(|| StoreError::from(ChangeError::Form("answer")).into())
    }

    /// What was spent, by dataset and recipient. It reads the whole store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn spent(&self) -> Result<Vec<Tally>, StoreError> {
        let (mut all, mut after) = (BTreeMap::new(), 0);
        loop {
            let page = self.store.changes(after, PAGE_MAX)?;
            for changed in page.iter().filter(|changed| changed.table == Table::Spent) {
                let tally: Tally = parse("privacy budget", &changed.row.bytes)?;
                all.insert((tally.dataset.clone(), tally.recipient.clone()), tally);
            }
            after = page.last().map_or(after, |changed| changed.sequence);
            if page.len() < PAGE_MAX {
                return Ok(all.into_values().collect());
            }
        }
    }
}

fn exhausted(spend: &Spend<'_>, rows: &Rows, why: Refused, now: UnixSeconds) -> SpendError {
    SpendError::Exhausted(Exhausted {
        why,
        cost_micro: spend.cost.total_epsilon_micro(),
        left_micro: rows.left(&spend.limits, now),
        back: rows.affords_from(spend.cost, &spend.limits, now),
    })
}

/// Whether the day of an answer is so long over that nobody can ask its question again.
pub(super) fn answer_over(row: &Row, now: UnixSeconds) -> Result<bool, ChangeError> {
    let released: Released = parse("answer", &row.bytes)?;
    Ok(released.at().day().saturating_add(WINDOW_DAYS) < now.day())
}
