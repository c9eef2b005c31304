//! Member names: fingerprints, and the search for the same name twice in one object.

use super::error::JsonError;
use super::text::unescape;

/// Up to this many members, each new name is compared with all earlier ones; beyond, names are
/// sorted once when the object closes. Both are free of hashing, so a peer cannot choose names
/// that make the search slow.
const LINEAR_MAX: usize = 32;

/// Marks a span of the arena of unescaped names rather than of the input.
const IN_ARENA: u32 = 1 << 31;

/// One name: where its unescaped bytes are, and their print.
#[derive(Clone, Copy)]
pub(super) struct Name {
    pub(super) print: u64,
    start: u32,
    len: u32,
}

/// The names of all open objects, innermost last.
pub(super) struct Names {
    prints: Vec<u64>,
    names: Vec<Name>,
    arena: Vec<u8>,
}

/// What to cut back to when an object closes.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    names: usize,
    arena: usize,
}

impl Names {
    pub(super) fn new() -> Self {
        let arena = Vec::new();
        Self { prints: Vec::with_capacity(LINEAR_MAX), names: Vec::with_capacity(LINEAR_MAX), arena }
    }

    #[inline(always)]
    pub(super) fn open(&self) -> Mark {
        Mark { names: self.names.len(), arena: self.arena.len() }
    }

    /// The name spelled by `text[start..end]`, whose escapes are already checked.
    #[inline(always)]
    pub(super) fn name(
        &mut self,
        text: &[u8],
        start: usize,
        end: usize,
        escaped: bool,
    ) -> Result<Name, JsonError> {
        if escaped {
            return self.unescaped(text.get(start..end).unwrap_or_default());
        }
        let len = end - start;
        Ok(Name { print: print(text, start, len), start: start as u32, len: len as u32 })
    }

    #[inline(never)]
    fn unescaped(&mut self, raw: &[u8]) -> Result<Name, JsonError> {
        let start = self.arena.len();
        unescape(raw, &mut self.arena)?;
        let len = self.arena.len() - start;
        Ok(Name { print: print(&self.arena, start, len), start: start as u32 | IN_ARENA, len: len as u32 })
    }

    #[inline(always)]
    pub(super) fn bytes<'s>(&'s self, text: &'s [u8], name: Name) -> &'s [u8] {
        let (source, start) = if name.start & IN_ARENA == 0 {
            (text, name.start as usize)
        } else {
            (self.arena.as_slice(), (name.start & !IN_ARENA) as usize)
        };
        source.get(start..start + name.len as usize).unwrap_or_default()
    }

    /// Adds a name to the innermost object; false if it is already known to be there.
    #[inline(always)]
    pub(super) fn insert(&mut self, text: &[u8], mark: Mark, name: Name) -> bool {
        let earlier = self.prints.get(mark.names..).unwrap_or_default();
        if earlier.len() < LINEAR_MAX && earlier.contains(&name.print) && self.find(text, mark, name) {
            return false;
        }
        self.prints.push(name.print);
        self.names.push(name);
        true
    }

    #[inline(never)]
    fn find(&self, text: &[u8], mark: Mark, name: Name) -> bool {
        let bytes = self.bytes(text, name);
        let earlier = self.names.get(mark.names..).unwrap_or_default();
        earlier.iter().any(|other| other.print == name.print && self.bytes(text, *other) == bytes)
    }

    /// Closes the innermost object; false if one of its names was there twice.
    #[inline(always)]
    pub(super) fn close(&mut self, text: &[u8], mark: Mark) -> bool {
        let distinct = self.names.len() - mark.names <= LINEAR_MAX || self.distinct(text, mark);
        self.names.truncate(mark.names);
        self.prints.truncate(mark.names);
        self.arena.truncate(mark.arena);
        distinct
    }

    #[inline(never)]
    fn distinct(&mut self, text: &[u8], mark: Mark) -> bool {
        let mut own = self.names.split_off(mark.names);
        own.sort_unstable_by(|a, b| {
            a.print.cmp(&b.print).then_with(|| self.bytes(text, *a).cmp(self.bytes(text, *b)))
        });
        let same = |a: &Name, b: &Name| a.print == b.print && self.bytes(text, *a) == self.bytes(text, *b);
        own.array_windows().all(|[a, b]| !same(a, b))
    }

    pub(super) fn clear(&mut self) {
        self.prints.clear();
        self.names.clear();
        self.arena.clear();
    }
}

/// A fingerprint of `text[start..start + len]`: its first and last eight bytes folded into one
/// word. Equal names have equal prints; up to eight bytes, equal length and print mean equal
/// names.
#[inline(always)]
pub(super) fn print(text: &[u8], start: usize, len: usize) -> u64 {
    let word = |at: usize| text.get(at..).and_then(|rest| rest.first_chunk::<8>());
    match word(start) {
        Some(first) if len > 8 => {
            let last = word(start + len - 8).copied().unwrap_or_default();
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(last).rotate_left(29)
        }
        // A name is followed by at least its quote, so reading over its end is the common case.
        Some(first) if len > 0 => u64::from_le_bytes(*first) & (u64::MAX >> (64 - 8 * len)),
        _ => print_slow(text.get(start..start + len).unwrap_or_default()),
    }
}

#[inline(never)]
fn print_slow(name: &[u8]) -> u64 {
    name.iter().rev().fold(0, |word, b| word << 8 | u64::from(*b))
}
