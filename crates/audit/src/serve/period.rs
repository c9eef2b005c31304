//! The report on a period. It reads every entry, so it is made in the background, one at a time, and kept for a while.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    task::spawn_blocking,
    time::timeout,
};

use super::{
    App, Source, View,
    chart::date,
    check::{Verified, chain},
    layout::{Menu, ago, head, none, notice, page, prose},
    query::Query,
    reply::{Page, Refused},
    words::{EN, fill},
};
use crate::{
    daymap::DAY_SECONDS,
    html::{escape, report_main},
    summary::{PeriodOptions, PeriodReport, complete_period, read_period},
};

/// Reports that are kept.
const KEPT_MAX: usize = 8;
/// Reports that may wait to be made.
const WAITING_MAX: usize = 4;
/// How long an asker waits for one.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Days of the period that the form suggests.
const SUGGESTED: u64 = 30;

/// A report, or why there is none.
pub(super) type Made = Result<Arc<PeriodReport>, String>;

/// First day, last day, and the end of the check that it leans on.
type Key = (u64, u64, u64);

/// The reports that were asked for.
pub(super) struct Reports {
    kept: Mutex<VecDeque<(Key, watch::Receiver<Option<Made>>)>>,
    turn: Arc<Semaphore>,
}

/// How far a report is.
pub(super) enum Progress {
    /// No check has ended yet.
    Unchecked,
    /// It is being made.
    Coming,
    Made(Made),
}

impl Default for Reports {
    fn default() -> Self {
        Self { kept: Mutex::default(), turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Reports {
    /// The report on these days, if it is made in time.
    pub(super) async fn ask(&self, app: &Arc<App>, from: u64, to: u64) -> Result<Progress, Refused> {
        let Some(verified) = app.board.known().verified else { return Ok(Progress::Unchecked) };
        let mut coming = self.begin(app, (from, to, verified.ended), verified)?;
        let made = timeout(PATIENCE, coming.wait_for(Option::is_some)).await;
        Ok(match made {
            Ok(Ok(made)) => made.clone().map_or(Progress::Coming, Progress::Made),
            // Whoever made it is gone.
            Ok(Err(_)) => return Err(Refused::Failed),
            Err(_) => Progress::Coming,
        })
    }

    fn begin(
        &self,
        app: &Arc<App>,
        key: Key,
        verified: Arc<Verified>,
    ) -> Result<watch::Receiver<Option<Made>>, Refused> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, coming)) = kept.iter().find(|(other, _)| *other == key) {
            return Ok(coming.clone());
        }
        // What nobody makes any more is no use to anybody.
        kept.retain(|(_, coming)| coming.borrow().is_some() || coming.has_changed().is_ok());
        if kept.iter().filter(|(_, coming)| coming.borrow().is_none()).count() >= WAITING_MAX {
            return Err(Refused::Busy);
        }
        if kept.len() >= KEPT_MAX
            && let Some(oldest) = kept.iter().position(|(_, coming)| coming.borrow().is_some())
        {
            kept.remove(oldest);
        }
        let (tell, coming) = watch::channel(None);
        kept.push_back((key, coming.clone()));
        let (app, turn) = (Arc::clone(app), Arc::clone(&self.turn));
        tokio::spawn(async move {
            let Ok(turn) = turn.acquire_owned().await else { return };
            let made = spawn_blocking(move || make(&app.source, key, &verified)).await;
            drop(turn);
            if let Ok(made) = made {
                tell.send_replace(Some(made));
            }
        });
        Ok(coming)
    }
}

fn make(source: &Source, (from, to, _): Key, verified: &Verified) -> Made {
    let options = PeriodOptions {
        mirror: source.mirror.clone(),
        site: source.site.clone(),
        signers: None,
        thorough: source.thorough,
        from,
        to,
        watch: source.watch.clone(),
    };
    let report = read_period(&options).map_err(|error| chain(&error))?;
    Ok(Arc::new(complete_period(report, &options, Some(&verified.report))))
}

/// The page: a form, and below it the report if days were named.
pub(super) fn report(view: &View<'_>, query: &Query, progress: Option<Progress>) -> Page {
    let wrong = query.period().err();
    let body = match progress {
        None => none(EN.report_about),
        Some(Progress::Unchecked) => {
            let why = view.known.failure.as_ref().map(|(_, why)| format!("<p>{}</p>\n", prose(why)));
            notice("unknown", EN.cover_unknown, &(none(EN.being_checked) + &why.unwrap_or_default()))
        }
        Some(Progress::Coming) => {
            let again = fill(EN.look_again_here, &[]);
            let here = format!(
                "/report?from={}&to={}",
                query.get("from").unwrap_or_default(),
                query.get("to").unwrap_or_default()
            );
            let body =
                format!("<p>{} <a href=\"{}\">{again}</a></p>\n", EN.report_coming_about, escape(&here));
            notice("unknown", EN.report_coming, &body)
        }
        Some(Progress::Made(Err(why))) => {
            notice("bad", EN.report_failed, &format!("<p>{}</p>\n", prose(&why)))
        }
        Some(Progress::Made(Ok(made))) => {
            let json = format!("/report.json?from={}&to={}", escape(&made.from), escape(&made.to));
            let checked =
                view.known.verified.as_ref().map(|found| ago(found.began, view.live.now)).unwrap_or_default();
            let main = report_main(&made);
            let main = format!(
                "<p class=\"checked\">{} {checked}. <a class=\"unprinted\" href=\"{json}\">{}</a></p>\n\
                 <article class=\"report\">\n{main}</article>\n",
                EN.report_checked, EN.report_json
            );
            let body = form(view, query, wrong, true) + &main;
            return Page::html(page(view.site(), Menu::Report, EN.report, &body));
        }
    };
    let main = head(EN.report, "") + &form(view, query, wrong, false) + &body;
    let made = Page::html(page(view.site(), Menu::Report, EN.report, &main));
    if wrong.is_some() { made.with(http::StatusCode::BAD_REQUEST) } else { made }
}

fn form(view: &View<'_>, query: &Query, wrong: Option<&str>, small: bool) -> String {
    let today = view.live.now / DAY_SECONDS;
    let suggested = [today.saturating_sub(SUGGESTED - 1), today].map(date);
    let [first, last] = suggested.each_ref().map(String::as_str);
    let (from, to) = (query.get("from").unwrap_or(first), query.get("to").unwrap_or(last));
    let told = |fine: &str| match wrong {
        Some(why) if why != fine => " aria-describedby=\"wrong\" aria-invalid=\"true\"",
        _ => "",
    };
    let error = wrong.map(|why| format!("<p class=\"wrong\" id=\"wrong\" role=\"alert\">{why}</p>\n"));
    let class = if small { "period small" } else { "period" };
    format!(
        "<form class=\"{class}\" action=\"/report\" method=\"get\" aria-label=\"{}\">\n{}\
         <div><label for=\"from\">{}</label><input type=\"date\" id=\"from\" name=\"from\" value=\"{}\" required{}></div>\n\
         <div><label for=\"to\">{}</label><input type=\"date\" id=\"to\" name=\"to\" value=\"{}\" required{}></div>\n\
         <button type=\"submit\">{}</button>\n</form>\n",
        EN.period,
        error.unwrap_or_default(),
        EN.from,
        escape(from),
        told(EN.bad_to),
        EN.to,
        escape(to),
        told(EN.bad_from),
        EN.show
    )
}

/// The report as JSON.
pub(super) fn report_json(progress: Progress) -> Page {
    match progress {
        Progress::Made(Ok(report)) => Page::json(&*report),
        Progress::Made(Err(why)) => {
            let value = serde_json::json!({ "error": EN.report_failed, "about": why });
            Page::json(&value).with(http::StatusCode::INTERNAL_SERVER_ERROR)
        }
        Progress::Coming => Page::json(&serde_json::json!({ "state": "coming", "about": EN.report_coming }))
            .with(http::StatusCode::ACCEPTED),
        Progress::Unchecked => {
            Page::json(&serde_json::json!({ "state": "unchecked", "about": EN.being_checked }))
                .with(http::StatusCode::ACCEPTED)
        }
    }
}
