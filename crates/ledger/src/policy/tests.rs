use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::merkle::TreeHead;
use crate::note::{Cosigner, KeyError, Signer};

const ORIGIN: &str = "gateway.example/log";

fn log(seed: u8) -> Signer {
    Signer::from_seed(ORIGIN, &[seed; 32]).unwrap()
}

fn cosigner(seed: u8) -> Cosigner {
    Cosigner::from_seed(&format!("witness{seed}.example"), &[seed; 32]).unwrap()
}

fn log_key(seed: u8) -> String {
    log(seed).verifier().to_vkey()
}

fn key(seed: u8) -> String {
    cosigner(seed).verifier().to_vkey()
}

fn parse(file: &str) -> Result<Policy, PolicyError> {
    Policy::parse(file)
}

/// The example of the specification: 2 of X1 X2 X3, and 1 of Y1 Y2 Y3.
fn example() -> String {
    let mut file = format!("# who must have signed\nlog {}\n\n", log_key(100));
    for (x, seed) in (1..=3).zip(1..) {
        file += &format!("witness X{x} {}\n", key(seed));
    }
    file += "group X-witnesses 2 X1 X2 X3\n\n";
    for (y, seed) in (1..=3).zip(4..) {
        file += &format!(" \twitness\tY{y}   {} https://witness.example/y{y} \n", key(seed));
    }
    file + "group Y-witnesses any Y1 Y2 Y3\n  # both\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
}

fn cosigned(signatures: &[(u8, u64)]) -> String {
    let signed = Checkpoint::new(ORIGIN, TreeHead::empty()).unwrap().sign(&log(100)).unwrap();
    let mut note: Note = signed.parse().unwrap();
    for (seed, time) in signatures {
        note.add(cosigner(*seed).cosign(note.unverified_text(), *time).unwrap());
    }
    note.to_string()
}

#[test]
fn the_example_of_the_specification_is_read_and_written() {
    let policy = parse(&example()).unwrap();
    assert_eq!((policy.logs().len(), policy.witnesses().len(), policy.quorum()), (1, 6, "X-and-Y"));
    assert_eq!(policy.witnesses()[3].name(), "Y1");
    assert_eq!(policy.witnesses()[3].verifier(), cosigner(4).verifier());
    assert_eq!(policy.witnesses()[3].url(), Some("https://witness.example/y1"));
    assert_eq!((policy.witnesses()[0].url(), policy.logs()[0].url()), (None, None));
    assert!(!policy.is_unwitnessed());
    let written = policy.to_string();
    assert!(written.ends_with("group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"), "{written}");
    assert_eq!(parse(&written).unwrap(), policy);
}

#[test]
fn the_quorum_of_the_example_needs_two_and_one() {
    let policy = parse(&example()).unwrap();
    let cases: [(&[&str], bool); 7] = [
        (&[], false),
        (&["X1", "X2", "X3"], false),
        (&["Y1", "Y2", "Y3"], false),
        (&["X1", "Y1", "Y2"], false),
        (&["X1", "X3", "Y2"], true),
        (&["X1", "X2", "X3", "Y1", "Y2", "Y3"], true),
        // The names of groups are nobody's signature.
        (&["X-witnesses", "Y-witnesses", "X-and-Y"], false),
    ];
    for (signed, expected) in cases {
        assert_eq!(policy.satisfied(|name| signed.contains(&name)), expected, "{signed:?}");
    }
}

#[test]
fn a_quorum_of_none_asks_for_nothing_and_says_so() {
    let policy = parse(&format!("log {} http://log.example\nquorum none\n", log_key(100))).unwrap();
    assert!(policy.is_unwitnessed() && policy.satisfied(|_| false));
    assert_eq!(policy.quorum(), "none");
    assert_eq!(policy.cosigned_at(&policy.open(&cosigned(&[(1, 9)])).unwrap()), None);
    assert_eq!(parse(&policy.to_string()).unwrap(), policy);
    assert!(parse("quorum none\n").unwrap().logs().is_empty());
}

#[test]
fn a_single_witness_may_be_the_quorum_and_lines_may_follow() {
    let policy = parse(&format!("witness a {}\nquorum a\nwitness b {}\n", key(1), key(2))).unwrap();
    assert!(policy.satisfied(|name| name == "a") && !policy.satisfied(|name| name == "b"));
}

#[test]
fn each_wrong_line_is_named_with_its_number_and_reason() {
    let (k1, k2, l1) = (key(1), key(2), log_key(1));
    let same_key = Cosigner::from_seed("renamed.example", &[1; 32]).unwrap().verifier().to_vkey();
    let same_log = Signer::from_seed("renamed.example", &[1; 32]).unwrap().verifier().to_vkey();
    let two = format!("witness a {k1}\nwitness b {k2}\n");
    let undefined = |name: &str| Problem::Undefined { name: name.into() };
    let redefined = |name: &str| Problem::Redefined { name: name.into() };
    let twice = |name: &str| Problem::MemberTwice { name: name.into() };
    let cases = [
        ("witnes a b\nquorum none\n".into(), 1, Problem::Keyword),
        ("quorum none\nLOG x\n".into(), 2, Problem::Keyword),
        ("\n\nlog\nquorum none\n".into(), 3, Problem::Shape { wanted: "log <vkey> [<url>]" }),
        (format!("log {l1} u x\n"), 1, Problem::Shape { wanted: "log <vkey> [<url>]" }),
        (format!("log {l1} u # why\n"), 1, Problem::Shape { wanted: "log <vkey> [<url>]" }),
        ("witness a\n".into(), 1, Problem::Shape { wanted: "witness <name> <vkey> [<url>]" }),
        ("quorum\n".into(), 1, Problem::Shape { wanted: "quorum <name>" }),
        ("quorum none none\n".into(), 1, Problem::Shape { wanted: "quorum <name>" }),
        ("quorum none\nquorum none\n".into(), 2, Problem::SecondQuorum),
        ("log x\n".into(), 1, Problem::Key(KeyError::Shape)),
        (format!("log {k1}\n"), 1, Problem::NotLogKey { key: "witness1.example".into() }),
        (format!("witness a {l1}\n"), 1, Problem::NotWitnessKey { key: ORIGIN.into() }),
        (format!("log {l1}\nlog {same_log}\n"), 2, Problem::DuplicateKey { key: "renamed.example".into() }),
        (format!("{two}witness c {same_key}\n"), 3, Problem::DuplicateKey { key: "renamed.example".into() }),
        (format!("{two}witness a {}\n", key(3)), 3, redefined("a")),
        (format!("{two}group b any a\n"), 3, redefined("b")),
        (format!("witness none {k1}\n"), 1, Problem::Reserved),
        (format!("{two}group none any a\n"), 3, Problem::Reserved),
        (format!("{two}group g any none\n"), 3, Problem::Reserved),
        (format!("{two}group g any\n"), 3, Problem::NoMembers),
        (format!("{two}group g\n"), 3, Problem::Shape { wanted: "group <name> <k|any|all> <name>.." }),
        (format!("{two}group g any c\nwitness c {}\n", key(3)), 3, undefined("c")),
        (format!("{two}group g any g\n"), 3, undefined("g")),
        (format!("quorum a\n{two}"), 1, undefined("a")),
        (format!("{two}group g any a a\n"), 3, twice("a")),
        (format!("{two}group g any a\ngroup h all b a\n"), 4, twice("a")),
        (format!("{two}\r\n"), 3, Problem::Character),
        ("# \u{7f}\nquorum none\n".into(), 1, Problem::Character),
        ("quorum\x0bnone\n".into(), 1, Problem::Character),
    ];
    for (file, line, problem) in cases {
        assert_eq!(parse(&file), Err(PolicyError::Line { line, problem }), "{file}");
    }
    for threshold in ["0", "3", "01", "+1", "-1", "1.0", "ANY", "18446744073709551616"] {
        let file = format!("{two}group g {threshold} a b\nquorum g\n");
        let problem = Problem::Threshold { members: 2 };
        assert_eq!(parse(&file), Err(PolicyError::Line { line: 3, problem }), "{threshold}");
    }
}

#[test]
fn a_file_that_was_cut_short_is_refused() {
    let file = example();
    let mut accepted = BTreeSet::new();
    for end in (0..file.len()).filter(|end| file.is_char_boundary(*end)) {
        if parse(&file[..end]).is_ok() {
            accepted.insert(end);
        }
    }
    assert!(accepted.is_empty(), "{accepted:?}");
    assert_eq!(parse(""), Err(PolicyError::NoQuorum));
    assert_eq!(parse("\n"), Err(PolicyError::NoQuorum));
    assert_eq!(parse("quorum none"), Err(PolicyError::Unterminated));
}

#[test]
fn limits_hold_exactly() {
    let line = |seed: usize| format!("witness w{seed} {}\n", key(u8::try_from(seed).unwrap()));
    let full: String = (1..=DEFINITIONS_MAX).map(line).collect();
    let groups: String = (1..=DEFINITIONS_MAX).map(|g| format!("group g{g} any w{g}\n")).collect();
    let tail = "quorum g1\n";
    assert!(parse(&format!("{full}{groups}{tail}")).is_ok());
    let refused = |line| Err(PolicyError::Line { line, problem: Problem::TooMany });
    assert_eq!(parse(&format!("{full}{}", line(65))), refused(65));
    assert_eq!(parse(&format!("{full}{groups}group g65 any g1\n")), refused(129));
    let logs: String = (1..=65).map(|seed| format!("log {}\n", log_key(seed))).collect();
    assert_eq!(parse(&logs), refused(65));
    let comment = "#".repeat(POLICY_BYTES_MAX - "\nquorum none\n".len());
    assert!(parse(&format!("{comment}\nquorum none\n")).is_ok());
    assert!(matches!(parse(&format!("{comment}#\nquorum none\n")), Err(PolicyError::TooLong { .. })));
}

#[test]
fn names_are_opaque_bytes() {
    let file = format!("witness K {}\nwitness \u{212a} {}\nwitness any {}\n", key(1), key(2), key(3));
    let policy = parse(&format!("{file}group # all any \u{212a}\nquorum #\n")).unwrap();
    assert_eq!(policy.quorum(), "#");
    assert!(policy.satisfied(|name| name == "any" || name == "\u{212a}"));
    assert!(!policy.satisfied(|name| name == "any" || name == "K"));
    assert_eq!(parse(&policy.to_string()).unwrap(), policy);
    // A no-break space does not separate words.
    assert_eq!(
        parse(&format!("witness a\u{a0}b {}\nquorum a\u{a0}b\n", key(1))).unwrap().quorum(),
        "a\u{a0}b"
    );
}

#[test]
fn a_builder_refuses_words_that_a_line_cannot_carry() {
    let verifier = || cosigner(1).verifier().clone();
    for bad in ["", "a b", "a\tb", "a\nquorum none", "\u{7f}"] {
        let mut builder = Builder::default();
        assert_eq!(builder.witness(bad, verifier(), None).unwrap_err(), Problem::Word, "{bad:?}");
        assert_eq!(builder.witness("a", verifier(), Some(bad)).unwrap_err(), Problem::Word, "{bad:?}");
        // Nothing was added by the failed calls.
        assert!(builder.witness("a", verifier(), None).is_ok());
    }
}

#[test]
fn a_checkpoint_counts_from_the_time_by_which_the_quorum_signed_again() {
    let policy = parse(&example()).unwrap();
    let at = |signatures: &[(u8, u64)]| policy.cosigned_at(&policy.open(&cosigned(signatures)).unwrap());
    assert_eq!(at(&[]), None);
    assert_eq!(at(&[(1, 10), (2, 20)]), None);
    assert_eq!(at(&[(1, 10), (2, 20), (4, 30)]), Some(10));
    // The third of X replaces the oldest of X; the oldest of Y does not matter.
    assert_eq!(at(&[(1, 10), (2, 20), (3, 25), (4, 30), (5, 5)]), Some(20));
    assert_eq!(at(&[(1, 10), (2, 20), (3, 25), (5, 5)]), Some(5));
    // A witness outside the policy does not count, and neither does the same one twice.
    assert_eq!(at(&[(1, 10), (1, 11), (9, 30), (4, 30)]), None);
}

#[test]
fn only_checkpoints_of_the_policy_s_logs_open() {
    let policy = parse(&example()).unwrap();
    let other = Signer::from_seed("other.example/log", &[1; 32]).unwrap();
    let signed = Checkpoint::new("other.example/log", TreeHead::empty()).unwrap().sign(&other).unwrap();
    assert_eq!(policy.open(&signed), Err(OpenError::UnknownLog { origin: "other.example/log".into() }));
    let forged = Checkpoint::new(ORIGIN, TreeHead::empty()).unwrap().sign(&log(7)).unwrap();
    let refused = OpenError::Checkpoint(CheckpointError::Note(NoteError::NoKnownKey));
    assert_eq!(policy.open(&forged), Err(refused));
    // A log that changes its key has two lines, and either key will do.
    let both = parse(&format!("log {}\nlog {}\nquorum none\n", log_key(7), log_key(100))).unwrap();
    assert!(both.open(&forged).is_ok() && both.open(&cosigned(&[])).is_ok());
}

/// Files of groups over six witnesses, with every threshold and nesting.
fn policies() -> impl Strategy<Value = String> {
    proptest::collection::vec((1_usize..=3, 0_usize..=4), 1..5).prop_map(|groups| {
        let mut file: String = (1..=6).map(|seed| format!("witness w{seed} {}\n", key(seed))).collect();
        let mut free: Vec<String> = (1..=6).map(|seed| format!("w{seed}")).collect();
        let mut last = free[0].clone();
        for (at, (members, threshold)) in groups.into_iter().enumerate() {
            let chosen: Vec<_> = free.drain(..members.min(free.len())).collect();
            let threshold = match threshold {
                0 => "any".to_owned(),
                1 => "all".to_owned(),
                number => (number - 1).min(chosen.len()).to_string(),
            };
            last = format!("g{at}");
            file += &format!("group {last} {threshold} {}\n", chosen.join(" "));
            free.push(last.clone());
        }
        file + &format!("quorum {last}\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_policy_is_written_and_read_back(file in policies()) {
        let policy = parse(&file).unwrap();
        prop_assert_eq!(policy.to_string(), file);
    }

    #[test]
    fn another_signature_never_breaks_a_quorum(file in policies(), by in 0_u8..64, more in 0_u8..64) {
        let policy = parse(&file).unwrap();
        let names = |mask: u8| move |name: &str| {
            (0..6).any(|bit| mask >> bit & 1 == 1 && name == format!("w{}", bit + 1))
        };
        prop_assert!(!policy.satisfied(names(by)) || policy.satisfied(names(by | more)));
        prop_assert!(policy.satisfied(names(63)));
        prop_assert!(!policy.satisfied(names(0)));
    }

    #[test]
    fn the_time_of_the_quorum_is_the_greatest_that_meets_it(
        file in policies(),
        times in proptest::collection::btree_map(1_u8..=6, 1_u64..9, 0..6),
    ) {
        let policy = parse(&format!("log {}\n{file}", log_key(100))).unwrap();
        let signatures: Vec<_> = times.iter().map(|(seed, time)| (*seed, *time)).collect();
        let found = policy.cosigned_at(&policy.open(&cosigned(&signatures)).unwrap());
        let met = |since: u64| policy.satisfied(|name| {
            times.iter().any(|(seed, time)| name == format!("w{seed}") && *time >= since)
        });
        prop_assert_eq!(found, (1..9).rev().find(|since| met(*since)));
    }

    #[test]
    fn no_text_panics(file in "([a-z# \\t\\n]|log|witness|group|quorum none\\n|\\PC){0,80}") {
        let _ = parse(&file);
    }

    #[test]
    fn no_change_of_a_byte_panics(at in 0_usize..2000, byte: u8) {
        let mut file = example().into_bytes();
        let at = at % file.len();
        file[at] = byte;
        if let Ok(file) = String::from_utf8(file) && let Ok(policy) = parse(&file) {
            prop_assert_eq!(parse(&policy.to_string()), Ok(policy));
        }
    }
}
