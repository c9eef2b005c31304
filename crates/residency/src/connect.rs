//! Connections to what is watched and swept: database servers, and what answers over HTTP beside them. Every wait ends,
//! every answer has a limit, and nothing is said in the clear beyond this machine.

mod http;
mod secure;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, CopyOutStream, NoTls, SimpleQueryMessage};

pub use self::http::{HttpError, Web, trusting};

/// Where a server is, and how it is reached.
#[derive(Clone)]
pub struct Server {
    config: Config,
    tls: Option<Arc<ClientConfig>>,
    patience: Duration,
}

/// Why a server does not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No connection string of libpq's form.
    #[error("the address cannot be read")]
    Address,
    /// A password on a command line is everybody's.
    #[error("a password stands in the address: it belongs into a file")]
    Password,
    /// Not exactly one.
    #[error("not exactly one server is named")]
    NotOne,
    /// Without TLS only a server on this machine will do.
    #[error("the server is not on this machine, and no certificates to trust are given for TLS")]
    Cleartext,
    /// Nothing in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The server refused, or the connection broke.
    #[error("{0}")]
    Server(String),
}

impl From<tokio_postgres::Error> for ConnectError {
    fn from(e: tokio_postgres::Error) -> Self {
        // What a server says of a statement of ours; its details may hold values of a row.
        let told = e.as_db_error().map(|e| format!("{} ({})", e.message(), e.code().code()));
        Self::Server(told.unwrap_or_else(|| e.to_string()))
    }
}

impl Server {
    /// Reads an address: a connection string or URL of libpq's form.
    ///
    /// # Errors
    /// When it is none, names several servers or none, holds a password, or would be spoken to in the clear over a network.
    pub fn new(
        address: &str,
        password: Option<&str>,
        tls: Option<Arc<ClientConfig>>,
        patience: Duration,
    ) -> Result<Self, ConnectError> {
        let mut config: Config = address.parse().map_err(|_| ConnectError::Address)?;
        if config.get_password().is_some() {
            return Err(ConnectError::Password);
        }
        if config.get_hosts().len().max(config.get_hostaddrs().len()) != 1 {
            return Err(ConnectError::NotOne);
        }
        if tls.is_some() {
            config.ssl_mode(SslMode::Require);
        } else if is_local(&config) {
            config.ssl_mode(SslMode::Disable);
        } else {
            return Err(ConnectError::Cleartext);
        }
        if let Some(password) = password {
            config.password(password);
        }
        config.connect_timeout(patience).application_name("clover-residency");
        Ok(Self { config, tls, patience })
    }

    /// The host and port, for reports.
    #[must_use]
    pub fn name(&self) -> String {
        let host = match (self.config.get_hosts().first(), self.config.get_hostaddrs().first()) {
            (Some(Host::Tcp(name)), _) => name.clone(),
            (Some(Host::Unix(path)), _) => path.display().to_string(),
            (None, Some(address)) => address.to_string(),
            (None, None) => String::new(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        format!("{host}:{port}")
    }

    /// Connects, to another database than the address says if one is given.
    pub(crate) async fn open(&self, database: Option<&str>) -> Result<Database, ConnectError> {
        let mut config = self.config.clone();
        if let Some(database) = database {
            config.dbname(database);
        }
        let late = |_| ConnectError::Timeout(self.patience);
        // Nothing that a statement of ours asks for may change or wait for anything.
        let (client, driver) = match &self.tls {
            Some(tls) => {
                let connecting = config.connect(secure::Secure::new(Arc::clone(tls)));
                let (client, connection) = timeout(self.patience, connecting).await.map_err(late)??;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
            None => {
                let (client, connection) =
                    timeout(self.patience, config.connect(NoTls)).await.map_err(late)??;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
        };
        let database = Database { client, driver, patience: self.patience };
        database.run("set default_transaction_read_only = on; set search_path = pg_catalog; set row_security = off").await?;
        Ok(database)
    }
}

fn is_local(config: &Config) -> bool {
    if let Some(address) = config.get_hostaddrs().first() {
        return address.is_loopback();
    }
    match config.get_hosts().first() {
        Some(Host::Unix(_)) => true,
        Some(Host::Tcp(name)) => name.parse::<IpAddr>().is_ok_and(|a| a.is_loopback()),
        None => false,
    }
}

/// A connection, read only.
pub(crate) struct Database {
    client: Client,
    driver: JoinHandle<()>,
    patience: Duration,
}

impl Drop for Database {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Cells of a row as text; empty where nothing is.
pub(crate) type Row = Vec<String>;

impl Database {
    pub(crate) async fn run(&self, statements: &str) -> Result<(), ConnectError> {
        self.timely(self.client.batch_execute(statements)).await
    }

    pub(crate) async fn rows(&self, query: &str) -> Result<Vec<Row>, ConnectError> {
        let messages = self.timely(self.client.simple_query(query)).await?;
        let rows = messages.into_iter().filter_map(|m| match m {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|n| row.try_get(n).ok().flatten().unwrap_or_default().to_owned())
                    .collect(),
            ),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Has a table sent, piece by piece.
    pub(crate) async fn copy(
        &self,
        statement: &str,
        mut piece: impl FnMut(&[u8]),
    ) -> Result<(), ConnectError> {
        let stream: CopyOutStream = self.timely(self.client.copy_out(statement)).await?;
        let mut stream = Box::pin(stream);
        loop {
            let next = std::future::poll_fn(|cx| Pin::as_mut(&mut stream).poll_next(cx));
            match timeout(self.patience, next).await.map_err(|_| ConnectError::Timeout(self.patience))? {
                Some(bytes) => piece(&bytes?),
                None => return Ok(()),
            }
        }
    }

    async fn timely<T>(
        &self,
        doing: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, ConnectError> {
        Ok(timeout(self.patience, doing).await.map_err(|_| ConnectError::Timeout(self.patience))??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_in_the_clear_beyond_this_machine_and_no_password_stands_in_an_address() {
        let new = |address| Server::new(address, None, None, Duration::from_secs(1)).map(|s| s.name());
        assert_eq!(new("postgres://a@127.0.0.1:5433/b").unwrap(), "127.0.0.1:5433");
        assert_eq!(new("host=/run/postgresql user=a").unwrap(), "/run/postgresql:5432");
        assert!(matches!(new("postgres://a@db.example/b"), Err(ConnectError::Cleartext)));
        assert!(matches!(new("host=localhost user=a"), Err(ConnectError::Cleartext)));
        assert!(matches!(new("postgres://a:b@127.0.0.1/c"), Err(ConnectError::Password)));
        assert!(matches!(new("host=/a,/b user=a"), Err(ConnectError::NotOne)));
        assert!(matches!(new("host"), Err(ConnectError::Address)));
    }
}
