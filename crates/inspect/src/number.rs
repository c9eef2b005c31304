//! What is made of digits: telephone numbers, payment cards, IPv4 addresses, and the way to
//! IBANs.
//!
//! One walk visits every run of digits once. Runs that separators join form a sequence, and a
//! sequence is looked at as a card, an address or a telephone number.

mod card;
mod named;
mod phone;
mod plan;
mod sequence;

use std::net::Ipv4Addr;

use crate::iban::iban_end;
use crate::key::Hint;
use crate::network::belongs_to_device_v4;
use crate::{Country, Finding, Kind, Rule};

pub use card::{card_valid, luhn_valid};
pub(crate) use card::{keyed as keyed_cards, may_begin as may_begin_card};
pub(crate) use phone::keyed as keyed_phones;
use sequence::Sequence;

/// Looks at a bare number, as JSON spells it: a card, or nothing. Telephone numbers are not told
/// from counts without their separators.
///
/// ```
/// use inspect::{Kind, scan_number};
///
/// assert_eq!(scan_number(b"4111111111111111"), Some(Kind::Card));
/// assert_eq!(scan_number(b"1715000000000"), None);
/// ```
#[must_use]
pub fn scan_number(spelled: &[u8]) -> Option<Kind> {
    // Shorter numbers are nearly all numbers, and are settled by their length.
    (spelled.len() >= 13 && card_valid(spelled)).then_some(Kind::Card)
}

pub(crate) fn scan(text: &[u8], hint: Hint, out: &mut Vec<Finding>) {
    let mut sequence = Sequence::new();
    let mut at = 0;
    while let Some(start) = next_digit(text, at) {
        let last = before(text, start);
        at = if last == b'%' && phone::has_encoded_plus(text, start + 2) {
            start + 2
        } else if last.is_ascii_alphabetic() {
            letters_then_digits(text, start, hint, &mut sequence, out)
        } else {
            digits(text, start, hint, &mut sequence, out)
        };
    }
}

#[inline]
fn next_digit(text: &[u8], at: usize) -> Option<usize> {
    text.get(at..)?.iter().position(u8::is_ascii_digit).map(|offset| at + offset)
}

/// The byte before `at`, or a space at the start.
#[inline]
fn before(text: &[u8], at: usize) -> u8 {
    at.checked_sub(1).and_then(|at| text.get(at)).copied().unwrap_or(b' ')
}

/// Digits that follow a letter: an IBAN, or a word to be passed over. Returns where to go on.
fn letters_then_digits(
    text: &[u8],
    start: usize,
    hint: Hint,
    sequence: &mut Sequence,
    out: &mut Vec<Finding>,
) -> usize {
    let country = start.saturating_sub(2);
    if before(text, start - 1).is_ascii_alphabetic()
        && !before(text, country).is_ascii_alphanumeric()
        && text.get(start + 1).is_some_and(u8::is_ascii_digit)
        && let Some(end) = iban_end(text, country)
    {
        let letters = text
            .get(country..)
            .and_then(<[u8]>::first_chunk::<2>)
            .map(|two| two.map(|b| b.to_ascii_uppercase()));
        let country_of = letters.and_then(Country::new);
        out.push(Finding { country: country_of, ..Finding::sure(Rule::IBAN, country, end) });
        return end;
    }
    if phone::has_encoded_plus(text, start) {
        return digits(text, start, hint, sequence, out);
    }
    named::lettered(text, start, hint, out).unwrap_or_else(|| word(text, start, out))
}

/// Passes over the rest of a word; a card may still stand in it, between letters.
fn word(text: &[u8], start: usize, out: &mut Vec<Finding>) -> usize {
    let (mut at, mut run) = (start, start);
    loop {
        let b = text.get(at).copied().unwrap_or(b' ');
        if !b.is_ascii_digit() {
            if card::push(text, run, at, false, out) && card::is_in_hash(text, run) {
                out.pop();
            }
            run = at + 1;
        }
        if !b.is_ascii_alphanumeric() {
            return at;
        }
        at += 1;
    }
}

/// Digits that begin a word. Returns where to go on.
fn digits(text: &[u8], start: usize, hint: Hint, sequence: &mut Sequence, out: &mut Vec<Finding>) -> usize {
    sequence.read(text, start);
    if sequence.groups().len() >= 4 && hint != Hint::Version {
        push_ipv4(text, sequence, out);
    }
    if sequence.digits() >= 8 {
        phone::push(text, sequence, out);
        card::push_all(text, sequence, out);
    }
    if sequence.digits() >= 6 {
        named::numbered(text, sequence, hint, out);
    }
    let end = sequence.end();
    if text.get(end).is_some_and(u8::is_ascii_alphabetic) { word(text, end, out) } else { end }
}

/// Four groups joined by single dots, no more and no fewer.
fn push_ipv4(text: &[u8], sequence: &Sequence, out: &mut Vec<Finding>) {
    for run in sequence.groups().chunk_by(|left, right| left.joined_by(text, right, b".")) {
        let ([first, _, _, last], Some(next)) = (run, sequence.after(run)) else { continue };
        // A fifth part that is a word still makes it a version: `1.2.3.4.beta`, `1.2.3.4-rc`.
        let version = next == b'-' || next.is_ascii_alphanumeric();
        let spelled = text.get(first.start..last.end).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let address = spelled.and_then(|spelled| spelled.parse::<Ipv4Addr>().ok());
        if address.is_some_and(|address| belongs_to_device_v4(&address))
            && !version
            && !is_release(text, first.start)
        {
            out.push(Finding::sure(Rule::IPV4, first.start, last.end));
        }
    }
}

/// True where versions stand: after a product's name and a slash (`Server/2.4.1.1`), which unlike
/// a path begins with a capital letter, or after the word `version`.
fn is_release(text: &[u8], start: usize) -> bool {
    let near = text.get(start.saturating_sub(NEAR_LEN)..start).unwrap_or_default();
    if let Some(head) = near.strip_suffix(b"/") {
        let product = head.rsplit(|b| !b.is_ascii_alphanumeric()).next().unwrap_or_default();
        return product.first().is_some_and(u8::is_ascii_uppercase);
    }
    let word = near.trim_ascii_end();
    let word = word.strip_suffix(b":").or_else(|| word.strip_suffix(b"=")).unwrap_or(word);
    word.len() >= 7 && word.get(word.len() - 7..).is_some_and(|word| word.eq_ignore_ascii_case(b"version"))
}

/// How far back the word before a version is looked for.
const NEAR_LEN: usize = 24;
