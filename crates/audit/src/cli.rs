//! Arguments in, report and exit code out.

mod evidence;
mod history;
mod incident;
mod keygen;
mod map;
mod mirror;
mod replay;
mod report;
mod sample;
mod serve;
mod verify;
mod watch;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use audit::{Parties, VerifierKey, verify_proof};
use clap::{Args, Parser, Subcommand};

/// Something does not hold.
const FINDINGS: u8 = 1;
// The rest are those of sysexits.
const USAGE: u8 = 64;
const NO_INPUT: u8 = 66;
const NO_OUTPUT: u8 = 73;
const CONFIG: u8 = 78;

/// Checks a Clover ledger from its published files alone.
///
/// Exit codes: 0 everything holds, 1 something does not, 64 usage, 66 nothing to read, 73 no report could be
/// written, 78 a key is not usable.
#[derive(Parser)]
#[command(name = "clover-audit", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check one log or a whole site: structure, entries, rulebooks, rounds, day maps and every decision.
    Verify(verify::Verify),
    /// Make every recorded decision again, and nothing else.
    Replay(replay::Replay),
    /// Check a receipt: that one entry is in the log.
    VerifyProof(Proof),
    /// Make a key for a mirror, a witness or an auditor.
    Keygen(keygen::Keygen),
    /// Follow every log of a site, hold it, and cosign what is held and checked.
    Mirror(mirror::Arguments),
    /// Build every day map of a mirrored site again, and compare.
    Map(map::Map),
    /// Check a person's history: every crossing of a period that names them, and that there is no other.
    VerifyHistory(history::History),
    /// Have the site open entries that nobody could foresee, and check what it gives.
    Sample(sample::Sample),
    /// Put entries and all that proves them into a file that a stranger checks offline.
    Evidence(evidence::Evidence),
    /// Check such a file.
    VerifyEvidence(evidence::VerifyEvidence),
    /// Say what is unusual as it comes, and open incidents for what is grave.
    Watch(watch::Arguments),
    /// Open, escalate, close and read incidents.
    Incident(incident::Arguments),
    /// Write the report on a period, as HTML and JSON.
    Report(report::Arguments),
    /// Show all of it as web pages, read from a mirror's folder.
    Serve(serve::Arguments),
    /// Ask a mirror what it covers: exit code 0 if that is everything, 1 if not.
    Status(mirror::StatusArguments),
}

#[derive(Args)]
struct Proof {
    /// The entry: header and facts.
    #[arg(long, value_name = "FILE")]
    leaf: PathBuf,
    /// The receipt, of the form `c2sp.org/tlog-proof@v1`.
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    /// Verifier key of the log.
    #[arg(long, value_name = "FILE")]
    log_vkey: PathBuf,
}

/// A failure with its exit code.
struct Failure(u8, anyhow::Error);

/// Runs the command line of this process.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come as errors too, and go to standard output.
            let code = if error.use_stderr() { USAGE } else { 0 };
            return error.print().map_or(NO_OUTPUT, |()| code).into();
        }
    };
    let result = match &cli.command {
        Command::Verify(arguments) => verify::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::VerifyProof(arguments) => run_proof(arguments),
        Command::Keygen(arguments) => keygen::run(arguments),
        Command::Mirror(arguments) => mirror::run(arguments),
        Command::Map(arguments) => map::run(arguments),
        Command::VerifyHistory(arguments) => history::run(arguments),
        Command::Sample(arguments) => sample::run(arguments),
        Command::Evidence(arguments) => evidence::run(arguments),
        Command::VerifyEvidence(arguments) => evidence::run_verify(arguments),
        Command::Watch(arguments) => watch::run(arguments),
        Command::Incident(arguments) => incident::run(arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Status(arguments) => mirror::run_status(arguments),
    };
    match result {
        Ok(code) => code.into(),
        Err(Failure(code, error)) => {
            // Nothing is left to do if this cannot be written either.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            code.into()
        }
    }
}

fn run_proof(arguments: &Proof) -> Result<u8, Failure> {
    let log = key(&arguments.log_vkey)?;
    let (leaf, proof) = (read(&arguments.leaf)?, read(&arguments.proof)?);
    let mut out = io::stdout();
    let (written, code) = match verify_proof(&leaf, &proof, &log) {
        Ok(found) => {
            let origin = found.origin.escape_debug();
            (writeln!(out, "entry {} of {} in the log {origin}", found.index, found.size), 0)
        }
        Err(error) => (writeln!(out, "finding: {error}"), FINDINGS),
    };
    written.map_err(|error| Failure(NO_OUTPUT, error.into()))?;
    Ok(code)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path)
        .with_context(|| format!("cannot read `{}`", path.display()))
        .map_err(|error| Failure(NO_INPUT, error))
}

fn key(path: &Path) -> Result<VerifierKey, Failure> {
    let bytes = read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    VerifierKey::parse(&text)
        .with_context(|| format!("cannot use the key in `{}`", path.display()))
        .map_err(|error| Failure(CONFIG, error))
}

fn parties(path: &Path) -> Result<Parties, Failure> {
    Parties::read(path)
        .with_context(|| format!("cannot use `{}`", path.display()))
        .map_err(|error| Failure(CONFIG, error))
}
