//! What the auditor reads of `lanes.toml`: the lanes by the name that headers carry, and the flows.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    codes::{basis_code, is_country, purpose_code},
    hash::sha256,
};

/// What a recipient, and all of them, may learn of a dataset in thirty days where nothing is said, in millionths of epsilon.
const RECIPIENT: u64 = 4_000_000;
const DATASET: u64 = 8_000_000;

/// First 8 bytes of SHA-256 of a lane's name.
pub(crate) type ShortName = [u8; 8];

/// All lanes and flows.
#[derive(Debug)]
pub(crate) struct Lanes {
    pub(crate) lanes: BTreeMap<ShortName, Lane>,
    pub(crate) flows: BTreeMap<String, Flow>,
    pub(crate) inside: BTreeMap<String, Inside>,
    /// Datasets whose counts leave with noise.
    pub(crate) noise: BTreeMap<String, Noise>,
}

/// What noisy counts of a dataset may take, in millionths of epsilon: one release, those to one recipient in thirty days, and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noise {
    pub(crate) release: u64,
    pub(crate) recipient: u64,
    pub(crate) dataset: u64,
}

/// What a service inside may do with records.
#[derive(Debug)]
pub(crate) struct Inside {
    /// As headers carry its name.
    pub(crate) lane: ShortName,
    pub(crate) dataset: String,
    pub(crate) collections: Vec<String>,
    /// Media are of the strictest class.
    pub(crate) media: bool,
    pub(crate) acts: Vec<String>,
    pub(crate) purpose: u16,
    pub(crate) active: bool,
}

/// One lane.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) name: String,
    pub(crate) dataset: String,
    pub(crate) rows_max: u64,
    /// For how many people of a class its releases are measured, if they are.
    pub(crate) risk: Option<u64>,
}

/// One registered flow.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) lane: ShortName,
    pub(crate) fields: String,
    pub(crate) destination: String,
    /// The word; it is one of the known.
    pub(crate) basis: String,
    pub(crate) purpose: u16,
    pub(crate) active: bool,
}

/// Why lanes cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LanesError {
    #[error("it cannot be read: {}", .0.message())]
    Toml(#[from] toml::de::Error),
    #[error("lane `{0}` has the name, or the short name, of another")]
    Lane(String),
    #[error("`{0}` is declared twice")]
    Twice(String),
    #[error("the {1} of `{0}` is unknown")]
    Unknown(String, &'static str),
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    lane: Vec<RawLane>,
    #[serde(default)]
    flow: Vec<RawFlow>,
    #[serde(default)]
    inside: Vec<RawInside>,
    #[serde(default)]
    count: Vec<RawCount>,
}

#[derive(Deserialize)]
struct RawCount {
    dataset: String,
    privacy: String,
    epsilon: Option<String>,
    recipient_epsilon: Option<String>,
    dataset_epsilon: Option<String>,
}

#[derive(Deserialize)]
struct RawRisk {
    k: u64,
}

#[derive(Deserialize)]
struct RawInside {
    name: String,
    dataset: String,
    collections: Vec<String>,
    #[serde(default)]
    media: bool,
    acts: Vec<String>,
    purpose: String,
    active: bool,
}

#[derive(Deserialize)]
struct RawLane {
    name: String,
    dataset: String,
    rows_max: u64,
    risk: Option<RawRisk>,
}

#[derive(Deserialize)]
struct RawFlow {
    name: String,
    lane: String,
    fields: String,
    destination: String,
    basis: String,
    purpose: String,
    active: bool,
}

impl Lanes {
    pub(crate) fn parse(text: &str) -> Result<Self, LanesError> {
        let raw: Raw = toml::from_str(text)?;
        let (mut lanes, mut flows) = (BTreeMap::new(), BTreeMap::new());
        for RawLane { name, dataset, rows_max, risk } in raw.lane {
            let lane = Lane { name, dataset, rows_max, risk: risk.map(|risk| risk.k) };
            if let Some(other) = lanes.insert(short_name(&lane.name), lane) {
                return Err(LanesError::Lane(other.name));
            }
        }
        for flow in raw.flow {
            let (name, flow) = flow.check(&lanes)?;
            if flows.insert(name.clone(), flow).is_some() {
                return Err(LanesError::Twice(name));
            }
        }
        let mut inside = BTreeMap::new();
        for RawInside { name, dataset, collections, media, acts, purpose, active } in raw.inside {
            let purpose =
                purpose_code(&purpose).ok_or_else(|| LanesError::Unknown(name.clone(), "purpose"))?;
            let one = Inside { lane: short_name(&name), dataset, collections, media, acts, purpose, active };
            if inside.insert(name.clone(), one).is_some() {
                return Err(LanesError::Twice(name));
            }
        }
        Ok(Self { lanes, flows, inside, noise: noise(raw.count)? })
    }
}

/// What leaves with noise; a dataset of which more is said than once has two meanings.
fn noise(counts: Vec<RawCount>) -> Result<BTreeMap<String, Noise>, LanesError> {
    let mut all = BTreeMap::new();
    for RawCount { dataset, privacy, epsilon, recipient_epsilon, dataset_epsilon } in counts {
        let amount = |text: Option<&String>, usual: Option<u64>, what| {
            let read = text.map_or(usual, |text| micro(text));
            read.ok_or_else(|| LanesError::Unknown(dataset.clone(), what))
        };
        let noise = match privacy.as_str() {
            "threshold" | "guard" => None,
            "noise" => Some(Noise {
                release: amount(epsilon.as_ref(), None, "epsilon")?,
                recipient: amount(recipient_epsilon.as_ref(), Some(RECIPIENT), "recipient_epsilon")?,
                dataset: amount(dataset_epsilon.as_ref(), Some(DATASET), "dataset_epsilon")?,
            }),
            _ => return Err(LanesError::Unknown(dataset, "privacy")),
        };
        if all.insert(dataset.clone(), noise).is_some() {
            return Err(LanesError::Twice(dataset));
        }
    }
    Ok(all.into_iter().filter_map(|(dataset, noise)| Some((dataset, noise?))).collect())
}

/// A ratio such as `1/2`, or a whole number, in millionths, where it is a whole number of those.
fn micro(text: &str) -> Option<u64> {
    let digits = |text: &str| {
        let plain = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if plain { text.parse::<u64>().ok() } else { None }
    };
    let (above, below) = text.split_once('/').unwrap_or((text, "1"));
    let (above, below) = (digits(above)?.checked_mul(1_000_000)?, digits(below)?);
    if above.checked_rem(below)? == 0 { above.checked_div(below) } else { None }
}

impl RawFlow {
    fn check(self, lanes: &BTreeMap<ShortName, Lane>) -> Result<(String, Flow), LanesError> {
        let unknown = |what| LanesError::Unknown(self.name.clone(), what);
        let lane = short_name(&self.lane);
        if !lanes.contains_key(&lane) {
            return Err(unknown("lane"));
        }
        if !is_country(self.destination.as_bytes()) {
            return Err(unknown("destination"));
        }
        basis_code(&self.basis).ok_or_else(|| unknown("basis"))?;
        let purpose = purpose_code(&self.purpose).ok_or_else(|| unknown("purpose"))?;
        let Self { name, fields, destination, basis, active, .. } = self;
        Ok((name, Flow { lane, fields, destination, basis, purpose, active }))
    }
}

fn short_name(name: &str) -> ShortName {
    let [a, b, c, d, e, f, g, h, ..] = sha256(name.as_bytes());
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[lane]]
        name = "feed"
        way = "reverse"
        dataset = "video"
        rows_max = 1_000
        [lane.bind]
        "/*/handle" = "video.feed.handle"
        [[lane]]
        name = "second"
        dataset = "video"
        rows_max = 1
        [[flow]]
        name = "feed-us"
        lane = "feed"
        sink = "partner"
        fields = "interop"
        destination = "US"
        basis = "bcr"
        purpose = "interoperability"
        active = true
        [[flow]]
        name = "second-us"
        lane = "second"
        fields = "interop"
        destination = "US"
        basis = "adequacy"
        purpose = "migration"
        active = false
    "#;

    #[test]
    fn lanes_are_found_by_short_name_and_flows_by_name() {
        let lanes = Lanes::parse(GOOD).unwrap();
        let flow = &lanes.flows["feed-us"];
        assert_eq!(flow.lane, sha256(b"feed")[..8]);
        assert_eq!((flow.purpose, flow.basis.as_str(), flow.active), (7, "bcr", true));
        assert_eq!(lanes.flows["second-us"].purpose, 10);
        let lane = &lanes.lanes[&flow.lane];
        assert_eq!((lane.name.as_str(), lane.dataset.as_str(), lane.rows_max), ("feed", "video", 1000));
        assert!(Lanes::parse("# nothing").is_ok());
    }

    #[test]
    fn what_noise_may_take_is_read_exactly_or_refused() {
        let with = |text: &str| Lanes::parse(&format!("{GOOD}\n[[count]]\ndataset = \"export\"\n{text}"));
        let noise = |text: &str| with(text).unwrap().noise.get("export").copied();
        let usual = Noise { release: 500_000, recipient: 4_000_000, dataset: 8_000_000 };
        assert_eq!(noise("privacy = \"noise\"\nepsilon = \"1/2\""), Some(usual));
        let own =
            "privacy = \"noise\"\nepsilon = \"1\"\nrecipient_epsilon = \"3/2\"\ndataset_epsilon = \"2\"";
        assert_eq!(noise(own), Some(Noise { release: 1_000_000, recipient: 1_500_000, dataset: 2_000_000 }));
        assert_eq!((noise("privacy = \"guard\""), noise("privacy = \"threshold\"")), (None, None));
        for wrong in [
            "privacy = \"noise\"",
            "privacy = \"none\"",
            "privacy = \"noise\"\nepsilon = \"1/3\"",
            "privacy = \"noise\"\nepsilon = \"1/0\"",
            "privacy = \"noise\"\nepsilon = \"0.5\"",
            "privacy = \"guard\"\n[[count]]\ndataset = \"export\"\nprivacy = \"guard\"",
        ] {
            assert!(with(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lanes_and_flows_with_two_meanings_are_refused() {
        for (from, to) in [
            ("name = \"second\"", "name = \"feed\""),
            ("name = \"second-us\"", "name = \"feed-us\""),
            ("lane = \"feed\"", "lane = \"other\""),
            ("basis = \"bcr\"", "basis = \"trust\""),
            ("purpose = \"migration\"", "purpose = \"marketing\""),
            ("destination = \"US\"", "destination = \"us\""),
            ("active = true", "active = \"true\""),
            ("active = true", "# silent"),
            ("rows_max = 1_000", "rows_max = -1"),
            ("dataset = \"video\"", "# none"),
        ] {
            assert!(Lanes::parse(&GOOD.replacen(from, to, 1)).is_err(), "{from} → {to}");
        }
    }
}
