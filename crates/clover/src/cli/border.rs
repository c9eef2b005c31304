//! Commands about the border override: two people of different companies, for minutes (`docs/formats/override.md`).

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;
use data_encoding::HEXLOWER;
use gateway::enclave;
use ledger::note::{Note, Signer, Verifier};
use model::Name;
use serde_json::json;
use vault::disk::replace_file;

use super::output::Output;
use crate::config::Config;
use crate::error::CommandError;
use crate::layout::Layout;
use crate::site::{self, border};
use crate::{assemble, init};

#[derive(Debug, Subcommand)]
pub(super) enum Border {
    /// Make a key for one who may sign overrides, and print its public half for `programme.toml`.
    Key {
        /// Its name, which names nobody in person.
        #[arg(long)]
        name: String,
        /// Where to keep the secret half.
        #[arg(long)]
        seed: PathBuf,
    },
    /// Sign an override order; the first signer writes it.
    Sign {
        /// The order's file.
        order: PathBuf,
        /// The signer's secret key.
        #[arg(long)]
        seed: PathBuf,
        /// The signer's public key, as `programme.toml` has it.
        #[arg(long)]
        vkey: String,
        /// For a new order: the incident.
        #[arg(long)]
        incident: Option<String>,
        /// For a new order: how many minutes from now on, at most 30.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=30))]
        minutes: u64,
    },
    /// Lay a signed order down: the running enclave records it, and then lifts red inside the region.
    Lift {
        /// The order's file.
        order: PathBuf,
    },
}

impl Border {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        match self {
            Self::Key { name, seed } => {
                let key = Signer::from_seed(name, &init::seed(seed)?)?.verifier().to_vkey();
                output.data(&key, &json!({ "vkey": key }));
            }
            Self::Sign { order, seed, vkey, incident, minutes } => {
                let key = Verifier::parse(vkey)?;
                let signer = Signer::from_seed(key.name(), &vault::keys::read_seed(seed)?)?;
                if signer.verifier().to_vkey() != key.to_vkey() {
                    return Err(
                        CommandError::OtherKey { seed: seed.clone(), vkey: key.name().to_owned() }.into()
                    );
                }
                let mut note = match std::fs::read_to_string(order) {
                    Ok(text) => text.parse::<Note>().context("the order is no signed note")?,
                    Err(_) => new(layout, incident.as_deref(), *minutes)?,
                };
                note.add(signer.sign(note.unverified_text())?);
                std::fs::write(order, note.to_string()).map_err(CommandError::file(order))?;
                let text = format!("`{}` is signed by `{}`", order.display(), key.name());
                output.data(&text, &json!({ "order": order, "signed_by": key.name() }));
            }
            Self::Lift { order } => {
                let text = std::fs::read_to_string(order).map_err(CommandError::file(order))?;
                let programme = assemble::rulebook(layout)?.rulebook.programme;
                let origin = site::origin(&programme.name, &Config::load(&layout.config())?);
                let checked = border::check(&text, &origin, &programme.border.holders, enclave::now().0)?;
                let target = layout.border_override();
                std::fs::create_dir_all(layout.control())?;
                replace_file(&target, text.as_bytes()).map_err(CommandError::file(&target))?;
                let until = model::UnixSeconds(checked.to).rfc3339();
                let told = format!(
                    "order `{}` is laid down; it lifts red inside the region until {until}",
                    checked.id
                );
                output.data(&told, &json!({ "order": checked.id, "until": until }));
            }
        }
        Ok(())
    }
}

fn new(layout: &Layout, incident: Option<&str>, minutes: u64) -> Result<Note> {
    let incident = incident.ok_or(CommandError::Rule("a new order names its incident: --incident"))?;
    let programme = assemble::rulebook(layout)?.rulebook.programme;
    let origin = site::origin(&programme.name, &Config::load(&layout.config())?);
    let mut id = [0; 16];
    vault::keys::random(&mut id)?;
    let now = enclave::now().0.0;
    let incident = Name::parse(incident)?;
    let text = border::order_text(&origin, &HEXLOWER.encode(&id), now, now + minutes * 60, incident.as_str());
    Ok(Note::new(&text)?)
}
