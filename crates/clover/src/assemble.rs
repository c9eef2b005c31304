//! The parts of an enclave put together from its folder, each checked before it counts.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use crossing::credential::Tokens;
use crossing::{ActiveRulebook, Road};
use gateway::enclave::{self, Enclave, Live, Parts};
use gateway::http::{Gateway, ServeError, Settings, Upstream};
use gateway::metrics::Metrics;
use ledger::note::{Signer, Verifier};
use model::lanes::Way;
use model::rulebook::{Files, Rulebook};
use model::{Name, Problems};
use prometheus_client::registry::Registry;
use rustls::pki_types::ServerName;
use vault::disk::replace_file;
use vault::log::TagIndex;
use vault::{EndedSessions, KeyService, Log, Records};

use crate::config::Config;
use crate::error::CommandError;
use crate::layout::Layout;
use crate::site::border::Keeper;
use crate::site::{self, Running, Site};
use crate::{authority, location, logs, office, people, shadow};

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
    let programme = &active.rulebook.programme.name;
    let log = logs::open(layout, &config, programme, digest, records)?;
    let site_log = logs::open_site(layout, &config, site::PREFIX, site::origin(programme, &config))?;
    site::not_older(&site_log, &[(origin(programme, &config), &log)])?;
    site::orphans::close(&log, enclave::now().0)?;
    site::activate(layout, &config, programme, digest, &site_log)?;
    site_log.close();
    let _receipt =
        log.submit_and_wait(crossing::inward::activation(logs::flow_id()?, enclave::now().0, digest))?;
    log.close();
    Ok(replace_file(&layout.activated(), format!("{digest}\n").as_bytes())?)
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
    /// Its border.
    pub keeper: Arc<Keeper>,
    /// The site's own log.
    pub site_log: Arc<Log>,
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
    let log = Arc::new(logs::open(layout, &config, &programme.name, digest, index)?);
    let key_log =
        Arc::new(logs::open_site(layout, &config, "keys", site::keys_origin(&programme.name, &config))?);
    let site_log =
        Arc::new(logs::open_site(layout, &config, site::PREFIX, site::origin(&programme.name, &config))?);
    let known = [
        (origin(&programme.name, &config), log.as_ref()),
        (site::keys_origin(&programme.name, &config), key_log.as_ref()),
    ];
    site::not_older(&site_log, &known)?;
    let keeper = Arc::new(Keeper::new(&programme.border)?);
    let live = Live::new(shadow::beside(layout, &config, Road::new(active, keys.pseudonym_root())))?;
    let control = office::control(layout, verifier(layout, "operator")?, &keys)?;
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    shadow::counted(&live.road, &mut registry);
    let border = {
        let keeper = Arc::clone(&keeper);
        Box::new(move || keeper.now())
    };
    let samples_bytes = config.samples_bytes;
    let table = config.mmdb.as_ref().map(|path| layout.root().join(path));
    let elsewhere = location::open(table.as_deref())?;
    let parts =
        Parts { live, records, keys, control, log, key_log, metrics, border, elsewhere, samples_bytes };
    let enclave = Arc::new(Enclave::new(parts));
    // On a thread of its own: it waits for the disk, and this may run where nothing may wait.
    let halves =
        || site::orphans::close(enclave.log(), enclave::now().0).and_then(|_| site::reconcile(&enclave));
    let reconciled = std::thread::scope(|s| s.spawn(halves).join());
    reconciled.map_err(|_| anyhow::anyhow!("the logs could not be held against one another"))??;
    Ok(Assembled { config, enclave, registry, keeper, site_log })
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

/// Serves until the process is told to stop. Calls `ready` with the gateway's address and the names of the witnesses.
///
/// # Errors
/// When a listener or the rulebook's parts cannot be used.
pub async fn serve(
    layout: &Layout,
    assembled: Assembled,
    ready: impl FnOnce(std::net::SocketAddr, &str),
) -> Result<()> {
    let Assembled { config, enclave, registry, keeper, site_log } = assembled;
    let site = Site::open(layout, &config, &enclave, keeper, site_log)?;
    let tls = authority::server_config(layout, &layout.tls().join("gateway"))?;
    let programme = enclave.live().road.rulebook().programme.name.to_string();
    let ended = EndedSessions::open(&layout.control(), enclave::now().0)
        .map_err(CommandError::file(layout.control()))?;
    let (operator, sessions) = (verifier(layout, "operator")?, verifier(layout, "sessions")?);
    let tokens = Arc::new(Tokens::new(&programme, operator, sessions, ended.registry()));
    let settings = Settings {
        listen: config.listen,
        cleartext: config.cleartext,
        hosts: config.hosts.clone(),
        connections_max: config.connections_max,
        head_timeout: config.head_timeout,
        upstream_timeout: config.upstream_timeout,
    };
    let upstreams = upstreams(layout, &config)?;
    let gateway = Arc::new(Gateway::new(Arc::clone(&enclave), upstreams, Arc::clone(&tokens), settings));
    let listener = tokio::net::TcpListener::bind(config.control).await;
    let listener = listener.map_err(|source| ServeError::Bind { address: config.control, source })?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let office = office::open(&enclave, &site.log);
    let follower = office::follow(Arc::clone(&office))?;
    let people = people::serve(layout, &config, &enclave, office, tokens, ended, stopped.clone()).await?;
    let control = tokio::spawn(control(listener, Arc::clone(&enclave), Arc::clone(&site), registry));
    let stopping = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopping);
    tokio::spawn(async move {
        told_to_stop().await;
        flag.store(true, Ordering::Release);
        let _ = stop.send(true);
    });
    let running = Running::start(layout, &config, &enclave, &site, &stopped).await?;
    let words = site.shown().words();
    enclave.witnessed(words.clone());
    let served = gateway::http::serve(gateway, tls, stopped, |address| ready(address, &words)).await;
    control.abort();
    if let Some(people) = people {
        let _ = people.await;
    }
    follower.end();
    running.end(&site).await;
    enclave.log().close();
    enclave.key_log_handle().close();
    site.log.close();
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
    site: Arc<Site>,
    registry: Registry,
) {
    let live = enclave.live();
    let rulebook = live.road.rulebook();
    let (programme, digest) = (rulebook.programme.name.to_string(), rulebook.digest.to_string());
    let shadow = shadow::shown(&live.road);
    drop(live);
    let (log, records) = (Arc::clone(&enclave), Arc::clone(enclave.records()));
    let shown = console::api::Shown {
        programme,
        site: site.origin.clone(),
        rulebook: digest,
        log: Box::new(move || console::api::LogState::of(log.log())),
        witnessing: Box::new(move || site.shown()),
        people: Box::new(move || console::api::people(&records)),
        shadow,
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
