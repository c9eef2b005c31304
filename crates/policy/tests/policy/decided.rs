//! What was settled about the first draft of the policies, one test each.

use model::facts::{Evidence, Facts, GrantFacts};
use model::{Basis, DataClass, Treatment};

use crate::cast::{approver, ask, case, employee, engine, flow, grant, name, request, service, tag};

const OUTSIDE: [&str; 4] = ["SG", "US", "CN", "ZZ"];
const ROWS: [Treatment; 4] =
    [Treatment::Plain, Treatment::Pseudonymised, Treatment::Generalised, Treatment::Masked];

#[test]
fn counts_of_restricted_data_never_leave_the_region() {
    let engine = engine();
    for place in OUTSIDE {
        let facts = request(employee(place), Evidence::None);
        let (allowed, by) = ask(&engine, facts, DataClass::Restricted, Treatment::Aggregate);
        assert!(!allowed && by.contains(&"G18-restricted-counts-stay".to_owned()), "{place}: {by:?}");
    }
    let inside = request(employee("IE"), Evidence::None);
    assert!(ask(&engine, inside.clone(), DataClass::Restricted, Treatment::Aggregate).0);
    let small = Facts { k: 49, ..inside };
    assert!(!ask(&engine, small, DataClass::Restricted, Treatment::Aggregate).0, "a group of 49");
}

#[test]
fn restricted_data_leaves_in_no_row_level_form() {
    let engine = engine();
    for place in OUTSIDE {
        for evidence in [Evidence::Grant(grant()), Evidence::Case(case("ana"))] {
            for treatment in ROWS {
                let facts = request(employee(place), evidence.clone());
                let (allowed, by) = ask(&engine, facts, DataClass::Restricted, treatment);
                let held = by.contains(&"G8-restricted-row-level-stays".to_owned());
                assert!(!allowed && held, "{place} {treatment}: {by:?}");
            }
        }
    }
    for treatment in [Treatment::Plain, Treatment::Pseudonymised] {
        let facts = request(service("US"), Evidence::Flow(flow("US")));
        let (allowed, by) = ask(&engine, facts, DataClass::Restricted, treatment);
        assert!(!allowed && by.contains(&"G3-restricted-never-crosses".to_owned()), "{treatment}: {by:?}");
    }
}

#[test]
fn nothing_is_read_in_plain_in_a_heightened_country_not_even_under_a_case() {
    let engine = engine();
    for evidence in [Evidence::None, Evidence::Grant(grant()), Evidence::Case(case("ana"))] {
        for class in DataClass::ALL {
            let facts = request(employee("CN"), evidence.clone());
            let (allowed, by) = ask(&engine, facts, *class, Treatment::Plain);
            assert!(!allowed && by.contains(&"G7-heightened-country".to_owned()), "{class}: {by:?}");
        }
    }
    let public = || request(employee("CN"), Evidence::None);
    let (allowed, by) = ask(&engine, public(), DataClass::Public, Treatment::Pseudonymised);
    assert!(!allowed && by.contains(&"G22-assessment-pseudonymised".to_owned()), "{by:?}");
    // It is the assessment that stops this form; guardrail G7 stops plain, whatever an assessment says.
    let mut files = crate::cast::files();
    let assessments = files.get_mut("assessments.toml").unwrap();
    *assessments = assessments.replace("\"aggregate\", \"dp\"]\n\n#", "\"pseudonymised\"]\n\n#");
    let named = policy::Engine::new(&crate::cast::parse(&files)).unwrap();
    assert!(ask(&named, public(), DataClass::Public, Treatment::Pseudonymised).0);
    assert!(!ask(&named, public(), DataClass::Public, Treatment::Plain).0);
    let sent = request(service("IE"), Evidence::Flow(flow("CN")));
    let (allowed, by) = ask(&engine, sent, DataClass::Public, Treatment::Plain);
    assert!(!allowed && by.contains(&"G7-heightened-destination".to_owned()), "{by:?}");
}

#[test]
fn a_flow_carries_its_basis_into_each_form() {
    let engine = engine();
    for basis in Basis::ALL {
        for treatment in [Treatment::Plain, Treatment::Pseudonymised] {
            let flow = model::facts::FlowFacts { basis: *basis, ..flow("US") };
            let facts = request(service("US"), Evidence::Flow(flow));
            assert!(ask(&engine, facts, DataClass::Allowable, treatment).0, "{basis} {treatment}");
        }
    }
}

#[test]
fn approvals_count_by_the_region_of_the_data_whatever_it_is_called() {
    let mut files = crate::cast::files();
    let programme = files.get_mut("programme.toml").unwrap();
    *programme = programme
        .replace("EEA-GB-CH", "US-ONLY")
        .replace(r#"gb = ["GB"]"#, r#"us = ["US"]"#)
        .replace(r#", "US"]"#, r#", "IE"]"#)
        .replace(r#""HU", "IE","#, r#""HU","#)
        .replace("country = \"IE\"", "country = \"US\"");
    let assessments = files.get_mut("assessments.toml").unwrap();
    *assessments = assessments.replace("\"US\"", "\"IE\"");
    let engine = policy::Engine::new(&crate::cast::parse(&files)).unwrap();
    let approved = |place: &str| {
        let grant = GrantFacts { approver: approver(place), ..grant() };
        let facts = request(employee("US"), Evidence::Grant(grant));
        ask(&engine, facts, DataClass::Restricted, Treatment::Plain)
    };
    assert_eq!(approved("US"), (true, vec!["P1-in-region-grant".to_owned()]));
    assert_eq!(approved("IE"), (false, vec!["G17-grant-approved-inside-by-another".to_owned()]));
}

#[test]
fn no_grant_outlasts_thirty_days_nor_eight_hours_for_restricted_data_in_plain() {
    const HOUR: u64 = 3600;
    let engine = engine();
    let lasting = |seconds: u64, class, treatment| {
        let grant = GrantFacts { not_after: grant().not_before.plus(seconds), ..grant() };
        ask(&engine, request(employee("IE"), Evidence::Grant(grant)), class, treatment).0
    };
    assert!(lasting(8 * HOUR, DataClass::Restricted, Treatment::Plain));
    assert!(!lasting(8 * HOUR + 1, DataClass::Restricted, Treatment::Plain));
    assert!(lasting(8 * HOUR + 1, DataClass::Restricted, Treatment::Pseudonymised));
    assert!(lasting(30 * 24 * HOUR, DataClass::Allowable, Treatment::Plain));
    assert!(!lasting(30 * 24 * HOUR + 1, DataClass::Allowable, Treatment::Plain));
    assert!(!lasting(30 * 24 * HOUR + 1, DataClass::Restricted, Treatment::Masked));
}

#[test]
fn a_grant_for_one_person_or_a_list_opens_no_more_than_that() {
    let engine = engine();
    let plain = |grant: GrantFacts, change: fn(&mut Facts)| {
        let mut facts = request(employee("IE"), Evidence::Grant(grant));
        change(&mut facts);
        ask(&engine, facts, DataClass::Restricted, Treatment::Plain).0
    };
    let ana = GrantFacts { subject: Some(tag("ana")), ..grant() };
    assert!(plain(ana.clone(), |_| ()));
    assert!(!plain(ana.clone(), |f| f.subject = Some(tag("bo"))));
    assert!(!plain(ana.clone(), |f| f.subject = None));
    assert!(!plain(ana, |f| f.subjects = 2));
    let listed = GrantFacts { fields: Some(name("interop")), ..grant() };
    assert!(plain(listed.clone(), |_| ()));
    assert!(!plain(listed, |f| f.groups.iter_mut().for_each(|g| g.lists = vec![name("video-status")])));
}

#[test]
fn a_country_that_is_not_named_gets_nothing_at_all() {
    let engine = engine();
    for place in ["RU", "ZZ"] {
        let mut facts = request(employee(place), Evidence::Grant(grant()));
        let decision = engine.decide(facts.clone());
        assert!(decision.facts.groups.iter().all(|g| g.outcome.is_none()), "{place}: {:?}", decision.facts);
        facts = request(service(place), Evidence::Flow(flow(place)));
        let decision = engine.decide(facts);
        assert!(decision.facts.groups.iter().all(|g| g.outcome.is_none()), "{place}: {:?}", decision.facts);
    }
}
