//! `clover-audit sample`.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use audit::{FolderError, KeyKind, SampleError, SampleOptions, SigningKey, VerifierKey, run_sample};
use clap::Args;

use super::{CONFIG, FINDINGS, Failure, NO_INPUT, NO_OUTPUT, USAGE, key};

#[derive(Args)]
pub(super) struct Sample {
    /// Folder of a mirror.
    #[arg(long, value_name = "DIR")]
    mirror: PathBuf,
    /// Base URL of the site, like `http://127.0.0.1:8405`.
    #[arg(long, value_name = "URL")]
    base: String,
    /// Certificates (PEM) to trust, for a base that is `https`.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Verifier key of the site log.
    #[arg(long, value_name = "FILE")]
    site_vkey: PathBuf,
    /// Seed of the auditor's key.
    #[arg(long, value_name = "FILE")]
    auditor_seed: PathBuf,
    /// Verifier key of the auditor, which names the key.
    #[arg(long, value_name = "FILE")]
    auditor_vkey: PathBuf,
    /// How many entries of each gateway, at most 64.
    #[arg(long, value_name = "N", default_value_t = 16)]
    count: u64,
    /// Only the gateway whose log has this origin.
    #[arg(long, value_name = "ORIGIN")]
    gateway: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Sample) -> Result<u8, Failure> {
    let auditor = auditor(&arguments.auditor_seed, &key(&arguments.auditor_vkey)?)?;
    let options = SampleOptions {
        mirror: arguments.mirror.clone(),
        base: arguments.base.clone(),
        certificates: arguments.ca.clone(),
        site: key(&arguments.site_vkey)?,
        gateway: arguments.gateway.clone(),
        count: arguments.count,
    };
    let reports = run_sample(&options, &auditor).map_err(|error| {
        let code = if matches!(error, SampleError::Count) { USAGE } else { NO_INPUT };
        Failure(code, error.into())
    })?;
    let text = if arguments.json {
        let json =
            serde_json::to_string_pretty(&reports).map_err(|error| Failure(NO_OUTPUT, error.into()))?;
        format!("{json}\n")
    } else {
        reports.iter().map(ToString::to_string).collect()
    };
    io::stdout().write_all(text.as_bytes()).map_err(|error| Failure(NO_OUTPUT, error.into()))?;
    Ok(if reports.iter().all(|report| report.findings.is_empty()) { 0 } else { FINDINGS })
}

/// The auditor's signing key, which must be the one of the verifier key.
pub(super) fn auditor(seed: &std::path::Path, vkey: &VerifierKey) -> Result<SigningKey, Failure> {
    let signer = SigningKey::read(vkey.name(), KeyKind::Auditor, seed).map_err(|error| {
        Failure(CONFIG, anyhow::Error::from(error).context("cannot use the auditor's seed"))
    })?;
    match VerifierKey::parse(&signer.vkey()) {
        Ok(own) if own == *vkey => Ok(signer),
        _ => Err(Failure(CONFIG, anyhow::anyhow!("the auditor's seed is not that of the verifier key"))),
    }
}

/// The exit code of a folder that cannot be used: what contradicts its signature is a finding.
pub(super) fn folder_code(error: &FolderError) -> u8 {
    match error {
        FolderError::Checkpoint { .. } | FolderError::Root(_) | FolderError::Leaf { .. } => FINDINGS,
        _ => NO_INPUT,
    }
}
