use proptest::prelude::*;

use super::*;

const SPEC_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const SPEC_NOTE: &str = "This is an example message.\n\n\
    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/// The example of Go's `sumdb/note`, whose private key is public.
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

/// A checkpoint of a public test log, with a cosignature that one of its witnesses made.
const WITNESS_KEY: &str = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
const WITNESSED: &str = "arche2025h1.staging.ct.transparency.dev\n1432088532\n\
    U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n\n\
    — arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=\n\
    — remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==\n";

fn key(vkey: &str) -> Verifier {
    Verifier::parse(vkey).unwrap()
}

fn signer(name: &str, seed: u8) -> Signer {
    Signer::from_seed(name, &[seed; 32]).unwrap()
}

fn signed(text: &str, signers: &[&Signer]) -> Note {
    let mut note = Note::new(text).unwrap();
    signers.iter().for_each(|signer| note.add(signer.sign(text).unwrap()));
    note
}

fn parse(note: &str) -> Result<Note, NoteError> {
    note.parse()
}

#[test]
fn the_example_of_the_specification_verifies() {
    let note = parse(SPEC_NOTE).unwrap();
    let verified = note.verify(&[key(SPEC_KEY)]).unwrap();
    assert_eq!(verified.text(), "This is an example message.\n");
    assert_eq!(verified.by()[0].time(), None);
    assert_eq!(note.to_string(), SPEC_NOTE);
}

#[test]
fn signing_gives_the_bytes_that_the_go_implementation_gives() {
    let seed = BASE64.decode(GO_SEED.as_bytes()).unwrap();
    let signer = Signer::from_seed("PeterNeumann", seed[1..].try_into().unwrap()).unwrap();
    assert_eq!(signer.verifier().to_vkey(), GO_KEY);
    assert_eq!(signer.verifier(), &key(GO_KEY));
    let note = parse(GO_NOTE).unwrap();
    assert_eq!(signed(note.unverified_text(), &[&signer]).to_string(), GO_NOTE);
}

#[test]
fn a_cosignature_of_a_public_witness_verifies() {
    let note = parse(WITNESSED).unwrap();
    let verified = note.verify(&[key(WITNESS_KEY)]).unwrap();
    assert_eq!(verified.by()[0].time(), Some(0x6a12_2120));
    let other_size = parse(&WITNESSED.replace("1432088532", "1432088533")).unwrap();
    let refused = NoteError::BadSignature { name: "remora.n621.de".into() };
    assert_eq!(other_size.verify(&[key(WITNESS_KEY)]), Err(refused));
}

#[test]
fn a_cosignature_covers_its_time_and_the_text() {
    let witness = Cosigner::from_seed("witness.example", &[3; 32]).unwrap();
    let known = [witness.verifier().clone()];
    let mut note = Note::new("log\n1\nroot\n").unwrap();
    note.add(witness.cosign(note.unverified_text(), 1_700_000_000).unwrap());
    assert_eq!(parse(&note.to_string()).unwrap().verify(&known).unwrap().by()[0].time(), Some(1_700_000_000));
    for byte in 0..72 {
        let mut forged = note.clone();
        forged.signatures[0].blob[byte] ^= 1;
        assert!(forged.verify(&known).is_err(), "byte {byte}");
    }
    for length in (0..72).chain([73]) {
        let mut forged = note.clone();
        forged.signatures[0].blob.resize(length, 0);
        assert!(forged.verify(&known).is_err(), "{length} bytes");
    }
}

#[test]
fn a_time_beyond_the_limit_is_neither_signed_nor_accepted() {
    let witness = Cosigner::from_seed("witness.example", &[3; 32]).unwrap();
    assert!(witness.cosign("log\n", (1 << 63) - 1).is_ok());
    assert_eq!(witness.cosign("log\n", 1 << 63), Err(NoteError::Time));
    let mut note = Note::new("log\n").unwrap();
    note.add(witness.cosign("log\n", 0).unwrap());
    note.signatures[0].blob[0] = 0x80;
    assert!(note.verify(&[witness.verifier().clone()]).is_err());
}

#[test]
fn the_latest_of_several_cosignatures_by_one_key_counts_once() {
    let witness = Cosigner::from_seed("witness.example", &[3; 32]).unwrap();
    let mut note = Note::new("log\n").unwrap();
    for time in [5, 9, 7] {
        note.add(witness.cosign("log\n", time).unwrap());
    }
    let verified = note.verify(&[witness.verifier().clone()]).unwrap();
    assert_eq!(verified.by().len(), 1);
    assert_eq!(verified.by()[0].time(), Some(9));
}

#[test]
fn a_log_key_and_a_cosigner_key_of_the_same_seed_do_not_stand_in_for_each_other() {
    let log = signer("same.example", 3);
    let witness = Cosigner::from_seed("same.example", &[3; 32]).unwrap();
    assert_ne!(log.verifier().key_id(), witness.verifier().key_id());
    let note = signed("text\n", &[&log]);
    assert_eq!(note.verify(&[witness.verifier().clone()]), Err(NoteError::NoKnownKey));
}

#[test]
fn signatures_by_unknown_keys_are_ignored() {
    let (known, stranger, namesake) = (signer("known", 1), signer("stranger", 2), signer("known", 3));
    let mut note = signed("text\n", &[&stranger, &namesake, &known]);
    // Garbage under the known id but another name, and under the known name but another id.
    note.add(Signature::new("other", known.verifier().key_id(), vec![1; 64]));
    note.add(Signature::new("known", 7, vec![1; 64]));
    let verified = note.verify(&[known.verifier().clone()]).unwrap();
    assert_eq!(verified.by().len(), 1);
    assert!(verified.signed_by(known.verifier()).is_some());
    assert!(verified.signed_by(namesake.verifier()).is_none());
    assert_eq!(note.verify(&[signer("nobody", 9).verifier().clone()]), Err(NoteError::NoKnownKey));
    assert_eq!(note.verify(&[]), Err(NoteError::NoKnownKey));
}

#[test]
fn one_failed_signature_by_a_known_key_refuses_the_whole_note() {
    let (good, bad) = (signer("good", 1), signer("bad", 2));
    let known = [good.verifier().clone(), bad.verifier().clone()];
    let mut note = signed("text\n", &[&good]);
    note.add(bad.sign("other text\n").unwrap());
    assert_eq!(note.verify(&known), Err(NoteError::BadSignature { name: "bad".into() }));
    // Even a second, failing line of a key that also signed well.
    let mut note = signed("text\n", &[&good]);
    note.add(good.sign("other text\n").unwrap());
    assert_eq!(note.verify(&known), Err(NoteError::BadSignature { name: "good".into() }));
}

#[test]
fn two_known_keys_with_one_name_and_one_id_are_refused() {
    let good = signer("good", 1);
    let note = signed("text\n", &[&good]);
    let twin = signer("good", 2).verifier().clone().with_key_id(good.verifier().key_id());
    let known = [good.verifier().clone(), twin];
    let refused = NoteError::AmbiguousKeys { name: "good".into(), key_id: good.verifier().key_id() };
    assert_eq!(note.verify(&known), Err(refused));
    // The same key listed twice is no conflict.
    assert!(note.verify(&[good.verifier().clone(), good.verifier().clone()]).is_ok());
}

#[test]
fn sixteen_signatures_and_more_are_accepted_up_to_the_limit() {
    let signers: Vec<_> = (0..64).map(|i| signer(&format!("key{i}"), i)).collect();
    let known: Vec<_> = signers.iter().map(|signer| signer.verifier().clone()).collect();
    for count in [1, 16, 17, SIGNATURES_MAX] {
        let note = signed("text\n", &signers.iter().take(count).collect::<Vec<_>>());
        let read = parse(&note.to_string()).unwrap();
        assert_eq!(read.verify(&known).unwrap().by().len(), count);
    }
    let mut note = signed("text\n", &signers.iter().collect::<Vec<_>>());
    note.add(signers[0].sign("text\n").unwrap());
    assert_eq!(parse(&note.to_string()), Err(NoteError::TooManySignatures));
}

#[test]
fn a_note_of_another_shape_is_refused() {
    let line = SPEC_NOTE.split_once("\n\n").unwrap().1;
    let blob = line.trim_end().rsplit_once(' ').unwrap().1;
    let refused = [
        ("", NoteError::Shape),
        ("text\n", NoteError::Shape),
        ("text\n\n", NoteError::Shape),
        (&format!("text\n{line}"), NoteError::Shape),
        (&format!("text\n\n{}", line.trim_end()), NoteError::Shape),
        (&format!("text\n\n\n{line}\n"), NoteError::Shape),
        (&format!("text\n\n{line}junk\n"), NoteError::SignatureLine),
        (&format!("text\n\n- example.com/foo {blob}\n"), NoteError::SignatureLine),
        (&format!("text\n\n—example.com/foo {blob}\n"), NoteError::SignatureLine),
        (&format!("text\n\n— {blob}\n"), NoteError::SignatureLine),
        (&format!("text\n\n—  {blob}\n"), NoteError::SignatureLine),
        (&format!("text\n\n— a+b {blob}\n"), NoteError::SignatureLine),
        (&format!("text\n\n— a\u{a0}b {blob}\n"), NoteError::SignatureLine),
        (&format!("text\n\n— foo {blob} \n"), NoteError::SignatureLine),
        (&format!("text\n\n— foo {blob}=\n"), NoteError::SignatureLine),
        ("text\n\n— foo AAAAAA==\n", NoteError::SignatureLine),
        ("text\n\n— foo AAAA\n", NoteError::SignatureLine),
        ("text\n\n— foo AAAAAAB=\n", NoteError::SignatureLine),
        (&format!("text\r\n\r\n{line}"), NoteError::Text),
        (&format!("te\txt\n\n{line}"), NoteError::Text),
        (&format!("te\0xt\n\n{line}"), NoteError::Text),
        (&format!("text\n\n— foo\x1b {blob}\n"), NoteError::Text),
    ];
    for (note, error) in refused {
        assert_eq!(parse(note), Err(error), "{note:?}");
    }
    let long = "a".repeat(NOTE_BYTES_MAX + 1);
    assert_eq!(parse(&long), Err(NoteError::TooLong { bytes: long.len() }));
}

#[test]
fn text_with_blank_lines_ends_at_the_last_one() {
    let signer = signer("key", 1);
    for text in ["\n", "a\n\nb\n", "\n\n\n", "— looks like a signature AAAA\n", "a\n\n— key AAAAAAAA\n"] {
        let note = signed(text, &[&signer]);
        let read = parse(&note.to_string()).unwrap();
        assert_eq!(read.verify(&[signer.verifier().clone()]).unwrap().text(), text);
    }
}

#[test]
fn text_that_a_note_cannot_carry_is_refused() {
    for text in ["", "no newline", "carriage\r\n", "tab\t\n", "nul\0\n"] {
        assert_eq!(Note::new(text), Err(NoteError::Text), "{text:?}");
    }
}

#[test]
fn a_verifier_key_that_is_cut_or_changed_anywhere_is_refused() {
    for start in 0..=GO_KEY.len() {
        for end in start..=GO_KEY.len() {
            let whole = (start, end) == (0, GO_KEY.len());
            assert_eq!(Verifier::parse(&GO_KEY[start..end]).is_ok(), whole, "{start}..{end}");
        }
    }
    for place in 0..GO_KEY.len() {
        let mut bytes = GO_KEY.as_bytes().to_vec();
        bytes[place] += 1;
        assert!(Verifier::parse(std::str::from_utf8(&bytes).unwrap()).is_err(), "{place}");
    }
}

#[test]
fn a_verifier_key_of_another_type_or_with_another_id_is_refused() {
    let unknown_type = "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let wrong_id = GO_KEY.replace("c74f20a3", "c74f20a4");
    let upper_case = GO_KEY.replace("c74f20a3", "C74F20A3");
    let ct_log =
        "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f";
    assert!(matches!(Verifier::parse(unknown_type), Err(KeyError::Kind { kind: 0x65, .. })));
    assert!(matches!(Verifier::parse(&wrong_id), Err(KeyError::Id { wanted: 0xc74f_20a3, .. })));
    assert_eq!(Verifier::parse(&upper_case), Err(KeyError::Shape));
    assert_eq!(parse(WITNESSED).unwrap().verify(&[key(ct_log)]).unwrap().by().len(), 1);
}

#[test]
fn a_name_that_a_note_cannot_carry_is_refused() {
    for name in ["", "a b", "a+b", "a\nb", "a\u{2003}b", "a\u{7f}"] {
        assert_eq!(Signer::from_seed(name, &[1; 32]).unwrap_err(), KeyError::Name, "{name:?}");
        assert_eq!(Cosigner::from_seed(name, &[1; 32]).unwrap_err(), KeyError::Name, "{name:?}");
    }
}

#[test]
fn debug_prints_no_secret_and_no_text() {
    let signer = signer("key", 0xab);
    let cosigner = Cosigner::from_seed("key", &[0xab; 32]).unwrap();
    let printed = format!("{signer:?} {cosigner:?}");
    assert!(printed.starts_with("Signer(key+") && !printed.contains("abab"), "{printed}");
    let note = signed("secret\n", &[&signer]);
    let printed = format!("{note:?} {:?} {:?}", note.verify(&[signer.verifier().clone()]), note.signatures());
    assert!(!printed.contains("secret"), "{printed}");
}

#[test]
fn numbers_are_plain_decimals() {
    assert_eq!(decimal("0"), Some(0));
    assert_eq!(decimal("18446744073709551615"), Some(u64::MAX));
    for text in ["", "00", "01", "+1", "-1", " 1", "1 ", "1e3", "٣", "18446744073709551616"] {
        assert_eq!(decimal(text), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn a_note_that_is_read_is_the_one_that_would_be_written(
        text in "[a-z \n]{0,12}", tail in "(— [a-z+ ]{0,3} [A-Za-z0-9+/=]{0,12}\n){0,3}",
    ) {
        let note = format!("{text}\n{tail}");
        if let Ok(read) = note.parse::<Note>() {
            prop_assert_eq!(read.to_string(), note);
        }
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in "\\PC{0,40}", tail in ".{0,40}") {
        let _ = text.parse::<Note>();
        let _ = format!("{text}\n\n— {tail}\n").parse::<Note>();
        let _ = Verifier::parse(&format!("{text}+{tail}"));
    }

    #[test]
    fn what_is_signed_verifies_and_any_other_text_does_not(text in "[^\\x00-\\x1f]{1,60}", other in "[a-z]{1,9}") {
        let signer = signer("key", 5);
        let known = [signer.verifier().clone()];
        let note = signed(&format!("{text}\n"), &[&signer]);
        prop_assert!(parse(&note.to_string()).unwrap().verify(&known).is_ok());
        let mut forged = Note::new(&format!("{text}{other}\n")).unwrap();
        forged.add(note.signatures()[0].clone());
        prop_assert!(forged.verify(&known).is_err());
    }
}
