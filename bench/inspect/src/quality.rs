//! What was found of what is labelled, and what was found that is nothing.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::Engine;
use crate::check;
use crate::corpus::{Corpus, Hit, Label};
use crate::hyperscan::{Hyperscan, Work};
use crate::ours::Ours;

/// A label is found if one hit covers this much of its bytes.
const COVER: (usize, usize) = (4, 5);
/// Contexts in which a key, a head or an array's name says what a value is.
const KEYED: [&str; 4] = ["keyed", "nested", "array", "csv"];

#[derive(Default, Clone, Copy)]
struct Count {
    labels: usize,
    found: usize,
    strict: usize,
}

impl Count {
    fn add(&mut self, found: bool, strict: bool) {
        self.labels += 1;
        self.found += usize::from(found);
        self.strict += usize::from(strict);
    }

    fn json(self) -> Value {
        let share = |n: usize| {
            if self.labels == 0 {
                Value::Null
            } else {
                json!((n as f64 / self.labels as f64 * 1e5).round() / 1e5)
            }
        };
        json!({ "labels": self.labels, "recall": share(self.found), "strict": share(self.strict) })
    }
}

#[derive(Default)]
struct Report {
    kinds: BTreeMap<(String, String), Count>,
    hits: usize,
    true_hits: usize,
    clean_hits: usize,
    clean_bytes: usize,
    false_kinds: BTreeMap<String, usize>,
    examples: Vec<String>,
}

pub(crate) fn run(corpus: &Corpus, out: &str, options: &[&str]) {
    let option = |name: &str| options.iter().position(|o| *o == name).map(|i| &options[i + 1..]);
    let examples = option("--examples").map_or(0, |o| o[0].parse().unwrap());
    let mut all = serde_json::Map::new();
    if let Some([file, name, ..]) = option("--hits") {
        let (hits, limits) = read_hits(corpus, file);
        all.insert((*name).to_owned(), judge(corpus, &hits, &limits, examples).json());
    } else {
        unfit_labels(corpus);
        all.insert("declared".to_owned(), declared(corpus));
        let mut engines: [Box<dyn Engine>; 2] =
            [Box::<Ours>::default(), Box::new(Hyperscan::new(Work::Validated))];
        for engine in &mut engines {
            let hits = hits_of(corpus, engine.as_mut());
            let limits: Vec<usize> = corpus.files.iter().map(|f| f.bytes.len()).collect();
            all.insert(engine.name().to_owned(), judge(corpus, &hits, &limits, examples).json());
        }
    }
    fs::write(out, serde_json::to_string_pretty(&Value::Object(all)).unwrap()).expect("the report");
}

/// The validators that the peer gets must know every label whose check digit is right: else the comparison is unfair to it.
fn unfit_labels(corpus: &Corpus) {
    let mut unfit: BTreeMap<&str, usize> = BTreeMap::new();
    for (file, labels) in corpus.files.iter().zip(&corpus.labels) {
        for label in labels
            .iter()
            .filter(|l| check::NATIONAL.contains(&l.kind.as_str()) && KEYED.contains(&l.context.as_str()))
        {
            if check::kinds(&file.bytes[label.start..label.end]) & check::bit(&label.kind) == 0 {
                *unfit.entry(&label.kind).or_default() += 1;
            }
        }
    }
    // Short Liechtenstein numbers and those without a date have no form to check.
    unfit.retain(|kind, _| !matches!(*kind, "li.peid"));
    assert!(unfit.is_empty(), "labels that the peer's validators refuse: {unfit:?}");
}

/// Recall of ours where the schema declares the field, also with a wrong check digit.
fn declared(corpus: &Corpus) -> Value {
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    for (file, labels) in corpus.files.iter().zip(&corpus.labels) {
        for label in labels.iter().filter(|l| KEYED.contains(&l.context.as_str()) || l.context == "mistyped")
        {
            if let Some(found) = crate::ours::declared(&label.kind, &file.bytes[label.start..label.end]) {
                let kind = if label.context == "mistyped" { "mistyped" } else { &label.kind };
                counts.entry(kind).or_default().add(found, found);
            }
        }
    }
    Value::Object(counts.into_iter().map(|(kind, count)| (kind.to_owned(), count.json())).collect())
}

fn hits_of(corpus: &Corpus, engine: &mut dyn Engine) -> Vec<Vec<Hit>> {
    let mut all = Vec::new();
    for file in &corpus.files {
        let mut hits = Vec::new();
        for (at, chunk) in file.chunks() {
            engine.scan(chunk, file.format);
            let first = hits.len();
            engine.hits(chunk, &mut hits);
            for hit in &mut hits[first..] {
                hit.start += at;
                hit.end += at;
            }
        }
        all.push(hits);
    }
    all
}

/// Lines of file, start, end, kind; and lines of file and the bytes that were looked at, with `-` for the kind.
fn read_hits(corpus: &Corpus, path: &str) -> (Vec<Vec<Hit>>, Vec<usize>) {
    let mut hits: Vec<Vec<Hit>> = corpus.files.iter().map(|_| Vec::new()).collect();
    let mut limits = vec![0; corpus.files.len()];
    for line in fs::read_to_string(path).expect("the hits").lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        let file = corpus.files.iter().position(|f| f.name == parts[0]).expect("a file of the corpus");
        let (start, end) = (parts[1].parse().unwrap(), parts[2].parse().unwrap());
        if parts[3] == "-" {
            limits[file] = end;
        } else {
            hits[file].push(Hit { start, end, kind: parts[3].to_owned().leak() });
        }
    }
    (hits, limits)
}

fn judge(corpus: &Corpus, hits: &[Vec<Hit>], limits: &[usize], examples: usize) -> Report {
    let mut report = Report::default();
    for (index, file) in corpus.files.iter().enumerate() {
        let mut hits = hits[index].clone();
        hits.sort_by_key(|hit| hit.start);
        let show = |start: usize, end: usize| {
            let (from, to) = (start.saturating_sub(60), (end + 20).min(file.bytes.len()));
            String::from_utf8_lossy(&file.bytes[from..to]).replace('\n', " ")
        };
        let labels: Vec<&Label> = corpus.labels[index].iter().filter(|l| l.end <= limits[index]).collect();
        let mut shown: BTreeMap<String, usize> = BTreeMap::new();
        for label in &labels {
            let near = near(&hits, label.start, label.end);
            let covers = |hit: &&Hit| {
                let both = hit.end.min(label.end).saturating_sub(hit.start.max(label.start));
                both * COVER.1 >= (label.end - label.start) * COVER.0
            };
            let found = near.iter().find(|h| covers(h));
            let strict = near.iter().filter(covers).any(|hit| same(label, hit));
            report
                .kinds
                .entry((label.kind.clone(), label.context.clone()))
                .or_default()
                .add(found.is_some(), strict);
            if found.is_none() && examples > 0 {
                let n = shown.entry(format!("{} {}", label.kind, label.context)).or_default();
                *n += 1;
                if *n <= examples {
                    report.examples.push(format!(
                        "missed {} ({}): {}",
                        label.kind,
                        label.context,
                        show(label.start, label.end)
                    ));
                }
            }
        }
        let clean = file.name.starts_with("clean");
        report.clean_bytes += if clean { limits[index] } else { 0 };
        for hit in &hits {
            let overlap: usize =
                spans(&labels, hit).map(|l| hit.end.min(l.end) - hit.start.max(l.start)).sum();
            let truly = overlap * 2 >= hit.end - hit.start;
            report.clean_hits += usize::from(clean);
            report.hits += usize::from(!clean);
            report.true_hits += usize::from(truly && !clean);
            if !truly {
                let place = format!("{} in {}", hit.kind, if clean { "clean" } else { "user" });
                let n = report.false_kinds.entry(place.clone()).or_default();
                *n += 1;
                if *n <= examples {
                    report.examples.push(format!(
                        "false {place}: {} << {}",
                        String::from_utf8_lossy(&file.bytes[hit.start..hit.end]),
                        show(hit.start, hit.end)
                    ));
                }
            }
        }
    }
    report
}

/// Hits that may overlap; hits are sorted by their start and none is longer than a few thousand bytes.
fn near(hits: &[Hit], start: usize, end: usize) -> &[Hit] {
    let first = hits.partition_point(|h| h.start + 4096 < start);
    let last = hits.partition_point(|h| h.start < end);
    &hits[first.min(last)..last]
}

fn spans<'a>(labels: &'a [&'a Label], hit: &'a Hit) -> impl Iterator<Item = &'a &'a Label> {
    let first = labels.partition_point(|l| l.end <= hit.start);
    labels[first..].iter().take_while(|l| l.start < hit.end)
}

/// Whether the hit names the label's kind: by the corpus's word for it, or by an engine's own.
fn same(label: &Label, hit: &Hit) -> bool {
    hit.kind == label.kind || crate::ours::names(&label.kind, hit)
}

impl Report {
    fn sum(&self, keep: impl Fn(&str, &str) -> bool) -> Count {
        let mut sum = Count::default();
        for ((kind, context), count) in &self.kinds {
            if keep(kind, context) {
                sum.labels += count.labels;
                sum.found += count.found;
                sum.strict += count.strict;
            }
        }
        sum
    }

    fn json(&self) -> Value {
        let plain = |context: &str| !context.starts_with("evasion") && context != "mistyped";
        let person = |kind: &str| matches!(kind, "name" | "address");
        let mut kinds = serde_json::Map::new();
        let mut contexts = serde_json::Map::new();
        let mut by_kind_and_context = serde_json::Map::new();
        for ((kind, context), count) in &self.kinds {
            kinds.insert(kind.clone(), json!({ "keyed": self.sum(|k, c| k == kind && KEYED.contains(&c)).json(), "all": self.sum(|k, c| k == kind && plain(c)).json() }));
            contexts.insert(context.clone(), self.sum(|k, c| c == context && !person(k)).json());
            by_kind_and_context.insert(format!("{kind} {context}"), count.json());
        }
        let share = |n: usize, of: usize| (n as f64 / of.max(1) as f64 * 1e5).round() / 1e5;
        json!({
            "recall_without_names_and_addresses": self.sum(|k, c| !person(k) && plain(c)).json(),
            "precision": share(self.true_hits, self.hits), "hits": self.hits,
            "clean_false_hits": self.clean_hits, "clean_bytes": self.clean_bytes,
            "clean_false_hits_per_mb": share(self.clean_hits * 1_000_000, self.clean_bytes),
            "kinds": kinds, "contexts": contexts, "kinds_and_contexts": by_kind_and_context,
            "false_hits": self.false_kinds, "examples": self.examples,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{File, Format};

    /// Two files of 100 bytes: labels at 10..20 and 40..60 of `user`, none in `clean`.
    fn corpus() -> Corpus {
        let file = |name: &str| File { name: name.to_owned(), bytes: vec![b'x'; 100], format: Format::Json };
        let label =
            |start, end, kind: &str| Label { start, end, kind: kind.to_owned(), context: "keyed".to_owned() };
        Corpus {
            files: vec![file("user.ndjson"), file("clean.ndjson")],
            labels: vec![vec![label(10, 20, "email"), label(40, 60, "iban")], Vec::new()],
        }
    }

    fn judged(user: &[(usize, usize, &'static str)], clean: &[(usize, usize, &'static str)]) -> Value {
        let hits = |list: &[(usize, usize, &'static str)]| {
            list.iter().map(|&(start, end, kind)| Hit { start, end, kind }).collect()
        };
        judge(&corpus(), &[hits(user), hits(clean)], &[100, 100], 0).json()
    }

    fn check(report: &Value, recall: f64, strict: f64, precision: f64, false_per_mb: f64) {
        let total = &report["recall_without_names_and_addresses"];
        assert_eq!((&total["recall"], &total["strict"]), (&json!(recall), &json!(strict)));
        assert_eq!(
            (&report["precision"], &report["clean_false_hits_per_mb"]),
            (&json!(precision), &json!(false_per_mb))
        );
    }

    #[test]
    fn the_labels_themselves_are_a_perfect_engine() {
        check(&judged(&[(10, 20, "email"), (40, 60, "iban")], &[]), 1.0, 1.0, 1.0, 0.0);
    }

    #[test]
    fn an_engine_that_finds_nothing_has_no_recall() {
        check(&judged(&[], &[]), 0.0, 0.0, 0.0, 0.0);
    }

    #[test]
    fn a_hit_covers_four_fifths_or_finds_nothing() {
        check(&judged(&[(10, 18, "email"), (40, 55, "iban")], &[]), 0.5, 0.5, 1.0, 0.0);
    }

    #[test]
    fn two_halves_find_nothing() {
        check(&judged(&[(40, 50, "iban"), (50, 60, "iban")], &[]), 0.0, 0.0, 1.0, 0.0);
    }

    #[test]
    fn another_kind_masks_but_is_not_the_right_one() {
        check(&judged(&[(10, 20, "phone.e164"), (40, 60, "iban")], &[]), 1.0, 0.5, 1.0, 0.0);
    }

    #[test]
    fn a_hit_beside_the_labels_or_in_a_clean_event_is_false() {
        check(&judged(&[(10, 20, "email"), (70, 80, "card")], &[(0, 5, "card")]), 0.5, 0.5, 0.5, 10_000.0);
    }

    #[test]
    fn a_hit_over_everything_is_false() {
        check(&judged(&[(0, 100, "email")], &[]), 1.0, 0.5, 0.0, 0.0);
    }
}
