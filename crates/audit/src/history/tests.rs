use std::sync::LazyLock;

use data_encoding::{BASE64, HEXLOWER};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    cosign::{KeyKind, SigningKey},
    testsite::{
        DAY, ORIGINS, SITE, Small, TestSite, checkpoint, entry, key as log_key, leaf, path, small_logs, vkey,
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

fn hashes(proof: &[Hash]) -> Value {
    proof.iter().map(|hash| BASE64.encode(hash)).collect()
}

fn placed(leaves: &[Vec<u8>], index: usize) -> Value {
    let all: Vec<_> = leaves.iter().map(|bytes| leaf(bytes)).collect();
    json!({"index": index, "leaf": BASE64.encode(&leaves[index]), "proof": hashes(&path(index, &all))})
}

fn day_proof(site: &TestSite, day: u64) -> Value {
    let (map, tag) = (site.page_map(day), day_tag(day));
    let leaves: Vec<Vec<u8>> = map.leaves.iter().map(|leaf| leaf.to_vec()).collect();
    let place = leaves.iter().position(|leaf| leaf[..16] >= tag[..]).unwrap();
    let date = file::date(day);
    match map.lists.get(&tag) {
        Some(list) => {
            let proof = hashes(&path(place, &map.hashes()));
            json!({"day": date, "present":
                {"index": place, "list": BASE64.encode(list.as_flattened()), "proof": proof}})
        }
        None => json!({"day": date, "absent":
            {"low": placed(&leaves, place - 1), "high": placed(&leaves, place)}}),
    }
}

/// What an honest site hands out for the days from the one before the first to the third.
fn history(site: &TestSite) -> Value {
    let mut entries = Vec::new();
    for (number, origin) in ORIGINS.into_iter().enumerate() {
        let all = site.hashes(number);
        for (index, small) in site.logs[number].iter().enumerate() {
            if small.tags.contains(&day_tag(small.time / DAY_SECONDS)) {
                let bytes = entry(origin, index as u64, small);
                let pair = [&sha256(origin.as_bytes())[..8], &(index as u64).to_be_bytes()].concat();
                entries.push((
                    pair,
                    json!({"origin": origin, "index": index, "leaf": BASE64.encode(&bytes),
                    "proof": hashes(&path(index, &all))}),
                ));
            }
        }
    }
    entries.sort_by(|left, right| left.0.cmp(&right.0));
    let entries: Vec<_> = entries.into_iter().map(|(_, entry)| entry).collect();
    let mut days = vec![json!({"day": file::date(DAY - 1), "outside": true})];
    days.extend((DAY..DAY + 3).map(|day| day_proof(site, day)));
    json!({
        "format": "clover subject history v1", "log_set": "t", "tag_key": HEXLOWER.encode(&KEY),
        "from": file::date(DAY - 1), "to": file::date(DAY + 2), "checkpoint": site.publish_site(&[]),
        "anchor": placed(&site.leaves, 3), "calendar": BASE64.encode(site.records.as_flattened()),
        "interim": placed(&site.leaves, 4), "days": days, "entries": entries,
    })
}

fn check(history: &Value) -> Result<HistoryReport> {
    verify_history(&serde_json::to_vec(history).unwrap(), &vkey(SITE), None)
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

#[test]
fn every_lie_is_refused() {
    let site = site();
    let honest = history(&site);
    let lie = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut history = honest.clone();
        change(&mut history);
        assert!(history != honest, "{name}");
        match check(&history) {
            Ok(report) => panic!("{name} passed: {report}"),
            Err(error) => error.to_string(),
        }
    };
    lie("a day left out", &|h| {
        h["days"].as_array_mut().unwrap().remove(2);
    });
    lie("a day twice", &|h| {
        let day = h["days"][2].clone();
        h["days"].as_array_mut().unwrap().push(day);
    });
    lie("a longer period than is covered", &|h| h["to"] = file::date(DAY + 3).into());
    lie("a day said to be before the record", &|h| {
        h["days"][2] = json!({"day": file::date(DAY + 1), "outside": true})
    });
    lie("absent where present", &|h| {
        let mut other = day_proof(&site, DAY + 1);
        other["day"] = file::date(DAY).into();
        h["days"][1] = other;
    });
    lie("neighbours that are none", &|h| {
        let leaves: Vec<_> = site.page_map(DAY + 1).leaves.iter().map(|leaf| leaf.to_vec()).collect();
        h["days"][2]["absent"]["low"] = placed(&leaves, 48);
    });
    lie("a shorter list", &|h| {
        let list = BASE64.decode(h["days"][1]["present"]["list"].as_str().unwrap().as_bytes()).unwrap();
        h["days"][1]["present"]["list"] = BASE64.encode(&list[16..]).into();
    });
    lie("an empty list", &|h| h["days"][1]["present"]["list"] = "".into());
    lie("an entry left out", &|h| {
        h["entries"].as_array_mut().unwrap().pop();
    });
    lie("an entry twice", &|h| {
        let e = h["entries"][0].clone();
        h["entries"].as_array_mut().unwrap().insert(0, e);
    });
    lie("another entry", &|h| {
        let bytes = entry(ORIGINS[0], 251, &site.logs[0][251]);
        let place = h["entries"].as_array().unwrap().iter().position(|e| e["index"] == 250).unwrap();
        h["entries"][place]["index"] = 251.into();
        h["entries"][place]["leaf"] = BASE64.encode(&bytes).into();
        h["entries"][place]["proof"] = hashes(&path(251, &site.hashes(0)));
    });
    lie("another key", &|h| h["tag_key"] = HEXLOWER.encode(&[43; 32]).into());
    lie("another log set", &|h| h["log_set"] = "u".into());
    lie("an unknown member", &|h| h["more"] = 1.into());
    lie("an older anchor", &|h| {
        h["anchor"] = placed(&site.leaves, 2);
        h["calendar"] = BASE64.encode(&site.records[0]).into();
    });
    lie("an interim as anchor", &|h| h["anchor"] = placed(&site.leaves, 4));
    lie("no calendar", &|h| {
        h.as_object_mut().unwrap().remove("calendar");
    });
    lie("a shorter calendar", &|h| h["calendar"] = BASE64.encode(&site.records[1]).into());
    lie("no interim", &|h| {
        h.as_object_mut().unwrap().remove("interim");
    });
    lie("another checkpoint", &|h| h["checkpoint"] = checkpoint(SITE, 6, &[7; 32]).into());
    lie("another signer", &|h| {
        let note = h["checkpoint"].as_str().unwrap().replace(SITE, ORIGINS[0]);
        h["checkpoint"] = note.into();
    });
}

#[test]
fn another_format_is_refused() {
    let mut history = history(&site());
    history["format"] = "clover subject history v2".into();
    assert!(matches!(check(&history), Err(HistoryError::Form(_))));
}

#[test]
fn with_a_policy_the_quorum_must_have_cosigned() {
    let witness = SigningKey::from_seed("w.t/1", KeyKind::Cosigner, &[1; 32]).unwrap();
    let policy = format!("log {}\nwitness w {}\nquorum w\n", log_key(SITE).vkey(), witness.vkey());
    let site = site();
    let mut history = history(&site);
    let check =
        |history: &Value| verify_history(&serde_json::to_vec(history).unwrap(), &vkey(SITE), Some(&policy));
    assert!(matches!(check(&history), Err(HistoryError::Checkpoint(_))));
    history["checkpoint"] = site.publish_site(&[&witness]).into();
    let report = check(&history).unwrap();
    assert!(matches!(&report.witnessed, Witnessed::By(names) if names[0].0 == "w.t/1"));
    assert!(verify_history(b"{}", &vkey(SITE), Some("quorum")).is_err());
}

#[test]
fn a_first_day_needs_an_interim_map_only() {
    let mut site = site();
    site.leaves.truncate(2);
    site.records.clear();
    site.push_map(DAY, false);
    let mut history = history(&self::site());
    history["checkpoint"] = site.publish_site(&[]).into();
    for member in ["anchor", "calendar"] {
        history.as_object_mut().unwrap().remove(member);
    }
    history["interim"] = placed(&site.leaves, 2);
    history["from"] = file::date(DAY).into();
    history["to"] = file::date(DAY).into();
    history["days"] = json!([day_proof(&site, DAY)]);
    let first = |entry: &Value| entry["index"].as_u64().unwrap() < 300 && entry["leaf"].is_string();
    let entries: Vec<_> =
        history["entries"].as_array().unwrap().iter().filter(|entry| first(entry)).cloned().collect();
    history["entries"] = entries.into();
    let report = check(&history).unwrap();
    assert_eq!((report.days_final, report.entries()), (0, 3));
    // Nothing says when the record begins.
    history["from"] = file::date(DAY - 1).into();
    history["days"] = json!([{"day": file::date(DAY - 1), "outside": true}, day_proof(&site, DAY)]);
    assert!(check(&history).is_err());
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

static HONEST: LazyLock<Vec<u8>> = LazyLock::new(|| serde_json::to_vec(&history(&site())).unwrap());
