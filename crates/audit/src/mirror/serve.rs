//! The mirror's HTTP: C2SP tlog-witness, what was cosigned, the tiles that are held, and the status.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::cosigner::{Cosigner, Verdict};
use crate::{
    tile::{Level, Tile},
    tree::{Tree, hex},
};

/// The longest body of a request.
const BODY_BYTES_MAX: usize = 64 << 10;
const BODY_MAX: Duration = Duration::from_secs(5);
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
const CONNECTIONS_MAX: usize = 128;
/// The longest file of a tile: 256 leaves of a 2-byte length.
const TILE_BYTES_MAX: u64 = 256 * (2 + 65_535);

type Reply = Response<Full<Bytes>>;

/// Answers until the process ends: over TLS, or in the clear.
pub(crate) async fn serve(listener: TcpListener, tls: Option<Arc<ServerConfig>>, cosigner: Arc<Cosigner>) {
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: others must end first.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (cosigner, acceptor) = (Arc::clone(&cosigner), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => connection(stream, &cosigner).await,
                Some(acceptor) => {
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
                        connection(stream, &cosigner).await;
                    }
                }
            }
            drop(place);
        });
    }
}

async fn connection<S>(stream: S, cosigner: &Arc<Cosigner>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let cosigner = Arc::clone(cosigner);
        async move { Ok::<_, Infallible>(answer(request, &cosigner).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(60));
    // What a peer does to its connection is its own affair.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, cosigner: &Arc<Cosigner>) -> Reply {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::POST, "/add-checkpoint") => add_checkpoint(request, cosigner).await,
        (_, "/add-checkpoint") => text(StatusCode::METHOD_NOT_ALLOWED, "only POST\n"),
        (&Method::GET, "/status") => status(cosigner).await,
        (&Method::GET, path) => {
            let (path, cosigner) = (path.to_owned(), Arc::clone(cosigner));
            let found = spawn_blocking(move || file(&path, &cosigner)).await;
            found.ok().flatten().unwrap_or_else(|| text(StatusCode::NOT_FOUND, "not found\n"))
        }
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n"),
    }
}

async fn add_checkpoint(request: Request<Incoming>, cosigner: &Arc<Cosigner>) -> Reply {
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    let Ok(Ok(body)) = timeout(BODY_MAX, body).await else {
        return text(StatusCode::BAD_REQUEST, "the request is too long or does not end\n");
    };
    match Arc::clone(cosigner).add_checkpoint(body.to_bytes().into()).await {
        Verdict::Cosigned(line) => text(StatusCode::OK, &line),
        Verdict::Malformed(why) => text(StatusCode::BAD_REQUEST, &format!("{why}\n")),
        Verdict::Unsigned => text(StatusCode::FORBIDDEN, "no signature of a trusted key\n"),
        Verdict::Unknown => text(StatusCode::NOT_FOUND, "the log is not known\n"),
        Verdict::Conflict(size) => {
            reply(StatusCode::CONFLICT, "text/x.tlog.size", format!("{size}\n").into())
        }
        Verdict::Inconsistent => {
            text(StatusCode::UNPROCESSABLE_ENTITY, "the checkpoint does not continue the last one\n")
        }
        Verdict::NotHeld(why) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
    }
}

async fn status(cosigner: &Arc<Cosigner>) -> Reply {
    let cosigner = Arc::clone(cosigner);
    let json = spawn_blocking(move || serde_json::to_vec(&cosigner.status()).ok()).await;
    match json.ok().flatten() {
        Some(json) => reply(StatusCode::OK, "application/json", json.into()),
        None => text(StatusCode::INTERNAL_SERVER_ERROR, "no status\n"),
    }
}

/// `/<SHA-256 of the origin>/checkpoint` and `/<SHA-256 of the origin>/tile/...`.
fn file(path: &str, cosigner: &Cosigner) -> Option<Reply> {
    let (log, path) = path.strip_prefix('/')?.split_once('/')?;
    let log = hex(log)?;
    if path == "checkpoint" {
        return match cosigner.cosigned(&log) {
            Ok(note) => Some(reply(StatusCode::OK, "text/plain; charset=utf-8", note?.into())),
            Err(error) => Some(text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n"))),
        };
    }
    let tile = Tile::parse(path)?;
    let (folder, held) = cosigner.tree(&log)?;
    let end = tile.index.checked_mul(256)?.checked_add(tile.width)?;
    if end > tile.level.count(held) {
        return None;
    }
    let mut bytes = Vec::new();
    Tree::new(&folder).read_tile(&tile, TILE_BYTES_MAX, &mut bytes).ok()?;
    let hashes = matches!(tile.level, Level::Hashes(_));
    // A tile is written before it counts; what is read while it is written is short.
    if hashes && bytes.len() as u64 != 32 * tile.width {
        return None;
    }
    Some(reply(StatusCode::OK, "application/octet-stream", bytes.into()))
}

fn text(status: StatusCode, body: &str) -> Reply {
    reply(status, "text/plain; charset=utf-8", body.to_owned().into())
}

fn reply(status: StatusCode, kind: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    reply.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    reply
}
