//! What a release would give away, measured on the rows as they leave.

use std::collections::BTreeMap;

use ledger::facts::{Risk as Facts, RiskVerdict};
use model::catalogue::FieldIndex;
use model::lanes::{Risk, Role};
use transform::json::unescape;
use transform::risk::{self, Columns, Fact, Measurer, Report, RiskError, Verdict};

/// Between values of one field in one row.
const BETWEEN: char = '\u{1f}';

/// A measurement that goes along with a rewrite.
pub(crate) struct Measured {
    measurer: Measurer,
    places: BTreeMap<u16, usize>,
    person: Option<usize>,
    row: Vec<String>,
    failed: Option<RiskError>,
}

impl Measured {
    /// For what a lane declares; `people` when rows name theirs.
    pub(crate) fn new(risk: &Risk, people: bool) -> Result<Self, RiskError> {
        let role = |role: &Role| match role {
            Role::Quasi => risk::Role::Quasi,
            Role::Sensitive => risk::Role::Sensitive,
            Role::Token => risk::Role::Token,
            Role::Content => risk::Role::Content,
        };
        let declared = risk.roles.iter().map(|(field, r)| (field.0.to_string(), role(r)));
        let columns =
            Columns::new(declared.chain(people.then(|| ("person".to_owned(), risk::Role::Person))))?;
        let places: BTreeMap<u16, usize> =
            risk.roles.keys().enumerate().map(|(place, FieldIndex(field))| (*field, place)).collect();
        let width = places.len() + usize::from(people);
        Ok(Self {
            measurer: Measurer::new(columns, usize::from(risk.k), risk::Limits::default())?,
            person: people.then_some(places.len()),
            places,
            row: vec![String::new(); width],
            failed: None,
        })
    }

    pub(crate) fn person(&mut self, subject: &str) {
        if let Some(slot) = self.person.and_then(|place| self.row.get_mut(place)) {
            subject.clone_into(slot);
        }
    }

    /// A value of a field as it leaves: a text, or what was written in its place.
    pub(crate) fn value(&mut self, field: u16, left: &[u8], written: bool) {
        let Some(slot) = self.places.get(&field).and_then(|place| self.row.get_mut(*place)) else { return };
        if !slot.is_empty() {
            slot.push(BETWEEN);
        }
        let quoted = left.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).filter(|_| written);
        let mut plain = Vec::new();
        let text = match quoted {
            Some(raw) if unescape(raw, &mut plain).is_ok() => plain.as_slice(),
            _ => left,
        };
        slot.push_str(&String::from_utf8_lossy(text));
    }

    pub(crate) fn row(&mut self) {
        let row: Vec<&str> = self.row.iter().map(String::as_str).collect();
        if let Err(e) = self.measurer.push(&row) {
            self.failed.get_or_insert(e);
        }
        self.row.iter_mut().for_each(String::clear);
    }

    /// What came of it; an error when the release was not measured as a whole.
    pub(crate) fn finish(self) -> Result<Report, RiskError> {
        match self.failed {
            None => Ok(self.measurer.finish()),
            Some(e) => Err(e),
        }
    }
}

/// For the entry: numbers that tell of nobody.
pub(crate) fn facts(report: &Report) -> Facts {
    let all: BTreeMap<Fact, u64> = report.facts().into_iter().collect();
    let number = |fact| all.get(&fact).copied().unwrap_or(0);
    let unique = number(Fact::Unique).saturating_mul(1_000_000);
    Facts {
        verdict: match report.verdict() {
            Verdict::Holds => RiskVerdict::Holds,
            Verdict::Weak => RiskVerdict::Weak,
            Verdict::Plain => RiskVerdict::Plain,
        },
        asked: number(Fact::Asked),
        k: number(Fact::K),
        l: number(Fact::L),
        unique_micro: unique.div_ceil(number(Fact::Rows).max(1)),
        linkable: number(Fact::TokensFound) > 0,
    }
}

/// For the sealed detail: stable numbers only.
pub(crate) fn told(report: &Report) -> serde_json::Value {
    let findings: Vec<_> = report.findings().into_iter().map(risk::Finding::number).collect();
    let facts: Vec<_> = report.facts().into_iter().map(|(fact, n)| (fact.number(), n)).collect();
    serde_json::json!({ "verdict": report.verdict().code(), "findings": findings, "facts": facts })
}
