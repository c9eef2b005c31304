//! Commands about data: init, sample, import, subject.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use model::{ActorId, Country, SubjectId, UnixSeconds};
use serde_json::json;
use vault::accounts::state::Attested;
use vault::records::HomeEvidence;

use super::output::Output;
use crate::config::Config;
use crate::error::CommandError;
use crate::layout::Layout;
use crate::site::history;
use crate::subjects::{self, Act};
use crate::{assemble, import, init, keys, sample, wishes};

#[derive(Debug, Args)]
pub(super) struct Init {
    /// Start from the rulebook in this folder instead of the starter.
    #[arg(long, value_name = "DIR")]
    rulebook: Option<PathBuf>,
    /// Start with this `enclave.toml` instead of the starter: it says where the logs' frames go, and that cannot be
    /// changed later.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Init {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        init::init(layout, self.rulebook.as_deref(), self.config.as_deref())?;
        let (active, config) = (assemble::rulebook(layout)?, Config::load(&layout.config())?);
        let p = &active.rulebook.programme;
        let digest = active.rulebook.digest.to_string();
        let text = format!(
            "Programme `{}` for region {} ({} countries), site {}.\n\
             Rulebook {} signed by operator and auditor, and activated as entry 0 of the ledger.\n\
             Move `auditor/` to the auditor's machine and `regulator/` to the regulator: on one machine they protect nobody.\n\
             Not independently witnessed.{}",
            p.name,
            p.region,
            p.countries.len(),
            p.sites.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", "),
            digest.get(..16).unwrap_or(&digest),
            keys::remark(layout, &config).map_or(String::new(), |r| format!(" Of the region's key: {r}.")),
        );
        output
            .data(&text, &json!({ "programme": p.name.as_str(), "rulebook": digest, "dir": layout.root() }));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Sample {
    /// How many people.
    #[arg(long, default_value_t = 1000)]
    people: u64,
    /// The seed: the same seed makes the same people.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Where to write the files.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// A bar on standard error, hidden when nobody watches.
pub(super) fn bar(output: &Output, length: u64, what: &'static str) -> ProgressBar {
    if output.json {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg:>12} [{bar:40}] {pos}/{len} {elapsed}");
    let bar = ProgressBar::new(length).with_message(what);
    style.map_or(bar.clone(), |s| bar.with_style(s.progress_chars("=> ")))
}

impl Sample {
    pub(super) fn run(&self, output: &Output) -> Result<()> {
        let bar = bar(output, self.people, "writing");
        let options = sample::Options { people: self.people, seed: self.seed, out: self.out.clone() };
        let summary = sample::write(&options, |n| bar.set_position(n))?;
        bar.finish_and_clear();
        let text = format!("{} files, {} bytes in `{}`", summary.files, summary.bytes, self.out.display());
        output.data(&text, &json!({ "files": summary.files, "bytes": summary.bytes, "dir": self.out }));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// Export files, or folders of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The dataset of the catalogue.
    #[arg(long, default_value = "export")]
    dataset: String,
    /// Who is here already is brought to what their file says; who is in a file of people who went is erased.
    #[arg(long, conflicts_with = "compare")]
    renew: bool,
    /// Write nothing: say how many people differ from their files, or are missing. Exit code 1 if there are any.
    #[arg(long)]
    compare: bool,
    /// Renew, and remove each file once what it has is durable. Of one folder.
    #[arg(long, conflicts_with_all = ["compare", "renew"])]
    take: bool,
    /// The same, and wait for more until interrupted.
    #[arg(long, conflicts_with_all = ["compare", "renew", "take"])]
    follow: bool,
}

impl Import {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<ExitCode> {
        let files = self.expand()?;
        let assembled = assemble::open(layout)?;
        let site = &assembled.config.site;
        let summary = if self.take || self.follow {
            let [folder] = self.files.as_slice() else {
                return Err(CommandError::Rule("files are taken from one folder").into());
            };
            let stop = stopped()?;
            import::take(&assembled.enclave, site, &self.dataset, folder, self.follow, &stop)?
        } else {
            let bar = bar(output, files.len() as u64, "importing");
            let known = match (self.renew, self.compare) {
                (_, true) => import::Known::Compare,
                (true, _) => import::Known::Renew,
                _ => import::Known::Refuse,
            };
            let done = import::import(&assembled.enclave, site, &self.dataset, &files, known, |n| {
                bar.set_position(n);
            });
            bar.finish_and_clear();
            done?
        };
        assembled.enclave.log().close();
        let differs = self.compare && summary.renewed + summary.missing + summary.erased > 0;
        output.data(&self.told(&summary), &serde_json::to_value(&summary)?);
        Ok(if summary.refused.is_empty() && !differs { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    fn told(&self, summary: &import::Summary) -> String {
        let mut text = if self.compare {
            format!(
                "{} people are as their files say, {} differ, {} are missing, {} went and are here; {} others are here",
                summary.same, summary.renewed, summary.missing, summary.erased, summary.others
            )
        } else {
            format!(
                "{} people, {} records, {} bytes; {} records of no declared collection are kept as restricted",
                summary.people, summary.records, summary.bytes, summary.undeclared
            )
        };
        if self.renew || self.take || self.follow {
            text.push_str(&format!(
                "; {} people renewed, {} were as they came, {} went and were erased",
                summary.renewed, summary.same, summary.erased
            ));
        }
        for refused in &summary.refused {
            text.push_str(&format!("\nrefused: {}: {}", refused.file.display(), refused.why));
        }
        text
    }

    fn expand(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for path in &self.files {
            if path.is_dir() {
                files.extend(import::files(path).map_err(CommandError::file(path))?);
            } else {
                files.push(path.clone());
            }
        }
        Ok(files)
    }
}

/// Becomes true when the process is told to end.
fn stopped() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(assemble::told_to_stop());
        told.store(true, Ordering::Relaxed);
    })?;
    Ok(stop)
}

#[derive(Debug, Subcommand)]
pub(super) enum Subject {
    /// The handle of the person with a user name.
    Id {
        /// The user name, as in their export.
        #[arg(long)]
        user_name: String,
    },
    /// Write the proof of every crossing of a period that names a person, or that there was none. It holds the key to
    /// their tags: it is for the person's own hands. The enclave must not be running.
    History {
        /// The person's handle.
        #[arg(long)]
        subject: String,
        /// First day, YYYY-MM-DD; the first day of the ledger if not given.
        #[arg(long, value_parser = history::day)]
        from: Option<u32>,
        /// Last day, YYYY-MM-DD; the last day that has a map if not given.
        #[arg(long, value_parser = history::day)]
        to: Option<u32>,
        /// Where to write it.
        #[arg(long)]
        out: PathBuf,
    },
    /// Give a person an account at the console: prints a code with which they take it, once and within a day. It is for
    /// their own hands: whoever has it sees what is theirs.
    Enrol {
        /// Their user name, or their handle.
        #[arg(long)]
        subject: String,
        /// The country in which they live, ISO 3166-1 alpha-2.
        #[arg(long)]
        at: Option<String>,
    },
    /// Who asked to be erased and waits, and by when it is due.
    Asked,
    /// What is known of a person besides their records. The enclave must not be running.
    Show {
        /// The person's handle.
        #[arg(long)]
        subject: String,
    },
    /// Erase a person: their key is destroyed, and with it everything that it sealed. It cannot be undone
    /// (docs/erasure.md).
    Erase {
        /// The person's handle.
        #[arg(long)]
        subject: String,
        /// The handle again: nobody is erased by a slip.
        #[arg(long, value_name = "HANDLE")]
        confirm: String,
    },
    /// Note that a person lives in another country.
    Move {
        /// The person's handle.
        #[arg(long)]
        subject: String,
        /// Where to, ISO 3166-1 alpha-2.
        #[arg(long, value_name = "COUNTRY")]
        to: String,
        /// From when on, RFC 3339; now if not given.
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// By what it is known.
        #[arg(long, value_enum)]
        evidence: Evidence,
    },
    /// Put a legal hold on a person: they are not erased until it is lifted.
    Hold {
        /// The person's handle.
        #[arg(long)]
        subject: String,
        /// The hold's reference.
        #[arg(long)]
        reference: String,
    },
    /// Lift a legal hold.
    Lift {
        /// The person's handle.
        #[arg(long)]
        subject: String,
        /// The hold's reference.
        #[arg(long)]
        reference: String,
    },
}

/// By what it is known where somebody lives.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Evidence {
    /// They said so.
    Declared,
    /// A document was seen.
    Document,
}

impl Subject {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        match self {
            Self::Id { user_name } => {
                let programme = assemble::rulebook(layout)?.rulebook.programme.name;
                let keys = keys::load(layout, &programme)?;
                let id = import::subject(&keys, user_name);
                output.data(id.as_str(), &json!({ "subject": id.as_str() }));
            }
            Self::History { subject, from, to, out } => {
                let subject = SubjectId::parse(subject)?;
                let entries = history::write(layout, &subject, *from, *to, out)?;
                let text = format!(
                    "{entries} entries in `{}`; check it with `clover-audit verify-history`",
                    out.display()
                );
                output.data(&text, &json!({ "entries": entries, "file": out }));
            }
            Self::Enrol { subject, at } => enrol(layout, output, subject, at.as_deref())?,
            Self::Asked => waiting(layout, output)?,
            Self::Show { subject } => show(layout, output, &SubjectId::parse(subject)?)?,
            Self::Erase { subject, confirm } if subject != confirm => {
                return Err(CommandError::Rule("--confirm is not the same handle; nobody was erased").into());
            }
            Self::Erase { subject, .. } => done(
                layout,
                output,
                (subject, Act::Erase),
                "their key is destroyed. Copies of it that were made before open until `clover keys rotate` has ended (docs/erasure.md)",
            )?,
            Self::Move { subject, to, from, evidence } => {
                let from = from.as_deref().map(UnixSeconds::parse).transpose()?;
                let from = from.unwrap_or_else(|| gateway::enclave::now().0).0;
                let evidence = match evidence {
                    Evidence::Declared => HomeEvidence::Declared,
                    Evidence::Document => HomeEvidence::Document,
                };
                let what = Act::Move { to: to.clone(), from, evidence };
                done(layout, output, (subject, what), "their new home is noted")?;
            }
            Self::Hold { subject, reference } => {
                let what = Act::Hold { reference: reference.clone() };
                done(layout, output, (subject, what), "the hold is on: nothing of them is erased")?;
            }
            Self::Lift { subject, reference } => {
                let what = Act::Lift { reference: reference.clone() };
                done(layout, output, (subject, what), "the hold is lifted")?;
            }
        }
        Ok(())
    }
}

fn enrol(layout: &Layout, output: &Output, text: &str, at: Option<&str>) -> Result<()> {
    let programme = assemble::rulebook(layout)?.rulebook.programme.name;
    let keys = keys::load(layout, &programme)?;
    let handle =
        import::handle(&keys, text).ok_or(CommandError::Rule("this is no user name and no handle"))?;
    let accounts = vault::Accounts::of_people(&layout.control(), &keys, programme.as_str());
    let country = at.map(Country::parse).transpose()?.map(|c| c.to_string());
    let account = ActorId::parse(handle.as_str())?;
    let code = accounts.enrol(&account, Attested { country, device: false }, gateway::enclave::now().0)?;
    let text = format!("give this person this code, once and to nobody else; it serves for a day: {code}");
    output.data(&text, &json!({ "subject": handle.as_str(), "code": code }));
    Ok(())
}

fn waiting(layout: &Layout, output: &Output) -> Result<()> {
    let all = wishes::all(layout)?;
    let line = |(handle, at): &(SubjectId, UnixSeconds)| {
        format!("{} asked {}, due {}", handle.as_str(), at.rfc3339(), wishes::due(*at).rfc3339())
    };
    let text = if all.is_empty() {
        "nobody waits".to_owned()
    } else {
        all.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let told = all.iter().map(|(handle, at)| {
        json!({ "subject": handle.as_str(), "asked": at.rfc3339(), "due": wishes::due(*at).rfc3339() })
    });
    output.data(&text, &json!({ "asked": told.collect::<Vec<_>>() }));
    Ok(())
}

fn show(layout: &Layout, output: &Output, subject: &SubjectId) -> Result<()> {
    let assembled = assemble::open(layout)?;
    let shown = subjects::show(&assembled.enclave, subject);
    assembled.enclave.log().close();
    let shown = shown?;
    let mut text = format!("here since {}, by entry {}", shown.since, shown.entry);
    for (country, from, evidence) in &shown.homes {
        text.push_str(&format!("\nhome {country} from {from} ({evidence:?})"));
    }
    for hold in &shown.holds {
        text.push_str(&format!("\nlegal hold {hold}"));
    }
    output.data(&text, &serde_json::to_value(&shown)?);
    Ok(())
}

/// Does something about a person, and says what was done and where it is on record.
fn done(layout: &Layout, output: &Output, (subject, what): (&str, Act), words: &str) -> Result<()> {
    let entry = subjects::order(layout, &SubjectId::parse(subject)?, what)?;
    let place = entry.map_or_else(String::new, |entry| format!("entry {entry}: "));
    output.data(&format!("{place}{words}"), &json!({ "entry": entry }));
    Ok(())
}
