//! `clover rulebook diff`: what a candidate says otherwise than the rulebook in force, and whether it permits more.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;
use model::rulebook::Rulebook;
use policy::Texts;
use policy::diff::{Difference, diff};
use serde_json::{Value, json};

use super::Output;
use super::prove::program;
use crate::error::CommandError;
use crate::{assemble, layout::Layout};

/// Exit code when nothing can be said.
const NOT_PROVED: u8 = 2;

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The folder of the rulebook that is proposed.
    #[arg(long, value_name = "DIR")]
    candidate: PathBuf,
    /// The solver, cvc5; looked for among the programs of this machine if not given.
    #[arg(long, value_name = "FILE")]
    solver: Option<PathBuf>,
    /// Where there is no whole proof: requests of a small world that are put to both engines, at most.
    #[arg(long, value_name = "N", default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    requests: u32,
}

/// What the prover says, and its exit code.
struct Wider {
    text: String,
    report: Value,
    code: u8,
}

impl Diff {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<ExitCode> {
        let in_force = assemble::in_force(layout)?;
        let active = assemble::Bundle::read(&in_force)?.open(layout)?.rulebook;
        let candidate = crossing::rulebook::check(&assemble::read_files(&self.candidate)?)?;
        let texts = |book: &Rulebook| Texts::read(book);
        let (old, new) = (texts(&active)?, texts(&candidate)?);
        let found = diff((&active, &old), (&candidate, &new));
        let wider = self.wider(&in_force, output)?;
        let mut text = format!("in force    {}\ncandidate   {}\n", active.digest, candidate.digest);
        if found.is_empty() {
            text.push_str("nothing differs but names, comments and layout\n");
        }
        found.iter().for_each(|difference| told(&mut text, difference));
        text.push_str(&format!("\npermits it more?\n{}", wider.text.trim_end()));
        let data = json!({
            "in_force": active.digest.to_string(),
            "candidate": candidate.digest.to_string(),
            "differences": found.iter().map(|d| json!({
                "part": d.part.word(),
                "name": d.name,
                "how": d.how(),
                "before": d.before,
                "after": d.after,
            })).collect::<Vec<_>>(),
            "wider": wider.report,
        });
        output.data(&text, &data);
        Ok(ExitCode::from(wider.code))
    }

    /// Asks the prover, which alone knows what "wider" means.
    fn wider(&self, in_force: &Path, output: &Output) -> Result<Wider> {
        let mut command = Command::new(program()?);
        command.arg(&self.candidate).arg("--against").arg(in_force).arg("--widening");
        command.arg("--requests").arg(self.requests.to_string());
        if let Some(solver) = &self.solver {
            command.arg("--solver").arg(solver);
        }
        if output.json {
            command.arg("--json");
        }
        let answer = command.stderr(Stdio::inherit()).output().map_err(CommandError::file("clover-prove"))?;
        let code = answer.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_PROVED);
        let text = String::from_utf8(answer.stdout).context("the prover's answer is no text")?;
        let report = if output.json {
            serde_json::from_str(&text).context("the prover gave no report")?
        } else {
            Value::Null
        };
        Ok(Wider { text, report, code })
    }
}

fn told(out: &mut String, difference: &Difference) {
    let _ = writeln!(out, "\n{} {} {}", difference.how(), difference.part.word(), difference.name);
    for (sign, text) in [('-', &difference.before), ('+', &difference.after)] {
        for line in text.iter().flat_map(|text| text.lines()) {
            let _ = writeln!(out, "  {sign} {line}");
        }
    }
}
