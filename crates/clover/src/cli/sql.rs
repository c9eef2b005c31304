//! `clover sql …`: passwords for the SQL gateway, and the one-off set-up of a database behind it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::output::Output;
use crate::assemble;
use crate::caller::{Body, Held};
use crate::error::CommandError;
use crate::layout::Layout;

#[derive(Debug, Subcommand)]
pub(super) enum Sql {
    /// Get a short-lived password for psql and other clients, on a grant or case: as a person who is signed in.
    Login(Login),
    /// Write the SQL by which an administrator prepares a database of services, once and after each change of its tables.
    Setup(Setup),
}

#[derive(Debug, Args)]
pub(super) struct Login {
    /// The grant or case.
    ground: String,
    /// The dataset to connect to, for the connection string.
    #[arg(long)]
    dataset: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Setup {
    /// The database, as the rulebook's tables name it.
    source: String,
}

impl Sql {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        match self {
            Self::Login(login) => login.run(output),
            Self::Setup(setup) => setup.run(layout, output),
        }
    }
}

impl Login {
    fn run(&self, output: &Output) -> Result<()> {
        let held = Held::load()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let asked = json!({ "ground": self.ground });
        let answer = runtime.block_on(held.console.ask(
            Method::POST,
            "/sql/login",
            Some(&held.token),
            Body::Json(&asked),
        ))?;
        let (status, answer) = answer;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        if !status.is_success() {
            return Err(CommandError::SignIn { status: status.as_u16(), why: text("why").to_owned() }.into());
        }
        let (host, port) = text("listen").rsplit_once(':').context("the console names no listener")?;
        let dataset = self.dataset.as_deref().unwrap_or("DATASET");
        let told = format!(
            "password {} until {}\npsql \"host={host} port={port} dbname={dataset} user={} sslmode=verify-full sslrootcert={}\"",
            text("password"),
            text("until"),
            text("user"),
            held.console.ca.display(),
        );
        output.data(&told, &answer);
        Ok(())
    }
}

impl Setup {
    fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        let active = assemble::rulebook(layout)?;
        let mut tables: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for table in active.rulebook.lanes.tables.values().filter(|t| t.source.as_str() == self.source) {
            let columns = tables.entry((&table.schema, &table.relation)).or_default();
            columns
                .extend(table.columns.iter().map(|(name, _)| name.as_str()).chain([table.person.as_str()]));
        }
        if tables.is_empty() {
            return Err(CommandError::Rule("no table of the rulebook in force lies in that database").into());
        }
        let declared = tables.into_iter().map(|((schema, relation), mut columns)| {
            columns.sort_unstable();
            columns.dedup();
            let columns = columns.into_iter().map(str::to_owned).collect();
            gateway::sql::compile::Declared {
                schema: schema.to_owned(),
                relation: relation.to_owned(),
                columns,
            }
        });
        let declared: Vec<_> = declared.collect();
        let text = gateway::sql::compile::setup(&declared);
        output.data(text.trim_end(), &json!({ "sql": text }));
        Ok(())
    }
}
