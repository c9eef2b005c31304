//! A sweep of a PostgreSQL server through SQL: every table of every database, as its owner would read it, so that what
//! is compressed or encoded in its files is seen. Nothing is written.

use std::sync::atomic::Ordering;

use super::{Placed, Progress, Report};
use crate::connect::{ConnectError, Database, Server};
use crate::scan::Scanner;
use crate::unpack::Sink;

/// All tables that hold rows of their own, those of the catalog included: values stand in statistics, comments and the
/// bodies of functions, too. What a table stores out of line is seen with it.
const TABLES: &str = "select format('%I.%I', n.nspname, c.relname), c.relkind from pg_class c \
    join pg_namespace n on n.oid = c.relnamespace \
    where c.relkind in ('r', 'm', 'f') and c.relispopulated and n.nspname !~ '^pg_toast' order by 1";

/// Sweeps every database of a server that takes connections.
///
/// What the user may not read, rows that a policy hides, and all that comes after a lost connection is in the report.
pub async fn sweep(scanner: &Scanner, server: &Server, progress: &Progress) -> Report {
    let mut report = Report::default();
    let name = server.name();
    let databases = async {
        let database = server.open(None).await?;
        database.rows("select datname, datallowconn from pg_database order by 1").await
    };
    match databases.await {
        Err(e) => report.blind(&name, e.to_string()),
        Ok(databases) => {
            for row in databases {
                let [database, open] = row.as_slice() else { continue };
                let place = format!("{name}/{database}");
                if open != "t" {
                    report.pass("databases that take no connections");
                } else if let Err(e) = tables(scanner, server, database, &place, progress, &mut report).await
                {
                    report.blind(&place, format!("it was not read to its end: {e}"));
                }
            }
        }
    }
    report
}

async fn tables(
    scanner: &Scanner,
    server: &Server,
    name: &str,
    place: &str,
    progress: &Progress,
    report: &mut Report,
) -> Result<(), ConnectError> {
    let mut database = server.open(Some(name)).await?;
    for row in database.rows(TABLES).await? {
        let [table, kind] = row.as_slice() else { continue };
        if kind == "f" {
            // Its rows are elsewhere, and reading them would send our question there.
            report.pass("foreign tables");
            continue;
        }
        let place = format!("{place} {table}");
        if let Err(e) = copied(scanner, &database, table, &place, progress, report).await {
            report.blind(&place, e.to_string());
            // An answer that did not come may come later, as that to the next question.
            if !matches!(e, ConnectError::Server(_)) || database.rows("select 1").await.is_err() {
                database = server.open(Some(name)).await?;
            }
        }
    }
    Ok(())
}

async fn copied(
    scanner: &Scanner,
    database: &Database,
    table: &str,
    place: &str,
    progress: &Progress,
    report: &mut Report,
) -> Result<(), ConnectError> {
    let mut stream = scanner.stream();
    let mut placed = Placed { report, place };
    let mut bytes = 0;
    // The form that changes least of a value: nothing but quotes is doubled.
    let statement = format!("copy (select * from only {table}) to stdout (format csv)");
    let done = database.copy(&statement, |piece| {
        bytes += piece.len() as u64;
        stream.feed(piece, &mut |hit| placed.hit("", hit));
    });
    let done = done.await;
    stream.finish(&mut |hit| placed.hit("", hit));
    placed.searched(bytes);
    report.places += 1;
    progress.places.fetch_add(1, Ordering::Relaxed);
    progress.bytes.fetch_add(bytes, Ordering::Relaxed);
    done
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use testkit::postgres::Postgres;

    use super::*;
    use crate::canary::{Canaries, Kind};

    fn scanner() -> Scanner {
        Scanner::new(Canaries::derive(&[51; 32], 9, "mail.example")).unwrap()
    }

    fn swept(address: &str) -> Report {
        let server = Server::new(address, None, None, Duration::from_secs(20)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(sweep(&scanner(), &server, &Progress::default()))
    }

    #[test]
    fn canaries_in_any_column_of_any_database_are_found_also_compressed_and_out_of_line() {
        let server = Postgres::start().unwrap();
        let value = |kind| scanner().canaries().value(2, kind).unwrap().to_owned();
        server.sql("create database other").unwrap();
        let (mail, user, phone) = (value(Kind::Email), value(Kind::UserName), value(Kind::Phone));
        let number = phone.trim_start_matches('+');
        server.sql_in("other", &format!(
            "create schema \"Odd Name\"; create table \"Odd Name\".\"t;\" (a bytea, b jsonb, c text[], d bigint, e text); \
             insert into \"Odd Name\".\"t;\" (a) values ('{mail}'); \
             insert into \"Odd Name\".\"t;\" (b) values ('{{\"k\": \"{user}\"}}'); \
             insert into \"Odd Name\".\"t;\" (c) values (array['{mail}']); \
             insert into \"Odd Name\".\"t;\" (d) values ({number}); \
             insert into \"Odd Name\".\"t;\" (e) values (repeat('abcdefgh', 100000) || '{mail}' || repeat('ijklmnop', 100000)); \
             create function f() returns text language sql as $$ select '{mail}' $$; comment on function f() is '{user}'; \
             select lo_from_bytea(0, '{mail}')")).unwrap();
        let report = swept(&server.address());
        let in_table: u64 = report.finds.iter().filter(|f| f.place.contains("\"t;\"")).map(|f| f.times).sum();
        assert_eq!(in_table, 5, "{report:?}");
        for part in ["pg_proc", "pg_description", "pg_largeobject"] {
            assert!(report.finds.iter().any(|f| f.place.contains(part)), "{part}: {report:?}");
        }
        assert!(report.is_whole(), "{:?}", report.blind);
        assert_eq!(report.passed.len(), 1, "template0: {:?}", report.passed);
    }

    #[test]
    fn what_a_user_may_not_read_is_told_and_a_foreign_table_is_not_asked() {
        let server = Postgres::start().unwrap();
        server
            .sql(
                "create role reader login; create table hidden (a text); create table policed (a text); \
            alter table policed enable row level security; grant select on policed to reader; \
            create foreign data wrapper nothing; create server away foreign data wrapper nothing; \
            create foreign table far (a text) server away",
            )
            .unwrap();
        let report = swept(&server.address().replace("user=clover", "user=reader"));
        for table in ["public.hidden", "public.policed", "pg_catalog.pg_authid"] {
            assert!(report.blind.iter().any(|b| b.place.ends_with(table)), "{table}: {:?}", report.blind);
        }
        assert_eq!(report.passed.get("foreign tables"), Some(&1));
    }

    #[test]
    fn a_server_that_is_gone_is_told() {
        let mut server = Postgres::start().unwrap();
        let address = server.address();
        server.kill();
        assert_eq!(swept(&address).blind.len(), 1);
    }

    #[test]
    fn a_connection_that_is_lost_is_told_and_the_rest_is_read() {
        let server = Postgres::start().unwrap();
        let value = scanner().canaries().value(1, Kind::Email).unwrap().to_owned();
        server.sql(&format!("create table a (a text); create table b (a text); create table c (a text); insert into c values ('{value}')")).unwrap();
        let report = std::thread::scope(|scope| {
            // Somebody holds the second table, the sweep waits for it, and loses its connection there.
            let holder = scope.spawn(|| server.sql("begin; lock table b; select pg_sleep(600)"));
            let end = |of: &str| {
                let ask = format!("select count(pg_terminate_backend(pid)) from pg_stat_activity where {of}");
                while server.sql(&ask).unwrap() != ["1"] {
                    std::thread::yield_now();
                }
            };
            while server
                .sql("select count(*) from pg_locks where relation = 'b'::regclass and granted")
                .unwrap()
                != ["1"]
            {
                std::thread::yield_now();
            }
            let sweeping = scope.spawn(|| swept(&server.address()));
            end("application_name = 'clover-residency' and wait_event_type = 'Lock'");
            let report = sweeping.join().unwrap();
            end("wait_event = 'PgSleep'");
            assert!(holder.join().unwrap().is_err());
            report
        });
        let blind: Vec<_> = report.blind.iter().map(|b| b.place.rsplit(' ').next().unwrap()).collect();
        assert_eq!(blind, ["public.b"]);
        assert!(report.finds.iter().any(|f| f.place.ends_with("public.c")), "{:?}", report.finds);
    }
}
