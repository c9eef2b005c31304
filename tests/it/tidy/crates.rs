//! The table of allowed edges between our crates, and what every crate must say of itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::tree;

/// Which of our crates each crate may use. `ARCHITECTURE.md` shows the same table.
/// A new edge is a change of architecture: its own commit, and a line there.
const EDGES: &[(&str, &str)] = &[
    ("model", ""),
    ("policy", "model"),
    ("inspect", "model"),
    ("transform", "model"),
    ("ledger", "model"),
    ("access", "model"),
    ("table", ""),
    ("crossing", "model policy inspect transform ledger access"),
    ("vault", "model transform ledger access"),
    ("residency", "model ledger"),
    ("gateway", "model policy inspect transform ledger access crossing vault"),
    ("console", "model policy inspect transform ledger access crossing vault"),
    ("prove", "model policy"),
    ("migrate", "model inspect transform ledger crossing vault residency table"),
    ("client", ""),
    (
        "clover",
        "model policy inspect transform ledger access crossing vault residency gateway console migrate table",
    ),
    ("audit", ""),
    ("testkit", "model policy inspect transform ledger access crossing vault gateway console"),
    ("xtask", "model policy inspect transform ledger access crossing vault gateway console clover testkit"),
];

/// Crates without IO, clock, randomness of their own, or async.
pub(super) const CORE: &[&str] = &["model", "policy", "inspect", "transform", "ledger", "access", "crossing"];

/// What a core crate pulls in by no path: runtimes, stores, sockets, sources of randomness.
const NOT_IN_CORE: &[&str] = &[
    "tokio",
    "hyper",
    "axum",
    "tower",
    "rustls",
    "mio",
    "socket2",
    "fjall",
    "rustix",
    "tempfile",
    "tracing",
    "rand",
    "getrandom",
    "fake",
    "async-trait",
    "futures-executor",
    "reqwest",
];

/// The one crate that draws random numbers for a core crate, and what it brings: noise of OpenDP, in `transform::dp`.
const SAMPLER: &str = "opendp";
/// Where alone it is called.
const SAMPLER_USED: &str = "crates/transform/src/dp/";

/// One of our packages: its folder's name and its dependencies on ours, shipped and for tests.
struct Package {
    shipped: BTreeSet<String>,
    tests: BTreeSet<String>,
}

fn packages() -> BTreeMap<String, Package> {
    let metadata: Value =
        serde_json::from_str(&tree::cargo(&["metadata", "--format-version", "1", "--no-deps"])).unwrap();
    let folder = |path: &Value| {
        let path = path.as_str().unwrap_or_default().trim_end_matches("/Cargo.toml");
        path.rsplit('/').next().unwrap_or_default().to_owned()
    };
    let mut packages = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let ours = package["dependencies"].as_array().unwrap().iter().filter(|d| d["path"].is_string());
        let (tests, shipped): (Vec<_>, Vec<_>) = ours.partition(|d| d["kind"] == "dev");
        let named = |edges: Vec<&Value>| edges.iter().map(|d| folder(&d["path"])).collect();
        let name = folder(&package["manifest_path"]);
        let wanted = if name == "clover" { name.clone() } else { format!("clover-{name}") };
        assert_eq!(package["name"], wanted, "the package in `{name}`");
        packages.insert(name, Package { shipped: named(shipped), tests: named(tests) });
    }
    packages
}

fn allowed(name: &str) -> Option<BTreeSet<String>> {
    let (_, edges) = EDGES.iter().find(|(n, _)| *n == name)?;
    Some(edges.split_whitespace().map(str::to_owned).collect())
}

#[test]
fn crates_use_only_what_the_table_allows() {
    for (name, package) in packages() {
        if name == "tests" {
            continue;
        }
        let allowed = allowed(&name).unwrap_or_else(|| panic!("crate `{name}` is not in the table of edges"));
        let extra: Vec<_> = package.shipped.difference(&allowed).collect();
        assert!(extra.is_empty(), "`{name}` may not use {extra:?}");
        let extra: Vec<_> =
            package.tests.difference(&allowed).filter(|d| *d != "testkit" && **d != name).collect();
        assert!(extra.is_empty(), "the tests of `{name}` may not use {extra:?}");
    }
}

#[test]
fn the_auditor_shares_no_crate_with_the_writer() {
    for (name, package) in packages() {
        if name == "audit" {
            assert!(package.shipped.is_empty() && package.tests.is_empty(), "audit uses a crate of ours");
        } else if name != "tests" {
            assert!(!package.shipped.contains("audit"), "`{name}` uses audit");
        }
    }
}

/// Names of the packages that some of ours are linked from.
fn linked(packages: &[&str]) -> BTreeSet<String> {
    linked_but_for(packages, &[])
}

/// The same without what comes with one of them alone.
fn linked_but_for(packages: &[&str], pruned: &[&str]) -> BTreeSet<String> {
    let chosen = packages.iter().flat_map(|p| ["-p", p]);
    let pruned = pruned.iter().flat_map(|p| ["--prune", p]);
    let args: Vec<&str> = ["tree", "-e", "normal", "--prefix", "none", "-f", "{p}"]
        .into_iter()
        .chain(chosen)
        .chain(pruned)
        .collect();
    tree::cargo(&args).lines().filter_map(|l| l.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_prover_is_run_and_never_linked() {
    const PROVER: [&str; 2] = ["clover-prove", "cedar-policy-symcc"];
    let prover = linked(&["clover-prove"]);
    assert!(PROVER.iter().all(|p| prover.contains(*p)), "the prover proves without its parts: {prover:?}");
    let shipped = linked(&["clover", "clover-gateway", "clover-console", "clover-audit"]);
    let wrong: Vec<_> = PROVER.iter().filter(|p| shipped.contains(**p)).collect();
    assert!(wrong.is_empty(), "a shipped program is linked with {wrong:?}");
    for (name, package) in packages() {
        let uses = package.shipped.contains("prove") || package.tests.contains("prove");
        assert!(!uses, "`{name}` uses the prover");
    }
}

#[test]
fn the_table_in_architecture_md_is_the_one_that_is_tested() {
    let page = tree::text("ARCHITECTURE.md").unwrap();
    let rows = page.lines().skip_while(|l| !l.starts_with("| crate | may use |")).skip(2);
    let shown: Vec<(String, BTreeSet<String>)> = rows
        .take_while(|l| l.starts_with('|'))
        .map(|l| {
            let mut cells = l.trim_matches('|').split('|').map(str::trim);
            let name = cells.next().unwrap_or_default().to_owned();
            let uses = cells.next().unwrap_or_default();
            let uses = if uses == "none of ours" { "" } else { uses };
            (name, uses.split(',').map(str::trim).filter(|u| !u.is_empty()).map(str::to_owned).collect())
        })
        .collect();
    let tested: Vec<_> = EDGES.iter().filter_map(|(n, _)| Some(((*n).to_owned(), allowed(n)?))).collect();
    assert_eq!(shown, tested);
}

#[test]
fn core_crates_pull_in_no_runtime_no_store_and_no_randomness() {
    let packages: Vec<String> = CORE.iter().map(|name| format!("clover-{name}")).collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let names = linked_but_for(&packages, &[SAMPLER]);
    assert!(packages.iter().all(|p| names.contains(*p)), "cargo tree lists too little");
    let wrong: Vec<_> = NOT_IN_CORE.iter().filter(|n| names.contains(**n)).collect();
    assert!(wrong.is_empty(), "core crates pull in {wrong:?}; find the way with `cargo tree -e normal -i`");
    // The exception belongs to one crate: no other comes to its random numbers by itself.
    for name in CORE.iter().filter(|name| !["transform", "crossing"].contains(*name)) {
        assert!(!linked(&[&format!("clover-{name}")]).contains(SAMPLER), "`{name}` has `{SAMPLER}`");
    }
    let named =
        |(path, text): &(String, String)| text.contains("opendp::") && !path.starts_with(SAMPLER_USED);
    let elsewhere: Vec<_> = tree::sources().into_iter().filter(named).map(|(path, _)| path).collect();
    assert!(elsewhere.is_empty(), "`{SAMPLER}` is used outside of `{SAMPLER_USED}`: {elsewhere:?}");
}

#[test]
fn every_crate_says_what_it_is_for_and_obeys_the_lints() {
    for name in packages().keys().filter(|n| *n != "tests") {
        let manifest = tree::text(&format!("crates/{name}/Cargo.toml")).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "`{name}` does not take the lints of the workspace"
        );
        let heads = ["lib.rs", "main.rs"].map(|f| format!("crates/{name}/src/{f}"));
        for head in heads.iter().filter(|h| tree::root().join(h).is_file()) {
            assert!(tree::text(head).unwrap().starts_with("//! "), "`{head}` has no module header");
        }
    }
}
