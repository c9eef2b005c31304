//! What is on record of a migration: kept in the target, and written as texts into the folder of the plan. It needs no source.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ledger::migration::{MigrationError, Record, Stage, Ways};
use ledger::sha256;
use model::{Country, Name, UnixSeconds};
use vault::disk::replace_file;

use crate::database::Session;
use crate::error::MigrateError;
use crate::plan::{Ledger, Plan};
use crate::record::{Said, now};

/// Stages of sets of a plan.
#[derive(Clone, Copy)]
pub(crate) struct Book<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) target: &'a Session,
}

fn wrong(error: MigrationError) -> MigrateError {
    MigrateError::State(error.to_string())
}

impl<'a> Book<'a> {
    /// Where it is written.
    pub(crate) fn ledger(&self) -> Result<&'a Ledger, MigrateError> {
        let none = || MigrateError::Plan("nothing is destroyed without a `[ledger]` in the plan".into());
        self.plan.ledger.as_ref().ok_or_else(none)
    }

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

    /// The last stage of each set, with its number.
    pub(crate) async fn lasts(&self) -> Result<BTreeMap<String, (i32, Record)>, MigrateError> {
        let of_set = |(number, record): (i32, Record)| (record.set.to_string(), (number, record));
        Ok(self.records().await?.into_iter().map(of_set).collect())
    }

    /// Takes stages of sets down together, those that are not there yet, if the plan says where.
    pub(crate) async fn take_down(&self, stages: &[(&str, Stage, Said)]) -> Result<(), MigrateError> {
        let Some(ledger) = &self.plan.ledger else { return Ok(()) };
        let (mut ways, mut lasts, mut next) = (Ways::default(), BTreeMap::new(), 1);
        for (number, record) in self.records().await? {
            next = number + 1;
            ways.take(record.clone()).map_err(wrong)?;
            lasts.insert(record.set.to_string(), record);
        }
        let mut texts = Vec::new();
        for (set, stage, said) in stages {
            let last = lasts.get(*set);
            let repeated = matches!(stage, Stage::Sealed | Stage::Destroyed);
            let there = |last: &Record| {
                last.stage >= *stage && (last.stage != Stage::Undone || *stage == Stage::Undone)
            };
            if !repeated && last.is_some_and(there) {
                continue;
            }
            let record = self.stage(ledger, set, *stage, *said, last.map_or(0, |last| last.time.0))?;
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
        set: &str,
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
            set: name(set)?,
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

    /// Writes the texts that are on record into the folder of the plan, where they are not there yet.
    pub(crate) async fn write(&self) -> Result<(), MigrateError> {
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

    pub(crate) fn text_file(&self, ledger: &Ledger, number: i32, record: &Record) -> PathBuf {
        // In this order they are laid down.
        let name = format!("{}-{number:05}-{}.txt", self.plan.name, record.stage.word());
        ledger.records.join(name)
    }

    /// The manifest that was sealed.
    pub(crate) fn manifest(&self, sealed: &Record) -> Result<serde_json::Value, MigrateError> {
        let wanted = sealed.evidence.unwrap_or_default();
        let (path, bytes) = self.evidence(&wanted, "-manifest-", "json")?;
        let changed =
            || MigrateError::State(format!("{}: it was changed after it was sealed", path.display()));
        if *sha256(&bytes).bytes() != wanted {
            return Err(changed());
        }
        serde_json::from_slice(&bytes).map_err(|_| changed())
    }

    /// The file of the folder that is named by a digest, and where it lies.
    pub(crate) fn evidence(
        &self,
        digest: &[u8; 32],
        called: &str,
        ending: &str,
    ) -> Result<(PathBuf, Vec<u8>), MigrateError> {
        let name = data_encoding::HEXLOWER.encode(digest.get(..8).unwrap_or_default());
        let path = self.ledger()?.records.join(format!("{}{called}{name}.{ending}", self.plan.name));
        let bytes = std::fs::read(&path).map_err(|e| MigrateError::file(&path, e))?;
        Ok((path, bytes))
    }

    /// What is looked for, and how many of each set.
    pub(crate) async fn identifiers(&self) -> Result<(Vec<String>, BTreeMap<String, u64>), MigrateError> {
        let sql = "select set_name, value from clover_migrate.identifier where migration = $1";
        let wrong = |e: tokio_postgres::Error| self.target.wrong(&e);
        let mut counts: BTreeMap<String, u64> =
            self.plan.sets.iter().map(|set| (set.table.clone(), 0)).collect();
        let mut identifiers = Vec::new();
        for row in self.target.rows(sql, &[&self.plan.name]).await? {
            *counts.entry(row.try_get(0).map_err(wrong)?).or_default() += 1;
            identifiers.push(row.try_get(1).map_err(wrong)?);
        }
        Ok((identifiers, counts))
    }
}
