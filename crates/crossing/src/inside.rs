//! Which service inside may do what with records. It is processing in the region and crosses nothing: the rule is the
//! register that operator and auditor signed, and what was done is summed up on the ledger.

use std::collections::BTreeMap;

use model::catalogue::Field;
use model::inside::{Inside, InsideAct};
use model::lanes::Reversible;
use model::{Name, Purpose, Reason, UnixSeconds};
use transform::pseudonym::epoch_of;

use crate::identify::{VerifiedActor, Who};
use crate::road::Road;
use crate::treat::{self, For};

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

/// For whom tokens were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// The workload of a flow.
    Flow(Name),
    /// The people of a company.
    Employer(Name),
}

impl Recipient {
    /// As keys are derived for it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Flow(name) => format!("flow {name}"),
            Self::Employer(name) => format!("employer {name}"),
        }
    }
}

/// Tokens of one field that a service inside wants opened.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The lane on which they went out.
    pub lane: Name,
    /// The field, by its full name.
    pub field: String,
    /// For whom they were made.
    pub recipient: Recipient,
    /// For what.
    pub purpose: Purpose,
    /// In which epoch, where they have the form of a number and do not say so. The current one without it.
    pub epoch: Option<u32>,
    /// The tokens.
    pub tokens: Vec<String>,
}

impl Road {
    /// The field whose tokens are to be opened, if it is one of the use's collections and its lane declares that they can
    /// be.
    ///
    /// # Errors
    /// [`Reason::Evidence`].
    pub fn opens(&self, inside: &Inside, opening: &Opening) -> Result<&Field, Reason> {
        let catalogue = &self.rulebook().catalogue;
        let index = catalogue.find(&opening.field).ok_or(Reason::Evidence)?;
        let mine =
            |c: &Name| inside.fields(catalogue, c.as_str()).is_some_and(|fields| fields.contains(&index));
        let lane =
            self.rulebook().lanes.lanes.get(&opening.lane).filter(|lane| lane.dataset == inside.dataset);
        let declared = lane.is_some_and(|lane| lane.terms.reversible.contains_key(&index));
        let field = catalogue.field(index).filter(|_| declared && inside.collections.iter().any(mine));
        field.ok_or(Reason::Evidence)
    }

    /// Opens tokens: `None` for one that was not made so, or whose epoch is destroyed. Whoever asks is a service inside
    /// that [`Road::inside`] and [`Road::opens`] let, and what is opened is counted on the ledger.
    #[must_use]
    pub fn open_tokens(&self, opening: &Opening, now: UnixSeconds) -> Vec<Option<String>> {
        let catalogue = &self.rulebook().catalogue;
        let lane = self.rulebook().lanes.lanes.get(&opening.lane);
        let declared = catalogue
            .find(&opening.field)
            .and_then(|index| Some((catalogue.field(index)?, *lane?.terms.reversible.get(&index)?)));
        let Some((field, how)) = declared else { return vec![None; opening.tokens.len()] };
        let recipient = opening.recipient.text();
        let mut keys = BTreeMap::new();
        let mut open = |token: &String| {
            let epoch = match how {
                Reversible::Token => epoch_of(token.as_bytes())?,
                // A number authenticates nothing: under another epoch it would open to somebody else's.
                _ => opening.epoch?,
            };
            let keys = keys.entry(epoch).or_insert_with(|| {
                let secret = self.secret_kept(epoch, now)?;
                let to = For { recipient: &recipient, purpose: opening.purpose.word(), epoch };
                Some(treat::opening(&secret, to, field.class))
            });
            let (plain, number) = keys.as_ref()?;
            let label = field.kind.word();
            match treat::formatted(how, |format| number.open(label, format, token).ok()) {
                None => String::from_utf8(plain.open(label, token.as_bytes()).ok()?.to_vec()).ok(),
                Some(opened) => opened.map(|number| number.to_string()),
            }
        };
        opening.tokens.iter().map(&mut open).collect()
    }
}
