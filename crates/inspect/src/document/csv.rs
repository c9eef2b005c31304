//! CSV (RFC 4180) with any of the usual delimiters. The first row names the columns if none of its cells holds
//! a digit or an at sign.

use super::Scanner;
use super::marks::Marks;
use crate::Finding;
use crate::decoded::Decoded;
use crate::key::Hint;
use crate::lanes::{Lanes, Work, widest};
use crate::quick::Value;

/// Columns whose names are remembered.
const COLUMNS_MAX: usize = 4_096;

/// Bytes at the start in which the delimiter is looked for.
const HEAD_MAX: usize = 65_536;

/// A table and what looks at it.
struct Csv<'a> {
    scanner: &'a mut Scanner,
    bytes: &'a [u8],
    out: &'a mut Vec<Finding>,
}

pub(super) fn scan(scanner: &mut Scanner, bytes: &[u8], out: &mut Vec<Finding>) {
    widest(Csv { scanner, bytes, out });
}

impl Work for Csv<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        walk(lanes, self.scanner, self.bytes, self.out);
    }
}

#[inline(always)]
fn walk<L: Lanes>(lanes: L, scanner: &mut Scanner, bytes: &[u8], out: &mut Vec<Finding>) {
    let delimiter = delimiter(bytes);
    let mut rows =
        Cells { bytes, marks: Marks::new(lanes, bytes, [delimiter, b'"', b'\n']), at: 0, done: false };
    let mut hints: Vec<Hint> = Vec::new();
    let mut column = 0;
    let mut header = is_header(bytes);
    while let Some(cell) = rows.next_cell() {
        let mut hint = hints.get(column).copied().unwrap_or_default();
        if header {
            hint = Hint::None;
            if hints.len() < COLUMNS_MAX {
                hints.push(scanner.known(bytes, cell.start, cell.end).hint);
            }
        }
        if cell.doubled {
            scanner.spelled_value(bytes, (cell.start, cell.end), hint, Decoded::read_csv, out);
        } else {
            scanner.value(lanes, Value { bytes, start: cell.start, end: cell.end, hint }, out);
        }
        column += 1;
        if cell.last {
            (column, header) = (0, false);
        }
    }
}

struct Cell {
    start: usize,
    end: usize,
    /// Marks are doubled in it.
    doubled: bool,
    /// The last of its row.
    last: bool,
}

struct Cells<'a, L> {
    bytes: &'a [u8],
    marks: Marks<'a, L>,
    at: usize,
    done: bool,
}

impl<L: Lanes> Cells<'_, L> {
    #[inline(always)]
    fn next_cell(&mut self) -> Option<Cell> {
        if self.done {
            return None;
        }
        let start = self.at;
        if self.bytes.get(start) == Some(&b'"') {
            return Some(self.quoted(start + 1));
        }
        // Within a bare cell a quotation mark is a letter like others.
        let end = loop {
            match self.marks.next() {
                Some(at) if at < start || self.bytes.get(at) == Some(&b'"') => {}
                other => break other,
            }
        };
        Some(self.close(start, end, end.unwrap_or(self.bytes.len()), false))
    }

    fn quoted(&mut self, start: usize) -> Cell {
        let mut doubled = false;
        self.marks.skip_to(start);
        let end = loop {
            let Some(at) = self.marks.next() else { break self.bytes.len() };
            if self.bytes.get(at) != Some(&b'"') {
                continue;
            }
            if self.bytes.get(at + 1) != Some(&b'"') {
                break at;
            }
            doubled = true;
            self.marks.skip_to(at + 2);
        };
        // What stands between the closing mark and the delimiter belongs to the cell, too.
        let next = loop {
            match self.marks.next() {
                Some(at) if self.bytes.get(at) == Some(&b'"') => {}
                other => break other,
            }
        };
        let stray = next.unwrap_or(self.bytes.len()) > end + 2;
        let end = if stray { next.unwrap_or(self.bytes.len()) } else { end };
        self.close(start, next, end, doubled)
    }

    fn close(&mut self, start: usize, next: Option<usize>, end: usize, doubled: bool) -> Cell {
        let last = next.is_none_or(|at| self.bytes.get(at) == Some(&b'\n'));
        match next {
            Some(at) => self.at = at + 1,
            None => self.done = true,
        }
        let end = end.max(start).min(self.bytes.len());
        Cell { start: start.min(end), end, doubled, last }
    }
}

/// The delimiter that stands most often in the first line.
fn delimiter(bytes: &[u8]) -> u8 {
    let head = bytes.get(..HEAD_MAX.min(bytes.len())).unwrap_or_default();
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| memchr::memchr_iter(delimiter, line).count();
    // Of equals the last wins.
    *b"|\t;,".iter().max_by_key(|delimiter| count(**delimiter)).unwrap_or(&b',')
}

fn is_header(bytes: &[u8]) -> bool {
    let line = bytes.get(..HEAD_MAX.min(bytes.len())).unwrap_or_default().split(|b| *b == b'\n').next();
    line.is_some_and(|line| !line.is_empty() && !line.contains(&b'@') && !is_dense(line))
}

/// True if more than an eighth are digits.
fn is_dense(line: &[u8]) -> bool {
    line.iter().filter(|b| b.is_ascii_digit()).count() * 8 > line.len()
}
