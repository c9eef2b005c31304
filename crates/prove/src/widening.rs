//! Whether a rulebook permits anything that the one in force denies.

use std::collections::BTreeSet;
use std::time::Instant;

use cedar_policy::{Effect, Policy, PolicySet, SchemaFragment};
use cedar_policy_symcc::{CompiledPolicySet, Env, always_denies_asserts, implies_asserts};
use serde_json::Value;

use crate::book::{Book, Kind};
use crate::certainty::millis;
use crate::example::{Answer, Claim, judge};
use crate::report::{Finding, Verdict, Widening};
use crate::solver::{Session, Solver, SolverError, each};

/// Looks at each permit that could permit more: all of them, or only the changed ones if no guardrail in force was
/// changed or dropped.
#[must_use]
pub fn widening(book: &Book, active: &Book, solver: &Result<Solver, SolverError>) -> Widening {
    let start = Instant::now();
    let changed_permits_only = schema(book) == schema(active) && guardrails_stand(book, active);
    let known = meanings(active, Effect::Permit);
    let permits: Vec<&Policy> = book
        .texts
        .policies
        .iter()
        .filter(|p| p.effect() == Effect::Permit)
        .filter(|p| !changed_permits_only || !known.contains(&meaning(p)))
        .collect();
    let results = each(&permits, solver, |session, permit| {
        let wider = book.kinds_of(permit).map(|kind| wider(book, active, kind, permit, session));
        let found: Vec<Verdict> = wider.filter(|v| !v.is_proved()).collect();
        (session.asked, permit.id().to_string(), found)
    });
    let questions = results.iter().map(|(asked, ..)| asked).sum();
    let finding = |policy: &String, verdict| Finding { policy: policy.clone(), verdict };
    let findings = results.iter().flat_map(|(_, id, found)| found.iter().map(|v| finding(id, v.clone())));
    let findings = findings.collect();
    Widening {
        changed_permits_only,
        permits: permits.iter().map(|p| p.id().to_string()).collect(),
        questions,
        milliseconds: millis(start),
        findings,
        unread: unread(book, active),
        dropped: dropped(book, active),
    }
}

/// Whether one permit, under the new guardrails, permits a request of a kind that is denied today.
fn wider(book: &Book, active: &Book, kind: &Kind, permit: &Policy, session: &mut Session<'_>) -> Verdict {
    let told = |why: String| Verdict::not_proved(format!("{}: {why}", kind.name()));
    let sets = book.with_guardrails(kind, permit, None).and_then(|new| Ok((new, today(book, active, kind)?)));
    let (new, today) = match sets {
        Ok(sets) => sets,
        Err(why) => return told(why),
    };
    let asks = |new| match &today {
        Some(today) => implies_asserts(new, today),
        // What could not even be asked was not permitted.
        None => always_denies_asserts(new),
    };
    match session.none(&asks(&new)) {
        Ok(true) => return Verdict::Proved,
        Ok(false) => {}
        Err(why) => return told(why),
    }
    let (old, all) = match (active.all(), book.all()) {
        (Ok(old), Ok(all)) => (old, all),
        (Err(why), _) | (_, Err(why)) => return told(why),
    };
    let believable = book.believable(kind, permit);
    let sets: Vec<_> = believable.iter().chain([&new]).map(asks).collect();
    judge(&book.texts.schema, session.first(&sets), |env| permits_more(&old, &all, env))
}

fn permits_more(old: &PolicySet, new: &PolicySet, env: &Env) -> Claim {
    let (old, new) = (Answer::of(old, env), Answer::of(new, env));
    let answer = format!("today {}; then {}", old.words(), new.words());
    Claim { borne_out: !old.allowed && new.allowed, answer }
}

/// The policies in force for a kind of request, as the new schema reads them; `None` if the schema in force has no
/// such requests.
fn today(book: &Book, active: &Book, kind: &Kind) -> Result<Option<CompiledPolicySet>, String> {
    let Some(old) = active.kinds.iter().find(|old| old.env == kind.env) else { return Ok(None) };
    if old.groups() != kind.groups() {
        return Err("the schema puts this action into other groups than today".to_owned());
    }
    let both = [Effect::Permit, Effect::Forbid];
    let policies = both.into_iter().flat_map(|effect| active.policies(old, effect));
    book.compile(kind, policies).map(Some).map_err(|why| format!("the policies in force do not fit: {why}"))
}

/// What a policy says to Cedar, its annotations apart.
fn meaning(policy: &Policy) -> String {
    match policy.to_json() {
        Ok(Value::Object(mut parts)) => {
            parts.remove("annotations");
            Value::Object(parts).to_string()
        }
        _ => policy.to_string(),
    }
}

fn meanings(book: &Book, effect: Effect) -> BTreeSet<String> {
    book.texts.policies.iter().filter(|p| p.effect() == effect).map(meaning).collect()
}

/// Whether every guardrail in force stands in the new rulebook, under whatever name.
fn guardrails_stand(book: &Book, active: &Book) -> bool {
    meanings(active, Effect::Forbid).is_subset(&meanings(book, Effect::Forbid))
}

const SCHEMA: &str = "clover.cedarschema";

fn schema(book: &Book) -> Option<Value> {
    let (fragment, _) = SchemaFragment::from_cedarschema_str(book.files.get(SCHEMA)?).ok()?;
    fragment.to_json_value().ok()
}

/// Files that differ and whose meaning is no matter of the policies: who is inside, which field is restricted, what may
/// cross to a country, who approves. INVARIANT: every file but the Cedar texts, whatever files a rulebook will have.
fn unread(book: &Book, active: &Book) -> Vec<String> {
    let data = |book: &Book, name: &str| book.files.get(name)?.parse::<toml::Table>().ok();
    let all: BTreeSet<&String> = book.files.keys().chain(active.files.keys()).collect();
    let data_only = |n: &&&String| !n.ends_with(".cedar") && n.as_str() != SCHEMA;
    let mut names: Vec<String> = all
        .iter()
        .filter(data_only)
        .filter(|n| {
            data(book, n) != data(active, n) || book.files.contains_key(**n) != active.files.contains_key(**n)
        })
        .map(|n| (*n).clone())
        .collect();
    if schema(book) != schema(active) {
        names.push(SCHEMA.to_owned());
    }
    names
}

/// Properties in force that the new rulebook does not state any more, under whatever name.
fn dropped(book: &Book, active: &Book) -> Vec<String> {
    let stated: BTreeSet<_> =
        book.texts.properties.iter().map(|p| (p.promise.word(), meaning(&p.policy))).collect();
    let kept = |p: &&policy::Property| stated.contains(&(p.promise.word(), meaning(&p.policy)));
    active.texts.properties.iter().filter(|p| !kept(p)).map(|p| p.id.clone()).collect()
}
