//! The check of one gateway's tree, from the checkpoint down.

use std::{
    io,
    path::{Path, PathBuf},
};

use data_encoding::BASE64;

use crate::{
    checkpoint::Checkpoint,
    claims::ClaimReader,
    decide::Memo,
    entries::{Activated, Follower, Looker},
    flows::Flows,
    grants::{Grants, Totals},
    levels::{Levels, Wrong},
    note::{NOTE_BYTES_MAX, VerifierKey},
    report::{Report, Rule},
    rulebook::Rulebooks,
    tags::TagLists,
    tree::{Inventory, ReadError, Tree},
    walk::Walk,
};

/// Records that a sort holds in memory before it writes them to a file: 52 MB of flow ids, 32 MB of tag lists.
pub(crate) const RECORDS_MAX: usize = 1_000_000;

/// What to check, and whom to believe.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the published tree.
    pub ledger: PathBuf,
    /// The key of the log.
    pub log: VerifierKey,
    /// The operator's key for rulebooks.
    pub operator: VerifierKey,
    /// The auditor's key for rulebooks.
    pub auditor: VerifierKey,
    /// Whether to decide again, which takes most of the time. If not, policies are checked to be the signed
    /// ones, and are not read.
    pub redecide: bool,
}

/// Why nothing could be checked. What is wrong with a tree is no error but a [`Report`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The tree is not there or cannot be listed.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What does not fit in memory could not be written to a temporary file, or read from it.
    #[error("cannot use a temporary file")]
    Temporary(#[from] io::Error),
    /// The site log of a mirror does not say which logs there are.
    #[error("the site log cannot be used: {0}")]
    Site(String),
    /// What was given as a policy of witnesses is none.
    #[error("the policy cannot be used: {0}")]
    Policy(String),
    /// Two signatures of one key are one signature.
    #[error("the operator's key and the auditor's key are the same")]
    SameKey,
}

/// Checks a published tree, and reports what it did and what it found.
///
/// Memory is bounded whatever the size: one tile per level, some bundles per processor, 84 MB of records (the
/// others lie in temporary files), the decisions that are remembered, and the streams that are open at once.
///
/// # Errors
/// If the tree cannot be read at all, or operator and auditor are one.
///
/// ```no_run
/// let key = |name: &str| -> Result<_, Box<dyn std::error::Error>> {
///     Ok(audit::VerifierKey::parse(&std::fs::read_to_string(format!("trust/{name}.vkey"))?)?)
/// };
/// let report = audit::verify(&audit::Options {
///     ledger: "public".into(),
///     log: key("log")?,
///     operator: key("operator")?,
///     auditor: key("auditor")?,
///     redecide: true,
/// })?;
/// assert!(report.is_clean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify(options: &Options) -> Result<Report, AuditError> {
    verify_with(options, RECORDS_MAX)
}

/// Likewise, with another bound on the records held in memory.
pub(crate) fn verify_with(options: &Options, records_max: usize) -> Result<Report, AuditError> {
    if options.operator.same_key(&options.auditor) {
        return Err(AuditError::SameKey);
    }
    let tree = Tree::new(&options.ledger);
    let mut report = Report { redecided: options.redecide, ..Report::default() };
    let note = read_checkpoint(&tree)?;
    let mut flows = Flows::new(records_max);
    let memo = Memo::new();
    let log = GatewayLog {
        tree: &tree,
        key: &options.log,
        signers: [&options.operator, &options.auditor],
        memo: &memo,
        redecide: options.redecide,
        records_max,
        origin: None,
        number: 0,
        newest: 0,
        grants: None,
    };
    let mut totals = Totals::default();
    log.check(&note, None, &mut flows, &mut totals, &mut report)?;
    totals.noise.finish(&mut [&mut report]);
    flows.finish(&mut [&mut report], false, 0)?;
    (report.decisions_distinct, report.decisions_nanos) = memo.fresh();
    Ok(report)
}

/// One gateway's log, and what is needed to check it.
pub(crate) struct GatewayLog<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) key: &'a VerifierKey,
    pub(crate) signers: [&'a VerifierKey; 2],
    pub(crate) memo: &'a Memo,
    pub(crate) redecide: bool,
    pub(crate) records_max: usize,
    /// The origin that it must have, if that is known.
    pub(crate) origin: Option<&'a str>,
    /// Its number among the flows.
    pub(crate) number: u16,
    /// The newest time that is known from elsewhere.
    pub(crate) newest: u64,
    /// What the site log has of requests.
    pub(crate) grants: Option<&'a Grants>,
}

/// What a log tells of itself beyond its report.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) wrong: Vec<Wrong>,
    pub(crate) activations: Vec<Activated>,
}

impl GatewayLog<'_> {
    /// Checks the log against its signed checkpoint and against the rounds that name it.
    pub(crate) fn check(
        &self,
        note: &[u8],
        rounds: Option<[ClaimReader; 2]>,
        flows: &mut Flows,
        totals: &mut Totals,
        report: &mut Report,
    ) -> Result<Told, AuditError> {
        let Some((checkpoint, inventory)) =
            open_log(self.tree, note, self.key, self.origin, self.records_max, report)?
        else {
            return Ok(Told::default());
        };
        let (rulebooks, tags) =
            (Rulebooks::new(self.tree, self.signers, self.redecide), TagLists::new(self.tree));
        let (memo, redecide, grants) = (self.memo, self.redecide, self.grants);
        let look = Looker { rulebooks: &rulebooks, tags: &tags, memo, redecide, grants };
        let (claims, timeline) = rounds.map_or((None, None), |[one, other]| (Some(one), Some(other)));
        let mut follower =
            Follower::new(&checkpoint.origin, self.number, flows, totals, timeline, self.records_max);
        let levels = Levels::new(self.tree, &inventory.packs, claims);
        let walk = Walk { tree: self.tree, inventory: &inventory, levels, look: &look, only: None };
        let wrong = walk.run(&checkpoint, &mut follower, report)?;
        let activations = std::mem::take(&mut follower.activations);
        follower.finish(inventory, self.newest, report)?;
        Ok(Told { wrong, activations })
    }
}

/// Opens a checkpoint and lists the tree; what is wrong with either is reported.
pub(crate) fn open_log(
    tree: &Tree,
    note: &[u8],
    key: &VerifierKey,
    origin: Option<&str>,
    records_max: usize,
    report: &mut Report,
) -> Result<Option<(Checkpoint, Inventory)>, AuditError> {
    let checkpoint = match Checkpoint::open(note, key) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            report.file(Rule::Checkpoint, "checkpoint", error.to_string());
            return Ok(None);
        }
    };
    report.origin.clone_from(&checkpoint.origin);
    report.size = checkpoint.size;
    report.root = BASE64.encode(&checkpoint.root);
    if origin.is_some_and(|origin| origin != checkpoint.origin) {
        report.file(
            Rule::Checkpoint,
            "checkpoint",
            "it is of another log than the one that is enrolled here",
        );
        return Ok(None);
    }
    let inventory =
        tree.inventory(checkpoint.size, records_max).map_err(|source| unreadable(&tree.path(""), source))?;
    for path in &inventory.strangers {
        report.file(Rule::Extra, path, "it has no place in a tree of this size");
    }
    report.findings_unlisted = report.findings_unlisted.saturating_add(inventory.strangers_unlisted);
    Ok(Some((checkpoint, inventory)))
}

pub(crate) fn read_checkpoint(tree: &Tree) -> Result<Vec<u8>, AuditError> {
    let mut note = Vec::new();
    let source = match tree.read("checkpoint", NOTE_BYTES_MAX, &mut note) {
        Ok(()) => return Ok(note),
        Err(ReadError::Missing) => io::ErrorKind::NotFound.into(),
        Err(ReadError::TooLong) => io::ErrorKind::FileTooLarge.into(),
        Err(ReadError::Unreadable(source)) => source,
    };
    Err(unreadable(&tree.path("checkpoint"), source))
}

fn unreadable(path: &Path, source: io::Error) -> AuditError {
    AuditError::Unreadable { path: path.to_owned(), source }
}
