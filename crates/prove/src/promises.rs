//! Each property: by the guardrails alone if that is enough, else permit by permit.

use std::time::Instant;

use cedar_policy::{Effect, PolicySet};
use cedar_policy_symcc::{
    CompiledPolicySet, WellFormedAsserts, always_matches_asserts, disjoint_asserts, implies_asserts,
    never_matches_asserts,
};
use policy::{Promise, Property};

use crate::book::{Book, Compiled, Kind};
use crate::certainty::millis;
use crate::example::{Answer, Claim, alone, judge};
use crate::report::{By, PromiseResult, Verdict};
use crate::solver::{Session, Solver, SolverError, each};

/// Whether each property holds, and by what: each with a solver process of its own.
#[must_use]
pub fn promises(book: &Book, solver: &Result<Solver, SolverError>) -> Vec<PromiseResult> {
    each(&book.texts.properties, solver, |session, property| {
        let start = Instant::now();
        let (verdict, by) = match says_something(book, property, session) {
            Verdict::Proved => holds(book, property, session),
            other => (other, None),
        };
        PromiseResult {
            id: property.id.clone(),
            prove: property.promise.word(),
            says: property.says.clone(),
            by: by.filter(|_| verdict.is_proved()),
            verdict,
            questions: session.asked,
            milliseconds: millis(start),
        }
    })
}

/// A `never` that no request matches, or an `only` that every request matches, holds of any policies whatever.
fn says_something(book: &Book, property: &Property, session: &mut Session<'_>) -> Verdict {
    let mut unknown = None;
    for kind in book.kinds_of(&property.policy) {
        let nothing = book.one(kind, &property.policy).and_then(|one| match property.promise {
            Promise::Never => session.none(&never_matches_asserts(&one)),
            Promise::Only => session.none(&always_matches_asserts(&one)),
        });
        match nothing {
            Ok(false) => return Verdict::Proved,
            Ok(true) => {}
            Err(why) => unknown = Some(why),
        }
    }
    match unknown {
        Some(why) => Verdict::not_proved(why),
        None => Verdict::Dead { why: "it says nothing: it holds of any policies whatever".to_owned() },
    }
}

fn holds(book: &Book, property: &Property, session: &mut Session<'_>) -> (Verdict, Option<By>) {
    let mut by = By::Guardrails;
    for kind in book.kinds_of(&property.policy) {
        // Once the guardrails are not enough for one kind, the permits are looked at for the others as well.
        if by == By::Guardrails {
            match guarded(book, kind, property, &book.guard(kind), session) {
                Ok(true) => continue,
                Ok(false) => by = By::Permits,
                Err(why) => return (Verdict::not_proved(why), None),
            }
        }
        let verdict = by_permits(book, kind, property, session);
        if !verdict.is_proved() {
            return (verdict, None);
        }
    }
    (Verdict::Proved, Some(by))
}

/// Whether a set of policies keeps a property.
pub(crate) fn guarded(
    book: &Book,
    kind: &Kind,
    property: &Property,
    set: &Compiled,
    session: &mut Session<'_>,
) -> Result<bool, String> {
    let requests = book.requests(kind, property)?;
    session.none(&broken(property, set.as_ref()?, &requests))
}

/// What a request that breaks a property satisfies.
fn broken<'a>(
    property: &Property,
    set: &'a CompiledPolicySet,
    requests: &'a CompiledPolicySet,
) -> WellFormedAsserts<'a> {
    match property.promise {
        Promise::Never => disjoint_asserts(set, requests),
        Promise::Only => implies_asserts(set, requests),
    }
}

/// A request is allowed exactly if some permit matches and no guardrail does, so that each permit can be looked at alone.
fn by_permits(book: &Book, kind: &Kind, property: &Property, session: &mut Session<'_>) -> Verdict {
    for permit in book.policies(kind, Effect::Permit) {
        let set = book.with_guardrails(kind, permit, None);
        match guarded(book, kind, property, &set, session) {
            Ok(true) => {}
            Ok(false) => {
                let believable = book.believable(kind, permit).into_iter();
                let sets: Vec<_> = believable.chain(set).collect();
                return counterexample(book, kind, property, &sets, session);
            }
            Err(why) => return Verdict::not_proved(why),
        }
    }
    Verdict::Proved
}

/// The first counterexample that one of some sets of policies allows.
fn counterexample(
    book: &Book,
    kind: &Kind,
    property: &Property,
    sets: &[CompiledPolicySet],
    session: &mut Session<'_>,
) -> Verdict {
    let (requests, all) = match (book.requests(kind, property), book.all()) {
        (Ok(requests), Ok(all)) => (requests, all),
        (Err(why), _) | (_, Err(why)) => return Verdict::not_proved(why),
    };
    let broken: Vec<_> = sets.iter().map(|set| broken(property, set, &requests)).collect();
    judge(&book.texts.schema, session.first(&broken), |env| breaks(&all, property, env))
}

/// Whether the real authorizer allows what a property says is not allowed.
fn breaks(all: &PolicySet, property: &Property, env: &cedar_policy_symcc::Env) -> Claim {
    let answer = Answer::of(all, env);
    let matched = alone(&property.policy, env);
    let outside = match property.promise {
        Promise::Never => matched.allowed,
        Promise::Only => !matched.allowed && !matched.errs,
    };
    Claim { borne_out: answer.allowed && outside, answer: answer.words() }
}
