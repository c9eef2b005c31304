//! Prose that people wrote, where it would cross the border in plain: not at all, or by the slow lane.
//!
//! No reader of prose finds all of it, so nothing crosses unless the lane lets it. Then more is looked for than in other
//! values: what the lists of names know, word for word, and what reads like an address.

use inspect::{Confidence, Context, Finding, Kind};
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

/// Appends names and addresses of a text, beside what a scan finds in every value; the findings are then in order.
pub(crate) fn look(text: &[u8], found: &mut Vec<Finding>) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let (names, places) = (Context::of_key(b"full_name").known(), Context::of_key(b"address").known());
    let mut some = Vec::new();
    let mut within = |part: &str, at: usize, keep: &dyn Fn(&Finding) -> bool, known: inspect::Known| {
        some.clear();
        known.scan(part.as_bytes(), &mut some);
        found.extend(some.iter().filter(|f| keep(f)).map(|f| Finding {
            start: at + f.start,
            end: at + f.end,
            ..*f
        }));
    };
    for (at, word) in pieces(text, |c| !c.is_alphabetic() && !matches!(c, '-' | '\'' | '’')) {
        if word.starts_with(char::is_uppercase) && word.chars().nth(1).is_some() {
            let listed = |f: &Finding| f.kind == Kind::Name && f.confidence == Confidence::High;
            within(word, at, &listed, names);
        }
    }
    for (at, part) in pieces(text, |c| matches!(c, ';' | '\n' | '!' | '?' | ',')) {
        if part.len() <= PART_MAX {
            within(part, at, &|f| f.kind == Kind::Address, places);
        }
    }
    found.sort_by_key(|f| (f.start, f.end));
}

/// The pieces between separators, each with where it begins.
fn pieces(text: &str, separates: impl Fn(char) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let begin = text.as_ptr() as usize;
    text.split(separates).filter(|p| !p.is_empty()).map(move |p| (p.as_ptr() as usize - begin, p))
}
