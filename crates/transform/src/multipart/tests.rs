//! Tables of what is refused and rewritten, and what holds for every body.

use proptest::prelude::*;

use super::*;
use crate::json::{NameVerdict, Scalar, Verdict, write_string};

/// Keeps field 0, drops field 1, replaces field 2, stops at 3, replaces 4 by the boundary, 5 by a NUL.
#[derive(Default)]
struct ByNumber {
    seen: Vec<String>,
    records: Vec<i64>,
}

impl Visitor for ByNumber {
    fn scalar(&mut self, field: FieldIndex, value: Scalar<'_>, out: &mut Vec<u8>) -> Result<Verdict, Stop> {
        let mut scratch = Vec::new();
        self.seen.extend(value.text(&mut scratch).map(|text| String::from_utf8(text.to_vec()).unwrap()));
        match field.0 {
            0 => return Ok(Verdict::Keep),
            1 => return Ok(Verdict::Drop),
            2 => write_string(b"***", out),
            3 => return Err(Stop(33)),
            4 => write_string(b"x\r\n--b--", out),
            _ => write_string(b"\0", out),
        }
        Ok(Verdict::Replaced)
    }

    fn wild_name(&mut self, _: &[u8], _: bool) -> Result<NameVerdict, Stop> {
        Ok(NameVerdict::Keep)
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

fn text(field: u16) -> PartKind {
    PartKind::Text(FieldIndex(field))
}

fn bind(pointers: &[(&str, u16)]) -> Bindings {
    Bindings::compile(pointers.iter().map(|(pointer, field)| (*pointer, FieldIndex(*field)))).unwrap()
}

fn parts() -> Parts {
    let record = bind(&[("/id", 0), ("/email", 2)]);
    Parts::new()
        .with("t", text(0))
        .with("u", text(2))
        .with("say \"x\"", text(0))
        .with("j", PartKind::Json(record.clone()))
        .with("n", PartKind::Ndjson(record.clone()))
        .with("c", PartKind::Csv(record.clone()))
        .with("f", PartKind::Form(record))
}

fn run_with(input: &[u8], boundary: &str, parts: &Parts) -> Result<(String, Outcome, ByNumber), ErrorKind> {
    let limits = Limits { bytes: 4_096, depth: 4, members: 7, records: 4 };
    let (mut out, mut visitor) = (b"before".to_vec(), ByNumber::default());
    let done = rewrite(input, boundary, parts, &limits, &mut visitor, &mut out);
    let written = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
    assert!(done.is_ok() || written.is_empty());
    done.map(|outcome| (written, outcome, visitor)).map_err(|error| error.kind)
}

fn part(name: &str, media: &str, content: &str) -> String {
    let media = if media.is_empty() { String::new() } else { format!("\r\nContent-Type: {media}") };
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{media}\r\n\r\n{content}\r\n")
}

/// A body of one part with these heads.
fn heads(heads: &str) -> String {
    format!("--b\r\n{heads}\r\n\r\nx\r\n--b--\r\n")
}

const NAMED: &str = "Content-Disposition: form-data; name=\"t\"";

#[test]
fn malformed_bodies_are_refused_with_their_reason() {
    use ErrorKind as E;
    let with = |extra: &str| heads(&format!("{NAMED}{extra}"));
    for (input, expected) in [
        (String::new(), E::Preamble),
        ("--c--".to_owned(), E::Preamble),
        ("\r\n--b--\r\n".to_owned(), E::Preamble),
        (format!("hello\r\n{}--b--", part("t", "", "x")), E::Preamble),
        ("--b".to_owned(), E::UnexpectedEnd),
        ("--b\r\n".to_owned(), E::UnexpectedEnd),
        (part("t", "", "x"), E::UnexpectedEnd),
        (format!("{}--b", part("t", "", "x")), E::UnexpectedEnd),
        (format!("{}--b-", part("t", "", "x")), E::UnexpectedEnd),
        (format!("{}--bx--", part("t", "", "x")), E::AfterBoundary),
        (format!("{}--b --", part("t", "", "x")), E::AfterBoundary),
        (format!("{}--b--\r\nhello", part("t", "", "x")), E::Epilogue),
        (format!("{}--b--x", part("t", "", "x")), E::Epilogue),
        (format!("{}{}--b--", part("t", "", "x"), part("t", "", "y")), E::DuplicateName),
        (format!("{}--b--", part("other", "", "x")), E::Undeclared),
        (format!("{}--b--", part("T", "", "x")), E::Undeclared),
        (format!("{}--b--", part("t", "", "x\0y")), E::NotText),
        (format!("{}--b--", part("t", "image/png", "x")), E::Type),
        (format!("{}--b--", part("t", "text/plain; charset=utf-7", "x")), E::Type),
        (format!("{}--b--", part("t", "text/plain; charset=utf-8; x=y", "x")), E::Type),
        (format!("{}--b--", part("j", "", "{}")), E::Type),
        (format!("{}--b--", part("j", "text/plain", "{}")), E::Type),
        (format!("{}--b--", part("j", "application/json", "{")), E::Json(json::ErrorKind::UnexpectedEnd)),
        (format!("{}--b--", part("c", "text/csv", "id\n1,2\n")), E::Csv(csv::ErrorKind::Ragged)),
        (
            format!("{}--b--", part("f", "application/x-www-form-urlencoded", "id=1&id=2")),
            E::Form(form::ErrorKind::DuplicateName),
        ),
        (heads("X: y"), E::Head),
        (heads(&format!("{NAMED}\r\nContent-Transfer-Encoding: base64")), E::Head),
        (heads(&format!("{NAMED}\r\n{NAMED}")), E::Head),
        (heads(&format!("{NAMED}\r\n folded")), E::Head),
        (heads(&format!("{NAMED}\r\n\tfolded: x")), E::Head),
        (heads("nothing"), E::Head),
        (heads("Content-Disposition : form-data; name=\"t\""), E::Head),
        (heads("Content-Type: text/plain"), E::Name),
        (heads("Content-Disposition: attachment; name=\"t\""), E::Name),
        (heads("Content-Disposition: form-data"), E::Name),
        (heads("Content-Disposition: form-data; name=t"), E::Name),
        (heads("Content-Disposition: form-data; name=\"\""), E::Name),
        (heads("Content-Disposition: form-data; filename=\"t\""), E::Name),
        (with("; name=\"u\""), E::Name),
        (with("; filename*=\"utf-8''x\""), E::Name),
        (with("; filename=\"a\"; filename=\"b\""), E::Name),
        (with("; filename=\"a\\\"b\""), E::Name),
        (with("; size=\"3\""), E::Name),
        (with(" x"), E::Name),
        (with("\n"), E::Head),
        (heads("Content-Disposition: form-data; name=\"t%0d%0aX: y\""), E::Name),
        (heads(&format!("{NAMED}; filename=\"{}\"", "x".repeat(2_000))), E::Head),
    ] {
        assert_eq!(run_with(input.as_bytes(), "b", &parts()).map(|_| ()), Err(expected), "{input:?}");
    }
    let many: String = (0..8).map(|n| part(&format!("p{n}"), "", "x")).collect();
    let declared = (0..8).fold(Parts::new(), |parts, n| parts.with(&format!("p{n}"), text(0)));
    assert_eq!(run_with(format!("{many}--b--").as_bytes(), "b", &declared).map(|_| ()), Err(E::TooManyParts));
    assert_eq!(run_with(&[b'-'; 4_097], "b", &parts()).map(|_| ()), Err(E::TooLarge));
    for boundary in ["", "a b", "\u{e9}", "a\"", &"x".repeat(71)] {
        assert_eq!(run_with(b"", boundary, &parts()).map(|_| ()), Err(E::Boundary));
    }
}

#[test]
fn what_a_visitor_writes_cannot_end_its_part() {
    let body = format!("{}--b--", part("t", "", "x"));
    for (field, expected) in
        [(3, ErrorKind::Stopped(Stop(33))), (4, ErrorKind::BoundaryInside), (5, ErrorKind::Replacement)]
    {
        let parts = Parts::new().with("t", text(field));
        assert_eq!(run_with(body.as_bytes(), "b", &parts).map(|_| ()), Err(expected));
    }
}

#[test]
fn pieces_that_stood_apart_do_not_make_a_boundary() {
    // The first column goes; what is left begins a line with the boundary.
    let body = format!("{}--b--", part("c", "text/csv", "x,id\r\n1,--b--\r\n"));
    assert_eq!(run_with(body.as_bytes(), "b", &parts()).map(|_| ()), Err(ErrorKind::BoundaryInside));
}

#[test]
fn parts_go_stay_and_change_by_name() {
    let file = "--b\r\nContent-Disposition: form-data; name=\"j\"; filename=\"ann smith.json\"\r\n\
                Content-Type: application/json; charset=UTF-8\r\n\r\n{\"id\":1,\"x\":2,\"email\":\"a@b\"}\r\n";
    let body = [
        part("t", "", "line\r\n--not the boundary"),
        part("u", "text/plain;charset=utf-8", "ann@example.org"),
        file.to_owned(),
        part("n", "application/x-ndjson", "{\"id\":1}\n{\"email\":\"a@b\"}\n"),
        part("c", "text/csv", "email,id\r\na@b,7\r\n"),
        part("f", "application/x-www-form-urlencoded", "id=1&email=a%40b"),
        "--b--\r\n".to_owned(),
    ]
    .concat();
    let expected = [
        part("t", "", "line\r\n--not the boundary"),
        part("u", "text/plain;charset=utf-8", "***"),
        "--b\r\nContent-Disposition: form-data; name=\"j\"; filename=\"file\"\r\n\
         Content-Type: application/json\r\n\r\n{\"id\":1,\"email\":\"***\"}\r\n"
            .to_owned(),
        part("n", "application/x-ndjson", "{\"id\":1}\n{\"email\":\"***\"}\n"),
        part("c", "text/csv;charset=utf-8", "email,id\r\n***,7\r\n"),
        part("f", "application/x-www-form-urlencoded", "id=1&email=***"),
        "--b--\r\n".to_owned(),
    ]
    .concat();
    let (written, outcome, visitor) = run_with(body.as_bytes(), "b", &parts()).unwrap();
    assert_eq!(written, expected);
    assert_eq!((outcome.kept, outcome.replaced, outcome.dropped_unbound), (5, 5, 1));
    // Two texts, a JSON document, two lines, a row, a form: each once in and once out.
    assert_eq!((outcome.records, visitor.records.len()), (7, 14));
    assert_eq!(run_with(written.as_bytes(), "b", &parts()).unwrap().0, written);
}

#[test]
fn a_body_of_texts_is_one_record_and_a_dropped_text_goes_with_its_head() {
    let parts = Parts::new().with("t", text(1)).with("u", text(0)).with("say \"x\"", text(0));
    let body = format!("{}{}{}--b--", part("t", "", "gone"), part("u", "", ""), part("say %22x%22", "", "y"));
    let (written, outcome, visitor) = run_with(body.as_bytes(), "b", &parts).unwrap();
    assert_eq!(written, format!("{}{}--b--\r\n", part("u", "", ""), part("say %22x%22", "", "y")));
    assert_eq!(visitor.records, [0, -1]);
    assert_eq!(visitor.seen, ["gone", "", "y"]);
    assert_eq!((outcome.dropped, outcome.kept, outcome.records), (1, 2, 1));
    assert_eq!(run_with(b"--b--", "b", &parts).unwrap().0, "--b--\r\n");
}

proptest! {
    #[test]
    fn what_is_taken_comes_out_as_a_body_again(
        contents in prop::collection::vec("[a-b\r\n-]{0,12}|\r\n--b|\r\n--b--", 0..3),
        cut in any::<prop::sample::Index>(), byte in prop::sample::select(&b"\r\n-b\";="[..]), damage: bool,
    ) {
        let names = ["t", "u", "say %22x%22"];
        let mut body: Vec<u8> =
            names.iter().zip(&contents).flat_map(|(name, content)| part(name, "", content).into_bytes()).collect();
        body.extend_from_slice(b"--b--\r\n");
        if damage {
            let at = cut.index(body.len());
            body[at] = byte;
        }
        if let Ok((written, ..)) = run_with(&body, "b", &parts()) {
            let again = run_with(written.as_bytes(), "b", &parts());
            prop_assert_eq!(again.map(|(again, ..)| again), Ok(written));
        }
    }
}
