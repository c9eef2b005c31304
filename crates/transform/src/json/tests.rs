//! Tables of what is refused and rewritten, and comparisons with `serde_json`.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// Keeps field 0, drops field 1, replaces field 2, stops at field 3; drops wild names called `c`.
#[derive(Default)]
struct ByNumber {
    seen: Vec<String>,
    records: Vec<i64>,
}

impl Visitor for ByNumber {
    fn scalar(&mut self, field: FieldIndex, value: Scalar<'_>, out: &mut Vec<u8>) -> Result<Verdict, Stop> {
        assert!(out.is_empty());
        let mut scratch = Vec::new();
        let text = value.text(&mut scratch).map(|text| String::from_utf8(text.to_vec()).unwrap());
        self.seen.extend(text);
        match field.0 {
            0 => Ok(Verdict::Keep),
            1 => Ok(Verdict::Drop),
            2 => {
                out.extend_from_slice(br#""***""#);
                Ok(Verdict::Replaced)
            }
            3 => Err(Stop(33)),
            _ => Ok(Verdict::Replaced),
        }
    }

    fn wild_name(&mut self, raw: &[u8], escaped: bool) -> Result<NameVerdict, Stop> {
        let mut name = Vec::new();
        unescape(raw, &mut name).unwrap();
        assert_eq!(escaped, raw != name);
        Ok(if name == b"c" { NameVerdict::Drop } else { NameVerdict::Keep })
    }

    fn enter_record(&mut self, index: u64) -> Result<(), Stop> {
        self.records.push(index as i64);
        Ok(())
    }

    fn leave_record(&mut self, index: u64) -> Result<(), Stop> {
        self.records.push(-1 - index as i64);
        Ok(())
    }
}

fn bind(pointers: &[(&str, u16)]) -> Bindings {
    Bindings::compile(pointers.iter().map(|(pointer, field)| (*pointer, FieldIndex(*field)))).unwrap()
}

fn run_with(
    input: &[u8],
    form: Form,
    pointers: &[(&str, u16)],
    limits: &Limits,
) -> Result<(String, Outcome), JsonError> {
    let mut out = b"before".to_vec();
    let result = rewrite(input, form, &bind(pointers), limits, &mut ByNumber::default(), &mut out);
    assert!(out.starts_with(b"before"));
    let written = String::from_utf8(out.split_off(6)).unwrap();
    if result.is_err() {
        assert_eq!(written, "", "nothing is left behind by a refusal");
    }
    result.map(|outcome| (written, outcome))
}

fn check(pointers: &[(&str, u16)], input: &str, expected: &str) {
    let (written, _) = run_with(input.as_bytes(), Form::Json, pointers, &Limits::default()).unwrap();
    assert_eq!(written, expected, "{pointers:?} on {input}");
}

fn refusal(pointers: &[(&str, u16)], input: &[u8]) -> ErrorKind {
    run_with(input, Form::Json, pointers, &Limits::default()).unwrap_err().kind
}

#[test]
fn commas_stay_right_whatever_is_removed() {
    let bound = [("/a", 0), ("/b", 1), ("/c", 2), ("/d", 0)];
    check(&bound, r#"{"a":1,"b":2,"c":3,"d":4}"#, r#"{"a":1,"c":"***","d":4}"#);
    check(&bound, r#"{"b":2,"a":1}"#, r#"{"a":1}"#);
    check(&bound, r#"{"b":2,"x":2,"a":1,"y":1}"#, r#"{"a":1}"#);
    check(&bound, r#"{"x":2,"b":2,"c":1,"b2":1,"d":0}"#, r#"{"c":"***","d":0}"#);
    check(&bound, r#"{"x":{"a":[1,{}]},"y":"a"}"#, "{}");
    check(&bound, r#"{"b":1}"#, "{}");
    check(&bound, "{}", "{}");
    check(&bound, " { \"b\" : 1 , \"a\" : 2 , \"b2\" : 3 } \n", " {  \"a\" : 2  } \n");
}

#[test]
fn elements_that_go_leave_null_in_their_place() {
    check(&[("/*/0", 0), ("/*/2", 2)], "[[1,2,3,[4]],[]]", r#"[[1,null,"***",null],[]]"#);
    check(&[("/a/*", 1)], r#"{"a":[1,"x",null]}"#, r#"{"a":[null,null,null]}"#);
    check(&[("", 1)], "1", "null");
    check(&[("", 2)], " true ", " \"***\" ");
}

#[test]
fn a_written_name_wins_over_a_star_and_a_star_over_the_rest() {
    let bound = [("/**", 0), ("/*/x", 2), ("/a/y", 1), ("/a/x", 0)];
    check(
        &bound,
        r#"{"a":{"x":1,"y":2,"z":3},"b":{"x":1,"z":{"q":[1]}}}"#,
        r#"{"a":{"x":1,"z":3},"b":{"x":"***","z":{"q":[1]}}}"#,
    );
    check(&[("/a/**", 0), ("/a", 2)], r#"{"a":{"b":{"c":1,"d":[2]}}}"#, r#"{"a":{"b":{"d":[2]}}}"#);
    check(&[("/a/**", 0), ("/a", 2)], r#"{"a":7,"b":1}"#, r#"{"a":"***"}"#);
}

#[test]
fn names_are_compared_after_unescaping() {
    check(
        &[("/a~1b", 0), ("/t~0", 0), ("/é", 0), ("/", 0)],
        r#"{"\u0061\/b":1,"t~":2,"\u00e9":3,"":4,"a":5}"#,
        r#"{"\u0061\/b":1,"t~":2,"\u00e9":3,"":4}"#,
    );
    check(
        &[("/a_long_member_name", 0)],
        r#"{"a_long_member_nam\u0065":1,"a_long_member_namX":2,"a_longXmember_name":3}"#,
        r#"{"a_long_member_nam\u0065":1}"#,
    );
}

#[test]
fn what_happened_is_counted() {
    let input = br#"[{"a":1,"b":1,"c":1,"x":[1,2]},{"a":null,"q":{"z":1}},7]"#;
    let pointers = [("/*/a", 0), ("/*/b", 1), ("/*/c", 2)];
    let (written, outcome) = run_with(input, Form::Json, &pointers, &Limits::default()).unwrap();
    assert_eq!(written, r#"[{"a":1,"c":"***"},{"a":null},null]"#);
    assert_eq!(outcome, Outcome { kept: 2, dropped_unbound: 3, dropped: 1, replaced: 1, records: 3 });
}

#[test]
fn records_are_announced_in_order() {
    for (form, input, expected) in [
        (Form::Json, "[{},{}]", vec![0, -1, 1, -2]),
        (Form::Json, "[]", vec![]),
        (Form::Json, r#"{"a":[{}]}"#, vec![0, -1]),
        (Form::Ndjson, "{}\r\n[]\n{}", vec![0, -1, 1, -2, 2, -3]),
    ] {
        let mut visitor = ByNumber::default();
        rewrite(
            input.as_bytes(),
            form,
            &bind(&[("/**", 0)]),
            &Limits::default(),
            &mut visitor,
            &mut Vec::new(),
        )
        .unwrap();
        assert_eq!(visitor.records, expected, "{input}");
    }
}

#[test]
fn lines_are_rewritten_one_by_one() {
    let lines = "{\"a\":1,\"x\":2}\r\n {\"b\":1,\"a\":\"é\"}\n{\"c\":0}\n";
    let (written, outcome) =
        run_with(lines.as_bytes(), Form::Ndjson, &[("/a", 0), ("/c", 2)], &Limits::default()).unwrap();
    assert_eq!(written, "{\"a\":1}\r\n {\"a\":\"é\"}\n{\"c\":\"***\"}\n");
    assert_eq!(outcome.records, 3);
    for (lines, kind) in [
        ("", ErrorKind::Empty),
        ("\n\n", ErrorKind::Empty),
        ("{}\n\n{}", ErrorKind::EmptyRecord),
        ("{}\n \n", ErrorKind::EmptyRecord),
        ("{}\n{}\n\n", ErrorKind::EmptyRecord),
        ("{\"a\":\n1}", ErrorKind::UnexpectedEnd),
        ("{} {}\n", ErrorKind::TrailingBytes),
        ("{}\n{\"a\":01}\n", ErrorKind::Number),
    ] {
        let error = run_with(lines.as_bytes(), Form::Ndjson, &[("/a", 0)], &Limits::default()).unwrap_err();
        assert_eq!(error.kind, kind, "{lines:?}");
    }
}

const MALFORMED: &[(&str, ErrorKind)] = &[
    ("", ErrorKind::Empty),
    (" \n", ErrorKind::Empty),
    ("\u{feff}{}", ErrorKind::ByteOrderMark),
    ("{", ErrorKind::UnexpectedEnd),
    ("[", ErrorKind::UnexpectedEnd),
    ("[1", ErrorKind::UnexpectedEnd),
    ("[1,", ErrorKind::UnexpectedEnd),
    ("{\"a\"", ErrorKind::UnexpectedEnd),
    ("{\"a\":", ErrorKind::UnexpectedEnd),
    ("{\"a\":1", ErrorKind::UnexpectedEnd),
    ("{\"a\":1,", ErrorKind::UnexpectedEnd),
    ("\"abc", ErrorKind::UnexpectedEnd),
    ("\"abcdefghijklmnopqrst", ErrorKind::UnexpectedEnd),
    ("\"\\", ErrorKind::UnexpectedEnd),
    ("\"\\u00", ErrorKind::UnexpectedEnd),
    ("\"\\ud800", ErrorKind::UnexpectedEnd),
    ("tru", ErrorKind::UnexpectedEnd),
    ("-", ErrorKind::UnexpectedEnd),
    ("1.", ErrorKind::UnexpectedEnd),
    ("1e+", ErrorKind::UnexpectedEnd),
    ("[1,]", ErrorKind::ExpectedValue),
    ("[,1]", ErrorKind::ExpectedValue),
    ("{\"a\":}", ErrorKind::ExpectedValue),
    ("+1", ErrorKind::ExpectedValue),
    (".5", ErrorKind::ExpectedValue),
    ("NaN", ErrorKind::ExpectedValue),
    ("'a'", ErrorKind::ExpectedValue),
    ("Infinity", ErrorKind::ExpectedValue),
    ("\u{0}", ErrorKind::ExpectedValue),
    ("/**/1", ErrorKind::ExpectedValue),
    ("{,}", ErrorKind::ExpectedName),
    ("{a:1}", ErrorKind::ExpectedName),
    ("{1:1}", ErrorKind::ExpectedName),
    ("{\"a\":1,}", ErrorKind::ExpectedName),
    ("{\"a\" 1}", ErrorKind::ExpectedColon),
    ("{\"a\",1}", ErrorKind::ExpectedColon),
    ("[1 2]", ErrorKind::ExpectedCommaOrEnd),
    ("[1}", ErrorKind::ExpectedCommaOrEnd),
    ("{\"a\":1]", ErrorKind::ExpectedCommaOrEnd),
    ("{\"a\":1 \"b\":2}", ErrorKind::ExpectedCommaOrEnd),
    ("[\u{b}1]", ErrorKind::ExpectedValue),
    ("[1\u{a0}]", ErrorKind::ExpectedCommaOrEnd),
    ("nul!", ErrorKind::Literal),
    ("trUe", ErrorKind::Literal),
    ("falsy", ErrorKind::Literal),
    ("[nul]", ErrorKind::Literal),
    ("01", ErrorKind::Number),
    ("-01", ErrorKind::Number),
    ("00", ErrorKind::Number),
    ("-a", ErrorKind::Number),
    ("1.e5", ErrorKind::Number),
    ("1.5.2", ErrorKind::Number),
    ("1e", ErrorKind::UnexpectedEnd),
    ("[1e]", ErrorKind::Number),
    ("0x10", ErrorKind::Number),
    ("1_000", ErrorKind::TrailingBytes),
    ("-Infinity", ErrorKind::Number),
    ("1-2", ErrorKind::Number),
    ("[-]", ErrorKind::Number),
    ("2e5.5", ErrorKind::Number),
    (r#""\x""#, ErrorKind::Escape),
    (r#""\u12g4""#, ErrorKind::Escape),
    (r#""\U0041""#, ErrorKind::Escape),
    (r#""\'""#, ErrorKind::Escape),
    (r#""\ud800""#, ErrorKind::Surrogate),
    (r#""\udc00""#, ErrorKind::Surrogate),
    (r#""\ud800\ud800""#, ErrorKind::Surrogate),
    (r#""\ud83dx\ude00""#, ErrorKind::Surrogate),
    (r#""\ud800\n""#, ErrorKind::Surrogate),
    ("\"a\tb\"", ErrorKind::ControlCharacter),
    ("\"\n\"", ErrorKind::ControlCharacter),
    ("\"0123456789012345678\u{1f}\"", ErrorKind::ControlCharacter),
    ("\"a\u{0}\"", ErrorKind::ControlCharacter),
    ("{\"a\u{1}\":1}", ErrorKind::ControlCharacter),
    (r#"{"a":1,"a":2}"#, ErrorKind::DuplicateName),
    (r#"{"a":1,"\u0061":2}"#, ErrorKind::DuplicateName),
    (r#"{"x":{"y":1,"b":2,"y":3}}"#, ErrorKind::DuplicateName),
    (r#"{"":1,"":2}"#, ErrorKind::DuplicateName),
    (r#"{"a_rather_long_name":1,"b":0,"a_rather_long_nam\u0065":2}"#, ErrorKind::DuplicateName),
    (r#"[{"é":1,"\u00e9":2}]"#, ErrorKind::DuplicateName),
    (r#"{"\ud83d\ude00":1,"😀":2}"#, ErrorKind::DuplicateName),
    ("{} {}", ErrorKind::TrailingBytes),
    ("1 1", ErrorKind::TrailingBytes),
    ("[]]", ErrorKind::TrailingBytes),
    ("{}\u{0}", ErrorKind::TrailingBytes),
    ("nullnull", ErrorKind::TrailingBytes),
    ("\"a\"b", ErrorKind::TrailingBytes),
];

#[test]
fn malformed_documents_are_refused_with_their_reason() {
    use ErrorKind as K;
    for (input, kind) in MALFORMED {
        // Once with everything bound, once on a subtree that is being removed: equally strict.
        assert_eq!(refusal(&[("", 0), ("/**", 0)], input.as_bytes()), *kind, "{input:?}");
        let trailing = matches!(kind, K::TrailingBytes | K::Empty | K::ByteOrderMark | K::UnexpectedEnd);
        if !trailing && !input.ends_with(|c: char| c.is_ascii_digit()) {
            assert_eq!(refusal(&[("/k", 0)], format!("{{\"gone\":{input}}}").as_bytes()), *kind, "{input:?}");
        }
    }
    for input in [&b"\"\xff\""[..], b"\"\xc3\"", b"\"\xed\xa0\x80\"", b"\"\xc0\xaf\"", b"{}\xf0\x9f"] {
        assert_eq!(refusal(&[("", 0)], input), K::NotUtf8);
    }
}

#[test]
fn fields_and_containers_may_not_be_confused() {
    assert_eq!(refusal(&[("/a", 0)], br#"{"a":{}}"#), ErrorKind::ContainerAtField);
    assert_eq!(refusal(&[("/a", 0)], br#"{"a":[1]}"#), ErrorKind::ContainerAtField);
    assert_eq!(refusal(&[("", 0)], b"[]"), ErrorKind::ContainerAtField);
    assert_eq!(refusal(&[("/a", 0)], b"7"), ErrorKind::RootUnbound);
    assert_eq!(refusal(&[], b"7"), ErrorKind::RootUnbound);
    check(&[], r#"{"a":7}"#, "{}");
    check(&[("/a/b", 0)], r#"{"a":7}"#, "{}");
}

#[test]
fn a_visitor_can_stop_and_may_not_replace_by_nothing() {
    assert_eq!(refusal(&[("/a", 3)], br#"{"a":1}"#), ErrorKind::Stopped(Stop(33)));
    assert_eq!(refusal(&[("/a", 9)], br#"{"a":1}"#), ErrorKind::EmptyReplacement);
    let error = JsonError { kind: ErrorKind::Stopped(Stop(33)), at: 5 };
    assert_eq!(error.to_string(), "stopped by the visitor with code `33`, at byte `5`");
}

#[test]
fn limits_hold_at_their_edge() {
    let limits = Limits { bytes: 40, depth: 3, members: 4, records: 2 };
    let everything = [("", 0), ("/**", 0)];
    let kind =
        |input: &str, form| run_with(input.as_bytes(), form, &everything, &limits).err().map(|e| e.kind);
    for (input, refused) in [
        ("[[[1]]]", None),
        ("[[[[]]]]", Some(ErrorKind::TooDeep)),
        (r#"{"a":{"a":{"a":{}}}}"#, Some(ErrorKind::TooDeep)),
        (r#"{"a":[1,2,3,4]}"#, None),
        (r#"{"a":[1,2,3,4,5]}"#, Some(ErrorKind::TooManyMembers)),
        (r#"{"a":1,"b":1,"c":1,"d":1}"#, None),
        (r#"{"a":1,"b":1,"c":1,"d":1,"e":1}"#, Some(ErrorKind::TooManyMembers)),
        ("[1,2]", None),
        ("[1,2,3]", Some(ErrorKind::TooManyRecords)),
        ("\"01234567890123456789012345678901234567\"", None),
        ("\"012345678901234567890123456789012345678\"", Some(ErrorKind::TooLarge)),
    ] {
        assert_eq!(kind(input, Form::Json), refused, "{input}");
    }
    assert_eq!(kind("1\n2\n", Form::Ndjson), None);
    assert_eq!(kind("1\n2\n3\n", Form::Ndjson), Some(ErrorKind::TooManyRecords));
}

#[test]
fn the_deepest_permitted_document_does_not_exhaust_the_stack() {
    let limits = Limits { depth: usize::MAX, ..Limits::default() };
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(run_with(nested(512).as_bytes(), Form::Json, &[("/**", 0)], &limits).is_ok());
    let error = run_with(nested(513).as_bytes(), Form::Json, &[("/**", 0)], &limits).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooDeep);
    assert!(run_with("[".repeat(100_000).as_bytes(), Form::Json, &[], &limits).is_err());
}

#[test]
fn large_objects_are_searched_for_duplicates_too() {
    for size in [31, 32, 33, 34, 500] {
        for twin in [0, 1, size / 2, size - 1] {
            let member = |n: usize| format!("\"member-number-{n}\":{n}");
            let mut members: Vec<String> = (0..size).map(member).collect();
            let distinct = format!("{{\"o\":{{{}}}}}", members.join(","));
            check(&[("/**", 0)], &distinct, &distinct);
            members.push(format!("\"member-\\u006eumber-{twin}\":0"));
            let doubled = format!("{{\"o\":{{{}}}}}", members.join(","));
            assert_eq!(refusal(&[("/k", 0)], doubled.as_bytes()), ErrorKind::DuplicateName, "{size} {twin}");
        }
    }
}

#[test]
fn a_twin_is_found_after_records_of_the_same_shape() {
    let ordinary = r#"{"a":1,"b":2,"a_long_name_1":3}"#;
    for odd in [
        r#"{"a":1,"b":2,"a":3}"#,
        r#"{"a":1,"b":2,"a_long_name_1":3,"a":1}"#,
        r#"{"b":1,"a":2,"b":3}"#,
        r#"{"b":1,"\u0062":2}"#,
        r#"{"a_long_name_1":1,"a_long_name_1":2}"#,
        r#"{"x":1,"a":2,"x":3}"#,
    ] {
        let records = [ordinary, ordinary, ordinary, odd].join(",");
        for pointers in [[("/**", 0)], [("/*/a", 0)]] {
            assert_eq!(
                refusal(&pointers, format!("[{records}]").as_bytes()),
                ErrorKind::DuplicateName,
                "{odd}"
            );
        }
    }
}

#[test]
fn pointers_that_are_none_are_refused() {
    let compile = |pointers: &[(&str, u16)]| {
        Bindings::compile(pointers.iter().map(|(pointer, field)| (*pointer, FieldIndex(*field)))).err()
    };
    assert_eq!(compile(&[("a", 0)]), Some(BindingError::NoSlash("a".into())));
    assert_eq!(compile(&[("/a~", 0)]), Some(BindingError::Escape("/a~".into())));
    assert_eq!(compile(&[("/a~2", 0)]), Some(BindingError::Escape("/a~2".into())));
    assert_eq!(compile(&[("/**/a", 0)]), Some(BindingError::AfterRest("/**/a".into())));
    assert_eq!(compile(&[("/a", 0), ("/a", 1)]), Some(BindingError::Twice("/a".into())));
    assert_eq!(compile(&[("/a/**", 0), ("/a/**", 0)]), Some(BindingError::Twice("/a/**".into())));
    let bomb: Vec<String> =
        (0..24).map(|n| format!("{}/{n}{}", "/*".repeat(n), "/*".repeat(24 - n))).collect();
    let bomb: Vec<(&str, u16)> = bomb.iter().map(|pointer| (pointer.as_str(), 0)).collect();
    assert_eq!(compile(&bomb), Some(BindingError::TooMany));
    assert_eq!(compile(&[("/a", 0), ("/*", 1), ("/**", 2), ("/a/*", 0), ("/a/b", 0)]), None);
}

#[test]
fn debug_shows_no_content() {
    let scalar = Scalar::String { raw: b"ann@example.org", escaped: false };
    assert_eq!(format!("{scalar:?} {:?}", Scalar::Number(b"12345")), "String(15 bytes) Number(5 bytes)");
}

const NAMES: &[&str] =
    &["a", "b", "c", "0", "1", "", "é", "a/b", "t~", "a_long_name_1", "a_long_name_2", "e\"\\\n"];

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(NAMES).prop_map(str::to_owned)
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        any::<String>().prop_map(Value::from),
        "[a-z\"\\\\]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..7)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Pointers as lists of tokens: `None` is a star; a trailing flag asks for `**`.
type Pointer = (Vec<Option<String>>, bool);

fn pointers() -> impl Strategy<Value = Vec<(Pointer, u16)>> {
    let token = prop_oneof![3 => name().prop_map(Some), 1 => Just(None)];
    let pointer = (prop::collection::vec(token, 0..4), prop::bool::weighted(0.3));
    prop::collection::btree_map(pointer, 0..3_u16, 0..6).prop_map(|map| map.into_iter().collect())
}

fn spell(pointer: &Pointer) -> String {
    let token = |token: &Option<String>| match token {
        None => "/*".to_owned(),
        Some(name) => format!("/{}", name.replace('~', "~0").replace('/', "~1")),
    };
    let rest = if pointer.1 { "/**" } else { "" };
    pointer.0.iter().map(token).collect::<String>() + rest
}

/// How well `pointer` fits the start of `path`: one rank a level, smaller is stronger.
fn rank(pointer: &Pointer, path: &[String]) -> Option<Vec<u8>> {
    let mut ranks = Vec::new();
    for (level, name) in path.iter().enumerate() {
        match pointer.0.get(level) {
            Some(Some(token)) if token == name => ranks.push(0),
            Some(None) => ranks.push(1),
            None if pointer.1 => {
                ranks.push(2);
                return Some(ranks);
            }
            _ => return None,
        }
    }
    Some(ranks)
}

fn bound_field(pointers: &[(Pointer, u16)], path: &[String]) -> Option<u16> {
    let ends = |pointer: &Pointer| {
        pointer.0.len() == path.len() && !pointer.1 || pointer.0.len() < path.len() && pointer.1
    };
    let fits = pointers.iter().filter(|(pointer, _)| ends(pointer));
    fits.filter_map(|(pointer, field)| rank(pointer, path).map(|rank| (rank, *field)))
        .min()
        .map(|(_, field)| field)
}

fn leads_on(pointers: &[(Pointer, u16)], path: &[String]) -> bool {
    pointers
        .iter()
        .any(|(pointer, _)| rank(pointer, path).is_some() && (pointer.1 || pointer.0.len() > path.len()))
}

/// True if some pointer writes the last name of `path` in a place that this path reaches.
fn written(pointers: &[(Pointer, u16)], path: &[String]) -> bool {
    let last = path.len() - 1;
    pointers.iter().any(|(pointer, _)| {
        rank(pointer, &path[..last]).is_some()
            && matches!(pointer.0.get(last), Some(Some(name)) if *name == path[last])
    })
}

enum Reference {
    Stays(Value),
    Goes,
    Refused,
}

/// The slow and plain way to the same result.
fn reference(pointers: &[(Pointer, u16)], path: &mut Vec<String>, value: &Value) -> Reference {
    let field = bound_field(pointers, path);
    let open = leads_on(pointers, path);
    match value {
        Value::Object(_) | Value::Array(_) if field.is_some() && !open => Reference::Refused,
        Value::Object(_) | Value::Array(_) if field.is_none() && !open && !path.is_empty() => Reference::Goes,
        Value::Object(members) => {
            let mut kept = Map::new();
            for (name, member) in members {
                path.push(name.clone());
                let reached = bound_field(pointers, path).is_some()
                    || leads_on(pointers, path)
                    || written(pointers, path);
                let hidden = reached && !written(pointers, path) && name == "c";
                let fate = if hidden { Reference::Goes } else { reference(pointers, path, member) };
                path.pop();
                match fate {
                    Reference::Stays(value) => drop(kept.insert(name.clone(), value)),
                    Reference::Goes => {}
                    Reference::Refused => return Reference::Refused,
                }
            }
            Reference::Stays(Value::Object(kept))
        }
        Value::Array(elements) => {
            let mut kept = Vec::new();
            for (index, element) in elements.iter().enumerate() {
                path.push(index.to_string());
                let fate = reference(pointers, path, element);
                path.pop();
                match fate {
                    Reference::Stays(value) => kept.push(value),
                    Reference::Goes => kept.push(Value::Null),
                    Reference::Refused => return Reference::Refused,
                }
            }
            Reference::Stays(Value::Array(kept))
        }
        scalar => match field {
            Some(0) => Reference::Stays(scalar.clone()),
            Some(2) => Reference::Stays(json!("***")),
            Some(_) if path.is_empty() => Reference::Stays(Value::Null),
            None if path.is_empty() => Reference::Refused,
            _ => Reference::Goes,
        },
    }
}

/// The same document, spelled in another way.
fn respell(value: &Value, way: u8) -> String {
    match way {
        0 => value.to_string(),
        1 => serde_json::to_string_pretty(value).unwrap(),
        _ => escape_letters(&value.to_string()),
    }
}

/// Spells every letter inside strings as an escape.
fn escape_letters(text: &str) -> String {
    let (mut out, mut inside, mut after_backslash) = (String::new(), false, false);
    for c in text.chars() {
        if inside && !after_backslash && (c.is_alphabetic()) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
        } else {
            inside ^= c == '"' && !after_backslash;
            out.push(c);
        }
        after_backslash = c == '\\' && !after_backslash;
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_everything_kept_the_document_is_the_same(value in document(), way in 0..3_u8) {
        let text = respell(&value, way);
        let (written, outcome) =
            run_with(text.as_bytes(), Form::Json, &[("", 0), ("/a/**", 0), ("/*/**", 0), ("/**", 0)], &Limits::default()).unwrap();
        if outcome.dropped == 0 {
            prop_assert_eq!(written, text);
        }
    }

    #[test]
    fn a_rewrite_equals_the_reference(value in document(), pointers in pointers(), way in 0..3_u8) {
        let text = respell(&value, way);
        let spelled: Vec<(String, u16)> = pointers.iter().map(|(pointer, field)| (spell(pointer), *field)).collect();
        let spelled: Vec<(&str, u16)> = spelled.iter().map(|(pointer, field)| (pointer.as_str(), *field)).collect();
        let result = run_with(text.as_bytes(), Form::Json, &spelled, &Limits::default());
        match (reference(&pointers, &mut Vec::new(), &value), result) {
            (Reference::Stays(expected), Ok((written, _))) =>
                prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), expected),
            (Reference::Refused, Err(error)) =>
                prop_assert!(matches!(error.kind, ErrorKind::ContainerAtField | ErrorKind::RootUnbound)),
            (_, result) => prop_assert!(false, "{:?} for {} under {:?}", result, text, spelled),
        }
    }

    #[test]
    fn records_of_like_shapes_are_rewritten_each_on_its_own(
        records in prop::collection::vec(prop::collection::vec((0..NAMES.len(), any::<bool>()), 0..5), 0..8),
        fields in prop::collection::vec(0..4_u16, NAMES.len()),
    ) {
        let member = |(name, escaped): &(usize, bool)| {
            let name = json!(NAMES[*name]).to_string();
            format!("{}:1", if *escaped { escape_letters(&name) } else { name })
        };
        let object = |record: &Vec<(usize, bool)>| format!("{{{}}}", record.iter().map(member).collect::<Vec<_>>().join(","));
        let bound: Vec<(Pointer, u16)> = NAMES.iter().zip(&fields).filter(|(_, field)| **field < 3)
            .map(|(name, field)| ((vec![Some((*name).to_owned())], false), *field)).collect();
        let spelled: Vec<(String, u16)> = bound.iter().map(|(pointer, field)| (spell(pointer), *field)).collect();
        let spelled: Vec<(&str, u16)> = spelled.iter().map(|(pointer, field)| (pointer.as_str(), *field)).collect();
        let lines: String = records.iter().map(|record| object(record) + "\n").collect();
        let together = run_with(lines.as_bytes(), Form::Ndjson, &spelled, &Limits::default());
        let apart: Result<String, ErrorKind> = records.iter().map(|record| {
            let line = object(record) + "\n";
            run_with(line.as_bytes(), Form::Json, &spelled, &Limits::default()).map(|(written, _)| written).map_err(|e| e.kind)
        }).collect();
        if !records.is_empty() {
            prop_assert_eq!(together.map(|(written, _)| written).map_err(|e| e.kind), apart);
        }
    }

    #[test]
    fn text_like_json_is_accepted_exactly_when_serde_json_accepts_it(
        text in "[\\[\\]{}\",:0-2eE+.\\\\utrlns \u{1}é-]{0,24}", wrap in 0..3_u8,
    ) {
        let text = match wrap { 0 => text, 1 => format!("[{text}]"), _ => format!("{{\"a\":\"{text}\"}}") };
        agrees_with_serde(text.as_bytes())?;
    }

    #[test]
    fn a_changed_byte_is_judged_as_serde_json_judges_it(value in document(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut text = value.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        agrees_with_serde(&text)?;
        text.truncate(at);
        agrees_with_serde(&text)?;
    }

    #[test]
    fn a_string_is_taken_exactly_when_it_is_utf8(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                &b"a"[..], b"abcdefghijklmnopq", b"\xC3\xA9", b"\xE2\x82\xAC", b"\xF0\x9F\x98\x80", b"\xC3", b"\xA9",
                b"\xED\xA0\x80", b"\xC0\x80", b"\xF4\x90\x80\x80", b"\\n", b"\xE2\x82",
            ]),
            0..8,
        ),
        name: bool,
        bound: bool,
    ) {
        let content = pieces.concat();
        let (front, back) = if name { (&b"{\""[..], &b"\":1}"[..]) } else { (&b"{\"a\":\""[..], &b"\"}"[..]) };
        let text = [front, &content, back].concat();
        let pointer = if bound { "/**" } else { "/other" };
        let taken = run_with(&text, Form::Json, &[(pointer, 0)], &Limits::default());
        match std::str::from_utf8(&text) {
            Ok(_) => prop_assert!(taken.is_ok()),
            Err(error) => prop_assert_eq!(
                taken.map(|_| ()), Err(JsonError { kind: ErrorKind::NotUtf8, at: error.valid_up_to() })
            ),
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for form in [Form::Json, Form::Ndjson] {
            let _ = run_with(&bytes, form, &[("/**", 0)], &Limits::default());
        }
        let _ = unescape(&bytes, &mut Vec::new());
    }

    #[test]
    fn a_written_string_reads_back(text: String) {
        let mut spelled = Vec::new();
        write_string(text.as_bytes(), &mut spelled);
        prop_assert_eq!(serde_json::from_slice::<String>(&spelled).unwrap(), text.clone());
        let mut read = Vec::new();
        unescape(&spelled[1..spelled.len() - 1], &mut read).unwrap();
        prop_assert_eq!(read, text.into_bytes());
    }

    #[test]
    fn written_bytes_are_valid_json(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
        let mut spelled = Vec::new();
        write_string(&bytes, &mut spelled);
        prop_assert!(serde_json::from_slice::<String>(&spelled).is_ok());
    }
}

/// `serde_json` is laxer about repeated names and a byte order mark, stricter about number
/// ranges (`1e999`); in everything else the two must agree.
fn agrees_with_serde(text: &[u8]) -> Result<(), TestCaseError> {
    let ours = run_with(text, Form::Json, &[("", 0), ("/**", 0)], &Limits::default());
    let theirs = serde_json::from_slice::<Value>(text);
    match (&ours, &theirs) {
        (Err(error), Ok(_)) => prop_assert_eq!(error.kind, ErrorKind::DuplicateName),
        (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{}", error),
        _ => {}
    }
    Ok(())
}
