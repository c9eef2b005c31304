//! What is put on file before anything is destroyed: the rows and their digests, who may read them and how often they were read, and
//! every copy that the source knows of.

use std::collections::BTreeMap;
use std::path::Path;

use ledger::migration::{Record, Stage};
use ledger::sha256;
use serde_json::{Value, json};
use vault::disk::replace_file;

use crate::Migration;
use crate::compare::sum;
use crate::database::{Session, literal};
use crate::error::MigrateError;
use crate::load::{BUCKET, Loaded, loaded};
use crate::mysql;
use crate::plan::{Copy, Ledger, Plan};
use crate::progress::State;
use crate::record::{Said, now};
use crate::table::Table;

/// What a seal is about.
#[derive(Debug, serde::Serialize)]
pub struct Sealed {
    /// The manifest.
    pub manifest: std::path::PathBuf,
    /// Its SHA-256, which the auditor marks.
    pub sha256: String,
    /// Rows that it is about.
    pub rows: u64,
    /// How many of them the region has no more.
    pub removed: u64,
    /// Whether `destroy` asks for the proof that each seal is on the ledger: the plan names its log's key.
    pub proof: bool,
    /// What keeps a copy of rows at this moment, and has to go before anybody certifies that they are gone.
    pub held: Vec<Held>,
}

/// Something at the source that keeps a copy of rows, or of their changes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Held {
    /// Where, as a report of a sweep names places.
    pub place: String,
    /// How it keeps them.
    pub why: String,
}

/// What keeps the log of changes, or rows, beside their tables: what it is, the name of who has a copy by it, and how. A slot whose reader is a named copy that is
/// swept holds nothing up, and neither does a replica.
const HELD: &[(&str, &str)] = &[
    (
        "select 'slot ' || slot_name || case when active then '' else ' (nobody reads it)' end, slot_name::text from pg_replication_slots",
        "it keeps the log of changes, and whoever reads it has a copy: drop it, or name its reader as a `[[copy]]`",
    ),
    (
        "select case when state = 'backup' then 'base backup ' else 'replica ' end || coalesce(application_name, ''), coalesce(application_name, '') from pg_stat_replication",
        "it follows the log of changes: stop it, or name it as a `[[copy]]`",
    ),
    (
        "select 'prepared transaction ' || gid, '' from pg_prepared_xacts",
        "rows that it sees are not cleaned away",
    ),
];

/// Facts of the source's server for the file: a query each, and what it answers.
const FACTS: &[(&str, &str)] = &[
    ("version", "select version()"),
    ("system", "select system_identifier::text from pg_control_system()"),
    (
        "statistics since",
        "select coalesce(stats_reset, pg_postmaster_start_time())::text from pg_stat_database where datname = current_database()",
    ),
    (
        "logging",
        "select name || ' = ' || setting from pg_settings where name in ('log_statement', 'log_min_duration_statement', 'logging_collector', 'log_directory', 'shared_preload_libraries') order by 1",
    ),
    (
        "archiving",
        "select name || ' is ' || case when setting in ('', '(disabled)', 'off') then 'off' else 'set, SHA-256 ' || encode(sha256(convert_to(setting, 'UTF8')), 'hex') end from pg_settings where name in ('archive_mode', 'archive_command', 'archive_library') order by 1",
    ),
    (
        "connected",
        "select concat_ws(' ', usename, application_name, count(*)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() group by usename, application_name order by 1",
    ),
    ("publications", "select pubname::text from pg_publication order by 1"),
    ("databases", "select datname::text from pg_database order by 1"),
];

/// How a manifest calls rows that the region has no more.
pub(crate) const REMOVED: &str = "removed in the region since";

impl Migration {
    /// Puts on file what is to be destroyed. The region may have removed so many rows since it is served from there, and no more. Nothing is changed at the source.
    ///
    /// # Errors
    /// When it is not finished, the source's rows are no longer those that were compared, tables that nobody planned refer to them, or an
    /// end breaks off.
    pub async fn seal(&self, removed: u64) -> Result<Sealed, MigrateError> {
        let ledger = self.ledger()?;
        // A destruction that did not come about leaves all rows there: what follows sees whether it is so.
        if !matches!(self.state().await?, Some(State::Finished | State::Destroying)) {
            return Err(MigrateError::State("it is sealed after `finish` and before it is destroyed".into()));
        }
        self.may_go(&self.source).await?;
        let lasts = self.lasts().await?;
        let (mut sets, mut sums) = (Vec::new(), Vec::new());
        for table in &self.tables {
            let sum = self.as_compared(&self.source, table, &lasts).await?;
            sets.push(json!({ "set": table.plain, "rows": sum.amount.rows, "digest": hex(&sum.digests), "access": self.access(table).await? }));
            sums.push(sum);
        }
        let (mut held, files) = (self.held().await?, loaded(&self.source).await?);
        held.extend(self.files_left().await?);
        let (missing, views) = (self.missing().await?, self.views().await?);
        if missing > removed {
            let text = format!(
                "the region lacks {missing} of these rows: nothing is sealed until it is known why; then `--removed {missing}`, which stands in the manifest"
            );
            return Err(MigrateError::State(text));
        }
        let (plan, source) = (&self.plan, &self.plan.source);
        let copies: Vec<&str> = plan.copies.iter().map(|copy| copy.what.as_str()).collect();
        let open: Vec<Value> =
            plan.open.iter().map(|o| json!({ "what": o.what, "owner": o.owner, "due": o.due })).collect();
        let manifest = json!({
            "manifest": "clover migration v1", "programme": ledger.programme, "migration": plan.name,
            "source": { "site": source.site, "country": source.country, "owner": source.owner, "server": self.facts().await },
            "target": { "site": plan.target.site, "country": plan.target.country },
            "sets": sets, "held": held, "materialised views": views, "files": files, "mysql": mysql::named(&self.source).await?, REMOVED: missing, "copies": copies, "open": open, "time": now().0,
        });
        let bytes = serde_json::to_vec_pretty(&manifest).map_err(|e| MigrateError::State(e.to_string()))?;
        let digest = *sha256(&bytes).bytes();
        let sha256 = data_encoding::HEXLOWER.encode(&digest);
        let path = ledger.records.join(format!(
            "{}-manifest-{}.json",
            plan.name,
            sha256.get(..16).unwrap_or_default()
        ));
        std::fs::create_dir_all(&ledger.records).map_err(|e| MigrateError::file(&ledger.records, e))?;
        replace_file(&path, &bytes).map_err(|e| MigrateError::file(&path, e))?;
        let sealed = |(table, said): (_, &Said)| {
            let [source, _] = said.digests;
            (table, Stage::Sealed, Said { digests: [source, None], evidence: Some(digest), ..*said })
        };
        let stages: Vec<_> = self.tables.iter().zip(&sums).map(sealed).collect();
        // What is looked for belongs to this seal.
        self.target.run("begin").await?;
        let taken = async {
            let drawn = self.draw().await?;
            if drawn == 0 && sums.iter().any(|said| said.amount.rows > 0) {
                let text = "no column holds identifiers by which rows would be known again in files: name one with `sweep = true` in the plan";
                return Err(MigrateError::Plan(text.into()));
            }
            self.record(&stages).await?;
            self.set_state(State::Finished).await
        };
        match taken.await {
            Ok(()) => self.target.run("commit").await?,
            Err(e) => {
                // The connection may be gone, and then so is the transaction.
                drop(self.target.run("rollback").await);
                return Err(e);
            }
        }
        let rows = sums.iter().map(|said| said.amount.rows).sum();
        let proof = ledger.log.is_some();
        Ok(Sealed { manifest: path, sha256, rows, removed: missing, proof, held })
    }

    pub(crate) fn ledger(&self) -> Result<&Ledger, MigrateError> {
        self.book().ledger()
    }

    /// The rows of a set at the source as a session sees them, if they are still those that both ends had when they were compared.
    pub(crate) async fn as_compared(
        &self,
        source: &Session,
        table: &Table,
        lasts: &BTreeMap<String, (i32, Record)>,
    ) -> Result<Said, MigrateError> {
        let none = || {
            MigrateError::State(format!(
                "{}: it is not on record that it is served from the region",
                table.plain
            ))
        };
        let served = lasts.get(&table.plain).map(|(_, last)| last);
        let served = served.filter(|last| last.stage >= Stage::Served).ok_or_else(none)?;
        let key = self.begun().await?.key;
        let found = sum(source, table, &self.plan.moves(&self.tables, table), key).await?;
        let said = Said::of(&found, served.amount.people);
        if (said.digests[0], said.amount.rows) == (served.digests[0], served.amount.rows) {
            return Ok(said);
        }
        let text = format!(
            "{}: the source's rows are no longer those that were compared with the region's ({} rows now, {} then): somebody wrote past the refusal",
            table.plain, said.amount.rows, served.amount.rows
        );
        Err(MigrateError::State(text))
    }

    /// That rows can go without what nobody wants: tables outside the plan, or rows of others, that refer to them, and triggers that would
    /// write down what goes.
    pub(crate) async fn may_go(&self, source: &Session) -> Result<(), MigrateError> {
        let names = self.regclasses();
        let refuse = |text: String| Err(MigrateError::Plan(text));
        let outside = format!(
            "select conrelid::regclass::text from pg_constraint
             where contype = 'f' and confrelid in ({names}) and conrelid not in ({names}) order by 1 limit 1"
        );
        if let Some(other) = source.texts(&outside).await?.into_iter().next() {
            return refuse(format!(
                "{other} refers to rows that would be destroyed and is not in the plan: what is of those people there lies on"
            ));
        }
        let always = format!(
            "select tgrelid::regclass::text || ' ' || tgname from pg_trigger where tgrelid in ({names}) and tgenabled in ('A', 'R')
             union all select ev_class::regclass::text || ' ' || rulename from pg_rewrite where ev_class in ({names}) and ev_enabled in ('A', 'R') order by 1 limit 1"
        );
        if let Some(trigger) = source.texts(&always).await?.into_iter().next() {
            return refuse(format!(
                "the trigger or rule {trigger} fires for replicas, too, and may write down what goes: disable it"
            ));
        }
        for from in &self.tables {
            for to in &self.tables {
                self.none_refers(source, from, to).await?;
            }
        }
        Ok(())
    }

    /// That no row of others in a table refers to rows of another, or the same, that go.
    async fn none_refers(&self, source: &Session, from: &Table, to: &Table) -> Result<(), MigrateError> {
        let joined = format!(
            "select (select string_agg(format('f.%I = t.%I', a.attname, b.attname), ' and ')
               from unnest(c.conkey, c.confkey) k(here, there)
               join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.here
               join pg_attribute b on b.attrelid = c.confrelid and b.attnum = k.there)
             from pg_constraint c where c.contype = 'f' and c.conrelid = {}::regclass and c.confrelid = {}::regclass",
            literal(&from.name),
            literal(&to.name)
        );
        let stays = self.plan.is_of_region(&self.tables, from, "f");
        let goes = self.plan.is_of_region(&self.tables, to, "t");
        for on in source.texts(&joined).await? {
            let sql = format!(
                "select count(*)::text from {} f join {} t on {on} where not coalesce({stays}, false) and {goes}",
                from.name, to.name
            );
            let rows = source.text(&sql).await?;
            if rows != "0" {
                return Err(MigrateError::Plan(format!(
                    "{rows} rows of others in {} refer to rows of {} that would be destroyed: settle those first",
                    from.plain, to.plain
                )));
            }
        }
        Ok(())
    }

    /// Who may read a table, and how often it was read and written.
    async fn access(&self, table: &Table) -> Result<Value, MigrateError> {
        let of = literal(&table.name);
        let may = format!(
            "select concat_ws(' ', coalesce(nullif(a.grantee, 0)::regrole::text, 'public'), string_agg(a.privilege_type, ',' order by a.privilege_type))
             from pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a where c.oid = {of}::regclass group by a.grantee order by 1"
        );
        let did = format!(
            "select format('%s scans, %s of them by index; %s rows inserted, %s updated, %s deleted; last vacuumed %s, analysed %s',
               seq_scan + coalesce(idx_scan, 0), coalesce(idx_scan, 0), n_tup_ins, n_tup_upd, n_tup_del,
               coalesce(greatest(last_vacuum, last_autovacuum)::text, 'never'), coalesce(greatest(last_analyze, last_autoanalyze)::text, 'never'))
             from pg_stat_all_tables where relid = {of}::regclass"
        );
        Ok(json!({ "may": self.source.texts(&may).await?, "did": self.source.texts(&did).await? }))
    }

    /// Files that were loaded into the source and are where they lay.
    pub(crate) async fn files_left(&self) -> Result<Vec<Held>, MigrateError> {
        still_there(loaded(&self.source).await?, &self.plan).await
    }

    /// What at the source keeps a copy of rows at this moment.
    pub(crate) async fn held(&self) -> Result<Vec<Held>, MigrateError> {
        let site = &self.plan.source.site;
        let mut held = Vec::new();
        let swept = |name: &str| self.plan.copies.iter().any(|c| c.database.is_some() && c.what == name);
        for (sql, why) in HELD {
            for row in self.source.rows(sql, &[]).await? {
                let wrong = |e: tokio_postgres::Error| self.source.wrong(&e);
                let (what, name): (String, String) =
                    (row.try_get(0).map_err(wrong)?, row.try_get(1).map_err(wrong)?);
                if !swept(&name) {
                    held.push(Held { place: format!("{site} {what}"), why: (*why).to_owned() });
                }
            }
        }
        let archives = "select 1::text from pg_settings where name = 'archive_mode' and setting <> 'off'";
        if !self.source.texts(archives).await?.is_empty() && !self.plan.copies.iter().any(|copy| copy.archive)
        {
            let why = "the log of changes is archived: name where as a `[[copy]]` with `archive = true`, or who answers for it".into();
            held.push(Held { place: format!("{site} archive"), why });
        }
        held.extend(mysql::held(&self.source).await?);
        Ok(held)
    }

    /// What the source's server says of itself.
    async fn facts(&self) -> serde_json::Map<String, Value> {
        let mut facts = serde_json::Map::new();
        for (name, sql) in FACTS {
            // What a user may not ask is on file as that.
            let told = self.source.texts(sql).await.map_or_else(|e| json!(e.to_string()), |told| json!(told));
            facts.insert((*name).to_owned(), told);
        }
        facts
    }

    /// The plan's tables as a list of SQL.
    fn regclasses(&self) -> String {
        let names: Vec<String> =
            self.tables.iter().map(|t| format!("{}::regclass", literal(&t.name))).collect();
        names.join(", ")
    }

    /// Materialised views over tables of the plan: copies, which a sweep looks into as into any table.
    async fn views(&self) -> Result<Vec<String>, MigrateError> {
        let views = format!(
            "select distinct c.oid::regclass::text from pg_class c join pg_rewrite r on r.ev_class = c.oid
             join pg_depend d on d.objid = r.oid and d.classid = 'pg_rewrite'::regclass
             where c.relkind = 'm' and d.refobjid in ({}) order by 1",
            self.regclasses()
        );
        self.source.texts(&views).await
    }
}

/// Which files that were loaded are where they lay.
pub(crate) async fn still_there(files: Vec<Loaded>, plan: &Plan) -> Result<Vec<Held>, MigrateError> {
    let copies = plan.copies.clone();
    // A bucket is asked on a thread that may wait.
    let there = tokio::task::spawn_blocking(move || {
        files.iter().filter_map(|file| is_there(file, &copies)).collect::<Vec<_>>()
    });
    there.await.map_err(|e| MigrateError::State(e.to_string()))
}

/// A file that was loaded, if it is where it lay. Where it cannot be looked, it is as if it were there.
fn is_there(file: &Loaded, copies: &[Copy]) -> Option<Held> {
    let mut why = format!("{} rows of {} were loaded from it", file.rows, file.table);
    if !file.path.starts_with(BUCKET) {
        let there = Path::new(&file.path).try_exists().unwrap_or(true);
        return there.then(|| Held { place: file.path.clone(), why });
    }
    let buckets = copies.iter().filter_map(|copy| copy.bucket.as_ref());
    let found = buckets.filter_map(|bucket| Some((bucket, bucket.name_of(&file.path)?))).next();
    match found.map(|(bucket, name)| bucket.has(name)) {
        Some(Ok(false)) => return None,
        Some(Ok(true)) => {}
        Some(Err(e)) => why += &format!(", and it was not looked whether it is there: {e}"),
        None => why += ", and it was not looked whether it is there: name its bucket as a `[[copy]]`",
    }
    Some(Held { place: file.path.clone(), why })
}

fn hex(digests: &[Option<[u8; 32]>; 2]) -> String {
    digests[0].map(|digest| data_encoding::HEXLOWER.encode(&digest)).unwrap_or_default()
}
