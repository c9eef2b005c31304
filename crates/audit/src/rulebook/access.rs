//! What the auditor reads of `access.toml`: how many people must approve at each step of a procedure.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One step.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    #[serde(default = "one")]
    pub(crate) need: u64,
    #[serde(default = "one")]
    pub(crate) employers: u64,
}

const fn one() -> u64 {
    1
}

/// The procedures by name.
#[derive(Debug)]
pub(crate) struct Procedures(BTreeMap<String, Vec<Step>>);

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    procedure: Vec<RawProcedure>,
}

#[derive(Deserialize)]
struct RawProcedure {
    name: String,
    step: Vec<Step>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProceduresError {
    #[error("it cannot be read: {}", .0.message())]
    Toml(#[from] toml::de::Error),
    #[error("a procedure stands twice, or has no step, or one that nobody decides")]
    Procedure,
}

impl Procedures {
    pub(crate) fn parse(text: &str) -> Result<Self, ProceduresError> {
        let raw: Raw = toml::from_str(text)?;
        let mut all = BTreeMap::new();
        for RawProcedure { name, step } in raw.procedure {
            let empty = step.is_empty() || step.iter().any(|s| s.need == 0 || s.employers == 0);
            if empty || all.insert(name, step).is_some() {
                return Err(ProceduresError::Procedure);
            }
        }
        Ok(Self(all))
    }

    /// The steps of a procedure.
    pub(crate) fn find(&self, name: &str) -> Option<&[Step]> {
        self.0.get(name).map(Vec::as_slice)
    }
}
