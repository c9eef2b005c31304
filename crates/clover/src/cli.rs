//! The command line: what may be said, and how errors are told.

mod access;
mod data;
mod output;
mod rulebook;
mod serve;
mod telemetry;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::layout::Layout;
use output::Output;

/// Exit code of wrong usage (`EX_USAGE` of sysexits).
const USAGE: u8 = 64;
/// Exit code of wrong configuration (`EX_CONFIG`).
const CONFIG: u8 = 78;

/// A sovereign data enclave: data stays in its region, and leaves only on the record.
#[derive(Debug, Parser)]
#[command(name = "clover", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// The enclave's folder.
    #[arg(long, global = true, default_value = "clover", value_name = "DIR")]
    dir: PathBuf,
    /// Print data as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new programme: keys, rulebook, ledger, credential authority.
    Init(data::Init),
    /// Write a realistic sample of personal-data export files.
    Sample(data::Sample),
    /// Import export files into the vault: an inward crossing, recorded per batch.
    Import(data::Import),
    /// Find the handle of a person.
    #[command(subcommand)]
    Subject(data::Subject),
    /// Put employees and services on record.
    #[command(subcommand)]
    Actor(access::Actor),
    /// Issue grants.
    #[command(subcommand)]
    Grant(access::Grant),
    /// Open support cases.
    #[command(subcommand)]
    Case(access::Case),
    /// Issue credentials: certificates and tokens.
    #[command(subcommand)]
    Credential(access::Credential),
    /// Check, sign, activate and show the rulebook.
    #[command(subcommand)]
    Rulebook(rulebook::Rulebook),
    /// Check the configuration without starting.
    #[command(subcommand)]
    Config(rulebook::Config),
    /// Serve: gateway, vault, ledger and control API in one process.
    Serve,
    /// Show whether the border is open and what is on the ledger.
    Status,
    /// Write shell completions to standard output.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual page to standard output.
    Man,
}

/// A failure that says which exit code it is.
#[derive(Debug)]
pub(crate) struct Misconfigured(pub(crate) anyhow::Error);

impl std::fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Misconfigured {}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // What clap prints is for people; help and version are no errors.
            let _ = e.print();
            return if e.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let output = Output { json: cli.json };
    let layout = Layout::new(&cli.dir);
    match dispatch(&cli.command, &layout, &output) {
        Ok(code) => code,
        Err(e) => {
            output.error(&e);
            ExitCode::from(if output::is_configuration(&e) { CONFIG } else { 1 })
        }
    }
}

fn dispatch(command: &Command, layout: &Layout, output: &Output) -> anyhow::Result<ExitCode> {
    let done = match command {
        Command::Init(c) => c.run(layout, output),
        Command::Sample(c) => c.run(output),
        Command::Import(c) => return c.run(layout, output),
        Command::Subject(c) => c.run(layout, output),
        Command::Actor(c) => c.run(layout, output),
        Command::Grant(c) => c.run(layout, output),
        Command::Case(c) => c.run(layout, output),
        Command::Credential(c) => c.run(layout, output),
        Command::Rulebook(c) => c.run(layout, output),
        Command::Config(c) => c.run(layout, output),
        Command::Serve => serve::serve(layout, output),
        Command::Status => return serve::status(layout, output),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "clover", &mut std::io::stdout());
            Ok(())
        }
        Command::Man => Ok(clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?),
    };
    done.map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
