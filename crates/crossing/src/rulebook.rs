//! Opening a rulebook: both signatures, every file, every policy, or nothing.

use ledger::note::{Note, Verifier};
use ledger::sha256;
use model::rulebook::{Files, Rulebook, manifest};
use model::{Explain, Problems};
use policy::Engine;

/// A rulebook that operator and auditor signed and that decides.
pub struct ActiveRulebook {
    /// Its data.
    pub rulebook: Rulebook,
    /// Its policies.
    pub engine: Engine,
}

/// Why a rulebook does not count. What does not count refuses everything.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulebookError {
    /// The manifest is not a signed note.
    #[error("`manifest.note` is not a signed note")]
    Note,
    /// A signature is missing.
    #[error("the rulebook is not signed by the {0}")]
    Unsigned(&'static str),
    /// The files are not those that were signed.
    #[error("the rulebook's files are not those that were signed")]
    OtherFiles,
    /// The content has problems.
    #[error("the rulebook has problems")]
    Content(#[source] Problems),
}

impl Explain for RulebookError {
    fn code(&self) -> &'static str {
        "CLV-0101"
    }
    fn fix(&self) -> &'static str {
        "run `clover rulebook check`, then have operator and auditor sign it with `clover rulebook sign`"
    }
    fn public(&self) -> &'static str {
        "the border is closed; nothing was released"
    }
}

impl ActiveRulebook {
    /// Opens a rulebook's files with their manifest.
    ///
    /// # Errors
    /// [`RulebookError`] with what is missing.
    pub fn open(
        files: &Files,
        note: &str,
        operator: &Verifier,
        auditor: &Verifier,
    ) -> Result<Self, RulebookError> {
        let note: Note = note.parse().map_err(|_| RulebookError::Note)?;
        let known = [operator.clone(), auditor.clone()];
        let verified = note.verify(&known).map_err(|_| RulebookError::Unsigned("operator and auditor"))?;
        // INVARIANT: one signature is not enough, and one key cannot stand for both.
        if operator.to_vkey() == auditor.to_vkey() || verified.signed_by(auditor).is_none() {
            return Err(RulebookError::Unsigned("auditor"));
        }
        if verified.signed_by(operator).is_none() {
            return Err(RulebookError::Unsigned("operator"));
        }
        if verified.text() != manifest(files, sha256) {
            return Err(RulebookError::OtherFiles);
        }
        let (rulebook, engine) = candidate(files).map_err(RulebookError::Content)?;
        Ok(Self { rulebook, engine })
    }
}

/// A rulebook that somebody proposes, with its engine: to be asked what it would decide, and never on a road.
///
/// # Errors
/// All problems at once.
pub fn candidate(files: &Files) -> Result<(Rulebook, Engine), Problems> {
    let rulebook = Rulebook::parse(files, sha256)?;
    let engine = Engine::new(&rulebook)?;
    Ok((rulebook, engine))
}

/// Every problem of a rulebook's files, signatures apart.
///
/// # Errors
/// All problems at once.
pub fn check(files: &Files) -> Result<Rulebook, Problems> {
    candidate(files).map(|(rulebook, _)| rulebook)
}
