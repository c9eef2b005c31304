//! What does not hold, and what the watch said.

use std::collections::BTreeMap;

use super::{
    View,
    layout::{LINES, Menu, head, name, none, notice, page, part, prose, section, table, time},
    live::Seen,
    overview::checked,
    query::Query,
    reply::{Page, Refused},
    words::{EN, fill, number, plain},
};
use crate::{
    html::escape,
    report::{Finding, Rule},
    sitecheck::SiteReport,
    watch::WatchFinding,
};

/// A finding with the folder of its log.
pub(super) type Line<'a> = (&'a str, &'a Finding);

/// The findings that are listed, of one code or of all.
pub(super) fn listed<'a>(report: &'a SiteReport, code: Option<&str>) -> Vec<Line<'a>> {
    let all = report
        .logs
        .iter()
        .flat_map(|log| log.report.findings.iter().map(|finding| (log.prefix.as_str(), finding)));
    all.filter(|(_, finding)| code.is_none_or(|code| finding.rule.code() == code)).collect()
}

/// Findings as a table.
pub(super) fn rows(lines: &[Line<'_>]) -> String {
    let row = |(prefix, finding): &Line<'_>| {
        vec![name(finding.rule.code()), name(prefix), prose(&finding.place.to_string()), prose(&finding.text)]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    let columns = [(EN.code, true), (EN.log, true), (EN.place, true), (EN.what, true)];
    format!("<div class=\"listing\">\n{}</div>\n", table(EN.findings, &columns, &rows))
}

pub(super) fn findings(view: &View<'_>, query: &Query) -> Result<Page, Refused> {
    let (wanted, only) = (query.page()?, query.code("code")?);
    let mut main = head(EN.findings, &checked(view));
    let Some(verified) = &view.known.verified else {
        main.push_str(&notice("unknown", EN.cover_unknown, &none(EN.being_checked)));
        return Ok(Page::html(page(view.site(), Menu::Findings, EN.findings, &main)));
    };
    let lines = listed(&verified.report, only);
    let path =
        only.map_or_else(|| "/findings?page=".to_owned(), |code| format!("/findings?code={code}&page="));
    let part = part(lines.len(), LINES, wanted, &path).ok_or(Refused::NoPage)?;
    if verified.findings == 0 {
        let sums = |of: fn(&crate::report::Report) -> u64| -> u64 {
            verified.report.logs.iter().map(|log| of(&log.report)).sum()
        };
        let text = fill(
            EN.findings_clean,
            &[
                &number(sums(|report| report.entries)),
                &number(sums(|report| report.decisions)),
                &number(verified.report.maps),
            ],
        );
        main.push_str(&notice("good", EN.findings_none, &format!("<p>{text}</p>\n")));
    } else {
        let count = fill(EN.findings_count, &[&number(verified.findings)]);
        main.push_str(&notice("bad", &count, &format!("<p>{}</p>\n", EN.findings_about)));
        main.push_str(&section("codes", EN.by_code, "", &by_code(&verified.report)));
        let title = only.map_or_else(|| EN.findings_each.to_owned(), |code| plain(EN.findings_of, &[code]));
        let all = only.map(|_| format!("<a href=\"/findings\">{}</a>", EN.findings_unfiltered));
        let shown: Vec<_> = lines.iter().take(part.end).skip(part.first).copied().collect();
        let list = if shown.is_empty() { none(EN.findings_none_of) } else { rows(&shown) };
        let body = list + &part.links + &unlisted(&verified.report);
        main.push_str(&section("each", &escape(&title), all.as_deref().unwrap_or_default(), &body));
    }
    main.push_str(&notices(&verified.report));
    Ok(Page::html(page(view.site(), Menu::Findings, EN.findings, &main)))
}

/// How many there are of each code, and what the code means.
pub(super) fn by_code(report: &SiteReport) -> String {
    let mut counts: BTreeMap<Rule, u64> = BTreeMap::new();
    for (_, finding) in listed(report, None) {
        *counts.entry(finding.rule).or_default() += 1;
    }
    let row = |(rule, count): (&Rule, &u64)| {
        let code = rule.code();
        vec![
            format!("<a href=\"/findings?code={code}\">{}</a>", name(code)),
            escape(rule.meaning()),
            number(*count),
        ]
    };
    let rows: Vec<_> = counts.iter().map(row).collect();
    table(EN.by_code, &[(EN.code, true), (EN.must_hold, true), (EN.findings, false)], &rows)
}

fn unlisted(report: &SiteReport) -> String {
    match report.logs.iter().map(|log| log.report.findings_unlisted).sum() {
        0 => String::new(),
        count => none(&fill(EN.findings_unlisted, &[&number(count)])),
    }
}

/// What somebody should know though it breaks nothing: the first lines.
fn notices(report: &SiteReport) -> String {
    let all: Vec<Line<'_>> = report
        .logs
        .iter()
        .flat_map(|log| log.report.notices.iter().map(|notice| (log.prefix.as_str(), notice)))
        .collect();
    if all.is_empty() {
        return String::new();
    }
    let shown: Vec<_> = all.iter().take(LINES).copied().collect();
    let intro = fill(EN.notices_intro, &[&number(all.len() as u64), &number(shown.len() as u64)]);
    section("notices", EN.notices, &intro, &rows(&shown))
}

/// What the watch said, newest first.
pub(super) fn watch(view: &View<'_>, query: &Query) -> Result<Page, Refused> {
    let wanted = query.page()?;
    let mut main = head(EN.watch_title, EN.watch_about);
    match &view.live.watch {
        Seen::NotAsked => main.push_str(&notice("unknown", EN.watch_not_asked, &none(EN.watch_how))),
        Seen::Failed(why) => {
            main.push_str(&notice("bad", EN.watch_unreadable, &format!("<p>{}</p>\n", prose(why))));
        }
        Seen::List(list) => {
            let part = part(list.len(), LINES, wanted, "/watch?page=").ok_or(Refused::NoPage)?;
            if list.is_empty() {
                main.push_str(&notice("good", EN.watch_none, ""));
            } else {
                let rows: Vec<_> = list.iter().take(part.end).skip(part.first).map(watch_row).collect();
                let columns = [
                    (EN.when, true),
                    (EN.code, true),
                    (EN.severity, true),
                    (EN.what, true),
                    (EN.cause, true),
                    (EN.incident, true),
                ];
                let table = table(EN.watch_title, &columns, &rows);
                main.push_str(&format!("<div class=\"watched\">\n{table}</div>\n"));
                main.push_str(&part.links);
            }
        }
    }
    Ok(Page::html(page(view.site(), Menu::Watch, EN.watch_title, &main)))
}

fn watch_row(finding: &WatchFinding) -> Vec<String> {
    let incident = finding.incident.as_ref().map_or_else(|| "–".to_owned(), |id| super::incidents::link(id));
    vec![
        time(finding.time),
        name(finding.rule.code()),
        super::incidents::severity(finding.severity),
        format!("{}<br><span class=\"soft\">{}</span>", prose(&finding.text), escape(finding.rule.meaning())),
        name(&finding.cause),
        incident,
    ]
}
