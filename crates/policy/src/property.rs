//! Properties: what is to be proved of the policies, written as policies that are never loaded as such.

use std::collections::BTreeSet;

use cedar_policy::{
    ActionConstraint, Effect, Entities, Policy, PrincipalConstraint, ResourceConstraint, Schema,
};
use model::Problems;
use model::rulebook::PROPERTIES;

use crate::scope::{Groups, can_match};

/// No rulebook comes near so many.
const PROPERTIES_MAX: usize = 200;
/// The annotations of a property. Another one is a typing mistake.
const ANNOTATIONS: [&str; 3] = ["id", "prove", "says"];

/// How a property bounds what the policies allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// No request that it matches is allowed.
    Never,
    /// Every request that is allowed, of the kinds in its scope, it matches.
    Only,
}

impl Promise {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::Never, Self::Only];

    /// The word of `@prove`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Only => "only",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.word() == word)
    }
}

/// One promise, and the set of requests that it speaks of.
#[derive(Debug, Clone)]
pub struct Property {
    /// Its `@id`.
    pub id: String,
    /// The promise in plain words: its `@says`.
    pub says: String,
    /// Its `@prove`.
    pub promise: Promise,
    /// The set of requests, as the condition of a permit.
    pub policy: Policy,
}

/// Reads what the named policies of the file say of themselves.
pub(crate) fn read(
    policies: Vec<Policy>,
    taken: &BTreeSet<String>,
    schema: &Schema,
    actions: &Entities,
    problems: &mut Problems,
) -> Vec<Property> {
    if policies.len() > PROPERTIES_MAX {
        problems.add(
            PROPERTIES,
            format!("more than {PROPERTIES_MAX} properties"),
            "prove fewer, or raise the limit",
        );
        return Vec::new();
    }
    let mut properties = Vec::new();
    for policy in policies {
        let id = policy.id().to_string();
        let mut wrong = |why: String, fix: &str| problems.add(PROPERTIES, format!("`{id}` {why}"), fix);
        if taken.contains(&id) {
            wrong("is the @id of a policy, too".to_owned(), "rename one");
        }
        if policy.effect() == Effect::Forbid {
            wrong("is a forbid".to_owned(), "write the set of requests as a permit");
        }
        for (key, _) in policy.annotations().filter(|(key, _)| !ANNOTATIONS.contains(key)) {
            wrong(format!("has the unknown annotation `@{key}`"), "use @id, @prove and @says");
        }
        if !scope_is_kinds(&policy) {
            let fix = "name kinds only in the scope, and say the rest in `when`";
            wrong("names a single principal or resource in its scope".to_owned(), fix);
        }
        if !applies_somewhere(&policy, schema, actions) {
            wrong("speaks of no request that the schema has".to_owned(), "correct its scope");
        }
        let says = policy.annotation("says").unwrap_or_default().to_owned();
        if says.is_empty() {
            wrong("has no @says".to_owned(), "say the promise in plain words");
        }
        let word = policy.annotation("prove").unwrap_or_default().to_owned();
        match Promise::parse(&word) {
            Some(promise) => properties.push(Property { id, says, promise, policy }),
            None => wrong(format!("has the unknown @prove `{word}`"), "use `never` or `only`"),
        }
    }
    properties
}

/// The scope chooses the kinds of request that are looked at. Anything finer there would make an `only` look away.
fn scope_is_kinds(policy: &Policy) -> bool {
    matches!(policy.principal_constraint(), PrincipalConstraint::Any | PrincipalConstraint::Is(_))
        && matches!(policy.resource_constraint(), ResourceConstraint::Any | ResourceConstraint::Is(_))
        && matches!(
            policy.action_constraint(),
            ActionConstraint::Any | ActionConstraint::Eq(_) | ActionConstraint::In(_)
        )
}

fn applies_somewhere(policy: &Policy, schema: &Schema, actions: &Entities) -> bool {
    schema.request_envs().any(|env| {
        Groups::of(env.action(), actions).is_some_and(|groups| can_match(policy, &groups, env.principal()))
    })
}
