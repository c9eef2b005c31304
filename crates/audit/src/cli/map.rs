//! `clover-audit map`.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::anyhow;
use audit::{MapOptions, check_maps, day_of_date};
use clap::Args;

use super::{FINDINGS, Failure, NO_OUTPUT, USAGE, key, sample::folder_code};

#[derive(Args)]
pub(super) struct Map {
    /// Folder of a mirror.
    #[arg(long, value_name = "DIR")]
    mirror: PathBuf,
    /// Verifier key of the site log.
    #[arg(long, value_name = "FILE")]
    site_vkey: PathBuf,
    /// Only the maps of this day; the calendar before it is then believed.
    #[arg(long, value_name = "YYYY-MM-DD")]
    day: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Map) -> Result<u8, Failure> {
    let day = match &arguments.day {
        Some(text) => Some(
            day_of_date(text)
                .ok_or_else(|| Failure(USAGE, anyhow!("`--day` is not of the form `YYYY-MM-DD`")))?,
        ),
        None => None,
    };
    let options = MapOptions { mirror: arguments.mirror.clone(), site: key(&arguments.site_vkey)?, day };
    let report = check_maps(&options).map_err(|error| Failure(folder_code(&error), error.into()))?;
    let text = if arguments.json {
        let json = serde_json::to_string_pretty(&report).map_err(|error| Failure(NO_OUTPUT, error.into()))?;
        format!("{json}\n")
    } else {
        report.to_string()
    };
    write!(io::stdout(), "{text}").map_err(|error| Failure(NO_OUTPUT, error.into()))?;
    Ok(if report.is_clean() { 0 } else { FINDINGS })
}
