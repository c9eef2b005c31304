//! Makes the changes of all who wait as one: a durable write costs the same for one change and for many.
//!
//! Whoever comes while a writer is free makes what waits, and their own with it, on their own thread; the others are woken
//! when theirs is made, or when it is their turn to write.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use super::engine::{Change, Engine, EngineError};

/// Jobs whose changes are made together.
const BATCH_MAX: usize = 256;

/// Whether the conditions of each change held, or why it failed.
type Held = Vec<Result<bool, Arc<EngineError>>>;

struct Job {
    changes: Vec<Change>,
    held: Mutex<Option<Held>>,
    waiter: Thread,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Job>>,
    /// How many threads are making changes.
    writing: usize,
}

/// Makes changes: as many at a time as the engine takes.
pub(super) struct Committer {
    engine: Arc<dyn Engine>,
    queue: Mutex<Queue>,
}

impl Committer {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, queue: Mutex::default() }
    }

    /// Makes a change, durably, when its conditions hold; says whether they did. Blocks.
    pub(super) fn change(&self, change: Change) -> Result<bool, Arc<EngineError>> {
        self.changes(vec![change])?.pop().unwrap_or_else(|| Err(Arc::new(EngineError::Ended)))
    }

    /// Makes several, each on its own terms. Blocks.
    pub(super) fn changes(&self, changes: Vec<Change>) -> Result<Held, Arc<EngineError>> {
        let job = Arc::new(Job { changes, held: Mutex::default(), waiter: thread::current() });
        self.queue().waiting.push_back(Arc::clone(&job));
        loop {
            if let Some(held) = job.held.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Ok(held);
            }
            match Batch::begin(self) {
                Some(batch) => batch.make(),
                // Woken once more than needed, it looks again.
                None => thread::park(),
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one thread makes at a time.
struct Batch<'a> {
    committer: &'a Committer,
    jobs: Vec<Arc<Job>>,
}

impl<'a> Batch<'a> {
    /// What waits, if something does and a writer is free.
    fn begin(committer: &'a Committer) -> Option<Self> {
        let mut queue = committer.queue();
        if queue.writing >= committer.engine.writers().max(1) || queue.waiting.is_empty() {
            return None;
        }
        queue.writing += 1;
        let count = queue.waiting.len().min(BATCH_MAX);
        Some(Self { committer, jobs: queue.waiting.drain(..count).collect() })
    }

    fn make(mut self) {
        let changes: Vec<&Change> = self.jobs.iter().flat_map(|job| &job.changes).collect();
        let mut held = self.committer.engine.apply(&changes).into_iter();
        for job in std::mem::take(&mut self.jobs) {
            answer(&job, held.by_ref().take(job.changes.len()).collect());
        }
    }
}

fn answer(job: &Job, held: Held) {
    *job.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
    job.waiter.unpark();
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        // Only a panic of the engine leaves any: nobody is to wait for ever.
        for job in &self.jobs {
            answer(job, job.changes.iter().map(|_| Err(Arc::new(EngineError::Ended))).collect());
        }
        let mut queue = self.committer.queue();
        queue.writing -= 1;
        if let Some(next) = queue.waiting.front() {
            next.waiter.unpark();
        }
    }
}
