//! Writer and auditor share no code: on random ledgers with random damage they must agree. What the writer's own reader
//! takes from a tree, the auditor reports as whole; what one of them refuses, the other finds.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ledger::entry::short_name;
use ledger::merkle::leaf_hash;
use ledger::note::Signer;
use ledger::tile::{FULL_WIDTH, TileBuilder, TileCoordinates, TileReader, append_entry};
use ledger::{Draft, Entry, EntryKind, Subjects, checkpoint};
use model::{Country, Digest, Direction, FlowId, Purpose, Reason, Tag, UnixSeconds};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xtask::world::programs;

const ORIGIN: &str = "ledger.test/one/gw";
const WIDTH: u64 = FULL_WIDTH as u64;

fn signer(name: &str, seed: u8) -> Signer {
    Signer::from_seed(name, &[seed; 32]).unwrap()
}

fn leaf(dice: &mut ChaCha8Rng, index: u64) -> Vec<u8> {
    let draft = Draft {
        kind: EntryKind::Border,
        direction: Direction::None,
        time: UnixSeconds(1_790_000_000 + index),
        flow: FlowId::new(dice.random()),
        rulebook: Digest::new(dice.random()),
        purpose: Purpose::Operation,
        place: Country::UNKNOWN,
        destination: Country::UNKNOWN,
        classes: Vec::new(),
        treatments: Vec::new(),
        reason: Reason::None,
        findings: 0,
        bytes: 0,
        rows: 0,
        detail: Digest::new([0; 32]),
        actor: Tag::new([0; 16]),
        subjects: Subjects::None,
        lane: [0; 8],
        facts: Vec::new(),
        stream: None,
    };
    draft.encode(short_name(ORIGIN), index)
}

fn put(folder: &Path, at: &str, bytes: &[u8]) {
    let path = folder.join(at);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A tree of random entries, laid out as it is published.
fn write(folder: &Path, dice: &mut ChaCha8Rng, size: u64) {
    let (mut tiles, mut bundle) = (TileBuilder::new(), Vec::new());
    for index in 0..size {
        let leaf = leaf(dice, index);
        append_entry(&mut bundle, &leaf).unwrap();
        for tile in tiles.push(leaf_hash(&leaf)) {
            put(folder, &tile.at().to_string(), tile.bytes());
        }
        let (whole, last) = ((index + 1).is_multiple_of(WIDTH), index + 1 == size);
        if whole || last {
            let width = u16::try_from(if whole { WIDTH } else { size % WIDTH }).unwrap();
            put(folder, &TileCoordinates::entries(index / WIDTH, width).unwrap().to_string(), &bundle);
            bundle.clear();
        }
    }
    for tile in tiles.partial() {
        put(folder, &tile.at().to_string(), tile.bytes());
    }
    let note = checkpoint::Checkpoint::new(ORIGIN, tiles.head()).unwrap().sign(&signer(ORIGIN, 1)).unwrap();
    put(folder, "checkpoint", note.as_bytes());
}

/// Whether the writer's reader takes the whole tree, and which files it looked at.
fn writer(folder: &Path) -> (bool, BTreeSet<String>) {
    let read = RefCell::new(BTreeSet::from(["checkpoint".to_owned()]));
    let whole = || {
        let note = String::from_utf8(std::fs::read(folder.join("checkpoint")).ok()?).ok()?;
        let head = checkpoint::open(&note, signer(ORIGIN, 1).verifier(), &[]).ok()?.checkpoint().head();
        let mut reader = TileReader::new(head, |at: TileCoordinates| {
            read.borrow_mut().insert(at.to_string());
            std::fs::read(folder.join(at.to_string()))
        });
        for bundle in 0..head.size.div_ceil(WIDTH) {
            for (index, leaf) in (bundle * WIDTH..).zip(reader.entries(bundle).ok()?) {
                let entry = Entry::decode(&leaf).ok()?;
                (entry.sequence == index && reader.leaf(index).ok()? == leaf_hash(&leaf)).then_some(())?;
            }
        }
        Some(())
    };
    let whole = whole().is_some();
    (whole, read.into_inner())
}

/// What the auditor reports of a tree.
fn auditor(folder: &Path, keys: &Path) -> String {
    let mut command = Command::new(programs().unwrap().join("clover-audit"));
    command.arg("verify").arg("--ledger").arg(folder).arg("--no-redecide").stdin(Stdio::null());
    for name in ["log", "operator", "auditor"] {
        command.arg(format!("--{name}-vkey")).arg(keys.join(name));
    }
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

fn damage(path: &PathBuf, dice: &mut ChaCha8Rng) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let (mut other, at) = (bytes.clone(), dice.random_range(0..bytes.len()));
    match dice.random_range(0..4u8) {
        0 => other.truncate(at),
        1 => other.insert(at, dice.random()),
        _ => other[at] ^= 1 << dice.random_range(0..8u8),
    }
    std::fs::write(path, &other).unwrap();
    bytes
}

#[test]
fn writer_and_auditor_agree_on_random_ledgers_with_random_damage() {
    let seed = std::env::var("CLOVER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(11);
    println!("CLOVER_SEED={seed}");
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let keys = tempfile::tempdir().unwrap();
    for (name, key) in [("log", signer(ORIGIN, 1)), ("operator", signer("o", 2)), ("auditor", signer("a", 3))]
    {
        std::fs::write(keys.path().join(name), key.verifier().to_vkey()).unwrap();
    }
    for round in 0..8 {
        let folder = tempfile::tempdir().unwrap();
        let size = dice.random_range(1..900);
        write(folder.path(), &mut dice, size);
        let (whole, files) = writer(folder.path());
        assert!(whole, "round {round}: an honest tree of {size}");
        // These entries name no rulebook that is there, which is no matter of the tree: what counts is the difference.
        let honest = auditor(folder.path(), keys.path());
        assert!(
            !["AUD-01", "AUD-02", "AUD-03", "AUD-04", "AUD-05", "AUD-06", "AUD-08"]
                .iter()
                .any(|r| honest.contains(r))
        );
        let files: Vec<&String> = files.iter().collect();
        for _ in 0..8 {
            let name = files[dice.random_range(0..files.len())];
            let path = folder.path().join(name);
            let before = damage(&path, &mut dice);
            let (taken, found) = (writer(folder.path()).0, auditor(folder.path(), keys.path()) != honest);
            assert_eq!(taken, !found, "round {round}: `{name}` of a tree of {size}");
            assert!(found, "round {round}: damage to `{name}` of a tree of {size}");
            std::fs::write(&path, before).unwrap();
        }
    }
}
