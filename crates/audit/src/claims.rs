//! What rounds say of one log: its root at sizes that never fall. Kept in a file, read as the log is walked.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
};

use tempfile::NamedTempFile;

use crate::hash::Hash;

const RECORD_BYTES: usize = 64;

/// One size of a log and the root at it, as a run of rounds says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    /// Index of the first entry of the site log that says so.
    pub(crate) place: u64,
    /// Times of the first and of the last such round in a row.
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// Collects the claims about one log, in the order of the rounds.
pub(crate) struct Claims {
    out: BufWriter<NamedTempFile>,
    pending: Option<Claim>,
    count: u64,
}

/// What is wrong with a claim after those before it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ClaimError {
    /// The size falls; it was this before.
    Falls(u64),
    /// The same size has another root.
    OtherRoot,
}

impl Claims {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { out: BufWriter::new(NamedTempFile::new()?), pending: None, count: 0 })
    }

    /// Adds what one round says. A claim that contradicts those before it is not kept.
    pub(crate) fn add(
        &mut self,
        size: u64,
        root: Hash,
        place: u64,
        time: u64,
    ) -> io::Result<Result<(), ClaimError>> {
        match &mut self.pending {
            Some(before) if size < before.size => return Ok(Err(ClaimError::Falls(before.size))),
            Some(before) if size == before.size => {
                before.last = before.last.max(time);
                return Ok(if root == before.root { Ok(()) } else { Err(ClaimError::OtherRoot) });
            }
            _ => {}
        }
        let claim = Claim { size, root, place, first: time, last: time };
        if let Some(before) = self.pending.replace(claim) {
            write(&mut self.out, &before)?;
            self.count += 1;
        }
        Ok(Ok(()))
    }

    /// Closes the collection, and returns two readers that know nothing of each other.
    pub(crate) fn finish(mut self) -> io::Result<[ClaimReader; 2]> {
        if let Some(last) = self.pending.take() {
            write(&mut self.out, &last)?;
            self.count += 1;
        }
        // The file loses its name here, and lives as long as its readers.
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let reader = || -> io::Result<ClaimReader> {
            Ok(ClaimReader { file: BufReader::new(file.reopen()?), left: self.count, next: None })
        };
        Ok([reader()?, reader()?])
    }
}

fn write(out: &mut impl Write, claim: &Claim) -> io::Result<()> {
    out.write_all(&claim.size.to_be_bytes())?;
    out.write_all(&claim.root)?;
    for number in [claim.place, claim.first, claim.last] {
        out.write_all(&number.to_be_bytes())?;
    }
    Ok(())
}

/// Claims one after another.
pub(crate) struct ClaimReader {
    file: BufReader<File>,
    left: u64,
    next: Option<Claim>,
}

impl ClaimReader {
    /// The next claim, which stays the next.
    pub(crate) fn peek(&mut self) -> io::Result<Option<Claim>> {
        if self.next.is_none() && self.left > 0 {
            self.left -= 1;
            let mut record = [0; RECORD_BYTES];
            self.file.read_exact(&mut record)?;
            self.next = parse(&record);
        }
        Ok(self.next)
    }

    /// The next claim, if its size is at most `size`.
    pub(crate) fn next_up_to(&mut self, size: u64) -> io::Result<Option<Claim>> {
        Ok(self.peek()?.filter(|claim| claim.size <= size).inspect(|_| self.next = None))
    }
}

fn parse(record: &[u8; RECORD_BYTES]) -> Option<Claim> {
    let (size, rest) = record.split_first_chunk::<8>()?;
    let (root, rest) = rest.split_first_chunk::<32>()?;
    let ([place, first, last], []) = rest.as_chunks::<8>() else { return None };
    Some(Claim {
        size: u64::from_be_bytes(*size),
        root: *root,
        place: u64::from_be_bytes(*place),
        first: u64::from_be_bytes(*first),
        last: u64::from_be_bytes(*last),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rounds_become_one_claim_with_both_times() {
        let mut claims = Claims::new().unwrap();
        for (size, place, time) in [(0, 1, 10), (0, 2, 11), (5, 3, 12), (9, 4, 13), (9, 5, 14), (9, 6, 20)] {
            assert_eq!(claims.add(size, [size as u8; 32], place, time).unwrap(), Ok(()));
        }
        assert_eq!(claims.add(8, [8; 32], 7, 21).unwrap(), Err(ClaimError::Falls(9)));
        assert_eq!(claims.add(9, [8; 32], 8, 22).unwrap(), Err(ClaimError::OtherRoot));
        let [mut reader, _] = claims.finish().unwrap();
        assert_eq!(reader.next_up_to(4).unwrap().map(|claim| (claim.first, claim.last)), Some((10, 11)));
        assert_eq!(reader.next_up_to(4).unwrap(), None);
        assert_eq!(reader.next_up_to(5).unwrap().map(|claim| claim.place), Some(3));
        assert_eq!(reader.next_up_to(100).unwrap().map(|claim| (claim.first, claim.last)), Some((13, 22)));
        assert_eq!(reader.next_up_to(100).unwrap(), None);
    }
}
