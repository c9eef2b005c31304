//! The starter rulebook and what somebody proposes to change of it.

use std::path::{Path, PathBuf};

use model::rulebook::{Files, PROPERTIES};
use prove::{Book, Example, Limits, PromiseResult, Solver, SolverError, Verdict};

pub(crate) const GUARDRAILS: &str = "10-guardrails.cedar";
pub(crate) const PERMITS: &str = "20-permits.cedar";

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/starter")
}

pub(crate) fn files() -> Files {
    let read = |path: PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap())
    };
    std::fs::read_dir(folder()).unwrap().map(|entry| read(entry.unwrap().path())).collect()
}

pub(crate) fn starter() -> Book {
    book(files())
}

pub(crate) fn book(files: Files) -> Book {
    Book::read(files).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The starter's files with some words of one of them replaced.
pub(crate) fn changed(changes: &[(&str, &str, &str)]) -> Files {
    let mut files = files();
    for (file, from, to) in changes {
        let text = files.get_mut(*file).unwrap();
        assert!(text.contains(from), "`{file}` has no `{from}` any more");
        *text = text.replacen(from, to, 1);
    }
    files
}

/// The starter's files without some of its policies or properties.
pub(crate) fn without(ids: &[&str]) -> Files {
    let mut files = files();
    for id in ids {
        let head = format!("@id(\"{id}\")");
        let found = files.values_mut().find(|text| text.contains(&head));
        let text = found.unwrap_or_else(|| panic!("nothing is called `{id}`"));
        let start = text.find(&head).unwrap();
        let end = text[start..].find(";\n").unwrap();
        text.replace_range(start..start + end + 2, "");
    }
    files
}

/// A rulebook with these properties and no others.
pub(crate) fn only_properties(mut files: Files, ids: &[&str]) -> Files {
    let text = files.get(PROPERTIES).unwrap();
    let one = |id: &&str| {
        let start = text.find(&format!("@id(\"{id}\")")).unwrap_or_else(|| panic!("no property `{id}`"));
        let end = text[start..].find(";\n").unwrap();
        text[start..start + end + 2].to_owned()
    };
    let text: String = ids.iter().map(one).collect();
    files.insert(PROPERTIES.to_owned(), text);
    files
}

pub(crate) fn cvc5() -> Result<Solver, SolverError> {
    let solver = Solver::find(None, Limits::default());
    assert!(solver.is_ok(), "these tests need cvc5: scripts/test installs it");
    solver
}

/// The counterexample to a property.
pub(crate) fn example<'p>(promises: &'p [PromiseResult], id: &str) -> &'p Example {
    match &promises.iter().find(|p| p.id == id).unwrap().verdict {
        Verdict::False { example } => example,
        other => panic!("`{id}` is not false: {other:?}"),
    }
}
