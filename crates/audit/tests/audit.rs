//! An honest tree passes, and every lie about it is found under the rule that it breaks.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on shall fail")]

#[path = "audit/countries.rs"]
mod countries;
#[path = "audit/migrations.rs"]
mod migrations;
#[path = "audit/writer.rs"]
#[expect(unreachable_pub, reason = "a module of this test only")]
mod writer;

use std::{collections::BTreeSet, process::Command, sync::LazyLock};

use audit::{AuditError, Options, Place, ProofError, Report, Rule, VerifierKey, verify, verify_proof};
use ciborium::{Value, cbor};
use data_encoding::{BASE64, HEXLOWER};
use proptest::prelude::*;
use tempfile::TempDir;
use writer::{Entry, Files, Log, Rulebook, Signer, auditor, index_of, log_key, operator, tag};

const COUNT: usize = 600;
static HONEST: LazyLock<Log> = LazyLock::new(|| Log::honest(COUNT));
static FILES: LazyLock<Files> = LazyLock::new(|| HONEST.publish());

fn options(folder: &TempDir, redecide: bool) -> Options {
    let key = |signer: Signer| VerifierKey::parse(&signer.vkey()).unwrap();
    let ledger = folder.path().to_owned();
    Options { ledger, log: key(log_key()), operator: key(operator()), auditor: key(auditor()), redecide }
}

fn check(files: &Files, redecide: bool) -> Report {
    let folder = TempDir::new().unwrap();
    writer::write(files, folder.path());
    verify(&options(&folder, redecide)).unwrap()
}

fn rules(report: &Report) -> BTreeSet<Rule> {
    report.findings.iter().map(|finding| finding.rule).collect()
}

/// Publishes a log with one lie in it, properly signed, and expects findings under just these rules.
#[track_caller]
fn expect(log: &Log, expected: &[Rule]) -> Report {
    let report = check(&log.publish(), true);
    assert_eq!(rules(&report), expected.iter().copied().collect(), "{report}");
    report
}

/// A short honest log with one entry changed.
#[track_caller]
fn lie(name: &str, change: impl Fn(&mut Entry), expected: &[Rule]) -> Report {
    let mut log = Log::honest(12);
    log.rulebooks.truncate(1);
    change(&mut log.entries[index_of(name)]);
    let report = expect(&log, expected);
    let place = Place::Entry(index_of(name) as u64);
    assert!(report.findings.iter().any(|finding| finding.place == place), "{report}");
    report
}

#[test]
fn an_honest_tree_has_no_findings() {
    let report = check(&FILES, true);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.entries, report.size), (600, 600));
    assert_eq!(report.tiles, 5, "three tiles of level 0, one of level 1 and one older");
    assert_eq!((report.tag_lists, report.rulebooks), (1, 2));
    // Eight of a round of eleven, less the one in whose place the second activation stands.
    // Under each of the two rulebooks.
    assert_eq!((report.decisions, report.decisions_distinct), (436, 16), "{report}");
}

#[test]
fn trees_of_all_small_shapes_pass() {
    for count in [1, 2, 5, 255, 256, 257, 299] {
        let mut log = Log::honest(count);
        log.rulebooks.truncate(1);
        if count < 12 {
            log.tag_lists.clear();
        }
        let report = check(&log.publish(), false);
        assert!(report.is_clean(), "{count} entries: {report}");
    }
}

#[test]
fn an_empty_log_passes() {
    let log = Log { entries: Vec::new(), tag_lists: Vec::new(), rulebooks: Vec::new() };
    assert!(check(&log.publish(), true).is_clean());
}

#[test]
fn any_flipped_byte_of_any_file_is_found() {
    for (path, bytes) in FILES.iter() {
        for position in [0, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
            let mut files = FILES.clone();
            files.get_mut(path).unwrap()[position] ^= 0x40;
            assert!(!check(&files, false).is_clean(), "byte {position} of `{path}`");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_random_change_of_a_byte_is_found(file: prop::sample::Index, place: prop::sample::Index, mask in 1_u8..) {
        let mut files = FILES.clone();
        let path = file.get(&FILES.keys().collect::<Vec<_>>()).to_string();
        let bytes = files.get_mut(&path).unwrap();
        let position = place.index(bytes.len());
        bytes[position] ^= mask;
        prop_assert!(!check(&files, false).is_clean(), "byte {position} of `{path}`");
    }
}

#[test]
fn any_missing_file_is_found_by_name() {
    for path in FILES.keys().filter(|path| *path != "checkpoint" && !path.ends_with(".p/5")) {
        let mut files = FILES.clone();
        files.remove(path);
        let report = check(&files, false);
        let named = report.findings.iter().any(|finding| {
            let text = finding.to_string();
            text.contains(path) || text.contains(path.trim_start_matches("tags/"))
        });
        assert!(named, "`{path}`: {report}");
    }
}

#[test]
fn any_short_or_long_file_is_found() {
    for (path, bytes) in FILES.iter() {
        let mut short = FILES.clone();
        short.insert(path.clone(), bytes[..bytes.len() - 1].to_vec());
        assert!(!check(&short, false).is_clean(), "short `{path}`");
        let mut long = FILES.clone();
        long.get_mut(path).unwrap().push(b'\n');
        assert!(!check(&long, false).is_clean(), "long `{path}`");
    }
}

#[test]
fn an_older_partial_file_may_be_gone() {
    let mut files = FILES.clone();
    files.retain(|path, _| !path.ends_with(".p/5"));
    assert!(check(&files, false).is_clean());
}

#[test]
fn an_extra_file_is_found_by_name() {
    let digest = HEXLOWER.encode(&HONEST.rulebooks[0].digest());
    for (path, rule) in [
        ("notes.txt".to_owned(), Rule::Extra),
        ("tile/0/003".to_owned(), Rule::Extra),
        ("tile/0/002.p/200".to_owned(), Rule::Extra),
        ("tile/entries/x001/000".to_owned(), Rule::Extra),
        ("tile/2/000.p/1".to_owned(), Rule::Extra),
        ("tile/0/000.tmp".to_owned(), Rule::Extra),
        (format!("tags/{}", "ab".repeat(32)), Rule::Extra),
        ("tags/short".to_owned(), Rule::Extra),
        (format!("rulebook/{}/programme.toml", "ab".repeat(32)), Rule::Extra),
        (format!("rulebook/{digest}/30-more.cedar"), Rule::Rulebook),
    ] {
        let mut files = FILES.clone();
        files.insert(path.clone(), b"permit (principal, action, resource);".to_vec());
        let report = check(&files, false);
        assert!(rules(&report).contains(&rule), "`{path}`: {report}");
        let folder = path.rsplit_once('/').map_or(path.as_str(), |(folder, _)| folder);
        assert!(report.findings[0].to_string().contains(folder), "`{path}`: {report}");
    }
}

#[test]
fn a_forged_tile_is_found_with_its_place() {
    let mut files = FILES.clone();
    files.get_mut("tile/0/001").unwrap()[17 * 32] ^= 1;
    let report = check(&files, false);
    assert_eq!(rules(&report), BTreeSet::from([Rule::Tile]));
    assert!(report.to_string().contains("finding[AUD-05]: file `tile/0/001`: hash 17 is not"), "{report}");
}

#[test]
fn a_signed_root_of_another_tree_is_found() {
    let mut files = FILES.clone();
    let text = HONEST
        .checkpoint()
        .replace(&BASE64.encode(&writer::root(&HONEST.hashes())), &BASE64.encode(&[9; 32]));
    files.insert("checkpoint".into(), format!("{text}\n{}", log_key().line(&text)).into_bytes());
    assert_eq!(rules(&check(&files, false)), BTreeSet::from([Rule::Root]));
}

#[test]
fn a_signed_size_beyond_all_measure_is_one_finding_not_a_loop() {
    let mut files = FILES.clone();
    let text = HONEST.checkpoint().replace("\n600\n", &format!("\n{}\n", u64::MAX));
    files.insert("checkpoint".into(), format!("{text}\n{}", log_key().line(&text)).into_bytes());
    let report = check(&files, false);
    assert!(rules(&report).is_superset(&BTreeSet::from([Rule::Missing, Rule::Root])), "{report}");
}

#[test]
fn a_checkpoint_of_another_key_is_refused() {
    for note in [
        Signer::new(writer::ORIGIN, 9).line(&HONEST.checkpoint()),
        Signer::new("other.name", 1).line(&HONEST.checkpoint()),
        log_key().line("another text\n"),
    ] {
        let mut files = FILES.clone();
        files.insert("checkpoint".into(), format!("{}\n{note}", HONEST.checkpoint()).into_bytes());
        assert_eq!(rules(&check(&files, false)), BTreeSet::from([Rule::Checkpoint]));
    }
}

#[test]
fn a_dropped_entry_is_found_twice() {
    let mut files = FILES.clone();
    let mut log = HONEST.clone();
    log.entries.remove(40);
    // The log signs the shorter tree: sequence numbers still tell.
    let report = check(&log.publish(), false);
    assert!(rules(&report).contains(&Rule::Sequence), "{report}");
    // The log does not: root and lengths tell too.
    files.insert("tile/entries/000".into(), log.publish().remove("tile/entries/000").unwrap());
    let report = check(&files, false);
    assert!(
        rules(&report).is_superset(&BTreeSet::from([Rule::Sequence, Rule::Tile, Rule::Root])),
        "{report}"
    );
}

#[test]
fn reordered_entries_are_found() {
    let mut log = HONEST.clone();
    log.entries.swap(40, 41);
    expect(&log, &[Rule::Sequence]);
}

#[test]
fn a_cut_bundle_does_not_hide_the_rest() {
    let mut files = FILES.clone();
    files.get_mut("tile/entries/000").unwrap().truncate(1000);
    let mut bundle = files["tile/entries/001"].clone();
    bundle[300] ^= 1;
    files.insert("tile/entries/001".into(), bundle);
    let report = check(&files, false);
    assert!(rules(&report).is_superset(&BTreeSet::from([Rule::Shape, Rule::Tile, Rule::Root])), "{report}");
}

#[test]
fn lies_in_a_header_are_found() {
    lie("grant", |entry| entry.sequence += 1, &[Rule::Sequence]);
    lie("grant", |entry| entry.gateway[0] ^= 1, &[Rule::Sequence]);
    lie("grant", |entry| entry.set_time(writer::START - 301), &[Rule::Time]);
    lie("case", |entry| entry.flow[7] -= 1, &[Rule::Flow]);
    lie("grant", |entry| entry.purpose = 12, &[Rule::Header]);
    lie("grant", |entry| entry.mode = 9, &[Rule::Header]);
    lie("list", |entry| entry.people = 8, &[Rule::TagList]);
    lie("case", |entry| entry.people = 2, &[Rule::Header]);
    lie("refused", |entry| entry.bytes = 1, &[Rule::Header]);
}

#[test]
fn a_clock_may_go_back_a_little() {
    let mut log = Log::honest(12);
    log.rulebooks.truncate(1);
    log.entries[index_of("public")].set_time(writer::START - 300);
    expect(&log, &[]);
}

#[test]
fn a_log_that_does_not_start_with_an_activation_is_found() {
    let mut log = Log::honest(12);
    log.rulebooks.truncate(1);
    log.entries[0].kind = 5;
    let report = check(&log.publish(), false);
    assert!(rules(&report).is_superset(&BTreeSet::from([Rule::First, Rule::Activation])), "{report}");
}

#[test]
fn facts_that_say_other_than_the_header_are_found() {
    lie("grant", |entry| entry.actor = [0x12; 16], &[Rule::Agreement]);
    lie("grant", |entry| entry.time += 1, &[Rule::Agreement]);
    lie("public", |entry| entry.purpose = 2, &[Rule::Agreement]);
    lie("grant", |entry| entry.place = *b"NO", &[Rule::Agreement]);
    lie("public", |entry| entry.destination = *b"US", &[Rule::Agreement]);
    lie("flow", |entry| entry.destination = *b"SG", &[Rule::Agreement]);
    lie("grant", |entry| entry.classes = 2, &[Rule::Agreement]);
    lie("grant", |entry| entry.treatments = 1, &[Rule::Agreement]);
    lie("public", |entry| entry.rows = 101, &[Rule::Bounds]);
    lie("list", |entry| entry.fact(6, Value::from(8)), &[Rule::Bounds]);
    lie("case", |entry| entry.tags = vec![0x56; 16], &[Rule::Bounds]);
    lie("public", |entry| entry.facts = None, &[Rule::Facts]);
    lie("refused", |entry| entry.facts = None, &[Rule::Facts]);
    lie("border", |entry| entry.raw_facts = Some(vec![0xa0]), &[Rule::Facts]);
    lie("malformed", |entry| entry.raw_facts = Some(vec![0xa0]), &[Rule::Facts]);
}

#[test]
fn facts_that_are_not_deterministic_are_found() {
    lie(
        "public",
        |entry| {
            // The version 1, in two bytes instead of one.
            let mut bytes = writer::encode(entry.facts.as_ref().unwrap());
            bytes.splice(2..3, [0x18, 0x01]);
            entry.raw_facts = Some(bytes);
        },
        &[Rule::Facts],
    );
}

#[test]
fn a_tag_list_that_was_tampered_with_is_found() {
    let path = FILES.keys().find(|path| path.starts_with("tags/")).unwrap();
    let good = FILES[path].clone();
    let mut swapped = good.clone();
    swapped.rotate_left(16);
    for bad in [good[16..].to_vec(), swapped, good[1..].to_vec(), Vec::new()] {
        let mut files = FILES.clone();
        files.insert(path.clone(), bad);
        assert_eq!(rules(&check(&files, false)), BTreeSet::from([Rule::TagList]));
    }
}

#[test]
fn a_tag_list_that_names_somebody_twice_is_found() {
    let mut log = Log::honest(12);
    log.rulebooks.truncate(1);
    log.tag_lists[0][1] = log.tag_lists[0][0];
    let hashes: Vec<_> = log.tag_lists[0].iter().map(|tag| writer::leaf(tag)).collect();
    log.entries[index_of("list")].tags = writer::root(&hashes).to_vec();
    expect(&log, &[Rule::TagList]);
}

/// A log of one rulebook, whose manifest is signed in this way.
fn signed(sign: impl Fn(&Rulebook) -> String) -> BTreeSet<Rule> {
    let mut log = Log::honest(3);
    log.rulebooks.truncate(1);
    log.tag_lists.clear();
    log.rulebooks[0].note = Some(sign(&log.rulebooks[0]));
    rules(&check(&log.publish(), false))
}

#[test]
fn a_rulebook_needs_both_signatures() {
    let refused = BTreeSet::from([Rule::Rulebook, Rule::Release]);
    let (one, two) = (operator(), auditor());
    assert_eq!(signed(|book| book.signed_by(&[&two, &one])), BTreeSet::new());
    assert_eq!(signed(|book| book.signed_by(&[&one])), refused);
    assert_eq!(signed(|book| book.signed_by(&[&two])), refused);
    assert_eq!(signed(|book| book.signed_by(&[&one, &one])), refused);
    assert_eq!(signed(|book| book.signed_by(&[&one, &Signer::new("auditor.test", 2)])), refused);
    assert_eq!(signed(|book| book.signed_by(&[&Signer::new("operator.test", 3), &two])), refused);
    assert_eq!(signed(|_| Rulebook::tiny("other").signed_by(&[&one, &two])), refused);
}

#[test]
fn operator_and_auditor_cannot_be_one() {
    let folder = TempDir::new().unwrap();
    let mut options = options(&folder, false);
    options.auditor = VerifierKey::parse(&Signer::new("auditor.test", 2).vkey()).unwrap();
    assert!(matches!(verify(&options), Err(AuditError::SameKey)));
}

#[test]
fn a_rulebook_that_cannot_be_read_is_found() {
    let changes: [(&str, &[u8]); 16] = [
        ("assessments.toml", b"[[assessment]]\ncountry = \"SG\"\n"),
        ("assessments.toml", b"[[adequacy]]\ncountry = \"IE\"\ndecision = \"d\"\nfrom = \"2026-01-01\"\n"),
        ("programme.toml", b"aggregate_k = 50\n"),
        ("programme.toml", b"aggregate_k = 9\n[region]\nname = \"r\"\nflags = { a = [\"IE\"] }\n"),
        ("programme.toml", b"aggregate_k = 50\n[region]\nname = \"r\"\nflags = { a = [\"ie\"] }\n"),
        ("20-permits.cedar", b"permit (principal, action, resource) when { principal.nothing };"),
        ("20-permits.cedar", b"permit (principal"),
        ("clover.cedarschema", b"entity"),
        ("catalogue.toml", b"[[dataset]"),
        ("catalogue.toml", b"\xff"),
        ("catalogue.toml", b"[[list]]\nname = \"a\"\n"),
        ("lanes.toml", b"[[lane]]\nname = \"a\"\n"),
        ("lanes.toml", b"[[flow]]\nname = \"a\"\n"),
        ("lanes.toml", b"lane = 1"),
        ("access.toml", b"procedure = 1"),
        ("access.toml", b"[[procedure]]\nname = \"a\"\nstep = []\n"),
    ];
    for (name, content) in changes {
        let mut log = Log::honest(1);
        log.rulebooks.truncate(1);
        log.tag_lists.clear();
        log.rulebooks[0].files.insert(name.into(), content.to_vec());
        log.entries[0].rulebook = log.rulebooks[0].digest();
        expect(&log, &[Rule::Rulebook]);
    }
}

#[test]
fn only_the_rulebook_that_was_activated_last_may_decide() {
    let (first, second) = (HONEST.rulebooks[0].digest(), HONEST.rulebooks[1].digest());
    let mut early = HONEST.clone();
    early.entries[5].rulebook = second;
    expect(&early, &[Rule::Activation]);
    let mut late = HONEST.clone();
    late.entries[400].rulebook = first;
    expect(&late, &[Rule::Activation]);
    // Signed by both, once.
    let mut back = HONEST.clone();
    let border = back.entries[index_of("border")].kind;
    let again = back.entries.iter().rposition(|entry| entry.kind == border).unwrap();
    back.entries[again].kind = back.entries[0].kind;
    back.entries[again..].iter_mut().for_each(|entry| entry.rulebook = first);
    expect(&back, &[Rule::Activation]);
    let mut none = HONEST.clone();
    none.entries[index_of("malformed")].rulebook = [0; 32];
    expect(&none, &[]);
    lie("public", |entry| entry.rulebook = [0; 32], &[Rule::Activation]);
    lie("public", |entry| entry.rulebook = [9; 32], &[Rule::Activation, Rule::Rulebook, Rule::Release]);
}

#[test]
fn a_release_that_policy_refuses_is_found() {
    let groups = |value: Result<Value, ciborium::value::Error>| value.unwrap();
    lie("case", |entry| entry.inner_fact(9, 8, Value::from(false)), &[Rule::Release]);
    lie("case", |entry| entry.fact(11, groups(cbor!([[2, ["other"], 4, 1]]))), &[Rule::Release]);
    lie("case", |entry| entry.fact(5, Value::from(201)), &[Rule::Release]);
    lie("grant", |entry| entry.inner_fact(1, 9, Value::from(false)), &[Rule::Release]);
    lie("grant", |entry| entry.inner_fact(9, 9, Value::from(writer::START)), &[Rule::Release]);
    lie("grant", |entry| entry.inner_fact(9, 3, Value::from("SG")), &[Rule::Release]);
    lie("grant", |entry| entry.inner_fact(9, 9, Value::from(u64::MAX)), &[Rule::Release]);
    lie("flow", |entry| entry.inner_fact(9, 1, tag(0x45)), &[Rule::Release]);
    lie("self", |entry| entry.inner_fact(1, 9, Value::from(false)), &[Rule::Release]);
    lie("public", |entry| entry.fact(10, groups(cbor!([2]))), &[Rule::Release]);
    lie(
        "public",
        |entry| {
            entry.fact(11, groups(cbor!([[1, [], 4, 0]])));
            (entry.classes, entry.treatments) = (0, 0);
        },
        &[Rule::Release],
    );
    lie(
        "public",
        |entry| {
            entry.fact(3, Value::from(9));
            entry.purpose = 9;
        },
        &[Rule::Release],
    );
    lie("public", |entry| entry.inner_fact(1, 0, Value::from(4)), &[Rule::Release]);
}

/// The groups of the facts, and what the header says of them.
fn say_groups(entry: &mut Entry, groups: Result<Value, ciborium::value::Error>, classes: u8) {
    entry.fact(11, groups.unwrap());
    entry.classes = classes;
}

#[test]
fn a_restricted_group_written_as_public_is_found() {
    let found = &[Rule::Catalogue];
    lie("public", |entry| say_groups(entry, cbor!([[1, ["hidden"], 2, 1]]), 1), found);
    lie("refused", |entry| say_groups(entry, cbor!([[4, ["interop", "other"], 1, 0]]), 0), found);
}

#[test]
fn groups_that_the_catalogue_does_not_have_are_found() {
    let found = &[Rule::Catalogue];
    lie("public", |entry| say_groups(entry, cbor!([[1, [], 5, 1]]), 1), found);
    lie("public", |entry| say_groups(entry, cbor!([[1, [], 0, 1]]), 1), found);
    lie("public", |entry| say_groups(entry, cbor!([[1, ["unheard-of"], 1, 1]]), 1), found);
    lie("public", |entry| say_groups(entry, cbor!([[1, [], 2, 1], [1, [], 2, 1]]), 1), found);
    lie("public", |entry| entry.fact(4, Value::from("signal")), found);
    lie("public", |entry| entry.fact(4, Value::from("unheard-of")), found);
    // Fewer than there are is what a request for some of them looks like.
    let mut log = Log::honest(12);
    log.rulebooks.truncate(1);
    say_groups(&mut log.entries[index_of("public")], cbor!([[1, [], 3, 1]]), 1);
    expect(&log, &[]);
}

#[test]
fn an_invented_flow_basis_is_found() {
    // Policy takes it; the rulebook has another.
    let report = lie("flow", |entry| entry.inner_fact(9, 4, Value::from(3)), &[Rule::Register]);
    let text =
        "finding[AUD-26]: entry 4: flow `interop-us` has the basis `sccWithTia`, and the facts say `bcr`";
    assert!(report.to_string().contains(text), "{report}");
}

#[test]
fn a_flow_that_is_not_as_the_rulebook_registers_it_is_found() {
    lie("flow", |entry| entry.inner_fact(9, 0, Value::from("interop-ie")), &[Rule::Register]);
    lie("flow", |entry| entry.lane = writer::short_name("feed-again"), &[Rule::Register]);
    lie("flow", |entry| entry.lane = writer::short_name("read"), &[Rule::Register]);
    lie("flow", |entry| entry.lane = [0; 8], &[Rule::Register]);
    permissive("flow", |entry| entry.inner_fact(9, 2, Value::from("other")), &[Rule::Register]);
    permissive("flow", |entry| entry.inner_fact(9, 5, Value::from(false)), &[Rule::Register]);
    permissive(
        "flow",
        |entry| {
            entry.inner_fact(9, 3, Value::from("SG"));
            entry.destination = *b"SG";
        },
        &[Rule::Register],
    );
    permissive(
        "flow",
        |entry| {
            entry.fact(3, Value::from(2));
            entry.purpose = 2;
        },
        &[Rule::Register],
    );
}

#[test]
fn the_lane_of_another_dataset_is_found() {
    let signals = writer::short_name("signals");
    lie("public", |entry| entry.lane = signals, &[Rule::Lane]);
    lie("flow", |entry| entry.lane = signals, &[Rule::Register, Rule::Lane]);
}

#[test]
fn more_rows_than_the_lane_allows_are_found() {
    let again = writer::short_name("feed-again");
    let with_rows = |rows: u64| {
        move |entry: &mut Entry| {
            entry.lane = again;
            entry.fact(5, Value::from(rows));
        }
    };
    lie("public", with_rows(151), &[Rule::Lane]);
    let mut log = Log::honest(12);
    log.rulebooks.truncate(1);
    with_rows(150)(&mut log.entries[index_of("public")]);
    expect(&log, &[]);
}

#[test]
fn a_refusal_that_policy_would_not_make_is_found() {
    lie(
        "refused",
        |entry| {
            entry.inner_fact(1, 2, Value::from("SG"));
            (entry.place, entry.destination) = (*b"SG", *b"SG");
            entry.fact(10, cbor!([1, 2]).unwrap());
        },
        &[Rule::Refusal],
    );
}

/// Policies that permit everything, properly signed: what is left is what the auditor holds.
fn permissive(name: &str, change: impl Fn(&mut Entry), expected: &[Rule]) {
    let mut log = Log::honest(12);
    log.rulebooks.truncate(1);
    let files = &mut log.rulebooks[0].files;
    files.insert("10-guardrails.cedar".into(), b"permit (principal, action, resource);".to_vec());
    let digest = log.rulebooks[0].digest();
    log.entries.iter_mut().for_each(|entry| entry.rulebook = digest);
    log.entries.remove(index_of("refused"));
    for (index, entry) in log.entries.iter_mut().enumerate() {
        entry.sequence = index as u64;
    }
    change(&mut log.entries[index_of(name)]);
    expect(&log, expected);
}

fn in_country(entry: &mut Entry, country: &str) {
    entry.inner_fact(1, 2, Value::from(country));
    entry.place = country.as_bytes().try_into().unwrap();
    entry.destination = entry.place;
}

#[test]
fn no_rulebook_can_loosen_what_the_auditor_holds() {
    permissive("grant", |_| (), &[]);
    permissive("grant", |entry| in_country(entry, "SG"), &[Rule::Region]);
    permissive("grant", |entry| in_country(entry, "CN"), &[Rule::Region, Rule::Heightened]);
    permissive("public", |entry| in_country(entry, "CN"), &[Rule::Heightened]);
    permissive(
        "flow",
        |entry| {
            entry.fact(11, cbor!([[4, ["interop"], 4, 1]]).unwrap());
            entry.classes = 4;
        },
        &[Rule::Region],
    );
    permissive("case", |entry| entry.inner_fact(9, 7, Value::from(writer::START - 7200)), &[]);
    permissive(
        "case",
        |entry| entry.inner_fact(9, 7, Value::from(writer::START - 7201)),
        &[Rule::CaseWindow],
    );
    permissive("case", |entry| entry.inner_fact(9, 7, Value::from(writer::START + 1)), &[Rule::CaseWindow]);
    permissive("case", |entry| entry.inner_fact(9, 1, tag(0x23)), &[Rule::Approval]);
    permissive("case", |entry| entry.inner_fact(9, 2, tag(0x22)), &[Rule::Approval]);
    permissive("case", |entry| entry.inner_fact(9, 5, tag(0x56)), &[Rule::Approval]);
    permissive("grant", |entry| entry.inner_fact(9, 2, tag(0x11)), &[Rule::Approval]);
    permissive("aggregate", |entry| entry.fact(8, Value::from(49)), &[Rule::GroupSize]);
}

/// A short honest log under a rulebook that says more in `lanes.toml`, with entries changed.
fn saying(lanes: &str, change: impl Fn(&mut Log)) -> Log {
    let mut log = Log::honest(12);
    log.rulebooks.truncate(1);
    let file = log.rulebooks[0].files.get_mut("lanes.toml").unwrap();
    file.extend_from_slice(lanes.as_bytes());
    let digest = log.rulebooks[0].digest();
    log.entries.iter_mut().for_each(|entry| entry.rulebook = digest);
    change(&mut log);
    log
}

/// Counts of one employer at so many days after the first entry, each with what it took.
fn counts(log: &mut Log, all: &[(&str, u64, u64)]) {
    let first = log.entries.remove(index_of("aggregate"));
    for (number, (employer, days, took)) in (0_u8..).zip(all) {
        let mut entry = first.clone();
        entry.flow[15] = number + 1;
        entry.fact(12, cbor!([1, (*took), 0, (*took / 4_000)]).unwrap());
        entry.inner_fact(1, 3, Value::from(*employer));
        entry.set_time(writer::START + days * 86_400);
        log.entries.push(entry);
    }
    for (index, entry) in log.entries.iter_mut().enumerate() {
        entry.sequence = index as u64;
    }
}

const NOISE: &str =
    "\n[[count]]\ndataset = \"video\"\nprivacy = \"noise\"\nepsilon = \"1\"\ndataset_epsilon = \"5\"\n";

#[test]
fn counts_that_take_more_than_a_privacy_budget_in_thirty_days_are_found() {
    let one = 1_000_000;
    let four = [("acme", 0, one), ("acme", 1, one), ("acme", 2, one), ("acme", 3, one)];
    let spent = |more: &[(&str, u64, u64)]| saying(NOISE, |log| counts(log, &[&four[..], more].concat()));
    expect(&spent(&[("acme", 3, 0), ("other", 4, one), ("acme", 31, one)]), &[]);
    let report = expect(&spent(&[("acme", 29, 1)]), &[Rule::Noise]);
    let text = "with it, `employer acme` learned 4000001 millionths of epsilon of `video` in thirty days, of at most 4000000";
    assert!(report.to_string().contains(text) && report.findings.len() == 1, "{report}");
    let report = expect(&spent(&[("other", 4, one), ("third", 5, 1)]), &[Rule::Noise]);
    assert!(report.to_string().contains("all recipients learned 5000001"), "{report}");
}

#[test]
fn a_count_that_does_not_say_what_its_noise_took_is_found() {
    expect(&saying(NOISE, |_| ()), &[Rule::Noise]);
    let took = |log: &mut Log| counts(log, &[("acme", 0, 500_000)]);
    expect(&saying("", took), &[Rule::Noise]);
    expect(&saying(&NOISE.replace("epsilon = \"1\"", "epsilon = \"1/4\""), took), &[Rule::Noise]);
    expect(&saying(NOISE, took), &[]);
}

#[test]
fn a_release_that_was_not_measured_or_whose_verdict_was_not_followed_is_found() {
    const RISK: &str = "\n[[lane]]\nname = \"measured\"\ndataset = \"video\"\nrows_max = 1_000\n\
                        [lane.risk]\nk = 5\n[lane.risk.roles]\n\"video.feed.handle\" = \"token\"\n";
    let with = |name: &'static str, lane: &'static str, risk: Option<Value>| {
        saying(RISK, move |log| {
            let entry = &mut log.entries[index_of(name)];
            entry.lane = writer::short_name(lane);
            risk.iter().for_each(|risk| entry.fact(13, risk.clone()));
        })
    };
    let risk = |numbers: [u64; 6]| Some(cbor!(numbers.to_vec()).unwrap());
    let (holds, plain) = ([1, 5, 20, 0, 0, 0], [3, 5, 20, 0, 0, 1]);
    expect(&with("list", "measured", risk(holds)), &[]);
    expect(&with("public", "measured", risk(plain)), &[]);
    expect(&with("list", "measured", None), &[Rule::Risk]);
    expect(&with("list", "read", risk(holds)), &[Rule::Risk]);
    expect(&with("list", "measured", risk([1, 6, 20, 0, 0, 0])), &[Rule::Risk]);
    expect(&with("list", "measured", risk([1, 5, 4, 0, 0, 0])), &[Rule::Risk]);
    // The rows of "grant" leave as pseudonyms in part: as plain they may not.
    let report = expect(&with("grant", "measured", risk(plain)), &[Rule::Risk]);
    assert!(report.to_string().contains("plain was not permitted"), "{report}");
    // A refusal may say so.
    expect(&with("refused", "measured", risk(plain)), &[]);
}

/// A receipt file for an entry of the honest log.
fn receipt(index: usize) -> String {
    let hashes: String =
        writer::path(index, &HONEST.hashes()).iter().map(|hash| BASE64.encode(hash) + "\n").collect();
    let note = String::from_utf8(FILES["checkpoint"].clone()).unwrap();
    format!("c2sp.org/tlog-proof@v1\nindex {index}\n{hashes}\n{note}")
}

#[test]
fn a_receipt_proves_its_own_entry_and_no_other() {
    let key = VerifierKey::parse(&log_key().vkey()).unwrap();
    for index in [0, 1, 255, 256, 511, 512, 599] {
        let (proof, leaf) = (receipt(index), HONEST.entries[index].encode());
        let found = verify_proof(&leaf, proof.as_bytes(), &key).unwrap();
        assert_eq!((found.index, found.size, &*found.origin), (index as u64, 600, writer::ORIGIN));
        let other = HONEST.entries[(index + 1) % COUNT].encode();
        assert!(matches!(verify_proof(&other, proof.as_bytes(), &key), Err(ProofError::Hashes)));
        let extra = proof.replacen("index", "extra AAAA\nindex", 1);
        assert!(verify_proof(&leaf, extra.as_bytes(), &key).is_ok());
    }
}

#[test]
fn any_changed_byte_of_a_receipt_is_refused() {
    let key = VerifierKey::parse(&log_key().vkey()).unwrap();
    let (proof, leaf) = (receipt(300).into_bytes(), HONEST.entries[300].encode());
    for position in 0..proof.len() {
        let mut bad = proof.clone();
        bad[position] ^= 2;
        assert!(verify_proof(&leaf, &bad, &key).is_err(), "byte {position}");
    }
}

#[test]
fn the_command_reports_and_exits_by_the_outcome() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut log = Log::honest(12);
    log.rulebooks.truncate(1);
    writer::write(&log.publish(), &folder.path().join("tree"));
    for signer in [log_key(), operator(), auditor()] {
        std::fs::write(at(signer.name.split('.').next().unwrap()), signer.vkey() + "\n").unwrap();
    }
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_clover-audit")).args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (tree, log_key, one, two, json) =
        (at("tree"), at("ledger"), at("operator"), at("auditor"), at("json"));
    let keys = ["--log-vkey", &log_key, "--operator-vkey", &one, "--auditor-vkey", &two, "--json", &json];
    let verify = |tree: &str| run(&[&["verify", "--ledger", tree], &keys[..]].concat());
    assert_eq!(verify(&tree).0, 0);
    std::fs::write(folder.path().join("tree/stray"), "x").unwrap();
    let (code, text) = verify(&tree);
    assert_eq!(code, 1);
    assert!(text.contains("finding[AUD-03]: file `stray`: it has no place"), "{text}");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(json["findings"][0]["rule"], "AUD-03");
    assert_eq!(json["findings"][0]["place"]["file"], "stray");
    assert_eq!(verify(&at("nowhere")).0, 66);
    assert_eq!(run(&["verify"]).0, 64);
    assert_eq!(run(&["--help"]).0, 0);
    assert_eq!(run(&["verify-proof", "--leaf", &one, "--proof", &one, "--log-vkey", &tree]).0, 66);
    std::fs::write(&one, "no key").unwrap();
    assert_eq!(verify(&tree).0, 78);
    assert_eq!(run(&["verify-proof", "--leaf", &one, "--proof", &one, "--log-vkey", &log_key]).0, 1);
}
