//! Destroys at MySQL what was destroyed in the staging database, and looks for what is left of it there.

use std::time::Duration;

use serde_json::{Value, json};

use super::Stage;
use super::follow::{Keys, key_texts};
use super::note::{Note, Noted};
use super::server::{Position, Server, text_literal, ticked};
use super::shape::Shape;
use super::stop::{PASS, THEIRS, digest, theirs};
use crate::Migration;
use crate::database::Session;
use crate::error::MigrateError;
use crate::evidence::Held;
use crate::progress::State;

/// How often binary logs are purged, and how long is waited in between.
const PURGES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

impl Migration {
    /// Destroys those rows of the mirrored tables at MySQL that were destroyed in the staging database, writes the tables anew, and removes
    /// the binary logs. May be called again when it was cut off.
    ///
    /// # Errors
    /// Before `destroy` and before the mirror was stopped, when MySQL's rows are not those that were compared when it was, other rows than
    /// those that were sealed would go, or an end refuses: then nothing was destroyed there, or another call goes on.
    pub async fn destroy_mirrored(&self) -> Result<u64, MigrateError> {
        if self.state().await? != Some(State::Destroyed) {
            return Err(MigrateError::State("rows are destroyed at MySQL after `destroy`".into()));
        }
        let staging = Session::source(&self.plan.source.database).await?;
        staging.alone("mirror").await?;
        let none = || MigrateError::State("nothing is mirrored into the source of this plan".into());
        let note = Note::read(&staging).await?.ok_or_else(none)?;
        if note.stage < Stage::Stopped {
            return Err(MigrateError::State("MySQL still takes writes: `mirror --stop` comes before".into()));
        }
        let mut server = Server::open(&note.origin).await?;
        let mut shapes = Vec::new();
        for table in &note.tables {
            shapes.push(Shape::of(&mut server, &table.origin, &table.plain).await?);
        }
        note.fits(&server.identity().await?, &shapes)?;
        refer_from_outside(&mut server, &shapes).await?;
        let rows = self.delete_mirrored(&staging, &mut server, &note, &shapes).await?;
        Note::set(&staging, Stage::Destroyed).await?;
        for shape in &shapes {
            server.rows(&format!("optimize table {}", ticked(&shape.origin))).await?;
        }
        server.run("flush binary logs").await?;
        let end = server.log_end().await?;
        Note::reached(&staging, &end).await?;
        // A log that a replica still reads stays, and holds the certificate up; one that the server needs for a moment goes a moment later.
        for _ in 0..PURGES {
            server.run(&format!("purge binary logs to '{}'", end.file.replace('\'', "''"))).await?;
            if older(&mut server, &end).await? == 0 {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(rows)
    }

    /// Deletes the rows, all at once or none. Nobody else writes to the tables meanwhile.
    async fn delete_mirrored(
        &self,
        staging: &Session,
        server: &mut Server,
        note: &Note,
        shapes: &[Shape],
    ) -> Result<u64, MigrateError> {
        let lasts = self.lasts().await?;
        let both = |(place, shape): (usize, &Shape)| {
            format!("{0} write, {0} as p{place} write", ticked(&shape.origin))
        };
        let names: Vec<String> = shapes.iter().enumerate().map(both).collect();
        // As cascades are silent, what refers to rows that go is looked for at the end.
        server.run(&format!("set autocommit = 0, foreign_key_checks = 0, {PASS} = 1")).await?;
        server.run(&format!("lock tables {}", names.join(", "))).await?;
        let mut gone = 0;
        for (shape, noted) in shapes.iter().zip(&note.tables) {
            let sealed = lasts.get(&shape.plain).map_or(0, |(_, last)| last.amount.rows);
            gone += delete(staging, server, shape, noted, &note.key, sealed).await?;
        }
        refer_to_nothing(server, shapes).await?;
        server.run("commit").await?;
        server.run("unlock tables").await?;
        server.run("set autocommit = 1, foreign_key_checks = 1").await?;
        Ok(gone)
    }
}

/// Deletes the rows of one table that the staging table has no more: exactly as many as were sealed.
async fn delete(
    staging: &Session,
    server: &mut Server,
    shape: &Shape,
    noted: &Noted,
    key: &str,
    sealed: u64,
) -> Result<u64, MigrateError> {
    theirs(server, staging, shape).await?;
    let there = digest(staging, THEIRS, shape, key).await?;
    let missing = missing(staging, shape).await?;
    if Some(&there.1) != noted.digest.as_ref() {
        if missing == 0 && digest(staging, &shape.staging(), shape, key).await? == there {
            // It was through with this, and did not come to say so.
            return Ok(0);
        }
        return Err(MigrateError::State(format!(
            "{}: its rows are no longer those that were compared when it was stopped ({} now, {} then): somebody wrote past the refusal. Nothing was destroyed",
            shape.origin, there.0, noted.rows
        )));
    }
    if missing != sealed {
        return Err(MigrateError::State(format!(
            "{}: {missing} rows would go and {sealed} were sealed. Nothing was destroyed",
            shape.origin
        )));
    }
    let not_there =
        format!("not exists (select from {} s where {})", shape.staging(), shape.same_key("s", "t"));
    staging.run("begin").await?;
    let mut cursor =
        Keys::open(staging, &format!("select {} from {THEIRS} t where {not_there}", key_texts(shape, "t")))
            .await?;
    let mut gone = 0;
    loop {
        let keys = cursor.next(shape).await?;
        if keys.is_empty() {
            break;
        }
        gone += server
            .change(&format!("delete from {} where {}", ticked(&shape.origin), shape.any_of(&keys)))
            .await?;
    }
    cursor.close().await?;
    staging.run("commit").await?;
    if gone != sealed {
        return Err(MigrateError::State(format!(
            "{}: {gone} rows went and {sealed} were sealed. Nothing was destroyed",
            shape.origin
        )));
    }
    Ok(gone)
}

/// Rows that were brought beside a staging table and are not in it.
async fn missing(staging: &Session, shape: &Shape) -> Result<u64, MigrateError> {
    let sql = format!(
        "select count(*)::text from {THEIRS} t where not exists (select from {} s where {})",
        shape.staging(),
        shape.same_key("s", "t")
    );
    Ok(staging.text(&sql).await?.parse().unwrap_or(u64::MAX))
}

/// Foreign keys to tables that are mirrored: the referring table with its database, the table, and the columns of both.
async fn references(server: &mut Server) -> Result<Vec<[String; 5]>, MigrateError> {
    let sql = "select table_schema, table_name, referenced_table_name, group_concat(column_name order by ordinal_position separator '\\n'),
        group_concat(referenced_column_name order by ordinal_position separator '\\n')
      from information_schema.key_column_usage where referenced_table_schema = database() group by table_schema, table_name, referenced_table_name, constraint_name";
    let five = |row: Vec<Option<String>>| {
        <[String; 5]>::try_from(row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>())
    };
    let rows = server.rows(sql).await?.into_iter().map(five).collect::<Result<Vec<_>, _>>();
    rows.map_err(|_| MigrateError::State("mysql: its foreign keys cannot be read".into()))
}

/// That no table that is not mirrored refers to those that are: what is of those people there would lie on.
async fn refer_from_outside(server: &mut Server, shapes: &[Shape]) -> Result<(), MigrateError> {
    let is = |name: &str| shapes.iter().any(|shape| shape.origin == name);
    for [schema, child, parent, ..] in references(server).await? {
        if is(&parent) && (!is(&child) || schema != server.database) {
            return Err(MigrateError::Plan(format!(
                "{schema}.{child} refers to rows of {parent} that would be destroyed and is not mirrored: what is of those people there lies on"
            )));
        }
    }
    Ok(())
}

/// That no row that stays refers to one that went.
async fn refer_to_nothing(server: &mut Server, shapes: &[Shape]) -> Result<(), MigrateError> {
    for [schema, child, parent, here, there] in references(server).await? {
        let place = |name: &str| shapes.iter().position(|shape| shape.origin == name);
        let (Some(_), Some(place)) = (place(&child), place(&parent)) else { continue };
        if schema != server.database {
            continue;
        }
        let child_name = ticked(&child);
        let pairs = || here.split('\n').zip(there.split('\n'));
        let on: Vec<String> =
            pairs().map(|(h, t)| format!("{child_name}.{} = p{place}.{}", ticked(h), ticked(t))).collect();
        let set: Vec<String> =
            pairs().map(|(h, _)| format!("{child_name}.{} is not null", ticked(h))).collect();
        let sql = format!(
            "select count(*) from {child_name} where {} and not exists (select 1 from {} as p{place} where {})",
            set.join(" and "),
            ticked(&parent),
            on.join(" and ")
        );
        let rows = server.text(&sql).await?;
        if rows != "0" {
            return Err(MigrateError::Plan(format!(
                "{rows} rows of others in {child} refer to rows of {parent} that would be destroyed: settle those first. Nothing was destroyed"
            )));
        }
    }
    Ok(())
}

/// What MySQL still has of what was mirrored into a database.
pub(crate) async fn held(staging: &Session) -> Result<Vec<Held>, MigrateError> {
    let Some(note) = Note::read(staging).await? else { return Ok(Vec::new()) };
    let address = note.origin.address.clone();
    if note.stage < Stage::Destroyed {
        let of = |table: &Noted| Held {
            place: format!("{address} {}", table.origin),
            why: format!(
                "its rows were mirrored into {}: they go by `mirror --destroy`, after `destroy`",
                table.plain
            ),
        };
        return Ok(note.tables.iter().map(of).collect());
    }
    match look(staging, &note).await {
        Ok(held) => Ok(held),
        Err(e) => Ok(vec![Held { place: address, why: format!("it was not seen: {e}") }]),
    }
}

/// Counts what is left, row by row.
async fn look(staging: &Session, note: &Note) -> Result<Vec<Held>, MigrateError> {
    let address = &note.origin.address;
    let mut server = Server::open(&note.origin).await?;
    let mut shapes = Vec::new();
    for table in &note.tables {
        let name = text_literal(&table.origin);
        let there = format!(
            "select count(*) from information_schema.tables where table_schema = database() and table_name = {name}"
        );
        // A table that is gone has no rows.
        if server.text(&there).await? != "0" {
            shapes.push(Shape::of(&mut server, &table.origin, &table.plain).await?);
        }
    }
    let mut held = Vec::new();
    for shape in &shapes {
        theirs(&mut server, staging, shape).await?;
        let rows = missing(staging, shape).await?;
        staging.run(&format!("drop table {THEIRS}")).await?;
        if rows > 0 {
            let why = format!("{rows} rows that {} has no more", shape.plain);
            held.push(Held { place: format!("{address} {}", shape.origin), why });
        }
    }
    let old = older(&mut server, &note.position).await?;
    if old > 0 {
        let why = format!(
            "{old} files of before rows were destroyed: a replica may still read them; then `mirror --destroy` again"
        );
        held.push(Held { place: format!("{address} binary logs"), why });
    }
    Ok(held)
}

/// How many binary logs are from before a place.
async fn older(server: &mut Server, than: &Position) -> Result<usize, MigrateError> {
    let order = |file: &str| (file.len(), file.to_owned());
    let logs = server.rows("show binary logs").await?;
    let files = logs.iter().filter_map(|row| row.first()?.as_deref());
    Ok(files.filter(|file| order(file) < order(&than.file)).count())
}

/// What stands in a manifest about where rows were mirrored from.
pub(crate) async fn named(staging: &Session) -> Result<Vec<Value>, MigrateError> {
    let Some(note) = Note::read(staging).await? else { return Ok(Vec::new()) };
    let table = |t: &Noted| json!({ "table": t.origin, "into": t.plain, "rows": t.rows, "digest": t.digest });
    let tables: Vec<Value> = note.tables.iter().map(table).collect();
    Ok(vec![
        json!({ "address": note.origin.address, "server": note.identity, "stage": note.stage, "tables": tables }),
    ])
}

/// That nobody writes any more where rows are mirrored from.
pub(crate) async fn stopped(staging: &Session) -> Result<(), MigrateError> {
    match Note::read(staging).await? {
        Some(note) if note.stage < Stage::Stopped => Err(MigrateError::State(
            "MySQL, from which its source is mirrored, still takes writes: `clover-migrate mirror --stop` comes before".into(),
        )),
        _ => Ok(()),
    }
}
