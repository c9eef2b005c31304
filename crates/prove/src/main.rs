//! `clover-prove`: reads rulebook folders, writes a report. It is run, never linked.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use model::rulebook::Files;
use policy::stories::Stories;
use prove::{Book, Limits, Outcome, Solver};

/// What no rulebook comes near.
const FILE_BYTES_MAX: u64 = 16 << 20;
const FILES_MAX: usize = 1_000;
/// As `sysexits` has them, and as `clover` does.
const CONFIG: u8 = 78;
const USAGE: u8 = 64;
const BROKEN: u8 = 70;

/// Prove what no request whatever can bring about under a rulebook.
///
/// Exit code 0: all is proved. 1: something is false, or wider. 2: something is not proved.
#[derive(Debug, Parser)]
#[command(name = "clover-prove", version, max_term_width = 100)]
struct Cli {
    /// The rulebook's folder.
    folder: PathBuf,
    /// The folder of the rulebook in force: prove that nothing is permitted that it denies.
    #[arg(long, value_name = "FOLDER")]
    against: Option<PathBuf>,
    /// Look only at what --against asks: whether more is permitted. Without a whole proof a small world is put to both
    /// engines, which can show that more is, and never that nothing is.
    #[arg(long, requires = "against", conflicts_with = "mutate")]
    widening: bool,
    /// With --widening: requests of that small world, at most.
    #[arg(long, value_name = "N", default_value_t = 6_000, requires = "widening", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    requests: u32,
    /// Make each small mistake in the policies, one at a time, and tell which nobody notices. Takes minutes.
    #[arg(long)]
    mutate: bool,
    /// With --mutate: the folder of stories, `*.toml`.
    #[arg(long, value_name = "DIR", requires = "mutate")]
    tests: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// The solver, cvc5; looked for among the programs of this machine if not given.
    #[arg(long, value_name = "FILE")]
    solver: Option<PathBuf>,
    /// Seconds for each question.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Memory of each solver process, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(64..=65536))]
    memory: u64,
    /// Solver processes at once.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    workers: u8,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let books = read(&cli.folder).and_then(|book| Ok((book, cli.against.as_deref().map(read).transpose()?)));
    let (book, against) = match books {
        Ok(books) => books,
        Err(why) => {
            let _ = writeln!(std::io::stderr().lock(), "error: {why}");
            return ExitCode::from(CONFIG);
        }
    };
    let limits = Limits {
        question: Duration::from_secs(cli.seconds),
        memory_mib: cli.memory,
        workers: usize::from(cli.workers),
    };
    let solver = Solver::find(cli.solver.as_deref(), limits);
    if let Err(e) = &solver {
        let _ = writeln!(std::io::stderr().lock(), "warning: {e}");
    }
    let told = match (&against, cli.widening) {
        (Some(active), true) => {
            let comparison =
                prove::compare(&book, active, usize::try_from(cli.requests).unwrap_or(usize::MAX), &solver);
            shown(cli.json, &comparison, prove::comparison, comparison.outcome)
        }
        _ => {
            let mut report = prove::prove(&book, against.as_ref(), &solver);
            if cli.mutate {
                let stories = cli.tests.as_deref().map_or(Ok(Vec::new()), stories);
                match stories {
                    Ok(stories) => prove::mutate(&mut report, &book, &stories, &solver),
                    Err(why) => {
                        let _ = writeln!(std::io::stderr().lock(), "error: {why}");
                        return ExitCode::from(CONFIG);
                    }
                }
            }
            shown(cli.json, &report, prove::text, report.outcome)
        }
    };
    let Some((text, outcome)) = told else { return ExitCode::from(BROKEN) };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::from(BROKEN),
        _ => ExitCode::from(outcome.code()),
    }
}

/// What is printed, and how it ended.
fn shown<T: serde::Serialize>(
    json: bool,
    report: &T,
    text: impl Fn(&T) -> String,
    outcome: Outcome,
) -> Option<(String, Outcome)> {
    let text = if json { format!("{}\n", serde_json::to_string(report).ok()?) } else { text(report) };
    Some((text, outcome))
}

/// The stories of every file of a folder, in the order of names.
fn stories(folder: &Path) -> Result<Vec<Stories>, String> {
    let mut files = files(folder)?;
    files.retain(|name, _| name.ends_with(".toml"));
    let parse = |(name, text): (&String, &String)| {
        Stories::parse(name, text)
            .map_err(|problems| format!("`{}` has problems\n{problems}", folder.display()))
    };
    files.iter().map(parse).collect()
}

/// Every file of a folder but its manifest, checked.
fn read(folder: &Path) -> Result<Book, String> {
    let files = files(folder)?;
    Book::read(files).map_err(|problems| format!("`{}` has problems\n{problems}", folder.display()))
}

/// Every file of a folder but its manifest.
fn files(folder: &Path) -> Result<Files, String> {
    let at = |path: &Path, e: &dyn std::fmt::Display| format!("cannot use `{}`: {e}", path.display());
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder).map_err(|e| at(folder, &e))? {
        let path = entry.map_err(|e| at(folder, &e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "manifest.note" {
            continue;
        }
        if files.len() >= FILES_MAX {
            return Err(at(folder, &format!("more than {FILES_MAX} files")));
        }
        if std::fs::metadata(&path).map_err(|e| at(&path, &e))?.len() > FILE_BYTES_MAX {
            return Err(at(&path, &format!("more than {FILE_BYTES_MAX} bytes")));
        }
        files.insert(name, std::fs::read_to_string(&path).map_err(|e| at(&path, &e))?);
    }
    Ok(files)
}
