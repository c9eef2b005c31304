//! The report for people.

use std::fmt::Write;

use crate::bounded::Bounded;
use crate::mutants::{MutantResult, Noticed};
use crate::report::{
    By, Check, Comparison, Finding, Missed, Outcome, PromiseResult, Report, Verdict, Widening,
};

/// The report as text, each verdict with its counterexample.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let line = |out: &mut String, key: &str, value: &str| {
        let _ = writeln!(out, "{key:<12}{value}");
    };
    line(&mut out, "rulebook", &report.rulebook);
    line(&mut out, "properties", report.properties.as_deref().unwrap_or("none"));
    if let Some(against) = &report.against {
        line(&mut out, "against", against);
    }
    line(&mut out, "solver", report.solver.as_deref().unwrap_or("none: nothing can be proved"));
    check(&mut out, "no policy can ever err", "can err", &report.errors);
    check(&mut out, "no policy is dead", "is dead", &report.dead);
    promises(&mut out, &report.promises);
    guardrails(&mut out, report);
    if let Some(widening) = &report.widening {
        wider(&mut out, widening);
    }
    if let Some(mutants) = &report.mutants {
        mistakes(&mut out, mutants);
    }
    let end = match report.outcome {
        Outcome::Proved => "everything is proved",
        Outcome::NotProved => "NOT PROVED: see above",
        Outcome::False => "FALSE: see above",
    };
    let _ = writeln!(out, "\n{end} ({:.1} s)", report.seconds);
    out
}

fn check(out: &mut String, claim: &str, fault: &str, check: &Check) {
    let _ = writeln!(
        out,
        "\n{claim}: {} ({} policies, {} questions, {} ms)",
        if check.findings.is_empty() { "proved" } else { "not so" },
        check.policies,
        check.questions,
        check.milliseconds
    );
    for finding in &check.findings {
        found(out, finding, fault);
    }
}

fn found(out: &mut String, finding: &Finding, fault: &str) {
    let word = match finding.verdict {
        Verdict::Proved => return,
        Verdict::False { .. } | Verdict::Dead { .. } => fault,
        Verdict::NotProved { .. } => "not proved",
        Verdict::Disagreement { .. } => "solver disagreement",
    };
    let _ = writeln!(out, "  {}: {word}", finding.policy);
    details(out, &finding.verdict);
}

fn details(out: &mut String, verdict: &Verdict) {
    match verdict {
        Verdict::Proved => {}
        Verdict::Dead { why } | Verdict::NotProved { why } => {
            let _ = writeln!(out, "      {why}");
        }
        Verdict::False { example } | Verdict::Disagreement { example } => {
            for words in &example.words {
                let _ = writeln!(out, "      {words}");
            }
            let _ = writeln!(out, "      answer     {}", example.answer);
        }
    }
}

fn promises(out: &mut String, promises: &[PromiseResult]) {
    let _ = writeln!(out, "\nproperties:");
    if promises.is_empty() {
        let _ = writeln!(out, "  none is stated, so that none is proved");
    }
    for promise in promises {
        let word = match (&promise.verdict, promise.by) {
            (Verdict::Proved, Some(By::Permits)) => "proved permit by permit",
            (Verdict::Proved, _) => "proved by guardrails",
            (Verdict::False { .. }, _) => "FALSE",
            (Verdict::Dead { .. }, _) => "EMPTY",
            (Verdict::NotProved { .. }, _) => "NOT PROVED",
            (Verdict::Disagreement { .. }, _) => "SOLVER DISAGREEMENT",
        };
        let _ = writeln!(out, "  {word:<24}{:>6} ms  {}", promise.milliseconds, promise.id);
        let _ = writeln!(out, "      {}", promise.says);
        details(out, &promise.verdict);
    }
}

fn guardrails(out: &mut String, report: &Report) {
    let _ = writeln!(out, "\nguardrails, each dropped in turn:");
    for guardrail in &report.guardrails {
        let told = match &guardrail.missed {
            Missed::ByProperty { property } => format!("missed by {property}"),
            Missed::Implied => "implied by the others".to_owned(),
            Missed::ByNobody => "MISSED BY NO PROPERTY".to_owned(),
            Missed::NotProved { why } => format!("NOT PROVED: {why}"),
        };
        let _ = writeln!(out, "  {:<42}{told}", guardrail.id);
    }
}

fn wider(out: &mut String, widening: &Widening) {
    let scope = match (widening.changed_permits_only, widening.permits.len()) {
        (true, 0) => "no permit is new or changed, and every guardrail in force stands".to_owned(),
        (true, n) => format!("{n} new or changed permits; every guardrail in force stands"),
        (false, n) => format!("all {n} permits, since a guardrail or the schema changed"),
    };
    let verdict = if widening.findings.is_empty() { "proved" } else { "not so" };
    let _ = writeln!(
        out,
        "\nit permits nothing that the rulebook in force denies: {verdict} ({scope}; {} questions, {} ms)",
        widening.questions, widening.milliseconds
    );
    for finding in &widening.findings {
        found(out, finding, "WIDER");
    }
    for file in &widening.unread {
        let _ = writeln!(
            out,
            "  {file}: NOT PROVED\n      it differs, and no proof covers what it says: a person must read it"
        );
    }
    for property in &widening.dropped {
        let _ = writeln!(out, "  {property}: a property in force that is not stated any more");
    }
}

/// The comparison with the rulebook in force as text.
#[must_use]
pub fn comparison(comparison: &Comparison) -> String {
    let mut out = String::new();
    let solver = comparison.solver.as_deref().unwrap_or("none: nothing can be proved");
    let _ = writeln!(out, "solver      {solver}");
    wider(&mut out, &comparison.widening);
    if let Some(bounded) = &comparison.bounded {
        small_world(&mut out, bounded);
    }
    let end = match comparison.outcome {
        Outcome::Proved => "NOT WIDER: proved",
        Outcome::NotProved => "NOT PROVED: see above",
        Outcome::False => "WIDER: see above",
    };
    let _ = writeln!(out, "\n{end} ({:.1} s)", comparison.seconds);
    out
}

fn small_world(out: &mut String, bounded: &Bounded) {
    let all = if bounded.complete { "all of it" } else { "not all of it" };
    let _ = writeln!(
        out,
        "\nbounded: {} requests of a small world ({all}) put to both engines: {} ways in which more is given",
        bounded.requests, bounded.wider
    );
    if bounded.errors > 0 {
        let _ = writeln!(out, "  {} answers could not be given", bounded.errors);
    }
    for example in &bounded.examples {
        let _ = writeln!(out, "  WIDER (bounded), by {}", example.by.join(", "));
        for words in &example.words {
            let _ = writeln!(out, "      {words}");
        }
    }
    if bounded.wider == 0 {
        let _ = writeln!(out, "  nothing was found, which proves nothing");
    }
}

fn mistakes(out: &mut String, mutants: &[MutantResult]) {
    let count = |noticed: fn(&Noticed) -> bool| mutants.iter().filter(|m| noticed(&m.noticed)).count();
    let _ = writeln!(out, "\n{} mistakes, each made alone:", mutants.len());
    for (words, n) in [
        ("refused by strict validation", count(|n| *n == Noticed::ByValidation)),
        ("noticed by a story", count(|n| matches!(n, Noticed::ByStory { .. }))),
        ("can err, which is told", count(|n| *n == Noticed::ByError)),
        ("noticed by a property", count(|n| matches!(n, Noticed::ByProperty { .. }))),
        ("change no answer: proved", count(|n| *n == Noticed::Equal)),
        ("NOTICED BY NOBODY", count(|n| *n == Noticed::ByNobody)),
        ("not proved", count(|n| matches!(n, Noticed::NotProved { .. }))),
    ] {
        let _ = writeln!(out, "  {n:>6}  {words}");
    }
    for mutant in mutants {
        let told = match &mutant.noticed {
            Noticed::ByNobody => "noticed by nobody",
            Noticed::NotProved { why } => why,
            _ => continue,
        };
        let _ = writeln!(out, "  {}: {}\n      {told}", mutant.policy, mutant.what);
    }
}
