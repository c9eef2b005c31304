//! Writes a large honest ledger for measurements: `big_ledger <folder> <entries>`.
//!
//! Entries of all kinds in turn, 2,000 a second, for 200 readers. Keys and rulebook are those of the tests.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a tool of the tests")]

#[path = "../tests/audit/writer.rs"]
#[expect(dead_code, unreachable_pub, reason = "a module of several tests")]
mod writer;

use std::{fs, path::Path};

use data_encoding::BASE64;
use writer::{Log, ROUND, START, auditor, log_key, operator};

const PER_SECOND: u64 = 2000;
const READERS: u64 = 200;

/// An entry of which only place, time, flow and actor change.
struct Template {
    bytes: Vec<u8>,
    /// Where the time and the actor's tag stand in the facts.
    times: Vec<usize>,
    actors: Vec<usize>,
}

fn find(bytes: &[u8], what: &[u8]) -> Vec<usize> {
    (256..bytes.len()).filter(|at| bytes[*at..].starts_with(what)).collect()
}

fn template(entry: &writer::Entry) -> Template {
    let bytes = entry.encode();
    let now = [&[2, 0x1a][..], &(START as u32).to_be_bytes()].concat();
    let times = find(&bytes, &now).into_iter().map(|at| at + 2).collect();
    let actors = if entry.mode == 1 { Vec::new() } else { find(&bytes, &entry.actor) };
    Template { bytes, times, actors }
}

impl Template {
    fn entry(&self, index: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let time = START + index / PER_SECOND;
        bytes[16..24].copy_from_slice(&index.to_be_bytes());
        bytes[24..32].copy_from_slice(&time.to_be_bytes());
        bytes[32..48].copy_from_slice(&writer::sha(&index.to_be_bytes())[..16]);
        self.times.iter().for_each(|at| bytes[*at..at + 4].copy_from_slice(&(time as u32).to_be_bytes()));
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
    let mut log = Log::honest(1 + ROUND.len());
    log.rulebooks.truncate(1);
    let templates: Vec<_> = log.entries.iter().map(template).collect();
    for (path, bytes) in log.publish().iter().filter(|(path, _)| !path.starts_with("tile/")) {
        put(folder, path, bytes);
    }
    let mut levels: Vec<Vec<[u8; 32]>> = vec![Vec::new()];
    let mut bundle = Vec::new();
    for index in 0..count {
        let place = if index == 0 { 0 } else { 1 + (index as usize - 1) % ROUND.len() };
        let bytes = templates[place].entry(index);
        levels[0].push(writer::leaf(&bytes));
        bundle.extend((bytes.len() as u16).to_be_bytes());
        bundle.extend(bytes);
        if index % 256 == 255 || index + 1 == count {
            put(folder, &name("entries", index / 256, (index % 256) as usize + 1), &bundle);
            bundle.clear();
        }
        if index % 256 == 255 {
            let full = &levels[0][levels[0].len() - 256..];
            let (tile, root) = (full.concat(), writer::root(full));
            put(folder, &name("0", index / 256, 256), &tile);
            if levels.len() == 1 {
                levels.push(Vec::new());
            }
            levels[1].push(root);
            // Only the roots are kept.
            levels[0].clear();
        }
    }
    let tail = levels[0].clone();
    if !tail.is_empty() {
        put(folder, &name("0", count / 256, tail.len()), &tail.concat());
    }
    let mut hashes = levels.get(1).cloned().unwrap_or_default();
    let mut peaks = hashes.clone();
    for level in 1.. {
        if hashes.is_empty() {
            break;
        }
        for (index, chunk) in hashes.chunks(256).enumerate() {
            put(folder, &name(&level.to_string(), index as u64, chunk.len()), &chunk.concat());
        }
        hashes = hashes.chunks_exact(256).map(writer::root).collect();
    }
    peaks.extend(&tail);
    // The tree over full bundles and single leaves, from the right.
    let root = whole(&peaks[..peaks.len() - tail.len()], &tail);
    let text = format!("{}\n{count}\n{}\n", writer::ORIGIN, BASE64.encode(&root));
    put(folder, "checkpoint", format!("{text}\n{}", log_key().line(&text)).as_bytes());
    for signer in [log_key(), operator(), auditor()] {
        let name = signer.name.split('.').next().unwrap().to_owned();
        fs::write(folder.with_extension(format!("{name}.vkey")), signer.vkey()).unwrap();
    }
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
