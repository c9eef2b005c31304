//! The ledger: a search over a gateway's entries, and one entry with the proof that the reader's own browser checks.
//!
//! A search reads back from the newest entry and stops after so many: it says where it stopped and goes on from there,
//! so that a page costs the same however long the ledger is.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use ledger::{Entry, EntryKind};
use maud::{Markup, html};
use model::{DataClass, Purpose, Treatment, UnixSeconds};
use serde::Deserialize;

use super::chart::number;
use super::feed::{Feed, Line};
use super::layout::{self, Page};
use super::reader::Reader;
use super::words::Language;
use super::{Pages, live, overview, waiting};

/// Rows of one page.
const ROWS: usize = 50;
/// Most entries that one page looks at.
const LOOKED_MAX: u64 = 20_000;
/// Entries that are read at a time, as they lie.
const BUNDLE: u64 = 256;
/// Kinds that can be asked for.
const KINDS: [&str; 14] = [
    "released",
    "refused",
    "imported",
    "opened",
    "extended",
    "closed",
    "inside",
    "activation",
    "suspension",
    "demand",
    "border",
    "erasure",
    "home",
    "migration",
];

/// What is looked for. Empty is everything.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    gateway: String,
    from: String,
    until: String,
    kind: String,
    purpose: String,
    country: String,
    class: String,
    treatment: String,
    /// Look at entries before this one only.
    before: String,
}

impl Wanted {
    fn takes(&self, line: &Line) -> bool {
        let is = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        is(&self.kind, line.kind)
            && is(&self.purpose, line.purpose)
            && (self.country.is_empty() || self.country == line.to || self.country == line.from)
            && (self.class.is_empty() || line.classes.contains(&self.class.as_str()))
            && (self.treatment.is_empty() || line.treatments.contains(&self.treatment.as_str()))
    }

    /// The times that it spans, if they can be read: of a day in UTC as `YYYY-MM-DD`, or to the minute.
    fn times(&self) -> Option<(u64, u64)> {
        let read = |text: &str, end: bool| {
            let (text, length) = match text.len() {
                10 => (format!("{text}T00:00:00Z"), 86_400),
                16 => (format!("{text}:00Z"), 60),
                _ => return None,
            };
            UnixSeconds::parse(&text).ok().map(|t| if end { t.0 + length } else { t.0 })
        };
        let from = if self.from.is_empty() { 0 } else { read(&self.from, false)? };
        let until = if self.until.is_empty() { u64::MAX } else { read(&self.until, true)? };
        (from < until).then_some((from, until))
    }

    /// The same search from another place on; without one from the newest.
    fn query(&self, before: Option<u64>) -> String {
        let mut text = format!("/ledger?gateway={}", self.gateway);
        if let Some(before) = before {
            text.push_str(&format!("&before={before}"));
        }
        for (key, value) in [
            ("from", &self.from),
            ("until", &self.until),
            ("kind", &self.kind),
            ("purpose", &self.purpose),
            ("country", &self.country),
            ("class", &self.class),
            ("treatment", &self.treatment),
        ] {
            // What was not in a list or is no time was refused before.
            let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b':'));
            if !value.is_empty() && plain {
                text.push_str(&format!("&{key}={value}"));
            }
        }
        text
    }
}

/// What a search found.
struct Found {
    lines: Vec<Line>,
    /// Where it goes on, if it does.
    next: Option<u64>,
    looked: u64,
}

fn time_of(feed: &Feed, index: u64) -> Option<u64> {
    Some(Entry::decode(&feed.log.entry(index).ok()?).ok()?.draft.time.0)
}

/// The first of the entries below `end` that may be of a time or later. Times go back by at most 300 s.
fn first_at(feed: &Feed, time: u64, end: u64) -> Option<u64> {
    let wanted = time.saturating_sub(300);
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = low + (high - low) / 2;
        if time_of(feed, middle)? < wanted { low = middle + 1 } else { high = middle }
    }
    Some(low)
}

/// Looks back from where it is told to. Blocks.
fn look(feed: &Feed, wanted: &Wanted, (from, until): (u64, u64)) -> Option<Found> {
    let published = feed.log.published();
    let mut end = wanted.before.parse().map_or(published, |b: u64| b.min(published));
    if until < u64::MAX && end > 0 && wanted.before.is_empty() {
        end = first_at(feed, until.saturating_add(600), end)?;
    }
    let start = if from == 0 { 0 } else { first_at(feed, from, end)? };
    let (mut lines, mut looked, top) = (Vec::new(), 0, end);
    while end > start && looked < LOOKED_MAX {
        let low = ((end - 1) / BUNDLE * BUNDLE).max(start);
        let bundle: Result<Vec<_>, _> = feed.log.entries(low..end).ok()?.collect();
        for leaf in bundle.ok()?.iter().rev() {
            end -= 1;
            looked += 1;
            let Ok(entry) = Entry::decode(leaf) else { continue };
            let line = Line::of(&feed.name, &entry);
            if (from..until).contains(&entry.draft.time.0) && wanted.takes(&line) {
                lines.push(line);
                if lines.len() == ROWS {
                    return Some(Found { lines, next: (end > start).then_some(end), looked: top - end });
                }
            }
        }
    }
    Some(Found { lines, next: (end > start).then_some(end), looked: top - end })
}

/// `GET /ledger`.
pub(super) async fn search(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    Query(mut wanted): Query<Wanted>,
) -> Response {
    if let Err(refused) = reader.staff() {
        return *refused;
    }
    let l = reader.language;
    if wanted.gateway.is_empty() {
        wanted.gateway = pages.feeds.first().map_or_else(String::new, |f| f.name.clone());
    }
    let known = [
        wanted.kind.is_empty() || KINDS.contains(&wanted.kind.as_str()),
        wanted.purpose.is_empty() || Purpose::parse(&wanted.purpose).is_ok(),
        wanted.class.is_empty() || DataClass::parse(&wanted.class).is_ok(),
        wanted.treatment.is_empty() || Treatment::parse(&wanted.treatment).is_ok(),
        wanted.country.is_empty() || model::Country::parse(&wanted.country).is_ok(),
        wanted.before.is_empty() || wanted.before.parse::<u64>().is_ok(),
        pages.feed(&wanted.gateway).is_some(),
    ];
    let Some(times) = wanted.times().filter(|_| known.iter().all(|k| *k)) else {
        return layout::refusal(&reader, StatusCode::BAD_REQUEST, "ledger-title", l.t("ledger-wrong"));
    };
    let (asked, what) = (Arc::clone(&pages), wanted.clone());
    let found =
        waiting(move || asked.feed(&what.gateway).and_then(|feed| look(feed, &what, times))).await.flatten();
    let Some(found) = found else { return layout::unavailable(&reader) };
    let size = pages.feed(&wanted.gateway).map_or(0, |f| f.log.published());
    let body = html! {
        p.lead { (l.fill("ledger-lead", &[&number(size)])) }
        (filters(l, &pages, &wanted))
        @if found.lines.is_empty() { div.empty { p { (l.t("ledger-none")) } } } @else {
            div.scroll tabindex="0" role="group" aria-label=(l.t("ledger-title")) {
                table {
                    caption.hidden { (l.t("ledger-title")) }
                    thead { (overview::head(l)) }
                    tbody { @for line in &found.lines { (row(l, line)) } }
                }
            }
        }
        nav.pages aria-label=(l.t("pages-label")) {
            p.quiet { (l.fill("ledger-looked", &[&number(found.looked)])) }
            @if !wanted.before.is_empty() { a.button.quiet href=(wanted.query(None)) { (l.t("pages-newest")) } }
            @if let Some(next) = found.next { a.button href=(wanted.query(Some(next))) rel="next" { (l.t("pages-older")) } }
        }
    };
    layout::page(&reader, Page { title: l.t("ledger-title"), scripts: &[], body })
}

/// A row with the whole time.
fn row(l: Language, line: &Line) -> Markup {
    html! {
        tr class=[line.refused.then_some("refused")] {
            th scope="row" { a href=(format!("/ledger/{}/{}", line.gateway, line.index)) { (line.index) } }
            td { time datetime=(line.time) { (line.time.get(..10).unwrap_or_default()) " " (line.time.get(11..19).unwrap_or_default()) } }
            td { (live::kind(l, line)) }
            td { (live::words(l, "class", &line.classes)) }
            td { (live::words(l, "treatment", &line.treatments)) }
            td { (l.word("purpose", line.purpose)) }
            td { (live::way(l, line)) }
            td.n { (line.rows) }
        }
    }
}

fn choice<'a>(
    label: &str,
    name: &str,
    now: &str,
    any: &str,
    all: impl Iterator<Item = (&'a str, String)>,
) -> Markup {
    html! {
        label { span { (label) } select name=(name) {
            option value="" { (any) }
            @for (value, text) in all { option value=(value) selected[value == now] { (text) } }
        } }
    }
}

fn filters(l: Language, pages: &Pages, wanted: &Wanted) -> Markup {
    let book = pages.parts.behind.rulebook();
    let mut countries: Vec<&str> = book
        .programme
        .countries
        .keys()
        .chain(&book.programme.destinations)
        .map(model::Country::as_str)
        .collect();
    countries.sort_unstable();
    let any = l.t("any");
    html! {
        form.filters method="get" action="/ledger" {
            @if pages.feeds.len() > 1 {
                label { span { (l.t("col-gateway")) } select name="gateway" {
                    @for feed in &pages.feeds { option value=(feed.name) selected[feed.name == wanted.gateway] { (feed.name) } }
                } }
            }
            label { span { (l.t("from-day")) } input type="date" name="from" value=(wanted.from); }
            label { span { (l.t("to-day")) } input type="date" name="until" value=(wanted.until); }
            (choice(l.t("col-what"), "kind", &wanted.kind, any, KINDS.iter().map(|k| (*k, l.word("kind", k)))))
            (choice(l.t("col-purpose"), "purpose", &wanted.purpose, any, Purpose::ALL.iter().map(|p| (p.word(), l.word("purpose", p.word())))))
            (choice(l.t("col-class"), "class", &wanted.class, any, DataClass::ALL.iter().map(|c| (c.word(), l.word("class", c.word())))))
            (choice(l.t("col-treatment"), "treatment", &wanted.treatment, any, Treatment::ALL.iter().map(|t| (t.word(), l.word("treatment", t.word())))))
            (choice(l.t("col-country"), "country", &wanted.country, any, countries.into_iter().map(|c| (c, l.country(c)))))
            button { (l.t("search")) }
        }
    }
}

/// One published entry with its proof. Blocks.
fn proved(feed: &Feed, index: u64) -> Option<(Vec<u8>, String)> {
    let (leaf, proof) = feed.log.prove(index).ok()?;
    Some((leaf, proof.to_string()))
}

/// `GET /ledger/{gateway}/{index}`.
pub(super) async fn page(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    Path((gateway, index)): Path<(String, String)>,
) -> Response {
    if let Err(refused) = reader.staff() {
        return *refused;
    }
    let (Some(feed), Ok(number)) = (pages.feed(&gateway), index.parse::<u64>()) else {
        return layout::not_found(&reader);
    };
    if number >= feed.log.published() {
        return layout::not_found(&reader);
    }
    let (asked, named) = (Arc::clone(&pages), gateway.clone());
    let entry = waiting(move || {
        let leaf = asked.feed(&named)?.log.entry(number).ok()?;
        Entry::decode(&leaf).ok()
    });
    let Some(entry) = entry.await.flatten() else { return layout::unavailable(&reader) };
    let l = reader.language;
    let title = l.fill("entry-title", &[&index]);
    let at = format!("/ledger/{gateway}/{number}");
    let line = Line::of(&gateway, &entry);
    let body = html! {
        p { a href="/ledger" { "← " (l.t("ledger-title")) } " · " code { (feed.origin) } }
        (fields(l, &line, &entry))
        section.check id="check" aria-labelledby="check-title" data-leaf=(format!("{at}/leaf")) data-proof=(format!("{at}/proof"))
            data-time=(line.time) data-kind=(form(entry.draft.kind)) data-purpose=(line.purpose) data-from=(line.from) data-to=(line.to)
            data-classes=(line.classes.join(" ")) data-treatments=(line.treatments.join(" ")) data-reason=(line.reason) {
            h2 id="check-title" { (l.t("check-title")) }
            p { (l.t("check-about")) }
            label.wide { span { (l.t("check-key")) } textarea id="vkey" rows="2" spellcheck="false" { (feed.vkey) } }
            p { button type="button" id="check-run" { (l.t("check-run")) } }
            div id="check-result" role="status" data-good=(l.t("check-good")) data-bad=(l.t("check-bad")) data-busy=(l.t("check-busy")) {}
            noscript { p.note { (l.t("check-noscript")) } }
        }
        section {
            h2 { (l.t("elsewhere-title")) }
            p { (l.t("elsewhere")) }
            ul {
                li { a href=(format!("{at}/leaf")) download { (l.t("get-leaf")) } }
                li { a href=(format!("{at}/proof")) download { (l.t("get-proof")) } }
                li { a href=(format!("/ledger/{gateway}/vkey")) download { (l.t("get-vkey")) } }
            }
            pre tabindex="0" { code { "clover-audit verify-proof --leaf " (number) ".leaf --proof " (number) ".proof --log-vkey log.vkey" } }
        }
    };
    layout::page(&reader, Page { title: &title, scripts: &["check.js"], body })
}

/// The word by which the script that checks knows a kind.
fn form(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Answer => "answer",
        EntryKind::Refusal => "refusal",
        EntryKind::Import => "import",
        EntryKind::Open => "open",
        EntryKind::Extend => "extend",
        EntryKind::Close => "close",
        other => super::feed::kind_word(other),
    }
}

fn fields(l: Language, line: &Line, entry: &Entry) -> Markup {
    let d = &entry.draft;
    let tags = d.subjects.tags();
    html! {
        dl.facts {
            div { dt { (l.t("col-what")) } dd { (live::kind(l, line)) } }
            div { dt { (l.t("col-time")) } dd { time datetime=(line.time) { (line.time) } } }
            div { dt { (l.t("col-purpose")) } dd { (l.word("purpose", line.purpose)) } }
            div { dt { (l.t("col-way")) } dd { (live::way(l, line)) } }
            div { dt { (l.t("col-class")) } dd { (live::words(l, "class", &line.classes)) } }
            div { dt { (l.t("col-treatment")) } dd { (live::words(l, "treatment", &line.treatments)) } }
            div { dt { (l.t("col-rows")) } dd { (number(u64::from(line.rows))) } }
            div { dt { (l.t("col-bytes")) } dd { (number(line.bytes)) } }
            div { dt { (l.t("col-people")) } dd { (number(u64::from(line.people))) } }
            div { dt { (l.t("col-findings")) } dd { (line.findings) } }
            div { dt { (l.t("col-actor")) } dd { code { (d.actor) } } }
            @if !tags.is_empty() { div { dt { (l.t("col-tags")) } dd { @for tag in tags { code { (tag) } " " } } } }
            div { dt { (l.t("col-flow")) } dd { code { (d.flow) } } }
            div { dt { (l.t("col-rulebook")) } dd { code { (d.rulebook) } } }
        }
    }
}

/// Whoever may see entries, or the refusal.
async fn file(
    pages: Arc<Pages>,
    reader: Reader,
    (gateway, index): (String, String),
    of: impl FnOnce((Vec<u8>, String)) -> (Vec<u8>, &'static str) + Send + 'static,
) -> Response {
    if let Err(refused) = reader.staff() {
        return *refused;
    }
    let Ok(number) = index.parse::<u64>() else { return layout::not_found(&reader) };
    let found = waiting(move || pages.feed(&gateway).and_then(|feed| proved(feed, number))).await.flatten();
    let Some((bytes, ending)) = found.map(of) else { return layout::not_found(&reader) };
    let name = format!("attachment; filename=\"{number}.{ending}\"");
    let headers = [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_DISPOSITION, name)];
    (headers, bytes).into_response()
}

/// `GET /ledger/{gateway}/{index}/leaf`: the bytes of the entry.
pub(super) async fn leaf(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    Path(at): Path<(String, String)>,
) -> Response {
    file(pages, reader, at, |(leaf, _)| (leaf, "leaf")).await
}

/// `GET /ledger/{gateway}/{index}/proof`: its receipt (C2SP tlog-proof).
pub(super) async fn proof(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    Path(at): Path<(String, String)>,
) -> Response {
    file(pages, reader, at, |(_, proof)| (proof.into_bytes(), "proof")).await
}

/// `GET /ledger/{gateway}/vkey`: the log's verifier key. It is public.
pub(super) async fn vkey(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    Path(gateway): Path<String>,
) -> Response {
    match pages.feed(&gateway) {
        Some(feed) => {
            let headers = [
                (CONTENT_TYPE, "text/plain; charset=utf-8"),
                (CONTENT_DISPOSITION, "attachment; filename=\"log.vkey\""),
            ];
            (headers, format!("{}\n", feed.vkey.trim())).into_response()
        }
        None => layout::not_found(&reader),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_spans_whole_days_and_refuses_what_is_no_time() {
        let of = |from: &str, until: &str| {
            Wanted { from: from.to_owned(), until: until.to_owned(), ..Wanted::default() }.times()
        };
        assert_eq!(of("", ""), Some((0, u64::MAX)));
        assert_eq!(of("1970-01-02", "1970-01-02"), Some((86_400, 172_800)));
        assert_eq!(of("1970-01-01T00:01", "1970-01-01T00:01"), Some((60, 120)));
        for (from, until) in [("1970-01-03", "1970-01-01"), ("now", ""), ("", "1970-13-01")] {
            assert_eq!(of(from, until), None, "{from} {until}");
        }
    }
}
