//! Released payloads, held in memory for a while so that the auditor may look at a few that nobody could foresee
//! (`docs/formats/samples.md`).

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use bytes::Bytes;

/// The newest payloads, as many as fit.
pub struct Kept {
    max: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    bytes: usize,
    order: VecDeque<u64>,
    payloads: HashMap<u64, Bytes>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept(at most {} bytes)", self.max)
    }
}

impl Kept {
    /// Holds at most so many bytes; none with 0.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, held: Mutex::default() }
    }

    /// Holds the payload of an entry. The oldest ones go first.
    pub fn keep(&self, index: u64, payload: &Bytes) {
        if payload.len() > self.max {
            return;
        }
        let Ok(mut held) = self.held.lock() else { return };
        held.bytes += payload.len();
        held.order.push_back(index);
        held.payloads.insert(index, payload.clone());
        while held.bytes > self.max {
            let Some(oldest) = held.order.pop_front() else { break };
            held.bytes -= held.payloads.remove(&oldest).map_or(0, |p| p.len());
        }
    }

    /// The payload of an entry, if it is still held.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<Bytes> {
        self.held.lock().ok()?.payloads.get(&index).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_payloads_go_first_and_no_more_is_held_than_allowed() {
        let kept = Kept::new(10);
        let payload = Bytes::from_static(b"1234");
        (0..3).for_each(|n| kept.keep(n, &payload));
        assert_eq!((kept.get(0), kept.get(1), kept.get(2)), (None, Some(payload.clone()), Some(payload)));
        kept.keep(3, &Bytes::from_static(b"more than ten"));
        assert_eq!(kept.get(3), None);
        assert!(kept.get(2).is_some(), "what is too long pushes nothing out");
    }
}
