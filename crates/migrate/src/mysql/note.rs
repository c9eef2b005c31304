//! What is known of a mirror, kept in the staging database: in the transaction that brings the rows.

use std::path::PathBuf;

use super::server::Position;
use super::shape::Shape;
use super::{MysqlEnd, Stage};
use crate::database::{Session, literal};
use crate::error::MigrateError;

const SCHEMA: &str = "create schema if not exists clover_migrate;
create table if not exists clover_migrate.mirror (
  one boolean primary key default true check (one), address text not null, password_file text, roots text, identity text not null,
  log_file text not null, log_at bigint not null, stage text not null, key text not null, at timestamptz not null default now());
create table if not exists clover_migrate.mirrored (
  origin text primary key, table_name text not null, print text not null, rows bigint not null default 0, digest text)";

/// What is kept of a mirror.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    pub(crate) origin: MysqlEnd,
    /// Which database of which server it is.
    pub(crate) identity: String,
    /// Up to where its changes have been taken.
    pub(crate) position: Position,
    pub(crate) stage: Stage,
    /// Goes into digests of rows, so that nobody can choose rows by theirs.
    pub(crate) key: String,
    pub(crate) tables: Vec<Noted>,
}

/// What is kept of a table.
#[derive(Debug, Clone)]
pub(crate) struct Noted {
    pub(crate) origin: String,
    pub(crate) plain: String,
    pub(crate) print: String,
    /// Rows and digest of both sides when nobody could write any more.
    pub(crate) rows: u64,
    pub(crate) digest: Option<String>,
}

impl Note {
    /// Reads what is kept, if a mirror was begun.
    pub(crate) async fn read(staging: &Session) -> Result<Option<Self>, MigrateError> {
        if staging.texts("select to_regclass('clover_migrate.mirror')::text").await?.is_empty() {
            return Ok(None);
        }
        let wrong = |e: tokio_postgres::Error| staging.wrong(&e);
        let sql = "select address, password_file, roots, identity, log_file, log_at, stage, key from clover_migrate.mirror";
        let Some(row) = staging.rows(sql, &[]).await?.pop() else { return Ok(None) };
        let path = |place| row.try_get::<_, Option<String>>(place).map(|path| path.map(PathBuf::from));
        let origin = MysqlEnd {
            address: row.try_get(0).map_err(wrong)?,
            password_file: path(1).map_err(wrong)?,
            roots: path(2).map_err(wrong)?,
        };
        let at = row.try_get::<_, i64>(5).map_err(wrong)?.unsigned_abs();
        let position = Position { file: row.try_get(4).map_err(wrong)?, at };
        let stage = Stage::of(row.try_get(6).map_err(wrong)?)?;
        let mut tables = Vec::new();
        let sql =
            "select origin, table_name, print, rows, digest from clover_migrate.mirrored order by origin";
        for row in staging.rows(sql, &[]).await? {
            tables.push(Noted {
                origin: row.try_get(0).map_err(wrong)?,
                plain: row.try_get(1).map_err(wrong)?,
                print: row.try_get(2).map_err(wrong)?,
                rows: row.try_get::<_, i64>(3).map_err(wrong)?.unsigned_abs(),
                digest: row.try_get(4).map_err(wrong)?,
            });
        }
        let (identity, key) = (row.try_get(3).map_err(wrong)?, row.try_get(7).map_err(wrong)?);
        Ok(Some(Self { origin, identity, position, stage, key, tables }))
    }

    /// That it is still the same source with the same tables.
    pub(crate) fn fits(&self, identity: &str, shapes: &[Shape]) -> Result<(), MigrateError> {
        if self.identity != identity {
            let text = "the address leads to another server or database than the one that is mirrored: its binary log has other places";
            return Err(MigrateError::State(text.into()));
        }
        let same =
            |shape: &Shape| self.tables.iter().any(|t| t.origin == shape.origin && t.plain == shape.plain);
        if self.tables.len() != shapes.len() || !shapes.iter().all(same) {
            let pairs: Vec<String> =
                self.tables.iter().map(|t| format!("{}={}", t.origin, t.plain)).collect();
            return Err(MigrateError::State(format!("other tables are mirrored: {}", pairs.join(", "))));
        }
        match shapes
            .iter()
            .find(|shape| self.tables.iter().any(|t| t.origin == shape.origin && t.print != shape.print))
        {
            Some(shape) => {
                let what = "its columns or its key are others".into();
                Err(MigrateError::Changed { table: shape.origin.clone(), what })
            }
            None => Ok(()),
        }
    }

    /// Makes the tables that keep it.
    pub(crate) async fn prepare(staging: &Session) -> Result<(), MigrateError> {
        staging.run(SCHEMA).await
    }

    /// Takes down that a mirror has begun, in the transaction that brings the rows.
    pub(crate) async fn begin(
        staging: &Session,
        origin: &MysqlEnd,
        identity: &str,
        position: &Position,
        shapes: &[Shape],
    ) -> Result<(), MigrateError> {
        let path = |path: &Option<PathBuf>| -> Result<Option<String>, MigrateError> {
            let Some(path) = path else { return Ok(None) };
            let path = std::path::absolute(path).map_err(|e| MigrateError::file(path, e))?;
            Ok(Some(path.display().to_string()))
        };
        let (password, roots) = (path(&origin.password_file)?, path(&origin.roots)?);
        let sql = "insert into clover_migrate.mirror (address, password_file, roots, identity, log_file, log_at, stage, key)
          values ($1, $2, $3, $4, $5, $6, 'following', gen_random_uuid()::text)";
        let at = i64::try_from(position.at).unwrap_or(i64::MAX);
        staging.rows(sql, &[&origin.address, &password, &roots, &identity, &position.file, &at]).await?;
        for shape in shapes {
            let sql = "insert into clover_migrate.mirrored (origin, table_name, print) values ($1, $2, $3)";
            staging.rows(sql, &[&shape.origin, &shape.plain, &shape.print]).await?;
        }
        Ok(())
    }

    /// Takes down how far the log was read, in the transaction that takes its changes.
    pub(crate) async fn reached(staging: &Session, position: &Position) -> Result<(), MigrateError> {
        let sql = format!(
            "update clover_migrate.mirror set log_file = {}, log_at = {}, at = now()",
            literal(&position.file),
            position.at
        );
        staging.run(&sql).await
    }

    /// Takes down the stage.
    pub(crate) async fn set(staging: &Session, stage: Stage) -> Result<(), MigrateError> {
        staging.run(&format!("update clover_migrate.mirror set stage = '{}', at = now()", stage.word())).await
    }
}
