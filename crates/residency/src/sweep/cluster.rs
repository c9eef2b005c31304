//! A sweep of the files of a PostgreSQL server, through its own functions: rows that are deleted and not yet overwritten, the log of
//! changes, what slots keep, statistics and temporary files. What SQL shows is swept by [`super::database`].

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::{Placed, Progress, Report};
use crate::connect::{ConnectError, Database, Server};
use crate::scan::Scanner;
use crate::unpack::Sink;

/// Bytes that are read at once, and how many of the piece before are read again: a value may lie across two.
const PIECE: u64 = 8 << 20;
const AGAIN: u64 = 256;
/// Folders within folders.
const DEPTH_MAX: usize = 16;
/// Where the log of changes is, and how often it is listed again for files with new names.
const LOG: &str = "./pg_wal";
const AGAIN_MAX: u32 = 8;

/// Sweeps everything below the server's data folder, and its log's folder. The server writes what it has in memory first, where the user
/// may have it do so.
///
/// What the user may not read, and what was not read to its end, is in the report; the user must be a member of
/// `pg_read_server_files` and of `pg_monitor`.
pub async fn sweep(scanner: &Scanner, server: &Server, progress: &Progress) -> Report {
    let mut report = Report::default();
    let name = format!("{} files", server.name());
    if let Err(e) = all(scanner, server, &name, progress, &mut report).await {
        report.blind(&name, e.to_string());
    }
    report
}

async fn all(
    scanner: &Scanner,
    server: &Server,
    name: &str,
    progress: &Progress,
    report: &mut Report,
) -> Result<(), ConnectError> {
    let database = server.open(None).await?;
    if let Err(e) = database.run("checkpoint").await {
        report.blind(name, format!("the server was not told to write what it has in memory: {e}"));
    }
    for row in database.rows("select current_setting('wal_compression')").await? {
        if row.first().is_some_and(|word| word != "off") {
            report.blind(name, "`wal_compression` is on: pages in the log of changes cannot be looked into");
        }
    }
    let mut folders = vec![(".".to_owned(), 0)];
    match database.rows("select current_setting('log_directory')").await {
        Ok(rows) => {
            let paths = rows.into_iter().flatten().filter(|path| path.starts_with('/'));
            folders.extend(paths.map(|path| (path, 0)));
        }
        Err(e) => report.blind(name, format!("where the server's log lies is not told: {e}")),
    }
    let (mut seen, mut again, mut rounds) = (BTreeSet::new(), false, 0);
    while let Some((folder, depth)) = folders.pop() {
        if depth > DEPTH_MAX {
            report.blind(&format!("{name} {folder}"), "folders within folders beyond the bound");
            continue;
        }
        let list = format!(
            "select f, s.size, s.isdir from pg_ls_dir({0}, true, false) f,
               lateral pg_stat_file({0} || '/' || f, true) s order by 1",
            literal(&folder)
        );
        let entries = match database.rows(&list).await {
            Ok(entries) => entries,
            Err(e) => {
                report.blind(&format!("{name} {folder}"), e.to_string());
                continue;
            }
        };
        for entry in entries {
            let [file, size, is_folder] = entry.as_slice() else { continue };
            let path = format!("{folder}/{file}");
            if is_folder == "t" {
                folders.push((path, depth + 1));
            } else if let Ok(size) = size.parse()
                && seen.insert(path.clone())
            {
                let place = format!("{name} {path}");
                if let Err(e) = read(scanner, &database, (&path, size), &place, progress, report).await {
                    report.blind(&place, e.to_string());
                }
                // Files of the log get other names while they are looked at.
                again |= folder == LOG;
            }
        }
        if folders.is_empty() && std::mem::take(&mut again) {
            rounds += 1;
            if rounds > AGAIN_MAX {
                report.blind(&format!("{name} {LOG}"), "files of it go on getting other names");
                break;
            }
            folders.push((LOG.to_owned(), 0));
        }
    }
    Ok(())
}

async fn read(
    scanner: &Scanner,
    database: &Database,
    (path, size): (&str, u64),
    place: &str,
    progress: &Progress,
    report: &mut Report,
) -> Result<(), ConnectError> {
    let mut placed = Placed { report, place };
    let mut bytes = 0;
    for start in (0..size).step_by(usize::try_from(PIECE).unwrap_or(usize::MAX)) {
        let from = start.saturating_sub(AGAIN);
        // A file that goes meanwhile is none any more.
        let statement = format!(
            "copy (select pg_read_binary_file({}, {from}, {}, true)) to stdout (format binary)",
            literal(path),
            start - from + PIECE
        );
        // Each piece by itself: the format's own bytes stand between. So places in a file are right to some bytes.
        let mut stream = scanner.stream();
        let done = database.copy(&statement, |piece| {
            bytes += piece.len() as u64;
            stream.feed(piece, &mut |hit| placed.hit("", hit));
        });
        let done = done.await;
        stream.finish(&mut |hit| placed.hit("", hit));
        done?;
    }
    placed.searched(bytes);
    placed.report.places += 1;
    progress.places.fetch_add(1, Ordering::Relaxed);
    progress.bytes.fetch_add(bytes, Ordering::Relaxed);
    Ok(())
}

/// A text as SQL writes it.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use testkit::postgres::Postgres;

    use super::*;

    fn swept(address: &str) -> Report {
        let scanner = Scanner::of_identifiers(&["ann.berg@example.org".to_owned()]).unwrap();
        let server = Server::new(address, None, None, Duration::from_secs(20)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(sweep(&scanner, &server, &Progress::default()))
    }

    #[test]
    fn a_row_that_was_deleted_is_found_in_its_page_and_in_the_log_of_changes() {
        let server = Postgres::start().unwrap();
        server.sql("create table t (id int, mail text); insert into t values (1, 'ann.berg@example.org'), (2, 'x')").unwrap();
        let page = server.sql("select pg_relation_filepath('t')").unwrap().concat();
        server.sql("delete from t where id = 1").unwrap();
        let report = swept(&server.address());
        assert!(report.is_whole(), "{:?}", report.blind);
        for part in [page.as_str(), "pg_wal/"] {
            assert!(report.finds.iter().any(|f| f.place.contains(part)), "{part}: {:?}", report.finds);
        }
        server.sql("vacuum full t").unwrap();
        let report = swept(&server.address());
        assert!(!report.finds.iter().any(|f| f.place.contains(&page)), "{:?}", report.finds);
    }

    #[test]
    fn whoever_may_not_read_the_servers_files_is_told_so() {
        let server = Postgres::start().unwrap();
        server.sql("create role reader login").unwrap();
        let report = swept(&server.address().replace("user=clover", "user=reader"));
        assert!(report.blind.iter().any(|b| b.why.contains("permission denied")), "{:?}", report.blind);
        assert_eq!(report.places, 0);
    }
}
