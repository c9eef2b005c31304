//! Against real servers, and a real impostor.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use testkit::postgres::Postgres;

use super::*;

/// A server with a declared replica, and the file that declares it.
struct Site {
    server: Postgres,
    dir: TempDir,
}

/// A program that ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn block<T>(doing: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(doing)
}

impl Site {
    fn new() -> Self {
        let server = Postgres::start().unwrap();
        let sql = "create role replicator_hamar login replication; select pg_create_physical_replication_slot('hamar')";
        server.sql(sql).unwrap();
        Self { server, dir: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("residency.toml")
    }

    /// Declares what is there now, and the replica besides.
    fn declare(&self) {
        let bare = format!(
            "poll_ms = 200\ndatabases_every = 2\n[[node]]\nname = \"dublin-1\"\naddress = \"{}\"\n",
            self.server.address()
        );
        std::fs::write(self.file(), bare).unwrap();
        let (mut found, blind) =
            block(declare(&self.file(), &Declared::load(&self.file()).unwrap())).unwrap();
        assert_eq!(blind, vec![]);
        let node = &mut found.nodes[0];
        // Whether its replica is there at this moment is no matter here.
        node.facts.insert("inactive-slot".to_owned(), vec!["hamar".to_owned()]);
        node.replicas = vec![replicas::Replica {
            name: "hamar".to_owned(),
            role: "replicator_hamar".to_owned(),
            address: "local".to_owned(),
            certificate: None,
            slot: Some("hamar".to_owned()),
            purpose: replicas::Purpose::Stream,
            reason: "the site at Hamar".to_owned(),
        }];
        std::fs::write(self.file(), toml::to_string(&found).unwrap()).unwrap();
    }

    /// Watches until the findings of a round are as wanted.
    fn until(&self, wanted: impl Fn(&BTreeSet<Finding>) -> bool) -> BTreeSet<Finding> {
        let (mut last, declared) = (BTreeSet::new(), Declared::load(&self.file()).unwrap());
        block(watch(&self.file(), &declared, |round| {
            if !round.is_whole || !wanted(&round.findings) {
                return ControlFlow::Continue(());
            }
            last = round.findings;
            ControlFlow::Break(())
        }))
        .unwrap();
        last
    }

    fn receive(&self, role: &str, name: &str, slot: Option<&str>) -> Running {
        let folder = self.dir.path().join(format!("{role}-{name}-{}", slot.unwrap_or("none")));
        std::fs::create_dir_all(&folder).unwrap();
        let address = self.server.address().replace("user=clover", &format!("user={role}"));
        let address = address.replace("dbname=clover", &format!("application_name={name}"));
        let slot: Vec<String> = slot.map(|s| format!("--slot={s}")).into_iter().collect();
        let program = program("pg_receivewal");
        let child = Command::new(program)
            .args(["-n", "-d", &address, "-D"])
            .arg(&folder)
            .args(slot)
            .stderr(Stdio::null())
            .spawn();
        Running(child.unwrap())
    }
}

fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|v| v.path().join("bin").join(name)).filter(|p| p.exists()).collect();
    found.sort();
    found.pop().unwrap_or_else(|| Path::new(name).to_owned())
}

fn kinds(findings: &BTreeSet<Finding>) -> Vec<(&str, Why)> {
    findings.iter().map(|f| (f.fact.kind.as_str(), f.why)).collect()
}

#[test]
fn an_impostor_under_a_declared_name_is_a_finding_beside_the_real_replica() {
    let site = Site::new();
    site.declare();
    let connected = |n: &str| {
        while site.server.sql("select count(*) from pg_stat_replication where state = 'streaming'").unwrap()
            != [n]
        {
            std::thread::yield_now();
        }
    };
    let _real = site.receive("replicator_hamar", "hamar", Some("hamar"));
    connected("1");
    assert_eq!(site.until(|_| true), BTreeSet::new());
    // With the very role and name, and no slot.
    let impostor = site.receive("replicator_hamar", "hamar", None);
    let found = site.until(|f| !f.is_empty());
    assert_eq!(kinds(&found), [("replication", Why::Impostor)]);
    drop(impostor);
    assert_eq!(site.until(BTreeSet::is_empty), BTreeSet::new());
    let _other = site.receive("clover", "hamar", None);
    let _stranger = site.receive("clover", "walreceiver", None);
    let found = site.until(|f| f.len() == 2);
    assert_eq!(kinds(&found), [("replication", Why::Impostor), ("replication", Why::Undeclared)]);
}

#[test]
fn a_base_backup_and_its_streams_are_findings() {
    let site = Site::new();
    site.declare();
    // Slow enough to be seen: its rate is the least that there is.
    let out = site.dir.path().join("copy");
    let child = Command::new(program("pg_basebackup"))
        .args([
            "-d",
            &site.server.address().replace(" dbname=clover", ""),
            "-r",
            "32k",
            "-c",
            "fast",
            "-X",
            "stream",
            "-D",
        ])
        .arg(out)
        .stderr(Stdio::null())
        .spawn();
    let _backup = Running(child.unwrap());
    let found = site.until(|f| f.iter().any(|f| f.fact.text.starts_with("backup to")));
    assert!(found.iter().any(|f| f.fact.kind == "base-backup"), "{found:?}");
}

#[test]
fn every_way_out_that_a_catalog_shows_is_a_finding() {
    let site = Site::new();
    site.declare();
    assert_eq!(site.until(|_| true), BTreeSet::new());
    site.server.sql("create database other").unwrap();
    for sql in [
        "create publication leak for all tables",
        "create subscription leak connection 'host=203.0.113.9 dbname=x' publication leak with (connect = false, slot_name = none, enabled = false)",
        "create foreign data wrapper w; create server far foreign data wrapper w options (host '203.0.113.9'); \
         create user mapping for public server far; create foreign table ft (a int) server far",
        "create function hook() returns event_trigger language plpgsql as 'begin end'; create event trigger ddl on ddl_command_end execute function hook()",
        "create role eve superuser; create role mallory login; grant pg_execute_server_program to mallory; \
         create role walter replication bypassrls; alter role mallory set session_preload_libraries = 'leak'",
        "create function evil(int) returns int language c as '$libdir/plpgsql', 'plpgsql_call_handler'",
        "select pg_create_physical_replication_slot('shanghai')",
    ] {
        site.server.sql_in("other", sql).unwrap();
    }
    site.server.sql("alter system set archive_command = 'scp %p far:'").unwrap();
    site.server.sql("alter system set log_directory = '/mnt/far'").unwrap();
    site.server.sql("select pg_reload_conf()").unwrap();
    let wanted = [
        "database",
        "event-trigger",
        "foreign-server",
        "foreign-table",
        "inactive-slot",
        "library",
        "publication",
        "role",
        "role-setting",
        "setting",
        "slot",
        "subscription",
        "user-mapping",
    ];
    let found = site.until(|found| wanted.iter().all(|kind| found.iter().any(|f| f.fact.kind == *kind)));
    let texts: Vec<&str> = found.iter().map(|f| f.fact.text.as_str()).collect();
    for text in [
        "other/leak all tables",
        "shanghai physical",
        "eve: superuser",
        "walter: replication, bypassrls",
        "mallory: pg_execute_server_program",
        "other/far w host=203.0.113.9",
        "log_directory=/mnt/far",
    ] {
        assert!(texts.contains(&text), "{text}: {texts:#?}");
    }
    // What was declared of it is missed. A command shows only in the files' digest as long as nothing is archived.
    assert!(found.iter().any(|f| f.why == Why::Missing && f.fact.text.starts_with("log_directory=")));
    assert!(found.iter().any(|f| f.fact.kind == "file-settings"));
    assert!(!texts.iter().any(|t| t.contains("scp")), "{texts:#?}");
}

#[test]
fn a_changed_rule_of_who_may_connect_is_a_finding() {
    let site = Site::new();
    site.declare();
    let rules = site.server.sql("show hba_file").unwrap().remove(0);
    let text = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, format!("host replication all 203.0.113.9/32 trust\n{text}")).unwrap();
    let found = site.until(|f| f.len() == 2);
    assert_eq!(kinds(&found), [("hba", Why::Missing), ("hba", Why::Undeclared)]);
}

#[test]
fn a_monitor_that_may_see_little_says_so_and_is_never_green() {
    let site = Site::new();
    site.declare();
    site.server.sql("create role watcher login").unwrap();
    let text = std::fs::read_to_string(site.file()).unwrap();
    std::fs::write(site.file(), text.replace("user=clover", "user=watcher")).unwrap();
    let found = site.until(|_| true);
    for kind in ["replication", "hba", "subscription", "setting"] {
        assert!(found.iter().any(|f| f.fact.kind == kind && f.why == Why::Blind), "{kind}: {found:#?}");
    }
}

#[test]
fn a_monitor_with_the_grants_that_are_documented_sees_everything() {
    let site = Site::new();
    site.server.sql("create role watcher login in role pg_monitor; \
        grant execute on function pg_hba_file_rules(), pg_ident_file_mappings(), pg_show_all_file_settings() to watcher; \
        grant select on pg_hba_file_rules, pg_ident_file_mappings, pg_file_settings to watcher").unwrap();
    for database in ["clover", "postgres", "template1"] {
        site.server.sql_in(database, "grant select on pg_subscription to watcher").unwrap();
    }
    site.declare();
    let text = std::fs::read_to_string(site.file()).unwrap();
    std::fs::write(site.file(), text.replace("user=clover", "user=watcher")).unwrap();
    assert_eq!(site.until(|_| true), BTreeSet::new());
}

#[test]
fn a_server_that_is_gone_is_a_finding_and_no_calm() {
    let mut site = Site::new();
    site.declare();
    site.server.kill();
    assert!(site.until(|_| true).iter().any(|f| f.fact.kind == "server" && f.why == Why::Blind));
}

#[test]
fn a_file_without_meaning_is_refused_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("residency.toml");
    let node = "[[node]]\nname = \"a\"\naddress = \"host=/tmp\"\n";
    let loaded = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Declared::load(&file).map(drop)
    };
    assert!(loaded(node).is_ok());
    for wrong in [
        "",
        "poll_ms = 2001\n",
        "polls = 1\n",
        "due_hours = 0\n",
        "[[node]]\nname = \"a\"\naddress = \"host=/tmp\"\n",
        "[[node]]\nname = \"b\"\naddress = \"host=/tmp\"\n[[node.replica]]\nname = \"x\"\nrole = \"x\"\naddress = \"near\"\npurpose = \"stream\"\nreason = \"r\"\n",
        "[[node]]\nname = \"b\"\naddress = \"host=/tmp\"\n[[node.replica]]\nname = \"x\"\nrole = \"x\"\naddress = \"local\"\npurpose = \"stream\"\nreason = \" \"\n",
    ] {
        let text = if wrong.is_empty() { String::new() } else { format!("{wrong}{node}") };
        assert!(matches!(loaded(&text), Err(crate::ResidencyError::Declared { .. })), "{text}");
    }
    let mut password: Declared = toml::from_str(node).unwrap();
    password.nodes[0].address = "host=/tmp password=x".to_owned();
    assert!(block(watch(&file, &password, |_| ControlFlow::Break(()))).is_err());
}
