//! A long ledger for measuring the console: entries of made-up crossings, written where real ones would be.
//!
//! Their facts are none that policy could have read, so no auditor's mirror signs such a ledger: it is for measuring pages,
//! and for nothing else.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use clover::config::Config;
use clover::layout::Layout;
use clover::{assemble, logs, now};
use ledger::entry::Subjects;
use ledger::{Draft, EntryKind, Submission};
use model::{Country, DataClass, Digest, Direction, FlowId, Purpose, Reason, Tag, Treatment, UnixSeconds};

/// Entries that wait for one another.
const GROUP: u64 = 4096;
/// Days over which they are spread.
const DAYS: u64 = 30;

fn draft(n: u64, time: u64, rulebook: Digest) -> Result<Draft> {
    let pick = |of: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % of;
    let refused = pick(5) == 0;
    let places = ["IE", "SG", "US", "JP", "DE", "BR"];
    let place = places.get(usize::try_from(pick(6))?).copied().unwrap_or("IE");
    let purposes = [Purpose::Support, Purpose::Safety, Purpose::Research, Purpose::Billing];
    let mut flow = [0; 16];
    flow.iter_mut().zip(n.to_be_bytes()).for_each(|(f, b)| *f = b);
    Ok(Draft {
        kind: if refused { EntryKind::Refusal } else { EntryKind::Answer },
        direction: Direction::Outward,
        time: UnixSeconds(time),
        flow: FlowId::new(flow),
        rulebook,
        purpose: purposes.get(usize::try_from(pick(4))?).copied().unwrap_or(Purpose::Support),
        place: Country::parse(place)?,
        destination: Country::parse(place)?,
        classes: if refused { Vec::new() } else { vec![DataClass::Allowable] },
        treatments: if refused { Vec::new() } else { vec![Treatment::Plain] },
        reason: if refused { Reason::Policy } else { Reason::None },
        findings: 0,
        bytes: if refused { 0 } else { 512 },
        rows: u32::from(!refused),
        detail: Digest::new([0; 32]),
        actor: Tag::new([7; 16]),
        subjects: Subjects::None,
        lane: [0; 8],
        stream: None,
        facts: if refused { Vec::new() } else { vec![0; 320] },
    })
}

/// Writes so many entries into the gateway's log of an enclave that does not run.
///
/// # Errors
/// When it runs, or its log cannot be written.
pub(crate) fn fill(folder: &Path, entries: u64) -> Result<()> {
    let layout = Layout::new(folder);
    let config = Config::load(&layout.config())?;
    let book = assemble::rulebook(&layout)?.rulebook;
    let digest = book.digest;
    let records = Arc::new(logs::records(&layout, &config)?);
    let log = logs::open(&layout, &config, &book.programme.name, Box::new(move || digest), records)?;
    let (first, span) = (now().0.saturating_sub(DAYS * 86_400), DAYS * 86_400);
    for group in (0..entries).step_by(usize::try_from(GROUP)?) {
        let mut waiting = Vec::new();
        for n in group..entries.min(group + GROUP) {
            let draft = draft(n, first + span * n / entries.max(1), digest)?;
            waiting.push(log.submit(Submission::new(&draft, Vec::new()))?);
        }
        for receipt in waiting {
            let _ = receipt.blocking_recv()??;
        }
    }
    log.close();
    Ok(())
}
