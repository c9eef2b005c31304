//! Budgets of files, and words that no file holds.

use super::tree;

/// Lines above which a source file surely holds a second idea.
const LINES_MAX: usize = 800;
/// Lines above which the test tells, but does not fail.
const LINES_AIM: usize = 400;
/// Bytes of the largest file.
const BYTES_MAX: u64 = 1_000_000;

/// Every line of these files that holds one of the words.
fn places(files: impl IntoIterator<Item = (String, String)>, words: &[&str]) -> Vec<String> {
    let mut places = Vec::new();
    for (path, text) in files {
        let lines = text.lines().enumerate().filter(|(_, l)| words.iter().any(|w| l.contains(w)));
        places.extend(lines.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())));
    }
    places
}

#[test]
fn no_source_file_is_longer_than_eight_hundred_lines() {
    for (path, text) in tree::texts(".rs") {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "`{path}` has {lines} lines: look for the second idea inside");
        if lines > LINES_AIM {
            eprintln!("`{path}` has {lines} lines, aim at {LINES_AIM}");
        }
    }
}

#[test]
fn no_file_is_larger_than_a_megabyte() {
    for path in tree::paths() {
        let bytes = tree::root().join(&path).metadata().unwrap().len();
        assert!(bytes <= BYTES_MAX, "`{path}` has {bytes} bytes");
    }
}

#[test]
fn modules_are_named_files() {
    let found: Vec<_> = tree::paths().into_iter().filter(|p| p.ends_with("/mod.rs")).collect();
    assert!(found.is_empty(), "write foo.rs with foo/: {found:?}");
}

#[test]
fn no_work_is_left_as_a_mark_in_the_code() {
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("unimplem", "ented!(")];
    for ending in [".rs", ".md", ".toml", ".cedar", ".sh"] {
        let found = places(tree::texts(ending), &marks);
        assert!(found.is_empty(), "an issue is the place for work to come: {found:#?}");
    }
}

#[test]
fn no_test_is_ignored() {
    let mark = concat!("#[ig", "nore");
    for (path, text) in tree::texts(".rs") {
        assert!(!text.contains(mark), "`{path}`: assert what happens today and say why");
    }
}

#[test]
fn no_file_names_a_machine_or_a_package_registry() {
    // In two parts each, so that this file does not name them either.
    let parts = [
        ("/wo", "rk/"),
        ("/fa", "rm/"),
        ("/ro", "ot/"),
        (".lib", "rary"),
        ("crates", ".io"),
        ("pypi", ".org"),
        ("registry", ".npmjs"),
        ("deb.deb", "ian.org"),
    ];
    let words = parts.map(|(a, b)| format!("{a}{b}"));
    let words = words.each_ref().map(String::as_str);
    let excepted =
        |p: &str| p.ends_with("Cargo.lock") || p.ends_with("package-lock.json") || p == "deny.toml";
    let found = places(tree::texts("").into_iter().filter(|(p, _)| !excepted(p)), &words);
    assert!(found.is_empty(), "{found:#?}");
}
