//! How facts that were gathered under one rulebook would have read under another.
//!
//! Facts hold what a rulebook's data said at the time: the classes and lists of fields, a flow, a seat, a smallest
//! group. Another rulebook decides about its own. Where the recorded facts do not say what those would have been, it
//! says so, and guesses nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::facts::{Evidence, Facts, FlowFacts, Group, PrincipalKind};
use model::lanes::{Flow, Lane, Way};
use model::rulebook::Rulebook;
use model::{DataClass, Name, Tag};

/// What a group is told apart by.
type Signature = (DataClass, Vec<Name>);

/// Why facts cannot be put to another rulebook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Uncarried {
    /// Fields of one group are told apart, and the facts do not say which of them were asked for.
    Catalogue,
    /// The lane has other fields or limits.
    Lane,
    /// The flow goes somewhere else or is for something else.
    Flow,
}

impl Uncarried {
    /// Why, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Catalogue => {
                "the catalogue tells apart fields that were one group, and the facts name no field"
            }
            Self::Lane => "its lane carries other fields, or other limits",
            Self::Flow => "its flow goes to another workload or place, or is for another purpose",
        }
    }
}

/// Facts as another rulebook would have had them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// What to decide, outcomes left out. `None`: its data refuses before its policies are asked.
    pub facts: Option<Facts>,
    /// For each group of the original, its place among the groups of the new; `None` for fields that are not declared.
    pub places: Vec<Option<usize>>,
}

/// The way from the data of one rulebook to that of another.
#[derive(Debug)]
pub struct Bridge {
    from: Arc<Rulebook>,
    to: Arc<Rulebook>,
    /// Where the groups of a dataset went; empty if no field changed.
    groups: HashMap<(Name, Signature), Went>,
    same: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Went {
    To(Signature),
    Nowhere,
    Apart,
}

impl Bridge {
    /// Compares the data of two rulebooks.
    #[must_use]
    pub fn new(from: Arc<Rulebook>, to: Arc<Rulebook>) -> Self {
        let groups = groups(&from, &to);
        let same = from.digest == to.digest;
        Self { from, to, groups, same }
    }

    /// What differs between the two and stands in no facts, so that nobody sees its effect in a decision.
    #[must_use]
    pub fn unseen(&self) -> Vec<&'static str> {
        let (from, to) = (&self.from.programme, &self.to.programme);
        let all = [
            (from.networks != to.networks, "the networks that tell places: places are taken as they were"),
            (format!("{:?}", from.border) != format!("{:?}", to.border), "when the border is open"),
            (
                self.from.access != self.to.access,
                "who approves what: grants and cases are taken as they were",
            ),
        ];
        all.into_iter().filter_map(|(differs, what)| differs.then_some(what)).collect()
    }

    /// Puts facts into the terms of the other rulebook. `lane` is the declared lane that they came by, if any.
    ///
    /// # Errors
    /// [`Uncarried`] when the facts do not say how they would have read.
    pub fn carry(&self, facts: &Facts, lane: Option<&Name>) -> Result<Carried, Uncarried> {
        let mut new = facts.clone();
        new.groups.iter_mut().for_each(|group| group.outcome = None);
        if self.same {
            let places = (0..new.groups.len()).map(Some).collect();
            return Ok(Carried { facts: Some(new), places });
        }
        let nobody = || Ok(Carried { facts: None, places: vec![None; facts.groups.len()] });
        if matches!(facts.principal.kind, PrincipalKind::Employee | PrincipalKind::Service) {
            // Whose employer is not in the programme is not identified at all.
            let Some(seat) = self.to.programme.employers.get(&facts.principal.employer) else {
                return nobody();
            };
            new.principal.seat = *seat;
        }
        if facts.k != 0 {
            new.k = self.to.programme.k;
        }
        if let Some(lane) = lane.and_then(|name| self.from.lanes.lanes.get(name)) {
            let Some(now) = self.to.lanes.lanes.get(&lane.name) else { return nobody() };
            if !self.same_lane(lane, now) {
                return Err(Uncarried::Lane);
            }
            // A service that had no flow might have one now: which service it is stands in no facts.
            let flows = |book: &Rulebook| book.lanes.flows.iter().filter(|f| f.lane == lane.name).count();
            let service = facts.principal.kind == PrincipalKind::Service;
            if service && facts.evidence == Evidence::None && flows(&self.to) > flows(&self.from) {
                return Err(Uncarried::Flow);
            }
        }
        if let Evidence::Flow(flow) = &facts.evidence {
            match self.flow(flow)? {
                Some(evidence) => new.evidence = evidence,
                None => return nobody(),
            }
        }
        let (groups, places) = self.carry_groups(facts)?;
        new.groups = groups;
        Ok(Carried { facts: Some(new), places })
    }

    fn carry_groups(&self, facts: &Facts) -> Result<(Vec<Group>, Vec<Option<usize>>), Uncarried> {
        let (mut groups, mut places) = (Vec::with_capacity(facts.groups.len()), Vec::new());
        for group in &facts.groups {
            let signature = (group.class, group.lists.clone());
            let went = match self.groups.get(&(facts.dataset.clone(), signature.clone())) {
                // A group of no declared field: the facts do not fit their own rulebook.
                None => return Err(Uncarried::Catalogue),
                Some(Went::Apart) => return Err(Uncarried::Catalogue),
                Some(went) => went,
            };
            if let Went::To((class, lists)) = went {
                places.push(Some(groups.len()));
                groups.push(Group {
                    class: *class,
                    lists: lists.clone(),
                    fields: group.fields,
                    outcome: None,
                });
            } else {
                places.push(None);
            }
        }
        Ok((groups, places))
    }

    /// Whether facts by the one lane are facts by the other.
    fn same_lane(&self, from: &Lane, to: &Lane) -> bool {
        from.way == to.way
            && from.dataset == to.dataset
            && from.subject == to.subject
            && from.rows_max == to.rows_max
            && from.upstream == to.upstream
            && from.method == to.method
            && from.path == to.path
            && from.forms == to.forms
            && from.codings == to.codings
            && from.terms.treatments == to.terms.treatments
            && fields(&self.from, from) == fields(&self.to, to)
    }

    /// The evidence that the gateway would have found in place of a flow; `None` if it refuses without one.
    fn flow(&self, flow: &FlowFacts) -> Result<Option<Evidence>, Uncarried> {
        let named = |f: &&Flow| f.name == flow.name;
        let Some(old) = self.from.lanes.flows.iter().find(named) else { return Err(Uncarried::Flow) };
        let way = self.from.lanes.lanes.get(&old.lane).map(|l| l.way);
        let on_lane = |f: &&Flow| f.lane == old.lane && (way == Some(Way::Forward) || f.sink == old.sink);
        let Some(new) = self.to.lanes.flows.iter().find(on_lane) else {
            return Ok((way != Some(Way::Forward)).then_some(Evidence::None));
        };
        let forward = way == Some(Way::Forward);
        let elsewhere =
            new.sink != old.sink || new.destination != old.destination || new.source != old.source;
        if new.purpose != old.purpose || (forward && elsewhere) {
            return Err(Uncarried::Flow);
        }
        Ok(Some(Evidence::Flow(as_facts(new, flow.sink))))
    }
}

/// A flow as facts have it.
#[must_use]
pub fn as_facts(flow: &Flow, sink: Tag) -> FlowFacts {
    FlowFacts {
        name: flow.name.clone(),
        sink,
        fields: flow.fields.clone(),
        destination: flow.destination,
        basis: flow.basis,
        active: flow.active,
    }
}

/// The fields that a lane carries, each with where it lies.
fn fields<'b>(book: &'b Rulebook, lane: &'b Lane) -> BTreeSet<(&'b str, &'b str)> {
    let name = |index| book.catalogue.field(index).map(|field| field.name.as_str());
    lane.bind.iter().filter_map(|(pointer, index)| Some((pointer.as_str(), name(*index)?))).collect()
}

fn groups(from: &Rulebook, to: &Rulebook) -> HashMap<(Name, Signature), Went> {
    let mut all: HashMap<(Name, Signature), Went> = HashMap::new();
    for dataset in from.catalogue.datasets() {
        for index in dataset.collections.iter().flat_map(|c| &c.fields) {
            let Some(field) = from.catalogue.field(*index) else { continue };
            let new = to.catalogue.find(&field.name).and_then(|i| to.catalogue.field(i));
            let went = new.map_or(Went::Nowhere, |f| Went::To((f.class, f.lists.clone())));
            let key = (dataset.name.clone(), (field.class, field.lists.clone()));
            all.entry(key)
                .and_modify(|w| {
                    if *w != went {
                        *w = Went::Apart
                    }
                })
                .or_insert(went);
        }
    }
    all
}
