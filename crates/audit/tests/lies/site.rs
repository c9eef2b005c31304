//! A whole site as the format pages say: two gateways, a key service and the site log over them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use ciborium::{Value, cbor};
use data_encoding::{BASE64, HEXLOWER};

use crate::writer::{
    self, Entry, Files, Log, Rulebook, START, Signer, Tag, encode, index_of, leaf, root, sha, short_name,
};

pub const SITE: &str = "site.test/s";
pub const KEYS: &str = "keys.test/s";
pub const GATEWAYS: [&str; 2] = ["ledger.test/s/a", "ledger.test/s/b"];
/// Entries of the first gateway before its stream.
pub const BUFFERED: usize = 24;
/// Indices of the entries of the stream in the first gateway's log.
pub const OPEN: usize = BUFFERED;
pub const EXTEND: usize = BUFFERED + 1;
pub const CLOSE: usize = BUFFERED + 2;
/// The day of all entries.
pub const DAY: u64 = START / 86_400;
/// When the day map is written, and rounds go on for some seconds.
pub const LATER: u64 = (DAY + 1) * 86_400 + 10;

pub fn site_key() -> Signer {
    Signer::new(SITE, 11)
}

pub fn keys_key() -> Signer {
    Signer::new(KEYS, 12)
}

pub fn gateway_key(number: usize) -> Signer {
    Signer::new(GATEWAYS[number], 13 + number as u8)
}

pub fn witness(number: u8) -> Signer {
    Signer::new(["witness.test/1", "witness.test/2"][usize::from(number) - 1], 20 + number)
}

pub fn holder(number: u8) -> Signer {
    Signer::new(["holder.test/1", "holder.test/2", "holder.test/3"][usize::from(number) - 1], 30 + number)
}

/// A release of the key service.
#[derive(Clone, Debug)]
pub struct Release {
    pub time: u64,
    pub flow: [u8; 16],
    pub rulebook: [u8; 32],
    pub purpose: u16,
    pub people: u32,
    pub mode: u8,
    pub tags: Vec<u8>,
}

impl Release {
    fn of(entry: &Entry) -> Self {
        Self {
            time: entry.time,
            flow: entry.flow,
            rulebook: entry.rulebook,
            purpose: entry.purpose,
            people: entry.people,
            mode: entry.mode,
            tags: entry.tags.clone(),
        }
    }

    fn encode(&self, sequence: u64) -> Vec<u8> {
        let mut bytes = b"CLVK\x01\x01".to_vec();
        bytes.extend([self.mode, if self.mode == 1 { (self.tags.len() / 16) as u8 } else { 0 }]);
        bytes.extend(short_name(KEYS));
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(self.time.to_be_bytes());
        bytes.extend(self.flow);
        bytes.extend(self.rulebook);
        bytes.extend(self.purpose.to_be_bytes());
        bytes.extend([0; 2]);
        bytes.extend(self.people.to_be_bytes());
        bytes.extend(&self.tags);
        bytes.resize(160, 0);
        bytes
    }
}

/// A leaf of the site log.
#[derive(Clone, Debug)]
pub struct SiteLeaf {
    pub kind: u8,
    pub time: u64,
    pub body: Value,
}

impl SiteLeaf {
    fn encode(&self, sequence: u64) -> Vec<u8> {
        let mut bytes = b"CLVS\x01".to_vec();
        bytes.extend([self.kind, 0, 0]);
        bytes.extend(short_name(SITE));
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(self.time.to_be_bytes());
        bytes.extend(encode(&self.body));
        bytes
    }
}

/// Everything before it is published.
#[derive(Clone)]
pub struct World {
    pub gateways: Vec<Log>,
    pub keys: Vec<Release>,
    pub site: Vec<SiteLeaf>,
}

/// The log as it was when its entries had at most this time.
fn state(leaves: &[(u64, Vec<u8>)], time: u64) -> (u64, [u8; 32]) {
    let size = leaves.iter().take_while(|(at, _)| *at <= time).count();
    let hashes: Vec<_> = leaves.iter().take(size).map(|(_, bytes)| leaf(bytes)).collect();
    (size as u64, root(&hashes))
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(bytes.to_vec())
}

impl World {
    pub fn honest() -> Self {
        let mut one = Log::honest(BUFFERED);
        one.rulebooks = vec![rulebook()];
        let mut other = Log::honest(3);
        other.rulebooks = vec![rulebook()];
        other.tag_lists.clear();
        stream(&mut one);
        let mut world = Self { gateways: vec![one, other], keys: Vec::new(), site: Vec::new() };
        for (number, log) in world.gateways.iter_mut().enumerate() {
            let digest = log.rulebooks[0].digest();
            for (index, entry) in log.entries.iter_mut().enumerate() {
                entry.gateway = short_name(GATEWAYS[number]);
                entry.rulebook = digest;
                entry.sequence = index as u64;
                if entry.kind < 6 {
                    entry.set_time(START + index as u64 / 4);
                    entry.flow = [number as u8 + 1; 16];
                    entry.flow[8..].copy_from_slice(&(index as u64).to_be_bytes());
                }
            }
        }
        world.release_keys();
        world.write_site();
        world
    }

    /// Writes the key service's log after the entries.
    pub fn release_keys(&mut self) {
        let named = |entry: &&Entry| matches!(entry.kind, 1 | 2 | 6) && matches!(entry.mode, 1 | 2);
        let entries = self.gateways.iter().flat_map(|log| &log.entries);
        self.keys = entries.filter(named).map(Release::of).collect();
        self.keys.sort_by_key(|release| release.time);
    }

    /// Writes the site log after all others, as an honest site would.
    pub fn write_site(&mut self) {
        let digest = self.gateways[0].rulebooks[0].digest();
        self.site = vec![
            SiteLeaf { kind: 2, time: START, body: enrolment(2) },
            SiteLeaf { kind: 4, time: START, body: cbor!({ 0 => bytes(&digest) }).unwrap() },
        ];
        // The grant and the case that crossings lean on, each asked for and approved.
        for (request, requester, ground, serves) in
            [(0x90, 0x11, 1, [START - 1000, START + 100_000]), (0x91, 0x22, 2, [START - 600, START + 6600])]
        {
            let ask = act([1, 0, 1], request, requester, Some(requester), ground, [0, 0], &digest);
            let approve = act([2, 1, 2], request, requester, Some(0x80), ground, serves, &digest);
            self.site.extend([ask, approve]);
        }
        for time in (START..START + 12).chain(LATER..LATER + 2) {
            self.site.push(SiteLeaf { kind: 1, time, body: self.round(time) });
        }
        let body = self.day_map();
        self.site.push(SiteLeaf { kind: 3, time: LATER + 2, body });
        self.site.push(SiteLeaf { kind: 1, time: LATER + 3, body: self.round(LATER + 3) });
    }

    fn leaves(&self, origin: &str) -> Vec<(u64, Vec<u8>)> {
        match GATEWAYS.iter().position(|other| *other == origin) {
            Some(number) => {
                self.gateways[number].entries.iter().map(|entry| (entry.time, entry.encode())).collect()
            }
            None => (0..).zip(&self.keys).map(|(n, release)| (release.time, release.encode(n))).collect(),
        }
    }

    fn round(&self, time: u64) -> Value {
        let line = |origin: &str| {
            let (size, root) = state(&self.leaves(origin), time);
            Value::Array(vec![origin.into(), size.into(), bytes(&root)])
        };
        let lines = [KEYS, GATEWAYS[0], GATEWAYS[1]].map(line);
        Value::Map(vec![(0.into(), Value::Array(lines.to_vec()))])
    }

    /// The final map of the day of all entries, built the slow way.
    fn day_map(&self) -> Value {
        let mut lists: BTreeMap<Tag, BTreeSet<(u64, u64)>> = BTreeMap::new();
        for log in &self.gateways {
            for entry in &log.entries {
                let tags = match entry.mode {
                    1 => entry.tags.as_chunks::<16>().0.to_vec(),
                    2 => log.tag_lists[0].clone(),
                    _ => Vec::new(),
                };
                for tag in tags {
                    let pair = (u64::from_be_bytes(entry.gateway), entry.sequence);
                    lists.entry(tag).or_default().insert(pair);
                }
            }
        }
        let map_leaf = |tag: &Tag, list: &BTreeSet<(u64, u64)>| {
            let pairs: Vec<u8> =
                list.iter().flat_map(|(g, i)| [g.to_be_bytes(), i.to_be_bytes()]).flatten().collect();
            leaf(&[&tag[..], &(list.len() as u32).to_be_bytes(), &sha(&pairs)].concat())
        };
        let mut leaves = vec![map_leaf(&[0; 16], &BTreeSet::new())];
        leaves.extend(lists.iter().map(|(tag, list)| map_leaf(tag, list)));
        leaves.push(map_leaf(&[0xff; 16], &BTreeSet::new()));
        let (root, tags) = (root(&leaves), lists.len() as u64);
        let pairs: u64 = lists.values().map(|list| list.len() as u64).sum();
        let record =
            [&(DAY as u32).to_be_bytes()[..], &root, &tags.to_be_bytes(), &pairs.to_be_bytes()].concat();
        let inputs: Vec<Value> = GATEWAYS
            .iter()
            .map(|origin| {
                let (size, root) = state(&self.leaves(origin), u64::MAX);
                Value::Array(vec![(*origin).into(), 0.into(), size.into(), bytes(&root)])
            })
            .collect();
        cbor!({
            0 => DAY, 1 => true, 2 => bytes(&root), 3 => tags, 4 => pairs, 5 => Value::Array(inputs),
            6 => bytes(&leaf(&record)), 7 => 1,
        })
        .unwrap()
    }

    /// Everything that a mirror of this site holds.
    pub fn publish(&self) -> Files {
        let mut files = Files::new();
        for (number, log) in self.gateways.iter().enumerate() {
            let leaves: Vec<_> = self.leaves(GATEWAYS[number]).into_iter().map(|(_, bytes)| bytes).collect();
            let mut tree = log.publish();
            tree.retain(|path, _| path.starts_with("tags/") || path.starts_with("rulebook/"));
            tree.extend(publish_log(GATEWAYS[number], &gateway_key(number), &leaves));
            let prefix = ["a", "b"][number];
            files.extend(tree.into_iter().map(|(path, bytes)| (format!("{prefix}/{path}"), bytes)));
        }
        let keys: Vec<_> = self.leaves(KEYS).into_iter().map(|(_, bytes)| bytes).collect();
        let keys = publish_log(KEYS, &keys_key(), &keys);
        files.extend(keys.into_iter().map(|(path, bytes)| (format!("keys/{path}"), bytes)));
        let site: Vec<_> = (0..).zip(&self.site).map(|(n, leaf)| leaf.encode(n)).collect();
        let site = publish_log(SITE, &site_key(), &site);
        files.extend(site.into_iter().map(|(path, bytes)| (format!("site/{path}"), bytes)));
        files
    }

    /// Takes a gateway off the list after the round of this time, as an honest site would.
    pub fn retire(&mut self, number: usize, time: u64) {
        let (origin, place) = (GATEWAYS[number], self.round_at(time) + 1);
        let (size, root) = state(&self.leaves(origin), u64::MAX);
        let body = cbor!({ 0 => origin, 1 => size, 2 => bytes(&root) }).unwrap();
        self.site.insert(place, SiteLeaf { kind: 7, time, body });
        self.site.insert(place + 1, SiteLeaf { kind: 2, time, body: enrolment(2) });
        for leaf in self.site[place + 1..].iter_mut().filter(|leaf| matches!(leaf.kind, 1 | 2)) {
            lines(&mut leaf.body).retain(|line| line.as_array().unwrap()[0] != origin.into());
        }
    }

    /// The index of the first leaf of this kind.
    pub fn first_of(&self, kind: u8) -> usize {
        self.site.iter().position(|leaf| leaf.kind == kind).unwrap()
    }

    /// The index of the round of this time.
    pub fn round_at(&self, time: u64) -> usize {
        self.site.iter().position(|leaf| leaf.kind == 1 && leaf.time == time).unwrap()
    }

    /// The line of a log in a round: origin, size, root.
    pub fn line(&mut self, round: usize, origin: &str) -> &mut Vec<Value> {
        let lines = lines(&mut self.site[round].body);
        lines
            .iter_mut()
            .map(|line| line.as_array_mut().unwrap())
            .find(|line| line[0] == origin.into())
            .unwrap()
    }

    /// An order that lifts the border, signed by these holders.
    pub fn add_override(&mut self, id: u8, seconds: u64, holders: &[u8]) {
        let (from, to) = (START + 5, START + 5 + seconds);
        let text = format!(
            "clover border override v1\n{SITE}\n{}\n{from} {to}\nfire-1\n",
            HEXLOWER.encode(&[id; 16])
        );
        let lines: String = holders.iter().map(|number| holder(*number).line(&text)).collect();
        let body = Value::Map(vec![(0.into(), format!("{text}\n{lines}").into())]);
        let place = self.round_at(START + 5);
        self.site.insert(place, SiteLeaf { kind: 5, time: START + 5, body });
    }
}

/// The lines of a round.
pub fn lines(body: &mut Value) -> &mut Vec<Value> {
    body.as_map_mut().unwrap()[0].1.as_array_mut().unwrap()
}

fn enrolment(gateways: usize) -> Value {
    let mut lines = vec![cbor!([KEYS, keys_key().vkey(), 2, "keys"]).unwrap()];
    for number in 0..gateways {
        lines.push(cbor!([GATEWAYS[number], gateway_key(number).vkey(), 1, ["a", "b"][number]]).unwrap());
    }
    Value::Map(vec![(0.into(), Value::Array(lines))])
}

/// An act on a request: what it is, its number and the state after it.
pub fn act(
    [act, number, state]: [u8; 3],
    request: u8,
    requester: u8,
    by: Option<u8>,
    ground: u8,
    serves: [u64; 2],
    rulebook: &[u8; 32],
) -> SiteLeaf {
    let tag = |of: u8| bytes(&[of; 16]);
    let by: Vec<Value> = by.into_iter().flat_map(|by| [tag(by), "employer".into(), "IE".into()]).collect();
    let most = 1_000_000_000_000_u64;
    let body = cbor!({
        0 => act, 1 => tag(request), 2 => number, 3 => state, 4 => Value::Array(by), 5 => tag(requester), 6 => 0,
        7 => [ground, 1, "video", "one"], 8 => [most, most, 1000], 9 => [START, START, serves[0], serves[1]],
        10 => false, 11 => bytes(rulebook),
    });
    SiteLeaf { kind: 9, time: START, body: body.unwrap() }
}

fn rulebook() -> Rulebook {
    let mut rulebook = Rulebook::tiny("one");
    let programme = rulebook.files.get_mut("programme.toml").unwrap();
    for (number, employer) in [(1, "one ltd"), (2, "two ltd"), (3, "one ltd")] {
        let vkey = holder(number).vkey();
        let lines = format!("\n[[border.holders]]\nvkey = \"{vkey}\"\nemployer = \"{employer}\"\n");
        programme.extend(lines.into_bytes());
    }
    rulebook
}

/// Appends an answer in three entries.
fn stream(log: &mut Log) {
    let mut open = log.entries[index_of("grant")].clone();
    open.kind = 6;
    open.flow = [0xee; 16];
    (open.bytes, open.rows, open.lease) = (1000, 0, START + 60);
    open.set_time(START + 6);
    let mut extend = open.clone();
    (extend.kind, extend.facts, extend.open) = (7, None, OPEN as u64);
    (extend.bytes, extend.rows, extend.lease, extend.time) = (5000, 2, START + 120, START + 7);
    let mut close = extend.clone();
    (close.kind, close.bytes, close.rows, close.lease, close.outcome) = (8, 4321, 9, 0, 1);
    close.time = START + 8;
    log.entries.extend([open, extend, close]);
}

/// Checkpoint, tiles and bundles of fewer than 256 leaves.
pub fn publish_log(origin: &str, signer: &Signer, leaves: &[Vec<u8>]) -> Files {
    assert!(leaves.len() < 256);
    let hashes: Vec<_> = leaves.iter().map(|bytes| leaf(bytes)).collect();
    let text = format!("{origin}\n{}\n{}\n", leaves.len(), BASE64.encode(&root(&hashes)));
    let mut files =
        Files::from([("checkpoint".to_owned(), format!("{text}\n{}", signer.line(&text)).into_bytes())]);
    let bundle: Vec<u8> =
        leaves.iter().flat_map(|leaf| [&(leaf.len() as u16).to_be_bytes()[..], leaf].concat()).collect();
    files.insert(format!("tile/entries/000.p/{}", leaves.len()), bundle);
    files.insert(format!("tile/0/000.p/{}", leaves.len()), hashes.concat());
    files
}

/// The key of a witness (C2SP tlog-cosignature).
fn cosigner_vkey(signer: &Signer) -> String {
    let key = [&[4], signer.public()].concat();
    format!("{}+{}+{}", signer.name, HEXLOWER.encode(&cosigner_id(signer)), BASE64.encode(&key))
}

fn cosigner_id(signer: &Signer) -> Vec<u8> {
    sha(&[signer.name.as_bytes(), b"\n\x04", signer.public()].concat())[..4].to_vec()
}

fn cosignature(signer: &Signer, text: &str, time: u64) -> String {
    let signature = signer.sign(format!("cosignature/v1\ntime {time}\n{text}").as_bytes());
    let blob = [cosigner_id(signer), time.to_be_bytes().to_vec(), signature].concat();
    format!("— {} {}\n", signer.name, BASE64.encode(&blob))
}

/// The policy of two witnesses that must both sign.
pub fn policy() -> String {
    let line = |number: u8| format!("witness w{number} {}\n", cosigner_vkey(&witness(number)));
    format!("log {}\n{}{}group both all w1 w2\nquorum both\n", site_key().vkey(), line(1), line(2))
}

/// Adds cosignatures to the site's checkpoint.
pub fn cosign(files: &mut Files, witnesses: &[u8]) {
    let note = String::from_utf8(files["site/checkpoint"].clone()).unwrap();
    let (text, _) = note.split_once("\n\n").unwrap();
    let text = format!("{text}\n");
    let lines: String =
        witnesses.iter().map(|number| cosignature(&witness(*number), &text, LATER + 4)).collect();
    files.insert("site/checkpoint".into(), format!("{note}{lines}").into_bytes());
}

pub fn write(files: &Files, folder: &Path) {
    writer::write(files, folder);
}
