//! `policies/tests/*.toml`, and what is told of a file of stories that is wrong.

use policy::stories::{Ending, Stories};

use crate::cast::{engine, folder};

#[test]
fn every_story_ends_as_told_and_for_the_reason_told() {
    let engine = engine();
    let (mut wrong, mut told) = (Vec::new(), 0);
    for entry in std::fs::read_dir(folder().join("tests")).unwrap().map(Result::unwrap) {
        let file = entry.file_name().into_string().unwrap();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let stories = Stories::parse(&file, &text).unwrap_or_else(|problems| panic!("{problems}"));
        told += stories.len();
        wrong.extend(stories.tell(&engine).into_iter().filter(|t| !t.is_right()));
    }
    assert!(told > 20, "only {told} stories were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const STORY: &str = r#"
[given]
dataset = "video"
now = "2026-11-22T11:00:00Z"
[given.people]
mei = { place = "SG" }
[given.grants.g]
holder = "mei"
approver = "mei"
purpose = "research"
from = "2026-11-22T09:00:00Z"
until = "2026-11-22T17:00:00Z"
[[test]]
name = "public data"
when = { who = "mei", asks = ["plain"], purpose = "support", class = "public", grant = "g" }
expect = { outcome = "plain", by = ["P11-public"] }
"#;

#[test]
fn a_right_outcome_for_another_reason_is_a_failure() {
    let tell = |text: &str| Stories::parse("x.toml", text).unwrap().tell(&engine()).remove(0);
    assert!(tell(STORY).is_right());
    let other = tell(&STORY.replace("P11-public", "P16-public-treated"));
    assert!(!other.is_right());
    assert_eq!(other.got, Ending { outcome: "plain".into(), by: vec!["P11-public".into()] });
    assert!(!tell(&STORY.replace("outcome = \"plain\"", "outcome = \"masked\"")).is_right());
}

#[test]
fn a_story_that_cannot_be_told_is_refused_by_name() {
    let changes = [
        ("who = \"mei\"", "who = \"bo\"", "no person `bo`"),
        ("grant = \"g\"", "grant = \"h\"", "no grant `h`"),
        ("grant = \"g\"", "grant = \"g\", case = \"k\"", "one piece of evidence"),
        ("purpose = \"support\"", "purpose = \"curiosity\"", "curiosity"),
        ("class = \"public\"", "class = \"secret\"", "secret"),
        ("outcome = \"plain\"", "outcome = \"plane\"", "plane"),
        ("asks = [\"plain\"]", "asks = [\"plane\"]", "plane"),
        ("approver = \"mei\"", "approver = \"a-name-of-seventeen\"", "`a-name-of-seventeen`"),
        ("11:00:00Z", "25:00:00Z", "public data"),
        ("by = [", "bye = [", "bye"),
    ];
    for (from, to, word) in changes {
        let problems = Stories::parse("x.toml", &STORY.replace(from, to)).unwrap_err();
        let told = problems.to_string();
        assert!(told.contains(word) && told.contains("x.toml"), "`{to}`: {told}");
    }
    assert!(
        Stories::parse("x.toml", STORY.split("[[test]]").next().unwrap()).is_err(),
        "a file without stories"
    );
}
