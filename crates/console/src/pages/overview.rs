//! How the enclave fares: its border and why it is so, its sites, what crosses, and what needs somebody.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use super::chart::{self, Column, number};
use super::layout::{self, Page};
use super::reader::Reader;
use super::words::Language;
use super::{Pages, live, map, waiting};
use crate::api::Status;

/// Entries of before that a page begins with.
const RECENT: u64 = 15;
/// What ends by its date within so many seconds is told.
const SOON: u64 = 90 * 86_400;
/// Days of the longer chart.
const DAYS: u64 = 30;

/// `GET /overview`.
pub(super) async fn page(State(pages): State<Arc<Pages>>, reader: Reader) -> Response {
    let staff = match reader.overseer() {
        Ok(staff) => staff,
        Err(refused) => return *refused,
    };
    let l = reader.language;
    let Some(status) = pages.status().await else { return layout::unavailable(&reader) };
    let (asked, member, told, operates) =
        (Arc::clone(&pages), Arc::clone(&staff.member), Arc::clone(&status), staff.operates);
    let Some((budget, recent, needs)) = waiting(move || {
        let budget = (asked.parts.status.budget)().and_then(|text| serde_json::from_str(&text).ok());
        let [to_decide, ..] = asked.parts.office.lists(&member);
        (budget, recent(&asked, l), needs(l, operates, &asked, &told, to_decide.len()))
    })
    .await
    else {
        return layout::unavailable(&reader);
    };
    let book = pages.parts.behind.rulebook();
    let body = html! {
        div id="state" { (state(l, &pages, &status)) }
        p.note id="stale" role="status" data-words=(l.t("live-broken")) {}
        div.split {
            section aria-labelledby="needs" { h2 id="needs" { (l.t("needs-title")) } (needs) }
            section aria-labelledby="budgets" { h2 id="budgets" { (l.t("budgets-title")) } (budgets(l, budget.as_ref())) }
        }
        section.live aria-labelledby="live" {
            div.row { h2 id="live" { (l.t("live-title")) } p.quiet id="rate" { (l.t("live-waits")) }
                button.quiet type="button" id="pause" aria-pressed="false" { (l.t("live-pause")) } }
            div.scroll tabindex="0" role="group" aria-labelledby="live" {
                table id="crossings" data-most="60" data-rate=(l.t("live-rate")) {
                    thead { (head(l)) }
                    tbody { (recent) }
                }
            }
            p.quiet.empty-row { (l.t("live-empty")) }
        }
        div.split {
            section { (minutes(l, &pages)) (days(l, &pages)) }
            section { (map::region(l, &book.programme)) }
        }
    };
    layout::page(&reader, Page { title: l.t("overview-title"), scripts: &["live.js"], body })
}

/// The head of a table of entries.
pub(super) fn head(l: Language) -> Markup {
    html! { tr {
        th scope="col" { (l.t("col-entry")) } th scope="col" { (l.t("col-time")) } th scope="col" { (l.t("col-what")) }
        th scope="col" { (l.t("col-class")) } th scope="col" { (l.t("col-treatment")) } th scope="col" { (l.t("col-purpose")) }
        th scope="col" { (l.t("col-way")) } th.n scope="col" { (l.t("col-rows")) }
    } }
}

/// The newest entries, as rows. Blocks.
fn recent(pages: &Pages, l: Language) -> Markup {
    let mut rows = Vec::new();
    for feed in &pages.feeds {
        let end = feed.log.published();
        let Ok(entries) = feed.log.entries(end.saturating_sub(RECENT)..end) else { continue };
        let entries = entries.flatten().filter_map(|leaf| ledger::Entry::decode(&leaf).ok());
        rows.extend(entries.map(|e| super::feed::Line::of(&feed.name, &e)));
    }
    rows.sort_by(|a, b| b.time.cmp(&a.time).then(b.index.cmp(&a.index)));
    html! { @for line in rows.iter().take(usize::try_from(RECENT).unwrap_or(0)) { (live::row(l, line)) } }
}

/// The border and what it hangs on, as it is now.
pub(super) fn state(l: Language, pages: &Pages, status: &Status) -> Markup {
    let (word, mark) = match status.border {
        "open" => ("green", "✓"),
        "amber" => ("amber", "!"),
        "lifted" => ("lifted", "!"),
        _ => ("red", "✕"),
    };
    let age = status
        .cosigned_seconds_ago
        .map_or_else(|| l.t("never").to_owned(), |s| l.fill("seconds-ago", &[&s.to_string()]));
    html! {
        div.border.(word) {
            span.sign aria-hidden="true" { (mark) }
            div {
                p.big { (l.word("border", word)) }
                p { @match &status.why { Some(why) => { (why) } None => { (l.t("border-fine")) } } }
            }
        }
        dl.figures {
            div { dt { (l.t("fig-entries")) } dd { (number(status.entries)) } }
            div { dt { (l.t("fig-cosigned")) } dd { (age) } }
            div { dt { (l.t("fig-witnesses")) } dd.small { (status.witnesses) } }
            div { dt { (l.t("fig-people")) } dd { (status.people.map_or_else(|| "–".to_owned(), |n| number(n as u64))) } }
            div { dt { (l.t("fig-gateways")) } dd { (pages.feeds.len()) } }
            div { dt { (l.t("fig-rulebook")) } dd.small { code { (status.rulebook.get(..12).unwrap_or(&status.rulebook)) } } }
        }
    }
}

fn minutes(l: Language, pages: &Pages) -> Markup {
    let now = pages.now().0;
    let mut sums = vec![(0, 0); 60];
    for feed in &pages.feeds {
        for (sum, (crossed, refused)) in sums.iter_mut().zip(feed.minutes(now)) {
            *sum = (sum.0 + crossed, sum.1 + refused);
        }
    }
    let label = |n: usize| {
        let at = model::UnixSeconds((now / 60 + n as u64).saturating_sub(59) * 60).rfc3339();
        at.get(11..16).unwrap_or_default().to_owned()
    };
    let columns: Vec<_> = sums
        .into_iter()
        .enumerate()
        .map(|(n, (crossed, refused))| Column { label: label(n), crossed, refused })
        .collect();
    chart::columns(l, "chart-hour", l.t("chart-hour"), &columns)
}

fn days(l: Language, pages: &Pages) -> Markup {
    let last = u64::from(pages.now().day());
    chart::columns(l, "chart-days", l.t("chart-days"), &by_day(pages, last.saturating_sub(DAYS - 1), last))
}

/// What crossed on each day of a period.
pub(super) fn by_day(pages: &Pages, first: u64, last: u64) -> Vec<Column> {
    let mut columns: Vec<_> =
        (first..=last).map(|d| Column { label: day(d), crossed: 0, refused: 0 }).collect();
    for feed in &pages.feeds {
        for (d, count) in feed.days(first, last) {
            if let Some(column) = usize::try_from(d - first).ok().and_then(|n| columns.get_mut(n)) {
                column.crossed += count.crossings;
                column.refused += count.refusals;
            }
        }
    }
    columns
}

/// A day as `YYYY-MM-DD`.
pub(super) fn day(day: u64) -> String {
    model::UnixSeconds(day.saturating_mul(86_400)).rfc3339().get(..10).unwrap_or_default().to_owned()
}

/// What needs somebody, the gravest first.
fn needs(l: Language, operates: bool, pages: &Pages, status: &Status, to_decide: usize) -> Markup {
    let now = pages.now();
    let incidents: Vec<_> =
        pages.parts.office.control.incidents().into_iter().filter(|i| i.closed_at.is_none()).collect();
    let erasures = pages.parts.behind.wishes();
    let mut lines: Vec<(&str, Markup)> = Vec::new();
    let mut add = |grave: bool, what: Markup| lines.push((if grave { "grave" } else { "mild" }, what));
    for country in &status.suspended {
        add(true, html! { (l.fill("needs-suspended", &[&l.country(country)])) });
    }
    let residency = &status.residency;
    if let Some(why) = &residency.why {
        add(true, html! { (l.fill("needs-residency-unknown", &[why])) });
    }
    if residency.open > 0 {
        let (open, late) = (residency.open.to_string(), residency.overdue.to_string());
        add(
            residency.overdue > 0,
            html! { (l.fill("needs-residency", &[&open, &late])) " " code { "clover residency incidents" } },
        );
    }
    for incident in &incidents {
        let open = now.0.saturating_sub(incident.opened_at.0);
        add(true, html! { (l.fill("needs-incident", &[incident.id.as_str(), &span(l, open)])) });
    }
    if let Some(why) = &status.keys.why {
        add(true, html! { (l.t("needs-keys")) " " (why) })
    }
    if let Some(why) = &status.control_store.why {
        add(true, html! { (l.t("needs-control")) " " (why) })
    }
    match erasures {
        Ok((0, _)) => {}
        Ok((n, due)) => {
            let due_at = due.map_or_else(String::new, model::UnixSeconds::rfc3339);
            let text = l.fill("needs-erasures", &[&n.to_string(), due_at.get(..10).unwrap_or_default()]);
            add(due.is_some_and(|due| due <= now), html! { (text) " " code { "clover subject asked" } });
        }
        Err(why) => add(true, html! { (why) }),
    }
    if to_decide > 0 {
        add(false, html! { a href="/requests" { (l.fill("needs-requests", &[&to_decide.to_string()])) } });
    }
    if operates && pages.parts.behind.candidate().is_some() {
        add(false, html! { a href="/rulebook" { (l.t("needs-candidate")) } });
    }
    let book = pages.parts.behind.rulebook();
    for e in book.assessments.expiries().iter().filter(|e| e.at <= now.plus(SOON)).take(8) {
        let text = format!("{} · {} ({})", l.country(e.country.as_str()), e.what, e.owner);
        add(
            e.at <= now,
            html! { (l.fill("needs-expiry", &[&text, e.at.rfc3339().get(..10).unwrap_or_default()])) },
        );
    }
    html! {
        @if lines.is_empty() { p.empty { (l.t("needs-nothing")) } } @else {
            ul.needs { @for (grave, what) in &lines {
                li.(grave) { span.tag { @if *grave == "grave" { (l.t("grave")) } @else { (l.t("mild")) } } " " (what) }
            } }
        }
    }
}

/// Seconds in words.
pub(super) fn span(l: Language, seconds: u64) -> String {
    match seconds {
        0..60 => l.fill("span-seconds", &[&seconds.to_string()]),
        60..3_600 => l.fill("span-minutes", &[&(seconds / 60).to_string()]),
        3_600..172_800 => {
            l.fill("span-hours", &[&(seconds / 3_600).to_string(), &(seconds % 3_600 / 60).to_string()])
        }
        _ => l.fill("span-days", &[&(seconds / 86_400).to_string()]),
    }
}

fn budgets(l: Language, told: Option<&Value>) -> Markup {
    let Some(told) = told else { return html! { p.empty { (l.t("budgets-unknown")) } } };
    let list = told.get("budgets").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let line = |v: &Value| {
        let (spent, left) = (text(v, "spent"), text(v, "left"));
        let part = |t: &str| t.parse::<f64>().unwrap_or(0.0);
        let whole = part(&spent) + part(&left);
        let label = match v.get("recipient").and_then(Value::as_str) {
            Some(recipient) => l.fill("budget-of", &[&text(v, "dataset"), recipient]),
            None => l.fill("budget-all", &[&text(v, "dataset")]),
        };
        chart::gauge(
            &label,
            &l.fill("budget-spent", &[&spent, &left]),
            if whole > 0.0 { part(&spent) / whole } else { 0.0 },
        )
    };
    html! {
        @if list.is_empty() { p.empty { (l.t("budgets-none")) } }
        @else { p.quiet { (l.t("budgets-about")) } @for v in list.iter().take(12) { (line(v)) } }
    }
}
