//! What each entry must be, checked while it is taken in. What the entries mean is for `verify` and `replay`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    bundle::ENTRY_BYTES_MAX,
    hash::{Hash, sha256},
    header::{Header, Subjects},
    keyleaf::{KEY_LEAF_BYTES, KeyLeaf},
    siteleaf::{RoundLine, SITE_LEAF_BYTES_MAX, SiteBody, SiteLeaf},
};

/// How far a clock may be set back between two entries.
const TIME_BACK_SECONDS_MAX: u64 = 300;
/// The rest is counted only.
const PROBLEMS_MAX: usize = 20;

/// What a log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gateway,
    Keys,
    Site,
}

impl Kind {
    /// The longest leaf.
    pub(crate) fn leaf_bytes_max(self) -> usize {
        match self {
            Self::Gateway => ENTRY_BYTES_MAX,
            Self::Keys => KEY_LEAF_BYTES,
            Self::Site => SITE_LEAF_BYTES_MAX,
        }
    }

    /// Bundles that are fetched ahead: they bound the memory.
    pub(crate) fn window(self) -> usize {
        match self {
            Self::Gateway | Self::Keys => 32,
            Self::Site => 4,
        }
    }
}

/// Reads the entries of one log in their order.
pub(crate) struct Structure {
    kind: Kind,
    log: [u8; 8],
    time: Option<u64>,
    /// What must be held besides, and is not known to be.
    pub(crate) needs: Needs,
    /// What is wrong for good: an entry does not change.
    pub(crate) problems: Vec<String>,
    /// The newest round that was seen.
    pub(crate) round: Option<Vec<RoundLine>>,
}

/// Files that entries name.
#[derive(Default)]
pub(crate) struct Needs {
    /// Tag lists, and how many tags they must have.
    pub(crate) lists: BTreeMap<Hash, u32>,
    pub(crate) rulebooks: BTreeSet<Hash>,
}

impl Structure {
    /// Begins after the entry `last`, the newest that is held.
    pub(crate) fn new(kind: Kind, origin: &str, last: Option<&[u8]>) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = sha256(origin.as_bytes());
        let mut structure = Self {
            kind,
            log: [a, b, c, d, e, f, g, h],
            time: None,
            needs: Needs::default(),
            problems: Vec::new(),
            round: None,
        };
        structure.time = last.and_then(|leaf| structure.read(leaf).ok()).map(|(_, _, time)| time);
        (structure.needs, structure.round) = (Needs::default(), None);
        structure
    }

    /// Checks the entry at `index`.
    pub(crate) fn entry(&mut self, index: u64, leaf: &[u8]) {
        let (log, sequence, time) = match self.read(leaf) {
            Ok(read) => read,
            Err(why) => return self.problem(index, &why),
        };
        if log != self.log {
            self.problem(index, "it belongs to another log");
        }
        if sequence != index {
            self.problem(index, &format!("it says that it is number {sequence}"));
        }
        if let Some(before) = self.time.filter(|before| time < before.saturating_sub(TIME_BACK_SECONDS_MAX)) {
            self.problem(
                index,
                &format!("its time is {} s before that of the entry before it", before - time),
            );
        }
        self.time = Some(time);
    }

    fn problem(&mut self, index: u64, why: &str) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(format!("entry {index}: {why}"));
        }
    }

    /// The log, number and time that a leaf says.
    fn read(&mut self, leaf: &[u8]) -> Result<([u8; 8], u64, u64), String> {
        match self.kind {
            Kind::Gateway => {
                let (header, _) = Header::parse(leaf).map_err(|error| error.to_string())?;
                if header.rulebook != [0; 32] {
                    self.needs.rulebooks.insert(header.rulebook);
                }
                if let Subjects::List(root) = &header.subjects
                    && *self.needs.lists.entry(*root).or_insert(header.count) != header.count
                {
                    return Err("another entry says another number of tags for its list".into());
                }
                Ok((header.gateway, header.sequence, header.time))
            }
            Kind::Keys => {
                let leaf = KeyLeaf::parse(leaf).map_err(|error| error.to_string())?;
                Ok((leaf.log, leaf.sequence, leaf.time))
            }
            Kind::Site => {
                let leaf = SiteLeaf::parse(leaf).map_err(|error| error.to_string())?;
                if let SiteBody::Round(lines) = leaf.body {
                    self.round = Some(lines);
                }
                Ok((leaf.log, leaf.sequence, leaf.time))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(index: u64, time: u64) -> Vec<u8> {
        let mut leaf = vec![0; KEY_LEAF_BYTES];
        leaf[..8].copy_from_slice(b"CLVK\x01\x01\x01\x01");
        leaf[8..16].copy_from_slice(&sha256(b"keys.t/s")[..8]);
        leaf[16..24].copy_from_slice(&index.to_be_bytes());
        leaf[24..32].copy_from_slice(&time.to_be_bytes());
        (leaf[81], leaf[87], leaf[88]) = (1, 1, 9);
        leaf
    }

    #[test]
    fn a_leaf_of_another_log_number_or_time_is_a_problem() {
        let check = |leaf: &[u8]| {
            let mut structure = Structure::new(Kind::Keys, "keys.t/s", Some(&release(6, 10_000)));
            structure.entry(7, leaf);
            structure.problems
        };
        assert!(check(&release(7, 9_700)).is_empty());
        assert_eq!(check(&release(7, 9_699)).len(), 1);
        assert_eq!(check(&release(8, 10_000)).len(), 1);
        let mut other = release(7, 10_000);
        other[8] ^= 1;
        assert_eq!(check(&other).len(), 1);
        assert_eq!(check(&[1; 160]).len(), 1);
    }

    #[test]
    fn problems_are_bounded() {
        let mut structure = Structure::new(Kind::Site, "site.t/s", None);
        (0..1000).for_each(|index| structure.entry(index, b"no leaf"));
        assert_eq!(structure.problems.len(), PROBLEMS_MAX);
    }
}
