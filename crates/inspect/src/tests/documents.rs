//! JSON, CSV and text with known contents.

use super::*;

type Scan = fn(&[u8], &mut Vec<Finding>);

/// What is found, as rules and the bytes they cover.
fn found(scan: Scan, document: &str) -> Vec<(&'static str, &str)> {
    let mut out = Vec::new();
    scan(document.as_bytes(), &mut out);
    out.iter().map(|f| (f.rule.id(), &document[f.start..f.end])).collect()
}

#[test]
fn keys_tell_what_values_are() {
    for (document, expected) in [
        (r#"{"pesel":"44051401359"}"#, vec![("pl.pesel", "44051401359")]),
        (r#"{"pesel":44051401359,"n":44051401359}"#, vec![("pl.pesel", "44051401359")]),
        (r#"{"ref":"44051401359","count":123456782}"#, vec![]),
        (r#"{"app_version":"23.1.20.8","peer":"23.1.20.8"}"#, vec![("ipv4", "23.1.20.8")]),
        (r#"{"range":"811218-9876","n":"0101901234"}"#, vec![]),
        (r#"{ "bsn" : 123456782 , "x" : [1, 2] }"#, vec![("nl.bsn", "123456782")]),
        (
            r#"{"phones":["612 345 678","22123456"]}"#,
            vec![("phone.national", "612 345 678"), ("phone.national", "22123456")],
        ),
        (
            r#"{"phone":{"type":"home","value":"612345678"},"value":"612345678"}"#,
            vec![("phone.national", "612345678")],
        ),
        (r#"{"type":"pesel","value":"44051401359"}"#, vec![("pl.pesel", "44051401359")]),
        (
            r#"{"lat":52.52001,"lon":13.40512}"#,
            vec![("coordinates", "52.52001"), ("coordinates", "13.40512")],
        ),
        (
            r#"{"geo":{"coordinates":[13.40512,52.52001]}}"#,
            vec![("coordinates", "13.40512"), ("coordinates", "52.52001")],
        ),
        (r#"{"dob":"1985-05-12","created":"1985-05-12"}"#, vec![("birth-date", "1985-05-12")]),
        (
            r#"{"imei":"490154203237518","imsi":"262012345678901"}"#,
            vec![("imei", "490154203237518"), ("imsi", "262012345678901")],
        ),
        (r#"{"iccid":"8991101200003204514"}"#, vec![("iccid", "8991101200003204514")]),
        (
            r#"{"idfa":"6D92078A-8246-4BA4-AE5B-76104861E7DC"}"#,
            vec![("advertising-id", "6D92078A-8246-4BA4-AE5B-76104861E7DC")],
        ),
        (r#"{"event_id":"6D92078A-8246-4BA4-AE5B-76104861E7DC"}"#, vec![]),
        (r#"{"api_key":"q8Zr71mWv0Xc93LpT5"}"#, vec![("secret", "q8Zr71mWv0Xc93LpT5")]),
        (r#"{"password":"hunter2!"}"#, vec![("secret", "hunter2!")]),
        (r#"{"cookie":"theme=dark; sid=a8f3k2l9d0s7"}"#, vec![("cookie", "a8f3k2l9d0s7")]),
        (r#"{"firstName":"Xyla","product":{"name":"Widget"}}"#, vec![("name", "Xyla")]),
        (
            r#"{"street":"Musterstraße 5","zip":"10115"}"#,
            vec![("address", "Musterstraße 5"), ("postcode", "10115")],
        ),
        (r#"{"passport_number":"C01X00T47"}"#, vec![("document", "C01X00T47")]),
        (r#"{"mac":"001A2B3C4D5E"}"#, vec![("mac", "001A2B3C4D5E")]),
        (r#"{"cpr":101901234}"#, vec![("dk.cpr", "101901234")]),
        (r#"{"ann@example.org":1}"#, vec![("email", "ann@example.org")]),
    ] {
        assert_eq!(found(scan_json, document), expected, "{document}");
    }
}

#[test]
fn forms_are_found_whatever_the_key() {
    for (document, expected) in [
        (r#"{"a":"ann@example.org"}"#, ("email", "ann@example.org")),
        (r#"{"a":4111111111111111}"#, ("card", "4111111111111111")),
        (r#"{"a":"00:1A:2B:3C:4D:5E"}"#, ("mac", "00:1A:2B:3C:4D:5E")),
        (r#"{"a":"0011.22aa.bbcc"}"#, ("mac", "0011.22aa.bbcc")),
        (r#"{"a":"131052-308T"}"#, ("fi.hetu", "131052-308T")),
        (r#"{"a":"RSSMRA85T10A562S"}"#, ("it.codice-fiscale", "RSSMRA85T10A562S")),
        (r#"{"a":"12345678Z"}"#, ("es.dni", "12345678Z")),
        (r#"{"a":"85.07.30-033.28"}"#, ("be.nrn", "85.07.30-033.28")),
        (r#"{"a":"756.9217.0769.85"}"#, ("ch.ahv", "756.9217.0769.85")),
        (r#"{"a":"19811218-9876"}"#, ("se.personnummer", "19811218-9876")),
        (r#"{"a":"AB 12 34 56 C"}"#, ("gb.nino", "AB 12 34 56 C")),
        (r#"{"a":"AKIAIOSFODNN7EXAMPLE"}"#, ("secret.prefix", "AKIAIOSFODNN7EXAMPLE")),
        (r#"{"a":"Bearer q8Zr71mWv0Xc93LpT5.aa"}"#, ("bearer", "q8Zr71mWv0Xc93LpT5.aa")),
        (r#"{"a":"BSN: 123456782"}"#, ("nl.bsn", "123456782")),
        (r#"{"a":"RO90 AMEQ BKPH KRZG SCRS NHER"}"#, ("iban", "RO90 AMEQ BKPH KRZG SCRS NHER")),
        (r#"{"a":"34313131313131313131313131313131"}"#, ("card", "34313131313131313131313131313131")),
        (r#"{"a":"mobile 612 345 678 please"}"#, ("phone.national", "612 345 678")),
    ] {
        assert_eq!(found(scan_json, document), [expected], "{document}");
    }
}

#[test]
fn broken_json_hides_nothing() {
    for document in [
        "{\"a\":\"open\n{\"mail\":\"ann@example.org\"}\n",
        "{\"a\": ann@example.org}",
        "ann@example.org",
        "\"ann@example.org",
        "{\"a\":\"\\\"ann@example.org\\\"\"}",
        "{\"mail\" \n : \n \"ann@example.org\"}",
        "}}]]{{\"x\":[[[\"ann@example.org\"",
        "{\"a\":\"ann\\u0040example.org\"}",
        "{\"ann\\u0040example.org\":1}",
        "nullann@example.org",
        "{\"a\":1ann@example.org}",
    ] {
        assert_eq!(found(scan_json, document).len(), 1, "{document:?}");
    }
    let escaped = r#"{"a":"x\nann\u0040example.org\t"}"#;
    assert_eq!(found(scan_json, escaped), [("email", r"ann\u0040example.org")]);
    for depth in [63, 64, 65, 10_000] {
        let deep = format!("{}{{\"bsn\":\"123456782\"}}", "[{\"a\":".repeat(depth));
        assert_eq!(found(scan_json, &deep), [("nl.bsn", "123456782")], "depth {depth}");
    }
}

#[test]
fn columns_tell_what_cells_are() {
    for (document, expected) in [
        ("id,bsn\n1,123456782\n2,\"123456782\"\n", vec![("nl.bsn", "123456782"), ("nl.bsn", "123456782")]),
        ("a;phone;b\n1;612 345 678;2\n", vec![("phone.national", "612 345 678")]),
        ("a\tmail\n1\tann@example.org\n", vec![("email", "ann@example.org")]),
        (
            "first name,note\nXyla,\"said \"\"hi\"\", mail ann@example.org\"\n",
            vec![("name", "Xyla"), ("email", "ann@example.org")],
        ),
        ("a,b\n\"multi\nline\",ann@example.org\n", vec![("email", "ann@example.org")]),
        ("\"a\"ann@example.org,b\n", vec![("email", "ann@example.org")]),
        ("ann@example.org", vec![("email", "ann@example.org")]),
        ("a,b\n\"open ann@example.org", vec![("email", "ann@example.org")]),
        ("a,b\r\n1,ann@example.org\r\n", vec![("email", "ann@example.org")]),
        ("", vec![]),
    ] {
        assert_eq!(found(scan_csv, document), expected, "{document:?}");
    }
    assert_eq!(found(scan_csv, "a\n\"x \"\"y\"\" ann@example.org\"\n"), [("email", "ann@example.org")]);
}

#[test]
fn text_is_read_in_pieces_and_nothing_falls_between_them() {
    for before in (32_500..32_800).step_by(7) {
        for filler in ["x ", "é ", "7,"] {
            let text =
                format!("{}ann@example.org{}", filler.repeat(before / filler.len()), " tail ".repeat(9_000));
            let found: Vec<_> = found(scan_text, &text).into_iter().map(|(_, t)| t).collect();
            assert_eq!(found, ["ann@example.org"], "after {before} of {filler:?}");
        }
    }
}

#[test]
fn bytes_that_are_no_text_hide_nothing() {
    let mut bytes = vec![0, 0xFF, 0xFE, b'"', 0x80];
    bytes.extend_from_slice(b" ann@example.org \x00\x00 4111111111111111 \xC3");
    for scan in [scan_text as Scan, scan_json, scan_csv] {
        let mut out = Vec::new();
        scan(&bytes, &mut out);
        let kinds: Vec<Kind> = out.iter().map(|f| f.kind).collect();
        assert_eq!(kinds, [Kind::Email, Kind::Card]);
    }
}

#[test]
fn values_of_megabytes_are_read_in_pieces_and_hide_nothing() {
    for filler in ["x ", "\\n", "\\u00e9 ", "\\\\\\\"", "é"] {
        for count in [30_000, 60_001, 400_003] {
            let json =
                format!("{{\"a\":\"{} ann@example.org {}\"}}", filler.repeat(count), filler.repeat(300));
            assert_eq!(found(scan_json, &json).len(), 1, "{filler:?} {count} times");
        }
    }
    let csv = format!("a\n\"{} ann@example.org\"\n", "\"\"x ".repeat(100_000));
    assert_eq!(found(scan_csv, &csv).len(), 1);
}

#[test]
fn long_hostile_documents_cost_little() {
    let parts = [
        "\"",
        "\\",
        "\"\\",
        "{\"a\":",
        "[\"1\",",
        "\"\":",
        "\"a\"\n:",
        "\"\"\"",
        ",\"",
        "-----BEGIN PRIVATE KEY-----aaaaaaaaaaaaaaaa",
        "key: 1234567 ",
        "{\"k1\":\"4111\",",
        "%25",
        "&#64;",
        "H4sIAAAAAAAAA",
        "YWFhYWFhYWFhYWFhYWFh",
        "aa:bb:",
        "aa-bb-",
        "1.1.1.",
        "1-1/1 ",
    ];
    for part in parts {
        let text = part.repeat(300_000 / part.len());
        for scan in [scan_text as Scan, scan_json, scan_csv] {
            let mut out = Vec::new();
            scan(text.as_bytes(), &mut out);
            assert!(out.len() <= text.len() && out.is_sorted_by(|a, b| a.end <= b.start), "{part:?}");
        }
    }
}

#[test]
fn lists_days_with_a_time_and_disguises_are_told_by_the_name_of_their_field() {
    let rules = |text: &str| found(scan_json, text).into_iter().map(|(rule, _)| rule).collect::<Vec<_>>();
    let nothing: [&str; 0] = [];
    assert_eq!(rules(r#"{"bsns":["123456782","111222333"]}"#), ["nl.bsn", "nl.bsn"]);
    let day = "1956-06-10T00:00:00Z";
    assert_eq!(found(scan_json, &format!(r#"{{"geburtsdatum":"{day}"}}"#)), [("birth-date", day)]);
    assert_eq!(rules(&format!(r#"{{"created":"{day}"}}"#)), nothing);
    for disguised in ["\u{ff11}\u{ff12}3456782", "12345\u{200b}6782", "%31%32%33456782", "&#49;23456782"] {
        assert_eq!(rules(&format!(r#"{{"bsn":"{disguised}"}}"#)), ["nl.bsn"], "{disguised}");
    }
    // Numbers of articles and invoices are nobody's.
    let articles = r#"{"ean":"4742940988234","gtin":7567290920164,"invoice_number":"00987560-40"}"#;
    assert_eq!(rules(articles), nothing);
    assert_eq!(rules(r#"{"note":"0033 1 99 00 00 01"}"#), ["phone.e164"]);
}

#[test]
fn names_of_columns_tell_what_the_cells_of_rows_are() {
    for table in [
        r#"{"columns":["email","bsn","n"],"rows":[["-","123456782",1],["-",111222333,2]]}"#,
        r#"{"columns":["email","bsn","n"], "of":3, "rows":[["-", "123456782", 1], ["-", 111222333, 2]]}"#,
        r#"[["email","bsn","n"],["-","123456782",1],["-",111222333,2]]"#,
    ] {
        assert_eq!(found(scan_json, table), [("nl.bsn", "123456782"), ("nl.bsn", "111222333")], "{table}");
    }
    for none in [
        r#"{"columns":["bsn"],"o":{"rows":[["123456782"]]}}"#,
        r#"{"columns":["n","bsn"],"rows":[["123456782","-"]]}"#,
        r#"{"columns":["bsn",4],"rows":[["123456782"]]}"#,
        r#"{"rows":[["123456782"]],"columns":["bsn"]}"#,
    ] {
        assert!(found(scan_json, none).is_empty(), "{none}");
    }
}

#[test]
fn an_object_that_is_named_for_an_identifier_tells_what_is_in_it() {
    for document in [
        r#"{"bsn":[{"current":"123456782"}]}"#,
        r#"{"bsn":{"old":123456782,"source":"ocr"}}"#,
        r#"{"bsn":{"a":[1,{"b":2}],"old":"123456782"}}"#,
    ] {
        assert_eq!(found(scan_json, document), [("nl.bsn", "123456782")], "{document}");
    }
    assert!(found(scan_json, r#"{"bsn":{"created_at":123456782},"n":123456782}"#).is_empty());
}

#[test]
fn codes_of_banks_are_found_where_a_name_tells_them() {
    for (document, expected) in
        [(r#"{"swift":"DEUTDEFF500"}"#, "DEUTDEFF500"), (r#"{"bic_code":"DABADKKK"}"#, "DABADKKK")]
    {
        assert_eq!(found(scan_json, document), [("bic", expected)], "{document}");
    }
    for none in
        [r#"{"swift":"Taylor"}"#, r#"{"bic":"DEUTDE"}"#, r#"{"bic":"12345678"}"#, r#"{"a":"DEUTDEFF500"}"#]
    {
        assert!(found(scan_json, none).is_empty(), "{none}");
    }
    let mut declared = Vec::new();
    scan_in(Context::declared(Kind::Iban), b"DEUTDEFF", &mut declared);
    assert_eq!(declared[0].rule.id(), "bic");
}

#[test]
fn words_that_bend_and_countries_behind_names_tell_identifiers() {
    for (document, expected) in [
        (r#"{"a":"podał peselem 44051401359"}"#, ("pl.pesel", "44051401359")),
        (r#"{"a":"BSN nummer 1234.56.782"}"#, ("nl.bsn", "1234.56.782")),
        (r#"{"taxes":{"social_insurance_number_at":"8919020257"}}"#, ("at.svnr", "8919020257")),
        (r#"{"type":"osobni_identifikacijski_broj","value":"63146608080"}"#, ("hr.oib", "63146608080")),
    ] {
        assert_eq!(found(scan_json, document), [expected], "{document}");
    }
    for none in
        [r#"{"lot":"0088-2708-9983"}"#, r#"{"gtin":"36409642842026"}"#, r#"{"fiscal_year":"123456782"}"#]
    {
        assert!(found(scan_json, none).is_empty(), "{none}");
    }
}
