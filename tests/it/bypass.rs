//! Ways around the road: none leads to a person's data, and whoever is known leaves an entry.
//!
//! What this cannot show: in the demo the service behind listens on loopback, where everybody on the machine
//! reaches it. A deployment lets nobody but the gateway reach it (a network policy, a socket of its own user).

use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use xtask::client::Client;
use xtask::world::at;

use crate::support::raw::{Heard, request, say};
use crate::support::{SUPPORT, Stage, until};

/// What must come of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Every answer is a refusal that names its entry.
    Refused,
    /// The bytes are no HTTP: the connection ends, and an entry says that somebody known sent them.
    Unreadable,
    /// One of the two.
    Turned,
    /// Tolerated variants of a permitted request, or refused: never more than was permitted.
    Own,
}

struct Attempt {
    what: String,
    bytes: Vec<u8>,
    wanted: Wanted,
}

fn attempt(what: impl Into<String>, wanted: Wanted, bytes: Vec<u8>) -> Attempt {
    Attempt { what: what.into(), bytes, wanted }
}

/// Header lines of a permitted request, but for the length.
const GOOD: [&str; 3] = ["host: localhost", "clover-purpose: support", "clover-grant: G-1"];

/// A permitted request with lines added, and what stands in its first line.
fn with(line: &str, more: &[&str], body: &str) -> Vec<u8> {
    let length = format!("content-length: {}", body.len());
    request(line, &[&GOOD, more, &[length.as_str()]].concat(), body)
}

fn lengths(body: &str) -> Vec<Attempt> {
    let post = "POST /v1/read HTTP/1.1";
    let n = body.len();
    let chunked = format!("{n:x}\r\n{body}\r\n0\r\n\r\n");
    let one = |lines: &[&str], body: &str| request(post, &[&GOOD, lines].concat(), body);
    let length = format!("content-length: {n}");
    let both = "transfer-encoding: chunked";
    let mut all = vec![
        attempt("both lengths, body by length", Wanted::Refused, one(&[both, &length], body)),
        attempt("both lengths, body in chunks", Wanted::Refused, one(&[&length, both], &chunked)),
        attempt("chunks only", Wanted::Refused, one(&[both], &chunked)),
        attempt("chunks, then another request", Wanted::Refused, {
            one(
                &[both, "content-length: 4"],
                &format!("0\r\n\r\n{}", String::from_utf8_lossy(&with(post, &[], body))),
            )
        }),
        attempt("two different lengths", Wanted::Unreadable, one(&[&length, "content-length: 2"], body)),
        attempt("the same length twice", Wanted::Own, one(&[&length, &length], body)),
        attempt(
            "a length larger than the body",
            Wanted::Refused,
            one(&[&format!("content-length: {}", n + 9)], body),
        ),
        attempt("a length smaller than the body", Wanted::Refused, one(&["content-length: 9"], body)),
        attempt("no length", Wanted::Refused, one(&[], body)),
    ];
    for bad in ["+9", "-1", "0x10", "9, 9", "9 9", "", "99999999999999999999999"] {
        let line = format!("content-length: {bad}");
        all.push(attempt(line.clone(), Wanted::Unreadable, one(&[&line], body)));
    }
    for bad in ["identity", "xchunked", "chunked, identity", "gzip"] {
        let line = format!("transfer-encoding: {bad}");
        all.push(attempt(line.clone(), Wanted::Unreadable, one(&[&line, &length], body)));
    }
    all
}

fn heads(body: &str) -> Vec<Attempt> {
    let post = "POST /v1/read HTTP/1.1";
    let length = format!("content-length: {}", body.len());
    let raw = |lines: &[&str]| request(post, &[lines, &[length.as_str()]].concat(), body);
    vec![
        attempt("a space before a colon", Wanted::Unreadable, with(post, &["x-a : b"], body)),
        attempt("a folded line", Wanted::Unreadable, with(post, &["x-a: b\r\n c"], body)),
        attempt("a zero byte in a value", Wanted::Unreadable, with(post, &["x-a: b\0c"], body)),
        attempt(
            "a lone return in a value",
            Wanted::Unreadable,
            with(post, &["x-a: b\rclover-grant: G-9"], body),
        ),
        attempt("a name that is none", Wanted::Unreadable, with(post, &["x a: b"], body)),
        attempt("a hundred headers", Wanted::Unreadable, with(post, &["x-a: b"; 100], body)),
        attempt(
            "a head of 40 KiB",
            Wanted::Refused,
            with(post, &[&format!("x-a: {}", "b".repeat(40 << 10))], body),
        ),
        attempt(
            "a head of 200 KiB",
            Wanted::Turned,
            with(post, &[&format!("x-a: {}", "b".repeat(200 << 10))], body),
        ),
        attempt("HTTP/0.9", Wanted::Unreadable, b"GET /lanes/video-status\r\n\r\n".to_vec()),
        attempt("HTTP/3.0", Wanted::Unreadable, with("POST /v1/read HTTP/3.0", &[], body)),
        attempt(
            "HTTP/1.0 without a host",
            Wanted::Refused,
            request("POST /v1/read HTTP/1.0", &[GOOD[1], GOOD[2], &length], body),
        ),
        attempt(
            "HTTP/2 that nobody agreed on",
            Wanted::Unreadable,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        ),
        attempt("no host", Wanted::Refused, raw(&GOOD[1..])),
        attempt("lines that end without a return", Wanted::Own, {
            String::from_utf8(with(post, &[], body)).unwrap().replace("\r\n", "\n").into_bytes()
        }),
    ]
}

/// Heads that are well formed, and say what they must not.
fn claims(body: &str) -> Vec<Attempt> {
    let post = "POST /v1/read HTTP/1.1";
    let length = format!("content-length: {}", body.len());
    let raw = |lines: &[&str]| request(post, &[lines, &[length.as_str()]].concat(), body);
    let mut all = Vec::new();
    for host in [
        "other.example",
        "",
        "localhost@other.example",
        "other@localhost",
        "localhost.other.example",
        "localhost, other",
    ] {
        let line = format!("host: {host}");
        all.push(attempt(line.clone(), Wanted::Refused, raw(&[&line, GOOD[1], GOOD[2]])));
    }
    all.push(attempt("two hosts", Wanted::Refused, with(post, &["host: other.example"], body)));
    for uri in
        ["https://other.example/v1/read", "http://169.254.169.254/v1/read", "ftp://other.example/v1/read"]
    {
        all.push(attempt(uri, Wanted::Refused, with(&format!("POST {uri} HTTP/1.1"), &[], body)));
    }
    for named in ["clover-subject", "close, Clover-Grant", "content-length", "authorization"] {
        let line = format!("connection: {named}");
        all.push(attempt(line.clone(), Wanted::Refused, with(post, &[&line], body)));
    }
    for twice in ["clover-grant: G-1", "clover-purpose: research", "clover-case: C-1"] {
        all.push(attempt(format!("a second ground: {twice}"), Wanted::Refused, with(post, &[twice], body)));
    }
    for purpose in ["support, research", "SUPPORT", "operation", "selfAccess", "", "*"] {
        let line = format!("clover-purpose: {purpose}");
        all.push(attempt(line.clone(), Wanted::Refused, raw(&[GOOD[0], &line, GOOD[2]])));
    }
    for grant in ["../../keys/region", "G-1/", "G-1%00", "g-1", "G-2", "C-1", "\u{ff}", ""] {
        let line = format!("clover-grant: {grant}");
        all.push(attempt(line.clone(), Wanted::Refused, raw(&[GOOD[0], GOOD[1], &line])));
    }
    all
}

fn paths(body: &str) -> Vec<Attempt> {
    let mut all = Vec::new();
    let long = format!("/{}", "a".repeat(9000));
    for path in [
        "/v1/read/",
        "/v1//read",
        "//v1/read",
        "/V1/READ",
        "/v1/read?",
        "/v1/read?subject=x",
        "/v1/read;x",
        "/v1/./read",
        "/lanes/../v1/read",
        "/lanes/video-status/../../v1/read",
        "/v1/%72ead",
        "/v1/read%00",
        "/v1%2fread",
        "/%2e%2e/v1/read",
        "/%2e%2e%2fv1%2fread",
        "/.%2e/v1/read",
        "/v1/read%20",
        "/v1/read.json",
        "/v1/read\u{301}",
        "*",
        "/",
        "/out/video-status",
        "/lanes/moderation-signals",
        "/lanes/",
        "/lanes/read",
        "/status",
        "/metrics",
        "/v1/status",
        "/ledger/checkpoint",
        &long,
    ] {
        let shown: String = path.chars().take(40).collect();
        all.push(attempt(
            format!("path {shown}"),
            Wanted::Refused,
            with(&format!("POST {path} HTTP/1.1"), &[], body),
        ));
    }
    for path in ["/v1/re\0ad", "\\v1\\read", "/v1/read x", "v1/read", "/v1/read\u{7f}", &"/a".repeat(40_000)]
    {
        let shown: String = path.chars().take(40).collect();
        all.push(attempt(
            format!("path {shown:?}"),
            Wanted::Unreadable,
            with(&format!("POST {path} HTTP/1.1"), &[], body),
        ));
    }
    // A fragment is no part of a request; the parser cuts it off.
    all.push(attempt("a fragment", Wanted::Own, with("POST /v1/read#x HTTP/1.1", &[], body)));
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "READ", "post"] {
        let line = format!("{method} /v1/read HTTP/1.1");
        let over = [
            "x-http-method-override: POST",
            "x-method-override: POST",
            "x-original-url: /v1/read",
            "x-rewrite-url: /v1/read",
        ];
        all.push(attempt(line.clone(), Wanted::Refused, with(&line, &over, body)));
    }
    all.push(attempt("a tunnel", Wanted::Refused, with("CONNECT localhost:443 HTTP/1.1", &[], "")));
    all.push(attempt(
        "a lane with a body",
        Wanted::Refused,
        with("GET /lanes/public-videos HTTP/1.1", &[], body),
    ));
    all
}

/// Checks what came back; whether it was an answer with an entry of its own.
fn judge(stage: &Stage, one: &Attempt, heard: &Heard) -> Result<(), String> {
    let statuses = heard.statuses();
    let released = statuses.contains(&200);
    let leaked = stage.names_anybody(&heard.text);
    let right = match one.wanted {
        Wanted::Refused => leaked.is_none() && !released && heard.receipts().len() == 1,
        Wanted::Unreadable => leaked.is_none() && !released && heard.receipts().is_empty() && heard.closed,
        Wanted::Turned => leaked.is_none() && !released && heard.receipts().len() <= 1,
        Wanted::Own => statuses.len() == 1 && (released == leaked.is_some()),
    };
    if right { Ok(()) } else { Err(format!("{}: {heard:?}", one.what)) }
}

/// Makes every attempt, a few at a time. What went wrong, and how many entries there must be.
async fn play(stage: &Stage, client: &Client, attempts: &[Attempt]) -> (Vec<String>, BTreeSet<u64>) {
    let (mut wrong, mut receipts) = (Vec::new(), BTreeSet::new());
    for some in attempts.chunks(8) {
        let running: Vec<_> = some
            .iter()
            .map(|one| {
                let (client, bytes) = (client.clone(), one.bytes.clone());
                tokio::spawn(async move { say(&client, &bytes).await })
            })
            .collect();
        for (one, running) in some.iter().zip(running) {
            let heard = running.await.unwrap();
            wrong.extend(judge(stage, one, &heard).err());
            receipts.extend(heard.receipts());
        }
    }
    (wrong, receipts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_trick_with_lengths_heads_or_paths_gets_around_the_road() {
    let mut stage = Stage::new(8).await;
    // So that a body that never ends is given up soon.
    stage.world.reconfigure(|c| c.replace("head_timeout_ms = 10000", "head_timeout_ms = 1500")).unwrap();
    let body = stage.email_of(0).to_string();
    let ana = stage.ana();
    let permitted = ana.post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap();
    assert!(stage.is_email(&permitted, 0), "{}", permitted.text());

    let attempts: Vec<_> =
        [lengths(&body), heads(&body), claims(&body), paths(&body)].into_iter().flatten().collect();
    let before = stage.size();
    let (wrong, receipts) = play(&stage, &ana, &attempts).await;
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), attempts.len(), wrong.join("\n"));
    // Each left an entry, those that were no HTTP too.
    let wanted = before + attempts.len() as u64;
    until("an entry for each attempt", || stage.size() >= wanted).await;
    assert!(receipts.iter().all(|r| *r >= before));

    // The same from somebody without a credential: turned away, and there is nobody to record.
    let stranger = stage.world.stranger(at::NOWHERE).unwrap();
    let before = stage.size();
    for some in attempts.chunks(24) {
        let one = &some[0];
        let heard = say(&stranger, &one.bytes).await;
        assert!(
            stage.names_anybody(&heard.text).is_none() && !heard.statuses().contains(&200),
            "{}: {heard:?}",
            one.what
        );
    }
    assert_eq!(stage.size(), before);
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_request_on_a_connection_stands_on_its_own() {
    let stage = Stage::new(8).await;
    let (own, other) = (stage.email_of(0).to_string(), stage.email_of(1).to_string());
    let post = "POST /v1/read HTTP/1.1";
    let both = [with(post, &[], &own), with(post, &[], &other)].concat();
    let heard = say(&stage.ana(), &both).await;
    assert_eq!(heard.statuses(), [200, 403], "{heard:?}");
    assert!(!heard.text.contains(&stage.world.person(1).unwrap().email));
    // What lies behind a request with a wrong length is never taken for a request that was permitted.
    let hidden = request(
        post,
        &[&GOOD[..], &["content-length: 0"]].concat(),
        &String::from_utf8_lossy(&with(post, &[], &own)),
    );
    let heard = say(&stage.ana(), &hidden).await;
    assert_eq!(heard.statuses().first(), Some(&400), "{heard:?}");
    let (place, grant) = (stage.li(), with(post, &["x-forwarded-for: 127.0.1.10"], &own));
    let heard = say(&place, &grant).await;
    assert!(stage.names_anybody(&heard.text).is_none() && heard.receipts().len() == 1, "{heard:?}");
}

/// Issues a credential of ana in Dublin; the form comes behind.
const ISSUE: [&str; 10] =
    ["credential", "issue", "--kind", "employee", "--id", "ana", "--at", "IE", "--attested-device", "--mfa"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_headers_nor_credentials_of_others_move_a_caller() {
    let stage = Stage::new(8).await;
    let query = stage.email_of(0);
    // Ana's own certificate, shown from Beijing: what a header says about the address counts for nothing.
    let abroad = stage.world.caller("employee", "ana", Some("IE"), at::BEIJING).unwrap();
    let (mut refused, before) = (0, stage.size());
    for header in [
        "x-forwarded-for",
        "forwarded",
        "x-real-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "cf-ipcountry",
        "via",
    ] {
        for value in ["127.0.1.10", "for=127.0.1.10", "IE"] {
            let headers = [SUPPORT[0], SUPPORT[1], (header, value)];
            let answer = abroad.post("/v1/read", &headers, &query).await.unwrap();
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{header}: {value}");
            refused += u64::from(answer.receipt().is_some());
        }
    }
    assert_eq!((refused, stage.size() - before), (21, 21));
    // A certificate decides who somebody is, whatever token is shown beside it; one that does not fit takes their place away.
    let token = xtask::world::clover(&stage.world.layout, &[&ISSUE[..], &["--token"]].concat()).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let stolen = stage
        .li()
        .post("/v1/read", &[SUPPORT[0], SUPPORT[1], ("authorization", &bearer)], &query)
        .await
        .unwrap();
    assert_eq!(stolen.status, StatusCode::FORBIDDEN, "{}", stolen.text());
    // Alone it stands for ana, in Dublin and nowhere else.
    let stranger = |from| stage.world.stranger(from).unwrap();
    let mut shown = Vec::new();
    for (from, token) in [
        (at::DUBLIN, bearer.as_str()),
        (at::BEIJING, &bearer),
        (at::DUBLIN, "Bearer x"),
        (at::DUBLIN, "Basic YTpi"),
    ] {
        let headers = [SUPPORT[0], SUPPORT[1], ("authorization", token)];
        shown.push(stranger(from).post("/v1/read", &headers, &query).await.unwrap().status.as_u16());
    }
    assert_eq!(shown, [200, 403, 401, 401]);
    let twice = [SUPPORT[0], SUPPORT[1], ("authorization", bearer.as_str()), ("authorization", "Bearer x")];
    assert_eq!(
        stranger(at::DUBLIN).post("/v1/read", &twice, &query).await.unwrap().status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_name_nobody_here_open_nothing() {
    let stage = Stage::new(8).await;
    let (query, ca) = (stage.email_of(0), stage.world.layout.tls().join("ca.pem"));
    let before = stage.size();
    // The gateway's own certificate is of the same authority, and names no actor.
    let listener = stage.world.layout.tls().join("gateway");
    let client = Client::new(stage.world.gateway, at::DUBLIN, &ca, Some(&listener)).unwrap();
    assert_eq!(client.post("/v1/read", &SUPPORT, &query).await.unwrap().status, StatusCode::UNAUTHORIZED);
    // Somebody whom the authority named and nobody put on record.
    let nobody = stage.world.caller("employee", "nobody", Some("IE"), at::DUBLIN).unwrap();
    assert_eq!(nobody.post("/v1/read", &SUPPORT, &query).await.unwrap().status, StatusCode::FORBIDDEN);
    // A record of another kind: ana is no service.
    let service = stage.world.caller("service", "ana", Some("IE"), at::DUBLIN).unwrap();
    assert_eq!(service.post("/v1/read", &SUPPORT, &query).await.unwrap().status, StatusCode::FORBIDDEN);
    // Another authority's certificate of the same name, and one that has ended.
    let other = stage.beside("other");
    let layout = clover::layout::Layout::new(&other);
    xtask::world::clover(&layout, &["init"]).unwrap();
    let issue = [&ISSUE[..], &["--out"]].concat();
    let (forged, ended) = (other.join("ana"), other.join("ended"));
    xtask::world::clover(&layout, &[&issue[..], &[&forged.display().to_string()]].concat()).unwrap();
    let ended_path = ended.display().to_string();
    xtask::world::clover(&stage.world.layout, &[&issue[..], &[&ended_path, "--hours", "0"]].concat())
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for stem in [forged, ended] {
        let client = Client::new(stage.world.gateway, at::DUBLIN, &ca, Some(&stem)).unwrap();
        assert!(client.post("/v1/read", &SUPPORT, &query).await.is_err(), "{}", stem.display());
    }
    assert_eq!(stage.size(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_2_the_same_is_refused() {
    let stage = Stage::new(8).await;
    let ana = stage.ana().speaking(&["h2"]);
    let released = ana.post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap();
    assert!(stage.is_email(&released, 0), "{}", released.text());
    let before = stage.size();
    let other = ana.post("/v1/read", &SUPPORT, &stage.email_of(1)).await.unwrap();
    let path = ana.post("/lanes/../v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap();
    let query = ana.post("/v1/read?x", &SUPPORT, &stage.email_of(0)).await.unwrap();
    let host = ana
        .post("/v1/read", &[SUPPORT[0], SUPPORT[1], ("host", "other.example")], &stage.email_of(0))
        .await
        .unwrap();
    let statuses = [other, path, query, host].map(|a| (a.status.as_u16(), a.receipt().is_some()));
    assert_eq!(statuses, [(403, true), (404, true), (404, true), (404, true)]);
    assert_eq!(stage.size(), before + 4);
    let json = ana
        .post("/v1/count", &[SUPPORT[0]], &json!({ "dataset": "export", "by": "profile.emailAddress" }))
        .await
        .unwrap();
    assert_eq!(
        json.json()["groups"],
        json!([]),
        "with noise there is an answer, and no address is a group of it"
    );
}

/// Inodes of the sockets on which a process listens, with their ports; TCP of both families.
fn listening(pid: u32) -> BTreeSet<(String, u16)> {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = fds.filter_map(|f| std::fs::read_link(f.unwrap().path()).ok());
    let held: BTreeSet<String> = links
        .filter_map(|l| l.to_str()?.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned))
        .collect();
    let mut all = BTreeSet::new();
    for family in ["tcp", "tcp6", "udp", "udp6"] {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{family}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let open = columns[3] == "0A" || family.starts_with("udp");
            if open && held.contains(columns[9]) {
                let port = columns[1].rsplit(':').next().unwrap();
                all.insert((family.to_owned(), u16::from_str_radix(port, 16).unwrap()));
            }
        }
    }
    let unix = std::fs::read_to_string(format!("/proc/{pid}/net/unix")).unwrap_or_default();
    // Flag 10000 is a socket that accepts.
    let named = unix.lines().skip(1).map(|l| l.split_whitespace().collect::<Vec<_>>());
    for columns in named.filter(|c| c[3] == "00010000" && held.contains(c[6])) {
        all.insert((format!("unix {}", columns.get(7).unwrap_or(&"")), 0));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enclave_listens_where_its_configuration_says_and_nowhere_else() {
    let stage = Stage::new(8).await;
    let found = listening(stage.world.pid().unwrap());
    let world = &stage.world;
    let wanted =
        [world.gateway, world.control, world.logs, world.console].map(|a| ("tcp".to_owned(), a.port()));
    assert_eq!(found, BTreeSet::from(wanted), "the vault, the keys and the ledger have no port");
    // What the control port tells is counted, not named.
    for path in ["/status", "/metrics", "/healthz", "/", "/ledger/checkpoint", "/../keys/region.key"] {
        let mut stream = std::net::TcpStream::connect(stage.world.control).unwrap();
        let (mut text, ask) = (Vec::new(), format!("GET {path} HTTP/1.0\r\nhost: x\r\n\r\n"));
        std::io::Write::write_all(&mut stream, ask.as_bytes()).unwrap();
        std::io::Read::read_to_end(&mut stream, &mut text).unwrap();
        assert_eq!(stage.names_anybody(&String::from_utf8_lossy(&text)), None, "{path}");
    }
}
