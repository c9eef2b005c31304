use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::merkle::{MemoryTree, leaf_hash};

fn pair(gateway: u8, index: u64) -> Pair {
    Pair { gateway: [gateway; 8], index }
}

/// The page in its plainest form: a sorted map of sorted sets, and a tree over all leaves.
fn naive(pairs: &[(Tag, Pair)]) -> (Vec<[u8; LEAF_LEN]>, Hash) {
    let mut map: BTreeMap<Tag, BTreeSet<Pair>> =
        BTreeMap::from([(LOWEST, BTreeSet::new()), (HIGHEST, BTreeSet::new())]);
    for (tag, pair) in pairs {
        map.entry(*tag).or_default().insert(*pair);
    }
    let leaf = |(tag, set): (&Tag, &BTreeSet<Pair>)| {
        let mut list = Vec::new();
        for p in set {
            list.extend_from_slice(&p.gateway);
            list.extend_from_slice(&p.index.to_be_bytes());
        }
        let mut leaf = tag.bytes().to_vec();
        leaf.extend_from_slice(&(set.len() as u32).to_be_bytes());
        leaf.extend_from_slice(sha256(&list).bytes());
        <[u8; LEAF_LEN]>::try_from(leaf).unwrap()
    };
    let leaves: Vec<_> = map.iter().map(leaf).collect();
    let tree: MemoryTree = leaves.iter().map(|l| leaf_hash(l)).collect();
    (leaves, tree.head().root)
}

/// Tags that are spread over their range, and lists of several lengths.
fn many(tags: u64) -> Vec<(Tag, Pair)> {
    let tag = |n: u64| Tag::new(*sha256(&n.to_be_bytes()).bytes().first_chunk().unwrap());
    (0..tags).flat_map(|n| (0..=n % 3).map(move |i| (tag(n), pair((i % 2) as u8, n + i)))).collect()
}

#[test]
fn the_map_of_a_day_without_entries_has_two_leaves() {
    let map = DayMap::build([]);
    assert_eq!((map.tags(), map.pairs(), map.head().size), (0, 0, 2));
    // SHA-256 of no bytes stands in both.
    let empty = sha256(b"");
    let low = [&[0; 16][..], &[0; 4], empty.bytes()].concat();
    let high = [&[0xff; 16][..], &[0; 4], empty.bytes()].concat();
    assert_eq!(map.root(), merkle::node_hash(&leaf_hash(&low), &leaf_hash(&high)));
    assert_eq!(
        format!("{:x}", map.root()),
        "a2182ffeb43f085be403dd8c0316a246e01cdeddffba93f510a391b836112296"
    );
}

#[test]
fn the_root_is_that_of_a_naive_map_at_every_size_around_a_block() {
    for tags in [1, 2, 3, 5, 253, 254, 255, 256, 300, 510, 511, 766, 1022, 1500] {
        let pairs = many(tags);
        let map = DayMap::build(pairs.iter().rev().copied());
        assert_eq!((map.tags(), map.pairs()), (tags, pairs.len() as u64));
        assert_eq!(map.root(), naive(&pairs).1, "{tags} tags");
        let ends = [pairs.iter().min().unwrap().0, pairs.iter().max().unwrap().0];
        for tag in pairs.iter().step_by(97).map(|p| p.0).chain(ends) {
            let answer = map.prove(&tag).unwrap();
            answer.verify(&tag, &map.head()).unwrap();
            assert!(!answer.list().is_empty());
        }
    }
}

#[test]
fn absence_is_proved_at_both_ends_and_between_any_two_neighbours() {
    let tags: Vec<u8> = (0..40).map(|i| 3 + 5 * i).collect();
    let map = DayMap::build(tags.iter().map(|t| (Tag::new([*t; 16]), pair(1, 1))));
    for byte in 0..=254u8 {
        let tag = Tag::new([[byte; 15].as_slice(), &[1]].concat().try_into().unwrap());
        let present = tags.contains(&byte) && byte == 1;
        let answer = map.prove(&tag).unwrap();
        answer.verify(&tag, &map.head()).unwrap();
        assert_eq!(matches!(answer, Answer::Present { .. }), present, "{byte}");
    }
    for tag in [LOWEST, HIGHEST] {
        assert!(matches!(map.prove(&tag), Err(MapError::Sentinel)));
    }
}

#[test]
fn an_answer_about_another_tag_or_another_map_is_refused() {
    let pairs = many(300);
    let map = DayMap::build(pairs.clone());
    let smaller = DayMap::build(pairs.iter().skip(1).copied());
    let (here, gone) = (pairs[0].0, Tag::new([0x55; 16]));
    for (tag, other) in [(here, gone), (gone, here), (here, pairs[1].0)] {
        let answer = map.prove(&tag).unwrap();
        answer.verify(&tag, &map.head()).unwrap();
        assert!(answer.verify(&other, &map.head()).is_err());
        assert!(answer.verify(&tag, &smaller.head()).is_err());
    }
}

#[test]
fn an_answer_that_was_changed_is_refused() {
    let pairs = many(20);
    let map = DayMap::build(pairs.clone());
    let (tag, head) = (pairs[5].0, map.head());
    let Answer::Present { index, list, proof } = map.prove(&tag).unwrap() else { panic!("present") };
    assert!(verify_present(&tag, index, &list[1..], &proof, &head).is_err(), "a dropped entry");
    let more = [list.as_slice(), &[pair(9, 9)]].concat();
    assert!(verify_present(&tag, index, &more, &proof, &head).is_err(), "an invented entry");
    let twice = [list.as_slice(), &list[list.len() - 1..]].concat();
    assert_eq!(verify_present(&tag, index, &twice, &proof, &head), Err(AnswerError::List));
    assert!(verify_present(&tag, index + 1, &list, &proof, &head).is_err());
    assert!(
        verify_present(&LOWEST, 0, &[], &map.prove(&tag).map(|_| proof.clone()).unwrap(), &head).is_err()
    );

    let absent = Tag::new([0x55; 16]);
    let Answer::Absent(good) = map.prove(&absent).unwrap() else { panic!("absent") };
    let refused = |changed: Absence| verify_absent(&absent, &changed, &head).unwrap_err();
    let lowest = Tag::new(1u128.to_be_bytes());
    let Answer::Absent(first) = map.prove(&lowest).unwrap() else { panic!("absent") };
    assert!(matches!(refused(Absence { index: good.index + 1, ..good.clone() }), AnswerError::Proof(_)));
    assert!(matches!(refused(Absence { index: u64::MAX, ..good.clone() }), AnswerError::Proof(_)));
    assert!(
        matches!(refused(Absence { low: first.low, ..good.clone() }), AnswerError::Proof(_)),
        "no neighbour"
    );
    assert_eq!(refused(Absence { low: good.high, high: good.low, ..good.clone() }), AnswerError::Between);
    assert_eq!(refused(first), AnswerError::Between);
    for tag in [good.low.tag, good.high.tag] {
        assert_eq!(verify_absent(&tag, &good, &head), Err(AnswerError::Between));
    }
    let forged = Leaf { tag: Tag::new([0x54; 16]), ..good.low };
    assert!(matches!(refused(Absence { low: forged, ..good.clone() }), AnswerError::Proof(_)));
    for n in 0..good.proof.len() {
        let mut cut = good.proof.clone();
        let hash = cut.remove(n);
        assert!(matches!(refused(Absence { proof: cut.clone(), ..good.clone() }), AnswerError::Proof(_)));
        cut.insert(n, hash);
        cut.insert(n, hash);
        assert!(matches!(refused(Absence { proof: cut.clone(), ..good.clone() }), AnswerError::Proof(_)));
    }
    let reordered = good.proof.iter().rev().copied().collect();
    assert!(matches!(refused(Absence { proof: reordered, ..good.clone() }), AnswerError::Proof(_)));
}

#[test]
fn leaves_with_one_between_them_prove_no_absence() {
    let map = DayMap::build((1..=5u8).map(|t| (Tag::new([2 * t; 16]), pair(1, 1))));
    let lookup = Lookup::open(map.to_bytes()).unwrap();
    let tree: MemoryTree = (0..7).map(|i| lookup.leaves(i, i + 1).unwrap()[0].hash()).collect();
    let apart = |low: u64, high: u64| Absence {
        index: low,
        low: lookup.leaves(low, low + 1).unwrap()[0],
        high: lookup.leaves(high, high + 1).unwrap()[0],
        proof: tree.prove_several(&[low, high], 7).unwrap(),
    };
    let (between, gone) = (Tag::new([4; 16]), Tag::new([5; 16]));
    verify_absent(&gone, &apart(2, 3), &map.head()).unwrap();
    for (low, high) in [(1, 3), (0, 6), (1, 4), (2, 4)] {
        for tag in [between, gone] {
            assert!(verify_absent(&tag, &apart(low, high), &map.head()).is_err(), "{low} and {high}");
        }
    }
}

/// The bytes of a map whose rows are these, with the root that hashing them gives: what a site that lies
/// about the order, or about the numbers, would publish.
fn forged(rows: &[(u8, &[Pair])], tags: u64, pairs: u64) -> Vec<u8> {
    let honest = DayMap::build([]);
    let mut bytes = honest.to_bytes()[..8].to_vec();
    bytes.extend(tags.to_be_bytes());
    bytes.extend(pairs.to_be_bytes());
    let mut tree = MemoryTree::new();
    tree.push(Leaf::of(LOWEST, &[]).hash());
    rows.iter().for_each(|(t, list)| tree.push(Leaf::of(Tag::new([*t; 16]), list).hash()));
    tree.push(Leaf::of(HIGHEST, &[]).hash());
    bytes.extend(tree.head().root.as_bytes());
    let mut end = 0u64;
    for (tag, list) in rows {
        end += list.len() as u64;
        bytes.extend([*tag; 16]);
        bytes.extend(end.to_be_bytes());
    }
    rows.iter().flat_map(|(_, list)| *list).for_each(|p| bytes.extend(p.to_bytes()));
    bytes
}

#[test]
fn whoever_checks_the_whole_refuses_an_unsorted_map_a_double_tag_and_wrong_numbers() {
    let (one, two) = ([pair(1, 1)], [pair(1, 1), pair(1, 2)]);
    let check = |rows: &[(u8, &[Pair])], tags, pairs| DayMap::from_bytes(forged(rows, tags, pairs));
    assert!(check(&[(1, &one), (2, &two)], 2, 3).is_ok(), "else the test is blind");
    assert!(check(&[(2, &two), (1, &one)], 2, 3).is_err(), "unsorted");
    assert!(check(&[(1, &one), (1, &two)], 2, 3).is_err(), "a double tag");
    assert!(check(&[(0, &one), (2, &two)], 2, 3).is_err(), "a sentinel's tag");
    assert!(check(&[(1, &one), (255, &two)], 2, 3).is_err(), "a sentinel's tag");
    assert!(check(&[(1, &[pair(1, 2), pair(1, 1)])], 1, 2).is_err(), "an unsorted list");
    assert!(check(&[(1, &[pair(1, 1), pair(1, 1)])], 1, 2).is_err(), "an entry twice");
    assert!(check(&[(1, &one), (2, &[])], 2, 1).is_err(), "a tag without entries");
    for (tags, pairs) in [(1, 3), (3, 3), (2, 2), (2, 4), (0, 0), (u64::MAX, u64::MAX), (2, u64::MAX)] {
        assert!(check(&[(1, &one), (2, &two)], tags, pairs).is_err(), "{tags} tags, {pairs} pairs");
    }
}

#[test]
fn an_unsorted_map_answers_no_question_wrongly_that_its_neighbours_show() {
    // Its root is genuine, so a proof holds; that it is unsorted shows only to who checks the whole.
    let bytes = forged(&[(9, &[pair(1, 1)]), (3, &[pair(1, 2)])], 2, 2);
    let lookup = Lookup::open(bytes.as_slice()).unwrap();
    for byte in 1..=12u8 {
        let tag = Tag::new([byte; 16]);
        if let Ok(answer) = lookup.prove(&tag) {
            answer.verify(&tag, &lookup.head()).unwrap();
        }
    }
}

#[test]
fn a_missing_entry_changes_the_root() {
    let pairs = many(30);
    let whole = DayMap::build(pairs.clone());
    for leave_out in 0..pairs.len() {
        let rest = pairs.iter().enumerate().filter(|(i, _)| *i != leave_out).map(|(_, p)| *p);
        assert_ne!(DayMap::build(rest).root(), whole.root());
    }
}

#[test]
fn a_flipped_bit_of_a_stored_map_is_found_and_gives_no_false_proof() {
    let pairs = many(300);
    let map = DayMap::build(pairs.clone());
    let asked = [pairs[0].0, pairs[400].0, Tag::new([0x55; 16]), Tag::new([1; 16])];
    let length = map.to_bytes().len();
    for at in (0..length).step_by(13).chain(length - 32..length).chain(0..64) {
        let mut bytes = map.to_bytes().to_vec();
        bytes[at] ^= 0x10;
        assert!(DayMap::from_bytes(bytes.clone()).is_err(), "byte {at}");
        let Ok(lookup) = Lookup::open(bytes.as_slice()) else { continue };
        for tag in asked.iter().filter(|_| lookup.head() == map.head()) {
            if let Ok(answer) = lookup.prove(tag) {
                assert_eq!(answer.list(), map.prove(tag).unwrap().list(), "byte {at}");
            }
        }
    }
}

#[test]
fn no_cut_of_a_stored_map_is_a_map() {
    let map = DayMap::build(many(260));
    for cut in (0..map.to_bytes().len()).step_by(7) {
        assert!(DayMap::from_bytes(map.to_bytes()[..cut].to_vec()).is_err());
    }
    let longer = [map.to_bytes(), &[0; 32]].concat();
    assert!(DayMap::from_bytes(longer).is_err());
}

#[test]
fn the_tags_of_the_sentinels_are_left_out() {
    let of = |t| (t, pair(1, 1));
    let ana = Tag::new([3; 16]);
    assert_eq!(DayMap::build([of(LOWEST), of(ana), of(HIGHEST)]), DayMap::build([of(ana)]));
}

#[test]
fn a_calendar_goes_on_day_by_day() {
    let mut calendar = Calendar::default();
    assert_eq!(calendar.head(), TreeHead::empty());
    for day in 20_000..20_003 {
        calendar.push(DayMap::build(many(u64::from(day) % 7)).record(day)).unwrap();
    }
    for day in [19_999, 20_002, 20_004] {
        assert!(calendar.push(DayMap::build([]).record(day)).is_err());
    }
    assert_eq!(calendar.day(20_001).unwrap().day, 20_001);
    assert!(calendar.day(19_999).is_none() && calendar.day(20_003).is_none());
    let bytes = calendar.to_bytes();
    assert_eq!(bytes.len(), 3 * RECORD_LEN);
    let tree: MemoryTree = bytes.as_chunks::<RECORD_LEN>().0.iter().map(|r| leaf_hash(r)).collect();
    assert_eq!(calendar.head(), tree.head());
    assert_eq!(Calendar::from_bytes(&bytes).unwrap(), calendar);
    assert_eq!(calendar.at(1).unwrap().records(), &calendar.records()[..1]);
    assert!(calendar.at(4).is_none());
    assert!(Calendar::from_bytes(&bytes[..RECORD_LEN + 1]).is_err(), "half a record");
    let gap = [&bytes[..RECORD_LEN], &bytes[2 * RECORD_LEN..]].concat();
    assert!(Calendar::from_bytes(&gap).is_err(), "a gap");
}

fn any_pairs() -> impl Strategy<Value = Vec<(Tag, Pair)>> {
    // Few bytes, so that tags and pairs come twice.
    let one = (1u8..40, 0u8..3, 0u64..6).prop_map(|(t, g, i)| (Tag::new([t; 16]), pair(g, i)));
    prop::collection::vec(one, 0..120)
}

proptest! {
    #[test]
    fn any_map_is_the_naive_one_and_answers_every_question(pairs in any_pairs()) {
        let map = DayMap::build(pairs.clone());
        let (leaves, root) = naive(&pairs);
        prop_assert_eq!((map.tags() + 2, map.root()), (leaves.len() as u64, root));
        prop_assert_eq!(&DayMap::from_bytes(map.to_bytes().to_vec()).unwrap(), &map);
        for byte in 1..42u8 {
            let tag = Tag::new([byte; 16]);
            let wanted: BTreeSet<Pair> = pairs.iter().filter(|(t, _)| *t == tag).map(|(_, p)| *p).collect();
            let answer = map.prove(&tag).unwrap();
            prop_assert!(answer.verify(&tag, &map.head()).is_ok());
            prop_assert!(answer.list().iter().eq(&wanted));
        }
    }

    #[test]
    fn pairs_and_leaves_read_back(bytes in any::<[u8; 16]>(), count: u32, list in any::<[u8; 32]>()) {
        prop_assert_eq!(Pair::from_bytes(&bytes).to_bytes(), bytes);
        let leaf = Leaf { tag: Tag::new(bytes), count, list: Hash::from_bytes(list) };
        prop_assert_eq!(Leaf::from_bytes(&leaf.to_bytes()), Some(leaf));
        let record = Record { day: count, root: leaf.list, tags: 7, pairs: u64::from(count) };
        prop_assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
    }
}
