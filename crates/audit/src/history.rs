//! A person's history, checked from the file alone (`docs/formats/day-map.md`).
//!
//! It shows every entry of a period that names the person, and that there is no other. The checker believes
//! the site's key and the witnesses of the policy, and nothing in the file.

mod file;
mod report;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use std::collections::BTreeMap;

use aws_lc_rs::hmac;

pub(crate) use self::file::date;
pub use self::{
    file::day_of_date,
    report::{HistoryReport, Witnessed},
};
use self::{
    file::{Absence, DayProof, History, LogProof, Placed, Presence},
    words::Told,
};
use crate::{
    checkpoint::Checkpoint,
    daymap::{DAY_SECONDS, LEAF_BYTES, map_leaf, record},
    hash::{Hash, leaf_hash, root_from_several, root_of, sha256},
    header::{Header, Subjects, Tag},
    note::VerifierKey,
    quorum::Policy,
    siteleaf::{DayMapEntry, SiteBody, SiteLeaf},
};

/// Why a history shows nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The policy of witnesses is not usable.
    #[error("the policy is refused: {0}")]
    Policy(String),
    /// The file is not of the form of the page.
    #[error("not a history: {0}")]
    Form(String),
    /// The entries of a log are not proved, or not those that the days name.
    #[error("the log at place `{place}` of the file {why}")]
    Log {
        /// Counted from 0.
        place: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// The checkpoint is not signed by the site, or not cosigned by the quorum.
    #[error("the checkpoint is refused: {0}")]
    Checkpoint(String),
    /// A leaf of the site log is not what it should be, or not in the log.
    #[error("the {0} {1}")]
    Site(&'static str, String),
    /// A day is not proved.
    #[error("the day `{day}` {why}")]
    Day {
        /// `YYYY-MM-DD`.
        day: String,
        /// What is wrong.
        why: &'static str,
    },
    /// An entry is not the one that the days name.
    #[error("the entry at place `{place}` of the file {why}")]
    Entry {
        /// Counted from 0.
        place: usize,
        /// What is wrong.
        why: &'static str,
    },
}

type Result<T> = std::result::Result<T, HistoryError>;

/// Checks a history against the key of the site log. With a policy (C2SP tlog-policy) the quorum must have
/// cosigned the checkpoint.
///
/// # Errors
/// If anything in the file does not hold: then it shows nothing.
///
/// ```
/// let key = audit::VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")?;
/// assert!(audit::verify_history(b"{}", &key, None).is_err());
/// # Ok::<(), audit::KeyError>(())
/// ```
pub fn verify_history(file: &[u8], site: &VerifierKey, policy: Option<&str>) -> Result<HistoryReport> {
    let policy = policy.map(Policy::parse).transpose();
    let policy = policy.map_err(|error| HistoryError::Policy(error.to_string()))?;
    let history = History::parse(file).map_err(|error| HistoryError::Form(error.to_string()))?;
    let refused = |error: String| HistoryError::Checkpoint(error);
    let note = history.checkpoint.as_bytes();
    let checkpoint = Checkpoint::open(note, site).map_err(|error| refused(error.to_string()))?;
    if checkpoint.origin != site.name() {
        return Err(refused("its origin is not the name of the key".into()));
    }
    let witnessed = match policy.filter(Policy::asks) {
        None => Witnessed::No,
        Some(policy) => {
            let cosigners = policy.check(note, site).map_err(|error| refused(error.to_string()))?;
            Witnessed::by(cosigners)
        }
    };
    let maps = Maps::read(&history, &checkpoint)?;
    let named = check_days(&history, &maps)?;
    let entries = check_entries(&history, &maps, &named)?;
    Ok(HistoryReport::new(&history, &maps, &checkpoint, witnessed, entries))
}

/// The maps that the file shows to be in the site log.
struct Maps {
    anchor: Option<DayMapEntry>,
    interim: Option<DayMapEntry>,
    records: Vec<[u8; LEAF_BYTES]>,
    /// Day of the first record.
    first: Option<u64>,
}

impl Maps {
    fn read(history: &History, checkpoint: &Checkpoint) -> Result<Self> {
        let entry = |placed: &Option<Placed>, what, is_final| {
            placed.as_ref().map(|placed| day_map(placed, checkpoint, what, is_final)).transpose()
        };
        let anchor = entry(&history.anchor, "anchor", true)?;
        let interim = entry(&history.interim, "interim map", false)?;
        let records = history.calendar.clone();
        let first = records.first().map(day_of);
        let maps = Self { anchor, interim, records, first };
        maps.calendar_holds()?;
        maps.interim_follows()?;
        Ok(maps)
    }

    /// The records are those that the anchor counts, a day each, and end with the anchor's own.
    fn calendar_holds(&self) -> Result<()> {
        let wrong = |why: &str| Err(HistoryError::Site("calendar", why.to_owned()));
        let Some(anchor) = &self.anchor else {
            return if self.records.is_empty() { Ok(()) } else { wrong("has no anchor") };
        };
        let leaves: Vec<Hash> =
            self.records.iter().map(|record| leaf_hash(record, &mut Vec::new())).collect();
        if anchor.calendar_records != leaves.len() as u64 || anchor.calendar_root != root_of(&leaves) {
            return wrong("is not the one of the anchor");
        }
        let days = (self.first.unwrap_or_default()..).zip(&self.records);
        if !days.into_iter().all(|(day, record)| day_of(record) == day) {
            return wrong("has a gap");
        }
        let day = u32::try_from(anchor.day).unwrap_or(u32::MAX);
        if self.records.last() != Some(&record(day, &anchor.root, anchor.tags, anchor.pairs)) {
            return wrong("does not end with the day of the anchor");
        }
        Ok(())
    }

    fn interim_follows(&self) -> Result<()> {
        let wrong = |why: &str| Err(HistoryError::Site("interim map", why.to_owned()));
        let Some(interim) = &self.interim else { return Ok(()) };
        let Some(anchor) = &self.anchor else {
            return if interim.calendar_records == 0 {
                Ok(())
            } else {
                wrong("has a calendar, and the file none")
            };
        };
        if interim.day <= anchor.day {
            return wrong("is not of a day after the anchor's");
        }
        // It may stand before the anchor in the log, and then counts fewer records.
        let counted =
            usize::try_from(interim.calendar_records).ok().and_then(|count| self.records.get(..count));
        let Some(counted) = counted else { return wrong("counts final maps that the file leaves out") };
        let leaves: Vec<Hash> = counted.iter().map(|record| leaf_hash(record, &mut Vec::new())).collect();
        if interim.calendar_root == root_of(&leaves) { Ok(()) } else { wrong("has another calendar") }
    }

    /// The root and the number of leaves of the map of a day.
    fn of_day(&self, day: u64) -> Option<(Hash, u64)> {
        if let Some(interim) = self.interim.as_ref().filter(|interim| interim.day == day) {
            return Some((interim.root, interim.tags.checked_add(2)?));
        }
        let place = usize::try_from(day.checked_sub(self.first?)?).ok()?;
        let record = self.records.get(place)?;
        let (root, rest) = record.get(4..)?.split_first_chunk::<32>()?;
        let tags = u64::from_be_bytes(*rest.first_chunk()?);
        Some((*root, tags.checked_add(2)?))
    }

    /// The size and root of a gateway's log at which its entries are proved.
    fn log(&self, origin: &str) -> Option<(u64, Hash)> {
        let map = self.interim.as_ref().or(self.anchor.as_ref())?;
        let input = map.inputs.iter().find(|input| input.origin == origin)?;
        Some((input.to, input.root))
    }
}

fn day_of(record: &[u8; LEAF_BYTES]) -> u64 {
    record.first_chunk().map_or(0, |day| u64::from(u32::from_be_bytes(*day)))
}

/// A day-map entry that is in the site log.
fn day_map(
    placed: &Placed,
    checkpoint: &Checkpoint,
    what: &'static str,
    is_final: bool,
) -> Result<DayMapEntry> {
    let wrong = |why: &str| HistoryError::Site(what, why.to_owned());
    let leaves = [(placed.index, leaf_hash(&placed.leaf, &mut Vec::new()))];
    if root_from_several(&leaves, checkpoint.size, &placed.proof) != Some(checkpoint.root) {
        return Err(wrong("is not proved to be in the site log"));
    }
    let leaf = SiteLeaf::parse(&placed.leaf).map_err(|error| wrong(&format!("is refused: {error}")))?;
    if leaf.sequence != placed.index || sha256(checkpoint.origin.as_bytes()).first_chunk() != Some(&leaf.log)
    {
        return Err(wrong("is of another log or place"));
    }
    match leaf.body {
        SiteBody::DayMap(map) if map.is_final == is_final && u32::try_from(map.day).is_ok() => Ok(map),
        _ => Err(wrong("is an entry of another kind")),
    }
}

/// A pair of a list: gateway and index.
type Pair = [u8; 16];

/// Which entries the days name, and on which day.
type Named = BTreeMap<Pair, u64>;

fn check_days(history: &History, maps: &Maps) -> Result<Named> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &history.tag_key);
    let mut named = Named::new();
    for found in &history.days {
        let day = found.day;
        let wrong = |why| HistoryError::Day { day: file::date(day), why };
        let tag = tag_of(&key, &history.log_set, day).ok_or_else(|| wrong("is out of range"))?;
        let map = maps.of_day(day);
        let pairs: &[Pair] = match (&found.proof, map) {
            (DayProof::Outside, _) => {
                let before = maps.first.is_some_and(|first| day < first);
                before.then_some(&[][..]).ok_or_else(|| wrong("is not before the first record"))?
            }
            (_, None) => return Err(wrong("is in no map")),
            (DayProof::Absent(absence), Some((root, size))) => {
                absent(absence, tag, &root, size).map_err(wrong)?;
                &[]
            }
            (DayProof::Present(presence), Some((root, size))) => {
                present(presence, tag, &root, size).map_err(wrong)?;
                &presence.list
            }
        };
        for pair in pairs {
            if named.insert(*pair, day).is_some() {
                return Err(wrong("names an entry of another day"));
            }
        }
    }
    Ok(named)
}

/// The person's tag on a day.
fn tag_of(key: &hmac::Key, log_set: &str, day: u64) -> Option<Tag> {
    let mut text = log_set.as_bytes().to_vec();
    text.push(0);
    text.extend_from_slice(&u32::try_from(day).ok()?.to_be_bytes());
    hmac::sign(key, &text).as_ref().first_chunk().copied()
}

fn present(presence: &Presence, tag: Tag, root: &Hash, size: u64) -> std::result::Result<(), &'static str> {
    if presence.list.is_empty() || !presence.list.is_sorted_by(|left, right| left < right) {
        return Err("has a list that is empty, or not ascending and distinct");
    }
    let count = u32::try_from(presence.list.len()).map_err(|_| "has a list that is too long")?;
    let leaf = map_leaf(u128::from_be_bytes(tag), count, &sha256(presence.list.as_flattened()));
    let leaves = [(presence.index, leaf_hash(&leaf, &mut Vec::new()))];
    if root_from_several(&leaves, size, &presence.proof) == Some(*root) {
        return Ok(());
    }
    Err("has a list that is not the one of the map")
}

fn absent(absence: &Absence, tag: Tag, root: &Hash, size: u64) -> std::result::Result<(), &'static str> {
    let (low, high) = (&absence.low, &absence.high);
    let tag_in = |leaf: &[u8; LEAF_BYTES]| leaf.first_chunk::<16>().copied().unwrap_or_default();
    if !(tag_in(low) < tag && tag < tag_in(high)) {
        return Err("has neighbours that do not enclose the tag");
    }
    let next = absence.index.checked_add(1).ok_or("has a neighbour that is in no map")?;
    let leaves = [(absence.index, low), (next, high)];
    let leaves = leaves.map(|(index, leaf)| (index, leaf_hash(leaf, &mut Vec::new())));
    if root_from_several(&leaves, size, &absence.proof) == Some(*root) {
        return Ok(());
    }
    Err("has neighbours that are not those of the map")
}

/// Every named entry is there once, and is what it is said to be.
fn check_entries(history: &History, maps: &Maps, named: &Named) -> Result<Vec<Told>> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &history.tag_key);
    let mut told: Vec<Told> = Vec::new();
    let mut expected = named.iter().peekable();
    for (place, log) in history.logs.iter().enumerate() {
        let wrong = |why| HistoryError::Log { place, why };
        let id = sha256(log.origin.as_bytes()).first_chunk::<8>().copied().unwrap_or_default();
        let mut indices = Vec::new();
        while let Some((pair, day)) = expected.next_if(|(pair, _)| pair.starts_with(&id)) {
            indices.push((pair.last_chunk().map_or(0, |index| u64::from_be_bytes(*index)), *day));
        }
        if indices.is_empty() || indices.len() != log.leaves.len() {
            return Err(wrong("is not the next of which the days name entries, or has not as many"));
        }
        in_log(log, &indices, maps).map_err(wrong)?;
        for ((index, day), leaf) in indices.iter().zip(&log.leaves) {
            let wrong = |why| HistoryError::Entry { place: told.len(), why };
            let header = entry(leaf, id, *index).map_err(wrong)?;
            if header.time / DAY_SECONDS != *day {
                return Err(wrong("is of another day than the map that names it"));
            }
            let tag =
                tag_of(&key, &history.log_set, *day).ok_or_else(|| wrong("is of a day out of range"))?;
            let names = match &header.subjects {
                Subjects::Inline(tags) => tags.contains(&tag),
                // The tags of the list are in the map; its root says no more here.
                Subjects::List(_) => true,
                Subjects::None | Subjects::Everyone => false,
            };
            if !names {
                return Err(wrong("does not name the person"));
            }
            told.push(Told::new(&log.origin, &header));
        }
    }
    if expected.next().is_some() {
        return Err(HistoryError::Form("a log of which a day names an entry is left out".into()));
    }
    told.sort_by(|left, right| left.time.cmp(&right.time));
    Ok(told)
}

/// The leaves stand at these indices of the log that the map reads.
fn in_log(log: &LogProof, indices: &[(u64, u64)], maps: &Maps) -> std::result::Result<(), &'static str> {
    let (size, root) = maps.log(&log.origin).ok_or("is not one that the map reads")?;
    let leaves: Vec<(u64, Hash)> = indices
        .iter()
        .zip(&log.leaves)
        .map(|((index, _), leaf)| (*index, leaf_hash(leaf, &mut Vec::new())))
        .collect();
    if root_from_several(&leaves, size, &log.proof) == Some(root) {
        return Ok(());
    }
    Err("has entries that are not proved to be in it")
}

fn entry(leaf: &[u8], gateway: [u8; 8], index: u64) -> std::result::Result<Header, &'static str> {
    let (header, _) = Header::parse(leaf).map_err(|_| "has a header that is refused")?;
    if header.sequence != index || header.gateway != gateway {
        return Err("is of another log or place than its header says");
    }
    Ok(header)
}

/// Checks a file as [`verify_history`] does, but for the signatures, which no fuzzer can make.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn check_unsigned(file: &[u8]) -> Option<usize> {
    let history = History::parse(file).ok()?;
    let (text, _) = history.checkpoint.split_once("\n\n")?;
    let checkpoint = Checkpoint::read(text).ok()?;
    let maps = Maps::read(&history, &checkpoint).ok()?;
    let named = check_days(&history, &maps).ok()?;
    check_entries(&history, &maps, &named).ok().map(|told| told.len())
}
