//! What the requests of one connection have stood on. When any of it ends, the connection ends: what was released on
//! it and is still on its way does not arrive.
//!
//! Each request is decided anew anyhow. This is for bytes on their way, and for whoever keeps a connection open.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossing::credential::{Shown, SignedIn, Tokens};
use model::{Country, Digest, Name, SessionId, UnixSeconds};
use tokio::sync::{Notify, watch};

use crate::enclave::{self, Enclave};

/// Most grounds and most sessions that a connection is remembered to have used; one that has used more is ended.
const SEEN_MAX: usize = 256;
/// Longest time without a look at the clock.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// How a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// At once.
    Cut,
    /// After the answers that are on their way, if they do not take long: other rules are in force.
    Renew,
}

#[derive(Debug, Default)]
struct Stood {
    countries: BTreeSet<Country>,
    grounds: BTreeSet<Name>,
    sessions: BTreeMap<SessionId, UnixSeconds>,
    /// When the first of its credentials is over.
    until: Option<UnixSeconds>,
    full: bool,
}

/// What one connection has stood on so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    stood: Mutex<Stood>,
    changed: Notify,
}

impl Seen {
    fn stood(&self) -> MutexGuard<'_, Stood> {
        self.stood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody in a country, as address or credential say.
    pub(crate) fn country(&self, country: Option<Country>) {
        self.stood().countries.extend(country);
    }

    /// A credential that counts.
    pub(crate) fn credential(&self, shown: &Shown) {
        let mut stood = self.stood();
        let before = (stood.countries.len(), stood.sessions.len(), stood.until);
        stood.countries.extend([shown.session.country, shown.session.device_country].into_iter().flatten());
        stood.sessions.extend(shown.signed_in.map(|s| (s.id, s.since)));
        stood.full |= stood.sessions.len() > SEEN_MAX;
        stood.until = Some(stood.until.map_or(shown.not_after, |until| until.min(shown.not_after)));
        // What is new may have ended before it was noted: it is looked at once.
        let new = before != (stood.countries.len(), stood.sessions.len(), stood.until);
        drop(stood);
        if new {
            self.changed.notify_one();
        }
    }

    /// A grant or case that serves.
    pub(crate) fn ground(&self, name: &Name) {
        let mut stood = self.stood();
        if !stood.grounds.contains(name) {
            stood.grounds.insert(name.clone());
            stood.full |= stood.grounds.len() > SEEN_MAX;
            drop(stood);
            self.changed.notify_one();
        }
    }

    /// Waits until something that the connection stood on has ended.
    pub(crate) async fn ended(
        &self,
        enclave: &Enclave,
        tokens: &Tokens,
        mut look: watch::Receiver<u64>,
    ) -> End {
        let began = Began::of(enclave);
        loop {
            look.borrow_and_update();
            if let Some(end) = self.look(enclave, tokens, &began) {
                return end;
            }
            let until = self.stood().until;
            let left =
                until.map_or(LOOK_MAX, |u| Duration::from_secs(u.0.saturating_sub(enclave::now().0.0)));
            tokio::select! {
                changed = look.changed() => if changed.is_err() { pending::<()>().await },
                () = self.changed.notified() => {}
                () = tokio::time::sleep(left.min(LOOK_MAX)) => {}
            }
        }
    }

    fn look(&self, enclave: &Enclave, tokens: &Tokens, began: &Began) -> Option<End> {
        let (now, _) = enclave::now();
        let stood = self.stood();
        let (control, suspended) = (enclave.control(), enclave.in_force().suspended());
        // What was suspended before the connection came is for the road to refuse, on the record.
        let stopped = suspended.iter().any(|c| !began.suspended.contains(c) && stood.countries.contains(c));
        let over = |name: &Name| control.grant(name, now).is_err() && control.case(name, now).is_err();
        let out =
            |(id, since): (&SessionId, &UnixSeconds)| tokens.is_ended(SignedIn { id: *id, since: *since });
        let cut = stood.full
            || stopped
            || stood.until.is_some_and(|until| until <= now)
            || stood.grounds.iter().any(over)
            || stood.sessions.iter().any(out);
        // While nobody knows which one is in force, requests are refused on the record.
        let other = enclave.in_force().rulebook().is_some_and(|now| now != began.rulebook);
        if cut { Some(End::Cut) } else { other.then_some(End::Renew) }
    }
}

/// What was so when the connection came.
struct Began {
    suspended: BTreeSet<Country>,
    rulebook: Digest,
}

impl Began {
    fn of(enclave: &Enclave) -> Self {
        Self { suspended: enclave.in_force().suspended(), rulebook: enclave.live().road.rulebook().digest }
    }
}
