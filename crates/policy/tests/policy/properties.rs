//! Properties over facts of every kind.

use model::Treatment;
use model::facts::Facts;
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
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
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
fn the_starter_policies_never_err_on_moments_that_a_calendar_holds() {
    let engine = engine();
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(facts in any::facts())| {
        let dates = format!("{facts:?}");
        let decision = engine.decide(facts);
        prop_assert!(!decision.errors || dates.contains("1844674407370955") || dates.contains("(250000"));
    });
}
