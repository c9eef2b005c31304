//! Deciding again, and nothing else: every recorded decision is put to the policies of the rulebook that its
//! entry names. The entries are those of the signed root; their structure is `verify`'s affair.

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    time::Instant,
};

use serde::Serialize;

use crate::{
    bundle::ENTRY_BYTES_MAX,
    decide::Memo,
    entries::{Problem, decode, question},
    header::Header,
    levels::Levels,
    note::VerifierKey,
    report::{Report, Rule},
    rulebook::Rulebooks,
    siteleaf::Role,
    sitelog::{FolderError, Site},
    tree::Tree,
    verify::{AuditError, RECORDS_MAX, open_log, read_checkpoint},
    walk::{Follow, Look, Walk},
};

/// Which decisions to make again, and whom to believe.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// What is read.
    pub what: Replayed,
    /// The operator's key for rulebooks.
    pub operator: VerifierKey,
    /// The auditor's key for rulebooks.
    pub auditor: VerifierKey,
    /// Entries from this index on.
    pub from: u64,
    /// Entries before this index; all if absent.
    pub to: Option<u64>,
}

/// One gateway's tree, or all of a mirrored site.
#[derive(Clone, Debug)]
pub enum Replayed {
    /// A published tree and the key of its log.
    Ledger(PathBuf, VerifierKey),
    /// A mirror's folder and the key of the site log.
    Mirror(PathBuf, VerifierKey),
}

/// The outcome for one log.
#[derive(Debug, Serialize)]
pub struct ReplayedLog {
    /// Its folder.
    pub folder: PathBuf,
    /// What was found.
    pub report: Report,
}

/// The outcome of a replay.
#[derive(Debug, Serialize)]
pub struct ReplayReport {
    /// Each gateway's log.
    pub logs: Vec<ReplayedLog>,
    /// Entries that were read.
    pub entries: u64,
    /// Decisions that were compared.
    pub decisions: u64,
    /// Decisions that policies could tell apart, and that were made.
    pub distinct: u64,
    /// Wall-clock time of all.
    pub seconds: f64,
    /// Time in which the distinct decisions were made, all threads added up.
    pub distinct_seconds: f64,
}

impl ReplayReport {
    /// Whether everything holds.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.logs.iter().all(|log| log.report.is_clean())
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for log in &self.logs {
            let origin = log.report.origin.escape_debug();
            writeln!(f, "log         {origin}: {} decisions made again", log.report.decisions)?;
            for finding in &log.report.findings {
                writeln!(f, "{finding}")?;
            }
            if log.report.findings_unlisted > 0 {
                writeln!(f, "and {} more findings", log.report.findings_unlisted)?;
            }
        }
        let rate = |count: u64, seconds: f64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        writeln!(f, "entries     {}, {:.0} a second", self.entries, rate(self.entries, self.seconds))?;
        writeln!(f, "decisions   {}, {:.0} a second", self.decisions, rate(self.decisions, self.seconds))?;
        let each = rate(self.distinct, self.distinct_seconds);
        writeln!(f, "distinct    {}, {each:.0} a second on each processor", self.distinct)?;
        let findings =
            self.logs.iter().map(|log| log.report.findings.len() as u64 + log.report.findings_unlisted);
        writeln!(f, "findings    {}", findings.sum::<u64>())
    }
}

/// Makes recorded decisions again.
///
/// # Errors
/// If a tree cannot be read, or operator and auditor are one.
pub fn replay(options: &ReplayOptions) -> Result<ReplayReport, AuditError> {
    if options.operator.same_key(&options.auditor) {
        return Err(AuditError::SameKey);
    }
    let started = Instant::now();
    let memo = Memo::new();
    let mut logs = Vec::new();
    match &options.what {
        Replayed::Ledger(folder, key) => logs.push(replay_log(options, &memo, folder, key, None)?),
        Replayed::Mirror(folder, key) => {
            let site = Site::open(folder, key).map_err(site_error)?;
            let state = site.state().map_err(site_error)?;
            let logs_ever = state.enrolled.iter().chain(&state.retired);
            for log in logs_ever.filter(|log| log.role == Role::Gateway) {
                let key = VerifierKey::parse(&log.vkey);
                let key = key.map_err(|_| AuditError::Site(format!("the key of `{}`", log.origin)))?;
                logs.push(replay_log(options, &memo, &site.folder_of(log), &key, Some(&log.origin))?);
            }
        }
    }
    let (distinct, nanos) = memo.fresh();
    let total = |count: fn(&Report) -> u64| logs.iter().map(|log| count(&log.report)).sum();
    Ok(ReplayReport {
        entries: total(|report| report.entries),
        decisions: total(|report| report.decisions),
        distinct,
        seconds: started.elapsed().as_secs_f64(),
        distinct_seconds: nanos as f64 / 1e9,
        logs,
    })
}

fn site_error(error: FolderError) -> AuditError {
    AuditError::Site(error.to_string())
}

fn replay_log(
    options: &ReplayOptions,
    memo: &Memo,
    folder: &Path,
    key: &VerifierKey,
    origin: Option<&str>,
) -> Result<ReplayedLog, AuditError> {
    let tree = Tree::new(folder);
    let note = read_checkpoint(&tree)?;
    let mut report = Report { redecided: true, ..Report::default() };
    let opened = open_log(&tree, &note, key, origin, RECORDS_MAX, &mut report)?;
    if let Some((checkpoint, inventory)) = opened {
        let range = options.from..options.to.unwrap_or(u64::MAX);
        let signers = [&options.operator, &options.auditor];
        let look = Decisions { rulebooks: Rulebooks::new(&tree, signers, true), memo, range: range.clone() };
        let levels = Levels::new(&tree, &inventory.packs, None);
        let walk = Walk { tree: &tree, inventory: &inventory, levels, look: &look, only: Some(range) };
        walk.run(&checkpoint, &mut Tally, &mut report)?;
    }
    Ok(ReplayedLog { folder: folder.to_owned(), report })
}

/// Looks at nothing but the decision of an entry.
struct Decisions<'t> {
    rulebooks: Rulebooks<'t>,
    memo: &'t Memo,
    range: Range<u64>,
}

/// Whether the entry holds a decision, and what is wrong with it.
#[derive(Default)]
struct Decided {
    decided: bool,
    problems: Vec<Problem>,
}

impl Look for Decisions<'_> {
    type Seen = Decided;
    const LEAF_BYTES_MAX: usize = ENTRY_BYTES_MAX;
    const BUNDLES_AT_ONCE: u64 = 16;

    fn look(&self, index: u64, entry: &[u8]) -> Decided {
        let mut seen = Decided::default();
        if !self.range.contains(&index) {
            return seen;
        }
        let (header, bytes) = match Header::parse(entry) {
            Ok(parts) => parts,
            Err(error) => {
                seen.problems.push((Rule::Header, error.to_string()));
                return seen;
            }
        };
        let Some(question) = question(&header) else { return seen };
        seen.decided = true;
        match (decode(&header, bytes), self.rulebooks.find(&header.rulebook)) {
            (Ok(Some(facts)), Ok(rulebook)) => {
                let answer = self.memo.decide(question, &header.rulebook, &rulebook, &facts);
                seen.problems.extend(answer.iter().cloned());
            }
            (Ok(None), _) => {}
            (Ok(Some(_)), Err((path, text))) => {
                seen.problems.push((Rule::Rulebook, format!("{path}: {text}")));
            }
            (Err(text), _) => seen.problems.push((Rule::Facts, text)),
        }
        seen
    }
}

/// Counts and reports; nothing follows from one decision to the next.
struct Tally;

impl Follow<Decided> for Tally {
    fn follow(&mut self, index: u64, seen: Decided, report: &mut Report) -> io::Result<()> {
        report.decisions += u64::from(seen.decided);
        for (rule, text) in seen.problems {
            report.entry(rule, index, text);
        }
        Ok(())
    }
}
