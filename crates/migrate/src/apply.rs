//! Applying: changes of the source become statements at the target, in their order. Many of one table in a row become one.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use futures_util::future::join_all;
use tokio_postgres::Statement;
use tokio_postgres::types::{ToSql, Type};

use crate::Migration;
use crate::copy::Part;
use crate::database::{literal, quoted};
use crate::error::MigrateError;
use crate::follow::{Followed, Touched};
use crate::stream::{Cell, Message, Relation, Snapshot};
use crate::table::Table;

/// Statements that are sent before the first of them is answered.
const AHEAD: usize = 8;

/// Rows, and bytes of values, after which a statement is full.
const RUN_ROWS: usize = 1_000;
const RUN_BYTES: usize = 1 << 20;

/// A value of a statement, or many of a column.
type Value = Box<dyn ToSql + Sync + Send>;

/// Rows of one table that changed one behind the other, none of them twice.
#[derive(Default)]
struct Run {
    place: usize,
    keys: HashSet<Vec<String>>,
    /// What they are now.
    rows: Vec<Vec<Option<String>>>,
    /// Whether one of these may have been there before.
    changed: bool,
    /// Keys of those that went.
    gone: Vec<Vec<Option<String>>>,
    bytes: usize,
}

/// Applies changes of one batch.
pub(crate) struct Applier<'m> {
    migration: &'m Migration,
    /// The parts of each table, with what their snapshots see.
    parts: Vec<Vec<(Part, Snapshot)>>,
    /// Which of the tables a number of the stream is.
    relations: HashMap<u32, usize>,
    statements: HashMap<String, Statement>,
    run: Run,
    waiting: Vec<(Statement, Vec<Value>)>,
    /// The number of the source's transaction.
    pub(crate) xid: u32,
    pub(crate) done: Followed,
}

impl<'m> Applier<'m> {
    /// For a batch.
    pub(crate) async fn new(migration: &'m Migration) -> Result<Self, MigrateError> {
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
            run: Run::default(),
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
    pub(crate) fn relation(&mut self, relation: &Relation) -> Result<(), MigrateError> {
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

    /// Takes a change.
    pub(crate) async fn change(
        &mut self,
        change: Message<'_>,
        touched: &mut Touched,
    ) -> Result<(), MigrateError> {
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
        let homes = &self.migration.plan.region.homes;
        let stays = match table.home.and_then(|home| new.get(home)) {
            Some(Cell::Text(home)) => !homes.iter().any(|h| h == home),
            Some(Cell::Null) => true,
            Some(Cell::Untouched) | None => false,
        };
        if stays {
            self.put(place, key, None, changed).await
        } else if new.contains(&Cell::Untouched) {
            self.row_in_part(place, new, key, changed).await
        } else {
            self.put(place, key, Some(new.iter().map(value).collect()), changed).await
        }
    }

    /// A row of which not everything is told.
    async fn row_in_part(
        &mut self,
        place: usize,
        new: &[Cell<'_>],
        key: Vec<String>,
        changed: bool,
    ) -> Result<(), MigrateError> {
        // What came before is there first.
        self.flush().await?;
        let table = self.table(place)?;
        let people = self.migration.plan.people(&self.migration.tables, table);
        let subject = new.get(table.subject);
        let person = subject.and_then(value);
        let is_told = !matches!(subject, Some(Cell::Untouched));
        if let (Some(people), true, true) = (people, changed, is_told) {
            // It may have been somebody else's.
            let there = there(people, &format!("${}::text", key.len() + 1))?;
            let sql = format!("delete from {} where {} and not {there}", table.name, keyed(table, 1)?);
            self.one(sql, key.iter().cloned().map(Some).chain([person.clone()]).collect()).await?;
        }
        let values: Vec<Option<String>> =
            new.iter().filter(|cell| **cell != Cell::Untouched).map(value).collect();
        let row = update(table, new, values.len())?;
        let keys = key.into_iter().map(Some);
        let first = values.len() + keys.len() + 1;
        if !is_told && people.is_some() {
            return self.one(row, values.into_iter().chain(keys).collect()).await;
        }
        // Who is there and whose row is not has moved here.
        let shows = match people {
            Some(people) => {
                let there = there(people, &format!("${}::text", first + 2))?;
                format!("not exists (select 1 from row) and {there}")
            }
            None => "not exists (select 1 from row)".to_owned(),
        };
        let told =
            [Some(self.migration.plan.name.clone()), Some(people.unwrap_or(table).plain.clone()), person];
        self.one(moved(&row, &shows, first), values.into_iter().chain(keys).chain(told).collect()).await
    }

    /// A row that went.
    async fn gone(
        &mut self,
        place: usize,
        old: &[Cell<'_>],
        touched: &mut Touched,
    ) -> Result<(), MigrateError> {
        let key = self.key(place, old)?;
        if self.is_copied(place, &key)? {
            return Ok(());
        }
        touched.add(place, &key);
        self.done.changes += 1;
        self.put(place, key, None, false).await
    }

    /// A table that was emptied.
    async fn emptied(&mut self, place: usize, touched: &mut Touched) -> Result<(), MigrateError> {
        let table = self.table(place)?;
        touched.many = true;
        self.flush().await?;
        let parts = self.parts.get(place).map_or(&[][..], Vec::as_slice);
        let left: Vec<String> = parts
            .iter()
            .filter(|(_, snapshot)| !snapshot.sees(self.xid))
            .map(|(part, _)| part.within(table))
            .collect();
        for within in left {
            self.one(format!("delete from {} where {within}", table.name), Vec::new()).await?;
        }
        Ok(())
    }

    /// Has a row be there, or not be there, behind all that came before it.
    async fn put(
        &mut self,
        place: usize,
        key: Vec<String>,
        row: Option<Vec<Option<String>>>,
        changed: bool,
    ) -> Result<(), MigrateError> {
        // Rows of one table do not depend on one another, for no index of the target but that of the key is unique: while none comes
        // twice their order makes no difference.
        if self.run.place != place
            || self.run.keys.len() >= RUN_ROWS
            || self.run.bytes >= RUN_BYTES
            || self.run.keys.contains(&key)
        {
            self.flush().await?;
            self.run.place = place;
        }
        self.run.bytes += row.iter().flatten().flatten().chain(&key).map(String::len).sum::<usize>();
        match row {
            Some(row) => {
                self.run.changed |= changed;
                self.run.rows.push(row);
            }
            None => self.run.gone.push(key.iter().cloned().map(Some).collect()),
        }
        self.run.keys.insert(key);
        Ok(())
    }

    /// Puts what was collected behind the statements that wait.
    async fn flush(&mut self) -> Result<(), MigrateError> {
        let run = std::mem::take(&mut self.run);
        if run.keys.is_empty() {
            return Ok(());
        }
        let table = self.table(run.place)?;
        let people = self.migration.plan.people(&self.migration.tables, table);
        let note = |row: String, shows: &str| {
            format!(
                "with row as ({row}) insert into clover_migrate.moved (migration, people, person)
                 select distinct {}, {}, person from row where {shows} and person is not null on conflict do nothing",
                literal(&self.migration.plan.name),
                literal(&table.plain)
            )
        };
        let person = format!("{}::text as person", quoted(&table.column(table.subject)?.name));
        if !run.gone.is_empty() {
            let delete = format!("{} where {}", delete_those(table, table.key.len()), same_key(table, 0..)?);
            // Whose other rows may be there still.
            let sql = match people {
                Some(_) => delete,
                None => note(format!("{delete} returning t.{person}"), "true"),
            };
            self.many(sql, table.key.len(), run.gone).await?;
        }
        if run.rows.is_empty() {
            return Ok(());
        }
        let width = table.columns.len();
        let Some(people) = people else {
            // Who was not there has moved here, or came after their rows: those are not there.
            let sql = note(upsert(table, None, &person), "fresh");
            return self.many(sql, width, run.rows).await;
        };
        if run.changed {
            // They may have been somebody else's: by key and person, without what else a row has.
            let told: Vec<usize> = table.key.iter().copied().chain([table.subject]).collect();
            let narrow =
                |row: &Vec<Option<String>>| told.iter().map(|n| row.get(*n).cloned().flatten()).collect();
            let rows = run.rows.iter().map(narrow).collect();
            let theirs = there(people, &format!("r.v{}", table.key.len()))?;
            let same = same_key(table, 0..)?;
            let sql = format!("{} where {same} and not {theirs}", delete_those(table, told.len()));
            self.many(sql, told.len(), rows).await?;
        }
        let there = there(people, &format!("r.v{}", table.subject))?;
        self.many(upsert(table, Some(&there), &person), width, run.rows).await
    }

    /// Puts a statement on many rows behind those that wait.
    async fn many(
        &mut self,
        sql: String,
        width: usize,
        rows: Vec<Vec<Option<String>>>,
    ) -> Result<(), MigrateError> {
        let mut columns: Vec<Vec<Option<String>>> = vec![Vec::with_capacity(rows.len()); width];
        for row in rows {
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        let values: Vec<Value> = columns.into_iter().map(|column| Box::new(column) as Value).collect();
        self.wait(sql, Type::TEXT_ARRAY, values).await
    }

    /// Puts a statement on one row behind them.
    async fn one(&mut self, sql: String, values: Vec<Option<String>>) -> Result<(), MigrateError> {
        self.wait(sql, Type::TEXT, values.into_iter().map(|value| Box::new(value) as Value).collect()).await
    }

    async fn wait(&mut self, sql: String, kind: Type, values: Vec<Value>) -> Result<(), MigrateError> {
        let statement = match self.statements.get(&sql) {
            Some(statement) => statement.clone(),
            None => {
                let target = &self.migration.target;
                let types = vec![kind; values.len()];
                let prepared =
                    target.client.prepare_typed(&sql, &types).await.map_err(|e| target.wrong(&e))?;
                self.statements.insert(sql, prepared.clone());
                prepared
            }
        };
        self.waiting.push((statement, values));
        if self.waiting.len() >= AHEAD { self.send().await } else { Ok(()) }
    }

    /// Sends all that is left.
    pub(crate) async fn end(&mut self) -> Result<(), MigrateError> {
        self.flush().await?;
        self.send().await
    }

    /// Sends all that wait, one behind the other, and waits for their answers.
    async fn send(&mut self) -> Result<(), MigrateError> {
        let target = &self.migration.target;
        let waiting = std::mem::take(&mut self.waiting);
        // So few are begun in their order.
        let sent = join_all(waiting.iter().map(|(statement, values)| async {
            let values: Vec<&(dyn ToSql + Sync)> =
                values.iter().map(|v| v.as_ref() as &(dyn ToSql + Sync)).collect();
            target.client.execute(statement, &values).await
        }));
        for answer in sent.await {
            answer.map_err(|e| target.wrong(&e))?;
        }
        Ok(())
    }
}

fn value(cell: &Cell<'_>) -> Option<String> {
    match cell {
        Cell::Text(text) => Some((*text).to_owned()),
        Cell::Null | Cell::Untouched => None,
    }
}

/// True for the row whose key stands in the values from `first` on.
fn keyed(table: &Table, first: usize) -> Result<String, MigrateError> {
    let equal = |(n, place): (usize, &usize)| {
        table.column(*place).map(|c| format!("{} = ${n}::text::{}", quoted(&c.name), c.kind))
    };
    let columns: Vec<String> = (first..).zip(&table.key).map(equal).collect::<Result<_, _>>()?;
    Ok(columns.join(" and "))
}

/// Deletes rows `t` of a table by what is told of many: values `v0` and so on of rows `r`.
fn delete_those(table: &Table, width: usize) -> String {
    format!("delete from {} t using {}", table.name, those(width))
}

/// Rows `r` of a statement's values, which are columns.
fn those(width: usize) -> String {
    let arrays: Vec<String> = (1..=width).map(|n| format!("${n}::text[]")).collect();
    let names: Vec<String> = (0..width).map(|n| format!("v{n}")).collect();
    format!("unnest({}) r({})", arrays.join(", "), names.join(", "))
}

/// True for the row `t` whose key stands in these values of `r`.
fn same_key(table: &Table, values: impl IntoIterator<Item = usize>) -> Result<String, MigrateError> {
    let equal = |(place, n): (&usize, usize)| {
        table.column(*place).map(|c| format!("t.{} = r.v{n}::{}", quoted(&c.name), c.kind))
    };
    let columns: Vec<String> = table.key.iter().zip(values).map(equal).collect::<Result<_, _>>()?;
    Ok(columns.join(" and "))
}

/// True if a person is there whom a text names.
fn there(people: &Table, person: &str) -> Result<String, MigrateError> {
    let id = people.column(people.subject)?;
    Ok(format!(
        "exists (select 1 from {} p where p.{} = {person}::{})",
        people.name,
        quoted(&id.name),
        id.kind
    ))
}

/// Brings many rows whether they are there or not, those for whom a condition is true; says whose, and whether they were not there.
fn upsert(table: &Table, condition: Option<&str>, person: &str) -> String {
    let casts: Vec<String> =
        table.columns.iter().enumerate().map(|(n, c)| format!("r.v{n}::{}", c.kind)).collect();
    let mut sql = format!(
        "insert into {} ({}) overriding system value select {} from {}",
        table.name,
        table.list(),
        casts.join(", "),
        those(table.columns.len())
    );
    if let Some(condition) = condition {
        let _ = write!(sql, " where {condition}");
    }
    let key: Vec<String> = table.key_columns().map(|c| quoted(&c.name)).collect();
    let rest = table.columns.iter().enumerate().filter(|(place, _)| !table.key.contains(place));
    let rest: Vec<String> = rest.map(|(_, c)| format!("{0} = excluded.{0}", quoted(&c.name))).collect();
    let _ = match rest.as_slice() {
        [] => write!(sql, " on conflict ({}) do nothing returning {person}, true as fresh", key.join(", ")),
        rest => write!(
            sql,
            " on conflict ({}) do update set {} returning {person}, (xmax = 0) as fresh",
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
