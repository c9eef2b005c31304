//! Charts, drawn here as SVG: for those who would rather look. What they show stands in a table beside, for everybody.

use maud::{Markup, html};

use super::words::Language;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 120.0;

/// One column of a chart: its label, what crossed, and what was refused.
pub(super) struct Column {
    pub(super) label: String,
    pub(super) crossed: u64,
    pub(super) refused: u64,
}

/// A number with a thin space between groups of three digits.
pub(super) fn number(value: u64) -> String {
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

fn share(part: u64, whole: u64) -> f64 {
    // Drawn, not counted with.
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Crossings over time: filled for what crossed, hatched above it for what was refused, with a table of the same.
pub(super) fn columns(l: Language, id: &'static str, title: &str, columns: &[Column]) -> Markup {
    let most = columns.iter().map(|c| c.crossed + c.refused).max().unwrap_or(0).max(1);
    let step = WIDTH / (columns.len().max(1) as f64);
    let wide = (step * 0.78).max(1.0);
    let place = |n: usize| step.mul_add(n as f64, (step - wide) / 2.0);
    let (first, last) = (columns.first(), columns.last());
    let hatch = format!("{id}-hatch");
    html! {
        figure.chart {
            figcaption id=(id) { (title) }
            svg viewBox=(format!("0 0 {WIDTH} {}", HEIGHT + 22.0)) role="img" aria-labelledby=(id) focusable="false" {
                defs { pattern id=(hatch) width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.hatch width="2.4" height="5" {}
                } }
                line.axis x1="0" y1=(HEIGHT) x2=(WIDTH) y2=(HEIGHT) {}
                @for (n, c) in columns.iter().enumerate() {
                    @let (crossed, refused) = (share(c.crossed, most) * (HEIGHT - 14.0), share(c.refused, most) * (HEIGHT - 14.0));
                    @if c.crossed > 0 {
                        rect.crossed x=(format!("{:.1}", place(n))) y=(format!("{:.1}", HEIGHT - crossed)) width=(format!("{wide:.1}")) height=(format!("{crossed:.1}")) {}
                    }
                    @if c.refused > 0 {
                        rect.refused fill=(format!("url(#{hatch})")) x=(format!("{:.1}", place(n))) y=(format!("{:.1}", HEIGHT - crossed - refused)) width=(format!("{wide:.1}")) height=(format!("{refused:.1}")) {}
                    }
                }
                text x="0" y="11" { (number(most)) }
                @if let Some(c) = first { text x="0" y=(HEIGHT + 17.0) { (c.label) } }
                @if let Some(c) = last { text x=(WIDTH) y=(HEIGHT + 17.0) text-anchor="end" { (c.label) } }
            }
            ul.legend aria-hidden="true" {
                li { span.swatch.crossed {} (l.t("chart-crossed")) }
                li { span.swatch.refused {} (l.t("chart-refused")) }
            }
            details {
                summary { (l.t("chart-table")) }
                div.scroll tabindex="0" role="group" aria-label=(title) {
                    table {
                        caption.hidden { (title) }
                        thead { tr { th scope="col" { (l.t("chart-when")) } th.n scope="col" { (l.t("chart-crossed")) } th.n scope="col" { (l.t("chart-refused")) } } }
                        tbody { @for c in columns.iter().filter(|c| c.crossed + c.refused > 0) {
                            tr { th scope="row" { (c.label) } td.n { (number(c.crossed)) } td.n { (number(c.refused)) } }
                        } }
                    }
                }
            }
        }
    }
}

/// Numbers by name, greatest first, each with a bar.
pub(super) fn ranks(title: &str, head: &str, many: &str, mut rows: Vec<(String, u64)>, none: &str) -> Markup {
    rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let most = rows.first().map_or(0, |(_, n)| *n);
    html! {
        div.rank {
            @if rows.is_empty() { h3 { (title) } p.quiet { (none) } } @else {
                table {
                    caption { (title) }
                    thead { tr { th scope="col" { (head) } th.n scope="col" { (many) } th.hidden-cell aria-hidden="true" {} } }
                    tbody { @for (name, n) in rows {
                        tr {
                            th scope="row" { (name) }
                            td.n { (number(n)) }
                            td.bar aria-hidden="true" {
                                svg viewBox="0 0 100 8" preserveAspectRatio="none" focusable="false" {
                                    rect.crossed width=(format!("{:.1}", (share(n, most) * 100.0).max(0.8))) height="8" {}
                                }
                            }
                        }
                    } }
                }
            }
        }
    }
}

/// How much of something is used, in words and as a bar.
pub(super) fn gauge(label: &str, told: &str, part: f64) -> Markup {
    let part = part.clamp(0.0, 1.0);
    html! {
        div.gauge {
            div { span { (label) } span.n { (told) } }
            svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                rect.rail width="100" height="6" {}
                rect class=(if part >= 0.8 { "used much" } else { "used" }) width=(format!("{:.1}", part * 100.0)) height="6" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_says_in_its_table_what_it_draws_and_escapes_its_words() {
        let one = Column { label: "<b>1</b>".to_owned(), crossed: 1200, refused: 3 };
        let text = columns(Language::En, "c", "T & U", &[one]).into_string();
        assert!(text.contains("1\u{202f}200") && text.contains("&lt;b&gt;1") && text.contains("T &amp; U"));
        assert!(!text.contains("style="), "presentation stands in the stylesheet");
        let empty = columns(Language::En, "c", "T", &[]).into_string();
        assert!(!empty.contains("NaN") && !empty.contains("inf"));
    }
}
