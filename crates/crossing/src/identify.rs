//! The first step: who asks, by evidence that agrees.
//!
//! Where somebody is must be shown by their credential (or their device) and by their network address alike.
//! Disagreement of any two, and ignorance, count as outside every region.

use access::{Actor, ActorKind};
use model::facts::{Principal, PrincipalKind};
use model::programme::Programme;
use model::{ActorId, Country, Name, SubjectId, Tag};

/// What a credential says, after its chain was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose credential it is.
    pub who: Who,
    /// The place that the credential attests.
    pub country: Option<Country>,
    /// The place that the device attests for itself, apart from the person's credential.
    pub device_country: Option<Country>,
    /// The place of the network address, by the programme's table.
    pub network: Option<Country>,
    /// The credential lives on a managed device.
    pub device_managed: bool,
    /// The device was attested when the credential was issued.
    pub device_attested: bool,
    /// More than one factor was shown when the credential was issued.
    pub strong: bool,
}

/// The name on a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// An employee.
    Employee(ActorId),
    /// A service.
    Service(ActorId),
    /// A person whose data it is.
    Subject(SubjectId),
}

impl Session {
    /// Every country that address and credentials speak for, whether they agree or not.
    #[must_use]
    pub fn places(&self) -> Vec<Country> {
        [self.country, self.device_country, self.network].into_iter().flatten().collect()
    }

    /// Somebody of whom nothing is attested but the name.
    #[must_use]
    pub const fn bare(who: Who) -> Self {
        Self {
            who,
            country: None,
            device_country: None,
            network: None,
            device_managed: false,
            device_attested: false,
            strong: false,
        }
    }

    /// The place on which all evidence agrees.
    #[must_use]
    pub fn place(&self) -> Country {
        let Some(place) = self.country.or(self.device_country) else { return Country::UNKNOWN };
        let agrees = |evidence: Option<Country>| evidence.is_none_or(|c| c == place);
        // The network's evidence must be there; a rented exit alone, or a credential alone, is no evidence.
        if self.network == Some(place) && agrees(self.country) && agrees(self.device_country) {
            place
        } else {
            Country::UNKNOWN
        }
    }
}

/// Somebody whose credential, record and place were checked. Only [`identify`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedActor {
    who: Who,
    principal: Principal,
}

/// Why somebody is not identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotIdentified {
    /// The credential speaks of another kind of actor than the record.
    #[error("credential and record disagree")]
    Disagree,
    /// The employer is not in the programme.
    #[error("the employer is not in the programme")]
    Employer,
}

impl VerifiedActor {
    /// The name on the credential.
    #[must_use]
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// The actor's name, for employees and services.
    #[must_use]
    pub fn actor(&self) -> Option<&ActorId> {
        match &self.who {
            Who::Employee(id) | Who::Service(id) => Some(id),
            Who::Subject(_) => None,
        }
    }

    /// What policy sees.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whom the pseudonyms of a release are made for: their employer.
    #[must_use]
    pub fn recipient(&self) -> &str {
        self.principal.employer.as_str()
    }
}

/// Identifies an employee or service by credential and record. `tag` is the keyed pseudonym of the actor.
///
/// # Errors
/// [`NotIdentified`] when the two do not fit together.
pub fn identify(
    session: &Session,
    record: &Actor,
    programme: &Programme,
    tag: Tag,
) -> Result<VerifiedActor, NotIdentified> {
    let kind = match (&session.who, record.kind) {
        (Who::Employee(id), ActorKind::Employee) if *id == record.id => PrincipalKind::Employee,
        (Who::Service(id), ActorKind::Service) if *id == record.id => PrincipalKind::Service,
        _ => return Err(NotIdentified::Disagree),
    };
    let seat = programme.employers.get(&record.employer).copied().ok_or(NotIdentified::Employer)?;
    let (employer, teams) = (record.employer.clone(), record.teams.clone());
    let principal = principal(kind, tag, session, employer, seat, record.qualified, teams);
    Ok(VerifiedActor { who: session.who.clone(), principal })
}

/// The receiving workload of a registered flow, at the place for which the flow is registered, if the network
/// address to which its bytes will go says the same. Before a byte is sent there, its certificate is checked
/// against the name that local configuration gives it.
///
/// # Errors
/// [`NotIdentified`] when the record is no service's.
pub fn receiver(
    record: &Actor,
    programme: &Programme,
    tag: Tag,
    destination: Country,
    network: Option<Country>,
) -> Result<VerifiedActor, NotIdentified> {
    let who = Who::Service(record.id.clone());
    let session = Session { country: Some(destination), network, ..Session::bare(who) };
    identify(&session, record, programme, tag)
}

/// Identifies a person who asks for their own data. The tag is theirs as a subject.
///
/// # Errors
/// [`NotIdentified::Disagree`] when the credential is no person's.
pub fn identify_subject(
    session: &Session,
    programme: &Programme,
    tag: Tag,
) -> Result<VerifiedActor, NotIdentified> {
    let Who::Subject(_) = &session.who else { return Err(NotIdentified::Disagree) };
    let employer = programme.name.clone();
    let principal =
        principal(PrincipalKind::Subject, tag, session, employer, Country::UNKNOWN, false, Vec::new());
    Ok(VerifiedActor { who: session.who.clone(), principal })
}

fn principal(
    kind: PrincipalKind,
    tag: Tag,
    session: &Session,
    employer: Name,
    seat: Country,
    qualified: bool,
    teams: Vec<Name>,
) -> Principal {
    Principal {
        kind,
        tag,
        country: session.place(),
        employer,
        seat,
        qualified,
        teams,
        device_managed: session.device_managed,
        device_attested: session.device_attested,
        strong: session.strong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(country: &str, network: Option<&str>) -> Session {
        let c = |t: &str| Country::parse(t).unwrap();
        Session {
            who: Who::Employee(ActorId::parse("mei").unwrap()),
            country: Some(c(country)),
            device_country: None,
            network: network.map(c),
            device_managed: true,
            device_attested: true,
            strong: true,
        }
    }

    #[test]
    fn a_place_counts_only_when_credential_and_network_agree() {
        assert_eq!(session("IE", Some("IE")).place().as_str(), "IE");
        assert_eq!(session("IE", Some("CN")).place(), Country::UNKNOWN);
        assert_eq!(session("IE", None).place(), Country::UNKNOWN);
        let nowhere = Session { country: None, ..session("IE", Some("IE")) };
        assert_eq!(nowhere.place(), Country::UNKNOWN, "a network alone");
    }

    #[test]
    fn a_device_that_says_another_place_than_its_user_is_nowhere() {
        let device = |c: &str| Some(Country::parse(c).unwrap());
        let both = Session { device_country: device("IE"), ..session("IE", Some("IE")) };
        assert_eq!(both.place().as_str(), "IE");
        for network in [Some("IE"), Some("CN"), None] {
            let apart = Session { device_country: device("CN"), ..session("IE", network) };
            assert_eq!(apart.place(), Country::UNKNOWN);
        }
        let alone = Session { country: None, ..both };
        assert_eq!(alone.place().as_str(), "IE", "a device's word and the network's");
    }
}
