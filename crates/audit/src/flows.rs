//! Flow ids: each is used once, and each crossing that names people has its key release.
//!
//! Every entry and every release becomes a record of 52 bytes that begins with the flow id. Sorted outside of
//! memory (`runs.rs`), all of one flow stand together, however many entries a log has.

use std::io;

use crate::{
    codes::Kind,
    hash::{Hash, sha256},
    header::{Header, Subjects},
    keyleaf::KeyLeaf,
    report::{Report, Rule},
    runs::Sorter,
};

const RECORD_BYTES: usize = 52;
/// How far apart an entry and its release may be.
const APART_SECONDS_MAX: u64 = 60;

/// Collects the flows of all logs of a site.
pub(crate) struct Flows {
    records: Sorter<RECORD_BYTES>,
}

/// One use of a flow id. Records are ordered by their bytes: entries before releases, then by log and index.
#[derive(Clone, Copy, Debug)]
struct Use {
    flow: [u8; 16],
    release: bool,
    log: u16,
    index: u64,
    /// It names people and is no import.
    names: bool,
    time: u64,
    /// Beginning of the digest of what entry and release both say.
    people: [u8; 16],
}

impl Flows {
    pub(crate) fn new(records_max: usize) -> Self {
        Self { records: Sorter::new(records_max) }
    }

    /// Adds an entry; what goes on with a stream uses the flow id of its open.
    pub(crate) fn entry(&mut self, log: u16, index: u64, header: &Header) -> io::Result<()> {
        if header.kind.continues() {
            return Ok(());
        }
        let people = matches!(header.subjects, Subjects::Inline(_) | Subjects::List(_));
        let names = people && matches!(header.kind, Kind::Answer | Kind::Refusal | Kind::Open);
        let people = if names {
            people_digest(&header.subjects, header.count, &header.rulebook, header.purpose)
        } else {
            [0; 16]
        };
        let time = header.time;
        self.push(&Use { flow: header.flow, release: false, log, index, names, time, people })
    }

    pub(crate) fn release(&mut self, log: u16, index: u64, leaf: &KeyLeaf) -> io::Result<()> {
        let people = people_digest(&leaf.subjects, leaf.count, &leaf.rulebook, leaf.purpose);
        let time = leaf.time;
        self.push(&Use { flow: leaf.flow, release: true, log, index, names: true, time, people })
    }

    fn push(&mut self, one: &Use) -> io::Result<()> {
        self.records.push(one.encode())
    }

    /// Reports what does not fit, each finding in the report of its log.
    ///
    /// With `releases`, entries and key releases are matched; what is younger than `newest` by less than a
    /// minute may still find its match.
    pub(crate) fn finish(self, reports: &mut [&mut Report], releases: bool, newest: u64) -> io::Result<()> {
        let mut group: Option<Group> = None;
        for record in self.records.finish()? {
            let Some(one) = Use::decode(&record?) else { continue };
            match &mut group {
                Some(group) if group.flow == one.flow => {
                    group.add(one, reports);
                    continue;
                }
                _ => {}
            }
            if let Some(done) = group.replace(Group::new(one)) {
                done.finish(reports, releases, newest);
            }
        }
        if let Some(done) = group {
            done.finish(reports, releases, newest);
        }
        Ok(())
    }
}

/// The uses of one flow id, of which only the first of a kind are kept.
struct Group {
    flow: [u8; 16],
    entry: Option<Use>,
    release: Option<Use>,
}

impl Group {
    fn new(one: Use) -> Self {
        let (entry, release) = if one.release { (None, Some(one)) } else { (Some(one), None) };
        Self { flow: one.flow, entry, release }
    }

    fn add(&mut self, one: Use, reports: &mut [&mut Report]) {
        match (one.release, &mut self.release) {
            (false, _) => {
                file(reports, &one, Rule::Flow, "its flow id was used before");
                // The entry that needs the release is the one to match.
                self.entry = self.entry.filter(|entry| entry.names || !one.names).or(Some(one));
            }
            (true, Some(_)) => file(reports, &one, Rule::Unreleased, "its flow has another release before"),
            (true, release) => *release = Some(one),
        }
    }

    fn finish(self, reports: &mut [&mut Report], releases: bool, newest: u64) {
        if !releases {
            return;
        }
        let is_due = |one: &Use| one.time.saturating_add(APART_SECONDS_MAX) < newest;
        match (self.entry.filter(|entry| entry.names), self.release) {
            (Some(entry), None) if is_due(&entry) => {
                file(
                    reports,
                    &entry,
                    Rule::Unreleased,
                    "it names people, and there is no key release for it",
                );
            }
            (None, Some(release)) if is_due(&release) => {
                file(reports, &release, Rule::Stray, "no entry that names people has its flow id");
            }
            (Some(entry), Some(release)) => {
                if entry.people != release.people {
                    let text = "its entry names other people, another rulebook or another purpose";
                    file(reports, &release, Rule::Unreleased, text);
                }
                let apart = entry.time.abs_diff(release.time);
                if apart > APART_SECONDS_MAX {
                    let text =
                        format!("it and its entry are {apart} s apart, {APART_SECONDS_MAX} s are most");
                    file(reports, &release, Rule::Unreleased, &text);
                }
            }
            _ => {}
        }
    }
}

fn file(reports: &mut [&mut Report], one: &Use, rule: Rule, text: &str) {
    if let Some(report) = reports.get_mut(usize::from(one.log)) {
        report.entry(rule, one.index, text);
    }
}

fn people_digest(subjects: &Subjects, count: u32, rulebook: &Hash, purpose: u16) -> [u8; 16] {
    let mut bytes = Vec::with_capacity(128);
    subjects.append(&mut bytes);
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(rulebook);
    bytes.extend_from_slice(&purpose.to_be_bytes());
    let mut short = [0; 16];
    short.iter_mut().zip(sha256(&bytes)).for_each(|(to, from)| *to = from);
    short
}

impl Use {
    fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut record = [0; RECORD_BYTES];
        let fields: [&[u8]; 7] = [
            &self.flow,
            &[u8::from(self.release)],
            &self.log.to_be_bytes(),
            &self.index.to_be_bytes(),
            &[u8::from(self.names)],
            &self.time.to_be_bytes(),
            &self.people,
        ];
        record.iter_mut().zip(fields.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        record
    }

    fn decode(record: &[u8; RECORD_BYTES]) -> Option<Self> {
        let (flow, rest) = record.split_first_chunk::<16>()?;
        let ([release], rest) = rest.split_first_chunk::<1>()?;
        let (log, rest) = rest.split_first_chunk::<2>()?;
        let (index, rest) = rest.split_first_chunk::<8>()?;
        let ([names], rest) = rest.split_first_chunk::<1>()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        Some(Self {
            flow: *flow,
            release: *release == 1,
            log: u16::from_be_bytes(*log),
            index: u64::from_be_bytes(*index),
            names: *names == 1,
            time: u64::from_be_bytes(*time),
            people: *rest.first_chunk()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Flow, whether it is a release, whether it names people, time.
    type Step = (u8, bool, bool, u64);

    fn judge(steps: &[Step], held: usize) -> Vec<(usize, Rule, u64)> {
        let mut flows = Flows::new(held);
        for (index, (flow, release, names, time)) in (0..).zip(steps) {
            let log = u16::from(*release);
            let (flow, people) = ([*flow; 16], [u8::from(*names); 16]);
            let one =
                Use { flow, release: *release, log, index, names: *names || *release, time: *time, people };
            flows.push(&one).unwrap();
        }
        let (mut gateway, mut keys) = (Report::default(), Report::default());
        flows.finish(&mut [&mut gateway, &mut keys], true, 1000).unwrap();
        let found = |log: usize, report: Report| {
            report.findings.into_iter().map(move |finding| match finding.place {
                crate::report::Place::Entry(index) => (log, finding.rule, index),
                other => panic!("{other}"),
            })
        };
        found(0, gateway).chain(found(1, keys)).collect()
    }

    #[test]
    fn an_entry_and_its_release_find_each_other() {
        assert_eq!(judge(&[(1, false, true, 5), (1, true, true, 65), (2, false, false, 5)], 9), []);
        assert_eq!(judge(&[(1, false, true, 940)], 9), [], "it may still come");
        assert_eq!(judge(&[(1, true, true, 940)], 9), [], "it may still come");
    }

    #[test]
    fn every_other_combination_is_found() {
        let entry = (1, false, true, 5);
        let release = (1, true, true, 5);
        assert_eq!(judge(&[entry], 9), [(0, Rule::Unreleased, 0)]);
        assert_eq!(judge(&[release], 9), [(1, Rule::Stray, 0)]);
        assert_eq!(judge(&[(1, false, false, 5), release], 9), [(1, Rule::Stray, 1)]);
        assert_eq!(judge(&[entry, (1, true, true, 66)], 9), [(1, Rule::Unreleased, 1)]);
        assert_eq!(judge(&[entry, (1, true, false, 5)], 9), [(1, Rule::Unreleased, 1)]);
        assert_eq!(judge(&[entry, release, release], 9), [(1, Rule::Unreleased, 2)]);
        assert_eq!(judge(&[entry, release, entry], 9), [(0, Rule::Flow, 2)]);
        assert_eq!(judge(&[(1, false, false, 5), release, entry], 9), [(0, Rule::Flow, 2)]);
    }

    proptest! {
        #[test]
        fn the_findings_do_not_depend_on_how_much_is_held(
            steps in prop::collection::vec((0_u8..20, any::<bool>(), any::<bool>(), 0_u64..1000), 0..60),
        ) {
            prop_assert_eq!(judge(&steps, 1), judge(&steps, 1000));
        }
    }
}
