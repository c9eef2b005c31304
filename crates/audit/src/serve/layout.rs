//! What all pages have: their frame, lists in pages, tables, and times.

use super::{
    live::Cover,
    words::{EN, fill, number, plain, span},
};
use crate::{
    history::words::instant,
    html::{escape, grid},
};

/// Lines of a list on one page.
pub(super) const LINES: usize = 50;

/// The pages that the menu leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Menu {
    Overview,
    Findings,
    Watch,
    Incidents,
    Samples,
    Compare,
    Report,
    /// A page that the menu does not lead to.
    None,
}

const MENU: [(Menu, &str, &str); 7] = [
    (Menu::Overview, "/", EN.menu_overview),
    (Menu::Findings, "/findings", EN.menu_findings),
    (Menu::Incidents, "/incidents", EN.menu_incidents),
    (Menu::Samples, "/samples", EN.menu_samples),
    (Menu::Compare, "/compare", EN.menu_compare),
    (Menu::Watch, "/watch", EN.menu_watch),
    (Menu::Report, "/report", EN.menu_report),
];

/// A whole page. `main` is HTML already, with the one `h1`.
pub(super) fn page(site: &str, menu: Menu, title: &str, main: &str) -> String {
    let links = MENU.iter().map(|(one, path, name)| {
        let here = if *one == menu { " aria-current=\"page\"" } else { "" };
        format!("<li><a href=\"{path}\"{here}>{name}</a></li>\n")
    });
    format!(
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{} · {}</title>\n\
         <link rel=\"icon\" href=\"/icon.svg\" type=\"image/svg+xml\">\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">{}</a>\n<div class=\"top\">\n<header class=\"brand\"><a href=\"/\">{}</a>\n\
         <span class=\"site\">{} <code>{}</code></span></header>\n<nav aria-label=\"{}\">\n<ul>\n{}</ul>\n</nav>\n</div>\n\
         <main id=\"main\" tabindex=\"-1\">\n{main}</main>\n<footer>\n<p>{}</p>\n</footer>\n</body>\n</html>\n",
        EN.lang,
        escape(title),
        EN.brand,
        EN.skip,
        EN.brand,
        EN.site,
        escape(site),
        EN.menu,
        links.collect::<String>(),
        EN.footer,
    )
}

/// The head of a page, with what is said below it.
pub(super) fn head(title: &str, lead: &str) -> String {
    let lead = if lead.is_empty() { String::new() } else { format!("<p class=\"lead\">{lead}</p>\n") };
    format!("<header class=\"head\">\n<h1>{}</h1>\n{lead}</header>\n", escape(title))
}

/// A part of a page under its own heading.
pub(super) fn section(id: &str, title: &str, intro: &str, body: &str) -> String {
    let intro = if intro.is_empty() { String::new() } else { format!("<p class=\"intro\">{intro}</p>\n") };
    format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n{intro}{body}</section>\n")
}

/// What there is to say where a list would stand.
pub(super) fn none(text: &str) -> String {
    format!("<p class=\"none\">{text}</p>\n")
}

/// A message in a frame; its kind is said in words too.
pub(super) fn notice(class: &str, title: &str, body: &str) -> String {
    format!("<div class=\"notice {class}\">\n<p class=\"title\">{}{title}</p>\n{body}</div>\n", mark(class))
}

/// The shape beside a message, for those who see it; the words say the same.
fn mark(class: &str) -> &'static str {
    match class {
        "good" => {
            "<svg class=\"mark\" viewBox=\"0 0 20 20\" aria-hidden=\"true\"><circle cx=\"10\" cy=\"10\" r=\"9\"/><path d=\"M6 10.5l2.7 2.7L14 7.5\"/></svg>"
        }
        "bad" => {
            "<svg class=\"mark\" viewBox=\"0 0 20 20\" aria-hidden=\"true\"><path d=\"M10 1.5 19 18H1z\"/><path d=\"M10 7v5M10 14.6v.4\"/></svg>"
        }
        _ => {
            "<svg class=\"mark\" viewBox=\"0 0 20 20\" aria-hidden=\"true\"><circle cx=\"10\" cy=\"10\" r=\"9\"/><path d=\"M10 5v5.4l3.4 2\"/></svg>"
        }
    }
}

/// The class and the word of the coverage.
pub(super) fn cover_words(cover: Cover) -> (&'static str, &'static str) {
    match cover {
        Cover::Green => ("good", EN.cover_green),
        Cover::Red => ("bad", EN.cover_red),
        Cover::Unknown => ("unknown", EN.cover_unknown),
    }
}

/// A column: its name and whether it holds text.
pub(super) type Column = (&'static str, bool);

/// A table of cells that are HTML already; the first cell of each row heads it.
pub(super) fn table(caption: &str, columns: &[Column], rows: &[Vec<String>]) -> String {
    let head = columns.iter().map(|(name, text)| {
        let class = if *text { " class=\"text\"" } else { "" };
        format!("<th scope=\"col\"{class}>{name}</th>")
    });
    let head = format!("<tr>{}</tr>", head.collect::<String>());
    let row = |cells: &Vec<String>| {
        let cells = cells.iter().zip(columns).enumerate().map(|(place, (cell, (_, text)))| {
            let class = if *text { " class=\"text\"" } else { "" };
            if place == 0 {
                format!("<th scope=\"row\"{class}>{cell}</th>")
            } else {
                format!("<td{class}>{cell}</td>")
            }
        });
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    grid(caption, &head, &rows.iter().map(row).collect::<String>())
}

/// A name of the record; a short one is not broken over lines.
pub(super) fn name(text: &str) -> String {
    let class = if text.chars().count() <= 20 { "code" } else { "long" };
    format!("<code class=\"{class}\">{}</code>", escape(text))
}

/// Text in which what stands between backticks is code.
pub(super) fn prose(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 16);
    let parts: Vec<_> = text.split('`').collect();
    // A lone backtick opens nothing.
    let even = parts.len() % 2 == 1;
    for (place, part) in parts.iter().enumerate() {
        match (place % 2 == 1, even) {
            (true, true) => html.push_str(&format!("<code>{}</code>", escape(part))),
            (_, true) => html.push_str(&escape(part)),
            (_, false) => {
                html.push_str(&escape(part));
                if place + 1 < parts.len() {
                    html.push('`');
                }
            }
        }
    }
    html
}

/// A time for people and for machines.
pub(super) fn time(at: u64) -> String {
    let exact = instant(at);
    let shown = exact.replace('T', " ").replace('Z', " UTC");
    format!("<time datetime=\"{}\">{}</time>", escape(&exact), escape(&shown))
}

/// A time with how long ago that was.
pub(super) fn ago(at: u64, now: u64) -> String {
    format!("{} ({})", time(at), escape(&plain(EN.ago, &[&span(now.saturating_sub(at))])))
}

/// A part of a list, and the links to the others.
pub(super) struct Part {
    pub(super) first: usize,
    pub(super) end: usize,
    pub(super) links: String,
}

/// The lines of page `number`, counted from 1; `None` if there is no such page. `path` is where the list is, up to the
/// number.
pub(super) fn part(count: usize, lines: usize, wanted: usize, path: &str) -> Option<Part> {
    let pages = count.div_ceil(lines).max(1);
    if !(1..=pages).contains(&wanted) {
        return None;
    }
    let first = (wanted - 1) * lines;
    let end = count.min(first + lines);
    if pages == 1 {
        return Some(Part { first, end, links: String::new() });
    }
    let link = |to: usize, name: &str, rel: &str| {
        if (1..=pages).contains(&to) {
            format!("<a href=\"{}{to}\" rel=\"{rel}\">{name}</a>\n", escape(path))
        } else {
            format!("<span class=\"off\" aria-disabled=\"true\">{name}</span>\n")
        }
    };
    let said = fill(
        EN.page_of,
        &[
            &wanted.to_string(),
            &pages.to_string(),
            &number(first as u64 + 1),
            &number(end as u64),
            &number(count as u64),
        ],
    );
    let links = format!(
        "<nav class=\"pager\" aria-label=\"{}\">\n{}<span>{said}</span>\n{}</nav>\n",
        EN.pages,
        link(wanted.wrapping_sub(1), EN.page_before, "prev"),
        link(wanted + 1, EN.page_after, "next")
    );
    Some(Part { first, end, links })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_only_the_pages_that_it_has() {
        assert!(part(0, 50, 1, "/?page=").unwrap().links.is_empty());
        assert!(part(0, 50, 2, "/?page=").is_none() && part(101, 50, 0, "/?page=").is_none());
        let last = part(101, 50, 3, "/?page=").unwrap();
        assert_eq!((last.first, last.end), (100, 101));
        assert!(last.links.contains("href=\"/?page=2\"") && !last.links.contains("page=4"));
    }

    #[test]
    fn only_a_pair_of_backticks_makes_code() {
        assert_eq!(prose("`a<b` is"), "<code>a&lt;b</code> is");
        assert_eq!(prose("a ` b"), "a ` b");
    }
}
