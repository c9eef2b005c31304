//! Reads the objects of a bucket, part by part: memory does not grow with them.

use std::io::{self, Read};
use std::sync::Mutex;

use super::{Options, Placed, Progress, Report};
use crate::scan::Scanner;
use crate::unpack;

/// Bytes that are asked for at a time.
const PART: usize = 8 << 20;

/// A bucket, to whoever can read it. All calls block.
pub trait Objects: Sync {
    /// Names and lengths behind a name, in their order; empty at the end.
    ///
    /// # Errors
    /// What the store says.
    fn list(&self, after: Option<&str>) -> Result<Vec<(String, u64)>, String>;

    /// At most so many bytes of an object from a place on.
    ///
    /// # Errors
    /// What the store says.
    fn read(&self, name: &str, from: u64, most: usize) -> Result<Vec<u8>, String>;
}

/// Listing and reading as two calls.
impl<L, R> Objects for (L, R)
where
    L: Fn(Option<&str>) -> Result<Vec<(String, u64)>, String> + Sync,
    R: Fn(&str, u64, usize) -> Result<Vec<u8>, String> + Sync,
{
    fn list(&self, after: Option<&str>) -> Result<Vec<(String, u64)>, String> {
        (self.0)(after)
    }

    fn read(&self, name: &str, from: u64, most: usize) -> Result<Vec<u8>, String> {
        (self.1)(name, from, most)
    }
}

pub(super) fn sweep(
    scanner: &Scanner,
    (bucket, called): (&dyn Objects, &str),
    options: Options,
    progress: &Progress,
    report: &Mutex<Report>,
) {
    let names = |own: &mut Report, found: &dyn Fn((String, u64))| {
        let mut after: Option<String> = None;
        loop {
            let page = match bucket.list(after.as_deref()) {
                Ok(page) => page,
                Err(e) => return own.blind(called, format!("cannot be listed to its end: {e}")),
            };
            if page.is_empty() {
                return;
            }
            for (name, length) in page {
                // Where the next page begins follows from the order: without it objects would be missed, or listed without end.
                if after.as_ref().is_some_and(|after| name <= *after) {
                    return own.blind(called, "it lists its objects in no order");
                }
                after = Some(name.clone());
                for hit in scanner.all(name.as_bytes()) {
                    own.find(&format!("{called}/{name}"), "(name)", hit);
                }
                found((name, length));
            }
        }
    };
    let read = |(name, length): (String, u64), own: &mut Report| {
        let place = format!("{called}/{name}");
        own.places += 1;
        let mut parts =
            Parts { bucket, name: &name, length, at: 0, held: io::Cursor::default(), failed: None };
        unpack::look(scanner, options.bounds, &mut parts, &mut Placed { report: own, place: &place });
        let (at, failed) = (parts.at, parts.failed);
        if let Some(why) = failed {
            own.blind(&place, format!("{at} of its {length} bytes were read: {why}"));
        } else if at < length {
            own.blind(&place, format!("{at} of its {length} bytes were read"));
        }
    };
    super::each(options.threads, progress, report, names, read);
}

/// An object as something to read.
struct Parts<'a> {
    bucket: &'a dyn Objects,
    name: &'a str,
    length: u64,
    at: u64,
    held: io::Cursor<Vec<u8>>,
    failed: Option<String>,
}

impl Read for Parts<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut n = self.held.read(into)?;
        if n == 0 && self.at < self.length && !into.is_empty() {
            let left = usize::try_from(self.length - self.at).unwrap_or(usize::MAX);
            match self.bucket.read(self.name, self.at, left.min(PART)) {
                Ok(part) => {
                    self.at += part.len() as u64;
                    self.held = io::Cursor::new(part);
                }
                Err(why) => {
                    self.failed = Some(why.clone());
                    return Err(io::Error::other(why));
                }
            }
            n = self.held.read(into)?;
        }
        Ok(n)
    }
}
