//! Small mistakes in policies, and who notices: asked of the prover.

use policy::stories::Stories;
use prove::{Noticed, mutations, promises};

use crate::cast::{book, cvc5, files, only_properties, starter};

/// One of so many is made, so that it takes seconds; `clover-prove --mutate` makes all.
const EVERY: usize = 34;

fn stories() -> Vec<Stories> {
    let folder = crate::cast::folder().join("../tests");
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|e| Stories::parse("x.toml", &std::fs::read_to_string(e.path()).unwrap()).unwrap()).collect()
}

#[test]
fn mistakes_in_the_starter_are_noticed_by_validation_stories_and_properties() {
    let (book, solver) = (starter(), cvc5());
    let promises = promises(&book, &solver);
    let made = mutations(&book, &promises, &stories(), EVERY, &solver);
    let count = |noticed: fn(&Noticed) -> bool| made.iter().filter(|m| noticed(&m.noticed)).count();
    assert!(count(|n| matches!(n, Noticed::ByStory { .. })) >= 1, "{made:#?}");
    // Which of them the sample holds changes with the policies; most are noticed.
    assert!(count(|n| *n == Noticed::ByNobody) * 2 < made.len(), "{made:#?}");
    assert_eq!(count(|n| matches!(n, Noticed::NotProved { .. })), 0, "{made:#?}");
}

#[test]
fn a_mistake_that_changes_no_answer_is_told_from_one_that_nobody_notices() {
    // T5 alone is left, and no story: what is not about rows is on nobody's guard.
    let mut files = only_properties(files(), &["T5-bulk"]);
    let two =
        "@id(\"G1\") forbid (principal is Clover::Employee, action in Clover::Action::\"rowLevel\", resource)
          when { context.rows > 10000 && context.rows > 9000 };
        @id(\"G2\") forbid (principal is Clover::Employee, action in Clover::Action::\"rowLevel\", resource)
          when { context.subjects > 7 };";
    files.insert("10-guardrails.cedar".to_owned(), two.to_owned());
    let permit = "@id(\"P\") permit (principal is Clover::Employee, action in Clover::Action::\"rowLevel\", resource);";
    files.insert("20-permits.cedar".to_owned(), permit.to_owned());
    let (book, solver) = (book(files), cvc5());
    let promises = promises(&book, &solver);
    let made = mutations(&book, &promises, &[], 1, &solver);
    let of = |policy: &str, what: &str, of: &str| {
        let found = made.iter().find(|m| m.policy == policy && m.what.contains(what) && m.what.contains(of));
        found.unwrap_or_else(|| panic!("no `{what}` in {made:#?}")).noticed.clone()
    };
    assert_eq!(of("G1", "without", "9000"), Noticed::Equal);
    let property = "T5-bulk".to_owned();
    assert_eq!(of("G1", "left out", ""), Noticed::ByProperty { property: property.clone() });
    assert_eq!(of("G1", " for ", "10000"), Noticed::ByProperty { property });
    assert_eq!(of("G2", "left out", ""), Noticed::ByNobody);
}
