//! What an operator does about one person, with a whole enclave: moved, held, erased, and each of it on record.

use serde_json::Value;
use tempfile::TempDir;
use xtask::story;
use xtask::world::{World, at, clover, clover_raw};

use crate::database::Database;
use crate::support::{SEED, SUPPORT, Stage};
use crate::verify_py;

/// `clover subject`, and what came of it.
fn subject(stage: &Stage, what: &str, n: usize, more: &[&str]) -> Result<Value, String> {
    let handle = stage.world.subject(n).unwrap();
    let arguments = [&["--json", "subject", what, "--subject", handle], more].concat();
    let output = clover_raw(&stage.world.layout, &arguments).unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Scenario (d): a person moves from Lyon to Tokyo and back.
#[tokio::test(flavor = "multi_thread")]
async fn who_moves_to_tokyo_and_back_is_on_record_each_time_and_stays_protected() {
    let mut stage = Stage::new(3).await;
    let moved = |to: &str| subject(&stage, "move", 0, &["--to", to, "--evidence", "document"]);
    let tokyo = moved("JP").unwrap()["entry"].as_u64().unwrap();
    // A home begins behind the one before, by whole seconds.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let back = loop {
        match moved("FR") {
            Ok(done) => break done["entry"].as_u64().unwrap(),
            Err(_) if std::time::Instant::now() < until => {}
            Err(e) => panic!("{e}"),
        }
    };
    assert!(back > tokyo);
    for nonsense in ["FR", "ZZ", "fr"] {
        let refused = moved(nonsense).unwrap_err();
        assert!(refused.contains("CLV-"), "{refused}");
    }
    // Wherever they live, a colleague in Singapore without a case reads nothing of them.
    let refused = stage.mei().post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap();
    assert_eq!(refused.status.as_u16(), 403);
    let me = stage.world.subject(0).unwrap().to_owned();
    let person = stage.world.caller("subject", &me, Some("IE"), at::DUBLIN).unwrap();
    stage.world.published().unwrap();
    let own = person.get("/v1/me/crossings", &[]).await.unwrap().text();
    assert!(own.contains("home country changed"), "{own}");
    stage.must_audit_clean();
    let shown = subject(&stage, "show", 0, &[]).unwrap();
    let homes: Vec<_> = shown["homes"].as_array().unwrap().iter().map(|h| h[0].clone()).collect();
    assert_eq!(homes.get(1..), Some(&[Value::from("JP"), Value::from("FR")][..]), "{shown}");
    let file = stage.beside("history").join("history.cbor").display().to_string();
    clover(&stage.world.layout, &["subject", "history", "--subject", &me, "--out", &file]).unwrap();
    let policy = stage.world.layout.policy().display().to_string();
    let check = ["verify-history", "--history", &file, "--site-vkey", "site", "--policy", &policy];
    let (code, said) = stage.world.audit_with(&check).unwrap();
    assert!(code == Some(0) && said.matches("another home country").count() >= 2, "{said}");
    let held = stage.world.layout.mirror().join("held");
    let (code, said) = verify_py::verify(&stage, &[&held]);
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_while_the_enclave_serves_is_gone_and_every_proof_stays() {
    let mut stage = Stage::new(3).await;
    let ana = stage.ana();
    let read = async |n| ana.post("/v1/read", &SUPPORT, &stage.email_of(n)).await.unwrap();
    let before = read(0).await;
    assert!(stage.is_email(&before, 0), "{}", before.text());
    let handle = stage.world.subject(0).unwrap().to_owned();
    let erase = || subject(&stage, "erase", 0, &["--confirm", &handle]);
    let slip = subject(&stage, "erase", 0, &["--confirm", "somebody-else"]).unwrap_err();
    assert!(slip.contains("nobody was erased"), "{slip}");
    subject(&stage, "hold", 0, &["--reference", "court-17"]).unwrap();
    let held = erase().unwrap_err();
    assert!(held.contains("CLV-0610") && held.contains("legal hold"), "{held}");
    assert!(stage.is_email(&read(0).await, 0), "a hold keeps nobody from a grant");
    subject(&stage, "lift", 0, &["--reference", "court-17"]).unwrap();
    let entry = erase().unwrap()["entry"].as_u64().unwrap();
    let after = read(0).await;
    assert_eq!(after.status.as_u16(), 404, "{}", after.text());
    let other = stage.world.subject(1).unwrap().to_owned();
    let other = stage.world.caller("subject", &other, Some("IE"), at::DUBLIN).unwrap();
    assert_eq!(other.get("/v1/me/crossings", &[]).await.unwrap().status.as_u16(), 200, "as before");
    let again = erase().unwrap_err();
    assert!(again.contains("nobody in the vault"), "{again}");
    assert!(entry > 0);
    stage.must_audit_clean();
    let gone = subject(&stage, "show", 0, &[]).unwrap_err();
    assert!(gone.contains("nobody in the vault"), "{gone}");
    // Neither files that were laid down nor the log say who it was.
    let orders = std::fs::read_dir(stage.world.layout.orders()).unwrap().count();
    assert_eq!(orders, 0, "what was laid down is gone");
    let log = std::fs::read_to_string(stage.world.layout.root().join("serve.log")).unwrap();
    assert!(!log.contains(&handle), "a handle in the log");
    let held = stage.world.layout.mirror().join("held");
    let (code, said) = verify_py::verify(&stage, &[&held]);
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_in_a_database_are_imported_read_held_and_erased_and_outlive_the_process() {
    let folder = TempDir::with_prefix("clover-it-").unwrap();
    let database = Database::start(folder.path());
    let (enclave, config) = (folder.path().join("enclave"), database.vault_configuration());
    let config = config.display().to_string();
    World::prepare_with(&enclave, 4, SEED, &["--config", &config], |_| {}).unwrap();
    assert_eq!(database.sql("select count(*) from clover_vault_subjects"), ["4"]);
    let world = World::open(&enclave, 4, SEED, |_| {}).await.unwrap();
    story::approvals(&world).await.unwrap();
    let mut stage = Stage::of(world, folder);
    let read =
        async |stage: &Stage, n| stage.ana().post("/v1/read", &SUPPORT, &stage.email_of(n)).await.unwrap();
    assert!(stage.is_email(&read(&stage, 0).await, 0));
    stage.world.kill().unwrap();
    stage.world.start().unwrap();
    assert!(stage.is_email(&read(&stage, 0).await, 0));
    // Nothing of anybody lies there that a person could read.
    let dump = database.sql("select encode(value, 'escape') from clover_vault_records").concat();
    assert_eq!(stage.names_anybody(&dump), None);
    let handle = stage.world.subject(0).unwrap().to_owned();
    subject(&stage, "erase", 0, &["--confirm", &handle]).unwrap();
    assert_eq!(read(&stage, 0).await.status.as_u16(), 404);
    for (table, left) in [("subjects", "3"), ("keys", "3"), ("pending", "0")] {
        assert_eq!(database.sql(&format!("select count(*) from clover_vault_{table}")), [left], "{table}");
    }
    stage.must_audit_clean();
}
