//! The overview for programs.

use serde::Serialize;

use super::{View, live::Cover, reply::Page};

#[derive(Serialize)]
struct Status<'a> {
    format: &'static str,
    site: &'a str,
    now: u64,
    coverage: Cover,
    reasons: Vec<String>,
    /// Seconds since the newest round.
    round_seconds: Option<u64>,
    check: Check<'a>,
    findings: Option<u64>,
    incidents_open: Option<usize>,
    logs: Vec<Log<'a>>,
}

#[derive(Serialize)]
struct Check<'a> {
    began: Option<u64>,
    ended: Option<u64>,
    running_since: Option<u64>,
    failure: Option<&'a str>,
}

#[derive(Serialize)]
struct Log<'a> {
    origin: &'a str,
    retired: bool,
    held: Option<u64>,
    named: Option<u64>,
    verified: Option<u64>,
    findings: Option<u64>,
}

pub(super) fn status(view: &View<'_>) -> Page {
    let (known, live) = (&view.known, &view.live);
    let (coverage, reasons) = live.cover(view.source, known);
    let verified = known.verified.as_deref();
    let logs = live.logs.iter().map(|log| {
        let report = verified.and_then(|found| found.report.logs.iter().find(|one| one.prefix == log.prefix));
        Log {
            origin: &log.origin,
            retired: log.retired,
            held: log.held,
            named: log.named,
            verified: report.map(|log| log.report.entries),
            findings: report.map(|log| log.report.findings.len() as u64 + log.report.findings_unlisted),
        }
    });
    Page::json(&Status {
        format: "clover auditor status v1",
        site: view.site(),
        now: live.now,
        coverage,
        reasons,
        round_seconds: live.round.map(|time| live.now.saturating_sub(time)),
        check: Check {
            began: verified.map(|found| found.began),
            ended: verified.map(|found| found.ended),
            running_since: known.running,
            failure: known.failure.as_ref().map(|(_, why)| why.as_str()),
        },
        findings: verified.map(|found| found.findings),
        incidents_open: live.open_incidents().map(|list| list.len()),
        logs: logs.collect(),
    })
}
