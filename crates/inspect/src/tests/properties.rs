//! What holds of all texts and of all identifiers.

use proptest::prelude::*;

use super::evasions::disguises;
use super::golden::{key_of, valid};
use super::*;

type Scan = fn(&[u8], &mut Vec<Finding>);

const SCANS: [Scan; 4] = [scan, scan_json, scan_csv, scan_text];

/// The bytes with every finding masked as the road masks it.
fn masked(scan: Scan, bytes: &[u8]) -> (Vec<u8>, usize) {
    let mut found = Vec::new();
    scan(bytes, &mut found);
    let mut out = Vec::new();
    let mut from = 0;
    for finding in &found {
        out.extend_from_slice(&bytes[from..finding.start]);
        out.extend_from_slice(b"***");
        from = finding.end;
    }
    out.extend_from_slice(&bytes[from..]);
    (out, found.len())
}

/// Documents of parts on which scanners branch.
fn documents() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[0-9]{1,20}",
        "[A-Za-z0-9]{1,20}",
        "[ .()/+%@:,;=-]{1,3}",
        "\\PC{0,4}",
        Just("{\"phone\":\"".to_owned()),
        Just("\",\"bsn\":".to_owned()),
        Just("\"name\":[\"Anna\",\"".to_owned()),
        Just("\"}\n".to_owned()),
        Just("\\u0040".to_owned()),
        Just("\\\"".to_owned()),
        Just("\"\"".to_owned()),
        Just("&#64;".to_owned()),
        Just("%40".to_owned()),
        Just("\u{200B}".to_owned()),
        Just("ann@example.org".to_owned()),
        Just("4111111111111111".to_owned()),
        Just("YW5uQGV4YW1wbGUub3JnIGFubg==".to_owned()),
        Just("personnummer 811218-9876".to_owned()),
    ];
    prop::collection::vec(part, 0..14).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn findings_of_documents_stand_on_characters_in_order_and_apart(text in documents()) {
        for scan in SCANS {
            let mut found = Vec::new();
            scan(text.as_bytes(), &mut found);
            let mut floor = 0;
            for finding in &found {
                prop_assert!(floor <= finding.start && finding.start < finding.end, "{:?} in {:?}", found, text);
                prop_assert!(text.get(finding.start..finding.end).is_some(), "{:?} in {:?}", finding, text);
                floor = finding.end;
            }
        }
    }

    #[test]
    fn no_bytes_make_a_document_scanner_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for scan in SCANS {
            let mut found = Vec::new();
            scan(&bytes, &mut found);
            prop_assert!(found.iter().all(|finding| finding.start < finding.end && finding.end <= bytes.len()));
        }
    }

    #[test]
    fn the_first_look_never_hides_a_finding(text in documents()) {
        let mut found = Vec::new();
        scan(text.as_bytes(), &mut found);
        if quick::is_quiet(quick::Value::alone(text.as_bytes(), Hint::None)) {
            prop_assert!(found.is_empty(), "{:?} in {:?}", found, text);
        }
    }

    #[test]
    fn the_first_look_at_short_values_never_hides_a_finding(text in "[A-Z0-9a-f @.:/+&=-]{1,40}") {
        let mut found = Vec::new();
        scan(text.as_bytes(), &mut found);
        if quick::is_quiet(quick::Value::alone(text.as_bytes(), Hint::None)) {
            prop_assert!(found.is_empty(), "{:?} in {:?}", found, text);
        }
    }

    #[test]
    fn the_first_look_hides_nothing_under_a_name_either(text in documents()) {
        for hint in [Hint::Harmless, Hint::Version, Hint::Generic] {
            let mut found = Vec::new();
            scan_plain(text.as_bytes(), hint, &mut found);
            if quick::is_quiet(quick::Value::alone(text.as_bytes(), hint)) {
                prop_assert!(found.is_empty(), "{:?} in {:?} under {:?}", found, text, hint);
            }
        }
    }

    #[test]
    fn what_the_first_look_leaves_out_holds_nothing(text in prop_oneof![documents(), "[A-Z0-9a-f @.:/+&=-]{1,130}", "(3[0-9]){8,20}", "[A-Z]{2}[0-9]{2}[A-Z ]{11,40}"]) {
        for hint in [Hint::None, Hint::Harmless, Hint::Version, Hint::Phone, Hint::PersonName] {
            let (mut all, mut left) = (Vec::new(), Vec::new());
            scan_plain(text.as_bytes(), hint, &mut all);
            scan_suspects(text.as_bytes(), quick::suspects(quick::Value::alone(text.as_bytes(), hint)), hint, &mut left);
            prop_assert_eq!(all, left, "{:?} under {:?}", text, hint);
        }
    }

    #[test]
    fn words_that_are_passed_over_by_their_letters_name_nothing(text in "([A-Za-z]{1,9}|[0-9é;]|bsn|IBAN|kt|PESELs)([ _.:-]|[a-z])(of|[A-Z]|my |phones)?[ :]") {
        prop_assert!(key::may_name(text.as_bytes()) || !key::near(text.as_bytes()).is_telling(), "{:?}", text);
    }

    #[test]
    fn a_stream_finds_what_the_whole_holds(before in 0..3_000_usize, cuts in prop::collection::vec(1..700_usize, 1..8)) {
        let text = format!("{} ann@example.org, {} 4111 1111 1111 1111.", "lorem ipsum ".repeat(before / 12), "x ".repeat(400));
        let mut whole = Vec::new();
        scan_text(text.as_bytes(), &mut whole);
        let (mut stream, mut found) = (TextStream::new(), Vec::new());
        let (mut rest, mut cuts) = (text.as_bytes(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (chunk, next) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            stream.push(chunk, &mut found);
            rest = next;
        }
        stream.finish(&mut found);
        prop_assert_eq!(found, whole);
    }
}

#[test]
fn masked_documents_hold_nothing_any_more() {
    for (rule, value) in valid() {
        // In text a word is heeded that stands before four digits or more: some identity cards have fewer.
        if value.bytes().filter(u8::is_ascii_digit).count() < 4 {
            continue;
        }
        let key = key_of(rule);
        let json = format!(
            "{{\"{key}\":\"{value}\",\"x\":\"{key}: {value}.\",\"y\":[\"ann@example.org\",\"+4722123456\"]}}\n"
        );
        let csv = format!("id;{key};x\n1;{value};ann@example.org\n");
        let text = format!("{key}: {value}, ann@example.org\n");
        for (scan, document) in [(scan_json as Scan, &json), (scan_csv, &csv), (scan_text, &text)] {
            let (out, count) = masked(scan, document.as_bytes());
            let out = String::from_utf8(out).unwrap();
            assert!(count >= 2 && !out.contains(value), "{rule}: {document} became {out}");
            let (again, left) = masked(scan, out.as_bytes());
            assert_eq!((left, again.len()), (0, out.len()), "{rule}: {document} became {out}");
        }
    }
}

#[test]
fn no_disguised_value_survives_masking() {
    for value in ["ann.berg@example.org", "4111111111111111", "DE89370400440532013000"] {
        for (name, text) in disguises(value) {
            let json = format!("{{\"a\":\"x {text} y\",\"b\":\"{text}\"}}");
            let (out, count) = masked(scan_json, json.as_bytes());
            let out = String::from_utf8(out).unwrap();
            assert!(count >= 2 && !out.contains(&text), "{value} as {name}: {json} became {out}");
        }
    }
}

#[test]
fn values_that_were_cut_are_put_together() {
    for (document, kind, parts) in [
        (r#"["4111","1111","1111","1111"]"#, Kind::Card, 4),
        (r#"{"card1":"41111111","card2":"11111111"}"#, Kind::Card, 2),
        (r#"{"m":["ann@exam","ple.org"]}"#, Kind::Email, 2),
        (r#"{"m":["DE8937040044","0532013000"]}"#, Kind::Iban, 2),
        (r#"["+47221","23456"]"#, Kind::Phone, 2),
    ] {
        let mut found = Vec::new();
        scan_json(document.as_bytes(), &mut found);
        let kinds: Vec<Kind> = found.iter().map(|f| f.kind).collect();
        assert_eq!(kinds, vec![kind; parts], "{document}");
    }
    for document in [
        r#"["411111","1111111111"]"#,
        r#"{"a":"4111","b":"1111","c":"1111","d":"1111"}"#,
        r#"["red","green","2026"]"#,
    ] {
        let mut found = Vec::new();
        scan_json(document.as_bytes(), &mut found);
        assert!(found.is_empty(), "{document}: {found:?}");
    }
}

#[test]
fn the_operators_kinds_are_found_in_every_document() {
    let mut rules = OperatorRules::new();
    rules.add("customer", "KD-[0-9]{4}", "").unwrap();
    let mut scanner = Scanner::new().with_operators(std::sync::Arc::new(rules));
    let mut found = Vec::new();
    scanner.json(br#"{"a":"KD-0001","b":"x\tKD-0002"}"#, &mut found);
    scanner.csv(b"a,b\nKD-0003,2\n", &mut found);
    scanner.text(b"see KD-0004", &mut found);
    assert_eq!(found.iter().map(|f| f.kind).collect::<Vec<_>>(), [Kind::Custom; 4]);
    assert_eq!((found[1].start, found[1].end), (23, 30));
}
