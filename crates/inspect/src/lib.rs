//! Personal data found in values.
//!
//! [`scan`] looks at one decoded string and reports what its form tells: e-mail and IP addresses, IBANs,
//! telephone numbers, cards, tokens, and those national identifiers that have a date, letters or several check
//! digits. [`scan_in`] is also told what the field is called or declared to hold, and then finds what is only
//! digits, or only words. [`scan_json`], [`scan_csv`] and [`scan_text`] take whole documents. All of them run on
//! every value that leaves, declared harmless or not, so most of the work is to see at once that there is nothing
//! to see.
//!
//! Names and addresses in free text are out of its reach: what it does not find is not thereby harmless. The
//! crate holds no rule about what a finding means, and `Debug` of a finding shows kind and place, never the text.

mod context;
mod decoded;
mod device;
mod document;
mod email;
mod evade;
mod fold;
mod iban;
mod ids;
mod jwt;
mod key;
mod keyed;
mod lanes;
mod network;
mod number;
mod operator;
mod parts;
mod people;
mod place;
mod quick;
mod rule;
mod secret;
mod sketch;
#[cfg(test)]
mod tests;

pub use context::{Context, Known, scan_in};
pub use document::{Scanner, TextStream, scan_csv, scan_json, scan_text};
pub use iban::iban_valid;
pub use ids::identifier_valid;
pub use number::{card_valid, luhn_valid, scan_number};
pub use operator::{OperatorError, OperatorRules};
pub use parts::{Cut, Parts, Piece};
pub use rule::{Country, Needs, Rule};

use decoded::Decoded;
use key::Hint;
use quick::Suspects;
use sketch::Sketch;

/// What was found. Where findings overlap, the kind declared first names them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A JSON Web Token (RFC 7519), or the start of an encrypted one.
    Jwt,
    /// A key, password, bearer token or cookie.
    Secret,
    /// An international bank account number (ISO 13616).
    Iban,
    /// A business identifier code, of a bank (ISO 9362).
    Bic,
    /// A payment card number (ISO/IEC 7812).
    Card,
    /// An e-mail address (RFC 5321, RFC 6531), also with `%40` for the at sign.
    Email,
    /// An IPv6 address (RFC 4291) that can belong to a device.
    Ipv6,
    /// An IPv4 address that can belong to a device.
    Ipv4,
    /// A MAC address or EUI-64 (IEEE 802).
    Mac,
    /// A number by which a state knows a person.
    NationalId,
    /// A number by which a tax office knows a person.
    TaxId,
    /// A number by which social security or a health service knows a person.
    SocialId,
    /// The number of a mobile device (3GPP TS 23.003).
    Imei,
    /// The number of a mobile subscriber (ITU-T E.212).
    Imsi,
    /// The number of a SIM card (ITU-T E.118).
    Iccid,
    /// An identifier that a platform gives for advertising.
    AdvertisingId,
    /// An identifier that a platform gives a device.
    DeviceId,
    /// A telephone number (ITU-T E.164), or one that is written as numbers are at home.
    Phone,
    /// A passport, identity card or driving licence.
    Document,
    /// A place on earth, to some hundred metres or better.
    Coordinates,
    /// A day of birth.
    BirthDate,
    /// A street with its number.
    Address,
    /// A postcode.
    Postcode,
    /// The name of a person.
    Name,
    /// What the operator's own rules find.
    Custom,
}

impl Kind {
    /// Every kind, in the order of their codes.
    pub const ALL: [Self; 25] = [
        Self::Email,
        Self::Ipv4,
        Self::Ipv6,
        Self::Iban,
        Self::Phone,
        Self::Card,
        Self::Jwt,
        Self::NationalId,
        Self::TaxId,
        Self::SocialId,
        Self::Mac,
        Self::Imei,
        Self::Imsi,
        Self::Iccid,
        Self::AdvertisingId,
        Self::DeviceId,
        Self::Secret,
        Self::Coordinates,
        Self::BirthDate,
        Self::Postcode,
        Self::Name,
        Self::Address,
        Self::Custom,
        Self::Document,
        Self::Bic,
    ];

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
            Self::NationalId => 8,
            Self::TaxId => 9,
            Self::SocialId => 10,
            Self::Mac => 11,
            Self::Imei => 12,
            Self::Imsi => 13,
            Self::Iccid => 14,
            Self::AdvertisingId => 15,
            Self::DeviceId => 16,
            Self::Secret => 17,
            Self::Coordinates => 18,
            Self::BirthDate => 19,
            Self::Postcode => 20,
            Self::Name => 21,
            Self::Address => 22,
            Self::Custom => 23,
            Self::Document => 24,
            Self::Bic => 25,
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
            Self::Bic => "BIC",
            Self::Phone => "telephone number",
            Self::Card => "payment card",
            Self::Jwt => "JSON web token",
            Self::NationalId => "national identifier",
            Self::TaxId => "tax number",
            Self::SocialId => "social security number",
            Self::Mac => "MAC address",
            Self::Imei => "IMEI",
            Self::Imsi => "IMSI",
            Self::Iccid => "ICCID",
            Self::AdvertisingId => "advertising id",
            Self::DeviceId => "device id",
            Self::Secret => "secret",
            Self::Coordinates => "coordinates",
            Self::BirthDate => "birth date",
            Self::Postcode => "postcode",
            Self::Name => "name",
            Self::Address => "postal address",
            Self::Custom => "operator's kind",
            Self::Document => "document number",
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

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// The field is declared or named so, and the form is like it.
    Low,
    /// Form and context, or a form that chance seldom makes.
    Medium,
    /// A form with its check, or one that nothing else has.
    High,
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
    /// Whose it is, where the form or the rule tells.
    pub country: Option<Country>,
    /// How sure that is.
    pub confidence: Confidence,
    /// The rule that fired.
    pub rule: Rule,
}

impl Finding {
    pub(crate) fn new(rule: Rule, start: usize, end: usize, confidence: Confidence) -> Self {
        Self { kind: rule.kind(), start, end, country: rule.country(), confidence, rule }
    }

    /// A finding that its form proves.
    pub(crate) fn sure(rule: Rule, start: usize, end: usize) -> Self {
        Self::new(rule, start, end, Confidence::High)
    }
}

/// Appends what it finds in `text` (one decoded string, UTF-8), in order and without overlap.
///
/// Full-width letters and digits, digits of other scripts, invisible characters and unusual
/// spaces and dashes are read as what they stand for.
///
/// ```
/// use inspect::{Kind, scan};
///
/// let mut found = Vec::new();
/// scan(b"write to ann@example.org, or +47 22 12 34 56", &mut found);
/// let places: Vec<_> = found.iter().map(|f| (f.kind, f.start, f.end)).collect();
/// assert_eq!(places, [(Kind::Email, 9, 24), (Kind::Phone, 29, 44)]);
/// ```
pub fn scan(text: &[u8], out: &mut Vec<Finding>) {
    scan_plain(text, Hint::None, out);
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

/// What the first look left possible.
fn scan_suspects(text: &[u8], suspects: Suspects, hint: Hint, out: &mut Vec<Finding>) {
    if suspects == Suspects::NONE {
        return;
    }
    if suspects == Suspects::ALL {
        return scan_plain(text, hint, out);
    }
    let first = out.len();
    if suspects.has(Suspects::EMAIL) {
        email::scan(text, out);
    }
    if suspects.has(Suspects::NUMBER) {
        number::scan(text, hint, out);
    }
    if suspects.has(Suspects::IPV6) {
        network::scan_ipv6(text, out);
    }
    if suspects.has(Suspects::MAC) {
        device::scan_mac(text, out);
    }
    if suspects.has(Suspects::JWT) {
        jwt::scan(text, out);
    }
    if suspects.has(Suspects::WORD) {
        scan_words(text, hint, 0, out);
    }
    if out.len() > first + 1 {
        settle(first, out);
    }
}

/// What form and neighbouring words tell, whatever the field is called.
fn scan_plain(text: &[u8], hint: Hint, out: &mut Vec<Finding>) {
    if text.len() > LONG {
        // Piece by piece, so that memory stays bounded.
        return document::scan_pieces(text, out);
    }
    scan_depth(text, hint, 0, out);
}

/// Longest text that is looked at as a whole, in bytes.
const LONG: usize = 65_536;

/// As [`scan_plain`], for text that was unwrapped `depth` times.
fn scan_depth(text: &[u8], hint: Hint, depth: usize, out: &mut Vec<Finding>) {
    let sketch = Sketch::of(text);
    if !sketch.other && (!sketch.suspects(text.len()) || is_timestamp(text)) {
        return;
    }
    if sketch.other
        && let Some(folded) = fold::fold(text)
    {
        let first = out.len();
        told(folded.text(), hint, out);
        scan_level(folded.text(), Sketch::of(folded.text()), hint, depth, out);
        for finding in out.iter_mut().skip(first) {
            (finding.start, finding.end) = folded.place(finding.start, finding.end);
        }
        return;
    }
    scan_level(text, sketch, hint, depth, out);
}

/// What the field's name makes of a text whose disguise was undone.
pub(crate) fn told(text: &[u8], hint: Hint, out: &mut Vec<Finding>) {
    if hint.is_telling() {
        keyed::scan(hint, false, text, out);
    }
}

/// The text as it stands, and what its percent signs, entities and long words stand for.
fn scan_level(text: &[u8], sketch: Sketch, hint: Hint, depth: usize, out: &mut Vec<Finding>) {
    let first = out.len();
    scan_forms(text, sketch, hint, out);
    if sketch.is_marked() && depth < evade::DEPTH_MAX {
        scan_marked(text, hint, depth, out);
    }
    if sketch.may_hold_token(text.len()) {
        scan_words(text, hint, depth, out);
    }
    if out.len() > first + 1 {
        settle(first, out);
    }
}

/// Long words: keys, and what is encoded.
fn scan_words(text: &[u8], hint: Hint, depth: usize, out: &mut Vec<Finding>) {
    for (start, end) in evade::LongWords::of(text) {
        if !secret::scan_word(text, start, end, out) {
            evade::scan_word(text, (start, end), hint, depth, out);
        }
    }
}

/// The text with its percent-encoding undone, and with its entities undone.
fn scan_marked(text: &[u8], hint: Hint, depth: usize, out: &mut Vec<Finding>) {
    let mut decoded = Decoded::default();
    let mut look = |decoded: &Decoded| {
        let first = out.len();
        told(decoded.text(), hint, out);
        scan_depth(decoded.text(), hint, depth + 1, out);
        for finding in out.iter_mut().skip(first) {
            (finding.start, finding.end) = decoded.place(finding.start, finding.end);
        }
    };
    if decoded.read_percent(text) {
        look(&decoded);
    }
    if decoded.read_html(text) {
        look(&decoded);
    }
}

/// One look for each family of forms that the sketch leaves possible.
fn scan_forms(text: &[u8], sketch: Sketch, hint: Hint, out: &mut Vec<Finding>) {
    if sketch.may_hold_email() {
        email::scan(text, out);
    }
    if sketch.may_hold_number(text.len()) {
        number::scan(text, hint, out);
    }
    if sketch.may_hold_ipv6() {
        network::scan_ipv6(text, out);
    }
    if sketch.may_hold_mac(text.len()) {
        device::scan_mac(text, out);
    }
    if sketch.may_hold_jwt(text.len()) {
        jwt::scan(text, out);
    }
}

/// Sorts the findings from `first` on and joins those that overlap: the strongest kind over all
/// their bytes, so that nothing that any of them covers is left bare.
pub(crate) fn settle(first: usize, out: &mut Vec<Finding>) {
    let own = out.get_mut(first..).unwrap_or_default();
    if own.is_sorted_by(|a, b| a.end <= b.start) {
        return;
    }
    own.sort_unstable_by_key(|finding| (finding.start, finding.kind, std::cmp::Reverse(finding.end)));
    let mut kept = 0;
    for at in 1..own.len() {
        let (Some(finding), Some(last)) = (own.get(at).copied(), own.get_mut(kept)) else { break };
        if finding.start < last.end {
            let end = last.end.max(finding.end);
            let strongest = if finding.kind < last.kind { finding } else { *last };
            *last = Finding { start: last.start, end, ..strongest };
        } else {
            kept += 1;
            if let Some(place) = own.get_mut(kept) {
                *place = finding;
            }
        }
    }
    out.truncate(first + kept + 1);
}
