//! `GET /status`, `GET /metrics`, `GET /healthz`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::registry::Registry;
use vault::{Border, Log, Records};

/// What the control API shows.
pub struct Shown {
    /// The programme's name.
    pub programme: String,
    /// The site's name.
    pub site: String,
    /// The digest of the rulebook in force.
    pub rulebook: String,
    /// Reads the log's state.
    pub log: Box<dyn Fn() -> LogState + Send + Sync>,
    /// Counts people.
    pub people: Box<dyn Fn() -> Option<usize> + Send + Sync>,
    /// The metrics.
    pub registry: Registry,
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

/// How many people the vault holds.
#[must_use]
pub fn people(records: &Records) -> Option<usize> {
    Some(records.count())
}

/// The status, as `GET /status` answers it.
#[derive(Debug, serde::Serialize)]
pub struct Status {
    programme: String,
    site: String,
    version: &'static str,
    rulebook: String,
    border: &'static str,
    why: Option<String>,
    entries: u64,
    published: u64,
    listed: u64,
    people: Option<usize>,
    witnesses: &'static str,
}

impl Shown {
    fn status(&self) -> Status {
        let log = (self.log)();
        let (border, why) = match log.border {
            Border::Open => ("open", None),
            Border::Closed(why) => ("closed", Some(why.to_string())),
        };
        Status {
            programme: self.programme.clone(),
            site: self.site.clone(),
            version: env!("CARGO_PKG_VERSION"),
            rulebook: self.rulebook.clone(),
            border,
            why,
            entries: log.entries,
            published: log.published,
            listed: log.listed,
            people: (self.people)(),
            // INVARIANT: said by every status until a quorum of others signs.
            witnesses: "not independently witnessed",
        }
    }
}

/// The routes.
pub fn router(shown: Arc<Shown>) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .with_state(shown)
}

async fn status(State(shown): State<Arc<Shown>>) -> Json<Status> {
    Json(shown.status())
}

/// 200 while the border is open, 503 while it is closed.
async fn healthz(State(shown): State<Arc<Shown>>) -> impl IntoResponse {
    match (shown.log)().border {
        Border::Open => (StatusCode::OK, "open\n"),
        Border::Closed(_) => (StatusCode::SERVICE_UNAVAILABLE, "closed\n"),
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
pub async fn serve(listener: tokio::net::TcpListener, shown: Shown) -> std::io::Result<()> {
    axum::serve(listener, router(Arc::new(shown))).await
}
