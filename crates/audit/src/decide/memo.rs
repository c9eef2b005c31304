//! Decisions that were made, by what makes them equal, for all threads.

use std::{
    collections::{HashMap, hash_map},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use super::Problem;
use crate::{facts::Facts, hash::Hash, rulebook::Rulebook};

/// Decisions that one shard remembers; then it forgets all.
const SHARD_MAX: usize = 1 << 14;
const SHARDS: usize = 16;

/// What an entry claims of its facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Released,
    RefusedForPolicy,
    RefusedForAssessment,
}

/// Answers, which are mostly empty: nothing is wrong.
type Answer = Arc<[Problem]>;

/// Decides, and remembers what it decided.
pub(crate) struct Memo {
    shards: [Mutex<HashMap<Hash, Answer>>; SHARDS],
    fresh: AtomicU64,
    nanos: AtomicU64,
}

impl Memo {
    pub(crate) fn new() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, fresh: AtomicU64::new(0), nanos: AtomicU64::new(0) }
    }

    /// What is wrong with the claim, asked of the policies at most once while it is remembered.
    pub(crate) fn decide(
        &self,
        question: Question,
        digest: &Hash,
        rulebook: &Rulebook,
        facts: &Facts<'_>,
    ) -> Answer {
        let Some(judge) = &rulebook.judge else { return Arc::default() };
        let key = judge.sameness().key(question, digest, &rulebook.programme, facts);
        let place = usize::from(key.first().copied().unwrap_or_default()) % SHARDS;
        let Some(shard) = self.shards.get(place) else { return Arc::default() };
        let lock = || shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = lock().get(&key) {
            return answer.clone();
        }
        // Not under the lock: another thread may decide the same meanwhile, with the same outcome.
        let started = Instant::now();
        let answer: Answer = match question {
            Question::Released => judge.released(&rulebook.programme, facts),
            Question::RefusedForPolicy => judge.refused(&rulebook.programme, facts),
            Question::RefusedForAssessment => judge.refused_for_assessment(&rulebook.programme, facts),
        }
        .into();
        let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        let mut known = lock();
        if known.len() >= SHARD_MAX {
            known.clear();
        }
        if let hash_map::Entry::Vacant(place) = known.entry(key) {
            place.insert(answer.clone());
            self.fresh.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// Decisions that were really made, and the time that all threads together took for them.
    pub(crate) fn fresh(&self) -> (u64, u64) {
        (self.fresh.load(Ordering::Relaxed), self.nanos.load(Ordering::Relaxed))
    }
}
