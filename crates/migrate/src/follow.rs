//! Following: the source's transactions are applied in their order, some of them in one transaction of the target, which also
//! takes down how far it is. Then the slot is told.

use std::collections::BTreeSet;
use std::pin::pin;

use futures_util::StreamExt;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::Migration;
use crate::apply::Applier;
use crate::database::literal;
use crate::error::MigrateError;
use crate::progress::{Lsn, State, not_copied};
use crate::stream::{Message, decode};

/// Changes that are asked for at once; a transaction is never parted. For each asking the server reads its log from the last point that it
/// remembers.
const BATCH: i32 = 100_000;

/// Most keys of changed rows that are remembered; then all is compared.
pub(crate) const TOUCHED_MAX: usize = 100_000;

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Followed {
    /// Transactions that were new.
    pub transactions: u64,
    /// Rows that came, changed or went at the target or might have.
    pub changes: u64,
}

/// Keys of rows that changed, by table: what must be looked at again.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) keys: BTreeSet<(usize, Vec<String>)>,
    /// People whose rows were brought as a whole: table and person.
    pub(crate) people: BTreeSet<(String, String)>,
    /// More than are remembered.
    pub(crate) many: bool,
}

impl Touched {
    pub(crate) fn add(&mut self, table: usize, key: &[String]) {
        if self.keys.len() >= TOUCHED_MAX {
            self.many = true;
        } else {
            self.keys.insert((table, key.to_vec()));
        }
    }
}
impl Migration {
    /// Applies what has come since the last time; nothing if nothing has.
    ///
    /// # Errors
    /// When an end refuses or breaks off, or the source's tables have changed. Nothing is half applied.
    pub async fn follow(&self) -> Result<Followed, MigrateError> {
        self.follow_noting(&mut Touched::default()).await
    }

    /// Applies all that was written at the source before this call. What is written meanwhile may be there, too.
    ///
    /// # Errors
    /// As [`Migration::follow`].
    pub async fn catch_up(&self) -> Result<Followed, MigrateError> {
        self.catch_up_noting(&mut Touched::default()).await
    }

    pub(crate) async fn catch_up_noting(&self, touched: &mut Touched) -> Result<Followed, MigrateError> {
        let end = self.flushed().await?;
        let mut all = Followed::default();
        loop {
            let done = self.follow_noting(touched).await?;
            all.transactions += done.transactions;
            all.changes += done.changes;
            let kept = self.begun().await?;
            if kept.followed >= Some(end) || kept.state >= State::Finished {
                return Ok(all);
            }
        }
    }

    /// Up to where the source's log is on its disk.
    async fn flushed(&self) -> Result<Lsn, MigrateError> {
        let lsn = self.source.text("select pg_current_wal_flush_lsn()::text").await?;
        Lsn::of(&lsn).ok_or(MigrateError::Stream("a position in the log cannot be read"))
    }

    /// That the slot has not gone on without us: what it has passed is nowhere else.
    async fn is_continuous(&self, from: Lsn) -> Result<(), MigrateError> {
        let sql = format!(
            "select (confirmed_flush_lsn <= '{from}')::text from pg_replication_slots where slot_name = {}",
            literal(&self.plan.slot())
        );
        match self.source.texts(&sql).await?.first().map(String::as_str) {
            Some("true") => Ok(()),
            Some(_) => {
                let text = "the source's slot has gone on without this migration: changes are lost. Begin anew under another name, with an empty target";
                Err(MigrateError::State(text.into()))
            }
            None => Err(MigrateError::State(format!(
                "the source's replication slot \"{}\" does not exist: changes are lost",
                self.plan.slot()
            ))),
        }
    }

    pub(crate) async fn follow_noting(&self, touched: &mut Touched) -> Result<Followed, MigrateError> {
        let kept = self.begun().await?;
        match kept.state {
            State::Beginning | State::Copying => {
                return Err(not_copied());
            }
            // Nothing is told any more.
            State::Finished | State::Destroying | State::Destroyed => return Ok(Followed::default()),
            State::Following | State::Served => {}
        }
        let from = kept.followed.unwrap_or(Lsn(0));
        self.free_slot().await?;
        self.is_continuous(from).await?;
        self.target.run("begin").await?;
        match self.apply(from, touched).await {
            Ok((done, end)) => {
                self.target.run("commit").await?;
                if let Some(end) = end.max(kept.followed) {
                    self.advance(end).await?;
                }
                if done.transactions > 0 {
                    // What comes of them is ahead of what is followed, which makes no difference in the end.
                    self.bring_moved(touched).await?;
                }
                Ok(done)
            }
            Err(error) => {
                // The connection may be gone, and then so is the transaction.
                drop(self.target.run("rollback").await);
                Err(error)
            }
        }
    }

    /// Lets the source forget what the target has.
    async fn advance(&self, to: Lsn) -> Result<(), MigrateError> {
        let slot = literal(&self.plan.slot());
        let sql = format!(
            "select pg_replication_slot_advance(slot_name, '{to}')::text from pg_replication_slots
             where slot_name = {slot} and confirmed_flush_lsn < '{to}'"
        );
        self.source.texts(&sql).await.map(drop)
    }

    async fn apply(&self, from: Lsn, touched: &mut Touched) -> Result<(Followed, Option<Lsn>), MigrateError> {
        let slot = self.plan.slot();
        let flushed = self.flushed().await?;
        // Looked at and not taken: they are there again if this is not committed.
        let sql = format!(
            "select data from pg_logical_slot_peek_binary_changes({0}, null, {BATCH}, 'proto_version', '1', 'publication_names', {0})",
            literal(&slot)
        );
        let wrong = |e: tokio_postgres::Error| self.source.wrong(&e);
        let none: [&(dyn ToSql + Sync); 0] = [];
        let mut stream = pin!(self.source.client.query_raw(&sql, none).await.map_err(wrong)?);
        let mut applier = Applier::new(self).await?;
        let (mut end, mut known, mut messages) = (None, false, 0);
        while let Some(row) = stream.next().await {
            let message: Vec<u8> = row.and_then(|row: Row| row.try_get(0)).map_err(wrong)?;
            messages += 1;
            match decode(&message)? {
                Message::Begin { at, xid } => {
                    // It is there if its end is not behind the end that was taken down.
                    known = at < from;
                    applier.xid = xid;
                }
                Message::Commit { end: at } if !known => {
                    applier.done.transactions += 1;
                    end = Some(at);
                }
                Message::Relation(relation) => applier.relation(&relation)?,
                change if !known => applier.change(change, touched).await?,
                _ => {}
            }
        }
        applier.end().await?;
        // Of what is of no table of ours nothing is told: without a full batch it is passed as well.
        if messages < BATCH {
            end = end.max(Some(flushed));
        }
        if let Some(end) = end.filter(|end| *end > from) {
            let sql = format!(
                "update clover_migrate.migration set followed = '{end}', changed = now() where name = $1"
            );
            self.target.rows(&sql, &[&self.plan.name]).await?;
        }
        Ok((applier.done, end))
    }
}
