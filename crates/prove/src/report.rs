//! What was found, for a program to read.

use serde::Serialize;

use crate::bounded::Bounded;
use crate::example::Example;
use crate::mutants::{MutantResult, Noticed};

/// How one question ended.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// So it is, for every request.
    Proved,
    /// So it is not: there is a request, and the real authorizer agrees.
    False {
        /// That request.
        example: Example,
    },
    /// So it is not, since there is nothing of which it could be so.
    Dead {
        /// What is missing.
        why: String,
    },
    /// Nobody knows.
    NotProved {
        /// Why.
        why: String,
    },
    /// The solver gave a request that the real authorizer answers otherwise. Nothing follows from it.
    Disagreement {
        /// That request, and the authorizer's answer.
        example: Example,
    },
}

impl Verdict {
    pub(crate) fn not_proved(why: impl Into<String>) -> Self {
        Self::NotProved { why: why.into() }
    }

    /// Whether it is [`Verdict::Proved`].
    #[must_use]
    pub fn is_proved(&self) -> bool {
        matches!(self, Self::Proved)
    }

    /// Whether it is [`Verdict::False`].
    #[must_use]
    pub fn is_false(&self) -> bool {
        matches!(self, Self::False { .. })
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::Proved => Outcome::Proved,
            Self::False { .. } | Self::Dead { .. } => Outcome::False,
            Self::NotProved { .. } | Self::Disagreement { .. } => Outcome::NotProved,
        }
    }
}

/// What holds a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The guardrails: no permit, present or future, can break it.
    Guardrails,
    /// Each permit that there is today.
    Permits,
}

/// The end of all of it, and the exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything is proved: 0.
    Proved,
    /// Something is not proved, and nothing is false: 2.
    NotProved,
    /// Something is false, or wider: 1.
    False,
}

impl Outcome {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Proved => 0,
            Self::False => 1,
            Self::NotProved => 2,
        }
    }
}

/// A question put to every policy. Only those are listed of which it does not hold.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// How many policies (and properties).
    pub policies: usize,
    /// How many questions the solver was put.
    pub questions: usize,
    /// How long it took.
    pub milliseconds: u64,
    /// Where it does not hold, or is not known to.
    pub findings: Vec<Finding>,
}

/// A policy of which something does not hold, or is not known to.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Its id.
    pub policy: String,
    /// What was found.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// A property and its verdict.
#[derive(Debug, Clone, Serialize)]
pub struct PromiseResult {
    /// Its id.
    pub id: String,
    /// `never` or `only`.
    pub prove: &'static str,
    /// The promise.
    pub says: String,
    /// Whether it holds.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What holds it, if it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// How many questions the solver was put.
    pub questions: usize,
    /// How long it took.
    pub milliseconds: u64,
}

/// What would happen if a guardrail were dropped.
#[derive(Debug, Clone, Serialize)]
pub struct Guardrail {
    /// Its id.
    pub id: String,
    /// Who would miss it.
    #[serde(flatten)]
    pub missed: Missed,
    /// How long it took.
    pub milliseconds: u64,
}

/// Whether anybody would miss a guardrail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "dropped")]
pub enum Missed {
    /// A property, which is false without it or is then held by the permits of today only.
    ByProperty {
        /// Its id.
        property: String,
    },
    /// Nobody, and rightly: the other guardrails forbid all that it forbids.
    Implied,
    /// Nobody. What it promises is stated nowhere else.
    ByNobody,
    /// Not known.
    NotProved {
        /// Why.
        why: String,
    },
}

/// Whether a rulebook permits anything that the one in force denies.
#[derive(Debug, Clone, Serialize)]
pub struct Widening {
    /// Whether only changed permits had to be looked at, since every guardrail in force stands unchanged.
    pub changed_permits_only: bool,
    /// The permits that were looked at.
    pub permits: Vec<String>,
    /// How many questions the solver was put.
    pub questions: usize,
    /// How long it took.
    pub milliseconds: u64,
    /// Permits by which more is permitted, and what could not be compared.
    pub findings: Vec<Finding>,
    /// Files whose meaning no proof covers and that differ: a person has to read them.
    pub unread: Vec<String>,
    /// Properties in force that the new rulebook does not state any more.
    pub dropped: Vec<String>,
}

/// All that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Digest of the rulebook.
    pub rulebook: String,
    /// Digest of its `properties.cedar`.
    pub properties: Option<String>,
    /// Digest of the rulebook that it was compared with.
    pub against: Option<String>,
    /// The solver's own words on its version.
    pub solver: Option<String>,
    /// How long all of it took.
    pub seconds: f64,
    /// The end of all of it.
    pub outcome: Outcome,
    /// Policies and properties that can err.
    pub errors: Check,
    /// Policies that can never decide anything.
    pub dead: Check,
    /// Each property.
    pub promises: Vec<PromiseResult>,
    /// Each guardrail.
    pub guardrails: Vec<Guardrail>,
    /// The comparison, if one was asked for.
    pub widening: Option<Widening>,
    /// Each small mistake and who notices it, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mutants: Option<Vec<MutantResult>>,
}

/// A rulebook held against the one in force, and nothing else.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Digest of the rulebook.
    pub rulebook: String,
    /// Digest of the one in force.
    pub against: String,
    /// The solver's own words on its version.
    pub solver: Option<String>,
    /// The end of it: `proved` that nothing is wider, `false` that something is, or `not_proved`.
    pub outcome: Outcome,
    /// What was proved.
    pub widening: Widening,
    /// What was found in a small world, where there is no whole proof.
    pub bounded: Option<Bounded>,
    /// How long it took.
    pub seconds: f64,
}

impl Comparison {
    // INVARIANT: a small world in which nothing was found proves nothing.
    pub(crate) fn conclude(&self) -> Outcome {
        let found = self.bounded.as_ref().is_some_and(|b| b.wider > 0);
        let findings = self.widening.findings.iter().map(|f| f.verdict.outcome());
        let unread = self.widening.unread.iter().map(|_| Outcome::NotProved);
        let all = findings.chain(unread).max().unwrap_or(Outcome::Proved);
        if found { Outcome::False } else { all }
    }
}

impl Report {
    /// The worst of everything.
    pub(crate) fn conclude(&self) -> Outcome {
        let lists = [&self.errors.findings, &self.dead.findings];
        let wider = self.widening.iter().flat_map(|w| &w.findings);
        let verdicts = lists.into_iter().flatten().chain(wider).map(|f| f.verdict.outcome());
        let promises = self.promises.iter().map(|p| p.verdict.outcome());
        let guardrails = self.guardrails.iter().map(|g| match g.missed {
            Missed::ByProperty { .. } | Missed::Implied => Outcome::Proved,
            Missed::ByNobody | Missed::NotProved { .. } => Outcome::NotProved,
        });
        let unread = self.widening.iter().flat_map(|w| &w.unread).map(|_| Outcome::NotProved);
        let unnoticed = self.mutants.iter().flatten().map(|m| match m.noticed {
            Noticed::ByNobody | Noticed::NotProved { .. } => Outcome::NotProved,
            _ => Outcome::Proved,
        });
        let nothing = self.promises.is_empty().then_some(Outcome::NotProved);
        let all = verdicts.chain(promises).chain(guardrails).chain(unread).chain(unnoticed).chain(nothing);
        all.max().unwrap_or(Outcome::NotProved)
    }
}
