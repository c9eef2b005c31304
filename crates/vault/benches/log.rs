//! The log on a disk: entries a second, and how long a commit takes.
//!
//! `cargo bench -p clover-vault --bench log -- [KIND] [GROUP] [AHEAD] [SECONDS] [FOLDER]` prints one line of JSON. `bench/log/run`
//! runs it beside a bare program, in turns. KIND is
//!
//! - `frames`: opaque entries of 256 bytes into the journal, by one thread: framed, checked, written, flushed. What the log
//!   does to a disk, without tree, signature and threads;
//! - `plain`: the whole log with entries of 256 bytes, no detail, nobody named. One thread makes groups, with AHEAD groups in flight,
//!   and waits for all receipts of the oldest before it makes another;
//! - `sealed`: the same with a detail for one person, one tag and facts of 64 bytes, made before the time begins. There are 262,144 of
//!   them, and each is copied as often as its turn comes;
//! - `full`: the same, made in the loop: on few cores the making is most of the work;
//! - `callers`: GROUP tasks of a runtime on one thread, as in a server: each makes an entry of `full`, works for AHEAD microseconds, and
//!   waits for its receipt;
//! - `unrecorded`: the same without a log, for comparison;
//! - `make`: only makes the entries of `full`.
//!
//! The log begins with spare segments, as one that has carried such load before. `recs_s` is the rate while entries were submitted; `whole_s`
//! is the rate until all of them were published and flushed, which is what lasts. `cpu_us` is processor time for one entry, all of it.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot be set up has nothing to measure, and prints what it has"
)]

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use ledger::detail::{PersonSection, seal};
use ledger::note::Signer;
use ledger::wal::{Logged, encode};
use ledger::{Draft, EntryKind, SecretKey, Subjects, Submission, sha256};
use model::{Country, DataClass, Digest, Direction, FlowId, Purpose, Reason, Tag, Treatment, UnixSeconds};
use vault::disk::Folder;
use vault::log::{Hooks, Identity, Journal, Opened, Options, Segments};
use vault::{Disk, Log, Records};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Entries that `sealed` makes in advance.
const READY: usize = 1 << 18;

/// Spare segments at the beginning.
const SPARES: u64 = 32;

const ORIGIN: &str = "ledger.clover-bench/dublin-1/gw-1";

/// The real folder, with a count and the time of its flushes.
struct Counting {
    folder: Folder,
    commits: AtomicU64,
    nanos: AtomicU64,
}

impl Counting {
    /// Begins to count.
    fn forget(&self) {
        self.commits.store(0, Ordering::Relaxed);
        self.nanos.store(0, Ordering::Relaxed);
    }

    fn timed<T>(&self, run: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let done = run();
        let nanos = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        done
    }
}

impl Disk for Counting {
    fn allocate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.folder.allocate(path, bytes)
    }
    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.timed(|| self.folder.write_at(path, offset, bytes))
    }
    fn sync_data(&self, path: &Path) -> io::Result<()> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.timed(|| self.folder.sync_data(path))
    }
    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.folder.put(path, bytes)
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.folder.replace(path, bytes)
    }
    fn sync_all(&self) -> io::Result<()> {
        self.folder.sync_all()
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.folder.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.folder.remove(path)
    }
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.folder.read(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.folder.list(folder)
    }
    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
        self.folder.read_at(path, offset, length)
    }
}

/// Makes entries.
struct Maker {
    full: bool,
    draft: Draft,
    epoch: SecretKey,
    person: SecretKey,
    random: SystemRandom,
    number: u64,
}

impl Maker {
    fn new(full: bool) -> Self {
        let sg = Country::parse("SG").unwrap();
        let draft = Draft {
            kind: EntryKind::Answer,
            direction: Direction::Outward,
            time: UnixSeconds(1_800_000_000),
            flow: FlowId::new([0; 16]),
            rulebook: Digest::new([8; 32]),
            purpose: Purpose::Support,
            place: sg,
            destination: sg,
            classes: vec![DataClass::Allowable],
            treatments: vec![Treatment::Plain],
            reason: Reason::None,
            findings: 0,
            bytes: 512,
            rows: 1,
            detail: Digest::new([0; 32]),
            actor: Tag::new([6; 16]),
            subjects: Subjects::None,
            lane: [7; 8],
            stream: None,
            facts: if full { vec![0x60; 64] } else { Vec::new() },
        };
        let (epoch, person) = (SecretKey::new([1; 32]), SecretKey::new([2; 32]));
        Self { full, draft, epoch, person, random: SystemRandom::new(), number: 0 }
    }

    fn submission(&mut self) -> Submission {
        self.number += 1;
        let mut flow = [0; 16];
        flow.iter_mut().zip(self.number.to_be_bytes()).for_each(|(to, b)| *to = b);
        self.draft.flow = FlowId::new(flow);
        if !self.full {
            return Submission::new(&self.draft, Vec::new());
        }
        // The tag as keyed digest of person and day costs as much in production.
        let tag = sha256(&flow).bytes().first_chunk().map_or(Tag::new(flow), |t| Tag::new(*t));
        let (actor, seen) = ([b'a'; 120], [b's'; 120]);
        // Another person each time, so no key is prepared already.
        let person = self.person.clone();
        let people = [PersonSection { tag, key: &person, text: &seen }];
        let mut fill = |bytes: &mut [u8]| self.random.fill(bytes).unwrap();
        let detail = seal(&self.draft.flow, 20_000, &self.epoch, &actor, &people, &mut fill).unwrap();
        self.draft.detail = sha256(&detail);
        self.draft.subjects = Subjects::of(vec![tag]);
        Submission::new(&self.draft, detail)
    }
}

struct Run {
    group: usize,
    ahead: usize,
    time: Duration,
}

/// Groups from one thread. Returns the latencies of groups, from the first entry to the last receipt, and how many entries were
/// refused because the border was closed.
fn groups(log: &Log, mut make: impl FnMut() -> Submission, run: &Run) -> (Vec<Duration>, u64) {
    let (begin, mut latencies, mut flying) = (Instant::now(), Vec::new(), VecDeque::new());
    let mut refused = 0;
    loop {
        let more = begin.elapsed() < run.time;
        if more {
            let entries: Vec<_> = (0..run.group).map(|_| make()).collect();
            let at = Instant::now();
            let waiting: Vec<_> = entries.into_iter().filter_map(|e| log.submit(e).ok()).collect();
            refused += (run.group - waiting.len()) as u64;
            if waiting.is_empty() {
                std::thread::sleep(Duration::from_millis(1));
            }
            flying.push_back((at, waiting));
        }
        if flying.len() >= run.ahead || !more {
            let Some((at, waiting)) = flying.pop_front() else { break };
            if waiting.is_empty() {
                continue;
            }
            refused +=
                waiting.into_iter().rev().filter_map(|r| r.blocking_recv().unwrap().err()).count() as u64;
            latencies.push(at.elapsed());
        }
    }
    (latencies, refused)
}

/// Frames of opaque entries, by this thread alone. Returns the latencies of frames.
fn frames(disk: &Arc<Counting>, run: &Run) -> (Vec<Duration>, u64) {
    let journal = Segments::new(Arc::clone(disk) as _, Options::default().segment_bytes);
    let Opened { mut storage, mut past, .. } = journal.open(0, &mut |_| Ok(())).unwrap();
    let entry = Logged { leaf: vec![b'x'; 256], detail: Vec::new(), side: None };
    let entries = vec![entry; run.group];
    let (next, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut latencies = Vec::new();
    std::thread::scope(|scope| {
        // In the publisher's place.
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(250));
                past.let_go(next.load(Ordering::Acquire), &mut || Ok(())).unwrap();
            }
        });
        let (begin, mut frame) = (Instant::now(), Vec::new());
        while begin.elapsed() < run.time {
            let at = Instant::now();
            frame.clear();
            encode(next.load(Ordering::Relaxed), &entries, &mut frame);
            storage.append(&frame).unwrap();
            next.fetch_add(run.group as u64, Ordering::Release);
            latencies.push(at.elapsed());
        }
        done.store(true, Ordering::Release);
    });
    (latencies, next.into_inner())
}

/// Tasks on one thread. Returns the latencies of entries.
fn callers(log: Option<&Arc<Log>>, maker: Maker, run: &Run) -> Vec<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let maker = std::rc::Rc::new(std::cell::RefCell::new(maker));
    let until = Instant::now() + run.time;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let tasks = (0..run.group).map(|_| {
            let (log, maker, work) = (log.cloned(), std::rc::Rc::clone(&maker), run.ahead as u128);
            tokio::task::spawn_local(async move {
                let mut latencies = Vec::new();
                while Instant::now() < until {
                    let at = Instant::now();
                    let entry = maker.borrow_mut().submission();
                    while at.elapsed().as_micros() < work {
                        std::hint::spin_loop();
                    }
                    match &log {
                        Some(log) => drop(log.submit(entry).unwrap().await.unwrap().unwrap()),
                        None => tokio::task::yield_now().await,
                    }
                    latencies.push(at.elapsed());
                }
                latencies
            })
        });
        let mut all = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            all.extend(task.await.unwrap());
        }
        all
    })
}

/// Runs the whole log.
fn whole(kind: &str, disk: &Arc<Counting>, records: Arc<Records>, run: &Run) -> Ran {
    let hooks = Hooks { reopening: None, index: records, fatal: Box::new(|_| std::process::abort()) };
    let log = Arc::new(Log::open(Arc::clone(disk) as _, identity(), Options::default(), hooks).unwrap());
    let mut maker = Maker::new(kind != "plain");
    let ready: Vec<_> = (0..if kind == "sealed" { READY } else { 0 }).map(|_| maker.submission()).collect();
    let mut ready = ready.iter().cycle();
    disk.forget();
    let (begin, cpu) = (Instant::now(), cpu());
    let (latencies, refused) = match kind {
        "callers" => (callers(Some(&log), maker, run), 0),
        "sealed" => groups(&log, || ready.next().unwrap().clone(), run),
        _ => groups(&log, || maker.submission(), run),
    };
    let (elapsed, entries, published) = (begin.elapsed(), log.size(), log.published());
    log.close();
    let closing = begin.elapsed() - elapsed;
    Ran {
        latencies,
        entries,
        elapsed,
        unpublished: entries - published,
        closing,
        refused,
        cpu: self::cpu() - cpu,
    }
}

/// Processor time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|t| t.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

#[derive(Default)]
struct Ran {
    latencies: Vec<Duration>,
    entries: u64,
    elapsed: Duration,
    unpublished: u64,
    closing: Duration,
    refused: u64,
    cpu: Duration,
}

fn identity() -> Identity {
    Identity { origin: ORIGIN.to_owned(), signer: Signer::from_seed(ORIGIN, &[7; 32]).unwrap() }
}

/// A log with spare segments in an empty folder.
fn begin(folder: &Path) -> Arc<Counting> {
    let disk = Folder::open(&folder.join("log")).unwrap();
    let disk = Arc::new(Counting { folder: disk, commits: AtomicU64::new(0), nanos: AtomicU64::new(0) });
    Log::create(disk.as_ref(), &identity()).unwrap();
    for n in 0..SPARES {
        disk.allocate(Path::new(&format!("wal/{n:020}.spare")), Options::default().segment_bytes).unwrap();
    }
    disk.sync_all().unwrap();
    disk
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    let kind = args.next().unwrap_or_else(|| "full".to_owned());
    let mut number = |or: usize| args.next().map_or(or, |a| a.parse().unwrap());
    let (group, ahead, seconds) = (number(256), number(2), number(2));
    let run = Run { group, ahead, time: Duration::from_secs(seconds as u64) };
    if kind == "make" {
        let (mut maker, begin, count) = (Maker::new(true), Instant::now(), 100_000);
        (0..count).for_each(|_| drop(std::hint::black_box(maker.submission())));
        let nanos = begin.elapsed().as_nanos() / count;
        println!("{{\"kind\":\"make\",\"nanos\":{nanos}}}");
        return;
    }
    let folder = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("clover-bench-log-{}", std::process::id()));
    let disk = begin(&folder);
    let ran = if kind == "unrecorded" {
        let begin = Instant::now();
        let latencies = callers(None, Maker::new(true), &run);
        let (elapsed, entries) = (begin.elapsed(), latencies.len() as u64);
        Ran { latencies, entries, elapsed, ..Ran::default() }
    } else if kind == "frames" {
        disk.forget();
        let begin = Instant::now();
        let (latencies, entries) = frames(&disk, &run);
        let elapsed = begin.elapsed().min(latencies.iter().sum());
        Ran { latencies, entries, elapsed, ..Ran::default() }
    } else {
        let records = Arc::new(Records::open(&folder.join("records")).unwrap());
        whole(&kind, &disk, records, &run)
    };
    report(&kind, &run, &disk, ran);
}

fn report(kind: &str, run: &Run, disk: &Counting, mut ran: Ran) {
    let (commits, nanos) = (disk.commits.load(Ordering::Relaxed).max(1), disk.nanos.load(Ordering::Relaxed));
    let (group, ahead, seconds, elapsed) =
        (run.group, run.ahead, run.time.as_secs(), ran.elapsed.as_secs_f64());
    ran.latencies.sort_unstable();
    let at = |q: usize| {
        ran.latencies.get(ran.latencies.len().saturating_sub(1) * q / 1000).map_or(0, Duration::as_micros)
    };
    let (p50, p99, p999, max) = (at(500), at(990), at(999), at(1000));
    let rate = ran.entries as f64 / elapsed;
    let mean = ran.entries as f64 / commits as f64;
    let each = nanos as f64 / commits as f64 / 1e3;
    let (unpublished, closing, refused) = (ran.unpublished, ran.closing.as_secs_f64(), ran.refused);
    let whole = ran.entries as f64 / (elapsed + closing);
    let cpu = ran.cpu.as_secs_f64() * 1e6 / ran.entries as f64;
    let line = format!(
        "{{\"kind\":\"{kind}\",\"seconds\":{seconds},\"group\":{group},\"ahead\":{ahead},\"recs_s\":{rate:.0},\"mean_group\":{mean:.1},\
         \"disk_us\":{each:.1},\"p50_us\":{p50},\"p99_us\":{p99},\"p999_us\":{p999},\"max_us\":{max},\
         \"unpublished\":{unpublished},\"closing_s\":{closing:.2},\"whole_s\":{whole:.0},\"refused\":{refused},\"cpu_us\":{cpu:.2}}}"
    );
    println!("{line}");
}
