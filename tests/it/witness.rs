//! A border that opens only while witnesses sign, two people who may lift it for minutes, copies of yesterday that do
//! not start, and samples that nobody could foresee. For real, with generous bounds; the exact deadlines are held by
//! the gate's own tests on a clock of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use clover::layout::Layout;
use http::StatusCode;
use xtask::story;
use xtask::world::{World, clover, clover_raw, programs};

use crate::faults::serve_in_vain;
use crate::support::{SEED, SUPPORT, Stage, change_rule, copy, entries, until};

const PEOPLE: u64 = 8;

/// Ends, stops or continues a process.
fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap().success());
}

/// The mirror that the enclave started.
fn mirror_of(world: &World) -> u32 {
    let pid = world.pid().unwrap();
    let children = |task: PathBuf| std::fs::read_to_string(task.join("children")).unwrap_or_default();
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let all: String = tasks.map(|t| children(t.unwrap().path())).collect::<Vec<_>>().join(" ");
    all.split_whitespace().next().expect("a mirror").parse().unwrap()
}

fn border(world: &World) -> String {
    world.status().unwrap()["border"].as_str().unwrap().to_owned()
}

fn key(layout: &Layout, name: &str) -> (PathBuf, String) {
    let seed = layout.root().join(format!("{name}.seed"));
    let path = seed.display().to_string();
    let vkey = clover(layout, &["border", "key", "--name", name, "--seed", &path]).unwrap();
    (seed, vkey.trim().to_owned())
}

async fn opened(folder: &Layout) -> World {
    let world = World::open(folder.root(), PEOPLE, SEED, |_| {}).await.unwrap();
    story::approvals(&world).await.unwrap();
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_witness_the_border_is_red_in_time_and_two_people_lift_it_inside_the_region() {
    let (folder, layout) = Stage::folder(PEOPLE);
    let (one, other) = (key(&layout, "border-1"), key(&layout, "border-2"));
    let same = key(&layout, "border-3");
    let holder = |vkey: &str, employer: &str| {
        format!("[[border.holders]]\nvkey = \"{vkey}\"\nemployer = \"{employer}\"\n")
    };
    let holders =
        [holder(&one.1, "acme-eu"), holder(&other.1, "acme-us"), holder(&same.1, "acme-eu")].concat();
    change_rule(&layout, "programme.toml", |text| {
        format!("{text}\n[border]\ngreen_seconds = 3\nred_seconds = 6\n{holders}")
    });
    let mut stage = Stage::of(opened(&layout).await, folder);
    let (ana, mei) = (stage.ana(), stage.mei());
    let query = stage.email_of(0);
    let read = || ana.post("/v1/read", &SUPPORT, &query);
    assert!(stage.is_email(&read().await.unwrap(), 0));
    let status = stage.world.status().unwrap();
    assert!(status["witnesses"].as_str().unwrap().contains("not independently witnessed"), "{status}");

    let mirror = mirror_of(&stage.world);
    signal(mirror, "STOP");
    until("the border is amber", || border(&stage.world) == "amber").await;
    let amber = read().await.unwrap();
    assert_eq!(amber.json()["refused"], "border", "restricted fields do not cross: {}", amber.text());
    until("the border is red", || border(&stage.world) == "closed").await;
    let red = read().await.unwrap();
    assert_eq!((red.status, &red.json()["refused"]), (StatusCode::SERVICE_UNAVAILABLE, &"border".into()));
    let entry = usize::try_from(red.receipt().expect("a refusal is recorded while red")).unwrap();

    // One person, or two of one company, lift nothing.
    let order = stage.beside("orders").join("order.note");
    let path = order.display().to_string();
    let sign = |by: &(PathBuf, String)| {
        let seed = by.0.display().to_string();
        let more = ["--incident", "witness-down", "--minutes", "5"];
        let line = ["border", "sign", &path, "--seed", &seed, "--vkey", &by.1];
        clover(&layout, &[&line[..], &more].concat()).unwrap();
    };
    let lift = || clover_raw(&layout, &["border", "lift", &path]).unwrap();
    sign(&one);
    assert!(!lift().status.success(), "one signature");
    sign(&same);
    assert!(!lift().status.success(), "two of one employer");
    sign(&other);
    assert!(lift().status.success(), "{}", String::from_utf8_lossy(&lift().stderr));
    until("the border is lifted", || border(&stage.world) == "lifted").await;
    let inside = read().await.unwrap();
    assert!(stage.is_email(&inside, 0), "{}", inside.text());
    let subject = stage.world.subject(0).unwrap().to_owned();
    let case = [("clover-purpose", "support"), ("clover-case", "C-1"), ("clover-subject", subject.as_str())];
    let outside = mei.get("/lanes/video-status", &case).await.unwrap();
    assert_eq!(outside.json()["refused"], "border", "Singapore: {}", outside.text());
    // The same order does not count twice.
    assert!(lift().status.success());
    let refused = layout.control().join("border-override.refused");
    until("a used order is set aside", || refused.exists()).await;

    signal(mirror, "CONT");
    until("the border opens by itself", || border(&stage.world) == "open").await;
    assert!(stage.is_email(&read().await.unwrap(), 0));
    stage.world.published().unwrap();
    assert_eq!(entries(&stage.world.ledger())[entry].reason, model::Reason::Border);
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_a_log_does_not_start_against_a_witness_or_the_site_log() {
    let mut stage = Stage::new(PEOPLE).await;
    stage.world.stop().unwrap();
    let (root, kept) = (stage.world.layout.root().to_owned(), stage.beside("kept"));
    copy(&root, &kept);
    stage.world.start().unwrap();
    let ana = stage.ana();
    for _ in 0..3 {
        ana.post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap();
    }
    stage.world.published().unwrap();
    stage.world.stop().unwrap();
    let newest = stage.beside("newest");
    copy(&root, &newest);
    let restore = |from: &Path, folders: &[&str]| {
        for folder in folders {
            std::fs::remove_dir_all(root.join(folder)).unwrap_or_default();
            copy(&from.join(folder), &root.join(folder));
        }
    };
    for (what, folders) in [
        ("the gateway's log", &["ledger", "wal", "details"][..]),
        ("the key service's log", &["keylog"]),
        ("the site log, which the mirror knows better", &["site"]),
    ] {
        restore(&kept, folders);
        let (code, said) = serve_in_vain(&stage.world.layout);
        assert!(code != Some(0) && said.contains("CLV-0203"), "{what}: {code:?} {said}");
        restore(&newest, folders);
    }
    stage.world.start().unwrap();
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_asks_for_nobody_or_a_mirror_that_is_not_there_serves_nobody() {
    let (_folder, layout) = Stage::folder(PEOPLE);
    let policy = std::fs::read_to_string(layout.policy()).unwrap();
    for wrong in
        [policy.replace("quorum local-mirror", "quorum none"), "quorum x\n".to_owned(), String::new()]
    {
        std::fs::write(layout.policy(), wrong).unwrap();
        let (code, said) = serve_in_vain(&layout);
        assert!(code != Some(0) && said.contains("CLV-0606"), "{code:?} {said}");
    }
}

fn audit(arguments: &[&str]) -> Output {
    let mut command = Command::new(programs().unwrap().join("clover-audit"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_auditor_opens_samples_that_a_later_checkpoint_chose_and_nobody_else_does() {
    let mut stage = Stage::new(PEOPLE).await;
    let ana = stage.ana();
    for _ in 0..5 {
        ana.post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap();
    }
    let published = stage.world.published().unwrap();
    let layout = stage.world.layout.clone();
    let (held, site) = (layout.mirror().join("held"), layout.trust().join("site.vkey"));
    let base = format!("http://{}", stage.world.logs);
    let sample = |seed: &Path, name: &str| {
        let vkey = layout.trust().join(format!("{name}.vkey")).display().to_string();
        let (held, site, seed) =
            (held.display().to_string(), site.display().to_string(), seed.display().to_string());
        let whose = ["--auditor-seed", &seed, "--auditor-vkey", &vkey, "--count", "32"];
        audit(&[&["sample", "--mirror", &held, "--base", &base, "--site-vkey", &site], &whose[..]].concat())
    };
    // Only so many are opened in a minute: it is asked once, when a later round counts them.
    let mirror = format!("http://{}", stage.world.mirror);
    until("the mirror holds them, and a later round counts them", || {
        let status = audit(&["status", "--mirror", &mirror, "--json"]).stdout;
        let status: serde_json::Value = serde_json::from_slice(&status).unwrap_or_default();
        let logs = status.pointer("/sites/0/logs").and_then(|l| l.as_array().cloned()).unwrap_or_default();
        let number = |log: &serde_json::Value, name: &str| log[name].as_u64().unwrap_or(0);
        logs.iter().any(|l| {
            l["origin"].as_str().is_some_and(|o| o.starts_with("ledger."))
                && number(l, "held").min(number(l, "named")) >= published
        })
    })
    .await;
    let opened = sample(&layout.auditor().join("auditor.seed"), "auditor");
    let said = String::from_utf8_lossy(&opened.stdout).into_owned();
    assert!(opened.status.success(), "{said}{}", String::from_utf8_lossy(&opened.stderr));
    assert!(said.contains("payloads") && !said.contains("payloads    0 checked"), "{said}");
    let stranger = sample(&layout.keys().join("operator.seed"), "operator");
    assert!(!stranger.status.success(), "{}", String::from_utf8_lossy(&stranger.stdout));
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_gets_the_proof_of_every_crossing_and_of_none() {
    let mut stage = Stage::new(PEOPLE).await;
    let ana = stage.ana();
    let answer = ana.post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap();
    stage.world.published().unwrap();
    stage.world.stop().unwrap();
    let layout = stage.world.layout.clone();
    let path = |name: &str| layout.root().join(name).display().to_string();
    let history = |n: usize, file: &str| {
        let subject = stage.world.subject(n).unwrap();
        clover(&layout, &["subject", "history", "--subject", subject, "--out", &path(file)]).unwrap();
        let check = ["verify-history", "--history", &path(file), "--site-vkey", &path("trust/site.vkey")];
        audit(&[&check[..], &["--policy", &path("trust/policy")]].concat())
    };
    let named = history(0, "named.cbor");
    let said = String::from_utf8_lossy(&named.stdout).into_owned();
    assert!(named.status.success(), "{said}{}", String::from_utf8_lossy(&named.stderr));
    assert!(said.contains(&format!("entry {}", answer.receipt().unwrap())), "{said}");
    // Somebody who was imported and never looked at: their import, and nothing else.
    let quiet = history(5, "quiet.cbor");
    let said = String::from_utf8_lossy(&quiet.stdout).into_owned();
    assert!(quiet.status.success() && said.contains("1 entries in all"), "{said}");
    // A stranger's handle has a history too: that there is nothing.
    let subject = model::SubjectId::from_index(&[7; 16]);
    let line = ["subject", "history", "--subject", subject.as_str(), "--out", &path("none.cbor")];
    clover(&layout, &line).unwrap();
    let check = ["verify-history", "--history", &path("none.cbor"), "--site-vkey", &path("trust/site.vkey")];
    assert!(String::from_utf8_lossy(&audit(&check).stdout).contains("0 entries in all"));
    // One changed byte, and the file proves nothing.
    let mut bytes = std::fs::read(path("named.cbor")).unwrap();
    let at = bytes.windows(4).position(|w| w == b"CLV1").unwrap() + 40;
    *bytes.get_mut(at).unwrap() ^= 1;
    std::fs::write(path("changed.cbor"), bytes).unwrap();
    let check =
        ["verify-history", "--history", &path("changed.cbor"), "--site-vkey", &path("trust/site.vkey")];
    assert!(!audit(&check).status.success());
    stage.must_audit_clean();
}
