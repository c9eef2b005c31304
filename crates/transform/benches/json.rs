//! The rewriter beside a document tree, on 64 documents of about 64 KiB each that differ in
//! everything: one document again and again would be learnt by the processor's branch predictor,
//! and measured up to twice as fast as it is.

use divan::{Bencher, counter::BytesCount};
use transform::json::{Bindings, Form, Limits, Visitor, rewrite};
use transform::pseudonym::TokenCache;

#[path = "shared/corpus.rs"]
mod corpus;

use corpus::{ARRAY, HIDDEN, IDENTIFIERS, KEPT, Treat, bindings, by_tree, documents, key};

fn main() {
    divan::main();
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

#[divan::bench]
fn ten_tokens_no_cache_64k(bencher: Bencher<'_, '_>) {
    tokens(bencher, 1 << 30, &mut Treat(&key()));
}

/// Every value is new: what the cache costs when it is of no use.
#[divan::bench]
fn ten_tokens_cache_all_new_64k(bencher: Bencher<'_, '_>) {
    tokens(bencher, 1 << 30, &mut Treat(&mut TokenCache::new(key(), 4_096)));
}

/// 4,096 events of 500 people, as in a batch of events: one value in eight is new at first.
#[divan::bench]
fn ten_tokens_cache_500_people_64k(bencher: Bencher<'_, '_>) {
    tokens(bencher, 500, &mut Treat(&mut TokenCache::new(key(), 8_192)));
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
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| texts.iter().map(|text| by_tree(divan::black_box(text))).sum::<usize>());
}

#[divan::bench]
fn utf8_check_alone_64k(bencher: Bencher<'_, '_>) {
    let texts = documents(1 << 30, 64, ARRAY);
    let bytes: usize = texts.iter().map(String::len).sum();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        texts.iter().all(|text| std::str::from_utf8(divan::black_box(text.as_bytes())).is_ok())
    });
}
