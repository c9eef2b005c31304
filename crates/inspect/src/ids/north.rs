//! Denmark, Finland, Iceland, Norway, Sweden, and the Baltic states.

use super::Verdict;
use super::check::{digits, is_day, last, luhn, number, part, weighted};

/// The century of a CPR number by its seventh digit and its year (CPR-kontoret, table of 2008).
fn cpr_year(seventh: u32, year: u32) -> u32 {
    match (seventh, year) {
        (0..=3, _) => 1900 + year,
        (4 | 9, 37..) => 1900 + year,
        (4 | 9, _) => 2000 + year,
        (_, 58..) => 1800 + year,
        _ => 2000 + year,
    }
}

/// The check digit was given up in 2007: a number without it is one all the same.
pub(super) fn dk_cpr(text: &[u8]) -> Verdict {
    let Some(d) = digits::<10>(text) else { return Verdict::No };
    let year = cpr_year(part(&d, 6, 7), part(&d, 4, 6));
    if !is_day(Some(year), part(&d, 2, 4), part(&d, 0, 2)) {
        return Verdict::No;
    }
    let right = weighted(&d, &[4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11);
    if right { Verdict::Valid } else { Verdict::Unchecked }
}

const HETU_LETTERS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";

/// Takes ten letters and digits where the separator was a dash or plus sign, eleven where it was a letter.
pub(super) fn fi_hetu(text: &[u8]) -> Verdict {
    let Some((date, rest)) = text.split_first_chunk::<6>() else { return Verdict::No };
    let (century, rest) = match rest {
        [a, b, c, check] => (None, [*a, *b, *c, *check]),
        [letter, a, b, c, check] => (Some(*letter), [*a, *b, *c, *check]),
        _ => return Verdict::No,
    };
    let [a, b, c, check] = rest;
    let (Some(date), Some(serial)) = (digits::<6>(date), digits::<3>(&[a, b, c])) else { return Verdict::No };
    let year = part(&date, 4, 6);
    let year = match century {
        None => None,
        Some(b'A'..=b'F') => Some(2000 + year),
        Some(b'U'..=b'Y' | b'-') => Some(1900 + year),
        Some(b'+') => Some(1800 + year),
        Some(_) => return Verdict::No,
    };
    if !is_day(year, part(&date, 2, 4), part(&date, 0, 2)) || number(&serial) < 2 {
        return Verdict::No;
    }
    let rest = (number(&date) * 1_000 + number(&serial)) % 31;
    Verdict::by(HETU_LETTERS.get(rest as usize) == Some(&check))
}

/// People only: companies have 40 added to the day.
pub(super) fn is_kennitala(text: &[u8]) -> Verdict {
    let Some(d) = digits::<10>(text) else { return Verdict::No };
    let century = match last(&d) {
        0 => 2000,
        9 => 1900,
        8 => 1800,
        _ => return Verdict::No,
    };
    if !is_day(Some(century + part(&d, 4, 6)), part(&d, 2, 4), part(&d, 0, 2)) {
        return Verdict::No;
    }
    Verdict::by(weighted(&d, &[3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11))
}

/// Also D-numbers (day + 40), and H-numbers and synthetic ones (month + 40, + 80, + 65).
pub(super) fn no_fnr(text: &[u8]) -> Verdict {
    let Some(d) = digits::<11>(text) else { return Verdict::No };
    let (day, month) = (part(&d, 0, 2), part(&d, 2, 4));
    let day = if day > 40 { day - 40 } else { day };
    let month = match month {
        81.. => month - 80,
        66..=77 => month - 65,
        41..=52 => month - 40,
        _ => month,
    };
    // The serial's first digit tells the century; ranges overlap too much to fix a leap year.
    if !is_day(None, month, day) {
        return Verdict::No;
    }
    let first = weighted(&d, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]);
    let second = weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]);
    Verdict::by(first.is_multiple_of(11) && second.is_multiple_of(11))
}

/// Also coordination numbers (day + 60); ten digits, or twelve with the century.
pub(super) fn se_pnr(text: &[u8]) -> Verdict {
    let (year, text) = match text.len() {
        12 => {
            let Some(head) = text.get(..4).and_then(digits::<4>) else { return Verdict::No };
            let year = number(&head) as u32;
            if !(1850..2100).contains(&year) {
                return Verdict::No;
            }
            (Some(year), text.get(2..).unwrap_or_default())
        }
        _ => (None, text),
    };
    let Some(d) = digits::<10>(text) else { return Verdict::No };
    let day = part(&d, 4, 6);
    let day = if day > 60 { day - 60 } else { day };
    if !is_day(year, part(&d, 2, 4), day) {
        return Verdict::No;
    }
    Verdict::by(luhn(&d))
}

/// The two steps that Estonia and Lithuania share: if the first weights leave ten, the second count.
fn two_steps(d: &[u8; 11]) -> bool {
    let first = weighted(d, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let check = if first < 10 { first } else { weighted(d, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 % 10 };
    check == last(d)
}

/// Sex and century, date, serial.
fn baltic(text: &[u8], heads: std::ops::RangeInclusive<u32>) -> Verdict {
    let Some(d) = digits::<11>(text) else { return Verdict::No };
    let head = part(&d, 0, 1);
    if !heads.contains(&head) {
        return Verdict::No;
    }
    let year = 1800 + (head - 1) / 2 * 100 + part(&d, 1, 3);
    if !is_day(Some(year), part(&d, 3, 5), part(&d, 5, 7)) {
        return Verdict::No;
    }
    Verdict::by(two_steps(&d))
}

pub(super) fn ee_isikukood(text: &[u8]) -> Verdict {
    baltic(text, 1..=8)
}

/// Codes that begin with 9 were given without a date.
pub(super) fn lt_asmens_kodas(text: &[u8]) -> Verdict {
    match text.first() {
        Some(b'9') => digits::<11>(text).map_or(Verdict::No, |d| Verdict::by(two_steps(&d))),
        _ => baltic(text, 1..=6),
    }
}

/// Those given since July 2017 begin with 32 to 39 and carry no date; their check digit is not relied upon.
pub(super) fn lv_pk(text: &[u8]) -> Verdict {
    let Some(d) = digits::<11>(text) else { return Verdict::No };
    let sum = 1 + weighted(&d, &[10, 5, 8, 4, 2, 1, 6, 3, 7, 9]);
    let right = sum % 11 % 10 == last(&d);
    if (32..=39).contains(&part(&d, 0, 2)) {
        return if right { Verdict::Valid } else { Verdict::Unchecked };
    }
    let century = part(&d, 6, 7);
    if century > 2 || !is_day(Some(1800 + century * 100 + part(&d, 4, 6)), part(&d, 2, 4), part(&d, 0, 2)) {
        return Verdict::No;
    }
    Verdict::by(right)
}
