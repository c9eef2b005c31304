//! The rotation of a region's key loses nobody, wherever it is killed, and leaves nothing under an older version.

use std::path::Path;

use testkit::Dice;
use vault::KeyService;
use vault::keys::rewrap::{Older, counts, is_due, run};
use vault::keys::{KeyError, Version};
use vault::records::{Arrived, RecordError};

use super::kill::{killed_child, kills, orders};
use super::records::{Enclave, arrive, create, enclave, handle, whole};
use super::sample;

const REWRAPPER: &str = "CLOVER_REWRAPPER";
const PEOPLE: u64 = 300;

fn admit(enclave: &Enclave, number: u64, arrived: Vec<Arrived>) {
    let submission = sample(number).submission();
    let entry = submission.entry();
    let receipt = enclave.log.submit_and_wait(submission).unwrap();
    enclave.records.admit(&arrived, &entry, &receipt).unwrap();
}

fn people(folder: &Path, numbers: std::ops::Range<u64>) {
    let enclave = enclave(folder);
    let arrived = numbers.clone().map(|n| arrive(&enclave.records, &enclave.keys, n).unwrap()).collect();
    admit(&enclave, numbers.start, arrived);
}

/// Not a claim: the child of the test below, and nothing when it is not told to be.
#[test]
fn the_rewrapping_child() {
    let Some((folder, _)) = orders(REWRAPPER) else { return };
    let Enclave { records, keys, .. } = enclave(&folder);
    for round in 0.. {
        run(&records, &keys, Older::Retire, |n| {
            if n % 16 == 1 {
                println!("answer: {round} {n}");
            }
        })
        .unwrap();
        println!("answer: {round} done");
        keys.rotate().unwrap();
    }
}

#[test]
fn a_rotation_that_is_killed_at_any_point_goes_on_and_loses_nobody() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    people(dir.path(), 0..PEOPLE);
    let mut dice = Dice::new(20_261_126);
    let (mut cut, mut newest) = (0, 1);
    for _ in 0..kills() {
        killed_child("rewrap::the_rewrapping_child", REWRAPPER, dir.path(), 0, &mut dice);
        let Enclave { records, keys, .. } = enclave(dir.path());
        let there = keys.service().versions().unwrap();
        let under = counts(&records).unwrap();
        assert!(
            under.keys().all(|v| there.contains(v)),
            "{under:?} of {there:?}: a version was retired too early"
        );
        cut += usize::from(is_due(dir.path()));
        if dice.below(2) == 0 {
            assert_eq!(whole(&records, &keys, 0..PEOPLE).len() as u64, PEOPLE);
        }
        let done = run(&records, &keys, Older::Retire, |_| {}).unwrap();
        assert!(done.version.number() >= newest && done.broken == 0);
        newest = done.version.number();
        assert_eq!(counts(&records).unwrap().into_iter().collect::<Vec<_>>(), [(done.version, 300)]);
        assert_eq!(keys.service().versions().unwrap(), [done.version]);
        assert!(!is_due(dir.path()));
    }
    assert!(
        cut > 0 && newest > 1,
        "{cut} rotations were cut off, version {newest}: the children were killed too late"
    );
    let Enclave { records, keys, .. } = enclave(dir.path());
    assert_eq!(whole(&records, &keys, 0..PEOPLE).len() as u64, PEOPLE);
}

#[test]
fn after_a_rotation_an_old_copy_of_a_wrapped_key_is_noise_and_handles_stay() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    people(dir.path(), 0..3);
    let before = enclave(dir.path());
    let (kept, old) = before.keys.new_person(&[9; 16]).unwrap();
    let (handle_before, root) = (handle(&before.keys, 1), before.keys.pseudonym_root());
    before.keys.rotate().unwrap();
    // Somebody who arrives between rotation and rewrap is under the newest version.
    let arrived = vec![arrive(&before.records, &before.keys, 3).unwrap()];
    admit(&before, 1, arrived);
    assert_eq!(counts(&before.records).unwrap().into_values().collect::<Vec<_>>(), [3, 1]);
    // While others may be in the store, older versions stay.
    let done = run(&before.records, &before.keys, Older::Keep, |_| {}).unwrap();
    assert_eq!((done.version.number(), done.people, done.ended), (2, 3, false));
    assert_eq!(before.keys.open_person(&[9; 16], &old).unwrap(), kept);
    let done = run(&before.records, &before.keys, Older::Retire, |_| {}).unwrap();
    assert_eq!((done.people, done.ended), (0, true));
    drop(before);
    let Enclave { records, keys, .. } = enclave(dir.path());
    assert!(matches!(keys.open_person(&[9; 16], &old), Err(KeyError::Version(1))));
    assert_eq!((handle(&keys, 1), keys.pseudonym_root() == root), (handle_before, true));
    assert_eq!(whole(&records, &keys, 0..5), [0, 1, 2, 3]);
}

#[test]
fn a_key_that_does_not_open_keeps_its_version_from_being_retired() {
    let [dir, other] = [0, 1].map(|_| tempfile::tempdir().unwrap());
    create(dir.path());
    KeyService::create(other.path()).unwrap();
    let strange = KeyService::open(other.path(), "set").unwrap();
    let enclave = enclave(dir.path());
    let arrived = vec![
        arrive(&enclave.records, &enclave.keys, 1).unwrap(),
        arrive(&enclave.records, &strange, 2).unwrap(),
    ];
    admit(&enclave, 0, arrived);
    enclave.keys.rotate().unwrap();
    let done = run(&enclave.records, &enclave.keys, Older::Retire, |_| {}).unwrap();
    assert_eq!((done.people, done.broken), (1, 1));
    assert!(is_due(dir.path()), "it is not done");
    assert_eq!(enclave.keys.service().versions().unwrap(), [1, 2].map(|n| Version::new(n).unwrap()));
    let person = enclave.records.person(&handle(&strange, 2)).unwrap().unwrap();
    assert!(matches!(
        enclave.records.keys_of(&enclave.keys, &person),
        Err(RecordError::Keys(KeyError::Wrapped))
    ));
    enclave.records.keys_of(&strange, &person).unwrap();
}
