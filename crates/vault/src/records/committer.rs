//! Makes the changes of all who wait as one: a durable write costs the same for one change and for many.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::engine::{Change, Engine, EngineError};

/// Changes that wait; whoever comes then waits to be heard.
const WAITING_MAX: usize = 1024;
/// Changes that are made together.
const BATCH_MAX: usize = 256;

/// Whether the conditions of each change held, or why it failed.
type Held = Vec<Result<bool, Arc<EngineError>>>;

struct Job {
    changes: Vec<Change>,
    answer: SyncSender<Held>,
}

/// The threads that make changes: as many as the engine takes.
pub(super) struct Committer {
    jobs: Mutex<Option<SyncSender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Committer {
    pub(super) fn start(engine: Arc<dyn Engine>) -> Result<Self, EngineError> {
        let (jobs, waiting) = mpsc::sync_channel(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let mut threads = Vec::new();
        for _ in 0..engine.writers().max(1) {
            let (engine, waiting) = (Arc::clone(&engine), Arc::clone(&waiting));
            let thread = std::thread::Builder::new().name("vault-records".to_owned());
            let thread = thread.spawn(move || work(engine.as_ref(), &waiting));
            threads.push(thread.map_err(EngineError::Thread)?);
        }
        Ok(Self { jobs: Mutex::new(Some(jobs)), threads: Mutex::new(threads) })
    }

    /// Makes a change, durably, when its conditions hold; says whether they did. Blocks.
    pub(super) fn change(&self, change: Change) -> Result<bool, Arc<EngineError>> {
        self.changes(vec![change])?.pop().unwrap_or_else(|| Err(Arc::new(EngineError::Ended)))
    }

    /// Makes several, each on its own terms. Blocks.
    pub(super) fn changes(&self, changes: Vec<Change>) -> Result<Held, Arc<EngineError>> {
        let (answer, answered) = mpsc::sync_channel(1);
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let gone = || Arc::new(EngineError::Ended);
        jobs.ok_or_else(gone)?.send(Job { changes, answer }).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It ends when nothing waits any more; that it panicked was told.
            let _ = thread.join();
        }
    }
}

/// What waits, with the first of it; `None` when nothing comes any more.
fn taken(waiting: &Mutex<Receiver<Job>>) -> Option<Vec<Job>> {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let mut jobs = vec![waiting.recv().ok()?];
    jobs.extend(waiting.try_iter().take(BATCH_MAX - 1));
    Some(jobs)
}

fn work(engine: &dyn Engine, waiting: &Mutex<Receiver<Job>>) {
    while let Some(jobs) = taken(waiting) {
        let changes: Vec<&Change> = jobs.iter().flat_map(|job| &job.changes).collect();
        let mut held = engine.apply(&changes).into_iter();
        for job in jobs {
            let own = held.by_ref().take(job.changes.len()).collect();
            // Who does not wait any more finds out by reading.
            let _ = job.answer.send(own);
        }
    }
}
