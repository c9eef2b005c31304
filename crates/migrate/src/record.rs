//! Each stage of each set, taken down for the ledger: in the target first, then as a file that the operator signs, and the auditor where
//! it must be (`docs/formats/migration.md`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use ledger::migration::{Amount, Record, Stage};
use ledger::note::{Note, Verifier};
use model::UnixSeconds;

use crate::Migration;
use crate::book::Book;
use crate::database::{Session, quoted};
use crate::digest::Sum;
use crate::error::MigrateError;
use crate::plan::Ledger;
use crate::proof::{self, PROOF};
use crate::table::Table;

/// What a stage says beside its name.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Said {
    pub(crate) amount: Amount,
    pub(crate) digests: [Option<[u8; 32]>; 2],
    pub(crate) evidence: Option<[u8; 32]>,
    pub(crate) open: (u64, u64),
}

impl Said {
    /// Of both ends, which are the same.
    pub(crate) fn of(sum: &Sum, people: u64) -> Self {
        let amount = Amount { rows: sum.rows, bytes: sum.bytes, people };
        Self { amount, digests: [Some(sum.array()); 2], ..Self::default() }
    }
}

/// The time by this machine's clock.
pub(crate) fn now() -> UnixSeconds {
    UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

impl Migration {
    pub(crate) fn book(&self) -> Book<'_> {
        Book { plan: &self.plan, target: &self.target }
    }

    /// What is on record, oldest first, each with its number.
    pub(crate) async fn records(&self) -> Result<Vec<(i32, Record)>, MigrateError> {
        self.book().records().await
    }

    /// The last stage on record of each set, in words.
    ///
    /// # Errors
    /// When the target does not answer.
    pub async fn stages(&self) -> Result<Vec<(String, &'static str)>, MigrateError> {
        let lasts = self.lasts().await?;
        let stage = |table: &Table| Some((table.plain.clone(), lasts.get(&table.plain)?.1.stage.word()));
        Ok(self.tables.iter().filter_map(stage).collect())
    }

    /// The last stage of each set, with its number.
    pub(crate) async fn lasts(&self) -> Result<BTreeMap<String, (i32, Record)>, MigrateError> {
        self.book().lasts().await
    }

    /// Takes stages of sets down together, those that are not there yet, if the plan says where.
    pub(crate) async fn record(&self, stages: &[(&Table, Stage, Said)]) -> Result<(), MigrateError> {
        let of = |(table, stage, said): &'_ (&'_ Table, Stage, Said)| (table.plain.clone(), *stage, *said);
        let stages: Vec<(String, Stage, Said)> = stages.iter().map(of).collect();
        let stages: Vec<_> = stages.iter().map(|(set, stage, said)| (set.as_str(), *stage, *said)).collect();
        self.book().take_down(&stages).await
    }

    /// Takes down what lies at the source.
    pub(crate) async fn record_found(&self) -> Result<(), MigrateError> {
        if self.plan.ledger.is_none() {
            return Ok(());
        }
        let mut found = Vec::new();
        for table in &self.tables {
            let moves = self.plan.moves(&self.tables, table);
            let rows = format!("select count(*)::text from {} where {moves}", table.name);
            let rows = self.source.text(&rows).await?.parse().unwrap_or(0);
            let amount = Amount { rows, bytes: 0, people: people(&self.source, table, &moves).await? };
            found.push((table, Stage::Found, Said { amount, ..Said::default() }));
        }
        self.record(&found).await
    }

    /// Takes down what came.
    pub(crate) async fn record_copied(&self) -> Result<(), MigrateError> {
        let mut copied = Vec::new();
        for table in &self.tables {
            let sql = "select row_count, byte_count, digest from clover_migrate.part
              where migration = $1 and set_name = $2 and digest is not null";
            let server = |e: tokio_postgres::Error| self.target.wrong(&e);
            let mut sum = Sum::default();
            for row in self.target.rows(sql, &[&self.plan.name, &table.plain]).await? {
                let [rows, bytes] = [0, 1].map(|place| row.try_get::<_, i64>(place).map(i64::unsigned_abs));
                let digest: Vec<u8> = row.try_get(2).map_err(server)?;
                sum.join(&Sum::of(&digest, rows.map_err(server)?, bytes.map_err(server)?));
            }
            copied.push((table, Stage::Copied, Said::of(&sum, 0)));
        }
        self.record(&copied).await
    }

    /// Writes the texts that are on record into the folder of the plan, where they are not there yet.
    ///
    /// # Errors
    /// When the folder cannot be written, or the target does not answer.
    pub async fn write_records(&self) -> Result<(), MigrateError> {
        self.book().write().await
    }

    /// That a seal bears the signatures of operator and auditor, and, where the plan names the ledger's key, stands on it.
    pub(crate) fn check_mark(
        &self,
        ledger: &Ledger,
        number: i32,
        record: &Record,
    ) -> Result<(), MigrateError> {
        let path = self.book().text_file(ledger, number, record).with_extension("note");
        let none = |why: &str| {
            let text = format!(
                "{}: {why}. Nothing is destroyed without a seal that the auditor marked (`clover migration mark`, then `record`)",
                path.display()
            );
            MigrateError::State(text)
        };
        let text = std::fs::read_to_string(&path).map_err(|_| none("it is not there"))?;
        let note: Note = text.parse().map_err(|_| none("it is no signed note"))?;
        if note.unverified_text() != record.text() {
            return Err(none("it is about something else"));
        }
        let key = |file: &PathBuf| {
            let key = std::fs::read_to_string(file).map_err(|e| MigrateError::file(file, e))?;
            Verifier::parse(key.trim()).map_err(|_| none("a verifier key of the plan is none"))
        };
        let keys = [key(&ledger.operator)?, key(&ledger.auditor)?];
        let [operator, auditor] = &keys;
        if operator.to_vkey().split('+').next_back() == auditor.to_vkey().split('+').next_back() {
            return Err(none("operator and auditor are one key in the plan"));
        }
        for (who, key) in ["the operator", "the auditor"].into_iter().zip(&keys) {
            let signed = note.verify(std::slice::from_ref(key)).is_ok_and(|v| v.signed_by(key).is_some());
            if !signed {
                return Err(none(&format!("{who} did not sign it")));
            }
        }
        match &ledger.log {
            Some(log) => proof::check(&path.with_extension(PROOF), record, &key(log)?, &keys),
            None => Ok(()),
        }
    }
}

/// How many people rows name; 0 of a table that is none of people.
pub(crate) async fn people(end: &Session, table: &Table, those: &str) -> Result<u64, MigrateError> {
    if table.home.is_none() {
        return Ok(0);
    }
    let subject = quoted(&table.column(table.subject)?.name);
    let sql = format!("select count(distinct {subject})::text from {} where {those}", table.name);
    Ok(end.text(&sql).await?.parse().unwrap_or(0))
}
