//! The verifier of the format pages (`docs/formats/verify.py`), which was written from them alone: what an honest site
//! wrote passes, and a changed byte or a lie that is signed well is found and named.

use std::path::{Path, PathBuf};
use std::process::Command;

use ledger::checkpoint::Checkpoint;
use ledger::merkle::{Hash, MemoryTree, leaf_hash};
use ledger::note::Signer;
use ledger::site::{self, LogState, Role, SiteEntry};
use ledger::tile::{append_entry, split_bundle};
use model::UnixSeconds;
use xtask::world::clover;

use crate::support::{SUPPORT, Stage, copy, files};

/// Lines that each file of the verifier may have: it is a page that runs.
const LINES_MAX: usize = 200;

/// The folder of the pages.
fn pages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats")
}

/// Runs the verifier with what `trust/` names. Its exit code, and what it said.
pub(crate) fn verify(stage: &Stage, what: &[&Path]) -> (Option<i32>, String) {
    let trust = stage.world.layout.trust();
    let mut command = Command::new("python3");
    command.arg(pages().join("verify.py")).args(what);
    command.arg("--site-vkey").arg(trust.join("site.vkey")).arg("--policy").arg(stage.world.layout.policy());
    let output = command.output().expect("python3 runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// Changes one bit in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).unwrap() ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// Writes the entries of a small log anew, with its tile and a checkpoint of its own key: what a lying site would do.
fn rewrite(stage: &Stage, folder: &Path, seed: &str, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let note = std::fs::read_to_string(folder.join("checkpoint")).unwrap();
    let (origin, size) = (note.lines().next().unwrap(), note.lines().nth(1).unwrap());
    let bundle = std::fs::read(folder.join(format!("tile/entries/000.p/{size}"))).unwrap();
    let leaves = split_bundle(&bundle, size.parse().unwrap()).unwrap();
    let mut leaves: Vec<Vec<u8>> = leaves.into_iter().map(<[u8]>::to_vec).collect();
    change(&mut leaves);
    let (mut tree, mut bundle, mut tile) = (MemoryTree::new(), Vec::new(), Vec::new());
    for leaf in &leaves {
        tree.push(leaf_hash(leaf));
        append_entry(&mut bundle, leaf).unwrap();
        tile.extend_from_slice(leaf_hash(leaf).as_bytes());
    }
    std::fs::remove_dir_all(folder.join("tile")).unwrap();
    for (name, bytes) in [("entries", bundle), ("0", tile)] {
        let partial = folder.join("tile").join(name).join("000.p");
        std::fs::create_dir_all(&partial).unwrap();
        std::fs::write(partial.join(leaves.len().to_string()), bytes).unwrap();
    }
    let hex = std::fs::read_to_string(stage.world.layout.keys().join(format!("{seed}.seed"))).unwrap();
    // A seed is as long as a hash, and written like one.
    let seed = Hash::from_hex(hex.trim()).unwrap();
    let signer = Signer::from_seed(origin, seed.as_bytes()).unwrap();
    let signed = Checkpoint::new(origin, tree.head()).unwrap().sign(&signer).unwrap();
    std::fs::write(folder.join("checkpoint"), signed).unwrap();
}

/// Changes one bit of the last leaf of a kind. All leaves have their kind at the same place.
fn bit(leaves: &mut [Vec<u8>], kind: u8, at: impl Fn(&[u8]) -> usize) {
    let leaf = leaves.iter_mut().rfind(|leaf| leaf.get(5) == Some(&kind)).unwrap();
    let at = at(leaf);
    *leaf.get_mut(at).unwrap() ^= 1;
}

/// Where the root of a day map stands in its leaf: behind the key 2 and the head of 32 bytes.
fn map_root(leaf: &[u8]) -> usize {
    leaf.windows(3).position(|w| w == [2, 0x58, 32]).unwrap() + 3
}

/// A lie: its log's folder, the log's key, what the site writes instead, and what the verifier says of it.
type Lie = (&'static str, &'static str, fn(&mut Vec<Vec<u8>>), &'static str);

/// Lies that are signed with the right keys.
const LIES: &[Lie] = &[
    ("site", "site", |leaves| bit(leaves, 1, |leaf| leaf.len() - 1), "size or root of `ledger."),
    ("site", "site", |leaves| bit(leaves, 3, map_root), "the day map that was built again is another"),
    ("site", "site", |leaves| drop(leaves.remove(2)), "site: entry 2: log or sequence"),
    ("site", "site", |leaves| drop(leaves.remove(0)), "the first is no enrolment"),
    ("keys", "keys", |leaves| bit(leaves, 1, |_| 81), "not like its entry"),
    ("gw-1", "log", |leaves| bit(leaves, 1, |_| 255), ": form"),
    ("gw-1", "log", |leaves| bit(leaves, 2, |_| 7), "direction or decision"),
    ("gw-1", "log", |leaves| leaves.swap(2, 3), "gw-1: entry 2: log or sequence"),
    ("gw-1", "log", |leaves| leaves.iter_mut().for_each(|l| l[32..48].fill(7)), "flow id used twice"),
    ("gw-1", "log", |leaves| drop(leaves.pop()), "size or root of `ledger."),
    ("site", "site", |leaves| retire(leaves, 1), "size or root of `ledger."),
    (
        "site",
        "site",
        |leaves| append(leaves, |all| enrolled(all, false)),
        "a log is left out that is not retired",
    ),
    (
        "site",
        "site",
        |leaves| {
            retire(leaves, 0);
            append(leaves, |all| enrolled(all, true));
        },
        "a log is left out that is not retired, or there that is",
    ),
    (
        "site",
        "site",
        |leaves| {
            retire(leaves, 0);
            append(leaves, |all| SiteEntry::Round { logs: newest_round(all) });
        },
        "not of the enrolled logs",
    ),
];

/// Writes an entry behind the last of the site log.
fn append(leaves: &mut Vec<Vec<u8>>, entry: impl FnOnce(&[Vec<u8>]) -> SiteEntry) {
    let entry = entry(leaves);
    let last = leaves.last().unwrap();
    let (log, time) = (last[8..16].to_vec(), u64::from_be_bytes(last[24..32].try_into().unwrap()));
    let mut leaf = entry.encode(UnixSeconds(time)).unwrap();
    leaf[8..16].copy_from_slice(&log);
    leaf[16..24].copy_from_slice(&(leaves.len() as u64).to_be_bytes());
    leaves.push(leaf);
}

fn newest_round(leaves: &[Vec<u8>]) -> Vec<LogState> {
    let round = |leaf: &Vec<u8>| match site::decode(leaf).unwrap().entry {
        SiteEntry::Round { logs } => Some(logs),
        _ => None,
    };
    leaves.iter().rev().find_map(round).unwrap()
}

/// Retires the gateway as it stands, but for bits of its root.
fn retire(leaves: &mut Vec<Vec<u8>>, bits: u8) {
    let mut last = newest_round(leaves).into_iter().find(|log| log.origin.starts_with("ledger.")).unwrap();
    let mut root = *last.root.as_bytes();
    root[0] ^= bits;
    last.root = Hash::from_bytes(root);
    append(leaves, |_| SiteEntry::Retirement(last));
}

/// The newest enrolment, with the gateway or without it.
fn enrolled(leaves: &[Vec<u8>], gateway: bool) -> SiteEntry {
    let list = |leaf: &Vec<u8>| match site::decode(leaf).unwrap().entry {
        SiteEntry::Enrolment { logs } => Some(logs),
        _ => None,
    };
    let mut logs = leaves.iter().rev().find_map(list).unwrap();
    logs.retain(|log| gateway || log.role != Role::Gateway);
    SiteEntry::Enrolment { logs }
}

/// A site that answered one person's reading and refused another.
async fn played() -> Stage {
    let mut stage = Stage::new(20).await;
    let ana = stage.ana();
    for n in 0..2 {
        ana.post("/v1/read", &SUPPORT, &stage.email_of(n)).await.unwrap();
    }
    stage.world.published().unwrap();
    assert!(stage.world.witnessed().unwrap(), "the mirror holds what was played");
    stage.world.stop().unwrap();
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_verifier_of_the_pages_passes_an_honest_site_and_names_every_lie() {
    let stage = played().await;
    let held = stage.world.layout.mirror().join("held");
    let (code, said) = verify(&stage, &[&held]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.lines().all(|line| line.starts_with("ok ")) && said.contains("day maps"), "{said}");
    assert_eq!(stage.names_anybody(&said), None);
    let copied = |n: usize| {
        let folder = stage.beside(&format!("copy-{n}"));
        copy(&held, &folder);
        folder
    };
    // A changed byte in a file of each sort.
    let sorts =
        ["site/tile/entries", "gw-1/tile/entries", "keys/tile/entries", "gw-1/tile/0", "/tags/", "/signed/"];
    for (n, sort) in sorts.iter().enumerate() {
        let folder = copied(n);
        let file = files(&folder).into_iter().find(|p| p.to_string_lossy().contains(sort)).unwrap();
        flip(&file);
        let (code, said) = verify(&stage, &[&folder]);
        assert!(code == Some(1) && said.contains("FOUND: "), "{sort}: {said}");
        assert!(!said.contains("Traceback"), "{sort}: {said}");
    }
    for (n, (log, seed, change, named)) in LIES.iter().enumerate() {
        let folder = copied(100 + n);
        rewrite(&stage, &folder.join(log), seed, change);
        let (code, said) = verify(&stage, &[&folder]);
        assert!(code == Some(1) && said.contains(named), "{log}, {named}: {said}");
    }
    let folder = copied(150);
    rewrite(&stage, &folder.join("site"), "site", |leaves| retire(leaves, 0));
    let (code, said) = verify(&stage, &[&folder]);
    assert_eq!(code, Some(0), "a gateway that is retired: {said}");
    let folder = copied(200);
    std::fs::remove_file(folder.join("keys/checkpoint")).unwrap();
    assert_eq!(verify(&stage, &[&folder]).0, Some(2), "what cannot be read is no finding");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_verifier_of_the_pages_checks_a_persons_history() {
    let stage = played().await;
    let file = stage.beside("history").join("history.cbor");
    let (subject, out) = (stage.world.subject(0).unwrap(), file.display().to_string());
    clover(&stage.world.layout, &["subject", "history", "--subject", subject, "--out", &out]).unwrap();
    let (code, said) = verify(&stage, &[Path::new("--history"), &file]);
    assert!(code == Some(0) && said.contains("history: "), "{said}");
    let honest = std::fs::read(&file).unwrap();
    // The key to the tags, an entry, the last hash of all; then one byte in each of 40 parts of what follows the
    // checkpoint, in which a stranger's signature may change.
    let behind = |what: &[u8]| honest.windows(what.len()).position(|w| w == what).unwrap() + what.len();
    let (places, after) = ([behind(&[2, 0x58, 32]), behind(b"CLV1"), honest.len() - 1], behind(b"CLVS"));
    for at in places.into_iter().chain((0..40).map(|n| after + n * (honest.len() - after) / 40)) {
        let mut changed = honest.clone();
        *changed.get_mut(at).unwrap() ^= 1;
        std::fs::write(&file, changed).unwrap();
        let (code, said) = verify(&stage, &[Path::new("--history"), &file]);
        assert!(code == Some(1) && said.contains("FOUND: ") && !said.contains("Traceback"), "{at}: {said}");
    }
    std::fs::write(&file, &honest[..honest.len() - 32]).unwrap();
    assert_eq!(verify(&stage, &[Path::new("--history"), &file]).0, Some(1), "truncated");
}

#[test]
fn the_verifier_of_the_pages_stays_a_page() {
    for name in ["verify.py", "acts.py", "history.py", "standards.py"] {
        let lines = std::fs::read_to_string(pages().join(name)).unwrap().lines().count();
        assert!(lines <= LINES_MAX, "`{name}` has {lines} lines");
    }
}
