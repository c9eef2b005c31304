//! Commands about the ledger's files.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::output::Output;
use crate::layout::Layout;
use crate::logs;

/// One of the site's logs.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Which {
    /// The gateway's.
    Gateway,
    /// The key service's.
    Keys,
    /// The site's own.
    Site,
}

#[derive(Debug, Subcommand)]
pub(super) enum Ledger {
    /// Derive hash tiles, packs and the index of people's lists again from the entries. Nothing may run meanwhile.
    Rebuild {
        /// Of which log.
        #[arg(long, value_enum, default_value = "gateway")]
        log: Which,
        /// A copy of the public tree, as a mirror holds one: damaged or missing entries are taken from it.
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
    },
}

impl Ledger {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        let Self::Rebuild { log, from } = self;
        let name = match log {
            Which::Gateway => "log",
            Which::Keys => "keys",
            Which::Site => "site",
        };
        let rebuilt = logs::rebuild(layout, name, from.as_deref())?;
        let text = format!(
            "{} entries lead to the signed root; {} damaged or missing files were mended; {} places in people's lists",
            rebuilt.size, rebuilt.repaired, rebuilt.tags
        );
        let told = json!({ "entries": rebuilt.size, "mended": rebuilt.repaired, "places": rebuilt.tags });
        output.data(&text, &told);
        Ok(())
    }
}
