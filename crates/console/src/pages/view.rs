//! The case view: one person's fields, as the road gives them to whoever holds the case or grant, shown for as long as it
//! serves and no longer.
//!
//! The page itself holds nothing. Its script opens one stream; that is one crossing, recorded before its first row is
//! sent. The stream goes on while sign-in and ground serve, and says when they do not: the script then takes the rows away. A
//! stream that breaks off takes them away, too.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use access::{Request, State as Stands};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream;
use http::{Method, StatusCode};
use maud::{Markup, html};
use model::lanes::{SubjectFrom, Way};
use model::rulebook::Rulebook;
use model::{Ground, Name, SubjectId};
use serde_json::{Value, json};

use super::layout::{self, Page};
use super::reader::Reader;
use super::requests::{clock, headline, when};
use super::words::Language;
use super::{Pages, Question, live, waiting};
use crate::web::Peer;

/// How often it is looked whether the view is over.
const LOOK: Duration = Duration::from_millis(200);
/// Looks between two signs of life: a second.
const BEAT: u32 = 5;
/// Looks between two at the reader's record and at suspensions: half a second.
const RECORD: u32 = 3;
/// Rows of one event.
const ROWS: usize = 50;
/// Most columns that are shown.
const COLUMNS_MAX: usize = 64;

/// The reader's own request, if it serves now and names one person.
async fn serving(pages: &Arc<Pages>, reader: &Reader, id: &str) -> Result<Arc<Request>, Box<Response>> {
    let staff = reader.staff()?;
    let unknown = || Box::new(layout::not_found(reader));
    let id = Name::parse(id).map_err(|_| unknown())?;
    let (asked, member) = (Arc::clone(pages), Arc::clone(&staff.member));
    let request =
        waiting(move || asked.parts.office.request(&member, &id).ok()).await.flatten().ok_or_else(unknown)?;
    if request.requester != *staff.member.id() {
        return Err(unknown());
    }
    if !serves(pages, &request) {
        let l = reader.language;
        return Err(Box::new(layout::refusal(reader, StatusCode::GONE, "view-over-title", l.t("view-over"))));
    }
    Ok(request)
}

fn serves(pages: &Pages, request: &Request) -> bool {
    let (control, now) = (&pages.parts.office.control, pages.now());
    match request.wanted.ground {
        Ground::Case => control.case(&request.id, now).is_ok(),
        Ground::Grant | Ground::BreakGlass => control.grant(&request.id, now).is_ok(),
    }
}

/// `GET /requests/{id}/view`.
pub(super) async fn page(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Response {
    let request = match serving(&pages, &reader, &id).await {
        Ok(request) => request,
        Err(refused) => return *refused,
    };
    let l = reader.language;
    let until = match request.state {
        Stands::Granted { until, .. } => until,
        _ => pages.now(),
    };
    let body = html! {
        p { a href=(format!("/requests/{}", request.id)) { "← " (headline(l, &request)) } }
        p.note { (l.t("view-about")) }
        p.row { span { (l.fill("view-until", &[&when(until)])) } (clock(l, until, pages.now())) }
        div.sheet id="view" data-until=(until.0) data-stream=(format!("/requests/{}/view/stream", request.id))
            data-over=(l.t("view-over")) data-broken=(l.t("view-broken")) aria-live="polite" aria-busy="true" {
            (watermark(&reader, &request, &when(pages.now())))
            div id="rows" { p.empty { (l.t("view-opening")) } }
        }
        noscript { p.note { (l.t("view-noscript")) } }
    };
    layout::page(&reader, Page { title: l.t("view-title"), scripts: &["view.js"], body })
}

/// Who looks at what and when, behind everything: a photograph of a screen says whose it was. It prevents no copy.
fn watermark(reader: &Reader, request: &Request, at: &str) -> Markup {
    let who = reader.staff().map(|s| s.name.clone()).unwrap_or_default();
    html! {
        svg.watermark aria-hidden="true" focusable="false" width="100%" height="100%" {
            defs { pattern id="mark" width="330" height="120" patternUnits="userSpaceOnUse" patternTransform="rotate(-18)" {
                text x="0" y="40" { (who) " · " (request.wanted.case) }
                text x="40" y="90" { (at) }
            } }
            rect width="100%" height="100%" fill="url(#mark)" {}
        }
    }
}

/// How the road is asked for what a request is about: the lane of a service, or the vault's own.
fn question(book: &Rulebook, request: &Request, reader: &Reader, address: IpAddr) -> Option<Question> {
    let (wanted, session) = (&request.wanted, reader.session.clone()?);
    let subject: &SubjectId = wanted.subject.as_ref()?;
    let ground = if wanted.ground == Ground::Case { "clover-case" } else { "clover-grant" };
    let mut headers =
        vec![("clover-purpose", wanted.purpose.word().to_owned()), (ground, request.id.to_string())];
    let mut lanes = book.lanes.lanes.values();
    let lane = lanes.find(|lane| {
        lane.way == Way::Reverse
            && lane.dataset == wanted.dataset
            && matches!(lane.subject, SubjectFrom::Header)
    });
    if let Some(lane) = lane {
        headers.push(("clover-subject", subject.as_str().to_owned()));
        let method = Method::from_bytes(lane.method.as_bytes()).ok()?;
        return Some(Question {
            session,
            address,
            method,
            path: format!("/lanes/{}", lane.name),
            headers,
            body: Vec::new(),
        });
    }
    let prefix = format!("{}.", wanted.dataset);
    let listed =
        |f: &&model::catalogue::Field| wanted.fields.as_ref().is_none_or(|list| f.lists.contains(list));
    let fields = book.catalogue.fields().iter().filter(listed);
    let fields: Vec<&str> = fields.filter_map(|f| f.name.strip_prefix(&prefix)).take(256).collect();
    let body = json!({ "dataset": wanted.dataset.as_str(), "subject": subject.as_str(), "fields": fields });
    Some(Question {
        session,
        address,
        method: Method::POST,
        path: "/v1/read".to_owned(),
        headers,
        body: body.to_string().into_bytes(),
    })
}

struct Viewing {
    pages: Arc<Pages>,
    reader: Reader,
    request: Arc<Request>,
    asked: Option<Question>,
    ready: VecDeque<Event>,
    over: bool,
    looks: u32,
}

/// `GET /requests/{id}/view/stream`.
pub(super) async fn stream(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    peer: Peer,
    Path(id): Path<String>,
) -> Response {
    if let Err(refused) = reader.on_purpose() {
        return *refused;
    }
    let request = match serving(&pages, &reader, &id).await {
        Ok(request) => request,
        Err(refused) => return *refused,
    };
    let book = pages.parts.behind.rulebook();
    let asked = question(&book, &request, &reader, peer.address);
    if asked.is_none() {
        let l = reader.language;
        return layout::refusal(&reader, StatusCode::CONFLICT, "view-title", l.t("view-no-person"));
    }
    let viewing = Viewing { pages, reader, request, asked, ready: VecDeque::new(), over: false, looks: 0 };
    let events = stream::unfold(viewing, |mut v| async move {
        if let Some(question) = v.asked.take() {
            v.look(question).await;
        }
        loop {
            if !v.over && !v.goes_on().await {
                v.over = true;
                // Rows that were not sent yet are not.
                v.ready.clear();
                v.ready.push_back(Event::default().event("end").data("over"));
            }
            if let Some(event) = v.ready.pop_front() {
                return Some((Ok::<_, Infallible>(event), v));
            }
            if v.over {
                return None;
            }
            tokio::time::sleep(LOOK).await;
            // A connection that dies without a word is noticed by what does not come. Browsers tell of no event without data.
            if v.looks.is_multiple_of(BEAT) {
                v.ready.push_back(Event::default().event("beat").data("1"));
            }
        }
    });
    super::events(events)
}

impl Viewing {
    /// Whether session, case and record serve, and the reader's country is not suspended.
    async fn goes_on(&mut self) -> bool {
        if !(live::still(&self.pages, &self.reader) && serves(&self.pages, &self.request)) {
            return false;
        }
        self.looks = self.looks.wrapping_add(1);
        if !self.looks.is_multiple_of(RECORD) {
            return true;
        }
        let (pages, session) = (Arc::clone(&self.pages), self.reader.session.clone());
        let kept = waiting(move || {
            let session = session?;
            let stopped = (pages.parts.status.suspended)();
            let out = session.places().iter().any(|place| stopped.iter().any(|c| c == place.as_str()));
            (!out && pages.parts.office.member(&session).is_ok()).then_some(())
        });
        kept.await.flatten().is_some()
    }

    /// The crossing: recorded, then rows in parts.
    async fn look(&mut self, question: Question) {
        let l = self.reader.language;
        let answer = self.pages.parts.behind.ask(question).await;
        if !answer.status.is_success() {
            let why = refused(l, &answer.body);
            let text = html! { p.outcome.no { (l.t("view-refused")) " " (why) } }.into_string();
            self.ready.push_back(Event::default().event("begin").data(json!(text).to_string()));
            self.ready.push_back(Event::default().event("whole").data("1"));
            return;
        }
        let rows = released(&answer.body);
        let flat: Vec<Vec<(String, String)>> = rows.iter().map(fields).collect();
        let columns: BTreeSet<&str> = flat.iter().flatten().map(|(name, _)| name.as_str()).collect();
        let cut = columns.len() > COLUMNS_MAX;
        let columns: Vec<&str> = columns.into_iter().take(COLUMNS_MAX).collect();
        let receipt = answer.receipt.map(|r| r.to_string()).unwrap_or_default();
        let begin = table(l, &columns, &receipt, (rows.len(), cut));
        self.ready.push_back(Event::default().event("begin").data(json!(begin.into_string()).to_string()));
        for part in flat.chunks(ROWS) {
            let rows = html! { @for row in part { tr { @for column in &columns {
                td { @if let Some((_, value)) = row.iter().find(|(name, _)| name == column) { (value) } @else { span.quiet { "–" } } }
            } } } };
            self.ready.push_back(Event::default().event("rows").data(json!(rows.into_string()).to_string()));
        }
        self.ready.push_back(Event::default().event("whole").data("1"));
    }
}

/// What was released, as rows: a list of them, one of them, or text in another form.
fn released(body: &[u8]) -> Vec<Value> {
    match serde_json::from_slice(body) {
        Ok(Value::Array(rows)) => rows,
        Ok(row @ Value::Object(_)) => vec![row],
        _ => String::from_utf8_lossy(body).lines().map(|line| json!({ "": line })).collect(),
    }
}

fn table(l: Language, columns: &[&str], receipt: &str, (rows, cut): (usize, bool)) -> Markup {
    html! {
        p.quiet { (l.fill("view-recorded", &[receipt])) @if cut { " " (l.t("view-cut")) } }
        @if rows == 0 { p.empty { (l.t("view-empty")) } } @else {
            div.scroll tabindex="0" role="group" aria-label=(l.t("view-title")) {
                table {
                    caption.hidden { (l.t("view-title")) }
                    thead { tr { @for column in columns { th scope="col" { (column) } } } }
                    tbody id="view-rows" {}
                }
            }
        }
    }
}

/// Why the road refused, in the reader's words.
pub(super) fn refused(l: Language, body: &[u8]) -> String {
    let told: Option<Value> = serde_json::from_slice(body).ok();
    let word = told.as_ref().and_then(|v| v.get("refused")).and_then(Value::as_str).unwrap_or("border");
    l.word("reason", word)
}

/// The values of a row with their names, one level after another.
fn fields(row: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    gather(&mut all, "", row, 0);
    all
}

fn gather(all: &mut Vec<(String, String)>, name: &str, value: &Value, depth: u8) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(members) if depth < 6 => {
            members.iter().for_each(|(key, v)| gather(all, &below(key), v, depth + 1));
        }
        Value::String(text) => all.push((name.to_owned(), text.clone())),
        Value::Null => all.push((name.to_owned(), String::new())),
        other => all.push((name.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rows_values_have_their_names_and_none_is_markup() {
        let row = json!({ "a": { "b": "<i>x</i>" }, "c": [1, 2], "d": null });
        let found = fields(&row);
        assert_eq!(found[0], ("a.b".to_owned(), "<i>x</i>".to_owned()));
        assert_eq!(found[1], ("c".to_owned(), "[1,2]".to_owned()));
        let drawn = html! { td { (found[0].1) } }.into_string();
        assert_eq!(drawn, "<td>&lt;i&gt;x&lt;/i&gt;</td>");
    }
}
