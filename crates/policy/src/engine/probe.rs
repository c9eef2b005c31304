//! Asks one made-up question of each form at load, so that a schema which does not take what the facts
//! give is a problem of the rulebook and not a gateway that refuses everything without a word.

use model::codes::{Basis, CaseKind, DataClass, Purpose};
use model::facts::{
    Approver, CaseFacts, Evidence, Facts, FlowFacts, GrantFacts, Group, Principal, PrincipalKind,
};
use model::procedures::Amount;
use model::{Country, Name, Problems, Tag, Treatment, UnixSeconds};

use super::Engine;
use crate::action::{Action, Shape};
use crate::world::{BuildError, World};

impl Engine {
    pub(super) fn probe(&self) -> Problems {
        let mut problems = Problems::default();
        let name = &self.programme.name;
        let mut check = |facts: &Facts, action: Action, result: Result<(), BuildError>| {
            if let Err(e) = result {
                let why = std::error::Error::source(&e).map_or_else(String::new, |s| format!(": {s}"));
                let kind = facts.principal.kind;
                let why = format!("`{}` of a principal of kind {kind:?}: {e}{why}", action.word());
                problems.add("clover.cedarschema", why.replace('\n', " "), "see docs/formats/policies.md");
            }
        };
        for (kind, evidence) in forms(name) {
            let facts = facts(name, kind, evidence);
            for treatment in Treatment::ALL {
                if let Some(action) = Action::of(*treatment, &facts) {
                    check(&facts, action, self.probe_one(&facts, action));
                }
            }
        }
        let own = facts(name, PrincipalKind::Subject, Evidence::None);
        check(&own, Action::SelfAccess, self.own(&own).map(|_| ()));
        problems
    }

    fn probe_one(&self, facts: &Facts, action: Action) -> Result<(), BuildError> {
        let mut world = World::new(self.ground(), facts);
        let mut entities = self.entities(&mut world)?;
        if let Some(group) = facts.groups.first() {
            entities = world.with_field(&entities, group, &self.loaded.schema)?;
        }
        debug_assert!(action.shape() != Shape::Own, "self-access has no group");
        self.treat(action, &world, facts.principal.kind, &entities).map(|_| ())
    }
}

const AT: UnixSeconds = UnixSeconds(1_800_000_000);
const ME: Tag = Tag::new([1; 16]);
const OTHER: Tag = Tag::new([2; 16]);

/// Every kind of principal with every kind of evidence that can stand in its facts.
fn forms(name: &Name) -> Vec<(PrincipalKind, Evidence)> {
    let approver = Approver { tag: OTHER, country: Country::UNKNOWN, employer: name.clone() };
    let amount = Amount { rows: 1, bytes: 1, subjects: 1 };
    let grant = Evidence::Grant(GrantFacts {
        id: OTHER,
        holder: ME,
        approver: approver.clone(),
        second: Some(approver.clone()),
        incident: Some(OTHER),
        amount,
        purpose: Purpose::Support,
        dataset: name.clone(),
        fields: Some(name.clone()),
        subject: Some(OTHER),
        not_before: AT,
        not_after: AT,
    });
    let case = Evidence::Case(CaseFacts {
        id: OTHER,
        engineer: ME,
        approver,
        amount,
        kind: CaseKind::VideoNotShown,
        subject: OTHER,
        fields: name.clone(),
        approved_at: AT,
        open: true,
    });
    let flow = Evidence::Flow(FlowFacts {
        name: name.clone(),
        sink: OTHER,
        fields: name.clone(),
        destination: Country::UNKNOWN,
        basis: Basis::Adequacy,
        active: true,
    });
    let mut forms = Vec::new();
    for kind in [PrincipalKind::Employee, PrincipalKind::Service] {
        for evidence in [&Evidence::None, &grant, &case, &flow] {
            forms.push((kind, evidence.clone()));
        }
    }
    forms
}

fn facts(name: &Name, kind: PrincipalKind, evidence: Evidence) -> Facts {
    Facts {
        principal: Principal {
            kind,
            tag: ME,
            country: Country::UNKNOWN,
            employer: name.clone(),
            seat: Country::UNKNOWN,
            qualified: true,
            teams: vec![name.clone()],
            device_managed: true,
            device_attested: true,
            strong: true,
        },
        now: AT,
        purpose: Purpose::Support,
        dataset: name.clone(),
        rows: 1,
        subjects: 1,
        subject: Some(OTHER),
        k: 50,
        evidence,
        ladder: Treatment::ALL.to_vec(),
        groups: vec![Group {
            class: DataClass::Restricted,
            lists: vec![name.clone()],
            fields: 1,
            outcome: None,
        }],
    }
}
