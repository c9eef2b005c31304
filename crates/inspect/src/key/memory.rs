//! What was seen before: records repeat their keys, and many of their values.

use super::{Hint, hint};

/// Slots for names, a power of two.
const SLOTS: usize = 1_024;

/// Longest name that is remembered, in bytes.
const NAME_MAX: usize = 32;

/// Slots that are tried for a name.
const TRIES: usize = 4;

/// One line of the processor's cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Slot {
    len: u8,
    clean: bool,
    hint: Hint,
    name: Name,
}

/// A name of at most [`NAME_MAX`] bytes, as numbers, with zeros behind it.
type Name = [u64; 4];

/// What is known of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Known {
    pub(crate) hint: Hint,
    /// True if the name itself holds nothing.
    pub(crate) clean: bool,
}

/// A memory of fixed size; what finds no room is worked out anew each time.
pub(crate) struct Keys {
    slots: Box<[Slot; SLOTS]>,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let free = Slot { len: 0, clean: true, hint: Hint::None, name: [0; 4] };
        Self { slots: Box::new([free; SLOTS]) }
    }

    /// What the name `start..end` of `bytes` says; `is_clean` is asked once for each name that is remembered.
    #[inline(always)]
    pub(crate) fn of(
        &mut self,
        bytes: &[u8],
        start: usize,
        end: usize,
        is_clean: fn(&[u8]) -> bool,
    ) -> Known {
        let len = end.saturating_sub(start);
        if len == 0 {
            return Known { hint: Hint::None, clean: true };
        }
        if len > NAME_MAX {
            return work_out(bytes.get(start..end).unwrap_or_default(), is_clean);
        }
        let name = padded(bytes, start, len);
        let first = slot_of(&name, len);
        if let Some(slot) = self.slots.get(first % SLOTS)
            && slot.name == name
            && usize::from(slot.len) == len
        {
            return Known { hint: slot.hint, clean: slot.clean };
        }
        self.search(first, bytes.get(start..end).unwrap_or_default(), name, is_clean)
    }

    /// Looks for it in the next slots, or learns it.
    #[inline(never)]
    fn search(&mut self, first: usize, spelled: &[u8], name: Name, is_clean: fn(&[u8]) -> bool) -> Known {
        for place in (first..first + TRIES).map(|slot| slot % SLOTS) {
            let Some(slot) = self.slots.get_mut(place) else { break };
            if usize::from(slot.len) == spelled.len() && slot.name == name {
                return Known { hint: slot.hint, clean: slot.clean };
            }
            if slot.len == 0 {
                let known = work_out(spelled, is_clean);
                *slot = Slot { len: spelled.len() as u8, clean: known.clean, hint: known.hint, name };
                return known;
            }
        }
        work_out(spelled, is_clean)
    }
}

#[cold]
fn work_out(name: &[u8], is_clean: fn(&[u8]) -> bool) -> Known {
    Known { hint: hint(name), clean: is_clean(name) }
}

/// For each length ones where the name is.
static MASKS: [Name; NAME_MAX + 1] = {
    let mut masks = [[0; 4]; NAME_MAX + 1];
    let mut bit = 0;
    while bit < (NAME_MAX + 1) * NAME_MAX {
        let (len, place) = (bit / NAME_MAX, bit % NAME_MAX);
        if place < len {
            #[expect(
                clippy::indexing_slicing,
                reason = "built at compile time, places are below their number"
            )]
            {
                masks[len][place / 8] |= 0xFF << (place % 8 * 8);
            }
        }
        bit += 1;
    }
    masks
};

/// Reads the name, without a loop where the document goes on behind it.
#[inline(always)]
fn padded(bytes: &[u8], start: usize, len: usize) -> Name {
    let mut short = [0; NAME_MAX];
    let window = match bytes.get(start..).and_then(<[u8]>::first_chunk::<NAME_MAX>) {
        Some(window) => window,
        None => {
            fill(&mut short, bytes.get(start..start + len).unwrap_or_default());
            &short
        }
    };
    let mut name = MASKS.get(len).copied().unwrap_or_default();
    let (words, _) = window.as_chunks::<8>();
    for (place, word) in name.iter_mut().zip(words) {
        *place &= u64::from_le_bytes(*word);
    }
    name
}

#[cold]
fn fill(window: &mut [u8; NAME_MAX], name: &[u8]) {
    for (place, b) in window.iter_mut().zip(name) {
        *place = *b;
    }
}

#[inline(always)]
fn slot_of(name: &Name, len: usize) -> usize {
    let [a, b, c, d] = *name;
    let mixed = a ^ b.rotate_left(23) ^ c.rotate_left(41) ^ d.rotate_left(11) ^ len as u64;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
}

/// Slots for values.
const VALUES: usize = 256;

/// Shortest and longest value that is remembered: shorter ones cost little, longer ones repeat less.
const VALUE_MIN: usize = 24;
const VALUE_MAX: usize = 224;

/// Values that hold nothing, such as the names of browsers.
pub(crate) struct CleanValues {
    slots: Vec<(u8, [u8; VALUE_MAX])>,
}

impl CleanValues {
    pub(crate) fn new() -> Self {
        Self { slots: vec![(0, [0; VALUE_MAX]); VALUES] }
    }

    fn place(value: &[u8]) -> Option<usize> {
        if !(VALUE_MIN..=VALUE_MAX).contains(&value.len()) {
            return None;
        }
        let eight = |at: usize| {
            value.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u64::from_le_bytes(*word))
        };
        let mixed =
            eight(0) ^ eight(value.len() - 8).rotate_left(21) ^ eight(value.len() / 2).rotate_left(42);
        let mixed = (mixed ^ value.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Some((mixed >> 40) as usize % VALUES)
    }

    /// True if this very value was looked at before and held nothing.
    #[inline]
    pub(crate) fn knows(&self, value: &[u8]) -> bool {
        let slot = Self::place(value).and_then(|place| self.slots.get(place));
        slot.is_some_and(|(len, known)| known.get(..usize::from(*len)) == Some(value))
    }

    pub(crate) fn learn(&mut self, value: &[u8]) {
        if let Some((len, known)) = Self::place(value).and_then(|place| self.slots.get_mut(place))
            && let Some(place) = known.get_mut(..value.len())
        {
            place.copy_from_slice(value);
            *len = value.len() as u8;
        }
    }
}
