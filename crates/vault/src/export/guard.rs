//! The input as the JSON reader sees it: counted, with a fence that stops a name or number without end, and
//! with the input's own errors kept apart from those about its content.

use std::io::{self, Read};

/// What a fence stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fenced {
    Name,
    Number,
}

/// Why the first bytes show that the file is not plain UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Plain,
    ByteOrderMark,
    Utf16,
}

/// A counted input.
pub(super) struct Guard<R> {
    opening: io::Cursor<Vec<u8>>,
    input: R,
    total: u64,
    fence: Option<(u64, Fenced)>,
    hit: Option<Fenced>,
    failure: Option<io::Error>,
    last_sign: Option<u8>,
    ended: bool,
}

impl<R: Read> Guard<R> {
    /// Looks at the first four bytes of the input, which stay part of it.
    pub(super) fn new(mut input: R) -> io::Result<(Self, Opening)> {
        let mut opening = Vec::with_capacity(4);
        input.by_ref().take(4).read_to_end(&mut opening)?;
        let kind = match opening.as_slice() {
            [0xEF, 0xBB, 0xBF, ..] => Opening::ByteOrderMark,
            [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, ..] | [_, 0, ..] => Opening::Utf16,
            _ => Opening::Plain,
        };
        let opening = io::Cursor::new(opening);
        let guard = Self {
            opening,
            input,
            total: 0,
            fence: None,
            hit: None,
            failure: None,
            last_sign: None,
            ended: false,
        };
        Ok((guard, kind))
    }

    /// Lets at most `bytes` more bytes through until [`Self::open`].
    pub(super) fn fence(&mut self, bytes: u64, what: Fenced) {
        self.fence = Some((self.total.saturating_add(bytes), what));
    }

    pub(super) fn open(&mut self) {
        self.fence = None;
    }

    /// Bytes read so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The input's own error, if that is what stopped the reading.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    pub(super) fn hit(&self) -> Option<Fenced> {
        self.hit
    }

    /// The input is at its end, and no complete object can end with what was read last.
    pub(super) fn ended_within(&self) -> bool {
        self.ended && self.last_sign != Some(b'}')
    }

    fn read_input(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let opening = self.opening.read(buffer)?;
        if opening > 0 {
            return Ok(opening);
        }
        loop {
            match self.input.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = match self.fence {
            None => buffer.len(),
            Some((end, what)) => {
                let left = end.saturating_sub(self.total);
                if left == 0 {
                    self.hit = Some(what);
                    return Err(stopped());
                }
                usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len())
            }
        };
        let (window, _) = buffer.split_at_mut(room);
        let count = match self.read_input(window) {
            Ok(count) => count,
            Err(error) => {
                self.failure = Some(error);
                return Err(stopped());
            }
        };
        self.ended = count == 0 && room > 0;
        self.total = self.total.saturating_add(count as u64);
        let (read, _) = window.split_at(count.min(window.len()));
        if let Some(sign) = read.iter().rev().find(|sign| !sign.is_ascii_whitespace()) {
            self.last_sign = Some(*sign);
        }
        Ok(count)
    }
}

/// What the JSON reader is told; the cause stays in the guard.
fn stopped() -> io::Error {
    io::Error::other("stopped")
}
