//! What stands nowhere in shipped code, or in named places only.

use super::crates::CORE;
use super::tree::{self, of, shipped, sources};

/// Crates whose types may implement the ledger's storage, and so have receipts minted.
const STORAGE: &[&str] = &["crates/vault/", "crates/testkit/"];

/// Where a sealed payload or refusal is opened with its receipt. Each is short and reviewed.
const RELEASES: &[&str] = &["crates/gateway/src/passage.rs"];

/// Modules with unsafe code, each with its reason.
const UNSAFE: &[(&str, &str)] = &[
    (
        "crates/inspect/src/lanes.rs",
        "calls functions for SSE2, which is a part of x86-64, and for AVX2 and AVX-512, which are asked for first",
    ),
    (
        "crates/transform/src/json/block.rs",
        "calls one function for SSE2, which every x86-64 processor has: safe code has no way to ask sixteen bytes at once",
    ),
];

/// Calls that core crates leave to their callers: IO, clock, threads, randomness, async.
const NOT_IN_CORE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "File::",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "SystemTime",
    "Instant",
    "UNIX_EPOCH",
    "rand::",
    "SystemRandom",
    "OsRng",
    "RandomState",
    "async fn",
    "async move",
    ".await",
    "tokio::",
    "println!",
    "eprintln!",
];

/// Calls that gateways and console leave to the vault.
const NOT_AT_THE_BORDER: &[&str] =
    &["std::fs", "tokio::fs", "File::open", "File::create", "fjall::", "rusqlite"];

/// Places in shipped sources where one of the words stands.
fn places<'a>(sources: impl IntoIterator<Item = &'a (String, String)>, words: &[&str]) -> Vec<String> {
    let mut places = Vec::new();
    for (path, text) in sources {
        for (number, line) in shipped(text) {
            for word in words.iter().filter(|w| line.contains(**w)) {
                places.push(format!("{path}:{number}: {word}"));
            }
        }
    }
    places
}

#[test]
fn core_crates_have_no_io_no_clock_no_randomness_and_no_async() {
    let all = sources();
    for name in CORE {
        let sources = of(&all, name);
        assert!(!sources.is_empty(), "`{name}` has no source files");
        let found = places(sources.iter().copied(), NOT_IN_CORE);
        assert!(found.is_empty(), "{found:#?}");
        // One path a line, so that the search above sees them all.
        let grouped = places(sources, &["use std::{"]);
        assert!(grouped.is_empty(), "{grouped:#?}");
    }
}

#[test]
fn gateways_and_console_open_no_file() {
    let all = sources();
    for name in ["gateway", "console"] {
        let sources = of(&all, name);
        assert!(!sources.is_empty(), "`{name}` has no source files");
        let found = places(sources, NOT_AT_THE_BORDER);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn only_vault_and_testkit_have_receipts_minted() {
    let implements = |line: &str| line.trim_start().starts_with("impl") && line.contains("Storage for ");
    let mut found = 0;
    for (path, text) in sources() {
        for (number, _) in shipped(&text).into_iter().filter(|(_, l)| implements(l)) {
            assert!(
                STORAGE.iter().any(|s| path.starts_with(s)),
                "{path}:{number} implements the ledger's storage"
            );
            found += 1;
        }
    }
    assert!(found > 0, "nobody implements the ledger's storage: this test looks for the wrong words");
}

#[test]
fn sealed_payloads_are_opened_in_named_places_only() {
    let all = sources();
    let outside = all.iter().filter(|(p, _)| !p.starts_with("crates/crossing/"));
    let found = places(outside, &["sealed.release("]);
    let elsewhere: Vec<_> = found.iter().filter(|f| !RELEASES.iter().any(|r| f.starts_with(r))).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
    for place in RELEASES {
        assert!(found.iter().any(|f| f.starts_with(place)), "`{place}` opens nothing any more");
    }
}

#[test]
fn unsafe_code_stands_in_named_modules_only() {
    let word = concat!("uns", "afe ");
    // The harness under `bench/` is no part of what is shipped, nor of the workspace.
    for (path, text) in tree::texts(".rs").into_iter().filter(|(p, _)| !p.starts_with("bench/")) {
        for (number, line) in shipped(&text) {
            let named = UNSAFE.iter().any(|(p, reason)| *p == path && !reason.is_empty());
            assert!(named || !line.contains(word), "{path}:{number}: {line}");
        }
    }
}
