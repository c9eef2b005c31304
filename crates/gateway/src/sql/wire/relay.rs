//! The relay: one session, from the first statement to the end.
//!
//! One task turns four streams in a circle: what the client asks ([`asked`]) goes to the server if the gate passes it, what the server
//! answers ([`answered`]) is gathered into windows, windows wait in [`exit`] until [`Crossings`] gave what may go out. Nothing is
//! spawned, and everything that waits has an end: the client's frames, what was asked, what is held, what is recorded.

mod answered;
mod asked;
mod book;
mod crossings;
mod exit;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep};

use super::super::gate::Ceilings;
use super::back::{self, Behind, Stream, Target};
use super::cancel::Key;
use super::frame::{FrameError, put};
use super::own::{self, PARAMETERS, Severity, Wording};

use self::answered::Answered;
use self::asked::Asked;
use self::book::Book;
use self::exit::{Exit, Own, Waits};

pub use self::crossings::{Crossings, Prepared, Refused, Source, Statement, Window};

/// How long the last words to a client may take.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// How long the server may take to hear that what it runs is not wanted.
const CANCEL: Duration = Duration::from_secs(2);

/// How much of anything.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a message of the client's.
    pub asked: usize,
    /// Bytes of one with parameters.
    pub bind: usize,
    /// Bytes of a message of the server's: of a row.
    pub answered: usize,
    /// Bytes of a window. One row may be more.
    pub window: usize,
    /// Rows of a window.
    pub rows: u64,
    /// Messages that the server has not answered.
    pub awaited: usize,
    /// Prepared statements and portals with names.
    pub names: usize,
    /// How long a client may leave what is released to it.
    pub stalled: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            asked: 1 << 20,
            bind: 16 << 20,
            answered: 8 << 20,
            window: 1 << 20,
            rows: 10_000,
            awaited: 256,
            names: 256,
            stalled: Duration::from_secs(60),
        }
    }
}

/// By which rules a session runs.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Limits.
    pub limits: Limits,
    /// How far settings may go.
    pub ceilings: Ceilings,
    /// What of the server's errors is told.
    pub wording: Wording,
}

/// How a session ended.
#[derive(Debug)]
pub enum End {
    /// The client left.
    Left,
    /// It had to end.
    Ended(Refused),
    /// Something broke.
    Broke(RelayError),
}

/// What breaks a session.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The client's connection.
    #[error("the client's connection broke")]
    Client(#[source] io::Error),
    /// The connection to the server.
    #[error("the connection to the database broke")]
    Server(#[source] io::Error),
    /// The server ended the session.
    #[error("the database ended the session")]
    Closed,
    /// The client sent what is no frame.
    #[error("the client sent what is no message")]
    Frame(#[source] FrameError),
    /// It sent a message that has no place here.
    #[error("the client sent a message that has no place here")]
    Message,
    /// The server answered something else.
    #[error("the database answered {0}")]
    Unawaited(&'static str),
    /// A window was not released.
    #[error("what the database answered was not released: {0}")]
    Refused(#[from] Refused),
    /// The client does not read.
    #[error("the client does not read")]
    Stalled,
}

impl RelayError {
    fn told(&self) -> (&str, &str) {
        match self {
            Self::Client(_) | Self::Stalled => ("08006", "the connection broke"),
            Self::Server(_) | Self::Closed => {
                ("08006", "the connection to the database broke: nothing more was released")
            }
            Self::Frame(FrameError::Long(_)) => ("08P01", "a message is too long"),
            Self::Frame(_) => ("08P01", "a message is not of the protocol"),
            Self::Message => {
                ("08P01", "a message has no place here: nothing is copied in, and nobody signs in twice")
            }
            Self::Unawaited(_) => {
                ("XX000", "the database answered something else than was asked: nothing more was released")
            }
            Self::Refused(refused) => (refused.code, &refused.text),
        }
    }
}

/// One session to run.
pub struct Session<S, C> {
    /// The client, who signed in.
    pub client: S,
    /// The server, signed in to.
    pub behind: Behind,
    /// What lets things through.
    pub crossings: C,
    /// The session's key for requests to cancel.
    pub key: Key,
    /// Rules.
    pub rules: Rules,
}

/// Runs a session to its end. Both connections are closed then, and what the server still ran is cancelled.
pub async fn run<S, C>(session: Session<S, C>) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
    C: Crossings,
{
    let Session { client, behind: Behind { stream, parameters, target }, mut crossings, key, rules } =
        session;
    let ended: Waits<Refused> = Box::pin(crossings.ended());
    let mut relay = Relay {
        client,
        back: stream,
        crossings,
        rules,
        asked: Asked::default(),
        answered: Answered::default(),
        book: Book::default(),
        exit: Exit::new(rules.limits.window),
        ended,
        stalled: Box::pin(tokio::time::sleep(rules.limits.stalled)),
        blocked: None,
        eof: false,
    };
    relay.exit.own(Own::said(greeting(&parameters, &key)));
    let end = poll_fn(|cx| relay.poll(cx)).await.unwrap_or_else(End::Broke);
    relay.close(&end, target).await;
    end
}

/// What a client is told when it has signed in.
fn greeting(parameters: &[(String, String)], key: &Key) -> Bytes {
    let mut out = BytesMut::new();
    for (name, value) in parameters.iter().filter(|(n, _)| PARAMETERS.contains(&n.as_str())) {
        own::parameter(&mut out, name, value);
    }
    put(&mut out, b'K', &[&key.id().to_be_bytes(), key.secret()]);
    put(&mut out, b'Z', &[b"I"]);
    out.freeze()
}

struct Relay<S, C> {
    client: S,
    back: Stream,
    crossings: C,
    rules: Rules,
    asked: Asked,
    answered: Answered,
    book: Book,
    exit: Exit,
    ended: Waits<Refused>,
    stalled: Pin<Box<Sleep>>,
    /// How much the client had taken when it was last looked at while it did not take more.
    blocked: Option<u64>,
    /// The server has nothing more to say.
    eof: bool,
}

impl<S, C> Relay<S, C>
where
    S: AsyncRead + AsyncWrite + Unpin,
    C: Crossings,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<End, RelayError>> {
        if let Poll::Ready(refused) = self.ended.as_mut().poll(cx) {
            return Poll::Ready(Ok(End::Ended(refused)));
        }
        loop {
            match self.turn(cx) {
                Err(error) => return Poll::Ready(Err(error)),
                Ok(_) if self.asked.left => return Poll::Ready(Ok(End::Left)),
                Ok(true) => {}
                Ok(false) if self.eof && self.exit.is_done() => return Poll::Ready(Err(RelayError::Closed)),
                Ok(false) => break,
            }
        }
        match self.watch(cx) {
            true => Poll::Ready(Err(RelayError::Stalled)),
            false => Poll::Pending,
        }
    }

    /// Moves everything on as far as it goes at once; whether anything moved.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, RelayError> {
        let mut some = self.exit.poll(&mut self.client, cx)?;
        // A batch goes to the server in one piece where its runs are allowed at once.
        while !self.exit.is_full() {
            let taken = self.asked.take(&mut self.book, &mut self.crossings, &self.rules)?;
            if !(self.asked.poll_begun(&mut self.book, cx) || taken) {
                break;
            }
            some = true;
        }
        if !self.eof {
            some |= self.asked.poll_write(&mut self.back, cx)?;
        }
        some |= self.answered.take(&mut self.book, &mut self.exit, &mut self.crossings, &self.rules)?;
        if std::mem::take(&mut self.answered.skipping) {
            self.asked.failed();
        }
        if !self.eof {
            match self.answered.poll_read(&mut self.back, cx, &self.rules)? {
                Some(read) => some |= read,
                // What it said before goes out, if it is recorded.
                None => (self.eof, some) = (true, true),
            }
        }
        match self.asked.poll_read(&mut self.client, cx)? {
            Some(read) => some |= read,
            None => self.asked.left = true,
        }
        Ok(some)
    }

    /// Whether the client has left what is released to it for too long.
    fn watch(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = self.rules.limits.stalled;
        let blocked = self.exit.is_blocked();
        if blocked && self.blocked.is_none() {
            self.stalled.as_mut().reset(Instant::now() + limit);
        }
        while blocked && self.stalled.as_mut().poll(cx).is_ready() {
            // It took something since then, or nothing.
            if self.blocked == Some(self.exit.taken()) {
                return true;
            }
            self.blocked = Some(self.exit.taken());
            self.stalled.as_mut().reset(Instant::now() + limit);
        }
        self.blocked = blocked.then(|| self.blocked.unwrap_or(self.exit.taken()));
        false
    }

    /// Last words, and an end of both connections.
    async fn close(mut self, end: &End, target: Target) {
        let words = match end {
            End::Left => None,
            End::Ended(refused) => Some((refused.code, refused.text.as_str())),
            // The client has read what the server's last words were.
            End::Broke(RelayError::Closed) if self.answered.fatal => None,
            End::Broke(error) => Some(error.told()),
        };
        let running = self.book.awaited() > 0 || !self.answered.is_empty();
        if let Some((code, text)) = words {
            self.exit.end(Own::said(own::error(Severity::Fatal, code, text)));
            let (exit, client) = (&mut self.exit, &mut self.client);
            let last = async {
                poll_fn(|cx| match exit.poll_write(client, cx) {
                    Ok(_) if !exit.is_done() => Poll::Pending,
                    _ => Poll::Ready(()),
                })
                .await;
                let _ = client.shutdown().await;
            };
            let _ = tokio::time::timeout(LAST_WORDS, last).await;
        }
        if !running && !self.eof {
            self.asked.leave();
            let (asked, back) = (&mut self.asked, &mut self.back);
            let _ = poll_fn(|cx| Poll::Ready(asked.poll_write(back, cx))).await;
        }
        let eof = self.eof;
        drop(self);
        if running && !eof {
            let _ = back::cancel(&target, CANCEL).await;
        }
    }
}
