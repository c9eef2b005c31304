//! Tables of lanes, each read by a process of its own: this program once more, as `clover read-table`.
//!
//! What a file says of itself decides how much memory and time its reader takes, and there an end is put to both. The bytes go in and out by
//! pipes, so that nothing of them is on a disk; what the process says besides goes nowhere, since it might hold a value.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use gateway::tables::Reading;
pub use gateway::tables::{Bounds, Tables, Unread};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

/// This program, also when another was put in its place since.
pub const SELF: &str = "/proc/self/exe";
/// Ends a reader whose table holds more than was allowed.
pub const TOO_LARGE: u8 = 4;

/// How much readers of tables may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Memory of one, in bytes.
    pub memory: u64,
    /// How long one may take.
    pub time: Duration,
    /// Readers at a time.
    pub at_once: usize,
}

/// Starts readers.
#[derive(Debug)]
pub struct Readers {
    program: PathBuf,
    allowed: Allowed,
    slots: Semaphore,
}

impl Readers {
    /// With the program that reads.
    #[must_use]
    pub fn new(program: &Path, allowed: Allowed) -> Self {
        Self { program: program.to_owned(), allowed, slots: Semaphore::new(allowed.at_once) }
    }

    async fn read(&self, table: &[u8], bounds: Bounds) -> Result<Vec<u8>, Unread> {
        // INVARIANT: a reader that is dropped is killed, so no more than `at_once` take memory at a time.
        let waited = tokio::time::timeout(self.allowed.time, self.slots.acquire()).await;
        let Ok(Ok(_slot)) = waited else { return Err(Unread::Down) };
        let read = tokio::time::timeout(self.allowed.time, self.read_through(table, bounds)).await;
        read.unwrap_or(Err(Unread::Broken))
    }

    async fn read_through(&self, table: &[u8], bounds: Bounds) -> Result<Vec<u8>, Unread> {
        let mut child = self.command(bounds).spawn().map_err(|e| {
            tracing::error!(error = %e, "no process that reads a table could be started");
            Unread::Down
        })?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Unread::Down);
        };
        let feed = async {
            // It may end before it has read all; then what it says counts.
            let _ = input.write_all(table).await;
            drop(input);
            std::future::pending::<Infallible>().await
        };
        let (mut rows, most) = (Vec::new(), bounds.bytes as u64);
        let mut output = output.take(most.saturating_add(1));
        tokio::select! {
            read = output.read_to_end(&mut rows) => drop(read.map_err(|_| Unread::Broken)?),
            never = feed => match never {},
        }
        if rows.len() as u64 > most {
            return Err(Unread::TooLarge);
        }
        match child.wait().await.map_err(|_| Unread::Broken)?.code() {
            Some(0) => Ok(rows),
            Some(code) if code == i32::from(TOO_LARGE) => Err(Unread::TooLarge),
            _ => Err(Unread::Broken),
        }
    }

    fn command(&self, bounds: Bounds) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("read-table")
            .args(["--memory", &self.allowed.memory.to_string()])
            .args(["--seconds", &self.allowed.time.as_secs().max(1).to_string()])
            .args(["--bytes", &bounds.bytes.to_string(), "--rows", &bounds.rows.to_string()])
            .env_clear()
            // Its allocator else lays its hand on a gibibyte at once, within which no limit would count.
            .env("MIMALLOC_ARENA_RESERVE", "32MiB")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

impl Tables for Readers {
    fn rows<'a>(&'a self, table: &'a [u8], bounds: Bounds) -> Reading<'a> {
        Box::pin(self.read(table, bounds))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 64, rows: 9 };

    /// What comes of a reader that does this.
    async fn with(script: &str, table: &[u8]) -> Result<Vec<u8>, Unread> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("reader");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let allowed = Allowed { memory: 1 << 30, time: Duration::from_secs(2), at_once: 1 };
        Readers::new(&program, allowed).rows(table, BOUNDS).await
    }

    #[tokio::test]
    async fn a_reader_that_dies_hangs_or_gives_too_much_brings_no_row() {
        let large = vec![b'x'; 1 << 20];
        let all = "cat > /dev/null; ";
        for (script, table, expected) in [
            ("cat", &b"rows\n"[..], Ok(b"rows\n".to_vec())),
            ("echo early", &large, Ok(b"early\n".to_vec())),
            ("printf '{\"a\":'; kill -9 $$", &large, Err(Unread::Broken)),
            (&format!("{all}printf '{{}}'; kill -9 $$"), &large, Err(Unread::Broken)),
            (&format!("{all}printf '{{}}'; exit 1"), b"x", Err(Unread::Broken)),
            (&format!("{all}exit 4"), b"x", Err(Unread::TooLarge)),
            ("echo a value of somebody >&2; exit 3", b"x", Err(Unread::Broken)),
            ("exec sleep 600", b"x", Err(Unread::Broken)),
            ("exec > /dev/null; exec sleep 600", b"x", Err(Unread::Broken)),
            ("while :; do echo more of it; done", &large, Err(Unread::TooLarge)),
        ] {
            assert_eq!(with(script, table).await, expected, "{script}");
        }
        let allowed = Allowed { memory: 1 << 30, time: Duration::from_secs(2), at_once: 1 };
        let nobody = Readers::new(Path::new("/nonexistent"), allowed).rows(b"x", BOUNDS).await;
        assert_eq!(nobody, Err(Unread::Down));
    }

    #[tokio::test]
    async fn a_reader_is_told_its_bounds_and_nothing_of_where_it_runs() {
        let bounds = "read-table --memory 1073741824 --seconds 2 --bytes 64 --rows 9";
        assert_eq!(with(&format!("test \"$*\" = '{bounds}' && echo yes"), b"").await.unwrap(), b"yes\n");
        // What a shell sets by itself aside.
        let variables = "export -p | grep -v -e PWD -e MIMALLOC_ARENA_RESERVE -e SHLVL -e '_='; pwd";
        assert_eq!(with(&format!("PATH=/usr/bin:/bin; {variables}"), b"").await.unwrap(), b"/\n");
    }
}
