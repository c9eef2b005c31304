//! Identifiers in other clothes.

use super::*;

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let mut bits = 0;
        for place in 0..3 {
            bits = bits << 8 | u32::from(three.get(place).copied().unwrap_or(0));
        }
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= three.len() { letter as char } else { '=' });
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What each encoding makes of a text.
pub(super) fn disguises(text: &str) -> Vec<(&'static str, String)> {
    let percent = text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    let entities = text.chars().map(|c| format!("&#{};", c as u32)).collect::<String>();
    let hex_entities = text.chars().map(|c| format!("&#x{:x};", c as u32)).collect::<String>();
    let wide = text
        .chars()
        .map(|c| if ('!'..='~').contains(&c) { char::from_u32(c as u32 + 0xFEE0).unwrap() } else { c });
    let zero = text.chars().flat_map(|c| [c, '\u{200B}']).collect::<String>();
    let arabic = text.chars().map(|c| c.to_digit(10).map_or(c, |d| char::from_u32(0x660 + d).unwrap()));
    let sentence = format!("the value is {text} as said");
    vec![
        ("percent", percent.clone()),
        ("percent twice", percent.replace('%', "%25")),
        ("entities", entities),
        ("hexadecimal entities", hex_entities),
        ("full width", wide.collect()),
        ("zero width", zero),
        ("Arabic digits", arabic.collect()),
        ("base64", base64(sentence.as_bytes())),
        (
            "base64 for URLs",
            base64(sentence.as_bytes()).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned(),
        ),
        ("base64 twice", base64(base64(sentence.as_bytes()).as_bytes())),
        ("hex", hex(sentence.as_bytes())),
        ("gzip in base64", base64(&gzip(sentence.as_bytes()))),
        ("gzip in hex", hex(&gzip(sentence.as_bytes()))),
    ]
}

#[test]
fn encodings_are_seen_through() {
    for value in
        ["ann.berg@example.org", "4111111111111111", "DE89370400440532013000", "+4722123456", "131052-308T"]
    {
        for (name, text) in disguises(value) {
            for text in [text.clone(), format!("x {text} y")] {
                let mut out = Vec::new();
                scan(text.as_bytes(), &mut out);
                assert!(!out.is_empty(), "{value} as {name}: {text}");
                let json = format!("{{\"a\":\"{text}\"}}");
                let mut out = Vec::new();
                scan_json(json.as_bytes(), &mut out);
                assert!(!out.is_empty(), "{value} as {name} in JSON: {json}");
            }
        }
    }
}

#[test]
fn escapes_of_json_are_seen_through_and_placed() {
    for value in ["ann.berg@example.org", "4111111111111111", "+4722123456"] {
        let escaped: String = value.chars().map(|c| format!("\\u{:04x}", c as u32)).collect();
        let json = format!("{{\"a\":\"x {escaped} y\"}}");
        let mut out = Vec::new();
        scan_json(json.as_bytes(), &mut out);
        assert_eq!(out.iter().map(|f| &json[f.start..f.end]).collect::<Vec<_>>(), [escaped.as_str()]);
    }
}

#[test]
fn short_values_are_undone_under_names_that_tell_what_they_are() {
    for (key, value) in [
        ("bsn", "123456782"),
        ("pesel", "44051401359"),
        ("hetu", "131052-308T"),
        ("phone", "+4722123456"),
        ("phone", "030 1234567"),
        ("email", "ann@example.org"),
        ("card_number", "4111111111111111"),
    ] {
        let packed = base64(value.as_bytes());
        for text in [hex(value.as_bytes()), packed.trim_end_matches('=').to_owned(), packed] {
            let json = format!("{{\"{key}\":\"{text}\"}}");
            let mut out = Vec::new();
            scan_json(json.as_bytes(), &mut out);
            let places: Vec<_> = out.iter().map(|f| &json[f.start..f.end]).collect();
            assert_eq!(places, [text.as_str()], "{value} in {json}");
        }
    }
    for other in
        [r#"{"bsn":"deadbeefdeadbeef"}"#, r#"{"name":"c2VhcmNoZXM="}"#, r#"{"phone":"bm90IGtub3du"}"#]
    {
        let mut out = Vec::new();
        scan_json(other.as_bytes(), &mut out);
        assert!(out.is_empty(), "{other}: {out:?}");
    }
}

#[test]
fn wrapping_is_undone_to_a_bounded_depth_and_size() {
    let mut text = "the value is ann.berg@example.org".to_owned();
    for _ in 0..12 {
        text = base64(text.as_bytes());
    }
    assert!(is_clean(text.as_bytes()), "twelve wrappings are beyond reach, and say so here");
    let bomb = base64(&gzip(&vec![b' '; 50_000_000]));
    assert!(is_clean(bomb.as_bytes()));
    let broken =
        base64(&gzip("the value is ann.berg@example.org, and more follows here".repeat(9).as_bytes()));
    let _ = is_clean(&broken.as_bytes()[..broken.len() / 2]);
}
