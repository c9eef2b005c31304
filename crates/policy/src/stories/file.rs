//! The file of stories as people write it, and its facts.

use std::collections::BTreeMap;

use model::facts::{
    Approver, CaseFacts, Evidence, Facts, FlowFacts, GrantFacts, Group, Principal, PrincipalKind,
};
use model::procedures::Amount;
use model::{Basis, CaseKind, Country, DataClass, Name, Problems, Purpose, Tag, Treatment, UnixSeconds};
use serde::Deserialize;

use super::{Ending, Story};

const STORIES_MAX: usize = 10_000;
/// A name stands for a tag, which has as many bytes.
const NAME_MAX: usize = 16;

/// No policy reads how much may cross in all.
const AMOUNT: Amount = Amount { rows: 1, bytes: 1, subjects: 1 };

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
    #[serde(default = "employer")]
    employer: String,
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
    second: Option<String>,
    incident: Option<String>,
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

fn employer() -> String {
    "employer".to_owned()
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

/// What is wrong with one story.
type Wrong = String;

/// All stories of a file.
pub(super) fn read(place: &str, text: &str) -> Result<Vec<Story>, Problems> {
    let mut problems = Problems::default();
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(e) => {
            let why = e.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            problems.add(place, why, "see docs/formats/stories.md");
            return Err(problems);
        }
    };
    if file.test.is_empty() || file.test.len() > STORIES_MAX {
        problems.add(place, format!("a file has 1 to {STORIES_MAX} stories"), "tell one, or split the file");
    }
    let mut stories = Vec::new();
    for test in file.test {
        let at = format!("{place}: {}", test.name);
        let story = file.given.facts(&test.when).and_then(|facts| Ok((facts, ending(&test.expect)?)));
        if let Some((facts, expected)) = problems.keep(&at, "see docs/formats/stories.md", story) {
            stories.push(Story { name: test.name, facts, expected });
        }
    }
    problems.or(stories)
}

fn ending(expect: &Expect) -> Result<Ending, Wrong> {
    if expect.outcome != "none" {
        word(Treatment::parse(&expect.outcome))?;
    }
    let mut by = expect.by.clone();
    by.sort();
    Ok(Ending { outcome: expect.outcome.clone(), by })
}

fn word<T, E: std::fmt::Display>(parsed: Result<T, E>) -> Result<T, Wrong> {
    parsed.map_err(|e| e.to_string())
}

fn name(text: &str) -> Result<Name, Wrong> {
    word(Name::parse(text))
}

/// A name's own bytes, so that no two names are one tag.
fn tag(name: &str) -> Result<Tag, Wrong> {
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(format!("`{name}` does not have 1 to {NAME_MAX} bytes"));
    }
    let mut bytes = [0; NAME_MAX];
    bytes.iter_mut().zip(name.bytes()).for_each(|(b, n)| *b = n);
    Ok(Tag::new(bytes))
}

fn given<'g, T>(kind: &str, all: &'g BTreeMap<String, T>, name: &str) -> Result<&'g T, Wrong> {
    all.get(name).ok_or_else(|| format!("no {kind} `{name}` is given"))
}

impl Given {
    fn facts(&self, when: &When) -> Result<Facts, Wrong> {
        let ladder = when.asks.iter().map(|t| word(Treatment::parse(t))).collect::<Result<Vec<_>, _>>()?;
        let lists = when.lists.iter().map(|l| name(l)).collect::<Result<Vec<_>, _>>()?;
        Ok(Facts {
            principal: self.principal(&when.who)?,
            now: word(UnixSeconds::parse(when.now.as_ref().unwrap_or(&self.now)))?,
            purpose: word(Purpose::parse(&when.purpose))?,
            dataset: name(&self.dataset)?,
            rows: when.rows,
            subjects: when.subjects,
            subject: when.subject.as_deref().map(tag).transpose()?,
            k: when.k,
            evidence: self.evidence(when)?,
            ladder,
            groups: vec![Group {
                class: word(DataClass::parse(&when.class))?,
                lists,
                fields: 1,
                outcome: None,
            }],
        })
    }

    fn principal(&self, who: &str) -> Result<Principal, Wrong> {
        let person = given("person", &self.people, who)?;
        Ok(Principal {
            kind: if person.service { PrincipalKind::Service } else { PrincipalKind::Employee },
            tag: tag(who)?,
            country: word(Country::parse(&person.place))?,
            employer: name(&person.employer)?,
            seat: word(Country::parse(&person.place))?,
            qualified: person.qualified,
            teams: vec![],
            device_managed: person.managed,
            device_attested: person.attested,
            strong: person.strong,
        })
    }

    fn evidence(&self, when: &When) -> Result<Evidence, Wrong> {
        match (&when.grant, &when.case, &when.flow) {
            (None, None, None) => Ok(Evidence::None),
            (Some(id), None, None) => self.grant(id).map(Evidence::Grant),
            (None, Some(id), None) => self.case(id).map(Evidence::Case),
            (None, None, Some(id)) => self.flow(id).map(Evidence::Flow),
            _ => Err("a request has one piece of evidence: a grant, a case or a flow".to_owned()),
        }
    }

    fn approver(&self, who: &str) -> Result<Approver, Wrong> {
        let person = given("person", &self.people, who)?;
        Ok(Approver {
            tag: tag(who)?,
            country: word(Country::parse(&person.place))?,
            employer: name(&person.employer)?,
        })
    }

    fn grant(&self, id: &str) -> Result<GrantFacts, Wrong> {
        let grant = given("grant", &self.grants, id)?;
        Ok(GrantFacts {
            id: tag(id)?,
            holder: tag(&grant.holder)?,
            approver: self.approver(&grant.approver)?,
            second: grant.second.as_deref().map(|who| self.approver(who)).transpose()?,
            incident: grant.incident.as_deref().map(tag).transpose()?,
            amount: AMOUNT,
            purpose: word(Purpose::parse(&grant.purpose))?,
            dataset: name(grant.dataset.as_ref().unwrap_or(&self.dataset))?,
            fields: grant.fields.as_deref().map(name).transpose()?,
            subject: grant.subject.as_deref().map(tag).transpose()?,
            not_before: word(UnixSeconds::parse(&grant.from))?,
            not_after: word(UnixSeconds::parse(&grant.until))?,
        })
    }

    fn case(&self, id: &str) -> Result<CaseFacts, Wrong> {
        let case = given("case", &self.cases, id)?;
        Ok(CaseFacts {
            id: tag(id)?,
            engineer: tag(&case.engineer)?,
            approver: self.approver(&case.approver)?,
            amount: AMOUNT,
            kind: word(CaseKind::parse(&case.kind))?,
            subject: tag(&case.subject)?,
            fields: name(&case.fields)?,
            approved_at: word(UnixSeconds::parse(&case.approved))?,
            open: case.open,
        })
    }

    fn flow(&self, id: &str) -> Result<FlowFacts, Wrong> {
        let flow = given("flow", &self.flows, id)?;
        Ok(FlowFacts {
            name: name(id)?,
            sink: tag(&flow.sink)?,
            fields: name(&flow.fields)?,
            destination: word(Country::parse(&flow.destination))?,
            basis: word(Basis::parse(&flow.basis))?,
            active: flow.active,
        })
    }
}
