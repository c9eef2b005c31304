//! Streams: answers of several entries, from *open* over *extend* to *close* (`docs/formats/entry.md`).

use std::collections::{BTreeSet, HashMap};

use crate::{
    codes::Kind,
    hash::{Hash, sha256},
    header::{Header, Outcome},
    report::{Report, Rule},
};

/// The longest lease, counted from the entry that gives it.
const LEASE_SECONDS_MAX: u64 = 3600;
/// A close is there so long after the lease ended.
const CLOSE_SECONDS_MAX: u64 = 60;
/// How far clocks may go back within a log: until then a close may still come.
const TIME_BACK_SECONDS_MAX: u64 = 300;

/// The streams that are open while the log is walked, and nothing of those that are over.
#[derive(Default)]
pub(crate) struct Streams {
    open: HashMap<u64, Stream>,
    /// When each lease ends, and whose it is.
    ends: BTreeSet<(u64, u64)>,
    /// The newest time of the log so far.
    clock: u64,
}

struct Stream {
    /// Digest of what *extend* and *close* repeat.
    repeated: Hash,
    budget: u64,
    lease: u64,
    /// The bound on rows that the decision enforced.
    rows_max: Option<u64>,
    rows: u32,
    findings: u16,
}

impl Streams {
    /// Follows one entry; `rows_max` is the bound of its facts, if it has any.
    pub(crate) fn follow(&mut self, index: u64, header: &Header, rows_max: Option<u64>, report: &mut Report) {
        self.clock = self.clock.max(header.time);
        self.drop_orphans(report);
        match header.kind {
            Kind::Open => self.open(index, header, rows_max, report),
            Kind::Extend => self.extend(index, header, report),
            Kind::Close => self.close(index, header, report),
            _ => {}
        }
    }

    /// Reports the streams that should be closed by `newest`, the newest time that is known.
    pub(crate) fn finish(mut self, newest: u64, report: &mut Report) {
        self.clock = self.clock.max(newest);
        for (lease, index) in std::mem::take(&mut self.ends) {
            if lease.saturating_add(CLOSE_SECONDS_MAX) < self.clock {
                orphan(index, lease, report);
            }
        }
        report.streams_open = self.open.len() as u64;
    }

    fn open(&mut self, index: u64, header: &Header, rows_max: Option<u64>, report: &mut Report) {
        report.streams += 1;
        if header.lease < header.time {
            report.entry(Rule::Lease, index, "its lease ends before it begins");
        }
        check_lease(index, header, report);
        let stream = Stream {
            repeated: repeated(header),
            budget: header.bytes,
            lease: header.lease,
            rows_max,
            rows: 0,
            findings: 0,
        };
        self.ends.insert((stream.lease, index));
        self.open.insert(index, stream);
    }

    fn extend(&mut self, index: u64, header: &Header, report: &mut Report) {
        let Some(stream) = self.open.get_mut(&header.open) else { return not_open(index, header, report) };
        stream.check(index, header, report);
        if header.time > stream.lease {
            let late = header.time - stream.lease;
            report.entry(Rule::Lease, index, format!("it comes {late} s after the lease in force ended"));
        }
        if header.lease < stream.lease {
            report.entry(Rule::Lease, index, "its lease ends earlier than the one in force");
        }
        check_lease(index, header, report);
        if header.bytes < stream.budget {
            let text =
                format!("its budget of {} bytes is less than the {} before", header.bytes, stream.budget);
            report.entry(Rule::Budget, index, text);
        }
        self.ends.remove(&(stream.lease, header.open));
        stream.lease = stream.lease.max(header.lease);
        stream.budget = stream.budget.max(header.bytes);
        self.ends.insert((stream.lease, header.open));
    }

    fn close(&mut self, index: u64, header: &Header, report: &mut Report) {
        let Some(stream) = self.open.remove(&header.open) else { return not_open(index, header, report) };
        self.ends.remove(&(stream.lease, header.open));
        stream.check(index, header, report);
        if header.bytes > stream.budget {
            let text = format!("it released {} bytes of a budget of {}", header.bytes, stream.budget);
            report.entry(Rule::Budget, index, text);
        }
        if header.outcome == Some(Outcome::Unknown) && header.bytes != stream.budget {
            let text =
                format!("its outcome is unknown, and it says {} bytes of {}", header.bytes, stream.budget);
            report.entry(Rule::Budget, index, text);
        }
        if header.time > stream.lease.saturating_add(CLOSE_SECONDS_MAX) {
            let late = header.time - stream.lease;
            report.entry(Rule::Orphan, index, format!("it closes its stream {late} s after the lease ended"));
        }
    }

    /// Forgets the streams that nothing can close in time any more.
    fn drop_orphans(&mut self, report: &mut Report) {
        while let Some((lease, index)) = self.ends.first().copied() {
            if lease.saturating_add(CLOSE_SECONDS_MAX + TIME_BACK_SECONDS_MAX) >= self.clock {
                return;
            }
            orphan(index, lease, report);
            self.ends.pop_first();
            self.open.remove(&index);
        }
    }
}

impl Stream {
    fn check(&self, index: u64, header: &Header, report: &mut Report) {
        if repeated(header) != self.repeated {
            let text = format!("it says other than entry {}, which opened its stream", header.open);
            report.entry(Rule::Stream, index, text);
        }
        if header.rows < self.rows || header.findings < self.findings {
            report.entry(Rule::Stream, index, "its rows or findings are fewer than before");
        }
        if let Some(most) = self.rows_max.filter(|most| u64::from(header.rows) > *most) {
            report.entry(Rule::Bounds, index, format!("it released {} rows of at most {most}", header.rows));
        }
    }
}

fn check_lease(index: u64, header: &Header, report: &mut Report) {
    if header.lease > header.time.saturating_add(LEASE_SECONDS_MAX) {
        let long = header.lease - header.time;
        report.entry(Rule::Lease, index, format!("its lease lasts {long} s, {LEASE_SECONDS_MAX} s are most"));
    }
}

fn not_open(index: u64, header: &Header, report: &mut Report) {
    let text = format!("entry {} opened no stream that is still open", header.open);
    report.entry(Rule::Stream, index, text);
}

fn orphan(index: u64, lease: u64, report: &mut Report) {
    report.entry(Rule::Orphan, index, format!("its stream was not closed after the lease ended at {lease}"));
}

/// What all entries of a stream say alike.
fn repeated(header: &Header) -> Hash {
    let mut bytes = Vec::with_capacity(256);
    bytes.push(header.direction);
    bytes.extend_from_slice(&header.flow);
    bytes.extend_from_slice(&header.rulebook);
    bytes.extend_from_slice(&header.purpose.to_be_bytes());
    bytes.extend_from_slice(&header.place);
    bytes.extend_from_slice(&header.destination);
    bytes.extend_from_slice(&[header.classes, header.treatments]);
    bytes.extend_from_slice(&header.actor);
    bytes.extend_from_slice(&header.count.to_be_bytes());
    bytes.extend_from_slice(&header.lane);
    header.subjects.append(&mut bytes);
    sha256(&bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::header::Subjects;

    /// Kind, time, bytes, open, lease, outcome.
    type Step = (u8, u64, u64, u64, u64, u8);

    fn header(index: u64, step: Step, rows: u32) -> Header {
        let (kind, time, bytes, open, lease, outcome) = step;
        let mut entry = vec![0; 256];
        entry[..8].copy_from_slice(b"CLV1\x01\x01\x01\x01");
        entry[5] = kind;
        entry[16..24].copy_from_slice(&index.to_be_bytes());
        entry[24..32].copy_from_slice(&time.to_be_bytes());
        entry[81] = 1;
        entry[82..86].copy_from_slice(b"IEIE");
        entry[96..104].copy_from_slice(&bytes.to_be_bytes());
        entry[104..108].copy_from_slice(&rows.to_be_bytes());
        entry[232..240].copy_from_slice(&open.to_be_bytes());
        entry[240..248].copy_from_slice(&lease.to_be_bytes());
        entry[248] = outcome;
        Header::parse(&entry).unwrap().0
    }

    fn rules(steps: &[Step], newest: u64) -> BTreeSet<Rule> {
        let (mut streams, mut report) = (Streams::default(), Report::default());
        for (index, step) in (1..).zip(steps) {
            streams.follow(index, &header(index, *step, 0), None, &mut report);
        }
        streams.finish(newest, &mut report);
        report.findings.iter().map(|finding| finding.rule).collect()
    }

    const OPEN: Step = (6, 1000, 500, 0, 1060, 0);

    #[test]
    fn an_honest_stream_passes() {
        let extend = (7, 1060, 900, 1, 4660, 0);
        assert_eq!(rules(&[OPEN, (8, 1010, 500, 1, 0, 1)], 9999), BTreeSet::new());
        assert_eq!(rules(&[OPEN, extend, (8, 4720, 900, 1, 0, 3)], 9999), BTreeSet::new());
        assert_eq!(rules(&[OPEN, extend], 4720), BTreeSet::new());
    }

    #[test]
    fn every_lie_about_a_stream_is_found() {
        let lies: [(&[Step], u64, Rule); 13] = [
            (&[OPEN], 1121, Rule::Orphan),
            (&[OPEN, (8, 1121, 1, 1, 0, 1)], 0, Rule::Orphan),
            (&[OPEN, (1, 1500, 0, 0, 0, 0)], 0, Rule::Orphan),
            (&[OPEN, (8, 1010, 501, 1, 0, 1)], 0, Rule::Budget),
            (&[OPEN, (8, 1010, 499, 1, 0, 3)], 0, Rule::Budget),
            (&[OPEN, (7, 1010, 499, 1, 1060, 0)], 0, Rule::Budget),
            (&[OPEN, (7, 1061, 600, 1, 1100, 0)], 0, Rule::Lease),
            (&[OPEN, (7, 1010, 600, 1, 1059, 0)], 0, Rule::Lease),
            (&[OPEN, (7, 1010, 600, 1, 4611, 0)], 0, Rule::Lease),
            (&[(6, 1000, 500, 0, 4601, 0)], 0, Rule::Lease),
            (&[(6, 1000, 500, 0, 999, 0)], 0, Rule::Lease),
            (&[OPEN, (8, 1010, 1, 1, 0, 1), (7, 1011, 600, 1, 1070, 0)], 0, Rule::Stream),
            (&[OPEN, (8, 1010, 1, 1, 0, 1), (8, 1011, 1, 1, 0, 1)], 0, Rule::Stream),
        ];
        for (steps, newest, rule) in lies {
            assert_eq!(rules(steps, newest), BTreeSet::from([rule]), "{steps:?}");
        }
    }

    #[test]
    fn what_goes_on_repeats_the_open_and_keeps_its_bounds() {
        let follow = |change: &dyn Fn(&mut Header), rows: u32| {
            let (mut streams, mut report) = (Streams::default(), Report::default());
            streams.follow(1, &header(1, OPEN, 0), Some(10), &mut report);
            let mut close = header(2, (8, 1010, 5, 1, 0, 1), rows);
            change(&mut close);
            streams.follow(2, &close, None, &mut report);
            report.findings.first().map(|finding| finding.rule)
        };
        assert_eq!(follow(&|_| (), 10), None);
        assert_eq!(follow(&|_| (), 11), Some(Rule::Bounds));
        let changes: [&dyn Fn(&mut Header); 9] = [
            &|header| header.direction = 2,
            &|header| header.flow[3] = 1,
            &|header| header.rulebook[3] = 1,
            &|header| header.purpose = 2,
            &|header| header.place = *b"NO",
            &|header| header.destination = *b"NO",
            &|header| header.actor[1] = 1,
            &|header| header.subjects = Subjects::Everyone,
            &|header| header.lane[1] = 1,
        ];
        for change in changes {
            assert_eq!(follow(change, 0), Some(Rule::Stream));
        }
    }
}
