//! Looking again, after rows were destroyed: in every table, page and file of the source and in every copy that the plan names. Where
//! nothing is found that nobody answers for, a certificate says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use ledger::migration::{Amount, Stage};
use ledger::sha256;
use model::catalogue::Kind;
use residency::connect::Server;
use residency::scan::{NEEDLE_MIN, Scanner};
use residency::sweep::{self, Options, Progress, Report};
use vault::disk::replace_file;

use crate::Migration;
use crate::database::{literal, password, quoted, trusting};
use crate::error::MigrateError;
use crate::evidence::Held;
use crate::plan::{Column, Copy, End};
use crate::progress::State;
use crate::record::{Said, now};
use crate::table::Table;

/// Rows of a set, and of all sets together, whose identifiers are searched for.
const ROWS_MAX: usize = 2_000;
const ALL_ROWS_MAX: usize = 20_000;
/// Looked for where there were no rows.
const NOTHING: &str = "clover-migrate: there were no rows";
/// What a sweep calls databases that it cannot connect to.
const TEMPLATES: &str = "databases that take no connections";
/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a sweep after a migration saw.
#[derive(Debug, Default, serde::Serialize)]
pub struct Swept {
    /// Of each set how many identifiers were searched for in files; none where its columns hold none.
    pub looked_for: BTreeMap<String, u64>,
    /// What was looked into: where, how many files or tables, and bytes.
    pub places: Vec<(String, u64, u64)>,
    /// What was found, could not be seen, or keeps a copy.
    pub left: Vec<Left>,
}

/// Something that is left of rows that were destroyed, or may be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Left {
    /// Where.
    pub place: String,
    /// What.
    pub what: String,
    /// Who answers for it, if the plan says so: then it holds no certificate up, and stands on it.
    pub open: Option<String>,
}

/// A certificate.
#[derive(Debug, serde::Serialize)]
pub struct Certificate {
    /// Where it lies.
    pub file: PathBuf,
    /// Its SHA-256, which stands on the ledger.
    pub sha256: String,
    /// What is open.
    pub open: u64,
}

impl Swept {
    /// What holds the certificate up.
    pub fn in_the_way(&self) -> impl Iterator<Item = &Left> {
        self.left.iter().filter(|left| left.open.is_none())
    }
}

impl Migration {
    /// Looks for what is left of the region's rows at the source, and in the copies that the plan names.
    ///
    /// # Errors
    /// When the target does not answer, or no column holds what could be looked for. What cannot be seen elsewhere is in the report.
    pub async fn sweep(&self) -> Result<Swept, MigrateError> {
        let (identifiers, looked_for) = self.identifiers().await?;
        let none = || MigrateError::State("what is to be looked for cannot be".into());
        // Of no rows at all there is nothing to look for; some word is, so that all is read.
        let identifiers = if identifiers.is_empty() { vec![NOTHING.to_owned()] } else { identifiers };
        let scanner = Scanner::of_identifiers(&identifiers).ok_or_else(none)?;
        let mut swept = Swept { looked_for, ..Swept::default() };
        let site = &self.plan.source.site;
        for held in self.held().await? {
            self.leave(&mut swept, held, true);
        }
        for held in self.rows_left().await? {
            self.leave(&mut swept, held, false);
        }
        self.sweep_server(&scanner, site, &self.plan.source.database, &mut swept, false).await;
        for copy in &self.plan.copies {
            if copy.folder.is_some() || copy.bucket.is_some() {
                let (copy, scanner) = (copy.clone(), scanner.clone());
                let what = copy.what.clone();
                let sweeping = tokio::task::spawn_blocking(move || sweep_copy(&scanner, &copy));
                let report = sweeping.await.map_err(|e| MigrateError::State(e.to_string()))?;
                self.take(&mut swept, &what, report, true);
            }
            if let Some(end) = &copy.database {
                self.sweep_server(&scanner, &copy.what, end, &mut swept, true).await;
            }
        }
        Ok(swept)
    }

    async fn sweep_server(
        &self,
        scanner: &Scanner,
        called: &str,
        end: &End,
        swept: &mut Swept,
        may_stay: bool,
    ) {
        match server(end) {
            Err(why) => self.leave(swept, Held { place: called.to_owned(), why }, true),
            Ok(server) => {
                let progress = Progress::default();
                let tables = sweep::database::sweep(scanner, &server, &progress).await;
                self.take(swept, &format!("{called} tables"), tables, may_stay);
                let files = sweep::cluster::sweep(scanner, &server, &progress).await;
                self.take(swept, &format!("{called} files"), files, may_stay);
            }
        }
    }

    /// Takes a report in. What is found where it could be removed does not stay, whatever the plan says of it.
    fn take(&self, swept: &mut Swept, called: &str, report: Report, may_stay: bool) {
        swept.places.push((called.to_owned(), report.places, report.bytes));
        // One line for each place: there may be thousands of people in one file. A name that is one of them is not told.
        let mut found = BTreeMap::<String, u64>::new();
        for find in report.finds {
            let place = match find.inside.as_str() {
                "" => find.place,
                "(name)" => format!("{called}, the name of a file or folder"),
                inside => format!("{}!{inside}", find.place),
            };
            *found.entry(place).or_default() += find.times;
        }
        for (place, times) in found {
            let why = format!("{times} identifiers of the region's people");
            self.leave(swept, Held { place, why }, may_stay);
        }
        for blind in report.blind {
            let why = format!("it was not seen: {}", blind.why);
            self.leave(swept, Held { place: blind.place, why }, true);
        }
        for (kind, count) in report.passed {
            // Every server has one database that takes no connections: a template, as it was delivered.
            if count > u64::from(kind == TEMPLATES) {
                self.leave(
                    swept,
                    Held { place: called.to_owned(), why: format!("{count} {kind} were not looked into") },
                    true,
                );
            }
        }
        if report.beyond > 0 {
            let why = format!("{} lines more than a report holds", report.beyond);
            self.leave(swept, Held { place: called.to_owned(), why }, true);
        }
    }

    fn leave(&self, swept: &mut Swept, held: Held, may_stay: bool) {
        let known = self.plan.open.iter().filter(|_| may_stay);
        let known = known.filter(|open| open.place.as_ref().is_some_and(|place| is_in(&held.place, place)));
        let open = known.map(|open| format!("{}, due {}", open.owner, open.due)).next();
        swept.left.push(Left { place: held.place, what: held.why, open });
    }

    /// Rows of the region's people that are in the source's tables.
    async fn rows_left(&self) -> Result<Vec<Held>, MigrateError> {
        let mut left = Vec::new();
        for table in &self.tables {
            let moves = self.plan.moves(&self.tables, table);
            let mut those = vec![(moves, "rows of the region's people")];
            if let Some(people) = self.plan.people(&self.tables, table) {
                let (subject, id) = (table.column(table.subject)?, people.column(people.subject)?);
                let (subject, id) = (quoted(&subject.name), quoted(&id.name));
                let nobody = format!(
                    "({subject} is not null and not exists (select 1 from {} p where p.{id} = {}.{subject}))",
                    people.name, table.name
                );
                those.push((nobody, "rows of people who are not there: of the region's perhaps"));
            }
            for (condition, what) in those {
                let sql = format!("select count(*)::text from {} where {condition}", table.name);
                let rows: u64 = self.source.text(&sql).await?.parse().unwrap_or(0);
                if rows > 0 {
                    let place = format!("{} {}", self.plan.source.site, table.plain);
                    left.push(Held { place, why: format!("{rows} {what}") });
                }
            }
        }
        Ok(left)
    }

    /// Draws rows of each set at random, while they are still at the source, and keeps their identifiers in the region, to be looked for.
    pub(crate) async fn draw(&self) -> Result<usize, MigrateError> {
        let clear = "delete from clover_migrate.identifier where migration = $1";
        self.target.rows(clear, &[&self.plan.name]).await?;
        let mut drawn = 0;
        let rows = ROWS_MAX.min(ALL_ROWS_MAX / self.tables.len().max(1)).max(1);
        for (set, table) in self.plan.sets.iter().zip(&self.tables) {
            let texts = format!(
                "select a.attname::text from pg_attribute a join pg_type t on t.oid = a.atttypid
                 where a.attrelid = {}::regclass and a.attnum > 0 and not a.attisdropped and (t.typcategory = 'S' or t.typname = 'uuid')",
                literal(&table.name)
            );
            let texts = self.source.texts(&texts).await?;
            let looked_for = |name: &String, column: &Column| {
                column.sweep.unwrap_or(identifies(column) && texts.contains(name))
            };
            let columns: Vec<String> = set
                .columns
                .iter()
                .filter(|(name, column)| looked_for(name, column))
                .map(|(name, _)| format!("({}::text)", quoted(name)))
                .collect();
            if columns.is_empty() {
                continue;
            }
            let some = format!(
                "select distinct left(v.value, 100) from (select * from {} where {} order by random() limit {rows}) t,
                 lateral (values {}) v(value) where octet_length(v.value) >= {NEEDLE_MIN}",
                table.name,
                self.plan.moves(&self.tables, table),
                columns.join(", ")
            );
            let values = self.source.texts(&some).await?;
            drawn += values.len();
            let keep = "insert into clover_migrate.identifier select $1, $2, * from unnest($3::text[])";
            self.target.rows(keep, &[&self.plan.name, &table.plain, &values]).await?;
        }
        Ok(drawn)
    }

    /// What is looked for, and how many of each set.
    async fn identifiers(&self) -> Result<(Vec<String>, BTreeMap<String, u64>), MigrateError> {
        let sql = "select set_name, value from clover_migrate.identifier where migration = $1";
        let wrong = |e: tokio_postgres::Error| self.target.wrong(&e);
        let mut counts: BTreeMap<String, u64> = self.tables.iter().map(|t| (t.plain.clone(), 0)).collect();
        let mut identifiers = Vec::new();
        for row in self.target.rows(sql, &[&self.plan.name]).await? {
            *counts.entry(row.try_get(0).map_err(wrong)?).or_default() += 1;
            identifiers.push(row.try_get(1).map_err(wrong)?);
        }
        Ok((identifiers, counts))
    }

    /// Looks again, and certifies that the rows are gone if nothing is left that nobody answers for.
    ///
    /// # Errors
    /// When rows were not destroyed, or an end breaks off.
    pub async fn certify(&self) -> Result<(Swept, Option<Certificate>), MigrateError> {
        let ledger = self.ledger()?;
        if self.state().await? != Some(State::Destroyed) {
            return Err(MigrateError::State("nothing was destroyed".into()));
        }
        // What was dealt with since may have kept files of the log.
        drop(self.write_over_log().await);
        let mut swept = self.sweep().await?;
        let records = self.records().await?;
        let sealed = records.iter().rev().find(|(_, record)| record.stage == Stage::Sealed);
        let (_, sealed) = sealed.ok_or_else(|| MigrateError::State("nothing was sealed".into()))?;
        self.hold_to(&self.manifest(ledger, sealed)?, &mut swept);
        if swept.in_the_way().next().is_some() {
            return Ok((swept, None));
        }
        let lasts = self.lasts().await?;
        let mut sets = Vec::new();
        for table in &self.tables {
            let none = || MigrateError::State(format!("{}: it was not sealed", table.plain));
            let last = lasts.get(&table.plain).filter(|(_, l)| l.stage >= Stage::Sealed).ok_or_else(none)?;
            sets.push((table, last.1.amount));
        }
        let manifest = sealed.evidence.unwrap_or_default();
        let text = self.certificate(&swept, &manifest, &sets);
        let digest = *sha256(text.as_bytes()).bytes();
        let hex = data_encoding::HEXLOWER.encode(&digest);
        let file = ledger.records.join(format!(
            "{}-{}.certificate",
            self.plan.name,
            hex.get(..16).unwrap_or_default()
        ));
        replace_file(&file, text.as_bytes()).map_err(|e| MigrateError::file(&file, e))?;
        let open = self.plan.open.len() as u64;
        let until = self.plan.open.iter().filter_map(crate::plan::Open::until).max().unwrap_or(0);
        let destroyed = |(table, amount): (_, Amount)| {
            let said = Said { amount, evidence: Some(digest), open: (open, until), ..Said::default() };
            (table, Stage::Destroyed, said)
        };
        self.record(&sets.into_iter().map(destroyed).collect::<Vec<_>>()).await?;
        Ok((swept, Some(Certificate { file, sha256: hex, open })))
    }

    /// Holds what was swept against the copies that stand in the manifest: none of them is forgotten by taking it out of the plan.
    fn hold_to(&self, manifest: &serde_json::Value, swept: &mut Swept) {
        let named = manifest
            .get("copies")
            .and_then(serde_json::Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        for what in named.iter().filter_map(serde_json::Value::as_str) {
            if !self.plan.copies.iter().any(|copy| copy.what == what) {
                let why = "it stands in the manifest as a copy, and was not looked into".into();
                self.leave(swept, Held { place: what.to_owned(), why }, true);
            }
        }
    }

    fn certificate(&self, swept: &Swept, manifest: &[u8; 32], sets: &[(&Table, Amount)]) -> String {
        let source = &self.plan.source;
        let programme = self.plan.ledger.as_ref().map(|ledger| ledger.programme.as_str()).unwrap_or_default();
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut text = format!(
            "clover/migration-certificate v1\nprogramme {programme}\nmigration {}\nsource {} {} {}\nmanifest {}\n",
            self.plan.name,
            source.site,
            source.country,
            quoted(&source.owner),
            data_encoding::HEXLOWER.encode(manifest)
        );
        for (table, amount) in sets {
            let _ = writeln!(text, "destroyed {} rows {}", table.plain, amount.rows);
        }
        for (set, count) in &swept.looked_for {
            let _ = writeln!(text, "looked for {set} identifiers {count}");
        }
        for (place, count, bytes) in &swept.places {
            let _ = writeln!(text, "looked into {} places {count} bytes {bytes}", quoted(place));
        }
        for open in &self.plan.open {
            let _ =
                writeln!(text, "open {} owner {} due {}", quoted(&open.what), quoted(&open.owner), open.due);
        }
        for left in &swept.left {
            let _ = writeln!(text, "known {} {}", quoted(&left.place), quoted(&left.what));
        }
        let _ = writeln!(text, "time {}", now().0);
        text
    }
}

/// Whether a column's values tell one person from all others.
fn identifies(column: &Column) -> bool {
    matches!(column.kind, Kind::Email | Kind::Phone | Kind::Handle | Kind::Link | Kind::Id)
}

/// Whether a place is another, or lies in it.
fn is_in(place: &str, other: &str) -> bool {
    let rest = place.strip_prefix(other);
    rest.is_some_and(|rest| {
        rest.is_empty() || other.ends_with('/') || rest.starts_with(['/', '!', ' ', ':', ','])
    })
}

/// Looks into a folder or a bucket.
fn sweep_copy(scanner: &Scanner, copy: &Copy) -> Report {
    let progress = Progress::default();
    let blind =
        |place: String, why: String| Report { blind: vec![sweep::Blind { place, why }], ..Report::default() };
    match (&copy.folder, &copy.bucket) {
        // What a link leads to, and not the link.
        (Some(folder), _) => match folder.canonicalize() {
            Err(_) => blind(folder.display().to_string(), "there is no such folder".into()),
            Ok(folder) => sweep::path(scanner, &folder, Options::default(), &progress),
        },
        (None, Some(bucket)) => match bucket.open() {
            Err(why) => blind(bucket.called(), why),
            Ok(open) => {
                let options = Options::default();
                sweep::objects(scanner, &open.calls(), &bucket.called(), options, &progress)
            }
        },
        (None, None) => Report::default(),
    }
}

fn server(end: &End) -> Result<Server, String> {
    let password = password(end).map_err(|e| e.to_string())?;
    let roots = end.roots.as_deref().map(trusting).transpose()?;
    Server::new(&end.address, password.as_deref(), roots, PATIENCE).map_err(|e| e.to_string())
}
