//! Runs `policies/tests/*.toml`: given some people and evidence, when somebody asks, expect an outcome and
//! the policies that decided it, so that a right answer for a wrong reason is a failure too.

use std::collections::BTreeMap;

use model::facts::{CaseFacts, Evidence, Facts, FlowFacts, GrantFacts, Group, Principal, PrincipalKind};
use model::{Basis, CaseKind, DataClass, Purpose, Treatment, UnixSeconds};
use serde::Deserialize;

use crate::cast::{country, engine, folder, name, tag};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    given: Given,
    test: Vec<Test>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    dataset: String,
    now: String,
    people: BTreeMap<String, Person>,
    #[serde(default)]
    grants: BTreeMap<String, Grant>,
    #[serde(default)]
    cases: BTreeMap<String, Case>,
    #[serde(default)]
    flows: BTreeMap<String, Flow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    place: String,
    #[serde(default)]
    service: bool,
    #[serde(default = "yes")]
    qualified: bool,
    #[serde(default = "yes")]
    managed: bool,
    #[serde(default = "yes")]
    attested: bool,
    #[serde(default = "yes")]
    strong: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    holder: String,
    approver: String,
    purpose: String,
    dataset: Option<String>,
    fields: Option<String>,
    subject: Option<String>,
    from: String,
    until: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    engineer: String,
    approver: String,
    kind: String,
    subject: String,
    fields: String,
    approved: String,
    #[serde(default = "yes")]
    open: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flow {
    sink: String,
    fields: String,
    destination: String,
    basis: String,
    #[serde(default = "yes")]
    active: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    name: String,
    when: When,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    who: String,
    asks: Vec<String>,
    purpose: String,
    class: String,
    #[serde(default)]
    lists: Vec<String>,
    subject: Option<String>,
    #[serde(default = "one")]
    subjects: u32,
    #[serde(default = "one")]
    rows: u32,
    #[serde(default)]
    k: u32,
    now: Option<String>,
    grant: Option<String>,
    case: Option<String>,
    flow: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    outcome: String,
    by: Vec<String>,
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

fn time(text: &str) -> UnixSeconds {
    UnixSeconds::parse(text).unwrap()
}

impl Given {
    fn principal(&self, who: &str) -> Principal {
        let p = &self.people[who];
        Principal {
            kind: if p.service { PrincipalKind::Service } else { PrincipalKind::Employee },
            tag: tag(who),
            country: country(&p.place),
            employer: name("acme-eu"),
            seat: country("IE"),
            qualified: p.qualified,
            teams: vec![],
            device_managed: p.managed,
            device_attested: p.attested,
            strong: p.strong,
        }
    }

    fn evidence(&self, when: &When) -> Evidence {
        if let Some(id) = &when.grant {
            let g = &self.grants[id];
            return Evidence::Grant(GrantFacts {
                id: tag(id),
                holder: tag(&g.holder),
                approver: tag(&g.approver),
                approver_country: country(&self.people[&g.approver].place),
                purpose: Purpose::parse(&g.purpose).unwrap(),
                dataset: name(g.dataset.as_ref().unwrap_or(&self.dataset)),
                fields: g.fields.as_deref().map(name),
                subject: g.subject.as_deref().map(tag),
                not_before: time(&g.from),
                not_after: time(&g.until),
            });
        }
        if let Some(id) = &when.case {
            let c = &self.cases[id];
            return Evidence::Case(CaseFacts {
                id: tag(id),
                engineer: tag(&c.engineer),
                approver: tag(&c.approver),
                approver_country: country(&self.people[&c.approver].place),
                kind: CaseKind::parse(&c.kind).unwrap(),
                subject: tag(&c.subject),
                fields: name(&c.fields),
                approved_at: time(&c.approved),
                open: c.open,
            });
        }
        when.flow.as_ref().map_or(Evidence::None, |id| {
            let f = &self.flows[id];
            Evidence::Flow(FlowFacts {
                name: name(id),
                sink: tag(&f.sink),
                fields: name(&f.fields),
                destination: country(&f.destination),
                basis: Basis::parse(&f.basis).unwrap(),
                active: f.active,
            })
        })
    }

    fn facts(&self, when: &When) -> Facts {
        Facts {
            principal: self.principal(&when.who),
            now: time(when.now.as_ref().unwrap_or(&self.now)),
            purpose: Purpose::parse(&when.purpose).unwrap(),
            dataset: name(&self.dataset),
            rows: when.rows,
            subjects: when.subjects,
            subject: when.subject.as_deref().map(tag),
            k: when.k,
            evidence: self.evidence(when),
            ladder: when.asks.iter().map(|t| Treatment::parse(t).unwrap()).collect(),
            groups: vec![Group {
                class: DataClass::parse(&when.class).unwrap(),
                lists: when.lists.iter().map(|l| name(l)).collect(),
                fields: 1,
                outcome: None,
            }],
        }
    }
}

#[test]
fn every_story_ends_as_told_and_for_the_reason_told() {
    let engine = engine();
    let mut wrong = Vec::new();
    let mut told = 0;
    for entry in std::fs::read_dir(folder().join("tests")).unwrap().map(Result::unwrap) {
        let file = entry.file_name();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let story: File = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        for test in &story.test {
            told += 1;
            let decision = engine.decide(story.given.facts(&test.when));
            let outcome = decision.facts.groups[0].outcome.map_or("none", Treatment::word);
            if outcome != test.expect.outcome || decision.policies != test.expect.by || decision.errors {
                wrong.push(format!(
                    "{}: {}: {outcome} by {:?}",
                    file.display(),
                    test.name,
                    decision.policies
                ));
            }
        }
    }
    assert!(told > 20, "only {told} stories were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
