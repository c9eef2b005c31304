//! The connection to the server behind, signed in as the role of one grant.
//!
//! Over TLS the password's proof is tied to the server's certificate. A password is never sent: servers that ask for it in the clear
//! or as MD5 are refused.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::frontend;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

use super::frame::{self, Body, FrameError};

/// The longest message of a server that is signed in to.
const MESSAGE_MAX: usize = 64 << 10;
/// Most settings that a server tells.
const PARAMETERS_MAX: usize = 64;

/// Where the server is.
#[derive(Clone)]
pub enum Place {
    /// A socket's path.
    Unix(PathBuf),
    /// A host and port, in the clear only where the operator's network is the machine itself.
    Tcp {
        /// The host, by which its certificate is checked.
        host: String,
        /// The port.
        port: u16,
        /// Whom to trust, and who we are.
        tls: Option<Arc<ClientConfig>>,
    },
}

/// As whom to sign in there.
pub struct Login<'a> {
    /// The role.
    pub role: &'a str,
    /// Its password, where the server asks for one.
    pub password: Option<&'a Zeroizing<String>>,
    /// The database.
    pub database: &'a str,
    /// Settings of the session.
    pub settings: &'a [(String, String)],
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum BackError {
    /// The server did not answer in time.
    #[error("the database did not answer in time")]
    Timeout,
    /// It cannot be reached, or broke off.
    #[error("the connection to the database broke")]
    Io(#[source] io::Error),
    /// It does not speak TLS.
    #[error("the database does not speak TLS")]
    Cleartext,
    /// It said what is no message of a sign-in.
    #[error("the database said what is no message of the sign-in")]
    Message,
    /// It asks for a proof that we do not give.
    #[error("the database asks for a sign-in that is not SCRAM-SHA-256")]
    Method,
    /// It proved nothing, or refused the proof.
    #[error("the database and we do not agree on the password")]
    Password,
    /// It refused.
    #[error("the database refused the session with `{0}`")]
    Refused(String),
    /// Its settings are not those that statements are read by.
    #[error("the database has `{0}` set otherwise than statements are read here")]
    Setting(&'static str),
}

impl From<FrameError> for BackError {
    fn from(_: FrameError) -> Self {
        Self::Message
    }
}

impl From<io::Error> for BackError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a request to cancel names.
#[derive(Clone)]
pub struct Target {
    /// Where.
    pub place: Place,
    /// The server's process.
    pub id: u32,
    /// Its key.
    pub secret: Bytes,
}

/// A connection that is ready for statements.
pub struct Behind {
    /// The stream.
    pub stream: Stream,
    /// What the server told of its settings.
    pub parameters: Vec<(String, String)>,
    /// How to cancel what runs on it.
    pub target: Target,
}

/// A stream to the server.
pub enum Stream {
    /// By a socket.
    Unix(UnixStream),
    /// In the clear.
    Tcp(TcpStream),
    /// By TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects and signs in.
///
/// # Errors
/// When the server cannot be reached, refuses, or is not what it should be.
pub async fn connect(place: &Place, login: &Login<'_>, limit: Duration) -> Result<Behind, BackError> {
    let signing = async {
        let stream = open(place).await?;
        sign_in(stream, place, login).await
    };
    tokio::time::timeout(limit, signing).await.map_err(|_| BackError::Timeout)?
}

/// Asks the server to end what runs on a connection.
///
/// # Errors
/// When it cannot be reached. What it does is not known in any case.
pub async fn cancel(target: &Target, limit: Duration) -> Result<(), BackError> {
    let asking = async {
        let mut stream = open(&target.place).await?;
        let mut message = BytesMut::new();
        let length = u32::try_from(12 + target.secret.len()).unwrap_or(u32::MAX);
        for part in [
            &length.to_be_bytes()[..],
            &80_877_102_u32.to_be_bytes(),
            &target.id.to_be_bytes(),
            &target.secret,
        ] {
            message.extend_from_slice(part);
        }
        stream.write_all(&message).await?;
        stream.flush().await?;
        // The server closes when it has sent its signal.
        let _ = stream.read(&mut [0]).await;
        Ok(())
    };
    tokio::time::timeout(limit, asking).await.map_err(|_| BackError::Timeout)?
}

async fn open(place: &Place) -> Result<Stream, BackError> {
    match place {
        Place::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
        Place::Tcp { host, port, tls } => {
            let mut stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            let Some(tls) = tls else { return Ok(Stream::Tcp(stream)) };
            let mut ask = BytesMut::new();
            frontend::ssl_request(&mut ask);
            stream.write_all(&ask).await?;
            // One byte, not one more: what comes before the handshake was said by nobody we know.
            if stream.read_u8().await? != b'S' {
                return Err(BackError::Cleartext);
            }
            let name = ServerName::try_from(host.clone()).map_err(|e| BackError::Io(io::Error::other(e)))?;
            Ok(Stream::Tls(Box::new(TlsConnector::from(tls.clone()).connect(name, stream).await?)))
        }
    }
}

impl Stream {
    fn binding(&self) -> Option<Vec<u8>> {
        let Self::Tls(stream) = self else { return None };
        let (_, session) = stream.get_ref();
        session.peer_certificates().and_then(<[_]>::first).and_then(|c| vault::log::end_point(c))
    }
}

async fn message(stream: &mut Stream, buffer: &mut BytesMut) -> Result<(u8, Bytes), BackError> {
    loop {
        if let Some(length) = frame::length(buffer, |_| MESSAGE_MAX)?
            && buffer.len() >= length
        {
            let whole = buffer.split_to(length).freeze();
            return Ok((*whole.first().ok_or(BackError::Message)?, whole.slice(frame::HEAD..)));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(BackError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

async fn sign_in(mut stream: Stream, place: &Place, login: &Login<'_>) -> Result<Behind, BackError> {
    let mut out = BytesMut::new();
    let own = [("user", login.role), ("database", login.database), ("client_encoding", "UTF8")];
    let settings = login.settings.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    frontend::startup_message(own.into_iter().chain(settings), &mut out)?;
    stream.write_all(&out).await?;
    stream.flush().await?;
    let mut buffer = BytesMut::new();
    let (mut scram, mut proved): (Option<ScramSha256>, bool) = (None, false);
    let mut parameters = Vec::new();
    let (mut id, mut secret) = (0, Bytes::new());
    loop {
        let (tag, body) = message(&mut stream, &mut buffer).await?;
        let mut body = Body(&body);
        match tag {
            b'R' => match body.long()? {
                // One who asked for a proof and then does without has not the password's verifier.
                0 if scram.is_none() || proved => {}
                0 => return Err(BackError::Password),
                10 if scram.is_none() => scram = Some(begin(&mut stream, body, login).await?),
                11 => answer(&mut stream, scram.as_mut().ok_or(BackError::Message)?, body.0).await?,
                12 => {
                    let scram = scram.as_mut().filter(|_| !proved).ok_or(BackError::Message)?;
                    scram.finish(body.0).map_err(|_| BackError::Password)?;
                    proved = true;
                }
                _ => return Err(BackError::Method),
            },
            b'S' if parameters.len() < PARAMETERS_MAX => {
                parameters.push((body.text()?.to_owned(), body.text()?.to_owned()));
            }
            b'K' => (id, secret) = (body.long()?, Bytes::copy_from_slice(body.0)),
            b'E' => {
                let told = super::own::reduced(b'E', body.0, super::own::Wording::Outside);
                return Err(BackError::Refused(String::from_utf8_lossy(&told.code).into_owned()));
            }
            b'N' => {}
            b'Z' => {
                settled(&parameters)?;
                return Ok(Behind {
                    stream,
                    parameters,
                    target: Target { place: place.clone(), id, secret },
                });
            }
            _ => return Err(BackError::Message),
        }
    }
}

/// Texts are read as they are read here.
fn settled(parameters: &[(String, String)]) -> Result<(), BackError> {
    for (name, value) in [("client_encoding", "UTF8"), ("standard_conforming_strings", "on")] {
        if !parameters.iter().any(|(n, v)| n == name && v == value) {
            return Err(BackError::Setting(name));
        }
    }
    Ok(())
}

async fn begin(stream: &mut Stream, mut body: Body<'_>, login: &Login<'_>) -> Result<ScramSha256, BackError> {
    let (mut plain, mut plus) = (false, false);
    while let Ok(mechanism) = body.text() {
        plain |= mechanism == SCRAM_SHA_256;
        plus |= mechanism == SCRAM_SHA_256_PLUS;
    }
    let password = login.password.ok_or(BackError::Password)?;
    let (mechanism, binding) = match (stream.binding(), plus) {
        (Some(binding), true) => (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(binding)),
        (Some(_), false) if plain => (SCRAM_SHA_256, ChannelBinding::unrequested()),
        (None, _) if plain => (SCRAM_SHA_256, ChannelBinding::unsupported()),
        _ => return Err(BackError::Method),
    };
    let scram = ScramSha256::new(password.as_bytes(), binding);
    let mut out = BytesMut::new();
    frontend::sasl_initial_response(mechanism, scram.message(), &mut out)?;
    stream.write_all(&out).await?;
    stream.flush().await?;
    Ok(scram)
}

async fn answer(stream: &mut Stream, scram: &mut ScramSha256, told: &[u8]) -> Result<(), BackError> {
    scram.update(told).map_err(|_| BackError::Message)?;
    let mut out = BytesMut::new();
    frontend::sasl_response(scram.message(), &mut out)?;
    stream.write_all(&out).await?;
    stream.flush().await?;
    Ok(())
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
