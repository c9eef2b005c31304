//! The committer: takes all that waits, commits it as one batch, hands out receipts.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use ledger::wal::FRAME_MAX;
use ledger::{Sequencer, StorageError, Submission};

use super::journal::Appending;
use super::{Border, BorderClosed, Job, Reply, Shared};

/// Most submissions in one batch.
const BATCH_MAX: usize = 4096;
/// Submissions in the last batch from which on the next one waits a moment for company.
const BUSY: usize = 4;
/// How long after that batch it does.
const BUSY_FOR: Duration = Duration::from_millis(5);
/// That moment: a part of what a flush takes, in which those who were just answered come again.
const GATHERING: Duration = Duration::from_micros(120);

pub(super) struct Committer {
    shared: Arc<Shared>,
    sequencer: Sequencer<Appending>,
    reopening: Option<Box<dyn FnMut() -> Submission + Send>>,
    fatal: Box<dyn Fn(&str) + Send>,
    /// Submissions in the last batch, and when it ended.
    last: usize,
    ended: Instant,
}

enum Next {
    Jobs(Vec<Job>),
    Retry,
    Broken(&'static str),
    Stop,
}

/// How a batch ended.
enum Outcome {
    Durable,
    /// Not written, and the border is closed: only its own probe opens it again.
    Refused,
    /// The thread must end.
    Ended,
}

/// However the thread ends, nobody waits for it in vain.
impl Drop for Committer {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.stop = true;
        queue.jobs.clear();
        drop(queue);
        self.shared.ready.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.shared.publish_wake.notify_all();
    }
}

impl Committer {
    pub(super) fn new(
        shared: Arc<Shared>,
        sequencer: Sequencer<Appending>,
        reopening: Option<Box<dyn FnMut() -> Submission + Send>>,
        fatal: Box<dyn Fn(&str) + Send>,
    ) -> Self {
        Self { shared, sequencer, reopening, fatal, last: 0, ended: Instant::now() }
    }

    pub(super) fn run(mut self) {
        loop {
            let outcome = match self.next() {
                Next::Stop => Outcome::Ended,
                Next::Broken(why) => self.end(why, Vec::new()),
                Next::Retry => match self.reopening.as_mut().map(|make| make()) {
                    Some(probe) => self.commit(vec![probe], Vec::new()),
                    None => {
                        self.open();
                        Outcome::Durable
                    }
                },
                Next::Jobs(jobs) => self.commit_all(jobs),
            };
            self.ended = Instant::now();
            if matches!(outcome, Outcome::Ended) {
                break;
            }
        }
    }

    fn next(&self) -> Next {
        let Ok(mut queue) = self.shared.queue.lock() else { return Next::Stop };
        loop {
            if let Some(why) = queue.broken {
                return Next::Broken(why);
            }
            if !queue.jobs.is_empty() {
                queue.idle = false;
                if self.is_busy() && queue.jobs.len() < self.last && !queue.stop {
                    drop(queue);
                    std::thread::sleep(GATHERING);
                    let Ok(gathered) = self.shared.queue.lock() else { return Next::Stop };
                    queue = gathered;
                    if let Some(why) = queue.broken {
                        return Next::Broken(why);
                    }
                }
                return Next::Jobs(std::mem::take(&mut queue.jobs));
            }
            if queue.stop {
                return Next::Stop;
            }
            queue.idle = true;
            if queue.border == Border::Open {
                let Ok(woken) = self.shared.wake.wait(queue) else { return Next::Stop };
                queue = woken;
            } else {
                let wait = self.shared.wake.wait_timeout(queue, self.shared.options.retry_after);
                let Ok((woken, timeout)) = wait else { return Next::Stop };
                if timeout.timed_out() {
                    return Next::Retry;
                }
                queue = woken;
            }
        }
    }

    /// Whether those who were just answered are likely to come again in a moment.
    fn is_busy(&self) -> bool {
        self.last >= BUSY && self.ended.elapsed() < BUSY_FOR
    }

    /// Commits in batches that fit a frame, until one is refused: what comes behind it was asked for when
    /// the border was open, and is refused with it.
    fn commit_all(&mut self, jobs: Vec<Job>) -> Outcome {
        self.last = jobs.len();
        let (mut batch, mut replies, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut jobs = jobs.into_iter();
        while let Some(job) = jobs.next() {
            let len = job.submission.len();
            if !batch.is_empty() && (bytes + len > FRAME_MAX || batch.len() >= BATCH_MAX) {
                let outcome = self.commit(std::mem::take(&mut batch), std::mem::take(&mut replies));
                if !matches!(outcome, Outcome::Durable) {
                    return self.refuse_rest(outcome, job, jobs);
                }
                bytes = 0;
            }
            bytes += len;
            batch.push(job.submission);
            replies.push(job.reply);
        }
        self.commit(batch, replies)
    }

    fn refuse_rest(&self, outcome: Outcome, job: Job, rest: impl Iterator<Item = Job>) -> Outcome {
        let why =
            if matches!(outcome, Outcome::Ended) { BorderClosed::Stopped } else { BorderClosed::NotWritten };
        for job in std::iter::once(job).chain(rest) {
            let _ = job.reply.send(Err(why));
        }
        outcome
    }

    fn commit(&mut self, batch: Vec<Submission>, replies: Vec<Reply>) -> Outcome {
        if self.shared.unpublished.load(Ordering::Acquire) > self.shared.options.unpublished_max as u64 {
            self.close(BorderClosed::NotWritten, replies);
            return Outcome::Refused;
        }
        match self.sequencer.commit(batch) {
            Ok(mut committed) => {
                let receipts = std::mem::take(&mut committed.receipts);
                self.shared.committed.store(self.sequencer.size(), Ordering::Release);
                self.shared.unpublished.fetch_add(committed.entries.len() as u64, Ordering::AcqRel);
                for (reply, receipt) in replies.into_iter().zip(receipts) {
                    // A caller that went away leaves an entry without a release, which is allowed.
                    let _ = reply.send(Ok(receipt));
                }
                if let Ok(mut ready) = self.shared.ready.lock() {
                    ready.batches.push(committed);
                }
                self.open();
                Outcome::Durable
            }
            // INVARIANT: an unsettled batch gets no receipt, now or later. If it was written after all, the storage
            // says so when it is asked again, and the log ends.
            Err(StorageError::NotWritten(e) | StorageError::Unsettled(e)) => {
                let error: &dyn std::error::Error = &e;
                tracing::error!(error, "the ledger cannot be written: the border is closed");
                self.close(BorderClosed::NotWritten, replies);
                Outcome::Refused
            }
            Err(e) => {
                tracing::error!(error = &e as &dyn std::error::Error, "the ledger goes no further");
                self.end(&e.to_string(), replies)
            }
        }
    }

    /// INVARIANT: after a failed flush nothing is retried and nobody gets a receipt.
    fn end(&self, why: &str, replies: Vec<Reply>) -> Outcome {
        self.close(BorderClosed::Stopped, replies);
        if let Ok(mut queue) = self.shared.queue.lock() {
            queue.stop = true;
        }
        (self.fatal)(why);
        Outcome::Ended
    }

    fn close(&self, why: BorderClosed, replies: Vec<Reply>) {
        let waiting = self.shared.queue.lock().map(|mut queue| {
            queue.border = Border::Closed(why);
            std::mem::take(&mut queue.jobs)
        });
        for reply in replies.into_iter().chain(waiting.unwrap_or_default().into_iter().map(|j| j.reply)) {
            let _ = reply.send(Err(why));
        }
    }

    fn open(&self) {
        if let Ok(mut queue) = self.shared.queue.lock()
            && queue.border != Border::Open
        {
            tracing::warn!("the ledger is written again: the border is open");
            queue.border = Border::Open;
        }
    }
}
