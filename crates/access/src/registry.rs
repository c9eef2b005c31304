//! What the operator has on record about an actor: employment, training, teams. Not where they are.

use model::{ActorId, Name};
use serde::{Deserialize, Serialize};

use crate::text::{Lines, TextError, flag, yes_no};

/// First line of an actor's text.
pub const KIND: &str = "clover-actor/v1";

/// Person or workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorKind {
    /// A person who works for somebody.
    Employee,
    /// A workload.
    Service,
}

/// An actor's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Who.
    pub id: ActorId,
    /// Person or workload.
    pub kind: ActorKind,
    /// The employing or operating legal entity.
    pub employer: Name,
    /// An employee is trained; a workload is attested.
    pub qualified: bool,
    /// Teams, sorted.
    pub teams: Vec<Name>,
    /// Who stands in for them, sorted: such people do not approve for them, nor they for such people.
    pub deputies: Vec<ActorId>,
}

impl Actor {
    /// The text that the operator signs.
    #[must_use]
    pub fn text(&self) -> String {
        let kind = if self.kind == ActorKind::Employee { "employee" } else { "service" };
        let teams: Vec<&str> = self.teams.iter().map(Name::as_str).collect();
        let deputies: Vec<&str> = self.deputies.iter().map(ActorId::as_str).collect();
        let list = |names: Vec<&str>| if names.is_empty() { "-".to_owned() } else { names.join(",") };
        let (teams, deputies) = (list(teams), list(deputies));
        format!(
            "{KIND}\nid {}\nkind {kind}\nemployer {}\nqualified {}\nteams {teams}\ndeputies {deputies}\n",
            self.id.as_str(),
            self.employer,
            yes_no(self.qualified)
        )
    }

    /// Reads a text whose signature was verified.
    ///
    /// # Errors
    /// [`TextError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut l = Lines::parse(text, KIND)?;
        let kind = |v: &str| match v {
            "employee" => Ok(ActorKind::Employee),
            "service" => Ok(ActorKind::Service),
            _ => Err(()),
        };
        let teams = |v: &str| v.split(',').map(Name::parse).collect::<Result<Vec<_>, _>>();
        let deputies = |v: &str| v.split(',').map(ActorId::parse).collect::<Result<Vec<_>, _>>();
        let mut actor = Self {
            id: l.take("id", ActorId::parse)?,
            kind: l.take("kind", kind)?,
            employer: l.take("employer", Name::parse)?,
            qualified: l.take("qualified", flag)?,
            teams: l.take_option("teams", teams)?.unwrap_or_default(),
            deputies: l.take_option("deputies", deputies)?.unwrap_or_default(),
        };
        actor.teams.sort();
        actor.deputies.sort();
        l.end()?;
        Ok(actor)
    }
}
