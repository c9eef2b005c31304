//! A connection for statements of others: a gateway's, to a database that is not ours.

use std::pin::Pin;

use tokio_postgres::{Client, NoTls};

use super::address::{Address, Database};
use super::connection::{PostgresError, first};
use super::secure::Secure;

/// What moves the bytes of a connection. It ends with the connection, and must be polled until then.
pub type Moving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Connects to the server, or the first of several that takes writes. What is said there is the caller's: a time limit for each
/// statement, too.
///
/// # Errors
/// [`PostgresError`], when there is none or it may not be spoken to in the clear.
pub async fn connect(server: &Database) -> Result<(Client, Moving), PostgresError> {
    let address = Address::new(server)?;
    match &address.tls {
        Some(tls) => {
            let (client, moving) = first(&address, &Secure::new(tls.clone())).await?;
            Ok((client, Box::pin(async move { drop(moving.await) })))
        }
        None => {
            let (client, moving) = first(&address, &NoTls).await?;
            Ok((client, Box::pin(async move { drop(moving.await) })))
        }
    }
}
