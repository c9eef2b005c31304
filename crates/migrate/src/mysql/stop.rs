//! Stops writing at the source, takes the rest, and compares both sides.

use super::copy;
use super::note::Note;
use super::server::{Server, ticked};
use super::shape::Shape;
use super::{Mirror, Stage, Stopped};
use crate::database::{Session, literal};
use crate::error::MigrateError;

/// What the triggers that refuse are called, before what they refuse.
const REFUSAL: &str = "clover_migrate";
/// Whoever sets this in a session of their own is not refused: we ourselves, when rows are destroyed.
pub(super) const PASS: &str = "@clover_migrate_destroys";
/// What a message of a trigger may be long.
const MESSAGE: usize = 120;

impl Mirror {
    /// Has the source refuse writes to the tables, with words that name the new site; takes what was written until then, and compares
    /// every row of both sides. May be called again.
    ///
    /// # Errors
    /// When nothing was mirrored, an end refuses or breaks off, or the sides differ: then writes stay refused.
    pub async fn stop(&self, site: &str) -> Result<Stopped, MigrateError> {
        let (staging, mut server) = self.open().await?;
        let shapes = self.shapes(&mut server).await?;
        let none = || MigrateError::State("nothing was mirrored yet".into());
        let note = Note::read(&staging).await?.ok_or_else(none)?;
        if note.stage == Stage::Destroyed {
            return Err(MigrateError::State("its rows are destroyed".into()));
        }
        // That it is the same source, before anything is refused there.
        note.fits(&server.identity().await?, &shapes)?;
        if note.stage == Stage::Following {
            self.follow(&staging, &mut server, &shapes, &note).await?;
            refuse_writes(&mut server, &shapes, site).await?;
            let note = Note::read(&staging).await?.ok_or_else(none)?;
            self.follow(&staging, &mut server, &shapes, &note).await?;
        }
        let mut stopped = Stopped::default();
        staging.run("begin").await?;
        server.snapshot(&self.from).await?;
        for shape in &shapes {
            theirs(&mut server, &staging, shape).await?;
            let here = digest(&staging, THEIRS, shape, &note.key).await?;
            let there = digest(&staging, &shape.staging(), shape, &note.key).await?;
            if here != there {
                return Err(MigrateError::State(format!(
                    "{}: what is mirrored ({} rows) is not what is there ({} rows). Somebody wrote to the staging table, or past the binary log: mirror anew, into empty tables",
                    shape.origin, there.0, here.0
                )));
            }
            let sql = format!(
                "update clover_migrate.mirrored set rows = {}, digest = {} where origin = {}",
                here.0,
                literal(&here.1),
                literal(&shape.origin)
            );
            staging.run(&sql).await?;
            stopped.tables.insert(shape.origin.clone(), here.0);
        }
        Note::set(&staging, Stage::Stopped).await?;
        staging.run("commit").await?;
        Ok(stopped)
    }
}

/// Where rows of the source are put beside those of the staging table.
pub(super) const THEIRS: &str = "pg_temp.clover_theirs";

/// Brings all rows of a table beside those that are mirrored, into a table that is the session's own.
pub(super) async fn theirs(
    server: &mut Server,
    staging: &Session,
    shape: &Shape,
) -> Result<u64, MigrateError> {
    staging.run(&format!("drop table if exists {THEIRS}")).await?;
    staging
        .run(&format!(
            "create temp table clover_theirs as select {} from {} limit 0",
            shape.names(),
            shape.staging()
        ))
        .await?;
    // Not analysed: statistics hold values, and the log of changes holds statistics.
    copy::rows(server, staging, shape, "", THEIRS).await
}

/// How many rows a table has, and a digest of them that does not depend on their order.
pub(super) async fn digest(
    staging: &Session,
    table: &str,
    shape: &Shape,
    key: &str,
) -> Result<(u64, String), MigrateError> {
    let sum =
        |from: u32| format!("coalesce(sum(('x' || substr(h, {from}, 16))::bit(64)::bigint::numeric), 0)");
    let sums: Vec<String> = [1, 17, 33, 49].into_iter().map(sum).collect();
    let sql = format!(
        "select count(*) || ' ' || concat_ws(',', {}) from (select encode(sha256(convert_to({} || r::text, 'UTF8')), 'hex') h from (select {} from {table}) r) t",
        sums.join(", "),
        literal(key),
        shape.names()
    );
    let text = staging.text(&sql).await?;
    let (rows, digest) = text.split_once(' ').unwrap_or_default();
    Ok((rows.parse().unwrap_or(0), digest.to_owned()))
}

/// Makes the triggers that refuse. Each waits for everybody who is writing, and so all that was written before is in the log then.
async fn refuse_writes(server: &mut Server, shapes: &[Shape], site: &str) -> Result<(), MigrateError> {
    let words: String = format!("moved to {site}: nothing is written here any more (clover-migrate)")
        .chars()
        .take(MESSAGE)
        .collect();
    let words = words.replace('\\', "\\\\").replace('\'', "''");
    server.run("set session lock_wait_timeout = 300").await?;
    for shape in shapes {
        for verb in ["insert", "update", "delete"] {
            let name = trigger(shape, verb);
            server.run(&format!("drop trigger if exists {name}")).await?;
            server
                .run(&format!(
                    "create trigger {name} before {verb} on {} for each row
                     begin if {PASS} is null then signal sqlstate '45000' set message_text = '{words}'; end if; end",
                    ticked(&shape.origin)
                ))
                .await?;
        }
    }
    Ok(())
}

fn trigger(shape: &Shape, verb: &str) -> String {
    // A name is at most 64 characters long.
    let table: String = shape.origin.chars().take(40).collect();
    format!(
        "{}.{}",
        ticked(shape.database()),
        ticked(&format!("{REFUSAL}_{verb}_{table}_{}", shape.print.get(..6).unwrap_or_default()))
    )
}
