//! Notices of a whole enclave to a real mail server and a receiver of webhooks that checks signatures, both written by
//! others or in another language: `tests/receivers`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clover::layout::Layout;
use serde_json::{Value, json};
use xtask::client::{Answer, Client};
use xtask::story;
use xtask::world::{at, clover, clover_raw};

use crate::support::Stage;

const SECRET: &str = "whsec_bWFkZSB1cCBmb3IgdGVzdHMgYWxvbmUsIG5vIHNlY3JldA==";
const PASSWORD: &str = "a password of the test";
const PATIENCE: Duration = Duration::from_secs(30);

/// Everybody who may be written to.
const MAIL: &str = "user = \"clover\"\npassword_file = \"keys/mail.password\"\nfrom = \"clover@example.org\"\n\
    auditor = \"auditor@example.org\"\npager = \"pager@example.org\"\n\
    [notify.mail.sets]\ndata-approvers = \"stewards@example.org\"\nsecurity = \"security@example.org\"\n\
    [notify.mail.accounts]\naoife = \"aoife@example.org\"\nana = \"ana@example.org\"\n";

/// The receivers as a process of their own.
struct Receivers {
    process: Child,
    ports: Value,
    told: Client,
}

impl Receivers {
    /// Starts them with a certificate of the enclave's authority.
    fn start(layout: &Layout) -> Self {
        let stem = layout.root().join("receivers");
        let out = stem.display().to_string();
        clover(layout, &["credential", "listener", "--host", "localhost", "--out", &out]).unwrap();
        for (name, text) in [("chat.secret", SECRET), ("mail.password", PASSWORD)] {
            std::fs::write(layout.keys().join(name), text).unwrap();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("receivers/receivers.py");
        let mut process = Command::new("/usr/bin/python3")
            .arg(script)
            .args([format!("{out}.pem"), format!("{out}.key"), SECRET.to_owned()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: Value = serde_json::from_str(&line).expect("aiosmtpd is needed: run `scripts/test`");
        let told = u16::try_from(ports["told"].as_u64().unwrap()).unwrap();
        let told = Client::new(([127, 0, 0, 1], told).into(), at::DUBLIN, &layout.tls().join("ca.pem"), None);
        Self { process, ports, told: told.unwrap() }
    }

    /// What `[notify]` says with these receivers.
    fn config(&self, hook: &Value, mail: &str) -> String {
        format!(
            "\n[notify]\nconsole_url = \"https://localhost:8447\"\n\
             [notify.webhooks.chat]\nurl = \"https://localhost:{hook}/hook\"\nsecret_file = \"keys/chat.secret\"\n\
             [notify.mail]\nsmtp_url = \"{mail}\"\n{MAIL}"
        )
    }

    /// What has arrived, once it is as a test wants it.
    async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let told = self.told.get("/", &[]).await.unwrap().json();
            if holds(&told) {
                return told;
            }
            assert!(Instant::now() < end, "not in time: {what}: {told:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn events(told: &Value) -> Vec<(&str, &str)> {
    let all = told["events"].as_array().unwrap().iter();
    all.map(|e| (e["event"]["data"]["request"].as_str().unwrap(), e["event"]["type"].as_str().unwrap()))
        .collect()
}

/// To whom there was mail about a request with these words in its subject.
fn mailed<'t>(told: &'t Value, subject: &str) -> Vec<&'t str> {
    let all = told["mails"].as_array().unwrap().iter();
    let about = all.filter(|m| m["text"].as_str().unwrap().contains(&format!("Subject: {subject}\r\n")));
    let mut to: Vec<&str> = about.map(|m| m["to"][0].as_str().unwrap()).collect();
    to.sort_unstable();
    to
}

/// Somebody at the console, in the region.
fn console(stage: &Stage, id: &str) -> Client {
    stage.world.colleague(id, "IE", at::DUBLIN).unwrap()
}

async fn post(client: &Client, path: &str, body: &Value) -> Answer {
    let answer = client.post(path, &[], body).await.unwrap();
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_reach_a_chat_tool_and_mailboxes_and_name_nobody() {
    let mut stage = Stage::new(4).await;
    let receivers = Receivers::start(&stage.world.layout);
    let notify = receivers
        .config(&receivers.ports["hook"], &format!("smtps://localhost:{}", receivers.ports["smtps"]));
    stage.world.reconfigure(|text| text + &notify).unwrap();
    let (ana, aoife) = (console(&stage, "ana"), console(&stage, "aoife"));
    let (niamh, gro) = (console(&stage, "niamh"), console(&stage, "gro"));
    let subject = stage.world.subject(0).unwrap().to_owned();
    story::granted(&ana, &story::grant_wanted("G-9", &subject), &[&aoife]).await.unwrap();
    post(&niamh, "/access/incidents", &json!({ "id": "I-9" })).await;
    let wanted = json!({
        "id": "B-9", "ground": "break-glass", "incident": "I-9", "purpose": "incident", "case": "I-9",
        "dataset": "export", "seconds": 3600, "amount": { "rows": 1000, "bytes": 1_000_000, "subjects": 10 },
    });
    story::granted(&ana, &wanted, &[&niamh, &gro]).await.unwrap();
    let mut decoy = story::grant_wanted("D-9", &subject);
    decoy["whose"] = json!("ana");
    post(&niamh, "/access/decoys", &decoy).await;
    post(&aoife, "/access/requests/D-9/approve", &json!({})).await;
    let told = receivers
        .until("all", |told| events(told).len() >= 8 && told["mails"].as_array().unwrap().len() >= 11)
        .await;
    let all = events(&told);
    for wanted in [
        ("G-9", "clover.request.waits"),
        ("G-9", "clover.request.granted"),
        ("B-9", "clover.request.waits"),
        ("B-9", "clover.request.approved"),
        ("B-9", "clover.request.granted"),
        ("B-9", "clover.request.break-glass"),
        ("D-9", "clover.request.waits"),
        ("D-9", "clover.request.granted"),
    ] {
        assert_eq!(all.iter().filter(|e| **e == wanted).count(), 1, "{wanted:?}: {all:?}");
    }
    assert_eq!(all.len(), 8, "who reads along learns of no decoy: {all:?}");
    let waits = "a request waits for approval";
    assert_eq!(mailed(&told, &format!("{waits}: G-9")), ["aoife@example.org", "stewards@example.org"]);
    assert_eq!(mailed(&told, &format!("{waits}: D-9")), ["aoife@example.org", "stewards@example.org"]);
    assert_eq!(mailed(&told, &format!("{waits}: B-9")), ["security@example.org"]);
    assert_eq!(mailed(&told, "a request was granted: G-9"), ["ana@example.org"]);
    assert!(mailed(&told, "a request was granted: D-9").is_empty(), "she never asked");
    let glass = "BREAK-GLASS: a grant was opened for an incident: B-9";
    assert_eq!(mailed(&told, glass), ["auditor@example.org", "pager@example.org"]);
    assert_eq!(mailed(&told, "a decoy was approved: D-9"), ["auditor@example.org"]);
    names_nobody(&stage, &told, &subject);
    let status = stage.world.status().unwrap();
    assert_eq!((&status["notices"]["undelivered"], &status["notices"]["waiting"]), (&json!(0), &json!(0)));
    stage.must_audit_clean();
}

/// That nothing but the address of a mail says who somebody is or whose data it is about.
fn names_nobody(stage: &Stage, told: &Value, subject: &str) {
    let bodies = told["mails"].as_array().unwrap().iter().map(|m| {
        let text = m["text"].as_str().unwrap();
        let kept = text.lines().filter(|line| !line.starts_with("To: ")).collect::<Vec<_>>();
        kept.join("\n")
    });
    let events = told["events"].as_array().unwrap().iter().map(ToString::to_string);
    for text in bodies.chain(events) {
        assert_eq!(stage.names_anybody(&text), None, "{text}");
        for word in [subject, "T-4711", "I-9", "support", "ana@", "aoife", "niamh", "acme"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_dead_holds_up_no_act_and_is_told_after_a_restart() {
    let mut stage = Stage::new(4).await;
    let receivers = Receivers::start(&stage.world.layout);
    let mail = format!("smtp+starttls://localhost:{}", receivers.ports["starttls"]);
    // A port that is free: nobody listens there.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let notify = receivers.config(&json!(dead), &mail);
    stage.world.reconfigure(|text| text + &notify).unwrap();
    let (ana, aoife) = (console(&stage, "ana"), console(&stage, "aoife"));
    let subject = stage.world.subject(0).unwrap().to_owned();
    story::granted(&ana, &story::grant_wanted("G-9", &subject), &[&aoife]).await.unwrap();
    let told = receivers.until("the mail", |told| told["mails"].as_array().unwrap().len() == 3).await;
    assert!(events(&told).is_empty());
    let notices = stage.world.status().unwrap()["notices"].clone();
    assert_eq!((&notices["failing"], &notices["waiting"]), (&json!(["chat"]), &json!(2)), "{notices}");
    let told = clover_raw(&stage.world.layout, &["status"]).unwrap().stdout;
    let line = "notices    3 delivered, 2 waiting, 0 not delivered; not taken by chat";
    assert!(String::from_utf8(told).unwrap().contains(line), "{notices}");
    let alive = receivers.ports["hook"].to_string();
    stage.world.reconfigure(|text| text.replace(&format!(":{dead}/"), &format!(":{alive}/"))).unwrap();
    let told = receivers.until("the events", |told| events(told).len() == 1).await;
    // That it waited is overtaken: it is granted.
    assert_eq!(events(&told), [("G-9", "clover.request.granted")]);
    assert_eq!(told["mails"].as_array().unwrap().len(), 3, "what was taken is not told again");
    stage.must_audit_clean();
}
