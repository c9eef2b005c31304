//! One question over HTTP, on a connection of its own, and whom to trust over TLS. No redirect is followed.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest answer: members and settings are small.
const ANSWER_MAX: usize = 4 << 20;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Neither `https` nor a loopback address.
    #[error("it is asked over `https`, or on a loopback address")]
    Address,
    /// It cannot be reached, or breaks off.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// Another answer than 200, or one over the limit.
    #[error("it answers with status {0}")]
    Status(u16),
    /// Nothing in time.
    #[error("no answer in time")]
    Timeout,
}

/// Asks over HTTP.
#[derive(Clone)]
pub struct Web {
    /// Whom to trust.
    pub tls: Option<Arc<ClientConfig>>,
    /// For the whole of an answer.
    pub patience: Duration,
}

impl Web {
    /// The body of an answer: to a GET, or with a body to a POST of JSON.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn ask(&self, address: &str, body: Option<&str>) -> Result<Bytes, HttpError> {
        tokio::time::timeout(self.patience, self.asked(address, body))
            .await
            .map_err(|_| HttpError::Timeout)?
    }

    async fn asked(&self, address: &str, body: Option<&str>) -> Result<Bytes, HttpError> {
        let uri: Uri = address.parse().map_err(|_| HttpError::Address)?;
        let authority = uri.authority().ok_or(HttpError::Address)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let local = host.parse::<IpAddr>().is_ok_and(|a| a.is_loopback());
        let secure = uri.scheme_str() == Some("https");
        let spoken_in_the_clear = local && uri.scheme_str() == Some("http");
        if !secure && !spoken_in_the_clear {
            return Err(HttpError::Address);
        }
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let request = Request::builder()
            .method(method)
            .uri(uri.path_and_query().map_or("/", |p| p.as_str()))
            .header(header::HOST, authority.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.unwrap_or_default().to_owned())))
            .map_err(|_| HttpError::Address)?;
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let unreachable = |e: io::Error| HttpError::Unreachable(e.to_string());
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(unreachable)?;
        if !secure {
            return spoken(stream, request).await;
        }
        let tls = self.tls.as_ref().ok_or(HttpError::Address)?;
        let name = ServerName::try_from(host).map_err(|_| HttpError::Address)?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.map_err(unreachable)?;
        spoken(stream, request).await
    }
}

async fn spoken<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Bytes, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |e: hyper::Error| HttpError::Unreachable(e.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let driver = tokio::spawn(connection);
    let answered = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(HttpError::Status(status));
        }
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        Ok(body.map_err(|e| HttpError::Unreachable(e.to_string()))?.to_bytes())
    };
    let answered = answered.await;
    driver.abort();
    answered
}

/// Whom to trust, from a file of certificates, and who we are, if they ask.
///
/// # Errors
/// When a file cannot be read or holds something else.
pub fn trusting(roots: &Path, ours: Option<(&Path, &Path)>) -> io::Result<Arc<ClientConfig>> {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(roots).map_err(io::Error::other)? {
        store.add(root.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(io::Error::other)?.with_root_certificates(store);
    let config = match ours {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_file_iter(certificate).map_err(io::Error::other)?;
            let chain = chain.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
            builder.with_client_auth_cert(chain, key).map_err(io::Error::other)?
        }
    };
    Ok(Arc::new(config))
}
