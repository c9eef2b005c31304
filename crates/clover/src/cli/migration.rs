//! `clover migration`: stages of a migration are put on the ledger, and marked by the auditor (`docs/formats/migration.md`).
//!
//! `clover-migrate` writes them as texts into a folder, with the evidence that they name beside them. A signed text stands under
//! the same name with the ending `.note`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use data_encoding::HEXLOWER;
use gateway::enclave;
use ledger::migration::{Record, Stage};
use ledger::note::{Note, Signer, Verifier};
use ledger::sha256;
use serde_json::json;
use vault::disk::replace_file;

use super::output::Output;
use crate::assemble;
use crate::error::CommandError;
use crate::layout::Layout;
use crate::site::orders::{self, NOTE, Signers};

mod proof;

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
    /// Write, for each seal of a folder that is on the ledger, a file beside it that proves it (C2SP tlog-proof). `clover-migrate destroy` asks
    /// for them where its plan names the ledger's key.
    Proof {
        /// The folder of records.
        folder: PathBuf,
        /// Seconds that seals which were laid down are waited for.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=3600))]
        wait_seconds: u16,
    },
}

impl Migration {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        match self {
            Self::Record { folder } => record(layout, output, folder),
            Self::Mark { folder, evidence, seed } => {
                mark(layout, output, (folder, evidence), seed.as_deref())
            }
            Self::Proof { folder, wait_seconds } => {
                proof::write(layout, output, folder, Duration::from_secs((*wait_seconds).into()))
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

    /// What is signed of it so far, by whose signatures count: all others are left out.
    fn note(&self, keys: &[Verifier]) -> Result<Note> {
        let mut note = Note::new(&self.text)?;
        if !self.note.exists() {
            return Ok(note);
        }
        let text = std::fs::read_to_string(&self.note).map_err(CommandError::file(&self.note))?;
        let there: Note = text.parse()?;
        if there.unverified_text() != self.text {
            return Err(CommandError::Rule("a note and its text differ").into());
        }
        for signature in there.signatures() {
            let mut one = Note::new(&self.text)?;
            one.add(signature.clone());
            if one.verify(keys).is_ok() {
                note.add(signature.clone());
            }
        }
        Ok(note)
    }

    /// Adds a signature if it is not there yet.
    fn sign(&self, key: &Signer, keys: &[Verifier]) -> Result<Note> {
        let mut note = self.note(keys)?;
        if !is_signed_by(&note, key.verifier()) {
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

fn is_signed_by(note: &Note, key: &Verifier) -> bool {
    note.verify(std::slice::from_ref(key)).is_ok_and(|verified| verified.signed_by(key).is_some())
}

/// The keys of operator and auditor.
fn keys(layout: &Layout) -> Result<[Verifier; 2]> {
    Ok([assemble::verifier(layout, "operator")?, assemble::verifier(layout, "auditor")?])
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
    let keys = keys(layout)?;
    let [_, auditor] = &keys;
    let mut there = texts_of(&layout.migrations())?;
    there.extend(texts_of(&layout.orders())?);
    let (mut laid, mut waits) = (Vec::new(), BTreeMap::new());
    let all = Text::all(folder)?;
    for (place, text) in all.iter().enumerate() {
        // What comes after one that waits waits, too.
        if there.contains(&text.text) || waits.contains_key(text.record.migration.as_str()) {
            continue;
        }
        let [by_operator, by_auditor] = text.record.stage.signers();
        if by_auditor && !is_signed_by(&text.note(&keys)?, auditor) {
            let same = |later: &Text| {
                let (a, b) = (&later.record, &text.record);
                (&a.migration, &a.set, a.stage) == (&b.migration, &b.set, b.stage)
            };
            // A later seal of the set takes the place of one that the auditor did not mark.
            if text.record.stage == Stage::Sealed && all.iter().skip(place + 1).any(same) {
                continue;
            }
            waits.insert(text.record.migration.as_str(), text.words());
            continue;
        }
        // The operator signs a seal only when it is laid down: both signatures together are what `destroy` asks for.
        let note = if by_operator { text.sign(&operator, &keys)? } else { text.note(&keys)? }.to_string();
        signers.migration(&note)?;
        orders::lay_down(layout, &text.name, NOTE, &note)?;
        laid.push(text.words());
    }
    let mut told = format!(
        "{} stages are laid down; a running enclave takes them within a second, any other at its start",
        laid.len()
    );
    laid.iter().for_each(|words| told.push_str(&format!("\n  {words}")));
    for words in waits.values() {
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
        text.sign(&auditor, &keys(layout)?)?;
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
    let other = || CommandError::Rule("a text of this name says something else than the auditor would");
    let name = destroyed.name.strip_suffix("destroyed").ok_or_else(other)?;
    let path = folder.join(format!("{name}witnessed.txt"));
    if !path.exists() {
        let time = enclave::now().0.max(destroyed.record.time);
        let record = Record { stage: Stage::Witnessed, time, ..destroyed.record.clone() };
        replace_file(&path, record.text().as_bytes()).map_err(CommandError::file(&path))?;
    }
    let text = std::fs::read_to_string(&path).map_err(CommandError::file(&path))?;
    let text = Text::of(&path, text)?;
    // Whatever lay there: nothing but its time is its own, and that is not of the future.
    let record = Record { stage: Stage::Witnessed, time: text.record.time, ..destroyed.record.clone() };
    if text.record == record && record.time <= enclave::now().0.max(destroyed.record.time) {
        Ok(text)
    } else {
        Err(other().into())
    }
}
