//! Rows of what ended long ago are removed, a few at a time. The ledger keeps the record of it.
//!
//! The store is gone through in the order of last changes. What waits, serves, or is still to be reviewed stays, with all
//! that belongs to it. Nothing is removed by what this process remembers: each row is looked at again while it is locked,
//! and an amount goes only with a request that the store itself says is over.

use access::{Request, Reserved};
use model::procedures::Procedures;
use model::{Ground, Name, Tag, UnixSeconds};

use super::Control;
use super::budgets::person_key;
use super::incidents::{BUCKET_SECONDS, Incident};
use super::memory::parse;
use super::privacy::answer_over;
use super::store::{Becomes, ChangeError, Changed, PAGE_MAX, Row, StoreError, Table};

/// Most rows that one step removes.
pub const STEP_MAX: usize = 64;

/// For how long after its end something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Requests and incidents, in seconds.
    pub requests: u64,
    /// What is of no use after the end: amounts with the people counted, lists of ended sessions; in seconds.
    pub spent: u64,
}

/// How far the store was gone through.
#[derive(Debug, Default)]
pub struct Pruning {
    after: u64,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Rows that were removed.
    pub removed: usize,
    /// The end of the store was reached; the next step begins anew.
    pub done: bool,
}

/// What was done about one row.
#[derive(Default)]
struct Removed {
    rows: usize,
    /// There is more that belongs to it.
    more: bool,
}

/// People who were counted one after the other.
struct Chain {
    /// Their keys, the last one first.
    people: Vec<String>,
    /// Who was counted before them.
    before: Option<Tag>,
}

/// By what a step decides.
struct Rules<'a> {
    procedures: &'a Procedures,
    keep: Keep,
    now: UnixSeconds,
}

impl Rules<'_> {
    fn past(&self, end: UnixSeconds, keep: u64) -> bool {
        end.0.saturating_add(keep) <= self.now.0
    }

    /// Whether a request ended so long ago, and nothing of it is open.
    fn over(&self, request: &Request, keep: u64) -> bool {
        request.over(self.now).is_some_and(|end| self.past(end, keep))
            && !request.review_open(self.procedures)
    }

    fn request_over(&self, row: &Row, keep: u64) -> Result<bool, ChangeError> {
        Ok(self.over(&parse("request", &row.bytes)?, keep))
    }

    fn incident_over(&self, row: &Row) -> Result<bool, ChangeError> {
        let incident: Incident = parse("incident", &row.bytes)?;
        Ok(incident.closed_at.is_some_and(|end| self.past(end, self.keep.requests)))
    }

    /// Whether a list of ended sessions has none that is not over by itself.
    fn sessions_over(&self, key: &str) -> Result<bool, ChangeError> {
        let hour: u64 = key.parse().map_err(|_| ChangeError::Form("list of ended sessions"))?;
        let end = hour.saturating_add(1).saturating_mul(BUCKET_SECONDS);
        Ok(self.past(UnixSeconds(end), self.keep.spent))
    }
}

impl Control {
    /// Removes at most [`STEP_MAX`] rows of what ended long ago, from where the last step came to.
    ///
    /// # Errors
    /// The first [`StoreError`]; what it is about stays, and the next step goes on behind it.
    pub fn prune(
        &self,
        procedures: &Procedures,
        keep: Keep,
        now: UnixSeconds,
        pruning: &mut Pruning,
    ) -> Result<Pruned, StoreError> {
        let rules = Rules { procedures, keep, now };
        let page = self.store.changes(pruning.after, PAGE_MAX)?;
        let (mut pruned, mut refused) = (Pruned::default(), None);
        for changed in &page {
            let left = STEP_MAX.saturating_sub(pruned.removed);
            if left == 0 {
                return refused.map_or(Ok(pruned), Err);
            }
            match self.prune_row(&rules, changed, left) {
                Ok(removed) => {
                    pruned.removed += removed.rows;
                    if removed.more {
                        return refused.map_or(Ok(pruned), Err);
                    }
                }
                Err(e) => refused = refused.or(Some(e)),
            }
            pruning.after = changed.sequence;
        }
        pruned.done = page.len() < PAGE_MAX;
        if pruned.done {
            pruning.after = 0;
        }
        refused.map_or(Ok(pruned), Err)
    }

    /// Removes a row that is over, with what belongs to it; at most so many.
    fn prune_row(&self, rules: &Rules<'_>, at: &Changed, most: usize) -> Result<Removed, StoreError> {
        let (table, key) = (at.table, at.key.as_str());
        match table {
            Table::Requests if rules.request_over(&at.row, rules.keep.requests)? => {
                self.keep_name(table, key)?;
                self.remove(table, key, &|row| rules.request_over(row, rules.keep.requests))
            }
            Table::Incidents if rules.incident_over(&at.row)? && !self.is_referred_to(rules, key) => {
                self.keep_name(table, key)?;
                self.remove(table, key, &|row| rules.incident_over(row))
            }
            Table::Sessions if rules.sessions_over(key)? => self.remove(table, key, &|_| Ok(true)),
            Table::Budgets if self.is_spent(rules, key)? => self.remove_budget(key, most),
            // INVARIANT: what was spent of privacy budgets and the guards stay: what was told cannot be untold.
            Table::Answers if answer_over(&at.row, rules.now)? => {
                self.remove(table, key, &|row| answer_over(row, rules.now))
            }
            _ => Ok(Removed::default()),
        }
    }

    /// Whether a break-glass request names an incident that is still to be reviewed.
    fn is_referred_to(&self, rules: &Rules<'_>, incident: &str) -> bool {
        self.requests().iter().any(|request| {
            request.wanted.ground == Ground::BreakGlass
                && request.wanted.incident.as_ref().is_some_and(|name| name.as_str() == incident)
                && !rules.over(request, 0)
        })
    }

    /// Whether nothing is taken from an amount any more. Whose request is gone serves nobody.
    fn is_spent(&self, rules: &Rules<'_>, grant: &str) -> Result<bool, StoreError> {
        let request = self.store.get(Table::Requests, grant)?;
        Ok(request.map_or(Ok(true), |row| rules.request_over(&row, rules.keep.spent))?)
    }

    fn remove(
        &self,
        table: Table,
        key: &str,
        over: &dyn Fn(&Row) -> Result<bool, ChangeError>,
    ) -> Result<Removed, StoreError> {
        let mut removed = false;
        self.store.change_all(&[(table, key)], &mut |rows| {
            let Some(row) = rows.first().and_then(Option::as_ref) else { return Ok(vec![Becomes::Same]) };
            removed = over(row)?;
            Ok(vec![if removed { Becomes::Gone } else { Becomes::Same }])
        })?;
        if removed {
            self.memory().unlearn(table, key);
        }
        Ok(Removed { rows: usize::from(removed), more: false })
    }

    /// Removes people who were counted, from the last one on, and with the first of them the amount.
    fn remove_budget(&self, key: &str, most: usize) -> Result<Removed, StoreError> {
        let grant = Name::parse(key).map_err(|_| ChangeError::Form("budget"))?;
        let Some(row) = self.store.get(Table::Budgets, key)? else { return Ok(Removed::default()) };
        let last = parse::<Reserved>("budget", &row.bytes)?.last();
        let Some(Chain { people, before }) = self.chain(&grant, last, most.saturating_sub(1))? else {
            // Of two who go through the store at a time one comes late.
            let same = self.store.get(Table::Budgets, key)?.is_some_and(|now| now == row);
            return if same {
                Err(ChangeError::Form("person counted").into())
            } else {
                Ok(Removed::default())
            };
        };
        let mut at = vec![(Table::Budgets, key)];
        at.extend(people.iter().map(|key| (Table::People, key.as_str())));
        let mut removed = Removed::default();
        self.store.change_all(&at, &mut |rows| {
            let budget = rows.first().and_then(Option::as_ref).filter(|now| **now == row);
            let Some(budget) = budget else { return Ok(vec![Becomes::Same; rows.len()]) };
            let mut all: Reserved = parse("budget", &budget.bytes)?;
            removed = Removed { rows: people.len() + usize::from(before.is_none()), more: before.is_some() };
            let mut becomes = vec![Becomes::Gone; rows.len()];
            if let (Some(_), Some(budget)) = (before, becomes.first_mut()) {
                all.back_to(before);
                *budget = Becomes::Put(serde_json::to_vec(&all).map_err(|_| ChangeError::Form("budget"))?);
            }
            Ok(becomes)
        })?;
        Ok(removed)
    }

    /// The rows of people from one on, at most so many, and who comes after them; `None` when one of them is missing.
    fn chain(&self, grant: &Name, last: Option<Tag>, most: usize) -> Result<Option<Chain>, StoreError> {
        let (mut people, mut before) = (Vec::new(), last);
        while let Some(person) = before
            && people.len() < most
        {
            let key = person_key(grant, &person);
            let Some(row) = self.store.get(Table::People, &key)? else { return Ok(None) };
            let form = |_| ChangeError::Form("person counted");
            before = match row.bytes.as_slice() {
                [] => None,
                tag => Some(Tag::new(tag.try_into().map_err(form)?)),
            };
            people.push(key);
        }
        Ok(Some(Chain { people, before }))
    }
}
