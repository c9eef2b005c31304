//! Frames: a tag, a length that counts itself, a body. Read in place, never longer than a limit, and written together.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// Tag and length.
pub const HEAD: usize = 5;
/// What is copied rather than kept as a part of its own.
const SMALL: usize = 4096;
/// How many parts go to the system at a time.
const PARTS: usize = 16;

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length less than its own.
    #[error("a message is shorter than its own length")]
    Short,
    /// A length over the limit. Nothing of its body was read.
    #[error("a message is longer than {0} bytes")]
    Long(usize),
    /// A body that ends early, goes on, or has a text without end.
    #[error("a message is not of its form")]
    Body,
}

/// The length of the frame that bytes begin with, its head included; `None` while that is not known.
///
/// # Errors
/// When the length is not possible, or more than the limit that there is for frames of this tag.
pub fn length(bytes: &[u8], limit: impl FnOnce(u8) -> usize) -> Result<Option<usize>, FrameError> {
    let [tag, a, b, c, d, ..] = *bytes else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let limit = limit(tag);
    if length < 4 {
        return Err(FrameError::Short);
    }
    if length > limit {
        return Err(FrameError::Long(limit));
    }
    Ok(Some(length + 1))
}

/// The whole frames that bytes begin with, as tag and body.
#[derive(Debug, Clone)]
pub struct Frames<'a>(&'a [u8]);

impl<'a> Frames<'a> {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What no whole frame begins.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = length(self.0, |_| usize::MAX - 1).ok()??;
        let (frame, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some((*frame.first()?, frame.get(HEAD..)?))
    }
}

/// A body that is read from its front.
#[derive(Debug, Clone)]
pub struct Body<'a>(pub &'a [u8]);

impl<'a> Body<'a> {
    /// The next bytes.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(FrameError::Body)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next byte.
    ///
    /// # Errors
    /// When there is none.
    pub fn byte(&mut self) -> Result<u8, FrameError> {
        self.take(1)?.first().copied().ok_or(FrameError::Body)
    }

    /// A number of two bytes.
    ///
    /// # Errors
    /// When it is not whole.
    pub fn short(&mut self) -> Result<u16, FrameError> {
        self.take(2)?.try_into().map(u16::from_be_bytes).map_err(|_| FrameError::Body)
    }

    /// A number of four bytes.
    ///
    /// # Errors
    /// When it is not whole.
    pub fn long(&mut self) -> Result<u32, FrameError> {
        self.take(4)?.try_into().map(u32::from_be_bytes).map_err(|_| FrameError::Body)
    }

    /// The bytes before the next zero.
    ///
    /// # Errors
    /// When there is none.
    pub fn string(&mut self) -> Result<&'a [u8], FrameError> {
        let end = self.0.iter().position(|b| *b == 0).ok_or(FrameError::Body)?;
        let string = self.take(end)?;
        self.byte()?;
        Ok(string)
    }

    /// Such a text.
    ///
    /// # Errors
    /// When there is none, or it is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, FrameError> {
        std::str::from_utf8(self.string()?).map_err(|_| FrameError::Body)
    }

    /// That nothing is left.
    ///
    /// # Errors
    /// When something is.
    pub fn end(&self) -> Result<(), FrameError> {
        if self.0.is_empty() { Ok(()) } else { Err(FrameError::Body) }
    }
}

/// Reads what there is into a buffer, in one call. `Ok(0)` is the end.
pub(super) fn poll_fill<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    into: &mut BytesMut,
    room: usize,
) -> Poll<io::Result<usize>> {
    into.reserve(room);
    pin!(stream.read_buf(into)).poll(cx)
}

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    parts: VecDeque<Bytes>,
    tail: BytesMut,
    bytes: usize,
    /// TLS may keep what the socket did not take.
    flushing: bool,
    /// How much was ever written.
    written: u64,
}

impl Outgoing {
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// How much was ever written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether everything is with the system.
    pub(super) fn is_done(&self) -> bool {
        self.bytes == 0 && !self.flushing
    }

    /// Small parts are gathered by copying them, large ones are kept as they are.
    pub(super) fn push(&mut self, part: Bytes) {
        self.bytes += part.len();
        if part.len() <= SMALL {
            self.tail.extend_from_slice(&part);
        } else {
            self.seal();
            self.parts.push_back(part);
        }
    }

    pub(super) fn copy(&mut self, part: &[u8]) {
        self.bytes += part.len();
        self.tail.extend_from_slice(part);
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.parts.push_back(self.tail.split().freeze());
        }
    }

    /// Writes what the stream takes; whether that was anything.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> io::Result<bool> {
        let mut some = false;
        while self.bytes > 0 {
            let written = if self.parts.is_empty() {
                Pin::new(&mut *stream).poll_write(cx, &self.tail)
            } else {
                self.seal();
                let mut slices = [IoSlice::new(&[]); PARTS];
                let count = self.parts.len().min(PARTS);
                for (slice, part) in slices.iter_mut().zip(&self.parts) {
                    *slice = IoSlice::new(part);
                }
                Pin::new(&mut *stream).poll_write_vectored(cx, slices.get(..count).unwrap_or_default())
            };
            match written {
                Poll::Pending => return Ok(some),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => self.advance(written?),
            }
            (some, self.flushing) = (true, true);
        }
        if self.flushing && Pin::new(stream).poll_flush(cx)?.is_ready() {
            self.flushing = false;
        }
        Ok(some)
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        self.written += written as u64;
        while written > 0 {
            let Some(front) = self.parts.front_mut() else {
                return self.tail.advance(written);
            };
            let part = front.len().min(written);
            front.advance(part);
            written -= part;
            if front.is_empty() {
                self.parts.pop_front();
            }
        }
    }
}

/// Puts a frame together.
pub(in crate::sql) fn put(out: &mut impl BufMut, tag: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|p| p.len()).sum();
    out.put_u8(tag);
    out.put_u32(u32::try_from(length + 4).unwrap_or(u32::MAX));
    for part in parts {
        out.put_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_is_believed_up_to_its_limit_only() {
        let limit = |tag| if tag == b'B' { 100 } else { 10 };
        assert_eq!(length(b"Q\0\0\0", limit), Ok(None));
        assert_eq!(length(b"Q\0\0\0\x04", limit), Ok(Some(5)));
        assert_eq!(length(b"Q\0\0\0\x03", limit), Err(FrameError::Short));
        assert_eq!(length(b"Q\0\0\0\x0b", limit), Err(FrameError::Long(10)));
        assert_eq!(length(b"B\0\0\0\x0b", limit), Ok(Some(12)));
        assert_eq!(length(b"Q\x40\0\0\0", limit), Err(FrameError::Long(10)));
        assert_eq!(length(b"Q\xff\xff\xff\xff", limit), Err(FrameError::Long(10)));
    }

    #[test]
    fn a_body_is_read_to_its_end_and_no_further() {
        let mut body = Body(b"ab\0\0\x01\x02\0\0\0\x03x");
        assert_eq!(body.text(), Ok("ab"));
        assert_eq!((body.short(), body.byte(), body.long()), (Ok(1), Ok(2), Ok(3)));
        assert_eq!(body.end(), Err(FrameError::Body));
        assert_eq!(body.string(), Err(FrameError::Body));
        assert_eq!((body.byte(), body.end(), body.byte()), (Ok(b'x'), Ok(()), Err(FrameError::Body)));
        assert_eq!(Body(b"\xff\0").text(), Err(FrameError::Body));
    }

    proptest! {
        #[test]
        fn frames_that_are_put_together_come_apart_again(
            frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..50)), 0..8),
            cut in 0..9_usize,
        ) {
            let mut bytes = Vec::new();
            for (tag, body) in &frames {
                put(&mut bytes, *tag, &[body.split_at(body.len() / 2).0, body.split_at(body.len() / 2).1]);
            }
            let whole: Vec<_> = Frames::of(&bytes).map(|(t, b)| (t, b.to_vec())).collect();
            prop_assert_eq!(&whole, &frames);
            let short = bytes.len().saturating_sub(cut);
            let mut some = Frames::of(&bytes[..short]);
            let count = some.by_ref().count();
            prop_assert!(count <= frames.len() && (cut == 0 || frames.is_empty() || count < frames.len()));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut frames = Frames::of(&bytes);
            let taken: usize = frames.by_ref().map(|(_, body)| body.len() + HEAD).sum();
            prop_assert_eq!(taken + frames.rest().len(), bytes.len());
            let mut body = Body(&bytes);
            let _ = (body.text(), body.short(), body.long(), body.string());
        }
    }
}
