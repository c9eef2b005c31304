//! Names of people and postal addresses, in fields that are named or declared for them. In free text they are
//! not looked for: no list is long enough to give an assurance there.

mod lists;

use crate::{Confidence, Finding, Rule};

/// Longest name, in bytes and in words.
const NAME_MAX: usize = 120;
const WORDS_MAX: usize = 8;

/// Longest address, in bytes.
const ADDRESS_MAX: usize = 240;

/// What stands in fields for names and is none.
const NO_NAMES: &[&str] = &[
    "admin",
    "anonymous",
    "default",
    "guest",
    "n/a",
    "na",
    "nil",
    "no",
    "none",
    "null",
    "redacted",
    "root",
    "system",
    "test",
    "true",
    "false",
    "undefined",
    "unknown",
    "user",
    "yes",
];

/// The words of a text that can be a name: letters, and what joins them.
fn name_words(text: &[u8]) -> Option<Vec<&str>> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= NAME_MAX)?;
    let plain = |c: char| {
        c.is_alphabetic() || matches!(c, ' ' | '\'' | '’' | '-' | '.' | ',' | '\u{300}'..='\u{36F}')
    };
    if !text.chars().all(plain) {
        return None;
    }
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    (1..=WORDS_MAX).contains(&words.len()).then_some(words)
}

fn is_listed(list: &[&str], word: &str) -> bool {
    is_any_listed(&[list], word)
}

fn is_any_listed(lists: &[&[&str]], word: &str) -> bool {
    let word = word.to_lowercase();
    word.split('-').any(|part| lists.iter().any(|list| list.binary_search(&part).is_ok()))
}

/// A field for names: whatever can be one.
pub(crate) fn keyed_name(text: &[u8], out: &mut Vec<Finding>) {
    let Some(words) = name_words(text) else { return };
    let first = words.first().map(|word| word.to_lowercase()).unwrap_or_default();
    let letters = words.iter().flat_map(|word| word.chars()).filter(|c| c.is_alphabetic()).count();
    if letters < 2 || words.len() == 1 && NO_NAMES.contains(&first.as_str()) {
        return;
    }
    let listed = words.iter().any(|word| is_any_listed(&[lists::GIVEN, lists::FAMILY], word));
    let confidence = if listed { Confidence::High } else { Confidence::Medium };
    out.push(Finding::new(Rule::NAME, 0, text.len(), confidence));
}

/// A field that may hold names of other things: one that is listed, and capitals.
pub(crate) fn any_name(text: &[u8], out: &mut Vec<Finding>) {
    let Some(words) = name_words(text) else { return };
    let capital = |word: &&str| word.starts_with(char::is_uppercase);
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return };
    let given = is_listed(lists::GIVEN, first);
    let swapped = is_listed(lists::GIVEN, last) && is_listed(lists::FAMILY, first);
    let family = words.len() >= 2 && is_listed(lists::FAMILY, last) && words.len() <= 3;
    if (given || swapped || family) && words.iter().all(|word| capital(word) || word.len() <= 3) {
        out.push(Finding::new(Rule::NAME, 0, text.len(), Confidence::Medium));
    }
}

/// True if a word of the text is one for streets, or ends with one.
fn names_street(text: &str) -> bool {
    let text = text.to_lowercase();
    let ends = |word: &str, street: &&str| {
        // Short ones count only alone: `tie` ends many words.
        word == *street || street.len() >= 4 && word.ends_with(street) && word.len() > street.len()
    };
    let known = |word: &str| {
        lists::STREETS.iter().any(|street| ends(word, street) || word.trim_end_matches('.') == *street)
    };
    text.split([' ', ',', ';', '\n']).any(known)
}

/// A field for streets: whatever has letters and either a number or a word for streets.
pub(crate) fn keyed_address(text: &[u8], out: &mut Vec<Finding>) {
    address(text, |numbered, street| numbered || street, out);
}

/// A field that may hold an address: a word for streets, and a number.
pub(crate) fn any_address(text: &[u8], out: &mut Vec<Finding>) {
    address(text, |numbered, street| numbered && street, out);
}

fn address(text: &[u8], enough: impl Fn(bool, bool) -> bool, out: &mut Vec<Finding>) {
    let Some(spelled) = std::str::from_utf8(text).ok().filter(|text| text.len() <= ADDRESS_MAX) else {
        return;
    };
    let letters = spelled.chars().filter(|c| c.is_alphabetic()).count();
    let url = spelled.contains("://") || spelled.contains('@');
    let numbered = spelled.bytes().any(|b| b.is_ascii_digit());
    if letters >= 3 && !url && spelled.contains(' ') && enough(numbered, names_street(spelled)) {
        out.push(Finding::new(Rule::ADDRESS, 0, text.len(), Confidence::Medium));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [lists::GIVEN, lists::FAMILY, lists::STREETS] {
            assert!(list.is_sorted_by(|a, b| a < b));
        }
    }

    fn finds(scan: fn(&[u8], &mut Vec<Finding>), text: &str) -> bool {
        let mut out = Vec::new();
        scan(text.as_bytes(), &mut out);
        !out.is_empty()
    }

    #[test]
    fn names_are_told_from_other_words() {
        assert!(
            finds(keyed_name, "Xyla Quorn")
                && finds(keyed_name, "O’Neil-Berg, Ánna")
                && !finds(keyed_name, "unknown")
        );
        assert!(finds(any_name, "Anna Berg") && finds(any_name, "Maria") && !finds(any_name, "Home screen"));
        assert!(
            !finds(any_name, "checkout v2")
                && !finds(any_name, "Widget Max")
                && !finds(any_name, "anna_table")
        );
    }

    #[test]
    fn addresses_are_told_from_other_words() {
        assert!(finds(keyed_address, "Musterstraße 5") && finds(any_address, "12 rue de la Paix"));
        assert!(
            finds(any_address, "ul. Długa 7/3")
                && !finds(any_address, "https://e.org/via 3")
                && !finds(any_address, "line 7")
        );
    }
}
