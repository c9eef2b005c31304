//! The small world that stands in where there is no proof: what it finds is so, and its silence is none.

use prove::{Limits, Outcome, Solver, bounded, compare};

use crate::cast::{PERMITS, book, changed, cvc5, starter};

/// Enough for what these tests look for, in seconds.
const REQUESTS: usize = 300;

#[test]
fn a_wider_proposal_is_found_without_a_solver_and_silence_is_no_proof() {
    let none = Solver::find(Some(std::path::Path::new("/nowhere/cvc5")), Limits::default());
    let wider = book(changed(&[(
        PERMITS,
        "when { resource.class == Clover::DataClass::\"public\" };",
        "when { resource.class != Clover::DataClass::\"restricted\" };",
    )]));
    let found = compare(&wider, &starter(), REQUESTS, &none);
    assert_eq!(found.outcome, Outcome::False, "{found:?}");
    let bounded = found.bounded.unwrap();
    assert!(bounded.wider > 0 && bounded.errors == 0, "{bounded:?}");
    let example = bounded.examples.first().unwrap();
    assert!(example.by.contains(&"P11-public".to_owned()), "{example:?}");
    assert!(example.words[1].contains("allowable") && example.words[1].contains("plain"), "{example:?}");
}

#[test]
fn a_field_of_another_class_and_a_new_destination_are_wider_though_no_policy_changed() {
    for (change, word) in [
        (
            &[(
                "catalogue.toml",
                "key = \"emailAddress\", class = \"restricted\"",
                "key = \"emailAddress\", class = \"public\"",
            )][..],
            "restricted, then public",
        ),
        (
            &[
                ("programme.toml", "\"BR\"", "\"AQ\""),
                ("assessments.toml", "country = \"BR\"", "country = \"AQ\""),
            ][..],
            "in AQ",
        ),
    ] {
        let proposal = book(changed(change));
        let bounded = bounded(&proposal, &starter(), 60).unwrap();
        assert!(bounded.wider > 0, "{word}");
        let told = bounded.examples.iter().any(|e| e.words.iter().any(|w| w.contains(word)));
        assert!(told, "{word}: {bounded:#?}");
    }
}

#[test]
fn a_proof_needs_no_small_world_and_files_that_no_proof_covers_do() {
    let solver = cvc5();
    let same = compare(&starter(), &starter(), REQUESTS, &solver);
    assert!(same.outcome == Outcome::Proved && same.bounded.is_none(), "{same:?}");
    let narrower =
        book(changed(&[("programme.toml", "heightened = [\"CN\"]", "heightened = [\"CN\", \"BR\"]")]));
    let told = compare(&narrower, &starter(), REQUESTS, &solver);
    let bounded = told.bounded.unwrap();
    // Nothing was found, and nobody says "not wider".
    assert_eq!((bounded.wider, told.outcome), (0, Outcome::NotProved), "{bounded:?}");
    // What an assessment names stands in no policy either, nor who approves.
    for (file, from, to) in [
        (
            "assessments.toml",
            "treatments = [\"aggregate\", \"dp\"]",
            "treatments = [\"pseudonymised\", \"aggregate\", \"dp\"]",
        ),
        ("access.toml", "of = [\"security\"]", "of = [\"security\", \"data-approvers\"]"),
    ] {
        let opened = book(changed(&[(file, from, to)]));
        assert_ne!(compare(&opened, &starter(), 60, &solver).outcome, Outcome::Proved, "{file}");
    }
}
