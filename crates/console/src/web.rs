//! The console's listener: TLS, limits, security headers, and who is calling.
//!
//! A handler of any router that is merged into the one given to [`serve`] learns its caller by taking [`Caller`] as an
//! argument: there the credential was verified, has not expired and has not been signed out, and the evidence of the
//! place is filled in. Whether the caller is on record, and what they may do, is for the handler to ask.

mod caller;
mod head;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::Response;
use crossing::credential::{Shown, Tokens, certificate};
use http::request::Parts;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use model::{Country, UnixSeconds};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tower::ServiceExt;

pub use caller::{COOKIE, Caller, FORM_FIELD, REQUEST_HEADER, refusal};

/// Longest life of a connection: an idle one holds a slot.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);
/// How long an old connection may take to end.
const CONNECTION_ENDING_MAX: Duration = Duration::from_secs(10);
/// Pause after a failed accept.
const SHORTAGE: Duration = Duration::from_millis(10);
/// Longest head in bytes over HTTP/2; over HTTP/1.1 the buffer of the connection bounds it.
const HEAD_BYTES_MAX: u32 = 16 << 10;

/// How much the console takes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most connections at a time.
    pub connections: usize,
    /// Longest wait for a handshake or a request's head.
    pub head: Duration,
    /// Longest time for a request as a whole.
    pub request: Duration,
    /// Longest body in bytes.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head: Duration::from_secs(10),
            request: Duration::from_secs(20),
            body_bytes: 64 << 10,
        }
    }
}

/// Tells the country that a network address speaks for.
pub type Network = Box<dyn Fn(IpAddr) -> Option<Country> + Send + Sync>;

/// What is needed to know who is calling.
pub struct Door {
    /// Verifies tokens; the gateway's own, so that who signs out is out of both at once.
    pub tokens: Arc<Tokens>,
    /// Where an address is.
    pub network: Network,
    /// The time.
    pub clock: fn() -> UnixSeconds,
    /// The names under which the console is asked; the listener's own address is added.
    pub hosts: Vec<String>,
    /// How much it takes.
    pub limits: Limits,
}

/// What is known of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    certificate: Option<Shown>,
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let peer = parts.extensions.get::<Self>().cloned();
        peer.ok_or_else(|| refusal(StatusCode::INTERNAL_SERVER_ERROR, "the request cannot be answered now"))
    }
}

/// Serves a router until `stop` changes.
///
/// # Errors
/// When the listener has no address.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    door: Door,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let own = listener.local_addr()?;
    let slots = Arc::new(Semaphore::new(door.limits.connections));
    let served = Arc::new(Served { hosts: head::Hosts::new(&door.hosts, own), door, router });
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return Ok(()),
        };
        let Ok((stream, peer)) = accepted else {
            // The peer's affair, or a shortage that passes: not to be asked again at once.
            tokio::time::sleep(SHORTAGE).await;
            continue;
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let (served, acceptor, stop) = (Arc::clone(&served), acceptor.clone(), stop.clone());
        tokio::spawn(async move {
            served.connection(acceptor, stream, peer, stop).await;
            drop(slot);
        });
    }
}

/// Whether somebody asks for a page, as browsers do.
pub(crate) fn wants_page(headers: &http::HeaderMap) -> bool {
    headers.get(http::header::ACCEPT).and_then(|a| a.to_str().ok()).is_some_and(|a| a.contains("text/html"))
}

/// A refusal at the door: a page for whoever asks for one.
fn refused(headers: &http::HeaderMap, status: StatusCode, why: &'static str) -> Response {
    if wants_page(headers) { crate::pages::refused(headers, status, why) } else { refusal(status, why) }
}

struct Served {
    door: Door,
    hosts: head::Hosts,
    router: Router,
}

impl Served {
    async fn connection(
        self: Arc<Self>,
        acceptor: TlsAcceptor,
        stream: TcpStream,
        peer: SocketAddr,
        mut stop: watch::Receiver<bool>,
    ) {
        let _ = stream.set_nodelay(true);
        let handshake = tokio::time::timeout(self.door.limits.head, acceptor.accept(stream)).await;
        let Ok(Ok(stream)) = handshake else { return };
        let shown = stream.get_ref().1.peer_certificates().and_then(|c| c.first());
        let certificate = shown.and_then(|c| certificate::read(self.door.tokens.programme(), c));
        let peer = Peer { address: peer.ip().to_canonical(), certificate };
        let head = self.door.limits.head;
        let service = service_fn(move |request: Request<Incoming>| {
            let (served, peer) = (Arc::clone(&self), peer.clone());
            async move { Ok::<_, Infallible>(served.answer(peer, request).await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(head)
            .max_headers(64)
            .max_buf_size(64 << 10);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(32)
            .max_header_list_size(HEAD_BYTES_MAX);
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        // How a connection ends is the peer's affair.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = tokio::time::sleep(CONNECTION_AGE_MAX) => {}
            _ = stop.changed() => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(CONNECTION_ENDING_MAX, connection).await;
    }

    async fn answer(&self, peer: Peer, request: Request<Incoming>) -> Response {
        let (parts, body) = request.into_parts();
        let (mut answer, host) = match head::check(&parts, &self.hosts) {
            Err((status, why)) => (refused(&parts.headers, status, why), None),
            Ok(host) => (self.asked(peer, parts, body, &host).await, Some(host)),
        };
        head::harden(answer.headers_mut(), host.as_deref());
        answer
    }

    /// A request that asks us, by whoever it is.
    async fn asked(&self, peer: Peer, mut parts: Parts, body: Incoming, host: &str) -> Response {
        let known = match caller::identify(&self.door, &peer, &parts, host) {
            Err(why) => return refused(&parts.headers, StatusCode::FORBIDDEN, why),
            Ok(known) => known,
        };
        let body = Limited::new(body, self.door.limits.body_bytes);
        let body = match &known.caller {
            Some(caller) if known.owes_field => match self.form(caller, body).await {
                Ok(body) => body,
                Err((status, why)) => return refused(&parts.headers, status, why),
            },
            _ => Body::new(body),
        };
        parts.extensions.insert(caller::Identified(known.caller));
        parts.extensions.insert(peer);
        self.routed(Request::from_parts(parts, body)).await
    }

    /// The body of a form that shows its field.
    async fn form(
        &self,
        caller: &Caller,
        body: Limited<Incoming>,
    ) -> Result<Body, (StatusCode, &'static str)> {
        let whole = tokio::time::timeout(self.door.limits.request, body.collect()).await;
        let Ok(Ok(whole)) = whole else {
            return Err((StatusCode::BAD_REQUEST, "the form is too long, or not whole"));
        };
        let bytes = whole.to_bytes();
        if caller::shows_field(caller, &bytes) {
            Ok(Body::from(bytes))
        } else {
            Err((StatusCode::FORBIDDEN, "the form is not of a page of this session"))
        }
    }

    async fn routed(&self, request: Request<Body>) -> Response {
        let answer = self.router.clone().oneshot(request);
        match tokio::time::timeout(self.door.limits.request, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(never)) => match never {},
            Err(_) => refusal(StatusCode::SERVICE_UNAVAILABLE, "the request took too long"),
        }
    }
}
