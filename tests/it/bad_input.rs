//! Bad input from callers and from services behind: refused in public words, with an entry, and nothing of the
//! input comes back.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use serde_json::{Value, json};
use xtask::client::{Answer, Client};

use crate::support::service::{Fiend, Mood, answer, whole};
use crate::support::{SUPPORT, Stage};

/// Stands in bad input, and must not stand in any answer.
const MARK: &str = "MARK-4711";

/// A label, header fields, and a body.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Vec<u8>);

fn zip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Checks that an answer is a refusal in public words with an entry of its own.
fn refused(what: &str, answer: &Answer, statuses: &[u16]) -> Result<(), String> {
    let body = answer.json();
    let members: Vec<&str> =
        body.as_object().map(|o| o.keys().map(String::as_str).collect()).unwrap_or_default();
    let right = statuses.contains(&answer.status.as_u16())
        && members == ["refused", "why"]
        && answer.receipt().is_some()
        && !answer.text().contains(MARK)
        && answer.body.len() < 200;
    if right { Ok(()) } else { Err(format!("{what}: {} {}", answer.status, answer.text())) }
}

/// Queries that are none, with a label.
fn queries(subject: &str) -> Vec<(&'static str, Vec<u8>)> {
    let read = |fields: Value| json!({ "dataset": "export", "subject": subject, "fields": fields });
    let field = "profile.emailAddress";
    let text = |v: Value| v.to_string().into_bytes();
    let twice =
        format!(r#"{{"dataset":"export","subject":"{subject}","subject":"{subject}","fields":["{field}"]}}"#);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let in_field = |f: &str| text(read(json!([f])));
    let mut bad_utf8 = text(read(json!([field])));
    bad_utf8.push(0xff);
    vec![
        ("nothing", Vec::new()),
        ("no json", MARK.into()),
        ("half a json", b"{\"dataset\":".to_vec()),
        ("something behind", [text(read(json!([field]))), b"{}".to_vec()].concat()),
        ("a list", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("a member twice", twice.into_bytes()),
        (
            "a member too many",
            text(json!({ "dataset": "export", "subject": subject, "fields": [field], "as": MARK })),
        ),
        ("no fields", text(read(json!([])))),
        ("a thousand fields", text(read(json!(vec![field; 1000])))),
        ("fields of another type", text(read(json!("profile.emailAddress")))),
        ("an unknown field", in_field(MARK)),
        ("a star", in_field("*")),
        ("a field of another dataset", in_field("status.reason")),
        ("a key inside a field", in_field("profile.emailAddress.0")),
        ("an unknown dataset", text(json!({ "dataset": MARK, "subject": subject, "fields": [field] }))),
        ("an unknown subject", text(json!({ "dataset": "export", "subject": MARK, "fields": [field] }))),
        ("an empty subject", text(json!({ "dataset": "export", "subject": "", "fields": [field] }))),
        (
            "two subjects",
            text(json!({ "dataset": "export", "subject": [subject, subject], "fields": [field] })),
        ),
        (
            "a path as subject",
            text(json!({ "dataset": "export", "subject": "../../keys", "fields": [field] })),
        ),
        (
            "a subject of a megabyte",
            text(json!({ "dataset": "export", "subject": "a".repeat(60_000), "fields": [field] })),
        ),
        ("deep json", deep.into_bytes()),
        ("bytes that are no text", bad_utf8),
        ("utf-16", "{}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_in_doubt_is_refused_in_public_words_and_recorded() {
    let mut stage = Stage::new(8).await;
    let subject = stage.world.subject(0).unwrap().to_owned();
    let (ana, before) = (stage.ana(), stage.size());
    let (mut wrong, mut made) = (Vec::new(), 0);
    let all = queries(&subject);
    for path in ["/v1/read", "/v1/count"] {
        for (what, body) in &all {
            let answer = ana.send(Method::POST, path, &SUPPORT, body.clone()).await.unwrap();
            wrong.extend(refused(what, &answer, &[400, 403, 413]).err());
            made += 1;
        }
    }
    let good = stage.email_of(0);
    let purposes: [&[(&str, &str)]; 5] = [
        &[],
        &[("clover-purpose", "unspecified"), SUPPORT[1]],
        &[("clover-purpose", MARK), SUPPORT[1]],
        &[SUPPORT[0], ("clover-grant", "G-9")],
        &[SUPPORT[0], ("clover-case", MARK)],
    ];
    for headers in purposes {
        let answer = ana.post("/v1/read", headers, &good).await.unwrap();
        wrong.extend(refused(&format!("{headers:?}"), &answer, &[400, 403]).err());
        made += 1;
    }
    // A handle in the right form that belongs to nobody: as refused as anybody else's.
    let nobody = json!({ "dataset": "export", "subject": format!("{}a", &subject[..25]), "fields": ["profile.emailAddress"] });
    let answer = ana.post("/v1/read", &SUPPORT, &nobody).await.unwrap();
    wrong.extend(refused("a handle of nobody", &answer, &[400, 403]).err());
    // Larger than any query.
    let large = [good.to_string().into_bytes(), vec![b' '; 70 << 10]].concat();
    let answer = ana.send(Method::POST, "/v1/read", &SUPPORT, large).await.unwrap();
    wrong.extend(refused("a large query", &answer, &[413]).err());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(stage.size(), before + made + 2);
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_unreadable_goes_out_on_a_forward_lane() {
    let mut stage = Stage::new(8).await;
    let safety = stage.safety();
    let path = "/out/moderation-signals";
    let signals =
        json!([{ "content_id": "73", "category": "spam", "action": "removed", "note": MARK }]).to_string();
    let row = &signals[1..signals.len() - 1];
    let (gzip, whole) = (("content-encoding", "gzip"), zip(signals.as_bytes()));
    let bomb = zip(&vec![b' '; 64 << 20]);
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let (before, mut made) = (stage.size(), 0);
    let mut cases: Vec<Case<'_>> = vec![
        ("cut gzip", &[("content-encoding", "gzip")], whole[..whole.len() - 5].to_vec()),
        ("gzip with a wrong sum", &[("content-encoding", "gzip")], flipped),
        ("gzip with a tail", &[("content-encoding", "gzip")], [&whole[..], b"x"].concat()),
        ("two members", &[("content-encoding", "gzip")], [&whole[..], &whole].concat()),
        ("a bomb", &[("content-encoding", "gzip")], bomb.clone()),
        ("a bomb in a bomb", &[("content-encoding", "gzip, gzip")], zip(&bomb)),
        ("gzip twice", &[("content-encoding", "gzip"), ("content-encoding", "gzip")], zip(&whole)),
        ("no gzip", &[("content-encoding", "gzip")], signals.clone().into_bytes()),
        ("an encoding that nobody reads", &[("content-encoding", "br")], signals.clone().into_bytes()),
        ("gzip that nobody declared", &[], whole.clone()),
        ("bytes that are no text", &[], signals.replace("spam", "sp\u{0}am").into_bytes()),
        ("half a list", &[], signals.as_bytes()[..signals.len() - 1].to_vec()),
        ("something behind", &[], format!("{signals}{signals}").into_bytes()),
        ("a name twice", &[], format!("[{}]", row.replace("{", r#"{"category":"x","#)).into_bytes()),
        ("ndjson", &[], format!("{row}\n{row}\n").into_bytes()),
        ("deep", &[], format!("{}{}", "[".repeat(5000), "]".repeat(5000)).into_bytes()),
        ("too many rows", &[], format!("[{}]", vec![row; 1001].join(",")).into_bytes()),
        ("nothing", &[], Vec::new()),
    ];
    let mut torn = signals.clone().into_bytes();
    torn.insert(20, 0xff);
    cases.push(("bytes that are no utf-8", &[], torn));
    let mut wrong = Vec::new();
    for (what, headers, body) in cases {
        let answer = safety.send(Method::POST, path, headers, body).await.unwrap();
        wrong.extend(refused(what, &answer, &[400, 413, 415]).err());
        made += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(stage.size(), before + made);
    assert!(stage.world.arrived.lock().unwrap().is_empty(), "something was delivered");
    // Readable gzip is taken, and what nobody declared stays here.
    let sent = safety.send(Method::POST, path, &[gzip], whole).await.unwrap();
    assert_eq!(sent.status.as_u16(), 202, "{}", sent.text());
    let arrived = stage.world.arrived.lock().unwrap().clone();
    assert!(arrived.len() == 1 && !String::from_utf8_lossy(&arrived[0]).contains(MARK));
    // Only the service that the flow names sends.
    let answer = stage.ana().send(Method::POST, path, &[], signals).await.unwrap();
    assert!(refused("ana", &answer, &[403]).is_ok() && stage.world.arrived.lock().unwrap().len() == 1);
    stage.must_audit_clean();
}

/// Answers of a service that misbehaves, with a label.
fn moods(row: &str) -> Vec<(&'static str, Mood)> {
    let (list, json) = (format!("[{row}]"), ["content-type: application/json"]);
    let (body, n) = (list.as_bytes(), list.len());
    let reply = |status: &str, headers: &[&str], body: &[u8]| Mood::Reply(whole(status, headers, body));
    let chunked = format!("{n:x}\r\n{list}\r\n0\r\n\r\n");
    let (te, gz) = ("transfer-encoding: chunked", "content-encoding: gzip");
    let length = |n: usize| format!("content-length: {n}");
    vec![
        ("both lengths", Mood::Reply(answer("200 OK", &[te, &length(n)], chunked.as_bytes()))),
        (
            "both lengths, the other way round",
            Mood::Reply(answer("200 OK", &[&length(n), te], chunked.as_bytes())),
        ),
        ("two lengths", Mood::Reply(answer("200 OK", &[&length(n), &length(n - 1)], body))),
        ("a length too long", Mood::Last(answer("200 OK", &[&length(n + 5)], body))),
        ("a length too short", Mood::Last(answer("200 OK", &[&length(n - 5)], body))),
        (
            "chunks that end in the middle",
            Mood::Last(answer("200 OK", &[te], format!("{n:x}\r\n{list}").as_bytes())),
        ),
        (
            "chunks of no size",
            Mood::Last(answer("200 OK", &[te], format!("zz\r\n{list}\r\n0\r\n\r\n").as_bytes())),
        ),
        ("cut gzip", reply("200 OK", &[gz], &zip(body)[..20])),
        ("a bomb", reply("200 OK", &[gz], &zip(&vec![b' '; 64 << 20]))),
        ("no gzip", reply("200 OK", &[gz], body)),
        ("gzip with a tail", reply("200 OK", &[gz], &[zip(body), b"x".to_vec()].concat())),
        ("an encoding that nobody reads", reply("200 OK", &["content-encoding: br"], body)),
        ("bytes that are no utf-8", reply("200 OK", &json, &[b"[\"\xff", body].concat())),
        ("a name twice", reply("200 OK", &json, list.replace("{", r#"{"reason":"x","#).as_bytes())),
        (
            "a name twice, once escaped",
            reply("200 OK", &json, list.replace("{", r#"{"re\u0061son":"x","#).as_bytes()),
        ),
        ("deep", reply("200 OK", &json, format!("{}{}", "[".repeat(9000), "]".repeat(9000)).as_bytes())),
        ("over the cap", reply("200 OK", &json, format!("[{}{row}]", " ".repeat(2 << 20)).as_bytes())),
        ("too many rows", reply("200 OK", &json, format!("[{}]", vec![row; 201].join(",")).as_bytes())),
        ("ndjson", reply("200 OK", &json, format!("{row}\n{row}\n").as_bytes())),
        ("something behind", reply("200 OK", &json, format!("{list}{list}").as_bytes())),
        ("half", reply("200 OK", &json, &body[..n - 1])),
        ("a page", reply("200 OK", &["content-type: text/html"], format!("<p>{row}</p>").as_bytes())),
        ("nothing", reply("200 OK", &json, b"")),
        ("no content", Mood::Reply(answer("204 No Content", &[], b""))),
        ("a partial answer", reply("206 Partial Content", &json, body)),
        ("an error", reply("500 Internal Server Error", &json, body)),
        ("not found", reply("404 Not Found", &json, body)),
        ("a redirect", reply("302 Found", &["location: http://127.0.0.1:1/x"], body)),
        ("another redirect", reply("307 Temporary Redirect", &["location: /v1/public"], body)),
        (
            "an upgrade",
            Mood::Last(answer("101 Switching Protocols", &["upgrade: x", "connection: upgrade"], body)),
        ),
        ("no http", Mood::Last(list.clone().into_bytes())),
        (
            "a head without end",
            Mood::Last(answer("200 OK", &[&format!("x-a: {}", "b".repeat(2 << 20))], body)),
        ),
        ("nothing at all", Mood::Last(Vec::new())),
        ("silence", Mood::Hang),
        ("half a head, then silence", Mood::Reply(b"HTTP/1.1 200 OK\r\ncontent-".to_vec())),
    ]
}

async fn status(mei: &Client, stage: &Stage) -> Answer {
    let headers = [SUPPORT[0], ("clover-case", "C-1"), ("clover-subject", stage.world.subject(0).unwrap())];
    mei.get("/lanes/video-status", &headers).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_misbehaves_releases_nothing() {
    let mut stage = Stage::new(8).await;
    let fiend = Fiend::start().await;
    let (old, new) = (stage.world.video.to_string(), fiend.address.to_string());
    let timeout = ("upstream_timeout_ms = 10000", "upstream_timeout_ms = 500");
    stage.world.reconfigure(|c| c.replace(&old, &new).replace(timeout.0, timeout.1)).unwrap();
    let mei = stage.mei();
    let row = json!({ "video_id": "1", "review_state": "held", "reason": MARK }).to_string();
    let list = format!("[{row}]");
    let good = Mood::Reply(whole("200 OK", &["content-type: application/json"], list.as_bytes()));

    let (mut wrong, before) = (Vec::new(), stage.size());
    let moods = moods(&row);
    let made = moods.len() as u64;
    for (what, mood) in moods {
        fiend.set(mood);
        let answer = status(&mei, &stage).await;
        wrong.extend(refused(what, &answer, &[404, 502]).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(stage.size(), before + made);

    // A second answer behind the first is never taken for the answer to the next request.
    let planted = whole("200 OK", &[], format!("[{}]", row.replace(MARK, "PLANTED")).as_bytes());
    let Mood::Reply(first) = good.clone() else { unreachable!() };
    fiend.set(Mood::Reply([first, planted].concat()));
    for _ in 0..6 {
        let answer = status(&mei, &stage).await;
        assert!(!answer.text().contains("PLANTED"), "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // And a service that behaves again is used again.
    fiend.set(good);
    let answer = status(&mei, &stage).await;
    assert_eq!((answer.status.as_u16(), answer.text().contains(MARK)), (200, true), "{}", answer.text());
    stage.must_audit_clean();
}
