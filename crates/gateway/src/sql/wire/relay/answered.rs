//! What the server answers: each message must be the one that is awaited, and what tells something is held for its window.
//!
//! Frames stay where they were read until their window is whole. Whatever comes that nobody asked for ends the session: the server did
//! something else than the gate thought.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncRead;

use super::super::super::gate::Verdict;
use super::super::frame::{self, Body, poll_fill};
use super::super::own::{self, Description, Reduced};
use super::book::{Book, Expect, Running};
use super::exit::{Exit, Own};
use super::{Crossings, Prepared, RelayError, Rules, Window};

/// How much is read at a time, until it is known to be more.
const READ: usize = 16 << 10;

/// Frames that wait until their window is whole. Some stand in the buffer, some were taken out of it.
#[derive(Default)]
struct Held {
    parts: Vec<Bytes>,
    bytes: usize,
    /// Whether they tell anything.
    tells: bool,
    rows: u64,
    error: Option<[u8; 5]>,
    statement: Option<u64>,
    prepared: Option<Arc<Prepared>>,
    description: Option<Description>,
}

/// Whether a message was taken, or must be looked at again when what is held has gone.
enum Step {
    Taken,
    Again,
}

#[derive(Default)]
pub(super) struct Answered {
    buffer: BytesMut,
    /// How much of the buffer is held.
    scan: usize,
    need: usize,
    held: Held,
    parked: Option<Window>,
    description: Option<Description>,
    /// The server skips what comes up to a `Sync` that has not come.
    pub(super) skipping: bool,
    /// The server said that it ends the session.
    pub(super) fatal: bool,
}

impl Answered {
    /// Reads from the server; whether that was anything. `None` is its end.
    pub(super) fn poll_read<B: AsyncRead + Unpin>(
        &mut self,
        back: &mut B,
        cx: &mut Context<'_>,
        rules: &Rules,
    ) -> Result<Option<bool>, RelayError> {
        if self.parked.is_some() {
            return Ok(Some(false));
        }
        let (spare, window) = (self.buffer.capacity() - self.buffer.len(), rules.limits.window);
        let room = match spare < self.need.max(READ / 2) {
            false => 0,
            // A long result: room for its whole window at once.
            true if self.scan > 2 * READ => self.need.max((window + 4 * READ).saturating_sub(self.scan)),
            true => self.need.max(READ),
        };
        match poll_fill(back, cx, &mut self.buffer, room) {
            Poll::Pending => Ok(Some(false)),
            Poll::Ready(count) => Ok((count.map_err(RelayError::Server)? > 0).then_some(true)),
        }
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.parked.is_none() && self.held.bytes == 0
    }

    /// Takes the messages that are there; whether there was one.
    pub(super) fn take<C: Crossings>(
        &mut self,
        book: &mut Book,
        exit: &mut Exit,
        crossings: &mut C,
        rules: &Rules,
    ) -> Result<bool, RelayError> {
        let mut some = false;
        loop {
            if let Some(window) = self.parked.take() {
                if !exit.has_room() {
                    self.parked = Some(window);
                    return Ok(some);
                }
                let bytes = window.frames.len();
                exit.record(Box::pin(crossings.window(window)), bytes);
                some = true;
            }
            let Some((tag, length)) = self.frame(rules)? else { return Ok(some) };
            let full = self.held.bytes + length > rules.limits.window || self.held.rows >= rules.limits.rows;
            if self.held.tells && full {
                self.close(exit, false);
                continue;
            }
            match self.one(tag, length, book, exit, crossings, rules)? {
                Step::Taken => some = true,
                Step::Again => continue,
            }
            while matches!(book.next(), Some(Expect::Flush)) {
                book.answered();
                self.close(exit, false);
            }
        }
    }

    /// The next frame in the buffer, if it is whole.
    fn frame(&mut self, rules: &Rules) -> Result<Option<(u8, usize)>, RelayError> {
        let rest = self.buffer.get(self.scan..).unwrap_or_default();
        let length = frame::length(rest, |_| rules.limits.answered)
            .map_err(|_| RelayError::Unawaited("a message of a length that is not possible"))?;
        match (length, rest.first()) {
            (Some(length), Some(tag)) if rest.len() >= length => {
                self.need = 0;
                Ok(Some((*tag, length)))
            }
            (length, _) => {
                self.need = length.map_or(0, |l| l - rest.len());
                Ok(None)
            }
        }
    }

    fn body(&self, length: usize) -> &[u8] {
        self.buffer.get(self.scan + frame::HEAD..self.scan + length).unwrap_or_default()
    }

    /// The frame stays as it is.
    fn keep(&mut self, length: usize) -> Step {
        self.scan += length;
        self.held.bytes += length;
        Step::Taken
    }

    /// The frame goes, or another stands in its place.
    fn replace(&mut self, length: usize, by: Option<Bytes>) -> Step {
        if self.scan > 0 {
            self.held.parts.push(self.buffer.split_to(self.scan).freeze());
            self.scan = 0;
        }
        self.buffer.advance(length);
        if let Some(by) = by {
            self.held.bytes += by.len();
            self.held.parts.push(by);
        }
        Step::Taken
    }

    /// Hands over what is held: to be recorded if it tells anything.
    fn close(&mut self, exit: &mut Exit, last: bool) {
        if self.held.bytes == 0 {
            return;
        }
        if self.scan > 0 {
            self.held.parts.push(self.buffer.split_to(self.scan).freeze());
            self.scan = 0;
        }
        let held = mem::take(&mut self.held);
        let frames = match <[Bytes; 1]>::try_from(held.parts) {
            Ok([one]) => one,
            Err(parts) => parts.concat().into(),
        };
        let Held { tells, rows, error, statement, prepared, description, .. } = held;
        if tells {
            self.parked = Some(Window { statement, prepared, description, rows, last, error, frames });
        } else {
            exit.own(Own::course(frames));
        }
    }

    /// What is held tells of this run.
    fn tell(&mut self, run: &Running) {
        self.held.tells = true;
        if self.held.statement.is_none() {
            self.held.statement = Some(run.id);
            self.held.prepared = Some(run.source.prepared.clone());
            self.held.description.clone_from(&self.description);
        }
    }

    fn one<C: Crossings>(
        &mut self,
        tag: u8,
        length: usize,
        book: &mut Book,
        exit: &mut Exit,
        crossings: &mut C,
        rules: &Rules,
    ) -> Result<Step, RelayError> {
        match (tag, book.next()) {
            (b'D' | b'd', Some(Expect::Run(run))) => self.row(tag, length, run),
            (b'C', Some(Expect::Run(_))) => self.complete(length, book, exit, crossings),
            (b's', Some(Expect::Run(run))) if run.tells() => {
                self.tell(run);
                self.keep(length);
                book.answered();
                self.close(exit, true);
                Ok(Step::Taken)
            }
            (b'I', Some(Expect::Run(run))) if *run.source.prepared.verdict() == Verdict::Empty => {
                book.answered();
                Ok(self.keep(length))
            }
            (b'H', Some(Expect::Run(run))) if *run.source.prepared.verdict() == Verdict::CopyOut => {
                run.copying = true;
                Ok(self.keep(length))
            }
            (b'c', Some(Expect::Run(run))) if run.copying => Ok(self.keep(length)),
            (b'T' | b't' | b'n', Some(Expect::Statement { .. } | Expect::Portal { .. })) => {
                self.describe(tag, length, book)
            }
            (b'1', Some(Expect::Parse { .. }))
            | (b'2', Some(Expect::Bind { .. }))
            | (b'3', Some(Expect::Close { .. })) => {
                if length != frame::HEAD {
                    return Err(RelayError::Unawaited("a message that is not of its form"));
                }
                Ok(self.confirmed(length, book))
            }
            (b'Z', Some(Expect::Sync)) => self.ready(length, book, exit),
            (b'E', _) => Ok(self.failed(length, book, exit, rules)),
            (b'N', _) => {
                let Reduced { frame, .. } = own::reduced(b'N', self.body(length), rules.wording);
                self.held.tells |= frame.is_some();
                Ok(self.replace(length, frame))
            }
            (b'S', _) => self.parameter(length),
            // Notices between sessions are a channel that nobody records.
            (b'A', _) => Ok(self.replace(length, None)),
            _ => Err(RelayError::Unawaited("a message that nothing asked for")),
        }
    }

    fn row(&mut self, tag: u8, length: usize, run: &Running) -> Result<Step, RelayError> {
        let own = matches!(run.source.prepared.verdict(), Verdict::Own(_));
        if (tag == b'd') != run.copying || !(run.tells() || own) {
            return Err(RelayError::Unawaited("a row that nothing asked for"));
        }
        // What a server gives of a stand-in is not the answer.
        if own || *run.source.prepared.verdict() == Verdict::Asked {
            return Ok(self.replace(length, None));
        }
        self.tell(run);
        self.held.rows += 1;
        Ok(self.keep(length))
    }

    fn complete<C: Crossings>(
        &mut self,
        length: usize,
        book: &mut Book,
        exit: &mut Exit,
        crossings: &mut C,
    ) -> Result<Step, RelayError> {
        let fits = |run: &Running, mut body: Body<'_>| {
            body.text().is_ok_and(|tag| run.fits(tag)) && body.end().is_ok()
        };
        let Some(Expect::Run(run)) = book.next() else {
            return Err(RelayError::Unawaited("an end of nothing"));
        };
        if !fits(run, Body(self.body(length))) {
            return Err(RelayError::Unawaited("the end of another kind of statement"));
        }
        let tells = run.tells();
        if let Verdict::Own(shown) = run.source.prepared.verdict() {
            if self.held.bytes > 0 {
                self.close(exit, false);
                return Ok(Step::Again);
            }
            exit.show(Box::pin(crossings.show(*shown)));
            self.replace(length, None);
        } else if *run.source.prepared.verdict() == Verdict::Asked {
            if self.held.bytes > 0 {
                self.close(exit, false);
                return Ok(Step::Again);
            }
            let (id, prepared) = (run.id, run.source.prepared.clone());
            self.replace(length, None);
            book.answered();
            self.parked = Some(Window {
                statement: Some(id),
                prepared: Some(prepared),
                description: self.description.clone(),
                rows: 0,
                last: true,
                error: None,
                frames: Bytes::new(),
            });
            return Ok(Step::Taken);
        } else {
            if tells {
                self.tell(run);
            }
            self.keep(length);
        }
        if let Some(Expect::Run(run)) = book.answered() {
            book.ran(run);
        }
        if tells {
            self.close(exit, true);
        }
        Ok(Step::Taken)
    }

    fn describe(&mut self, tag: u8, length: usize, book: &mut Book) -> Result<Step, RelayError> {
        let description = (tag == b'T').then(|| self.described(length));
        match book.next() {
            Some(Expect::Statement { parameters }) => {
                if (tag == b't') != *parameters {
                    return Err(RelayError::Unawaited("a description that nothing asked for"));
                }
                if tag == b't' {
                    *parameters = false;
                    return Ok(self.keep(length));
                }
                book.answered();
                self.held.tells |= tag == b'T';
                self.held.description = description;
                Ok(self.keep(length))
            }
            Some(Expect::Portal { quiet, simple, .. }) if tag != b't' => {
                let gone = *quiet || (*simple && tag == b'n');
                book.answered();
                self.description.clone_from(&description);
                if gone {
                    return Ok(self.replace(length, None));
                }
                self.held.tells |= tag == b'T';
                self.held.description = description;
                Ok(self.keep(length))
            }
            _ => Err(RelayError::Unawaited("a description that nothing asked for")),
        }
    }

    /// The description in the buffer. Most often it is that of the run before.
    fn described(&self, length: usize) -> Description {
        let frame = self.buffer.get(self.scan..self.scan + length).unwrap_or_default();
        match &self.description {
            Some(same) if same.frame() == frame => same.clone(),
            _ => Description(Bytes::copy_from_slice(frame)),
        }
    }

    fn confirmed(&mut self, length: usize, book: &mut Book) -> Step {
        let quiet = match book.answered() {
            Some(Expect::Parse { name, prepared, quiet }) => {
                book.parsed(name, prepared);
                quiet
            }
            Some(Expect::Bind { name, portal, quiet }) => {
                book.bound(name, portal);
                quiet
            }
            Some(Expect::Close { portal, name }) => {
                book.closed(portal, &name);
                false
            }
            _ => false,
        };
        if quiet { self.replace(length, None) } else { self.keep(length) }
    }

    fn ready(&mut self, length: usize, book: &mut Book, exit: &mut Exit) -> Result<Step, RelayError> {
        let [status @ (b'I' | b'T' | b'E')] = *self.body(length) else {
            return Err(RelayError::Unawaited("a state of a transaction that there is not"));
        };
        if self.held.bytes > 0 {
            self.close(exit, false);
            return Ok(Step::Again);
        }
        book.answered();
        if status == b'I' {
            book.idle();
        }
        exit.own(Own::course(self.buffer.split_to(length).freeze()));
        Ok(Step::Taken)
    }

    /// The server skips to the next `Sync`, and with it all that was asked before that.
    fn failed(&mut self, length: usize, book: &mut Book, exit: &mut Exit, rules: &Rules) -> Step {
        let Reduced { frame, code, fatal } = own::reduced(b'E', self.body(length), rules.wording);
        self.fatal |= fatal;
        match book.next() {
            Some(Expect::Refused { noted: Some(_), .. }) if !fatal && self.held.bytes > 0 => {
                self.close(exit, false);
                return Step::Again;
            }
            Some(Expect::Refused { words, noted }) if !fatal => {
                let (words, noted) = (mem::take(words), noted.take());
                if let Some(noted) = noted {
                    let bytes = words.len();
                    let told = async move {
                        noted.await;
                        Ok(words)
                    };
                    exit.record(Box::pin(told), bytes);
                    self.replace(length, None);
                } else {
                    self.replace(length, Some(words));
                }
            }
            next => {
                match next {
                    Some(Expect::Run(run)) if run.tells() => self.tell(run),
                    Some(Expect::Run(Running { source, .. })) => {
                        self.held.prepared = Some(source.prepared.clone())
                    }
                    Some(Expect::Bind { portal, .. }) => {
                        self.held.prepared = Some(portal.source.prepared.clone())
                    }
                    Some(Expect::Parse { prepared, .. }) => self.held.prepared = Some(prepared.clone()),
                    _ => {}
                }
                (self.held.tells, self.held.error) = (true, Some(code));
                self.replace(length, frame);
            }
        }
        while book.next().is_some_and(|n| !matches!(n, Expect::Sync)) {
            book.answered();
        }
        self.skipping = book.next().is_none();
        self.close(exit, true);
        Step::Taken
    }

    fn parameter(&mut self, length: usize) -> Result<Step, RelayError> {
        let mut body = Body(self.body(length));
        let (Ok(name), Ok(value)) = (body.text(), body.text()) else {
            return Err(RelayError::Unawaited("a setting that is none"));
        };
        match (name, value) {
            ("client_encoding", "UTF8") | ("standard_conforming_strings", "on") => {}
            ("client_encoding" | "standard_conforming_strings", _) => {
                return Err(RelayError::Unawaited("a setting by which statements are not read here"));
            }
            _ => {}
        }
        let told = own::PARAMETERS.contains(&name);
        Ok(if told { self.keep(length) } else { self.replace(length, None) })
    }
}
