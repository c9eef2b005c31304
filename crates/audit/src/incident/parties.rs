//! Who is who: `parties.toml`.

use std::{fs, path::Path};

use serde::Deserialize;

use crate::note::{VerifierKey, open};

/// What no party is named in particular for falls to this one.
const OPERATOR: &str = "operator";
const FILE_BYTES_MAX: usize = 1 << 20;

/// Everybody who may act on incidents.
#[derive(Clone, Debug)]
pub struct Parties(Vec<Party>);

/// One of them.
#[derive(Clone, Debug)]
pub struct Party {
    /// Like `operator`, `auditor` or `regulator`.
    pub name: String,
    /// For whom it works. Parties of one company are one as far as closing goes.
    pub company: String,
    key: VerifierKey,
    vkey: String,
    answers_for: Vec<String>,
}

/// Why the list was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartiesError {
    /// The file cannot be read.
    #[error("cannot read the list of parties")]
    Read(#[source] std::io::Error),
    /// Not the TOML that it should be.
    #[error("cannot understand the list of parties: {0}")]
    Form(String),
    /// A key is not good.
    #[error("the key of the party `{0}` cannot be used")]
    Key(String, #[source] crate::note::KeyError),
    /// One key, one party; one name, one party.
    #[error("the party `{0}` has a name or a key that another has")]
    Twice(String),
    /// A name or a company is empty or not one line.
    #[error("a party needs a `name` and a `company` of one line")]
    Name,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    party: Vec<RawParty>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawParty {
    name: String,
    company: String,
    vkey: String,
    #[serde(default)]
    answers_for: Vec<String>,
}

impl Parties {
    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read, or names a key or a party twice.
    pub fn read(path: &Path) -> Result<Self, PartiesError> {
        let text = fs::read_to_string(path).map_err(PartiesError::Read)?;
        if text.len() > FILE_BYTES_MAX {
            return Err(PartiesError::Form("it is too long".into()));
        }
        Self::parse(&text)
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    /// Likewise.
    pub fn parse(text: &str) -> Result<Self, PartiesError> {
        let raw: Raw =
            toml::from_str(text).map_err(|error| PartiesError::Form(error.message().to_owned()))?;
        let mut parties: Vec<Party> = Vec::new();
        for RawParty { name, company, vkey, answers_for } in raw.party {
            let (name, company) = (name.trim().to_owned(), company.trim().to_owned());
            let bad = |text: &str| text.is_empty() || text.contains(char::is_control);
            if bad(&name) || bad(&company) {
                return Err(PartiesError::Name);
            }
            let key = VerifierKey::parse(&vkey).map_err(|error| PartiesError::Key(name.clone(), error))?;
            if parties.iter().any(|other| other.name == name || other.key.same_key(&key)) {
                return Err(PartiesError::Twice(name));
            }
            parties.push(Party { name, company, key, vkey: vkey.trim().to_owned(), answers_for });
        }
        Ok(Self(parties))
    }

    /// The party of this key.
    pub(crate) fn of_key(&self, vkey: &str) -> Option<&Party> {
        let key = VerifierKey::parse(vkey).ok()?;
        self.0.iter().find(|party| party.key == key && party.vkey == vkey)
    }

    /// Who signed this note, and its text.
    pub(super) fn signer<'n>(&self, note: &'n [u8]) -> Option<(&Party, &'n str)> {
        self.0.iter().find_map(|party| Some((party, open(note, &[&party.key]).ok()?)))
    }

    /// The parties that answer for a cause. What a gateway or a site does falls to the operator.
    pub(super) fn answering(&self, cause: &str) -> Vec<&Party> {
        let named: Vec<_> =
            self.0.iter().filter(|party| party.name == cause || party.answers(cause)).collect();
        if !named.is_empty() || !["gateway:", "keys:", "site:"].iter().any(|kind| cause.starts_with(kind)) {
            return named;
        }
        self.0.iter().filter(|party| party.name == OPERATOR).collect()
    }

    /// Whether a party is the cause, or of one company with those who answer for it.
    pub(super) fn is_cause(&self, party: &Party, cause: &str) -> bool {
        let same = |other: &&Party| {
            other.name == party.name || other.company.to_lowercase() == party.company.to_lowercase()
        };
        party.name == cause || party.answers(cause) || self.answering(cause).iter().any(same)
    }
}

impl Party {
    fn answers(&self, cause: &str) -> bool {
        self.answers_for.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => cause.starts_with(start),
            None => pattern == cause,
        })
    }
}
