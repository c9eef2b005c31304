//! Full tiles go into packs, and nobody who reads the log sees a difference.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ledger::merkle::{verify_consistency, verify_inclusion};
use ledger::tile::{TileCoordinates, new_tiles};
use proptest::prelude::*;
use testkit::{Crash, Fault, FaultyDisk, MemoryDisk, Plan, Step, Then};
use vault::log::{LogError, Options};
use vault::{Disk, Folder, Log};

use super::{PACK, Sample, bundle, check, identity, open, options, packing, sample, wait};

/// Entries of the logs below: four full bundles and a part of a fifth.
const ENTRIES: u64 = 1100;

fn filled(disk: &Arc<impl Disk + 'static>, options: Options) -> Log {
    Log::create(disk.as_ref(), &identity()).unwrap();
    let log = open(disk, options).unwrap();
    for number in 0..ENTRIES {
        let _receipt = log.submit_and_wait(sample(number).submission()).unwrap();
    }
    log
}

fn names(disk: &dyn Disk, folder: &str) -> Vec<String> {
    disk.list(Path::new(folder)).unwrap()
}

/// Whether the first four tiles are in packs, and their files are gone.
fn is_packed(disk: &dyn Disk) -> bool {
    let gone =
        |folder| !names(disk, folder).iter().any(|n| ["000", "001", "002", "003"].contains(&n.as_str()));
    let there = |folder| names(disk, folder).iter().any(|n| n == "001");
    ["ledger/pack/0", "ledger/pack/entries", "details-pack"].into_iter().all(there)
        && ["ledger/tile/0", "ledger/tile/entries", "details"].into_iter().all(gone)
}

fn wait_for_packs(disk: &dyn Disk) {
    wait("the packs", || is_packed(disk));
}

/// A log whose full bundles are packed, as it lies when it is closed.
fn packed() -> &'static MemoryDisk {
    static PACKED: OnceLock<MemoryDisk> = OnceLock::new();
    PACKED.get_or_init(|| {
        let disk = Arc::new(MemoryDisk::default());
        let log = filled(&disk, packing());
        wait_for_packs(disk.as_ref());
        log.close();
        disk.crash(Crash::Kept)
    })
}

/// A copy of it.
pub(crate) fn copy() -> Arc<MemoryDisk> {
    Arc::new(packed().crash(Crash::Kept))
}

#[test]
fn full_tiles_become_packs_and_their_files_go() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Folder::open(dir.path()).unwrap());
    let log = filled(&disk, packing());
    wait_for_packs(disk.as_ref());
    for folder in ["ledger/pack/0", "ledger/pack/entries", "details-pack"] {
        assert_eq!(names(disk.as_ref(), folder), ["000", "001"], "{folder}");
    }
    log.close();
    let receipts: Vec<_> = (0..ENTRIES).map(|number| (number, sample(number))).collect();
    check(disk.as_ref(), &log, &receipts, &[]);
}

#[test]
fn a_pack_of_the_usual_width_has_a_table_of_256_ends() {
    let disk = Arc::new(MemoryDisk::default());
    Log::create(disk.as_ref(), &identity()).unwrap();
    let log = open(&disk, Options { flush_every: Duration::from_millis(100), ..Options::default() }).unwrap();
    let mut waiting = std::collections::VecDeque::new();
    for number in 0..65_536 {
        waiting.push_back(log.submit(sample(7 * number + 1).submission()).unwrap());
        if waiting.len() > 4096 {
            let _receipt = waiting.pop_front().unwrap().blocking_recv().unwrap().unwrap();
        }
    }
    waiting.into_iter().for_each(|w| assert!(w.blocking_recv().unwrap().is_ok()));
    // A busy log's publisher writes packs itself, ahead of the checkpoint that counts them.
    wait("the tree", || log.published() == 65_536);
    let hashes = Path::new("ledger/pack/0/000");
    wait("the pack", || {
        disk.read(hashes).unwrap().is_some() && names(disk.as_ref(), "ledger/tile/0").is_empty()
    });
    let pack = disk.read(hashes).unwrap().unwrap();
    assert_eq!(pack.len(), 1024 + 256 * 8192);
    for (i, end) in pack[..1024].as_chunks::<4>().0.iter().enumerate() {
        assert_eq!(u32::from_be_bytes(*end) as usize, (i + 1) * 8192);
    }
    wait("the pack of bundles", || names(disk.as_ref(), "ledger/tile/entries").is_empty());
    let (leaf, proof) = log.prove(40_000).unwrap();
    proof.verify(&leaf, identity().signer.verifier(), &[]).unwrap();
}

#[test]
fn packed_and_unpacked_logs_serve_the_same_bytes() {
    let plain = Arc::new(MemoryDisk::default());
    let plain = filled(&plain, options());
    plain.close();
    let packed = open(&copy(), packing()).unwrap();
    let bundles =
        (0..ENTRIES.div_ceil(256)).map(|i| TileCoordinates::in_tree(0, i, ENTRIES).unwrap().as_entries());
    for at in new_tiles(0, ENTRIES).chain(bundles) {
        let path = at.to_string();
        let bytes = plain.public(&path).unwrap();
        assert!(bytes.is_some(), "{path}");
        assert_eq!(packed.public(&path).unwrap(), bytes, "{path}");
    }
    assert_eq!(packed.public("checkpoint").unwrap(), plain.public("checkpoint").unwrap());
    for index in [0, 255, 256, 511, 1023, 1024, 1099] {
        assert_eq!(packed.detail(index).unwrap(), sample(index).detail, "{index}");
    }
}

#[test]
fn older_partial_tiles_are_cut_from_wider_ones() {
    let log = open(&copy(), packing()).unwrap();
    for (whole, part, width) in
        [("tile/0/001", "tile/0/001.p/7", 7), ("tile/0/004.p/76", "tile/0/004.p/9", 9)]
    {
        let bytes = log.public(whole).unwrap().unwrap();
        assert_eq!(log.public(part).unwrap().unwrap(), bytes[..width * 32], "{part}");
    }
    let entries = log.public("tile/entries/000.p/2").unwrap().unwrap();
    let two: Vec<u8> = (0..2)
        .flat_map(|i| {
            let leaf = sample(i).leaf(i);
            [&u16::try_from(leaf.len()).unwrap().to_be_bytes()[..], &leaf].concat()
        })
        .collect();
    assert_eq!(entries, two);
}

#[test]
fn nothing_beyond_the_published_size_and_no_private_file_is_served() {
    let log = open(&copy(), packing()).unwrap();
    for path in [
        "tile/0/004",
        "tile/0/004.p/77",
        "tile/0/005.p/1",
        "tile/1/000.p/5",
        "tile/1/000",
        "tile/2/000.p/1",
        "tile/63/000.p/1",
        "tile/entries/004",
        "tile/entries/005.p/1",
        "pack/0/000",
        "pack/entries/000",
        "details/004.p/76",
        "details-pack/000",
        "wal/durable",
        "ledger/checkpoint",
        "../wal/durable",
        "tags/",
        "rulebook/",
    ] {
        assert_eq!(log.public(path).unwrap(), None, "{path}");
    }
}

#[test]
fn tag_lists_and_rulebooks_are_served_by_their_digests() {
    let disk = copy();
    let digest = "5d".repeat(32);
    disk.tamper(Path::new(&format!("ledger/rulebook/{digest}/manifest.note")), Some(b"text".to_vec()));
    let log = open(&disk, packing()).unwrap();
    let (root, bytes) = sample(7).draft.subjects.side_record().unwrap();
    let root = data_encoding::HEXLOWER.encode(root.as_bytes());
    assert_eq!(log.public(&format!("tags/{root}")).unwrap(), Some(bytes));
    assert_eq!(log.public(&format!("tags/{digest}")).unwrap(), None);
    assert_eq!(log.public(&format!("rulebook/{digest}/manifest.note")).unwrap(), Some(b"text".to_vec()));
    assert_eq!(log.public(&format!("rulebook/{digest}/other.toml")).unwrap(), None);
}

#[test]
fn entries_and_proofs_of_older_sizes_come_from_published_tiles() {
    let log = open(&copy(), packing()).unwrap();
    let head = log.head().unwrap().head;
    assert_eq!(head.size, ENTRIES);
    let all: Vec<_> = log.entries(250..2000).unwrap().map(Result::unwrap).collect();
    let wanted: Vec<_> = (250..ENTRIES).map(|i| sample(i).leaf(i)).collect();
    assert!(all == wanted);
    assert!(log.entry(700).unwrap() == sample(700).leaf(700));
    assert!(log.entry(ENTRIES).is_err());
    let tree: ledger::merkle::MemoryTree =
        (0..ENTRIES).map(|i| ledger::merkle::leaf_hash(&sample(i).leaf(i))).collect();
    let head_of = |size| ledger::merkle::TreeHead { size, root: tree.root_at(size).unwrap() };
    for (old, new) in [(1, 2), (255, 256), (512, 700), (700, ENTRIES), (ENTRIES, ENTRIES)] {
        let proof = log.prove_consistency(old, new).unwrap();
        verify_consistency(&proof, &head_of(old), &head_of(new)).unwrap();
        let proof = log.prove_inclusion(old - 1, new).unwrap();
        let leaf = ledger::merkle::leaf_hash(&sample(old - 1).leaf(old - 1));
        verify_inclusion(&proof, old - 1, &leaf, &head_of(new)).unwrap();
    }
    let beyond = log.prove_consistency(1, ENTRIES + 1);
    assert!(matches!(beyond, Err(LogError::Unpublished { asked, published }) if asked == published + 1));
    assert!(log.prove_inclusion(5, 5).is_err());
}

#[test]
fn a_damaged_pack_is_an_error_and_never_an_entry() {
    for (pack, at) in
        [("ledger/pack/0/000", 9), ("ledger/pack/entries/000", 100), ("ledger/pack/entries/000", 3)]
    {
        let disk = copy();
        let mut bytes = disk.read(Path::new(pack)).unwrap().unwrap();
        bytes[at] ^= 1;
        disk.tamper(Path::new(pack), Some(bytes));
        let log = open(&disk, packing()).unwrap();
        assert!(log.entry(0).is_err(), "{pack}, byte {at}");
        assert!(log.entries(0..10).unwrap().next().unwrap().is_err(), "{pack}, byte {at}");
    }
}

/// Files that an earlier run left beside their pack go; what differs from its pack stays.
#[test]
fn leftovers_of_an_earlier_run_are_packed_or_removed() {
    let disk = copy();
    let path = |i: u64| PathBuf::from(format!("ledger/tile/entries/{i:03}"));
    let read = |i: u64| bundle(disk.as_ref(), TileCoordinates::entries(i, 256).unwrap());
    let (same, mut other, unpacked) = (read(0), read(2), [read(2), read(3)]);
    other[100] ^= 1;
    disk.tamper(&path(0), Some(same));
    disk.tamper(Path::new("ledger/tile/entries/001.p/5"), Some(vec![1]));
    let differing = Arc::new(disk.crash(Crash::Kept));
    differing.tamper(&path(2), Some(other.clone()));
    disk.tamper(Path::new("ledger/pack/entries/001"), None);
    for (i, bytes) in (2..).zip(unpacked) {
        disk.tamper(&path(i), Some(bytes));
    }
    let log = open(&disk, packing()).unwrap();
    wait("the leftovers", || names(disk.as_ref(), "ledger/tile/entries") == ["004.p"]);
    log.close();
    assert_eq!(
        disk.read(Path::new("ledger/pack/entries/001")).unwrap(),
        packed().read(Path::new("ledger/pack/entries/001")).unwrap()
    );
    let log = open(&differing, packing()).unwrap();
    wait("the leftovers", || names(differing.as_ref(), "ledger/tile/entries") == ["002", "004.p"]);
    log.close();
    assert_eq!(differing.read(&path(2)).unwrap(), Some(other));
}

#[test]
fn a_log_that_is_not_packed_yet_is_packed_at_its_next_start() {
    let disk = Arc::new(MemoryDisk::default());
    filled(&disk, options()).close();
    assert_eq!(names(disk.as_ref(), "ledger/tile/entries").len(), 5);
    let log = open(&disk, packing()).unwrap();
    wait_for_packs(disk.as_ref());
    drop(log);
    let paths = ["ledger/pack/0/000", "ledger/pack/entries/001", "details-pack/001"];
    for path in paths.map(Path::new) {
        assert_eq!(disk.read(path).unwrap(), packed().read(path).unwrap(), "{}", path.display());
    }
    assert_eq!(PACK, 2);
}

#[test]
fn tiles_of_a_group_that_comes_at_once_never_are_files_of_their_own() {
    let memory = Arc::new(MemoryDisk::default());
    let disk = Arc::new(FaultyDisk::new(memory.clone(), None));
    // All is published in one round, when the log is closed.
    let options = Options { publish_every: Duration::from_secs(3600), ..packing() };
    filled(&disk, options).close();
    let lists = (0..ENTRIES).filter(|n| sample(*n).draft.subjects.side_record().is_some()).count();
    assert_eq!(disk.count(Step::Put), lists + 6 + 4, "tag lists, six packs, four partial files");
    for pack in ["ledger/pack/0/000", "ledger/pack/entries/001", "details-pack/001"].map(Path::new) {
        assert_eq!(memory.read(pack).unwrap(), packed().read(pack).unwrap(), "{}", pack.display());
        assert!(disk.replaced(pack).is_empty(), "the packer had nothing to do");
    }
    for folder in ["ledger/tile/0", "ledger/tile/entries", "details"] {
        assert_eq!(names(memory.as_ref(), folder), ["004.p"], "{folder}");
    }
}

/// A log with four full bundles that are not packed.
fn unpacked() -> &'static MemoryDisk {
    static UNPACKED: OnceLock<MemoryDisk> = OnceLock::new();
    UNPACKED.get_or_init(|| {
        let disk = Arc::new(MemoryDisk::default());
        filled(&disk, options()).close();
        disk.crash(Crash::Kept)
    })
}

/// Packs until the fault has happened or all is packed, and a crash comes while the log still runs. What it
/// leaves, and whether the fault happened.
fn pack_until(
    memory: &Arc<MemoryDisk>,
    plan: Option<Plan>,
    crash: Crash,
    receipts: &mut Vec<(u64, Sample)>,
) -> (Arc<MemoryDisk>, bool) {
    let disk = Arc::new(FaultyDisk::new(memory.clone(), plan));
    let Ok(log) = open(&disk, packing()) else { return (Arc::new(memory.crash(crash)), disk.fired()) };
    let (mut settled, first) = (0, 10_000 + receipts.len() as u64);
    for number in first..first + 400 {
        let Ok(receipt) = log.submit_and_wait(sample(number).submission()) else { break };
        receipts.push((receipt.index(), sample(number)));
        settled += u64::from(is_packed(memory.as_ref()) || disk.fired() && number.is_multiple_of(8));
        if settled == 3 {
            break;
        }
    }
    (Arc::new(memory.crash(crash)), disk.fired())
}

/// What a crash leaves is never less than all, whatever step of packing it comes behind, and if it comes twice.
#[test]
fn a_crash_while_packing_loses_nothing() {
    let mut fired = 0;
    for (step, nths) in
        [(Step::Replace, &[1, 3, 5, 8][..]), (Step::SyncAll, &[2, 3, 4]), (Step::Remove, &[1, 5, 9, 14])]
    {
        for (round, nth) in (1_u64..).zip(nths) {
            for (fault, then) in [
                (Fault::NotDone, Then::GoesOn),
                (Fault::NotDone, Then::Dies),
                (Fault::Unanswered, Then::GoesOn),
                (Fault::Unanswered, Then::Dies),
            ] {
                for crash in [Crash::Lost, Crash::Torn(round)] {
                    let memory = Arc::new(unpacked().crash(Crash::Kept));
                    let plan = Plan { step, nth: *nth, fault, then };
                    let mut receipts: Vec<_> = (0..ENTRIES).map(|number| (number, sample(number))).collect();
                    let (memory, hit) = pack_until(&memory, Some(plan), crash, &mut receipts);
                    fired += usize::from(hit);
                    let torn = Crash::Torn(round.wrapping_mul(7));
                    let (memory, _) = pack_until(&memory, None, torn, &mut receipts);
                    let log = open(&memory, packing()).unwrap();
                    wait_for_packs(memory.as_ref());
                    log.close();
                    check(memory.as_ref(), &log, &receipts, &[]);
                }
            }
        }
    }
    assert!(fired > 40, "{fired} faults happened");
}

/// Remembers what was read.
struct Watched(Arc<MemoryDisk>, Mutex<Vec<PathBuf>>);

impl Disk for Watched {
    fn allocate(&self, path: &Path, bytes: u64) -> std::io::Result<()> {
        self.0.allocate(path, bytes)
    }
    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_at(path, offset, bytes)
    }
    fn sync_data(&self, path: &Path) -> std::io::Result<()> {
        self.0.sync_data(path)
    }
    fn put(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.0.put(path, bytes)
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.0.replace(path, bytes)
    }
    fn sync_all(&self) -> std::io::Result<()> {
        self.0.sync_all()
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.0.remove(path)
    }
    fn read(&self, path: &Path) -> std::io::Result<Option<Vec<u8>>> {
        self.1.lock().unwrap().push(path.to_owned());
        self.0.read(path)
    }
    fn read_at(&self, path: &Path, offset: u64, length: usize) -> std::io::Result<Option<Vec<u8>>> {
        self.1.lock().unwrap().push(path.to_owned());
        self.0.read_at(path, offset, length)
    }
    fn list(&self, folder: &Path) -> std::io::Result<Vec<String>> {
        self.1.lock().unwrap().push(folder.to_owned());
        self.0.list(folder)
    }
}

fn any_path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "tile",
        "entries",
        "0",
        "1",
        "63",
        "64",
        "000",
        "001",
        "004",
        "x001",
        "000.p",
        "004.p",
        "76",
        "255",
        "256",
        "tags",
        "rulebook",
        "checkpoint",
        "..",
        ".",
        "",
        "ledger",
        "wal",
        "durable",
        "details",
        "details-pack",
        "pack",
        "manifest.note",
        "rebuild",
        "keys",
        "%2e%2e",
        "..\\",
        "\0",
        "é",
        "5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d",
    ]);
    let pieces = prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.join("/"));
    prop_oneof![3 => pieces, 1 => ".{0,40}", 1 => "(tile|tags|rulebook)/[0-9a-fx./p-]{0,80}"]
}

#[test]
fn no_path_reaches_another_file() {
    let watched = Arc::new(Watched(copy(), Mutex::default()));
    let log = open(&watched, packing()).unwrap();
    wait_for_packs(watched.0.as_ref());
    // The log's own threads are done, and read nothing any more.
    log.close();
    let config = proptest::test_runner::Config { cases: 4000, ..Default::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let allowed = ["ledger/tile/", "ledger/pack/", "ledger/tags/", "ledger/rulebook/"];
    let claim = |path: String| {
        watched.1.lock().unwrap().clear();
        let served = log.public(&path).unwrap();
        let read = watched.1.lock().unwrap().clone();
        for file in &read {
            let file = file.to_str().unwrap();
            let plain = file.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
            prop_assert!(plain && file.bytes().all(|b| b.is_ascii_graphic()), "{path} read {file}");
            prop_assert!(
                file == "ledger/checkpoint" || allowed.iter().any(|a| file.starts_with(a)),
                "{path} read {file}"
            );
        }
        prop_assert!(served.is_none() || !read.is_empty());
        Ok(())
    };
    runner.run(&any_path(), claim).unwrap();
    assert!(log.public("tile/0/000").unwrap().is_some(), "the claim is not empty");
}
