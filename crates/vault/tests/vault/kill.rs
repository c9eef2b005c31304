//! A process that is killed while it appends has lost nothing that it answered for.
//!
//! The child is this test binary again, told by an environment variable what to do.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use testkit::Dice;
use vault::{Folder, Log};

use super::{check, identity, open, options, sample};

/// Where a child works, and with which number it begins.
pub(crate) fn orders(name: &str) -> Option<(PathBuf, u64)> {
    let orders = std::env::var(name).ok()?;
    let (number, folder) = orders.split_once(' ').unwrap();
    Some((folder.into(), number.parse().unwrap()))
}

pub(crate) fn kills() -> u64 {
    std::env::var("CLOVER_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(20)
}

/// Runs a test of this binary as a child until it was killed at a random moment. Returns what it had said.
pub(crate) fn killed_child(
    test: &str,
    name: &str,
    folder: &Path,
    number: u64,
    dice: &mut Dice,
) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(name, format!("{number} {}", folder.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (lines, reader) = lines(&mut child);
    let mut said = Vec::new();
    for _ in 0..=dice.below(30) {
        said.push(lines.recv_timeout(Duration::from_secs(20)).expect("the child works"));
    }
    // And a moment more, so that the end comes anywhere between two answers.
    let end = Instant::now() + Duration::from_micros(dice.below(8000) as u64);
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        said.push(line);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had said before it died, it had answered for.
    said.extend(lines);
    reader.join().unwrap();
    said
}

/// The child's answers, without what the test harness says.
fn lines(child: &mut Child) -> (Receiver<String>, std::thread::JoinHandle<()>) {
    let stdout = child.stdout.take().unwrap();
    let (sender, lines) = sync_channel(1 << 20);
    let reader = std::thread::spawn(move || {
        let mut out = BufReader::new(stdout);
        let mut line = String::new();
        // A line without its end was not said.
        while out.read_line(&mut line).is_ok_and(|n| n > 0) && line.ends_with('\n') {
            if let Some((_, answer)) = line.trim_end().split_once("answer: ") {
                sender.send(answer.to_owned()).unwrap();
            }
            line.clear();
        }
    });
    (lines, reader)
}

const APPENDER: &str = "CLOVER_APPENDER";

/// Not a claim: the child of the test below, and nothing when it is not told to be.
#[test]
fn the_appending_child() {
    let Some((folder, start)) = orders(APPENDER) else { return };
    let log = open(&Arc::new(Folder::open(&folder).unwrap()), options()).unwrap();
    std::thread::scope(|s| {
        for thread in 0..3 {
            let log = &log;
            s.spawn(move || {
                for number in (start + thread..).step_by(3) {
                    let receipt = log.submit_and_wait(sample(number).submission()).unwrap();
                    println!("answer: {} {number}", receipt.index());
                }
            });
        }
    });
}

#[test]
fn a_killed_log_has_every_entry_that_it_gave_a_receipt_for() {
    let seed = std::env::var("CLOVER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_122);
    println!("CLOVER_SEED={seed}");
    let mut dice = Dice::new(seed);
    let dir = tempfile::tempdir().unwrap();
    Log::create(&Folder::open(dir.path()).unwrap(), &identity()).unwrap();
    let mut receipts = Vec::new();
    for round in 0..kills() {
        let said =
            killed_child("kill::the_appending_child", APPENDER, dir.path(), round * 1_000_000, &mut dice);
        for answer in said {
            let (index, number) = answer.split_once(' ').unwrap();
            receipts.push((index.parse().unwrap(), sample(number.parse().unwrap())));
        }
        receipts.sort_by_key(|(index, _)| *index);
        let disk = Arc::new(Folder::open(dir.path()).unwrap());
        let log = open(&disk, options()).unwrap();
        log.close();
        check(disk.as_ref(), &log, &receipts, &[]);
    }
}
