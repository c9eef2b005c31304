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

/// Groups of digits that only separators part. One value serves a whole scan.
pub(super) struct Sequence {
    groups: [Group; GROUPS_MAX],
    count: usize,
    digits: usize,
    /// The byte after the sequence.
    next: u8,
}

impl Sequence {
    pub(super) fn new() -> Self {
        Self { groups: [Group::default(); GROUPS_MAX], count: 0, digits: 0, next: b' ' }
    }

    /// Reads the sequence whose first digit is at `start`, in place of the one before.
    pub(super) fn read(&mut self, text: &[u8], start: usize) {
        (self.count, self.digits) = (0, 0);
        let mut at = start;
        for group in &mut self.groups {
            let rest = text.get(at..).unwrap_or_default();
            let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            *group = Group { start: at, end: at + len };
            self.count += 1;
            self.digits += len;
            self.next = rest.get(len).copied().unwrap_or(b' ');
            match separators(rest.get(len..).unwrap_or_default()) {
                Some(gap) => at += len + gap,
                None => break,
            }
        }
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

/// How many of `groups`, from the first on, the same separator joins.
pub(super) fn uniform(text: &[u8], groups: &[Group]) -> usize {
    let gap = |pair: &[Group]| match pair {
        [left, right] => text.get(left.end..right.start),
        _ => None,
    };
    let first = groups.get(..2).and_then(gap);
    let joined = groups.windows(2).take_while(|pair| gap(pair) == first).count();
    (joined + 1).min(groups.len())
}
