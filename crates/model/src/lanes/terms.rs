//! What a lane says of its fields: how coarse a value is made, which tokens can be opened again inside, whether prose
//! crosses, and what is measured of a release. None of it permits anything: policy does, by treatment.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use super::Findings;
use crate::catalogue::{Catalogue, FieldIndex};
use crate::codes::Treatment;
use crate::id::Country;
use crate::problem::Problems;

/// The class that a value falls into where it crosses generalised (`docs/treatments.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coarse {
    /// Its hour.
    Hour,
    /// Its day.
    Day,
    /// Its month.
    Month,
    /// Its year.
    Year,
    /// A band of so many years.
    Years(NonZeroU16),
    /// An age, in bands of so many years.
    Age(NonZeroU16),
    /// A latitude with so many decimals.
    Latitude(u8),
    /// A longitude with so many decimals.
    Longitude(u8),
    /// A pair of them.
    Cell(u8),
    /// The network of an address, in bits of IPv4 and IPv6.
    Network(u8, u8),
    /// Family and platform of a user agent.
    Agent,
    /// The region of a postcode of this country.
    Postcode(Country),
    /// A count with one digit that says something.
    Count,
}

impl Coarse {
    /// Reads its word, with a parameter behind a colon.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (word, parameter) = text.split_once(':').map_or((text, None), |(w, p)| (w, Some(p)));
        let number = |most: u16| parameter?.parse::<u16>().ok().filter(|n| *n <= most);
        let places = || u8::try_from(number(3)?).ok();
        Some(match (word, parameter) {
            ("hour", None) => Self::Hour,
            ("day", None) => Self::Day,
            ("month", None) => Self::Month,
            ("year", None) => Self::Year,
            ("agent", None) => Self::Agent,
            ("count", None) => Self::Count,
            ("network", None) => Self::Network(24, 48),
            ("network", Some(bits)) => {
                let (v4, v6) = bits.split_once('/')?;
                let (v4, v6) = (v4.parse().ok()?, v6.parse().ok()?);
                (v4 <= 24 && v6 <= 48).then_some(Self::Network(v4, v6))?
            }
            ("years", Some(_)) => Self::Years(NonZeroU16::new(number(100)?)?),
            ("age", Some(_)) => Self::Age(NonZeroU16::new(number(50)?)?),
            ("latitude", Some(_)) => Self::Latitude(places()?),
            ("longitude", Some(_)) => Self::Longitude(places()?),
            ("cell", Some(_)) => Self::Cell(places()?),
            ("postcode", Some(country)) => Self::Postcode(Country::parse(country).ok()?),
            _ => return None,
        })
    }
}

/// How a pseudonym looks that services inside open again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reversible {
    /// A token of letters and digits.
    Token,
    /// A number with its last digit by ISO/IEC 7812-1.
    Luhn,
    /// A number with its last digit by ISO/IEC 7064, MOD 11,10.
    Mod11,
    /// A number with its last digit by GS1.
    Ean,
    /// A number without a check digit, behind reserved digits: so many, that spell this number.
    Reserved(u8, u32),
}

impl Reversible {
    /// Reads its word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "token" => Self::Token,
            "luhn" => Self::Luhn,
            "mod-11-10" => Self::Mod11,
            "ean" => Self::Ean,
            _ => {
                let digits = text.strip_prefix("reserved:")?;
                let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
                let number = digits.parse().ok().filter(|_| plain)?;
                Self::Reserved(u8::try_from(digits.len()).ok()?, number)
            }
        })
    }
}

/// How prose that people wrote crosses in plain, where a lane lets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreeText {
    /// What becomes of it when something is found.
    #[serde(default)]
    pub findings: Findings,
    /// Longest text, in bytes. A longer one is hidden.
    pub value_bytes_max: u32,
    /// Bytes of text that the lane lets through in a minute, in one process.
    pub minute_bytes_max: u32,
}

/// What a column is, for somebody who wants to find people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Known from elsewhere and, with others, pointing at somebody.
    Quasi,
    /// What somebody would want to learn.
    Sensitive,
    /// A pseudonym.
    Token,
    /// What can be found elsewhere: links, handles, titles, texts.
    Content,
}

/// What is measured of a release before it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Risk {
    /// How many people are to share a combination of quasi-identifiers.
    pub k: u16,
    /// What the fields are.
    pub roles: BTreeMap<FieldIndex, Role>,
}

/// All of it, for one lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The treatments that would do, plainest first: what policy is asked, and of it the first that it permits.
    pub treatments: Vec<Treatment>,
    /// How coarse values are made.
    pub coarse: BTreeMap<FieldIndex, Coarse>,
    /// Which pseudonyms can be opened again inside.
    pub reversible: BTreeMap<FieldIndex, Reversible>,
    /// How prose crosses the border; not at all without it.
    pub free_text: Option<FreeText>,
    /// What is measured.
    pub risk: Option<Risk>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRisk {
    k: u16,
    roles: BTreeMap<String, Role>,
}

/// As the file has it.
pub(super) struct Raw {
    pub(super) treatments: Option<Vec<String>>,
    pub(super) generalise: BTreeMap<String, String>,
    pub(super) reversible: BTreeMap<String, String>,
    pub(super) free_text: Option<FreeText>,
    pub(super) risk: Option<RawRisk>,
}

/// Longest text that a lane lets through, and most bytes of text in a minute.
const TEXT_MAX: u32 = 1 << 16;
const MINUTE_MAX: u32 = 64 << 20;

impl Terms {
    /// Reads what a lane says of fields that it binds.
    pub(super) fn read(
        place: &str,
        raw: Raw,
        bound: &[(String, FieldIndex)],
        catalogue: &Catalogue,
        p: &mut Problems,
    ) -> Self {
        let field = |p: &mut Problems, name: &str| {
            let index = catalogue.find(name).filter(|index| bound.iter().any(|(_, b)| b == index));
            if index.is_none() {
                p.add(
                    place,
                    format!("field `{name}` is not bound by the lane"),
                    "name one under [lane.bind]",
                );
            }
            index
        };
        let (mut coarse, mut reversible) = (BTreeMap::new(), BTreeMap::new());
        for (name, word) in &raw.generalise {
            let how = Coarse::parse(word);
            if how.is_none() {
                p.add(place, format!("`{word}` is no class of values"), "see docs/treatments.md");
            }
            coarse.extend(field(p, name).zip(how));
        }
        for (name, word) in &raw.reversible {
            let how = Reversible::parse(word);
            if how.is_none() {
                let fix = "use token, luhn, mod-11-10, ean or reserved:<digits>";
                p.add(place, format!("`{word}` is no token that opens again"), fix);
            }
            reversible.extend(field(p, name).zip(how));
        }
        let risk = raw.risk.map(|risk| {
            if !(2..=1_000).contains(&risk.k) || risk.roles.is_empty() {
                p.add(place, "`risk` has a `k` outside 2 to 1000, or no `roles`", "say what columns are");
            }
            let roles = risk.roles.iter().filter_map(|(name, role)| Some((field(p, name)?, *role))).collect();
            Risk { k: risk.k, roles }
        });
        let wide = |text: &FreeText| text.value_bytes_max > TEXT_MAX || text.minute_bytes_max > MINUTE_MAX;
        if raw.free_text.as_ref().is_some_and(wide) {
            p.add(
                place,
                "over 64 KiB of text at once or 64 MiB in a minute",
                "lower the bounds of `free_text`",
            );
        }
        let treatments = ladder(place, raw.treatments, p);
        Self { treatments, coarse, reversible, free_text: raw.free_text, risk }
    }
}

/// The treatments of rows, in their order.
fn ladder(place: &str, words: Option<Vec<String>>, p: &mut Problems) -> Vec<Treatment> {
    let Some(words) = words else { return vec![Treatment::Plain, Treatment::Pseudonymised] };
    let fix = "name some of plain, pseudonymised, generalised, masked, in that order";
    let read: Vec<_> = words.iter().filter_map(|w| p.keep(place, fix, Treatment::parse(w))).collect();
    let rows = read.iter().all(|t| !matches!(t, Treatment::Aggregate | Treatment::Dp));
    if read.is_empty() || !rows || !read.is_sorted_by(|a, b| a < b) {
        p.add(place, "`treatments` are no steps of rows, from the plainest on", fix);
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_or_token_that_is_not_known_or_shows_too_much_is_none() {
        let years = |n| Coarse::Years(NonZeroU16::new(n).unwrap());
        for (text, read) in [
            ("day", Some(Coarse::Day)),
            ("years:10", Some(years(10))),
            ("cell:2", Some(Coarse::Cell(2))),
            ("network", Some(Coarse::Network(24, 48))),
            ("network:16/32", Some(Coarse::Network(16, 32))),
            ("postcode:DE", Some(Coarse::Postcode(Country::parse("DE").unwrap()))),
            ("network:32/48", None),
            ("cell:4", None),
            ("years:0", None),
            ("years:1000", None),
            ("years", None),
            ("day:1", None),
            ("postcode:de", None),
            ("plain", None),
        ] {
            assert_eq!(Coarse::parse(text), read, "{text}");
        }
        assert_eq!(Reversible::parse("reserved:099"), Some(Reversible::Reserved(3, 99)));
        for text in ["reserved:", "reserved:9x", "reserved:123456789", "plain"] {
            assert_eq!(Reversible::parse(text), None, "{text}");
        }
    }
}
