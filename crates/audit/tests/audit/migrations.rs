//! Stages of a migration: each signed by those who must, in its place, and nothing destroyed without the auditor's mark.

use audit::Rule;

use crate::expect;
use crate::writer::{Log, ROUND, START, Signer, auditor, index_of, operator};

/// The text of a stage, in which something else may stand.
fn stage(word: &str, change: (&str, &str)) -> String {
    let digest = "ab".repeat(32);
    let (source, target, evidence) = match word {
        "copied" | "compared" | "served" => (digest.as_str(), digest.as_str(), "-"),
        "sealed" => (digest.as_str(), "-", digest.as_str()),
        "destroyed" | "witnessed" => ("-", "-", digest.as_str()),
        _ => ("-", "-", "-"),
    };
    let text = format!(
        "clover migration v1\ntest\nvideo app.users {word}\nsingapore SG dublin IE\nrows 7 bytes 70 people 7\n\
         digests {source} {target}\nevidence {evidence}\nopen 0 0\n{START}\n"
    );
    text.replacen(change.0, change.1, 1)
}

type Step<'a> = (&'a str, (&'a str, &'a str), &'a [&'a Signer]);

/// A log in which these stages stand, one in each round.
fn with(steps: &[Step<'_>]) -> Log {
    let mut log = Log::honest(2 + ROUND.len() * steps.len().max(1));
    log.rulebooks.truncate(1);
    for (round, (word, change, by)) in steps.iter().enumerate() {
        let text = stage(word, *change);
        let lines: String = by.iter().map(|key| key.line(&text)).collect();
        let entry = &mut log.entries[index_of("border") + round * ROUND.len()];
        (entry.kind, entry.direction, entry.purpose, entry.lane) = (14, 2, 10, [0; 8]);
        (entry.place, entry.destination) = (*b"SG", *b"IE");
        (entry.rows, entry.bytes) = if *word == "copied" { (7, 70) } else { (0, 0) };
        entry.facts = None;
        entry.raw_facts = Some(format!("{text}\n{lines}").into_bytes());
    }
    log
}

const SAME: (&str, &str) = ("", "");

#[test]
fn nothing_is_destroyed_on_the_record_without_the_auditors_mark() {
    let (operator, auditor) = (operator(), auditor());
    let (one, both, other) = (&[&operator][..], &[&operator, &auditor][..], &[&auditor][..]);
    let served: Vec<Step<'_>> =
        ["found", "copied", "compared", "served"].iter().map(|word| (*word, SAME, one)).collect();
    let then = |more: &[Step<'_>]| with(&[&served, more].concat());
    expect(&then(&[("sealed", SAME, both), ("destroyed", SAME, one), ("witnessed", SAME, other)]), &[]);
    for wrong in [
        // Without a seal, or with one that the operator alone has signed.
        then(&[("destroyed", SAME, one)]),
        then(&[("sealed", SAME, one)]),
        then(&[("sealed", SAME, other)]),
        // Of other rows than those that are served.
        then(&[("sealed", ("ab", "cd"), both)]),
        then(&[("sealed", ("rows 7", "rows 6"), both)]),
        // Witnessed by the operator, over another certificate, or with something open.
        then(&[("sealed", SAME, both), ("destroyed", SAME, one), ("witnessed", SAME, one)]),
        then(&[("sealed", SAME, both), ("destroyed", SAME, one), ("witnessed", ("ab", "cd"), other)]),
        then(&[
            ("sealed", SAME, both),
            ("destroyed", ("open 0 0", "open 1 1900900000"), one),
            ("witnessed", SAME, other),
        ]),
    ] {
        expect(&wrong, &[Rule::Migration]);
    }
    // A seal that does not count is none for what comes behind it.
    let unmarked = then(&[("sealed", SAME, one), ("destroyed", SAME, one)]);
    expect(&unmarked, &[Rule::Migration]);
}

#[test]
fn a_stage_of_another_programme_or_that_its_header_contradicts_is_found() {
    let operator = operator();
    let by = &[&operator][..];
    expect(&with(&[("found", SAME, by)]), &[]);
    expect(&with(&[("found", ("\ntest\n", "\nother\n"), by)]), &[Rule::Migration]);
    expect(&with(&[("found", ("singapore SG", "beijing CN"), by)]), &[Rule::Migration]);
    let mut inside = with(&[("found", ("singapore SG", "hamar NO"), by)]);
    inside.entries[index_of("border")].place = *b"NO";
    expect(&inside, &[Rule::Migration]);
    expect(&with(&[("copied", SAME, by)]), &[Rule::Migration]);
    let mut log = with(&[("found", SAME, by), ("copied", SAME, by)]);
    expect(&log, &[]);
    log.entries[index_of("border") + ROUND.len()].bytes = 71;
    expect(&log, &[Rule::Migration]);
}
