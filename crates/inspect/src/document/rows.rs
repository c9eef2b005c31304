//! Tables within JSON: an array of names, and arrays of values in the same order.

use crate::key::{self, Hint};

/// Most columns whose names are looked at.
const COLUMNS_MAX: usize = 64;

/// Longest array of names, in bytes.
const NAMES_MAX: usize = 4_096;

/// An array without arrays or objects in it: where it stands, and how deep.
#[derive(Clone, Copy, Default)]
struct List {
    start: usize,
    end: usize,
    depth: usize,
    in_array: bool,
}

/// What the names of columns say of the cells of a row.
#[derive(Default)]
pub(super) struct Rows {
    /// The array that was opened last, while nothing was opened in it, and the last one that was closed.
    open: Option<List>,
    names: Option<List>,
    /// The array whose names `hints` are.
    known: usize,
    hints: Vec<Hint>,
    /// How deep the cells of the row stand that is being read; 0 where none is. Which of its cells comes next.
    depth: usize,
    column: usize,
}

impl Rows {
    #[inline(always)]
    pub(super) fn is_on(&self) -> bool {
        self.depth > 0
    }

    /// An array opens at `at`, in an array or in something else that stands `depth` deep. What its first cell is.
    pub(super) fn enter_array(
        &mut self,
        bytes: &[u8],
        at: usize,
        depth: usize,
        in_array: bool,
    ) -> Option<Hint> {
        self.open = Some(List { start: at, end: at, depth, in_array });
        if !in_array || self.is_on() {
            return None;
        }
        // The names stand beside the rows, or are the first of them.
        let names = self.names.filter(|names| names.depth == depth || names.depth + 1 == depth)?;
        if self.known != names.start + 1 {
            self.known = names.start + 1;
            self.hints = hints(bytes.get(names.start..names.end).unwrap_or_default());
        }
        if self.hints.is_empty() {
            return None;
        }
        (self.depth, self.column) = (depth + 1, 0);
        self.hints.first().copied()
    }

    #[inline]
    pub(super) fn enter_object(&mut self) {
        self.open = None;
    }

    /// What is `depth` deep closes before `end`, and stood in something that is one less deep.
    pub(super) fn leave(&mut self, end: usize, depth: usize, array: bool) {
        if self.depth == depth {
            self.depth = 0;
        }
        match self.open.take().filter(|_| array) {
            // A row is no list of names once there are names.
            Some(list) if list.in_array && self.names.is_some_and(|names| self.known == names.start + 1) => {}
            Some(list) => self.names = Some(List { end, ..list }),
            None if self.names.is_some_and(|names| names.depth >= depth) => self.names = None,
            None => {}
        }
    }

    /// What the next cell is, if a comma `depth` deep parts cells.
    pub(super) fn next_cell(&mut self, depth: usize) -> Option<Hint> {
        if self.depth != depth {
            return None;
        }
        self.column += 1;
        Some(self.hints.get(self.column).copied().unwrap_or_default())
    }
}

/// What each name says; nothing if none says anything, or if there is more than names.
fn hints(array: &[u8]) -> Vec<Hint> {
    let mut hints = Vec::new();
    if array.len() > NAMES_MAX {
        return hints;
    }
    for (place, part) in array.split(|b| *b == b'"').enumerate() {
        let between = place % 2 == 0;
        if between && part.iter().any(u8::is_ascii_alphanumeric) || hints.len() == COLUMNS_MAX {
            return Vec::new();
        }
        if !between {
            hints.push(key::hint(part));
        }
    }
    if !hints.iter().any(|hint| hint.is_telling()) {
        hints.clear();
    }
    hints
}
