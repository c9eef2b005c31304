//! Which entries were opened, and which would be now.

use super::{
    View,
    layout::{LINES, Menu, ago, head, name, none, notice, page, part, section, table, time},
    query::Query,
    reply::{Page, Refused},
    tally::{SAMPLE_COUNT, Sampled, Tally},
    words::{EN, fill, number},
};
use crate::siteleaf::Role;

pub(super) fn samples(view: &View<'_>, query: &Query) -> Result<Page, Refused> {
    let wanted = query.page()?;
    let mut main = head(EN.samples, EN.samples_about);
    match &view.known.tally {
        None => main.push_str(&notice("unknown", EN.cover_unknown, &none(EN.being_read))),
        Some(tally) => {
            main.push_str(&section("gateways", EN.samples_by_log, "", &gateways(tally, view.live.now)));
            main.push_str(&due(tally));
            main.push_str(&recorded(tally, wanted)?);
        }
    }
    Ok(Page::html(page(view.site(), Menu::Samples, EN.samples, &main)))
}

fn gateways(tally: &Tally, now: u64) -> String {
    let gateways = tally.logs.iter().filter(|log| log.enrolled.role == Role::Gateway);
    let rows: Vec<_> = gateways
        .map(|log| {
            let origin = &log.enrolled.origin;
            let (count, newest) = tally.opened.get(origin).copied().unwrap_or_default();
            let last = if count == 0 { EN.never.to_owned() } else { ago(newest, now) };
            vec![name(origin), number(count), last]
        })
        .collect();
    if rows.is_empty() {
        return none(EN.no_gateways);
    }
    table(EN.samples_by_log, &[(EN.log, true), (EN.opened_entries, false), (EN.last_opened, true)], &rows)
}

/// What a request would open under the newest checkpoint of the site log.
fn due(tally: &Tally) -> String {
    let rows: Vec<_> = tally
        .choices
        .iter()
        .map(|choice| {
            vec![name(&choice.origin), number(choice.of), number(choice.size), indices(choice.indices.iter())]
        })
        .collect();
    let intro = fill(EN.due_about, &[&SAMPLE_COUNT.to_string()]);
    let body = if rows.is_empty() {
        none(EN.due_none)
    } else {
        let columns =
            [(EN.log, true), (EN.chosen_from, false), (EN.chosen_by, false), (EN.entries_named, true)];
        table(EN.due, &columns, &rows) + &format!("<p class=\"intro\">{}</p>\n", EN.due_how)
    };
    section("due", EN.due, &intro, &body)
}

fn recorded(tally: &Tally, wanted: usize) -> Result<String, Refused> {
    let part = part(tally.samples.len(), LINES, wanted, "/samples?page=").ok_or(Refused::NoPage)?;
    let row = |sample: &Sampled| {
        vec![
            time(sample.time),
            name(&sample.origin),
            number(sample.place),
            number(sample.size),
            indices(sample.indices.iter()),
        ]
    };
    let rows: Vec<_> = tally.samples.iter().rev().take(part.end).skip(part.first).map(row).collect();
    let columns = [
        (EN.when, true),
        (EN.log, true),
        (EN.site_entry, false),
        (EN.chosen_by, false),
        (EN.entries_named, true),
    ];
    let body = if rows.is_empty() { none(EN.samples_none) } else { table(EN.recorded, &columns, &rows) };
    Ok(section("recorded", EN.recorded, EN.recorded_about, &(body + &part.links)))
}

fn indices<'a>(list: impl Iterator<Item = &'a u64>) -> String {
    let list: Vec<_> = list.map(ToString::to_string).collect();
    format!("<span class=\"indices\">{}</span>", list.join(", "))
}
