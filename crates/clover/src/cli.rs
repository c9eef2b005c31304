//! The command line: what may be said, and how errors are told.

mod access;
mod border;
mod budget;
mod data;
mod file;
mod inspect;
mod keys;
mod ledger;
mod migration;
mod output;
mod query;
mod requests;
mod residency;
mod risk;
mod rulebook;
mod serve;
mod signin;
mod sql;
mod suspend;
mod telemetry;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::layout::Layout;
use output::Output;

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
    /// Find personal data in files: what it is and where, never the value. Ends with 1 if there is any.
    Inspect(inspect::Inspect),
    /// Read a table for another process.
    #[command(hide = true)]
    ReadTable(file::ReadTable),
    /// Show what was learned of datasets with noise, what may still be, and when it comes back.
    Budget(budget::Budget),
    /// Measure what a release of rows would give away. Ends with 1 if something speaks against it.
    Risk(risk::Risk),
    /// Find the handle of a person.
    #[command(subcommand)]
    Subject(data::Subject),
    /// Put employees and services on record.
    #[command(subcommand)]
    Actor(access::Actor),
    /// Ask for access, approve, deny, revoke: as a person who is signed in.
    #[command(subcommand)]
    Access(requests::Access),
    /// Issue credentials: certificates and tokens.
    #[command(subcommand)]
    Credential(access::Credential),
    /// Check, test, prove, compare, replay, sign, activate and show the rulebook.
    #[command(subcommand)]
    Rulebook(rulebook::Rulebook),
    /// Check the configuration without starting.
    #[command(subcommand)]
    Config(rulebook::Config),
    /// Look after the ledger's files.
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Rotate the region's key, and show where it lies.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Lift a red border, for minutes and inside the region.
    #[command(subcommand)]
    Border(border::Border),
    /// Sign in to a console: through its identity provider, or with a local account.
    Signin(signin::Signin),
    /// End the session, everywhere at once.
    Signout,
    /// Show whose session is held, and the evidence of the place.
    Session,
    /// Suspend all crossings to a country by one signed order, or let them begin again.
    Suspend(suspend::Suspend),
    /// Put demands of authorities outside the region on the record.
    #[command(subcommand)]
    Demand(suspend::Demand),
    /// Put the stages of a migration on the record, and mark seals and closures as the auditor.
    #[command(subcommand)]
    Migration(migration::Migration),
    /// See that data is where it should be and nowhere else: canaries, sweeps, the watch over replicas, incidents.
    #[command(subcommand)]
    Residency(residency::Residency),
    /// Passwords for the SQL gateway, and the set-up of a database behind it.
    #[command(subcommand)]
    Sql(sql::Sql),
    /// Ask one question of a dataset in SQL: as a person who is signed in.
    Query(query::Query),
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

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // What clap prints is for people; help and version are no errors.
            let _ = e.print();
            return if e.use_stderr() { ExitCode::from(output::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let output = Output { json: cli.json };
    let layout = Layout::new(&cli.dir);
    match dispatch(&cli.command, &layout, &output) {
        Ok(code) => code,
        Err(e) => {
            output.error(&e);
            ExitCode::from(output::exit_code(&e))
        }
    }
}

fn dispatch(command: &Command, layout: &Layout, output: &Output) -> anyhow::Result<ExitCode> {
    let done = match command {
        Command::Init(c) => c.run(layout, output),
        Command::Sample(c) => c.run(output),
        Command::Import(c) => return c.run(layout, output),
        Command::Inspect(c) => return c.run(output),
        Command::ReadTable(c) => return c.run(),
        Command::Budget(c) => c.run(layout, output),
        Command::Risk(c) => return c.run(output),
        Command::Subject(c) => c.run(layout, output),
        Command::Actor(c) => c.run(layout, output),
        Command::Access(c) => c.run(output),
        Command::Credential(c) => c.run(layout, output),
        Command::Rulebook(c) => return c.run(layout, output),
        Command::Config(c) => c.run(layout, output),
        Command::Ledger(c) => c.run(layout, output),
        Command::Keys(c) => c.run(layout, output),
        Command::Border(c) => c.run(layout, output),
        Command::Sql(c) => c.run(layout, output),
        Command::Query(c) => c.run(output),
        Command::Signin(c) => c.run(layout, output),
        Command::Signout => signin::sign_out(output),
        Command::Session => signin::show(output),
        Command::Suspend(c) => c.run(layout, output),
        Command::Demand(c) => c.run(layout, output),
        Command::Migration(c) => c.run(layout, output),
        Command::Residency(c) => return c.run(layout, output),
        Command::Serve => serve::serve(layout, output),
        Command::Status => return serve::status(layout, output),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "clover", &mut script);
            written(&script)
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            written(&page)
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Writes to standard output; a closed pipe is the reader's choice.
fn written(bytes: &[u8]) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(bytes) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
