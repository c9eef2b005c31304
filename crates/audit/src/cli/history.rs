//! `clover-audit verify-history`.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use audit::verify_history;
use clap::Args;

use super::{FINDINGS, Failure, NO_OUTPUT, key, read};

#[derive(Args)]
pub(super) struct History {
    /// The history, as `clover subject history` wrote it.
    #[arg(long, value_name = "FILE")]
    history: PathBuf,
    /// Verifier key of the site log.
    #[arg(long, value_name = "FILE")]
    site_vkey: PathBuf,
    /// Policy of witnesses (C2SP tlog-policy): its quorum must have cosigned.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &History) -> Result<u8, Failure> {
    let site = key(&arguments.site_vkey)?;
    let file = read(&arguments.history)?;
    let policy = arguments.policy.as_ref().map(|path| read(path)).transpose()?;
    let policy = policy.as_deref().map(String::from_utf8_lossy);
    let mut out = io::stdout();
    let no_output = |error: io::Error| Failure(NO_OUTPUT, error.into());
    match verify_history(&file, &site, policy.as_deref()) {
        Ok(report) if arguments.json => {
            let text =
                serde_json::to_string_pretty(&report).map_err(|error| Failure(NO_OUTPUT, error.into()))?;
            writeln!(out, "{text}").map_err(no_output)?;
            Ok(0)
        }
        Ok(report) => write!(out, "{report}").map_err(no_output).map(|()| 0),
        Err(error) => {
            let text = error.to_string();
            writeln!(out, "finding: {}", text.escape_debug()).map_err(no_output)?;
            Ok(FINDINGS)
        }
    }
}
