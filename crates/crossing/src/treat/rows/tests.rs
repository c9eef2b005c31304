use model::catalogue::Catalogue;

use super::*;

const CATALOGUE: &str = r#"
    [[dataset]]
    name = "video"
    [[dataset.collection]]
    name = "status"
    fields = [
      { key = "state", class = "allowable", kind = "word" },
      { key = "contact", class = "allowable", kind = "email" },
      { key = "note", class = "allowable", kind = "text" },
      { key = "birth", class = "restricted", kind = "date" },
    ]
"#;

const PLAIN: Option<Treatment> = Some(Treatment::Plain);

fn selection() -> Selection {
    let catalogue = Catalogue::parse(CATALOGUE).unwrap();
    let pointers: Vec<_> = (0..4).map(|n| (format!("/t/c{n}"), FieldIndex(n))).collect();
    Selection::new(&catalogue, &pointers, None).unwrap()
}

fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        let length = value.map_or(-1, |v| i32::try_from(v.len()).unwrap());
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(value.unwrap_or_default());
    }
    framed(b'D', &body)
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

fn look(
    outcomes: &[Option<Treatment>],
    prose: Prose,
    columns: &[Column],
    whose: Whose<'_>,
    messages: &[u8],
) -> Result<Looked, Reason> {
    let selection = selection();
    let rows = Rows { messages, columns, whose, statement: serde_json::Value::Null };
    Reader::new(&selection, outcomes, prose, Some(7), (10, 2)).read(&rows)
}

fn field(index: u16) -> Column {
    Column { field: Some(FieldIndex(index)), text: true }
}

const COMPUTED: Column = Column { field: None, text: true };
const OPAQUE: Column = Column { field: None, text: false };
const NOBODY: Whose<'static> = Whose::All(&[]);

#[test]
fn what_nothing_that_was_decided_would_show_is_masked_and_becomes_null_where_there_is_no_room() {
    let outcomes = [PLAIN, None];
    let columns = [field(0), field(1), COMPUTED, OPAQUE, COMPUTED];
    let found = b"call DE89370400440532013000 now";
    let messages = row(&[Some(b"hidden"), Some(b"ann@example.org"), Some(found), Some(&found[5..27]), None]);
    let looked = look(&outcomes, Prose::Inside, &columns, NOBODY, &messages).unwrap();
    let wanted = row(&[Some(b"hidden"), Some(b"ann@example.org"), Some(b"call *** now"), None, None]);
    assert_eq!((looked.out, looked.rows, looked.findings), (wanted, 1, 2));
    assert_eq!(looked.fired.get("iban"), Some(&2));
}

#[test]
fn an_address_leaves_in_the_column_that_is_declared_for_it_and_in_no_other() {
    let messages = row(&[Some(b"ann@example.org"), Some(b"ann@example.org"), Some(b"ann@example.org")]);
    let columns = [field(0), field(1), COMPUTED];
    let looked = look(&[PLAIN, None], Prose::Inside, &columns, NOBODY, &messages).unwrap();
    assert_eq!(looked.out, row(&[Some(b"***"), Some(b"ann@example.org"), Some(b"ann@example.org")]));
    // As a pseudonym the column has none, and nothing has.
    let treated = [Some(Treatment::Pseudonymised), None];
    let looked = look(&treated, Prose::Inside, &columns, NOBODY, &messages).unwrap();
    assert_eq!((looked.out, looked.findings), (row(&[Some(b"***"), Some(b"***"), Some(b"***")]), 3));
}

#[test]
fn what_columns_that_were_computed_make_together_is_masked_in_each() {
    let columns = [COMPUTED, COMPUTED, field(0), COMPUTED];
    let values = |mail: &'static [u8], domain: &'static [u8], more: &'static [u8]| {
        row(&[Some(mail), Some(domain), Some(b"open"), Some(more)])
    };
    let messages =
        [values(b"DE8937040", b"0440532013000", b"x"), values(b"4111 ", b"units", b"of it")].concat();
    let looked = look(&[PLAIN, None, None, None], Prose::Inside, &columns, NOBODY, &messages).unwrap();
    let wanted = [values(b"***", b"***", b"x"), values(b"4111 ", b"units", b"of it")].concat();
    assert_eq!((looked.out, looked.rows, looked.findings), (wanted, 2, 2));
    // A column between them, the end of a row and null part them; what has no room for a mask becomes null.
    let apart =
        [values(b"x", b"DE8937040", b"0440532013000"), row(&[None, Some(b"DE8937040"), None, None])].concat();
    let looked = look(&[PLAIN, None, None, None], Prose::Inside, &columns, NOBODY, &apart).unwrap();
    assert_eq!((looked.out, looked.findings), (apart, 0));
}

#[test]
fn where_restricted_fields_are_shown_any_value_may_be_of_one() {
    let messages = row(&[Some(b"1999-12-31"), Some(b"ann@example.org")]);
    let columns = [field(3), COMPUTED];
    let looked = look(&[PLAIN, PLAIN], Prose::Inside, &columns, NOBODY, &messages).unwrap();
    assert_eq!((looked.out, looked.findings), (messages, 0));
}

#[test]
fn prose_that_would_cross_the_border_is_withheld() {
    let messages = row(&[Some(b"a quiet text")]);
    let looked = look(&[PLAIN, None], Prose::Withheld, &[field(2)], NOBODY, &messages).unwrap();
    assert_eq!(looked.out, row(&[Some(b"***")]));
    let looked = look(&[PLAIN, None], Prose::Inside, &[field(2)], NOBODY, &messages).unwrap();
    assert_eq!(looked.out, messages);
}

#[test]
fn each_row_names_its_person_or_the_result_stays() {
    let [ann, ben] = [1, 2].map(|n| SubjectId::from_index(&[n; 16]));
    let whose = |value: &[u8]| match value {
        b"t1" => Some(ann.clone()),
        b"t2" => Some(ben.clone()),
        _ => None,
    };
    let columns = [COMPUTED, field(0)];
    let ask = |rows: &[Vec<u8>]| {
        look(&[PLAIN, None], Prose::Inside, &columns, Whose::Column(0, &whose), &rows.concat())
    };
    let of = |token: &'static [u8]| row(&[Some(token), Some(b"shown")]);
    let looked = ask(&[of(b"t2"), of(b"t1"), of(b"t2")]).unwrap();
    assert_eq!((looked.people, looked.rows), (vec![ben.clone(), ann.clone()], 3));
    assert_eq!(ask(&[of(b"t3")]).err(), Some(Reason::Subject));
    assert_eq!(ask(&[row(&[None, Some(b"shown")])]).err(), Some(Reason::Subject));
    let copied = framed(b'd', b"t1\tshown\n");
    assert_eq!(ask(&[copied]).err(), Some(Reason::Subject));
}

#[test]
fn more_rows_or_people_than_were_decided_for_are_refused() {
    let rows = |count: usize| row(&[Some(b"shown")]).repeat(count);
    let ask = |messages: &[u8]| look(&[PLAIN, None], Prose::Inside, &[field(0)], NOBODY, messages);
    assert!(ask(&rows(10)).is_ok());
    assert_eq!(ask(&rows(11)).err(), Some(Reason::Limit));
    assert_eq!(ask(&framed(b'd', b"a\n").repeat(11)).err(), Some(Reason::Limit));
    let everybody: Vec<_> = (0..3).map(|n| SubjectId::from_index(&[n; 16])).collect();
    let of = |people| look(&[PLAIN, None], Prose::Inside, &[field(0)], Whose::All(people), &rows(1));
    assert_eq!(of(&everybody[..2]).unwrap().people, everybody[..2]);
    assert_eq!(of(&everybody).err(), Some(Reason::Limit));
}

#[test]
fn copied_lines_and_errors_are_looked_at_too() {
    let ask =
        |messages: &[u8]| look(&[PLAIN, None], Prose::Inside, &[field(0)], NOBODY, messages).unwrap().out;
    let line = framed(b'd', b"1\tDE89370400440532013000\n");
    assert_eq!(ask(&line), framed(b'd', b"1\t***\n"));
    let error = framed(b'E', b"SERROR\0C22P02\0Minvalid input: \"DE89370400440532013000\"\0\0");
    assert_eq!(ask(&error), framed(b'E', b"SERROR\0C22P02\0Minvalid input: \"***\"\0\0"));
}

#[test]
fn beside_tokens_all_is_looked_at_and_only_a_whole_token_is_one() {
    let token = "t1.7.abcdefghijklmnopqrstuvw234";
    let mail = "ann@example.org";
    let copied = |line: &str| {
        let messages = framed(b'd', line.as_bytes());
        let looked = look(&[None, None], Prose::Inside, &[], NOBODY, &messages).unwrap();
        String::from_utf8(looked.out[5..].to_vec()).unwrap()
    };
    for (line, shown) in [
        ("{token}\t{mail}\t{token}\n", "{token}\t***\t{token}\n"),
        ("{mail}\t{token}\n", "***\t{token}\n"),
        ("{token}\t\t{token}\t{mail}", "{token}\t\t{token}\t***"),
        ("{token}\n", "{token}\n"),
        ("x\t{token}\tDE89370400440532013000\t{mail}\n", "x\t{token}\t***\t***\n"),
        ("a {token}@example.org\t{token}\n", "a ***\t{token}\n"),
    ] {
        let filled = |text: &str| text.replace("{token}", token).replace("{mail}", mail);
        assert_eq!(copied(&filled(line)), filled(shown), "{line}");
    }
    // One of another epoch is none: nobody has it from here, and a number could stand in it.
    let form = TokenForm::of(7);
    assert!(form.is(token.as_bytes()));
    for no in [
        "t1.7.abcdefghijklmnopqrstuvwxy1",
        "t1.7.abcdefghijklmnopqrstuvwxy",
        "t1.2125550123.abcdefghijklmnopqrstuvwxyz",
    ] {
        assert!(!form.is(no.as_bytes()), "{no}");
    }
}

#[test]
fn what_is_no_message_of_a_result_is_refused() {
    let good = row(&[Some(b"shown")]);
    let ask = |messages: &[u8]| look(&[PLAIN, None], Prose::Inside, &[field(0)], NOBODY, messages).err();
    assert_eq!(ask(&good), None);
    for end in 1..good.len() {
        assert_eq!(ask(&good[..end]), Some(Reason::Malformed), "{end}");
    }
    for bad in [
        framed(b'A', b"\0\0\0\0x\0y\0"),
        framed(b'R', &[0; 4]),
        framed(b'D', &[0, 2, 0, 0, 0, 0, 0, 0, 0, 0]),
        framed(b'D', &[0, 1, 0, 0, 0, 9, 1]),
        framed(b'D', &[0, 1, 0, 0, 0, 0, 7]),
        framed(b'E', b"Munterminated"),
        b"D\0\0\0\x03".to_vec(),
    ] {
        assert_eq!(ask(&bad), Some(Reason::Malformed), "{bad:?}");
    }
}
