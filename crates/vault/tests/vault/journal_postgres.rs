//! The journal in PostgreSQL, on a real server: the claims of every journal, and those of this one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ledger::StorageError;
use ledger::wal::{self, Logged};
use testkit::{Crash, MemoryDisk, MemoryIndex};
use vault::log::{BorderClosed, Database, Journal, LogError, Postgres, PostgresError, Timeouts};
use vault::{Border, Log};

use super::journal::{Place, World, conformance, ended_early, frame, open_from, restored, submit, whole_log};
use super::{ORIGIN, check, hooks, identity, options, published, sample, wait};

const KEY: &str = "key of the log";

fn database(address: &str) -> Database {
    Database { address: address.to_owned(), ..Database::default() }
}

fn journal(address: &str, origin: &str) -> Postgres {
    Postgres::new(&database(address), origin, KEY).unwrap()
}

/// One server; each place is a log of its own.
struct Server {
    server: Mutex<testkit::Postgres>,
    places: AtomicUsize,
}

impl Server {
    fn start() -> Self {
        Self { server: Mutex::new(testkit::Postgres::start().unwrap()), places: AtomicUsize::new(0) }
    }

    fn address(&self) -> String {
        self.server.lock().unwrap().address()
    }

    fn sql(&self, statements: &str) -> Vec<String> {
        self.server.lock().unwrap().sql(statements).unwrap()
    }

    /// Changes a setting of the running server.
    fn set(&self, setting: &str, value: &str) {
        self.sql(&format!("alter system set {setting} = '{value}'"));
        self.sql("select pg_reload_conf()");
        wait("the setting", || self.sql(&format!("show {setting}")) == [value]);
    }
}

struct Row<'a> {
    server: &'a Server,
    origin: String,
}

impl World for Server {
    fn place(&self) -> Box<dyn Place + '_> {
        let origin = format!("log {}", self.places.fetch_add(1, Ordering::SeqCst));
        let place = Row { server: self, origin };
        place.journal().create().unwrap();
        Box::new(place)
    }
}

impl Place for Row<'_> {
    fn journal(&self) -> Box<dyn Journal> {
        Box::new(journal(&self.server.address(), &self.origin))
    }

    fn second(&self) -> Option<Box<dyn Journal>> {
        Some(self.journal())
    }

    fn forgetful(&self) -> (Box<dyn Journal>, Box<dyn FnOnce()>) {
        let server = self.server.server.lock().unwrap();
        let (folder, cut) = forgetful_socket(server.socket(), |_| true);
        let journal = journal(&server.address_by(folder.path()), &self.origin);
        let lose = move || {
            cut.store(true, Ordering::SeqCst);
            drop(folder);
        };
        (Box::new(journal), Box::new(lose))
    }

    fn crash(&self) {
        self.server.server.lock().unwrap().crash().unwrap();
    }
}

/// A socket that leads to the server's, and what makes it break off in place of the next such answer.
pub(crate) fn forgetful_socket(
    server: PathBuf,
    answer: fn(&[u8]) -> bool,
) -> (tempfile::TempDir, Arc<AtomicBool>) {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let listener = UnixListener::bind(folder.path().join(server.file_name().unwrap())).unwrap();
    let cut = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&cut);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(behind) = UnixStream::connect(&server) else { continue };
            let (asks, reaches) = (client.try_clone().unwrap(), behind.try_clone().unwrap());
            std::thread::spawn(move || pump(asks, reaches, |_| false));
            let told = Arc::clone(&told);
            let cut = move |bytes: &[u8]| told.load(Ordering::SeqCst) && answer(bytes);
            std::thread::spawn(move || pump(behind, client, cut));
        }
    });
    (folder, cut)
}

fn pump(mut from: UnixStream, mut to: UnixStream, cut: impl Fn(&[u8]) -> bool) {
    let mut bytes = [0; 8192];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if cut(&bytes[..n]) || to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn postgresql_keeps_what_a_journal_promises() {
    conformance(&Server::start());
}

#[test]
fn a_whole_log_lives_on_postgresql_and_is_derived_from_it_again() {
    let server = Server::start();
    whole_log(&server, |_| None);
    assert_eq!(server.sql("select count(*) from clover_log_frame"), ["0"], "all was flushed and let go");
    let place = server.place();
    let (_, receipts) = ended_early(place.journal().as_ref(), 300);
    restored(place.journal().as_ref(), &receipts);
}

#[test]
fn a_journal_may_be_opened_and_dropped_on_a_thread_of_a_runtime() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let place = server.place();
        let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
        opened.storage.append(&frame(0..1)).unwrap();
        opened.past.let_go(1, &mut || Ok(())).unwrap();
        drop(opened);
        drop(open_from(place.journal().as_ref(), 1).unwrap());
    });
}

#[test]
fn no_journal_is_made_as_a_side_effect() {
    let server = Server::start();
    let absent = journal(&server.address(), ORIGIN);
    let refused = |what: &str| match open_from(&absent, 0).err() {
        Some(LogError::Database(PostgresError::NoLog(origin))) => assert_eq!(origin, ORIGIN, "{what}"),
        other => panic!("{what}: {other:?}"),
    };
    refused("no tables");
    drop(server.place());
    refused("no row");
    // Interrupted between the row and the folder, it is made again; once opened, it is not.
    absent.create().unwrap();
    absent.create().unwrap();
    drop(open_from(&absent, 0).unwrap());
    assert!(matches!(absent.create(), Err(LogError::Exists)));
}

#[test]
fn the_log_of_another_key_is_refused_and_its_process_goes_on() {
    let server = Server::start();
    let place = server.place();
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    opened.storage.append(&frame(0..2)).unwrap();
    let stranger = Postgres::new(&database(&server.address()), "log 0", "another key").unwrap();
    let refused = open_from(&stranger, 0).err();
    assert!(matches!(refused, Some(LogError::Database(PostgresError::OtherKey(_)))), "{refused:?}");
    assert!(matches!(stranger.create(), Err(LogError::Exists)));
    opened.storage.append(&frame(2..3)).unwrap();
}

#[test]
fn damaged_missing_and_foreign_rows_are_refused() {
    let server = Server::start();
    let place = server.place();
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    for first in 0..4 {
        opened.storage.append(&frame(first..first + 1)).unwrap();
    }
    server.sql("create table good as table clover_log_frame; create table head as table clover_log");
    for damage in [
        "delete from clover_log_frame where first = 0",
        "delete from clover_log_frame where first = 1",
        "delete from clover_log_frame where first = 3",
        "update clover_log_frame set count = 2 where first = 2",
        "update clover_log_frame set frame = frame || '\\x00' where first = 2",
        "update clover_log_frame set frame = set_byte(frame, 100, get_byte(frame, 100) # 1) where first = 2",
        "update clover_log_frame a set frame = b.frame from good b where a.first = 1 and b.first = 2",
        "update clover_log set size = 5",
        "update clover_log set size = 3",
        "update clover_log set size = -1",
    ] {
        server.sql(damage);
        assert!(matches!(open_from(place.journal().as_ref(), 0), Err(LogError::Damaged(_))), "{damage}");
        server.sql(
            "truncate clover_log_frame; insert into clover_log_frame table good; \
             update clover_log set size = head.size from head where head.origin = clover_log.origin",
        );
        assert_eq!(open_from(place.journal().as_ref(), 0).unwrap().1.len(), 4, "{damage}, undone");
    }
    // Another history under a running log: the next batch does not go there.
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    server.sql("update clover_log set size = 3; delete from clover_log_frame where first = 3");
    assert!(matches!(opened.storage.append(&frame(4..5)), Err(StorageError::Unknown(_))));
}

#[test]
fn a_connection_that_breaks_is_made_again_and_nobody_notices() {
    let server = Server::start();
    let place = server.place();
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    let break_off = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
         where application_name = 'clover'";
    for first in 0..5 {
        opened.storage.append(&frame(first..first + 1)).unwrap();
        opened.past.let_go(first, &mut || Ok(())).unwrap_or_default();
        server.sql(break_off);
    }
    opened.storage.append(&frame(5..6)).unwrap();
    // What lets go follows the fence.
    opened.past.let_go(6, &mut || Ok(())).or_else(|_| opened.past.let_go(6, &mut || Ok(()))).unwrap();
    assert_eq!(server.sql("select count(*) from clover_log_frame"), ["0"]);
}

#[test]
fn a_batch_whose_answer_was_lost_is_found_and_confirmed() {
    let mut server = testkit::Postgres::start().unwrap();
    let (folder, cut) = forgetful_socket(server.socket(), |_| true);
    let journal = journal(&server.address_by(folder.path()), ORIGIN);
    journal.create().unwrap();
    let (mut opened, _) = open_from(&journal, 0).unwrap();
    let lose = |opened: &mut vault::log::Opened, range| {
        cut.store(true, Ordering::SeqCst);
        let done = opened.storage.append(&frame(range));
        cut.store(false, Ordering::SeqCst);
        done
    };
    // While nothing answers, nothing is confirmed; the same batch is confirmed when it is found.
    assert!(matches!(lose(&mut opened, 0..2), Err(StorageError::Unsettled(_))));
    opened.storage.append(&frame(0..2)).unwrap();
    opened.storage.append(&frame(2..3)).unwrap();
    assert_eq!(server.sql("select size from clover_log").unwrap(), ["3"]);
    // The server dies under a batch that never reached it: another may take its place.
    server.kill();
    assert!(matches!(opened.storage.append(&frame(3..5)), Err(StorageError::Unsettled(_))));
    server.crash().unwrap();
    opened.storage.append(&frame(3..4)).unwrap();
    // Another batch is there than the one that is asked for: only a restart takes it in.
    assert!(matches!(lose(&mut opened, 4..6), Err(StorageError::Unsettled(_))));
    assert!(matches!(opened.storage.append(&frame(4..5)), Err(StorageError::Unknown(_))));
    assert_eq!(open_from(&journal, 0).unwrap().0.next, 6);
}

#[test]
fn a_log_that_somebody_took_while_its_server_was_away_is_not_taken_back() {
    let mut server = testkit::Postgres::start().unwrap();
    let journal = journal(&server.address(), ORIGIN);
    journal.create().unwrap();
    let (mut opened, _) = open_from(&journal, 0).unwrap();
    server.kill();
    assert!(matches!(opened.storage.append(&frame(0..1)), Err(StorageError::Unsettled(_))));
    server.crash().unwrap();
    let (mut other, _) = open_from(&journal, 0).unwrap();
    assert!(matches!(opened.storage.append(&frame(0..1)), Err(StorageError::Unknown(_))));
    other.storage.append(&frame(0..1)).unwrap();
}

/// An authority, and what it signs.
struct Authority(rcgen::Certificate, rcgen::KeyPair);

impl Authority {
    fn new() -> Self {
        let (key, mut params) = (rcgen::KeyPair::generate().unwrap(), rcgen::CertificateParams::default());
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        // Two authorities of one name would be told apart by their signatures only.
        let name = format!("authority {:?}", key.public_key_raw());
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self(params.self_signed(&key).unwrap(), key)
    }

    /// A certificate for a name and its key.
    fn issue(&self, name: &str) -> (rcgen::Certificate, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        // Not the name of its issuer, or it would count as its own authority.
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = rcgen::Issuer::from_ca_cert_der(self.0.der(), &self.1).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    }

    /// What a client trusts and shows.
    fn client(&self, shows: Option<(rcgen::Certificate, rcgen::KeyPair)>) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        Arc::new(match shows {
            Some((certificate, key)) => {
                let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        })
    }
}

#[test]
fn over_tls_only_the_right_server_with_the_right_password_is_taken() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.issue("db.example");
    let server = testkit::Postgres::start_tls(&testkit::Tls {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        clients: Some(authority.0.pem()),
        password: "right".to_owned(),
    })
    .unwrap();
    let shown = |by: &Authority| Some(by.issue("clover"));
    let try_it = |name: &str, tls: Arc<rustls::ClientConfig>, password: &str| {
        let database = Database {
            address: server.address_tls(name),
            password: Some(password.to_owned()),
            tls: Some(tls),
            ..Database::default()
        };
        let journal = Postgres::new(&database, ORIGIN, KEY).unwrap();
        journal.create().map(|()| journal).map_err(|e| {
            let mut said = e.to_string();
            let mut source = std::error::Error::source(&e);
            while let Some(e) = source {
                said.push_str(&format!(": {e}"));
                source = e.source();
            }
            said
        })
    };
    let journal = try_it("db.example", authority.client(shown(&authority)), "right").unwrap();
    let (mut opened, _) = open_from(&journal, 0).unwrap();
    opened.storage.append(&frame(0..2)).unwrap();
    let encrypted = "select distinct ssl from pg_stat_ssl join pg_stat_activity using (pid) \
         where application_name = 'clover'";
    assert_eq!(server.sql(encrypted).unwrap(), ["t"]);
    for (what, name, tls, password, why) in [
        ("another authority", "db.example", stranger.client(shown(&authority)), "right", "UnknownIssuer"),
        ("another name", "other.example", authority.client(shown(&authority)), "right", "not valid for name"),
        ("no certificate", "db.example", authority.client(None), "right", "certificate"),
        ("a stranger's certificate", "db.example", authority.client(shown(&stranger)), "right", ""),
        ("another password", "db.example", authority.client(shown(&authority)), "wrong", "password"),
    ] {
        let said = try_it(name, tls, password).err();
        assert!(said.as_ref().is_some_and(|s| s.contains(why)), "{what}: {said:?}");
    }
    assert_eq!(server.sql("select count(*) from clover_log").unwrap(), ["1"]);
}

#[test]
fn a_server_that_may_lose_what_it_confirms_is_refused() {
    let server = Server::start();
    let place = server.place();
    let careless = |setting: &str| match open_from(place.journal().as_ref(), 0).err() {
        Some(LogError::Database(PostgresError::Careless { name, .. })) => assert_eq!(name, setting),
        other => panic!("{setting}: {other:?}"),
    };
    for (setting, bad, good) in [
        ("synchronous_commit", "off", "on"),
        ("synchronous_commit", "local", "on"),
        ("synchronous_commit", "remote_write", "on"),
        ("fsync", "off", "on"),
        ("full_page_writes", "off", "on"),
    ] {
        server.set(setting, bad);
        careless(setting);
        server.set(setting, good);
    }
    server.set("synchronous_commit", "remote_apply");
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    // A running log does not follow a server that becomes careless.
    server.set("synchronous_commit", "off");
    let held = "select setting from pg_settings where name = 'synchronous_commit'";
    assert_eq!(server.sql(held), ["off"]);
    opened.storage.append(&frame(0..1)).unwrap();
    server.set("synchronous_commit", "on");
    server.sql("alter table clover_log_frame set unlogged");
    careless("clover_log_frame");
}

#[test]
fn a_full_server_refuses_a_batch_and_takes_it_later() {
    let server = Server::start();
    let place = server.place();
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    server.sql(
        "create function full_disk() returns trigger language plpgsql as $$ \
         begin raise exception 'no space' using errcode = '53100'; end $$; \
         create trigger full_disk before insert on clover_log_frame for each row execute function full_disk()",
    );
    assert!(matches!(opened.storage.append(&frame(0..2)), Err(StorageError::NotWritten(_))));
    server.sql("drop trigger full_disk on clover_log_frame");
    opened.storage.append(&frame(0..3)).unwrap();
    drop(opened);
    assert_eq!(open_from(place.journal().as_ref(), 0).unwrap().0.next, 3);
}

#[test]
fn without_its_quorum_a_batch_is_not_confirmed() {
    let server = Server::start();
    let place = server.place();
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    opened.storage.append(&frame(0..1)).unwrap();
    server.set("synchronous_standby_names", "ANY 1 (elsewhere)");
    std::thread::scope(|s| {
        // Somebody cancels the wait for the other site: the server commits here, warns, and confirms.
        let cancel = "set synchronous_commit = local; \
             select count(pg_cancel_backend(pid)) from pg_stat_activity where wait_event = 'SyncRep'";
        let waiting = s.spawn(|| opened.storage.append(&frame(1..2)));
        wait("the cancellation", || {
            let _ = server.sql(cancel);
            waiting.is_finished()
        });
        match waiting.join().unwrap() {
            Err(StorageError::Unknown(e)) => assert!(e.to_string().contains("warning"), "{e}"),
            other => panic!("{other:?}"),
        }
    });
    drop(opened);
    let timeouts = Timeouts { statement: Duration::from_millis(300), ..Timeouts::default() };
    let hasty = Database { timeouts, ..database(&server.address()) };
    let hasty = Postgres::new(&hasty, "log 0", KEY).unwrap();
    let unanswered = open_from(&hasty, 0).err();
    assert!(
        matches!(unanswered, Some(LogError::Database(PostgresError::Timeout(_)))),
        "nothing is signed before the other site has it: {unanswered:?}"
    );
    server.set("synchronous_standby_names", "");
    assert_eq!(open_from(place.journal().as_ref(), 0).unwrap().0.next, 2, "done but unanswered");
}

#[test]
fn a_server_that_asks_too_few_others_is_refused_also_later() {
    let server = Server::start();
    let place = server.place();
    let demanding = |quorum: u32| {
        let database = Database { quorum, ..database(&server.address()) };
        Postgres::new(&database, "log 0", KEY).unwrap()
    };
    let refused = |error: Option<LogError>, what: &str| match error {
        Some(LogError::Database(PostgresError::Careless { name, .. })) => {
            assert_eq!(name, "synchronous_standby_names", "{what}");
        }
        other => panic!("{what}: {other:?}"),
    };
    drop(open_from(place.journal().as_ref(), 0).unwrap());
    refused(open_from(&demanding(1), 0).err(), "nobody is asked");
    refused(demanding(1).create().err(), "nobody is asked for a new log");
    let _hamar = server.server.lock().unwrap().confirm_as("hamar").unwrap();
    server.set("synchronous_standby_names", "ANY 1 (hamar, kouvola)");
    refused(open_from(&demanding(2), 0).err(), "one is asked");
    let (mut opened, _) = open_from(&demanding(1), 0).unwrap();
    opened.storage.append(&frame(0..2)).unwrap();
    // The server confirms this one alone: it is there, and nobody is told so before others have it.
    server.set("synchronous_standby_names", "");
    assert!(matches!(opened.storage.append(&frame(2..3)), Err(StorageError::Unsettled(_))));
    server.set("synchronous_standby_names", "ANY 1 (hamar, kouvola)");
    opened.storage.append(&frame(2..3)).unwrap();
    drop(opened);
    assert_eq!(open_from(&demanding(1), 0).unwrap().0.next, 3);
}

#[test]
fn a_second_process_ends_the_first_and_loses_nothing() {
    let server = Server::start();
    let journal = journal(&server.address(), ORIGIN);
    let disk = Arc::new(MemoryDisk::default());
    Log::create_on(disk.as_ref(), &journal, &identity()).unwrap();
    let fatal = Arc::new(AtomicBool::new(false));
    let mut receipts = Vec::new();
    let open = |disk: &Arc<MemoryDisk>| {
        let hooks = hooks(Arc::new(MemoryIndex::default()), &fatal);
        Log::open_on(disk.clone(), &journal, identity(), super::unpublished(), hooks).unwrap()
    };
    let first = open(&disk);
    submit(&first, 0..25, &mut receipts);
    // The copy of a folder is not locked with it.
    let copy = Arc::new(disk.crash(Crash::Kept));
    let second = open(&copy);
    submit(&second, 25..30, &mut receipts);
    assert_eq!(first.submit_and_wait(sample(99).submission()).unwrap_err(), BorderClosed::Stopped);
    wait("the fatal hook", || fatal.load(Ordering::SeqCst));
    first.close();
    submit(&second, 30..35, &mut receipts);
    second.close();
    check(copy.as_ref(), &second, &receipts, &[]);
    assert_eq!(first.published(), 25, "it published what it had committed");
    assert_eq!(published(disk.as_ref(), 25).0, published(copy.as_ref(), 35).0[..25]);
}

#[test]
fn processes_that_take_the_log_from_each_other_never_give_a_place_twice() {
    let server = Server::start();
    let place = server.place();
    let answered = Mutex::new(BTreeMap::new());
    std::thread::scope(|s| {
        for process in 1..=4 {
            let (answered, journal) = (&answered, place.journal());
            s.spawn(move || {
                for round in 0..12 {
                    // Whoever takes it while this one reads finds another fence, and so does this one later.
                    let Ok((mut opened, _)) = open_from(journal.as_ref(), 0) else { continue };
                    for next in (opened.next..).take(1 + (round % 4) * 3) {
                        let leaf = vec![process; 300];
                        let mut frame = Vec::new();
                        let entry = Logged { leaf, detail: Vec::new(), side: None };
                        wal::encode(next, &[entry], &mut frame);
                        if opened.storage.append(&frame).is_err() {
                            break;
                        }
                        let before = answered.lock().unwrap().insert(next, process);
                        assert_eq!(before, None, "entry {next} was given to {before:?} and to {process}");
                    }
                }
            });
        }
    });
    let answered = answered.into_inner().unwrap();
    let by: BTreeSet<_> = answered.values().collect();
    assert!(by.len() > 1 && answered.len() > 10, "{} answers to {by:?}", answered.len());
    let (opened, read) = open_from(place.journal().as_ref(), 0).unwrap();
    assert_eq!(opened.next, answered.len() as u64, "nothing was done without an answer");
    for (entry, (index, process)) in read.iter().zip(&answered) {
        assert_eq!(entry.leaf[0], *process, "entry {index}");
    }
}

#[test]
fn a_server_that_crashes_while_batches_come_loses_nothing_that_was_answered() {
    let mut server = testkit::Postgres::start().unwrap();
    let journal = journal(&server.address(), ORIGIN);
    let disk = Arc::new(MemoryDisk::default());
    Log::create_on(disk.as_ref(), &journal, &identity()).unwrap();
    let mut receipts = Vec::new();
    for round in 0..3_u64 {
        let fatal = Arc::new(AtomicBool::new(false));
        let hooks = hooks(Arc::new(MemoryIndex::default()), &fatal);
        let log = Log::open_on(disk.clone(), &journal, identity(), options(), hooks).unwrap();
        let answered = Mutex::new(std::mem::take(&mut receipts));
        let enough = AtomicUsize::new(0);
        std::thread::scope(|s| {
            for thread in 0..3 {
                let (log, answered, enough) = (&log, &answered, &enough);
                s.spawn(move || {
                    for number in (round * 100_000 + thread..).step_by(3) {
                        let Ok(receipt) = log.submit_and_wait(sample(number).submission()) else { return };
                        answered.lock().unwrap().push((receipt.index(), sample(number)));
                        enough.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            let least = 7 * usize::try_from(round).unwrap() + 3;
            wait("some answers", || enough.load(Ordering::SeqCst) >= least);
            server.kill();
        });
        wait("the border is closed", || log.border() != Border::Open);
        server.crash().unwrap();
        // A batch that was lost under way is not missed; one that was done without an answer ends the process.
        wait("the log goes on or has ended", || log.border() == Border::Open || fatal.load(Ordering::SeqCst));
        log.close();
        receipts = answered.into_inner().unwrap();
    }
    receipts.sort_by_key(|(index, _)| *index);
    assert!(receipts.windows(2).all(|p| p[0].0 < p[1].0), "a place was given twice");
    let hooks = hooks(Arc::new(MemoryIndex::default()), &Arc::default());
    let log = Log::open_on(disk.clone(), &journal, identity(), options(), hooks).unwrap();
    assert!(log.size() >= receipts.len() as u64);
    log.close();
    check(disk.as_ref(), &log, &receipts, &[]);
}
