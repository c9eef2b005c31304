//! Destroying: the region's rows go from the source's tables, under the auditor's mark over what was sealed, and then from its pages,
//! statistics and log of changes, by the server's own means.

use ledger::migration::{Record, Stage};

use crate::Migration;
use crate::database::{Session, literal};
use crate::error::MigrateError;
use crate::evidence::REMOVED;
use crate::progress::State;
use crate::table::Table;

/// Files of the log of changes that are written over at once, at most, and how often.
const SEGMENTS_MAX: u64 = 64;
const ROUNDS: u32 = 2;

impl Migration {
    /// Destroys the region's rows at the source. May be called again when it was cut off, or when what held files of the source is gone. The
    /// region may have removed so many rows more than the manifest says, and no more.
    ///
    /// # Errors
    /// Without a seal that operator and auditor signed, when the rows are no longer what was sealed, the region lacks some, or the source
    /// refuses: then nothing was destroyed, or another call goes on.
    pub async fn destroy(&self, removed: u64) -> Result<u64, MigrateError> {
        let ledger = self.ledger()?;
        let state = self.state().await?;
        if state.is_none_or(|state| state < State::Finished) {
            return Err(MigrateError::State("rows are destroyed after `finish` and `seal`".into()));
        }
        let mut rows = 0;
        if state != Some(State::Destroyed) {
            let (mut sealed, mut known) = (Vec::new(), 0);
            let lasts = self.lasts().await?;
            for table in &self.tables {
                let none = || MigrateError::State(format!("{}: it was not sealed", table.plain));
                let (number, seal) = lasts
                    .get(&table.plain)
                    .filter(|(_, last)| last.stage == Stage::Sealed)
                    .ok_or_else(none)?;
                self.check_mark(ledger, *number, seal)?;
                known = self.check_manifest(seal)?;
                sealed.push((table, seal.amount.rows));
            }
            let missing = self.missing().await?;
            if missing > known + removed {
                let text = format!(
                    "the region lacks {missing} of these rows, {} more than the manifest says: nothing is destroyed until it is known why (`--removed`, or seal anew)",
                    missing - known
                );
                return Err(MigrateError::State(text));
            }
            rows = self.delete(&sealed).await?;
        }
        let source = Session::source(&self.plan.source.database).await?;
        for table in &self.tables {
            let file = format!("select pg_relation_filenode({}::regclass)::text", literal(&table.name));
            let before = source.text(&file).await?;
            // Written anew without what is gone, with indexes and what lies out of line; statistics, too.
            source.run(&format!("vacuum (full, analyze) {}", table.name)).await?;
            // Whoever does not own it is only warned.
            if source.text(&file).await? == before {
                let text = format!(
                    "{}: it was not written anew; only its owner may do that. Call again as one who may",
                    table.plain
                );
                return Err(MigrateError::State(text));
            }
        }
        for statistics in ["pg_catalog.pg_statistic", "pg_catalog.pg_statistic_ext_data"] {
            // The sweep tells if this was not allowed and something is left.
            drop(source.run(&format!("vacuum full {statistics}")).await);
        }
        let at = source.text("select pg_current_wal_lsn()::text").await?;
        let sql = format!(
            "update clover_migrate.migration set state = 'destroyed', destroyed_at = {}, changed = now() where name = $1",
            literal(&at)
        );
        self.target.rows(&sql, &[&self.plan.name]).await?;
        drop(self.write_over_log().await);
        Ok(rows)
    }

    /// Deletes what was sealed, all of it at once or nothing: what somebody else does to those rows meanwhile breaks it off.
    async fn delete(&self, sealed: &[(&Table, u64)]) -> Result<u64, MigrateError> {
        let source = Session::source(&self.plan.source.database).await?;
        // Neither our own refusal nor triggers that would write down what goes, and no other table's rows with them.
        source.run("set session_replication_role = replica; begin isolation level repeatable read").await?;
        let mut left = 0;
        for (table, _) in sealed {
            let any = format!(
                "select count(*)::text from {} where {}",
                table.name,
                self.plan.moves(&self.tables, table)
            );
            left += source.text(&any).await?.parse::<u64>().unwrap_or(0);
        }
        if left == 0 && self.state().await? == Some(State::Destroying) {
            // It was through with this, and did not come to say so.
            return Ok(0);
        }
        let lasts = self.lasts().await?;
        for (table, _) in sealed {
            self.as_compared(&source, table, &lasts).await?;
        }
        self.may_go(&source).await?;
        let mut rows = 0;
        // Rows before the people by whom they are known.
        for (table, sealed) in sealed.iter().rev() {
            let delete = format!("delete from {} where {}", table.name, self.plan.moves(&self.tables, table));
            let gone = source.client.execute(&delete, &[]).await.map_err(|e| source.wrong(&e))?;
            if gone != *sealed {
                return Err(MigrateError::State(format!(
                    "{}: {gone} rows would go and {sealed} were sealed",
                    table.plain
                )));
            }
            rows += gone;
        }
        // INVARIANT: known before it can be so; a call that finds rows there begins again.
        self.set_state(State::Destroying).await?;
        source.run("commit").await?;
        Ok(rows)
    }

    /// That the manifest is the one that was sealed; and how many rows it says that the region has no more.
    fn check_manifest(&self, sealed: &Record) -> Result<u64, MigrateError> {
        let manifest = self.book().manifest(sealed)?;
        Ok(manifest.get(REMOVED).and_then(serde_json::Value::as_u64).unwrap_or(0))
    }

    /// Has the source write over its log of changes. A file of it that is no longer needed is kept under another name for later, with all
    /// that stands in it; when the server comes to it and goes on to the next, the rest of it is written with zeros. While something keeps
    /// the log from before there is nothing to write over, and there would only be more of it.
    pub(crate) async fn write_over_log(&self) -> Result<(), MigrateError> {
        let source = &self.source;
        if let Some(at) = self.begun().await?.destroyed_at {
            let keeps =
                format!("select slot_name::text from pg_replication_slots where restart_lsn <= '{at}'");
            if !source.texts(&keeps).await?.is_empty() {
                return Ok(());
            }
        }
        for _ in 0..ROUNDS {
            source.run("checkpoint").await?;
            let count = source.text("select count(*)::text from pg_ls_waldir()").await?;
            for _ in 0..=count.parse::<u64>().unwrap_or(0).min(SEGMENTS_MAX) {
                // Of an empty file there is no next.
                let message = "select pg_logical_emit_message(false, 'clover_migrate', 'over')::text";
                source.texts(message).await?;
                source.texts("select pg_switch_wal()::text").await?;
            }
        }
        source.run("checkpoint").await
    }
}
