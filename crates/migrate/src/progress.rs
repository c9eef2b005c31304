//! What is known of the way, kept in the target: in the transaction that brings the rows.

use crate::Migration;
use crate::copy::Part;
use crate::database::{Session, literal};
use crate::digest::{DigestKey, Sum};
use crate::error::MigrateError;

/// Where it is kept.
pub(crate) const SCHEMA: &str = "create schema if not exists clover_migrate;
create table if not exists clover_migrate.migration (
  name text primary key, plan bytea not null, digests bytea not null, state text not null, followed pg_lsn, changed timestamptz not null default now(),
  ends text not null, differs boolean not null default false, destroyed_at pg_lsn);
create table if not exists clover_migrate.part (
  migration text not null, place integer not null, set_name text not null, low bigint, high bigint,
  snapshot text, row_count bigint, byte_count bigint, digest bytea, primary key (migration, place));
create table if not exists clover_migrate.moved (
  migration text not null, people text not null, person text not null, primary key (migration, people, person));
create table if not exists clover_migrate.record (
  migration text not null, number integer not null, text text not null, primary key (migration, number));
create table if not exists clover_migrate.identifier (
  migration text not null, set_name text not null, value text not null, primary key (migration, set_name, value));
create table if not exists clover_migrate.spool (migration text primary key, file bigint not null, whole boolean not null);
create table if not exists clover_migrate.note (migration text not null, people text not null, person text, was json);
create table if not exists clover_migrate.noted (migration text not null, people text not null, person text, was jsonb);";

/// How far a migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Slot and publication are being made at the source: whatever bears the migration's name there is its own.
    Beginning,
    /// Parts are being copied.
    Copying,
    /// All parts are there; changes are followed.
    Following,
    /// Services were pointed to the region; nothing is written at the source.
    Served,
    /// The source keeps no changes for us any more: nothing is undone from here on.
    Finished,
    /// Rows are being destroyed at the source.
    Destroying,
    /// They are gone from its tables.
    Destroyed,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Beginning => "beginning",
            Self::Copying => "copying",
            Self::Following => "following",
            Self::Served => "served",
            Self::Finished => "finished",
            Self::Destroying => "destroying",
            Self::Destroyed => "destroyed",
        }
    }

    fn of(word: &str) -> Result<Self, MigrateError> {
        let all = [
            Self::Beginning,
            Self::Copying,
            Self::Following,
            Self::Served,
            Self::Finished,
            Self::Destroying,
            Self::Destroyed,
        ];
        let unknown =
            || MigrateError::State(format!("the target's own record has an unknown state, `{word}`"));
        all.into_iter().find(|state| state.word() == word).ok_or_else(unknown)
    }
}

/// What was done of one set.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Progress {
    /// The table.
    pub table: String,
    /// Parts that are there, and all.
    pub parts: (u64, u64),
    /// Rows that were copied.
    pub rows: u64,
    /// Their bytes, as they were sent.
    pub bytes: u64,
}

/// What is kept of the migration as a whole.
pub(crate) struct Kept {
    pub(crate) state: State,
    pub(crate) key: DigestKey,
    /// Up to where the source's changes have been applied.
    pub(crate) followed: Option<Lsn>,
    /// Which databases of which servers both ends are.
    pub(crate) ends: String,
    /// Whether a cut-over found that they differ.
    pub(crate) differs: bool,
    /// Where the source's log of changes stood when rows had been destroyed.
    pub(crate) destroyed_at: Option<Lsn>,
}

/// A position in the source's log of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lsn(pub(crate) u64);

impl Lsn {
    pub(crate) fn of(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        Some(Self(u64::from_str_radix(high, 16).ok()? << 32 | u64::from_str_radix(low, 16).ok()?))
    }
}

impl std::fmt::Display for Lsn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl Migration {
    /// What is kept, if the migration was begun. The plan must still be the same.
    pub(crate) async fn kept(&self) -> Result<Option<Kept>, MigrateError> {
        let sql = "select state, digests, followed::text, plan, ends, differs, destroyed_at::text from clover_migrate.migration where name = $1";
        let rows = self.target.rows(sql, &[&self.plan.name]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let wrong = |e: tokio_postgres::Error| self.target.wrong(&e);
        let plan: Vec<u8> = row.try_get(3).map_err(wrong)?;
        if plan != self.fingerprint() {
            let text = "the migration was begun under a plan that says something else of sets, columns, keys or the region";
            return Err(MigrateError::State(text.into()));
        }
        let digests: Vec<u8> = row.try_get(1).map_err(wrong)?;
        let state: String = row.try_get(0).map_err(wrong)?;
        let position = |place: usize| {
            let text: Option<String> = row.try_get(place).map_err(wrong)?;
            Ok::<_, MigrateError>(text.as_deref().and_then(Lsn::of))
        };
        Ok(Some(Kept {
            state: State::of(&state)?,
            key: DigestKey::of(&digests),
            followed: position(2)?,
            ends: row.try_get(4).map_err(wrong)?,
            differs: row.try_get(5).map_err(wrong)?,
            destroyed_at: position(6)?,
        }))
    }

    /// The same of a migration that was begun.
    pub(crate) async fn begun(&self) -> Result<Kept, MigrateError> {
        let none = || MigrateError::State("nothing was begun: copy first".into());
        self.kept().await?.ok_or_else(none)
    }

    /// What of the plan may not change under way.
    fn fingerprint(&self) -> Vec<u8> {
        let text = format!(
            "{:?}{:?}",
            self.plan.region.homes,
            self.tables.iter().map(|t| (&t.name, &t.columns, &t.key, t.subject, t.home)).collect::<Vec<_>>()
        );
        blake3::hash(text.as_bytes()).as_bytes().to_vec()
    }

    /// Takes down that it begins, before anything is made at the source.
    pub(crate) async fn intend(&self) -> Result<(), MigrateError> {
        // PostgreSQL's random bytes are those of its library of cryptography.
        let sql = "insert into clover_migrate.migration (name, plan, digests, state, ends)
          values ($1, $2, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'beginning', $3)";
        self.target.rows(sql, &[&self.plan.name, &self.fingerprint(), &self.ends]).await.map(drop)
    }

    /// Takes down its parts, and from where changes are kept.
    pub(crate) async fn begin(&self, parts: &[Part], from: &str) -> Result<(), MigrateError> {
        self.target.run("begin").await?;
        let sql = "insert into clover_migrate.part (migration, place, set_name, low, high) values ($1, $2, $3, $4, $5)";
        for part in parts {
            self.target
                .rows(sql, &[&self.plan.name, &part.place, &part.table, &part.low, &part.high])
                .await?;
        }
        let sql = format!(
            "update clover_migrate.migration set state = 'copying', followed = {} where name = $1",
            literal(from)
        );
        self.target.rows(&sql, &[&self.plan.name]).await?;
        self.target.run("commit").await
    }

    pub(crate) async fn set_state(&self, state: State) -> Result<(), MigrateError> {
        let sql = "update clover_migrate.migration set state = $2, changed = now() where name = $1";
        self.target.rows(sql, &[&self.plan.name, &state.word()]).await.map(drop)
    }

    /// That both ends are the servers and databases with which it was begun, whatever their addresses lead to by now; and that a
    /// migration that has a ledger had it from its beginning: a stage cannot be taken down without those before it.
    pub(crate) async fn check_begun(&self) -> Result<(), MigrateError> {
        let Some(kept) = self.kept().await? else { return Ok(()) };
        if kept.ends != self.ends {
            let text = "the addresses of the plan lead to other databases than those with which the migration was begun";
            return Err(MigrateError::State(text.into()));
        }
        if self.plan.ledger.is_some() && kept.state > State::Beginning && self.records().await?.is_empty() {
            let text = "it was begun without a `[ledger]`: take it out of the plan, or begin anew under another name";
            return Err(MigrateError::Plan(text.into()));
        }
        Ok(())
    }

    /// All parts, in their order.
    pub(crate) async fn parts(&self) -> Result<Vec<Part>, MigrateError> {
        let sql = "select place, set_name, low, high, snapshot from clover_migrate.part where migration = $1 order by place";
        let wrong = |e: tokio_postgres::Error| self.target.wrong(&e);
        let part = |row: &tokio_postgres::Row| {
            Ok(Part {
                place: row.try_get(0)?,
                table: row.try_get(1)?,
                low: row.try_get(2)?,
                high: row.try_get(3)?,
                snapshot: row.try_get(4)?,
            })
        };
        self.target
            .rows(sql, &[&self.plan.name])
            .await?
            .iter()
            .map(part)
            .collect::<Result<_, _>>()
            .map_err(wrong)
    }

    /// How far each set is.
    ///
    /// # Errors
    /// When the target does not answer.
    pub async fn progress(&self) -> Result<Vec<Progress>, MigrateError> {
        let sql = "select set_name, count(snapshot), count(*), coalesce(sum(row_count), 0)::bigint, coalesce(sum(byte_count), 0)::bigint
          from clover_migrate.part where migration = $1 group by set_name order by min(place)";
        let wrong = |e: tokio_postgres::Error| self.target.wrong(&e);
        let number =
            |row: &tokio_postgres::Row, place: usize| row.try_get(place).map(|n: i64| n.unsigned_abs());
        let set = |row: &tokio_postgres::Row| {
            Ok(Progress {
                table: row.try_get(0)?,
                parts: (number(row, 1)?, number(row, 2)?),
                rows: number(row, 3)?,
                bytes: number(row, 4)?,
            })
        };
        self.target
            .rows(sql, &[&self.plan.name])
            .await?
            .iter()
            .map(set)
            .collect::<Result<_, _>>()
            .map_err(wrong)
    }

    /// That all parts are copied.
    pub(crate) async fn must_be_copied(&self) -> Result<(), MigrateError> {
        match self.state().await? {
            None | Some(State::Beginning | State::Copying) => Err(not_copied()),
            Some(_) => Ok(()),
        }
    }

    /// Which state the migration is in; `None` before it begins.
    ///
    /// # Errors
    /// When the target does not answer, or was begun under another plan.
    pub async fn state(&self) -> Result<Option<State>, MigrateError> {
        Ok(self.kept().await?.map(|kept| kept.state))
    }
}

pub(crate) fn not_copied() -> MigrateError {
    MigrateError::State("not all parts are copied: copy first".into())
}

/// Takes down, in the transaction that brought its rows, that a part is there.
pub(crate) async fn part_is_there(
    target: &Session,
    migration: &str,
    part: &Part,
    snapshot: &str,
    sum: &Sum,
) -> Result<(), MigrateError> {
    let sql = format!(
        "update clover_migrate.part set snapshot = {}, row_count = {}, byte_count = {}, digest = $3 where migration = $1 and place = $2",
        literal(snapshot),
        sum.rows,
        sum.bytes
    );
    target.rows(&sql, &[&migration, &part.place, &sum.digest()]).await.map(drop)
}
