//! Parquet on lanes: read by a process of its own, treated row by row, and refused where that process does not bring rows.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use clover::tables::{Allowed, Bounds, Readers, Tables, Unread};
use http::Method;
use ledger::EntryKind;
use ledger::facts::{Risk, RiskVerdict, risk};
use model::Reason;
use xtask::client::Answer;
use xtask::world::{World, programs};

use crate::support::service::{Fiend, Mood, whole};
use crate::support::{SEED, SUPPORT, Stage, change_rule, entries};

const PARQUET: &str = "application/vnd.apache.parquet";
/// Its releases are measured, too.
const RISK: &str =
    "[lane.risk]\nk = 2\n[lane.risk.roles]\n\"video.public.published_at\" = \"quasi\"\n[lane.bind]";

fn given(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../crates/table/testdata/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Two lanes of the starter carry tables, and bind columns of the given ones.
fn with_tables(lanes: &str) -> String {
    let lane = |lane: &str| {
        let tables = lane.replace(r#"form = "json""#, r#"form = ["json", "parquet"]"#);
        if lane.contains(r#"name = "public-videos""#) {
            tables
                .replace("/*/video_id", "/*/user")
                .replace("/*/title", "/*/email")
                .replace("/*/published_at", "/*/born")
                .replace("[lane.bind]", RISK)
        } else if lane.contains(r#"name = "moderation-signals""#) {
            tables.replace("/*/content_id", "/*/user").replace("/*/category", "/*/email")
        } else {
            lane.to_owned()
        }
    };
    lanes.split("[[lane]]").map(lane).collect::<Vec<_>>().join("[[lane]]")
}

/// Ends each process of the enclave that reads a table, as soon as it is there.
fn hunt(enclave: u32, over: &AtomicBool, killed: &AtomicU32) {
    let tasks = format!("/proc/{enclave}/task");
    while !over.load(Ordering::Relaxed) {
        let threads = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
        let children = threads.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok());
        for child in children.flat_map(|c| c.split_whitespace().map(str::to_owned).collect::<Vec<_>>()) {
            let line = std::fs::read(Path::new("/proc").join(&child).join("cmdline")).unwrap_or_default();
            // The local mirror is a child, too.
            if String::from_utf8_lossy(&line).contains("read-table") {
                let done = Command::new("kill").args(["-9", &child]).status().unwrap();
                killed.fetch_add(u32::from(done.success()), Ordering::Relaxed);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_table_cross_as_lines_and_one_that_lies_or_whose_reader_dies_is_refused_and_recorded() {
    let (folder, layout) = Stage::folder(8);
    change_rule(&layout, "lanes.toml", with_tables);
    let world = World::open(layout.root(), 8, SEED, |_| {}).await.unwrap();
    let mut stage = Stage::of(world, folder);
    let fiend = Fiend::start().await;
    let (old, new) = (stage.world.video.to_string(), fiend.address.to_string());
    stage.world.reconfigure(|c| c.replace(&old, &new)).unwrap();
    let ana = stage.ana();
    let asked = async |body: &[u8]| -> Answer {
        fiend.set(Mood::Reply(whole("200 OK", &[&format!("content-type: {PARQUET}")], body)));
        ana.get("/lanes/public-videos", &SUPPORT[..1]).await.unwrap()
    };
    let good = given("people.parquet");
    let answer = asked(&good).await;
    assert_eq!(answer.headers.get("content-type").unwrap(), "application/x-ndjson", "{}", answer.text());
    assert_eq!(
        answer.text(),
        "{\"user\":7,\"email\":\"***\",\"born\":\"1980-12-31\"}\n{\"user\":8,\"email\":null,\"born\":\"2001-02-03\"}\n"
    );

    // The page of the first column says that it is two gigabytes long.
    let mut lie = good.clone();
    let header = [
        0x15, 0x00, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x15, 0x00, 0x2c, 0x15, 0x10, 0x15, 0x00, 0x00, 0x00,
    ];
    lie[4..4 + header.len()].copy_from_slice(&header);
    let wrong = [(lie, Reason::Limit), (good[..900].to_vec(), Reason::Malformed)];
    for body in wrong.iter().map(|(body, _)| body.clone()).chain([given("people-gzip.parquet")]) {
        let answer = asked(&body).await;
        assert_eq!((answer.status.as_u16(), answer.receipt().is_some()), (502, true), "{}", answer.text());
        assert!(!answer.text().contains("ann@"), "{}", answer.text());
    }

    // A forward lane: what a service inside sends arrives as lines, and nothing of the table with it.
    let headers = [("content-type", PARQUET)];
    let sent =
        stage.safety().send(Method::POST, "/out/moderation-signals", &headers, good.clone()).await.unwrap();
    assert_eq!(sent.status.as_u16(), 202, "{}", sent.text());
    let arrived = stage.world.arrived.lock().unwrap().clone();
    let arrived = String::from_utf8(arrived[0].to_vec()).unwrap();
    assert!(arrived.lines().count() == 2 && !arrived.contains("ann@example.org"), "{arrived}");

    // Whoever reads it is killed while it does.
    let (over, killed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let (until, count, enclave) = (Arc::clone(&over), Arc::clone(&killed), stage.world.pid().unwrap());
    let hunter = std::thread::spawn(move || hunt(enclave, &until, &count));
    let mut refused = false;
    for _ in 0..200 {
        let answer = asked(&good).await;
        refused = answer.status.as_u16() == 502;
        if refused {
            break;
        }
    }
    over.store(true, Ordering::Relaxed);
    hunter.join().unwrap();
    assert!(refused && killed.load(Ordering::Relaxed) > 0);
    assert_eq!(asked(&good).await.status.as_u16(), 200, "the next one is read again");

    stage.must_audit_clean();
    let all = entries(&stage.world.ledger());
    let reasons: Vec<_> = all.iter().filter(|e| e.kind == EntryKind::Refusal).map(|e| e.reason).collect();
    assert_eq!(reasons, [Reason::Limit, Reason::Malformed, Reason::Malformed, Reason::Malformed]);
    let measured: Vec<_> = all.iter().filter_map(|e| risk(&e.facts).ok().flatten()).collect();
    let alone =
        Risk { verdict: RiskVerdict::Weak, asked: 2, k: 1, l: 0, unique_micro: 1_000_000, linkable: false };
    assert_eq!(measured, [alone, alone], "the entries say what was measured, and the auditor agrees");
    let log = std::fs::read_to_string(stage.world.layout.root().join("serve.log")).unwrap();
    assert!(!log.contains("ann@example.org"));
}

#[tokio::test]
async fn a_table_that_takes_more_memory_than_allowed_ends_its_reader() {
    let (program, bounds) = (programs().unwrap().join("clover"), Bounds { bytes: 1 << 20, rows: 10 });
    let read = async |table: &[u8], memory: u64, bounds: Bounds| {
        let allowed = Allowed { memory, time: Duration::from_secs(60), at_once: 1 };
        Readers::new(&program, allowed).rows(table, bounds).await.map(|rows| rows.len())
    };
    let (small, little) = (given("people.parquet"), 64 << 20);
    let rows = read(&small, little, bounds).await.unwrap();
    // The same with 64 MiB that nobody refers to between its pages and its footer.
    let footer = u32::from_le_bytes(small[small.len() - 8..small.len() - 4].try_into().unwrap()) as usize + 8;
    let (pages, end) = small.split_at(small.len() - footer);
    let large = [pages, &vec![0; 64 << 20], end].concat();
    assert_eq!(read(&large, 1 << 30, bounds).await, Ok(rows));
    assert_eq!(read(&large, little, bounds).await, Err(Unread::Broken));
    assert_eq!(read(&small, little, Bounds { rows: 1, ..bounds }).await, Err(Unread::TooLarge));
    assert_eq!(read(&small, little, Bounds { bytes: rows - 1, ..bounds }).await, Err(Unread::TooLarge));
}
