//! A tag index in memory that forgets in a crash what was not flushed.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::Tag;
use vault::log::TagIndex;

#[derive(Debug, Clone, Default)]
struct Pairs {
    now: BTreeSet<(Tag, u64)>,
    durable: BTreeSet<(Tag, u64)>,
}

/// Which tags stand in which entries, in memory.
#[derive(Debug, Default)]
pub struct MemoryIndex(Mutex<Pairs>);

impl MemoryIndex {
    fn pairs(&self) -> MutexGuard<'_, Pairs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a restart after a crash finds: only what was flushed.
    #[must_use]
    pub fn crash(&self) -> Self {
        let durable = self.pairs().durable.clone();
        Self(Mutex::new(Pairs { now: durable.clone(), durable }))
    }

    /// Whether a tag is known to stand in an entry.
    #[must_use]
    pub fn has(&self, tag: Tag, entry: u64) -> bool {
        self.pairs().now.contains(&(tag, entry))
    }
}

impl TagIndex for MemoryIndex {
    fn clear(&self) -> Result<(), String> {
        self.pairs().now.clear();
        Ok(())
    }

    fn add(&self, pairs: &[(Tag, u64)]) -> Result<(), String> {
        self.pairs().now.extend(pairs.iter().copied());
        Ok(())
    }

    fn flush(&self) -> Result<(), String> {
        let mut pairs = self.pairs();
        pairs.durable = pairs.now.clone();
        Ok(())
    }
}
