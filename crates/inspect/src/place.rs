//! Coordinates, birth dates and postcodes, in fields that are named for them.

use crate::{Confidence, Finding, Rule};

/// Digits after the point from which on a coordinate tells a place: three are some hundred metres.
const DECIMALS_MIN: usize = 3;

/// As many as a lone number must have that is not called latitude or longitude.
const DECIMALS_LONE: usize = 4;

fn push(rule: Rule, start: usize, end: usize, out: &mut Vec<Finding>) {
    out.push(Finding::new(rule, start, end, Confidence::Medium));
}

/// A number with a point: its place, how many digits follow the point, and whole degrees.
#[derive(Clone, Copy)]
struct Decimal {
    start: usize,
    end: usize,
    decimals: usize,
    whole: u32,
}

/// Reads the number whose first digit is at `at`.
fn decimal(text: &[u8], at: usize) -> Option<Decimal> {
    let digits =
        |at: usize| text.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(at);
    let point = at + whole;
    if !(1..=3).contains(&whole) || text.get(point) != Some(&b'.') {
        return None;
    }
    let decimals = digits(point + 1);
    let start = at - usize::from(at > 0 && matches!(text.get(at - 1), Some(b'-' | b'+')));
    let degrees = text.get(at..point)?.iter().fold(0, |number, b| number * 10 + u32::from(b - b'0'));
    let end = point + 1 + decimals;
    // A second point makes it a version or an address.
    let goes_on = text.get(end).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'.');
    let letter = matches!(text.get(end), Some(b'N' | b'S' | b'E' | b'W'));
    (!goes_on || letter).then_some(Decimal { start, end, decimals, whole: degrees })
}

/// A latitude or longitude.
pub(crate) fn keyed_degree(latitude: bool, text: &[u8], out: &mut Vec<Finding>) {
    let at = text.iter().take_while(|b| matches!(b, b'-' | b'+')).count();
    let max = if latitude { 90 } else { 180 };
    if let Some(number) = decimal(text, at)
        && number.end == text.len()
        && number.decimals >= DECIMALS_MIN
        && number.whole <= max
    {
        push(Rule::COORDINATES, 0, text.len(), out);
    }
}

/// Two numbers that can be a place, or one.
pub(crate) fn keyed_pair(text: &[u8], out: &mut Vec<Finding>) {
    let mut last: Option<Decimal> = None;
    let mut at = 0;
    while let Some(offset) = text.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
        at += offset;
        let Some(number) = decimal(text, at) else {
            at += text.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
            continue;
        };
        at = number.end;
        let fits = number.whole <= 180 && number.decimals >= DECIMALS_MIN;
        if let Some(first) = last.take()
            && fits
            && number.start - first.end <= 4
            && first.whole.min(number.whole) <= 90
        {
            push(Rule::COORDINATES, first.start, number.end, out);
            continue;
        }
        last = Some(number).filter(|_| fits);
    }
    if let Some(lone) =
        last.filter(|lone| lone.start == 0 && lone.end == text.len() && lone.decimals >= DECIMALS_LONE)
    {
        push(Rule::COORDINATES, lone.start, lone.end, out);
    }
}

/// A date with day, month and year in any of the usual orders; the first in the text.
pub(crate) fn keyed_birth_date(text: &[u8], out: &mut Vec<Finding>) {
    let starts = (0..text.len().min(64)).filter(|at| {
        let glued = at.checked_sub(1).and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        text.get(*at).is_some_and(u8::is_ascii_alphanumeric) && !glued
    });
    for start in starts {
        if let Some(end) = date_end(text, start) {
            push(Rule::BIRTH_DATE, start, end, out);
            return;
        }
    }
}

/// Where the date ends that begins at `start`.
fn date_end(text: &[u8], start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    let (first, at) = run(rest, 0)?;
    if first.len() == 8 && is_number(first) {
        return is_compact(first).then_some(start + 8);
    }
    let at = skip(rest, at)?;
    let (second, at) = run(rest, at)?;
    let at = skip(rest, at)?;
    let (third, end) = run(rest, at)?;
    let year = |part: &[u8]| {
        part.len() == 4 && matches!(part, [b'1', b'8' | b'9', ..] | [b'2', b'0', ..]) && is_number(part)
    };
    let small = |part: &[u8]| part.len() <= 2 && is_number(part) && number(part) <= 31 && number(part) > 0;
    let month = |part: &[u8]| {
        small(part) || (3..=12).contains(&part.len()) && part.iter().all(|b| !b.is_ascii_digit())
    };
    // The day may have an ordinal's letters or a stop: `2nd May 1985`, `2. Mai 1985`.
    let third = third.split(|b| !b.is_ascii_digit()).next().unwrap_or_default();
    let short_year = third.len() == 2 && is_number(third);
    let fits = year(first) && month(second) && small(third)
        || small(first) && month(second) && (year(third) || short_year)
        || month(first) && small(second) && year(third);
    let end = if year(first) { at + third.len() } else { end.min(at + third.len()) };
    fits.then_some(start + end + time_len(rest.get(end..).unwrap_or_default()))
}

/// The length of a time behind a day (RFC 3339), which is a part of how the day is written.
fn time_len(rest: &[u8]) -> usize {
    let [b'T' | b't' | b' ', h, i, b':', m, n, ..] = rest else { return 0 };
    if ![h, i, m, n].into_iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let more = |b: &&u8| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'Z' | b'z' | b'+' | b'-');
    6 + rest.iter().skip(6).take_while(more).count()
}

/// `19850512` or `12051985`.
fn is_compact(digits: &[u8]) -> bool {
    let part = |from: usize, to: usize| number(digits.get(from..to).unwrap_or_default());
    let like = |year: u32, month: u32, day: u32| {
        (1850..2100).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)
    };
    like(part(0, 4), part(4, 6), part(6, 8)) || like(part(4, 8), part(2, 4), part(0, 2))
}

fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |number, b| number * 10 + u32::from(b & 15))
}

fn is_number(part: &[u8]) -> bool {
    !part.is_empty() && part.iter().all(u8::is_ascii_digit)
}

/// Letters and digits from `at` on (letters of any script), and where they end.
fn run(rest: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let len = rest.get(at..)?.iter().take_while(|b| b.is_ascii_alphanumeric() || **b >= 0x80).count();
    (len > 0).then(|| (rest.get(at..at + len).unwrap_or_default(), at + len))
}

/// One or two signs between the parts of a date.
fn skip(rest: &[u8], at: usize) -> Option<usize> {
    let len =
        rest.get(at..)?.iter().take(2).take_while(|b| matches!(b, b'-' | b'.' | b'/' | b' ' | b',')).count();
    (len > 0).then_some(at + len)
}

/// Three to ten letters, digits, spaces and dashes, digits among them.
pub(crate) fn keyed_postcode(text: &[u8], out: &mut Vec<Finding>) {
    let digits = text.iter().filter(|b| b.is_ascii_digit()).count();
    let plain = text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'-'));
    let letters = text.iter().filter(|b| b.is_ascii_alphabetic()).count();
    if plain && (3..=10).contains(&text.len()) && (2..=8).contains(&digits) && letters <= 5 {
        out.push(Finding::new(Rule::POSTCODE, 0, text.len(), Confidence::Low));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(scan: fn(&[u8], &mut Vec<Finding>), text: &str) -> Vec<&str> {
        let mut out = Vec::new();
        scan(text.as_bytes(), &mut out);
        out.iter().map(|finding| &text[finding.start..finding.end]).collect()
    }

    #[test]
    fn birth_dates_are_read_in_the_usual_orders() {
        for date in [
            "1985-05-12",
            "12.05.1985",
            "5/12/1985",
            "19850512",
            "12051985",
            "12 May 1985",
            "May 12, 1985",
            "12. Mai 1985",
            "1985/5/2",
            "12-05-85",
        ] {
            assert_eq!(found(keyed_birth_date, date), [date]);
        }
        assert_eq!(found(keyed_birth_date, "born 1985-05-12T00:00:00Z"), ["1985-05-12T00:00:00Z"]);
        for other in ["", "85", "hello", "1985", "99.99.1985", "12345678"] {
            assert!(found(keyed_birth_date, other).is_empty(), "{other}");
        }
    }

    #[test]
    fn places_need_digits_after_the_point() {
        assert_eq!(found(keyed_pair, "POINT(13.40500 52.52000)"), ["13.40500 52.52000"]);
        assert_eq!(found(keyed_pair, "geo:52.5200,-13.4050"), ["52.5200,-13.4050"]);
        assert_eq!(found(keyed_pair, "52.520008"), ["52.520008"]);
        for other in ["52.52,13.40", "1.2.3", "120.0.6099.110", "0.5", "999.1234,52.1234", ""] {
            assert!(found(keyed_pair, other).is_empty(), "{other}");
        }
    }
}
