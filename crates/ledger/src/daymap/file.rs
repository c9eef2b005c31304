//! The map as it lies on the disk, which is also its form in memory: built once, then any proof is made with
//! a few short reads, however large the map is.
//!
//! The file is the site's own and no format that others read. All integers are big-endian:
//!
//! | length | content |
//! |---|---|
//! | 8 | `CLVM`, version 1, three zeros |
//! | 8, 8 | numbers of tags and of pairs |
//! | 32 | root |
//! | 24 each | for each tag ascending: the tag, and the number of pairs up to and with its own |
//! | 16 each | the pairs, ascending by tag and pair |
//! | 32 each | roots of all complete subtrees of 2^8 leaves, then of 2^9, and so on |
//!
//! INVARIANT: no proof leaves here that does not hold against the root, whatever the bytes are.

use std::io;

use model::Tag;

use super::{Absence, Answer, AnswerError, HIGHEST, LOWEST, Leaf, PAIR_LEN, Pair, Record};
use crate::merkle::{Frontier, Hash, HashReader, ProveError, TreeHead, empty_root, node_hash, prove_several};

const MAGIC: [u8; 8] = *b"CLVM\x01\0\0\0";
const HEAD_LEN: usize = 56;
const ROW_LEN: usize = 24;
/// Below this level nodes are computed from the tags; from it on they are stored.
const STORED_LEVEL: u8 = 8;
/// Tags read at once where all are read.
const BLOCK: u64 = 1 << STORED_LEVEL;

/// Where a map's bytes lie.
pub trait ReadAt {
    /// Fills the buffer from this offset on.
    ///
    /// # Errors
    /// Whatever the reader meets; also when there are fewer bytes.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let bytes = start.and_then(|s| self.get(s..)?.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A map that cannot be read, or has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The reader's own error.
    #[error("cannot read the day map")]
    Read(#[from] io::Error),
    /// The bytes contradict one another.
    #[error("the day map's `{0}` is damaged")]
    Damaged(&'static str),
    /// A proof came out that does not hold: the bytes are not those that gave the root.
    #[error("the day map is damaged: a proof from it does not hold")]
    Proof(#[from] AnswerError),
    /// The tag of a sentinel, which is nobody's.
    #[error("the tag is that of a sentinel")]
    Sentinel,
}

/// A day's map in memory.
///
/// ```
/// use ledger::daymap::{DayMap, Pair};
/// use model::Tag;
///
/// let pair = |index| Pair { gateway: [7; 8], index };
/// let map = DayMap::build([(Tag::new([9; 16]), pair(3)), (Tag::new([9; 16]), pair(2))]);
/// assert_eq!((map.tags(), map.pairs(), map.head().size), (1, 2, 3));
/// assert_eq!(DayMap::from_bytes(map.to_bytes().to_vec())?, map);
/// # Ok::<(), ledger::daymap::MapError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct DayMap {
    bytes: Vec<u8>,
    tags: u64,
    pairs: u64,
    root: Hash,
}

impl std::fmt::Debug for DayMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DayMap({} tags, {} pairs, {:?})", self.tags, self.pairs, self.root)
    }
}

/// A pair and its tag as numbers, which sort fast.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    tag: u128,
    pair: u128,
}

impl DayMap {
    /// Builds the map from all pairs of a day, in any order. A pair that comes twice counts once; the tags
    /// of the sentinels are nobody's, and are left out. Takes about 75 bytes of memory a pair.
    #[must_use]
    pub fn build(pairs: impl IntoIterator<Item = (Tag, Pair)>) -> Self {
        let number = |(tag, pair): (Tag, Pair)| Row {
            tag: u128::from_be_bytes(*tag.bytes()),
            pair: u128::from_be_bytes(pair.to_bytes()),
        };
        let mut rows: Vec<Row> =
            pairs.into_iter().filter(|(t, _)| ![LOWEST, HIGHEST].contains(t)).map(number).collect();
        rows.sort_unstable();
        rows.dedup();
        let tags = rows.chunk_by(|a, b| a.tag == b.tag).count();
        let mut bytes = Vec::with_capacity(HEAD_LEN + tags * (ROW_LEN + 1) + rows.len() * PAIR_LEN + 4096);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&(tags as u64).to_be_bytes());
        bytes.extend_from_slice(&(rows.len() as u64).to_be_bytes());
        bytes.resize(HEAD_LEN, 0);
        let mut end = 0;
        for list in rows.chunk_by(|a, b| a.tag == b.tag) {
            end += list.len() as u64;
            bytes.extend(list.first().map_or(0, |r| r.tag).to_be_bytes());
            bytes.extend(end.to_be_bytes());
        }
        rows.iter().for_each(|r| bytes.extend(r.pair.to_be_bytes()));
        let mut map = Self { bytes, tags: tags as u64, pairs: rows.len() as u64, root: empty_root() };
        drop(rows);
        // What was just written has no other faults than a lack of memory.
        if let Ok((stored, root)) = map.lookup().tree() {
            map.root = root;
            map.bytes.extend(stored.iter().flat_map(|h| *h.as_bytes()));
            map.bytes.iter_mut().skip(24).zip(root.as_bytes()).for_each(|(to, b)| *to = *b);
        }
        map
    }

    /// Takes the bytes of [`DayMap::to_bytes`] and checks every one of them, which takes about as long as
    /// building. [`Lookup::open`] answers single questions without that.
    ///
    /// # Errors
    /// [`MapError::Damaged`] for anything that building would not give: tags or pairs that do not ascend,
    /// other numbers, another root.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, MapError> {
        let lookup = Lookup::open(bytes.as_slice())?;
        let Lookup { tags, pairs, root, .. } = lookup;
        let (stored, again) = lookup.tree()?;
        lookup.check_lists()?;
        if again != root {
            return Err(MapError::Damaged("root"));
        }
        let at = usize::try_from(lookup.nodes_at()).ok();
        let nodes = at.and_then(|at| bytes.get(at..)).ok_or(MapError::Damaged("length"))?;
        if !stored.iter().flat_map(|h| h.as_bytes()).eq(nodes) {
            return Err(MapError::Damaged("nodes"));
        }
        Ok(Self { bytes, tags, pairs, root })
    }

    /// The form in which a site keeps the map.
    #[must_use]
    pub fn to_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of leaves and root, against which proofs are checked.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.tags + 2, root: self.root }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// Number of tags, sentinels not counted.
    #[must_use]
    pub fn tags(&self) -> u64 {
        self.tags
    }

    /// Number of pairs.
    #[must_use]
    pub fn pairs(&self) -> u64 {
        self.pairs
    }

    /// The calendar's record, if this is the final map of that day.
    #[must_use]
    pub fn record(&self, day: u32) -> Record {
        Record { day, root: self.root, tags: self.tags, pairs: self.pairs }
    }

    /// Proves which entries carry a tag, or that none does.
    ///
    /// # Errors
    /// [`MapError::Sentinel`]; others cannot happen here.
    pub fn prove(&self, tag: &Tag) -> Result<Answer, MapError> {
        self.lookup().prove(tag)
    }

    fn lookup(&self) -> Lookup<&[u8]> {
        Lookup { from: &self.bytes, tags: self.tags, pairs: self.pairs, root: self.root }
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }
}

/// A day's map that stays where it lies: each question reads some ten kilobytes.
///
/// ```
/// use ledger::daymap::{DayMap, Lookup, Pair};
/// use model::Tag;
///
/// let ana = Tag::new([9; 16]);
/// let map = DayMap::build([(ana, Pair { gateway: [7; 8], index: 3 })]);
/// let lookup = Lookup::open(map.to_bytes())?;
/// assert_eq!(lookup.prove(&ana)?, map.prove(&ana)?);
/// # Ok::<(), ledger::daymap::MapError>(())
/// ```
#[derive(Debug)]
pub struct Lookup<R> {
    from: R,
    tags: u64,
    pairs: u64,
    root: Hash,
}

/// One tag, and where its pairs lie.
struct TagRow {
    tag: Tag,
    start: u64,
    end: u64,
}

impl<R: ReadAt> Lookup<R> {
    /// Reads the head. The caller compares [`Lookup::head`] with the calendar's record.
    ///
    /// # Errors
    /// [`MapError`] when it is no map.
    pub fn open(from: R) -> Result<Self, MapError> {
        let mut head = [0; HEAD_LEN];
        from.read_at(0, &mut head)?;
        let ([magic, tags, pairs, root @ ..], []) = head.as_chunks::<8>() else {
            return Err(MapError::Damaged("head"));
        };
        let (tags, pairs) = (u64::from_be_bytes(*tags), u64::from_be_bytes(*pairs));
        // No disk holds 2^48 pairs, and sums of offsets stay far from the end of a u64.
        if *magic != MAGIC || tags > pairs || pairs >> 48 != 0 {
            return Err(MapError::Damaged("head"));
        }
        let root = Hash::try_from(root.as_flattened()).map_err(|_| MapError::Damaged("head"))?;
        let map = Self { from, tags, pairs, root };
        // A count that the bytes do not bear out would ask for memory that nobody has.
        map.from.read_at(map.nodes_at() - 1, &mut [0])?;
        Ok(map)
    }

    /// Number of leaves and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.tags + 2, root: self.root }
    }

    /// Proves which entries carry a tag, or that none does.
    ///
    /// # Errors
    /// [`MapError`] when the map cannot be read or is damaged, or the tag is a sentinel's.
    pub fn prove(&self, tag: &Tag) -> Result<Answer, MapError> {
        if [LOWEST, HIGHEST].contains(tag) {
            return Err(MapError::Sentinel);
        }
        let before = self.tags_before(tag)?;
        let row = if before < self.tags { self.rows(before, before + 1)?.pop() } else { None };
        let answer = match row.filter(|row| row.tag == *tag) {
            Some(row) => {
                let list = Pair::list(&self.list(&row)?).ok_or(MapError::Damaged("pairs"))?;
                Answer::Present { index: before + 1, list, proof: self.path(&[before + 1])? }
            }
            None => Answer::Absent(self.absence(before)?),
        };
        answer.verify(tag, &self.head())?;
        Ok(answer)
    }

    /// How many tags are smaller.
    fn tags_before(&self, tag: &Tag) -> Result<u64, MapError> {
        let (mut low, mut high) = (0, self.tags);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut found = [0; 16];
            self.from.read_at(HEAD_LEN as u64 + middle * ROW_LEN as u64, &mut found)?;
            if Tag::new(found) < *tag { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// The leaves of this index and the next.
    fn absence(&self, index: u64) -> Result<Absence, MapError> {
        let leaves = self.leaves(index, index + 2)?;
        let [low, high] = leaves.try_into().map_err(|_| MapError::Damaged("leaf"))?;
        Ok(Absence { index, low, high, proof: self.path(&[index, index + 1])? })
    }

    fn path(&self, indices: &[u64]) -> Result<Vec<Hash>, MapError> {
        prove_several(&mut Nodes(self), indices, self.tags + 2).map_err(|error| match error {
            ProveError::Read(error) => error,
            _ => MapError::Damaged("leaf"),
        })
    }

    /// The tags of these positions, counted from 0 without sentinels.
    fn rows(&self, from: u64, to: u64) -> Result<Vec<TagRow>, MapError> {
        let before = u64::from(from > 0);
        let mut bytes = buffer((to - from + before) * ROW_LEN as u64)?;
        self.from.read_at(HEAD_LEN as u64 + (from - before) * ROW_LEN as u64, &mut bytes)?;
        let mut start = 0;
        let mut rows = Vec::with_capacity(bytes.len() / ROW_LEN);
        for row in bytes.as_chunks::<ROW_LEN>().0 {
            let (Some((tag, _)), Some((_, end))) =
                (row.split_first_chunk::<16>(), row.split_last_chunk::<8>())
            else {
                return Err(MapError::Damaged("tags"));
            };
            let end = u64::from_be_bytes(*end);
            rows.push(TagRow { tag: Tag::new(*tag), start, end });
            start = end;
        }
        // The row before was read for its end only.
        let rows = rows.split_off(usize::from(from > 0));
        let right = rows.iter().all(|r| r.start < r.end && r.end <= self.pairs);
        if right { Ok(rows) } else { Err(MapError::Damaged("tags")) }
    }

    fn list(&self, row: &TagRow) -> Result<Vec<u8>, MapError> {
        let mut bytes = buffer((row.end - row.start) * PAIR_LEN as u64)?;
        let at = HEAD_LEN as u64 + self.tags * ROW_LEN as u64 + row.start * PAIR_LEN as u64;
        self.from.read_at(at, &mut bytes)?;
        Ok(bytes)
    }

    /// The leaves of these indices, sentinels included.
    pub(super) fn leaves(&self, from: u64, to: u64) -> Result<Vec<Leaf>, MapError> {
        let mut leaves = Vec::with_capacity(usize::try_from(to - from).unwrap_or(0));
        if from == 0 {
            leaves.push(Leaf::of(LOWEST, &[]));
        }
        let rows = self.rows(from.max(1) - 1, to.min(self.tags + 1).max(1) - 1)?;
        if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
            let (start, end) = (first.start, last.end);
            let lists = self.list(&TagRow { tag: LOWEST, start, end })?;
            let mut rest = lists.as_slice();
            for row in &rows {
                let length = usize::try_from((row.end - row.start) * PAIR_LEN as u64).ok();
                let split =
                    length.and_then(|n| rest.split_at_checked(n)).ok_or(MapError::Damaged("pairs"))?;
                leaves.push(Leaf::over(row.tag, split.0));
                rest = split.1;
            }
        }
        if to == self.tags + 2 {
            leaves.push(Leaf::of(HIGHEST, &[]));
        }
        Ok(leaves)
    }

    /// Where the stored nodes begin.
    fn nodes_at(&self) -> u64 {
        HEAD_LEN as u64 + self.tags * ROW_LEN as u64 + self.pairs * PAIR_LEN as u64
    }

    /// Hashes the whole map: the nodes to store, and the root. Checks that the tags ascend.
    fn tree(&self) -> Result<(Vec<Hash>, Hash), MapError> {
        let size = self.tags + 2;
        let (mut row, mut tops, mut last) = (Vec::new(), Frontier::new(), None);
        for from in (0..size).step_by(1 << STORED_LEVEL) {
            let to = size.min(from + BLOCK);
            let mut block = Frontier::new();
            for leaf in self.leaves(from, to)? {
                if last.is_some_and(|last| last >= leaf.tag) {
                    return Err(MapError::Damaged("order of tags"));
                }
                last = Some(leaf.tag);
                block.push(leaf.hash());
            }
            // A tree over the roots of equal blocks, the last one cut, is the tree over their leaves.
            tops.push(block.root());
            if to - from == BLOCK {
                row.push(block.root());
            }
        }
        let mut stored = Vec::new();
        while !row.is_empty() {
            stored.extend_from_slice(&row);
            row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
        }
        Ok((stored, tops.root()))
    }

    /// Checks that every list ascends, and that the last ends with the last pair.
    fn check_lists(&self) -> Result<(), MapError> {
        let mut end = 0;
        for from in (0..self.tags).step_by(1 << STORED_LEVEL) {
            for row in self.rows(from, self.tags.min(from + BLOCK))? {
                Pair::list(&self.list(&row)?).ok_or(MapError::Damaged("order of pairs"))?;
                end = row.end;
            }
        }
        if end == self.pairs { Ok(()) } else { Err(MapError::Damaged("number of pairs")) }
    }
}

/// Zeros, for as many bytes as the memory has.
fn buffer(length: u64) -> Result<Vec<u8>, MapError> {
    let length = usize::try_from(length).map_err(|_| MapError::Damaged("length"))?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| MapError::Damaged("length"))?;
    bytes.resize(length, 0);
    Ok(bytes)
}

struct Nodes<'a, R>(&'a Lookup<R>);

impl<R: ReadAt> HashReader for Nodes<'_, R> {
    type Error = MapError;

    fn node(&mut self, level: u8, index: u64) -> Result<Hash, MapError> {
        let (map, size) = (self.0, self.0.tags + 2);
        if level < STORED_LEVEL {
            let mut tree = Frontier::new();
            for leaf in map.leaves(index << level, (index + 1) << level)? {
                tree.push(leaf.hash());
            }
            return Ok(tree.root());
        }
        let below: u64 = (STORED_LEVEL..level).map(|l| size >> l).sum();
        let mut hash = [0; Hash::LEN];
        map.from.read_at(map.nodes_at() + (below + index) * Hash::LEN as u64, &mut hash)?;
        Ok(Hash::from_bytes(hash))
    }
}
