//! Text that comes in chunks: what a cut parts is put together again.

use super::text::{self, OVERLAP, char_start};
use crate::Finding;

/// Bytes before what is new that are looked at again, so that a word's start is known.
const LEAD: usize = 64;

/// Reads chunks; memory stays below a chunk and a few hundred bytes.
///
/// ```
/// let mut stream = inspect::TextStream::new();
/// let mut found = Vec::new();
/// stream.push(b"write to ann@exam", &mut found);
/// stream.push(b"ple.org", &mut found);
/// stream.finish(&mut found);
/// assert_eq!((found[0].start, found[0].end), (9, 24));
/// ```
#[derive(Default)]
pub struct TextStream {
    /// What may still be a part of something.
    held: Vec<u8>,
    /// Where `held` begins in the whole, and how many of its bytes are done with.
    base: usize,
    done: usize,
}

impl std::fmt::Debug for TextStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TextStream({} bytes held)", self.held.len())
    }
}

impl TextStream {
    /// A stream of which nothing has come yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk and appends what is sure by now; offsets are those of the whole.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<Finding>) {
        self.held.extend_from_slice(chunk);
        if self.held.len() < self.done + 2 * OVERLAP {
            return;
        }
        let safe = char_start(&self.held, self.held.len() - OVERLAP);
        let done = self.report(safe, out);
        let keep = char_start(&self.held, done.saturating_sub(LEAD));
        self.held.drain(..keep);
        self.base += keep;
        self.done = done - keep;
    }

    /// Appends what was held back.
    pub fn finish(mut self, out: &mut Vec<Finding>) {
        let end = self.held.len();
        let _ = self.report(end, out);
    }

    /// Appends findings that begin before `safe`; returns what is done with.
    fn report(&mut self, safe: usize, out: &mut Vec<Finding>) -> usize {
        let mut found = Vec::new();
        text::scan(&self.held, &mut found);
        let mut done = safe;
        for finding in found.into_iter().filter(|finding| finding.end > self.done && finding.start < safe) {
            done = done.max(finding.end);
            let start = finding.start.max(self.done);
            out.push(Finding { start: self.base + start, end: self.base + finding.end, ..finding });
        }
        done
    }
}
