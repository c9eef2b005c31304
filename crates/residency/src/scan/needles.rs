//! Any number of identifiers at once, each in the forms in which stores and dumps write it.

use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, Input, MatchKind, StartKind};
use data_encoding::{HEXLOWER, HEXUPPER};

use super::anchors::base64;
use crate::forms::Form;

/// Bytes of the shortest identifier that is searched for: a shorter one stands in many places by chance.
pub const NEEDLE_MIN: usize = 8;
/// Bytes of an identifier that are searched for. In every form they are fewer than what a stream keeps.
const NEEDLE_MAX: usize = 100;

pub(super) struct Needles {
    automaton: AhoCorasick,
    /// Of each pattern: which identifier, and in which form.
    of: Vec<(u32, Form)>,
}

impl Needles {
    pub(super) fn new(identifiers: &[String]) -> Option<Self> {
        let (mut patterns, mut of) = (Vec::<Vec<u8>>::new(), Vec::new());
        for (number, identifier) in (0..).zip(identifiers) {
            let end =
                (0..=NEEDLE_MAX.min(identifier.len())).rev().find(|end| identifier.is_char_boundary(*end))?;
            let text = identifier.get(..end)?;
            if text.len() < NEEDLE_MIN {
                continue;
            }
            for (form, pattern) in forms(text) {
                patterns.push(pattern);
                of.push((number, form));
            }
        }
        if patterns.is_empty() {
            return None;
        }
        let mut builder = AhoCorasick::builder();
        // What is at a place is asked there; the longer of two is not cut short by the other.
        builder.kind(Some(AhoCorasickKind::ContiguousNFA)).match_kind(MatchKind::LeftmostLongest);
        builder.start_kind(StartKind::Both);
        Some(Self { automaton: builder.build(&patterns).ok()?, of })
    }

    pub(super) fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        self.automaton.find(Input::new(bytes).range(from..)).map(|found| found.start())
    }

    /// What stands at a place.
    pub(super) fn read(&self, bytes: &[u8], at: usize) -> Option<(u32, Form)> {
        let found = self.automaton.find(Input::new(bytes).range(at..).anchored(Anchored::Yes))?;
        self.of.get(found.pattern().as_usize()).copied()
    }
}

fn forms(text: &str) -> Vec<(Form, Vec<u8>)> {
    let bytes = text.as_bytes();
    let mut all = vec![
        (Form::Plain, bytes.to_vec()),
        (Form::Plain, text.to_lowercase().into_bytes()),
        (Form::Plain, text.to_uppercase().into_bytes()),
        (Form::Utf16, text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        (Form::Hex, HEXLOWER.encode(bytes).into_bytes()),
        (Form::Hex, HEXUPPER.encode(bytes).into_bytes()),
        (Form::Percent, text.replace('@', "%40").into_bytes()),
    ];
    all.extend((0..3).map(|shift| (Form::Base64, base64(bytes, shift))));
    if let Some(raw) = uuid(text) {
        all.extend([
            (Form::Plain, raw.clone()),
            (Form::Hex, HEXLOWER.encode(&raw).into_bytes()),
            (Form::Hex, HEXUPPER.encode(&raw).into_bytes()),
        ]);
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|(_, pattern)| seen.insert(pattern.clone()));
    all
}

/// The sixteen bytes of a UUID, as databases store it.
fn uuid(text: &str) -> Option<Vec<u8>> {
    let dashes = text.len() == 36 && [8, 13, 18, 23].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-'));
    let digits: Vec<u8> = text.to_ascii_lowercase().bytes().filter(|b| *b != b'-').collect();
    HEXLOWER.decode(&digits).ok().filter(|raw| dashes && raw.len() == 16)
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;

    use crate::forms::Form;
    use crate::scan::Scanner;

    fn found(identifiers: &[&str], bytes: &[u8]) -> Vec<(u64, u32, Form)> {
        let identifiers: Vec<String> = identifiers.iter().map(|i| (*i).to_owned()).collect();
        let hits = Scanner::of_identifiers(&identifiers).unwrap().all(bytes);
        hits.into_iter().map(|hit| (hit.offset, hit.canary, hit.form)).collect()
    }

    #[test]
    fn an_identifier_is_found_in_each_of_its_forms_and_named() {
        let who = ["ann.berg@example.org", "+353 1 555 0101", "Jörg_1984"];
        for (n, text) in (0..).zip(who) {
            let upper = text.to_uppercase();
            for (form, bytes) in [
                (Form::Plain, text.as_bytes().to_vec()),
                (Form::Plain, upper.into_bytes()),
                (Form::Utf16, text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
                (Form::Hex, data_encoding::HEXLOWER.encode(text.as_bytes()).into_bytes()),
            ] {
                let bytes = [b"xx", bytes.as_slice(), b"yy"].concat();
                assert_eq!(found(&who, &bytes), [(2, n, form)], "{text} {form:?}");
            }
            for lead in ["", "a", "ab", "abc"] {
                let coded = BASE64.encode(format!("{lead}{text} and more").as_bytes());
                assert!(found(&who, coded.as_bytes()).iter().any(|(_, m, f)| (*m, *f) == (n, Form::Base64)));
            }
        }
        assert_eq!(found(&who, b"to=ann.berg%40example.org")[0].2, Form::Percent);
    }

    #[test]
    fn a_uuid_is_found_as_the_bytes_that_a_database_stores() {
        let who = ["6BA7B810-9dad-11d1-80b4-00c04fd430c8"];
        let raw =
            [0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];
        assert_eq!(found(&who, &[&[1, 2][..], &raw, &[3]].concat()), [(2, 0, Form::Plain)]);
        assert_eq!(found(&who, b"6ba7b8109dad11d180b400c04fd430c8"), [(0, 0, Form::Hex)]);
    }

    #[test]
    fn what_is_short_is_not_searched_for_and_what_is_long_is_found_by_its_beginning() {
        assert!(Scanner::of_identifiers(&["anna".to_owned(), String::new()]).is_none());
        let long = "x".repeat(99) + "äöü and more";
        assert_eq!(found(&[&long, "anna"], long.as_bytes()).len(), 1);
    }

    #[test]
    fn pieces_do_not_hide_what_lies_across_them() {
        let scanner = Scanner::of_identifiers(&["ann.berg@example.org".to_owned()]).unwrap();
        let text = format!("{}ann.berg@example.org{}", "-".repeat(100_000), "-".repeat(100_000));
        for size in [1, 7, 4096, 99_990, 100_010] {
            let (mut stream, mut hits) = (scanner.stream(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                stream.feed(piece, &mut |hit| hits.push(hit.offset));
            }
            stream.finish(&mut |hit| hits.push(hit.offset));
            assert_eq!(hits, [100_000], "{size}");
        }
    }
}
