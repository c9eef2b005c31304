//! The control store of several processes, in a PostgreSQL database.
//!
//! A change is one transaction. It locks the first row by its name, there or not, for as long as whoever changes it takes;
//! then the head, for the moment of the commit: so places follow each other without a gap, in the order of the commits.
//! What a careless server confirms is refused, as for the ledger's log.

use std::collections::HashMap;

use tokio_postgres::Row as Columns;
use tokio_postgres::types::ToSql;

pub(crate) use self::migrations::Schema;
pub(crate) use self::pool::Pool;
use super::StoreError;
use super::engine::{Change, Engine, Page, Raw, RowName};
use super::sealed::{ControlKeys, Head, Sealed};
use crate::log::postgres::address::Address;
use crate::log::postgres::connection::Connection;
use crate::log::{Database as Server, PostgresError};

mod migrations;
mod pool;

const SCHEMA: Schema = Schema {
    versions: "clover_control_version",
    migrations: &[include_str!("../../../migrations/0001_control.sql")],
};
/// Most connections of one process.
const CONNECTIONS_MAX: usize = 4;
/// The tables of the store. They must survive a crash of the server.
const TABLES: &str = "\
select relname::text from pg_class where relpersistence <> 'p' and oid in \
(to_regclass('clover_control_head'), to_regclass('clover_control_row'), to_regclass('clover_control_version'))";

/// Two names of 2^64 may share a lock: then they wait for each other, and no harm is done.
const LOCK: &str = "select pg_advisory_xact_lock($1)";
const ROW: &str = "select name, version, sequence, sealed from clover_control_row where name = $1";
const HEAD: &str = "select sealed from clover_control_head";
const HEAD_LOCKED: &str = "select sealed from clover_control_head for update";
const ROWS: &str = "select name, version, sequence, sealed from clover_control_row where name = any($1)";
const PUT_ROWS: &str = "\
insert into clover_control_row (name, version, sequence, sealed) \
select * from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[]) \
on conflict (name) do update set version = excluded.version, sequence = excluded.sequence, sealed = excluded.sealed";
const REMOVE: &str = "delete from clover_control_row where name = any($1)";
const PUT_HEAD: &str = "update clover_control_head set sealed = $1";

/// One statement sees one moment, so head and rows are of the same.
const CHANGES: &str = "\
select h.sealed, r.name, r.version, r.sequence, r.sealed from clover_control_head h left join lateral \
(select * from clover_control_row where sequence > $1 order by sequence limit $2) r on true order by r.sequence";

/// Sealed rows in a database that several processes share.
pub type PostgresStore = Sealed<Database>;

/// The engine.
pub struct Database {
    pool: Pool,
}

impl PostgresStore {
    /// Brings the tables of a database to the version of this program. Returns what that is. Explicit, never a side
    /// effect of a start.
    ///
    /// # Errors
    /// [`StoreError::Schema`] when a newer program made them; what the server says.
    pub fn migrate(server: &Server) -> Result<u32, StoreError> {
        SCHEMA.apply(&Connection::open(&Address::new(server)?)?)
    }

    /// Makes an empty store in tables that are there. Explicit, never a side effect.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is one; what the server says.
    pub fn create(server: &Server, keys: &ControlKeys) -> Result<(), StoreError> {
        let connection = Connection::open(&Address::new(server)?)?;
        careful(&connection)?;
        let head = keys.seal_head(&Head::default())?;
        let add = "insert into clover_control_head (sealed) values ($1) on conflict do nothing";
        let added = connection.run(connection.client.execute(add, &[&head]))?;
        connection.unwarned().map_err(unknown)?;
        if added == 1 { Ok(()) } else { Err(StoreError::Exists) }
    }

    /// Opens a store that was made. Waits as long as the server's limits say and no longer.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is none, [`StoreError::Schema`] when its tables are of another version;
    /// [`StoreError::Forged`] or [`StoreError::WentBack`] when its rows are not as they were left; what the server says.
    pub fn open(server: &Server, keys: ControlKeys) -> Result<Self, StoreError> {
        let pool = Pool::new(Address::new(server)?, CONNECTIONS_MAX, server.timeouts.statement);
        pool.reading(careful)?;
        Self::over(Database { pool }, keys)
    }
}

/// That the tables are those of this program, and survive a crash.
fn careful(connection: &Connection) -> Result<(), StoreError> {
    SCHEMA.fits(connection)?;
    let unlogged = connection.run(connection.client.query(TABLES, &[]))?;
    match unlogged.first() {
        Some(row) => {
            let name = row.try_get(0).map_err(PostgresError::Server)?;
            Err(PostgresError::Careless { name, value: "not logged".to_owned() }.into())
        }
        None => Ok(()),
    }
}

pub(crate) fn unknown(error: PostgresError) -> StoreError {
    StoreError::Unknown(Box::new(error))
}

fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Full)
}

/// Reads a row from four columns, from one on.
fn raw(row: &Columns, at: usize) -> Result<Raw, StoreError> {
    let name: &[u8] = row.try_get(at).map_err(PostgresError::Server)?;
    let version: i64 = row.try_get(at + 1).map_err(PostgresError::Server)?;
    let sequence: i64 = row.try_get(at + 2).map_err(PostgresError::Server)?;
    let sealed = row.try_get(at + 3).map_err(PostgresError::Server)?;
    let number = |n: i64| u64::try_from(n).map_err(|_| StoreError::Forged);
    let name: RowName = name.try_into().map_err(|_| StoreError::Forged)?;
    Ok(Raw { name, version: number(version)?, sequence: number(sequence)?, sealed })
}

fn query(
    connection: &Connection,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Columns>, StoreError> {
    Ok(connection.run(connection.client.query(sql, values))?)
}

fn get(connection: &Connection, name: &RowName) -> Result<Option<Raw>, StoreError> {
    query(connection, ROW, &[&name.as_slice()])?.first().map(|row| raw(row, 0)).transpose()
}

fn head(connection: &Connection, sql: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let rows = query(connection, sql, &[])?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose().map_err(PostgresError::Server)?)
}

/// Rows by their names, in the order of the names.
fn get_all(connection: &Connection, names: &[RowName]) -> Result<Vec<Option<Raw>>, StoreError> {
    let asked: Vec<&[u8]> = names.iter().map(|name| &name[..]).collect();
    let found = query(connection, ROWS, &[&asked])?;
    let found = found.iter().map(|row| raw(row, 0).map(|raw| (raw.name, raw)));
    let mut found: HashMap<RowName, Raw> = found.collect::<Result<_, _>>()?;
    Ok(names.iter().map(|name| found.remove(name)).collect())
}

fn put_all(connection: &Connection, rows: &[Raw]) -> Result<(), StoreError> {
    let names: Vec<&[u8]> = rows.iter().map(|row| &row.name[..]).collect();
    let versions = rows.iter().map(|row| signed(row.version)).collect::<Result<Vec<i64>, _>>()?;
    let sequences = rows.iter().map(|row| signed(row.sequence)).collect::<Result<Vec<i64>, _>>()?;
    let sealed: Vec<&[u8]> = rows.iter().map(|row| &row.sealed[..]).collect();
    let client = &connection.client;
    connection.run(client.execute(PUT_ROWS, &[&names, &versions, &sequences, &sealed]))?;
    Ok(())
}

/// Everything of a change but its commit. Returns whether there is anything to commit.
fn work(connection: &Connection, names: &[RowName], change: &mut dyn Change) -> Result<bool, StoreError> {
    let first = names.first().and_then(|name| name.first_chunk().copied());
    let lock = i64::from_be_bytes(first.unwrap_or_default());
    query(connection, LOCK, &[&lock])?;
    if !change.edit(&get_all(connection, names)?)? {
        return Ok(false);
    }
    let old = head(connection, HEAD_LOCKED)?.ok_or(StoreError::Missing)?;
    let late = change.late().map(|name| get(connection, &name)).transpose()?.flatten();
    let placed = change.place(&old, late.as_ref())?;
    if !placed.gone.is_empty() {
        let gone: Vec<&[u8]> = placed.gone.iter().map(|name| &name[..]).collect();
        connection.run(connection.client.execute(REMOVE, &[&gone]))?;
    }
    put_all(connection, &placed.put)?;
    connection.run(connection.client.execute(PUT_HEAD, &[&placed.head]))?;
    Ok(true)
}

impl Engine for Database {
    fn head(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.pool.reading(|connection| head(connection, HEAD))
    }

    fn get(&self, name: &RowName) -> Result<Option<Raw>, StoreError> {
        self.pool.reading(|connection| get(connection, name))
    }

    fn change(&self, names: &[RowName], change: &mut dyn Change) -> Result<bool, StoreError> {
        let lent = self.pool.beginning()?;
        match work(lent.get()?, names, change) {
            Ok(true) => lent.commit().map(|()| true),
            undone => {
                lent.rollback();
                undone
            }
        }
    }

    fn changes(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        let (after, limit) = (signed(after)?, signed(limit as u64)?);
        self.pool.reading(|connection| {
            let found = query(connection, CHANGES, &[&after, &limit])?;
            let first = found.first().ok_or(StoreError::Missing)?;
            let head = first.try_get(0).map_err(PostgresError::Server)?;
            // Without any row there is one of nulls beside the head.
            let none: Option<i64> = first.try_get(2).map_err(PostgresError::Server)?;
            let rows =
                if none.is_some() { found.iter().map(|row| raw(row, 1)).collect() } else { Ok(vec![]) };
            Ok(Page { head, rows: rows? })
        })
    }
}
