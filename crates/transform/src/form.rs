//! A strict one-pass rewriter for `application/x-www-form-urlencoded`.
//!
//! As the WHATWG URL standard writes it, less what readers disagree about. A field binds like a
//! member of a JSON record: `/email`, or `/*` for all that are not written. What nothing binds is
//! removed; what stays is copied as it is spelled. A form is one record.
//!
//! Refused are: a name twice (compared after decoding: some readers take the first, some the
//! last), a pair without `=` or with two, an empty pair, a raw `;` (which once separated pairs),
//! a `%` without two hexadecimal digits, bytes that have to be escaped, and text that is not
//! UTF-8 or has a NUL after decoding.
//!
//! Start reading at [`rewrite`].

use crate::flat::{Answer, Asking};
use crate::json::{Bindings, Limits, NameVerdict, Outcome, Stop, Visitor};

/// A form that the rewriter refuses, and where. No byte of the form is part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind}, at byte `{at}`")]
pub struct FormError {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Byte offset into the input at which it was noticed.
    pub at: usize,
}

/// What is wrong with a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// More than [`Limits::bytes`].
    #[error("form is longer than the limit")]
    TooLarge,
    /// More pairs than [`Limits::members`].
    #[error("form has more fields than the limit")]
    TooManyFields,
    /// Nothing between two `&`, or at an end.
    #[error("empty pair")]
    EmptyPair,
    /// No `=` in a pair.
    #[error("field without an equals sign")]
    NoValue,
    /// A second `=` in a pair.
    #[error("second equals sign in a field")]
    SecondEquals,
    /// Nothing before the `=`.
    #[error("field without a name")]
    Nameless,
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("percent sign without two hexadecimal digits")]
    Percent,
    /// A byte that stands for itself nowhere in a form.
    #[error("byte that has to be escaped")]
    Unescaped,
    /// Not UTF-8 after decoding.
    #[error("field is not utf-8")]
    NotUtf8,
    /// A NUL after decoding.
    #[error("nul inside a field")]
    Nul,
    /// The same name twice.
    #[error("field name appears twice")]
    DuplicateName,
    /// The visitor's replacement is no text, or has a NUL.
    #[error("replacement is no text")]
    Replacement,
    /// The visitor stopped the rewrite.
    #[error("stopped by the visitor with code `{}`", .0.0)]
    Stopped(Stop),
}

impl FormError {
    #[cold]
    fn new(kind: ErrorKind, at: usize) -> Self {
        Self { kind, at }
    }
}

/// Rewrites `input` and appends the result to `out`.
///
/// A field that the visitor drops goes with its name. The visitor sees each value as the JSON
/// string that spells it; what it writes in its place is a JSON string, number or literal. An
/// empty form is a form without fields. `limits.members` bounds the fields; `limits.records` and
/// `limits.depth` mean nothing here.
///
/// # Errors
///
/// [`FormError`]. After an error `out` is as it was before.
///
/// ```
/// use transform::form;
/// use transform::json::*;
///
/// struct Mask;
/// impl Visitor for Mask {
///     fn scalar(&mut self, field: FieldIndex, _: Scalar<'_>, out: &mut Vec<u8>) -> Result<Verdict, Stop> {
///         if field == FieldIndex(0) {
///             return Ok(Verdict::Keep);
///         }
///         write_string("*é*".as_bytes(), out);
///         Ok(Verdict::Replaced)
///     }
///     fn wild_name(&mut self, _: &[u8], _: bool) -> Result<NameVerdict, Stop> {
///         Ok(NameVerdict::Drop)
///     }
/// }
///
/// let bindings = Bindings::compile([("/id", FieldIndex(0)), ("/e mail", FieldIndex(1))])?;
/// let mut out = Vec::new();
/// form::rewrite(b"id=%37&e+mail=ann%40example.org&note=x", &bindings, &Limits::default(), &mut Mask, &mut out)?;
/// assert_eq!(out, b"id=%37&e+mail=*%C3%A9*");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn rewrite(
    input: &[u8],
    bindings: &Bindings,
    limits: &Limits,
    visitor: &mut impl Visitor,
    out: &mut Vec<u8>,
) -> Result<Outcome, FormError> {
    let before = out.len();
    let done = walk(input, bindings, limits, visitor, out);
    if done.is_err() {
        out.truncate(before);
    }
    done
}

fn walk(
    input: &[u8],
    bindings: &Bindings,
    limits: &Limits,
    visitor: &mut impl Visitor,
    out: &mut Vec<u8>,
) -> Result<Outcome, FormError> {
    if input.len() > limits.bytes {
        return Err(FormError::new(ErrorKind::TooLarge, limits.bytes));
    }
    let mut outcome = Outcome { records: 1, ..Outcome::default() };
    visitor.enter_record(0).map_err(|stop| FormError::new(ErrorKind::Stopped(stop), 0))?;
    let (mut names, mut asking) = (Vec::new(), Asking::default());
    let (mut at, start) = (0, out.len());
    let pairs = input.split(|b| *b == b'&').filter(|_| !input.is_empty());
    for pair in pairs {
        if names.len() >= limits.members {
            return Err(FormError::new(ErrorKind::TooManyFields, at));
        }
        let joint = out.len();
        if joint > start {
            out.push(b'&');
        }
        let read = Pair::read(pair, at)?;
        if !field(&read, bindings, visitor, &mut asking, out, &mut outcome)? {
            out.truncate(joint);
        }
        names.push(read.name);
        at += pair.len() + 1;
    }
    names.sort_unstable();
    if names.array_windows().any(|[a, b]| a == b) {
        return Err(FormError::new(ErrorKind::DuplicateName, 0));
    }
    visitor.leave_record(0).map_err(|stop| FormError::new(ErrorKind::Stopped(stop), at))?;
    Ok(outcome)
}

/// One field, spelled and decoded.
struct Pair<'a> {
    spelled: &'a [u8],
    /// The name, as it is spelled.
    spelled_name: &'a [u8],
    name: Vec<u8>,
    value: Vec<u8>,
    at: usize,
}

impl<'a> Pair<'a> {
    fn read(spelled: &'a [u8], at: usize) -> Result<Self, FormError> {
        if spelled.is_empty() {
            return Err(FormError::new(ErrorKind::EmptyPair, at));
        }
        let Some(equals) = memchr::memchr(b'=', spelled) else {
            return Err(FormError::new(ErrorKind::NoValue, at));
        };
        let (spelled_name, value) = spelled.split_at_checked(equals).unwrap_or_default();
        let value = value.get(1..).unwrap_or_default();
        if let Some(second) = memchr::memchr(b'=', value) {
            return Err(FormError::new(ErrorKind::SecondEquals, at + equals + 1 + second));
        }
        let name = decode(spelled_name, at)?;
        if name.is_empty() {
            return Err(FormError::new(ErrorKind::Nameless, at));
        }
        Ok(Self { spelled, spelled_name, name, value: decode(value, at + equals + 1)?, at })
    }
}

/// Carries out what is decided about a field; false if it goes.
fn field(
    pair: &Pair<'_>,
    bindings: &Bindings,
    visitor: &mut impl Visitor,
    asking: &mut Asking,
    out: &mut Vec<u8>,
    outcome: &mut Outcome,
) -> Result<bool, FormError> {
    let stopped = |stop| FormError::new(ErrorKind::Stopped(stop), pair.at);
    let Some((field, wild)) = bindings.flat(&pair.name) else {
        outcome.dropped_unbound += 1;
        return Ok(false);
    };
    if wild && asking.name(visitor, &pair.name).map_err(stopped)? == NameVerdict::Drop {
        outcome.dropped += 1;
        return Ok(false);
    }
    match asking.ask(visitor, field, &pair.value).map_err(stopped)? {
        Answer::Keep => {
            outcome.kept += 1;
            out.extend_from_slice(pair.spelled);
        }
        Answer::Drop => {
            outcome.dropped += 1;
            return Ok(false);
        }
        Answer::Text(text) if !text.contains(&0) => {
            outcome.replaced += 1;
            out.extend_from_slice(pair.spelled_name);
            out.push(b'=');
            encode(text, out);
        }
        Answer::Text(_) | Answer::NoText => return Err(FormError::new(ErrorKind::Replacement, pair.at)),
    }
    Ok(true)
}

fn decode(spelled: &[u8], at: usize) -> Result<Vec<u8>, FormError> {
    let mut text = Vec::with_capacity(spelled.len());
    let mut bytes = spelled.iter().enumerate();
    while let Some((place, byte)) = bytes.next() {
        let here = |kind| FormError::new(kind, at + place);
        match byte {
            b'+' => text.push(b' '),
            b'%' => {
                let mut digit = || {
                    let (_, digit) = bytes.next()?;
                    char::from(*digit).to_digit(16)
                };
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(here(ErrorKind::Percent));
                };
                match high * 16 + low {
                    0 => return Err(here(ErrorKind::Nul)),
                    byte => text.push(byte as u8),
                }
            }
            b'"' | b'<' | b'>' | b';' | b'#' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                return Err(here(ErrorKind::Unescaped));
            }
            0x21..=0x7E => text.push(*byte),
            _ => return Err(here(ErrorKind::Unescaped)),
        }
    }
    if std::str::from_utf8(&text).is_err() {
        return Err(FormError::new(ErrorKind::NotUtf8, at));
    }
    Ok(text)
}

/// As the WHATWG URL standard serialises it.
fn encode(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b' ' => out.push(b'+'),
            b'*' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => out.push(*byte),
            _ => {
                let hex = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 };
                out.extend([b'%', hex(byte >> 4), hex(byte & 15)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::{FieldIndex, Scalar, Verdict, write_string};

    /// Keeps field 0, drops field 1, replaces field 2, stops at 3, writes no text for 4.
    struct ByNumber(Vec<String>);

    impl Visitor for ByNumber {
        fn scalar(
            &mut self,
            field: FieldIndex,
            value: Scalar<'_>,
            out: &mut Vec<u8>,
        ) -> Result<Verdict, Stop> {
            let mut scratch = Vec::new();
            self.0.push(String::from_utf8(value.text(&mut scratch).unwrap().to_vec()).unwrap());
            match field.0 {
                0 => return Ok(Verdict::Keep),
                1 => return Ok(Verdict::Drop),
                2 => write_string("a&b=\u{e9} \u{1}".as_bytes(), out),
                3 => return Err(Stop(33)),
                _ => write_string(b"\0", out),
            }
            Ok(Verdict::Replaced)
        }

        fn wild_name(&mut self, raw: &[u8], _: bool) -> Result<NameVerdict, Stop> {
            Ok(if raw.starts_with(b"x") { NameVerdict::Drop } else { NameVerdict::Keep })
        }
    }

    fn run(input: &[u8], pointers: &[(&str, u16)]) -> Result<(String, Outcome, Vec<String>), ErrorKind> {
        let bound = pointers.iter().map(|(pointer, field)| (*pointer, FieldIndex(*field)));
        let bindings = Bindings::compile(bound).unwrap();
        let limits = Limits { bytes: 256, depth: 1, members: 4, records: 1 };
        let (mut out, mut visitor) = (b"before".to_vec(), ByNumber(Vec::new()));
        let done = rewrite(input, &bindings, &limits, &mut visitor, &mut out);
        let written = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
        assert!(done.is_ok() || written.is_empty());
        done.map(|outcome| (written, outcome, visitor.0)).map_err(|error| error.kind)
    }

    const ALL: &[(&str, u16)] = &[("/*", 0)];

    #[test]
    fn malformed_forms_are_refused_with_their_reason() {
        use ErrorKind as E;
        for (input, expected) in [
            (&b"a"[..], E::NoValue),
            (b"a=1&b", E::NoValue),
            (b"a=1&", E::EmptyPair),
            (b"&a=1", E::EmptyPair),
            (b"a=1&&b=2", E::EmptyPair),
            (b"a=1=2", E::SecondEquals),
            (b"=1", E::Nameless),
            (b"a=1&a=2", E::DuplicateName),
            (b"a=1&%61=2", E::DuplicateName),
            (b"a+b=1&a%20b=2", E::DuplicateName),
            (b"a=1;b", E::Unescaped),
            (b"a=1 2", E::Unescaped),
            (b"a=\xC3\xA9", E::Unescaped),
            (b"a=1\n", E::Unescaped),
            (b"a=\"1\"", E::Unescaped),
            (b"a=%", E::Percent),
            (b"a=%4", E::Percent),
            (b"a=%zz", E::Percent),
            (b"a=%u0041", E::Percent),
            (b"a=%00", E::Nul),
            (b"a=%FF", E::NotUtf8),
            (b"a=%ED%A0%80", E::NotUtf8),
            (b"a=%C3&b=%A9", E::NotUtf8),
            (b"a=1&b=2&c=3&d=4&e=5", E::TooManyFields),
        ] {
            assert_eq!(run(input, ALL).map(|_| ()), Err(expected), "{:?}", String::from_utf8_lossy(input));
        }
        assert_eq!(run(&[b'a'; 257], ALL).map(|_| ()), Err(E::TooLarge));
        assert_eq!(run(b"a=1", &[("/a", 3)]).map(|_| ()), Err(E::Stopped(Stop(33))));
        assert_eq!(run(b"a=1", &[("/a", 4)]).map(|_| ()), Err(E::Replacement));
    }

    #[test]
    fn fields_go_stay_and_change_by_name() {
        let input = b"id=7&e+mail=ann%40example.org&n=%31";
        for (pointers, expected) in [
            (ALL, "id=7&e+mail=ann%40example.org&n=%31"),
            (&[("/n", 0)], "n=%31"),
            (&[("/id", 1), ("/n", 0)], "n=%31"),
            (&[("/e mail", 2), ("/id", 0)], "id=7&e+mail=a%26b%3D%C3%A9+%01"),
            (&[("/id", 1)], ""),
            (&[("/other", 0)], ""),
            (&[("/id/x", 0)], ""),
        ] {
            assert_eq!(run(input, pointers).unwrap().0, expected, "{pointers:?}");
        }
        assert_eq!(run(b"", ALL).unwrap().0, "");
        assert_eq!(run(b"a=&xb=2", ALL).unwrap().0, "a=");
        assert_eq!(run(input, ALL).unwrap().2, ["7", "ann@example.org", "1"]);
    }

    proptest! {
        #[test]
        fn what_is_taken_comes_out_as_a_form_again(
            bytes in prop::collection::vec(prop::sample::select(&b"ab12==&&%%+;*\xC3"[..]), 0..24), which in 0..3_usize,
        ) {
            let pointers = [ALL, &[("/a", 0), ("/*", 2)], &[("/b", 1), ("/a", 2)]][which];
            if let Ok((written, ..)) = run(&bytes, pointers) {
                prop_assert!(run(written.as_bytes(), ALL).is_ok(), "{}", written);
            }
        }

        #[test]
        fn any_text_is_encoded_so_that_it_decodes(text in "\\PC{0,24}") {
            let mut spelled = Vec::new();
            encode(text.as_bytes(), &mut spelled);
            prop_assert_eq!(decode(&spelled, 0).unwrap(), text.into_bytes());
        }
    }
}
