//! Tables of ours in a database, version by version.

use super::super::StoreError;
use crate::log::PostgresError;
use crate::log::postgres::connection::Connection;

/// The tables of one store.
pub(crate) struct Schema {
    /// The table that says of which version they are.
    pub(crate) versions: &'static str,
    /// Each brings the tables from the version before to its own. One that was released is not changed any more.
    pub(crate) migrations: &'static [&'static str],
}

impl Schema {
    /// The version that this program needs.
    fn needed(&self) -> u32 {
        u32::try_from(self.migrations.len()).unwrap_or(u32::MAX)
    }

    /// The version of the tables that are there; 0 if there are none.
    fn version(&self, connection: &Connection) -> Result<u32, StoreError> {
        let client = &connection.client;
        let there = "select to_regclass($1) is not null";
        let there = connection.run(client.query_one(there, &[&self.versions]))?;
        if !there.try_get::<_, bool>(0).map_err(PostgresError::Server)? {
            return Ok(0);
        }
        let newest = format!("select coalesce(max(version), 0) from {}", self.versions);
        let newest = connection.run(client.query_one(&newest, &[]))?;
        let newest: i32 = newest.try_get(0).map_err(PostgresError::Server)?;
        u32::try_from(newest).map_err(|_| StoreError::Forged)
    }

    /// That the tables are there, and those of this program.
    pub(crate) fn fits(&self, connection: &Connection) -> Result<(), StoreError> {
        match (self.version(connection)?, self.needed()) {
            (0, _) => Err(StoreError::Missing),
            (found, needed) if found != needed => Err(StoreError::Schema { found, needed }),
            _ => Ok(()),
        }
    }

    /// Applies what is missing, all of it or nothing. Returns the version that is there then.
    pub(crate) fn apply(&self, connection: &Connection) -> Result<u32, StoreError> {
        let (client, versions, needed) = (&connection.client, self.versions, self.needed());
        connection.begin()?;
        connection.run(client.batch_execute(&format!(
            "select pg_advisory_xact_lock(hashtext('{versions}')); \
             create table if not exists {versions} (version integer primary key)"
        )))?;
        let found = self.version(connection)?;
        if found > needed {
            return Err(StoreError::Schema { found, needed });
        }
        for (number, migration) in (1_i32..).zip(self.migrations).skip(found as usize) {
            connection.run(client.batch_execute(migration))?;
            let add = format!("insert into {versions} values ($1)");
            connection.run(client.execute(&add, &[&number]))?;
        }
        let done = connection.run(client.batch_execute("commit"));
        done.and_then(|()| connection.unwarned()).map_err(super::unknown)?;
        Ok(needed)
    }
}
