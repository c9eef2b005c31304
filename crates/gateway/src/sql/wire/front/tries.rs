//! Sign-ins that went wrong. Each makes the next answer to the same name slower; nobody is locked out.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Places for names. Two names may share one, and then slow each other down: the memory has an end.
const PLACES: usize = 1024;
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3);
/// After this time a wrong password is forgotten.
const MEMORY: Duration = Duration::from_secs(60);

pub(super) struct Tries {
    by: RandomState,
    places: Mutex<Vec<Option<(u32, Instant)>>>,
}

impl Default for Tries {
    fn default() -> Self {
        Self { by: RandomState::new(), places: Mutex::new(vec![None; PLACES]) }
    }
}

impl Tries {
    /// Counts one that went wrong, and returns how long its answer waits.
    pub(super) fn failed(&self, name: &str) -> Duration {
        self.failed_at(name, Instant::now())
    }

    fn failed_at(&self, name: &str, now: Instant) -> Duration {
        self.with(name, |place| {
            let count =
                place.filter(|(_, last)| now.duration_since(*last) < MEMORY).map_or(0, |(count, _)| count);
            *place = Some((count.saturating_add(1), now));
            FIRST.saturating_mul(1 << count.min(10)).min(LONGEST)
        })
    }

    pub(super) fn signed_in(&self, name: &str) {
        self.with(name, |place| *place = None);
    }

    fn with<T: Default>(&self, name: &str, change: impl FnOnce(&mut Option<(u32, Instant)>) -> T) -> T {
        let place = usize::try_from(self.by.hash_one(name) % PLACES as u64).unwrap_or(0);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.get_mut(place).map(change).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_password_makes_the_next_answer_slower_up_to_an_end() {
        let (tries, now) = (Tries::default(), Instant::now());
        let waits: Vec<_> = (0..7).map(|_| tries.failed_at("alice", now).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3000, 3000]);
        assert_eq!(tries.failed_at("alice", now + MEMORY), FIRST);
        tries.signed_in("alice");
        assert_eq!(tries.failed_at("alice", now + MEMORY), FIRST);
    }
}
