//! Tables of what is found and what is not.

use proptest::prelude::*;

use super::*;

mod documents;
mod evasions;
mod golden;
mod properties;

/// Checks that exactly `expected` is found, as kinds and the bytes they cover.
fn check(text: &str, expected: &[(Kind, &str)]) {
    let mut found = Vec::new();
    scan(text.as_bytes(), &mut found);
    let found: Vec<(Kind, &str)> = found.iter().map(|f| (f.kind, &text[f.start..f.end])).collect();
    assert_eq!(found, expected, "in {text:?}");
    assert_eq!(is_clean(text.as_bytes()), expected.is_empty());
}

/// Checks that all of `text` is one finding, also between other words.
fn check_whole(kind: Kind, text: &str) {
    check(text, &[(kind, text)]);
    for (before, after) in
        [("see ", " please"), ("(", ")"), ("\"", "\","), ("a: ", "."), ("é ", "；"), ("[", "]"), ("<", ">")]
    {
        check(&format!("{before}{text}{after}"), &[(kind, text)]);
    }
}

#[test]
fn email_addresses_are_found() {
    for text in [
        "ann@example.org",
        "a@b.co",
        "Ann.Berg+news@mail.example.co.uk",
        "o'neil@example.ie",
        "x_y-z@sub-domain.example.museum",
        "user@xn--mnchen-3ya.de",
        "jörg@münchen.de",
        "用户@例子.公司",
        "ann%40example.org",
        "1234567@example.org",
    ] {
        check_whole(Kind::Email, text);
    }
    check("mailto:ann@example.org?subject=x", &[(Kind::Email, "ann@example.org")]);
    check("https://e.org/?mail=ann%40example.org&x=1", &[(Kind::Email, "ann%40example.org")]);
    check("“ann@example.org”", &[(Kind::Email, "ann@example.org")]);
    check(
        "a@b.cc,d@e.ff;g@h.ii",
        &[(Kind::Email, "a@b.cc"), (Kind::Email, "d@e.ff"), (Kind::Email, "g@h.ii")],
    );
    check("ann@example.org.", &[(Kind::Email, "ann@example.org")]);
    check("ann@example.org...", &[(Kind::Email, "ann@example.org")]);
}

#[test]
fn ip_addresses_are_found() {
    for text in ["81.2.69.142", "10.0.0.1", "192.168.178.255", "223.1.2.3"] {
        check_whole(Kind::Ipv4, text);
    }
    for text in [
        "2001:db8::1",
        "2a02:8109:9a80:1234:5678:9abc:def0:1234",
        "fe80::1ff:fe23:4567:890a",
        "fd12:3456:789a::1",
        "::ffff:81.2.69.142",
        "2001:DB8::",
        "64:ff9b::c000:201",
    ] {
        check_whole(Kind::Ipv6, text);
    }
    check("http://81.2.69.142:8080/x", &[(Kind::Ipv4, "81.2.69.142")]);
    check("81.2.69.142/32,81.2.69.143", &[(Kind::Ipv4, "81.2.69.142"), (Kind::Ipv4, "81.2.69.143")]);
    check("81.2.69.1-81.2.69.9", &[(Kind::Ipv4, "81.2.69.1"), (Kind::Ipv4, "81.2.69.9")]);
    check("/client/81.2.69.142/log", &[(Kind::Ipv4, "81.2.69.142")]);
    check("[2001:db8::1]:443", &[(Kind::Ipv6, "2001:db8::1")]);
    check("id:2001:db8::1", &[(Kind::Ipv6, "2001:db8::1")]);
    check("2001:db8::1: unreachable", &[(Kind::Ipv6, "2001:db8::1")]);
    check("fe80::1%eth0", &[(Kind::Ipv6, "fe80::1")]);
}

#[test]
fn ibans_are_found() {
    for text in [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "de89370400440532013000",
        "GB29 NWBK 6016 1331 9268 19",
        "FR14 2004 1010 0505 0001 3M02 606",
        "NO93 8601 1117 947",
        "NL91-ABNA-0417-1643-00",
        "MT84MALT011000012345MTLCAST001S",
        "CH93 0076 2011 6238 5295 7",
        "BE68 5390 0754 7034",
        "IT60X0542811101000000123456",
        "LU280019400644750000",
    ] {
        check_whole(Kind::Iban, text);
        assert!(iban_valid(text.replace('-', " ").as_bytes()), "{text}");
    }
    for text in [
        "DE88370400440532013000",
        "DE8937040044053201300",
        "DE893704004405320130000",
        "ZZ89370400440532013000",
        "",
        "DE",
        "DE89 3704 0044 0532 O130 00",
        "GB2912345678901234567890",
    ] {
        assert!(!iban_valid(text.as_bytes()), "{text}");
    }
}

#[test]
fn telephone_numbers_are_found() {
    for text in [
        "+4722123456",
        "+47 22 12 34 56",
        "+49 (0)30 123456-78",
        "+49-170-1234567",
        "+1 415 555 2671",
        "+358 40 123 4567",
        "0049 30 1234567",
        "00491701234567",
        "0033612345678",
        "00354 561 2345",
        "030 1234567",
        "030/123 45 67",
        "06 12 34 56 78",
        "06.12.34.56.78",
        "01632 960123",
        "020 7946 0958",
    ] {
        check_whole(Kind::Phone, text);
    }
    check("(030) 123-4567", &[(Kind::Phone, "(030) 123-4567")]);
    check("tel:+4722123456", &[(Kind::Phone, "+4722123456")]);
    check("Tel.030 1234567", &[(Kind::Phone, "030 1234567")]);
    check("/call?n=%2B4722123456", &[(Kind::Phone, "%2B4722123456")]);
    check("/call?n=+4722123456", &[(Kind::Phone, "+4722123456")]);
    check("mobile 0170-1234567", &[(Kind::Phone, "0170-1234567")]);
    // So are orders, parts, bills and places in files numbered.
    for number in [
        "0170-1234567",
        "0123-456-789",
        "028-1234567-1234567",
        "0281.002.315",
        "012/345/67890",
        "0034 0434 1179 8770",
    ] {
        check(number, &[]);
    }
    // Numbers of articles, and the same with another last digit.
    check("0049301234561", &[]);
    check_whole(Kind::Phone, "0049301234567");
    check("030 1234567 040 7654321", &[(Kind::Phone, "030 1234567"), (Kind::Phone, "040 7654321")]);
    check("room 5 030 1234567", &[(Kind::Phone, "030 1234567")]);
    check("+1 415 555 2671 2026-05-06", &[(Kind::Phone, "+1 415 555 2671")]);
}

#[test]
fn payment_cards_are_found() {
    for text in [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "378282246310005",
        "3782 822463 10005",
        "5555555555554444",
        "2223003122003222",
        "6011111111111117",
        "3530111333300000",
        "30569309025904",
        "4222222222222",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "6759649826438453",
        "6200000000000005",
    ] {
        check_whole(Kind::Card, text);
    }
    check("12/29 4111 1111 1111 1111 123", &[(Kind::Card, "4111 1111 1111 1111")]);
    check("card4111111111111111x", &[(Kind::Card, "4111111111111111")]);
    check(
        "4111111111111111,5555555555554444",
        &[(Kind::Card, "4111111111111111"), (Kind::Card, "5555555555554444")],
    );
    for number in [
        "4111111111111112",
        "0000000000000000",
        "1715000000000",
        "411111111111111",
        "41111111111111111111",
        "-4111111111111111",
    ] {
        assert_eq!(scan_number(number.as_bytes()), None, "{number}");
    }
    assert_eq!(scan_number(b"4111111111111111"), Some(Kind::Card));
}

const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";

#[test]
fn json_web_tokens_are_found() {
    check_whole(Kind::Jwt, TOKEN.trim_end_matches('.'));
    check(&format!("Bearer {TOKEN}"), &[(Kind::Jwt, TOKEN)]);
    check(&format!("session_{TOKEN}; path=/"), &[(Kind::Jwt, TOKEN)]);
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.";
    check(unsigned, &[(Kind::Jwt, unsigned)]);
    check("eyJzdWIiOiIxMjM0NTY3ODkwIn0.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc", &[]);
    check("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ", &[]);
}

#[test]
fn disguises_are_seen_through() {
    for (kind, text) in [
        (Kind::Email, "ann＠example.org"),
        (Kind::Email, "ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ"),
        (Kind::Email, "an\u{200B}n@exam\u{AD}ple.org"),
        (Kind::Card, "４１１１１１１１１１１１１１１１"),
        (Kind::Card, "4111\u{A0}1111\u{A0}1111\u{A0}1111"),
        (Kind::Card, "4111\u{200D}1111\u{FEFF}1111\u{200C}1111"),
        (Kind::Card, "4111\u{2011}1111\u{2011}1111\u{2011}1111"),
        (Kind::Iban, "DE89\u{202F}3704\u{202F}0044\u{202F}0532\u{202F}0130\u{202F}00"),
        (Kind::Phone, "+٤٧ ٢٢ ١٢ ٣٤ ٥٦"),
        (Kind::Phone, "＋４７２２１２３４５６"),
        (Kind::Ipv4, "81。2。69。142"),
        (Kind::Ipv6, "2001：db8：：1"),
    ] {
        check_whole(kind, text);
    }
}

#[test]
fn overlapping_findings_are_joined_under_the_strongest_kind() {
    check(
        "+4722123456@example.org",
        &[(Kind::Email, "+4722123456@example.org")].map(|_| (Kind::Email, "+4722123456@example.org")),
    );
    check("::ffff:10.1.2.3", &[(Kind::Ipv6, "::ffff:10.1.2.3")]);
}

/// What telemetry is full of.
const CLEAN: &[&str] = &[
    "",
    "hello",
    "2026-05-06T07:08:09Z",
    "2026-05-06T07:08:09.123456+02:00",
    "2026-05-06 07:08:09.123456789",
    "06.05.2026 07:08",
    "05.06.2026 10 20",
    "05/06/2026, 10:30:15",
    "20260506070809",
    "1715000000",
    "1715000000000",
    "1715000000000000",
    "1715000000000000000",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "00000000-0000-0000-0000-000000000000",
    "01234567-0123-0123-0123-012345678901",
    "d41d8cd98f00b204e9800998ecf8427e",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "ab4111111111111111cdab4111111111111111cd",
    "41111111111111110000000000ab4fcd",
    "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "be12cd34ef56ab78",
    "19.99",
    "1,234,567.89",
    "1 234 567,89",
    "€ 1.234.567,00",
    "0.123456789",
    "0.4111111111111111",
    "-12.5e-10",
    "1e1000",
    "1.2.3",
    "v1.2.3.4",
    "version 1.2.3.4",
    "Version: 10.2.3.4",
    "Chrome/120.0.0.0 Safari/537.36",
    "Server/2.4.1.1",
    "10.0.19041.1",
    "1.2.3.4.5",
    "1.2.3.4-rc1",
    "127.0.0.1",
    "0.0.0.0",
    "255.255.255.0",
    "::1",
    "::",
    "std::vec::Vec",
    "a::b",
    "dead::beef",
    "07:08:09",
    "12:34:56:78",
    "1.3.6.1.4.1.311.21.20",
    "user@localhost",
    "@handle",
    "@scope/package@1.2.3",
    "icon@2x.png",
    "a @ b",
    "50% off",
    "100%",
    "%40",
    "@",
    "x@y@z",
    "60.1699, 24.9384",
    "order 0001234567",
    "INV-01234567-89",
    "01234567-89",
    "0000012345678",
    "001234567890",
    "ISBN 978-0-306-40615-7",
    "0-306-40615-2",
    "6812345678901234567",
    "7123456789012345678",
    "1234567890123456789",
    "12345678901234567890123456789",
    "item #0123 of 4567",
    "abc+12345678901/def=",
    "x=1+23456789012",
    "10+20 - 30",
    "1920x1080",
    "16:9",
    "3/4",
    "100-200",
    "24/7",
    "Lorem ipsum dolor sit amet. Consectetur adipiscing elit. Sed do eiusmod: tempor; incididunt.",
    "eyJub3QiOiJhIHRva2VuIn0",
    "日本語のテキスト、2026年5月6日。",
    "naïve café “quoted” – dash… 25 °C",
    "Straße 5, 10115 Berlin",
    "application/vnd.api+json; charset=utf-8",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
    "POST /api/v2/items/12345/reviews?page=2&limit=50 HTTP/1.1",
    "s3://bucket/2026/05/06/part-00000-0001.parquet",
    "+02:00",
    "+0200",
    "GMT+1",
];

#[test]
fn ordinary_telemetry_is_clean() {
    for text in CLEAN {
        check(text, &[]);
    }
}

#[test]
fn a_time_is_passed_over_only_if_nothing_follows_it() {
    for time in ["2026-05-06T07:08:09Z", "2026-05-06 07:08:09", "2026-05-06T07:08:09.123456789+02:00"] {
        assert!(is_timestamp(time.as_bytes()), "{time}");
    }
    check("2026-05-06T07:08:09 +4722123456", &[(Kind::Phone, "+4722123456")]);
    check("2026-05-06T07:08:09.4111111111111111", &[]);
    assert!(!is_timestamp(b"2026-05-06T07:08:09.4111111111111111") && !is_timestamp(b"2026-05-06T07:08:09."));
}

#[test]
fn codes_and_names_are_stable() {
    let known: Vec<(u8, &str)> = Kind::ALL.iter().map(|kind| (kind.code(), kind.name())).collect();
    assert!(
        known.is_sorted_by(|a, b| a.0 < b.0)
            && known.iter().all(|(code, name)| name_of(*code) == Some(*name))
    );
    assert_eq!(
        known.get(..7),
        Some(
            &[
                (1, "e-mail address"),
                (2, "IPv4 address"),
                (3, "IPv6 address"),
                (4, "IBAN"),
                (5, "telephone number"),
                (6, "payment card"),
                (7, "JSON web token"),
            ][..]
        )
    );
    assert_eq!(name_of(99), None);
}

/// Texts of the kinds of characters that the scanner branches on.
fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[0-9]{1,20}",
        "[0-9a-f:.]{1,12}",
        "[ .()/+%@:-]{1,3}",
        "\\PC{0,4}",
        Just("ey".to_owned()),
        Just("eyJ".to_owned()),
        Just("\u{200B}".to_owned()),
        Just("０＠．".to_owned()),
        Just("DE89".to_owned()),
        Just(TOKEN.to_owned()),
        Just("é@ü".to_owned()),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn findings_stand_on_characters_in_order_and_apart(text in texts()) {
        let mut found = Vec::new();
        scan(text.as_bytes(), &mut found);
        let mut floor = 0;
        for finding in found {
            prop_assert!(floor <= finding.start && finding.start < finding.end);
            prop_assert!(text.get(finding.start..finding.end).is_some());
            floor = finding.end;
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut found = Vec::new();
        scan(&bytes, &mut found);
        prop_assert!(found.iter().all(|finding| finding.end <= bytes.len()));
        let _ = (scan_number(&bytes), iban_valid(&bytes), luhn_valid(&bytes));
    }

    #[test]
    fn the_sketch_never_hides_a_finding(text in texts()) {
        let sketch = Sketch::of(text.as_bytes());
        if !sketch.other && !sketch.suspects(text.len()) {
            let mut found = Vec::new();
            email::scan(text.as_bytes(), &mut found);
            number::scan(text.as_bytes(), Hint::None, &mut found);
            network::scan_ipv6(text.as_bytes(), &mut found);
            jwt::scan(text.as_bytes(), &mut found);
            prop_assert!(found.is_empty(), "{:?}", found);
        }
    }

    #[test]
    fn a_time_never_hides_a_finding(
        text in "[12][0-9]{3}-[01][0-9]-[0-3][0-9][Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})?",
    ) {
        prop_assert!(is_timestamp(text.as_bytes()));
        let mut found = Vec::new();
        scan_level(text.as_bytes(), Sketch::of(text.as_bytes()), Hint::None, 0, &mut found);
        prop_assert!(found.is_empty(), "{:?}", found);
    }

    #[test]
    fn a_changed_digit_is_no_card(place in 0..16_usize, by in 1..10_u8) {
        let mut digits = *b"4111111111111111";
        digits[place] = b'0' + (digits[place] - b'0' + by) % 10;
        prop_assert!(!luhn_valid(&digits));
    }

    #[test]
    fn a_changed_iban_digit_is_noticed(place in 2..22_usize, by in 1..10_u8) {
        let mut digits = *b"DE89370400440532013000";
        digits[place] = b'0' + (digits[place] - b'0' + by) % 10;
        prop_assert!(!iban_valid(&digits));
    }
}

#[test]
fn long_hostile_texts_cost_little() {
    for part in ["a:", "::", "eyJ-", "eyJ.", "@a.", "0 ", "+1", "12.", "é@", "\u{200B}", "de89 ", "%40", "(0"]
    {
        let text = part.repeat(200_000 / part.len());
        let mut found = Vec::new();
        scan(text.as_bytes(), &mut found);
        assert!(found.len() <= text.len());
    }
}
