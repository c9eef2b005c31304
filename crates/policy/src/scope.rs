//! Which requests a policy's scope leaves open, without a look at its conditions.

use std::collections::BTreeSet;

use cedar_policy::{ActionConstraint, Entities, EntityTypeName, EntityUid, Policy, PrincipalConstraint};

/// An action and every group that it is in, by the schema.
#[derive(Debug, PartialEq, Eq)]
pub struct Groups {
    action: EntityUid,
    all: BTreeSet<EntityUid>,
}

impl Groups {
    /// The groups of an action among a schema's action entities; `None` if the schema has no such action.
    #[must_use]
    pub fn of(action: &EntityUid, actions: &Entities) -> Option<Self> {
        let mut all: BTreeSet<EntityUid> = actions.ancestors(action)?.cloned().collect();
        all.insert(action.clone());
        Some(Self { action: action.clone(), all })
    }
}

/// Whether a request of this action and kind of principal can lie in a policy's scope. Where it cannot, the policy
/// is false whatever the request holds, which cannot err either.
#[must_use]
pub fn can_match(policy: &Policy, action: &Groups, principal: &EntityTypeName) -> bool {
    acts(policy, action) && asks(policy, principal)
}

fn acts(policy: &Policy, action: &Groups) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(one) => one == action.action,
        ActionConstraint::In(list) => list.iter().any(|a| action.all.contains(a)),
    }
}

fn asks(policy: &Policy, asker: &EntityTypeName) -> bool {
    match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::In(_) => true,
        PrincipalConstraint::Eq(one) => one.type_name() == asker,
        PrincipalConstraint::Is(kind) | PrincipalConstraint::IsIn(kind, _) => kind == *asker,
    }
}
