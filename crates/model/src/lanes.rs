//! Lanes and flows: which pointers of which service carry which catalogue fields, and on what ground.
//!
//! They are part of the rulebook, because a wrong binding is as bad as a wrong policy. Where a service
//! listens is local configuration and stands elsewhere.

use std::collections::BTreeMap;

use crate::catalogue::{Catalogue, FieldIndex};
use crate::codes::{Basis, Purpose};
use crate::counts::{self, Privacy};
use crate::id::{ActorId, Country, Name};
use crate::inside::{self, Inside};
use crate::problem::Problems;
use crate::tables::{self, Table};

mod carries;
mod terms;

pub use carries::{Coding, Form};
use carries::{Forms, flat};
pub use terms::{Coarse, FreeText, Reversible, Risk, Role, Terms};

/// Which side calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Outside calls in; the answer carries data out.
    Reverse,
    /// A service inside calls out; the request carries data out.
    Forward,
}

/// What becomes of a payload in which personal data is found where none is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Findings {
    /// What was found is masked, and the rest crosses.
    #[default]
    Mask,
    /// Nothing crosses.
    Refuse,
}

/// How the people in a body are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectFrom {
    /// The request's `clover-subject` header names the one person.
    Header,
    /// A pointer in the body names them, one a row.
    Pointer(String),
    /// The body is about no single person.
    None,
}

/// One lane.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Its name, also the first part of its path at the gateway.
    pub name: Name,
    /// Who calls.
    pub way: Way,
    /// The service behind (reverse) or the destination (forward), named in local configuration.
    pub upstream: Name,
    /// The only method.
    pub method: String,
    /// The only path, exact.
    pub path: String,
    /// The dataset of its fields.
    pub dataset: Name,
    /// How bodies may be written; at least one way.
    pub forms: Vec<Form>,
    /// With what they may be compressed.
    pub codings: Vec<Coding>,
    /// How people are known.
    pub subject: SubjectFrom,
    /// Pointers and the fields they carry.
    pub bind: Vec<(String, FieldIndex)>,
    /// Largest body, in bytes.
    pub body_bytes_max: u32,
    /// Most rows.
    pub rows_max: u32,
    /// What becomes of it when personal data is found where none is declared.
    pub findings: Findings,
    /// What it says of its fields.
    pub terms: Terms,
}

/// A registered movement between two services.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Its name.
    pub name: Name,
    /// The lane it runs on.
    pub lane: Name,
    /// The sending workload, for forward lanes.
    pub source: Option<ActorId>,
    /// The receiving workload.
    pub sink: ActorId,
    /// The list of fields that it may carry.
    pub fields: Name,
    /// Where they go.
    pub destination: Country,
    /// On which ground.
    pub basis: Basis,
    /// For what.
    pub purpose: Purpose,
    /// Whether it runs.
    pub active: bool,
}

/// All lanes and flows.
#[derive(Debug, Clone, Default)]
pub struct Lanes {
    /// Lanes by name.
    pub lanes: BTreeMap<Name, Lane>,
    /// Flows.
    pub flows: Vec<Flow>,
    /// What services inside do with records, by name.
    pub inside: BTreeMap<Name, Inside>,
    /// How counts of datasets leave, of those of which anything is said.
    pub counts: BTreeMap<Name, Privacy>,
    /// Tables of services, by what clients of the SQL gateway call them.
    pub tables: BTreeMap<String, Table>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    lane: Vec<RawLane>,
    #[serde(default)]
    flow: Vec<RawFlow>,
    #[serde(default)]
    inside: Vec<inside::Raw>,
    #[serde(default)]
    count: Vec<counts::Raw>,
    #[serde(default)]
    table: Vec<tables::Raw>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLane {
    name: String,
    way: Way,
    upstream: String,
    method: String,
    path: String,
    dataset: String,
    #[serde(default)]
    form: Forms,
    #[serde(default = "carries::gzip")]
    codings: Vec<Coding>,
    subject: String,
    body_bytes_max: u32,
    rows_max: u32,
    #[serde(default)]
    findings: Findings,
    treatments: Option<Vec<String>>,
    #[serde(default)]
    generalise: BTreeMap<String, String>,
    #[serde(default)]
    reversible: BTreeMap<String, String>,
    free_text: Option<FreeText>,
    risk: Option<terms::RawRisk>,
    bind: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFlow {
    name: String,
    lane: String,
    source: Option<String>,
    sink: String,
    fields: String,
    destination: String,
    basis: String,
    purpose: String,
    active: bool,
}

impl Lanes {
    /// Reads `lanes.toml` against its catalogue.
    ///
    /// # Errors
    /// Every problem of the file at once.
    pub fn parse(text: &str, catalogue: &Catalogue) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let raw: Raw = match toml::from_str(text) {
            Ok(raw) => raw,
            Err(e) => {
                problems.add("lanes.toml", e.to_string().replace('\n', " "), "see docs/formats/rulebook.md");
                return Err(problems);
            }
        };
        let mut lanes = Self::default();
        for l in raw.lane {
            let place = format!("lanes.toml: lane `{}`", l.name);
            if let Some(lane) = lane(&place, l, catalogue, &mut problems)
                && lanes.lanes.insert(lane.name.clone(), lane).is_some()
            {
                problems.add(&place, "declared twice", "remove one");
            }
        }
        for f in raw.flow {
            let place = format!("lanes.toml: flow `{}`", f.name);
            if let Some(flow) = flow(&place, &f, catalogue, &mut problems) {
                if lanes.flows.iter().any(|other| other.name == flow.name) {
                    problems.add(
                        &place,
                        "declared twice",
                        "rename one: pseudonyms are made for a flow's name",
                    );
                }
                match lanes.lanes.get(&flow.lane) {
                    None => {
                        problems.add(&place, format!("lane `{}` does not exist", flow.lane), "declare it")
                    }
                    Some(l) if l.way == Way::Forward && flow.source.is_none() => {
                        problems.add(&place, "a forward flow without a `source`", "name the sending service");
                    }
                    Some(l) if l.way == Way::Forward && flow.sink.as_str() != l.upstream.as_str() => {
                        problems.add(
                            &place,
                            "the sink is not the lane's upstream",
                            "they are one and the same service",
                        );
                    }
                    Some(_) => {}
                }
                lanes.flows.push(flow);
            }
        }
        for raw in raw.inside {
            if let Some(inside) = inside::parse(raw, catalogue, &mut problems) {
                let taken = lanes.lanes.contains_key(&inside.name)
                    || lanes.flows.iter().any(|f| f.name == inside.name);
                let place = format!("lanes.toml: inside `{}`", inside.name);
                if lanes.inside.insert(inside.name.clone(), inside).is_some() || taken {
                    problems.add(place, "the name is taken", "choose another name");
                }
            }
        }
        lanes.counts = counts::all(&raw.count, catalogue, &mut problems);
        lanes.tables = tables::all(raw.table, catalogue, &mut problems);
        for l in lanes.lanes.values().filter(|l| l.way == Way::Forward) {
            if lanes.flows.iter().filter(|f| f.lane == l.name).count() != 1 {
                let place = format!("lanes.toml: lane `{}`", l.name);
                problems.add(place, "a forward lane needs just one flow", "declare it, or split the lane");
            }
        }
        problems.or(lanes)
    }

    /// How counts of a dataset leave.
    #[must_use]
    pub fn counting(&self, dataset: &Name) -> Privacy {
        self.counts.get(dataset).copied().unwrap_or_default()
    }
}

/// The gateway's own ways; a lane of that name would be taken for one.
const RESERVED: [&str; 6] = ["read", "count", "own", "sql", "unknown", "records"];
/// Most rows of a lane, so that the tags and sections of all its people fit into one entry.
const ROWS_MAX: u32 = 10_000;
/// Largest body of a lane, in bytes: bodies are held in memory.
const BODY_MAX: u32 = 64 << 20;

fn lane(place: &str, raw: RawLane, catalogue: &Catalogue, p: &mut Problems) -> Option<Lane> {
    let rename = "choose another name";
    let name = p.keep(place, rename, Name::parse(&raw.name));
    let upstream = p.keep(place, rename, Name::parse(&raw.upstream));
    let dataset = p.keep(place, rename, Name::parse(&raw.dataset));
    let subject = match raw.subject.as_str() {
        "header" => SubjectFrom::Header,
        "none" => SubjectFrom::None,
        pointer if pointer.starts_with('/') => SubjectFrom::Pointer(raw.subject),
        _ => {
            p.add(place, "`subject` is not known", "use header, none or a JSON pointer");
            SubjectFrom::None
        }
    };
    if RESERVED.contains(&raw.name.as_str()) {
        p.add(place, "the name is one of the gateway's own", rename);
    }
    if catalogue.dataset(&raw.dataset).is_none() {
        p.add(place, format!("dataset `{}` is not declared", raw.dataset), "declare it in catalogue.toml");
    }
    if raw.rows_max > ROWS_MAX || raw.body_bytes_max > BODY_MAX {
        p.add(place, "over 10000 rows or 64 MiB", "lower `rows_max` or `body_bytes_max`");
    }
    let mut bind = Vec::new();
    for (pointer, field) in raw.bind {
        let ours = field.strip_prefix(&raw.dataset).is_some_and(|rest| rest.starts_with('.'));
        match catalogue.find(&field) {
            Some(_) if !ours => {
                p.add(place, format!("`{field}` is not of the lane's dataset"), "one lane, one dataset");
            }
            Some(index) if pointer.starts_with('/') => bind.push((pointer, index)),
            Some(_) => p.add(place, format!("`{pointer}` is not a JSON pointer"), "begin it with `/`"),
            None => p.add(place, format!("field `{field}` is not declared"), "declare it in catalogue.toml"),
        }
    }
    let RawLane { treatments, generalise, reversible, free_text, risk, .. } = raw;
    let said = terms::Raw { treatments, generalise, reversible, free_text, risk };
    let terms = Terms::read(place, said, &bind, catalogue, p);
    if !raw.path.starts_with('/') || raw.path.contains(['?', '#', '%', ' ']) || raw.path.contains("..") {
        p.add(place, "`path` must be exact and plain", "use a path such as /v1/status");
    }
    if !matches!(raw.method.as_str(), "GET" | "POST") {
        p.add(place, "`method` must be GET or POST", "use one of them");
    }
    let lane = Lane {
        name: name?,
        way: raw.way,
        upstream: upstream?,
        method: raw.method,
        path: raw.path,
        dataset: dataset?,
        forms: raw.form.list(),
        codings: raw.codings,
        subject,
        bind,
        body_bytes_max: raw.body_bytes_max,
        rows_max: raw.rows_max,
        findings: raw.findings,
        terms,
    };
    lane.check_forms(place, p);
    Some(lane)
}

impl Lane {
    /// The pointers of the lane, that to the person of a row among them.
    fn pointers(&self) -> impl Iterator<Item = &str> {
        let subject = match &self.subject {
            SubjectFrom::Pointer(pointer) => Some(pointer.as_str()),
            _ => None,
        };
        self.bind.iter().map(|(pointer, _)| pointer.as_str()).chain(subject)
    }

    /// A pointer as it reads in a row of NDJSON, CSV, a form or a body of parts. Where all of the lane's pointers go
    /// through the elements of an array, an element is a row, and the step into it is left out.
    #[must_use]
    pub fn in_row<'p>(&self, pointer: &'p str) -> &'p str {
        let through = self.pointers().all(|p| p.starts_with("/*/"));
        pointer.strip_prefix("/*").filter(|_| through).unwrap_or(pointer)
    }

    fn check_forms(&self, place: &str, p: &mut Problems) {
        if self.forms.is_empty() {
            p.add(place, "it carries no format", "name one in `form`, or leave it out for json");
        }
        let deep = self.pointers().find(|pointer| !flat(self.in_row(pointer)));
        if let Some(pointer) = deep.filter(|_| self.forms.iter().any(|form| form.is_flat())) {
            let text = format!("`{pointer}` is no column, field or part");
            p.add(place, text, "csv, form and multipart bind `/name`, or `/*/name` beside json");
        }
    }
}

fn flow(place: &str, raw: &RawFlow, catalogue: &Catalogue, p: &mut Problems) -> Option<Flow> {
    let rename = "choose another name";
    if !catalogue.fields().iter().any(|f| f.lists.iter().any(|l| l.as_str() == raw.fields)) {
        p.add(
            place,
            format!("list `{}` is empty or not declared", raw.fields),
            "declare it in catalogue.toml",
        );
    }
    let name = p.keep(place, rename, Name::parse(&raw.name));
    let lane = p.keep(place, rename, Name::parse(&raw.lane));
    let fields = p.keep(place, rename, Name::parse(&raw.fields));
    let sink = p.keep(place, rename, ActorId::parse(&raw.sink));
    let source = raw.source.as_ref().map(|s| p.keep(place, rename, ActorId::parse(s)));
    let destination = p.keep(place, "use ISO 3166-1 alpha-2", Country::parse(&raw.destination));
    let basis = p.keep(place, "name a transfer basis", Basis::parse(&raw.basis));
    let purpose = p.keep(place, "name a purpose of the list", Purpose::parse(&raw.purpose));
    Some(Flow {
        name: name?,
        lane: lane?,
        source: source.flatten(),
        sink: sink?,
        fields: fields?,
        destination: destination?,
        basis: basis?,
        purpose: purpose?,
        active: raw.active,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_an_element_where_all_pointers_go_through_elements() {
        let catalogue = Catalogue::parse(CATALOGUE).unwrap();
        let lane = |from: &str, to: &str| {
            let lanes = Lanes::parse(&LANES.replace(from, to), &catalogue).unwrap();
            lanes.lanes.values().next().unwrap().clone()
        };
        let both = lane("form = \"json\"", "form = [\"json\", \"csv\"]");
        assert_eq!(
            (both.forms.as_slice(), both.in_row("/*/state")),
            (&[Form::Json, Form::Csv][..], "/state")
        );
        assert_eq!(lane("form = \"json\"", "").forms, [Form::Json], "JSON unless it says otherwise");
        let mixed = lane("subject = \"none\"", "subject = \"/whose\"");
        assert_eq!(mixed.in_row("/*/state"), "/*/state");
    }

    const CATALOGUE: &str = r#"
        [[dataset]]
        name = "video"
        [[dataset.collection]]
        name = "status"
        fields = [ { key = "state", class = "allowable", kind = "word" } ]
        [[dataset]]
        name = "export"
        [[dataset.collection]]
        name = "profile"
        fields = [ { key = "email", class = "restricted", kind = "email" } ]
        [[list]]
        name = "l"
        fields = ["video.status.state"]
    "#;

    const LANES: &str = r#"
        [[lane]]
        name = "signals"
        way = "forward"
        upstream = "desk"
        method = "POST"
        path = "/v1"
        dataset = "video"
        form = "json"
        subject = "none"
        body_bytes_max = 1000
        rows_max = 10
        [lane.bind]
        "/*/state" = "video.status.state"

        [[flow]]
        name = "f"
        lane = "signals"
        source = "inside"
        sink = "desk"
        fields = "l"
        destination = "US"
        basis = "bcr"
        purpose = "safety"
        active = true

        [[inside]]
        name = "states"
        service = "video-service"
        dataset = "video"
        collections = ["status"]
        acts = ["read", "write"]
        purpose = "operation"
        active = true
    "#;

    fn problems(from: &str, to: &str) -> usize {
        let catalogue = Catalogue::parse(CATALOGUE).unwrap();
        assert!(LANES.contains(from));
        Lanes::parse(&LANES.replace(from, to), &catalogue).map_or_else(|p| p.list().len(), |_| 0)
    }

    #[test]
    fn a_lane_or_flow_that_says_less_than_it_does_is_a_problem() {
        assert_eq!(problems("POST", "POST"), 0, "as it stands");
        for (from, to) in [
            ("= \"video.status.state\"", "= \"export.profile.email\""),
            ("dataset = \"video\"", "dataset = \"nothing\""),
            ("sink = \"desk\"", "sink = \"elsewhere\""),
            ("source = \"inside\"", ""),
            ("fields = \"l\"", "fields = \"nothing\""),
            ("rows_max = 10", "rows_max = 10001"),
            ("name = \"signals\"", "name = \"count\""),
            ("lane = \"signals\"", "lane = \"other\""),
            ("path = \"/v1\"", "path = \"/v1/../admin\""),
            ("method = \"POST\"", "method = \"DELETE\""),
            ("form = \"json\"", "form = \"yaml\""),
            ("form = \"json\"", "form = []"),
            ("form = \"json\"", "treatments = [\"generalised\", \"plain\"]"),
            ("form = \"json\"", "treatments = [\"aggregate\"]"),
            ("form = \"json\"", "generalise = { \"video.status.state\" = \"decade\" }"),
            ("form = \"json\"", "generalise = { \"export.profile.email\" = \"day\" }"),
            ("form = \"json\"", "reversible = { \"video.status.state\" = \"sha\" }"),
            ("form = \"json\"", "risk = { k = 1, roles = { \"video.status.state\" = \"quasi\" } }"),
            ("form = \"json\"", "free_text = { value_bytes_max = 100_000, minute_bytes_max = 1 }"),
            ("form = \"json\"", "form = \"json\"\ncodings = [\"deflate\"]"),
            (
                "form = \"json\"\n        subject = \"none\"",
                "form = [\"json\", \"csv\"]\n        subject = \"/*/of/whom\"",
            ),
            ("name = \"states\"", "name = \"f\""),
            ("collections = [\"status\"]", "collections = [\"status\", \"profile\"]"),
            ("collections = [\"status\"]", "collections = []"),
            ("acts = [\"read\", \"write\"]", "acts = [\"read\", \"own\"]"),
        ] {
            assert!(problems(from, to) > 0, "{from} -> {to}");
        }
    }
}
