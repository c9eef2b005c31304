//! Looking again, after rows were destroyed: in every table, page and file of the source and in every copy that the plan names. Where
//! nothing is found that nobody answers for, a certificate says so.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use ledger::migration::{Amount, Stage};
use ledger::sha256;
use model::catalogue::Kind;
use residency::connect::{Server, trusting};
use residency::scan::{NEEDLE_MIN, Scanner};
use residency::sweep::{self, Options, Progress, Report};
use vault::disk::replace_file;

use crate::Migration;
use crate::database::quoted;
use crate::destroy::write_over_log;
use crate::error::MigrateError;
use crate::evidence::Held;
use crate::plan::{Column, End};
use crate::progress::State;
use crate::record::{Said, now};
use crate::table::Table;

/// People of a set whose identifiers are searched for.
const PEOPLE_MAX: u64 = 2_000;
/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a sweep after a migration saw.
#[derive(Debug, Default, serde::Serialize)]
pub struct Swept {
    /// Identifiers that were searched for, and rows of the region that they are of, of all.
    pub identifiers: u64,
    /// See `identifiers`.
    pub of_rows: [u64; 2],
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
        let (identifiers, of_rows) = self.identifiers().await?;
        let none = || {
            let text = "no column holds identifiers by which rows would be known again in files: name one with `sweep = true` in the plan";
            MigrateError::Plan(text.into())
        };
        let scanner = Scanner::of_identifiers(&identifiers).ok_or_else(none)?;
        let mut swept = Swept { identifiers: identifiers.len() as u64, of_rows, ..Swept::default() };
        let site = &self.plan.source.site;
        for held in self.held().await?.into_iter().chain(self.rows_left().await?) {
            self.leave(&mut swept, held);
        }
        self.sweep_server(&scanner, site, &self.plan.source.database, &mut swept).await;
        for copy in &self.plan.copies {
            if let Some(folder) = &copy.folder {
                let report = if folder.exists() {
                    let (scanner, folder) = (scanner.clone(), folder.clone());
                    let sweeping =
                        move || sweep::path(&scanner, &folder, Options::default(), &Progress::default());
                    tokio::task::spawn_blocking(sweeping)
                        .await
                        .map_err(|e| MigrateError::State(e.to_string()))?
                } else {
                    missing(folder)
                };
                self.take(&mut swept, &copy.what, report);
            }
            if let Some(end) = &copy.database {
                self.sweep_server(&scanner, &copy.what, end, &mut swept).await;
            }
        }
        Ok(swept)
    }

    async fn sweep_server(&self, scanner: &Scanner, called: &str, end: &End, swept: &mut Swept) {
        match server(end) {
            Err(why) => self.leave(swept, Held { place: called.to_owned(), why }),
            Ok(server) => {
                let progress = Progress::default();
                let tables = sweep::database::sweep(scanner, &server, &progress).await;
                self.take(swept, &format!("{called} tables"), tables);
                let files = sweep::cluster::sweep(scanner, &server, &progress).await;
                self.take(swept, &format!("{called} files"), files);
            }
        }
    }

    fn take(&self, swept: &mut Swept, called: &str, report: Report) {
        swept.places.push((called.to_owned(), report.places, report.bytes));
        // One line for each place: there may be thousands of people in one file.
        let mut found = std::collections::BTreeMap::<String, u64>::new();
        for find in report.finds {
            let place =
                if find.inside.is_empty() { find.place } else { format!("{}!{}", find.place, find.inside) };
            *found.entry(place).or_default() += find.times;
        }
        for (place, times) in found {
            self.leave(swept, Held { place, why: format!("{times} identifiers of the region's people") });
        }
        for blind in report.blind {
            self.leave(swept, Held { place: blind.place, why: format!("it was not seen: {}", blind.why) });
        }
        if report.beyond > 0 {
            let why = format!("{} lines more than a report holds", report.beyond);
            self.leave(swept, Held { place: called.to_owned(), why });
        }
    }

    fn leave(&self, swept: &mut Swept, held: Held) {
        let known =
            self.plan.open.iter().find(|o| o.place.as_ref().is_some_and(|p| held.place.starts_with(p)));
        let open = known.map(|open| format!("{}, due {}", open.owner, open.due));
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
                    "({subject} is not null and {subject} not in (select p.{id} from {} p))",
                    people.name
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

    /// What is looked for: identifiers of some of the region's people, as the region has them; and of how many rows, of all.
    async fn identifiers(&self) -> Result<(Vec<String>, [u64; 2]), MigrateError> {
        let (mut identifiers, mut of_rows) = (Vec::new(), [0, 0]);
        for (set, table) in self.plan.sets.iter().zip(&self.tables) {
            let columns: Vec<String> = table
                .columns
                .iter()
                .filter(|column| {
                    set.columns.get(&column.name).is_some_and(|planned| identifies(planned, &column.kind))
                })
                .map(|column| quoted(&column.name))
                .collect();
            if columns.is_empty() {
                continue;
            }
            let values = columns.iter().map(|c| format!("({c}::text)")).collect::<Vec<_>>().join(", ");
            // Others each time, so that nobody can foresee them.
            let some = format!(
                "select distinct v.value from (select * from {} order by random() limit {PEOPLE_MAX}) t,
                 lateral (values {values}) v(value) where octet_length(v.value) >= {NEEDLE_MIN}",
                table.name
            );
            identifiers.extend(self.target.texts(&some).await?);
            let all = format!("select count(*)::text from {}", table.name);
            let all: u64 = self.target.text(&all).await?.parse().unwrap_or(0);
            let [some_rows, all_rows] = &mut of_rows;
            (*some_rows, *all_rows) = (*some_rows + all.min(PEOPLE_MAX), *all_rows + all);
        }
        Ok((identifiers, of_rows))
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
        drop(write_over_log(&self.source).await);
        let swept = self.sweep().await?;
        if swept.in_the_way().next().is_some() {
            return Ok((swept, None));
        }
        let mut sets = Vec::new();
        for table in &self.tables {
            let none = || MigrateError::State(format!("{}: it was not sealed", table.plain));
            let (_, last) =
                self.last(table).await?.filter(|(_, l)| l.stage >= Stage::Sealed).ok_or_else(none)?;
            sets.push((table, last));
        }
        let sealed =
            self.records().await?.into_iter().rev().find(|(_, record)| record.stage == Stage::Sealed);
        let manifest = sealed.and_then(|(_, record)| record.evidence).unwrap_or_default();
        let text = self.certificate(
            &swept,
            &manifest,
            &sets.iter().map(|(t, l)| (*t, l.amount)).collect::<Vec<_>>(),
        );
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
        for (table, last) in sets {
            let said =
                Said { amount: last.amount, evidence: Some(digest), open: (open, until), ..Said::default() };
            self.record(table, Stage::Destroyed, said).await?;
            if open == 0 {
                // For the auditor to sign, who looks before.
                self.record(table, Stage::Witnessed, Said { open: (0, 0), ..said }).await?;
            }
        }
        Ok((swept, Some(Certificate { file, sha256: hex, open })))
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
        let [some, all] = swept.of_rows;
        let _ = writeln!(text, "looked for {} identifiers of {some} rows of {all}", swept.identifiers);
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
fn identifies(column: &Column, kind: &str) -> bool {
    let texts = kind == "text" || kind == "uuid" || kind.starts_with("character varying") || kind == "citext";
    let identifying = matches!(column.kind, Kind::Email | Kind::Phone | Kind::Handle | Kind::Link | Kind::Id);
    column.sweep.unwrap_or(texts && identifying)
}

fn missing(folder: &std::path::Path) -> Report {
    let blind = sweep::Blind { place: folder.display().to_string(), why: "there is no such folder".into() };
    Report { blind: vec![blind], ..Report::default() }
}

fn server(end: &End) -> Result<Server, String> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let password = end.password_file.as_ref().map(read).transpose()?;
    let roots = end.roots.as_ref().map(|path| trusting(path, None).map_err(|e| e.to_string())).transpose()?;
    let password = password.as_deref().map(str::trim_end);
    Server::new(&end.address, password, roots, PATIENCE).map_err(|e| e.to_string())
}
