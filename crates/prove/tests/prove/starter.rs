//! What is proved of the starter rulebook, and what is found when it is damaged.

use prove::{By, Missed, Outcome, Verdict};

use crate::cast::{PERMITS, book, changed, cvc5, example, files, only_properties, starter, without};

#[test]
fn the_starter_rulebook_keeps_all_its_promises() {
    let book = starter();
    let report = prove::prove(&book, Some(&book), &cvc5());
    assert_eq!(report.outcome, Outcome::Proved, "{}", prove::text(&report));
    assert!(report.promises.len() >= 40 && report.guardrails.len() >= 32, "{}", prove::text(&report));
    for promise in &report.promises {
        let number: u32 = promise.id[1..].split('-').next().unwrap().parse().unwrap();
        let by = if !(21..=25).contains(&number) { By::Guardrails } else { By::Permits };
        assert_eq!(promise.by, Some(by), "{}", promise.id);
    }
    let implied: Vec<_> = report.guardrails.iter().filter(|g| g.missed == Missed::Implied).collect();
    let implied: Vec<_> = implied.iter().map(|g| g.id.as_str()).collect();
    assert_eq!(implied, ["G1-restricted-never-plain-outside"], "G3 and G8 promise all that it does");
}

#[test]
fn a_permit_that_can_overflow_is_found_with_a_request_that_does() {
    let bounds = "context.now >= context.case.approvedAt && context.now < datetime(\"2120-01-01\") &&\n  context.now.durationSince(context.case.approvedAt) <= duration(\"2h\")\n};\n\n@id(\"P5";
    let end = "context.now.durationSince(context.case.approvedAt) <= duration(\"2h\")\n};\n\n@id(\"P5";
    let check = prove::never_errs(&book(changed(&[(PERMITS, bounds, end)])), &cvc5());
    let found: Vec<_> = check.findings.iter().map(|f| (f.policy.as_str(), f.verdict.is_false())).collect();
    assert_eq!(found, [("P4-support-case", true)], "{check:?}");
}

#[test]
fn a_permit_whose_every_request_is_forbidden_is_found_dead() {
    let dead = "@id(\"P99\") @says(\"x\") permit (principal, action in Clover::Action::\"plainDisclosure\", resource)
        when { resource.class == Clover::DataClass::\"restricted\" && principal.location.heightened };\n@id(\"P1-";
    let check = prove::none_is_dead(&book(changed(&[(PERMITS, "@id(\"P1-", dead)])), &cvc5());
    let dead = |v: &Verdict| matches!(v, Verdict::Dead { .. });
    let found: Vec<_> = check.findings.iter().map(|f| (f.policy.as_str(), dead(&f.verdict))).collect();
    assert_eq!(found, [("P99", true)], "{check:?}");
}

#[test]
fn a_broken_promise_is_shown_by_a_request_that_the_authorizer_allows() {
    let loose = changed(&[(PERMITS, "  principal.trained &&\n  (resource.class", "  (resource.class")]);
    let promises = prove::promises(&book(only_properties(loose, &["T22-trained-people"])), &cvc5());
    let example = example(&promises, "T22-trained-people");
    assert_eq!(example.answer, "allowed by P5-aggregate");
    let words = example.words.join("\n");
    for word in ["releaseAggregate", "Employee", "not trained", "Country", "class", "mfa"] {
        assert!(words.contains(word), "no `{word}` in\n{words}");
    }
    assert!(words.lines().count() < 12, "{words}");
}

#[test]
fn a_promise_that_holds_of_any_policies_is_none() {
    let mut files = files();
    let empty = "@id(\"A\") @prove(\"never\") @says(\"x\") permit (principal, action in Clover::Action::\"rowLevel\", resource)
        when { context.rows > 5 && context.rows < 3 };
        @id(\"B\") @prove(\"only\") @says(\"x\") permit (principal, action in Clover::Action::\"rowLevel\", resource)
        when { context.rows > 3 || context.rows < 5 };";
    files.insert("properties.cedar".to_owned(), empty.to_owned());
    for promise in prove::promises(&book(files), &cvc5()) {
        assert!(matches!(promise.verdict, Verdict::Dead { .. }), "{promise:?}");
    }
}

#[test]
fn a_guardrail_that_no_property_would_miss_is_told() {
    let book = book(only_properties(files(), &["T5-bulk", "T9-smallest-group"]));
    let solver = cvc5();
    let promises = prove::promises(&book, &solver);
    let (mut missed, mut implied, mut untested) = (Vec::new(), Vec::new(), 0);
    for guardrail in prove::guardrails(&book, &promises, &solver) {
        match guardrail.missed {
            Missed::ByProperty { property } => missed.push((guardrail.id, property)),
            Missed::Implied => implied.push(guardrail.id),
            Missed::ByNobody => untested += 1,
            Missed::NotProved { why } => panic!("{}: {why}", guardrail.id),
        }
    }
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(missed, [pair("G5-bulk", "T5-bulk"), pair("G9-smallest-group", "T9-smallest-group")]);
    assert_eq!((implied.len(), untested), (1, 29), "{implied:?}");
}

#[test]
fn a_promise_that_guardrails_gave_up_is_held_by_the_permits_or_false() {
    // Of these two, the permits repeat the first and not the second.
    let ids = ["T20-export-as-registered", "T2-crossing-has-its-basis"];
    let loose = without(&["G20-flow-as-registered", "G2-crossing-needs-basis"]);
    let promises = prove::promises(&book(only_properties(loose, &ids)), &cvc5());
    let of = |id: &str| promises.iter().find(|p| p.id == id).unwrap();
    assert_eq!(of(ids[0]).by, Some(By::Permits), "{promises:?}");
    assert!(example(&promises, ids[1]).answer.starts_with("allowed by P"), "{promises:?}");
}
