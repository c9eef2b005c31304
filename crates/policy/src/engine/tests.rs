use std::collections::BTreeSet;

use cedar_policy::{PolicyId, PolicySet};
use model::facts::Evidence;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;

#[path = "../../tests/policy/any.rs"]
mod any;

/// The whole set under the same ids, without slicing.
fn whole(policies: &str) -> PolicySet {
    let set: PolicySet = policies.parse().unwrap();
    let named = set.policies().map(|p| p.new_id(PolicyId::new(p.annotation("id").unwrap())));
    PolicySet::from_policies(named).unwrap()
}

/// Policies for the people of a team, in every form of scope.
const TEAMS: &str = "
    @id(\"X1\") permit (principal in Clover::Team::\"support\", action, resource);
    @id(\"X2\") permit (principal in Clover::Team::\"desk\", action in Clover::Action::\"rowLevel\", resource);
    @id(\"X3\") forbid (principal is Clover::Employee in Clover::Team::\"desk\", action, resource);
    @id(\"X4\") permit (principal in Clover::Employee::\"00\", action, resource);
    @id(\"X5\") forbid (principal, action, resource) when { principal in Clover::Team::\"support\" && principal in Clover::Team::\"desk\" };";

#[test]
fn a_slice_answers_as_the_whole_set_does() {
    let mut files = any::files();
    files.insert("30-teams.cedar".to_owned(), TEAMS.to_owned());
    let rulebook = any::parse(&files);
    let engine = Engine::new(&rulebook).unwrap();
    let whole = whole(&rulebook.policies);
    let config = ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() };
    let team = |text: &str| model::Name::parse(text).unwrap();
    let teams = [vec![], vec![team("support")], vec![team("desk")], vec![team("desk"), team("support")]];
    proptest!(config, |(mut facts in any::facts(), teams in proptest::sample::select(teams.to_vec()))| {
        facts.principal.teams = teams;
        let mut world = World::new(engine.ground(), &facts);
        let Ok(mut entities) = engine.entities(&mut world) else { return Ok(()) };
        if let Some(group) = facts.groups.first() {
            entities = world.with_field(&entities, group, &engine.loaded.schema).unwrap();
        }
        let kind = facts.principal.kind;
        for action in Treatment::ALL.iter().filter_map(|t| Action::of(*t, &facts)) {
            let Ok(context) = world.context(action.shape()) else { continue };
            let sliced = engine.ask(action, kind, &world, world.field(), context.clone(), &entities);
            let all = engine.ask_set(&whole, action, &world, world.field(), context, &entities);
            let parts = |a: Result<Answer, BuildError>| a.map(|a| (a.allowed, a.policies, a.error)).ok();
            prop_assert_eq!(parts(sliced), parts(all));
        }
    });
}

#[test]
fn every_policy_stands_in_some_slice_and_no_slice_holds_them_all() {
    let rulebook = any::parse(&any::files());
    let engine = Engine::new(&rulebook).unwrap();
    let ids = |set: &PolicySet| set.policies().map(|p| p.id().to_string()).collect::<BTreeSet<_>>();
    let all = ids(&whole(&rulebook.policies));
    let sliced: BTreeSet<String> = engine.loaded.slices.values().flat_map(ids).collect();
    assert_eq!(sliced, all, "{:?}", any::folder());
    assert!(engine.loaded.slices.values().all(|s| ids(s).len() < all.len()));
}

#[test]
fn a_person_reads_their_own_record_and_only_after_a_strong_sign_in() {
    let engine = Engine::new(&any::parse(&any::files())).unwrap();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut facts = any::facts().new_tree(&mut runner).unwrap().current();
    facts.principal.kind = PrincipalKind::Subject;
    facts.now = any::NOW;
    facts.evidence = Evidence::None;
    for strong in [true, false] {
        facts.principal.strong = strong;
        assert_eq!(engine.self_access(&facts), strong);
        let decision = engine.decide(facts.clone());
        assert!(decision.facts.groups.iter().all(|g| g.outcome.is_none()), "no row is theirs by policy");
    }
    facts.principal.strong = true;
    for kind in [PrincipalKind::Employee, PrincipalKind::Service, PrincipalKind::Operator] {
        facts.principal.kind = kind;
        assert!(!engine.self_access(&facts), "{kind:?}");
    }
}
