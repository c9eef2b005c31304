//! Whole documents: JSON and NDJSON, CSV, and text. Findings carry offsets into the bytes as they came.

mod csv;
mod json;
mod marks;
mod rows;
mod stream;
mod text;

pub use stream::TextStream;

use std::cell::RefCell;
use std::sync::Arc;

use crate::context::{scan_hinted, scan_value};
use crate::decoded::Decoded;
use crate::key::{CleanValues, Hint, Keys, Known};
use crate::lanes::Lanes;
use crate::quick::{self, Suspects, Value};
use crate::{Finding, OperatorRules, settle};

pub(crate) use text::scan as scan_pieces;

/// Longest value whose spelling is undone as a whole, in bytes, and how much of a piece the next one sees again.
const SPELLED_MAX: usize = 65_536;
const OVERLAP: usize = 512;

/// Longest value that is looked at before it is known where each of its bytes came from.
const SHORT_MAX: usize = 256;

/// Scans documents and remembers the names of fields between them.
///
/// ```
/// use inspect::{Kind, Scanner};
///
/// let mut scanner = Scanner::new();
/// let mut found = Vec::new();
/// scanner.json(br#"{"pesel":"44051401359","count":12}"#, &mut found);
/// assert_eq!(found[0].kind, Kind::NationalId);
/// assert_eq!((found[0].start, found[0].end), (10, 21));
/// ```
pub struct Scanner {
    keys: Keys,
    clean: CleanValues,
    scratch: Decoded,
    operators: Option<Arc<OperatorRules>>,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scanner")
    }
}

impl Scanner {
    /// A scanner that has seen no names yet.
    #[must_use]
    pub fn new() -> Self {
        Self { keys: Keys::new(), clean: CleanValues::new(), scratch: Decoded::default(), operators: None }
    }

    /// Looks for the operator's kinds, too, in every value and text.
    #[must_use]
    pub fn with_operators(mut self, rules: Arc<OperatorRules>) -> Self {
        self.operators = Some(rules).filter(|rules| !rules.is_empty());
        self
    }

    /// Appends what it finds in JSON or NDJSON. What is no JSON is read as text.
    pub fn json(&mut self, bytes: &[u8], out: &mut Vec<Finding>) {
        json::scan(self, bytes, out);
    }

    /// Appends what it finds in CSV; commas, semicolons, tabs or bars part the cells.
    pub fn csv(&mut self, bytes: &[u8], out: &mut Vec<Finding>) {
        csv::scan(self, bytes, out);
    }

    /// Appends what it finds in text, or in bytes that may be anything.
    pub fn text(&mut self, bytes: &[u8], out: &mut Vec<Finding>) {
        let first = out.len();
        text::scan(bytes, out);
        self.operators(bytes, 0, first, out);
    }

    /// Adds what the operator's rules find in `value`, which stands at `start`, to what was found since `first`.
    fn operators(&self, value: &[u8], start: usize, first: usize, out: &mut Vec<Finding>) {
        let Some(rules) = &self.operators else { return };
        let own = out.len();
        rules.scan(value, out);
        for finding in out.iter_mut().skip(own) {
            finding.start += start;
            finding.end += start;
        }
        if out.len() > own {
            settle(first, out);
        }
    }

    /// Looks at one value, as it stands in the document.
    #[inline(always)]
    fn value<L: Lanes>(&mut self, lanes: L, value: Value<'_>, out: &mut Vec<Finding>) {
        if self.operators.is_some() {
            return self.value_with_operators(value, out);
        }
        if value.hint.is_telling() {
            return self.told_value(value, out);
        }
        let suspects = lanes.call(value);
        if suspects != Suspects::NONE {
            self.suspect_value(value, suspects, out);
        }
    }

    /// Looks at a value of which its field's name says what it is.
    #[inline(never)]
    fn told_value(&mut self, value: Value<'_>, out: &mut Vec<Finding>) {
        let first = out.len();
        scan_value(value.hint, false, value.text(), || quick::suspects(value), out);
        for finding in out.iter_mut().skip(first) {
            finding.start += value.start;
            finding.end += value.start;
        }
    }

    #[inline(never)]
    fn suspect_value(&mut self, value: Value<'_>, suspects: Suspects, out: &mut Vec<Finding>) {
        let Value { start, hint, .. } = value;
        let value = value.text();
        // What held nothing under no hint holds nothing under one that makes less of it.
        if self.clean.knows(value) {
            return;
        }
        let first = out.len();
        scan_value(hint, false, value, || suspects, out);
        for finding in out.iter_mut().skip(first) {
            finding.start += start;
            finding.end += start;
        }
        if !matches!(hint, Hint::Harmless | Hint::Version) && out.len() == first {
            self.clean.learn(value);
        }
    }

    #[cold]
    fn value_with_operators(&mut self, value: Value<'_>, out: &mut Vec<Finding>) {
        let first = out.len();
        self.told_value(value, out);
        self.operators(value.text(), value.start, first, out);
    }

    /// Looks at the value at `start..end`, whose spelling `read` undoes; a long one piece by piece.
    fn spelled_value(
        &mut self,
        bytes: &[u8],
        (start, end): (usize, usize),
        hint: Hint,
        read: fn(&mut Decoded, &[u8]),
        out: &mut Vec<Finding>,
    ) {
        let first = out.len();
        let short = (end - start <= SHORT_MAX) && !hint.is_telling() && self.operators.is_none();
        if short {
            let text = self.scratch.only_text(read, bytes.get(start..end).unwrap_or_default());
            if quick::is_quiet(Value::alone(text, hint)) {
                return;
            }
        }
        let mut from = start;
        loop {
            let to = if end - from > SPELLED_MAX { between_escapes(bytes, from + SPELLED_MAX) } else { end };
            read(&mut self.scratch, bytes.get(from..to).unwrap_or_default());
            self.decoded_value(from, hint, out);
            if to >= end {
                break;
            }
            from = between_escapes(bytes, to - OVERLAP);
        }
        if end - start > SPELLED_MAX {
            settle(first, out);
        }
    }

    /// Looks at a value whose spelling has been undone; `scratch` holds what it stands for.
    fn decoded_value(&mut self, start: usize, hint: Hint, out: &mut Vec<Finding>) {
        let first = out.len();
        scan_hinted(hint, false, self.scratch.text(), out);
        self.operators(self.scratch.text(), 0, first, out);
        for finding in out.iter_mut().skip(first) {
            let (from, to) = self.scratch.place(finding.start, finding.end);
            (finding.start, finding.end) = (start + from, start + to);
        }
    }

    #[inline(always)]
    fn known(&mut self, bytes: &[u8], start: usize, end: usize) -> Known {
        self.keys.of(bytes, start, end, crate::is_clean)
    }
}

/// A place at `at` or a little before that no escape reaches across.
fn between_escapes(bytes: &[u8], at: usize) -> usize {
    const LONGEST: usize = 12;
    let near = bytes.get(at.saturating_sub(OVERLAP / 2)..at).unwrap_or_default();
    let marked = |window: &[u8]| window.iter().any(|b| matches!(b, b'\\' | b'"'));
    let back = near.windows(LONGEST).rev().position(|window| !marked(window)).unwrap_or(0);
    text::char_start(bytes, at - back)
}

thread_local! {
    /// Names of fields are the same from one call to the next: what they say is worked out once a thread.
    static SCANNER: RefCell<Scanner> = RefCell::new(Scanner::new());
}

fn with_scanner(scan: impl FnOnce(&mut Scanner)) {
    SCANNER.with(|scanner| match scanner.try_borrow_mut() {
        Ok(mut scanner) => scan(&mut scanner),
        Err(_) => scan(&mut Scanner::new()),
    });
}

/// Appends what it finds in JSON or NDJSON, in order and without overlap, as offsets into `bytes`.
///
/// ```
/// let mut found = Vec::new();
/// inspect::scan_json(br#"{"mail":"ann@example.org"}"#, &mut found);
/// assert_eq!((found[0].start, found[0].end), (9, 24));
/// ```
pub fn scan_json(bytes: &[u8], out: &mut Vec<Finding>) {
    with_scanner(|scanner| scanner.json(bytes, out));
}

/// Appends what it finds in CSV, in order and without overlap, as offsets into `bytes`.
///
/// ```
/// let mut found = Vec::new();
/// inspect::scan_csv(b"name,bsn\nx,123456782\n", &mut found);
/// assert_eq!((found[0].start, found[0].end), (11, 20));
/// ```
pub fn scan_csv(bytes: &[u8], out: &mut Vec<Finding>) {
    with_scanner(|scanner| scanner.csv(bytes, out));
}

/// Appends what it finds in text or any bytes, in order and without overlap, as offsets into `bytes`.
///
/// ```
/// let mut found = Vec::new();
/// inspect::scan_text(b"my BSN is 123456782", &mut found);
/// assert_eq!((found[0].start, found[0].end), (10, 19));
/// ```
pub fn scan_text(bytes: &[u8], out: &mut Vec<Finding>) {
    with_scanner(|scanner| scanner.text(bytes, out));
}
