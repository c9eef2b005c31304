//! Proofs over a rulebook: not what was tried, but what no request whatever can bring about.
//!
//! [`prove`] takes a checked [`Book`] and gives a [`Report`]: whether a policy can err, whether one is dead, whether
//! each property of `properties.cedar` holds, which guardrails a property would miss, and whether the policies
//! permit anything that those in force deny. Cedar's symbolic compiler turns each question into one for the solver
//! cvc5, a process of its own. Its yes is a proof under the assumptions that `docs/proofs.md` lists; each of its
//! counterexamples is put to the real authorizer before it is believed. Whatever is not answered is not proved.
//!
//! It is never linked into a gateway. Start reading at [`Book`], then `promises`.

mod book;
mod bounded;
mod certainty;
mod example;
mod mutants;
mod mutation;
mod promises;
mod report;
mod solver;
mod text;
mod widening;

use std::time::Instant;

pub use book::Book;
pub use bounded::{Bounded, Wider, bounded};
pub use certainty::{never_errs, none_is_dead};
pub use example::Example;
pub use mutants::{MutantResult, Noticed, mutations};
pub use mutation::guardrails;
pub use promises::promises;
pub use report::{
    By, Check, Comparison, Finding, Guardrail, Missed, Outcome, PromiseResult, Report, Verdict, Widening,
};
pub use solver::{Limits, Solver, SolverError};
pub use text::{comparison, text};
pub use widening::widening;

/// Proves all there is to prove of a rulebook; with another one in force, also that it permits nothing more.
///
/// Without a solver nothing is proved, and the report says so of each question.
#[must_use]
pub fn prove(book: &Book, against: Option<&Book>, solver: &Result<Solver, SolverError>) -> Report {
    let start = Instant::now();
    let errors = never_errs(book, solver);
    let dead = none_is_dead(book, solver);
    let promises = promises(book, solver);
    let guardrails = guardrails(book, &promises, solver);
    let widening = against.map(|active| widening(book, active, solver));
    let mut report = Report {
        rulebook: book.digest.to_string(),
        properties: book.properties_digest.map(|d| d.to_string()),
        against: against.map(|b| b.digest.to_string()),
        solver: solver.as_ref().ok().map(|s| s.version().to_owned()),
        seconds: 0.0,
        outcome: Outcome::Proved,
        errors,
        dead,
        promises,
        guardrails,
        widening,
        mutants: None,
    };
    report.outcome = report.conclude();
    report.seconds = start.elapsed().as_secs_f64();
    report
}

/// Makes each small mistake in the policies besides, and adds to a report who notices.
pub fn mutate(
    report: &mut Report,
    book: &Book,
    stories: &[policy::stories::Stories],
    solver: &Result<Solver, SolverError>,
) {
    let start = Instant::now();
    report.mutants = Some(mutations(book, &report.promises, stories, 1, solver));
    report.outcome = report.conclude();
    report.seconds += start.elapsed().as_secs_f64();
}

/// Whether a rulebook permits more than the one in force, and nothing else: by proof where there is a solver, and
/// by a small world of at most `requests_max` requests for what no proof speaks of, or without one.
#[must_use]
pub fn compare(
    book: &Book,
    active: &Book,
    requests_max: usize,
    solver: &Result<Solver, SolverError>,
) -> Comparison {
    let start = Instant::now();
    let widening = widening(book, active, solver);
    // A proof that nothing is wider, of files that say the same, leaves nothing to look for.
    let proved = widening.findings.is_empty() && widening.unread.is_empty();
    let bounded = if proved { None } else { bounded(book, active, requests_max).ok() };
    let mut comparison = Comparison {
        rulebook: book.digest.to_string(),
        against: active.digest.to_string(),
        solver: solver.as_ref().ok().map(|s| s.version().to_owned()),
        outcome: Outcome::NotProved,
        widening,
        bounded,
        seconds: 0.0,
    };
    comparison.outcome = comparison.conclude();
    comparison.seconds = start.elapsed().as_secs_f64();
    comparison
}
