//! The mirror: it follows every log of a site, holds all entries, and cosigns only what it holds and has
//! checked (`docs/formats/witness.md`). For logs of strangers it is a plain C2SP witness.
//!
//! Start reading at `site.rs` (what a site is made of), `follow.rs` (one log), `store.rs` (its tree on disk),
//! `book.rs` (what the site log says), then `cosigner.rs` (the decision to sign) and `signed.rs` (its memory).
//!
//! Everything that comes from a site or an asker is a stranger's word: lengths and times are limited, and
//! nothing is believed that does not lead to a signed root.

mod book;
mod config;
mod cosigner;
mod evidence;
mod extras;
mod follow;
mod request;
mod serve;
mod signed;
mod site;
mod status;
mod store;
mod structure;

use std::{
    fs::{self, File, TryLockError},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, runtime::Runtime};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::request::AddCheckpoint;
use self::{
    config::SiteConfig, cosigner::Cosigner, evidence::Evidence, extras::Signers, follow::Surroundings,
    signed::Signed, site::Site,
};
pub use self::{
    config::{ConfigError, MirrorConfig},
    status::{Coverage, LogStatus, SiteStatus, Status, WitnessedLog},
};
use crate::{fetch::Fetcher, note::KeyError};

/// Threads that read, hash and write.
const BLOCKING_THREADS_MAX: usize = 16;
/// How long an end waits for what is being written.
const END_MAX: Duration = Duration::from_secs(2);
/// The longest answer of another mirror's status.
const STATUS_BYTES_MAX: usize = 4 << 20;

/// A mirror at work, until it is dropped.
pub struct Mirror {
    runtime: Option<Runtime>,
    address: SocketAddr,
    secure: bool,
    /// Held as long as it works: two mirrors in one folder could sign two trees.
    _lock: File,
}

/// Why a mirror does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The folder cannot be used.
    #[error("cannot use the folder `{}`", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("another mirror uses the folder `{}`", .0.display())]
    Locked(PathBuf),
    /// A site cannot be followed.
    #[error("cannot follow `{base}`: {why}")]
    Site {
        /// Its base URL.
        base: String,
        /// What is wrong.
        why: String,
    },
    /// Nobody could ask it.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address of the configuration.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The system gave no threads.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
    /// Never seen: the key is our own.
    #[error("cannot use the mirror's own key")]
    Key(#[from] KeyError),
}

impl Mirror {
    /// Opens the trees and begins to follow and to answer.
    ///
    /// # Errors
    /// If the folder is not usable, in use or damaged, or the address cannot be listened on.
    pub fn start(config: MirrorConfig) -> Result<Self, StartError> {
        let root = config.folder.clone();
        let at = |source| StartError::Folder { path: root.clone(), source };
        fs::create_dir_all(&root).map_err(at)?;
        let lock = lock(&root)?;
        let temporary = root.join("tmp");
        // Drafts of a process that was killed.
        clear(&temporary).map_err(at)?;
        fs::create_dir_all(root.join("signed")).map_err(at)?;
        let evidence = Arc::new(Evidence::open(&root.join("evidence"), &temporary).map_err(at)?);
        let keys: Vec<_> = config.mirror.iter().chain(&config.witness).collect();
        let signed = Signed::open(&root.join("signed"), &temporary, &keys)?;
        let mut sites = Vec::new();
        for site in config.sites {
            sites.push(Arc::new(open_site(&root, &temporary, &evidence, site, config.cleartext)?));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()
            .map_err(StartError::Runtime)?;
        let failed = |source| StartError::Listen { address: config.listen, source };
        let listener = runtime.block_on(TcpListener::bind(config.listen)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        for site in &sites {
            runtime.spawn(Arc::clone(site).run());
        }
        let (mirror, witness, strangers) = (config.mirror, config.witness, config.strangers);
        let cosigner = Cosigner { mirror, witness, sites, strangers, signed, evidence };
        let secure = config.tls.is_some();
        runtime.spawn(serve::serve(listener, config.tls, Arc::new(cosigner)));
        Ok(Self { runtime: Some(runtime), address, secure, _lock: lock })
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it answers over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Works until the process is told to end (SIGINT or SIGTERM).
    ///
    /// # Errors
    /// If the system does not tell about signals.
    pub fn wait(&self) -> io::Result<()> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (mut interrupt, mut terminate) =
                (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            Ok(())
        })
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(END_MAX);
        }
    }
}

/// Asks a mirror for its status. One that answers over TLS needs a file of certificates to trust.
///
/// # Errors
/// If there is no answer that can be read.
pub fn mirror_status(base: &str, certificates: Option<&Path>) -> Result<Status, StartError> {
    let failed = |why: String| StartError::Site { base: base.to_owned(), why };
    let fetcher = Fetcher::new(base, certificates, false).map_err(|error| failed(error.to_string()))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
    let body = runtime.block_on(fetcher.get("status", STATUS_BYTES_MAX));
    let body = body.map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))
}

fn open_site(
    root: &Path,
    temporary: &Path,
    evidence: &Arc<Evidence>,
    config: SiteConfig,
    cleartext: bool,
) -> Result<Site, StartError> {
    let base = config.base.clone();
    let failed = |why: String| StartError::Site { base: base.clone(), why };
    let fetcher = Fetcher::new(&config.base, config.certificates.as_deref(), cleartext);
    let fetcher = Arc::new(fetcher.map_err(|error| failed(error.to_string()))?);
    let folder = config.name.as_ref().map_or_else(|| root.to_owned(), |name| root.join(name));
    fs::create_dir_all(&folder).map_err(|error| failed(error.to_string()))?;
    let signers = Arc::new(Signers { operator: config.operator, auditor: config.auditor });
    let (temporary, evidence) = (temporary.to_owned(), Arc::clone(evidence));
    let around = Surroundings { folder, temporary, fetcher, signers, evidence };
    Site::open(around, &config.base, config.key, config.map_check).map_err(|error| failed(error.to_string()))
}

fn lock(root: &Path) -> Result<File, StartError> {
    let failed = |source| StartError::Folder { path: root.to_owned(), source };
    let file = File::create(root.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Locked(root.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn clear(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(folder)
}
