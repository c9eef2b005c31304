//! What a gateway that died left half recorded: an entry without the record of its keys' use, or the other way
//! round. Nothing was released in either case, for that takes both. The missing half is made at the next start
//! (`docs/formats/key-releases.md`).

use std::collections::HashSet;

use anyhow::Result;
use gateway::{Enclave, enclave};
use ledger::keylog::{self, Release};
use ledger::{Draft, Entry, EntryKind, Subjects, Submission};
use model::FlowId;
use vault::Log;

use super::tags_of;

/// As many crossings as a log's queue holds can be half recorded.
const CANDIDATES: u64 = 16_384;

/// Makes the missing halves.
///
/// # Errors
/// When a log cannot be read or written.
pub fn reconcile(enclave: &Enclave) -> Result<()> {
    let (log, key_log) = (enclave.log(), enclave.key_log_handle());
    let entries = last(log, |leaf| Ok(Entry::decode(leaf)?))?;
    let uses = last(&key_log, |leaf| Ok(keylog::decode(leaf)?))?;
    let recorded: HashSet<FlowId> = entries.iter().map(|e| e.draft.flow).collect();
    let used: HashSet<FlowId> = uses.iter().map(|u| u.release.flow).collect();
    for entry in newest(&entries).filter(|e| needs_keys(&e.draft) && !used.contains(&e.draft.flow)) {
        let release = Release {
            time: entry.draft.time,
            flow: entry.draft.flow,
            rulebook: entry.draft.rulebook,
            purpose: entry.draft.purpose,
            subjects: Subjects::of(tags_of(log, entry)?),
        };
        if let Some(leaf) = release.encode() {
            let _ = key_log.submit_and_wait(Submission::leaf(leaf))?;
        }
    }
    for one in newest(&uses).filter(|u| !recorded.contains(&u.release.flow)) {
        let Release { flow, rulebook, purpose, .. } = one.release;
        // A list of tags that no entry carries is nowhere: such a use of keys stays a finding.
        if one.tag_root.is_some() {
            tracing::error!("keys of more than four people were used for a crossing that was never recorded");
            continue;
        }
        let entry = crossing::inward::broken_off(
            flow,
            enclave::now().0,
            rulebook,
            purpose,
            one.release.subjects.clone(),
        );
        let _ = log.submit_and_wait(entry)?;
    }
    Ok(())
}

fn needs_keys(draft: &Draft) -> bool {
    matches!(draft.kind, EntryKind::Answer | EntryKind::Refusal | EntryKind::Open)
        && !matches!(draft.subjects, Subjects::Population)
}

/// The last leaves of a log, twice as many as may be half recorded: the other half of one may lie a little deeper.
fn last<T>(log: &Log, read: impl Fn(&[u8]) -> Result<T>) -> Result<Vec<T>> {
    let size = log.head()?.head.size;
    log.entries(size.saturating_sub(2 * CANDIDATES)..size)?.map(|leaf| read(&leaf?)).collect()
}

fn newest<T>(all: &[T]) -> impl Iterator<Item = &T> {
    let skip = all.len().saturating_sub(usize::try_from(CANDIDATES).unwrap_or(usize::MAX));
    all.iter().skip(skip)
}
