//! `clover-audit mirror` and `clover-audit status`.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::Context as _;
use audit::{ConfigError, Coverage, LogStatus, Mirror, MirrorConfig, StartError, Status, mirror_status};
use clap::Args;

use super::{CONFIG, FINDINGS, Failure, NO_INPUT, NO_OUTPUT};

#[derive(Args)]
pub(super) struct Arguments {
    /// The configuration (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// End when standard input ends, so that the mirror does not outlive who started it.
    #[arg(long)]
    attached: bool,
}

#[derive(Args)]
pub(super) struct StatusArguments {
    /// Where the mirror answers, like `http://127.0.0.1:8500`.
    #[arg(long, value_name = "URL")]
    mirror: String,
    /// Certificates (PEM) to trust, for a mirror that answers over `https`.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let config = MirrorConfig::read(&arguments.config).map_err(|error| {
        let code = if matches!(error, ConfigError::Read(..)) { NO_INPUT } else { CONFIG };
        let at = format!("cannot start from `{}`", arguments.config.display());
        Failure(code, anyhow::Error::from(error).context(at))
    })?;
    let mirror = Mirror::start(config).map_err(|error| {
        let code = if matches!(error, StartError::Folder { .. }) { NO_OUTPUT } else { CONFIG };
        Failure(code, error.into())
    })?;
    let scheme = if mirror.is_secure() { "https" } else { "http" };
    writeln!(io::stdout(), "mirror listens on {scheme}://{}", mirror.address())
        .map_err(|error| Failure(NO_OUTPUT, error.into()))?;
    if arguments.attached {
        // Whatever is said there is of no interest; an error is an end too.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        return Ok(0);
    }
    mirror.wait().context("cannot wait for the end").map_err(|error| Failure(NO_OUTPUT, error))?;
    Ok(0)
}

pub(super) fn run_status(arguments: &StatusArguments) -> Result<u8, Failure> {
    let status = mirror_status(&arguments.mirror, arguments.ca.as_deref())
        .map_err(|error| Failure(NO_INPUT, error.into()))?;
    let text = if arguments.json {
        let json = serde_json::to_string_pretty(&status);
        json.map(|json| json + "\n").map_err(|error| Failure(NO_OUTPUT, error.into()))?
    } else {
        words(&status)
    };
    io::stdout().write_all(text.as_bytes()).map_err(|error| Failure(NO_OUTPUT, error.into()))?;
    Ok(if status.coverage == Coverage::Green { 0 } else { FINDINGS })
}

fn words(status: &Status) -> String {
    let mut text = String::from(match status.coverage {
        Coverage::Green => "coverage: green\n",
        _ => "coverage: red\n",
    });
    for reason in &status.reasons {
        text.push_str(&format!("  {}\n", reason.escape_debug()));
    }
    for site in &status.sites {
        let round = site.round_seconds.map_or_else(|| "none".to_owned(), |age| format!("{age} s ago"));
        text.push_str(&format!(
            "site {}: {} entries checked, last round {round}, gaps {}\n",
            site.base, site.checked, site.gaps
        ));
        std::iter::once(&site.site).chain(&site.logs).for_each(|log| text.push_str(&line(log)));
    }
    for log in &status.witnessed {
        text.push_str(&format!("witnessed {}: {}\n", log.origin.escape_debug(), log.size));
    }
    text
}

fn line(log: &LogStatus) -> String {
    let named = log.named.map(|named| format!(" of {named}")).unwrap_or_default();
    let fetched = log.fetched_seconds.map_or_else(|| "never".to_owned(), |age| format!("{age} s ago"));
    format!("  {}: {}{named} entries held, fetched {fetched}\n", log.origin.escape_debug(), log.held)
}
