//! `clover sql …`: passwords for the SQL gateway, and the one-off set-up of a database behind it.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::output::Output;
use crate::assemble;
use crate::caller::Held;
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
        let login = runtime.block_on(held.sql_login(&self.ground))?;
        let (host, port) = login.address(None, &held.console)?;
        let dataset = self.dataset.as_deref().unwrap_or("DATASET");
        let told = format!(
            "password {} until {}\npsql \"host={host} port={port} dbname={dataset} user={} sslmode=verify-full sslrootcert={}\"",
            login.password.as_str(),
            login.until,
            login.user,
            held.console.ca.display(),
        );
        let (user, password) = (&login.user, login.password.as_str());
        let json = json!({ "user": user, "password": password, "until": login.until, "listen": format!("{host}:{port}") });
        output.data(&told, &json);
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
