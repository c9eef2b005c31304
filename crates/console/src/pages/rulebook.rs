//! The rules in force: who may what, what is proved of it, until when it stands; and the rulebook that would take its
//! place, in words.
//!
//! What takes long (proofs, a diff, a replay) is worked out once for each pair of rulebooks, on a thread, while pages say
//! that it is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use maud::{Markup, html};
use model::rulebook::Rulebook;
use serde_json::Value;

use super::layout::{self, Page};
use super::reader::{Reader, Staff};
use super::words::Language;
use super::{Candidate, Made, Pages, Study, waiting};

/// What was worked out; nothing yet while it is.
type Known = HashMap<(String, Study), Option<(Instant, Made<Value>)>>;

/// What was worked out about rulebooks so far.
#[derive(Default)]
pub(crate) struct Studies {
    known: Mutex<Known>,
    over: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Studies {
    /// What is being worked out is wanted no more.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // Each ends its process within a moment.
        threads.into_iter().for_each(|thread| drop(thread.join()));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Most that is remembered.
const REMEMBERED: usize = 24;

impl Pages {
    /// What was worked out about these rulebooks, which is begun if nobody has.
    fn study(self: &Arc<Self>, of: &str, study: Study) -> Option<Made<Value>> {
        let key = (of.to_owned(), study);
        let mut known = self.studies.known();
        match known.get(&key) {
            Some(None) => return None,
            Some(Some((at, made))) if at.elapsed() < kept(study, made) => return Some(made.clone()),
            _ => {}
        }
        if known.len() >= REMEMBERED {
            known.retain(|_, made| made.is_none());
        }
        known.insert(key.clone(), None);
        drop(known);
        let pages = Arc::clone(self);
        // A thread of its own: nobody who is answered waits for it.
        let begun = std::thread::Builder::new().name("study".to_owned()).spawn(move || {
            let made = pages.parts.behind.study(study, &pages.studies.over);
            let made = made.and_then(|report| of_this(&key.0, report));
            pages.studies.known().insert(key, Some((Instant::now(), made)));
        });
        match begun {
            Ok(thread) => {
                let mut threads = self.studies.threads.lock().unwrap_or_else(PoisonError::into_inner);
                threads.retain(|t| !t.is_finished());
                threads.push(thread);
                None
            }
            Err(e) => {
                self.studies.known().remove(&(of.to_owned(), study));
                Some(Err(e.to_string()))
            }
        }
    }
}

/// For how long a report serves: what failed may not fail again, and the last days go on.
fn kept(study: Study, made: &Made<Value>) -> Duration {
    match (study, made) {
        (_, Err(_)) => Duration::from_secs(60),
        (Study::Replay, Ok(_)) => Duration::from_secs(3600),
        (Study::Proofs | Study::Difference, Ok(_)) => Duration::MAX,
    }
}

/// A report, if it is of the rulebooks that were asked about: the folder may hold another one by now.
fn of_this(digests: &str, report: Value) -> Made<Value> {
    let names = ["rulebook", "candidate", "in_force"].iter().filter_map(|key| report.get(key)?.as_str());
    let all: Vec<&str> = names.collect();
    if !all.is_empty() && all.iter().all(|name| digests.contains(name)) {
        Ok(report)
    } else {
        Err("another rulebook was in its place by then".to_owned())
    }
}

/// `GET /rulebook`.
pub(super) async fn page(State(pages): State<Arc<Pages>>, reader: Reader) -> Response {
    let staff = match reader.overseer() {
        Ok(staff) => staff,
        Err(refused) => return *refused,
    };
    let l = reader.language;
    let asked = Arc::clone(&pages);
    let Some(candidate) = waiting(move || asked.parts.behind.candidate()).await else {
        return layout::unavailable(&reader);
    };
    let book = pages.parts.behind.rulebook();
    let digest = book.digest.to_string();
    let body = html! {
        p.lead { (l.fill("rulebook-lead", &[digest.get(..16).unwrap_or(&digest)])) }
        @if let Some(candidate) = &candidate { (ready(&reader, staff, candidate)) }
        section aria-labelledby="properties" {
            h2 id="properties" { (l.t("properties-title")) }
            (properties(l, pages.study(&digest, Study::Proofs)))
        }
        section aria-labelledby="assessments" { h2 id="assessments" { (l.t("assessments-title")) } (assessments(l, &book, &pages)) }
        section aria-labelledby="flows" { h2 id="flows" { (l.t("flows-title")) } (flows(l, &book)) }
        section aria-labelledby="procedures" { h2 id="procedures" { (l.t("procedures-title")) } (procedures(l, &book)) }
        section aria-labelledby="policies" {
            h2 id="policies" { (l.t("policies-title")) }
            p.quiet { (l.t("policies-about")) }
            @for (title, text) in [(l.t("policies-cedar"), &book.policies), (l.t("policies-properties"), &book.properties), (l.t("policies-schema"), &book.schema)] {
                details { summary { (title) } pre tabindex="0" { code { (text) } } }
            }
        }
    };
    layout::page(&reader, Page { title: l.t("rulebook-title"), scripts: &[], body })
}

/// A rulebook that lies ready.
fn ready(reader: &Reader, staff: &Staff, candidate: &Candidate) -> Markup {
    let l = reader.language;
    let both = ["operator", "auditor"].iter().all(|who| candidate.signed.contains(who));
    html! {
        section.candidate aria-labelledby="candidate" {
            h2 id="candidate" { (l.t("candidate-title")) }
            p { code { (candidate.digest.get(..16).unwrap_or(&candidate.digest)) } }
            @if let Some(problem) = &candidate.problem { p.outcome.no { (problem) } }
            ul.plain { @for who in ["operator", "auditor"] { li {
                @let signed = candidate.signed.contains(&who);
                span.badge.refused[!signed] { @if signed { (l.t("signed")) } @else { (l.t("unsigned")) } } " " (l.word("signer", who))
            } } }
            p.row {
                a.button href="/rulebook/candidate" { (l.t("candidate-see")) }
                @if both && candidate.problem.is_none() && staff.operates {
                    form method="post" action="/rulebook/activate" { (reader.token()) input type="hidden" name="digest" value=(candidate.digest); button { (l.t("candidate-activate")) } }
                }
            }
            @if !both { pre tabindex="0" { code { "clover rulebook sign --as operator\nclover rulebook sign --as auditor" } } }
        }
    }
}

fn busy(l: Language) -> Markup {
    html! { p.empty.busy data-again="3" { (l.t("study-busy")) } }
}

fn failed(l: Language, why: &str) -> Markup {
    html! { p.outcome.no { (l.t("study-failed")) " " (why) } }
}

fn text<'v>(v: &'v Value, key: &str) -> &'v str {
    v.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn rows<'v>(v: &'v Value, key: &str) -> &'v [Value] {
    v.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn properties(l: Language, made: Option<Made<Value>>) -> Markup {
    let report = match made {
        None => return busy(l),
        Some(Err(why)) => return failed(l, &why),
        Some(Ok(report)) => report,
    };
    html! {
        div.scroll tabindex="0" role="group" aria-labelledby="properties" {
            table {
                thead { tr { th scope="col" { (l.t("col-property")) } th scope="col" { (l.t("col-says")) } th scope="col" { (l.t("col-state")) } } }
                tbody { @for p in rows(&report, "promises") {
                    @let state = text(p, "verdict");
                    tr {
                        th scope="row" { code { (text(p, "id")) } }
                        td { (text(p, "says")) (example(l, p)) }
                        td { span.badge.refused[state != "proved"] { (l.word("proof", state)) }
                            @if let Some(by) = p.get("by").and_then(Value::as_str) { " " span.quiet { (l.word("by", by)) } } }
                    }
                } }
            }
        }
    }
}

/// A request that breaks what was to be proved, in words.
fn example(l: Language, of: &Value) -> Markup {
    let Some(example) = of.get("example") else { return html! {} };
    html! {
        p { strong { (l.t("counterexample")) } }
        ul { @for line in rows(example, "words").iter().filter_map(Value::as_str) { li { (line) } } }
        p.quiet { (text(example, "answer")) }
    }
}

fn pretty(v: &Value) -> String {
    v.as_str().map_or_else(|| serde_json::to_string_pretty(v).unwrap_or_default(), str::to_owned)
}

fn assessments(l: Language, book: &Rulebook, pages: &Pages) -> Markup {
    let now = pages.now();
    let all = book.programme.destinations.iter().filter_map(|c| book.assessments.of(*c));
    html! {
        div.scroll tabindex="0" role="group" aria-labelledby="assessments" {
            table {
                thead { tr {
                    th scope="col" { (l.t("col-country")) } th scope="col" { (l.t("col-finding")) } th scope="col" { (l.t("col-may")) }
                    th scope="col" { (l.t("col-owner")) } th scope="col" { (l.t("col-until")) }
                } }
                tbody { @for a in all {
                    @let over = now >= a.expires || now < a.reviewed;
                    tr class=[over.then_some("refused")] {
                        th scope="row" { (l.country(a.country.as_str())) }
                        td { (l.word("verdict", a.finding.word())) }
                        td { (a.treatments.iter().map(|t| l.word("treatment", t.word())).collect::<Vec<_>>().join(", ")) }
                        td { (a.owner) }
                        td.date { (a.expires.rfc3339().get(..10).unwrap_or_default()) @if over { " " span.badge.refused { (l.t("not-in-force")) } } }
                    }
                } }
            }
        }
    }
}

fn flows(l: Language, book: &Rulebook) -> Markup {
    html! {
        @if book.lanes.flows.is_empty() { p.empty { (l.t("flows-none")) } } @else {
            div.scroll tabindex="0" role="group" aria-labelledby="flows" {
                table {
                    thead { tr {
                        th scope="col" { (l.t("col-flow-name")) } th scope="col" { (l.t("col-country")) } th scope="col" { (l.t("col-basis")) }
                        th scope="col" { (l.t("col-purpose")) } th scope="col" { (l.t("ask-fields")) } th scope="col" { (l.t("col-state")) }
                    } }
                    tbody { @for f in &book.lanes.flows { tr {
                        th scope="row" { (f.name) } td { (l.country(f.destination.as_str())) } td { (l.word("basis", f.basis.word())) }
                        td { (l.word("purpose", f.purpose.word())) } td { (f.fields) } td { @if f.active { (l.t("active")) } @else { (l.t("inactive")) } }
                    } } }
                }
            }
        }
    }
}

fn procedures(l: Language, book: &Rulebook) -> Markup {
    html! {
        ul.cards.small { @for p in &book.access.procedures { li.card {
            h3 { (p.name) }
            p { (l.word("ground", p.ground.word())) " · " (p.purposes.iter().map(|x| l.word("purpose", x.word())).collect::<Vec<_>>().join(", ")) }
            ol.steps { @for step in &p.steps {
                @let sets = step.of.iter().map(model::Name::as_str).collect::<Vec<_>>().join(", ");
                li { (l.fill("step", &[&step.need.to_string(), &sets, &super::overview::span(l, step.seconds)])) }
            } }
        } } }
    }
}

/// `GET /rulebook/candidate`: what it says otherwise, and what that would have done.
pub(super) async fn candidate(State(pages): State<Arc<Pages>>, reader: Reader) -> Response {
    let staff = match reader.overseer() {
        Ok(staff) => staff,
        Err(refused) => return *refused,
    };
    let l = reader.language;
    let asked = Arc::clone(&pages);
    let Some(found) = waiting(move || asked.parts.behind.candidate()).await else {
        return layout::unavailable(&reader);
    };
    let Some(candidate) = found else {
        return layout::refusal(&reader, StatusCode::NOT_FOUND, "candidate-title", l.t("candidate-none"));
    };
    let both = format!("{} {}", pages.parts.behind.rulebook().digest, candidate.digest);
    let body = html! {
        p { a href="/rulebook" { "← " (l.t("rulebook-title")) } }
        (ready(&reader, staff, &candidate))
        @if candidate.problem.is_none() {
            section aria-labelledby="diff" { h2 id="diff" { (l.t("diff-title")) } (difference(l, pages.study(&both, Study::Difference))) }
            section aria-labelledby="replay" { h2 id="replay" { (l.t("replay-title")) } (replay(l, pages.study(&both, Study::Replay))) }
        }
    };
    layout::page(&reader, Page { title: l.t("candidate-title"), scripts: &[], body })
}

fn difference(l: Language, made: Option<Made<Value>>) -> Markup {
    let report = match made {
        None => return busy(l),
        Some(Err(why)) => return failed(l, &why),
        Some(Ok(report)) => report,
    };
    let found = rows(&report, "differences");
    let wider = report.get("wider").cloned().unwrap_or_default();
    html! {
        @if found.is_empty() { p.empty { (l.t("diff-none")) } }
        ul.cards.small { @for d in found { li.card {
            h3 { (l.word("how", text(d, "how"))) " " (text(d, "part")) " " code { (text(d, "name")) } }
            @for (key, sign, label) in [("before", "−", l.t("diff-before")), ("after", "+", l.t("diff-after"))] {
                @let value = text(d, key);
                @if !value.is_empty() { p.quiet { (label) } pre.(key) tabindex="0" { code { @for line in value.lines().take(60) { (sign) " " (line) "\n" } } } }
            }
        } } }
        h3 { (l.t("diff-wider")) }
        (widening(l, &wider))
    }
}

/// What the prover says about whether a candidate permits more.
fn widening(l: Language, wider: &Value) -> Markup {
    let outcome = text(wider, "outcome");
    let findings = wider.get("widening").map_or(&[][..], |w| rows(w, "findings"));
    let seen = wider.get("bounded").map_or(&[][..], |b| rows(b, "examples"));
    html! {
        p { span.badge.refused[outcome != "proved"] { (l.word("wider", outcome)) } }
        @for finding in findings.iter().take(20) {
            div.card { p { strong { (l.t("diff-newly")) } " " code { (text(finding, "policy")) } " · " (l.word("proof", text(finding, "verdict"))) } (example(l, finding)) }
        }
        @for found in seen.iter().take(20) {
            div.card {
                p { strong { (l.t("diff-newly")) } }
                ul { @for line in rows(found, "words").iter().filter_map(Value::as_str) { li { (line) } } }
                p.quiet { (rows(found, "by").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")) }
            }
        }
        details { summary { (l.t("diff-report")) } pre tabindex="0" { code { (pretty(wider)) } } }
    }
}

fn replay(l: Language, made: Option<Made<Value>>) -> Markup {
    let report = match made {
        None => return busy(l),
        Some(Err(why)) => return failed(l, &why),
        Some(Ok(report)) => report,
    };
    let table = |key: &str, title: &'static str| {
        let changes = report.get(key).cloned().unwrap_or_default();
        let all = rows(&changes, "rows").to_vec();
        html! {
            h3 { (l.t(title)) }
            @if all.is_empty() { p.empty { (l.t("replay-none")) } } @else {
                div.scroll tabindex="0" role="group" aria-label=(l.t(title)) { table {
                    thead { tr {
                        th scope="col" { (l.t("col-actor")) } th scope="col" { (l.t("col-country")) } th scope="col" { (l.t("col-class")) }
                        th scope="col" { (l.t("col-purpose")) } th scope="col" { (l.t("replay-was")) } th scope="col" { (l.t("replay-would")) } th.n scope="col" { (l.t("replay-groups")) }
                    } }
                    tbody { @for r in all.iter().take(200) { tr {
                        td { (text(r, "actor")) } td { (l.country(text(r, "place"))) } td { (l.word("class", text(r, "class"))) } td { (l.word("purpose", text(r, "purpose"))) }
                        td { (l.word("treatment", text(r, "from"))) } td { (l.word("treatment", text(r, "to"))) } td.n { (r.get("groups").map(Value::to_string).unwrap_or_default()) }
                    } } }
                } }
            }
        }
    };
    let count = |key: &str| report.get(key).and_then(Value::as_u64).unwrap_or(0).to_string();
    html! {
        p { (l.fill("replay-about", &[&count("decided_again"), &count("entries"), &count("days")])) " " strong { (l.word("outcome", text(&report, "outcome"))) } }
        (table("opens", "replay-opens"))
        (table("closes", "replay-closes"))
    }
}

/// Which rulebook somebody looked at when they pressed.
#[derive(serde::Deserialize)]
pub(super) struct Meant {
    digest: String,
}

/// `POST /rulebook/activate`: lays it down; the enclave takes it if both have signed it.
pub(super) async fn activate(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    Form(meant): Form<Meant>,
) -> Response {
    let l = reader.language;
    match reader.overseer() {
        Err(refused) => return *refused,
        Ok(staff) if !staff.operates => return layout::not_yours(&reader),
        Ok(_) => {}
    }
    match waiting(move || pages.parts.behind.activate(&meant.digest)).await {
        Some(Ok(())) => Redirect::to("/rulebook?done=activated").into_response(),
        Some(Err(why)) => {
            let why = format!("{} {why}", l.t("candidate-refused"));
            layout::refusal(&reader, StatusCode::CONFLICT, "candidate-title", &why)
        }
        None => layout::unavailable(&reader),
    }
}
