//! Whether what clients saw of registers can have happened one operation after another.
//!
//! Every value is written once, and every change names the value before it. So the last value tells the whole order of
//! changes, and a history is linearizable exactly if nothing that was answered contradicts that order, in what it says
//! or in when it was asked.

use std::collections::HashMap;
use std::time::Duration;

/// The value of a register that nobody has changed.
pub(crate) const NEW: u64 = 0;

/// What an operation did, or may have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Did {
    /// Changed one value into another.
    Swapped { old: u64, new: u64 },
    /// Found this value.
    Saw(u64),
}

/// An operation of a client, by the clock of the test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) register: usize,
    pub(crate) did: Did,
    pub(crate) asked: Duration,
    /// None if no answer came, or one that says that it is not known.
    pub(crate) answered: Option<Duration>,
}

/// What cannot have happened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A change that was acknowledged is not in the register's past.
    Lost(u64),
    /// A value that somebody found is not in the register's past.
    Vanished(u64),
    /// Nobody wrote this value, or its writer was told that it was not written.
    Unwritten(u64),
    /// An operation was asked for after the answer to another, and comes before it.
    OutOfOrder(Did),
}

/// Everything that contradicts the order of one register which ends with `last`.
pub(crate) fn contradictions(operations: &[Operation], last: u64) -> Vec<Broken> {
    let order = match order(operations, last) {
        Ok(order) => order,
        Err(broken) => return vec![broken],
    };
    let mut broken = Vec::new();
    let mut placed = Vec::new();
    for operation in operations {
        let (value, change) = match operation.did {
            Did::Swapped { new, .. } => (new, true),
            Did::Saw(value) => (value, false),
        };
        match (order.get(&value), change, operation.answered) {
            // A change comes before everybody who finds its value.
            (Some(place), ..) => placed.push((2 * place + usize::from(!change), operation)),
            (None, true, Some(_)) => broken.push(Broken::Lost(value)),
            (None, true, None) => {}
            (None, false, _) => broken.push(Broken::Vanished(value)),
        }
    }
    broken.extend(out_of_order(placed));
    broken
}

/// The place of each value, from the last one back.
fn order(operations: &[Operation], last: u64) -> Result<HashMap<u64, usize>, Broken> {
    let before: HashMap<u64, u64> = operations
        .iter()
        .filter_map(|o| match o.did {
            Did::Swapped { old, new } => Some((new, old)),
            Did::Saw(_) => None,
        })
        .collect();
    let mut values = vec![last];
    while let Some(&value) = values.last().filter(|value| **value != NEW) {
        let old = *before.get(&value).ok_or(Broken::Unwritten(value))?;
        // A value that comes twice was not written once.
        if values.len() > operations.len() {
            return Err(Broken::Unwritten(value));
        }
        values.push(old);
    }
    Ok(values.into_iter().rev().zip(0..).collect())
}

fn out_of_order(mut placed: Vec<(usize, &Operation)>) -> Vec<Broken> {
    let mut answers: Vec<(Duration, usize)> =
        placed.iter().filter_map(|(place, o)| Some((o.answered?, *place))).collect();
    answers.sort_unstable();
    placed.sort_by_key(|(_, o)| o.asked);
    let (mut answers, mut furthest) = (answers.into_iter().peekable(), 0);
    let mut broken = Vec::new();
    for (place, operation) in placed {
        while let Some((_, done)) = answers.next_if(|(at, _)| *at < operation.asked) {
            furthest = furthest.max(done);
        }
        if place < furthest {
            broken.push(Broken::OutOfOrder(operation.did));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(did: Did, asked: u64, answered: impl Into<Option<u64>>) -> Operation {
        let answered = answered.into().map(Duration::from_secs);
        Operation { register: 0, did, asked: Duration::from_secs(asked), answered }
    }

    fn swap(old: u64, new: u64, asked: u64, answered: impl Into<Option<u64>>) -> Operation {
        at(Did::Swapped { old, new }, asked, answered)
    }

    fn saw(value: u64, asked: u64, answered: u64) -> Operation {
        at(Did::Saw(value), asked, answered)
    }

    #[test]
    fn a_history_that_can_have_happened_is_taken() {
        let history = [
            swap(NEW, 1, 0, 2),
            saw(NEW, 1, 3),
            swap(1, 2, 3, None),
            swap(1, 9, 4, None),
            saw(1, 4, 20),
            swap(2, 3, 10, 12),
            saw(2, 11, 13),
            saw(3, 13, 14),
        ];
        assert_eq!(contradictions(&history, 3), []);
        assert_eq!(contradictions(&[], NEW), []);
    }

    #[test]
    fn a_history_that_cannot_have_happened_is_refused() {
        let start = [swap(NEW, 1, 0, 2), swap(1, 2, 3, 5)];
        let after = |more: Operation, last: u64| contradictions(&[start[0], start[1], more], last);
        assert_eq!(contradictions(&start, 1), [Broken::Lost(2)]);
        assert_eq!(contradictions(&start, 7), [Broken::Unwritten(7)]);
        assert_eq!(after(saw(1, 6, 7), 2), [Broken::OutOfOrder(Did::Saw(1))], "an old value");
        assert_eq!(after(saw(8, 6, 7), 2), [Broken::Vanished(8)]);
        assert_eq!(after(swap(1, 3, 4, 6), 2), [Broken::Lost(3)], "two changed the same value");
        assert_eq!(after(swap(1, 3, 4, 6), 3), [Broken::Lost(2)]);
        assert_eq!(after(swap(4, 2, 4, 6), 2), [Broken::Unwritten(4)], "its writer was told that it failed");
        let early = [swap(NEW, 1, 0, 9), saw(1, 2, 3), saw(NEW, 4, 5)];
        assert_eq!(contradictions(&early, 1), [Broken::OutOfOrder(Did::Saw(NEW))], "seen, and then not");
        let later = [swap(NEW, 1, 6, None), saw(1, 2, 3)];
        assert_eq!(contradictions(&later, 1), [Broken::OutOfOrder(Did::Swapped { old: NEW, new: 1 })]);
    }
}
