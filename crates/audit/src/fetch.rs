//! Fetching from a stranger's HTTP server: limits on bytes and time, and never a panic.

use std::{
    io,
    net::IpAddr,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header, uri::Scheme};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::tls;

/// From the first byte of a request to the last of its answer.
const EXCHANGE_MAX: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Connections that wait for their next use.
const IDLE_MAX: usize = 16;

/// Asks one server, below one base URL.
pub(crate) struct Fetcher {
    /// The host as the URL has it, with brackets if it has some.
    authority: String,
    host: String,
    port: u16,
    /// Path of the base URL, without the last `/`.
    path: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    idle: Mutex<Vec<Connection>>,
}

type Connection = http1::SendRequest<Full<Bytes>>;

/// Why there is no answer to use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("the base URL is refused: {0}")]
    Base(&'static str),
    #[error("the base URL is refused: `http` is for this machine only, use `https`")]
    Cleartext,
    #[error("the file of certificates is refused: {0}")]
    Certificates(String),
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("no answer in time")]
    Late,
    #[error("it is not there (404)")]
    Missing,
    #[error("the answer's status is {0}")]
    Status(u16),
    #[error("the answer is longer than {0} bytes")]
    Long(usize),
    #[error("the exchange broke off: {0}")]
    Broken(hyper::Error),
    #[error("the request cannot be made")]
    Request,
}

/// A status and what came with it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fetcher({}:{})", self.authority, self.port)
    }
}

impl Fetcher {
    /// Reads the base URL. `https` needs a file of PEM certificates to trust, and trusts no other. `http` leads to this
    /// machine only, unless the network is said to be safe by other means (`cleartext`).
    pub(crate) fn new(base: &str, certificates: Option<&Path>, cleartext: bool) -> Result<Self, FetchError> {
        let uri: Uri = base.parse().map_err(|_| FetchError::Base("it is not a URL"))?;
        let authority = uri.host().ok_or(FetchError::Base("it names no host"))?.to_owned();
        let host = authority.trim_matches(['[', ']']).to_owned();
        if uri.query().is_some() {
            return Err(FetchError::Base("it has a query"));
        }
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(FetchError::Base("it is neither `http` nor `https`")),
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = match (secure, certificates) {
            (false, _) if !cleartext && !is_local(&host) => return Err(FetchError::Cleartext),
            (false, _) => None,
            (true, None) => return Err(FetchError::Base("`https` needs a file of certificates to trust")),
            (true, Some(file)) => Some(tls(&host, file)?),
        };
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { authority, host, port, path, tls, idle: Mutex::new(Vec::new()) })
    }

    /// The body at `path` below the base, of at most `limit` bytes.
    pub(crate) async fn get(&self, path: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
        let answer = self.ask(Method::GET, path, "", Bytes::new(), limit).await?;
        match answer.status {
            200 => Ok(answer.body),
            404 => Err(FetchError::Missing),
            other => Err(FetchError::Status(other)),
        }
    }

    /// Whatever the server answers to a `POST`.
    pub(crate) async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
        limit: usize,
    ) -> Result<Answer, FetchError> {
        self.ask(Method::POST, path, content_type, body.into(), limit).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
        limit: usize,
    ) -> Result<Answer, FetchError> {
        let authority = if self.port == if self.tls.is_some() { 443 } else { 80 } {
            self.authority.clone()
        } else {
            format!("{}:{}", self.authority, self.port)
        };
        let again = method == Method::GET;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.path))
            .header(header::HOST, authority);
        if !content_type.is_empty() {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let request = request.body(Full::new(body)).map_err(|_| FetchError::Request)?;
        timeout(EXCHANGE_MAX, self.exchange(request, again, limit)).await.map_err(|_| FetchError::Late)?
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        again: bool,
        limit: usize,
    ) -> Result<Answer, FetchError> {
        // A server may close a waiting connection at the very moment at which it is used again.
        if again && let Some(connection) = self.waiting() {
            match self.send(connection, request.clone(), limit).await {
                Err(FetchError::Broken(_)) => {}
                result => return result,
            }
        }
        let connection = timeout(CONNECT_MAX, self.connect()).await.map_err(|_| FetchError::Late)??;
        self.send(connection, request, limit).await
    }

    async fn send(
        &self,
        mut connection: Connection,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Answer, FetchError> {
        connection.ready().await.map_err(FetchError::Broken)?;
        let answer = connection.send_request(request).await.map_err(FetchError::Broken)?;
        let status = answer.status();
        let body = read(answer.into_body(), limit).await;
        // What is wrong with the body of a refusal does not matter.
        let body = if status == StatusCode::OK { body? } else { body.unwrap_or_default() };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX && !connection.is_closed() {
            idle.push(connection);
        }
        Ok(Answer { status: status.as_u16(), body })
    }

    fn waiting(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }

    async fn connect(&self) -> Result<Connection, FetchError> {
        let stream =
            TcpStream::connect((self.host.as_str(), self.port)).await.map_err(FetchError::Connect)?;
        stream.set_nodelay(true).map_err(FetchError::Connect)?;
        match &self.tls {
            None => handshake(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(FetchError::Connect)?;
                handshake(stream).await
            }
        }
    }
}

async fn handshake<S>(stream: S) -> Result<Connection, FetchError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) =
        http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(FetchError::Broken)?;
    // It ends when the sender is dropped; what went wrong, the sender has been told.
    tokio::spawn(async move { connection.await.ok() });
    Ok(sender)
}

async fn read(body: Incoming, limit: usize) -> Result<Vec<u8>, FetchError> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(FetchError::Long(limit)),
        Err(error) => match error.downcast::<hyper::Error>() {
            Ok(error) => Err(FetchError::Broken(*error)),
            Err(_) => Err(FetchError::Request),
        },
    }
}

/// Whether a host is this machine, by its name or its address.
fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn tls(host: &str, file: &Path) -> Result<(TlsConnector, ServerName<'static>), FetchError> {
    let config = tls::client(file).map_err(FetchError::Certificates)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| FetchError::Base("the host has no name"))?;
    Ok((TlsConnector::from(config), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_that_cannot_be_asked_is_refused() {
        for base in ["", "host", "/path", "ftp://host/", "https://host", "http://localhost/?q=1", "http://"] {
            assert!(Fetcher::new(base, None, false).is_err(), "{base}");
        }
        let fetcher = Fetcher::new("http://127.0.0.1:8405/ledger/", None, false).unwrap();
        assert_eq!((fetcher.port, fetcher.path.as_str()), (8405, "/ledger"));
    }

    #[test]
    fn nobody_is_asked_in_the_clear_over_a_network_unless_it_is_said_to_be_safe() {
        for far in ["http://site.example", "http://10.0.0.1:8405", "http://127.0.0.1.example/"] {
            let refused = Fetcher::new(far, None, false).err();
            assert!(matches!(refused, Some(FetchError::Cleartext)), "{far}: {refused:?}");
            assert!(Fetcher::new(far, None, true).is_ok(), "{far}");
        }
        for near in ["http://localhost:1", "http://[::1]:1", "http://127.9.9.9"] {
            assert!(Fetcher::new(near, None, false).is_ok(), "{near}");
        }
    }
}
