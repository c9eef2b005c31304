//! Services inside the region that work with people's records: processing in the region, and no crossing.
//!
//! What each may do with which collections is part of the rulebook that operator and auditor signed (`[[inside]]` in
//! `lanes.toml`), and what it did stands on the ledger, summed up for each minute.

use std::collections::BTreeSet;

use crate::catalogue::{Catalogue, FieldIndex};
use crate::codes::Purpose;
use crate::id::{ActorId, Name};
use crate::problem::Problems;

/// What a service inside may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InsideAct {
    /// Read records, one, a collection or all that it may see of a person.
    Read,
    /// Write and remove records.
    Write,
    /// Find people by an e-mail address, a telephone number or a user name.
    Find,
    /// Bring people in who come to live in the enclave.
    Admit,
    /// Open tokens that a lane made so.
    Detokenise,
}

/// One registered use of records by a service inside.
#[derive(Debug, Clone)]
pub struct Inside {
    /// Its name.
    pub name: Name,
    /// The workload.
    pub service: ActorId,
    /// The dataset.
    pub dataset: Name,
    /// Its collections, ascending.
    pub collections: BTreeSet<Name>,
    /// Whether people's media belong to it, too.
    pub media: bool,
    /// What it may do with them.
    pub acts: BTreeSet<InsideAct>,
    /// For what.
    pub purpose: Purpose,
    /// Whether it may now.
    pub active: bool,
}

impl Inside {
    /// The fields of one of its collections.
    #[must_use]
    pub fn fields<'c>(&self, catalogue: &'c Catalogue, collection: &str) -> Option<&'c [FieldIndex]> {
        let mine = self.collections.iter().find(|c| c.as_str() == collection)?;
        let dataset = catalogue.dataset(self.dataset.as_str())?;
        dataset.collections.iter().find(|c| c.name == *mine).map(|c| c.fields.as_slice())
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    name: String,
    service: String,
    dataset: String,
    collections: Vec<String>,
    #[serde(default)]
    media: bool,
    acts: Vec<InsideAct>,
    purpose: String,
    active: bool,
}

pub(crate) fn parse(raw: Raw, catalogue: &Catalogue, p: &mut Problems) -> Option<Inside> {
    let place = format!("lanes.toml: inside `{}`", raw.name);
    let rename = "choose another name";
    let name = p.keep(&place, rename, Name::parse(&raw.name));
    let service = p.keep(&place, rename, ActorId::parse(&raw.service));
    let dataset = p.keep(&place, rename, Name::parse(&raw.dataset));
    let purpose = p.keep(&place, "name a purpose of the list", Purpose::parse(&raw.purpose));
    if raw.acts.is_empty() || raw.collections.is_empty() {
        p.add(&place, "it may do nothing", "name `acts` and `collections`, or leave it out");
    }
    let mut collections = BTreeSet::new();
    for collection in raw.collections {
        let known =
            |d: &crate::catalogue::Dataset| d.collections.iter().any(|c| c.name.as_str() == collection);
        if !catalogue.dataset(&raw.dataset).is_some_and(known) {
            let text = format!("collection `{collection}` is not declared in `{}`", raw.dataset);
            p.add(&place, text, "declare it in catalogue.toml");
        } else if catalogue.datasets().iter().filter(|d| known(d)).count() > 1 {
            // Records are kept under the collection's name.
            p.add(&place, format!("collection `{collection}` is in two datasets"), "rename one of them");
        }
        collections.extend(p.keep(&place, rename, Name::parse(&collection)));
    }
    Some(Inside {
        name: name?,
        service: service?,
        dataset: dataset?,
        collections,
        media: raw.media,
        acts: raw.acts.into_iter().collect(),
        purpose: purpose?,
        active: raw.active,
    })
}
