//! Which service inside may do what with records. It is processing in the region and crosses nothing: the rule is the
//! register that operator and auditor signed, and what was done is summed up on the ledger.

use model::inside::{Inside, InsideAct};
use model::{Name, Reason};

use crate::identify::{VerifiedActor, Who};
use crate::road::Road;

impl Road {
    /// The registered use of that name, if it serves this service for this act and, where one is named, this collection.
    ///
    /// # Errors
    /// [`Reason::Evidence`] when nothing of the kind is registered for it, the service or the company that runs it is not
    /// known to be inside the region, or the service is not attested; [`Reason::Suspended`]; [`Reason::Rulebook`] when
    /// this is not the rulebook in force.
    pub fn inside(
        &self,
        actor: &VerifiedActor,
        name: &Name,
        act: InsideAct,
        collection: Option<&str>,
    ) -> Result<&Inside, Reason> {
        let Who::Service(id) = actor.who() else { return Err(Reason::Evidence) };
        let rulebook = self.rulebook();
        let inside = rulebook.lanes.inside.get(name).filter(|i| i.service == *id && i.active);
        let inside = inside.filter(|i| i.acts.contains(&act)).ok_or(Reason::Evidence)?;
        if collection.is_some_and(|c| !inside.collections.iter().any(|mine| mine.as_str() == c)) {
            return Err(Reason::Evidence);
        }
        let principal = actor.principal();
        let home = |country| rulebook.programme.in_region(country);
        if !principal.qualified || !home(principal.country) || !home(principal.seat) {
            return Err(Reason::Evidence);
        }
        let passing = self.in_force().passing();
        if passing.stops_any(&[principal.country]) {
            return Err(Reason::Suspended);
        }
        if passing.rulebook() == Some(rulebook.digest) { Ok(inside) } else { Err(Reason::Rulebook) }
    }
}
