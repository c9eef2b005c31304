//! What is known of a value beside its text.

use crate::key::{self, Hint};
use crate::quick::Suspects;
use crate::{
    Confidence, Country, Finding, Kind, Rule, card_valid, evade, ids, keyed, quick, scan_suspects, settle,
};

/// What is known of a value: what its field is declared to hold, what the field is called, and what stands before
/// it.
///
/// ```
/// use inspect::{Context, Kind, scan_in};
///
/// let mut found = Vec::new();
/// scan_in(Context::of_key(b"bsn"), b"123456782", &mut found);
/// assert_eq!((found[0].kind, found[0].rule.id()), (Kind::NationalId, "nl.bsn"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context<'a> {
    declared: Option<(Kind, Option<Country>)>,
    key: &'a [u8],
    before: &'a [u8],
}

impl<'a> Context<'a> {
    /// Nothing is known.
    #[must_use]
    pub const fn none() -> Self {
        Self { declared: None, key: b"", before: b"" }
    }

    /// The schema declares that the field holds this kind: a wrong check digit clears nothing then, and what has
    /// no form of that kind is reported whole.
    #[must_use]
    pub const fn declared(kind: Kind) -> Self {
        Self { declared: Some((kind, None)), key: b"", before: b"" }
    }

    /// The field is called so.
    #[must_use]
    pub const fn of_key(key: &'a [u8]) -> Self {
        Self { declared: None, key, before: b"" }
    }

    /// The declared identifiers are of this country.
    #[must_use]
    pub const fn from_country(mut self, country: Country) -> Self {
        if let Some((kind, _)) = self.declared {
            self.declared = Some((kind, Some(country)));
        }
        self
    }

    /// These words stand before the value.
    #[must_use]
    pub const fn after(mut self, before: &'a [u8]) -> Self {
        self.before = before;
        self
    }

    /// What to expect, and whether it is declared.
    fn hint(self) -> (Hint, bool) {
        if let Some((kind, country)) = self.declared {
            return (hint_of(kind, country), true);
        }
        let hint = key::hint(self.key);
        if hint.is_telling() || self.before.is_empty() {
            return (hint, false);
        }
        (key::near(self.before), false)
    }
}

/// What is known of all values of a field, worked out once.
///
/// ```
/// use inspect::{Context, Kind};
///
/// let bsn = Context::of_key(b"bsn").known();
/// let mut found = Vec::new();
/// bsn.scan(b"123456782", &mut found);
/// assert_eq!(found[0].kind, Kind::NationalId);
/// assert!(bsn.number(b"123456782").is_some());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known(Hint);

impl Default for Known {
    /// Nothing is known.
    fn default() -> Self {
        Self(Hint::None)
    }
}

impl Known {
    /// Appends what it finds in a text, in order and without overlap.
    pub fn scan(self, text: &[u8], out: &mut Vec<Finding>) {
        let suspects = quick::suspects(quick::Value::alone(text, self.0));
        if self.0.is_telling() || suspects != Suspects::NONE {
            scan_value(self.0, false, text, || suspects, out);
        }
    }

    /// What a number is, as JSON spells it.
    #[must_use]
    pub fn number(self, digits: &[u8]) -> Option<Finding> {
        number_hinted(self.0, digits)
    }
}

impl Context<'_> {
    /// The same for many values, as far as no schema declares it.
    #[must_use]
    pub fn known(self) -> Known {
        Known(self.hint().0)
    }
}

/// What a field of this kind is expected to hold.
fn hint_of(kind: Kind, country: Option<Country>) -> Hint {
    let of_country = |kind: Kind| {
        let rule = Rule::all()
            .find(|rule| rule.kind() == kind && rule.country().is_some() && rule.country() == country);
        rule.map_or(Hint::Id(ids::Wanted::Kind(kind)), Hint::of)
    };
    match kind {
        Kind::NationalId | Kind::TaxId | Kind::SocialId => of_country(kind),
        Kind::Email => Hint::Email,
        Kind::Phone => Hint::Phone,
        Kind::Ipv4 | Kind::Ipv6 => Hint::Ip,
        Kind::Mac => Hint::Mac,
        Kind::Imei => Hint::Imei,
        Kind::Imsi => Hint::Imsi,
        Kind::Iccid => Hint::Iccid,
        Kind::AdvertisingId => Hint::AdvertisingId,
        Kind::DeviceId => Hint::AndroidId,
        Kind::Card => Hint::Card,
        Kind::Iban => Hint::Iban,
        Kind::Bic => Hint::Bic,
        Kind::Secret | Kind::Jwt => Hint::Secret,
        Kind::Coordinates => Hint::Coordinates,
        Kind::BirthDate => Hint::BirthDate,
        Kind::Postcode => Hint::Postcode,
        Kind::Name => Hint::PersonName,
        Kind::Address => Hint::Street,
        Kind::Document => Hint::Document,
        Kind::Custom => Hint::None,
    }
}

/// Appends what it finds in `text`, of which `context` is known, in order and without overlap.
pub fn scan_in(context: Context<'_>, text: &[u8], out: &mut Vec<Finding>) {
    let (hint, declared) = context.hint();
    let first = out.len();
    scan_hinted(hint, declared, text, out);
    // What is declared and has no form of its own is reported as it stands.
    if let Some((kind, country)) = context.declared
        && out.len() == first
        && let Some((start, end)) = keyed::trimmed(text)
    {
        let country = country.or_else(|| Rule::DECLARED.country());
        out.push(Finding { kind, start, end, country, confidence: Confidence::Low, rule: Rule::DECLARED });
    }
}

/// What a value holds: by what is said of it, and by form.
pub(crate) fn scan_hinted(hint: Hint, declared: bool, text: &[u8], out: &mut Vec<Finding>) {
    scan_value(hint, declared, text, || quick::suspects(quick::Value::alone(text, hint)), out);
}

/// The same, where the first look may have been taken before.
#[inline]
pub(crate) fn scan_value(
    hint: Hint,
    declared: bool,
    text: &[u8],
    suspects: impl FnOnce() -> Suspects,
    out: &mut Vec<Finding>,
) {
    let first = out.len();
    if hint.is_telling() {
        keyed::scan(hint, declared, text, out);
        // One finding over all of it: nothing is left to find.
        if let Some(only) = out.get(first)
            && only.start == 0
            && only.end == text.len()
        {
            return;
        }
        if out.len() == first {
            evade::scan_named(text, hint, out);
        }
    } else if hint == Hint::Harmless && is_article(text) {
        return;
    }
    scan_suspects(text, suspects(), hint, out);
    if out.len() > first + 1 {
        settle(first, out);
    }
}

/// A number of an article (GTIN-13 and GTIN-14, GS1), as fields for harmless numbers hold: its check digit lets cards and AHV
/// numbers through by chance.
fn is_article(text: &[u8]) -> bool {
    matches!(text.len(), 13 | 14) && text.iter().all(u8::is_ascii_digit)
}

/// What a bare number is, as JSON spells it.
#[inline]
pub(crate) fn number_hinted(hint: Hint, number: &[u8]) -> Option<Finding> {
    if hint.is_telling() {
        return told_number(hint, number);
    }
    if number.len() < 13 || number.len() > 19 || hint == Hint::Harmless && is_article(number) {
        return None;
    }
    if card_valid(number) {
        return Some(Finding::sure(Rule::CARD, 0, number.len()));
    }
    ids::alone_bare(number).map(|rule| Finding::sure(rule, 0, number.len()))
}

#[cold]
fn told_number(hint: Hint, number: &[u8]) -> Option<Finding> {
    let mut found = Vec::new();
    keyed::scan(hint, false, number, &mut found);
    match hint {
        Hint::Id(ids::Wanted::Rule(rule)) if found.is_empty() && ids::without_zero(rule, number) => {
            Some(Finding::new(rule, 0, number.len(), Confidence::Medium))
        }
        _ => found.first().copied(),
    }
}
