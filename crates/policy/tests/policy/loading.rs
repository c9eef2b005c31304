//! What is wrong with policies is told before they decide anything.

use model::Problems;
use policy::{Duty, Engine};

use crate::cast::{case, employee, engine, files, grant, parse, request};

/// The problems of the starter rulebook after a change to one of its files.
fn problems(file: &str, change: impl Fn(&str) -> String) -> Problems {
    let mut files = files();
    let text = files.get_mut(file).unwrap();
    *text = change(text);
    Engine::new(&parse(&files)).err().unwrap_or_default()
}

fn tells(problems: &Problems, words: &[&str]) {
    for word in words {
        assert!(problems.list().iter().any(|p| p.why.contains(word)), "no `{word}` in: {problems}");
    }
}

#[test]
fn every_problem_of_a_policy_file_is_told_at_once() {
    let found = problems("20-permits.cedar", |text| {
        text.replace("principal.trained", "principal.trayned").replace("\"notify\"", "\"notify,gossip\"")
    });
    tells(&found, &["trayned", "P3-out-of-region-pseudonymised", "P5-aggregate", "unknown duty `gossip`"]);
}

#[test]
fn a_syntax_error_is_told_with_the_words_where_it_stands() {
    let found = problems("20-permits.cedar", |text| format!("{text}\npermit (principal, action resource);"));
    tells(&found, &["near `resource"]);
}

#[test]
fn a_policy_has_an_id_of_its_own() {
    let found = problems("20-permits.cedar", |text| text.replacen("@id(\"P1-in-region-grant\")\n", "", 1));
    tells(&found, &["a policy without @id: `"]);
    let found = problems("20-permits.cedar", |text| text.replace("P16-public-treated", "P11-public"));
    tells(&found, &["two policies with the @id `P11-public`"]);
}

#[test]
fn a_template_and_a_dead_policy_are_refused() {
    let template = "\n@id(\"T\") permit (principal == ?principal, action, resource);";
    tells(&problems("20-permits.cedar", |text| format!("{text}{template}")), &["is a template"]);
    let dead = "\n@id(\"D\") permit (principal, action, resource) when { false };";
    tells(&problems("20-permits.cedar", |text| format!("{text}{dead}")), &["`D`"]);
}

#[test]
fn a_schema_that_does_not_take_the_facts_is_refused() {
    let found = problems("clover.cedarschema", |text| {
        text.replace("home: Region }", "home: Region, shoeSize: Long }")
            .replace("k: Long, ", "k: Long, epsilon: Long, ")
    });
    tells(&found, &["selfAccess", "releaseAggregate"]);
}

#[test]
fn an_unknown_place_cannot_be_named_as_a_destination() {
    let found = problems("programme.toml", |text| text.replace(r#""SG", "US"]"#, r#""SG", "US", "ZZ"]"#));
    tells(&found, &["`ZZ`"]);
}

#[test]
fn duties_of_the_permits_that_decide_add_up() {
    let mut files = files();
    let permits = files.get_mut("20-permits.cedar").unwrap();
    *permits = permits.replace("@id(\"P11-public\")", "@id(\"P11-public\")\n@duty(\"review, page\")");
    let engine = Engine::new(&parse(&files)).unwrap();
    let decision = engine.decide(request(employee("SG"), model::facts::Evidence::Case(case("ana"))));
    assert_eq!(decision.duties, [Duty::Notify, Duty::Review, Duty::Page], "{:?}", decision.policies);
}

#[test]
fn an_evaluation_error_permits_nothing_and_is_told() {
    let mut files = files();
    let overflow = "\n@id(\"X\") forbid (principal, action, resource)
        when { context has rows && context.rows * 9223372036854775807 == 0 };";
    files.get_mut("10-guardrails.cedar").unwrap().push_str(overflow);
    let engine = Engine::new(&parse(&files)).unwrap();
    let decision = engine.decide(request(employee("IE"), model::facts::Evidence::Grant(grant())));
    assert!(decision.errors);
    let rows = |t: Option<model::Treatment>| t.is_some_and(|t| t != model::Treatment::Aggregate);
    assert!(decision.facts.groups.iter().all(|g| !rows(g.outcome)), "{:?}", decision.facts.groups);
}

#[test]
fn a_moment_outside_the_calendar_permits_nothing() {
    let facts = request(employee("IE"), model::facts::Evidence::None);
    let decision = engine().decide(model::Facts { now: model::UnixSeconds(u64::MAX), ..facts });
    assert!(decision.errors && decision.facts.groups.iter().all(|g| g.outcome.is_none()));
}
