//! Requests for access, with a whole enclave: asked for and approved at the console, used at the gateway, ended by
//! people and by time, and checked by the auditor.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xtask::client::{Answer, Client};
use xtask::story;
use xtask::world::at;

use crate::support::{SUPPORT, Stage};

impl Stage {
    pub(crate) fn console(&self, id: &str, country: &str) -> Client {
        let from = if country == "SG" { at::SINGAPORE } else { at::DUBLIN };
        self.world.colleague(id, country, from).unwrap()
    }
}

pub(crate) async fn act(who: &Client, id: &str, what: &str) -> Answer {
    who.post(&format!("/access/requests/{id}/{what}"), &[], &json!({})).await.unwrap()
}

pub(crate) async fn ask(who: &Client, wanted: &Value) -> Answer {
    who.post("/access/requests", &[], wanted).await.unwrap()
}

pub(crate) fn why(answer: &Answer) -> String {
    answer.json()["why"].as_str().unwrap_or_default().to_owned()
}

/// Scenario (a): "my video does not appear", from the request to the view.
#[tokio::test(flavor = "multi_thread")]
async fn a_support_case_is_asked_for_approved_used_and_seen_by_the_person() {
    let mut stage = Stage::new(4).await;
    let (mei, aoife) = (stage.console("mei", "SG"), stage.console("aoife", "IE"));
    let subject = stage.world.subject(1).unwrap().to_owned();
    let began = Instant::now();
    let asked = ask(&mei, &story::case_wanted("C-9", &subject, 3600)).await;
    assert_eq!(
        (asked.status.as_u16(), asked.json()["state"].as_str()),
        (201, Some("waiting")),
        "{}",
        asked.text()
    );
    let waiting = aoife.get("/access/requests", &[]).await.unwrap().json();
    assert_eq!(waiting["to_decide"][0]["id"], "C-9", "{waiting}");
    let view = |subject: &str| {
        [SUPPORT[0], ("clover-case", "C-9"), ("clover-subject", subject)].map(|(k, v)| (k, v.to_owned()))
    };
    let headers = view(&subject);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let before = stage.mei().get("/lanes/video-status", &headers).await.unwrap();
    assert_eq!(before.status.as_u16(), 403, "before its approval a case is nothing");
    assert_eq!(act(&aoife, "C-9", "approve").await.json()["state"], "granted");
    let after = stage.mei().get("/lanes/video-status", &headers).await.unwrap();
    assert_eq!(after.status.as_u16(), 200, "{}", after.text());
    assert!(began.elapsed() < Duration::from_secs(120), "from the request to the view");
    let person = stage.world.caller("subject", &subject, Some("IE"), at::DUBLIN).unwrap();
    stage.world.published().unwrap();
    let own = person.get("/v1/me/crossings", &[]).await.unwrap().text();
    assert!(own.contains("employee of acme-apac"), "{own}");
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_may_approve_is_refused_with_the_rule_and_leaves_no_trace() {
    let stage = Stage::new(4).await;
    let subject = stage.world.subject(0).unwrap().to_owned();
    let (ana, aoife) = (stage.console("ana", "IE"), stage.console("aoife", "IE"));
    // Her own, though she is in the set that decides.
    assert_eq!(ask(&aoife, &story::grant_wanted("G-8", &subject)).await.status.as_u16(), 201);
    let own = act(&aoife, "G-8", "approve").await;
    assert_eq!((own.status.as_u16(), why(&own).as_str()), (409, "nobody approves their own request"));
    // From abroad: the same person, by a credential and an address in Singapore.
    assert_eq!(ask(&ana, &story::grant_wanted("G-9", &subject)).await.status.as_u16(), 201);
    let abroad = act(&stage.console("aoife", "SG"), "G-9", "approve").await;
    assert_eq!(why(&abroad), "approvals are given inside the region");
    // Somebody of no set does not even see it; a stranger and a service are nobody.
    assert_eq!(act(&stage.console("mei", "SG"), "G-9", "approve").await.status.as_u16(), 404);
    let service = stage.safety().to(stage.world.console);
    assert_eq!(act(&service, "G-9", "approve").await.status.as_u16(), 403);
    let stranger = stage.world.stranger(at::NOWHERE).unwrap().to(stage.world.console);
    assert_eq!(act(&stranger, "G-9", "approve").await.status.as_u16(), 401);
    // More than the procedure gives, a name that is taken, a purpose without a procedure.
    let mut much = story::grant_wanted("G-10", &subject);
    much["amount"]["rows"] = json!(100_001);
    assert!(why(&ask(&ana, &much).await).starts_with("more rows, bytes or people"));
    assert_eq!(ask(&ana, &story::grant_wanted("G-9", &subject)).await.status.as_u16(), 409);
    let shown = ana.get("/access/requests/G-9", &[]).await.unwrap().json();
    assert_eq!((shown["state"].as_str(), shown["acts"].as_array().unwrap().len()), (Some("waiting"), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_grant_serves_no_longer_within_a_second_and_the_auditor_agrees() {
    let mut stage = Stage::new(4).await;
    let headers = [SUPPORT[0], ("clover-grant", "G-1")];
    let ana = stage.ana();
    let read = ana.post("/v1/read", &headers, &stage.email_of(0)).await.unwrap();
    assert!(stage.is_email(&read, 0), "{}", read.text());
    let revoked = act(&stage.console("aoife", "IE"), "G-1", "revoke").await;
    let at = Instant::now();
    assert_eq!(revoked.json()["state"], "revoked", "{}", revoked.text());
    let after = ana.post("/v1/read", &headers, &stage.email_of(0)).await.unwrap();
    assert!(at.elapsed() < Duration::from_secs(1));
    assert_eq!((after.status.as_u16(), after.json()["refused"].as_str()), (403, Some("evidence")));
    assert_eq!(
        why(&act(&stage.console("aoife", "IE"), "G-1", "revoke").await),
        "the request is decided already, or over"
    );
    // What was revoked stays so when the enclave starts again.
    stage.world.stop().unwrap();
    stage.world.start().unwrap();
    let again = stage.ana().post("/v1/read", &headers, &stage.email_of(0)).await.unwrap();
    assert_eq!(again.status.as_u16(), 403);
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_at_once_get_no_more_rows_than_were_granted() {
    let mut stage = Stage::new(4).await;
    let (ana, aoife) = (stage.console("ana", "IE"), stage.console("aoife", "IE"));
    let mut wanted = story::grant_wanted("G-B", stage.world.subject(0).unwrap());
    wanted["amount"]["rows"] = json!(10);
    story::granted(&ana, &wanted, &[&aoife]).await.unwrap();
    let (client, body) = (stage.ana(), stage.email_of(0));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (client, body) = (client.clone(), body.clone());
        all.spawn(async move {
            let headers = [SUPPORT[0], ("clover-grant", "G-B")];
            let answer = client.post("/v1/read", &headers, &body).await.unwrap();
            (answer.status.as_u16(), answer.json())
        });
    }
    let (mut rows, mut refused) = (0, 0);
    while let Some(answer) = all.join_next().await {
        match answer.unwrap() {
            (200, body) => rows += body.as_array().unwrap().len(),
            (403, body) => {
                assert_eq!(body["refused"], "budget");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((rows, refused), (10, 54), "one row an answer");
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn break_glass_needs_an_open_incident_and_two_people_of_two_employers_and_ends_with_the_incident() {
    let mut stage = Stage::new(4).await;
    let (ana, niamh, gro) =
        (stage.console("ana", "IE"), stage.console("niamh", "IE"), stage.console("gro", "IE"));
    let wanted = json!({
        "id": "B-1", "ground": "break-glass", "incident": "I-1", "purpose": "incident", "case": "I-1", "dataset": "export",
        "seconds": 3600, "amount": { "rows": 1000, "bytes": 1_000_000, "subjects": 10 },
    });
    assert_eq!(why(&ask(&ana, &wanted).await), "the incident is not open");
    let opened = niamh.post("/access/incidents", &[], &json!({ "id": "I-1" })).await.unwrap();
    assert_eq!(opened.status.as_u16(), 201, "{}", opened.text());
    story::granted(&ana, &wanted, &[&niamh]).await.unwrap();
    let incident = [("clover-purpose", "incident"), ("clover-grant", "B-1")];
    let read = |n| stage.email_of(n);
    let one = stage.ana().post("/v1/read", &incident, &read(2)).await.unwrap();
    assert_eq!(one.status.as_u16(), 403, "one of two");
    assert_eq!(act(&gro, "B-1", "approve").await.json()["state"], "granted");
    // A grant for an incident names nobody: it opens anyone's record, and each is on the ledger.
    let open = stage.ana().post("/v1/read", &incident, &read(2)).await.unwrap();
    assert_eq!(open.status.as_u16(), 200, "{}", open.text());
    let closed = niamh.post("/access/incidents/I-1/close", &[], &json!({})).await.unwrap();
    assert_eq!(closed.status.as_u16(), 204);
    let after = stage.ana().post("/v1/read", &incident, &read(2)).await.unwrap();
    assert_eq!(after.status.as_u16(), 403, "the incident is closed");
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decoy_that_is_approved_serves_nobody_and_shows_in_the_numbers() {
    let mut stage = Stage::new(4).await;
    let (niamh, aoife) = (stage.console("niamh", "IE"), stage.console("aoife", "IE"));
    let mut decoy = story::grant_wanted("D-1", stage.world.subject(0).unwrap());
    decoy["whose"] = json!("ana");
    let made = niamh.post("/access/decoys", &[], &decoy).await.unwrap();
    assert_eq!(made.status.as_u16(), 201, "{}", made.text());
    assert_eq!(act(&aoife, "D-1", "approve").await.json()["state"], "granted");
    let headers = [SUPPORT[0], ("clover-grant", "D-1")];
    let read = stage.ana().post("/v1/read", &headers, &stage.email_of(0)).await.unwrap();
    assert_eq!(read.status.as_u16(), 403);
    let numbers = niamh.get("/access/quality", &[]).await.unwrap().json();
    assert_eq!(numbers["approvers"]["aoife"]["decoys_approved"], 1, "{numbers}");
    assert_eq!(stage.console("mei", "SG").get("/access/quality", &[]).await.unwrap().status.as_u16(), 404);
    stage.must_audit_clean();
    the_auditor_counts_the_same(&stage, &numbers);
    let held = stage.world.layout.mirror().join("held");
    let (code, said) = crate::verify_py::verify(&stage, &[&held]);
    assert_eq!(code, Some(0), "{said}");
}

/// That the auditor's report has the numbers of the operator's program, from the record alone and without a name.
fn the_auditor_counts_the_same(stage: &Stage, operator: &Value) {
    let (held, out) = (stage.world.layout.mirror().join("held"), stage.beside("report"));
    let date = |at: u64| model::UnixSeconds(at).rfc3339().split('T').next().unwrap().to_owned();
    let now = clover::now().0;
    let (from, to) = (date(now - 86_400), date(now));
    let (held, folder) = (held.display().to_string(), out.display().to_string());
    let what =
        ["report", "--mirror", &held, "--site-vkey", "site", "--from", &from, "--to", &to, "--out", &folder];
    let (code, said) = stage.world.audit_with(&[&what[..], &["--quick"]].concat()).unwrap();
    assert_eq!(code, Some(0), "{said}");
    let text = std::fs::read_to_string(out.join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let auditor = &report["approvals"];
    for number in ["requests", "granted", "denied", "timed_out"] {
        assert_eq!(auditor[number], operator[number], "{number}: {auditor:#}");
    }
    let one = |all: &Value| all["approvers"].as_object().unwrap().values().next().unwrap().clone();
    let (theirs, ours) = (one(operator), one(auditor));
    for number in ["approved", "rate_percent", "median_seconds", "decoys_approved", "decoys_denied"] {
        assert_eq!(ours[number], theirs[number], "{number}: {auditor:#}");
    }
    assert_eq!(auditor["approvers"].as_object().unwrap().len(), 1);
    assert_eq!(auditor["decoys"]["approved"], 1);
    let pairs = |all: &Value, count: &dyn Fn(&Value) -> Value| -> Vec<Value> {
        all["repeated_pairs"].as_array().unwrap().iter().map(count).collect()
    };
    assert_eq!(pairs(auditor, &|p| p["approvals"].clone()), pairs(operator, &|p| p[2].clone()));
    assert!(!text.contains("aoife") && !text.contains("mei"), "{text}");
}

/// Scenario (c): a traveller is where credential and network agree that they are, request by request.
#[tokio::test(flavor = "multi_thread")]
async fn who_travels_to_a_heightened_country_in_the_middle_of_a_grant_reads_nothing_there() {
    let stage = Stage::new(4).await;
    let headers = [SUPPORT[0], ("clover-grant", "G-1")];
    let at_home = stage.ana().post("/v1/read", &headers, &stage.email_of(0)).await.unwrap();
    assert!(stage.is_email(&at_home, 0));
    for country in ["IE", "CN"] {
        let abroad = stage.world.caller("employee", "ana", Some(country), at::BEIJING).unwrap();
        let read = abroad.post("/v1/read", &headers, &stage.email_of(0)).await.unwrap();
        assert_eq!(read.status.as_u16(), 403, "a credential of {country} shown in Beijing");
    }
    let back = stage.ana().post("/v1/read", &headers, &stage.email_of(0)).await.unwrap();
    assert!(stage.is_email(&back, 0));
}
