//! Following: the source's transactions are applied in their order, some of them in one transaction of the target, which also
//! takes down how far it is. Then the slot is told.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::pin::pin;

use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, Statement};

use crate::Migration;
use crate::copy::Part;
use crate::database::{literal, quoted};
use crate::error::MigrateError;
use crate::progress::{Lsn, State};
use crate::stream::{Cell, Message, Relation, Snapshot, decode};
use crate::table::Table;

/// Changes that are asked for at once; a transaction is never parted. For each asking the server reads its log from the last point that it
/// remembers.
const BATCH: i32 = 100_000;

/// Statements that are sent before the first of them is answered.
const AHEAD: usize = 30;

/// Most keys of changed rows that are remembered; then all is compared.
pub(crate) const TOUCHED_MAX: usize = 100_000;

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Followed {
    /// Transactions that were new.
    pub transactions: u64,
    /// Rows that came, changed or went at the target or might have.
    pub changes: u64,
}

/// Keys of rows that changed, by table: what must be looked at again.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) keys: BTreeSet<(usize, Vec<String>)>,
    /// People whose rows were brought as a whole: table and person.
    pub(crate) people: BTreeSet<(String, String)>,
    /// More than are remembered.
    pub(crate) many: bool,
}

impl Touched {
    pub(crate) fn add(&mut self, table: usize, key: &[String]) {
        if self.keys.len() >= TOUCHED_MAX {
            self.many = true;
        } else {
            self.keys.insert((table, key.to_vec()));
        }
    }
}

/// Applies changes of one batch.
struct Applier<'m> {
    migration: &'m Migration,
    /// The parts of each table, with what their snapshots see.
    parts: Vec<Vec<(Part, Snapshot)>>,
    /// Which of the tables a number of the stream is.
    relations: HashMap<u32, usize>,
    statements: HashMap<String, Statement>,
    waiting: Vec<(Statement, Vec<Option<String>>)>,
    xid: u32,
    done: Followed,
}

impl Migration {
    /// Applies what has come since the last time; nothing if nothing has.
    ///
    /// # Errors
    /// When an end refuses or breaks off, or the source's tables have changed. Nothing is half applied.
    pub async fn follow(&self) -> Result<Followed, MigrateError> {
        self.follow_noting(&mut Touched::default()).await
    }

    /// Applies all that was written at the source before this call. What is written meanwhile may be there, too.
    ///
    /// # Errors
    /// As [`Migration::follow`].
    pub async fn catch_up(&self) -> Result<Followed, MigrateError> {
        self.catch_up_noting(&mut Touched::default()).await
    }

    pub(crate) async fn catch_up_noting(&self, touched: &mut Touched) -> Result<Followed, MigrateError> {
        let end = self.flushed().await?;
        let mut all = Followed::default();
        loop {
            let done = self.follow_noting(touched).await?;
            all.transactions += done.transactions;
            all.changes += done.changes;
            let kept = self.begun().await?;
            if kept.followed >= Some(end) || kept.state >= State::Finished {
                return Ok(all);
            }
        }
    }

    /// Up to where the source's log is on its disk.
    async fn flushed(&self) -> Result<Lsn, MigrateError> {
        let lsn = self.source.text("select pg_current_wal_flush_lsn()::text").await?;
        Lsn::of(&lsn).ok_or(MigrateError::Stream("a position in the log cannot be read"))
    }

    /// That the slot has not gone on without us: what it has passed is nowhere else.
    async fn is_continuous(&self, from: Lsn) -> Result<(), MigrateError> {
        let sql = format!(
            "select (confirmed_flush_lsn <= '{from}')::text from pg_replication_slots where slot_name = {}",
            literal(&self.plan.slot())
        );
        match self.source.texts(&sql).await?.first().map(String::as_str) {
            Some("true") => Ok(()),
            Some(_) => {
                let text = "the source's slot has gone on without this migration: changes are lost. Begin anew under another name, with an empty target";
                Err(MigrateError::State(text.into()))
            }
            None => Err(MigrateError::State(format!(
                "the source's replication slot \"{}\" does not exist: changes are lost",
                self.plan.slot()
            ))),
        }
    }

    pub(crate) async fn follow_noting(&self, touched: &mut Touched) -> Result<Followed, MigrateError> {
        let kept = self.begun().await?;
        match kept.state {
            State::Beginning | State::Copying => {
                return Err(MigrateError::State("not all parts are copied: copy first".into()));
            }
            // Nothing is told any more.
            State::Finished | State::Destroying | State::Destroyed => return Ok(Followed::default()),
            State::Following | State::Served => {}
        }
        let from = kept.followed.unwrap_or(Lsn(0));
        self.free_slot().await?;
        self.is_continuous(from).await?;
        self.target.run("begin").await?;
        match self.apply(from, touched).await {
            Ok((done, end)) => {
                self.target.run("commit").await?;
                if let Some(end) = end.max(kept.followed) {
                    self.advance(end).await?;
                }
                if done.transactions > 0 {
                    // What comes of them is ahead of what is followed, which makes no difference in the end.
                    self.bring_moved(touched).await?;
                }
                Ok(done)
            }
            Err(error) => {
                // The connection may be gone, and then so is the transaction.
                drop(self.target.run("rollback").await);
                Err(error)
            }
        }
    }

    /// Lets the source forget what the target has.
    async fn advance(&self, to: Lsn) -> Result<(), MigrateError> {
        let slot = literal(&self.plan.slot());
        let sql = format!(
            "select pg_replication_slot_advance(slot_name, '{to}')::text from pg_replication_slots
             where slot_name = {slot} and confirmed_flush_lsn < '{to}'"
        );
        self.source.texts(&sql).await.map(drop)
    }

    async fn apply(&self, from: Lsn, touched: &mut Touched) -> Result<(Followed, Option<Lsn>), MigrateError> {
        let slot = self.plan.slot();
        let flushed = self.flushed().await?;
        // Looked at and not taken: they are there again if this is not committed.
        let sql = format!(
            "select data from pg_logical_slot_peek_binary_changes({0}, null, {BATCH}, 'proto_version', '1', 'publication_names', {0})",
            literal(&slot)
        );
        let wrong = |e: tokio_postgres::Error| self.source.wrong(&e);
        let none: [&(dyn ToSql + Sync); 0] = [];
        let mut stream = pin!(self.source.client.query_raw(&sql, none).await.map_err(wrong)?);
        let mut applier = Applier::new(self).await?;
        let (mut end, mut known, mut messages) = (None, false, 0);
        while let Some(row) = stream.next().await {
            let message: Vec<u8> = row.and_then(|row: Row| row.try_get(0)).map_err(wrong)?;
            messages += 1;
            match decode(&message)? {
                Message::Begin { at, xid } => {
                    // It is there if its end is not behind the end that was taken down.
                    known = at < from;
                    applier.xid = xid;
                }
                Message::Commit { end: at } if !known => {
                    applier.done.transactions += 1;
                    end = Some(at);
                }
                Message::Relation(relation) => applier.relation(&relation)?,
                change if !known => applier.change(change, touched).await?,
                _ => {}
            }
        }
        applier.send().await?;
        // Of what is of no table of ours nothing is told: without a full batch it is passed as well.
        if messages < BATCH {
            end = end.max(Some(flushed));
        }
        if let Some(end) = end.filter(|end| *end > from) {
            let sql = format!(
                "update clover_migrate.migration set followed = '{end}', changed = now() where name = $1"
            );
            self.target.rows(&sql, &[&self.plan.name]).await?;
        }
        Ok((applier.done, end))
    }
}

impl<'m> Applier<'m> {
    async fn new(migration: &'m Migration) -> Result<Self, MigrateError> {
        let mut parts = vec![Vec::new(); migration.tables.len()];
        for part in migration.parts().await? {
            let snapshot = part.snapshot.as_deref().and_then(Snapshot::of);
            let place = migration.tables.iter().position(|table| table.plain == part.table);
            let none = || {
                MigrateError::State(format!(
                    "a part of {} was copied from a snapshot that cannot be read",
                    part.table
                ))
            };
            let snapshot = snapshot.ok_or_else(none)?;
            if let Some(list) = place.and_then(|place| parts.get_mut(place)) {
                list.push((part, snapshot));
            }
        }
        let (relations, statements) = (HashMap::new(), HashMap::new());
        Ok(Self {
            migration,
            parts,
            relations,
            statements,
            waiting: Vec::new(),
            xid: 0,
            done: Followed::default(),
        })
    }

    fn table(&self, place: usize) -> Result<&'m Table, MigrateError> {
        self.migration
            .tables
            .get(place)
            .ok_or(MigrateError::Stream("a change is of a table that was not described"))
    }

    fn place(&self, number: u32) -> Result<usize, MigrateError> {
        self.relations
            .get(&number)
            .copied()
            .ok_or(MigrateError::Stream("a change is of a table that was not described"))
    }

    /// Takes a table's description, which must be what was planned.
    fn relation(&mut self, relation: &Relation) -> Result<(), MigrateError> {
        let plain = format!("{}.{}", relation.schema, relation.name);
        let Some(place) = self.migration.tables.iter().position(|table| table.plain == plain) else {
            return Err(MigrateError::Changed {
                table: plain,
                what: "it is in the publication and not in the plan".into(),
            });
        };
        let planned = self.table(place)?.columns.iter().map(|c| (&c.name, c.numbers));
        if !planned.eq(relation.columns.iter().map(|(name, kind, modifier)| (name, (*kind, *modifier)))) {
            let names: Vec<&str> = relation.columns.iter().map(|(name, ..)| name.as_str()).collect();
            let what = format!("its columns or their types are others: {}", names.join(", "));
            return Err(MigrateError::Changed { table: plain, what });
        }
        self.relations.insert(relation.number, place);
        Ok(())
    }

    async fn change(&mut self, change: Message<'_>, touched: &mut Touched) -> Result<(), MigrateError> {
        match change {
            Message::Insert { table, new } => self.row(self.place(table)?, &new, false, touched).await,
            Message::Update { table, old, new } => {
                let place = self.place(table)?;
                if let Some(old) = old
                    && self.key(place, &old)? != self.key(place, &new)?
                {
                    self.gone(place, &old, touched).await?;
                }
                self.row(place, &new, true, touched).await
            }
            Message::Delete { table, old } => self.gone(self.place(table)?, &old, touched).await,
            Message::Truncate { tables } => {
                for table in tables {
                    self.emptied(self.place(table)?, touched).await?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn key(&self, place: usize, cells: &[Cell<'_>]) -> Result<Vec<String>, MigrateError> {
        let cell = |place: &usize| match cells.get(*place) {
            Some(Cell::Text(text)) => Ok((*text).to_owned()),
            _ => Err(MigrateError::Stream("a row has no key")),
        };
        self.table(place)?.key.iter().map(cell).collect()
    }

    /// True if the part of the row was copied after this transaction, so that it is in what was copied.
    fn is_copied(&self, place: usize, key: &[String]) -> Result<bool, MigrateError> {
        let number = self.table(place)?.numbered().and_then(|_| key.first()?.parse().ok());
        let parts = self.parts.get(place).map_or(&[][..], Vec::as_slice);
        let part = parts.iter().find(|(part, _)| part.holds(number));
        let none = MigrateError::Stream("a row is of no part of its table");
        part.map(|(_, snapshot)| snapshot.sees(self.xid)).ok_or(none)
    }

    /// A row as it is now.
    async fn row(
        &mut self,
        place: usize,
        new: &[Cell<'_>],
        changed: bool,
        touched: &mut Touched,
    ) -> Result<(), MigrateError> {
        let table = self.table(place)?;
        if new.len() != table.columns.len() {
            return Err(MigrateError::Stream("a row has another number of columns"));
        }
        let key = self.key(place, new)?;
        if self.is_copied(place, &key)? {
            return Ok(());
        }
        touched.add(place, &key);
        self.done.changes += 1;
        let person = match new.get(table.subject) {
            Some(Cell::Text(text)) => Some((*text).to_owned()),
            _ => None,
        };
        let values: Vec<Option<String>> =
            new.iter().filter(|cell| **cell != Cell::Untouched).map(value).collect();
        let row = Changed { key, person, values, whole: !new.contains(&Cell::Untouched), changed };
        match table.home.and_then(|home| new.get(home)) {
            Some(home) => self.person(table, *home, new, row).await,
            None => self.row_of(table, new, row).await,
        }
    }

    /// A person, who may be the region's now, or no longer.
    async fn person(
        &mut self,
        table: &'m Table,
        home: Cell<'_>,
        new: &[Cell<'_>],
        row: Changed,
    ) -> Result<(), MigrateError> {
        let Changed { key, person, values, whole, .. } = row;
        let told = [Some(self.migration.plan.name.clone()), Some(table.plain.clone()), person];
        let homes = &self.migration.plan.region.homes;
        let stays = match home {
            Cell::Untouched => false,
            Cell::Text(home) => !homes.iter().any(|h| h == home),
            Cell::Null => true,
        };
        if stays {
            // If the person was there, other rows of theirs are, too.
            let row = format!("delete from {} where {} returning 1", table.name, keyed(table, 1)?);
            let sql = moved(&row, "exists (select 1 from row)", key.len() + 1);
            return self.put(sql, key.into_iter().map(Some).chain(told).collect()).await;
        }
        if whole {
            let row = upsert(table, None);
            // Who was not there has moved here, or came after their rows: those are not there.
            let sql = moved(&row, "exists (select 1 from row where fresh)", values.len() + 1);
            return self.put(sql, values.into_iter().chain(told).collect()).await;
        }
        let row = update(table, new, values.len())?;
        let sql = moved(&row, "not exists (select 1 from row)", values.len() + key.len() + 1);
        self.put(sql, values.into_iter().chain(key.into_iter().map(Some)).chain(told).collect()).await
    }

    /// A row of a person, which is there if the person is.
    async fn row_of(&mut self, table: &'m Table, new: &[Cell<'_>], row: Changed) -> Result<(), MigrateError> {
        let Changed { key, person, values, whole, changed } = row;
        let people = self.migration.plan.people(&self.migration.tables, table);
        let people = people.ok_or(MigrateError::Stream("a row is of no table of people"))?;
        let id = people.column(people.subject)?;
        let there = |place: usize| {
            format!(
                "exists (select 1 from {} p where p.{} = ${place}::text::{})",
                people.name,
                quoted(&id.name),
                id.kind
            )
        };
        let subject_is_told = !matches!(new.get(table.subject), Some(Cell::Untouched));
        if changed && subject_is_told {
            // It may have been somebody else's.
            let sql = format!(
                "delete from {} where {} and not {}",
                table.name,
                keyed(table, 1)?,
                there(key.len() + 1)
            );
            self.put(sql, key.iter().cloned().map(Some).chain([person.clone()]).collect()).await?;
        }
        if whole {
            let sql = upsert(table, Some(&there(values.len() + 1)));
            return self.put(sql, values.into_iter().chain([person]).collect()).await;
        }
        let row = update(table, new, values.len())?;
        let keys = key.into_iter().map(Some);
        if !subject_is_told {
            return self.put(row, values.into_iter().chain(keys).collect()).await;
        }
        let first = values.len() + keys.len() + 1;
        let sql = moved(&row, &format!("not exists (select 1 from row) and {}", there(first + 2)), first);
        let told = [Some(self.migration.plan.name.clone()), Some(people.plain.clone()), person];
        self.put(sql, values.into_iter().chain(keys).chain(told).collect()).await
    }

    /// A row that went.
    async fn gone(
        &mut self,
        place: usize,
        old: &[Cell<'_>],
        touched: &mut Touched,
    ) -> Result<(), MigrateError> {
        let table = self.table(place)?;
        let key = self.key(place, old)?;
        if self.is_copied(place, &key)? {
            return Ok(());
        }
        touched.add(place, &key);
        self.done.changes += 1;
        let row = format!("delete from {} where {} returning 1", table.name, keyed(table, 1)?);
        let person = match old.get(table.subject) {
            Some(Cell::Text(person)) if table.home.is_some() => (*person).to_owned(),
            _ => return self.put(row, key.into_iter().map(Some).collect()).await,
        };
        // Whose other rows may be there still.
        let sql = moved(&row, "exists (select 1 from row)", key.len() + 1);
        let told = [self.migration.plan.name.clone(), table.plain.clone(), person];
        self.put(sql, key.into_iter().chain(told).map(Some).collect()).await
    }

    /// A table that was emptied.
    async fn emptied(&mut self, place: usize, touched: &mut Touched) -> Result<(), MigrateError> {
        let table = self.table(place)?;
        touched.many = true;
        let parts = self.parts.get(place).map_or(&[][..], Vec::as_slice);
        let left: Vec<String> = parts
            .iter()
            .filter(|(_, snapshot)| !snapshot.sees(self.xid))
            .map(|(part, _)| part.within(table))
            .collect();
        for within in left {
            self.put(format!("delete from {} where {within}", table.name), Vec::new()).await?;
        }
        Ok(())
    }

    /// Puts a statement behind those that wait.
    async fn put(&mut self, sql: String, values: Vec<Option<String>>) -> Result<(), MigrateError> {
        let statement = match self.statements.get(&sql) {
            Some(statement) => statement.clone(),
            None => {
                let target = &self.migration.target;
                let types = vec![Type::TEXT; values.len()];
                let prepared =
                    target.client.prepare_typed(&sql, &types).await.map_err(|e| target.wrong(&e))?;
                self.statements.insert(sql, prepared.clone());
                prepared
            }
        };
        self.waiting.push((statement, values));
        if self.waiting.len() >= AHEAD { self.send().await } else { Ok(()) }
    }

    /// Sends all that wait, one behind the other, and waits for their answers.
    async fn send(&mut self) -> Result<(), MigrateError> {
        let target = &self.migration.target;
        let waiting = std::mem::take(&mut self.waiting);
        // So few are begun in their order.
        let sent = join_all(waiting.iter().map(|(statement, values)| async {
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|v| v as &(dyn ToSql + Sync)).collect();
            target.client.execute(statement, &values).await
        }));
        for answer in sent.await {
            answer.map_err(|e| target.wrong(&e))?;
        }
        Ok(())
    }
}

/// A row as a change tells it.
struct Changed {
    key: Vec<String>,
    person: Option<String>,
    /// What of it is told, in the order of its columns.
    values: Vec<Option<String>>,
    /// Whether that is all of it.
    whole: bool,
    /// Whether there was one before.
    changed: bool,
}

fn value(cell: &Cell<'_>) -> Option<String> {
    match cell {
        Cell::Text(text) => Some((*text).to_owned()),
        Cell::Null | Cell::Untouched => None,
    }
}

/// Values as the columns' types, from `$1` on.
fn casts(table: &Table) -> String {
    let casts: Vec<String> =
        (1..).zip(&table.columns).map(|(n, c)| format!("${n}::text::{}", c.kind)).collect();
    casts.join(", ")
}

/// True for the row whose key stands in the values from `first` on.
fn keyed(table: &Table, first: usize) -> Result<String, MigrateError> {
    let equal = |(n, place): (usize, &usize)| {
        table.column(*place).map(|c| format!("{} = ${n}::text::{}", quoted(&c.name), c.kind))
    };
    let columns: Vec<String> = (first..).zip(&table.key).map(equal).collect::<Result<_, _>>()?;
    Ok(columns.join(" and "))
}

/// Brings a row whether it is there or not, if a condition is true; says whether it was not.
fn upsert(table: &Table, condition: Option<&str>) -> String {
    let mut sql = format!(
        "insert into {} ({}) overriding system value select {}",
        table.name,
        table.list(),
        casts(table)
    );
    if let Some(condition) = condition {
        let _ = write!(sql, " where {condition}");
    }
    let key: Vec<String> = table.key_columns().map(|c| quoted(&c.name)).collect();
    let rest = table.columns.iter().enumerate().filter(|(place, _)| !table.key.contains(place));
    let rest: Vec<String> = rest.map(|(_, c)| format!("{0} = excluded.{0}", quoted(&c.name))).collect();
    let _ = match rest.as_slice() {
        [] => write!(sql, " on conflict ({}) do nothing returning true as fresh", key.join(", ")),
        rest => write!(
            sql,
            " on conflict ({}) do update set {} returning (xmax = 0) as fresh",
            key.join(", "),
            rest.join(", ")
        ),
    };
    sql
}

/// Changes what is told of a row but its key.
fn update(table: &Table, new: &[Cell<'_>], told: usize) -> Result<String, MigrateError> {
    let columns =
        table.columns.iter().zip(new).enumerate().filter(|(_, (_, cell))| **cell != Cell::Untouched);
    let set: Vec<String> = (1..)
        .zip(columns)
        .filter(|(_, (place, _))| !table.key.contains(place))
        .map(|(n, (_, (c, _)))| format!("{} = ${n}::text::{}", quoted(&c.name), c.kind))
        .collect();
    let keyed = keyed(table, told + 1)?;
    if set.is_empty() {
        return Ok(format!("select 1 from {} where {keyed}", table.name));
    }
    Ok(format!("update {} set {} where {keyed} returning 1", table.name, set.join(", ")))
}

/// A statement on a row, and behind it the note that a person has moved if that is what it shows. Migration, table of people
/// and person are the values from `first` on.
fn moved(row: &str, shows: &str, first: usize) -> String {
    let person = first + 2;
    format!(
        "with row as ({row}) insert into clover_migrate.moved (migration, people, person)
         select ${first}::text, ${}::text, ${person}::text where ${person}::text is not null and {shows} on conflict do nothing",
        first + 1
    )
}
