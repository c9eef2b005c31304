//! Assessments and adequacy have dates, and what they stop is told apart from what policy would refuse anyway.

use model::facts::{Evidence, Facts, FlowFacts};
use model::{Basis, DataClass, Treatment, UnixSeconds};
use policy::{Decision, Engine};

use crate::cast::{case, employee, engine, files, flow, outcome, parse, request, service};

/// The starter rulebook after a change to its assessments.
fn with(from: &str, to: &str) -> Engine {
    let mut files = files();
    let text = files.get_mut("assessments.toml").unwrap();
    assert!(text.contains(from), "{from}");
    *text = text.replace(from, to);
    Engine::new(&parse(&files)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn at(text: &str) -> UnixSeconds {
    UnixSeconds::parse(text).unwrap()
}

/// Rows of one class, and whether it was an assessment that stopped them.
fn rows(engine: &Engine, facts: Facts, class: DataClass) -> (Option<Treatment>, bool) {
    let mut facts = Facts { ladder: vec![Treatment::Plain, Treatment::Pseudonymised], ..facts };
    facts.groups.retain(|g| g.class == class);
    let decision: Decision = engine.decide(facts);
    assert!(!decision.errors);
    (outcome(&decision, class), decision.assessment)
}

#[test]
fn what_an_assessment_stops_is_told_apart_from_what_policy_refuses() {
    let starter = engine();
    let held = || request(employee("SG"), Evidence::Case(case("ana")));
    let allowable = DataClass::Allowable;
    assert_eq!(rows(&starter, held(), allowable), (Some(Treatment::Plain), false));
    // Another person than the case's: no assessment would help.
    let other = Facts { subject: Some(crate::cast::tag("bo")), ..held() };
    assert_eq!(rows(&starter, other, allowable), (None, false));
    for (from, to, why) in [
        ("country = \"SG\"", "country = \"TW\"", "missing"),
        ("expires = \"2036-01-01\"", "expires = \"2026-11-22\"", "expired"),
        ("reviewed = \"2026-01-01\"", "reviewed = \"2026-11-23\"", "not yet begun"),
        ("\"plain\", \"pseudonymised\"", "\"pseudonymised\"", "plain is not named"),
    ] {
        assert_eq!(rows(&with(from, to), held(), allowable), (None, true), "{why}");
    }
    // Neither inside the region nor where the programme names no destination is it ever the reason.
    let expired = with("expires = \"2036-01-01\"", "expires = \"2026-11-22\"");
    for place in ["IE", "RU", "ZZ"] {
        let asked = request(employee(place), Evidence::None);
        assert_eq!(rows(&expired, asked, allowable), (None, false), "{place}");
    }
    assert_eq!(rows(&starter, request(employee("CN"), Evidence::None), DataClass::Public), (None, true));
    assert_eq!(rows(&starter, request(employee("CN"), Evidence::None), DataClass::Restricted), (None, false));
}

#[test]
fn adequacy_lost_on_a_day_blocks_on_that_day_and_not_a_second_before() {
    let engine = with("from = \"2019-01-23\"", "from = \"2019-01-23\"\nuntil = \"2026-12-01\"");
    let flow = |basis| Evidence::Flow(FlowFacts { basis, ..flow("JP") });
    let asked = |basis, now| {
        let facts = Facts { now: at(now), ..request(service("JP"), flow(basis)) };
        rows(&engine, facts, DataClass::Allowable)
    };
    assert_eq!(asked(Basis::Adequacy, "2026-11-30T23:59:59Z"), (Some(Treatment::Plain), false));
    assert_eq!(asked(Basis::Adequacy, "2026-12-01T00:00:00Z"), (None, true));
    assert_eq!(asked(Basis::SccWithTia, "2026-12-01T00:00:00Z"), (Some(Treatment::Plain), false));
}

#[test]
fn a_programme_with_destinations_needs_its_assessments() {
    let mut files = files();
    files.remove("assessments.toml");
    let problems = model::rulebook::Rulebook::parse(&files, |_| model::Digest::new([0; 32])).unwrap_err();
    assert!(problems.list().iter().any(|p| p.place == "assessments.toml"), "{problems}");
    let text = files.get_mut("programme.toml").unwrap();
    let line = text.lines().find(|l| l.starts_with("destinations")).unwrap().to_owned();
    *text = text.replace(&line, "destinations = []");
    assert!(model::rulebook::Rulebook::parse(&files, |_| model::Digest::new([0; 32])).is_ok());
}
