//! One HTTP/2 connection with client certificates, made again when it has ended.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use crate::{Error, Settings, Subject, text};

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer.
const ANSWER_MAX: usize = 16 << 20;

struct Inner {
    address: SocketAddr,
    from: Option<IpAddr>,
    host: String,
    name: ServerName<'static>,
    used: String,
    staleness: Option<u32>,
    tls: Arc<ClientConfig>,
    open: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Inner {
    async fn reach(&self) -> std::io::Result<TcpStream> {
        let Some(own) = self.from else { return TcpStream::connect(self.address).await };
        let socket = if own.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(SocketAddr::new(own, 0))?;
        socket.connect(self.address).await
    }
}

#[derive(Clone)]
pub(crate) struct Connection(Arc<Inner>);

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    undone: String,
    #[serde(default)]
    refused: String,
    #[serde(default)]
    why: String,
}

impl Answer {
    fn said(&self) -> Said {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether it says that the person is here and the record is not.
    pub(crate) fn missing(&self) -> bool {
        self.said().undone == "CLV-0304"
    }

    /// Itself, if what was asked for was done.
    pub(crate) fn good(self) -> Result<Self, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        let Said { undone, refused, why } = self.said();
        Err(match self.status {
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Error::Conflict,
            StatusCode::SERVICE_UNAVAILABLE => Error::Closed { why },
            _ if !undone.is_empty() => Error::Undone { code: undone, why },
            _ if !refused.is_empty() => {
                let entry = text(&self.headers, "clover-receipt").and_then(|t| t.parse().ok());
                Error::Refused { entry, why }
            }
            _ => Error::Form,
        })
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|_| Error::Form)
    }
}

impl Connection {
    pub(crate) fn new(settings: Settings) -> Result<Self, Error> {
        let Settings { address, from, host, used, roots, chain, key, staleness } = settings;
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root).map_err(|e| Error::Settings(e.into()))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::Settings(e.into()))?
            .with_root_certificates(store);
        let key = key.ok_or_else(|| Error::Settings("no certificate of the service's own".into()))?;
        let mut config = config.with_client_auth_cert(chain, key).map_err(|e| Error::Settings(e.into()))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(host.clone()).map_err(|e| Error::Settings(e.into()))?;
        let (tls, open) = (Arc::new(config), Mutex::new(None));
        Ok(Self(Arc::new(Inner { address, from, host, name, used, staleness, tls, open })))
    }

    /// Asks, on the connection that is open or on a new one.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        of: Option<&Subject>,
        headers: &[(&str, String)],
        body: Option<Bytes>,
    ) -> Result<Answer, Error> {
        let uri = format!("https://{}{path}", self.0.host);
        let mut request = Request::builder().method(method).uri(uri).header("clover-use", &self.0.used);
        if let Some(seconds) = self.0.staleness {
            request = request.header(CACHE_CONTROL, format!("max-stale={seconds}"));
        }
        if let Some(of) = of {
            request = request.header("clover-subject", of.as_str());
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::new(body.unwrap_or_default());
        let request = request.body(body).map_err(|e| Error::Settings(e.into()))?;
        tokio::time::timeout(TIMEOUT, self.exchange(request)).await.unwrap_or(Err(Error::Time))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        let mut sender = self.sender().await?;
        let answer = match sender.try_send_request(request).await {
            Ok(answer) => answer,
            // It was being closed and never took the request: asked once more.
            Err(mut e) => match e.take_message() {
                Some(request) => {
                    self.0.open.lock().await.take();
                    let again = self.sender().await?.send_request(request).await;
                    again.map_err(|e| Error::Connection(e.into()))?
                }
                None => return Err(Error::Connection(e.into_error().into())),
            },
        };
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(Error::Connection)?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    async fn sender(&self) -> Result<SendRequest<Full<Bytes>>, Error> {
        let mut open = self.0.open.lock().await;
        if let Some(sender) = open.as_ref().filter(|s| !s.is_closed()) {
            return Ok(sender.clone());
        }
        let failed = |e: Box<dyn std::error::Error + Send + Sync>| Error::Connection(e);
        let tcp = self.0.reach().await.map_err(|e| failed(e.into()))?;
        tcp.set_nodelay(true).map_err(|e| failed(e.into()))?;
        let tls = TlsConnector::from(Arc::clone(&self.0.tls)).connect(self.0.name.clone(), tcp).await;
        let io = TokioIo::new(tls.map_err(|e| failed(e.into()))?);
        let made = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
        let (sender, connection) = made.map_err(|e| failed(e.into()))?;
        // How it ends is told to those who use it.
        tokio::spawn(async move { drop(connection.await) });
        *open = Some(sender.clone());
        Ok(sender)
    }
}
