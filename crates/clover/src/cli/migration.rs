//! `clover migration`: stages of a migration are put on the ledger, and marked by the auditor (`docs/formats/migration.md`).
//!
//! `clover-migrate` writes them as texts into a folder, with the evidence that they name beside them. A signed text stands under
//! the same name with the ending `.note`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use data_encoding::HEXLOWER;
use gateway::enclave;
use ledger::migration::{Record, Stage};
use ledger::note::{Note, Signer};
use ledger::sha256;
use serde_json::json;
use vault::disk::replace_file;

use super::output::Output;
use crate::assemble;
use crate::error::CommandError;
use crate::layout::Layout;
use crate::site::orders::{self, NOTE, Signers};

#[derive(Debug, Subcommand)]
pub(super) enum Migration {
    /// Sign the stages in a folder that are not on the ledger yet, and lay them down for it. What needs the auditor's mark waits.
    Record {
        /// The folder of records that `clover-migrate` writes.
        folder: PathBuf,
    },
    /// Sign, as the auditor, what rests on one manifest or certificate, after a look at it: the seals of its sets, without which nothing is
    /// destroyed, or that they were destroyed and nothing is left.
    Mark {
        /// The folder of records.
        folder: PathBuf,
        /// The manifest or certificate that was looked at.
        #[arg(long, value_name = "FILE")]
        evidence: PathBuf,
        /// The auditor's secret key; `auditor/auditor.seed` of the enclave's folder if not given.
        #[arg(long, value_name = "FILE")]
        seed: Option<PathBuf>,
    },
}

impl Migration {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        match self {
            Self::Record { folder } => record(layout, output, folder),
            Self::Mark { folder, evidence, seed } => {
                mark(layout, output, (folder, evidence), seed.as_deref())
            }
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
            Self::of(&path, text)
        };
        if !folder.is_dir() {
            return Err(CommandError::Rule("there is no such folder of records").into());
        }
        orders::ending(folder, "txt")?.into_iter().map(read).collect()
    }

    fn of(path: &Path, text: String) -> Result<Self> {
        let record = Record::parse(&text)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, note: path.with_extension(NOTE), text, record })
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

    fn is_signed_by(&self, name: &str) -> Result<bool> {
        Ok(self.note()?.signatures().iter().any(|s| s.name() == name))
    }

    /// Adds a signature if it is not there yet.
    fn sign(&self, key: &Signer) -> Result<Note> {
        let mut note = self.note()?;
        if !note.signatures().iter().any(|s| s.name() == key.verifier().name()) {
            note.add(key.sign(&self.text)?);
            replace_file(&self.note, note.to_string().as_bytes()).map_err(CommandError::file(&self.note))?;
        }
        Ok(note)
    }

    fn words(&self) -> String {
        let Record { migration, set, stage, amount, open, .. } = &self.record;
        let open = if open.0 == 0 { String::new() } else { format!(", {} open", open.0) };
        format!("{migration} {set}: {}, {} rows{open}", stage.word(), amount.rows)
    }
}

/// The texts of notes in a folder.
fn texts_of(folder: &Path) -> Result<BTreeSet<String>> {
    let mut texts = BTreeSet::new();
    for path in orders::ending(folder, NOTE)? {
        let note = std::fs::read_to_string(&path).map_err(CommandError::file(&path))?;
        texts.extend(note.parse::<Note>().map(|note| note.unverified_text().to_owned()));
    }
    Ok(texts)
}

fn record(layout: &Layout, output: &Output, folder: &Path) -> Result<()> {
    let programme = assemble::rulebook(layout)?.rulebook.programme.name;
    let (operator, signers) = (assemble::operator(layout)?, Signers::of(layout, &programme)?);
    let auditor = assemble::verifier(layout, "auditor")?;
    let mut there = texts_of(&layout.migrations())?;
    there.extend(texts_of(&layout.orders())?);
    let (mut laid, mut waits) = (Vec::new(), None);
    let all = Text::all(folder)?;
    for (place, text) in all.iter().enumerate() {
        if there.contains(&text.text) {
            continue;
        }
        let [by_operator, by_auditor] = text.record.stage.signers();
        if by_auditor && !text.is_signed_by(auditor.name())? {
            let same = |later: &Text| {
                let (a, b) = (&later.record, &text.record);
                (&a.migration, &a.set, a.stage) == (&b.migration, &b.set, b.stage)
            };
            // A later seal of the set takes the place of one that the auditor did not mark.
            if text.record.stage == Stage::Sealed && all.iter().skip(place + 1).any(same) {
                continue;
            }
            // What comes after it waits, too.
            waits = Some(text.words());
            break;
        }
        // The operator signs a seal only when it is laid down: both signatures together are what `destroy` asks for.
        let note = if by_operator { text.sign(&operator)? } else { text.note()? }.to_string();
        signers.migration(&note)?;
        orders::lay_down(layout, &text.name, NOTE, &note)?;
        laid.push(text.words());
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

fn mark(
    layout: &Layout,
    output: &Output,
    (folder, evidence): (&Path, &Path),
    seed: Option<&Path>,
) -> Result<()> {
    let default = layout.auditor().join("auditor.seed");
    let auditor = assemble::signer(layout, seed.unwrap_or(&default), "auditor")?;
    let bytes = std::fs::read(evidence).map_err(CommandError::file(evidence))?;
    let (digest, said) = (*sha256(&bytes).bytes(), String::from_utf8_lossy(&bytes).into_owned());
    let mut marked = Vec::new();
    for text in Text::all(folder)? {
        let rests = text.record.evidence == Some(digest);
        let text = match text.record.stage {
            Stage::Sealed if rests => text,
            Stage::Destroyed if rests && text.record.open.0 == 0 => witnessed(folder, &text)?,
            _ => continue,
        };
        says_the_same(&text.record, &said)?;
        text.sign(&auditor)?;
        marked.push(text.words());
    }
    if marked.is_empty() {
        let why = "no seal rests on this file, nor anything destroyed of which nothing is open; or the file was changed";
        return Err(CommandError::Rule(why).into());
    }
    let lines: String = marked.iter().map(|words| format!("\n  {words}")).collect();
    output.data(&format!("{} stages are marked{lines}", marked.len()), &json!({ "marked": marked }));
    Ok(())
}

/// That a manifest or certificate speaks of the same migration, set and rows as the text that rests on it.
fn says_the_same(record: &Record, evidence: &str) -> Result<()> {
    let rows = record.amount.rows;
    let same = if record.stage == Stage::Sealed {
        let manifest: serde_json::Value = serde_json::from_str(evidence)?;
        let is = |key: &str, value: &str| manifest.get(key).and_then(|v| v.as_str()) == Some(value);
        let digest = record.digests.first().copied().flatten().map(|d| HEXLOWER.encode(&d));
        let set = json!([record.set.as_str(), rows, digest]);
        let sets =
            manifest.get("sets").and_then(|sets| sets.as_array()).map(Vec::as_slice).unwrap_or_default();
        is("programme", record.programme.as_str())
            && is("migration", record.migration.as_str())
            && sets.iter().any(|s| json!([s.get("set"), s.get("rows"), s.get("digest")]) == set)
    } else {
        let lines: BTreeSet<&str> = evidence.lines().collect();
        [
            format!("programme {}", record.programme),
            format!("migration {}", record.migration),
            format!("destroyed {} rows {rows}", record.set),
        ]
        .iter()
        .all(|line| lines.contains(line.as_str()))
    };
    if same {
        Ok(())
    } else {
        Err(CommandError::Rule("the file speaks of another migration, set or rows").into())
    }
}

/// The auditor's own text: that a set was destroyed, as its certificate says, and nothing is open.
fn witnessed(folder: &Path, destroyed: &Text) -> Result<Text> {
    let path = folder.join(destroyed.name.replace("destroyed", "witnessed")).with_extension("txt");
    if !path.exists() {
        let time = enclave::now().0.max(destroyed.record.time);
        let record = Record { stage: Stage::Witnessed, time, ..destroyed.record.clone() };
        replace_file(&path, record.text().as_bytes()).map_err(CommandError::file(&path))?;
    }
    let text = std::fs::read_to_string(&path).map_err(CommandError::file(&path))?;
    Text::of(&path, text)
}
