//! The JSON reader with our limits, our errors, and a path that knows which of its names may be shown.

use std::io::{self, Read};

use struson::reader::{
    JsonReader, JsonReaderPosition, JsonStreamReader, JsonSyntaxError, ReaderError, ReaderSettings,
    SyntaxErrorKind, ValueType,
};

use super::{
    ImportError, Limits, Place,
    guard::{Fenced, Guard, Opening},
    names::Names,
};

/// Twice the JSON reader's own buffer, which may already hold the beginning of what a fence is set for.
const READ_AHEAD_BYTES: u64 = 2048;

/// No number that passes the JSON reader's check is longer.
const NUMBER_BYTES_MAX: u64 = 100;

/// The longest stretch of JSON that the end of a file can cut so that it looks like another mistake.
const CUT_BYTES_MAX: u64 = 16;

/// One step of the path.
enum Step {
    /// A name that an error may show.
    Shown(String),
    /// A name that may be about a person.
    Hidden(String),
    /// Place in a list, from 0.
    Index(u64),
}

/// A place in the file that only moves on.
pub(super) struct Cursor<R: Read> {
    json: JsonStreamReader<Guard<R>>,
    path: Vec<Step>,
    limits: Limits,
}

/// The receiver of a text has no room left.
pub(super) struct Overrun;

/// Why a text was not read to its end.
enum Ending {
    Reader(io::Error),
    TooLong,
    Overrun,
}

impl<R: Read> Cursor<R> {
    pub(super) fn new(input: R, limits: &Limits) -> Result<Self, ImportError> {
        let (guard, opening) = Guard::new(input).map_err(|source| ImportError::Read { byte: 0, source })?;
        match opening {
            Opening::ByteOrderMark => return Err(ImportError::ByteOrderMark),
            Opening::Utf16 => return Err(ImportError::Utf16),
            Opening::Plain => {}
        }
        let settings = ReaderSettings {
            allow_comments: false,
            allow_trailing_comma: false,
            // Only so that `finish` can look for more without giving the reader away.
            allow_multiple_top_level: true,
            track_path: false,
            max_nesting_depth: Some(limits.depth),
            restrict_number_values: true,
        };
        Ok(Self { json: JsonStreamReader::new_custom(guard, settings), path: Vec::new(), limits: *limits })
    }

    pub(super) fn peek(&mut self) -> Result<ValueType, ImportError> {
        self.json.peek().map_err(|error| self.explain(error))
    }

    pub(super) fn has_next(&mut self) -> Result<bool, ImportError> {
        self.json.has_next().map_err(|error| self.explain(error))
    }

    pub(super) fn begin_object(&mut self) -> Result<(), ImportError> {
        self.json.begin_object().map_err(|error| self.explain(error))
    }

    pub(super) fn end_object(&mut self) -> Result<(), ImportError> {
        self.json.end_object().map_err(|error| self.explain(error))
    }

    pub(super) fn begin_array(&mut self) -> Result<(), ImportError> {
        self.json.begin_array().map_err(|error| self.explain(error))
    }

    pub(super) fn end_array(&mut self) -> Result<(), ImportError> {
        self.json.end_array().map_err(|error| self.explain(error))
    }

    pub(super) fn null(&mut self) -> Result<(), ImportError> {
        self.json.next_null().map_err(|error| self.explain(error))
    }

    pub(super) fn bool(&mut self) -> Result<bool, ImportError> {
        self.json.next_bool().map_err(|error| self.explain(error))
    }

    /// Reads a name and makes it the path's last step, until [`Self::leave`].
    pub(super) fn enter_member(
        &mut self,
        names: &mut Names,
        may_show: impl FnOnce(&str) -> bool,
    ) -> Result<(), ImportError> {
        let limit = self.limits.name_bytes;
        // A sign takes at most six bytes, as an escape.
        let raw = (limit as u64).saturating_mul(6).saturating_add(READ_AHEAD_BYTES);
        self.guard().fence(raw, Fenced::Name);
        let name = self.json.next_name_owned().map_err(|error| self.explain(error))?;
        self.guard().open();
        if name.len() > limit {
            return Err(ImportError::NameTooLong { limit, place: self.place() });
        }
        let fresh = names.insert(&name);
        let shown = may_show(&name);
        self.path.push(if shown { Step::Shown(name) } else { Step::Hidden(name) });
        if !fresh {
            return Err(ImportError::DuplicateName { place: self.place() });
        }
        let limit = self.limits.names_bytes;
        if names.bytes() > limit {
            return Err(ImportError::TooManyNames { limit, place: self.place() });
        }
        Ok(())
    }

    pub(super) fn enter_element(&mut self, index: u64) {
        self.path.push(Step::Index(index));
    }

    pub(super) fn leave(&mut self) {
        self.path.pop();
    }

    /// The name of the innermost member, empty in a list.
    pub(super) fn name(&self) -> &str {
        match self.path.last() {
            Some(Step::Shown(name) | Step::Hidden(name)) => name,
            Some(Step::Index(_)) | None => "",
        }
    }

    /// A number as it was written.
    pub(super) fn number(&mut self) -> Result<String, ImportError> {
        self.guard().fence(NUMBER_BYTES_MAX + READ_AHEAD_BYTES, Fenced::Number);
        let number = self.json.next_number_as_string().map_err(|error| self.explain(error))?;
        self.guard().open();
        Ok(number)
    }

    /// Hands the text to `take` in chunks, escapes resolved; a chunk may end inside a character.
    pub(super) fn text(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), Overrun>,
    ) -> Result<(), ImportError> {
        let begin = self.json.current_position(false);
        let mut left = self.limits.string_bytes;
        let mut chunk = [0; 4096];
        // The caller looked before: the next value is a text.
        let Ok(mut reader) = self.json.next_string_reader() else {
            return Err(ImportError::Syntax { what: "a value of another kind", place: self.place() });
        };
        let ending = loop {
            let count = match reader.read(&mut chunk) {
                Ok(0) => break Ok(()),
                Ok(count) => count,
                Err(error) => break Err(Ending::Reader(error)),
            };
            match left.checked_sub(count as u64) {
                Some(rest) => left = rest,
                None => break Err(Ending::TooLong),
            }
            let (read, _) = chunk.split_at(count.min(chunk.len()));
            if take(read).is_err() {
                break Err(Ending::Overrun);
            }
        };
        drop(reader);
        ending.map_err(|ending| match ending {
            Ending::Reader(error) => self.explain_text(error),
            Ending::TooLong => {
                ImportError::StringTooLong { limit: self.limits.string_bytes, place: self.place_of(&begin) }
            }
            Ending::Overrun => self.item_too_large(),
        })
    }

    /// Makes sure that nothing but white space follows; returns the size of the file in bytes.
    pub(super) fn finish(mut self) -> Result<u64, ImportError> {
        match self.json.has_next() {
            Ok(false) => Ok(self.guard().total()),
            Ok(true) | Err(ReaderError::SyntaxError(_)) => {
                Err(ImportError::Syntax { what: "something follows its end", place: self.place() })
            }
            Err(error) => Err(self.explain(error)),
        }
    }

    /// Bytes taken from the input so far.
    pub(super) fn bytes(&mut self) -> u64 {
        self.guard().total()
    }

    pub(super) fn item_too_large(&self) -> ImportError {
        ImportError::ItemTooLarge { limit: self.limits.item_bytes, place: self.place() }
    }

    /// The whole path as a JSON pointer, for a record.
    pub(super) fn pointer(&self) -> String {
        self.join(|step| match step {
            Step::Shown(name) | Step::Hidden(name) => escaped(name),
            Step::Index(index) => index.to_string(),
        })
    }

    /// The pointer of the object or list in which the cursor stands.
    pub(super) fn pointer_of_parent(&self) -> String {
        let mut pointer = self.pointer();
        pointer.truncate(pointer.rfind('/').unwrap_or(0));
        pointer
    }

    /// Where the cursor stands, for an error.
    pub(super) fn place(&self) -> Place {
        self.place_of(&self.json.current_position(false))
    }

    fn place_of(&self, position: &JsonReaderPosition) -> Place {
        let (line, column) = position.line_pos.map_or((0, 0), |at| (at.line, at.column));
        let pointer = self.join(|step| match step {
            Step::Shown(name) => escaped(name),
            Step::Hidden(_) => "*".to_owned(),
            Step::Index(index) => index.to_string(),
        });
        Place { byte: position.data_pos.unwrap_or(0), line: line + 1, column: column + 1, pointer }
    }

    fn join(&self, show: impl Fn(&Step) -> String) -> String {
        self.path.iter().map(|step| format!("/{}", show(step))).collect()
    }

    fn guard(&mut self) -> &mut Guard<R> {
        self.json.reader_mut()
    }

    fn explain(&mut self, error: ReaderError) -> ImportError {
        if let Some(failure) = self.failure() {
            return failure;
        }
        match error {
            ReaderError::SyntaxError(error) => self.explain_syntax(&error),
            ReaderError::MaxNestingDepthExceeded { location, .. } => {
                ImportError::TooDeep { limit: self.limits.depth, place: self.place_of(&location) }
            }
            ReaderError::UnsupportedNumberValue { location, .. } => {
                ImportError::NumberTooLong { place: self.place_of(&location) }
            }
            ReaderError::IoError { location, .. } => ImportError::NotUtf8 { place: self.place_of(&location) },
            // A caller that did not look first would be the cause; the file is refused all the same.
            _ => ImportError::Syntax { what: "a value of another kind", place: self.place() },
        }
    }

    /// Inside a text the JSON reader wraps its errors as those of an input.
    fn explain_text(&mut self, error: io::Error) -> ImportError {
        if let Some(failure) = self.failure() {
            return failure;
        }
        match error.into_inner().map(|inner| inner.downcast::<JsonSyntaxError>()) {
            Some(Ok(error)) => self.explain_syntax(&error),
            _ => ImportError::NotUtf8 { place: self.place() },
        }
    }

    fn failure(&mut self) -> Option<ImportError> {
        let byte = self.guard().total();
        if let Some(source) = self.guard().take_failure() {
            return Some(ImportError::Read { byte, source });
        }
        let hit = self.guard().hit()?;
        let place = self.place();
        Some(match hit {
            Fenced::Name => ImportError::NameTooLong { limit: self.limits.name_bytes, place },
            Fenced::Number => ImportError::NumberTooLong { place },
        })
    }

    fn explain_syntax(&mut self, error: &JsonSyntaxError) -> ImportError {
        let place = self.place_of(&error.location);
        // What the end of the file cut in two may also look like a wrong word or escape.
        let at_end = self.guard().total().saturating_sub(place.byte) <= CUT_BYTES_MAX;
        let cut = self.guard().ended_within() && at_end && may_be_cut(error.kind);
        if cut || error.kind == SyntaxErrorKind::IncompleteDocument {
            return ImportError::Truncated { place };
        }
        ImportError::Syntax { what: words(error.kind), place }
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn may_be_cut(kind: SyntaxErrorKind) -> bool {
    use SyntaxErrorKind as Kind;
    matches!(
        kind,
        Kind::InvalidLiteral
            | Kind::MissingColon
            | Kind::MalformedNumber
            | Kind::MalformedEscapeSequence
            | Kind::UnpairedSurrogatePairEscapeSequence
    )
}

fn words(kind: SyntaxErrorKind) -> &'static str {
    use SyntaxErrorKind as Kind;
    match kind {
        Kind::CommentsNotEnabled => "a comment",
        Kind::InvalidLiteral | Kind::TrailingDataAfterLiteral => "an unknown word",
        Kind::UnexpectedClosingBracket => "a bracket that closes nothing",
        Kind::UnexpectedComma => "a comma too many",
        Kind::MissingComma => "no comma",
        Kind::TrailingCommaNotEnabled => "a comma after the last item",
        Kind::UnexpectedColon => "a colon too many",
        Kind::MissingColon => "no colon",
        Kind::MalformedNumber | Kind::TrailingDataAfterNumber => "a wrong number",
        Kind::ExpectingMemberNameOrObjectEnd => "no name where one is due",
        Kind::NotEscapedControlCharacter => "a control character",
        Kind::UnknownEscapeSequence | Kind::MalformedEscapeSequence => "a wrong escape",
        Kind::UnpairedSurrogatePairEscapeSequence => "half of a utf-16 pair as an escape",
        _ => "a sign that begins no value",
    }
}
