//! The binary log: which rows were touched, by their keys. What they have become is not read from it.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use mysql_async::binlog::EventType;
use mysql_async::binlog::events::{Event, EventData, QueryEvent, RowsEventData};
use mysql_async::binlog::row::BinlogRow;
use mysql_async::binlog::value::BinlogValue;
use mysql_async::{BinlogStream, BinlogStreamRequest, Error, Value};

use super::MysqlEnd;
use super::server::{Position, Server, told, wrong};
use super::shape::{Column, Kind, Shape};
use crate::error::MigrateError;

/// Numbers of replicas from here on are ours: nobody numbers servers so high.
const REPLICA: u32 = 4_000_000_000;
/// A position that is so much lower than the one before is one beyond 4 GiB.
const WRAPPED: u64 = 1 << 30;
/// What statements do that change no row and no column, by how they begin.
const HARMLESS: &[&str] = &["analyze ", "optimize ", "grant ", "revoke ", "flush ", "check "];

/// A key, each of its values as the log has it.
pub(crate) type Key = Vec<Vec<u8>>;

/// Rows that were touched, by table and key; and whether the key ceased to be one, for a while or for good.
pub(crate) type Touched = BTreeMap<(usize, Key), bool>;

/// That a server's binary log has all that is needed.
pub(crate) async fn check(server: &mut Server) -> Result<(), MigrateError> {
    let refuse = |why: &str| Err(MigrateError::Plan(format!("mysql: {why}")));
    if server.text("select @@global.log_bin").await? != "1" {
        return refuse("its binary log is off (`log_bin`)");
    }
    if server.text("select @@global.binlog_format").await? != "ROW" {
        return refuse("its binary log does not say which rows change: `binlog_format = ROW` is needed");
    }
    if server.text("select @@global.binlog_row_image").await? != "FULL" {
        return refuse("its binary log has parts of rows only: `binlog_row_image = FULL` is needed");
    }
    if server.maria {
        if server.text("select @@global.log_bin_compress").await? != "0" {
            return refuse("its binary log is compressed: `log_bin_compress = OFF` is needed");
        }
        if server.text("select @@global.mysql56_temporal_format").await? != "1" {
            return refuse(
                "its times are written as before MySQL 5.6: `mysql56_temporal_format = ON` is needed",
            );
        }
    }
    let status = match server.rows("show master status").await {
        Err(_) => server.rows("show binary log status").await?,
        Ok(rows) => rows,
    };
    if status.iter().any(|row| row.iter().skip(2).take(2).flatten().any(|names| !names.is_empty())) {
        return refuse("its binary log leaves databases out (`binlog_do_db`, `binlog_ignore_db`)");
    }
    Ok(())
}

/// The log from one place to another.
pub(crate) struct Log<'a> {
    stream: BinlogStream,
    shapes: &'a [Shape],
    database: String,
    file: String,
    at: u64,
    /// The end of the last transaction that was read.
    pub(crate) boundary: Position,
    until: Position,
    /// Whether places are no longer told, since the file is longer than 4 GiB.
    beyond: bool,
    /// Whether the server said with which file it begins.
    begun: bool,
    inside: bool,
    /// Whether the transaction at hand touched rows of ours.
    touches: bool,
}

impl<'a> Log<'a> {
    pub(crate) async fn open(
        origin: &MysqlEnd,
        shapes: &'a [Shape],
        from: &Position,
        until: &Position,
    ) -> Result<Self, MigrateError> {
        let server = Server::open(origin).await?;
        let number = REPLICA + std::process::id() % 100_000_000;
        let request = BinlogStreamRequest::new(number).with_non_blocking();
        let request = request.with_filename(from.file.as_bytes()).with_pos(from.at);
        let stream = server.conn.get_binlog_stream(request).await.map_err(|e| lost(&e))?;
        Ok(Self {
            stream,
            shapes,
            database: server.database,
            file: from.file.clone(),
            at: from.at,
            boundary: from.clone(),
            until: until.clone(),
            beyond: false,
            begun: false,
            inside: false,
            touches: false,
        })
    }

    /// Takes what was touched until the end is reached or so many rows were; says whether it is the end.
    pub(crate) async fn read(&mut self, touched: &mut Touched, limit: usize) -> Result<bool, MigrateError> {
        while !self.is_at_end() {
            if touched.len() >= limit {
                return Ok(false);
            }
            let Some(event) = self.stream.next().await else {
                return Err(told("its binary log ends before the place that it told".into()));
            };
            self.take(&event.map_err(|e| lost(&e))?, touched)?;
        }
        self.boundary = self.until.clone();
        Ok(true)
    }

    fn is_at_end(&self) -> bool {
        let order = |file: &str| (file.len(), file.to_owned());
        (order(&self.file), self.at) >= (order(&self.until.file), self.until.at)
            && (!self.beyond || self.file != self.until.file)
    }

    fn take(&mut self, event: &Event, touched: &mut Touched) -> Result<(), MigrateError> {
        let at = u64::from(event.header().log_pos());
        self.beyond |= at > 0 && at + WRAPPED < self.at;
        self.at = self.at.max(at);
        // Kinds of events that MariaDB alone has are about other things than rows.
        let Ok(kind) = event.header().event_type() else { return Ok(()) };
        let unreadable = || told(format!("an event of its binary log cannot be read ({kind:?})"));
        match kind {
            EventType::ROTATE_EVENT | EventType::QUERY_EVENT | EventType::XID_EVENT => {}
            EventType::WRITE_ROWS_EVENT
            | EventType::WRITE_ROWS_EVENT_V1
            | EventType::UPDATE_ROWS_EVENT
            | EventType::UPDATE_ROWS_EVENT_V1
            | EventType::PARTIAL_UPDATE_ROWS_EVENT
            | EventType::DELETE_ROWS_EVENT
            | EventType::DELETE_ROWS_EVENT_V1 => {}
            EventType::XA_PREPARE_LOG_EVENT => return self.prepared(),
            EventType::INCIDENT_EVENT => {
                return Err(told("its binary log says that changes were lost".into()));
            }
            EventType::EXECUTE_LOAD_QUERY_EVENT => {
                return Err(told(
                    "rows were loaded from a file in a way that its binary log does not tell row by row"
                        .into(),
                ));
            }
            _ => return Ok(()),
        }
        match event.read_data().map_err(|_| unreadable())?.ok_or_else(unreadable)? {
            // The first names the file that was asked for, and is read before it is known that checksums stand behind events: its name is longer.
            EventData::RotateEvent(_) if !self.begun => {
                self.begun = true;
                Ok(())
            }
            EventData::RotateEvent(rotate) => {
                self.file = rotate.name().into_owned();
                self.at = rotate.position();
                self.beyond = false;
                Ok(())
            }
            EventData::XidEvent(_) => {
                self.ends();
                Ok(())
            }
            EventData::QueryEvent(query) => self.query(&query),
            EventData::RowsEvent(rows) => self.rows(&rows, touched),
            _ => Ok(()),
        }
    }

    /// A transaction is over.
    fn ends(&mut self) {
        (self.inside, self.touches) = (false, false);
        if !self.beyond {
            self.boundary = Position { file: self.file.clone(), at: self.at };
        }
    }

    /// A transaction of several servers was prepared: its rows may become so later, and the log does not tell them again.
    fn prepared(&mut self) -> Result<(), MigrateError> {
        if self.touches {
            return Err(MigrateError::State("a distributed transaction (XA) wrote rows that are mirrored: those are not followed. Mirror anew, into empty tables".into()));
        }
        self.ends();
        Ok(())
    }

    /// A statement. What may change a table of ours, or its rows without saying which, is not followed.
    fn query(&mut self, query: &QueryEvent<'_>) -> Result<(), MigrateError> {
        let text = query.query().to_lowercase();
        let text = text.trim_start();
        match text {
            "begin" => {
                self.inside = true;
                return Ok(());
            }
            "commit" | "rollback" => {
                self.ends();
                return Ok(());
            }
            _ => {}
        }
        if text.starts_with("xa prepare") {
            return self.prepared();
        }
        // Names without a database are of the one that was chosen.
        let ours = query.schema() == self.database || mentions(text, &self.database.to_lowercase());
        if let Some(shape) =
            self.shapes.iter().find(|shape| ours && mentions(text, &shape.origin.to_lowercase()))
            && !HARMLESS.iter().any(|word| text.starts_with(word))
            && !makes_trigger(text)
        {
            let what = "a statement of its binary log changes it, or rows of it without saying which".into();
            return Err(MigrateError::Changed { table: shape.origin.clone(), what });
        }
        if !self.inside {
            self.ends();
        }
        Ok(())
    }

    fn rows(&mut self, rows: &RowsEventData<'_>, touched: &mut Touched) -> Result<(), MigrateError> {
        let unknown = || told("its binary log has rows of a table that it does not name".into());
        let table = self.stream.get_tme(rows.table_id()).ok_or_else(unknown)?;
        if table.database_name() != self.database {
            return Ok(());
        }
        let found = self.shapes.iter().enumerate().find(|(_, shape)| table.table_name() == shape.origin);
        let Some((place, shape)) = found else { return Ok(()) };
        if table.columns_count() != shape.columns.len() as u64 {
            let what = "rows of its binary log have another number of columns".into();
            return Err(MigrateError::Changed { table: shape.origin.clone(), what });
        }
        self.touches = true;
        for row in rows.rows(table) {
            let unreadable = || told(format!("a row of {} in its binary log cannot be read", shape.origin));
            let (before, after) = row.map_err(|_| unreadable())?;
            let key =
                |row: Option<BinlogRow>| row.map(|row| key(shape, row).ok_or_else(unreadable)).transpose();
            let (before, after) = (key(before)?, key(after)?);
            let gone = before != after;
            if let Some(before) = before {
                *touched.entry((place, before)).or_default() |= gone;
            }
            if let Some(after) = after {
                touched.entry((place, after)).or_default();
            }
        }
        Ok(())
    }
}

/// What broke while the log was read.
fn lost(error: &Error) -> MigrateError {
    match error {
        Error::Server(e) if e.code == 1236 => MigrateError::State(format!(
            "mysql: the binary log is not there any more from where it would go on: {}. Mirror anew, into empty tables",
            e.message
        )),
        other => wrong(other),
    }
}

/// Whether a name is a word of a statement.
fn mentions(text: &str, name: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
    text.match_indices(name).any(|(at, _)| {
        let (before, after) =
            (text.get(..at).unwrap_or_default(), text.get(at + name.len()..).unwrap_or_default());
        !part(before.chars().next_back()) && !part(after.chars().next())
    })
}

fn makes_trigger(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let first = words.next();
    // Before the name of the table, and so of the statement's own words.
    let trigger = words.take(5).any(|word| word == "trigger");
    matches!(first, Some("create" | "drop")) && trigger
}

/// The key of a row.
fn key(shape: &Shape, mut row: BinlogRow) -> Option<Key> {
    shape.key.iter().map(|place| value(shape.columns.get(*place)?, row.take(*place)?)).collect()
}

/// A value of a key as the server writes it as text, but in the column's own character set.
fn value(column: &Column, value: BinlogValue<'_>) -> Option<Vec<u8>> {
    let BinlogValue::Value(value) = value else { return None };
    Some(match (column.kind, value) {
        (Kind::Int { bits, unsigned: true }, Value::Int(n)) => {
            // The log does not say which numbers have no sign.
            (n.cast_unsigned() & (u64::MAX >> (64 - u32::from(bits)))).to_string().into_bytes()
        }
        (Kind::Int { .. }, Value::Int(n)) => n.to_string().into_bytes(),
        (Kind::Int { .. }, Value::UInt(n)) => n.to_string().into_bytes(),
        (Kind::Date, Value::Date(y, m, d, ..)) => format!("{y:04}-{m:02}-{d:02}").into_bytes(),
        (Kind::DateTime, Value::Date(y, m, d, h, min, s, us)) => {
            format!("{y:04}-{m:02}-{d:02} {h:02}:{min:02}:{s:02}.{us:06}").into_bytes()
        }
        (Kind::Decimal | Kind::Text, Value::Bytes(bytes)) => bytes,
        (Kind::Binary, Value::Bytes(mut bytes)) => {
            // The log leaves out zeros at the end.
            if let Some(fixed) = column.fixed {
                bytes.resize(fixed.max(bytes.len()), 0);
            }
            bytes
        }
        _ => return None,
    })
}
