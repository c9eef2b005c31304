//! A connection to the database server on which every wait ends, and what the server must promise.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, unconstrained};
use tokio_postgres::error::Severity;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Error, NoTls, SimpleQueryMessage, Socket, Statement};

use super::address::{Address, confirming};
use super::secure::Secure;

/// Statements that stay prepared on a connection.
const PREPARED_MAX: usize = 256;

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
    /// Names, addresses and ports are lists of one length, and not longer than this.
    #[error("the list of database servers does not name one to {0} of them")]
    Servers(usize),
    /// Two servers may have two histories, unless each asks the others before it confirms.
    #[error("several database servers are named, and `quorum` asks for no confirmation of another")]
    NoQuorum,
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

/// A connection to a server that keeps what it confirms.
///
/// Whoever waits for an answer drives it on their own thread, which may be one of a runtime: no other thread has to be woken
/// for a statement to be sent. One thread of the process tells all who wait when a server has answered.
pub(crate) struct Connection {
    pub(crate) client: Client,
    // INVARIANT: dropped after the client, so that the server is told of the end.
    driver: Driver,
    /// The server said something with the weight of a warning.
    warned: Arc<AtomicBool>,
    wait: Duration,
    /// Statements that were prepared on it, by their text.
    prepared: Mutex<HashMap<String, Statement>>,
    /// How many other servers must confirm.
    quorum: u32,
    /// The `synchronous_standby_names` that were good when it was opened.
    names: OnceLock<String>,
}

impl Connection {
    pub(crate) fn open(address: &Address) -> Result<Self, PostgresError> {
        let warned = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::sync_channel(1);
        let (wait, quorum, reads) = (address.timeouts.statement, address.quorum, address.reads);
        let sockets = SOCKETS.as_ref().map_err(|e| PostgresError::Thread(std::io::Error::from(e.kind())))?;
        let (address, note) = (address.clone(), Arc::clone(&warned));
        sockets.spawn(async move {
            let connected = match &address.tls {
                Some(tls) => driven(first(&address, &Secure::new(Arc::clone(tls))).await, note),
                None => driven(first(&address, &NoTls).await, note),
            };
            // Nobody waits any more if this fails; the connection ends.
            let _ = sender.send(connected);
        });
        let ended = || PostgresError::Thread(std::io::Error::other("the thread ended"));
        let (client, driver) = receiver.recv().map_err(|_| ended())??;
        let (prepared, names) = (Mutex::default(), OnceLock::new());
        let connection = Self { client, driver, warned, wait, quorum, prepared, names };
        if reads {
            connection.only_read()?;
        } else {
            connection.demand_care()?;
        }
        Ok(connection)
    }

    /// Runs statements until the server is ready for the next one, or the time is over.
    pub(crate) fn run<T>(
        &self,
        statements: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, PostgresError> {
        self.warned.store(false, Ordering::SeqCst);
        let until = Instant::now() + self.wait;
        // Of a runtime's thread nothing is asked back before this one is done.
        let mut both = pin!(unconstrained(self.driver.along(statements)));
        let waker = Arc::new(Unpark(thread::current())).into();
        loop {
            if let Poll::Ready(done) = both.as_mut().poll(&mut Context::from_waker(&waker)) {
                return done.map_err(PostgresError::Server);
            }
            match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Err(PostgresError::Timeout(self.wait)),
                left => thread::park_timeout(left),
            }
        }
    }

    /// Whether the server has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        self.driver.turn(&mut Context::from_waker(Waker::noop()));
        self.client.is_closed()
    }

    /// A statement, which is prepared once.
    pub(crate) fn prepared(&self, sql: &str) -> Result<Statement, PostgresError> {
        let known = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let made = self.run(self.client.prepare(sql))?;
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if prepared.len() >= PREPARED_MAX {
            prepared.clear();
        }
        prepared.insert(sql.to_owned(), made.clone());
        Ok(made)
    }

    /// That the server did not warn while the last statements ran.
    pub(crate) fn unwarned(&self) -> Result<(), PostgresError> {
        if self.warned.load(Ordering::SeqCst) { Err(PostgresError::Warned) } else { Ok(()) }
    }

    /// Begins a transaction on a server that still asks as many others as it must.
    pub(crate) fn begin(&self) -> Result<(), PostgresError> {
        let told = self.run(self.client.simple_query("begin; show synchronous_standby_names"))?;
        self.enough(only(&told).unwrap_or_default())
    }

    /// The `synchronous_standby_names` of a server that asks as many others as it must.
    pub(crate) fn good_names(&self) -> &str {
        self.names.get().map_or("", String::as_str)
    }

    /// That a server with these `synchronous_standby_names` confirms nothing alone.
    pub(super) fn enough(&self, names: &str) -> Result<(), PostgresError> {
        if confirming(names) >= self.quorum {
            return Ok(());
        }
        Err(PostgresError::Careless { name: "synchronous_standby_names".to_owned(), value: names.to_owned() })
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

    /// Pins that a session writes nothing. What its server confirms counts for nothing, so that any server will do.
    fn only_read(&self) -> Result<(), PostgresError> {
        let wait = self.wait.as_millis();
        let set = format!(
            "set default_transaction_read_only = on; set statement_timeout = {wait}; set lock_timeout = {wait}; \
             set default_transaction_isolation = 'read committed'; set client_min_messages = warning"
        );
        self.run(self.client.batch_execute(&set))
    }

    /// Refuses a server whose confirmations are worth nothing, and pins what a session may choose.
    fn demand_care(&self) -> Result<(), PostgresError> {
        let settings = "select name, setting from pg_settings where name in \
            ('fsync', 'full_page_writes', 'data_sync_retry', 'synchronous_commit', \
             'synchronous_standby_names') union all \
            select 'in recovery', case when pg_is_in_recovery() then 'on' else 'off' end";
        let rows = self.run(self.client.query(settings, &[]))?;
        let mut commit = "on".to_owned();
        for row in rows {
            let name: String = row.try_get(0).map_err(PostgresError::Server)?;
            let value: String = row.try_get(1).map_err(PostgresError::Server)?;
            let good = match name.as_str() {
                "data_sync_retry" | "in recovery" => value == "off",
                "synchronous_standby_names" => self.enough(&value).is_ok(),
                "synchronous_commit" => matches!(value.as_str(), "on" | "remote_apply"),
                _ => value == "on",
            };
            if !good {
                return Err(PostgresError::Careless { name, value });
            }
            match name.as_str() {
                "synchronous_commit" => commit = value,
                "synchronous_standby_names" => drop(self.names.set(value)),
                _ => {}
            }
        }
        // The server's own limits are shorter than ours only by chance; ours ends the process.
        let wait = self.wait.as_millis();
        let told = self.run(self.client.simple_query(&format!(
            "set synchronous_commit = {commit}; set statement_timeout = {wait}; set lock_timeout = {wait}; \
             set idle_in_transaction_session_timeout = {wait}; set client_min_messages = warning; \
             set default_transaction_isolation = 'read committed'; set default_transaction_read_only = off; \
             show synchronous_commit"
        )))?;
        match only(&told) {
            Some(held) if held == commit => Ok(()),
            held => Err(PostgresError::Careless {
                name: "synchronous_commit".to_owned(),
                value: held.unwrap_or_default().to_owned(),
            }),
        }
    }
}

/// The one value that statements answered.
fn only(told: &[SimpleQueryMessage]) -> Option<&str> {
    told.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten(),
        _ => None,
    })
}

/// Wakes a thread that waits for an answer.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub(super) type Connected<S, T> = Result<(Client, tokio_postgres::Connection<S, T>), PostgresError>;

/// The first server that takes writes, in time. All are asked at once: nobody waits for a site that is gone.
pub(super) async fn first<T>(address: &Address, tls: &T) -> Connected<Socket, T::Stream>
where
    T: MakeTlsConnect<Socket> + Clone + Send + 'static,
    T::Stream: Send,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let limit = address.timeouts.connect;
    let mut asked = JoinSet::new();
    for server in &address.servers {
        let (server, tls) = (server.clone(), tls.clone());
        asked.spawn(async move { tokio::time::timeout(limit, server.connect(tls)).await });
    }
    let mut refused = PostgresError::Timeout(limit);
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok(Ok(Ok(connected))) => return Ok(connected),
            Ok(Ok(Err(e))) => refused = PostgresError::Server(e),
            // What a server said tells more than that another was silent.
            Ok(Err(_)) => {}
            Err(e) => refused = PostgresError::Thread(std::io::Error::other(e)),
        }
    }
    Err(refused)
}

/// The thread that connects, and tells who waits that a socket has something.
static SOCKETS: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(1).thread_name("database-io").enable_all().build()
});

/// What moves the bytes of a connection, until it ends.
struct Driver(Mutex<Option<Box<dyn Moves>>>);

trait Moves: Send {
    fn message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>>;
}

impl<S, T> Moves for tokio_postgres::Connection<S, T>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    fn message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> {
        self.poll_message(cx)
    }
}

/// A connection, and the flag that a warning of its server sets.
struct Warns<M> {
    moves: M,
    warned: Arc<AtomicBool>,
}

impl<M: Moves> Moves for Warns<M> {
    fn message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> {
        let message = ready!(self.moves.message(cx));
        if let Some(Ok(AsyncMessage::Notice(notice))) = &message
            && notice.parsed_severity() == Some(Severity::Warning)
        {
            tracing::warn!(code = notice.code().code(), "the database server warns");
            // INVARIANT: a notice is told before the answer to its statement is handed on.
            self.warned.store(true, Ordering::SeqCst);
        }
        Poll::Ready(message)
    }
}

impl Driver {
    /// Moves what can be moved.
    fn turn(&self, cx: &mut Context<'_>) {
        let mut driver = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(moves) = driver.as_mut() {
            match moves.message(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(None | Some(Err(_))) => *driver = None,
            }
        }
    }

    /// Statements, and what they need to be sent and answered.
    async fn along<T>(&self, statements: impl Future<Output = T>) -> T {
        let mut statements = pin!(statements);
        poll_fn(|cx| {
            if let Poll::Ready(done) = statements.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            self.turn(cx);
            statements.as_mut().poll(cx)
        })
        .await
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.turn(&mut Context::from_waker(Waker::noop()));
    }
}

fn driven<S, T>(
    connected: Connected<S, T>,
    warned: Arc<AtomicBool>,
) -> Result<(Client, Driver), PostgresError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (client, moves) = connected?;
    Ok((client, Driver(Mutex::new(Some(Box::new(Warns { moves, warned }))))))
}
