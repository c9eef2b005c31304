//! Drops each guardrail in turn and looks who misses it. One that nobody misses is untested.

use std::collections::BTreeSet;
use std::time::Instant;

use cedar_policy::{Effect, Policy};
use cedar_policy_symcc::implies_asserts;
use policy::Property;

use crate::book::{Book, Kind, covers};
use crate::certainty::millis;
use crate::promises::guarded;
use crate::report::{By, Guardrail, Missed, PromiseResult};
use crate::solver::{Session, Solver, SolverError, each};

/// What would happen if each guardrail were dropped, given what was proved of the properties.
#[must_use]
pub fn guardrails(
    book: &Book,
    promises: &[PromiseResult],
    solver: &Result<Solver, SolverError>,
) -> Vec<Guardrail> {
    let all: Vec<&Policy> = book.texts.policies.iter().filter(|p| p.effect() == Effect::Forbid).collect();
    each(&all, solver, |session, guardrail| {
        let start = Instant::now();
        let missed = match missed(book, promises, guardrail, session) {
            Ok(missed) => missed,
            Err(why) => Missed::NotProved { why },
        };
        Guardrail { id: guardrail.id().to_string(), missed, milliseconds: millis(start) }
    })
}

fn missed(
    book: &Book,
    promises: &[PromiseResult],
    guardrail: &Policy,
    session: &mut Session<'_>,
) -> Result<Missed, String> {
    let properties = likeliest_first(book, promises, guardrail);
    let (first, others) = properties.split_at(LIKELY.min(properties.len()));
    if let Some(property) = who_misses(book, first, guardrail, session)? {
        return Ok(Missed::ByProperty { property });
    }
    if implied(book, guardrail, session)? {
        return Ok(Missed::Implied);
    }
    Ok(match who_misses(book, others, guardrail, session)? {
        Some(property) => Missed::ByProperty { property },
        None => Missed::ByNobody,
    })
}

/// How many properties are asked before it is worth a look whether any can miss the guardrail at all.
const LIKELY: usize = 3;

fn who_misses(
    book: &Book,
    properties: &[(&Property, By)],
    guardrail: &Policy,
    session: &mut Session<'_>,
) -> Result<Option<String>, String> {
    for (property, by) in properties {
        for kind in book.kinds_of(&property.policy).filter(|kind| covers(guardrail, kind)) {
            if misses(book, kind, property, *by, guardrail, session)? {
                return Ok(Some(property.id.clone()));
            }
        }
    }
    Ok(None)
}

/// Whether the other guardrails forbid all that this one does.
fn implied(book: &Book, guardrail: &Policy, session: &mut Session<'_>) -> Result<bool, String> {
    for kind in book.kinds_of(guardrail) {
        let (without, with) = (book.guard_but(kind, guardrail)?, book.guard(kind)?);
        if !session.none(&implies_asserts(&without, &with))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a property that the guardrails hold is not held by them any more, or one that the permits hold is false.
fn misses(
    book: &Book,
    kind: &Kind,
    property: &Property,
    by: By,
    guardrail: &Policy,
    session: &mut Session<'_>,
) -> Result<bool, String> {
    if guarded(book, kind, property, &book.guard_but(kind, guardrail), session)? {
        return Ok(false);
    }
    if by == By::Guardrails {
        return Ok(true);
    }
    for permit in book.policies(kind, Effect::Permit) {
        let set = book.with_guardrails(kind, permit, Some(guardrail));
        if !guarded(book, kind, property, &set, session)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The proved properties, those first that share most words with the guardrail: one is enough.
pub(crate) fn likeliest_first<'b>(
    book: &'b Book,
    promises: &[PromiseResult],
    guardrail: &Policy,
) -> Vec<(&'b Property, By)> {
    let text = guardrail.to_string();
    let wanted = words(&text);
    let proved = |p: &'b Property| Some((p, promises.iter().find(|r| r.id == p.id)?.by?));
    let mut all: Vec<_> = book.texts.properties.iter().filter_map(proved).collect();
    all.sort_by_cached_key(|(property, _)| {
        let text = property.policy.to_string();
        let words = words(&text);
        let shared = words.intersection(&wanted).count() * 1000;
        std::cmp::Reverse(shared / (words.len() + wanted.len()).max(1))
    });
    all
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect()
}
