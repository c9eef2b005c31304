//! What must hold of each policy by itself: it cannot err, and it can matter.

use std::time::Instant;

use cedar_policy::{Effect, Policy};
use cedar_policy_symcc::{always_denies_asserts, never_errors_asserts, never_matches_asserts};

use crate::book::{Book, Kind};
use crate::example::{Claim, judge};
use crate::report::{Check, Finding, Verdict};
use crate::solver::{Session, Solver, SolverError, each};

/// Cedar skips a policy that errs, a guardrail included, so that none may be able to. A property that errs
/// somewhere would promise nothing there.
#[must_use]
pub fn never_errs(book: &Book, solver: &Result<Solver, SolverError>) -> Check {
    let properties = book.texts.properties.iter().map(|p| &p.policy);
    let all: Vec<&Policy> = book.texts.policies.iter().chain(properties).collect();
    check(&all, solver, |session, policy| {
        first_not_proved(book.kinds_of(policy).map(|kind| errs(book, kind, policy, session)))
    })
}

fn errs(book: &Book, kind: &Kind, policy: &Policy, session: &mut Session<'_>) -> Verdict {
    let compiled = match book.one(kind, policy) {
        Ok(compiled) => compiled,
        Err(why) => return Verdict::not_proved(why),
    };
    let asserts = never_errors_asserts(&compiled);
    match session.none(&asserts) {
        Ok(true) => Verdict::Proved,
        Ok(false) => judge(&book.texts.schema, session.some(&asserts), |env| Claim::errs(policy, env)),
        Err(why) => Verdict::not_proved(why),
    }
}

/// A permit that never permits anything, or a guardrail that never matches, is a promise to nobody.
#[must_use]
pub fn none_is_dead(book: &Book, solver: &Result<Solver, SolverError>) -> Check {
    let all: Vec<&Policy> = book.texts.policies.iter().collect();
    check(&all, solver, |session, policy| lives(book, policy, session))
}

fn lives(book: &Book, policy: &Policy, session: &mut Session<'_>) -> Verdict {
    let mut unknown = None;
    for kind in book.kinds_of(policy) {
        let nothing = match policy.effect() {
            Effect::Permit => book
                .with_guardrails(kind, policy, None)
                .and_then(|set| session.none(&always_denies_asserts(&set))),
            Effect::Forbid => {
                book.one(kind, policy).and_then(|one| session.none(&never_matches_asserts(&one)))
            }
        };
        match nothing {
            Ok(false) => return Verdict::Proved,
            Ok(true) => {}
            Err(why) => unknown = Some(why),
        }
    }
    match (unknown, policy.effect()) {
        (Some(why), _) => Verdict::not_proved(why),
        (None, Effect::Permit) => Verdict::Dead { why: "whatever it permits is forbidden".to_owned() },
        (None, Effect::Forbid) => Verdict::Dead { why: "no request matches it".to_owned() },
    }
}

/// The first verdict that is not a proof, else a proof.
pub(crate) fn first_not_proved(mut verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.find(|v| !v.is_proved()).unwrap_or(Verdict::Proved)
}

fn check(
    policies: &[&Policy],
    solver: &Result<Solver, SolverError>,
    ask: impl Fn(&mut Session<'_>, &Policy) -> Verdict + Sync,
) -> Check {
    let start = Instant::now();
    let results = each(policies, solver, |session, policy| {
        let verdict = ask(session, policy);
        (session.asked, Finding { policy: policy.id().to_string(), verdict })
    });
    let questions = results.iter().map(|(asked, _)| asked).sum();
    let findings = results.into_iter().map(|(_, finding)| finding).filter(|f| !f.verdict.is_proved());
    let findings = findings.collect();
    Check { policies: policies.len(), questions, milliseconds: millis(start), findings }
}

pub(crate) fn millis(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
