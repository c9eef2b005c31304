//! The control store in PostgreSQL, on a real server: the claims of every store, and those of this one.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use data_encoding::HEXLOWER;
use model::Ground;
use testkit::Postgres;
use vault::control::store::{Becomes, ControlKeys, PostgresStore, Store, Table};
use vault::control::{ChangeError, StoreError};
use vault::log::{Database, PostgresError, Timeouts};

use super::control::{Dump, Place, World, all_after, conformance, keys, put};
use super::control_claims::{NOW, Office, claims, lease_runs_out};
use super::journal_postgres::forgetful_socket;
use super::wait;

/// One server; each place is a database of its own.
struct Server {
    server: Mutex<Postgres>,
    places: AtomicUsize,
}

impl Server {
    fn start() -> Self {
        Self { server: Mutex::new(Postgres::start().unwrap()), places: AtomicUsize::new(0) }
    }

    fn database(&self) -> Base<'_> {
        let name = format!("control{}", self.places.fetch_add(1, Ordering::SeqCst));
        self.server.lock().unwrap().sql(&format!("create database {name}")).unwrap();
        Base { server: self, name }
    }
}

fn reach(address: String, timeouts: Timeouts) -> Database {
    Database { address, timeouts, ..Database::default() }
}

/// A database, in which a store may be made.
struct Base<'a> {
    server: &'a Server,
    name: String,
}

impl Base<'_> {
    fn address(&self) -> String {
        let address = self.server.server.lock().unwrap().address();
        address.replace("dbname=clover", &format!("dbname={}", self.name))
    }

    fn sql(&self, statements: &str) -> Vec<String> {
        self.server.server.lock().unwrap().sql_in(&self.name, statements).unwrap()
    }

    fn try_open(&self, keys: ControlKeys, timeouts: Timeouts) -> Result<PostgresStore, StoreError> {
        PostgresStore::open(&reach(self.address(), timeouts), keys)
    }

    fn create(&self) -> Result<(), StoreError> {
        PostgresStore::create(&reach(self.address(), Timeouts::default()), &keys())
    }

    fn migrate(&self) -> Result<u32, StoreError> {
        PostgresStore::migrate(&reach(self.address(), Timeouts::default()))
    }

    fn made(self) -> Self {
        self.migrate().unwrap();
        self.create().unwrap();
        self
    }
}

impl World for Server {
    fn place(&self) -> Box<dyn Place + '_> {
        Box::new(self.database().made())
    }
}

impl Place for Base<'_> {
    fn open_with(&self, keys: ControlKeys) -> Result<Arc<dyn Store>, StoreError> {
        Ok(Arc::new(self.try_open(keys, Timeouts::default())?))
    }

    fn pair(&self) -> [Arc<dyn Store>; 2] {
        [self.open(), self.open()]
    }

    fn crash(&self) {
        self.server.server.lock().unwrap().crash().unwrap();
    }

    fn dump(&self) -> Dump {
        let bytes = |hex: &str| HEXLOWER.decode(hex.as_bytes()).unwrap();
        let head = self.sql("select encode(sealed, 'hex') from clover_control_head").concat();
        let rows = self.sql(
            "select encode(name, 'hex'), version, sequence, encode(sealed, 'hex') from clover_control_row order by name",
        );
        let row = |line: &String| {
            let cells: Vec<&str> = line.split('|').collect();
            (bytes(cells[0]), cells[1].parse().unwrap(), cells[2].parse().unwrap(), bytes(cells[3]))
        };
        Dump { head: bytes(&head), rows: rows.iter().map(row).collect() }
    }

    fn load(&self, dump: &Dump) {
        let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
        let mut sql = format!(
            "truncate clover_control_row; update clover_control_head set sealed = '\\x{}';",
            hex(&dump.head)
        );
        for (name, version, sequence, sealed) in &dump.rows {
            let (name, sealed) = (hex(name), hex(sealed));
            write!(
                sql,
                "insert into clover_control_row values ('\\x{name}', {version}, {sequence}, '\\x{sealed}');"
            )
            .unwrap();
        }
        self.sql(&sql);
    }
}

#[test]
fn postgresql_keeps_what_a_control_store_promises() {
    conformance(&Server::start());
}

#[test]
fn requests_budgets_and_leases_hold_over_postgresql() {
    claims(&Server::start());
}

#[test]
fn no_store_in_postgresql_is_made_as_a_side_effect_and_versions_are_compared() {
    let server = Server::start();
    let base = server.database();
    let open = || base.try_open(keys(), Timeouts::default());
    assert!(matches!(open().err(), Some(StoreError::Missing)));
    assert!(matches!(base.create(), Err(StoreError::Missing)), "no tables");
    assert_eq!(base.migrate().unwrap(), 1);
    assert!(matches!(open().err(), Some(StoreError::Missing)), "no head");
    base.create().unwrap();
    assert!(matches!(base.create(), Err(StoreError::Exists)));
    put(&open().unwrap(), Table::Requests, "r", b"x");
    assert_eq!(base.migrate().unwrap(), 1, "again it does nothing");
    assert_eq!(open().unwrap().get(Table::Requests, "r").unwrap().unwrap().bytes, b"x");
    base.sql("insert into clover_control_version values (2)");
    let newer = |e| matches!(e, Some(StoreError::Schema { found: 2, needed: 1 }));
    assert!(newer(open().err()) && newer(base.migrate().err()));
    base.sql("delete from clover_control_version where version = 2");
    base.sql("alter table clover_control_row set unlogged");
    assert!(matches!(open().err(), Some(StoreError::Database(PostgresError::Careless { .. }))));
}

#[test]
fn a_running_process_notices_what_is_done_to_the_database_behind_its_back() {
    let server = Server::start();
    let place = server.database().made();
    let store = place.open();
    put(store.as_ref(), Table::Budgets, "a", b"1");
    let old = place.dump();
    put(store.as_ref(), Table::Budgets, "a", b"2");
    put(store.as_ref(), Table::Budgets, "b", b"1");
    let now = place.dump();
    let (after, back) = (all_after(store.as_ref(), 0, 10).len(), |e| matches!(e, Some(StoreError::WentBack)));
    assert_eq!(after, 2);
    let change = |key| store.change(Table::Budgets, key, &mut |_| Ok(Some(b"3".to_vec()))).err();
    // Everything as it once was, whole and consistent: a process that saw more does not take it.
    place.load(&old);
    assert!(back(store.get(Table::Budgets, "a").err()) && back(store.get(Table::Budgets, "b").err()));
    assert!(back(store.changes(0, 10).err()) && back(store.changes(3, 10).err()));
    assert!(back(change("a")) && back(change("b")) && back(change("new")));
    assert_eq!(place.sql("select count(*) from clover_control_row"), ["1"], "nothing was changed");
    // A row kept back, with the newest head.
    place.load(&Dump { head: now.head.clone(), rows: old.rows.clone() });
    assert!(back(store.get(Table::Budgets, "a").err()));
    place.load(&now);
    assert_eq!(store.get(Table::Budgets, "a").unwrap().unwrap().bytes, b"2");
    // What was removed is put back.
    let other = place.open();
    other.change_all(&[(Table::Budgets, "b")], &mut |_| Ok(vec![Becomes::Gone])).unwrap();
    assert_eq!(store.get(Table::Budgets, "b").unwrap(), None);
    let removed = place.dump();
    let again = now.rows.iter().find(|row| row.1 == 1).unwrap();
    place.load(&Dump {
        head: removed.head.clone(),
        rows: [&removed.rows[..], std::slice::from_ref(again)].concat(),
    });
    assert!(back(store.get(Table::Budgets, "b").err()) && back(change("b")));
    place.load(&removed);
    assert_eq!(store.get(Table::Budgets, "b").unwrap(), None);
    // What another process writes is kept back from this one.
    put(other.as_ref(), Table::Budgets, "c", b"1");
    place.sql("create table kept as select * from clover_control_row; delete from clover_control_row where sequence = 5");
    assert!(back(store.changes(4, 10).err()));
    assert!(back(store.changes(4, 10).err()), "and it stays so");
}

#[test]
fn a_database_that_is_lost_in_the_middle_of_a_change_changes_nothing_and_comes_back() {
    let server = Server::start();
    let place = server.database().made();
    let store = place.open();
    put(store.as_ref(), Table::Requests, "r", b"before");
    let mut called = 0;
    let lost = store.change(Table::Requests, "r", &mut |_| {
        called += 1;
        server.server.lock().unwrap().kill();
        Ok(Some(b"after".to_vec()))
    });
    assert!(matches!(lost, Err(StoreError::Database(_))), "{lost:?}");
    assert_eq!(called, 1);
    assert!(matches!(store.get(Table::Requests, "r"), Err(StoreError::Database(_))));
    place.crash();
    assert_eq!(store.get(Table::Requests, "r").unwrap().unwrap().bytes, b"before");
    assert_eq!(put(store.as_ref(), Table::Requests, "r", b"after").version, 2);
    // Idle connections that died are replaced without anybody noticing.
    place.crash();
    assert_eq!(put(store.as_ref(), Table::Requests, "r", b"later").version, 3);
}

#[test]
fn a_commit_whose_answer_is_lost_is_told_as_unknown_and_is_there_as_a_whole() {
    let server = Server::start();
    let place = server.database().made();
    let (folder, cut) = {
        let server = server.server.lock().unwrap();
        forgetful_socket(server.socket(), |answer| answer.windows(7).any(|w| w == b"COMMIT\0"))
    };
    let address = server.server.lock().unwrap().address_by(folder.path());
    let address = address.replace("dbname=clover", &format!("dbname={}", place.name));
    let store = PostgresStore::open(&reach(address, Timeouts::default()), keys()).unwrap();
    put(&store, Table::Requests, "r", b"before");
    cut.store(true, Ordering::SeqCst);
    let lost = store.change(Table::Requests, "r", &mut |_| Ok(Some(b"after".to_vec())));
    assert!(matches!(lost, Err(StoreError::Unknown(_))), "{lost:?}");
    cut.store(false, Ordering::SeqCst);
    wait("the end of the transaction", || {
        place.sql("select count(*) from pg_stat_activity where state = 'idle in transaction'") == ["0"]
    });
    let row = store.get(Table::Requests, "r").unwrap().unwrap();
    assert_eq!((row.version, row.bytes.as_slice()), (2, &b"after"[..]));
    assert_eq!(all_after(&store, 0, 10).len(), 1);
}

#[test]
fn a_change_that_no_other_site_confirmed_is_never_told_as_done() {
    let server = Server::start();
    let place = server.database().made();
    let demanding = |quorum| {
        let database = Database { quorum, ..reach(place.address(), Timeouts::default()) };
        PostgresStore::open(&database, keys())
    };
    let careless = |e| matches!(e, Some(StoreError::Database(PostgresError::Careless { .. })));
    let ask = |names: &str| {
        place.sql(&format!("alter system set synchronous_standby_names = '{names}'"));
        place.sql("select pg_reload_conf()");
        wait("the setting", || place.sql("show synchronous_standby_names") == [names]);
    };
    assert!(careless(demanding(1).err()), "nobody is asked");
    let hamar = server.server.lock().unwrap().confirm_as("hamar").unwrap();
    ask("ANY 1 (hamar)");
    assert!(careless(demanding(2).err()), "one is asked");
    let store = demanding(1).unwrap();
    put(&store, Table::Requests, "r", b"with hamar");
    let change = |bytes: &[u8]| store.change(Table::Requests, "r", &mut |_| Ok(Some(bytes.to_vec())));
    drop(hamar);
    std::thread::scope(|s| {
        let waiting = s.spawn(|| change(b"here alone"));
        // Somebody cancels the wait: the server has it, warns, and confirms.
        let cancel = "set synchronous_commit = local; \
             select count(pg_cancel_backend(pid)) from pg_stat_activity where wait_event = 'SyncRep'";
        wait("the cancellation", || {
            let _ = place.sql(cancel);
            waiting.is_finished()
        });
        assert!(matches!(waiting.join().unwrap(), Err(StoreError::Unknown(_))));
    });
    let _hamar = server.server.lock().unwrap().confirm_as("hamar").unwrap();
    put(&store, Table::Requests, "r", b"with hamar again");
    // A server that stopped asking is noticed before anything is changed.
    ask("");
    assert!(careless(change(b"unasked").err()));
    ask("ANY 1 (hamar)");
    assert_eq!(store.get(Table::Requests, "r").unwrap().unwrap().bytes, b"with hamar again");
}

#[test]
fn a_row_that_somebody_keeps_locked_is_waited_for_only_so_long() {
    let server = Server::start();
    let place = server.database().made();
    let timeouts = Timeouts { statement: Duration::from_millis(300), ..Timeouts::default() };
    let hasty = place.try_open(keys(), timeouts).unwrap();
    let store = place.open();
    put(store.as_ref(), Table::Requests, "r", b"before");
    let (locked, done) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|s| {
        s.spawn(|| {
            store
                .change(Table::Requests, "r", &mut |_| {
                    locked.wait();
                    done.wait();
                    Ok(Some(b"slow".to_vec()))
                })
                .unwrap();
        });
        locked.wait();
        let refused = hasty.change(Table::Requests, "r", &mut |_| Ok(Some(b"hasty".to_vec())));
        assert!(matches!(refused, Err(StoreError::Database(_))), "{refused:?}");
        // Other rows go on meanwhile, and everybody reads.
        put(&hasty, Table::Requests, "other", b"x");
        assert_eq!(hasty.get(Table::Requests, "r").unwrap().unwrap().bytes, b"before");
        done.wait();
    });
    assert_eq!(hasty.get(Table::Requests, "r").unwrap().unwrap().bytes, b"slow");
    let err = hasty.change(Table::Requests, "r", &mut |_| Err(ChangeError::Over("request")));
    assert!(matches!(err, Err(StoreError::Change(_))));
}

#[test]
fn connections_are_few_and_a_thread_without_one_waits_only_so_long() {
    let server = Server::start();
    let place = server.database().made();
    let timeouts = Timeouts { statement: Duration::from_millis(500), ..Timeouts::default() };
    let store = place.try_open(keys(), timeouts).unwrap();
    let (all, done) = (Barrier::new(5), Barrier::new(5));
    std::thread::scope(|s| {
        for n in 0..4 {
            let (store, all, done) = (&store, &all, &done);
            s.spawn(move || {
                let _ = store.change(Table::Requests, &format!("r{n}"), &mut |_| {
                    all.wait();
                    done.wait();
                    Ok(None)
                });
            });
        }
        all.wait();
        assert!(matches!(store.get(Table::Requests, "r"), Err(StoreError::Busy(_))));
        done.wait();
    });
    assert_eq!(store.get(Table::Requests, "r").unwrap(), None);
}

#[test]
fn with_the_database_gone_evidence_is_given_for_ten_seconds_and_no_longer() {
    let server = Server::start();
    let place = server.database().made();
    let office = Office::new(place.open());
    office.granted("c", Ground::Case);
    office.control.refresh(NOW).unwrap();
    server.server.lock().unwrap().kill();
    lease_runs_out(&office);
    place.crash();
    office.control.refresh(NOW).unwrap();
    assert!(office.control.case(&super::control_claims::name("c"), NOW).is_ok());
}
