//! That a seal stands on the ledger: a file that the enclave writes (`clover migration proof`), checked where the ledger is not. It is a
//! C2SP tlog-proof whose extra line is the entry itself.

use std::path::Path;

use ledger::migration::Record;
use ledger::note::{Note, Verifier};
use ledger::proof::{LogProof, LogProofError};
use ledger::{Entry, EntryKind};

use crate::error::MigrateError;

/// How such a file ends.
pub(crate) const PROOF: &str = "proof";

/// Checks that an entry with this text, signed by all of these, is in the log of a key.
pub(crate) fn check(
    path: &Path,
    record: &Record,
    log: &Verifier,
    signers: &[Verifier],
) -> Result<(), MigrateError> {
    proved(path, record, log, signers).map_err(|why| {
        let text = format!(
            "{}: {why}. Nothing is destroyed before its seal is proved to be on the ledger (`clover migration proof`, at the enclave)",
            path.display()
        );
        MigrateError::State(text)
    })
}

fn proved(path: &Path, record: &Record, log: &Verifier, signers: &[Verifier]) -> Result<(), String> {
    let file = match std::fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err("it is not there".into()),
        file => file.map_err(|e| e.to_string())?,
    };
    let proof: LogProof = file.parse().map_err(|e: LogProofError| e.to_string())?;
    match proof.verify(proof.extra(), log, &[]) {
        Ok(_) => {}
        Err(LogProofError::Checkpoint(e)) => {
            return Err(format!("its checkpoint is none of the log `{}`: {e}", log.name()));
        }
        Err(_) => return Err(format!("it does not show that its entry is in the log `{}`", log.name())),
    }
    let other = "its entry is none of a stage of a migration";
    let entry = Entry::decode(proof.extra()).map_err(|_| other)?;
    let note = std::str::from_utf8(&entry.draft.facts).ok().and_then(|note| note.parse::<Note>().ok());
    let note = note.filter(|_| entry.draft.kind == EntryKind::Migration).ok_or(other)?;
    if note.unverified_text() != record.text() {
        return Err("its entry is of another stage, set or seal".into());
    }
    let unsigned = |key: &&Verifier| {
        !note.verify(std::slice::from_ref(*key)).is_ok_and(|verified| verified.signed_by(key).is_some())
    };
    match signers.iter().find(unsigned) {
        Some(key) => Err(format!("`{}` did not sign its entry", key.name())),
        None => Ok(()),
    }
}
