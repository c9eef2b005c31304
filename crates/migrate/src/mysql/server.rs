//! A connection to a server of MySQL or MariaDB, on which values are written in one way only.

use std::net::IpAddr;
use std::path::Path;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, Opts, OptsBuilder, Row, SslOpts, Value};

use super::MysqlEnd;
use crate::error::MigrateError;

/// How values come, whatever the server's settings: texts in UTF-8, moments in UTC, years as years.
const READING: &[&str] = &[
    "set names utf8mb4",
    "set session time_zone = '+00:00', sql_mode = '', net_write_timeout = 3600, net_read_timeout = 3600, autocommit = 1",
];

/// Errors whose words hold names and no values: access, what is not there, a log that was purged, a table that changed.
const NAMES: &[u16] = &[1044, 1045, 1049, 1130, 1142, 1143, 1146, 1227, 1236, 1290, 1412, 1419, 1698, 2059];

/// A place in the binary log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) file: String,
    pub(crate) at: u64,
}

/// A connection.
pub(crate) struct Server {
    pub(crate) conn: Conn,
    /// MariaDB, and not MySQL.
    pub(crate) maria: bool,
    /// The database of the tables.
    pub(crate) database: String,
}

impl Server {
    /// Connects.
    pub(crate) async fn open(origin: &MysqlEnd) -> Result<Self, MigrateError> {
        let opts = options(origin)?;
        let database = opts.db_name().unwrap_or_default().to_owned();
        let conn = Conn::new(opts).await.map_err(|e| wrong(&e))?;
        let mut server = Self { conn, maria: false, database };
        let version = server.text("select version()").await?;
        server.maria = version.contains("MariaDB");
        for statement in READING {
            server.run(statement).await?;
        }
        // As the binary log writes it.
        server.database = server
            .text("select schema_name from information_schema.schemata where schema_name = database()")
            .await?;
        Ok(server)
    }

    /// Runs a statement whose answer nobody needs.
    pub(crate) async fn run(&mut self, statement: &str) -> Result<(), MigrateError> {
        self.conn.query_drop(statement).await.map_err(|e| wrong(&e))
    }

    /// Runs a statement that changes rows, and says how many it changed.
    pub(crate) async fn change(&mut self, statement: &str) -> Result<u64, MigrateError> {
        let done = self.conn.query_iter(statement).await.map_err(|e| wrong(&e))?;
        let rows = done.affected_rows();
        done.drop_result().await.map_err(|e| wrong(&e))?;
        Ok(rows)
    }

    /// The rows of a statement as texts. For what is small.
    pub(crate) async fn rows(&mut self, statement: &str) -> Result<Vec<Vec<Option<String>>>, MigrateError> {
        let rows: Vec<Row> = self.conn.query(statement).await.map_err(|e| wrong(&e))?;
        Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect())
    }

    /// The one text that a statement answers.
    pub(crate) async fn text(&mut self, statement: &str) -> Result<String, MigrateError> {
        let none = || told("it answers nothing".into());
        self.rows(statement).await?.into_iter().flatten().flatten().next().ok_or_else(none)
    }

    /// Which database of which server this is, whatever address led here.
    pub(crate) async fn identity(&mut self) -> Result<String, MigrateError> {
        let uuid = if self.maria { "''" } else { "@@server_uuid" };
        let sql = format!("select concat_ws('/', @@hostname, @@server_id, @@port, {uuid}, database())");
        self.text(&sql).await
    }

    /// Begins to read from one snapshot, and says which place of the binary log it is.
    pub(crate) async fn snapshot(&mut self, origin: &MysqlEnd) -> Result<Position, MigrateError> {
        self.run("set session transaction isolation level repeatable read").await?;
        if self.maria {
            self.run("start transaction with consistent snapshot, read only").await?;
            let told = self.rows("show status like 'binlog_snapshot_%'").await?;
            let of = |name: &str| {
                let row = told.iter().find(|row| {
                    row.first().and_then(Option::as_ref).is_some_and(|n| n.eq_ignore_ascii_case(name))
                });
                row.and_then(|row| row.get(1).cloned().flatten())
            };
            return position(of("binlog_snapshot_file"), of("binlog_snapshot_position"));
        }
        // Nobody commits for as long as it takes to ask where the log stands.
        let mut other = Self::open(origin).await?;
        other.run("flush tables with read lock").await?;
        self.run("start transaction with consistent snapshot, read only").await?;
        let at = other.log_end().await;
        other.run("unlock tables").await?;
        at
    }

    /// Where the binary log ends.
    pub(crate) async fn log_end(&mut self) -> Result<Position, MigrateError> {
        let mut row = match self.rows("show master status").await {
            // As it is called from MySQL 8.4 on.
            Err(_) => self.rows("show binary log status").await?,
            Ok(rows) => rows,
        };
        let mut row = row.pop().unwrap_or_default().into_iter();
        position(row.next().flatten(), row.next().flatten())
    }
}

fn position(file: Option<String>, at: Option<String>) -> Result<Position, MigrateError> {
    let none = || {
        told("it does not say where its binary log stands: is it on, and may this user ask (`replication client`, `binlog monitor`)?".into())
    };
    let file = file.filter(|file| !file.is_empty()).ok_or_else(none)?;
    let at = at.and_then(|at| at.parse().ok()).ok_or_else(none)?;
    Ok(Position { file, at })
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true)),
    }
}

/// Addresses, passwords and certificates as the library takes them.
fn options(origin: &MysqlEnd) -> Result<Opts, MigrateError> {
    let wrong = |why: &str| MigrateError::End { end: "mysql", why: why.to_owned() };
    let opts = Opts::from_url(&origin.address)
        .map_err(|_| wrong("the address is no `mysql://user@host:port/database`"))?;
    if opts.pass().is_some() {
        return Err(wrong("a password does not stand in an address: name a file with it"));
    }
    if opts.db_name().is_none_or(str::is_empty) {
        return Err(wrong("the address names no database"));
    }
    let host = opts.ip_or_hostname().trim_matches(['[', ']']);
    let loopback = host.parse::<IpAddr>().map_or(host == "localhost", |ip| ip.is_loopback());
    let here = loopback || opts.socket().is_some();
    let tls = match &origin.roots {
        None if here => None,
        None => return Err(wrong("without certificates to trust only a server on this machine will do")),
        Some(path) => Some(trusting(path)?),
    };
    let password = match &origin.password_file {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| MigrateError::file(path, e))?;
            Some(text.trim_end().to_owned())
        }
    };
    let socket = opts.socket().is_some();
    let builder = OptsBuilder::from_opts(opts).pass(password).ssl_opts(tls);
    Ok(builder.prefer_socket(socket).stmt_cache_size(0).local_infile_handler(None::<Nothing>).into())
}

/// What a server that asks for files of ours gets.
struct Nothing;

impl mysql_async::prelude::GlobalHandler for Nothing {
    fn handle(
        &self,
        _: &[u8],
    ) -> futures_util::future::BoxFuture<
        'static,
        Result<mysql_async::InfileData, mysql_async::LocalInfileError>,
    > {
        Box::pin(async { Err(std::io::Error::from(std::io::ErrorKind::PermissionDenied).into()) })
    }
}

/// TLS that trusts the authorities of a file, and no other.
fn trusting(path: &Path) -> Result<SslOpts, MigrateError> {
    // That they can be read, and that the one cryptographic library is the one in use.
    crate::database::trusting(path).map_err(|why| MigrateError::End { end: "mysql", why })?;
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let roots = vec![path.to_path_buf().into()];
    Ok(SslOpts::default().with_root_certs(roots).with_disable_built_in_roots(true))
}

pub(crate) fn told(text: String) -> MigrateError {
    MigrateError::Server { end: "mysql", text }
}

/// What broke, in words that hold no value.
pub(crate) fn wrong(error: &Error) -> MigrateError {
    told(match error {
        Error::Server(e) if NAMES.contains(&e.code) => format!("{} ({})", e.message, e.code),
        Error::Server(e) => format!("it refuses: error {} ({})", e.code, e.state),
        Error::Io(e) => e.to_string(),
        Error::Driver(DriverError::UnknownAuthPlugin { name }) => {
            format!("it asks for `{name}` to sign in, which is not known here")
        }
        Error::Driver(DriverError::ConnectionClosed) => "the connection broke off".into(),
        _ => "what it sends is not what it should be".into(),
    })
}

/// A name as its SQL writes it.
pub(crate) fn ticked(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text as its SQL writes it: as bytes, so that no setting and no character set matters.
pub(crate) fn text_literal(text: &str) -> String {
    bytes_literal("_utf8mb4 ", text.as_bytes())
}

/// Bytes as its SQL writes them, in a character set.
pub(crate) fn bytes_literal(set: &str, bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return format!("{set}''");
    }
    format!("{set}x'{}'", data_encoding::HEXLOWER.encode(bytes))
}
