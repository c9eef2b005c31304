//! What we depend on: licences, one TLS stack, one async runtime, and each piece of cryptography with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::licence::satisfied;
use super::tree;

/// Licences that need no further thought.
const LICENCES: &[&str] =
    &["Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "Unicode-3.0", "Zlib"];

/// Crates under another licence that is no less permissive.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("ar_archive_writer", "Apache-2.0 WITH LLVM-exception"),
    ("tiny-keccak", "CC0-1.0"),
    ("varint-rs", "0BSD"),
    ("webpki-roots", "CDLA-Permissive-2.0"),
    ("xxhash-rust", "BSL-1.0"),
];

/// Crates that name a file in place of a licence: what that file is, and how it begins.
const CLARIFIED: &[(&str, &str, &str)] =
    &[("opendp", "MIT", "MIT License\n"), ("opendp_derive", "MIT", "MIT License\n")];

/// A second TLS stack, a second cryptographic library, a second async runtime.
const BANNED: &[&str] = &[
    "async-io",
    "async-std",
    "boring",
    "mbedtls",
    "native-tls",
    "openssl",
    "openssl-sys",
    "ring",
    "s2n-tls",
    "smol",
];

/// What must stand in the shipped tree in one version only.
const ONCE: &[&str] = &["aws-lc-rs", "cedar-policy", "hyper", "rustls", "tokio"];

/// Cryptography in the shipped tree. The reason for each stands in the decision file.
const CRYPTO: &[&str] = &[
    "aead",
    "aes",
    "aes-siv",
    "argon2",
    "aws-lc-rs",
    "aws-lc-sys",
    "base16ct",
    "base64ct",
    "blake2",
    "blake3",
    "block-buffer",
    "cbc",
    "chacha20",
    "cipher",
    "cmac",
    "cmov",
    "const-oid",
    "constant_time_eq",
    "crypto-bigint",
    "crypto-common",
    "cryptoki",
    "cryptoki-sys",
    "ctr",
    "ctutils",
    "curve25519-dalek",
    "curve25519-dalek-derive",
    "dbl",
    "der",
    "digest",
    "ecdsa",
    "ed25519",
    "ed25519-dalek",
    "elliptic-curve",
    "fpe",
    "hmac",
    "md-5",
    "p256",
    "p384",
    "pem",
    "pem-rfc7468",
    "pkcs1",
    "pkcs8",
    "ppv-lite86",
    "primefield",
    "primeorder",
    "rand_chacha",
    "rcgen",
    "rfc6979",
    "rsa",
    "rustls",
    "rustls-native-certs",
    "rustls-pki-types",
    "rustls-webpki",
    "sec1",
    "secrecy",
    "sha1",
    "sha2",
    "signature",
    "siphasher",
    "spki",
    "subtle",
    "tokio-rustls",
    "wnaf",
    "x509-parser",
    "zeroize",
];
const CRYPTO_REASONS: &str = "docs/decisions/2026-11-22-cryptography.md";

/// How names of cryptographic crates begin that carry no category.
const CRYPTO_NAMES: &[&str] = &[
    "aes",
    "argon",
    "aws-lc",
    "blake",
    "bcrypt",
    "chacha",
    "curve25519",
    "ed25519",
    "hkdf",
    "hmac",
    "md5",
    "md-5",
    "orion",
    "p256",
    "p384",
    "pbkdf",
    "poly1305",
    "rcgen",
    "rsa",
    "scrypt",
    "sha1",
    "sha2",
    "sha3",
    "sodium",
    "x25519",
];

/// Name and version of every package that the shipped binaries, `clover`, `clover-audit` and `clover-prove`, are linked from.
fn shipped() -> BTreeSet<(String, String)> {
    let listed = tree::cargo(&[
        "tree",
        "-p",
        "clover",
        "-p",
        "clover-audit",
        "-p",
        "clover-prove",
        "-e",
        "normal",
        "--prefix",
        "none",
        "-f",
        "{p}",
    ]);
    let pair = |line: &str| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    let found: BTreeSet<_> = listed.lines().filter_map(pair).collect();
    assert!(found.len() > 100, "cargo tree lists too little");
    found
}

/// Every package that cargo resolves for this platform, those for tests and builds included.
fn resolved() -> Vec<Value> {
    let told = tree::run("rustc", &["-vV"]);
    let host = told.lines().find_map(|l| l.strip_prefix("host: ")).unwrap();
    let metadata = tree::cargo(&["metadata", "--format-version", "1", "--filter-platform", host]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The strings of a list in `deny.toml`, with whatever stands between the quotes.
fn listed<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let after = text.split_once(&format!("\n{key} = [")).map_or("", |(_, after)| after);
    let end = after.find("\n]").or_else(|| after.find(']')).unwrap_or(0);
    let lines = after[..end].lines().map(|l| l.split_once(" # ").map_or(l, |(l, _)| l));
    lines.flat_map(|l| l.split('"').skip(1).step_by(2)).collect()
}

/// A package's licence: as it says, or as was read in the file that it names.
fn licence(package: &Value) -> &str {
    let name = word(&package["name"]);
    let clarified = CLARIFIED.iter().find(|(n, ..)| package["license"].is_null() && *n == name);
    let Some((_, licence, begins)) = clarified else { return word(&package["license"]) };
    let file = Path::new(word(&package["manifest_path"])).with_file_name(word(&package["license_file"]));
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.starts_with(begins), "`{name}` has another licence than it had");
    licence
}

#[test]
fn every_dependency_has_a_licence_that_the_project_takes() {
    let mut used = BTreeSet::new();
    for package in &resolved() {
        let (name, licence) = (word(&package["name"]), licence(package));
        let exceptions: Vec<_> = EXCEPTIONS.iter().filter(|(n, _)| *n == name).map(|(_, l)| *l).collect();
        if satisfied(licence, &|l| LICENCES.contains(&l)) {
            continue;
        }
        let excepted = satisfied(licence, &|l| LICENCES.contains(&l) || exceptions.contains(&l));
        assert!(excepted, "`{name}` is under `{licence}`");
        used.insert(name.to_owned());
    }
    let unused: Vec<_> = EXCEPTIONS.iter().filter(|(n, _)| !used.contains(*n)).collect();
    assert!(unused.is_empty(), "exceptions that nothing needs: {unused:?}");
}

#[test]
fn deny_toml_says_what_these_tests_say() {
    let text = tree::text("deny.toml").unwrap();
    assert_eq!(listed(&text, "allow"), LICENCES);
    let pairs: Vec<_> = EXCEPTIONS.iter().flat_map(|(name, licence)| [*name, *licence]).collect();
    assert_eq!(listed(&text, "exceptions"), pairs);
    assert_eq!(listed(&text, "deny"), BANNED);
    let clarified = text.split("[[licenses.clarify]]").skip(1);
    let clarified =
        clarified.map(|part| part.lines().filter_map(|l| l.split_once(" = ")).collect::<Vec<_>>());
    let value = |part: &[(&str, &str)], key| {
        part.iter().find(|(k, _)| *k == key).map(|(_, v)| v.trim_matches('"').to_owned())
    };
    let clarified: Vec<_> = clarified.map(|p| (value(&p, "crate"), value(&p, "expression"))).collect();
    let ours = CLARIFIED.iter().map(|(n, l, _)| (Some((*n).to_owned()), Some((*l).to_owned())));
    assert_eq!(clarified, ours.collect::<Vec<_>>());
}

#[test]
fn there_is_one_tls_stack_and_one_async_runtime() {
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    for (name, _) in shipped() {
        *versions.entry(name).or_default() += 1;
    }
    let banned: Vec<_> = BANNED.iter().filter(|b| versions.contains_key(**b)).collect();
    assert!(banned.is_empty(), "in the shipped tree: {banned:?}");
    for name in ONCE {
        assert_eq!(versions.get(*name), Some(&1), "versions of `{name}`");
    }
}

#[test]
fn each_piece_of_cryptography_has_its_reason_on_record() {
    let names: BTreeSet<String> = shipped().into_iter().map(|(name, _)| name).collect();
    let speaks_of = |p: &Value, key: &str| {
        p[key].as_array().is_some_and(|words| words.iter().any(|w| word(w).contains("crypto")))
    };
    let crypto = |p: &Value| {
        let name = word(&p["name"]);
        names.contains(name)
            && (speaks_of(p, "categories")
                || speaks_of(p, "keywords")
                || CRYPTO_NAMES.iter().any(|c| name.starts_with(c)))
    };
    let found: BTreeSet<String> =
        resolved().iter().filter(|p| crypto(p)).map(|p| word(&p["name"]).to_owned()).collect();
    let allowed: BTreeSet<String> = CRYPTO.iter().map(|c| (*c).to_owned()).collect();
    let extra: Vec<_> = found.difference(&allowed).collect();
    assert!(extra.is_empty(), "cryptography that nobody decided on: {extra:?}");
    let gone: Vec<_> = CRYPTO.iter().filter(|c| !names.contains(**c)).collect();
    assert!(gone.is_empty(), "no longer in the shipped tree: {gone:?}");
    let reasons = tree::text(CRYPTO_REASONS).unwrap();
    for name in &allowed {
        assert!(reasons.contains(&format!("`{name}`")), "`{CRYPTO_REASONS}` does not say why `{name}`");
    }
}
