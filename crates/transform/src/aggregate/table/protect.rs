//! Which cells must be withheld besides, so that those withheld for their own sake cannot be computed.
//!
//! A table with margins is a set of equations: each row sums up to its margin, each column too. The unknowns are what is
//! withheld. They can be read as a network: rows and columns are nodes, each withheld cell is an edge between its row and its
//! column, and what the equations leave open of a cell is a flow around a cycle through it (Gusfield 1988; Kelly, Golden and
//! Assad 1992). A cell on no cycle is determined. How far it can move, with no number under zero, is a maximal flow; where that
//! is not far enough the cheapest further cycle is withheld.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::TableError;

/// The numbers of a table with its margins, and what is withheld.
pub(super) struct Grid {
    rows: usize,
    columns: usize,
    values: Vec<u64>,
    hidden: Vec<bool>,
}

/// A cell that is withheld for its own sake, and how far it must be able to move.
pub(super) struct Need {
    pub(super) cell: usize,
    pub(super) up: u64,
    pub(super) down: u64,
}

/// Which way a cell is moved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

impl Way {
    const fn turned(self, turn: bool) -> Self {
        match (self, turn) {
            (Self::Up, false) | (Self::Down, true) => Self::Up,
            _ => Self::Down,
        }
    }
}

/// A step to a node over a cell, and what it does to that cell.
#[derive(Clone, Copy)]
struct Step {
    from: usize,
    cell: usize,
    way: Way,
}

impl Grid {
    /// Fills the margins in.
    pub(super) fn new(rows: usize, columns: usize, inner: impl Fn((usize, usize)) -> u64) -> Self {
        let sum = |cells: &mut dyn Iterator<Item = (usize, usize)>| cells.map(&inner).sum();
        let mut values = Vec::with_capacity((rows + 1) * (columns + 1));
        for row in 0..rows {
            values.extend((0..columns).map(|column| inner((row, column))));
            values.push(sum(&mut (0..columns).map(|column| (row, column))));
        }
        values.extend((0..columns).map(|column| sum(&mut (0..rows).map(|row| (row, column)))));
        values.push(sum(&mut (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)))));
        let hidden = vec![false; values.len()];
        Self { rows: rows + 1, columns: columns + 1, values, hidden }
    }

    pub(super) fn value(&self, cell: usize) -> u64 {
        self.values.get(cell).copied().unwrap_or(0)
    }

    /// Row by row, with nothing in place of what is withheld.
    pub(super) fn shown(&self) -> impl Iterator<Item = Option<u64>> {
        self.values.iter().zip(&self.hidden).map(|(value, hidden)| (!hidden).then_some(*value))
    }

    /// Withholds what is needed.
    ///
    /// # Errors
    /// [`TableError::Thin`] when no choice is enough.
    pub(super) fn protect(&mut self, needs: &[Need]) -> Result<(), TableError> {
        needs.iter().for_each(|need| self.hide(need.cell));
        for need in needs {
            // INVARIANT: what is withheld later only leaves more open, so that each cell needs to be looked at once.
            self.open(need.cell, Way::Up, need.up)?;
            self.open(need.cell, Way::Down, need.down)?;
        }
        let wide = |need: &Need| {
            self.movable(need.cell, Way::Up, need.up).0 >= need.up
                && self.movable(need.cell, Way::Down, need.down).0 >= need.down
        };
        if needs.iter().all(wide) { Ok(()) } else { Err(TableError::Thin) }
    }

    /// Withholds cycles through a cell until it can move so far.
    fn open(&mut self, cell: usize, way: Way, need: u64) -> Result<(), TableError> {
        loop {
            let (far, moved) = self.movable(cell, way, need);
            if far >= need {
                return Ok(());
            }
            // One cycle for all that is missing, or for half of it, and so on: small cells can add up.
            let missing = need - far;
            let parts =
                std::iter::successors(Some(missing), |part| Some(part / 2)).take_while(|part| *part > 0);
            let path = parts.filter_map(|part| self.cheapest(&moved, cell, way, part)).next();
            // INVARIANT: a path over withheld cells alone would have been used by the flow: each turn withholds one more.
            let path = path.ok_or(TableError::Thin)?;
            path.into_iter().for_each(|cell| self.hide(cell));
        }
    }

    fn hide(&mut self, cell: usize) {
        if let Some(hidden) = self.hidden.get_mut(cell) {
            *hidden = true;
        }
    }

    /// How far a cell can be moved, up to what is needed, and the table then.
    fn movable(&self, cell: usize, way: Way, need: u64) -> (u64, Vec<u64>) {
        let (mut far, mut values) = (0, self.values.clone());
        while far < need {
            let Some(path) = self.shortest(&values, cell, way) else { break };
            let room = path.iter().map(|step| capacity(&values, step)).min().unwrap_or(0).min(need - far);
            for step in &path {
                if let Some(value) = values.get_mut(step.cell) {
                    *value = match step.way {
                        Way::Up => value.saturating_add(room),
                        Way::Down => value.saturating_sub(room),
                    };
                }
            }
            far += room;
        }
        (far, values)
    }

    /// Whether a cell counts on the other side of its equations: a margin, but not the total.
    fn turned(&self, cell: usize) -> bool {
        let (row, column) = (cell / self.columns, cell % self.columns);
        (row + 1 == self.rows) != (column + 1 == self.columns)
    }

    /// The steps from a node: rows come first, columns after them. `moved` and `way` are what the cycle is for.
    fn steps(&self, node: usize, moved: usize, way: Way) -> impl Iterator<Item = (usize, Step)> {
        let from_row = node < self.rows;
        let others = if from_row { 0..self.columns } else { 0..self.rows };
        let way = way.turned(self.turned(moved));
        others.filter_map(move |other| {
            let (row, column) = if from_row { (node, other) } else { (other, node - self.rows) };
            let cell = row * self.columns + column;
            let to = if from_row { self.rows + other } else { other };
            // What is moved in one cell of a row or column is moved back in the next.
            let step = Step { from: node, cell, way: way.turned(self.turned(cell) == from_row) };
            (cell != moved).then_some((to, step))
        })
    }

    /// A shortest path over withheld cells that closes a cycle through a cell, with room for one at least.
    fn shortest(&self, values: &[u64], cell: usize, way: Way) -> Option<Vec<Step>> {
        let (target, start) = (cell / self.columns, self.rows + cell % self.columns);
        let mut reached: Vec<Option<Step>> = vec![None; self.rows + self.columns];
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for (to, step) in self.steps(node, cell, way) {
                let open =
                    self.hidden.get(step.cell).copied().unwrap_or(false) && capacity(values, &step) > 0;
                let fresh = to != start && reached.get(to).is_some_and(Option::is_none);
                if open
                    && fresh
                    && let Some(entry) = reached.get_mut(to)
                {
                    *entry = Some(step);
                    queue.push_back(to);
                }
            }
            if reached.get(target).is_some_and(Option::is_some) {
                return Some(path(&reached, start, target));
            }
        }
        None
    }

    /// The cells of a path with room for `part` that withholds the least of what is shown.
    fn cheapest(&self, values: &[u64], cell: usize, way: Way, part: u64) -> Option<Vec<usize>> {
        let (target, start) = (cell / self.columns, self.rows + cell % self.columns);
        let mut reached: Vec<Option<Step>> = vec![None; self.rows + self.columns];
        let mut costs = vec![u64::MAX; self.rows + self.columns];
        let mut queue = BinaryHeap::from([Reverse((0_u64, start))]);
        while let Some(Reverse((cost, node))) = queue.pop() {
            if node == target {
                return Some(path(&reached, start, target).into_iter().map(|step| step.cell).collect());
            }
            if costs.get(node).is_none_or(|least| cost > *least) {
                continue;
            }
            for (to, step) in self.steps(node, cell, way).filter(|(_, step)| capacity(values, step) >= part) {
                let hidden = self.hidden.get(step.cell).copied().unwrap_or(false);
                let price = if hidden { 1 } else { self.value(step.cell).saturating_add(2) };
                let total = cost.saturating_add(price);
                if to != start
                    && let (Some(least), Some(entry)) = (costs.get_mut(to), reached.get_mut(to))
                    && total < *least
                {
                    (*least, *entry) = (total, Some(step));
                    queue.push(Reverse((total, to)));
                }
            }
        }
        None
    }
}

/// How far a step can go: nothing is under zero, and everything can grow.
fn capacity(values: &[u64], step: &Step) -> u64 {
    match step.way {
        Way::Up => u64::MAX,
        Way::Down => values.get(step.cell).copied().unwrap_or(0),
    }
}

/// The steps that led from one node to another.
fn path(reached: &[Option<Step>], start: usize, target: usize) -> Vec<Step> {
    let mut at = target;
    let mut steps = Vec::new();
    while at != start
        && let Some(step) = reached.get(at).copied().flatten()
    {
        steps.push(step);
        at = step.from;
    }
    steps
}
