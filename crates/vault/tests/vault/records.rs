//! A killed import leaves each person wholly there, or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{Country, SubjectId, UnixSeconds};
use testkit::Dice;
use vault::keys::Lookup;
use vault::records::{Arrived, Coming, Home, HomeEvidence, RecordError};
use vault::{Folder, KeyService, Log, Records};

use super::kill::{killed_child, kills, orders};
use super::{hooks, identity, options, sample};

const IMPORTER: &str = "CLOVER_IMPORTER";

/// The collections of a person and how many records each has: a few, and of some people more than the store
/// takes at once.
fn shape(number: u64) -> BTreeMap<&'static str, usize> {
    let videos = if number % 16 == 5 { 30 } else { usize::try_from(number % 4).unwrap() };
    BTreeMap::from([("profile", 1), ("videos", videos), ("video", 2)])
}

fn record(number: u64, collection: &str, place: usize) -> Vec<u8> {
    let bytes = if shape(number)["videos"] == 30 { 40_000 } else { 200 };
    format!("{{\"of\":{number},\"in\":\"{collection}\",\"place\":{place},\"pad\":\"{}\"}}", "x".repeat(bytes))
        .into_bytes()
}

pub(crate) fn arrive(records: &Records, keys: &KeyService, number: u64) -> Result<Arrived, RecordError> {
    let mut arrival = records.arrival(keys, UnixSeconds(1_790_000_000))?;
    for (collection, count) in shape(number) {
        for place in 0..count {
            arrival.put(collection, &record(number, collection, place))?;
        }
    }
    let home = Home {
        country: Country::parse("IE").unwrap(),
        from: UnixSeconds(1_790_000_000),
        evidence: HomeEvidence::Account,
    };
    let lookups = vec![keys.lookup_tag(Lookup::UserName, &format!("person-{number}"))];
    arrival.finish(Coming { subject: handle(keys, number), home, lookups })
}

pub(crate) fn handle(keys: &KeyService, number: u64) -> SubjectId {
    keys.subject_id(&format!("person-{number}"))
}

pub(crate) struct Enclave {
    pub(crate) records: Arc<Records>,
    pub(crate) keys: KeyService,
    pub(crate) log: Log,
}

pub(crate) fn enclave(folder: &Path) -> Enclave {
    let records = Arc::new(Records::open(&folder.join("records")).unwrap());
    let keys = KeyService::open(folder, "set").unwrap();
    let disk = Arc::new(Folder::open(&folder.join("log")).unwrap());
    let log = Log::open(disk, identity(), options(), hooks(records.clone(), &Arc::default())).unwrap();
    Enclave { records, keys, log }
}

pub(crate) fn create(folder: &Path) {
    KeyService::create(folder).unwrap();
    Log::create(&Folder::open(&folder.join("log")).unwrap(), &identity()).unwrap();
}

/// Not a claim: the child of the test below, and nothing when it is not told to be.
#[test]
fn the_importing_child() {
    let Some((folder, start)) = orders(IMPORTER) else { return };
    let enclave = enclave(&folder);
    for number in start.. {
        admit(&enclave, number);
        println!("answer: {number}");
    }
}

/// Brings one in, with an entry of their own.
pub(crate) fn admit(Enclave { records, keys, log }: &Enclave, number: u64) {
    let arrived = arrive(records, keys, number).unwrap();
    let submission = sample(number).submission();
    let entry = submission.entry();
    let receipt = log.submit_and_wait(submission).unwrap();
    records.admit(&[arrived], &entry, &receipt).unwrap();
}

/// That each person of these who is there is wholly there. Returns who is.
pub(crate) fn whole(records: &Records, keys: &KeyService, numbers: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut there = Vec::new();
    for number in numbers {
        let Some(person) = records.person(&handle(keys, number)).unwrap() else { continue };
        let opened = records.keys_of(keys, &person).unwrap();
        for (collection, count) in shape(number) {
            let all = records.collection(&person, &opened, collection, 1000, usize::MAX).unwrap();
            let expected: Vec<_> = (0..count).map(|place| record(number, collection, place)).collect();
            assert!(all == expected, "`{collection}` of person {number}: {} of {count} records", all.len());
        }
        there.push(number);
    }
    there
}

#[test]
fn a_killed_import_has_every_person_it_answered_for_and_no_half_one() {
    let seed = std::env::var("CLOVER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_122);
    println!("CLOVER_SEED={seed}");
    let mut dice = Dice::new(seed);
    let rounds = kills();
    // A young store every few rounds: an old one mostly reads its journal.
    for start in (0..rounds).step_by(5) {
        let dir = tempfile::tempdir().unwrap();
        create(dir.path());
        let (mut all, mut next) = (0, 0);
        for _ in start..rounds.min(start + 5) {
            let said = killed_child("records::the_importing_child", IMPORTER, dir.path(), next, &mut dice);
            let answered: Vec<u64> = said.iter().map(|a| a.parse().unwrap()).collect();
            // The one after the last answer may be there too.
            let end = answered.last().unwrap() + 2;
            let Enclave { records, keys, .. } = enclave(dir.path());
            let there = whole(&records, &keys, next..end);
            assert!(answered.iter().all(|n| there.contains(n)), "someone who was answered for is lost");
            (all, next) = (all + there.len(), end);
            assert_eq!(records.count(), all, "nobody else is there, and nobody is gone");
        }
        if start == 0 {
            let keys = KeyService::open(dir.path(), "set").unwrap();
            killed_child("records::the_importing_child", IMPORTER, dir.path(), next, &mut dice);
            cut_journals(&dir.path().join("records"), &keys, next + 100, &mut dice);
        }
    }
}

/// Damages the end of the newest journal of a killed store: what the power takes when it fails.
fn cut_journals(store: &Path, keys: &KeyService, limit: u64, dice: &mut Dice) {
    let journal = newest_journal(store);
    let used = used(&std::fs::read(&journal).unwrap());
    for round in 0..6 {
        let cut = if round == 0 { used - 1 } else { dice.below(used) };
        let file_ends = |bytes: &mut Vec<u8>| bytes.truncate(cut);
        let zeros_follow = |bytes: &mut Vec<u8>| bytes[cut..].fill(0);
        let damaged = tempfile::tempdir().unwrap();
        let place = damaged.path().join(journal.strip_prefix(store).unwrap());
        copy(store, damaged.path());
        damage(&place, |bytes| if round % 2 == 0 { file_ends(bytes) } else { zeros_follow(bytes) });
        let records =
            Records::open(damaged.path()).unwrap_or_else(|e| panic!("cut at {cut} of {used}: {e:?}"));
        whole(&records, keys, 0..limit);
    }
}

fn damage(file: &Path, how: impl Fn(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(file).unwrap();
    how(&mut bytes);
    std::fs::write(file, bytes).unwrap();
}

/// The store checks a batch as a whole. A page that is missing inside the last one, with its end written, is
/// told from a torn end and refused: nobody is half there, but the store has to be restored.
#[test]
fn a_store_with_a_hole_in_its_journal_opens_without_a_half_person_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    let store = dir.path().join("records");
    let Enclave { records, keys, log } = enclave(dir.path());
    for number in 4..6 {
        let submission = sample(number).submission();
        let entry = submission.entry();
        let receipt = log.submit_and_wait(submission).unwrap();
        records.admit(&[arrive(&records, &keys, number).unwrap()], &entry, &receipt).unwrap();
    }
    drop((log, records));
    let journal = newest_journal(&store);
    let used = used(&std::fs::read(&journal).unwrap());
    let mut refused = 0;
    for page in (1..4).map(|i| i * (used / 4) / 4096 * 4096) {
        let damaged = tempfile::tempdir().unwrap();
        copy(&store, damaged.path());
        let place = damaged.path().join(journal.strip_prefix(&store).unwrap());
        damage(&place, |bytes| bytes[page..page + 4096].fill(0));
        match Records::open(damaged.path()) {
            Ok(records) => drop(whole(&records, &keys, 0..10)),
            Err(e) => {
                println!("page {page}: {e:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "the store has learnt to cut there: say so in the decision of 2026-11-22");
}

fn newest_journal(store: &Path) -> PathBuf {
    let journals = std::fs::read_dir(store).unwrap().map(|e| e.unwrap().path());
    let number = |p: &PathBuf| p.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<u64>().ok());
    journals.filter(|p| p.extension().is_some_and(|e| e == "jnl")).max_by_key(number).unwrap()
}

fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1)
}

/// A copy without the zeros at the ends of files.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&place).unwrap();
            copy(&entry.path(), &place);
        } else {
            let bytes = std::fs::read(entry.path()).unwrap();
            let kept = if place.extension().is_some_and(|e| e == "jnl") { used(&bytes) } else { bytes.len() };
            std::fs::write(&place, &bytes[..kept]).unwrap();
        }
    }
}

#[test]
fn the_same_person_arrives_once() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    let Enclave { records, keys, log } = enclave(dir.path());
    let first = arrive(&records, &keys, 1).unwrap();
    assert!(matches!(arrive(&records, &keys, 1), Err(RecordError::Duplicate)), "while the first arrives");
    let submission = sample(1).submission();
    let entry = submission.entry();
    let receipt = log.submit_and_wait(submission).unwrap();
    records.admit(&[first], &entry, &receipt).unwrap();
    assert!(matches!(arrive(&records, &keys, 1), Err(RecordError::Duplicate)), "when the first is there");
}

#[test]
fn an_import_that_is_dismissed_takes_nothing_from_another_that_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    let Enclave { records, keys, log } = enclave(dir.path());
    let kept = arrive(&records, &keys, 3).unwrap();
    drop(arrive(&records, &keys, 2).unwrap());
    records.dismiss(UnixSeconds(1_790_000_000)).unwrap();
    let submission = sample(1).submission();
    let entry = submission.entry();
    let receipt = log.submit_and_wait(submission).unwrap();
    records.admit(&[kept], &entry, &receipt).unwrap();
    assert_eq!(whole(&records, &keys, 0..10), [3]);
}
