use proptest::prelude::*;

use super::*;
use crate::forms::{Form, WRITINGS};

fn scanner() -> Scanner {
    Scanner::new(Canaries::derive(&[11; 32], 20, "mail.example")).unwrap()
}

/// What stands in bytes that come in pieces of these lengths, over and over.
fn in_pieces(scanner: &Scanner, bytes: &[u8], pieces: &[usize]) -> Vec<Hit> {
    let (mut stream, mut hits, mut rest) = (scanner.stream(), Vec::new(), bytes);
    for piece in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at((*piece).clamp(1, rest.len()));
        stream.feed(now, &mut |hit| hits.push(hit));
        rest = later;
    }
    stream.finish(&mut |hit| hits.push(hit));
    hits
}

/// Text without a canary, of any length.
fn filler(length: usize) -> Vec<u8> {
    b"Lorem ipsum 20261126 dolor; sit=amet%20 \\u00e9 &amp; consectetur\r\n"
        .iter()
        .copied()
        .cycle()
        .take(length)
        .collect()
}

#[test]
fn every_claimed_form_of_every_kind_is_found_wherever_a_value_breaks() {
    let scanner = scanner();
    for writing in WRITINGS.iter().filter(|w| w.claimed) {
        for kind in Kind::ALL {
            for n in 0..100 {
                let value = scanner.canaries().value(4, kind).unwrap();
                let bytes = [b"x: ".as_slice(), &(writing.write)(value, n), b" ,"].concat();
                let found = scanner.all(&bytes);
                assert!(
                    found.iter().any(|h| h.canary == 4 && h.kind == kind),
                    "{} {kind:?} {n}",
                    writing.name
                );
            }
        }
    }
}

#[test]
fn every_form_is_found_at_every_offset_across_chunk_borders() {
    let scanner = scanner();
    let border = GATHERED + 1;
    for writing in WRITINGS.iter().filter(|w| w.claimed) {
        for kind in [Kind::Email, Kind::Phone] {
            let value = (writing.write)(scanner.canaries().value(7, kind).unwrap(), 5);
            for before in 0..value.len() + 8 {
                let bytes = [filler(border - before), value.clone(), filler(600)].concat();
                let found = in_pieces(&scanner, &bytes, &[border]);
                assert_eq!(found.len(), 1, "{} {kind:?} {before}: {found:?}", writing.name);
                assert_eq!(found, scanner.all(&bytes));
            }
        }
    }
}

#[test]
fn forms_that_are_not_claimed_are_not_found_today() {
    let scanner = scanner();
    for writing in WRITINGS.iter().filter(|w| !w.claimed) {
        let value = scanner.canaries().value(1, Kind::UserName).unwrap();
        assert_eq!(scanner.all(&(writing.write)(value, 3)), vec![], "{}: claim it", writing.name);
    }
}

#[test]
fn a_marker_one_character_off_is_not_found() {
    let scanner = scanner();
    for writing in WRITINGS.iter().filter(|w| w.claimed) {
        for kind in [Kind::UserName, Kind::Phone] {
            let value = scanner.canaries().value(2, kind).unwrap();
            for at in usize::from(kind == Kind::Phone)..value.len() {
                let off = |b: u8| {
                    if b.is_ascii_digit() { b'0' + (b - b'0' + 1) % 10 } else { b'a' + (b - b'a' + 1) % 26 }
                };
                let mut other = value.as_bytes().to_vec();
                other[at] = off(other[at]);
                let other = String::from_utf8(other).unwrap();
                let found = scanner.all(&(writing.write)(&other, at));
                // The last letters tell canaries apart: one off may be another's, but never this one's.
                assert!(found.iter().all(|h| h.canary != 2), "{} {kind:?} {at}: {found:?}", writing.name);
            }
        }
    }
}

#[test]
fn another_enclaves_canaries_are_none_of_ours() {
    let other = Canaries::derive(&[12; 32], 20, "mail.example");
    let text: String = Kind::ALL.iter().filter_map(|k| other.value(3, *k)).collect::<Vec<_>>().join("\n");
    assert_eq!(scanner().all(text.as_bytes()), vec![]);
}

#[test]
fn a_hit_says_where_and_in_which_form() {
    let scanner = scanner();
    let core = scanner.canaries().value(0, Kind::UserName).unwrap();
    let bytes = format!("0123456789{core}");
    let hit = Hit { offset: 10, canary: 0, kind: Kind::UserName, form: Form::Plain };
    assert_eq!(scanner.all(bytes.as_bytes()), vec![hit]);
}

#[test]
fn a_value_that_stands_twice_is_two_hits() {
    let scanner = scanner();
    let core = scanner.canaries().value(0, Kind::FreeText).unwrap();
    assert_eq!(scanner.all(format!("{core}{core}").as_bytes()).len(), 2);
}

proptest! {
    #[test]
    fn random_bytes_hold_no_canary_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4000), pieces in proptest::collection::vec(1usize..500, 1..5)) {
        prop_assert_eq!(in_pieces(&scanner(), &bytes, &pieces), vec![]);
    }

    #[test]
    fn pieces_of_anchors_in_any_mixture_cause_no_panic(parts in proptest::collection::vec((0usize..64, 0usize..12, any::<u8>()), 0..200)) {
        let scanner = scanner();
        let anchors = super::anchors::of(scanner.canaries());
        let mut bytes = Vec::new();
        for (anchor, cut, byte) in parts {
            let text = anchors.get(anchor).map(|a| a.text.clone()).unwrap_or_default();
            bytes.extend(text.into_iter().take(cut.max(3)));
            bytes.push(byte);
        }
        prop_assert_eq!(in_pieces(&scanner, &bytes, &[7, 300]).len(), scanner.all(&bytes).len());
    }

    #[test]
    fn a_plant_in_random_bytes_is_found_whatever_the_pieces(
        before in proptest::collection::vec(any::<u8>(), 0..40_000),
        after in proptest::collection::vec(any::<u8>(), 0..2000),
        pieces in proptest::collection::vec(1usize..40_000, 1..6),
        writing in 0usize..WRITINGS.len(), kind in 0usize..5, n in 0usize..100,
    ) {
        let (scanner, writing, kind) = (scanner(), WRITINGS[writing], Kind::ALL[kind]);
        prop_assume!(writing.claimed);
        let value = (writing.write)(scanner.canaries().value(9, kind).unwrap(), n);
        // Base64 has no alignment of its own: another of its letters before it would be a part of it.
        let bytes = [&before, b"\x00 ".as_slice(), &value, b" \x00".as_slice(), &after].concat();
        let found = in_pieces(&scanner, &bytes, &pieces);
        prop_assert!(found.iter().any(|h| h.canary == 9 && h.kind == kind), "{}", writing.name);
    }
}
