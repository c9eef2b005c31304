//! Appends to a log in a database, and finds out what became of a frame that nobody answered for.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ledger::{Storage, StorageError};
use tokio_postgres::Statement;
use tokio_postgres::types::Type;

use super::address::Address;
use super::connection::{Connection, PostgresError};
use super::{Name, signed, tables, take};
use crate::log::LogError;
use crate::log::journal::continues;

const APPEND: &str = "\
with moved as (
  update clover_log set size = $3 where origin = $1 and size = $2 and fence = $4 returning origin)
insert into clover_log_frame (origin, first, count, frame) select origin, $2, $5, $6 from moved
returning current_setting('synchronous_standby_names')";

const SAME: &str = "select frame = $3 from clover_log_frame where origin = $1 and first = $2";

/// The statement that appends, on a connection.
fn prepare(connection: &Connection) -> Result<Statement, PostgresError> {
    let types = [Type::TEXT, Type::INT8, Type::INT8, Type::INT8, Type::INT4, Type::BYTEA];
    connection.run(connection.client.prepare_typed(APPEND, &types))
}

/// A connection with the statement that appends.
struct Link {
    connection: Connection,
    append: Statement,
}

/// Appends frames as rows.
pub(super) struct Writer {
    address: Address,
    log: Arc<Name>,
    fence: Arc<AtomicI64>,
    /// None once it broke.
    link: Option<Link>,
    /// The entry that the next frame begins with.
    next: u64,
    /// The end of a frame that was sent and not answered.
    lost: Option<u64>,
}

/// What was found where a frame was sent and not answered.
enum Settled {
    NotThere,
    There,
}

impl Writer {
    pub(super) fn new(
        address: Address,
        log: Arc<Name>,
        fence: Arc<AtomicI64>,
        connection: Connection,
        next: u64,
    ) -> Result<Self, PostgresError> {
        let link = Link { append: prepare(&connection)?, connection };
        Ok(Self { address, log, fence, link: Some(link), next, lost: None })
    }

    /// Sends a frame once. Whatever is in doubt afterwards breaks the link.
    fn send(&mut self, frame: &[u8], first: u64, end: u64) -> Result<(), LogError> {
        let (from, to) = (signed(first)?, signed(end)?);
        let count =
            i32::try_from(end - first).map_err(|_| LogError::Damaged("a frame is too long".to_owned()))?;
        let Some(Link { connection, append }) = &self.link else { return Err(PostgresError::Fenced.into()) };
        let fence = self.fence.load(Ordering::Acquire);
        let client = &connection.client;
        let done =
            connection.run(client.query_opt(append, &[&self.log.origin, &from, &to, &fence, &count, &frame]));
        let confirmed = done.and_then(|row| {
            connection.unwarned()?;
            let Some(row) = row else { return Err(PostgresError::Fenced) };
            // A server that stopped asking others since it was connected to may have confirmed alone.
            connection.enough(row.try_get(0).map_err(PostgresError::Server)?)
        });
        match confirmed {
            Ok(()) => {
                (self.next, self.lost) = (end, None);
                Ok(())
            }
            Err(e) => {
                if !e.is_full() && !e.is_final() {
                    (self.link, self.lost) = (None, Some(end));
                }
                Err(e.into())
            }
        }
    }

    /// Takes the log once more, so that what was sent cannot arrive any more, and looks whether it did.
    fn settle(&mut self, frame: &[u8], first: u64) -> Result<Settled, LogError> {
        let connection = Connection::open(&self.address)?;
        let client = &connection.client;
        tables(&connection, &self.log)?;
        let taken = take(&connection, &self.log, Some(self.fence.load(Ordering::Acquire)))?;
        self.fence.store(taken.fence, Ordering::Release);
        let append = prepare(&connection)?;
        let settled = if taken.size == first {
            self.lost = None;
            Settled::NotThere
        } else {
            let at = signed(first)?;
            let row = connection.run(client.query_opt(SAME, &[&self.log.origin, &at, &frame]))?;
            let same = row.map_or(Ok(false), |row| row.try_get(0)).map_err(PostgresError::Server)?;
            // Another frame than the one that is to be appended now is there, and was not confirmed to anybody: only
            // a restart takes it in.
            if self.lost != Some(taken.size) || !same {
                return Err(PostgresError::Fenced.into());
            }
            (self.next, self.lost) = (taken.size, None);
            Settled::There
        };
        self.link = Some(Link { connection, append });
        Ok(settled)
    }
}

/// What an error means to whoever appends.
fn told(error: LogError) -> StorageError {
    match error {
        LogError::Database(e) if e.is_full() => StorageError::NotWritten(io::Error::other(e)),
        LogError::Database(e) if !e.is_final() => StorageError::Unsettled(io::Error::other(e)),
        LogError::Database(e) => StorageError::Unknown(io::Error::other(e)),
        other => StorageError::Unknown(io::Error::other(other)),
    }
}

impl Storage for Writer {
    fn append(&mut self, frame: &[u8]) -> Result<(), StorageError> {
        let (first, end) = continues(frame, self.next)?;
        if self.link.is_some() {
            match self.send(frame, first, end) {
                Err(e) if self.link.is_none() => {
                    tracing::warn!(
                        error = &e as &dyn Error,
                        "no answer of the ledger's database: it is asked again"
                    );
                }
                done => return done.map_err(told),
            }
        }
        match self.settle(frame, first).map_err(told)? {
            Settled::There => Ok(()),
            Settled::NotThere => self.send(frame, first, end).map_err(told),
        }
    }
}
