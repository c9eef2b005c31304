mod bad;

use std::{cell::Cell, io};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A part of the platform's key names in both spellings, as the catalogue would give them.
fn layout() -> Layout {
    let collection = |name: &str, shape, pointers: &[&str]| Collection {
        name: name.to_owned(),
        pointers: pointers.iter().map(|pointer| (*pointer).to_owned()).collect(),
        shape,
    };
    let profile = "/Profile And Settings/Profile Info/ProfileMap";
    let profile_older = "/Profile/Profile Information/ProfileMap";
    let collections = [
        collection("profile", Shape::Object, &[profile, profile_older]),
        collection("autofill", Shape::Object, &["/Profile And Settings/Autofill", "/Profile/Auto Fill"]),
        collection(
            "watched",
            Shape::List,
            &["/Your Activity/Watch History/VideoList", "/Activity/Video Browsing History/VideoList"],
        ),
        collection(
            "message",
            Shape::MapOfLists,
            &["/Direct Message/Direct Messages/ChatHistory", "/Direct Messages/Chat History/ChatHistory"],
        ),
        collection("live", Shape::MapOfObjects, &["/Tiktok Live/Watch Live History/WatchLiveMap"]),
    ];
    Layout::new(collections, [format!("{profile}/userName"), format!("{profile_older}/userName")]).unwrap()
}

fn read_all(input: impl Read, limits: &Limits) -> Result<(Vec<Record>, Summary), ImportError> {
    let mut records = Vec::new();
    let summary = read(input, &layout(), limits, &mut |record| {
        records.push(record);
        Ok(())
    })?;
    Ok((records, summary))
}

fn shown(text: &str) -> Vec<String> {
    let (records, _) = read_all(text.as_bytes(), &Limits::default()).unwrap();
    records
        .into_iter()
        .map(|record| format!("{} {}", record.collection, String::from_utf8(record.json).unwrap()))
        .collect()
}

#[test]
fn both_spellings_give_the_same_records() {
    let newer = r#"{
        "Profile And Settings":
            {"Profile Info": {"ProfileMap": {"userName": "lea.1", "bioDescription": "N/A"}}},
        "Your Activity": {"Watch History": {"VideoList": [{"Date": "2026-01-01 10:00:00", "Link": ""}]}},
        "Direct Message": {"Direct Messages": {"ChatHistory": {"Chat History with bo:": [{"From": "bo"}]}}}
    }"#;
    let older = r#"{
        "Profile": {"Profile Information": {"ProfileMap": {"userName": "lea.1", "bioDescription": "N/A"}}},
        "Activity": {"Video Browsing History": {"VideoList": [{"Date": "2026-01-01 10:00:00", "Link": ""}]}},
        "Direct Messages": {"Chat History": {"ChatHistory": {"Chat History with bo:": [{"From": "bo"}]}}}
    }"#;
    assert_eq!(
        shown(newer),
        [
            r#"profile {"userName":"lea.1","bioDescription":"N/A"}"#,
            r#"watched {"Date":"2026-01-01 10:00:00","Link":""}"#,
            r#"message {"_with":"Chat History with bo:","From":"bo"}"#,
        ]
    );
    assert_eq!(shown(newer), shown(older));
    let (_, summary) = read_all(older.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(summary.identity.as_deref(), Some("lea.1"));
    assert_eq!(summary.bytes, older.len() as u64);
    assert_eq!(summary.records, BTreeMap::from([("profile", 1), ("watched", 1), ("message", 1)].map(owned)));
    assert!(!format!("{summary:?}").contains("lea"));
}

fn owned((name, count): (&str, u64)) -> (String, u64) {
    (name.to_owned(), count)
}

#[test]
fn null_is_an_empty_collection() {
    let file = r#"{"Activity": {"Video Browsing History": {"VideoList": null}}, "Profile": null, "Direct Messages":
        {"Chat History": {"ChatHistory": null}}}"#;
    assert_eq!(shown(file), [""; 0]);
}

#[test]
fn what_no_collection_covers_is_unknown_with_its_place() {
    check_unknown(r#"{"New": {"a/b": [1, {"c~": 1.50}]}}"#, &[("/New", r#"{"a/b":[1,{"c~":1.50}]}"#)]);
    check_unknown(
        r#"{"Activity": {"Other": "x", "a/b~": 2}}"#,
        &[("/Activity/Other", r#""x""#), ("/Activity/a~1b~0", "2")],
    );
    // The declared place, but in another shape.
    check_unknown(r#"{"Profile": "N/A"}"#, &[("/Profile", r#""N/A""#)]);
    let list = "/Activity/Video Browsing History/VideoList";
    check_unknown(
        r#"{"Activity": {"Video Browsing History": {"VideoList": {"Date": "d"}}}}"#,
        &[(list, r#"{"Date":"d"}"#)],
    );
    // The key of an empty chat is data too.
    let chats = r#"{"Direct Messages": {"Chat History": {"ChatHistory": {"with bo": [], "with al": null}}}}"#;
    let place = "/Direct Messages/Chat History/ChatHistory";
    check_unknown(chats, &[(&format!("{place}/with bo"), "[]"), (&format!("{place}/with al"), "null")]);
}

fn check_unknown(file: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(pointer, value)| format!(r#"unknown {{"_pointer":{},"value":{value}}}"#, json!(pointer)))
        .collect();
    assert_eq!(shown(file), expected);
}

#[test]
fn elements_that_are_no_objects_are_wrapped() {
    let file = r#"{"Activity": {"Video Browsing History": {"VideoList": ["x", null, [1]]}}, "Tiktok Live":
        {"Watch Live History": {"WatchLiveMap": {"7001": {"Link": "l"}}}}}"#;
    let expected = [
        r#"watched {"value":"x"}"#,
        r#"watched {"value":null}"#,
        r#"watched {"value":[1]}"#,
        r#"live {"_with":"7001","Link":"l"}"#,
    ];
    assert_eq!(shown(file), expected);
}

#[test]
fn texts_and_numbers_come_out_as_they_went_in() {
    let file =
        r#"{"New": {"t": "\u00e4\n\"\\\/\u0001\ud83d\ude00 ё", "n": [1.0, -0, 1e5, 12345678901234567890]}}"#;
    assert_eq!(
        shown(file),
        [
            r#"unknown {"_pointer":"/New","value":{"t":"ä\n\"\\/\u0001😀 ё","n":[1.0,-0,1e5,12345678901234567890]}}"#
        ]
    );
}

#[test]
fn a_large_unknown_member_comes_in_pieces() {
    let limits = Limits { piece_bytes: 40, ..Limits::default() };
    let file = json!({"New": {"small": 1, "list": [{"n": "0123456789"}, {"n": "abcdefghij"}, {"n": "ABCDEFGHIJ"}],
        "text": "one text that is longer than a piece may be", "last": true}});
    let (records, _) = read_all(file.to_string().as_bytes(), &limits).unwrap();
    let pointers: Vec<_> = records.iter().map(|record| value(record)["_pointer"].clone()).collect();
    assert!(
        pointers.contains(&json!("/New/list/2")) && pointers.contains(&json!("/New/text")),
        "{pointers:?}"
    );
    assert!(pointers.contains(&json!("/New")), "the small members stay together: {pointers:?}");
}

fn value(record: &Record) -> Value {
    serde_json::from_slice(&record.json).unwrap()
}

/// Small enough to write a file that passes each.
const SMALL: Limits =
    Limits { string_bytes: 20, name_bytes: 30, names_bytes: 600, depth: 5, item_bytes: 60, piece_bytes: 40 };

#[test]
fn a_bad_file_is_refused_with_one_line() {
    let full = r#"{"Profile": {"Profile Information": {"ProfileMap": {"userName": "lea"}}}}"#;
    read_all(full.as_bytes(), &SMALL).unwrap();
    for (file, expected) in bad::FILES {
        let error = read_all(*file, &SMALL).unwrap_err();
        assert_eq!(error.to_string(), *expected, "{}", String::from_utf8_lossy(file));
    }
}

#[test]
fn too_many_names_in_one_object_are_refused() {
    let members: Vec<_> = (0..10).map(|number| format!("\"{number}\": 1")).collect();
    let error = read_all(format!("{{{}}}", members.join(",")).as_bytes(), &SMALL).unwrap_err();
    assert!(matches!(error, ImportError::TooManyNames { limit: 600, .. }), "{error}");
}

#[test]
fn every_cut_of_a_file_is_seen_as_too_early() {
    let file = r#"{"Profile": {"Profile Information": {"ProfileMap": {"userName": "l\u00e9a", "n": [true, null]}}},
        "New": -1.5}"#;
    read_all(file.as_bytes(), &Limits::default()).unwrap();
    for end in 0..file.len() {
        let error = read_all(&file.as_bytes()[..end], &Limits::default()).unwrap_err();
        assert!(matches!(error, ImportError::Truncated { .. }), "cut at {end}: {error}");
    }
}

#[test]
fn an_error_shows_no_name_that_may_be_about_a_person() {
    let chats =
        r#"{"Direct Messages": {"Chat History": {"ChatHistory": {"Chat History with bo:": [{"From": x}]}}}}"#;
    let error = read_all(chats.as_bytes(), &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("`/Direct Messages/Chat History/ChatHistory/*/0/From`"), "{error}");
    let nested = r#"{"Profile": {"Auto Fill": {"Friends": {"lea@post.example": x}}}}"#;
    let error = read_all(nested.as_bytes(), &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("`/Profile/Auto Fill/Friends/*`"), "{error}");
}

#[test]
fn a_missing_identity_is_none_and_the_same_one_twice_is_fine() {
    for missing in ["\"\"", "\"N/A\"", "null", "7", "[\"lea\"]"] {
        let file = format!(
            r#"{{"Profile": {{"Profile Information": {{"ProfileMap": {{"userName": {missing}}}}}}}}}"#
        );
        assert_eq!(read_all(file.as_bytes(), &Limits::default()).unwrap().1.identity, None, "{missing}");
    }
    let map = json!({"ProfileMap": {"userName": "lea"}});
    let file =
        json!({"Profile": {"Profile Information": map}, "Profile And Settings": {"Profile Info": map}});
    let (_, summary) = read_all(file.to_string().as_bytes(), &Limits::default()).unwrap();
    assert_eq!(summary.identity.as_deref(), Some("lea"));
}

#[test]
fn a_refusing_sink_ends_the_reading() {
    let mut calls = 0;
    let error = read(br#"{"a": 1, "b": 2}"#.as_slice(), &layout(), &Limits::default(), &mut |_| {
        calls += 1;
        Err("full".into())
    })
    .unwrap_err();
    assert_eq!((calls, error.to_string().as_str()), (1, "a record read before byte `16` was not taken"));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "full");
}

/// An input that is made while it is read: a beginning, then one sign up to a number of bytes.
struct Endless<'a> {
    beginning: &'a [u8],
    sign: u8,
    left: u64,
    given: &'a Cell<u64>,
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = self.beginning.read(buffer)?;
        if count == 0 {
            count = usize::try_from(self.left).unwrap().min(buffer.len());
            buffer[..count].fill(self.sign);
            self.left -= count as u64;
        }
        self.given.set(self.given.get() + count as u64);
        Ok(count)
    }
}

#[test]
fn what_does_not_end_is_refused_before_it_is_held() {
    for (beginning, sign, at_most, expected) in [
        (r#"{"New": ""#, b'x', 3 << 20, "a text is longer than"),
        (
            r#"{"Activity": {"Video Browsing History": {"VideoList": [{"Link": ""#,
            b'x',
            3 << 20,
            "a text is longer than",
        ),
        (r#"{""#, b'x', 64 << 10, "a name is longer than"),
        (r#"{"New": 1"#, b'1', 8 << 10, "a number is longer than"),
        (r#"{"New": "#, b'[', 8 << 10, "export is nested deeper than"),
    ] {
        let given = Cell::new(0);
        let input = Endless { beginning: beginning.as_bytes(), sign, left: 64 << 20, given: &given };
        let error = read_all(input, &Limits::default()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(given.get() < at_most, "{} bytes read: {error}", given.get());
    }
}

#[test]
fn an_input_that_breaks_is_told_from_a_bad_file() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::InvalidData, "bad block"))
        }
    }
    for beginning in [r#"{"New": "in a text"#, r#"{"New": "#, r#"{"in a na"#] {
        let error = read_all(beginning.as_bytes().chain(Broken), &Limits::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot read the export after byte `{}`", beginning.len()));
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "bad block");
    }
}

#[test]
fn memory_stays_small_whatever_the_file_holds() {
    // Elements, members and both nested, for several megabytes: no record is larger than a piece.
    let limits = Limits::default();
    for file in [
        format!(r#"{{"New": [{}0]}}"#, "\"0123456789\",".repeat(200_000)),
        format!(
            r#"{{"New": {{{}"z": 0}}}}"#,
            (0..100_000).map(|n| format!("\"{n}\": {{\"a\": [{n}]}},")).collect::<String>()
        ),
        format!(r#"{{"New": [[{}0]]}}"#, "{\"a\": {\"b\": [1, 2, 3]}},".repeat(50_000)),
    ] {
        let mut records = 0;
        read(file.as_bytes(), &layout(), &limits, &mut |record| {
            records += 1;
            assert!(record.json.len() < limits.piece_bytes + 100);
            Ok(())
        })
        .unwrap();
        assert!(records > 1);
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "Profile",
        "Profile Information",
        "ProfileMap",
        "userName",
        "Activity",
        "Video Browsing History",
        "VideoList",
        "Direct Messages",
        "Chat History",
        "ChatHistory",
        "Tiktok Live",
        "Watch Live History",
        "WatchLiveMap",
        "a/b",
        "c~d",
        "é\"",
    ]);
    let leaf = prop_oneof![
        any::<u32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "[a-z\"\\\\\n ä😀]{0,60}".prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn leaves(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
        Value::Object(members) => members.values().for_each(|item| leaves(item, found)),
        leaf => found.push(leaf.to_string()),
    }
}

/// Whether all that the piece holds stands at the same place of the whole.
fn is_part(piece: &Value, whole: &Value) -> bool {
    match (piece, whole) {
        (Value::Object(piece), Value::Object(whole)) => {
            piece.iter().all(|(name, value)| whole.get(name).is_some_and(|whole| is_part(value, whole)))
        }
        _ => piece == whole,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_leaf_of_a_file_is_in_exactly_one_record(
        sections in prop::collection::vec(any_value(), 1..8),
        piece_bytes in 10_usize..300,
    ) {
        let tops = ["Profile", "Activity", "Direct Messages", "Tiktok Live", "New", "a/b", "Newer", "Newest"];
        let file = Value::Object(tops.iter().map(|name| (*name).to_owned()).zip(sections).collect());
        let limits = Limits { piece_bytes, ..Limits::default() };
        let (records, summary) = read_all(file.to_string().as_bytes(), &limits).unwrap();

        let (mut of_file, mut of_records) = (Vec::new(), Vec::new());
        leaves(&file, &mut of_file);
        for record in &records {
            let mut value = value(record);
            let members = value.as_object_mut().unwrap();
            members.remove(WITH);
            if record.collection == UNKNOWN {
                let place = members.remove(POINTER).unwrap();
                let whole = file.pointer(place.as_str().unwrap()).unwrap();
                prop_assert!(is_part(&members[VALUE], whole));
            }
            leaves(&value, &mut of_records);
        }
        of_file.sort_unstable();
        of_records.sort_unstable();
        prop_assert_eq!(of_file, of_records);
        prop_assert_eq!(summary.records.values().sum::<u64>(), records.len() as u64);
        prop_assert_eq!(summary.bytes, file.to_string().len() as u64);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        json in "[\\[\\]{}\",:0-9a-z\\\\ ]{0,80}",
    ) {
        drop(read_all(bytes.as_slice(), &SMALL));
        drop(read_all(format!("{{\"Profile\": {{{json}").as_bytes(), &SMALL));
    }
}
