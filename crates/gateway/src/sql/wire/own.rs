//! Messages of our own making, and what is left of the server's errors and notices.

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::{Body, Frames, put};

/// The server's settings that a client is told of.
pub const PARAMETERS: &[&str] = &[
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
];

/// How bad an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement ends.
    Error,
    /// The session ends.
    Fatal,
}

/// What the one who asked may read of the server's errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wording {
    /// The message, but nothing that only a developer needs: details and context quote rows.
    Inside,
    /// Our words for the class of its code: a message may quote a value that this one must not see.
    Outside,
}

/// An error in words of ours.
#[must_use]
pub fn error(severity: Severity, code: &str, text: &str) -> Bytes {
    let word = match severity {
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
    };
    fields(b'E', &[(b'S', word), (b'V', word), (b'C', code), (b'M', text)])
}

/// A row of one text.
#[must_use]
pub fn row(text: &str) -> Bytes {
    let mut out = BytesMut::new();
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    put(&mut out, b'D', &[&1_u16.to_be_bytes(), &length.to_be_bytes(), text.as_bytes()]);
    put(&mut out, b'C', &[b"SHOW\0"]);
    out.freeze()
}

/// A setting's value.
pub(super) fn parameter(out: &mut BytesMut, name: &str, value: &str) {
    put(out, b'S', &[name.as_bytes(), b"\0", value.as_bytes(), b"\0"]);
}

/// `E` or `N` with these fields.
fn fields(tag: u8, fields: &[(u8, &str)]) -> Bytes {
    let mut body = BytesMut::new();
    for (field, value) in fields {
        body.put_u8(*field);
        body.put_slice(value.as_bytes());
        body.put_u8(0);
    }
    body.put_u8(0);
    let mut out = BytesMut::with_capacity(body.len() + 5);
    put(&mut out, tag, &[&body]);
    out.freeze()
}

/// What is left of an error or notice of the server's, as a frame, and its code.
#[derive(Debug)]
pub struct Reduced {
    /// The frame. There is none where nothing is left to say.
    pub frame: Option<Bytes>,
    /// Its SQLSTATE.
    pub code: [u8; 5],
    /// Whether the server ends the session with it.
    pub fatal: bool,
}

/// Reduces the body of an `E` or `N` of the server.
#[must_use]
pub fn reduced(tag: u8, body: &[u8], wording: Wording) -> Reduced {
    let (mut severity, mut code, mut message, mut position) = ("ERROR", *b"XX000", "", None);
    let mut body = Body(body);
    while let Ok(field @ 1..) = body.byte() {
        let Ok(value) = body.text() else { break };
        match field {
            b'V' => severity = value,
            b'C' => code = value.as_bytes().try_into().unwrap_or(code),
            b'M' => message = value,
            b'P' => position = Some(value),
            _ => {}
        }
    }
    if !code.iter().all(u8::is_ascii_alphanumeric) {
        code = *b"XX000";
    }
    let severities = ["ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "INFO", "LOG", "DEBUG"];
    let severity = severities.into_iter().find(|s| *s == severity).unwrap_or("ERROR");
    let fatal = tag == b'E' && matches!(severity, "FATAL" | "PANIC");
    let number = std::str::from_utf8(&code).unwrap_or("XX000");
    let frame = match wording {
        // A notice is a message and nothing else.
        Wording::Outside if tag == b'N' => None,
        Wording::Outside => {
            Some(fields(tag, &[(b'S', severity), (b'V', severity), (b'C', number), (b'M', class(&code))]))
        }
        Wording::Inside => {
            let mut kept = vec![(b'S', severity), (b'V', severity), (b'C', number), (b'M', message)];
            kept.extend(position.map(|p| (b'P', p)));
            Some(fields(tag, &kept))
        }
    };
    Reduced { frame, code, fatal }
}

/// Our words for the class of a SQLSTATE.
fn class(code: &[u8; 5]) -> &'static str {
    match code {
        b"42501" => "this is not for you to see or do",
        b"57014" => "the statement was cancelled, or took too long",
        [b'0', b'8', ..] => "the connection to the database broke",
        [b'0', b'A', ..] => "the database does not do this",
        [b'2', b'1', ..] => "a subquery gave more than one row",
        [b'2', b'2', ..] => "a value does not fit what the statement does with it",
        [b'2', b'3', ..] => "a constraint was not met",
        [b'2', b'5', ..] => "the transaction is in a state in which this is not possible",
        [b'2', b'6', ..] => "there is no prepared statement of this name",
        [b'3', b'4', ..] => "there is no cursor of this name",
        [b'4', b'0', ..] => "the transaction was rolled back: try again",
        [b'4', b'2', ..] => "the statement is not correct, or names what is not there",
        [b'5', b'3', ..] => "the database has too little room left",
        [b'5', b'4', ..] => "the statement is too large or too deep",
        [b'5', b'5', ..] => "what the statement needs is not in the right state",
        [b'5', b'7', ..] => "the database is shutting down, or ended the statement",
        _ => "the database refused the statement",
    }
}

/// A result's columns, as a `T` tells them.
#[derive(Debug, Clone)]
pub struct Description(pub(super) Bytes);

/// One column of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The table whose column it is alone, or 0.
    pub table: u32,
    /// That column's number, or 0.
    pub number: u16,
    /// Its type.
    pub kind: u32,
    /// Whether its values are binary.
    pub binary: bool,
}

impl Description {
    /// The columns, in order; fewer where the frame is not whole.
    pub fn columns(&self) -> impl Iterator<Item = Column<'_>> {
        let (_, body) = Frames::of(&self.0).next().unwrap_or((b'T', &[]));
        let mut body = Body(body);
        let count = body.short().unwrap_or(0);
        (0..count).map_while(move |_| column(&mut body).ok())
    }

    /// The frame.
    #[must_use]
    pub fn frame(&self) -> &Bytes {
        &self.0
    }
}

fn column<'a>(body: &mut Body<'a>) -> Result<Column<'a>, super::frame::FrameError> {
    let (name, table, number, kind) = (body.string()?, body.long()?, body.short()?, body.long()?);
    body.take(6)?;
    Ok(Column { name, table, number, kind, binary: body.short()? == 1 })
}

/// The values of a row's body (`D`), each `None` where it is NULL; fewer where it is not whole.
pub fn values(body: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut body = Body(body);
    let count = body.short().unwrap_or(0);
    (0..count).map_while(move |_| {
        let length = body.long().ok()?;
        if length == u32::MAX { Some(None) } else { body.take(usize::try_from(length).ok()?).ok().map(Some) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Vec<u8> {
        let mut body = Vec::new();
        for field in [
            "SFEHLER",
            "VERROR",
            "C22P02",
            "Minvalid input: \"a@b.example\"",
            "Ddetail",
            "Hhint",
            "P8",
            "p9",
            "qselect",
            "Wcontext",
            "sraw",
            "tcustomers",
            "cemail",
            "dtext",
            "nunique",
            "Fint.c",
            "L1",
            "Rpg_strtoint",
        ] {
            body.extend_from_slice(field.as_bytes());
            body.push(0);
        }
        body.push(0);
        body
    }

    #[test]
    fn inside_an_error_has_its_message_and_nothing_that_quotes_rows() {
        let told = reduced(b'E', &server(), Wording::Inside);
        let frame = told.frame.unwrap();
        let text = String::from_utf8_lossy(&frame[5..]).into_owned();
        assert_eq!(text, "SERROR\0VERROR\0C22P02\0Minvalid input: \"a@b.example\"\0P8\0\0");
        assert_eq!((told.code, told.fatal), (*b"22P02", false));
    }

    #[test]
    fn outside_an_error_has_its_code_and_our_words_and_a_notice_is_nothing() {
        let frame = reduced(b'E', &server(), Wording::Outside).frame.unwrap();
        let text = String::from_utf8_lossy(&frame[5..]).into_owned();
        assert_eq!(text, "SERROR\0VERROR\0C22P02\0Ma value does not fit what the statement does with it\0\0");
        assert!(reduced(b'N', &server(), Wording::Outside).frame.is_none());
    }

    #[test]
    fn an_error_that_is_none_is_still_one() {
        for body in [&b""[..], b"V", b"VERROR\0C\0\0", b"C2\xff\0", b"C!!!!!\0\0"] {
            let told = reduced(b'E', body, Wording::Inside);
            assert_eq!(told.code, *b"XX000");
            assert!(told.frame.is_some());
        }
    }

    #[test]
    fn columns_and_values_are_read_as_far_as_they_go() {
        let mut body = vec![0, 1];
        body.extend_from_slice(b"email\0\0\0\x40\x01\0\x02\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\x01");
        let mut frame = BytesMut::new();
        put(&mut frame, b'T', &[&body]);
        let description = Description(frame.freeze());
        let columns: Vec<_> = description.columns().collect();
        assert_eq!(columns, [Column { name: b"email", table: 0x4001, number: 2, kind: 25, binary: true }]);
        let row = b"\0\x03\0\0\0\x01a\xff\xff\xff\xff\0\0\0\x09b";
        assert_eq!(values(row).collect::<Vec<_>>(), [Some(&b"a"[..]), None]);
    }
}
