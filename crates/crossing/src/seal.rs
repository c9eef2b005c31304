//! The last steps: a payload that waits for its entry, and the only way to open it.

use ledger::detail::{self, DetailError, PersonSection};
use ledger::keylog::Release;
use ledger::{Draft, Receipt, SecretKey, Submission};
use model::{Digest, FlowId, Reason, SubjectId, Tag, UnixSeconds};

/// Bytes on their way out of the region.
pub struct Payload(Vec<u8>);

impl Payload {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, for the connection that carries them.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// A payload that passed policy, inspection and transformation, and waits for its ledger entry. It has no
/// accessor: `release` is the only exit, and asks for the receipts of this payload's own entry and use of keys.
///
/// ```
/// use crossing::{Payload, ReceiptMismatch, Receipts, Sealed};
/// fn open(sealed: Sealed, receipts: &Receipts) -> Result<Payload, ReceiptMismatch> {
///     sealed.release(receipts)
/// }
/// ```
///
/// Without a receipt nothing comes out:
///
/// ```compile_fail,E0616
/// use crossing::{Payload, Sealed};
/// fn open(sealed: Sealed) -> Payload {
///     sealed.payload
/// }
/// ```
///
/// ```compile_fail,E0061
/// use crossing::{Payload, ReceiptMismatch, Sealed};
/// fn open(sealed: Sealed) -> Result<Payload, ReceiptMismatch> {
///     sealed.release()
/// }
/// ```
#[derive(Debug)]
#[must_use = "a sealed payload that is dropped was never released"]
pub struct Sealed {
    payload: Payload,
    expected: Expected,
}

/// What becomes durable before a crossing ends: its entry, and, when it names people, the key service's record
/// that their keys were used for it.
#[derive(Debug)]
pub struct Recording {
    /// For the gateway's log.
    pub entry: Submission,
    /// For the key service's log.
    pub key_use: Option<Submission>,
}

impl Recording {
    pub(crate) fn new(draft: &Draft, detail: Vec<u8>) -> Self {
        let release = Release {
            time: draft.time,
            flow: draft.flow,
            rulebook: draft.rulebook,
            purpose: draft.purpose,
            subjects: draft.subjects.clone(),
        };
        let key_use = release.encode().map(Submission::leaf);
        Self { entry: Submission::new(draft, detail), key_use }
    }

    /// The last entry of a crossing whose use of keys was recorded with its first.
    pub(crate) fn closing(draft: &Draft, detail: Vec<u8>) -> Self {
        Self { entry: Submission::new(draft, detail), key_use: None }
    }

    pub(crate) fn expected(&self) -> Expected {
        Expected { entry: self.entry.entry(), key_use: self.key_use.as_ref().map(Submission::entry) }
    }
}

/// The receipts of a [`Recording`].
#[derive(Debug)]
#[must_use = "receipts that nobody spends mean a payload that never left"]
pub struct Receipts {
    /// Of the gateway's log.
    pub entry: Receipt,
    /// Of the key service's log.
    pub key_use: Option<Receipt>,
}

/// Which receipts open something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    entry: Digest,
    key_use: Option<Digest>,
}

impl Expected {
    pub(crate) fn mismatch(&self) -> ReceiptMismatch {
        ReceiptMismatch { expected: self.entry }
    }

    pub(crate) fn met(&self, receipts: &Receipts) -> Result<(), ReceiptMismatch> {
        let key_use = match (&self.key_use, &receipts.key_use) {
            (None, None) => true,
            (Some(wanted), Some(receipt)) => receipt.covers(wanted),
            _ => false,
        };
        let fits = key_use && receipts.entry.covers(&self.entry);
        if fits { Ok(()) } else { Err(self.mismatch()) }
    }
}

/// A receipt was spent on another payload than its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the receipt is not that of entry `{expected}`; nothing was released")]
pub struct ReceiptMismatch {
    /// The entry that the payload waits for.
    pub expected: Digest,
}

impl Sealed {
    pub(crate) fn new(payload: Payload, expected: Expected) -> Self {
        Self { payload, expected }
    }

    /// Opens the payload with the receipts of its entry and of the use of keys for it.
    ///
    /// # Errors
    /// [`ReceiptMismatch`] for any other receipts; the payload is gone.
    pub fn release(self, receipts: &Receipts) -> Result<Payload, ReceiptMismatch> {
        self.expected.met(receipts).map(|()| self.payload)
    }
}

/// A refusal that waits for its ledger entry.
#[derive(Debug)]
#[must_use = "a refusal is recorded before it is told"]
pub struct SealedRefusal {
    pub(crate) reason: Reason,
    pub(crate) expected: Expected,
}

/// A refusal that is on the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witnessed {
    /// Why.
    pub reason: Reason,
    /// Its place in the log.
    pub index: u64,
}

impl SealedRefusal {
    /// The refusal, once it is recorded.
    ///
    /// # Errors
    /// [`ReceiptMismatch`] for the receipts of another entry.
    pub fn release(self, receipts: &Receipts) -> Result<Witnessed, ReceiptMismatch> {
        self.expected.met(receipts).map(|()| Witnessed { reason: self.reason, index: receipts.entry.index() })
    }
}

/// A person's tag and the key of their section of the detail.
#[derive(Debug, Clone)]
pub struct PersonSeal {
    /// Their tag in this log set, on the day of the entry.
    pub tag: Tag,
    /// Opens their sections.
    pub key: SecretKey,
}

/// Why a payload cannot be sealed: then it does not leave.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// A person's keys are not to be had.
    #[error("the keys of a person are not to be had")]
    Person(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The facts do not fit into an entry.
    #[error("the facts of a decision do not fit into an entry")]
    Facts(#[from] ledger::facts::FactsError),
    /// The cipher refuses.
    #[error("the detail cannot be sealed")]
    Detail(#[from] DetailError),
    /// The intent of the crossing is too old, or does not allow as much.
    #[error("the intent on the ledger does not allow this outcome")]
    Intent(#[from] ledger::stream::Hold),
}

/// Finds a person's tag, on the day of the entry, and their detail key.
pub type Resolve<'a> =
    &'a mut dyn FnMut(&SubjectId) -> Result<PersonSeal, Box<dyn std::error::Error + Send + Sync>>;

/// What sealing takes from outside: keys and random bytes.
pub struct Sealing<'a> {
    /// Number of the epoch whose key wraps the entry's own.
    pub epoch: u32,
    /// That key.
    pub epoch_key: &'a SecretKey,
    /// Exact time, nanoseconds since 1970.
    pub nanos: u64,
    /// Finds people's tags and keys.
    pub resolve: Resolve<'a>,
    /// Fills with random bytes.
    pub random: &'a mut dyn FnMut(&mut [u8]),
}

impl Sealing<'_> {
    /// The second of the sealing.
    pub(crate) fn now(&self) -> UnixSeconds {
        UnixSeconds(self.nanos / 1_000_000_000)
    }
}

/// Seals the detail of one entry.
pub(crate) fn seal_detail(
    flow: &FlowId,
    actor: &[u8],
    people: &[PersonSeal],
    text: &[u8],
    sealing: &mut Sealing<'_>,
) -> Result<Vec<u8>, DetailError> {
    let sections: Vec<PersonSection<'_>> =
        people.iter().map(|p| PersonSection { tag: p.tag, key: &p.key, text }).collect();
    detail::seal(flow, sealing.epoch, sealing.epoch_key, actor, &sections, sealing.random)
}
