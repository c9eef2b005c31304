//! The cut-over: writers wait, the last changes are applied and compared, the source refuses writes, and services are pointed to
//! the region. Until something is destroyed at the source, it can be undone.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use ledger::migration::Stage;
use vault::disk::replace_file;

use crate::Migration;
use crate::compare::{Comparison, Difference, one_of};
use crate::copy::copy_out;
use crate::database::{Session, literal, quoted};
use crate::error::MigrateError;
use crate::follow::Touched;
use crate::progress::State;
use crate::record::{Said, people};
use crate::table::{Form, Table};

/// Keys of changed rows that are looked at in one statement.
const KEYS: usize = 1_000;

/// How often what was touched is compared before writers wait: each time what was touched meanwhile.
const SETTLINGS: u32 = 3;

/// How often the tables are locked anew where writers lock them in another order, and how the server says so.
const TRIES: u32 = 5;
const DEADLOCK: &str = "(40P01)";
/// How the server says that a statement took too long.
const CANCELLED: &str = "(57014)";

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
        self.prepare_to_point()?;
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
                "writers wait (at this moment {writers} transactions write), then writes of the region's rows are refused by the trigger `{REFUSAL}`; those of others go on"
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
        let state = self.state().await?;
        if state.is_some_and(|state| state >= State::Finished) {
            return Err(MigrateError::State("it is finished".into()));
        }
        crate::mysql::stopped(&self.source).await?;
        self.prepare_to_point()?;
        let mut pause = Duration::ZERO;
        if state != Some(State::Served) {
            // What is followed from here on is compared again at the end.
            let mut touched = Touched::default();
            self.catch_up().await?;
            refuse(&self.compare_noting(&mut touched).await?.differences)?;
            self.check_people().await?;
            self.tell_names_apart().await?;
            self.fill_vault().await?;
            self.settle(&mut touched).await?;
            pause = self.close_with_patience(&mut touched).await?;
            self.set_state(State::Served).await?;
        }
        // As it is before anybody of the region writes.
        let fixed = Session::target(&self.plan.target.database).await?;
        fixed.run("begin isolation level repeatable read read only").await?;
        fixed.run("select 1 from clover_migrate.migration").await?;
        self.stop_refusing(&self.target).await?;
        self.point(&self.plan.target.site, &self.plan.target.database.address)?;
        let comparison = self.compare_fixed(&fixed).await?;
        let differs = !comparison.differences.is_empty();
        if state != Some(State::Served) && differs {
            let sql = "update clover_migrate.migration set differs = true where name = $1";
            self.target.rows(sql, &[&self.plan.name]).await?;
        }
        // After a kill the region may have written already; but all was compared before writers were let go.
        if !self.begun().await?.differs {
            self.record_served(&comparison).await?;
        }
        Ok(Served { pause, comparison })
    }

    /// Takes down that all is compared and served. The source's rows are as they were then, for it refuses their writes.
    async fn record_served(&self, comparison: &Comparison) -> Result<(), MigrateError> {
        if self.plan.ledger.is_none() {
            return Ok(());
        }
        let mut stages = Vec::new();
        for table in &self.tables {
            let moves = self.plan.moves(&self.tables, table);
            let sum = comparison.sums.get(&table.plain).copied().unwrap_or_default();
            let said = Said::of(&sum, people(&self.source, table, &moves).await?);
            stages.extend([(table, Stage::Compared, said), (table, Stage::Served, said)]);
        }
        self.record(&stages).await
    }

    async fn close_with_patience(&self, touched: &mut Touched) -> Result<Duration, MigrateError> {
        let begun = Instant::now();
        let limit = Duration::from_millis(self.plan.limits.pause_ms);
        let late = || {
            let text = format!(
                "writers would have waited longer than {} ms: nothing was changed",
                limit.as_millis()
            );
            MigrateError::State(text)
        };
        for _ in 0..TRIES {
            // With its connection a try that is late lets go of everything.
            let gate = Session::source(&self.plan.source.database).await?;
            let left = limit.checked_sub(begun.elapsed()).ok_or_else(late)?;
            match tokio::time::timeout(left, self.close(&gate, left, touched)).await.map_err(|_| late())? {
                Err(MigrateError::Server { text, .. }) if text.contains(DEADLOCK) => {}
                Err(MigrateError::Server { text, .. }) if text.contains(CANCELLED) => return Err(late()),
                closed => return closed.map(|()| begun.elapsed()),
            }
        }
        Err(late())
    }

    /// Has writers wait, brings the rest, and has the source refuse writes from then on.
    async fn close(
        &self,
        gate: &Session,
        limit: Duration,
        touched: &mut Touched,
    ) -> Result<(), MigrateError> {
        let names: Vec<&str> = self.tables.iter().map(|table| table.name.as_str()).collect();
        gate.run(&format!("begin; set local statement_timeout = {}", limit.as_millis().max(1))).await?;
        // Readers go on; who writes waits.
        gate.run(&format!("lock table {} in exclusive mode", names.join(", "))).await?;
        self.bring_the_rest(touched).await?;
        self.refuse_writes(gate, &self.plan.target.site).await?;
        gate.run("commit").await
    }

    async fn bring_the_rest(&self, touched: &mut Touched) -> Result<(), MigrateError> {
        // Whoever commits without waiting for the disk is behind this, and flushed with it.
        self.source
            .run("set synchronous_commit = on; select pg_logical_emit_message(true, 'clover_migrate', 'the end')")
            .await?;
        self.catch_up_noting(touched).await?;
        // Of an earlier try.
        self.bring_moved(touched).await?;
        self.check_people().await?;
        if touched.many {
            refuse(&self.compare().await?.differences)?;
        }
        refuse(&self.compare_touched(touched).await?)?;
        self.fill_vault().await?;
        for table in &self.tables {
            for (column, last, called) in self.sequences(table).await? {
                let sql = format!(
                    "select setval(pg_get_serial_sequence({}, {}), {last}, {called})::text",
                    literal(&table.name),
                    literal(&column)
                );
                self.target.texts(&sql).await?;
            }
        }
        Ok(())
    }

    /// Compares what was touched while writers go on, so that little is left for when they wait: what differs, or is touched meanwhile.
    async fn settle(&self, touched: &mut Touched) -> Result<(), MigrateError> {
        for _ in 0..SETTLINGS {
            let before = std::mem::take(touched);
            self.catch_up_noting(touched).await?;
            touched.many |= before.many;
            for different in self.compare_touched(&before).await? {
                // By its key it is compared again.
                if let Some(place) = self.tables.iter().position(|table| table.plain == different.table) {
                    touched.add(place, &different.key);
                }
            }
        }
        Ok(())
    }

    /// The differences of rows that were touched.
    async fn compare_touched(&self, touched: &Touched) -> Result<Vec<Difference>, MigrateError> {
        let key = self.begun().await?.key;
        let mut found = Vec::new();
        for (place, table) in self.tables.iter().enumerate() {
            let keys: Vec<Vec<String>> =
                touched.keys.iter().filter(|(of, _)| *of == place).map(|(_, key)| key.clone()).collect();
            for keys in keys.chunks(KEYS) {
                found.extend(self.differences(table, &one_of(table, keys), key).await?);
            }
            let of = self.plan.people(&self.tables, table).map_or(&table.plain, |t| &t.plain);
            let people: Vec<String> = touched
                .people
                .iter()
                .filter(|(people, _)| people == of)
                .map(|(_, person)| person.clone())
                .collect();
            for people in people.chunks(KEYS) {
                found.extend(self.differences(table, &theirs(table, people)?, key).await?);
            }
        }
        Ok(found)
    }

    /// Has an end refuse writes of rows of the region's people.
    async fn refuse_writes(&self, end: &Session, site: &str) -> Result<(), MigrateError> {
        for (place, table) in self.tables.iter().enumerate() {
            let [new, old] = ["new", "old"].map(|row| self.plan.is_of_region(&self.tables, table, row));
            end.run(&refusal(table, place, site, &new, &old)).await?;
        }
        Ok(())
    }

    /// Has an end take writes again.
    async fn stop_refusing(&self, end: &Session) -> Result<(), MigrateError> {
        for (place, table) in self.tables.iter().enumerate() {
            let schema = table.name.split('.').next().unwrap_or_default();
            end.run(&format!(
                "drop trigger if exists {REFUSAL} on {0}; drop trigger if exists {REFUSAL}_all on {0};
                 drop function if exists {schema}.{REFUSAL}_{place}()",
                table.name
            ))
            .await?;
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
        self.prepare_to_point()?;
        if self.plan.vault.is_some() && !even_so {
            let text = "what services wrote into the vault since is not seen from here, and would be lost (--lose-writes)";
            return Err(MigrateError::State(text.into()));
        }
        // Nobody writes while it is looked at; we do, as a replica.
        self.refuse_writes(&self.target, &self.plan.source.site).await?;
        let mut replaced = 0;
        loop {
            let written = self.compare_fixed(&self.target).await?.differences;
            if written.is_empty() {
                break;
            }
            if !even_so {
                self.stop_refusing(&self.target).await?;
                let text = format!(
                    "{} rows were written in the region since, or more: they would be lost (--lose-writes)",
                    written.len()
                );
                return Err(MigrateError::State(text));
            }
            replaced += written.len() as u64;
            self.bring_anew(&written).await?;
        }
        if self.is_on_record_as_served().await? {
            let undone: Vec<_> = self.tables.iter().map(|t| (t, Stage::Undone, Said::default())).collect();
            self.record(&undone).await?;
        }
        let sql = "update clover_migrate.migration set differs = false where name = $1";
        self.target.rows(sql, &[&self.plan.name]).await?;
        self.set_state(State::Following).await?;
        self.stop_refusing(&self.source).await?;
        self.point(&self.plan.source.site, &self.plan.source.database.address)?;
        Ok(replaced)
    }

    /// Ends the migration: the source keeps no changes for it any more, and goes on refusing writes.
    ///
    /// # Errors
    /// When it is not served from the region, or an end breaks off.
    pub async fn finish(&self) -> Result<(), MigrateError> {
        match self.state().await? {
            Some(State::Served) if self.plan.ledger.is_some() && !self.is_on_record_as_served().await? => {
                let text = "it is not on record that all was compared and is served: call `cutover` again, or `undo`";
                return Err(MigrateError::State(text.into()));
            }
            Some(State::Served) => {
                self.fill_vault().await?;
                self.set_state(State::Finished).await?;
            }
            // Killed before it was done.
            Some(State::Finished) => {}
            _ => return Err(MigrateError::State("it is not served from the region".into())),
        }
        self.stop_noting().await?;
        // What was noted until then.
        self.fill_vault().await?;
        self.drop_stream().await
    }

    async fn is_on_record_as_served(&self) -> Result<bool, MigrateError> {
        let lasts = self.lasts().await?;
        let served =
            |table: &Table| lasts.get(&table.plain).is_some_and(|(_, last)| last.stage == Stage::Served);
        Ok(self.tables.iter().all(served))
    }

    /// Brings rows anew in which the ends differ.
    ///
    /// # Errors
    /// When an end breaks off.
    pub async fn repair(&self, differences: &[Difference]) -> Result<(), MigrateError> {
        if self.state().await? != Some(State::Following) {
            let text =
                "rows are brought anew only while changes are followed: what the region wrote would be lost";
            return Err(MigrateError::State(text.into()));
        }
        self.bring_anew(differences).await
    }

    async fn bring_anew(&self, differences: &[Difference]) -> Result<(), MigrateError> {
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
    pub(crate) async fn bring_moved(&self, touched: &mut Touched) -> Result<(), MigrateError> {
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
                        self.bring(table, &theirs(table, persons)?).await?;
                    }
                }
                touched.people.extend(persons.iter().map(|person| (people.clone(), person.clone())));
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

    /// That the pointer can be written, before anything depends on it.
    fn prepare_to_point(&self) -> Result<(), MigrateError> {
        let path = &self.plan.cutover.pointer;
        let new = path.with_extension("part");
        let test = || {
            std::fs::File::create(&new)?.sync_all()?;
            std::fs::remove_file(&new)
        };
        test().map_err(|e| MigrateError::file(path, e))
    }

    /// Writes where the sets are served from. The file is whole at any time.
    fn point(&self, site: &str, address: &str) -> Result<(), MigrateError> {
        let path = &self.plan.cutover.pointer;
        let sets: Vec<&str> = self.tables.iter().map(|table| table.plain.as_str()).collect();
        let mut text = serde_json::json!({ "site": site, "address": address, "sets": sets });
        let here = site == self.plan.target.site;
        if let (Some(_), true, Some(text)) = (&self.plan.vault, here, text.as_object_mut()) {
            text.insert("vault".into(), true.into());
        }
        let gateway = self.plan.cutover.gateway.as_ref().filter(|_| here);
        if let (Some(gateway), Some(text)) = (gateway, text.as_object_mut()) {
            text.insert("outside".into(), gateway.as_str().into());
        }
        let text = text.to_string();
        replace_file(path, text.as_bytes()).map_err(|e| MigrateError::file(path, e))
    }
}

/// True for the rows of these people.
fn theirs(table: &Table, people: &[String]) -> Result<String, MigrateError> {
    let subject = table.column(table.subject)?;
    let those = people.iter().map(|p| literal(p)).collect::<Vec<_>>().join(", ");
    Ok(format!("{} = any (array[{those}]::{}[])", quoted(&subject.name), subject.kind))
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

/// What refuses writes of rows of the region's people, and says where they are served from.
fn refusal(table: &Table, place: usize, site: &str, new: &str, old: &str) -> String {
    let schema = table.name.split('.').next().unwrap_or_default();
    let raise = format!(
        "raise exception 'this is served from {site} now: read the pointer again' using errcode = 'read_only_sql_transaction';"
    );
    let body = literal(&format!(
        "begin
           if tg_op = 'TRUNCATE' then {raise} end if;
           if tg_op <> 'DELETE' then if {new} then {raise} end if; end if;
           if tg_op <> 'INSERT' then if {old} then {raise} end if; end if;
           if tg_op = 'DELETE' then return old; end if;
           return new;
         end"
    ));
    format!(
        "create or replace function {schema}.{REFUSAL}_{place}() returns trigger language plpgsql set search_path = pg_catalog as {body};
         create or replace trigger {REFUSAL} before insert or update or delete on {0}
           for each row execute function {schema}.{REFUSAL}_{place}();
         create or replace trigger {REFUSAL}_all before truncate on {0}
           for each statement execute function {schema}.{REFUSAL}_{place}()",
        table.name
    )
}
