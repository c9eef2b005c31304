//! The report for people.

use std::fmt::Write;

use crate::report::{By, Check, Finding, Missed, Outcome, PromiseResult, Report, Verdict, Widening};

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
