//! A ledger that cannot be written, a process that dies, a rulebook that was changed: the border is closed, and
//! nothing was released without its entry.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clover::layout::Layout;
use http::StatusCode;
use ledger::EntryKind;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use xtask::client::Client;
use xtask::world::{World, clover_raw, programs};

use crate::support::{SUPPORT, Stage, entries, until};

/// Runs a program that ignores the signal which the system sends when a file would become too long: the write
/// fails then, as on a full disk.
const NO_SIGNAL: &[&str] = &["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];

/// Runs `clover serve` where it must not serve. What it said, and its exit code.
pub(crate) fn serve_in_vain(layout: &Layout) -> (Option<i32>, String) {
    let mut command = Command::new(programs().unwrap().join("clover"));
    command.arg("--dir").arg(layout.root()).arg("serve").stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    let mut status = child.try_wait().unwrap();
    while status.is_none() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
        status = child.try_wait().unwrap();
    }
    let served = status.is_none();
    if served {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!served, "it serves: {said}");
    (output.status.code(), said)
}

/// Sets how long files of the enclave may become. Everything that is written lies behind the first byte.
fn limit(world: &World, bytes: &str) {
    let pid = world.pid().unwrap().to_string();
    let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]).status();
    assert!(set.unwrap().success());
}

fn healthz(world: &World) -> String {
    let mut stream = std::net::TcpStream::connect(world.control).unwrap();
    let mut text = String::new();
    std::io::Write::write_all(&mut stream, b"GET /healthz HTTP/1.0\r\nhost: x\r\n\r\n").unwrap();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    text.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_cannot_be_written_closes_the_border_until_it_can() {
    let mut stage = Stage::new(8).await;
    stage.world.stop().unwrap();
    stage.world.start_under(NO_SIGNAL).unwrap();
    let (ana, query) = (stage.ana(), stage.email_of(0));
    for round in 0..3 {
        let open = ana.post("/v1/read", &SUPPORT, &query).await.unwrap();
        assert!(stage.is_email(&open, 0), "{round}: {}", open.text());
        // What is still to be published when the disk refuses has a test of its own.
        let durable = stage.world.published().unwrap();
        limit(&stage.world, "1");
        // The very next request finds it closed, and so do all that come at the same time.
        let mut running = Vec::new();
        for _ in 0..8 {
            let (ana, query) = (ana.clone(), query.clone());
            running.push(tokio::spawn(async move { ana.post("/v1/read", &SUPPORT, &query).await }));
        }
        for one in running {
            let answer = one.await.unwrap().unwrap();
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
            assert_eq!((answer.receipt(), stage.names_anybody(&answer.text())), (None, None));
            assert!(answer.text().contains("the border is closed"), "{}", answer.text());
        }
        // Refusals need an entry as well.
        let refusal = ana.post("/v1/read", &SUPPORT, &stage.email_of(1)).await.unwrap();
        assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
        let status = stage.world.status().unwrap();
        assert_eq!(
            (&status["border"], &status["why"]),
            (&"closed".into(), &"the ledger cannot be written".into())
        );
        assert_eq!(healthz(&stage.world), "HTTP/1.0 503 Service Unavailable");
        // Time alone opens nothing.
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(
            (stage.world.status().unwrap()["border"].as_str(), stage.size()),
            (Some("closed"), durable)
        );
        let shown = clover_raw(&stage.world.layout, &["status"]).unwrap();
        assert_eq!(shown.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&shown.stdout).contains("closed (the ledger cannot be written)"));

        limit(&stage.world, "unlimited");
        until("the border opens by itself", || stage.world.status().unwrap()["border"] == "open").await;
        assert_eq!(healthz(&stage.world), "HTTP/1.0 200 OK");
        let again = ana.post("/v1/read", &SUPPORT, &query).await.unwrap();
        assert!(stage.is_email(&again, 0) && again.receipt() > Some(durable), "{}", again.text());
        stage.world.published().unwrap();
        let first = &entries(&stage.world.ledger())[usize::try_from(durable).unwrap()];
        assert_eq!(first.kind, EntryKind::Border, "the first entry after it was closed");
    }
    stage.must_audit_clean();
}

/// The tree and people's own lists go on by themselves when the disk takes writes again, and a restart finds both whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_wait_when_the_disk_refuses_are_published_and_listed_when_it_takes_them() {
    const PUBLISH: Duration = Duration::from_millis(500);
    let mut stage = Stage::new(8).await;
    stage.world.reconfigure(|c| c.replace("publish_every_ms = 250", "publish_every_ms = 500")).unwrap();
    stage.world.stop().unwrap();
    stage.world.start_under(NO_SIGNAL).unwrap();
    let (ana, query) = (stage.ana(), stage.email_of(0));
    let open = loop {
        let open = ana.post("/v1/read", &SUPPORT, &query).await.unwrap();
        limit(&stage.world, "1");
        assert!(stage.is_email(&open, 0), "{}", open.text());
        let status = stage.world.status().unwrap();
        if status["published"].as_u64() < status["entries"].as_u64() {
            break open;
        }
        // It was published already: once more.
        limit(&stage.world, "unlimited");
    };
    let closed = ana.post("/v1/read", &SUPPORT, &query).await.unwrap();
    assert_eq!(closed.status, StatusCode::SERVICE_UNAVAILABLE);
    tokio::time::sleep(3 * PUBLISH).await;
    limit(&stage.world, "unlimited");
    until("the border opens by itself", || stage.world.status().unwrap()["border"] == "open").await;
    let again = ana.post("/v1/read", &SUPPORT, &query).await.unwrap();
    assert!(stage.is_email(&again, 0), "{}", again.text());
    stage.world.published().unwrap();
    let listed = || {
        let status = stage.world.status().unwrap();
        status["listed"].as_u64() == status["published"].as_u64()
    };
    until("the lists go as far as the tree", listed).await;
    stage.world.kill().unwrap();
    stage.world.start().unwrap();
    stage.world.published().unwrap();
    let status = stage.world.status().unwrap();
    assert_eq!(status["listed"], status["published"]);
    let entries = entries(&stage.world.ledger());
    for answer in [open, again] {
        let index = usize::try_from(answer.receipt().unwrap()).unwrap();
        assert_eq!(entries[index].kind, EntryKind::Answer);
    }
    stage.must_audit_clean();
}

/// Callers who ask without end, and note which entry each released answer named.
fn load(
    clients: &[Client],
    query: &Value,
    email: &str,
    released: &Arc<Mutex<Vec<u64>>>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let run = |client: &Client| {
        let (client, query, email, released) =
            (client.clone(), query.clone(), email.to_owned(), Arc::clone(released));
        tokio::spawn(async move {
            // It ends when nobody answers any more.
            while let Ok(answer) = client.post("/v1/read", &SUPPORT, &query).await {
                if answer.status == StatusCode::OK {
                    assert!(answer.text().contains(&email), "{}", answer.text());
                    released.lock().unwrap().push(answer.receipt().unwrap());
                }
            }
        })
    };
    clients.iter().map(run).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_every_released_answer_has_its_entry() {
    const ROUNDS: u64 = 5;
    let mut stage = Stage::new(8).await;
    let seed = std::env::var("CLOVER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(4711);
    println!("CLOVER_SEED={seed}");
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let clients = vec![stage.ana(); 6];
    let (query, email) = (stage.email_of(0), stage.world.person(0).unwrap().email.clone());
    let mut all: Vec<u64> = Vec::new();
    for _ in 0..ROUNDS {
        let released = Arc::default();
        let running = load(&clients, &query, &email, &released);
        let enough = dice.random_range(1..60);
        until("some answers", || released.lock().unwrap().len() >= enough).await;
        tokio::time::sleep(Duration::from_micros(dice.random_range(0..30_000))).await;
        stage.world.kill().unwrap();
        for one in running {
            one.await.unwrap();
        }
        all.append(&mut released.lock().unwrap());
        stage.world.start().unwrap();
    }
    stage.world.published().unwrap();
    let entries = entries(&stage.world.ledger());
    let mut seen = BTreeSet::new();
    for index in &all {
        let entry = entries.get(usize::try_from(*index).unwrap());
        let entry =
            entry.unwrap_or_else(|| panic!("entry {index} of a released answer is gone; CLOVER_SEED={seed}"));
        assert_eq!((entry.kind, entry.bytes > 0), (EntryKind::Answer, true), "entry {index}");
        assert!(seen.insert(*index), "two answers name entry {index}");
    }
    assert!(all.len() >= usize::try_from(ROUNDS).unwrap());
    // The person's own list, with its index that is derived from the entries, has them all too.
    let subject = stage.world.subject(0).unwrap().to_owned();
    let person = stage.world.caller("subject", &subject, Some("IE"), xtask::world::at::DUBLIN).unwrap();
    let list = person.get("/v1/me/crossings", &[]).await.unwrap();
    let rows = list.json()["crossings"].as_array().cloned().unwrap_or_else(|| panic!("{}", list.text()));
    let shown: BTreeSet<u64> = rows.iter().map(|c| c["entry"].as_u64().unwrap()).collect();
    // The list is long enough for all of them.
    let missing: Vec<_> = all.iter().filter(|i| !shown.contains(i)).collect();
    assert!(all.len() < 900, "fewer, or the list does not hold them: {}", all.len());
    assert!(missing.is_empty(), "not in the person's list: {missing:?}");
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rulebook_that_was_changed_or_half_signed_serves_nobody() {
    let mut stage = Stage::new(8).await;
    let layout = stage.world.layout.clone();
    // While one process serves, another does not start, and the first goes on.
    let (code, said) = serve_in_vain(&layout);
    assert_eq!(code, Some(1), "{said}");
    let ana = stage.ana();
    let answer = ana.post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap();
    assert!(stage.is_email(&answer, 0));
    stage.world.stop().unwrap();

    let refuses = |what: &str, wanted: &str| {
        let (code, said) = serve_in_vain(&layout);
        assert_eq!((code, said.contains(wanted)), (Some(78), true), "{what}: {said}");
        let checked = clover_raw(&layout, &["config", "check"]).unwrap();
        // What is activated stands on the ledger, which `config check` does not open.
        let code = if wanted.contains("activation") { 0 } else { 78 };
        assert_eq!(checked.status.code(), Some(code), "{what}");
    };
    let permits = layout.rulebook().join("20-permits.cedar");
    let original = std::fs::read_to_string(&permits).unwrap();
    std::fs::write(&permits, format!("{original}\n// One more line.\n")).unwrap();
    refuses("a file was changed", "not those that were signed");
    assert!(clover_raw(&layout, &["rulebook", "sign", "--as", "operator"]).unwrap().status.success());
    refuses("only the operator signed", "not signed by the auditor");
    assert!(!clover_raw(&layout, &["rulebook", "activate"]).unwrap().status.success());
    let manifest = layout.rulebook().join("manifest.note");
    let signed = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, signed.replace("clover-demo/operator", "clover-demo/auditor")).unwrap();
    refuses("one signature under two names", "not signed by");
    std::fs::remove_file(&manifest).unwrap();
    assert_ne!(serve_in_vain(&layout).0, Some(0));
    // Both signatures, and not yet activated: the ledger would not know by what it decides.
    for role in ["operator", "auditor"] {
        assert!(clover_raw(&layout, &["rulebook", "sign", "--as", role]).unwrap().status.success());
    }
    refuses("not activated", "changed after its activation");
    std::fs::write(&permits, original).unwrap();
    for role in ["operator", "auditor"] {
        assert!(clover_raw(&layout, &["rulebook", "sign", "--as", role]).unwrap().status.success());
    }
    stage.world.start().unwrap();
    let answer = ana.post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap();
    assert!(stage.is_email(&answer, 0), "{}", answer.text());
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_damaged_or_older_than_its_checkpoint_does_not_open() {
    let mut stage = Stage::new(8).await;
    let ana = stage.ana();
    for _ in 0..3 {
        ana.post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap();
    }
    stage.world.published().unwrap();
    stage.world.stop().unwrap();
    let root = stage.world.layout.root().to_owned();
    let kept = stage.beside("kept");
    crate::support::copy(&root, &kept);
    let restore = || {
        for folder in ["ledger", "wal", "details"] {
            std::fs::remove_dir_all(root.join(folder)).unwrap_or_default();
            crate::support::copy(&kept.join(folder), &root.join(folder));
        }
    };
    let refuses = |what: &str| {
        let (code, said) = serve_in_vain(&stage.world.layout);
        assert!(code != Some(0) && said.contains("CLV-0202"), "{what}: {code:?} {said}");
    };
    // The ledger is gone: none is made as a side effect.
    for folder in ["ledger", "wal"] {
        std::fs::remove_dir_all(root.join(folder)).unwrap();
    }
    refuses("no ledger");
    restore();
    // A checkpoint that another key signed.
    let checkpoint = root.join("ledger/checkpoint");
    let text = std::fs::read_to_string(&checkpoint).unwrap();
    let last = text.trim_end().len() - 6;
    let flipped = if text.as_bytes()[last] == b'A' { "B" } else { "A" };
    std::fs::write(&checkpoint, format!("{}{flipped}{}", &text[..last], &text[last + 1..])).unwrap();
    refuses("a forged checkpoint");
    restore();
    // A tile that was changed after it was published.
    let size = entries(&root.join("ledger")).len();
    let tile = root.join(format!("ledger/tile/0/000.p/{size}"));
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[3] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    refuses("a changed tile");
    restore();
    stage.world.start().unwrap();
    stage.must_audit_clean();
}
