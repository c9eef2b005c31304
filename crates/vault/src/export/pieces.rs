//! What no collection declares, in pieces of bounded size.
//!
//! A value is gathered in a buffer as long as it is small. When it grows over the limit, what was gathered goes
//! out as a record of its own, with the pointer of the object or list that holds it, and gathering begins anew:
//! the members of an object in groups, the elements of a list one by one. The buffer so holds at most one piece
//! for each open object or list, whose number is limited, and one text.

use std::{io::Read, ops::Range};

use struson::reader::ValueType;

use super::{
    ImportError, POINTER, Record, UNKNOWN, VALUE,
    copy::{self, Copy},
    layout::Node,
    names::Names,
    walk::Walk,
};

/// Where the bytes of a value went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Went {
    /// They are at the end of the buffer.
    Buffer,
    /// They went out as records.
    Out,
}

/// An object whose members are being gathered.
struct Gathered {
    /// Where the object begins in the buffer.
    start: usize,
    /// Members in the buffer.
    members: usize,
    /// A part of the object went out.
    split: bool,
}

impl<R: Read> Walk<'_, R> {
    /// Hands over the next value as one or more unknown records.
    pub(super) fn unknown(&mut self, node: Option<&Node>) -> Result<(), ImportError> {
        self.out.clear();
        if self.gather(node)? == Went::Buffer {
            let pointer = self.cursor.pointer();
            self.emit_unknown(&pointer, 0..self.out.len())?;
        }
        self.out.clear();
        Ok(())
    }

    /// Hands over a value that was read already.
    pub(super) fn unknown_text(&mut self, json: &[u8]) -> Result<(), ImportError> {
        self.out.clear();
        self.out.extend_from_slice(json);
        let pointer = self.cursor.pointer();
        self.emit_unknown(&pointer, 0..json.len())
    }

    fn gather(&mut self, node: Option<&Node>) -> Result<Went, ImportError> {
        match self.cursor.peek()? {
            ValueType::Object => self.gather_object(node),
            ValueType::Array => self.gather_list(),
            _ => {
                let start = self.out.len();
                let (limits, identity, out) = (self.limits, &mut self.identity, &mut self.out);
                Copy { limits, identity, out, start }.scalar(&mut self.cursor, node)?;
                Ok(Went::Buffer)
            }
        }
    }

    fn gather_object(&mut self, node: Option<&Node>) -> Result<Went, ImportError> {
        let mut object = Gathered { start: self.out.len(), members: 0, split: false };
        let mut names = Names::default();
        self.out.push(b'{');
        self.cursor.begin_object()?;
        while self.cursor.has_next()? {
            let shown = |name: &str| node.is_some_and(|node| node.child(name).is_some());
            self.cursor.enter_member(&mut names, shown)?;
            self.gather_member(&mut object, node)?;
            self.cursor.leave();
        }
        self.cursor.end_object()?;
        self.out.push(b'}');
        if !object.split {
            return Ok(Went::Buffer);
        }
        if object.members > 0 {
            let pointer = self.cursor.pointer();
            self.emit_unknown(&pointer, object.start..self.out.len())?;
        }
        self.out.truncate(object.start);
        Ok(Went::Out)
    }

    fn gather_member(&mut self, object: &mut Gathered, node: Option<&Node>) -> Result<(), ImportError> {
        let before = self.out.len();
        if object.members > 0 {
            self.out.push(b',');
        }
        let member = self.out.len();
        copy::quote(self.cursor.name(), &mut self.out);
        self.out.push(b':');
        let value = self.out.len();
        let child = node.and_then(|node| node.child(self.cursor.name()));
        if self.gather(child)? == Went::Out {
            self.out.truncate(before);
            object.split = true;
            return Ok(());
        }
        object.members += 1;
        if self.out.len() - object.start <= self.limits.piece_bytes {
            return Ok(());
        }
        object.split = true;
        if self.out.len() - member > self.limits.piece_bytes {
            // Too large for any group: the value goes out alone, under its own pointer.
            let pointer = self.cursor.pointer();
            self.emit_unknown(&pointer, value..self.out.len())?;
            self.out.truncate(before);
            object.members -= 1;
            return Ok(());
        }
        let last = self.out.split_off(member);
        self.out.truncate(before);
        self.out.push(b'}');
        let pointer = self.cursor.pointer_of_parent();
        self.emit_unknown(&pointer, object.start..self.out.len())?;
        self.out.truncate(object.start);
        self.out.push(b'{');
        self.out.extend_from_slice(&last);
        object.members = 1;
        Ok(())
    }

    fn gather_list(&mut self) -> Result<Went, ImportError> {
        let start = self.out.len();
        let mut elements: Vec<Range<usize>> = Vec::new();
        let mut split = false;
        let mut index = 0;
        self.out.push(b'[');
        self.cursor.begin_array()?;
        while self.cursor.has_next()? {
            self.cursor.enter_element(index);
            if !elements.is_empty() {
                self.out.push(b',');
            }
            let begin = self.out.len();
            let went = self.gather(None)?;
            self.cursor.leave();
            if went == Went::Buffer {
                elements.push(begin..self.out.len());
            }
            if split || went == Went::Out || self.out.len() - start > self.limits.piece_bytes {
                // The gathered elements end with this one, or before it if it went out by itself.
                let next = if went == Went::Buffer { index + 1 } else { index };
                self.emit_elements(next - elements.len() as u64, &elements)?;
                elements.clear();
                self.out.truncate(start + 1);
                split = true;
            }
            index += 1;
        }
        self.cursor.end_array()?;
        if split {
            self.out.truncate(start);
            return Ok(Went::Out);
        }
        self.out.push(b']');
        Ok(Went::Buffer)
    }

    fn emit_elements(&mut self, first: u64, elements: &[Range<usize>]) -> Result<(), ImportError> {
        let pointer = self.cursor.pointer();
        for (index, element) in (first..).zip(elements) {
            self.emit_unknown(&format!("{pointer}/{index}"), element.clone())?;
        }
        Ok(())
    }

    /// Hands over a part of the buffer as one record.
    fn emit_unknown(&mut self, pointer: &str, value: Range<usize>) -> Result<(), ImportError> {
        let value = self.out.get(value).unwrap_or_default();
        let mut json = Vec::with_capacity(value.len() + pointer.len() + 32);
        json.push(b'{');
        copy::quote(POINTER, &mut json);
        json.push(b':');
        copy::quote(pointer, &mut json);
        json.push(b',');
        copy::quote(VALUE, &mut json);
        json.push(b':');
        json.extend_from_slice(value);
        json.push(b'}');
        self.emit(Record { collection: UNKNOWN.to_owned(), json })
    }
}
