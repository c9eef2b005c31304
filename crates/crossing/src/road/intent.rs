//! The intent of a crossing: where policy demands it (`@duty("recordIntent")`), that somebody is about to see something is on the
//! ledger before anything of it is opened. It is the open entry of a stream, and the outcome its close (`docs/formats/entry.md`,
//! Streams), so an intent without an outcome is seen by everybody who reads the log.

use ledger::stream::{Counts, Hold, Stream};
use ledger::{Draft, EntryKind, StreamPlace, Subjects, sha256};
use model::{Reason, UnixSeconds};

use super::steps::{Outline, Permitted};
use crate::in_force::Passing;
use crate::seal::{Expected, ReceiptMismatch, Receipts, Recording, SealError, Sealing, seal_detail};
use crate::treat::Fired;

/// Seconds from an intent to the latest outcome.
const LEASE: u64 = 600;

/// An intent that waits for its receipts.
#[derive(Debug)]
#[must_use = "an intent that is dropped stays open on the ledger, if it was recorded"]
pub struct Intent {
    open: Draft,
    expected: Expected,
}

impl Permitted<'_> {
    /// Whether the intent must be on the ledger before anything of this is opened.
    #[must_use]
    pub fn needs_intent(&self) -> bool {
        self.intent && self.outline.stream.is_none()
    }

    /// When the crossing was asked for.
    #[must_use]
    pub fn at(&self) -> UnixSeconds {
        self.outline.now
    }

    /// Makes the entry of the intent to release at most so many bytes.
    ///
    /// # Errors
    /// [`Reason::Subject`], when nobody can say beforehand whom the answer will be about, as of counts; [`SealError`], when it
    /// cannot be sealed.
    pub fn intend(
        &self,
        bytes: u64,
        mut sealing: Sealing<'_>,
    ) -> Result<Result<(Intent, Recording), Reason>, SealError> {
        let Some((subject, _)) = &self.outline.subject else { return Ok(Err(Reason::Subject)) };
        let people = [(sealing.resolve)(subject).map_err(SealError::Person)?];
        let actor = self.outline.actor_text(&sealing, "intended", None, &Fired::new());
        let text = self.outline.person_text("intended", &self.treatments());
        let detail = seal_detail(&self.outline.flow, &actor, &people, &text, &mut sealing)?;
        let open = Draft {
            classes: self.classes(),
            treatments: self.treatments(),
            bytes,
            detail: sha256(&detail),
            subjects: Subjects::of(people.iter().map(|p| p.tag).collect()),
            stream: Some(StreamPlace::Open { lease: self.outline.now.plus(LEASE) }),
            ..self.outline.draft(EntryKind::Open)
        };
        let recording = Recording::new(&open, detail);
        Ok(Ok((Intent { open, expected: recording.expected() }, recording)))
    }
}

impl Permitted<'_> {
    /// Takes note that its intent is on the ledger.
    ///
    /// # Errors
    /// [`ReceiptMismatch`] when these are not the receipts of its intent.
    pub fn intended(&mut self, intent: &Intent, receipts: &Receipts) -> Result<(), ReceiptMismatch> {
        intent.expected.met(receipts)?;
        let stream = Stream::open(&intent.open, &receipts.entry).map_err(|_| intent.expected.mismatch())?;
        let same = intent.open.flow == self.outline.flow && intent.open.facts == self.outline.facts;
        if !same {
            return Err(intent.expected.mismatch());
        }
        self.outline.stream = Some(stream);
        Ok(())
    }

    /// Why this may not go on, if its country was suspended or its rulebook replaced meanwhile. While `passing` is held neither
    /// can be.
    #[must_use]
    pub fn stopped(&self, passing: &Passing<'_>) -> Option<Reason> {
        self.outline.stopped(passing)
    }
}

impl Outline {
    /// The last entry of a crossing whose intent is on the ledger; the use of keys was recorded with that.
    pub(super) fn close(
        stream: &mut Stream,
        outcome: ledger::Outcome,
        (bytes, counts): (u64, Counts),
        detail: Vec<u8>,
        now: UnixSeconds,
    ) -> Result<Recording, Hold> {
        // What releases nothing may come behind the lease.
        if bytes > 0 {
            stream.release(bytes, now)?;
        }
        let draft = Draft { detail: sha256(&detail), ..stream.close(outcome, counts, now)? };
        Ok(Recording::closing(&draft, detail))
    }
}
