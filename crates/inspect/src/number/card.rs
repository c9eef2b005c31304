//! Payment card numbers.

use super::before;
use super::sequence::{Group, Sequence, uniform};
use crate::{Confidence, Finding, Rule};

const LEN_MIN: usize = 13;
const LEN_MAX: usize = 19;

/// Longest spelling: a few separators after each digit.
const SPAN_MAX: usize = LEN_MAX * 4;

/// How cards print their numbers, in digits a group.
const SHAPES: &[&[usize]] =
    &[&[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 4, 4, 3], &[6, 13], &[4, 4, 4, 1]];

/// True for digits whose last is the check digit of ISO/IEC 7812-1 (Luhn). False for none.
///
/// ```
/// assert!(inspect::luhn_valid(b"79927398713"));
/// assert!(!inspect::luhn_valid(b"79927398710"));
/// ```
#[must_use]
pub fn luhn_valid(digits: &[u8]) -> bool {
    let mut sum = 0_usize;
    for (place, b) in digits.iter().rev().enumerate() {
        let digit = usize::from(b.wrapping_sub(b'0'));
        if digit > 9 {
            return false;
        }
        sum += if place % 2 == 0 { digit } else { digit * 2 - if digit > 4 { 9 } else { 0 } };
    }
    !digits.is_empty() && sum.is_multiple_of(10)
}

/// True for 13 to 19 digits in the range of a card issuer, with a right check digit.
///
/// ```
/// assert!(inspect::card_valid(b"5555555555554444"));
/// assert!(!inspect::card_valid(b"7715000000000000"));
/// ```
#[must_use]
pub fn card_valid(digits: &[u8]) -> bool {
    is_card(digits, false)
}

fn is_card(digits: &[u8], grouped: bool) -> bool {
    (LEN_MIN..=LEN_MAX).contains(&digits.len()) && has_issuer(digits, grouped) && luhn_valid(digits)
}

/// Issuer ranges and their lengths, from what the networks publish. Many systems number their
/// records with 18 or 19 digits, so the ranges in which those fall count only for numbers that
/// are `grouped` as on a card.
fn has_issuer(digits: &[u8], grouped: bool) -> bool {
    let Some(head) = digits.first_chunk::<6>() else { return false };
    if !head.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let six = head.iter().fold(0_u32, |number, b| number * 10 + u32::from(b - b'0'));
    let (two, three, four) = (six / 10_000, six / 1_000, six / 100);
    let len = digits.len();
    let long = if grouped { LEN_MAX } else { LEN_MAX - 1 };
    match six / 100_000 {
        4 => matches!(len, 13 | 16) || grouped && len == 19,
        5 => {
            (51..=55).contains(&two) && len == 16
                || matches!(four, 5018 | 5019 | 5020 | 5038 | 5893) && (LEN_MIN..=long).contains(&len)
        }
        3 => match two {
            34 | 37 => len == 15,
            35 => (3528..=3589).contains(&four) && len == 16,
            36 => matches!(len, 14 | 16),
            38 | 39 => matches!(len, 14 | 16),
            _ => (300..=305).contains(&three) && matches!(len, 14 | 16),
        },
        2 => ((2221..=2720).contains(&four) || (2200..=2204).contains(&four)) && len == 16,
        6 => {
            two == 62 && (len == 16 || grouped && len > 16)
                || (four == 6011 || two == 65 || (644..=649).contains(&three))
                    && (len == 16 || grouped && len > 16)
                || matches!(four, 6304 | 6759 | 6761 | 6762 | 6763) && (LEN_MIN..=long).contains(&len)
        }
        8 => matches!(two, 81 | 82) && len == 16,
        9 => four == 9792 && len == 16,
        _ => false,
    }
}

/// False for four digits with which no issuer's range begins, whatever the length.
#[inline]
pub(crate) fn may_begin(four: u32) -> bool {
    match four / 100 {
        20..=29 => (2200..=2204).contains(&four) || (2221..=2720).contains(&four),
        30 => four < 3060,
        34 | 36..=49 | 51..=55 | 62 | 65 | 81 | 82 => true,
        35 => (3528..=3589).contains(&four),
        50 | 58 => matches!(four, 5018 | 5019 | 5020 | 5038 | 5893),
        64 => four >= 6440,
        60 | 63 | 67 => matches!(four, 6011 | 6304 | 6759 | 6761 | 6762 | 6763),
        97 => four == 9792,
        _ => false,
    }
}

/// Adds `start..end` if its digits are a card, whatever stands between them.
pub(super) fn push(text: &[u8], start: usize, end: usize, grouped: bool, out: &mut Vec<Finding>) -> bool {
    if !(LEN_MIN..=SPAN_MAX).contains(&end.saturating_sub(start)) {
        return false;
    }
    let mut digits = [0; LEN_MAX + 1];
    let mut len = 0;
    let spelled = text.get(start..end).unwrap_or_default().iter().filter(|b| b.is_ascii_digit());
    for (place, b) in digits.iter_mut().zip(spelled) {
        *place = *b;
        len += 1;
    }
    let found = digits.get(..len).is_some_and(|digits| is_card(digits, grouped));
    if found {
        out.push(Finding::sure(Rule::CARD, start, end));
    }
    found
}

/// True if the digits at `at` stand in a hash: a word of 32, 40 or 64 hexadecimal digits. Chance makes cards there.
pub(super) fn is_in_hash(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default().iter().rev().take(64);
    let after = text.get(at..).unwrap_or_default().iter().take(65);
    let head = before.take_while(|b| b.is_ascii_alphanumeric()).count();
    let word = after.take_while(|b| b.is_ascii_alphanumeric()).count() + head;
    let hex =
        text.get(at - head..at - head + word).is_some_and(|word| word.iter().all(u8::is_ascii_hexdigit));
    hex && matches!(word, 32 | 40 | 64)
}

/// Adds the cards among the groups: a group on its own, all groups that one separator joins, and
/// neighbours that have the shape of a printed card.
pub(super) fn push_all(text: &[u8], sequence: &Sequence, out: &mut Vec<Finding>) {
    let groups = sequence.groups();
    for group in groups {
        if group.len() >= LEN_MIN && !is_fraction(text, *group) {
            let found = push(text, group.start, group.end, false, out);
            if found && is_in_hash(text, group.start) {
                out.pop();
            }
        }
    }
    if sequence.digits() < LEN_MIN {
        return;
    }
    let mut rest = groups;
    while rest.len() >= 2 {
        let count = uniform(text, rest);
        push_run(text, rest.get(..count).unwrap_or_default(), out);
        // The last group of one run may be the first of the next.
        rest = rest.get(count - 1..).unwrap_or_default();
    }
}

fn push_run(text: &[u8], run: &[Group], out: &mut Vec<Finding>) {
    let mut push = |run: &[Group]| match run {
        [first, .., last] => push(text, first.start, last.end, true, out),
        _ => false,
    };
    if push(run) {
        return;
    }
    for shape in SHAPES {
        for window in run.windows(shape.len()) {
            if window.iter().zip(*shape).all(|(group, len)| group.len() == *len) {
                push(window);
            }
        }
    }
}

/// True for the digits after the point of a decimal number; a list of cards has longer digits
/// before its comma.
fn is_fraction(text: &[u8], group: Group) -> bool {
    let Some(whole) = group.start.checked_sub(1).and_then(|at| text.get(..at)) else { return false };
    let digits = whole.iter().rev().take(LEN_MIN).take_while(|b| b.is_ascii_digit()).count();
    matches!(before(text, group.start), b'.' | b',') && (1..LEN_MIN).contains(&digits)
}

/// Twelve to nineteen digits in a field for cards: any issuer's, with a right check digit or in a declared field.
pub(crate) fn keyed(text: &[u8], declared: bool, out: &mut Vec<Finding>) {
    let mut digits = [0; LEN_MAX];
    let mut len = 0;
    for b in text {
        match (b, digits.get_mut(len)) {
            (b'0'..=b'9', Some(place)) => {
                *place = *b;
                len += 1;
            }
            (b' ' | b'-' | b'.', _) => {}
            _ => return,
        }
    }
    let number = digits.get(..len).unwrap_or_default();
    if len >= 12 && (declared || luhn_valid(number)) && number.iter().any(|b| *b != b'0') {
        let confidence = if luhn_valid(number) { Confidence::Medium } else { Confidence::Low };
        out.push(Finding::new(Rule::CARD, 0, text.len(), confidence));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_issuer_begins_with_what_begins_none() {
        for six in (0..1_000_000_u32).filter(|six| !may_begin(six / 100)) {
            let digits = format!("{six:06}0000000000000");
            for len in LEN_MIN..=LEN_MAX {
                assert!(
                    !has_issuer(&digits.as_bytes()[..len], true)
                        && !has_issuer(&digits.as_bytes()[..len], false)
                );
            }
        }
    }
}
