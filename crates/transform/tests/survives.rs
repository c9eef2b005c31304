//! No value that is hidden, dropped or unbound survives anywhere in what leaves, however it was spelled.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot be set up has failed")]

use proptest::prelude::*;
use transform::json::{
    self, Bindings, FieldIndex, Form, Limits, NameVerdict, Scalar, Stop, Verdict, Visitor, write_string,
};
use transform::multipart::{PartKind, Parts};
use transform::pseudonym::{PseudonymKey, derive_key, normalise};
use transform::{csv, form, multipart};

/// Keeps field 0, hides 1, makes a token of 2, drops 3; drops wild names.
struct Treat(PseudonymKey);

impl Visitor for Treat {
    fn scalar(&mut self, field: FieldIndex, value: Scalar<'_>, out: &mut Vec<u8>) -> Result<Verdict, Stop> {
        match field.0 {
            0 => return Ok(Verdict::Keep),
            1 => write_string(b"***", out),
            2 => {
                let (mut scratch, mut token) = (Vec::new(), Vec::new());
                let text = value.text(&mut scratch).unwrap_or_default();
                self.0.token("id", &normalise("id", text), &mut token);
                write_string(&token, out);
            }
            _ => return Ok(Verdict::Drop),
        }
        Ok(Verdict::Replaced)
    }

    fn wild_name(&mut self, _: &[u8], _: bool) -> Result<NameVerdict, Stop> {
        Ok(NameVerdict::Drop)
    }
}

const NAMES: [&str; 4] = ["hidden", "token", "dropped", "unbound"];

fn bindings() -> Bindings {
    Bindings::compile([
        ("/id", FieldIndex(0)),
        ("/hidden", FieldIndex(1)),
        ("/token", FieldIndex(2)),
        ("/dropped", FieldIndex(3)),
        ("/map/*", FieldIndex(0)),
    ])
    .unwrap()
}

fn treat() -> Treat {
    Treat(derive_key(&[1; 32], "r", "p", "c", 1))
}

/// A JSON string, with those signs as escapes that need one, and some that need none.
fn json_string(text: &str, escapes: u32) -> String {
    let sign = |(at, c): (usize, char)| {
        let must = matches!(c, '"' | '\\' | '\n');
        let mut units = [0; 2];
        let escaped: String =
            c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect();
        if must || escapes >> (at % 32) & 1 == 1 { escaped } else { c.to_string() }
    };
    format!("\"{}\"", text.chars().enumerate().map(sign).collect::<String>())
}

/// A form value, with some bytes as escapes that need none.
fn form_text(text: &str, escapes: u32) -> String {
    let byte = |(at, b): (usize, u8)| {
        let must = !b.is_ascii_alphanumeric();
        if must || escapes >> (at % 32) & 1 == 1 { format!("%{b:02x}") } else { char::from(b).to_string() }
    };
    text.bytes().enumerate().map(byte).collect()
}

/// The text, and what a reader of each format's escapes makes of it.
fn readings(text: &str) -> Vec<String> {
    let unit = |rest: &str| rest.get(..4).and_then(|hex| u16::from_str_radix(hex, 16).ok());
    let mut units: Vec<u16> = Vec::new();
    for (at, piece) in text.split("\\u").enumerate() {
        let escaped = if at > 0 { unit(piece) } else { None };
        units.extend(escaped);
        units.extend(piece.get(if escaped.is_some() { 4 } else { 0 }..).unwrap().encode_utf16());
    }
    let byte = |rest: &[u8]| {
        let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
        u8::from_str_radix(hex, 16).ok()
    };
    let mut bytes: Vec<u8> = Vec::new();
    for (at, piece) in text.as_bytes().split(|b| *b == b'%').enumerate() {
        let escaped = if at > 0 { byte(piece) } else { None };
        bytes.extend(escaped);
        bytes.extend(&piece[if escaped.is_some() { 2 } else { 0 }..]);
    }
    vec![
        text.to_owned(),
        String::from_utf16_lossy(&units),
        String::from_utf8_lossy(&bytes).into_owned(),
        text.replace("\"\"", "\""),
    ]
}

fn survives(out: &[u8], secret: &str) -> bool {
    readings(std::str::from_utf8(out).unwrap()).iter().any(|reading| reading.contains(secret))
}

/// Values that stand nowhere else in what is released.
fn secret() -> impl Strategy<Value = String> {
    "ann[a-z0-9]{2,6}[@ é,;+\"\n\u{1F600}'=&-]{1,3}[a-z0-9]{4,8}"
}

fn escapes() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![0, 1, 0x5555_5555, u32::MAX])
}

#[test]
fn readings_find_what_is_there() {
    for spelled in ["ann@x", "\\u0061nn@x", "ann%40x", "%61%6e%6e@x", "\\u0061\\u006e\\u006e\\u0040\\u0078"] {
        assert!(survives(spelled.as_bytes(), "ann@x"), "{spelled}");
    }
    assert!(survives(b"\"a \"\"b\"\"\"", "a \"b\""));
    assert!(!survives(b"t1.1.annx", "ann@x"));
}

proptest! {
    #[test]
    fn nothing_of_a_treated_value_survives_in_json(secret in secret(), bits in escapes(), which in 0..6_usize, space: bool) {
        let value = json_string(&secret, bits);
        let colon = if space { " : " } else { ":" };
        let record = match which {
            4 => format!("{{\"id\"{colon}7,\"map\"{colon}{{{value}{colon}1}}}}"),
            5 => format!("{{\"id\"{colon}7,{value}{colon}[1]}}"),
            _ => format!("{{{}{colon}{value},\"id\"{colon}7}}", json_string(NAMES[which], bits)),
        };
        for (text, form) in [(record.clone(), Form::Json), (format!("{record}\n{record}\n"), Form::Ndjson)] {
            let mut out = Vec::new();
            json::rewrite(text.as_bytes(), form, &bindings(), &Limits::default(), &mut treat(), &mut out).unwrap();
            prop_assert!(!survives(&out, &secret), "{}", String::from_utf8_lossy(&out));
            prop_assert!(out.contains(&b'7'), "what is kept stays");
        }
    }

    #[test]
    fn nothing_of_a_treated_value_survives_in_csv(secret in secret(), which in 0..4_usize) {
        let value = format!("\"{}\"", secret.replace('"', "\"\""));
        let text = format!("id,{}\n7,{value}\n8,{value}\n", NAMES[which]);
        let mut out = Vec::new();
        csv::rewrite(text.as_bytes(), &bindings(), &Limits::default(), &mut treat(), &mut out).unwrap();
        prop_assert!(!survives(&out, &secret), "{}", String::from_utf8_lossy(&out));
        // As the name of a column it does not survive either.
        let text = format!("id,{value}\n7,1\n");
        out.clear();
        csv::rewrite(text.as_bytes(), &bindings(), &Limits::default(), &mut treat(), &mut out).unwrap();
        prop_assert_eq!(out, b"id\n7\n");
    }

    #[test]
    fn nothing_of_a_treated_value_survives_in_a_form(secret in secret(), bits in escapes(), which in 0..4_usize) {
        let value = form_text(&secret, bits);
        let text = format!("id=7&{}={value}&{value}=8", form_text(NAMES[which], bits));
        let mut out = Vec::new();
        form::rewrite(text.as_bytes(), &bindings(), &Limits::default(), &mut treat(), &mut out).unwrap();
        prop_assert!(!survives(&out, &secret), "{}", String::from_utf8_lossy(&out));
        prop_assert!(out.starts_with(b"id=7"));
    }

    #[test]
    fn nothing_of_a_treated_value_survives_in_a_multipart_body(secret in secret(), which in 0..3_usize) {
        let parts = Parts::new()
            .with("t", PartKind::Text(FieldIndex(which as u16 + 1)))
            .with("f", PartKind::Form(bindings()))
            .with("id", PartKind::Text(FieldIndex(0)));
        let file = secret.replace(['"', '\n'], "_");
        let form = format!("{}={}", NAMES[which], form_text(&secret, 0));
        let head = "Content-Disposition: form-data; name=";
        let text = format!(
            "--b\r\n{head}\"t\"\r\n\r\n{secret}\r\n--b\r\n{head}\"f\"; filename=\"{file}\"\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}\r\n--b\r\n{head}\"id\"\r\n\r\n7\r\n--b--\r\n"
        );
        let mut out = Vec::new();
        multipart::rewrite(text.as_bytes(), "b", &parts, &Limits::default(), &mut treat(), &mut out).unwrap();
        prop_assert!(!survives(&out, &secret) && !survives(&out, &file), "{}", String::from_utf8_lossy(&out));
    }
}
