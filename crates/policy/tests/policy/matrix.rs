//! The starter rulebook as a table that a lawyer can read, and that no change of policy slips past.

use std::fmt::Write;

use model::facts::{Approver, Evidence, Facts, FlowFacts, GrantFacts, PrincipalKind};
use model::{DataClass, Purpose, Treatment};
use policy::Engine;

use crate::cast::{
    NOW, approver, case, country, employee, engine, files, flow, glass, grant, name, outcome, parse,
    principal, request, service, tag,
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/matrix.txt");

const HEADER: &str = "\
Who gets what under the starter rulebook
========================================

Each line is one asker. They ask for ten rows about one person, Ana, who lives in the region, for the
purpose of support, one minute after 10:00; whatever the line does not mention is in order: managed and
attested device, strong sign-in, training or attestation, a grant of eight hours for the dataset, for
support, approved by somebody else in Ireland at 10:00.

  rows    the plainest form in which rows of a class are released
  counts  whether a count of such rows is shown, over groups of at least 50 people
  -       nothing is released
  IE is inside the region. SG, US and CN are named destinations, CN one of heightened risk. RU is not named.
  The assessments of SG and US let everything cross, that of CN is negative and names counts only.
";

const ROWS: [Treatment; 4] =
    [Treatment::Plain, Treatment::Pseudonymised, Treatment::Generalised, Treatment::Masked];

fn lines() -> Vec<(&'static str, Facts)> {
    let mut lines = inside();
    lines.extend(outside());
    lines.extend(services());
    lines.push((
        "the operator at the command line",
        request(principal(PrincipalKind::Operator, "me", "IE"), Evidence::None),
    ));
    lines
}

fn inside() -> Vec<(&'static str, Facts)> {
    let held = |grant: GrantFacts| request(employee("IE"), Evidence::Grant(grant));
    let mut weak = held(grant());
    weak.principal.strong = false;
    let mut untrained = held(grant());
    untrained.principal.qualified = false;
    let mut bulk = held(grant());
    bulk.rows = 10_001;
    vec![
        ("employee in IE, with a grant", held(grant())),
        ("  a grant of 30 days", held(GrantFacts { not_after: NOW.plus(30 * 86_400), ..grant() })),
        ("  a grant of 31 days", held(GrantFacts { not_after: NOW.plus(31 * 86_400), ..grant() })),
        ("  a grant that has ended", held(GrantFacts { not_after: NOW.plus(60), ..grant() })),
        ("  a grant for research", held(GrantFacts { purpose: Purpose::Research, ..grant() })),
        ("  a grant for Ana", held(GrantFacts { subject: Some(tag("ana")), ..grant() })),
        ("  a grant for somebody else", held(GrantFacts { subject: Some(tag("bo")), ..grant() })),
        ("  a colleague's grant", held(GrantFacts { holder: tag("colleague"), ..grant() })),
        (
            "  a grant approved by its holder",
            held(GrantFacts { approver: Approver { tag: tag("me"), ..approver("IE") }, ..grant() }),
        ),
        ("  a grant approved in SG", held(GrantFacts { approver: approver("SG"), ..grant() })),
        ("  a grant approved by its holder besides", besides("me", "acme-us")),
        ("  a grant approved in IE by two", besides("guard", "acme-us")),
        ("  a grant for an incident, not break-glass", glass_with(|g| g.incident = None)),
        ("  break-glass", glass_with(|_| {})),
        ("  break-glass, approved by one", glass_with(|g| g.second = None)),
        (
            "  break-glass, approved by two of one employer",
            glass_with(|g| g.second = Some(Approver { tag: tag("guard"), ..approver("IE") })),
        ),
        (
            "  break-glass, approved twice by one",
            glass_with(|g| g.second = Some(Approver { employer: name("acme-us"), ..approver("IE") })),
        ),
        (
            "  break-glass, approved in SG besides",
            glass_with(|g| g.second = g.second.take().map(|s| Approver { country: country("SG"), ..s })),
        ),
        ("  break-glass of nine hours", glass_with(|g| g.not_after = NOW.plus(9 * 3600))),
        ("  break-glass for support", glass_with(|g| g.purpose = Purpose::Support)),
        ("  break-glass, 1001 rows", Facts { rows: 1001, ..glass_with(|_| {}) }),
        ("  without a strong sign-in", weak),
        ("  not trained", untrained),
        ("  10 001 rows", bulk),
        ("employee in IE, without a grant", request(employee("IE"), Evidence::None)),
        ("employee in IE, with a case on Ana", request(employee("IE"), Evidence::Case(case("ana")))),
    ]
}

/// A grant that somebody approved besides.
fn besides(who: &str, employer: &str) -> Facts {
    let second = Some(Approver { tag: tag(who), employer: name(employer), ..approver("IE") });
    request(employee("IE"), Evidence::Grant(GrantFacts { second, ..grant() }))
}

/// A request in Ireland under a break-glass grant in which one thing is otherwise, for the grant's purpose.
fn glass_with(change: impl FnOnce(&mut GrantFacts)) -> Facts {
    let mut grant = glass();
    change(&mut grant);
    let purpose = grant.purpose;
    Facts { purpose, ..request(employee("IE"), Evidence::Grant(grant)) }
}

fn outside() -> Vec<(&'static str, Facts)> {
    let on_case = |place: &str, subject: &str| request(employee(place), Evidence::Case(case(subject)));
    let late = Facts { now: NOW.plus(7_201), ..on_case("SG", "ana") };
    let two = Facts { subjects: 2, ..on_case("SG", "ana") };
    let mut unlisted = on_case("SG", "ana");
    unlisted.groups.iter_mut().for_each(|g| g.lists.clear());
    let mut approved_outside = case("ana");
    approved_outside.approver = approver("SG");
    let approved_outside = request(employee("SG"), Evidence::Case(approved_outside));
    let held = |place: &str| request(employee(place), Evidence::Grant(grant()));
    vec![
        ("employee in SG, with a case on Ana", on_case("SG", "ana")),
        ("  fields that do not serve the case", unlisted),
        ("  two hours and a second after approval", late),
        ("  rows about two people", two),
        ("  a case approved in SG", approved_outside),
        ("employee in SG, with a case on Bo", on_case("SG", "bo")),
        ("employee in SG, with a grant", held("SG")),
        (
            "employee in SG, with a break-glass grant",
            Facts { purpose: Purpose::Incident, ..request(employee("SG"), Evidence::Grant(glass())) },
        ),
        ("employee in SG, without a grant", request(employee("SG"), Evidence::None)),
        ("employee in US, without a grant", request(employee("US"), Evidence::None)),
        ("employee in CN, without a grant", request(employee("CN"), Evidence::None)),
        ("employee in CN, with a grant", held("CN")),
        ("employee in CN, with a case on Ana", on_case("CN", "ana")),
        ("employee in RU, with a grant", held("RU")),
        ("employee in an unknown place, with a grant", held("ZZ")),
    ]
}

fn services() -> Vec<(&'static str, Facts)> {
    let runs = |place: &str, flow: FlowFacts| request(service(place), Evidence::Flow(flow));
    let mut unattested = runs("US", flow("US"));
    unattested.principal.qualified = false;
    vec![
        ("service in US, with a flow to US", runs("US", flow("US"))),
        ("  a flow that was stopped", runs("US", FlowFacts { active: false, ..flow("US") })),
        (
            "  a flow of other fields",
            runs("US", FlowFacts { fields: crate::cast::name("other"), ..flow("US") }),
        ),
        ("  a flow to another service", runs("US", FlowFacts { sink: tag("other"), ..flow("US") })),
        ("  not attested", unattested),
        ("service in US, without a flow", request(service("US"), Evidence::None)),
        ("service in CN, with a flow to CN", runs("CN", flow("CN"))),
        ("service in RU, with a flow to RU", runs("RU", flow("RU"))),
        (
            "service in IE, sending on a flow to US",
            runs("IE", FlowFacts { sink: tag("other"), ..flow("US") }),
        ),
        ("service in IE, without a flow", request(service("IE"), Evidence::None)),
    ]
}

pub(crate) fn table(engine: &Engine) -> String {
    let mut text = format!("{HEADER}\n{:44}rows:{:37}counts:\n{:44}", "", "", "");
    for _ in 0..2 {
        let _ = write!(text, "{:14}{:14}{:14}", "public", "allowable", "restricted");
    }
    trim(&mut text);
    let mut why = String::from("\nWhat decided each line, rows and counts together\n\n");
    for (who, facts) in lines() {
        let rows = engine.decide(Facts { ladder: ROWS.to_vec(), ..facts.clone() });
        let counts = engine.decide(Facts { ladder: vec![Treatment::Aggregate], ..facts });
        let _ = write!(text, "{who:44}");
        for decision in [&rows, &counts] {
            assert!(!decision.errors, "{who}");
            for class in DataClass::ALL {
                let word = outcome(decision, *class).map_or("-", Treatment::word);
                let _ = write!(text, "{:14}", word.replace("aggregate", "shown"));
            }
        }
        trim(&mut text);
        let mut by = rows.policies;
        by.extend(counts.policies);
        by.sort();
        by.dedup();
        let _ = writeln!(why, "{who}: {}", if by.is_empty() { "-".to_owned() } else { by.join(" ") });
    }
    for (who, strong) in [("Ana, signed in strongly", true), ("Ana, signed in with a password only", false)] {
        let mut own = request(principal(PrincipalKind::Subject, "ana", "RU"), Evidence::None);
        own.principal.strong = strong;
        let word = if engine.self_access(&own) { "her own record, wherever she is" } else { "-" };
        let _ = writeln!(text, "{who:44}{word}");
    }
    text + &why + &promises()
}

/// What each policy says of itself.
fn promises() -> String {
    let quoted = |line: &str, key: &str| {
        line.strip_prefix(key)
            .and_then(|l| l.strip_prefix("(\""))
            .and_then(|l| l.strip_suffix("\")"))
            .map(str::to_owned)
    };
    let mut text = String::from("\nWhat the policies say\n\n");
    for line in parse(&files()).policies.lines() {
        if let Some(id) = quoted(line, "@id") {
            let _ = write!(text, "{id}: ");
        }
        if let Some(says) = quoted(line, "@says") {
            let _ = writeln!(text, "{says}");
        }
    }
    text
}

fn trim(text: &mut String) {
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

#[test]
fn the_matrix_of_decisions_is_the_one_on_record() {
    let text = table(&engine());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    let recorded = std::fs::read_to_string(GOLDEN).unwrap();
    assert!(
        text == recorded,
        "the decisions changed; if that is meant, run again with UPDATE_GOLDEN=1:\n{text}"
    );
}
