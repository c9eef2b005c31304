use ciborium::Value;

use super::*;
use crate::checkpoint::open;
use crate::daymap::{Absence, DayMap, Record};
use crate::entry::tests::draft;
use crate::merkle::{HashReader, MemoryTree, leaf_hash, prove_several};
use crate::note::Signer;
use crate::site::Input;
use crate::{Draft, Subjects};

const ORIGIN: &str = "ledger.example/sg/gw1";
/// A gateway that was retired after the first day.
const OLD: &str = "ledger.example/sg/gw0";
const SITE: &str = "site.example/sg";
/// First day of the record.
const DAY: u32 = 20_717;

fn key() -> SecretKey {
    SecretKey::new([7; 32])
}

fn period(from: u32, to: u32) -> Period {
    Period { log_set: "example".to_owned(), tag_key: key(), from, to }
}

fn entry(origin: &str, index: u64, day: u32, tags: Vec<Tag>) -> Vec<u8> {
    let time = UnixSeconds(u64::from(day) * 86_400 + 40_000);
    let entry = Draft { time, subjects: Subjects::of(tags), ..draft() };
    entry.encode(short_name(origin), index)
}

/// A site with one gateway: the person is named on some days, somebody else on every day.
struct Site {
    leaves: Vec<Vec<u8>>,
    tree: MemoryTree,
    /// The log of the retired gateway, which names the person in each entry.
    old: Vec<Vec<u8>>,
    days: Vec<DayMap>,
    calendar: Calendar,
    site: MemoryTree,
    anchor: Option<Proved>,
    interim: Option<Proved>,
}

impl Site {
    /// `days` final days and, if `interim`, one that is not over.
    fn new(days: u32, interim: bool) -> Self {
        Self::with_old(0, days, interim)
    }

    /// As many entries in the log of a gateway that was retired after the first day.
    fn with_old(old: u64, days: u32, interim: bool) -> Self {
        let mut site = Self {
            old: (0..old).map(|index| entry(OLD, index, DAY, vec![period(DAY, DAY).tag(DAY)])).collect(),
            leaves: Vec::new(),
            tree: MemoryTree::new(),
            days: Vec::new(),
            calendar: Calendar::default(),
            site: [leaf_hash(b"an enrolment")].into_iter().collect(),
            anchor: None,
            interim: None,
        };
        for day in DAY..DAY + days + u32::from(interim) {
            let is_final = day < DAY + days;
            let from = site.tree.size();
            let people = [period(day, day).tag(day), Tag::new([3; 16]), Tag::new([0xf3; 16])];
            site.write(day, vec![people[1], people[2]]);
            if (day - DAY) % 3 == 1 {
                site.write(day, vec![people[0]]);
                site.write(day, (0..6).map(|i| Tag::new([i + 8; 16])).chain([people[0]]).collect());
            }
            site.close(day, from, is_final);
        }
        let head = site.site.head();
        for proved in [&mut site.anchor, &mut site.interim].into_iter().flatten() {
            proved.proof = site.site.prove_several(&[proved.index], head.size).unwrap();
        }
        site
    }

    fn write(&mut self, day: u32, tags: Vec<Tag>) {
        let leaf = entry(ORIGIN, self.tree.size(), day, tags);
        self.tree.push(leaf_hash(&leaf));
        self.leaves.push(leaf);
    }

    fn close(&mut self, day: u32, from: u64, is_final: bool) {
        let list_tags: Vec<Tag> =
            (0..6).map(|i| Tag::new([i + 8; 16])).chain([period(day, day).tag(day)]).collect();
        let mut pairs = Vec::new();
        for (index, leaf) in (0..).zip(&self.leaves).skip(usize::try_from(from).unwrap()) {
            let entry = Entry::decode(leaf).unwrap();
            let tags = if entry.tag_root.is_some() { &list_tags } else { entry.draft.subjects.tags() };
            pairs.extend(tags.iter().map(|t| (*t, Pair { gateway: entry.gateway, index })));
        }
        if day == DAY {
            let pair = |index| Pair { gateway: short_name(OLD), index };
            pairs.extend((0..self.old.len() as u64).map(|index| (period(day, day).tag(day), pair(index))));
        }
        let map = DayMap::build(pairs);
        if is_final {
            self.calendar.push(map.record(day)).unwrap();
        }
        let (calendar, log) = (self.calendar.head(), self.tree.head());
        let mut inputs = vec![Input { origin: ORIGIN.to_owned(), from, to: log.size, root: log.root }];
        if !self.old.is_empty() {
            let TreeHead { size: to, root } = self.old_tree().head();
            inputs.push(Input { origin: OLD.to_owned(), from: 0, to, root });
        }
        let entry = SiteEntry::DayMap(DayMapEntry {
            day,
            is_final,
            root: map.root(),
            tags: map.tags(),
            pairs: map.pairs(),
            inputs,
            calendar_root: calendar.root,
            calendar_size: calendar.size,
        });
        self.days.push(map);
        let proved = self.site_leaf(&entry);
        if is_final { self.anchor = Some(proved) } else { self.interim = Some(proved) }
    }

    fn site_leaf(&mut self, entry: &SiteEntry) -> Proved {
        let (index, mut leaf) = (self.site.size(), entry.encode(UnixSeconds(1_790_000_000)).unwrap());
        leaf[8..16].copy_from_slice(&short_name(SITE));
        leaf[16..24].copy_from_slice(&index.to_be_bytes());
        self.site.push(leaf_hash(&leaf));
        Proved { index, leaf, proof: Vec::new() }
    }

    fn checkpoint(&self) -> (String, Checkpoint) {
        let checkpoint = Checkpoint::new(SITE, self.site.head()).unwrap();
        (checkpoint.sign(&Signer::from_seed(SITE, &[1; 32]).unwrap()).unwrap(), checkpoint)
    }

    fn maps(&self) -> Maps {
        Maps { anchor: self.anchor.clone(), calendar: self.calendar.clone(), interim: self.interim.clone() }
    }

    fn questions(&self, from: u32, to: u32) -> Result<Questions, HistoryError> {
        let (note, checkpoint) = self.checkpoint();
        period(from, to).begin(&note, &checkpoint, self.maps())
    }

    fn answers(&self, questions: &Questions) -> Vec<Answer> {
        let ask = |q: &Question| self.days[(q.day - DAY) as usize].prove(&q.tag).unwrap();
        questions.list().iter().map(ask).collect()
    }

    fn prove(&self, wanted: &Wanted) -> Leaves {
        let (all, tree) = if wanted.origin == OLD {
            (&self.old, self.old_tree())
        } else {
            (&self.leaves, self.tree.clone())
        };
        let leaf = |index: &u64| all[usize::try_from(*index).unwrap()].clone();
        let leaves = wanted.indices.iter().map(leaf).collect();
        Leaves { leaves, proof: tree.prove_several(&wanted.indices, wanted.log.size).unwrap() }
    }

    fn old_tree(&self) -> MemoryTree {
        self.old.iter().map(|leaf| leaf_hash(leaf)).collect()
    }

    fn history(&self, from: u32, to: u32) -> Result<History, HistoryError> {
        let questions = self.questions(from, to)?;
        let answers = self.answers(&questions);
        let entries = questions.answered(answers)?;
        let proved = entries.wanted().iter().map(|w| self.prove(w)).collect();
        entries.proved(proved)
    }
}

#[test]
fn a_history_shows_every_entry_of_its_period_and_reads_back() {
    let site = Site::new(8, true);
    let (_, checkpoint) = site.checkpoint();
    // Days 1, 4 and 7 of the record name the person, twice each.
    for (from, to, entries) in [(0, 8, 6), (0, 0, 0), (1, 1, 2), (2, 6, 2), (8, 8, 0), (7, 8, 2)] {
        let history = site.history(DAY + from, DAY + to).unwrap();
        assert_eq!(history.entries(), entries, "{from} to {to}");
        let bytes = history.to_bytes().unwrap();
        let read = History::from_bytes(&bytes).unwrap();
        assert_eq!(read.to_bytes().unwrap(), bytes);
        read.check(&checkpoint).unwrap();
    }
}

#[test]
fn the_entries_of_a_gateway_that_is_retired_are_proved_for_ever() {
    for interim in [false, true] {
        let site = Site::with_old(3, 8, interim);
        let history = site.history(DAY, DAY + 7).unwrap();
        assert_eq!(history.entries(), 6 + 3);
        let bytes = history.to_bytes().unwrap();
        History::from_bytes(&bytes).unwrap().check(&site.checkpoint().1).unwrap();
        // A site whose newest map does not name the log any more cannot make the history.
        let questions = site.questions(DAY, DAY + 7).unwrap();
        let answers = site.answers(&questions);
        let forgotten = |mut asked: Questions| {
            asked.newest.iter_mut().for_each(|map| map.inputs.retain(|input| input.origin != OLD));
            asked.answered(answers).map(|_| ())
        };
        assert_eq!(forgotten(questions), Err(HistoryError::Input));
        // Nor do entries beyond the end of the log hold.
        let longer = Site::with_old(4, 8, interim);
        assert!(History::from_bytes(&bytes).unwrap().check(&longer.checkpoint().1).is_err());
    }
}

#[test]
fn days_before_the_first_record_are_outside_and_days_behind_the_last_are_refused() {
    let site = Site::new(3, true);
    let members = members(&site.history(DAY - 2, DAY + 3).unwrap());
    let days = members[9].1.as_array().unwrap();
    assert_eq!(days.iter().filter(|day| day.as_array().unwrap().is_empty()).count(), 2);
    assert_eq!(site.history(DAY, DAY + 4).unwrap_err(), HistoryError::Uncovered(DAY + 4));
    let first_day = Site::new(0, true);
    assert!(first_day.history(DAY, DAY).is_ok());
    assert_eq!(first_day.history(DAY - 1, DAY).unwrap_err(), HistoryError::Uncovered(DAY - 1));
    assert_eq!(site.history(DAY + 1, DAY).unwrap_err(), HistoryError::Period);
    assert_eq!(site.history(DAY - DAYS_MAX, DAY).unwrap_err(), HistoryError::Period);
}

type Members = Vec<(Value, Value)>;

/// The members of a file, by key.
fn members(history: &History) -> Members {
    ciborium::from_reader::<Value, _>(history.to_bytes().unwrap().as_slice()).unwrap().into_map().unwrap()
}

#[test]
fn the_members_are_those_of_the_page() {
    let found = members(&Site::new(2, true).history(DAY, DAY + 1).unwrap());
    let keys: Vec<Value> = found.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys, (0..=10).map(Value::from).collect::<Vec<_>>());
    let member = |key: usize| &found[key].1;
    assert_eq!(*member(0), Value::from("clover subject history v1"));
    assert_eq!((member(1), member(2)), (&Value::from("example"), &Value::Bytes(vec![7; 32])));
    assert_eq!((member(3), member(4)), (&Value::from(DAY), &Value::from(DAY + 1)));
    assert!(member(5).is_text() && member(7).is_bytes());
    let lengths = |value: &Value| value.as_array().unwrap().iter().map(length).collect::<Vec<_>>();
    // The days: absent with two neighbours, present with a list of two.
    let days = member(9).as_array().unwrap();
    assert_eq!(lengths(&days[0])[1..3], [52, 52]);
    assert_eq!((lengths(&days[1]).len(), lengths(&days[1])[1]), (3, 32));
    let logs = member(10).as_array().unwrap();
    let [origin, leaves, proof] = logs[0].as_array().unwrap().as_slice() else { panic!("a log") };
    assert_eq!((logs.len(), origin), (1, &Value::from(ORIGIN)));
    assert_eq!((leaves.as_array().unwrap().len(), length(proof) % 32), (2, 0));
    let first_day = members(&Site::new(0, true).history(DAY, DAY).unwrap());
    let keys: Vec<Value> = first_day.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [0, 1, 2, 3, 4, 5, 8, 9, 10].map(Value::from), "neither anchor nor calendar");
}

fn length(value: &Value) -> usize {
    value.as_bytes().map_or(0, Vec::len)
}

#[test]
fn maps_that_are_not_in_the_site_log_are_refused() {
    let site = Site::new(4, true);
    let (note, checkpoint) = site.checkpoint();
    let begin = |maps| period(DAY, DAY + 3).begin(&note, &checkpoint, maps).map(|_| ());
    assert_eq!(begin(site.maps()), Ok(()));
    let moved = site.maps().anchor.map(|a| Proved { index: a.index + 1, ..a });
    assert!(begin(Maps { anchor: moved, ..site.maps() }).is_err());
    assert!(begin(Maps { anchor: None, ..site.maps() }).is_err(), "a calendar without an anchor");
    assert!(begin(Maps { calendar: site.calendar.at(3).unwrap(), ..site.maps() }).is_err());
    assert!(begin(Maps { calendar: Calendar::default(), ..site.maps() }).is_err());
    assert_eq!(begin(Maps { anchor: site.interim.clone(), ..site.maps() }), Err(HistoryError::Leaf(5)));
    assert_eq!(begin(Maps { interim: site.anchor.clone(), ..site.maps() }), Err(HistoryError::Leaf(4)));
    let other = Site::new(5, true);
    assert!(begin(other.maps()).is_err());
    assert!(period(DAY, DAY).begin(&other.checkpoint().0, &checkpoint, site.maps()).is_err());
}

#[test]
fn an_interim_map_of_a_day_in_the_calendar_is_refused() {
    let mut site = Site::new(3, false);
    let (root, counted) = (site.days[2].root(), site.calendar.head());
    let entry = SiteEntry::DayMap(DayMapEntry {
        day: DAY + 2,
        is_final: false,
        root,
        tags: site.days[2].tags(),
        pairs: site.days[2].pairs(),
        inputs: Vec::new(),
        calendar_root: counted.root,
        calendar_size: counted.size,
    });
    site.interim = Some(site.site_leaf(&entry));
    let head = site.site.head();
    for proved in [&mut site.anchor, &mut site.interim].into_iter().flatten() {
        proved.proof = site.site.prove_several(&[proved.index], head.size).unwrap();
    }
    assert_eq!(site.questions(DAY, DAY).map(|_| ()), Err(HistoryError::Calendar));
}

#[test]
fn an_answer_or_an_entry_that_is_not_the_right_one_is_refused() {
    let site = Site::new(5, false);
    let questions = || site.questions(DAY, DAY + 4).unwrap();
    let good = site.answers(&questions());
    let mut swapped = good.clone();
    swapped.swap(0, 1);
    assert!(matches!(questions().answered(swapped), Err(HistoryError::Answer { day: DAY, .. })));
    assert_eq!(questions().answered(good[1..].to_vec()).map(|_| ()), Err(HistoryError::Given));

    let entries = || questions().answered(good.clone()).unwrap();
    let proved: Vec<Leaves> = entries().wanted().iter().map(|w| site.prove(w)).collect();
    assert_eq!((proved.len(), proved[0].leaves.len()), (1, 4));
    assert!(entries().proved(proved.clone()).is_ok());
    assert_eq!(entries().proved(Vec::new()).map(|_| ()), Err(HistoryError::Given));
    let refused = |change: &dyn Fn(&mut Leaves)| {
        let mut other = proved.clone();
        change(&mut other[0]);
        entries().proved(other).unwrap_err()
    };
    assert_eq!(refused(&|p| drop(p.leaves.pop())), HistoryError::Given);
    assert_eq!(refused(&|p| p.leaves.push(p.leaves[0].clone())), HistoryError::Given);
    for (name, change) in CHANGES {
        assert!(matches!(refused(&|p| change(&mut p.proof)), HistoryError::Proof { .. }), "{name}");
    }
    assert!(matches!(refused(&|p| p.leaves.swap(0, 1)), HistoryError::Proof { .. }));
    assert!(matches!(refused(&|p| p.leaves[0][100] ^= 1), HistoryError::Proof { .. }));
}

/// Finds an array of the file whose last part is a proof.
type Find = fn(&mut Members) -> &mut Value;
type Change = (&'static str, fn(&mut Vec<Hash>));

/// What may befall the hashes of a proof.
const CHANGES: [Change; 4] = [
    ("truncated", |hashes| hashes.truncate(hashes.len() - 1)),
    ("surplus", |hashes| hashes.push(hashes[0])),
    ("reordered", |hashes| hashes.rotate_left(1)),
    ("another", |hashes| hashes[0] = hashes[1]),
];

/// An entry in the proved log that is not of the person, or not of the day that the list says.
#[test]
fn an_entry_that_stands_in_the_log_and_is_another_than_the_list_says_is_refused() {
    let site = Site::new(5, false);
    let questions = || site.questions(DAY, DAY + 4).unwrap();
    let wanted = |change: &dyn Fn(&mut Wanted)| {
        let mut entries = questions().answered(site.answers(&questions())).unwrap();
        change(&mut entries.wanted[0]);
        let proved = vec![site.prove(&entries.wanted[0])];
        entries.proved(proved).map(|_| ())
    };
    assert_eq!(wanted(&|_| ()), Ok(()));
    assert_eq!(wanted(&|w| w.named[0].0 += 1), Err(HistoryError::Named(2)), "another day");
    assert_eq!(wanted(&|w| w.named[0].1 = Tag::new([5; 16])), Err(HistoryError::Named(2)), "another person");
    assert_eq!(wanted(&|w| w.origin.push('0')), Err(HistoryError::Named(2)), "another log");
}

#[test]
fn a_changed_file_is_refused() {
    let site = Site::new(4, true);
    let (_, checkpoint) = site.checkpoint();
    let honest = members(&site.history(DAY - 1, DAY + 4).unwrap());
    let check = |members: Members| {
        let mut bytes = Vec::new();
        ciborium::into_writer(&Value::Map(members), &mut bytes).unwrap();
        History::from_bytes(&bytes)?.check(&checkpoint)
    };
    assert_eq!(check(honest.clone()), Ok(()));
    let refused = |name: &str, change: &dyn Fn(&mut Members)| {
        let mut other = honest.clone();
        change(&mut other);
        assert_ne!(other, honest, "{name}");
        assert!(check(other).is_err(), "{name}");
    };
    let array = |value: &mut Value, change: &dyn Fn(&mut Vec<Value>)| change(value.as_array_mut().unwrap());
    for (key, name) in (0..).zip(["format", "log set", "key", "first day", "last day", "checkpoint"]) {
        refused(name, &|m| drop(m.remove(key)));
    }
    for (key, name) in [(6, "anchor"), (7, "calendar"), (8, "interim"), (9, "days"), (10, "entries")] {
        refused(name, &|m| drop(m.remove(key)));
    }
    refused("anchor and calendar", &|m| drop(m.drain(6..8)));
    refused("another format", &|m| m[0].1 = "clover subject history v2".into());
    refused("another log set", &|m| m[1].1 = "other".into());
    refused("another person's key", &|m| m[2].1 = Value::Bytes(vec![8; 32]));
    refused("a later first day", &|m| m[3].1 = DAY.into());
    refused("a later last day", &|m| m[4].1 = (DAY + 5).into());
    refused("an unknown member", &|m| m.push((11.into(), 1.into())));
    refused("members out of order", &|m| m.swap(9, 10));
    refused("a day left out", &|m| array(&mut m[9].1, &|days| drop(days.pop())));
    refused("a day too many", &|m| array(&mut m[9].1, &|days| days.push(days[3].clone())));
    refused("days out of order", &|m| array(&mut m[9].1, &|days| days.swap(2, 3)));
    refused("outside for absent", &|m| array(&mut m[9].1, &|days| days[1] = Value::Array(Vec::new())));
    refused("outside for present", &|m| array(&mut m[9].1, &|days| days[2] = Value::Array(Vec::new())));
    refused("a log left out", &|m| array(&mut m[10].1, &|logs| drop(logs.pop())));
    refused("a log twice", &|m| array(&mut m[10].1, &|logs| logs.push(logs[0].clone())));
    let log = |m: &mut Members, part: usize, change: &dyn Fn(&mut Value)| {
        array(&mut m[10].1, &|logs| array(&mut logs[0], &|log| change(&mut log[part])));
    };
    refused("another origin", &|m| log(m, 0, &|origin| *origin = "ledger.example/sg/gw2".into()));
    refused("an entry left out", &|m| log(m, 1, &|leaves| array(leaves, &|l| drop(l.pop()))));
    refused("an entry twice", &|m| log(m, 1, &|leaves| array(leaves, &|l| l.push(l[0].clone()))));
    refused("entries out of order", &|m| log(m, 1, &|leaves| array(leaves, &|l| l.swap(0, 1))));
    // Each proof: its last part, of hashes.
    let proofs: [(&str, Find); 5] = [
        ("anchor", |m| &mut m[6].1),
        ("interim", |m| &mut m[8].1),
        ("absent", |m| &mut m[9].1.as_array_mut().unwrap()[1]),
        ("present", |m| &mut m[9].1.as_array_mut().unwrap()[2]),
        ("entries", |m| &mut m[10].1.as_array_mut().unwrap()[0]),
    ];
    for (what, find) in proofs {
        for (how, change) in CHANGES {
            refused(&format!("{how} hashes of {what}"), &|m| {
                let Some(Value::Bytes(proof)) = find(m).as_array_mut().unwrap().last_mut() else {
                    panic!("a proof")
                };
                let mut hashes: Vec<Hash> =
                    proof.chunks(32).map(|hash| Hash::try_from(hash).unwrap()).collect();
                change(&mut hashes);
                *proof = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
            });
        }
        refused(&format!("half a hash of {what}"), &|m| {
            let part = find(m).as_array_mut().unwrap().last_mut().unwrap();
            part.as_bytes_mut().unwrap().extend([0; 16]);
        });
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_file_is_refused() {
    let site = Site::new(4, true);
    let signer = Signer::from_seed(SITE, &[1; 32]).unwrap();
    let honest = site.history(DAY - 1, DAY + 4).unwrap().to_bytes().unwrap();
    let check = |bytes: &[u8]| {
        let history = History::from_bytes(bytes).ok()?;
        let opened = open(history.checkpoint(), signer.verifier(), &[]).ok()?;
        history.check(opened.checkpoint()).ok()
    };
    assert!(check(&honest).is_some());
    for at in 0..honest.len() {
        let mut flipped = honest.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(check(&flipped).is_none(), "byte {at}");
        assert!(History::from_bytes(&honest[..at]).is_err(), "cut at {at}");
    }
    assert!(check(&[honest.as_slice(), &[0]].concat()).is_none(), "a byte more");
}

/// A tree of which all nodes are known: proofs in it are as long as those of a real one.
struct AnyTree;

impl HashReader for AnyTree {
    type Error = std::convert::Infallible;

    fn node(&mut self, _level: u8, _index: u64) -> Result<Hash, Self::Error> {
        Ok(Hash::from_bytes([0xfb; 32]))
    }
}

/// Entries of a gateway in a year.
const YEAR: u64 = 1_000_000_000;
/// Tags in a map.
const TAGS: u64 = 4_000_000;

/// The bytes of the file of a year in which the person has this many entries, one on a day: real proofs of four million
/// tags a day and of a gateway's log with 10^9 entries, and entries with 300 bytes of facts.
fn year(entries: u64) -> usize {
    let spread = |day: u64, range: u64| day.wrapping_mul(0x9e37_79b9_7f4a_7c15) % range;
    let (period, anchor) = (period(DAY, DAY + 364), Site::new(1, false).anchor);
    let mut calendar = Calendar::default();
    let empty = DayMap::build([]).record(0);
    (DAY..DAY + 365).for_each(|day| calendar.push(Record { day, ..empty }).unwrap());
    let question = |day| Question { day, tag: Tag::new([1; 16]), map: empty.head() };
    let questions: Vec<Question> = (DAY..DAY + 365).map(question).collect();
    let leaf = crate::daymap::Leaf::of(Tag::new([0xfb; 16]), &[]);
    let several = |indices: &[u64], size| prove_several(&mut AnyTree, indices, size).unwrap();
    let pair = Pair { gateway: [0xfb; 8], index: YEAR - 1 };
    let answer = |day| {
        let index = spread(day, TAGS);
        match day < entries {
            true => Answer::Present { index, list: vec![pair], proof: several(&[index], TAGS + 2) },
            false => {
                let proof = several(&[index, index + 1], TAGS + 2);
                Answer::Absent(Absence { index, low: leaf, high: leaf, proof })
            }
        }
    };
    let checkpoint = "x".repeat(1_000);
    let anchor = anchor.map(|a| Proved { proof: several(&[YEAR / 32], YEAR / 32 + 60), ..a });
    let maps = Maps { anchor, calendar, interim: None };
    let asked = Questions { period, checkpoint, maps, newest: None, questions };
    let log = TreeHead { size: YEAR, root: Hash::from_bytes([0; 32]) };
    let each = YEAR / entries.max(1);
    let indices: Vec<u64> = (0..entries).map(|n| n * each + spread(n, each)).collect();
    let proof = if entries == 0 { Vec::new() } else { several(&indices, YEAR) };
    let proved = Leaves { leaves: vec![vec![0xfb; 256 + 300]; indices.len()], proof };
    let named = vec![(DAY, leaf.tag); indices.len()];
    let wanted = vec![Wanted { origin: ORIGIN.to_owned(), log, indices, named }];
    let answers: Vec<Answer> = (0..365).map(answer).collect();
    let hashes = |answer: &Answer| match answer {
        Answer::Present { proof, .. } | Answer::Absent(Absence { proof, .. }) => proof.len() * 32,
    };
    let (in_maps, in_log) = (answers.iter().map(hashes).sum::<usize>(), proved.proof.len() * 32);
    let leaves = proved.leaves.iter().map(Vec::len).sum::<usize>();
    let all = History::of(Entries { asked, answers, wanted }, vec![proved]).to_bytes().unwrap().len();
    let rest = all - in_maps - in_log - leaves;
    println!(
        "{entries:>3} entries: {all} bytes: {in_maps} proofs in maps, {in_log} in the log, {leaves} leaves, {rest} rest"
    );
    all
}

#[test]
fn a_year_of_a_person_among_four_million_is_at_most_a_megabyte() {
    let (none, weekly, daily) = (year(0), year(52), year(365));
    assert!(none < 900_000 && weekly < 1_000_000 && daily < 1_000_000, "{none}, {weekly}, {daily} bytes");
}
