//! The log and the record store under faults.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests, which fail by panicking"
)]

mod control;
mod control_claims;
mod control_postgres;
mod control_privacy;
mod control_prune;
mod damage;
mod engines;
mod faults;
mod full;
mod journal;
mod journal_postgres;
mod keys;
mod keys_claims;
mod kill;
mod media;
mod packs;
mod rebuild;
mod records;
mod recycle;
mod rewrap;
mod sites;
mod tags;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ledger::entry::short_name;
use ledger::merkle::{MemoryTree, leaf_hash};
use ledger::note::Signer;
use ledger::tile::{TileCoordinates, split_bundle};
use ledger::{Draft, Entry, EntryKind, Subjects, Submission, sha256};
use model::{Country, DataClass, Digest, Direction, FlowId, Purpose, Reason, Tag, Treatment, UnixSeconds};
use testkit::MemoryIndex;
use vault::log::{Hooks, Identity, Options, TagIndex};
use vault::{Disk, Log};

const ORIGIN: &str = "gateway.test/log";

fn identity() -> Identity {
    Identity { origin: ORIGIN.to_owned(), signer: Signer::from_seed(ORIGIN, &[7; 32]).unwrap() }
}

/// So small and quick that every step happens many times in a few hundred entries.
fn options() -> Options {
    let short = Duration::from_millis(1);
    Options {
        segment_bytes: 16 << 10,
        publish_every: short,
        flush_every: short,
        retry_after: short,
        ..Options::default()
    }
}

/// Publishes only when the log is closed.
fn unpublished() -> Options {
    Options { publish_every: Duration::from_secs(3600), ..options() }
}

/// An entry and its detail, told apart from all others by its number.
#[derive(Clone)]
struct Sample {
    draft: Draft,
    detail: Vec<u8>,
}

fn sample(number: u64) -> Sample {
    sized(number, 40 + usize::try_from(number % 50).unwrap())
}

fn sized(number: u64, detail_bytes: usize) -> Sample {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let detail = [&id[..], &vec![u8::try_from(number % 251).unwrap(); detail_bytes]].concat();
    let people = if number.is_multiple_of(7) { 6 } else { 1 };
    let tags =
        (0..people).map(|i| Tag::new(*sha256(&[&id[..], &[i]].concat()).bytes().first_chunk().unwrap()));
    let sg = Country::parse("SG").unwrap();
    let draft = Draft {
        kind: EntryKind::Answer,
        direction: Direction::Outward,
        time: UnixSeconds(1_790_000_000),
        flow: FlowId::new(id),
        rulebook: Digest::new([8; 32]),
        purpose: Purpose::Support,
        place: sg,
        destination: sg,
        classes: vec![DataClass::Allowable],
        treatments: vec![Treatment::Plain],
        reason: Reason::None,
        findings: 0,
        bytes: 512,
        rows: 1,
        detail: sha256(&detail),
        actor: Tag::new([6; 16]),
        subjects: Subjects::of(tags.collect()),
        lane: short_name("video-status"),
        stream: None,
        facts: vec![0xa0],
    };
    Sample { draft, detail }
}

impl Sample {
    fn submission(&self) -> Submission {
        Submission::new(&self.draft, self.detail.clone())
    }

    fn leaf(&self, index: u64) -> Vec<u8> {
        self.draft.encode(short_name(ORIGIN), index)
    }
}

fn border_entry() -> Submission {
    let Sample { draft, .. } = sample(1);
    let subjects = Subjects::None;
    Submission::new(
        &Draft { kind: EntryKind::Border, detail: Digest::new([0; 32]), subjects, ..draft },
        Vec::new(),
    )
}

fn hooks(index: Arc<dyn TagIndex>, fatal: &Arc<AtomicBool>) -> Hooks {
    let fatal = Arc::clone(fatal);
    Hooks {
        reopening: Some(Box::new(border_entry)),
        index,
        fatal: Box::new(move |_| fatal.store(true, Ordering::SeqCst)),
    }
}

/// As the site's own logs are opened: nothing is noted, and nothing is written to find out whether the log can be.
fn plain_hooks(fatal: &Arc<AtomicBool>) -> Hooks {
    Hooks { reopening: None, ..hooks(Arc::new(NoTags), fatal) }
}

struct NoTags;

impl TagIndex for NoTags {
    fn clear(&self) -> Result<(), String> {
        Ok(())
    }
    fn add(&self, _: &[(Tag, u64)]) -> Result<(), String> {
        Ok(())
    }
    fn flush(&self) -> Result<(), String> {
        Ok(())
    }
}

fn open(disk: &Arc<impl Disk + 'static>, options: Options) -> Result<Log, vault::log::LogError> {
    let disk: Arc<dyn Disk> = Arc::clone(disk) as _;
    Log::open(disk, identity(), options, hooks(Arc::new(MemoryIndex::default()), &Arc::default()))
}

fn wait(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::yield_now();
    }
}

/// Tiles in a pack where a test makes packs.
const PACK: u64 = 2;

/// With packs of two tiles.
fn packing() -> Options {
    Options { pack_tiles: u16::try_from(PACK).unwrap(), ..options() }
}

/// A bundle from its file, or from a pack, read as the format's page says.
fn bundle(disk: &dyn Disk, at: TileCoordinates) -> Vec<u8> {
    if let Some(bytes) = disk.read(Path::new(&format!("ledger/{at}"))).unwrap() {
        return bytes;
    }
    let group = at.index() / PACK;
    let pack = disk.read(Path::new(&format!("ledger/pack/entries/{group:03}"))).unwrap().unwrap();
    let table = usize::try_from(PACK).unwrap() * 4;
    let end = |i: usize| u32::from_be_bytes(pack[i * 4..i * 4 + 4].try_into().unwrap()) as usize + table;
    let place = usize::try_from(at.index() % PACK).unwrap();
    let start = if place == 0 { table } else { end(place - 1) };
    pack[start..end(place)].to_vec()
}

/// All published entries, each at its place, and the tree over them.
fn published(disk: &dyn Disk, size: u64) -> (Vec<Vec<u8>>, MemoryTree) {
    let mut leaves = Vec::new();
    for index in 0..size.div_ceil(256) {
        let at = TileCoordinates::in_tree(0, index, size).unwrap().as_entries();
        let bytes = bundle(disk, at);
        leaves.extend(split_bundle(&bytes, at.width()).unwrap().into_iter().map(<[u8]>::to_vec));
    }
    for (index, leaf) in (0..).zip(&leaves) {
        let entry = Entry::decode(leaf).unwrap();
        assert_eq!((entry.sequence, entry.gateway), (index, short_name(ORIGIN)));
    }
    let tree: MemoryTree = leaves.iter().map(|l| leaf_hash(l)).collect();
    (leaves, tree)
}

/// That everything receipted is in a log that was just closed, and that every checkpoint it ever made is of
/// the same tree.
fn check(disk: &dyn Disk, log: &Log, receipts: &[(u64, Sample)], checkpoints: &[Vec<u8>]) {
    let (leaves, tree) = published(disk, log.published());
    assert_eq!(log.published(), log.size(), "all is published when the log is closed");
    for (index, sample) in receipts {
        let place = usize::try_from(*index).unwrap();
        assert_eq!(leaves.get(place), Some(&sample.leaf(*index)), "entry {index}");
        if let Some((root, bytes)) = sample.draft.subjects.side_record() {
            let path = format!("ledger/tags/{}", data_encoding::HEXLOWER.encode(root.as_bytes()));
            assert_eq!(disk.read(Path::new(&path)).unwrap(), Some(bytes), "tag list of entry {index}");
        }
    }
    for bundle in receipts.chunk_by(|a, b| a.0 / 256 == b.0 / 256) {
        let (index, sample) = &bundle[bundle.len() / 2];
        assert_eq!(log.detail(*index).unwrap(), sample.detail, "detail of entry {index}");
        let (leaf, proof) = log.prove(*index).unwrap();
        proof.verify(&leaf, identity().signer.verifier(), &[]).unwrap();
    }
    let current = log.checkpoint().unwrap().into_bytes();
    for note in checkpoints.iter().chain([&current]) {
        let note = str::from_utf8(note).unwrap();
        let opened = ledger::checkpoint::open(note, identity().signer.verifier(), &[]).unwrap();
        let head = opened.checkpoint().head();
        assert_eq!(tree.root_at(head.size).unwrap(), head.root, "checkpoint of {} entries", head.size);
    }
}
