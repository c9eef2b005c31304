//! Documents that must not drift from the code: error pages, names of tests, links.

use std::collections::BTreeSet;

use super::tree;

/// Folder of the pages about errors.
const PAGES: &str = "docs/errors/";
/// Documents in which a long name between backticks is a test's.
const CLAIMING: &[&str] =
    &["ARCHITECTURE.md", "SPECIFICATION.md", "SECURITY.md", "docs/threats.md", "docs/decisions/"];
/// Words in a name from which on it is taken for a test's: a claim is longer than a key.
const CLAIM_WORDS: usize = 4;

/// Every error code in shipped code: it stands in quotes.
fn codes() -> BTreeSet<String> {
    let prefix = concat!("\"CL", "V-");
    let mut codes = BTreeSet::new();
    for (path, text) in tree::sources() {
        for (number, line) in tree::shipped(&text) {
            for after in line.split(prefix).skip(1) {
                let code = after.split('"').next().unwrap_or_default();
                let plain = code.len() == 4 && code.bytes().all(|b| b.is_ascii_digit());
                assert!(plain, "{path}:{number}: a code has four digits");
                codes.insert(format!("CLV-{code}"));
            }
        }
    }
    codes
}

/// Every test's name.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, text) in tree::texts(".rs") {
        let mut marked = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                marked = true;
            } else if let Some(after) = line.split_once("fn ").map(|(_, after)| after).filter(|_| marked) {
                names.extend(after.split('(').next().map(str::to_owned));
                marked = false;
            }
        }
    }
    names
}

/// What stands between backticks in a document, code blocks apart.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|part| part.split('`').skip(1).step_by(2))
}

/// The last part of a path that has the form of a claim: `four_or_more_words`.
fn claim(text: &str) -> Option<&str> {
    let name = text.rsplit("::").next()?;
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    (plain && name.split('_').filter(|w| !w.is_empty()).count() >= CLAIM_WORDS).then_some(name)
}

#[test]
fn every_error_code_has_a_page_and_every_page_a_code() {
    let page = |p: String| p.strip_prefix(PAGES).and_then(|n| n.strip_suffix(".md")).map(str::to_owned);
    let pages: BTreeSet<String> = tree::paths().into_iter().filter_map(page).collect();
    assert_eq!(codes(), pages, "codes in the code, pages in `{PAGES}`");
    for code in &pages {
        let text = tree::text(&format!("{PAGES}{code}.md")).unwrap();
        assert!(text.starts_with(&format!("# {code}: ")), "the page of {code} begins with its code and name");
        for part in ["**What happened.**", "**What it means.**", "**What to do.**"] {
            assert!(text.contains(part), "the page of {code} lacks {part}");
        }
    }
}

#[test]
fn tests_that_documents_name_exist() {
    let tests = tests();
    let (mut found, mut missing) = (0, Vec::new());
    for (path, text) in tree::texts(".md").iter().filter(|(p, _)| CLAIMING.iter().any(|c| p.starts_with(c))) {
        for name in quoted(text).filter_map(claim) {
            if !tests.contains(name) {
                missing.push(format!("`{path}` names the test `{name}`"));
            }
            found += 1;
        }
    }
    assert!(missing.is_empty(), "tests that do not exist: {missing:#?}");
    assert!(found > 20, "the documents name {found} tests: this test looks for the wrong form");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut dead = Vec::new();
    for (path, text) in tree::texts(".md") {
        let folder = tree::root().join(&path).parent().unwrap().to_owned();
        let prose = text.split("```").step_by(2);
        for target in prose.flat_map(|p| p.split("](").skip(1)).filter_map(|l| l.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let local = !target.contains("://") && !target.starts_with("mailto:") && !file.is_empty();
            if local && !folder.join(file).exists() {
                dead.push(format!("`{path}` links to `{target}`"));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn a_decision_file_begins_with_its_date() {
    for path in tree::paths().iter().filter_map(|p| p.strip_prefix("docs/decisions/")) {
        let date = path.get(..11).unwrap_or_default();
        let dated = date
            .bytes()
            .enumerate()
            .all(|(i, b)| if [4, 7, 10].contains(&i) { b == b'-' } else { b.is_ascii_digit() });
        assert!(dated && date.len() == 11, "`docs/decisions/{path}` is not YYYY-MM-DD-words.md");
    }
}
