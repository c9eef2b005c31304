//! What the formats without depth have in common: a value is text, and the visitors are those of
//! JSON.
//!
//! A visitor sees each value as the JSON string that spells it, and answers in JSON. So one
//! visitor, and one reading of what a treatment does, serves every format.

use crate::json::{FieldIndex, Scalar, Stop, Verdict, Visitor, unescape, write_string};

/// What becomes of a text.
pub(crate) enum Answer<'a> {
    Keep,
    Drop,
    /// This text takes its place.
    Text(&'a [u8]),
    /// What the visitor wrote is no string, number, literal or `null`.
    NoText,
}

/// Room for one question after the other.
#[derive(Default)]
pub(crate) struct Asking {
    spelled: Vec<u8>,
    answer: Vec<u8>,
    text: Vec<u8>,
}

impl Asking {
    /// Asks about a text, which must be UTF-8.
    pub(crate) fn ask(
        &mut self,
        visitor: &mut impl Visitor,
        field: FieldIndex,
        text: &[u8],
    ) -> Result<Answer<'_>, Stop> {
        let plain = !text.iter().any(|b| matches!(b, b'"' | b'\\' | 0..0x20));
        let raw = if plain { text } else { spell(text, &mut self.spelled) };
        let value = Scalar::String { raw, escaped: !plain };
        self.answer.clear();
        match visitor.scalar(field, value, &mut self.answer)? {
            Verdict::Keep => Ok(Answer::Keep),
            Verdict::Drop => Ok(Answer::Drop),
            Verdict::Replaced => Ok(self.written()),
        }
    }

    /// Asks about a name that nobody wrote in a pointer.
    pub(crate) fn name(
        &mut self,
        visitor: &mut impl Visitor,
        name: &[u8],
    ) -> Result<crate::json::NameVerdict, Stop> {
        let raw = spell(name, &mut self.spelled);
        let escaped = raw != name;
        visitor.wild_name(raw, escaped)
    }

    /// The text that the visitor's JSON value stands for.
    fn written(&mut self) -> Answer<'_> {
        let answer = self.answer.as_slice();
        if let Some(raw) = answer.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) {
            self.text.clear();
            let read = unescape(raw, &mut self.text).is_ok() && std::str::from_utf8(&self.text).is_ok();
            return if read { Answer::Text(&self.text) } else { Answer::NoText };
        }
        let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
        match answer {
            b"null" => Answer::Text(b""),
            b"" => Answer::NoText,
            plain if plain.iter().all(word) => Answer::Text(plain),
            _ => Answer::NoText,
        }
    }
}

/// The bytes between the quotes of the JSON string that says `text`.
fn spell<'s>(text: &[u8], spelled: &'s mut Vec<u8>) -> &'s [u8] {
    spelled.clear();
    write_string(text, spelled);
    spelled.get(1..spelled.len().saturating_sub(1)).unwrap_or_default()
}
