//! Chromium, driven by the scripts of `tests/browser`: what people do, and what their browser checks.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use xtask::accounts::{self, Account};
use xtask::story;
use xtask::world::at;

use crate::support::Stage;

/// Where `scripts/test` puts what the scripts need.
fn modules() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    target.join("browser")
}

/// Somebody for a script: their session, and the port from which they sit where they work.
async fn somebody(stage: &Stage, account: &Account, from: IpAddr) -> Value {
    let port = accounts::seat(stage.world.console, from).await.unwrap().port();
    json!({ "port": port, "session": account.session, "name": account.name, "secret": account.secret })
}

async fn employee(stage: &Stage, id: &str, country: &str, from: IpAddr) -> Value {
    let account = accounts::employee(&stage.world, id, country, from).await.unwrap();
    somebody(stage, &account, from).await
}

/// Runs a script, which says what it found on its way and ends well or does not.
async fn run(script: &str, told: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser").join(script);
    let mut command = Command::new("node");
    command.arg(path).arg(told.to_string()).env("CLOVER_BROWSER_MODULES", modules());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = output.expect("node runs: scripts/test installs it");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    println!("{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_in_two_browsers_do_a_support_case_from_request_to_expiry() {
    let mut stage = Stage::new(8).await;
    let told = json!({
        "subject": stage.world.person(0).unwrap().user_name,
        "mei": employee(&stage, "mei", "SG", at::SINGAPORE).await,
        "aoife": employee(&stage, "aoife", "IE", at::DUBLIN).await,
        "passphrase": accounts::PASSPHRASE,
    });
    run("support.mjs", &told).await;
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persons_browser_checks_their_crossings_and_refuses_forged_ones() {
    let mut stage = Stage::new(60).await;
    story::play(&stage.world, |_| {}).await.unwrap();
    // The map of a day that is not over is made when an enclave stops, and each hour.
    stage.world.published().unwrap();
    stage.world.stop().unwrap();
    stage.world.start().unwrap();
    stage.world.witnessed().unwrap();
    let account = accounts::person(&stage.world, 0).await.unwrap();
    let other = accounts::person(&stage.world, 1).await.unwrap();
    let told = json!({
        "person": somebody(&stage, &account, at::DUBLIN).await,
        "other": somebody(&stage, &other, at::DUBLIN).await,
        "oona": employee(&stage, "oona", "IE", at::DUBLIN).await,
    });
    run("mine.mjs", &told).await;
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_found_without_fault_by_axe_works_by_keyboard_and_is_light() {
    let mut stage = Stage::new(60).await;
    story::play(&stage.world, |_| {}).await.unwrap();
    stage.world.published().unwrap();
    let person = accounts::person(&stage.world, 0).await.unwrap();
    let (mut auditor, pages) = stage.world.auditor_pages().unwrap();
    let told = json!({
        "auditor": format!("http://{pages}"),
        "oona": employee(&stage, "oona", "IE", at::DUBLIN).await,
        "ana": employee(&stage, "ana", "IE", at::DUBLIN).await,
        "aoife": employee(&stage, "aoife", "IE", at::DUBLIN).await,
        "mei": employee(&stage, "mei", "SG", at::SINGAPORE).await,
        "person": somebody(&stage, &person, at::DUBLIN).await,
        "gateway": "gw-1",
        "passphrase": accounts::PASSPHRASE,
        "shots": std::env::var("CLOVER_SCREENS").ok(),
    });
    // A rulebook that would permit more lies ready, signed by one of the two.
    let policies = stage.world.layout.rulebook().join("30-more.cedar");
    let more = "@id(\"P99-counts-for-all\")\npermit (principal is Clover::Employee, action == Clover::Action::\"releaseAggregate\", resource);\n";
    std::fs::write(policies, more).unwrap();
    run("pages.mjs", &told).await;
    // Its standard input closes, and it ends.
    drop(auditor.stdin.take());
    auditor.wait().unwrap();
    stage.must_audit_clean();
}

#[test]
fn the_script_that_checks_proofs_refuses_every_forgery_of_its_own_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let output = Command::new("node")
        .arg("--test")
        .arg("verify.test.mjs")
        .arg("lib.test.mjs")
        .current_dir(folder)
        .output();
    let output = output.expect("node runs: scripts/test installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
