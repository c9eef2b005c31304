//! Incidents and their clocks.

use super::{
    View,
    layout::{LINES, Menu, head, name, none, notice, page, part, prose, section, table, time},
    live::Seen,
    query::Query,
    reply::{Page, Refused},
    words::{EN, fill, number, plain, span},
};
use crate::{
    html::escape,
    incident::{ActionKind, ActionLine, Clock, Incident, Severity, State},
};

/// What is left of an incident's time, in words.
fn left(found: &Incident, now: Clock) -> String {
    if found.state == State::Closed {
        return EN.clock_closed.to_owned();
    }
    if found.actions.is_empty() {
        return "–".to_owned();
    }
    match found.left(now) {
        Some(left) => plain(EN.clock_left, &[&span(left)]),
        None => {
            let run = now.max(found.clock()).since(found.opened());
            plain(EN.clock_over, &[&span(run.saturating_sub(found.opening.clock_seconds))])
        }
    }
}

fn state(found: &Incident) -> String {
    let (class, word) = match (&found.damaged, found.state) {
        (Some(_), _) => ("bad", EN.state_damaged),
        (None, State::Open) => ("warn", EN.state_open),
        (None, State::Escalated) => ("bad", EN.state_escalated),
        (None, State::Closed) => ("good", EN.state_closed),
    };
    format!("<span class=\"tag {class}\">{word}</span>")
}

/// How bad it is, in a word.
pub(super) fn severity(of: Severity) -> String {
    let (class, word) = match of {
        Severity::Notice => ("", EN.severity_notice),
        Severity::Serious => ("warn", EN.severity_serious),
        Severity::Grave => ("bad", EN.severity_grave),
    };
    format!("<span class=\"tag {class}\">{word}</span>")
}

/// A link to an incident; its id is checked where the page is asked for.
pub(super) fn link(id: &str) -> String {
    let plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let shown = escape(id);
    let class = if id.len() <= 20 { " class=\"code\"" } else { "" };
    if plain { format!("<a href=\"/incidents/{shown}\"><code{class}>{shown}</code></a>") } else { shown }
}

/// Incidents as a table.
pub(super) fn rows(caption: &str, list: &[&Incident], now: Clock) -> String {
    let row = |found: &&Incident| {
        let opening = &found.opening;
        let overdue = found.state != State::Closed && found.left(now).is_none() && !found.actions.is_empty();
        let clock = escape(&left(found, now));
        let clock = if overdue {
            format!("<strong class=\"late\">{clock}</strong>")
        } else {
            format!("<span class=\"left\">{clock}</span>")
        };
        vec![
            link(&found.id),
            state(found),
            clock,
            severity(opening.severity),
            name(&opening.rule),
            prose(&opening.text),
        ]
    };
    let columns = [
        (EN.incident, true),
        (EN.state, true),
        (EN.clock, true),
        (EN.severity, true),
        (EN.code, true),
        (EN.what, true),
    ];
    table(caption, &columns, &list.iter().map(row).collect::<Vec<_>>())
}

pub(super) fn incidents(view: &View<'_>, query: &Query) -> Result<Page, Refused> {
    let wanted = query.page()?;
    let mut main = head(EN.incidents, EN.incidents_about);
    match &view.live.incidents {
        Seen::NotAsked => {
            main.push_str(&notice("unknown", EN.incidents_not_asked, &none(EN.watch_how)));
        }
        Seen::Failed(why) => {
            let body = format!("<p>{}</p>\n", prose(why));
            main.push_str(&notice("bad", EN.incidents_unreadable, &body));
        }
        Seen::List(list) => {
            let part = part(list.len(), LINES, wanted, "/incidents?page=").ok_or(Refused::NoPage)?;
            let open = view.live.open_incidents().unwrap_or_default().len() as u64;
            if list.is_empty() {
                main.push_str(&notice("good", EN.incidents_none, ""));
            } else {
                let said = fill(EN.incidents_count, &[&number(list.len() as u64), &number(open)]);
                main.push_str(&format!("<p>{said}</p>\n"));
                let mut all: Vec<_> = list.iter().collect();
                // What waits comes first, and of that what has the least time left.
                all.sort_by_key(|found| {
                    let closed = found.state == State::Closed && found.damaged.is_none();
                    (closed, found.left(view.live.clock).unwrap_or(0), std::cmp::Reverse(found.opened().wall))
                });
                let shown: Vec<_> = all.into_iter().take(part.end).skip(part.first).collect();
                main.push_str(&rows(EN.incidents, &shown, view.live.clock));
                main.push_str(&part.links);
            }
        }
    }
    Ok(Page::html(page(view.site(), Menu::Incidents, EN.incidents, &main)))
}

pub(super) fn incident(view: &View<'_>, id: &str, query: &Query) -> Result<Page, Refused> {
    let wanted = query.page()?;
    let found = match &view.live.incidents {
        Seen::List(list) => list.iter().find(|found| found.id == id).ok_or(Refused::NoIncident)?,
        _ => return Err(Refused::NoIncident),
    };
    let opening = &found.opening;
    let title = plain(EN.incident_title, &[id]);
    let back = format!("<a href=\"/incidents\">{}</a>", EN.incidents_back);
    let mut main = head(&title, &back);
    if let Some(why) = &found.damaged {
        main.push_str(&notice("bad", EN.damaged, &format!("<p>{}</p>\n", prose(why))));
    }
    main.push_str(&format!("<p class=\"statement\">{}</p>\n", prose(&opening.text)));
    let deadline = found.opened().wall.saturating_add(opening.clock_seconds);
    let rows = [
        (EN.state, state(found)),
        (EN.clock, escape(&left(found, view.live.clock))),
        (EN.opened, time(found.opened().wall)),
        (
            EN.deadline,
            format!("{} ({})", time(deadline), escape(&plain(EN.after, &[&span(opening.clock_seconds)]))),
        ),
        (EN.severity, severity(opening.severity)),
        (EN.rule, format!("<code>{}</code> {}", escape(&opening.rule), escape(meaning(&opening.rule)))),
        (EN.cause, name(&opening.cause)),
        (EN.about, if opening.about.is_empty() { "–".to_owned() } else { escape(&opening.about) }),
    ];
    let rows = rows.map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n"));
    main.push_str(&format!("<dl class=\"facts\">\n{}</dl>\n", rows.concat()));
    main.push_str(&entries(found));
    main.push_str(&history(found, id, wanted)?);
    Ok(Page::html(page(view.site(), Menu::Incidents, &title, &main)))
}

fn meaning(rule: &str) -> &'static str {
    crate::watch::WatchRule::parse(rule).map_or("", crate::watch::WatchRule::meaning)
}

fn entries(found: &Incident) -> String {
    if found.opening.references.is_empty() {
        return String::new();
    }
    // There are at most 256 of them.
    let row = |entry: &crate::incident::Reference| vec![name(&entry.origin), number(entry.index)];
    let rows: Vec<_> = found.opening.references.iter().map(row).collect();
    let body = table(EN.entries_shown, &[(EN.log, true), (EN.entry, false)], &rows);
    section("entries", EN.entries_shown, "", &body)
}

fn history(found: &Incident, id: &str, wanted: usize) -> Result<String, Refused> {
    let path = format!("/incidents/{id}?page=");
    let part = part(found.actions.len(), LINES, wanted, &path).ok_or(Refused::NoPage)?;
    let row = |line: &ActionLine| {
        let word = match line.action {
            ActionKind::Open => EN.act_open,
            ActionKind::Escalate => EN.act_escalate,
            ActionKind::Close => EN.act_close,
            ActionKind::Reopen => EN.act_reopen,
        };
        let by = if line.by_clock { EN.by_clock } else { "" };
        vec![
            time(line.clock.wall),
            word.to_owned(),
            format!("{} {by}", fill(EN.party_of, &[&line.party, &line.company])),
            prose(&line.text),
        ]
    };
    let rows: Vec<_> = found.actions.iter().take(part.end).skip(part.first).map(row).collect();
    let columns = [(EN.when, true), (EN.act, true), (EN.by, true), (EN.why, true)];
    let body = if rows.is_empty() { none(EN.history_none) } else { table(EN.history, &columns, &rows) };
    Ok(section("history", EN.history, EN.history_about, &(body + &part.links)))
}
