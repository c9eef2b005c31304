//! `clover suspend` and `clover demand`: orders and records that are laid down for the enclave (`docs/formats/suspension.md`).

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use gateway::enclave;
use ledger::note::{Note, Signer};
use model::programme::Programme;
use model::{Country, Name, UnixSeconds};
use serde_json::json;

use super::output::Output;
use crate::assemble;
use crate::error::CommandError;
use crate::layout::Layout;
use crate::site::dryrun::DryRun;
use crate::site::orders::{self, Kind, Signers};

#[derive(Debug, Args)]
pub(super) struct Suspend {
    /// The country, ISO 3166-1 alpha-2.
    country: String,
    /// Let crossings begin again: needs the signatures of operator and auditor.
    #[arg(long)]
    lift: bool,
    /// Say what would stop, and stop nothing.
    #[arg(long, conflicts_with_all = ["lift", "order"])]
    dry_run: bool,
    /// For a dry run: how many days of the ledger to look back.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Keep the order in this file, for another to sign too; signed by all who must, it is laid down.
    #[arg(long, value_name = "FILE")]
    order: Option<PathBuf>,
}

impl Suspend {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        let programme = assemble::rulebook(layout)?.rulebook.programme;
        let country =
            if self.lift { Country::parse(&self.country)? } else { outside(&programme, &self.country)? };
        if self.dry_run {
            let dry = DryRun::of(layout, country, self.days, enclave::now().0)?;
            output.data(&dry.text(), &serde_json::to_value(&dry)?);
            return Ok(());
        }
        let kind = if self.lift { Kind::Lift } else { Kind::Suspend };
        let signers = Signers::of(layout, &programme.name)?;
        let note = self.note(layout, &programme.name, kind, country, &signers)?;
        if let Some(path) = &self.order {
            std::fs::write(path, &note).map_err(CommandError::file(path))?;
        }
        let order = match signers.order(&note) {
            Ok(order) if order.kind == kind && order.country == country => order,
            Ok(_) => return Err(CommandError::Rule("the order in the file is another one").into()),
            Err(orders::OrderError::Signers(_)) if self.order.is_some() => {
                let text =
                    "signed; the other of operator and auditor must sign the file with the same command";
                output.data(text, &json!({ "order": self.order, "complete": false }));
                return Ok(());
            }
            Err(orders::OrderError::Signers(_)) => {
                let why = "operator and auditor must both sign: name a file with --order and have the other sign it";
                return Err(CommandError::Rule(why).into());
            }
            Err(e) => return Err(e.into()),
        };
        let name = format!("{:012}-{country}-{}", order.time.0, kind.word());
        orders::lay_down(layout, &name, orders::NOTE, &note)?;
        let text = format!(
            "order to {} {country} is laid down; a running enclave takes it within a second, any other at its start",
            kind.word()
        );
        output.data(&text, &json!({ "order": name, "complete": true }));
        Ok(())
    }

    /// The order, new or from its file, with the signatures that this folder's keys can give and it needs.
    fn note(
        &self,
        layout: &Layout,
        programme: &Name,
        kind: Kind,
        country: Country,
        signers: &Signers,
    ) -> Result<String> {
        let mine = mine(layout)?;
        let first =
            mine.first().ok_or(CommandError::Rule("neither the operator's nor the auditor's key is here"))?;
        let kept = self.order.as_ref().filter(|path| path.exists());
        let mut note: Note = match kept {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(CommandError::file(path))?;
                text.parse().context("the order is no signed note")?
            }
            None => {
                // An order follows the last about its country, also within one second.
                let last = orders::known(layout, signers)?.get(&country).map_or(0, |last| last.time.0 + 1);
                let time = UnixSeconds(enclave::now().0.0.max(last));
                let issuer = first.verifier().name();
                Note::new(&orders::order_text(programme, kind, country, time, issuer))?
            }
        };
        for key in &mine {
            if signers.order(&note.to_string()).is_ok() {
                break;
            }
            if !note.signatures().iter().any(|s| s.name() == key.verifier().name()) {
                let signature = key.sign(note.unverified_text())?;
                note.add(signature);
            }
        }
        Ok(note.to_string())
    }
}

/// Those of the operator's and the auditor's keys that lie here.
fn mine(layout: &Layout) -> Result<Vec<Signer>> {
    let mut mine = Vec::new();
    if layout.keys().join("operator.seed").exists() {
        mine.push(assemble::operator(layout)?);
    }
    let auditor = layout.auditor().join("auditor.seed");
    if auditor.exists() {
        mine.push(assemble::signer(layout, &auditor, "auditor")?);
    }
    Ok(mine)
}

fn outside(programme: &Programme, code: &str) -> Result<Country> {
    let country = Country::parse(code)?;
    if country == Country::UNKNOWN {
        return Err(CommandError::Rule("`ZZ` is an unknown place, to which nothing crosses anyway").into());
    }
    if programme.in_region(country) {
        return Err(CommandError::Rule("the country is inside the region").into());
    }
    Ok(country)
}

#[derive(Debug, Subcommand)]
pub(super) enum Demand {
    /// Put on the ledger that an authority outside the region demanded data. It grants nothing.
    Record {
        /// The authority's country.
        #[arg(long)]
        authority_country: String,
        /// Its reference: letters, digits, `-`, `_`, `.`; nobody's name.
        #[arg(long)]
        reference: String,
    },
}

impl Demand {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        let Self::Record { authority_country, reference } = self;
        let programme = assemble::rulebook(layout)?.rulebook.programme;
        let authority = outside(&programme, authority_country)?;
        let (reference, (now, _)) = (Name::parse(reference)?, enclave::now());
        let text = orders::demand_text(&programme.name, authority, &reference, now);
        let mut note = Note::new(&text)?;
        note.add(assemble::operator(layout)?.sign(&text)?);
        let name = format!("{:012}-{authority}-demand-{reference}", now.0);
        orders::lay_down(layout, &name, orders::NOTE, &note.to_string())?;
        let told =
            format!("demand `{reference}` of {authority} is laid down for the record; it grants nothing");
        output.data(&told, &json!({ "demand": reference.as_str(), "authority": authority.as_str() }));
        Ok(())
    }
}
