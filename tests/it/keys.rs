//! Enclaves whose region's key lies in a sealed file, in a token, or in OpenBao, as real processes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clover::layout::Layout;
use serde_json::Value;
use tempfile::TempDir;
use testkit::{OpenBao, SoftHsm};
use xtask::story;
use xtask::world::{World, clover, clover_raw, programs};

use crate::support::secure::Authority;
use crate::support::{SEED, SUPPORT, Stage};

const PEOPLE: u64 = 8;
const PLAIN: &str = "service = \"file\"\nlease_seconds = 60\n";
const POLICY: &str = "path \"transit/encrypt/clover-region\" { capabilities = [\"update\"] }\n\
                      path \"transit/decrypt/clover-region\" { capabilities = [\"update\"] }\n\
                      path \"transit/keys/clover-region\" { capabilities = [\"create\", \"read\", \"update\"] }\n\
                      path \"transit/keys/clover-region/*\" { capabilities = [\"update\"] }\n";

/// The starter's `enclave.toml` with these lines under `[keys]`.
fn configuration(path: &Path, keys: &str) -> String {
    let starter = clover::config::starter("dublin-1");
    assert!(starter.contains(PLAIN));
    std::fs::write(path, starter.replace(PLAIN, &format!("{keys}\n"))).unwrap();
    path.display().to_string()
}

fn secret(path: PathBuf, text: &str) -> PathBuf {
    let _ = std::fs::remove_file(&path);
    vault::keys::write_secret(&path, text).unwrap();
    path
}

/// An OpenBao with the region's key, and an enclave that asks it and holds opened keys for a second.
async fn in_openbao() -> (Stage, OpenBao) {
    let folder = TempDir::with_prefix("clover-it-").unwrap();
    let (authority, at) = (Authority::new(), |name: &str| folder.path().join(name));
    let shown = authority.issue("localhost");
    // The test's own client trusts the server's certificate, the enclave its authority.
    let bao = OpenBao::start(&format!("{}{}", shown.certificate, authority.pem()), &shown.key).unwrap();
    let token = secret(at("token"), &bao.token(POLICY).unwrap());
    let keys = format!(
        "service = \"openbao\"\nlease_seconds = 1\n[keys.openbao]\naddress = \"{}\"\ntoken_file = \"{}\"\nca_file = \"{}\"",
        bao.address(),
        token.display(),
        authority.file(at("bao-ca.pem")).display()
    );
    let config = configuration(&at("enclave.toml"), &keys);
    let enclave = at("enclave");
    World::prepare_with(&enclave, PEOPLE, SEED, &["--config", &config], |_| {}).unwrap();
    let world = World::open(&enclave, PEOPLE, SEED, |_| {}).await.unwrap();
    story::approvals(&world).await.unwrap();
    (Stage::of(world, folder), bao)
}

fn status(layout: &Layout) -> Value {
    serde_json::from_str(&clover(layout, &["--json", "keys", "status"]).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_key_service_an_enclave_releases_nothing_after_the_lease_and_goes_on_when_it_is_back() {
    let (mut stage, mut bao) = in_openbao().await;
    let (ana, query) = (stage.ana(), stage.email_of(0));
    let answers = async |wanted: bool, what: &str| {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = ana.post("/v1/read", &SUPPORT, &query).await.unwrap();
            if stage.is_email(&answer, 0) == wanted {
                return answer;
            }
            assert!(Instant::now() < end, "{what}: {}", answer.text());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let _ = answers(true, "it serves").await;
    bao.kill();
    let refused = answers(false, "the lease ends").await;
    assert!(refused.receipt().is_none() || !stage.is_email(&refused, 0));
    assert_eq!(stage.names_anybody(&refused.text()), None);
    let keys = stage.world.status().unwrap()["keys"].clone();
    assert!(keys["why"].as_str().unwrap().contains("does not answer"), "{keys}");
    bao.restart().unwrap();
    let _ = answers(true, "it is back").await;
    // Rotated while it serves; wrapped anew while it does not.
    clover(&stage.world.layout, &["keys", "rotate"]).unwrap();
    let _ = answers(true, "an older version opens").await;
    let layout = stage.world.layout.clone();
    let rewrap = std::thread::spawn(move || clover(&layout, &["--json", "keys", "rewrap"]).unwrap());
    let _ = answers(true, "it serves meanwhile").await;
    let told: Value = serde_json::from_str(&rewrap.join().unwrap()).unwrap();
    let expected = serde_json::json!({ "version": 2, "broken": 0, "while_serving": true, "ended": true });
    assert_eq!(told, expected);
    let keys = stage.world.status().unwrap()["keys"].clone();
    assert_eq!(keys["rewrap"]["looked"], PEOPLE);
    let _ = answers(true, "and after it").await;
    // Everything is under the new version, and the old one is gone.
    stage.world.stop().unwrap();
    let told = status(&stage.world.layout);
    assert_eq!(
        (&told["versions"], &told["people"]),
        (&serde_json::json!([2]), &serde_json::json!({ "2": PEOPLE }))
    );
    assert_eq!(told["rewrap_due"], false);
    stage.world.start().unwrap();
    let answer = stage.ana().post("/v1/read", &SUPPORT, &query).await.unwrap();
    assert!(stage.is_email(&answer, 0), "{}", answer.text());
    stage.must_audit_clean();
    stage.world.stop().unwrap();
    assert_eq!(status(&stage.world.layout)["versions"], serde_json::json!([2]));
}

#[test]
fn an_enclave_with_its_key_in_a_token_is_made_rotated_and_tells_a_wrong_pin() {
    let (folder, hsm) = (TempDir::with_prefix("clover-it-").unwrap(), SoftHsm::new().unwrap());
    hsm.token("clover", "43215678").unwrap();
    let at = |name: &str| folder.path().join(name);
    let pin = secret(at("pin"), "43215678\n");
    let module = testkit::hsm::module().unwrap();
    let keys = format!(
        "service = \"pkcs11\"\n[keys.pkcs11]\nmodule = \"{}\"\ntoken = \"clover\"\npin_file = \"{}\"",
        module.display(),
        pin.display()
    );
    let config = configuration(&at("enclave.toml"), &keys);
    let (layout, sample) = (Layout::new(&at("enclave")), at("sample").display().to_string());
    let run = |at: &Layout, arguments: &[&str]| {
        let (name, value) = hsm.variable();
        let mut command = Command::new(programs().unwrap().join("clover"));
        let made = command
            .env(name, value)
            .arg("--json")
            .arg("--dir")
            .arg(at.root())
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        (made.status.success(), String::from_utf8_lossy(&made.stdout).into_owned(), said)
    };
    let good = |arguments: &[&str]| {
        let (done, told, said) = run(&layout, arguments);
        assert!(done, "{arguments:?}: {said}");
        told
    };
    good(&["init", "--config", &config]);
    let (done, _, said) = run(&Layout::new(&at("second")), &["init", "--config", &config]);
    assert!(!done && said.contains("never replaced"), "{said}");
    good(&["sample", "--people", "5", "--out", &sample]);
    good(&["import", &sample]);
    let subject = good(&["subject", "id", "--user-name", "anna"]);
    let status = |versions: Value, people: Value| {
        let told: Value = serde_json::from_str(&good(&["keys", "status"])).unwrap();
        assert_eq!(
            (&told["service"], &told["versions"], &told["people"]),
            (&"pkcs11".into(), &versions, &people)
        );
    };
    status(serde_json::json!([1]), serde_json::json!({ "1": 5 }));
    good(&["keys", "rotate"]);
    status(serde_json::json!([1, 2]), serde_json::json!({ "1": 5 }));
    good(&["keys", "rewrap"]);
    status(serde_json::json!([2]), serde_json::json!({ "2": 5 }));
    assert_eq!(good(&["subject", "id", "--user-name", "anna"]), subject, "handles stay");
    assert!(
        !layout.keys().join("region.sealed").exists() && !layout.keys().join("region.passphrase").exists()
    );
    secret(pin, "87651234\n");
    let (done, _, said) = run(&layout, &["keys", "status"]);
    assert!(!done && said.contains("CLV-0213") && said.contains("the PIN in"), "{said}");
    assert!(!said.contains("87651234") && !said.contains("43215678"), "{said}");
}

#[test]
fn a_passphrase_beside_the_key_is_said_and_another_takes_its_place() {
    let (folder, layout) = Stage::folder(PEOPLE);
    let text = clover(&layout, &["keys", "status"]).unwrap();
    assert!(text.contains("the passphrase lies beside the key"), "{text}");
    let new = secret(folder.path().join("passphrase"), "correct horse battery staple\n");
    let named = new.display().to_string();
    clover(&layout, &["keys", "reseal", "--passphrase-file", &named]).unwrap();
    let wrong = clover_raw(&layout, &["keys", "status"]).unwrap();
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("CLV-0213") && said.contains("region.passphrase"), "{said}");
    let config = std::fs::read_to_string(layout.config()).unwrap();
    let config = config.replace(PLAIN, &format!("{PLAIN}passphrase_file = \"{named}\"\n"));
    std::fs::write(layout.config(), config).unwrap();
    std::fs::remove_file(layout.keys().join("region.passphrase")).unwrap();
    let text = clover(&layout, &["keys", "status"]).unwrap();
    assert!(!text.contains("beside") && text.contains(&format!("{PEOPLE} under version 1")), "{text}");
    // Damage is another thing than a wrong passphrase.
    let sealed = layout.keys().join("region.sealed");
    let good = std::fs::read_to_string(&sealed).unwrap();
    std::fs::write(&sealed, good.replace("argon2id 65536", "argon2id 65537")).unwrap();
    let damaged = clover_raw(&layout, &["keys", "status"]).unwrap();
    let said = String::from_utf8_lossy(&damaged.stderr).into_owned();
    assert!(said.contains("CLV-0211") && said.contains("is damaged"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewrap_that_was_cut_off_is_ended_by_the_next_start() {
    let mut stage = Stage::new(PEOPLE).await;
    stage.world.stop().unwrap();
    clover(&stage.world.layout, &["keys", "rotate"]).unwrap();
    // As a rewrap leaves it that was killed before its first write.
    std::fs::write(stage.world.layout.keys().join("rewrap"), "2\n").unwrap();
    stage.world.start().unwrap();
    let keys = stage.world.status().unwrap()["keys"].clone();
    assert_eq!(keys["version"], 2);
    let answer = stage.ana().post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap();
    assert!(stage.is_email(&answer, 0), "{}", answer.text());
    stage.world.stop().unwrap();
    let told = status(&stage.world.layout);
    assert_eq!(
        (&told["versions"], &told["rewrap_due"]),
        (&serde_json::json!([2]), &serde_json::json!(false))
    );
}
