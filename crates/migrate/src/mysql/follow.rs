//! Takes what has changed: rows that the log says were touched are read anew, all from one snapshot, and replaced.
//!
//! The snapshot is one of later than what is read of the log, and the log is read up to the snapshot's own place: at the end of a call
//! the staging tables are what the source's were at that place. Each batch is one transaction with how far the log was read.

use super::copy::{self, values};
use super::log::{self, Log, Touched};
use super::note::Note;
use super::server::{Server, bytes_literal, text_literal};
use super::shape::{Column, Kind, Shape};
use super::{Mirror, Mirrored, said};
use crate::database::{Session, quoted};
use crate::error::MigrateError;

/// Rows that are touched in one batch, at most and about.
const BATCH: usize = 20_000;
/// Keys that are asked for at once, and values that the server is asked to write otherwise at once.
pub(crate) const CHUNK: usize = 500;
/// Character sets whose texts are UTF-8 as they are.
const UTF8: &[&str] = &["utf8", "utf8mb3", "utf8mb4", "ascii"];

/// A foreign key by which rows change with others, of which the log does not tell.
pub(crate) struct Cascade {
    child: usize,
    parent: usize,
    /// Columns of both.
    columns: Vec<(String, String)>,
}

/// Foreign keys by which rows that are mirrored change with others.
pub(crate) async fn cascades(server: &mut Server, shapes: &[Shape]) -> Result<Vec<Cascade>, MigrateError> {
    let sql = "select k.table_name, k.constraint_name, k.referenced_table_schema, k.referenced_table_name, k.column_name, k.referenced_column_name, database(), r.update_rule
      from information_schema.key_column_usage k join information_schema.referential_constraints r
        on r.constraint_schema = k.constraint_schema and r.constraint_name = k.constraint_name and r.table_name = k.table_name
      where k.table_schema = database() and k.referenced_table_name is not null
        and (r.delete_rule not in ('RESTRICT', 'NO ACTION') or r.update_rule not in ('RESTRICT', 'NO ACTION'))
      order by k.table_name, k.constraint_name, k.ordinal_position";
    let mut found: Vec<(String, Cascade)> = Vec::new();
    for row in server.rows(sql).await? {
        let word = |place: usize| row.get(place).and_then(Option::as_deref).unwrap_or_default();
        let Some(child) = shapes.iter().position(|shape| shape.origin == word(0)) else { continue };
        let parent = shapes.iter().position(|shape| shape.origin == word(3) && word(2) == word(6));
        let Some(parent) = parent else {
            return Err(MigrateError::Plan(format!(
                "{}: its rows change with those of {} by the foreign key `{}`, of which the binary log does not tell: mirror {1}, too",
                word(0),
                word(3),
                word(1)
            )));
        };
        // With its parent's key a child would get one of which the binary log does not tell.
        let moves = !matches!(word(7), "RESTRICT" | "NO ACTION");
        if moves && shapes.get(child).is_some_and(|shape| shape.keys().any(|column| column.name == word(4))) {
            return Err(MigrateError::Plan(format!(
                "{}: the foreign key `{}` changes its primary key, of which the binary log does not tell: that is not followed",
                word(0),
                word(1)
            )));
        }
        let columns = (word(4).to_owned(), word(5).to_owned());
        let name = format!("{} {}", word(0), word(1));
        match found.last_mut().filter(|(last, _)| *last == name) {
            Some((_, cascade)) => cascade.columns.push(columns),
            None => found.push((name, Cascade { child, parent, columns: vec![columns] })),
        }
    }
    for (name, cascade) in &found {
        let Some(parent) = shapes.get(cascade.parent) else { continue };
        if !cascade.columns.iter().all(|(_, there)| parent.keys().any(|column| column.name == *there)) {
            return Err(MigrateError::Plan(format!(
                "{name}: rows change by this foreign key with others that it does not name by their primary key: that is not followed"
            )));
        }
    }
    Ok(found.into_iter().map(|(_, cascade)| cascade).collect())
}

impl Mirror {
    /// Takes what has changed since the last call.
    pub(super) async fn follow(
        &self,
        staging: &Session,
        server: &mut Server,
        shapes: &[Shape],
        note: &Note,
    ) -> Result<Mirrored, MigrateError> {
        note.fits(&server.identity().await?, shapes)?;
        log::check(server).await?;
        let cascades = cascades(server, shapes).await?;
        let until = server.snapshot(&self.from).await?;
        let mut done = Mirrored { log: said(&until), ..Mirrored::default() };
        if until == note.position {
            server.run("commit").await?;
            return Ok(done);
        }
        let mut log = Log::open(&self.from, shapes, &note.position, &until).await?;
        loop {
            let mut touched = Touched::new();
            let ended = log.read(&mut touched, BATCH).await?;
            done.touched += touched.len() as u64;
            staging.run("begin").await?;
            take(server, staging, shapes, &cascades, &touched).await?;
            Note::reached(staging, &log.boundary).await?;
            staging.run("commit").await?;
            if ended {
                break;
            }
        }
        server.run("commit").await?;
        Ok(done)
    }
}

/// Replaces rows that were touched by what they are in the snapshot.
async fn take(
    server: &mut Server,
    staging: &Session,
    shapes: &[Shape],
    cascades: &[Cascade],
    touched: &Touched,
) -> Result<(), MigrateError> {
    if touched.is_empty() {
        return Ok(());
    }
    for (place, shape) in shapes.iter().enumerate() {
        let make = format!(
            "create temp table {} on commit drop as select {}, true as clover_gone from {} limit 0",
            touched_name(place),
            shape.key_names(),
            shape.staging()
        );
        staging.run(&make).await?;
        let lines = written(server, shape, place, touched).await?;
        copy::lines(staging, &format!("copy {} from stdin", touched_name(place)), lines).await?;
    }
    while spread(staging, shapes, cascades).await? > 0 {}
    for (place, shape) in shapes.iter().enumerate() {
        let delete = format!(
            "delete from {} s using {} k where {}",
            shape.staging(),
            touched_name(place),
            shape.same_key("s", "k")
        );
        staging.run(&delete).await?;
        let read = format!("pg_temp.clover_read_{place}");
        staging
            .run(&format!("create temp table clover_read_{place} (like {}) on commit drop", shape.staging()))
            .await?;
        let keys = format!("select distinct {} from {} k", key_texts(shape, "k"), touched_name(place));
        let mut cursor = Keys::open(staging, &keys).await?;
        loop {
            let keys = cursor.next(shape).await?;
            if keys.is_empty() {
                break;
            }
            copy::rows(server, staging, shape, &format!(" where {}", shape.any_of(&keys)), &read).await?;
        }
        cursor.close().await?;
        // Where capitals make no difference at the source, two keys bring one row twice.
        let bring = format!(
            "insert into {} overriding system value select * from {read} on conflict do nothing",
            shape.staging()
        );
        staging.run(&bring).await?;
    }
    Ok(())
}

fn touched_name(place: usize) -> String {
    format!("pg_temp.clover_touched_{place}")
}

/// Adds rows that change with those whose keys ceased; says how many.
async fn spread(staging: &Session, shapes: &[Shape], cascades: &[Cascade]) -> Result<u64, MigrateError> {
    let mut added = 0;
    for cascade in cascades {
        let (Some(child), Some(_)) = (shapes.get(cascade.child), shapes.get(cascade.parent)) else {
            continue;
        };
        let on =
            cascade.columns.iter().map(|(here, there)| format!("c.{} = p.{}", quoted(here), quoted(there)));
        let keys: Vec<String> = child.keys().map(|column| format!("c.{}", quoted(&column.name))).collect();
        let sql = format!(
            "insert into {mine} select distinct {}, true from {} c join {} p on p.clover_gone and {}
             where not exists (select from {mine} t where t.clover_gone and {})",
            keys.join(", "),
            child.staging(),
            touched_name(cascade.parent),
            on.collect::<Vec<_>>().join(" and "),
            child.same_key("t", "c"),
            mine = touched_name(cascade.child),
        );
        added += staging.client.execute(&sql, &[]).await.map_err(|e| staging.wrong(&e))?;
    }
    Ok(added)
}

/// Keys of a table that were touched, as `copy` reads them.
async fn written(
    server: &mut Server,
    shape: &Shape,
    place: usize,
    touched: &Touched,
) -> Result<Vec<u8>, MigrateError> {
    let mine: Vec<(&Vec<Vec<u8>>, bool)> = touched
        .iter()
        .filter(|((table, _), _)| *table == place)
        .map(|((_, key), gone)| (key, *gone))
        .collect();
    let columns: Vec<&Column> = shape.keys().collect();
    let odd: Vec<bool> = columns.iter().map(|column| is_odd(column)).collect();
    let mut lines = Vec::new();
    for chunk in mine.chunks(CHUNK) {
        // Texts in another character set: the server writes them as UTF-8, all in one row.
        let mut asked = Vec::new();
        for (key, _) in chunk {
            for ((column, value), _) in columns.iter().zip(*key).zip(&odd).filter(|(_, odd)| **odd) {
                let set = format!("_{} ", column.charset.as_deref().unwrap_or("binary"));
                asked.push(format!("convert({} using utf8mb4)", bytes_literal(&set, value)));
            }
        }
        let told = if asked.is_empty() {
            Vec::new()
        } else {
            values(server, &format!("select {}", asked.join(", "))).await?
        };
        let told: Vec<_> = told.into_iter().flatten().collect();
        let mut told = copy::plain(&told)?.into_iter();
        for (key, gone) in chunk {
            for ((column, value), odd) in columns.iter().zip(*key).zip(&odd) {
                let value = if *odd { told.next().flatten() } else { Some(value.as_slice()) };
                column.write(value, &mut lines).map_err(|why| shape.bad(column, why))?;
                lines.push(b'\t');
            }
            lines.extend_from_slice(if *gone { b"t\n" } else { b"f\n" });
        }
    }
    Ok(lines)
}

fn is_odd(column: &Column) -> bool {
    column.kind == Kind::Text && !column.charset.as_deref().is_some_and(|set| UTF8.contains(&set))
}

/// The key's columns of a table in PostgreSQL as texts from which literals are made.
pub(crate) fn key_texts(shape: &Shape, table: &str) -> String {
    let text = |column: &Column| match column.kind {
        Kind::Binary => format!("encode({table}.{}, 'hex')", quoted(&column.name)),
        _ => format!("{table}.{}::text", quoted(&column.name)),
    };
    shape.keys().map(text).collect::<Vec<_>>().join(", ")
}

/// A value of a key as the source's SQL writes it.
fn literal(column: &Column, text: &str) -> String {
    match column.kind {
        Kind::Int { .. } | Kind::Decimal => text.to_owned(),
        Kind::Binary if text.is_empty() => "''".into(),
        Kind::Binary => format!("x'{text}'"),
        Kind::Text => text_literal(text),
        _ => format!("'{text}'"),
    }
}

/// Keys of many rows in PostgreSQL, some at a time. Within a transaction.
pub(crate) struct Keys<'a> {
    staging: &'a Session,
}

impl<'a> Keys<'a> {
    pub(crate) async fn open(staging: &'a Session, sql: &str) -> Result<Self, MigrateError> {
        staging.run(&format!("declare clover_keys no scroll cursor for {sql}")).await?;
        Ok(Self { staging })
    }

    /// The next keys as literals; none at the end.
    pub(crate) async fn next(&mut self, shape: &Shape) -> Result<Vec<Vec<String>>, MigrateError> {
        let wrong = |e: tokio_postgres::Error| self.staging.wrong(&e);
        let mut keys = Vec::new();
        for row in self.staging.rows(&format!("fetch forward {CHUNK} from clover_keys"), &[]).await? {
            let mut key = Vec::new();
            for (place, column) in shape.keys().enumerate() {
                key.push(literal(column, row.try_get(place).map_err(wrong)?));
            }
            keys.push(key);
        }
        Ok(keys)
    }

    pub(crate) async fn close(self) -> Result<(), MigrateError> {
        self.staging.run("close clover_keys").await
    }
}
