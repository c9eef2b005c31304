//! What every control store owes, as claims that run against each: a folder, and a PostgreSQL server.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use ledger::SecretKey;
use tempfile::TempDir;
use testkit::Dice;
use vault::KeyService;
use vault::control::store::{
    Becomes, Changed, ControlKeys, Embedded, KEY_MAX, PAGE_MAX, ROW_MAX, Row, Store, TOGETHER_MAX, Table,
};
use vault::control::{ChangeError, StoreError};
use vault::keys::{KeyError, RegionKeys, Terms, Version, clock};

use super::kill::{killed_child, kills, orders};

/// Where stores can be made.
pub(crate) trait World {
    /// Room for one more store, which is made there.
    fn place(&self) -> Box<dyn Place + '_>;
}

/// What lies in an engine, for whoever administers it.
#[derive(Clone, Default)]
pub(crate) struct Dump {
    pub(crate) head: Vec<u8>,
    /// Name, version, sequence, sealed bytes.
    pub(crate) rows: Vec<(Vec<u8>, u64, u64, Vec<u8>)>,
}

/// The place of one store.
pub(crate) trait Place {
    /// Opens it with keys as a process does. No other process has it open that keeps this one out.
    fn open_with(&self, keys: ControlKeys) -> Result<Arc<dyn Store>, StoreError>;
    /// As two processes have it open at a time; where only one may, both are its own.
    fn pair(&self) -> [Arc<dyn Store>; 2];
    /// What keeps the rows crashes and comes back. Nothing is open meanwhile.
    fn crash(&self);
    /// What lies there. Nothing is open.
    fn dump(&self) -> Dump;
    /// Puts something else there. Nothing is open.
    fn load(&self, dump: &Dump);

    fn open(&self) -> Arc<dyn Store> {
        self.open_with(keys()).unwrap()
    }
}

/// A key service that opens everything to one key, so that each process of these tests has the same ones.
struct Fixed(u8);

impl RegionKeys for Fixed {
    fn service(&self) -> &'static str {
        "fixed"
    }
    fn waits(&self) -> bool {
        false
    }
    fn versions(&self) -> Result<Vec<Version>, KeyError> {
        Ok(vec![Version::FIRST])
    }
    fn wrap(&self, _: &[u8], _: &SecretKey) -> Result<Vec<u8>, KeyError> {
        Ok([&[1, 0, 0, 0, 1][..], &[0; 60]].concat())
    }
    fn open(&self, _: &[u8], _: &[u8]) -> Result<SecretKey, KeyError> {
        Ok(SecretKey::new([self.0; 32]))
    }
    fn rotate(&self) -> Result<Version, KeyError> {
        Err(KeyError::Random)
    }
    fn retire(&self, through: Version) -> Result<(), KeyError> {
        Err(KeyError::Newest(through.number()))
    }
}

thread_local! {
    static KEYS: [(TempDir, KeyService); 2] = [0x5a, 0xa5].map(|byte| {
        let dir = tempfile::tempdir().unwrap();
        KeyService::create_with(&Fixed(byte), dir.path()).unwrap();
        let keys = KeyService::open_with(Arc::new(Fixed(byte)), dir.path(), "set", Terms::default(), clock());
        (dir, keys.unwrap())
    });
}

/// The keys of the region, the same in every process of these tests.
pub(crate) fn keys() -> ControlKeys {
    KEYS.with(|k| k[0].1.control())
}

fn other_keys() -> ControlKeys {
    KEYS.with(|k| k[1].1.control())
}

/// Folders, each with a store that one process has open.
struct Folders;

struct FolderPlace(TempDir);

impl World for Folders {
    fn place(&self) -> Box<dyn Place> {
        let dir = tempfile::tempdir().unwrap();
        Embedded::create(dir.path(), &keys()).unwrap();
        Box::new(FolderPlace(dir))
    }
}

impl FolderPlace {
    fn engine(&self) -> (fjall::Database, [fjall::Keyspace; 3]) {
        let db = fjall::Database::builder(self.0.path()).open().unwrap();
        let keyspaces = ["meta", "rows", "order"]
            .map(|name| db.keyspace(name, fjall::KeyspaceCreateOptions::default).unwrap());
        (db, keyspaces)
    }
}

impl Place for FolderPlace {
    fn open_with(&self, keys: ControlKeys) -> Result<Arc<dyn Store>, StoreError> {
        Ok(Arc::new(Embedded::open(self.0.path(), keys)?))
    }

    fn pair(&self) -> [Arc<dyn Store>; 2] {
        let store = self.open();
        [Arc::clone(&store), store]
    }

    // A kill is a claim of its own.
    fn crash(&self) {}

    fn dump(&self) -> Dump {
        let (_db, [meta, rows, _order]) = self.engine();
        let number = |b: &[u8]| u64::from_be_bytes(b.try_into().unwrap());
        let row = |row: fjall::Guard| {
            let (name, value) = row.into_inner().unwrap();
            (name.to_vec(), number(&value[..8]), number(&value[8..16]), value[16..].to_vec())
        };
        Dump { head: meta.get("head").unwrap().unwrap().to_vec(), rows: rows.iter().map(row).collect() }
    }

    fn load(&self, dump: &Dump) {
        let (db, [meta, rows, order]) = self.engine();
        rows.clear().unwrap();
        order.clear().unwrap();
        meta.insert("head", dump.head.clone()).unwrap();
        for (name, version, sequence, sealed) in &dump.rows {
            let value = [&version.to_be_bytes()[..], &sequence.to_be_bytes(), sealed].concat();
            rows.insert(name.clone(), value).unwrap();
            order.insert(sequence.to_be_bytes(), name.clone()).unwrap();
        }
        db.persist(fjall::PersistMode::SyncAll).unwrap();
    }
}

/// Puts bytes into a row, whatever it held.
pub(crate) fn put(store: &dyn Store, table: Table, key: &str, bytes: &[u8]) -> Row {
    store.change(table, key, &mut |_| Ok(Some(bytes.to_vec()))).unwrap().unwrap()
}

/// Everything after a place, page by page.
pub(crate) fn all_after(store: &dyn Store, mut after: u64, limit: usize) -> Vec<Changed> {
    let mut all = Vec::new();
    loop {
        let page = store.changes(after, limit).unwrap();
        let end = page.len() < limit;
        after = page.last().map_or(after, |c| c.sequence);
        all.extend(page);
        if end {
            return all;
        }
    }
}

pub(crate) type Claim = fn(&dyn Place);

/// All claims, one after the other.
pub(crate) fn conformance(world: &dyn World) {
    let claims: &[(&str, Claim)] = &[
        ("what was changed is there, counted, whenever the store is opened", comes_back),
        ("a change that is refused, or is none, changes nothing", refused),
        ("rows that are changed together are changed all or not at all, one at a time", together),
        ("a row of one table is not that of another", tables),
        ("of concurrent writers one wins each version and none is lost", writers),
        ("whoever follows misses nothing while writers overlap", followers),
        ("pages of changes add up to all of them", pages),
        ("a row that is removed is gone for everybody, and nobody takes that for an attack", removes),
        ("who missed more removals than are on record reads everything again", misses_removals),
        ("another region's key opens nothing", wrong_key),
        ("an engine sees neither keys nor bytes", sees_nothing),
        ("what was tampered with is refused when the store is opened", tampered),
        ("keys and rows have limits", limits),
    ];
    for (claim, check) in claims {
        println!("claim: {claim}");
        check(world.place().as_ref());
    }
}

fn comes_back(place: &dyn Place) {
    for round in 1..=3_u64 {
        let store = place.open();
        for key in ["a", "b"] {
            let row = put(store.as_ref(), Table::Requests, key, format!("{key}{round}").as_bytes());
            assert_eq!(row.version, round);
            assert_eq!(store.get(Table::Requests, key).unwrap(), Some(row));
        }
        assert_eq!(store.get(Table::Requests, "c").unwrap(), None);
        drop(store);
        place.crash();
    }
    let store = place.open();
    let found = store.get(Table::Requests, "a").unwrap().unwrap();
    assert_eq!((found.version, found.bytes.as_slice()), (3, &b"a3"[..]));
    let last: Vec<_> = all_after(store.as_ref(), 0, 10).into_iter().map(|c| (c.sequence, c.key)).collect();
    assert_eq!(last, [(5, "a".to_owned()), (6, "b".to_owned())]);
}

fn refused(place: &dyn Place) {
    let store = place.open();
    put(store.as_ref(), Table::Budgets, "g", b"one");
    let before = place_of(store.as_ref());
    for key in ["g", "new"] {
        let refused = store.change(Table::Budgets, key, &mut |_| Err(ChangeError::Over("grant")));
        assert!(matches!(refused, Err(StoreError::Change(ChangeError::Over("grant")))));
        let left = store.change(Table::Budgets, key, &mut |_| Ok(None)).unwrap();
        assert_eq!(left, store.get(Table::Budgets, key).unwrap());
        let large = store.change(Table::Budgets, key, &mut |_| Ok(Some(vec![0; ROW_MAX + 1])));
        assert!(matches!(large, Err(StoreError::Large(_))));
    }
    assert_eq!(place_of(store.as_ref()), before);
    drop(store);
    assert_eq!(place_of(place.open().as_ref()), before);
}

/// Everything that a store holds.
fn place_of(store: &dyn Store) -> Vec<Changed> {
    all_after(store, 0, PAGE_MAX)
}

fn together(place: &dyn Place) {
    let stores = place.pair();
    let at: Vec<(Table, &str)> =
        vec![(Table::Budgets, "g"), (Table::People, "g/1"), (Table::People, "g/2"), (Table::People, "g/3")];
    let puts = |bytes: &[u8]| at.iter().map(|_| Becomes::Put(bytes.to_vec())).collect::<Vec<_>>();
    let store = stores[0].as_ref();
    let made = store.change_all(&at, &mut |rows| {
        assert_eq!(rows, [None, None, None, None]);
        Ok(vec![
            Becomes::Put(b"1".to_vec()),
            Becomes::Put(vec![]),
            Becomes::Same,
            Becomes::Put(b"1".to_vec()),
        ])
    });
    let made: Vec<_> = made.unwrap().into_iter().map(|row| row.map(|r| (r.version, r.bytes))).collect();
    assert_eq!(made, [Some((1, b"1".to_vec())), Some((1, vec![])), None, Some((1, b"1".to_vec()))]);
    let before = place_of(store);
    assert_eq!(
        before.iter().map(|c| (c.sequence, c.key.as_str())).collect::<Vec<_>>(),
        [(1, "g"), (2, "g/1"), (3, "g/3")]
    );
    // The last one is against it: none is changed.
    let large =
        vec![Becomes::Put(b"2".to_vec()), Becomes::Same, Becomes::Same, Becomes::Put(vec![0; ROW_MAX + 1])];
    assert!(matches!(store.change_all(&at, &mut |_| Ok(large.clone())), Err(StoreError::Large(_))));
    let few = store.change_all(&at, &mut |_| Ok(vec![Becomes::Put(b"2".to_vec())]));
    assert!(matches!(few, Err(StoreError::Change(ChangeError::Form(_)))));
    let over = store.change_all(&at, &mut |_| Err(ChangeError::Over("grant")));
    assert!(matches!(over, Err(StoreError::Change(ChangeError::Over(_)))));
    let many = vec![(Table::People, "x"); TOGETHER_MAX + 1];
    assert!(matches!(store.change_all(&many, &mut |_| Ok(vec![])), Err(StoreError::Large(_))));
    assert_eq!(place_of(stores[1].as_ref()), before);
    // Whoever holds the first row holds them all: everybody finds them equal and leaves them equal.
    store.change_all(&at, &mut |_| Ok(puts(&[0; 8]))).unwrap();
    std::thread::scope(|s| {
        for thread in 0..4 {
            let (store, at) = (&stores[thread % 2], &at);
            s.spawn(move || {
                for _ in 0..EACH {
                    let done = store.change_all(at, &mut |rows| {
                        let counts: Vec<u64> = rows.iter().flatten().map(count_of).collect();
                        assert_eq!(counts, [counts[0]; 4]);
                        Ok(at.iter().map(|_| Becomes::Put((counts[0] + 1).to_be_bytes().to_vec())).collect())
                    });
                    done.unwrap();
                }
            });
        }
    });
    for (table, key) in at {
        assert_eq!(count_of(&store.get(table, key).unwrap().unwrap()), 4 * EACH);
    }
    drop(stores);
    place.crash();
    assert_eq!(place_of(place.open().as_ref()).len(), 4);
}

fn count_of(row: &Row) -> u64 {
    u64::from_be_bytes(row.bytes[..].try_into().unwrap())
}

fn tables(place: &dyn Place) {
    let store = place.open();
    for table in Table::ALL {
        put(store.as_ref(), table, "same", table.word().as_bytes());
    }
    for table in Table::ALL {
        assert_eq!(store.get(table, "same").unwrap().unwrap().bytes, table.word().as_bytes());
    }
    assert_eq!(place_of(store.as_ref()).iter().map(|c| c.table).collect::<Vec<_>>(), Table::ALL);
}

const THREADS: u64 = 8;
const EACH: u64 = 12;

fn writers(place: &dyn Place) {
    let stores = place.pair();
    let won: Vec<(u64, u64)> = std::thread::scope(|s| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let store = &stores[usize::try_from(thread % 2).unwrap()];
                s.spawn(move || {
                    let add = |row: Option<&Row>| {
                        let before = row.map_or(0, |r| u64::from_be_bytes(r.bytes[..].try_into().unwrap()));
                        Ok(Some((before + 1).to_be_bytes().to_vec()))
                    };
                    let add = || store.change(Table::Budgets, "one", &mut add.clone()).unwrap().unwrap();
                    let read = |r: Row| (r.version, u64::from_be_bytes(r.bytes[..].try_into().unwrap()));
                    (0..EACH).map(|_| read(add())).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    let won: BTreeMap<_, _> = won.into_iter().collect();
    assert_eq!(won.len() as u64, THREADS * EACH, "a version was won twice");
    assert!(won.iter().all(|(version, count)| version == count), "a change was lost");
}

fn followers(place: &dyn Place) {
    let stores = place.pair();
    let (done, start) = (AtomicU64::new(0), Barrier::new(6));
    std::thread::scope(|s| {
        for thread in 0..4_u64 {
            let (store, done, start) = (&stores[usize::try_from(thread % 2).unwrap()], &done, &start);
            s.spawn(move || {
                start.wait();
                for n in 0..20 {
                    let key = format!("k{}", (n * 7 + thread * 3) % 9);
                    store.change(Table::Sessions, &key, &mut |_| Ok(Some(vec![1]))).unwrap();
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        for store in &stores {
            let (done, start) = (&done, &start);
            s.spawn(move || {
                start.wait();
                let (mut after, mut known) = (0, HashMap::<String, u64>::new());
                loop {
                    // Asked before: whatever is done by then is seen by the last reading.
                    let last = done.load(Ordering::SeqCst) == 4;
                    for changed in all_after(store.as_ref(), after, 3) {
                        assert!(changed.sequence > after);
                        after = changed.sequence;
                        let before = known.insert(changed.key, changed.row.version);
                        assert!(before.is_none_or(|v| v < changed.row.version));
                    }
                    if last {
                        break;
                    }
                }
                assert_eq!(after, 80, "places have no gap");
                assert_eq!(known.values().sum::<u64>(), 80, "a change was skipped");
            });
        }
    });
}

fn pages(place: &dyn Place) {
    let store = place.open();
    for n in 0..7 {
        put(store.as_ref(), Table::Requests, &format!("r{n}"), &[n]);
    }
    put(store.as_ref(), Table::Requests, "r2", b"again");
    let whole = all_after(store.as_ref(), 0, PAGE_MAX);
    assert_eq!(whole.iter().map(|c| c.sequence).collect::<Vec<_>>(), [1, 2, 4, 5, 6, 7, 8]);
    for limit in 1..9 {
        assert_eq!(all_after(store.as_ref(), 0, limit), whole, "by {limit}");
    }
    assert_eq!(all_after(store.as_ref(), 6, 2), whole[5..]);
    assert_eq!(all_after(store.as_ref(), 8, 2), []);
}

fn remove(store: &dyn Store, table: Table, keys: &[&str]) {
    let at: Vec<_> = keys.iter().map(|key| (table, *key)).collect();
    let gone = store.change_all(&at, &mut |rows| Ok(vec![Becomes::Gone; rows.len()])).unwrap();
    assert!(gone.iter().all(Option::is_none));
}

fn removes(place: &dyn Place) {
    let stores = place.pair();
    let [here, there] = stores.each_ref().map(|s| s.as_ref());
    for key in ["a", "b", "c", "d"] {
        put(here, Table::Requests, key, b"1");
    }
    assert_eq!(place_of(there).len(), 4);
    let at = [(Table::Requests, "a"), (Table::Requests, "b"), (Table::Requests, "c"), (Table::Requests, "x")];
    let fates = vec![Becomes::Gone, Becomes::Put(b"2".to_vec()), Becomes::Gone, Becomes::Gone];
    let left = here.change_all(&at, &mut |_| Ok(fates.clone())).unwrap();
    assert_eq!(
        left.iter().map(|row| row.as_ref().map(|r| r.version)).collect::<Vec<_>>(),
        [None, Some(2), None, None]
    );
    // Over there it was seen, and nobody followed since.
    assert_eq!(there.get(Table::Requests, "a").unwrap(), None);
    remove(here, Table::Requests, &["d"]);
    assert_eq!(put(there, Table::Requests, "d", b"new").version, 1, "it begins anew");
    for store in [here, there] {
        let found: Vec<_> =
            place_of(store).into_iter().filter(|c| c.table == Table::Requests).map(|c| c.key).collect();
        assert_eq!(found, ["b", "d"]);
        assert_eq!(store.get(Table::Requests, "c").unwrap(), None);
    }
    // What is not there is not removed, and the store's own record is nobody's.
    let before = place_of(here);
    remove(here, Table::Requests, &["x", "a"]);
    let own = here.change(Table::Removed, "last", &mut |_| Ok(Some(vec![])));
    assert!(matches!(own, Err(StoreError::Change(_))));
    assert_eq!(place_of(there), before);
    drop(stores);
    place.crash();
    assert_eq!(place_of(place.open().as_ref()), before);
}

fn misses_removals(place: &dyn Place) {
    let stores = place.pair();
    let [here, there] = stores.each_ref().map(|s| s.as_ref());
    let keys: Vec<String> = (0..1200).map(|n| format!("k{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let at: Vec<_> = keys.iter().map(|key| (Table::People, *key)).collect();
    here.change_all(&at, &mut |rows| Ok(vec![Becomes::Put(vec![1]); rows.len()])).unwrap();
    put(here, Table::Requests, "r", b"1");
    assert_eq!(all_after(there, 0, PAGE_MAX).len(), 1201);
    keys.chunks(300).for_each(|some| remove(here, Table::People, some));
    put(here, Table::Requests, "r", b"2");
    // The first of them are not on record any more.
    assert_eq!(there.get(Table::People, "k0").unwrap(), None);
    let found: Vec<_> = all_after(there, 1201, PAGE_MAX).into_iter().map(|c| c.table).collect();
    assert_eq!(found, [Table::Removed, Table::Requests]);
    assert_eq!(put(there, Table::People, "k1", b"anew").version, 1);
    assert_eq!(place_of(here).len(), 3);
}

fn wrong_key(place: &dyn Place) {
    put(place.open().as_ref(), Table::Requests, "r", b"x");
    assert!(matches!(place.open_with(other_keys()).err(), Some(StoreError::Forged)));
    assert_eq!(place.open().get(Table::Requests, "r").unwrap().unwrap().bytes, b"x");
}

fn sees_nothing(place: &dyn Place) {
    let store = place.open();
    put(store.as_ref(), Table::Requests, "plain-key-of-anna", b"plain bytes about anna");
    drop(store);
    let dump = place.dump();
    let (name, _, _, sealed) = &dump.rows[0];
    let all = [&dump.head[..], name, sealed].concat();
    for word in ["anna", "plain", "requests"] {
        assert!(!all.windows(word.len()).any(|w| w == word.as_bytes()), "{word}");
    }
}

fn tampered(place: &dyn Place) {
    let write = |n: u8| {
        let store = place.open();
        for key in ["a", "b", "c"] {
            put(store.as_ref(), Table::Budgets, key, &[n]);
        }
    };
    write(1);
    put(place.open().as_ref(), Table::Budgets, "gone", b"1");
    let old = place.dump();
    write(2);
    remove(place.open().as_ref(), Table::Budgets, &["gone"]);
    let now = place.dump();
    type Damage = fn(&mut Dump, &Dump);
    let damages: &[(&str, Damage)] = &[
        ("two rows change their bytes", |d, _| {
            let first = std::mem::take(&mut d.rows[0].3);
            let second = std::mem::replace(&mut d.rows[1].3, first);
            d.rows[0].3 = second;
        }),
        ("two rows change their names", |d, _| {
            let first = std::mem::take(&mut d.rows[0].0);
            let second = std::mem::replace(&mut d.rows[1].0, first);
            d.rows[0].0 = second;
        }),
        ("a row has another version", |d, _| d.rows[0].1 += 1),
        ("a row has a later place", |d, _| d.rows[0].2 += 100),
        ("a byte of a row differs", |d, _| d.rows[1].3[20] ^= 1),
        ("a row is cut short", |d, _| d.rows[1].3.truncate(11)),
        ("a row is gone", |d, _| drop(d.rows.remove(2))),
        ("all rows are gone", |d, _| d.rows.clear()),
        ("a row is as it was before", |d, old| {
            let row = d.rows.iter_mut().find(|r| old.rows.iter().any(|o| o.0 == r.0)).unwrap();
            *row = old.rows.iter().find(|o| o.0 == row.0).unwrap().clone();
        }),
        ("a row that was removed is back", |d, old| {
            let gone = old.rows.iter().find(|o| d.rows.iter().all(|r| r.0 != o.0)).unwrap();
            d.rows.push(gone.clone());
        }),
        ("a row that was removed is back in another's place", |d, old| {
            let gone = old.rows.iter().find(|o| d.rows.iter().all(|r| r.0 != o.0)).unwrap();
            d.rows[0] = gone.clone();
        }),
        ("all rows are as they were, and the head is not", |d, old| d.rows = old.rows.clone()),
        ("the head is as it was, and no row is", |d, old| d.head = old.head.clone()),
        ("the head is a row's", |d, _| d.head = d.rows[0].3.clone()),
        ("the head differs in a byte", |d, _| d.head[30] ^= 1),
        ("the head is gone", |d, _| d.head.clear()),
    ];
    for (what, damage) in damages {
        let mut bad = now.clone();
        damage(&mut bad, &old);
        place.load(&bad);
        let refused = place.open_with(keys()).err();
        assert!(matches!(refused, Some(StoreError::Forged | StoreError::WentBack)), "{what}: {refused:?}");
    }
    place.load(&now);
    assert_eq!(place_of(place.open().as_ref()).len(), 4, "what was put back is taken");
}

fn limits(place: &dyn Place) {
    let store = place.open();
    let long = "k".repeat(KEY_MAX);
    put(store.as_ref(), Table::Requests, &long, &vec![7; ROW_MAX]);
    assert_eq!(store.get(Table::Requests, &long).unwrap().unwrap().bytes.len(), ROW_MAX);
    let longer = "k".repeat(KEY_MAX + 1);
    assert!(matches!(store.get(Table::Requests, &longer), Err(StoreError::Large(_))));
    let refused = store.change(Table::Requests, &longer, &mut |_| Ok(Some(vec![])));
    assert!(matches!(refused, Err(StoreError::Large(_))));
    assert_eq!(store.changes(0, usize::MAX).unwrap().len(), 1);
}

#[test]
fn an_embedded_store_keeps_what_a_control_store_promises() {
    conformance(&Folders);
}

#[test]
fn requests_budgets_and_leases_hold_over_an_embedded_store() {
    super::control_claims::claims(&Folders);
}

#[test]
fn no_embedded_store_is_made_as_a_side_effect_or_over_another() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("store");
    assert!(matches!(Embedded::open(&folder, keys()).err(), Some(StoreError::Missing)));
    assert!(!folder.exists());
    Embedded::create(&folder, &keys()).unwrap();
    assert!(matches!(Embedded::create(&folder, &keys()).err(), Some(StoreError::Exists)));
    let open = Embedded::open(&folder, keys()).unwrap();
    assert!(matches!(Embedded::open(&folder, keys()).err(), Some(StoreError::Embedded(_))), "one process");
    drop(open);
    drop(Embedded::open(&folder, keys()).unwrap());
    // Interrupted before its head was written, it is made again.
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(matches!(Embedded::open(&empty, keys()).err(), Some(StoreError::Missing)));
    Embedded::create(&empty, &keys()).unwrap();
}

const CHANGER: &str = "CLOVER_CHANGER";

/// Not a claim: the child of the test below, and nothing when it is not told to be.
#[test]
fn the_changing_child() {
    let Some((folder, _)) = orders(CHANGER) else { return };
    let store = Embedded::open(&folder, keys()).unwrap();
    std::thread::scope(|s| {
        for thread in 0..3 {
            let store = &store;
            s.spawn(move || {
                for n in 0.. {
                    let key = format!("k{}", (n + thread) % 5);
                    // The row holds its own version many times over, and another beside it: a half one would show.
                    let at = [(Table::Requests, key.as_str()), (Table::People, key.as_str())];
                    let done = store.change_all(&at, &mut |rows| {
                        let version = rows[0].as_ref().map_or(1, |r| r.version + 1);
                        let bytes = version.to_be_bytes().repeat(500);
                        Ok(vec![Becomes::Put(bytes.clone()), Becomes::Put(bytes)])
                    });
                    println!("answer: {key} {}", done.unwrap()[0].as_ref().unwrap().version);
                }
            });
        }
    });
}

#[test]
fn a_killed_store_has_every_change_that_it_answered_for_and_no_half_one() {
    let seed = std::env::var("CLOVER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_126);
    println!("CLOVER_SEED={seed}");
    let mut dice = Dice::new(seed);
    let dir = tempfile::tempdir().unwrap();
    Embedded::create(dir.path(), &keys()).unwrap();
    let mut answered = HashMap::<String, u64>::new();
    for round in 0..kills() {
        let said = killed_child("control::the_changing_child", CHANGER, dir.path(), round, &mut dice);
        for answer in said {
            let (key, version) = answer.split_once(' ').unwrap();
            let newest = answered.entry(key.to_owned()).or_default();
            *newest = version.parse::<u64>().unwrap().max(*newest);
        }
        whole(dir.path(), &answered);
    }
    assert_eq!(answered.len(), 5);
}

fn whole(folder: &Path, answered: &HashMap<String, u64>) {
    let store = Embedded::open(folder, keys()).unwrap();
    for (key, version) in answered {
        let row = store.get(Table::Requests, key).unwrap().unwrap();
        assert!(row.version >= *version, "{key} of version {version} was answered for");
        assert_eq!(row.bytes, row.version.to_be_bytes().repeat(500));
        assert_eq!(store.get(Table::People, key).unwrap().unwrap(), row, "what was changed together");
    }
}
