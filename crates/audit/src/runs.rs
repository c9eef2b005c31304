//! Sorting more records than fit in memory: sorted runs in unnamed files, merged at the end.
//!
//! Cost: each record is written once and read once for each time that [`FAN_IN`] runs become one; with the
//! bound that `verify` uses that is once up to some 60 million records.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
};

/// So many runs are merged into one before the next is begun.
const FAN_IN: usize = 64;
const BUFFER_BYTES: usize = 1 << 16;

/// Takes records in any order and gives them back ascending.
pub(crate) struct Sorter<const N: usize> {
    records_max: usize,
    held: Vec<[u8; N]>,
    runs: Vec<File>,
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
        for run in self.runs {
            sources.push(Source::File(BufReader::with_capacity(BUFFER_BYTES, run)));
        }
        Sorted::new(sources)
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
            let sources: Vec<Source<N>> = std::mem::take(&mut self.runs)
                .into_iter()
                .map(|run| Source::File(BufReader::with_capacity(BUFFER_BYTES, run)))
                .collect();
            self.runs.push(write_run(Sorted::new(sources)?)?);
        }
        Ok(())
    }
}

fn write_run<const N: usize>(records: impl Iterator<Item = io::Result<[u8; N]>>) -> io::Result<File> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, tempfile::tempfile()?);
    for record in records {
        out.write_all(&record?)?;
    }
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

enum Source<const N: usize> {
    Memory(std::vec::IntoIter<[u8; N]>),
    File(BufReader<File>),
}

impl<const N: usize> Source<N> {
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
    }
}
