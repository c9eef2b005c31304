//! What anybody may see: numbers that are counted from the public ledger, the question behind each, and its date.

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use super::chart::{self, number};
use super::feed::Count;
use super::layout::{self, Page};
use super::overview::{by_day, day};
use super::reader::Reader;
use super::words::Language;
use super::{Pages, waiting};

/// Days of a period that nobody chose.
const DAYS: u64 = 30;
/// Longest period.
const DAYS_MAX: u64 = 3_660;

/// The period that somebody asks for, `YYYY-MM-DD`.
#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
}

/// Numbers of a period.
#[derive(Serialize)]
pub(super) struct Numbers {
    /// `clover public numbers v1`.
    format: &'static str,
    programme: String,
    from: String,
    to: String,
    /// When they were counted.
    at: String,
    /// Entries of the ledger that are counted, and that are published.
    counted: u64,
    published: u64,
    /// How anybody gets the same from the ledger's files.
    query: String,
    residency_findings_open: usize,
    #[serde(flatten)]
    count: Count,
}

/// Numbers that were told, and of which entries.
pub(super) struct Told {
    from: u64,
    to: u64,
    counted: u64,
    count: Arc<Count>,
}

fn days_of(asked: &Asked, today: u64) -> Option<(u64, u64)> {
    let read = |text: &str| {
        if text.len() != 10 {
            return None;
        }
        model::UnixSeconds::parse(&format!("{text}T00:00:00Z")).ok().map(|t| u64::from(t.day()))
    };
    let to = if asked.to.is_empty() { today } else { read(&asked.to)? };
    let from = if asked.from.is_empty() { to.saturating_sub(DAYS - 1) } else { read(&asked.from)? };
    (from <= to && to - from < DAYS_MAX).then_some((from, to))
}

impl Pages {
    async fn numbers_of(self: &Arc<Self>, from: u64, to: u64) -> Option<Numbers> {
        let residency = self.status().await?.residency.open;
        let pages = Arc::clone(self);
        waiting(move || pages.numbers(from, to, residency)).await
    }

    /// What crossed in a period, added up once while nothing more is counted.
    fn counted(&self, from: u64, to: u64) -> Arc<Count> {
        let counted = self.feeds.iter().map(super::feed::Feed::counted).sum();
        let mut known = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = known.as_ref().filter(|t| (t.from, t.to, t.counted) == (from, to, counted)) {
            return Arc::clone(&told.count);
        }
        let mut count = Count::default();
        for feed in &self.feeds {
            feed.days(from, to).iter().for_each(|(_, day)| count.sum(day));
        }
        Arc::clone(&known.insert(Told { from, to, counted, count: Arc::new(count) }).count)
    }

    fn numbers(&self, from: u64, to: u64, residency_findings_open: usize) -> Numbers {
        let count = Count::clone(&self.counted(from, to));
        let (from, to) = (day(from), day(to));
        let query = format!(
            "clover-audit report --mirror DIR --site-vkey site.vkey --operator-vkey operator.vkey --auditor-vkey auditor.vkey --from {from} --to {to} --out DIR"
        );
        Numbers {
            format: "clover public numbers v1",
            programme: self.parts.status.programme.clone(),
            from,
            to,
            at: self.now().rfc3339(),
            counted: self.feeds.iter().map(super::feed::Feed::counted).sum(),
            published: self.feeds.iter().map(|f| f.log.published()).sum(),
            query,
            residency_findings_open,
            count,
        }
    }
}

/// `GET /public/numbers.json`.
pub(super) async fn numbers(State(pages): State<Arc<Pages>>, Query(asked): Query<Asked>) -> Response {
    match days_of(&asked, u64::from(pages.now().day())) {
        Some((from, to)) => match pages.numbers_of(from, to).await {
            Some(told) => Json(told).into_response(),
            None => crate::web::refusal(StatusCode::SERVICE_UNAVAILABLE, "the numbers cannot be told now"),
        },
        None => crate::web::refusal(
            StatusCode::BAD_REQUEST,
            "from and to are days, YYYY-MM-DD, the earlier first",
        ),
    }
}

/// `GET /public`.
pub(super) async fn page(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    Query(asked): Query<Asked>,
) -> Response {
    let l = reader.language;
    let today = u64::from(pages.now().day());
    let Some((from, to)) = days_of(&asked, today) else {
        return layout::refusal(&reader, StatusCode::BAD_REQUEST, "public-title", l.t("public-period-wrong"));
    };
    let Some(told) = pages.numbers_of(from, to).await else { return layout::unavailable(&reader) };
    let Some(status) = pages.status().await else { return layout::unavailable(&reader) };
    let by = |of: &'static str, map: &std::collections::BTreeMap<&'static str, u64>| {
        map.iter().map(|(k, n)| (l.word(of, k), *n)).collect::<Vec<_>>()
    };
    let count = &told.count;
    let countries = count.by_country.iter().map(|(code, n)| (l.country(code), *n)).collect();
    let (many, none) = (l.t("public-crossings"), l.t("public-none"));
    let json = format!("/public/numbers.json?from={}&to={}", told.from, told.to);
    let body = html! {
        p.lead { (l.fill("public-lead", &[&told.programme])) }
        (period(l, &told))
        @if told.counted < told.published {
            p.note role="status" { (l.fill("public-counting", &[&number(told.counted), &number(told.published)])) }
        }
        dl.figures {
            div { dt { (l.t("public-crossings")) } dd { (number(count.crossings)) } }
            div { dt { (l.t("public-refusals")) } dd { (number(count.refusals)) } }
            div { dt { (l.t("public-rows")) } dd { (number(count.rows)) } }
            div { dt { (l.t("public-entries")) } dd { (number(count.entries)) } }
            div { dt { (l.t("public-findings")) } dd { (told.residency_findings_open) } }
            div { dt { (l.t("fig-witnesses")) } dd.small { (status.witnesses) } }
        }
        (over_time(l, &pages, from, to))
        div.ranks {
            (chart::ranks(l.t("by-country"), l.t("col-country"), many, countries, none))
            (chart::ranks(l.t("by-purpose"), l.t("col-purpose"), many, by("purpose", &count.by_purpose), none))
            (chart::ranks(l.t("by-class"), l.t("col-class"), many, by("class", &count.by_class), none))
            (chart::ranks(l.t("by-treatment"), l.t("col-treatment"), many, by("treatment", &count.by_treatment), none))
            (chart::ranks(l.t("by-reason"), l.t("col-reason"), l.t("public-refusals"), by("reason", &count.by_reason), l.t("public-no-refusals")))
        }
        section {
            h2 { (l.t("public-check-title")) }
            p { (l.t("public-check")) }
            pre tabindex="0" { code { (told.query) } }
            p { a href=(json) { (l.t("public-json")) } " · " (l.fill("public-at", &[&told.at])) }
            p.quiet { (l.t("public-coverage")) }
        }
    };
    layout::page(&reader, Page { title: l.t("public-title"), scripts: &[], body })
}

fn period(l: Language, told: &Numbers) -> Markup {
    html! {
        form.filters method="get" action="/public" {
            label { span { (l.t("from-day")) } input type="date" name="from" value=(told.from) required; }
            label { span { (l.t("to-day")) } input type="date" name="to" value=(told.to) required; }
            button { (l.t("show")) }
        }
    }
}

fn over_time(l: Language, pages: &Pages, from: u64, to: u64) -> Markup {
    // A period longer than that is drawn from its last days.
    let first = from.max(to.saturating_sub(119));
    chart::columns(l, "chart-period", l.t("chart-period"), &by_day(pages, first, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_two_days_in_order_and_of_a_length_that_can_be_drawn() {
        let asked =
            |from: &str, to: &str| days_of(&Asked { from: from.to_owned(), to: to.to_owned() }, 20_000);
        assert_eq!(asked("", ""), Some((19_971, 20_000)));
        assert_eq!(asked("2024-01-02", "2024-01-03"), Some((19_724, 19_725)));
        for (from, to) in [
            ("2024-01-03", "2024-01-02"),
            ("yesterday", ""),
            ("1970-01-01", "2026-01-01"),
            ("2024-13-01", ""),
        ] {
            assert_eq!(asked(from, to), None, "{from} {to}");
        }
    }
}
