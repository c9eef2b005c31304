//! Incidents, their evidence, and the auditor's mark.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use gateway::enclave;
use ledger::note::{Signer, Verifier};
use model::UnixSeconds;
use residency::incident::{Incident, Incidents};
use residency::seal::{self, Allowed, Parties};
use serde_json::json;

use super::FOUND;
use crate::assemble;
use crate::cli::output::Output;
use crate::error::CommandError;
use crate::layout::Layout;

/// Lists incidents, after what is due was escalated.
pub(super) fn list(layout: &Layout, output: &Output, all: bool) -> Result<ExitCode> {
    let now = enclave::now().0.0;
    let mut incidents = Incidents::open(&layout.residency())?;
    incidents.escalate(now)?;
    let shown: Vec<&Incident> = incidents.all().into_iter().filter(|i| all || !i.is_closed).collect();
    let overdue = shown.iter().filter(|i| i.is_overdue(now)).count();
    let (lines, head) = incidents.head();
    let mut text =
        format!("{} incidents, {overdue} overdue; the log has {lines} lines, the last {head}", shown.len());
    for incident in &shown {
        let state = match (incident.is_closed, incident.is_overdue(now)) {
            (true, _) => "closed".to_owned(),
            (false, true) => "OVERDUE since".to_owned() + " " + &UnixSeconds(incident.due).rfc3339(),
            (false, false) => format!("due {}", UnixSeconds(incident.due).rfc3339()),
        };
        let there = if incident.is_there { "" } else { ", no longer there" };
        let evidence = match (incident.is_deleted, &incident.sealed) {
            (true, _) => ", evidence deleted".to_owned(),
            (false, Some(manifest)) => format!(", sealed {manifest}"),
            (false, None) => String::new(),
        };
        text.push_str(&format!("\n{} {state}{there}{evidence}: {}", incident.id, incident.found.text));
    }
    output.data(&text, &json!({ "incidents": shown, "overdue": overdue, "lines": lines, "head": head }));
    Ok(if overdue == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

pub(super) fn seal(layout: &Layout, output: &Output, incident: &str, keep: bool) -> Result<()> {
    let programme = assemble::rulebook(layout)?.rulebook.programme.name;
    let folder = layout.residency();
    let sealed = seal::seal(&folder, programme.as_str(), incident, keep, enclave::now().0.0)?;
    let text = format!("sealed {}: the manifest is `{}`", sealed.digest, sealed.path.display());
    output.data(&text, &json!({ "manifest": sealed.digest, "file": sealed.path }));
    Ok(())
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Act {
    Delete,
    Close,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Mark {
    /// The incident.
    incident: String,
    /// What is let be done.
    #[arg(long)]
    act: Act,
    /// The digest that `clover residency seal` printed; for closing what was never sealed, none.
    #[arg(long)]
    manifest: Option<String>,
    /// The auditor's secret key; `auditor/auditor.seed` of the enclave's folder if not given.
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// The programme's name; that of the enclave's folder if not given.
    #[arg(long)]
    programme: Option<String>,
    /// Where to write it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Mark {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        let programme = match &self.programme {
            Some(name) => name.clone(),
            None => assemble::rulebook(layout)?.rulebook.programme.name.to_string(),
        };
        let allowed = match self.act {
            Act::Delete => Allowed::Delete,
            Act::Close => Allowed::Close,
        };
        if self.manifest.is_none() && matches!(allowed, Allowed::Delete) {
            return Err(CommandError::Rule("nothing is deleted that was not sealed: --manifest").into());
        }
        let seed = self.seed.clone().unwrap_or_else(|| layout.auditor().join("auditor.seed"));
        let signer = Signer::from_seed(&format!("{programme}/auditor"), &vault::keys::read_seed(&seed)?)?;
        let text = seal::mark_text(&programme, &self.incident, allowed, self.manifest.as_deref());
        let note = seal::signed(&signer, &text).context("the mark cannot be signed")?;
        std::fs::write(&self.out, note).map_err(CommandError::file(&self.out))?;
        let told = format!("the mark is in `{}`", self.out.display());
        output.data(&told, &json!({ "mark": self.out }));
        Ok(())
    }
}

pub(super) fn delete(layout: &Layout, output: &Output, incident: &str, mark: &Path) -> Result<()> {
    let certificate = with_parties(layout, mark, |folder, parties, mark| {
        Ok(seal::delete(folder, parties, incident, mark, enclave::now().0.0)?)
    })?;
    let text = format!("deleted; the certificate is `{}`", certificate.display());
    output.data(&text, &json!({ "certificate": certificate }));
    Ok(())
}

pub(super) fn close(layout: &Layout, output: &Output, incident: &str, mark: &Path) -> Result<()> {
    with_parties(layout, mark, |folder, parties, mark| {
        Ok(seal::close(folder, parties, incident, mark, enclave::now().0.0)?)
    })?;
    output.data(&format!("incident `{incident}` is closed"), &json!({ "closed": incident }));
    Ok(())
}

fn with_parties<T>(
    layout: &Layout,
    mark: &Path,
    act: impl FnOnce(&Path, Parties<'_>, &str) -> Result<T>,
) -> Result<T> {
    let mark = std::fs::read_to_string(mark).map_err(CommandError::file(mark))?;
    let programme = assemble::rulebook(layout)?.rulebook.programme.name;
    let file = layout.trust().join("auditor.vkey");
    let key = std::fs::read_to_string(&file).map_err(CommandError::file(&file))?;
    let auditor = Verifier::parse(key.trim())?;
    let seed = vault::keys::read_seed(&layout.keys().join("operator.seed"))?;
    let operator = Signer::from_seed(&format!("{programme}/operator"), &seed)?;
    let parties = Parties { programme: programme.as_str(), auditor: &auditor, operator: &operator };
    act(&layout.residency(), parties, &mark)
}
