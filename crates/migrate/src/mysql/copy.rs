//! Streams rows from one end into a table of the other.

use bytes::Bytes;
use futures_util::SinkExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Row, Value};

use super::server::{Server, told, wrong};
use super::shape::Shape;
use crate::database::Session;
use crate::error::MigrateError;

/// Bytes that are sent at a time.
const PIECE: usize = 256 << 10;

/// Copies the rows of a table that a condition tells into a table of the staging database with the same columns. Never more than one of them is in memory, beside
/// a piece that is on its way.
pub(crate) async fn rows(
    server: &mut Server,
    staging: &Session,
    shape: &Shape,
    rest: &str,
    into: &str,
) -> Result<u64, MigrateError> {
    let copy = format!("copy {into} ({}) from stdin", shape.names());
    let lost = |e: tokio_postgres::Error| staging.wrong(&e);
    let mut sink = Box::pin(staging.client.copy_in::<_, Bytes>(&copy).await.map_err(lost)?);
    let mut result = server.conn.query_iter(shape.select(rest)).await.map_err(|e| wrong(&e))?;
    let (mut piece, mut count) = (Vec::with_capacity(PIECE), 0);
    while let Some(row) = result.next().await.map_err(|e| wrong(&e))? {
        let values = row.unwrap();
        shape.write(&plain(&values)?, &mut piece)?;
        count += 1;
        if piece.len() >= PIECE {
            sink.send(Bytes::from(std::mem::take(&mut piece))).await.map_err(lost)?;
        }
    }
    drop(result);
    sink.send(Bytes::from(piece)).await.map_err(lost)?;
    let taken = sink.as_mut().finish().await.map_err(lost)?;
    if taken != count {
        return Err(MigrateError::State(format!("{}: {taken} of {count} rows were taken", shape.plain)));
    }
    Ok(count)
}

/// Values as they come as text.
pub(crate) fn plain(values: &[Value]) -> Result<Vec<Option<&[u8]>>, MigrateError> {
    let one = |value| match value {
        &Value::NULL => Ok(None),
        Value::Bytes(bytes) => Ok(Some(bytes.as_slice())),
        _ => Err(told("a value does not come as text".into())),
    };
    values.iter().map(one).collect()
}

/// Sends rows that are written already into a table of the staging database.
pub(crate) async fn lines(staging: &Session, copy: &str, lines: Vec<u8>) -> Result<(), MigrateError> {
    let lost = |e: tokio_postgres::Error| staging.wrong(&e);
    let mut sink = Box::pin(staging.client.copy_in::<_, Bytes>(copy).await.map_err(lost)?);
    sink.send(Bytes::from(lines)).await.map_err(lost)?;
    sink.as_mut().finish().await.map_err(lost).map(drop)
}

/// A row of the source as values.
pub(crate) type Values = Vec<Value>;

/// The rows of a statement, for what is small.
pub(crate) async fn values(server: &mut Server, statement: &str) -> Result<Vec<Values>, MigrateError> {
    let rows: Vec<Row> = server.conn.query(statement).await.map_err(|e| wrong(&e))?;
    Ok(rows.into_iter().map(Row::unwrap).collect())
}
