//! What must follow: the close of a stream, the entry of a key release and the release of an entry. And clocks.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::{
    entry::{Out, SeenEntry},
    finding::{Found, WatchRule},
};
use crate::{
    codes::Kind,
    header::{Header, Subjects},
    incident::Reference,
    keyleaf::KeyLeaf,
};

/// A close is there so long after the lease ended (`docs/formats/entry.md`).
const CLOSE_SECONDS: u64 = 60;
/// Streams, and releases and entries, that wait at once.
const WAITING_MAX: usize = 100_000;
/// Releases that were reported, whose entry may still come.
const TOLD_MAX: usize = 10_000;

/// The open streams of all logs.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenStreams {
    /// The end of the lease, by origin and index of the open entry.
    leases: BTreeMap<String, BTreeMap<u64, u64>>,
    count: usize,
}

impl OpenStreams {
    pub(super) fn entry(&mut self, entry: &SeenEntry<'_>, out: &mut Out<'_>) {
        let header = entry.header;
        match header.kind {
            Kind::Open if self.count >= WAITING_MAX => {
                let text =
                    format!("more than {WAITING_MAX} streams are open at once: this one is not followed");
                out.entry(WatchRule::Overflow, entry, "streams".into(), text);
            }
            Kind::Open => {
                let log = self.leases.entry(entry.origin.to_owned()).or_default();
                self.count += usize::from(log.insert(entry.index, header.lease).is_none());
            }
            Kind::Extend => {
                let log = self.leases.get_mut(entry.origin);
                if let Some(lease) = log.and_then(|log| log.get_mut(&header.open)) {
                    *lease = header.lease;
                }
            }
            Kind::Close => {
                let log = self.leases.get_mut(entry.origin);
                self.count -= usize::from(log.and_then(|log| log.remove(&header.open)).is_some());
            }
            _ => {}
        }
    }

    pub(super) fn tick(&mut self, out: &mut Out<'_>) {
        let late = CLOSE_SECONDS.saturating_add(out.limits.stream_grace_seconds);
        for (origin, log) in &mut self.leases {
            let over = |lease: u64| lease.saturating_add(late) < out.time;
            let orphans: Vec<_> = log
                .iter()
                .filter(|(_, lease)| over(**lease))
                .map(|(index, lease)| (*index, *lease))
                .collect();
            for (index, lease) in orphans {
                log.remove(&index);
                self.count -= 1;
                out.found(Found {
                    rule: WatchRule::OrphanStream,
                    cause: format!("gateway:{origin}"),
                    about: format!("stream {index} of {origin}"),
                    entry: Some(Reference { origin: origin.clone(), index }),
                    text: format!(
                        "its lease ended at {lease} and it is not closed: nobody knows how much left"
                    ),
                });
            }
        }
        self.leases.retain(|_, log| !log.is_empty());
    }
}

/// Entries that name people, and key releases, each waiting for the other.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Releases {
    /// By flow id.
    waiting: BTreeMap<String, Waiting>,
    /// Flow ids of releases that were reported.
    told: BTreeSet<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    is_release: bool,
    origin: String,
    index: u64,
    time: u64,
}

impl Releases {
    pub(super) fn entry(&mut self, entry: &SeenEntry<'_>, out: &mut Out<'_>) {
        if needs_release(entry.header) {
            let flow = HEXLOWER.encode(&entry.header.flow);
            self.meet(flow, false, entry.reference(), entry.header.time, out);
        }
    }

    pub(super) fn release(&mut self, origin: &str, index: u64, leaf: &KeyLeaf, out: &mut Out<'_>) {
        let reference = Reference { origin: origin.to_owned(), index };
        self.meet(HEXLOWER.encode(&leaf.flow), true, reference, leaf.time, out);
    }

    fn meet(&mut self, flow: String, is_release: bool, place: Reference, time: u64, out: &mut Out<'_>) {
        let met = self.waiting.get(&flow).is_some_and(|other| other.is_release != is_release);
        if met {
            self.waiting.remove(&flow);
            return;
        }
        // A gateway that ended between the two writes the refusal at its next start, however late.
        if !is_release && self.told.remove(&flow) {
            return;
        }
        if self.waiting.len() >= WAITING_MAX {
            out.found(Found {
                rule: WatchRule::Overflow,
                cause: "operator".into(),
                about: "releases".into(),
                entry: Some(place),
                text: format!("more than {WAITING_MAX} entries and key releases wait for each other: some are not matched"),
            });
            return;
        }
        let Reference { origin, index } = place;
        self.waiting.insert(flow, Waiting { is_release, origin, index, time });
    }

    pub(super) fn tick(&mut self, out: &mut Out<'_>) {
        let grace = out.limits.release_grace_seconds;
        let over: Vec<String> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.time.saturating_add(grace) < out.time)
            .map(|(flow, _)| flow.clone())
            .collect();
        for flow in over {
            let Some(Waiting { is_release, origin, index, time }) = self.waiting.remove(&flow) else {
                continue;
            };
            let entry = Some(Reference { origin: origin.clone(), index });
            let (rule, cause, text) = if is_release {
                let text = format!("keys were released at {time}, and no entry says for what");
                (WatchRule::StrayRelease, format!("keys:{origin}"), text)
            } else {
                let text = format!("it names people, and no keys were released for it since {time}");
                (WatchRule::MissingRelease, format!("gateway:{origin}"), text)
            };
            if is_release && self.told.len() < TOLD_MAX {
                self.told.insert(flow.clone());
            }
            out.found(Found { rule, cause, about: format!("flow {flow}"), entry, text });
        }
    }
}

fn needs_release(header: &Header) -> bool {
    matches!(header.kind, Kind::Answer | Kind::Refusal | Kind::Open)
        && matches!(header.subjects, Subjects::Inline(_) | Subjects::List(_))
}

/// The newest times of the logs.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clocks {
    last: BTreeMap<String, u64>,
    /// The newest time of the site log before this round: an entry that is new in it can be late by that.
    pub(super) before: u64,
}

impl Clocks {
    /// An entry, when the site's time is `out.time`.
    pub(super) fn entry(&mut self, entry: &SeenEntry<'_>, out: &mut Out<'_>) {
        let (limits, time) = (out.limits, entry.header.time);
        let back =
            self.last.insert(entry.origin.to_owned(), time).map_or(0, |last| last.saturating_sub(time));
        let (ahead, late) = (time.saturating_sub(out.time), self.before.saturating_sub(time));
        let text = if back > limits.clock_back_seconds {
            format!("its time is {back} s before that of the entry before it")
        } else if ahead > limits.clock_ahead_seconds {
            format!("its time is {ahead} s after that of the round that counts it")
        } else if late > limits.clock_late_seconds {
            format!("its time is {late} s before that of a round that did not count it")
        } else {
            return;
        };
        out.entry(WatchRule::ClockJump, entry, format!("clock of {}", entry.origin), text);
    }

    /// An entry of the site log at `time`, when the one before was at `out.time`.
    pub(super) fn site(&mut self, origin: &str, index: u64, time: u64, out: &mut Out<'_>) {
        self.before = self.before.max(time);
        if out.time == 0 {
            return;
        }
        let text = if out.time.saturating_sub(time) > out.limits.clock_back_seconds {
            format!("its time is {} s before that of the entry before it", out.time - time)
        } else if time.saturating_sub(out.time) > out.limits.site_gap_seconds {
            format!(
                "{} s passed since the entry before it: the site stood still, or its clock jumped",
                time - out.time
            )
        } else {
            return;
        };
        let (cause, entry) = (format!("site:{origin}"), Reference { origin: origin.to_owned(), index });
        let about = format!("clock of {origin}");
        out.found(Found { rule: WatchRule::ClockJump, cause, about, entry: Some(entry), text });
    }
}
