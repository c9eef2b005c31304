//! `clover-migrate`: brings data home. It alone holds credentials of the old site.

mod mirror;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use migrate::{
    Bucket, Certificate, Closed, Difference, Load, MigrateError, Migration, Origin, Plan, State, Swept,
    plan::End, propose,
};
use serde_json::json;

/// As `sysexits` has them.
const USAGE: u8 = 64;
const BROKEN: u8 = 70;
const CONFIG: u8 = 78;

/// How often an idle source is asked for changes.
const IDLE: Duration = Duration::from_millis(200);

/// Bring data home: copy it from where it lies, follow its changes, compare, and cut over.
///
/// Exit code 0: done. 1: the ends differ. 64, 78: the command or the plan is wrong. 70: an end refused or broke off; call again.
#[derive(Debug, Parser)]
#[command(name = "clover-migrate", version, max_term_width = 100)]
struct Cli {
    /// The plan.
    #[arg(long, global = true, default_value = "migration.toml", value_name = "FILE")]
    plan: PathBuf,
    /// Print a line of JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read a source's catalogue, look into some rows, and write a plan to edit
    Plan {
        /// A connection string of libpq's form, without a password
        #[arg(long)]
        source: String,
        /// A file with the user's password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// A file with the certificates to trust
        #[arg(long, value_name = "FILE")]
        roots: Option<PathBuf>,
        /// The country in which the source stands
        #[arg(long, value_name = "XX")]
        country: String,
        /// What the migration is called
        #[arg(long)]
        name: String,
    },
    /// Load files into a database of a server of its own, which is then the source of a plan
    Load {
        /// A connection string of libpq's form, without a password
        #[arg(long)]
        into: String,
        /// A file with the user's password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// A file with the certificates to trust
        #[arg(long, value_name = "FILE")]
        roots: Option<PathBuf>,
        /// The table, as `schema.table`
        #[arg(long)]
        table: String,
        /// What stands between the values of a CSV file
        #[arg(long, default_value_t = ',')]
        delimiter: char,
        /// In which encoding a CSV file is, as PostgreSQL calls it
        #[arg(long, default_value = "UTF8")]
        encoding: String,
        #[command(flatten)]
        store: Store,
        /// The files, or objects as `s3://bucket/name`: .csv, .ndjson or .jsonl (these also .gz), .parquet
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Mirror tables of MySQL or MariaDB into such a database, and what has changed in them when called again
    Mirror(mirror::Asked),
    /// Copy what is not there yet, and follow until nothing is left to follow
    Copy,
    /// Follow the source's changes until interrupted
    Follow,
    /// Compare every row of both ends
    Compare {
        /// Bring rows anew in which they differ
        #[arg(long)]
        repair: bool,
    },
    /// Say how far it is
    Status,
    /// Point services to the region
    Cutover {
        /// Say what it would change, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Write the region's people from the target's tables for the vault, a line each, as `clover import` takes them
    People {
        /// A new folder. What is in it is personal data: import it, and remove it
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// End it: the source keeps no changes for it any more, and nothing can be undone
    Finish,
    /// Put on file what is to be destroyed at the source, for the auditor's mark
    Seal {
        /// So many of the rows may have been removed in the region since; it stands in the manifest
        #[arg(long, default_value_t = 0)]
        removed: u64,
    },
    /// Destroy the region's rows at the source, under that mark
    Destroy {
        /// So many rows more may have been removed in the region than the manifest says
        #[arg(long, default_value_t = 0)]
        removed: u64,
    },
    /// Look for what is left of them there, and in the copies that the plan names
    Sweep,
    /// Sweep, and certify that they are gone
    Certify {
        /// The source is no more: look into the copies alone, and repeat what the last certificate says of it
        #[arg(long)]
        closed: bool,
    },
    /// Point services back to the source
    Undo {
        /// Lose what was written in the region since
        #[arg(long)]
        lose_writes: bool,
    },
}

/// Who has the buckets of objects.
#[derive(Debug, Args)]
struct Store {
    /// For objects: who has the bucket, as `https://host:port`
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// For objects: its region, as the store calls it
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// For objects: a file with the name of the key that signs
    #[arg(long, value_name = "FILE")]
    access_key_file: Option<PathBuf>,
    /// For objects: a file with that key
    #[arg(long, value_name = "FILE")]
    secret_key_file: Option<PathBuf>,
    /// For objects: a file with the certificates to trust
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl Store {
    /// Where a file of the command line lies.
    fn origin(&self, file: &Path) -> Result<Origin, MigrateError> {
        let text = file.to_string_lossy();
        let Some(object) = text.strip_prefix("s3://") else { return Ok(Origin::File(file.to_owned())) };
        let wrong = |why: &str| MigrateError::Plan(format!("{text}: {why}"));
        let (bucket, name) = object
            .split_once('/')
            .filter(|(bucket, name)| !bucket.is_empty() && !name.is_empty())
            .ok_or_else(|| wrong("an object is written as s3://bucket/name"))?;
        let (Some(endpoint), Some(access), Some(secret), Some(roots)) =
            (&self.endpoint, &self.access_key_file, &self.secret_key_file, &self.ca_file)
        else {
            let why = "an object needs --endpoint, --access-key-file, --secret-key-file and --ca-file";
            return Err(wrong(why));
        };
        let bucket = Bucket {
            endpoint: endpoint.clone(),
            name: bucket.to_owned(),
            region: self.region.clone(),
            access_key_file: access.clone(),
            secret_key_file: secret.clone(),
            roots: roots.clone(),
        };
        Ok(Origin::Object(bucket, name.to_owned()))
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let code = if e.use_stderr() { USAGE } else { 0 };
            drop(e.print());
            return code.into();
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return fail(&e.to_string(), BROKEN),
    };
    match runtime.block_on(run(&cli)) {
        Ok(code) => code.into(),
        Err(e @ MigrateError::Plan(_)) => fail(&e.to_string(), CONFIG),
        Err(e) => fail(&e.to_string(), BROKEN),
    }
}

fn fail(why: &str, code: u8) -> ExitCode {
    drop(writeln!(std::io::stderr(), "error: {why}"));
    code.into()
}

fn say(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

async fn run(cli: &Cli) -> Result<u8, MigrateError> {
    if let Command::Plan { source, password_file, roots, country, name } = &cli.command {
        let end = End { address: source.clone(), password_file: password_file.clone(), roots: roots.clone() };
        return discover(cli, name, country, &end).await;
    }
    if let Command::Load { .. } = &cli.command {
        return load(cli).await;
    }
    if let Command::Mirror(asked) = &cli.command {
        let (text, value) = mirror::run(asked, &cli.plan).await?;
        told(cli, &text, &value);
        return Ok(0);
    }
    let plan = read(&cli.plan)?;
    if let Command::Certify { closed: true } = cli.command {
        let migration = Closed::open(plan).await?;
        let certified = migration.certify().await;
        let written = migration.write_records().await;
        let (swept, certificate) = certified?;
        return written.map(|()| certified_or_not(cli, &swept, certificate.as_ref()));
    }
    let migration = Migration::open(plan).await?;
    let done = act(cli, &migration).await;
    // Also of what was done before something broke off.
    let written = migration.write_records().await;
    let code = done?;
    written.map(|()| code)
}

/// Reads a plan.
fn read(plan: &Path) -> Result<Plan, MigrateError> {
    let text = std::fs::read_to_string(plan)
        .map_err(|source| MigrateError::File { path: plan.display().to_string(), source })?;
    Plan::parse(&text).map_err(|e| MigrateError::Plan(e.to_string()))
}

async fn act(cli: &Cli, migration: &Migration) -> Result<u8, MigrateError> {
    match &cli.command {
        Command::Plan { .. } | Command::Load { .. } | Command::Mirror(_) => Ok(0),
        Command::Copy => copy(cli, migration).await,
        Command::Follow => follow(cli, migration).await,
        Command::Compare { repair } => compare(cli, migration, *repair).await,
        Command::Status => status(cli, migration).await,
        Command::Cutover { dry_run: true } => rehearse(cli, migration).await,
        Command::Cutover { dry_run: false } => cut_over(cli, migration).await,
        Command::People { to } => {
            let written = migration.write_people(to).await?;
            let rows: Vec<String> =
                written.rows.iter().map(|(set, rows)| format!("{rows} rows of {set}")).collect();
            let text = format!(
                "{} people, {}, {} bytes in {}. Next: `clover import`, which tells the same number of people; then remove the folder",
                written.people,
                rows.join(", "),
                written.bytes,
                to.display()
            );
            told(cli, &text, &json!(written));
            Ok(0)
        }
        Command::Finish => {
            migration.finish().await?;
            told(cli, "finished; the source goes on refusing writes", &json!({ "finished": true }));
            Ok(0)
        }
        Command::Seal { removed } => seal(cli, migration, *removed).await,
        Command::Destroy { removed } => {
            let rows = migration.destroy(*removed).await?;
            let text = format!(
                "{rows} rows were destroyed at {}. Next: `clover-migrate certify`, which looks for what is left of them",
                migration.plan().source.site
            );
            told(cli, &text, &json!({ "destroyed": rows }));
            Ok(0)
        }
        Command::Sweep => {
            let swept = migration.sweep().await?;
            told(cli, &words(&swept), &json!(swept));
            Ok(u8::from(swept.in_the_way().next().is_some()))
        }
        Command::Certify { .. } => {
            let (swept, certificate) = migration.certify().await?;
            Ok(certified_or_not(cli, &swept, certificate.as_ref()))
        }
        Command::Undo { lose_writes } => {
            let lost = migration.undo(*lose_writes).await?;
            let text = format!(
                "served from {} again; {lost} rows of the region were replaced",
                migration.plan().source.site
            );
            told(cli, &text, &json!({ "served": migration.plan().source.site, "replaced": lost }));
            Ok(0)
        }
    }
}

async fn seal(cli: &Cli, migration: &Migration, removed: u64) -> Result<u8, MigrateError> {
    let sealed = migration.seal(removed).await?;
    let mut text = format!(
        "{} rows are on file: {} (SHA-256 {}). Next: the auditor marks it, and the operator puts it on the ledger (`clover migration mark`, `clover migration record`{}); then `clover-migrate destroy`.",
        sealed.rows,
        sealed.manifest.display(),
        sealed.sha256,
        if sealed.proof { ", `clover migration proof`" } else { "" }
    );
    if !sealed.proof {
        text += "\n  the plan names no `log` of the ledger: `destroy` looks for both signatures, and not whether the seals are on the ledger";
    }
    if sealed.removed > 0 {
        text += &format!("\n  the region has no more: {} of these rows", sealed.removed);
    }
    for held in &sealed.held {
        text += &format!("\n  has to go before it is certified: {}: {}", held.place, held.why);
    }
    told(cli, &text, &json!(sealed));
    Ok(0)
}

fn certified_or_not(cli: &Cli, swept: &Swept, certificate: Option<&Certificate>) -> u8 {
    let mut text = words(swept);
    text += &match certificate {
        None => "\nNo certificate: deal with each of these, or name in the plan (`[[open]]`) who answers for it and until when.".into(),
        Some(c) if c.open > 0 => format!("\ncertified, with {} open: {} (SHA-256 {})", c.open, c.file.display(), c.sha256),
        Some(c) => format!("\ncertified: {} (SHA-256 {})", c.file.display(), c.sha256),
    };
    told(cli, &text, &json!({ "swept": swept, "certificate": certificate }));
    u8::from(certificate.is_none())
}

fn words(swept: &Swept) -> String {
    let of = |(set, count): (&String, &u64)| format!("{count} of {set}");
    let mut text =
        format!("looked for identifiers: {}", swept.looked_for.iter().map(of).collect::<Vec<_>>().join(", "));
    for looked in &swept.places {
        text += &format!("\n  {}: {} files or tables, {} bytes", looked.place, looked.count, looked.bytes);
    }
    for left in &swept.left {
        let open = left.open.as_ref().map(|open| format!(" (open: {open})")).unwrap_or_default();
        text += &format!("\n  LEFT {}: {}{open}", left.place, left.what);
    }
    text
}

fn told(cli: &Cli, text: &str, value: &serde_json::Value) {
    if cli.json { say(&value.to_string()) } else { say(text) }
}

async fn discover(cli: &Cli, name: &str, country: &str, end: &End) -> Result<u8, MigrateError> {
    let proposal = propose(name, country, end).await?;
    let wrong = |source| MigrateError::File { path: cli.plan.display().to_string(), source };
    // What somebody edited is not written over.
    let mut file = std::fs::File::create_new(&cli.plan).map_err(wrong)?;
    file.write_all(proposal.plan.as_bytes()).map_err(wrong)?;
    let people = |homes: &std::collections::BTreeMap<String, u64>| homes.values().sum::<u64>();
    let value = json!({ "region": proposal.homes, "others": proposal.others, "unknown": proposal.unknown,
        "unmapped": proposal.unmapped, "left": proposal.left });
    let mut text = format!(
        "{}: {} people are the region's by what stands in their home, {} are others, of {} nobody knows.",
        cli.plan.display(),
        people(&proposal.homes),
        people(&proposal.others),
        proposal.unknown
    );
    for column in &proposal.unmapped {
        text += &format!("\n  look at {column}: its class is not known");
    }
    for (table, why) in &proposal.left {
        text += &format!("\n  {table} is not in the plan: {why}");
    }
    text += "\nFill in sites, owner, the target's address and the pointer; then `clover-migrate copy`.";
    told(cli, &text, &value);
    Ok(0)
}

async fn load(cli: &Cli) -> Result<u8, MigrateError> {
    let Command::Load { into, password_file, roots, table, delimiter, encoding, store, files } = &cli.command
    else {
        return Ok(0);
    };
    let into = End { address: into.clone(), password_file: password_file.clone(), roots: roots.clone() };
    // What is wrong with one is told before any is loaded.
    let all = files.iter().map(|file| store.origin(file)).collect::<Result<Vec<_>, _>>()?;
    for from in all {
        let (table, encoding) = (table.clone(), encoding.clone());
        let load = Load { into: into.clone(), table, from, delimiter: *delimiter, encoding };
        let loaded = load.run().await?;
        let text = format!(
            "{}: {} rows, {} bytes, SHA-256 {}",
            loaded.path, loaded.rows, loaded.bytes, loaded.sha256
        );
        told(cli, &text, &json!(loaded));
    }
    Ok(0)
}

/// Shows how many rows have come until it is dropped.
struct Bar {
    bar: ProgressBar,
    showing: tokio::task::JoinHandle<()>,
}

impl Bar {
    fn of(migration: &Migration, rows: &Arc<AtomicU64>) -> Self {
        let bar = ProgressBar::new(migration.rows_about());
        let style =
            ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} rows  {per_sec}  {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        let (shown, rows) = (bar.clone(), Arc::clone(rows));
        let showing = tokio::spawn(async move {
            loop {
                shown.set_position(rows.load(Ordering::Relaxed));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { bar, showing }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.showing.abort();
        self.bar.finish_and_clear();
    }
}

async fn copy(cli: &Cli, migration: &Migration) -> Result<u8, MigrateError> {
    let rows = Arc::new(AtomicU64::new(0));
    let bar = Bar::of(migration, &rows);
    let copied = migration.copy(Arc::clone(&rows)).await;
    drop(bar);
    copied?;
    let changes = migration.catch_up().await?.changes;
    let spooled = migration.spool().await?;
    let rows = rows.load(Ordering::Relaxed);
    let mut text = format!("{rows} rows copied now, {changes} changes followed");
    if spooled.people > 0 {
        text += &format!(", {} people written for the vault (`clover import --follow`)", spooled.people);
    }
    text += ". Next: `clover-migrate compare`, then `cutover --dry-run`.";
    told(cli, &text, &json!({ "rows": rows, "changes": changes, "people": spooled.people }));
    Ok(0)
}

async fn follow(cli: &Cli, migration: &Migration) -> Result<u8, MigrateError> {
    let (mut changes, mut people) = (0, 0);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let done = migration.follow().await?;
        changes += done.changes;
        people += migration.spool().await?.people;
        let rest = if done.transactions == 0 { IDLE } else { Duration::ZERO };
        tokio::select! {
            _ = &mut interrupted => break,
            () = tokio::time::sleep(rest) => {}
        }
    }
    told(cli, &format!("{changes} changes followed"), &json!({ "changes": changes, "people": people }));
    Ok(0)
}

fn differences(found: &[Difference]) -> String {
    let line = |d: &Difference| format!("\n  {} {}: {}", d.table, d.key.join(", "), d.what);
    found.iter().map(line).collect()
}

async fn compare(cli: &Cli, migration: &Migration, repair: bool) -> Result<u8, MigrateError> {
    let mut found = migration.compare().await?;
    let mut repaired = 0;
    if repair && !found.differences.is_empty() {
        repaired = found.differences.len();
        migration.repair(&found.differences).await?;
        found = migration.compare().await?;
    }
    let mut text = format!(
        "{} rows are compared, {} bytes: {} differ",
        found.rows,
        found.bytes,
        found.differences.len()
    );
    if repaired > 0 {
        text += &format!(", after {repaired} were brought anew");
    }
    text += &differences(&found.differences);
    told(cli, &text, &json!({ "repaired": repaired, "found": found }));
    Ok(u8::from(!found.differences.is_empty()))
}

async fn status(cli: &Cli, migration: &Migration) -> Result<u8, MigrateError> {
    let (state, sets) = (migration.state().await?, migration.progress().await?);
    let plan = migration.plan();
    let word = match state {
        None => "nothing was begun",
        Some(State::Beginning | State::Copying) => "copying",
        Some(State::Following) => "all is copied, changes are followed",
        Some(State::Served) => "served from the region",
        Some(State::Finished) => "finished",
        Some(State::Destroying) => "being destroyed at the source",
        Some(State::Destroyed) => "destroyed at the source",
    };
    let mut text = format!("{} ({}) to {}: {word}", plan.source.site, plan.source.country, plan.target.site);
    for set in &sets {
        let (done, all) = set.parts;
        text += &format!("\n  {}: {done} of {all} parts, {} rows, {} bytes", set.table, set.rows, set.bytes);
    }
    for (set, stage) in migration.stages().await? {
        text += &format!("\n  on record of {set}: {stage}");
    }
    told(
        cli,
        &text,
        &json!({ "source": plan.source.site, "country": plan.source.country, "target": plan.target.site, "state": state, "sets": sets }),
    );
    Ok(0)
}

async fn rehearse(cli: &Cli, migration: &Migration) -> Result<u8, MigrateError> {
    let steps = migration.rehearse().await?;
    let lines: Vec<String> = steps.iter().map(|step| format!("{}: {}", step.place, step.what)).collect();
    told(cli, &lines.join("\n"), &json!({ "steps": steps }));
    Ok(0)
}

async fn cut_over(cli: &Cli, migration: &Migration) -> Result<u8, MigrateError> {
    let served = migration.cut_over().await?;
    let found = &served.comparison;
    let mut text = format!(
        "served from {}; writers waited {} ms. Compared since, with nothing written: {} rows, {} differ",
        migration.plan().target.site,
        served.pause.as_millis(),
        found.rows,
        found.differences.len()
    );
    if !found.differences.is_empty() {
        text += "; `clover-migrate undo` takes it back";
    }
    text += &differences(&found.differences);
    told(
        cli,
        &text,
        &json!({ "served": migration.plan().target.site, "pause_ms": served.pause.as_millis(), "comparison": found }),
    );
    Ok(u8::from(!found.differences.is_empty()))
}
