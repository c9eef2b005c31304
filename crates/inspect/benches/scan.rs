//! The scanner on short strings, clean and not, as they stand in records.

use divan::{Bencher, counter::BytesCount};
use inspect::scan;

fn main() {
    divan::main();
}

const CLEAN: &[&str] = &[
    "Berlin",
    "DE",
    "dark",
    "Europe/Berlin",
    "reader",
    "writer",
    "a07",
    "Musterstrasse 114",
    "10115",
    "User Example 00042",
    "2026-05-06T07:08:09Z",
    "3f2504e04f8911d39a0c0305e82c3301",
    "lorem ipsum dolor sit amet consectetur \"adipiscing\" elit sed do eiusmod\ttempor lorem ipsum dolor sit amet consectetur",
];

fn run(bencher: Bencher<'_, '_>, texts: &[&str]) {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let mut found = Vec::new();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        found.clear();
        for text in texts {
            scan(divan::black_box(text.as_bytes()), &mut found);
        }
        found.len()
    });
}

#[divan::bench]
fn clean_fields(bencher: Bencher<'_, '_>) {
    run(bencher, CLEAN);
}

#[divan::bench]
fn words_only(bencher: Bencher<'_, '_>) {
    run(bencher, CLEAN.get(..8).unwrap_or_default());
}

#[divan::bench]
fn timestamp(bencher: Bencher<'_, '_>) {
    run(bencher, &["2026-05-06T07:08:09Z"]);
}

#[divan::bench]
fn hex_id(bencher: Bencher<'_, '_>) {
    run(bencher, &["3f2504e04f8911d39a0c0305e82c3301"]);
}

#[divan::bench]
fn contacts(bencher: Bencher<'_, '_>) {
    run(bencher, &["user00042@example.com", "+493012345678", "DE89370400440532013000"]);
}

#[divan::bench]
fn clean_prose(bencher: Bencher<'_, '_>) {
    let text = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. Sed do eiusmod tempor. ".repeat(50);
    run(bencher, &[&text]);
}
