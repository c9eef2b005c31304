//! What happened in a period, and what of it was really checked: the numbers behind the auditor's report.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    approvals::{self, Approvals},
    bundle::{BUNDLE_BYTES_MAX, ENTRY_BYTES_MAX},
    codes::{Class, Kind, Treatment, purpose_name},
    daymap::DAY_SECONDS,
    header::Header,
    history::words::instant,
    incident::{Incident, IncidentError, Incidents, Parties},
    keyleaf::{KEY_LEAF_BYTES, KeyLeaf},
    note::VerifierKey,
    orders::Said,
    sitecheck::{SiteOptions, SiteReport, verify_site},
    siteleaf::{Enrolled, Role, SiteBody},
    sitelog::{FolderError, Site},
    tile::TILE_WIDTH,
    verify::AuditError,
};

/// Longer between two entries of the site log is a gap (`docs/formats/site-log.md`).
const GAP_SECONDS_MAX: u64 = 10;
/// Findings that the report lists; all are counted.
const FINDINGS_MAX: usize = 200;
/// Suspensions and demands that it lists of each.
const LISTED_MAX: usize = 1000;
const REASONS: [&str; 19] = [
    "none",
    "policy",
    "evaluation",
    "request",
    "evidence",
    "malformed",
    "limit",
    "finding",
    "unknown",
    "upstream",
    "subject",
    "threshold",
    "border",
    "budget",
    "assessment",
    "suspended",
    "rulebook",
    "privacy",
    "difference",
];

/// What to report on.
#[derive(Debug)]
pub struct PeriodOptions {
    /// A mirror's folder.
    pub mirror: PathBuf,
    /// The key of the site log.
    pub site: VerifierKey,
    /// The operator's and the auditor's keys for rulebooks; without them nothing is verified, and the report
    /// says so.
    pub signers: Option<(VerifierKey, VerifierKey)>,
    /// Whether to decide again and to build day maps again.
    pub thorough: bool,
    /// First day, counted from 1970-01-01 UTC.
    pub from: u64,
    /// Last day.
    pub to: u64,
    /// The folder of the watch, and who may act on its incidents.
    pub watch: Option<(PathBuf, Parties)>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeriodError {
    /// The mirror cannot be read, or does not lead to signed roots.
    #[error("cannot read the mirror")]
    Mirror(#[from] FolderError),
    /// It cannot be verified.
    #[error("cannot verify the mirror")]
    Verify(#[from] AuditError),
    /// The incidents cannot be read.
    #[error("cannot read the incidents")]
    Incidents(#[from] IncidentError),
}

/// The report on a period.
#[derive(Debug, Serialize)]
pub struct PeriodReport {
    /// `clover period report v1`.
    pub format: &'static str,
    /// Origin of the site log.
    pub site: String,
    /// First day, `YYYY-MM-DD`.
    pub from: String,
    /// Last day.
    pub to: String,
    /// The newest entry of the site log that the report knows, as a time in UTC.
    pub newest: String,
    /// What crossed.
    pub crossings: Crossings,
    /// Refusals by their reason.
    pub refusals: BTreeMap<String, u64>,
    /// Entries of imports.
    pub imports: u64,
    /// Entries of erasures.
    pub erasures: u64,
    /// Releases of keys.
    pub key_releases: u64,
    /// Border overrides, by the time at which they were recorded.
    pub overrides: Vec<String>,
    /// Suspensions of countries and their liftings, as they were recorded.
    pub suspensions: Vec<String>,
    /// Demands of authorities outside the region, as they were recorded. They grant nothing.
    pub demands: Vec<String>,
    /// Stages of migrations, as they were recorded.
    pub migrations: Vec<String>,
    /// Rows by the country that they come from and the last stage of their set in the period.
    pub moved: BTreeMap<String, BTreeMap<String, u64>>,
    /// How approvers decided.
    pub approvals: Approvals,
    /// Incidents that were opened in the period or not closed at its beginning; absent if no folder was given.
    pub incidents: Option<Vec<Incident>>,
    /// What was really checked.
    pub coverage: PeriodCoverage,
    /// What was not, in plain words.
    pub not_checked: Vec<String>,
}

/// Crossings of the period: answers, and streams that were opened.
#[derive(Debug, Default, Serialize)]
pub struct Crossings {
    /// All.
    pub total: Volume,
    /// By the country where the data went.
    pub by_country: BTreeMap<String, Volume>,
    /// By class; a crossing counts for each of its classes.
    pub by_class: BTreeMap<String, Volume>,
    /// By treatment; likewise.
    pub by_treatment: BTreeMap<String, Volume>,
    /// By purpose.
    pub by_purpose: BTreeMap<String, Volume>,
    /// Streams that were opened; what they released counts on the day of their close.
    pub streams: u64,
}

/// How much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Crossings.
    pub crossings: u64,
    /// Records.
    pub rows: u64,
    /// Bytes of payload.
    pub bytes: u64,
}

/// What was really checked. Numbers are of the period where they say so, and else of the whole record.
#[derive(Debug, Default, Serialize)]
pub struct PeriodCoverage {
    /// Entries of all logs that the mirror holds, and that lead to their signed roots.
    pub entries_held: u64,
    /// Entries of the period among those.
    pub entries_in_period: u64,
    /// Entries of the period that cannot be read.
    pub entries_unreadable: u64,
    /// Entries that were verified: structure, rulebook, agreement of header and facts.
    pub entries_verified: u64,
    /// Decisions that were made again.
    pub decisions_again: u64,
    /// Day maps that were built again.
    pub maps_rebuilt: u64,
    /// Day maps in the record.
    pub maps_recorded: u64,
    /// Entries of the period that were chosen and opened as samples.
    pub samples_opened: u64,
    /// Rounds of the period.
    pub rounds: u64,
    /// Gaps of more than 10 s in the site log in the period, and their seconds.
    pub gaps: u64,
    /// Seconds of those gaps.
    pub gap_seconds: u64,
    /// What does not hold; absent if nothing was verified.
    pub findings: Option<u64>,
    /// The first of them.
    pub findings_listed: Vec<String>,
}

impl Volume {
    fn add(&mut self, header: &Header) {
        // A stream is one crossing when it opens; its rows and bytes are known when it closes.
        self.crossings += u64::from(header.kind.is_release());
        if header.kind != Kind::Open {
            self.rows = self.rows.saturating_add(header.rows.into());
            self.bytes = self.bytes.saturating_add(header.bytes);
        }
    }
}

/// Makes the report: reads every entry that the mirror holds, and verifies what it is told to.
///
/// # Errors
/// If the mirror cannot be read, or its entries do not lead to the signed roots.
pub fn report_period(options: &PeriodOptions) -> Result<PeriodReport, PeriodError> {
    let report = read_period(options)?;
    let verified = match &options.signers {
        Some((operator, auditor)) => Some(verify_site(&SiteOptions {
            folder: options.mirror.clone(),
            site: options.site.clone(),
            operator: operator.clone(),
            auditor: auditor.clone(),
            policy: None,
            seen: Vec::new(),
            redecide: options.thorough,
            maps: options.thorough,
            records_max: SiteOptions::RECORDS_MAX,
        })?),
        None => None,
    };
    Ok(complete_period(report, options, verified.as_ref()))
}

/// What the entries of the period say; nothing is verified but that they lead to signed roots.
pub(crate) fn read_period(options: &PeriodOptions) -> Result<PeriodReport, PeriodError> {
    let site = Site::open(&options.mirror, &options.site)?;
    let day =
        |day: u64| instant(day.saturating_mul(DAY_SECONDS)).split('T').next().unwrap_or_default().to_owned();
    let mut report = PeriodReport {
        format: "clover period report v1",
        site: site.log.checkpoint.origin.clone(),
        from: day(options.from),
        to: day(options.to),
        newest: String::new(),
        crossings: Crossings::default(),
        refusals: BTreeMap::new(),
        imports: 0,
        erasures: 0,
        key_releases: 0,
        overrides: Vec::new(),
        suspensions: Vec::new(),
        demands: Vec::new(),
        migrations: Vec::new(),
        moved: BTreeMap::new(),
        approvals: Approvals::default(),
        incidents: None,
        coverage: PeriodCoverage::default(),
        not_checked: Vec::new(),
    };
    let logs = read_site(&site, options, &mut report)?;
    for log in &logs {
        read_log(&site, log, options, &mut report)?;
    }
    if let Some((folder, parties)) = &options.watch {
        report.incidents = Some(incidents(folder, parties, options)?);
    }
    Ok(report)
}

/// Adds what a verification found, and what was left out.
pub(crate) fn complete_period(
    mut report: PeriodReport,
    options: &PeriodOptions,
    verified: Option<&SiteReport>,
) -> PeriodReport {
    if let Some(verified) = verified {
        take_verified(verified, &mut report.coverage);
    }
    report.not_checked = not_checked(&report, options, verified);
    report
}

fn in_period(time: u64, options: &PeriodOptions) -> bool {
    (options.from..=options.to).contains(&(time / DAY_SECONDS))
}

/// Reads the site log, and returns every log that it ever enrolled.
fn read_site(
    site: &Site,
    options: &PeriodOptions,
    report: &mut PeriodReport,
) -> Result<Vec<Enrolled>, FolderError> {
    let (mut logs, mut last): (BTreeMap<String, Enrolled>, Option<u64>) = (BTreeMap::new(), None);
    let mut acts = approvals::Collector::default();
    site.each(|leaf| {
        let within = in_period(leaf.time, options);
        let coverage = &mut report.coverage;
        coverage.entries_held += 1;
        coverage.entries_in_period += u64::from(within);
        let gap = last.map_or(0, |last| leaf.time.saturating_sub(last));
        if within && gap > GAP_SECONDS_MAX {
            coverage.gaps += 1;
            coverage.gap_seconds = coverage.gap_seconds.saturating_add(gap);
        }
        last = last.max(Some(leaf.time));
        match leaf.body {
            SiteBody::Enrolment(list) => logs.extend(list.into_iter().map(|log| (log.origin.clone(), log))),
            SiteBody::Round(_) if within => coverage.rounds += 1,
            SiteBody::DayMap(_) => coverage.maps_recorded += 1,
            SiteBody::Override(_) if within => report.overrides.push(instant(leaf.time)),
            SiteBody::Access(entry) => acts.act(leaf.time, &entry),
            SiteBody::Sample(sample) if within => coverage.samples_opened += sample.indices.len() as u64,
            _ => {}
        }
        Ok(())
    })?;
    report.newest = last.map(instant).unwrap_or_default();
    report.approvals = acts.finish(|time| in_period(time, options));
    Ok(logs.into_values().collect())
}

fn read_log(
    site: &Site,
    enrolled: &Enrolled,
    options: &PeriodOptions,
    report: &mut PeriodReport,
) -> Result<(), FolderError> {
    let log = site.open_log(enrolled)?;
    report.coverage.entries_held += log.checkpoint.size;
    let keys = enrolled.role == Role::KeyService;
    let (bundle, leaf) = if keys {
        (TILE_WIDTH * (2 + KEY_LEAF_BYTES as u64), KEY_LEAF_BYTES)
    } else {
        (BUNDLE_BYTES_MAX, ENTRY_BYTES_MAX)
    };
    let mut last = LastStages::new();
    let read = log.each(bundle, leaf, |_, leaf| {
        let time = if keys {
            KeyLeaf::parse(leaf).map(|leaf| leaf.time).ok()
        } else {
            Header::parse(leaf).map(|(header, _)| header.time).ok()
        };
        let Some(time) = time else {
            report.coverage.entries_unreadable += 1;
            return Ok::<_, FolderError>(());
        };
        if !in_period(time, options) {
            return Ok(());
        }
        report.coverage.entries_in_period += 1;
        if keys {
            report.key_releases += 1;
        } else if let Ok((header, bytes)) = Header::parse(leaf) {
            count(&header, report);
            list_signed(&header, bytes, &mut last, report);
        }
        Ok(())
    });
    for (country, stage, rows) in last.into_values() {
        *report.moved.entry(country).or_default().entry(stage.to_owned()).or_default() += rows;
    }
    read
}

/// Country, stage and rows of each set of each migration, at its last stage.
type LastStages = BTreeMap<String, (String, &'static str, u64)>;

/// Lists what was suspended, demanded and moved. Who signed is checked where the log is verified.
fn list_signed(header: &Header, bytes: &[u8], last: &mut LastStages, report: &mut PeriodReport) {
    let list = match header.kind {
        Kind::Suspension => &mut report.suspensions,
        Kind::Demand => &mut report.demands,
        Kind::Migration => &mut report.migrations,
        _ => return,
    };
    let said = Said::read(header.kind, bytes);
    if let Ok(Said::Migration(moved)) = &said {
        let (country, set, stage, rows) = moved.standing();
        last.insert(set, (country, stage, rows));
    }
    if list.len() < LISTED_MAX {
        let words = said.map_or_else(|why| why, |said| said.words());
        list.push(format!("{}: {words}", instant(header.time)));
    }
}

fn count(header: &Header, report: &mut PeriodReport) {
    match header.kind {
        Kind::Answer | Kind::Open | Kind::Close => {}
        Kind::Refusal => {
            *report.refusals.entry(reason_word(header).to_owned()).or_default() += 1;
            return;
        }
        Kind::Import => {
            report.imports += 1;
            return;
        }
        Kind::Erasure => {
            report.erasures += 1;
            return;
        }
        _ => return,
    }
    count_crossing(header, &mut report.crossings);
}

/// The word of a refusal's reason.
pub(crate) fn reason_word(header: &Header) -> &'static str {
    REASONS.get(usize::from(header.reason)).copied().unwrap_or("unknown")
}

/// Counts an answer, or the beginning or the end of a stream.
pub(crate) fn count_crossing(header: &Header, crossings: &mut Crossings) {
    crossings.streams += u64::from(header.kind == Kind::Open);
    crossings.total.add(header);
    let country = String::from_utf8_lossy(&header.destination).into_owned();
    crossings.by_country.entry(country).or_default().add(header);
    crossings.by_purpose.entry(purpose_name(header.purpose).to_owned()).or_default().add(header);
    for class in [Class::Public, Class::Allowable, Class::Restricted] {
        if header.classes & class.bit() != 0 {
            crossings.by_class.entry(class.word().to_owned()).or_default().add(header);
        }
    }
    for treatment in [1, 2, 4, 8, 16, 32].into_iter().filter_map(Treatment::from_code) {
        if header.treatments & treatment.bit() != 0 {
            crossings.by_treatment.entry(treatment.word().to_owned()).or_default().add(header);
        }
    }
}

fn incidents(
    folder: &Path,
    parties: &Parties,
    options: &PeriodOptions,
) -> Result<Vec<Incident>, IncidentError> {
    let (start, end) =
        (options.from.saturating_mul(DAY_SECONDS), options.to.saturating_add(1).saturating_mul(DAY_SECONDS));
    let Some(incidents) = Incidents::reading(folder, parties.clone())? else { return Ok(Vec::new()) };
    let mut found = incidents.list()?;
    found.retain(|incident| {
        let closed = incident.state == crate::incident::State::Closed && incident.clock().wall < start;
        incident.opened().wall < end && !closed
    });
    Ok(found)
}

fn take_verified(verified: &SiteReport, coverage: &mut PeriodCoverage) {
    let mut total = 0;
    for log in &verified.logs {
        coverage.entries_verified += log.report.entries;
        coverage.decisions_again += log.report.decisions;
        total += log.report.findings.len() as u64 + log.report.findings_unlisted;
        let room = FINDINGS_MAX.saturating_sub(coverage.findings_listed.len());
        let lines = log.report.findings.iter().take(room).map(|finding| format!("{}: {finding}", log.prefix));
        coverage.findings_listed.extend(lines);
    }
    coverage.findings = Some(total);
    coverage.maps_rebuilt = if verified.maps_checked { verified.maps } else { 0 };
}

fn not_checked(report: &PeriodReport, options: &PeriodOptions, verified: Option<&SiteReport>) -> Vec<String> {
    let coverage = &report.coverage;
    let mut lines = Vec::new();
    let mut say = |when: bool, text: String| lines.extend(when.then_some(text));
    say(
        verified.is_none(),
        "Nothing was verified beyond the signed roots: the keys of operator and auditor were not given."
            .into(),
    );
    say(
        !options.thorough,
        "No decision was made again and no day map was built again: the report was asked to leave that out."
            .into(),
    );
    say(
        coverage.maps_rebuilt < coverage.maps_recorded,
        format!(
            "{} of {} day maps were not built again.",
            coverage.maps_recorded - coverage.maps_rebuilt,
            coverage.maps_recorded
        ),
    );
    say(
        true,
        format!(
            "Of {} crossings the site has recorded that {} were opened as samples, whose results are with the auditor's \
             sampling. The content of the others was not seen.",
            report.crossings.total.crossings, coverage.samples_opened
        ),
    );
    say(
        coverage.gaps > 0,
        format!(
            "{} s of the period have no entry in the site log (gaps: {}).",
            coverage.gap_seconds, coverage.gaps
        ),
    );
    say(
        coverage.entries_unreadable > 0,
        format!("{} entries cannot be read, and count nowhere.", coverage.entries_unreadable),
    );
    say(
        report.incidents.is_none(),
        "Incidents are not in this report: the folder of the watch was not given.".into(),
    );
    say(
        verified.is_some_and(|verified| !verified.releases_checked),
        "Key releases were not matched with entries: no key service is enrolled.".into(),
    );
    say(
        verified.is_some_and(|verified| verified.cosigners.is_none()),
        "Whether independent witnesses have signed was not checked here.".into(),
    );
    say(true, "No ledger shows a way around the gateways, nor that a gateway named the right person. Flow counters and samples bear on that; they do not prove it.".into());
    lines
}
