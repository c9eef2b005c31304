//! Requests for access, for the people whom they concern: what waits for them, what they asked for, and what became of it.

pub(super) mod ask;
pub(super) mod one;

use std::sync::Arc;

use access::{Request, State as Stands};
use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use maud::{Markup, html};
use model::{Ground, Name, UnixSeconds};
use serde::Deserialize;

use super::layout::{self, Page};
use super::overview::span;
use super::reader::{Reader, Staff};
use super::words::Language;
use super::{Pages, waiting};
use crate::access::OfficeError;

/// Requests of one page of a list.
const ROWS: usize = 25;

#[derive(Deserialize)]
pub(super) struct Paged {
    #[serde(default)]
    page: usize,
}

/// `GET /requests`.
pub(super) async fn inbox(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    Query(paged): Query<Paged>,
) -> Response {
    let staff = match reader.staff() {
        Ok(staff) => staff,
        Err(refused) => return *refused,
    };
    let (asked, member) = (Arc::clone(&pages), Arc::clone(&staff.member));
    let Some([waits, own, others]) = waiting(move || asked.parts.office.lists(&member)).await else {
        return layout::unavailable(&reader);
    };
    let (l, now) = (reader.language, pages.now());
    let from = paged.page.min(100_000) * ROWS;
    let cut = |all: &[Arc<Request>]| all.iter().skip(from).take(ROWS).cloned().collect::<Vec<_>>();
    let more = [&waits, &own, &others].iter().any(|all| all.len() > from + ROWS);
    let body = html! {
        div.row {
            p.lead { (l.t("requests-lead")) }
            a.button href="/requests/new" { (l.t("ask-title")) }
        }
        section aria-labelledby="waits" {
            h2 id="waits" { (l.t("requests-waits")) " " span.count { (waits.len()) } }
            @if waits.is_empty() { p.empty { (l.t("requests-waits-none")) } } @else {
                p.quiet id="keys-help" { (l.t("requests-keys")) }
                ul.cards { @for r in cut(&waits) { (decide(&reader, staff, &pages, &r)) } }
            }
        }
        section aria-labelledby="own" {
            h2 id="own" { (l.t("requests-own")) " " span.count { (own.len()) } }
            (list(l, &cut(&own), now, l.t("requests-own-none")))
        }
        @if staff.oversees { section aria-labelledby="others" {
            h2 id="others" { (l.t("requests-others")) " " span.count { (others.len()) } }
            (list(l, &cut(&others), now, l.t("requests-others-none")))
        } }
        @if staff.approves { (incidents(&reader, &pages)) }
        nav.pages aria-label=(l.t("pages-label")) {
            @if paged.page > 0 { a.button.quiet href="/requests" { (l.t("pages-newest")) } }
            @if more { a.button href=(format!("/requests?page={}", paged.page + 1)) rel="next" { (l.t("pages-older")) } }
        }
    };
    layout::page(&reader, Page { title: l.t("requests-title"), scripts: &[], body })
}

/// One that waits for the reader, with what they need to decide it.
fn decide(reader: &Reader, staff: &Staff, pages: &Pages, request: &Request) -> Markup {
    let (l, now) = (reader.language, pages.now());
    let others = pages.parts.office.others_of(&staff.member, request);
    let serves =
        others.iter().filter(|r| matches!(r.state, Stands::Granted { until, .. } if now < until)).count();
    let open = others.iter().filter(|r| matches!(r.state, Stands::Waiting { .. })).count();
    html! {
        li.card.decide tabindex="0" aria-labelledby=(format!("r-{}", request.id)) aria-describedby="keys-help" {
            h3 id=(format!("r-{}", request.id)) { a href=(format!("/requests/{}", request.id)) { (headline(l, request)) } }
            (about(l, request))
            p.quiet {
                (l.fill("requests-has", &[&serves.to_string(), &open.to_string(), &others.len().to_string()])) " "
                @if let Some(left) = left_to_decide(pages, request) { (l.fill("requests-left", &[&span(l, left)])) }
            }
            form.act method="post" action=(format!("/requests/{}/approve", request.id)) {
                (reader.token())
                label { span { (l.t("because")) } input name="because" maxlength="200" autocomplete="off"; }
                button data-key="a" { (l.t("act-approve")) }
                button.danger data-key="d" formaction=(format!("/requests/{}/deny", request.id)) { (l.t("act-deny")) }
            }
        }
    }
}

/// Seconds until the step that waits is over.
fn left_to_decide(pages: &Pages, request: &Request) -> Option<u64> {
    let Stands::Waiting { step, since, .. } = request.state else { return None };
    let rules = (pages.parts.office.rules)();
    let step = rules.procedures.named(&request.procedure)?.steps.get(step)?.seconds;
    Some(since.plus(step).0.saturating_sub(pages.now().0))
}

/// Who asks for what, in a line.
pub(super) fn headline(l: Language, r: &Request) -> String {
    let what = l.word("ground", r.wanted.ground.word());
    l.fill("requests-headline", &[r.requester.as_str(), &what, r.wanted.case.as_str()])
}

/// What is asked for.
pub(super) fn about(l: Language, r: &Request) -> Markup {
    let w = &r.wanted;
    let asked = r.done.first();
    html! {
        dl.facts.tight {
            div { dt { (l.t("col-purpose")) } dd { (l.word("purpose", w.purpose.word())) } }
            @if let Some(kind) = w.kind { div { dt { (l.t("case-kind")) } dd { (l.word("case", kind.word())) } } }
            @if let Some(incident) = &w.incident { div { dt { (l.t("incident")) } dd { (incident) } } }
            div { dt { (l.t("dataset")) } dd { (w.dataset) @if let Some(fields) = &w.fields { " · " (fields) } } }
            @if let Some(subject) = &w.subject { div { dt { (l.t("subject")) } dd { code { (subject.as_str()) } } } }
            @else { div { dt { (l.t("subject")) } dd { (l.t("subject-any")) } } }
            div { dt { (l.t("for-how-long")) } dd { (span(l, w.seconds)) } }
            div { dt { (l.t("how-much")) } dd { (l.fill("amount", &[&super::chart::number(w.amount.rows), &super::chart::number(w.amount.bytes), &super::chart::number(w.amount.subjects)])) } }
            @if let Some(done) = asked { div { dt { (l.t("asked-at")) } dd { time datetime=(done.at.rfc3339()) { (when(done.at)) } " · " (l.country(done.country.as_str())) } } }
        }
    }
}

/// A time as people read it, in UTC.
pub(super) fn when(at: UnixSeconds) -> String {
    let text = at.rfc3339();
    format!("{} {} UTC", text.get(..10).unwrap_or_default(), text.get(11..16).unwrap_or_default())
}

/// How long something still is; it runs down where script runs.
pub(super) fn clock(l: Language, until: UnixSeconds, now: UnixSeconds) -> Markup {
    let left = until.0.saturating_sub(now.0);
    html! { span.left data-until=(until.0) data-words=(l.t("left")) { (l.fill("left", &[&span(l, left)])) } }
}

/// The word for where a request stands.
pub(super) fn state_word(r: &Request, now: UnixSeconds) -> &'static str {
    match r.state {
        Stands::Granted { until, .. } if now >= until => "over",
        state => state.word(),
    }
}

/// A list of requests.
pub(super) fn list(l: Language, all: &[Arc<Request>], now: UnixSeconds, none: &str) -> Markup {
    html! {
        @if all.is_empty() { p.empty { (none) } } @else {
            ul.cards.small { @for r in all {
                li.card {
                    h3 { a href=(format!("/requests/{}", r.id)) { (headline(l, r)) } }
                    p {
                        @let state = state_word(r, now);
                        span.badge.(state.replace(' ', "-")) { (l.word("state", state)) } " "
                        (l.word("purpose", r.wanted.purpose.word())) " · " (r.wanted.dataset) " · " (when(r.asked_at()))
                        @if let Stands::Granted { until, .. } = r.state { @if now < until {
                            " · " (clock(l, until, now))
                        } }
                    }
                }
            } }
        }
    }
}

fn incidents(reader: &Reader, pages: &Pages) -> Markup {
    let l = reader.language;
    let mut all = pages.parts.office.control.incidents();
    all.retain(|i| i.closed_at.is_none());
    html! {
        section aria-labelledby="incidents" {
            h2 id="incidents" { (l.t("incidents-title")) }
            p.quiet { (l.t("incidents-about")) }
            @if !all.is_empty() { ul.cards.small { @for incident in &all {
                li.card {
                    h3 { (incident.id) }
                    p { (l.fill("incident-since", &[&when(incident.opened_at)])) }
                    form method="post" action="/requests/incidents" {
                        (reader.token())
                        input type="hidden" name="id" value=(incident.id); input type="hidden" name="what" value="close";
                        button.danger { (l.t("incident-close")) }
                    }
                }
            } } }
            form.filters method="post" action="/requests/incidents" {
                (reader.token())
                input type="hidden" name="what" value="open";
                label { span { (l.t("incident-name")) } input name="id" required maxlength="64" pattern="[A-Za-z0-9][A-Za-z0-9._\\-]*" autocomplete="off"; }
                button.quiet { (l.t("incident-open")) }
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct IncidentForm {
    id: String,
    what: String,
}

/// `POST /requests/incidents`: opens one, or closes it.
pub(super) async fn incident(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    Form(form): Form<IncidentForm>,
) -> Response {
    let staff = match reader.staff() {
        Ok(staff) => staff,
        Err(refused) => return *refused,
    };
    let Ok(id) = Name::parse(form.id.trim()) else {
        return layout::refusal(
            &reader,
            StatusCode::BAD_REQUEST,
            "incidents-title",
            reader.language.t("incident-wrong"),
        );
    };
    let (asked, member, open) = (Arc::clone(&pages), Arc::clone(&staff.member), form.what == "open");
    let done = waiting(move || {
        let office = &asked.parts.office;
        if open { office.open_incident(&member, &id) } else { office.close_incident(&member, &id) }
    });
    match done.await {
        Some(Ok(())) => {
            Redirect::to(if open { "/requests?done=opened" } else { "/requests?done=closed" }).into_response()
        }
        Some(Err(e)) => refused(&reader, &e),
        None => layout::unavailable(&reader),
    }
}

/// Why something was not done, as a page.
pub(super) fn refused(reader: &Reader, e: &OfficeError) -> Response {
    let l = reader.language;
    match (e, e.rule()) {
        (OfficeError::Nobody, _) => layout::not_yours(reader),
        (OfficeError::Unseen, _) => layout::not_found(reader),
        (OfficeError::Incident, _) => {
            layout::refusal(reader, StatusCode::CONFLICT, "refused-title", l.t("refused-incident"))
        }
        (_, Some(rule)) => {
            layout::refusal(reader, StatusCode::CONFLICT, "refused-title", &ask::rule(l, rule))
        }
        _ => {
            tracing::error!(error = %e, "a request for access was not served");
            layout::refusal(reader, StatusCode::CONFLICT, "refused-title", l.t("refused-store"))
        }
    }
}

/// What a ground is called in the address of a new request.
pub(super) const fn grounds() -> [Ground; 3] {
    [Ground::Case, Ground::Grant, Ground::BreakGlass]
}
