//! What the client asks: each message is looked at, and what passes goes on to the server.
//!
//! Simple queries become extended ones, of which the server takes one statement at a time. In place of a statement that is refused goes
//! one that cannot be right: so the server itself skips to the next `Sync`, and its transaction has failed as the client's has.

use std::sync::Arc;
use std::task::{Context, Poll};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::{BufMut, Bytes, BytesMut};
use model::tables::IDENTIFIER_MAX;
use tokio::io::{AsyncRead, AsyncWrite};

use super::super::super::gate::Verdict;
use super::super::frame::{self, Body, FrameError, Outgoing, poll_fill, put};
use super::super::own::{self, Severity};
use super::book::{Book, Expect, Look, Portal, Running};
use super::exit::Waits;
use super::{Crossings, Prepared, Refused, RelayError, Rules, Source, Statement};

/// `Parse` of a statement that is none, under a name that nobody uses.
const REFUSED: &[u8] = b"P\0\0\0\x1dclover.refused\0refused\0\0\0";
const BIND: &[u8] = b"B\0\0\0\x0c\0\0\0\0\0\0\0\0";
const DESCRIBE: &[u8] = b"D\0\0\0\x06P\0";
const RUN: &[u8] = b"E\0\0\0\x09\0\0\0\0\0";
const FLUSH: &[u8] = b"H\0\0\0\x04";
const SYNC: &[u8] = b"S\0\0\0\x04";
/// Messages that a client may send. Nothing is copied in, and who signed in does not do so again.
const TAGS: &[u8] = b"QPBDECHFSX";
/// What waits for the server before more is taken from the client.
const OUT_MAX: usize = 1 << 20;
const NO_CURSOR: &str =
    "there is no cursor of this name that is fetched from here: fetch from a cursor that DECLARE made";
/// How much is read at a time.
const READ: usize = 16 << 10;

/// What became of a message.
enum Flow {
    Went,
    /// It must wait for an answer, and is taken again.
    Wait,
    Left,
}

/// A run that is not allowed yet.
struct Waiting {
    begun: Waits<Result<(), Refused>>,
    running: Running,
    run: Bytes,
    sync: bool,
}

#[derive(Default)]
pub(super) struct Asked {
    input: BytesMut,
    again: Option<Bytes>,
    need: usize,
    out: Outgoing,
    /// After a refusal, until the next `Sync`.
    skip: bool,
    flushed: bool,
    waiting: Option<Waiting>,
    runs: u64,
    pub(super) left: bool,
}

impl Asked {
    /// Reads from the client; whether that was anything. `None` is its end.
    pub(super) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        client: &mut S,
        cx: &mut Context<'_>,
    ) -> Result<Option<bool>, RelayError> {
        if self.input.len() >= READ.max(self.need) {
            return Ok(Some(false));
        }
        let room = if self.input.capacity() - self.input.len() < READ / 2 { READ } else { 0 };
        let room = room.max(self.need.saturating_sub(self.input.len()));
        match poll_fill(client, cx, &mut self.input, room) {
            Poll::Pending => Ok(Some(false)),
            Poll::Ready(count) => Ok((count.map_err(RelayError::Client)? > 0).then_some(true)),
        }
    }

    pub(super) fn poll_write<B: AsyncWrite + Unpin>(
        &mut self,
        back: &mut B,
        cx: &mut Context<'_>,
    ) -> Result<bool, RelayError> {
        self.out.poll_write(back, cx).map_err(RelayError::Server)
    }

    /// Goes on with a run that was not allowed yet.
    pub(super) fn poll_begun(&mut self, book: &mut Book, cx: &mut Context<'_>) -> bool {
        let Some(waiting) = &mut self.waiting else { return false };
        let Poll::Ready(begun) = waiting.begun.as_mut().poll(cx) else { return false };
        let Some(Waiting { running, run, sync, .. }) = self.waiting.take() else { return false };
        match begun {
            // The server skips it: something before it failed.
            _ if self.skip => {}
            Ok(()) => self.run_now(book, running, run),
            Err(refused) => self.refuse(book, refused.code, &refused.text),
        }
        if sync {
            self.sync(book, SYNC);
        }
        true
    }

    /// Takes the messages that are there; whether there was one.
    pub(super) fn take<C: Crossings>(
        &mut self,
        book: &mut Book,
        crossings: &mut C,
        rules: &Rules,
    ) -> Result<bool, RelayError> {
        let mut some = false;
        while !self.left && self.waiting.is_none() && self.out.len() < OUT_MAX {
            if book.awaited() >= rules.limits.awaited {
                // The server may keep answers that we need to go on.
                if !self.flushed {
                    self.out.copy(FLUSH);
                    (self.flushed, some) = (true, true);
                }
                break;
            }
            self.flushed = false;
            let Some(frame) = self.frame(rules)? else { break };
            match self.one(frame.clone(), book, crossings, rules)? {
                Flow::Went => some = true,
                Flow::Left => self.left = true,
                Flow::Wait => {
                    self.again = Some(frame);
                    break;
                }
            }
        }
        Ok(some)
    }

    fn frame(&mut self, rules: &Rules) -> Result<Option<Bytes>, RelayError> {
        if let Some(frame) = self.again.take() {
            return Ok(Some(frame));
        }
        // What has no place here is not waited for.
        if self.input.first().is_some_and(|tag| !TAGS.contains(tag)) {
            return Err(RelayError::Message);
        }
        let limit = |tag| if tag == b'B' { rules.limits.bind } else { rules.limits.asked };
        match frame::length(&self.input, limit).map_err(RelayError::Frame)? {
            Some(length) if self.input.len() >= length => {
                self.need = 0;
                Ok(Some(self.input.split_to(length).freeze()))
            }
            length => {
                self.need = length.unwrap_or(0);
                Ok(None)
            }
        }
    }

    fn one<C: Crossings>(
        &mut self,
        frame: Bytes,
        book: &mut Book,
        crossings: &mut C,
        rules: &Rules,
    ) -> Result<Flow, RelayError> {
        let (Some(tag), Some(body)) = (frame.first(), frame.get(frame::HEAD..)) else {
            return Ok(Flow::Went);
        };
        let mut body = Body(body);
        match tag {
            b'S' => self.sync(book, SYNC),
            b'X' => return Ok(Flow::Left),
            b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'F' if self.skip => {}
            b'Q' => return self.query(body, book, crossings, rules),
            b'P' => self.parse(&frame, body, book, (rules, crossings))?,
            b'B' => return self.bind(&frame, body, book, rules),
            b'E' => return self.execute(&frame, body, book, crossings),
            b'D' => {
                let (kind, name) = (body.byte()?, Bytes::copy_from_slice(body.string()?));
                body.end()?;
                if let Err((code, text)) = known_by(&name) {
                    self.refuse(book, code, text);
                    return Ok(Flow::Went);
                }
                book.expect(match kind {
                    b'S' => Expect::Statement { parameters: true },
                    b'P' => Expect::Portal { name, quiet: false, simple: false },
                    _ => return Err(RelayError::Message),
                });
                self.out.push(frame);
            }
            b'C' => {
                let (kind, name) = (body.byte()?, Bytes::copy_from_slice(body.string()?));
                if !matches!(kind, b'S' | b'P') {
                    return Err(RelayError::Message);
                }
                if let Err((code, text)) = known_by(&name) {
                    self.refuse(book, code, text);
                    return Ok(Flow::Went);
                }
                book.expect(Expect::Close { portal: kind == b'P', name });
                self.out.push(frame);
            }
            b'H' => {
                book.expect(Expect::Flush);
                self.out.copy(FLUSH);
            }
            b'F' => {
                self.refuse(book, "42501", "functions are called in statements here, not by the protocol");
                self.sync(book, SYNC);
            }
            _ => return Err(RelayError::Message),
        }
        Ok(Flow::Went)
    }

    fn query<C: Crossings>(
        &mut self,
        mut body: Body<'_>,
        book: &mut Book,
        crossings: &mut C,
        rules: &Rules,
    ) -> Result<Flow, RelayError> {
        let text = body.string()?;
        body.end()?;
        let prepared = match judged(text, rules, crossings) {
            Ok(prepared) => Arc::new(prepared),
            Err((refused, noted)) => {
                self.refused(book, refused.code, &refused.text, noted);
                self.sync(book, SYNC);
                return Ok(Flow::Went);
            }
        };
        let cursor = match fetched(&prepared, book) {
            Look::Found(cursor) => cursor,
            Look::Wait => return Ok(Flow::Wait),
            Look::Unknown => {
                self.refuse(book, "34000", NO_CURSOR);
                self.sync(book, SYNC);
                return Ok(Flow::Went);
            }
        };
        self.send_parse(b"", &prepared);
        for part in [BIND, DESCRIBE] {
            self.out.copy(part);
        }
        let source = Source { prepared: prepared.clone(), parameters: Bytes::new() };
        let portal = Portal { source, declared: false };
        book.expect(Expect::Parse { name: Bytes::new(), prepared, quiet: true });
        book.expect(Expect::Bind { name: Bytes::new(), portal: portal.clone(), quiet: true });
        book.expect(Expect::Portal { name: Bytes::new(), quiet: false, simple: true });
        let run = Run { portal, cursor, rows_max: 0, frame: Bytes::from_static(RUN), sync: true };
        self.run(run, book, crossings);
        Ok(Flow::Went)
    }

    fn parse<C: Crossings>(
        &mut self,
        frame: &Bytes,
        mut body: Body<'_>,
        book: &mut Book,
        (rules, crossings): (&Rules, &mut C),
    ) -> Result<(), RelayError> {
        let (name, text) = (body.string()?, body.string()?);
        let types = usize::from(body.short()?);
        body.take(types * 4)?;
        body.end()?;
        if let Err((code, text)) = nameable(book, rules, name) {
            self.refuse(book, code, text);
            return Ok(());
        }
        match judged(text, rules, crossings) {
            Ok(prepared) => {
                if matches!(prepared.verdict(), Verdict::Own(_) | Verdict::Asked) {
                    self.send_parse(name, &prepared);
                } else {
                    self.out.push(frame.clone());
                }
                let (name, prepared) = (Bytes::copy_from_slice(name), Arc::new(prepared));
                book.expect(Expect::Parse { name, prepared, quiet: false });
            }
            Err((refused, noted)) => self.refused(book, refused.code, &refused.text, noted),
        }
        Ok(())
    }

    fn bind(
        &mut self,
        frame: &Bytes,
        mut body: Body<'_>,
        book: &mut Book,
        rules: &Rules,
    ) -> Result<Flow, RelayError> {
        let (name, of) = (body.string()?, body.string()?);
        if let Err((code, text)) = known_by(of).and_then(|()| nameable(book, rules, name)) {
            self.refuse(book, code, text);
            return Ok(Flow::Went);
        }
        match book.statement(of) {
            Look::Wait => return Ok(Flow::Wait),
            Look::Unknown => self.refuse(book, "26000", "there is no prepared statement of this name"),
            // What it reads would be looked up when it is run, and may be another cursor by then.
            Look::Found(prepared)
                if !name.is_empty() && matches!(prepared.verdict(), Verdict::Fetch(_) | Verdict::Move(_)) =>
            {
                self.refuse(book, "0A000", "FETCH and MOVE are bound to the portal without a name here");
            }
            Look::Found(prepared) => {
                // Only told apart: what they are is the client's affair, and may be large.
                let digest = digest(&SHA256, body.0);
                let parameters = Bytes::copy_from_slice(digest.as_ref());
                let portal = Portal { source: Source { prepared, parameters }, declared: false };
                book.expect(Expect::Bind { name: Bytes::copy_from_slice(name), portal, quiet: false });
                self.out.push(frame.clone());
            }
        }
        Ok(Flow::Went)
    }

    fn execute<C: Crossings>(
        &mut self,
        frame: &Bytes,
        mut body: Body<'_>,
        book: &mut Book,
        crossings: &mut C,
    ) -> Result<Flow, RelayError> {
        let (name, rows_max) = (body.string()?, body.long()?);
        body.end()?;
        if let Err((code, text)) = known_by(name) {
            self.refuse(book, code, text);
            return Ok(Flow::Went);
        }
        let portal = match book.portal(name) {
            Look::Found(portal) => portal,
            Look::Wait => return Ok(Flow::Wait),
            Look::Unknown => {
                self.refuse(book, "34000", "there is no portal or cursor of this name");
                return Ok(Flow::Went);
            }
        };
        let cursor = match fetched(&portal.source.prepared, book) {
            _ if portal.declared => None,
            Look::Found(cursor) => cursor,
            Look::Wait => return Ok(Flow::Wait),
            Look::Unknown => {
                self.refuse(book, "34000", NO_CURSOR);
                return Ok(Flow::Went);
            }
        };
        let tells = portal.declared || portal.source.prepared.verdict().tells();
        if tells && !book.described(name) {
            // Whoever records rows must know their columns. The client does not see the answer.
            let mut describe = BytesMut::new();
            put(&mut describe, b'D', &[b"P", name, b"\0"]);
            self.out.copy(&describe);
            book.expect(Expect::Portal { name: Bytes::copy_from_slice(name), quiet: true, simple: false });
        }
        let verdict = portal.source.prepared.verdict();
        let whole =
            matches!(verdict, Verdict::Own(_) | Verdict::Asked | Verdict::Fetch(_) | Verdict::Move(_));
        let frame = if whole && !portal.declared {
            // What we answer is whole: the server, which stands in for it, must not stop at a number of rows. So is a FETCH, which
            // would go on later with a cursor that may have another's name by then.
            let mut whole = BytesMut::new();
            put(&mut whole, b'E', &[name, b"\0\0\0\0\0"]);
            whole.freeze()
        } else {
            frame.clone()
        };
        self.run(Run { portal, cursor, rows_max, frame, sync: false }, book, crossings);
        Ok(Flow::Went)
    }

    fn run<C: Crossings>(&mut self, run: Run, book: &mut Book, crossings: &mut C) {
        self.runs += 1;
        let Run { portal: Portal { source, declared }, cursor, rows_max, frame, sync } = run;
        let running = Running { id: self.runs, source, declared, copying: false };
        if running.tells() {
            let statement = Statement { id: self.runs, source: running.source.clone(), cursor, rows_max };
            let begun = Box::pin(crossings.begin(statement));
            self.waiting = Some(Waiting { begun, running, run: frame, sync });
            return;
        }
        self.run_now(book, running, frame);
        if sync {
            self.sync(book, SYNC);
        }
    }

    fn run_now(&mut self, book: &mut Book, running: Running, frame: Bytes) {
        self.out.push(frame);
        book.expect(Expect::Run(running));
    }

    /// Sends the statement, or what stands for one that is answered by us: it has the form of the answer.
    fn send_parse(&mut self, name: &[u8], prepared: &Prepared) {
        let own;
        let text = if let Verdict::Own(shown) = prepared.verdict() {
            own = format!("SELECT ''::text AS \"{}\"", shown.name());
            &own
        } else {
            prepared.sent()
        };
        let mut out = BytesMut::with_capacity(text.len() + name.len() + 16);
        put(&mut out, b'P', &[name, b"\0", text.as_bytes(), b"\0\0\0"]);
        self.out.copy(&out);
    }

    fn refuse(&mut self, book: &mut Book, code: &str, text: &str) {
        self.refused(book, code, text, None);
    }

    /// The same, told only when it is on record.
    fn refused(&mut self, book: &mut Book, code: &str, text: &str, noted: Option<Waits<()>>) {
        self.out.copy(REFUSED);
        book.expect(Expect::Refused { words: own::error(Severity::Error, code, text), noted });
        self.skip = true;
    }

    fn sync(&mut self, book: &mut Book, frame: &[u8]) {
        self.skip = false;
        self.out.copy(frame);
        book.expect(Expect::Sync);
    }

    /// Something failed: the server skips all up to the next `Sync`, which has not come.
    pub(super) fn failed(&mut self) {
        self.skip = true;
    }

    /// Tells the server that nobody asks any more.
    pub(super) fn leave(&mut self) {
        let mut out = BytesMut::new();
        out.put_slice(b"X\0\0\0\x04");
        self.out.copy(&out);
    }
}

/// What is to be run.
struct Run {
    portal: Portal,
    cursor: Option<Source>,
    rows_max: u32,
    frame: Bytes,
    sync: bool,
}

impl From<FrameError> for RelayError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

/// Whether the server takes a name whole: of longer ones, which it cuts, two would be one there and two here.
fn known_by(name: &[u8]) -> Result<(), (&'static str, &'static str)> {
    let whole = name.len() <= IDENTIFIER_MAX;
    whole.then_some(()).ok_or(("42622", "names of statements and portals have at most 63 bytes here"))
}

/// Whether a statement or portal may get a name.
fn nameable(book: &Book, rules: &Rules, name: &[u8]) -> Result<(), (&'static str, &'static str)> {
    known_by(name)?;
    let room = name.is_empty() || book.names() < rules.limits.names;
    room.then_some(()).ok_or(("53400", "too many prepared statements and portals: close some"))
}

/// What is told of a statement that does not pass, and when.
type NotPassed = (Refused, Option<Waits<()>>);

fn judged<C: Crossings>(text: &[u8], rules: &Rules, crossings: &mut C) -> Result<Prepared, NotPassed> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Err((Refused { code: "22021", text: "a statement is a text in UTF-8".to_owned() }, None));
    };
    if let Some(stand_in) = crossings.stand_in(text) {
        return Ok(Prepared::asked(text, stand_in));
    }
    Prepared::judged(text, &rules.ceilings).map_err(|no| {
        let noted: Waits<()> = Box::pin(crossings.refused(text, &no));
        (Refused { code: no.code, text: no.text.to_owned() }, Some(noted))
    })
}

/// What the cursor reads that a statement fetches from; found as none for others than FETCH and MOVE.
fn fetched(prepared: &Prepared, book: &Book) -> Look<Option<Source>> {
    let (Verdict::Fetch(name) | Verdict::Move(name)) = prepared.verdict() else { return Look::Found(None) };
    match book.portal(name.as_bytes()) {
        // Of a cursor's cursor nobody knows what it reads.
        Look::Found(Portal { source, .. })
            if matches!(source.prepared.verdict(), Verdict::Fetch(_) | Verdict::Move(_)) =>
        {
            Look::Unknown
        }
        Look::Found(portal) => Look::Found(Some(portal.source)),
        Look::Unknown => Look::Unknown,
        Look::Wait => Look::Wait,
    }
}
