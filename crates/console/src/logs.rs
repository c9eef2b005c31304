//! The site's logs over HTTP, as C2SP tlog-tiles says: `GET <prefix>/checkpoint`, `<prefix>/tile/...` and what
//! `docs/formats/ledger-tree.md` adds. Everything here is public and signed; there is no caller to identify.
//! `POST /samples` is for the auditor (`docs/formats/samples.md`).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use vault::Log;

/// Longest request for samples in bytes.
const REQUEST_MAX: usize = 16 << 10;

/// Opens a sample: a signed request in, a status and lines of JSON out.
pub type Opener = Box<dyn Fn(&[u8]) -> (u16, String) + Send + Sync>;

/// What is offered.
pub struct Offered {
    /// The logs by their URL prefixes.
    pub logs: BTreeMap<String, Arc<Log>>,
    /// The newest cosigned checkpoint of the site log, if there is one.
    pub cosigned: Box<dyn Fn() -> Option<String> + Send + Sync>,
    /// For the auditor.
    pub samples: Opener,
}

/// The routes.
pub fn router(offered: Arc<Offered>) -> Router {
    Router::new()
        .route("/site/cosigned", get(cosigned))
        .route("/samples", post(samples))
        .route("/{log}/{*path}", get(file))
        .layer(DefaultBodyLimit::max(REQUEST_MAX))
        .with_state(offered)
}

const TEXT: &str = "text/plain; charset=utf-8";
/// A full tile never changes.
const FOREVER: &str = "public, max-age=31536000, immutable";

fn found(kind: &'static str, caching: &'static str, body: Vec<u8>) -> Response {
    let headers: [(HeaderName, &str); 2] = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, caching)];
    (StatusCode::OK, headers, body).into_response()
}

async fn file(State(offered): State<Arc<Offered>>, Path((log, path)): Path<(String, String)>) -> Response {
    let Some(log) = offered.logs.get(&log).map(Arc::clone) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let text = path == "checkpoint" || path.starts_with("rulebook/");
    let caching = if path == "checkpoint" { "no-store" } else { FOREVER };
    match tokio::task::spawn_blocking(move || log.public(&path)).await {
        Ok(Ok(Some(body))) => found(if text { TEXT } else { "application/octet-stream" }, caching, body),
        Ok(Ok(None)) => StatusCode::NOT_FOUND.into_response(),
        Ok(Err(_)) | Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn cosigned(State(offered): State<Arc<Offered>>) -> Response {
    match (offered.cosigned)() {
        Some(note) => found(TEXT, "no-store", note.into_bytes()),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn samples(State(offered): State<Arc<Offered>>, body: Bytes) -> Response {
    match tokio::task::spawn_blocking(move || (offered.samples)(&body)).await {
        Ok((status, lines)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Serves the logs.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: tokio::net::TcpListener, offered: Offered) -> std::io::Result<()> {
    axum::serve(listener, router(Arc::new(offered))).await
}
