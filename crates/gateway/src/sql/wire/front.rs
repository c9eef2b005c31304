//! What a client meets: TLS before anything, a startup message that is looked through, and a sign-in.
//!
//! Nothing is said in the clear but that nothing is. A request to cancel is taken without TLS too, as clients send it: it names a
//! key and gets no answer. The user's name says who comes and on what ground: `alice@case-4711`. How somebody proves to be that is
//! asked of [`SignIn`]; what they may then see is not decided here.

mod startup;
mod stream;
mod tries;

use std::future::Future;
use std::io;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use bytes::{Bytes, BytesMut};
use data_encoding::BASE64;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::super::gate::Ceilings;
use super::frame::{self, Body, FrameError, put};
use super::own::{self, Severity};
use super::scram::{self, Binding, ScramError, Verifier};

use self::startup::{First, Startup};
use self::tries::Tries;

pub use self::startup::User;
pub use self::stream::Prefixed;

/// The name of the protocol for those that begin with TLS at once.
pub const ALPN: &[u8] = b"postgresql";
/// The longest message of a sign-in.
const MESSAGE_MAX: usize = 8 << 10;

/// How somebody proves to be who they say.
pub trait SignIn: Sync {
    /// Whether this chain, which TLS has verified, is of this user.
    fn certificate(&self, user: &User, chain: &[CertificateDer<'_>]) -> impl Future<Output = bool> + Send;

    /// What verifies this user's password.
    fn verifier(&self, user: &User) -> impl Future<Output = Option<Verifier>> + Send;
}

/// How clients are met.
#[derive(Clone)]
pub struct Settings {
    /// Our side of TLS.
    pub tls: TlsAcceptor,
    /// The digest of our certificate ([`vault::log::end_point`]), to which sign-ins are tied.
    pub end_point: Option<Vec<u8>>,
    /// Whether a password is taken only if tied to it. Some drivers cannot.
    pub binding_demanded: bool,
    /// How far a client may set what it sets at its start.
    pub ceilings: Ceilings,
    /// How long a client may take to sign in.
    pub limit: Duration,
    /// Most connections that are not signed in.
    pub waiting_max: usize,
}

/// The front of one listener.
pub struct Front {
    settings: Settings,
    waiting: Semaphore,
    tries: Tries,
    /// By which those who are not known get the same salt each time.
    secret: [u8; 32],
}

/// Who came.
pub enum Met<S> {
    /// Somebody who signed in.
    Signed(Box<Signed<S>>),
    /// A request to cancel what a session runs, with its key.
    Cancel(u32, Bytes),
}

/// A client that signed in, and waits to be told that the session is ready.
pub struct Signed<S> {
    /// The connection.
    pub stream: TlsStream<Prefixed<S>>,
    /// Who it is.
    pub user: User,
    /// The database that it asks for.
    pub database: String,
    /// Its settings, each checked.
    pub settings: Vec<(String, String)>,
    /// Whether it takes long keys for requests to cancel (protocol 3.2).
    pub long_keys: bool,
}

/// Why a client did not come in. It was told as much as it may know.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// Too many that have not signed in.
    #[error("too many connections that are not signed in")]
    Busy,
    /// It took too long.
    #[error("the client took too long to sign in")]
    Timeout,
    /// It went away, or TLS did not come about.
    #[error("the client's connection broke before it signed in")]
    Io(#[source] io::Error),
    /// It spoke in the clear.
    #[error("the client does not speak TLS")]
    Cleartext,
    /// It said what is no message here.
    #[error("the client said what is no message of the sign-in")]
    Message,
    /// Its startup message asks for what is not possible.
    #[error("{0}")]
    Startup(&'static str),
    /// It did not prove who it is.
    #[error("the client did not prove who it is: {0}")]
    SignIn(#[source] ScramError),
}

impl From<io::Error> for FrontError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<FrameError> for FrontError {
    fn from(_: FrameError) -> Self {
        Self::Message
    }
}

impl FrontError {
    /// What the client is told: a code, and words.
    fn told(&self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Io(_) => return None,
            Self::Busy => ("53300", "too many clients are signing in: try again"),
            Self::Timeout => ("57014", "signing in took too long"),
            Self::Cleartext => {
                ("28000", "this server speaks over TLS only: connect with sslmode=verify-full")
            }
            Self::Message => {
                ("08P01", "this is not a message of PostgreSQL's protocol, version 3, that is taken here")
            }
            Self::Startup(text) => ("28000", *text),
            Self::SignIn(ScramError::Binding | ScramError::Downgrade) => (
                "28000",
                "the password must be tied to this TLS connection: use SCRAM-SHA-256-PLUS (channel_binding=require)",
            ),
            Self::SignIn(_) => ("28P01", "user and password do not belong together"),
        })
    }
}

impl Front {
    /// A front. `None` where the system has no random bytes.
    #[must_use]
    pub fn new(settings: Settings) -> Option<Self> {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).ok()?;
        let waiting = Semaphore::new(settings.waiting_max);
        Some(Self { settings, waiting, tries: Tries::default(), secret })
    }

    /// Tells a client that it cannot be met now.
    pub async fn turn_away<S: AsyncWrite + Unpin>(mut stream: S) {
        tell(&mut stream, &FrontError::Busy).await;
    }

    /// Meets one client, and has it sign in.
    ///
    /// # Errors
    /// When it does not. It was told why, as far as it may know, and its connection is closed.
    pub async fn meet<S>(&self, mut stream: S, by: &impl SignIn) -> Result<Met<S>, FrontError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Ok(_place) = self.waiting.try_acquire() else {
            tell(&mut stream, &FrontError::Busy).await;
            return Err(FrontError::Busy);
        };
        let limit = self.settings.limit;
        // What is said in the clear, TLS, and the sign-in have one time together.
        let meeting = async {
            let begun = match startup::first(&mut stream, true).await {
                Ok(First::Cancel(id, secret)) => return Ok(Met::Cancel(id, secret)),
                Ok(First::Tls(begun)) => begun,
                Ok(First::Startup(_)) => {
                    tell(&mut stream, &FrontError::Cleartext).await;
                    return Err(FrontError::Cleartext);
                }
                Err(error) => {
                    tell(&mut stream, &error).await;
                    return Err(error);
                }
            };
            let at_once = !begun.is_empty();
            let mut stream = self.settings.tls.accept(Prefixed::new(begun, stream)).await?;
            if at_once && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
                return Err(FrontError::Message);
            }
            match self.sign_in(&mut stream, by).await {
                Ok(First::Cancel(id, secret)) => Ok(Met::Cancel(id, secret)),
                Ok(First::Startup(startup)) => {
                    let Startup { user, database, settings, long_keys, .. } = startup;
                    Ok(Met::Signed(Box::new(Signed { stream, user, database, settings, long_keys })))
                }
                Ok(First::Tls(_)) => Err(FrontError::Message),
                Err(error) => {
                    tell(&mut stream, &error).await;
                    Err(error)
                }
            }
        };
        tokio::time::timeout(limit, meeting).await.map_err(|_| FrontError::Timeout)?
    }

    async fn sign_in<S>(
        &self,
        stream: &mut TlsStream<Prefixed<S>>,
        by: &impl SignIn,
    ) -> Result<First, FrontError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let startup = match startup::first(stream, false).await? {
            First::Startup(startup) => startup,
            other => return Ok(other),
        };
        startup.check(&self.settings.ceilings)?;
        startup.negotiate(stream).await?;
        let chain: Vec<CertificateDer<'static>> = {
            let (_, session) = stream.get_ref();
            session.peer_certificates().unwrap_or_default().iter().map(|c| c.clone().into_owned()).collect()
        };
        let known = !chain.is_empty() && by.certificate(&startup.user, &chain).await;
        if !known {
            self.password(stream, &startup.user, by).await?;
        }
        request(stream, 0, &[]).await?;
        Ok(First::Startup(startup))
    }

    async fn password<S>(&self, stream: &mut S, user: &User, by: &impl SignIn) -> Result<(), FrontError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mock = Verifier::mock(&self.secret, &user.actor);
        let verifier = by.verifier(user).await.unwrap_or(mock);
        let end_point = self.settings.end_point.as_deref();
        let binding = Binding { end_point, demanded: self.settings.binding_demanded };
        match exchange(stream, binding, verifier).await {
            Err(FrontError::SignIn(error)) => {
                // The longer, the more often it went wrong; the connection counts among those that wait.
                tokio::time::sleep(self.tries.failed(&user.actor)).await;
                Err(FrontError::SignIn(error))
            }
            Ok(()) => {
                self.tries.signed_in(&user.actor);
                Ok(())
            }
            other => other,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Signed<S> {
    /// Ends a session that cannot begin, and tells why.
    pub async fn refuse(mut self, code: &str, text: &str) {
        let frame = own::error(Severity::Fatal, code, text);
        let _ = self.stream.write_all(&frame).await;
        let _ = self.stream.shutdown().await;
    }
}

async fn tell<S: AsyncWrite + Unpin>(stream: &mut S, error: &FrontError) {
    if let Some((code, text)) = error.told() {
        let _ = stream.write_all(&own::error(Severity::Fatal, code, text)).await;
        let _ = stream.shutdown().await;
    }
}

async fn exchange<S>(stream: &mut S, binding: Binding<'_>, verifier: Verifier) -> Result<(), FrontError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut offered = Vec::new();
    let mechanisms = [(scram::PLUS, binding.end_point.is_some()), (scram::PLAIN, !binding.demanded)];
    for (mechanism, _) in mechanisms.iter().filter(|(_, offer)| *offer) {
        offered.extend_from_slice(mechanism.as_bytes());
        offered.push(0);
    }
    offered.push(0);
    request(stream, 10, &offered).await?;

    let answer = response(stream).await?;
    let mut body = Body(&answer);
    let mechanism = body.text()?;
    let length = usize::try_from(body.long()?).map_err(|_| FrontError::Message)?;
    let message = body.take(length)?;
    body.end()?;
    let mut random = [0; 18];
    SystemRandom::new().fill(&mut random).map_err(|_| FrontError::Io(io::ErrorKind::Other.into()))?;
    let nonce = BASE64.encode(&random);
    let (exchange, challenge) =
        scram::first(mechanism, message, binding, &nonce, verifier).map_err(FrontError::SignIn)?;
    request(stream, 11, challenge.as_bytes()).await?;
    let proved = exchange.last(&response(stream).await?).map_err(FrontError::SignIn)?;
    request(stream, 12, proved.as_bytes()).await
}

/// Sends an `R` of this kind.
async fn request<S: AsyncWrite + Unpin>(stream: &mut S, kind: u32, data: &[u8]) -> Result<(), FrontError> {
    let mut out = BytesMut::new();
    put(&mut out, b'R', &[&kind.to_be_bytes(), data]);
    stream.write_all(&out).await?;
    Ok(stream.flush().await?)
}

/// Reads a `p`, and not a byte more.
async fn response<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, FrontError> {
    let mut head = [0; frame::HEAD];
    stream.read_exact(&mut head).await?;
    let length = frame::length(&head, |_| MESSAGE_MAX)?.ok_or(FrontError::Message)?;
    if head.first() != Some(&b'p') {
        return Err(FrontError::Message);
    }
    let mut body = vec![0; length.saturating_sub(frame::HEAD)];
    stream.read_exact(&mut body).await?;
    Ok(body)
}
