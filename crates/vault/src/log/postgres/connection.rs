//! A connection to the database server on which every wait ends, and what the server must promise.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Builder;
use tokio::time::error::Elapsed;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::Severity;
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, Statement};

use super::secure::Secure;

/// How long the database server is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the answer to a statement, its commit included.
    pub statement: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), statement: Duration::from_secs(20) }
    }
}

/// What is wrong with the database server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The connection string is not of libpq's form.
    #[error("the address of the database server cannot be read")]
    Address(#[source] Error),
    /// Without TLS only a server on this machine will do.
    #[error(
        "the database server `{0}` is not on this machine, and no certificates to trust are given for TLS"
    )]
    NotLocal(String),
    /// TLS needs a name to look for in the server's certificate.
    #[error("TLS is asked for, and the database server has no name that its certificate could bear")]
    Nameless,
    /// A connection string is a public text.
    #[error("a password stands in the connection string: it belongs into a file of its own")]
    Password,
    /// Two servers may have two histories.
    #[error("not exactly one database server is named")]
    NotOne,
    /// There is no thread or runtime for the connection.
    #[error("no thread can be made for the database connection")]
    Thread(#[source] std::io::Error),
    /// No answer in time. Whether the statement was done, nobody can say.
    #[error("the database server did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The server refused, or the connection broke.
    #[error("the database server did not do it")]
    Server(#[source] Error),
    /// What the server confirms may be lost, or is no longer what was asked for.
    #[error("the database server's `{name}` is `{value}`: what it confirms may be lost")]
    Careless {
        /// The setting.
        name: String,
        /// What it is.
        value: String,
    },
    /// A commit came with a warning, as when the wait for other sites was cancelled.
    #[error("the database server confirmed with a warning")]
    Warned,
    /// The log's row is not as this process left it.
    #[error("another process has taken the log, or it has another history")]
    Fenced,
    /// The database has no log of this name, or it was never made.
    #[error("the database has no log `{0}`")]
    NoLog(String),
    /// The log in the database was made for another key.
    #[error("the log `{0}` in the database is signed by another key")]
    OtherKey(String),
}

impl PostgresError {
    /// Whether it is certain that this process must not go on.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Warned | Self::Fenced | Self::NoLog(_) | Self::OtherKey(_))
    }

    /// Whether the server refused for want of space or memory, so that the statement was not done for certain.
    pub(super) fn is_full(&self) -> bool {
        let Self::Server(e) = self else { return false };
        // INVARIANT: an error of this severity ends the transaction before it is committed. A worse one ends the
        // connection, perhaps behind the commit.
        e.as_db_error().is_some_and(|e| {
            e.parsed_severity() == Some(Severity::Error) && e.code().code().starts_with("53")
        })
    }
}

/// Where the database is, and how it is reached.
#[derive(Clone, Default)]
pub struct Database {
    /// A connection string or URL of libpq's form, which names one server and has no password.
    pub address: String,
    /// The user's password, if the server asks for one.
    pub password: Option<String>,
    /// Whom to trust, and who we are: then nothing is said in the clear. Without it only a socket or a loopback
    /// address will do.
    pub tls: Option<Arc<ClientConfig>>,
    /// Limits.
    pub timeouts: Timeouts,
}

/// One server, checked.
#[derive(Clone)]
pub(crate) struct Address {
    config: Config,
    tls: Option<Arc<ClientConfig>>,
    timeouts: Timeouts,
}

impl Address {
    pub(crate) fn new(server: &Database) -> Result<Self, PostgresError> {
        let mut config: Config = server.address.parse().map_err(PostgresError::Address)?;
        if config.get_password().is_some() {
            return Err(PostgresError::Password);
        }
        if config.get_hosts().len().max(config.get_hostaddrs().len()) != 1 {
            return Err(PostgresError::NotOne);
        }
        // What the string says of TLS is not asked: with certificates to trust it is demanded.
        if server.tls.is_some() {
            if !matches!(config.get_hosts().first(), Some(Host::Tcp(_))) {
                return Err(PostgresError::Nameless);
            }
            config.ssl_mode(SslMode::Require);
        } else {
            local(&config)?;
            config.ssl_mode(SslMode::Disable);
        }
        if let Some(password) = &server.password {
            config.password(password);
        }
        let timeouts = server.timeouts;
        config.connect_timeout(timeouts.connect).application_name("clover");
        Ok(Self { config, tls: server.tls.clone(), timeouts })
    }
}

/// That the server is on this machine.
fn local(config: &Config) -> Result<(), PostgresError> {
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    let far = |address: &IpAddr| !address.is_loopback();
    if let Some(address) = addresses.iter().find(|a| far(a)) {
        return Err(PostgresError::NotLocal(address.to_string()));
    }
    if let Some(Host::Tcp(name)) = hosts.first()
            && addresses.is_empty()
            // A name may lead anywhere by the time that it is looked up.
            && name.parse().map_or(true, |address| far(&address))
    {
        return Err(PostgresError::NotLocal(name.clone()));
    }
    Ok(())
}

/// A connection to a server that keeps what it confirms.
///
/// A thread of its own drives it until the value is dropped, so that whoever waits for an answer needs no
/// runtime, and may be on a thread of one.
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// The server said something with the weight of a warning.
    warned: Arc<AtomicBool>,
    wait: Duration,
    /// Statements that were prepared on it, by their text.
    prepared: Mutex<HashMap<String, Statement>>,
}

impl Connection {
    pub(crate) fn open(address: &Address) -> Result<Self, PostgresError> {
        let warned = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::sync_channel(1);
        let (address, note, wait) = (address.clone(), Arc::clone(&warned), address.timeouts.statement);
        thread::Builder::new()
            .name("ledger-database".to_owned())
            .spawn(move || drive(&address, &note, &sender))
            .map_err(PostgresError::Thread)?;
        let ended = || PostgresError::Thread(std::io::Error::other("the thread ended"));
        let client = receiver.recv().map_err(|_| ended())??;
        let connection = Self { client, warned, wait, prepared: Mutex::default() };
        connection.demand_care()?;
        Ok(connection)
    }

    /// Runs statements until the server is ready for the next one, or the time is over.
    pub(crate) fn run<T>(
        &self,
        statements: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, PostgresError> {
        self.warned.store(false, Ordering::SeqCst);
        let (until, mut statements) = (Instant::now() + self.wait, pin!(statements));
        let waker = Arc::new(Unpark(thread::current())).into();
        loop {
            if let Poll::Ready(done) = statements.as_mut().poll(&mut Context::from_waker(&waker)) {
                return done.map_err(PostgresError::Server);
            }
            match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Err(PostgresError::Timeout(self.wait)),
                left => thread::park_timeout(left),
            }
        }
    }

    /// A statement, which is prepared once.
    pub(crate) fn prepared(&self, sql: &str) -> Result<Statement, PostgresError> {
        let known = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let made = self.run(self.client.prepare(sql))?;
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.insert(sql.to_owned(), made.clone());
        Ok(made)
    }

    /// That the server did not warn while the last statements ran.
    pub(crate) fn unwarned(&self) -> Result<(), PostgresError> {
        if self.warned.load(Ordering::SeqCst) { Err(PostgresError::Warned) } else { Ok(()) }
    }

    /// Whether the log's tables are there. They must survive a crash of the server.
    pub(super) fn has_tables(&self) -> Result<bool, PostgresError> {
        let kinds = "select relname::text, relpersistence::text from pg_class \
                     where oid in (to_regclass('clover_log'), to_regclass('clover_log_frame'))";
        let rows = self.run(self.client.query(kinds, &[]))?;
        for row in &rows {
            let kind: String = row.try_get(1).map_err(PostgresError::Server)?;
            if kind != "p" {
                let name: String = row.try_get(0).map_err(PostgresError::Server)?;
                return Err(PostgresError::Careless { name, value: "not logged".to_owned() });
            }
        }
        Ok(rows.len() == 2)
    }

    /// Refuses a server whose confirmations are worth nothing, and pins what a session may choose.
    fn demand_care(&self) -> Result<(), PostgresError> {
        let settings = "select name, setting from pg_settings where name in \
            ('fsync', 'full_page_writes', 'data_sync_retry', 'synchronous_commit') union all \
            select 'in recovery', case when pg_is_in_recovery() then 'on' else 'off' end";
        let rows = self.run(self.client.query(settings, &[]))?;
        let mut commit = "on".to_owned();
        for row in rows {
            let name: String = row.try_get(0).map_err(PostgresError::Server)?;
            let value: String = row.try_get(1).map_err(PostgresError::Server)?;
            let good = match name.as_str() {
                "data_sync_retry" | "in recovery" => value == "off",
                "synchronous_commit" => matches!(value.as_str(), "on" | "remote_apply"),
                _ => value == "on",
            };
            if !good {
                return Err(PostgresError::Careless { name, value });
            }
            if name == "synchronous_commit" {
                commit = value;
            }
        }
        // The server's own limits are shorter than ours only by chance; ours ends the process.
        let wait = self.wait.as_millis();
        self.run(self.client.batch_execute(&format!(
            "set synchronous_commit = {commit}; set statement_timeout = {wait}; set lock_timeout = {wait}; \
             set idle_in_transaction_session_timeout = {wait}; set client_min_messages = warning; \
             set default_transaction_isolation = 'read committed'; set default_transaction_read_only = off"
        )))
    }
}

/// Wakes a thread that waits for an answer.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Connects, and moves bytes until the client is dropped or the connection breaks.
fn drive(
    address: &Address,
    warned: &AtomicBool,
    connected: &mpsc::SyncSender<Result<Client, PostgresError>>,
) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return drop(connected.send(Err(PostgresError::Thread(e)))),
    };
    let limit = address.timeouts.connect;
    runtime.block_on(async {
        match &address.tls {
            Some(tls) => {
                let connecting = address.config.connect(Secure::new(Arc::clone(tls)));
                serve(tokio::time::timeout(limit, connecting).await, limit, warned, connected).await;
            }
            None => {
                let connecting = address.config.connect(NoTls);
                serve(tokio::time::timeout(limit, connecting).await, limit, warned, connected).await;
            }
        }
    });
}

type Connecting<S, T> = Result<Result<(Client, tokio_postgres::Connection<S, T>), Error>, Elapsed>;

async fn serve<S, T>(
    connection: Connecting<S, T>,
    limit: Duration,
    warned: &AtomicBool,
    connected: &mpsc::SyncSender<Result<Client, PostgresError>>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    match connection {
        Err(_) => drop(connected.send(Err(PostgresError::Timeout(limit)))),
        Ok(Err(e)) => drop(connected.send(Err(PostgresError::Server(e)))),
        Ok(Ok((client, connection))) => {
            // Nobody waits any more if this fails; the client is gone then, and the connection ends.
            let _ = connected.send(Ok(client));
            listen(connection, warned).await;
        }
    }
}

async fn listen<S, T>(mut connection: tokio_postgres::Connection<S, T>, warned: &AtomicBool)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
        if let AsyncMessage::Notice(notice) = message
            && notice.parsed_severity() == Some(Severity::Warning)
        {
            tracing::warn!(code = notice.code().code(), "the database server warns");
            // INVARIANT: a notice is told before the answer to its statement is handed on.
            warned.store(true, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(address: &str, tls: bool) -> Result<Address, PostgresError> {
        let trusting = || {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let roots = rustls::RootCertStore::empty();
            Arc::new(builder.unwrap().with_root_certificates(roots).with_no_client_auth())
        };
        Address::new(&Database {
            address: address.to_owned(),
            tls: tls.then(trusting),
            ..Database::default()
        })
    }

    #[test]
    fn in_the_clear_only_one_server_on_this_machine_is_taken() {
        for good in [
            "host=/run/postgresql user=clover dbname=clover",
            "postgresql://clover@127.0.0.1:5433/clover?sslmode=require",
            "postgresql://clover@[::1]/clover",
            "host=db.example hostaddr=127.0.0.1 user=clover",
        ] {
            assert!(address(good, false).is_ok(), "{good}");
        }
        for far in [
            "host=db.example user=clover",
            "host=db.example user=clover sslmode=require",
            "host=localhost user=clover",
            "host=10.0.0.1 user=clover",
            "host=127.0.0.1 hostaddr=10.0.0.1 user=clover",
        ] {
            let refused = address(far, false).err();
            assert!(matches!(refused, Some(PostgresError::NotLocal(_))), "{far}: {refused:?}");
        }
    }

    #[test]
    fn over_tls_one_server_with_a_name_is_taken_and_nothing_is_said_in_the_clear() {
        for good in ["host=db.example user=clover", "host=10.0.0.1 user=clover sslmode=disable"] {
            assert_eq!(address(good, true).unwrap().config.get_ssl_mode(), SslMode::Require, "{good}");
        }
        for nameless in ["host=/run/postgresql user=clover", "hostaddr=10.0.0.1 user=clover"] {
            assert!(matches!(address(nameless, true).err(), Some(PostgresError::Nameless)), "{nameless}");
        }
    }

    #[test]
    fn two_servers_a_password_and_what_is_no_connection_string_are_refused() {
        for tls in [false, true] {
            for other in ["user=clover", "host=/a,/b user=clover", "hostaddr=127.0.0.1,127.0.0.1 user=clover"]
            {
                assert!(matches!(address(other, tls).err(), Some(PostgresError::NotOne)), "{other}");
            }
            let told = address("host=127.0.0.1 user=clover password=secret", tls).err();
            assert!(matches!(told, Some(PostgresError::Password)));
            assert!(matches!(address("host", tls).err(), Some(PostgresError::Address(_))));
        }
    }
}
