use super::*;

pub(crate) fn draft() -> Draft {
    Draft {
        kind: EntryKind::Answer,
        direction: Direction::Outward,
        time: UnixSeconds(1_790_000_000),
        flow: FlowId::new([9; 16]),
        rulebook: Digest::new([8; 32]),
        purpose: Purpose::Support,
        place: Country::parse("SG").unwrap(),
        destination: Country::parse("SG").unwrap(),
        classes: vec![DataClass::Allowable],
        treatments: vec![Treatment::Plain],
        reason: Reason::None,
        findings: 1,
        bytes: 512,
        rows: 3,
        detail: Digest::new([7; 32]),
        actor: Tag::new([6; 16]),
        subjects: Subjects::of(vec![Tag::new([5; 16])]),
        lane: short_name("video-status"),
        stream: None,
        facts: vec![0xa0],
    }
}

#[test]
fn an_entry_reads_back_as_it_was_written() {
    let leaf = draft().encode(short_name("gw"), 17);
    assert_eq!(leaf.len(), 257);
    let entry = Entry::decode(&leaf).unwrap();
    assert_eq!((entry.sequence, entry.gateway, &entry.draft), (17, short_name("gw"), &draft()));
}

#[test]
fn five_people_stand_in_a_side_record() {
    let tags: Vec<Tag> = (0..5).map(|i| Tag::new([i; 16])).collect();
    let d = Draft { subjects: Subjects::of(tags.clone()), ..draft() };
    let (root, bytes) = d.subjects.side_record().unwrap();
    assert_eq!(bytes.len(), 80);
    let entry = Entry::decode(&d.encode([0; 8], 0)).unwrap();
    assert_eq!((entry.tag_root, entry.subject_count), (Some(root), 5));
}

#[test]
fn a_changed_header_byte_is_refused_or_read_as_another_entry() {
    let leaf = draft().encode([1; 8], 2);
    let original = Entry::decode(&leaf).unwrap();
    for i in 0..leaf.len() {
        let mut changed = leaf.clone();
        changed[i] ^= 0x40;
        assert!(Entry::decode(&changed).map_or(true, |e| e != original), "byte {i}");
    }
}

#[test]
fn a_short_or_long_leaf_is_refused() {
    assert_eq!(Entry::decode(&[0; 255]).unwrap_err(), EntryError::Length(255));
    assert!(Entry::decode(&[0; 4353]).is_err());
}

fn of_stream(place: StreamPlace) -> Draft {
    let facts = if place.kind() == EntryKind::Open { vec![0xa0] } else { Vec::new() };
    Draft { kind: place.kind(), stream: Some(place), facts, ..draft() }
}

fn stream_drafts() -> [Draft; 3] {
    let lease = draft().time.plus(60);
    [
        StreamPlace::Open { lease },
        StreamPlace::Extend { open: 17, lease },
        StreamPlace::Close { open: 17, outcome: Outcome::BrokenOff },
    ]
    .map(of_stream)
}

#[test]
fn the_entries_of_a_stream_read_back_and_stand_where_the_page_says() {
    let lease = [0, 0, 0, 0, 0x6a, 0xb1, 0x3b, 0xbc];
    let wanted = [(6, 0, lease, 0), (7, 17, lease, 0), (8, 17, [0; 8], 2)];
    for (draft, (kind, open, lease, outcome)) in stream_drafts().into_iter().zip(wanted) {
        let leaf = draft.encode([1; 8], 18);
        assert_eq!(Entry::decode(&leaf).unwrap().draft, draft);
        assert_eq!((leaf[5], leaf[7], leaf[239], leaf[248]), (kind, 1, open, outcome));
        assert_eq!((&leaf[240..248], &leaf[249..256]), (&lease[..], &[0; 7][..]));
    }
}

#[test]
fn a_header_whose_stream_fields_contradict_its_kind_is_refused() {
    let [open, extend, close] = stream_drafts().map(|d| d.encode([1; 8], 18));
    let answer = draft().encode([1; 8], 18);
    let refused = |leaf: &[u8], at: usize, byte: u8| {
        let mut other = leaf.to_vec();
        other[at] = byte;
        assert!(Entry::decode(&other).is_err(), "byte {at} of kind {} is {byte}", leaf[5]);
    };
    for (leaf, at, byte) in [
        (&answer, 239, 1),
        (&answer, 247, 1),
        (&answer, 248, 1),
        (&answer, 249, 1),
        (&open, 239, 1),
        (&open, 248, 1),
        (&open, 5, 7),
        (&open, 5, 1),
        (&open, 5, 9),
        (&extend, 248, 1),
        (&extend, 5, 6),
        (&extend, 5, 8),
        (&close, 247, 1),
        (&close, 248, 0),
        (&close, 248, 4),
        (&close, 255, 1),
        (&close, 7, 2),
    ] {
        refused(leaf, at, byte);
    }
}

#[test]
fn a_lease_is_at_most_an_hour() {
    let time = draft().time;
    for (seconds, right) in [(3_600, true), (3_601, false)] {
        let lease = time.plus(seconds);
        for place in [StreamPlace::Open { lease }, StreamPlace::Extend { open: 1, lease }] {
            assert_eq!(Entry::decode(&of_stream(place).encode([1; 8], 2)).is_ok(), right);
        }
    }
}

#[test]
fn an_open_stands_before_what_goes_on_with_it() {
    let [_, extend, close] = stream_drafts();
    for draft in [extend, close] {
        assert!(Entry::decode(&draft.encode([1; 8], 18)).is_ok());
        assert!(Entry::decode(&draft.encode([1; 8], 17)).is_err());
    }
}

#[test]
fn an_import_goes_nowhere() {
    let import = Draft { kind: EntryKind::Import, ..draft() };
    assert!(Entry::decode(&import.encode([1; 8], 2)).is_err());
    let import = Draft { destination: Country::UNKNOWN, ..import };
    assert!(Entry::decode(&import.encode([1; 8], 2)).is_ok());
}

#[test]
fn facts_stand_in_the_open_and_only_there() {
    for draft in stream_drafts() {
        let facts = if draft.facts.is_empty() { vec![0xa0] } else { Vec::new() };
        assert!(Entry::decode(&Draft { facts, ..draft }.encode([1; 8], 2)).is_err());
    }
}

#[test]
fn a_refusal_that_releases_is_refused() {
    let refusal = Draft {
        kind: EntryKind::Refusal,
        reason: Reason::Policy,
        classes: Vec::new(),
        treatments: Vec::new(),
        bytes: 0,
        ..draft()
    };
    let read = |d: &Draft| Entry::decode(&d.encode([1; 8], 2));
    assert!(read(&refusal).is_ok());
    assert!(read(&Draft { bytes: 1, ..refusal.clone() }).is_err());
    assert!(read(&Draft { classes: draft().classes, ..refusal.clone() }).is_err());
    assert!(read(&Draft { treatments: draft().treatments, ..refusal }).is_err());
}

#[test]
fn the_tags_in_a_header_are_read_without_the_rest() {
    for count in 0..7_u8 {
        let tags: Vec<_> = (0..count).map(|n| Tag::new([n; 16])).collect();
        let leaf = Draft { subjects: Subjects::of(tags.clone()), ..draft() }.encode(short_name("gw"), 17);
        let found: Vec<_> = inline_tags(&leaf).iter().map(|tag| Tag::new(*tag)).collect();
        let inline = if tags.len() > INLINE_TAGS { Vec::new() } else { tags };
        assert_eq!(found, inline);
        assert_eq!(found, Entry::decode(&leaf).unwrap().draft.subjects.tags());
        assert!(inline_tags(&leaf[..170]).is_empty());
    }
    let everybody = Draft { subjects: Subjects::Population, ..draft() }.encode(short_name("gw"), 17);
    assert!(inline_tags(&everybody).is_empty());
    assert!(inline_tags(&[1; 256]).is_empty(), "a leaf of another log");
}
