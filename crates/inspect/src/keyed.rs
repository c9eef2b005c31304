//! What a value is, given what its field's name, its declaration or a word before it says.

use crate::ids::{self, Compact, Verdict, Wanted};
use crate::key::Hint;
use crate::number;
use crate::{Confidence, Finding, Rule, device, email, network, people, place, secret};

/// Adds what `hint` makes of `text`. Under a declaration a wrong check digit clears nothing.
pub(crate) fn scan(hint: Hint, declared: bool, text: &[u8], out: &mut Vec<Finding>) {
    let Some((start, end)) = trimmed(text) else { return };
    let first = out.len();
    let value = text.get(start..end).unwrap_or_default();
    match hint {
        Hint::None | Hint::Generic | Hint::Harmless | Hint::Version => {}
        Hint::Email => email::scan(value, out),
        Hint::Ip => network::keyed(value, out),
        Hint::Id(wanted) => identifiers(wanted, declared, value, out),
        Hint::Phone => number::keyed_phones(value, out),
        Hint::Mac => device::keyed_mac(value, out),
        Hint::Imei => device::keyed_imei(value, declared, out),
        Hint::Imsi => device::keyed_imsi(value, out),
        Hint::Iccid => device::keyed_iccid(value, declared, out),
        Hint::AdvertisingId => device::keyed_uuid(Rule::ADVERTISING_ID, value, out),
        Hint::AndroidId => device::keyed_android_id(value, out),
        Hint::Card => number::keyed_cards(value, declared, out),
        Hint::Iban => declared_iban(value, declared, out),
        Hint::Bic => bic(value, out),
        Hint::Secret => secret::keyed(value, out),
        Hint::Session => secret::session(value, out),
        Hint::Password => secret::password(value, out),
        Hint::Cookie => secret::cookies(value, out),
        Hint::Latitude | Hint::Longitude => place::keyed_degree(hint == Hint::Latitude, value, out),
        Hint::Coordinates => place::keyed_pair(value, out),
        Hint::BirthDate => place::keyed_birth_date(value, out),
        Hint::Postcode => place::keyed_postcode(value, out),
        Hint::PersonName => people::keyed_name(value, out),
        Hint::AnyName => people::any_name(value, out),
        Hint::Street => people::keyed_address(value, out),
        Hint::AnyAddress => people::any_address(value, out),
        Hint::Document => document(value, out),
    }
    for finding in out.iter_mut().skip(first) {
        finding.start += start;
        finding.end += start;
    }
}

/// The text without the space around it; `None` where nothing is left.
pub(crate) fn trimmed(text: &[u8]) -> Option<(usize, usize)> {
    let start = text.iter().position(|b| !b.is_ascii_whitespace())?;
    let end = text.iter().rposition(|b| !b.is_ascii_whitespace())? + 1;
    Some((start, end))
}

/// Most words that one identifier is written as: a French NIR has seven.
const PARTS_MAX: usize = 7;

/// Longest text in which identifiers are looked for word by word, in bytes.
const TEXT_MAX: usize = 4_096;

/// The text as a whole if it is an identifier, or else each run of its words that is one.
fn identifiers(wanted: Wanted, declared: bool, text: &[u8], out: &mut Vec<Finding>) {
    let least = if declared { Verdict::Wrong } else { Verdict::Unchecked };
    let whole = Compact::of(text);
    if let Some((rule, verdict)) =
        whole.as_ref().and_then(|compact| ids::best(compact.bytes(), wanted, least))
    {
        out.push(judged(rule, verdict, 0, text.len()));
        return;
    }
    // One word has no parts to look at.
    if whole.is_some_and(|whole| whole.bytes().len() == text.len()) {
        return;
    }
    let text = text.get(..TEXT_MAX.min(text.len())).unwrap_or_default();
    let words = Words { text, at: 0 };
    let mut floor = 0;
    for (start, end) in words {
        let long = text.get(start..end).unwrap_or_default().iter().any(u8::is_ascii_digit);
        if start < floor || !long {
            continue;
        }
        if let Some(finding) = longest(wanted, text, start, Words { text, at: start }) {
            floor = finding.end;
            out.push(finding);
        }
    }
}

/// The longest run of words from `start` on that is an identifier; its check digit must be right, for a text that
/// is more than a number may hold others.
fn longest(wanted: Wanted, text: &[u8], start: usize, words: Words<'_>) -> Option<Finding> {
    let mut found = None;
    let mut last = start;
    for (from, end) in words.take(PARTS_MAX) {
        if from > start && !matches!(text.get(last..from), Some([b]) if ids::is_separator(*b)) {
            break;
        }
        last = end;
        let Some(compact) = Compact::of(text.get(start..end).unwrap_or_default()) else { continue };
        if let Some((rule, verdict)) = ids::best(compact.bytes(), wanted, Verdict::Unchecked)
            && (verdict == Verdict::Valid || wanted == Wanted::Rule(rule))
        {
            found = Some(judged(rule, verdict, start, end));
        }
    }
    found
}

/// The first identifier that begins at `start`, which a word before it names.
pub(crate) fn identifier_at(wanted: Wanted, text: &[u8], start: usize) -> Option<Finding> {
    longest(wanted, text, start, Words { text, at: start })
}

fn judged(rule: Rule, verdict: Verdict, start: usize, end: usize) -> Finding {
    let confidence = match verdict {
        Verdict::Valid => Confidence::High,
        Verdict::Unchecked => Confidence::Medium,
        Verdict::Wrong | Verdict::No => Confidence::Low,
    };
    Finding::new(rule, start, end, confidence)
}

/// Runs of letters and digits.
#[derive(Clone, Copy)]
struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for Words<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let rest = self.text.get(self.at..)?;
        let start = self.at + rest.iter().position(u8::is_ascii_alphanumeric)?;
        let len = self.text.get(start..)?.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        self.at = start + len;
        Some((start, self.at))
    }
}

/// The code of a bank: four letters, its country, two letters or digits, and three more for a branch (ISO 9362).
fn bic(text: &[u8], out: &mut Vec<Finding>) {
    let Some((head, tail)) = text.split_first_chunk::<6>() else { return };
    let letters = head.iter().all(u8::is_ascii_alphabetic) && tail.iter().all(u8::is_ascii_alphanumeric);
    let one_case = !text.iter().any(u8::is_ascii_lowercase) || !text.iter().any(u8::is_ascii_uppercase);
    if letters && one_case && matches!(tail.len(), 2 | 5) {
        let country = head.last_chunk::<2>().map(|two| two.map(|b| b.to_ascii_uppercase()));
        let country = country.and_then(crate::Country::new);
        out.push(Finding { country, ..Finding::new(Rule::BIC, 0, text.len(), Confidence::Medium) });
    }
}

/// In a declared field an account number counts though its check digits are wrong.
fn declared_iban(text: &[u8], declared: bool, out: &mut Vec<Finding>) {
    let letters = text.iter().filter(|b| b.is_ascii_alphanumeric()).count();
    let like = text.first_chunk::<2>().is_some_and(|head| head.iter().all(u8::is_ascii_alphabetic));
    if declared && like && (15..=34).contains(&letters) {
        out.push(Finding::new(Rule::IBAN, 0, text.len(), Confidence::Low));
    } else if declared {
        bic(text, out);
    }
}

/// Passports, licences and cards: six to twelve letters and digits, and nothing that checks them.
fn document(text: &[u8], out: &mut Vec<Finding>) {
    let count = |is: fn(&u8) -> bool| text.iter().filter(|b| is(b)).count();
    let (letters, digits) = (count(u8::is_ascii_alphabetic), count(u8::is_ascii_digit));
    let plain = text.iter().all(|b| b.is_ascii_alphanumeric() || ids::is_separator(*b));
    let perso = Compact::of(text)
        .is_some_and(|compact| ids::verdict(Rule::DE_PERSO, compact.bytes()) == Verdict::Valid);
    if perso || plain && digits >= 3 && (6..=20).contains(&(letters + digits)) {
        let rule = if perso { Rule::DE_PERSO } else { Rule::DOCUMENT };
        out.push(Finding::new(rule, 0, text.len(), Confidence::Medium));
    }
}
