//! Services inside and people's records: what the rulebook registers is served, all else is refused on the record, and
//! what was done is summed up on the ledger.

use std::net::IpAddr;

use clover_client::{By, Client, Error, Evidence, Expect, NewPerson, Settings, Subject, Write};
use ledger::EntryKind;
use model::{DataClass, Reason};
use serde_json::{Value, json};
use xtask::world::{World, at};

use crate::support::{Stage, entries, secrets};
use crate::verify_py;

const USE: &str = "account-records";
/// The record of a profile that was imported.
const FIRST: &str = "0000000000";

/// A service at a country and an address, with a credential of its own.
fn service(world: &World, id: &str, country: &str, from: IpAddr) -> Client {
    world.caller("service", id, Some(country), from).unwrap();
    let stem = world.credentials().join(format!("service-{id}-{country}"));
    let file = |ending: &str| format!("{}.{ending}", stem.display());
    let settings = Settings::new(world.gateway, "localhost", USE).from_address(from);
    let settings = settings.trusting(world.layout.tls().join("ca.pem")).unwrap();
    Client::new(settings.showing(file("pem"), file("key")).unwrap()).unwrap()
}

fn accounts(stage: &Stage) -> Client {
    service(&stage.world, "account-service", "IE", at::DUBLIN)
}

fn handle(stage: &Stage, n: usize) -> Subject {
    Subject::new(stage.world.subject(n).unwrap())
}

fn refused(error: &Error) -> bool {
    matches!(error, Error::Refused { entry: Some(_), .. })
}

fn undone(error: &Error, code: &str) -> bool {
    matches!(error, Error::Undone { code: c, .. } if c == code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_inside_works_with_what_is_registered_and_the_ledger_has_the_sum() {
    let mut stage = Stage::new(3).await;
    let (client, somebody) = (accounts(&stage), handle(&stage, 0));
    let person = stage.world.person(0).unwrap().clone();
    for by in [By::Email(&person.email), By::Phone(&person.phone), By::UserName(&person.user_name)] {
        assert_eq!(client.find(by).await.unwrap(), std::slice::from_ref(&somebody));
    }
    assert!(client.find(By::Email("nobody@example.org")).await.unwrap().is_empty());
    let known = client.person(&somebody).await.unwrap();
    assert!(known.homes.len() == 1 && !known.held && known.entry > 0, "{known:?}");

    let profile = client.get(&somebody, "profile", FIRST).await.unwrap().unwrap();
    assert_eq!(profile.record["emailAddress"], person.email.as_str());
    let mut changed = profile.record.clone();
    changed["bioDescription"] = "on leave".into();
    let expect = Expect::Version(profile.version);
    let version = client.put(&somebody, "profile", FIRST, expect, &changed).await.unwrap();
    assert_eq!(version, profile.version + 1);
    let late = client.put(&somebody, "profile", FIRST, expect, &profile.record).await.unwrap_err();
    assert!(matches!(late, Error::Conflict), "{late:?}");
    let there = client.put(&somebody, "profile", FIRST, Expect::New, &profile.record).await.unwrap_err();
    assert!(matches!(there, Error::Conflict), "{there:?}");
    assert_eq!(client.get(&somebody, "profile", FIRST).await.unwrap().unwrap().record, changed);
    assert_eq!(client.get(&somebody, "profile", "nothing").await.unwrap(), None);

    // What was written inside is what crosses under a grant.
    let ana = stage.ana().post("/v1/read", &crate::support::SUPPORT, &stage.email_of(0)).await.unwrap();
    assert!(stage.is_email(&ana, 0), "{}", ana.text());

    let record = |text: &str| json!({ "App Language": text }).as_object().cloned();
    let write = |id: &str, expect, text: Option<&str>| Write {
        collection: "settings".to_owned(),
        id: id.to_owned(),
        expect,
        record: text.and_then(record),
    };
    let writes = [write("a", Expect::New, Some("ga")), write("b", Expect::New, Some("no"))];
    assert_eq!(client.batch(&somebody, &writes).await.unwrap(), [1, 1]);
    let half = [write("c", Expect::Any, Some("fi")), write("a", Expect::Version(7), Some("sv"))];
    assert!(matches!(client.batch(&somebody, &half).await.unwrap_err(), Error::Conflict));
    assert_eq!(client.get(&somebody, "settings", "c").await.unwrap(), None, "all or none");
    client.remove(&somebody, "settings", "b", Expect::Version(1)).await.unwrap();

    let page = client.list(&somebody, "settings", None).await.unwrap();
    let ids: Vec<&str> = page.records.iter().map(|r| r.id.as_str()).collect();
    assert_eq!((ids, page.next), (vec![FIRST, "a"], None));
    let (mut export, mut all) = (client.export(&somebody), Vec::new());
    while let Some(part) = export.next().await.unwrap() {
        all.extend(part);
    }
    let places: Vec<String> = all.iter().map(|r| format!("{}/{}", r.collection, r.id)).collect();
    assert_eq!(places, ["profile/0000000000", "settings/0000000000", "settings/a"]);
    assert_eq!(all.first().unwrap().record, changed);

    stage.must_audit_clean();
    let all = entries(&stage.world.ledger());
    let sums: Vec<_> = all.iter().filter(|e| e.kind == EntryKind::Inside).collect();
    assert!(!sums.is_empty() && sums.len() <= 3, "a sum a minute: {}", sums.len());
    let classes: Vec<_> = sums.iter().flat_map(|e| e.classes.clone()).collect();
    assert!(classes.contains(&DataClass::Restricted), "{classes:?}");
    let rows: u32 = sums.iter().map(|e| e.rows).sum();
    // Read: 2 single, 2 listed, 3 exported. Written: 1 and 2. Removed: 1.
    assert_eq!(rows, 2 + 2 + 3 + 1 + 2 + 1);
    assert!(sums.iter().all(|e| e.subjects == ledger::Subjects::None && e.place.as_str() == "IE"));
    let held = stage.world.layout.mirror().join("held");
    let (code, said) = verify_py::verify(&stage, &[&held]);
    assert_eq!(code, Some(0), "{said}");
    let log = std::fs::read_to_string(stage.world.layout.root().join("serve.log")).unwrap();
    assert!(secrets(&person).iter().all(|s| !log.contains(s.as_str())), "personal data in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_registered_is_refused_on_the_record() {
    let mut stage = Stage::new(3).await;
    let somebody = handle(&stage, 0);
    let before = stage.size();
    let get = async |client: Client, collection: &'static str| {
        client.get(&somebody, collection, FIRST).await.unwrap_err()
    };
    let client = accounts(&stage);
    // A collection, a service, a place that is elsewhere, a place that is doubted, and one whose company is outside.
    for (who, collection) in [
        (client.clone(), "autofill"),
        (service(&stage.world, "trust-and-safety", "IE", at::DUBLIN), "profile"),
        (service(&stage.world, "account-service", "US", at::OREGON), "profile"),
        (service(&stage.world, "account-service", "IE", at::OREGON), "profile"),
        (service(&stage.world, "us-partner", "IE", at::DUBLIN), "profile"),
    ] {
        let error = get(who, collection).await;
        assert!(refused(&error), "{collection}: {error:?}");
    }
    let one = Write { collection: "autofill".into(), id: "a".into(), expect: Expect::Any, record: None };
    let error = client.batch(&somebody, &[one]).await.unwrap_err();
    assert!(refused(&error), "a batch is looked at as a whole: {error:?}");
    // People have their grants, and no use of records.
    let headers = [("clover-use", USE), ("clover-subject", somebody.as_str())];
    let ana = stage.ana().get("/v1/records/in/profile/0000000000", &headers).await.unwrap();
    assert_eq!((ana.status.as_u16(), ana.receipt().is_some()), (403, true), "{}", ana.text());
    for (path, status) in [("/v1/records/nothing", 404), ("/v1/records/in/profile/0000000000/more", 422)] {
        let raw = stage.world.caller("service", "account-service", Some("IE"), at::DUBLIN).unwrap();
        let answer = raw.get(path, &headers).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text());
    }
    assert_eq!(stage.size() - before, 8, "each refusal is an entry, and the bad id is none");
    stage.must_audit_clean();
    let all = entries(&stage.world.ledger());
    let reasons: Vec<Reason> = all.iter().skip(usize::try_from(before).unwrap()).map(|e| e.reason).collect();
    assert!(reasons.contains(&Reason::Unknown) && reasons.contains(&Reason::Evidence), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_are_told_what_is_wrong_with_them_and_nothing_is_written() {
    let mut stage = Stage::new(3).await;
    let (client, somebody) = (accounts(&stage), handle(&stage, 0));
    let put = async |record: Value| client.put(&somebody, "profile", "new", Expect::Any, &record).await;
    for bad in
        [json!({ "shoeSize": 43 }), json!([]), json!("text"), json!({ "emailAddress": "a@b.eu", "x": 1 })]
    {
        let error = put(bad).await.unwrap_err();
        assert!(undone(&error, "CLV-0303"), "{error:?}");
        assert!(!error.to_string().contains("a@b.eu"), "{error}");
    }
    let long = put(json!({ "bioDescription": "x".repeat(1 << 20) })).await.unwrap_err();
    assert!(undone(&long, "CLV-0303"), "{long:?}");
    let id = client.put(&somebody, "profile", "a%20b", Expect::Any, &json!({})).await.unwrap_err();
    assert!(undone(&id, "CLV-0303"), "{id:?}");
    let nobody =
        client.get(&Subject::new("u-0000000000000000000000000000"), "profile", FIRST).await.unwrap_err();
    assert!(undone(&nobody, "CLV-0305") || refused(&nobody), "{nobody:?}");
    // Two meanings, text behind the end, no object, and a batch that writes one record twice.
    let raw = stage.world.caller("service", "account-service", Some("IE"), at::DUBLIN).unwrap();
    let headers = [("clover-use", USE), ("clover-subject", somebody.as_str())];
    for body in
        [r#"{"userName":"a","userName":"b"}"#, r#"{"userName":"a"} x"#, "", r#"{"userName":"\ud800"}"#]
    {
        let send = raw.send(http::Method::PUT, "/v1/records/in/profile/new", &headers, body.to_owned());
        let answer = send.await.unwrap();
        assert_eq!(answer.status.as_u16(), 422, "{body}: {}", answer.text());
    }
    let twice = json!({ "writes": [
        { "collection": "profile", "id": "new", "record": { "userName": "a" } },
        { "collection": "profile", "id": "new", "record": { "userName": "b" } },
    ] });
    assert_eq!(raw.post("/v1/records", &headers, &twice).await.unwrap().status.as_u16(), 422);
    let shape =
        json!({ "writes": [{ "collection": "profile", "id": "new", "record": {}, "expect": "newest" }] });
    assert_eq!(raw.post("/v1/records", &headers, &shape).await.unwrap().status.as_u16(), 422);
    assert_eq!(client.get(&somebody, "profile", "new").await.unwrap(), None);
    // A hold keeps what is there.
    let hold = ["subject", "hold", "--subject", somebody.as_str(), "--reference", "court-18"];
    xtask::world::clover(&stage.world.layout, &hold).unwrap();
    let held = client.remove(&somebody, "profile", FIRST, Expect::Any).await.unwrap_err();
    assert!(undone(&held, "CLV-0303") && held.to_string().contains("legal hold"), "{held}");
    assert!(client.person(&somebody).await.unwrap().held);
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_up_is_on_the_ledger_first_and_what_was_acknowledged_survives_a_kill() {
    let mut stage = Stage::new(3).await;
    let client = accounts(&stage);
    let person = |home| NewPerson {
        user_name: "nora.nilsen",
        home,
        evidence: Evidence::Declared,
        email: Some("nora@example.no"),
        phone: None,
    };
    for elsewhere in ["US", "ZZ", "Norway", ""] {
        let error = client.admit(&person(elsewhere)).await.unwrap_err();
        assert!(undone(&error, "CLV-0303"), "{elsewhere}: {error:?}");
    }
    let nora = client.admit(&person("NO")).await.unwrap();
    assert!(matches!(client.admit(&person("NO")).await.unwrap_err(), Error::Conflict));
    let found = client.find(By::Email("NORA@example.no")).await.unwrap();
    assert_eq!(found, std::slice::from_ref(&nora));
    let record = json!({ "userName": "nora.nilsen", "emailAddress": "nora@example.no" });
    assert_eq!(client.put(&nora, "profile", "main", Expect::New, &record).await.unwrap(), 1);
    stage.world.kill().unwrap();
    let gone = client.get(&nora, "profile", "main").await.unwrap_err();
    assert!(matches!(gone, Error::Connection(_)), "{gone:?}");
    stage.world.start().unwrap();
    let found = client.get(&nora, "profile", "main").await.unwrap().unwrap();
    assert_eq!((found.version, found.record), (1, record));
    let entry = client.person(&nora).await.unwrap().entry;
    stage.must_audit_clean();
    let all = entries(&stage.world.ledger());
    let import = all.get(usize::try_from(entry).unwrap()).unwrap();
    assert_eq!((import.kind, import.subjects.tags().len()), (EntryKind::Import, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn media_come_in_parts_and_end_with_their_person() {
    let mut stage = Stage::new(3).await;
    let (client, somebody) = (accounts(&stage), handle(&stage, 0));
    let mut upload = client.upload(&somebody).await.unwrap();
    for part in [vec![1; clover_client::PART_MAX], b"the end".to_vec()] {
        upload.part(part.into()).await.unwrap();
    }
    assert!(client.media(&somebody, None).await.unwrap().is_empty(), "not before it is whole");
    let id = upload.finish("video/mp4").await.unwrap();
    let all = client.media(&somebody, None).await.unwrap();
    assert_eq!((all[0].id.as_str(), all[0].parts, all[0].kind.as_str()), (id.as_str(), 2, "video/mp4"));
    assert_eq!(client.medium_part(&somebody, &id, 1).await.unwrap(), "the end");
    for (other, part) in [(handle(&stage, 1), 0), (somebody.clone(), 2)] {
        let missing = client.medium_part(&other, &id, part).await.unwrap_err();
        assert!(undone(&missing, "CLV-0304"), "{missing:?}");
    }
    let store = stage.world.layout.root().join("media");
    assert_eq!(crate::support::files(&store).len(), 2);
    let second = client.upload(&somebody).await.unwrap();
    let empty = second.finish("video/mp4").await.unwrap_err();
    assert!(undone(&empty, "CLV-0303"), "{empty:?}");
    let erase = ["subject", "erase", "--subject", somebody.as_str(), "--confirm", somebody.as_str()];
    xtask::world::clover(&stage.world.layout, &erase).unwrap();
    assert!(crate::support::files(&store).is_empty(), "what is noise is not kept");
    let gone = client.media(&somebody, None).await.unwrap_err();
    assert!(undone(&gone, "CLV-0305"), "{gone:?}");
    stage.must_audit_clean();
}

/// The page for programs says what the gateway does.
#[tokio::test(flavor = "multi_thread")]
async fn the_description_for_programs_names_every_way_and_no_other() {
    let stage = Stage::new(3).await;
    let raw = stage.world.caller("service", "account-service", Some("IE"), at::DUBLIN).unwrap();
    let described = raw.get("/v1/records/openapi.json", &[]).await.unwrap().json();
    assert_eq!(described["openapi"], "3.1.0");
    let somebody = handle(&stage, 0);
    let headers = [("clover-use", USE), ("clover-subject", somebody.as_str())];
    for (path, methods) in described["paths"].as_object().unwrap() {
        let asked = path
            .replace("{collection}", "profile")
            .replace("{id}", "0123456789abcdef0123456789abcdef")
            .replace("{part}", "0");
        for method in ["get", "put", "post", "delete"] {
            let verb = http::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = raw.send(verb, &asked, &headers, "{}".to_owned()).await.unwrap();
            let unknown = answer.json()["refused"] == "unknown";
            assert_eq!(unknown, methods.get(method).is_none(), "{method} {path}: {}", answer.text());
            if let Some(of) = methods.get(method).filter(|m| m["responses"].is_object()) {
                let status = answer.status.as_u16().to_string();
                assert!(of["responses"].get(&status).is_some(), "{method} {path} answers {status}");
            }
        }
    }
}
