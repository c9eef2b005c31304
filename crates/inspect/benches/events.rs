//! Whole documents: made-up user events as JSON lines, dense with personal data and clean, and as CSV and text.
//!
//! All values are drawn from a seed. The share of identifiers and look-alikes follows what telemetry has: of the
//! dense records each has four or five, of the clean ones none and about six numbers that look alike.

use std::fmt::Write;

use divan::{Bencher, counter::BytesCount};
use inspect::{Finding, scan_csv, scan_json, scan_text};

fn main() {
    divan::main();
}

/// A linear congruential generator: the same records on every machine.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn hex(&mut self, len: usize) -> String {
        (0..len).filter_map(|_| char::from_digit(self.below(16) as u32, 16)).collect()
    }

    fn uuid(&mut self) -> String {
        [8, 4, 4, 4, 12].map(|len| self.hex(len)).join("-")
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words.get(self.below(words.len() as u64) as usize).copied().unwrap_or_default()
    }
}

const AGENTS: &[&str] = &[
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.144 Mobile",
    "okhttp/4.12.0",
];
const PLACES: &[&str] = &["Berlin", "Oslo", "Kraków", "Lyon", "Milano", "Tartu"];
const WORDS: &[&str] = &["video", "share", "profile view", "search", "comment", "Leicht gemacht", "suivre"];

fn clean_record(draw: &mut Draw, out: &mut String) {
    let _ = write!(
        out,
        r#"{{"event_id":"{}","event":"{}","ts":"2026-05-{:02}T{:02}:07:{:02}.{:03}Z","epoch_ms":17{:011},"app_version":"32.{}.{}","build":{},"locale":"de_DE","city":"{}","duration_ms":{},"video_id":"7{:018}","trace":"{}","url":"/api/v2/items/{}/reviews?page={}&limit=50","user_agent":"{}","ab":["x_{}","y_{}"],"score":0.{:06},"order_ref":"INV-{:08}","net":{{"type":"wifi","rtt":{},"down":{}.{}}}}}"#,
        draw.uuid(),
        draw.of(WORDS),
        draw.below(28) + 1,
        draw.below(24),
        draw.below(60),
        draw.below(1000),
        draw.below(100_000_000_000),
        draw.below(10),
        draw.below(10),
        draw.below(1_000_000),
        draw.of(PLACES),
        draw.below(100_000),
        draw.below(1_000_000_000_000_000_000),
        draw.hex(32),
        draw.below(100_000),
        draw.below(30),
        draw.of(AGENTS),
        draw.below(10),
        draw.below(10),
        draw.below(1_000_000),
        draw.below(100_000_000),
        draw.below(300),
        draw.below(100),
        draw.below(10),
    );
    out.push('\n');
}

fn dense_record(draw: &mut Draw, out: &mut String) {
    clean_record(draw, out);
    out.truncate(out.len() - 2);
    let _ = write!(
        out,
        r#","email":"user{}@example.{}","phone":"+49 30 {:07}","ip":"81.2.{}.{}","device":{{"idfa":"{}","imei":"49015420323751{}"}},"bsn":"{:09}"}}"#,
        draw.below(1_000_000),
        draw.of(&["org", "com", "de"]),
        draw.below(10_000_000),
        draw.below(250) + 1,
        draw.below(250) + 1,
        draw.uuid(),
        draw.below(10),
        draw.below(1_000_000_000),
    );
    out.push('\n');
}

const SIZE: usize = 4 << 20;

fn corpus(record: fn(&mut Draw, &mut String)) -> String {
    let mut draw = Draw(7);
    let mut out = String::with_capacity(SIZE + 4096);
    while out.len() < SIZE {
        record(&mut draw, &mut out);
    }
    out
}

fn run(bencher: Bencher<'_, '_>, document: &str, scan: fn(&[u8], &mut Vec<Finding>)) {
    let mut found = Vec::new();
    bencher.counter(BytesCount::new(document.len())).bench_local(|| {
        found.clear();
        scan(divan::black_box(document.as_bytes()), &mut found);
        found.len()
    });
}

#[divan::bench]
fn json_dense(bencher: Bencher<'_, '_>) {
    run(bencher, &corpus(dense_record), scan_json);
}

#[divan::bench]
fn json_clean(bencher: Bencher<'_, '_>) {
    run(bencher, &corpus(clean_record), scan_json);
}

#[divan::bench]
fn json_as_text(bencher: Bencher<'_, '_>) {
    run(bencher, &corpus(dense_record), scan_text);
}

fn csv_row(draw: &mut Draw, out: &mut String) {
    if out.is_empty() {
        out.push_str("id,time,event,email,phone,amount,trace\n");
    }
    let _ = writeln!(
        out,
        "{},2026-05-06T07:08:{:02}Z,{},user{}@example.org,+49 30 {:07},{}.{:02},{}",
        draw.below(1_000_000),
        draw.below(60),
        draw.of(WORDS),
        draw.below(100_000),
        draw.below(10_000_000),
        draw.below(1_000),
        draw.below(100),
        draw.hex(32)
    );
}

#[divan::bench]
fn csv(bencher: Bencher<'_, '_>) {
    run(bencher, &corpus(csv_row), scan_csv);
}

fn prose(draw: &mut Draw, out: &mut String) {
    let words = [
        "lorem",
        "ipsum",
        "dolor",
        "sit",
        "amet,",
        "consectetur",
        "adipiscing",
        "elit.",
        "sed",
        "do",
        "eiusmod",
        "2026",
    ];
    for _ in 0..12 {
        out.push_str(draw.of(&words));
        out.push(' ');
    }
    out.push('\n');
}

#[divan::bench]
fn text_prose(bencher: Bencher<'_, '_>) {
    run(bencher, &corpus(prose), scan_text);
}
