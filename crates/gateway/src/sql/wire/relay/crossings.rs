//! What a relay asks before it lets anything through, and what it hands over.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::super::super::gate::{self, Ceilings, Refusal, Shown, Verdict};
use super::super::super::lex;
use super::super::own::Description;

/// A statement that passed the gate, for as long as the client may run it.
pub struct Prepared {
    text: Box<str>,
    verdict: Verdict,
    row_wise: bool,
    normalised: OnceLock<Box<str>>,
    /// What the server gets in its place.
    stand_in: Option<Box<str>>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prepared({} bytes)", self.text.len())
    }
}

impl Prepared {
    pub(super) fn judged(text: &str, ceilings: &Ceilings) -> Result<Self, Refusal> {
        let verdict = gate::judge(text, ceilings)?;
        let row_wise = gate::row_wise(text);
        Ok(Self { text: text.into(), verdict, row_wise, normalised: OnceLock::new(), stand_in: None })
    }

    /// A question that is answered by others, while the server runs a statement of the same form.
    pub(super) fn asked(text: &str, stand_in: String) -> Self {
        let stand_in = Some(stand_in.into());
        Self {
            text: text.into(),
            verdict: Verdict::Asked,
            row_wise: false,
            normalised: OnceLock::new(),
            stand_in,
        }
    }

    /// What the server gets.
    pub(super) fn sent(&self) -> &str {
        self.stand_in.as_deref().unwrap_or(&self.text)
    }

    /// As the client sent it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its kind.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Whether each row of its result surely tells of one row of one relation.
    #[must_use]
    pub fn row_wise(&self) -> bool {
        self.row_wise
    }

    /// Its form without values ([`lex::normalised`]), made once.
    #[must_use]
    pub fn normalised(&self) -> &str {
        // What the gate passed has a form.
        self.normalised.get_or_init(|| lex::normalised(&self.text).unwrap_or_default().into())
    }
}

/// A statement with its parameters.
#[derive(Clone)]
pub struct Source {
    /// The statement.
    pub prepared: Arc<Prepared>,
    /// SHA-256 of what follows the names in the `Bind`, formats and values as the client sent them; empty for a simple query.
    pub parameters: Bytes,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?}, {} bytes)", self.prepared, self.parameters.len())
    }
}

/// One run of a statement that tells something, before the server is asked to.
#[derive(Debug)]
pub struct Statement {
    /// Its number in this session.
    pub id: u64,
    /// What is run.
    pub source: Source,
    /// What the cursor reads that it fetches from, where that is known.
    pub cursor: Option<Source>,
    /// Most rows that it gives now; 0 for all.
    pub rows_max: u32,
}

impl Statement {
    /// Whether each row of the result surely tells of one row of one relation.
    #[must_use]
    pub fn row_wise(&self) -> bool {
        self.cursor.as_ref().unwrap_or(&self.source).prepared.row_wise
    }
}

/// A part of what the server answered, which has gone nowhere yet.
pub struct Window {
    /// The run that it belongs to. None belongs to descriptions that are only asked for, and to errors before anything ran.
    pub statement: Option<u64>,
    /// What the client asked, as far as that is known.
    pub prepared: Option<Arc<Prepared>>,
    /// The result's columns, where it has some.
    pub description: Option<Description>,
    /// How many rows are in it.
    pub rows: u64,
    /// Whether it is the last of its run.
    pub last: bool,
    /// The code of the error that is in it.
    pub error: Option<[u8; 5]>,
    /// Whole frames in the server's order, errors and notices reduced; rows are `D`, and `d` of a `COPY`.
    pub frames: Bytes,
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { statement, rows, last, .. } = self;
        write!(f, "Window({statement:?}, {rows} rows, {} bytes, last: {last})", self.frames.len())
    }
}

/// Why nothing is released. The client reads code and text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// The SQLSTATE.
    pub code: &'static str,
    /// What the client is told.
    pub text: String,
}

/// What stands between a client and the server: it decides, records and releases.
///
/// A relay calls in the order of the protocol and holds the futures; each is independent of the relay and of the others, and all that
/// wait are polled together. So one window may be recorded while the next is read, and the results of many small statements that
/// came together may be recorded in one batch. What they give is released in order. A future that is dropped releases nothing:
/// the session ended.
pub trait Crossings: Send {
    /// Before a statement is run that tells something. If it is refused the client is told, and the session goes on.
    fn begin(&mut self, statement: Statement) -> impl Future<Output = Result<(), Refused>> + Send + 'static;

    /// Takes a part of an answer and gives what the client may have of it, as whole frames, when that is recorded. If it is
    /// refused the session ends: what the server did is then not what the client was told.
    fn window(&mut self, window: Window) -> impl Future<Output = Result<Bytes, Refused>> + Send + 'static;

    /// A statement of the same form as the answer to this text, where the text is a question that this answers itself: the server
    /// runs that one in its place, whatever the gate says of the text, and the one window of it has no frames. What is given for
    /// that window goes out as it is.
    fn stand_in(&self, text: &str) -> Option<String> {
        let _ = text;
        None
    }

    /// The gate refused a statement. The client is told when this has ended.
    fn refused(&mut self, text: &str, refusal: &Refusal) -> impl Future<Output = ()> + Send + 'static;

    /// What the gateway shows of itself.
    fn show(&mut self, shown: Shown) -> impl Future<Output = String> + Send + 'static;

    /// Comes when the session must end at once: the grant was revoked or ran out, the border closed. Asked once, at the beginning.
    fn ended(&mut self) -> impl Future<Output = Refused> + Send + 'static;
}
