//! The listener: TLS with client certificates, tokens, limits, and hyper behind it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crossing::credential::{Shown, Tokens, certificate};
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use model::Explain;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::answer;
use super::head::Hosts;
use super::route;
use super::upstream::{Caller, Upstream};
use crate::enclave::{self, Enclave};
use crate::seen::{End, Seen};
use crate::tables::Tables;

/// Longest life of a connection: an idle one holds a slot.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);
/// How long an old connection may take to end.
const CONNECTION_ENDING_MAX: Duration = Duration::from_secs(30);
/// How long answers that are on their way may take after the rulebook was replaced.
const RENEWING_MAX: Duration = Duration::from_millis(500);
/// How often it is looked whether a session has ended.
const LOOK: Duration = Duration::from_millis(100);
/// Pause after a failed accept.
const SHORTAGE: Duration = Duration::from_millis(10);

/// Limits and addresses of a gateway.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens with TLS.
    pub listen: SocketAddr,
    /// Where it listens in the clear; loopback only, and only when configured.
    pub cleartext: Option<SocketAddr>,
    /// The names under which it is asked; its own addresses are added.
    pub hosts: Vec<String>,
    /// Most connections at a time.
    pub connections_max: usize,
    /// How long a client may take for its request's head.
    pub head_timeout: Duration,
    /// How long a service behind may take.
    pub upstream_timeout: Duration,
}

/// A gateway, ready to serve.
pub struct Gateway {
    pub(super) enclave: Arc<Enclave>,
    pub(super) upstreams: HashMap<String, Upstream>,
    pub(super) caller: Caller,
    pub(super) tables: Box<dyn Tables>,
    hosts: Hosts,
    /// One count at a time.
    pub(super) counting: Semaphore,
    pub(super) tokens: Arc<Tokens>,
    settings: Settings,
}

/// Why a gateway cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A cleartext listener that others than this machine could reach.
    #[error("a cleartext listener on `{0}`, which is not loopback")]
    Cleartext(SocketAddr),
}

impl Explain for ServeError {
    fn code(&self) -> &'static str {
        "CLV-0501"
    }
    fn fix(&self) -> &'static str {
        "stop the other process, or change `gateway.listen`; cleartext is for 127.0.0.0/8 only"
    }
    fn public(&self) -> &'static str {
        "the border is closed; nothing was released"
    }
}

impl Gateway {
    /// Puts a gateway together.
    #[must_use]
    pub fn new(
        enclave: Arc<Enclave>,
        upstreams: HashMap<String, Upstream>,
        tables: Box<dyn Tables>,
        tokens: Arc<Tokens>,
        settings: Settings,
    ) -> Self {
        let caller = Caller::new(settings.upstream_timeout);
        let hosts = Hosts::new(&settings.hosts, std::iter::once(settings.listen).chain(settings.cleartext));
        Self { enclave, upstreams, caller, tables, counting: Semaphore::new(1), hosts, tokens, settings }
    }

    /// The names under which it is asked.
    pub(super) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// How long a caller may take for its body.
    pub(super) fn body_timeout(&self) -> Duration {
        self.settings.head_timeout
    }
}

/// Listens and serves until `stop` changes. Reports the TLS address through `bound` once it accepts.
///
/// # Errors
/// [`ServeError`] when it cannot listen.
pub async fn serve(
    gateway: Arc<Gateway>,
    tls: Arc<ServerConfig>,
    mut stop: watch::Receiver<bool>,
    bound: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let listen = |address| async move {
        TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source })
    };
    let secure = listen(gateway.settings.listen).await?;
    let clear = match gateway.settings.cleartext {
        Some(address) if !address.ip().is_loopback() => return Err(ServeError::Cleartext(address)),
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    bound(secure.local_addr().unwrap_or(gateway.settings.listen));
    let slots = Arc::new(Semaphore::new(gateway.settings.connections_max));
    let acceptor = TlsAcceptor::from(tls);
    let watching = Arc::clone(&gateway);
    let mut watching = std::pin::pin!(watch_over(&watching));
    loop {
        let (accepted, encrypted) = tokio::select! {
            a = secure.accept() => (a, true),
            a = accept(clear.as_ref()) => (a, false),
            _ = stop.changed() => return Ok(()),
            () = &mut watching => return Ok(()),
        };
        let Ok((stream, peer)) = accepted else {
            // The peer's affair, or a shortage that passes: not to be asked again at once.
            tokio::time::sleep(SHORTAGE).await;
            continue;
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let (gateway, acceptor) = (Arc::clone(&gateway), acceptor.clone());
        tokio::spawn(async move {
            if encrypted {
                secured(gateway, acceptor, stream, peer).await
            } else {
                plain(gateway, stream, peer).await
            }
            drop(slot);
        });
    }
}

async fn accept(listener: Option<&TcpListener>) -> std::io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn secured(gateway: Arc<Gateway>, acceptor: TlsAcceptor, stream: TcpStream, peer: SocketAddr) {
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(gateway.settings.head_timeout, acceptor.accept(stream)).await;
    let Ok(Ok(stream)) = handshake else { return };
    let (_, connection) = stream.get_ref();
    let h2 = connection.alpn_protocol() == Some(b"h2");
    let certificate = connection.peer_certificates().and_then(|c| c.first()).map(|c| c.to_vec());
    let session = certificate.and_then(|c| certificate::read(gateway.tokens.programme(), &c));
    connected(gateway, stream, peer.ip(), session, h2).await;
}

async fn plain(gateway: Arc<Gateway>, stream: TcpStream, peer: SocketAddr) {
    let _ = stream.set_nodelay(true);
    connected(gateway, stream, peer.ip(), None, false).await;
}

async fn connected<S>(gateway: Arc<Gateway>, stream: S, peer: IpAddr, session: Option<Shown>, h2: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let head_timeout = gateway.settings.head_timeout;
    let (served, known) = (Arc::clone(&gateway), session.clone());
    let seen = Arc::new(Seen::default());
    seen.country(gateway.enclave.network_of(peer));
    seen.country(session.as_ref().and_then(|s| s.session.country));
    let stood = Arc::clone(&seen);
    let looks = gateway.enclave.looks();
    let watched = Arc::clone(&gateway);
    let ended = async move { stood.ended(&watched.enclave, &watched.tokens, looks).await };
    let service = service_fn(move |request: Request<Incoming>| {
        let (gateway, session, seen) = (Arc::clone(&gateway), session.clone(), Arc::clone(&seen));
        async move {
            // INVARIANT: what was begun comes to its end on the ledger, whether or not the client waits for it.
            let begun =
                tokio::spawn(async move { answer_one(&gateway, session, peer, &seen, request).await });
            let answered = begun.await;
            Ok::<_, Infallible>(answered.unwrap_or_else(|_| answer::broken(&vault::BorderClosed::Stopped)))
        }
    });
    let io = TokioIo::new(stream);
    // How a connection ends is the peer's affair: what it was to get is recorded already.
    if h2 {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_concurrent_streams(64).max_header_list_size(16 << 10);
        let connection = std::pin::pin!(builder.serve_connection(io, service));
        let _ = until_old(connection, ended, |c| c.graceful_shutdown()).await;
    } else {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .max_headers(64)
            .max_buf_size(64 << 10);
        let connection = std::pin::pin!(builder.serve_connection(io, service));
        let ended = until_old(connection, ended, |c| c.graceful_shutdown()).await;
        if let (Some(Err(e)), Some(shown)) = (ended, known)
            && e.is_parse()
        {
            route::unreadable(&served, &shown.session, peer, &Seen::default()).await;
        }
    }
}

/// Serves a connection until it ends, is old, or what it stands on has ended; then it is asked to end, and after a while
/// it is dropped. When it is cut off it is dropped at once.
async fn until_old<C: Future>(
    mut connection: Pin<&mut C>,
    ended: impl Future<Output = End>,
    end: impl FnOnce(Pin<&mut C>),
) -> Option<C::Output> {
    let mut ended = std::pin::pin!(ended);
    let (patience, watched) = tokio::select! {
        done = connection.as_mut() => return Some(done),
        how = ended.as_mut() => match how {
            End::Cut => return None,
            End::Renew => (RENEWING_MAX, false),
        },
        () = tokio::time::sleep(CONNECTION_AGE_MAX) => (CONNECTION_ENDING_MAX, true),
    };
    end(connection.as_mut());
    tokio::select! {
        done = connection => Some(done),
        // Whatever ends meanwhile ends an old connection, too.
        _ = ended, if watched => None,
        () = tokio::time::sleep(patience) => None,
    }
}

/// Has connections look again when something has ended that they may stand on.
async fn watch_over(gateway: &Gateway) {
    let (control, tokens) = (gateway.enclave.control(), &gateway.tokens);
    let mut ended = control.ended();
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before = (tokens.ends(), control.is_fresh());
    loop {
        let told = tokio::select! {
            told = ended.changed() => told.is_ok(),
            _ = tick.tick() => false,
        };
        let now = (tokens.ends(), control.is_fresh());
        if told || now != before {
            gateway.enclave.look_again();
        }
        before = now;
    }
}

async fn answer_one(
    gateway: &Gateway,
    certificate: Option<Shown>,
    peer: IpAddr,
    seen: &Seen,
    request: Request<Incoming>,
) -> answer::Answer {
    let Some(shown) = shown(gateway, certificate, &request) else {
        gateway.enclave.metrics().strangers.inc();
        return answer::stranger(StatusCode::UNAUTHORIZED, "a client certificate or a token is needed");
    };
    seen.credential(&shown);
    route::handle(gateway, &shown.session, peer, seen, request).await
}

/// What the caller shows: their certificate, a token, or both. Connections live longer than credentials, so the time is
/// asked at each request.
fn shown(gateway: &Gateway, certificate: Option<Shown>, request: &Request<Incoming>) -> Option<Shown> {
    let now = enclave::now().0;
    let certificate = certificate.filter(|c| now < c.not_after);
    match (certificate, bearer(gateway, request)) {
        (certificate, Bearer::None) => certificate,
        (None, Bearer::Good(token)) => Some(token),
        (None, Bearer::Bad) => None,
        (Some(certificate), Bearer::Good(token)) => {
            Some(certificate.clone().with_token(token).unwrap_or_else(|| certificate.doubted()))
        }
        (Some(certificate), Bearer::Bad) => Some(certificate.doubted()),
    }
}

enum Bearer {
    None,
    Bad,
    Good(Shown),
}

fn bearer(gateway: &Gateway, request: &Request<Incoming>) -> Bearer {
    let mut values = request.headers().get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Bearer::None,
        (Some(value), None) => value,
        _ => return Bearer::Bad,
    };
    let token = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer "));
    let shown = token.and_then(|t| gateway.tokens.shown(t, enclave::now().0).ok());
    shown.map_or(Bearer::Bad, Bearer::Good)
}
