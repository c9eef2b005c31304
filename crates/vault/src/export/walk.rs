//! From the top of the file along the layout: down where a collection stands below, item by item where one
//! stands, and to `pieces` with all else.

use std::io::Read;

use struson::reader::ValueType;

use super::{
    ImportError, Layout, Limits, Record, Shape, SinkError, Summary, VALUE, WITH,
    copy::{self, Copy, Identity, Show},
    cursor::Cursor,
    layout::Node,
    names::Names,
};

/// One reading of one file.
pub(super) struct Walk<'a, R: Read> {
    pub(super) cursor: Cursor<R>,
    layout: &'a Layout,
    pub(super) limits: &'a Limits,
    sink: &'a mut dyn FnMut(Record) -> Result<(), SinkError>,
    summary: Summary,
    pub(super) identity: Identity,
    /// The record that is being written.
    pub(super) out: Vec<u8>,
}

impl<'a, R: Read> Walk<'a, R> {
    pub(super) fn new(
        input: R,
        layout: &'a Layout,
        limits: &'a Limits,
        sink: &'a mut dyn FnMut(Record) -> Result<(), SinkError>,
    ) -> Result<Self, ImportError> {
        let cursor = Cursor::new(input, limits)?;
        let (summary, identity, out) = (Summary::default(), Identity::default(), Vec::new());
        Ok(Self { cursor, layout, limits, sink, summary, identity, out })
    }

    pub(super) fn run(mut self) -> Result<Summary, ImportError> {
        let found = match self.cursor.peek()? {
            ValueType::Object => None,
            ValueType::Array => Some("list"),
            ValueType::String => Some("text"),
            ValueType::Number => Some("number"),
            ValueType::Boolean | ValueType::Null => Some("word"),
        };
        if let Some(found) = found {
            return Err(ImportError::NotAnObject { found });
        }
        self.members(self.layout.root())?;
        let bytes = self.cursor.finish()?;
        Ok(Summary { bytes, identity: self.identity.into_inner(), ..self.summary })
    }

    /// Hands over one record.
    pub(super) fn emit(&mut self, record: Record) -> Result<(), ImportError> {
        match self.summary.records.get_mut(&record.collection) {
            Some(count) => *count += 1,
            None => drop(self.summary.records.insert(record.collection.clone(), 1)),
        }
        let byte = self.cursor.bytes();
        (self.sink)(record).map_err(|source| ImportError::Sink { byte, source })
    }

    /// The members of an object below which a collection stands.
    fn members(&mut self, node: &Node) -> Result<(), ImportError> {
        let mut names = Names::default();
        self.cursor.begin_object()?;
        while self.cursor.has_next()? {
            self.cursor.enter_member(&mut names, |name| node.child(name).is_some())?;
            let child = node.child(self.cursor.name());
            self.member(child)?;
            self.cursor.leave();
        }
        self.cursor.end_object()
    }

    fn member(&mut self, node: Option<&Node>) -> Result<(), ImportError> {
        let Some(node) = node else { return self.unknown(None) };
        if let Some((name, shape)) = &node.collection {
            return self.collection(node, name, *shape);
        }
        match (node.leads_on, self.cursor.peek()?) {
            (true, ValueType::Object) => self.members(node),
            (true, ValueType::Null) => self.cursor.null(),
            (true, _) => self.misshapen(Some(node)),
            (false, _) => self.unknown(Some(node)),
        }
    }

    fn collection(&mut self, node: &Node, name: &str, shape: Shape) -> Result<(), ImportError> {
        match (shape, self.cursor.peek()?) {
            (_, ValueType::Null) => self.cursor.null(),
            (Shape::Object, ValueType::Object) => self.item(name, None, Some(node)),
            (Shape::List, ValueType::Array) => self.list(name, None),
            (Shape::MapOfLists | Shape::MapOfObjects, ValueType::Object) => self.map(name, shape),
            _ => self.misshapen(Some(node)),
        }
    }

    fn misshapen(&mut self, node: Option<&Node>) -> Result<(), ImportError> {
        self.summary.misshapen += 1;
        self.unknown(node)
    }

    fn map(&mut self, name: &str, shape: Shape) -> Result<(), ImportError> {
        let mut names = Names::default();
        self.cursor.begin_object()?;
        while self.cursor.has_next()? {
            // The keys of a map are data: often the name of a person.
            self.cursor.enter_member(&mut names, |_| false)?;
            let key = self.cursor.name().to_owned();
            match (shape, self.cursor.peek()?) {
                (Shape::MapOfLists, ValueType::Array) => self.list(name, Some(&key))?,
                (Shape::MapOfObjects, ValueType::Object) => self.item(name, Some(&key), None)?,
                // Empty, but the key says something: it must not get lost.
                (_, ValueType::Null) => self.unknown(None)?,
                _ => self.misshapen(None)?,
            }
            self.cursor.leave();
        }
        self.cursor.end_object()
    }

    fn list(&mut self, name: &str, with: Option<&str>) -> Result<(), ImportError> {
        self.cursor.begin_array()?;
        let mut index = 0;
        while self.cursor.has_next()? {
            self.cursor.enter_element(index);
            self.item(name, with, None)?;
            self.cursor.leave();
            index += 1;
        }
        self.cursor.end_array()?;
        if index == 0 && with.is_some() {
            // As above: the key stays.
            self.unknown_text(b"[]")?;
        }
        Ok(())
    }

    /// The next value as one record of a collection.
    fn item(&mut self, name: &str, with: Option<&str>, node: Option<&Node>) -> Result<(), ImportError> {
        self.out.clear();
        self.out.push(b'{');
        let mut names = Names::default();
        if let Some(with) = with {
            // A member of that name in the file would be a duplicate, and is refused as one.
            names.insert(WITH);
            copy::quote(WITH, &mut self.out);
            self.out.push(b':');
            copy::quote(with, &mut self.out);
        }
        let is_object = self.cursor.peek()? == ValueType::Object;
        let mut copy =
            Copy { limits: self.limits, identity: &mut self.identity, out: &mut self.out, start: 0 };
        if is_object {
            copy.members(&mut self.cursor, node, Show::Fields, &mut names, with.is_none())?;
        } else {
            if with.is_some() {
                copy.out.push(b',');
            }
            copy::quote(VALUE, copy.out);
            copy.out.push(b':');
            copy.value(&mut self.cursor, None, Show::Declared)?;
            copy.out.push(b'}');
        }
        self.emit(Record { collection: name.to_owned(), json: self.out.clone() })
    }
}
