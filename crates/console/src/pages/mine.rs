//! My data: every crossing that names the person who reads, in plain words; checked by their own browser against the day
//! maps; their export, and their wish to be erased.
//!
//! The list is itself a crossing, on the ledger as any other. A file of the history holds the key to the person's own
//! tags: it is for their hands.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{Method, StatusCode};
use maud::{Markup, html};
use serde_json::{Value, json};
use tokio::sync::SemaphorePermit;

use super::layout::{self, Page};
use super::overview::day;
use super::reader::Reader;
use super::requests::when;
use super::words::Language;
use super::{Answer, Pages, Question, view, waiting};
use crate::web::Peer;

/// Longest wait for a turn.
const TURN_MAX: Duration = Duration::from_secs(10);
/// Crossings that a page shows; the file has all.
const SHOWN: usize = 100;

/// A turn at what costs much; only a few are made at a time.
async fn turn(pages: &Pages) -> Option<SemaphorePermit<'_>> {
    tokio::time::timeout(TURN_MAX, pages.dear.acquire()).await.ok()?.ok()
}

async fn asked(pages: &Pages, reader: &Reader, peer: &Peer, path: &str) -> Option<Answer> {
    let question = Question {
        session: reader.session.clone()?,
        address: peer.address,
        method: Method::GET,
        path: path.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    Some(pages.parts.behind.ask(question).await)
}

/// `GET /my-data`.
pub(super) async fn page(State(pages): State<Arc<Pages>>, reader: Reader) -> Response {
    let subject = match reader.subject() {
        Ok(subject) => subject.clone(),
        Err(refused) => return *refused,
    };
    let l = reader.language;
    let asked = Arc::clone(&pages);
    let erasure = waiting(move || asked.parts.behind.wish(&subject)).await;
    let Some(Ok(erasure)) = erasure else { return layout::unavailable(&reader) };
    let body = html! {
        p.lead { (l.t("mine-lead")) }
        section.check aria-labelledby="crossings" {
            h2 id="crossings" { (l.t("mine-crossings")) }
            div id="mine" data-list="/my-data/crossings" data-history="/my-data/history" data-trust="/my-data/trust"
                data-good=(l.t("mine-good")) data-part=(l.t("mine-part")) data-bad=(l.t("mine-bad")) data-busy=(l.t("check-busy")) data-none=(l.t("mine-no-map"))
                data-broken=(l.t("unavailable")) data-day-none=(l.t("mine-day-none")) data-day-some=(l.t("mine-day-some")) data-day-open=(l.t("mine-day-open")) {
                div id="mine-result" role="status" { p.quiet { (l.t("check-busy")) } }
                div id="mine-list" { p.empty { (l.t("loading")) } }
                div id="mine-days" {}
            }
            p.quiet { (l.t("mine-told")) }
            noscript { p.note { (l.t("check-noscript")) } p { a href="/my-data/crossings" { (l.t("mine-plain")) } } }
        }
        section aria-labelledby="take" {
            h2 id="take" { (l.t("mine-take")) }
            ul.plain {
                li { a.button.quiet href="/my-data/history" download="history.cbor" { (l.t("mine-proof")) } " " span.quiet { (l.t("mine-proof-about")) } }
                li { a.button.quiet href="/my-data/export" download="my-data.json" { (l.t("mine-export")) } " " span.quiet { (l.t("mine-export-about")) } }
                li { a.button.quiet href="/my-data/usage.json" { (l.t("mine-json")) } " " span.quiet { (l.t("mine-json-about")) } }
            }
            pre tabindex="0" { code { "clover-audit verify-history --history history.cbor --site-vkey site.vkey --policy policy" } }
        }
        section aria-labelledby="erasure" {
            h2 id="erasure" { (l.t("mine-erasure")) }
            @match erasure {
                Some(asked) => { p.note { (l.fill("mine-erasure-asked", &[&when(asked.at), asked.due.rfc3339().get(..10).unwrap_or_default()])) } }
                None => {
                    p { (l.t("mine-erasure-about")) }
                    form.act method="post" action="/my-data/erasure" {
                        (reader.token())
                        label.tick { input type="checkbox" name="sure" value="yes" required; span { (l.t("mine-erasure-sure")) } }
                        button.danger { (l.t("mine-erasure-ask")) }
                    }
                }
            }
        }
    };
    layout::page(&reader, Page { title: l.t("mine-title"), scripts: &["check.js"], body })
}

/// `GET /my-data/crossings`: the list as a piece of the page. It goes the road.
pub(super) async fn crossings(State(pages): State<Arc<Pages>>, reader: Reader, peer: Peer) -> Response {
    if let Err(refused) = reader.on_purpose().and_then(|()| reader.subject()) {
        return *refused;
    }
    let Some(answer) = asked(&pages, &reader, &peer, "/v1/me/crossings").await else {
        return layout::unavailable(&reader);
    };
    let l = reader.language;
    let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if !answer.status.is_success() {
        let why = view::refused(l, &answer.body);
        return (answer.status, axum::response::Html(html! { p.outcome.no { (why) } }.into_string()))
            .into_response();
    }
    let none = Vec::new();
    let all = told.get("crossings").and_then(Value::as_array).unwrap_or(&none);
    let markup = html! {
        @if all.is_empty() { p.empty { (l.t("mine-none")) } } @else {
            @let whole = all.len() <= SHOWN && told.get("older_ones_not_shown") == Some(&json!(false));
            ul.story data-whole=(whole) { @for crossing in all.iter().take(SHOWN) { (told_of(l, crossing)) } }
            @if !whole { p.quiet { (l.t("mine-more")) } }
        }
        p.quiet { (l.fill("mine-witnesses", &[told.get("witnesses").and_then(Value::as_str).unwrap_or("–")])) }
    };
    axum::response::Html(markup.into_string()).into_response()
}

fn text<'v>(v: &'v Value, key: &str) -> &'v str {
    v.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list(l: Language, of: &str, v: &Value, key: &str) -> String {
    let all = v.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    all.iter().filter_map(Value::as_str).map(|w| l.word(of, w)).collect::<Vec<_>>().join(", ")
}

/// The words by which messages, and the script that checks, know what an entry records; the gateway's list has its own.
fn kind(what: &str) -> (&'static str, &'static str) {
    match what {
        "released" => ("released", "answer"),
        "refused" => ("refused", "refusal"),
        "imported" => ("imported", "import"),
        "stream opened" => ("opened", "open"),
        "stream extended" => ("extended", "extend"),
        "stream closed" => ("closed", "close"),
        "erased" => ("erasure", "erasure"),
        "home country changed" => ("home", "home"),
        _ => ("other", "other"),
    }
}

/// Words of a list as an entry has them, for the script that checks.
fn bare(v: &Value, key: &str) -> String {
    let all = v.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

/// Who, by role: `employee of acme-eu` is told as the role and the employer.
fn role(l: Language, by: &str) -> String {
    match by.split_once(" of ") {
        Some((role, employer)) => format!("{}, {employer}", l.word("role", role)),
        None => l.word("role", by),
    }
}

/// One crossing in plain words: when, who by role and country, why, what, in which form.
fn told_of(l: Language, c: &Value) -> Markup {
    let (time, (word, form)) = (text(c, "time"), kind(text(c, "what")));
    let seen = c.get("seen").filter(|s| !s.is_null());
    let (from, to) = (text(c, "from"), text(c, "to"));
    let place = |code: &str| if code == "ZZ" { l.t("place-unknown").to_owned() } else { l.country(code) };
    let fields = seen.and_then(|s| s.get("fields")).and_then(Value::as_array);
    let actor = seen.map(|s| text(s, "by")).filter(|e| !e.is_empty()).map(|by| role(l, by));
    html! {
        li.(if word == "refused" { "refused" } else { "crossing" }) data-entry=(c.get("entry").map(Value::to_string).unwrap_or_default())
            data-time=(time) data-kind=(form) data-purpose=(text(c, "purpose")) data-from=(from) data-to=(to)
            data-classes=(bare(c, "classes")) data-treatments=(bare(c, "treatments")) data-reason=(text(c, "reason")) {
            p.when { time datetime=(time) { (time.get(..10).unwrap_or_default()) " " (time.get(11..16).unwrap_or_default()) " UTC" } " "
                span.badge.(word) { (l.word("kind", word)) } span.checked {} }
            p { strong { (l.word("purpose", text(c, "purpose"))) } " · "
                @if let Some(actor) = actor { (actor) " · " }
                @if from == to { (place(from)) } @else { (place(from)) " → " (place(to)) } }
            @if word == "refused" { p { (l.t("mine-refused")) " " (l.word("reason", text(c, "reason"))) } }
            @else {
                @let treatments = list(l, "treatment", c, "treatments");
                @if !treatments.is_empty() { p { (l.fill("mine-form", &[&list(l, "class", c, "classes"), &treatments])) } }
            }
            @if let Some(fields) = fields { @if !fields.is_empty() { details {
                summary { (l.fill("mine-fields", &[&fields.len().to_string()])) }
                ul { @for field in fields.iter().filter_map(Value::as_str).take(200) { li { code { (field) } } } }
            } } }
        }
    }
}

fn download(bytes: Vec<u8>, kind: &'static str, name: &'static str) -> Response {
    let headers =
        [(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""))];
    (headers, bytes).into_response()
}

/// `GET /my-data/history`: the file that proves it all (`docs/formats/day-map.md`).
pub(super) async fn history(State(pages): State<Arc<Pages>>, reader: Reader) -> Response {
    let subject = match reader.subject() {
        Ok(subject) => subject.clone(),
        Err(refused) => return *refused,
    };
    let Some(_turn) = turn(&pages).await else { return layout::unavailable(&reader) };
    let asked = Arc::clone(&pages);
    match waiting(move || asked.parts.behind.history(&subject)).await {
        Some(Ok(bytes)) => download(bytes, "application/cbor", "history.cbor"),
        // No quorum yet, or no map of any day: it comes by itself.
        Some(Err(_)) => crate::web::refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "no map of a day is cosigned yet; ask again in an hour",
        ),
        None => layout::unavailable(&reader),
    }
}

/// `GET /my-data/trust`: by whose signatures a history counts. A reader with keys from elsewhere uses those.
pub(super) async fn trust(State(pages): State<Arc<Pages>>) -> Response {
    let trust = &pages.parts.trust;
    Json(json!({ "site_vkey": trust.site_vkey, "policy": trust.policy })).into_response()
}

/// `GET /my-data/export`: what is kept of them. It goes the road.
pub(super) async fn export(State(pages): State<Arc<Pages>>, reader: Reader, peer: Peer) -> Response {
    if let Err(refused) = reader.on_purpose().and_then(|()| reader.subject()) {
        return *refused;
    }
    let Some(_turn) = turn(&pages).await else { return layout::unavailable(&reader) };
    match asked(&pages, &reader, &peer, "/v1/me/export").await {
        Some(answer) if answer.status.is_success() => {
            download(answer.body, "application/json", "my-data.json")
        }
        Some(answer) => {
            let why = view::refused(reader.language, &answer.body);
            layout::refusal(&reader, answer.status, "mine-export", &why)
        }
        None => layout::unavailable(&reader),
    }
}

/// `GET /my-data/usage.json`: the same list in the shape of Estonia's data tracker (a list of usages, its period, and
/// when it was made), for programs of the person. It goes the road.
pub(super) async fn usage(State(pages): State<Arc<Pages>>, reader: Reader, peer: Peer) -> Response {
    if let Err(refused) = reader.on_purpose().and_then(|()| reader.subject()) {
        return *refused;
    }
    let Some(answer) = asked(&pages, &reader, &peer, "/v1/me/crossings").await else {
        return layout::unavailable(&reader);
    };
    if !answer.status.is_success() {
        return (answer.status, [(CONTENT_TYPE, "application/json")], answer.body).into_response();
    }
    let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let none = Vec::new();
    let all = told.get("crossings").and_then(Value::as_array).unwrap_or(&none);
    let usages: Vec<Value> = all
        .iter()
        .map(|c| {
            json!({
                "logtime": text(c, "time"),
                "action": text(c, "what"),
                "purpose": text(c, "purpose"),
                "receiver": c.pointer("/seen/by"),
                "country": text(c, "to"),
                "entry": c.get("entry"),
            })
        })
        .collect();
    let first = pages.feeds.iter().filter_map(super::feed::Feed::first_day).min();
    Json(json!({
        "period": { "from": first.map(day), "to": day(u64::from(pages.now().day())) },
        "heartbeat": pages.now().rfc3339(),
        "covers_entries_before": told.get("covers_entries_before"),
        "complete": told.get("older_ones_not_shown") == Some(&json!(false)),
        "usages": usages,
    }))
    .into_response()
}

/// `POST /my-data/erasure`: notes the wish. It is done by the operator, who may be held from it, within a month.
pub(super) async fn erase(State(pages): State<Arc<Pages>>, reader: Reader) -> Response {
    let subject = match reader.subject() {
        Ok(subject) => subject.clone(),
        Err(refused) => return *refused,
    };
    match waiting(move || pages.parts.behind.wishes_erasure(&subject)).await {
        Some(Ok(_)) => Redirect::to("/my-data?done=erasure").into_response(),
        Some(Err(_)) => {
            tracing::error!("a wish to be erased was not noted: the folder of wishes refuses");
            layout::unavailable(&reader)
        }
        None => layout::unavailable(&reader),
    }
}
