//! What is cheap to read, and so is read for the pages themselves: how far the mirror is, and the incidents. Kept for
//! two seconds, so that many askers cost no more than one.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    Source,
    check::{Known, chain},
    words::{EN, plain, span},
};
use crate::{
    incident::{Clock, Incident, Incidents, State as IncidentState},
    siteleaf::{RoundLine, SITE_LEAF_BYTES_MAX, SiteBody, SiteLeaf},
    sitelog::{FolderError, Site},
    watch::{WatchFinding, newest_findings},
};

/// How long what was read is shown again.
const KEPT: Duration = Duration::from_secs(2);
/// Entries of the site log that are looked through for a round.
const LOOKED_MAX: u64 = 40;
/// A newest round that is older makes the coverage red.
const ROUND_SECONDS_MAX: u64 = 30;
/// A log that is held to less than a round of so long ago says, likewise.
const BEHIND_SECONDS_MAX: u64 = 10;
/// A clock may be so far from the site's.
const AHEAD_SECONDS_MAX: u64 = 300;
/// Problems and findings of the watch that are shown.
const LISTED_MAX: usize = 2000;
const PROBLEMS_BYTES_MAX: u64 = 16 << 20;

/// Whether everything is covered.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Cover {
    Green,
    Red,
    /// No check has ended yet.
    Unknown,
}

/// How far one log is.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) prefix: String,
    pub(super) origin: String,
    pub(super) retired: bool,
    /// Entries that the mirror holds, if its checkpoint can be read.
    pub(super) held: Option<u64>,
    /// Entries that the newest round says.
    pub(super) named: Option<u64>,
}

/// What is there now.
#[derive(Default)]
pub(super) struct Live {
    pub(super) now: u64,
    /// The site's log first.
    pub(super) logs: Vec<Held>,
    /// The time of the newest round.
    pub(super) round: Option<u64>,
    /// Why it is not all there.
    pub(super) reasons: Vec<String>,
    pub(super) incidents: Seen<Incident>,
    pub(super) clock: Clock,
    pub(super) watch: Seen<WatchFinding>,
}

/// A list, if it was asked for and can be read.
#[derive(Default)]
pub(super) enum Seen<T> {
    #[default]
    NotAsked,
    List(Vec<T>),
    Failed(String),
}

/// The newest reading.
#[derive(Default)]
pub(super) struct Kept(Mutex<Option<(Instant, Arc<Live>)>>);

impl Kept {
    /// What is there, of at most two seconds ago.
    pub(super) fn read(&self, source: &Source, known: &Known) -> Arc<Live> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, live)) = &*kept
            && then.elapsed() < KEPT
            && live.logs.len() > known.tally.iter().map(|tally| tally.logs.len()).sum()
        {
            return Arc::clone(live);
        }
        let live = Arc::new(Live::read(source, known));
        *kept = Some((Instant::now(), Arc::clone(&live)));
        live
    }
}

impl Live {
    fn read(source: &Source, known: &Known) -> Self {
        let mut live = Self { now: source.now(), ..Self::default() };
        let mut newest = None;
        match Site::open(&source.mirror, &source.site) {
            Ok(site) => newest = live.read_logs(&site, known),
            Err(error) => {
                live.reasons.push(plain(EN.mirror_unreadable, &[&chain(&error)]));
            }
        }
        for problem in problems(&source.mirror, &live) {
            live.reasons.push(plain(EN.mirror_problem, &[&problem]));
        }
        live.read_watch(source, newest);
        live
    }

    /// Every log's size, and what the newest round says; returns the site log's newest time.
    fn read_logs(&mut self, site: &Site, known: &Known) -> Option<u64> {
        let own = &site.log.checkpoint;
        self.logs.push(Held {
            prefix: crate::siteleaf::SITE_PREFIX.to_owned(),
            origin: own.origin.clone(),
            retired: false,
            held: Some(own.size),
            named: None,
        });
        let rounds = match rounds(site) {
            Ok(rounds) => rounds,
            Err(error) => {
                self.reasons.push(plain(EN.round_unreadable, &[&chain(&error)]));
                Rounds::default()
            }
        };
        self.round = rounds.list.first().map(|(time, _)| *time);
        self.judge_round();
        for log in known.tally.iter().flat_map(|tally| &tally.logs) {
            let origin = log.enrolled.origin.clone();
            let held = site.open_log(&log.enrolled).map(|log| log.checkpoint.size);
            let named = rounds.list.first().and_then(|(_, lines)| size_in(lines, &origin));
            match &held {
                Err(error) => self.reasons.push(plain(EN.log_unreadable, &[&origin, &chain(error)])),
                Ok(held) if !log.retired => self.judge_log(&origin, *held, named, &rounds),
                Ok(_) => {}
            }
            let (prefix, retired) = (log.enrolled.prefix.clone(), log.retired);
            self.logs.push(Held { prefix, origin, retired, held: held.ok(), named });
        }
        rounds.newest
    }

    fn judge_round(&mut self) {
        let Some(time) = self.round else {
            self.reasons.push(EN.round_none.to_owned());
            return;
        };
        if self.now.saturating_sub(time) > ROUND_SECONDS_MAX {
            self.reasons.push(plain(EN.round_old, &[&span(self.now - time)]));
        }
        if time.saturating_sub(self.now) > AHEAD_SECONDS_MAX {
            self.reasons.push(plain(EN.round_ahead, &[&span(time - self.now)]));
        }
    }

    fn judge_log(&mut self, origin: &str, held: u64, named: Option<u64>, rounds: &Rounds) {
        let Some(named) = named else {
            if !rounds.list.is_empty() {
                self.reasons.push(plain(EN.log_unnamed, &[origin]));
            }
            return;
        };
        if held >= named {
            return;
        }
        // The mirror takes a moment for each round: only what it still lacks of an older one is missing.
        let lacks = |lines: &[RoundLine]| size_in(lines, origin).is_some_and(|size| size > held);
        let since = rounds.list.iter().take_while(|(_, lines)| lacks(lines)).last().map(|(time, _)| *time);
        if since.is_some_and(|since| self.now.saturating_sub(since) > BEHIND_SECONDS_MAX) {
            self.reasons.push(plain(EN.log_behind, &[origin, &held.to_string(), &named.to_string()]));
        }
    }

    fn read_watch(&mut self, source: &Source, newest: Option<u64>) {
        self.clock = Clock { wall: self.now, ledger: newest.unwrap_or(0), running: 0 };
        let Some((folder, parties)) = &source.watch else { return };
        if !folder.is_dir() {
            let why = plain(EN.no_folder, &[&folder.display().to_string()]);
            (self.watch, self.incidents) = (Seen::Failed(why.clone()), Seen::Failed(why));
            return;
        }
        self.watch = match newest_findings(folder, LISTED_MAX) {
            Ok(list) => Seen::List(list),
            Err(error) => Seen::Failed(error.to_string()),
        };
        self.incidents = match Incidents::reading(folder, parties.clone()) {
            Ok(None) => Seen::List(Vec::new()),
            Ok(Some(incidents)) => {
                self.clock = incidents.clock_seen(self.now, newest);
                incidents.list().map_or_else(|error| Seen::Failed(chain(&error)), Seen::List)
            }
            Err(error) => Seen::Failed(chain(&error)),
        };
    }

    /// Those that are not closed, or damaged.
    pub(super) fn open_incidents(&self) -> Option<Vec<&Incident>> {
        let Seen::List(list) = &self.incidents else { return None };
        let open = |found: &&Incident| found.state != IncidentState::Closed || found.damaged.is_some();
        let mut found: Vec<_> = list.iter().filter(open).collect();
        found.sort_by_key(|found| found.left(self.clock).unwrap_or(0));
        Some(found)
    }

    /// Everything together, and why it is not green.
    pub(super) fn cover(&self, source: &Source, known: &Known) -> (Cover, Vec<String>) {
        let mut reasons = Vec::new();
        if let Some(verified) = known.verified.as_ref().filter(|verified| verified.findings > 0) {
            reasons.push(plain(EN.findings_reason, &[&verified.findings.to_string()]));
        }
        if let Some((_, why)) = &known.failure {
            reasons.push(plain(EN.check_failed, &[why]));
        }
        if let Some(tally) = &known.tally {
            reasons.extend(tally.failures.iter().cloned());
        }
        reasons.extend(self.reasons.iter().cloned());
        if let Some(verified) = &known.verified {
            let patience = source.every.as_secs().saturating_add(verified.took).saturating_mul(3) + 60;
            let age = self.now.saturating_sub(verified.ended);
            if age > patience {
                reasons.push(plain(EN.check_old, &[&span(age)]));
            }
        }
        match (&known.verified, reasons.is_empty()) {
            (_, false) => (Cover::Red, reasons),
            (None, true) => (Cover::Unknown, reasons),
            (Some(_), true) => (Cover::Green, reasons),
        }
    }
}

/// The newest rounds, newest first, as far as they were looked for.
#[derive(Default)]
struct Rounds {
    list: Vec<(u64, Vec<RoundLine>)>,
    /// Time of the newest entry of any kind.
    newest: Option<u64>,
}

fn rounds(site: &Site) -> Result<Rounds, FolderError> {
    let (mut found, size) = (Rounds::default(), site.log.checkpoint.size);
    for index in (size.saturating_sub(LOOKED_MAX)..size).rev() {
        let leaf = site.log.leaf(index, SITE_LEAF_BYTES_MAX)?;
        let leaf =
            SiteLeaf::parse(&leaf).map_err(|error| FolderError::Leaf { index, why: error.to_string() })?;
        found.newest = found.newest.max(Some(leaf.time));
        if found.newest.is_some_and(|newest| newest.saturating_sub(leaf.time) > 2 * BEHIND_SECONDS_MAX)
            && !found.list.is_empty()
        {
            break;
        }
        if let SiteBody::Round(lines) = leaf.body {
            found.list.push((leaf.time, lines));
        }
    }
    Ok(found)
}

fn size_in(lines: &[RoundLine], origin: &str) -> Option<u64> {
    lines.iter().find(|line| line.origin == origin).map(|line| line.size)
}

/// What the mirror keeps as wrong for good. With several sites its list is beside their folders.
fn problems(mirror: &Path, live: &Live) -> Vec<String> {
    let list = |folder: &Path| problems_in(&folder.join("evidence").join("problems.ndjson"));
    let mut found = list(mirror);
    if let Some(above) = mirror.parent() {
        let ours = |origin: &str| live.logs.iter().any(|log| log.origin == origin);
        found.extend(list(above).into_iter().filter(|(origin, _)| ours(origin)));
    }
    found.truncate(LISTED_MAX);
    found.into_iter().map(|(origin, text)| format!("`{origin}`: {text}")).collect()
}

fn problems_in(path: &Path) -> Vec<(String, String)> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        File::open(path)?.take(PROBLEMS_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = match read() {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return vec![(path.display().to_string(), error.to_string())],
    };
    let problem = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        let word = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
        Some((word("origin")?, word("text")?))
    };
    text.lines().filter_map(problem).collect()
}
