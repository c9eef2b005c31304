//! The journal in a PostgreSQL database: a row for each frame, and one for the log.
//!
//! A batch is one statement, which is one transaction: the log's row goes from the size expected to the new
//! one, under the fence that this process took, and the frame is stored. No row means that another process
//! has the log, or that it has another history: this process ends. Where a batch is durable is the server's
//! configuration: with `synchronous_standby_names` a quorum of sites confirms it, and ours says how many it must
//! be. What a careless server
//! confirms is refused at the start. Specified in `docs/formats/wal.md`.

pub(crate) mod address;
pub(crate) mod connection;
mod secure;
mod shared;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ledger::wal::{self, Batch};

pub use self::address::Database;
pub use self::connection::{PostgresError, Timeouts};
pub use self::secure::{Secure, end_point};
pub use self::shared::{Moving, connect};

use self::address::Address;
use self::connection::Connection;
use self::writer::Writer;
use super::LogError;
use super::journal::{Journal, Opened, Past, behind};

const TABLES: &str = "\
create table if not exists clover_log (
  origin text primary key,
  key text not null,
  size bigint not null,
  fence bigint not null);
create table if not exists clover_log_frame (
  origin text not null references clover_log,
  first bigint not null,
  count integer not null,
  frame bytea not null,
  primary key (origin, first));
alter table clover_log_frame alter column frame set storage external;";

/// The last of these that begins at or before an entry, or the first of all.
const START: &str = "\
select coalesce(max(first), 0) from clover_log_frame where origin = $1 and first <= $2";

const PAGE: &str = "\
select first, count, frame from clover_log_frame where origin = $1 and first >= $2 order by first limit $3";

const ANY_PAST: &str = "\
select exists (select from clover_log_frame where origin = $1 and first < $2 and first + count <= $2)";

/// The lock keeps out whoever takes the log over, and lets the committer go on.
const LET_GO: &str = "\
with mine as (select origin from clover_log where origin = $1 and fence = $3 for key share)
delete from clover_log_frame where (origin, first) in (
  select f.origin, f.first from clover_log_frame f join mine using (origin)
  where f.first < $2 and f.first + f.count <= $2 order by f.first limit $4)";

/// Frames that are read at once; each is at most 4 MiB.
const PAGE_ROWS: i64 = 8;
/// Frames that go in one transaction, and transactions of one call.
const LET_GO_ROWS: i64 = 4096;
const LET_GO_ROUNDS: usize = 32;

/// Frames in a PostgreSQL database, under the log's origin.
pub struct Postgres {
    address: Address,
    log: Arc<Name>,
}

/// Which log it is.
struct Name {
    origin: String,
    /// The key that signs it, so that no other enclave takes it by mistake.
    key: String,
}

/// A log that was taken.
struct Taken {
    size: u64,
    fence: i64,
}

impl Postgres {
    /// Takes note of a server and does not call it yet. `origin` is the first line of the log's checkpoints, `key`
    /// the verifier key of their signatures.
    ///
    /// # Errors
    /// [`PostgresError`] when the connection string cannot be used, or leads to another machine in the clear.
    pub fn new(database: &Database, origin: &str, key: &str) -> Result<Self, PostgresError> {
        let log = Name { origin: origin.to_owned(), key: key.to_owned() };
        Ok(Self { address: Address::new(database)?, log: Arc::new(log) })
    }

    /// Reads all frames from an entry on. Returns the entry that comes next.
    fn read(
        &self,
        connection: &Connection,
        from: u64,
        each: &mut dyn FnMut(Batch) -> Result<(), LogError>,
    ) -> Result<Option<u64>, LogError> {
        let client = &connection.client;
        let start = connection.run(client.query_one(START, &[&self.log.origin, &signed(from)?]))?;
        let mut at: i64 = start.try_get(0).map_err(PostgresError::Server)?;
        let mut next = None;
        loop {
            let page = connection.run(client.query(PAGE, &[&self.log.origin, &at, &PAGE_ROWS]))?;
            let Some(last) = page.last() else { return Ok(next) };
            at = last.try_get::<_, i64>(0).map_err(PostgresError::Server)?.saturating_add(1);
            for row in page {
                let first = index(row.try_get(0).map_err(PostgresError::Server)?)?;
                let frame: &[u8] = row.try_get(2).map_err(PostgresError::Server)?;
                let expected = next.unwrap_or(first.min(from));
                if first != expected {
                    return Err(missing(expected.max(from)));
                }
                let read = wal::decode(frame, first).ok().filter(|(_, length)| *length == frame.len());
                let counted: i32 = row.try_get(1).map_err(PostgresError::Server)?;
                let (batch, _) =
                    read.filter(|(b, _)| i32::try_from(b.entries.len()) == Ok(counted)).ok_or_else(|| {
                        LogError::Damaged(format!("the frame with entry {first} cannot be read"))
                    })?;
                let end = first + batch.entries.len() as u64;
                if end > from {
                    each(behind(batch, from))?;
                }
                next = Some(end);
            }
        }
    }
}

/// Takes the log for this process: raises the fence, so that no other can append any more, nor anything that this
/// one sent before. Only `from` may have it, if that is said.
fn take(connection: &Connection, log: &Name, from: Option<i64>) -> Result<Taken, LogError> {
    let client = &connection.client;
    let found = connection.run(async {
        client.batch_execute("begin").await?;
        // INVARIANT: waits for every commit under the older fence, and `LET_GO` waits for this.
        let lock = "select size, fence, key from clover_log where origin = $1 for update";
        let Some(row) = client.query_opt(lock, &[&log.origin]).await? else { return Ok(None) };
        let (size, fence): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let key: String = row.try_get(2)?;
        Ok(Some((size, fence, key)))
    })?;
    let (size, fence, key) = found.ok_or_else(|| PostgresError::NoLog(log.origin.clone()))?;
    if key != log.key {
        return Err(PostgresError::OtherKey(log.origin.clone()).into());
    }
    if from.is_some_and(|own| own != fence) {
        return Err(PostgresError::Fenced.into());
    }
    let fence = fence.saturating_add(1);
    connection.run(async {
        client.execute("update clover_log set fence = $2 where origin = $1", &[&log.origin, &fence]).await?;
        // Durable as a batch is, and so is every batch before it.
        client.batch_execute("commit").await
    })?;
    connection.unwarned()?;
    Ok(Taken { size: index(size)?, fence })
}

/// The log's tables, which somebody must have made.
fn tables(connection: &Connection, log: &Name) -> Result<(), PostgresError> {
    if connection.has_tables()? { Ok(()) } else { Err(PostgresError::NoLog(log.origin.clone())) }
}

fn missing(entry: u64) -> LogError {
    LogError::Damaged(format!("the frame with entry {entry} is missing"))
}

fn signed(index: u64) -> Result<i64, LogError> {
    i64::try_from(index).map_err(|_| LogError::Damaged(format!("no database counts to {index}")))
}

fn index(row: i64) -> Result<u64, LogError> {
    u64::try_from(row).map_err(|_| LogError::Damaged("a number in the database is negative".to_owned()))
}

impl Journal for Postgres {
    fn create(&self) -> Result<(), LogError> {
        let connection = Connection::open(&self.address)?;
        let client = &connection.client;
        if !connection.has_tables()? {
            connection.run(client.batch_execute(TABLES))?;
        }
        let untouched = connection.run(async {
            let add = "insert into clover_log values ($1, $2, 0, 0) on conflict (origin) do nothing";
            client.execute(add, &[&self.log.origin, &self.log.key]).await?;
            // One that nobody ever opened may be there: its making was interrupted. It is for this key from now on.
            let new = "update clover_log set key = $2 where origin = $1 and size = 0 and fence = 0";
            client.execute(new, &[&self.log.origin, &self.log.key]).await
        })? == 1;
        connection.unwarned()?;
        if untouched { Ok(()) } else { Err(LogError::Exists) }
    }

    fn open(
        &self,
        from: u64,
        each: &mut dyn FnMut(Batch) -> Result<(), LogError>,
    ) -> Result<Opened, LogError> {
        let connection = Connection::open(&self.address)?;
        tables(&connection, &self.log)?;
        let Taken { size, fence } = take(&connection, &self.log, None)?;
        if size < from {
            return Err(LogError::Lost { found: size, published: from });
        }
        let end = self.read(&connection, from, each)?;
        if end.unwrap_or(from) != size {
            return Err(missing(end.unwrap_or(from)));
        }
        let (address, log) = (self.address.clone(), Arc::clone(&self.log));
        let fence = Arc::new(AtomicI64::new(fence));
        let past = Rows {
            address: address.clone(),
            log: Arc::clone(&log),
            fence: Arc::clone(&fence),
            connection: None,
        };
        let writer = Writer::new(address, log, fence, connection, size)?;
        Ok(Opened { next: size, storage: Box::new(writer), past: Box::new(past) })
    }
}

/// Rows that are not needed any more. Has a connection of its own, so that no commit waits for it.
struct Rows {
    address: Address,
    log: Arc<Name>,
    fence: Arc<AtomicI64>,
    connection: Option<Connection>,
}

impl Rows {
    fn delete(
        &self,
        connection: &Connection,
        below: i64,
        marked: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        let (client, fence) = (&connection.client, self.fence.load(Ordering::Acquire));
        let any = connection.run(client.query_one(ANY_PAST, &[&self.log.origin, &below]));
        if !any.map_err(io::Error::other)?.try_get(0).map_err(io::Error::other)? {
            return Ok(());
        }
        marked()?;
        for _ in 0..LET_GO_ROUNDS {
            let gone = connection
                .run(client.execute(LET_GO, &[&self.log.origin, &below, &fence, &LET_GO_ROWS]))
                .map_err(io::Error::other)?;
            if gone < LET_GO_ROWS.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }
}

impl Past for Rows {
    fn let_go(&mut self, below: u64, marked: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let connection = match self.connection.take() {
            Some(open) => open,
            None => Connection::open(&self.address).map_err(io::Error::other)?,
        };
        self.delete(&connection, i64::try_from(below).unwrap_or(i64::MAX), marked)?;
        // One that failed is not used again.
        self.connection = Some(connection);
        Ok(())
    }
}
