//! What the watch says, and its file of findings.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize, Serializer};

use crate::{
    hash::sha256,
    incident::{Reference, Severity},
    tree::hex_of,
};

/// Ids of findings that are remembered, so that none is written twice after a crash.
const IDS_MAX: usize = 20_000;
/// The end of the file that is read for them.
const TAIL_BYTES: u64 = 16 << 20;
/// The end of the file that is read to show it.
const SHOWN_BYTES: u64 = 4 << 20;
/// Things about which nothing new is said for a while.
const QUIET_MAX: usize = 10_000;

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal $severity:ident,)*) => {
        /// What the watch looks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum WatchRule {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl WatchRule {
            /// The code in findings and in the documents.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// How bad it is. Grave findings open incidents.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)*
                }
            }

            /// What it found, in words.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc,)+).trim_ascii_start(),)*
                }
            }

            /// The rule of a code.
            #[must_use]
            pub fn parse(code: &str) -> Option<Self> {
                [$(Self::$variant,)*].into_iter().find(|rule| rule.code() == code)
            }
        }
    };
}

rules! {
    /// An actor was given unusually much in an hour.
    ActorVolume = "WATCH-01" Serious,
    /// A purpose was used for unusually much in an hour.
    PurposeVolume = "WATCH-02" Serious,
    /// A country was sent unusually much in an hour.
    DestinationVolume = "WATCH-03" Serious,
    /// The same fields went the same way to the same actor again and again.
    RepeatedExport = "WATCH-04" Serious,
    /// Somebody, or a lane, was refused again and again.
    DeniedBurst = "WATCH-05" Serious,
    /// A stream was not closed in time.
    OrphanStream = "WATCH-06" Grave,
    /// A key was released and no entry says for what.
    StrayRelease = "WATCH-07" Grave,
    /// An entry names people and no key was released for it.
    MissingRelease = "WATCH-08" Serious,
    /// The border override was used.
    Override = "WATCH-09" Grave,
    /// A clock jumped, or the record has a gap.
    ClockJump = "WATCH-10" Serious,
    /// Not everything was covered for a while.
    Coverage = "WATCH-11" Grave,
    /// More bytes left than were recorded: there may be a way that is not logged.
    EgressExcess = "WATCH-12" Grave,
    /// Far fewer bytes left than were recorded: the counter may not see everything.
    EgressShortfall = "WATCH-13" Notice,
    /// The feed of byte counters has a gap, is late, silent or cannot be read.
    EgressFeed = "WATCH-14" Notice,
    /// A release broke what the auditor holds whatever the policies say.
    Invariant = "WATCH-15" Grave,
    /// An entry cannot be read, or its rulebook is not valid.
    Unreadable = "WATCH-16" Grave,
    /// An incident's record was tampered with.
    DamagedIncident = "WATCH-17" Grave,
    /// There was more to follow than the watch holds at once.
    Overflow = "WATCH-18" Serious,
    /// Something crossed to or from a country while crossings there were suspended.
    Suspended = "WATCH-19" Grave,
    /// Crossings to a country were suspended or allowed again, or the order for it does not count.
    Suspension = "WATCH-20" Notice,
    /// An authority outside the region demanded data.
    Demand = "WATCH-21" Notice,
    /// A decoy was approved.
    DecoyApproved = "WATCH-22" Serious,
    /// Somebody approves everything, faster than anybody reads.
    RubberStamp = "WATCH-23" Serious,
    /// The third export of the same fields to the same person at like distances of days.
    RecurringExport = "WATCH-24" Serious,
    /// An act of a request was recorded, and then another in its place.
    ActDisplaced = "WATCH-25" Serious,
    /// What could not be destroyed at a migration's source is open beyond its time.
    MigrationOpen = "WATCH-26" Serious,
    /// A set of records moved on its way into the region.
    Migration = "WATCH-27" Notice,
    /// The text that says so does not count: something may have been destroyed without the auditor's mark.
    MigrationFalse = "WATCH-28" Grave,
}

impl Serialize for WatchRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for WatchRule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::parse(&code).ok_or_else(|| serde::de::Error::custom("no such rule"))
    }
}

/// One thing that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchFinding {
    /// The same for the same finding, however often it is found.
    pub id: String,
    /// The newest time of the site log when it was found, in Unix seconds.
    pub time: u64,
    /// What was looked for.
    pub rule: WatchRule,
    /// How bad it is.
    pub severity: Severity,
    /// The party that answers for it.
    pub cause: String,
    /// What the rule was looking at.
    pub about: String,
    /// The entries that show it.
    pub entries: Vec<Reference>,
    /// What was found, in one line.
    pub text: String,
    /// The incident that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incident: Option<String>,
}

/// Collects findings, and says nothing about one thing too often.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Findings {
    quiet: BTreeMap<String, Quiet>,
    #[serde(skip)]
    pub(super) new: Vec<WatchFinding>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Quiet {
    until: u64,
    more: u64,
    rule: WatchRule,
    cause: String,
    about: String,
}

/// A finding before it has a time and an id.
pub(super) struct Found {
    pub(super) rule: WatchRule,
    pub(super) cause: String,
    pub(super) about: String,
    pub(super) entry: Option<Reference>,
    pub(super) text: String,
}

impl Findings {
    /// Takes a finding, or counts it if there was one of this rule about this thing a short time ago.
    pub(super) fn add(&mut self, time: u64, repeat_seconds: u64, found: Found) {
        let key = format!("{} {}", found.rule.code(), found.about);
        if let Some(quiet) = self.quiet.get_mut(&key)
            && time < quiet.until
        {
            quiet.more = quiet.more.saturating_add(1);
            return;
        }
        let (rule, cause, about) = (found.rule, found.cause.clone(), found.about.clone());
        self.push(time, found);
        if self.quiet.len() < QUIET_MAX {
            let until = time.saturating_add(repeat_seconds);
            self.quiet.insert(key, Quiet { until, more: 0, rule, cause, about });
        }
    }

    /// Tells how many more there were of what was quiet until now.
    pub(super) fn tick(&mut self, time: u64) {
        let over: Vec<_> =
            self.quiet.iter().filter(|(_, quiet)| quiet.until <= time).map(|(key, _)| key.clone()).collect();
        for key in over {
            let Some(quiet) = self.quiet.remove(&key).filter(|quiet| quiet.more > 0) else { continue };
            let text = format!("{} more like the last finding of this rule about this", quiet.more);
            let Quiet { rule, cause, about, .. } = quiet;
            self.push(time, Found { rule, cause, about, entry: None, text });
        }
    }

    fn push(&mut self, time: u64, found: Found) {
        let Found { rule, cause, about, entry, text } = found;
        let place =
            entry.as_ref().map(|entry| format!("{} {}", entry.index, entry.origin)).unwrap_or_default();
        let name = format!("{}\n{about}\n{place}\n{time}\n{text}", rule.code());
        let id = hex_of(&sha256(name.as_bytes())).chars().take(16).collect();
        let severity = rule.severity();
        let entries = entry.into_iter().collect();
        self.new.push(WatchFinding { id, time, rule, severity, cause, about, entries, text, incident: None });
    }
}

/// The file `findings.ndjson`.
pub(super) struct Journal {
    file: File,
    known: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Journal {
    /// Opens the file for adding, and cuts off a line that a crash left half written.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let length = file.metadata()?.len();
        let start = length.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        file.set_len(start + whole as u64)?;
        file.sync_all()?;
        let mut journal = Self { file, known: BTreeSet::new(), order: VecDeque::new() };
        for line in tail.split(|byte| *byte == b'\n') {
            if let Ok(finding) = serde_json::from_slice::<WatchFinding>(line) {
                journal.remember(finding.id);
            }
        }
        Ok(journal)
    }

    pub(super) fn knows(&self, id: &str) -> bool {
        self.known.contains(id)
    }

    /// Adds findings; they are durable on return.
    pub(super) fn write(&mut self, findings: &[WatchFinding]) -> io::Result<()> {
        if findings.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for finding in findings {
            serde_json::to_writer(&mut bytes, finding)?;
            bytes.push(b'\n');
        }
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        findings.iter().for_each(|finding| self.remember(finding.id.clone()));
        Ok(())
    }

    fn remember(&mut self, id: String) {
        if self.known.insert(id.clone()) {
            self.order.push_back(id);
        }
        if self.order.len() > IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// The newest findings of a watch's folder, newest first, at most so many; none if it has found nothing yet.
pub(crate) fn newest_findings(folder: &Path, limit: usize) -> io::Result<Vec<WatchFinding>> {
    let mut file = match File::open(folder.join("findings.ndjson")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let start = file.metadata()?.len().saturating_sub(SHOWN_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(SHOWN_BYTES).read_to_end(&mut tail)?;
    // The first line may be cut off, and the last may not be whole yet.
    let lines = tail.rsplit(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    Ok(lines.take(limit).collect())
}

/// Makes the folder, and says whether it could be.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}
