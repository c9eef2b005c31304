//! PostgreSQL's clients through the SQL gateway: what a grant shows, what is on the ledger, and what is refused.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use http::StatusCode;
use model::{Reason, UnixSeconds};
use serde_json::json;
use xtask::story::{case_wanted, granted};
use xtask::tables::{Desk, Tables, VIDEOS};
use xtask::world::{at, clover, programs};

use crate::support::{Stage, change_rule, entries};

/// A grant on all people's videos.
fn videos(id: &str, people: u64) -> serde_json::Value {
    json!({
        "id": id, "ground": "grant", "purpose": "support", "case": "T-4713", "dataset": "video", "seconds": 7200,
        "amount": { "rows": 1_000, "bytes": 1_000_000, "subjects": people },
    })
}

async fn stage() -> (Stage, Tables) {
    let mut stage = Stage::new(60).await;
    let tables = Tables::join(&mut stage.world).unwrap();
    (stage, tables)
}

fn rows(desk: &Desk, statement: &str) -> Vec<String> {
    desk.ask("video", statement).unwrap().unwrap_or_else(|said| panic!("{statement}: {said}"))
}

/// Runs `clover query` as somebody who is signed in, from their office.
fn query(stage: &Stage, desk: &Desk, arguments: &[&str]) -> std::process::Output {
    let layout = &stage.world.layout;
    let (who, ground) = desk.user.split_once('@').unwrap();
    let token = clover(
        layout,
        &[
            "credential",
            "issue",
            "--kind",
            "employee",
            "--id",
            who,
            "--at",
            "US",
            "--attested-device",
            "--mfa",
            "--token",
        ],
    );
    let console = clover::config::Config::load(&layout.config()).unwrap().console.unwrap().listen;
    let home = stage.beside(who).join("clover");
    std::fs::create_dir_all(&home).unwrap();
    let held = json!({
        "console": { "address": console, "ca": layout.tls().join("ca.pem") },
        "token": token.unwrap().trim(), "until": "2100-01-01T00:00:00Z",
    });
    std::fs::write(home.join("session.json"), held.to_string()).unwrap();
    let mut command = Command::new(programs().unwrap().join("clover"));
    command.env("XDG_CONFIG_HOME", stage.beside(who));
    command.args(["query", "--dataset", "video", "--on", ground]);
    command.arg("--gateway").arg(format!("localhost:{}", desk.port)).args(arguments).output().unwrap()
}

fn said(desk: &Desk, statement: &str) -> String {
    desk.ask("video", statement).unwrap().expect_err(statement)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_shows_what_its_grant_shows_and_is_on_the_ledger_with_those_whom_it_names() {
    let (mut stage, tables) = stage().await;
    let world = &stage.world;
    let aoife = world.colleague("aoife", "IE", at::DUBLIN).unwrap();
    let ana = world.colleague("ana", "IE", at::DUBLIN).unwrap();
    let mei = world.colleague("mei", "SG", at::SINGAPORE).unwrap();
    granted(&ana, &videos("G-V", 100), &[&aoife]).await.unwrap();
    granted(&mei, &videos("G-S", 100), &[&aoife]).await.unwrap();
    granted(&mei, &case_wanted("C-9", world.subject(0).unwrap(), 7200), &[&aoife]).await.unwrap();
    let inside = tables.desk("ana", "IE", at::DUBLIN, "G-V").await.unwrap();
    let outside = tables.desk("mei", "SG", at::SINGAPORE, "G-S").await.unwrap();
    let case = tables.desk("mei", "SG", at::SINGAPORE, "C-9").await.unwrap();

    let plain = rows(
        &inside,
        "select video_id, review_state, reason, owner from video_status where video_id = 1000000",
    );
    let fields: Vec<_> = plain[0].split('|').collect();
    assert_eq!(fields[..3], ["1000000", "held", "a reviewer looks at it"]);
    assert!(fields[3].starts_with("t1."), "whose it is is never told: {plain:?}");
    let token = rows(
        &outside,
        "select video_id, review_state, owner from video_status where review_state = 'held' limit 1",
    );
    let fields: Vec<_> = token[0].split('|').collect();
    assert!(fields[0].starts_with("t1.") && fields[1] == "held", "{token:?}");
    assert_eq!(rows(&case, "select count(*) from video_status"), [VIDEOS.to_string()], "one person's");
    assert_eq!(rows(&inside, "select count(*) from video_status"), [(60 * VIDEOS).to_string()]);
    assert!(said(&inside, "select uploader_ip from video_status").contains("does not exist"));
    assert!(
        said(&inside, "select * from app.video_status").contains("42501")
            || said(&inside, "select * from app.video_status").contains("denied")
    );
    assert!(said(&inside, "explain select * from video_status").contains("EXPLAIN is not possible"));
    assert!(rows(&inside, "show clover.last_receipt")[0].contains("nothing was released"));

    let before = world.published().unwrap();
    let desk = tables.desk("ana", "IE", at::DUBLIN, "G-V").await.unwrap();
    let two = desk
        .psql(
            "video",
            &[
                "-qAt",
                "-c",
                "select owner, video_id from video_status where video_id in (1000010, 1000020)",
                "-c",
                "show clover.last_receipt",
                "-c",
                "show clover.budget",
            ],
        )
        .unwrap();
    let told = String::from_utf8(two.stdout).unwrap();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), 4, "{told} {}", String::from_utf8_lossy(&two.stderr));
    assert!(lines[2].starts_with("entry ") && lines[3].contains(" of 1000,"), "{told}");
    let number: u64 = lines[2].split(' ').nth(1).unwrap().parse().unwrap();
    world.published().unwrap();
    let all = entries(&world.ledger());
    let entry = &all[usize::try_from(number).unwrap()];
    assert!(number >= before);
    assert_eq!(entry.rows, 2);
    assert!(
        matches!(&entry.subjects, ledger::Subjects::Tags(tags) if tags.len() == 2),
        "{:?}",
        entry.subjects
    );
    each_row_must_say_whose_it_is(&stage, &inside, &case).await;
    killed_in_the_middle(&mut stage, &desk);
    stage.must_audit_clean();
}

/// A rulebook may demand that: then nothing is shown for which everybody of a grant would be named.
async fn each_row_must_say_whose_it_is(stage: &Stage, all: &Desk, of_one: &Desk) {
    let layout = stage.world.layout.clone();
    let demand =
        |text: &str| text.replace("\nperson = \"owner\"\n", "\nperson = \"owner\"\ndemands_person = true\n");
    tokio::task::spawn_blocking(move || change_rule(&layout, "lanes.toml", demand)).await.unwrap();
    let unnamed = said(all, "select count(*) from video_status");
    assert!(unnamed.contains("select the person's column"), "{unnamed}");
    assert_eq!(rows(all, "select owner, video_id from video_status where video_id = 1000010").len(), 1);
    assert_eq!(rows(of_one, "select count(*) from video_status"), [VIDEOS.to_string()], "it is known whose");
}

/// What a client has read when the enclave is killed is on the ledger: nothing is told before it is written. (That it is flushed, too, the
/// faulty disks of the vault's tests show: a process that is killed takes no page from the cache.)
fn killed_in_the_middle(stage: &mut Stage, desk: &Desk) {
    let answers = |stage: &Stage| {
        stage.world.published().unwrap();
        let all = entries(&stage.world.ledger());
        all.iter()
            .filter(|e| e.lane == ledger::entry::short_name("sql") && e.reason == Reason::None && e.rows == 1)
            .count()
    };
    let before = answers(stage);
    let told = stage.beside("told").join("rows");
    let mut command = Command::new(&desk.psql);
    command.arg(desk.address("video")).args(["-XqAt"]).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.stdout(std::fs::File::create(&told).unwrap()).spawn().unwrap();
    let mut asks = child.stdin.take().unwrap();
    let one = "select owner, video_id from video_status where video_id = 1000010;\n";
    let asking = std::thread::spawn(move || {
        // It ends with whom it asks.
        while asks.write_all(one.repeat(50).as_bytes()).is_ok() {}
    });
    let read = || std::fs::read_to_string(&told).unwrap().lines().count();
    until("some answers", Duration::from_secs(20), || read() >= 20);
    stage.world.kill().unwrap();
    child.wait().unwrap();
    asking.join().unwrap();
    stage.world.start().unwrap();
    let (read, recorded) = (read(), answers(stage) - before);
    assert!((20..=recorded).contains(&read), "{read} were read, {recorded} are on the ledger");
    assert!(recorded < 900, "it was killed in the middle, and not when the grant was used up: {recorded}");
}

fn ok(command: &mut Command) {
    let output = command.output().unwrap();
    let (told, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.trim_end().ends_with("ok"), "{command:?}: {told}{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_in_python_javascript_and_java_connect_browse_prepare_and_fetch_unchanged() {
    let (mut stage, tables) = stage().await;
    let world = &stage.world;
    let aoife = world.colleague("aoife", "IE", at::DUBLIN).unwrap();
    let ana = world.colleague("ana", "IE", at::DUBLIN).unwrap();
    let wanted = json!({
        "id": "G-C", "ground": "grant", "purpose": "support", "case": "T-4714", "dataset": "video", "seconds": 7200,
        "amount": { "rows": 50_000, "bytes": 50_000_000, "subjects": 100 },
    });
    granted(&ana, &wanted, &[&aoife]).await.unwrap();
    let desk = tables.desk("ana", "IE", at::DUBLIN, "G-C").await.unwrap();
    let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed =
        tree.join("../target/clients").canonicalize().expect("scripts/test --tools installs the clients");
    let mut python = Command::new("/usr/bin/python3");
    python.arg(tree.join("clients/client.py")).args([desk.address("video"), "60".to_owned()]);
    ok(python.env("PYTHONPATH", installed.join("python")));
    let stem = desk.credential.clone().unwrap();
    let config = json!({
        "host": "127.0.0.1", "port": desk.port, "database": "video", "user": desk.user, "ca": desk.ca,
        "cert": stem.with_extension("pem"), "key": stem.with_extension("key"),
    });
    let mut node = Command::new("node");
    node.arg(tree.join("clients/client.js")).args([config.to_string(), "60".to_owned()]);
    ok(node.env("CLOVER_NODE_MODULES", &installed));
    let given = ana.post("/sql/login", &[], &json!({ "ground": "G-C" })).await.unwrap().json();
    let url = format!(
        "jdbc:postgresql://localhost:{}/video?sslmode=verify-full&sslrootcert={}",
        desk.port,
        desk.ca.display()
    );
    let mut java = Command::new("java");
    java.args(["-cp", "/usr/share/java/postgresql.jar"]).arg(tree.join("clients/Client.java"));
    ok(java.args([&url, "60", &desk.user, given["password"].as_str().unwrap()]));
    stage.must_audit_clean();
}

/// Waits until something is so, and returns how long that took.
fn until(what: &str, limit: Duration, so: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

/// A `psql` that stays connected: it reads statements from a pipe that nobody writes to.
fn idle(desk: &Desk) -> std::process::Child {
    let mut child = desk.start("video").unwrap();
    let input = child.stdin.as_mut().unwrap();
    input.write_all(b"select count(*) from video_status;\n").unwrap();
    input.flush().unwrap();
    child
}

fn sessions(tables: &Tables) -> usize {
    let count = tables.server.sql("select count(*) from pg_stat_activity where usename ~ '^clover_g_'");
    count.unwrap()[0].parse().unwrap()
}

fn roles(tables: &Tables) -> usize {
    tables.server.sql("select count(*) from pg_roles where rolname ~ '^clover_g_'").unwrap()[0]
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_with_what_it_stands_on_and_what_was_compiled_for_it_goes() {
    let (mut stage, tables) = stage().await;
    let world = &stage.world;
    let aoife = world.colleague("aoife", "IE", at::DUBLIN).unwrap();
    let ana = world.colleague("ana", "IE", at::DUBLIN).unwrap();
    for id in ["G-11", "G-12"] {
        granted(&ana, &videos(id, 100), &[&aoife]).await.unwrap();
    }
    // A password for a grant, which only a client takes that ties it to the gateway's certificate.
    let given = ana.post("/sql/login", &[], &json!({ "ground": "G-11" })).await.unwrap();
    assert_eq!(given.status, StatusCode::OK, "{}", given.text());
    let given = given.json();
    let mut one = tables.desk("ana", "IE", at::DUBLIN, "G-11").await.unwrap();
    let certified = one.clone();
    (one.credential, one.password) = (None, given["password"].as_str().map(str::to_owned));
    assert_eq!(given["user"], one.user.as_str());
    assert!(UnixSeconds::parse(given["until"].as_str().unwrap()).unwrap() > clover::now());
    assert_eq!(rows(&one, "select count(*) from video_status"), ["180"]);
    let wrong = Desk { password: Some("a".repeat(32)), ..one.clone() };
    assert!(said(&wrong, "select 1").contains("do not belong together"));
    let other = Desk { user: "ana@G-12".into(), ..one.clone() };
    assert!(said(&other, "select 1").contains("do not belong together"), "a password is for its grant");

    let two = tables.desk("ana", "IE", at::DUBLIN, "G-12").await.unwrap();
    let mut children = [idle(&one), idle(&certified), idle(&two)];
    until("three sessions", Duration::from_secs(20), || sessions(&tables) == 3);
    let revoked = aoife.post("/access/requests/G-11/revoke", &[], &json!({})).await.unwrap();
    assert_eq!(revoked.status, StatusCode::OK, "{}", revoked.text());
    let took =
        until("the sessions of the revoked grant end", Duration::from_secs(5), || sessions(&tables) == 1);
    println!("revoked, and its sessions closed at the database after {took:?}");
    until("its role is dropped", Duration::from_secs(20), || roles(&tables) == 1);
    assert!(said(&one, "select 1").contains("does not serve you now"));

    // Somebody changes a table under the other one.
    tables.server.sql("alter table app.video_status add column more text").unwrap();
    until("the session on the changed table ends", Duration::from_secs(10), || sessions(&tables) == 0);
    assert_eq!(rows(&two, "select count(*) from video_status"), ["180"], "compiled anew");
    tables.server.sql("create function public.tell() returns int language sql as 'select 1'").unwrap();
    let unsafe_now = said(&two, "select 1");
    assert!(unsafe_now.contains("cannot serve this grant now"), "{unsafe_now}");
    children.iter_mut().for_each(|child| drop((child.kill(), child.wait())));
    stage.world.stop().unwrap();
    assert_eq!(roles(&tables), 0, "nothing of a grant is left when the gateway stops");
    stage.world.start().unwrap();
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_on_the_ledger_and_what_nobody_can_attribute_is_not_told() {
    let (mut stage, tables) = stage().await;
    let world = &stage.world;
    let aoife = world.colleague("aoife", "IE", at::DUBLIN).unwrap();
    let ana = world.colleague("ana", "IE", at::DUBLIN).unwrap();
    granted(&ana, &videos("G-5", 5), &[&aoife]).await.unwrap();
    let desk = tables.desk("ana", "IE", at::DUBLIN, "G-5").await.unwrap();
    // Whoever connects and says nothing keeps nobody else waiting.
    let silent: Vec<_> = (0..70).map(|_| std::net::TcpStream::connect(tables.listen).unwrap()).collect();
    let began = Instant::now();
    assert_eq!(rows(&desk, "select 1"), ["1"]);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    drop(silent);
    // Of sixty people a grant for five shows row by row only.
    assert!(said(&desk, "select count(*) from video_status").contains("nobody can say whose rows these are"));
    assert!(said(&desk, "select video_id from video_status limit 1").contains("select the person's column"));
    assert_eq!(rows(&desk, "select owner, video_id from video_status where video_id = 1000000").len(), 1);
    // Of catalogues everybody may read nobody is told.
    let catalogue = rows(&desk, "select relname from pg_catalog.pg_class where relname = 'pg_class'");
    assert_eq!(catalogue, ["pg_class"]);
    let listed = desk.psql("video", &["-c", "\\d video_status"]).unwrap();
    assert!(
        String::from_utf8_lossy(&listed.stdout).contains("review_state"),
        "{}",
        String::from_utf8_lossy(&listed.stderr)
    );
    // More people than it is for, one by one.
    let more = said(&desk, "select owner, video_id from video_status");
    assert!(more.contains("more rows or people") || more.contains("nothing is left"), "{more}");
    let refused = said(&desk, "copy video_status to program 'id'");
    assert!(refused.contains("COPY goes to the client only"), "{refused}");
    world.published().unwrap();
    let all = entries(&world.ledger());
    let of_sql: Vec<_> = all.iter().filter(|e| e.lane == ledger::entry::short_name("sql")).collect();
    let reasons: Vec<_> = of_sql.iter().map(|e| e.reason).collect();
    let count = |reason| reasons.iter().filter(|r| **r == reason).count();
    assert_eq!(count(Reason::Subject), 2, "{reasons:?}");
    assert_eq!(count(Reason::Unknown), 1, "{reasons:?}");
    assert_eq!(count(Reason::Limit) + count(Reason::Budget), 1, "{reasons:?}");
    // Statements that differ in values alone are the same statement.
    let digest = |text: &str| ledger::sha256(gateway::sql::lex::normalised(text).unwrap().as_bytes());
    let wanted = digest("select owner, video_id from video_status where video_id = 7");
    let same = of_sql.iter().filter(|e| {
        e.reason == Reason::None && ledger::facts::statement(&e.facts).is_ok_and(|d| d == Some(wanted))
    });
    assert_eq!(same.count(), 1);
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sees_no_rows_asks_for_numbers_until_the_budget_ends_and_the_same_question_is_free() {
    let (mut stage, tables) = stage().await;
    let world = &stage.world;
    world.colleague("gro", "US", at::OREGON).unwrap();
    // Without a grant, for a purpose: policy has counts for that, and nothing else.
    let desk = tables.desk("gro", "US", at::OREGON, "research").await.unwrap();
    let states = "select review_state, count(distinct owner) as people from video_status group by review_state order by review_state";
    let first = rows(&desk, states);
    let held: i64 = first.iter().find_map(|row| row.strip_prefix("held|")?.parse().ok()).unwrap();
    assert!((20..=100).contains(&held), "sixty people, and noise: {first:?}");
    assert_eq!(rows(&desk, states), first, "asked again, and free");
    let plain = said(&desk, "select video_id from video_status");
    assert!(
        plain.contains("possible is: SELECT") && plain.contains("keys are review_state, visibility"),
        "{plain}"
    );
    assert!(said(&desk, "select relname from pg_class").contains("no rows are shown here"));
    for visibility in ["everyone", "followers", "nobody"] {
        rows(
            &desk,
            &format!("select count(distinct owner) from video_status where visibility = '{visibility}'"),
        );
    }
    let spent = said(&desk, "select count(*) from video_status");
    assert!(spent.contains("no more may be learned") && spent.contains("0 is left"), "{spent}");
    // The command line asks the same for whoever is signed in there, and reads its answer free of charge.
    let asked = query(&stage, &desk, &[states]);
    let told = String::from_utf8(asked.stdout).unwrap();
    let shown: Vec<String> =
        told.lines().skip(2).map(|line| line.split_whitespace().collect::<Vec<_>>().join("|")).collect();
    assert!(told.starts_with("review_state  people\n------------  ------\n") && shown == first, "{told}");
    assert!(String::from_utf8_lossy(&asked.stderr).starts_with("on the ledger: entry "));
    let asked = query(&stage, &desk, &["--json", states]);
    let told: serde_json::Value =
        serde_json::from_slice(asked.stdout.split(|b| *b == b'\n').next().unwrap()).unwrap();
    assert_eq!(
        first[0],
        format!("{}|{}", told["review_state"].as_str().unwrap(), told["people"].as_str().unwrap())
    );
    let refused = query(&stage, &desk, &["select video_id from video_status"]);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && refused.stdout.is_empty(), "{why}");
    assert!(why.contains("CLV-0611") && why.contains("possible is: SELECT"), "{why}");
    let json = desk.psql("video", &["-qAt", "--csv", "-c", states]).unwrap();
    assert_eq!(String::from_utf8(json.stdout).unwrap().lines().count(), first.len(), "still free");
    world.published().unwrap();
    let all = entries(&world.ledger());
    let took: Vec<u64> = all
        .iter()
        .filter(|e| e.lane == ledger::entry::short_name("sql") && e.reason == Reason::None)
        .map(|e| ledger::facts::spent(&e.facts).unwrap().unwrap().epsilon_micro)
        .collect();
    assert_eq!(took.iter().filter(|micro| **micro > 0).count(), 4, "{took:?}");
    assert_eq!(all.iter().filter(|e| e.reason == Reason::Privacy).count(), 1);
    // The question that is none, asked twice, and the rows of the catalogue.
    assert_eq!(all.iter().filter(|e| e.reason == Reason::Unknown).count(), 3);
    assert!(
        all.iter()
            .filter(|e| e.reason == Reason::None && e.lane == ledger::entry::short_name("sql"))
            .all(|e| e.subjects == ledger::Subjects::Population)
    );
    stage.must_audit_clean();
}
