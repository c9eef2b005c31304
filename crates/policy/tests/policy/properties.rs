//! Properties over facts of every kind.

use model::facts::{Evidence, Facts, Group, PrincipalKind};
use model::{DataClass, Purpose, Treatment, UnixSeconds};
use policy::Engine;
use proptest::prelude::*;

use crate::any;
use crate::cast::{engine, files, parse};

/// Guardrails that somebody may add one day, over every scope.
const FORBIDS: [&str; 5] = [
    "forbid (principal, action, resource) when { context.now < datetime(\"2026-11-22T11:00:00Z\") };",
    "forbid (principal is Clover::Employee, action in Clover::Action::\"plainDisclosure\", resource);",
    "forbid (principal, action in Clover::Action::\"rowLevel\", resource) when { context.rows > 200 };",
    "forbid (principal in Clover::Team::\"support\", action, resource) unless { context has mfa && context.mfa };",
    "forbid (principal, action == Clover::Action::\"exportField\", resource in Clover::FieldList::\"interop\");",
];

fn stricter() -> Vec<Engine> {
    let with = |forbid: &&str| {
        let mut files = files();
        files.insert("30-more.cedar".to_owned(), format!("@id(\"X\")\n{forbid}"));
        Engine::new(&parse(&files)).unwrap_or_else(|problems| panic!("{forbid}: {problems}"))
    };
    FORBIDS.iter().map(with).collect()
}

/// Which of the groups a single treatment is permitted for.
fn permitted(engine: &Engine, facts: &Facts, treatment: Treatment) -> Vec<bool> {
    let decision = engine.decide(Facts { ladder: vec![treatment], ..facts.clone() });
    decision.facts.groups.iter().map(|g| g.outcome.is_some()).collect()
}

#[test]
fn one_more_forbid_never_widens() {
    let (base, stricter) = (engine(), stricter());
    let config = ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(facts in any::facts())| {
        for treatment in Treatment::ALL {
            let before = permitted(&base, &facts, *treatment);
            for engine in &stricter {
                let after = permitted(engine, &facts, *treatment);
                prop_assert!(after.iter().zip(&before).all(|(after, before)| *before || !after));
            }
        }
    });
}

#[test]
fn the_outcome_is_the_first_permitted_step_of_the_ladder() {
    let engine = engine();
    let config = ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(facts in any::facts())| {
        let decision = engine.decide(facts.clone());
        for (i, group) in decision.facts.groups.iter().enumerate() {
            let mut steps = facts.ladder.iter();
            let first = steps.find(|t| permitted(&engine, &facts, **t).get(i) == Some(&true));
            prop_assert_eq!(group.outcome, first.copied());
        }
    });
}

#[test]
fn the_entities_that_are_remembered_of_a_caller_change_no_answer() {
    let config = ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() };
    let warm = engine();
    proptest!(config, |(facts in any::facts(), other in any::facts())| {
        let _ = warm.decide(facts.clone());
        // The same caller with other questions, at another time.
        let again = Facts {
            principal: facts.principal,
            dataset: facts.dataset,
            subject: facts.subject,
            evidence: facts.evidence,
            ..other
        };
        let remembered = warm.decide(again.clone());
        let cold = engine().decide(again);
        prop_assert_eq!(remembered, cold);
    });
}

/// Every moment that stands in facts.
fn moments(facts: &Facts) -> Vec<UnixSeconds> {
    let mut all = vec![facts.now];
    match &facts.evidence {
        Evidence::Grant(grant) => all.extend([grant.not_before, grant.not_after]),
        Evidence::Case(case) => all.push(case.approved_at),
        Evidence::Flow(_) | Evidence::None => {}
    }
    all
}

#[test]
fn the_starter_policies_err_on_no_moment_that_a_calendar_holds() {
    let engine = engine();
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(facts in any::facts())| {
        let real = moments(&facts).into_iter().all(|t| t != UnixSeconds(u64::MAX));
        prop_assert!(!engine.decide(facts).errors || !real);
    });
}

/// What is promised of one form of one group, said again without Cedar. `true` when releasing it breaks a promise.
fn breaks_a_promise(facts: &Facts, group: &Group, treatment: Treatment) -> bool {
    const REGION: [&str; 2] = ["IE", "NO"];
    const NAMED: [&str; 3] = ["SG", "CN", "US"];
    let me = &facts.principal;
    let place = me.country.as_str();
    let inside = REGION.contains(&place);
    let employee = me.kind == PrincipalKind::Employee;
    let goes_to = match (&facts.evidence, treatment) {
        (Evidence::Flow(flow), Treatment::Plain | Treatment::Pseudonymised) if !employee => {
            flow.destination.as_str().to_owned()
        }
        _ => place.to_owned(),
    };
    let leaves = !REGION.contains(&goes_to.as_str());
    let rows = treatment != Treatment::Aggregate;
    let private = group.class != DataClass::Public;
    let restricted = group.class == DataClass::Restricted;
    let own_grant = matches!(&facts.evidence, Evidence::Grant(g) if g.holder == me.tag
        && [Some(&g.approver), g.second.as_ref()].into_iter().flatten()
            .all(|a| a.tag != me.tag && REGION.contains(&a.country.as_str()))
        && (g.incident.is_none() || (inside && facts.rows <= 1000 && facts.purpose == Purpose::Incident
            && g.second.as_ref().is_some_and(|s| s.tag != g.approver.tag && s.employer != g.approver.employer)))
        && g.not_before <= facts.now && facts.now < g.not_after && g.not_after.0 - g.not_before.0 <= 30 * 86_400
        && g.subject.is_none_or(|s| facts.subject == Some(s) && facts.subjects <= 1)
        && g.fields.as_ref().is_none_or(|list| group.lists.contains(list)));
    let own_case = matches!(&facts.evidence, Evidence::Case(c) if c.engineer == me.tag && c.open
        && c.approver.tag != me.tag && REGION.contains(&c.approver.country.as_str()));
    let fresh_case = matches!(&facts.evidence, Evidence::Case(c) if facts.subject == Some(c.subject)
        && facts.subjects <= 1 && c.approved_at <= facts.now && facts.now.0 - c.approved_at.0 <= 7_200);
    (restricted && (leaves || !inside))
        || (leaves && !NAMED.contains(&goes_to.as_str()))
        || (!inside && !NAMED.contains(&place))
        || (treatment == Treatment::Plain && (place == "CN" || goes_to == "CN"))
        || (!rows && facts.k < 50)
        || (employee && !(me.device_managed && me.device_attested && me.strong))
        || (!employee && !me.qualified)
        || (employee && rows && facts.rows > 10_000)
        || (employee && rows && private && !own_grant && !own_case)
        || (employee && treatment == Treatment::Plain && !inside && private && !(own_case && fresh_case))
}

#[test]
fn no_permit_however_wide_breaks_a_promise() {
    let mut files = files();
    let all = "@id(\"ALL\") permit (principal, action, resource);".to_owned();
    files.insert("20-permits.cedar".to_owned(), all);
    let engine = Engine::new(&parse(&files)).unwrap();
    let config = ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(facts in any::facts())| {
        for treatment in Treatment::ALL {
            for (group, permitted) in facts.groups.iter().zip(permitted(&engine, &facts, *treatment)) {
                prop_assert!(!(permitted && breaks_a_promise(&facts, group, *treatment)), "{treatment} of {group:?}");
            }
        }
    });
}
