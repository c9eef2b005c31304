//! `clover rulebook prove`: the prover beside this program, run and never linked.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Args;

use super::Output;
use super::test::beside;
use crate::error::CommandError;
use crate::{assemble, layout::Layout};

const PROGRAM: &str = "clover-prove";
/// Exit code when nothing can be said: the same as for what is not proved.
const NOT_PROVED: u8 = 2;

#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// The rulebook's folder; the enclave's own if not given.
    folder: Option<PathBuf>,
    /// The folder of the rulebook in force: prove that nothing is permitted that it denies.
    #[arg(long, value_name = "FOLDER")]
    against: Option<PathBuf>,
    /// The solver, cvc5; looked for among the programs of this machine if not given.
    #[arg(long, value_name = "FILE")]
    solver: Option<PathBuf>,
    /// Make each small mistake in the policies, one at a time, and tell which no story and no property notices. Takes
    /// minutes.
    #[arg(long)]
    mutate: bool,
    /// With --mutate: the folder of stories, `*.toml`; `tests` beside the rulebook's folder if not given.
    #[arg(long, value_name = "DIR", requires = "mutate")]
    tests: Option<PathBuf>,
}

impl Prove {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<ExitCode> {
        let folder = self.folder.clone().unwrap_or_else(|| layout.rulebook());
        // Problems are told here as everywhere else.
        for folder in std::iter::once(&folder).chain(&self.against) {
            crossing::rulebook::check(&assemble::read_files(folder)?)?;
        }
        let mut command = Command::new(program()?);
        if self.mutate {
            let tests = self.tests.clone().unwrap_or_else(|| beside(&folder));
            command.arg("--mutate").arg("--tests").arg(tests);
        }
        command.arg(folder);
        for (flag, value) in [("--against", &self.against), ("--solver", &self.solver)] {
            if let Some(value) = value {
                command.arg(flag).arg(value);
            }
        }
        if output.json {
            command.arg("--json");
        }
        let status = command.status().map_err(CommandError::file(PROGRAM))?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(ExitCode::from(code.unwrap_or(NOT_PROVED)))
    }
}

/// Where the prover lies: beside this program.
pub(super) fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|f| f.join(PROGRAM)).find(|p| p.is_file());
    Ok(found.ok_or(CommandError::NoProver)?)
}
