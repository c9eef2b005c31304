//! The table of lies: an honest site passes, and each way to lie about it is caught by a named rule.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on shall fail")]

#[path = "lies/site.rs"]
#[expect(unreachable_pub, reason = "a module of this test only")]
mod site;
#[path = "audit/writer.rs"]
#[expect(unreachable_pub, dead_code, reason = "a module of several tests")]
mod writer;

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use audit::{Place, Rule, SiteOptions, SiteReport, VerifierKey, verify_site};
use ciborium::Value;
use tempfile::TempDir;

use site::{CLOSE, EXTEND, GATEWAYS, KEYS, LATER, OPEN, World};
use writer::{Files, START, Signer, auditor, index_of, operator};

fn options(folder: PathBuf) -> SiteOptions {
    let key = |signer: Signer| VerifierKey::parse(&signer.vkey()).unwrap();
    SiteOptions {
        folder,
        site: key(site::site_key()),
        operator: key(operator()),
        auditor: key(auditor()),
        policy: None,
        seen: Vec::new(),
        redecide: false,
        maps: true,
        records_max: SiteOptions::RECORDS_MAX,
    }
}

fn check_with(files: &Files, change: impl Fn(&mut SiteOptions)) -> SiteReport {
    let folder = TempDir::new().unwrap();
    site::write(files, folder.path());
    let mut options = options(folder.path().to_owned());
    change(&mut options);
    verify_site(&options).unwrap()
}

/// Which rules are broken, and in which log.
fn rules(report: &SiteReport) -> BTreeSet<(String, &'static str)> {
    let logs = report.logs.iter();
    logs.flat_map(|log| log.report.findings.iter().map(|found| (log.prefix.clone(), found.rule.code())))
        .collect()
}

#[track_caller]
fn expect_files(files: &Files, expected: &[(&str, Rule)]) -> SiteReport {
    let report = check_with(files, |_| ());
    let expected = expected.iter().map(|(prefix, rule)| ((*prefix).to_owned(), rule.code()));
    assert_eq!(rules(&report), expected.collect(), "{report}");
    report
}

/// A site that lies, with everything signed and published as the liar pleases.
#[track_caller]
fn lie(change: impl Fn(&mut World), expected: &[(&str, Rule)]) -> SiteReport {
    let mut world = World::honest();
    change(&mut world);
    expect_files(&world.publish(), expected)
}

/// A lie that the whole site joins in: releases, rounds and day map are written after it.
#[track_caller]
fn joint_lie(change: impl Fn(&mut World), expected: &[(&str, Rule)]) -> SiteReport {
    lie(
        |world| {
            change(world);
            world.release_keys();
            world.write_site();
        },
        expected,
    )
}

#[test]
fn an_honest_site_has_no_findings() {
    let files = World::honest().publish();
    let report = check_with(&files, |options| options.redecide = true);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.logs.len(), report.rounds, report.maps), (4, 15, 1));
    assert!(report.releases_checked);
    let notices: Vec<_> = report.logs.iter().flat_map(|log| &log.report.notices).collect();
    assert_eq!(notices.len(), 1, "the night without rounds: {notices:?}");
    assert_eq!(notices[0].rule, Rule::Gap);
    assert_eq!(report.logs[2].report.streams, 1, "{report}");
}

/// The acts on the grant, as the honest site log has them.
fn acts(world: &World) -> Vec<usize> {
    (0..world.site.len()).filter(|n| world.site[*n].kind == 9).collect()
}

#[test]
fn a_grant_that_nobody_asked_for_is_caught() {
    lie(
        |world| {
            let first = acts(world)[0];
            world.site.drain(first..first + 2);
        },
        &[("a", Rule::Grant), ("b", Rule::Grant)],
    );
}

#[test]
fn a_grant_that_its_requester_approved_is_caught() {
    let report = lie(
        |world| {
            let approve = acts(world)[1];
            let digest = world.gateways[0].rulebooks[0].digest();
            world.site[approve] =
                site::act([2, 1, 2], 0x90, 0x11, Some(0x11), 1, [START - 1000, START + 100_000], &digest);
        },
        &[("site", Rule::Grant), ("a", Rule::Grant), ("b", Rule::Grant)],
    );
    assert!(report.to_string().contains("its requester approved it"), "{report}");
}

#[test]
fn the_use_of_a_revoked_grant_is_caught() {
    let report = lie(
        |world| {
            let place = acts(world)[1] + 1;
            let digest = world.gateways[0].rulebooks[0].digest();
            let mut revoke = site::act([5, 2, 6], 0x90, 0x11, Some(0x80), 1, [0, 0], &digest);
            revoke.time = START - 20;
            world.site.insert(place, revoke);
        },
        &[("a", Rule::Grant), ("b", Rule::Grant)],
    );
    assert!(report.to_string().contains("was revoked before"), "{report}");
}

#[test]
fn a_small_memory_finds_the_same() {
    let honest = World::honest().publish();
    assert!(check_with(&honest, |options| options.records_max = 2).is_clean());
    let mut world = World::honest();
    world.gateways[0].entries[5].flow = world.gateways[0].entries[3].flow;
    world.keys.remove(3);
    world.write_site();
    let files = world.publish();
    let (small, usual) = (check_with(&files, |options| options.records_max = 2), check_with(&files, |_| ()));
    assert_eq!(small.to_string(), usual.to_string());
    assert!(!small.is_clean());
}

#[test]
fn a_fork_is_caught_by_the_round_that_saw_the_other_history() {
    let report = lie(
        |world| world.gateways[1].entries[2].rows -= 1,
        &[("site", Rule::History), ("site", Rule::DayMap)],
    );
    assert!(report.to_string().contains("the root of `ledger.test/s/b` at size 3 is another"), "{report}");
}

#[test]
fn a_fork_of_the_site_log_is_caught_by_a_checkpoint_seen_elsewhere() {
    let mut world = World::honest();
    let seen = world.publish().remove("site/checkpoint").unwrap();
    world.site[5].time += 1;
    let (folder, seen_at) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    site::write(&world.publish(), folder.path());
    let file = seen_at.path().join("seen");
    fs::write(&file, &seen).unwrap();
    let mut options = options(folder.path().to_owned());
    options.seen.push(file.clone());
    let report = verify_site(&options).unwrap();
    assert_eq!(rules(&report), BTreeSet::from([("site".into(), Rule::History.code())]), "{report}");
    // A rollback: the log is shorter than what was seen.
    let mut world = World::honest();
    world.site.truncate(10);
    let folder = TempDir::new().unwrap();
    site::write(&world.publish(), folder.path());
    options.folder = folder.path().to_owned();
    let report = verify_site(&options).unwrap();
    assert!(rules(&report).contains(&("site".into(), Rule::Rollback.code())), "{report}");
    // The mirror's own last signature is such a checkpoint too.
    options.seen.clear();
    let name = data_encoding::HEXLOWER.encode(&writer::sha(site::SITE.as_bytes()));
    fs::create_dir(folder.path().join("signed")).unwrap();
    fs::write(folder.path().join("signed").join(name), &seen).unwrap();
    let report = verify_site(&options).unwrap();
    assert!(rules(&report).contains(&("site".into(), Rule::Rollback.code())), "{report}");
}

#[test]
fn an_honest_older_checkpoint_is_no_finding() {
    let mut world = World::honest();
    let files = world.publish();
    world.site.truncate(9);
    let older = TempDir::new().unwrap();
    let mut seen = Vec::new();
    for (name, path) in [("one", "site/checkpoint"), ("two", "a/checkpoint"), ("three", "keys/checkpoint")] {
        fs::write(older.path().join(name), &world.publish()[path]).unwrap();
        seen.push(older.path().join(name));
    }
    let report = check_with(&files, |options| options.seen.clone_from(&seen));
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_rollback_or_a_replayed_checkpoint_is_caught_by_the_rounds() {
    // The gateway shows an older state, with the checkpoint that it signed then.
    let report = lie(
        |world| world.gateways[1].entries.truncate(2),
        &[("site", Rule::Rollback), ("site", Rule::DayMap), ("keys", Rule::Stray)],
    );
    assert!(report.to_string().contains("it counts 3 entries of `ledger.test/s/b`, and the log has fewer"));
    // Only the checkpoint is old: what lies beyond it has no place.
    let mut world = World::honest();
    let mut files = world.publish();
    world.gateways[1].entries.truncate(2);
    files.insert("b/checkpoint".into(), world.publish().remove("b/checkpoint").unwrap());
    let found = rules(&check_with(&files, |_| ()));
    assert!(found.contains(&("site".into(), Rule::Rollback.code())), "{found:?}");
    assert!(found.contains(&("b".into(), Rule::Extra.code())), "{found:?}");
    // A round takes back what an earlier one said.
    let late = |world: &mut World| {
        let round = world.round_at(LATER);
        world.line(round, GATEWAYS[0])[1] = 3.into();
    };
    lie(late, &[("site", Rule::Rollback)]);
}

#[test]
fn a_dropped_entry_is_caught_even_if_the_whole_site_joins_in() {
    joint_lie(
        |world| {
            world.gateways[0].entries.remove(index_of("public"));
        },
        &[("a", Rule::Sequence), ("a", Rule::Stream), ("a", Rule::Orphan), ("site", Rule::DayMap)],
    );
    // Renumbered, it is only the rounds that remember.
    let renumber = |world: &mut World| {
        world.gateways[1].entries.remove(1);
        world.gateways[1].entries[1].sequence = 1;
    };
    let found = rules(&{
        let mut world = World::honest();
        renumber(&mut world);
        check_with(&world.publish(), |_| ())
    });
    assert!(found.contains(&("site".into(), Rule::Rollback.code())), "{found:?}");
    assert!(found.contains(&("keys".into(), Rule::Stray.code())), "its key release remembers too: {found:?}");
}

#[test]
fn reordered_entries_are_caught() {
    joint_lie(|world| world.gateways[0].entries.swap(3, 4), &[("a", Rule::Sequence), ("site", Rule::DayMap)]);
    let renumbered = |world: &mut World| {
        let entries = &mut world.gateways[0].entries;
        entries.swap(13, 14);
        (entries[13].sequence, entries[14].sequence) = (13, 14);
    };
    let mut world = World::honest();
    renumbered(&mut world);
    let found = rules(&check_with(&world.publish(), |_| ()));
    assert!(found.contains(&("site".into(), Rule::History.code())), "{found:?}");
}

#[test]
fn a_tag_list_that_is_not_of_its_root_is_caught() {
    let mut files = World::honest().publish();
    let path = files.keys().find(|path| path.starts_with("a/tags/")).unwrap().clone();
    files.get_mut(&path).unwrap()[3] ^= 1;
    let found = rules(&check_with(&files, |_| ()));
    assert!(found.contains(&("a".into(), Rule::TagList.code())), "{found:?}");
}

#[test]
fn a_wrong_tag_is_caught_by_the_key_release_and_the_day_map() {
    // The entry names another person than the key service released a key for.
    lie(
        |world| {
            let entry = index_of("grant");
            world.gateways[0].entries[entry].tags = vec![0x56; 16];
            let keys = world.keys.clone();
            world.write_site();
            world.keys = keys;
        },
        &[("keys", Rule::Unreleased)],
    );
}

#[test]
fn a_forged_tile_is_caught() {
    for log in ["a", "b", "keys", "site"] {
        let mut files = World::honest().publish();
        let path = files.keys().find(|path| path.starts_with(&format!("{log}/tile/0/"))).unwrap().clone();
        files.get_mut(&path).unwrap()[40] ^= 1;
        expect_forged(&files, log, Rule::Tile);
        let mut files = World::honest().publish();
        let path =
            files.keys().find(|path| path.starts_with(&format!("{log}/tile/entries/"))).unwrap().clone();
        let last = files[&path].len() - 1;
        files.get_mut(&path).unwrap()[last] ^= 1;
        expect_forged(&files, log, Rule::Root);
    }
}

#[track_caller]
fn expect_forged(files: &Files, log: &str, rule: Rule) {
    let found = rules(&check_with(files, |options| options.maps = false));
    assert!(found.contains(&(log.to_owned(), rule.code())), "{log}: {found:?}");
}

#[test]
fn a_gateway_left_out_of_rounds_is_caught() {
    let report = lie(
        |world| {
            for leaf in world.site.iter_mut().filter(|leaf| leaf.kind == 1) {
                site::lines(&mut leaf.body).retain(|line| line.as_array().unwrap()[0] != GATEWAYS[1].into());
            }
        },
        &[("site", Rule::Round)],
    );
    assert!(report.to_string().contains("the round leaves out `ledger.test/s/b`"), "{report}");
}

#[test]
fn a_log_that_is_enrolled_and_not_there_is_caught() {
    let mut files = World::honest().publish();
    files.retain(|path, _| !path.starts_with("b/"));
    let found = rules(&check_with(&files, |options| options.maps = false));
    assert!(found.contains(&("b".into(), Rule::Missing.code())), "{found:?}");
}

#[test]
fn a_log_that_is_not_enrolled_and_a_log_of_another_key_are_caught() {
    let stranger = |world: &mut World| {
        let round = world.round_at(START + 3);
        let line = Value::Array(vec!["ledger.test/s/c".into(), 0.into(), Value::Bytes(vec![0; 32])]);
        site::lines(&mut world.site[round].body).push(line);
    };
    lie(stranger, &[("site", Rule::Round)]);
    let mut world = World::honest();
    let mut again = world.site[0].clone();
    again.time = START + 3;
    let lines = again.body.as_map_mut().unwrap()[0].1.as_array_mut().unwrap();
    lines[1].as_array_mut().unwrap()[1] = site::gateway_key(1).vkey().into();
    world.site.insert(5, again);
    expect_files(&world.publish(), &[("site", Rule::Enrolment)]);
    lie(|world| world.site.swap(0, 1), &[("site", Rule::Enrolment)]);
}

/// A site whose second gateway is retired in the middle of the day.
fn retired() -> World {
    let mut world = World::honest();
    world.retire(1, START + 9);
    world
}

#[test]
fn a_gateway_that_was_retired_is_no_finding_and_stays_in_the_maps() {
    let report = check_with(&retired().publish(), |options| options.redecide = true);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.logs.len(), report.rounds, report.maps), (4, 15, 1));
    let lie = |change: fn(&mut World), expected: &[(&str, Rule)]| {
        let mut world = retired();
        change(&mut world);
        expect_files(&world.publish(), expected);
    };
    // The map of its last day is made after it went.
    let left_out = |world: &mut World| {
        let map = world.first_of(3);
        let inputs = &mut world.site[map].body.as_map_mut().unwrap()[5].1;
        inputs.as_array_mut().unwrap().pop();
    };
    lie(left_out, &[("site", Rule::DayMap)]);
}

#[test]
fn a_log_that_leaves_the_list_without_a_retirement_is_caught() {
    let mut world = retired();
    world.site.remove(world.first_of(7));
    let report = expect_files(&world.publish(), &[("site", Rule::Enrolment)]);
    assert!(report.to_string().contains("`ledger.test/s/b` is left out and was not retired"), "{report}");
}

#[test]
fn a_retired_log_that_grows_or_comes_back_is_caught() {
    let find = |change: &dyn Fn(&mut World), rule: Rule, text: &str| {
        let mut world = retired();
        change(&mut world);
        let report = check_with(&world.publish(), |_| ());
        assert!(rules(&report).contains(&("site".into(), rule.code())), "{text}: {report}");
        assert!(report.to_string().contains(text), "{text}: {report}");
    };
    let grown = |world: &mut World| {
        let mut entry = world.gateways[1].entries[1].clone();
        (entry.sequence, entry.flow) = (3, [0x77; 16]);
        entry.set_time(START + 11);
        world.gateways[1].entries.push(entry);
    };
    find(&grown, Rule::Enrolment, "`ledger.test/s/b` was retired with 3 entries, and has 4");
    let back = |world: &mut World| {
        let (first, round) = (world.site[0].clone(), world.round_at(START + 11));
        world.site.insert(round, site::SiteLeaf { time: START + 11, ..first });
    };
    find(&back, Rule::Enrolment, "`ledger.test/s/b` was retired, and is enrolled again");
    let named = |world: &mut World| {
        let first = world.first_of(1);
        let line = world.line(first, site::GATEWAYS[1]).clone();
        let round = world.round_at(START + 11);
        site::lines(&mut world.site[round].body).push(Value::Array(line));
    };
    find(&named, Rule::Round, "names `ledger.test/s/b`, which is not enrolled");
    let part = |world: &mut World, key: usize, value: Value| {
        let retirement = world.first_of(7);
        world.site[retirement].body.as_map_mut().unwrap()[key].1 = value;
    };
    find(&|w| part(w, 2, Value::Bytes(vec![7; 32])), Rule::History, "`ledger.test/s/b` had another root");
    find(&|w| part(w, 1, 2.into()), Rule::Rollback, "`ledger.test/s/b` had 3 entries before, and has 2 now");
    find(&|w| part(w, 1, 4.into()), Rule::Rollback, "counts 4 entries of `ledger.test/s/b`");
    find(
        &|w| part(w, 0, "ledger.test/s/c".into()),
        Rule::Enrolment,
        "retires `ledger.test/s/c`, which is not",
    );
    let twice = |world: &mut World| {
        let retirement = world.first_of(7);
        world.site.insert(retirement, world.site[retirement].clone());
    };
    find(&twice, Rule::Enrolment, "retires `ledger.test/s/b`, which is not enrolled");
}

#[test]
fn a_late_entry_is_caught() {
    // It appears after the night, and says that it is of the day before: the day map is final without it.
    let late = |world: &mut World| {
        let mut entry = world.gateways[1].entries[1].clone();
        entry.sequence = 3;
        entry.flow = [0x77; 16];
        entry.set_time(START + 1);
        world.keys.push(world.keys[0].clone());
        let release = world.keys.last_mut().unwrap();
        (release.flow, release.time, release.tags) = (entry.flow, entry.time, entry.tags.clone());
        release.rulebook = entry.rulebook;
        let keys = world.keys.clone();
        world.gateways[1].entries.push(entry);
        // Rounds before and after, as if it had come after the night.
        let honest = World::honest();
        let last = world.site.len() - 1;
        let mut after = world.clone();
        after.write_site();
        world.site = honest.site;
        world.site[last].body = after.site[last].body.clone();
        world.keys = keys;
    };
    let mut world = World::honest();
    late(&mut world);
    let found = rules(&check_with(&world.publish(), |_| ()));
    assert!(found.contains(&("b".into(), Rule::Late.code())), "{found:?}");
    assert!(found.contains(&("site".into(), Rule::DayMapLate.code())), "{found:?}");
}

#[test]
fn an_entry_from_the_future_is_caught() {
    let future = |world: &mut World| {
        world.gateways[1].entries[2].set_time(START + 400);
    };
    let mut world = World::honest();
    future(&mut world);
    world.release_keys();
    let rounds = World::honest();
    world.write_site();
    for (leaf, honest) in world.site.iter_mut().zip(&rounds.site) {
        if leaf.kind == 1 && leaf.time < LATER {
            leaf.body = honest.body.clone();
        }
    }
    // The rounds of the day count three entries at once.
    let found = rules(&check_with(&world.publish(), |_| ()));
    assert!(found.contains(&("b".into(), Rule::Late.code())), "{found:?}");
}

#[test]
fn a_wrong_round_root_is_caught() {
    let wrong = |world: &mut World| {
        let round = world.round_at(START + 4);
        let Value::Bytes(root) = &mut world.line(round, GATEWAYS[0])[2] else { unreachable!() };
        root[0] ^= 1;
    };
    let report = lie(wrong, &[("site", Rule::History)]);
    let index = World::honest().round_at(START + 4) as u64;
    assert_eq!(report.logs[0].report.findings[0].place, Place::Entry(index), "{report}");
    let wrong_keys = |world: &mut World| {
        let round = world.round_at(START + 4);
        let Value::Bytes(root) = &mut world.line(round, KEYS)[2] else { unreachable!() };
        root[0] ^= 1;
    };
    lie(wrong_keys, &[("site", Rule::History)]);
}

#[test]
fn a_key_release_without_an_entry_is_caught() {
    let stray = |world: &mut World| {
        let mut release = world.keys[0].clone();
        release.flow = [0x99; 16];
        release.time = world.keys.last().unwrap().time;
        world.keys.push(release);
        world.write_site();
    };
    lie(stray, &[("keys", Rule::Stray)]);
}

#[test]
fn an_entry_without_its_release_is_caught() {
    let missing = |world: &mut World| {
        world.keys.pop();
        world.write_site();
    };
    lie(missing, &[("a", Rule::Unreleased)]);
    let twice = |world: &mut World| {
        world.keys.push(world.keys.last().unwrap().clone());
        world.write_site();
    };
    lie(twice, &[("keys", Rule::Unreleased)]);
    let late = |world: &mut World| {
        world.keys.last_mut().unwrap().time += 61;
        world.write_site();
    };
    lie(late, &[("keys", Rule::Unreleased)]);
    let purpose = |world: &mut World| {
        world.keys.last_mut().unwrap().purpose = 2;
        world.write_site();
    };
    lie(purpose, &[("keys", Rule::Unreleased)]);
}

#[test]
fn a_flow_id_used_at_two_gateways_is_caught() {
    let again = |world: &mut World| world.gateways[1].entries[0].flow = world.gateways[0].entries[3].flow;
    joint_lie(again, &[("b", Rule::Flow)]);
}

#[test]
fn an_orphan_stream_is_caught() {
    let orphan = |world: &mut World| {
        world.gateways[0].entries.pop();
    };
    let report = joint_lie(orphan, &[("a", Rule::Orphan)]);
    assert_eq!(report.logs[2].report.findings[0].place, Place::Entry(OPEN as u64), "{report}");
}

#[test]
fn a_stream_over_its_budget_or_lease_is_caught() {
    joint_lie(|world| world.gateways[0].entries[CLOSE].bytes = 5001, &[("a", Rule::Budget)]);
    joint_lie(|world| world.gateways[0].entries[EXTEND].bytes = 999, &[("a", Rule::Budget)]);
    joint_lie(|world| world.gateways[0].entries[CLOSE].rows = 101, &[("a", Rule::Bounds)]);
    joint_lie(|world| world.gateways[0].entries[EXTEND].lease = START + 7 + 3601, &[("a", Rule::Lease)]);
    joint_lie(|world| world.gateways[0].entries[CLOSE].actor = [9; 16], &[("a", Rule::Stream)]);
    joint_lie(|world| world.gateways[0].entries[CLOSE].open = 3, &[("a", Rule::Stream), ("a", Rule::Orphan)]);
}

#[test]
fn an_override_must_be_signed_by_two_companies_short_and_used_once() {
    let good = lie(|world| world.add_override(1, 1800, &[1, 2]), &[]);
    assert_eq!(good.overrides, 1);
    assert!(good.to_string().contains("notice[AUD-38]"), "{good}");
    let found = &[("site", Rule::Override)];
    lie(|world| world.add_override(1, 1800, &[1]), found);
    lie(|world| world.add_override(1, 1800, &[1, 3]), found);
    lie(|world| world.add_override(1, 1800, &[1, 1]), found);
    lie(|world| world.add_override(1, 1801, &[1, 2]), found);
    lie(
        |world| {
            world.add_override(1, 60, &[1, 2]);
            world.add_override(1, 90, &[1, 2]);
        },
        found,
    );
}

#[test]
fn a_rulebook_that_is_not_in_force_at_the_site_is_caught() {
    let other = |world: &mut World| {
        world.site[1].body = Value::Map(vec![(0.into(), Value::Bytes(vec![7; 32]))]);
    };
    lie(other, &[("a", Rule::SiteRulebook), ("b", Rule::SiteRulebook)]);
}

#[test]
fn a_wrong_day_map_is_caught() {
    let map = |world: &mut World, key: usize, value: Value| {
        let leaf = world.site.iter_mut().find(|leaf| leaf.kind == 3).unwrap();
        leaf.body.as_map_mut().unwrap()[key].1 = value;
    };
    lie(|world| map(world, 2, Value::Bytes(vec![7; 32])), &[("site", Rule::DayMap)]);
    lie(|world| map(world, 4, 3.into()), &[("site", Rule::DayMap)]);
    lie(|world| map(world, 6, Value::Bytes(vec![7; 32])), &[("site", Rule::Calendar)]);
}

#[test]
fn a_missing_cosignature_is_caught() {
    let policy = |options: &mut SiteOptions| options.policy = Some(site::policy());
    let mut files = World::honest().publish();
    let short = BTreeSet::from([("site".to_owned(), Rule::Quorum.code())]);
    assert_eq!(rules(&check_with(&files, policy)), short);
    site::cosign(&mut files, &[1]);
    assert_eq!(rules(&check_with(&files, policy)), short);
    site::cosign(&mut files, &[2]);
    let report = check_with(&files, policy);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.cosigners.unwrap().len(), 2);
}

#[test]
fn any_flipped_byte_of_a_checkpoint_bundle_or_tile_is_found() {
    let honest = World::honest().publish();
    for (path, bytes) in honest.iter().filter(|(path, _)| !path.contains("rulebook")) {
        for position in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut files = honest.clone();
            files.get_mut(path).unwrap()[position] ^= 0x20;
            let report = check_with(&files, |options| options.maps = false);
            assert!(!report.is_clean(), "byte {position} of `{path}`");
        }
    }
}

#[test]
fn the_command_checks_a_mirror_and_makes_its_decisions_again() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    site::write(&World::honest().publish(), &folder.path().join("mirror"));
    for (name, signer) in [("site", site::site_key()), ("operator", operator()), ("auditor", auditor())] {
        fs::write(at(name), signer.vkey() + "\n").unwrap();
    }
    let run = |command: &str, more: &[&str]| {
        let (mirror, site, one, two) = (at("mirror"), at("site"), at("operator"), at("auditor"));
        let keys = ["--site-vkey", &site, "--operator-vkey", &one, "--auditor-vkey", &two];
        let arguments = [&[command, "--mirror", &mirror], &keys[..], more].concat();
        let output = Command::new(env!("CARGO_BIN_EXE_clover-audit")).args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let json = at("json");
    let (code, text) = run("verify", &["--json", &json]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("rounds      15 compared") && text.contains("findings    0 in all"), "{text}");
    let (code, text) = run("replay", &["--json", &json]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("distinct    8,"), "{text}");
    fs::write(at("policy"), site::policy()).unwrap();
    let (code, text) = run("verify", &["--policy", &at("policy")]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("finding[AUD-42]"), "{text}");
    fs::write(at("policy"), "nonsense").unwrap();
    assert_eq!(run("verify", &["--policy", &at("policy")]).0, 78);
}
