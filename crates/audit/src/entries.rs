//! The entries, one after another: what each says, and how it follows from those before it.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use crate::{
    codes::{Kind, REASON_POLICY},
    decide::{Job, Question},
    declared,
    facts::{Evidence, Facts, PrincipalKind},
    hash::{Hash, sha256},
    header::{Header, Subjects},
    invariants,
    report::{Place, Report, Rule},
    rulebook::{Rulebook, Rulebooks},
    tags::TagLists,
    tree::Inventory,
};

/// How far a clock may be set back between two entries.
const TIME_BACK_SECONDS_MAX: u64 = 300;
const NO_RULEBOOK: Hash = [0; 32];

/// What is carried from entry to entry.
pub(crate) struct Entries<'t> {
    gateway: [u8; 8],
    time: Option<u64>,
    flows: HashSet<[u8; 16]>,
    /// The rulebook that was activated last, and all before it.
    active: Option<Hash>,
    activated: BTreeSet<Hash>,
    rulebooks: Rulebooks<'t>,
    tags: TagLists<'t>,
    redecide: bool,
}

impl<'t> Entries<'t> {
    pub(crate) fn new(origin: &str, rulebooks: Rulebooks<'t>, tags: TagLists<'t>, redecide: bool) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = sha256(origin.as_bytes());
        Self {
            gateway: [a, b, c, d, e, f, g, h],
            time: None,
            flows: HashSet::new(),
            active: None,
            activated: BTreeSet::new(),
            rulebooks,
            tags,
            redecide,
        }
    }

    /// Checks the entry at `index`, and returns it if it is to be decided again.
    pub(crate) fn check<'e>(&mut self, index: u64, entry: &'e [u8], report: &mut Report) -> Option<Job<'e>> {
        report.entries += 1;
        let (header, facts) = match Header::parse(entry) {
            Ok(parts) => parts,
            Err(error) => {
                report.entry(Rule::Header, index, error.to_string());
                return None;
            }
        };
        report.refusals += u64::from(header.kind == Kind::Refusal);
        self.check_place(index, &header, report);
        self.check_people(index, &header, report);
        let rulebook = self.check_rulebook(index, &header, report);
        let bytes = facts;
        let facts = decode(index, &header, bytes, report)?;
        check_agreement(index, &header, &facts, report);
        let rulebook = rulebook?;
        for (rule, text) in declared::check(&rulebook, &header, &facts) {
            report.entry(rule, index, text);
        }
        if header.kind == Kind::Answer {
            for (rule, text) in invariants::check(&rulebook.programme, &facts) {
                report.entry(rule, index, text);
            }
        }
        let question = question(&header).filter(|_| self.redecide)?;
        let key = job_key(question, &header.rulebook, bytes);
        Some(Job { index, question, rulebook, facts, key })
    }

    /// Reports what the tree holds and no entry names.
    pub(crate) fn finish(self, inventory: &Inventory, report: &mut Report) {
        report.tag_lists = self.tags.count();
        for root in self.tags.unnamed(&inventory.tag_lists) {
            let path = format!("tags/{}", crate::tree::hex_of(root));
            report.file(Rule::Extra, path, "no entry names it");
        }
        for digest in inventory.rulebooks.iter().filter(|digest| !self.rulebooks.is_named(digest)) {
            let path = format!("rulebook/{}", crate::tree::hex_of(digest));
            report.file(Rule::Extra, path, "no entry names it");
        }
    }

    fn check_place(&mut self, index: u64, header: &Header, report: &mut Report) {
        if header.gateway != self.gateway {
            report.entry(Rule::Sequence, index, "it belongs to another gateway");
        }
        if header.sequence != index {
            report.entry(Rule::Sequence, index, format!("it says that it is number {}", header.sequence));
        }
        if let Some(before) =
            self.time.filter(|before| header.time < before.saturating_sub(TIME_BACK_SECONDS_MAX))
        {
            let back = before - header.time;
            report.entry(
                Rule::Time,
                index,
                format!("its time is {back} s before that of the entry before it"),
            );
        }
        self.time = Some(header.time);
        if !self.flows.insert(header.flow) {
            report.entry(Rule::Flow, index, "its flow id was used before");
        }
        if index == 0 && header.kind != Kind::Activation {
            report.entry(Rule::First, index, "it does not activate a rulebook");
        }
    }

    fn check_people(&mut self, index: u64, header: &Header, report: &mut Report) {
        if let Subjects::List(root) = &header.subjects
            && let Err(text) = self.tags.check(root, header.count)
        {
            report.entry(Rule::TagList, index, text);
        }
    }

    /// Checks which rulebook the entry names, and returns it if it is valid.
    fn check_rulebook(&mut self, index: u64, header: &Header, report: &mut Report) -> Option<Arc<Rulebook>> {
        let digest = &header.rulebook;
        if *digest == NO_RULEBOOK {
            if !matches!(header.kind, Kind::Refusal | Kind::Border) {
                report.entry(Rule::Activation, index, "it names no rulebook");
            }
            return None;
        }
        if header.kind == Kind::Activation {
            self.active = Some(*digest);
            self.activated.insert(*digest);
        } else if self.active != Some(*digest) {
            let known = self.activated.contains(digest);
            let text =
                if known { "its rulebook was replaced before" } else { "its rulebook was never activated" };
            report.entry(Rule::Activation, index, text);
        }
        let rulebook = self.rulebooks.find(digest, report);
        if rulebook.is_none() && matches!(header.kind, Kind::Answer | Kind::Import) {
            report.entry(Rule::Release, index, "its rulebook is not valid, which refuses everything");
        }
        rulebook
    }
}

/// What is to be asked again of an entry.
fn question(header: &Header) -> Option<Question> {
    match header.kind {
        Kind::Answer => Some(Question::Released),
        Kind::Refusal if header.reason == REASON_POLICY => Some(Question::RefusedForPolicy),
        _ => None,
    }
}

fn job_key(question: Question, rulebook: &Hash, facts: &[u8]) -> Hash {
    let mut bytes = Vec::with_capacity(33 + facts.len());
    bytes.push(u8::from(question == Question::Released));
    bytes.extend_from_slice(rulebook);
    bytes.extend_from_slice(facts);
    sha256(&bytes)
}

/// Reads the facts that an entry of this kind must or may have.
fn decode<'e>(index: u64, header: &Header, bytes: &'e [u8], report: &mut Report) -> Option<Facts<'e>> {
    let needed = match header.kind {
        Kind::Answer | Kind::Import => true,
        Kind::Refusal => header.reason == REASON_POLICY,
        Kind::Activation | Kind::Border => {
            if !bytes.is_empty() {
                report.entry(Rule::Facts, index, "an entry of its kind has no facts");
            }
            return None;
        }
    };
    if bytes.is_empty() {
        if needed {
            report.entry(Rule::Facts, index, "its facts are absent");
        }
        return None;
    }
    match Facts::decode(bytes) {
        Ok(facts) => Some(facts),
        Err(error) => {
            report.entry(Rule::Facts, index, format!("its facts are refused: {error}"));
            None
        }
    }
}

fn check_agreement(index: u64, header: &Header, facts: &Facts<'_>, report: &mut Report) {
    let mut differ = |same: bool, what: &str| {
        if !same {
            report.add(Rule::Agreement, Place::Entry(index), format!("header and facts differ in {what}"));
        }
    };
    let country = facts.principal.country.as_bytes();
    differ(header.actor == facts.principal.tag, "the actor");
    differ(header.time == facts.now, "the time");
    differ(header.purpose == facts.purpose, "the purpose");
    differ(header.place == *country, "the place");
    let operator = facts.principal.kind == PrincipalKind::Operator;
    differ(header.kind != Kind::Import || operator, "the kind of actor");
    match (&facts.evidence, facts.principal.kind) {
        (Some(Evidence::Flow(flow)), PrincipalKind::Service) => {
            differ(header.destination == *flow.destination.as_bytes(), "the destination");
        }
        (_, PrincipalKind::Employee | PrincipalKind::Subject) => {
            differ(header.destination == *country, "the destination");
        }
        _ => {}
    }
    if header.kind == Kind::Answer && facts.principal.kind != PrincipalKind::Subject {
        let outcomes =
            || facts.groups.iter().filter_map(|group| group.outcome.map(|outcome| (group, outcome)));
        let classes = outcomes().fold(0, |bits, (group, _)| bits | group.class.bit());
        let treatments = outcomes().fold(0, |bits, (_, outcome)| bits | outcome.bit());
        differ(header.classes == classes, "the classes");
        differ(header.treatments == treatments, "the treatments");
    }
    if header.kind == Kind::Answer {
        check_bounds(index, header, facts, report);
    }
}

fn check_bounds(index: u64, header: &Header, facts: &Facts<'_>, report: &mut Report) {
    if u64::from(header.rows) > facts.rows {
        report.entry(
            Rule::Bounds,
            index,
            format!("it released {} rows of at most {}", header.rows, facts.rows),
        );
    }
    if u64::from(header.count) > facts.subjects {
        let text = format!("it names {} people of at most {}", header.count, facts.subjects);
        report.entry(Rule::Bounds, index, text);
    }
    let others = match (&header.subjects, &facts.subject) {
        (_, None) | (Subjects::None, _) => false,
        (Subjects::Inline(tags), Some(subject)) => tags.iter().any(|tag| tag != subject),
        (Subjects::List(_) | Subjects::Everyone, Some(_)) => true,
    };
    if others {
        report.entry(Rule::Bounds, index, "the request was pinned to one person, and it names others");
    }
}
