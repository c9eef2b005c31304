//! What is left to certify when the source is gone: its copies. Of the source a certificate repeats then what the last one says for which
//! it was looked into.

use ledger::migration::Stage;

use crate::book::Book;
use crate::certificate::{Certificate, Earlier, issue};
use crate::database::Session;
use crate::error::MigrateError;
use crate::evidence::still_there;
use crate::load::Loaded;
use crate::plan::Plan;
use crate::sweeping::{At, Sweeping, Swept};

/// A migration whose source is no more.
pub struct Closed {
    plan: Plan,
    target: Session,
}

impl Closed {
    /// Connects to the target alone.
    ///
    /// # Errors
    /// When the source still answers, the target is not that of the migration, or nothing was destroyed.
    pub async fn open(plan: Plan) -> Result<Self, MigrateError> {
        let target = Session::target(&plan.target.database).await?;
        target.alone(&plan.name).await?;
        let sql = "select state, ends from clover_migrate.migration where name = $1";
        let wrong = |e: tokio_postgres::Error| target.wrong(&e);
        let rows = target.rows(sql, &[&plan.name]).await?;
        let row = rows.first().ok_or_else(|| MigrateError::State("nothing was begun".into()))?;
        let (state, ends): (String, String) =
            (row.try_get(0).map_err(wrong)?, row.try_get(1).map_err(wrong)?);
        if state != "destroyed" {
            return Err(MigrateError::State("nothing was destroyed".into()));
        }
        let (source, begun) = ends.split_once(' ').unwrap_or_default();
        if begun != target.identity().await? {
            let text = "the target is another database than that with which the migration was begun";
            return Err(MigrateError::State(text.into()));
        }
        // As long as it can be looked into, it is.
        if let Ok(session) = Session::source(&plan.source.database).await
            && session.identity().await? == source
        {
            let text = "the source still answers: it is looked into, too (`certify` without `--closed`)";
            return Err(MigrateError::State(text.into()));
        }
        Ok(Self { plan, target })
    }

    fn book(&self) -> Book<'_> {
        Book { plan: &self.plan, target: &self.target }
    }

    /// Looks into the copies again, and certifies anew if nothing is left that nobody answers for.
    ///
    /// # Errors
    /// Without a certificate that is on record and on file, or when the target breaks off.
    pub async fn certify(&self) -> Result<(Swept, Option<Certificate>), MigrateError> {
        let book = self.book();
        let (records, lasts) = (book.records().await?, book.lasts().await?);
        let none =
            || MigrateError::State("there is no earlier certificate: nobody knows of the source".into());
        let (mut sets, mut digest) = (Vec::new(), None);
        for set in &self.plan.sets {
            let (_, last) = lasts.get(&set.table).ok_or_else(none)?;
            if last.stage == Stage::Witnessed {
                return Err(MigrateError::State("it is witnessed: nothing is open any more".into()));
            }
            if last.stage != Stage::Destroyed || digest.is_some_and(|before| Some(before) != last.evidence) {
                return Err(none());
            }
            digest = last.evidence;
            sets.push((set.table.clone(), last.amount));
        }
        let earlier = Earlier::of(book, &digest.ok_or_else(none)?)?;
        let seen = earlier.seen()?;
        let on_record = |(_, record): &(i32, ledger::migration::Record)| {
            record.stage == Stage::Destroyed
                && record.evidence.is_some_and(|e| data_encoding::HEXLOWER.encode(&e) == seen.0)
        };
        if !records.iter().any(on_record) {
            return Err(none());
        }
        let sealed = records.iter().rev().find(|(_, record)| record.stage == Stage::Sealed);
        let (_, sealed) = sealed.ok_or_else(none)?;
        let swept = self.sweep(&earlier, &book.manifest(sealed)?).await?;
        if swept.in_the_way().next().is_some() {
            return Ok((swept, None));
        }
        let manifest = sealed.evidence.unwrap_or_default();
        let certificate = issue(book, &swept, &manifest, &sets, Some(&seen)).await?;
        Ok((swept, Some(certificate)))
    }

    async fn sweep(&self, earlier: &Earlier, manifest: &serde_json::Value) -> Result<Swept, MigrateError> {
        let mut sweeping = Sweeping::new(&self.plan, self.book().identifiers().await?)?;
        sweeping.swept.places.extend(earlier.looked()?);
        // What somebody answered for at the source is not dealt with by its end: it stays as open as it is.
        for held in earlier.known()? {
            sweeping.leave(held, At::Source);
        }
        let files = manifest.get("files").cloned().unwrap_or_default();
        let files: Vec<Loaded> = serde_json::from_value(files)
            .map_err(|_| MigrateError::State("the manifest's files cannot be read".into()))?;
        for held in still_there(files, &self.plan).await? {
            sweeping.leave(held, At::Copy);
        }
        sweeping.copies().await?;
        sweeping.hold_to(manifest);
        Ok(sweeping.swept)
    }

    /// Writes the texts that are on record into the folder of the plan, where they are not there yet.
    ///
    /// # Errors
    /// When the folder cannot be written, or the target does not answer.
    pub async fn write_records(&self) -> Result<(), MigrateError> {
        self.book().write().await
    }
}
