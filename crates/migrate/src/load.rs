//! Files as a source, of this machine or of a bucket: CSV, NDJSON and Parquet are loaded into a database of a server beside the target's, which is then the source of a plan.
//!
//! Each file is loaded whole or not at all, once. What is in it must be what the table has: no column more, none less. Values are read by
//! the server, as the types of its columns say.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures_util::SinkExt;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use crate::bucket::{Bucket, Parts, words};
use crate::database::{Session, literal, quoted};
use crate::error::MigrateError;
use crate::plan::End;

/// Longest line that is read, and most bytes of rows that a Parquet file may have.
const LINE_MAX: usize = 64 << 20;
const PARQUET_MAX: usize = 1 << 30;
const PIECE: usize = 256 << 10;

/// How the place of an object begins.
pub(crate) const BUCKET: &str = "s3://";

/// What was loaded, in the database where it is.
const LOADED: &str = "create schema if not exists clover_migrate;
create table if not exists clover_migrate.loaded (
  sha256 bytea not null, table_name text not null, path text not null, rows bigint not null, bytes bigint not null,
  at timestamptz not null default now(), primary key (sha256, table_name))";

/// Where a file lies.
#[derive(Debug, Clone)]
pub enum Origin {
    /// On this machine.
    File(PathBuf),
    /// In a bucket, under a name.
    Object(Bucket, String),
}

impl Origin {
    /// Where it is, as what is taken down and reports of sweeps name places.
    fn place(&self) -> std::io::Result<String> {
        match self {
            Self::File(path) => Ok(std::path::absolute(path)?.display().to_string()),
            Self::Object(..) => Ok(self.to_string()),
        }
    }

    fn open(&self) -> std::io::Result<Box<dyn Read + Send>> {
        match self {
            Self::File(path) => Ok(Box::new(File::open(path)?)),
            Self::Object(bucket, name) => {
                let told = |why: String| std::io::Error::other(why);
                let bucket = bucket.open().map_err(told)?;
                let object = bucket.object(name).map_err(|e| told(words(&e)))?;
                let object = object.ok_or(std::io::ErrorKind::NotFound)?;
                Ok(Box::new(Parts::new(bucket, object)))
            }
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Object(bucket, name) => write!(f, "{}/{name}", bucket.called()),
        }
    }
}

/// A file, and into which table it goes.
#[derive(Debug, Clone)]
pub struct Load {
    /// The database.
    pub into: End,
    /// `schema.table`.
    pub table: String,
    /// The file: its ending says what it is (`.csv`, `.ndjson`, `.jsonl`, `.parquet`, the first ones also with `.gz`).
    pub from: Origin,
    /// What stands between the values of a CSV file.
    pub delimiter: char,
    /// In which encoding a CSV file is, as PostgreSQL calls it.
    pub encoding: String,
}

/// A file that was loaded.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Loaded {
    /// Where it lay: a path, or a bucket (`s3://host/bucket`) and a name in it.
    pub path: String,
    /// The table.
    pub table: String,
    /// Its SHA-256.
    pub sha256: String,
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Lines,
    Parquet,
}

/// A file that is digested as it is read.
struct Digested {
    file: Box<dyn Read + Send>,
    context: Context,
    bytes: u64,
}

impl Read for Digested {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read(into)?;
        self.context.update(into.get(..n).unwrap_or_default());
        self.bytes += n as u64;
        Ok(n)
    }
}

impl Load {
    fn form(&self) -> Result<(Form, bool), MigrateError> {
        let name = self.from.to_string();
        let (name, packed) = name.strip_suffix(".gz").map_or((name.as_str(), false), |name| (name, true));
        let form = match name.rsplit('.').next() {
            Some("csv") => Form::Csv,
            Some("ndjson" | "jsonl") => Form::Lines,
            Some("parquet") if !packed => Form::Parquet,
            _ => return Err(self.wrong("it is neither .csv, .ndjson, .jsonl (also .gz) nor .parquet")),
        };
        Ok((form, packed))
    }

    fn wrong(&self, why: &str) -> MigrateError {
        MigrateError::Plan(format!("{}: {why}. Nothing of it was loaded", self.from))
    }

    fn failed(&self, error: std::io::Error) -> MigrateError {
        MigrateError::File { path: self.from.to_string(), source: error }
    }

    /// Loads the file.
    ///
    /// # Errors
    /// When it is not what its ending says, has other columns than the table, was loaded before, or the server refuses a value. Then
    /// nothing of it is there.
    pub async fn run(&self) -> Result<Loaded, MigrateError> {
        let (form, packed) = self.form()?;
        let session = Session::source(&self.into).await?;
        session.run(LOADED).await?;
        let columns = self.columns(&session).await?;
        self.silence(&session).await?;
        let file = self.from.open().map_err(|e| self.failed(e))?;
        let mut digested = Digested { file, context: Context::new(&SHA256), bytes: 0 };
        session.run("begin").await?;
        let rows = {
            let mut reader: Box<dyn BufRead + Send + '_> = if packed {
                Box::new(BufReader::with_capacity(PIECE, MultiGzDecoder::new(&mut digested)))
            } else {
                Box::new(BufReader::with_capacity(PIECE, &mut digested))
            };
            match form {
                Form::Csv => self.csv(&session, &columns, &mut reader).await?,
                Form::Lines => self.lines(&session, &columns, &mut reader).await?,
                Form::Parquet => {
                    let mut bytes = Vec::new();
                    reader
                        .take(PARQUET_MAX as u64 + 1)
                        .read_to_end(&mut bytes)
                        .map_err(|e| self.failed(e))?;
                    let limits = table::Limits { bytes: PARQUET_MAX, rows: u64::MAX };
                    let lines = table::lines(&bytes, limits).map_err(|e| self.wrong(&e.to_string()))?;
                    self.lines(&session, &columns, &mut lines.as_slice()).await?
                }
            }
        };
        // What a packed file has behind its end belongs to it, too.
        std::io::copy(&mut digested, &mut std::io::sink()).map_err(|e| self.failed(e))?;
        let (digest, bytes) = (digested.context.finish(), digested.bytes);
        let path = self.from.place().map_err(|e| self.failed(e))?;
        let loaded = Loaded {
            path,
            table: self.table.clone(),
            sha256: data_encoding::HEXLOWER.encode(digest.as_ref()),
            rows,
            bytes,
        };
        self.take_down(&session, &loaded, digest.as_ref()).await?;
        session.run("commit").await?;
        Ok(loaded)
    }

    /// Has the table's triggers be silent: they did their work where the rows come from.
    async fn silence(&self, session: &Session) -> Result<(), MigrateError> {
        drop(session.run("set session_replication_role = replica").await);
        match session.loud(&self.name()).await? {
            Some(name) => Err(self.wrong(&format!(
                "the trigger or rule `{name}` of the table would change what comes: disable it"
            ))),
            None => Ok(()),
        }
    }

    /// The columns that a file must have: those that the server does not compute.
    async fn columns(&self, session: &Session) -> Result<Vec<(String, String)>, MigrateError> {
        let sql = format!(
            "select attname::text, format_type(atttypid, atttypmod) from pg_attribute
             where attrelid = to_regclass({}) and attnum > 0 and not attisdropped and attgenerated = '' order by attnum",
            literal(&self.name())
        );
        let text = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
        let rows = session.rows(&sql, &[]).await?;
        let columns: Result<Vec<_>, _> = rows.iter().map(text).collect();
        let columns = columns.map_err(|e| session.wrong(&e))?;
        if columns.is_empty() {
            return Err(self.wrong(&format!("there is no table `{}`", self.table)));
        }
        Ok(columns)
    }

    fn name(&self) -> String {
        let (schema, table) = self.table.split_once('.').unwrap_or(("public", &self.table));
        format!("{}.{}", quoted(schema), quoted(table))
    }

    /// That a file's columns are the table's. What stands where a name should be may be a value: it is told by its place.
    fn fits(&self, columns: &[(String, String)], found: &[String]) -> Result<(), MigrateError> {
        for (place, name) in found.iter().enumerate() {
            if found.iter().take(place).any(|before| before == name) {
                return Err(self.wrong(&format!("its column {} is there before", place + 1)));
            }
            if !columns.iter().any(|(column, _)| column == name) {
                let known: Vec<&str> = columns.iter().map(|(column, _)| column.as_str()).collect();
                let known = known.join(", ");
                return Err(self
                    .wrong(&format!("its column {} is none of the table's, which are {known}", place + 1)));
            }
        }
        match columns.iter().find(|(column, _)| !found.contains(column)) {
            Some((missing, _)) => Err(self.wrong(&format!("it has no column `{missing}`"))),
            None => Ok(()),
        }
    }

    /// CSV is read by the server: quotes, and nothing (NULL) beside an empty text in quotes. Its first line names columns.
    async fn csv(
        &self,
        session: &Session,
        columns: &[(String, String)],
        reader: &mut (dyn BufRead + Send),
    ) -> Result<u64, MigrateError> {
        let mut head = Vec::new();
        reader.take(LINE_MAX as u64).read_until(b'\n', &mut head).map_err(|e| self.failed(e))?;
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
        let head = std::str::from_utf8(head).map_err(|_| self.wrong("its first line is not UTF-8"))?;
        let found: Vec<String> = head
            .trim_end_matches(['\r', '\n'])
            .split(self.delimiter)
            .map(|name| name.strip_prefix('"').and_then(|n| n.strip_suffix('"')).unwrap_or(name).to_owned())
            .collect();
        self.fits(columns, &found)?;
        let list: Vec<String> = found.iter().map(|name| quoted(name)).collect();
        let sql = format!(
            "copy {} ({}) from stdin (format csv, delimiter {}, encoding {})",
            self.name(),
            list.join(", "),
            literal(&self.delimiter.to_string()),
            literal(&self.encoding)
        );
        self.send(session, &sql, reader).await
    }

    /// Has the server take bytes, and says how many rows they were.
    async fn send(
        &self,
        session: &Session,
        sql: &str,
        reader: &mut (dyn BufRead + Send),
    ) -> Result<u64, MigrateError> {
        let wrong = |e: tokio_postgres::Error| self.refused(session, &e);
        let mut sink = Box::pin(session.client.copy_in::<_, Bytes>(sql).await.map_err(wrong)?);
        let mut ends = Ends::default();
        loop {
            let piece = reader.fill_buf().map_err(|e| self.failed(e))?;
            if piece.is_empty() {
                break;
            }
            let (bytes, length) = (Bytes::copy_from_slice(piece), piece.len());
            if ends.take(piece) {
                return Err(self.wrong("a line is `\\.` and nothing else, which servers take for the end"));
            }
            sink.send(bytes).await.map_err(wrong)?;
            reader.consume(length);
        }
        if ends.take(b"\n") {
            return Err(self.wrong("its last line is `\\.`, which servers take for the end"));
        }
        sink.as_mut().finish().await.map_err(wrong)
    }

    /// The server's words with the line, and without the value that stands behind.
    fn refused(&self, session: &Session, error: &tokio_postgres::Error) -> MigrateError {
        let place = error.as_db_error().and_then(|e| e.where_()).and_then(|place| place.split(':').next());
        // The first line, which names columns, is not the server's.
        let place = place
            .filter(|place| place.starts_with("COPY "))
            .map(|p| format!(" ({p}, without the first line)"));
        self.wrong(&format!("{}{}", session.wrong(error), place.unwrap_or_default()))
    }

    /// Lines of JSON: an object each.
    async fn lines(
        &self,
        session: &Session,
        columns: &[(String, String)],
        reader: &mut (dyn BufRead + Send),
    ) -> Result<u64, MigrateError> {
        if let Some((column, _)) = columns.iter().find(|(_, kind)| kind == "bytea" || kind == "bytea[]") {
            return Err(self.wrong(&format!("`{column}` is bytea, which JSON has no form for: load CSV")));
        }
        session
            .run("create temporary table clover_lines (n bigint generated always as identity, line text) on commit drop")
            .await?;
        // No line of JSON has these two.
        let sql =
            "copy pg_temp.clover_lines (line) from stdin (format csv, quote e'\\x01', delimiter e'\\x02')";
        let wrong = |e: tokio_postgres::Error| self.refused(session, &e);
        let mut sink = Box::pin(session.client.copy_in::<_, Bytes>(sql).await.map_err(wrong)?);
        let (mut line, mut number) = (Vec::new(), 0_u64);
        loop {
            line.clear();
            number += 1;
            let mut limited = reader.take(LINE_MAX as u64);
            if limited.read_until(b'\n', &mut line).map_err(|e| self.failed(e))? == 0 {
                break;
            }
            if line.len() >= LINE_MAX {
                return Err(self.wrong(&format!("line {number} is longer than {LINE_MAX} bytes")));
            }
            let found: Names = serde_json::from_slice(&line).map_err(|e| {
                self.wrong(&format!("line {number} is no object of JSON (at its byte {})", e.column()))
            })?;
            self.fits(columns, &found.0).map_err(|e| MigrateError::Plan(format!("line {number}: {e}")))?;
            let mut text = line.trim_ascii().to_vec();
            text.push(b'\n');
            sink.send(Bytes::from(text)).await.map_err(wrong)?;
        }
        let sent = sink.as_mut().finish().await.map_err(wrong)?;
        let list = columns.iter().map(|(column, _)| quoted(column)).collect::<Vec<_>>().join(", ");
        let rows =
            columns.iter().map(|(column, _)| format!("r.{}", quoted(column))).collect::<Vec<_>>().join(", ");
        let insert = |until: u64| {
            format!(
                "insert into {0} ({list}) overriding system value select {rows} from pg_temp.clover_lines l,
                 json_populate_record(null::{0}, l.line::json) r where l.n <= {until}",
                self.name()
            )
        };
        session.run("savepoint all_lines").await?;
        match session.client.execute(&insert(sent), &[]).await {
            Ok(there) if there == sent => Ok(there),
            Ok(_) => Err(self.wrong("the server took another number of rows than there are lines")),
            Err(e) => {
                let (mut good, mut bad) = (0, sent);
                while good + 1 < bad {
                    session.run("rollback to savepoint all_lines").await?;
                    let middle = good + (bad - good) / 2;
                    match session.client.execute(&insert(middle), &[]).await {
                        Ok(_) => good = middle,
                        Err(_) => bad = middle,
                    }
                }
                Err(self.wrong(&format!("line {bad}: {}", session.wrong(&e))))
            }
        }
    }

    async fn take_down(&self, session: &Session, loaded: &Loaded, digest: &[u8]) -> Result<(), MigrateError> {
        let sql = "insert into clover_migrate.loaded (sha256, table_name, path, rows, bytes) values ($1, $2, $3, $4, $5) on conflict do nothing";
        let [rows, bytes] = [loaded.rows, loaded.bytes].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        let there = session.client.execute(sql, &[&digest, &self.table, &loaded.path, &rows, &bytes]).await;
        match there.map_err(|e| session.wrong(&e))? {
            0 => Err(self.wrong("it was loaded before")),
            _ => Ok(()),
        }
    }
}

/// Looks for lines that are `\.` and nothing else: PostgreSQL before 18 takes one for the end of the file, and passes over what follows.
#[derive(Default)]
struct Ends {
    /// How much of such a line stands at the end of what came before; 3 for a line that is another.
    seen: u8,
}

impl Ends {
    /// Takes a piece, and says whether there is one.
    fn take(&mut self, piece: &[u8]) -> bool {
        for byte in piece {
            self.seen = match (self.seen, byte) {
                (2, b'\n' | b'\r') => return true,
                (_, b'\n' | b'\r') => 0,
                (0, b'\\') => 1,
                (1, b'.') => 2,
                _ => 3,
            };
        }
        false
    }
}

/// The names of an object's values.
struct Names(Vec<String>);

impl<'de> serde::Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Names;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Files from which rows of a database were loaded.
pub(crate) async fn loaded(source: &Session) -> Result<Vec<Loaded>, MigrateError> {
    if source.texts("select to_regclass('clover_migrate.loaded')::text").await?.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "select path, table_name, encode(sha256, 'hex'), rows, bytes from clover_migrate.loaded order by at, path";
    let file = |row: &tokio_postgres::Row| {
        Ok(Loaded {
            path: row.try_get(0)?,
            table: row.try_get(1)?,
            sha256: row.try_get(2)?,
            rows: row.try_get::<_, i64>(3)?.unsigned_abs(),
            bytes: row.try_get::<_, i64>(4)?.unsigned_abs(),
        })
    };
    let rows = source.rows(sql, &[]).await?;
    rows.iter().map(file).collect::<Result<_, _>>().map_err(|e: tokio_postgres::Error| source.wrong(&e))
}
