use proptest::prelude::*;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::merkle::MemoryTree;
use crate::note::{Cosigner, Note, NoteError, Signer};

fn log() -> Signer {
    Signer::from_seed("gateway.example/log", &[1; 32]).unwrap()
}

fn entry(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

fn proof(index: u64, size: u64) -> LogProof {
    let tree: MemoryTree = (0..size).map(|i| leaf_hash(&entry(i))).collect();
    let checkpoint = Checkpoint::new("gateway.example/log", tree.head()).unwrap().sign(&log()).unwrap();
    LogProof::new(index, tree.prove_inclusion(index, size).unwrap(), checkpoint)
}

#[test]
fn a_proof_file_has_the_lines_of_the_specification() {
    let hash = leaf_hash(b"any");
    let plain = LogProof::new(5, vec![hash, hash], "test checkpoint\n".into());
    let wanted = format!("c2sp.org/tlog-proof@v1\nindex 5\n{hash}\n{hash}\n\ntest checkpoint\n");
    assert_eq!(plain.to_string(), wanted);
    let extra = LogProof::new(10, Vec::new(), "checkpoint\n".into()).with_extra(b"extra information".into());
    let wanted = "c2sp.org/tlog-proof@v1\nextra ZXh0cmEgaW5mb3JtYXRpb24=\nindex 10\n\ncheckpoint\n";
    assert_eq!(extra.to_string(), wanted);
    for proof in [plain, extra] {
        assert_eq!(proof.to_string().parse(), Ok(proof));
    }
}

#[test]
fn a_proof_shows_its_entry_at_its_place_and_no_other() {
    let proof: LogProof = proof(3, 7).to_string().parse().unwrap();
    let opened = proof.verify(&entry(3), log().verifier(), &[]).unwrap();
    assert_eq!(opened.checkpoint().head().size, 7);
    let refused = Err(LogProofError::Inclusion(ProofError::Root));
    assert_eq!(proof.verify(&entry(4), log().verifier(), &[]), refused);
    let moved = LogProof { index: 2, ..proof };
    assert_eq!(moved.verify(&entry(3), log().verifier(), &[]), refused);
}

#[test]
fn a_proof_of_another_log_is_refused() {
    let other = Signer::from_seed("other.example/log", &[2; 32]).unwrap();
    let refused = LogProofError::Checkpoint(CheckpointError::Note(NoteError::NoKnownKey));
    assert_eq!(proof(3, 7).verify(&entry(3), other.verifier(), &[]), Err(refused));
}

#[test]
fn cosignatures_travel_with_the_proof() {
    let witness = Cosigner::from_seed("witness.example", &[3; 32]).unwrap();
    let proof = proof(0, 1);
    let mut note: Note = proof.checkpoint().parse().unwrap();
    note.add(witness.cosign(note.unverified_text(), 7).unwrap());
    let proof = LogProof::new(0, Vec::new(), note.to_string());
    let opened = proof.verify(&entry(0), log().verifier(), &[witness.verifier().clone()]).unwrap();
    assert_eq!(opened.cosignatures()[0].time(), Some(7));
}

#[test]
fn a_changed_byte_anywhere_is_refused_or_changes_nothing() {
    let file = proof(3, 7).to_string();
    for place in 0..file.len() {
        let mut bytes = file.clone().into_bytes();
        bytes[place] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let verified = text.parse::<LogProof>().map(|p| p.verify(&entry(3), log().verifier(), &[]).is_ok());
        assert_ne!(verified, Ok(true), "byte {place}");
    }
}

#[test]
fn a_file_of_another_shape_is_refused() {
    let hash = leaf_hash(b"any").to_string();
    let file = |body: &str| format!("{HEADER}\n{body}").parse::<LogProof>();
    assert!(file("index 0\n\nc\n").is_ok());
    for (body, error) in [
        ("", LogProofError::Index),
        ("index 0", LogProofError::Index),
        ("index 00\n\nc\n", LogProofError::Index),
        ("index +1\n\nc\n", LogProofError::Index),
        ("index  1\n\nc\n", LogProofError::Index),
        ("index 18446744073709551616\n\nc\n", LogProofError::Index),
        ("Index 0\n\nc\n", LogProofError::Index),
        ("index 0\nextra AAAA\n\nc\n", LogProofError::Hashes),
        ("extra AAAA\nextra AAAA\nindex 0\n\nc\n", LogProofError::Index),
        ("extra \nindex 0\n\nc\n", LogProofError::Extra),
        ("extra A\nindex 0\n\nc\n", LogProofError::Extra),
        ("extra AAAA", LogProofError::Extra),
        ("index 0\n", LogProofError::Hashes),
        (&format!("index 0\n{hash}\nc\n"), LogProofError::Hashes),
        (&format!("index 0\n{hash} \n\nc\n"), LogProofError::Hashes),
        (&format!("index 0\n{hash}\r\n\r\nc\n"), LogProofError::Hashes),
        (&format!("index 0\n{}\nc\n", format!("{hash}\n").repeat(65)), LogProofError::Hashes),
    ] {
        assert_eq!(file(body), Err(error), "{body:?}");
    }
    for text in
        ["", "c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2\nindex 0\n\nc\n", " c2sp.org/tlog-proof@v1\n"]
    {
        assert_eq!(text.parse::<LogProof>(), Err(LogProofError::Header), "{text:?}");
    }
    let long = "c".repeat(BYTES_MAX + 1);
    assert_eq!(long.parse::<LogProof>(), Err(LogProofError::TooLong { bytes: long.len() }));
}

proptest! {
    #[test]
    fn a_proof_says_the_same_after_a_round_trip(
        index: u64, hashes in proptest::collection::vec(any::<[u8; 32]>(), 0..=64), extra: Vec<u8>, checkpoint in ".{0,40}",
    ) {
        let hashes = hashes.into_iter().map(Hash::from).collect();
        let proof = LogProof::new(index, hashes, checkpoint).with_extra(extra);
        prop_assert_eq!(proof.to_string().parse(), Ok(proof));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,60}") {
        let _ = text.parse::<LogProof>();
        let _ = format!("{HEADER}\n{text}").parse::<LogProof>();
        let _ = format!("{HEADER}\nindex 1\n{text}").parse::<LogProof>();
    }
}
