//! A country is suspended by one order, a demand of a foreign authority grants nothing, an assessment that has expired
//! refuses. For real, with generous bounds.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use xtask::client::{Answer, Client};
use xtask::story;
use xtask::world::{World, at, clover, clover_raw};

use crate::support::{SEED, SUPPORT, Stage, change_rule, closes, entries, until};

const PEOPLE: u64 = 60;
const RESEARCH: [(&str, &str); 1] = [("clover-purpose", "research")];
const INTEROP: [(&str, &str); 1] = [("clover-purpose", "interoperability")];

/// Whether the enclave says that a country is suspended.
fn is_suspended(world: &World, country: &str) -> bool {
    world.status().unwrap()["suspended"].as_array().unwrap().iter().any(|c| c == country)
}

async fn suspend(world: &World, country: &str) {
    clover(&world.layout, &["suspend", country]).unwrap();
    until("the order is taken", || is_suspended(world, country)).await;
}

async fn lift(world: &World, country: &str) {
    clover(&world.layout, &["suspend", country, "--lift"]).unwrap();
    until("the lifting is taken", || !is_suspended(world, country)).await;
}

async fn people_of_countries(client: &Client) -> Answer {
    let count = json!({ "dataset": "export", "by": "profile.accountRegion" });
    client.post("/v1/count", &RESEARCH, &count).await.unwrap()
}

async fn signals(client: &Client) -> Answer {
    let body = json!([{ "content_id": "7300000000000000001", "category": "spam", "action": "removed" }]);
    client.post("/out/moderation-signals", &[], &body).await.unwrap()
}

fn refused(answer: &Answer) -> Value {
    answer.json()["refused"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_stops_all_crossings_to_a_country_and_cuts_its_connections() {
    let mut stage = Stage::new(PEOPLE).await;
    // An idle connection is not closed for being idle.
    let longer = |c: String| c.replace("head_timeout_ms = 10000", "head_timeout_ms = 120000");
    stage.world.reconfigure(longer).unwrap();
    let (ana, mei, safety) = (stage.ana(), stage.mei(), stage.safety());
    let partner = stage.world.caller("service", "us-partner", Some("US"), at::OREGON).unwrap();
    assert_eq!(partner.get("/lanes/interop-feed", &INTEROP).await.unwrap().status, StatusCode::OK);
    assert_eq!(signals(&safety).await.status, StatusCode::ACCEPTED);
    let (mut there, mut here) = (partner.connect().await.unwrap(), ana.connect().await.unwrap());

    suspend(&stage.world, "US").await;
    assert!(closes(&mut there).await, "the connection from the United States is cut");
    for answer in [partner.get("/lanes/interop-feed", &INTEROP).await.unwrap(), signals(&safety).await] {
        assert_eq!((answer.status, refused(&answer)), (StatusCode::FORBIDDEN, "suspended".into()));
        assert!(answer.receipt().is_some(), "and the refusal is on record");
    }
    assert_eq!(stage.world.arrived.lock().unwrap().len(), 1, "nothing more reached the desk");
    // Nor does what is one's own, though nothing attests where a person is but their address.
    let handle = stage.world.subject(0).unwrap().to_owned();
    let traveller = stage.world.caller("subject", &handle, Some("US"), at::OREGON).unwrap();
    assert_eq!(refused(&traveller.get("/v1/me/crossings", &[]).await.unwrap()), "suspended");
    let at_home = stage.world.caller("subject", &handle, Some("IE"), at::DUBLIN).unwrap();
    assert_eq!(at_home.get("/v1/me/crossings", &[]).await.unwrap().status, StatusCode::OK);
    // Others are not touched, and their connections are as they were.
    assert!(stage.is_email(&ana.post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap(), 0));
    let subject = stage.world.subject(0).unwrap().to_owned();
    let case = [("clover-purpose", "support"), ("clover-case", "C-1"), ("clover-subject", subject.as_str())];
    assert_eq!(mei.get("/lanes/video-status", &case).await.unwrap().status, StatusCode::OK);
    here.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let answered = tokio::time::timeout(Duration::from_secs(30), here.read_u8()).await;
    assert_eq!(answered.unwrap().unwrap(), b'H', "the connection from Dublin is open");

    // It outlives a restart, and only both signatures lift it.
    stage.world.stop().unwrap();
    stage.world.start().unwrap();
    assert!(is_suspended(&stage.world, "US"));
    assert_eq!(refused(&partner_again(&stage).await), "suspended");
    let auditor = stage.world.layout.auditor().join("auditor.seed");
    let away = stage.beside("auditor").join("auditor.seed");
    std::fs::rename(&auditor, &away).unwrap();
    let alone = clover_raw(&stage.world.layout, &["suspend", "US", "--lift"]).unwrap();
    assert!(!alone.status.success(), "the operator alone");
    let order = stage.beside("orders").join("lift.note").display().to_string();
    clover(&stage.world.layout, &["suspend", "US", "--lift", "--order", &order]).unwrap();
    assert!(is_suspended(&stage.world, "US"));
    std::fs::rename(&away, &auditor).unwrap();
    clover(&stage.world.layout, &["suspend", "US", "--lift", "--order", &order]).unwrap();
    until("the lifting is taken", || !is_suspended(&stage.world, "US")).await;
    assert_eq!(partner_again(&stage).await.status, StatusCode::OK);
    stage.world.published().unwrap();
    let kinds: Vec<_> =
        entries(&stage.world.ledger()).iter().map(|e| e.kind.code()).filter(|k| *k == 9).collect();
    assert_eq!(kinds.len(), 2, "an entry each");
    stage.must_audit_clean();
}

async fn partner_again(stage: &Stage) -> Answer {
    let partner = stage.world.caller("service", "us-partner", Some("US"), at::OREGON).unwrap();
    partner.get("/lanes/interop-feed", &INTEROP).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_are_old_unsigned_or_about_the_region_suspend_nobody() {
    let mut stage = Stage::new(8).await;
    let layout = stage.world.layout.clone();
    let inside = clover_raw(&layout, &["suspend", "FR"]).unwrap();
    assert!(!inside.status.success(), "inside the region");
    suspend(&stage.world, "SG").await;
    // It holds before it is kept for the next start.
    let kept = layout.suspensions().join("SG.note");
    until("the order is kept", || kept.exists()).await;
    let first = std::fs::read_to_string(kept).unwrap();
    lift(&stage.world, "SG").await;
    // The same order laid down again, and one that was changed.
    let (again, changed) = (layout.orders().join("1-again.note"), layout.orders().join("2-changed.note"));
    std::fs::write(&changed, first.replace("suspend SG", "suspend MY")).unwrap();
    std::fs::write(&again, &first).unwrap();
    let aside = |path: &std::path::Path| path.with_extension("refused").exists();
    until("both are set aside", || aside(&again) && aside(&changed)).await;
    assert!(!is_suspended(&stage.world, "SG") && !is_suspended(&stage.world, "MY"));
    stage.must_audit_clean();
}

/// What the ledger says was released to a country, by lane and purpose.
fn dry(world: &World, country: &str) -> Value {
    let said = clover(&world.layout, &["--json", "suspend", country, "--dry-run"]).unwrap();
    serde_json::from_str(&said).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dry_run_lists_what_the_real_run_then_refuses() {
    let mut stage = Stage::new(600).await;
    let (ana, mei, li, safety) = (stage.ana(), stage.mei(), stage.li(), stage.safety());
    let subject = stage.world.subject(0).unwrap().to_owned();
    let case = [("clover-purpose", "support"), ("clover-case", "C-1"), ("clover-subject", subject.as_str())];
    // Everything that works, by country: lane, purpose.
    let play = async || {
        let partner = partner_again(&stage).await;
        [
            ("US", "interop-feed", "interoperability", partner),
            ("US", "moderation-signals", "safety", signals(&safety).await),
            ("SG", "video-status", "support", mei.get("/lanes/video-status", &case).await.unwrap()),
            ("CN", "count", "research", people_of_countries(&li).await),
            ("IE", "read", "support", ana.post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap()),
        ]
    };
    let before = play().await;
    assert!(before.iter().all(|(.., answer)| answer.status.is_success()), "{before:?}");
    stage.world.published().unwrap();
    for country in ["US", "SG", "CN"] {
        let listed = dry(&stage.world, country);
        suspend(&stage.world, country).await;
        let after = play().await;
        let mut stopped: Vec<(String, String)> = Vec::new();
        for (_, lane, purpose, answer) in &after {
            let is_refused = refused(answer) == "suspended";
            assert!(is_refused || answer.status.is_success(), "{lane}: {}", answer.text());
            if is_refused {
                stopped.push(((*lane).to_owned(), (*purpose).to_owned()));
            }
        }
        let crossings = listed["crossings"].as_array().unwrap().iter();
        let word = |c: &Value, key: &str| c[key].as_str().unwrap().to_owned();
        let mut foretold: Vec<_> = crossings.map(|c| (word(c, "lane"), word(c, "purpose"))).collect();
        stopped.sort();
        foretold.sort();
        assert_eq!(stopped, foretold, "{country}: {listed}");
        lift(&stage.world, country).await;
    }
    let (america, china, singapore) =
        (dry(&stage.world, "US"), dry(&stage.world, "CN"), dry(&stage.world, "SG"));
    let flows = america["flows"].as_array().unwrap().iter().map(|f| f["flow"].as_str().unwrap());
    assert_eq!(flows.collect::<Vec<_>>(), ["interop-us", "signals-us"]);
    assert_eq!((&america["employers"], &china["employers"]), (&json!(["acme-us"]), &json!(["acme-cn"])));
    assert_eq!((&singapore["cases"], &china["cases"]), (&json!(["C-1"]), &json!([])));
    assert!(!is_suspended(&stage.world, "US"), "a dry run stops nothing");
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_l_china_is_suspended_within_24_hours() {
    let mut stage = Stage::new(600).await;
    let li = stage.li();
    assert_eq!(people_of_countries(&li).await.status, StatusCode::OK, "what the assessment names");
    stage.world.published().unwrap();
    let listed = dry(&stage.world, "CN");
    assert_eq!((&listed["actors"], &listed["flows"]), (&json!(1), &json!([])));
    suspend(&stage.world, "CN").await;
    for answer in [people_of_countries(&li).await, li.get("/lanes/public-videos", &RESEARCH).await.unwrap()] {
        assert_eq!(refused(&answer), "suspended", "{}", answer.text());
    }
    stage.world.published().unwrap();
    let all = entries(&stage.world.ledger());
    let order = all.iter().position(|e| e.kind == ledger::EntryKind::Suspension).unwrap();
    // How long it took stands on the record: from the time of the order to that of its entry.
    let text = String::from_utf8(all[order].facts.clone()).unwrap();
    let given: u64 = text.lines().nth(3).unwrap().parse().unwrap();
    assert!(all[order].time.0 - given < 24 * 3600);
    let china = model::Country::parse("CN").unwrap();
    let released = |e: &&ledger::Draft| e.kind == ledger::EntryKind::Answer && e.place == china;
    assert_eq!(
        (all[..order].iter().filter(released).count(), all[order..].iter().filter(released).count()),
        (1, 0)
    );
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demand_of_a_foreign_authority_is_on_the_record_and_grants_nothing() {
    let mut stage = Stage::new(8).await;
    let layout = stage.world.layout.clone();
    let record = ["demand", "record", "--authority-country", "US", "--reference", "DOJ-2026-1"];
    clover(&layout, &record).unwrap();
    until("it is taken", || layout.demands().read_dir().is_ok_and(|mut all| all.next().is_some())).await;
    let inside = ["demand", "record", "--authority-country", "IE", "--reference", "X"];
    assert!(
        !clover_raw(&layout, &inside).unwrap().status.success(),
        "an authority of the region asks otherwise"
    );
    // Named as evidence it serves nobody, not even laid down as a grant.
    let ana = stage.ana();
    let named = [("clover-purpose", "legalRequest"), ("clover-grant", "DOJ-2026-1")];
    let ask = async || ana.post("/v1/read", &named, &stage.email_of(0)).await.unwrap();
    assert_eq!(refused(&ask().await), "evidence");
    let note = layout.demands().read_dir().unwrap().next().unwrap().unwrap().path();
    let grants = layout.control().join("grants");
    std::fs::create_dir_all(&grants).unwrap();
    std::fs::copy(note, grants.join("DOJ-2026-1.note")).unwrap();
    assert_eq!(refused(&ask().await), "evidence");
    stage.world.published().unwrap();
    let all = entries(&stage.world.ledger());
    assert_eq!(all.iter().filter(|e| e.kind == ledger::EntryKind::Demand).count(), 1);
    stage.must_audit_clean();
    let held = layout.mirror().join("held").display().to_string();
    let out = stage.beside("report").display().to_string();
    let report = [
        "report",
        "--mirror",
        &held,
        "--site-vkey",
        "site",
        "--from",
        "2026-01-01",
        "--to",
        "2099-12-31",
        "--out",
        &out,
    ];
    let (code, said) = stage.world.audit_with(&report).unwrap();
    let told: String = crate::support::files(std::path::Path::new(&out))
        .iter()
        .map(|f| std::fs::read_to_string(f).unwrap())
        .collect();
    assert!(code == Some(0) && told.contains("DOJ-2026-1"), "{code:?} {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_assessment_refuses_the_next_request_with_that_reason() {
    let (folder, layout) = Stage::folder(8);
    change_rule(&layout, "assessments.toml", |text| {
        let (before, after) = text.split_once("country = \"SG\"").unwrap();
        format!("{before}country = \"SG\"{}", after.replacen("2036-01-01", "2026-06-01", 1))
    });
    let checked = clover_raw(&layout, &["rulebook", "check"]).unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.code() == Some(78) && said.contains("assessment of `SG`: it expired"), "{said}");
    let world = World::open(layout.root(), 8, SEED, |_| {}).await.unwrap();
    story::approvals(&world).await.unwrap();
    let mut stage = Stage::of(world, folder);
    let subject = stage.world.subject(0).unwrap().to_owned();
    let case = [("clover-purpose", "support"), ("clover-case", "C-1"), ("clover-subject", subject.as_str())];
    let answer = stage.mei().get("/lanes/video-status", &case).await.unwrap();
    assert_eq!((answer.status, refused(&answer)), (StatusCode::FORBIDDEN, "assessment".into()));
    assert!(stage.world.status().unwrap()["expiries"][0].as_str().unwrap().contains("of SG"));
    stage.world.published().unwrap();
    let entry = usize::try_from(answer.receipt().unwrap()).unwrap();
    assert_eq!(entries(&stage.world.ledger())[entry].reason, model::Reason::Assessment);
    stage.must_audit_clean();
}
