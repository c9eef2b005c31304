//! The maps of the days: built from the published entries, kept for proofs, recorded in the site log. Form:
//! `docs/formats/day-map.md`.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gateway::enclave;
use ledger::Entry;
use ledger::daymap::{Answer, Calendar, DayMap, Lookup, Pair, ReadAt, Record};
use ledger::merkle::Hash;
use ledger::site::{self, DayMapEntry, Input, Role, SiteEntry};
use model::{Tag, UnixSeconds};
use vault::Log;
use vault::disk::replace_file;

use super::{BACK, Member, Site, first_at, tags_of, time_of};

/// Seconds after midnight until the day before is taken for complete: longer than any crossing takes.
const SETTLED: u64 = 600;
/// How often the map of a day that is not over is made, in seconds.
const INTERIM: u64 = 3600;

/// The maps that were made, and where they stand in the site log.
pub struct Days {
    folder: PathBuf,
    calendar: Calendar,
    /// Index of each final map's entry in the site log.
    finals: BTreeMap<u32, u64>,
    /// The newest map of a day that was not over.
    interim: Option<(u64, DayMapEntry)>,
    /// When the last of those was made, or tried, in seconds.
    interim_at: u64,
}

/// A day's map and what it was built from.
struct Built {
    map: DayMap,
    inputs: Vec<Input>,
}

impl Days {
    /// Reads what was made so far. What is in doubt is read again from the site log itself.
    ///
    /// # Errors
    /// When the folder or the site log cannot be read.
    pub fn open(folder: &Path, log: &Log) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (calendar, finals, interim) = match remembered(folder, log) {
            Some(known) => known,
            None => scanned(log)?,
        };
        // The last stop made one: the next is due an hour later, whatever was started in between.
        let interim_at = match &interim {
            Some((index, _)) => site::decode(&log.entry(*index)?)?.time.0,
            None => 0,
        };
        Ok(Self { folder: folder.to_owned(), calendar, finals, interim, interim_at })
    }

    /// The calendar of the final maps.
    #[must_use]
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Index of the newest final map's entry in the site log.
    #[must_use]
    pub fn anchor(&self) -> Option<u64> {
        self.finals.last_key_value().map(|(_, index)| *index)
    }

    /// The newest map of a day that was not over, and its index in the site log, if it is newer than all final ones.
    #[must_use]
    pub fn interim(&self) -> Option<(u64, &DayMapEntry)> {
        let last = self.calendar.records().last().map(|r| r.day);
        self.interim.as_ref().filter(|(_, e)| last.is_none_or(|last| e.day > last)).map(|(i, e)| (*i, e))
    }

    fn path(&self, day: u32, is_final: bool) -> PathBuf {
        self.folder.join(if is_final { format!("{day}.map") } else { "interim.map".to_owned() })
    }

    fn remember(&self) -> Result<()> {
        replace_file(&self.folder.join("calendar"), &self.calendar.to_bytes())?;
        let mut text: String = self.finals.iter().map(|(day, index)| format!("{day} {index}\n")).collect();
        if let Some((index, _)) = &self.interim {
            text.push_str(&format!("interim {index}\n"));
        }
        Ok(replace_file(&self.folder.join("index"), text.as_bytes())?)
    }
}

type Known = (Calendar, BTreeMap<u32, u64>, Option<(u64, DayMapEntry)>);

fn day_map(log: &Log, index: u64) -> Option<DayMapEntry> {
    match site::decode(&log.entry(index).ok()?).ok()?.entry {
        SiteEntry::DayMap(entry) => Some(entry),
        _ => None,
    }
}

/// What the files say, if the site log says the same.
fn remembered(folder: &Path, log: &Log) -> Option<Known> {
    let calendar = Calendar::from_bytes(&std::fs::read(folder.join("calendar")).ok()?).ok()?;
    let (mut finals, mut interim) = (BTreeMap::new(), None);
    for line in std::fs::read_to_string(folder.join("index")).ok()?.lines() {
        let (what, index) = line.split_once(' ')?;
        let index = index.parse().ok()?;
        match what {
            "interim" => interim = Some((index, day_map(log, index)?)),
            day => drop(finals.insert(day.parse().ok()?, index)),
        }
    }
    let head = calendar.head();
    let newest = finals.last_key_value().map(|(_, index)| *index).max(interim.as_ref().map(|(i, _)| *i))?;
    let entry = day_map(log, newest)?;
    let agrees = entry.calendar_size == head.size && entry.calendar_root == head.root;
    let whole = finals.len() == calendar.records().len();
    // A crash may have left an entry that the files do not know: it would be among the last.
    let size = log.head().ok()?.head.size;
    let later = log.entries(newest + 1..size).ok()?.any(|leaf| {
        leaf.ok().and_then(|l| site::decode(&l).ok()).is_none_or(|l| matches!(l.entry, SiteEntry::DayMap(_)))
    });
    (agrees && whole && !later).then_some((calendar, finals, interim))
}

/// What the whole site log says.
fn scanned(log: &Log) -> Result<Known> {
    let (mut calendar, mut finals, mut interim) = (Calendar::default(), BTreeMap::new(), None);
    let size = log.head()?.head.size;
    for (index, leaf) in (0..).zip(log.entries(0..size)?) {
        let SiteEntry::DayMap(entry) = site::decode(&leaf?)?.entry else { continue };
        if entry.is_final {
            calendar.push(Record {
                day: entry.day,
                root: entry.root,
                tags: entry.tags,
                pairs: entry.pairs,
            })?;
            finals.insert(entry.day, index);
        } else {
            interim = Some((index, entry));
        }
    }
    Ok((calendar, finals, interim))
}

fn build(site: &Site, day: u32) -> Result<Built> {
    let (mut pairs, mut inputs) = (Vec::new(), Vec::new());
    for Member { enrolled, log } in site.members.iter().filter(|m| m.enrolled.role == Role::Gateway) {
        let head = log.head()?.head;
        let from = first_at(log, UnixSeconds::midnight(day).0, head.size)?;
        for leaf in log.entries(from..head.size)? {
            let entry = Entry::decode(&leaf?)?;
            let found = entry.draft.time;
            if found.0 >= UnixSeconds::midnight(day.saturating_add(1)).0 + BACK {
                break;
            }
            if found.day() == day {
                let pair = Pair { gateway: entry.gateway, index: entry.sequence };
                pairs.extend(tags_of(log, &entry)?.into_iter().map(|tag| (tag, pair)));
            }
        }
        inputs.push(Input { origin: enrolled.origin.clone(), from, to: head.size, root: head.root });
    }
    Ok(Built { map: DayMap::build(pairs), inputs })
}

/// Builds and records the map of a day.
fn make(site: &Site, day: u32, is_final: bool) -> Result<()> {
    let Built { map, inputs } = build(site, day)?;
    let mut days = site.days()?;
    let mut calendar = days.calendar.clone();
    if is_final {
        calendar.push(map.record(day))?;
    }
    let head = calendar.head();
    let entry = DayMapEntry {
        day,
        is_final,
        root: map.root(),
        tags: map.tags(),
        pairs: map.pairs(),
        inputs,
        calendar_root: head.root,
        calendar_size: head.size,
    };
    // The map is kept before it is recorded: what is on record can be proved.
    replace_file(&days.path(day, is_final), map.to_bytes())?;
    let receipt = site.record(&SiteEntry::DayMap(entry.clone()))?;
    if is_final {
        days.finals.insert(day, receipt.index());
        days.calendar = calendar;
    } else {
        days.interim = Some((receipt.index(), entry));
    }
    days.remember()
}

/// The map of this day as it is now.
///
/// # Errors
/// When a log cannot be read or written.
pub fn interim(site: &Site) -> Result<()> {
    let now = enclave::now().0;
    if let Ok(mut days) = site.days.lock() {
        days.interim_at = now.0;
    }
    make(site, now.day(), false)
}

/// Makes the maps that are due: those of days that are over, oldest first and one at a time, and hourly that of today.
pub(super) fn when_due(site: &Site) -> Result<()> {
    let now = enclave::now().0;
    let (next, interim_at) = {
        let days = site.days()?;
        (days.calendar.records().last().map(|r| r.day + 1), days.interim_at)
    };
    let day = match next {
        Some(day) => day,
        None => first_day(site)?,
    };
    if now.0 >= UnixSeconds::midnight(day.saturating_add(1)).0 + SETTLED {
        return make(site, day, true);
    }
    if now.0 >= interim_at + INTERIM {
        return interim(site);
    }
    Ok(())
}

/// The day of the first entry of any gateway.
fn first_day(site: &Site) -> Result<u32> {
    let gateways = site.members.iter().filter(|m| m.enrolled.role == Role::Gateway);
    let firsts: Result<Vec<u32>> = gateways.map(|m| Ok(time_of(&m.log, 0)?.day())).collect();
    firsts?.into_iter().min().context("the site has no gateway")
}

/// A map's file: proofs read only what they need of it.
struct Stored(File);

impl ReadAt for Stored {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}

/// What the kept map of a day says of a tag; the map is built again if it was lost.
///
/// # Errors
/// When the map cannot be had, or is not the one on record.
pub fn prove(site: &Site, day: u32, tag: &Tag) -> Result<Answer> {
    let days = site.days()?;
    let (path, wanted): (PathBuf, Hash) = match (days.calendar.day(day), days.interim()) {
        (Some(record), _) => (days.path(day, true), record.root),
        (None, Some((_, entry))) if entry.day == day => (days.path(day, false), entry.root),
        _ => bail!("there is no map of this day"),
    };
    drop(days);
    if let Ok(file) = File::open(&path)
        && let Ok(map) = Lookup::open(Stored(file))
        && map.head().root == wanted
    {
        return Ok(map.prove(tag)?);
    }
    let Built { map, .. } = build(site, day)?;
    if map.root() != wanted {
        bail!("the entries of this day do not lead to the map on record");
    }
    replace_file(&path, map.to_bytes())?;
    Ok(map.prove(tag)?)
}
