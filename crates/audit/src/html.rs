//! The report on a period as one page of HTML: no script, nothing fetched, readable on paper.

mod approvals;

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    history::words::instant,
    incident::{Incident, State},
    summary::{PeriodReport, Volume},
};

const STYLE: &str = include_str!("html/style.css");

/// The whole page.
#[must_use]
pub fn report_page(report: &PeriodReport) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    let title = escape(&format!("Crossings {} to {}", report.from, report.to));
    add(
        &mut page,
        format_args!("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"),
    );
    add(
        &mut page,
        format_args!("<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"),
    );
    page.push_str(&report_main(report));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// What stands within `main`; its styles are those of the page that it is put in.
pub(crate) fn report_main(report: &PeriodReport) -> String {
    let mut page = String::new();
    add(&mut page, format_args!("<header>\n<p class=\"kind\">Auditor’s report</p>\n"));
    add(
        &mut page,
        format_args!("<h1>{} <span>to</span> {}</h1>\n", escape(&report.from), escape(&report.to)),
    );
    add(
        &mut page,
        format_args!(
            "<p>Site <code>{}</code>. Days are UTC. The record is known up to {}.</p>\n</header>\n",
            escape(&report.site),
            escape(&report.newest)
        ),
    );
    page.push_str(&figures(report));
    page.push_str(&findings(report));
    let crossings = &report.crossings;
    page.push_str(&table("Crossings by country", "Where the data went.", "Country", &crossings.by_country));
    let both = "A crossing with several counts for each of them.";
    page.push_str(&table("Crossings by class", both, "Class", &crossings.by_class));
    page.push_str(&table("Crossings by treatment", both, "Treatment", &crossings.by_treatment));
    page.push_str(&table(
        "Crossings by purpose",
        "As the request declared and policy allowed it.",
        "Purpose",
        &crossings.by_purpose,
    ));
    page.push_str(&refusals(&report.refusals));
    page.push_str(&approvals::approvals(&report.approvals));
    page.push_str(&incidents(report.incidents.as_deref()));
    page.push_str(&list("Border overrides", "", &report.overrides));
    page.push_str(&list(
        "Suspensions",
        "No crossing to such a country, from the order to its lifting.",
        &report.suspensions,
    ));
    page.push_str(&list(
        "Demands of authorities outside the region",
        "A demand is a record of its own and grants nothing.",
        &report.demands,
    ));
    page.push_str(&moved(report));
    page.push_str(&coverage(report));
    page
}

pub(crate) fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = page.write_fmt(text);
}

/// Everything that is not of this file goes through here.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.extend(c.escape_debug()),
            c => safe.push(c),
        }
    }
    safe
}

/// A number with thin spaces between groups of three digits.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn figures(report: &PeriodReport) -> String {
    let refused = report.refusals.values().sum();
    let open =
        report.incidents.as_deref().map(|list| list.iter().filter(|one| one.state != State::Closed).count());
    let open = open.map_or_else(|| "–".to_owned(), |count| number(count as u64));
    let figures = [
        (number(report.crossings.total.crossings), "crossings"),
        (number(report.crossings.total.rows), "records"),
        (number(refused), "refusals"),
        (number(report.key_releases), "key releases"),
        (number(report.overrides.len() as u64), "overrides"),
        (open, "open incidents"),
    ];
    let cells = figures.map(|(value, name)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n"));
    format!("<dl class=\"figures\">\n{}</dl>\n", cells.concat())
}

fn findings(report: &PeriodReport) -> String {
    let coverage = &report.coverage;
    let (class, text) = match coverage.findings {
        None => ("unknown", "Nothing was verified for this report.".to_owned()),
        Some(0) => (
            "good",
            format!(
                "{} entries were verified, and everything checked holds.",
                number(coverage.entries_verified)
            ),
        ),
        Some(count) => ("bad", format!("{} findings: something does not hold.", number(count))),
    };
    let lines: String = coverage
        .findings_listed
        .iter()
        .map(|line| format!("<li><code>{}</code></li>\n", escape(line)))
        .collect();
    let list = if lines.is_empty() { lines } else { format!("<ul>\n{lines}</ul>\n") };
    format!("<section class=\"verdict {class}\">\n<p>{text}</p>\n{list}</section>\n")
}

/// A bar in the colour of the text, as long as its share of the greatest.
pub(crate) fn bar(value: u64, greatest: u64) -> String {
    let width = if greatest == 0 { 0.0 } else { 120.0 * value as f64 / greatest as f64 };
    let width = if value > 0 { width.max(1.0) } else { width };
    format!(
        "<svg class=\"bar\" width=\"120\" height=\"10\" viewBox=\"0 0 120 10\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"120\" height=\"10\" rx=\"2\"/><rect width=\"{width:.1}\" height=\"10\" rx=\"2\"/></svg>"
    )
}

fn section(title: &str, intro: &str, body: &str) -> String {
    let intro = if intro.is_empty() { String::new() } else { format!("<p class=\"intro\">{intro}</p>\n") };
    format!("<section>\n<h2>{title}</h2>\n{intro}{body}</section>\n")
}

/// A table with a caption for those who do not see the heading above it. A narrow page scrolls it, not itself.
pub(crate) fn grid(caption: &str, head: &str, rows: &str) -> String {
    let caption = escape(caption);
    format!(
        "<div class=\"wide\" role=\"group\" aria-label=\"{caption}\" tabindex=\"0\">\n<table>\n<caption class=\"unseen\">{caption}\
         </caption>\n<thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

fn table(title: &str, intro: &str, head: &str, rows: &BTreeMap<String, Volume>) -> String {
    if rows.is_empty() {
        return section(title, "", "<p class=\"none\">None in this period.</p>\n");
    }
    let greatest = rows.values().map(|volume| volume.crossings).max().unwrap_or(0);
    let mut sorted: Vec<_> = rows.iter().collect();
    sorted.sort_by_key(|(name, volume)| (std::cmp::Reverse(volume.crossings), *name));
    let lines = sorted.into_iter().map(|(name, volume)| {
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"bars\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            escape(name),
            bar(volume.crossings, greatest),
            number(volume.crossings),
            number(volume.rows),
            number(volume.bytes)
        )
    });
    let head = format!(
        "<tr><th scope=\"col\">{head}</th><td class=\"bars\"></td><th scope=\"col\">Crossings</th>\
         <th scope=\"col\">Records</th><th scope=\"col\">Bytes</th></tr>"
    );
    section(title, intro, &grid(title, &head, &lines.collect::<String>()))
}

fn refusals(rows: &BTreeMap<String, u64>) -> String {
    if rows.is_empty() {
        return section("Refusals by reason", "", "<p class=\"none\">None in this period.</p>\n");
    }
    let greatest = rows.values().copied().max().unwrap_or(0);
    let mut sorted: Vec<_> = rows.iter().collect();
    sorted.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let lines = sorted.into_iter().map(|(name, count)| {
        let bar = bar(*count, greatest);
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"bars\">{bar}</td><td>{}</td></tr>\n",
            escape(name),
            number(*count)
        )
    });
    let title = "Refusals by reason";
    let head =
        "<tr><th scope=\"col\">Reason</th><td class=\"bars\"></td><th scope=\"col\">Refusals</th></tr>";
    let body = grid(title, head, &lines.collect::<String>());
    section(title, "Nothing left; each is on the record all the same.", &body)
}

fn incidents(list: Option<&[Incident]>) -> String {
    let list = match list {
        None => return section("Incidents", "", "<p class=\"none\">Not part of this report.</p>\n"),
        Some([]) => return section("Incidents", "", "<p class=\"none\">None in this period.</p>\n"),
        Some(list) => list,
    };
    let lines = list.iter().map(|incident| {
        let state = match (&incident.damaged, incident.state) {
            (Some(_), _) => "damaged",
            (None, State::Open) => "open",
            (None, State::Escalated) => "escalated",
            (None, State::Closed) => "closed",
        };
        format!(
            "<tr><th scope=\"row\"><code>{}</code></th><td class=\"text\">{}</td><td class=\"text\"><span class=\"state {state}\">{state}</span></td>\
             <td class=\"text\">{}</td><td class=\"text\">{}</td><td class=\"text\">{}</td></tr>\n",
            escape(&incident.id),
            escape(&instant(incident.opened().wall)),
            escape(&incident.opening.rule),
            escape(&incident.opening.cause),
            escape(&incident.opening.text)
        )
    });
    let head = "<tr><th scope=\"col\">Incident</th><th scope=\"col\">Opened</th><th scope=\"col\">State</th>\
         <th scope=\"col\">Rule</th><th scope=\"col\">Cause</th><th scope=\"col\">What</th></tr>";
    let body = grid("Incidents", head, &lines.collect::<String>());
    section("Incidents", "Opened in this period, or not closed when it began.", &body)
}

fn list(title: &str, about: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return section(title, about, "<p class=\"none\">None in this period.</p>\n");
    }
    let lines: String = lines.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
    section(title, about, &format!("<ul>\n{lines}</ul>\n"))
}

fn moved(report: &PeriodReport) -> String {
    let by_country = report.moved.iter().map(|(country, stages)| {
        let stages: Vec<String> = stages.iter().map(|(stage, rows)| format!("{rows} rows {stage}")).collect();
        format!("From {country}: {}", stages.join(", "))
    });
    let lines: Vec<String> = by_country.chain(report.migrations.iter().cloned()).collect();
    let about = "Sets of records on their way into the region. Nothing is destroyed at its source without the auditor’s mark.";
    list("Migrations", about, &lines)
}

fn coverage(report: &PeriodReport) -> String {
    let found = &report.coverage;
    let rows = [
        ("Entries held and leading to signed roots", "whole record", found.entries_held),
        ("Entries of this period", "period", found.entries_in_period),
        ("Entries verified", "whole record", found.entries_verified),
        ("Decisions made again", "whole record", found.decisions_again),
        ("Day maps built again", "whole record", found.maps_rebuilt),
        ("Samples opened", "period", found.samples_opened),
        ("Rounds of the site log", "period", found.rounds),
        ("Gaps of more than 10 s in the site log", "period", found.gaps),
        ("Seconds in those gaps", "period", found.gap_seconds),
    ];
    let lines = rows.map(|(name, of, value)| {
        format!(
            "<tr><th scope=\"row\">{name}</th><td class=\"text\">{of}</td><td>{}</td></tr>\n",
            number(value)
        )
    });
    let not: String = report.not_checked.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
    let head = "<tr><th scope=\"col\">Check</th><th scope=\"col\">Of</th><th scope=\"col\">Number</th></tr>";
    let body = format!(
        "{}<h3>What was not checked</h3>\n<ul class=\"not\">\n{not}</ul>\n",
        grid("What was really checked", head, &lines.concat())
    );
    section(
        "What was really checked",
        "Counted by the auditor’s own program, never reported by the site.",
        &body,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_elsewhere_is_escaped() {
        assert_eq!(
            escape("<script a='b' c=\"d\">&\u{1b}"),
            "&lt;script a=&#39;b&#39; c=&quot;d&quot;&gt;&amp;\\u{1b}"
        );
    }

    #[test]
    fn numbers_are_grouped() {
        for (value, text) in
            [(0, "0"), (999, "999"), (1000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")]
        {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_bar_is_never_longer_than_its_track_and_never_nothing_for_something() {
        assert!(bar(10, 10).contains("width=\"120.0\""));
        assert!(bar(1, u64::MAX).contains("width=\"1.0\""));
        assert!(bar(0, 0).contains("width=\"0.0\""));
    }
}
