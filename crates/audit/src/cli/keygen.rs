//! `clover-audit keygen`.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::Context as _;
use audit::{KeyKind, KeygenError};
use clap::{Args, ValueEnum};

use super::{Failure, NO_OUTPUT, USAGE};

#[derive(Args)]
pub(super) struct Keygen {
    /// Name under which the key signs, like `auditor.example/mirror`.
    #[arg(long)]
    name: String,
    /// What the key is for.
    #[arg(long)]
    kind: Kind,
    /// New file for the seed, which only the owner may read.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write the verifier key here too.
    #[arg(long, value_name = "FILE")]
    vkey: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Cosigns what it holds and has checked.
    Mirror,
    /// Cosigns what continues what it cosigned before.
    Witness,
    /// Signs the auditor's own notes: rulebooks, requests, evidence.
    Auditor,
}

pub(super) fn run(arguments: &Keygen) -> Result<u8, Failure> {
    let kind = match arguments.kind {
        Kind::Mirror | Kind::Witness => KeyKind::Cosigner,
        Kind::Auditor => KeyKind::Auditor,
    };
    let key = audit::keygen(&arguments.name, kind, &arguments.out).map_err(|error| {
        let code = if matches!(error, KeygenError::Seed(_)) { USAGE } else { NO_OUTPUT };
        let at = format!("cannot make `{}`", arguments.out.display());
        Failure(code, anyhow::Error::from(error).context(at))
    })?;
    let vkey = format!("{}\n", key.vkey());
    if let Some(path) = &arguments.vkey {
        fs::write(path, &vkey)
            .with_context(|| format!("cannot write `{}`", path.display()))
            .map_err(|error| Failure(NO_OUTPUT, error))?;
    }
    io::stdout().write_all(vkey.as_bytes()).map_err(|error| Failure(NO_OUTPUT, error.into()))?;
    Ok(0)
}
