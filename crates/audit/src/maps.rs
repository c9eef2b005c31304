//! Every day map of a mirrored site, built again and compared.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, path::PathBuf, thread};

use serde::Serialize;

use crate::{
    bundle::{BUNDLE_BYTES_MAX, ENTRY_BYTES_MAX},
    checkpoint::Checkpoint,
    daymap::{DAY_SECONDS, DayMaps, Held, PAIRS_HELD},
    header::Header,
    history::date,
    note::VerifierKey,
    report::Rule,
    siteleaf::{DayMapEntry, Enrolled, Role, SiteBody},
    sitelog::{FolderError, MirroredLog, Site},
};

/// What to check.
#[derive(Clone, Debug)]
pub struct MapOptions {
    /// A mirror's folder.
    pub mirror: PathBuf,
    /// The key of the site log.
    pub site: VerifierKey,
    /// Only this day, counted from 1970-01-01 UTC. The calendar and the other days are then not checked.
    pub day: Option<u64>,
}

/// One day map of the site log.
#[derive(Clone, Debug, Serialize)]
pub struct MapLine {
    /// Its place in the site log.
    pub index: u64,
    /// `YYYY-MM-DD`.
    pub day: String,
    /// Whether the day was over.
    pub is_final: bool,
    /// Distinct tags that the site counted.
    pub tags: u64,
    /// Pairs of tag and entry that the site counted.
    pub pairs: u64,
    /// The rule that is broken; absent if the map is the one that the entries give.
    pub rule: Option<Rule>,
    /// What is wrong.
    pub finding: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MapReport {
    /// Every day map, in the order of the log.
    pub maps: Vec<MapLine>,
    /// Entries that stand outside of the final map of their day, or logs that could not be read so far.
    pub findings: Vec<String>,
}

impl MapReport {
    /// Whether everything holds.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.maps.iter().all(|map| map.finding.is_none())
    }
}

impl fmt::Display for MapReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for map in &self.maps {
            let kind = if map.is_final { "final" } else { "so far" };
            write!(f, "{}  {kind:<6}  {} people, {} pairs: ", map.day, map.tags, map.pairs)?;
            match (&map.finding, map.rule) {
                (None, _) => writeln!(f, "as the entries give it")?,
                (Some(text), Some(rule)) => writeln!(f, "finding[{}]: {}", rule.code(), text.escape_debug())?,
                (Some(text), None) => writeln!(f, "finding: {}", text.escape_debug())?,
            }
        }
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let total = self.findings.len() + self.maps.iter().filter(|map| map.finding.is_some()).count();
        writeln!(f, "maps        {}", self.maps.len())?;
        writeln!(f, "findings    {total}")
    }
}

/// Builds every day map that the site log names from the mirrored entries, and compares.
///
/// Every gateway's entries are checked to be those of its signed checkpoint, on another thread: if they are not, there is
/// no report.
///
/// # Errors
/// If the mirror cannot be read, or its site log is not what the key signed.
pub fn check_maps(options: &MapOptions) -> Result<MapReport, FolderError> {
    let site = Site::open(&options.mirror, &options.site)?;
    let entries = day_map_entries(&site)?;
    let logs = open_logs(&site, &entries)?;
    thread::scope(|scope| {
        let check = || check_entries(&entries, &logs, options.day);
        let maps = scope.spawn(check);
        let findings = read_logs(&logs, &entries, options.day);
        // A thread that dies leaves its work to this one.
        let maps = maps.join().unwrap_or_else(|_| check());
        Ok(MapReport { maps, findings: findings? })
    })
}

fn check_entries(entries: &[Written], logs: &BTreeMap<String, MirrorLog>, day: Option<u64>) -> Vec<MapLine> {
    let (mut lines, mut maps) = (Vec::new(), DayMaps::default());
    for entry in entries {
        if day.is_some_and(|day| day != entry.map.day) {
            maps.accept(&entry.map);
            continue;
        }
        let line = |rule, finding| MapLine {
            index: entry.index,
            day: date(entry.map.day),
            is_final: entry.map.is_final,
            tags: entry.map.tags,
            pairs: entry.map.pairs,
            rule,
            finding,
        };
        let held = entry.gateways.iter().filter_map(|log| logs.get(&log.origin)).map(MirrorLog::held);
        match maps.check(&entry.map, entry.time, &held.collect::<Vec<_>>(), PAIRS_HELD) {
            Ok(built) if built.sentinels > 0 => {
                let text = format!("{} entries carry the tag of a sentinel", built.sentinels);
                lines.push(line(Some(Rule::DayMap), Some(text)));
            }
            Ok(_) => lines.push(line(None, None)),
            Err(problem) => {
                lines.push(line(problem.rule(), Some(problem.to_string())));
                // What follows is judged as if this had been right: one lie is one finding.
                maps.accept(&entry.map);
            }
        }
    }
    lines
}

/// A day-map entry, and the gateways that had been enrolled by then.
struct Written {
    index: u64,
    time: u64,
    map: DayMapEntry,
    gateways: Vec<Enrolled>,
}

fn day_map_entries(site: &Site) -> Result<Vec<Written>, FolderError> {
    let (mut entries, mut known): (Vec<Written>, BTreeMap<String, Enrolled>) = Default::default();
    site.each(|leaf| {
        match leaf.body {
            SiteBody::Enrolment(logs) => {
                let gateways = logs.into_iter().filter(|log| log.role == Role::Gateway);
                known.extend(gateways.map(|log| (log.origin.clone(), log)));
            }
            SiteBody::DayMap(map) => entries.push(Written {
                index: leaf.sequence,
                time: leaf.time,
                map,
                gateways: known.values().cloned().collect(),
            }),
            _ => {}
        }
        Ok(())
    })?;
    Ok(entries)
}

/// A gateway's log under its checkpoint.
struct MirrorLog {
    folder: PathBuf,
    log: MirroredLog,
}

impl MirrorLog {
    fn held(&self) -> Held<'_> {
        let Checkpoint { origin, size, .. } = &self.log.checkpoint;
        Held { origin, folder: &self.folder, size: *size }
    }
}

fn open_logs(site: &Site, entries: &[Written]) -> Result<BTreeMap<String, MirrorLog>, FolderError> {
    let mut logs = BTreeMap::new();
    for enrolled in entries.iter().flat_map(|entry| &entry.gateways) {
        if !logs.contains_key(&enrolled.origin) {
            let log = MirrorLog { folder: site.folder_of(enrolled), log: site.open_log(enrolled)? };
            logs.insert(enrolled.origin.clone(), log);
        }
    }
    Ok(logs)
}

/// Checks every log from its first entry to its last.
fn read_logs(
    logs: &BTreeMap<String, MirrorLog>,
    entries: &[Written],
    day: Option<u64>,
) -> Result<Vec<String>, FolderError> {
    let mut findings = Vec::new();
    for (origin, log) in logs {
        let ranges = final_ranges(entries, origin, day);
        let origin = origin.escape_debug();
        log.log.each(BUNDLE_BYTES_MAX, ENTRY_BYTES_MAX, |index, leaf| {
            let Ok((header, _)) = Header::parse(leaf) else {
                findings.push(format!(
                    "finding[{}]: entry {index} of `{origin}` is refused",
                    Rule::Header.code()
                ));
                return Ok::<_, FolderError>(());
            };
            // The search at the ends of a map believes that times go back a little only; this does not.
            let day = header.time / DAY_SECONDS;
            if ranges.get(&day).is_some_and(|(from, to)| !(*from..*to).contains(&index)) {
                let (code, day) = (Rule::DayMapLate.code(), date(day));
                let text = format!(
                    "finding[{code}]: entry {index} of `{origin}` is of {day} and outside of its final map"
                );
                findings.push(text);
            }
            Ok(())
        })?;
    }
    Ok(findings)
}

/// For each day with a final map, the range that it read of this log.
fn final_ranges(entries: &[Written], origin: &str, day: Option<u64>) -> BTreeMap<u64, (u64, u64)> {
    let finals =
        entries.iter().filter(|entry| entry.map.is_final && day.is_none_or(|day| day == entry.map.day));
    finals
        .filter_map(|entry| {
            let input = entry.map.inputs.iter().find(|input| input.origin == origin)?;
            Some((entry.map.day, (input.from, input.to)))
        })
        .collect()
}
