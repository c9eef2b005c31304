//! `xtask demo`: the first crossing, played with real processes and checked by a stranger.

mod dialogue;
mod fill;
mod mirror;
mod moving;
mod show;
mod sites;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use sites::Sites;
use xtask::story::{self, Crossing};
use xtask::world::World;

/// Tasks of the project.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Play the demo.
    Demo(Demo),
    /// Print the six digits that an authenticator with this secret shows now.
    Code {
        /// The secret, base32.
        secret: String,
    },
    /// Write a long ledger of made-up crossings into an enclave that does not run, for bench/console.
    Fill {
        /// The enclave's folder.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// How many entries.
        #[arg(long, default_value_t = 1_000_000)]
        entries: u64,
    },
}

#[derive(Debug, clap::Args)]
struct Demo {
    /// Keep all state in this folder, which must be new or empty.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Leave the enclave running and say what to try.
    #[arg(long)]
    keep: bool,
    /// Write each crossing with what was expected and what happened.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep logs, control store, people and records in PostgreSQL at four sites (scripts/sites), and lose one of them in the
    /// middle.
    #[arg(long)]
    sites: bool,
    /// Ask a service's tables with psql through the SQL gateway.
    #[arg(long, conflicts_with_all = ["sites", "keep", "json"])]
    sql: bool,
    /// Bring a database from Singapore to Dublin while it is written to, and destroy it there under the auditor's mark.
    #[arg(long, conflicts_with_all = ["sites", "sql", "keep", "json"])]
    migrate: bool,
    /// People in the vault; with fewer, no country would be large enough to show.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(500..=1_000_000))]
    people: u64,
}

fn main() -> ExitCode {
    let demo = match Cli::parse().task {
        Task::Demo(demo) => demo,
        Task::Code { secret } => return told(xtask::accounts::code(&secret, 0)),
        Task::Fill { dir, entries } => return told(fill::fill(&dir, entries).map(|()| entries.to_string())),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.context("cannot start").and_then(|r| r.block_on(run(&demo))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            show::error(&e);
            ExitCode::from(1)
        }
    }
}

fn told(said: Result<String>) -> ExitCode {
    match said {
        Ok(said) => {
            show::line(&said);
            ExitCode::SUCCESS
        }
        Err(e) => {
            show::error(&e);
            ExitCode::from(1)
        }
    }
}

/// The folder of the demo: the one asked for, or a new one below the temporary folder.
fn folder(demo: &Demo) -> Result<(PathBuf, bool)> {
    if let Some(dir) = &demo.dir {
        if dir.exists() && std::fs::read_dir(dir)?.next().is_some() {
            bail!("`{}` is not empty", dir.display());
        }
        std::fs::create_dir_all(dir)?;
        return Ok((dir.canonicalize()?, false));
    }
    let dir = std::env::temp_dir().join(format!("clover-demo-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    Ok((dir, !demo.keep))
}

async fn run(demo: &Demo) -> Result<bool> {
    let (folder, temporary) = folder(demo)?;
    let result = tell(demo, &folder).await;
    if temporary {
        std::fs::remove_dir_all(&folder)?;
    }
    result
}

async fn tell(demo: &Demo, folder: &Path) -> Result<bool> {
    let show = show::Show::new();
    if demo.sql {
        return dialogue::play(demo, folder, &show).await;
    }
    if demo.migrate {
        return moving::play(demo, folder, &show).await;
    }
    let (sites, mut world) = created(demo, folder, &show).await?;
    show.chapter("Crossings: who asks for what from where");
    story::approvals(&world).await?;
    let lost = || sites.as_ref().map(|sites| sites.lose_the_leader(&world)).transpose();
    let mut crossings = story::play_around(&world, |c| show.crossing(c), lost).await?;
    let size = world.published()?;
    world.stop()?;
    if sites.is_some() {
        let held = sites::receipts(&crossings, size);
        show.crossing(&held);
        crossings.push(held);
    }
    let mut check = |crossing: Crossing| {
        show.crossing(&crossing);
        crossings.push(crossing);
    };
    show.chapter("The auditor checks the written ledger from its files alone");
    let copy = folder.join("for-the-auditor");
    copy_tree(&world.ledger(), &copy)?;
    check(honest(&world, &copy)?);
    check(tampered(&world, &copy)?);
    show.chapter("The mirror holds every log; who has it needs nothing else of the site");
    for crossing in mirror::checks(&world)? {
        check(crossing);
    }
    show.chapter("A person's proof: every crossing that names them, and that there is no other");
    for crossing in mirror::histories(&world)? {
        check(crossing);
    }
    let right = crossings.iter().all(|c| c.as_expected);
    if let Some(path) = &demo.json {
        let text = serde_json::to_string_pretty(
            &serde_json::json!({ "as_expected": right, "crossings": crossings }),
        )?;
        std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    show.summary(&crossings, &world);
    if demo.keep {
        world.start()?;
        show.try_it(&world)?;
        let (mut auditor, address) = world.auditor_pages()?;
        show.console(&world, address).await?;
        tokio::signal::ctrl_c().await?;
        auditor.kill()?;
        auditor.wait()?;
        world.stop()?;
    }
    Ok(right)
}

/// The enclave, on the embedded store or at four sites.
async fn created(demo: &Demo, folder: &Path, show: &show::Show) -> Result<(Option<Sites>, World)> {
    if !demo.sites {
        return Ok((None, World::create(folder, demo.people, 7, |step| show.step(step)).await?));
    }
    show.step("bringing up PostgreSQL at four sites: dublin-1, dublin-2, hamar, kouvola");
    let sites = Sites::up()?;
    let (enclave, config) = (folder.join("enclave"), folder.join("enclave.toml"));
    std::fs::write(&config, sites.configuration()?)?;
    let config = config.display().to_string();
    World::prepare_with(&enclave, demo.people, 7, &["--config", &config], |step| show.step(step))?;
    let world = World::open(&enclave, demo.people, 7, |step| show.step(step)).await?;
    Ok((Some(sites), world))
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?
        } else {
            std::fs::copy(entry.path(), target).map(drop)?
        }
    }
    Ok(())
}

fn verdict(
    what: &'static str,
    expected: &'static str,
    code: Option<i32>,
    wanted: i32,
    said: &str,
) -> Crossing {
    let telling = ["entries", "decisions", "finding"];
    let happened = lines(said, |l| telling.iter().any(|t| l.starts_with(t)));
    Crossing { what, expected, happened, status: 0, entry: None, as_expected: code == Some(wanted) }
}

/// The first lines of a report that tell something, in one.
fn lines(said: &str, telling: impl Fn(&str) -> bool) -> String {
    let lines = said.lines().filter(|l| telling(l)).take(3);
    lines.map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("; ")
}

fn honest(world: &World, copy: &Path) -> Result<Crossing> {
    let (code, said) = world.audit(copy)?;
    Ok(verdict("every entry, root, signature and decision is checked", "no finding", code, 0, &said))
}

/// Flips one byte in the middle of the first bundle of entries.
fn tampered(world: &World, copy: &Path) -> Result<Crossing> {
    let folder = copy.join("tile/entries");
    let bundle = newest(&folder)?;
    let mut bytes = std::fs::read(&bundle)?;
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    std::fs::write(&bundle, bytes)?;
    let (code, said) = world.audit(copy)?;
    Ok(verdict("one byte of a copy is flipped", "found", code, 1, &said))
}

/// The bundle that the checkpoint needs: the widest partial one, or the first full one.
fn newest(folder: &Path) -> Result<PathBuf> {
    let partial = folder.join("000.p");
    let mut widths: Vec<u64> = std::fs::read_dir(&partial)
        .map(|d| d.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default();
    widths.sort_unstable();
    Ok(widths.last().map_or_else(|| folder.join("000"), |w| partial.join(w.to_string())))
}
