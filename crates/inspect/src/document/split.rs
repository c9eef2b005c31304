//! Identifiers that were cut into the elements of an array, or into fields that are numbered: `card1`, `card2`.

use crate::key::Hint;
use crate::lanes::WIDTH;
use crate::quick::{self, Suspects, Value};
use crate::{Finding, Kind, scan_suspects};

/// Most parts, and most bytes of all of them together: what is cut finer, or longer, is not put together.
const PARTS_MAX: usize = 8;
const JOINED_MAX: usize = WIDTH;

/// Values that follow each other.
#[derive(Default)]
pub(super) struct Fragments {
    joined: Vec<u8>,
    /// Where each part begins, in the document and in `joined`.
    parts: Vec<(usize, usize)>,
}

impl Fragments {
    #[inline]
    pub(super) fn clear(&mut self) {
        self.parts.clear();
    }

    /// Adds the value at `start..end`, and what it makes with those before it.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8], start: usize, end: usize, out: &mut Vec<Finding>) {
        let part = bytes.get(start..end).unwrap_or_default();
        if self.parts.is_empty() {
            self.joined.clear();
        }
        let fits = self.joined.len() + part.len() <= JOINED_MAX && self.parts.len() < PARTS_MAX;
        if part.is_empty() || !fits {
            self.clear();
            return;
        }
        self.parts.push((start, self.joined.len()));
        self.joined.extend_from_slice(part);
        if self.parts.len() > 1 && self.joined.len() >= 8 {
            self.look(out);
        }
    }

    fn look(&mut self, out: &mut Vec<Finding>) {
        let suspects = quick::suspects(Value::alone(&self.joined, Hint::None));
        if suspects == Suspects::NONE {
            return;
        }
        let mut found = Vec::new();
        scan_suspects(&self.joined, suspects, Hint::None, &mut found);
        let whole = found.into_iter().find(|finding| self.is_cut(finding));
        let floor = out.last().map_or(0, |finding| finding.end);
        let Some(whole) = whole.filter(|_| self.parts.first().is_some_and(|(start, _)| floor <= *start))
        else {
            return;
        };
        for (place, (start, from)) in self.parts.iter().enumerate() {
            let to = self.parts.get(place + 1).map_or(self.joined.len(), |(_, next)| *next);
            let (first, last) = (whole.start.max(*from), whole.end.min(to));
            if first < last {
                out.push(Finding { start: start + first - from, end: start + last - from, ..whole });
            }
        }
        self.clear();
    }

    /// True for what ends in the last part, begins in an earlier one, and is not made by chance of numbers that
    /// only stand side by side.
    fn is_cut(&self, finding: &Finding) -> bool {
        let last = self.parts.last().map_or(0, |(_, from)| *from);
        let crosses = finding.start < last && finding.end > last;
        crosses
            && match finding.kind {
                Kind::Email | Kind::Iban | Kind::Jwt => true,
                // As on a card: in groups of four.
                Kind::Card => {
                    finding.end - finding.start == 16
                        && self.parts.iter().all(|(_, from)| from.saturating_sub(finding.start) % 4 == 0)
                }
                Kind::Phone => self.joined.get(finding.start) == Some(&b'+'),
                _ => false,
            }
    }
}
