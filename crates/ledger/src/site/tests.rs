use proptest::prelude::*;

use model::procedures::Amount;
use model::{Country, Ground, Name, Purpose, Tag};

use super::*;

const TIME: UnixSeconds = UnixSeconds(1_790_000_000);

fn hash(byte: u8) -> Hash {
    Hash::from_bytes([byte; 32])
}

fn state(origin: &str, size: u64) -> LogState {
    LogState { origin: origin.to_owned(), size, root: hash(1) }
}

fn gateway(origin: &str) -> Enrolled {
    let (vkey, prefix) = ("example/gw+00000000+AAAA".to_owned(), "gateway/gw".to_owned());
    Enrolled { origin: origin.to_owned(), vkey, role: Role::Gateway, prefix }
}

fn day_map() -> DayMapEntry {
    let input = |origin: &str| Input { origin: origin.to_owned(), from: 3, to: 9, root: hash(2) };
    DayMapEntry {
        day: 20_717,
        is_final: true,
        root: hash(3),
        tags: 4_000_000,
        pairs: 5_000_000,
        inputs: vec![input("a"), input("b")],
        calendar_root: hash(4),
        calendar_size: 365,
    }
}

fn one_of_each() -> Vec<SiteEntry> {
    let keys = Enrolled { role: Role::KeyService, prefix: "keys".into(), ..gateway("keys.example/sg") };
    vec![
        SiteEntry::Round { logs: vec![state("a", 0), state("b", u64::MAX)] },
        SiteEntry::Enrolment { logs: vec![keys, gateway("ledger.example/sg/gw")] },
        SiteEntry::DayMap(day_map()),
        SiteEntry::Activation { rulebook: Digest::new([7; 32]) },
        SiteEntry::Override { note: "clover border override v1\n".repeat(40) },
        SiteEntry::Sample { origin: "a".to_owned(), size: 77, indices: vec![1, 24, 4000] },
        SiteEntry::Retirement(state("a", 300)),
        SiteEntry::Access(Box::new(approval())),
        SiteEntry::Access(Box::new(AccessEntry {
            act: 6,
            number: 1,
            state: 4,
            by: None,
            serves: (UnixSeconds(0), UnixSeconds(0)),
            decoy: true,
            ..approval()
        })),
    ]
}

/// The approval by which a grant of an hour begins to serve.
fn approval() -> AccessEntry {
    let name = |text| Name::parse(text).unwrap();
    AccessEntry {
        act: 2,
        request: Tag::new([1; 16]),
        number: 1,
        state: 2,
        by: Some(access::By {
            tag: Tag::new([2; 16]),
            employer: name("acme-eu"),
            country: Country::parse("IE").unwrap(),
        }),
        requester: Tag::new([3; 16]),
        step: 0,
        ground: Ground::Grant,
        purpose: Purpose::Support,
        dataset: name("video"),
        procedure: name("data-grant"),
        amount: Amount { rows: 10, bytes: 1000, subjects: 1 },
        asked_at: UnixSeconds(1_789_999_000),
        step_began: UnixSeconds(1_789_999_000),
        serves: (TIME, TIME.plus(3600)),
        decoy: false,
        rulebook: Digest::new([7; 32]),
    }
}

#[test]
fn an_act_without_anybody_or_a_grant_without_times_is_refused() {
    let change = |change: fn(&mut AccessEntry)| {
        let mut entry = approval();
        change(&mut entry);
        decode(&SiteEntry::Access(Box::new(entry)).encode(TIME).unwrap())
    };
    assert!(change(|_| {}).is_ok());
    for bad in [
        (|e: &mut AccessEntry| e.by = None) as fn(&mut AccessEntry),
        |e| e.act = 6,
        |e| e.act = 9,
        |e| e.state = 7,
        |e| e.state = 1,
        |e| e.serves.1 = e.serves.0,
        |e| e.step = 8,
        |e| e.number = 64,
    ] {
        assert!(change(bad).is_err());
    }
}

#[test]
fn every_kind_reads_back_as_it_was_written() {
    for entry in one_of_each() {
        let leaf = entry.encode(TIME).unwrap();
        let read = decode(&leaf).unwrap();
        assert_eq!((read.log, read.sequence, read.time, &read.entry), ([0; 8], 0, TIME, &entry));
    }
}

/// The vectors that a stranger's reader can be tried with.
#[test]
fn the_bytes_are_those_of_the_page() {
    let vectors = [
        (
            SiteEntry::Round { logs: vec![state("a", 300)] },
            format!("0100{}a1008183616119012c5820{}", place(), "01".repeat(32)),
        ),
        (
            SiteEntry::Enrolment { logs: vec![gateway("a")] },
            format!(
                "0200{}a1008184616178186578616d706c652f67772b30303030303030302b41414141016a676174657761792f6777",
                place()
            ),
        ),
        (
            SiteEntry::DayMap(DayMapEntry { inputs: Vec::new(), ..day_map() }),
            format!(
                "0300{}a8001950ed01f5025820{}031a003d0900041a004c4b400580065820{}0719016d",
                place(),
                "03".repeat(32),
                "04".repeat(32)
            ),
        ),
        (
            SiteEntry::Activation { rulebook: Digest::new([7; 32]) },
            format!("0400{}a1005820{}", place(), "07".repeat(32)),
        ),
        (SiteEntry::Override { note: "n\n".to_owned() }, format!("0500{}a100626e0a", place())),
        (
            SiteEntry::Sample { origin: "a".to_owned(), size: 77, indices: vec![24, 1, 4000] },
            format!("0600{}a300616101184d0283011818190fa0", place()),
        ),
        (
            SiteEntry::Retirement(state("a", 300)),
            format!("0700{}a30061610119012c025820{}", place(), "01".repeat(32)),
        ),
    ];
    for (entry, hex) in vectors {
        let leaf = entry.encode(TIME).unwrap();
        assert_eq!(data_encoding::HEXLOWER.encode(&leaf), format!("434c565301{hex}"), "{entry:?}");
    }
}

/// The rest of the zeros, the place, and the time of the vectors.
fn place() -> String {
    format!("00{}000000006ab13b80", "00".repeat(16))
}

#[test]
fn lists_are_written_ascending_whatever_their_order() {
    let there = SiteEntry::Round { logs: vec![state("a", 1), state("b", 2)] }.encode(TIME).unwrap();
    let back = SiteEntry::Round { logs: vec![state("b", 2), state("a", 1)] }.encode(TIME).unwrap();
    assert_eq!(there, back);
}

#[test]
fn a_log_that_stands_twice_is_refused() {
    let twice = SiteEntry::Round { logs: vec![state("a", 1), state("a", 2)] };
    assert!(twice.encode(TIME).is_err());
    let other = Enrolled { prefix: "gateway/other".into(), ..gateway("a") };
    assert!(SiteEntry::Enrolment { logs: vec![gateway("a"), other.clone()] }.encode(TIME).is_err());
    let other = Enrolled { origin: "b".into(), ..other };
    assert!(SiteEntry::Enrolment { logs: vec![gateway("a"), other] }.encode(TIME).is_ok());
}

#[test]
fn a_prefix_is_plain_names_and_lies_in_no_other() {
    let write = |prefixes: &[&str]| {
        let log =
            |(n, p): (usize, &&str)| Enrolled { prefix: (*p).to_owned(), ..gateway(&format!("log-{n}")) };
        SiteEntry::Enrolment { logs: prefixes.iter().enumerate().map(log).collect() }.encode(TIME)
    };
    assert!(write(&["keys", "gateway/a", "gateway/b", "gateway-2", "site-2"]).is_ok());
    assert!(write(&["1/2/3/4"]).is_ok());
    for bad in ["", "/a", "a/", "a//b", ".a", "a/..", "a b", "a?b", "1/2/3/4/5", "site", "site/gw"] {
        assert!(write(&[bad]).is_err(), "{bad}");
    }
    for bad in [["a", "a"], ["a/b", "a"], ["a", "a/b/c"]] {
        assert!(write(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_text_or_a_body_that_is_too_long_is_refused() {
    let long = "x".repeat(TEXT_MAX + 1);
    assert!(SiteEntry::Round { logs: vec![state(&long, 1)] }.encode(TIME).is_err());
    assert!(SiteEntry::Round { logs: vec![state(&long[1..], 1)] }.encode(TIME).is_ok());
    for bad in ["", "a\nb", "a\u{85}"] {
        assert!(SiteEntry::Round { logs: vec![state(bad, 1)] }.encode(TIME).is_err(), "{bad:?}");
    }
    let note = "x".repeat(BODY_MAX);
    assert!(matches!(SiteEntry::Override { note }.encode(TIME), Err(SiteError::TooLong(_))));
    let mut leaf = one_of_each()[0].encode(TIME).unwrap();
    leaf.resize(FIXED_LEN + BODY_MAX + 1, 0);
    assert!(matches!(decode(&leaf), Err(SiteError::TooLong(_))));
}

#[test]
fn another_form_of_the_same_body_is_refused() {
    let leaf = SiteEntry::Sample { origin: "a".into(), size: 7, indices: vec![1, 2] }.encode(TIME).unwrap();
    let (fixed, body) = leaf.split_at(FIXED_LEN);
    let with = |body: &[u8]| decode(&[fixed, body].concat());
    assert!(with(body).is_ok());
    let hex = data_encoding::HEXLOWER.encode(body);
    assert_eq!(hex, "a300616101070282".to_owned() + "0102");
    for (what, other) in [
        ("a trailing byte", "a30061610107028201 02f6"),
        ("a longer number", "a3006161011807028201 02"),
        ("an indefinite map", "bf0061610107028201 02ff"),
        ("keys out of order", "a301070061610282 0102"),
        ("an unknown key", "a400616101070282 01020300"),
        ("a missing key", "a20061610107"),
        ("indices out of order", "a300616101070282 0201"),
        ("an index twice", "a300616101070282 0101"),
        ("a negative number", "a300616101260282 0102"),
    ] {
        let bytes = data_encoding::HEXLOWER.decode(other.replace(' ', "").as_bytes()).unwrap();
        assert!(with(&bytes).is_err(), "{what}");
    }
}

#[test]
fn a_fixed_part_of_another_version_is_refused() {
    let leaf = one_of_each()[3].encode(TIME).unwrap();
    for at in [0, 1, 2, 3, 4, 5, 6, 7] {
        let mut other = leaf.clone();
        other[at] ^= 0x40;
        assert!(decode(&other).is_err(), "byte {at}");
    }
    for kind in [0, 8] {
        let mut other = leaf.clone();
        other[5] = kind;
        assert_eq!(decode(&other), Err(SiteError::Field("kind")));
    }
}

#[test]
fn no_cut_of_a_leaf_is_read_as_a_leaf() {
    for entry in one_of_each() {
        let leaf = entry.encode(TIME).unwrap();
        assert!((0..leaf.len()).all(|n| decode(&leaf[..n]).is_err()));
    }
}

proptest! {
    #[test]
    fn what_is_read_is_written_the_same(kind in 0u8..8, body in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut leaf = SiteEntry::Override { note: String::new() }.encode(TIME).unwrap();
        leaf.truncate(FIXED_LEN);
        leaf[5] = kind;
        leaf.extend_from_slice(&body);
        if let Ok(read) = decode(&leaf) {
            prop_assert_eq!(read.entry.encode(read.time).unwrap(), leaf);
        }
    }

    #[test]
    fn a_changed_byte_is_refused_or_reads_as_another_leaf(which in 0usize..6, at in 0usize..400, bit in 0u8..8) {
        let leaf = one_of_each()[which].encode(TIME).unwrap();
        let mut other = leaf.clone();
        let at = at % leaf.len();
        other[at] ^= 1 << bit;
        prop_assert!(decode(&other) .map_or(true, |read| read != decode(&leaf).unwrap()));
    }
}
