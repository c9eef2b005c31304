//! Bytes that somebody else counted on the wire against bytes that the ledgers say (`docs/formats/egress.md`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    ops::Range,
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    config::Limits,
    entry::{Out, SeenEntry},
    finding::{Found, WatchRule},
};
use crate::codes::Kind;

/// No line of the feed comes near it.
const LINE_BYTES_MAX: u64 = 4096;
/// Lines that are taken at once.
const LINES_MAX: usize = 10_000;
/// A window that ends later than this after the ledger's newest time is a mistake.
const FUTURE_SECONDS: u64 = 3600;
const WINDOW_SECONDS_MAX: u64 = 3600;
const STREAMS_MAX: usize = 100_000;

/// What the ledgers say, and how far the feed was read.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Egress {
    logs: BTreeMap<String, Recorded>,
    offset: u64,
    /// The end of the newest window of each gateway.
    ends: BTreeMap<String, u64>,
    /// When the ledger was first seen.
    since: Option<u64>,
}

/// What one gateway's log says.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    /// Answers and their bytes, by second.
    seconds: BTreeMap<u64, (u64, u64)>,
    /// By index of the open entry.
    streams: BTreeMap<u64, Stream>,
    /// What was before is forgotten.
    from: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stream {
    from: u64,
    to: u64,
    bytes: u64,
    closed: bool,
}

/// One line of the feed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    gateway: String,
    from: u64,
    to: u64,
    bytes: u64,
}

/// Bounds of what may have left.
#[derive(Debug, Default, PartialEq, Eq)]
struct Bounds {
    answers: u64,
    most: u64,
    least: u64,
}

impl Recorded {
    fn entry(&mut self, entry: &SeenEntry<'_>) {
        let header = entry.header;
        match header.kind {
            Kind::Answer | Kind::Refusal => {
                let (answers, bytes) = self.seconds.entry(header.time).or_default();
                (*answers, *bytes) = (*answers + 1, bytes.saturating_add(header.bytes));
            }
            Kind::Open if self.streams.len() < STREAMS_MAX => {
                let stream =
                    Stream { from: header.time, to: header.lease, bytes: header.bytes, closed: false };
                self.streams.insert(entry.index, stream);
            }
            Kind::Extend | Kind::Close => {
                if let Some(stream) = self.streams.get_mut(&header.open) {
                    stream.closed = header.kind == Kind::Close;
                    stream.to = if stream.closed { header.time } else { header.lease };
                    stream.bytes = header.bytes;
                }
            }
            _ => {}
        }
    }

    fn forget(&mut self, before: u64) {
        if before > self.from {
            self.from = before;
            self.seconds = self.seconds.split_off(&before);
            self.streams.retain(|_, stream| stream.to >= before);
        }
    }

    fn bounds(&self, window: &Range<u64>, edge: u64) -> Bounds {
        let wide = window.start.saturating_sub(edge)..window.end.saturating_add(edge);
        let narrow = window.start.saturating_add(edge)..window.end.saturating_sub(edge);
        let mut bounds = Bounds::default();
        for (second, (answers, bytes)) in self.seconds.range(wide.clone()) {
            bounds.answers = bounds.answers.saturating_add(*answers);
            bounds.most = bounds.most.saturating_add(*bytes);
            if narrow.contains(second) {
                bounds.least = bounds.least.saturating_add(*bytes);
            }
        }
        for stream in self.streams.values() {
            if stream.from < wide.end && stream.to >= wide.start {
                bounds.answers += 1;
                bounds.most = bounds.most.saturating_add(stream.bytes);
            }
            if stream.closed && stream.from >= narrow.start && stream.to < narrow.end {
                bounds.least = bounds.least.saturating_add(stream.bytes);
            }
        }
        bounds
    }
}

impl Egress {
    pub(super) fn entry(&mut self, entry: &SeenEntry<'_>) {
        self.logs.entry(entry.origin.to_owned()).or_default().entry(entry);
    }

    /// Reads the feed as far as the ledgers are known, and compares.
    pub(super) fn read(
        &mut self,
        feed: &Path,
        gateways: &BTreeSet<String>,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        let since = *self.since.get_or_insert(out.time);
        let mut file = File::open(feed)?;
        // A feed that was begun anew.
        if file.metadata()?.len() < self.offset {
            self.offset = 0;
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut reader = BufReader::new(file);
        for _ in 0..LINES_MAX {
            let mut line = Vec::new();
            reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
            let whole = line.ends_with(b"\n");
            if !whole && (line.len() as u64) < LINE_BYTES_MAX {
                break;
            }
            match serde_json::from_slice::<Window>(&line).ok().filter(|window| is_good(window, out.time)) {
                None => tell(
                    out,
                    "feed",
                    format!("what lies at byte {} of it is no line of the feed", self.offset),
                ),
                // Entries of its end may still come.
                Some(window) if window.to.saturating_add(out.limits.egress_edge_seconds) > out.time => break,
                Some(window) => self.compare(&window, gateways, out),
            }
            self.offset += line.len() as u64;
        }
        self.silence(since, gateways, out);
        let before = out.time.saturating_sub(out.limits.egress_hold_seconds);
        self.logs.values_mut().for_each(|log| log.forget(before));
        self.ends.retain(|gateway, _| gateways.contains(gateway));
        Ok(())
    }

    fn compare(&mut self, window: &Window, gateways: &BTreeSet<String>, out: &mut Out<'_>) {
        let Window { gateway, from, to, bytes } = window;
        let limits = out.limits;
        if !gateways.contains(gateway) {
            if *bytes > limits.egress_window_bytes {
                let text =
                    format!("{bytes} bytes left from {from} to {to}, and the site enrols no such gateway");
                raise(out, WatchRule::EgressExcess, "operator".into(), gateway, text);
            }
            return;
        }
        match self.ends.insert(gateway.clone(), *to) {
            Some(end) if end < *from => {
                tell(out, gateway, format!("nothing was counted from {end} to {from}"))
            }
            Some(end) if end > *from => {
                tell(out, gateway, format!("the time from {from} to {end} was counted twice"))
            }
            _ => {}
        }
        let log = self.logs.entry(gateway.clone()).or_default();
        if from.saturating_sub(limits.egress_edge_seconds) < log.from {
            return tell(
                out,
                gateway,
                format!("the window from {from} to {to} came too late to be compared"),
            );
        }
        let bounds = log.bounds(&(*from..*to), limits.egress_edge_seconds);
        let allowed = allowed(&bounds, limits);
        let cause = format!("gateway:{gateway}");
        if *bytes > allowed {
            let text = format!(
                "{bytes} bytes left from {from} to {to}, and at most {} in {} answers are recorded, which allows {allowed}",
                bounds.most, bounds.answers
            );
            raise(out, WatchRule::EgressExcess, cause, gateway, text);
        } else if u128::from(*bytes) * 100
            < u128::from(bounds.least) * u128::from(limits.egress_least_percent)
        {
            let text =
                format!("{bytes} bytes left from {from} to {to}, and at least {} are recorded", bounds.least);
            raise(out, WatchRule::EgressShortfall, cause, gateway, text);
        }
    }

    fn silence(&self, since: u64, gateways: &BTreeSet<String>, out: &mut Out<'_>) {
        for gateway in gateways {
            let last = self.ends.get(gateway).copied().unwrap_or(since);
            let silent = out.time.saturating_sub(last);
            if silent > out.limits.egress_silence_seconds {
                tell(out, gateway, format!("the feed has said nothing about it for {silent} s"));
            }
        }
    }
}

/// Bytes that may have left for what is recorded: the payloads, a share for the layers below, and so much for
/// each answer's head and for what belongs to no answer.
fn allowed(bounds: &Bounds, limits: &Limits) -> u64 {
    let share = u128::from(bounds.most) * u128::from(limits.egress_percent) / 100;
    let heads = u128::from(bounds.answers) * u128::from(limits.egress_answer_bytes);
    let all = u128::from(bounds.most) + share + heads + u128::from(limits.egress_window_bytes);
    u64::try_from(all).unwrap_or(u64::MAX)
}

fn is_good(window: &Window, now: u64) -> bool {
    window.from < window.to
        && window.to - window.from <= WINDOW_SECONDS_MAX
        && window.to <= now.saturating_add(FUTURE_SECONDS)
}

/// Something about the feed itself.
fn tell(out: &mut Out<'_>, gateway: &str, text: String) {
    raise(out, WatchRule::EgressFeed, "auditor".into(), gateway, text);
}

fn raise(out: &mut Out<'_>, rule: WatchRule, cause: String, gateway: &str, text: String) {
    out.found(Found {
        rule,
        cause,
        about: format!("bytes of {}", gateway.escape_debug()),
        entry: None,
        text,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> Recorded {
        let seconds = BTreeMap::from([(100, (2, 1000)), (150, (1, 500)), (199, (1, 7)), (230, (1, 9))]);
        let stream = |from, to, bytes, closed| Stream { from, to, bytes, closed };
        let streams = BTreeMap::from([
            (1, stream(120, 180, 40, true)),
            (2, stream(50, 130, 60, true)),
            (3, stream(190, 900, 80, false)),
            (4, stream(300, 400, 99, true)),
        ]);
        Recorded { seconds, streams, from: 0 }
    }

    #[test]
    fn a_window_has_the_answers_around_it_at_most_and_those_within_at_least() {
        let bounds = recorded().bounds(&(100..200), 10);
        assert_eq!(bounds, Bounds { answers: 4 + 3, most: 1507 + 180, least: 540 });
    }

    #[test]
    fn the_allowance_is_stated_and_never_overflows() {
        let limits = Limits::default();
        let bounds = Bounds { answers: 2, most: 1000, least: 0 };
        assert_eq!(allowed(&bounds, &limits), 1000 + 50 + 2 * 4096 + 65_536);
        assert_eq!(allowed(&Bounds { answers: 1, most: u64::MAX, least: 0 }, &limits), u64::MAX);
    }
}
