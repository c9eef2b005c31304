use ciborium::{Value, cbor};
use proptest::prelude::*;

use super::*;

fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

fn tag(byte: u8) -> Value {
    Value::Bytes(vec![byte; 16])
}

fn principal() -> Value {
    cbor!({
        0 => 1, 1 => tag(1), 2 => "SG", 3 => "acme-apac", 4 => "SG", 5 => true, 6 => ["a", "b"],
        7 => true, 8 => true, 9 => true,
    })
    .unwrap()
}

fn full(evidence: &Value) -> Value {
    cbor!({
        0 => 1, 1 => principal(), 2 => 1_900_000_000, 3 => 1, 4 => "video", 5 => 200, 6 => 1, 7 => tag(9),
        8 => 0, 9 => evidence.clone(), 10 => [1, 2], 11 => [[2, ["video-status"], 4, 1], [4, [], 1, 0]],
    })
    .unwrap()
}

fn evidences() -> Vec<Value> {
    vec![
        cbor!([1, {
            0 => tag(2), 1 => tag(1), 2 => tag(3), 3 => "IE", 4 => 1, 5 => "video", 8 => 1, 9 => 2,
            10 => "e", 13 => [1, 2, 3],
        }])
        .unwrap(),
        cbor!([1, {
            0 => tag(2), 1 => tag(1), 2 => tag(3), 3 => "IE", 4 => 1, 5 => "video", 6 => "l", 7 => tag(9),
            8 => 1, 9 => 2, 10 => "e", 11 => [tag(4), "NO", "f"], 12 => tag(5), 13 => [1, 2, 3],
        }])
        .unwrap(),
        cbor!([2, {
            0 => tag(2), 1 => tag(1), 2 => tag(3), 3 => "IE", 4 => 1, 5 => tag(9), 6 => "video-status",
            7 => 1_899_999_000, 8 => true, 9 => "e", 10 => [1, 2, 3],
        }])
        .unwrap(),
        cbor!([3, { 0 => "interop-us", 1 => tag(1), 2 => "interop", 3 => "US", 4 => 2, 5 => true }]).unwrap(),
    ]
}

#[test]
fn what_a_release_took_of_privacy_budgets_is_read_and_nothing_like_it() {
    let took = |took: Value| {
        let Value::Map(mut keys) = full(&evidences()[0]) else { panic!("no map") };
        keys.push((Value::from(12), took));
        encode(&Value::Map(keys))
    };
    let bytes = took(cbor!([1, 500_000, 0, 125_000_000]).unwrap());
    let spent = Spent { epsilon: 500_000, rho: 0, delta: 125_000_000 };
    assert_eq!(Facts::decode(&bytes).unwrap().spent, Some(spent));
    for other in [
        cbor!([3, 1, 0, 0]),
        cbor!([0, 1, 0, 0]),
        cbor!([1, 1, 0]),
        cbor!([1, 1, 0, 0, 0]),
        cbor!([1, "1", 0, 0]),
    ] {
        assert!(Facts::decode(&took(other.unwrap())).is_err());
    }
}

#[test]
fn what_was_measured_of_a_release_is_read_and_nothing_like_it() {
    let measured = |risk: Value| {
        let Value::Map(mut keys) = full(&evidences()[0]) else { panic!("no map") };
        keys.push((Value::from(13), risk));
        encode(&Value::Map(keys))
    };
    let bytes = measured(cbor!([2, 10, 1, 0, 333_334, 0]).unwrap());
    let risk = Risk { verdict: VERDICT_WEAK, asked: 10, k: 1, l: 0, unique: 333_334, linkable: false };
    assert_eq!(Facts::decode(&bytes).unwrap().risk, Some(risk));
    for other in [
        cbor!([0, 10, 1, 0, 0, 0]),
        cbor!([4, 10, 1, 0, 0, 0]),
        cbor!([1, 10, 1, 0, 0, 2]),
        cbor!([1, 10, 1, 0, 0, true]),
        cbor!([1, 10, 1, 0, 0]),
        cbor!([1, 10, 1, 0, 0, 0, 0]),
    ] {
        assert!(Facts::decode(&measured(other.unwrap())).is_err());
    }
}

#[test]
fn every_kind_of_evidence_is_read() {
    for evidence in evidences() {
        let bytes = encode(&full(&evidence));
        let facts = Facts::decode(&bytes).unwrap();
        assert_eq!(facts.principal.teams, ["a", "b"]);
        assert_eq!(facts.groups.len(), 2);
        assert_eq!(facts.ladder, [Treatment::Plain, Treatment::Pseudonymised]);
        assert!(facts.evidence.is_some());
    }
}

#[test]
fn facts_cut_or_prolonged_anywhere_are_refused() {
    for evidence in evidences() {
        let bytes = encode(&full(&evidence));
        for end in 0..bytes.len() {
            assert!(Facts::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        let mut long = bytes.clone();
        long.push(0);
        assert_eq!(Facts::decode(&long), Err(CborError::Long));
    }
}

/// Sets the value of `key`, or removes it.
fn set(map: &mut Value, key: u64, value: Option<Value>) {
    let Value::Map(pairs) = map else { panic!("not a map") };
    let place = pairs.iter().position(|(k, _)| *k == Value::from(key)).unwrap();
    match value {
        Some(value) => pairs[place].1 = value,
        None => {
            pairs.remove(place);
        }
    }
}

#[test]
fn a_lie_in_the_form_is_refused() {
    let lies = [
        (0, Some(Value::from(2))),
        (0, None),
        (1, None),
        (2, None),
        (3, Some(Value::from(0))),
        (3, Some(Value::from(12))),
        (4, Some(Value::from(1))),
        (5, Some(Value::from(-1))),
        (6, None),
        (7, Some(Value::Bytes(vec![1; 15]))),
        (8, Some(Value::Null)),
        (9, Some(cbor!([4, {}]).unwrap())),
        (9, Some(cbor!([1, {}]).unwrap())),
        (9, Some(cbor!([1]).unwrap())),
        (10, Some(cbor!([2, 1]).unwrap())),
        (10, Some(cbor!([1, 1]).unwrap())),
        (10, Some(cbor!([3]).unwrap())),
        (11, Some(cbor!([[3, [], 1, 1]]).unwrap())),
        (11, Some(cbor!([[2, ["b", "a"], 1, 1]]).unwrap())),
        (11, Some(cbor!([[2, [], 1]]).unwrap())),
        (11, Some(cbor!([[2, [], 1, 64]]).unwrap())),
    ];
    for (key, value) in lies {
        let mut facts = full(&evidences()[0]);
        set(&mut facts, key, value.clone());
        assert!(Facts::decode(&encode(&facts)).is_err(), "key {key} = {value:?}");
    }
}

#[test]
fn keys_out_of_order_twice_or_unknown_are_refused() {
    let Value::Map(pairs) = full(&evidences()[0]) else { panic!("not a map") };
    let mut swapped = pairs.clone();
    swapped.swap(4, 5);
    assert_eq!(Facts::decode(&encode(&Value::Map(swapped))), Err(CborError::KeyOrder));
    let mut twice = pairs.clone();
    twice.insert(5, pairs[4].clone());
    assert_eq!(Facts::decode(&encode(&Value::Map(twice))), Err(CborError::KeyOrder));
    let mut unknown = pairs;
    unknown.push((Value::from(15), Value::from(1)));
    assert!(matches!(Facts::decode(&encode(&Value::Map(unknown))), Err(CborError::UnknownKey(_, 15))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The claim of the strict reader: what it takes is what an encoder writes.
    #[test]
    fn what_is_read_after_a_change_encodes_to_the_same_bytes(
        which in 0_usize..4, position: prop::sample::Index, value: u8,
    ) {
        let mut bytes = encode(&full(&evidences()[which]));
        let position = position.index(bytes.len());
        bytes[position] = value;
        if Facts::decode(&bytes).is_ok() {
            let again: Value = ciborium::from_reader(&*bytes).unwrap();
            prop_assert_eq!(encode(&again), bytes);
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = Facts::decode(&bytes);
    }
}
