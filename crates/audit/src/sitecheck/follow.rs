//! The site log, leaf by leaf.

use std::{collections::BTreeMap, io, sync::Arc};

use crate::{
    claims::{ClaimError, Claims},
    entries::{check_time, short_id},
    hash::Hash,
    note::VerifierKey,
    report::{Place, Report, Rule},
    siteleaf::{DayMapEntry, Enrolled, RoundLine, SITE_LEAF_BYTES_MAX, SiteBody, SiteLeaf, SiteLeafError},
    walk::{Follow, Look, check_place, readable},
};

/// A longer time without an entry is a gap in the record.
const GAP_SECONDS_MAX: u64 = 10;

/// Looks at each leaf alone.
pub(super) struct SiteLooker;

impl Look for SiteLooker {
    type Seen = Result<SiteLeaf, SiteLeafError>;
    const LEAF_BYTES_MAX: usize = SITE_LEAF_BYTES_MAX;
    const BUNDLES_AT_ONCE: u64 = 4;

    fn look(&self, _index: u64, leaf: &[u8]) -> Self::Seen {
        SiteLeaf::parse(leaf)
    }
}

/// A log that was enrolled at any time.
pub(super) struct KnownLog {
    pub(super) enrolled: Enrolled,
    pub(super) key: Option<VerifierKey>,
    pub(super) claims: Claims,
}

/// A day map, and what was enrolled when it was written.
pub(super) struct MapEntry {
    pub(super) index: u64,
    pub(super) time: u64,
    pub(super) entry: DayMapEntry,
    pub(super) enrolled: Arc<Vec<Enrolled>>,
}

/// An override, and the rulebook in force when it was written.
pub(super) struct OverrideEntry {
    pub(super) index: u64,
    pub(super) note: String,
    pub(super) rulebook: Option<Hash>,
}

/// What is carried from leaf to leaf.
pub(super) struct SiteFollower {
    log: [u8; 8],
    time: Option<u64>,
    pub(super) newest: u64,
    enrolled: Arc<Vec<Enrolled>>,
    pub(super) known: BTreeMap<String, KnownLog>,
    pub(super) rounds: u64,
    /// Index, time and digest.
    pub(super) activations: Vec<(u64, u64, Hash)>,
    pub(super) maps: Vec<MapEntry>,
    pub(super) overrides: Vec<OverrideEntry>,
}

impl SiteFollower {
    pub(super) fn new(origin: &str) -> Self {
        Self {
            log: short_id(origin),
            time: None,
            newest: 0,
            enrolled: Arc::default(),
            known: BTreeMap::new(),
            rounds: 0,
            activations: Vec::new(),
            maps: Vec::new(),
            overrides: Vec::new(),
        }
    }

    fn check_place(&mut self, index: u64, leaf: &SiteLeaf, report: &mut Report) {
        check_place(index, self.log, leaf.log, leaf.sequence, report);
        check_time(index, self.time, leaf.time, report);
        let gap = self.time.map_or(0, |before| leaf.time.saturating_sub(before));
        if gap > GAP_SECONDS_MAX {
            let text = format!("nothing was recorded in the {gap} s before it");
            report.notice(Rule::Gap, Place::Entry(index), text);
        }
        self.time = Some(leaf.time);
        self.newest = self.newest.max(leaf.time);
        if index == 0 && !matches!(leaf.body, SiteBody::Enrolment(_)) {
            report.entry(Rule::Enrolment, index, "the log does not begin with an enrolment");
        }
    }

    fn enrol(&mut self, index: u64, list: Vec<Enrolled>, report: &mut Report) -> io::Result<()> {
        for enrolled in &list {
            let origin = enrolled.origin.escape_debug();
            match self.known.get(&enrolled.origin) {
                Some(known) if known.enrolled == *enrolled => {}
                Some(_) => {
                    let text = format!("`{origin}` has another key, role or place than before");
                    report.entry(Rule::Enrolment, index, text);
                }
                None => {
                    let taken = self.known.values().any(|known| known.enrolled.prefix == enrolled.prefix);
                    if taken {
                        let text = format!("`{origin}` has the place of another log");
                        report.entry(Rule::Enrolment, index, text);
                    }
                    let key = VerifierKey::parse(&enrolled.vkey);
                    if key.is_err() {
                        let text = format!("the key of `{origin}` is no verifier key");
                        report.entry(Rule::Enrolment, index, text);
                    }
                    let claims = Claims::new()?;
                    let known = KnownLog { enrolled: enrolled.clone(), key: key.ok(), claims };
                    self.known.insert(enrolled.origin.clone(), known);
                }
            }
        }
        self.enrolled = Arc::new(list);
        Ok(())
    }

    fn round(&mut self, index: u64, time: u64, lines: &[RoundLine], report: &mut Report) -> io::Result<()> {
        self.rounds += 1;
        for enrolled in self.enrolled.iter().filter(|log| lines.iter().all(|line| line.origin != log.origin))
        {
            let text = format!("the round leaves out `{}`", enrolled.origin.escape_debug());
            report.entry(Rule::Round, index, text);
        }
        for line in lines {
            let origin = line.origin.escape_debug();
            if self.enrolled.iter().all(|log| log.origin != line.origin) {
                report.entry(
                    Rule::Round,
                    index,
                    format!("the round names `{origin}`, which is not enrolled"),
                );
            }
            let Some(known) = self.known.get_mut(&line.origin) else { continue };
            match known.claims.add(line.size, line.root, index, time)? {
                Ok(()) => {}
                Err(ClaimError::Falls(before)) => {
                    let text = format!("`{origin}` had {before} entries before, and has {} now", line.size);
                    report.entry(Rule::Rollback, index, text);
                }
                Err(ClaimError::OtherRoot) => {
                    let text = format!("`{origin}` had another root at size {} before", line.size);
                    report.entry(Rule::History, index, text);
                }
            }
        }
        Ok(())
    }
}

impl Follow<Result<SiteLeaf, SiteLeafError>> for SiteFollower {
    fn follow(
        &mut self,
        index: u64,
        seen: Result<SiteLeaf, SiteLeafError>,
        report: &mut Report,
    ) -> io::Result<()> {
        let Some(leaf) = readable(index, seen, report) else { return Ok(()) };
        self.check_place(index, &leaf, report);
        let time = leaf.time;
        match leaf.body {
            SiteBody::Round(lines) => self.round(index, time, &lines, report)?,
            SiteBody::Enrolment(list) => self.enrol(index, list, report)?,
            SiteBody::DayMap(entry) => {
                self.maps.push(MapEntry { index, time, entry, enrolled: Arc::clone(&self.enrolled) });
            }
            SiteBody::Activation(digest) => self.activations.push((index, time, digest)),
            SiteBody::Override(note) => {
                let rulebook = self.activations.last().map(|(_, _, digest)| *digest);
                self.overrides.push(OverrideEntry { index, note, rulebook });
            }
            SiteBody::Sample(_) => {}
        }
        Ok(())
    }
}
