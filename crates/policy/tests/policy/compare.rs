//! Decisions made again under another rulebook, and what is told where nobody can say.

use std::sync::Arc;

use model::facts::{Evidence, Facts, FlowFacts};
use model::rulebook::{Files, Rulebook};
use model::{DataClass, Digest, Name, Treatment};
use policy::bridge::{Bridge, Uncarried};
use policy::compare::{Change, Row, Tally, Undecided, again, shadow};
use policy::{Engine, Memo};
use proptest::prelude::*;

use crate::any;
use crate::cast::{case, employee, engine, files, flow, grant, name, request, service, tag};

/// The starter's files with some words of one of them replaced.
fn changed(changes: &[(&str, &str, &str)]) -> Files {
    let mut files = files();
    for (file, from, to) in changes {
        let text = files.get_mut(*file).unwrap();
        assert!(text.contains(from), "`{file}` has no `{from}` any more");
        *text = text.replacen(from, to, 1);
    }
    files
}

/// A rulebook whose digest is told apart.
fn book(files: &Files, n: u8) -> Arc<Rulebook> {
    Arc::new(Rulebook::parse(files, |_| Digest::new([n; 32])).unwrap_or_else(|p| panic!("{p}")))
}

struct Pair {
    bridge: Bridge,
    engine: Engine,
}

impl Pair {
    fn of(candidate: &Files) -> Self {
        let to = book(candidate, 2);
        let engine = Engine::new(&to).unwrap_or_else(|problems| panic!("{problems}"));
        Self { bridge: Bridge::new(book(&files(), 1), to), engine }
    }

    fn again(&self, facts: &Facts) -> Result<Vec<Row>, Undecided> {
        again(&self.bridge, &mut Memo::new(&self.engine, 100), facts, None, true)
    }
}

/// A request about fields that the starter's catalogue declares, with what the starter decides of it.
fn decided(mut facts: Facts) -> Facts {
    let book = book(&files(), 1);
    let field = |class: &DataClass| {
        book.catalogue.fields().iter().find(|f| f.class == *class && f.name.starts_with("export.")).unwrap()
    };
    facts.dataset = name("export");
    if let Evidence::Grant(grant) = &mut facts.evidence {
        grant.dataset = name("export");
    }
    facts.groups.iter_mut().for_each(|group| group.lists.clone_from(&field(&group.class).lists));
    engine().decide(facts).facts
}

fn by_class(rows: &[Row], class: DataClass) -> &Row {
    rows.iter().find(|row| row.class == Some(class)).unwrap()
}

#[test]
fn the_same_rulebook_changes_nothing() {
    let pair = Pair::of(&files());
    for evidence in [Evidence::None, Evidence::Grant(grant()), Evidence::Case(case("ana"))] {
        for place in ["IE", "SG", "CN", "ZZ"] {
            let facts = decided(request(employee(place), evidence.clone()));
            let rows = pair.again(&facts).unwrap();
            assert_eq!(rows.len(), facts.groups.len());
            assert!(rows.iter().all(|row| row.change() == Change::Same && row.becomes.is_none()), "{rows:?}");
        }
    }
}

#[test]
fn what_would_open_and_what_would_close_is_told_apart() {
    let facts = decided(request(employee("SG"), Evidence::Grant(grant())));
    let close = Pair::of(&changed(&[(
        "20-permits.cedar",
        "@id(\"P3-out",
        "@id(\"P3-gone\") forbid (principal is Clover::Employee, action == Clover::Action::\"releasePseudonymised\", resource); @id(\"P3-out",
    )]));
    let rows = close.again(&facts).unwrap();
    let row = by_class(&rows, DataClass::Allowable);
    assert_eq!((row.from, row.change()), (Some(Treatment::Pseudonymised), Change::Narrower), "{rows:?}");
    let open = Pair::of(&changed(&[(
        "20-permits.cedar",
        "when { resource.class == Clover::DataClass::\"public\" };",
        "when { resource.class != Clover::DataClass::\"restricted\" };",
    )]));
    let facts = decided(request(employee("IE"), Evidence::None));
    assert!(open.again(&facts).unwrap().iter().all(|row| row.change() != Change::Wider), "G19 holds");
    let facts = decided(request(employee("SG"), Evidence::Case(case("ana"))));
    let rows = open.again(&facts).unwrap();
    assert_eq!(by_class(&rows, DataClass::Allowable).change(), Change::Wider, "{rows:?}");
}

#[test]
fn fields_that_change_their_class_are_decided_by_the_new_one_or_not_at_all() {
    let facts = decided(request(employee("IE"), Evidence::None));
    // Every field of the class goes: one answer for all of them.
    let catalogue = files()["catalogue.toml"].replace("class = \"public\"", "class = \"restricted\"");
    let mut all = files();
    all.insert("catalogue.toml".to_owned(), catalogue.clone());
    let rows = Pair::of(&all).again(&facts).unwrap();
    let row = by_class(&rows, DataClass::Public);
    assert_eq!((row.becomes, row.change()), (Some(DataClass::Restricted), Change::Narrower), "{rows:?}");
    // One of many goes: the facts do not say whether it was asked for.
    let mut one = files();
    let first = files()["catalogue.toml"].replacen("class = \"public\"", "class = \"restricted\"", 1);
    one.insert("catalogue.toml".to_owned(), first);
    assert_eq!(Pair::of(&one).again(&facts), Err(Undecided::Uncarried(Uncarried::Catalogue)));
}

#[test]
fn a_flow_is_decided_as_the_candidate_registers_it() {
    let book = book(&files(), 1);
    let registered = book.lanes.flows.first().unwrap();
    let mut facts = request(service("US"), Evidence::None);
    facts.evidence = Evidence::Flow(policy::bridge::as_facts(registered, tag("me")));
    let lanes = &files()["lanes.toml"];
    let carry = |lanes: String| {
        let mut files = files();
        files.insert("lanes.toml".to_owned(), lanes);
        Pair::of(&files).bridge.carry(&Facts { groups: vec![], ..facts.clone() }, None)
    };
    let stopped = carry(lanes.replace("active = true", "active = false")).unwrap().facts.unwrap();
    assert!(matches!(stopped.evidence, Evidence::Flow(f) if !f.active));
    let purpose = format!("purpose = \"{}\"", registered.purpose);
    assert_eq!(carry(lanes.replace(&purpose, "purpose = \"research\"")), Err(Uncarried::Flow));
    let nobody = FlowFacts { name: name("nobody"), ..flow("US") };
    let unknown = Facts { evidence: Evidence::Flow(nobody), ..facts.clone() };
    assert_eq!(Pair::of(&files()).bridge.carry(&unknown, None), Err(Uncarried::Flow));
}

#[test]
fn a_lane_that_is_gone_closes_and_a_lane_that_changed_is_not_guessed() {
    let facts = decided(request(employee("IE"), Evidence::None));
    let starter = book(&files(), 1);
    let lane: &Name = starter.lanes.lanes.keys().next().unwrap();
    let limits = files()["lanes.toml"].replace("rows_max = 1_000", "rows_max = 3");
    let with = |lanes: &str| {
        let mut files = files();
        files.insert("lanes.toml".to_owned(), lanes.to_owned());
        let pair = Pair::of(&files);
        again(&pair.bridge, &mut Memo::none(&pair.engine), &facts, Some(lane), true)
    };
    assert_eq!(with(&limits), Err(Undecided::Uncarried(Uncarried::Lane)));
    let gone = with("").unwrap();
    assert!(gone.iter().all(|row| row.to.is_none()), "{gone:?}");
}

#[test]
fn what_the_candidate_cannot_evaluate_is_told_and_never_unchanged() {
    let errs = Pair::of(&changed(&[(
        "20-permits.cedar",
        "@id(\"P11-public\")",
        "@id(\"X\") forbid (principal, action in Clover::Action::\"rowLevel\", resource) when { context.rows + 9223372036854775807 > 0 };\n@id(\"P11-public\")",
    )]));
    let facts = decided(request(employee("IE"), Evidence::None));
    assert_eq!(errs.again(&facts), Err(Undecided::Evaluation));
    assert_eq!(shadow(&errs.bridge, &errs.engine, &facts, None, true).errors, 1);
}

#[test]
fn a_shadow_counts_each_group_and_touches_nothing() {
    let facts = decided(request(employee("SG"), Evidence::Grant(grant())));
    let before = facts.clone();
    let pair = Pair::of(&files());
    let told = shadow(&pair.bridge, &pair.engine, &facts, None, true);
    assert_eq!((told.same, told.wider, told.narrower, told.errors), (3, 0, 0, 0));
    assert_eq!(facts, before);
}

#[test]
fn remembered_decisions_are_those_that_the_engine_makes() {
    let engine = engine();
    let mut memo = Memo::new(&engine, 8);
    let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
    let seen = std::cell::RefCell::new(&mut memo);
    proptest!(config, |(facts in any::facts(), shift in 1u8..200)| {
        let decision = engine.decide(facts.clone());
        let wanted: Vec<_> = decision.facts.groups.iter().map(|g| g.outcome).collect();
        let wanted = (!decision.errors).then_some(wanted);
        let mut memo = seen.borrow_mut();
        prop_assert_eq!(memo.decide(facts.clone()), wanted.clone());
        // The same people under other pseudonyms: what they may is the same, and is remembered.
        let mut others = facts;
        others.principal.tag = model::Tag::new(others.principal.tag.bytes().map(|b| b.wrapping_add(shift)));
        let own = engine.decide(others.clone());
        let wanted: Vec<_> = own.facts.groups.iter().map(|g| g.outcome).collect();
        prop_assert_eq!(memo.decide(others), (!own.errors).then_some(wanted));
    });
}

#[test]
fn people_who_are_told_apart_by_tags_alone_are_decided_once() {
    let engine = engine();
    let mut memo = Memo::new(&engine, 8);
    for who in ["ana", "bo", "cy"] {
        let mut facts = request(employee("IE"), Evidence::None);
        facts.subject = Some(tag(who));
        memo.decide(facts);
    }
    assert_eq!(memo.made(), 1);
    let named = changed(&[(
        "20-permits.cedar",
        "@id(\"P11-public\")",
        "@id(\"X\") forbid (principal == Clover::Employee::\"00\", action, resource);\n@id(\"P11-public\")",
    )]);
    let engine = Engine::new(&book(&named, 3)).unwrap();
    let mut memo = Memo::new(&engine, 8);
    for who in ["ana", "bo"] {
        let mut facts = request(employee("IE"), Evidence::None);
        facts.subject = Some(tag(who));
        memo.decide(facts);
    }
    assert_eq!(memo.made(), 2, "a policy names somebody, so that tags are taken as they are");
}

#[test]
fn a_tally_adds_up_in_whatever_order_it_is_merged() {
    let facts = decided(request(employee("SG"), Evidence::Grant(grant())));
    let pair = Pair::of(&changed(&[(
        "20-permits.cedar",
        "principal.trained &&\n  context has grant",
        "!principal.trained &&\n  context has grant",
    )]));
    let rows = pair.again(&facts).unwrap();
    let tally = |entries: &[u64]| {
        let mut tally = Tally::default();
        entries.iter().for_each(|e| tally.add(*e, rows.clone()));
        tally
    };
    let (mut one, mut other) = (tally(&[9, 7, 5]), tally(&[8, 1, 3]));
    one.merge(tally(&[8, 1, 3]));
    other.merge(tally(&[9, 7, 5]));
    assert_eq!(one, other);
    assert_eq!(one, tally(&[1, 3, 5, 7, 8, 9]));
    assert!(one.rows.values().all(|count| count.examples == [1, 3, 5, 7, 8]));
}
