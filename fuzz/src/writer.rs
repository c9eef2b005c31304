//! The writer's parsers. The first byte of the data chooses one, so that a few targets reach them all.
//!
//! `crates/ledger/tests/corpus.rs` includes this file: the corpus runs through it without a fuzzer too.

use std::hint::black_box;

use ledger::{
    SecretKey,
    checkpoint::Checkpoint,
    daymap,
    detail::Detail,
    entry, facts,
    history::History,
    keylog,
    migration::Record,
    note::{Note, Verifier},
    policy::Policy,
    proof::LogProof,
    site, tile, wal, witness,
};
use model::{FlowId, Tag};

/// Notes, and the texts around them.
pub fn texts(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    match which {
        b'r' => return request(rest),
        b'a' => return answer(rest),
        _ => {}
    }
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match which {
        b'n' => same(text, text.parse::<Note>().ok()),
        b'k' => same(text, Verifier::parse(text).ok().map(|key| key.to_vkey())),
        b'c' => same(text, text.parse::<Checkpoint>().ok()),
        b'p' => same(text, text.parse::<LogProof>().ok()),
        b's' => same(text, text.parse::<witness::Response>().ok()),
        b't' => tile_path(text),
        b'y' => policy(text),
        b'v' => same(text, Record::parse(text).ok().map(|record| record.text())),
        _ => {}
    }
}

/// What was read is written again as it was.
fn same(text: &str, read: Option<impl std::fmt::Display>) {
    if let Some(read) = read {
        assert_eq!(read.to_string(), text);
    }
}

fn request(body: &[u8]) {
    let Ok(request) = witness::Request::parse(body) else { return };
    assert_eq!(request.to_string().as_bytes(), body);
    black_box(request.unverified_origin());
}

fn answer(data: &[u8]) {
    let Some((status, body)) = data.split_first_chunk::<2>() else { return };
    let status = u16::from_be_bytes(*status);
    for content_type in [None, Some(witness::SIZE_CONTENT_TYPE)] {
        let _ = black_box(witness::Answer::read(status, content_type, body));
    }
}

fn tile_path(path: &str) {
    let Ok(tile) = path.parse::<tile::TileCoordinates>() else { return };
    assert_eq!(tile.to_string(), path);
    black_box((tile.byte_length(), tile.as_entries()));
    black_box(tile::partial_tiles(tile.index()).count());
    black_box(tile::tiles_of_leaf(tile.index(), u64::MAX).count());
}

fn policy(text: &str) {
    let Ok(policy) = Policy::parse(text) else { return };
    assert_eq!(Policy::parse(&policy.to_string()).as_ref(), Ok(&policy));
    // Every cosignature there is satisfies whatever can be asked.
    assert!(policy.satisfied(|_| true));
    assert_eq!(policy.satisfied(|_| false), policy.is_unwitnessed());
}

/// Entries of the three logs, and facts. What is read is written again as it was.
pub fn leaves(data: &[u8]) {
    match data.split_first() {
        Some((b'e', leaf)) => entry_leaf(leaf),
        Some((b'f', bytes)) => {
            if let Ok(read) = facts::decode(bytes) {
                let mut again = facts::encode(&read);
                if let Ok(Some(spent)) = facts::spent(bytes) {
                    again = again.and_then(|facts| facts::with_spent(&facts, &spent));
                }
                if let Ok(Some(risk)) = facts::risk(bytes) {
                    again = again.and_then(|facts| facts::with_risk(&facts, &risk));
                }
                assert_eq!(again.as_deref(), Ok(bytes));
            }
        }
        Some((b's', leaf)) => site_leaf(leaf),
        Some((b'k', leaf)) => key_leaf(leaf),
        _ => {}
    }
}

fn entry_leaf(leaf: &[u8]) {
    let Ok(read) = entry::Entry::decode(leaf) else { return };
    let again = read.draft.encode(read.gateway, read.sequence);
    match read.tag_root {
        None => assert_eq!(again, leaf),
        // The tags themselves are elsewhere: number, mode and root cannot be written again without them.
        Some(root) => {
            assert!(leaf.windows(32).any(|bytes| bytes == root.as_bytes()));
            assert_eq!(without(&again, &[92..96, 156..224]), without(leaf, &[92..96, 156..224]));
        }
    }
    let _ = black_box(facts::decode(&read.draft.facts));
}

fn site_leaf(leaf: &[u8]) {
    let Ok(read) = site::decode(leaf) else { return };
    // The sequencer writes the place into bytes 8 to 23.
    let again = read.entry.encode(read.time);
    assert_eq!(again.map(|bytes| without(&bytes, PLACE)), Ok(without(leaf, PLACE)));
}

fn key_leaf(leaf: &[u8]) {
    let Ok(read) = keylog::decode(leaf) else { return };
    match (read.release.encode(), read.tag_root) {
        (Some(again), None) => assert_eq!(without(&again, PLACE), without(leaf, PLACE)),
        (again, root) => assert!(again.is_none() && root.is_some()),
    }
}

/// Where a leaf's log and sequence stand.
const PLACE: &[std::ops::Range<usize>] = std::slice::from_ref(&(8..24));

/// The bytes outside these ranges.
fn without(bytes: &[u8], holes: &[std::ops::Range<usize>]) -> Vec<u8> {
    let outside = |at: &usize| !holes.iter().any(|hole| hole.contains(at));
    bytes.iter().enumerate().filter(|(at, _)| outside(at)).map(|(_, byte)| *byte).collect()
}

/// Whether the writer takes a leaf or facts, for comparing with the auditor; nothing where the auditor reports
/// the same later, with a finding of its own.
pub fn takes(data: &[u8]) -> Option<bool> {
    use entry::EntryError::Field;

    let (which, bytes) = data.split_first()?;
    match which {
        b'e' => match entry::Entry::decode(bytes) {
            Err(Field("lease" | "facts, which are not there" | "facts, which the open has")) => None,
            read => Some(read.is_ok()),
        },
        b'f' => Some(facts::decode(bytes).is_ok()),
        b's' => Some(site::decode(bytes).is_ok()),
        b'k' => Some(keylog::decode(bytes).is_ok()),
        _ => None,
    }
}

/// Whether the writer takes a text, for comparing with the auditor.
pub fn takes_text(data: &[u8]) -> Option<bool> {
    let (which, bytes) = data.split_first()?;
    if *which == b'r' {
        // The witness looks at the checkpoint itself only when it decides.
        let request = witness::Request::parse(bytes).ok();
        return Some(request.is_some_and(|r| r.checkpoint().unverified_text().parse::<Checkpoint>().is_ok()));
    }
    let text = std::str::from_utf8(bytes).ok()?;
    match which {
        b'c' => Some(text.parse::<Checkpoint>().is_ok()),
        b'n' => Some(text.parse::<Note>().is_ok()),
        b't' => Some(text.parse::<tile::TileCoordinates>().is_ok()),
        b'y' => Some(Policy::parse(text).is_ok()),
        b'v' => Some(Record::parse(text).is_ok()),
        _ => None,
    }
}

/// What lies on disks: bundles, day maps, calendars, histories, detail records, frames of the write-ahead log.
pub fn files(data: &[u8]) {
    match data.split_first() {
        Some((b'b', rest)) => bundle(rest),
        Some((b'c', rest)) => {
            if let Ok(read) = daymap::Calendar::from_bytes(rest) {
                assert_eq!(read.to_bytes(), rest);
                black_box(read.head());
            }
        }
        Some((b'd', rest)) => detail(rest),
        Some((b'h', rest)) => history(rest),
        Some((b'm', rest)) => day_map(rest),
        Some((b'w', rest)) => frame(rest),
        _ => {}
    }
}

fn bundle(data: &[u8]) {
    let Some((width, bytes)) = data.split_first_chunk::<2>() else { return };
    let Ok(entries) = tile::split_bundle(bytes, u16::from_be_bytes(*width)) else { return };
    let mut again = Vec::new();
    for entry in entries {
        assert_eq!(tile::append_entry(&mut again, entry), Ok(()));
    }
    assert_eq!(again, bytes);
}

fn detail(record: &[u8]) {
    let Ok(read) = Detail::read(record) else { return };
    let (flow, key) = (FlowId::new([7; 16]), SecretKey::new([7; 32]));
    black_box(read.epoch());
    let _ = black_box(read.open_actor(&flow, &key));
    let _ = black_box(read.entry_key(&flow, &key));
    let _ = black_box(read.open_person(&flow, &Tag::new([7; 16]), &key));
}

fn history(data: &[u8]) {
    let Ok(read) = History::from_bytes(data) else { return };
    assert_eq!(read.to_bytes().ok().as_deref(), Some(data));
    // Nobody's signature is checked here, so that the rest of it is reached.
    let note = read.checkpoint().parse::<Note>().ok();
    let site = note.and_then(|note| note.unverified_text().parse::<Checkpoint>().ok());
    if let Some(site) = site {
        let _ = black_box(read.check(&site));
    }
}

fn day_map(bytes: &[u8]) {
    if let Ok(map) = daymap::DayMap::from_bytes(bytes.to_vec()) {
        assert_eq!(map.to_bytes(), bytes);
        assert!(map.prove(&Tag::new([7; 16])).is_ok());
    }
    if let Ok(lookup) = daymap::Lookup::open(bytes) {
        let _ = black_box(lookup.prove(&Tag::new([7; 16])));
    }
}

/// The first byte is the index of the frame's first entry; the checksum of the data is put right, or nothing
/// behind it would ever be reached.
fn frame(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    black_box(wal::later_frame(bytes, u64::from(*first)));
    let mut bytes = bytes.to_vec();
    if let (Some(head), Some(body)) = (bytes.get(..20), bytes.get(wal::HEAD_LEN..)) {
        let mut sum = blake3::Hasher::new();
        sum.update(body).update(head);
        let sum = sum.finalize();
        bytes.iter_mut().skip(20).zip(sum.as_bytes()).for_each(|(to, byte)| *to = *byte);
    }
    let Ok((batch, length)) = wal::decode(&bytes, u64::from(*first)) else { return };
    let mut again = Vec::new();
    wal::encode(batch.first, &batch.entries, &mut again);
    assert_eq!(wal::decode(&again, batch.first), Ok((batch, length)));
}
