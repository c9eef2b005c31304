use std::{ops::Range, sync::LazyLock};

use ciborium::Value;
use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;
use crate::{
    cosign::{KeyKind, SigningKey},
    testsite::{
        DAY, ORIGINS, PageMap, SITE, Small, TestSite, checkpoint, enrolment_of, entry, key as log_key, leaf,
        several, small_logs, vkey,
    },
};

const KEY: [u8; 32] = [42; 32];

fn day_tag(day: u64) -> Tag {
    tag_of(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), "t", day).unwrap()
}

/// The site, with the person in some entries of the first and the third day.
fn site() -> TestSite {
    let mut logs = small_logs();
    for (log, index) in [(0, 5), (0, 250), (1, 0), (1, 610), (0, 880)] {
        let small: &mut Small = &mut logs[log][index];
        let day = small.time / DAY_SECONDS;
        assert_ne!(day, DAY + 1);
        small.tags.push(day_tag(day));
        small.tags.sort_unstable();
    }
    TestSite::new(logs)
}

fn bytes(bytes: impl Into<Vec<u8>>) -> Value {
    Value::Bytes(bytes.into())
}

fn number(index: usize) -> Value {
    (index as u64).into()
}

fn hashed(leaves: &[Vec<u8>]) -> Vec<Hash> {
    leaves.iter().map(|bytes| leaf(bytes)).collect()
}

fn placed(leaves: &[Vec<u8>], index: usize) -> Value {
    let proof = several(&[index], &hashed(leaves));
    Value::Array(vec![number(index), bytes(leaves[index].clone()), bytes(proof)])
}

/// What the file would say if these two leaves of the map proved an absence.
fn neighbours(map: &PageMap, low: usize, high: usize) -> Value {
    let leaf = |index: usize| bytes(map.leaves[index]);
    Value::Array(vec![number(low), leaf(low), leaf(high), bytes(several(&[low, high], &map.hashes()))])
}

fn day_proof(site: &TestSite, day: u64) -> Value {
    let (map, tag) = (site.page_map(day), day_tag(day));
    let place = map.leaves.iter().position(|leaf| leaf[..16] >= tag[..]).unwrap();
    match map.lists.get(&tag) {
        Some(list) => {
            let proof = several(&[place], &map.hashes());
            Value::Array(vec![number(place), bytes(list.as_flattened()), bytes(proof)])
        }
        None => neighbours(&map, place - 1, place),
    }
}

/// The entries of these days that name the person.
fn entries(site: &TestSite, days: Range<u64>) -> Value {
    let mut logs = Vec::new();
    for (number, origin) in ORIGINS.into_iter().enumerate() {
        let smalls = &site.logs[number];
        let named = |index: &usize| {
            let day = smalls[*index].time / DAY_SECONDS;
            days.contains(&day) && smalls[*index].tags.contains(&day_tag(day))
        };
        let set: Vec<usize> = (0..smalls.len()).filter(named).collect();
        let leaves = set.iter().map(|index| bytes(entry(origin, *index as u64, &smalls[*index])));
        let (leaves, proof) = (Value::Array(leaves.collect()), several(&set, &site.hashes(number)));
        let log = Value::Array(vec![origin.into(), leaves, bytes(proof)]);
        logs.push((sha256(origin.as_bytes()), log));
    }
    logs.sort_by_key(|(id, _)| *id);
    Value::Array(logs.into_iter().map(|(_, log)| log).collect())
}

/// A file: the values of the keys from 0 on, some of them absent.
type Members = Vec<Option<Value>>;

/// What an honest site hands out for the days from the one before the first to the third.
fn history(site: &TestSite) -> Members {
    let mut days = vec![Value::Array(Vec::new())];
    days.extend((DAY..DAY + 3).map(|day| day_proof(site, day)));
    let members = [
        "clover subject history v1".into(),
        "t".into(),
        bytes(KEY),
        (DAY - 1).into(),
        (DAY + 2).into(),
        site.publish_site(&[]).into(),
        placed(&site.leaves, 3),
        bytes(site.records.as_flattened()),
        placed(&site.leaves, 4),
        Value::Array(days),
        entries(site, DAY..DAY + 3),
    ];
    members.into_iter().map(Some).collect()
}

fn file(members: &Members) -> Vec<u8> {
    let present = (0..).zip(members).filter_map(|(key, value)| Some((Value::from(key), value.clone()?)));
    let mut bytes = Vec::new();
    ciborium::into_writer(&Value::Map(present.collect()), &mut bytes).unwrap();
    bytes
}

fn check(history: &Members) -> Result<HistoryReport> {
    verify_history(&file(history), &vkey(SITE), None)
}

/// The parts of an array of the file: a member, then the place in each array within.
fn part<'m>(members: &'m mut Members, key: usize, places: &[usize]) -> &'m mut Value {
    let member = members[key].as_mut().unwrap();
    places.iter().fold(member, |value, place| &mut value.as_array_mut().unwrap()[*place])
}

fn array<'m>(members: &'m mut Members, key: usize, places: &[usize]) -> &'m mut Vec<Value> {
    part(members, key, places).as_array_mut().unwrap()
}

#[test]
fn an_honest_history_shows_every_entry_and_the_day_without_any() {
    let report = check(&history(&site())).unwrap();
    assert_eq!((report.days_final, report.days_before, report.days_absent), (2, 1, 1));
    assert_eq!(report.day_open, Some(file::date(DAY + 2)));
    assert_eq!(report.days_present, [file::date(DAY), file::date(DAY + 2)]);
    assert_eq!(report.entries(), 5);
    let text = report.to_string();
    assert!(text.contains("not independently witnessed"), "{text}");
    assert!(
        text.contains("answer for support, to IE; public data, plain; entry 250 of ledger.t/s/a"),
        "{text}"
    );
    assert!(!text.contains(&HEXLOWER.encode(&KEY)));
    serde_json::to_string(&report).unwrap();
}

/// Expects that an honest file is refused once it is changed.
#[track_caller]
fn expect_refused(honest: &Members, name: &str, change: &dyn Fn(&mut Members)) {
    let mut history = honest.clone();
    change(&mut history);
    assert!(history != *honest, "{name}");
    if let Ok(report) = check(&history) {
        panic!("{name} passed: {report}");
    }
}

#[test]
fn every_lie_is_refused() {
    let site = site();
    let honest = history(&site);
    let lie = |name: &str, change: &dyn Fn(&mut Members)| expect_refused(&honest, name, change);
    for key in 0..11 {
        lie("a member left out", &|h| h[key] = None);
    }
    lie("neither anchor nor calendar", &|h| (h[6], h[7]) = (None, None));
    lie("a day left out", &|h| drop(array(h, 9, &[]).remove(2)));
    lie("a day twice", &|h| {
        let day = part(h, 9, &[2]).clone();
        array(h, 9, &[]).push(day);
    });
    lie("a longer period than is covered", &|h| h[4] = Some((DAY + 3).into()));
    lie("a day more than is covered", &|h| {
        h[4] = Some((DAY + 3).into());
        let day = part(h, 9, &[2]).clone();
        array(h, 9, &[]).push(day);
    });
    lie("a day said to be before the record", &|h| *part(h, 9, &[2]) = Value::Array(Vec::new()));
    lie("a day with a part more", &|h| array(h, 9, &[2]).push(bytes([])));
    lie("absent where present", &|h| *part(h, 9, &[1]) = day_proof(&site, DAY + 1));
    lie("neighbours that are none", &|h| {
        let place = part(h, 9, &[2, 0]).as_integer().unwrap();
        let (map, low) = (site.page_map(DAY + 1), usize::try_from(place).unwrap());
        for (low, high) in [(low - 1, low + 1), (low - 2, low + 1), (0, map.leaves.len() - 1)] {
            let mut other = h.clone();
            *part(&mut other, 9, &[2]) = neighbours(&map, low, high);
            assert!(check(&other).is_err(), "{low} and {high}");
        }
        *part(h, 9, &[2]) = neighbours(&map, low - 1, low);
    });
    lie("another place of the neighbours", &|h| *part(h, 9, &[2, 0]) = 1.into());
    lie("the last place of all", &|h| *part(h, 9, &[2, 0]) = u64::MAX.into());
    lie("neighbours exchanged", &|h| array(h, 9, &[2]).swap(1, 2));
    lie("a shorter list", &|h| drop(part(h, 9, &[1, 1]).as_bytes_mut().unwrap().drain(..16)));
    lie("an empty list", &|h| *part(h, 9, &[1, 1]) = bytes([]));
    lie("another key", &|h| h[2] = Some(bytes([43; 32])));
    lie("another log set", &|h| h[1] = Some("u".into()));
    lie("an unknown member", &|h| h.push(Some(1.into())));
    lie("an older anchor", &|h| {
        h[6] = Some(placed(&site.leaves, 2));
        h[7] = Some(bytes(site.records[0]));
    });
    lie("an interim as anchor", &|h| h[6] = Some(placed(&site.leaves, 4)));
    lie("a shorter calendar", &|h| h[7] = Some(bytes(site.records[1])));
    lie("another checkpoint", &|h| h[5] = Some(checkpoint(SITE, 6, &[7; 32]).into()));
    lie("another signer", &|h| {
        let note = h[5].as_ref().unwrap().as_text().unwrap().replace(SITE, ORIGINS[0]);
        h[5] = Some(note.into());
    });
}

#[test]
fn every_lie_about_entries_is_refused() {
    let site = site();
    let honest = history(&site);
    let lie = |name: &str, change: &dyn Fn(&mut Members)| expect_refused(&honest, name, change);
    lie("an entry left out", &|h| drop(array(h, 10, &[0, 1]).pop()));
    lie("an entry twice", &|h| {
        let entry = part(h, 10, &[0, 1, 0]).clone();
        array(h, 10, &[0, 1]).insert(0, entry);
    });
    lie("entries exchanged", &|h| array(h, 10, &[0, 1]).swap(0, 1));
    lie("a log left out", &|h| drop(array(h, 10, &[]).pop()));
    lie("a log twice", &|h| {
        let log = part(h, 10, &[1]).clone();
        array(h, 10, &[]).push(log);
    });
    lie("logs exchanged", &|h| array(h, 10, &[]).swap(0, 1));
    lie("a log without entries", &|h| {
        array(h, 10, &[]).push(Value::Array(vec!["x".into(), Value::Array(Vec::new()), bytes([])]));
    });
    lie("another log", &|h| *part(h, 10, &[0, 0]) = "ledger.t/s/c".into());
    lie("another entry", &|h| {
        let place = usize::from(part(h, 10, &[0, 0]).as_text() == Some(ORIGINS[1]));
        let set = [5, 251, 880];
        let leaves = set.map(|index| bytes(entry(ORIGINS[0], index as u64, &site.logs[0][index])));
        *part(h, 10, &[place, 1]) = Value::Array(leaves.into());
        *part(h, 10, &[place, 2]) = bytes(several(&set, &site.hashes(0)));
    });
}

type Change = (&'static str, fn(&mut Vec<u8>));

#[test]
fn a_proof_of_several_with_hashes_cut_added_or_exchanged_is_refused() {
    let honest = history(&site());
    assert!(check(&honest).is_ok());
    let proofs: [(&str, usize, &[usize]); 6] = [
        ("anchor", 6, &[2]),
        ("interim", 8, &[2]),
        ("present", 9, &[1, 2]),
        ("absent", 9, &[2, 3]),
        ("one log", 10, &[0, 2]),
        ("the other log", 10, &[1, 2]),
    ];
    let changes: [Change; 6] = [
        ("truncated", |proof| proof.truncate(proof.len() - 32)),
        ("all gone", Vec::clear),
        ("half a hash", |proof| proof.truncate(proof.len() - 16)),
        ("surplus", |proof| proof.extend([7; 32])),
        ("reordered", |proof| proof.rotate_left(32)),
        ("another", |proof| proof[40] ^= 1),
    ];
    for (what, key, places) in proofs {
        for (how, change) in changes {
            let mut other = honest.clone();
            change(part(&mut other, key, places).as_bytes_mut().unwrap());
            assert!(other != honest, "{what}, {how}");
            assert!(check(&other).is_err(), "{what}, {how}");
        }
    }
}

#[test]
fn another_format_is_refused() {
    let mut history = history(&site());
    history[0] = Some("clover subject history v2".into());
    assert!(matches!(check(&history), Err(HistoryError::Form(_))));
}

#[test]
fn with_a_policy_the_quorum_must_have_cosigned() {
    let witness = SigningKey::from_seed("w.t/1", KeyKind::Cosigner, &[1; 32]).unwrap();
    let policy = format!("log {}\nwitness w {}\nquorum w\n", log_key(SITE).vkey(), witness.vkey());
    let site = site();
    let mut history = history(&site);
    let check = |history: &Members| verify_history(&file(history), &vkey(SITE), Some(&policy));
    assert!(matches!(check(&history), Err(HistoryError::Checkpoint(_))));
    history[5] = Some(site.publish_site(&[&witness]).into());
    let report = check(&history).unwrap();
    assert!(matches!(&report.witnessed, Witnessed::By(names) if names[0].0 == "w.t/1"));
    assert!(verify_history(b"\xa0", &vkey(SITE), Some("quorum")).is_err());
}

#[test]
fn a_first_day_needs_an_interim_map_only() {
    let mut site = site();
    site.leaves.truncate(2);
    site.records.clear();
    site.push_map(DAY, false);
    let mut history = history(&self::site());
    history[5] = Some(site.publish_site(&[]).into());
    (history[6], history[7]) = (None, None);
    history[8] = Some(placed(&site.leaves, 2));
    (history[3], history[4]) = (Some(DAY.into()), Some(DAY.into()));
    history[9] = Some(Value::Array(vec![day_proof(&site, DAY)]));
    history[10] = Some(entries(&site, DAY..DAY + 1));
    let report = check(&history).unwrap();
    assert_eq!((report.days_final, report.entries()), (0, 3));
    // Nothing says when the record begins.
    history[3] = Some((DAY - 1).into());
    array(&mut history, 9, &[]).insert(0, Value::Array(Vec::new()));
    assert!(check(&history).is_err());
}

#[test]
fn the_entries_of_a_gateway_that_was_retired_are_shown() {
    let mut site = site();
    site.leaves.truncate(4);
    let gone = Value::Map(vec![
        (0.into(), ORIGINS[1].into()),
        (1.into(), (site.logs[1].len() as u64).into()),
        (2.into(), bytes(site.root(1, site.logs[1].len()))),
    ]);
    site.push(7, (DAY + 2) * DAY_SECONDS, &gone);
    site.push(2, (DAY + 2) * DAY_SECONDS, &enrolment_of(&ORIGINS[..1]));
    site.push_map(DAY + 2, false);
    let mut members = history(&site);
    members[8] = Some(placed(&site.leaves, 6));
    let report = check(&members).unwrap();
    assert_eq!(report.entries(), 5);
    assert!(report.to_string().contains("entry 610 of ledger.t/s/b"), "{report}");
    // And the map that names it among its inputs is the one that the list of all gateways gives.
    let options = crate::MapOptions { mirror: site.folder.path().into(), site: vkey(SITE), day: None };
    let maps = crate::check_maps(&options).unwrap();
    assert!(maps.is_clean() && maps.maps.len() == 3, "{maps}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_changed_byte_of_a_history_passes_as_another(place in any::<prop::sample::Index>(), bit in 0_u8..7) {
        let mut changed = HONEST.clone();
        let place = place.index(changed.len());
        changed[place] ^= 1 << bit;
        if let Ok(report) = verify_history(&changed, &vkey(SITE), None) {
            // A signature of a stranger, or the white space around it, may change: nothing that is shown.
            let honest = verify_history(&HONEST, &vkey(SITE), None).unwrap();
            prop_assert_eq!(report.to_string(), honest.to_string());
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify_history(&bytes, &vkey(SITE), None).is_err());
    }
}

static HONEST: LazyLock<Vec<u8>> = LazyLock::new(|| file(&history(&site())));
