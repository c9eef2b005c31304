//! One value of the file as compact JSON in memory.

use std::io::Read;

use struson::reader::ValueType;

use super::{
    ImportError, Limits,
    cursor::{Cursor, Overrun},
    layout::Node,
    names::Names,
};

/// Whose file it is, as far as it was read.
#[derive(Default)]
pub(super) struct Identity(Option<String>);

/// Which names of a value an error may show.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// Those of its own members that look like the names of fields, and none further below.
    Fields,
    /// Those that the layout declares.
    Declared,
}

/// What a copy writes to and watches for.
pub(super) struct Copy<'a> {
    pub(super) limits: &'a Limits,
    pub(super) identity: &'a mut Identity,
    pub(super) out: &'a mut Vec<u8>,
    /// Where the record begins in `out`.
    pub(super) start: usize,
}

impl Identity {
    pub(super) fn into_inner(self) -> Option<String> {
        self.0
    }

    /// Takes a text found at one of the identity's places; `false` if it is another one than before. The
    /// platform writes `""` and `"N/A"` for a missing text.
    fn found(&mut self, text: String) -> bool {
        if text.is_empty() || text == "N/A" {
            return true;
        }
        match &self.0 {
            Some(known) => *known == text,
            None => {
                self.0 = Some(text);
                true
            }
        }
    }
}

impl Copy<'_> {
    /// Appends the next value, whatever it is. `node` is its place in the layout, if it has one.
    pub(super) fn value<R: Read>(
        &mut self,
        cursor: &mut Cursor<R>,
        node: Option<&Node>,
        show: Show,
    ) -> Result<(), ImportError> {
        match cursor.peek()? {
            ValueType::Object => {
                self.out.push(b'{');
                self.members(cursor, node, show, &mut Names::default(), true)?;
            }
            ValueType::Array => self.elements(cursor)?,
            _ => self.scalar(cursor, node)?,
        }
        self.check(cursor)
    }

    /// Appends the members of the next value, an object, and the closing bracket.
    pub(super) fn members<R: Read>(
        &mut self,
        cursor: &mut Cursor<R>,
        node: Option<&Node>,
        show: Show,
        names: &mut Names,
        mut first: bool,
    ) -> Result<(), ImportError> {
        cursor.begin_object()?;
        while cursor.has_next()? {
            cursor.enter_member(names, |name| is_shown(name, node, show))?;
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            let child = node.and_then(|node| node.child(cursor.name()));
            quote(cursor.name(), self.out);
            self.out.push(b':');
            self.value(cursor, child, Show::Declared)?;
            cursor.leave();
        }
        cursor.end_object()?;
        self.out.push(b'}');
        Ok(())
    }

    fn elements<R: Read>(&mut self, cursor: &mut Cursor<R>) -> Result<(), ImportError> {
        cursor.begin_array()?;
        self.out.push(b'[');
        let mut index = 0;
        while cursor.has_next()? {
            if index > 0 {
                self.out.push(b',');
            }
            cursor.enter_element(index);
            self.value(cursor, None, Show::Declared)?;
            cursor.leave();
            index += 1;
        }
        cursor.end_array()?;
        self.out.push(b']');
        Ok(())
    }

    /// Appends the next value, neither object nor list, and looks whether it says whose file it is.
    pub(super) fn scalar<R: Read>(
        &mut self,
        cursor: &mut Cursor<R>,
        node: Option<&Node>,
    ) -> Result<(), ImportError> {
        match cursor.peek()? {
            ValueType::String if node.is_some_and(|node| node.is_identity) => self.identity(cursor)?,
            ValueType::String => self.text(cursor, |_| ())?,
            ValueType::Number => self.out.extend_from_slice(cursor.number()?.as_bytes()),
            ValueType::Boolean => {
                let word: &[u8] = if cursor.bool()? { b"true" } else { b"false" };
                self.out.extend_from_slice(word);
            }
            ValueType::Null | ValueType::Array | ValueType::Object => {
                cursor.null()?;
                self.out.extend_from_slice(b"null");
            }
        }
        Ok(())
    }

    fn identity<R: Read>(&mut self, cursor: &mut Cursor<R>) -> Result<(), ImportError> {
        let mut bytes = Vec::new();
        self.text(cursor, |chunk| bytes.extend_from_slice(chunk))?;
        // The JSON reader has checked the bytes: were they no text, there would be no identity to learn.
        let text = String::from_utf8(bytes).unwrap_or_default();
        if self.identity.found(text) {
            Ok(())
        } else {
            Err(ImportError::TwoIdentities { place: cursor.place() })
        }
    }

    fn text<R: Read>(
        &mut self,
        cursor: &mut Cursor<R>,
        mut watch: impl FnMut(&[u8]),
    ) -> Result<(), ImportError> {
        let end = self.start.saturating_add(self.limits.item_bytes);
        let out = &mut *self.out;
        out.push(b'"');
        cursor.text(|chunk| {
            watch(chunk);
            escape(chunk, out);
            if out.len() > end { Err(Overrun) } else { Ok(()) }
        })?;
        out.push(b'"');
        Ok(())
    }

    fn check<R: Read>(&self, cursor: &Cursor<R>) -> Result<(), ImportError> {
        let fits = self.out.len().saturating_sub(self.start) <= self.limits.item_bytes;
        if fits { Ok(()) } else { Err(cursor.item_too_large()) }
    }
}

/// Appends a JSON text.
pub(super) fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text.as_bytes(), out);
    out.push(b'"');
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    // Runs without a special sign are copied whole.
    for run in text.split_inclusive(|byte| special(*byte)) {
        match run.split_last() {
            Some((last, plain)) if special(*last) => {
                out.extend_from_slice(plain);
                escape_byte(*last, out);
            }
            _ => out.extend_from_slice(run),
        }
    }
}

fn special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
    }
}

/// Field names of the platform are short and plain; what a person chose as a name often is not.
fn is_shown(name: &str, node: Option<&Node>, show: Show) -> bool {
    let declared = node.is_some_and(|node| node.child(name).is_some());
    let plain = |byte: u8| byte.is_ascii_alphabetic() || byte == b' ' || byte == b'_';
    declared || (show == Show::Fields && name.len() <= 40 && name.bytes().all(plain))
}
