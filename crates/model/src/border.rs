//! When the border is open, as the programme promises it.

use crate::codes::DataClass;
use crate::id::Name;
use crate::problem::Problems;

/// The most that `red_seconds` may say: longer, and "witnessed" would mean little.
const RED_MAX: u64 = 600;

/// How old the newest cosigned checkpoint may be, and who may lift the border when it is older.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Border {
    /// Up to this age, in seconds, everything that policy permits may cross.
    pub green_seconds: u64,
    /// Beyond this age nothing crosses. In between the border is amber.
    pub red_seconds: u64,
    /// Classes that may cross while the border is amber.
    pub amber_classes: Vec<DataClass>,
    /// Who may sign a border override (`docs/formats/override.md`).
    pub holders: Vec<Holder>,
}

/// One who may sign border overrides, together with one of another employer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Their key, as a C2SP verifier key.
    pub vkey: String,
    /// For whom they work.
    pub employer: Name,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    #[serde(default = "green_seconds")]
    green_seconds: u64,
    #[serde(default = "red_seconds")]
    red_seconds: u64,
    #[serde(default = "amber_classes")]
    amber_classes: Vec<String>,
    #[serde(default)]
    holders: Vec<RawHolder>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHolder {
    vkey: String,
    employer: String,
}

fn green_seconds() -> u64 {
    10
}
fn red_seconds() -> u64 {
    30
}
fn amber_classes() -> Vec<String> {
    ["public", "allowable"].map(str::to_owned).into()
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            green_seconds: green_seconds(),
            red_seconds: red_seconds(),
            amber_classes: amber_classes(),
            holders: Vec::new(),
        }
    }
}

impl Raw {
    pub(crate) fn check(&self, p: &mut Problems) -> Border {
        if self.green_seconds == 0 || self.green_seconds > self.red_seconds || self.red_seconds > RED_MAX {
            let why = format!("`{}` and `{}`", self.green_seconds, self.red_seconds);
            p.add("programme.toml: border", why, "use 1 <= green_seconds <= red_seconds <= 600");
        }
        let place = "programme.toml: border.amber_classes";
        let classes = self.amber_classes.iter();
        let fix = "use public, allowable, restricted";
        let mut amber: Vec<_> = classes.filter_map(|c| p.keep(place, fix, DataClass::parse(c))).collect();
        amber.sort_unstable();
        amber.dedup();
        let place = "programme.toml: border.holders";
        let holders = self.holders.iter().filter_map(|h| {
            let employer = p.keep(place, "choose another name", Name::parse(&h.employer))?;
            Some(Holder { vkey: h.vkey.clone(), employer })
        });
        let holders = holders.collect();
        Border {
            green_seconds: self.green_seconds,
            red_seconds: self.red_seconds,
            amber_classes: amber,
            holders,
        }
    }
}
