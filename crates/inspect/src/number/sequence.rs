//! Groups of digits and what joins them.

/// Most groups of one sequence; more digits begin the next one.
const GROUPS_MAX: usize = 24;

/// Most separators between two groups: `) (`.
const SEPARATORS_MAX: usize = 3;

/// A run of digits, as places in the text.
#[derive(Clone, Copy, Default)]
pub(super) struct Group {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Group {
    pub(super) fn len(self) -> usize {
        self.end - self.start
    }

    /// True if exactly `separator` stands between this group and the next one.
    pub(super) fn joined_by(self, text: &[u8], next: &Self, separator: &[u8]) -> bool {
        text.get(self.end..next.start) == Some(separator)
    }
}

/// Groups of digits that only separators part.
pub(super) struct Sequence {
    groups: [Group; GROUPS_MAX],
    count: usize,
    digits: usize,
    /// The byte after the sequence.
    next: u8,
}

impl Sequence {
    /// Reads the sequence whose first digit is at `start`.
    pub(super) fn read(text: &[u8], start: usize) -> Self {
        let mut sequence = Self { groups: [Group::default(); GROUPS_MAX], count: 0, digits: 0, next: b' ' };
        let mut at = start;
        for group in &mut sequence.groups {
            let rest = text.get(at..).unwrap_or_default();
            let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            *group = Group { start: at, end: at + len };
            sequence.count += 1;
            sequence.digits += len;
            sequence.next = rest.get(len).copied().unwrap_or(b' ');
            match separators(rest.get(len..).unwrap_or_default()) {
                Some(gap) => at += len + gap,
                None => break,
            }
        }
        sequence
    }

    #[inline]
    pub(super) fn groups(&self) -> &[Group] {
        self.groups.get(..self.count).unwrap_or_default()
    }

    #[inline]
    pub(super) fn digits(&self) -> usize {
        self.digits
    }

    #[inline]
    pub(super) fn end(&self) -> usize {
        self.groups().last().map_or(0, |group| group.end)
    }

    /// The byte after `run`, which is a part of this sequence's groups: that after the sequence
    /// if it is the last part, a space otherwise.
    pub(super) fn after(&self, run: &[Group]) -> Option<u8> {
        let last = run.last()?;
        Some(if last.end == self.end() { self.next } else { b' ' })
    }
}

/// The number of separators at the start of `rest`, if a digit follows them.
#[inline]
fn separators(rest: &[u8]) -> Option<usize> {
    let is_separator = |b: &&u8| matches!(**b, b' ' | b'.' | b'-' | b'/' | b'(' | b')');
    let gap = rest.iter().take(SEPARATORS_MAX).take_while(is_separator).count();
    (gap > 0 && rest.get(gap).is_some_and(u8::is_ascii_digit)).then_some(gap)
}
