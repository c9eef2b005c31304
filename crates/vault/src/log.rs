//! The ledger's log: a committer thread that makes batches durable, and a publisher thread that derives tiles,
//! bundles and details from them. Where the batches are durable is the [`Journal`]'s affair: segments on this
//! machine, or a PostgreSQL database.
//!
//! Commit path: everything that waits is taken at once (a busy log gathers for a moment), written as one frame, flushed, and only
//! then are receipts handed out. What the publisher writes can be rebuilt from the frames, which are kept
//! until it is flushed. Refuses to start on a log that is not there, that another process holds, or whose
//! frames end before what was published. Start reading at [`Log::open`].

mod beside;
mod committer;
mod files;
mod groups;
mod journal;
mod packs;
pub(crate) mod postgres;
mod public;
mod publisher;
mod read;
mod rebuild;
mod recover;
mod segments;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ledger::checkpoint::Checkpoint;
use ledger::merkle::Frontier;
use ledger::note::{Signer, Verifier};
use ledger::{Receipt, Submission};
use model::{Explain, Tag};
use tokio::sync::oneshot;

use crate::disk::Disk;

pub use beside::Beside;
pub use journal::{Journal, Opened, Past};
pub use postgres::{Database, Moving, Postgres, PostgresError, Secure, Timeouts, connect, end_point};
pub use read::Published;
pub use rebuild::{Rebuilt, rebuild};
pub use segments::Segments;

pub(crate) const CHECKPOINT: &str = "ledger/checkpoint";
pub(crate) const DURABLE: &str = "wal/durable";

/// Whose log it is.
pub struct Identity {
    /// First line of its checkpoints, and the name of its key.
    pub origin: String,
    /// Signs checkpoints.
    pub signer: Signer,
}

impl Identity {
    fn verifier(&self) -> Verifier {
        self.signer.verifier().clone()
    }
}

/// Limits of a log.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of one segment of the write-ahead log, written in advance.
    pub segment_bytes: u64,
    /// Most submissions that may wait.
    pub queue_max: usize,
    /// Most entries that may wait for publication before commits stop.
    pub unpublished_max: usize,
    /// How often tiles and checkpoint are published.
    pub publish_every: Duration,
    /// How often published files are flushed and segments recycled.
    pub flush_every: Duration,
    /// How long after a refused write the next attempt is made.
    pub retry_after: Duration,
    /// Full tiles that one pack holds. The format says 256, and every reader of the folder relies on it: other
    /// numbers are for tests with small trees.
    pub pack_tiles: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            queue_max: 16_384,
            unpublished_max: 1 << 20,
            publish_every: Duration::from_millis(250),
            flush_every: Duration::from_secs(2),
            retry_after: Duration::from_millis(250),
            pack_tiles: 256,
        }
    }
}

/// Takes note of which tags stand in which entries, for the person's own list.
pub trait TagIndex: Send + Sync {
    /// Forgets all pairs, before they are derived again.
    ///
    /// # Errors
    /// A short reason.
    fn clear(&self) -> Result<(), String>;
    /// Adds pairs; the same pair may come again after a restart.
    ///
    /// # Errors
    /// A short reason.
    fn add(&self, pairs: &[(Tag, u64)]) -> Result<(), String>;
    /// Makes what was added durable.
    ///
    /// # Errors
    /// A short reason.
    fn flush(&self) -> Result<(), String>;
}

/// What the log does on its own account, and how it ends.
pub struct Hooks {
    /// Makes the entry that opens the border again after it was closed. Without it the next entry that is
    /// asked for is the test of whether the log can be written again.
    pub reopening: Option<Box<dyn FnMut() -> Submission + Send>>,
    /// Where tags are noted.
    pub index: Arc<dyn TagIndex>,
    /// Called when nobody can say any more what is on the disk. In production it ends the process.
    pub fatal: Box<dyn Fn(&str) + Send>,
}

/// Why nothing may cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BorderClosed {
    /// The disk is full or refuses writes.
    #[error("the ledger cannot be written")]
    NotWritten,
    /// More waits than may wait.
    #[error("the ledger's queue is full")]
    Full,
    /// The log has ended.
    #[error("the ledger has stopped")]
    Stopped,
    /// This entry with its detail and tag list is longer than a frame. Others may cross.
    #[error("the entry is longer than the ledger takes")]
    TooLong,
}

impl Explain for BorderClosed {
    fn code(&self) -> &'static str {
        "CLV-0201"
    }
    fn fix(&self) -> &'static str {
        match self {
            Self::TooLong => {
                "split the import or the request: detail and tag list of one entry are at most 4 MiB"
            }
            _ => {
                "free space on the ledger's disk; the border opens by itself after a successful durable write"
            }
        }
    }
    fn public(&self) -> &'static str {
        "the border is closed; nothing was released"
    }
}

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// There is no log here, and none is made as a side effect.
    #[error("no ledger here")]
    Missing,
    /// There is one already.
    #[error("a ledger is here already")]
    Exists,
    /// A file cannot be read or written.
    #[error("cannot use `{path}`")]
    Io {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The database that has the frames cannot be used.
    #[error("cannot use the ledger's database")]
    Database(#[from] PostgresError),
    /// The published checkpoint is not of this log.
    #[error("the checkpoint is not signed by this log's key")]
    OtherLog,
    /// The frames end before what was published: entries are missing.
    #[error("the log ends at entry {found}, but {published} were published")]
    Lost {
        /// Entries found.
        found: u64,
        /// Entries that the newest checkpoint counts.
        published: u64,
    },
    /// That tree is not published yet.
    #[error("a tree of {asked} entries is not published, but one of {published}")]
    Unpublished {
        /// Entries that it would have.
        asked: u64,
        /// Entries that the newest checkpoint counts.
        published: u64,
    },
    /// The published tiles do not belong to the checkpoint, or a frame in the middle is damaged.
    #[error("the log is damaged: {0}")]
    Damaged(String),
}

impl Explain for LogError {
    fn code(&self) -> &'static str {
        "CLV-0202"
    }
    fn fix(&self) -> &'static str {
        match self {
            Self::Database(_) => {
                "see that [ledger.postgres] names the database of this log, that it answers, and that it flushes what it confirms"
            }
            _ => {
                "restore the ledger folder from a copy that is not older than the last checkpoint; `clover init` makes a new one"
            }
        }
    }
    fn public(&self) -> &'static str {
        "the border is closed; nothing was released"
    }
}

/// Whether anything may cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// The last durable write succeeded.
    Open,
    /// It did not.
    Closed(BorderClosed),
}

type Reply = oneshot::Sender<Result<Receipt, BorderClosed>>;

/// A submission and who waits for its receipt.
pub(crate) struct Job {
    pub(crate) submission: Submission,
    pub(crate) reply: Reply,
}

/// What threads share.
pub(crate) struct Shared {
    pub(crate) queue: Mutex<Queue>,
    pub(crate) wake: Condvar,
    pub(crate) ready: Mutex<Ready>,
    pub(crate) publish_wake: Condvar,
    pub(crate) unpublished: AtomicU64,
    pub(crate) committed: AtomicU64,
    pub(crate) published: AtomicU64,
    pub(crate) listed: AtomicU64,
    packs: packs::Packs,
    pub(crate) options: Options,
}

impl Shared {
    fn new(recovered: &recover::Recovered, options: Options) -> Self {
        let (size, published) = (recovered.tree.size(), recovered.published);
        let (jobs, border) = (Vec::new(), Border::Open);
        Self {
            queue: Mutex::new(Queue { jobs, border, stop: false, idle: true, broken: None }),
            wake: Condvar::new(),
            ready: Mutex::default(),
            publish_wake: Condvar::new(),
            unpublished: AtomicU64::new(size - published),
            committed: AtomicU64::new(size),
            published: AtomicU64::new(published),
            listed: AtomicU64::new(0),
            packs: packs::Packs::new(recovered.publisher.size(), options.pack_tiles),
            options,
        }
    }

    /// Ends the log from the publisher's side.
    pub(crate) fn give_up(&self, why: &'static str) {
        if let Ok(mut queue) = self.queue.lock() {
            queue.broken = Some(why);
        }
        self.wake.notify_all();
    }
}

/// What waits for the committer.
pub(crate) struct Queue {
    pub(crate) jobs: Vec<Job>,
    pub(crate) border: Border,
    pub(crate) stop: bool,
    pub(crate) idle: bool,
    /// Why nobody can say any more what is on the disk.
    pub(crate) broken: Option<&'static str>,
}

/// What waits for the publisher.
#[derive(Default)]
pub(crate) struct Ready {
    pub(crate) batches: Vec<ledger::Committed>,
    /// The committer has ended: nothing will be added.
    pub(crate) ended: bool,
}

/// A running log.
pub struct Log {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    verifier: Verifier,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Log {
    /// Makes a new, empty log whose frames are files of the same disk. Explicit, never a side effect.
    ///
    /// # Errors
    /// [`LogError::Exists`] when there is one; else what the disk says.
    pub fn create(disk: &dyn Disk, identity: &Identity) -> Result<(), LogError> {
        if segments::any(disk)? { Err(LogError::Exists) } else { begin(disk, identity, || Ok(())) }
    }

    /// Makes a new, empty log with a journal of its own. Explicit, never a side effect.
    ///
    /// # Errors
    /// [`LogError::Exists`] when the disk or the journal has one; else what they say.
    pub fn create_on(disk: &dyn Disk, journal: &dyn Journal, identity: &Identity) -> Result<(), LogError> {
        begin(disk, identity, || journal.create())
    }

    /// Puts an empty tree in the place of a folder that was lost, if the journal still has every frame from the
    /// first on. [`Log::open_on`] then derives everything again.
    ///
    /// # Errors
    /// [`LogError::Exists`] when there is a tree; [`LogError::Missing`] when the journal is empty, and
    /// [`LogError::Damaged`] when frames were let go: then only a copy of the folder helps.
    pub fn restore_on(disk: &dyn Disk, journal: &dyn Journal, identity: &Identity) -> Result<(), LogError> {
        begin(disk, identity, || match journal.open(0, &mut |_| Ok(()))?.next {
            0 => Err(LogError::Missing),
            _ => Ok(()),
        })
    }

    /// Opens a log whose frames are files of the same disk, as [`Log::open_on`] does.
    ///
    /// # Errors
    /// [`LogError`]; a log in doubt does not start.
    pub fn open(
        disk: Arc<dyn Disk>,
        identity: Identity,
        options: Options,
        hooks: Hooks,
    ) -> Result<Self, LogError> {
        let journal = Segments::new(Arc::clone(&disk), options.segment_bytes);
        Self::open_on(disk, &journal, identity, options, hooks)
    }

    /// Opens a log: checks what was published, reads the frames behind it, publishes what is missing, and
    /// starts its threads.
    ///
    /// # Errors
    /// [`LogError`]; a log in doubt does not start.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        journal: &dyn Journal,
        identity: Identity,
        options: Options,
        hooks: Hooks,
    ) -> Result<Self, LogError> {
        rebuild::refuse_unfinished(disk.as_ref())?;
        let verifier = identity.verifier();
        let recovered = recover::recover(disk.as_ref(), journal, &verifier)?;
        let (flushed, size) = (recovered.publisher.size(), recovered.tree.size());
        groups::remove_unmarked(disk.as_ref(), options.pack_tiles, flushed, size)?;
        let shared = Arc::new(Shared::new(&recovered, options));
        let Opened { storage, past, .. } = recovered.journal;
        let storage = journal::Appending(storage);
        let sequencer = ledger::Sequencer::new(&identity.origin, recovered.tree, storage);
        let mut publisher =
            recovered.publisher.attach(identity, Arc::clone(&disk), Arc::clone(&shared), hooks.index, past);
        publisher.sign(sequencer.tree().head()).map_err(|e| LogError::Damaged(e.to_string()))?;
        publisher.catch_up(recovered.pending).map_err(|publisher::Unflushed| LogError::Io {
            path: "ledger".to_owned(),
            source: std::io::Error::other("not flushed"),
        })?;
        let committer =
            committer::Committer::new(Arc::clone(&shared), sequencer, hooks.reopening, hooks.fatal);
        let (packing, packed) = (Arc::clone(&shared), Arc::clone(&disk));
        let threads = vec![
            spawn("ledger-commit", move || committer.run())?,
            spawn("ledger-publish", move || publisher.run())?,
            spawn("ledger-pack", move || {
                packs::Packer::new(&packing.packs, packed.as_ref(), &packing.unpublished).run();
            })?,
        ];
        Ok(Self { shared, disk, verifier, threads: Mutex::new(threads) })
    }

    /// Queues an entry. The receiver yields its receipt once it is durable.
    ///
    /// # Errors
    /// [`BorderClosed`], and nothing is queued.
    pub fn submit(
        &self,
        submission: Submission,
    ) -> Result<oneshot::Receiver<Result<Receipt, BorderClosed>>, BorderClosed> {
        if submission.len() > ledger::wal::FRAME_MAX {
            return Err(BorderClosed::TooLong);
        }
        let (reply, receipt) = oneshot::channel();
        let mut queue = self.shared.queue.lock().map_err(|_| BorderClosed::Stopped)?;
        if queue.stop {
            return Err(BorderClosed::Stopped);
        }
        if let Border::Closed(why) = queue.border {
            return Err(why);
        }
        if queue.jobs.len() >= self.shared.options.queue_max {
            return Err(BorderClosed::Full);
        }
        queue.jobs.push(Job { submission, reply });
        // One wake-up serves all that arrive while the committer is busy.
        let wake = std::mem::replace(&mut queue.idle, false);
        drop(queue);
        if wake {
            self.shared.wake.notify_one();
        }
        Ok(receipt)
    }

    /// Queues an entry and waits for its receipt on this thread.
    ///
    /// # Errors
    /// [`BorderClosed`] when it is not durable.
    pub fn submit_and_wait(&self, submission: Submission) -> Result<Receipt, BorderClosed> {
        self.submit(submission)?.blocking_recv().map_err(|_| BorderClosed::Stopped)?
    }

    /// Whether anything may cross.
    #[must_use]
    pub fn border(&self) -> Border {
        self.shared.queue.lock().map_or(Border::Closed(BorderClosed::Stopped), |q| {
            if q.stop { Border::Closed(BorderClosed::Stopped) } else { q.border }
        })
    }

    /// Entries that are durable.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shared.committed.load(Ordering::Acquire)
    }

    /// Entries that the published checkpoint counts.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.shared.published.load(Ordering::Acquire)
    }

    /// Published entries whose tags are noted, so that people's own lists are complete so far.
    #[must_use]
    pub fn listed(&self) -> u64 {
        self.published().min(self.shared.listed.load(Ordering::Acquire))
    }

    /// Stops after everything queued is durable and published.
    pub fn close(&self) {
        if let Ok(mut queue) = self.shared.queue.lock() {
            queue.stop = true;
        }
        self.shared.wake.notify_all();
        let threads = self.threads.lock().map(|mut t| std::mem::take(&mut *t)).unwrap_or_default();
        for t in threads {
            // The committer ends first and tells the publisher, which then publishes the rest.
            if t.join().is_err() {
                tracing::error!("a ledger thread panicked");
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

/// Writes the heads of an empty log, once the journal is ready for it.
fn begin(
    disk: &dyn Disk,
    identity: &Identity,
    journal: impl FnOnce() -> Result<(), LogError>,
) -> Result<(), LogError> {
    let io = |source| LogError::Io { path: CHECKPOINT.to_owned(), source };
    if disk.read(Path::new(CHECKPOINT)).map_err(io)?.is_some() {
        return Err(LogError::Exists);
    }
    journal()?;
    let empty = Checkpoint::new(&identity.origin, Frontier::new().head())
        .and_then(|c| c.sign(&identity.signer))
        .map_err(|e| LogError::Damaged(e.to_string()))?;
    disk.replace(Path::new(DURABLE), empty.as_bytes()).map_err(io)?;
    disk.replace(Path::new(CHECKPOINT), empty.as_bytes()).map_err(io)?;
    disk.sync_all().map_err(io)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|source| LogError::Io { path: name.to_owned(), source })
}
