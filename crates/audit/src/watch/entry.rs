//! An entry as detectors see it, and where they put what they find.

use super::{
    config::Limits,
    finding::{Findings, Found, WatchRule},
};
use crate::{
    facts::{Evidence, Facts},
    header::Header,
    incident::Reference,
};

/// An entry of a gateway's log that a round counts.
pub(super) struct SeenEntry<'a> {
    pub(super) origin: &'a str,
    pub(super) index: u64,
    pub(super) header: &'a Header,
    /// Absent if there are none, or they cannot be read.
    pub(super) facts: Option<&'a Facts<'a>>,
}

impl SeenEntry<'_> {
    pub(super) fn cause(&self) -> String {
        format!("gateway:{}", self.origin)
    }

    pub(super) fn reference(&self) -> Reference {
        Reference { origin: self.origin.to_owned(), index: self.index }
    }

    /// What tells the fields of two requests apart.
    pub(super) fn fields(&self) -> Vec<u8> {
        let Some(facts) = self.facts else { return Vec::new() };
        let list = match &facts.evidence {
            Some(Evidence::Grant(grant)) => grant.fields.unwrap_or_default(),
            Some(Evidence::Case(case)) => case.fields,
            Some(Evidence::Flow(flow)) => flow.fields,
            None => "",
        };
        let mut name = format!("{}\n{list}\n", facts.dataset);
        for group in &facts.groups {
            let outcome = group.outcome.map_or(0, crate::codes::Treatment::bit);
            name.push_str(&format!(
                "{} {} {} {outcome}\n",
                group.class.bit(),
                group.lists.join(","),
                group.fields
            ));
        }
        name.into_bytes()
    }
}

/// Where findings go.
pub(super) struct Out<'a> {
    pub(super) limits: &'a Limits,
    /// The newest time of the site log.
    pub(super) time: u64,
    pub(super) findings: &'a mut Findings,
}

impl Out<'_> {
    /// A finding about an entry.
    pub(super) fn entry(&mut self, rule: WatchRule, entry: &SeenEntry<'_>, about: String, text: String) {
        self.found(Found { rule, cause: entry.cause(), about, entry: Some(entry.reference()), text });
    }

    pub(super) fn found(&mut self, found: Found) {
        self.findings.add(self.time, self.limits.repeat_seconds, found);
    }
}
