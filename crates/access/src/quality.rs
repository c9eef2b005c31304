//! How approvers decide: the numbers by which rubber stamps show.

use std::collections::BTreeMap;

use model::{ActorId, UnixSeconds};

use crate::request::{Act, Request, State};

/// What one approver did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Approver {
    /// Approvals.
    pub approved: u64,
    /// Denials.
    pub denied: u64,
    /// Seconds from the beginning of each step to the decision, sorted.
    pub seconds: Vec<u64>,
    /// Decoys approved: each is a finding.
    pub decoys_approved: u64,
    /// Decoys denied, as they should be.
    pub decoys_denied: u64,
}

impl Approver {
    /// Half of the decisions took no longer than this.
    #[must_use]
    pub fn median_seconds(&self) -> Option<u64> {
        self.seconds.get(self.seconds.len().checked_sub(1)? / 2).copied()
    }

    /// Approvals of a hundred decisions, decoys apart.
    #[must_use]
    pub fn rate_percent(&self) -> Option<u64> {
        (self.approved * 100).checked_div(self.approved + self.denied)
    }
}

/// The numbers of a period.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quality {
    /// Requests asked for, decoys apart.
    pub requests: u64,
    /// Of these, granted at some time.
    pub granted: u64,
    /// Denied.
    pub denied: u64,
    /// Ended by time alone.
    pub timed_out: u64,
    /// By approver.
    pub approvers: BTreeMap<ActorId, Approver>,
    /// How often one person approved another's requests, most first; only pairs of two or more.
    pub pairs: Vec<(ActorId, ActorId, u64)>,
}

/// Measures the requests that were asked for in a period.
pub fn measure<'r>(
    requests: impl Iterator<Item = &'r Request>,
    from: UnixSeconds,
    until: UnixSeconds,
) -> Quality {
    let mut quality = Quality::default();
    let mut pairs: BTreeMap<(ActorId, ActorId), u64> = BTreeMap::new();
    for request in requests.filter(|r| r.asked_at() >= from && r.asked_at() < until) {
        if !request.decoy {
            quality.requests += 1;
            match request.state {
                State::Granted { .. } | State::Revoked => quality.granted += 1,
                State::Denied => quality.denied += 1,
                State::TimedOut => quality.timed_out += 1,
                State::Waiting { .. } | State::Withdrawn => {}
            }
        }
        for (n, done) in request.done.iter().enumerate() {
            let Some(by) = &done.by else { continue };
            let (approved, denied) = (done.act == Act::Approve, done.act == Act::Deny);
            if !approved && !denied {
                continue;
            }
            let one = quality.approvers.entry(by.clone()).or_default();
            if request.decoy {
                one.decoys_approved += u64::from(approved);
                one.decoys_denied += u64::from(denied);
                continue;
            }
            one.approved += u64::from(approved);
            one.denied += u64::from(denied);
            one.seconds.push(done.at.0.saturating_sub(request.step_began(n).0));
            if approved {
                *pairs.entry((by.clone(), request.requester.clone())).or_default() += 1;
            }
        }
    }
    quality.approvers.values_mut().for_each(|a| a.seconds.sort_unstable());
    quality.pairs = pairs.into_iter().filter(|(_, n)| *n > 1).map(|((by, of), n)| (by, of, n)).collect();
    quality.pairs.sort_by_key(|(_, _, n)| std::cmp::Reverse(*n));
    quality
}
