//! A counterexample: put to the real authorizer first, then told in words.

mod words;

use cedar_policy::{Authorizer, Decision, Entities, Policy, PolicySet, Schema};
use cedar_policy_symcc::Env;
use serde::Serialize;
use serde_json::{Value, json};

use crate::report::Verdict;
use crate::solver::one_line;

/// A request with the entities it speaks of.
#[derive(Debug, Clone, Serialize)]
pub struct Example {
    /// The request in words, a line for each part.
    pub words: Vec<String>,
    /// What the real authorizer answers.
    pub answer: String,
    /// The request and its entities as Cedar reads them, to be put again.
    pub request: Value,
}

/// What the real authorizer answers to a set of policies.
pub(crate) struct Answer {
    pub(crate) allowed: bool,
    pub(crate) errs: bool,
    by: Vec<String>,
}

impl Answer {
    // INVARIANT: the rule of docs/formats/policies.md, as `policy::Engine` has it: an error permits nothing.
    pub(crate) fn of(policies: &PolicySet, env: &Env) -> Self {
        let response = Authorizer::new().is_authorized(&env.request, policies, &env.entities);
        let errs = response.diagnostics().errors().next().is_some();
        let mut by: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        by.sort();
        Self { allowed: response.decision() == Decision::Allow && !errs, errs, by }
    }

    pub(crate) fn words(&self) -> String {
        match (self.allowed, self.by.is_empty()) {
            (true, _) => format!("allowed by {}", self.by.join(", ")),
            (false, _) if self.errs => "denied: a policy cannot be evaluated".to_owned(),
            (false, true) => "denied: nothing permits it".to_owned(),
            (false, false) => format!("denied by {}", self.by.join(", ")),
        }
    }
}

/// Whether the real authorizer bears out what the solver claims of a request.
pub(crate) struct Claim {
    pub(crate) borne_out: bool,
    pub(crate) answer: String,
}

impl Claim {
    /// The request makes a policy err.
    pub(crate) fn errs(policy: &Policy, env: &Env) -> Self {
        let errs = alone(policy, env).errs;
        let answer = if errs { "it cannot be evaluated" } else { "it can be evaluated" };
        Self { borne_out: errs, answer: answer.to_owned() }
    }
}

/// The answer if a policy stood alone: a permit that matches allows.
pub(crate) fn alone(policy: &Policy, env: &Env) -> Answer {
    let mut set = PolicySet::new();
    // An empty set takes any policy.
    let _ = set.add(policy.clone());
    Answer::of(&set, env)
}

/// The verdict on a claim for which the solver was asked for an example.
pub(crate) fn judge(
    schema: &Schema,
    found: Result<Option<Env>, String>,
    claim: impl FnOnce(&Env) -> Claim,
) -> Verdict {
    let env = match found {
        Ok(Some(env)) => env,
        Ok(None) => return Verdict::not_proved("the solver took its counterexample back"),
        Err(why) => return Verdict::not_proved(format!("a counterexample cannot be shown: {why}")),
    };
    let claim = match Entities::from_entities(env.entities.iter().cloned(), Some(schema)) {
        Ok(_) => claim(&env),
        Err(e) => Claim { borne_out: false, answer: one_line(&format!("its entities do not fit: {e}")) },
    };
    let example = Example { words: words::of(&env), answer: claim.answer, request: raw(&env) };
    if claim.borne_out { Verdict::False { example } } else { Verdict::Disagreement { example } }
}

fn raw(env: &Env) -> Value {
    let uid = |uid: Option<&cedar_policy::EntityUid>| uid.map(ToString::to_string);
    json!({
        "principal": uid(env.request.principal()),
        "action": uid(env.request.action()),
        "resource": uid(env.request.resource()),
        "context": env.request.context().and_then(|c| c.to_json_value().ok()),
        "entities": env.entities.to_json_value().ok(),
    })
}

#[cfg(test)]
mod tests {
    use cedar_policy::{Context, Entity, Request};

    use super::*;

    const SCHEMA: &str =
        "entity E { n: Long }; action a appliesTo { principal: E, resource: E, context: {} };";

    /// A request of `E::"x"` on itself, whose attribute has this value.
    fn env(n: &str) -> Env {
        let uid = || "E::\"x\"".parse().unwrap();
        let request = Request::new(uid(), "Action::\"a\"".parse().unwrap(), uid(), Context::empty(), None);
        let attributes = [("n".to_owned(), n.parse().unwrap())].into();
        let entity = Entity::new(uid(), attributes, [].into()).unwrap();
        Env { request: request.unwrap(), entities: Entities::from_entities([entity], None).unwrap() }
    }

    fn verdict(n: &str, policies: &str) -> Verdict {
        let schema = Schema::from_cedarschema_str(SCHEMA).unwrap().0;
        let policies: PolicySet = policies.parse().unwrap();
        judge(&schema, Ok(Some(env(n))), |env| {
            let answer = Answer::of(&policies, env);
            Claim { borne_out: answer.allowed, answer: answer.words() }
        })
    }

    #[test]
    fn a_counterexample_counts_only_if_the_real_authorizer_agrees() {
        let permit = "permit (principal, action, resource) when { resource.n > 1 };";
        assert!(verdict("2", permit).is_false());
        for (n, why) in [("1", "denied: nothing permits it"), ("\"2\"", "its entities do not fit")] {
            match verdict(n, permit) {
                Verdict::Disagreement { example } => assert!(example.answer.contains(why), "{example:?}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_guardrail_that_errs_denies_as_it_does_at_the_gateway() {
        let both = "permit (principal, action, resource);
            forbid (principal, action, resource) when { resource.n + 9223372036854775807 > 0 };";
        match verdict("2", both) {
            Verdict::Disagreement { example } => assert!(example.answer.contains("cannot be evaluated")),
            other => panic!("{other:?}"),
        }
    }
}
