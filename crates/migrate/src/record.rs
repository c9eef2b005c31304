//! Each stage of each set, taken down for the ledger: in the target first, then as a file that the operator signs, and the auditor where
//! it must be (`docs/formats/migration.md`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use ledger::migration::{Amount, MigrationError, Record, Stage, Ways};
use ledger::note::{Note, Verifier};
use model::{Country, Name, UnixSeconds};
use vault::disk::replace_file;

use crate::Migration;
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

fn wrong(error: MigrationError) -> MigrateError {
    MigrateError::State(error.to_string())
}

impl Migration {
    /// What is on record, oldest first, each with its number.
    pub(crate) async fn records(&self) -> Result<Vec<(i32, Record)>, MigrateError> {
        let sql = "select number, text from clover_migrate.record where migration = $1 order by number";
        let server = |e: tokio_postgres::Error| self.target.wrong(&e);
        let mut records = Vec::new();
        for row in self.target.rows(sql, &[&self.plan.name]).await? {
            let (number, text): (i32, String) =
                (row.try_get(0).map_err(server)?, row.try_get(1).map_err(server)?);
            records.push((number, Record::parse(&text).map_err(wrong)?));
        }
        Ok(records)
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
        let of_set = |(number, record): (i32, Record)| (record.set.to_string(), (number, record));
        Ok(self.records().await?.into_iter().map(of_set).collect())
    }

    /// Takes stages of sets down together, those that are not there yet, if the plan says where.
    pub(crate) async fn record(&self, stages: &[(&Table, Stage, Said)]) -> Result<(), MigrateError> {
        let Some(ledger) = &self.plan.ledger else { return Ok(()) };
        let (mut ways, mut lasts, mut next) = (Ways::default(), BTreeMap::new(), 1);
        for (number, record) in self.records().await? {
            next = number + 1;
            ways.take(record.clone()).map_err(wrong)?;
            lasts.insert(record.set.to_string(), record);
        }
        let mut texts = Vec::new();
        for (table, stage, said) in stages {
            let last = lasts.get(&table.plain);
            let repeated = matches!(stage, Stage::Sealed | Stage::Destroyed);
            let there = |last: &Record| {
                last.stage >= *stage && (last.stage != Stage::Undone || *stage == Stage::Undone)
            };
            if !repeated && last.is_some_and(there) {
                continue;
            }
            let record = self.stage(ledger, table, *stage, *said, last.map_or(0, |last| last.time.0))?;
            ways.take(record.clone()).map_err(wrong)?;
            texts.push((next, record.text()));
            lasts.insert(record.set.to_string(), record);
            next += 1;
        }
        let (numbers, texts): (Vec<i32>, Vec<String>) = texts.into_iter().unzip();
        // All or none.
        let sql = "insert into clover_migrate.record (migration, number, text) select $1, * from unnest($2::int[], $3::text[])";
        self.target.rows(sql, &[&self.plan.name, &numbers, &texts]).await.map(drop)
    }

    fn stage(
        &self,
        ledger: &Ledger,
        table: &Table,
        stage: Stage,
        said: Said,
        after: u64,
    ) -> Result<Record, MigrateError> {
        let name = |text: &str| Name::parse(text).map_err(|e| MigrateError::Plan(e.to_string()));
        let country = |text: &str| Country::parse(text).map_err(|e| MigrateError::Plan(e.to_string()));
        let (source, target) = (&self.plan.source, &self.plan.target);
        Ok(Record {
            programme: name(&ledger.programme)?,
            migration: name(&self.plan.name)?,
            set: name(&table.plain)?,
            stage,
            source: (name(&source.site)?, country(&source.country)?),
            target: (name(&target.site)?, country(&target.country)?),
            amount: said.amount,
            digests: said.digests,
            evidence: said.evidence,
            open: (said.open.0, UnixSeconds(said.open.1)),
            time: UnixSeconds(now().0.max(after)),
        })
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
        let Some(ledger) = &self.plan.ledger else { return Ok(()) };
        let failed = |e| MigrateError::file(&ledger.records, e);
        std::fs::create_dir_all(&ledger.records).map_err(failed)?;
        for (number, record) in self.records().await? {
            let (path, text) = (self.text_file(ledger, number, &record), record.text());
            match std::fs::read_to_string(&path) {
                Ok(there) if there == text => {}
                Ok(_) => {
                    let text = format!(
                        "{}: it is about something else: another migration of this name was here. Take another name or folder",
                        path.display()
                    );
                    return Err(MigrateError::State(text));
                }
                Err(_) => replace_file(&path, text.as_bytes()).map_err(|e| MigrateError::file(&path, e))?,
            }
        }
        Ok(())
    }

    fn text_file(&self, ledger: &Ledger, number: i32, record: &Record) -> PathBuf {
        // In this order they are laid down.
        let name = format!("{}-{number:05}-{}.txt", self.plan.name, record.stage.word());
        ledger.records.join(name)
    }

    /// That a seal bears the signatures of operator and auditor, and, where the plan names the ledger's key, stands on it.
    pub(crate) fn check_mark(
        &self,
        ledger: &Ledger,
        number: i32,
        record: &Record,
    ) -> Result<(), MigrateError> {
        let path = self.text_file(ledger, number, record).with_extension("note");
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
