use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::{
    codes::{Class, Treatment},
    decide::{Judge, Problem},
    facts::{Amount, Approver, Case, Flow, Grant, Group, Principal, PrincipalKind},
    rulebook::Programme,
};

const SCHEMA: &str = include_str!("../../../tests/audit/rulebook/clover.cedarschema");
const PERMITS: &str = include_str!("../../../tests/audit/rulebook/20-permits.cedar");
const PROGRAMME: &str = include_str!("../../../tests/audit/rulebook/programme.toml");
/// The times that the policies below compare, around which facts are chosen.
const EPOCH: u64 = 1_900_000_000;

/// Rules that depend on time in every way that is understood.
const TIMED: &str = r#"
permit (principal is Clover::Employee, action == Clover::Action::"releaseMasked", resource)
when {
  context has case && context.case.approvedAt >= datetime("2020-01-01") &&
  context.now >= context.case.approvedAt && datetime("2120-01-01") > context.now &&
  context.now.durationSince(context.case.approvedAt) <= duration("2h")
};
permit (principal is Clover::Employee, action == Clover::Action::"releaseGeneralised", resource)
when {
  context has grant && duration("1h30m") != context.grant.notAfter.durationSince(context.grant.notBefore) &&
  context.grant.notBefore.durationSince(context.now) < duration("10s") &&
  context.now == context.grant.notAfter
};
permit (principal is Clover::Employee, action == Clover::Action::"releasePseudonymised", resource)
when { context.now >= datetime("2030-03-17T17:46:40Z") };
"#;

fn sameness(policies: &str) -> Sameness {
    Sameness::of(SCHEMA, &PolicySet::from_str(policies).unwrap())
}

fn permit(condition: &str) -> String {
    format!(
        "permit (principal is Clover::Employee, action == Clover::Action::\"releasePlain\", resource) when {{ {condition} }};"
    )
}

#[test]
fn comparisons_with_literals_and_each_other_are_understood() {
    let found = sameness(&format!("{PERMITS}\n{TIMED}"));
    assert!(found.renames);
    let bounds = found.bounds.unwrap();
    assert_eq!(bounds.dates, [1_577_836_800_000, 1_900_000_000_000, 4_733_510_400_000]);
    assert_eq!(bounds.spans, [-7_200_000, -5_400_000, -10_000, 0, 10_000, 5_400_000, 7_200_000]);
}

#[test]
fn the_starter_rulebook_is_understood() {
    let schema = include_str!("../../../../../policies/starter/clover.cedarschema");
    let guardrails = include_str!("../../../../../policies/starter/10-guardrails.cedar");
    let permits = include_str!("../../../../../policies/starter/20-permits.cedar");
    let policies = PolicySet::from_str(&format!("{guardrails}\n{permits}")).unwrap();
    let found = Sameness::of(schema, &policies);
    assert!(found.renames && found.bounds.is_some(), "{found:?}");
}

#[test]
fn any_other_use_of_a_time_is_taken_as_it_is() {
    for condition in [
        r#"context.now.toTime() < duration("8h")"#,
        r#"context.now.toDate() == datetime("2020-01-01")"#,
        r#"context.now.offset(duration("1h")) < context.now"#,
        r#"context.now.durationSince(datetime("2020-01-01")).toDays() > 3"#,
        r#"context.now.durationSince(datetime("2020-01-01")) > duration("1d")"#,
        r#"context.now.durationSince(context.now) > duration("-1d")"#,
        r#"context.now < datetime("2020-01-01T00:00:00+0100")"#,
        r#"[context.now].contains(datetime("2020-01-01"))"#,
        r#"{ "a": context.now } == { "a": datetime("2020-01-01") }"#,
        r#"{ "<": context.now }["<"] == datetime("2020-01-01")"#,
        r#"context["now"].toTime() < duration("8h")"#,
        r#"context == context"#,
        r#"(if context has grant then context.grant else context.grant).notAfter < datetime("2020-01-01")"#,
    ] {
        assert_eq!(sameness(&permit(condition)).bounds, None, "{condition}");
        assert!(sameness(&permit(condition)).renames, "{condition}");
    }
}

#[test]
fn a_policy_or_a_schema_that_names_a_tag_keeps_tags_as_they_are() {
    let tag = "00".repeat(16);
    for policy in [
        permit(&format!("principal == Clover::Employee::\"{tag}\"")),
        permit(&format!("principal in [Clover::Employee::\"{tag}\"]")),
        permit(&format!("context has grant && context.grant == Clover::Grant::\"{tag}\"")),
        format!("permit (principal == Clover::Service::\"{tag}\", action, resource);"),
        format!("permit (principal in Clover::DataSubject::\"{tag}\", action, resource);"),
        format!("permit (principal is Clover::Employee in Clover::Employee::\"{tag}\", action, resource);"),
    ] {
        assert!(!sameness(&policy).renames, "{policy}");
    }
    let listed = SCHEMA.replace("entity DataSubject { home: Region };", "entity DataSubject enum [\"a\"];");
    assert!(!Sameness::of(&listed, &PolicySet::from_str(PERMITS).unwrap()).renames);
}

/// What facts are made of: few values of each, so that equal decisions are met.
#[derive(Clone, Debug)]
struct Recipe {
    numbers: [u64; 4],
    tags: [u8; 6],
    kind: u8,
    evidence: u8,
    flags: u8,
    purpose: u16,
    class: u8,
    outcome: u8,
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let second = prop_oneof![
        Just(EPOCH),
        Just(EPOCH + 1),
        Just(EPOCH - 1),
        Just(EPOCH - 7200),
        Just(EPOCH - 7201),
        Just(EPOCH + 5400),
        Just(EPOCH + 10),
        Just(1_000_000_000_u64),
        Just(SECONDS_MAX + 1),
        EPOCH - 20_000..EPOCH + 20_000,
    ];
    (
        prop::array::uniform4(second),
        prop::array::uniform6(0_u8..3),
        0_u8..3,
        0_u8..4,
        any::<u8>(),
        1_u16..3,
        0_u8..3,
        0_u8..6,
    )
        .prop_map(|(numbers, tags, kind, evidence, flags, purpose, class, outcome)| Recipe {
            numbers,
            tags,
            kind,
            evidence,
            flags,
            purpose,
            class,
            outcome,
        })
}

fn evidence(recipe: &Recipe) -> Option<Evidence<'static>> {
    let [_, first, second, _] = recipe.numbers;
    let [_, id, other, approver, subject, _] = recipe.tags.map(|tag| [tag; 16]);
    let flag = |bit: u8| recipe.flags & (1 << bit) != 0;
    let country = if flag(0) { "IE" } else { "SG" };
    let approver = Approver { tag: approver, country, employer: if flag(3) { "acme-eu" } else { "acme-us" } };
    let amount = Amount { rows: first, bytes: second, subjects: 1 };
    let fields = flag(1).then_some("video-status");
    match recipe.evidence {
        0 => None,
        1 => Some(Evidence::Grant(Grant {
            id,
            holder: other,
            approver,
            second: flag(4).then_some(Approver { tag: id, ..approver }),
            incident: flag(5).then_some(id),
            amount,
            purpose: 1,
            dataset: "video",
            fields,
            subject: flag(2).then_some(subject),
            not_before: first,
            not_after: second,
        })),
        2 => Some(Evidence::Case(Case {
            id,
            engineer: other,
            approver,
            amount,
            kind: "videoNotShown",
            subject,
            fields: "video-status",
            approved_at: first,
            open: flag(2),
        })),
        _ => Some(Evidence::Flow(Flow {
            name: "interop-us",
            sink: other,
            fields: "interop",
            destination: "US",
            basis: "sccWithTia",
            active: flag(2),
        })),
    }
}

fn facts(recipe: &Recipe) -> Facts<'static> {
    let [now, ..] = recipe.numbers;
    let [who, .., pinned] = recipe.tags.map(|tag| [tag; 16]);
    let flag = |bit: u8| recipe.flags & (1 << bit) != 0;
    let kind = [PrincipalKind::Employee, PrincipalKind::Service, PrincipalKind::Subject];
    let class = [Class::Public, Class::Allowable, Class::Restricted][usize::from(recipe.class)];
    let lists = if flag(1) { vec!["video-status"] } else { vec![] };
    let steps = [
        Treatment::Plain,
        Treatment::Pseudonymised,
        Treatment::Generalised,
        Treatment::Masked,
        Treatment::Aggregate,
    ];
    Facts {
        principal: Principal {
            kind: kind[usize::from(recipe.kind)],
            tag: who,
            country: if flag(3) { "IE" } else { "SG" },
            employer: "e",
            seat: "IE",
            qualified: true,
            teams: vec![],
            device_managed: flag(4),
            device_attested: true,
            strong: flag(5),
        },
        now,
        purpose: recipe.purpose,
        dataset: "video",
        rows: 100,
        subjects: 1,
        subject: flag(6).then_some(pinned),
        k: 60,
        evidence: evidence(recipe),
        ladder: steps.to_vec(),
        groups: vec![Group {
            class,
            lists,
            fields: 1,
            outcome: steps.get(usize::from(recipe.outcome)).copied(),
        }],
        spent: None,
        risk: None,
        statement: None,
    }
}

/// The same facts with other tags and all times moved by some seconds.
fn moved(recipe: &Recipe, by: u64, rename: [u8; 3]) -> Recipe {
    let mut other = recipe.clone();
    other.numbers = other.numbers.map(|number| number.saturating_add(by));
    other.tags = other.tags.map(|tag| rename[usize::from(tag)]);
    other
}

/// Assessments that begin and end among the times of the facts.
const ASSESSMENTS: &str = r#"
[[assessment]]
country = "SG"
reviewed = "2030-03-17"
expires = "2030-03-18"
finding = "equivalent"
treatments = ["plain", "pseudonymised"]
"#;

fn programme() -> Programme {
    let assessments = crate::rulebook::Assessments::parse(ASSESSMENTS).unwrap();
    let mut programme = Programme::parse(PROGRAMME).unwrap();
    programme.assessments = assessments;
    programme
}

fn ask(judge: &Judge, programme: &Programme, question: Question, facts: &Facts<'_>) -> Vec<Problem> {
    match question {
        Question::Released => judge.released(programme, facts),
        Question::RefusedForPolicy => judge.refused(programme, facts),
        Question::RefusedForAssessment => judge.refused_for_assessment(programme, facts),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn facts_of_one_key_have_one_answer(
        recipes in prop::collection::vec((recipe(), 0_u64..3, any::<bool>()), 20..40),
        exact in any::<bool>(),
    ) {
        let named = permit("principal == Clover::Employee::\"01010101010101010101010101010101\"");
        let timely = permit(r#"context.now.toTime() < duration("17h46m40s")"#);
        let more = if exact { format!("{named}\n{timely}") } else { String::new() };
        let judge = Judge::new(SCHEMA, &format!("{PERMITS}\n{TIMED}\n{more}")).unwrap();
        prop_assert_eq!(judge.sameness().renames, !exact);
        let programme = programme();
        let mut known: HashMap<Hash, Vec<Problem>> = HashMap::new();
        for (recipe, by, rename) in recipes {
            let names = if rename { [1, 2, 0] } else { [0, 1, 2] };
            for recipe in [moved(&recipe, by, names), recipe] {
                let facts = facts(&recipe);
                for question in [Question::Released, Question::RefusedForPolicy, Question::RefusedForAssessment] {
                    let answer = ask(&judge, &programme, question, &facts);
                    let key = judge.sameness().key(question, &[7; 32], &programme, &facts);
                    let before = known.entry(key).or_insert_with(|| answer.clone());
                    prop_assert_eq!(&*before, &answer, "{:?}", facts);
                }
            }
        }
    }
}

#[test]
fn what_differs_only_in_tags_and_idle_seconds_is_one_decision() {
    let (judge, programme) = (Judge::new(SCHEMA, PERMITS).unwrap(), programme());
    let recipe = Recipe {
        numbers: [EPOCH, EPOCH - 500, EPOCH + 500, 0],
        tags: [0, 1, 0, 2, 1, 2],
        kind: 0,
        evidence: 1,
        flags: 0xff,
        purpose: 1,
        class: 1,
        outcome: 0,
    };
    let key =
        |recipe: &Recipe| judge.sameness().key(Question::Released, &[7; 32], &programme, &facts(recipe));
    let same = key(&recipe);
    assert_eq!(key(&moved(&recipe, 12_345, [0x55, 0x66, 0x77])), same);
    let changes: [fn(&mut Recipe); 6] = [
        |recipe| recipe.numbers[2] = EPOCH,
        |recipe| recipe.numbers[1] = EPOCH + 1,
        |recipe| recipe.tags[2] = 1,
        |recipe| recipe.flags = 0xfe,
        |recipe| recipe.class = 2,
        |recipe| recipe.purpose = 2,
    ];
    for change in changes {
        let mut other = recipe.clone();
        change(&mut other);
        assert_ne!(key(&other), same, "{other:?}");
    }
    assert_ne!(judge.sameness().key(Question::RefusedForPolicy, &[7; 32], &programme, &facts(&recipe)), same);
    assert_ne!(judge.sameness().key(Question::Released, &[8; 32], &programme, &facts(&recipe)), same);
}
