//! The watch: reads what the mirror stores as it comes, says what is unusual, and opens incidents for what is
//! grave (`docs/watch.md`).
//!
//! It follows the site log entry by entry, and each round counts the entries of all logs that come next, so
//! that it sees the same in the same order however often it is stopped. Its state is one file, written whole;
//! findings and incidents are written before it, and found again after a crash they are not written twice.
//! Its memory has limits everywhere, and none of them hides what is largest.
//!
//! Start reading at [`Watch::step`], then `volume.rs`, `pairs.rs` and `egress.rs` for what is looked for.

mod approvals;
mod config;
mod egress;
mod entry;
mod finding;
mod follow;
mod pairs;
mod recurring;
#[cfg(test)]
pub(crate) mod tests;
mod top;
mod volume;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

pub(crate) use self::finding::newest_findings;
use self::{
    approvals::Approvers,
    egress::Egress,
    entry::{Out, SeenEntry},
    finding::{Findings, Found, Journal, make_folder},
    follow::{Member, Position, Source, entries},
    pairs::{Clocks, OpenStreams, Releases},
    recurring::Recurring,
    volume::Volumes,
};
pub use self::{
    config::{WatchConfig, WatchConfigError},
    finding::{WatchFinding, WatchRule},
};
use crate::{
    codes::Kind,
    facts::Facts,
    hash::Hash,
    header::Header,
    incident::{
        Clock, IncidentError, Incidents, Opening, Reference, Severity, State as IncidentState, disk, id_of,
    },
    invariants,
    keyleaf::KeyLeaf,
    mirror::{Coverage, mirror_status},
    note::VerifierKey,
    orders::{Said, Standing},
    overrides::Order,
    rulebook::{Rulebook, Rulebooks},
    siteleaf::{Enrolled, RoundLine, SiteBody, SiteLeaf, SiteLeafError},
    sitelog::FolderError,
    tree::Tree,
};

/// Entries of the site log that one step follows at most.
const LEAVES_PER_STEP: u64 = 4096;
const STATE_BYTES_MAX: u64 = 1 << 30;
/// The state is saved when something was found, and otherwise after so many seconds.
const SAVE_SECONDS: u64 = 10;
/// How often all incidents are looked at.
const INCIDENTS_SECONDS: u64 = 10;
const RULEBOOKS_MAX: usize = 1000;

/// What to watch, and what with.
#[derive(Debug)]
pub struct WatchOptions {
    /// A mirror's folder.
    pub mirror: PathBuf,
    /// The key of the site log; it vouches for the keys of all others.
    pub site: VerifierKey,
    /// What to look for.
    pub config: WatchConfig,
    /// A feed of byte counters.
    pub egress: Option<PathBuf>,
}

/// Why the watch cannot go on. What it sees is no error but a finding.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// Its own folder cannot be used.
    #[error("cannot use `{}`", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another watch uses it.
    #[error("another watch uses the folder `{}`", .0.display())]
    Locked(PathBuf),
    /// Its state is no good. It never begins anew by itself.
    #[error("the state in `{}` cannot be read: {why}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The mirror's site log cannot be read.
    #[error("cannot read the mirror")]
    Mirror(#[from] FolderError),
    /// The mirror has less than the watch has seen of it.
    #[error("the mirror's site log has `{size}` entries, and `{seen}` were seen before")]
    Shrunk {
        /// Entries now.
        size: u64,
        /// Entries that were seen.
        seen: u64,
    },
    /// The feed cannot be read.
    #[error("cannot read the feed `{}`", path.display())]
    Feed {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Incidents cannot be written.
    #[error("cannot keep incidents")]
    Incident(#[from] IncidentError),
}

/// The time of the newest entry of a mirror's site log, in Unix seconds; 0 if it is empty.
///
/// # Errors
/// If the mirror cannot be read.
pub fn newest_site_time(mirror: &Path, site: &VerifierKey) -> Result<u64, FolderError> {
    let source = Source { mirror: mirror.to_owned(), site: site.clone() };
    let mut log = source.site_log()?;
    let Some(last) = log.size.checked_sub(1) else { return Ok(0) };
    let refused = |error: SiteLeafError| FolderError::Leaf { index: last, why: error.to_string() };
    Ok(SiteLeaf::parse(&log.leaf(last)?).map_err(refused)?.time)
}

/// A watch over one mirrored site.
pub struct Watch {
    source: Source,
    config: WatchConfig,
    feed: Option<PathBuf>,
    state: State,
    journal: Journal,
    incidents: Option<Incidents>,
    rulebooks: BTreeMap<Hash, Arc<Rulebook>>,
    unsaved_seconds: u64,
    unseen_seconds: u64,
    /// Held as long as it watches.
    _lock: File,
}

/// Everything that is kept from step to step.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    position: Position,
    volumes: Volumes,
    #[serde(default)]
    recurring: Recurring,
    streams: OpenStreams,
    releases: Releases,
    clocks: Clocks,
    egress: Egress,
    /// Absent in a state of before.
    #[serde(default)]
    approvers: Approvers,
    findings: Findings,
    /// By the origins of gateways' logs.
    standing: BTreeMap<String, Standing>,
    /// Since when, by the machine's clock, not everything is covered.
    red: Option<u64>,
    red_told: bool,
}

impl Watch {
    /// Takes up the state in the folder, or begins.
    ///
    /// # Errors
    /// If the folder cannot be used, is in use, or its state is no good.
    pub fn open(options: WatchOptions) -> Result<Self, WatchError> {
        let WatchOptions { mirror, site, config, egress } = options;
        let folder = config.folder.clone();
        let own = folder.join("watch");
        let failed = |path: PathBuf| move |source| WatchError::Folder { path, source };
        make_folder(&own.join("tmp")).map_err(failed(own.clone()))?;
        let lock = File::create(own.join("lock")).map_err(failed(own.clone()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(WatchError::Locked(folder)),
            Err(TryLockError::Error(source)) => return Err(failed(own)(source)),
        }
        let path = own.join("state.json");
        let state = match disk::read(&path, STATE_BYTES_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| WatchError::State { path, why: error.to_string() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(source) => return Err(WatchError::Folder { path, source }),
        };
        let journal = folder.join("findings.ndjson");
        let journal = Journal::open(&journal).map_err(failed(journal))?;
        let parties = config.incidents.as_ref().map(|incidents| incidents.parties.clone());
        let incidents = parties.map(|parties| Incidents::at(&folder, parties)).transpose()?;
        Ok(Self {
            source: Source { mirror, site },
            config,
            feed: egress,
            state,
            journal,
            incidents,
            rulebooks: BTreeMap::new(),
            unsaved_seconds: 0,
            unseen_seconds: INCIDENTS_SECONDS,
            _lock: lock,
        })
    }

    /// Asks the mirror's status for what is not covered; `None` if `watch.toml` names none.
    #[must_use]
    pub fn coverage(&self) -> Option<Vec<String>> {
        let base = self.config.status.as_ref()?;
        Some(match mirror_status(base, self.config.status_ca.as_deref()) {
            Ok(status) if status.coverage == Coverage::Green => Vec::new(),
            Ok(status) => status.reasons,
            Err(error) => vec![format!("the mirror does not say its status: {error}")],
        })
    }

    /// Follows what is new and returns what was found, which is by then on disk, with its incidents.
    ///
    /// `wall` is the machine's clock in Unix seconds, `ran` are the seconds that a steady clock counted since the
    /// last step, and `red` says what is not covered, if the mirror was asked.
    ///
    /// # Errors
    /// If the mirror cannot be read, or the watch's own files cannot be written. Nothing is lost then: the next
    /// step finds it again.
    pub fn step(
        &mut self,
        wall: u64,
        ran: u64,
        red: Option<&[String]>,
    ) -> Result<Vec<WatchFinding>, WatchError> {
        self.follow()?;
        self.tick()?;
        self.judge_coverage(wall, red);
        self.unsaved_seconds = self.unsaved_seconds.saturating_add(ran);
        self.unseen_seconds = self.unseen_seconds.saturating_add(ran);
        let now = match &self.incidents {
            Some(incidents) => incidents.clock(wall, Some(self.state.position.time), ran)?,
            None => Clock::default(),
        };
        self.look_at_incidents(now)?;
        let mut new = std::mem::take(&mut self.state.findings.new);
        new.retain(|finding| !self.journal.knows(&finding.id));
        self.open_incidents(&mut new, now)?;
        let path = || self.config.folder.join("findings.ndjson");
        self.journal.write(&new).map_err(|source| WatchError::Folder { path: path(), source })?;
        if !new.is_empty() || self.unsaved_seconds >= SAVE_SECONDS {
            self.save()?;
        }
        Ok(new)
    }

    /// How many entries of the site log were followed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.state.position.site
    }

    /// Saves where it stands.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&mut self) -> Result<(), WatchError> {
        let own = self.config.folder.join("watch");
        let path = own.join("state.json");
        let bytes = serde_json::to_vec(&self.state).map_err(io::Error::from);
        let written = bytes.and_then(|bytes| disk::replace(&own.join("tmp"), &path, &bytes));
        written.map_err(|source| WatchError::Folder { path, source })?;
        self.unsaved_seconds = 0;
        Ok(())
    }

    fn out(&mut self) -> Out<'_> {
        Out {
            limits: &self.config.limits,
            time: self.state.position.time,
            findings: &mut self.state.findings,
        }
    }

    fn follow(&mut self) -> Result<(), WatchError> {
        let mut site = self.source.site_log()?;
        let seen = self.state.position.site;
        if site.size < seen {
            return Err(WatchError::Shrunk { size: site.size, seen });
        }
        for index in seen..site.size.min(seen.saturating_add(LEAVES_PER_STEP)) {
            let leaf = site.leaf(index)?;
            if !self.site_entry(&site.origin, index, &leaf) {
                // The mirror does not hold yet what the round counts.
                break;
            }
            self.state.position.site = index + 1;
        }
        Ok(())
    }

    /// Takes an entry of the site log, unless it counts more than the mirror holds.
    fn site_entry(&mut self, origin: &str, index: u64, bytes: &[u8]) -> bool {
        let place = || Reference { origin: origin.to_owned(), index };
        let leaf = match SiteLeaf::parse(bytes) {
            Ok(leaf) => leaf,
            Err(error) => {
                self.unreadable(format!("site:{origin}"), place(), error.to_string());
                return true;
            }
        };
        let before = self.state.position.time;
        if let SiteBody::Round(lines) = &leaf.body {
            // Entries are compared with the time of the round that counts them.
            self.state.position.time = before.max(leaf.time);
            if !self.round(lines) {
                self.state.position.time = before;
                return false;
            }
        }
        self.state.position.time = before;
        let State { position, clocks, findings, .. } = &mut self.state;
        let mut out = Out { limits: &self.config.limits, time: position.time, findings };
        clocks.site(origin, index, leaf.time, &mut out);
        self.state.position.time = before.max(leaf.time);
        match leaf.body {
            SiteBody::Enrolment(logs) => self.enrol(logs),
            SiteBody::Retirement(line) => {
                if let Some(member) = self.state.position.logs.get_mut(&line.origin) {
                    member.enrolled = false;
                }
            }
            SiteBody::Access(entry) => {
                let State { position, approvers, findings, .. } = &mut self.state;
                let mut out = Out { limits: &self.config.limits, time: position.time, findings };
                approvers.act(&place(), leaf.time, &entry, &mut out);
            }
            SiteBody::Override(note) => {
                let text = match Order::parse(&note, origin) {
                    Ok(order) => format!(
                        "the border was overridden from {} to {} by the order {} for `{}`",
                        order.not_before, order.not_after, order.id, order.incident
                    ),
                    Err(why) => format!("the border was overridden, and its order is refused: {why}"),
                };
                let (cause, about) = (format!("site:{origin}"), format!("override {index}"));
                self.out().found(Found {
                    rule: WatchRule::Override,
                    cause,
                    about,
                    entry: Some(place()),
                    text,
                });
            }
            _ => {}
        }
        true
    }

    fn enrol(&mut self, logs: Vec<Enrolled>) {
        let members = &mut self.state.position.logs;
        members.values_mut().for_each(|member| member.enrolled = false);
        for Enrolled { origin, prefix, role, .. } in logs {
            let new = Member::new(prefix.clone(), role);
            let member = members.entry(origin).or_insert(new);
            (member.prefix, member.enrolled) = (prefix, true);
        }
    }

    /// Follows the logs to where a round says they are; false if the mirror does not hold them that far.
    fn round(&mut self, lines: &[RoundLine]) -> bool {
        for line in lines {
            let Some(member) = self.state.position.logs.get(&line.origin).cloned() else { continue };
            let tree = self.source.tree(&member.prefix);
            let result = entries(&tree, member.next, line.size, |index, leaf| {
                if member.gateway {
                    self.gateway_entry(&tree, &line.origin, index, leaf);
                } else {
                    self.release(&line.origin, index, leaf);
                }
                if let Some(member) = self.state.position.logs.get_mut(&line.origin) {
                    member.next = index + 1;
                }
            });
            if result.is_err() {
                return false;
            }
        }
        true
    }

    fn gateway_entry(&mut self, tree: &Tree, origin: &str, index: u64, leaf: &[u8]) {
        let cause = || format!("gateway:{origin}");
        let place = || Reference { origin: origin.to_owned(), index };
        let (header, bytes) = match Header::parse(leaf) {
            Ok(parsed) => parsed,
            Err(error) => return self.unreadable(cause(), place(), error.to_string()),
        };
        let facts = match Facts::decode(bytes) {
            Ok(facts) => Some(facts),
            Err(error) if header.kind.is_release() => {
                self.unreadable(cause(), place(), format!("its facts are refused: {error}"));
                None
            }
            Err(_) => None,
        };
        let rulebook = match header.kind.is_release().then(|| self.rulebook(tree, &header.rulebook)) {
            Some(Err(why)) => {
                self.unreadable(cause(), place(), why);
                None
            }
            Some(Ok(rulebook)) => Some(rulebook),
            None => None,
        };
        let entry = SeenEntry { origin, index, header: &header, facts: facts.as_ref() };
        let keyed = self.state.position.logs.values().any(|log| !log.gateway && log.enrolled);
        let State {
            position, volumes, recurring, streams, releases, clocks, egress, findings, standing, ..
        } = &mut self.state;
        let out = &mut Out { limits: &self.config.limits, time: position.time, findings };
        if let (Some(rulebook), Some(facts)) = (&rulebook, entry.facts) {
            for (rule, text) in invariants::check(&rulebook.programme, facts) {
                let text = format!("{}: {text}", rule.code());
                out.entry(WatchRule::Invariant, &entry, format!("{} {origin}", rule.code()), text);
            }
        }
        let standing = standing.entry(origin.to_owned()).or_default();
        if let Some(country) = standing.suspensions.broken_by(&header) {
            let text = format!("something was released to or in {country}, where crossings are suspended");
            out.entry(WatchRule::Suspended, &entry, format!("{country} {origin}"), text);
        }
        if header.kind.is_signed() {
            let signers = [&self.config.operator, &self.config.auditor];
            let said =
                Said::check(header.kind, bytes, signers).and_then(|said| said.placed(rulebook.as_deref()));
            let taken = said.and_then(|said| standing.take(origin, &header, &said).map(|()| said.words()));
            let rule = match header.kind {
                Kind::Demand => WatchRule::Demand,
                Kind::Migration if taken.is_err() => WatchRule::MigrationFalse,
                Kind::Migration => WatchRule::Migration,
                _ => WatchRule::Suspension,
            };
            let text = taken.unwrap_or_else(|why| format!("an order that does not count: {why}"));
            out.entry(rule, &entry, format!("entry {index} of {origin}"), text);
        }
        clocks.entry(&entry, out);
        volumes.entry(&entry, out);
        recurring.entry(&entry, out);
        streams.entry(&entry, out);
        if keyed {
            releases.entry(&entry, out);
        }
        if self.feed.is_some() {
            egress.entry(&entry);
        }
    }

    fn release(&mut self, origin: &str, index: u64, leaf: &[u8]) {
        match KeyLeaf::parse(leaf) {
            Ok(leaf) => {
                let State { position, releases, findings, .. } = &mut self.state;
                let mut out = Out { limits: &self.config.limits, time: position.time, findings };
                releases.release(origin, index, &leaf, &mut out);
            }
            Err(error) => {
                let place = Reference { origin: origin.to_owned(), index };
                self.unreadable(format!("keys:{origin}"), place, error.to_string());
            }
        }
    }

    fn unreadable(&mut self, cause: String, place: Reference, text: String) {
        let about = format!("entries of {}", place.origin);
        self.out().found(Found { rule: WatchRule::Unreadable, cause, about, entry: Some(place), text });
    }

    fn rulebook(&mut self, tree: &Tree, digest: &Hash) -> Result<Arc<Rulebook>, String> {
        if let Some(known) = self.rulebooks.get(digest) {
            return Ok(Arc::clone(known));
        }
        let signers = [&self.config.operator, &self.config.auditor];
        let found = Rulebooks::new(tree, signers, false).find(digest);
        let found = found.map_err(|(path, why)| format!("its rulebook is not valid: `{path}`: {why}"))?;
        if self.rulebooks.len() >= RULEBOOKS_MAX {
            self.rulebooks.clear();
        }
        self.rulebooks.insert(*digest, Arc::clone(&found));
        Ok(found)
    }

    fn tick(&mut self) -> Result<(), WatchError> {
        let State { position, streams, releases, egress, findings, standing, .. } = &mut self.state;
        let out = &mut Out { limits: &self.config.limits, time: position.time, findings };
        for (origin, standing) in standing {
            for (set, text) in standing.ways.overdue(position.time) {
                let (cause, about) = ("operator".to_owned(), format!("{set} of {origin}"));
                out.found(Found { rule: WatchRule::MigrationOpen, cause, about, entry: None, text });
            }
        }
        streams.tick(out);
        releases.tick(out);
        if let Some(path) = &self.feed {
            let enrolled = position.logs.iter().filter(|(_, log)| log.gateway && log.enrolled);
            let gateways: BTreeSet<String> = enrolled.map(|(origin, _)| origin.clone()).collect();
            egress
                .read(path, &gateways, out)
                .map_err(|source| WatchError::Feed { path: path.clone(), source })?;
        }
        findings.tick(position.time);
        Ok(())
    }

    fn judge_coverage(&mut self, wall: u64, red: Option<&[String]>) {
        let time = self.state.position.time;
        let mut reasons = red.unwrap_or_default().to_vec();
        let stale = wall.saturating_sub(time);
        if stale > self.config.limits.coverage_red_seconds {
            reasons.push(format!("the newest entry of the site log that can be followed is {stale} s old"));
        }
        let Some(reason) = reasons.first() else {
            (self.state.red, self.state.red_told) = (None, false);
            return;
        };
        let since = *self.state.red.get_or_insert(wall);
        let long = wall.saturating_sub(since) > self.config.limits.coverage_red_seconds
            || stale > self.config.limits.coverage_red_seconds;
        if !long || std::mem::replace(&mut self.state.red_told, true) {
            return;
        }
        let text =
            format!("not everything is covered since {since}, for {} reasons: {reason}", reasons.len());
        let (cause, about) = ("operator".to_owned(), format!("coverage since {since}"));
        self.out().found(Found { rule: WatchRule::Coverage, cause, about, entry: None, text });
    }

    /// Escalates what is due, and says which records were tampered with.
    fn look_at_incidents(&mut self, now: Clock) -> Result<(), WatchError> {
        let (Some(incidents), Some(config)) = (&self.incidents, &self.config.incidents) else {
            return Ok(());
        };
        if self.unseen_seconds < INCIDENTS_SECONDS {
            return Ok(());
        }
        self.unseen_seconds = 0;
        incidents.escalate_due(&config.key, now)?;
        for damaged in incidents.list()? {
            let Some(why) = damaged.damaged else { continue };
            let (cause, about) = ("auditor".to_owned(), format!("incident {}", damaged.id));
            self.out().found(Found {
                rule: WatchRule::DamagedIncident,
                cause,
                about,
                entry: None,
                text: why,
            });
        }
        Ok(())
    }

    /// One incident at a time is open for one rule and one cause; what is found besides belongs to it.
    fn open_incidents(&self, findings: &mut [WatchFinding], now: Clock) -> Result<(), WatchError> {
        let (Some(incidents), Some(config)) = (&self.incidents, &self.config.incidents) else {
            return Ok(());
        };
        let is_one = |finding: &WatchFinding| {
            finding.severity == Severity::Grave || config.also.contains(&finding.rule)
        };
        if !findings.iter().any(is_one) {
            return Ok(());
        }
        let open = incidents.list()?.into_iter().filter(|incident| incident.state != IncidentState::Closed);
        let mut known: BTreeMap<(String, String), String> =
            open.map(|incident| ((incident.opening.rule, incident.opening.cause), incident.id)).collect();
        for finding in findings.iter_mut().filter(|finding| is_one(finding)) {
            let key = (finding.rule.code().to_owned(), finding.cause.clone());
            if let Some(id) = known.get(&key) {
                finding.incident = Some(id.clone());
                continue;
            }
            let opening = Opening {
                rule: key.0.clone(),
                severity: finding.severity,
                cause: finding.cause.clone(),
                about: finding.about.clone(),
                clock_seconds: config.clock_seconds,
                references: finding.entries.clone(),
                text: finding.text.chars().take(500).collect(),
            };
            let id = id_of(&key.0, &finding.id, now);
            match incidents.open(&id, &opening, &config.key, now) {
                Ok(_) => {
                    known.insert(key, id.clone());
                    finding.incident = Some(id);
                }
                Err(IncidentError::Cause(cause)) => {
                    finding.text.push_str(&format!("; no incident: no party answers for `{cause}`"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
