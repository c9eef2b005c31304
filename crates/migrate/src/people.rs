//! People for the vault: what the resident tables have of each of the region's people, a line each, as `clover import` takes them.
//!
//! All tables are read in the order of their people, from one snapshot, side by side; what is held at a time is one person.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::Fuse;
use tokio_postgres::CopyOutStream;

use crate::Migration;
use crate::database::{Session, literal, quoted};
use crate::error::MigrateError;
use crate::rows::{Splitter, cells};
use crate::table::{Form, Table};

/// Most bytes of one person.
const PERSON_MAX: usize = 256 << 20;
/// People of one file, and bytes after which it is full: what the vault takes at once, with one entry on the ledger.
const FILE_PEOPLE: u64 = 100;
const FILE_BYTES: u64 = 16 << 20;

/// What was written.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// People, each a line.
    pub people: u64,
    /// Rows of each set.
    pub rows: BTreeMap<String, u64>,
    /// Bytes of all files of them.
    pub bytes: u64,
    /// People who went, or are named otherwise by now.
    pub gone: u64,
}

/// Numbered files of lines. Each has its name only when it is whole and on disk.
pub(crate) struct Files<'f> {
    folder: &'f Path,
    ending: &'static str,
    /// The last file's number.
    pub(crate) number: u64,
    open: Option<(BufWriter<File>, PathBuf)>,
    people: u64,
    bytes: u64,
}

impl<'f> Files<'f> {
    /// The first has the next number.
    pub(crate) fn new(folder: &'f Path, number: u64, ending: &'static str) -> Self {
        Self { folder, ending, number, open: None, people: 0, bytes: 0 }
    }

    /// Puts a line, in which breaks can only stand between values.
    pub(crate) fn put(&mut self, text: &str) -> Result<(), MigrateError> {
        let (mut file, path) = match self.open.take() {
            Some(open) => open,
            None => {
                self.number += 1;
                let path = self.folder.join(format!("{:012}.part", self.number));
                // Of a file that a kill left nobody knows.
                let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
                (BufWriter::new(file.map_err(|e| MigrateError::file(&path, e))?), path)
            }
        };
        let line = text.replace(['\n', '\r'], " ");
        writeln!(file, "{line}").map_err(|e| MigrateError::file(&path, e))?;
        self.open = Some((file, path));
        self.people += 1;
        self.bytes += line.len() as u64 + 1;
        if self.people >= FILE_PEOPLE || self.bytes >= FILE_BYTES { self.close() } else { Ok(()) }
    }

    /// Gives the file its name.
    pub(crate) fn close(&mut self) -> Result<(), MigrateError> {
        let Some((file, path)) = self.open.take() else { return Ok(()) };
        (self.people, self.bytes) = (0, 0);
        let whole = || {
            file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
            std::fs::rename(&path, path.with_extension(self.ending))?;
            File::open(self.folder)?.sync_all()
        };
        whole().map_err(|e| MigrateError::file(&path, e))
    }
}

/// A table's rows in the order of their people.
struct Rows {
    session: Session,
    stream: Fuse<Pin<Box<CopyOutStream>>>,
    splitter: Splitter,
    waiting: VecDeque<(String, String)>,
    table: String,
    pointer: Vec<String>,
}

impl Rows {
    async fn of(
        session: Session,
        snapshot: &str,
        table: &Table,
        pointer: &str,
        only: Option<&str>,
    ) -> Result<Self, MigrateError> {
        session.run("begin isolation level repeatable read read only").await?;
        session.run(&format!("set transaction snapshot {}", literal(snapshot))).await?;
        let subject = quoted(&table.column(table.subject)?.name);
        let kind = &table.column(table.subject)?.kind;
        let only = only
            .map(|people| format!(" where {subject} in (select o.person::{kind} from ({people}) o(person))"))
            .unwrap_or_default();
        // By their keys, too, so that the same rows are written the same.
        let key: Vec<String> = table.key_columns().map(|c| format!(", {}", quoted(&c.name))).collect();
        let sql = format!(
            "copy (select {subject}::text, row_to_json(r)::text from (select {} from {}{only}) r order by {subject}::text collate \"C\"{}) to stdout",
            table.list(),
            table.name,
            key.concat()
        );
        let stream = Box::pin(session.client.copy_out(&sql).await.map_err(|e| session.wrong(&e))?).fuse();
        let pointer = steps(pointer);
        let (splitter, waiting) = (Splitter::new(Form::Text), VecDeque::new());
        Ok(Self { session, stream, splitter, waiting, table: table.plain.clone(), pointer })
    }

    /// The next row, which stays.
    async fn peek(&mut self) -> Result<Option<&(String, String)>, MigrateError> {
        while self.waiting.is_empty() {
            let Some(piece) = self.stream.next().await else { return Ok(None) };
            let piece: Bytes = piece.map_err(|e| self.session.wrong(&e))?;
            let (waiting, mut wrong, mut nobodys) = (&mut self.waiting, Ok(()), false);
            self.splitter.push(&piece, |line| match cells(line) {
                Ok(row) => {
                    let mut row = row.into_iter();
                    match (row.next().flatten(), row.next().flatten()) {
                        (Some(subject), Some(json)) => waiting.push_back((subject, json)),
                        _ => nobodys = true,
                    }
                }
                Err(e) => wrong = Err(e),
            })?;
            wrong?;
            if nobodys {
                return Err(MigrateError::State(format!("{}: a row that names nobody", self.table)));
            }
        }
        Ok(self.waiting.front())
    }

    /// All rows of a person, after those of people who sort before, of whom there should be none.
    async fn of_person(&mut self, person: &str) -> Result<Vec<String>, MigrateError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        loop {
            match self.peek().await?.map(|(subject, _)| subject.as_str().cmp(person)) {
                Some(Ordering::Equal) => {
                    let json = self.waiting.pop_front().map(|(_, json)| json).unwrap_or_default();
                    bytes += json.len();
                    rows.push(json);
                }
                Some(Ordering::Less) => {
                    return Err(MigrateError::State(format!(
                        "{}: rows of people who are not there",
                        self.table
                    )));
                }
                Some(Ordering::Greater) | None => return Ok(rows),
            }
            if bytes > PERSON_MAX {
                return Err(MigrateError::State(format!(
                    "{}: one person has more than {PERSON_MAX} bytes",
                    self.table
                )));
            }
        }
    }
}

/// The names of a JSON pointer.
pub(crate) fn steps(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect()
}

/// Objects within objects, and texts of JSON at their ends.
#[derive(Default)]
pub(crate) struct Tree {
    members: BTreeMap<String, Self>,
    json: Option<String>,
}

impl Tree {
    pub(crate) fn put(&mut self, pointer: &[String], json: String) {
        match pointer.split_first() {
            None => self.json = Some(json),
            Some((first, rest)) => self.members.entry(first.clone()).or_default().put(rest, json),
        }
    }

    pub(crate) fn write(&self, out: &mut String) {
        if let Some(json) = &self.json {
            return out.push_str(json);
        }
        out.push('{');
        for (n, (name, member)) in self.members.iter().enumerate() {
            out.push_str(if n > 0 { "," } else { "" });
            out.push_str(&serde_json::Value::from(name.as_str()).to_string());
            out.push(':');
            member.write(out);
        }
        out.push('}');
    }
}

impl Migration {
    /// Writes the region's people into a new folder, from the target's tables whose sets have a `pointer`.
    ///
    /// # Errors
    /// When not all is copied yet, the folder is there, a table has rows of people who are not there, or the target breaks off.
    pub async fn write_people(&self, folder: &Path) -> Result<Written, MigrateError> {
        self.must_be_copied().await?;
        let failed = |e| MigrateError::file(folder, e);
        DirBuilder::new().mode(0o700).create(folder).map_err(failed)?;
        let mut files = Files::new(folder, 0, "ndjson");
        let done = self.write_all(&mut files).await;
        if done.is_err() {
            // It is ours, and holds people.
            std::fs::remove_dir_all(folder).map_err(failed)?;
        }
        done
    }

    /// Writes all of the region's people.
    pub(crate) async fn write_all(&self, files: &mut Files<'_>) -> Result<Written, MigrateError> {
        self.target.run("begin isolation level repeatable read read only").await?;
        let mut written = Written::default();
        let done = async {
            let snapshot = self.target.text("select pg_export_snapshot()").await?;
            for (people, pointer) in self.pointed(|table| table.home.is_some()) {
                self.people_of(people, &pointer, (&snapshot, None), files, &mut written).await?;
            }
            files.close()
        };
        let done = done.await;
        self.target.run("rollback").await?;
        done.map(|()| written)
    }

    /// Tables with their pointers.
    pub(crate) fn pointed(&self, which: impl Fn(&Table) -> bool) -> Vec<(&Table, String)> {
        let sets = self.plan.sets.iter().zip(&self.tables);
        sets.filter(|(_, table)| which(table))
            .filter_map(|(set, table)| Some((table, set.pointer.clone()?)))
            .collect()
    }

    /// Writes people of one table: all, or those whom a query gives.
    pub(crate) async fn people_of(
        &self,
        people: &Table,
        pointer: &str,
        (snapshot, only): (&str, Option<&str>),
        files: &mut Files<'_>,
        written: &mut Written,
    ) -> Result<(), MigrateError> {
        let end = &self.plan.target.database;
        let mut everybody = Rows::of(Session::target(end).await?, snapshot, people, pointer, only).await?;
        let theirs =
            |table: &Table| self.plan.people(&self.tables, table).is_some_and(|of| of.plain == people.plain);
        let mut others = Vec::new();
        for (table, pointer) in self.pointed(theirs) {
            others.push(Rows::of(Session::target(end).await?, snapshot, table, &pointer, only).await?);
        }
        while let Some((person, _)) = everybody.peek().await?.cloned() {
            let mut tree = Tree::default();
            let mut rows = everybody.of_person(&person).await?;
            let (Some(json), true) = (rows.pop(), rows.is_empty()) else {
                return Err(MigrateError::State(format!("{}: somebody is there twice", people.plain)));
            };
            tree.put(&everybody.pointer, json);
            *written.rows.entry(people.plain.clone()).or_default() += 1;
            for other in &mut others {
                let rows = other.of_person(&person).await?;
                *written.rows.entry(other.table.clone()).or_default() += rows.len() as u64;
                tree.put(&other.pointer, format!("[{}]", rows.join(",")));
            }
            let mut text = String::new();
            tree.write(&mut text);
            written.people += 1;
            written.bytes += text.len() as u64 + 1;
            files.put(&text)?;
        }
        for other in &mut others {
            if other.peek().await?.is_some() {
                return Err(MigrateError::State(format!(
                    "{}: rows of people who are not there",
                    other.table
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_written_with_every_set_at_its_pointer() {
        let mut tree = Tree::default();
        let at = |text: &str| text.split('/').skip(1).map(str::to_owned).collect::<Vec<_>>();
        tree.put(&at("/Profile/Info/Map"), r#"{"n":1.50}"#.into());
        tree.put(&at("/Profile/Log\"in"), "[1,2]".into());
        tree.put(&at("/A"), "[]".into());
        let mut text = String::new();
        tree.write(&mut text);
        assert_eq!(text, r#"{"A":[],"Profile":{"Info":{"Map":{"n":1.50}},"Log\"in":[1,2]}}"#);
    }
}
