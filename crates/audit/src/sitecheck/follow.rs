//! The site log, leaf by leaf.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use crate::{
    claims::{ClaimError, Claims},
    entries::{check_time, short_id},
    grants::Grants,
    hash::Hash,
    note::VerifierKey,
    report::{Place, Report, Rule},
    siteleaf::{
        DayMapEntry, Enrolled, Role, RoundLine, SITE_LEAF_BYTES_MAX, SiteBody, SiteLeaf, SiteLeafError,
    },
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

/// A day map, and the gateways that had been enrolled by then.
pub(super) struct MapEntry {
    pub(super) index: u64,
    pub(super) time: u64,
    pub(super) entry: DayMapEntry,
    pub(super) gateways: Arc<Vec<Enrolled>>,
}

/// That a log ends.
pub(super) struct RetiredLog {
    pub(super) index: u64,
    pub(super) origin: String,
    pub(super) size: u64,
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
    /// Origins of the logs that are enrolled now.
    enrolled: BTreeSet<String>,
    /// The gateways that are or ever were enrolled, ascending by origin.
    gateways: Arc<Vec<Enrolled>>,
    pub(super) retired: Vec<RetiredLog>,
    pub(super) known: BTreeMap<String, KnownLog>,
    pub(super) rounds: u64,
    /// Index, time and digest.
    pub(super) activations: Vec<(u64, u64, Hash)>,
    pub(super) maps: Vec<MapEntry>,
    pub(super) overrides: Vec<OverrideEntry>,
    /// What was done to requests for access.
    pub(super) grants: Grants,
}

impl SiteFollower {
    pub(super) fn new(origin: &str) -> Self {
        Self {
            log: short_id(origin),
            time: None,
            newest: 0,
            enrolled: BTreeSet::new(),
            gateways: Arc::default(),
            retired: Vec::new(),
            known: BTreeMap::new(),
            rounds: 0,
            activations: Vec::new(),
            maps: Vec::new(),
            overrides: Vec::new(),
            grants: Grants::default(),
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
        let list: BTreeSet<String> = list.into_iter().map(|log| log.origin).collect();
        for origin in self.enrolled.difference(&list) {
            let text = format!("`{}` is left out and was not retired", origin.escape_debug());
            report.entry(Rule::Enrolment, index, text);
        }
        for retired in self.retired.iter().filter(|retired| list.contains(&retired.origin)) {
            let text = format!("`{}` was retired, and is enrolled again", retired.origin.escape_debug());
            report.entry(Rule::Enrolment, index, text);
        }
        let gateways = self.known.values().map(|known| &known.enrolled);
        self.gateways = Arc::new(gateways.filter(|log| log.role == Role::Gateway).cloned().collect());
        self.enrolled = list;
        Ok(())
    }

    fn retire(&mut self, index: u64, time: u64, line: RoundLine, report: &mut Report) -> io::Result<()> {
        if !self.enrolled.remove(&line.origin) {
            let text = format!("it retires `{}`, which is not enrolled", line.origin.escape_debug());
            report.entry(Rule::Enrolment, index, text);
            return Ok(());
        }
        self.claim(index, time, &line, report)?;
        self.retired.push(RetiredLog { index, origin: line.origin, size: line.size });
        Ok(())
    }

    fn round(&mut self, index: u64, time: u64, lines: &[RoundLine], report: &mut Report) -> io::Result<()> {
        self.rounds += 1;
        for origin in self.enrolled.iter().filter(|origin| lines.iter().all(|line| line.origin != **origin)) {
            let text = format!("the round leaves out `{}`", origin.escape_debug());
            report.entry(Rule::Round, index, text);
        }
        for line in lines {
            if !self.enrolled.contains(&line.origin) {
                let origin = line.origin.escape_debug();
                let text = format!("the round names `{origin}`, which is not enrolled");
                report.entry(Rule::Round, index, text);
            }
            self.claim(index, time, line, report)?;
        }
        Ok(())
    }

    /// Keeps what is said of a log, to be compared with the log itself.
    fn claim(&mut self, index: u64, time: u64, line: &RoundLine, report: &mut Report) -> io::Result<()> {
        let origin = line.origin.escape_debug();
        let Some(known) = self.known.get_mut(&line.origin) else { return Ok(()) };
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
                self.maps.push(MapEntry { index, time, entry, gateways: Arc::clone(&self.gateways) });
            }
            SiteBody::Activation(digest) => self.activations.push((index, time, digest)),
            SiteBody::Override(note) => {
                let rulebook = self.activations.last().map(|(_, _, digest)| *digest);
                self.overrides.push(OverrideEntry { index, note, rulebook });
            }
            SiteBody::Retirement(line) => self.retire(index, time, line, report)?,
            SiteBody::Access(entry) => {
                if let Err(text) = self.grants.act(time, &entry) {
                    report.entry(Rule::Grant, index, text);
                }
            }
            SiteBody::Sample(_) => {}
        }
        Ok(())
    }
}
