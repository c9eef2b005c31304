//! The report on a small site, word for word, and what it says about itself.

use std::fs;

use ciborium::Value;

use super::*;
use crate::{
    html::report_page,
    incident::Parties,
    testsite::{SITE, vkey},
    watch::tests::{Small, World, answer, refusal},
};

/// Two days of a site, with something of everything.
fn site() -> World {
    let mut world = World::new();
    for number in 0..40_u8 {
        let time = world.time;
        let country = ["IE", "IE", "SG", "IE", "US"][usize::from(number) % 5];
        let person = number % 2 == 0;
        world.entry(&Small {
            rows: u32::from(number) * 31,
            bytes: u64::from(number) * 4_321,
            country,
            class: if country == "IE" { 2 } else { 1 },
            person,
            flow: number + 1,
            ..answer(time)
        });
        if person {
            world.release(number + 1, time);
        }
        if number % 4 == 0 {
            world.entry(&refusal(time));
        }
        world.round(1);
    }
    world.entry(&Small { country: "US", class: 4, rows: 3, ..answer(world.time) });
    let open =
        world.entry(&Small { kind: 6, bytes: 9_000_000, lease: world.time + 60, ..answer(world.time) });
    world.entry(&Small { kind: 8, open, bytes: 8_000_000, rows: 500, ..answer(world.time) });
    world.round(30);
    let note =
        format!("clover border override v1\n{SITE}\n{}\n100 1900\nfire-1\n\n— a AAAAAAAA\n", "0a".repeat(16));
    world.leaf(5, &Value::Map(vec![(Value::from(0), Value::from(note))]));
    crate::approvals::tests::story(&mut world);
    world
}

fn options(world: &World, signers: bool) -> PeriodOptions {
    let read = |name: &str| VerifierKey::parse(&fs::read_to_string(world.path(name)).unwrap()).unwrap();
    let day = world.time / DAY_SECONDS;
    PeriodOptions {
        mirror: world.path("mirror"),
        site: vkey(SITE),
        signers: signers.then(|| (read("operator.vkey"), read("auditor.vkey"))),
        thorough: false,
        from: day,
        to: day,
        watch: Some((world.path("own"), Parties::read(&world.path("parties.toml")).unwrap())),
    }
}

#[test]
fn the_report_on_a_small_site_is_the_one_on_record() {
    let world = site();
    world.findings();
    let report = report_period(&options(&world, false)).unwrap();
    let json = serde_json::to_string_pretty(&report).unwrap() + "\n";
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    for (name, text) in [("report.json", json), ("report.html", report_page(&report))] {
        let path = format!("{folder}/{name}");
        if std::env::var_os("CLOVER_GOLDEN").is_some_and(|value| value == "write") {
            fs::create_dir_all(folder).unwrap();
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{name}");
    }
}

#[test]
fn what_crossed_is_counted_and_what_did_not_is_not() {
    let world = site();
    let report = report_period(&options(&world, false)).unwrap();
    let (crossings, total) = (&report.crossings, report.crossings.total);
    assert_eq!(total.crossings, 42, "40 answers, one that should not be, and a stream");
    assert_eq!(total.bytes, (0..40).map(|number| number * 4_321).sum::<u64>() + 100 + 8_000_000);
    assert_eq!(crossings.by_country.values().map(|volume| volume.crossings).sum::<u64>(), 42);
    assert_eq!((crossings.by_class["restricted"].crossings, crossings.by_class["restricted"].rows), (1, 3));
    assert_eq!(report.refusals, BTreeMap::from([("malformed".to_owned(), 10)]));
    assert_eq!((report.key_releases, report.overrides.len()), (20, 1));
    assert_eq!((report.coverage.gaps, report.coverage.gap_seconds), (1, 30));
    let other = PeriodOptions { from: 1, to: 2, ..options(&world, false) };
    let report = report_period(&other).unwrap();
    assert_eq!((report.crossings.total, report.coverage.entries_in_period), (Volume::default(), 0));
    assert!(report.coverage.entries_held > 0);
}

#[test]
fn what_was_not_checked_is_said() {
    let world = site();
    let bare = report_period(&options(&world, false)).unwrap();
    assert_eq!((bare.coverage.findings, bare.coverage.entries_verified), (None, 0));
    assert!(bare.not_checked.iter().any(|line| line.starts_with("Nothing was verified")));
    assert!(bare.not_checked.iter().any(|line| line.starts_with("30 s of the period")));
    assert!(report_page(&bare).contains("Nothing was verified for this report."));
    let verified = report_period(&options(&world, true)).unwrap();
    assert!(verified.coverage.entries_verified > 50 && verified.coverage.findings > Some(0));
    assert!(report_page(&verified).contains("something does not hold"));
    assert!(!verified.not_checked.iter().any(|line| line.starts_with("Nothing was verified")));
}

#[test]
fn a_mirror_whose_entries_do_not_lead_to_the_signed_root_gives_no_report() {
    let world = site();
    let bundle = fs::read_dir(world.path("mirror/gw/tile/entries/000.p")).unwrap();
    for file in bundle {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    assert!(matches!(report_period(&options(&world, false)), Err(PeriodError::Mirror(_))));
}
