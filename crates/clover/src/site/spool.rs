//! People whom a migration brings while the enclave runs: files in `control/spool`, in a folder for each dataset, are taken as they come
//! (`docs/migration.md`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use gateway::Enclave;
use model::Name;
use tokio::sync::watch::Receiver;
use vault::disk::replace_file;

use crate::import::{self, Summary};
use crate::layout::Layout;

/// How often it is looked, and when again after something was refused.
const LOOK: Duration = Duration::from_millis(200);
const AGAIN: Duration = Duration::from_secs(5);
/// Where it is said why a folder's files are not taken, beside them.
const WHY: &str = "why";

/// Takes what comes until the enclave is stopped.
pub(super) async fn run(layout: Layout, site: Name, enclave: Arc<Enclave>, mut stopped: Receiver<bool>) {
    let stop = Arc::new(AtomicBool::new(false));
    let mut pause = LOOK;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopped.changed() => return,
        }
        let (spool, site, enclave, told) =
            (layout.spool(), site.clone(), Arc::clone(&enclave), Arc::clone(&stop));
        let taking = tokio::task::spawn_blocking(move || take(&spool, &site, &enclave, &told));
        tokio::pin!(taking);
        let taken = tokio::select! {
            taken = &mut taking => taken,
            _ = stopped.changed() => {
                // What is in hand is finished first.
                stop.store(true, Ordering::Relaxed);
                taking.await
            }
        };
        pause = match taken {
            Ok(Ok(true)) => LOOK,
            Ok(Ok(false)) => AGAIN,
            Ok(Err(e)) => {
                tracing::warn!(error = %e, "people who are laid down were not taken");
                AGAIN
            }
            Err(e) => {
                tracing::error!(error = %e, "people who are laid down could not be taken");
                AGAIN
            }
        };
    }
}

/// Takes what is there. False if something was refused.
fn take(spool: &Path, site: &Name, enclave: &Enclave, stop: &AtomicBool) -> Result<bool> {
    let mut good = true;
    for folder in folders(spool)? {
        if import::files(&folder)?.is_empty() {
            continue;
        }
        let dataset = folder
            .file_name()
            .and_then(|name| name.to_str())
            .context("a folder is named after no dataset")?;
        let why = folder.join(WHY);
        let text = match import::take(enclave, site, dataset, &folder, false, stop) {
            Ok(Summary { refused, .. }) if refused.is_empty() => {
                if why.exists() {
                    std::fs::remove_file(&why)?;
                }
                continue;
            }
            Ok(Summary { refused, .. }) => {
                let line = |one: &import::Refused| {
                    let name = one.file.file_name().unwrap_or_default().to_string_lossy();
                    format!("{name}: {}\n", one.why)
                };
                refused.iter().map(line).collect()
            }
            Err(e) => format!("{e:#}\n"),
        };
        good = false;
        if std::fs::read_to_string(&why).ok().as_ref() != Some(&text) {
            tracing::warn!(dataset, why = %why.display(), "people who are laid down are not taken");
            replace_file(&why, text.as_bytes())?;
        }
    }
    Ok(good)
}

fn folders(spool: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(spool) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}
