//! The people and services of the stories, and what they hold.

use model::facts::{
    Approver, CaseFacts, Evidence, Facts, FlowFacts, GrantFacts, Group, Principal, PrincipalKind,
};
use model::{Basis, CaseKind, Country, DataClass, Name, Purpose, Tag, Treatment};
use policy::{Decision, Engine};

pub(crate) use crate::any::{AMOUNT, NOW, files, folder, parse};

/// The engine of the starter rulebook.
pub(crate) fn engine() -> Engine {
    Engine::new(&parse(&files())).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A stable tag for a name.
pub(crate) fn tag(name: &str) -> Tag {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(name.bytes()).for_each(|(b, n)| *b = n);
    Tag::new(bytes)
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn country(code: &str) -> Country {
    Country::parse(code).unwrap()
}

/// Somebody for whom everything is in order, in a country.
pub(crate) fn principal(kind: PrincipalKind, who: &str, place: &str) -> Principal {
    Principal {
        kind,
        tag: tag(who),
        country: country(place),
        employer: name("acme-eu"),
        seat: country("IE"),
        qualified: true,
        teams: vec![],
        device_managed: true,
        device_attested: true,
        strong: true,
    }
}

pub(crate) fn employee(place: &str) -> Principal {
    principal(PrincipalKind::Employee, "me", place)
}

pub(crate) fn service(place: &str) -> Principal {
    principal(PrincipalKind::Service, "me", place)
}

/// Somebody of the asker's employer who approves in a country.
pub(crate) fn approver(place: &str) -> Approver {
    Approver { tag: tag("approver"), country: country(place), employer: name("acme-eu") }
}

/// A break-glass grant of eight hours, approved by people of two employers in Ireland.
pub(crate) fn glass() -> GrantFacts {
    let second = Approver { tag: tag("guard"), employer: name("acme-us"), ..approver("IE") };
    GrantFacts {
        second: Some(second),
        incident: Some(tag("incident")),
        purpose: Purpose::Incident,
        ..grant()
    }
}

/// A grant of eight hours that the asker holds and somebody in Ireland approved.
pub(crate) fn grant() -> GrantFacts {
    GrantFacts {
        id: tag("grant"),
        holder: tag("me"),
        approver: approver("IE"),
        second: None,
        incident: None,
        amount: AMOUNT,
        purpose: Purpose::Support,
        dataset: name("video"),
        fields: None,
        subject: None,
        not_before: NOW,
        not_after: NOW.plus(8 * 3600),
    }
}

/// A case of the asker about one person, approved in Ireland just now.
pub(crate) fn case(subject: &str) -> CaseFacts {
    CaseFacts {
        id: tag("case"),
        engineer: tag("me"),
        approver: approver("IE"),
        amount: AMOUNT,
        kind: CaseKind::VideoNotShown,
        subject: tag(subject),
        fields: name("video-status"),
        approved_at: NOW,
        open: true,
    }
}

/// A running flow to the asker.
pub(crate) fn flow(destination: &str) -> FlowFacts {
    FlowFacts {
        name: name("interop-us"),
        sink: tag("me"),
        fields: name("interop"),
        destination: country(destination),
        basis: Basis::SccWithTia,
        active: true,
    }
}

/// One person's rows of three classes, all of them on both lists.
pub(crate) fn request(principal: Principal, evidence: Evidence) -> Facts {
    let lists = vec![name("interop"), name("video-status")];
    let group = |class: &DataClass| Group { class: *class, lists: lists.clone(), fields: 1, outcome: None };
    Facts {
        principal,
        now: NOW.plus(60),
        purpose: Purpose::Support,
        dataset: name("video"),
        rows: 10,
        subjects: 1,
        subject: Some(tag("ana")),
        k: 50,
        evidence,
        ladder: Treatment::ALL.to_vec(),
        groups: DataClass::ALL.iter().map(group).collect(),
    }
}

/// What is decided for a class of a request.
pub(crate) fn outcome(decision: &Decision, class: DataClass) -> Option<Treatment> {
    decision.facts.groups.iter().find(|g| g.class == class).unwrap().outcome
}

/// What one treatment of one class comes to, and the policies that decided.
pub(crate) fn ask(
    engine: &Engine,
    facts: Facts,
    class: DataClass,
    treatment: Treatment,
) -> (bool, Vec<String>) {
    let mut facts = Facts { ladder: vec![treatment], ..facts };
    facts.groups.retain(|g| g.class == class);
    let decision = engine.decide(facts);
    assert!(!decision.errors, "{:?}", decision.policies);
    (outcome(&decision, class) == Some(treatment), decision.policies)
}
