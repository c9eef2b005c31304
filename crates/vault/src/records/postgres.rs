//! The record store of several processes, in a PostgreSQL database.
//!
//! Each table has the columns part, key, version and value. A few changes apart from each other are one statement. More are one
//! transaction, which is sent as a whole, from its beginning to its commit, without waiting for an answer; each edit is a
//! statement about one key, so that a sharded database can route it. A statement whose condition does not hold fails, and all
//! are undone by it; then each change is made in a transaction of its own, step by step.
//! What a careless server confirms is refused, as for the ledger's log.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::try_join_all;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, Statement};

use super::engine::{At, Cell, Cells, Change, Edit, Engine, EngineError, Expect, Page, Table, To};
use super::statement::{asserted, touching, whole};
use crate::control::store::{Pool, Schema, StoreError, unknown};
use crate::log::postgres::address::Address;
use crate::log::postgres::connection::Connection;
use crate::log::{Database as Server, PostgresError};

const SCHEMA: Schema = Schema {
    versions: "clover_vault_version",
    migrations: &[
        include_str!("../../migrations/0001_records.sql"),
        include_str!("../../migrations/0002_beats.sql"),
    ],
};
/// Tables of ours that would not survive a crash of the server.
const UNLOGGED: &str = "select relname::text from pg_class \
     where relname like 'clover\\_vault\\_%' and relkind = 'r' and relpersistence <> 'p'";
/// Connections of one process.
const CONNECTIONS_MAX: usize = 12;
/// Transactions of one process at a time; the rest of the connections is for readers.
const WRITERS: usize = 8;
/// Cells that are read with one statement.
const ROWS: usize = 256;
/// How often a transaction is tried that another one was in the way of.
const ATTEMPTS: usize = 5;

/// Holds as long as the server asks the same others as when the connection was opened; it fails by a division by zero.
const SAME_NAMES: &str = "select 1 / (current_setting('synchronous_standby_names') = $1)::int";

const BEAT: &str = "insert into clover_vault_beats values ($1, $2, now()) \
     on conflict (process) do update set number = excluded.number, at = excluded.at";
/// A process that is still there beats more often than this.
const OLD_BEATS: &str = "delete from clover_vault_beats where at < now() - interval '1 day'";

/// What came of a transaction that was sent as a whole.
enum AtOnce {
    /// All conditions held, and it is durable.
    Done,
    /// A condition did not hold, and nothing was done.
    Failed,
    /// Nothing was done: it is to be made step by step.
    Again,
}

/// The engine.
pub(super) struct Database {
    pool: Pool,
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database(e) => Self::Database(e),
            StoreError::Busy(wait) => Self::Busy(wait),
            StoreError::Forged => Self::Form,
            StoreError::Missing => Self::Missing,
            StoreError::Schema { found, needed } => Self::Schema { found, needed },
            other => Self::Unknown(Box::new(other)),
        }
    }
}

impl Database {
    /// Brings the tables of a database to the version of this program. Explicit, never a side effect of a start.
    pub(super) fn migrate(server: &Server) -> Result<(), EngineError> {
        SCHEMA.apply(&Connection::open(&Address::new(server)?)?)?;
        Ok(())
    }

    /// Opens tables that were made.
    pub(super) fn open(server: &Server) -> Result<Self, EngineError> {
        let pool = Pool::new(Address::new(server)?, CONNECTIONS_MAX, server.timeouts.statement);
        pool.reading(|connection| {
            if let Some(row) = connection.run(connection.client.query(UNLOGGED, &[]))?.first() {
                let (name, value) = (column(row, 0)?, "not logged".to_owned());
                return Err(PostgresError::Careless { name, value }.into());
            }
            SCHEMA.fits(connection)
        })?;
        Ok(Self { pool })
    }

    /// Writes the number of a process's last beat, as durably as any change.
    pub(super) fn beat(&self, process: &[u8], number: i64) -> Result<(), StoreError> {
        let lent = self.pool.beginning()?;
        let connection = lent.get()?;
        let statement = connection.prepared(BEAT)?;
        connection.run(connection.client.execute(&statement, &[&process, &number]))?;
        lent.commit()
    }

    /// Removes the beats of processes that ended long ago.
    pub(super) fn forget_beats(&self) -> Result<(), EngineError> {
        self.in_transaction(|connection| {
            connection.run(connection.client.batch_execute(OLD_BEATS))?;
            Ok(())
        })
    }

    /// Makes changes by one statement, if they are few and apart.
    fn by_one(&self, sql: &str, edits: &[&Edit]) -> Result<AtOnce, StoreError> {
        let lent = self.pool.ready()?;
        let connection = lent.get()?;
        let statement = connection.prepared(sql)?;
        let names = connection.good_names();
        let versions: Vec<_> = edits.iter().map(|edit| version_of(edit)).collect::<Result<_, _>>()?;
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&names];
        for (edit, version) in edits.iter().zip(&versions) {
            values.extend(values_of(edit, version.as_ref()));
        }
        let error = match connection.run(connection.client.execute(&statement, &values)) {
            Ok(_) => {
                connection.unwarned().map_err(unknown)?;
                lent.keep();
                return Ok(AtOnce::Done);
            }
            Err(PostgresError::Server(error)) => error,
            Err(e) => return Err(unknown(e)),
        };
        // INVARIANT: an error of this severity undoes the statement. A worse one ends the connection, perhaps behind the commit.
        let undone = error.as_db_error().filter(|e| e.parsed_severity() == Some(Severity::Error));
        let Some(code) = undone.map(|e| e.code().clone()) else {
            return Err(unknown(PostgresError::Server(error)));
        };
        lent.keep();
        let error = StoreError::Database(PostgresError::Server(error));
        match code {
            SqlState::DIVISION_BY_ZERO => Ok(AtOnce::Failed),
            // Other names, or what a sharded server makes in several steps only: then all is done and told step by step.
            SqlState::INVALID_TEXT_REPRESENTATION | SqlState::FEATURE_NOT_SUPPORTED => Ok(AtOnce::Again),
            _ if was_in_the_way(&error) => Ok(AtOnce::Again),
            _ => Err(error),
        }
    }

    /// Makes changes in one transaction that is sent as a whole.
    fn at_once(&self, changes: &[&Change]) -> Result<AtOnce, StoreError> {
        if let Some((sql, edits)) = whole(changes) {
            return self.by_one(&sql, &edits);
        }
        let lent = self.pool.ready()?;
        let connection = lent.get()?;
        let (same, sent) = (connection.prepared(SAME_NAMES)?, sent(connection, changes, asserted)?);
        let (client, names) = (&connection.client, connection.good_names());
        let mut all: Vec<Sending<'_>> = vec![
            Box::pin(client.batch_execute("begin")),
            Box::pin(async { client.execute(&same, &[&names]).await.map(drop) }),
        ];
        all.extend(
            sent.iter().map(|one| -> Sending<'_> { Box::pin(async { one.touch(client).await.map(drop) }) }),
        );
        // INVARIANT: behind a statement that failed the server undoes everything, and the commit ends that.
        all.push(Box::pin(client.batch_execute("commit")));
        let mut answers = connection.run(async { Ok(in_order(all).await) }).map_err(unknown)?;
        let ended = answers.pop().unwrap_or(Ok(()));
        let first = answers.into_iter().enumerate().find_map(|(n, answer)| Some((n, answer.err()?)));
        let Some((n, error)) = first else {
            let done = ended.map_err(PostgresError::Server).and_then(|()| connection.unwarned());
            done.map_err(unknown)?;
            lent.keep();
            return Ok(AtOnce::Done);
        };
        // A connection that broke may have broken behind the commit.
        // Without a beginning each statement stood for itself.
        if n == 0 || error.as_db_error().is_none() || ended.is_err() {
            return Err(unknown(PostgresError::Server(error)));
        }
        lent.keep();
        let asserted = error.code() == Some(&SqlState::DIVISION_BY_ZERO);
        let error = StoreError::Database(PostgresError::Server(error));
        match n {
            2.. if asserted => Ok(AtOnce::Failed),
            _ if asserted || was_in_the_way(&error) => Ok(AtOnce::Again),
            _ => Err(error),
        }
    }

    /// Makes changes in one transaction, step by step; says of each whether its conditions held. Where one's did not, nothing was done.
    fn together(&self, changes: &[&Change]) -> Result<Vec<bool>, StoreError> {
        let lent = self.pool.beginning()?;
        let held = edits(lent.get()?, changes);
        match &held {
            Ok(all) if all.iter().all(|held| *held) => lent.commit()?,
            _ => lent.rollback(),
        }
        held
    }

    /// The same, again for as long as another transaction was in the way.
    fn patiently(&self, changes: &[&Change]) -> Result<Vec<bool>, StoreError> {
        for _ in 1..ATTEMPTS {
            match self.together(changes) {
                Err(e) if was_in_the_way(&e) => {}
                done => return done,
            }
        }
        self.together(changes)
    }

    fn in_transaction(
        &self,
        work: impl Fn(&Connection) -> Result<(), StoreError>,
    ) -> Result<(), EngineError> {
        let lent = self.pool.beginning()?;
        match work(lent.get()?) {
            Ok(()) => Ok(lent.commit()?),
            Err(e) => {
                lent.rollback();
                Err(e.into())
            }
        }
    }
}

/// Whether a transaction was undone since it and another one waited for each other.
fn was_in_the_way(error: &StoreError) -> bool {
    let StoreError::Database(PostgresError::Server(e)) = error else { return false };
    matches!(e.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE))
}

pub(super) fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    at: usize,
) -> Result<T, StoreError> {
    Ok(row.try_get(at).map_err(PostgresError::Server)?)
}

pub(super) fn cell(row: &Row, at: usize) -> Result<Cell, StoreError> {
    let version: i64 = column(row, at)?;
    let version = u64::try_from(version).map_err(|_| StoreError::Forged)?;
    Ok(Cell { version, value: column(row, at + 1)? })
}

/// An edit that is to be sent, and the place of its change.
struct Sent<'a> {
    number: usize,
    edit: &'a Edit,
    statement: Statement,
    version: Option<i64>,
}

impl Sent<'_> {
    /// Sends it, and says how many rows it touched or gave.
    async fn touch(&self, client: &Client) -> Result<u64, Error> {
        client.execute(&self.statement, &values_of(self.edit, self.version.as_ref())).await
    }
}

/// The values of a statement about an edit, in their order.
fn values_of<'a>(edit: &'a Edit, version: Option<&'a i64>) -> Vec<&'a (dyn ToSql + Sync)> {
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&edit.at.part, &edit.at.key];
    if let To::Put(value) = &edit.to {
        values.push(value);
    }
    if let Some(version) = version {
        values.push(version);
    }
    values
}

/// The version that an edit expects.
fn version_of(edit: &Edit) -> Result<Option<i64>, StoreError> {
    match edit.expect {
        Expect::Version(version) => i64::try_from(version).map(Some).map_err(|_| StoreError::Forged),
        Expect::Absent | Expect::Any => Ok(None),
    }
}

fn sent<'a>(
    connection: &Connection,
    changes: &[&'a Change],
    statement: impl Fn(&Edit) -> Option<String>,
) -> Result<Vec<Sent<'a>>, StoreError> {
    let mut sent = Vec::new();
    for (number, change) in changes.iter().enumerate() {
        for edit in *change {
            let Some(sql) = statement(edit) else { continue };
            let version = version_of(edit)?;
            sent.push(Sent { number, edit, statement: connection.prepared(&sql)?, version });
        }
    }
    Ok(sent)
}

/// A statement on its way.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// Has statements sent in their order, and waits for all their answers: each is sent when it is first polled.
async fn in_order(mut all: Vec<Sending<'_>>) -> Vec<Result<(), Error>> {
    let mut answers: Vec<Option<Result<(), Error>>> = all.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut waits = false;
        for (one, answer) in all.iter_mut().zip(&mut answers).filter(|(_, answer)| answer.is_none()) {
            match one.as_mut().poll(cx) {
                Poll::Ready(answered) => *answer = Some(answered),
                Poll::Pending => waits = true,
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    answers.into_iter().flatten().collect()
}

/// Makes edits, and says of each change whether all its conditions held.
fn edits(connection: &Connection, changes: &[&Change]) -> Result<Vec<bool>, StoreError> {
    let sent = sent(connection, changes, |edit| touching(edit, 1))?;
    let touched = sent.iter().map(async |one| Ok((one, one.touch(&connection.client).await?)));
    let mut held = vec![true; changes.len()];
    for (one, touched) in connection.run(try_join_all(touched))? {
        // Whatever was there may be removed, or nothing.
        let free = matches!((&one.edit.to, one.edit.expect), (To::Removed, Expect::Any));
        if let Some(held) = held.get_mut(one.number) {
            *held &= free || touched == 1;
        }
    }
    Ok(held)
}

/// The statement behind a read of one cell.
fn one(table: Table) -> String {
    format!("select version, value from clover_vault_{} where part = $1 and key = $2", table.word())
}

/// The statement behind rows of a part, in the order of their keys.
fn some(table: Table) -> String {
    let table = table.word();
    format!(
        "select key, version, value from clover_vault_{table} where part = $1 and key > $2 order by key limit $3"
    )
}

/// The cells of a part, by `rows` behind a key and at most so many.
pub(super) fn paged(
    (prefix, after): (&[u8], &[u8]),
    most: usize,
    bytes: usize,
    mut rows: impl FnMut(&[u8], i64) -> Result<Page, StoreError>,
) -> Result<Page, StoreError> {
    // The prefix itself is no key of ours, and what begins with it lies behind it.
    let (mut behind, mut page, mut length) = (after.max(prefix).to_vec(), Page::new(), 0);
    loop {
        let limit = ROWS.min(most.saturating_sub(page.len()));
        let rows = rows(&behind, i64::try_from(limit).unwrap_or(i64::MAX))?;
        let ended = rows.len() < limit;
        for (key, cell) in rows {
            if !key.starts_with(prefix) || length > bytes {
                return Ok(page);
            }
            length += cell.value.len();
            behind.clone_from(&key);
            page.push((key, cell));
        }
        if ended || page.len() >= most {
            return Ok(page);
        }
    }
}

impl Cells for Database {
    fn get(&self, places: &[At]) -> Result<Vec<Option<Cell>>, EngineError> {
        Ok(self.pool.reading(|connection| {
            let mut sent = Vec::with_capacity(places.len());
            for at in places {
                sent.push((at, connection.prepared(&one(at.table))?));
            }
            let rows = sent.iter().map(async |(at, statement)| {
                connection.client.query_opt(statement, &[&at.part, &at.key]).await
            });
            let rows = connection.run(try_join_all(rows))?;
            rows.iter().map(|row| row.as_ref().map(|row| cell(row, 0)).transpose()).collect()
        })?)
    }

    fn page(
        &self,
        (table, part): (Table, &[u8]),
        prefix: &[u8],
        after: &[u8],
        most: usize,
        bytes: usize,
    ) -> Result<Page, EngineError> {
        let sql = some(table);
        Ok(paged((prefix, after), most, bytes, |behind, limit| {
            self.pool.reading(|connection| {
                let statement = connection.prepared(&sql)?;
                let rows = connection.run(connection.client.query(&statement, &[&part, &behind, &limit]))?;
                rows.iter().map(|row| Ok((column(row, 0)?, cell(row, 1)?))).collect()
            })
        })?)
    }
}

impl Engine for Database {
    fn writers(&self) -> usize {
        WRITERS
    }

    fn parts(&self, table: Table, after: &[u8], most: usize) -> Result<Page, EngineError> {
        let sql = format!(
            "select part, version, value from clover_vault_{} where part > $1 order by part limit $2",
            table.word()
        );
        Ok(self.pool.reading(|connection| {
            let (statement, limit) = (connection.prepared(&sql)?, i64::try_from(most).unwrap_or(i64::MAX));
            let rows = connection.run(connection.client.query(&statement, &[&after, &limit]))?;
            rows.iter().map(|row| Ok((column(row, 0)?, cell(row, 1)?))).collect()
        })?)
    }

    fn apply(&self, changes: &[&Change]) -> Vec<Result<bool, Arc<EngineError>>> {
        let failed = |e: StoreError| Arc::new(EngineError::from(e));
        match self.at_once(changes) {
            Ok(AtOnce::Done) => return vec![Ok(true); changes.len()],
            Ok(AtOnce::Failed) if changes.len() == 1 => return vec![Ok(false)],
            Ok(AtOnce::Failed | AtOnce::Again) => {}
            Err(e) => return vec![Err(failed(e)); changes.len()],
        }
        let alone = |change| {
            let held = self.patiently(std::slice::from_ref(change)).map_err(failed)?;
            Ok(held.first().copied().unwrap_or(false))
        };
        changes.iter().map(alone).collect()
    }

    fn load(&self, cells: Vec<(At, Vec<u8>)>) -> Result<(), EngineError> {
        let types = [Type::BYTEA, Type::BYTEA, Type::INT8, Type::BYTEA];
        self.in_transaction(|connection| {
            for table in Table::ALL {
                let cells = || cells.iter().filter(|(at, _)| at.table == table);
                if cells().next().is_none() {
                    continue;
                }
                let sql = format!("copy clover_vault_{} from stdin (format binary)", table.word());
                connection.run(async {
                    let sink = connection.client.copy_in(&sql).await?;
                    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
                    for (at, value) in cells() {
                        writer.as_mut().write(&[&at.part, &at.key, &1_i64, value]).await?;
                    }
                    writer.finish().await
                })?;
            }
            Ok(())
        })
    }

    fn clear(&self, table: Table, part: &[u8]) -> Result<(), EngineError> {
        let sql = format!("delete from clover_vault_{} where part = $1", table.word());
        self.in_transaction(|connection| {
            let statement = connection.prepared(&sql)?;
            connection.run(connection.client.execute(&statement, &[&part]))?;
            Ok(())
        })
    }

    fn count(&self, table: Table) -> Result<u64, EngineError> {
        let sql = format!("select count(*) from clover_vault_{}", table.word());
        Ok(self.pool.reading(|connection| {
            let row = connection.run(connection.client.query_one(&sql, &[]))?;
            u64::try_from(column::<i64>(&row, 0)?).map_err(|_| StoreError::Forged)
        })?)
    }
}
