//! One file of the tag index: rows in order, in pages that each carry a checksum.

use std::io;
use std::path::{Path, PathBuf};

use model::Tag;

use crate::disk::Disk;

/// Where the runs lie.
pub(super) const FOLDER: &str = "runs";

const ROW: usize = 24;
const SUM: usize = 16;
/// Rows of a full page.
const ROWS: usize = 170;
/// Bytes of a full page.
const PAGE: usize = ROWS * ROW + SUM;
/// What a writer hands over at once.
const PIECE: usize = 1 << 20;
/// Pages that a reader takes at once.
const AHEAD: u64 = 64;
/// Guesses of a look-up before it halves.
const GUESSES: u32 = 6;

/// A tag and an entry, as numbers that sort like their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row([u64; 3]);

impl Row {
    pub(super) fn new(tag: Tag, entry: u64) -> Self {
        let tag = u128::from_be_bytes(*tag.bytes());
        // The cast takes the lower half.
        Self([(tag >> 64) as u64, tag as u64, entry])
    }

    pub(super) fn is_of(&self, tag: Tag) -> bool {
        self.0.first_chunk::<2>() == Self::new(tag, 0).0.first_chunk::<2>()
    }

    pub(super) fn entry(&self) -> u64 {
        self.0[2]
    }

    /// The tag's first half, for a guess where it lies.
    fn leading(&self) -> u64 {
        self.0[0]
    }
}

/// A run, as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Numbers of the flushes whose pairs it has.
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) rows: u64,
}

impl Run {
    fn name(&self) -> String {
        format!("{:016x}-{:016x}-{}", self.first, self.last, self.rows)
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.splitn(3, '-');
        let mut number = |radix| u64::from_str_radix(parts.next()?, radix).ok();
        let run = Self { first: number(16)?, last: number(16)?, rows: number(10)? };
        (run.name() == name && run.first <= run.last && run.rows > 0).then_some(run)
    }

    pub(super) fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(self.name())
    }

    /// Sorts a run before all that it covers.
    pub(super) fn order(&self) -> impl Ord + use<> {
        (self.first, std::cmp::Reverse((self.last, self.rows)))
    }

    /// Whether it has what another one has, which was read before it was there.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    fn pages(&self) -> u64 {
        self.rows.div_ceil(ROWS as u64)
    }

    /// Rows of some neighbouring pages.
    fn read(&self, disk: &dyn Disk, page: u64, count: u64) -> io::Result<Vec<Row>> {
        let begin = page * ROWS as u64;
        let rows = count.saturating_mul(ROWS as u64).min(self.rows.saturating_sub(begin));
        let length = rows as usize * ROW + rows.div_ceil(ROWS as u64) as usize * SUM;
        let bytes = disk.read_at(&self.path(), page * PAGE as u64, length)?.ok_or(io::ErrorKind::NotFound)?;
        if bytes.len() != length {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut read = Vec::with_capacity(rows as usize);
        for (number, page) in (page..).zip(bytes.chunks(PAGE)) {
            let (rows, found) = page.split_last_chunk::<SUM>().ok_or(io::ErrorKind::InvalidData)?;
            if sum(number, rows) != *found {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let words = rows.as_chunks::<8>().0.iter().map(|w| u64::from_be_bytes(*w)).collect::<Vec<_>>();
            read.extend(words.as_chunks::<3>().0.iter().map(|row| Row(*row)));
        }
        Ok(read)
    }

    /// Adds the newest entries of a tag, at most `max`.
    pub(super) fn newest(
        &self,
        disk: &dyn Disk,
        tag: Tag,
        max: usize,
        found: &mut Vec<u64>,
    ) -> io::Result<()> {
        let (mut taken, mut page) = (0, self.page_of(disk, &Row::new(tag, u64::MAX))?);
        while let Some((number, rows)) = page {
            let end = rows.partition_point(|row| *row <= Row::new(tag, u64::MAX));
            let (before, of_tag) =
                rows.split_at(rows.partition_point(|row| *row < Row::new(tag, 0)).min(end));
            let of_tag = of_tag.iter().take(end - before.len()).rev().take(max - taken);
            taken += of_tag.len();
            found.extend(of_tag.map(Row::entry));
            // With a row before them all, the pages before this one have none.
            let more = before.is_empty() && taken < max;
            page = match number.checked_sub(1).filter(|_| more) {
                Some(number) => Some((number, self.read(disk, number, 1)?)),
                None => None,
            };
        }
        Ok(())
    }

    /// The last page that begins at or before a row. Guesses where the tag would lie if all were spread evenly, as
    /// keyed digests are, and halves what is left in case they are not.
    fn page_of(&self, disk: &dyn Disk, row: &Row) -> io::Result<Option<(u64, Vec<Row>)>> {
        let (mut low, mut high) = (0, self.pages());
        let (mut above, mut below) = (0, u64::MAX);
        let (mut best, mut guesses) = (None, 0..GUESSES);
        while low < high {
            let pages = high - low;
            let part = u128::from(row.leading().saturating_sub(above)) * u128::from(pages)
                / (u128::from(below.saturating_sub(above)) + 1);
            let guess = guesses.next().and_then(|_| u64::try_from(part).ok());
            let step = guess.map_or(pages / 2, |part| part.min(pages - 1));
            let probe = low + step;
            let rows = self.read(disk, probe, 1)?;
            let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            if first > row {
                (high, below) = (probe, first.leading());
            } else {
                let inside = last > row;
                (low, above) = (probe + 1, last.leading());
                best = Some((probe, rows));
                if inside {
                    break;
                }
            }
        }
        Ok(best)
    }

    /// All rows in order.
    pub(super) fn rows<'a>(&self, disk: &'a dyn Disk) -> Rows<'a> {
        Rows { run: *self, disk, page: 0, ready: Vec::new().into_iter() }
    }
}

/// The rows of a run, some pages at a time. After an error it ends.
pub(super) struct Rows<'a> {
    run: Run,
    disk: &'a dyn Disk,
    page: u64,
    ready: std::vec::IntoIter<Row>,
}

impl Iterator for Rows<'_> {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<io::Result<Row>> {
        if self.ready.len() == 0 && self.page < self.run.pages() {
            match self.run.read(self.disk, self.page, AHEAD) {
                Ok(rows) => self.ready = rows.into_iter(),
                Err(e) => {
                    self.page = u64::MAX;
                    return Some(Err(e));
                }
            }
            self.page += AHEAD;
        }
        self.ready.next().map(Ok)
    }
}

fn sum(page: u64, rows: &[u8]) -> [u8; SUM] {
    let mut sum = blake3::Hasher::new();
    sum.update(rows);
    sum.update(&page.to_be_bytes());
    sum.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
}

/// Writes a run under another name, and puts it in place when it is whole and flushed.
pub(super) struct Writer<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    bytes: Vec<u8>,
    /// Where the page that is being filled begins in `bytes`.
    page: usize,
    pages: u64,
    written: u64,
    rows: u64,
    last: Option<Row>,
}

impl<'a> Writer<'a> {
    pub(super) fn begin(disk: &'a dyn Disk, name: &str) -> io::Result<Self> {
        let (path, bytes) = (PathBuf::from(name), Vec::with_capacity(PIECE + PAGE));
        disk.put(&path, &[])?;
        Ok(Self { disk, path, bytes, page: 0, pages: 0, written: 0, rows: 0, last: None })
    }

    /// Adds a row that is not before the last one. The same row twice is one.
    pub(super) fn push(&mut self, row: Row) -> io::Result<()> {
        if self.last == Some(row) {
            return Ok(());
        }
        self.last = Some(row);
        self.rows += 1;
        self.bytes.extend(row.0.iter().flat_map(|word| word.to_be_bytes()));
        if self.bytes.len() - self.page == ROWS * ROW {
            self.end_page();
            if self.bytes.len() >= PIECE {
                self.write()?;
            }
        }
        Ok(())
    }

    fn end_page(&mut self) {
        let sum = sum(self.pages, self.bytes.get(self.page..).unwrap_or_default());
        self.bytes.extend_from_slice(&sum);
        self.page = self.bytes.len();
        self.pages += 1;
    }

    fn write(&mut self) -> io::Result<()> {
        self.disk.write_at(&self.path, self.written, &self.bytes)?;
        self.written += self.bytes.len() as u64;
        self.bytes.clear();
        self.page = 0;
        Ok(())
    }

    /// Flushes what was pushed.
    pub(super) fn flush(mut self) -> io::Result<Flushed<'a>> {
        if self.bytes.len() > self.page {
            self.end_page();
        }
        self.write()?;
        self.disk.sync_data(&self.path)?;
        Ok(Flushed(self))
    }
}

/// A run that is on the disk, but not under its name.
pub(super) struct Flushed<'a>(Writer<'a>);

impl Flushed<'_> {
    /// Puts it in place.
    pub(super) fn place(self, first: u64, last: u64) -> io::Result<Run> {
        let run = Run { first, last, rows: self.0.rows };
        self.0.disk.rename(&self.0.path, &run.path())?;
        Ok(run)
    }
}
