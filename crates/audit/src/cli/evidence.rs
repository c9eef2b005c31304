//! `clover-audit evidence` and `clover-audit verify-evidence`.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, anyhow};
use audit::{
    EvidenceError, EvidenceOptions, EvidenceTrust, Selection, collect_evidence, day_of_date, verify_evidence,
};
use clap::Args;

use super::{
    FINDINGS, Failure, NO_OUTPUT, USAGE, key, read,
    sample::{auditor, folder_code},
};

#[derive(Args)]
pub(super) struct Evidence {
    /// Folder of a mirror.
    #[arg(long, value_name = "DIR")]
    mirror: PathBuf,
    /// Verifier key of the site log.
    #[arg(long, value_name = "FILE")]
    site_vkey: PathBuf,
    /// Seed of the auditor's key, which signs the pack.
    #[arg(long, value_name = "FILE")]
    auditor_seed: PathBuf,
    /// Verifier key of the auditor, which names the key.
    #[arg(long, value_name = "FILE")]
    auditor_vkey: PathBuf,
    /// Entries: origin of a gateway's log, a colon, and the index.
    #[arg(long, value_name = "ORIGIN:INDEX", value_delimiter = ',', required_unless_present_any = ["incident", "day"])]
    entries: Vec<String>,
    /// The entries of an incident, and its file.
    #[arg(long, value_name = "ID", requires = "incidents", conflicts_with_all = ["entries", "day"])]
    incident: Option<String>,
    /// Folder in which `incidents` lies.
    #[arg(long, value_name = "DIR")]
    incidents: Option<PathBuf>,
    /// All entries of a day.
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with = "entries")]
    day: Option<String>,
    /// The pack; nothing is overwritten.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Args)]
pub(super) struct VerifyEvidence {
    /// The pack.
    pack: PathBuf,
    /// Verifier key of the site log. Without it the pack's own is used, and says so.
    #[arg(long, value_name = "FILE")]
    site_vkey: Option<PathBuf>,
    /// Verifier key of the auditor; likewise.
    #[arg(long, value_name = "FILE")]
    auditor_vkey: Option<PathBuf>,
    /// Verifier key of the operator: checks that both signed the rulebooks.
    #[arg(long, value_name = "FILE")]
    operator_vkey: Option<PathBuf>,
    /// Policy of witnesses (C2SP tlog-policy): its quorum must have cosigned.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Evidence) -> Result<u8, Failure> {
    let signer = auditor(&arguments.auditor_seed, &key(&arguments.auditor_vkey)?)?;
    let (selection, attachments) = selection(arguments)?;
    let options = EvidenceOptions {
        mirror: arguments.mirror.clone(),
        site: key(&arguments.site_vkey)?,
        selection,
        attachments,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let pack = collect_evidence(&options, &signer, now).map_err(|error| {
        let code = if let EvidenceError::Folder(folder) = &error { folder_code(folder) } else { USAGE };
        Failure(code, error.into())
    })?;
    save(&arguments.out, &pack).map_err(|error| Failure(NO_OUTPUT, error))?;
    writeln!(io::stdout(), "{} bytes in {}", pack.len(), arguments.out.display())
        .map_err(|error| Failure(NO_OUTPUT, error.into()))?;
    Ok(0)
}

fn save(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = file.with_context(|| format!("cannot create `{}`", path.display()))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).context("cannot write the pack")
}

/// Names and contents that go along.
type Attachments = Vec<(String, Vec<u8>)>;

fn selection(arguments: &Evidence) -> Result<(Selection, Attachments), Failure> {
    let usage = |what: String| Failure(USAGE, anyhow!(what));
    if let (Some(id), Some(folder)) = (&arguments.incident, &arguments.incidents) {
        return incident(&folder.join("incidents"), id);
    }
    if let Some(day) = &arguments.day {
        let day = day_of_date(day).ok_or_else(|| usage("`--day` is not of the form `YYYY-MM-DD`".into()))?;
        return Ok((Selection::Day(day), Vec::new()));
    }
    let entry = |text: &String| {
        let (origin, index) = text.rsplit_once(':')?;
        Some((origin.to_owned(), index.parse().ok()?))
    };
    let entries: Option<Vec<_>> = arguments.entries.iter().map(entry).collect();
    let entries = entries.ok_or_else(|| usage("an entry is not of the form `ORIGIN:INDEX`".into()))?;
    Ok((Selection::Entries(entries), Vec::new()))
}

/// The entries that an incident names, and its file (`docs/formats/incident.md`).
///
/// The pack shows that the auditor had this file; `clover-audit incident show` checks what it says.
fn incident(folder: &Path, id: &str) -> Result<(Selection, Attachments), Failure> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.is_empty() || !id.chars().all(plain) {
        return Err(Failure(USAGE, anyhow!("`{}` is not the id of an incident", id.escape_debug())));
    }
    let actions = read(&folder.join(id).join("actions.ndjson"))?;
    let mut entries = Vec::new();
    String::from_utf8_lossy(&actions).lines().for_each(|line| references(line, &mut entries));
    Ok((Selection::Entries(entries), vec![("actions.ndjson".to_owned(), actions)]))
}

/// The entries that the note of an action names.
fn references(line: &str, entries: &mut Vec<(String, u64)>) {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else { return };
    let note = value.get("note").and_then(serde_json::Value::as_str).unwrap_or_default();
    for line in note.lines() {
        let parts = line.strip_prefix("entry ").and_then(|rest| rest.split_once(' '));
        if let Some((Ok(index), origin)) = parts.map(|(index, origin)| (index.parse(), origin)) {
            entries.push((origin.to_owned(), index));
        }
    }
}

pub(super) fn run_verify(arguments: &VerifyEvidence) -> Result<u8, Failure> {
    let optional = |path: &Option<PathBuf>| path.as_deref().map(key).transpose();
    let policy = arguments.policy.as_deref().map(read).transpose()?;
    let trust = EvidenceTrust {
        site: optional(&arguments.site_vkey)?,
        auditor: optional(&arguments.auditor_vkey)?,
        operator: optional(&arguments.operator_vkey)?,
        policy: policy.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    };
    let (text, code) = match verify_evidence(&read(&arguments.pack)?, &trust) {
        Ok(report) if arguments.json => {
            let json =
                serde_json::to_string_pretty(&report).map_err(|error| Failure(NO_OUTPUT, error.into()))?;
            (format!("{json}\n"), 0)
        }
        Ok(report) => (report.to_string(), 0),
        Err(error) => (format!("finding: {}\n", error.to_string().escape_debug()), FINDINGS),
    };
    io::stdout().write_all(text.as_bytes()).map_err(|error| Failure(NO_OUTPUT, error.into()))?;
    Ok(code)
}
