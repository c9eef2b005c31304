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

/// A thread that makes changes.
pub(super) struct Committer {
    jobs: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    pub(super) fn start(engine: Arc<dyn Engine>) -> Result<Self, EngineError> {
        let (jobs, waiting) = mpsc::sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("vault-records".to_owned());
        let thread = thread.spawn(move || work(engine.as_ref(), &waiting)).map_err(EngineError::Thread)?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })
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
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It ends when it has made what waits; that it panicked was told.
            let _ = thread.join();
        }
    }
}

fn work(engine: &dyn Engine, waiting: &Receiver<Job>) {
    while let Ok(first) = waiting.recv() {
        let mut jobs = vec![first];
        jobs.extend(waiting.try_iter().take(BATCH_MAX - 1));
        let changes: Vec<&Change> = jobs.iter().flat_map(|job| &job.changes).collect();
        let mut held = engine.apply(&changes).into_iter();
        for job in jobs {
            let own = held.by_ref().take(job.changes.len()).collect();
            // Who does not wait any more finds out by reading.
            let _ = job.answer.send(own);
        }
    }
}
