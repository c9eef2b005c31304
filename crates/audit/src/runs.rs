//! Sorting more records than fit in memory: sorted runs in unnamed files, merged at the end.
//!
//! Cost: each record is written once and read once for each time that [`FAN_IN`] runs become one; with the
//! bound that `verify` uses that is once up to some 60 million records.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    os::unix::fs::FileExt as _,
    sync::Arc,
};

/// So many runs are merged into one before the next is begun.
const FAN_IN: usize = 64;
const BUFFER_BYTES: usize = 1 << 16;

/// Takes records in any order and gives them back ascending.
pub(crate) struct Sorter<const N: usize> {
    records_max: usize,
    held: Vec<[u8; N]>,
    runs: Vec<Arc<File>>,
}

impl<const N: usize> Sorter<N> {
    /// Holds at most `records_max` records in memory, and at least one.
    pub(crate) fn new(records_max: usize) -> Self {
        Self { records_max: records_max.max(1), held: Vec::new(), runs: Vec::new() }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// If a run cannot be written.
    pub(crate) fn push(&mut self, record: [u8; N]) -> io::Result<()> {
        if self.held.len() >= self.records_max {
            self.spill()?;
        }
        self.held.push(record);
        Ok(())
    }

    /// All records, ascending.
    ///
    /// # Errors
    /// If a run cannot be read.
    pub(crate) fn finish(mut self) -> io::Result<Sorted<N>> {
        self.held.sort_unstable();
        let mut sources: Vec<Source<N>> = vec![Source::Memory(self.held.into_iter())];
        sources.extend(self.runs.into_iter().map(Source::of));
        Sorted::new(sources)
    }

    /// All records so far, ascending; more may be added later. What is in memory becomes a run.
    ///
    /// # Errors
    /// If a run cannot be written or read.
    pub(crate) fn sorted(&mut self) -> io::Result<Sorted<N>> {
        if !self.held.is_empty() {
            self.spill()?;
        }
        Sorted::new(self.runs.iter().cloned().map(Source::of).collect())
    }

    /// How many runs lie on the disk.
    #[cfg(test)]
    pub(crate) fn runs(&self) -> usize {
        self.runs.len()
    }

    fn spill(&mut self) -> io::Result<()> {
        self.held.sort_unstable();
        let held = self.held.iter().map(|record| Ok(*record));
        self.runs.push(write_run(held)?);
        self.held.clear();
        if self.runs.len() >= FAN_IN {
            let merged = write_run(Sorted::<N>::new(self.runs.iter().cloned().map(Source::of).collect())?)?;
            self.runs = vec![merged];
        }
        Ok(())
    }
}

fn write_run<const N: usize>(records: impl Iterator<Item = io::Result<[u8; N]>>) -> io::Result<Arc<File>> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, tempfile::tempfile()?);
    for record in records {
        out.write_all(&record?)?;
    }
    Ok(Arc::new(out.into_inner().map_err(io::IntoInnerError::into_error)?))
}

/// A run from its beginning; others may read it at the same time.
struct Run {
    file: Arc<File>,
    offset: u64,
}

impl Read for Run {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

enum Source<const N: usize> {
    Memory(std::vec::IntoIter<[u8; N]>),
    File(BufReader<Run>),
}

impl<const N: usize> Source<N> {
    fn of(file: Arc<File>) -> Self {
        Self::File(BufReader::with_capacity(BUFFER_BYTES, Run { file, offset: 0 }))
    }

    fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        match self {
            Self::Memory(records) => Ok(records.next()),
            Self::File(file) => {
                let mut record = [0; N];
                match file.read_exact(&mut record) {
                    Ok(()) => Ok(Some(record)),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

/// Records that ascend.
pub(crate) struct Sorted<const N: usize> {
    sources: Vec<Source<N>>,
    /// The next record of each source that has one.
    next: BinaryHeap<Reverse<([u8; N], usize)>>,
}

impl<const N: usize> Sorted<N> {
    fn new(mut sources: Vec<Source<N>>) -> io::Result<Self> {
        let mut next = BinaryHeap::new();
        for (number, source) in sources.iter_mut().enumerate() {
            if let Some(record) = source.next()? {
                next.push(Reverse((record, number)));
            }
        }
        Ok(Self { sources, next })
    }
}

impl<const N: usize> Iterator for Sorted<N> {
    type Item = io::Result<[u8; N]>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((record, number)) = self.next.pop()?;
        match self.sources.get_mut(number)?.next() {
            Ok(Some(following)) => self.next.push(Reverse((following, number))),
            Ok(None) => {}
            Err(error) => return Some(Err(error)),
        }
        Some(Ok(record))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_come_back_ascending_however_many_are_held(
            mut records in prop::collection::vec(any::<[u8; 3]>(), 0..300), held in 0_usize..400,
        ) {
            let mut sorter = Sorter::new(held);
            records.iter().for_each(|record| sorter.push(*record).unwrap());
            let spilled = sorter.runs() > 0;
            prop_assert_eq!(spilled, records.len() > held.max(1));
            prop_assert!(sorter.runs() < FAN_IN);
            let sorted: Vec<_> = sorter.finish().unwrap().map(Result::unwrap).collect();
            records.sort_unstable();
            prop_assert_eq!(sorted, records);
        }

        #[test]
        fn records_so_far_come_back_ascending_as_often_as_they_are_asked_for(
            parts in prop::collection::vec(prop::collection::vec(any::<[u8; 3]>(), 0..20), 0..80), held in 0_usize..40,
        ) {
            let (mut sorter, mut all) = (Sorter::new(held), Vec::new());
            for part in parts {
                part.iter().for_each(|record| sorter.push(*record).unwrap());
                all.extend(part);
                all.sort_unstable();
                let (first, second) = (sorter.sorted().unwrap(), sorter.sorted().unwrap());
                prop_assert!(first.map(Result::unwrap).eq(all.iter().copied()));
                prop_assert!(second.map(Result::unwrap).eq(all.iter().copied()));
                prop_assert!(sorter.runs() < FAN_IN);
            }
        }
    }
}
