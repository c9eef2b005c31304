//! What the border reads: the JSON of payloads, and the files of a rulebook.

use std::{collections::BTreeMap, hint::black_box};

use model::{
    Assessments, Digest, catalogue::Catalogue, lanes::Lanes, programme::Programme, rulebook::Rulebook,
};
use transform::json::{
    Bindings, FieldIndex, Form, Limits, NameVerdict, Scalar, Stop, Verdict, Visitor, rewrite, write_string,
};

/// Keeps, drops or replaces by the number of the scalar.
struct Turns(u32);

impl Visitor for Turns {
    fn scalar(&mut self, field: FieldIndex, value: Scalar<'_>, out: &mut Vec<u8>) -> Result<Verdict, Stop> {
        self.0 += 1;
        let mut scratch = Vec::new();
        let text = value.text(&mut scratch);
        match (self.0 + u32::from(field.0)) % 3 {
            0 => Ok(Verdict::Keep),
            1 => Ok(Verdict::Drop),
            _ => {
                write_string(text.unwrap_or(b"*"), out);
                Ok(Verdict::Replaced)
            }
        }
    }

    fn wild_name(&mut self, _raw: &[u8], _escaped: bool) -> Result<NameVerdict, Stop> {
        self.0 += 1;
        Ok(if self.0.is_multiple_of(2) { NameVerdict::Keep } else { NameVerdict::Drop })
    }
}

/// The first byte chooses the parser.
pub fn inputs(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    match which {
        b'j' => return json(rest, Form::Json),
        b'n' => return json(rest, Form::Ndjson),
        _ => {}
    }
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match which {
        b'b' => _ = black_box(Bindings::compile([(text, FieldIndex(0)), ("/a/*", FieldIndex(1))])),
        b'p' => _ = black_box(Programme::parse(text)),
        b'a' => _ = black_box(Assessments::parse(text)),
        b'c' => _ = black_box(Catalogue::parse(text)),
        b'l' => {
            if let Ok(catalogue) = Catalogue::parse(CATALOGUE) {
                let _ = black_box(Lanes::parse(text, &catalogue));
            }
        }
        b'r' => rulebook(text),
        _ => {}
    }
}

/// Whatever is taken comes out as JSON, also to another reader.
fn json(input: &[u8], form: Form) {
    let pointers = ["/a", "/b/*", "/c/**", "/*/a", "/*/b/*/c", "/d/0"];
    let Ok(bindings) = Bindings::compile(pointers.into_iter().zip((0..).map(FieldIndex))) else { return };
    let limits = Limits { bytes: 1 << 16, depth: 32, members: 200, records: 100 };
    let mut out = Vec::new();
    let done = rewrite(input, form, &bindings, &limits, &mut Turns(0), &mut out);
    match (done, form) {
        (Err(_), _) => assert!(out.is_empty()),
        (Ok(_), Form::Json) => assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&out).is_ok()),
        (Ok(_), Form::Ndjson) => {
            let lines = serde_json::Deserializer::from_slice(&out).into_iter::<serde::de::IgnoredAny>();
            assert!(lines.into_iter().all(|line| line.is_ok()));
        }
    }
}

/// Files one after the other, each after a line with its name.
fn rulebook(text: &str) {
    let files: BTreeMap<String, String> = text
        .split("\n==== ")
        .filter_map(|file| file.split_once('\n'))
        .map(|(name, content)| (name.to_owned(), content.to_owned()))
        .collect();
    let _ = black_box(Rulebook::parse(&files, |bytes| {
        Digest::new([u8::try_from(bytes.len() % 256).unwrap_or_default(); 32])
    }));
}

const CATALOGUE: &str = include_str!("../corpus/catalogue.toml");
