//! Claims about what lanes carry: formats, codings and treatments, on the starter's policies and a lane of every kind of field.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "lanes/formats.rs"]
mod formats;
#[path = "lanes/treatments.rs"]
mod treatments;

use access::{Actor, ActorKind};
use crossing::format::{Format, Opened, Said, open};
use crossing::identify::{Who, identify};
use crossing::seal::{PersonSeal, Sealing};
use crossing::{
    ActiveRulebook, Ask, Border, InForce, Receipts, Refused, Road, Selection, Session, Treated, VerifiedActor,
};
use ledger::merkle::Frontier;
use ledger::note::{Note, Signer};
use ledger::{Committed, Entry, SecretKey, Sequencer, Storage, StorageError, Submission, sha256};
use model::facts::{Approver, Evidence, FlowFacts, GrantFacts};
use model::lanes::Lane;
use model::procedures::Amount;
use model::rulebook::{Files, manifest};
use model::{ActorId, Basis, Country, Direction, FlowId, Name, Purpose, Reason, SubjectId, Tag, UnixSeconds};
use transform::json::Limits;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// Epochs of pseudonyms whose first began at our time.
fn pseudonyms() -> crossing::Pseudonyms {
    std::sync::Arc::new(std::sync::RwLock::new(crossing::Calendar::begin([9; 32], NOW.day())))
}

/// A dataset with a field of each kind, allowable unless its name says otherwise.
const CATALOGUE: &str = r#"
[[dataset]]
name = "shop"
[[dataset.collection]]
name = "order"
fields = [
  { key = "email", class = "restricted", kind = "email" },
  { key = "handle", class = "allowable", kind = "handle" },
  { key = "account", class = "allowable", kind = "id" },
  { key = "born", class = "public", kind = "date" },
  { key = "address", class = "public", kind = "ip" },
  { key = "place", class = "public", kind = "id" },
  { key = "program", class = "public", kind = "word" },
  { key = "state", class = "allowable", kind = "word" },
  { key = "note", class = "allowable", kind = "text" },
  { key = "line1", class = "allowable", kind = "word" },
  { key = "line2", class = "allowable", kind = "word" },
]
[[list]]
name = "orders"
fields = ["shop.order.handle", "shop.order.account", "shop.order.state", "shop.order.note", "shop.order.line1", "shop.order.line2"]
"#;

/// The lane; `MORE` is where tests say more of it.
const LANE: &str = r#"
[[lane]]
name = "orders"
way = "reverse"
upstream = "shop"
method = "GET"
path = "/v1/orders"
dataset = "shop"
form = ["json", "ndjson", "csv", "form", "multipart"]
codings = ["gzip", "br", "zstd"]
subject = "none"
body_bytes_max = 100_000
rows_max = 100
MORE
[lane.bind]
"/*/email" = "shop.order.email"
"/*/handle" = "shop.order.handle"
"/*/account" = "shop.order.account"
"/*/born" = "shop.order.born"
"/*/address" = "shop.order.address"
"/*/place" = "shop.order.place"
"/*/program" = "shop.order.program"
"/*/state" = "shop.order.state"
"/*/note" = "shop.order.note"
"/*/line1" = "shop.order.line1"
"/*/line2" = "shop.order.line2"

[[flow]]
name = "orders-us"
lane = "orders"
sink = "us-partner"
fields = "orders"
destination = "US"
basis = "sccWithTia"
purpose = "interoperability"
active = true
"#;

#[derive(Default)]
struct Memory(Vec<u8>);

impl Storage for Memory {
    fn append(&mut self, frame: &[u8]) -> Result<(), StorageError> {
        self.0.extend_from_slice(frame);
        Ok(())
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn country(text: &str) -> Country {
    Country::parse(text).unwrap()
}

fn tag(n: u8) -> Tag {
    Tag::new([n; 16])
}

/// The starter's rulebook with the lane, of which `more` is said, through a change of the lane's text.
fn files(more: &str, change: impl Fn(String) -> String) -> Files {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/starter");
    let read = |e: std::fs::DirEntry| {
        (e.file_name().into_string().unwrap(), std::fs::read_to_string(e.path()).unwrap())
    };
    let mut files: Files = std::fs::read_dir(folder).unwrap().map(|e| read(e.unwrap())).collect();
    files.get_mut("catalogue.toml").unwrap().push_str(CATALOGUE);
    files.get_mut("lanes.toml").unwrap().push_str(&change(LANE.replace("MORE", more)));
    files
}

/// A road with one lane.
struct World {
    road: Road,
    lane: Lane,
    selection: Selection,
}

/// Who asks, from where and on what ground.
#[derive(Clone, Copy)]
enum By {
    /// The workload of the flow, in the United States: plain.
    Flow,
    /// Somebody in Singapore with a grant: pseudonymised.
    Grant(&'static str),
}

impl World {
    fn new(more: &str) -> Self {
        Self::changed(more, |lane| lane)
    }

    fn changed(more: &str, change: impl Fn(String) -> String) -> Self {
        let files = files(more, change);
        let [operator, auditor] = [("demo/operator", 1), ("demo/auditor", 2)]
            .map(|(name, seed)| Signer::from_seed(name, &[seed; 32]).unwrap());
        let text = manifest(&files, sha256);
        let mut note = Note::new(&text).unwrap();
        [&operator, &auditor].iter().for_each(|s| note.add(s.sign(&text).unwrap()));
        let active =
            ActiveRulebook::open(&files, &note.to_string(), operator.verifier(), auditor.verifier()).unwrap();
        let in_force = std::sync::Arc::new(InForce::alone(&active));
        let road = Road::new(active, pseudonyms(), in_force);
        let lane = road.rulebook().lanes.lanes.get(&name("orders")).unwrap().clone();
        let selection = Selection::of_lane(&road.rulebook().catalogue, &lane).unwrap();
        Self { road, lane, selection }
    }

    fn actor(&self, by: By) -> VerifiedActor {
        let (kind, employer, place) = match by {
            By::Flow => (ActorKind::Service, "acme-us", "US"),
            By::Grant(employer) => (ActorKind::Employee, employer, "SG"),
        };
        let id = ActorId::parse("us-partner").unwrap();
        let who =
            if kind == ActorKind::Employee { Who::Employee(id.clone()) } else { Who::Service(id.clone()) };
        let (teams, deputies) = (Vec::new(), Vec::new());
        let record = Actor { id, kind, employer: name(employer), qualified: true, teams, deputies };
        let session = Session {
            who,
            country: Some(country(place)),
            device_country: None,
            network: Some(country(place)),
            device_managed: true,
            device_attested: true,
            strong: true,
        };
        identify(&session, &record, &self.road.rulebook().programme, tag(1)).unwrap()
    }

    /// A body with its head, at a time, through opening, decision and treatment.
    fn run(&self, by: By, now: UnixSeconds, said: Said<'_>, body: &[u8]) -> Result<Treated, Refused> {
        let actor = self.actor(by);
        let (evidence, purpose) = match by {
            By::Flow => (flow(), Purpose::Interoperability),
            By::Grant(_) => (grant(now), Purpose::Support),
        };
        let ask = Ask {
            flow: FlowId::new([8; 16]),
            now,
            border: Border::Green,
            actor: &actor,
            purpose,
            lane: &self.lane.name,
            direction: Direction::Outward,
            destination: actor.principal().country,
            dataset: &self.lane.dataset,
            selection: &self.selection,
            subject: None,
            evidence,
            evidence_name: None,
            statement: None,
            ladder: &self.lane.terms.treatments,
            rows_max: self.lane.rows_max,
            people_max: self.lane.rows_max,
        };
        let permitted = self.road.decide(&ask)?;
        match open(&self.lane, said, body) {
            Ok(Opened::Body(body, format)) => permitted.treat(&body, &format, &Limits::default()),
            Ok(Opened::Table(body)) => match rows(&body) {
                Some(rows) => permitted.treat(rows, &Format::Ndjson, &Limits::default()),
                None => Err(permitted.refuse(Reason::Malformed)),
            },
            Err(reason) => Err(permitted.refuse(reason)),
        }
    }

    /// What is released of a body of this type.
    fn released(&self, by: By, content_type: &str, body: &str) -> Result<String, Reason> {
        let said = Said { content_type: Some(content_type), coding: None };
        self.run(by, NOW, said, body.as_bytes()).map(payload_of).map_err(|refused| refused.reason())
    }
}

/// Tables are read elsewhere: of this one there is a row.
fn rows(body: &[u8]) -> Option<&'static [u8]> {
    let row = b"{\"email\":\"a@b.org\",\"state\":\"write to ann@example.org\",\"shoe\":43}\n";
    (body == b"a table").then_some(row)
}

fn flow() -> Evidence {
    Evidence::Flow(FlowFacts {
        name: name("orders-us"),
        sink: tag(1),
        fields: name("orders"),
        destination: country("US"),
        basis: Basis::SccWithTia,
        active: true,
    })
}

fn grant(now: UnixSeconds) -> Evidence {
    Evidence::Grant(GrantFacts {
        id: tag(3),
        holder: tag(1),
        approver: Approver { tag: tag(4), country: country("IE"), employer: name("acme-eu") },
        second: None,
        incident: None,
        amount: Amount { rows: 1000, bytes: 1 << 20, subjects: 10 },
        purpose: Purpose::Support,
        dataset: name("shop"),
        fields: None,
        subject: None,
        not_before: now,
        not_after: now.plus(3600),
    })
}

/// Seals something with keys and random bytes of a test.
fn with_keys<T>(seal: impl FnOnce(Sealing<'_>) -> T) -> T {
    let key = SecretKey::new([7; 32]);
    let mut resolve = |_: &SubjectId| Ok(PersonSeal { tag: tag(2), key: SecretKey::new([6; 32]) });
    let mut next = 0u8;
    let mut random = |bytes: &mut [u8]| {
        next = next.wrapping_add(1);
        bytes.fill(next);
    };
    seal(Sealing { epoch: 1, epoch_key: &key, nanos: 1, resolve: &mut resolve, random: &mut random })
}

fn committed(submission: Submission) -> Committed {
    let mut log = Sequencer::new("log", Frontier::new(), Memory::default());
    log.commit(vec![submission]).unwrap()
}

/// The facts of the entry of what was treated, or refused.
fn facts_of(outcome: Result<Treated, Refused>) -> Vec<u8> {
    let recording = with_keys(|sealing| match outcome {
        Ok(treated) => treated.seal(sealing).unwrap().1,
        Err(refused) => refused.seal(sealing).unwrap().1,
    });
    Entry::decode(&committed(recording.entry).entries.first().unwrap().leaf).unwrap().draft.facts
}

/// The released bytes, behind the receipts of both logs.
fn payload_of(treated: Treated) -> String {
    let (sealed, recording) = with_keys(|sealing| treated.seal(sealing).unwrap());
    let receipt = |submission| committed(submission).receipts.remove(0);
    let key_use = recording.key_use.map(receipt);
    let receipts = Receipts { entry: receipt(recording.entry), key_use };
    String::from_utf8(sealed.release(&receipts).unwrap().into_bytes()).unwrap()
}
