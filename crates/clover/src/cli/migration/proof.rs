//! `clover migration proof`: that the seals of a migration are on the ledger, a file for each, which `clover-migrate destroy` checks
//! where the ledger is not.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use ledger::migration::Stage;
use ledger::note::Note;
use serde_json::json;
use vault::disk::replace_file;
use vault::log::Beside;

use super::{Text, texts_of};
use crate::assemble;
use crate::cli::output::Output;
use crate::error::CommandError;
use crate::layout::Layout;
use crate::site::orders::{self, NOTE};

/// How a proof's file ends.
const PROOF: &str = "proof";
/// How often it is looked whether an entry is published.
const LOOK: Duration = Duration::from_millis(200);

/// Writes the proofs of all seals of a folder that are on the ledger, and waits for those that were laid down.
pub(super) fn write(layout: &Layout, output: &Output, folder: &Path, wait: Duration) -> Result<()> {
    let seals: Vec<Text> =
        Text::all(folder)?.into_iter().filter(|text| text.record.stage == Stage::Sealed).collect();
    let until = Instant::now() + wait;
    loop {
        let (proved, missing) = now(layout, &seals)?;
        if missing.is_empty() && !proved.is_empty() {
            let lines: String = proved.iter().map(|words| format!("\n  {words}")).collect();
            let told = format!("{} seals are proved to be on the ledger{lines}", proved.len());
            output.data(&told, &json!({ "proved": proved }));
            return Ok(());
        }
        // What was laid down comes within a second while the enclave runs.
        if missing.is_empty() || Instant::now() > until {
            let why = "no seal of the folder is on the ledger, or not all that were laid down are published: is the enclave running?";
            return Err(CommandError::Rule(why).into());
        }
        std::thread::sleep(LOOK);
    }
}

/// Writes what can be proved now. Says what was, and what waits to be recorded or published.
fn now(layout: &Layout, seals: &[Text]) -> Result<(Vec<String>, Vec<String>)> {
    let (mut proved, mut missing) = (Vec::new(), Vec::new());
    // In this order: one that moves from one to the other meanwhile is seen.
    let waiting = texts_of(&layout.orders())?;
    let there = recorded(layout)?;
    let log = Beside::open(&layout.log("log"), &assemble::verifier(layout, "log")?)?;
    for seal in seals {
        match there.get(&seal.text) {
            Some(index) if *index < log.size() => {
                let (entry, proof) = log.prove(*index)?;
                // The entry goes along: its hash is what is proved.
                let file = proof.with_extra(entry).to_string();
                let path = seal.note.with_extension(PROOF);
                replace_file(&path, file.as_bytes()).map_err(CommandError::file(&path))?;
                proved.push(seal.words());
            }
            Some(_) => missing.push(seal.words()),
            None if waiting.contains(&seal.text) => missing.push(seal.words()),
            // Another seal of the set may have taken its place.
            None => {}
        }
    }
    Ok((proved, missing))
}

/// The texts that were recorded, each with the index of its entry.
fn recorded(layout: &Layout) -> Result<BTreeMap<String, u64>> {
    let mut recorded = BTreeMap::new();
    for path in orders::ending(&layout.migrations(), NOTE)? {
        let index = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        let note = std::fs::read_to_string(&path).map_err(CommandError::file(&path))?;
        if let (Some(index), Ok(note)) = (index, note.parse::<Note>()) {
            recorded.insert(note.unverified_text().to_owned(), index);
        }
    }
    Ok(recorded)
}
