//! JSON and NDJSON by their quotation marks: a string before a colon is a name, any other a value.
//!
//! Nothing is refused here: what stands between strings and is no JSON is read as text, and a line's end closes
//! a string that was left open, so that one broken record hides no other.

use super::Scanner;
use super::marks::Marks;
use super::rows::Rows;
use crate::context::{number_hinted, scan_hinted};
use crate::decoded::Decoded;
use crate::ids::Wanted;
use crate::key::{self, Hint};
use crate::lanes::{Lanes, Work, widest};
use crate::number::may_begin_card;
use crate::quick::Value;
use crate::{Finding, Parts, Piece};

/// Deepest nesting in which outer names are remembered.
const DEPTH_MAX: usize = 64;

/// Fewest digits of a number that is a card or an identifier without a name.
const NUMBER_MIN: usize = 13;

/// Longest value that may name the next.
const TOLD_MAX: usize = 48;

struct Walk<'a, L> {
    lanes: L,
    scanner: &'a mut Scanner,
    bytes: &'a [u8],
    out: &'a mut Vec<Finding>,
    /// What the name before this value says.
    hint: Hint,
    /// What the names of the objects around it say.
    outer: [Hint; DEPTH_MAX],
    depth: usize,
    /// Which of them are arrays, a bit for each; and whether the name of the object says whose identifier is in it.
    arrays: u64,
    inside: bool,
    rows: Rows,
    /// Where the last value stands if it is short: it may name the next, `{"type":"pesel","value":…}`.
    told: (usize, usize),
    /// Values that may be parts of one: elements of an array, and fields whose names end with a number.
    parts: Parts,
    /// Where the last name stands, whether it ends with a figure, and whether what comes is an element of an array.
    name: (usize, usize),
    figure: bool,
    element: bool,
    /// Whether the operator's rules ask for every value.
    operators: bool,
}

/// A document and what looks at it.
struct Json<'a> {
    scanner: &'a mut Scanner,
    bytes: &'a [u8],
    out: &'a mut Vec<Finding>,
}

pub(super) fn scan(scanner: &mut Scanner, bytes: &[u8], out: &mut Vec<Finding>) {
    widest(Json { scanner, bytes, out });
}

impl Work for Json<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        walk(lanes, self.scanner, self.bytes, self.out);
    }
}

#[inline(always)]
fn walk<L: Lanes>(lanes: L, scanner: &mut Scanner, bytes: &[u8], out: &mut Vec<Finding>) {
    let operators = scanner.operators.is_some();
    let mut walk = Walk {
        lanes,
        scanner,
        bytes,
        out,
        hint: Hint::None,
        outer: [Hint::None; DEPTH_MAX],
        depth: 0,
        arrays: 0,
        inside: false,
        rows: Rows::default(),
        told: (0, 0),
        parts: Parts::default(),
        name: (0, 0),
        figure: false,
        element: false,
        operators,
    };
    let mut marks = Marks::new(lanes, bytes, *b"\"\\\n");
    let mut from = 0;
    while let Some(open) = marks.next() {
        if bytes.get(open) != Some(&b'"') {
            continue;
        }
        walk.gap(from, open, &marks);
        let (close, escaped) = close(&mut marks, bytes);
        from = walk.string(open + 1, close, escaped, &marks);
        // A string that a line's end has closed leaves that end to what comes after it.
        if from > close + 1 {
            marks.skip_to(from);
        }
    }
    walk.long_gap(from, bytes.len());
}

/// Where the string ends whose opening mark was read last, and whether anything in it is escaped.
#[inline(always)]
fn close<L: Lanes>(marks: &mut Marks<'_, L>, bytes: &[u8]) -> (usize, bool) {
    let mut escaped = false;
    while let Some(at) = marks.next() {
        if bytes.get(at) != Some(&b'\\') {
            return (at, escaped);
        }
        escaped = true;
        marks.skip_to(at + 2);
    }
    (bytes.len(), escaped)
}

impl<L: Lanes> Walk<'_, L> {
    /// Looks at the string `start..end`, of which `marks` has read the end; returns where to go on.
    #[inline(always)]
    fn string(&mut self, start: usize, end: usize, escaped: bool, marks: &Marks<'_, L>) -> usize {
        let after = end + usize::from(self.bytes.get(end) == Some(&b'"'));
        let colon = match self.bytes.get(after) {
            Some(b':') => Some(after + 1),
            Some(b' ' | b'\t' | b'\r' | b'\n') => self.colon_after_space(after),
            _ => None,
        };
        if let Some(next) = colon {
            self.name(start, end, escaped);
            return next;
        }
        let hint = if self.is_vague() { self.around() } else { self.hint };
        if escaped {
            self.scanner.spelled_value(self.bytes, (start, end), hint, Decoded::read_json, self.out);
        } else if hint.is_telling() || !marks.is_plain(start, end) || self.operators {
            self.scanner.value(self.lanes, Value { bytes: self.bytes, start, end, hint }, self.out);
        }
        if self.hint != Hint::Generic {
            self.told = (start, end);
        }
        if !escaped && (self.element || self.figure) {
            self.part(start, end);
        }
        self.element = true;
        after
    }

    /// Looks at a value that may be a part of what several make together.
    fn part(&mut self, start: usize, end: usize) {
        let Some(cut) = self.parts.push(self.bytes.get(start..end).unwrap_or_default(), start) else {
            return;
        };
        // What was found in one of them already stays what it is.
        let floor = self.out.last().map_or(0, |finding| finding.end);
        if cut.pieces.first().is_some_and(|piece| floor <= piece.tag + piece.start) {
            let whole = |piece: &Piece| (piece.tag + piece.start, piece.tag + piece.end);
            self.out.extend(cut.pieces.iter().map(whole).map(|(start, end)| Finding {
                start,
                end,
                ..cut.finding
            }));
        }
    }

    fn colon_after_space(&self, after: usize) -> Option<usize> {
        let rest = self.bytes.get(after..).unwrap_or_default();
        let space = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        (rest.get(space) == Some(&b':')).then_some(after + space + 1)
    }

    #[inline(always)]
    fn name(&mut self, start: usize, end: usize, escaped: bool) {
        let figure = end > start && self.bytes.get(end - 1).is_some_and(u8::is_ascii_digit);
        if !(figure && self.figure && self.is_numbered(start, end)) {
            self.parts.clear();
        }
        (self.name, self.figure, self.element) = ((start, end), figure, false);
        if escaped {
            self.scanner.spelled_value(self.bytes, (start, end), Hint::None, Decoded::read_json, self.out);
            self.hint = key::hint(self.scanner.scratch.text());
            return;
        }
        let known = self.scanner.known(self.bytes, start, end);
        self.hint = known.hint;
        if !known.clean {
            let name = self.bytes.get(start..end).unwrap_or_default();
            let first = self.out.len();
            scan_hinted(Hint::None, false, name, self.out);
            shift(self.out, first, start);
        }
    }

    /// True if the name is the last one but for the figure at its end.
    fn is_numbered(&self, start: usize, end: usize) -> bool {
        let stem = |start: usize, end: usize| self.bytes.get(start..end.saturating_sub(1));
        stem(start, end) == stem(self.name.0, self.name.1)
    }

    /// True if what is around the value may tell more of it than its name.
    #[inline(always)]
    fn is_vague(&self) -> bool {
        self.hint == Hint::Generic || self.inside && self.hint == Hint::None
    }

    /// For a name such as `value`: what the object's own name or the value before it says.
    #[cold]
    fn around(&mut self) -> Hint {
        let outer =
            self.depth.checked_sub(1).and_then(|depth| self.outer.get(depth)).copied().unwrap_or_default();
        // `home` and `contact` say which of several values it is, and not of what kind.
        let vague = |hint: Hint| !hint.is_telling() || matches!(hint, Hint::AnyAddress | Hint::AnyName);
        if !vague(outer) {
            return outer;
        }
        let (start, end) = self.told;
        let word = self.bytes.get(start..end).unwrap_or_default();
        if !(2..=TOLD_MAX).contains(&word.len()) || word.iter().any(u8::is_ascii_digit) {
            return outer;
        }
        let told = self.scanner.known(self.bytes, start, end).hint;
        if vague(told) { outer } else { told }
    }

    /// Looks at what stands between two strings: numbers, brackets, and what is no JSON.
    #[inline(always)]
    fn gap(&mut self, from: usize, to: usize, marks: &Marks<'_, L>) {
        match self.bytes.get(from..to) {
            Some([b',']) if self.rows.is_on() => self.long_gap(from, to),
            Some([] | [b',' | b':']) | None => {}
            Some(gap) => {
                // Most are one number that is too short to be anything.
                let digits = marks.digits(from);
                let lone = digits > 0 && gap.get(digits..) == Some(b",");
                if !(lone && is_quiet_number(gap, digits))
                    || self.hint.is_telling()
                    || self.is_vague()
                    || self.rows.is_on()
                {
                    self.long_gap(from, to);
                }
            }
        }
    }

    #[inline(never)]
    fn long_gap(&mut self, from: usize, to: usize) {
        let mut at = from;
        while at < to {
            let Some(b) = self.bytes.get(at).copied() else { return };
            at += match b {
                b'0'..=b'9' | b'-' => self.number(at, to),
                b'{' | b'[' => {
                    self.enter(b == b'{', at);
                    1
                }
                b'}' | b']' => {
                    self.leave(at);
                    1
                }
                b',' => {
                    if self.rows.is_on()
                        && let Some(hint) = self.rows.next_cell(self.depth)
                    {
                        self.hint = hint;
                    }
                    1
                }
                b' ' | b'\t' | b'\r' | b'\n' | b':' => 1,
                b't' | b'f' | b'n' => match self.literal(at, to) {
                    Some(len) => len,
                    None => return self.foreign(at, to),
                },
                _ => return self.foreign(at, to),
            };
        }
    }

    #[inline]
    fn number(&mut self, at: usize, to: usize) -> usize {
        let rest = self.bytes.get(at..to).unwrap_or_default();
        let digits = 1 + rest.iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
        let is_part = |b: &&u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E');
        let len = digits + rest.iter().skip(digits).take_while(is_part).count();
        let number = rest.get(..len).unwrap_or_default();
        let hint = if self.is_vague() { self.around() } else { self.hint };
        if let Some(mut finding) = number_hinted(hint, number) {
            finding.start += at;
            finding.end += at;
            self.out.push(finding);
        }
        len
    }

    fn literal(&self, at: usize, to: usize) -> Option<usize> {
        let rest = self.bytes.get(at..to).unwrap_or_default();
        let literal = [&b"true"[..], b"false", b"null"].into_iter().find(|word| rest.starts_with(word))?;
        let goes_on = rest.get(literal.len()).is_some_and(u8::is_ascii_alphanumeric);
        (!goes_on).then_some(literal.len())
    }

    /// What is no JSON is read as text, up to the next line.
    #[cold]
    fn foreign(&mut self, at: usize, to: usize) {
        let first = self.out.len();
        super::text::scan(self.bytes.get(at..to).unwrap_or_default(), self.out);
        shift(self.out, first, at);
    }

    #[inline]
    fn enter(&mut self, object: bool, at: usize) {
        if let Some(place) = self.outer.get_mut(self.depth) {
            *place = self.hint;
        }
        let in_array = self.is_array();
        let cell = if object { None } else { self.rows.enter_array(self.bytes, at, self.depth, in_array) };
        self.depth = (self.depth + 1).min(DEPTH_MAX);
        let bit = 1_u64 << (self.depth % DEPTH_MAX);
        self.arrays = if object { self.arrays & !bit } else { self.arrays | bit };
        self.element = !object;
        self.hint = cell.unwrap_or(self.hint);
        if object {
            self.rows.enter_object();
            self.inside = matches!(self.hint, Hint::Id(Wanted::Rule(_)));
            (self.hint, self.told) = (Hint::None, (0, 0));
            self.parts.clear();
        }
    }

    #[inline]
    fn leave(&mut self, at: usize) {
        self.rows.leave(at, self.depth, self.is_array());
        self.depth = self.depth.saturating_sub(1);
        self.hint = self.outer.get(self.depth).copied().unwrap_or_default();
        let around = self.depth.checked_sub(1).and_then(|depth| self.outer.get(depth));
        self.inside = !self.is_array() && matches!(around, Some(Hint::Id(Wanted::Rule(_))));
        self.told = (0, 0);
        self.parts.clear();
    }

    /// True if what is being read are the elements of an array.
    #[inline]
    fn is_array(&self) -> bool {
        self.arrays >> (self.depth % DEPTH_MAX) & 1 == 1
    }
}

/// True if the digits at the start of a gap are no card and have no length of an identifier.
#[inline(always)]
fn is_quiet_number(gap: &[u8], digits: usize) -> bool {
    if digits < NUMBER_MIN {
        return true;
    }
    let head = gap
        .first_chunk()
        .map_or(0, |four: &[u8; 4]| four.iter().fold(0, |number, b| number * 10 + u32::from(b & 15)));
    !matches!(digits, 13 | 15) && !may_begin_card(head)
}

fn shift(out: &mut [Finding], first: usize, by: usize) {
    for finding in out.iter_mut().skip(first) {
        finding.start += by;
        finding.end += by;
    }
}
