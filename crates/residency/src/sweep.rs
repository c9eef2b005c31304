//! A sweep: every file below a path, every object of a bucket, or every table behind an address, and a report of what is there and what could not be seen.

pub mod cluster;
pub mod database;
mod files;
pub mod objects;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use serde::{Deserialize, Serialize};

use crate::canary::Kind;
use crate::forms::Form;
use crate::scan::{Hit, Scanner};
use crate::unpack::{Bounds, Sink};

/// Most lines of each part of a report; what is beyond is counted.
pub const LINES_MAX: usize = 10_000;

/// How a sweep is done.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How far containers are followed.
    pub bounds: Bounds,
    /// Files that are read at a time.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { bounds: Bounds::default(), threads: 1 }
    }
}

/// A canary in one form in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Find {
    /// The file, or the table.
    pub place: String,
    /// The way to it in containers; empty in the file itself.
    pub inside: String,
    /// Which canary.
    pub canary: u32,
    /// Which value of it.
    pub kind: Kind,
    /// How it is written.
    pub form: Form,
    /// Where it first begins, in the file or in what is unpacked.
    pub offset: u64,
    /// How often it stands there.
    pub times: u64,
}

/// Something that was not seen, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blind {
    /// The file, folder, table or database.
    pub place: String,
    /// Why.
    pub why: String,
}

/// What a sweep saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Files or tables that were read.
    pub places: u64,
    /// Bytes that were searched, those unpacked included.
    pub bytes: u64,
    /// Canaries.
    pub finds: Vec<Find>,
    /// What was not seen, and should have been.
    pub blind: Vec<Blind>,
    /// What is never looked into, by kind: links, devices, sockets, file systems of the kernel.
    pub passed: std::collections::BTreeMap<String, u64>,
    /// Lines that were too many for this report.
    pub beyond: u64,
}

impl Report {
    /// Whether everything was seen.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.blind.is_empty() && self.beyond == 0
    }

    fn find(&mut self, place: &str, inside: &str, hit: Hit) {
        // Finds of one place come together.
        let same = |f: &&mut Find| {
            f.place == place
                && f.inside == inside
                && (f.canary, f.kind, f.form) == (hit.canary, hit.kind, hit.form)
        };
        if let Some(find) = self.finds.iter_mut().rev().take(SAME_PLACE).find(same) {
            find.times += 1;
        } else if self.finds.len() < LINES_MAX {
            let Hit { offset, canary, kind, form } = hit;
            let (place, inside) = (place.to_owned(), inside.to_owned());
            self.finds.push(Find { place, inside, canary, kind, form, offset, times: 1 });
        } else {
            self.beyond += 1;
        }
    }

    fn blind(&mut self, place: &str, why: impl Into<String>) {
        let blind = Blind { place: place.to_owned(), why: why.into() };
        if self.blind.last() == Some(&blind) {
            return;
        }
        if self.blind.len() < LINES_MAX {
            self.blind.push(blind);
        } else {
            self.beyond += 1;
        }
    }

    fn pass(&mut self, kind: &str) {
        *self.passed.entry(kind.to_owned()).or_default() += 1;
    }

    fn merge(&mut self, other: Self) {
        self.places += other.places;
        self.bytes += other.bytes;
        self.beyond += other.beyond;
        for (kind, n) in other.passed {
            *self.passed.entry(kind).or_default() += n;
        }
        for (all, more) in [(self.finds.len(), other.finds.len()), (self.blind.len(), other.blind.len())] {
            self.beyond += (all + more).saturating_sub(LINES_MAX) as u64;
        }
        self.finds.extend(other.finds);
        self.finds.truncate(LINES_MAX);
        self.blind.extend(other.blind);
        self.blind.truncate(LINES_MAX);
    }
}

/// Places that wait for a reader.
const WAITING: usize = 256;
/// Lines back that a find is compared with.
const SAME_PLACE: usize = 64;

/// A report about one place after the other.
struct Placed<'a> {
    report: &'a mut Report,
    place: &'a str,
}

impl Sink for Placed<'_> {
    fn hit(&mut self, inside: &str, hit: Hit) {
        self.report.find(self.place, inside, hit);
    }

    fn blind(&mut self, inside: &str, why: &str) {
        let place =
            if inside.is_empty() { self.place.to_owned() } else { format!("{}!{inside}", self.place) };
        self.report.blind(&place, why);
    }

    fn searched(&mut self, bytes: u64) {
        self.report.bytes += bytes;
    }
}

/// How far a sweep has come, for whoever waits.
#[derive(Debug, Default)]
pub struct Progress {
    places: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Files or tables, and bytes.
    #[must_use]
    pub fn so_far(&self) -> (u64, u64) {
        (self.places.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// Sweeps a file, or everything below a folder.
///
/// Links are not followed; their targets' names are searched, as are all names. A file that cannot be read, or becomes
/// shorter meanwhile, is in the report.
#[must_use]
pub fn path(scanner: &Scanner, root: &Path, options: Options, progress: &Progress) -> Report {
    let report = Mutex::new(Report::default());
    files::sweep(scanner, root, options, progress, &report);
    in_order(report)
}

/// Sweeps all objects of a bucket. Objects that go meanwhile, or cannot be read, are in the report; what a store keeps besides, as
/// older versions, is not seen.
#[must_use]
pub fn objects(
    scanner: &Scanner,
    bucket: &dyn objects::Objects,
    called: &str,
    options: Options,
    progress: &Progress,
) -> Report {
    let report = Mutex::new(Report::default());
    objects::sweep(scanner, (bucket, called), options, progress, &report);
    in_order(report)
}

/// Has each place that is named read by one of several threads.
fn each<T: Send>(
    threads: usize,
    progress: &Progress,
    report: &Mutex<Report>,
    name: impl FnOnce(&mut Report, &dyn Fn(T)),
    read: impl Fn(T, &mut Report) + Sync,
) {
    let (sender, receiver) = mpsc::sync_channel::<T>(WAITING);
    let receiver = Mutex::new(receiver);
    let merge = |own: Report| report.lock().unwrap_or_else(PoisonError::into_inner).merge(own);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mut own = Report::default();
                loop {
                    let next = receiver.lock().map(|r| r.recv());
                    let Ok(Ok(place)) = next else { break };
                    let before = own.bytes;
                    read(place, &mut own);
                    progress.places.fetch_add(1, Ordering::Relaxed);
                    progress.bytes.fetch_add(own.bytes - before, Ordering::Relaxed);
                }
                merge(own);
            });
        }
        let mut own = Report::default();
        name(&mut own, &|place| drop(sender.send(place)));
        drop(sender);
        merge(own);
    });
}

fn in_order(report: Mutex<Report>) -> Report {
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.finds.sort_by(|a, b| (&a.place, &a.inside, a.offset).cmp(&(&b.place, &b.inside, b.offset)));
    report.blind.sort_by(|a, b| (&a.place, &a.why).cmp(&(&b.place, &b.why)));
    report
}
