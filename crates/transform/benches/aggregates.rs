//! Noise, tables, the guard over releases, and the measuring of risk.

#![expect(clippy::expect_used, reason = "a bench whose input is wrong must stop")]

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use transform::aggregate::{Guard, Measure, Member, Rules, Table};
use transform::dp::groups::histogram;
use transform::dp::{Bounded, Bounds, Epsilon, Grouped, Privacy, measure};
use transform::risk::{Columns, Limits, Measurer, Role};

fn main() {
    divan::main();
}

fn one() -> Epsilon {
    Epsilon::micro(1_000_000).expect("in its limits")
}

/// One draw each: the people are counted before.
#[divan::bench]
fn noisy_count(bencher: Bencher<'_, '_>) {
    let bounds = Bounds::new(1, 0, 1).expect("in its limits");
    let rows = Bounded::new((0..100).map(|p| (p, 1)), bounds).expect("few");
    bencher.counter(ItemsCount::new(1_u32)).bench(|| measure::count(black_box(&rows), one()));
}

/// A hundred draws each, by how many groups a person may be in: Laplace up to 21, then Gauss.
#[divan::bench(args = [1, 10, 100])]
fn noisy_histogram(bencher: Bencher<'_, '_>, per_person: u32) {
    let names: Vec<String> = (0..100).map(|n| format!("g{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows = Grouped::new((0..1_000).map(|p| (p, format!("g{}", p % 100))), per_person).expect("few");
    let privacy = Privacy::least_noise(one(), per_person).expect("in its limits");
    bencher.counter(ItemsCount::new(100_u32)).bench(|| histogram(black_box(&rows), &names, privacy));
}

/// Of so many values: one of a hundred candidates.
#[divan::bench(args = [1_000, 100_000])]
fn noisy_quantile(bencher: Bencher<'_, '_>, values: i64) {
    let bounds = Bounds::new(1, 0, 100).expect("in its limits");
    let rows = Bounded::new((0..values).map(|p| (p, p % 101)), bounds).expect("few");
    bencher.bench(|| measure::quantile(black_box(&rows), (1, 2), (0..100).collect(), one()));
}

/// A table of so many rows and columns, of whose cells a quarter are small.
#[divan::bench(args = [10, 30, 60])]
fn table(bencher: Bencher<'_, '_>, side: usize) {
    let mut table = Table::new(side, side).expect("in its limits");
    for (r, c) in (0..side).flat_map(|r| (0..side).map(move |c| (r, c))) {
        for p in 0..(r * 7 + c * 13 + r * c) % 37 {
            table.add(r, c, (r, c, p), 1).expect("there is such a cell");
        }
    }
    bencher.bench(|| black_box(&table).release(Measure::People, &Rules::default()));
}

/// One group after so many, of up to 20,000 people.
#[divan::bench(args = [8, 64, 127])]
fn guard(bencher: Bencher<'_, '_>, groups: u64) {
    let k = NonZeroU64::MIN.saturating_add(9);
    // Overlapping spans of 400 people: each new one differs from those before by enough.
    let group = |n: u64| -> BTreeSet<Member> {
        let tag = |p: u64| Member::of(&(u128::from(p) << 64).to_be_bytes());
        (n * 150..n * 150 + 400).map(tag).collect()
    };
    let mut before = Guard::default();
    for n in 0..groups {
        before.release(&[group(n)], k).expect("it differs by enough");
    }
    let last = [group(groups)];
    bencher.bench_local(|| {
        let mut guard = black_box(&before).clone();
        guard.release(&last, k)
    });
}

/// Rows of six columns, with tokens and links.
#[divan::bench(args = [100_000])]
fn risk(bencher: Bencher<'_, '_>, rows: usize) {
    let columns = [
        ("who", Role::Token),
        ("born", Role::Quasi),
        ("place", Role::Quasi),
        ("link", Role::Content),
        ("vote", Role::Sensitive),
        ("size", Role::Other),
    ];
    let texts: Vec<[String; 6]> = (0..rows)
        .map(|n| {
            let token = format!("t1.1.{:a>26}", n % 20_000);
            [
                token,
                format!("{}", 1940 + n % 70),
                format!("{}", n % 400),
                format!("https://video.example/{}", n % 50_000),
                "yes".into(),
                "1".into(),
            ]
        })
        .collect();
    bencher.counter(ItemsCount::new(rows)).bench(|| {
        let columns = Columns::new(columns).expect("in their limits");
        let mut measurer = Measurer::new(columns, 10, Limits::default()).expect("in its limits");
        for row in &texts {
            measurer.push(&row.each_ref().map(String::as_str)).expect("in its limits");
        }
        measurer.finish()
    });
}
