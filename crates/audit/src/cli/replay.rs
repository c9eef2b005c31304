//! `clover-audit replay`: every recorded decision, made again.

use std::path::PathBuf;

use audit::{ReplayOptions, Replayed, replay};
use clap::Args;

use super::{
    FINDINGS, Failure, USAGE, key,
    verify::{Keys, What, failure, print, required, write_json},
};

#[derive(Args)]
pub(super) struct Replay {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    keys: Keys,
    /// From this entry of each log on.
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// Up to, and without, this entry of each log.
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// Write the report as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(arguments: &Replay) -> Result<u8, Failure> {
    let what = match (&arguments.what.ledger, &arguments.what.mirror) {
        (Some(ledger), _) => Replayed::Ledger(ledger.clone(), required(arguments.keys.log_vkey.as_ref())?),
        (_, Some(mirror)) => Replayed::Mirror(mirror.clone(), required(arguments.keys.site_vkey.as_ref())?),
        (None, None) => return Err(Failure(USAGE, anyhow::anyhow!("nothing to replay"))),
    };
    let options = ReplayOptions {
        what,
        operator: key(&arguments.keys.operator_vkey)?,
        auditor: key(&arguments.keys.auditor_vkey)?,
        from: arguments.from,
        to: arguments.to,
    };
    let report = replay(&options).map_err(failure)?;
    write_json(arguments.json.as_ref(), &report)?;
    print(&report)?;
    Ok(if report.is_clean() { 0 } else { FINDINGS })
}
