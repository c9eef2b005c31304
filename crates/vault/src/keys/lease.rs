//! People's keys that were opened a moment ago: they serve for a lease, also while the key service is away, and no
//! longer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ledger::SecretKey;

/// Time since some moment that does not matter. It never goes back.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// How long opened keys serve, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// From the moment at which the service was asked.
    pub lease: Duration,
    /// Most keys at a time.
    pub keys_max: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Self { lease: Duration::from_secs(60), keys_max: 20_000 }
    }
}

/// Keys by the internal ids of their people.
pub(super) struct Lease {
    terms: Terms,
    clock: Clock,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    keys: HashMap<[u8; 16], Opened>,
    /// Counts how often something was forgotten.
    forgotten: u64,
}

struct Opened {
    key: SecretKey,
    /// What it was opened from: another form of it is asked for anew.
    wrapped: Vec<u8>,
    until: Duration,
}

/// A moment before the service was asked.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    forgotten: u64,
    at: Duration,
}

impl Lease {
    pub(super) fn new(terms: Terms, clock: Clock) -> Self {
        Self { terms, clock, held: Mutex::default() }
    }

    pub(super) fn now(&self) -> Duration {
        (self.clock)()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key whose lease has not ended.
    pub(super) fn held(&self, internal: &[u8; 16], wrapped: &[u8]) -> Option<SecretKey> {
        let now = self.now();
        let mut held = self.lock();
        let opened = held.keys.get(internal)?;
        if now >= opened.until {
            held.keys.remove(internal);
            return None;
        }
        (opened.wrapped == wrapped).then(|| opened.key.clone())
    }

    /// To be called before the service is asked.
    pub(super) fn asking(&self) -> Asked {
        Asked { at: self.now(), forgotten: self.lock().forgotten }
    }

    /// Holds a key that the service opened.
    pub(super) fn hold(&self, asked: Asked, internal: &[u8; 16], wrapped: &[u8], key: &SecretKey) {
        let (now, until) = (self.now(), asked.at.saturating_add(self.terms.lease));
        let mut held = self.lock();
        // INVARIANT: what was forgotten while the service was asked does not come back.
        if held.forgotten != asked.forgotten || self.terms.keys_max == 0 {
            return;
        }
        if held.keys.len() >= self.terms.keys_max {
            held.keys.retain(|_, opened| now < opened.until);
        }
        if held.keys.len() >= self.terms.keys_max {
            held.keys.clear();
        }
        let opened = Opened { key: key.clone(), wrapped: wrapped.to_vec(), until };
        held.keys.insert(*internal, opened);
    }

    /// Drops a person's key.
    pub(super) fn forget(&self, internal: &[u8; 16]) {
        let mut held = self.lock();
        held.forgotten = held.forgotten.wrapping_add(1);
        held.keys.remove(internal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(keys_max: usize) -> (Arc<Mutex<Duration>>, Lease) {
        let time = Arc::new(Mutex::new(Duration::ZERO));
        let told = Arc::clone(&time);
        let clock: Clock = Arc::new(move || *told.lock().unwrap());
        (time, Lease::new(Terms { lease: Duration::from_secs(60), keys_max }, clock))
    }

    #[test]
    fn a_lease_begins_when_the_service_was_asked_and_not_when_it_answered() {
        let (time, lease) = lease(10);
        let asked = lease.asking();
        *time.lock().unwrap() = Duration::from_secs(30);
        lease.hold(asked, &[1; 16], b"w", &SecretKey::new([7; 32]));
        *time.lock().unwrap() = Duration::from_secs(59);
        assert!(lease.held(&[1; 16], b"w").is_some());
        assert!(lease.held(&[1; 16], b"other").is_none(), "another wrapped form");
        *time.lock().unwrap() = Duration::from_secs(60);
        assert!(lease.held(&[1; 16], b"w").is_none());
        assert!(lease.lock().keys.is_empty(), "what has ended is dropped");
    }

    #[test]
    fn a_key_that_is_forgotten_while_it_is_asked_for_is_not_held() {
        let (_, lease) = lease(10);
        let asked = lease.asking();
        lease.forget(&[1; 16]);
        lease.hold(asked, &[1; 16], b"w", &SecretKey::new([7; 32]));
        assert!(lease.held(&[1; 16], b"w").is_none());
    }

    #[test]
    fn no_more_keys_are_held_than_allowed() {
        let (_, lease) = lease(3);
        for n in 0..10 {
            lease.hold(lease.asking(), &[n; 16], b"w", &SecretKey::new([n; 32]));
            assert!(lease.held(&[n; 16], b"w").is_some());
            assert!(lease.lock().keys.len() <= 3);
        }
    }
}
