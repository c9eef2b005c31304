//! Personal data found in values.
//!
//! [`scan`] looks at one decoded string and reports identifiers that can be told by their form:
//! e-mail addresses, IP addresses, IBANs, telephone numbers, payment cards and JSON Web Tokens.
//! It runs on every value that leaves, declared harmless or not, so most of the work is to see
//! at once that there is nothing to see: one pass counts a few kinds of bytes, and only a text
//! that could hold an identifier is looked at again.
//!
//! Names, addresses and free text are out of its reach: what it does not find is not thereby
//! harmless. The crate holds no rule about what a finding means, and `Debug` of a finding shows
//! kind and place, never the text.

mod email;
mod fold;
mod iban;
mod jwt;
mod network;
mod number;
mod sketch;
#[cfg(test)]
mod tests;

pub use iban::iban_valid;
pub use number::{card_valid, luhn_valid, scan_number};

use sketch::Sketch;

/// What was found. Where findings overlap, the kind declared first names them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A JSON Web Token (RFC 7519), or the start of an encrypted one.
    Jwt,
    /// An international bank account number (ISO 13616).
    Iban,
    /// A payment card number (ISO/IEC 7812).
    Card,
    /// An e-mail address (RFC 5321, RFC 6531), also with `%40` for the at sign.
    Email,
    /// An IPv6 address (RFC 4291) that can belong to a device.
    Ipv6,
    /// An IPv4 address that can belong to a device.
    Ipv4,
    /// A telephone number (ITU-T E.164), or one that is written as numbers are at home.
    Phone,
}

impl Kind {
    /// Every kind, in the order of their codes.
    pub const ALL: [Self; 7] =
        [Self::Email, Self::Ipv4, Self::Ipv6, Self::Iban, Self::Phone, Self::Card, Self::Jwt];

    /// A number that never changes its meaning, for ledger entries.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Email => 1,
            Self::Ipv4 => 2,
            Self::Ipv6 => 3,
            Self::Iban => 4,
            Self::Phone => 5,
            Self::Card => 6,
            Self::Jwt => 7,
        }
    }

    /// The word for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "e-mail address",
            Self::Ipv4 => "IPv4 address",
            Self::Ipv6 => "IPv6 address",
            Self::Iban => "IBAN",
            Self::Phone => "telephone number",
            Self::Card => "payment card",
            Self::Jwt => "JSON web token",
        }
    }
}

/// The name of the kind with this code.
///
/// ```
/// assert_eq!(inspect::name_of(4), Some("IBAN"));
/// assert_eq!(inspect::name_of(0), None);
/// ```
#[must_use]
pub fn name_of(code: u8) -> Option<&'static str> {
    Kind::ALL.iter().find(|kind| kind.code() == code).map(|kind| kind.name())
}

/// One identifier and its place, in bytes of the text that was scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
}

/// Appends what it finds in `text` (one decoded string, UTF-8), in order and without overlap.
///
/// Full-width letters and digits, digits of other scripts, invisible characters and unusual
/// spaces and dashes are read as what they stand for.
///
/// ```
/// use inspect::{Finding, Kind, scan};
///
/// let mut found = Vec::new();
/// scan(b"write to ann@example.org, or +47 22 12 34 56", &mut found);
/// assert_eq!(found, [
///     Finding { kind: Kind::Email, start: 9, end: 24 },
///     Finding { kind: Kind::Phone, start: 29, end: 44 },
/// ]);
/// ```
pub fn scan(text: &[u8], out: &mut Vec<Finding>) {
    let sketch = Sketch::of(text);
    if !sketch.other && (!sketch.suspects(text.len()) || is_timestamp(text)) {
        return;
    }
    if sketch.other
        && let Some(folded) = fold::fold(text)
    {
        let first = out.len();
        let sketch = Sketch::of(folded.text());
        scan_folded(folded.text(), sketch, out);
        for finding in out.iter_mut().skip(first) {
            (finding.start, finding.end) = folded.place(finding.start, finding.end);
        }
        return;
    }
    scan_folded(text, sketch, out);
}

/// True if [`scan`] finds nothing.
///
/// ```
/// assert!(inspect::is_clean(b"2026-05-06T07:08:09Z"));
/// assert!(!inspect::is_clean(b"ann@example.org"));
/// ```
#[must_use]
pub fn is_clean(text: &[u8]) -> bool {
    let mut found = Vec::new();
    scan(text, &mut found);
    found.is_empty()
}

/// True for an RFC 3339 time of the years 1000 to 2999 and nothing else: common, full of digits, and never an
/// identifier. What looks like another year may be a number that begins like a telephone's (`0010-…`).
fn is_timestamp(text: &[u8]) -> bool {
    const SHAPE: &[u8; 19] = b"1000-M0-D0T00:00:00";
    let Some((time, rest)) = text.split_first_chunk::<19>() else { return false };
    let like = |(b, shape): (&u8, &u8)| match shape {
        b'0' => b.is_ascii_digit(),
        b'1' => matches!(b, b'1' | b'2'),
        b'M' => matches!(b, b'0' | b'1'),
        b'D' => matches!(b, b'0'..=b'3'),
        b'T' => matches!(b, b'T' | b't' | b' '),
        _ => b == shape,
    };
    let fraction = rest.strip_prefix(b".").unwrap_or_default();
    let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
    let offset = if digits > 0 { fraction.get(digits..).unwrap_or_default() } else { rest };
    let zone = match offset {
        [] | [b'Z' | b'z'] => true,
        [b'+' | b'-', h0, h1, b':', m0, m1] => [h0, h1, m0, m1].iter().all(|b| b.is_ascii_digit()),
        _ => false,
    };
    digits <= 9 && zone && time.iter().zip(SHAPE).all(like)
}

fn scan_folded(text: &[u8], sketch: Sketch, out: &mut Vec<Finding>) {
    let first = out.len();
    if sketch.may_hold_email() {
        email::scan(text, out);
    }
    if sketch.may_hold_number(text.len()) {
        number::scan(text, out);
    }
    if sketch.may_hold_ipv6() {
        network::scan_ipv6(text, out);
    }
    if sketch.may_hold_jwt(text.len()) {
        jwt::scan(text, out);
    }
    if out.len() > first + 1 {
        settle(first, out);
    }
}

/// Sorts the findings from `first` on and joins those that overlap: the strongest kind over all
/// their bytes, so that nothing that any of them covers is left bare.
fn settle(first: usize, out: &mut Vec<Finding>) {
    let mut own = out.split_off(first);
    own.sort_unstable_by_key(|finding| (finding.start, finding.kind));
    for finding in own {
        let known = out.len();
        match out.last_mut() {
            Some(last) if known > first && finding.start < last.end => {
                last.end = last.end.max(finding.end);
                last.kind = last.kind.min(finding.kind);
            }
            _ => out.push(finding),
        }
    }
}
