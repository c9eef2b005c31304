//! The cut-over: writers wait, the last changes are applied and compared, the source refuses writes, and services are pointed to
//! the region. Until something is destroyed at the source, it can be undone.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};

use crate::Migration;
use crate::compare::{Comparison, Difference, one_of};
use crate::copy::copy_out;
use crate::database::{Session, literal, quoted};
use crate::error::MigrateError;
use crate::follow::Touched;
use crate::progress::State;
use crate::table::{Form, Table};

/// Keys of changed rows that are looked at in one statement.
const KEYS: usize = 1_000;

/// How often the tables are locked anew where writers lock them in another order, and how the server says so.
const TRIES: u32 = 5;
const DEADLOCK: &str = "(40P01)";

/// What refuses writes at the source, in the schema of each table.
const REFUSAL: &str = "clover_migrate_served_elsewhere";

/// One thing that a cut-over changes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// Where.
    pub place: String,
    /// What.
    pub what: String,
}

/// How a cut-over went.
#[derive(Debug, serde::Serialize)]
pub struct Served {
    /// How long writers waited.
    pub pause: Duration,
    /// What was compared afterwards, when nothing was written any more.
    pub comparison: Comparison,
}

impl Migration {
    /// What a cut-over would change, and changes nothing.
    ///
    /// # Errors
    /// When an end does not answer.
    pub async fn rehearse(&self) -> Result<Vec<Step>, MigrateError> {
        let mut steps = Vec::new();
        for table in &self.tables {
            let place = format!("{} {}", self.plan.source.site, table.plain);
            let about = format!(
                "select count(*)::text from pg_stat_activity a join pg_locks l using (pid)
              where l.relation = {}::regclass and l.mode = 'RowExclusiveLock' and a.pid <> pg_backend_pid()",
                literal(&table.name)
            );
            let writers = self.source.text(&about).await?;
            let what = format!(
                "writers wait (at this moment {writers} transactions write), then writes are refused by the trigger `{REFUSAL}`"
            );
            steps.push(Step { place, what });
            for (column, ..) in self.sequences(table).await? {
                let place = format!("{} {}", self.plan.target.site, table.plain);
                steps.push(Step {
                    place,
                    what: format!("the sequence of `{column}` is set to where it stands at the source"),
                });
            }
        }
        let place = self.plan.cutover.pointer.display().to_string();
        let now = std::fs::read_to_string(&self.plan.cutover.pointer).unwrap_or_default();
        let what = if now.is_empty() {
            "the pointer is written".to_owned()
        } else {
            "the pointer is written anew".to_owned()
        };
        steps.push(Step { place, what });
        Ok(steps)
    }

    /// Cuts over.
    ///
    /// # Errors
    /// When the ends differ, writers would wait for too long, or an end breaks off. Then writers go on as before; if it broke off
    /// after the source was told to refuse them, another call goes on from there.
    pub async fn cut_over(&self) -> Result<Served, MigrateError> {
        if self.state().await? == Some(State::Served) {
            return Err(MigrateError::State("it is served from the region already".into()));
        }
        self.catch_up().await?;
        refuse(&self.compare().await?.differences)?;
        self.catch_up().await?;
        let gate = Session::source(&self.plan.source.database).await?;
        let pause = self.close_with_patience(&gate).await?;
        self.set_state(State::Served).await?;
        self.point(&self.plan.target.site, &self.plan.target.database.address)?;
        Ok(Served { pause, comparison: self.compare().await? })
    }

    async fn close_with_patience(&self, gate: &Session) -> Result<Duration, MigrateError> {
        let begun = Instant::now();
        for _ in 1..TRIES {
            match self.close(gate).await {
                Err(MigrateError::Server { text, .. }) if text.contains(DEADLOCK) => {
                    gate.run("rollback").await?
                }
                closed => return closed.map(|()| begun.elapsed()),
            }
        }
        self.close(gate).await.map(|()| begun.elapsed())
    }

    /// Has writers wait, brings the rest, and has the source refuse writes from then on.
    async fn close(&self, gate: &Session) -> Result<(), MigrateError> {
        let limit = Duration::from_millis(self.plan.limits.pause_ms);
        let names: Vec<&str> = self.tables.iter().map(|table| table.name.as_str()).collect();
        gate.run(&format!("begin; set local lock_timeout = {}", limit.as_millis().div_ceil(2))).await?;
        // Readers go on; who writes waits.
        gate.run(&format!("lock table {} in exclusive mode", names.join(", "))).await?;
        let rest = self.bring_the_rest(gate);
        tokio::time::timeout(limit, rest).await.map_err(|_| {
            MigrateError::State(format!(
                "writers would have waited longer than {} ms: nothing was changed",
                limit.as_millis()
            ))
        })??;
        gate.run("commit").await
    }

    async fn bring_the_rest(&self, gate: &Session) -> Result<(), MigrateError> {
        // Whoever commits without waiting for the disk is behind this, and flushed with it.
        self.source.run("set synchronous_commit = on; select pg_logical_emit_message(true, 'clover_migrate', 'the end')").await?;
        let mut touched = Touched::default();
        self.catch_up_noting(&mut touched).await?;
        // Of an earlier try.
        self.bring_moved().await?;
        if touched.many {
            refuse(&self.compare().await?.differences)?;
        }
        let kept = self.kept().await?.ok_or_else(|| MigrateError::State("nothing was begun".into()))?;
        for (place, table) in self.tables.iter().enumerate() {
            let keys: Vec<Vec<String>> =
                touched.keys.iter().filter(|(of, _)| *of == place).map(|(_, key)| key.clone()).collect();
            for keys in keys.chunks(KEYS) {
                refuse(&self.differences(table, keys, kept.key).await?)?;
            }
            for (column, last, called) in self.sequences(table).await? {
                let sql = format!(
                    "select setval(pg_get_serial_sequence({}, {}), {last}, {called})::text",
                    literal(&table.name),
                    literal(&column)
                );
                self.target.texts(&sql).await?;
            }
        }
        for table in &self.tables {
            gate.run(&refusal(table, &self.plan.target.site)).await?;
        }
        Ok(())
    }

    /// Undoes a cut-over. What was written in the region since is not at the source: then only if told so, and it is lost.
    ///
    /// # Errors
    /// When the ends differ and that was not told, or an end breaks off.
    pub async fn undo(&self, even_so: bool) -> Result<u64, MigrateError> {
        if self.state().await? != Some(State::Served) {
            return Err(MigrateError::State("it is not served from the region".into()));
        }
        let written = self.compare().await?.differences;
        if !written.is_empty() && !even_so {
            let text = format!(
                "{} rows were written in the region since, or more: they would be lost (--lose-writes)",
                written.len()
            );
            return Err(MigrateError::State(text));
        }
        self.repair(&written).await?;
        for table in &self.tables {
            self.source.run(&format!("drop trigger if exists {REFUSAL} on {0}", table.name)).await?;
        }
        self.set_state(State::Following).await?;
        self.point(&self.plan.source.site, &self.plan.source.database.address)?;
        Ok(written.len() as u64)
    }

    /// Brings rows anew in which the ends differ.
    ///
    /// # Errors
    /// When an end breaks off.
    pub async fn repair(&self, differences: &[Difference]) -> Result<(), MigrateError> {
        for table in &self.tables {
            let keys: Vec<Vec<String>> =
                differences.iter().filter(|d| d.table == table.plain).map(|d| d.key.clone()).collect();
            for keys in keys.chunks(KEYS) {
                self.bring(table, &one_of(table, keys)).await?;
            }
        }
        Ok(())
    }

    /// Brings the rows of people who moved to the region or away while they were copied.
    pub(crate) async fn bring_moved(&self) -> Result<(), MigrateError> {
        let wrong = |e: tokio_postgres::Error| self.target.wrong(&e);
        let sql = "select people, person from clover_migrate.moved where migration = $1";
        let mut moved: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in self.target.rows(sql, &[&self.plan.name]).await? {
            moved.entry(row.try_get(0).map_err(wrong)?).or_default().push(row.try_get(1).map_err(wrong)?);
        }
        for (people, persons) in &moved {
            for persons in persons.chunks(KEYS) {
                for table in &self.tables {
                    let of = self.plan.people(&self.tables, table).map_or(&table.plain, |t| &t.plain);
                    if of == people {
                        let subject = table.column(table.subject)?;
                        let those = persons.iter().map(|p| literal(p)).collect::<Vec<_>>().join(", ");
                        let theirs =
                            format!("{} = any (array[{those}]::{}[])", quoted(&subject.name), subject.kind);
                        self.bring(table, &theirs).await?;
                    }
                }
                let done = "delete from clover_migrate.moved where migration = $1 and people = $2 and person = any ($3)";
                self.target.rows(done, &[&self.plan.name, people, &persons]).await?;
            }
        }
        Ok(())
    }

    /// Replaces rows of the target by those that the source has now.
    async fn bring(&self, table: &Table, those: &str) -> Result<(), MigrateError> {
        let brought = self.bring_beside(table, those).await;
        if brought.is_err() {
            // The connection may be gone, and then so is the transaction.
            drop(self.target.run("rollback").await);
        }
        brought
    }

    async fn bring_beside(&self, table: &Table, those: &str) -> Result<(), MigrateError> {
        let condition = format!("{those} and {}", self.plan.moves(&self.tables, table));
        // Beside the table first: a row may be there under another person, and is known by its key.
        let beside = format!(
            "begin; create temporary table clover_brought on commit drop as select {} from {} with no data",
            table.list(),
            table.name
        );
        self.target.run(&beside).await?;
        let into = format!("copy pg_temp.clover_brought ({}) from stdin (format text)", table.list());
        let mut sink =
            Box::pin(self.target.client.copy_in::<_, Bytes>(&into).await.map_err(|e| self.target.wrong(&e))?);
        let mut stream = pin!(copy_out(&self.source, table, &condition, Form::Text).await?);
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|e| self.source.wrong(&e))?;
            sink.feed(piece).await.map_err(|e| self.target.wrong(&e))?;
        }
        sink.as_mut().finish().await.map_err(|e| self.target.wrong(&e))?;
        let key: Vec<String> = table.key_columns().map(|c| quoted(&c.name)).collect();
        let key = key.join(", ");
        let replace = format!(
            "delete from {0} where {those} or ({key}) in (select {key} from pg_temp.clover_brought);
             insert into {0} ({1}) overriding system value select {1} from pg_temp.clover_brought; commit",
            table.name,
            table.list()
        );
        self.target.run(&replace).await
    }

    /// Columns with a sequence, where it stands at the source, and whether that was given out.
    async fn sequences(&self, table: &Table) -> Result<Vec<(String, i64, bool)>, MigrateError> {
        let mut sequences = Vec::new();
        for column in &table.columns {
            let name =
                format!("select pg_get_serial_sequence({}, {})", literal(&table.name), literal(&column.name));
            for sequence in self.source.texts(&name).await? {
                let stands = format!("select last_value, is_called from {sequence}");
                for row in self.source.rows(&stands, &[]).await? {
                    let wrong = |e: tokio_postgres::Error| self.source.wrong(&e);
                    sequences.push((
                        column.name.clone(),
                        row.try_get(0).map_err(wrong)?,
                        row.try_get(1).map_err(wrong)?,
                    ));
                }
            }
        }
        Ok(sequences)
    }

    /// Writes where the sets are served from. The file is whole at any time.
    fn point(&self, site: &str, address: &str) -> Result<(), MigrateError> {
        let path = &self.plan.cutover.pointer;
        let sets: Vec<&str> = self.tables.iter().map(|table| table.plain.as_str()).collect();
        let text = serde_json::json!({ "site": site, "address": address, "sets": sets }).to_string();
        replace(path, text.as_bytes()).map_err(|e| MigrateError::file(path, e))
    }
}

/// Replaces a file as a whole, durably.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

/// Refuses if rows differ.
fn refuse(differences: &[Difference]) -> Result<(), MigrateError> {
    let Some(first) = differences.first() else { return Ok(()) };
    let text = format!(
        "{} rows or more differ, one of {}: {}. Nothing was changed; `compare` names them, and `compare --repair` brings them anew",
        differences.len(),
        first.table,
        first.what
    );
    Err(MigrateError::State(text))
}

/// What refuses writes of a table, and says where it is served from.
fn refusal(table: &Table, site: &str) -> String {
    let schema = table.name.split('.').next().unwrap_or_default();
    let body = literal(&format!(
        "begin raise exception 'this table is served from {site} now: read the pointer again' using errcode = 'read_only_sql_transaction'; end"
    ));
    format!(
        "create or replace function {schema}.{REFUSAL}() returns trigger language plpgsql as {body};
         create or replace trigger {REFUSAL} before insert or update or delete or truncate on {0}
           for each statement execute function {schema}.{REFUSAL}();
         alter table {0} enable always trigger {REFUSAL}",
        table.name
    )
}
