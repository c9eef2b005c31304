//! How the provider is asked: one request on a connection of its own, over TLS with roots from the operator's file. No
//! redirect is followed, and every answer and wait has a limit.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, HeaderValue};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// Longest answer in bytes: key sets and tokens are small.
const ANSWER_MAX: usize = 512 << 10;
/// Longest wait for an answer as a whole.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the provider gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// An address that is not asked.
    #[error("the provider is asked over `https` only")]
    Address,
    /// It cannot be reached, or breaks off.
    #[error("the provider cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its answer is over the limit.
    #[error("the provider's answer is too long or broken")]
    Answer,
    /// It takes too long.
    #[error("the provider did not answer in time")]
    Late,
}

/// The client.
pub(super) struct Http {
    tls: TlsConnector,
    /// `http` to 127.0.0.0/8, by an explicit key of the configuration, for tests.
    loopback: bool,
}

impl Http {
    pub(super) fn new(tls: Arc<ClientConfig>, loopback: bool) -> Self {
        Self { tls: TlsConnector::from(tls), loopback }
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, AskError> {
        tokio::time::timeout(PATIENCE, self.exchange(request)).await.map_err(|_| AskError::Late)?
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, AskError> {
        let unreachable = |e: std::io::Error| AskError::Unreachable(e.into());
        let (host, port, tls) = self.target(request.uri())?;
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(unreachable)?;
        if !tls {
            return spoken(stream, request).await;
        }
        let name = ServerName::try_from(host).map_err(|_| AskError::Address)?;
        spoken(self.tls.connect(name, stream).await.map_err(unreachable)?, request).await
    }

    /// Host, port, and whether it is asked over TLS.
    fn target(&self, uri: &Uri) -> Result<(String, u16, bool), AskError> {
        let host = uri.host().ok_or(AskError::Address)?.trim_start_matches('[').trim_end_matches(']');
        let local = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match uri.scheme_str() {
            Some("https") => Ok((host.to_owned(), uri.port_u16().unwrap_or(443), true)),
            Some("http") if self.loopback && local => {
                Ok((host.to_owned(), uri.port_u16().unwrap_or(80), false))
            }
            _ => Err(AskError::Address),
        }
    }
}

async fn spoken<S>(stream: S, request: HttpRequest) -> Result<HttpResponse, AskError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |e: hyper::Error| AskError::Unreachable(e.into());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let serving = tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(ToString::to_string).ok_or(AskError::Address)?;
    parts.headers.insert(HOST, HeaderValue::from_str(&authority).map_err(|_| AskError::Address)?);
    parts.uri =
        parts.uri.path_and_query().map_or("/", |p| p.as_str()).parse().map_err(|_| AskError::Address)?;
    let asked = Request::from_parts(parts, Full::new(Bytes::from(body)));
    let answer = sender.send_request(asked).await.map_err(broken)?;
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(|_| AskError::Answer)?;
    serving.abort();
    Ok(HttpResponse::from_parts(parts, body.to_bytes().to_vec()))
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = AskError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, AskError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::RootCertStore;
    use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;

    use super::*;

    #[test]
    fn a_provider_is_asked_over_tls_or_on_loopback_where_that_was_configured() {
        let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let tls = Arc::new(tls);
        let asked = |loopback, uri: &str| {
            Http::new(Arc::clone(&tls), loopback)
                .target(&uri.parse().unwrap())
                .ok()
                .map(|(_, port, tls)| (port, tls))
        };
        assert_eq!(asked(false, "https://id.example/x"), Some((443, true)));
        assert_eq!(asked(false, "https://127.0.0.1:8/x"), Some((8, true)));
        assert_eq!(asked(true, "http://127.0.0.1:8/x"), Some((8, false)));
        assert_eq!(asked(true, "http://[::1]:8/x"), Some((8, false)));
        for (loopback, uri) in [
            (false, "http://127.0.0.1:8/x"),
            (true, "http://localhost:8/x"),
            (true, "http://id.example/x"),
            (true, "http://192.0.2.1/x"),
            (true, "ftp://127.0.0.1/x"),
            (true, "/x"),
        ] {
            assert_eq!(asked(loopback, uri), None, "{uri}");
        }
    }
}
