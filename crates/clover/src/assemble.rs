//! The parts of an enclave put together from its folder, each checked before it counts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use console::notify::Known;
use crossing::credential::Tokens;
use crossing::{ActiveRulebook, InForce, Road};
use gateway::enclave::{self, Enclave, Live, Parts};
use gateway::http::{Gateway, ServeError, Settings, Upstream};
use gateway::metrics::Metrics;
use ledger::note::{Signer, Verifier};
use model::lanes::Way;
use model::rulebook::{Files, Rulebook};
use model::{Digest, Name, Problems};
use prometheus_client::registry::Registry;
use rustls::pki_types::ServerName;
use vault::control::{ChangeError, StoreError};
use vault::disk::replace_file;
use vault::log::TagIndex;
use vault::{EndedSessions, Log};

use crate::config::Config;
use crate::error::CommandError;
use crate::layout::Layout;
use crate::office::Glass;
use crate::site::border::Keeper;
use crate::site::orders::{self, Orders, Signers};
use crate::site::rules::Rules;
use crate::site::{self, Running, Site};
use crate::tables::{self, Readers};
use crate::{authority, control, keys, location, logs, notices, office, pages, people, shadow, sql};

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
    Bundle::read(&layout.rulebook())?.open(layout)
}

/// The files of a rulebook and their signatures, as they were read once: what is checked is what is copied.
pub struct Bundle {
    files: Files,
    note: String,
}

impl Bundle {
    /// Reads a folder.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let files = read_files(folder)?;
        let path = folder.join(MANIFEST);
        let note = std::fs::read_to_string(&path).map_err(CommandError::file(&path))?;
        Ok(Self { files, note })
    }

    /// The rulebook, if both signed just these files.
    ///
    /// # Errors
    /// When it does not count.
    pub fn open(&self, layout: &Layout) -> Result<ActiveRulebook> {
        let [operator, auditor] = [verifier(layout, "operator")?, verifier(layout, "auditor")?];
        Ok(ActiveRulebook::open(&self.files, &self.note, &operator, &auditor)?)
    }

    /// Writes it to a folder, which is there as a whole or not at all. One that holds just this stays as it is.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn publish(&self, to: &Path) -> Result<()> {
        if Self::read(to).is_ok_and(|there| there.files == self.files && there.note == self.note) {
            return Ok(());
        }
        let part = to.with_extension("part");
        let _ = std::fs::remove_dir_all(&part);
        std::fs::create_dir_all(&part).map_err(CommandError::file(&part))?;
        let all = self.files.iter().map(|(name, text)| (name.as_str(), text));
        for (name, text) in all.chain([(MANIFEST, &self.note)]) {
            std::fs::write(part.join(name), text).map_err(CommandError::file(part.join(name)))?;
        }
        let _ = std::fs::remove_dir_all(to);
        Ok(std::fs::rename(&part, to).map_err(CommandError::file(to))?)
    }
}

/// Activates the signed rulebook of an enclave that does not run: entries, and a public copy of the files.
///
/// # Errors
/// [`CommandError::InUse`] when it runs; when the rulebook does not count or the ledger cannot be written.
pub fn activate(layout: &Layout) -> Result<()> {
    let config = Config::load(&layout.config())?;
    let bundle = Bundle::read(&layout.rulebook())?;
    let active = bundle.open(layout)?;
    let digest = active.rulebook.digest;
    let programme = &active.rulebook.programme.name;
    logs::unused(layout)?;
    let records = Arc::new(logs::records(layout, &config)?);
    let log = logs::open(layout, &config, programme, Box::new(move || digest), records)?;
    let site_log = logs::open_site(layout, &config, site::PREFIX, site::origin(programme, &config))?;
    site::not_older(&site_log, &[(origin(programme, &config), &log)])?;
    site::orphans::close(&log, enclave::now().0)?;
    bundle.publish(&layout.published_rulebook(&digest.to_string()))?;
    let enrol = || site::activate(layout, &config, programme, digest, &site_log);
    let keys = keys::open(layout, &config, programme)?;
    let control = office::control(layout, &config.control_store, verifier(layout, "operator")?, &keys)?;
    let mut recording = || enrol().map_err(|e| ChangeError::Record(e.into()));
    let changed = match control.activate(&digest, enclave::now().0, &mut recording) {
        Err(StoreError::Change(ChangeError::Over(_))) => {
            return Err(CommandError::Rule(site::rules::REPLACED).into());
        }
        other => other?,
    };
    // Behind the store, as a running enclave does it. One that was cut off between the two is ended now.
    if changed || activated(layout) != digest.to_string() {
        if !changed {
            enrol()?;
        }
        let entry = crossing::inward::activation(logs::flow_id()?, enclave::now().0, digest);
        let _receipt = log.submit_and_wait(entry)?;
    }
    site_log.close();
    log.close();
    Ok(replace_file(&layout.activated(), format!("{digest}\n").as_bytes())?)
}

/// The published folder of the rulebook in force. What lies in `rulebook/` may be about to become it.
///
/// # Errors
/// When none was activated here.
pub fn in_force(layout: &Layout) -> Result<PathBuf> {
    let digest = activated(layout);
    if digest.is_empty() {
        return Err(CommandError::NotActivated.into());
    }
    Ok(layout.published_rulebook(&digest))
}

/// The digest of the rulebook that was activated last here.
fn activated(layout: &Layout) -> String {
    std::fs::read_to_string(layout.activated()).unwrap_or_default().trim().to_owned()
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
    for table in book.lanes.tables.values() {
        // Tables without a gateway for them are for another process of the site.
        if config.sql.as_ref().is_some_and(|sql| !sql.sources.contains_key(&table.source)) {
            let why = format!("the table `{}` needs the database `{}`", table.name, table.source);
            problems.add("enclave.toml", why, "name its server under [sql.sources]");
        }
    }
    let named = config.notify.iter().filter_map(|n| n.mail.as_ref()).flat_map(|m| m.book.sets.keys());
    for set in named.filter(|set| !book.access.sets.contains_key(*set)) {
        let why = format!("the rulebook has no set `{set}`");
        problems.add("enclave.toml: notify.mail.sets", why, "name one that stands in its access.toml");
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
    if activated(layout) != digest.to_string() {
        return Err(CommandError::NotActivated.into());
    }
    fits(&config, &active.rulebook)?;
    let keys = Arc::new(keys::open(layout, &config, &programme.name)?);
    let records = Arc::new(logs::records(layout, &config)?);
    keys::go_on(layout, &records, &keys)?;
    let media = Arc::new(logs::media(layout, &config)?);
    let index: Arc<dyn TagIndex> = records.clone();
    let suspended = orders::suspended(&orders::known(layout, &Signers::of(layout, &programme.name)?)?);
    let in_force = Arc::new(InForce::new(digest, suspended));
    let named = Arc::clone(&in_force);
    let rulebook = Box::new(move || named.rulebook().unwrap_or(Digest::new([0; 32])));
    let log = Arc::new(logs::open(layout, &config, &programme.name, rulebook, index)?);
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
    let live = Live::new(shadow::beside(layout, &config, Road::new(active, keys.pseudonyms(), in_force)))?;
    let control = office::control(layout, &config.control_store, verifier(layout, "operator")?, &keys)?;
    // Another process that shares the store may have put another one in force.
    match control.rulebook()? {
        Some(other) if other != digest => return Err(CommandError::NotActivated.into()),
        Some(_) => {}
        // Of a store that knows of none: what is replaced from here on does not come back.
        None => drop(control.activate(&digest, enclave::now().0, &mut || Ok(()))?),
    }
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let border = {
        let keeper = Arc::clone(&keeper);
        Box::new(move || keeper.now())
    };
    let samples_bytes = config.samples_bytes;
    let table = config.mmdb.as_ref().map(|path| layout.root().join(path));
    let elsewhere = location::open(table.as_deref())?;
    let parts = Parts {
        live,
        records,
        media,
        keys,
        control,
        log,
        key_log,
        metrics,
        border,
        elsewhere,
        samples_bytes,
    };
    let enclave = Arc::new(Enclave::new(parts));
    shadow::counted(&enclave, config.shadow.is_some(), &mut registry);
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

fn settings(config: &Config) -> Settings {
    Settings {
        listen: config.listen,
        cleartext: config.cleartext,
        hosts: config.hosts.clone(),
        connections_max: config.connections_max,
        head_timeout: config.head_timeout,
        upstream_timeout: config.upstream_timeout,
    }
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
    let Assembled { config, enclave, mut registry, keeper, site_log } = assembled;
    let site = Site::open(layout, &config, &enclave, keeper, site_log)?;
    let tls = authority::server_config(layout, &layout.tls().join("gateway"))?;
    let programme = enclave.live().road.rulebook().programme.name.clone();
    let desk = notices::open(layout, &config, &programme, &mut registry)?;
    let ended = EndedSessions::open(&layout.control(), enclave::now().0);
    let ended = ended.map_err(CommandError::file(layout.control()))?;
    let (operator, sessions) = (verifier(layout, "operator")?, verifier(layout, "sessions")?);
    let tokens = Arc::new(Tokens::new(programme.as_str(), operator, sessions, ended.registry()));
    let upstreams = upstreams(layout, &config)?;
    let tables = Box::new(Readers::new(Path::new(tables::SELF), config.tables));
    let (ours, tokened) = (Arc::clone(&enclave), Arc::clone(&tokens));
    let gateway = Arc::new(Gateway::new(ours, upstreams, tables, tokened, settings(&config)));
    let listener = tokio::net::TcpListener::bind(config.control).await;
    let listener = listener.map_err(|source| ServeError::Bind { address: config.control, source })?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let glass = Glass::of(enclave.control());
    let office = office::open(&enclave, &site.log, desk.clone(), glass.clone());
    let telling = desk.as_ref().map(|desk| desk.start(Known::of(Arc::clone(&office))));
    let follower = office::follow(Arc::clone(&office), glass, &config.control_store)?;
    let (sql, passwords) = sql::open(layout, &config, &enclave, &tokens, &programme).await?.unzip();
    let store = config.control_store.place.word();
    let kept = keys::shown(layout, &config, &enclave, &stopped);
    let shown = control::shown(&enclave, Arc::clone(&site), store, layout.residency(), kept, desk, registry);
    let shown = Arc::new(shown);
    let operators = config.console.as_ref().map_or(&[][..], |c| c.operators.as_slice());
    let behind = (&enclave, &site, &gateway);
    let pages = pages::open(layout, behind, (&office, &tokens, &shown), operators)?;
    let people = people::serve(
        layout,
        &config,
        &enclave,
        office,
        (tokens, ended),
        (passwords, pages),
        stopped.clone(),
    );
    let people = people.await?;
    let control = tokio::spawn(control::serve(listener, shown));
    let stopping = stop_when_told(stop);
    // What was laid down while nothing ran counts before anybody is served.
    let rules = Rules::new(layout, &config, &enclave, &site);
    let orders = Orders::open(layout, Arc::clone(&enclave), rules)?;
    Arc::clone(&orders).begin().await?;
    let running = Running::start(layout, &config, &enclave, &site, &stopped).await?;
    let ordering = tokio::spawn(orders.run(stopped.clone()));
    let asked = sql.map(|sql| sql.start(stopped.clone()));
    let words = site.shown().words();
    enclave.witnessed(words.clone());
    let served = gateway::http::serve(gateway, tls, stopped, |address| ready(address, &words)).await;
    control.abort();
    let _ = ordering.await;
    for ended in [asked, people].into_iter().flatten() {
        let _ = ended.await;
    }
    follower.end();
    if let Some(telling) = telling {
        telling.end().await;
    }
    running.end(&site, &enclave).await;
    close(&enclave, &site, stopping.load(Ordering::Acquire));
    Ok(served?)
}

/// Tells everybody to stop once the process is told to. The flag says that it was.
fn stop_when_told(stop: tokio::sync::watch::Sender<bool>) -> Arc<AtomicBool> {
    let stopping = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopping);
    tokio::spawn(async move {
        told_to_stop().await;
        flag.store(true, Ordering::Release);
        let _ = stop.send(true);
    });
    stopping
}

/// Closes the logs, the last thing of all.
fn close(enclave: &Enclave, site: &Site, told: bool) {
    enclave.log().close();
    enclave.key_log_handle().close();
    site.log.close();
    if told {
        let (durable, published) = (enclave.log().size(), enclave.log().published());
        tracing::info!(
            durable,
            published,
            "stopped; what is durable and not published yet, the next start publishes"
        );
    }
}

/// Ends when the process is told to end.
pub(crate) async fn told_to_stop() {
    let mut term = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(term) => term,
        Err(_) => return std::future::pending().await,
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}
