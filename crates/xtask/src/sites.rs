//! The four sites of `scripts/sites`, for the demo that loses one of them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use xtask::story::Crossing;
use xtask::world::World;

/// How long the enclave is waited for after a site is gone.
const PATIENCE: Duration = Duration::from_secs(120);
/// The script, from the root of the project, where the demo is started.
const SCRIPT: &str = "scripts/sites";

/// A running cluster. It ends with the value.
pub(crate) struct Sites {
    folder: PathBuf,
}

impl Sites {
    /// Installs what is missing and brings the sites up, in a folder that the servers' user can read wherever this checkout
    /// is. It goes with the value.
    pub(crate) fn up() -> Result<Self> {
        let sites =
            Self { folder: std::env::temp_dir().join(format!("clover-sites-{}", std::process::id())) };
        std::fs::create_dir_all(&sites.folder)?;
        std::fs::set_permissions(&sites.folder, PermissionsExt::from_mode(0o755))?;
        sites.run(&["install"])?;
        sites.run(&["up"])?;
        Ok(sites)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(SCRIPT);
        command.arg("--dir").arg(&self.folder).args(arguments).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let told = self.command(arguments).output().with_context(|| format!("cannot run `{SCRIPT}`"))?;
        if !told.status.success() {
            bail!("`{SCRIPT} {}`: {}", arguments.join(" "), String::from_utf8_lossy(&told.stderr).trim());
        }
        Ok(String::from_utf8(told.stdout)?)
    }

    /// An `enclave.toml` whose logs, control store, people and records lie at these sites.
    pub(crate) fn configuration(&self) -> Result<String> {
        let text = std::fs::read_to_string(self.folder.join("client.env"))?;
        let told: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let of = |name: &str| told.get(name).copied().with_context(|| format!("client.env has no {name}"));
        let table = format!(
            "server = \"host={} hostaddr={} port={} user={} dbname={}\"\nquorum = 2\nca_file = \"{}\"\n\
             certificate_file = \"{}\"\nkey_file = \"{}\"\nconnect_timeout_ms = 2000\nstatement_timeout_ms = 8000\n",
            of("PGHOST")?,
            of("PGHOSTADDR")?,
            of("PGPORT")?,
            of("PGUSER")?,
            of("PGDATABASE")?,
            of("PGSSLROOTCERT")?,
            of("PGSSLCERT")?,
            of("PGSSLKEY")?,
        );
        let starter = clover::config::starter("dublin-1")
            .replace("journal = \"segments\"", "journal = \"postgres\"")
            .replace("store = \"embedded\"", "store = \"postgres\"");
        let tables = ["ledger", "control", "vault"].map(|name| format!("\n[{name}.postgres]\n{table}"));
        Ok(format!("{starter}\n[vault]\nstore = \"postgres\"\n{}", tables.concat()))
    }

    /// Kills everything at the site that leads, and waits until the enclave serves as before.
    pub(crate) fn lose_the_leader(&self, world: &World) -> Result<Crossing> {
        let leader = self.run(&["leader"])?.trim().to_owned();
        let before = world.pid();
        self.run(&["kill", &leader])?;
        let began = Instant::now();
        // It is seen to close first, so that an answer from before the loss counts for nothing.
        let closed = wait(began, || Ok(!serves(world)?));
        wait(began, || serves(world))?;
        let happened = format!(
            "{leader} is gone; the border was closed for {:.0} s and opened by itself",
            began.elapsed().as_secs_f64()
        );
        let as_expected = closed.is_ok() && world.pid() == before;
        Ok(Crossing {
            what: "everything at the site that leads is killed",
            expected: "nothing crosses until another site leads, and then everything does",
            happened,
            status: 0,
            entry: None,
            as_expected,
        })
    }
}

/// That the ledger has an entry for each receipt that anybody was given, before the loss and after it.
pub(crate) fn receipts(crossings: &[Crossing], size: u64) -> Crossing {
    let entries: Vec<u64> = crossings.iter().filter_map(|c| c.entry).collect();
    let missing = entries.iter().filter(|entry| **entry >= size).count();
    Crossing {
        what: "the receipts of before and after the loss",
        expected: "each names an entry that the ledger holds",
        happened: format!("{} receipts, {missing} of them without an entry", entries.len()),
        status: 0,
        entry: None,
        as_expected: missing == 0 && !entries.is_empty(),
    }
}

/// Whether the enclave can record, and knows who may what.
fn serves(world: &World) -> Result<bool> {
    let status = world.status()?;
    let evidence = status.pointer("/control_store/evidence") == Some(&true.into());
    Ok(evidence && status.get("border") == Some(&"open".into()))
}

fn wait(began: Instant, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    while !holds()? {
        if began.elapsed() > PATIENCE {
            bail!("the enclave did not come back in {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

impl Drop for Sites {
    fn drop(&mut self) {
        // Whoever sees servers left can end them with the same command.
        let _ = self.command(&["down"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
