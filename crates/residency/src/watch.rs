//! What database servers and the machines under them really do, held against what is declared.
//!
//! Everything that is seen is a [`Fact`]: a kind and a text. What is declared for a node is a list of such texts for
//! each kind, and who may take its changes. Whatever is not declared is a finding, and so is whatever cannot be seen.
//! Polling is evidence and no prevention. Start at [`declared`] for the file, [`postgres`] for what is read.

pub mod around;
pub mod declared;
pub mod postgres;
mod queries;
pub mod replicas;
mod rounds;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use declared::Declared;
pub use rounds::{Round, declare, watch};

/// Something that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fact {
    /// What kind of thing.
    pub kind: String,
    /// What it is, in one line.
    pub text: String,
}

impl Fact {
    pub(crate) fn new(kind: &str, text: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), text: text.into() }
    }
}

/// Something that is not as declared, or not to be seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// At which node.
    pub node: String,
    /// What it is about.
    pub fact: Fact,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It is there, and nobody declared it.
    Undeclared,
    /// It is declared, and not there.
    Missing,
    /// It takes part under the name of another.
    Impostor,
    /// It cannot be seen.
    Blind,
}

impl Why {
    /// Its words in reports.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Undeclared => "is not declared",
            Self::Missing => "is declared and not there",
            Self::Impostor => "is not who is declared under this name",
            Self::Blind => "cannot be seen",
        }
    }
}

/// What was seen at a node: facts, who takes its changes, and what could not be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Facts.
    pub facts: BTreeSet<Fact>,
    /// Who takes its changes.
    pub walsenders: Vec<replicas::Walsender>,
    /// What could not be seen, with the reason.
    pub blind: BTreeSet<Fact>,
}

impl Seen {
    fn blind(&mut self, what: &str, why: impl std::fmt::Display) {
        self.blind.insert(Fact::new(what, why.to_string()));
    }

    fn merge(&mut self, other: Self) {
        self.facts.extend(other.facts);
        self.walsenders.extend(other.walsenders);
        self.blind.extend(other.blind);
    }

    /// Holds what was seen against what is declared of a node.
    #[must_use]
    pub fn findings(&self, node: &declared::Node) -> BTreeSet<Finding> {
        let finding = |fact: &Fact, why| Finding { node: node.name.clone(), fact: fact.clone(), why };
        let mut findings: BTreeSet<Finding> = self.blind.iter().map(|f| finding(f, Why::Blind)).collect();
        let undeclared = self.facts.iter().filter(|f| !node.declares(f));
        findings.extend(undeclared.map(|f| finding(f, Why::Undeclared)));
        // What guards is missed; what merely may be there is not.
        let missing = node
            .must_be()
            .filter(|f| !self.facts.contains(f) && !self.blind.iter().any(|b| b.kind == f.kind));
        findings.extend(missing.map(|f| finding(&f, Why::Missing)));
        findings.extend(
            replicas::judge(&self.walsenders, &node.replicas).into_iter().map(|(f, why)| finding(&f, why)),
        );
        findings
    }
}
