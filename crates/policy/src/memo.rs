//! Remembers decisions, so that facts which policies cannot tell apart are decided once.
//!
//! Tags are keyed pseudonyms: ids of entities, which Cedar compares for equality and membership and nothing else.
//! They are renamed in the order in which they first appear, one to one, so that whatever was equal stays equal;
//! unless a policy names such an entity, or a schema lists some, when they are taken as they are. Times are never
//! renamed. The number of a group's fields is no attribute of any entity.

use std::collections::HashMap;

use model::facts::{Approver, Evidence, Facts};
use model::{Tag, Treatment};

use crate::Engine;

type Outcomes = Option<Vec<Option<Treatment>>>;

/// Decisions of one engine, at most so many at a time.
pub struct Memo<'e> {
    engine: &'e Engine,
    renames: bool,
    max: usize,
    known: HashMap<Facts, Outcomes>,
    own: HashMap<Facts, Option<bool>>,
    made: u64,
}

impl std::fmt::Debug for Memo<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memo({} of {})", self.known.len() + self.own.len(), self.max)
    }
}

impl<'e> Memo<'e> {
    /// Remembers at most `max` decisions; when it is full it forgets all.
    #[must_use]
    pub fn new(engine: &'e Engine, max: usize) -> Self {
        let renames = engine.names_no_tag();
        Self { engine, renames, max, known: HashMap::new(), own: HashMap::new(), made: 0 }
    }

    /// Remembers nothing.
    #[must_use]
    pub fn none(engine: &'e Engine) -> Self {
        Self { engine, renames: false, max: 0, known: HashMap::new(), own: HashMap::new(), made: 0 }
    }

    /// Decisions that were really made.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.made
    }

    /// The outcome of each group; `None` when something cannot be evaluated.
    pub fn decide(&mut self, facts: Facts) -> Outcomes {
        let (engine, key) = (self.engine, self.key(facts));
        let decide = |facts: Facts| {
            let decision = engine.decide(facts);
            (!decision.errors).then(|| decision.facts.groups.iter().map(|g| g.outcome).collect())
        };
        remember(&mut self.known, self.max, &mut self.made, key, decide)
    }

    /// Whether a person may read what is theirs; `None` when that cannot be evaluated.
    pub fn self_access(&mut self, facts: Facts) -> Option<bool> {
        let (engine, key) = (self.engine, self.key(facts));
        remember(&mut self.own, self.max, &mut self.made, key, |facts| engine.own_reading(&facts))
    }

    /// Facts as policies can tell them apart.
    fn key(&self, mut facts: Facts) -> Facts {
        if self.renames {
            rename(&mut facts);
            facts.groups.iter_mut().for_each(|group| group.fields = 1);
        }
        facts.groups.iter_mut().for_each(|group| group.outcome = None);
        facts
    }
}

fn remember<T: Clone>(
    known: &mut HashMap<Facts, T>,
    max: usize,
    made: &mut u64,
    key: Facts,
    decide: impl FnOnce(Facts) -> T,
) -> T {
    if let Some(answer) = known.get(&key) {
        return answer.clone();
    }
    *made += 1;
    if max == 0 {
        return decide(key);
    }
    let answer = decide(key.clone());
    if known.len() >= max {
        known.clear();
    }
    known.insert(key, answer.clone());
    answer
}

/// Gives each tag its number in the order of first appearance.
fn rename(facts: &mut Facts) {
    let mut seen: Vec<Tag> = Vec::with_capacity(8);
    let mut name = |tag: &mut Tag| {
        let place = seen.iter().position(|known| known == tag).unwrap_or_else(|| {
            seen.push(*tag);
            seen.len() - 1
        });
        let mut bytes = [0; 16];
        if let (Some(last), Ok(place)) = (bytes.last_mut(), u8::try_from(place)) {
            *last = place;
        }
        *tag = Tag::new(bytes);
    };
    name(&mut facts.principal.tag);
    facts.subject.iter_mut().for_each(&mut name);
    let approver = |a: &mut Approver, name: &mut dyn FnMut(&mut Tag)| name(&mut a.tag);
    match &mut facts.evidence {
        Evidence::None => {}
        Evidence::Grant(g) => {
            name(&mut g.id);
            name(&mut g.holder);
            approver(&mut g.approver, &mut name);
            g.second.iter_mut().for_each(|a| approver(a, &mut name));
            g.incident.iter_mut().for_each(&mut name);
            g.subject.iter_mut().for_each(&mut name);
        }
        Evidence::Case(c) => {
            name(&mut c.id);
            name(&mut c.engineer);
            approver(&mut c.approver, &mut name);
            name(&mut c.subject);
        }
        Evidence::Flow(f) => name(&mut f.sink),
    }
}
