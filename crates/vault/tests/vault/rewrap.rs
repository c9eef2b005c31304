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
    let (handle_before, root) = (handle(&before.keys, 1), before.keys.pseudonyms().read().unwrap().secret(1));
    // Somebody who is on the way has a key under the version that is to go.
    let coming = arrive(&before.records, &before.keys, 4).unwrap();
    before.keys.rotate().unwrap();
    // Somebody who arrives between rotation and rewrap is under the newest version.
    let arrived = vec![arrive(&before.records, &before.keys, 3).unwrap()];
    admit(&before, 1, arrived);
    assert_eq!(counts(&before.records).unwrap().into_values().collect::<Vec<_>>(), [3, 1]);
    let done = run(&before.records, &before.keys, Older::IfSettled, |_| {}).unwrap();
    assert_eq!((done.version.number(), done.people, done.ended), (2, 3, false));
    assert_eq!(
        before.keys.open_person(&[9; 16], &old).unwrap(),
        kept,
        "while somebody is on the way they stay"
    );
    admit(&before, 2, vec![coming]);
    let done = run(&before.records, &before.keys, Older::IfSettled, |_| {}).unwrap();
    assert_eq!((done.people, done.ended), (1, true));
    drop(before);
    let Enclave { records, keys, .. } = enclave(dir.path());
    assert!(matches!(keys.open_person(&[9; 16], &old), Err(KeyError::Version(1))));
    assert_eq!(
        (handle(&keys, 1), keys.pseudonyms().read().unwrap().secret(1) == root),
        (handle_before, true)
    );
    assert_eq!(whole(&records, &keys, 0..6), [0, 1, 2, 3, 4]);
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

/// A backup, or a replica that was cut off: the whole store as it was before somebody was erased.
#[test]
fn in_a_backup_or_an_old_replica_who_was_erased_is_noise_once_a_rotation_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    people(dir.path(), 0..3);
    let (backup, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copy_folder(&dir.path().join("records"), &backup.path().join("records"));
    {
        let Enclave { records, keys, log, .. } = enclave(dir.path());
        let person = records.person(&handle(&keys, 1)).unwrap().unwrap();
        let own = records.keys_of(&keys, &person).unwrap();
        let submission = sample(9).submission();
        let entry = submission.entry();
        let receipt = log.submit_and_wait(submission).unwrap();
        records.erase(&person, &own, &entry, &receipt).unwrap();
        keys.forget(person.internal());
    }
    let opens = |from: &Path| {
        copy_folder(&from.join("records"), &restored.path().join("records"));
        let records = vault::Records::open(&restored.path().join("records")).unwrap();
        let keys = KeyService::open(dir.path(), "set").unwrap();
        let opened = records.person(&handle(&keys, 1)).unwrap().map(|p| records.keys_of(&keys, &p));
        drop(records);
        std::fs::remove_dir_all(restored.path().join("records")).unwrap();
        opened
    };
    assert!(
        matches!(opens(backup.path()), Some(Ok(_))),
        "until then a copy of the wrapped key is worth the key"
    );
    let Enclave { records, keys, .. } = enclave(dir.path());
    keys.rotate().unwrap();
    assert!(run(&records, &keys, Older::Retire, |_| {}).unwrap().ended);
    assert_eq!(whole(&records, &keys, 0..3), [0, 2], "everybody else is as before");
    drop((records, keys));
    let after = opens(backup.path());
    assert!(matches!(after, Some(Err(RecordError::Keys(KeyError::Version(1))))), "{after:?}");
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
