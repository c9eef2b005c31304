//! Assessments of destinations and adequacy decisions: what may cross to a country, on which day.
//!
//! Both have dates, and both are a pure function of the rulebook and a time: whoever holds an entry and its rulebook
//! can tell again what they said.

use std::collections::BTreeMap;

use crate::codes::Treatment;
use crate::id::{Country, UnixSeconds};
use crate::problem::Problems;
use crate::programme::Programme;

/// The file that holds them.
pub const ASSESSMENTS: &str = "assessments.toml";
/// Longest text of an assessment, in bytes.
const TEXT_MAX: usize = 200;
/// Most measures of one assessment.
const MEASURES_MAX: usize = 32;

/// What the review of a destination found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Protection there is equivalent, with the measures.
    Equivalent,
    /// It is not: nothing crosses in plain, and in other forms only what the assessment names.
    Negative,
}

impl Verdict {
    /// The word in `assessments.toml`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Equivalent => "equivalent",
            Self::Negative => "negative",
        }
    }
}

/// The dated review of one destination.
#[derive(Debug, Clone)]
pub struct Assessment {
    /// Of which country.
    pub country: Country,
    /// Where the review of its law is to be read.
    pub law_review: String,
    /// What is done besides.
    pub measures: Vec<String>,
    /// Who answers for it.
    pub owner: String,
    /// From this moment on it counts.
    pub reviewed: UnixSeconds,
    /// From this moment on it does not.
    pub expires: UnixSeconds,
    /// What was found.
    pub finding: Verdict,
    /// What may cross there.
    pub treatments: Vec<Treatment>,
}

/// A decision that a country or territory is adequate (GDPR article 45).
#[derive(Debug, Clone)]
pub struct Adequacy {
    /// Of which country or territory.
    pub country: Country,
    /// Where the decision is to be read.
    pub decision: String,
    /// From this moment on it is in force.
    pub from: UnixSeconds,
    /// From this moment on it is not; `None` if no end is known.
    pub until: Option<UnixSeconds>,
}

/// What a country's assessment and adequacy come to at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    treatments: u8,
    /// A decision of adequacy is in force.
    pub adequate: bool,
}

impl Standing {
    /// As if every assessment let everything cross: for telling whether it was an assessment that stopped something.
    pub const OPEN: Self = Self { treatments: u8::MAX, adequate: true };

    /// Whether something may cross in this form.
    #[must_use]
    pub fn lets(self, treatment: Treatment) -> bool {
        self.treatments & treatment.code() != 0
    }
}

/// Something with a date on which it ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    /// When.
    pub at: UnixSeconds,
    /// Of which country.
    pub country: Country,
    /// What: `assessment` or `adequacy`.
    pub what: &'static str,
    /// Who answers for it, or the decision.
    pub owner: String,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Assessments {
    of: BTreeMap<Country, Assessment>,
    adequacy: Vec<Adequacy>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    assessment: Vec<RawAssessment>,
    #[serde(default)]
    adequacy: Vec<RawAdequacy>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAssessment {
    country: String,
    law_review: String,
    measures: Vec<String>,
    owner: String,
    reviewed: String,
    expires: String,
    finding: Verdict,
    treatments: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAdequacy {
    country: String,
    decision: String,
    from: String,
    until: Option<String>,
}

impl Assessments {
    /// Reads `assessments.toml`.
    ///
    /// # Errors
    /// Every problem of the file at once.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let raw: Raw = match toml::from_str(text) {
            Ok(raw) => raw,
            Err(e) => {
                problems.add(ASSESSMENTS, e.to_string().replace('\n', " "), "see docs/formats/rulebook.md");
                return Err(problems);
            }
        };
        let mut all = Self::default();
        for a in &raw.assessment {
            let place = format!("{ASSESSMENTS}: assessment of `{}`", a.country);
            if let Some(assessment) = assessment(&place, a, &mut problems)
                && all.of.insert(assessment.country, assessment).is_some()
            {
                problems.add(place, "declared twice", "keep the one that counts");
            }
        }
        for a in &raw.adequacy {
            all.adequacy.extend(adequacy(
                &format!("{ASSESSMENTS}: adequacy of `{}`", a.country),
                a,
                &mut problems,
            ));
        }
        problems.or(all)
    }

    /// Those of a bundle. A programme that names destinations needs the file: without it nothing could cross, and
    /// nobody would be told why.
    pub(crate) fn of_bundle(text: Option<&String>, programme: &Programme) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let Some(text) = text else {
            if !programme.destinations.is_empty() {
                problems.add(
                    ASSESSMENTS,
                    "the programme names destinations, and the file is missing",
                    "add it",
                );
            }
            return problems.or(Self::default());
        };
        let all = Self::parse(text)?;
        for country in all.of.keys().chain(all.adequacy.iter().map(|a| &a.country)) {
            if programme.in_region(*country) {
                problems.add(ASSESSMENTS, format!("`{country}` is inside the region"), "remove it");
            }
        }
        problems.or(all)
    }

    /// What may cross to a country at a moment, as far as its assessment goes. Missing, expired and not yet begun
    /// are the same: nothing.
    #[must_use]
    pub fn standing(&self, country: Country, now: UnixSeconds) -> Standing {
        let current = self.of.get(&country).filter(|a| a.reviewed <= now && now < a.expires);
        let treatments = current.map_or(0, |a| {
            let blocked = a.finding == Verdict::Negative;
            // INVARIANT: a negative finding blocks plain, whatever the file names.
            let named = a.treatments.iter().filter(|t| !(blocked && **t == Treatment::Plain));
            named.fold(0, |set, t| set | t.code())
        });
        let holds = |a: &&Adequacy| a.from <= now && a.until.is_none_or(|until| now < until);
        let adequate = self.adequacy.iter().filter(|a| a.country == country).any(|a| holds(&a));
        Standing { treatments, adequate }
    }

    /// How many of the moments at which an assessment or a decision begins or ends have passed. Within one era every
    /// country stands as it stands.
    #[must_use]
    pub fn era(&self, now: UnixSeconds) -> usize {
        let assessed = self.of.values().flat_map(|a| [a.reviewed, a.expires]);
        let adequate = self.adequacy.iter().flat_map(|a| [Some(a.from), a.until]).flatten();
        assessed.chain(adequate).filter(|moment| *moment <= now).count()
    }

    /// The assessment of a country, whatever its dates.
    #[must_use]
    pub fn of(&self, country: Country) -> Option<&Assessment> {
        self.of.get(&country)
    }

    /// Each by a name of its own, in words.
    #[must_use]
    pub fn told(&self) -> Vec<(String, String)> {
        let assessed = self.of.values().map(|a| {
            let forms: Vec<&str> = a.treatments.iter().map(|t| t.word()).collect();
            let finding = format!("{:?}", a.finding).to_lowercase();
            let (from, until) = (a.reviewed.rfc3339(), a.expires.rfc3339());
            let text = format!("{finding}, from {from} until {until}: {}", forms.join(", "));
            (format!("assessment of {}", a.country), text)
        });
        let adequate = self.adequacy.iter().map(|a| {
            let until =
                a.until.map_or_else(|| "no end known".to_owned(), |u| format!("until {}", u.rfc3339()));
            (
                format!("adequacy of {}, {}", a.country, a.decision),
                format!("from {}, {until}", a.from.rfc3339()),
            )
        });
        assessed.chain(adequate).collect()
    }

    /// Everything that ends, soonest first; what has ended already is among it.
    #[must_use]
    pub fn expiries(&self) -> Vec<Expiry> {
        let assessed = self.of.values().map(|a| Expiry {
            at: a.expires,
            country: a.country,
            what: "assessment",
            owner: a.owner.clone(),
        });
        let adequate = self.adequacy.iter().filter_map(|a| {
            Some(Expiry { at: a.until?, country: a.country, what: "adequacy", owner: a.decision.clone() })
        });
        let mut all: Vec<_> = assessed.chain(adequate).collect();
        all.sort();
        all
    }

    /// The assessments that have expired at a moment, as problems: to be told before anybody is refused by them.
    #[must_use]
    pub fn expired(&self, now: UnixSeconds) -> Problems {
        let mut problems = Problems::default();
        for a in self.of.values().filter(|a| a.expires <= now) {
            let place = format!("{ASSESSMENTS}: assessment of `{}`", a.country);
            let why = format!("it expired at {}: nothing crosses there", a.expires.rfc3339());
            problems.add(
                place,
                why,
                format!("have `{}` review it again, or remove the destination", a.owner),
            );
        }
        problems
    }
}

/// The first second of a day in UTC, from `YYYY-MM-DD`.
fn day(place: &str, key: &str, text: &str, p: &mut Problems) -> Option<UnixSeconds> {
    let plain = text.len() == 10;
    let time = plain.then(|| UnixSeconds::parse(&format!("{text}T00:00:00Z")).ok()).flatten();
    if time.is_none() {
        p.add(place, format!("`{key}` is no day"), "use YYYY-MM-DD");
    }
    time
}

fn words(place: &str, key: &str, text: &str, p: &mut Problems) {
    if text.trim().is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control) {
        p.add(place, format!("`{key}` is empty, too long or has control characters"), "use 1 to 200 bytes");
    }
}

fn assessment(place: &str, raw: &RawAssessment, p: &mut Problems) -> Option<Assessment> {
    let country = foreign(place, &raw.country, p);
    let (reviewed, expires) =
        (day(place, "reviewed", &raw.reviewed, p), day(place, "expires", &raw.expires, p));
    for (key, text) in [("law_review", &raw.law_review), ("owner", &raw.owner)] {
        words(place, key, text, p);
    }
    raw.measures.iter().for_each(|m| words(place, "measures", m, p));
    if raw.measures.len() > MEASURES_MAX {
        p.add(place, "more than 32 measures", "say them in the review");
    }
    let parsed = raw.treatments.iter().map(|t| p.keep(place, "name a treatment", Treatment::parse(t)));
    let treatments: Vec<_> = parsed.collect::<Vec<_>>().into_iter().flatten().collect();
    if raw.finding == Verdict::Negative && treatments.contains(&Treatment::Plain) {
        p.add(place, "a negative finding lets nothing cross in plain", "remove `plain`");
    }
    if let (Some(reviewed), Some(expires)) = (reviewed, expires)
        && expires <= reviewed
    {
        p.add(place, "it expires before it begins", "correct `reviewed` or `expires`");
    }
    Some(Assessment {
        country: country?,
        law_review: raw.law_review.clone(),
        measures: raw.measures.clone(),
        owner: raw.owner.clone(),
        reviewed: reviewed?,
        expires: expires?,
        finding: raw.finding,
        treatments,
    })
}

fn adequacy(place: &str, raw: &RawAdequacy, p: &mut Problems) -> Option<Adequacy> {
    let country = foreign(place, &raw.country, p);
    words(place, "decision", &raw.decision, p);
    let from = day(place, "from", &raw.from, p);
    let until = raw.until.as_ref().map(|text| day(place, "until", text, p));
    if let (Some(from), Some(Some(until))) = (from, until)
        && until <= from
    {
        p.add(place, "it ends before it begins", "correct `from` or `until`");
    }
    // An end that cannot be read is a problem above, and never "no end".
    let until = match until {
        Some(None) => return None,
        Some(known) => known,
        None => None,
    };
    Some(Adequacy { country: country?, decision: raw.decision.clone(), from: from?, until })
}

fn foreign(place: &str, text: &str, p: &mut Problems) -> Option<Country> {
    let country = p.keep(place, "use ISO 3166-1 alpha-2", Country::parse(text))?;
    if country == Country::UNKNOWN {
        p.add(place, "`ZZ` means an unknown place, which is closed", "remove it");
        return None;
    }
    Some(country)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [[assessment]]
        country = "SG"
        law_review = "LR-1"
        measures = ["contract"]
        owner = "privacy-office"
        reviewed = "2026-01-01"
        expires = "2027-01-01"
        finding = "equivalent"
        treatments = ["plain", "pseudonymised"]

        [[assessment]]
        country = "CN"
        law_review = "LR-2"
        measures = []
        owner = "privacy-office"
        reviewed = "2026-01-01"
        expires = "2027-01-01"
        finding = "negative"
        treatments = ["aggregate", "dp"]

        [[adequacy]]
        country = "JP"
        decision = "2019/419"
        from = "2019-01-23"
        until = "2026-06-01"
    "#;

    fn country(code: &str) -> Country {
        Country::parse(code).unwrap()
    }

    fn at(text: &str) -> UnixSeconds {
        UnixSeconds::parse(text).unwrap()
    }

    #[test]
    fn an_assessment_counts_from_its_first_day_to_the_second_before_it_expires() {
        let all = Assessments::parse(FILE).unwrap();
        let plain = |now| all.standing(country("SG"), at(now)).lets(Treatment::Plain);
        assert!(!plain("2025-12-31T23:59:59Z"), "not yet begun");
        assert!(plain("2026-01-01T00:00:00Z") && plain("2026-12-31T23:59:59Z"));
        assert!(!plain("2027-01-01T00:00:00Z"), "expired");
        let now = at("2026-06-01T00:00:00Z");
        assert!(!all.standing(country("SG"), now).lets(Treatment::Aggregate), "not named");
        assert!(!all.standing(country("US"), now).lets(Treatment::Aggregate), "missing");
        let china = all.standing(country("CN"), now);
        assert!(
            china.lets(Treatment::Aggregate) && china.lets(Treatment::Dp) && !china.lets(Treatment::Plain)
        );
    }

    #[test]
    fn adequacy_is_lost_on_its_day_and_not_a_second_before() {
        let all = Assessments::parse(FILE).unwrap();
        let adequate = |now| all.standing(country("JP"), at(now)).adequate;
        assert!(!adequate("2019-01-22T23:59:59Z") && adequate("2019-01-23T00:00:00Z"));
        assert!(adequate("2026-05-31T23:59:59Z") && !adequate("2026-06-01T00:00:00Z"));
        assert!(!all.standing(country("SG"), at("2026-05-01T00:00:00Z")).adequate);
    }

    #[test]
    fn an_assessment_with_two_meanings_is_a_problem() {
        for (from, to) in [
            ("\"aggregate\", \"dp\"", "\"aggregate\", \"plain\""),
            ("country = \"CN\"", "country = \"SG\""),
            ("country = \"SG\"", "country = \"ZZ\""),
            ("expires = \"2027-01-01\"", "expires = \"2026-01-01\""),
            ("expires = \"2027-01-01\"", "expires = \"2027-02-30\""),
            ("until = \"2026-06-01\"", "until = \"someday\""),
            ("until = \"2026-06-01\"", "until = \"2019-01-23\""),
            ("finding = \"negative\"", "finding = \"unclear\""),
            ("\"dp\"", "\"faith\""),
            ("owner = \"privacy-office\"", "owner = \"\""),
            ("law_review = \"LR-1\"", ""),
        ] {
            assert!(FILE.contains(from));
            assert!(Assessments::parse(&FILE.replacen(from, to, 1)).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn what_has_expired_is_a_problem_and_what_will_is_listed_soonest_first() {
        let all = Assessments::parse(FILE).unwrap();
        assert!(all.expired(at("2026-12-31T23:59:59Z")).list().is_empty());
        assert_eq!(all.expired(at("2027-01-01T00:00:00Z")).list().len(), 2);
        let soonest: Vec<_> = all.expiries().iter().map(|e| (e.what, e.country.to_string())).collect();
        assert_eq!(
            soonest,
            [("adequacy", "JP".to_owned()), ("assessment", "CN".to_owned()), ("assessment", "SG".to_owned())]
        );
    }
}
