//! Asking for access. The form says at once what would come of it: which procedure decides, who, and how soon; or the
//! rule that is against it.

use std::sync::Arc;

use access::{NotAllowed, Wanted};
use axum::Form;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::StatusCode;
use maud::{Markup, html};
use model::catalogue::Catalogue;
use model::procedures::{Amount, Procedures};
use model::rulebook::Rulebook;
use model::{CaseKind, Ground, Name, Purpose};
use serde::Deserialize;

use super::{grounds, refused};
use crate::pages::layout::{self, Page};
use crate::pages::overview::span;
use crate::pages::reader::{Reader, Staff};
use crate::pages::words::Language;
use crate::pages::{Pages, waiting};

/// What a form holds, as it was typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::pages) struct Asked {
    ground: String,
    purpose: String,
    case: String,
    kind: String,
    incident: String,
    dataset: String,
    fields: String,
    subject: String,
    hours: String,
    rows: String,
}

/// A rule against a request, in the reader's words.
pub(super) fn rule(l: Language, rule: NotAllowed) -> String {
    let key = match rule {
        NotAllowed::Procedure => "rule-procedure",
        NotAllowed::Kind => "rule-kind",
        NotAllowed::Weak => "rule-weak",
        NotAllowed::Shape => "rule-shape",
        NotAllowed::Time => "rule-time",
        NotAllowed::Amount => "rule-amount",
        NotAllowed::Over => "rule-over",
        NotAllowed::NotInSet => "rule-not-in-set",
        NotAllowed::Own => "rule-own",
        NotAllowed::Twice => "rule-twice",
        NotAllowed::Outside => "rule-outside",
        NotAllowed::Deputy => "rule-deputy",
        NotAllowed::NotYours => "rule-not-yours",
        NotAllowed::NothingToReview => "rule-nothing-to-review",
        NotAllowed::ProcedureGone => "rule-procedure-gone",
    };
    l.t(key).to_owned()
}

/// Longest that a procedure for this gives, and most of each amount.
fn most(rules: &Procedures, ground: Ground, purpose: Purpose, dataset: &Name) -> Option<(u64, Amount)> {
    rules.for_request(ground, purpose, dataset).map(|p| (p.seconds_max, p.most))
}

impl Asked {
    /// What is wanted, or the message about what cannot be read.
    fn read(&self, pages: &Pages, rules: &Procedures) -> Result<Wanted, &'static str> {
        let optional = |text: &str, why| match text.trim() {
            "" => Ok(None),
            text => Name::parse(text).map(Some).map_err(|_| why),
        };
        let ground = Ground::parse(&self.ground).map_err(|_| "ask-wrong-ground")?;
        let purpose = Purpose::parse(&self.purpose).map_err(|_| "ask-wrong-purpose")?;
        let case = Name::parse(self.case.trim()).map_err(|_| "ask-wrong-case")?;
        let dataset = Name::parse(self.dataset.trim()).map_err(|_| "ask-wrong-dataset")?;
        let subject = match self.subject.trim() {
            "" => None,
            text => Some(pages.parts.behind.handle(text).ok_or("ask-wrong-subject")?),
        };
        let hours: f64 = self.hours.trim().replace(',', ".").parse().map_err(|_| "ask-wrong-hours")?;
        if !(hours.is_finite() && (0.0..=10_000.0).contains(&hours)) {
            return Err("ask-wrong-hours");
        }
        let (longest, of) = most(rules, ground, purpose, &dataset).ok_or("rule-procedure")?;
        let rows = match self.rows.trim() {
            "" => of.rows,
            text => text.parse().map_err(|_| "ask-wrong-rows")?,
        };
        let people = if subject.is_some() { 1 } else { of.subjects };
        // Whole seconds, and not a second more than the procedure gives for its hours.
        let seconds = (hours * 3600.0).round().max(0.0) as u64;
        let kind = match (ground, self.kind.as_str()) {
            (Ground::Case, kind) => Some(CaseKind::parse(kind).map_err(|_| "ask-wrong-kind")?),
            _ => None,
        };
        let incident =
            if ground == Ground::BreakGlass { optional(&self.incident, "ask-wrong-incident")? } else { None };
        Ok(Wanted {
            ground,
            purpose,
            case,
            kind,
            incident,
            dataset,
            fields: optional(&self.fields, "ask-wrong-fields")?,
            subject,
            seconds: seconds.min(longest.saturating_add(1)),
            amount: Amount { rows, bytes: of.bytes, subjects: people },
        })
    }
}

/// `GET /requests/new`.
pub(in crate::pages) async fn form(State(pages): State<Arc<Pages>>, reader: Reader) -> Response {
    if let Err(refused) = reader.staff() {
        return *refused;
    }
    let asked = Asked {
        ground: "case".to_owned(),
        purpose: "support".to_owned(),
        kind: "videoNotShown".to_owned(),
        dataset: "video".to_owned(),
        fields: "video-status".to_owned(),
        hours: "2".to_owned(),
        ..Asked::default()
    };
    shown(&reader, &pages, &asked, None)
}

fn shown(reader: &Reader, pages: &Pages, asked: &Asked, outcome: Option<Markup>) -> Response {
    let l = reader.language;
    let book = pages.parts.behind.rulebook();
    let body = html! {
        p { a href="/requests" { "← " (l.t("requests-title")) } }
        p.lead { (l.t("ask-lead")) }
        form.ask id="ask" method="post" action="/requests/new" data-check="/requests/check" {
            (reader.token())
            (what(l, &book, asked))
            (whose(l, &book.catalogue, asked))
            div id="outcome" role="status" aria-live="polite" { @if let Some(outcome) = outcome { (outcome) } }
            div.row {
                button { (l.t("ask-send")) }
                button.quiet formaction="/requests/check" name="whole" value="1" { (l.t("ask-check")) }
            }
        }
    };
    layout::page(reader, Page { title: l.t("ask-title"), scripts: &[], body })
}

fn select(label: &str, name: &str, now: &str, all: &[(String, String)]) -> Markup {
    html! {
        label { span { (label) } select name=(name) {
            @for (value, text) in all { option value=(value) selected[value == now] { (text) } }
        } }
    }
}

fn what(l: Language, book: &Rulebook, asked: &Asked) -> Markup {
    let offered: Vec<Purpose> = Purpose::ALL
        .iter()
        .copied()
        .filter(|p| book.access.procedures.iter().any(|r| r.purposes.contains(p)))
        .collect();
    let grounds: Vec<_> = grounds().map(|g| (g.word().to_owned(), l.word("ground", g.word()))).into();
    let purposes: Vec<_> =
        offered.iter().map(|p| (p.word().to_owned(), l.word("purpose", p.word()))).collect();
    let mut kinds = vec![(String::new(), "–".to_owned())];
    kinds.extend(CaseKind::ALL.iter().map(|k| (k.word().to_owned(), l.word("case", k.word()))));
    html! {
        fieldset {
            legend { (l.t("ask-why")) }
            (select(l.t("ask-ground"), "ground", &asked.ground, &grounds))
            (select(l.t("col-purpose"), "purpose", &asked.purpose, &purposes))
            label { span { (l.t("ask-case")) } input name="case" value=(asked.case) required maxlength="64" autocomplete="off" aria-describedby="case-hint"; small id="case-hint" { (l.t("ask-case-hint")) } }
            (select(l.t("case-kind"), "kind", &asked.kind, &kinds))
            label { span { (l.t("ask-incident")) } input name="incident" value=(asked.incident) maxlength="64" autocomplete="off" aria-describedby="incident-hint"; small id="incident-hint" { (l.t("ask-incident-hint")) } }
        }
    }
}

fn whose(l: Language, catalogue: &Catalogue, asked: &Asked) -> Markup {
    let datasets: Vec<_> =
        catalogue.datasets().iter().map(|d| (d.name.to_string(), d.name.to_string())).collect();
    let mut lists: Vec<String> =
        catalogue.fields().iter().flat_map(|f| &f.lists).map(Name::to_string).collect();
    lists.sort();
    lists.dedup();
    let mut fields = vec![(String::new(), l.t("ask-fields-all").to_owned())];
    fields.extend(lists.into_iter().map(|name| (name.clone(), name)));
    html! {
        fieldset {
            legend { (l.t("ask-what")) }
            (select(l.t("dataset"), "dataset", &asked.dataset, &datasets))
            (select(l.t("ask-fields"), "fields", &asked.fields, &fields))
            label { span { (l.t("subject")) } input name="subject" value=(asked.subject) maxlength="200" autocomplete="off" aria-describedby="subject-hint"; small id="subject-hint" { (l.t("ask-subject-hint")) } }
            label { span { (l.t("ask-hours")) } input name="hours" value=(asked.hours) required inputmode="decimal" autocomplete="off"; }
            label { span { (l.t("ask-rows")) } input name="rows" value=(asked.rows) inputmode="numeric" autocomplete="off" aria-describedby="rows-hint"; small id="rows-hint" { (l.t("ask-rows-hint")) } }
        }
    }
}

/// What would come of a request.
fn outcome(reader: &Reader, staff: &Staff, pages: &Pages, asked: &Asked) -> Markup {
    let l = reader.language;
    let rules = (pages.parts.office.rules)();
    let against = |why: String| {
        html! { div.outcome.no { p { span.sign aria-hidden="true" { "✕" } " " strong { (l.t("ask-no")) } } p { (why) } } }
    };
    let wanted = match asked.read(pages, &rules.procedures) {
        Ok(wanted) => wanted,
        Err(key) => return against(l.t(key).to_owned()),
    };
    if let Some(incident) = &wanted.incident
        && !pages.parts.office.control.incident_open(incident)
    {
        return against(l.t("refused-incident").to_owned());
    }
    let fields = (wanted.dataset.clone(), wanted.fields.clone());
    match pages.parts.office.would(&staff.member, wanted) {
        Err(why) => against(rule(l, why)),
        Ok(request) => {
            let Some(procedure) = rules.procedures.named(&request.procedure) else {
                return against(l.t("rule-procedure").to_owned());
            };
            let book = pages.parts.behind.rulebook();
            html! {
                div.outcome.yes {
                    p { span.sign aria-hidden="true" { "✓" } " " strong { (l.t("ask-yes")) } }
                    ol.steps { @for step in &procedure.steps {
                        @let sets = step.of.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
                        li { (l.fill("step", &[&step.need.to_string(), &sets, &span(l, step.seconds)])) }
                    } }
                    (classes(l, &book, staff, &fields))
                }
            }
        }
    }
}

/// Which classes the fields are of, and what that means where the reader is.
fn classes(l: Language, book: &Rulebook, staff: &Staff, (dataset, list): &(Name, Option<Name>)) -> Markup {
    let prefix = format!("{dataset}.");
    let mut counts = std::collections::BTreeMap::new();
    for field in book.catalogue.fields() {
        let listed = list.as_ref().is_none_or(|list| field.lists.contains(list));
        if listed && field.name.starts_with(&prefix) {
            *counts.entry(field.class).or_insert(0u32) += 1;
        }
    }
    let place = staff.member.place();
    let inside = book.programme.in_region(place);
    let told =
        counts.iter().map(|(class, n)| format!("{n} {}", l.word("class", class.word()))).collect::<Vec<_>>();
    html! {
        p { (l.fill("ask-classes", &[&told.join(", ")])) " "
            @if inside { (l.fill("ask-inside", &[&l.country(place.as_str())])) }
            @else if place == model::Country::UNKNOWN { (l.t("ask-nowhere")) }
            @else { (l.fill("ask-outside", &[&l.country(place.as_str())])) } }
        p.quiet { (l.t("ask-policy")) }
    }
}

#[derive(Deserialize)]
pub(in crate::pages) struct Checked {
    #[serde(flatten)]
    asked: Asked,
    /// The whole page is wanted and not the outcome alone.
    #[serde(default)]
    whole: String,
}

/// `POST /requests/check`: what would come of it; nothing is asked for.
pub(in crate::pages) async fn check(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    Form(checked): Form<Checked>,
) -> Response {
    let staff = match reader.staff() {
        Ok(staff) => staff,
        Err(refused) => return *refused,
    };
    let outcome = outcome(&reader, staff, &pages, &checked.asked);
    if checked.whole.is_empty() {
        return Html(outcome.into_string()).into_response();
    }
    shown(&reader, &pages, &checked.asked, Some(outcome))
}

/// `POST /requests/new`.
pub(in crate::pages) async fn send(
    State(pages): State<Arc<Pages>>,
    reader: Reader,
    Form(asked): Form<Asked>,
) -> Response {
    let staff = match reader.staff() {
        Ok(staff) => staff,
        Err(refused) => return *refused,
    };
    let rules = (pages.parts.office.rules)();
    let Ok(wanted) = asked.read(&pages, &rules.procedures) else {
        // What was typed stays, with why it cannot be asked for.
        let why = outcome(&reader, staff, &pages, &asked);
        let mut answer = shown(&reader, &pages, &asked, Some(why));
        *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return answer;
    };
    let (office, member) = (Arc::clone(&pages.parts.office), Arc::clone(&staff.member));
    match waiting(move || office.ask(&member, None, wanted)).await {
        Some(Ok(request)) => Redirect::to(&format!("/requests/{}?done=asked", request.id)).into_response(),
        Some(Err(e)) if e.rule().is_some() => {
            let why = outcome(&reader, staff, &pages, &asked);
            let mut answer = shown(&reader, &pages, &asked, Some(why));
            *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            answer
        }
        Some(Err(e)) => refused(&reader, &e),
        None => layout::unavailable(&reader),
    }
}
