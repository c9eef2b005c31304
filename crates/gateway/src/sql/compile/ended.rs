//! Grants that ended go, with their sessions, views and keys.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use super::make::{END, END_MS, TURN};
use super::plan::Role;
use super::quote::identifier;
use super::{CompileError, asked};

/// All grants of which anything is in this database, or whose role is on the server.
const NAMES: &str = "\
    select rolname::text from pg_catalog.pg_roles where rolname ~ '^clover_g_[0-9a-f]{24}$'
    union select nspname::text from pg_catalog.pg_namespace where nspname ~ '^clover_g_[0-9a-f]{24}$'
    union select \"grant\" from clover.grants union select \"grant\" from clover.keys";

/// The roles of all grants in a database, of whatever gateway.
///
/// # Errors
/// [`CompileError::Database`]
pub async fn roles(client: &Client) -> Result<Vec<Role>, CompileError> {
    let rows = client.query(NAMES, &[]).await.map_err(asked("tell the grants in it"))?;
    let names = rows.iter().filter_map(|row| row.try_get::<_, String>(0).ok());
    Ok(names.filter_map(|name| Role::parse(&name)).collect())
}

/// Drops what belongs to grants that are not among `live`, and returns their names: logins are closed first, then sessions ended, then
/// keys, views and role dropped in one transaction. Whoever is cut off in the middle runs it again.
///
/// A role of which another database of the server has something is not dropped: it stays without a login, and is an error.
///
/// # Errors
/// [`CompileError::Database`] at the first grant that does not go. Those before it are gone.
pub async fn drop_ended(client: &mut Client, live: &BTreeSet<Role>) -> Result<Vec<Role>, CompileError> {
    let mut gone = Vec::new();
    for role in roles(client).await? {
        if !live.contains(&role) {
            drop_one(client, &role).await?;
            gone.push(role);
        }
    }
    Ok(gone)
}

async fn drop_one(client: &mut Client, role: &Role) -> Result<(), CompileError> {
    let (text, name) = (role.as_str(), identifier(role.as_str()));
    let there = "select from pg_catalog.pg_roles where rolname = $1";
    let is_role = client.query_opt(there, &[&text]).await.map_err(asked("tell a role"))?.is_some();
    if is_role {
        // Committed before sessions are ended, so that none begins behind.
        client.batch_execute(&format!("alter role {name} nologin")).await.map_err(asked("close a login"))?;
    }
    client.query(END, &[&text, &END_MS, &true]).await.map_err(asked("end the sessions of a grant"))?;
    let transaction = client.transaction().await.map_err(asked("begin"))?;
    transaction
        .batch_execute("set local client_min_messages = warning")
        .await
        .map_err(asked("take settings"))?;
    transaction.batch_execute(TURN).await.map_err(asked("give a turn"))?;
    transaction
        .batch_execute(&format!("drop schema if exists {name} cascade"))
        .await
        .map_err(asked("drop the views of a grant"))?;
    for table in ["clover.keys", "clover.grants"] {
        let delete = format!("delete from {table} where \"grant\" = $1");
        transaction.execute(&delete, &[&text]).await.map_err(asked("drop the keys of a grant"))?;
    }
    transaction.batch_execute(&format!("drop role if exists {name}")).await.map_err(asked("drop a role"))?;
    transaction.commit().await.map_err(asked("commit"))
}
