//! One request: what is asked for, what was done to it and why, what the reader may do, and what else its requester has.

use std::sync::Arc;

use access::{Request, State as Stands};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use model::Name;
use serde::Deserialize;

use super::{about, clock, headline, list, refused, state_word, when};
use crate::access::Act;
use crate::pages::layout::{self, Page};
use crate::pages::overview::span;
use crate::pages::reader::Reader;
use crate::pages::words::Language;
use crate::pages::{Pages, waiting};

/// `GET /requests/{id}`.
pub(in crate::pages) async fn page(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Response {
    let staff = match reader.staff() {
        Ok(staff) => staff,
        Err(refused) => return *refused,
    };
    let Ok(id) = Name::parse(&id) else { return layout::not_found(&reader) };
    let (asked, member) = (Arc::clone(&pages), Arc::clone(&staff.member));
    let found = waiting(move || {
        let office = &asked.parts.office;
        let request = office.request(&member, &id).ok()?;
        Some((office.may(&member, &request), office.others_of(&member, &request), request))
    });
    let Some((may, others, request)) = found.await.flatten() else { return layout::not_found(&reader) };
    let (l, now) = (reader.language, pages.now());
    let own = request.requester == *staff.member.id();
    let state = state_word(&request, now);
    let body = html! {
        p { a href="/requests" { "← " (l.t("requests-title")) } }
        p.row {
            span.badge.(state.replace(' ', "-")) { (l.word("state", state)) }
            @if let Stands::Granted { until, .. } = request.state { @if now < until {
                (clock(l, until, now))
                @if own { a.button href=(format!("/requests/{}/view", request.id)) { (l.t("view-open")) } }
            } }
        }
        (about(l, &request))
        (acts(&reader, &request, &may))
        section aria-labelledby="history" {
            h2 id="history" { (l.t("request-history")) }
            ol.history { @for done in &request.done { li {
                time datetime=(done.at.rfc3339()) { (when(done.at)) } " "
                strong { (l.word("did", done.act.word())) }
                @if let Some(by) = &done.by { " · " (by.as_str()) @if let Some(employer) = &done.employer { " (" (employer) ")" } " · " (l.country(done.country.as_str())) }
                @else { " · " (l.t("by-time")) }
                @if let Some(because) = &done.because { blockquote { (because) } }
            } } }
            (steps(l, &pages, &request))
        }
        @if !others.is_empty() {
            section aria-labelledby="else" {
                h2 id="else" { (l.fill("request-else", &[request.requester.as_str()])) }
                (list(l, others.get(..others.len().min(25)).unwrap_or_default(), now, ""))
            }
        }
    };
    layout::page(&reader, Page { title: &headline(l, &request), scripts: &[], body })
}

fn acts(reader: &Reader, request: &Request, may: &[Act]) -> Markup {
    let l = reader.language;
    let button = |act: &Act| match act {
        Act::Approve => ("approve", l.t("act-approve"), false),
        Act::Deny => ("deny", l.t("act-deny"), true),
        Act::Withdraw => ("withdraw", l.t("act-withdraw"), true),
        Act::Revoke => ("revoke", l.t("act-revoke"), true),
        Act::Review => ("review", l.t("act-review"), false),
    };
    html! {
        @if may.is_empty() { p.quiet { (l.t("may-nothing")) } } @else {
            form.act method="post" action=(format!("/requests/{}/{}", request.id, may.first().map_or("", |a| button(a).0))) {
                (reader.token())
                label { span { (l.t("because")) } input name="because" maxlength="200" autocomplete="off"; }
                @for act in may {
                    @let (word, text, grave) = button(act);
                    button class=[grave.then_some("danger")] formaction=(format!("/requests/{}/{word}", request.id)) { (text) }
                }
            }
        }
    }
}

/// What the procedure asks for, and how far it is.
fn steps(l: Language, pages: &Pages, request: &Request) -> Markup {
    let rules = (pages.parts.office.rules)();
    let Some(procedure) = rules.procedures.named(&request.procedure) else { return html! {} };
    let at = match request.state {
        Stands::Waiting { step, .. } => Some(step),
        _ => None,
    };
    html! {
        h3 { (l.fill("procedure", &[procedure.name.as_str()])) }
        ol.steps { @for (n, step) in procedure.steps.iter().enumerate() {
            @let sets = step.of.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
            li aria-current=[(at == Some(n)).then_some("step")] {
                (l.fill("step", &[&step.need.to_string(), &sets, &span(l, step.seconds)]))
                @if step.employers > 1 { " " (l.fill("step-employers", &[&step.employers.to_string()])) }
            }
        } }
    }
}

#[derive(Deserialize)]
pub(in crate::pages) struct Reason {
    #[serde(default)]
    because: String,
}

/// `POST /requests/{id}/{act}`.
pub(in crate::pages) async fn act(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    Path((id, word)): Path<(String, String)>,
    Form(reason): Form<Reason>,
) -> Response {
    let staff = match reader.staff() {
        Ok(staff) => staff,
        Err(refused) => return *refused,
    };
    let (Ok(id), Some(act)) = (Name::parse(&id), Act::parse(&word)) else {
        return layout::not_found(&reader);
    };
    let member = Arc::clone(&staff.member);
    let done = waiting(move || pages.parts.office.act_because(&member, &id, act, &reason.because));
    match done.await {
        // The word is one of ours by now.
        Some(Ok(request)) => Redirect::to(&format!("/requests/{}?done={word}", request.id)).into_response(),
        Some(Err(e)) => refused(&reader, &e),
        None => layout::unavailable(&reader),
    }
}
