//! The committer: takes all that waits, commits it as one batch, hands out receipts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ledger::wal::FRAME_MAX;
use ledger::{CommitError, Sequencer, StorageError, Submission};

use super::segments::Segments;
use super::{Border, BorderClosed, Job, Reply, Shared};

/// Most submissions in one batch.
const BATCH_MAX: usize = 4096;

pub(super) struct Committer {
    shared: Arc<Shared>,
    sequencer: Sequencer<Segments>,
    reopening: Box<dyn FnMut() -> Submission + Send>,
    fatal: Box<dyn Fn(&str) + Send>,
}

enum Next {
    Jobs(Vec<Job>),
    Retry,
    Stop,
}

impl Committer {
    pub(super) fn new(
        shared: Arc<Shared>, sequencer: Sequencer<Segments>, reopening: Box<dyn FnMut() -> Submission + Send>,
        fatal: Box<dyn Fn(&str) + Send>,
    ) -> Self {
        Self { shared, sequencer, reopening, fatal }
    }

    pub(super) fn run(mut self) {
        loop {
            match self.next() {
                Next::Stop => break,
                Next::Retry => {
                    let probe = (self.reopening)();
                    if !self.commit(vec![probe], Vec::new()) {
                        break;
                    }
                }
                Next::Jobs(jobs) => {
                    if !self.commit_all(jobs) {
                        break;
                    }
                }
            }
        }
        self.shared.publish_wake.notify_all();
    }

    fn next(&self) -> Next {
        let Ok(mut queue) = self.shared.queue.lock() else { return Next::Stop };
        loop {
            if !queue.jobs.is_empty() {
                queue.idle = false;
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

    /// Commits in batches that fit a frame. `false` ends the thread.
    fn commit_all(&mut self, jobs: Vec<Job>) -> bool {
        let (mut batch, mut replies, mut bytes) = (Vec::new(), Vec::new(), 0);
        for job in jobs {
            let len = job.submission.len() + 64;
            if !batch.is_empty() && (bytes + len > FRAME_MAX || batch.len() >= BATCH_MAX) {
                if !self.commit(std::mem::take(&mut batch), std::mem::take(&mut replies)) {
                    return false;
                }
                bytes = 0;
            }
            bytes += len;
            batch.push(job.submission);
            replies.push(job.reply);
        }
        self.commit(batch, replies)
    }

    fn commit(&mut self, batch: Vec<Submission>, replies: Vec<Reply>) -> bool {
        if self.shared.unpublished.load(Ordering::Acquire) > self.shared.options.unpublished_max as u64 {
            self.close(BorderClosed::NotWritten, replies);
            return true;
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
                if let Ok(mut publish) = self.shared.publish.lock() {
                    publish.push(committed);
                }
                self.open();
                true
            }
            Err(CommitError::Storage(StorageError::NotWritten(e))) => {
                tracing::error!(error = %e, "the ledger cannot be written: the border is closed");
                self.close(BorderClosed::NotWritten, replies);
                true
            }
            Err(e) => {
                // INVARIANT: after a failed flush nothing is retried and nobody gets a receipt.
                self.close(BorderClosed::Stopped, replies);
                if let Ok(mut queue) = self.shared.queue.lock() {
                    queue.stop = true;
                }
                (self.fatal)(&e.to_string());
                false
            }
        }
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
