//! International bank account numbers.

/// Longest IBAN (Russia and Saint Lucia have the longest today).
const LEN_MAX: usize = 34;

/// Account formats by country, from the IBAN registry (ISO 13616): `n` digits, `a` letters, `c`
/// letters or digits, each after its count. Sorted by country.
#[rustfmt::skip]
static FORMATS: &[(&[u8; 2], &str)] = &[
    (b"AD", "8n12c"), (b"AE", "19n"), (b"AL", "8n16c"), (b"AT", "16n"), (b"AZ", "4a20c"),
    (b"BA", "16n"), (b"BE", "12n"), (b"BG", "4a6n8c"), (b"BH", "4a14c"), (b"BI", "23n"),
    (b"BR", "23n1a1c"), (b"BY", "4c4n16c"), (b"CH", "5n12c"), (b"CR", "18n"), (b"CY", "8n16c"),
    (b"CZ", "20n"), (b"DE", "18n"), (b"DJ", "23n"), (b"DK", "14n"), (b"DO", "4c20n"),
    (b"EE", "16n"), (b"EG", "25n"), (b"ES", "20n"), (b"FI", "14n"), (b"FK", "2a12n"),
    (b"FO", "14n"), (b"FR", "10n11c2n"), (b"GB", "4a14n"), (b"GE", "2a16n"), (b"GI", "4a15c"),
    (b"GL", "14n"), (b"GR", "7n16c"), (b"GT", "24c"), (b"HN", "4a20n"), (b"HR", "17n"),
    (b"HU", "24n"), (b"IE", "4a14n"), (b"IL", "19n"), (b"IQ", "4a15n"), (b"IS", "22n"),
    (b"IT", "1a10n12c"), (b"JO", "4a4n18c"), (b"KW", "4a22c"), (b"KZ", "3n13c"), (b"LB", "4n20c"),
    (b"LC", "4a24c"), (b"LI", "5n12c"), (b"LT", "16n"), (b"LU", "3n13c"), (b"LV", "4a13c"),
    (b"LY", "21n"), (b"MC", "10n11c2n"), (b"MD", "20c"), (b"ME", "18n"), (b"MK", "3n10c2n"),
    (b"MN", "16n"), (b"MR", "23n"), (b"MT", "4a5n18c"), (b"MU", "4a19n3a"), (b"NI", "4a20n"),
    (b"NL", "4a10n"), (b"NO", "11n"), (b"OM", "3n16c"), (b"PK", "4a16c"), (b"PL", "24n"),
    (b"PS", "4a21c"), (b"PT", "21n"), (b"QA", "4a21c"), (b"RO", "4a16c"), (b"RS", "18n"),
    (b"RU", "14n15c"), (b"SA", "2n18c"), (b"SC", "4a20n3a"), (b"SD", "14n"), (b"SE", "20n"),
    (b"SI", "15n"), (b"SK", "20n"), (b"SM", "1a10n12c"), (b"SO", "19n"), (b"ST", "21n"),
    (b"SV", "4a20n"), (b"TL", "19n"), (b"TN", "20n"), (b"TR", "6n16c"), (b"UA", "6n19c"),
    (b"VA", "18n"), (b"VG", "4a16n"), (b"XK", "16n"), (b"YE", "4a4n18c"),
];

/// True for an IBAN of a known country with the right length, format and check digits (ISO 7064,
/// mod 97-10). Either case; spaces are passed over.
///
/// ```
/// assert!(inspect::iban_valid(b"DE89 3704 0044 0532 0130 00"));
/// assert!(!inspect::iban_valid(b"DE89 3704 0044 0532 0130 01"));
/// ```
#[must_use]
pub fn iban_valid(text: &[u8]) -> bool {
    let mut letters = text.iter().copied().filter(|b| *b != b' ');
    let mut compact = [0; LEN_MAX];
    let mut len = 0;
    for (place, b) in compact.iter_mut().zip(&mut letters) {
        *place = b.to_ascii_uppercase();
        len += 1;
    }
    letters.next().is_none() && compact.get(..len).is_some_and(is_iban)
}

/// The end of an IBAN that starts at `start` with its country letters. Single spaces, dashes and
/// dots between its letters are passed over.
pub(crate) fn iban_end(text: &[u8], start: usize) -> Option<usize> {
    let country = [text.get(start)?.to_ascii_uppercase(), text.get(start + 1)?.to_ascii_uppercase()];
    let len = 4 + format_len(format(country)?);
    let mut compact = [0; LEN_MAX];
    let mut at = start;
    for (count, place) in compact.iter_mut().take(len).enumerate() {
        if count > 2 && text.get(at).is_some_and(|b| matches!(b, b' ' | b'-' | b'.')) {
            at += 1;
        }
        *place = text.get(at).filter(|b| b.is_ascii_alphanumeric())?.to_ascii_uppercase();
        at += 1;
    }
    let goes_on = text.get(at).is_some_and(u8::is_ascii_alphanumeric);
    (!goes_on && compact.get(..len).is_some_and(is_iban)).then_some(at)
}

/// Checks upper-case letters and digits without separators.
fn is_iban(compact: &[u8]) -> bool {
    let Some((head, account)) = compact.split_first_chunk::<4>() else { return false };
    let [c0, c1, d0, d1] = *head;
    d0.is_ascii_digit()
        && d1.is_ascii_digit()
        && format([c0, c1]).is_some_and(|format| fits(account, format))
        && remainder(account.iter().chain(head)) == 1
}

fn format(country: [u8; 2]) -> Option<&'static str> {
    let known = FORMATS.binary_search_by(|(code, _)| (**code).cmp(&country)).ok()?;
    FORMATS.get(known).map(|(_, format)| *format)
}

/// The parts of a format: how many letters, of which class.
fn parts(format: &str) -> impl Iterator<Item = (usize, u8)> {
    let mut count = 0;
    format.bytes().filter_map(move |b| {
        if b.is_ascii_digit() {
            count = count * 10 + usize::from(b - b'0');
            return None;
        }
        Some((std::mem::take(&mut count), b))
    })
}

fn format_len(format: &str) -> usize {
    parts(format).map(|(count, _)| count).sum()
}

fn fits(mut account: &[u8], format: &str) -> bool {
    for (count, class) in parts(format) {
        let Some((part, rest)) = account.split_at_checked(count) else { return false };
        let fits = part.iter().all(|b| match class {
            b'n' => b.is_ascii_digit(),
            b'a' => b.is_ascii_uppercase(),
            _ => b.is_ascii_digit() || b.is_ascii_uppercase(),
        });
        if !fits {
            return false;
        }
        account = rest;
    }
    account.is_empty()
}

/// The number that the letters spell (A is 10, Z is 35), modulo 97.
fn remainder<'b>(letters: impl Iterator<Item = &'b u8>) -> u32 {
    letters.fold(0, |rest, b| match b {
        b'0'..=b'9' => (rest * 10 + u32::from(b - b'0')) % 97,
        _ => (rest * 100 + u32::from(b.saturating_sub(b'A')) + 10) % 97,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_no_iban_is_too_long() {
        assert!(FORMATS.is_sorted_by(|(a, _), (b, _)| a < b));
        for (country, format) in FORMATS {
            assert!((11..=LEN_MAX - 4).contains(&format_len(format)), "{country:?}");
        }
    }
}
