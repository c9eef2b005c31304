//! Names that were seen before: records repeat their keys.

use super::{Hint, hint};

/// Slots, a power of two.
const SLOTS: usize = 1_024;

/// Longest name that is remembered, in bytes.
const NAME_MAX: usize = 32;

/// Slots that are tried for a name.
const TRIES: usize = 4;

#[derive(Clone, Copy)]
struct Slot {
    len: u8,
    clean: bool,
    hint: Hint,
    name: [u8; NAME_MAX],
}

/// What is known of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Known {
    pub(crate) hint: Hint,
    /// True if the name itself holds nothing.
    pub(crate) clean: bool,
}

/// A memory of fixed size; what finds no room is worked out anew each time.
pub(crate) struct Keys {
    slots: Vec<Slot>,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let free = Slot { len: 0, clean: true, hint: Hint::None, name: [0; NAME_MAX] };
        Self { slots: vec![free; SLOTS] }
    }

    /// What the name says; `is_clean` is asked once for each name that is remembered.
    #[inline]
    pub(crate) fn of(&mut self, name: &[u8], is_clean: impl Fn(&[u8]) -> bool) -> Known {
        if name.is_empty() {
            return Known { hint: Hint::None, clean: true };
        }
        let first = slot_of(name);
        for slot in (first..first + TRIES).map(|slot| slot % SLOTS) {
            let Some(slot) = self.slots.get_mut(slot) else { break };
            if usize::from(slot.len) == name.len() && slot.name.get(..name.len()) == Some(name) {
                return Known { hint: slot.hint, clean: slot.clean };
            }
            if slot.len == 0 {
                return learn(slot, name, is_clean(name));
            }
        }
        Known { hint: hint(name), clean: is_clean(name) }
    }
}

#[cold]
fn learn(slot: &mut Slot, name: &[u8], clean: bool) -> Known {
    let known = Known { hint: hint(name), clean };
    if let Some(place) = slot.name.get_mut(..name.len()) {
        place.copy_from_slice(name);
        (slot.len, slot.hint, slot.clean) = (name.len() as u8, known.hint, clean);
    }
    known
}

/// Length, both ends and the middle: names differ in these.
#[inline]
fn slot_of(name: &[u8]) -> usize {
    let word = |at: usize| {
        let four: Option<&[u8; 4]> = name.get(at..).and_then(<[u8]>::first_chunk);
        four.map_or_else(|| name.get(at..).unwrap_or_default().iter().fold(0, |sum, b| sum << 8 | u32::from(*b)), |four| u32::from_le_bytes(*four))
    };
    let (head, tail, middle) = (word(0), word(name.len().saturating_sub(4)), word(name.len() / 2));
    let mixed = (u64::from(head) | u64::from(tail) << 32) ^ (u64::from(middle) << 13) ^ name.len() as u64;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % SLOTS
}
