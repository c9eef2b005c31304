//! Rows of the source that the region lacks: the keys of both ends are held against one another as they come, in one order. Memory does not
//! grow with their number.

use std::collections::VecDeque;
use std::pin::Pin;

use futures_util::StreamExt;
use tokio_postgres::CopyOutStream;

use crate::Migration;
use crate::compare::sum;
use crate::database::{Session, quoted};
use crate::error::MigrateError;
use crate::rows::{Splitter, cells};
use crate::table::{Form, Table};

type Key = Vec<String>;

/// Keys of rows as a server sends them.
struct Keys<'a> {
    session: &'a Session,
    stream: Pin<Box<CopyOutStream>>,
    splitter: Splitter,
    waiting: VecDeque<Key>,
    last: Option<Key>,
}

impl<'a> Keys<'a> {
    /// The keys of the rows for which a condition is true, in the order of their bytes.
    async fn of(session: &'a Session, table: &Table, condition: &str) -> Result<Self, MigrateError> {
        let columns: Vec<String> =
            table.key_columns().map(|c| format!("{}::text", quoted(&c.name))).collect();
        // The order of a server's language is not that of another's.
        let order: Vec<String> =
            columns.iter().map(|column| format!("convert_to({column}, 'UTF8')")).collect();
        let sql = format!(
            "copy (select {} from {} where {condition} order by {}) to stdout",
            columns.join(", "),
            table.name,
            order.join(", ")
        );
        let stream = session.client.copy_out(&sql).await.map_err(|e| session.wrong(&e))?;
        let (splitter, waiting) = (Splitter::new(Form::Text), VecDeque::new());
        Ok(Self { session, stream: Box::pin(stream), splitter, waiting, last: None })
    }

    async fn next(&mut self) -> Result<Option<Key>, MigrateError> {
        while self.waiting.is_empty() {
            let Some(piece) = self.stream.next().await else {
                std::mem::replace(&mut self.splitter, Splitter::new(Form::Text)).finish()?;
                return Ok(None);
            };
            let piece = piece.map_err(|e| self.session.wrong(&e))?;
            let (waiting, mut taken) = (&mut self.waiting, Ok(()));
            self.splitter.push(&piece, |row| match cells(row) {
                Ok(cells) => waiting.push_back(cells.into_iter().map(Option::unwrap_or_default).collect()),
                Err(e) => taken = Err(e),
            })?;
            taken?;
        }
        let key = self.waiting.pop_front();
        // INVARIANT: they ascend. Whatever came in another order would be taken for missing, or not be missed.
        if self.last.is_some() && key <= self.last {
            return Err(MigrateError::Stream("keys come in another order than that of their bytes"));
        }
        self.last.clone_from(&key);
        Ok(key)
    }
}

impl Migration {
    /// Rows of the source that the region has no more, or has not.
    pub(crate) async fn missing(&self) -> Result<u64, MigrateError> {
        let digests = self.begun().await?.key;
        let mut missing = 0;
        for part in self.parts().await? {
            let Some(table) = self.tables.iter().find(|table| table.plain == part.table) else { continue };
            let within = part.within(table);
            let moves = format!("{within} and {}", self.plan.moves(&self.tables, table));
            let here = sum(&self.source, table, &moves, digests).await?;
            if here == sum(&self.target, table, &within, digests).await? {
                continue;
            }
            let mut target = Keys::of(&self.target, table, &within).await?;
            let mut source = Keys::of(&self.source, table, &moves).await?;
            let mut there = target.next().await?;
            while let Some(key) = source.next().await? {
                while there.as_ref().is_some_and(|there| *there < key) {
                    there = target.next().await?;
                }
                missing += u64::from(there.as_ref() != Some(&key));
            }
        }
        Ok(missing)
    }
}
