//! Writes a large honest ledger for measurements: `big_ledger <folder> <entries> [<employers> [site]]`.
//!
//! Entries of all kinds in turn, 2,000 a second, about a million people, for 200 readers of so many employers (1 if not
//! said): each has facts of its own, and needs eight decisions. With `site` a mirror can follow it: the ledger is then
//! in `<folder>/gw`, and `<folder>/site` enrols it and has one round and the final map of the day. Keys and rulebook
//! are those of the tests.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a tool of the tests")]

#[path = "../tests/audit/writer.rs"]
#[expect(dead_code, unreachable_pub, reason = "a module of several tests")]
mod writer;

use std::{
    fs,
    path::{Path, PathBuf},
};

use ciborium::{Value, cbor};
use data_encoding::BASE64;
use writer::{Log, ORIGIN, ROUND, START, Signer, auditor, log_key, operator, sha};

const PER_SECOND: u64 = 2000;
const READERS: u64 = 200;
const PEOPLE: u64 = 1_000_003;
/// The tag of the tests' one person.
const PERSON: [u8; 16] = [0x55; 16];
/// As the tests' writer names it, in as many letters as are put in its place.
const EMPLOYER: &[u8] = b"employer";

/// An entry of which only place, time, flow and actor change.
struct Template {
    bytes: Vec<u8>,
    /// Where the time and the actor's tag stand in the facts.
    times: Vec<usize>,
    actors: Vec<usize>,
    employer: Option<usize>,
    /// Where the tag of the one person stands whom the entry names.
    people: Vec<usize>,
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Vec<usize> {
    (from..bytes.len()).filter(|at| bytes[*at..].starts_with(what)).collect()
}

fn template(entry: &writer::Entry) -> Template {
    let bytes = entry.encode();
    let now = [&[2, 0x1a][..], &(START as u32).to_be_bytes()].concat();
    let times = find(&bytes, 256, &now).into_iter().map(|at| at + 2).collect();
    let actors = if entry.mode == 1 { Vec::new() } else { find(&bytes, 256, &entry.actor) };
    let employer = find(&bytes, 256, EMPLOYER).first().copied();
    let people = if entry.mode == 1 { find(&bytes, 0, &PERSON) } else { Vec::new() };
    Template { bytes, times, actors, employer, people }
}

impl Template {
    fn entry(&self, index: u64, employers: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let time = START + index / PER_SECOND;
        bytes[16..24].copy_from_slice(&index.to_be_bytes());
        bytes[24..32].copy_from_slice(&time.to_be_bytes());
        bytes[32..48].copy_from_slice(&writer::sha(&index.to_be_bytes())[..16]);
        self.times.iter().for_each(|at| bytes[*at..at + 4].copy_from_slice(&(time as u32).to_be_bytes()));
        let person = sha(&((1 << 40) | (index % PEOPLE)).to_be_bytes());
        self.people.iter().for_each(|at| bytes[*at..at + 16].copy_from_slice(&person[..16]));
        if let Some(at) = self.employer.filter(|_| employers > 1) {
            let name = format!("{:08x}", index % employers);
            bytes[at..at + EMPLOYER.len()].copy_from_slice(name.as_bytes());
        }
        if !self.actors.is_empty() && self.bytes[140..156] != [0; 16] {
            let tag = writer::sha(&(index % READERS).to_be_bytes());
            for at in self.actors.iter().copied().chain([140]) {
                bytes[at..at + 16].copy_from_slice(&tag[..16]);
            }
        }
        bytes
    }
}

fn put(folder: &Path, path: &str, bytes: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn name(level: &str, index: u64, width: usize) -> String {
    let mut groups = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        groups = format!("x{:03}/{groups}", rest % 1000);
        rest /= 1000;
    }
    let partial = if width < 256 { format!(".p/{width}") } else { String::new() };
    format!("tile/{level}/{groups}{partial}")
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (folder, count): (&Path, u64) = (arguments[1].as_ref(), arguments[2].parse().unwrap());
    let employers = arguments.get(3).map_or(1, |number| number.parse().unwrap());
    let site = arguments.get(4).is_some_and(|word| word == "site");
    let gateway = if site { folder.join("gw") } else { folder.to_owned() };
    let mut log = Log::honest(1 + ROUND.len());
    log.rulebooks.truncate(1);
    let templates: Vec<_> = log.entries.iter().map(template).collect();
    for (path, bytes) in log.publish().iter().filter(|(path, _)| !path.starts_with("tile/")) {
        put(&gateway, path, bytes);
    }
    let (mut tree, mut pairs) = (Tiles::new(&gateway), Vec::new());
    for index in 0..count {
        let place = if index == 0 { 0 } else { 1 + (index as usize - 1) % ROUND.len() };
        let entry = templates[place].entry(index, employers);
        if site && entry[156] == 1 {
            pairs.push((entry[160..176].to_vec(), index));
        } else if site && entry[156] == 2 {
            pairs.extend(log.tag_lists[0].iter().map(|tag| (tag.to_vec(), index)));
        }
        tree.push(&entry);
    }
    let root = tree.finish();
    put(&gateway, "checkpoint", note(ORIGIN, count, &root, &log_key()).as_bytes());
    if site {
        write_site(&folder.join("site"), count, &root, pairs);
    }
    let names =
        [(log_key(), "ledger"), (operator(), "operator"), (auditor(), "auditor"), (site_key(), "site")];
    for (signer, name) in names {
        fs::write(folder.with_extension(format!("{name}.vkey")), signer.vkey()).unwrap();
    }
}

fn site_key() -> Signer {
    Signer::new("site.test/s", 11)
}

fn note(origin: &str, size: u64, root: &[u8; 32], signer: &Signer) -> String {
    let text = format!("{origin}\n{size}\n{}\n", BASE64.encode(root));
    format!("{text}\n{}", signer.line(&text))
}

/// A tree that is written as it grows; only the roots of full bundles are kept.
struct Tiles {
    folder: PathBuf,
    size: u64,
    bundle: Vec<u8>,
    leaves: Vec<[u8; 32]>,
    roots: Vec<[u8; 32]>,
}

impl Tiles {
    fn new(folder: &Path) -> Self {
        let (folder, bundle) = (folder.to_owned(), Vec::new());
        Self { folder, size: 0, bundle, leaves: Vec::new(), roots: Vec::new() }
    }

    fn push(&mut self, entry: &[u8]) {
        self.leaves.push(writer::leaf(entry));
        self.bundle.extend((entry.len() as u16).to_be_bytes());
        self.bundle.extend(entry);
        self.size += 1;
        if self.leaves.len() == 256 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let (index, width) = ((self.size - 1) / 256, self.leaves.len());
        put(&self.folder, &name("entries", index, width), &std::mem::take(&mut self.bundle));
        put(&self.folder, &name("0", index, width), &self.leaves.concat());
        if width == 256 {
            self.roots.push(writer::root(&self.leaves));
            self.leaves.clear();
        }
    }

    /// Writes the rest, and returns the root.
    fn finish(mut self) -> [u8; 32] {
        if !self.leaves.is_empty() {
            self.flush();
        }
        let mut hashes = self.roots.clone();
        for level in 1.. {
            if hashes.is_empty() {
                break;
            }
            for (index, chunk) in hashes.chunks(256).enumerate() {
                put(&self.folder, &name(&level.to_string(), index as u64, chunk.len()), &chunk.concat());
            }
            hashes = hashes.chunks_exact(256).map(writer::root).collect();
        }
        whole(&self.roots, &self.leaves)
    }
}

/// The site's own log: an enrolment, a round, the final map of the day, and a round.
fn write_site(folder: &Path, size: u64, root: &[u8; 32], pairs: Vec<(Vec<u8>, u64)>) {
    let over = (START / 86_400 + 1) * 86_400 + 300;
    let map = |value: Result<Value, ciborium::value::Error>| value.unwrap();
    let round = || map(cbor!({ 0 => [[ORIGIN, size, Value::Bytes(root.to_vec())]] }));
    let leaves = [
        (2, START, map(cbor!({ 0 => [[ORIGIN, log_key().vkey(), 1, "gw"]] }))),
        (1, START + 1, round()),
        (3, over, day_map(size, root, pairs)),
        (1, over + 1, round()),
    ];
    let mut tree = Tiles::new(folder);
    for (index, (kind, time, body)) in (0_u64..).zip(leaves) {
        let mut leaf = [b"CLVS\x01", &[kind, 0, 0][..], &sha(b"site.test/s")[..8]].concat();
        leaf.extend(index.to_be_bytes());
        leaf.extend(time.to_be_bytes());
        leaf.extend(writer::encode(&body));
        tree.push(&leaf);
    }
    let root = tree.finish();
    put(folder, "checkpoint", note("site.test/s", 4, &root, &site_key()).as_bytes());
}

/// The final map of the day of all entries, over pairs of tag and index.
fn day_map(size: u64, log: &[u8; 32], mut pairs: Vec<(Vec<u8>, u64)>) -> Value {
    pairs.sort_unstable();
    let gateway = &sha(ORIGIN.as_bytes())[..8];
    let leaf = |tag: &[u8], count: usize, list: &[u8]| {
        writer::leaf(&[tag, &(count as u32).to_be_bytes(), &sha(list)].concat())
    };
    let mut leaves = vec![leaf(&[0; 16], 0, &[])];
    for list in pairs.chunk_by(|one, other| one.0 == other.0) {
        let bytes: Vec<u8> =
            list.iter().flat_map(|(_, index)| [gateway, &index.to_be_bytes()].concat()).collect();
        leaves.push(leaf(&list[0].0, list.len(), &bytes));
    }
    leaves.push(leaf(&[0xff; 16], 0, &[]));
    let (day, root, tags, count) = (START / 86_400, writer::root(&leaves), leaves.len() - 2, pairs.len());
    let numbers = [(tags as u64).to_be_bytes(), (count as u64).to_be_bytes()].concat();
    let record = writer::leaf(&[&(day as u32).to_be_bytes()[..], &root, &numbers].concat());
    cbor!({
        0 => day, 1 => true, 2 => Value::Bytes(root.to_vec()), 3 => tags, 4 => count,
        5 => [[ORIGIN, 0, size, Value::Bytes(log.to_vec())]], 6 => Value::Bytes(record.to_vec()), 7 => 1,
    })
    .unwrap()
}

/// RFC 6962's root over roots of full bundles, followed by fewer than 256 leaves.
fn whole(bundles: &[[u8; 32]], tail: &[[u8; 32]]) -> [u8; 32] {
    let mut peaks: Vec<[u8; 32]> = Vec::new();
    let mut rest = bundles;
    while !rest.is_empty() {
        let size = 1 << rest.len().ilog2();
        peaks.push(writer::root(&rest[..size]));
        rest = &rest[size..];
    }
    if !tail.is_empty() {
        peaks.push(writer::root(tail));
    }
    let last = peaks.pop().unwrap();
    peaks.iter().rev().fold(last, |right, left| writer::sha(&[&[1], &left[..], &right].concat()))
}
