//! Connections end with what they stand on. The bounds are generous; BENCHMARKING.md has what was seen.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use xtask::client::Client;
use xtask::world::at;

use crate::support::{Stage, closes};

/// Connections of one grant.
const MANY: usize = 1000;

/// A connection on which one request was answered, and which stays open.
async fn used(client: &Client, grant: &str, body: &str) -> (impl tokio::io::AsyncRead + Unpin + use<>, u16) {
    let mut stream = client.speaking(&["http/1.1"]).connect().await.unwrap();
    let request = format!(
        "POST /v1/read HTTP/1.1\r\nhost: localhost\r\nclover-purpose: support\r\nclover-grant: {grant}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let status = head[9..12].parse().unwrap();
    let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let mut answer = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut answer).await.unwrap();
    (stream, status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_of_a_grant_are_cut_when_it_is_revoked_and_no_other() {
    let mut stage = Stage::new(8).await;
    let longer = |c: String| {
        c.replace("head_timeout_ms = 10000", "head_timeout_ms = 120000")
            .replace("connections_max = 1024", "connections_max = 4096")
    };
    stage.world.reconfigure(longer).unwrap();
    let (ana, body) = (stage.ana(), stage.email_of(0).to_string());
    let mut all = tokio::task::JoinSet::new();
    for n in 0..MANY {
        let (ana, body) = (ana.clone(), body.clone());
        all.spawn(async move {
            // Not all at once: this is no test of the listener.
            tokio::time::sleep(Duration::from_millis(4 * n as u64)).await;
            used(&ana, "G-1", &body).await
        });
    }
    let mut open = Vec::new();
    while let Some(done) = all.join_next().await {
        let (stream, status) = done.unwrap();
        assert_eq!(status, 200);
        open.push(stream);
    }
    let mut other = stage.mei().connect().await.unwrap();
    let aoife = stage.world.colleague("aoife", "IE", at::DUBLIN).unwrap();
    let began = Instant::now();
    let mut cut = tokio::task::JoinSet::new();
    for mut stream in open {
        cut.spawn(async move { closes(&mut stream).await.then(|| began.elapsed()) });
    }
    let revoked = aoife.post("/access/requests/G-1/revoke", &[], &json!({})).await.unwrap();
    let told = began.elapsed();
    assert_eq!(revoked.json()["state"], "revoked", "{}", revoked.text());
    let mut took = Vec::new();
    while let Some(done) = cut.join_next().await {
        took.push(done.unwrap().expect("it is cut"));
    }
    took.sort();
    let at = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)];
    println!(
        "revoked in {told:?}; {MANY} connections cut: p50 {:?}, p99 {:?}, last {:?}",
        at(50),
        at(99),
        at(100)
    );
    assert!(at(100) < Duration::from_secs(20), "{:?}", at(100));
    other.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let answered = tokio::time::timeout(Duration::from_secs(30), other.read_u8()).await;
    assert_eq!(answered.unwrap().unwrap(), b'H', "nobody else's");
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_cut_when_its_token_expires() {
    let mut stage = Stage::new(8).await;
    let longer = |c: String| c.replace("head_timeout_ms = 10000", "head_timeout_ms = 120000");
    stage.world.reconfigure(longer).unwrap();
    let layout = &stage.world.layout;
    let token = stage.beside("tokens").join("ana.token");
    let session = crossing::credential::spiffe::read(
        "clover-demo",
        "spiffe://clover-demo/employee/ana/at/IE/device/managed-attested/auth/mfa",
    );
    let operator = clover::assemble::operator(layout).unwrap();
    let until = clover::now().plus(4);
    let text =
        crossing::credential::token::issue("clover-demo", &session.unwrap(), until, &operator).unwrap();
    std::fs::write(&token, &text).unwrap();
    let stranger = stage.world.stranger(at::DUBLIN).unwrap().speaking(&["http/1.1"]);
    let mut stream = stranger.connect().await.unwrap();
    let request = format!("GET /nowhere HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {text}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'H', "it is somebody");
    let mut rest = vec![0; 64 << 10];
    let ended = async { while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {} };
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("it is cut");
    assert!(clover::now() >= until, "not before");
}
