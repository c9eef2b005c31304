use proptest::prelude::*;

use super::content::{Kind, rest};
use super::*;
use crate::pseudonym::derive_key;

fn columns(named: &[(&str, Role)]) -> Columns {
    Columns::new(named.iter().copied()).unwrap()
}

fn measured(named: &[(&str, Role)], k: usize, rows: &[&[&str]]) -> Report {
    let mut measurer = Measurer::new(columns(named), k, Limits::default()).unwrap();
    rows.iter().for_each(|row| measurer.push(row).unwrap());
    measurer.finish()
}

/// As one recipient gets it.
fn token(recipient: &str, person: u32) -> String {
    let mut token = Vec::new();
    derive_key(&[7; 32], recipient, "research", "contact", 3).token(
        "handle",
        &person.to_be_bytes(),
        &mut token,
    );
    String::from_utf8(token).unwrap()
}

const PATIENTS: &[(&str, Role)] =
    &[("who", Role::Person), ("born", Role::Quasi), ("place", Role::Quasi), ("illness", Role::Sensitive)];

#[test]
fn people_are_counted_and_not_rows() {
    let rows: &[&[&str]] = &[
        &["anna", "1980", "NO", "flu"],
        &["anna", "1980", "NO", "cold"],
        &["bo", "1990", "SE", "flu"],
        &["cy", "1990", "SE", "cold"],
    ];
    let report = measured(PATIENTS, 2, rows);
    assert_eq!((report.k(), report.l(), report.sizes()), (1, Some(2), [2, 2, 0, 0, 0]));
    assert_eq!(report.findings(), [Finding::Unique, Finding::SmallClasses]);
    assert_eq!(report.verdict(), Verdict::Weak);
}

#[test]
fn a_class_of_which_all_have_one_illness_tells_it() {
    let same: Vec<Vec<String>> =
        (0..12).map(|n| vec![n.to_string(), "1980".into(), "NO".into(), "flu".into()]).collect();
    let rows: Vec<Vec<&str>> = same.iter().map(|r| r.iter().map(String::as_str).collect()).collect();
    let report = measured(PATIENTS, 10, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!((report.k(), report.l()), (12, Some(1)));
    assert_eq!(report.findings(), [Finding::NoDiversity]);
}

#[test]
fn no_two_combinations_are_taken_for_one() {
    let named = &[("a", Role::Quasi), ("b", Role::Quasi)];
    let report = measured(named, 2, &[&["x", "yz"], &["xy", "z"], &["xyz", ""], &["", "xyz"]]);
    assert_eq!((report.k(), report.sizes()), (1, [4, 0, 0, 0, 0]));
}

const POSTS: &[(&str, Role)] = &[("author", Role::Token), ("link", Role::Content), ("title", Role::Content)];

#[test]
fn a_stable_token_beside_a_link_or_handle_or_text_counts_as_plain() {
    let (anna, bo) = (token("lab", 1), token("lab", 2));
    let treated = token("lab", 9);
    for (link, title, kind) in [
        ("https://video.example/@anna/7001", "", Kind::Link),
        ("video.example/v/7001", "", Kind::Link),
        ("@anna", "", Kind::Handle),
        ("", "My first day at the new job", Kind::Text),
    ] {
        let report = measured(POSTS, 2, &[&[&anna, link, title], &[&anna, &treated, ""], &[&bo, "", ""]]);
        assert_eq!(report.verdict(), Verdict::Plain, "{link}{title}");
        let found = report.found();
        // Both rows of the token are reached, the one without content too.
        assert_eq!((found.tokens, found.found, found.rows), (2, 1, 2));
        assert_eq!(found.contents.iter().collect::<Vec<_>>(), [(&kind, &1)]);
    }
}

#[test]
fn content_that_the_treatment_changed_leads_nowhere() {
    let (anna, video) = (token("lab", 1), token("lab", 9));
    let whole = format!("@{video}");
    let report = measured(POSTS, 2, &[&[&anna, &video, ""], &[&anna, &whole, " "]]);
    assert_eq!((report.found().tokens, report.found().found), (1, 0));
    // What looks like a token and is none stays content.
    for near in ["t1.3.short", "t1.x.abcdefghijklmnopqrstuvwxyz", "t1.3.ABCDEFGHIJKLMNOPQRSTUVWXY!"] {
        assert_eq!(measured(POSTS, 2, &[&[&anna, near, ""]]).found().found, 1, "{near}");
    }
}

#[test]
fn content_that_many_have_leads_to_none_of_them() {
    let tokens: Vec<String> = (0..12).map(|n| token("lab", n)).collect();
    let rows: Vec<[&str; 3]> =
        tokens.iter().map(|t| [t.as_str(), "https://news.example/front", ""]).collect();
    let rows: Vec<&[&str]> = rows.iter().map(<[&str; 3]>::as_slice).collect();
    assert_eq!(measured(POSTS, 10, &rows).found().found, 0);
    assert_eq!(measured(POSTS, 10, &rows[..9]).found().found, 9);
    // The same person a hundred times is one person.
    let often: Vec<&[&str]> = std::iter::repeat_n(rows[0], 100).collect();
    assert_eq!(measured(POSTS, 10, &often).found().found, 1);
}

#[test]
fn what_is_left_of_a_link_is_one_spelling() {
    let link = rest("https://Video.example/@Anna/").unwrap();
    for other in ["http://www.video.example/@anna", "HTTPS://video.example/@anna", " video.example/@anna "] {
        assert_eq!(rest(other).as_ref(), Some(&link), "{other}");
    }
    assert_eq!(rest(&format!("https://video.example/@{}", token("lab", 1))).unwrap().1, "video.example/@");
    assert_eq!(rest(" - "), None);
}

const RECORDS: &[(&str, Role)] = &[("who", Role::Token), ("born", Role::Quasi), ("place", Role::Quasi)];

fn linked(named: [&[(&str, Role)]; 2], rows: [&[&[&str]]; 2]) -> Linked {
    let mut two = Linkage::new(columns(named[0]), columns(named[1]), Limits::default());
    rows[0].iter().for_each(|row| two.push_first(row).unwrap());
    rows[1].iter().for_each(|row| two.push_second(row).unwrap());
    two.finish()
}

#[test]
fn two_recipients_with_keys_of_their_own_have_no_token_in_common() {
    let release = |recipient: &str| (0..200).map(|p| token(recipient, p)).collect::<Vec<_>>();
    let (oslo, bern) = (release("lab-oslo"), release("lab-bern"));
    let rows = |tokens: &[String]| {
        tokens.iter().map(|t| vec![t.clone(), "1980".to_owned(), "NO".to_owned()]).collect::<Vec<_>>()
    };
    let compare = |first: &[String], second: &[String]| {
        let (first, second) = (rows(first), rows(second));
        let mut two = Linkage::new(columns(RECORDS), columns(RECORDS), Limits::default());
        first.iter().for_each(|r| two.push_first(&r.iter().map(String::as_str).collect::<Vec<_>>()).unwrap());
        second
            .iter()
            .for_each(|r| two.push_second(&r.iter().map(String::as_str).collect::<Vec<_>>()).unwrap());
        two.finish()
    };
    assert_eq!(compare(&oslo, &bern).verdict(), Verdict::Holds);
    assert_eq!(compare(&oslo, &oslo).equal_tokens(), 200);
    assert_eq!(compare(&oslo, &oslo).verdict(), Verdict::Plain);
}

#[test]
fn rows_join_by_what_both_releases_say_of_a_person() {
    let other: &[(&str, Role)] =
        &[("place", Role::Quasi), ("id", Role::Token), ("born", Role::Quasi), ("size", Role::Other)];
    let first: &[&[&str]] =
        &[&["a", "1980", "NO"], &["b", "1981", "NO"], &["c", "1982", "SE"], &["d", "1982", "SE"]];
    let second: &[&[&str]] =
        &[&["NO", "x", "1980", "9"], &["NO", "y", "1999", "9"], &["SE", "z", "1982", "9"]];
    let told = linked([RECORDS, other], [first, second]);
    // 1980 in NO is one of each; 1982 in SE are two of the first.
    assert_eq!((told.equal_tokens(), told.joined(), told.common), (0, 1, 2));
    assert_eq!(told.findings(), [Finding::JoinedRows]);
    // A token is a token in whatever column.
    let moved = linked([RECORDS, other], [&[&["x", "1", "FI"]], second]);
    assert_eq!(moved.findings(), [Finding::EqualTokens]);
    let nothing: &[(&str, Role)] = &[("place", Role::Other)];
    assert_eq!(linked([RECORDS, nothing], [first, &[&["NO"]]]).verdict(), Verdict::Holds);
}

#[test]
fn limits_end_the_measuring_with_their_reason() {
    let named = &[("a", Role::Quasi), ("t", Role::Token), ("c", Role::Content)];
    let limits = Limits { rows: 3, distinct: 2, value_bytes: 60 };
    let pushed = |rows: &[[&str; 3]]| {
        let mut measurer = Measurer::new(columns(named), 2, limits).unwrap();
        rows.iter().try_for_each(|row| measurer.push(row))
    };
    assert_eq!(pushed(&[["1", "", ""]; 4]), Err(RiskError::TooMany("rows")));
    assert_eq!(
        pushed(&[["1", "", ""], ["2", "", ""], ["3", "", ""]]),
        Err(RiskError::TooMany("combinations"))
    );
    assert_eq!(pushed(&[["1", "x", ""], ["1", "y", ""], ["1", "z", ""]]), Err(RiskError::TooMany("tokens")));
    assert_eq!(
        pushed(&[["1", "x", "a"], ["1", "x", "b"], ["1", "x", "c"]]),
        Err(RiskError::TooMany("contents"))
    );
    assert_eq!(pushed(&[["1", "x", &"a".repeat(61)]]), Err(RiskError::Long(1)));
    let mut measurer = Measurer::new(columns(named), 2, limits).unwrap();
    assert_eq!(measurer.push(&["1"]), Err(RiskError::Width(1)));
    assert_eq!(Measurer::new(columns(named), 1, limits).unwrap_err(), RiskError::K);
    assert_eq!(Columns::new([("a", Role::Other), ("a", Role::Quasi)]), Err(RiskError::Columns));
    assert_eq!(Columns::new::<&str>([]), Err(RiskError::Columns));
    let mut two = Linkage::new(columns(named), columns(named), limits);
    assert_eq!(
        (0..3).try_for_each(|n| two.push_second(&[&n.to_string(), "", ""])),
        Err(RiskError::TooMany("combinations"))
    );
}

#[test]
fn codes_and_numbers_are_what_they_were() {
    let findings = [
        (Finding::Unique, 1, "risk-unique"),
        (Finding::SmallClasses, 2, "risk-small-classes"),
        (Finding::NoDiversity, 3, "risk-no-diversity"),
        (Finding::TokenBesideContent, 4, "risk-token-beside-content"),
        (Finding::EqualTokens, 5, "risk-equal-tokens"),
        (Finding::JoinedRows, 6, "risk-joined-rows"),
    ];
    for (finding, number, code) in findings {
        assert_eq!((finding.number(), finding.code()), (number, code));
    }
    let report = measured(PATIENTS, 2, &[&["anna", "1980", "NO", "flu"]]);
    let numbers: Vec<(u8, u64)> = report.facts().iter().map(|(fact, n)| (fact.number(), *n)).collect();
    assert_eq!(numbers, [(1, 1), (2, 2), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 0), (9, 0), (10, 0)]);
    let told = linked([RECORDS, RECORDS], [&[&["a", "1", "NO"]], &[&["a", "1", "NO"]]]);
    let numbers: Vec<(u8, u64)> = told.facts().iter().map(|(fact, n)| (fact.number(), *n)).collect();
    assert_eq!(numbers, [(1, 1), (11, 1), (12, 1), (13, 1)]);
}

#[test]
fn a_report_for_people_is_this_text() {
    let named =
        &[("author", Role::Token), ("link", Role::Content), ("year", Role::Quasi), ("vote", Role::Sensitive)];
    let (anna, bo) = (token("lab", 1), token("lab", 2));
    let mut rows: Vec<Vec<&str>> = vec![vec![&anna, "https://video.example/@anna", "1980", "yes"]];
    rows.extend((0..11).map(|n| vec![bo.as_str(), "", "1990", if n % 2 == 0 { "yes" } else { "no" }]));
    let report = measured(named, 10, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!(
        report.to_string(),
        "\
12 rows in 2 classes of people who look alike
  smallest class: 1 person (asked for: 10)
  rows in classes of 1: 1 (8.4 %)
  rows in classes of 2 to 4: 0 (0.0 %)
  rows in classes of 5 to 9: 0 (0.0 %)
  rows in classes of 10 to 19: 11 (91.7 %)
  rows in classes of 20 and more: 0 (0.0 %)
  fewest values of `vote` in a class: 1
2 tokens, 1 beside content that can be found again
  links: 1
  rows reached through them: 1 (8.4 %)
plain: pseudonyms can be undone: it counts as plain
  risk-unique: generalise the quasi-identifiers, or hold these rows
  risk-small-classes: generalise the quasi-identifiers, or hold the rows of small classes
  risk-no-diversity: whoever knows the class knows the value: generalise, hold, or release noisy counts
  risk-token-beside-content: treat links, handles and texts as well, or leave the token out"
    );
    let told = linked([RECORDS, RECORDS], [&[&["a", "1", "NO"], &["b", "2", "NO"]], &[&["c", "1", "NO"]]]);
    assert_eq!(
        told.to_string(),
        "\
2 and 1 rows, 2 quasi-identifiers in common
  equal tokens: 0
  combinations that both have: 1
  rows that join one to one: 1 (100.0 %)
weak: people can be singled out or joined
  risk-joined-rows: generalise what both have, or leave it out for one of them"
    );
}

proptest! {
    /// Counted again, slowly and from the values themselves.
    #[test]
    fn k_and_l_are_those_of_the_definition(
        rows in prop::collection::vec((0..6_u8, 0..3_u8, 0..3_u8, 0..4_u8), 1..60), k in 2..8_usize,
    ) {
        let texts: Vec<[String; 4]> = rows.iter().map(|(p, a, b, s)| [p, a, b, s].map(u8::to_string)).collect();
        let rows: Vec<[&str; 4]> = texts.iter().map(|t| t.each_ref().map(String::as_str)).collect();
        let report = measured(PATIENTS, k, &rows.iter().map(<[&str; 4]>::as_slice).collect::<Vec<_>>());
        let class = |row: &[&str; 4]| rows.iter().filter(|r| r[1..3] == row[1..3]).copied().collect::<Vec<_>>();
        let distinct = |class: &[[&str; 4]], at: usize| class.iter().map(|r| r[at]).collect::<BTreeSet<_>>().len();
        let people: Vec<usize> = rows.iter().map(|r| distinct(&class(r), 0)).collect();
        prop_assert_eq!(report.k(), *people.iter().min().unwrap());
        prop_assert_eq!(report.sizes()[0], people.iter().filter(|p| **p == 1).count() as u64);
        prop_assert_eq!(report.under_k, people.iter().filter(|p| **p < k).count() as u64);
        prop_assert_eq!(report.l(), rows.iter().map(|r| distinct(&class(r), 3)).min());
        prop_assert_eq!(report.sizes().iter().sum::<u64>(), rows.len() as u64);
    }

    /// Whatever the content is: without its tokens it is the same as with others.
    #[test]
    fn a_token_within_content_never_tells_contents_apart(before in "[a-z/@:. ]{0,12}", after in "[a-z/@ ]{0,12}", one: u32, other: u32) {
        let with = |person| rest(&format!("{before}{}{after}", token("lab", person)));
        prop_assert_eq!(with(one), with(other));
    }

    #[test]
    fn nothing_breaks_on_any_text(value: String) {
        if let Some((_, left)) = rest(&value) {
            prop_assert!(!left.is_empty() && left.chars().count() <= 3 * value.chars().count());
        }
    }
}
