//! A ledger tree as the format pages say, written by the tests alone, honest or not.

use std::{collections::BTreeMap, fs, path::Path};

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{Ed25519KeyPair, KeyPair},
};
use ciborium::{Value, cbor};
use data_encoding::{BASE64, HEXLOWER};

pub const ORIGIN: &str = "ledger.test/gateway-1/2026";
pub const START: u64 = 1_900_000_000;
/// Where the second rulebook is activated.
pub const SECOND: usize = 300;
/// Places of one entry of each kind; the first of them is at this index.
pub const FIRST_ROUND: usize = 1;

pub type Files = BTreeMap<String, Vec<u8>>;
pub type Tag = [u8; 16];

pub struct Signer {
    pub name: &'static str,
    key: Ed25519KeyPair,
}

impl Signer {
    pub fn new(name: &'static str, seed: u8) -> Self {
        Self { name, key: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap() }
    }

    pub fn vkey(&self) -> String {
        let key = [&[1], self.public()].concat();
        format!("{}+{}+{}", self.name, HEXLOWER.encode(&self.id()), BASE64.encode(&key))
    }

    pub fn public(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message).as_ref().to_vec()
    }

    fn id(&self) -> Vec<u8> {
        let text = [self.name.as_bytes(), b"\n\x01", self.public()].concat();
        sha(&text)[..4].to_vec()
    }

    pub fn line(&self, text: &str) -> String {
        let blob = [self.id(), self.sign(text.as_bytes())].concat();
        format!("— {} {}\n", self.name, BASE64.encode(&blob))
    }
}

pub fn log_key() -> Signer {
    Signer::new(ORIGIN, 1)
}

pub fn operator() -> Signer {
    Signer::new("operator.test", 2)
}

pub fn auditor() -> Signer {
    Signer::new("auditor.test", 3)
}

pub fn sha(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

/// As headers carry the name of a lane.
pub fn short_name(name: &str) -> [u8; 8] {
    sha(name.as_bytes())[..8].try_into().unwrap()
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sha(&[&[1], &left[..], right].concat())
}

/// RFC 6962 §2.1, over leaf hashes.
pub fn root(hashes: &[[u8; 32]]) -> [u8; 32] {
    match hashes {
        [] => sha(&[]),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            node(&root(left), &root(right))
        }
    }
}

/// RFC 6962 §2.1.1.
pub fn path(index: usize, hashes: &[[u8; 32]]) -> Vec<[u8; 32]> {
    if hashes.len() < 2 {
        return Vec::new();
    }
    let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
    let (mut proof, other) =
        if index < left.len() { (path(index, left), right) } else { (path(index - left.len(), right), left) };
    proof.push(root(other));
    proof
}

pub fn leaf(bytes: &[u8]) -> [u8; 32] {
    sha(&[&[0], bytes].concat())
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: u8,
    pub direction: u8,
    pub gateway: [u8; 8],
    pub sequence: u64,
    pub time: u64,
    pub flow: [u8; 16],
    pub rulebook: [u8; 32],
    pub purpose: u16,
    pub place: [u8; 2],
    pub destination: [u8; 2],
    pub classes: u8,
    pub treatments: u8,
    pub reason: u16,
    pub people: u32,
    pub bytes: u64,
    pub rows: u32,
    pub actor: Tag,
    pub mode: u8,
    pub tags: Vec<u8>,
    pub lane: [u8; 8],
    /// Index of the entry that opened the stream, end of its lease, and how it ended.
    pub open: u64,
    pub lease: u64,
    pub outcome: u8,
    pub facts: Option<Value>,
    /// Facts that no encoder writes.
    pub raw_facts: Option<Vec<u8>>,
}

impl Entry {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = b"CLV1\x01".to_vec();
        bytes.extend([self.kind, self.direction, if self.kind == 2 { 2 } else { 1 }]);
        bytes.extend(self.gateway);
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.time.to_be_bytes());
        bytes.extend(self.flow);
        bytes.extend(self.rulebook);
        bytes.extend(self.purpose.to_be_bytes());
        bytes.extend(self.place);
        bytes.extend(self.destination);
        bytes.extend([self.classes, self.treatments]);
        bytes.extend(self.reason.to_be_bytes());
        bytes.extend([0; 2]);
        bytes.extend(self.people.to_be_bytes());
        bytes.extend(self.bytes.to_be_bytes());
        bytes.extend(self.rows.to_be_bytes());
        bytes.extend([7; 32]);
        bytes.extend(self.actor);
        bytes.extend([self.mode, if self.mode == 1 { (self.tags.len() / 16) as u8 } else { 0 }, 0, 0]);
        bytes.extend(&self.tags);
        bytes.resize(224, 0);
        bytes.extend(self.lane);
        bytes.extend(self.open.to_be_bytes());
        bytes.extend(self.lease.to_be_bytes());
        bytes.push(self.outcome);
        bytes.resize(256, 0);
        match (&self.raw_facts, &self.facts) {
            (Some(raw), _) => bytes.extend(raw),
            (None, Some(facts)) => bytes.extend(encode(facts)),
            (None, None) => {}
        }
        bytes
    }

    /// Changes one value of the facts.
    pub fn fact(&mut self, key: u64, value: Value) {
        put(self.facts.as_mut().unwrap(), key, value);
    }

    /// Changes one value of the principal, or of the evidence's map.
    pub fn inner_fact(&mut self, key: u64, inner: u64, value: Value) {
        let map = at(self.facts.as_mut().unwrap(), key);
        let map = if key == 9 { &mut map.as_array_mut().unwrap()[1] } else { map };
        put(map, inner, value);
    }

    pub fn set_time(&mut self, time: u64) {
        self.time = time;
        if self.facts.is_some() {
            self.fact(2, Value::from(time));
        }
    }
}

fn at(map: &mut Value, key: u64) -> &mut Value {
    let pairs = map.as_map_mut().unwrap();
    &mut pairs.iter_mut().find(|(k, _)| *k == Value::from(key)).unwrap().1
}

fn put(map: &mut Value, key: u64, value: Value) {
    let pairs = map.as_map_mut().unwrap();
    match pairs.iter_mut().find(|(k, _)| *k == Value::from(key)) {
        Some(pair) => pair.1 = value,
        None => {
            let place =
                pairs.iter().position(|(k, _)| k.as_integer() > Some(key.into())).unwrap_or(pairs.len());
            pairs.insert(place, (Value::from(key), value));
        }
    }
}

pub fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

pub fn tag(byte: u8) -> Value {
    Value::Bytes(vec![byte; 16])
}

/// Read as a policy it would permit everything, and no lie about a decision would be found.
const PROPERTIES: &str =
    "@id(\"T\") @prove(\"only\") @says(\"anything\") permit (principal, action, resource);\n";

/// A rulebook folder, before it is signed.
#[derive(Clone)]
pub struct Rulebook {
    pub files: Files,
    /// Written over what the signers signed.
    pub note: Option<String>,
}

impl Rulebook {
    pub fn tiny(name: &str) -> Self {
        let text = |text: &str| text.as_bytes().to_vec();
        let programme = include_str!("rulebook/programme.toml").replace("tiny\"", &format!("{name}\""));
        let files = Files::from([
            ("10-guardrails.cedar".into(), text(include_str!("rulebook/10-guardrails.cedar"))),
            ("20-permits.cedar".into(), text(include_str!("rulebook/20-permits.cedar"))),
            ("assessments.toml".into(), text(include_str!("rulebook/assessments.toml"))),
            ("catalogue.toml".into(), text(include_str!("rulebook/catalogue.toml"))),
            ("clover.cedarschema".into(), text(include_str!("rulebook/clover.cedarschema"))),
            ("access.toml".into(), text(include_str!("rulebook/access.toml"))),
            ("lanes.toml".into(), text(include_str!("rulebook/lanes.toml"))),
            ("programme.toml".into(), text(&programme)),
            ("properties.cedar".into(), text(PROPERTIES)),
        ]);
        Self { files, note: None }
    }

    pub fn manifest(&self) -> String {
        let lines = self.files.iter().map(|(name, file)| format!("{} {name}\n", HEXLOWER.encode(&sha(file))));
        format!("clover-rulebook/v1\n{}", lines.collect::<String>())
    }

    pub fn digest(&self) -> [u8; 32] {
        sha(self.manifest().as_bytes())
    }

    pub fn signed_by(&self, signers: &[&Signer]) -> String {
        let text = self.manifest();
        let lines: String = signers.iter().map(|signer| signer.line(&text)).collect();
        format!("{text}\n{lines}")
    }

    fn write(&self, files: &mut Files) {
        let folder = format!("rulebook/{}", HEXLOWER.encode(&self.digest()));
        let note = self.note.clone().unwrap_or_else(|| self.signed_by(&[&operator(), &auditor()]));
        files.insert(format!("{folder}/manifest.note"), note.into_bytes());
        for (name, file) in &self.files {
            files.insert(format!("{folder}/{name}"), file.clone());
        }
    }
}

/// A log before it is published.
#[derive(Clone)]
pub struct Log {
    pub entries: Vec<Entry>,
    pub tag_lists: Vec<Vec<Tag>>,
    pub rulebooks: Vec<Rulebook>,
}

impl Log {
    /// Entries of every kind, over and over, with a change of rulebook in between.
    pub fn honest(count: usize) -> Self {
        let rulebooks = vec![Rulebook::tiny("one"), Rulebook::tiny("two")];
        let list: Vec<Tag> = (1..=9).map(|byte| [byte; 16]).collect();
        let mut log = Self { entries: Vec::new(), tag_lists: vec![list], rulebooks };
        let digests = [log.rulebooks[0].digest(), log.rulebooks[1].digest()];
        for index in 0..count {
            let mut entry = match index {
                0 | SECOND => plain_entry(4, 11),
                _ => round((index - 1) % ROUND.len(), &log.tag_lists[0]),
            };
            entry.sequence = index as u64;
            entry.flow[..8].copy_from_slice(&(index as u64 + 1).to_be_bytes());
            entry.rulebook = digests[usize::from(index >= SECOND)];
            entry.set_time(START + index as u64 / 200);
            log.entries.push(entry);
        }
        log
    }

    pub fn hashes(&self) -> Vec<[u8; 32]> {
        self.entries.iter().map(|entry| leaf(&entry.encode())).collect()
    }

    pub fn checkpoint(&self) -> String {
        let root = BASE64.encode(&root(&self.hashes()));
        format!("{ORIGIN}\n{}\n{root}\n", self.entries.len())
    }

    /// Everything that a gateway publishes, with some partial tiles of earlier sizes.
    pub fn publish(&self) -> Files {
        let mut files = Files::new();
        let checkpoint = self.checkpoint();
        files.insert(
            "checkpoint".into(),
            format!("{checkpoint}\n{}", log_key().line(&checkpoint)).into_bytes(),
        );
        let entries: Vec<Vec<u8>> = self.entries.iter().map(Entry::encode).collect();
        let bundle = |entries: &[Vec<u8>]| -> Vec<u8> {
            let framed =
                entries.iter().map(|entry| [&(entry.len() as u16).to_be_bytes()[..], entry].concat());
            framed.collect::<Vec<_>>().concat()
        };
        chunks("entries", &entries, &bundle, &mut files);
        let mut hashes = self.hashes();
        for level in 0.. {
            if hashes.is_empty() {
                break;
            }
            chunks(&level.to_string(), &hashes, &|hashes: &[[u8; 32]]| hashes.concat(), &mut files);
            hashes = hashes.chunks_exact(256).map(root).collect();
        }
        for list in &self.tag_lists {
            let hashes: Vec<_> = list.iter().map(|tag| leaf(tag)).collect();
            files.insert(format!("tags/{}", HEXLOWER.encode(&root(&hashes))), list.concat());
        }
        self.rulebooks.iter().for_each(|rulebook| rulebook.write(&mut files));
        files
    }
}

/// Tiles of one level, and one older partial tile of the last.
fn chunks<T>(level: &str, items: &[T], join: &dyn Fn(&[T]) -> Vec<u8>, files: &mut Files) {
    for (index, chunk) in items.chunks(256).enumerate() {
        let partial = if chunk.len() < 256 { format!(".p/{}", chunk.len()) } else { String::new() };
        files.insert(format!("tile/{level}/{index:03}{partial}"), join(chunk));
        if chunk.len() < 256 && chunk.len() > 5 {
            files.insert(format!("tile/{level}/{index:03}.p/5"), join(&chunk[..5]));
        }
    }
}

pub fn write(files: &Files, folder: &Path) {
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Names of the entries of a round, in their order.
pub const ROUND: [&str; 11] = [
    "grant",
    "case",
    "public",
    "flow",
    "self",
    "aggregate",
    "import",
    "refused",
    "malformed",
    "border",
    "list",
];

/// The index of an honest entry in the first round.
pub fn index_of(name: &str) -> usize {
    FIRST_ROUND + ROUND.iter().position(|other| *other == name).unwrap()
}

fn plain_entry(kind: u8, purpose: u16) -> Entry {
    Entry {
        kind,
        direction: 0,
        gateway: sha(ORIGIN.as_bytes())[..8].try_into().unwrap(),
        sequence: 0,
        time: 0,
        flow: [0; 16],
        rulebook: [0; 32],
        purpose,
        place: *b"IE",
        destination: *b"IE",
        classes: 0,
        treatments: 0,
        reason: 0,
        people: 0,
        bytes: 0,
        rows: 0,
        actor: [0; 16],
        mode: 0,
        tags: Vec::new(),
        lane: short_name("read"),
        open: 0,
        lease: 0,
        outcome: 0,
        facts: None,
        raw_facts: None,
    }
}

/// An answer; the header follows from the facts.
fn answer(actor: u8, kind: u8, country: &str, purpose: u16, evidence: Option<Value>, groups: Value) -> Entry {
    let mut entry = plain_entry(1, purpose);
    entry.direction = 1;
    entry.actor = [actor; 16];
    entry.place = country.as_bytes().try_into().unwrap();
    entry.destination = entry.place;
    (entry.bytes, entry.rows) = (640, 3);
    for group in groups.as_array().unwrap() {
        let code = |place: usize| -> u8 {
            group.as_array().unwrap()[place].as_integer().unwrap().try_into().unwrap()
        };
        if code(3) != 0 {
            entry.classes |= code(0);
            entry.treatments |= code(3);
        }
    }
    let mut facts = cbor!({
        0 => 1,
        1 => {
            0 => kind, 1 => tag(actor), 2 => country, 3 => "employer", 4 => "IE", 5 => true, 6 => ["t"],
            7 => true, 8 => true, 9 => true,
        },
        2 => 0, 3 => purpose, 4 => "video", 5 => 100, 6 => 1, 8 => 0, 10 => [1, 2, 16], 11 => groups,
    })
    .unwrap();
    if let Some(evidence) = evidence {
        put(&mut facts, 9, evidence);
    }
    entry.facts = Some(facts);
    entry
}

fn grant(holder: u8) -> Value {
    cbor!([1, {
        0 => tag(0x90), 1 => tag(holder), 2 => tag(0x80), 3 => "IE", 4 => 1, 5 => "video",
        8 => (START - 1000), 9 => (START + 100_000), 10 => "employer", 13 => [1_000_000_000_000u64, 1_000_000_000_000u64, 1000],
    }])
    .unwrap()
}

fn case(engineer: u8) -> Value {
    cbor!([2, {
        0 => tag(0x91), 1 => tag(engineer), 2 => tag(0x80), 3 => "IE", 4 => 1, 5 => tag(0x55), 6 => "video-status",
        7 => (START - 600), 8 => true, 9 => "employer", 10 => [1_000_000_000_000u64, 1_000_000_000_000u64, 1000],
    }])
    .unwrap()
}

fn flow(sink: u8) -> Value {
    cbor!([3, { 0 => "interop-us", 1 => tag(sink), 2 => "interop", 3 => "US", 4 => 2, 5 => true }]).unwrap()
}

fn name_one(entry: &mut Entry) {
    (entry.mode, entry.people, entry.tags) = (1, 1, vec![0x55; 16]);
}

fn round(number: usize, list: &[Tag]) -> Entry {
    let groups = |value: Result<Value, ciborium::value::Error>| value.unwrap();
    match ROUND[number] {
        "grant" => {
            let both = groups(cbor!([[2, ["video-status"], 4, 1], [4, [], 2, 2]]));
            let mut entry = answer(0x11, 1, "IE", 1, Some(grant(0x11)), both);
            name_one(&mut entry);
            entry
        }
        "case" => {
            let mut entry = answer(
                0x22,
                1,
                "SG",
                1,
                Some(case(0x22)),
                groups(cbor!([[2, ["video-status"], 4, 1], [4, [], 1, 0]])),
            );
            entry.fact(7, tag(0x55));
            name_one(&mut entry);
            entry
        }
        "public" => answer(0x33, 1, "SG", 1, None, groups(cbor!([[1, [], 4, 1]]))),
        "flow" => {
            let listed = groups(cbor!([[2, ["interop"], 4, 1]]));
            let mut entry = answer(0x44, 2, "US", 7, Some(flow(0x44)), listed);
            entry.lane = short_name("interop-feed");
            entry
        }
        "self" => {
            let mut entry = answer(0x55, 3, "US", 9, None, groups(cbor!([])));
            (entry.classes, entry.treatments) = (7, 1);
            name_one(&mut entry);
            entry
        }
        "aggregate" => {
            let mut entry = answer(0x66, 1, "CN", 5, None, groups(cbor!([[2, [], 4, 16]])));
            entry.fact(8, Value::from(60));
            entry.mode = 3;
            entry
        }
        "import" => {
            let mut entry = answer(0x77, 4, "IE", 10, None, groups(cbor!([])));
            (entry.kind, entry.direction, entry.destination, entry.classes) = (3, 2, *b"ZZ", 7);
            entry
        }
        "refused" => {
            let mut entry = answer(0x88, 1, "CN", 1, None, groups(cbor!([[2, [], 4, 0], [1, [], 1, 0]])));
            entry.fact(10, groups(cbor!([2])));
            (entry.kind, entry.reason, entry.bytes, entry.rows) = (2, 1, 0, 0);
            entry
        }
        "malformed" => {
            let mut entry = plain_entry(2, 11);
            (entry.reason, entry.place, entry.destination) = (5, *b"ZZ", *b"ZZ");
            entry
        }
        "border" => plain_entry(5, 11),
        "list" => {
            let mut entry = answer(0x11, 1, "IE", 1, Some(grant(0x11)), groups(cbor!([[4, [], 2, 1]])));
            entry.fact(6, Value::from(9));
            let hashes: Vec<_> = list.iter().map(|tag| leaf(tag)).collect();
            (entry.mode, entry.people, entry.tags) = (2, 9, root(&hashes).to_vec());
            entry
        }
        other => unreachable!("{other}"),
    }
}
