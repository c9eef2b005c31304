//! Finds canaries in bytes, or identifiers of people who moved. Of canaries a few short anchors are searched for at once, and
//! each place is then read in full.
//!
//! An anchor is a half of the enclave's marker as one form writes it. That it stands somewhere says nothing yet: the
//! letters or digits around it are read in that form, and must be whole and some canary's. Start at [`Scanner`].

mod anchors;
mod needles;
mod read;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use aho_corasick::packed::{self, MatchKind};
use aho_corasick::{AhoCorasick, Span};
use serde::{Deserialize, Serialize};

use crate::canary::{Canaries, Kind};
use crate::forms::Form;
use anchors::Anchor;
pub use needles::NEEDLE_MIN;
use needles::Needles;

/// Bytes before and behind an anchor that are looked at: longer than any canary in any form.
const CONTEXT: usize = 256;
/// So many bytes are gathered before they are searched.
const GATHERED: usize = 16 << 10;
/// Places that are remembered, for a value has more than one anchor.
const REMEMBERED: usize = 8;

/// A canary's value in a stream of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hit {
    /// Where its letters or digits begin.
    pub offset: u64,
    /// Which canary.
    pub canary: u32,
    /// Which value of it.
    pub kind: Kind,
    /// How it is written.
    pub form: Form,
}

/// The anchors of one enclave, ready to be searched for.
#[derive(Clone)]
pub struct Scanner(Arc<Inner>);

enum Inner {
    Canaries(Anchored),
    Needles(Needles),
}

struct Anchored {
    canaries: Canaries,
    anchors: Vec<Anchor>,
    /// Which anchors begin with a byte.
    by_first: Vec<Vec<usize>>,
    search: Search,
}

enum Search {
    /// Vector instructions that look at many bytes at once.
    Packed(packed::Searcher),
    /// For processors without them.
    Automaton(AhoCorasick),
}

impl Scanner {
    /// Prepares the search for canaries. `None` where there is nothing to search for.
    #[must_use]
    pub fn new(canaries: Canaries) -> Option<Self> {
        let anchors = anchors::of(&canaries);
        let texts: Vec<&[u8]> = anchors.iter().map(|a| a.text.as_slice()).collect();
        let mut by_first = vec![Vec::new(); 256];
        for (n, text) in texts.iter().enumerate() {
            by_first.get_mut(usize::from(*text.first()?))?.push(n);
        }
        let mut config = packed::Config::new();
        config.match_kind(MatchKind::LeftmostFirst);
        let packed = config.builder().extend(&texts).build();
        let search = match packed {
            Some(searcher) => Search::Packed(searcher),
            None => Search::Automaton(AhoCorasick::new(&texts).ok()?),
        };
        Some(Self(Arc::new(Inner::Canaries(Anchored { canaries, anchors, by_first, search }))))
    }

    /// The canaries that are searched for.
    #[cfg(test)]
    pub(crate) fn canaries(&self) -> &Canaries {
        let Inner::Canaries(anchored) = self.0.as_ref() else { unreachable!("it searches for identifiers") };
        &anchored.canaries
    }

    /// Prepares the search for identifiers of people: of each its first 100 bytes, as it is and in small or capital letters, in UTF-16 of
    /// the low byte first, hexadecimal, base64 of the usual alphabet at any alignment without line breaks, and with `%40` for `@`. A hit
    /// names the identifier by its place among them. `None` where there is none of at least [`NEEDLE_MIN`] bytes.
    #[must_use]
    pub fn of_identifiers(identifiers: &[String]) -> Option<Self> {
        Some(Self(Arc::new(Inner::Needles(Needles::new(identifiers)?))))
    }

    /// A stream of bytes to be searched, from its beginning.
    #[must_use]
    pub fn stream(&self) -> Stream {
        Stream { scanner: self.clone(), buffer: Vec::new(), begun: 0, looked: 0, recent: Vec::new() }
    }

    /// All canaries in bytes that are held whole.
    #[must_use]
    pub fn all(&self, bytes: &[u8]) -> Vec<Hit> {
        let (mut stream, mut hits) = (self.stream(), Vec::new());
        stream.feed(bytes, &mut |hit| hits.push(hit));
        stream.finish(&mut |hit| hits.push(hit));
        hits
    }
}

impl Inner {
    fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        match self {
            Self::Canaries(canaries) => canaries.find(bytes, from),
            Self::Needles(needles) => needles.find(bytes, from),
        }
    }

    /// What stands at a place that was found: where it begins, and what it is.
    fn read(&self, bytes: &[u8], at: usize, mut found: impl FnMut(usize, (u32, Kind), Form)) {
        match self {
            Self::Canaries(canaries) => canaries.read(bytes, at, found),
            Self::Needles(needles) => {
                if let Some((number, form)) = needles.read(bytes, at) {
                    found(at, (number, Kind::Identifier), form);
                }
            }
        }
    }
}

impl Anchored {
    fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        match &self.search {
            Search::Packed(s) => s.find_in(bytes, Span { start: from, end: bytes.len() }).map(|m| m.start()),
            Search::Automaton(a) => a.find(bytes.get(from..)?).map(|m| from + m.start()),
        }
    }

    /// What stands at a place where some anchor does: where it begins, and what it is.
    fn read(&self, bytes: &[u8], at: usize, mut found: impl FnMut(usize, (u32, Kind), Form)) {
        let Some(here) = bytes.get(at..) else { return };
        let first = here.first().and_then(|b| self.by_first.get(usize::from(*b)));
        for anchor in first.into_iter().flatten().filter_map(|n| self.anchors.get(*n)) {
            if here.starts_with(&anchor.text)
                && let Some((start, whose, form)) = read::core(&self.canaries, bytes, at, anchor)
            {
                found(start, whose, form);
            }
        }
    }
}

/// Bytes that come piece by piece. A canary across pieces is found as any other; what is kept of them is bounded.
pub struct Stream {
    scanner: Scanner,
    buffer: Vec<u8>,
    /// Where in the stream the buffer begins.
    begun: u64,
    /// Up to where in the buffer anchors were looked for.
    looked: usize,
    recent: Vec<(u64, u32, Kind)>,
}

impl Stream {
    /// Takes the next piece.
    pub fn feed(&mut self, bytes: &[u8], found: &mut dyn FnMut(Hit)) {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() - self.looked > GATHERED {
            self.look(self.buffer.len().saturating_sub(CONTEXT), found);
            let done = self.looked.saturating_sub(CONTEXT);
            self.buffer.drain(..done);
            self.looked -= done;
            self.begun += done as u64;
        }
    }

    /// There is no more.
    pub fn finish(&mut self, found: &mut dyn FnMut(Hit)) {
        self.look(self.buffer.len(), found);
    }

    /// Looks at every place before `until`.
    fn look(&mut self, until: usize, found: &mut dyn FnMut(Hit)) {
        let scanner = Arc::clone(&self.scanner.0);
        while self.looked < until {
            let Some(at) = scanner.find(&self.buffer, self.looked).filter(|at| *at < until) else {
                self.looked = until;
                return;
            };
            scanner.read(&self.buffer, at, |start, (canary, kind), form| {
                let offset = self.begun + start as u64;
                let seen = (offset, canary, kind);
                if !self.recent.contains(&seen) {
                    if self.recent.len() == REMEMBERED {
                        self.recent.remove(0);
                    }
                    self.recent.push(seen);
                    found(Hit { offset, canary, kind, form });
                }
            });
            self.looked = at + 1;
        }
    }
}
