//! The local mirror: `clover-audit` beside this program, started and ended with it. It lets one machine run at
//! all; it proves nothing to anybody else, and every status says so.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

use crate::config::Config;
use crate::error::CommandError;
use crate::layout::Layout;

/// The name under which the policy of one machine knows it.
pub const NAME: &str = "local-mirror";
/// Longest wait until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the auditor's program lies: beside this one.
fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|f| f.join("clover-audit")).find(|p| p.is_file());
    let why = || CommandError::Mirror { why: "there is no `clover-audit` beside this program".to_owned() };
    Ok(found.ok_or_else(why)?)
}

/// Writes the mirror's configuration anew, so that it follows `enclave.toml`.
fn configuration(layout: &Layout, logs: SocketAddr, listen: SocketAddr) -> String {
    let folder = layout.mirror();
    let text =
        |path: PathBuf| toml::Value::String(std::path::absolute(&path).unwrap_or(path).display().to_string());
    let trust = |name: &str| text(layout.trust().join(format!("{name}.vkey")));
    let name = |file: &str| {
        let vkey = std::fs::read_to_string(layout.trust().join(format!("{file}.vkey"))).unwrap_or_default();
        toml::Value::String(vkey.split('+').next().unwrap_or_default().to_owned())
    };
    format!(
        "# Written by `clover serve` at each start.\n\
         listen = \"{listen}\"\n\
         folder = {}\n\n\
         [keys.mirror]\nname = {}\nseed = {}\n\n\
         [keys.witness]\nname = {}\nseed = {}\n\n\
         [[site]]\nbase = \"http://{}\"\nsite_vkey = {}\noperator_vkey = {}\nauditor_vkey = {}\n",
        text(folder.join("held")),
        name("mirror"),
        text(folder.join("mirror.seed")),
        name("witness"),
        text(folder.join("witness.seed")),
        logs,
        trust("site"),
        trust("operator"),
        trust("auditor"),
    )
}

/// Starts the mirror if the configuration wants one, and waits until it listens.
///
/// # Errors
/// When it is not installed or does not start.
pub async fn start(layout: &Layout, config: &Config) -> Result<Option<Child>> {
    // A configuration with a mirror has the logs in the clear, too.
    let Some((listen, logs)) = config.mirror.zip(config.logs.clear) else { return Ok(None) };
    // One that lost its parent ends by itself, but perhaps not yet.
    let until = tokio::time::Instant::now() + Duration::from_secs(5);
    while tokio::net::TcpStream::connect(listen).await.is_ok() && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let path = layout.mirror().join("mirror.toml");
    std::fs::write(&path, configuration(layout, logs, listen)).map_err(CommandError::file(&path))?;
    let log = std::fs::File::create(layout.mirror().join("mirror.log"))?;
    let mut command = Command::new(program()?);
    // The mirror ends with this process even when this one is killed: its standard input closes.
    command.args(["mirror", "--attached", "--config"]).arg(&path).stdin(Stdio::piped());
    // A group of its own: what a terminal tells this process is not told the mirror, which is asked once more.
    command.stdout(Stdio::null()).stderr(log).kill_on_drop(true).process_group(0);
    let mut child = command.spawn().context("cannot start the local mirror")?;
    let listening = async {
        while tokio::net::TcpStream::connect(listen).await.is_err() {
            if let Some(status) = child.try_wait()? {
                let said = std::fs::read_to_string(layout.mirror().join("mirror.log")).unwrap_or_default();
                let why = format!("it ended with {status}: {}", said.trim());
                return Err(CommandError::Mirror { why }.into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    let slow = || CommandError::Mirror { why: "it does not listen in time".to_owned() };
    tokio::time::timeout(PATIENCE, listening).await.map_err(|_| slow())??;
    Ok(Some(child))
}
