//! `clover-audit verify`: one gateway's tree, or a whole site.

use std::{fs, io, io::Write, path::PathBuf};

use anyhow::Context as _;
use audit::{AuditError, Options, SiteOptions, VerifierKey, verify, verify_site};
use clap::Args;

use super::{CONFIG, FINDINGS, Failure, NO_INPUT, NO_OUTPUT, USAGE, key, read};

/// What is read: one log, or all of a site.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct What {
    /// Folder of the published tree of one gateway; needs `--log-vkey`.
    #[arg(long, value_name = "DIR", requires = "log_vkey")]
    pub(super) ledger: Option<PathBuf>,
    /// Folder of a mirror, with `site/` and every enrolled log in it; needs `--site-vkey`.
    #[arg(long, value_name = "DIR", requires = "site_vkey", visible_alias = "site")]
    pub(super) mirror: Option<PathBuf>,
}

/// Whom to believe.
#[derive(Args)]
pub(super) struct Keys {
    /// Verifier key of the log.
    #[arg(long, value_name = "FILE")]
    pub(super) log_vkey: Option<PathBuf>,
    /// Verifier key of the site log.
    #[arg(long, value_name = "FILE")]
    pub(super) site_vkey: Option<PathBuf>,
    /// Verifier key of the operator.
    #[arg(long, value_name = "FILE")]
    pub(super) operator_vkey: PathBuf,
    /// Verifier key of the auditor.
    #[arg(long, value_name = "FILE")]
    pub(super) auditor_vkey: PathBuf,
}

#[derive(Args)]
pub(super) struct Verify {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    keys: Keys,
    /// C2SP tlog-policy: the site's checkpoint must be cosigned by its quorum.
    #[arg(long, value_name = "FILE", requires = "mirror")]
    policy: Option<PathBuf>,
    /// A checkpoint that was seen elsewhere or earlier, which must be of the same history; may be repeated.
    #[arg(long, value_name = "FILE", requires = "mirror")]
    seen: Vec<PathBuf>,
    /// Do not build the day maps again; check all else.
    #[arg(long, requires = "mirror")]
    no_maps: bool,
    /// Write the report as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Do not decide again; check all else.
    #[arg(long)]
    no_redecide: bool,
}

pub(super) fn run(arguments: &Verify) -> Result<u8, Failure> {
    match (&arguments.what.ledger, &arguments.what.mirror) {
        (Some(ledger), _) => one(arguments, ledger.clone()),
        (_, Some(mirror)) => site(arguments, mirror.clone()),
        (None, None) => Err(Failure(USAGE, anyhow::anyhow!("nothing to verify"))),
    }
}

fn one(arguments: &Verify, ledger: PathBuf) -> Result<u8, Failure> {
    let options = Options {
        ledger,
        log: required(arguments.keys.log_vkey.as_ref())?,
        operator: key(&arguments.keys.operator_vkey)?,
        auditor: key(&arguments.keys.auditor_vkey)?,
        redecide: !arguments.no_redecide,
    };
    let report = verify(&options).map_err(failure)?;
    write_json(arguments.json.as_ref(), &report)?;
    print(&report)?;
    Ok(if report.is_clean() { 0 } else { FINDINGS })
}

fn site(arguments: &Verify, folder: PathBuf) -> Result<u8, Failure> {
    let policy = arguments.policy.as_ref().map(|path| read(path)).transpose()?;
    let options = SiteOptions {
        folder,
        site: required(arguments.keys.site_vkey.as_ref())?,
        operator: key(&arguments.keys.operator_vkey)?,
        auditor: key(&arguments.keys.auditor_vkey)?,
        policy: policy.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        seen: arguments.seen.clone(),
        redecide: !arguments.no_redecide,
        maps: !arguments.no_maps,
        records_max: SiteOptions::RECORDS_MAX,
    };
    let report = verify_site(&options).map_err(failure)?;
    write_json(arguments.json.as_ref(), &report)?;
    print(&report)?;
    Ok(if report.is_clean() { 0 } else { FINDINGS })
}

/// A key that clap has made sure of.
pub(super) fn required(path: Option<&PathBuf>) -> Result<VerifierKey, Failure> {
    key(path.ok_or_else(|| Failure(USAGE, anyhow::anyhow!("a verifier key is missing")))?)
}

/// Says with which code the command ends when nothing could be checked.
pub(super) fn failure(error: AuditError) -> Failure {
    let code = match error {
        AuditError::SameKey | AuditError::Policy(_) => CONFIG,
        AuditError::Temporary(_) => NO_OUTPUT,
        _ => NO_INPUT,
    };
    Failure(code, error.into())
}

pub(super) fn write_json(path: Option<&PathBuf>, report: &impl serde::Serialize) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let json = serde_json::to_vec_pretty(report).map_err(|error| Failure(NO_OUTPUT, error.into()))?;
    fs::write(path, json)
        .with_context(|| format!("cannot write `{}`", path.display()))
        .map_err(|error| Failure(NO_OUTPUT, error))
}

pub(super) fn print(report: &impl std::fmt::Display) -> Result<(), Failure> {
    write!(io::stdout(), "{report}").map_err(|error| Failure(NO_OUTPUT, error.into()))
}
