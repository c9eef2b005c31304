//! `clover residency`: where personal data really lies (docs/residency.md).

mod evidence;
mod look;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use residency::canary::{CANARIES_MAX, Canaries};
use serde_json::json;

use super::output::Output;
use crate::assemble;
use crate::error::CommandError;
use crate::layout::Layout;

/// Something was found that must not be.
const FOUND: u8 = 1;
/// Nothing was found, and not everything was seen.
const BLIND: u8 = 3;

#[derive(Debug, Subcommand)]
pub(super) enum Residency {
    /// Make synthetic people who are planted, and searched for ever after.
    #[command(subcommand)]
    Canary(Canary),
    /// Search a file, a folder or a database server for canaries, in any form and packing.
    Sweep(look::Sweep),
    /// Plant canaries of every kind in every form in stores made for it, and print how many a sweep finds.
    Recall,
    /// Look at the nodes of a file once, and write what is there as declared: to be reviewed line by line.
    Declare {
        /// The file that names the nodes.
        #[arg(long, value_name = "FILE")]
        nodes: PathBuf,
        /// Where to write the new file; it must not be there.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Watch database servers and what is around them: whatever is not declared, or cannot be seen, opens an incident.
    Watch(look::Watch),
    /// List incidents: those that are open, or all.
    Incidents {
        /// Also those that are closed.
        #[arg(long)]
        all: bool,
    },
    /// Seal the evidence of an incident: what is there, since when, and who has it open.
    Seal {
        /// The incident.
        incident: String,
        /// Keep no copy of the files in the enclave's folder.
        #[arg(long)]
        no_copy: bool,
    },
    /// For the auditor: let sealed evidence be deleted, or an incident be closed.
    Mark(evidence::Mark),
    /// Delete sealed evidence under the auditor's mark, and write a certificate.
    Delete {
        /// The incident.
        incident: String,
        /// The auditor's mark.
        #[arg(long, value_name = "FILE")]
        mark: PathBuf,
    },
    /// Close an incident under the auditor's mark.
    Close {
        /// The incident.
        incident: String,
        /// The auditor's mark.
        #[arg(long, value_name = "FILE")]
        mark: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Canary {
    /// Make so many canaries, or have the set grow to so many, and write them as export files for `clover import`.
    Make {
        /// How many there are to be.
        #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(CANARIES_MAX)))]
        count: u32,
        /// Where to write the files.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The domain of their e-mail addresses. Take one of your own: nobody should be able to leave out `.example`.
        #[arg(long)]
        domain: Option<String>,
    },
}

impl Residency {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<ExitCode> {
        let done = match self {
            Self::Canary(Canary::Make { count, out, domain }) => {
                make(layout, output, *count, out, domain.as_deref())
            }
            Self::Sweep(c) => return c.run(layout, output),
            Self::Recall => return recall(layout, output),
            Self::Declare { nodes, out } => return look::declare(nodes, out, output),
            Self::Watch(c) => return c.run(layout, output),
            Self::Incidents { all } => return evidence::list(layout, output, *all),
            Self::Seal { incident, no_copy } => evidence::seal(layout, output, incident, !no_copy),
            Self::Mark(c) => c.run(layout, output),
            Self::Delete { incident, mark } => evidence::delete(layout, output, incident, mark),
            Self::Close { incident, mark } => evidence::close(layout, output, incident, mark),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

fn key_file(layout: &Layout) -> PathBuf {
    layout.residency().join("canaries.json")
}

fn make(layout: &Layout, output: &Output, count: u32, out: &Path, domain: Option<&str>) -> Result<()> {
    let rulebook = assemble::rulebook(layout)?.rulebook;
    let countries: Vec<String> = rulebook.programme.countries.keys().map(ToString::to_string).collect();
    let canaries = Canaries::make(&key_file(layout), count, domain)?;
    std::fs::create_dir_all(out).map_err(CommandError::file(out))?;
    for index in 0..canaries.count() {
        let country = usize::try_from(index).ok().and_then(|n| countries.iter().cycle().nth(n));
        let export = canaries.export(index, country.map_or("", String::as_str));
        // Its name says nothing, and neither does its number of another.
        let file = out.join(format!("user_data_{:05}.json", index + 1));
        std::fs::write(&file, serde_json::to_vec(&export)?).map_err(CommandError::file(&file))?;
    }
    let text = format!(
        "{} canaries, written to `{}`: import them with `clover import`, then remove the files",
        canaries.count(),
        out.display()
    );
    output.data(&text, &json!({ "canaries": canaries.count(), "dir": out }));
    Ok(())
}

/// Prints what was found of what was planted, and fails where that is less than is claimed.
fn recall(layout: &Layout, output: &Output) -> Result<ExitCode> {
    let canaries = Canaries::open(&key_file(layout))?;
    let folder = layout.residency().join("recall");
    std::fs::create_dir_all(&folder).map_err(CommandError::file(&folder))?;
    let measured = residency::recall::measure(&canaries, &folder);
    std::fs::remove_dir_all(&folder).map_err(CommandError::file(&folder))?;
    let lines = measured?;
    let mut text = format!("{:<30} {:<28} {:>8} {:>8}", "form", "packing", "planted", "found");
    for line in &lines {
        let note = match (line.claimed, line.wrong) {
            (_, 1..) => "  wrong finds",
            (false, _) => "  (not claimed)",
            (true, _) => "",
        };
        text.push_str(&format!(
            "\n{:<30} {:<28} {:>8} {:>8}{note}",
            line.form, line.packing, line.planted, line.found
        ));
    }
    let kept = lines.iter().all(|l| l.wrong == 0 && (!l.claimed || l.found == l.planted));
    let claimed = lines.iter().filter(|l| l.claimed).fold((0, 0), |(f, p), l| (f + l.found, p + l.planted));
    text.push_str(&format!("\nof what is claimed, {} of {} were found", claimed.0, claimed.1));
    output.data(&text, &json!({ "found": claimed.0, "planted": claimed.1, "lines": lines }));
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}
