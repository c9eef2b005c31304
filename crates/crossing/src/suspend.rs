//! Suspended countries: while one is suspended nothing crosses to it, or to anybody in it.
//!
//! INVARIANT: what is queued for the log behind the entry of a suspension has looked after it. A crossing looks and
//! queues its entry under one [`Passing`], and no suspension comes into force while one is held.

use std::collections::BTreeSet;
use std::sync::{RwLock, RwLockReadGuard};

use model::Country;

/// The countries to which nothing crosses now.
#[derive(Debug, Default)]
pub struct Suspensions(RwLock<BTreeSet<Country>>);

/// Holds off suspensions for as long as a crossing looks and queues its entry.
#[derive(Debug)]
pub struct Passing<'a>(Option<RwLockReadGuard<'a, BTreeSet<Country>>>);

impl Suspensions {
    /// These, from the start.
    #[must_use]
    pub fn new(countries: BTreeSet<Country>) -> Self {
        Self(RwLock::new(countries))
    }

    /// Begins to pass. Not to be held across a wait.
    #[must_use]
    pub fn passing(&self) -> Passing<'_> {
        Passing(self.0.read().ok())
    }

    /// Suspends a country and queues the entry that says so, with nothing in between.
    pub fn suspend<T>(&self, country: Country, record: impl FnOnce() -> T) -> T {
        // A poisoned lock stops everything already.
        let held = self.0.write().map(|mut all| {
            all.insert(country);
            all
        });
        let recorded = record();
        drop(held);
        recorded
    }

    /// Lets a country pass again, after the entry that says so is durable.
    pub fn lift(&self, country: Country) {
        if let Ok(mut all) = self.0.write() {
            all.remove(&country);
        }
    }

    /// All of them.
    #[must_use]
    pub fn list(&self) -> BTreeSet<Country> {
        self.0.read().map(|all| all.clone()).unwrap_or_default()
    }
}

impl Passing<'_> {
    /// Whether a crossing to, or by somebody in, one of these countries is stopped. Doubt stops it.
    pub(crate) fn stops(&self, place: Country, destination: Country) -> bool {
        self.0.as_ref().is_none_or(|all| all.contains(&place) || all.contains(&destination))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn country(code: &str) -> Country {
        Country::parse(code).unwrap()
    }

    #[test]
    fn a_suspended_country_is_stopped_as_place_and_as_destination_until_it_is_lifted() {
        let (cn, ie, us) = (country("CN"), country("IE"), country("US"));
        let all = Suspensions::new(BTreeSet::from([us]));
        let stops = |place, to| all.passing().stops(place, to);
        assert!(stops(ie, us) && !stops(cn, cn));
        assert_eq!(all.suspend(cn, || 7), 7);
        assert!(stops(cn, cn) && stops(ie, cn) && stops(cn, ie) && !stops(ie, ie));
        all.lift(cn);
        assert!(!stops(cn, cn) && stops(us, us));
    }

    #[test]
    fn no_suspension_is_recorded_between_the_look_and_the_queue() {
        let (all, log) = (Suspensions::default(), std::sync::Mutex::new(Vec::new()));
        let (cn, (began, begun)) = (country("CN"), mpsc::channel());
        std::thread::scope(|s| {
            let passing = all.passing();
            assert!(!passing.stops(cn, cn));
            let (all, log) = (&all, &log);
            s.spawn(move || {
                began.send(()).unwrap();
                all.suspend(cn, || log.lock().unwrap().push("suspended"));
            });
            begun.recv().unwrap();
            // However long this takes, the other waits.
            for _ in 0..1000 {
                std::thread::yield_now();
            }
            log.lock().unwrap().push("released");
            drop(passing);
        });
        assert_eq!(*log.lock().unwrap(), ["released", "suspended"]);
        assert!(all.passing().stops(cn, cn));
    }
}
