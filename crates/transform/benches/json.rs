//! The rewriter beside a document tree, on 64 documents of about 64 KiB each that differ in
//! everything: one document again and again would be learnt by the processor's branch predictor,
//! and measured up to twice as fast as it is.

use std::fmt::Write;

use divan::{Bencher, counter::BytesCount};
use transform::json::{
    Bindings, FieldIndex, Form, Limits, NameVerdict, Scalar, Stop, Verdict, Visitor, rewrite, write_string,
};
use transform::pseudonym::{PseudonymKey, TokenCache, derive_key, normalise};

fn main() {
    divan::main();
}

const DOCUMENTS: usize = 64;

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

fn documents(people: u64, records: usize, joint: [&str; 3]) -> Vec<String> {
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

const ARRAY: [&str; 3] = ["[", ",", "]"];

/// What becomes of the fields: 0 stays, 1 is hidden, 2 becomes a token.
struct Treat<T>(T);

/// Makes tokens.
trait Tokens {
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

impl Tokens for TokenCache {
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

const KEPT: &[&str] = &[
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
const HIDDEN: &[&str] = &["/email", "/phone", "/iban"];
const IDENTIFIERS: &[&str] =
    &["/email", "/phone", "/iban", "/device", "/session", "/ip", "/account", "/handle", "/contact", "/group"];

/// Bindings of the records; `in_array` if they are the elements of an array.
fn bindings(in_array: bool, groups: &[(&[&str], u16)]) -> Option<Bindings> {
    let front = if in_array { "/*" } else { "" };
    let pointers: Vec<(String, u16)> = groups
        .iter()
        .flat_map(|(pointers, field)| pointers.iter().map(move |p| (format!("{front}{p}"), *field)))
        .collect();
    Bindings::compile(pointers.iter().map(|(pointer, field)| (pointer.as_str(), FieldIndex(*field)))).ok()
}

/// Runs over the documents in turn.
fn engine(
    bencher: Bencher<'_, '_>,
    texts: &[String],
    form: Form,
    bindings: Option<Bindings>,
    visitor: &mut impl Visitor,
) {
    let Some(bindings) = bindings else { return };
    let limits = Limits::default();
    let mut out = Vec::with_capacity(1 << 18);
    let bytes: usize = texts.iter().map(String::len).sum();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let mut written = 0;
        for text in texts {
            out.clear();
            let done =
                rewrite(divan::black_box(text.as_bytes()), form, &bindings, &limits, visitor, &mut out);
            assert!(done.is_ok_and(|done| done.records > 0), "the corpus is refused");
            written += divan::black_box(&out).len();
        }
        written
    });
}

fn masks(bencher: Bencher<'_, '_>, in_array: bool, texts: &[String], form: Form) {
    let kept = [KEPT, IDENTIFIERS.get(3..).unwrap_or_default()].concat();
    let bindings = bindings(in_array, &[(&kept, 0), (HIDDEN, 1)]);
    engine(bencher, texts, form, bindings, &mut Treat(()));
}

#[divan::bench]
fn mask_array_64k(bencher: Bencher<'_, '_>) {
    masks(bencher, true, &documents(1 << 30, 64, ARRAY), Form::Json);
}

#[divan::bench]
fn mask_ndjson_64k(bencher: Bencher<'_, '_>) {
    masks(bencher, false, &documents(1 << 30, 64, ["", "\n", "\n"]), Form::Ndjson);
}

#[divan::bench]
fn mask_object_1k(bencher: Bencher<'_, '_>) {
    masks(bencher, false, &documents(1 << 30, 1, ["", "", ""]), Form::Json);
}

#[divan::bench]
fn drop_all_but_three_64k(bencher: Bencher<'_, '_>) {
    let texts = documents(1 << 30, 64, ARRAY);
    engine(bencher, &texts, Form::Json, bindings(true, &[(HIDDEN, 1)]), &mut Treat(()));
}

/// Ten tokens a record. `people` are drawn at random: few come again often.
fn tokens(bencher: Bencher<'_, '_>, people: u64, visitor: &mut impl Visitor) {
    let texts = documents(people, 64, ARRAY);
    let bindings = bindings(true, &[(KEPT, 0), (IDENTIFIERS, 2)]);
    engine(bencher, &texts, Form::Json, bindings, visitor);
}

fn key() -> PseudonymKey {
    derive_key(&[7; 32], "lab-oslo", "research", "contact", 12)
}

#[divan::bench]
fn ten_tokens_no_cache_64k(bencher: Bencher<'_, '_>) {
    tokens(bencher, 1 << 30, &mut Treat(&key()));
}

/// Every value is new: what the cache costs when it is of no use.
#[divan::bench]
fn ten_tokens_cache_all_new_64k(bencher: Bencher<'_, '_>) {
    tokens(bencher, 1 << 30, &mut Treat(TokenCache::new(key(), 4_096)));
}

/// 4,096 events of 500 people, as in a batch of events: one value in eight is new at first.
#[divan::bench]
fn ten_tokens_cache_500_people_64k(bencher: Bencher<'_, '_>) {
    tokens(bencher, 500, &mut Treat(TokenCache::new(key(), 8_192)));
}

#[divan::bench(args = [20, 100])]
fn one_token(bencher: Bencher<'_, '_>, length: usize) {
    let (key, value) = (key(), vec![b'x'; length]);
    let mut out = Vec::with_capacity(64);
    bencher.bench_local(|| {
        out.clear();
        key.token("email", divan::black_box(&value), &mut out);
    });
}

#[divan::bench]
fn serde_json_value_64k(bencher: Bencher<'_, '_>) {
    let texts = documents(1 << 30, 64, ARRAY);
    let bytes: usize = texts.iter().map(String::len).sum();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let mut written = 0;
        for text in &texts {
            let mut value: serde_json::Value =
                serde_json::from_str(divan::black_box(text)).unwrap_or_default();
            for record in value.as_array_mut().into_iter().flatten() {
                for name in ["email", "phone", "iban"] {
                    if let Some(member) = record.get_mut(name) {
                        *member = "***".into();
                    }
                }
            }
            written += divan::black_box(serde_json::to_vec(&value).unwrap_or_default()).len();
        }
        written
    });
}

#[divan::bench]
fn utf8_check_alone_64k(bencher: Bencher<'_, '_>) {
    let texts = documents(1 << 30, 64, ARRAY);
    let bytes: usize = texts.iter().map(String::len).sum();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        texts.iter().all(|text| std::str::from_utf8(divan::black_box(text.as_bytes())).is_ok())
    });
}
