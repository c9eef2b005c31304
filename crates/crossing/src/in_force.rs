//! What is in force for all crossings of an enclave, under whichever rulebook they began: the rulebook itself, and the
//! suspended countries, to which nothing crosses, nor to anybody in them.
//!
//! INVARIANT: what is queued for the log behind the entry of an activation or a suspension has looked after it. A
//! crossing looks and queues its entry under one [`Passing`], and neither comes into force while one is held.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use model::{Country, Digest};

use crate::rulebook::ActiveRulebook;

/// What is in force now.
#[derive(Debug)]
pub struct InForce(RwLock<State>);

#[derive(Debug)]
struct State {
    /// Nothing serves when nobody knows.
    rulebook: Option<Digest>,
    suspended: BTreeSet<Country>,
}

/// Holds off activations and suspensions for as long as a crossing looks and queues its entry.
#[derive(Debug)]
pub struct Passing<'a>(RwLockReadGuard<'a, State>);

impl InForce {
    /// This rulebook and these suspensions, from the start.
    #[must_use]
    pub const fn new(rulebook: Digest, suspended: BTreeSet<Country>) -> Self {
        Self(RwLock::new(State { rulebook: Some(rulebook), suspended }))
    }

    /// A signed rulebook, with nothing suspended.
    #[must_use]
    pub fn alone(active: &ActiveRulebook) -> Self {
        Self::new(active.rulebook.digest, BTreeSet::new())
    }

    /// Begins to pass. Not to be held across a wait.
    #[must_use]
    pub fn passing(&self) -> Passing<'_> {
        // INVARIANT: a change is one assignment, so that one which panicked has left nothing half done.
        Passing(self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Suspends a country and queues the entry that says so, with nothing in between.
    pub fn suspend<T>(&self, country: Country, record: impl FnOnce() -> T) -> T {
        let mut held = self.change();
        held.suspended.insert(country);
        record()
    }

    /// Lets a country pass again, after the entry that says so is durable.
    pub fn lift(&self, country: Country) {
        self.change().suspended.remove(&country);
    }

    /// The suspended countries.
    #[must_use]
    pub fn suspended(&self) -> BTreeSet<Country> {
        self.passing().0.suspended.clone()
    }

    /// Puts another rulebook in force and queues the entry that says so, with nothing in between; if it cannot be
    /// queued the old one stays.
    ///
    /// # Errors
    /// What the queue says.
    pub fn replace<T, E>(&self, rulebook: Digest, record: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut held = self.change();
        let recorded = record()?;
        held.rulebook = Some(rulebook);
        Ok(recorded)
    }

    /// Takes the rulebook out of force: nobody knows which one is, so nothing crosses.
    pub fn unknown(&self) {
        self.change().rulebook = None;
    }

    /// Says again which rulebook is in force, after [`InForce::unknown`] or an activation that was not recorded.
    pub fn known(&self, rulebook: Digest) {
        self.change().rulebook = Some(rulebook);
    }

    /// The rulebook in force, if that is known.
    #[must_use]
    pub fn rulebook(&self) -> Option<Digest> {
        self.passing().rulebook()
    }
}

impl Passing<'_> {
    /// Whether a crossing to, or by somebody in, one of these countries is stopped.
    pub(crate) fn stops(&self, place: Country, destination: Country) -> bool {
        self.0.suspended.contains(&place) || self.0.suspended.contains(&destination)
    }

    /// Whether one of these countries is suspended.
    #[must_use]
    pub fn stops_any(&self, places: &[Country]) -> bool {
        places.iter().any(|place| self.0.suspended.contains(place))
    }

    /// The rulebook in force, if that is known.
    #[must_use]
    pub fn rulebook(&self) -> Option<Digest> {
        self.0.rulebook
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn country(code: &str) -> Country {
        Country::parse(code).unwrap()
    }

    fn in_force(suspended: &[Country]) -> InForce {
        InForce::new(Digest::new([1; 32]), suspended.iter().copied().collect())
    }

    #[test]
    fn a_suspended_country_is_stopped_as_place_and_as_destination_until_it_is_lifted() {
        let (cn, ie, us) = (country("CN"), country("IE"), country("US"));
        let all = in_force(&[us]);
        let stops = |place, to| all.passing().stops(place, to);
        assert!(stops(ie, us) && !stops(cn, cn));
        assert_eq!(all.suspend(cn, || 7), 7);
        assert!(stops(cn, cn) && stops(ie, cn) && stops(cn, ie) && !stops(ie, ie));
        all.lift(cn);
        assert!(!stops(cn, cn) && stops(us, us));
    }

    /// Does `change` while somebody passes, and tells in which order both came to the log.
    fn raced(all: &InForce, change: impl FnOnce(&mut dyn FnMut()) + Send) -> Vec<&'static str> {
        let log = std::sync::Mutex::new(Vec::new());
        let (began, begun) = mpsc::sync_channel(1);
        std::thread::scope(|s| {
            let passing = all.passing();
            let log = &log;
            s.spawn(move || {
                began.send(()).unwrap();
                change(&mut || log.lock().unwrap().push("changed"));
            });
            begun.recv().unwrap();
            // However long this takes, the other waits.
            for _ in 0..1000 {
                std::thread::yield_now();
            }
            log.lock().unwrap().push("released");
            drop(passing);
        });
        log.into_inner().unwrap()
    }

    #[test]
    fn no_suspension_is_recorded_between_the_look_and_the_queue() {
        let (all, cn) = (in_force(&[]), country("CN"));
        assert_eq!(raced(&all, |record| all.suspend(cn, record)), ["released", "changed"]);
        assert!(all.passing().stops(cn, cn));
    }

    #[test]
    fn no_activation_is_recorded_between_the_look_and_the_queue() {
        let (all, next) = (in_force(&[]), Digest::new([2; 32]));
        let replace = |record: &mut dyn FnMut()| {
            all.replace(next, || {
                record();
                Ok::<_, ()>(())
            })
            .unwrap();
        };
        assert_eq!(raced(&all, replace), ["released", "changed"]);
        assert_eq!(all.rulebook(), Some(next));
    }

    #[test]
    fn an_activation_that_cannot_be_queued_changes_nothing_and_doubt_leaves_no_rulebook() {
        let all = in_force(&[]);
        let before = all.rulebook();
        assert_eq!(all.replace(Digest::new([2; 32]), || Err::<(), _>("closed")), Err("closed"));
        assert_eq!(all.rulebook(), before);
        all.unknown();
        assert_eq!(all.rulebook(), None);
    }
}
