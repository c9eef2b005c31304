//! Cyprus, Greece, Italy, Malta, Portugal, Spain.

use super::Verdict;
use super::check::{digits, is_day, last, luhn, number, part, value36, weighted};

/// The values that digits and letters have at odd places, in Italy's and Cyprus's scheme.
const ODD: [u8; 26] =
    [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];

fn odd(place: u32) -> u32 {
    ODD.get(place as usize).copied().map_or(0, u32::from)
}

pub(super) fn cy_tic(text: &[u8]) -> Verdict {
    let Some((head, [check])) = text.split_at_checked(8) else { return Verdict::No };
    let Some(d) = digits::<8>(head) else { return Verdict::No };
    if !check.is_ascii_uppercase() || part(&d, 0, 2) == 12 {
        return Verdict::No;
    }
    let value = |(place, digit): (usize, &u8)| {
        if place % 2 == 0 { odd(u32::from(*digit)) } else { u32::from(*digit) }
    };
    let sum: u32 = d.iter().enumerate().map(value).sum();
    Verdict::by(sum % 26 == u32::from(check - b'A'))
}

pub(super) fn gr_afm(text: &[u8]) -> Verdict {
    let Some(d) = digits::<9>(text) else { return Verdict::No };
    let sum: u32 = d.iter().take(8).enumerate().map(|(place, digit)| u32::from(*digit) << (8 - place)).sum();
    Verdict::by(number(&d) > 0 && sum % 11 % 10 == last(&d))
}

pub(super) fn gr_amka(text: &[u8]) -> Verdict {
    let Some(d) = digits::<11>(text) else { return Verdict::No };
    if !is_day(None, part(&d, 2, 4), part(&d, 0, 2)) {
        return Verdict::No;
    }
    Verdict::by(luhn(&d))
}

/// Where a codice fiscale has digits; letters take their place when two people would share one.
const CF_DIGITS: [usize; 7] = [6, 7, 9, 10, 12, 13, 14];

/// The digit that a letter stands for at a digit's place.
fn cf_digit(b: u8) -> Option<u32> {
    match b {
        b'0'..=b'9' => Some(u32::from(b - b'0')),
        _ => b"LMNPQRSTUV".iter().position(|letter| *letter == b).map(|digit| digit as u32),
    }
}

pub(super) fn it_cf(text: &[u8]) -> Verdict {
    let Ok(text) = <&[u8; 16]>::try_from(text) else { return Verdict::No };
    let fits = text.iter().enumerate().all(|(place, b)| match place {
        8 => b"ABCDEHLMPRST".contains(b),
        place if CF_DIGITS.contains(&place) => cf_digit(*b).is_some(),
        _ => b.is_ascii_uppercase(),
    });
    let day = cf_digit(text[9]).unwrap_or(0) * 10 + cf_digit(text[10]).unwrap_or(0);
    if !fits || !matches!(day, 1..=31 | 41..=71) {
        return Verdict::No;
    }
    let [head @ .., check] = text;
    let place_of = |b: u8| if b.is_ascii_digit() { value36(b) } else { value36(b) - 10 };
    let value = |(place, b): (usize, &u8)| if place % 2 == 0 { odd(place_of(*b)) } else { place_of(*b) };
    let sum: u32 = head.iter().enumerate().map(value).sum();
    Verdict::by(sum % 26 == u32::from(check - b'A'))
}

/// Seven digits and a letter that tells where it was registered. Nothing checks it.
pub(super) fn mt_id(text: &[u8]) -> Verdict {
    let Some((head, [letter])) = text.split_at_checked(7) else { return Verdict::No };
    let fits = digits::<7>(head).is_some_and(|d| number(&d) > 0) && b"MGAPLHBZ".contains(letter);
    if fits { Verdict::Valid } else { Verdict::No }
}

pub(super) fn pt_nif(text: &[u8]) -> Verdict {
    let Some(d) = digits::<9>(text) else { return Verdict::No };
    let rest = weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if rest < 2 { 0 } else { 11 - rest };
    Verdict::by(part(&d, 0, 1) > 0 && check == last(&d))
}

/// Civil number with its check digit, version of two letters or digits, and a check over all.
pub(super) fn pt_cc(text: &[u8]) -> Verdict {
    let Ok(text) = <&[u8; 12]>::try_from(text) else { return Verdict::No };
    let (civil, version) = (text.get(..9).unwrap_or_default(), text.get(9..11).unwrap_or_default());
    let fits = civil.iter().all(u8::is_ascii_digit)
        && version.iter().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        && version.iter().any(u8::is_ascii_uppercase)
        && text[11].is_ascii_digit();
    if !fits {
        return Verdict::No;
    }
    let value = |(place, b): (usize, &u8)| {
        let value = value36(*b);
        let twice = if place % 2 == 0 { value } else { value * 2 };
        if place % 2 == 1 && twice > 9 { twice - 9 } else { twice }
    };
    let sum: u32 = text.iter().rev().enumerate().map(value).sum();
    Verdict::by(sum.is_multiple_of(10))
}

pub(super) fn pt_niss(text: &[u8]) -> Verdict {
    let Some(d) = digits::<11>(text) else { return Verdict::No };
    let sum = weighted(&d, &[29, 23, 19, 17, 13, 11, 7, 5, 3, 2]);
    Verdict::by(matches!(part(&d, 0, 1), 1 | 2) && 9 - sum % 10 == last(&d))
}

const DNI_LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

fn dni_letter(number: u64) -> Option<u8> {
    DNI_LETTERS.get((number % 23) as usize).copied()
}

pub(super) fn es_dni(text: &[u8]) -> Verdict {
    let Some((head, [letter])) = text.split_at_checked(8) else { return Verdict::No };
    let Some(d) = digits::<8>(head) else { return Verdict::No };
    if !DNI_LETTERS.contains(letter) {
        return Verdict::No;
    }
    Verdict::by(number(&d) > 0 && dni_letter(number(&d)) == Some(*letter))
}

/// Foreigners (X, Y, Z), and people without a DNI (K, L, M).
pub(super) fn es_nie(text: &[u8]) -> Verdict {
    let Some(([head], rest)) = text.split_first_chunk::<1>() else { return Verdict::No };
    let Some((body, [letter])) = rest.split_at_checked(7) else { return Verdict::No };
    let Some(d) = digits::<7>(body) else { return Verdict::No };
    let head = match head {
        b'X' | b'K' | b'L' | b'M' => 0,
        b'Y' => 1,
        b'Z' => 2,
        _ => return Verdict::No,
    };
    if !DNI_LETTERS.contains(letter) {
        return Verdict::No;
    }
    Verdict::by(dni_letter(head * 10_000_000 + number(&d)) == Some(*letter))
}
