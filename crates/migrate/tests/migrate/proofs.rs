//! Claims about the proof that a seal is on the ledger.

use std::path::{Path, PathBuf};

use ledger::checkpoint::Checkpoint;
use ledger::merkle::{MemoryTree, leaf_hash};
use ledger::note::{Note, Signer};
use ledger::proof::LogProof;
use ledger::{Draft, EntryKind, Subjects};
use model::{Country, Digest, Direction, FlowId, Purpose, Reason, Tag, UnixSeconds};

use crate::closure::{Closing, why};

/// An entry as a gateway records the stage of a migration.
fn entry(kind: EntryKind, note: &str, sequence: u64) -> Vec<u8> {
    let country = |text| Country::parse(text).unwrap();
    let draft = Draft {
        kind,
        direction: Direction::Inward,
        time: UnixSeconds(9),
        flow: FlowId::new([1; 16]),
        rulebook: Digest::new([2; 32]),
        purpose: Purpose::Migration,
        place: country("SG"),
        destination: country("IE"),
        classes: vec![],
        treatments: vec![],
        reason: Reason::None,
        findings: 0,
        bytes: 0,
        rows: 0,
        detail: Digest::new([0; 32]),
        actor: Tag::new([0; 16]),
        subjects: Subjects::of(vec![]),
        lane: [0; 8],
        stream: None,
        facts: note.as_bytes().to_vec(),
    };
    draft.encode([7; 8], sequence)
}

/// A log with these entries, and the proof of each.
fn proofs(log: &Signer, entries: &[Vec<u8>]) -> Vec<String> {
    let tree: MemoryTree = entries.iter().map(|entry| leaf_hash(entry)).collect();
    let checkpoint = Checkpoint::new(log.verifier().name(), tree.head()).unwrap().sign(log).unwrap();
    let proof = |(index, entry): (u64, &Vec<u8>)| {
        let hashes = tree.prove_inclusion(index, entries.len() as u64).unwrap();
        LogProof::new(index, hashes, checkpoint.clone()).with_extra(entry.clone()).to_string()
    };
    (0..).zip(entries).map(proof).collect()
}

/// The seals of a folder, in the order of their names.
fn seals(records: &Path) -> Vec<PathBuf> {
    let mut seals: Vec<_> = std::fs::read_dir(records).unwrap().map(|entry| entry.unwrap().path()).collect();
    seals.retain(|path| path.to_string_lossy().ends_with("-sealed.note"));
    seals.sort();
    seals
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_destroyed_before_each_seal_is_proved_to_be_on_the_ledger() {
    let [log, other] = [3, 4].map(|seed| Signer::from_seed("ledger.t/dublin/gateway", &[seed; 32]).unwrap());
    let closing = Closing::finished("log = \"FOLDER/log\"").await;
    std::fs::write(closing.world.folder.path().join("log"), log.verifier().to_vkey()).unwrap();
    assert!(closing.migration.seal(0).await.unwrap().proof);
    closing.sign(&[&closing.operator, &closing.auditor]).await;
    let seals = seals(&closing.world.folder.path().join("records"));
    let notes: Vec<String> = seals.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let [first, second] = [0, 1].map(|n| notes[n].as_str());
    let good = [entry(EntryKind::Migration, first, 0), entry(EntryKind::Migration, second, 1)];
    let [users, videos] = <[String; 2]>::try_from(proofs(&log, &good)).unwrap();
    let mut half = Note::new(first.parse::<Note>().unwrap().unverified_text()).unwrap();
    half.add(closing.operator.sign(half.unverified_text()).unwrap());
    let alone = |entry: Vec<u8>| proofs(&log, &[entry]).concat();
    let moved = users.replace("index 0", "index 1");
    let stranger = proofs(&other, &good).swap_remove(0);
    for (file, told) in [
        ("".to_owned(), "a proof file begins with"),
        (stranger, "its checkpoint is none of the log `ledger.t/dublin/gateway`"),
        (moved, "it does not show that its entry is in the log"),
        (videos.clone(), "its entry is of another stage, set or seal"),
        (alone(entry(EntryKind::Demand, first, 0)), "its entry is none of a stage of a migration"),
        (alone(b"another kind of leaf".to_vec()), "its entry is none of a stage of a migration"),
        (alone(entry(EntryKind::Migration, &half.to_string(), 0)), "`t/auditor` did not sign its entry"),
    ] {
        std::fs::write(seals[0].with_extension("proof"), file).unwrap();
        let error = why(&closing.migration.destroy(0).await.unwrap_err());
        assert!(error.contains(told) && error.contains("clover migration proof"), "{told}: {error}");
    }
    std::fs::write(seals[0].with_extension("proof"), users).unwrap();
    let error = why(&closing.migration.destroy(0).await.unwrap_err());
    assert!(error.contains("00010-sealed.proof: it is not there"), "{error}");
    assert_eq!(closing.rows_of_the_region(), ["200"], "all of them are there");
    std::fs::write(seals[1].with_extension("proof"), videos).unwrap();
    assert_eq!(closing.migration.destroy(0).await.unwrap(), 400);
}
