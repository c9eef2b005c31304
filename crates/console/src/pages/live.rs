//! Crossings as they happen, as server-sent events: rows of a table, and each second how the border stands.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream;
use maud::{Markup, html};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::feed::Line;
use super::reader::Reader;
use super::words::Language;
use super::{Pages, overview};

/// How often rows are told.
const BEAT: Duration = Duration::from_millis(250);
/// Beats between two looks at the border.
const STATE: u32 = 4;
/// Most rows of one beat that are told one by one; of more the newest are, and the rest is counted.
const ROWS_MAX: usize = 40;

/// A session that pages go on for: it has not ended, and its time is not over.
pub(super) fn still(pages: &Pages, reader: &Reader) -> bool {
    pages.now() < reader.not_after && reader.sign_in.is_none_or(|s| !pages.parts.tokens.is_ended(s))
}

struct Watching {
    pages: Arc<Pages>,
    reader: Reader,
    /// Each with the number of the entry that comes next.
    feeds: Vec<(Receiver<Arc<Vec<Line>>>, u64)>,
    beat: tokio::time::Interval,
    beats: u32,
    ready: VecDeque<Event>,
    over: bool,
}

/// `GET /overview/live`.
pub(super) async fn stream(State(pages): State<Arc<Pages>>, reader: Reader) -> Response {
    if let Err(refused) = reader.overseer() {
        return *refused;
    }
    let feeds = pages.feeds.iter().map(|feed| (feed.watch(), feed.counted())).collect();
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let watching = Watching { pages, reader, feeds, beat, beats: 0, ready: VecDeque::new(), over: false };
    let events = stream::unfold(watching, |mut w| async move {
        loop {
            if let Some(event) = w.ready.pop_front() {
                return Some((Ok::<_, Infallible>(event), w));
            }
            if w.over {
                return None;
            }
            w.beat.tick().await;
            w.look().await;
        }
    });
    super::events(events)
}

impl Watching {
    async fn look(&mut self) {
        if !still(&self.pages, &self.reader) {
            self.over = true;
            self.ready.push_back(Event::default().event("end").data("over"));
            return;
        }
        let (batches, all) = self.gather();
        let lines: Vec<&Line> = batches.iter().flat_map(|batch| batch.iter()).collect();
        let l = self.reader.language;
        if all > 0 {
            let shown = lines.len().min(ROWS_MAX);
            let newest = lines.iter().rev().take(shown).map(|line| row(l, line).into_string());
            let data = serde_json::json!({ "all": all, "rows": newest.collect::<Vec<_>>() });
            self.ready.push_back(Event::default().event("crossings").data(data.to_string()));
        }
        if self.beats.is_multiple_of(STATE) && !self.sees_it_still().await {
            self.over = true;
            self.ready.push_back(Event::default().event("end").data("over"));
            return;
        }
        if self.beats.is_multiple_of(STATE)
            && let Some(status) = self.pages.status().await
        {
            let state = overview::state(l, &self.pages, &status).into_string();
            self.ready.push_back(Event::default().event("state").data(serde_json::json!(state).to_string()));
        }
        self.beats = self.beats.wrapping_add(1);
    }

    /// Whether the reader is still on record as somebody who sees this.
    async fn sees_it_still(&self) -> bool {
        let (pages, session) = (Arc::clone(&self.pages), self.reader.session.clone());
        let seen = super::waiting(move || {
            pages.staff(&session?, String::new()).filter(|staff| staff.oversees).map(drop)
        });
        seen.await.flatten().is_some()
    }

    /// What came since, oldest first, and how many entries that is, also of those that were not told.
    fn gather(&mut self) -> (Vec<Arc<Vec<Line>>>, u64) {
        let (mut batches, mut all) = (Vec::new(), 0);
        for (feed, next) in &mut self.feeds {
            loop {
                match feed.try_recv() {
                    Ok(batch) => {
                        if let Some(newest) = batch.last().map(|line| line.index + 1) {
                            all += newest.saturating_sub(*next);
                            *next = newest.max(*next);
                        }
                        batches.push(batch);
                    }
                    // What a slow watcher missed is in the number of what comes next.
                    Err(TryRecvError::Lagged(_)) => {}
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
        }
        (batches, all)
    }
}

/// One entry as a row.
pub(super) fn row(l: Language, line: &Line) -> Markup {
    html! {
        tr class=[line.refused.then_some("refused")] {
            th scope="row" { a href=(format!("/ledger/{}/{}", line.gateway, line.index)) { (line.index) } }
            td { time datetime=(line.time) { (line.time.get(11..19).unwrap_or_default()) } }
            td { (kind(l, line)) }
            td { (words(l, "class", &line.classes)) }
            td { (words(l, "treatment", &line.treatments)) }
            td { (l.word("purpose", line.purpose)) }
            td { (way(l, line)) }
            td.n { (line.rows) }
        }
    }
}

/// What an entry records; a refusal with its reason.
pub(super) fn kind(l: Language, line: &Line) -> Markup {
    html! {
        @if line.refused { span.badge.refused { (l.word("kind", line.kind)) } " " span.quiet { (l.word("reason", line.reason)) } }
        @else { span.badge { (l.word("kind", line.kind)) } }
    }
}

/// Several words of a vocabulary; a dash for none.
pub(super) fn words(l: Language, of: &str, all: &[&str]) -> String {
    if all.is_empty() {
        "–".to_owned()
    } else {
        all.iter().map(|w| l.word(of, w)).collect::<Vec<_>>().join(", ")
    }
}

/// From where to where.
pub(super) fn way(l: Language, line: &Line) -> Markup {
    let name = |code: &str| if code == "ZZ" { l.t("place-unknown").to_owned() } else { l.country(code) };
    html! {
        @if line.from == line.to || line.inward { (name(&line.from)) }
        @else { (name(&line.from)) " " span aria-hidden="true" { "→" } span.hidden { (l.t("way-to")) } " " (name(&line.to)) }
    }
}
