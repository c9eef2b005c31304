//! What a candidate says otherwise than another rulebook, piece by piece: policies by id with their text, fields,
//! countries, flows, procedures. It judges no policy: whether more is permitted is for a proof to say.

use std::collections::BTreeMap;

use model::Country;
use model::procedures::Procedure;
use model::programme::Programme;
use model::rulebook::Rulebook;

use crate::Texts;

/// What kind of thing differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A policy.
    Policy,
    /// A property.
    Property,
    /// A field of the catalogue: its class and lists.
    Field,
    /// A country, by what the programme says of it.
    Country,
    /// Something else of the programme.
    Programme,
    /// A lane.
    Lane,
    /// A registered flow.
    Flow,
    /// A procedure of approval.
    Procedure,
    /// A set of people who approve.
    Set,
    /// The assessment of a destination, or a decision of adequacy.
    Assessment,
    /// A purpose for which anything can be asked for or flows.
    Purpose,
    /// The Cedar schema.
    Schema,
}

impl Part {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Property => "property",
            Self::Field => "field",
            Self::Country => "country",
            Self::Programme => "programme",
            Self::Lane => "lane",
            Self::Flow => "flow",
            Self::Procedure => "procedure",
            Self::Set => "set",
            Self::Assessment => "assessment",
            Self::Purpose => "purpose",
            Self::Schema => "schema",
        }
    }
}

/// One thing that differs. What is only in one of the two has no text in the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What kind of thing.
    pub part: Part,
    /// Its name.
    pub name: String,
    /// How it is in force.
    pub before: Option<String>,
    /// How it is proposed.
    pub after: Option<String>,
}

impl Difference {
    /// `added`, `removed` or `changed`.
    #[must_use]
    pub fn how(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        }
    }
}

type Named = BTreeMap<String, String>;

/// Everything that differs between the rulebook in force and a candidate, whose Cedar texts these are.
#[must_use]
pub fn diff(active: (&Rulebook, &Texts), candidate: (&Rulebook, &Texts)) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut add = |part, before: Named, after: Named| compare(part, &before, after, &mut all);
    let ((old, old_texts), (new, new_texts)) = (active, candidate);
    add(Part::Policy, policies(old_texts), policies(new_texts));
    add(Part::Property, properties(old_texts), properties(new_texts));
    add(Part::Schema, schema(old), schema(new));
    add(Part::Field, fields(old), fields(new));
    add(Part::Country, countries(&old.programme), countries(&new.programme));
    add(Part::Programme, programme(&old.programme), programme(&new.programme));
    add(Part::Assessment, assessments(old), assessments(new));
    add(Part::Lane, lanes(old), lanes(new));
    add(Part::Flow, flows(old), flows(new));
    add(Part::Purpose, purposes(old), purposes(new));
    add(Part::Procedure, procedures(old), procedures(new));
    add(Part::Set, sets(old), sets(new));
    all
}

fn compare(part: Part, before: &Named, mut after: Named, all: &mut Vec<Difference>) {
    for (name, text) in before {
        let now = after.remove(name);
        if now.as_ref() != Some(text) {
            all.push(Difference { part, name: name.clone(), before: Some(text.clone()), after: now });
        }
    }
    all.extend(after.into_iter().map(|(name, text)| Difference {
        part,
        name,
        before: None,
        after: Some(text),
    }));
}

fn policies(texts: &Texts) -> Named {
    texts.policies.iter().map(|p| (p.id().to_string(), p.to_string())).collect()
}

fn properties(texts: &Texts) -> Named {
    texts.properties.iter().map(|p| (p.id.clone(), p.policy.to_string())).collect()
}

fn schema(book: &Rulebook) -> Named {
    // Comments and the breaking of lines apart; which of its parts differs is seen in the files.
    let lines = book.schema.lines().map(|line| line.split("//").next().unwrap_or_default());
    let words: Vec<_> = lines.flat_map(str::split_whitespace).collect();
    [("clover.cedarschema".to_owned(), words.join(" "))].into()
}

fn fields(book: &Rulebook) -> Named {
    let told = |field: &model::catalogue::Field| {
        let lists: Vec<_> = field.lists.iter().map(ToString::to_string).collect();
        let on = if lists.is_empty() { String::new() } else { format!(", on {}", lists.join(", ")) };
        format!("{}{on}", field.class)
    };
    book.catalogue.fields().iter().map(|field| (field.name.clone(), told(field))).collect()
}

fn countries(programme: &Programme) -> Named {
    let mut all: BTreeMap<Country, Vec<&str>> = BTreeMap::new();
    for country in programme.countries.keys() {
        all.entry(*country).or_default().push("in the region");
    }
    for country in &programme.destinations {
        all.entry(*country).or_default().push("a destination");
    }
    for country in &programme.heightened {
        all.entry(*country).or_default().push("of heightened risk");
    }
    all.into_iter().map(|(country, told)| (country.to_string(), told.join(", "))).collect()
}

fn programme(programme: &Programme) -> Named {
    let sites: Vec<_> =
        programme.sites.iter().map(|s| format!("{} in {} ({:?})", s.name, s.country, s.role)).collect();
    let networks: Vec<_> = programme.networks.iter().map(|(net, c)| format!("{net} in {c}")).collect();
    let employers: Vec<_> = programme.employers.iter().map(|(name, c)| format!("{name} in {c}")).collect();
    let named = [
        ("name", programme.name.to_string()),
        ("region", programme.region.to_string()),
        ("aggregate_k", programme.k.to_string()),
        ("sites", sites.join(", ")),
        ("networks", networks.join(", ")),
        ("employers", employers.join(", ")),
        ("border", format!("{:?}", programme.border)),
        ("epochs", format!("{:?}", programme.epochs)),
    ];
    named.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()
}

fn assessments(book: &Rulebook) -> Named {
    book.assessments.told().into_iter().collect()
}

fn lanes(book: &Rulebook) -> Named {
    let told = |lane: &model::lanes::Lane| {
        let field = |index| book.catalogue.field(index).map_or("", |f| f.name.as_str());
        let binds: Vec<_> =
            lane.bind.iter().map(|(pointer, index)| format!("{pointer} = {}", field(*index))).collect();
        format!(
            "{:?} {} {} {}, {:?} in {:?}, of {:?}, at most {} rows and {} bytes, findings {:?}, {:?}; {}",
            lane.way,
            lane.upstream,
            lane.method,
            lane.path,
            lane.forms,
            lane.codings,
            lane.subject,
            lane.rows_max,
            lane.body_bytes_max,
            lane.findings,
            lane.terms,
            binds.join(", ")
        )
    };
    let counts = book.lanes.counts.iter();
    let counts = counts.map(|(dataset, privacy)| (format!("count of {dataset}"), format!("{privacy:?}")));
    book.lanes.lanes.values().map(|lane| (lane.name.to_string(), told(lane))).chain(counts).collect()
}

fn flows(book: &Rulebook) -> Named {
    let told = |flow: &model::lanes::Flow| {
        let source = flow.source.as_ref().map_or(String::new(), |s| format!(" from {}", s.as_str()));
        let runs = if flow.active { "" } else { ", stopped" };
        format!(
            "on {}{source} to {} in {}: {}, for {}, by {}{runs}",
            flow.lane,
            flow.sink.as_str(),
            flow.destination,
            flow.fields,
            flow.purpose,
            flow.basis
        )
    };
    book.lanes.flows.iter().map(|flow| (flow.name.to_string(), told(flow))).collect()
}

fn purposes(book: &Rulebook) -> Named {
    let asked = book.access.procedures.iter().flat_map(|p| &p.purposes);
    let flowing = book.lanes.flows.iter().map(|flow| &flow.purpose);
    asked.chain(flowing).map(|purpose| (purpose.to_string(), "in use".to_owned())).collect()
}

fn procedures(book: &Rulebook) -> Named {
    // The first that fits decides, so that its place counts.
    let told = |(place, p): (usize, &Procedure)| (p.name.to_string(), format!("number {}: {p:?}", place + 1));
    book.access.procedures.iter().enumerate().map(told).collect()
}

fn sets(book: &Rulebook) -> Named {
    let told = |set: &model::procedures::Set| {
        let teams = set.teams.iter().map(|team| format!("team {team}"));
        let people = set.members.iter().map(|id| id.as_str().to_owned());
        teams.chain(people).collect::<Vec<_>>().join(", ")
    };
    book.access.sets.iter().map(|(name, set)| (name.to_string(), told(set))).collect()
}
