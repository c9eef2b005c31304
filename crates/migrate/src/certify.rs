//! Looking again, after rows were destroyed: in every table, page and file of the source and in every copy that the plan names. Where
//! nothing is found that nobody answers for, a certificate says so.

use ledger::migration::Stage;
use model::catalogue::Kind;
use residency::scan::NEEDLE_MIN;

use crate::Migration;
use crate::certificate::{Certificate, issue};
use crate::database::{literal, quoted};
use crate::error::MigrateError;
use crate::evidence::Held;
use crate::plan::Column;
use crate::progress::State;
use crate::sweeping::{At, Sweeping, Swept};

/// Rows of a set, and of all sets together, whose identifiers are searched for.
const ROWS_MAX: usize = 2_000;
const ALL_ROWS_MAX: usize = 20_000;
impl Migration {
    /// Looks for what is left of the region's rows at the source, and in the copies that the plan names.
    ///
    /// # Errors
    /// When the target does not answer, or no column holds what could be looked for. What cannot be seen elsewhere is in the report.
    pub async fn sweep(&self) -> Result<Swept, MigrateError> {
        Ok(self.look().await?.swept)
    }

    async fn look(&self) -> Result<Sweeping<'_>, MigrateError> {
        let mut sweeping = Sweeping::new(&self.plan, self.book().identifiers().await?)?;
        for held in self.held().await? {
            sweeping.leave(held, At::Source);
        }
        for held in self.files_left().await? {
            sweeping.leave(held, At::Copy);
        }
        for held in self.rows_left().await? {
            sweeping.leave(held, At::SourceItself);
        }
        let source = &self.plan.source;
        sweeping.server(&source.site, &source.database, At::SourceItself).await;
        sweeping.copies().await?;
        Ok(sweeping)
    }

    /// Rows of the region's people that are in the source's tables.
    async fn rows_left(&self) -> Result<Vec<Held>, MigrateError> {
        let mut left = Vec::new();
        for table in &self.tables {
            let moves = self.plan.moves(&self.tables, table);
            let mut those = vec![(moves, "rows of the region's people")];
            if let Some(people) = self.plan.people(&self.tables, table) {
                let (subject, id) = (table.column(table.subject)?, people.column(people.subject)?);
                let (subject, id) = (quoted(&subject.name), quoted(&id.name));
                let nobody = format!(
                    "({subject} is not null and not exists (select 1 from {} p where p.{id} = {}.{subject}))",
                    people.name, table.name
                );
                those.push((nobody, "rows of people who are not there: of the region's perhaps"));
            }
            for (condition, what) in those {
                let sql = format!("select count(*)::text from {} where {condition}", table.name);
                let rows: u64 = self.source.text(&sql).await?.parse().unwrap_or(0);
                if rows > 0 {
                    let place = format!("{} {}", self.plan.source.site, table.plain);
                    left.push(Held { place, why: format!("{rows} {what}") });
                }
            }
        }
        Ok(left)
    }

    /// Draws rows of each set at random, while they are still at the source, and keeps their identifiers in the region, to be looked for.
    pub(crate) async fn draw(&self) -> Result<usize, MigrateError> {
        let clear = "delete from clover_migrate.identifier where migration = $1";
        self.target.rows(clear, &[&self.plan.name]).await?;
        let mut drawn = 0;
        let rows = ROWS_MAX.min(ALL_ROWS_MAX / self.tables.len().max(1)).max(1);
        for (set, table) in self.plan.sets.iter().zip(&self.tables) {
            let texts = format!(
                "select a.attname::text from pg_attribute a join pg_type t on t.oid = a.atttypid
                 where a.attrelid = {}::regclass and a.attnum > 0 and not a.attisdropped and (t.typcategory = 'S' or t.typname = 'uuid')",
                literal(&table.name)
            );
            let texts = self.source.texts(&texts).await?;
            let looked_for = |name: &String, column: &Column| {
                column.sweep.unwrap_or(identifies(column) && texts.contains(name))
            };
            let columns: Vec<String> = set
                .columns
                .iter()
                .filter(|(name, column)| looked_for(name, column))
                .map(|(name, _)| format!("({}::text)", quoted(name)))
                .collect();
            if columns.is_empty() {
                continue;
            }
            let some = format!(
                "select distinct left(v.value, 100) from (select * from {} where {} order by random() limit {rows}) t,
                 lateral (values {}) v(value) where octet_length(v.value) >= {NEEDLE_MIN}",
                table.name,
                self.plan.moves(&self.tables, table),
                columns.join(", ")
            );
            let values = self.source.texts(&some).await?;
            drawn += values.len();
            let keep = "insert into clover_migrate.identifier select $1, $2, * from unnest($3::text[])";
            self.target.rows(keep, &[&self.plan.name, &table.plain, &values]).await?;
        }
        Ok(drawn)
    }

    /// Looks again, and certifies that the rows are gone if nothing is left that nobody answers for.
    ///
    /// # Errors
    /// When rows were not destroyed, or an end breaks off.
    pub async fn certify(&self) -> Result<(Swept, Option<Certificate>), MigrateError> {
        self.ledger()?;
        if self.state().await? != Some(State::Destroyed) {
            return Err(MigrateError::State("nothing was destroyed".into()));
        }
        // What was dealt with since may have kept files of the log.
        drop(self.write_over_log().await);
        let mut sweeping = self.look().await?;
        let records = self.records().await?;
        let sealed = records.iter().rev().find(|(_, record)| record.stage == Stage::Sealed);
        let (_, sealed) = sealed.ok_or_else(|| MigrateError::State("nothing was sealed".into()))?;
        sweeping.hold_to(&self.book().manifest(sealed)?);
        let swept = sweeping.swept;
        if swept.in_the_way().next().is_some() {
            return Ok((swept, None));
        }
        let lasts = self.lasts().await?;
        let mut sets = Vec::new();
        for table in &self.tables {
            let none = || MigrateError::State(format!("{}: it was not sealed", table.plain));
            let last = lasts.get(&table.plain).filter(|(_, l)| l.stage >= Stage::Sealed).ok_or_else(none)?;
            sets.push((table.plain.clone(), last.1.amount));
        }
        let manifest = sealed.evidence.unwrap_or_default();
        let certificate = issue(self.book(), &swept, &manifest, &sets, None).await?;
        Ok((swept, Some(certificate)))
    }
}

/// Whether a column's values tell one person from all others.
fn identifies(column: &Column) -> bool {
    matches!(column.kind, Kind::Email | Kind::Phone | Kind::Handle | Kind::Link | Kind::Id)
}
