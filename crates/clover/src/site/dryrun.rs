//! What a suspension of a country would stop: flows, employers, grants and cases, and what crossed lately.
//!
//! Nobody is named: grants and cases by their ids, crossings by lane and purpose.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Result;
use ledger::entry::short_name;
use ledger::{Entry, EntryKind};
use model::rulebook::Rulebook;
use model::{ActorId, Country, Name, Tag, UnixSeconds};
use serde::Serialize;
use vault::log::View;
use vault::{Control, KeyService};

use crate::assemble;
use crate::layout::Layout;

/// The gateway's own ways, which no rulebook declares.
const OWN_WAYS: [&str; 4] = ["read", "count", "own", "unknown"];
/// How far an entry's time may lie before that of the one before it, in seconds.
const BACK_MAX: u64 = 300;
const DAY: u64 = 86_400;

/// A registered flow to the country.
#[derive(Debug, Serialize)]
pub struct FlowLine {
    /// Its name.
    pub flow: String,
    /// Its lane.
    pub lane: String,
    /// On which ground.
    pub basis: &'static str,
    /// For what.
    pub purpose: &'static str,
    /// Whether it runs.
    pub active: bool,
}

/// Crossings of one lane for one purpose.
#[derive(Debug, Serialize)]
pub struct Count {
    /// The lane.
    pub lane: String,
    /// The purpose.
    pub purpose: &'static str,
    /// How many were released.
    pub crossings: u64,
    /// Records in them.
    pub rows: u64,
}

/// What would stop.
#[derive(Debug, Serialize)]
pub struct DryRun {
    /// The country.
    pub country: String,
    /// Flows registered to it.
    pub flows: Vec<FlowLine>,
    /// Employers seated there.
    pub employers: Vec<String>,
    /// Grants in force of actors seated or last seen there.
    pub grants: Vec<String>,
    /// Cases likewise.
    pub cases: Vec<String>,
    /// Days that were looked back.
    pub days: u32,
    /// What was released to it, or to somebody in it, on those days.
    pub crossings: Vec<Count>,
    /// Distinct actors of those crossings.
    pub actors: usize,
}

impl DryRun {
    /// Looks at an enclave, whether it runs or not.
    ///
    /// # Errors
    /// When rulebook, control store or published tree cannot be read.
    pub fn of(layout: &Layout, country: Country, days: u32, now: UnixSeconds) -> Result<Self> {
        let book = assemble::rulebook(layout)?.rulebook;
        let since = UnixSeconds(now.0.saturating_sub(u64::from(days) * DAY));
        let seen = Seen::of(layout, &book, country, since)?;
        let (grants, cases) = evidence(layout, &book, country, &seen, now)?;
        let flows = book.lanes.flows.iter().filter(|f| f.destination == country).map(|f| FlowLine {
            flow: f.name.to_string(),
            lane: f.lane.to_string(),
            basis: f.basis.word(),
            purpose: f.purpose.word(),
            active: f.active,
        });
        let seated = book.programme.employers.iter().filter(|(_, seat)| **seat == country);
        Ok(Self {
            country: country.to_string(),
            flows: flows.collect(),
            employers: seated.map(|(employer, _)| employer.to_string()).collect(),
            grants,
            cases,
            days,
            actors: seen.released.len(),
            crossings: seen.counts(),
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let listed = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
        let mut text = format!("suspending {} would stop\n", self.country);
        for f in &self.flows {
            let state = if f.active { "" } else { ", which does not run" };
            text.push_str(&format!(
                "flow       {} on lane {} ({}, {}){state}\n",
                f.flow, f.lane, f.basis, f.purpose
            ));
        }
        for c in &self.crossings {
            text.push_str(&format!(
                "crossings  {} on {} for {}, {} records, in {} days\n",
                c.crossings, c.lane, c.purpose, c.rows, self.days
            ));
        }
        text.push_str(&format!(
            "actors     {} were answered there in {} days\nemployers  {}\ngrants     {}\ncases      {}",
            self.actors,
            self.days,
            listed(&self.employers),
            listed(&self.grants),
            listed(&self.cases)
        ));
        text
    }
}

/// What the ledger shows of a country since a moment.
struct Seen {
    names: HashMap<[u8; 8], String>,
    counts: BTreeMap<(String, &'static str), (u64, u64)>,
    /// Where each actor was last seen.
    places: HashMap<Tag, (UnixSeconds, Country)>,
    released: BTreeSet<Tag>,
}

impl Seen {
    fn of(layout: &Layout, book: &Rulebook, country: Country, since: UnixSeconds) -> Result<Self> {
        let own = OWN_WAYS.iter().map(|name| (short_name(name), (*name).to_owned()));
        let lanes = book.lanes.lanes.keys().map(|name| (short_name(name.as_str()), name.to_string()));
        let mut seen = Self {
            names: own.chain(lanes).collect(),
            counts: BTreeMap::new(),
            places: HashMap::new(),
            released: BTreeSet::new(),
        };
        let view = View::open(layout.root(), &assemble::verifier(layout, "log")?)?;
        for bundle in (0..view.bundles()).rev() {
            let mut newest = UnixSeconds(0);
            for leaf in view.bundle(bundle)? {
                let entry = Entry::decode(&leaf)?;
                newest = newest.max(entry.draft.time);
                if entry.draft.time >= since {
                    seen.take(&entry, country);
                }
            }
            if newest.plus(BACK_MAX) < since {
                break;
            }
        }
        Ok(seen)
    }

    fn take(&mut self, entry: &Entry, country: Country) {
        let draft = &entry.draft;
        if !matches!(draft.kind, EntryKind::Answer | EntryKind::Open | EntryKind::Refusal) {
            return;
        }
        let last = self.places.entry(draft.actor).or_insert((draft.time, draft.place));
        if last.0 <= draft.time {
            *last = (draft.time, draft.place);
        }
        let there = draft.place == country || draft.destination == country;
        if draft.kind == EntryKind::Refusal || !there {
            return;
        }
        let lane =
            self.names.get(&draft.lane).cloned().unwrap_or_else(|| "a lane of an older rulebook".to_owned());
        let count = self.counts.entry((lane, draft.purpose.word())).or_default();
        *count = (count.0 + 1, count.1 + u64::from(draft.rows));
        self.released.insert(draft.actor);
    }

    fn counts(self) -> Vec<Count> {
        let line = |((lane, purpose), (crossings, rows))| Count { lane, purpose, crossings, rows };
        self.counts.into_iter().map(line).collect()
    }
}

/// Grants and cases in force of actors who are seated in the country or were last seen there, by id.
fn evidence(
    layout: &Layout,
    book: &Rulebook,
    country: Country,
    seen: &Seen,
    now: UnixSeconds,
) -> Result<(Vec<String>, Vec<String>)> {
    let control = Control::new(&layout.control(), assemble::verifier(layout, "operator")?);
    let keys = KeyService::open(&layout.keys(), book.programme.name.as_str())?;
    let there = |actor: &ActorId| {
        let record = control.actor(actor, now).ok();
        let seat = record.and_then(|r| book.programme.employers.get(&r.employer).copied());
        let last = seen.places.get(&keys.actor_tag(actor)).map(|(_, place)| *place);
        seat == Some(country) || last == Some(country)
    };
    let names = |kind| -> Result<Vec<Name>> { Ok(control.names(kind)?) };
    let grants = names("grant")?.into_iter().filter(|id| {
        control.grant(id, now).is_ok_and(|g| g.usable(&g.holder, now).is_ok() && there(&g.holder))
    });
    let grants = grants.map(|id| id.to_string()).collect();
    let cases = names("case")?.into_iter().filter(|id| {
        control.case(id, now).is_ok_and(|c| c.usable(&c.engineer, now).is_ok() && there(&c.engineer))
    });
    Ok((grants, cases.map(|id| id.to_string()).collect()))
}
