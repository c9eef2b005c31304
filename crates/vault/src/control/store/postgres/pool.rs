//! A few connections, made when they are needed and used again.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::StoreError;
use crate::log::postgres::address::Address;
use crate::log::postgres::connection::Connection;

#[derive(Default)]
struct Lot {
    idle: Vec<Connection>,
    /// Idle and busy.
    all: usize,
}

/// Connections to one server.
pub(crate) struct Pool {
    address: Address,
    /// Most connections.
    most: usize,
    wait: Duration,
    lot: Mutex<Lot>,
    free: Condvar,
}

/// A connection of the pool. It is closed when this is dropped, unless it is to be kept.
pub(crate) struct Lent<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
}

impl Pool {
    pub(crate) fn new(address: Address, most: usize, wait: Duration) -> Self {
        Self { address, most, wait, lot: Mutex::default(), free: Condvar::new() }
    }

    /// Runs what only reads. When a connection breaks that was used before, as after a restart of the server, it is
    /// done again on a fresh one.
    pub(crate) fn reading<T>(
        &self,
        mut read: impl FnMut(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (lent, used) = self.lend()?;
        let mut done = read(lent.get()?);
        let lent = if used && done.is_err() && lent.broken() {
            drop(lent);
            let fresh = self.fresh()?;
            done = read(fresh.get()?);
            fresh
        } else {
            lent
        };
        if !lent.broken() && !matches!(done, Err(StoreError::Database(_))) {
            lent.keep();
        }
        done
    }

    /// A connection that was not closed a moment ago.
    pub(crate) fn ready(&self) -> Result<Lent<'_>, StoreError> {
        let (lent, _) = self.lend()?;
        if lent.broken() {
            drop(lent);
            return self.fresh();
        }
        Ok(lent)
    }

    /// A connection on which a transaction has begun.
    pub(crate) fn beginning(&self) -> Result<Lent<'_>, StoreError> {
        let (lent, used) = self.lend()?;
        let connection = lent.get()?;
        match connection.begin() {
            Ok(()) => Ok(lent),
            Err(_) if used => {
                drop(lent);
                let fresh = self.fresh()?;
                fresh.get()?.begin()?;
                Ok(fresh)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// A connection, and whether it was used before.
    fn lend(&self) -> Result<(Lent<'_>, bool), StoreError> {
        let idle = self.turn()?;
        let used = idle.is_some();
        self.lent(idle).map(|lent| (lent, used))
    }

    /// A connection that was never used; what is idle is as old as the one that broke.
    fn fresh(&self) -> Result<Lent<'_>, StoreError> {
        drop(self.turn()?);
        self.lent(None)
    }

    /// Whoever has a turn may have one connection: this idle one, or a new one.
    fn turn(&self) -> Result<Option<Connection>, StoreError> {
        let until = Instant::now() + self.wait;
        let mut lot = self.lot.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(idle) = lot.idle.pop() {
                return Ok(Some(idle));
            }
            if lot.all < self.most {
                lot.all += 1;
                return Ok(None);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(StoreError::Busy(self.wait));
            }
            lot = self.free.wait_timeout(lot, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lent(&self, idle: Option<Connection>) -> Result<Lent<'_>, StoreError> {
        // Made first, so that the turn ends with it when no connection can be made.
        let mut lent = Lent { pool: self, connection: idle };
        if lent.connection.is_none() {
            lent.connection = Some(Connection::open(&self.address)?);
        }
        Ok(lent)
    }
}

impl Lent<'_> {
    /// The connection.
    pub(crate) fn get(&self) -> Result<&Connection, StoreError> {
        // It is there until the value is consumed.
        self.connection.as_ref().ok_or(StoreError::Missing)
    }

    fn broken(&self) -> bool {
        self.connection.as_ref().is_none_or(Connection::is_closed)
    }

    /// Commits the transaction that began on it. An error says that nobody knows whether it is done.
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        let connection = self.get()?;
        let done = connection.run(connection.client.batch_execute("commit"));
        done.and_then(|()| connection.unwarned()).map_err(super::unknown)?;
        self.keep();
        Ok(())
    }

    /// Undoes the transaction that began on it. A connection that does not answer to this is dropped, and the server
    /// undoes it.
    pub(crate) fn rollback(self) {
        let undone = self.get().is_ok_and(|c| c.run(c.client.batch_execute("rollback")).is_ok());
        if undone {
            self.keep();
        }
    }

    /// Puts it back for the next one.
    pub(crate) fn keep(mut self) {
        let mut lot = self.pool.lot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = self.connection.take() {
            lot.idle.push(connection);
            lot.all += 1;
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.pool.lot.lock().unwrap_or_else(PoisonError::into_inner).all -= 1;
        self.pool.free.notify_one();
    }
}
