//! Tables of what is refused and rewritten, and what holds for every document.

use proptest::prelude::*;

use super::*;
use crate::json::{Scalar, Verdict, write_string};

/// Keeps field 0, drops field 1, replaces field 2 with a text that needs quotes, stops at 3,
/// writes no text for 4, and a number for 5.
struct ByNumber(Vec<String>);

impl Visitor for ByNumber {
    fn scalar(&mut self, field: FieldIndex, value: Scalar<'_>, out: &mut Vec<u8>) -> Result<Verdict, Stop> {
        let mut scratch = Vec::new();
        self.0.push(String::from_utf8(value.text(&mut scratch).unwrap().to_vec()).unwrap());
        match field.0 {
            0 => return Ok(Verdict::Keep),
            1 => return Ok(Verdict::Drop),
            2 => write_string(b"a \"b\", c", out),
            3 => return Err(Stop(33)),
            4 => out.extend_from_slice(b"{}"),
            5 => out.extend_from_slice(b"-7.5e3"),
            _ => write_string(b"nul \0", out),
        }
        Ok(Verdict::Replaced)
    }

    fn wild_name(&mut self, raw: &[u8], _: bool) -> Result<NameVerdict, Stop> {
        Ok(if raw.starts_with(b"x") { NameVerdict::Drop } else { NameVerdict::Keep })
    }
}

fn bind(pointers: &[(&str, u16)]) -> Bindings {
    Bindings::compile(pointers.iter().map(|(pointer, field)| (*pointer, FieldIndex(*field)))).unwrap()
}

fn run(input: &[u8], pointers: &[(&str, u16)]) -> Result<(String, Outcome, Vec<String>), ErrorKind> {
    let mut out = b"before".to_vec();
    let mut visitor = ByNumber(Vec::new());
    let limits = Limits { bytes: 4_096, depth: 1, members: 8, records: 4 };
    let done = rewrite(input, &bind(pointers), &limits, &mut visitor, &mut out);
    let written = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
    match done {
        Ok(outcome) => Ok((written, outcome, visitor.0)),
        Err(error) => {
            assert_eq!(written, "", "an error leaves nothing");
            Err(error.kind)
        }
    }
}

const ALL: &[(&str, u16)] = &[("/*", 0)];

#[test]
fn malformed_tables_are_refused_with_their_reason() {
    use ErrorKind as E;
    for (input, expected) in [
        (&b""[..], E::Empty),
        (b"\xEF\xBB\xBFa\n1\n", E::ByteOrderMark),
        (b"a,\xEF\xBB\xBFb\n1,2\n", E::ByteOrderMark),
        (b"a\n\xFF\n", E::NotUtf8),
        (b"a\n\xED\xA0\x80\n", E::NotUtf8),
        (b"a,b\n1\n", E::Ragged),
        (b"a,b\n1,2,3\n", E::Ragged),
        (b"a,b\n1,2\n\n", E::BlankLine),
        (b"a\n\n", E::BlankLine),
        (b"a\r\n\r\n", E::BlankLine),
        (b"\n1\n", E::Nameless),
        (b"a,\n1,2\n", E::Nameless),
        (b"a,\"\"\n1,2\n", E::Nameless),
        (b"a,a\n1,2\n", E::DuplicateName),
        (b"a,b,\"a\"\n1,2,3\n", E::DuplicateName),
        (b"a\nb\"c\n", E::Quote),
        (b"a\n \"c\"\n", E::Quote),
        (b"a\n\"b\"c\n", E::AfterQuote),
        (b"a\n\"b\" \n", E::AfterQuote),
        (b"a\n\"b\"\"\n", E::OpenQuote),
        (b"a\n\"", E::OpenQuote),
        (b"a\r\n1\n", E::LineEnd),
        (b"a\n1\r\n", E::LineEnd),
        (b"a\r1\r", E::CarriageReturn),
        (b"a\n1\r", E::CarriageReturn),
        (b"a\n\"b\rc\"\n", E::CarriageReturn),
        (b"a\n\"b\r\"\"\"\n", E::CarriageReturn),
        (b"a\n1\0\n", E::ControlCharacter),
        (b"a\n\"\x1B[2J\"\n", E::ControlCharacter),
        (b"a\x0B\n1\n", E::ControlCharacter),
        (b"a\n1\n2\n3\n4\n5\n", E::TooManyRecords),
        (b"a,b,c,d,e,f,g,h,i\n", E::TooManyColumns),
        (b"xa,xb\n1,2\n", E::Unbound),
    ] {
        assert_eq!(run(input, ALL).map(|_| ()), Err(expected), "{:?}", String::from_utf8_lossy(input));
    }
    assert_eq!(run(&[b'a'; 4_097], ALL).map(|_| ()), Err(E::TooLarge));
    assert_eq!(run(b"a\n1\n", &[("/b", 0)]).map(|_| ()), Err(E::Unbound));
    assert_eq!(run(b"a\n1\n", &[("/a/b", 0)]).map(|_| ()), Err(E::Unbound));
    assert_eq!(run(b"a\n1\n", &[("/a", 3)]).map(|_| ()), Err(E::Stopped(Stop(33))));
    assert_eq!(run(b"a\n1\n", &[("/a", 4)]).map(|_| ()), Err(E::Replacement));
    assert_eq!(run(b"a\n1\n", &[("/a", 6)]).map(|_| ()), Err(E::Replacement));
}

#[test]
fn what_stays_is_copied_as_it_is_spelled() {
    for input in [
        "a\n",
        "a",
        "a,b\n1,2\n",
        "a,b\r\n1,2",
        "\"a\",b\n\"1\", 2 \n,\n",
        "a,b\n\"x\n\"\"y\"\"\",\"\"\n",
        "a,b\r\n\"x\r\n,y\",\u{e9}\r\n",
        "a\n\"\"\n",
        "a\ttab\n=1+1\t\n",
    ] {
        assert_eq!(run(input.as_bytes(), ALL).unwrap().0, input);
    }
}

#[test]
fn columns_go_stay_and_change_by_name() {
    let input = "id,email,\"the note\",n\n7,ann@example.org,\"call, \"\"her\"\"\",1\n8,,x,2\n";
    for (pointers, expected) in [
        (&[("/id", 0), ("/n", 0)][..], "id,n\n7,1\n8,2\n"),
        (&[("/email", 0)], "email\nann@example.org\n\"\"\n"),
        (&[("/email", 1)], "email\n\"\"\n\"\"\n"),
        (&[("/email", 1), ("/n", 0)], "email,n\n,1\n,2\n"),
        (&[("/id", 2)], "id\n\"a \"\"b\"\", c\"\n\"a \"\"b\"\", c\"\n"),
        (&[("/the note", 0)], "\"the note\"\n\"call, \"\"her\"\"\"\nx\n"),
        (&[("/id", 5), ("/n", 5)], "id,n\n-7.5e3,-7.5e3\n-7.5e3,-7.5e3\n"),
        (
            &[("/**", 0), ("/n", 1)],
            "id,email,\"the note\",n\n7,ann@example.org,\"call, \"\"her\"\"\",\n8,,x,\n",
        ),
    ] {
        assert_eq!(run(input.as_bytes(), pointers).unwrap().0, expected, "{pointers:?}");
    }
}

#[test]
fn a_visitor_sees_what_a_field_says() {
    let (_, outcome, seen) = run(b"a,b\n\"x \"\"y\"\"\n\\z\",\t\n", &[("/a", 0), ("/b", 0)]).unwrap();
    assert_eq!(seen, ["x \"y\"\n\\z", "\t"]);
    assert_eq!((outcome.records, outcome.kept), (1, 2));
}

/// A document as a list of records of texts, and how to spell it.
fn table() -> impl Strategy<Value = (Vec<Vec<String>>, bool, bool, bool)> {
    let cell = "[a-c,\" \\t\u{e9}]{0,5}|[\n]{0,2}|\"*";
    (1..4_usize).prop_flat_map(move |width| {
        (
            prop::collection::vec(prop::collection::vec(cell, width), 0..4),
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
        )
    })
}

fn spell(rows: &[Vec<String>], crlf: bool, quote_all: bool, last: bool) -> String {
    let width = rows.first().map_or(1, Vec::len);
    let head: Vec<String> = ["h0", "h1", "h2"].iter().take(width).map(|h| (*h).to_owned()).collect();
    let end = if crlf { "\r\n" } else { "\n" };
    let row = |cells: &Vec<String>| {
        let cells: Vec<String> = cells
            .iter()
            .map(|cell| {
                let cell = if crlf { cell.replace('\n', "\r\n") } else { cell.clone() };
                let must = cell.contains(['"', ',', '\n']) || (cells.len() == 1 && cell.is_empty());
                if must || quote_all { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
            })
            .collect();
        cells.join(",")
    };
    let lines: Vec<String> = std::iter::once(&head).chain(rows).map(row).collect();
    lines.join(end) + if last { end } else { "" }
}

proptest! {
    #[test]
    fn with_everything_kept_a_table_is_the_same((rows, crlf, quoted, last) in table()) {
        let text = spell(&rows, crlf, quoted, last);
        let (written, outcome, seen) = run(text.as_bytes(), ALL).unwrap();
        prop_assert_eq!(written, text);
        prop_assert_eq!(outcome.records, rows.len() as u64);
        let said: Vec<String> =
            rows.into_iter().flatten().map(|c| if crlf { c.replace('\n', "\r\n") } else { c }).collect();
        prop_assert_eq!(seen, said);
    }

    #[test]
    fn what_comes_out_reads_back_as_the_columns_that_stayed(
        (rows, crlf, quoted, last) in table(), fields in prop::collection::vec(0..6_u16, 3),
    ) {
        let text = spell(&rows, crlf, quoted, last);
        let names = ["/h0", "/h1", "/h2"];
        let pointers: Vec<(&str, u16)> =
            names.iter().zip(&fields).filter(|(_, f)| !matches!(**f, 3 | 4)).map(|(n, f)| (*n, *f)).collect();
        let width = rows.first().map_or(1, Vec::len);
        let stays = |place: usize| pointers.iter().any(|(n, _)| *n == names[place]);
        match run(text.as_bytes(), &pointers) {
            Err(kind) => prop_assert!(kind == ErrorKind::Unbound && !(0..width).any(stays)),
            Ok((written, ..)) => {
                let (again, _, seen) = run(written.as_bytes(), ALL).unwrap();
                prop_assert_eq!(&again, &written);
                let mut expected = Vec::new();
                for row in &rows {
                    for (place, cell) in row.iter().enumerate().filter(|(place, _)| stays(*place)) {
                        expected.push(match fields[place] {
                            0 if crlf => cell.replace('\n', "\r\n"),
                            0 => cell.clone(),
                            1 => String::new(),
                            2 => "a \"b\", c".to_owned(),
                            _ => "-7.5e3".to_owned(),
                        });
                    }
                }
                prop_assert_eq!(seen, expected);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic_and_what_is_taken_is_taken_again(
        bytes in prop::collection::vec(prop::sample::select(&b"ab,\"\"\n\n\r\0\xC3\xA9 "[..]), 0..40), which in 0..3_usize,
    ) {
        let pointers = [ALL, &[("/a", 0), ("/*", 1)], &[("/b", 2), ("/a", 5)]][which];
        if let Ok((written, ..)) = run(&bytes, pointers) {
            prop_assert!(run(written.as_bytes(), ALL).is_ok(), "{:?}", written);
        }
    }
}
