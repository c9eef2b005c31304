//! Prose that people wrote, where it would cross the border in plain: not at all, or by the slow lane.
//!
//! No reader of prose finds all of it, so nothing crosses unless the lane lets it. Then more is looked for than in other
//! values: what the lists of names know, word for word, and what reads like an address.

use inspect::{Confidence, Context, Finding, Kind, Rule};
use model::lanes::FreeText;

/// Whether prose crosses.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Prose {
    /// There is no border in between.
    Inside,
    /// It does not.
    Withheld,
    /// It does, so far.
    Slow(FreeText),
}

/// How much prose a payload has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) shown: u32,
    pub(crate) withheld: u32,
    pub(crate) bytes: u64,
    /// Texts in which something was found.
    pub(crate) found: u32,
}

impl Amount {
    /// For the sealed detail: numbers only.
    pub(crate) fn told(self) -> serde_json::Value {
        let Self { shown, withheld, bytes, found } = self;
        serde_json::json!({ "shown": shown, "withheld": withheld, "bytes": bytes, "found": found })
    }
}

/// Longest part that is read as an address.
const PART_MAX: usize = 240;

/// Fewest letters of a listed name that counts alone when it is written small.
const SMALL_MIN: usize = 4;

/// Listed names that are ordinary words of some language: written small they count beside another name only.
#[rustfmt::skip]
const ORDINARY: [&str; 40] = [
    "angela", "bart", "bauer", "becker", "berg", "borg", "brown", "bruno", "christian", "clara", "colombo", "conti",
    "costa", "dora", "ella", "fischer", "fontaine", "frank", "grace", "haas", "iris", "jack", "jean", "klein", "koch",
    "linda", "marina", "marino", "moreno", "roman", "rosa", "roux", "saga", "santos", "silva", "stella", "vera", "victoria",
    "wolf", "wood",
];

/// What people are called before their names; whatever follows is one.
const TITLES: [&str; 14] = [
    "dr", "frau", "fru", "herr", "madame", "mevrouw", "mme", "monsieur", "mr", "mrs", "señor", "señora",
    "signor", "signora",
];

/// Appends names and addresses of a text, beside what a scan finds in every value; the findings are then in order.
pub(crate) fn look(text: &[u8], found: &mut Vec<Finding>) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    names(text, found);
    addresses(text, found);
    found.sort_by_key(|f| (f.start, f.end));
}

/// A word of a text: where it begins, and what the lists say of it.
struct Word<'t> {
    at: usize,
    text: &'t str,
    named: Option<Finding>,
}

impl Word<'_> {
    fn is_capital(&self) -> bool {
        self.text.starts_with(char::is_uppercase) && self.text.chars().nth(1).is_some()
    }

    /// True if it counts by itself.
    fn is_name(&self) -> bool {
        let small = || {
            let long = self.text.chars().count() >= SMALL_MIN;
            long && ORDINARY.binary_search(&self.text.to_lowercase().as_str()).is_err()
        };
        self.named.is_some() && (self.is_capital() || small())
    }

    fn is_title(&self) -> bool {
        TITLES.binary_search(&self.text.to_lowercase().as_str()).is_ok()
    }
}

/// Names that are listed, alone or beside another, what follows them with a capital, and what follows a title.
fn names(text: &str, found: &mut Vec<Finding>) {
    let known = Context::of_key(b"full_name").known();
    let mut some = Vec::new();
    let mut named = |word: &str| {
        some.clear();
        known.scan(word.as_bytes(), &mut some);
        some.first().copied().filter(|f: &Finding| f.kind == Kind::Name && f.confidence == Confidence::High)
    };
    let words: Vec<Word<'_>> = pieces(text, |c| !c.is_alphabetic() && !matches!(c, '-' | '\'' | '’'))
        .map(|(at, text)| Word { at, text, named: named(text) })
        .collect();
    let Some(rule) = Rule::all().find(|rule| rule.kind() == Kind::Name) else { return };
    let gap =
        |left: &Word<'_>, right: &Word<'_>| text.get(left.at + left.text.len()..right.at).unwrap_or("?");
    let beside = |left: &Word<'_>, right: &Word<'_>| gap(left, right).trim().is_empty();
    let mut before: Option<(&Word<'_>, bool)> = None;
    for (place, word) in words.iter().enumerate() {
        let after = words.get(place + 1).filter(|after| beside(word, after));
        let left = before.filter(|(left, _)| beside(left, word));
        let neighbours = left.map(|(left, _)| left).into_iter().chain(after);
        let titled =
            before.is_some_and(|(left, _)| left.is_title() && matches!(gap(left, word).trim(), "" | "."));
        let is_name = word.is_name()
            || word.named.is_some() && neighbours.into_iter().any(|other| other.named.is_some())
            || titled && word.text.chars().nth(1).is_some()
            || word.is_capital() && left.is_some_and(|(_, is_name)| is_name);
        if is_name {
            let confidence = if word.named.is_some() { Confidence::High } else { Confidence::Medium };
            let (start, end) = (word.at, word.at + word.text.len());
            found.push(Finding { kind: Kind::Name, start, end, country: None, confidence, rule });
        }
        before = Some((word, is_name));
    }
}

/// Parts of a text that read like an address.
fn addresses(text: &str, found: &mut Vec<Finding>) {
    let known = Context::of_key(b"address").known();
    let mut some = Vec::new();
    for (at, part) in pieces(text, |c| matches!(c, ';' | '\n' | '!' | '?' | ',')) {
        if part.len() <= PART_MAX {
            some.clear();
            known.scan(part.as_bytes(), &mut some);
            let places = some.iter().filter(|f| f.kind == Kind::Address);
            found.extend(places.map(|f| Finding { start: at + f.start, end: at + f.end, ..*f }));
        }
    }
}

/// The pieces between separators, each with where it begins.
fn pieces(text: &str, separates: impl Fn(char) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let begin = text.as_ptr() as usize;
    text.split(separates).filter(|p| !p.is_empty()).map(move |p| (p.as_ptr() as usize - begin, p))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let mut found = Vec::new();
        names(text, &mut found);
        let mut out = text.to_owned();
        found.iter().rev().for_each(|f| out.replace_range(f.start..f.end, "*"));
        out
    }

    #[test]
    fn lists_are_sorted() {
        assert!(ORDINARY.is_sorted() && TITLES.is_sorted());
    }

    #[test]
    fn names_are_found_however_they_are_written() {
        for (text, expected) in [
            ("please call anna kowalska now", "please call * * now"),
            ("ANNA KOWALSKA, Anna Xylander Quorn", "* *, * * *"),
            ("ask mrs. xylander or Herr van Quorn", "ask mrs. * or Herr * *"),
            ("katarzyna was here", "* was here"),
            ("ben brown, then max. Frank", "* *, then max. *"),
        ] {
            assert_eq!(masked(text), expected);
        }
        for text in [
            "a wolf in the wood",
            "to be frank, iris is no flower of mine",
            "max 3 of 5",
            "the costa is near",
        ] {
            assert_eq!(masked(text), text, "ordinary words");
        }
    }
}
