//! Telephone numbers.
//!
//! Three spellings count: `+` and a country code (ITU-T E.164, at most 15 digits), the prefix
//! `00` in its place, and a national number that begins with one 0 and has separators. A bare
//! run of digits is not taken for a telephone number.

use super::sequence::{Group, Sequence, uniform};
use super::{before, plan};
use crate::{Confidence, Finding, Rule};

/// Most digits of an extension, or of the zero that some write in brackets.
const EXTENSION_MAX: usize = 4;

/// Digits before a number, with only signs between, that make it the rest of them, unless they end another number.
const LONG: usize = 4;

/// Most groups of a national number.
const GROUPS_MAX: usize = 6;

pub(super) fn push(text: &[u8], sequence: &Sequence, out: &mut Vec<Finding>) {
    let groups = sequence.groups();
    let Some(first) = groups.first() else { return };
    if let Some(start) = plus_start(text, first.start)
        && let Some(end) = international_end(text, groups)
        && plan::fits(text.get(first.start..end).unwrap_or_default(), EXTENSION_MAX)
    {
        let country = plan::country(text.get(first.start..end).unwrap_or_default());
        out.push(Finding { country, ..Finding::sure(Rule::PHONE, start, end) });
        return;
    }
    let mut floor = 0;
    for (index, group) in groups.iter().enumerate() {
        let neighbour = index.checked_sub(1).and_then(|index| groups.get(index));
        if group.start < floor
            || text.get(group.start) != Some(&b'0')
            || !may_start(text, *group, index)
            || neighbour.is_some_and(|group| group.len() >= LONG && group.end != floor)
        {
            continue;
        }
        let rest = groups.get(index..).unwrap_or_default();
        let Some(end) = prefixed_end(text, rest).or_else(|| national_end(text, sequence, rest)) else {
            continue;
        };
        let closes = text.get(group.start..end).is_some_and(|number| number.contains(&b')'));
        let start = group.start - usize::from(closes && before(text, group.start) == b'(');
        let rule = if text.get(group.start..).is_some_and(|number| number.starts_with(b"00")) {
            Rule::PHONE
        } else {
            Rule::PHONE_NATIONAL
        };
        out.push(Finding::new(rule, start, end, Confidence::Medium));
        floor = end;
    }
}

/// True if `%2B`, a plus sign in a URL, stands before `start`.
pub(super) fn has_encoded_plus(text: &[u8], start: usize) -> bool {
    let sign = start.checked_sub(3).and_then(|at| text.get(at..start));
    sign.is_some_and(|sign| sign.eq_ignore_ascii_case(b"%2b"))
}

/// Where the plus sign before `start` stands. Within base64 or a sum it is no country code.
fn plus_start(text: &[u8], start: usize) -> Option<usize> {
    if has_encoded_plus(text, start) {
        return Some(start - 3);
    }
    let sign = start.checked_sub(1).filter(|at| text.get(*at) == Some(&b'+'))?;
    let glued = before(text, sign);
    (!glued.is_ascii_alphanumeric() && !matches!(glued, b'+' | b'/')).then_some(sign)
}

/// The end of the longest run of groups from the first that makes 8 to 15 digits.
fn international_end(text: &[u8], groups: &[Group]) -> Option<usize> {
    let first = groups.first()?;
    match text.get(first.start) {
        Some(b'0') => None,
        // North America and Russia have one length; what follows is something else.
        Some(b'1' | b'7') => longest(groups, 11, 11).or_else(|| longest(groups, 8, 15)),
        _ => longest(groups, 8, 15),
    }
}

/// A number with the prefix `00`. It must have the length and a country code that such numbers have, for many systems pad
/// their record numbers with zeros.
fn prefixed_end(text: &[u8], groups: &[Group]) -> Option<usize> {
    let first = groups.first()?;
    let code = text.get(first.start..)?.strip_prefix(b"00")?;
    if !code.first().is_some_and(|b| matches!(b, b'1'..=b'9')) {
        return None;
    }
    // With its country's code no number is shorter, and numbers of invoices are.
    let end = longest(groups, 12, 17)?;
    // Hexadecimal digits go on with letters.
    if text.get(end).is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    let number = text.get(first.start + 2..end)?;
    let len = number.iter().filter(|b| b.is_ascii_digit()).count();
    let mut head = [0; 3];
    for (place, b) in head.iter_mut().zip(number.iter().filter(|b| b.is_ascii_digit())) {
        *place = *b;
    }
    let article = end == first.end && is_article(text.get(first.start..end)?);
    let serial = is_serial(text, groups, end);
    (is_plausible(&head, len) && plan::fits(number, 1) && !article && !serial).then_some(end)
}

/// Three groups or more of the same length with dashes between them, the first as long as the others: numbers of lots and
/// machines, and no telephone's, whose country code is shorter.
fn is_serial(text: &[u8], groups: &[Group], end: usize) -> bool {
    let run = groups.get(..groups.iter().take_while(|group| group.end <= end).count()).unwrap_or_default();
    let [first, rest @ ..] = run else { return false };
    rest.len() >= 2
        && rest.iter().all(|group| group.len() == first.len())
        && run.windows(2).all(|pair| matches!(pair, [left, right] if left.joined_by(text, right, b"-")))
}

/// True for twelve to fourteen digits with the check digit of articles (GS1 General Specifications 7.9): North America's
/// begin with zeros.
fn is_article(digits: &[u8]) -> bool {
    let weighted = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, b)| u32::from(b & 15) * if place % 2 == 0 { 1 } else { 3 });
    (12..=14).contains(&digits.len()) && weighted.sum::<u32>().is_multiple_of(10)
}

/// Whether `len` digits that start with `code` can be a number with its country code. The codes
/// left out are those that ITU-T (E.164 list of assigned codes) has not given to a country.
fn is_plausible(code: &[u8], len: usize) -> bool {
    let Some(head) = code.first_chunk::<3>() else { return false };
    match head.iter().fold(0_u32, |number, b| number * 10 + u32::from(b.wrapping_sub(b'0'))) {
        100..200 | 700..800 => len == 11,
        210 | 214 | 215 | 217 | 219 | 259 | 280..290 | 830..840 | 890..900 | 999 => false,
        _ => (10..=15).contains(&len),
    }
}

/// A number that begins with a single 0, and has separators of one kind (the first may differ). Numbers of orders, parts
/// and invoices are written with dashes and dots as well, so what nothing names must be written as only telephone numbers
/// are: with spaces or brackets, or in five pairs.
fn national_end(text: &[u8], sequence: &Sequence, groups: &[Group]) -> Option<usize> {
    let (first, rest) = groups.split_first()?;
    if !(2..=6).contains(&first.len()) || !text.get(first.start + 1).is_some_and(|b| matches!(b, b'1'..=b'9'))
    {
        return None;
    }
    let alike = uniform(text, rest).min(GROUPS_MAX - 1);
    let long = rest.iter().take(alike).take_while(|group| group.len() >= 2).count();
    let run = groups.get(..=long)?;
    if is_date(text, run) {
        return None;
    }
    let end = longest(run, 9, 12).filter(|end| *end > first.end)?;
    let goes_on = end == sequence.end() && sequence.after(run).is_none_or(|b| b.is_ascii_alphanumeric());
    let run = run.get(..run.iter().take_while(|group| group.end <= end).count())?;
    (!goes_on && is_written_like_a_phone(text, run, groups.get(run.len()))).then_some(end)
}

/// True if the signs between the groups are those of a telephone number, and none of them goes on to `next`.
fn is_written_like_a_phone(text: &[u8], run: &[Group], next: Option<&Group>) -> bool {
    let gap = |left: &Group, right: &Group| text.get(left.end..right.start).unwrap_or_default();
    let [first, second, ..] = run else { return false };
    let last = run.last().unwrap_or(second);
    let inner = gap(run.get(run.len().saturating_sub(2)).unwrap_or(first), last);
    // The start of a longer number is none; behind a space another number may stand.
    let goes_on = |next: &Group| gap(last, next) == inner && (inner != b" " || next.len() == last.len());
    if next.is_some_and(goes_on) {
        return false;
    }
    let spaced = gap(first, second).contains(&b' ') || run.len() > 2 && inner == b" ";
    let bracketed = gap(first, second).contains(&b')');
    // `06.12.34.56.78`, as in France.
    let pairs = run.len() == 5 && run.iter().all(|group| group.len() == 2);
    spaced || bracketed || pairs
}

/// Day, month and year, or year, month and day: `05.06.2026 10`.
fn is_date(text: &[u8], groups: &[Group]) -> bool {
    let century = |group: &Group| {
        group.len() == 4 && text.get(group.start..group.start + 2).is_some_and(|c| matches!(c, b"19" | b"20"))
    };
    matches!(groups, [day, month, year, ..] if day.len() <= 2 && month.len() <= 2 && century(year))
}

/// The end of the longest run of groups from the first with `min` to `max` digits in all.
fn longest(groups: &[Group], min: usize, max: usize) -> Option<usize> {
    let mut digits = 0;
    let within = groups.iter().map_while(|group| {
        digits += group.len();
        (digits <= max).then_some((digits, group.end))
    });
    within.filter(|(digits, _)| *digits >= min).last().map(|(_, end)| end)
}

/// False where a number stands inside something longer: after a decimal sign, in a time, or
/// behind a dash or slash that ties it to a word.
fn may_start(text: &[u8], group: Group, index: usize) -> bool {
    let (last, earlier) = (before(text, group.start), before(text, group.start.saturating_sub(1)));
    match last {
        b' ' | b'(' => true,
        _ if index > 0 => false,
        b'.' | b',' | b':' => !earlier.is_ascii_digit(),
        b'-' | b'/' | b'#' | b'_' => !earlier.is_ascii_alphanumeric(),
        _ => true,
    }
}

/// Fewest and most digits of a number in a field for numbers: short ones are those of services.
const KEYED_MIN: usize = 6;
const KEYED_MAX: usize = 17;

/// Runs of digits and what people write between them, in a field for telephone numbers.
pub(crate) fn keyed(text: &[u8], out: &mut Vec<Finding>) {
    let is_part = |b: &u8| b.is_ascii_digit() || matches!(b, b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'+');
    let mut at = 0;
    while let Some(offset) = text.get(at..).and_then(|rest| rest.iter().position(is_part)) {
        let start = at + offset;
        let run = text.get(start..).unwrap_or_default();
        let len = run.iter().take_while(|b| is_part(b)).count();
        at = start + len;
        let run = run.get(..len).unwrap_or_default();
        let lead = run.iter().take_while(|b| !b.is_ascii_digit() && !matches!(b, b'+' | b'(')).count();
        let tail = run.iter().rev().take_while(|b| !b.is_ascii_digit()).count();
        let (start, end) = (start + lead, (at - tail).max(start + lead));
        let number = text.get(start..end).unwrap_or_default();
        let digits = number.iter().filter(|b| b.is_ascii_digit()).count();
        let glued =
            before(text, start).is_ascii_alphanumeric() || text.get(end).is_some_and(u8::is_ascii_alphabetic);
        if (KEYED_MIN..=KEYED_MAX).contains(&digits) && !glued {
            let international = number.strip_prefix(b"+").or_else(|| number.strip_prefix(b"00"));
            let country = international.and_then(plan::country);
            let rule = if international.is_some() { Rule::PHONE } else { Rule::PHONE_NATIONAL };
            out.push(Finding { country, ..Finding::new(rule, start, end, Confidence::Medium) });
        }
    }
}
