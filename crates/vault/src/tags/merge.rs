//! The thread that merges runs of about one length into a longer one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::PoisonError;

use super::Shared;
use super::run::{Run, Writer};

/// Where a merge writes.
const MERGED: &str = "merge.new";
/// Runs that are merged at once.
const FAN: usize = 8;
/// A run of so many rows (400 MB) is not merged any more.
const LONG: u64 = 1 << 24;
/// Rows between two looks whether to stop.
const LOOK: usize = 1 << 14;

/// Merges until it is told to stop. After an error it waits for the next run.
pub(super) fn run(shared: &Shared) {
    let mut refused = false;
    loop {
        let mut state = shared.state();
        while !state.stop && (refused || pick(&state.runs).is_none()) {
            state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            refused = false;
        }
        if state.stop {
            return;
        }
        let picked = pick(&state.runs).unwrap_or_default().to_vec();
        drop(state);
        if let Err(e) = merge(shared, &picked) {
            tracing::warn!(error = %e, "runs of the tag index were not merged; it will be tried again");
            refused = true;
        }
    }
}

/// The oldest neighbours that should become one. A run counts as long as the longest behind it, so that short ones
/// of a quiet time do not stay for ever between long ones.
fn pick(runs: &[Run]) -> Option<&[Run]> {
    let done = runs.iter().rposition(|r| r.rows >= LONG).map_or(0, |last| last + 1);
    let mut rest = runs.get(done..).unwrap_or_default();
    while !rest.is_empty() {
        let class = rest.iter().map(class).max();
        let end = rest.iter().rposition(|r| Some(self::class(r)) == class).map_or(0, |last| last + 1);
        let (same, shorter) = rest.split_at_checked(end)?;
        if same.len() >= FAN {
            return same.get(..FAN);
        }
        rest = shorter;
    }
    None
}

fn class(run: &Run) -> u32 {
    run.rows.checked_ilog(FAN as u64).unwrap_or(0)
}

fn merge(shared: &Shared, picked: &[Run]) -> io::Result<()> {
    let (Some(first), Some(last)) = (picked.first(), picked.last()) else { return Ok(()) };
    let disk = shared.disk.as_ref();
    let mut writer = Writer::begin(disk, MERGED)?;
    let mut inputs: Vec<_> = picked.iter().map(|run| run.rows(disk)).collect();
    let mut heads = BinaryHeap::new();
    for (place, input) in inputs.iter_mut().enumerate() {
        if let Some(row) = input.next() {
            heads.push(Reverse((row?, place)));
        }
    }
    let mut count = 0;
    while let Some(mut head) = heads.peek_mut() {
        let Reverse((row, place)) = *head;
        match inputs.get_mut(place).and_then(Iterator::next) {
            Some(next) => *head = Reverse((next?, place)),
            None => drop(std::collections::binary_heap::PeekMut::pop(head)),
        }
        writer.push(row)?;
        count += 1;
        if count % LOOK == 0 && shared.state().stop {
            return Ok(());
        }
    }
    let merged = writer.flush()?;
    let _files = shared.files();
    if !shared.state().runs.windows(picked.len()).any(|runs| runs == picked) {
        // The index was cleared meanwhile.
        return Ok(());
    }
    let merged = merged.place(first.first, last.last)?;
    let mut state = shared.state();
    let at = state.runs.iter().position(|run| run == first).unwrap_or_default();
    state.runs.splice(at..at + picked.len(), [merged]);
    drop(state);
    for run in picked {
        // One that stays is removed when the index is opened: the merged one covers it.
        if let Err(e) = disk.remove(&run.path()) {
            tracing::warn!(error = %e, "a merged run of the tag index was not removed");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(rows: &[u64]) -> Option<std::ops::RangeInclusive<u64>> {
        let runs: Vec<_> = (0..).zip(rows).map(|(n, rows)| Run { first: n, last: n, rows: *rows }).collect();
        pick(&runs).map(|p| p[0].first..=p[p.len() - 1].last)
    }

    #[test]
    fn eight_neighbours_of_one_length_are_merged_the_oldest_first() {
        assert_eq!(picked(&[10; 7]), None);
        assert_eq!(picked(&[10; 9]), Some(0..=7));
        assert_eq!(picked(&[&[900; 7][..], &[10; 8]].concat()), Some(7..=14));
        assert_eq!(picked(&[&[900; 8][..], &[10; 8]].concat()), Some(0..=7));
        assert_eq!(picked(&[&[900; 7][..], &[10; 7]].concat()), None);
    }

    #[test]
    fn short_runs_before_a_long_one_count_as_long_as_it() {
        assert_eq!(picked(&[1, 1, 1, 10, 10, 1, 1, 900]), Some(0..=7));
        assert_eq!(picked(&[1, 1, 1, 10, 10, 1, 1, 900, 1, 1]), Some(0..=7));
    }

    #[test]
    fn the_longest_runs_and_what_is_before_them_stay() {
        assert_eq!(picked(&[LONG; 9]), None);
        assert_eq!(picked(&[&[1; 9][..], &[LONG]].concat()), None);
    }
}
