//! The check of a whole site: its site log, every log that it enrols, and how they fit together.

mod follow;
mod logs;

use std::{fmt, fs, io, path::PathBuf};

use data_encoding::HEXLOWER;
use serde::Serialize;

use self::{
    follow::{SiteFollower, SiteLooker},
    logs::Logs,
};
use crate::{
    flows::Flows,
    hash::sha256,
    levels::Levels,
    note::VerifierKey,
    quorum::{Cosigner, Policy},
    report::{Report, Rule},
    siteleaf::SITE_PREFIX,
    tree::Tree,
    verify::{AuditError, RECORDS_MAX, open_log, read_checkpoint},
    walk::Walk,
};

/// What to check, and whom to believe.
#[derive(Clone, Debug)]
pub struct SiteOptions {
    /// The folder that holds `site/` and the tree of each enrolled log under its prefix.
    pub folder: PathBuf,
    /// The key of the site log; it vouches for the keys of all others.
    pub site: VerifierKey,
    /// The operator's key for rulebooks.
    pub operator: VerifierKey,
    /// The auditor's key for rulebooks.
    pub auditor: VerifierKey,
    /// Text of a C2SP tlog-policy: the site's checkpoint must be cosigned by its quorum.
    pub policy: Option<String>,
    /// Files with checkpoints of any of the logs, seen elsewhere or earlier: they must be of this history.
    pub seen: Vec<PathBuf>,
    /// Whether to decide again.
    pub redecide: bool,
    /// Whether to build the day maps again.
    pub maps: bool,
    /// Records that a sort holds in memory; [`SiteOptions::RECORDS_MAX`] unless memory is short.
    pub records_max: usize,
}

impl SiteOptions {
    /// The usual bound on the records that a sort holds in memory: 52 bytes each.
    pub const RECORDS_MAX: usize = RECORDS_MAX;
}

/// One log of the site.
#[derive(Debug, Serialize)]
pub struct LogReport {
    /// Its folder.
    pub prefix: String,
    /// What was found in it, and in other logs about it.
    pub report: Report,
}

/// The outcome of a check of a site.
#[derive(Debug, Serialize)]
pub struct SiteReport {
    /// The site log first, then the enrolled logs by origin.
    pub logs: Vec<LogReport>,
    /// Rounds that were compared.
    pub rounds: u64,
    /// Day maps that were built again.
    pub maps: u64,
    /// Whether day maps were built again at all.
    pub maps_checked: bool,
    /// Border overrides in the record.
    pub overrides: u64,
    /// Whether a key service is enrolled, so that entries and key releases were matched.
    pub releases_checked: bool,
    /// Who cosigned the site's checkpoint, of the policy; absent if no policy was given.
    pub cosigners: Option<Vec<String>>,
}

impl SiteReport {
    /// Whether everything holds.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.logs.iter().all(|log| log.report.is_clean())
    }
}

impl fmt::Display for SiteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for log in &self.logs {
            writeln!(f, "== {}", log.prefix.escape_debug())?;
            write!(f, "{}", log.report)?;
        }
        writeln!(f, "== together")?;
        writeln!(f, "rounds      {} compared", self.rounds)?;
        let maps = |checked| if checked { "built again" } else { "in the record, not built again" };
        writeln!(f, "day maps    {} {}", self.maps, maps(self.maps_checked))?;
        writeln!(f, "overrides   {}", self.overrides)?;
        let releases =
            if self.releases_checked { "matched" } else { "not matched: no key service is enrolled" };
        writeln!(f, "releases    {releases}")?;
        match &self.cosigners {
            None => writeln!(f, "cosigners   not asked for: not independently witnessed")?,
            Some(names) if names.is_empty() => writeln!(f, "cosigners   none")?,
            Some(names) => writeln!(f, "cosigners   {}", names.join(", ").escape_debug())?,
        }
        let findings = |log: &LogReport| log.report.findings_unlisted + log.report.findings.len() as u64;
        writeln!(f, "findings    {} in all", self.logs.iter().map(findings).sum::<u64>())
    }
}

/// Checks a site, and reports what it did and what it found.
///
/// Memory is bounded as in [`verify`](crate::verify); the site log's enrolments, activations, day maps and
/// overrides are held besides.
///
/// # Errors
/// If the site log cannot be read at all, operator and auditor are one, or the policy is no policy.
pub fn verify_site(options: &SiteOptions) -> Result<SiteReport, AuditError> {
    if options.operator.same_key(&options.auditor) {
        return Err(AuditError::SameKey);
    }
    let policy = options.policy.as_deref().map(Policy::parse).transpose();
    let policy = policy.map_err(|error| AuditError::Policy(error.to_string()))?;
    let tree = Tree::new(&options.folder.join(SITE_PREFIX));
    let note = read_checkpoint(&tree)?;
    let mut report = Report::default();
    let mut cosigners = None;
    if let Some(policy) = &policy {
        cosigners = Some(check_quorum(policy, &note, options, &mut report));
    }
    let mut outcome = SiteReport {
        logs: Vec::new(),
        rounds: 0,
        maps: 0,
        maps_checked: options.maps,
        overrides: 0,
        releases_checked: false,
        cosigners,
    };
    let opened = open_log(&tree, &note, &options.site, None, options.records_max, &mut report)?;
    let Some((checkpoint, inventory)) = opened else {
        outcome.logs.push(LogReport { prefix: SITE_PREFIX.into(), report });
        return Ok(outcome);
    };
    let mut follower = SiteFollower::new(&checkpoint.origin);
    let levels = Levels::new(&tree, &inventory.packs, None);
    let walk = Walk { tree: &tree, inventory: &inventory, levels, look: &SiteLooker, only: None };
    walk.run(&checkpoint, &mut follower, &mut report)?;
    outcome.rounds = follower.rounds;
    outcome.overrides = follower.overrides.len() as u64;
    outcome.maps = follower.maps.len() as u64;
    let mut flows = Flows::new(options.records_max);
    let mut logs = Logs::check_all(options, follower, &checkpoint.origin, &mut flows, report)?;
    outcome.releases_checked = logs.has_keys();
    logs.finish(options, flows)?;
    logs.check_seen(&seen_notes(options, &checkpoint.origin), &options.site);
    outcome.logs = logs.into_reports();
    Ok(outcome)
}

/// The quorum may stand on the log's checkpoint, on the one that this mirror signed last, or on one that was given:
/// that those are of the same history is checked apart.
fn check_quorum(policy: &Policy, note: &[u8], options: &SiteOptions, report: &mut Report) -> Vec<String> {
    let seen = seen_notes(options, options.site.name()).into_iter().filter_map(|(_, note)| note.ok());
    let mut refused = None;
    for note in std::iter::once(note.to_vec()).chain(seen) {
        match policy.check(&note, &options.site) {
            Ok(cosigners) => return cosigners.into_iter().map(|Cosigner { name, .. }| name).collect(),
            Err(error) => drop(refused.get_or_insert(error)),
        }
    }
    if let Some(error) = refused {
        report.file(Rule::Quorum, "checkpoint", error.to_string());
    }
    Vec::new()
}

/// Checkpoints to compare with: those that were given, and the one that this mirror signed last.
fn seen_notes(options: &SiteOptions, origin: &str) -> Vec<(String, io::Result<Vec<u8>>)> {
    let signed = format!("signed/{}", HEXLOWER.encode(&sha256(origin.as_bytes())));
    let own = fs::read(options.folder.join(&signed)).ok().map(|note| (signed, Ok(note)));
    let given = options.seen.iter().map(|path| (path.display().to_string(), fs::read(path)));
    own.into_iter().chain(given).collect()
}
