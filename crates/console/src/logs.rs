//! The site's logs over HTTP, as C2SP tlog-tiles says: `GET <prefix>/checkpoint`, `<prefix>/tile/...` and what
//! `docs/formats/ledger-tree.md` adds. Everything here is public and signed; there is no caller to identify.
//! `POST /samples` is for the auditor (`docs/formats/samples.md`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use vault::Log;

/// Longest request for samples in bytes.
const REQUEST_MAX: usize = 16 << 10;
/// Most connections of one listener. Who comes behind them waits.
const CONNECTIONS_MAX: usize = 256;
/// Longest wait for a handshake, and for the head of a request.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// A connection is of no use for longer: an auditor makes another.
const CONNECTION_MAX: Duration = Duration::from_secs(600);
/// Pause after a connection that the system did not give.
const SHORTAGE: Duration = Duration::from_millis(100);

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

/// Serves the logs until the task is dropped: over TLS, or in the clear.
pub async fn serve(listener: TcpListener, tls: Option<Arc<ServerConfig>>, offered: Arc<Offered>) {
    let router = router(offered);
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // The peer's affair, or a shortage that passes: not to be asked again at once.
            tokio::time::sleep(SHORTAGE).await;
            continue;
        };
        let (router, acceptor) = (router.clone(), acceptor.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            match acceptor {
                None => connection(stream, router).await,
                Some(acceptor) => {
                    if let Ok(Ok(stream)) = timeout(WAIT_MAX, acceptor.accept(stream)).await {
                        connection(stream, router).await;
                    }
                }
            }
            drop(place);
        });
    }
}

/// Answers on one connection. What a peer does to it is its own affair.
async fn connection<S>(stream: S, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(WAIT_MAX).max_headers(64).max_buf_size(64 << 10);
    let served = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let _ = timeout(CONNECTION_MAX, served).await;
}
