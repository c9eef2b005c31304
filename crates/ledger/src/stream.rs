//! The writer's side of a stream: what may be released, and the entries it takes (`docs/formats/entry.md`,
//! Streams). It owns no socket and no clock.
//!
//! INVARIANT: at every moment the bytes released are at most those that a durable entry allows, none is
//! released from the end of the lease on, and none after a close was made.

use model::{Digest, Tag, UnixSeconds};

use crate::entry::{Draft, Entry, EntryKind, LEASE_MAX, Outcome, StreamPlace, Subjects};
use crate::sequencer::{Receipt, sha256};

/// A stream whose open entry is durable.
///
/// ```
/// use ledger::{Draft, Outcome};
/// use ledger::stream::{Counts, Hold, Stream};
/// use ledger::Receipt;
/// use model::UnixSeconds;
///
/// fn send(open: &Draft, receipt: &Receipt, now: UnixSeconds) -> Result<Draft, Hold> {
///     let mut stream = Stream::open(open, receipt)?;
///     stream.release(512, now)?; // and only now 512 bytes leave
///     stream.close(Outcome::Complete, Counts { rows: 1, findings: 0 }, now)
/// }
/// ```
#[derive(Debug)]
pub struct Stream {
    open: Draft,
    index: u64,
    budget: u64,
    lease: UnixSeconds,
    released: u64,
    waiting: Option<Waiting>,
    closed: bool,
}

/// An extension that is not durable yet.
#[derive(Debug)]
struct Waiting {
    entry: Digest,
    budget: u64,
    lease: UnixSeconds,
}

/// What went out beside the bytes, from the open on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Records.
    pub rows: u32,
    /// Values withheld because personal data was found in them.
    pub findings: u16,
}

/// Why nothing may be released, or an entry is not made. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Hold {
    /// The budget does not reach.
    #[error("the budget has `{left}` bytes left: it must be extended first")]
    NeedExtend {
        /// Bytes that may still leave.
        left: u64,
    },
    /// The lease is over.
    #[error("the lease is over")]
    LeaseOver,
    /// A close was made.
    #[error("the stream is closed")]
    Closed,
    /// An extension is on its way to the disk.
    #[error("an extension is not durable yet")]
    Waiting,
    /// The new budget or lease is smaller than the one in force, or the lease is longer than 3,600 s.
    #[error("an extension does not take back, and its lease is at most 3600 s")]
    Extension,
    /// The receipt is another entry's.
    #[error("the receipt is not that of the stream's entry")]
    Receipt,
    /// The entry is not of the kind that is needed, or not of this stream.
    #[error("the entry is not one of this stream")]
    Entry,
    /// The tags are not those that the open entry names.
    #[error("the tag list is not that of the open entry")]
    Tags,
}

impl Stream {
    /// Begins a stream: `open` is durable, as its receipt shows.
    ///
    /// # Errors
    /// [`Hold::Receipt`] when the receipt is another entry's, [`Hold::Entry`] when it opens no stream.
    pub fn open(open: &Draft, receipt: &Receipt) -> Result<Self, Hold> {
        if !receipt.covers(&digest(open)) {
            return Err(Hold::Receipt);
        }
        let (EntryKind::Open, Some(StreamPlace::Open { lease })) = (open.kind, open.stream) else {
            return Err(Hold::Entry);
        };
        if lease > open.time.plus(LEASE_MAX) {
            return Err(Hold::Extension);
        }
        let (index, budget) = (receipt.index(), open.bytes);
        Ok(Self { open: open.clone(), index, budget, lease, released: 0, waiting: None, closed: false })
    }

    /// Counts so many bytes as released, if they may be. The caller sends them after that.
    ///
    /// # Errors
    /// [`Hold::Closed`], [`Hold::LeaseOver`] or [`Hold::NeedExtend`]; then not one of them may leave.
    pub fn release(&mut self, bytes: u64, now: UnixSeconds) -> Result<(), Hold> {
        self.in_force(now)?;
        let left = self.budget.saturating_sub(self.released);
        if bytes > left {
            return Err(Hold::NeedExtend { left });
        }
        self.released += bytes;
        Ok(())
    }

    /// Makes the entry that extends the stream to a budget in all and a lease. Nothing more may leave until
    /// [`Stream::extended`] has its receipt; one extension at a time.
    ///
    /// # Errors
    /// [`Hold`]: closed, over, waiting for an earlier one, or an extension that is none.
    pub fn extend(
        &mut self,
        budget: u64,
        lease: UnixSeconds,
        counts: Counts,
        now: UnixSeconds,
    ) -> Result<Draft, Hold> {
        self.in_force(now)?;
        if self.waiting.is_some() {
            return Err(Hold::Waiting);
        }
        if budget < self.budget || lease < self.lease || lease > now.plus(LEASE_MAX) {
            return Err(Hold::Extension);
        }
        let place = StreamPlace::Extend { open: self.index, lease };
        let draft = repeat(&self.open, place, budget, counts, now);
        self.waiting = Some(Waiting { entry: digest(&draft), budget, lease });
        Ok(draft)
    }

    /// The extension is durable: its budget and lease are in force.
    ///
    /// # Errors
    /// [`Hold::Receipt`] when the receipt is not that of the extension that was made last.
    pub fn extended(&mut self, receipt: &Receipt) -> Result<(), Hold> {
        let waiting = self.waiting.take_if(|w| receipt.covers(&w.entry)).ok_or(Hold::Receipt)?;
        (self.budget, self.lease) = (waiting.budget, waiting.lease);
        Ok(())
    }

    /// The extension was certainly not written; another may be made. Where nobody can say, the process ends.
    pub fn not_extended(&mut self) {
        self.waiting = None;
    }

    /// Ends the stream and makes its last entry. It may be written again as it is if it was not.
    ///
    /// # Errors
    /// [`Hold::Closed`] the second time, [`Hold::Waiting`] while an extension is on its way: nothing may
    /// follow a close.
    pub fn close(&mut self, outcome: Outcome, counts: Counts, now: UnixSeconds) -> Result<Draft, Hold> {
        if self.closed {
            return Err(Hold::Closed);
        }
        if self.waiting.is_some() {
            return Err(Hold::Waiting);
        }
        self.closed = true;
        let bytes = if outcome == Outcome::Unknown { self.budget } else { self.released };
        let place = StreamPlace::Close { open: self.index, outcome };
        Ok(repeat(&self.open, place, bytes, counts, now))
    }

    /// Bytes released so far.
    #[must_use]
    pub fn released(&self) -> u64 {
        self.released
    }

    /// Bytes that may leave in all, under the entries that are durable.
    #[must_use]
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// Until when bytes may leave: at this second none may.
    #[must_use]
    pub fn lease(&self) -> UnixSeconds {
        self.lease
    }

    fn in_force(&self, now: UnixSeconds) -> Result<(), Hold> {
        match () {
            () if self.closed => Err(Hold::Closed),
            () if now >= self.lease => Err(Hold::LeaseOver),
            () => Ok(()),
        }
    }
}

/// The close of a stream whose gateway died: outcome unknown, and at most the whole budget left. `tags` is the
/// open entry's tag list, empty if its tags stand in the header; `last` its last extension, if it has one.
///
/// # Errors
/// [`Hold::Entry`] when `open` opens no stream or `last` does not extend it; [`Hold::Tags`] when the tags are
/// not those of the open entry.
pub fn orphan(open: &Entry, tags: &[Tag], last: Option<&Entry>, now: UnixSeconds) -> Result<Draft, Hold> {
    let extends = |last: &Entry| {
        let place =
            matches!(last.draft.stream, Some(StreamPlace::Extend { open: o, .. }) if o == open.sequence);
        place && last.gateway == open.gateway && last.draft.flow == open.draft.flow
    };
    if open.draft.kind != EntryKind::Open || last.is_some_and(|l| !extends(l)) {
        return Err(Hold::Entry);
    }
    let mut first = open.draft.clone();
    if let Some(root) = open.tag_root {
        first.subjects = Subjects::of(tags.to_vec());
        if first.subjects.side_record().is_none_or(|(found, _)| found != root) {
            return Err(Hold::Tags);
        }
    } else if !tags.is_empty() {
        return Err(Hold::Tags);
    }
    let known = last.map_or(&open.draft, |l| &l.draft);
    let counts = Counts { rows: known.rows, findings: known.findings };
    let place = StreamPlace::Close { open: open.sequence, outcome: Outcome::Unknown };
    Ok(repeat(&first, place, known.bytes, counts, now))
}

/// Another entry of the stream: what the open says of the crossing, and no facts.
fn repeat(open: &Draft, place: StreamPlace, bytes: u64, counts: Counts, now: UnixSeconds) -> Draft {
    Draft {
        kind: place.kind(),
        time: now,
        bytes,
        rows: counts.rows,
        findings: counts.findings,
        detail: Digest::new([0; 32]),
        stream: Some(place),
        facts: Vec::new(),
        ..open.clone()
    }
}

/// What identifies an entry before it has a place, as [`crate::Submission::entry`].
fn digest(draft: &Draft) -> Digest {
    sha256(&draft.encode([0; 8], 0))
}

#[cfg(test)]
mod tests;
