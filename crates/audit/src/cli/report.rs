//! `clover-audit report`.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, anyhow};
use audit::{PeriodError, PeriodOptions, day_of_date, report_page, report_period};
use clap::Args;

use super::{FINDINGS, Failure, NO_INPUT, NO_OUTPUT, USAGE, key, parties};

#[derive(Args)]
pub(super) struct Arguments {
    /// Folder of a mirror.
    #[arg(long, value_name = "DIR")]
    mirror: PathBuf,
    /// Verifier key of the site log.
    #[arg(long, value_name = "FILE")]
    site_vkey: PathBuf,
    /// Verifier key of the operator. Without it nothing is verified, and the report says so.
    #[arg(long, value_name = "FILE", requires = "auditor_vkey")]
    operator_vkey: Option<PathBuf>,
    /// Verifier key of the auditor.
    #[arg(long, value_name = "FILE", requires = "operator_vkey")]
    auditor_vkey: Option<PathBuf>,
    /// First day (UTC).
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: String,
    /// Last day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: String,
    /// Folder for `report.html` and `report.json`.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Folder of the watch, for incidents.
    #[arg(long, value_name = "DIR", requires = "parties")]
    watch: Option<PathBuf>,
    /// Who may act on them.
    #[arg(long, value_name = "FILE")]
    parties: Option<PathBuf>,
    /// Do not decide again, and build no day map again.
    #[arg(long)]
    quick: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let (from, to) = (day(&arguments.from, "--from")?, day(&arguments.to, "--to")?);
    if from > to {
        return Err(Failure(USAGE, anyhow!("`--from` is after `--to`")));
    }
    let signers = match (&arguments.operator_vkey, &arguments.auditor_vkey) {
        (Some(operator), Some(auditor)) => Some((key(operator)?, key(auditor)?)),
        _ => None,
    };
    let watch = match (&arguments.watch, &arguments.parties) {
        (Some(folder), Some(list)) => Some((folder.clone(), parties(list)?)),
        _ => None,
    };
    let options = PeriodOptions {
        mirror: arguments.mirror.clone(),
        site: key(&arguments.site_vkey)?,
        signers,
        thorough: !arguments.quick,
        from,
        to,
        watch,
    };
    let report = report_period(&options).map_err(|error| {
        let code = if matches!(error, PeriodError::Incidents(_)) { NO_OUTPUT } else { NO_INPUT };
        Failure(code, error.into())
    })?;
    let json = serde_json::to_vec_pretty(&report).map_err(|error| Failure(NO_OUTPUT, error.into()))?;
    fs::create_dir_all(&arguments.out)
        .and_then(|()| fs::write(arguments.out.join("report.json"), json))
        .and_then(|()| fs::write(arguments.out.join("report.html"), report_page(&report)))
        .with_context(|| format!("cannot write into `{}`", arguments.out.display()))
        .map_err(|error| Failure(NO_OUTPUT, error))?;
    let total = report.crossings.total.crossings;
    let findings = report.coverage.findings;
    let text = match findings {
        Some(findings) => format!("crossings   {total}\nfindings    {findings}\n"),
        None => format!("crossings   {total}\nfindings    not looked for\n"),
    };
    io::stdout().write_all(text.as_bytes()).map_err(|error| Failure(NO_OUTPUT, error.into()))?;
    Ok(if findings.unwrap_or(0) == 0 { 0 } else { FINDINGS })
}

fn day(text: &str, flag: &str) -> Result<u64, Failure> {
    day_of_date(text).ok_or_else(|| Failure(USAGE, anyhow!("`{flag}` is not of the form `YYYY-MM-DD`")))
}
