//! Slices narrowed to a caller's teams: a policy for the people of one team says nothing about those of others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use cedar_policy::{EntityTypeName, Policy, PolicySet, PrincipalConstraint};
use model::Name;
use model::facts::PrincipalKind;

use crate::action::Action;
use crate::load::Slices;

/// Narrowed slices that are kept; when there are more, all are made again.
const KEPT_MAX: usize = 256;

type Key = (Action, PrincipalKind, Vec<Name>);

#[derive(Default)]
pub(super) struct Narrowed(Mutex<HashMap<Key, Arc<PolicySet>>>);

impl Narrowed {
    /// The policies of a slice that can match a caller of these teams.
    ///
    /// A principal is in its teams and in nothing else, and a team is in nothing (`docs/formats/policies.md`): where
    /// the scope asks for another team it is false, which cannot err.
    pub(super) fn of(
        &self,
        slices: &Slices,
        team: &EntityTypeName,
        (action, kind): (Action, PrincipalKind),
        teams: &[Name],
    ) -> Option<Arc<PolicySet>> {
        let key = (action, kind, teams.to_vec());
        if let Ok(kept) = self.0.lock()
            && let Some(slice) = kept.get(&key)
        {
            return Some(Arc::clone(slice));
        }
        let whole = slices.get(&(action, kind))?;
        let asks = |p: &&Policy| team_of(p, team).is_none_or(|id| teams.iter().any(|t| t.as_str() == id));
        let slice = Arc::new(PolicySet::from_policies(whole.policies().filter(asks).cloned()).ok()?);
        if let Ok(mut kept) = self.0.lock() {
            if kept.len() >= KEPT_MAX {
                kept.clear();
            }
            kept.insert(key, Arc::clone(&slice));
        }
        Some(slice)
    }
}

/// The team whose people a policy's scope asks for, if it does.
fn team_of(policy: &Policy, team: &EntityTypeName) -> Option<String> {
    match policy.principal_constraint() {
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) if uid.type_name() == team => {
            Some(uid.id().unescaped().to_owned())
        }
        _ => None,
    }
}
