//! Signed-in sessions that ended before their time. One registry serves every listener of a process, so that a
//! person who signs out is out everywhere with their next request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use model::{SessionId, UnixSeconds};

/// Most ended sessions that are kept one by one, until they would have expired.
pub const ENDED_MAX: usize = 65_536;

/// The sessions that ended before their time.
#[derive(Debug)]
pub struct Ended {
    state: RwLock<State>,
    max: usize,
    /// Counts the ends, so that whoever holds a connection sees that there was one.
    ends: AtomicU64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    /// Each with the time at which its token expires by itself.
    ids: HashMap<SessionId, UnixSeconds>,
    /// Sessions that began before have all ended.
    floor: Option<UnixSeconds>,
}

impl Default for Ended {
    fn default() -> Self {
        Self::holding(ENDED_MAX)
    }
}

impl Ended {
    /// A registry that keeps at most so many one by one.
    #[must_use]
    pub fn holding(max: usize) -> Self {
        Self { state: RwLock::default(), max, ends: AtomicU64::new(0) }
    }

    /// Ends a session whose token would serve until `not_after`.
    ///
    /// When there are too many to keep one by one, every session that began up to now ends with it: a list
    /// that overflows must not let anybody back in.
    pub fn end(&self, id: SessionId, not_after: UnixSeconds, now: UnixSeconds) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.ids.len() >= self.max {
            state.ids.retain(|_, until| now < *until);
        }
        if state.ids.len() >= self.max {
            state.ids.clear();
            state.floor = Some(now.plus(1));
        }
        state.ids.insert(id, not_after);
        self.ends.fetch_add(1, Ordering::Release);
    }

    /// Ends every session that began before this time.
    pub fn end_before(&self, time: UnixSeconds) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.floor = state.floor.max(Some(time));
        self.ends.fetch_add(1, Ordering::Release);
    }

    /// How many times sessions were ended so far.
    #[must_use]
    pub fn ends(&self) -> u64 {
        self.ends.load(Ordering::Acquire)
    }

    /// Whether a session that began at `since` has ended.
    #[must_use]
    pub fn is_ended(&self, id: &SessionId, since: UnixSeconds) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.floor.is_some_and(|floor| since < floor) || state.ids.contains_key(id)
    }

    /// What has to be kept: the ended sessions that could still serve, and the time before which all have ended.
    #[must_use]
    pub fn kept(&self, now: UnixSeconds) -> (Vec<(SessionId, UnixSeconds)>, Option<UnixSeconds>) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<_> =
            state.ids.iter().filter(|(_, until)| now < **until).map(|(id, until)| (*id, *until)).collect();
        ids.sort_unstable();
        (ids, state.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> SessionId {
        SessionId::new([n; 16])
    }

    #[test]
    fn an_ended_session_stays_ended_and_no_other_ends_with_it() {
        let ended = Ended::default();
        ended.end(id(1), UnixSeconds(100), UnixSeconds(10));
        assert!(ended.is_ended(&id(1), UnixSeconds(5)));
        assert!(!ended.is_ended(&id(2), UnixSeconds(5)));
        assert_eq!(ended.kept(UnixSeconds(99)).0, [(id(1), UnixSeconds(100))]);
        assert!(ended.kept(UnixSeconds(100)).0.is_empty(), "by then its token has expired");
    }

    #[test]
    fn a_list_that_overflows_lets_nobody_back_in() {
        let ended = Ended::holding(2);
        for n in 1..=3 {
            ended.end(id(n), UnixSeconds(100), UnixSeconds(20));
        }
        for n in 1..=9 {
            assert!(ended.is_ended(&id(n), UnixSeconds(20)), "{n} began before the overflow");
        }
        assert!(!ended.is_ended(&id(9), UnixSeconds(21)), "one that begins afterwards serves");
        let ended = Ended::holding(2);
        ended.end(id(1), UnixSeconds(30), UnixSeconds(20));
        ended.end(id(2), UnixSeconds(100), UnixSeconds(20));
        ended.end(id(3), UnixSeconds(100), UnixSeconds(30));
        assert!(!ended.is_ended(&id(9), UnixSeconds(20)), "an expired one made room");
    }
}
