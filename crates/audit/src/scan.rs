//! The auditor's own search for identifiers of people in released bytes.
//!
//! It is plain on purpose and shares nothing with the operator's inspection. It says which kinds it saw and
//! how often, never the values.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
};

/// A kind of identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Identifier {
    /// A mail address.
    Email,
    /// A telephone number in the international form, E.164.
    Phone,
    /// A bank account, ISO 13616, whose check digits are right.
    Iban,
    /// A payment card of 13 to 16 digits whose check digit is right.
    Card,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// Latitude and longitude side by side, to four decimals or more.
    Coordinates,
}

/// What was seen, and how often.
pub(crate) fn scan(bytes: &[u8]) -> BTreeMap<Identifier, u64> {
    let text = String::from_utf8_lossy(bytes);
    let mut found = BTreeMap::new();
    let mut see = |kind| *found.entry(kind).or_insert(0) += 1;
    for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || "@._%+-".contains(c))) {
        let word = word.trim_matches(['.', '-', '_', '+']);
        if is_email(word) {
            see(Identifier::Email);
        } else if word.parse::<Ipv4Addr>().is_ok() {
            see(Identifier::Ipv4);
        }
    }
    for word in text.split(|c: char| !(c.is_ascii_hexdigit() || c == ':' || c == '.')) {
        if word.matches(':').count() >= 2 && word.len() > 5 && word.parse::<Ipv6Addr>().is_ok() {
            see(Identifier::Ipv6);
        }
    }
    let chars: Vec<char> = text.chars().collect();
    let mut last = ' ';
    for (place, now) in chars.iter().enumerate() {
        // Only where a word begins.
        let rest = chars.get(place..).unwrap_or_default();
        if !last.is_alphanumeric() && last != '.' {
            if *now == '+' && is_phone(rest) {
                see(Identifier::Phone);
            } else if now.is_ascii_uppercase() && is_iban(rest) {
                see(Identifier::Iban);
            } else if ('3'..='6').contains(now) && !"+-".contains(last) && is_card(rest) {
                see(Identifier::Card);
            }
        }
        let begins = (now.is_ascii_digit() || *now == '-') && !last.is_alphanumeric() && !".-".contains(last);
        if begins && is_coordinates(rest) {
            see(Identifier::Coordinates);
        }
        last = *now;
    }
    found
}

fn is_email(word: &str) -> bool {
    let Some((local, domain)) = word.split_once('@') else { return false };
    let Some((host, top)) = domain.rsplit_once('.') else { return false };
    let label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    !local.is_empty()
        && host.split('.').all(label)
        && top.len() >= 2
        && top.chars().all(|c| c.is_ascii_alphabetic())
}

/// Digits of a number in which single blanks, dots, dashes or brackets may stand, and what ends it.
fn digits(chars: &[char], between: &str, most: usize) -> (Vec<u32>, Option<char>) {
    let (mut digits, mut gap) = (Vec::new(), 0);
    for c in chars {
        match c.to_digit(10) {
            Some(digit) => {
                digits.push(digit);
                gap = 0;
            }
            None if between.contains(*c) && gap < 2 && !digits.is_empty() => gap += 1,
            // What follows a gap does not end the number.
            None => return (digits, (gap == 0).then_some(*c)),
        }
        if digits.len() > most {
            break;
        }
    }
    (digits, None)
}

fn is_phone(chars: &[char]) -> bool {
    let (digits, end) = digits(chars.get(1..).unwrap_or_default(), " -().", 15);
    (8..=15).contains(&digits.len())
        && digits.first().is_some_and(|digit| *digit != 0)
        && !end.is_some_and(char::is_alphabetic)
}

fn is_card(chars: &[char]) -> bool {
    let (digits, end) = digits(chars, " -", 16);
    if !(13..=16).contains(&digits.len()) || end.is_some_and(|c| c.is_alphabetic() || c == '.' || c == '_') {
        return false;
    }
    // Luhn.
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| if place % 2 == 0 { *digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| Some(digit) != digits.first())
}

fn is_iban(chars: &[char]) -> bool {
    let (mut account, mut blank): (Vec<char>, bool) = (Vec::new(), false);
    for (place, c) in chars.iter().enumerate() {
        let shape = match account.len() {
            0 | 1 => c.is_ascii_uppercase(),
            2 | 3 => c.is_ascii_digit(),
            _ => c.is_ascii_uppercase() || c.is_ascii_digit(),
        };
        if shape && account.len() < 34 {
            account.push(*c);
            blank = false;
            let ends = !chars.get(place + 1).is_some_and(|next| next.is_alphanumeric());
            if ends && account.len() >= 15 && mod_97(&account) == Some(1) {
                return true;
            }
        } else if *c == ' ' && !blank && account.len() >= 4 {
            blank = true;
        } else {
            return false;
        }
    }
    false
}

fn mod_97(account: &[char]) -> Option<u32> {
    let (country, rest) = account.split_at_checked(4)?;
    rest.iter().chain(country).try_fold(0, |sum, c| {
        let value = c.to_digit(36)?;
        Some((sum * if value > 9 { 100 } else { 10 } + value) % 97)
    })
}

fn is_coordinates(chars: &[char]) -> bool {
    let decimal = |chars: &[char], most: f64| {
        let text: String =
            chars.iter().take(24).take_while(|c| c.is_ascii_digit() || matches!(c, '.' | '-')).collect();
        let fraction = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let good = fraction >= 4 && text.parse::<f64>().is_ok_and(|value| value.abs() <= most);
        good.then_some(text.len())
    };
    let Some(length) = decimal(chars, 90.0) else { return false };
    let rest = chars.get(length..).unwrap_or_default();
    let gap = rest.iter().take(4).take_while(|c| matches!(c, ',' | ';' | ' ')).count();
    (1..4).contains(&gap) && decimal(rest.get(gap..).unwrap_or_default(), 180.0).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds(text: &str) -> Vec<Identifier> {
        scan(text.as_bytes()).into_keys().collect()
    }

    #[test]
    fn each_kind_is_seen_in_the_forms_that_people_write() {
        use Identifier::*;
        for (text, kind) in [
            (r#"{"mail":"ann.lee+x@mail.example.ie"}"#, Email),
            ("write to <a@b.eu>, soon", Email),
            ("call +353 (0)86 123-4567 now", Phone),
            (r#""+4915112345678""#, Phone),
            ("IE29AIBK93115212345678", Iban),
            ("DE89 3704 0044 0532 0130 00.", Iban),
            ("4111 1111 1111 1111", Card),
            ("card 5555-5555-5555-4444!", Card),
            ("378282246310005", Card),
            ("from 203.0.113.9:443", Ipv4),
            (r#"["203.0.113.9"]"#, Ipv4),
            ("2001:db8::8a2e:370:7334", Ipv6),
            ("at 53.34981, -6.26031", Coordinates),
            ("[53.3498,6.2603]", Coordinates),
        ] {
            assert!(kinds(text).contains(&kind), "{text}: {:?}", kinds(text));
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not_seen() {
        for text in [
            "",
            "@handle and a@b and a@b.c1",
            "+0123456789 or 1+12345678 or +1234567",
            "IE29AIBK93115212345679",
            "4111111111111112",
            "7312345678901234567",
            "0000000000000000",
            "12:34:56 and 2026-11-22T10:00:00Z",
            "1.2.3 and 1.2.3.4.5 and 999.1.1.1",
            "std::io::Error",
            "53.34, -6.26 and 95.12345, 10.12345",
            "abcdef0123456789abcdef0123456789",
        ] {
            assert_eq!(kinds(text), [], "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            scan(&bytes);
        }

        #[test]
        fn a_changed_digit_of_an_account_is_no_account(place in 4_usize..22, by in 1_u8..9) {
            let mut text = b"DE89370400440532013000".to_vec();
            text[place] = b'0' + (text[place] - b'0' + by) % 10;
            prop_assert!(!kinds(&String::from_utf8(text).unwrap()).contains(&Identifier::Iban));
        }
    }
}
