//! What the auditor reads of `assessments.toml`: what may cross to a country on which day.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use crate::codes::{Treatment, is_country};

const UNKNOWN_PLACE: &str = "ZZ";
/// All bits of a standing: those of the treatments, and one for adequacy.
const ADEQUATE: u8 = 1 << 6;

/// All assessments and decisions of adequacy.
#[derive(Debug, Default)]
pub(crate) struct Assessments {
    countries: BTreeMap<String, Assessment>,
    adequacy: Vec<Adequacy>,
}

#[derive(Debug)]
struct Assessment {
    /// Unix seconds: from the first on, and before the second.
    from: u64,
    until: u64,
    /// Bits of the treatments that may cross.
    treatments: u8,
}

#[derive(Debug)]
struct Adequacy {
    country: String,
    from: u64,
    until: Option<u64>,
}

/// What a country's assessment and adequacy come to at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing(u8);

impl Standing {
    /// As if all assessments let everything cross.
    pub(crate) const OPEN: Self = Self(u8::MAX);

    pub(crate) fn lets(self, treatment: Treatment) -> bool {
        self.0 & treatment.bit() != 0
    }

    pub(crate) fn is_adequate(self) -> bool {
        self.0 & ADEQUATE != 0
    }

    /// Equal for two that policies cannot tell apart.
    pub(crate) fn byte(self) -> u8 {
        self.0
    }
}

/// Why assessments cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssessmentsError {
    #[error("it cannot be read: {}", .0.message())]
    Toml(#[from] toml::de::Error),
    #[error("`{0}` is no country that can be assessed")]
    Country(String),
    #[error("`{0}` is assessed twice")]
    Twice(String),
    #[error("the {1} of `{0}` cannot be used")]
    Value(String, &'static str),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    assessment: Vec<RawAssessment>,
    #[serde(default)]
    adequacy: Vec<RawAdequacy>,
}

#[derive(Deserialize)]
struct RawAssessment {
    country: String,
    reviewed: String,
    expires: String,
    finding: String,
    treatments: Vec<String>,
}

#[derive(Deserialize)]
struct RawAdequacy {
    country: String,
    from: String,
    until: Option<String>,
}

impl Assessments {
    pub(crate) fn parse(text: &str) -> Result<Self, AssessmentsError> {
        let raw: Raw = toml::from_str(text)?;
        let mut all = Self::default();
        for raw in raw.assessment {
            let assessment = raw.check()?;
            if let Some(twice) = all.countries.insert(raw.country.clone(), assessment).map(|_| raw.country) {
                return Err(AssessmentsError::Twice(twice));
            }
        }
        for raw in raw.adequacy {
            all.adequacy.push(raw.check()?);
        }
        Ok(all)
    }

    /// The countries that it speaks of.
    pub(crate) fn countries(&self) -> impl Iterator<Item = &str> {
        self.countries.keys().map(String::as_str).chain(self.adequacy.iter().map(|one| one.country.as_str()))
    }

    /// What may cross to `country` at `now`.
    pub(crate) fn standing(&self, country: &str, now: u64) -> Standing {
        let current = self.countries.get(country).filter(|one| (one.from..one.until).contains(&now));
        let treatments = current.map_or(0, |one| one.treatments);
        let in_force = |one: &Adequacy| one.from <= now && one.until.is_none_or(|until| now < until);
        let adequate = self.adequacy.iter().any(|one| one.country == country && in_force(one));
        Standing(treatments | if adequate { ADEQUATE } else { 0 })
    }
}

impl RawAssessment {
    fn check(&self) -> Result<Assessment, AssessmentsError> {
        let wrong = |what| AssessmentsError::Value(self.country.clone(), what);
        assessable(&self.country)?;
        let from = midnight(&self.reviewed).ok_or_else(|| wrong("day of review"))?;
        let until = midnight(&self.expires).ok_or_else(|| wrong("day of expiry"))?;
        if until <= from {
            return Err(wrong("period"));
        }
        let negative = match self.finding.as_str() {
            "equivalent" => false,
            "negative" => true,
            _ => return Err(wrong("finding")),
        };
        let mut treatments = 0;
        for word in &self.treatments {
            let treatment = treatment_of(word).ok_or_else(|| wrong("list of treatments"))?;
            if negative && treatment == Treatment::Plain {
                return Err(wrong("list of treatments"));
            }
            treatments |= treatment.bit();
        }
        Ok(Assessment { from, until, treatments })
    }
}

impl RawAdequacy {
    fn check(self) -> Result<Adequacy, AssessmentsError> {
        assessable(&self.country)?;
        let wrong = || AssessmentsError::Value(self.country.clone(), "time of adequacy");
        let from = midnight(&self.from).ok_or_else(wrong)?;
        let until = match &self.until {
            None => None,
            Some(text) => Some(midnight(text).filter(|until| from < *until).ok_or_else(wrong)?),
        };
        Ok(Adequacy { country: self.country, from, until })
    }
}

fn assessable(country: &str) -> Result<(), AssessmentsError> {
    let good = is_country(country.as_bytes()) && country != UNKNOWN_PLACE;
    if good { Ok(()) } else { Err(AssessmentsError::Country(country.to_owned())) }
}

/// The word of a treatment in files, which for one of them is shorter than the one for people.
fn treatment_of(word: &str) -> Option<Treatment> {
    [1, 2, 4, 8, 16, 32].into_iter().filter_map(Treatment::from_code).find(|one| one.attribute() == word)
}

/// The first second of a day, `YYYY-MM-DD`, in UTC.
fn midnight(day: &str) -> Option<u64> {
    let date: Date = (day.len() == 10).then(|| day.parse().ok()).flatten()?;
    let time = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    u64::try_from(time.timestamp().as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[assessment]]
        country = "SG"
        law_review = "r"
        measures = []
        owner = "o"
        reviewed = "2026-01-01"
        expires = "2027-01-01"
        finding = "equivalent"
        treatments = ["plain", "masked"]
        [[assessment]]
        country = "CN"
        reviewed = "2026-01-01"
        expires = "2027-01-01"
        finding = "negative"
        treatments = ["aggregate", "dp"]
        [[adequacy]]
        country = "JP"
        decision = "d"
        from = "2026-01-01"
        until = "2026-01-02"
    "#;
    /// 2026-01-01 and 2027-01-01.
    const FIRST: u64 = 1_767_225_600;
    const END: u64 = 1_798_761_600;

    #[test]
    fn an_assessment_counts_within_its_days_and_lets_through_what_it_names() {
        let all = Assessments::parse(GOOD).unwrap();
        let plain = |now| all.standing("SG", now).lets(Treatment::Plain);
        assert!(!plain(FIRST - 1) && plain(FIRST) && plain(END - 1) && !plain(END));
        let now = all.standing("SG", FIRST);
        assert!(now.lets(Treatment::Masked) && !now.lets(Treatment::Aggregate));
        assert!(all.standing("CN", FIRST).lets(Treatment::DifferentiallyPrivate));
        assert_eq!(all.standing("US", FIRST).byte(), 0);
        let adequate = |now| all.standing("JP", now).is_adequate();
        assert!(
            !adequate(FIRST - 1) && adequate(FIRST) && adequate(FIRST + 86_399) && !adequate(FIRST + 86_400)
        );
    }

    #[test]
    fn assessments_with_two_meanings_are_refused() {
        for (from, to) in [
            ("\"aggregate\", \"dp\"", "\"plain\""),
            ("\"aggregate\", \"dp\"", "\"counts\""),
            ("country = \"CN\"", "country = \"SG\""),
            ("country = \"CN\"", "country = \"ZZ\""),
            ("country = \"CN\"", "country = \"cn\""),
            ("expires = \"2027-01-01\"", "expires = \"2026-01-01\""),
            ("expires = \"2027-01-01\"", "expires = \"2027-1-1\""),
            ("finding = \"negative\"", "finding = \"fine\""),
            ("until = \"2026-01-02\"", "until = \"2026-01-01\""),
            ("[[adequacy]]", "[[adequate]]"),
        ] {
            assert!(GOOD.contains(from));
            assert!(Assessments::parse(&GOOD.replacen(from, to, 1)).is_err(), "{from} → {to}");
        }
    }
}
