//! The promised ratios, on a machine that others use too.
//!
//! All engines run in turn over each of 64 different documents, round after round, and of each
//! document the fastest time counts: a neighbour's work drops out, and no document comes again
//! before all others have, so nothing is learnt. `cargo bench -p clover-transform --bench beside`

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use transform::json::{Bindings, Form, Limits, Visitor, rewrite};
use transform::pseudonym::TokenCache;

#[path = "shared/corpus.rs"]
mod corpus;

use corpus::{ARRAY, DOCUMENTS, HIDDEN, IDENTIFIERS, KEPT, Treat, bindings, by_tree, documents, key};

/// Times each document's fastest pass.
struct Fastest {
    name: &'static str,
    bytes: usize,
    of: Vec<Duration>,
}

impl Fastest {
    fn new(name: &'static str, texts: &[String]) -> Self {
        Self { name, bytes: texts.iter().map(String::len).sum(), of: vec![Duration::MAX; DOCUMENTS] }
    }

    fn time(&mut self, at: usize, text: &str, work: impl FnOnce() -> usize) {
        // A body that has just come in lies in the cache.
        black_box(text.bytes().fold(0_u8, |all, byte| all ^ byte));
        let start = Instant::now();
        black_box(work());
        let took = start.elapsed();
        if let Some(fastest) = self.of.get_mut(at) {
            *fastest = took.min(*fastest);
        }
    }

    /// Bytes a second.
    fn speed(&self) -> f64 {
        self.bytes as f64 / self.of.iter().sum::<Duration>().as_secs_f64()
    }
}

fn rewritten(
    text: &str,
    form: Form,
    bindings: &Bindings,
    visitor: &mut impl Visitor,
    out: &mut Vec<u8>,
) -> usize {
    out.clear();
    let done = rewrite(black_box(text.as_bytes()), form, bindings, &Limits::default(), visitor, out);
    assert!(done.is_ok_and(|done| done.records > 0), "the corpus is refused");
    out.len()
}

fn main() {
    let rounds = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(100);
    let kept = [KEPT, IDENTIFIERS.get(3..).unwrap_or_default()].concat();
    let (Some(masked), Some(plain), Some(tokens)) = (
        bindings(true, &[(&kept, 0), (HIDDEN, 1)]),
        bindings(false, &[(&kept, 0), (HIDDEN, 1)]),
        bindings(true, &[(KEPT, 0), (IDENTIFIERS, 2)]),
    ) else {
        return;
    };
    let arrays = documents(1 << 30, 64, ARRAY);
    let lines = documents(1 << 30, 64, ["", "\n", "\n"]);
    let batch = documents(500, 64, ARRAY);
    let mut out = Vec::with_capacity(1 << 18);
    let mut cache = TokenCache::new(key(), 8_192);
    let mut small = TokenCache::new(key(), 4_096);
    let mut all = [
        Fastest::new("three fields hidden, array of 64", &arrays),
        Fastest::new("three fields hidden, 64 lines", &lines),
        Fastest::new("serde_json::Value, array of 64", &arrays),
        Fastest::new("ten tokens, 500 people, cache", &batch),
        Fastest::new("ten tokens, all different, cache", &arrays),
        Fastest::new("ten tokens, all different, no cache", &arrays),
        Fastest::new("std::str::from_utf8 alone", &arrays),
    ];
    for _ in 0..rounds {
        for (at, ((array, line), event)) in arrays.iter().zip(&lines).zip(&batch).enumerate() {
            let [a, b, c, d, e, f, g] = &mut all;
            a.time(at, array, || rewritten(array, Form::Json, &masked, &mut Treat(()), &mut out));
            b.time(at, line, || rewritten(line, Form::Ndjson, &plain, &mut Treat(()), &mut out));
            c.time(at, array, || by_tree(black_box(array)));
            let mut treat = Treat(&mut cache);
            d.time(at, event, || rewritten(event, Form::Json, &tokens, &mut treat, &mut out));
            let mut treat = Treat(&mut small);
            e.time(at, array, || rewritten(array, Form::Json, &tokens, &mut treat, &mut out));
            f.time(at, array, || rewritten(array, Form::Json, &tokens, &mut Treat(&key()), &mut out));
            g.time(at, array, || usize::from(std::str::from_utf8(black_box(array.as_bytes())).is_ok()));
        }
    }
    let tree = all.get(2).map_or(1.0, Fastest::speed);
    let mut print = std::io::stdout().lock();
    for fastest in &all {
        let speed = fastest.speed();
        let _ =
            writeln!(print, "{:<38} {:>6.0} MB/s {:>6.2} x tree", fastest.name, speed / 1e6, speed / tree);
    }
}
