//! What a suspension of a country would stop: flows, employers, grants and cases, and what crossed lately.
//!
//! Nobody is named: grants and cases by their ids, crossings by lane and purpose.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result};
use ledger::entry::short_name;
use ledger::{Entry, EntryKind};
use model::rulebook::Rulebook;
use model::{ActorId, Country, Name, Tag, UnixSeconds};
use serde::{Deserialize, Serialize};
use vault::log::Beside;
use vault::{Control, KeyService};

use crate::config::Config;
use crate::layout::Layout;
use crate::{assemble, control, keys, office};

/// The gateway's own ways, which no rulebook declares.
const OWN_WAYS: [&str; 5] = ["read", "count", "own", "sql", "unknown"];
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
        let code = country.to_string();
        let there = |held: &InForce| {
            held.seat.as_ref() == Some(&code)
                || seen.places.get(&held.actor).is_some_and(|(_, c)| *c == country)
        };
        let (cases, grants): (Vec<_>, Vec<_>) =
            evidence(layout, &book, now)?.into_iter().filter(there).partition(|held| held.case);
        let ids = |all: Vec<InForce>| all.into_iter().map(|held| held.id).collect::<Vec<_>>();
        let (grants, cases) = (ids(grants), ids(cases));
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
    places: HashMap<String, (UnixSeconds, Country)>,
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
        let log = Beside::open(&layout.log("log"), &assemble::verifier(layout, "log")?)?;
        for leaf in log.entries(log.first_at(since)?..log.size()) {
            let entry = Entry::decode(&leaf?)?;
            if entry.draft.time >= since {
                seen.take(&entry, country);
            }
        }
        Ok(seen)
    }

    fn take(&mut self, entry: &Entry, country: Country) {
        let draft = &entry.draft;
        if !matches!(draft.kind, EntryKind::Answer | EntryKind::Open | EntryKind::Refusal) {
            return;
        }
        let last = self.places.entry(draft.actor.to_string()).or_insert((draft.time, draft.place));
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

/// A grant or case in force, without anybody's name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InForce {
    id: String,
    case: bool,
    /// Where its holder's employer is seated; of somebody who is not on record any more, nowhere.
    seat: Option<String>,
    /// The tag of its holder.
    actor: String,
}

/// What is in force now.
#[must_use]
pub fn in_force(control: &Control, keys: &KeyService, book: &Rulebook, now: UnixSeconds) -> Vec<InForce> {
    let of = |id: &Name, case: bool, holder: &ActorId| {
        let record = control.actor(holder, now).ok();
        let seat = record.and_then(|r| book.programme.employers.get(&r.employer).map(ToString::to_string));
        InForce { id: id.to_string(), case, seat, actor: keys.actor_tag(holder).to_string() }
    };
    let one = |id: &Name| match control.grant(id, now) {
        Ok(grant) => Some(of(id, false, &grant.holder)),
        Err(_) => control.case(id, now).ok().map(|case| of(id, true, &case.engineer)),
    };
    control.requests().iter().filter_map(|request| one(&request.id)).collect()
}

/// What is in force, as the running enclave says; of one that does not run, as its control store does.
fn evidence(layout: &Layout, book: &Rulebook, now: UnixSeconds) -> Result<Vec<InForce>> {
    let config = Config::load(&layout.config())?;
    match control::ask(config.control, "/evidence") {
        Ok(text) => serde_json::from_str(&text).context("the answer is no list of what is in force"),
        Err(_) => {
            let keys = keys::open(layout, &config, &book.programme.name)?;
            let control = office::control(
                layout,
                &config.control_store,
                assemble::verifier(layout, "operator")?,
                &keys,
            )?;
            Ok(in_force(&control, &keys, book, now))
        }
    }
}
