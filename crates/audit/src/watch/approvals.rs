//! Approvers who do not look: a decoy that was approved, and approvals faster than anybody reads.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{
    entry::Out,
    finding::{Found, WatchRule},
};
use crate::{
    approvals::{Course, approves, decides, hex, is_over, median},
    incident::Reference,
    siteleaf::AccessEntry,
};

/// Requests that are followed until they are over. The site holds no more that are open.
const OPEN_MAX: usize = 20_000;
/// Approvers whose last approvals are held.
const APPROVERS_MAX: usize = 20_000;

/// What is held of requests that are open, and of those who approve.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approvers {
    open: BTreeMap<String, Course>,
    /// How long each of the last decisions took, where it approved, by approver.
    runs: BTreeMap<String, VecDeque<Option<u64>>>,
}

impl Approvers {
    /// An act at a place of the site log.
    pub(super) fn act(&mut self, place: &Reference, time: u64, entry: &AccessEntry, out: &mut Out<'_>) {
        let request = hex(&entry.request);
        if !self.open.contains_key(&request) && self.open.len() >= OPEN_MAX {
            return overflow("requests", OPEN_MAX, place, out);
        }
        let course = self.open.entry(request.clone()).or_default();
        if course.displaces(entry) {
            let text = format!(
                "act {} of the request `{request}` was recorded again as another: ask why the first did not come about",
                entry.number
            );
            found(WatchRule::ActDisplaced, format!("request {request}"), text, place, out);
        }
        let seconds = course.take(time, entry);
        if entry.decoy {
            for by in course.approvers() {
                let text = format!("`{by}` approved the decoy `{request}`: who approves it has not looked");
                let about = format!("decoy {request} and {by}");
                found(WatchRule::DecoyApproved, about, text, place, out);
            }
        }
        if is_over(entry) {
            self.open.remove(&request);
        }
        // Who denies a decoy has not decided about anybody: it may be their own.
        if let Some((tag, ..)) =
            entry.by.as_ref().filter(|_| decides(entry) && (approves(entry) || !entry.decoy))
        {
            self.decided(hex(tag), approves(entry), seconds, place, out);
        }
    }

    fn decided(&mut self, by: String, approved: bool, seconds: u64, place: &Reference, out: &mut Out<'_>) {
        if !self.runs.contains_key(&by) && self.runs.len() >= APPROVERS_MAX {
            return overflow("approvers", APPROVERS_MAX, place, out);
        }
        let most = usize::try_from(out.limits.approvals_run).unwrap_or(usize::MAX);
        let run = self.runs.entry(by.clone()).or_default();
        run.push_back(approved.then_some(seconds));
        while run.len() > most {
            run.pop_front();
        }
        let mut all: Vec<u64> = run.iter().copied().flatten().collect();
        let approvals = all.len();
        // One denial in ten does not make the others looked at.
        let nearly_all = run.len() == most && (most - approvals) * 10 <= most;
        let Some(median) = median(&mut all).filter(|_| nearly_all) else { return };
        if median < out.limits.approvals_quick_seconds {
            let text = format!(
                "`{by}` approved {approvals} of the last {most} requests, half of them within {median} s"
            );
            found(WatchRule::RubberStamp, format!("approver {by}"), text, place, out);
        }
    }
}

fn found(rule: WatchRule, about: String, text: String, place: &Reference, out: &mut Out<'_>) {
    let cause = format!("site:{}", place.origin);
    out.found(Found { rule, cause, about, entry: Some(place.clone()), text });
}

fn overflow(what: &str, most: usize, place: &Reference, out: &mut Out<'_>) {
    let text = format!("more than {most} {what} at once: some are not followed");
    out.found(Found {
        rule: WatchRule::Overflow,
        cause: "operator".into(),
        about: what.into(),
        entry: Some(place.clone()),
        text,
    });
}
