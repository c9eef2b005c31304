//! Crossings per day, as bars drawn here and as a table for those who do not see them.

use super::{
    layout::table,
    words::{EN, fill, number, plain},
};
use crate::{daymap::DAY_SECONDS, history::words::instant, html::escape};

/// One day.
pub(super) struct Bar {
    pub(super) day: u64,
    pub(super) crossings: u64,
    pub(super) refusals: u64,
    pub(super) rows: u64,
}

/// The date of a day.
pub(super) fn date(day: u64) -> String {
    instant(day.saturating_mul(DAY_SECONDS)).split('T').next().unwrap_or_default().to_owned()
}

/// The picture, the dates below it, and the table.
pub(super) fn chart(bars: &[Bar]) -> String {
    let (Some(first), Some(last)) = (bars.first(), bars.last()) else { return String::new() };
    let total: u64 = bars.iter().map(|bar| bar.crossings).sum();
    let greatest = bars.iter().map(|bar| bar.crossings).max().unwrap_or(0);
    let top = above(greatest);
    let (from, to) = (date(first.day), date(last.day));
    let label = plain(EN.chart_label, &[&from, &to, &number(total), &number(greatest)]);
    let width = bars.len() * 10;
    let drawn = bars.iter().enumerate().map(|(place, bar)| {
        let height = bar.crossings as f64 * 100.0 / top as f64;
        let height = if bar.crossings > 0 { height.max(1.5) } else { 0.0 };
        let title = plain(EN.chart_bar, &[&date(bar.day), &number(bar.crossings)]);
        format!(
            "<g><title>{}</title><rect class=\"hit\" x=\"{}\" y=\"0\" width=\"10\" height=\"100\"/>\
             <rect class=\"one\" x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"{height:.1}\"/></g>\n",
            escape(&title),
            place * 10,
            place as f64 * 10.0 + 1.5,
            100.0 - height
        )
    });
    let middle = bars.get(bars.len() / 2).map(|bar| date(bar.day)).unwrap_or_default();
    let half = if top.is_multiple_of(2) { number(top / 2) } else { String::new() };
    format!(
        "<figure class=\"chart\">\n<div class=\"plot\">\n<div class=\"scale\" aria-hidden=\"true\"><span>{}</span><span>{half}</span><span>0</span></div>\n\
         <svg role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {width} 100\" preserveAspectRatio=\"none\">\n\
         <path class=\"rule\" d=\"M0 .5H{width}M0 50H{width}M0 99.5H{width}\"/>\n{}</svg>\n</div>\n\
         <div class=\"dates\" aria-hidden=\"true\"><span>{from}</span><span>{middle}</span><span>{to}</span></div>\n\
         <figcaption>{}</figcaption>\n</figure>\n<details>\n<summary>{}</summary>\n{}</details>\n",
        number(top),
        escape(&label),
        drawn.collect::<String>(),
        fill(EN.chart_sum, &[&number(total)]),
        EN.chart_table,
        as_table(bars)
    )
}

fn as_table(bars: &[Bar]) -> String {
    let row = |bar: &Bar| vec![date(bar.day), number(bar.crossings), number(bar.rows), number(bar.refusals)];
    let rows: Vec<_> = bars.iter().rev().map(row).collect();
    let columns = [(EN.day, true), (EN.crossings, false), (EN.records, false), (EN.refusals, false)];
    table(EN.chart_title, &columns, &rows)
}

/// A round number that is not below `value`.
fn above(value: u64) -> u64 {
    let mut scale = 1_u64;
    loop {
        for step in [1, 2, 4, 6, 10] {
            let round = scale.saturating_mul(step);
            if round >= value {
                return round;
            }
        }
        scale = scale.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_ends_at_a_round_number_that_is_not_too_low() {
        for (value, top) in [(0, 1), (1, 1), (3, 4), (5, 6), (7, 10), (11, 20), (99, 100), (412, 600)] {
            assert_eq!(above(value), top);
        }
        assert!(above(u64::MAX) == u64::MAX);
    }

    #[test]
    fn a_day_with_a_crossing_is_seen_and_a_day_without_has_no_bar() {
        let bar = |day, crossings| Bar { day, crossings, refusals: 0, rows: 0 };
        let html = chart(&[bar(1, 0), bar(2, 1), bar(3, 100_000)]);
        assert!(html.contains("height=\"1.5\"") && html.contains("height=\"0.0\""));
        assert!(html.contains("<caption") && html.contains("1970-01-03"));
    }
}
