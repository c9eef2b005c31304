//! Records that differ in everything, and what the benches do with them.

use std::fmt::Write;

use transform::json::{Bindings, FieldIndex, NameVerdict, Scalar, Stop, Verdict, Visitor, write_string};
use transform::pseudonym::{PseudonymKey, TokenCache, derive_key, normalise};

pub(super) const DOCUMENTS: usize = 64;

/// Numbers that look drawn, the same on every run.
struct Draw(u64);

impl Draw {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn word(&mut self) -> &'static str {
        let at = self.next(WORDS.len() as u64) as usize;
        WORDS.get(at).copied().unwrap_or_default()
    }

    fn words(&mut self, count: u64) -> String {
        let words: Vec<&str> = (0..count).map(|_| self.word()).collect();
        words.join(" ")
    }
}

const WORDS: &[&str] = &[
    "lorem",
    "ipsum",
    "dolor",
    "sit",
    "amet",
    "consectetur",
    "\\\"adipiscing\\\"",
    "elit",
    "sed",
    "do",
    "eiusmod",
    "tempor",
    "a",
    "incididunt",
    "ut",
    "labore",
    "caf\u{e9}",
    "et",
    "dolore\\n",
    "magna",
];

/// One record of about 1 KiB. `people` is how many there are to draw from.
fn record(draw: &mut Draw, people: u64, out: &mut String) {
    let n = draw.next(people);
    let _ = write!(
        out,
        r#"{{"id":{},"uuid":"{:032x}","name":"{} {n}","email":"user{n}@example{}.com","phone":"+4930{}","iban":"DE{:020}","#,
        draw.next(1 << 40),
        u128::from(n) << 64,
        draw.word().trim_matches(['\\', '"', 'n']),
        n % 7,
        10_000_000 + n,
        n * 104_729,
    );
    let _ = write!(
        out,
        r#""device":"d-{:016x}","session":"{:024x}","ip":"192.0.{}.{}","account":"a{n}","handle":"@user{n}","contact":"c{}@example.org","group":"g{}","#,
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15),
        n * 31,
        n / 256 % 256,
        n % 256,
        n / 2,
        n / 5,
    );
    if draw.next(3) > 0 {
        let _ = write!(
            out,
            r#""created_at":"2024-05-06T07:{:02}:09Z","active":{},"#,
            n % 60,
            n.is_multiple_of(3)
        );
    }
    let _ = write!(
        out,
        r#""score":{}.{},"address":{{"street":"{} {}","zip":"{:05}","city":"{}","country":"DE"}},"roles":["reader","writer"],"tags":["#,
        draw.next(100),
        draw.next(1000),
        draw.word().trim_matches(['\\', '"', 'n']),
        n % 200,
        n % 99_999,
        draw.word().trim_matches(['\\', '"', 'n']),
    );
    for tag in 0..draw.next(7) {
        let _ = write!(out, "{}\"a{}\"", if tag > 0 { "," } else { "" }, draw.next(999));
    }
    let notes = draw.next(44);
    let _ = write!(
        out,
        r#"],"prefs":{{"lang":"de","tz":"Europe/Berlin","news":false,"theme":"dark"}},"notes":"{}"}}"#,
        draw.words(notes + 20)
    );
}

pub(super) fn documents(people: u64, records: usize, joint: [&str; 3]) -> Vec<String> {
    let mut draw = Draw(42);
    let document = |_| {
        let mut text = joint[0].to_owned();
        for record_at in 0..records {
            text.push_str(if record_at > 0 { joint[1] } else { "" });
            record(&mut draw, people, &mut text);
        }
        text.push_str(joint[2]);
        text
    };
    (0..DOCUMENTS).map(document).collect()
}

pub(super) const ARRAY: [&str; 3] = ["[", ",", "]"];

/// What becomes of the fields: 0 stays, 1 is hidden, 2 becomes a token.
pub(super) struct Treat<T>(pub(super) T);

/// Makes tokens.
pub(super) trait Tokens {
    fn token(&mut self, value: &[u8], out: &mut Vec<u8>);
}

impl Tokens for () {
    fn token(&mut self, _: &[u8], _: &mut Vec<u8>) {}
}

impl Tokens for &PseudonymKey {
    fn token(&mut self, value: &[u8], out: &mut Vec<u8>) {
        (*self).token("id", &normalise("id", value), out);
    }
}

impl Tokens for &mut TokenCache {
    fn token(&mut self, value: &[u8], out: &mut Vec<u8>) {
        TokenCache::token(self, "id", value, out);
    }
}

impl<T: Tokens> Visitor for Treat<T> {
    fn scalar(&mut self, field: FieldIndex, value: Scalar<'_>, out: &mut Vec<u8>) -> Result<Verdict, Stop> {
        match field {
            FieldIndex(0) => return Ok(Verdict::Keep),
            FieldIndex(1) => write_string(b"***", out),
            _ => {
                let mut scratch = Vec::new();
                let text = value.text(&mut scratch).unwrap_or_default();
                out.push(b'"');
                self.0.token(text, out);
                out.push(b'"');
            }
        }
        Ok(Verdict::Replaced)
    }

    fn wild_name(&mut self, _: &[u8], _: bool) -> Result<NameVerdict, Stop> {
        Ok(NameVerdict::Keep)
    }
}

pub(super) const KEPT: &[&str] = &[
    "/id",
    "/uuid",
    "/name",
    "/created_at",
    "/active",
    "/score",
    "/address/*",
    "/roles/*",
    "/tags/*",
    "/prefs/**",
    "/notes",
];
pub(super) const HIDDEN: &[&str] = &["/email", "/phone", "/iban"];
pub(super) const IDENTIFIERS: &[&str] =
    &["/email", "/phone", "/iban", "/device", "/session", "/ip", "/account", "/handle", "/contact", "/group"];

/// Bindings of the records; `in_array` if they are the elements of an array.
pub(super) fn bindings(in_array: bool, groups: &[(&[&str], u16)]) -> Option<Bindings> {
    let front = if in_array { "/*" } else { "" };
    let pointers: Vec<(String, u16)> = groups
        .iter()
        .flat_map(|(pointers, field)| pointers.iter().map(move |p| (format!("{front}{p}"), *field)))
        .collect();
    Bindings::compile(pointers.iter().map(|(pointer, field)| (pointer.as_str(), FieldIndex(*field)))).ok()
}

pub(super) fn key() -> PseudonymKey {
    derive_key(&[7; 32], "lab-oslo", "research", "contact", 12)
}

/// What is compared with: a tree is built, three members are replaced, the tree is written.
pub(super) fn by_tree(text: &str) -> usize {
    let mut value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    for record in value.as_array_mut().into_iter().flatten() {
        for name in ["email", "phone", "iban"] {
            if let Some(member) = record.get_mut(name) {
                *member = "***".into();
            }
        }
    }
    serde_json::to_vec(&value).unwrap_or_default().len()
}
