//! `clover migration`: stages of a migration are put on the ledger, and marked by the auditor (`docs/formats/migration.md`).
//!
//! `clover-migrate` writes them as texts into a folder, with the evidence that they name beside them. A signed text stands under
//! the same name with the ending `.note`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use ledger::migration::{Record, Stage};
use ledger::note::{Note, Signer};
use ledger::sha256;
use serde_json::json;

use super::output::Output;
use crate::assemble;
use crate::error::CommandError;
use crate::layout::Layout;
use crate::site::orders::{self, NOTE, OrderError, Signers};

#[derive(Debug, Subcommand)]
pub(super) enum Migration {
    /// Sign the stages in a folder that are not on the ledger yet, and lay them down for it. What needs the auditor's mark waits.
    Record {
        /// The folder of records that `clover-migrate` writes.
        folder: PathBuf,
    },
    /// Sign, as the auditor, the seals and closures in a folder, each after a look at its evidence. Without a seal that bears this
    /// mark nothing is destroyed.
    Mark {
        /// The folder of records.
        folder: PathBuf,
        /// The auditor's secret key; `auditor/auditor.seed` of the enclave's folder if not given.
        #[arg(long, value_name = "FILE")]
        seed: Option<PathBuf>,
    },
}

impl Migration {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        match self {
            Self::Record { folder } => record(layout, output, folder),
            Self::Mark { folder, seed } => mark(layout, output, folder, seed.as_deref()),
        }
    }
}

/// A text of the folder, and what was signed of it.
struct Text {
    name: String,
    note: PathBuf,
    text: String,
    record: Record,
}

impl Text {
    fn all(folder: &Path) -> Result<Vec<Self>> {
        let read = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).map_err(CommandError::file(&path))?;
            let record = Record::parse(&text)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok(Self { name, note: path.with_extension(NOTE), text, record })
        };
        if !folder.is_dir() {
            return Err(CommandError::Rule("there is no such folder of records").into());
        }
        orders::ending(folder, "txt")?.into_iter().map(read).collect()
    }

    /// What is signed of it so far.
    fn note(&self) -> Result<Note> {
        if !self.note.exists() {
            return Ok(Note::new(&self.text)?);
        }
        let text = std::fs::read_to_string(&self.note).map_err(CommandError::file(&self.note))?;
        let note: Note = text.parse()?;
        if note.unverified_text() == self.text {
            return Ok(note);
        }
        Err(CommandError::Rule("a note and its text differ").into())
    }

    /// Adds a signature if it is not there yet.
    fn sign(&self, key: &Signer) -> Result<Note> {
        let mut note = self.note()?;
        if !note.signatures().iter().any(|s| s.name() == key.verifier().name()) {
            note.add(key.sign(&self.text)?);
            std::fs::write(&self.note, note.to_string()).map_err(CommandError::file(&self.note))?;
        }
        Ok(note)
    }

    fn words(&self) -> String {
        let Record { migration, set, stage, amount, open, .. } = &self.record;
        let open = if open.0 == 0 { String::new() } else { format!(", {} open", open.0) };
        format!("{migration} {set}: {}, {} rows{open}", stage.word(), amount.rows)
    }
}

fn record(layout: &Layout, output: &Output, folder: &Path) -> Result<()> {
    let programme = assemble::rulebook(layout)?.rulebook.programme.name;
    let (operator, signers) = (assemble::operator(layout)?, Signers::of(layout, &programme)?);
    let (mut laid, mut waits) = (Vec::new(), None);
    for text in Text::all(folder)? {
        let there = |folder: PathBuf| folder.join(&text.name).with_extension(NOTE).exists();
        if there(layout.migrations()) || there(layout.orders()) {
            continue;
        }
        let [by_operator, _] = text.record.stage.signers();
        let note = if by_operator { text.sign(&operator)? } else { text.note()? }.to_string();
        match signers.migration(&note) {
            Ok(_) => {
                orders::lay_down(layout, &text.name, NOTE, &note)?;
                laid.push(text.words());
            }
            // What comes after it waits, too.
            Err(OrderError::Signers(_)) => {
                waits = Some(text.words());
                break;
            }
            Err(e) => return Err(e.into()),
        }
    }
    let mut told = format!(
        "{} stages are laid down; a running enclave takes them within a second, any other at its start",
        laid.len()
    );
    laid.iter().for_each(|words| told.push_str(&format!("\n  {words}")));
    if let Some(words) = &waits {
        told.push_str(&format!("\nwaits for the auditor's mark (`clover migration mark`): {words}"));
    }
    output.data(&told, &json!({ "laid_down": laid, "waits": waits }));
    Ok(())
}

fn mark(layout: &Layout, output: &Output, folder: &Path, seed: Option<&Path>) -> Result<()> {
    let default = layout.auditor().join("auditor.seed");
    let auditor = assemble::signer(layout, seed.unwrap_or(&default), "auditor")?;
    let mut marked = Vec::new();
    for text in Text::all(folder)? {
        let signed = text.note()?.signatures().iter().any(|s| s.name() == auditor.verifier().name());
        if signed || !matches!(text.record.stage, Stage::Sealed | Stage::Witnessed) {
            continue;
        }
        let evidence = text.record.evidence.unwrap_or_default();
        let path = evidence_of(folder, &evidence)?.ok_or(CommandError::Rule(
            "the evidence that a stage names is not in the folder, or was changed",
        ))?;
        text.sign(&auditor)?;
        marked.push(json!({ "stage": text.words(), "evidence": path }));
    }
    let lines = marked
        .iter()
        .filter_map(|m| Some(format!("\n  {} on {}", m["stage"].as_str()?, m["evidence"].as_str()?)));
    let told = format!("{} stages are marked{}", marked.len(), lines.collect::<String>());
    output.data(&told, &json!({ "marked": marked }));
    Ok(())
}

/// The file of a folder that has this digest.
fn evidence_of(folder: &Path, digest: &[u8; 32]) -> Result<Option<PathBuf>> {
    for ending in ["json", "certificate"] {
        for path in orders::ending(folder, ending)? {
            let bytes = std::fs::read(&path).map_err(CommandError::file(&path))?;
            if sha256(&bytes).bytes() == digest {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}
