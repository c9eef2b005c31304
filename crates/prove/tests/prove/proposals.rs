//! Proposals to change the starter rulebook: what the comparison with the rulebook in force says of each.

use model::rulebook::{Files, PROPERTIES};
use prove::{Verdict, Widening};

use crate::cast::{GUARDRAILS, PERMITS, book, changed, cvc5, starter, without};

fn compare(proposal: Files) -> Widening {
    prove::widening(&book(proposal), &starter(), &cvc5())
}

/// The policies by which a proposal is wider, and the answer to the first request that shows it.
fn wider(widening: &Widening) -> (Vec<&str>, &str) {
    let mut answer = "";
    for finding in &widening.findings {
        match &finding.verdict {
            Verdict::False { example } if answer.is_empty() => answer = &example.answer,
            Verdict::False { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let mut ids: Vec<_> = widening.findings.iter().map(|f| f.policy.as_str()).collect();
    ids.dedup();
    (ids, answer)
}

const P3_CLASS: &str =
    "  resource.class == Clover::DataClass::\"allowable\" && principal.trained &&\n  context has grant &&";
const P3_ANY: &str = "  principal.trained &&\n  context has grant &&";

#[test]
fn the_rulebook_in_force_permits_nothing_that_it_denies() {
    let widening = prove::widening(&starter(), &starter(), &cvc5());
    assert!(widening.changed_permits_only && widening.permits.is_empty() && widening.findings.is_empty());
    assert!(widening.unread.is_empty() && widening.dropped.is_empty(), "{widening:?}");
}

#[test]
fn a_larger_smallest_group_permits_nothing_new() {
    let widening = compare(changed(&[(GUARDRAILS, "context.k >= 50", "context.k >= 100")]));
    assert!(!widening.changed_permits_only, "a guardrail changed, so that every permit is looked at");
    assert!(widening.permits.len() >= 10 && widening.findings.is_empty(), "{widening:?}");
}

#[test]
fn a_smaller_smallest_group_is_wider() {
    let widening = compare(changed(&[(GUARDRAILS, "context.k >= 50", "context.k >= 49")]));
    let (ids, answer) = wider(&widening);
    assert_eq!(ids, ["P5-aggregate"]);
    assert_eq!(answer, "today denied by G9-smallest-group; then allowed by P5-aggregate");
}

#[test]
fn limits_that_were_moved_into_a_guardrail_of_fewer_people_are_missed_and_found() {
    // G11 has these limits, too: but outside the region only. Every property stays true of this.
    let limits = "  context.case.subject == context.subject &&\n  context.subjects <= 1 && context.rows <= 200 &&\n  resource in context.case.fields &&\n  // the bounds come first: between them durationSince cannot overflow\n  context.case.approvedAt >= datetime(\"2020-01-01\") && context.case.approvedAt < datetime(\"2120-01-01\") &&\n  context.now >= context.case.approvedAt && context.now < datetime(\"2120-01-01\") &&\n  context.now.durationSince(context.case.approvedAt) <= duration(\"2h\")\n";
    let moved = "  context.case.subject == context.subject && context.rows <= 200 &&\n  resource in context.case.fields\n";
    let proposal = changed(&[(PERMITS, limits, moved)]);
    let widening = compare(proposal.clone());
    assert!(widening.changed_permits_only);
    assert_eq!(widening.permits, ["P4-support-case"]);
    let (ids, answer) = wider(&widening);
    assert_eq!(ids, ["P4-support-case"]);
    assert!(answer.ends_with("then allowed by P4-support-case"), "{answer}");
    let promises = prove::promises(&book(proposal), &cvc5());
    assert!(promises.iter().all(|p| p.verdict.is_proved()), "the lesson: {promises:?}");
}

#[test]
fn a_test_that_guardrails_repeat_can_be_dropped_from_a_permit() {
    let widening = compare(changed(&[(PERMITS, P3_CLASS, P3_ANY)]));
    assert_eq!(widening.permits, ["P3-out-of-region-pseudonymised"]);
    assert!(widening.findings.is_empty(), "{widening:?}");
}

#[test]
fn the_same_is_wider_once_the_guardrail_is_dropped() {
    let mut proposal = without(&["G8-restricted-row-level-stays"]);
    let permits = proposal.get_mut(PERMITS).unwrap();
    *permits = permits.replacen(P3_CLASS, P3_ANY, 1);
    let widening = compare(proposal);
    let (ids, answer) = wider(&widening);
    assert_eq!(ids, ["P3-out-of-region-pseudonymised"], "{widening:?}");
    assert_eq!(
        answer,
        "today denied by G8-restricted-row-level-stays; then allowed by P3-out-of-region-pseudonymised"
    );
}

#[test]
fn another_name_another_comment_and_another_order_are_no_change() {
    let proposal = changed(&[
        (PERMITS, "@id(\"P11-public\")", "// free\n@id(\"P11-free\")"),
        (GUARDRAILS, "@id(\"G5-bulk\")\n@says(\"", "@says(\"Now: "),
        (GUARDRAILS, "No employee gets more than 10 000 rows at a time.\")", "x\")\n@id(\"G5-bulk\")"),
        ("programme.toml", "[region]", "# only a comment\n[region]"),
    ]);
    let widening = compare(proposal);
    assert!(widening.changed_permits_only && widening.permits.is_empty(), "{widening:?}");
    assert!(widening.unread.is_empty(), "{widening:?}");
}

#[test]
fn what_no_proof_covers_is_left_to_a_person() {
    let proposal = changed(&[
        ("programme.toml", "heightened = [\"CN\"]", "heightened = []"),
        (
            PROPERTIES,
            "@prove(\"never\")\n@says(\"No count is shown of fewer",
            "@prove(\"only\")\n@says(\"No count",
        ),
    ]);
    let widening = compare(proposal);
    assert_eq!(widening.unread, ["programme.toml"]);
    assert_eq!(widening.dropped, ["T9-smallest-group"]);
}

#[test]
fn an_action_that_left_a_group_is_not_compared() {
    let masked = "\"releaseMasked\" in [\"treatedDisclosure\", \"rowLevel\"]";
    let proposal = changed(&[("clover.cedarschema", masked, "\"releaseMasked\" in [\"rowLevel\"]")]);
    let widening = compare(proposal);
    let told = |v: &Verdict| matches!(v, Verdict::NotProved { why } if why.contains("other groups"));
    assert!(
        !widening.findings.is_empty() && widening.findings.iter().all(|f| told(&f.verdict)),
        "{widening:?}"
    );
    assert_eq!(widening.unread, ["clover.cedarschema"]);
}
