//! Signed texts in a gateway's log: suspensions of a country, demands of authorities (`docs/formats/suspension.md`), and stages of
//! migrations.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    checkpoint::decimal,
    codes::{Kind, is_country},
    header::Header,
    migrations::{Moved, Ways},
    note::{VerifierKey, open},
    rulebook::Rulebook,
};

const SUSPENSION: &str = "clover suspension v1";
const DEMAND: &str = "clover demand v1";
/// How far an order's time may be ahead of its entry's.
const AHEAD_SECONDS_MAX: u64 = 300;
const REFERENCE_BYTES_MAX: usize = 64;

/// What the text of such an entry says, whoever signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Suspension { programme: String, lifts: bool, country: String, time: u64, issuer: String },
    Demand { programme: String, authority: String, reference: String, time: u64 },
    Migration(Moved),
}

impl Said {
    /// Reads the text behind the header of an entry of this kind.
    pub(crate) fn read(kind: Kind, bytes: &[u8]) -> Result<Self, String> {
        if kind == Kind::Migration {
            return Moved::read(bytes).map(Self::Migration);
        }
        let text = open(bytes, &[]).map_err(|error| error.to_string())?;
        let lines: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split('\n').collect();
        match (kind, lines.as_slice()) {
            (Kind::Suspension, [SUSPENSION, programme, what, time, issuer]) => {
                let (word, country) = what.split_once(' ').ok_or("its third line is malformed")?;
                let lifts = match word {
                    "suspend" => false,
                    "lift" => true,
                    _ => return Err("it neither suspends nor lifts".into()),
                };
                Ok(Self::Suspension {
                    programme: (*programme).into(),
                    lifts,
                    country: country_of(country)?,
                    time: decimal(time).ok_or("its time is malformed")?,
                    issuer: (*issuer).into(),
                })
            }
            (Kind::Demand, [DEMAND, programme, authority, reference, time]) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                let length = 1..=REFERENCE_BYTES_MAX;
                if !length.contains(&reference.len()) || !reference.chars().all(plain) {
                    return Err("its reference is not a plain name".into());
                }
                Ok(Self::Demand {
                    programme: (*programme).into(),
                    authority: country_of(authority)?,
                    reference: (*reference).into(),
                    time: decimal(time).ok_or("its time is malformed")?,
                })
            }
            _ => Err("it is not a text of five lines of its kind".into()),
        }
    }

    /// Reads it, and checks who signed: the issuer for a suspension, operator and auditor for its lifting, the
    /// operator for a demand.
    pub(crate) fn check(
        kind: Kind,
        bytes: &[u8],
        [operator, auditor]: [&VerifierKey; 2],
    ) -> Result<Self, String> {
        if kind == Kind::Migration {
            return Moved::check(bytes, [operator, auditor]).map(Self::Migration);
        }
        let said = Self::read(kind, bytes)?;
        let by = |key: &VerifierKey| open(bytes, &[key]).is_ok();
        let good = match &said {
            Self::Suspension { lifts, issuer, .. } => {
                let issued = [operator, auditor].into_iter().any(|key| key.name() == issuer && by(key));
                issued && (!lifts || (by(operator) && by(auditor)))
            }
            Self::Demand { .. } => by(operator),
            Self::Migration(_) => false,
        };
        if good { Ok(said) } else { Err("it is not signed by those who may".into()) }
    }

    /// The same, if it fits the rulebook that its entry names.
    pub(crate) fn placed(self, rulebook: Option<&Rulebook>) -> Result<Self, String> {
        let region = rulebook.map(|rulebook| &rulebook.programme.countries);
        match (&self, region) {
            (Self::Migration(moved), Some(region)) => match moved.misplaced(region) {
                Some(why) => Err(why.into()),
                None => Ok(self),
            },
            _ => Ok(self),
        }
    }

    /// The words for people; all of it is plain.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Suspension { lifts: false, country, issuer, .. } => {
                format!("crossings to {country} suspended, by `{}`", issuer.escape_debug())
            }
            Self::Suspension { country, issuer, .. } => {
                format!("suspension of {country} lifted, by `{}` and one other", issuer.escape_debug())
            }
            Self::Demand { authority, reference, .. } => {
                format!("an authority of {authority} demanded data: `{reference}`; it grants nothing")
            }
            Self::Migration(moved) => moved.words(),
        }
    }
}

fn country_of(code: &str) -> Result<String, String> {
    let good = is_country(code.as_bytes()) && code != "ZZ";
    if good { Ok(code.to_owned()) } else { Err("its country is none".into()) }
}

/// The programme in the origin of a gateway's log, `ledger.<programme>/<site>/<gateway>`.
fn programme_of(origin: &str) -> Option<&str> {
    origin.strip_prefix("ledger.")?.split_once('/').map(|(programme, _)| programme)
}

/// What signed texts have brought about at one point of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) suspensions: Suspensions,
    #[serde(default)]
    pub(crate) ways: Ways,
}

impl Standing {
    /// Takes a checked text from an entry of the log of this origin, or says what is wrong with its place. What is wrong changes
    /// nothing.
    pub(crate) fn take(&mut self, origin: &str, header: &Header, said: &Said) -> Result<(), String> {
        match said {
            Said::Migration(moved) => self.ways.take(programme_of(origin), header, moved),
            said => self.suspensions.take(origin, header, said).map_err(Into::into),
        }
    }
}

/// What is suspended at one point of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Suspensions(BTreeMap<String, Last>);

/// The last order about a country.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    time: u64,
    suspended: bool,
}

impl Suspensions {
    /// Takes a checked order from an entry of the log of this origin, or says what is wrong with its place. What is
    /// wrong changes nothing.
    fn take(&mut self, origin: &str, header: &Header, said: &Said) -> Result<(), &'static str> {
        let (programme, country, time) = match said {
            Said::Suspension { programme, country, time, .. } => (programme, country, time),
            Said::Demand { programme, authority, time, .. } => (programme, authority, time),
            Said::Migration(_) => return Err("it is no order"),
        };
        if programme_of(origin) != Some(programme.as_str()) {
            return Err("it is for another programme");
        }
        if header.destination != *country.as_bytes() {
            return Err("its country is not the header's");
        }
        if *time > header.time.saturating_add(AHEAD_SECONDS_MAX) {
            return Err("its time is ahead of the entry's");
        }
        let Said::Suspension { lifts, .. } = said else { return Ok(()) };
        let (last, new) = (self.0.get(country).copied(), Last { time: *time, suspended: !lifts });
        match last {
            // Recorded once more, after a crash.
            Some(last) if last == new => return Ok(()),
            Some(last) if last.time >= *time => {
                return Err("it is not newer than the last order about its country");
            }
            _ => {}
        }
        if *lifts && !last.is_some_and(|last| last.suspended) {
            return Err("it lifts what is not suspended");
        }
        self.0.insert(country.clone(), new);
        Ok(())
    }

    /// The suspended country to or from which an entry releases something.
    pub(crate) fn broken_by(&self, header: &Header) -> Option<String> {
        if !(header.kind.is_release() || header.kind == Kind::Extend) {
            return None;
        }
        let stopped = |code: &[u8; 2]| {
            let code = std::str::from_utf8(code).ok()?;
            self.0.get(code).filter(|last| last.suspended).map(|_| code.to_owned())
        };
        stopped(&header.place).or_else(|| stopped(&header.destination))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, text: &str) -> Result<Said, String> {
        Said::read(kind, format!("{text}\n— a AAAAAAAA\n").as_bytes())
    }

    #[test]
    fn a_text_is_read_and_any_other_form_is_refused() {
        let good = "clover suspension v1\nt\nsuspend CN\n100\nt/operator\n";
        assert!(matches!(read(Kind::Suspension, good), Ok(Said::Suspension { lifts: false, time: 100, .. })));
        assert!(matches!(
            read(Kind::Suspension, &good.replace("suspend CN", "lift CN")),
            Ok(Said::Suspension { lifts: true, .. })
        ));
        for (from, to) in [
            ("v1", "v2"),
            ("suspend CN", "suspend ZZ"),
            ("suspend CN", "suspend cn"),
            ("suspend CN", "stop CN"),
            ("suspend CN", "CN"),
            ("\n100\n", "\n0100\n"),
            ("t/operator\n", "t/operator\nmore\n"),
        ] {
            assert!(read(Kind::Suspension, &good.replace(from, to)).is_err(), "{from} → {to}");
        }
        let demand = "clover demand v1\nt\nUS\nDOJ-1\n100\n";
        assert!(matches!(read(Kind::Demand, demand), Ok(Said::Demand { .. })));
        assert!(read(Kind::Suspension, demand).is_err() && read(Kind::Demand, good).is_err());
        assert!(read(Kind::Demand, &demand.replace("DOJ-1", "a b")).is_err());
        assert!(read(Kind::Demand, &demand.replace("DOJ-1", "")).is_err());
    }

    #[test]
    fn the_programme_stands_in_the_origin() {
        assert_eq!(programme_of("ledger.t/s/a"), Some("t"));
        assert_eq!(programme_of("site.t/s"), None);
    }
}
