//! Keys by which a client cancels what its own session runs. They are ours: nobody learns the server's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::back::Target;

/// Length of a key of protocol 3.2, and of one before it.
const LONG: usize = 32;
const SHORT: usize = 4;

/// The keys of all sessions.
#[derive(Clone, Default)]
pub struct Cancels(Arc<Mutex<HashMap<u32, Entry>>>);

struct Entry {
    secret: Arc<Zeroizing<Vec<u8>>>,
    target: Target,
}

/// A session's key, which is good as long as this is there.
pub struct Key {
    all: Cancels,
    id: u32,
    secret: Arc<Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({} bytes)", self.secret.len())
    }
}

impl Cancels {
    /// A new key, which cancels at this target. `None` where the system has no random bytes.
    #[must_use]
    pub fn issue(&self, target: Target, long: bool) -> Option<Key> {
        let mut secret = Zeroizing::new(vec![0; if long { LONG } else { SHORT }]);
        SystemRandom::new().fill(&mut secret).ok()?;
        let secret = Arc::new(secret);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut id = [0; 4];
            SystemRandom::new().fill(&mut id).ok()?;
            // A process number as clients expect it.
            let id = u32::from_be_bytes(id) >> 1;
            if id != 0 && !all.contains_key(&id) {
                all.insert(id, Entry { secret: secret.clone(), target });
                return Some(Key { all: self.clone(), id, secret });
            }
        }
    }

    /// Where to cancel for one who shows this key.
    #[must_use]
    pub fn find(&self, id: u32, secret: &[u8]) -> Option<Target> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.get(&id)?;
        verify_slices_are_equal(&entry.secret, secret).ok()?;
        Some(entry.target.clone())
    }
}

impl Key {
    /// The session's number, as a client shows it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The secret that goes with it.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::back::Place;
    use super::*;

    #[test]
    fn a_key_cancels_its_own_session_and_only_while_that_lasts() {
        let cancels = Cancels::default();
        let target = |id| Target {
            place: Place::Unix("/nowhere".into()),
            id,
            secret: bytes::Bytes::from_static(b"1234"),
        };
        let one = cancels.issue(target(1), false).unwrap();
        let two = cancels.issue(target(2), true).unwrap();
        assert_eq!((one.secret().len(), two.secret().len()), (SHORT, LONG));
        assert_eq!(cancels.find(two.id(), two.secret()).unwrap().id, 2);
        assert!(cancels.find(two.id(), one.secret()).is_none());
        assert!(cancels.find(one.id(), two.secret()).is_none());
        assert!(cancels.find(one.id(), b"").is_none());
        let (id, secret) = (one.id(), one.secret().to_vec());
        drop(one);
        assert!(cancels.find(id, &secret).is_none());
    }
}
