//! How somebody outside is asked, the identity provider or who takes notices: one request on a connection of its own,
//! over TLS with roots from the operator's file. Nobody is asked but the host of the address: no redirect is followed,
//! no proxy used. Every answer and wait has a limit.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
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

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// An address that is not asked.
    #[error("only addresses with `https` are asked")]
    Address,
    /// It cannot be reached, or breaks off.
    #[error("the address cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its answer is over the limit.
    #[error("the answer is too long or broken")]
    Answer,
    /// It takes too long.
    #[error("there was no answer in time")]
    Late,
}

/// The client.
pub(crate) struct Http {
    tls: TlsConnector,
    /// Whether `http` is spoken to 127.0.0.0/8 and `::1`.
    loopback: bool,
    patience: Duration,
}

impl Http {
    pub(crate) fn new(tls: Arc<ClientConfig>, loopback: bool) -> Self {
        Self { tls: TlsConnector::from(tls), loopback, patience: PATIENCE }
    }

    /// The same with another longest wait.
    pub(crate) fn waiting(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Asks, and gives the answer as it is.
    pub(crate) async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, AskError> {
        let whole = async {
            let (answer, _speaking) = self.exchange(request).await?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(|_| AskError::Answer)?;
            Ok(HttpResponse::from_parts(parts, body.to_bytes().to_vec()))
        };
        tokio::time::timeout(self.patience, whole).await.map_err(|_| AskError::Late)?
    }

    /// Tells something, and waits for no more than the status of the answer.
    pub(crate) async fn tell(&self, request: HttpRequest) -> Result<StatusCode, AskError> {
        let head = async { self.exchange(request).await.map(|(answer, _)| answer.status()) };
        tokio::time::timeout(self.patience, head).await.map_err(|_| AskError::Late)?
    }

    async fn exchange(&self, request: HttpRequest) -> Result<(Response<Incoming>, Speaking), AskError> {
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

/// A connection that is spoken over, until this is dropped.
struct Speaking(tokio::task::JoinHandle<Result<(), hyper::Error>>);

impl Drop for Speaking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn spoken<S>(stream: S, request: HttpRequest) -> Result<(Response<Incoming>, Speaking), AskError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |e: hyper::Error| AskError::Unreachable(e.into());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let speaking = Speaking(tokio::spawn(connection));
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(ToString::to_string).ok_or(AskError::Address)?;
    parts.headers.insert(HOST, HeaderValue::from_str(&authority).map_err(|_| AskError::Address)?);
    parts.uri =
        parts.uri.path_and_query().map_or("/", |p| p.as_str()).parse().map_err(|_| AskError::Address)?;
    let asked = Request::from_parts(parts, Full::new(Bytes::from(body)));
    Ok((sender.send_request(asked).await.map_err(broken)?, speaking))
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
