//! The tree as the tests read it: files that are or could be committed, and what cargo says about them.

use std::path::PathBuf;
use std::process::Command;

/// The folder of the workspace.
pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Runs a command in the workspace and gives what it printed.
pub(super) fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(root()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{program} {}`: {told}", args.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs cargo without the network where that is possible: what was built is there already.
pub(super) fn cargo(args: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let offline = [args, &["--offline"]].concat();
    let tried = Command::new(&cargo).args(&offline).current_dir(root()).output().unwrap();
    if tried.status.success() { String::from_utf8(tried.stdout).unwrap() } else { run(&cargo, args) }
}

/// Paths of all files that are committed or would be, relative to the root, ascending.
pub(super) fn paths() -> Vec<String> {
    let listed = run("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let root = root();
    let mut paths: Vec<String> =
        listed.split('\0').filter(|p| !p.is_empty() && root.join(p).is_file()).map(str::to_owned).collect();
    paths.sort_unstable();
    paths.dedup();
    assert!(paths.len() > 50, "the tree is not where these tests look for it");
    paths
}

/// A file's text; nothing for a file that is no text.
pub(super) fn text(path: &str) -> Option<String> {
    String::from_utf8(std::fs::read(root().join(path)).unwrap()).ok()
}

/// Every text file with the given ending.
pub(super) fn texts(ending: &str) -> Vec<(String, String)> {
    let named = paths().into_iter().filter(|p| p.ends_with(ending));
    named.filter_map(|p| text(&p).map(|t| (p, t))).collect()
}

/// The lines of a source file that are shipped, with their numbers: no comments, no test modules.
pub(super) fn shipped(text: &str) -> Vec<(usize, &str)> {
    let mut lines = text.lines().enumerate().peekable();
    let mut kept = Vec::new();
    while let Some((number, line)) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            match lines.next() {
                Some((_, next)) if next.trim_end().ends_with(';') => continue,
                Some((_, next)) if next.contains("mod ") => break,
                _ => continue,
            }
        }
        let code = line.split_once(" // ").map_or(line, |(code, _)| code);
        if !code.trim_start().starts_with("//") {
            kept.push((number + 1, code));
        }
    }
    kept
}

/// Whether a file is test code as a whole.
fn is_test(path: &str) -> bool {
    let part = |p: &str| path.contains(p);
    path.starts_with("tests/")
        || part("/tests/")
        || part("/benches/")
        || part("/examples/")
        || path.ends_with("/tests.rs")
}

/// The shipped source files of all crates.
pub(super) fn sources() -> Vec<(String, String)> {
    texts(".rs").into_iter().filter(|(p, _)| p.starts_with("crates/") && !is_test(p)).collect()
}

/// Those of one crate.
pub(super) fn of<'a>(sources: &'a [(String, String)], name: &str) -> Vec<&'a (String, String)> {
    let folder = format!("crates/{name}/src/");
    sources.iter().filter(|(p, _)| p.starts_with(&folder)).collect()
}

#[test]
fn comments_and_test_modules_are_not_shipped() {
    let text = "//! a\nuse b; // c\n#[cfg(test)]\nmod tests;\nfn d() {}\n#[cfg(test)]\nmod tests {\n    fn e() {}\n}\n";
    assert_eq!(shipped(text), [(2, "use b;"), (5, "fn d() {}")]);
}
