//! `clover residency` on the command line: canaries that live in the vault, a sweep that finds one outside, and an
//! incident from its clock to its certificate.

use std::path::{Path, PathBuf};

use clover::layout::Layout;
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Postgres, S3};
use xtask::world::clover_raw;

struct Enclave {
    folder: TempDir,
    layout: Layout,
}

impl Enclave {
    fn new() -> Self {
        let folder = TempDir::with_prefix("clover-it-").unwrap();
        let layout = Layout::new(&folder.path().join("enclave"));
        let enclave = Self { folder, layout };
        enclave.told(0, &["init"]);
        enclave
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a command answers as JSON, when it ends with a code.
    fn told(&self, code: i32, arguments: &[&str]) -> Value {
        let arguments = [&["--json"], arguments].concat();
        let output = clover_raw(&self.layout, &arguments).unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        if code == 0 || error.is_empty() {
            serde_json::from_slice(&output.stdout).unwrap()
        } else {
            Value::String(error)
        }
    }

    fn canaries(&self) -> PathBuf {
        let out = self.beside("canaries");
        self.told(0, &["residency", "canary", "make", "12", "--out", out.to_str().unwrap()]);
        out
    }
}

fn email(export: &Path) -> String {
    let export: Value = serde_json::from_slice(&std::fs::read(export).unwrap()).unwrap();
    export["Profile And Settings"]["Profile Info"]["ProfileMap"]["emailAddress"].as_str().unwrap().to_owned()
}

#[test]
fn canaries_are_imported_as_anybody_and_lie_in_the_vault_where_no_sweep_can_read_them() {
    let enclave = Enclave::new();
    let missing = enclave.told(1, &["residency", "sweep", "/nowhere"]);
    assert!(missing.as_str().unwrap().contains("CLV-0901"), "{missing}");
    let canaries = enclave.canaries();
    let imported = enclave.told(0, &["import", canaries.to_str().unwrap()]);
    assert_eq!((&imported["people"], &imported["undeclared"]), (&12.into(), &0.into()), "{imported}");
    // They are encrypted at rest; where they were written as files they are seen.
    let root = enclave.layout.root().to_str().unwrap().to_owned();
    let inside = enclave.told(0, &["residency", "sweep", &root, "--inside"]);
    assert_eq!(inside["report"]["finds"], Value::Array(vec![]), "{inside}");
    let files = enclave.told(0, &["residency", "sweep", canaries.to_str().unwrap(), "--inside"]);
    assert!(files["report"]["finds"].as_array().unwrap().len() >= 60, "{files}");
    assert_eq!(enclave.told(0, &["residency", "incidents"])["incidents"], Value::Array(vec![]));
}

#[test]
fn a_canary_outside_opens_an_incident_that_ends_only_with_seal_mark_and_certificate() {
    let enclave = Enclave::new();
    let canaries = enclave.canaries();
    let estate = enclave.beside("cn");
    std::fs::create_dir(&estate).unwrap();
    let chat = estate.join("chat.log");
    std::fs::write(&chat, format!("see {} please\n", email(&canaries.join("user_data_00003.json")))).unwrap();
    let sweep = |code| enclave.told(code, &["residency", "sweep", estate.to_str().unwrap()]);
    let opened = sweep(1)["opened"].clone();
    assert_eq!(opened.as_array().unwrap().len(), 1, "{opened}");
    let id = opened[0]["id"].as_str().unwrap();
    assert_eq!(sweep(1)["opened"], Value::Array(vec![]));
    let mark = enclave.beside("mark.note");
    let mark = mark.to_str().unwrap();
    let allow = |act: &str, manifest: &str| {
        enclave.told(0, &["residency", "mark", id, "--act", act, "--manifest", manifest, "--out", mark]);
    };
    allow("delete", "00");
    let refused = enclave.told(1, &["residency", "delete", id, "--mark", mark]);
    assert!(refused.as_str().unwrap().contains("CLV-0905"), "{refused}");
    let sealed = enclave.told(0, &["residency", "seal", id]);
    let refused = enclave.told(1, &["residency", "delete", id, "--mark", mark]);
    assert!(refused.as_str().unwrap().contains("CLV-0906"), "{refused}");
    assert!(chat.exists());
    allow("delete", sealed["manifest"].as_str().unwrap());
    let deleted = enclave.told(0, &["residency", "delete", id, "--mark", mark]);
    assert!(!chat.exists() && Path::new(deleted["certificate"].as_str().unwrap()).exists());
    sweep(0);
    let open = enclave.told(0, &["residency", "incidents"]);
    assert_eq!(open["incidents"][0]["is_there"], Value::Bool(false), "{open}");
    enclave.told(1, &["residency", "close", id, "--mark", mark]);
    allow("close", sealed["manifest"].as_str().unwrap());
    enclave.told(0, &["residency", "close", id, "--mark", mark]);
    assert_eq!(enclave.told(0, &["residency", "incidents"])["incidents"], Value::Array(vec![]));
}

#[test]
fn the_tool_measures_its_own_recall_and_all_that_it_claims_is_found() {
    let enclave = Enclave::new();
    enclave.canaries();
    let recall = enclave.told(0, &["residency", "recall"]);
    assert_eq!(recall["found"], recall["planted"], "{recall}");
    assert!(recall["lines"].as_array().unwrap().iter().any(|l| l["claimed"] == Value::Bool(false)));
}

#[test]
fn what_cannot_be_seen_is_neither_clean_nor_silent() {
    let enclave = Enclave::new();
    enclave.canaries();
    let estate = enclave.beside("cn");
    std::fs::create_dir(&estate).unwrap();
    std::fs::write(estate.join("old.bz2"), b"BZh91AY&SY").unwrap();
    let swept = enclave.told(3, &["residency", "sweep", estate.to_str().unwrap()]);
    assert_eq!(swept["opened"].as_array().unwrap().len(), 1, "{swept}");
    for target in [
        "s3://bucket/backups",
        "postgres://somebody:hunter2@127.0.0.1/x",
        "postgres://somebody@far.example/x",
    ] {
        let refused = enclave.told(1, &["residency", "sweep", target]);
        assert!(refused.as_str().unwrap().contains("CLV-0902"), "{refused}");
        assert!(!refused.as_str().unwrap().contains("hunter2"), "{refused}");
    }
}

#[test]
fn a_canary_in_a_bucket_is_found_and_a_store_that_shows_nothing_is_an_incident() {
    let enclave = Enclave::new();
    let canaries = enclave.canaries();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = S3::start(&certificate, &key).unwrap();
    server.put("2026/clean.log", b"nothing here").unwrap();
    let line = format!("see {} please\n", email(&canaries.join("user_data_00003.json")));
    // Behind the border of two parts.
    let long = [vec![b'.'; (8 << 20) - 7], line.into_bytes()].concat();
    server.put("2026/chat.log", &long).unwrap();
    let file = |name: &str, text: &str| {
        let path = enclave.beside(name);
        vault::keys::write_secret(&path, text.as_bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ca, access, secret) = (file("ca.pem", &certificate), file("access", "name"), file("secret", "key"));
    let address = server.address();
    let sweep = |code, bucket: &str| {
        let target = format!("s3://{bucket}");
        enclave.told(
            code,
            &[
                "residency",
                "sweep",
                &target,
                "--endpoint",
                &address,
                "--access-key-file",
                &access,
                "--secret-key-file",
                &secret,
                "--ca-file",
                &ca,
            ],
        )
    };
    let found = sweep(1, S3::BUCKET);
    let finds = found["report"]["finds"].as_array().unwrap();
    assert_eq!((finds.len(), found["report"]["places"].as_u64()), (1, Some(2)), "{found}");
    assert!(finds[0]["place"].as_str().unwrap().ends_with("/media/2026/chat.log"), "{found}");
    assert_eq!(found["opened"].as_array().unwrap().len(), 1, "{found}");
    let missing = sweep(3, "nowhere");
    assert_eq!(missing["opened"].as_array().unwrap().len(), 1, "{missing}");
    drop(server);
}

#[test]
fn a_watch_on_the_command_line_declares_watches_and_opens_incidents() {
    let enclave = Enclave::new();
    let server = Postgres::start().unwrap();
    let (nodes, file) = (enclave.beside("nodes.toml"), enclave.beside("residency.toml"));
    std::fs::write(&nodes, format!("[[node]]\nname = \"dublin-1\"\naddress = \"{}\"\n", server.address()))
        .unwrap();
    let (nodes, file) = (nodes.to_str().unwrap(), file.to_str().unwrap());
    let declared = enclave.told(0, &["residency", "declare", "--nodes", nodes, "--out", file]);
    assert!(declared["facts"].as_u64().unwrap() > 40, "{declared}");
    let watch = |code| {
        let arguments = ["--json", "residency", "watch", "--declared", file, "--once"];
        let output = clover_raw(&enclave.layout, &arguments).unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(watch(0), "");
    server.sql("create publication leak for all tables").unwrap();
    let opened: Value = serde_json::from_str(&watch(1)).unwrap();
    assert_eq!(opened["found"]["text"], "publication at dublin-1 is not declared: clover/leak all tables");
    assert_eq!(watch(1), "");
    server.sql("drop publication leak").unwrap();
    assert_eq!(watch(0), "");
    let open = enclave.told(0, &["residency", "incidents"]);
    assert_eq!(open["incidents"].as_array().unwrap().len(), 1, "what is gone stays open: {open}");
}
