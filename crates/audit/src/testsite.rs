//! A small site for tests: two gateways, their entries over some days, and a site log with its day maps.

use std::{collections::BTreeMap, fs, path::Path};

use ciborium::{Value, cbor};
use tempfile::TempDir;

use crate::{
    cosign::{KeyKind, SigningKey},
    daymap::{DAY_SECONDS, LEAF_BYTES, map_leaf, record},
    hash::{Hash, leaf_hash, node_hash, root_of, sha256},
    header::Tag,
    note::VerifierKey,
    siteleaf::{DayMapEntry, DayMapInput},
    tile::{Level, Tile},
    tree::hex_of,
};

pub(crate) const DAY: u64 = 21_990;
pub(crate) const SITE: &str = "site.t/s";
pub(crate) const ORIGINS: [&str; 2] = ["ledger.t/s/a", "ledger.t/s/b"];

/// An entry of the test: its time, whom it names, and what is at its offsets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Small {
    pub(crate) time: u64,
    pub(crate) tags: Vec<Tag>,
    pub(crate) detail: Hash,
    pub(crate) bytes: u64,
    pub(crate) flow: [u8; 16],
    pub(crate) rulebook: Hash,
}

pub(crate) fn tag(byte: u8) -> Tag {
    [byte; 16]
}

pub(crate) fn leaf(bytes: &[u8]) -> Hash {
    leaf_hash(bytes, &mut Vec::new())
}

pub(crate) fn entry(origin: &str, index: u64, small: &Small) -> Vec<u8> {
    let mut bytes = vec![0; 256];
    bytes[..8].copy_from_slice(b"CLV1\x01\x01\x01\x01");
    bytes[8..16].copy_from_slice(&sha256(origin.as_bytes())[..8]);
    bytes[16..24].copy_from_slice(&index.to_be_bytes());
    bytes[24..32].copy_from_slice(&small.time.to_be_bytes());
    bytes[32..48].copy_from_slice(&small.flow);
    bytes[48..80].copy_from_slice(&small.rulebook);
    bytes[81] = 1;
    bytes[82..88].copy_from_slice(b"IEIE\x01\x01");
    bytes[96..104].copy_from_slice(&small.bytes.to_be_bytes());
    bytes[108..140].copy_from_slice(&small.detail);
    bytes[92..96].copy_from_slice(&(small.tags.len() as u32).to_be_bytes());
    match small.tags.len() {
        0 => {}
        count @ 1..=4 => {
            bytes[156..158].copy_from_slice(&[1, count as u8]);
            bytes[160..160 + count * 16].copy_from_slice(small.tags.as_flattened());
        }
        _ => {
            bytes[156] = 2;
            bytes[160..192].copy_from_slice(&list_root(&small.tags));
        }
    }
    bytes
}

fn list_root(tags: &[Tag]) -> Hash {
    root_of(&tags.iter().map(|tag| leaf(tag)).collect::<Vec<_>>())
}

/// The proof of several leaves, as the page of the day map says it.
pub(crate) fn several(set: &[usize], hashes: &[Hash]) -> Vec<u8> {
    several_from(set, 0, hashes).concat()
}

fn several_from(set: &[usize], from: usize, hashes: &[Hash]) -> Vec<Hash> {
    if !set.iter().any(|index| (from..from + hashes.len()).contains(index)) {
        return vec![root(hashes)];
    }
    if hashes.len() == 1 {
        return Vec::new();
    }
    let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
    [several_from(set, from, left), several_from(set, from + left.len(), right)].concat()
}

fn root(hashes: &[Hash]) -> Hash {
    match hashes {
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

/// Writes a log as it is published, all but its checkpoint; returns its root.
pub(crate) fn publish(folder: &Path, leaves: &[Vec<u8>]) -> Hash {
    for (index, chunk) in (0..).zip(leaves.chunks(256)) {
        let tile = Tile { level: Level::Entries, index, width: chunk.len() as u64 };
        let framed = chunk.iter().flat_map(|entry| [&(entry.len() as u16).to_be_bytes()[..], entry].concat());
        put(folder, &tile.to_string(), &framed.collect::<Vec<_>>());
    }
    let hashes: Vec<_> = leaves.iter().map(|entry| leaf(entry)).collect();
    let (mut row, mut level) = (hashes.clone(), 0);
    while !row.is_empty() {
        for (index, chunk) in (0..).zip(row.chunks(256)) {
            let tile = Tile { level: Level::Hashes(level), index, width: chunk.len() as u64 };
            put(folder, &tile.to_string(), chunk.as_flattened());
        }
        row = row.chunks_exact(256).map(root_of).collect();
        level += 1;
    }
    root_of(&hashes)
}

fn put(folder: &Path, path: &str, bytes: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Writes a gateway's log with its tag lists.
pub(crate) fn publish_gateway(folder: &Path, origin: &str, log: &[Small]) -> Hash {
    let entries: Vec<_> = (0..).zip(log).map(|(index, small)| entry(origin, index, small)).collect();
    for small in log.iter().filter(|small| small.tags.len() > 4) {
        put(folder, &format!("tags/{}", hex_of(&list_root(&small.tags))), small.tags.as_flattened());
    }
    publish(folder, &entries)
}

/// The key of a log, from its origin.
pub(crate) fn key(origin: &str) -> SigningKey {
    SigningKey::from_seed(origin, KeyKind::Auditor, &sha256(origin.as_bytes())).unwrap()
}

pub(crate) fn vkey(origin: &str) -> VerifierKey {
    VerifierKey::parse(&key(origin).vkey()).unwrap()
}

pub(crate) fn checkpoint(origin: &str, size: usize, root: &Hash) -> String {
    let text = format!("{origin}\n{size}\n{}\n", data_encoding::BASE64.encode(root));
    format!("{text}\n{}", key(origin).line(&text, 0))
}

/// The map of a day, word by word as the page says.
pub(crate) struct PageMap {
    pub(crate) leaves: Vec<[u8; LEAF_BYTES]>,
    pub(crate) lists: BTreeMap<Tag, Vec<[u8; 16]>>,
}

impl PageMap {
    /// Of entries `from` ≤ index < `to` of each log.
    pub(crate) fn new(day: u64, logs: &[(&str, &[Small], u64, u64)]) -> Self {
        let mut lists: BTreeMap<Tag, Vec<[u8; 16]>> = BTreeMap::new();
        for (origin, log, from, to) in logs {
            for (index, small) in (0..).zip(*log) {
                if (*from..*to).contains(&index) && small.time / DAY_SECONDS == day {
                    let pair = [&sha256(origin.as_bytes())[..8], &u64::to_be_bytes(index)].concat();
                    small.tags.iter().for_each(|tag| {
                        lists.entry(*tag).or_default().push(pair.clone().try_into().unwrap());
                    });
                }
            }
        }
        lists.values_mut().for_each(|list| list.sort_unstable());
        let mut all = lists.clone();
        all.insert([0; 16], Vec::new());
        all.insert([0xff; 16], Vec::new());
        let leaf = |(tag, list): (&Tag, &Vec<[u8; 16]>)| {
            map_leaf(u128::from_be_bytes(*tag), list.len() as u32, &sha256(list.as_flattened()))
        };
        Self { leaves: all.iter().map(leaf).collect(), lists }
    }

    pub(crate) fn hashes(&self) -> Vec<Hash> {
        self.leaves.iter().map(|bytes| leaf(bytes)).collect()
    }

    pub(crate) fn root(&self) -> Hash {
        root_of(&self.hashes())
    }

    pub(crate) fn tags(&self) -> u64 {
        self.lists.len() as u64
    }

    pub(crate) fn pairs(&self) -> u64 {
        self.lists.values().map(|list| list.len() as u64).sum()
    }
}

/// Two logs over three days: some entries with none, few, and many people.
pub(crate) fn small_logs() -> [Vec<Small>; 2] {
    let log = |salt: u64, count: u64| {
        let small = |index: u64| {
            let bytes = (0..(index * salt) % 7).map(|n| ((index * 5 + n * 11 + salt) % 50 + 1) as u8);
            let mut tags: Vec<_> = bytes.map(tag).collect();
            tags.sort_unstable();
            tags.dedup();
            // Clocks are set back now and then.
            let back = if index % 7 == 3 { 200 } else { 0 };
            let time = DAY * DAY_SECONDS + index * 3 * DAY_SECONDS / count + 400 - back;
            let mut flow = [salt as u8; 16];
            flow[..8].copy_from_slice(&index.to_be_bytes());
            Small { time, tags, flow, ..Small::default() }
        };
        (0..count).map(small).collect()
    };
    [log(3, 900), log(5, 700)]
}

/// A leaf of the site log.
pub(crate) fn site_leaf(kind: u8, index: u64, time: u64, body: &Value) -> Vec<u8> {
    let mut bytes = [&b"CLVS\x01"[..], &[kind, 0, 0], &sha256(SITE.as_bytes())[..8]].concat();
    bytes.extend(index.to_be_bytes());
    bytes.extend(time.to_be_bytes());
    ciborium::into_writer(body, &mut bytes).unwrap();
    bytes
}

pub(crate) fn enrolment() -> Value {
    enrolment_of(&ORIGINS)
}

pub(crate) fn enrolment_of(origins: &[&str]) -> Value {
    let line = |(number, origin): (usize, &&str)| {
        cbor!([*origin, key(origin).vkey(), 1, format!("gateway/{number}")]).unwrap()
    };
    let lines: Vec<_> = origins.iter().enumerate().map(line).collect();
    Value::Map(vec![(Value::from(0), Value::Array(lines))])
}

pub(crate) fn round(logs: &[(&str, u64, Hash)]) -> Value {
    let line = |(origin, size, root): &(&str, u64, Hash)| {
        Value::Array(vec![Value::from(*origin), Value::from(*size), Value::Bytes(root.to_vec())])
    };
    Value::Map(vec![(Value::from(0), Value::Array(logs.iter().map(line).collect()))])
}

pub(crate) fn day_map(map: &DayMapEntry) -> Value {
    let input = |input: &DayMapInput| {
        let numbers = [input.from, input.to].map(Value::from);
        let [from, to] = numbers;
        Value::Array(vec![Value::from(input.origin.as_str()), from, to, Value::Bytes(input.root.to_vec())])
    };
    let values = [
        Value::from(map.day),
        Value::from(map.is_final),
        Value::Bytes(map.root.to_vec()),
        Value::from(map.tags),
        Value::from(map.pairs),
        Value::Array(map.inputs.iter().map(input).collect()),
        Value::Bytes(map.calendar_root.to_vec()),
        Value::from(map.calendar_records),
    ];
    Value::Map((0..).zip(values).map(|(key, value)| (Value::from(key), value)).collect())
}

/// Two gateways and the site log over them, as a mirror holds them.
pub(crate) struct TestSite {
    pub(crate) folder: TempDir,
    pub(crate) logs: [Vec<Small>; 2],
    pub(crate) leaves: Vec<Vec<u8>>,
    pub(crate) records: Vec<[u8; LEAF_BYTES]>,
}

impl TestSite {
    /// A site whose log has an enrolment, a round, final maps of the first two days, one of the third that is
    /// not final, and a round again.
    pub(crate) fn new(logs: [Vec<Small>; 2]) -> Self {
        let folder = TempDir::new().unwrap();
        for (number, origin) in ORIGINS.into_iter().enumerate() {
            let tree = folder.path().join(format!("gateway/{number}"));
            let root = publish_gateway(&tree, origin, &logs[number]);
            fs::write(tree.join("checkpoint"), checkpoint(origin, logs[number].len(), &root)).unwrap();
        }
        let mut site = Self { folder, logs, leaves: Vec::new(), records: Vec::new() };
        let start = DAY * DAY_SECONDS;
        site.push(2, start, &enrolment());
        site.push_round(start + 1);
        site.push_map(DAY, true);
        site.push_map(DAY + 1, true);
        site.push_map(DAY + 2, false);
        site.push_round((DAY + 3) * DAY_SECONDS - 1);
        site
    }

    pub(crate) fn push(&mut self, kind: u8, time: u64, body: &Value) {
        let leaf = site_leaf(kind, self.leaves.len() as u64, time, body);
        self.leaves.push(leaf);
    }

    pub(crate) fn push_round(&mut self, time: u64) {
        let line = |number: usize| {
            (ORIGINS[number], self.logs[number].len() as u64, self.root(number, self.logs[number].len()))
        };
        let body = round(&[line(0), line(1)]);
        self.push(1, time, &body);
    }

    /// The entry of the map of a day, over all entries.
    pub(crate) fn push_map(&mut self, day: u64, is_final: bool) {
        let map = self.page_map(day);
        if is_final {
            self.records.push(record(day as u32, &map.root(), map.tags(), map.pairs()));
        }
        let inputs = [0, 1].map(|number| {
            let to = self.logs[number].len();
            DayMapInput {
                origin: ORIGINS[number].into(),
                from: 0,
                to: to as u64,
                root: self.root(number, to),
            }
        });
        let entry = DayMapEntry {
            day,
            is_final,
            root: map.root(),
            tags: map.tags(),
            pairs: map.pairs(),
            inputs: inputs.into(),
            calendar_root: root_of(&self.records.iter().map(|record| leaf(record)).collect::<Vec<_>>()),
            calendar_records: self.records.len() as u64,
        };
        let time = if is_final { (day + 1) * DAY_SECONDS + 60 } else { day * DAY_SECONDS + 43_200 };
        self.push(3, time, &day_map(&entry));
    }

    pub(crate) fn page_map(&self, day: u64) -> PageMap {
        let log = |number: usize| (ORIGINS[number], &*self.logs[number], 0, u64::MAX);
        PageMap::new(day, &[log(0), log(1)])
    }

    pub(crate) fn hashes(&self, number: usize) -> Vec<Hash> {
        (0..)
            .zip(&self.logs[number])
            .map(|(index, small)| leaf(&entry(ORIGINS[number], index, small)))
            .collect()
    }

    pub(crate) fn root(&self, number: usize, size: usize) -> Hash {
        root_of(&self.hashes(number)[..size])
    }

    /// Writes the site log with its checkpoint; returns the checkpoint.
    pub(crate) fn publish_site(&self, cosigners: &[&SigningKey]) -> String {
        let tree = self.folder.path().join("site");
        let root = publish(&tree, &self.leaves);
        let note = checkpoint(SITE, self.leaves.len(), &root);
        let (text, _) = note.split_once("\n\n").unwrap();
        let lines: String =
            cosigners.iter().map(|key| key.line(&format!("{text}\n"), 1_900_000_000)).collect();
        let note = format!("{note}{lines}");
        fs::write(tree.join("checkpoint"), &note).unwrap();
        note
    }
}
