//! Telephone numbers.
//!
//! Three spellings count: `+` and a country code (ITU-T E.164, at most 15 digits), the prefix
//! `00` in its place, and a national number that begins with one 0 and has separators. A bare
//! run of digits is not taken for a telephone number.

use super::before;
use super::sequence::{Group, Sequence};
use crate::{Finding, Kind};

pub(super) fn push(text: &[u8], sequence: &Sequence, out: &mut Vec<Finding>) {
    let groups = sequence.groups();
    let Some(first) = groups.first() else { return };
    if let Some(start) = plus_start(text, first.start) {
        if let Some(end) = international_end(text, groups) {
            out.push(Finding { kind: Kind::Phone, start, end });
            return;
        }
    }
    let mut floor = 0;
    for (index, group) in groups.iter().enumerate() {
        if group.start < floor || text.get(group.start) != Some(&b'0') || !may_start(text, *group, index) {
            continue;
        }
        let rest = groups.get(index..).unwrap_or_default();
        let Some(end) = prefixed_end(text, rest).or_else(|| national_end(text, sequence, rest)) else { continue };
        let start = group.start - usize::from(before(text, group.start) == b'(');
        out.push(Finding { kind: Kind::Phone, start, end });
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
    (!glued.is_ascii_alphanumeric() && !matches!(glued, b'+' | b'/' | b'=')
        || text.get(..sign).is_some_and(|head| head.ends_with(b"tel=") || head.ends_with(b"phone=")))
    .then_some(sign)
}

/// The end of the longest run of groups from the first that makes 8 to 15 digits.
fn international_end(text: &[u8], groups: &[Group]) -> Option<usize> {
    let first = groups.first()?;
    if text.get(first.start) == Some(&b'0') {
        return None;
    }
    longest(groups, 8, 15)
}

/// A number with the prefix `00`. Without separators it must have the length and a country code
/// that such numbers have, for many systems pad their record numbers with zeros.
fn prefixed_end(text: &[u8], groups: &[Group]) -> Option<usize> {
    let first = groups.first()?;
    let code = text.get(first.start..)?.strip_prefix(b"00")?;
    if !code.first().is_some_and(|b| matches!(b, b'1'..=b'9')) {
        return None;
    }
    let end = longest(groups, 10, 17)?;
    let bare = end == first.end;
    (!bare || is_plausible(code, first.len() - 2)).then_some(end)
}

/// Whether `len` digits that start with `code` can be a number with its country code.
fn is_plausible(code: &[u8], len: usize) -> bool {
    match code.first_chunk::<3>() {
        Some([b'1' | b'7', ..]) => len == 11,
        Some([b'2', b'1', b'0' | b'4' | b'5' | b'7' | b'9'] | [b'2', b'5', b'9'] | [b'2' | b'8' | b'9', b'8' | b'3' | b'9', _]) => {
            // Not assigned by ITU-T, but for 98 (Iran) and the codes of 29x, 93 and 99x.
            matches!(code.first_chunk::<2>(), Some(b"98" | b"29" | b"93" | b"99" | b"23")) && (10..=15).contains(&len)
        }
        Some(_) => (10..=15).contains(&len),
        None => false,
    }
}

/// A number that begins with a single 0, and has separators of one kind (the first may differ).
fn national_end(text: &[u8], sequence: &Sequence, groups: &[Group]) -> Option<usize> {
    let (first, rest) = groups.split_first()?;
    if !(2..=6).contains(&first.len()) || !text.get(first.start + 1).is_some_and(|b| matches!(b, b'1'..=b'9')) {
        return None;
    }
    let alike = alike(text, rest) + 1;
    let groups = groups.get(..alike.min(6))?;
    if is_date(text, groups) {
        return None;
    }
    let end = longest(groups, 9, 12).filter(|end| *end > first.end)?;
    let goes_on = end == sequence.end() && sequence.after(groups).is_none_or(|b| b.is_ascii_alphanumeric());
    (!goes_on).then_some(end)
}

/// How many groups follow each other with the same separator, and are long enough to belong.
fn alike(text: &[u8], groups: &[Group]) -> usize {
    let separator = |pair: &[Group]| match pair {
        [left, right] => text.get(left.end..right.start),
        _ => None,
    };
    let first = groups.get(..2).and_then(separator);
    let same = groups.windows(2).take_while(|pair| separator(pair) == first).count();
    let joined = if groups.is_empty() { 0 } else { same + 1 };
    groups.iter().take(joined).take_while(|group| group.len() >= 2).count()
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
