//! Destroying: the region's rows go from the source's tables, under the auditor's mark over what was sealed, and then from its pages,
//! statistics and log of changes, by the server's own means.

use ledger::migration::{Record, Stage};
use ledger::sha256;

use crate::Migration;
use crate::database::Session;
use crate::error::MigrateError;
use crate::plan::Ledger;
use crate::progress::State;

/// Files of the log of changes that are written over at once, at most, and how often.
const SEGMENTS_MAX: u64 = 64;
const ROUNDS: u32 = 2;

impl Migration {
    /// Destroys the region's rows at the source. May be called again when it was cut off.
    ///
    /// # Errors
    /// Without a seal that operator and auditor signed, when the rows are no longer what was sealed, or when the source refuses: then nothing
    /// was destroyed, or another call goes on.
    pub async fn destroy(&self) -> Result<u64, MigrateError> {
        let ledger = self.ledger()?;
        let state = self.state().await?;
        if !matches!(state, Some(State::Finished | State::Destroying)) {
            let text = "rows are destroyed once, after `finish` and `seal`";
            return Err(MigrateError::State(text.into()));
        }
        for table in &self.tables {
            let none = || MigrateError::State(format!("{}: it was not sealed", table.plain));
            let (number, sealed) =
                self.last(table).await?.filter(|(_, last)| last.stage == Stage::Sealed).ok_or_else(none)?;
            self.check_mark(ledger, number, &sealed)?;
            self.check_manifest(ledger, &sealed)?;
            if state == Some(State::Finished) {
                self.as_compared(table).await?;
            }
        }
        let source = Session::source(&self.plan.source.database).await?;
        // Neither our own refusal nor triggers that would write down what goes, and no other table's rows with them.
        source.run("set session_replication_role = replica").await?;
        self.set_state(State::Destroying).await?;
        let mut rows = 0;
        // Rows before the people by whom they are known.
        for table in self.tables.iter().rev() {
            let delete = format!("delete from {} where {}", table.name, self.plan.moves(&self.tables, table));
            let gone = source.client.execute(&delete, &[]).await.map_err(|e| source.wrong(&e))?;
            rows += gone;
        }
        for table in &self.tables {
            // Written anew without what is gone, with indexes and what lies out of line; statistics, too.
            source.run(&format!("vacuum (full, analyze) {}", table.name)).await?;
        }
        for statistics in ["pg_catalog.pg_statistic", "pg_catalog.pg_statistic_ext_data"] {
            // The sweep tells if this was not allowed and something is left.
            drop(source.run(&format!("vacuum full {statistics}")).await);
        }
        drop(write_over_log(&source).await);
        self.set_state(State::Destroyed).await?;
        Ok(rows)
    }

    fn check_manifest(&self, ledger: &Ledger, sealed: &Record) -> Result<(), MigrateError> {
        let wanted = sealed.evidence.unwrap_or_default();
        let name = data_encoding::HEXLOWER.encode(wanted.get(..8).unwrap_or_default());
        let path = ledger.records.join(format!("{}-manifest-{name}.json", self.plan.name));
        let bytes = std::fs::read(&path).map_err(|e| MigrateError::file(&path, e))?;
        if *sha256(&bytes).bytes() == wanted {
            return Ok(());
        }
        Err(MigrateError::State(format!("{}: it was changed after it was sealed", path.display())))
    }
}

/// Has the server write over its log of changes. A file of it that is no longer needed is kept under another name for later, with all that
/// stands in it; when the server comes to it and goes on to the next, the rest of it is written with zeros. While a slot keeps the log
/// there is nothing to write over, and there would only be more of it.
pub(crate) async fn write_over_log(source: &Session) -> Result<(), MigrateError> {
    if !source.texts("select slot_name::text from pg_replication_slots").await?.is_empty() {
        return Ok(());
    }
    for _ in 0..ROUNDS {
        source.run("checkpoint").await?;
        let count = source.text("select count(*)::text from pg_ls_waldir()").await?;
        for _ in 0..=count.parse::<u64>().unwrap_or(0).min(SEGMENTS_MAX) {
            // Of an empty file there is no next.
            source.texts("select pg_logical_emit_message(false, 'clover_migrate', 'over')::text").await?;
            source.texts("select pg_switch_wal()::text").await?;
        }
    }
    source.run("checkpoint").await
}
