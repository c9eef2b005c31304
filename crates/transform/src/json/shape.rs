//! The names that the last object at a place had, to know them again at a glance.
//!
//! Records repeat their names in the same order. A member whose spelling, from its quote to its
//! colon, is the one expected needs no scan, no lookup and no search for its twin: the spelling
//! was checked before, and the names of one shape are distinct. Nothing is taken on trust: any
//! other spelling goes the long way.

use super::bindings::Step;

/// Most names of one shape, and of one `Seen`.
pub(super) const SHAPE_MAX: usize = 32;

/// How many expected names may be missing before the shape is given up.
const AHEAD_MAX: usize = 3;

/// The distinct names of one object, in order.
#[derive(Default)]
pub(super) struct Shape {
    entries: Vec<Entry>,
    /// A second object has come to this place, so that learning may pay.
    again: bool,
}

/// One name as it was spelled.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// First and last eight bytes of the spelling; of a shorter one, twice all of it.
    head: u64,
    tail: u64,
    /// Which bits of them count.
    mask: u64,
    /// Where the last eight bytes begin.
    tail_at: u32,
    len: u32,
    /// Where it was spelled first, with its quotes and colon.
    start: u32,
    /// Bytes between the quotes.
    name_len: u32,
    pub(super) escaped: bool,
    step: Step,
}

/// An expected name that came.
#[derive(Clone, Copy)]
pub(super) struct Followed {
    /// Of the entry in its shape.
    pub(super) index: usize,
    pub(super) step: Step,
    /// Behind the colon.
    pub(super) end: usize,
}

impl Entry {
    pub(super) fn new(
        text: &[u8],
        at: usize,
        name_end: usize,
        value: usize,
        escaped: bool,
        step: Step,
    ) -> Self {
        let len = value - at;
        let tail_at = len.saturating_sub(8);
        Self {
            head: word(text, at, len),
            tail: word(text, at + tail_at, len),
            mask: u64::MAX >> (64 - 8 * len.clamp(1, 8)),
            tail_at: tail_at as u32,
            len: len as u32,
            start: at as u32,
            name_len: (name_end - at - 1) as u32,
            escaped,
            step,
        }
    }

    /// The end of the spelling that begins at `at`, if it is this one. Within eight bytes of the
    /// end of the text it is not recognised: the long way finds it all the same.
    #[inline(always)]
    fn end_at(&self, text: &[u8], at: usize) -> Option<usize> {
        let window = text.get(at..at + self.tail_at as usize + 8)?;
        let head = u64::from_le_bytes(*window.first_chunk::<8>()?);
        let tail = u64::from_le_bytes(*window.last_chunk::<8>()?);
        // Both at once: whether a name is long is no branch.
        let same = ((head ^ self.head) | (tail ^ self.tail)) & self.mask == 0
            && (self.len <= 16 || self.same_bytes(text, at));
        same.then_some(at + self.len as usize)
    }

    #[inline(never)]
    fn same_bytes(&self, text: &[u8], at: usize) -> bool {
        let (start, len) = (self.start as usize, self.len as usize);
        text.get(at..at + len).is_some_and(|bytes| Some(bytes) == text.get(start..start + len))
    }

    /// Start and end of the bytes between the quotes, where the name was spelled first.
    pub(super) fn name(&self) -> (usize, usize) {
        let start = self.start as usize + 1;
        (start, start + self.name_len as usize)
    }
}

/// How far an object has followed its shape.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    next: usize,
    entries: u32,
}

impl Seen {
    pub(super) const NOTHING: Self = Self { next: 0, entries: 0 };

    #[inline(always)]
    fn note(&mut self, index: usize, step: Step, end: usize) -> Followed {
        self.entries |= 1 << index;
        self.next = index + 1;
        Followed { index, step, end }
    }
}

impl Shape {
    /// The expected entry that is spelled at `at`.
    #[inline(always)]
    pub(super) fn follow(&self, text: &[u8], at: usize, seen: &mut Seen) -> Option<Followed> {
        let next = self.entries.get(seen.next)?;
        if let Some(end) = next.end_at(text, at) {
            return Some(seen.note(seen.next, next.step, end));
        }
        self.follow_further(text, at, seen)
    }

    /// As `follow`, where the next entry is missing.
    #[inline(never)]
    fn follow_further(&self, text: &[u8], at: usize, seen: &mut Seen) -> Option<Followed> {
        let ahead = self.entries.iter().enumerate().skip(seen.next + 1).take(AHEAD_MAX - 1);
        for (index, entry) in ahead {
            if let Some(end) = entry.end_at(text, at) {
                return Some(seen.note(index, entry.step, end));
            }
        }
        None
    }

    /// The name of an entry that was followed.
    pub(super) fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// Forgets the entries that this object did not have; what remains begins a new shape.
    #[inline(never)]
    pub(super) fn leave(&mut self, seen: Seen) -> &[Entry] {
        let mut index = 0;
        self.entries.retain(|_| {
            index += 1;
            seen.entries & (1 << (index - 1)) != 0
        });
        &self.entries
    }

    #[inline]
    pub(super) fn learn(&mut self, entry: Entry) {
        if self.again && self.entries.len() < SHAPE_MAX {
            self.entries.reserve_exact(SHAPE_MAX - self.entries.len());
            self.entries.push(entry);
        }
    }

    /// An object at this place has ended.
    #[inline(always)]
    pub(super) fn close(&mut self) {
        self.again = true;
    }
}

/// Up to eight bytes at `at`, as a number; 0 bytes past the end of the text.
#[inline(always)]
fn word(text: &[u8], at: usize, len: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    match rest.first_chunk::<8>() {
        Some(bytes) => u64::from_le_bytes(*bytes) & (u64::MAX >> (64 - 8 * len.min(8))),
        None => rest.iter().take(len).rev().fold(0, |word, b| word << 8 | u64::from(*b)),
    }
}
