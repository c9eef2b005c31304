//! The tables of the control store, version by version.

use super::super::StoreError;
use crate::log::PostgresError;
use crate::log::postgres::connection::Connection;

/// Each brings the tables from the version before to its own. One that was released is not changed any more.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("../../../../migrations/0001_control.sql")];

const BEGIN: &str = "begin; select pg_advisory_xact_lock(hashtext('clover_control_version'));";
const VERSIONS: &str = "create table if not exists clover_control_version (version integer primary key);";

/// The version of the tables that are there; 0 if there are none.
pub(super) fn version(connection: &Connection) -> Result<u32, StoreError> {
    let client = &connection.client;
    let there = "select to_regclass('clover_control_version') is not null";
    let there = connection.run(client.query_one(there, &[]))?;
    if !there.try_get::<_, bool>(0).map_err(PostgresError::Server)? {
        return Ok(0);
    }
    let newest = "select coalesce(max(version), 0) from clover_control_version";
    let newest = connection.run(client.query_one(newest, &[]))?;
    let newest: i32 = newest.try_get(0).map_err(PostgresError::Server)?;
    u32::try_from(newest).map_err(|_| StoreError::Forged)
}

/// Applies what is missing, all of it or nothing.
pub(super) fn apply(connection: &Connection) -> Result<u32, StoreError> {
    let client = &connection.client;
    let needed = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    connection.run(client.batch_execute(&format!("{BEGIN} {VERSIONS}")))?;
    let found = version(connection)?;
    if found > needed {
        return Err(StoreError::Schema { found, needed });
    }
    for (number, migration) in (1_i32..).zip(MIGRATIONS).skip(found as usize) {
        connection.run(client.batch_execute(migration))?;
        let add = "insert into clover_control_version values ($1)";
        connection.run(client.execute(add, &[&number]))?;
    }
    let done = connection.run(client.batch_execute("commit"));
    done.and_then(|()| connection.unwarned()).map_err(super::unknown)?;
    Ok(needed)
}
