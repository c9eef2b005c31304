use ciborium::{Value, cbor};
use proptest::prelude::*;

use super::*;

fn leaf(kind: u8, body: &Value) -> Vec<u8> {
    let mut bytes = b"CLVS\x01".to_vec();
    bytes.extend([kind, 0, 0]);
    bytes.extend([9; 8]);
    bytes.extend(7_u64.to_be_bytes());
    bytes.extend(1_900_000_000_u64.to_be_bytes());
    ciborium::into_writer(body, &mut bytes).unwrap();
    bytes
}

fn check(kind: u8, body: Result2) -> Result<SiteBody> {
    let leaf = SiteLeaf::parse(&leaf(kind, &body.unwrap()))?;
    assert_eq!((leaf.log, leaf.sequence, leaf.time), ([9; 8], 7, 1_900_000_000));
    Ok(leaf.body)
}

type Result2 = std::result::Result<Value, ciborium::value::Error>;

fn hash(byte: u8) -> Value {
    Value::Bytes(vec![byte; 32])
}

fn day_map() -> Value {
    cbor!({
        0 => 20_000, 1 => false, 2 => hash(1), 3 => 2, 4 => 3,
        5 => [["ledger.t/s/a", 0, 9, hash(2)], ["ledger.t/s/b", 3, 3, hash(3)]],
        6 => hash(4), 7 => 11,
    })
    .unwrap()
}

fn good() -> Vec<(u8, Value)> {
    vec![
        (1, cbor!({ 0 => [["a", 1, hash(1)], ["b", 300, hash(2)]] }).unwrap()),
        (2, cbor!({ 0 => [["a", "a+1+x", 1, "gateways/a"], ["k", "k+1+x", 2, "keys"]] }).unwrap()),
        (3, day_map()),
        (4, cbor!({ 0 => hash(5) }).unwrap()),
        (5, cbor!({ 0 => "clover border override v1\n" }).unwrap()),
        (6, cbor!({ 0 => "a", 1 => 77, 2 => [1, 5, 9] }).unwrap()),
        (7, cbor!({ 0 => "a", 1 => 77, 2 => hash(6) }).unwrap()),
    ]
}

#[test]
fn a_leaf_of_each_kind_is_read() {
    let round = check(1, cbor!({ 0 => [["a", 1, hash(1)], ["b", 300, hash(2)]] })).unwrap();
    let SiteBody::Round(lines) = round else { unreachable!() };
    assert_eq!((lines[1].origin.as_str(), lines[1].size, lines[1].root), ("b", 300, [2; 32]));
    let SiteBody::DayMap(map) = check(3, Ok(day_map())).unwrap() else { unreachable!() };
    assert_eq!((map.day, map.is_final, map.tags, map.pairs), (20_000, false, 2, 3));
    assert_eq!((map.calendar_root, map.calendar_records), ([4; 32], 11));
    assert_eq!((map.inputs[1].from, map.inputs[1].to, map.inputs[1].root), (3, 3, [3; 32]));
    for (kind, body) in good() {
        assert!(check(kind, Ok(body)).is_ok(), "kind {kind}");
    }
    assert!(matches!(check(1, cbor!({ 0 => [] })), Ok(SiteBody::Round(lines)) if lines.is_empty()));
}

#[test]
fn every_contradiction_is_refused() {
    for (kind, body, what) in [
        (0, cbor!({ 0 => [] }), "kind 0"),
        (8, cbor!({ 0 => [] }), "kind 8"),
        (7, cbor!({ 0 => "a", 1 => 77 }), "a retirement without a root"),
        (7, cbor!({ 0 => "a", 1 => 77, 2 => Value::Bytes(vec![1; 31]) }), "a retirement with a short root"),
        (7, cbor!({ 0 => "a", 1 => 77, 2 => hash(6), 3 => 0 }), "a retirement with a key more"),
        (1, cbor!({}), "no key"),
        (1, cbor!({ 1 => [] }), "another key"),
        (1, cbor!({ 0 => [], 1 => 0 }), "one key more"),
        (1, cbor!({ 0 => [["b", 1, hash(1)], ["a", 1, hash(1)]] }), "not ascending"),
        (1, cbor!({ 0 => [["a", 1, hash(1)], ["a", 1, hash(1)]] }), "twice"),
        (1, cbor!({ 0 => [["a", 1, hash(1), 1]] }), "four members"),
        (1, cbor!({ 0 => [["a", 1, Value::Bytes(vec![1; 31])]] }), "a short root"),
        (1, cbor!({ 0 => [["", 1, hash(1)]] }), "no origin"),
        (1, cbor!({ 0 => [["a\nb", 1, hash(1)]] }), "an origin of two lines"),
        (1, cbor!({ 0 => [["a".repeat(501), 1, hash(1)]] }), "a long origin"),
        (2, cbor!({ 0 => [["a", "v", 3, "p"]] }), "role 3"),
        (4, cbor!({ 0 => Value::Bytes(vec![1; 33]) }), "a long digest"),
        (6, cbor!({ 0 => "a", 1 => 1, 2 => [2, 1] }), "indices that fall"),
        (6, cbor!({ 0 => "a", 2 => [1] }), "no size"),
        (3, cbor!({ 0 => 1 }), "most keys absent"),
    ] {
        assert!(check(kind, body).is_err(), "{what}");
    }
    let mut backwards = day_map();
    backwards.as_map_mut().unwrap()[5].1 = cbor!([["a", 9, 8, hash(2)]]).unwrap();
    assert!(check(3, Ok(backwards)).is_err());
    let mut late = day_map();
    late.as_map_mut().unwrap()[0].1 = Value::from(1_u64 << 32);
    assert!(check(3, Ok(late)).is_err());
}

#[test]
fn a_prefix_that_is_no_plain_path_is_refused() {
    let with = |one: &str, two: &str| check(2, cbor!({ 0 => [["a", "v", 1, one], ["b", "v", 1, two]] }));
    assert!(with("gateway-1", "gateway-2").is_ok());
    assert!(with("gateway", "gateway.2").is_ok());
    assert!(with("gateways/one", "gateways/two").is_ok());
    for bad in
        ["", "/a", "a/", "..", "a/../b", ".a", "a//b", "a b", "a%2f", "ä", "a/b/c/d/e", "site", "site/x"]
    {
        assert!(with(bad, "other").is_err(), "{bad}");
    }
    assert!(with("same", "same").is_err());
    assert!(with("one", "one/within").is_err());
    assert!(with("one/within", "one").is_err());
}

#[test]
fn the_fixed_part_is_read_strictly() {
    let bytes = leaf(4, &cbor!({ 0 => hash(5) }).unwrap());
    for position in (0..5).chain(6..8) {
        let mut bad = bytes.clone();
        bad[position] ^= 1;
        assert!(SiteLeaf::parse(&bad).is_err(), "byte {position}");
    }
    for end in 0..bytes.len() {
        assert!(SiteLeaf::parse(&bytes[..end]).is_err(), "cut at {end}");
    }
    assert!(SiteLeaf::parse(&[&bytes[..], &[0]].concat()).is_err());
    let long = leaf(5, &cbor!({ 0 => "x".repeat(65_000) }).unwrap());
    assert_eq!(SiteLeaf::parse(&long), Err(SiteLeafError::Long));
}

proptest! {
    #[test]
    fn no_bytes_panic(kind in 0_u8..9, body: Vec<u8>) {
        let mut bytes = leaf(kind, &Value::Null);
        bytes.truncate(32);
        bytes.extend(&body);
        let _ = SiteLeaf::parse(&bytes);
        let _ = SiteLeaf::parse(&body);
    }

    #[test]
    fn a_changed_byte_is_refused_or_read_otherwise(which in 0..6_usize, at in 0..1000_usize, bit in 0..8_u8) {
        let (kind, body) = good().remove(which);
        let bytes = leaf(kind, &body);
        let right = SiteLeaf::parse(&bytes).unwrap();
        let mut changed = bytes.clone();
        let at = at % bytes.len();
        changed[at] ^= 1 << bit;
        if let Ok(read) = SiteLeaf::parse(&changed) {
            prop_assert_ne!(read, right);
        }
    }
}
