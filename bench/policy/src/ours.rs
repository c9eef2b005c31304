//! Our side: the starter's policies with permits of teams, over a catalogue of many fields.

use std::collections::BTreeMap;

use crossing::{ActiveRulebook, Ask, Border, Road, Selection, Session, VerifiedActor, identify};
use ledger::note::{Note, Signer};
use ledger::sha256;
use model::facts::{Approver, CaseFacts, Evidence, Facts, GrantFacts, Group, Principal, PrincipalKind};
use model::procedures::Amount;
use model::rulebook::{Files, Rulebook, manifest};
use model::{
    ActorId, CaseKind, Country, Digest, Direction, FlowId, Name, Purpose, Tag, Treatment, UnixSeconds,
};
use policy::Engine;
use regorus::Value;
use serde_json::json;

const NOW: UnixSeconds = UnixSeconds(1_795_341_600);
const ME: Tag = Tag::new([1; 16]);
const LISTS: [&[&str]; 2] = [&[], &["video-status"]];

pub(crate) struct Clover {
    engine: Engine,
    catalogue: model::catalogue::Catalogue,
    pub(crate) starter: usize,
    callers: std::cell::Cell<u64>,
}

/// A request as both sides read it.
pub(crate) struct Request {
    pub(crate) name: &'static str,
    facts: Facts,
    action: &'static str,
    field: String,
    pub(crate) input: Value,
}

/// The action that a team's permit is for.
pub(crate) fn team_action(n: usize) -> &'static str {
    ["releasePseudonymised", "releaseGeneralised", "releaseMasked"][n % 3]
}

/// Class and lists of a field.
pub(crate) fn field(n: usize) -> (&'static str, &'static [&'static str]) {
    (["public", "allowable", "restricted"][n % 3], LISTS[n / 3 % 2])
}

pub(crate) fn field_name(n: usize) -> String {
    format!("bench.c{}.f{n}", n / 100)
}

fn starter_files() -> Files {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/starter");
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())
    };
    std::fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap())).collect()
}

fn catalogue(fields: usize) -> String {
    let mut text = "[[dataset]]\nname = \"bench\"\n".to_owned();
    let mut lists: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for n in 0..fields {
        if n % 100 == 0 {
            text += &format!("[[dataset.collection]]\nname = \"c{}\"\nfields = [\n", n / 100);
        }
        let (class, on) = field(n);
        text += &format!("  {{ key = \"f{n}\", class = \"{class}\", kind = \"word\" }},\n");
        on.iter().for_each(|list| lists.entry(list).or_default().push(field_name(n)));
        if n % 100 == 99 || n + 1 == fields {
            text += "]\n";
        }
    }
    for (list, names) in lists {
        text += &format!("[[list]]\nname = \"{list}\"\nfields = {names:?}\n");
    }
    text
}

impl Clover {
    pub(crate) fn new(policies: usize, fields: usize) -> Self {
        let mut files = starter_files();
        let starter = files.iter().filter(|(n, _)| n.ends_with(".cedar") && *n != "properties.cedar");
        let starter = starter.map(|(_, text)| text.matches("@id(").count()).sum();
        let team = |n: usize| {
            format!(
                "@id(\"X{n}\") permit (principal in Clover::Team::\"team-{n}\", action == Clover::Action::\"{}\", resource)
                when {{ principal is Clover::Employee && resource.class == Clover::DataClass::\"allowable\" && principal.trained
                  && context.purpose == Clover::Purpose::\"research\" && context has grant && context.grant.holder == principal
                  && context.grant.notBefore <= context.now && context.now < context.grant.notAfter }};\n",
                team_action(n)
            )
        };
        files.insert("30-teams.cedar".to_owned(), (0..policies - starter).map(team).collect());
        files.insert("catalogue.toml".to_owned(), catalogue(fields));
        files.insert("lanes.toml".to_owned(), String::new());
        files.insert("access.toml".to_owned(), String::new());
        let programme = files.get_mut("programme.toml").unwrap();
        let from = programme.find("destinations = ").unwrap();
        let end = from + programme[from..].find('\n').unwrap();
        programme.replace_range(from..end, "destinations = [\"SG\", \"US\", \"CN\"]");
        let rulebook = Rulebook::parse(&files, |_| Digest::new([0; 32])).unwrap_or_else(|e| panic!("{e}"));
        let engine = Engine::new(&rulebook).unwrap_or_else(|e| panic!("{e}"));
        Self { engine, catalogue: rulebook.catalogue, starter, callers: Default::default() }
    }

    fn group(&self, field: &str) -> Group {
        let field = self.catalogue.find(field).and_then(|i| self.catalogue.field(i)).unwrap();
        Group { class: field.class, lists: field.lists.clone(), fields: 1, outcome: None }
    }

    /// By a caller whom nobody asked about before.
    pub(crate) fn decide_first(&self, request: &Request) -> bool {
        let mut facts = request.facts.clone();
        let n = self.callers.get();
        self.callers.set(n + 1);
        let mut tag = [0; 16];
        tag[..8].copy_from_slice(&n.to_be_bytes());
        facts.subject = facts.subject.map(|_| Tag::new(tag));
        if let Evidence::Case(case) = &mut facts.evidence {
            case.subject = Tag::new(tag);
        }
        self.put(facts, request)
    }

    /// By a caller who asked before, at another time.
    pub(crate) fn decide(&self, request: &Request) -> bool {
        self.put(request.facts.clone(), request)
    }

    fn put(&self, facts: Facts, request: &Request) -> bool {
        let ladder = vec![Request::released(request.action)];
        let facts = Facts { ladder, groups: vec![self.group(&request.field)], ..facts };
        let decision = self.engine.decide(facts);
        assert!(!decision.errors);
        decision.facts.groups[0].outcome.is_some()
    }

    /// One decision for all columns that policies cannot tell apart.
    pub(crate) fn decide_columns(&self, columns: &[Request]) -> Vec<bool> {
        let mut groups: Vec<Group> = Vec::new();
        let mut places = Vec::with_capacity(columns.len());
        for column in columns {
            let group = self.group(&column.field);
            let place = groups.iter().position(|g| *g == group).unwrap_or_else(|| {
                groups.push(group);
                groups.len() - 1
            });
            places.push(place);
        }
        let first = &columns[0];
        let ladder = vec![Request::released(first.action)];
        let decision = self.engine.decide(Facts { ladder, groups, ..first.facts.clone() });
        places.into_iter().map(|p| decision.facts.groups[p].outcome.is_some()).collect()
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn country(code: &str) -> Country {
    Country::parse(code).unwrap()
}

fn approver() -> Approver {
    Approver { tag: Tag::new([7; 16]), country: country("IE"), employer: name("acme-eu") }
}

const AMOUNT: Amount = Amount { rows: 1000, bytes: 1 << 20, subjects: 10 };

fn grant(purpose: Purpose) -> Evidence {
    Evidence::Grant(GrantFacts {
        id: Tag::new([9; 16]),
        holder: ME,
        approver: approver(),
        second: None,
        incident: None,
        amount: AMOUNT,
        purpose,
        dataset: name("bench"),
        fields: None,
        subject: None,
        not_before: NOW,
        not_after: NOW.plus(8 * 3600),
    })
}

fn case() -> Evidence {
    Evidence::Case(CaseFacts {
        id: Tag::new([5; 16]),
        engineer: ME,
        approver: approver(),
        amount: AMOUNT,
        kind: CaseKind::VideoNotShown,
        subject: Tag::new([3; 16]),
        fields: name("video-status"),
        approved_at: NOW,
        open: true,
    })
}

fn request(
    name_of: &'static str,
    place: &str,
    action: &'static str,
    field: usize,
    evidence: Evidence,
) -> Request {
    let team = name("team-42");
    let purpose = match &evidence {
        Evidence::Grant(grant) => grant.purpose,
        _ => Purpose::Support,
    };
    let facts = Facts {
        principal: Principal {
            kind: PrincipalKind::Employee,
            tag: ME,
            country: country(place),
            employer: name("acme-eu"),
            seat: country("IE"),
            qualified: true,
            teams: vec![team],
            device_managed: true,
            device_attested: true,
            strong: true,
        },
        now: NOW.plus(60),
        purpose,
        dataset: name("bench"),
        rows: 10,
        subjects: 1,
        subject: Some(Tag::new([3; 16])),
        k: 0,
        evidence,
        ladder: vec![],
        groups: vec![],
    };
    let field = field_name(field);
    let input = input(&facts, action, &field);
    Request { name: name_of, facts, action, field, input }
}

fn input(facts: &Facts, action: &str, field: &str) -> Value {
    let me = facts.principal.tag.to_string();
    let approver = |a: &Approver| json!({ "who": a.tag.to_string(), "place": a.country.as_str() });
    let mut input = json!({
        "action": action, "field": field, "who": me, "place": facts.principal.country.as_str(), "trained": true,
        "managed": true, "attested": true, "mfa": true, "teams": ["team-42"], "purpose": facts.purpose.word(),
        "dataset": "bench", "rows": facts.rows, "subjects": facts.subjects, "now": facts.now.0,
        "subject": facts.subject.map(|s| s.to_string()),
    });
    match &facts.evidence {
        Evidence::Grant(g) => {
            input["grant"] = json!({
                "holder": g.holder.to_string(), "approver": approver(&g.approver), "purpose": g.purpose.word(),
                "dataset": g.dataset.as_str(), "not_before": g.not_before.0, "not_after": g.not_after.0,
            });
        }
        Evidence::Case(c) => {
            input["case"] = json!({
                "engineer": c.engineer.to_string(), "approver": approver(&c.approver), "kind": c.kind.word(),
                "subject": c.subject.to_string(), "fields": c.fields.as_str(), "approved_at": c.approved_at.0, "open": c.open,
            });
        }
        _ => {}
    }
    Value::from_json_str(&input.to_string()).unwrap()
}

/// Field 4 is allowable and on a list, 1 is allowable, 2 restricted, 0 public.
pub(crate) fn requests() -> Vec<Request> {
    let support = || grant(Purpose::Support);
    let mut late = grant(Purpose::Support);
    if let Evidence::Grant(grant) = &mut late {
        grant.not_after = NOW;
    }
    vec![
        request("inside, a grant, restricted in plain", "IE", "releasePlain", 2, support()),
        request("outside, a grant, restricted in plain", "SG", "releasePlain", 2, support()),
        request("outside, a grant, allowable pseudonymised", "SG", "releasePseudonymised", 1, support()),
        request("outside, a case, allowable in plain", "SG", "releasePlain", 4, case()),
        request(
            "outside, a team's permit besides",
            "SG",
            "releasePseudonymised",
            1,
            grant(Purpose::Research),
        ),
        request("outside, nothing, public in plain", "SG", "releasePlain", 0, Evidence::None),
        request("inside, a grant that has ended", "IE", "releasePlain", 1, late),
    ]
}

/// Columns of a table, of every kind of field.
pub(crate) fn columns() -> Vec<Request> {
    (0..crate::COLUMNS)
        .map(|n| request("columns", "SG", "releasePseudonymised", n * 7, grant(Purpose::Support)))
        .collect()
}

/// The road with a decision that it remembers.
pub(crate) struct Kept {
    road: Road,
    actor: VerifiedActor,
    selection: Selection,
    lane: Name,
    dataset: Name,
}

impl Kept {
    pub(crate) fn new() -> Self {
        let files = starter_files();
        let text = manifest(&files, sha256);
        let signers = [("bench/operator", 1), ("bench/auditor", 2)]
            .map(|(name, seed)| Signer::from_seed(name, &[seed; 32]).unwrap());
        let mut note = Note::new(&text).unwrap();
        signers.iter().for_each(|s| note.add(s.sign(&text).unwrap()));
        let [operator, auditor] = signers.map(|s| s.verifier().clone());
        let active = ActiveRulebook::open(&files, &note.to_string(), &operator, &auditor).unwrap();
        let id = ActorId::parse("bench").unwrap();
        let record = access::Actor {
            id: id.clone(),
            kind: access::ActorKind::Employee,
            employer: name("acme-eu"),
            qualified: true,
            teams: Vec::new(),
            deputies: Vec::new(),
        };
        let ireland = Some(country("IE"));
        let session = Session {
            who: identify::Who::Employee(id),
            country: ireland,
            device_country: None,
            network: ireland,
            device_managed: true,
            device_attested: true,
            strong: true,
        };
        let actor = identify::identify(&session, &record, &active.rulebook.programme, ME).unwrap();
        let lane = active.rulebook.lanes.lanes.get(&name("public-videos")).unwrap().clone();
        let selection = Selection::new(&active.rulebook.catalogue, &lane.bind, None).unwrap();
        let in_force = std::sync::Arc::new(crossing::InForce::alone(&active));
        let pseudonyms = std::sync::Arc::new(std::sync::RwLock::new(crossing::Calendar::begin([7; 32], 0)));
        let road = Road::new(active, pseudonyms, in_force);
        Self { road, actor, selection, lane: lane.name, dataset: lane.dataset }
    }

    pub(crate) fn decide(&self) {
        let place = country("IE");
        let ask = Ask {
            flow: FlowId::new([0; 16]),
            now: NOW,
            border: Border::Green,
            actor: &self.actor,
            purpose: Purpose::Support,
            lane: &self.lane,
            direction: Direction::Outward,
            destination: place,
            dataset: &self.dataset,
            selection: &self.selection,
            subject: None,
            evidence: Evidence::None,
            evidence_name: None,
            statement: None,
            ladder: &[Treatment::Plain],
            rows_max: 10,
            people_max: 10,
        };
        let permitted = self.road.decide(&ask);
        assert!(permitted.is_ok());
    }
}
