//! Austria, Belgium, France, Germany, Ireland, Liechtenstein, Luxembourg, the Netherlands, Switzerland, the
//! United Kingdom.

use super::Verdict;
use super::check::{digits, is_day, last, luhn, mod_11_10, number, part, value36, verhoeff, weighted};

/// The date may be made up where it is not known, with a month of up to 15.
pub(super) fn at_svnr(text: &[u8]) -> Verdict {
    let Some(d) = digits::<10>(text) else { return Verdict::No };
    let (day, month) = (part(&d, 4, 6), part(&d, 6, 8));
    if part(&d, 0, 1) == 0 || !(1..=31).contains(&day) || !(1..=15).contains(&month) {
        return Verdict::No;
    }
    let sum = weighted(&d, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11;
    Verdict::by(sum == part(&d, 3, 4))
}

pub(super) fn at_tin(text: &[u8]) -> Verdict {
    digits::<9>(text).map_or(Verdict::No, |d| Verdict::by(number(&d) > 0 && luhn(&d)))
}

/// Also BIS numbers (month + 20, + 40); unknown months and days are zero.
pub(super) fn be_nrn(text: &[u8]) -> Verdict {
    let Some(d) = digits::<11>(text) else { return Verdict::No };
    let (month, day, serial) = (part(&d, 2, 4), part(&d, 4, 6), part(&d, 6, 9));
    let month = match month {
        40..=52 => month - 40,
        20..=32 => month - 20,
        _ => month,
    };
    let dated = if month == 0 || day == 0 { month <= 12 && day <= 31 } else { is_day(None, month, day) };
    if !dated || serial == 0 || serial == 999 {
        return Verdict::No;
    }
    let head = number(d.get(..9).unwrap_or_default());
    let check = u64::from(part(&d, 9, 11));
    let born_before_2000 = 97 - head % 97 == check;
    // Years from 40 on are not yet of this century.
    let born_since = part(&d, 0, 2) < 40 && 97 - (2_000_000_000 + head) % 97 == check;
    Verdict::by(born_before_2000 || born_since)
}

/// Department 2A and 2B are Corsica's; months from 20 on stand for ones that are not known.
pub(super) fn fr_nir(text: &[u8]) -> Verdict {
    let mut plain = [0; 15];
    if text.len() != plain.len() {
        return Verdict::No;
    }
    plain.copy_from_slice(text);
    match text.get(5..7) {
        Some(b"2A") => plain.get_mut(5..7).unwrap_or_default().copy_from_slice(b"19"),
        Some(b"2B") => plain.get_mut(5..7).unwrap_or_default().copy_from_slice(b"18"),
        _ => {}
    }
    let Some(d) = digits::<15>(&plain) else { return Verdict::No };
    let month = part(&d, 3, 5);
    let known = matches!(month, 1..=12 | 20 | 30..=42 | 50..=99);
    if !matches!(part(&d, 0, 1), 1 | 2 | 3 | 4 | 7 | 8)
        || !known
        || part(&d, 5, 7) == 0
        || part(&d, 10, 13) == 0
    {
        return Verdict::No;
    }
    let head = number(d.get(..13).unwrap_or_default());
    Verdict::by(97 - head % 97 == u64::from(part(&d, 13, 15)))
}

pub(super) fn fr_spi(text: &[u8]) -> Verdict {
    let Some(d) = digits::<13>(text) else { return Verdict::No };
    if part(&d, 0, 1) > 3 {
        return Verdict::No;
    }
    let head = number(d.get(..10).unwrap_or_default());
    Verdict::by(head > 0 && head % 511 == u64::from(part(&d, 10, 13)))
}

/// Of the first ten digits one stands there two or three times, and no other more than once.
pub(super) fn de_idnr(text: &[u8]) -> Verdict {
    let Some(d) = digits::<11>(text) else { return Verdict::No };
    let head = d.get(..10).unwrap_or_default();
    let count = |digit: u8| head.iter().filter(|d| **d == digit).count();
    let (mut repeated, mut many) = (0, false);
    for digit in 0..10 {
        let count = count(digit);
        repeated += u32::from(count > 1);
        many |= count > 3;
    }
    let in_a_row = head.windows(3).any(|three| matches!(three, [a, b, c] if a == b && b == c));
    if part(&d, 0, 1) == 0 || repeated != 1 || many || in_a_row {
        return Verdict::No;
    }
    Verdict::by(mod_11_10(&d))
}

/// Area, day of birth, first letter of the name at birth, serial, check digit.
pub(super) fn de_rvnr(text: &[u8]) -> Verdict {
    let (Some(head), Some(letter), Some(tail)) =
        (text.get(..8).and_then(digits::<8>), text.get(8), text.get(9..).and_then(digits::<3>))
    else {
        return Verdict::No;
    };
    // Days from 51 on are given where two people would share a number.
    let (area, day) = (part(&head, 0, 2), part(&head, 2, 4));
    let day = if day > 50 { day - 50 } else { day };
    if !letter.is_ascii_uppercase() || !(2..=89).contains(&area) || !is_day(None, part(&head, 4, 6), day) {
        return Verdict::No;
    }
    let place = letter - b'A' + 1;
    let [s0, s1, check] = tail;
    let [a, b, c, d, e, f, g, h] = head;
    let all = [a, b, c, d, e, f, g, h, place / 10, place % 10, s0, s1];
    let products = all.iter().zip([2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1]).map(|(digit, weight)| digit * weight);
    let sum: u32 = products.map(|product| u32::from(product / 10 + product % 10)).sum();
    Verdict::by(sum % 10 == u32::from(check))
}

/// Nine letters and digits of the machine-readable alphabet without vowels, and a check digit.
pub(super) fn de_perso(text: &[u8]) -> Verdict {
    let Some((serial, check)) = text.split_first_chunk::<9>() else { return Verdict::No };
    let is_serial = |b: &u8| b.is_ascii_digit() || b"CFGHJKLMNPRTVWXYZ".contains(b);
    if !serial.iter().all(is_serial) || !serial.first().is_some_and(|b| b"LMNPRTVWXYCFGHJK".contains(b)) {
        return Verdict::No;
    }
    let sum: u32 = serial.iter().zip([7, 3, 1].iter().cycle()).map(|(b, weight)| value36(*b) * weight).sum();
    match check {
        [] => Verdict::Unchecked,
        [check] if check.is_ascii_digit() => Verdict::by(sum % 10 == u32::from(check - b'0')),
        _ => Verdict::No,
    }
}

/// Seven digits, a check letter, and since 2013 a second letter that counts nine times.
pub(super) fn ie_ppsn(text: &[u8]) -> Verdict {
    const LETTERS: &[u8; 23] = b"WABCDEFGHIJKLMNOPQRSTUV";
    let (Some(head), Some(check)) = (text.get(..7).and_then(digits::<7>), text.get(7)) else {
        return Verdict::No;
    };
    let second = match text.get(8..) {
        Some([]) => 0,
        Some([letter @ b'A'..=b'I']) => u32::from(letter - b'A') + 1,
        Some([b'W' | b'T' | b'X']) => 0,
        _ => return Verdict::No,
    };
    if !check.is_ascii_uppercase() || *check > b'W' {
        return Verdict::No;
    }
    let sum = weighted(&head, &[8, 7, 6, 5, 4, 3, 2]) + second * 9;
    Verdict::by(LETTERS.get((sum % 23) as usize) == Some(check))
}

/// Up to twelve digits; nothing checks them.
pub(super) fn li_peid(text: &[u8]) -> Verdict {
    let fits = (4..=12).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    if fits { Verdict::Unchecked } else { Verdict::No }
}

/// Day of birth, serial, and two check digits, each over the first eleven.
pub(super) fn lu_matricule(text: &[u8]) -> Verdict {
    let Some(d) = digits::<13>(text) else { return Verdict::No };
    let year = part(&d, 0, 4);
    if !(1850..2100).contains(&year) || !is_day(Some(year), part(&d, 4, 6), part(&d, 6, 8)) {
        return Verdict::No;
    }
    let [head @ .., first, second] = d;
    let mut second_over = [0; 12];
    second_over.get_mut(..11).unwrap_or_default().copy_from_slice(&head);
    let mut first_over = second_over;
    first_over[11] = first;
    second_over[11] = second;
    Verdict::by(luhn(&first_over) && verhoeff(&second_over))
}

/// The test of eleven; numbers of eight digits are written with a zero before them.
pub(super) fn nl_bsn(text: &[u8]) -> Verdict {
    let Some(d) = digits::<9>(text) else { return Verdict::No };
    // The last weight is minus one.
    let sum = weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2, 10]);
    Verdict::by(number(&d) >= 1_000_000 && sum.is_multiple_of(11))
}

/// EAN-13 within 756, Switzerland's number in ISO 3166-1.
pub(super) fn ch_ahv(text: &[u8]) -> Verdict {
    let Some(d) = digits::<13>(text) else { return Verdict::No };
    if part(&d, 0, 3) != 756 {
        return Verdict::No;
    }
    Verdict::by(weighted(&d, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10))
}

/// Prefixes that HMRC does not give, six digits, and one of four letters at the end.
pub(super) fn gb_nino(text: &[u8]) -> Verdict {
    let Some(([first, second], rest)) = text.split_first_chunk::<2>() else { return Verdict::No };
    let given = first.is_ascii_uppercase()
        && second.is_ascii_uppercase()
        && !b"DFIQUV".contains(first)
        && !b"DFIOQUV".contains(second)
        && !matches!(&[*first, *second], b"BG" | b"GB" | b"KN" | b"NK" | b"NT" | b"TN" | b"ZZ");
    let numbered = rest.get(..6).is_some_and(|six| six.iter().all(u8::is_ascii_digit));
    match rest.get(6..) {
        Some([b'A'..=b'D']) if given && numbered => Verdict::Valid,
        Some([]) if given && numbered => Verdict::Unchecked,
        _ => Verdict::No,
    }
}

pub(super) fn gb_nhs(text: &[u8]) -> Verdict {
    let Some(d) = digits::<10>(text) else { return Verdict::No };
    Verdict::by(number(&d) > 0 && weighted(&d, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11))
}

/// The check digit stands first; a K after the number means nothing.
pub(super) fn gb_utr(text: &[u8]) -> Verdict {
    let Some(d) = digits::<10>(text.strip_suffix(b"K").unwrap_or(text)) else { return Verdict::No };
    let rest = weighted(d.get(1..).unwrap_or_default(), &[6, 7, 8, 9, 10, 5, 4, 3, 2]) % 11;
    let check = [2, 1, 9, 8, 7, 6, 5, 4, 3, 2, 1].get(rest as usize).copied();
    Verdict::by(number(&d) > 0 && check == Some(part(&d, 0, 1)))
}

/// True if the last digit of `d` is the rest of `sum` modulo eleven, ten being never given.
pub(super) fn rest_11(d: &[u8], sum: u32) -> bool {
    sum % 11 == last(d)
}
