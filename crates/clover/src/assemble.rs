//! The parts of an enclave put together from its folder, each checked before it counts.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use crossing::{ActiveRulebook, Road};
use gateway::enclave::{self, Enclave, Live};
use gateway::http::{Gateway, ServeError, Settings, Upstream};
use gateway::metrics::Metrics;
use gateway::token::Tokens;
use ledger::note::{Signer, Verifier};
use model::lanes::Way;
use model::rulebook::{Files, Rulebook};
use model::{Digest, FlowId, Name, Problems};
use prometheus_client::registry::Registry;
use rustls::pki_types::ServerName;
use vault::log::{Hooks, Identity, Options, TagIndex};
use vault::{Control, Folder, KeyService, Log, Records};

use crate::authority;
use crate::config::Config;
use crate::error::CommandError;
use crate::layout::Layout;

/// The file that carries a rulebook's signatures.
pub const MANIFEST: &str = "manifest.note";

/// Reads the files of a rulebook, the manifest apart.
///
/// # Errors
/// When the folder or a file in it cannot be read as text.
pub fn read_files(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    let entries = std::fs::read_dir(folder).map_err(CommandError::file(folder))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != MANIFEST {
            let text = std::fs::read_to_string(entry.path());
            files.insert(name, text.map_err(CommandError::file(entry.path()))?);
        }
    }
    Ok(files)
}

/// The origin of a gateway's log.
#[must_use]
pub fn origin(programme: &Name, config: &Config) -> String {
    format!("ledger.{programme}/{}/{}", config.site, config.gateway)
}

/// A key that checks signatures, from `trust/`.
///
/// # Errors
/// When the file is not a verifier key.
pub fn verifier(layout: &Layout, name: &str) -> Result<Verifier> {
    let path = layout.trust().join(format!("{name}.vkey"));
    let text = std::fs::read_to_string(&path).map_err(CommandError::file(&path))?;
    Ok(Verifier::parse(text.trim())?)
}

/// A key that signs, from its seed and the verifier that must fit it.
///
/// # Errors
/// When the files are not there or do not belong together.
pub fn signer(layout: &Layout, seed: &Path, name: &str) -> Result<Signer> {
    let known = verifier(layout, name)?;
    let signer = Signer::from_seed(known.name(), &vault::keys::read_seed(seed)?)?;
    if signer.verifier().to_vkey() != known.to_vkey() {
        return Err(CommandError::OtherKey { seed: seed.to_owned(), vkey: name.to_owned() }.into());
    }
    Ok(signer)
}

/// The operator's key.
///
/// # Errors
/// As [`signer`].
pub fn operator(layout: &Layout) -> Result<Signer> {
    signer(layout, &layout.keys().join("operator.seed"), "operator")
}

/// Opens the rulebook with both signatures.
///
/// # Errors
/// When it does not count.
pub fn rulebook(layout: &Layout) -> Result<ActiveRulebook> {
    let files = read_files(&layout.rulebook())?;
    let path = layout.rulebook().join(MANIFEST);
    let note = std::fs::read_to_string(&path).map_err(CommandError::file(&path))?;
    Ok(ActiveRulebook::open(&files, &note, &verifier(layout, "operator")?, &verifier(layout, "auditor")?)?)
}

/// A random name for a crossing.
///
/// # Errors
/// When the system gives no random bytes.
pub fn flow_id() -> Result<FlowId> {
    let mut id = [0; 16];
    vault::keys::random(&mut id)?;
    Ok(FlowId::new(id))
}

fn open_log(
    layout: &Layout,
    config: &Config,
    programme: &Name,
    rulebook: Digest,
    index: Arc<dyn TagIndex>,
) -> Result<Log> {
    let origin = origin(programme, config);
    let signer = signer(layout, &layout.keys().join("log.seed"), "log")?;
    if signer.verifier().name() != origin {
        let found = signer.verifier().name().to_owned();
        return Err(CommandError::OtherLog { found, wanted: origin }.into());
    }
    let disk = Folder::open(layout.root()).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => CommandError::InUse(layout.root().to_owned()),
        _ => CommandError::File { path: layout.root().to_owned(), source: e },
    })?;
    let hooks = Hooks {
        reopening: Box::new(move || {
            let flow = flow_id().unwrap_or(FlowId::new([0; 16]));
            crossing::inward::reopening(flow, enclave::now().0, rulebook)
        }),
        index,
        fatal: Box::new(|why| {
            tracing::error!(why, "nobody can say what is on the ledger's disk; ending");
            std::process::exit(74);
        }),
    };
    let options = Options { publish_every: config.publish_every, ..Options::default() };
    Ok(Log::open(Arc::new(disk), Identity { origin, signer }, options, hooks)?)
}

/// Activates the signed rulebook: an entry, and a public copy of the files.
///
/// # Errors
/// When the rulebook does not count or the ledger cannot be written.
pub fn activate(layout: &Layout) -> Result<()> {
    let config = Config::load(&layout.config())?;
    let active = rulebook(layout)?;
    let digest = active.rulebook.digest;
    let public = layout.published_rulebook(&digest.to_string());
    std::fs::create_dir_all(&public)?;
    for entry in std::fs::read_dir(layout.rulebook())? {
        let entry = entry?;
        std::fs::copy(entry.path(), public.join(entry.file_name()))?;
    }
    let records = Arc::new(Records::open(&layout.vault())?);
    let log = open_log(layout, &config, &active.rulebook.programme.name, digest, records)?;
    let _receipt = log.submit_and_wait(crossing::inward::activation(flow_id()?, enclave::now().0, digest))?;
    log.close();
    Ok(std::fs::write(layout.activated(), format!("{digest}\n"))?)
}

/// Checks that configuration and rulebook fit one another.
///
/// # Errors
/// Every problem at once.
pub fn fits(config: &Config, book: &Rulebook) -> Result<(), Problems> {
    let mut problems = Problems::default();
    if !book.programme.sites.iter().any(|s| s.name == config.site) {
        problems.add(
            "enclave.toml: site",
            format!("`{}` is not in the programme", config.site),
            "name one that is",
        );
    }
    for lane in book.lanes.lanes.values() {
        let name = lane.upstream.as_str();
        let (there, table) = match lane.way {
            Way::Reverse => (config.upstreams.contains_key(name), "[upstreams]"),
            Way::Forward => (config.destinations.contains_key(name), "[destinations]"),
        };
        if !there {
            let why = format!("the lane `{}` needs the service `{name}`", lane.name);
            problems.add("enclave.toml", why, format!("give its address under {table}"));
        }
    }
    for name in config.upstreams.keys().filter(|name| config.destinations.contains_key(*name)) {
        let why = format!("`{name}` stands under [upstreams] and under [destinations]");
        problems.add("enclave.toml", why, "remove one of the two");
    }
    problems.or(())
}

/// An enclave with its configuration, ready to import or to serve.
pub struct Assembled {
    /// Local configuration.
    pub config: Config,
    /// The parts.
    pub enclave: Arc<Enclave>,
    /// Its metrics.
    pub registry: Registry,
}

/// Opens everything in an enclave's folder.
///
/// # Errors
/// Anything in doubt: an unsigned or never activated rulebook, a wrong key, a damaged log.
pub fn open(layout: &Layout) -> Result<Assembled> {
    let config = Config::load(&layout.config())?;
    let active = rulebook(layout)?;
    let programme = active.rulebook.programme.clone();
    let digest = active.rulebook.digest;
    let activated = std::fs::read_to_string(layout.activated()).unwrap_or_default();
    if activated.trim() != digest.to_string() {
        return Err(CommandError::NotActivated.into());
    }
    fits(&config, &active.rulebook)?;
    let keys = Arc::new(KeyService::open(&layout.keys(), programme.name.as_str())?);
    let records = Arc::new(Records::open(&layout.vault())?);
    let index: Arc<dyn TagIndex> = records.clone();
    let log = open_log(layout, &config, &programme.name, digest, index)?;
    let live = Live::new(Road::new(active, keys.pseudonym_root()))?;
    let control = Control::new(&layout.control(), verifier(layout, "operator")?);
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let enclave = Arc::new(Enclave::new(live, records, keys, control, log, metrics));
    Ok(Assembled { config, enclave, registry })
}

fn upstreams(layout: &Layout, config: &Config) -> Result<HashMap<String, Upstream>> {
    let mut all: HashMap<_, _> =
        config.upstreams.iter().map(|(name, address)| (name.clone(), Upstream::Inside(*address))).collect();
    if !config.destinations.is_empty() {
        let tls =
            authority::client_config(&layout.tls().join("ca.pem"), Some(&layout.tls().join("gateway")))?;
        for (name, (address, host)) in &config.destinations {
            let name_on_certificate = ServerName::try_from(host.clone()).context("a destination's name")?;
            let upstream =
                Upstream::Outside { address: *address, name: name_on_certificate, tls: Arc::clone(&tls) };
            all.insert(name.clone(), upstream);
        }
    }
    Ok(all)
}

/// Serves until the process is told to stop. Calls `ready` with the gateway's address.
///
/// # Errors
/// When a listener or the rulebook's parts cannot be used.
pub async fn serve(
    layout: &Layout,
    assembled: Assembled,
    ready: impl FnOnce(std::net::SocketAddr),
) -> Result<()> {
    let Assembled { config, enclave, registry } = assembled;
    let tls = authority::server_config(layout, &layout.tls().join("gateway"))?;
    let programme = enclave.live().road.rulebook().programme.name.to_string();
    let tokens = Tokens::new(&programme, verifier(layout, "operator")?);
    let settings = Settings {
        listen: config.listen,
        cleartext: config.cleartext,
        hosts: config.hosts.clone(),
        connections_max: config.connections_max,
        head_timeout: config.head_timeout,
        upstream_timeout: config.upstream_timeout,
    };
    let upstreams = upstreams(layout, &config)?;
    let gateway = Arc::new(Gateway::new(Arc::clone(&enclave), upstreams, tokens, settings));
    let listener = tokio::net::TcpListener::bind(config.control).await;
    let listener = listener.map_err(|source| ServeError::Bind { address: config.control, source })?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let control =
        tokio::spawn(control(listener, Arc::clone(&enclave), programme, config.site.to_string(), registry));
    let stopping = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopping);
    tokio::spawn(async move {
        told_to_stop().await;
        flag.store(true, Ordering::Release);
        let _ = stop.send(true);
    });
    let served = gateway::http::serve(gateway, tls, stopped, ready).await;
    control.abort();
    enclave.log().close();
    if stopping.load(Ordering::Acquire) {
        let (durable, published) = (enclave.log().size(), enclave.log().published());
        tracing::info!(
            durable,
            published,
            "stopped; what is durable and not published yet, the next start publishes"
        );
    }
    Ok(served?)
}

async fn control(
    listener: tokio::net::TcpListener,
    enclave: Arc<Enclave>,
    programme: String,
    site: String,
    registry: Registry,
) {
    let rulebook = enclave.live().road.rulebook().digest.to_string();
    let (log, records) = (Arc::clone(&enclave), Arc::clone(enclave.records()));
    let shown = console::api::Shown {
        programme,
        site,
        rulebook,
        log: Box::new(move || console::api::LogState::of(log.log())),
        people: Box::new(move || console::api::people(&records)),
        registry,
    };
    if let Err(e) = console::api::serve(listener, shown).await {
        tracing::error!(error = %e, "the control API ended");
    }
}

async fn told_to_stop() {
    let mut term = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(term) => term,
        Err(_) => return std::future::pending().await,
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}
