//! Streams that a gateway left open when it died: each gets its close at the next start, with an outcome that is
//! unknown and the whole budget, for at most that left (`docs/formats/entry.md`, Streams).
//!
//! INVARIANT: this comes before anything else is appended at a start. So whatever an earlier process left open stands
//! among the last entries, no further back than a lease and the time for a close reach; what is older had its close,
//! or was out of order while its gateway still ran, which the auditor tells (AUD-31).

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, Result};
use ledger::entry::{LEASE_MAX, StreamPlace};
use ledger::{Entry, EntryKind, Submission, stream};
use model::UnixSeconds;
use vault::Log;

use super::{BACK, first_at, tags_of, time_of};

/// How long after its lease a stream may be closed, in seconds.
const CLOSE_MAX: u64 = 60;
/// Seconds of a log in which an entry of a stream must stand that may still be open at its end. Times go back a little.
const SPAN: u64 = LEASE_MAX + CLOSE_MAX + BACK;

/// Closes the streams that are open in a log nobody else writes to. Returns how many those were. Blocks.
///
/// # Errors
/// When the log cannot be read or written.
pub fn close(log: &Log, now: UnixSeconds) -> Result<usize> {
    let size = log.head()?.head.size;
    let open = left_open(log, beginning(log, size)?..size)?;
    for (index, last) in &open {
        let first = Entry::decode(&log.entry(*index)?)?;
        let tags = if first.tag_root.is_some() { tags_of(log, &first)? } else { Vec::new() };
        let close = stream::orphan(&first, &tags, last.as_ref(), now)?;
        let _ = log.submit_and_wait(Submission::new(&close, Vec::new()))?;
    }
    if !open.is_empty() {
        tracing::warn!(
            streams = open.len(),
            "streams were left open and are closed: at most their budgets left"
        );
    }
    Ok(open.len())
}

/// The index from which on an entry of every stream stands that may still be open. While a border is closed no time
/// passes for the log: nothing could be written then, no close either.
fn beginning(log: &Log, size: u64) -> Result<u64> {
    let Some(last) = size.checked_sub(1) else { return Ok(0) };
    let (mut newest, mut span, mut read) = (time_of(log, last)?.0, SPAN, size);
    loop {
        let from = first_at(log, newest.saturating_sub(span), read)?;
        let borders = borders(log, from..read)?;
        if borders.is_empty() {
            return Ok(from);
        }
        read = from;
        for (index, opened) in borders.into_iter().rev() {
            // The seconds since the border opened count, those before it do not.
            span = span.saturating_sub(newest.saturating_sub(opened));
            let Some(before) = index.checked_sub(1) else { return Ok(0) };
            newest = time_of(log, before)?.0;
        }
    }
}

/// The entries of a range that say that the border opened again, and when.
fn borders(log: &Log, range: Range<u64>) -> Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    for (index, leaf) in (range.start..).zip(log.entries(range)?) {
        let entry = Entry::decode(&leaf?)?;
        if entry.draft.kind == EntryKind::Border {
            found.push((index, entry.draft.time.0));
        }
    }
    Ok(found)
}

/// The streams of a range without a close, by the index of their open, each with its last extension.
fn left_open(log: &Log, range: Range<u64>) -> Result<BTreeMap<u64, Option<Entry>>> {
    let mut open = BTreeMap::new();
    for leaf in log.entries(range)? {
        let entry = Entry::decode(&leaf?).context("an entry of the log cannot be read")?;
        match entry.draft.stream {
            Some(StreamPlace::Open { .. }) => drop(open.insert(entry.sequence, None)),
            Some(StreamPlace::Extend { open: first, .. }) => drop(open.insert(first, Some(entry))),
            Some(StreamPlace::Close { open: first, .. }) => drop(open.remove(&first)),
            None => {}
        }
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crossing::inward;
    use ledger::note::Signer;
    use model::{Digest, FlowId};
    use vault::log::{Hooks, Identity, Options};
    use vault::{Folder, Records};

    use super::*;

    const START: u64 = 1_790_000_000;

    /// A log with entries at these seconds; `true` for one that says that the border opened again.
    fn log(entries: &[(u64, bool)]) -> (tempfile::TempDir, Log) {
        let folder = tempfile::tempdir().unwrap();
        let name = "ledger.test/one/gw";
        let identity =
            || Identity { origin: name.to_owned(), signer: Signer::from_seed(name, &[7; 32]).unwrap() };
        let disk = Arc::new(Folder::open(&folder.path().join("log")).unwrap());
        Log::create(disk.as_ref(), &identity()).unwrap();
        let index = Arc::new(Records::open(&folder.path().join("vault")).unwrap());
        let hooks = Hooks { reopening: None, index, fatal: Box::new(|why| panic!("{why}")) };
        let options = Options { segment_bytes: 1 << 16, ..Options::default() };
        let log = Log::open(disk, identity(), options, hooks).unwrap();
        for (n, (seconds, border)) in (1_u8..).zip(entries) {
            let (flow, time) = (FlowId::new([n; 16]), UnixSeconds(START + seconds));
            let make = if *border { inward::reopening } else { inward::activation };
            let _ = log.submit_and_wait(make(flow, time, Digest::new([1; 32]))).unwrap();
        }
        log.close();
        (folder, log)
    }

    #[test]
    fn the_seconds_of_a_closed_border_do_not_count() {
        let entries =
            |border| [(0, false), (5_000, false), (5_100, false), (50_000, border), (50_010, false)];
        for (border, wanted) in [(false, 3), (true, 1)] {
            let (_folder, log) = log(&entries(border));
            assert_eq!(beginning(&log, 5).unwrap(), wanted, "closed: {border}");
        }
        // One that closes again and again uses the span up.
        let often: Vec<_> = (0..200).map(|n| (n * 100, n % 10 == 0)).collect();
        let (_folder, log) = log(&often);
        assert!((130..170).contains(&beginning(&log, 200).unwrap()), "{:?}", beginning(&log, 200));
    }

    #[test]
    fn a_log_without_streams_gets_no_entry() {
        for entries in [&[][..], &[(0, false), (10, true)]] {
            let (_folder, log) = log(entries);
            assert_eq!(close(&log, UnixSeconds(START + 60)).unwrap(), 0);
            assert_eq!(log.size(), entries.len() as u64);
        }
    }
}
