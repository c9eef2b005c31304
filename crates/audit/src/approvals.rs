//! How approvers decide, from the acts on the site log alone: the numbers by which rubber stamps show.
//!
//! The site's own program has such numbers too, by name and from its store; nothing of it is used here. Approvers are
//! known by their tags, times are those of the entries. Whether a request was a decoy stands in the act that ends it, so
//! one that is not over counts like any other.

#[cfg(test)]
pub(crate) mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::{header::Tag, siteleaf::AccessEntry};

/// Nobody has read a request that was decided in less time.
pub(crate) const QUICK_SECONDS: u64 = 10;
/// Pairs that a report lists.
const PAIRS_MAX: usize = 200;

const APPROVE: u64 = 2;
const DENY: u64 = 3;
const WAITING: u64 = 1;
const GRANTED: u64 = 2;
const DENIED: u64 = 3;
const TIMED_OUT: u64 = 4;
const REVOKED: u64 = 6;

/// How approvers decided in a period. Numbers but those of decoys leave decoys out.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Approvals {
    /// Requests that were asked for in the period.
    pub requests: u64,
    /// Of these, granted at some time up to the newest entry.
    pub granted: u64,
    /// Denied.
    pub denied: u64,
    /// Ended by time alone.
    pub timed_out: u64,
    /// Decoys that were over in the period.
    pub decoys: Decoys,
    /// Decisions of the period, by the tag of who decided.
    pub approvers: BTreeMap<String, Approver>,
    /// Who approved whose requests more than once in the period, most first; at most 200.
    pub repeated_pairs: Vec<Pair>,
}

/// Decoys that were over.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Decoys {
    /// All.
    pub shown: u64,
    /// Somebody approved it at some step: a finding each.
    pub approved: u64,
    /// Denied, as they should be, and approved by nobody.
    pub refused: u64,
}

/// What one approver decided.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Approver {
    /// Decisions.
    pub decisions: u64,
    /// Approvals among them.
    pub approved: u64,
    /// Approvals of a hundred decisions, rounded down.
    pub rate_percent: Option<u64>,
    /// Half of the decisions took no longer than this, from the beginning of their step.
    pub median_seconds: Option<u64>,
    /// Decisions within less than 10 s.
    pub under_10_seconds: u64,
    /// Decoys approved.
    pub decoys_approved: u64,
    /// Decoys denied.
    pub decoys_denied: u64,
    #[serde(skip)]
    seconds: Vec<u64>,
}

/// Somebody who approved another's requests again and again.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// Who approved.
    pub approver: String,
    /// Whose requests.
    pub requester: String,
    /// How many approvals.
    pub approvals: u64,
}

/// One act of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {
    number: u64,
    act: u64,
    step: u64,
    time: u64,
    by: Option<String>,
    seconds: u64,
}

/// The acts of one request, in order.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Course(Vec<Done>);

impl Course {
    /// Takes an act. One that did not come about and was recorded again counts once. Returns how long its step had
    /// waited: since the asking, the last act that was no approval, or the end of the step before.
    pub(crate) fn take(&mut self, time: u64, entry: &AccessEntry) -> u64 {
        self.0.retain(|done| done.number < entry.number);
        let began = self.0.iter().rev().find(|done| done.step != entry.step || done.act != APPROVE);
        // Without what came before it is the site's own word.
        let began = began.map_or(entry.step_began, |done| done.time);
        let seconds = time.saturating_sub(began);
        let by = entry.by.as_ref().map(|(tag, ..)| hex(tag));
        self.0.push(Done { number: entry.number, act: entry.act, step: entry.step, time, by, seconds });
        seconds
    }

    /// Whether an act takes the place of another one that was recorded: an honest site does so where its store refused
    /// the first and somebody decided otherwise afterwards, which is rare. Acts that are over and gone are not known.
    pub(crate) fn displaces(&self, entry: &AccessEntry) -> bool {
        let by = entry.by.as_ref().map(|(tag, ..)| hex(tag));
        let over_before = self.0.is_empty() && entry.number != 0 && decides(entry);
        over_before || self.0.iter().any(|d| d.number == entry.number && (d.act != entry.act || d.by != by))
    }

    /// Who approved it.
    pub(crate) fn approvers(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|done| done.act == APPROVE).filter_map(|done| done.by.as_deref())
    }
}

/// A tag as people see it.
pub(crate) fn hex(tag: &Tag) -> String {
    HEXLOWER.encode(tag)
}

/// Whether an act approves or denies.
pub(crate) fn decides(entry: &AccessEntry) -> bool {
    matches!(entry.act, APPROVE | DENY)
}

/// Whether an act approves.
pub(crate) fn approves(entry: &AccessEntry) -> bool {
    entry.act == APPROVE
}

/// Whether a request is over after an act.
pub(crate) fn is_over(entry: &AccessEntry) -> bool {
    entry.state != WAITING
}

#[derive(Default)]
struct Request {
    requester: String,
    asked: u64,
    /// When it was over first.
    over: Option<u64>,
    state: u64,
    decoy: bool,
    course: Course,
}

/// Collects the acts of a site log, in order.
#[derive(Default)]
pub(crate) struct Collector(HashMap<Tag, Request>);

impl Collector {
    pub(crate) fn act(&mut self, time: u64, entry: &AccessEntry) {
        let request = self.0.entry(entry.request).or_default();
        if entry.number == 0 {
            request.asked = time;
        }
        request.requester = hex(&entry.requester);
        request.state = entry.state;
        request.decoy |= entry.decoy;
        request.over = if is_over(entry) { request.over.or(Some(time)) } else { None };
        request.course.take(time, entry);
    }

    /// The numbers of the times that are within.
    pub(crate) fn finish(&self, within: impl Fn(u64) -> bool) -> Approvals {
        let mut all = Approvals::default();
        let mut pairs: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for request in self.0.values() {
            all.count(request, &within);
            for done in request.course.0.iter().filter(|done| within(done.time)) {
                let Some(by) = done.by.as_deref().filter(|_| matches!(done.act, APPROVE | DENY)) else {
                    continue;
                };
                let approved = done.act == APPROVE;
                let one = all.approvers.entry(by.to_owned()).or_default();
                one.take(done.seconds, approved, request.decoy);
                if approved && !request.decoy {
                    *pairs.entry((by, &request.requester)).or_default() += 1;
                }
            }
        }
        all.approvers.values_mut().for_each(Approver::finish);
        let mut pairs: Vec<_> = pairs.into_iter().filter(|(_, count)| *count > 1).collect();
        pairs.sort_by_key(|(_, count)| Reverse(*count));
        let pair = |((approver, requester), approvals): ((&str, &str), u64)| Pair {
            approver: approver.to_owned(),
            requester: requester.to_owned(),
            approvals,
        };
        all.repeated_pairs = pairs.into_iter().take(PAIRS_MAX).map(pair).collect();
        all
    }
}

impl Approvals {
    fn count(&mut self, request: &Request, within: impl Fn(u64) -> bool) {
        if request.decoy {
            if request.over.is_some_and(within) {
                let signed = request.course.approvers().next().is_some();
                self.decoys.shown += 1;
                self.decoys.approved += u64::from(signed);
                self.decoys.refused += u64::from(!signed && request.state == DENIED);
            }
        } else if within(request.asked) {
            self.requests += 1;
            self.granted += u64::from(matches!(request.state, GRANTED | REVOKED));
            self.denied += u64::from(request.state == DENIED);
            self.timed_out += u64::from(request.state == TIMED_OUT);
        }
    }
}

impl Approver {
    fn take(&mut self, seconds: u64, approved: bool, decoy: bool) {
        if decoy {
            self.decoys_approved += u64::from(approved);
            self.decoys_denied += u64::from(!approved);
            return;
        }
        self.decisions += 1;
        self.approved += u64::from(approved);
        self.under_10_seconds += u64::from(seconds < QUICK_SECONDS);
        self.seconds.push(seconds);
    }

    fn finish(&mut self) {
        self.median_seconds = median(&mut self.seconds);
        self.rate_percent = (self.approved * 100).checked_div(self.decisions);
    }
}

/// Half of them are no greater.
pub(crate) fn median(seconds: &mut [u64]) -> Option<u64> {
    seconds.sort_unstable();
    seconds.get(seconds.len().checked_sub(1)? / 2).copied()
}
