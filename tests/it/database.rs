//! An enclave whose logs lie in a PostgreSQL database that is reached over TLS.

use std::path::{Path, PathBuf};

use clover::layout::Layout;
use ledger::EntryKind;
use tempfile::TempDir;
use xtask::story;
use xtask::world::{World, clover, clover_raw};

use crate::faults::serve_in_vain;
use crate::support::secure::Authority;
use crate::support::{SEED, SUPPORT, Stage, copy, entries, until};

const PEOPLE: u64 = 8;
/// What its certificate bears. Nobody resolves it: the address stands beside it.
const NAME: &str = "db.example";

/// A server, and what its clients need, in a folder.
pub(crate) struct Database {
    pub(crate) server: testkit::Postgres,
    folder: PathBuf,
}

impl Database {
    pub(crate) fn start(folder: &Path) -> Self {
        let (authority, folder) = (Authority::new(), folder.join("database"));
        std::fs::create_dir_all(&folder).unwrap();
        authority.file(folder.join("ca.pem"));
        Authority::new().file(folder.join("other-ca.pem"));
        std::fs::write(folder.join("password"), "not in the configuration\n").unwrap();
        std::fs::write(folder.join("other-password"), "another\n").unwrap();
        let shown = authority.issue(NAME);
        let tls = testkit::Tls {
            certificate: shown.certificate,
            key: shown.key,
            clients: None,
            password: "not in the configuration".to_owned(),
        };
        Self { server: testkit::Postgres::start_tls(&tls).unwrap(), folder }
    }

    /// The starter's `enclave.toml` with this journal, in a file.
    fn configuration(&self) -> PathBuf {
        self.configured("journal = \"segments\"", "journal = \"postgres\"", "ledger.postgres")
    }

    /// The starter's `enclave.toml` with this control store, in a file.
    pub(crate) fn control_configuration(&self) -> PathBuf {
        self.configured("store = \"embedded\"", "store = \"postgres\"", "control.postgres")
    }

    fn configured(&self, from: &str, to: &str, table: &str) -> PathBuf {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let starter = clover::config::starter("dublin-1");
        assert!(starter.contains(from));
        let text = format!(
            "{}\n[{table}]\nserver = \"{}\"\npassword_file = \"{}\"\nca_file = \"{}\"\n",
            starter.replace(from, to),
            self.server.address_tls(NAME),
            file("password"),
            file("ca.pem"),
        );
        let path = self.folder.join("enclave.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What `clover init` starts with when people and their records are to lie here.
    pub(crate) fn vault_configuration(&self) -> PathBuf {
        self.configured("[ledger]", "[vault]\nstore = \"postgres\"\n\n[ledger]", "vault.postgres")
    }

    pub(crate) fn sql(&self, statement: &str) -> Vec<String> {
        self.server.sql(statement).unwrap()
    }
}

async fn stage() -> (Stage, Database) {
    let folder = TempDir::with_prefix("clover-it-").unwrap();
    let database = Database::start(folder.path());
    let (enclave, config) = (folder.path().join("enclave"), database.configuration().display().to_string());
    World::prepare_with(&enclave, PEOPLE, SEED, &["--config", &config], |_| {}).unwrap();
    let world = World::open(&enclave, PEOPLE, SEED, |_| {}).await.unwrap();
    story::approvals(&world).await.unwrap();
    (Stage::of(world, folder), database)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enclave_with_its_logs_in_a_database_serves_over_tls_and_is_killed_and_starts_again() {
    let (mut stage, database) = stage().await;
    let ana = stage.ana();
    let query = stage.email_of(0);
    let mut receipts = Vec::new();
    for _ in 0..3 {
        for _ in 0..4 {
            let answer = ana.post("/v1/read", &SUPPORT, &query).await.unwrap();
            assert!(stage.is_email(&answer, 0), "{}", answer.text());
            receipts.push(usize::try_from(answer.receipt().unwrap()).unwrap());
        }
        let encrypted = "select distinct ssl from pg_stat_ssl join pg_stat_activity using (pid) \
             where application_name = 'clover'";
        assert_eq!(database.sql(encrypted), ["t"]);
        stage.world.kill().unwrap();
        stage.world.start().unwrap();
    }
    stage.world.published().unwrap();
    stage.world.stop().unwrap();
    assert_eq!(database.sql("select count(*) from clover_log where size > 0"), ["3"], "all logs of the site");
    let layout = stage.world.layout.clone();
    assert!(
        !layout
            .root()
            .join("wal")
            .read_dir()
            .unwrap()
            .any(|f| { f.unwrap().file_name().to_string_lossy().ends_with(".seg") })
    );
    for log in ["gateway", "keys", "site"] {
        clover(&layout, &["ledger", "rebuild", "--log", log]).unwrap();
    }
    clover(&layout, &["rulebook", "activate"]).unwrap();
    clover(&layout, &["config", "check"]).unwrap();
    stage.world.start().unwrap();
    assert!(stage.is_email(&ana.post("/v1/read", &SUPPORT, &query).await.unwrap(), 0));
    stage.must_audit_clean();
    let all = entries(&stage.world.ledger());
    assert!(
        receipts.iter().all(|index| all[*index].kind == EntryKind::Answer),
        "every receipt has its entry"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_closes_the_border_and_opens_it_when_it_is_back() {
    let (mut stage, mut database) = stage().await;
    let ana = stage.ana();
    let query = stage.email_of(0);
    assert!(stage.is_email(&ana.post("/v1/read", &SUPPORT, &query).await.unwrap(), 0));
    let (before, pid) = (stage.size(), stage.world.pid());
    database.server.kill();
    let refused = ana.post("/v1/read", &SUPPORT, &query).await.unwrap();
    assert!(!stage.is_email(&refused, 0) && refused.receipt().is_none(), "{}", refused.text());
    let border = |stage: &Stage| stage.world.status().map(|s| s["border"].as_str().unwrap_or("").to_owned());
    until("the border is closed", || border(&stage).is_ok_and(|b| b == "closed")).await;
    assert!(!stage.is_email(&ana.post("/v1/read", &SUPPORT, &query).await.unwrap(), 0));
    database.server.crash().unwrap();
    // A batch that was done and not answered ends the process, for its halves must be put in order; any other is
    // simply not there.
    until("the border opens, or the process ended", || border(&stage).map_or(true, |b| b == "open")).await;
    if border(&stage).is_err() {
        stage.world.kill().unwrap();
        stage.world.start().unwrap();
    }
    assert!(stage.is_email(&ana.post("/v1/read", &SUPPORT, &query).await.unwrap(), 0));
    assert!(stage.world.pid() != pid || stage.size() > before + 1, "it says that the border was closed");
    stage.world.published().unwrap();
    stage.world.stop().unwrap();
    stage.world.start().unwrap();
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_with_one_log_in_a_database_the_first_ends() {
    let (mut stage, _database) = stage().await;
    // The lock of a folder is not copied with it. A copy of a folder in use may be torn, which is refused: then once more.
    let taken = (0..20).any(|n| {
        let other = stage.beside(&format!("copy-{n}"));
        copy(stage.world.layout.root(), &other);
        clover(&Layout::new(&other), &["rulebook", "activate"]).is_ok()
    });
    assert!(taken, "no copy could be activated");
    until("the first process ends", || stage.world.status().is_err()).await;
    let log = std::fs::read_to_string(stage.world.layout.root().join("serve.log")).unwrap();
    assert!(log.contains("another process has taken the log"), "{log}");
    stage.world.kill().unwrap();
}

#[test]
fn another_database_another_key_and_a_server_that_is_not_trusted_are_refused_and_told() {
    let folder = TempDir::with_prefix("clover-it-").unwrap();
    let database = Database::start(folder.path());
    let layout = Layout::new(&folder.path().join("enclave"));
    let config = database.configuration();
    let init = |at: &Layout| clover_raw(at, &["init", "--config", &config.display().to_string()]).unwrap();
    let made = init(&layout);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // Another programme of the same name would have the same logs.
    let again = init(&Layout::new(&folder.path().join("again")));
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && said.contains("a ledger is here already"), "{said}");
    database.sql("create database other");
    let good = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, good.replace("dbname=clover", "dbname=other")).unwrap();
    let other = Layout::new(&folder.path().join("other"));
    assert!(init(&other).status.success());

    let change = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        std::fs::write(layout.config(), good.replace(from, to)).unwrap();
    };
    let ca = format!("ca_file = \"{}\"\n", database.folder.join("ca.pem").display());
    for (what, from, to, why) in [
        ("an empty database", "dbname=clover", "dbname=postgres", "the database has no log"),
        ("another enclave's", "dbname=clover", "dbname=other", "signed by another key"),
        ("another authority", "/ca.pem", "/other-ca.pem", "UnknownIssuer"),
        ("another name", "host=db.example", "host=db2.example", "not valid for name"),
        ("another password", "/password", "/other-password", "password authentication failed"),
        ("in the clear", ca.as_str(), "", "no encryption"),
        ("a password for all", "user=clover", "user=clover password=x", "a password stands"),
        ("files of this machine", "\"postgres\"", "\"segments\"", "the journal is not there"),
    ] {
        change(from, to);
        let (code, said) = serve_in_vain(&layout);
        assert!(code != Some(0) && said.contains(why), "{what}: {code:?} {said}");
        assert!(!said.contains("not in the configuration"), "{what}: the password is told");
    }
    // What was taken by nobody goes on.
    change("dublin-1", "dublin-1");
    clover(&layout, &["rulebook", "activate"]).unwrap();
}
