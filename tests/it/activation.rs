//! Rulebooks that are put in force while the enclave serves.

use std::time::{Duration, Instant};

use http::StatusCode;
use ledger::EntryKind;
use xtask::client::Answer;
use xtask::world::{clover, clover_raw};

use crate::support::{Stage, change_rule, closes, entries};

async fn case(stage: &Stage) -> Answer {
    let subject = stage.world.subject(0).unwrap().to_owned();
    let headers =
        [("clover-purpose", "support"), ("clover-case", "C-1"), ("clover-subject", subject.as_str())];
    stage.mei().get("/lanes/video-status", &headers).await.unwrap()
}

fn singapore_ends(text: &str) -> String {
    let (before, after) = text.split_once("country = \"SG\"").unwrap();
    format!("{before}country = \"SG\"{}", after.replacen("2036-01-01", "2026-06-01", 1))
}

fn rulebook(stage: &Stage) -> String {
    stage.world.status().unwrap()["rulebook"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_enclave_takes_another_rulebook_and_decides_by_it_from_the_next_entry() {
    let mut stage = Stage::new(8).await;
    // An idle connection is not closed for being idle.
    let longer = |c: String| c.replace("head_timeout_ms = 10000", "head_timeout_ms = 120000");
    stage.world.reconfigure(longer).unwrap();
    let before = rulebook(&stage);
    assert_eq!(case(&stage).await.status, StatusCode::OK);
    let mut open = stage.ana().connect().await.unwrap();
    // Somebody asks all the while, so that crossings are on their way when it happens.
    let (asking, layout) = (stage.mei(), stage.world.layout.clone());
    let subject = stage.world.subject(0).unwrap().to_owned();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let asked = tokio::spawn(async move {
        let mut told = Vec::new();
        while !*stopped.borrow() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let headers =
                [("clover-purpose", "support"), ("clover-case", "C-1"), ("clover-subject", subject.as_str())];
            // A connection that is renewed in the middle of an answer is no answer.
            if let Ok(answer) = asking.get("/lanes/video-status", &headers).await {
                told.push(answer.status.as_u16());
            }
        }
        told
    });
    let began = Instant::now();
    tokio::task::spawn_blocking(move || change_rule(&layout, "assessments.toml", singapore_ends))
        .await
        .unwrap();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "signing twice and activating took {took:?}");
    let after = rulebook(&stage);
    assert_ne!(before, after);
    let answer = case(&stage).await;
    assert_eq!(answer.json()["refused"], "assessment", "{}", answer.text());
    stop.send(true).unwrap();
    let told = asked.await.unwrap();
    assert!(told.contains(&200) && told.contains(&403), "{told:?}");
    assert!(told.iter().all(|s| [200, 403, 503].contains(s)), "{told:?}");
    assert!(closes(&mut open).await, "connections of before are renewed");
    // By sequence: nothing behind the activation was decided by what it replaced.
    stage.world.published().unwrap();
    let all = entries(&stage.world.ledger());
    let place = all.iter().rposition(|e| e.kind == EntryKind::Activation).unwrap();
    assert_eq!(all[place].rulebook.to_string(), after);
    assert!(all[place..].iter().all(|e| e.rulebook.to_string() == after));
    assert!(all[place..].iter().all(|e| e.kind != EntryKind::Answer), "Singapore was all that was asked for");
    // It is what the next start begins with.
    stage.world.stop().unwrap();
    stage.world.start().unwrap();
    assert_eq!(rulebook(&stage), after);
    stage.must_audit_clean();
}

/// Scenario (i), and its neighbour: one signature, and two that are old.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_one_signature_nor_two_old_ones_put_a_rulebook_in_force() {
    let mut stage = Stage::new(8).await;
    let layout = stage.world.layout.clone();
    let first = rulebook(&stage);
    let path = layout.rulebook().join("assessments.toml");
    let original = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, singapore_ends(&original)).unwrap();
    clover(&layout, &["rulebook", "sign", "--as", "operator"]).unwrap();
    let alone = clover_raw(&layout, &["rulebook", "activate"]).unwrap();
    assert!(!alone.status.success() && rulebook(&stage) == first);
    clover(&layout, &["rulebook", "sign", "--as", "auditor"]).unwrap();
    clover(&layout, &["rulebook", "activate"]).unwrap();
    let second = rulebook(&stage);
    assert_ne!(first, second);
    // The first again, with the signatures that it had: wider, and signed by both once.
    let old = layout.published_rulebook(&first);
    for name in ["assessments.toml", "manifest.note"] {
        std::fs::copy(old.join(name), layout.rulebook().join(name)).unwrap();
    }
    let back = clover_raw(&layout, &["rulebook", "activate"]).unwrap();
    let said = String::from_utf8_lossy(&back.stderr).into_owned();
    assert!(!back.status.success() && said.contains("was replaced"), "{said}");
    assert_eq!(rulebook(&stage), second);
    // Nor while the enclave does not run.
    stage.world.stop().unwrap();
    let back = clover_raw(&layout, &["rulebook", "activate"]).unwrap();
    assert!(!back.status.success(), "{}", String::from_utf8_lossy(&back.stderr));
    let all = entries(&stage.world.ledger());
    assert_eq!(all.iter().filter(|e| e.kind == EntryKind::Activation).count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_cannot_load_the_rulebook_in_force_serves_nobody_until_it_can() {
    let (_folder, layout) = Stage::folder(8);
    let assembled = clover::assemble::open(&layout).unwrap();
    let clover::assemble::Assembled { config, enclave, keeper, site_log, .. } = assembled;
    let site = clover::site::Site::open(&layout, &config, &enclave, keeper, site_log).unwrap();
    let rules = clover::site::rules::Rules::new(&layout, &config, &enclave, &site);
    let mine = enclave.live().road.rulebook().digest;
    let look = async |rules: clover::site::rules::Rules| {
        tokio::task::spawn_blocking(move || {
            rules.look();
            rules
        })
        .await
        .unwrap()
    };
    let rules = look(rules).await;
    assert_eq!(enclave.in_force().rulebook(), Some(mine));
    // Another process of the same store put one in force that is not here.
    let path = layout.rulebook().join("assessments.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, singapore_ends(&text)).unwrap();
    for role in ["operator", "auditor"] {
        clover(&layout, &["rulebook", "sign", "--as", role]).unwrap();
    }
    let next = clover::assemble::rulebook(&layout).unwrap().rulebook.digest;
    assert!(enclave.control().activate(&next, clover::now(), &mut || Ok(())).unwrap());
    let rules = look(rules).await;
    assert_eq!(enclave.in_force().rulebook(), None, "not what it had, either");
    assert_eq!(enclave.live().road.rulebook().digest, mine);
    // It comes.
    let bundle = clover::assemble::Bundle::read(&layout.rulebook()).unwrap();
    bundle.publish(&layout.published_rulebook(&next.to_string())).unwrap();
    let _rules = look(rules).await;
    assert_eq!(enclave.in_force().rulebook(), Some(next));
    assert_eq!(enclave.live().road.rulebook().digest, next);
    enclave.log().close();
    enclave.key_log_handle().close();
    site.log.close();
}
