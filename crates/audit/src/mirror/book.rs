//! The site log read entry by entry: who is enrolled, whether every round tells the truth, and every day map.
//!
//! An entry is *checked* when all that it says has been compared with the entries that the mirror holds. A
//! checkpoint of the site log is cosigned only when every entry that it counts is checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{
    bundle::split_leaves,
    daymap::{self, Ahead, DayMaps, Problem},
    nodes::{NodeError, Nodes, read_tile},
    siteleaf::{DayMapEntry, Enrolled, Role, RoundLine, SITE_LEAF_BYTES_MAX, SiteBody, SiteLeaf},
    tile::{Level, TILE_WIDTH, Tile},
    tree::{Tree, hex, hex_of},
};

/// Longer between two entries is a gap in the record (`docs/formats/site-log.md`).
const GAP_SECONDS_MAX: u64 = 10;
const BUNDLE_BYTES_MAX: u64 = TILE_WIDTH * (2 + SITE_LEAF_BYTES_MAX as u64);

/// Where the reading stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Book {
    /// Index of the next entry to check.
    pub(crate) next: u64,
    /// Root of the site log at size `next`, in hexadecimal digits: the book is of this log and no other.
    root: String,
    time: Option<u64>,
    /// The enrolled logs by origin.
    pub(crate) enrolled: BTreeMap<String, Member>,
    /// The gateways that are or ever were enrolled.
    gateways: BTreeSet<String>,
    /// The size at which each retired log ends; none when it was told that it has grown.
    retired: BTreeMap<String, Option<u64>>,
    /// What is said last of each log.
    lines: BTreeMap<String, Line>,
    /// Times between two entries that were too long.
    pub(crate) gaps: u64,
    /// The final day maps so far: what the calendar is made of.
    finals: Vec<FinalMap>,
    #[serde(skip)]
    maps: DayMaps,
}

/// A record of the calendar.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FinalMap {
    day: u64,
    root: String,
    tags: u64,
    pairs: u64,
}

/// An enrolled log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    pub(crate) vkey: String,
    pub(crate) gateway: bool,
    pub(crate) prefix: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    size: u64,
    root: String,
}

impl FinalMap {
    /// As much of the entry as the calendar needs.
    fn entry(&self) -> DayMapEntry {
        DayMapEntry {
            day: self.day,
            is_final: true,
            root: hex(&self.root).unwrap_or_default(),
            tags: self.tags,
            pairs: self.pairs,
            inputs: Vec::new(),
            calendar_root: [0; 32],
            calendar_records: 0,
        }
    }
}

/// Where reading stopped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// All entries are checked.
    Done,
    /// The list of logs changed: go on when they are followed.
    Enrolled,
    /// A log is not held as far as an entry says.
    Behind { origin: String, size: u64 },
    /// The entry is checked, and what it says is wrong. Reading can go on.
    Wrong(String),
}

/// The trees that the mirror holds, by origin.
pub(crate) type Trees = BTreeMap<String, Held>;

/// The tree of one log.
pub(crate) struct Held {
    pub(crate) folder: PathBuf,
    pub(crate) tree: Tree,
    pub(crate) size: u64,
}

/// Why the book cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BookError {
    #[error("the site log cannot be read: {0}")]
    Unreadable(String),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error("a day map cannot be built: {0}")]
    Map(Problem),
}

impl Book {
    /// Takes up a book that was saved, if it is of this log. Else the log is read from its beginning.
    pub(crate) fn resume(saved: Option<&[u8]>, site: &Tree, size: u64) -> Self {
        let book = saved.and_then(|bytes| serde_json::from_slice::<Self>(bytes).ok());
        let fits = |book: &Self| {
            book.next <= size
                && Nodes::new(site).root_at(book.next).is_ok_and(|root| hex(&book.root) == Some(root))
        };
        let mut book = book.filter(fits).unwrap_or_default();
        for record in &book.finals {
            book.maps.accept(&record.entry());
        }
        book
    }

    /// The book as it is saved.
    pub(crate) fn save(&mut self, site: &Tree) -> Result<Vec<u8>, BookError> {
        self.root = hex_of(&Nodes::new(site).root_at(self.next)?);
        serde_json::to_vec(self).map_err(|error| BookError::Unreadable(error.to_string()))
    }

    /// The day whose final map comes next, and the gateways whose entries it counts.
    pub(crate) fn coming<'t>(
        &self,
        trees: &'t Trees,
    ) -> Result<Option<(u64, Vec<daymap::Held<'t>>)>, Problem> {
        let held = self.held(trees);
        Ok(self.maps.next_day(&held)?.map(|day| (day, held)))
    }

    fn held<'t>(&self, trees: &'t Trees) -> Vec<daymap::Held<'t>> {
        let held = self.gateways.iter().filter_map(|origin| trees.get_key_value(origin));
        held.map(|(origin, held)| daymap::Held { origin, folder: &held.folder, size: held.size }).collect()
    }

    /// Checks the entries from where it stands up to `size`, until something has to be done. Day maps are built again
    /// with what was read ahead, or not at all.
    pub(crate) fn read(
        &mut self,
        site: &Tree,
        size: u64,
        trees: &Trees,
        ahead: Option<&Mutex<Ahead>>,
    ) -> Result<Stop, BookError> {
        let mut reading = Reading { nodes: BTreeMap::new(), trees, ahead };
        while self.next < size {
            let index = self.next / TILE_WIDTH;
            let width = (size - index * TILE_WIDTH).min(TILE_WIDTH);
            let mut bytes = Vec::new();
            let tile = Tile { level: Level::Entries, index, width };
            // The log may be held further than it is checked now.
            let held = read_tile(site, &tile, BUNDLE_BYTES_MAX, &mut bytes)?;
            let leaves = split_leaves(&bytes, held, SITE_LEAF_BYTES_MAX).map_err(BookError::Unreadable)?;
            let place = |index: u64| usize::try_from(index).unwrap_or(usize::MAX);
            for leaf in leaves.into_iter().take(place(width)).skip(place(self.next % TILE_WIDTH)) {
                let stop = self.entry(leaf, &mut reading)?;
                if !matches!(stop, Some(Stop::Behind { .. })) {
                    self.next += 1;
                }
                if let Some(stop) = stop {
                    return Ok(stop);
                }
            }
        }
        Ok(Stop::Done)
    }

    /// Checks one entry; `None` if there is nothing to say.
    fn entry(&mut self, leaf: &[u8], reading: &mut Reading<'_>) -> Result<Option<Stop>, BookError> {
        // What is wrong with the leaf itself was found when it was taken in.
        let Ok(leaf) = SiteLeaf::parse(leaf) else { return Ok(None) };
        let first = self.next == 0;
        let stop = match leaf.body {
            SiteBody::Enrolment(list) => Some(self.enrol(list)),
            _ if first => Some(Stop::Wrong("the first entry of the site log is no enrolment".into())),
            SiteBody::Round(lines) => self.round(&lines, reading)?,
            SiteBody::Retirement(line) => self.retire(&line, reading)?,
            SiteBody::DayMap(map) => self.day_map(&map, leaf.time, reading)?,
            SiteBody::Activation(_) | SiteBody::Override(_) | SiteBody::Sample(_) | SiteBody::Access(_) => {
                None
            }
        };
        if !matches!(stop, Some(Stop::Behind { .. })) {
            let late = |before: u64| leaf.time > before.saturating_add(GAP_SECONDS_MAX);
            self.gaps += u64::from(self.time.is_some_and(late));
            self.time = Some(leaf.time);
        }
        Ok(stop)
    }

    fn enrol(&mut self, list: Vec<Enrolled>) -> Stop {
        let member = |log: Enrolled| {
            let gateway = log.role == Role::Gateway;
            (log.origin, Member { vkey: log.vkey, gateway, prefix: log.prefix })
        };
        let list: BTreeMap<String, Member> = list.into_iter().map(member).collect();
        let gateways = list.iter().filter(|(_, member)| member.gateway);
        self.gateways.extend(gateways.map(|(origin, _)| origin.clone()));
        let vanished = self.enrolled.keys().find(|origin| !list.contains_key(*origin));
        let vanished = vanished.map(|o| format!("leaves out `{}`, which was not retired", o.escape_debug()));
        let back = self.retired.keys().find(|origin| list.contains_key(*origin));
        let back = back.map(|o| format!("enrols `{}`, which was retired", o.escape_debug()));
        self.enrolled = list;
        vanished.or(back).map_or(Stop::Enrolled, |text| self.wrong(&text))
    }

    fn retire(&mut self, line: &RoundLine, reading: &mut Reading<'_>) -> Result<Option<Stop>, BookError> {
        let origin = line.origin.escape_debug();
        if !self.enrolled.contains_key(&line.origin) {
            return Ok(Some(self.wrong(&format!("retires `{origin}`, which is not enrolled"))));
        }
        if let Some(stop) = reading.behind(&line.origin, line.size) {
            return Ok(Some(stop));
        }
        self.enrolled.remove(&line.origin);
        self.retired.insert(line.origin.clone(), Some(line.size));
        let wrong = self.line(line, reading)?;
        Ok(wrong.map(|text| self.wrong(&text)))
    }

    /// Says once if a retired log has grown.
    fn grown(&mut self, reading: &Reading<'_>) -> Option<String> {
        for (origin, end) in &mut self.retired {
            let Some(size) = *end else { continue };
            if reading.behind(origin, size.saturating_add(1)).is_none() {
                *end = None;
                let origin = origin.escape_debug();
                return Some(format!(
                    "comes after `{origin}` was retired with {size} entries, and it has more"
                ));
            }
        }
        None
    }

    fn round(&mut self, lines: &[RoundLine], reading: &mut Reading<'_>) -> Result<Option<Stop>, BookError> {
        let named = lines.iter().map(|line| &line.origin);
        if !named.eq(self.enrolled.keys()) {
            return Ok(Some(self.wrong("names other logs than those enrolled")));
        }
        // A log that is behind stops the reading before anything of the round is taken.
        for line in lines {
            if let Some(stop) = reading.behind(&line.origin, line.size) {
                return Ok(Some(stop));
            }
        }
        let mut wrong = self.grown(reading);
        for line in lines {
            wrong = self.line(line, reading)?.or(wrong);
        }
        Ok(wrong.map(|text| self.wrong(&text)))
    }

    /// Takes what is said of one log, and compares it with what is held.
    fn line(&mut self, line: &RoundLine, reading: &mut Reading<'_>) -> Result<Option<String>, BookError> {
        let (mut wrong, root) = (None, hex_of(&line.root));
        match self.lines.get(&line.origin) {
            Some(before) if before.size == line.size && before.root == root => return Ok(None),
            Some(before) if before.size > line.size => {
                wrong = Some(format!("lets the size of `{}` fall", line.origin.escape_debug()));
            }
            _ => {}
        }
        if reading.root_at(&line.origin, line.size)? != Some(line.root) {
            let (origin, size) = (line.origin.escape_debug(), line.size);
            wrong = Some(format!("says a root of `{origin}` at size {size} that is not that of its entries"));
        }
        self.lines.insert(line.origin.clone(), Line { size: line.size, root });
        Ok(wrong)
    }

    fn day_map(
        &mut self,
        map: &DayMapEntry,
        time: u64,
        reading: &mut Reading<'_>,
    ) -> Result<Option<Stop>, BookError> {
        for input in &map.inputs {
            if let Some(stop) = reading.behind(&input.origin, input.to) {
                return Ok(Some(stop));
            }
        }
        let held = self.held(reading.trees);
        let checked = reading.ahead.map_or(Ok(()), |ahead| {
            let mut ahead = ahead.lock().unwrap_or_else(PoisonError::into_inner);
            self.maps.check_ahead(map, time, &held, &mut ahead).map(drop)
        });
        let wrong = match checked {
            Ok(()) => None,
            Err(problem) if problem.rule().is_none() => return Err(BookError::Map(problem)),
            Err(problem) => {
                // The site goes on from its own map, and what comes after is compared with that.
                self.maps.accept(map);
                Some(self.wrong(&problem.to_string()))
            }
        };
        if map.is_final {
            self.finals.push(FinalMap {
                day: map.day,
                root: hex_of(&map.root),
                tags: map.tags,
                pairs: map.pairs,
            });
        }
        Ok(wrong)
    }

    fn wrong(&self, text: &str) -> Stop {
        Stop::Wrong(format!("entry {}: {text}", self.next))
    }
}

/// What entries are compared with.
struct Reading<'t> {
    nodes: BTreeMap<&'t str, Nodes<'t>>,
    trees: &'t Trees,
    ahead: Option<&'t Mutex<Ahead>>,
}

impl<'t> Reading<'t> {
    /// Says if a log is held to less than `size`.
    fn behind(&self, origin: &str, size: u64) -> Option<Stop> {
        let held = self.trees.get(origin).is_some_and(|held| held.size >= size);
        (!held).then(|| Stop::Behind { origin: origin.to_owned(), size })
    }

    fn root_at(&mut self, origin: &str, size: u64) -> Result<Option<crate::hash::Hash>, BookError> {
        let Some((origin, held)) = self.trees.get_key_value(origin) else { return Ok(None) };
        let nodes = self.nodes.entry(origin).or_insert_with(|| Nodes::new(&held.tree));
        Ok(Some(nodes.root_at(size)?))
    }
}
