//! Sign-ins that were begun and not finished: few, short, and each taken once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use model::UnixSeconds;

/// How long a sign-in may take, in seconds.
pub(super) const PENDING_SECONDS: u64 = 600;
/// Most addresses whose attempts are counted.
const ADDRESSES_MAX: usize = 10_000;

/// Values under random names, each for a while.
pub(super) struct Pending<T> {
    held: Mutex<HashMap<String, (T, UnixSeconds)>>,
    max: usize,
}

impl<T> Pending<T> {
    pub(super) fn holding(max: usize) -> Self {
        Self { held: Mutex::default(), max }
    }

    /// Holds a value. `None` when there are too many: nobody who waits is pushed out.
    pub(super) fn put(&self, name: String, value: T, now: UnixSeconds) -> Option<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= self.max {
            held.retain(|_, (_, until)| now < *until);
        }
        (held.len() < self.max).then(|| {
            held.insert(name, (value, now.plus(PENDING_SECONDS)));
        })
    }

    /// Takes a value out, if it is still there. It never serves again.
    pub(super) fn take(&self, name: &str, now: UnixSeconds) -> Option<T> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(name).filter(|(_, until)| now < *until).map(|(value, _)| value)
    }

    /// Looks at a value; `Some(None)` of the closure leaves it there, anything else takes it out.
    pub(super) fn look<R>(
        &self,
        name: &str,
        now: UnixSeconds,
        look: impl FnOnce(&mut T) -> Option<R>,
    ) -> Looked<R> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((value, _)) = held.get_mut(name).filter(|(_, until)| now < *until) else {
            return Looked::Gone;
        };
        match look(value) {
            None => Looked::Waiting,
            Some(done) => {
                held.remove(name);
                Looked::Done(done)
            }
        }
    }
}

/// What was found under a name.
pub(super) enum Looked<R> {
    /// Nothing: never there, taken, or too old.
    Gone,
    /// It is not done yet.
    Waiting,
    /// It was done and is taken.
    Done(R),
}

/// A name that nobody guesses.
pub(super) fn random_name() -> Option<String> {
    let mut bytes = [0; 32];
    vault::keys::random(&mut bytes).ok()?;
    Some(BASE64URL_NOPAD.encode(&bytes))
}

/// Attempts of one address in a minute.
pub(super) struct Throttle {
    counts: Mutex<HashMap<IpAddr, (u64, u32)>>,
    max: u32,
}

impl Throttle {
    pub(super) fn per_minute(max: u32) -> Self {
        Self { counts: Mutex::default(), max }
    }

    /// Whether one more attempt is taken.
    pub(super) fn take(&self, address: IpAddr, now: UnixSeconds) -> bool {
        let minute = now.0 / 60;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= ADDRESSES_MAX && !counts.contains_key(&address) {
            counts.retain(|_, (m, _)| *m == minute);
            if counts.len() >= ADDRESSES_MAX {
                return false;
            }
        }
        let (at, count) = counts.entry(address).or_insert((minute, 0));
        if *at != minute {
            (*at, *count) = (minute, 0);
        }
        *count = count.saturating_add(1);
        *count <= self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_taken_once_and_not_for_ever() {
        let pending = Pending::holding(2);
        let at = UnixSeconds;
        assert!(pending.put("a".to_owned(), 1, at(10)).is_some());
        assert!(pending.put("b".to_owned(), 2, at(20)).is_some());
        assert!(pending.put("c".to_owned(), 3, at(30)).is_none(), "full");
        assert_eq!(pending.take("a", at(30)), Some(1));
        assert_eq!(pending.take("a", at(30)), None, "taken");
        assert_eq!(pending.take("b", at(20 + PENDING_SECONDS)), None, "too old");
        assert!(pending.put("d".to_owned(), 4, at(40)).is_some());
        assert!(matches!(pending.look("d", at(41), |_| None::<()>), Looked::Waiting));
        assert!(matches!(pending.look("d", at(41), |v| Some(*v)), Looked::Done(4)));
        assert!(matches!(pending.look("d", at(41), |v| Some(*v)), Looked::Gone));
    }

    #[test]
    fn an_address_has_so_many_attempts_a_minute() {
        let throttle = Throttle::per_minute(2);
        let (a, b) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert!(throttle.take(a, UnixSeconds(0)) && throttle.take(a, UnixSeconds(59)));
        assert!(!throttle.take(a, UnixSeconds(59)) && throttle.take(b, UnixSeconds(59)));
        assert!(throttle.take(a, UnixSeconds(60)));
    }
}
