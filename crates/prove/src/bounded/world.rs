//! The small world: people and workloads in every place that either rulebook speaks of, with every kind of ground, one
//! thing at a time not as it should be.

use std::collections::BTreeSet;

use model::facts::{Approver, CaseFacts, Evidence, Facts, GrantFacts, Group, Principal, PrincipalKind};
use model::procedures::Amount;
use model::rulebook::Rulebook;
use model::{CaseKind, Country, DataClass, Name, Purpose, Tag, Treatment, UnixSeconds};
use policy::Engine;
use policy::bridge::as_facts;

/// 2026-11-22T10:00:00Z; nothing depends on the day.
const NOW: UnixSeconds = UnixSeconds(1_795_341_600);
const ME: Tag = Tag::new([1; 16]);
const OTHER: Tag = Tag::new([2; 16]);
const PERSON: Tag = Tag::new([3; 16]);
const APPROVER: Tag = Tag::new([7; 16]);
const SECOND: Tag = Tag::new([8; 16]);
const HOUR: u64 = 3_600;
/// Countries of the region that differ between the rulebooks and are looked at one by one.
const PLACES_MAX: usize = 40;

type Signature = (DataClass, Vec<Name>);

/// Fields that neither rulebook tells apart: how each has them, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fields {
    old: Option<Signature>,
    new: Option<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Ground {
    None,
    Grant,
    Glass,
    Case(CaseKind, Name),
    Flow(Name),
}

/// What is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum But {
    Nothing,
    Untrained,
    Unmanaged,
    OneFactor,
    Bulk,
    TwoPeople,
    SmallGroup,
    OtherPurpose,
    Late,
    Someone,
    OwnApproval,
}

const BUTS: [But; 11] = [
    But::Nothing,
    But::Untrained,
    But::Unmanaged,
    But::OneFactor,
    But::Bulk,
    But::TwoPeople,
    But::SmallGroup,
    But::OtherPurpose,
    But::Late,
    But::Someone,
    But::OwnApproval,
];

impl But {
    fn words(self) -> &'static str {
        match self {
            Self::Nothing => "everything else is in order",
            Self::Untrained => "not trained, or not attested",
            Self::Unmanaged => "on a device that is neither managed nor attested",
            Self::OneFactor => "signed in with one factor",
            Self::Bulk => "10 001 rows",
            Self::TwoPeople => "rows of two people",
            Self::SmallGroup => "groups of 49 people",
            Self::OtherPurpose => "for another purpose than the ground's",
            Self::Late => "31 days after the ground was given",
            Self::Someone => "on somebody else's ground",
            Self::OwnApproval => "on a ground that its holder approved",
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Ask {
    kind: PrincipalKind,
    place: Country,
    ground: Ground,
    but: But,
    dataset: usize,
}

pub(super) struct World {
    places: Vec<Country>,
    inside: Country,
    name: Name,
    employers: Vec<Name>,
    datasets: Vec<(Name, Vec<Fields>)>,
    lists: Vec<Name>,
    flows: Vec<Name>,
}

/// One rulebook and its engine.
pub(super) struct Side<'b> {
    book: &'b Rulebook,
    engine: Engine,
    old: bool,
}

#[derive(Default)]
pub(super) struct Decided {
    /// For each of the fields.
    pub(super) allowed: Vec<bool>,
    pub(super) policies: Vec<String>,
    pub(super) errors: bool,
}

impl World {
    pub(super) fn of(old: &Rulebook, new: &Rulebook) -> Self {
        let both = |country: &&Country| new.programme.in_region(**country);
        let inside = old.programme.countries.keys().find(both).copied().unwrap_or(Country::UNKNOWN);
        let lists = |book: &Rulebook| {
            book.catalogue.fields().iter().flat_map(|f| f.lists.clone()).collect::<BTreeSet<_>>()
        };
        let flows =
            |book: &Rulebook| book.lanes.flows.iter().map(|f| f.name.clone()).collect::<BTreeSet<_>>();
        Self {
            places: places(old, new, inside),
            inside,
            name: old.programme.name.clone(),
            employers: old.programme.employers.keys().cloned().collect(),
            datasets: datasets(old, new),
            lists: lists(old).union(&lists(new)).cloned().collect(),
            flows: flows(old).union(&flows(new)).cloned().collect(),
        }
    }

    /// Everything in order first, so that what is stopped early has seen that.
    pub(super) fn asks(&self) -> impl Iterator<Item = Ask> {
        let grounds = |kind| match kind {
            PrincipalKind::Service => {
                let flows = self.flows.iter().cloned().map(Ground::Flow);
                std::iter::once(Ground::None).chain(flows).collect::<Vec<_>>()
            }
            _ => {
                let cases = CaseKind::ALL
                    .iter()
                    .take(1)
                    .flat_map(|kind| self.lists.iter().map(|list| Ground::Case(*kind, list.clone())));
                [Ground::None, Ground::Grant, Ground::Glass].into_iter().chain(cases).collect()
            }
        };
        BUTS.into_iter().flat_map(move |but| {
            [PrincipalKind::Employee, PrincipalKind::Service].into_iter().flat_map(move |kind| {
                grounds(kind).into_iter().flat_map(move |ground| {
                    self.places.iter().flat_map(move |place| {
                        let ground = ground.clone();
                        let ask =
                            move |dataset| Ask { kind, place: *place, ground: ground.clone(), but, dataset };
                        (0..self.datasets.len()).map(ask)
                    })
                })
            })
        })
    }

    pub(super) fn fields(&self, ask: &Ask) -> &[Fields] {
        self.datasets.get(ask.dataset).map_or(&[], |(_, fields)| fields)
    }

    pub(super) fn words(&self, ask: &Ask, fields: &Fields, treatment: Treatment) -> Vec<String> {
        let dataset = self.datasets.get(ask.dataset).map_or("", |(name, _)| name.as_str());
        let signature = |s: &Option<Signature>| match s {
            None => "not declared".to_owned(),
            Some((class, lists)) if lists.is_empty() => class.to_string(),
            Some((class, lists)) => {
                format!("{class} on {}", lists.iter().map(Name::as_str).collect::<Vec<_>>().join(", "))
            }
        };
        let (old, new) = (signature(&fields.old), signature(&fields.new));
        let class = if old == new { new } else { format!("{old}, then {new}") };
        let who = if ask.kind == PrincipalKind::Employee { "employee" } else { "workload" };
        let ground = match &ask.ground {
            Ground::None => "no ground".to_owned(),
            Ground::Grant => "a grant".to_owned(),
            Ground::Glass => "a break-glass grant".to_owned(),
            Ground::Case(kind, list) => format!("a case ({kind}) with the fields {list}"),
            Ground::Flow(name) => format!("the flow {name}"),
        };
        vec![
            format!("{who} in {}, with {ground}; {}", ask.place, ask.but.words()),
            format!("fields of {dataset}: {class}; released {treatment}"),
        ]
    }

    fn facts(&self, side: &Side<'_>, ask: &Ask, treatment: Treatment) -> Option<Facts> {
        let (dataset, _) = self.datasets.get(ask.dataset)?;
        let mine = if ask.but == But::Someone { OTHER } else { ME };
        let approver = self.approver(if ask.but == But::OwnApproval { mine } else { APPROVER }, 0);
        let purpose = match &ask.ground {
            Ground::Glass => Purpose::Incident,
            Ground::Flow(name) => side.book.lanes.flows.iter().find(|f| f.name == *name)?.purpose,
            _ => Purpose::Support,
        };
        let evidence = match &ask.ground {
            Ground::None => Evidence::None,
            Ground::Grant => Evidence::Grant(grant(mine, approver, dataset, purpose)),
            Ground::Glass => Evidence::Grant(GrantFacts {
                second: Some(self.approver(SECOND, 1)),
                incident: Some(Tag::new([9; 16])),
                ..grant(mine, approver, dataset, purpose)
            }),
            Ground::Case(kind, fields) => Evidence::Case(case(mine, approver, *kind, fields)),
            Ground::Flow(name) => {
                Evidence::Flow(as_facts(side.book.lanes.flows.iter().find(|f| f.name == *name)?, mine))
            }
        };
        let other = if purpose == Purpose::Research { Purpose::Fraud } else { Purpose::Research };
        let counts = treatment == Treatment::Aggregate;
        Some(Facts {
            principal: self.principal(side, ask),
            now: if ask.but == But::Late { NOW.plus(31 * 24 * HOUR) } else { NOW.plus(60) },
            purpose: if ask.but == But::OtherPurpose { other } else { purpose },
            dataset: dataset.clone(),
            rows: if ask.but == But::Bulk { 10_001 } else { 10 },
            subjects: if ask.but == But::TwoPeople { 2 } else { 1 },
            subject: Some(PERSON),
            k: match (counts, ask.but) {
                (false, _) => 0,
                (true, But::SmallGroup) => 49,
                (true, _) => side.book.programme.k,
            },
            evidence,
            ladder: vec![treatment],
            groups: Vec::new(),
        })
    }

    fn principal(&self, side: &Side<'_>, ask: &Ask) -> Principal {
        let employer = self.approver(ME, 0).employer;
        let seat = side.book.programme.employers.get(&employer).copied().unwrap_or(Country::UNKNOWN);
        Principal {
            kind: ask.kind,
            tag: ME,
            country: ask.place,
            employer,
            seat,
            qualified: ask.but != But::Untrained,
            teams: Vec::new(),
            device_managed: ask.but != But::Unmanaged,
            device_attested: ask.but != But::Unmanaged,
            strong: ask.but != But::OneFactor,
        }
    }

    fn approver(&self, tag: Tag, employer: usize) -> Approver {
        let employer = self.employers.get(employer).or(self.employers.first()).unwrap_or(&self.name);
        Approver { tag, country: self.inside, employer: employer.clone() }
    }
}

impl<'b> Side<'b> {
    pub(super) fn new(book: &'b Rulebook, engine: Engine, old: bool) -> Self {
        Self { book, engine, old }
    }

    /// What it gives of each kind of field in one form. What it does not know is refused.
    pub(super) fn decide(&self, world: &World, ask: &Ask, treatment: Treatment) -> Decided {
        let fields = world.fields(ask);
        let refused = || Decided { allowed: vec![false; fields.len()], ..Decided::default() };
        let known = self.book.programme.employers.contains_key(&world.approver(ME, 0).employer);
        let Some(facts) = world.facts(self, ask, treatment).filter(|_| known) else { return refused() };
        let own = |f: &Fields| if self.old { f.old.clone() } else { f.new.clone() };
        let signatures: Vec<_> = fields.iter().map(own).collect();
        let group = |(class, lists): (DataClass, Vec<Name>)| Group { class, lists, fields: 1, outcome: None };
        let groups: Vec<Group> = signatures.iter().flatten().cloned().map(group).collect();
        let decision = self.engine.decide(Facts { groups, ..facts });
        let mut outcomes = decision.facts.groups.iter().map(|g| g.outcome.is_some());
        let allowed = signatures.iter().map(|s| s.is_some() && outcomes.next() == Some(true)).collect();
        Decided { allowed, policies: decision.policies, errors: decision.errors }
    }
}

fn grant(holder: Tag, approver: Approver, dataset: &Name, purpose: Purpose) -> GrantFacts {
    GrantFacts {
        id: Tag::new([4; 16]),
        holder,
        approver,
        second: None,
        incident: None,
        amount: AMOUNT,
        purpose,
        dataset: dataset.clone(),
        fields: None,
        subject: None,
        not_before: NOW,
        not_after: NOW.plus(8 * HOUR),
    }
}

const AMOUNT: Amount = Amount { rows: 1 << 20, bytes: 1 << 40, subjects: 1 << 20 };

fn case(engineer: Tag, approver: Approver, kind: CaseKind, fields: &Name) -> CaseFacts {
    CaseFacts {
        id: Tag::new([5; 16]),
        engineer,
        approver,
        amount: AMOUNT,
        kind,
        subject: PERSON,
        fields: fields.clone(),
        approved_at: NOW,
        open: true,
    }
}

/// Every place that is named outside, one inside, those inside that differ, one that nobody names, and the unknown.
fn places(old: &Rulebook, new: &Rulebook, inside: Country) -> Vec<Country> {
    let mut all = BTreeSet::from([inside, Country::UNKNOWN]);
    let named = |book: &Rulebook| {
        let programme = &book.programme;
        programme.destinations.iter().chain(&programme.heightened).copied().collect::<Vec<_>>()
    };
    all.extend([named(old), named(new)].concat());
    let differs = |c: &&Country| old.programme.in_region(**c) != new.programme.in_region(**c);
    let both = old.programme.countries.keys().chain(new.programme.countries.keys());
    all.extend(both.filter(differs).take(PLACES_MAX).copied());
    let nowhere = ["AQ", "BV", "HM"].into_iter().filter_map(|code| Country::parse(code).ok());
    all.extend(nowhere.take(1));
    all.into_iter().collect()
}

/// The kinds of field of each dataset of either rulebook.
fn datasets(old: &Rulebook, new: &Rulebook) -> Vec<(Name, Vec<Fields>)> {
    let names = |book: &Rulebook| {
        let of = |d: &model::catalogue::Dataset| {
            let fields = d.collections.iter().flat_map(|c| &c.fields);
            let named = fields.filter_map(|i| Some(book.catalogue.field(*i)?.name.clone()));
            (d.name.clone(), named.collect::<BTreeSet<String>>())
        };
        book.catalogue.datasets().iter().map(of).collect::<std::collections::BTreeMap<_, _>>()
    };
    let mut all = names(old);
    for (dataset, fields) in names(new) {
        all.entry(dataset).or_default().extend(fields);
    }
    let signature = |book: &Rulebook, name: &str| {
        let field = book.catalogue.find(name).and_then(|i| book.catalogue.field(i))?;
        Some((field.class, field.lists.clone()))
    };
    let kinds = |fields: BTreeSet<String>| -> Vec<Fields> {
        let of = |name: &String| Fields { old: signature(old, name), new: signature(new, name) };
        fields.iter().map(of).collect::<BTreeSet<_>>().into_iter().collect()
    };
    all.into_iter().map(|(dataset, fields)| (dataset, kinds(fields))).collect()
}
