use proptest::prelude::*;

use super::*;
use crate::merkle::leaf_hash;
use crate::note::Cosigner;

const ROOT: &str = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";

fn log() -> Signer {
    Signer::from_seed("gateway.example/log", &[1; 32]).unwrap()
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint::new("gateway.example/log", TreeHead { size, root: leaf_hash(b"any") }).unwrap()
}

fn parse(text: &str) -> Result<Checkpoint, CheckpointError> {
    text.parse()
}

#[test]
fn anything_but_the_canonical_text_is_refused() {
    assert!(parse(&format!("log\n1\n{ROOT}\n")).is_ok());
    for size in ["", "00", "01", "+1", "-1", " 1", "1 ", "1e3", "0x1", "18446744073709551616"] {
        assert_eq!(parse(&format!("log\n{size}\n{ROOT}\n")), Err(CheckpointError::Size), "{size:?}");
    }
    for root in
        ["", "AAAA", &ROOT[..43], &ROOT.replace('/', "_"), &ROOT.replace("I=", "J="), &format!("{ROOT}=")]
    {
        assert_eq!(parse(&format!("log\n1\n{root}\n")), Err(CheckpointError::Root), "{root:?}");
    }
    for text in ["", "\n", "log\n", "log\n1\n", &format!("log\n1\n{ROOT}"), &format!("log\n1\n{ROOT}\n\n")] {
        assert_eq!(parse(text), Err(CheckpointError::Shape), "{text:?}");
    }
    assert_eq!(parse(&format!("\n1\n{ROOT}\n")), Err(CheckpointError::Origin));
    assert_eq!(parse(&format!("log\r\n1\n{ROOT}\n")), Err(CheckpointError::Origin));
    assert_eq!(parse(&format!("log\n1\r\n{ROOT}\n")), Err(CheckpointError::Size));
}

#[test]
fn sizes_up_to_the_largest_are_read() {
    for size in [1, 1 << 63, u64::MAX] {
        assert_eq!(parse(&format!("log\n{size}\n{ROOT}\n")).unwrap().head().size, size);
    }
}

#[test]
fn an_empty_tree_has_the_empty_root() {
    assert_eq!(parse(&format!("log\n0\n{ROOT}\n")), Err(CheckpointError::Root));
    assert_eq!(parse(&format!("log\n0\n{}\n", empty_root())).unwrap().head(), TreeHead::empty());
}

#[test]
fn extension_lines_are_kept_and_covered_by_the_signature() {
    let text = format!("gateway.example/log\n1\n{ROOT}\nfirst\nsecond\n");
    let checkpoint = parse(&text).unwrap();
    assert_eq!(checkpoint.extensions(), ["first", "second"]);
    assert_eq!(checkpoint.to_string(), text);
    let note = checkpoint.sign(&log()).unwrap();
    assert!(open(&note, log().verifier(), &[]).is_ok());
    assert!(open(&note.replace("second", "secund"), log().verifier(), &[]).is_err());
}

#[test]
fn a_checkpoint_opens_only_with_the_key_of_its_log() {
    let note = checkpoint(5).sign(&log()).unwrap();
    assert_eq!(open(&note, log().verifier(), &[]).unwrap().checkpoint(), &checkpoint(5));
    let other_key = Signer::from_seed("gateway.example/log", &[2; 32]).unwrap();
    let refused = Err(CheckpointError::Note(NoteError::NoKnownKey));
    assert_eq!(open(&note, other_key.verifier(), &[]), refused);
}

#[test]
fn a_key_does_not_sign_or_open_the_checkpoint_of_another_log() {
    let other = Signer::from_seed("other.example/log", &[2; 32]).unwrap();
    let refused =
        CheckpointError::OtherLog { origin: "gateway.example/log".into(), key: "other.example/log".into() };
    assert_eq!(checkpoint(5).sign(&other), Err(refused.clone()));
    // The key's owner could still make the note by hand.
    let mut note = Note::new(&checkpoint(5).to_string()).unwrap();
    note.add(other.sign(note.unverified_text()).unwrap());
    assert_eq!(open(&note.to_string(), other.verifier(), &[]), Err(refused));
}

#[test]
fn cosignatures_are_reported_with_their_time_but_do_not_replace_the_log() {
    let witness = Cosigner::from_seed("witness.example", &[3; 32]).unwrap();
    let silent = Cosigner::from_seed("silent.example", &[4; 32]).unwrap();
    let cosigners = [witness.verifier().clone(), silent.verifier().clone()];
    let mut note: Note = checkpoint(5).sign(&log()).unwrap().parse().unwrap();
    let cosignature = witness.cosign(note.unverified_text(), 1_700_000_000).unwrap();
    note.add(cosignature.clone());
    let opened = open(&note.to_string(), log().verifier(), &cosigners).unwrap();
    let found: Vec<_> = opened.cosignatures().iter().map(|by| (by.name(), by.time())).collect();
    assert_eq!(found, [("witness.example", Some(1_700_000_000))]);
    let mut cosigned_only = Note::new(note.unverified_text()).unwrap();
    cosigned_only.add(cosignature);
    let refused = Err(CheckpointError::Note(NoteError::NoKnownKey));
    assert_eq!(open(&cosigned_only.to_string(), log().verifier(), &cosigners), refused);
}

#[test]
fn a_failed_cosignature_of_a_known_witness_refuses_the_checkpoint() {
    let witness = Cosigner::from_seed("witness.example", &[3; 32]).unwrap();
    let mut note: Note = checkpoint(5).sign(&log()).unwrap().parse().unwrap();
    note.add(witness.cosign(&checkpoint(6).to_string(), 1).unwrap());
    assert!(open(&note.to_string(), log().verifier(), &[]).is_ok());
    assert!(open(&note.to_string(), log().verifier(), &[witness.verifier().clone()]).is_err());
}

#[test]
fn an_origin_that_is_not_one_line_is_refused() {
    for origin in ["", "a\nb", "a\tb", "a\r"] {
        assert_eq!(Checkpoint::new(origin, TreeHead::empty()), Err(CheckpointError::Origin), "{origin:?}");
    }
}

proptest! {
    #[test]
    fn a_checkpoint_says_the_same_after_a_round_trip(origin in "[^\\x00-\\x1f]{1,30}", size in 1_u64.., root: [u8; 32]) {
        let checkpoint = Checkpoint::new(&origin, TreeHead { size, root: root.into() }).unwrap();
        prop_assert_eq!(checkpoint.to_string().parse(), Ok(checkpoint));
    }

    #[test]
    fn a_checkpoint_that_is_read_is_the_one_that_would_be_written(text in "[a-z]{0,2}\n[0-9]{0,3}\n[A-Za-z0-9+/]{43}=\n(x?\n)?") {
        if let Ok(checkpoint) = text.parse::<Checkpoint>() {
            prop_assert_eq!(checkpoint.to_string(), text);
        }
    }
}
