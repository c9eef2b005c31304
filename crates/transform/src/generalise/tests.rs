//! Golden tables, and what holds for every value.

use std::num::NonZeroU16;

use proptest::prelude::*;

use super::*;

fn years(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

#[test]
fn a_date_becomes_its_band_of_years() {
    for (text, width, expected) in [
        ("1987-05-06", 10, Some("1980-1989")),
        ("1980-01-01T00:00:00Z", 10, Some("1980-1989")),
        ("1979-12-31", 10, Some("1970-1979")),
        ("1987-05-06", 5, Some("1985-1989")),
        ("1987-05-06", 1, Some("1987-1987")),
        ("0000-05-06", 100, Some("0000-0099")),
        ("9999-05-06", 60_000, Some("0000-59999")),
        ("1987-02-30", 10, None),
        ("1987", 10, None),
        ("06.05.1987", 10, None),
    ] {
        assert_eq!(year_band(text, years(width)).as_deref(), expected, "{text}");
    }
}

#[test]
fn an_age_becomes_its_band_and_great_ages_are_one() {
    for (text, width, expected) in [
        ("34", 10, Some("30-39")),
        ("34", 5, Some("30-34")),
        ("0", 10, Some("0-9")),
        ("007", 10, Some("0-9")),
        ("89", 20, Some("80-89")),
        ("90", 20, Some("90+")),
        ("117", 1, Some("90+")),
        ("131", 10, None),
        ("-3", 10, None),
        ("+3", 10, None),
        ("34.5", 10, None),
        ("٣٤", 10, None),
        ("", 10, None),
        ("0034", 10, None),
    ] {
        assert_eq!(age_band(text, years(width)).as_deref(), expected, "{text}");
    }
}

#[test]
fn a_time_becomes_its_hour() {
    for (text, expected) in [
        ("2026-05-06T07:08:09Z", Some("2026-05-06T07:00:00Z")),
        ("2026-05-06t07:08:09.123456789z", Some("2026-05-06t07:00:00z")),
        ("2026-05-06 23:59:60+02:00", Some("2026-05-06 23:00:00+02:00")),
        ("2026-05-06T07:08", Some("2026-05-06T07:00")),
        ("2026-05-06T07:08-11:30", Some("2026-05-06T07:00-11:30")),
        ("2026-05-06T07", None),
        ("2026-05-06", None),
        ("2026-05-06T24:00:00Z", None),
        ("2026-05-06T07:60:00Z", None),
        ("2026-05-06T07:08:61Z", None),
        ("2026-05-06T07:08:09.Z", None),
        ("2026-05-06T07:08:09Z ann", None),
        ("2026-05-06T07:08:09+25:00", None),
        ("2026-05-06T+7:08:09Z", None),
        ("2026-02-30T07:08:09Z", None),
        ("2026-05-06T07:08:0é", None),
    ] {
        assert_eq!(hour(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn a_coordinate_becomes_the_edge_of_its_cell() {
    use Axis::{Latitude, Longitude};
    for (text, axis, places, expected) in [
        ("48.137154", Latitude, 2, Some("48.13")),
        ("48.137154", Latitude, 0, Some("48")),
        ("48.137154", Latitude, 99, Some("48.137")),
        ("48", Latitude, 2, Some("48.00")),
        ("48.1", Latitude, 2, Some("48.10")),
        ("+48.1", Latitude, 1, Some("48.1")),
        (" 011.576 ", Longitude, 1, Some("11.5")),
        ("-0.001", Longitude, 2, Some("-0.01")),
        ("-0.000", Longitude, 2, Some("0.00")),
        ("-33.86", Latitude, 2, Some("-33.86")),
        ("-33.861", Latitude, 2, Some("-33.87")),
        ("-33.9", Latitude, 0, Some("-34")),
        ("90.000", Latitude, 2, Some("90.00")),
        ("-90", Latitude, 2, Some("-90.00")),
        ("90.001", Latitude, 2, None),
        ("90.01", Latitude, 2, None),
        ("-180.0", Longitude, 2, Some("-180.00")),
        ("-180.001", Longitude, 2, None),
        ("99999999999", Longitude, 2, None),
        ("48,13", Latitude, 2, None),
        ("4.8e1", Latitude, 2, None),
        ("NaN", Latitude, 2, None),
        (".5", Latitude, 2, None),
        ("5.", Latitude, 2, None),
        ("--5", Latitude, 2, None),
        ("", Latitude, 2, None),
        ("48°08'14\"N", Latitude, 2, None),
    ] {
        assert_eq!(coordinate(text, axis, places).as_deref(), expected, "{text}");
    }
}

#[test]
fn a_pair_becomes_its_cell() {
    for (text, expected) in [
        ("48.137154,11.576124", Some("48.13,11.57")),
        ("-33.8688, 151.2093", Some("-33.87,151.20")),
        ("GEO:48.137,11.576", Some("48.13,11.57")),
        ("geo:48.137,11.576,519;u=35", Some("48.13,11.57")),
        ("48.137,11.576,519", None),
        ("geo:48.137,11.576,5,1", None),
        ("151.2093,-33.8688", None),
        ("48.137", None),
        ("ann,11.576", None),
    ] {
        assert_eq!(cell(text, 2).as_deref(), expected, "{text}");
    }
}

#[test]
fn a_postcode_becomes_its_region_in_each_country() {
    for (country, code, expected) in [
        ("AT", "1010", Some("AT-1")),
        ("BE", "B-1000", Some("BE-1")),
        ("BG", "1000", Some("BG-1")),
        ("CH", "CH-8001", Some("CH-8")),
        ("CY", "2012", Some("CY-2")),
        ("CZ", "110 00", Some("CZ-11")),
        ("DE", "D-80331", Some("DE-80")),
        ("DK", "DK-2100", Some("DK-2")),
        ("EE", "10111", Some("EE-1")),
        ("ES", "28013", Some("ES-28")),
        ("FI", "FI-00100", Some("FI-00")),
        ("FR", "75 001", Some("FR-75")),
        ("GB", "sw1a 1aa", Some("GB-S")),
        ("GB", "GL1 1AA", Some("GB-G")),
        ("GB", "M1 1AE", Some("GB-M")),
        ("GB", "W1A 0AX", Some("GB-W")),
        ("GR", "105 57", Some("GR-10")),
        ("HR", "HR-10000", Some("HR-10")),
        ("HU", "1051", Some("HU-1")),
        ("IE", "D02 X285", Some("IE-D")),
        ("IE", "D6W XY00", Some("IE-D")),
        ("IS", "101", Some("IS")),
        ("IT", "00186", Some("IT-00")),
        ("LI", "9490", Some("LI")),
        ("LT", "LT-01100", Some("LT-0")),
        ("LU", "L-1111", Some("LU-1")),
        ("LV", "LV-1050", Some("LV-1")),
        ("MT", "VLT 1117", Some("MT")),
        ("NL", "1012 AB", Some("NL-10")),
        ("NO", "0150", Some("NO-0")),
        ("PL", "00-950", Some("PL-00")),
        ("PT", "1000-001", Some("PT-10")),
        ("RO", "010011", Some("RO-01")),
        ("SE", "111 22", Some("SE-11")),
        ("SI", "SI-1000", Some("SI-1")),
        ("SK", "811 01", Some("SK-81")),
        ("DE", "8033", None),
        ("DE", "803311", None),
        ("DE", "8o331", None),
        ("de", "80331", Some("DE-80")),
        ("US", "94103", None),
        ("", "80331", None),
        ("GB", "ann lives here", None),
    ] {
        assert_eq!(postcode(code, country).as_deref(), expected, "{country} {code}");
    }
}

#[test]
fn an_address_becomes_its_network() {
    for (text, expected) in [
        ("192.0.2.77", Some("192.0.2.0/24")),
        (" 192.0.2.77:8080 ", Some("192.0.2.0/24")),
        ("::ffff:192.0.2.77", Some("192.0.2.0/24")),
        ("2002:c000:24d::1", Some("192.0.2.0/24")),
        ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1::/48")),
        ("[2001:DB8:1::6]:443", Some("2001:db8:1::/48")),
        ("[2001:db8:1::6]", Some("2001:db8:1::/48")),
        ("fe80::1%eth0", Some("fe80::/48")),
        ("::1", Some("::/48")),
        ("192.0.2.077", None),
        ("192.0.2", None),
        ("3221226061", None),
        ("host.example.org", None),
        ("", None),
    ] {
        assert_eq!(network(text, Prefixes::default()).as_deref(), expected, "{text}");
    }
    assert_eq!(network("192.0.2.77", Prefixes { v4: 16, v6: 32 }).as_deref(), Some("192.0.0.0/16"));
    assert_eq!(network("192.0.2.77", Prefixes { v4: 0, v6: 0 }).as_deref(), Some("0.0.0.0/0"));
    assert_eq!(network("2001:db8::1", Prefixes { v4: 32, v6: 128 }).as_deref(), Some("2001:db8::/48"));
    assert_eq!(network("192.0.2.77", Prefixes { v4: 32, v6: 128 }).as_deref(), Some("192.0.2.0/24"));
}

#[test]
fn a_user_agent_becomes_family_and_platform() {
    use Family as F;
    use Platform as P;
    let apple = "AppleWebKit/605.1.15 (KHTML, like Gecko)";
    let blink = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.71";
    for (text, expected) in [
        (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {blink} Safari/537.36"), (F::Chrome, P::Windows)),
        (format!("Mozilla/5.0 (Windows NT 10.0) {blink} Safari/537.36 Edg/126.0"), (F::Edge, P::Windows)),
        (format!("Mozilla/5.0 (X11; Linux x86_64) {blink} Safari/537.36 OPR/111.0"), (F::Opera, P::Linux)),
        (format!("Mozilla/5.0 (Linux; Android 14; SM-S918B; wv) {blink} Mobile"), (F::WebView, P::Android)),
        (
            format!("Mozilla/5.0 (Linux; Android 14) SamsungBrowser/25.0 {blink} Mobile Safari/537.36"),
            (F::Samsung, P::Android),
        ),
        (
            format!("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) {apple} Version/17.5 Safari/605.1.15"),
            (F::Safari, P::MacOs),
        ),
        (
            format!(
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {apple} CriOS/126.0 Safari/604.1"
            ),
            (F::Chrome, P::Ios),
        ),
        (
            format!("Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) {apple} Mobile/15E148"),
            (F::WebView, P::Ios),
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; rv:127.0) Gecko/20100101 Firefox/127.0".to_owned(),
            (F::Firefox, P::Windows),
        ),
        ("Mozilla/5.0 (compatible; Googlebot/2.1)".to_owned(), (F::Bot, P::Other)),
        ("okhttp/4.12.0".to_owned(), (F::Library, P::Other)),
        ("App/1 CFNetwork/1496 Darwin/23".to_owned(), (F::Library, P::Other)),
        ("ann@example.org".to_owned(), (F::Other, P::Other)),
        (String::new(), (F::Other, P::Other)),
        (format!("{}Firefox/1", "x".repeat(3_000)), (F::Other, P::Other)),
    ] {
        assert_eq!(agent(&text), expected, "{text}");
    }
}

/// All that can be asked of a text, one after the other.
fn every(text: &str) -> Vec<Option<String>> {
    vec![
        year_band(text, years(10)),
        age_band(text, years(10)),
        hour(text),
        coordinate(text, Axis::Latitude, 2),
        cell(text, 2),
        network(text, Prefixes::default()),
        postcode(text, "DE"),
        postcode(text, "GB"),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_a_generalisation_panic(text in ".{0,48}") {
        let _ = (every(&text), agent(&text));
    }

    #[test]
    fn text_of_near_misses_makes_none_panic(text in "[-+0-9:.,TZ%a-fA-F\\[\\]/ é]{0,40}") {
        for class in every(&text).into_iter().flatten() {
            prop_assert!(class.len() <= text.len() + 24);
        }
    }

    #[test]
    fn values_of_one_cell_give_one_class(whole in 0_u32..90, fraction in 0_u32..100, a in 0_u32..10_000, b in 0_u32..10_000, south: bool) {
        // Without the edge itself: to the south of zero it belongs to the next cell.
        let value = |tail: u32| format!("{}{whole}.{fraction:02}{tail:04}1", if south { "-" } else { "" });
        let (one, other) = (value(a), value(b));
        let class = coordinate(&one, Axis::Latitude, 2);
        prop_assert!(class.is_some());
        prop_assert_eq!(&class, &coordinate(&other, Axis::Latitude, 2));
        let number = |text: &str| text.parse::<f64>().unwrap();
        let edge = number(&class.unwrap());
        prop_assert!(edge <= number(&one) && number(&one) < edge + 0.010_000_1);
    }

    #[test]
    fn hosts_of_one_network_give_one_class(net in any::<[u8; 3]>(), a: u8, b: u8, v6 in any::<[u16; 3]>(), rest in any::<[u16; 5]>()) {
        let four = |host: u8| network(&format!("{}.{}.{}.{host}", net[0], net[1], net[2]), Prefixes::default());
        prop_assert_eq!(four(a), four(b));
        let six = |rest: [u16; 5]| {
            let [x, y, z] = v6;
            let [p, q, r, s, t] = rest;
            network(&format!("{x:x}:{y:x}:{z:x}:{p:x}:{q:x}:{r:x}:{s:x}:{t:x}"), Prefixes::default())
        };
        // Mapped addresses are told apart by what comes behind the network.
        prop_assume!(v6 != [0, 0, 0]);
        prop_assert_eq!(six(rest), six([1, 2, 3, 4, 5]));
    }

    #[test]
    fn minutes_seconds_and_fraction_do_not_show(hour_of in 0_u8..24, minute in 0_u8..60, second in 0_u8..60, fraction in "[0-9]{1,9}") {
        let text = format!("2026-05-06T{hour_of:02}:{minute:02}:{second:02}.{fraction}+01:00");
        prop_assert_eq!(hour(&text), Some(format!("2026-05-06T{hour_of:02}:00:00+01:00")));
    }

    #[test]
    fn what_an_agent_shows_is_from_the_closed_list(text in ".{0,200}") {
        let (family, platform) = agent(&text);
        prop_assert!(FAMILY_WORDS.contains(&family.word()) && PLATFORM_WORDS.contains(&platform.word()));
    }
}

const FAMILY_WORDS: &[&str] = &[
    "Chrome",
    "Edge",
    "Firefox",
    "Opera",
    "Samsung Internet",
    "Safari",
    "WebView",
    "Bot",
    "Library",
    "Other",
];
const PLATFORM_WORDS: &[&str] = &["Android", "iOS", "macOS", "Windows", "Linux", "Other"];
