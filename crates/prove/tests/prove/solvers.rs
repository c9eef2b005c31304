//! Solvers that are not there, give up, die or lie: nothing of theirs counts as a proof.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use prove::{Book, Limits, Outcome, Solver, SolverError, Verdict};

use crate::cast::{book, cvc5, files, only_properties, starter};

fn small() -> Book {
    book(only_properties(files(), &["T2-crossing-has-its-basis", "T18-restricted-counts-stay"]))
}

/// What two true promises come to with a program in the solver's place.
fn verdicts(solver: &Result<Solver, SolverError>) -> Vec<Verdict> {
    let verdicts: Vec<_> = prove::promises(&small(), solver).into_iter().map(|p| p.verdict).collect();
    assert_eq!(verdicts.len(), 2);
    verdicts
}

fn program(folder: &Path, body: &str) -> Result<Solver, SolverError> {
    let path = folder.join("solver");
    let text = format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo other 1; exit 0; fi\n{body}\n");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let limits = Limits { question: Duration::from_millis(500), ..Limits::default() };
    Ok(Solver::find(Some(&path), limits).unwrap())
}

#[test]
fn without_a_solver_nothing_is_proved() {
    let missing = Solver::find(Some(Path::new("/nowhere/cvc5")), Limits::default());
    assert!(matches!(missing, Err(SolverError::Missing(_))), "{missing:?}");
    let book = starter();
    let report = prove::prove(&book, Some(&book), &missing);
    assert_eq!(report.outcome, Outcome::NotProved);
    assert!(report.promises.iter().all(|p| matches!(p.verdict, Verdict::NotProved { .. })));
    assert_eq!(report.errors.findings.len(), report.errors.policies);
    assert_eq!(report.dead.findings.len(), report.dead.policies);
    let told = prove::text(&report);
    assert!(told.contains("nothing can be proved") && told.contains("NOT PROVED: see above"), "{told}");
}

#[test]
fn a_program_that_is_no_solver_is_not_taken_for_one() {
    let found = Solver::find(Some(Path::new("/bin/false")), Limits::default());
    assert!(matches!(found, Err(SolverError::Silent(_))), "{found:?}");
}

#[test]
fn a_solver_that_gives_up_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let answers = "while read -r line; do [ \"$line\" = '(check-sat)' ] && echo unknown; done";
    for verdict in verdicts(&program(folder.path(), answers)) {
        let Verdict::NotProved { why } = verdict else { panic!("{verdict:?}") };
        assert!(why.contains("unknown"), "{why}");
    }
}

#[test]
fn a_solver_that_dies_or_talks_nonsense_proves_nothing() {
    for body in ["exit 1", "echo '(error \"no\")'; cat >/dev/null", "while read -r l; do echo maybe; done"] {
        let folder = tempfile::tempdir().unwrap();
        for verdict in verdicts(&program(folder.path(), body)) {
            assert!(matches!(verdict, Verdict::NotProved { .. }), "`{body}`: {verdict:?}");
        }
    }
}

#[test]
fn a_counterexample_that_is_none_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let lies = "while read -r line; do
        [ \"$line\" = '(check-sat)' ] && echo sat
        [ \"$line\" = '(get-model)' ] && printf '(\\n)\\n'
    done";
    for verdict in verdicts(&program(folder.path(), lies)) {
        let believed = verdict.is_proved() || verdict.is_false();
        assert!(!believed, "{verdict:?}");
    }
}

#[test]
fn a_solver_without_memory_proves_nothing() {
    let limits = Limits { memory_mib: 1, ..Limits::default() };
    let solver = Solver::find(None, limits);
    assert!(cvc5().is_ok() && solver.is_ok());
    for verdict in verdicts(&solver) {
        assert!(matches!(verdict, Verdict::NotProved { .. }), "{verdict:?}");
    }
}
