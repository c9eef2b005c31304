//! Copying: every part in one transaction of the target, from one snapshot of the source.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_postgres::CopyInSink;

use crate::Migration;
use crate::database::{Session, literal, quoted};
use crate::digest::{DigestKey, Sum};
use crate::error::MigrateError;
use crate::plan::Plan;
use crate::progress::{Kept, State, part_is_there};
use crate::record::now;
use crate::rows::Splitter;
use crate::table::{Form, Table};

/// How long an earlier process of ours is waited for that was killed, and how often.
const WAIT: Duration = Duration::from_millis(100);
const WAITS: u32 = 100;

/// Most parts of one table.
const PARTS_MAX: u64 = 10_000;

/// Rows of a table between two numbers of its key's first column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number among all parts.
    pub place: i32,
    /// The table, as the plan writes it.
    pub table: String,
    /// The least number; `None` for no limit.
    pub low: Option<i64>,
    /// The number behind the greatest.
    pub high: Option<i64>,
    /// The source's snapshot that it was copied from, once it was.
    pub snapshot: Option<String>,
}

impl Part {
    /// True for its rows.
    pub(crate) fn within(&self, table: &Table) -> String {
        let Some(column) = table.numbered().map(|c| quoted(&c.name)) else { return "true".into() };
        let low = self.low.map(|low| format!("{column} >= {low}"));
        let high = self.high.map(|high| format!("{column} < {high}"));
        let both: Vec<String> = low.into_iter().chain(high).collect();
        if both.is_empty() { "true".into() } else { both.join(" and ") }
    }

    /// True if a row with this number in its key is of the part.
    pub(crate) fn holds(&self, number: Option<i64>) -> bool {
        number.is_none_or(|n| self.low.is_none_or(|low| low <= n) && self.high.is_none_or(|high| n < high))
    }
}

/// What all workers share.
struct Work {
    plan: Plan,
    tables: Vec<Table>,
    key: DigestKey,
    /// The snapshot as one session gives it to others, and as transactions are seen or not.
    exported: String,
    snapshot: String,
    left: Mutex<Vec<Part>>,
    pace: Pace,
    rows: Arc<AtomicU64>,
}

/// Keeps all workers together below a rate.
struct Pace {
    begun: Instant,
    bytes: AtomicU64,
    bytes_per_second: u64,
}

impl Pace {
    async fn spend(&self, bytes: usize) {
        let all = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if self.bytes_per_second > 0 {
            let due = Duration::from_secs_f64(all as f64 / self.bytes_per_second as f64);
            if let Some(early) = due.checked_sub(self.begun.elapsed()) {
                tokio::time::sleep(early).await;
            }
        }
    }
}

impl Migration {
    /// Copies what is not there yet. `rows` counts rows as they come.
    ///
    /// # Errors
    /// When an end refuses, breaks off, or is not what was planned. What was copied stays, and the next call goes on.
    pub async fn copy(&self, rows: Arc<AtomicU64>) -> Result<(), MigrateError> {
        let kept = match self.kept().await? {
            Some(kept) if kept.state != State::Beginning => kept,
            begun => self.start(begun.is_some()).await?,
        };
        if kept.state != State::Copying {
            return Ok(());
        }
        // People first: whoever is there when their rows are copied, and moves later, is followed.
        for people in [true, false] {
            let of =
                |part: &Part| self.tables.iter().any(|t| t.plain == part.table && t.home.is_some() == people);
            loop {
                let parts = self.parts().await?;
                let left: Vec<Part> =
                    parts.into_iter().filter(|part| part.snapshot.is_none() && of(part)).rev().collect();
                if left.is_empty() {
                    break;
                }
                // Beyond its hours it holds no snapshot, which would keep the source from cleaning up.
                if let Some(hours) = self.plan.limits.hours {
                    tokio::time::sleep(Duration::from_secs(hours.wait(now()))).await;
                }
                self.copy_parts(left, kept.key, Arc::clone(&rows)).await?;
            }
        }
        self.record_copied().await?;
        self.set_state(State::Following).await
    }

    /// Makes slot and publication, and divides the tables.
    async fn start(&self, begun: bool) -> Result<Kept, MigrateError> {
        self.check_people().await?;
        for table in &self.tables {
            table.takes_any_order(&self.target).await?;
            let any = format!("select exists (select 1 from {})::text", table.name);
            if self.target.text(&any).await? == "true" {
                return Err(MigrateError::Plan(format!("{}: the target's table is not empty", table.plain)));
            }
        }
        let level = self.source.text("show wal_level").await?;
        if level != "logical" {
            let text = format!(
                "the source's `wal_level` is `{level}`: changes can be followed with `logical` only (a restart)"
            );
            return Err(MigrateError::Plan(text));
        }
        let slot = self.plan.slot();
        if begun {
            self.drop_stream().await?;
        } else {
            self.refuse_another().await?;
            self.intend().await?;
        }
        let names: Vec<&str> = self.tables.iter().map(|table| table.name.as_str()).collect();
        self.source
            .run(&format!("create publication {} for table {}", quoted(&slot), names.join(", ")))
            .await?;
        // Whatever is written from here on waits in the slot.
        let make = format!(
            "select lsn::text from pg_create_logical_replication_slot({}, 'pgoutput')",
            literal(&slot)
        );
        let from = self.source.text(&make).await?;
        self.wait_for_the_seen().await?;
        let mut parts = Vec::new();
        for table in &self.tables {
            self.divide(table, &mut parts).await?;
        }
        self.record_found().await?;
        self.begin(&parts, &from).await?;
        self.begun().await
    }

    /// That no other migration has the name at the source.
    async fn refuse_another(&self) -> Result<(), MigrateError> {
        let slot = literal(&self.plan.slot());
        let sql = format!(
            "select 1::text from pg_replication_slots where slot_name = {slot} union all select 1::text from pg_publication where pubname = {slot}"
        );
        if self.source.texts(&sql).await?.is_empty() {
            return Ok(());
        }
        let text = format!(
            "the source has a slot or publication `{}` already: another migration is called so",
            self.plan.slot()
        );
        Err(MigrateError::Plan(text))
    }

    /// Waits until every transaction that the slot does not tell of can be seen: one that waits for a standby is in the log already.
    async fn wait_for_the_seen(&self) -> Result<(), MigrateError> {
        let end = self.source.text("select pg_snapshot_xmax(pg_current_snapshot())::text").await?;
        let sql =
            format!("select (pg_snapshot_xmin(pg_current_snapshot()) >= {}::xid8)::text", literal(&end));
        for _ in 0..WAITS {
            if self.source.text(&sql).await? == "true" {
                return Ok(());
            }
            tokio::time::sleep(WAIT).await;
        }
        Err(MigrateError::State("a transaction at the source does not end: call again when it has".into()))
    }

    /// Takes slot and publication of an earlier try away.
    pub(crate) async fn drop_stream(&self) -> Result<(), MigrateError> {
        let slot = self.plan.slot();
        self.free_slot().await?;
        let drop = format!(
            "select pg_drop_replication_slot(slot_name)::text from pg_replication_slots where slot_name = {}",
            literal(&slot)
        );
        self.source.texts(&drop).await?;
        self.source.run(&format!("drop publication if exists {}", quoted(&slot))).await
    }

    /// Waits until the server has noticed that a process of ours that read the slot is gone.
    pub(crate) async fn free_slot(&self) -> Result<(), MigrateError> {
        let busy = format!(
            "select active_pid::text from pg_replication_slots where slot_name = {} and active",
            literal(&self.plan.slot())
        );
        for _ in 0..WAITS {
            if self.source.texts(&busy).await?.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(WAIT).await;
        }
        Err(MigrateError::State(format!("the source's slot `{}` is read by somebody else", self.plan.slot())))
    }

    /// That nobody's home is unknown, or that the plan says what becomes of them.
    pub(crate) async fn check_people(&self) -> Result<(), MigrateError> {
        if self.plan.region.unknown == crate::plan::Unknown::Stay {
            return Ok(());
        }
        for table in &self.tables {
            let Some(unknown) = self.plan.unknown(table) else { continue };
            let count = self
                .source
                .text(&format!("select count(*)::text from {} where {unknown}", table.name))
                .await?;
            if count != "0" {
                return Err(MigrateError::Plan(format!(
                    "{}: of {count} people nobody knows whether they are the region's. Name their homes in `homes` or `others`, \
                     or say `unknown = \"stay\"`",
                    table.plain
                )));
            }
        }
        Ok(())
    }

    async fn divide(&self, table: &Table, parts: &mut Vec<Part>) -> Result<(), MigrateError> {
        let mut bounds = Vec::new();
        let count = (table.rows_about / self.plan.limits.part_rows).clamp(1, PARTS_MAX);
        if let Some(column) = table.numbered().filter(|_| count > 1) {
            let column = quoted(&column.name);
            let least = format!("select min({column})::text from {}", table.name);
            let most = format!("select max({column})::text from {}", table.name);
            let number = |texts: Vec<String>| texts.first().and_then(|text| text.parse::<i64>().ok());
            let (least, most) =
                (number(self.source.texts(&least).await?), number(self.source.texts(&most).await?));
            if let (Some(least), Some(most)) = (least, most) {
                let width = (i128::from(most) - i128::from(least)) / i128::from(count) + 1;
                let at = |n: u64| i64::try_from(i128::from(least) + width * i128::from(n)).ok();
                bounds = (1..count).filter_map(at).collect();
            }
        }
        let mut low = None;
        for high in bounds.into_iter().map(Some).chain([None]) {
            let place = i32::try_from(parts.len()).unwrap_or(i32::MAX);
            parts.push(Part { place, table: table.plain.clone(), low, high, snapshot: None });
            low = high;
        }
        Ok(())
    }

    async fn copy_parts(
        &self,
        left: Vec<Part>,
        key: DigestKey,
        rows: Arc<AtomicU64>,
    ) -> Result<(), MigrateError> {
        // Holds the snapshot for the others.
        let holder = Session::source(&self.plan.source.database).await?;
        holder.run("begin isolation level repeatable read read only").await?;
        let exported = holder.text("select pg_export_snapshot()").await?;
        let snapshot = holder.text("select pg_current_snapshot()::text").await?;
        let workers = usize::from(self.plan.limits.workers).min(left.len());
        let bytes_per_second = self.plan.limits.bytes_per_second;
        let pace = Pace { begun: Instant::now(), bytes: AtomicU64::new(0), bytes_per_second };
        let (plan, tables) = (self.plan.clone(), self.tables.clone());
        let work =
            Arc::new(Work { plan, tables, key, exported, snapshot, left: Mutex::new(left), pace, rows });
        let mut running = JoinSet::new();
        for _ in 0..workers {
            running.spawn(worker(Arc::clone(&work)));
        }
        while let Some(ended) = running.join_next().await {
            ended.map_err(|_| MigrateError::State("a worker ended early".into()))??;
        }
        Ok(())
    }
}

async fn worker(work: Arc<Work>) -> Result<(), MigrateError> {
    let source = Session::source(&work.plan.source.database).await?;
    let target = Session::target(&work.plan.target.database).await?;
    source.run("begin isolation level repeatable read read only").await?;
    source.run(&format!("set transaction snapshot {}", literal(&work.exported))).await?;
    loop {
        if work.plan.limits.hours.is_some_and(|hours| hours.wait(now()) > 0) {
            return Ok(());
        }
        let Some(part) = work.left.lock().await.pop() else { return Ok(()) };
        copy_part(&work, &source, &target, &part).await?;
    }
}

async fn copy_part(work: &Work, source: &Session, target: &Session, part: &Part) -> Result<(), MigrateError> {
    let none =
        || MigrateError::State(format!("the target knows a part of {}, which is not planned", part.table));
    let table = work.tables.iter().find(|table| table.plain == part.table).ok_or_else(none)?;
    let form = table.form();
    let condition = format!("{} and {}", part.within(table), work.plan.moves(&work.tables, table));
    target.run("begin").await?;
    let into = format!("copy {} ({}) from stdin (format {})", table.name, table.list(), form.option());
    let mut sink: std::pin::Pin<Box<CopyInSink<Bytes>>> =
        Box::pin(target.client.copy_in(&into).await.map_err(|e| target.wrong(&e))?);
    let mut stream = pin!(copy_out(source, table, &condition, form).await?);
    let (mut splitter, mut sum) = (Splitter::new(form), Sum::default());
    while let Some(piece) = stream.next().await {
        let piece: Bytes = piece.map_err(|e| source.wrong(&e))?;
        let before = sum.rows;
        splitter.push(&piece, |row| sum.add(&work.key.row(row), row.len()))?;
        work.rows.fetch_add(sum.rows - before, Ordering::Relaxed);
        work.pace.spend(piece.len()).await;
        // Waits until the target has taken what was sent before.
        sink.feed(piece).await.map_err(|e| target.wrong(&e))?;
    }
    splitter.finish()?;
    let written = sink.as_mut().finish().await.map_err(|e| target.wrong(&e))?;
    if written != sum.rows {
        return Err(MigrateError::State(format!(
            "{}: the target took {written} rows of {}",
            table.plain, sum.rows
        )));
    }
    // What the target made of it, before anybody else sees it.
    let there = crate::compare::sum(target, table, &part.within(table), work.key).await?;
    if there != sum {
        let text = format!("{}: what the target has of a part is not what the source sent", table.plain);
        return Err(MigrateError::State(text));
    }
    part_is_there(target, &work.plan.name, part, &work.snapshot, &sum).await?;
    target.run("commit").await
}

/// Has the rows sent for which a condition is true.
pub(crate) async fn copy_out(
    session: &Session,
    table: &Table,
    condition: &str,
    form: Form,
) -> Result<tokio_postgres::CopyOutStream, MigrateError> {
    let sql = format!(
        "copy (select {} from {} where {condition}) to stdout (format {})",
        table.list(),
        table.name,
        form.option()
    );
    session.client.copy_out(&sql).await.map_err(|e| session.wrong(&e))
}
