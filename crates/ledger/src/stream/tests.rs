use proptest::prelude::*;

use super::*;
use crate::entry::tests::draft;
use crate::merkle::Frontier;
use crate::sequencer::{Sequencer, Storage, StorageError, Submission};

const START: UnixSeconds = UnixSeconds(1_790_000_000);
const NONE: Counts = Counts { rows: 0, findings: 0 };

struct Memory;

impl Storage for Memory {
    fn append(&mut self, _: &[u8]) -> Result<(), StorageError> {
        Ok(())
    }
}

/// A log in memory: the only way to a receipt.
struct Log(Sequencer<Memory>, Vec<Entry>);

impl Log {
    fn new() -> Self {
        Self(Sequencer::new("example/gw", Frontier::new(), Memory), Vec::new())
    }

    fn write(&mut self, draft: &Draft) -> Receipt {
        let mut done = self.0.commit(vec![Submission::new(draft, Vec::new())]).unwrap();
        self.1.push(Entry::decode(&done.entries[0].leaf).unwrap());
        done.receipts.remove(0)
    }
}

fn opening(budget: u64, lease: u64) -> Draft {
    let stream = Some(StreamPlace::Open { lease: START.plus(lease) });
    Draft { kind: EntryKind::Open, time: START, bytes: budget, stream, ..draft() }
}

fn opened(log: &mut Log, budget: u64, lease: u64) -> Stream {
    let open = opening(budget, lease);
    let receipt = log.write(&open);
    Stream::open(&open, &receipt).unwrap()
}

#[test]
fn a_stream_releases_its_budget_and_no_byte_more() {
    let mut stream = opened(&mut Log::new(), 100, 60);
    stream.release(60, START).unwrap();
    stream.release(40, START).unwrap();
    assert_eq!(stream.release(1, START), Err(Hold::NeedExtend { left: 0 }));
    assert_eq!(stream.release(u64::MAX, START), Err(Hold::NeedExtend { left: 0 }));
    assert_eq!(stream.released(), 100);
}

#[test]
fn nothing_leaves_from_the_end_of_the_lease_on() {
    let mut stream = opened(&mut Log::new(), 100, 60);
    stream.release(1, START.plus(59)).unwrap();
    assert_eq!(stream.release(1, START.plus(60)), Err(Hold::LeaseOver));
    assert_eq!(stream.extend(200, START.plus(90), NONE, START.plus(60)).unwrap_err(), Hold::LeaseOver);
}

#[test]
fn an_extension_counts_from_its_own_receipt_on() {
    let mut log = Log::new();
    let mut stream = opened(&mut log, 100, 60);
    let extend = stream.extend(300, START.plus(90), NONE, START).unwrap();
    assert!(stream.release(101, START).is_err());
    assert_eq!(stream.extend(300, START.plus(90), NONE, START).unwrap_err(), Hold::Waiting);
    assert_eq!(stream.close(Outcome::Complete, NONE, START).unwrap_err(), Hold::Waiting);
    let other = log.write(&draft());
    assert_eq!(stream.extended(&other), Err(Hold::Receipt));
    let receipt = log.write(&extend);
    stream.extended(&receipt).unwrap();
    assert_eq!(stream.extended(&receipt), Err(Hold::Receipt), "a receipt counts once");
    stream.release(300, START.plus(89)).unwrap();
}

#[test]
fn an_extension_takes_nothing_back_and_has_a_limit() {
    let mut stream = opened(&mut Log::new(), 100, 60);
    for (budget, lease) in [(99, 60), (100, 59), (100, 3_601)] {
        assert_eq!(stream.extend(budget, START.plus(lease), NONE, START).unwrap_err(), Hold::Extension);
    }
    assert!(stream.extend(100, START.plus(3_600), NONE, START).is_ok());
    stream.not_extended();
    assert!(stream.extend(100, START.plus(60), NONE, START).is_ok());
}

#[test]
fn a_stream_begins_only_with_the_receipt_of_its_open() {
    let mut log = Log::new();
    let (open, answer) = (opening(100, 60), draft());
    let (of_open, of_answer) = (log.write(&open), log.write(&answer));
    assert_eq!(Stream::open(&open, &of_answer).unwrap_err(), Hold::Receipt);
    assert_eq!(Stream::open(&opening(101, 60), &of_open).unwrap_err(), Hold::Receipt);
    assert_eq!(Stream::open(&answer, &of_answer).unwrap_err(), Hold::Entry);
}

#[test]
fn the_entries_of_a_stream_repeat_its_open() {
    let mut log = Log::new();
    let _ = log.write(&draft());
    let mut stream = opened(&mut log, 100, 60);
    stream.release(70, START).unwrap();
    let counts = Counts { rows: 7, findings: 2 };
    let extend = stream.extend(150, START.plus(70), counts, START.plus(1)).unwrap();
    let receipt = log.write(&extend);
    stream.extended(&receipt).unwrap();
    let close = stream.close(Outcome::BrokenOff, counts, START.plus(2)).unwrap();
    let _ = log.write(&close);
    assert_eq!(stream.release(1, START), Err(Hold::Closed));
    assert_eq!(stream.close(Outcome::Complete, NONE, START).unwrap_err(), Hold::Closed);
    let [_, open, extend, close] = log.1.as_slice() else { panic!("four entries") };
    let place = StreamPlace::Close { open: 1, outcome: Outcome::BrokenOff };
    assert_eq!((close.draft.bytes, close.draft.rows, close.draft.stream), (70, 7, Some(place)));
    assert_eq!((extend.draft.bytes, extend.draft.findings), (150, 2));
    for entry in [extend, close] {
        let (a, b) = (&entry.draft, &open.draft);
        assert_eq!(
            (a.direction, a.flow, a.rulebook, a.purpose),
            (b.direction, b.flow, b.rulebook, b.purpose)
        );
        assert_eq!((a.place, a.destination, a.actor, a.lane), (b.place, b.destination, b.actor, b.lane));
        assert_eq!((&a.classes, &a.treatments, &a.subjects), (&b.classes, &b.treatments, &b.subjects));
        assert_eq!((a.facts.len(), *a.detail.bytes()), (0, [0; 32]));
    }
}

#[test]
fn an_orphan_is_closed_with_its_whole_budget() {
    let mut log = Log::new();
    let mut stream = opened(&mut log, 100, 60);
    stream.release(1, START).unwrap();
    let _ = log.write(&stream.extend(500, START.plus(70), Counts { rows: 3, findings: 0 }, START).unwrap());
    let now = START.plus(200);
    let [open, extend] = log.1.as_slice() else { panic!("two entries") };
    let short = orphan(open, &[], None, now).unwrap();
    let whole = orphan(open, &[], Some(extend), now).unwrap();
    assert_eq!((short.bytes, whole.bytes, whole.rows), (100, 500, 3));
    assert_eq!(whole.stream, Some(StreamPlace::Close { open: 0, outcome: Outcome::Unknown }));
    assert_eq!(orphan(extend, &[], None, now).unwrap_err(), Hold::Entry);
    assert_eq!(orphan(open, &[], Some(open), now).unwrap_err(), Hold::Entry);
    let stranger = Entry { sequence: 9, ..open.clone() };
    assert_eq!(orphan(&stranger, &[], Some(extend), now).unwrap_err(), Hold::Entry);
    let _ = log.write(&whole);
}

#[test]
fn an_orphan_with_a_tag_list_needs_that_list() {
    let tags: Vec<Tag> = (1..=9).map(|i| Tag::new([i; 16])).collect();
    let open = Draft { subjects: Subjects::of(tags.clone()), ..opening(100, 60) };
    let open = Entry::decode(&open.encode([1; 8], 4)).unwrap();
    let close = orphan(&open, &tags, None, START).unwrap();
    let close = Entry::decode(&close.encode([1; 8], 5)).unwrap();
    assert_eq!((close.tag_root, close.subject_count), (open.tag_root, 9));
    for wrong in [&tags[1..], &[], &tags[..4]] {
        assert_eq!(orphan(&open, wrong, None, START).unwrap_err(), Hold::Tags);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Release(u64),
    Extend(u64, u64),
    Durable,
    Lost,
    Wait(u64),
    Close,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..400).prop_map(Step::Release),
        2 => (0u64..900, 0u64..4_000).prop_map(|(b, l)| Step::Extend(b, l)),
        2 => Just(Step::Durable),
        1 => Just(Step::Lost),
        2 => (0u64..30).prop_map(Step::Wait),
        1 => Just(Step::Close),
    ]
}

proptest! {
    /// A model that looks only at the entries in the log and at the bytes that left.
    #[test]
    fn what_left_is_on_the_record_at_every_moment(steps in prop::collection::vec(any_step(), 0..60)) {
        let mut log = Log::new();
        let mut stream = opened(&mut log, 300, 60);
        let (mut now, mut sent, mut closed, mut extend) = (START, 0, false, None);
        for step in steps {
            match step {
                Step::Wait(seconds) => now = now.plus(seconds),
                Step::Extend(budget, lease) => {
                    if let Ok(draft) = stream.extend(budget, START.plus(lease), NONE, now) {
                        extend = Some(draft);
                    }
                }
                Step::Durable => if let Some(draft) = extend.take() {
                    let receipt = log.write(&draft);
                    prop_assert_eq!(stream.extended(&receipt), Ok(()));
                },
                Step::Lost => if extend.take().is_some() {
                    stream.not_extended();
                },
                Step::Close => if let Ok(draft) = stream.close(Outcome::Complete, NONE, now) {
                    prop_assert!(extend.is_none() && draft.bytes == sent);
                    let _ = log.write(&draft);
                    closed = true;
                },
                Step::Release(bytes) => if stream.release(bytes, now).is_ok() {
                    sent += bytes;
                    prop_assert!(!closed, "after the close");
                    let newest = log.1.last().unwrap();
                    let (Some(StreamPlace::Open { lease }) | Some(StreamPlace::Extend { lease, .. })) = newest.draft.stream else {
                        panic!("an open or extend");
                    };
                    prop_assert!(sent <= newest.draft.bytes && now < lease);
                },
            }
        }
        // The record itself is in order: budgets and leases never fall, and the close is last and not above.
        for (a, b) in log.1.iter().zip(log.1.iter().skip(1)) {
            prop_assert!(a.draft.kind != EntryKind::Close && a.draft.time <= b.draft.time);
            prop_assert!(b.draft.kind == EntryKind::Close && b.draft.bytes <= a.draft.bytes || b.draft.bytes >= a.draft.bytes);
        }
    }
}
