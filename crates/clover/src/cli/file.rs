//! A file that a command reads whole; of a Parquet file its rows, a line of JSON each.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::error::CommandError;
use crate::tables::TOO_LARGE;

/// Longest file that is read.
pub(super) const FILE_MAX: usize = 1 << 30;

/// What the reader of a table may take: its file, its rows, and what it makes of them.
const MEMORY_MAX: u64 = 6 << 30;
/// And for how long, of processor time.
const SECONDS_MAX: u64 = 120;
/// Begins what the reader says of a file.
const SAID: &str = "table: ";

/// The bytes of a file; `-` is standard input.
pub(super) fn whole(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = FILE_MAX as u64;
    if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        let file = std::fs::File::open(path).map_err(CommandError::file(path))?;
        file.take(most).read_to_end(&mut bytes).map_err(CommandError::file(path))?;
    }
    if bytes.len() == FILE_MAX {
        return Err(CommandError::Rule("a file of 1 GiB or more: split it by lines first").into());
    }
    if !table::is_parquet(&bytes) {
        return Ok(bytes);
    }
    rows(bytes).with_context(|| format!("`{}` cannot be read as Parquet", path.display()))
}

/// The rows of a Parquet file, read by a process of their own: what a file says of itself decides how much memory its
/// reader takes, and there an end is put to it.
fn rows(file: Vec<u8>) -> Result<Vec<u8>> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("read-table")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("no way to the reader")?;
    // It may end before it has read all.
    let writer = std::thread::spawn(move || drop(input.write_all(&file)));
    let done = child.wait_with_output()?;
    let _ = writer.join();
    if done.status.success() {
        return Ok(done.stdout);
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let why = said.lines().find_map(|line| line.strip_prefix(SAID));
    Err(anyhow::anyhow!("{}", why.unwrap_or("it takes more memory or time than a file may")))
}

/// Reads a table from standard input and writes its rows to standard output, within bounds.
#[derive(Debug, clap::Args)]
pub(super) struct ReadTable {
    /// Bytes of memory.
    #[arg(long, default_value_t = MEMORY_MAX)]
    memory: u64,
    /// Seconds of processor time.
    #[arg(long, default_value_t = SECONDS_MAX)]
    seconds: u64,
    /// Most bytes of rows.
    #[arg(long, default_value_t = FILE_MAX)]
    bytes: usize,
    /// Most rows.
    #[arg(long, default_value_t = u64::MAX)]
    rows: u64,
}

impl ReadTable {
    pub(super) fn run(&self) -> Result<ExitCode> {
        // It opens no file, writes none, and leaves no image of its memory: that would be people's data on a disk.
        let nothing = [Resource::Core, Resource::Fsize].map(|resource| (resource, 0));
        let bounds = [(Resource::As, self.memory), (Resource::Cpu, self.seconds), (Resource::Nofile, 3)];
        for (resource, most) in nothing.into_iter().chain(bounds) {
            setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
        }
        let mut file = Vec::new();
        std::io::stdin().lock().read_to_end(&mut file)?;
        match table::lines(&file, table::Limits { bytes: self.bytes, rows: self.rows }) {
            Ok(lines) => {
                std::io::stdout().lock().write_all(&lines)?;
                Ok(ExitCode::SUCCESS)
            }
            Err(e) => {
                let _ = writeln!(std::io::stderr().lock(), "{SAID}{e}");
                let large = e == table::TableError::TooLarge;
                Ok(if large { ExitCode::from(TOO_LARGE) } else { ExitCode::FAILURE })
            }
        }
    }
}
