//! The tree over the final maps, one record for each day.

use crate::merkle::{self, Frontier, Hash, TreeHead};

/// Length of a record in bytes.
pub const RECORD_LEN: usize = 52;

/// The final map of a day, as the calendar counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Days since 1970-01-01 UTC.
    pub day: u32,
    /// Root of its map.
    pub root: Hash,
    /// Tags in it, sentinels not counted.
    pub tags: u64,
    /// Pairs of a tag and an entry.
    pub pairs: u64,
}

impl Record {
    /// The 52 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; RECORD_LEN] {
        let (day, tags, pairs) = (self.day.to_be_bytes(), self.tags.to_be_bytes(), self.pairs.to_be_bytes());
        let fields = day.iter().chain(self.root.as_bytes()).chain(&tags).chain(&pairs);
        let mut out = [0; RECORD_LEN];
        out.iter_mut().zip(fields).for_each(|(to, b)| *to = *b);
        out
    }

    /// Reads the 52 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; RECORD_LEN]) -> Option<Self> {
        let (day, rest) = bytes.split_first_chunk::<4>()?;
        let (root, rest) = rest.split_first_chunk::<32>()?;
        let ([tags, pairs], []) = rest.as_chunks::<8>() else { return None };
        Some(Self {
            day: u32::from_be_bytes(*day),
            root: Hash::from_bytes(*root),
            tags: u64::from_be_bytes(*tags),
            pairs: u64::from_be_bytes(*pairs),
        })
    }

    /// Number of leaves and root of the day's map, as its proofs are checked against them.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.tags.saturating_add(2), root: self.root }
    }
}

/// The records of all days from the first on, without a gap.
///
/// ```
/// use ledger::daymap::{Calendar, DayMap};
///
/// let mut calendar = Calendar::default();
/// calendar.push(DayMap::build([]).record(20_000))?;
/// calendar.push(DayMap::build([]).record(20_001))?;
/// assert!(calendar.push(DayMap::build([]).record(20_003)).is_err(), "a gap");
/// assert_eq!(Calendar::from_bytes(&calendar.to_bytes())?, calendar);
/// # Ok::<(), ledger::daymap::CalendarError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar {
    /// INVARIANT: the days ascend by one.
    records: Vec<Record>,
}

/// A calendar that would have a gap, or bytes that are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CalendarError {
    /// Another day is due.
    #[error("the calendar goes on with day `{wanted}`, not with `{found}`")]
    Day {
        /// The day that is due.
        wanted: u32,
        /// The day of the record.
        found: u32,
    },
    /// Not whole records.
    #[error("`{0}` bytes are not whole records of 52")]
    Length(usize),
}

impl Calendar {
    /// Appends the next day.
    ///
    /// # Errors
    /// [`CalendarError::Day`] when it is not the day after the last; then nothing is appended.
    pub fn push(&mut self, record: Record) -> Result<(), CalendarError> {
        let wanted = self.records.last().map_or(record.day, |last| last.day.saturating_add(1));
        if record.day != wanted {
            return Err(CalendarError::Day { wanted, found: record.day });
        }
        self.records.push(record);
        Ok(())
    }

    /// All records, ascending by day.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The record of a day, if there is one.
    #[must_use]
    pub fn day(&self, day: u32) -> Option<&Record> {
        let first = self.records.first()?.day;
        self.records.get(usize::try_from(day.checked_sub(first)?).ok()?)
    }

    /// Number of records and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        let mut tree = Frontier::new();
        self.records.iter().for_each(|r| {
            tree.push(merkle::leaf_hash(&r.to_bytes()));
        });
        tree.head()
    }

    /// The calendar as it was when it had so many records. `None` if it never had.
    #[must_use]
    pub fn at(&self, size: u64) -> Option<Self> {
        let records = self.records.get(..usize::try_from(size).ok()?)?.to_vec();
        Some(Self { records })
    }

    /// The records, concatenated.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.records.iter().flat_map(Record::to_bytes).collect()
    }

    /// Reads concatenated records. The caller compares [`Calendar::head`] with a signed one.
    ///
    /// # Errors
    /// [`CalendarError`] when they are not whole, or have a gap.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CalendarError> {
        let (records, rest) = bytes.as_chunks::<RECORD_LEN>();
        if !rest.is_empty() {
            return Err(CalendarError::Length(bytes.len()));
        }
        let mut calendar = Self::default();
        for record in records.iter().filter_map(Record::from_bytes) {
            calendar.push(record)?;
        }
        Ok(calendar)
    }
}
