//! The rewriter beside a document tree: 64 KiB, an array of 64 records, three fields replaced.

use divan::{Bencher, counter::BytesCount};
use transform::json::{
    Bindings, FieldIndex, Form, Limits, NameVerdict, Scalar, Stop, Verdict, Visitor, rewrite, write_string,
};

fn main() {
    divan::main();
}

/// Replaces field 1, keeps the others.
struct Mask;

impl Visitor for Mask {
    fn scalar(&mut self, field: FieldIndex, _: Scalar<'_>, out: &mut Vec<u8>) -> Result<Verdict, Stop> {
        if field == FieldIndex(0) {
            return Ok(Verdict::Keep);
        }
        write_string(b"***", out);
        Ok(Verdict::Replaced)
    }

    fn wild_name(&mut self, _: &[u8], _: bool) -> Result<NameVerdict, Stop> {
        Ok(NameVerdict::Keep)
    }
}

/// Synthetic records of about 1 KiB each.
fn records() -> String {
    let record = |n: usize| {
        let tags: Vec<String> = (0..6).map(|t| format!("\"a{:02}\"", (n * 7 + t * 13) % 99)).collect();
        format!(
            concat!(
                r#"{{"id":{n},"uuid":"{n:016x}{m:016x}","name":"User Example {n:05}","email":"user{n:05}@example.com","#,
                r#""phone":"+4930{p:08}","iban":"DE{m:020}","created_at":"2024-05-06T07:08:09Z","active":true,"#,
                r#""score":{s}.{n:03},"address":{{"street":"Musterstrasse {n}","zip":"{n:05}","city":"Berlin","country":"DE"}},"#,
                r#""roles":["reader","writer","auditor"],"tags":[{tags}],"#,
                r#""prefs":{{"lang":"de","tz":"Europe/Berlin","news":false,"theme":"dark"}},"notes":"{notes}"}}"#
            ),
            n = n,
            m = n * 7_919_777_777,
            p = n * 104_729 % 100_000_000,
            s = n % 100,
            tags = tags.join(","),
            notes = r#"lorem ipsum dolor sit amet consectetur \"adipiscing\" elit sed do eiusmod\ttempor "#
                .repeat(6),
        )
    };
    format!("[{}]", (1..=64).map(record).collect::<Vec<_>>().join(","))
}

const KEPT: &[&str] = &[
    "/*/id",
    "/*/uuid",
    "/*/name",
    "/*/created_at",
    "/*/active",
    "/*/score",
    "/*/address/*",
    "/*/roles/*",
    "/*/tags/*",
    "/*/prefs/**",
    "/*/notes",
];
const MASKED: &[&str] = &["/*/email", "/*/phone", "/*/iban"];

fn bindings(kept: &[&'static str]) -> Option<Bindings> {
    let kept = kept.iter().map(|pointer| (*pointer, FieldIndex(0)));
    Bindings::compile(kept.chain(MASKED.iter().map(|pointer| (*pointer, FieldIndex(1))))).ok()
}

fn engine(bencher: Bencher<'_, '_>, kept: &[&'static str]) {
    let (text, limits) = (records(), Limits::default());
    let Some(bindings) = bindings(kept) else { return };
    let mut out = Vec::with_capacity(text.len() * 2);
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| {
        out.clear();
        rewrite(divan::black_box(text.as_bytes()), Form::Json, &bindings, &limits, &mut Mask, &mut out)
    });
}

#[divan::bench]
fn engine_all_bound(bencher: Bencher<'_, '_>) {
    engine(bencher, KEPT);
}

#[divan::bench]
fn engine_three_bound(bencher: Bencher<'_, '_>) {
    engine(bencher, &[]);
}

#[divan::bench]
fn engine_one_record(bencher: Bencher<'_, '_>) {
    let (text, limits) = (records(), Limits::default());
    let text = format!("{}]", text.split(",{").next().unwrap_or_default());
    let Some(bindings) = bindings(KEPT) else { return };
    let mut out = Vec::with_capacity(text.len() * 2);
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| {
        out.clear();
        rewrite(divan::black_box(text.as_bytes()), Form::Json, &bindings, &limits, &mut Mask, &mut out)
    });
}

#[divan::bench]
fn serde_json_value(bencher: Bencher<'_, '_>) {
    let text = records();
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| {
        let mut value: serde_json::Value = serde_json::from_str(divan::black_box(&text)).unwrap_or_default();
        for record in value.as_array_mut().into_iter().flatten() {
            for name in ["email", "phone", "iban"] {
                if let Some(member) = record.get_mut(name) {
                    *member = "***".into();
                }
            }
        }
        serde_json::to_vec(&value)
    });
}

#[divan::bench]
fn utf8_check_alone(bencher: Bencher<'_, '_>) {
    let text = records();
    bencher
        .counter(BytesCount::of_str(&text))
        .bench_local(|| std::str::from_utf8(divan::black_box(text.as_bytes())).is_ok());
}
