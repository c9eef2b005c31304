//! Services behind the gateway (reverse lanes) and destinations outside (forward lanes).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::{Explain, Reason, SubjectId};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::body;

/// Names the person of a request to a service behind: in a header, never in a URL.
pub(super) const SUBJECT: HeaderName = HeaderName::from_static("clover-subject");

/// Where a service listens and how it is reached.
#[derive(Clone)]
pub enum Upstream {
    /// Inside the site, in the clear on loopback, or behind the site's own means.
    Inside(SocketAddr),
    /// Outside, over TLS, with the name that its certificate must bear.
    Outside {
        /// Where.
        address: SocketAddr,
        /// The name in its certificate.
        name: ServerName<'static>,
        /// Whom we trust and who we are.
        tls: Arc<ClientConfig>,
    },
}

/// An upstream that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the upstream `{0}` is not configured")]
pub struct UpstreamError(pub String);

impl Explain for UpstreamError {
    fn code(&self) -> &'static str {
        "CLV-0502"
    }
    fn fix(&self) -> &'static str {
        "name its address under [upstreams] or [destinations] in enclave.toml"
    }
    fn public(&self) -> &'static str {
        "the service behind gave no usable answer"
    }
}

/// Calls upstreams; connections inside are kept and used again.
#[derive(Clone)]
pub(super) struct Caller {
    inside: Client<HttpConnector, Full<Bytes>>,
    timeout: Duration,
}

/// One call: nothing else of a client's request goes along.
pub(super) struct Call<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) subject: Option<&'a SubjectId>,
    pub(super) body: Bytes,
    pub(super) content_type: &'a str,
    /// Formats and codings of an answer, as `accept` and `accept-encoding` say them.
    pub(super) accept: (&'a str, &'a str),
    pub(super) answer_max: usize,
}

impl Caller {
    pub(super) fn new(timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(timeout));
        let inside = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(256).build(connector);
        Self { inside, timeout }
    }

    /// Calls and reads the whole answer, as it came.
    pub(super) async fn call(
        &self,
        upstream: &Upstream,
        call: Call<'_>,
    ) -> Result<(HeaderMap, Bytes), Reason> {
        let max = call.answer_max;
        let run = async {
            let (status, headers, incoming) = match upstream {
                Upstream::Inside(address) => {
                    let request = request(&call, &address.to_string(), true)?;
                    let answer = self.inside.request(request).await.map_err(|_| Reason::Upstream)?;
                    let (parts, incoming) = answer.into_parts();
                    (parts.status, parts.headers, incoming)
                }
                Upstream::Outside { address, name, tls } => outside(&call, *address, name, tls).await?,
            };
            match status {
                StatusCode::OK | StatusCode::ACCEPTED => {
                    let body = body::raw(&headers, incoming, max).await?;
                    Ok((headers, body))
                }
                StatusCode::NO_CONTENT => Ok((headers, Bytes::new())),
                StatusCode::NOT_FOUND => Err(Reason::Subject),
                _ => Err(Reason::Upstream),
            }
        };
        tokio::time::timeout(self.timeout, run).await.unwrap_or(Err(Reason::Upstream))
    }
}

fn request(call: &Call<'_>, host: &str, absolute: bool) -> Result<Request<Full<Bytes>>, Reason> {
    let uri = if absolute { format!("http://{host}{}", call.path) } else { call.path.to_owned() };
    let mut request = Request::new(Full::new(call.body.clone()));
    *request.method_mut() = Method::from_bytes(call.method.as_bytes()).map_err(|_| Reason::Unknown)?;
    *request.uri_mut() = uri.parse().map_err(|_| Reason::Unknown)?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(host).map_err(|_| Reason::Unknown)?);
    let text = |text: &str| HeaderValue::from_str(text).map_err(|_| Reason::Unknown);
    headers.insert(ACCEPT, text(call.accept.0)?);
    headers.insert(ACCEPT_ENCODING, text(call.accept.1)?);
    if !call.body.is_empty() {
        headers.insert(CONTENT_TYPE, text(call.content_type)?);
    }
    if let Some(subject) = call.subject {
        headers.insert(SUBJECT, HeaderValue::from_str(subject.as_str()).map_err(|_| Reason::Request)?);
    }
    Ok(request)
}

async fn outside(
    call: &Call<'_>,
    address: SocketAddr,
    name: &ServerName<'static>,
    tls: &Arc<ClientConfig>,
) -> Result<(StatusCode, HeaderMap, Incoming), Reason> {
    let tcp = TcpStream::connect(address).await.map_err(|_| Reason::Upstream)?;
    let connector = TlsConnector::from(Arc::clone(tls));
    let stream = connector.connect(name.clone(), tcp).await.map_err(|_| Reason::Upstream)?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| Reason::Upstream)?;
    tokio::spawn(connection);
    let request = request(call, &name.to_str(), false)?;
    let answer = sender.send_request(request).await.map_err(|_| Reason::Upstream)?;
    let (parts, incoming) = answer.into_parts();
    Ok((parts.status, parts.headers, incoming))
}
