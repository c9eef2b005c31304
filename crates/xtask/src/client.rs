//! Callers: HTTP over TLS with a client certificate, from a chosen loopback address.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// How long a caller waits.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A caller.
#[derive(Clone)]
pub struct Client {
    gateway: SocketAddr,
    from: IpAddr,
    tls: Arc<ClientConfig>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; `null` if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The entry that records the crossing.
    #[must_use]
    pub fn receipt(&self) -> Option<u64> {
        self.headers.get("clover-receipt")?.to_str().ok()?.parse().ok()
    }
}

impl Client {
    /// A caller with a credential (`<stem>.pem`, `<stem>.key`) or none.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub fn new(gateway: SocketAddr, from: IpAddr, ca: &Path, credential: Option<&Path>) -> Result<Self> {
        // HTTP/1.1 unless somebody asks for more with `speaking`.
        let mut tls = clover::authority::client_config(ca, credential)?;
        Arc::make_mut(&mut tls).alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { gateway, from, tls })
    }

    /// The same caller at another listener of the enclave.
    #[must_use]
    pub fn to(&self, listener: SocketAddr) -> Self {
        Self { gateway: listener, ..self.clone() }
    }

    /// The same caller, who offers other protocols (`h2`, `http/1.1`) or none.
    #[must_use]
    pub fn speaking(&self, protocols: &[&str]) -> Self {
        let mut other = self.clone();
        let names = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        Arc::make_mut(&mut other.tls).alpn_protocols = names;
        other
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// When the connection fails; a refusal is an answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into()))?;
        tokio::time::timeout(TIMEOUT, self.exchange(request)).await.context("no answer in time")?
    }

    async fn exchange(&self, mut request: Request<Full<Bytes>>) -> Result<Answer> {
        let stream = self.connect().await?;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        let (parts, incoming) = if h2 {
            let path = request.uri().path_and_query().context("no path")?;
            *request.uri_mut() = format!("https://localhost{path}").parse()?;
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?.into_parts()
        } else {
            request.headers_mut().entry(HOST).or_insert(HeaderValue::from_static("localhost"));
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?.into_parts()
        };
        let body = incoming.collect().await?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    /// A TLS connection to the gateway, for tests that write their own bytes.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn connect(&self) -> Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(self.from, 0))?;
        let tcp = socket.connect(self.gateway).await?;
        let name = ServerName::try_from("localhost")?;
        Ok(TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await?)
    }

    /// `GET` with headers.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        self.send(Method::GET, path, headers, Bytes::new()).await
    }

    /// `POST` with headers and a JSON body.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &serde_json::Value,
    ) -> Result<Answer> {
        let headers = [&[("content-type", "application/json")], headers].concat();
        self.send(Method::POST, path, &headers, body.to_string()).await
    }
}
