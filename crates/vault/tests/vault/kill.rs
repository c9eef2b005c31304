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
use vault::{Folder, Log, Tags};

use super::{check, hooks, identity, packing, sample};

/// Where a child works, and with which number it begins.
pub(crate) fn orders(name: &str) -> Option<(PathBuf, u64)> {
    let orders = std::env::var(name).ok()?;
    let (number, folder) = orders.split_once(' ').unwrap();
    Some((folder.into(), number.parse().unwrap()))
}

/// How often something is killed: `CLOVER_KILLS`, else a few times.
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

/// Kills of one log: an old one mostly reads its entries.
const KILLS_OF_ONE: u64 = 20;

/// A log and its tag index, both in files.
fn start(folder: &Path) -> (Arc<Folder>, Arc<Tags>, Log) {
    let disk = Arc::new(Folder::open(&folder.join("log")).unwrap());
    let tags = Arc::new(Tags::open(Arc::new(Folder::open(&folder.join("tags")).unwrap())).unwrap());
    let hooks = hooks(Arc::clone(&tags) as _, &Arc::default());
    let log = Log::open(Arc::clone(&disk) as _, identity(), packing(), hooks).unwrap();
    (disk, tags, log)
}

/// Not a claim: the child of the test below, and nothing when it is not told to be.
#[test]
fn the_appending_child() {
    let Some((folder, first)) = orders(APPENDER) else { return };
    let (_, _, log) = start(&folder);
    std::thread::scope(|s| {
        for thread in 0..3 {
            let log = &log;
            s.spawn(move || {
                for number in (first + thread..).step_by(3) {
                    let receipt = log.submit_and_wait(sample(number).submission()).unwrap();
                    println!("answer: {} {number}", receipt.index());
                }
            });
        }
    });
}

/// `CLOVER_KILLS=1000 cargo nextest run -p clover-vault a_killed_log` for more than a few.
#[test]
fn a_killed_log_has_every_entry_that_it_gave_a_receipt_for() {
    let seed = std::env::var("CLOVER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_122);
    let kills = kills();
    println!("CLOVER_SEED={seed} CLOVER_KILLS={kills}");
    let (mut dice, mut answered) = (Dice::new(seed), 0);
    for young in (0..kills).step_by(usize::try_from(KILLS_OF_ONE).unwrap()) {
        let dir = tempfile::tempdir().unwrap();
        Log::create(&Folder::open(&dir.path().join("log")).unwrap(), &identity()).unwrap();
        let mut receipts = Vec::new();
        for round in young..kills.min(young + KILLS_OF_ONE) {
            let first = round * 1_000_000;
            for answer in killed_child("kill::the_appending_child", APPENDER, dir.path(), first, &mut dice) {
                let (index, number) = answer.split_once(' ').unwrap();
                receipts.push((index.parse().unwrap(), sample(number.parse().unwrap())));
            }
            receipts.sort_by_key(|(index, _)| *index);
            let (disk, tags, log) = start(dir.path());
            log.close();
            check(disk.as_ref(), &log, &receipts, &[]);
            for (index, sample) in &receipts {
                for tag in sample.draft.subjects.tags() {
                    assert_eq!(tags.entries_of([*tag], 9).unwrap(), [*index], "a tag of entry {index}");
                }
            }
        }
        answered += receipts.len();
    }
    println!("{answered} entries were answered for before {kills} kills, and all are there");
}
