//! The auditor's parsers of foreign bytes, for the fuzz targets in `fuzz/`. Not part of what is shipped.
//!
//! The first byte of the data chooses the parser, so that a few targets reach them all. What is read must be
//! written again as it was, wherever this crate writes it too.

use std::hint::black_box;

use crate::{
    bundle::{ENTRY_BYTES_MAX, cut, prefix_length, split},
    checkpoint::Checkpoint,
    cosign::CosignerKey,
    facts::Facts,
    header::Header,
    incident::Parties,
    keyleaf::KeyLeaf,
    migrations::Moved,
    mirror::AddCheckpoint,
    note::{VerifierKey, open},
    overrides::Order,
    proof::verify_proof,
    quorum::Policy,
    rulebook::{Assessments, Catalogue, Lanes, Programme, named_files},
    siteleaf::SiteLeaf,
    tags,
    tile::Tile,
    tree::Pack,
};

/// A key that has signed nothing here: whatever it is asked about is refused in the end.
const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

fn key() -> Option<VerifierKey> {
    VerifierKey::parse(KEY).ok()
}

/// Notes, and the texts around them.
pub fn texts(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    match which {
        b'n' => _ = black_box(open(rest, &[])),
        b'r' => return request(rest),
        b'p' => _ = black_box(key().map(|key| verify_proof(b"leaf", rest, &key))),
        b'l' => link(rest),
        _ => {}
    }
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match which {
        b'k' => verifier_key(text),
        b'w' => _ = black_box(CosignerKey::parse(text)),
        b'c' => _ = black_box(Checkpoint::read(text)),
        b't' => tile(text),
        b'y' => policy(text),
        b'o' => _ = black_box(Order::parse(text, "gw.example/site")),
        b'm' => _ = black_box(named_files(text)),
        b'i' => _ = black_box(crate::incident::reads_action(text)),
        b'd' => _ = black_box(crate::history::day_of_date(text)),
        b'v' => _ = black_box(Moved::parse(text)),
        _ => {}
    }
}

fn request(body: &[u8]) {
    let Ok(request) = AddCheckpoint::parse(body) else { return };
    black_box(request.continues(&[7; 32]));
}

fn link(file: &[u8]) {
    if let Some(again) = crate::evidence::link_again(file) {
        assert_eq!(again, file);
    }
}

fn verifier_key(text: &str) {
    if let Ok(key) = VerifierKey::parse(text) {
        assert!(VerifierKey::parse(&key.text()).is_ok_and(|again| again == key));
    }
}

fn tile(path: &str) {
    if let Some(tile) = Tile::parse(path) {
        assert_eq!(tile.to_string(), path);
        black_box((tile.standing(0), tile.standing(u64::MAX)));
    }
    if let Some(pack) = Pack::parse(path) {
        assert_eq!(pack.to_string(), path);
        black_box(pack.last_tile());
    }
}

fn policy(text: &str) {
    let (Ok(policy), Some(key)) = (Policy::parse(text), key()) else { return };
    let checkpoint = format!("gw.example\n1\n{}=\n\n— nobody AAAAAAA=\n", "A".repeat(43));
    let _ = black_box(policy.check(checkpoint.as_bytes(), &key));
}

/// Entries of the three logs, and facts.
pub fn leaves(data: &[u8]) {
    black_box(takes(data));
    if let Some((b'e', leaf)) = data.split_first()
        && let Ok((header, facts)) = Header::parse(leaf)
    {
        let _ = black_box(crate::entries::decode(&header, facts));
    }
}

/// Whether the auditor takes a leaf or facts, for comparing with the writer.
#[must_use]
pub fn takes(data: &[u8]) -> Option<bool> {
    let (which, bytes) = data.split_first()?;
    match which {
        b'e' => Some(bytes.len() <= ENTRY_BYTES_MAX && Header::parse(bytes).is_ok()),
        b'f' => Some(bytes.len() <= 4096 && Facts::decode(bytes).is_ok()),
        b's' => Some(SiteLeaf::parse(bytes).is_ok()),
        b'k' => Some(KeyLeaf::parse(bytes).is_ok()),
        _ => None,
    }
}

/// Whether the auditor takes a text, for comparing with the writer.
#[must_use]
pub fn takes_text(data: &[u8]) -> Option<bool> {
    let (which, bytes) = data.split_first()?;
    if *which == b'r' {
        return Some(AddCheckpoint::parse(bytes).is_ok());
    }
    let text = std::str::from_utf8(bytes).ok()?;
    match which {
        b'c' => Some(Checkpoint::read(text).is_ok()),
        b'n' => Some(open(bytes, &[]).is_ok()),
        b't' => Some(Tile::parse(text).is_some()),
        b'y' => Some(Policy::parse(text).is_ok()),
        b'v' => Some(Moved::parse(text).is_ok()),
        _ => None,
    }
}

/// What lies on disks: bundles, rulebooks, histories, evidence packs, detail records, tag lists.
pub fn files(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    match which {
        b'b' => return bundle(rest),
        b'd' => _ = black_box(crate::sample::opens(rest)),
        b'g' => _ = black_box(tags::fold(rest)),
        b'h' => _ = black_box(crate::history::check_unsigned(rest)),
        b'z' => return crate::evidence::pack(rest),
        _ => {}
    }
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match which {
        b'p' => _ = black_box(Programme::parse(text)),
        b'c' => _ = black_box(Catalogue::parse(text)),
        b'l' => _ = black_box(Lanes::parse(text)),
        b'a' => _ = black_box(Parties::parse(text)),
        b's' => _ = black_box(Assessments::parse(text)),
        _ => {}
    }
}

fn bundle(data: &[u8]) {
    let Some((width, bytes)) = data.split_first_chunk::<2>() else { return };
    let width = u64::from(u16::from_be_bytes(*width));
    if let Ok(entries) = split(bytes, width) {
        assert_eq!(prefix_length(&entries, width), bytes.len());
    }
    let tile = Tile { level: crate::tile::Level::Entries, index: 0, width };
    let mut bytes = bytes.to_vec();
    let _ = black_box(cut(&tile, &mut bytes));
}

#[cfg(test)]
mod tests;
