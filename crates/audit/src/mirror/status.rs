//! What the mirror knows about its own coverage, computed when somebody asks and never merely reported.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{follow::Followed, site::Site};

/// A log that could not be fetched, or lags, for so long is red.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether everything is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Coverage {
    /// Every enrolled log is held to where its site says it is, and nothing is wrong.
    Green,
    /// Something is missing or wrong.
    Red,
}

/// The mirror's account of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// Of everything.
    pub coverage: Coverage,
    /// Why it is red, a line each.
    pub reasons: Vec<String>,
    /// The sites that are followed.
    pub sites: Vec<SiteStatus>,
    /// Strangers' logs that are only witnessed.
    pub witnessed: Vec<WitnessedLog>,
}

/// One site.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SiteStatus {
    /// Its base URL.
    pub base: String,
    /// Its own log.
    pub site: LogStatus,
    /// Entries of the site log whose words were compared with the entries held.
    pub checked: u64,
    /// Whether day maps are built again and compared.
    pub maps_checked: bool,
    /// Gaps of more than 10 s between entries of the site log.
    pub gaps: u64,
    /// Seconds since the last new round came.
    pub round_seconds: Option<u64>,
    /// The enrolled logs.
    pub logs: Vec<LogStatus>,
}

/// One log that is followed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogStatus {
    /// Its origin.
    pub origin: String,
    /// Where it lies below the base URL and in the mirror's folder.
    pub prefix: String,
    /// Entries that are held and lead to a signed root.
    pub held: u64,
    /// Entries that the newest round of its site says.
    pub named: Option<u64>,
    /// Seconds since it was last followed to its newest checkpoint.
    pub fetched_seconds: Option<u64>,
    /// Seconds for which it has had less than the newest round says.
    pub behind_seconds: Option<u64>,
    /// Why the last try failed.
    pub failure: Option<String>,
    /// What is wrong for good.
    pub problems: Vec<String>,
}

/// A log of a stranger.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WitnessedLog {
    /// Its origin.
    pub origin: String,
    /// Size of the last checkpoint that was cosigned.
    pub size: u64,
    /// What is wrong for good.
    pub problems: Vec<String>,
}

pub(crate) fn of_site(site: &Site, now: Instant, reasons: &mut Vec<String>) -> SiteStatus {
    let (read, round) = (site.read(), site.log.round());
    let behind = site.behind(now);
    let own = of_log(&site.log, None, None, now, reasons);
    let age = round.as_ref().map(|(_, came)| now.saturating_duration_since(*came));
    if age.is_none_or(|age| age > PATIENCE) {
        reasons.push(format!("`{}` has no new round", site.log.origin));
    }
    let unchecked = site.unchecked(now).map(|since| now.saturating_duration_since(since));
    if read.checked == 0 || unchecked.is_some_and(|age| age > PATIENCE) {
        let text = format!("`{}` is checked to {} of {} entries", own.origin, read.checked, own.held);
        reasons.push(text);
    }
    if let Some(failure) = &read.failure {
        reasons.push(format!("`{}` cannot be read on: {failure}", site.log.origin));
    }
    let lines = round.map(|(lines, _)| lines).unwrap_or_default();
    let mut logs = Vec::new();
    for log in site.members().iter().filter(|log| read.enrolled.contains(&log.origin)) {
        let named = lines.iter().find(|line| line.origin == log.origin).map(|line| line.size);
        if named.is_none() && !lines.is_empty() {
            reasons.push(format!("`{}` is missing in the newest round", log.origin));
        }
        logs.push(of_log(log, named, behind.get(&log.origin).copied(), now, reasons));
    }
    for origin in read.enrolled.iter().filter(|origin| site.member(origin).is_none()) {
        reasons.push(format!("`{}` is enrolled and cannot be followed", origin.escape_debug()));
    }
    SiteStatus {
        base: site.base.clone(),
        site: own,
        checked: read.checked,
        maps_checked: site.maps(),
        gaps: read.gaps,
        round_seconds: age.map(|age| age.as_secs()),
        logs,
    }
}

fn of_log(
    log: &Followed,
    named: Option<u64>,
    behind: Option<Instant>,
    now: Instant,
    reasons: &mut Vec<String>,
) -> LogStatus {
    let (fetched, failure) = log.contact();
    let fetched = fetched.map(|then| now.saturating_duration_since(then));
    let behind = behind.map(|then| now.saturating_duration_since(then));
    let origin = log.origin.clone();
    let is_lie = failure.as_ref().is_some_and(|failure| failure.is_lie);
    if is_lie || fetched.is_none_or(|age| age > PATIENCE) {
        let why = failure.as_ref().map_or("no answer yet", |failure| &failure.text);
        reasons.push(format!("`{origin}` cannot be followed: {why}"));
    }
    if behind.is_some_and(|age| age > PATIENCE) {
        reasons.push(format!("`{origin}` is held to less than the newest round says"));
    }
    let problems = log.problems();
    reasons.extend(problems.iter().map(|text| format!("`{origin}`: {text}")));
    LogStatus {
        origin,
        prefix: log.prefix.clone(),
        held: log.head().size,
        named,
        fetched_seconds: fetched.map(|age| age.as_secs()),
        behind_seconds: behind.map(|age| age.as_secs()),
        failure: failure.map(|failure| failure.text),
        problems,
    }
}
