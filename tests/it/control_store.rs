//! An enclave whose control store lies in a PostgreSQL database that is reached over TLS.

use clover::layout::Layout;
use serde_json::Value;
use tempfile::TempDir;
use xtask::client::Answer;
use xtask::story;
use xtask::world::{World, clover, clover_raw};

use crate::access::{act, ask, why};
use crate::database::Database;
use crate::faults::serve_in_vain;
use crate::support::{SEED, SUPPORT, Stage, until};

const PEOPLE: u64 = 4;

async fn stage() -> (Stage, Database) {
    let folder = TempDir::with_prefix("clover-it-").unwrap();
    let database = Database::start(folder.path());
    let (enclave, config) = (folder.path().join("enclave"), database.control_configuration());
    let config = config.display().to_string();
    World::prepare_with(&enclave, PEOPLE, SEED, &["--config", &config], |_| {}).unwrap();
    let world = World::open(&enclave, PEOPLE, SEED, |_| {}).await.unwrap();
    story::approvals(&world).await.unwrap();
    (Stage::of(world, folder), database)
}

fn control_store(stage: &Stage, field: &str) -> Value {
    stage.world.status().unwrap()["control_store"][field].clone()
}

async fn read(stage: &Stage, grant: &str) -> Answer {
    let headers = [SUPPORT[0], ("clover-grant", grant)];
    stage.ana().post("/v1/read", &headers, &stage.email_of(0)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_a_database_are_asked_for_approved_and_used_and_outlive_the_process() {
    let (mut stage, database) = stage().await;
    let (ana, aoife) = (stage.console("ana", "IE"), stage.console("aoife", "IE"));
    let subject = stage.world.subject(0).unwrap().to_owned();
    assert_eq!(ask(&ana, &story::grant_wanted("G-2", &subject)).await.status.as_u16(), 201);
    assert_eq!(read(&stage, "G-2").await.status.as_u16(), 403, "nobody has approved it");
    assert_eq!(act(&aoife, "G-2", "approve").await.json()["state"], "granted");
    let answer = read(&stage, "G-2").await;
    assert!(stage.is_email(&answer, 0), "{}", answer.text());
    let encrypted = "select distinct ssl from pg_stat_ssl join pg_stat_activity using (pid) \
         where application_name = 'clover'";
    assert_eq!(database.sql(encrypted), ["t"]);
    let rows: u64 = database.sql("select count(*) from clover_control_row")[0].parse().unwrap();
    assert!(rows >= 5, "three requests, an amount and a person: {rows}");
    assert!(!stage.world.layout.control_store().exists());
    assert_eq!(control_store(&stage, "kind"), "postgres");
    assert!(clover(&stage.world.layout, &["status"]).unwrap().contains("requests   postgres"));
    stage.world.kill().unwrap();
    stage.world.start().unwrap();
    assert!(stage.is_email(&read(&stage, "G-2").await, 0));
    assert_eq!(act(&stage.console("aoife", "IE"), "G-2", "revoke").await.json()["state"], "revoked");
    assert_eq!(read(&stage, "G-2").await.status.as_u16(), 403);
    stage.must_audit_clean();
}

/// The database stops answering between the record of an approval and the commit of its row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_lost_in_the_middle_of_an_approval_leaves_the_request_as_it_was_and_comes_back() {
    let (mut stage, mut database) = stage().await;
    let (ana, aoife) = (stage.console("ana", "IE"), stage.console("aoife", "IE"));
    let subject = stage.world.subject(0).unwrap().to_owned();
    assert_eq!(ask(&ana, &story::grant_wanted("G-2", &subject)).await.status.as_u16(), 201);
    assert!(stage.is_email(&read(&stage, "G-1").await, 0));
    let pid = stage.world.pid();
    database.sql(
        "create function hold() returns trigger language plpgsql as \
         $$ begin perform pg_sleep(600); return new; end $$; \
         create trigger hold before update on clover_control_head for each row execute function hold()",
    );
    let approving = tokio::spawn(async move { act(&aoife, "G-2", "approve").await });
    let held = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    until("the approval is held", || database.sql(held) == ["1"]).await;
    database.server.kill();
    let lost = approving.await.unwrap();
    assert_eq!(
        (lost.status.as_u16(), why(&lost).as_str()),
        (503, "requests cannot be kept now: nothing was done"),
        "{}",
        lost.text()
    );
    // What serves goes on for ten seconds, and then nobody can say whether it does.
    until("no evidence is given", || control_store(&stage, "evidence") == false).await;
    let refused = read(&stage, "G-1").await;
    assert_eq!((refused.status.as_u16(), refused.json()["refused"].as_str()), (503, Some("rulebook")));
    assert!(refused.receipt().is_some(), "the refusal is on record");
    let told = clover(&stage.world.layout, &["status"]).unwrap();
    assert!(told.contains("border     open") && told.contains("requests   postgres (not read for"), "{told}");
    assert!(told.contains("no grant or case counts"), "{told}");
    let asked = ask(&ana, &story::grant_wanted("G-3", &subject)).await;
    assert_eq!(
        (asked.status.as_u16(), why(&asked).as_str()),
        (503, "requests cannot be kept now: nothing was done")
    );
    // It is back, and so is everything, by itself.
    database.server.crash().unwrap();
    database.sql("drop trigger hold on clover_control_head; drop function hold");
    until("evidence is given", || control_store(&stage, "evidence") == true).await;
    assert_eq!(stage.world.pid(), pid);
    assert!(stage.is_email(&read(&stage, "G-1").await, 0));
    let shown = ana.get("/access/requests/G-2", &[]).await.unwrap().json();
    assert_eq!((shown["state"].as_str(), shown["acts"].as_array().unwrap().len()), (Some("waiting"), 1));
    assert_eq!(act(&stage.console("aoife", "IE"), "G-2", "approve").await.json()["state"], "granted");
    assert!(stage.is_email(&read(&stage, "G-2").await, 0));
    assert_eq!(ask(&ana, &story::grant_wanted("G-3", &subject)).await.status.as_u16(), 201);
    // The approval that did not come about is on the site's log, and again when it did: the auditor knows that.
    stage.must_audit_clean();
}

#[test]
fn a_control_store_that_is_taken_missing_or_out_of_reach_is_told_and_nothing_is_made_by_a_start() {
    let folder = TempDir::with_prefix("clover-it-").unwrap();
    let mut database = Database::start(folder.path());
    let config = database.control_configuration();
    let layout = Layout::new(&folder.path().join("enclave"));
    let init = |at: &Layout| clover_raw(at, &["init", "--config", &config.display().to_string()]).unwrap();
    let made = init(&layout);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let again = init(&Layout::new(&folder.path().join("again")));
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        !again.status.success() && said.contains("error[CLV-0402]: there is a control store already"),
        "{said}"
    );
    database.sql("create database other");
    let good = std::fs::read_to_string(&config).unwrap();
    let change = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        std::fs::write(layout.config(), good.replace(from, to)).unwrap();
    };
    for (what, from, to, why) in [
        ("an empty database", "dbname=clover", "dbname=other", "there is no control store"),
        ("another authority", "/ca.pem", "/other-ca.pem", "UnknownIssuer"),
        ("another password", "/password", "/other-password", "password authentication failed"),
        ("a file of this machine", "\"postgres\"", "\"embedded\"", "the control store is not there"),
    ] {
        change(from, to);
        let (code, said) = serve_in_vain(&layout);
        assert!(code != Some(0) && said.contains(why), "{what}: {code:?} {said}");
        assert!(!said.contains("not in the configuration"), "{what}: the password is told");
    }
    let tables =
        database.server.sql_in("other", "select count(*) from pg_class where relname like 'clover%'");
    assert_eq!(tables.unwrap(), ["0"]);
    change("dublin-1", "dublin-1");
    clover(&layout, &["config", "check"]).unwrap();
    database.server.kill();
    let (code, said) = serve_in_vain(&layout);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error[CLV-0402]: the database of the control store did not do it"), "{said}");
}
