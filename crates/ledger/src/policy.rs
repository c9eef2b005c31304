//! Who must have signed a checkpoint before it counts: the trust policy file (C2SP tlog-policy).
//!
//! A policy lists logs, witnesses and groups of them, and names the one witness or group that is the
//! quorum. It judges only signatures that were verified elsewhere: [`Policy::open`] does both. The
//! names in the file are its own; a witness is known by its key. Start reading at [`Policy`].

use std::fmt;

use crate::checkpoint::{self, CheckpointError, Opened};
use crate::note::{Note, NoteError, VerifiedSignature, Verifier};

mod builder;
mod parse;

pub use builder::{Builder, Problem};
pub use parse::PolicyError;

/// Most logs, most witnesses and most groups of a policy; the specification asks for at least 32.
pub const DEFINITIONS_MAX: usize = 64;

/// Longest policy file that is read, in bytes.
pub const POLICY_BYTES_MAX: usize = 1 << 18;

/// A parsed trust policy.
///
/// `FromStr` (or [`Policy::parse`]) reads the file, `Display` writes it without comments, and
/// [`Builder`] makes one from keys.
///
/// ```
/// use ledger::policy::Policy;
///
/// let policy = Policy::parse("\
/// log example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
/// quorum none
/// ")?;
/// assert_eq!(policy.logs().len(), 1);
/// assert!(policy.is_unwitnessed());
/// # Ok::<(), ledger::policy::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    /// Witnesses and groups in the order of the file: a group refers only to what is before it.
    definitions: Vec<Definition>,
    /// Place of the quorum in `definitions`; `None` is the predefined name `none`.
    quorum: Option<usize>,
}

/// A log whose checkpoints the policy accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    key: Verifier,
    url: Option<String>,
}

/// A witness: a cosigner with a name that holds within the policy only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    name: String,
    key: Verifier,
    url: Option<String>,
}

/// How many members of a group must have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// One.
    Any,
    /// All of them.
    All,
    /// That many: at least 1, at most the number of members.
    AtLeast(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Definition {
    name: String,
    rule: Rule,
    /// Whether a group has it: a second one would let a witness count twice.
    is_member: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// Place in the list of witnesses.
    Witness(usize),
    /// Members are places in the list of definitions.
    Group { threshold: Threshold, members: Vec<usize> },
}

/// A note is not a checkpoint that the policy's logs and witnesses signed correctly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The policy has no log of that name.
    #[error("the policy has no log `{origin}`")]
    UnknownLog {
        /// First line of the note, as claimed.
        origin: String,
    },
    /// The note is malformed, or its signatures do not stand.
    #[error("the checkpoint is not in order")]
    Checkpoint(#[from] CheckpointError),
}

impl Policy {
    /// Reads a policy file, strictly as the specification has it: comments stand on lines of their
    /// own, names are defined before they are used, and every line ends in a newline, so that a
    /// file cut short is refused. Text that is not UTF-8 cannot be passed; within it, names are
    /// compared byte by byte.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] with the number of the first line that is not in order.
    pub fn parse(file: &str) -> Result<Self, PolicyError> {
        parse::parse(file)
    }

    /// The logs, in the order of the file. May be empty where the log is known otherwise.
    #[must_use]
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// The witnesses, in the order of the file, whether or not the quorum needs them.
    #[must_use]
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// The witnesses' keys, as [`checkpoint::open`] takes them.
    #[must_use]
    pub fn cosigners(&self) -> Vec<Verifier> {
        self.witnesses.iter().map(|witness| witness.key.clone()).collect()
    }

    /// Name of the quorum; `none` if no cosignature is asked for.
    #[must_use]
    pub fn quorum(&self) -> &str {
        let definition = self.quorum.and_then(|place| self.definitions.get(place));
        definition.map_or(NO_QUORUM, |definition| &definition.name)
    }

    /// Whether the policy asks for no cosignature at all (`quorum none`). Whoever runs on such a
    /// policy must say so: nothing then shows that a log tells everyone the same.
    #[must_use]
    pub const fn is_unwitnessed(&self) -> bool {
        self.quorum.is_none()
    }

    /// Whether the quorum is met by the witnesses for whose name `by` returns true.
    ///
    /// ```
    /// # use ledger::note::Cosigner;
    /// # use ledger::policy::{Builder, Threshold};
    /// # let key = |seed| Cosigner::from_seed("witness.example", &[seed; 32]).map(|c| c.verifier().clone());
    /// let mut builder = Builder::default();
    /// builder.witness("one", key(1)?, None)?.witness("two", key(2)?, None)?;
    /// builder.group("both", Threshold::All, &["one", "two"])?;
    /// let policy = builder.build("both")?;
    /// assert!(policy.satisfied(|_| true));
    /// assert!(!policy.satisfied(|name| name == "one"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn satisfied(&self, by: impl Fn(&str) -> bool) -> bool {
        self.is_met(|place| self.witnesses.get(place).is_some_and(|witness| by(&witness.name)))
    }

    /// Reads a checkpoint of one of the policy's logs and checks the signatures of log and
    /// witnesses. Whether they are enough is [`Policy::cosigned_at`].
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the note is of no log of the policy, or its signatures do not stand.
    ///
    /// ```
    /// use ledger::checkpoint::Checkpoint;
    /// use ledger::merkle::TreeHead;
    /// use ledger::note::{Cosigner, Note, Signer};
    /// use ledger::policy::Builder;
    ///
    /// let log = Signer::from_seed("gateway.example/log", &[1; 32])?;
    /// let mirror = Cosigner::from_seed("auditor.example/mirror", &[2; 32])?;
    /// let mut builder = Builder::default();
    /// builder.log(log.verifier().clone(), None)?;
    /// builder.witness("mirror", mirror.verifier().clone(), None)?;
    /// let policy = builder.build("mirror")?;
    ///
    /// let signed = Checkpoint::new("gateway.example/log", TreeHead::empty())?.sign(&log)?;
    /// assert_eq!(policy.cosigned_at(&policy.open(&signed)?), None);
    /// let mut note: Note = signed.parse()?;
    /// note.add(mirror.cosign(note.unverified_text(), 1_700_000_000)?);
    /// assert_eq!(policy.cosigned_at(&policy.open(&note.to_string())?), Some(1_700_000_000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(&self, note: &str) -> Result<Opened, OpenError> {
        let parsed: Note = note.parse().map_err(CheckpointError::from)?;
        let origin = parsed.unverified_text().split('\n').next().unwrap_or_default();
        let cosigners = self.cosigners();
        let mut refused = OpenError::UnknownLog { origin: origin.to_owned() };
        // A log may have several keys, each on a line of its own.
        for log in self.logs.iter().filter(|log| log.key.name() == origin) {
            match checkpoint::open(note, &log.key, &cosigners) {
                Ok(opened) => return Ok(opened),
                // That this key did not sign says less than what another one's signature lacks.
                Err(CheckpointError::Note(NoteError::NoKnownKey))
                    if matches!(refused, OpenError::Checkpoint(_)) => {}
                Err(error) => refused = error.into(),
            }
        }
        Err(refused)
    }

    /// The greatest time, in seconds since 1970, for which the quorum is met by the cosignatures
    /// of that time or later: how recently the quorum as a whole has vouched for the checkpoint.
    ///
    /// `None` if the quorum is not met, and always under `quorum none`, where nobody vouches.
    /// `checkpoint` must have been opened with this policy's keys ([`Policy::open`]).
    #[must_use]
    pub fn cosigned_at(&self, checkpoint: &Opened) -> Option<u64> {
        if self.is_unwitnessed() {
            return None;
        }
        let times: Vec<_> = self.witnesses.iter().map(|witness| witness.time_in(checkpoint)).collect();
        let mut candidates: Vec<u64> = times.iter().copied().flatten().collect();
        candidates.sort_unstable_by(|one, other| other.cmp(one));
        let signed_since = |place, since| times.get(place).copied().flatten() >= Some(since);
        candidates.into_iter().find(|since| self.is_met(|place| signed_since(place, *since)))
    }

    /// Evaluates the definitions in order, so that a group finds its members done and no nesting,
    /// however deep, recurses.
    fn is_met(&self, signed: impl Fn(usize) -> bool) -> bool {
        let Some(quorum) = self.quorum else { return true };
        let mut met: Vec<bool> = Vec::with_capacity(self.definitions.len());
        for definition in &self.definitions {
            met.push(match &definition.rule {
                Rule::Witness(place) => signed(*place),
                Rule::Group { threshold, members } => {
                    let count = members.iter().filter(|place| met.get(**place) == Some(&true)).count();
                    count >= threshold.of(members.len())
                }
            });
        }
        met.get(quorum) == Some(&true)
    }
}

impl Log {
    /// The log's key, named after its origin.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.key
    }

    /// Where to reach it, as the file has it.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }
}

impl Witness {
    /// Its name within the policy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key it cosigns with (type 04).
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.key
    }

    /// Its submission prefix (tlog-witness), as the file has it.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    fn time_in(&self, checkpoint: &Opened) -> Option<u64> {
        let (name, id) = (self.key.name(), self.key.key_id());
        let by_us = |s: &&VerifiedSignature| s.name() == name && s.key_id() == id;
        checkpoint.cosignatures().iter().find(by_us)?.time()
    }
}

impl Threshold {
    /// The number, in a group of so many members.
    const fn of(self, members: usize) -> usize {
        match self {
            Self::Any => 1,
            Self::All => members,
            Self::AtLeast(count) => count,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::All => f.write_str("all"),
            Self::AtLeast(count) => write!(f, "{count}"),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for log in &self.logs {
            write!(f, "log {}", log.key.to_vkey())?;
            end_line(f, log.url())?;
        }
        for definition in &self.definitions {
            self.write_definition(f, definition)?;
        }
        writeln!(f, "quorum {}", self.quorum())
    }
}

impl Policy {
    fn write_definition(&self, f: &mut fmt::Formatter<'_>, definition: &Definition) -> fmt::Result {
        match &definition.rule {
            Rule::Witness(place) => {
                let Some(witness) = self.witnesses.get(*place) else { return Err(fmt::Error) };
                write!(f, "witness {} {}", witness.name, witness.key.to_vkey())?;
                end_line(f, witness.url())
            }
            Rule::Group { threshold, members } => {
                write!(f, "group {} {threshold}", definition.name)?;
                let names = members.iter().filter_map(|place| self.definitions.get(*place));
                names.into_iter().try_for_each(|member| write!(f, " {}", member.name))?;
                writeln!(f)
            }
        }
    }
}

fn end_line(f: &mut fmt::Formatter<'_>, url: Option<&str>) -> fmt::Result {
    match url {
        Some(url) => writeln!(f, " {url}"),
        None => writeln!(f),
    }
}

/// The predefined name for asking for no cosignature.
const NO_QUORUM: &str = "none";

#[cfg(test)]
mod tests;
