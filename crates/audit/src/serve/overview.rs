//! The first page: is everything covered, and what needs somebody.

use super::{
    View,
    chart::{Bar, chart},
    check::Verified,
    findings, incidents,
    layout::{Menu, ago, cover_words, head, name, none, notice, page, part, prose, section, table},
    live::{Held, Seen},
    query::Query,
    reply::{Page, Refused},
    words::{EN, fill, number, short, span},
};
use crate::{daymap::DAY_SECONDS, html::escape};

/// Days of the chart.
const DAYS: u64 = 30;
/// Findings on one page of the list here.
const FINDINGS: usize = 10;
const INCIDENTS: usize = 10;
/// Reasons that are shown; there are as many as there are things wrong.
const REASONS: usize = 50;

pub(super) fn overview(view: &View<'_>, query: &Query) -> Result<Page, Refused> {
    let mut main = head(EN.overview, &checked(view));
    main.push_str(&verdict(view));
    main.push_str(&figures(view));
    main.push_str(&found(view, query)?);
    main.push_str(&waiting(view));
    main.push_str(&crossings(view));
    main.push_str(&logs(view));
    Ok(Page::html(page(view.site(), Menu::Overview, EN.overview, &main)))
}

/// When the newest whole check was made, and whether one runs.
pub(super) fn checked(view: &View<'_>) -> String {
    let now = view.live.now;
    let mut text = match &view.known.verified {
        Some(verified) => {
            format!("{} {}.", EN.checked_at, ago(verified.began, now))
        }
        None => EN.checked_never.to_owned(),
    };
    if let Some(since) = view.known.running {
        text.push(' ');
        text.push_str(&fill(EN.running, &[&span(now.saturating_sub(since))]));
    }
    text
}

fn verdict(view: &View<'_>) -> String {
    let (cover, reasons) = view.live.cover(view.source, &view.known);
    let (class, word) = cover_words(cover);
    let lines: String =
        reasons.iter().take(REASONS).map(|reason| format!("<li>{}</li>\n", prose(reason))).collect();
    let more = reasons.len().saturating_sub(REASONS);
    let more = if more > 0 { none(&fill(EN.more_reasons, &[&number(more as u64)])) } else { String::new() };
    let body = match (lines.is_empty(), view.known.verified.is_some()) {
        (false, _) => format!("<ul>\n{lines}</ul>\n{more}"),
        (true, true) => format!("<p>{}</p>\n", EN.cover_green_about),
        (true, false) => format!("<p>{} <a href=\"/\">{}</a></p>\n", EN.being_checked, EN.look_again),
    };
    notice(class, word, &body)
}

fn figures(view: &View<'_>) -> String {
    let known = &view.known;
    let dash = || "–".to_owned();
    let held = view.live.logs.iter().filter_map(|log| log.held).sum();
    let verified =
        |verified: &Verified| number(verified.report.logs.iter().map(|log| log.report.entries).sum());
    let round = view.live.round.map(|time| short(view.live.now.saturating_sub(time)));
    let open = view.live.open_incidents().map(|list| number(list.len() as u64));
    let cells = [
        (number(held), EN.entries_held),
        (known.verified.as_ref().map_or_else(dash, |found| verified(found)), EN.entries_verified),
        (known.verified.as_ref().map_or_else(dash, |found| number(found.findings)), EN.findings_figure),
        (open.unwrap_or_else(dash), EN.incidents_open),
        (round.unwrap_or_else(dash), EN.round_age),
        (known.tally.as_ref().map_or_else(dash, |tally| number(tally.gaps)), EN.gaps),
    ];
    let cells = cells.map(|(value, name)| format!("<div><dt>{name}</dt><dd>{}</dd></div>\n", escape(&value)));
    format!("<dl class=\"figures\">\n{}</dl>\n", cells.concat())
}

fn found(view: &View<'_>, query: &Query) -> Result<String, Refused> {
    let wanted = query.page()?;
    let Some(verified) = &view.known.verified else {
        return Ok(section("findings", EN.findings, "", &none(EN.being_checked)));
    };
    let all = findings::listed(&verified.report, None);
    let part = part(all.len(), FINDINGS, wanted, "/?page=").ok_or(Refused::NoPage)?;
    if all.is_empty() {
        return Ok(section("findings", EN.findings, "", &none(EN.findings_none)));
    }
    let lines: Vec<_> = all.iter().take(part.end).skip(part.first).copied().collect();
    let each = format!("<h3>{}</h3>\n", EN.findings_each);
    let body = findings::by_code(&verified.report)
        + &each
        + &findings::rows(&lines)
        + &part.links
        + &link("/findings", EN.findings_all);
    let intro = fill(EN.findings_count, &[&number(verified.findings)]);
    Ok(section("findings", EN.findings, &intro, &body))
}

fn waiting(view: &View<'_>) -> String {
    let body = match &view.live.incidents {
        Seen::NotAsked => none(EN.incidents_not_asked),
        Seen::Failed(why) => notice("bad", EN.incidents_unreadable, &format!("<p>{}</p>\n", prose(why))),
        Seen::List(_) => {
            let open = view.live.open_incidents().unwrap_or_default();
            let shown: Vec<_> = open.iter().take(INCIDENTS).copied().collect();
            if shown.is_empty() {
                none(EN.incidents_none_open)
            } else {
                let name = fill(EN.incidents_all, &[&number(open.len() as u64)]);
                incidents::rows(EN.incidents_open_caption, &shown, view.live.clock)
                    + &link("/incidents", &name)
            }
        }
    };
    section("incidents", EN.incidents_open_title, "", &body)
}

fn crossings(view: &View<'_>) -> String {
    let Some(tally) = &view.known.tally else {
        return section("crossings", EN.chart_title, "", &none(EN.being_read));
    };
    let last = view.live.now / DAY_SECONDS;
    let bars: Vec<_> = (0..DAYS)
        .rev()
        .map(|back| {
            let number = last.saturating_sub(back);
            let day = tally.days.get(&number);
            let total = day.map(|day| day.crossings.total).unwrap_or_default();
            let refusals = day.map_or(0, super::tally::Day::refused);
            Bar { day: number, crossings: total.crossings, refusals, rows: total.rows }
        })
        .collect();
    section(
        "crossings",
        EN.chart_title,
        &format!("{} {}.", EN.chart_intro, ago(tally.at, view.live.now)),
        &chart(&bars),
    )
}

fn logs(view: &View<'_>) -> String {
    if view.live.logs.is_empty() {
        return section("logs", EN.logs, "", &none(EN.logs_none));
    }
    let row = |log: &Held| {
        let verified = view.known.verified.as_ref();
        let report = verified.and_then(|found| found.report.logs.iter().find(|one| one.prefix == log.prefix));
        let dash = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), number);
        let missing = match (log.held, log.named) {
            (Some(held), Some(named)) if held < named => {
                format!(" <span class=\"tag warn\">{}</span>", fill(EN.behind, &[&number(named - held)]))
            }
            (None, _) => format!(" <span class=\"tag bad\">{}</span>", EN.not_readable),
            _ => String::new(),
        };
        let retired =
            if log.retired { format!(" <span class=\"tag\">{}</span>", EN.retired) } else { String::new() };
        let findings = report.map(|log| log.report.findings.len() as u64 + log.report.findings_unlisted);
        vec![
            name(&log.origin) + &retired + &missing,
            dash(log.held),
            dash(log.named),
            dash(report.map(|log| log.report.entries)),
            dash(
                report
                    .filter(|log| log.report.redecided && log.report.decisions > 0)
                    .map(|log| log.report.decisions),
            ),
            dash(findings),
        ]
    };
    let rows: Vec<_> = view.live.logs.iter().map(row).collect();
    let columns = [
        (EN.log, true),
        (EN.held, false),
        (EN.named, false),
        (EN.verified, false),
        (EN.decided, false),
        (EN.findings, false),
    ];
    section("logs", EN.logs, EN.logs_intro, &table(EN.logs, &columns, &rows))
}

fn link(path: &str, name: &str) -> String {
    format!("<p class=\"more\"><a href=\"{path}\">{name}</a></p>\n")
}
