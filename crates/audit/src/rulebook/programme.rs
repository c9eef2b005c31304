//! What the auditor reads of `programme.toml`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Assessments;
use crate::{codes::is_country, note::VerifierKey};

/// The smallest group that any programme may show.
const GROUP_LEAST: u64 = 10;

/// The promise of the programme, as far as decisions rest on it.
#[derive(Debug)]
pub(crate) struct Programme {
    pub(crate) region: String,
    pub(crate) countries: BTreeSet<String>,
    pub(crate) destinations: BTreeSet<String>,
    pub(crate) heightened: BTreeSet<String>,
    /// Legal entities with the country of their seat.
    employers: BTreeMap<String, String>,
    pub(crate) aggregate_k: u64,
    /// Who may order a border override.
    pub(crate) holders: Vec<Holder>,
    /// What was found of the destinations, from a file of its own. Without it nothing crosses.
    pub(crate) assessments: Assessments,
}

/// One who may sign a border override, and for whom.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) key: VerifierKey,
    pub(crate) employer: String,
}

/// Why a programme cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgrammeError {
    #[error("it cannot be read: {}", .0.message())]
    Toml(#[from] toml::de::Error),
    #[error("`{0}` is not a list of country codes")]
    Countries(&'static str),
    #[error("`aggregate_k` is less than 10")]
    GroupSize,
    #[error("a key of `border.holders` is no verifier key")]
    Holder,
}

#[derive(Deserialize)]
struct Raw {
    region: RawRegion,
    #[serde(default)]
    destinations: Vec<String>,
    #[serde(default)]
    heightened: Vec<String>,
    #[serde(default)]
    employers: BTreeMap<String, String>,
    aggregate_k: u64,
    #[serde(default)]
    border: RawBorder,
}

#[derive(Default, Deserialize)]
struct RawBorder {
    #[serde(default)]
    holders: Vec<RawHolder>,
}

#[derive(Deserialize)]
struct RawHolder {
    vkey: String,
    employer: String,
}

#[derive(Deserialize)]
struct RawRegion {
    name: String,
    flags: toml::Value,
}

impl Programme {
    pub(crate) fn parse(text: &str) -> Result<Self, ProgrammeError> {
        let raw: Raw = toml::from_str(text)?;
        let mut countries = BTreeSet::new();
        for flag in flags(&raw.region.flags).ok_or(ProgrammeError::Countries("region.flags"))? {
            for code in flag {
                let code = code.as_str().filter(|code| is_country(code.as_bytes()));
                countries.insert(code.ok_or(ProgrammeError::Countries("region.flags"))?.to_owned());
            }
        }
        if raw.aggregate_k < GROUP_LEAST {
            return Err(ProgrammeError::GroupSize);
        }
        Ok(Self {
            region: raw.region.name,
            countries,
            destinations: codes(raw.destinations, "destinations")?,
            heightened: codes(raw.heightened, "heightened")?,
            employers: seats(raw.employers)?,
            aggregate_k: raw.aggregate_k,
            holders: holders(raw.border)?,
            assessments: Assessments::default(),
        })
    }
}

/// Where nobody knows an employer to sit: outside every region.
const NOWHERE: &str = "ZZ";

impl Programme {
    /// Where an employer sits.
    pub(crate) fn seat(&self, employer: &str) -> &str {
        self.employers.get(employer).map_or(NOWHERE, String::as_str)
    }
}

fn seats(employers: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ProgrammeError> {
    let good = employers.values().all(|code| is_country(code.as_bytes()));
    if good { Ok(employers) } else { Err(ProgrammeError::Countries("employers")) }
}

fn holders(border: RawBorder) -> Result<Vec<Holder>, ProgrammeError> {
    let parse = |holder: RawHolder| {
        let key = VerifierKey::parse(&holder.vkey).map_err(|_| ProgrammeError::Holder)?;
        Ok(Holder { key, employer: holder.employer })
    };
    border.holders.into_iter().map(parse).collect()
}

/// A flag is a list of codes; flags are named or listed.
fn flags(value: &toml::Value) -> Option<Vec<&Vec<toml::Value>>> {
    match value {
        toml::Value::Table(table) => table.values().map(toml::Value::as_array).collect(),
        toml::Value::Array(list) => list.iter().map(toml::Value::as_array).collect(),
        _ => None,
    }
}

fn codes(list: Vec<String>, key: &'static str) -> Result<BTreeSet<String>, ProgrammeError> {
    let good = list.iter().all(|code| is_country(code.as_bytes()));
    if good { Ok(list.into_iter().collect()) } else { Err(ProgrammeError::Countries(key)) }
}
