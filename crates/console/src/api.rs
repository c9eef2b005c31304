//! `GET /status`, `GET /evidence`, `GET /budget`, `GET /metrics`, `GET /healthz`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::registry::Registry;
use vault::control::LEASE_MS;
use vault::{Border, Control, KeyService, Log, Records};

/// A control store that was not read for so many milliseconds is told of.
const LATE_MS: u64 = 2_000;

/// What the control API shows.
pub struct Shown {
    /// The programme's name.
    pub programme: String,
    /// The site's name.
    pub site: String,
    /// The digest of the rulebook in force.
    pub rulebook: Box<dyn Fn() -> String + Send + Sync>,
    /// Reads the log's state.
    pub log: Box<dyn Fn() -> LogState + Send + Sync>,
    /// Tells how witnesses keep up.
    pub witnessing: Box<dyn Fn() -> Witnessing + Send + Sync>,
    /// Tells where requests are kept, and whether they can be read.
    pub control_store: Box<dyn Fn() -> ControlStore + Send + Sync>,
    /// Tells how the key service fares.
    pub keys: Box<dyn Fn() -> Keys + Send + Sync>,
    /// Tells what a proposed rulebook would have decided; `None` if none is asked beside the one in force.
    pub shadow: Box<dyn Fn() -> Option<Shadowed> + Send + Sync>,
    /// Counts people.
    pub people: Box<dyn Fn() -> Option<usize> + Send + Sync>,
    /// Countries to which all crossings are suspended.
    pub suspended: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// What of the rulebook ends next by its date, in words.
    pub expiries: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The grants and cases in force in JSON, without anybody's name.
    pub evidence: Box<dyn Fn() -> String + Send + Sync>,
    /// Privacy budgets in JSON, with what of them was spent; nothing when the control store does not say.
    pub budget: Box<dyn Fn() -> Option<String> + Send + Sync>,
    /// Tells how notices fare; nothing when nobody is told.
    pub notices: Box<dyn Fn() -> Option<crate::notify::Shown> + Send + Sync>,
    /// Tells how many findings about where data lies stand.
    pub residency: Box<dyn Fn() -> Residency + Send + Sync>,
    /// The metrics.
    pub registry: Registry,
}

/// Findings about where data lies (`docs/residency.md`).
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Residency {
    /// Incidents that nobody closed.
    pub open: usize,
    /// Of these, beyond their time.
    pub overdue: usize,
    /// Why they are not known.
    pub why: Option<String>,
}

/// What a proposed rulebook would have decided since the start, in groups of fields.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shadowed {
    /// Its digest.
    pub rulebook: String,
    /// As the one in force.
    pub same: u64,
    /// More, or plainer.
    pub wider: u64,
    /// Less, or safer.
    pub narrower: u64,
    /// Not to be said.
    pub errors: u64,
}

/// A log as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogState {
    /// Whether anything may cross.
    pub border: Border,
    /// Durable entries.
    pub entries: u64,
    /// Published entries.
    pub published: u64,
    /// Published entries that people's own lists show.
    pub listed: u64,
}

impl LogState {
    /// The state of a log.
    #[must_use]
    pub fn of(log: &Log) -> Self {
        Self { border: log.border(), entries: log.size(), published: log.published(), listed: log.listed() }
    }
}

/// How witnesses keep up with the site's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessing {
    /// `green`, `amber`, `red`, or `lifted` (red, and opened by an override inside the region).
    pub state: &'static str,
    /// Seconds since the newest cosigned checkpoint was asked for.
    pub age: Option<u64>,
    /// Whether anybody but this machine's own mirror is among the witnesses.
    pub independent: bool,
    /// Their names in the policy.
    pub witnesses: Vec<String>,
}

impl Witnessing {
    fn border(&self) -> (&'static str, Option<String>) {
        let since = || match self.age {
            Some(seconds) => format!("no quorum of witnesses has signed for {seconds} s"),
            None => "no quorum of witnesses has signed since the start".to_owned(),
        };
        match self.state {
            "green" => ("open", None),
            "red" => ("closed", Some(since())),
            "lifted" => {
                ("lifted", Some(format!("{}; two people lifted the border inside the region", since())))
            }
            state => (state, Some(since())),
        }
    }

    /// The witnesses by name, and that nobody independent is among them if that is so.
    #[must_use]
    pub fn words(&self) -> String {
        let names = self.witnesses.join(", ");
        if self.independent { names } else { format!("{names} (not independently witnessed)") }
    }
}

/// The key service as it was last met.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Keys {
    /// `file`, `pkcs11` or `openbao`.
    pub service: &'static str,
    /// The version of the region's key that wraps.
    pub version: u32,
    /// What everybody should know of how the key is kept.
    pub remark: Option<&'static str>,
    /// What is wrong with it.
    pub why: Option<String>,
    /// How far a rewrap is that was asked for.
    pub rewrap: Option<Rewrap>,
}

/// A rewrap of all people's keys, while the enclave serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rewrap {
    /// The version that everything is to be under.
    pub version: u32,
    /// People looked at.
    pub looked: usize,
    /// Whether all were.
    pub done: bool,
    /// Whether the versions before are destroyed.
    #[serde(default)]
    pub ended: bool,
    /// People whose keys do not open.
    pub broken: usize,
    /// Why it waits.
    pub why: Option<String>,
}

impl Keys {
    /// How the key service of an enclave fares.
    #[must_use]
    pub fn of(keys: &KeyService, remark: Option<&'static str>, rewrap: Option<Rewrap>) -> Self {
        let standing = keys.standing();
        let why = standing
            .down
            .map(|why| format!("does not answer: {why}; opened keys serve until their lease ends"));
        Self { service: standing.service, version: standing.version, remark, why, rewrap }
    }
}

/// The control store as it is now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ControlStore {
    /// `embedded` or `postgres`.
    pub kind: &'static str,
    /// Whether grants, cases, incidents and ended sessions count here.
    pub evidence: bool,
    /// What is wrong with it.
    pub why: Option<String>,
}

impl ControlStore {
    /// The state of a store of this kind.
    #[must_use]
    pub fn of(kind: &'static str, control: &Control) -> Self {
        let age = control.read_ms_ago();
        let evidence = age.is_some_and(|ms| ms <= LEASE_MS);
        let why = match age {
            None => Some("never read: no grant or case counts".to_owned()),
            // It is read four times a second.
            Some(ms) if ms > LATE_MS => {
                let then = if evidence { "soon no grant or case counts" } else { "no grant or case counts" };
                Some(format!("not read for {} s: {then}", ms / 1000))
            }
            Some(_) => None,
        };
        Self { kind, evidence, why }
    }
}

/// How many people the vault holds.
#[must_use]
pub fn people(records: &Records) -> Option<usize> {
    Some(records.count())
}

/// The status, as `GET /status` answers it.
#[derive(Debug, serde::Serialize)]
pub struct Status {
    pub(crate) programme: String,
    pub(crate) site: String,
    pub(crate) version: &'static str,
    pub(crate) rulebook: String,
    pub(crate) border: &'static str,
    pub(crate) why: Option<String>,
    pub(crate) entries: u64,
    published: u64,
    pub(crate) listed: u64,
    pub(crate) people: Option<usize>,
    pub(crate) cosigned_seconds_ago: Option<u64>,
    pub(crate) witnesses: String,
    pub(crate) suspended: Vec<String>,
    pub(crate) expiries: Vec<String>,
    pub(crate) keys: Keys,
    pub(crate) control_store: ControlStore,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) notices: Option<crate::notify::Shown>,
    pub(crate) shadow: Option<Shadowed>,
    pub(crate) residency: Residency,
}

impl Shown {
    /// The status as it is now.
    pub(crate) fn status(&self) -> Status {
        let (log, witnessing) = ((self.log)(), (self.witnessing)());
        let (border, why) = match log.border {
            Border::Open => witnessing.border(),
            Border::Closed(why) => ("closed", Some(why.to_string())),
        };
        Status {
            programme: self.programme.clone(),
            site: self.site.clone(),
            version: env!("CARGO_PKG_VERSION"),
            rulebook: (self.rulebook)(),
            border,
            why,
            entries: log.entries,
            published: log.published,
            listed: log.listed,
            people: (self.people)(),
            cosigned_seconds_ago: witnessing.age,
            // INVARIANT: said by every status until others than this machine sign.
            witnesses: witnessing.words(),
            suspended: (self.suspended)(),
            expiries: (self.expiries)(),
            keys: (self.keys)(),
            control_store: (self.control_store)(),
            notices: (self.notices)(),
            shadow: (self.shadow)(),
            residency: (self.residency)(),
        }
    }
}

/// The routes.
pub fn router(shown: Arc<Shown>) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/evidence", get(evidence))
        .route("/budget", get(budget))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .with_state(shown)
}

async fn status(State(shown): State<Arc<Shown>>) -> Json<Status> {
    Json(shown.status())
}

async fn evidence(State(shown): State<Arc<Shown>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], (shown.evidence)())
}

async fn budget(State(shown): State<Arc<Shown>>) -> impl IntoResponse {
    // It reads the store.
    let told = tokio::task::spawn_blocking(move || (shown.budget)()).await.ok().flatten();
    let status = if told.is_some() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CONTENT_TYPE, "application/json")], told.unwrap_or_default())
}

/// 200 while the border is open, 503 while it is closed.
async fn healthz(State(shown): State<Arc<Shown>>) -> impl IntoResponse {
    let red = (shown.witnessing)().state == "red";
    match (shown.log)().border {
        Border::Open if !red => (StatusCode::OK, "open\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "closed\n"),
    }
}

async fn metrics(State(shown): State<Arc<Shown>>) -> impl IntoResponse {
    let mut text = String::new();
    let kind = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    match prometheus_client::encoding::text::encode(&mut text, &shown.registry) {
        Ok(()) => (StatusCode::OK, kind, text),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, kind, String::new()),
    }
}

/// Serves the control API.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: tokio::net::TcpListener, shown: Arc<Shown>) -> std::io::Result<()> {
    axum::serve(listener, router(shown)).await
}
