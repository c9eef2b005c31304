//! MySQL and MariaDB as a source: their tables are mirrored into a staging database of PostgreSQL, which is then the source of a plan, as
//! files are loaded into one.
//!
//! Rows come from one snapshot, with the place in the binary log at which it was taken. From there on the log says which rows were
//! touched, by their keys ([`follow`]); what those rows have become is read anew, from a snapshot of later on. So there is one way only
//! on which values are read and written, and to take a change twice does no harm.

mod copy;
mod destroy;
mod follow;
mod log;
mod note;
mod server;
mod shape;
mod stop;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::database::{Session, literal};
use crate::error::MigrateError;
use crate::plan::End;
pub(crate) use destroy::{held, named, stopped};
use note::Note;
use server::{Position, Server};
use shape::Shape;

/// How a database of MySQL is reached.
#[derive(Debug, Clone)]
pub struct MysqlEnd {
    /// `mysql://user@host:port/database`, without a password.
    pub address: String,
    /// A file with the user's password.
    pub password_file: Option<PathBuf>,
    /// A file with the certificates to trust, as PEM. Without it only this machine will do.
    pub roots: Option<PathBuf>,
}

/// Tables of MySQL, and where they are mirrored.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// The source.
    pub from: MysqlEnd,
    /// The staging database.
    pub into: End,
    /// Each table there, and its staging table as `schema.table`.
    pub tables: Vec<(String, String)>,
}

/// What a call of [`Mirror::run`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Mirrored {
    /// Rows that were copied.
    pub copied: u64,
    /// Rows that were touched since, and brought anew or removed.
    pub touched: u64,
    /// Up to where the binary log was read.
    pub log: String,
}

/// What [`Mirror::stop`] found to be the same on both sides.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stopped {
    /// Rows of each table.
    pub tables: BTreeMap<String, u64>,
}

/// How far a mirror is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Its changes are followed.
    Following,
    /// Nobody writes at the source any more, and both sides are the same.
    Stopped,
    /// Rows are gone at the source.
    Destroyed,
}

impl Stage {
    fn word(self) -> &'static str {
        match self {
            Self::Following => "following",
            Self::Stopped => "stopped",
            Self::Destroyed => "destroyed",
        }
    }

    fn of(word: &str) -> Result<Self, MigrateError> {
        let all = [Self::Following, Self::Stopped, Self::Destroyed];
        let unknown =
            || MigrateError::State(format!("the staging database's own note has an unknown stage, `{word}`"));
        all.into_iter().find(|stage| stage.word() == word).ok_or_else(unknown)
    }
}

impl Mirror {
    /// The statements that make the staging tables.
    ///
    /// # Errors
    /// When a table is not there, or has what cannot be mirrored.
    pub async fn ddl(&self) -> Result<String, MigrateError> {
        let mut server = Server::open(&self.from).await?;
        Ok(self.shapes(&mut server).await?.iter().map(Shape::ddl).collect())
    }

    /// Copies all rows when called first, and takes what has changed since when called again. May be killed at any moment.
    ///
    /// # Errors
    /// When an end refuses or breaks off, a value cannot be kept, a table has changed, or the binary log does not say what is needed.
    /// What was taken before stays; of this call's last step nothing is there.
    pub async fn run(&self) -> Result<Mirrored, MigrateError> {
        let (staging, mut server) = self.open().await?;
        let shapes = self.shapes(&mut server).await?;
        match Note::read(&staging).await? {
            None => self.begin(&staging, &mut server, &shapes).await,
            Some(note) if note.stage > Stage::Following => {
                Err(MigrateError::State("it was stopped: nothing is written there any more".into()))
            }
            Some(note) => self.follow(&staging, &mut server, &shapes, &note).await,
        }
    }

    /// Connects to both ends. Only one of us is at work at a time.
    async fn open(&self) -> Result<(Session, Server), MigrateError> {
        let staging = Session::source(&self.into).await?;
        staging.alone("mirror").await?;
        // Triggers did their work where the rows come from.
        drop(staging.run("set session_replication_role = replica").await);
        let server = Server::open(&self.from).await?;
        Ok((staging, server))
    }

    async fn shapes(&self, server: &mut Server) -> Result<Vec<Shape>, MigrateError> {
        if self.tables.is_empty() {
            return Err(MigrateError::Plan("name at least one table".into()));
        }
        let mut shapes = Vec::new();
        for (origin, plain) in &self.tables {
            if shapes.iter().any(|shape: &Shape| shape.origin == *origin || shape.plain == *plain) {
                return Err(MigrateError::Plan(format!("{origin}={plain}: one of them is named twice")));
            }
            shapes.push(Shape::of(server, origin, plain).await?);
        }
        Ok(shapes)
    }

    /// Copies all rows, and takes down from where the log is to be followed, in one transaction.
    async fn begin(
        &self,
        staging: &Session,
        server: &mut Server,
        shapes: &[Shape],
    ) -> Result<Mirrored, MigrateError> {
        log::check(server).await?;
        follow::cascades(server, shapes).await?;
        for shape in shapes {
            fits(staging, shape).await?;
        }
        Note::prepare(staging).await?;
        let identity = server.identity().await?;
        let position = server.snapshot(&self.from).await?;
        staging.run("begin").await?;
        let mut copied = 0;
        for shape in shapes {
            copied += copy::rows(server, staging, shape, "", &shape.staging()).await?;
        }
        Note::begin(staging, &self.from, &identity, &position, shapes).await?;
        staging.run("commit").await?;
        server.run("commit").await?;
        Ok(Mirrored { copied, touched: 0, log: said(&position) })
    }
}

fn said(position: &Position) -> String {
    format!("{} {}", position.file, position.at)
}

/// That a staging table has the columns of its origin, is empty, and changes nothing of what comes.
async fn fits(staging: &Session, shape: &Shape) -> Result<(), MigrateError> {
    let name = literal(&shape.staging());
    let refuse = |why: String| Err(MigrateError::Plan(format!("{}: {why}", shape.plain)));
    let sql = format!(
        "select attname::text from pg_attribute where attrelid = to_regclass({name}) and attnum > 0 and not attisdropped and attgenerated = ''"
    );
    let there = staging.texts(&sql).await?;
    if there.is_empty() {
        return refuse("there is no such table; `mirror --ddl` tells how to make it".into());
    }
    if let Some(column) = shape.columns.iter().find(|column| !there.contains(&column.name)) {
        return refuse(format!("it has no column `{}`", column.name));
    }
    if let Some(more) = there.iter().find(|name| !shape.columns.iter().any(|column| column.name == **name)) {
        return refuse(format!("its column `{more}` is none of {}", shape.origin));
    }
    if let Some(loud) = staging.loud(&shape.staging()).await? {
        return refuse(format!("the trigger or rule `{loud}` would change what comes: disable it"));
    }
    if staging.text(&format!("select exists (select from {})::text", shape.staging())).await? != "false" {
        return refuse("it has rows already".into());
    }
    Ok(())
}
