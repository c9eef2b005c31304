//! A rulebook that somebody proposes, asked beside the one that decides. It counts, and nothing else: what crosses,
//! what is recorded and what is answered come from the live one alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::rulebook::{Files, Rulebook};
use model::{Digest, Facts, Name, Problems};
use policy::Engine;
use policy::bridge::Bridge;
use policy::compare::{self, Shadowed};

use crate::rulebook;

/// What a shadow has seen since the start, in groups of fields.
#[derive(Debug, Default)]
pub struct Seen {
    same: AtomicU64,
    wider: AtomicU64,
    narrower: AtomicU64,
    errors: AtomicU64,
}

impl Seen {
    /// The counts so far.
    #[must_use]
    pub fn now(&self) -> Shadowed {
        let of = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Shadowed {
            same: of(&self.same),
            wider: of(&self.wider),
            narrower: of(&self.narrower),
            errors: of(&self.errors),
        }
    }

    fn add(&self, more: Shadowed) {
        let add = |n: &AtomicU64, more| n.fetch_add(more, Ordering::Relaxed);
        add(&self.same, more.same);
        add(&self.wider, more.wider);
        add(&self.narrower, more.narrower);
        add(&self.errors, more.errors);
    }
}

/// A candidate beside a road's rulebook.
pub struct Shadow {
    digest: Digest,
    bridge: Bridge,
    engine: Engine,
    seen: Arc<Seen>,
}

impl std::fmt::Debug for Shadow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shadow({})", self.digest)
    }
}

impl Shadow {
    /// Checks the files of a candidate; it needs no signature, since it decides nothing.
    ///
    /// # Errors
    /// Every problem of the files at once.
    pub fn new(live: &Rulebook, files: &Files) -> Result<Self, Problems> {
        let (candidate, engine) = rulebook::candidate(files)?;
        let digest = candidate.digest;
        let bridge = Bridge::new(Arc::new(live.clone()), Arc::new(candidate));
        Ok(Self { digest, bridge, engine, seen: Arc::default() })
    }

    /// The candidate's digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its counts, to hold on to.
    #[must_use]
    pub fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }

    // INVARIANT: nothing comes out of here but counts; not even a panic.
    pub(crate) fn compare(&self, decided: &Facts, lane: &Name, allowed: bool) -> Shadowed {
        let asked = || compare::shadow(&self.bridge, &self.engine, decided, Some(lane), allowed);
        catch_unwind(AssertUnwindSafe(asked)).unwrap_or(Shadowed { errors: 1, ..Shadowed::default() })
    }

    pub(crate) fn count(&self, more: Shadowed) {
        self.seen.add(more);
    }
}
