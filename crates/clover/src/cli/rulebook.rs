//! Commands about the rulebook and the configuration.

mod diff;
mod prove;
mod replay;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use gateway::enclave;
use model::Digest;
use serde_json::json;

use super::output::Output;
use crate::error::CommandError;
use crate::layout::Layout;
use crate::{assemble, config, control, init, logs, site};

/// How long a running enclave may take to put a rulebook in force.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is asked.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Role {
    Operator,
    Auditor,
}

#[derive(Debug, Subcommand)]
pub(super) enum Rulebook {
    /// Check every file of a rulebook and report every problem at once.
    Check {
        /// The folder; the enclave's own if not given.
        folder: Option<PathBuf>,
    },
    /// Run the stories that say who gets what, and by which policy.
    Test(test::Test),
    /// Prove what no request whatever can bring about, with the solver cvc5.
    ///
    /// Exit code 0: all is proved. 1: something is false, or wider. 2: something is not proved.
    Prove(prove::Prove),
    /// Make the decisions of the last days again under a proposed rulebook: what would open, what would close.
    ///
    /// Exit code 0: nothing changes. 1: something would open. 2: nothing is seen to open, and something could not be
    /// decided again. 3: something would close, and nothing open.
    Replay(replay::Replay),
    /// Show what a proposed rulebook says otherwise, and whether it permits more.
    ///
    /// Exit code 0: it does not permit more, which is proved. 1: it permits more. 2: not proved.
    Diff(diff::Diff),
    /// Sign the enclave's rulebook.
    Sign {
        /// In which role.
        #[arg(long = "as", value_enum)]
        role: Role,
    },
    /// Make the signed rulebook the one that decides: an entry of the ledger.
    Activate,
    /// Show the rulebook in the enclave's folder.
    Show,
}

impl Rulebook {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<ExitCode> {
        match self {
            Self::Test(test) => return test.run(layout, output),
            Self::Prove(prove) => return prove.run(layout, output),
            Self::Diff(diff) => return diff.run(layout, output),
            Self::Replay(replay) => return replay.run(layout, output),
            Self::Check { folder } => {
                let files = assemble::read_files(folder.as_deref().unwrap_or(&layout.rulebook()))?;
                let book = crossing::rulebook::check(&files)?;
                // Here and not where it is opened: what ends by its date does not unmake a rulebook, it refuses.
                book.assessments.expired(enclave::now().0).or(())?;
                let text = format!("no problem; digest {}", book.digest);
                output.data(&text, &json!({ "digest": book.digest.to_string(), "problems": [] }));
            }
            Self::Sign { role } => {
                let signer = match role {
                    Role::Operator => assemble::operator(layout)?,
                    Role::Auditor => {
                        assemble::signer(layout, &layout.auditor().join("auditor.seed"), "auditor")?
                    }
                };
                crossing::rulebook::check(&assemble::read_files(&layout.rulebook())?)?;
                init::sign_rulebook(layout, &[&signer])?;
                let name = signer.verifier().name();
                output.data(&format!("signed by `{name}`"), &json!({ "signed_by": name }));
            }
            Self::Activate => {
                let digest = activate(layout)?.to_string();
                output.data(&format!("rulebook {digest} is active"), &json!({ "rulebook": digest }));
            }
            Self::Show => show(layout, output)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Activates the signed rulebook: here if the enclave does not run, else by the enclave that does.
fn activate(layout: &Layout) -> Result<Digest> {
    let digest = assemble::rulebook(layout)?.rulebook.digest;
    match assemble::activate(layout) {
        Err(e) if matches!(e.downcast_ref(), Some(CommandError::InUse(_))) => {}
        other => return other.map(|()| digest),
    }
    let address = config::Config::load(&layout.config())?.control;
    let laid = site::rules::lay_down(layout, &digest)?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Ok(why) = std::fs::read_to_string(laid.with_extension("why")) {
            return Err(CommandError::NotTaken { why }.into());
        }
        let status = control::ask(address, "/status")?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        if status.get("rulebook").and_then(|v| v.as_str()) == Some(digest.to_string().as_str()) {
            return Ok(digest);
        }
        std::thread::sleep(LOOK);
    }
    let why = format!(
        "it was not taken within {} s; it stays laid down, see the enclave's log",
        PATIENCE.as_secs()
    );
    Err(CommandError::NotTaken { why }.into())
}

fn show(layout: &Layout, output: &Output) -> Result<()> {
    let book = assemble::rulebook(layout)?.rulebook;
    let lanes: Vec<String> = book.lanes.lanes.keys().map(ToString::to_string).collect();
    let flows: Vec<String> =
        book.lanes.flows.iter().map(|f| format!("{} to {} ({})", f.name, f.destination, f.basis)).collect();
    let fields = book.catalogue.fields();
    let expiries = control::expiring(&book.assessments.expiries());
    let text = format!(
        "rulebook {}\nprogramme {}, region {} ({} countries)\nfields {}\nlanes {}\nflows {}\nnext to end: {}",
        book.digest,
        book.programme.name,
        book.programme.region,
        book.programme.countries.len(),
        fields.len(),
        lanes.join(", "),
        flows.join(", "),
        if expiries.is_empty() { "nothing".to_owned() } else { expiries.join("; ") },
    );
    let data = json!({
        "digest": book.digest.to_string(),
        "programme": book.programme.name.as_str(),
        "region": book.programme.region.as_str(),
        "fields": fields.iter().map(|f| json!({ "name": f.name, "class": f.class.word() })).collect::<Vec<_>>(),
        "lanes": lanes,
        "flows": flows,
        "expiries": expiries,
    });
    output.data(&text, &data);
    Ok(())
}

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Run the same checks as the start, and stop there.
    Check,
}

impl Config {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        let config = config::Config::load(&layout.config())?;
        let book = assemble::rulebook(layout)?.rulebook;
        assemble::fits(&config, &book)?;
        logs::check(layout, &config)?;
        site::policy(layout)?;
        output.data("no problem", &json!({ "problems": [] }));
        Ok(())
    }
}
