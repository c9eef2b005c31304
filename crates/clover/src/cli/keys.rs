//! `clover keys`: the versions of the region's key.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Subcommand;
use console::api::Rewrap;
use serde_json::{Value, json};
use vault::keys::rewrap::{self, Older, Rewrapped};
use vault::keys::sealed::Cost;
use vault::keys::{SecretFile, Version};

use super::data::bar;
use super::output::Output;
use crate::config::{Config, Service};
use crate::error::CommandError;
use crate::layout::Layout;
use crate::{assemble, control, keys, logs};

/// How often a running enclave is asked how far it is.
const ASK: Duration = Duration::from_millis(250);

/// Why nothing was destroyed.
const BROKEN: &str =
    "keys of people do not open, so no version is destroyed: restore them, or erase these people";

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Show the key service, its versions, and how many people's keys each wraps.
    Status,
    /// Make a new version of the region's key. What comes next is wrapped by it; older ones still open.
    Rotate,
    /// Wrap everything by the newest version and destroy those before. A running enclave does it while it serves. A rewrap
    /// that was cut off is begun again, or ended by the next start.
    Rewrap,
    /// Seal the file with the region's key by the passphrase in another file, which enclave.toml then must name.
    Reseal {
        /// The file with the new passphrase.
        #[arg(long, value_name = "FILE")]
        passphrase_file: PathBuf,
    },
}

impl Keys {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        let config = Config::load(&layout.config())?;
        match self {
            Self::Status => status(layout, &config, output),
            Self::Rotate => {
                // Opened whole: a version that nobody can use with this enclave's root secret is not made.
                let programme = assemble::rulebook(layout)?.rulebook.programme.name;
                let version = keys::open(layout, &config, &programme)?.rotate()?;
                let text = format!(
                    "version {version} wraps from now on; `clover keys rewrap` wraps the rest by it and destroys those before"
                );
                output.data(&text, &json!({ "version": version.number() }));
                Ok(())
            }
            Self::Rewrap => rewrap(layout, &config, output),
            Self::Reseal { passphrase_file } => {
                if !matches!(config.keys.service, Service::File { .. }) {
                    return Err(CommandError::Rule("only a sealed file has a passphrase").into());
                }
                let path = std::path::absolute(passphrase_file)?;
                let secret = SecretFile { what: "passphrase", path };
                keys::sealed(layout, &config)?.reseal(&secret, Cost::PERSON)?;
                let shown = secret.path.display();
                let text = format!(
                    "sealed; write `passphrase_file = \"{shown}\"` under [keys] of enclave.toml and remove the old passphrase and every copy of the old file"
                );
                output.data(&text, &json!({ "passphrase_file": secret.path }));
                Ok(())
            }
        }
    }
}

fn status(layout: &Layout, config: &Config, output: &Output) -> Result<()> {
    let service = keys::service(layout, config)?;
    let versions: Vec<u32> = service.versions()?.into_iter().map(Version::number).collect();
    // A running enclave has the store to itself, or is the one to ask.
    let open = logs::unused(layout).ok().and_then(|()| logs::records(layout, config).ok());
    let counts = open.map(|records| rewrap::counts(&records)).transpose()?;
    let remark = keys::remark(layout, config);
    let list = versions.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let mut text = format!("service    {}", service.service());
    if let Some(remark) = remark {
        text.push_str(&format!(" ({remark})"));
    }
    text.push_str(&format!("\nversions   {list}; the last one wraps"));
    match &counts {
        Some(counts) => {
            for (version, people) in counts {
                text.push_str(&format!("\npeople     {people} under version {version}"));
            }
        }
        None => text.push_str("\npeople     not counted: another process has the vault open"),
    }
    let due = rewrap::is_due(&layout.keys());
    if due {
        text.push_str("\nrewrap     was begun and did not end: `clover keys rewrap` goes on, and so does the next start");
    }
    let counts = counts
        .map(|c| c.iter().map(|(v, n)| (v.to_string(), *n)).collect::<std::collections::BTreeMap<_, _>>());
    let told = json!({
        "service": service.service(), "remark": remark, "versions": versions, "people": counts, "rewrap_due": due,
    });
    output.data(&text, &told);
    Ok(())
}

fn rewrap(layout: &Layout, config: &Config, output: &Output) -> Result<()> {
    let programme = assemble::rulebook(layout)?.rulebook.programme.name;
    let records = match logs::unused(layout).and_then(|()| logs::records(layout, config)) {
        Err(e) => return while_it_serves(layout, config, output).unwrap_or(Err(e)),
        Ok(records) => records,
    };
    let keys = keys::open(layout, config, &programme)?;
    let bar = bar(output, records.count() as u64, "wrapping");
    let done = rewrap::run(&records, &keys, Older::Retire, |n| bar.set_position(n as u64))?;
    bar.finish_and_clear();
    let Rewrapped { version, people, broken, .. } = done;
    if broken > 0 {
        let text = format!(
            "{people} people's keys are under version {version} now; {broken} do not open, so no version was destroyed"
        );
        output.data(&text, &json!({ "version": version.number(), "people": people, "broken": broken }));
        return Err(
            CommandError::Rule("keys of people do not open: restore them, or erase these people").into()
        );
    }
    let text = format!(
        "{people} people's keys were wrapped anew; everything is under version {version}, and those before are destroyed"
    );
    output.data(&text, &json!({ "version": version.number(), "people": people, "broken": 0 }));
    Ok(())
}

/// Has the running enclave do it, and watches. `None` when none runs.
fn while_it_serves(layout: &Layout, config: &Config, output: &Output) -> Option<Result<()>> {
    let status = || -> Result<Value> { Ok(serde_json::from_str(&control::ask(config.control, "/status")?)?) };
    let people = status().ok()?.get("people").and_then(Value::as_u64).unwrap_or_default();
    let watch = || -> Result<()> {
        let newest = keys::service(layout, config)?.versions()?.last().map_or(0, |v| v.number());
        rewrap::begin(&layout.keys())?;
        let bar = bar(output, people, "wrapping");
        let done = loop {
            let told = status()?.pointer("/keys/rewrap").cloned().unwrap_or_default();
            match serde_json::from_value::<Option<Rewrap>>(told)?.unwrap_or_default() {
                Rewrap { why: Some(why), .. } => bail!("the running enclave tries again: {why}"),
                rewrap if rewrap.done && rewrap.version >= newest => break rewrap,
                rewrap => bar.set_position(rewrap.looked as u64),
            }
            std::thread::sleep(ASK);
        };
        bar.finish_and_clear();
        if done.broken > 0 {
            return Err(CommandError::Rule(BROKEN).into());
        }
        let version = done.version;
        let before = if done.ended {
            "those before are destroyed"
        } else {
            "those before are destroyed once it has the vault to itself, by its next start at the latest"
        };
        let text = format!("the running enclave has wrapped everything by version {version}; {before}");
        let told = json!({ "version": version, "broken": 0, "while_serving": true, "ended": done.ended });
        output.data(&text, &told);
        Ok(())
    };
    Some(watch())
}
