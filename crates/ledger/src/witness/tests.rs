use proptest::prelude::*;

use super::*;
use crate::checkpoint;
use crate::merkle::{MemoryTree, empty_root, leaf_hash};
use crate::note::Signer;

const ORIGIN: &str = "gateway.example/log";

fn log() -> Signer {
    Signer::from_seed(ORIGIN, &[1; 32]).unwrap()
}

fn witness() -> Cosigner {
    Cosigner::from_seed("witness.example", &[2; 32]).unwrap()
}

fn tree(size: u64) -> MemoryTree {
    (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

/// Another tree of that size: its first leaf differs.
fn forked(size: u64) -> MemoryTree {
    (0..size).map(|i| leaf_hash(&(i + u64::from(i == 0) * 99).to_be_bytes())).collect()
}

fn checkpoint(head: TreeHead) -> String {
    Checkpoint::new(ORIGIN, head).unwrap().sign(&log()).unwrap()
}

fn request(old: u64, new: u64) -> Request {
    let proof = tree(new).prove_consistency(old, new).unwrap();
    Request::new(old, proof, &checkpoint(tree(new).head())).unwrap()
}

fn ask(latest: Option<u64>, request: &Request) -> Result<TreeHead, Refusal> {
    decide(latest.map(|size| tree(size).head()).as_ref(), request, log().verifier())
}

fn signed(text: &str) -> String {
    let mut note = Note::new(text).unwrap();
    note.add(log().sign(text).unwrap());
    note.to_string()
}

#[test]
fn the_example_of_the_specification_is_read_and_written() {
    let body = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
        \n\
        example.com/behind-the-sofa\n\
        20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
        \n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";
    let request = Request::parse(body.as_bytes()).unwrap();
    assert_eq!((request.old(), request.proof().len()), (20_852_014, 4));
    assert_eq!(request.unverified_origin(), "example.com/behind-the-sofa");
    assert_eq!(request.checkpoint().signatures().len(), 2);
    assert_eq!(request.to_string(), body);
    let answer = "— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==\n\
        — witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuOBMh9ChdMkP1vi/lCAsmlw==\n\
        — witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/kWl7oJlqU3rXXvpysAdyP3wQ==\n";
    let response: Response = answer.parse().unwrap();
    assert_eq!((response.signatures().len(), response.to_string()), (3, answer.to_owned()));
}

#[test]
fn anything_but_the_canonical_body_is_malformed() {
    let body = request(3, 7).to_string();
    let (_, rest) = body.split_once('\n').unwrap();
    for line in
        ["", "old", "old ", "old  3", "old 03", "old +3", "old -3", "old 3 ", "old 3\r", "Old 3", " old 3"]
    {
        let body = format!("{line}\n{rest}");
        assert_eq!(Request::parse(body.as_bytes()), Err(RequestError::Old), "{line:?}");
    }
    let beyond = format!("old 18446744073709551616\n{rest}");
    assert_eq!(Request::parse(beyond.as_bytes()), Err(RequestError::Old));
    let hash = leaf_hash(b"any").to_string();
    for line in
        ["AAAA", &hash[1..], &format!("{hash} "), &format!("{hash}\r"), &hash.replace('=', ""), " ", "— a"]
    {
        let body = body.replacen("old 3\n", &format!("old 3\n{line}\n"), 1);
        assert_eq!(Request::parse(body.as_bytes()), Err(RequestError::Proof), "{line:?}");
    }
    for body in ["", "old 3"] {
        assert_eq!(Request::parse(body.as_bytes()), Err(RequestError::Old), "{body:?}");
    }
    for body in ["old 3\n", &format!("old 3\n{hash}"), &format!("old 3\n{hash}\n")] {
        assert_eq!(Request::parse(body.as_bytes()), Err(RequestError::Proof), "{body:?}");
    }
    let note = checkpoint(tree(7).head());
    for note in ["", "\n", &note[..note.len() - 1], note.split_once("\n\n").unwrap().0, &format!("{note}\n")]
    {
        let body = format!("old 0\n\n{note}");
        assert!(matches!(Request::parse(body.as_bytes()), Err(RequestError::Checkpoint(_))), "{note:?}");
    }
    assert_eq!(Request::parse(b"old 0\n\n\xff"), Err(RequestError::Encoding));
    assert!(matches!(Request::parse(&vec![b'o'; BODY_BYTES_MAX + 1]), Err(RequestError::TooLong { .. })));
}

#[test]
fn a_proof_has_at_most_63_lines() {
    let note = checkpoint(tree(7).head());
    let lines = |count: usize| format!("old 1\n{}\n{note}", format!("{}\n", leaf_hash(b"any")).repeat(count));
    assert_eq!(Request::parse(lines(63).as_bytes()).unwrap().proof().len(), 63);
    assert_eq!(Request::parse(lines(64).as_bytes()), Err(RequestError::Proof));
    assert_eq!(Request::new(1, vec![leaf_hash(b"any"); 64], &note), Err(RequestError::Proof));
}

#[test]
fn a_witness_follows_a_log_that_only_grows() {
    for old in 0..20 {
        for new in old..20 {
            assert_eq!(ask(Some(old), &request(old, new)), Ok(tree(new).head()), "{old} to {new}");
        }
    }
    // It never saw the log: the first checkpoint is taken as it is, also that of an empty tree.
    assert_eq!(ask(None, &request(0, 0)), Ok(TreeHead::empty()));
    assert_eq!(ask(None, &request(0, 9)), Ok(tree(9).head()));
}

#[test]
fn each_refusal_has_the_status_of_the_protocol() {
    let other = Signer::from_seed("other.example/log", &[1; 32]).unwrap();
    let forger = Signer::from_seed(ORIGIN, &[9; 32]).unwrap();
    let by = |signer: &Signer, origin: &str| {
        let note = Checkpoint::new(origin, tree(7).head()).unwrap().sign(signer).unwrap();
        Request::new(3, tree(7).prove_consistency(3, 7).unwrap(), &note).unwrap()
    };
    let with_proof = |old, new, proof| Request::new(old, proof, &checkpoint(tree(new).head())).unwrap();
    let fork = forked(7);
    let forked_from_3 =
        Request::new(3, fork.prove_consistency(3, 7).unwrap(), &checkpoint(fork.head())).unwrap();
    let forked_at_3 = Request::new(3, Vec::new(), &checkpoint(forked(3).head())).unwrap();
    let broken = Request::parse(request(3, 7).to_string().replace("\n7\n", "\n8\n").as_bytes()).unwrap();
    let any = leaf_hash(b"any");
    let cases = [
        (by(&other, "other.example/log"), 404, None),
        (by(&forger, ORIGIN), 403, None),
        (broken, 403, None),
        (with_proof(8, 7, Vec::new()), 400, None),
        (request(2, 7), 409, Some("3\n")),
        (request(0, 7), 409, Some("3\n")),
        (request(4, 7), 409, Some("3\n")),
        (request(3, 3), 200, None),
        (forked_at_3, 422, None),
        (forked_from_3, 422, None),
        (with_proof(3, 7, Vec::new()), 422, None),
        (with_proof(3, 7, vec![any; 3]), 422, None),
        (with_proof(3, 7, vec![any; 63]), 422, None),
        (with_proof(3, 3, vec![any]), 422, None),
    ];
    for (case, (request, status, body)) in cases.into_iter().enumerate() {
        let answer = ask(Some(3), &request);
        assert_eq!(answer.as_ref().map_or_else(Refusal::status, |_| 200), status, "case {case}: {answer:?}");
        let found = answer.err().and_then(|refusal| refusal.body());
        assert_eq!(found, body.map(|body| (SIZE_CONTENT_TYPE, body.to_owned())), "case {case}");
    }
    let proof_for_nothing = with_proof(0, 7, vec![any]);
    assert_eq!(ask(None, &proof_for_nothing).unwrap_err().status(), 422);
    // Having seen the empty tree is no different from having seen nothing.
    assert_eq!(ask(Some(0), &proof_for_nothing).unwrap_err().status(), 422);
    assert_eq!(ask(None, &request(3, 7)), Err(Refusal::Stale { latest: 0 }));
    let malformed = Refusal::from(Request::parse(b"GET / HTTP/1.1\r\n").unwrap_err());
    assert_eq!((malformed.status(), malformed.body()), (400, None));
}

#[test]
fn a_note_that_is_no_checkpoint_is_refused_whoever_signed_it() {
    for text in ["hello\n", &format!("{ORIGIN}\n07\n{}\n", empty_root()), &format!("{ORIGIN}\n0\nAAAA\n")] {
        let request = Request::new(0, Vec::new(), &signed(text)).unwrap();
        let refusal = ask(None, &request).unwrap_err();
        assert!(matches!(refusal, Refusal::NoCheckpoint(_)), "{text:?}: {refusal:?}");
        assert_eq!(refusal.status(), 400);
    }
}

#[test]
fn an_empty_tree_with_leaves_in_its_root_is_refused_after_the_signature() {
    let text = format!("{ORIGIN}\n0\n{}\n", leaf_hash(b"any"));
    let request = Request::new(0, Vec::new(), &signed(&text)).unwrap();
    assert_eq!(ask(None, &request), Err(Refusal::EmptyTree));
    assert_eq!(Refusal::EmptyTree.status(), 422);
    let mut unsigned = Note::new(&text).unwrap();
    unsigned.add(witness().cosign(&text, 7).unwrap());
    let request = Request::new(0, Vec::new(), &unsigned.to_string()).unwrap();
    assert_eq!(ask(None, &request).unwrap_err().status(), 403);
}

#[test]
fn a_cosigner_s_signature_is_not_the_log_s() {
    let mut note: Note = checkpoint(tree(7).head()).parse().unwrap();
    note.add(witness().cosign(note.unverified_text(), 7).unwrap());
    let both = Request::new(0, Vec::new(), &note.to_string()).unwrap();
    assert!(ask(None, &both).is_ok());
    let mut alone = Note::new(note.unverified_text()).unwrap();
    alone.add(witness().cosign(note.unverified_text(), 7).unwrap());
    let alone = Request::new(0, Vec::new(), &alone.to_string()).unwrap();
    assert_eq!(ask(None, &alone), Err(Refusal::NotSigned(NoteError::NoKnownKey)));
}

#[test]
fn merging_keeps_one_line_for_each_witness_and_the_latest() {
    let second = Cosigner::from_seed("second.example", &[3; 32]).unwrap();
    let known = [witness().verifier().clone(), second.verifier().clone()];
    let note: Note = checkpoint(tree(7).head()).parse().unwrap();
    let line = |by: &Cosigner, time| by.cosign(note.unverified_text(), time).unwrap();
    let times = |note: &Note| -> Vec<_> {
        let opened = checkpoint::open(&note.to_string(), log().verifier(), &known).unwrap();
        opened.cosignatures().iter().map(|by| (by.name().to_owned(), by.time().unwrap())).collect()
    };
    let flood = Response { lines: (1..=60).map(|time| line(&witness(), time)).collect() };
    let merged = flood.merge(&note, &known).unwrap();
    assert_eq!(times(&merged), [("witness.example".to_owned(), 60)]);
    assert_eq!(merged.signatures().len(), 2);
    let replayed = Response { lines: vec![line(&witness(), 5), line(&second, 6)] };
    let merged = replayed.merge(&merged, &known).unwrap();
    assert_eq!(times(&merged), [("witness.example".to_owned(), 60), ("second.example".to_owned(), 6)]);
    assert_eq!(merged.signatures().len(), 3);
}

#[test]
fn merging_takes_nothing_that_does_not_verify() {
    let stranger = Cosigner::from_seed("stranger.example", &[9; 32]).unwrap();
    let known = [witness().verifier().clone()];
    let note: Note = checkpoint(tree(7).head()).parse().unwrap();
    let other: Note = checkpoint(tree(8).head()).parse().unwrap();
    let unknown = Response::cosign(&note, &stranger, 7).unwrap();
    assert_eq!(unknown.merge(&note, &known), Err(NoteError::NoKnownKey));
    let of_another = Response::cosign(&other, &witness(), 7).unwrap();
    let refused = NoteError::BadSignature { name: "witness.example".into() };
    assert_eq!(of_another.merge(&note, &known), Err(refused));
    let mut mixed = Response::cosign(&note, &witness(), 7).unwrap();
    mixed.lines.extend(unknown.lines);
    assert_eq!(mixed.merge(&note, &known).unwrap().signatures().len(), 2);
}

#[test]
fn answers_are_read_by_their_status() {
    let size = Some(SIZE_CONTENT_TYPE);
    assert_eq!(Answer::read(409, size, b"0\n"), Ok(Answer::Stale { latest: 0 }));
    for body in ["", "\n", "50", "050\n", "+50\n", "50\r\n", "50\n\n", "18446744073709551616\n", "\u{e9}\n"] {
        assert_eq!(Answer::read(409, size, body.as_bytes()), Err(AnswerError::Size), "{body:?}");
    }
    assert_eq!(Answer::read(409, Some("text/plain"), b"50\n"), Ok(Answer::Refused { status: 409 }));
    for status in [204, 301, 400, 403, 404, 422, 500] {
        assert_eq!(Answer::read(status, size, b"50\n"), Ok(Answer::Refused { status }));
    }
    for body in [&b""[..], b"\n", b"50\n", b"\xff\n", "— a\n".as_bytes()] {
        assert!(matches!(Answer::read(200, None, body), Err(AnswerError::Lines(_))), "{body:?}");
    }
    let note: Note = checkpoint(tree(7).head()).parse().unwrap();
    let response = Response::cosign(&note, &witness(), 7).unwrap();
    let body = response.to_string();
    assert_eq!(Answer::read(200, None, body.as_bytes()), Ok(Answer::Cosigned(response)));
    let many = body.repeat(SIGNATURES_MAX + 1);
    assert!(Answer::read(200, None, many.as_bytes()).is_err());
    assert!(Answer::read(200, None, &many.as_bytes()[body.len()..]).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_witness_never_takes_two_trees_that_disagree(
        steps in proptest::collection::vec((0_u64..12, 0_u64..12, any::<bool>(), any::<bool>()), 1..24),
    ) {
        let mut latest: Option<TreeHead> = None;
        let mut taken = Vec::new();
        for (old, new, fork, honest_old) in steps {
            let tree = if fork { forked(new) } else { tree(new) };
            let old = if honest_old { latest.map_or(0, |head| head.size) } else { old };
            let proof = tree.prove_consistency(old.min(new), new).unwrap();
            let request = Request::new(old, proof, &checkpoint(tree.head())).unwrap();
            if let Ok(head) = decide(latest.as_ref(), &request, log().verifier()) {
                prop_assert!(latest.is_none_or(|latest| latest.size <= head.size));
                latest = Some(head);
                taken.extend((head.size > 0).then_some(fork));
            }
        }
        prop_assert!(taken.windows(2).all(|pair| pair[0] == pair[1]), "{taken:?}");
    }

    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Request::parse(&body);
        let _ = Answer::read(200, None, &body);
        let _ = Answer::read(409, Some(SIZE_CONTENT_TYPE), &body);
    }

    #[test]
    fn no_change_of_a_byte_is_cosigned(at in 0_usize..10_000, flip in 1_u8..=255) {
        let mut body = request(5, 11).to_string().into_bytes();
        let at = at % body.len();
        body[at] ^= flip;
        if let Ok(request) = Request::parse(&body) {
            prop_assert_eq!(request.to_string().into_bytes(), body.clone());
            prop_assert!(ask(Some(5), &request).is_err(), "byte {} of {}", at, body.len());
        }
    }
}
