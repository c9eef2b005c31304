//! What becomes of a stream whose gateway died.

use std::sync::Arc;

use clover::config::Config;
use clover::logs;
use ledger::entry::StreamPlace;
use ledger::{Draft, Entry, EntryKind, Outcome, Submission};
use vault::Records;

use crate::support::{SUPPORT, Stage, entries};

const BUDGET: u64 = 4096;

/// Writes the entries of a stream that nobody closed, as a gateway does that dies behind them: opened with what an
/// earlier answer was decided on.
fn die_with_an_open_stream(stage: &Stage, answer: u64) {
    let layout = &stage.world.layout;
    let config = Config::load(&layout.config()).unwrap();
    let book = clover::assemble::rulebook(layout).unwrap().rulebook;
    let records = Arc::new(Records::open(&layout.vault()).unwrap());
    let digest = book.digest;
    let rulebook = Box::new(move || digest);
    let log = logs::open(layout, &config, &book.programme.name, rulebook, records).unwrap();
    let before = Entry::decode(&log.entry(answer).unwrap()).unwrap().draft;
    let lease = before.time.plus(600);
    let open = Draft {
        kind: EntryKind::Open,
        flow: logs::flow_id().unwrap(),
        bytes: BUDGET,
        stream: Some(StreamPlace::Open { lease }),
        ..before
    };
    let first = log.submit_and_wait(Submission::new(&open, log.detail(answer).unwrap())).unwrap().index();
    let extend = Draft {
        kind: EntryKind::Extend,
        bytes: 2 * BUDGET,
        stream: Some(StreamPlace::Extend { open: first, lease }),
        facts: Vec::new(),
        detail: model::Digest::new([0; 32]),
        ..open
    };
    let _ = log.submit_and_wait(Submission::new(&extend, Vec::new())).unwrap();
    log.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_open_when_its_gateway_died_is_closed_once_at_the_next_start() {
    let mut stage = Stage::new(8).await;
    let answer = stage.ana().post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap();
    let answer = answer.receipt().unwrap();
    stage.world.published().unwrap();
    stage.world.kill().unwrap();
    tokio::task::block_in_place(|| die_with_an_open_stream(&stage, answer));
    let closes = |stage: &Stage| {
        let all = entries(&stage.world.ledger());
        let open = all.iter().position(|e| e.kind == EntryKind::Open).unwrap() as u64;
        let closes: Vec<_> = all.into_iter().filter(|e| e.kind == EntryKind::Close).collect();
        assert_eq!(closes.len(), 1, "exactly one close");
        let place = StreamPlace::Close { open, outcome: Outcome::Unknown };
        assert_eq!((closes[0].stream, closes[0].bytes), (Some(place), 2 * BUDGET), "at most the budget left");
    };
    for _ in 0..2 {
        stage.world.start().unwrap();
        stage.world.published().unwrap();
        closes(&stage);
        stage.world.kill().unwrap();
    }
    stage.world.start().unwrap();
    stage.must_audit_clean();
    closes(&stage);
}
