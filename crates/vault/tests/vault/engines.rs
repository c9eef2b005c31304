//! What every engine of records owes, and what the record store promises over each, as claims that run against a folder
//! and against a PostgreSQL server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{Country, SubjectId, UnixSeconds};
use tempfile::TempDir;
use testkit::{Dice, Postgres};
use vault::keys::{Lookup, PersonKeys};
use vault::log::Database;
use vault::records::engine::{self, At, Change, Edit, Engine, Expect, Table, To};
use vault::records::{
    Coming, Expired, Home, HomeEvidence, Keep, Nearby, Person, Precondition, RECORD_MAX, RecordError,
    RecordId, Records, Write,
};
use vault::{Folder, KeyService, Log};

use super::sites::cluster::until;
use super::{hooks, identity, options, sample};

const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

/// Where one store of records is.
trait Place: Sync {
    /// Its engine, alone: nothing else has it open where only one may.
    fn engine(&self) -> Arc<dyn Engine>;
    /// The store as a process opens it.
    fn records(&self) -> Arc<Records>;
    /// What keeps the cells crashes and comes back. Nothing is open meanwhile.
    fn crash(&self);
    /// Whether two processes may have it open.
    fn shared(&self) -> bool;
}

struct OneFolder(TempDir);

impl Place for OneFolder {
    fn engine(&self) -> Arc<dyn Engine> {
        engine::embedded(&self.0.path().join("store")).unwrap()
    }
    fn records(&self) -> Arc<Records> {
        Arc::new(Records::open(&self.0.path().join("store")).unwrap())
    }
    fn crash(&self) {}
    fn shared(&self) -> bool {
        false
    }
}

struct Server {
    server: Mutex<Postgres>,
    folder: TempDir,
}

impl Server {
    fn database(&self) -> Database {
        let address = self.server.lock().unwrap().address();
        Database { address, ..Database::default() }
    }
}

impl Place for Server {
    fn engine(&self) -> Arc<dyn Engine> {
        engine::in_database(&self.database()).unwrap()
    }
    fn records(&self) -> Arc<Records> {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        Arc::new(Records::open_in(&self.database(), None, &folder, NOW).unwrap())
    }
    fn crash(&self) {
        self.server.lock().unwrap().crash().unwrap();
    }
    fn shared(&self) -> bool {
        true
    }
}

fn folder() -> OneFolder {
    OneFolder(tempfile::tempdir().unwrap())
}

fn server() -> Server {
    let server =
        Server { server: Mutex::new(Postgres::start().unwrap()), folder: tempfile::tempdir().unwrap() };
    Records::create_in(&server.database()).unwrap();
    Records::create_in(&server.database()).unwrap();
    server
}

fn at(part: u8, key: &str) -> At {
    At { table: Table::Records, part: vec![part; 16], key: key.into() }
}

fn put(at: At, expect: Expect, value: &str) -> Edit {
    Edit { at, expect, to: To::Put(value.into()) }
}

fn apply(engine: &dyn Engine, changes: &[Change]) -> Vec<bool> {
    let changes: Vec<&Change> = changes.iter().collect();
    engine.apply(&changes).into_iter().map(|held| held.unwrap()).collect()
}

fn read(engine: &dyn Engine, at: &At) -> Option<(u64, String)> {
    let cell = engine.get(std::slice::from_ref(at)).unwrap().remove(0)?;
    Some((cell.version, String::from_utf8(cell.value).unwrap()))
}

fn found(version: u64, value: &str) -> Option<(u64, String)> {
    Some((version, value.to_owned()))
}

type EngineClaim = (&'static str, fn(&dyn Engine));

const ENGINE_CLAIMS: &[EngineClaim] = &[
    ("a condition holds for what is there, and nothing is done where one does not", |e| {
        let (a, b) = (at(1, "a"), at(1, "b"));
        assert_eq!(apply(e, &[vec![put(a.clone(), Expect::Absent, "one")]]), [true]);
        assert_eq!(apply(e, &[vec![put(a.clone(), Expect::Absent, "again")]]), [false]);
        let half = vec![put(b.clone(), Expect::Absent, "b"), put(a.clone(), Expect::Version(7), "x")];
        assert_eq!(apply(e, &[half]), [false]);
        assert_eq!((read(e, &a), read(e, &b)), (found(1, "one"), None));
        assert_eq!(apply(e, &[vec![put(a.clone(), Expect::Version(1), "two")]]), [true]);
        assert_eq!(apply(e, &[vec![put(a.clone(), Expect::Any, "three")]]), [true]);
        assert_eq!(read(e, &a), found(3, "three"));
        let kept = |expect| vec![Edit { at: a.clone(), expect, to: To::Kept }];
        assert_eq!(apply(e, &[kept(Expect::Version(3)), kept(Expect::Version(2))]), [true, false]);
        let removed = |expect| vec![Edit { at: a.clone(), expect, to: To::Removed }];
        assert_eq!(apply(e, &[removed(Expect::Version(2))]), [false]);
        assert_eq!(apply(e, &[removed(Expect::Version(3)), removed(Expect::Any)]), [true, true]);
        assert_eq!(read(e, &a), None);
    }),
    ("a later change sees the earlier ones, and one that fails keeps none back", |e| {
        let a = at(2, "a");
        let changes = [
            vec![put(a.clone(), Expect::Absent, "one")],
            vec![put(a.clone(), Expect::Absent, "no"), put(at(2, "x"), Expect::Any, "no")],
            vec![put(a.clone(), Expect::Version(1), "two"), put(at(2, "b"), Expect::Any, "b")],
        ];
        assert_eq!(apply(e, &changes), [true, false, true]);
        assert_eq!(read(e, &a), found(2, "two"));
        assert_eq!((read(e, &at(2, "b")), read(e, &at(2, "x"))), (found(1, "b"), None));
    }),
    ("pages are in the order of the keys, within part and prefix", |e| {
        let keys = ["p\0a", "p\0b", "p\0c", "p\x01", "q\0a", "o\0a"];
        let cells = keys.iter().map(|k| (at(3, k), k.as_bytes().to_vec()));
        e.load(cells.chain([(at(4, "p\0b"), b"other".to_vec())]).collect()).unwrap();
        let page = |after: &str, most, bytes| {
            let page = e.page((Table::Records, &[3; 16]), b"p\0", after.as_bytes(), most, bytes).unwrap();
            page.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(page("p\0", 10, 1000), ["p\0a", "p\0b", "p\0c"]);
        assert_eq!(page("", 10, 1000), ["p\0a", "p\0b", "p\0c"]);
        assert_eq!(page("p\0a", 1, 1000), ["p\0b"]);
        assert_eq!(page("p\0", 10, 1), ["p\0a"], "no more once it is full");
        e.clear(Table::Records, &[3; 16]).unwrap();
        assert!(page("", 10, 1000).is_empty());
        assert_eq!(read(e, &at(4, "p\0b")), found(1, "other"));
    }),
    ("parts are in their order", |e| {
        let one = |n: u8| (At::one(Table::Pending, &[n; 16]), vec![n]);
        e.load([9, 3, 7].map(one).to_vec()).unwrap();
        let parts = |after: &[u8], most| {
            let page = e.parts(Table::Pending, after, most).unwrap();
            page.into_iter().map(|(_, cell)| cell.value[0]).collect::<Vec<_>>()
        };
        assert_eq!(parts(&[], 10), [3, 7, 9]);
        assert_eq!(parts(&[3; 16], 1), [7]);
        assert_eq!(e.count(Table::Pending).unwrap(), 3);
    }),
    ("of many who count at a time none is lost", |e| {
        let counters = 3_u64;
        let add = |dice: &mut Dice| {
            let at = at(5, &format!("n{}", dice.below(3)));
            loop {
                let old = read(e, &at);
                let expect = old.as_ref().map_or(Expect::Absent, |(v, _)| Expect::Version(*v));
                let sum = old.map_or(0, |(_, n)| n.parse::<u64>().unwrap()) + 1;
                if apply(e, &[vec![put(at.clone(), expect, &sum.to_string())]]) == [true] {
                    return;
                }
            }
        };
        // The embedded engine is given its changes by one thread; that is the store's affair.
        let turn = Mutex::new(());
        std::thread::scope(|s| {
            for seed in 0..4 {
                let (add, turn) = (&add, &turn);
                s.spawn(move || {
                    let mut dice = Dice::new(seed);
                    for _ in 0..20 {
                        let _turn = turn.lock().unwrap();
                        add(&mut dice);
                    }
                });
            }
        });
        let all = (0..counters).filter_map(|n| read(e, &at(5, &format!("n{n}"))));
        let (versions, sums) =
            all.map(|(v, n)| (v, n.parse::<u64>().unwrap())).unzip::<_, _, Vec<_>, Vec<_>>();
        assert_eq!(sums.iter().sum::<u64>(), 80);
        assert_eq!(versions, sums);
    }),
];

/// One person in a store, and what is needed to change them.
struct Scene<'a> {
    place: &'a dyn Place,
    _folder: TempDir,
    keys: KeyService,
    log: Log,
}

impl<'a> Scene<'a> {
    fn new(place: &'a dyn Place) -> Self {
        let folder = tempfile::tempdir().unwrap();
        KeyService::create(folder.path()).unwrap();
        let keys = KeyService::open(folder.path(), "set").unwrap();
        let disk = Arc::new(Folder::open(&folder.path().join("log")).unwrap());
        Log::create(disk.as_ref(), &identity()).unwrap();
        let index = Arc::new(testkit::MemoryIndex::default());
        let log = Log::open(disk, identity(), options(), hooks(index, &Arc::default())).unwrap();
        Self { place, _folder: folder, keys, log }
    }

    fn receipt(&self) -> (model::Digest, ledger::Receipt) {
        let submission = sample(1).submission();
        let entry = submission.entry();
        (entry, self.log.submit_and_wait(submission).unwrap())
    }

    fn admit(&self, records: &Records, name: &str) -> SubjectId {
        let mut arrival = records.arrival(&self.keys, NOW).unwrap();
        arrival.put("profile", format!("{{\"of\":\"{name}\"}}").as_bytes()).unwrap();
        let subject = self.keys.subject_id(name);
        let home =
            Home { country: Country::parse("FR").unwrap(), from: NOW, evidence: HomeEvidence::Account };
        let lookups = vec![
            self.keys.lookup_tag(Lookup::UserName, name),
            self.keys.lookup_tag(Lookup::Phone, "+33 1 99 00 00 01"),
        ];
        let arrived = arrival.finish(Coming { subject: subject.clone(), home, lookups }).unwrap();
        let (entry, receipt) = self.receipt();
        records.admit(&[arrived], &entry, &receipt).unwrap();
        subject
    }

    fn records_of(&self, records: &Records, subject: &SubjectId, collection: &str) -> Vec<Vec<u8>> {
        let (person, keys) = self.open(records, subject);
        records.collection(&person, &keys, collection, usize::MAX, usize::MAX).unwrap()
    }

    fn open(&self, records: &Records, subject: &SubjectId) -> (Person, PersonKeys) {
        let person = records.person(subject).unwrap().unwrap();
        let keys = records.keys_of(&self.keys, &person).unwrap();
        (person, keys)
    }
}

fn write<'a>(id: &'a RecordId, expect: Precondition, json: Option<&'a str>) -> Write<'a> {
    Write { collection: "notes", id, expect, json: json.map(str::as_bytes) }
}

type Claim = (&'static str, fn(&Scene<'_>));

const CLAIMS: &[Claim] = &[
    ("a record is written under a version, and goes on counting after it was removed", |s| {
        let records = s.place.records();
        let (person, keys) = s.open(&records, &s.admit(&records, "one"));
        let id = RecordId::parse("n-1").unwrap();
        let change = |write| records.change(&person, &keys, NOW, &[write]);
        assert_eq!(change(write(&id, Precondition::New, Some("{\"a\":1}"))).unwrap(), [1]);
        assert!(matches!(change(write(&id, Precondition::New, Some("{}"))), Err(RecordError::Conflict)));
        assert_eq!(change(write(&id, Precondition::Version(1), Some("{\"a\":2}"))).unwrap(), [2]);
        let late = change(write(&id, Precondition::Version(1), Some("{}")));
        assert!(matches!(late, Err(RecordError::Conflict)));
        let got = records.get(&person, &keys, "notes", &id).unwrap().unwrap();
        assert_eq!((got.version, got.changed, got.json.as_slice()), (2, NOW, b"{\"a\":2}".as_slice()));
        assert_eq!(change(write(&id, Precondition::Version(2), None)).unwrap(), [3]);
        assert_eq!(records.get(&person, &keys, "notes", &id).unwrap(), None);
        assert_eq!(change(write(&id, Precondition::New, Some("{}"))).unwrap(), [4], "no second version 1");
    }),
    ("several records are written all or none, and are listed in their order", |s| {
        let records = s.place.records();
        let (person, keys) = s.open(&records, &s.admit(&records, "two"));
        let ids: Vec<_> = (0..5).map(|n| RecordId::parse(&format!("n{n}")).unwrap()).collect();
        let all: Vec<_> = ids.iter().map(|id| write(id, Precondition::New, Some("{}"))).collect();
        records.change(&person, &keys, NOW, &all).unwrap();
        let mixed = [
            write(&ids[0], Precondition::Any, Some("{\"new\":1}")),
            write(&ids[1], Precondition::New, Some("{}")),
        ];
        assert!(matches!(records.change(&person, &keys, NOW, &mixed), Err(RecordError::Conflict)));
        records.change(&person, &keys, NOW, &[write(&ids[2], Precondition::Any, None)]).unwrap();
        let list = |after: Option<&RecordId>, max| {
            let all = records.list(&person, &keys, ("notes", after), max, usize::MAX).unwrap();
            all.into_iter().map(|(id, r)| (id.as_str().to_owned(), r.version)).collect::<Vec<_>>()
        };
        let named = |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), 1)).collect::<Vec<_>>();
        assert_eq!(list(None, 10), named(&["n0", "n1", "n3", "n4"]));
        assert_eq!(list(Some(&ids[0]), 2), named(&["n1", "n3"]));
        let long = "x".repeat(RECORD_MAX + 1);
        let too_long = [write(&ids[0], Precondition::Any, Some(&long))];
        assert!(matches!(records.change(&person, &keys, NOW, &too_long), Err(RecordError::TooLarge)));
        assert!(RecordId::parse("a/b").is_err() && RecordId::parse("").is_err());
    }),
    ("people are found by what they are called, however it is spelt", |s| {
        let records = s.place.records();
        let (ana, bob) = (s.admit(&records, "Ana_K"), s.admit(&records, "bob"));
        let by = |kind, value| records.lookup(&s.keys.lookup_tag(kind, value)).unwrap();
        assert_eq!(by(Lookup::UserName, " ana_k"), std::slice::from_ref(&ana));
        assert!(by(Lookup::Email, "ana_k").is_empty(), "another kind of value");
        let mut both = by(Lookup::Phone, "0033199000001".trim_start_matches("00"));
        both.sort();
        let mut expected = vec![ana, bob];
        expected.sort();
        assert_eq!(both, expected);
    }),
    ("who comes again is as they came: written, removed and found so, unless services work with them", |s| {
        let records = s.place.records();
        let subject = s.admit(&records, "again");
        let coming = |mail: &str| Coming {
            subject: subject.clone(),
            home: Home { country: Country::parse("FR").unwrap(), from: NOW, evidence: HomeEvidence::Account },
            lookups: [(Lookup::UserName, "again"), (Lookup::Email, mail)]
                .map(|(kind, value)| s.keys.lookup_tag(kind, value))
                .to_vec(),
        };
        let renewal = |mail: &str, notes: &[&str]| {
            let bytes = |texts: &[&str]| texts.iter().map(|t| t.as_bytes().to_vec()).collect::<Vec<_>>();
            let all =
                [("profile".to_owned(), bytes(&["{\"of\":\"again\"}"])), ("notes".to_owned(), bytes(notes))];
            let person = records.person(&subject).unwrap().unwrap();
            records.renewal(&s.keys, person, coming(mail), ["profile", "notes"], all.into())
        };
        let (entry, receipt) = s.receipt();
        let renew = |mail: &str, notes: &[&str]| {
            let one = renewal(mail, notes).unwrap();
            records.renew(std::slice::from_ref(&one), &entry, &receipt, NOW).unwrap();
            assert!(renewal(mail, notes).unwrap().is_nothing());
            one.records()
        };
        let many: Vec<String> = (0..600).map(|n| format!("{{\"n\":{n}}}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!((renew("a@example.org", &many), renew("b@example.org", &many)), (600, 0));
        assert_eq!(renew("b@example.org", &many[1..]), 600, "places count, and the last one goes");
        assert_eq!((renew("b@example.org", &["{}"]), renew("b@example.org", &many[..2])), (599, 2));
        let by = |mail| records.lookup(&s.keys.lookup_tag(Lookup::Email, mail)).unwrap();
        assert_eq!((by("a@example.org"), by("b@example.org")), (vec![], vec![subject.clone()]));
        let notes = s.records_of(&records, &subject, "notes");
        assert_eq!(notes, [b"{\"n\":0}", b"{\"n\":1}"]);
        let one = renewal("c@example.org", &["{}"]).unwrap();
        let foreign = records.renew(&[one], &model::Digest::new([3; 32]), &receipt, NOW);
        assert!(matches!(foreign, Err(RecordError::OtherReceipt)));
        let (person, keys) = s.open(&records, &subject);
        records.hold(&person, &keys, "court-2").unwrap();
        assert!(matches!(renewal("b@example.org", &many[..1]), Err(RecordError::Held)));
        assert_eq!(renewal("b@example.org", &many[..3]).unwrap().records(), 1, "nothing is removed");
        let long = format!("{{\"n\":\"{}\"}}", "x".repeat(RECORD_MAX));
        assert!(matches!(renewal("b@example.org", &[&long]), Err(RecordError::TooLarge)));
        let (person, keys) = s.open(&records, &subject);
        assert!(records.must_not_be_served(&person, &keys, ["profile", "notes"]).is_ok());
        let own = RecordId::parse("n-1").unwrap();
        records.change(&person, &keys, NOW, &[write(&own, Precondition::New, Some("{}"))]).unwrap();
        assert!(matches!(renewal("b@example.org", &[]), Err(RecordError::Served)));
        let served = records.must_not_be_served(&person, &keys, ["profile", "notes"]);
        assert!(matches!(served, Err(RecordError::Served)));
    }),
    ("a home has its date and evidence, and the newest counts", |s| {
        let records = s.place.records();
        let subject = s.admit(&records, "three");
        let (person, keys) = s.open(&records, &subject);
        let home = |country: &str, from| Home {
            country: Country::parse(country).unwrap(),
            from,
            evidence: HomeEvidence::Document,
        };
        records.move_home(&person, &keys, home("JP", NOW.plus(10))).unwrap();
        let stale = records.move_home(&person, &keys, home("DE", NOW.plus(20)));
        assert!(matches!(stale, Err(RecordError::Conflict)), "read before the move");
        let (person, keys) = s.open(&records, &subject);
        let back = records.move_home(&person, &keys, home("DE", NOW.plus(10)));
        assert!(matches!(back, Err(RecordError::Conflict)), "not after the last");
        let about = records.about(&keys, &person).unwrap();
        assert_eq!(about.home().as_str(), "JP");
        assert_eq!(about.homes.len(), 2);
    }),
    ("who is erased is gone with every record, unless a hold forbids it", |s| {
        let records = s.place.records();
        let (subject, other) = (s.admit(&records, "four"), s.admit(&records, "five"));
        let (person, keys) = s.open(&records, &subject);
        records.hold(&person, &keys, "court-1").unwrap();
        let (person, keys) = s.open(&records, &subject);
        let (entry, receipt) = s.receipt();
        let held = records.erase(&person, &keys, &entry, &receipt);
        assert!(matches!(held, Err(RecordError::Held)));
        records.lift(&person, &keys, "court-1").unwrap();
        let before = records.count();
        let stale = records.erase(&person, &keys, &entry, &receipt);
        assert!(matches!(stale, Err(RecordError::Held)), "the hold stood when the person was read");
        let (person, keys) = s.open(&records, &subject);
        let foreign = records.erase(&person, &keys, &model::Digest::new([3; 32]), &receipt);
        assert!(matches!(foreign, Err(RecordError::OtherReceipt)));
        records.erase(&person, &keys, &entry, &receipt).unwrap();
        assert_eq!(records.count(), before - 1);
        assert!(records.person(&subject).unwrap().is_none());
        assert!(records.lookup(&s.keys.lookup_tag(Lookup::UserName, "four")).unwrap().is_empty());
        assert!(records.collection(&person, &keys, "profile", 10, usize::MAX).unwrap().is_empty());
        let late = write_one(&records, &person, &keys);
        assert!(matches!(late, Err(RecordError::Conflict)), "nothing is written for who is gone");
        assert!(records.people().any(|p| p.unwrap().subject() == &other));
        let again = s.admit(&records, "four");
        assert_eq!(again, subject, "the same name may come again, under a new key");
    }),
    ("what is older than its collection keeps it goes, and no more than that", |s| {
        let records = s.place.records();
        let (subject, held) = (s.admit(&records, "ten"), s.admit(&records, "eleven"));
        let keep = |collection: &str, seconds| Keep { collection: collection.to_owned(), seconds };
        for who in [&subject, &held] {
            let (person, keys) = s.open(&records, who);
            for (name, at) in [("old", NOW), ("older", NOW), ("young", NOW.plus(50))] {
                let id = RecordId::parse(name).unwrap();
                records.change(&person, &keys, at, &[write(&id, Precondition::New, Some("{}"))]).unwrap();
            }
        }
        let (person, keys) = s.open(&records, &held);
        records.hold(&person, &keys, "court-2").unwrap();
        let (person, keys) = s.open(&records, &held);
        let id = RecordId::parse("old").unwrap();
        let removed = records.change(&person, &keys, NOW, &[write(&id, Precondition::Any, None)]);
        assert!(matches!(removed, Err(RecordError::Held)), "{removed:?}");
        let run = |at, keep: &[Keep]| records.expire(&s.keys, at, keep).unwrap();
        assert_eq!(run(NOW.plus(1_000), &[]), Expired::default());
        assert_eq!(run(NOW.plus(100), &[keep("notes", 100)]).records, 0, "not before its time is over");
        assert_eq!(run(NOW.plus(1_000), &[keep("note", 1)]).records, 0, "another collection");
        let expired = run(NOW.plus(101), &[keep("profile", 1_000_000), keep("notes", 100)]);
        assert_eq!((expired.records, expired.people, expired.held), (2, 1, 1), "{expired:?}");
        let left = |who| {
            let (person, keys) = s.open(&records, who);
            let all = records.list(&person, &keys, ("notes", None), 10, usize::MAX).unwrap();
            all.into_iter().map(|(id, _)| id.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            (left(&subject), left(&held)),
            (vec!["young".into()], vec!["old".into(), "older".into(), "young".into()])
        );
        assert_eq!(run(NOW.plus(101), &[keep("notes", 100)]).records, 0, "once");
        let (person, keys) = s.open(&records, &subject);
        assert!(!records.collection(&person, &keys, "profile", 10, usize::MAX).unwrap().is_empty());
        let again =
            records.change(&person, &keys, NOW.plus(102), &[write(&id, Precondition::New, Some("{}"))]);
        assert_eq!(again.unwrap(), [3], "what comes again goes on counting");
    }),
    ("what lies in another's place, or is older than it says, does not open", |s| {
        let records = s.place.records();
        let (one, two) = (s.admit(&records, "six"), s.admit(&records, "seven"));
        let (person, keys) = s.open(&records, &one);
        let id = RecordId::parse("n").unwrap();
        records.change(&person, &keys, NOW, &[write(&id, Precondition::New, Some("{}"))]).unwrap();
        let internal = *person.internal();
        drop(records);
        let engine = s.place.engine();
        let note = At { table: Table::Records, part: internal.to_vec(), key: b"notes\0n".to_vec() };
        let other = At { key: b"notes\0m".to_vec(), ..note.clone() };
        let value = |at: &At| engine.get(std::slice::from_ref(at)).unwrap().remove(0).unwrap().value;
        let moved = value(&note);
        let edit = |at: &At, expect, to| vec![Edit { at: at.clone(), expect, to }];
        // As its first version, as all of these are.
        let replace = |at: &At, value: Vec<u8>| {
            let changes = [edit(at, Expect::Any, To::Removed), edit(at, Expect::Absent, To::Put(value))];
            assert_eq!(apply(engine.as_ref(), &changes), [true, true]);
        };
        replace(&other, moved.clone());
        assert_eq!(apply(engine.as_ref(), &[edit(&note, Expect::Version(1), To::Put(moved))]), [true]);
        // Each handle leads to the other's cells.
        for table in [Table::Subjects, Table::Keys] {
            let [a, b] = [&one, &two].map(|s| At::one(table, s.as_str().as_bytes()));
            let (of_a, of_b) = (value(&a), value(&b));
            replace(&a, of_b);
            replace(&b, of_a);
        }
        drop(engine);
        let records = s.place.records();
        for id in ["n", "m"] {
            let id = RecordId::parse(id).unwrap();
            let got = records.get(&person, &keys, "notes", &id);
            assert!(matches!(got, Err(RecordError::Keys(_))), "{got:?}");
        }
        let swapped = records.person(&one).unwrap().unwrap();
        assert!(records.keys_of(&s.keys, &swapped).is_err(), "another person in their place");
    }),
    ("what was answered for is there after a crash", |s| {
        let id = RecordId::parse("n").unwrap();
        let subject = {
            let records = s.place.records();
            let subject = s.admit(&records, "eight");
            let (person, keys) = s.open(&records, &subject);
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let (records, person, keys) = (&records, &person, &keys);
                    scope.spawn(move || {
                        for n in 0..10 {
                            let id = RecordId::parse(&format!("t{thread}-{n}")).unwrap();
                            let one = write(&id, Precondition::New, Some("{}"));
                            records.change(person, keys, NOW, &[one]).unwrap();
                        }
                    });
                }
            });
            records.change(&person, &keys, NOW, &[write(&id, Precondition::New, Some("{}"))]).unwrap();
            subject
        };
        s.place.crash();
        let records = s.place.records();
        let (person, keys) = s.open(&records, &subject);
        let all = records.list(&person, &keys, ("notes", None), 100, usize::MAX).unwrap();
        assert_eq!(all.len(), 41);
    }),
    ("of two who change the same record at a time each is told what became of it", |s| {
        if !s.place.shared() {
            return;
        }
        let stores = [s.place.records(), s.place.records()];
        let subject = s.admit(&stores[0], "nine");
        let id = RecordId::parse("n").unwrap();
        let done = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for (number, records) in stores.iter().enumerate() {
                let (done, id, subject) = (&done, &id, &subject);
                scope.spawn(move || {
                    let (person, keys) = s.open(records, subject);
                    for _ in 0..30 {
                        let there = records.get(&person, &keys, "notes", id).unwrap().map(|r| r.version);
                        let expect = there.map_or(Precondition::New, Precondition::Version);
                        match records.change(&person, &keys, NOW, &[write(id, expect, Some("{}"))]) {
                            Ok(version) => {
                                assert!(done.lock().unwrap().insert(version[0], number).is_none(), "twice");
                            }
                            Err(RecordError::Conflict) => {}
                            Err(e) => panic!("{e:?}"),
                        }
                    }
                });
            }
        });
        let done = done.into_inner().unwrap();
        let (person, keys) = s.open(&stores[0], &subject);
        let last = stores[0].get(&person, &keys, "notes", &id).unwrap().unwrap().version;
        assert!(done.keys().copied().eq(1..=last), "no version is missing: {done:?}");
    }),
];

fn write_one(records: &Records, person: &Person, keys: &PersonKeys) -> Result<Vec<u64>, RecordError> {
    let id = RecordId::parse("late").unwrap();
    records.change(person, keys, NOW, &[write(&id, Precondition::New, Some("{}"))])
}

#[test]
fn an_embedded_engine_keeps_what_an_engine_promises() {
    for (claim, hold) in ENGINE_CLAIMS {
        println!("claim: {claim}");
        hold(folder().engine().as_ref());
    }
}

#[test]
fn an_engine_in_postgresql_keeps_what_an_engine_promises() {
    let server = server();
    for (claim, hold) in ENGINE_CLAIMS {
        println!("claim: {claim}");
        hold(server.engine().as_ref());
    }
}

#[test]
fn people_and_records_are_kept_over_an_embedded_engine() {
    for claim in CLAIMS {
        println!("claim: {}", claim.0);
        claim.1(&Scene::new(&folder()));
    }
}

#[test]
fn people_and_records_are_kept_over_postgresql() {
    let server = server();
    // Each claim has its own region key, and people of its own names.
    for claim in CLAIMS {
        println!("claim: {}", claim.0);
        claim.1(&Scene::new(&server));
    }
}

#[test]
fn no_store_in_a_database_is_made_as_a_side_effect() {
    let server = Postgres::start().unwrap();
    let database = Database { address: server.address(), ..Database::default() };
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Records::open_in(&database, None, folder.path(), NOW), Err(RecordError::Store(_))));
    Records::create_in(&database).unwrap();
    Records::open_in(&database, None, folder.path(), NOW).unwrap();
    server.sql("alter table clover_vault_keys set unlogged").unwrap();
    let careless = Records::open_in(&database, None, folder.path(), NOW).err().unwrap();
    assert!(format!("{careless:?}").contains("not logged"), "{careless:?}");
    server
        .sql("alter table clover_vault_keys set logged; insert into clover_vault_version values (99)")
        .unwrap();
    let newer = Records::open_in(&database, None, folder.path(), NOW).err().unwrap();
    assert!(format!("{newer:?}").contains("99"), "{newer:?}");
}

#[test]
fn a_server_near_by_serves_what_is_young_enough_and_nothing_else() {
    const DECLARED: Duration = Duration::from_secs(2);
    let place = server();
    let standby = place.server.lock().unwrap().standby().unwrap();
    let nearby = Nearby {
        server: Database { address: standby.address(), ..Database::default() },
        staleness: DECLARED,
    };
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open_in(&place.database(), Some(&nearby), folder.path(), NOW).unwrap();
    let scene = Scene::new(&place);
    let (person, keys) = scene.open(&records, &scene.admit(&records, "near"));
    let id = RecordId::parse("n-1").unwrap();
    let set =
        |text| records.change(&person, &keys, NOW, &[write(&id, Precondition::Any, Some(text))]).unwrap();
    let read = |most: Option<Duration>| {
        let reader = records.within(most);
        let found = reader.get(&person, &keys, "notes", &id).unwrap();
        let listed = reader.list(&person, &keys, ("notes", None), 10, usize::MAX).unwrap();
        let version = found.map(|r| r.version);
        if reader.age().is_none() {
            assert_eq!(version, listed.first().map(|(_, r)| r.version));
        }
        (version, reader.age())
    };
    set("{}");
    until("near", || read(Some(Duration::MAX)).1);
    assert!(records.within(Some(DECLARED)).person(person.subject()).unwrap().is_some());

    // Who was erased is not asked for where a copy may still have them.
    let gone = scene.admit(&records, "gone");
    until("near", || {
        let reader = records.within(Some(Duration::MAX));
        reader.person(&gone).unwrap().and(reader.age())
    });
    let paused = || {
        standby.sql("select pg_wal_replay_pause()").unwrap();
        until("a pause", || {
            (standby.sql("select pg_get_wal_replay_pause_state()").unwrap() == ["paused"]).then_some(())
        });
    };
    paused();
    let (of_gone, keys_of_gone) = scene.open(&records, &gone);
    let (entry, receipt) = scene.receipt();
    records.erase(&of_gone, &keys_of_gone, &entry, &receipt).unwrap();
    let there = format!("select count(*) from clover_vault_subjects where part = '{}'::bytea", gone.as_str());
    assert_eq!(standby.sql(&there).unwrap(), ["1"], "the copy has them still");
    assert!(records.within(Some(Duration::MAX)).person(&gone).unwrap().is_none());
    standby.sql("select pg_wal_replay_resume()").unwrap();

    // The copy goes no further, and what is written stands elsewhere.
    paused();
    assert_eq!(set("{\"a\":1}"), [2]);
    assert_eq!(read(None), (Some(2), None), "who accepts nothing old");
    assert_eq!(read(Some(Duration::ZERO)), (Some(2), None), "and who accepts nothing at all");
    until("too far behind", || match read(Some(Duration::MAX)) {
        (version, None) => {
            assert_eq!(version, Some(2));
            Some(())
        }
        (_, Some(age)) => {
            assert!(age <= DECLARED, "{age:?}");
            None
        }
    });
    standby.sql("select pg_wal_replay_resume()").unwrap();
    let (version, _) =
        until("near again", || Some(read(Some(Duration::MAX))).filter(|(_, age)| age.is_some()));
    assert_eq!(version, Some(2));

    drop(standby);
    assert_eq!(read(Some(Duration::MAX)), (Some(2), None), "nobody near by");
    // Without either there is no answer.
    place.server.lock().unwrap().kill();
    assert!(records.within(Some(DECLARED)).get(&person, &keys, "notes", &id).is_err());
}
