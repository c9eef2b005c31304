//! Bulgaria, Croatia, Czechia, Hungary, Poland, Romania, Slovakia, Slovenia.

use super::Verdict;
use super::check::{digits, is_day, last, mod_11_10, number, part, weighted};
use super::west::rest_11;

/// Months above 20 are of the 1800s, above 40 of the 2000s.
pub(super) fn bg_egn(text: &[u8]) -> Verdict {
    let Some(d) = digits::<10>(text) else { return Verdict::No };
    let (year, month) = (part(&d, 0, 2), part(&d, 2, 4));
    let (year, month) = match month {
        41.. => (2000 + year, month - 40),
        21..=40 => (1800 + year, month - 20),
        _ => (1900 + year, month),
    };
    if !is_day(Some(year), month, part(&d, 4, 6)) {
        return Verdict::No;
    }
    Verdict::by(weighted(&d, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == last(&d))
}

/// The number of a foreigner.
pub(super) fn bg_pnf(text: &[u8]) -> Verdict {
    let Some(d) = digits::<10>(text) else { return Verdict::No };
    Verdict::by(number(&d) > 0 && weighted(&d, &[21, 19, 17, 13, 11, 9, 7, 3, 1]) % 10 == last(&d))
}

pub(super) fn hr_oib(text: &[u8]) -> Verdict {
    digits::<11>(text).map_or(Verdict::No, |d| Verdict::by(mod_11_10(&d)))
}

/// Women have 50 added to the month; since 2004 20 may be added to either. Nine digits were given before 1954,
/// without a check digit.
pub(super) fn rodne_cislo(text: &[u8]) -> Verdict {
    let short = text.len() == 9;
    let mut ten = [b'0'; 10];
    if !short && text.len() != 10 {
        return Verdict::No;
    }
    ten.get_mut(..text.len()).unwrap_or_default().copy_from_slice(text);
    let Some(d) = digits::<10>(&ten) else { return Verdict::No };
    let year = part(&d, 0, 2);
    let year = match (short, year) {
        (true, 54..=79) => return Verdict::No,
        (true, 80..) => 1800 + year,
        (false, ..54) => 2000 + year,
        _ => 1900 + year,
    };
    let month = part(&d, 2, 4);
    let month = if month > 50 { month - 50 } else { month };
    let month = if month > 20 && year >= 2004 { month - 20 } else { month };
    if !is_day(Some(year), month, part(&d, 4, 6)) {
        return Verdict::No;
    }
    if short {
        return if part(&d, 6, 9) == 0 { Verdict::No } else { Verdict::Unchecked };
    }
    let head = number(d.get(..9).unwrap_or_default());
    // A rest of ten was written as zero, by rule until 1985.
    Verdict::by(head % 11 % 10 == u64::from(last(&d)))
}

pub(super) fn hu_tax(text: &[u8]) -> Verdict {
    let Some(d) = digits::<10>(text) else { return Verdict::No };
    if part(&d, 0, 1) != 8 {
        return Verdict::No;
    }
    Verdict::by(rest_11(&d, weighted(&d, &[1, 2, 3, 4, 5, 6, 7, 8, 9])))
}

/// Who was born in 1997 or later has the weights the other way round.
pub(super) fn hu_personal(text: &[u8]) -> Verdict {
    let Some(d) = digits::<11>(text) else { return Verdict::No };
    let year = part(&d, 1, 3);
    let year = match part(&d, 0, 1) {
        1 | 2 => 1900 + year,
        3 | 4 if year < 50 => 2000 + year,
        3 | 4 => 1800 + year,
        // Foreign citizens.
        5 | 6 => 1900 + year,
        7 | 8 => 2000 + year,
        _ => return Verdict::No,
    };
    if !is_day(Some(year), part(&d, 3, 5), part(&d, 5, 7)) {
        return Verdict::No;
    }
    let weights = if year < 1997 { [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] } else { [10, 9, 8, 7, 6, 5, 4, 3, 2, 1] };
    Verdict::by(rest_11(&d, weighted(&d, &weights)))
}

pub(super) fn hu_taj(text: &[u8]) -> Verdict {
    let Some(d) = digits::<9>(text) else { return Verdict::No };
    Verdict::by(number(&d) > 0 && weighted(&d, &[3, 7, 3, 7, 3, 7, 3, 7]) % 10 == last(&d))
}

/// The month tells the century: 80 for the 1800s, then 0, 20, 40, 60.
pub(super) fn pl_pesel(text: &[u8]) -> Verdict {
    let Some(d) = digits::<11>(text) else { return Verdict::No };
    let (year, month) = (part(&d, 0, 2), part(&d, 2, 4));
    let century = match month / 20 {
        4 => 1800,
        century => 1900 + century * 100,
    };
    if !is_day(Some(century + year), month % 20, part(&d, 4, 6)) {
        return Verdict::No;
    }
    Verdict::by(weighted(&d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10))
}

pub(super) fn pl_nip(text: &[u8]) -> Verdict {
    let Some(d) = digits::<10>(text) else { return Verdict::No };
    Verdict::by(number(&d) > 0 && rest_11(&d, weighted(&d, &[6, 5, 7, 2, 3, 4, 5, 6, 7])))
}

pub(super) fn ro_cnp(text: &[u8]) -> Verdict {
    let Some(d) = digits::<13>(text) else { return Verdict::No };
    let year = part(&d, 1, 3);
    let year = match part(&d, 0, 1) {
        1 | 2 => Some(1900 + year),
        3 | 4 => Some(1800 + year),
        5 | 6 => Some(2000 + year),
        7..=9 => None,
        _ => return Verdict::No,
    };
    let county = part(&d, 7, 9);
    let known = matches!(county, 1..=48 | 51 | 52 | 70 | 80..=83);
    if !is_day(year, part(&d, 3, 5), part(&d, 5, 7)) || !known {
        return Verdict::No;
    }
    let rest = weighted(&d, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    Verdict::by(if rest == 10 { 1 } else { rest } == last(&d))
}

/// Day of birth with three digits of the year, region (50 to 59 are Slovenia's), serial.
pub(super) fn si_emso(text: &[u8]) -> Verdict {
    let Some(d) = digits::<13>(text) else { return Verdict::No };
    let year = part(&d, 4, 7);
    let year = if year >= 800 { 1000 + year } else { 2000 + year };
    if !is_day(Some(year), part(&d, 2, 4), part(&d, 0, 2)) || year > 2099 {
        return Verdict::No;
    }
    let sum = weighted(&d, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]);
    Verdict::by(sum.is_multiple_of(11))
}

pub(super) fn si_tax(text: &[u8]) -> Verdict {
    let Some(d) = digits::<8>(text) else { return Verdict::No };
    let check = 11 - weighted(&d, &[8, 7, 6, 5, 4, 3, 2]) % 11;
    Verdict::by(part(&d, 0, 1) > 0 && if check == 10 { 0 } else { check } == last(&d))
}
