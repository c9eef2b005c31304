//! `watch.toml`.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::finding::WatchRule;
use crate::{
    cosign::{KeyKind, SeedError, SigningKey},
    incident::{Opening, Parties, PartiesError},
    note::{KeyError, VerifierKey},
};

/// What the watch looks for, and with which key it opens incidents.
#[derive(Debug)]
pub struct WatchConfig {
    pub(crate) folder: PathBuf,
    pub(crate) operator: VerifierKey,
    pub(crate) auditor: VerifierKey,
    pub(crate) status: Option<String>,
    /// Whom to trust when the status is asked over TLS.
    pub(crate) status_ca: Option<PathBuf>,
    pub(crate) incidents: Option<IncidentConfig>,
    pub(crate) limits: Limits,
}

/// How incidents are opened.
#[derive(Debug)]
pub(crate) struct IncidentConfig {
    pub(crate) key: SigningKey,
    pub(crate) parties: Parties,
    pub(crate) clock_seconds: u64,
    /// Rules that open incidents besides the grave ones.
    pub(crate) also: BTreeSet<WatchRule>,
}

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchConfigError {
    /// A file cannot be read.
    #[error("cannot read `{}`", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// Not the TOML that it should be.
    #[error("cannot understand the configuration: {0}")]
    Form(String),
    /// A verifier key is not good.
    #[error("cannot use the key in `{}`", .0.display())]
    Key(PathBuf, #[source] KeyError),
    /// The seed is not good.
    #[error("cannot use the seed in `{}`", .0.display())]
    Seed(PathBuf, #[source] SeedError),
    /// The list of parties is not good.
    #[error("cannot use `{}`", .0.display())]
    Parties(PathBuf, #[source] PartiesError),
    /// The key that opens incidents is nobody's.
    #[error("the key of `[incidents]` belongs to no party")]
    Stranger,
    /// A rule of `[incidents] also` is unknown.
    #[error("there is no rule `{0}`")]
    Rule(String),
    /// A limit that would switch a detector off, or make it useless.
    #[error("`{0}` must not be 0")]
    Zero(&'static str),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    folder: PathBuf,
    operator_vkey: PathBuf,
    auditor_vkey: PathBuf,
    status: Option<String>,
    status_ca_file: Option<PathBuf>,
    incidents: Option<RawIncidents>,
    #[serde(default)]
    limits: Limits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIncidents {
    seed: PathBuf,
    name: String,
    parties: PathBuf,
    #[serde(default = "clock_seconds")]
    clock_seconds: u64,
    #[serde(default)]
    also: Vec<String>,
}

fn clock_seconds() -> u64 {
    Opening::CLOCK_SECONDS
}

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $default:expr,)*) => {
        /// Thresholds; every one has a default.
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct Limits {
            $($(#[$doc])* pub(crate) $name: u64,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Limits {
            fn zero(&self) -> Option<&'static str> {
                [$((self.$name, stringify!($name)),)*].into_iter().find(|(value, _)| *value == 0).map(|(_, name)| name)
            }
        }
    };
}

limits! {
    /// Keys that are counted apart in one window.
    keys_max = 4096,
    /// How many median distances above the median are unusual.
    volume_k = 6,
    actor_rows_per_hour = 10_000,
    actor_bytes_per_hour = 64 << 20,
    purpose_rows_per_hour = 100_000,
    purpose_bytes_per_hour = 1 << 30,
    destination_rows_per_hour = 100_000,
    destination_bytes_per_hour = 1 << 30,
    /// A release of fewer rows is no export.
    export_rows = 100,
    exports_per_hour = 12,
    /// An answer to a person of fewer rows does not make an export that could recur.
    recurring_rows = 10,
    /// Exports less than so many days apart are daily work.
    recurring_days = 5,
    /// By how many days the distances of three may differ.
    recurring_days_apart = 2,
    actor_refusals_per_minute = 30,
    lane_refusals_per_minute = 300,
    /// How much later than the page says a close may be seen, for clocks that differ.
    stream_grace_seconds = 30,
    /// How long an entry and its key release may wait for each other.
    release_grace_seconds = 120,
    clock_back_seconds = 30,
    clock_ahead_seconds = 60,
    /// How old an entry may be when the site first counts it.
    clock_late_seconds = 300,
    site_gap_seconds = 60,
    /// So many decisions, nine in ten of them approvals, half of those within less than so many seconds, were not read.
    approvals_run = 20,
    approvals_quick_seconds = crate::approvals::QUICK_SECONDS,
    coverage_red_seconds = 60,
    /// No further finding of one rule about one thing within so many seconds; they are counted.
    repeat_seconds = 3600,
    egress_answer_bytes = 4096,
    egress_percent = 5,
    egress_window_bytes = 65_536,
    /// How far outside of a window an answer may have been recorded.
    egress_edge_seconds = 10,
    /// Less than so many percent of the recorded bytes is far too few.
    egress_least_percent = 50,
    /// How long what was recorded is held for the feed.
    egress_hold_seconds = 7200,
    /// How long the feed may be silent.
    egress_silence_seconds = 900,
}

impl WatchConfig {
    /// Reads the file and all that it names. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// If a file cannot be read, or what it says cannot be.
    pub fn read(path: &Path) -> Result<Self, WatchConfigError> {
        let raw: Raw =
            toml::from_str(&text(path)?).map_err(|error| WatchConfigError::Form(error.to_string()))?;
        let at = path.parent().unwrap_or(Path::new(""));
        if let Some(name) = raw.limits.zero() {
            return Err(WatchConfigError::Zero(name));
        }
        Ok(Self {
            folder: at.join(raw.folder),
            operator: vkey(&at.join(raw.operator_vkey))?,
            auditor: vkey(&at.join(raw.auditor_vkey))?,
            status: raw.status,
            status_ca: raw.status_ca_file.map(|file| at.join(file)),
            incidents: raw.incidents.map(|raw| incidents(at, &raw)).transpose()?,
            limits: raw.limits,
        })
    }

    /// Where findings and incidents are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn incidents(at: &Path, raw: &RawIncidents) -> Result<IncidentConfig, WatchConfigError> {
    let (seed, list) = (at.join(&raw.seed), at.join(&raw.parties));
    let key = SigningKey::read(&raw.name, KeyKind::Auditor, &seed)
        .map_err(|error| WatchConfigError::Seed(seed, error))?;
    let parties = Parties::read(&list).map_err(|error| WatchConfigError::Parties(list, error))?;
    if parties.of_key(&key.vkey()).is_none() {
        return Err(WatchConfigError::Stranger);
    }
    let rule = |name: &String| WatchRule::parse(name).ok_or_else(|| WatchConfigError::Rule(name.clone()));
    let also = raw.also.iter().map(rule).collect::<Result<_, _>>()?;
    if raw.clock_seconds == 0 {
        return Err(WatchConfigError::Zero("clock_seconds"));
    }
    Ok(IncidentConfig { key, parties, clock_seconds: raw.clock_seconds, also })
}

fn text(path: &Path) -> Result<String, WatchConfigError> {
    fs::read_to_string(path).map_err(|error| WatchConfigError::Read(path.to_owned(), error))
}

fn vkey(path: &Path) -> Result<VerifierKey, WatchConfigError> {
    VerifierKey::parse(&text(path)?).map_err(|error| WatchConfigError::Key(path.to_owned(), error))
}
