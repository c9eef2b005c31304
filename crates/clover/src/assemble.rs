//! The parts of an enclave put together from its folder, each checked before it counts.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use crossing::{ActiveRulebook, Road, Suspensions};
use gateway::enclave::{self, Enclave, Live, Parts};
use gateway::http::{Gateway, ServeError, Settings, Upstream};
use gateway::metrics::Metrics;
use gateway::token::Tokens;
use ledger::Submission;
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
use crate::site::border::Keeper;
use crate::site::orders::{self, Orders, Signers};
use crate::site::samples::Samples;
use crate::site::witness::Witnesses;
use crate::site::{self, Site};

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
    let reopening: Box<dyn FnMut() -> Submission + Send> = Box::new(move || {
        let flow = flow_id().unwrap_or(FlowId::new([0; 16]));
        crossing::inward::reopening(flow, enclave::now().0, rulebook)
    });
    let hooks = Hooks { reopening: Some(reopening), index, fatal: Box::new(fatal) };
    let options = Options { publish_every: config.publish_every, ..Options::default() };
    open_named(layout, "log", origin(programme, config), options, hooks)
}

/// Opens one of the site's logs with its key, which must be that of this origin.
fn open_named(layout: &Layout, name: &str, origin: String, options: Options, hooks: Hooks) -> Result<Log> {
    let signer = signer(layout, &layout.keys().join(format!("{name}.seed")), name)?;
    if signer.verifier().name() != origin {
        let found = signer.verifier().name().to_owned();
        return Err(CommandError::OtherLog { found, wanted: origin }.into());
    }
    let disk = Arc::new(folder(&layout.log(name))?);
    Ok(Log::open(disk, Identity { origin, signer }, options, hooks)?)
}

fn fatal(why: &str) {
    tracing::error!(why, "nobody can say what is on the ledger's disk; ending");
    std::process::exit(74);
}

/// A log's folder, held by this process alone.
fn folder(path: &Path) -> Result<Folder> {
    Ok(Folder::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => CommandError::InUse(path.to_owned()),
        _ => CommandError::File { path: path.to_owned(), source: e },
    })?)
}

/// Takes no note of tags: the site's own logs have no list of their own.
struct NoTags;

impl TagIndex for NoTags {
    fn clear(&self) -> Result<(), String> {
        Ok(())
    }
    fn add(&self, _: &[(model::Tag, u64)]) -> Result<(), String> {
        Ok(())
    }
    fn flush(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Opens the site's own log (`site`) or the key service's (`keys`). They are small and published at once.
///
/// # Errors
/// As for the gateway's log.
fn open_site_log(layout: &Layout, name: &str, origin: String) -> Result<Log> {
    // Rounds and uses of keys try by themselves whether the log can be written again.
    let hooks = Hooks { reopening: None, index: Arc::new(NoTags), fatal: Box::new(fatal) };
    let options =
        Options { publish_every: Duration::from_millis(50), segment_bytes: 1 << 20, ..Options::default() };
    open_named(layout, name, origin, options, hooks)
}

/// Derives again what can be derived of one of the site's logs: `log`, `keys` or `site`.
///
/// # Errors
/// When the entries do not lead to the signed checkpoint, or a file cannot be used.
pub fn rebuild(layout: &Layout, name: &str, from: Option<&Path>) -> Result<vault::log::Rebuilt> {
    let index: Arc<dyn TagIndex> = match name {
        "site" | "keys" => Arc::new(NoTags),
        _ => Arc::new(Records::open(&layout.vault())?),
    };
    let disk = folder(&layout.log(name))?;
    let copy = from.map(folder).transpose()?;
    let copy = copy.as_ref().map(|c| c as &dyn vault::Disk);
    Ok(vault::log::rebuild(&disk, &verifier(layout, name)?, &Options::default(), &*index, copy)?)
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
    let log = open_log(layout, &config, programme, digest, records)?;
    let site_log = open_site_log(layout, site::PREFIX, site::origin(programme, &config))?;
    site::not_older(&site_log, &[(origin(programme, &config), &log)])?;
    site::activate(layout, &config, programme, digest, &site_log)?;
    site_log.close();
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
    let log = Arc::new(open_log(layout, &config, &programme.name, digest, index)?);
    let key_log = Arc::new(open_site_log(layout, "keys", site::keys_origin(&programme.name, &config))?);
    let site_log = Arc::new(open_site_log(layout, site::PREFIX, site::origin(&programme.name, &config))?);
    let known = [
        (origin(&programme.name, &config), log.as_ref()),
        (site::keys_origin(&programme.name, &config), key_log.as_ref()),
    ];
    site::not_older(&site_log, &known)?;
    let keeper = Arc::new(Keeper::new(&programme.border)?);
    let suspended = orders::suspended(&orders::known(layout, &Signers::of(layout, &programme.name)?)?);
    let suspensions = Arc::new(Suspensions::new(suspended));
    let live = Live::new(Road::new(active, keys.pseudonym_root(), suspensions))?;
    let control = Control::new(&layout.control(), verifier(layout, "operator")?);
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let border = {
        let keeper = Arc::clone(&keeper);
        Box::new(move || keeper.now())
    };
    let samples_bytes = config.samples_bytes;
    let parts = Parts { live, records, keys, control, log, key_log, metrics, border, samples_bytes };
    let enclave = Arc::new(Enclave::new(parts));
    // On a thread of its own: it waits for the disk, and this may run where nothing may wait.
    let reconciled = std::thread::scope(|s| s.spawn(|| site::reconcile(&enclave)).join());
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

/// Serves until the process is told to stop. Calls `ready` with the gateway's address.
///
/// # Errors
/// When a listener or the rulebook's parts cannot be used.
pub async fn serve(
    layout: &Layout,
    assembled: Assembled,
    ready: impl FnOnce(std::net::SocketAddr),
) -> Result<()> {
    let Assembled { config, enclave, registry, keeper, site_log } = assembled;
    let site = Site::open(layout, &config, &enclave, keeper, site_log)?;
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
    let control = tokio::spawn(control(listener, Arc::clone(&enclave), Arc::clone(&site), registry));
    let stopping = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopping);
    tokio::spawn(async move {
        told_to_stop().await;
        flag.store(true, Ordering::Release);
        let _ = stop.send(true);
    });
    // What was laid down while nothing ran counts before anybody is served.
    let orders = Orders::open(layout, Arc::clone(&enclave))?;
    Arc::clone(&orders).now().await;
    let ordering = tokio::spawn(orders.run(stopped.clone()));
    let witnessing = witnessed(layout, &config, &enclave, &site, &stopped).await?;
    let served = gateway::http::serve(gateway, tls, stopped, ready).await;
    control.abort();
    let _ = ordering.await;
    witnessing.end(&site).await;
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

/// What runs beside the gateway so that witnesses can sign.
struct Witnessing {
    logs: tokio::task::JoinHandle<()>,
    rounds: tokio::task::JoinHandle<()>,
    maps: tokio::task::JoinHandle<()>,
    asking: tokio::task::JoinHandle<Witnesses>,
    mirror: Option<tokio::process::Child>,
}

impl Witnessing {
    /// After the last round: the day's map as it is now, so that a person's history can be made while nothing runs.
    async fn end(self, site: &Arc<Site>) {
        let _ = self.rounds.await;
        let _ = self.maps.await;
        let last = Arc::clone(site);
        let done = tokio::task::spawn_blocking(move || {
            last.round()?;
            site::days::interim(&last)
        });
        if let Ok(Err(e)) = done.await {
            tracing::error!(error = %e, "the map of this day was not recorded");
        }
        if let Ok(mut witnesses) = self.asking.await {
            witnesses.last(site).await;
        }
        self.logs.abort();
        if let Some(mut mirror) = self.mirror {
            // Its standard input closes, and it ends in order.
            drop(mirror.stdin.take());
            let _ = tokio::time::timeout(Duration::from_secs(5), mirror.wait()).await;
        }
    }
}

/// Offers the logs, starts the local mirror, asks the witnesses what they remember, and begins the rounds. Waits a
/// while for the first quorum, so that the gateway does not begin with refusals.
async fn witnessed(
    layout: &Layout,
    config: &Config,
    enclave: &Arc<Enclave>,
    site: &Arc<Site>,
    stopped: &tokio::sync::watch::Receiver<bool>,
) -> Result<Witnessing> {
    let listener = tokio::net::TcpListener::bind(config.logs).await;
    let listener = listener.map_err(|source| ServeError::Bind { address: config.logs, source })?;
    let logs = tokio::spawn(logs(listener, offered(layout, enclave, site)?));
    let mirror = site::mirror::start(layout, config).await?;
    let mut witnesses = Witnesses::default();
    witnesses.remember(site).await?;
    let digest = enclave.live().road.rulebook().digest;
    let enrolling = Arc::clone(site);
    tokio::task::spawn_blocking(move || enrolling.enrol(digest)).await??;
    let rounds = tokio::spawn(Arc::clone(site).rounds(stopped.clone()));
    let maps = tokio::spawn(Arc::clone(site).maps(stopped.clone()));
    let asking = tokio::spawn(witnesses.run(Arc::clone(site), stopped.clone(), |e| {
        tracing::error!(error = %e, "a witness knows more of the log than is here; ending");
        std::process::exit(74);
    }));
    let until = tokio::time::Instant::now() + FIRST_QUORUM;
    while site.keeper.now() == crossing::Border::Red
        && tokio::time::Instant::now() < until
        && !*stopped.borrow()
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if site.keeper.now() == crossing::Border::Red {
        tracing::error!("no quorum of witnesses has signed: the border is red");
    }
    Ok(Witnessing { logs, rounds, maps, asking, mirror })
}

/// Longest wait for the first quorum before the gateway listens with a red border.
const FIRST_QUORUM: Duration = Duration::from_secs(10);

fn offered(layout: &Layout, enclave: &Arc<Enclave>, site: &Arc<Site>) -> Result<console::logs::Offered> {
    let mut logs: BTreeMap<_, _> =
        site.members.iter().map(|m| (m.enrolled.prefix.clone(), Arc::clone(&m.log))).collect();
    logs.insert(site::PREFIX.to_owned(), Arc::clone(&site.log));
    let samples = Samples::new(Arc::clone(site), Arc::clone(enclave), verifier(layout, "auditor")?);
    let cosigned = Arc::clone(site);
    Ok(console::logs::Offered {
        logs,
        cosigned: Box::new(move || cosigned.cosigned()),
        samples: Box::new(move |request| samples.answer(request)),
    })
}

/// Most expiries that are shown.
const SHOWN_MAX: usize = 5;

/// The next of what ends by its date, in words; what has ended already comes first.
#[must_use]
pub fn expiring(expiries: &[model::assessments::Expiry]) -> Vec<String> {
    let now = enclave::now().0;
    let told = |e: &model::assessments::Expiry| {
        let ended = if e.at <= now { ", ENDED" } else { "" };
        format!("{} {} of {} ({}){ended}", e.at.rfc3339(), e.what, e.country, e.owner)
    };
    expiries.iter().take(SHOWN_MAX).map(told).collect()
}

async fn logs(listener: tokio::net::TcpListener, offered: console::logs::Offered) {
    if let Err(e) = console::logs::serve(listener, offered).await {
        tracing::error!(error = %e, "the site's logs are not offered any more");
    }
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
    let expiries = rulebook.assessments.expiries();
    drop(live);
    let expiries = Box::new(move || expiring(&expiries));
    let (log, records, suspended) =
        (Arc::clone(&enclave), Arc::clone(enclave.records()), Arc::clone(&enclave));
    let shown = console::api::Shown {
        programme,
        site: site.origin.clone(),
        rulebook: digest,
        log: Box::new(move || console::api::LogState::of(log.log())),
        witnessing: Box::new(move || site.shown()),
        people: Box::new(move || console::api::people(&records)),
        suspended: Box::new(move || suspended.suspended().borrow().iter().map(ToString::to_string).collect()),
        expiries,
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
