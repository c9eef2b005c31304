use super::*;
use crate::daymap::{DayMap, Record};
use crate::entry::tests::draft;
use crate::merkle::{MemoryTree, leaf_hash};
use crate::note::Signer;
use crate::site::Input;
use crate::{Draft, Subjects};

const ORIGIN: &str = "ledger.example/sg/gw1";
const SITE: &str = "site.example/sg";
/// First day of the record.
const DAY: u32 = 20_717;

fn key() -> SecretKey {
    SecretKey::new([7; 32])
}

fn period(from: u32, to: u32) -> Period {
    Period { log_set: "example".to_owned(), tag_key: key(), from, to }
}

/// A site with one gateway: the person is named on some days, somebody else on every day.
struct Site {
    leaves: Vec<Vec<u8>>,
    tree: MemoryTree,
    days: Vec<DayMap>,
    calendar: Calendar,
    site: MemoryTree,
    anchor: Option<Proved>,
    interim: Option<Proved>,
}

impl Site {
    /// `days` final days and, if `interim`, one that is not over.
    fn new(days: u32, interim: bool) -> Self {
        let mut site = Self {
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
            proved.proof = site.site.prove_inclusion(proved.index, head.size).unwrap();
        }
        site
    }

    fn write(&mut self, day: u32, tags: Vec<Tag>) {
        let time = UnixSeconds(u64::from(day) * 86_400 + 40_000);
        let entry = Draft { time, subjects: Subjects::of(tags), ..draft() };
        let leaf = entry.encode(short_name(ORIGIN), self.tree.size());
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
        let map = DayMap::build(pairs);
        if is_final {
            self.calendar.push(map.record(day)).unwrap();
        }
        let (calendar, log) = (self.calendar.head(), self.tree.head());
        let input = Input { origin: ORIGIN.to_owned(), from, to: log.size, root: log.root };
        let entry = SiteEntry::DayMap(DayMapEntry {
            day,
            is_final,
            root: map.root(),
            tags: map.tags(),
            pairs: map.pairs(),
            inputs: vec![input],
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

    fn prove(&self, wanted: &Wanted) -> Proved {
        let index = wanted.pair.index;
        let leaf = self.leaves[usize::try_from(index).unwrap()].clone();
        Proved { index, leaf, proof: self.tree.prove_inclusion(index, wanted.log.size).unwrap() }
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
        let read = History::from_json(&history.to_json().unwrap()).unwrap();
        assert_eq!(read, history);
        read.check(&checkpoint).unwrap();
    }
}

#[test]
fn days_before_the_first_record_are_outside_and_days_behind_the_last_are_refused() {
    let site = Site::new(3, true);
    let json = site.history(DAY - 2, DAY + 3).unwrap().to_json().unwrap();
    assert_eq!(json.matches(r#""outside":true"#).count(), 2);
    assert_eq!(site.history(DAY, DAY + 4).unwrap_err(), HistoryError::Uncovered(DAY + 4));
    let first_day = Site::new(0, true);
    assert!(first_day.history(DAY, DAY).is_ok());
    assert_eq!(first_day.history(DAY - 1, DAY).unwrap_err(), HistoryError::Uncovered(DAY - 1));
    assert_eq!(site.history(DAY + 1, DAY).unwrap_err(), HistoryError::Period);
    assert_eq!(site.history(DAY - DAYS_MAX, DAY).unwrap_err(), HistoryError::Period);
}

#[test]
fn the_members_are_those_of_the_page() {
    let json = Site::new(2, true).history(DAY, DAY + 1).unwrap().to_json().unwrap();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["format"], "clover subject history v1");
    assert_eq!((&value["from"], &value["to"]), (&"2026-09-21".into(), &"2026-09-22".into()));
    assert_eq!(value["tag_key"], "07".repeat(32));
    assert_eq!(value["days"][0]["day"], "2026-09-21");
    assert!(value["days"][0]["absent"]["low"]["proof"].is_array());
    assert!(value["days"][1]["present"]["list"].is_string());
    assert_eq!(value["entries"][1]["origin"], ORIGIN);
    for member in ["checkpoint", "anchor", "calendar", "interim"] {
        assert!(!value[member].is_null(), "{member}");
    }
    let none: serde_json::Value =
        serde_json::from_str(&Site::new(0, true).history(DAY, DAY).unwrap().to_json().unwrap()).unwrap();
    assert!(none.get("anchor").is_none() && none.get("calendar").is_none());
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
        proved.proof = site.site.prove_inclusion(proved.index, head.size).unwrap();
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
    let proved: Vec<Proved> = entries().wanted().iter().map(|w| site.prove(w)).collect();
    assert!(entries().proved(proved.clone()).is_ok());
    assert_eq!(entries().proved(proved[1..].to_vec()).map(|_| ()), Err(HistoryError::Given));
    let mut other = proved.clone();
    other.swap(0, 1);
    assert!(matches!(entries().proved(other), Err(HistoryError::Named(_))));
    let mut flipped = proved.clone();
    flipped[0].leaf[100] ^= 1;
    assert!(matches!(entries().proved(flipped), Err(HistoryError::Proof { .. })));
}

#[test]
fn a_changed_file_is_refused() {
    let site = Site::new(4, true);
    let (_, checkpoint) = site.checkpoint();
    let json = site.history(DAY - 1, DAY + 4).unwrap().to_json().unwrap();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let check = |v: &serde_json::Value| History::from_json(&v.to_string())?.check(&checkpoint);
    assert_eq!(check(&value), Ok(()));
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut other = value.clone();
        change(&mut other);
        assert_ne!(other, value);
        check(&other).is_err()
    };
    assert!(with(&|v| drop(v["entries"].as_array_mut().unwrap().pop())), "an entry left out");
    assert!(with(&|v| drop(v["days"].as_array_mut().unwrap().pop())), "a day left out");
    assert!(with(&|v| v["days"].as_array_mut().unwrap().swap(2, 3)), "days out of order");
    assert!(with(&|v| v["days"][2] = serde_json::json!({ "day": v["days"][2]["day"], "outside": true })));
    assert!(with(&|v| v["tag_key"] = "08".repeat(32).into()), "another person's key");
    assert!(with(&|v| v["log_set"] = "other".into()));
    assert!(with(&|v| v["from"] = "2026-09-21".into()));
    assert!(with(&|v| v["from"] = "2026-9-20".into()));
    assert!(with(&|v| v["entries"][0]["origin"] = "ledger.example/sg/gw2".into()));
    assert!(with(&|v| v["entries"][0]["index"] = 0.into()));
    assert!(with(&|v| drop(v.as_object_mut().unwrap().remove("calendar"))));
    assert!(with(&|v| drop(v.as_object_mut().unwrap().remove("interim"))));
    assert!(with(&|v| v["more"] = 1.into()), "an unknown member");
    assert!(with(&|v| v["format"] = "clover subject history v2".into()));
    assert!(with(&|v| v["days"][1]["outside"] = true.into()));
}

/// A file with proofs as long as those of four million tags a day, and of a gateway's log with 10^9 entries.
#[test]
fn a_year_of_a_person_among_four_million_is_at_most_a_megabyte() {
    let hashes = |n| vec![Hash::from_bytes([0xfb; 32]); n];
    let year = |entries: u64| {
        let (period, anchor) = (period(DAY, DAY + 364), Site::new(1, false).anchor);
        let mut calendar = Calendar::default();
        let empty = DayMap::build([]).record(0);
        (DAY..DAY + 365).for_each(|day| calendar.push(Record { day, ..empty }).unwrap());
        let question = |day| Question { day, tag: Tag::new([1; 16]), map: empty.head() };
        let questions: Vec<Question> = (DAY..DAY + 365).map(question).collect();
        let leaf = crate::daymap::Leaf::of(Tag::new([0xfb; 16]), &[]);
        let placed = || crate::daymap::Placed { index: 4_000_000, leaf, proof: hashes(22) };
        let pair = Pair { gateway: [0xfb; 8], index: 900_000_000 };
        let answer = |n| match n < entries {
            true => Answer::Present { index: 4_000_000, list: vec![pair], proof: hashes(22) },
            false => Answer::Absent { low: placed(), high: placed() },
        };
        let checkpoint = "x".repeat(1_000);
        let anchor = anchor.map(|a| Proved { proof: hashes(25), ..a });
        let maps = Maps { anchor, calendar, interim: None };
        let asked = Questions { period, checkpoint, maps, newest: None, questions };
        let log = TreeHead { size: 1_000_000_000, root: Hash::from_bytes([0; 32]) };
        let wanted = Wanted { origin: ORIGIN.to_owned(), pair, log, day: DAY, tag: leaf.tag };
        let wanted = vec![wanted; usize::try_from(entries).unwrap()];
        let proved = Proved { index: 900_000_000, leaf: vec![0xfb; 256 + 300], proof: hashes(30) };
        let proved = vec![proved; wanted.len()];
        let answers = (0..365).map(answer).collect();
        History::of(Entries { asked, answers, wanted }, proved).to_json().unwrap().len()
    };
    let (none, weekly, daily) = (year(0), year(52), year(365));
    assert!(none < 900_000 && weekly < 1_000_000, "{none} and {weekly} bytes");
    assert!(daily < 1_500_000, "{daily} bytes");
}
