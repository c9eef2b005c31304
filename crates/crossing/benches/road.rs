//! The whole road in process, and each step of it: decide, treat, seal, commit, release. The storage is memory, so
//! that what is seen is our own work; `bench/http/` has the disk and the sockets.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has nothing to measure")]

use crossing::{
    ActiveRulebook, Ask, Format, Payload, Permitted, Receipts, Recording, Road, Sealed, Sealing, Selection,
    Session, Treated, VerifiedActor, identify,
};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use ledger::merkle::Frontier;
use ledger::note::{Note, Signer};
use ledger::{SecretKey, Sequencer, Storage, StorageError, sha256};
use model::facts::{Evidence, FlowFacts};
use model::rulebook::{Files, manifest};
use model::{ActorId, Country, Direction, FlowId, Name, Tag, Treatment, UnixSeconds};
use transform::json::Limits;

fn main() {
    divan::main();
}

const ORIGIN: &str = "ledger.clover-bench/dublin-1/gw-1";
const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// Epochs of pseudonyms whose first began at our time.
fn pseudonyms() -> crossing::Pseudonyms {
    std::sync::Arc::new(std::sync::RwLock::new(crossing::Calendar::begin([9; 32], NOW.day())))
}
const LADDER: &[Treatment] = &[Treatment::Plain, Treatment::Pseudonymised];

/// The rulebook of the benches over HTTP under the starter's policies.
const RULEBOOK: &[(&str, &str)] = &[
    ("programme.toml", include_str!("../../../bench/http/rulebook/programme.toml")),
    ("catalogue.toml", include_str!("../../../bench/http/rulebook/catalogue.toml")),
    ("lanes.toml", include_str!("../../../bench/http/rulebook/lanes.toml")),
    ("access.toml", include_str!("../../../bench/http/rulebook/access.toml")),
    ("clover.cedarschema", include_str!("../../../policies/starter/clover.cedarschema")),
    ("10-guardrails.cedar", include_str!("../../../policies/starter/10-guardrails.cedar")),
    ("20-permits.cedar", include_str!("../../../policies/starter/20-permits.cedar")),
];

/// Keeps nothing, and keeps up with everything.
struct Nowhere;

impl Storage for Nowhere {
    fn append(&mut self, frame: &[u8]) -> Result<(), StorageError> {
        black_box(frame);
        Ok(())
    }
}

/// A body of so many records of about 1 KiB, and the lane that carries it.
#[derive(Debug, Clone, Copy)]
enum Case {
    User,
    List,
}

const CASES: [Case; 2] = [Case::User, Case::List];

impl Case {
    fn body(self) -> String {
        match self {
            Self::User => record(1),
            Self::List => format!("[{}]", (0..64).map(record).collect::<Vec<_>>().join(",")),
        }
    }

    fn lane(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::List => "list",
        }
    }
}

/// A synthetic record: three fields that may not leave, and prose with escapes that is inspected.
fn record(n: u32) -> String {
    let notes =
        r#"lorem ipsum dolor sit amet consectetur \"adipiscing\" elit sed do eiusmod\ttempor "#.repeat(6);
    serde_json::json!({
        "id": n,
        "uuid": format!("{:032x}", u128::from(n) * 0x9e37_79b9_7f4a_7c15),
        "name": format!("User Example {n:05}"),
        "email": format!("user{n:05}@example.com"),
        "phone": format!("+4930{:08}", u64::from(n) * 104_729 % 100_000_000),
        "iban": format!("DE{:020}", u64::from(n) * 7_919_777_777),
        "created_at": "2024-05-06T07:08:09Z",
        "active": true,
        "score": f64::from(n % 100) + 0.125,
        "address": {"street": "Musterstrasse 114", "zip": "10115", "city": "Berlin", "country": "DE"},
        "roles": ["reader", "writer", "auditor"],
        "tags": ["a07", "a14", "a21", "a28", "a35", "a42"],
        "prefs": {"lang": "de", "tz": "Europe/Berlin", "news": false, "theme": "dark"},
        "notes": notes,
    })
    .to_string()
}

/// Everything that a gateway holds between two requests.
struct World {
    road: Road,
    actor: VerifiedActor,
    selection: Selection,
    lane: Name,
    dataset: Name,
    evidence: Evidence,
    limits: Limits,
    body: String,
    epoch_key: SecretKey,
}

fn rulebook() -> ActiveRulebook {
    let files: Files = RULEBOOK.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
    let text = manifest(&files, sha256);
    let signers = [("clover-bench/operator", 1), ("clover-bench/auditor", 2)]
        .map(|(name, seed)| Signer::from_seed(name, &[seed; 32]).unwrap());
    let mut note = Note::new(&text).unwrap();
    signers.iter().for_each(|s| note.add(s.sign(&text).unwrap()));
    let [operator, auditor] = signers.map(|s| s.verifier().clone());
    ActiveRulebook::open(&files, &note.to_string(), &operator, &auditor).unwrap()
}

fn caller(active: &ActiveRulebook) -> VerifiedActor {
    let us = Country::parse("US").unwrap();
    let id = ActorId::parse("bench-client").unwrap();
    let record = access::Actor {
        id: id.clone(),
        kind: access::ActorKind::Service,
        employer: Name::parse("acme-us").unwrap(),
        qualified: true,
        teams: Vec::new(),
        deputies: Vec::new(),
    };
    let session = Session {
        who: identify::Who::Service(id),
        country: Some(us),
        device_country: None,
        network: Some(us),
        device_managed: false,
        device_attested: false,
        strong: false,
    };
    identify::identify(&session, &record, &active.rulebook.programme, Tag::new([7; 16])).unwrap()
}

impl World {
    fn new(case: Case) -> Self {
        let active = rulebook();
        let actor = caller(&active);
        let book = &active.rulebook;
        let lane = book.lanes.lanes.get(&Name::parse(case.lane()).unwrap()).unwrap();
        let flow = book.lanes.flows.iter().find(|f| f.lane == lane.name).unwrap();
        let facts = FlowFacts {
            name: flow.name.clone(),
            sink: actor.principal().tag,
            fields: flow.fields.clone(),
            destination: flow.destination,
            basis: flow.basis,
            active: flow.active,
        };
        let in_force = std::sync::Arc::new(crossing::InForce::alone(&active));
        Self {
            selection: Selection::new(&book.catalogue, &lane.bind, None).unwrap(),
            lane: lane.name.clone(),
            dataset: lane.dataset.clone(),
            evidence: Evidence::Flow(facts),
            limits: Limits::default(),
            body: case.body(),
            epoch_key: SecretKey::new([3; 32]),
            actor,
            road: Road::new(active, pseudonyms(), in_force),
        }
    }

    fn decide(&self, now: UnixSeconds) -> Permitted<'_> {
        let flow = book_flow(&self.road, &self.lane);
        let ask = Ask {
            flow: FlowId::new([9; 16]),
            now,
            border: crossing::Border::Green,
            actor: &self.actor,
            purpose: flow.purpose,
            lane: &self.lane,
            direction: Direction::Outward,
            destination: flow.destination,
            dataset: &self.dataset,
            selection: &self.selection,
            subject: None,
            evidence: self.evidence.clone(),
            evidence_name: Some(&flow.name),
            statement: None,
            ladder: LADDER,
            rows_max: 2_000,
            people_max: 2_000,
        };
        self.road.decide(&ask).unwrap()
    }

    fn treat(&self, permitted: Permitted<'_>) -> Treated {
        permitted.treat(black_box(self.body.as_bytes()), &Format::Json, &self.limits).unwrap()
    }

    fn seal(&self, treated: Treated) -> (Sealed, Recording) {
        // Not random: the nonces of a bench protect nothing.
        let mut random = |bytes: &mut [u8]| bytes.fill(5);
        let mut resolve = |_: &model::SubjectId| Err("nobody is named here".into());
        let sealing = Sealing {
            epoch: 1,
            epoch_key: &self.epoch_key,
            nanos: 1,
            resolve: &mut resolve,
            random: &mut random,
        };
        treated.seal(sealing).unwrap()
    }

    /// A payload of which nothing restricted is left, or the bench measures something else.
    fn checked(self) -> Self {
        let (sealed, recording) = self.seal(self.treat(self.decide(NOW)));
        let body = String::from_utf8(open(&mut log(), sealed, recording).into_bytes()).unwrap();
        assert!(
            !body.contains("@example.com") && !body.contains("iban") && body.contains("Musterstrasse 114")
        );
        self
    }
}

fn book_flow<'a>(road: &'a Road, lane: &Name) -> &'a model::lanes::Flow {
    road.rulebook().lanes.flows.iter().find(|f| f.lane == *lane).unwrap()
}

fn log() -> Sequencer<Nowhere> {
    Sequencer::new(ORIGIN, Frontier::new(), Nowhere)
}

/// Commits one entry on its own and opens its payload.
fn open(log: &mut Sequencer<Nowhere>, sealed: Sealed, recording: Recording) -> Payload {
    let mut one = |submission| log.commit(vec![submission]).unwrap().receipts.remove(0);
    let key_use = recording.key_use.map(&mut one);
    sealed.release(&Receipts { entry: one(recording.entry), key_use }).unwrap()
}

/// One request after another, each with a commit of its own: the dearest way.
#[divan::bench(args = CASES)]
fn whole_road(bencher: Bencher<'_, '_>, case: Case) {
    let (world, mut log) = (World::new(case).checked(), log());
    bencher.counter(BytesCount::of_str(&world.body)).bench_local(|| {
        let (sealed, recording) = world.seal(world.treat(world.decide(NOW)));
        open(&mut log, sealed, recording)
    });
}

/// As it is for all requests of a second but the first.
#[divan::bench]
fn decide_again(bencher: Bencher<'_, '_>) {
    let world = World::new(Case::User).checked();
    bencher.bench_local(|| world.decide(NOW));
}

/// The policies, with nothing remembered.
#[divan::bench]
fn decide_first(bencher: Bencher<'_, '_>) {
    let (world, mut now) = (World::new(Case::User).checked(), NOW);
    bencher.bench_local(|| {
        now = now.plus(1);
        world.decide(now)
    });
}

#[divan::bench(args = CASES)]
fn treat(bencher: Bencher<'_, '_>, case: Case) {
    let world = World::new(case).checked();
    let counted = bencher.counter(BytesCount::of_str(&world.body));
    counted.with_inputs(|| world.decide(NOW)).bench_local_values(|permitted| world.treat(permitted));
}

#[divan::bench(args = CASES)]
fn seal(bencher: Bencher<'_, '_>, case: Case) {
    let world = World::new(case).checked();
    bencher.with_inputs(|| world.treat(world.decide(NOW))).bench_local_values(|treated| world.seal(treated));
}

/// A batch of entries: hashes, frame and tree.
#[divan::bench(args = [1, 16, 64, 256])]
fn commit(bencher: Bencher<'_, '_>, entries: usize) {
    let (world, mut log) = (World::new(Case::User).checked(), log());
    let batch =
        || (0..entries).map(|_| world.seal(world.treat(world.decide(NOW))).1.entry).collect::<Vec<_>>();
    bencher
        .counter(ItemsCount::new(entries))
        .with_inputs(batch)
        .bench_local_values(|batch| log.commit(batch).unwrap());
}
