//! Identifiers that were cut into values which follow each other: elements of an array, or fields that are
//! numbered, `card1` and `card2`.

use crate::key::Hint;
use crate::lanes::WIDTH;
use crate::quick::{self, Suspects, Value};
use crate::{Finding, Kind, scan_suspects};

/// Most parts, and most bytes of all of them together: what is cut finer, or longer, is not put together.
const PARTS_MAX: usize = 8;
const JOINED_MAX: usize = WIDTH;

/// Fewest bytes that can be an identifier.
const JOINED_MIN: usize = 8;

/// Fewest digits of a number that counts when it was cut.
const DIGITS_MIN: usize = 8;

/// Values that follow each other and may be parts of one identifier. Of many, the last few are remembered.
///
/// ```
/// use inspect::{Kind, Parts};
///
/// let mut parts = Parts::default();
/// assert!(parts.push(b"ann@exa", 0).is_none());
/// let cut = parts.push(b"mple.org, by mail", 1).expect("an address is cut in two");
/// assert_eq!(cut.finding.kind, Kind::Email);
/// let places: Vec<_> = cut.pieces.iter().map(|piece| (piece.tag, piece.start, piece.end)).collect();
/// assert_eq!(places, [(0, 0, 7), (1, 0, 8)]);
/// ```
#[derive(Default)]
pub struct Parts {
    joined: Vec<u8>,
    /// Where each part begins in `joined`, and what the caller calls it.
    begins: Vec<(usize, usize)>,
}

impl std::fmt::Debug for Parts {
    /// How many there are: a part is somebody's data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parts({})", self.begins.len())
    }
}

/// An identifier that several values make together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// What it is; its place is that in all parts joined.
    pub finding: Finding,
    /// What each value has of it, in order; two at least.
    pub pieces: Vec<Piece>,
}

/// What one value has of an identifier that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// What the caller calls the value.
    pub tag: usize,
    /// Its first byte in that value.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
}

impl Parts {
    /// Forgets them: what comes next is no part of what came before.
    #[inline]
    pub fn clear(&mut self) {
        self.begins.clear();
        self.joined.clear();
    }

    /// Adds a value, which the caller calls `tag`, and says what it makes with those before it. What was found is forgotten.
    #[inline]
    pub fn push(&mut self, part: &[u8], tag: usize) -> Option<Cut> {
        if part.is_empty() || part.len() > JOINED_MAX {
            self.clear();
            return None;
        }
        self.make_room(part.len());
        self.begins.push((self.joined.len(), tag));
        self.joined.extend_from_slice(part);
        let enough = self.begins.len() > 1 && self.joined.len() >= JOINED_MIN;
        let cut = if enough { self.look() } else { None };
        if cut.is_some() {
            self.clear();
        }
        cut
    }

    /// Forgets the oldest, so that so many bytes more have room.
    fn make_room(&mut self, more: usize) {
        let fits = |place: usize, from: usize| {
            self.joined.len() - from + more <= JOINED_MAX && self.begins.len() - place < PARTS_MAX
        };
        let Some(place) = self.begins.iter().enumerate().position(|(place, (from, _))| fits(place, *from))
        else {
            return self.clear();
        };
        if let Some((from, _)) = self.begins.get(place).copied().filter(|(from, _)| *from > 0) {
            self.joined.drain(..from);
            self.begins.drain(..place);
            self.begins.iter_mut().for_each(|(begin, _)| *begin -= from);
        }
    }

    fn look(&self) -> Option<Cut> {
        if !self.may_hold() {
            return None;
        }
        let earlier = self.begins.split_last().map_or(&[][..], |(_, earlier)| earlier);
        let finding = earlier.iter().find_map(|(from, _)| self.look_from(*from))?;
        let ends = self.begins.iter().skip(1).map(|(from, _)| *from).chain([self.joined.len()]);
        let piece = |((from, tag), to): ((usize, usize), usize)| {
            let (first, last) = (finding.start.max(from), finding.end.min(to));
            (first < last).then(|| Piece { tag, start: first - from, end: last - from })
        };
        let pieces = self.begins.iter().copied().zip(ends).filter_map(piece).collect();
        Some(Cut { finding, pieces })
    }

    /// What no cut identifier is without: a sign of an address or token, or digits.
    fn may_hold(&self) -> bool {
        let digits = self.joined.iter().filter(|b| b.is_ascii_digit()).count();
        digits >= DIGITS_MIN
            || self.joined.contains(&b'@')
            || self.joined.windows(3).any(|three| three == b"eyJ")
    }

    /// What begins in the part that begins there, or later. A part that goes on with a word hides where another begins.
    fn look_from(&self, from: usize) -> Option<Finding> {
        let word =
            |at: Option<usize>| at.and_then(|at| self.joined.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        if from > 0 && !(word(from.checked_sub(1)) && word(Some(from))) {
            return None;
        }
        let text = self.joined.get(from..).unwrap_or_default();
        let suspects = quick::suspects(Value::alone(text, Hint::None));
        if suspects == Suspects::NONE {
            return None;
        }
        let mut found = Vec::new();
        scan_suspects(text, suspects, Hint::None, &mut found);
        let shifted = |f: Finding| Finding { start: f.start + from, end: f.end + from, ..f };
        found.into_iter().map(shifted).find(|finding| self.is_cut(finding))
    }

    /// True for what ends in the last part, begins in an earlier one, and is not made by chance of numbers that
    /// only stand side by side.
    fn is_cut(&self, finding: &Finding) -> bool {
        let last = self.begins.last().map_or(0, |(from, _)| *from);
        let crosses = finding.start < last && finding.end > last;
        crosses
            && match finding.kind {
                Kind::Email | Kind::Iban | Kind::Jwt => true,
                // As on a card: in groups of four.
                Kind::Card => {
                    finding.end - finding.start == 16
                        && self.begins.iter().all(|(from, _)| from.saturating_sub(finding.start) % 4 == 0)
                }
                Kind::Phone => self.joined.get(finding.start) == Some(&b'+'),
                _ => false,
            }
    }
}
