//! Results of a database on their way: messages of PostgreSQL's protocol, of which every value is looked at.
//!
//! Fields have their treatment already, by the views of the grant, so a value comes out as it is, less the personal data that
//! nothing of what was decided would show in plain. A value whose writing has no room for a mask becomes null.

use std::borrow::Cow;
use std::collections::HashSet;

use inspect::{Finding, Rule};
use model::catalogue::{FieldIndex, Kind};
use model::{DataClass, Reason, SubjectId, Treatment};
use transform::mask;
use transform::pseudonym::TokenForm;

use super::{Fired, Joined, Prose, expected, fire, without};
use crate::select::{SUBJECT, Selection, Use};

/// The series of what was computed. No field has it, nor has a person's pointer any.
const COMPUTED: u16 = SUBJECT;

/// Most columns of a result, as PostgreSQL has it.
const COLUMNS_MAX: usize = 1_664;

/// A column of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The field that it shows as it stands in a view; `None` for what was computed.
    pub field: Option<FieldIndex>,
    /// Whether its values are written as text that may be any text, so that a part of one can be masked.
    pub text: bool,
}

/// Whose rows a result has.
pub enum Whose<'a> {
    /// Some of these people's: nobody can say whose.
    All(&'a [SubjectId]),
    /// In this column each row names its person, in a way that the session can undo.
    Column(usize, &'a (dyn Fn(&[u8]) -> Option<SubjectId> + Sync)),
}

/// A result, or a part of one.
pub struct Rows<'a> {
    /// The messages of the server, each whole.
    pub messages: &'a [u8],
    /// The columns of its rows.
    pub columns: &'a [Column],
    /// Whose they are.
    pub whose: Whose<'a>,
    /// What the sealed detail says of the statement: its text, and which part of its result this is.
    pub statement: serde_json::Value,
}

/// What was looked at, and what is to be released.
pub(crate) struct Looked {
    pub(crate) out: Vec<u8>,
    pub(crate) people: Vec<SubjectId>,
    pub(crate) rows: u32,
    pub(crate) findings: u32,
    pub(crate) fired: Fired,
}

/// What becomes of a value.
enum Becomes {
    Same,
    Text(Vec<u8>),
    Null,
}

/// Reads messages and writes them as they are released.
pub(crate) struct Reader<'a> {
    uses: &'a [Option<Use>],
    outcomes: &'a [Option<Treatment>],
    prose: Prose,
    /// Whether restricted fields are shown in plain: then any value may be of one.
    open: bool,
    /// What fields in plain may hold.
    kinds: Vec<Kind>,
    /// The form of the tokens that views show.
    tokens: Option<TokenForm>,
    rows_max: u32,
    people_max: usize,
    seen: HashSet<SubjectId>,
    found: Vec<Finding>,
    /// What the values of a row make together.
    joined: Joined,
    looked: Looked,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        selection: &'a Selection,
        outcomes: &'a [Option<Treatment>],
        prose: Prose,
        epoch: Option<u32>,
        (rows_max, people_max): (u32, usize),
    ) -> Self {
        let plain = |used: &&Use| outcome(outcomes, used) == Some(Treatment::Plain);
        let shown: Vec<&Use> = selection.uses.iter().flatten().filter(plain).collect();
        Self {
            uses: &selection.uses,
            outcomes,
            prose,
            open: shown.iter().any(|used| used.class == DataClass::Restricted),
            kinds: shown.iter().map(|used| used.kind).collect(),
            tokens: epoch.map(TokenForm::of),
            rows_max,
            people_max,
            seen: HashSet::new(),
            found: Vec::new(),
            joined: Joined::default(),
            looked: Looked { out: Vec::new(), people: Vec::new(), rows: 0, findings: 0, fired: Fired::new() },
        }
    }

    /// Looks at all of a result.
    ///
    /// # Errors
    /// [`Reason::Malformed`] for what is no message, [`Reason::Limit`] for too many rows or people, [`Reason::Subject`] for a row
    /// that names nobody.
    pub(crate) fn read(mut self, rows: &Rows<'_>) -> Result<Looked, Reason> {
        self.looked.out.reserve(rows.messages.len());
        if let Whose::All(people) = rows.whose {
            for person in people {
                self.person(person.clone())?;
            }
        }
        let mut rest = rows.messages;
        while !rest.is_empty() {
            let (kind, body, after) = message(rest).ok_or(Reason::Malformed)?;
            rest = after;
            match kind {
                b'D' => self.row(body, rows)?,
                b'd' => self.copied(body, rows)?,
                b'E' | b'N' => self.told(kind, body)?,
                // What they hold is of the statement: names of columns, kinds, numbers of rows.
                b'T' | b't' | b'n' | b'1' | b'2' | b'3' | b'C' | b'I' | b's' | b'H' | b'c' => {
                    self.write(kind, body)?
                }
                _ => return Err(Reason::Malformed),
            }
        }
        Ok(self.looked)
    }

    fn write(&mut self, kind: u8, body: &[u8]) -> Result<(), Reason> {
        let length = u32::try_from(body.len() + 4).map_err(|_| Reason::Limit)?;
        self.looked.out.push(kind);
        self.looked.out.extend_from_slice(&length.to_be_bytes());
        self.looked.out.extend_from_slice(body);
        Ok(())
    }

    fn count(&mut self) -> Result<(), Reason> {
        self.looked.rows = self.looked.rows.saturating_add(1);
        if self.looked.rows > self.rows_max { Err(Reason::Limit) } else { Ok(()) }
    }

    fn person(&mut self, person: SubjectId) -> Result<(), Reason> {
        if self.seen.insert(person.clone()) {
            if self.looked.people.len() >= self.people_max {
                return Err(Reason::Limit);
            }
            self.looked.people.push(person);
        }
        Ok(())
    }

    /// A row: a number of values, each behind its length.
    fn row(&mut self, body: &[u8], rows: &Rows<'_>) -> Result<(), Reason> {
        self.count()?;
        let (count, mut rest) = body.split_first_chunk::<2>().ok_or(Reason::Malformed)?;
        let count = usize::from(u16::from_be_bytes(*count));
        if count != rows.columns.len() || count > COLUMNS_MAX {
            return Err(Reason::Malformed);
        }
        let start = self.looked.out.len();
        self.write(b'D', body.get(..2).unwrap_or_default())?;
        self.joined = Joined::default();
        let mut named = None;
        for (place, column) in rows.columns.iter().enumerate() {
            let (length, after) = rest.split_first_chunk::<4>().ok_or(Reason::Malformed)?;
            rest = after;
            self.joined.next();
            let Ok(size) = usize::try_from(i32::from_be_bytes(*length)) else {
                self.joined.clear();
                self.looked.out.extend_from_slice(&(-1i32).to_be_bytes());
                continue;
            };
            let (value, after) = rest.split_at_checked(size).ok_or(Reason::Malformed)?;
            rest = after;
            if let Whose::Column(of, resolve) = rows.whose
                && of == place
            {
                named = resolve(value);
            }
            self.value(column, value)?;
        }
        if !rest.is_empty() {
            return Err(Reason::Malformed);
        }
        if matches!(rows.whose, Whose::Column(..)) {
            self.person(named.ok_or(Reason::Subject)?)?;
        }
        let cut = std::mem::take(&mut self.joined).found();
        if !cut.is_empty() {
            self.hide(start, &cut, rows.columns)?;
        }
        self.close(start)
    }

    /// Masks values of the row that begins there, which are parts of one identifier.
    fn hide(&mut self, start: usize, cut: &[(usize, Rule)], columns: &[Column]) -> Result<(), Reason> {
        // Behind the kind, the length and the number of columns.
        let row = self.looked.out.split_off(start + 7);
        let mut rest = row.as_slice();
        for (place, column) in columns.iter().enumerate() {
            let (length, after) = rest.split_first_chunk::<4>().ok_or(Reason::Malformed)?;
            let size = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
            let (value, after) = after.split_at_checked(size).ok_or(Reason::Malformed)?;
            rest = after;
            let Some((_, rule)) = cut.iter().find(|(value, _)| *value == place + 1) else {
                self.looked.out.extend_from_slice(length);
                self.looked.out.extend_from_slice(value);
                continue;
            };
            fire(&mut self.looked.fired, *rule);
            self.looked.findings = self.looked.findings.saturating_add(1);
            self.put(if column.text { Some(mask::MASK.as_bytes()) } else { None })?;
        }
        Ok(())
    }

    /// Writes a value behind its length, or null.
    fn put(&mut self, value: Option<&[u8]>) -> Result<(), Reason> {
        let length = value.map_or(Ok(-1), |value| i32::try_from(value.len())).map_err(|_| Reason::Limit)?;
        self.looked.out.extend_from_slice(&length.to_be_bytes());
        self.looked.out.extend_from_slice(value.unwrap_or_default());
        Ok(())
    }

    /// To which series the values of a column belong that are shown as they are, and what its field is declared to hold.
    fn series(&self, column: &Column) -> Option<(u16, Option<Kind>)> {
        match column.field {
            // Two that were computed may be halves of one.
            None => (column.text && !self.open).then_some((COMPUTED, None)),
            Some(index) => {
                let used = self.uses.get(usize::from(index.0)).copied().flatten()?;
                let plain = outcome(self.outcomes, &used) == Some(Treatment::Plain);
                let series = used.series.filter(|_| plain && used.class != DataClass::Restricted)?;
                Some((series, Some(used.kind)))
            }
        }
    }

    /// Writes the length of the message that begins there.
    fn close(&mut self, start: usize) -> Result<(), Reason> {
        let length = u32::try_from(self.looked.out.len() - start - 1).map_err(|_| Reason::Limit)?;
        let place = self.looked.out.get_mut(start + 1..start + 5).ok_or(Reason::Malformed)?;
        place.copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn value(&mut self, column: &Column, value: &[u8]) -> Result<(), Reason> {
        let becomes = self.look(column, value);
        match (&becomes, self.series(column)) {
            // Also where something else was found in it and masked.
            (Becomes::Same | Becomes::Text(_), Some((series, own))) => {
                // What was computed may be of any field.
                let kinds = own.as_ref().map_or(self.kinds.as_slice(), std::slice::from_ref);
                let expected = |found| kinds.iter().any(|kind| expected(*kind, found));
                self.joined.push(series, value, expected);
            }
            _ => self.joined.clear(),
        }
        match &becomes {
            Becomes::Same => self.put(Some(value)),
            Becomes::Text(masked) => self.put(Some(masked)),
            Becomes::Null => self.put(None),
        }
    }

    fn look(&mut self, column: &Column, value: &[u8]) -> Becomes {
        let masked = |masked: Vec<u8>| if column.text { Becomes::Text(masked) } else { Becomes::Null };
        let used = column.field.and_then(|index| self.uses.get(usize::from(index.0)).copied().flatten());
        let plain = used.filter(|used| outcome(self.outcomes, used) == Some(Treatment::Plain));
        let restricted = plain.is_some_and(|used| used.class == DataClass::Restricted);
        if restricted || (self.open && column.field.is_none()) {
            return Becomes::Same;
        }
        if plain.is_some_and(|used| used.kind == Kind::Text) && !matches!(self.prose, Prose::Inside) {
            // The view should not have it.
            return masked(mask::MASK.into());
        }
        self.found.clear();
        match used {
            Some(_) if self.tokens.as_ref().is_some_and(|form| form.is(value)) => {}
            Some(used) => used.known.scan(value, &mut self.found),
            None => scan_beside_tokens(value, self.tokens.as_ref(), &mut self.found),
        }
        let computed = if column.field.is_none() { self.kinds.as_slice() } else { &[] };
        let own = plain.map(|used| used.kind);
        self.found.retain(|f| !computed.iter().chain(&own).any(|kind| expected(*kind, f.kind)));
        if self.found.is_empty() {
            return Becomes::Same;
        }
        self.found.iter().for_each(|f| fire(&mut self.looked.fired, f.rule));
        let count = u32::try_from(self.found.len()).unwrap_or(u32::MAX);
        self.looked.findings = self.looked.findings.saturating_add(count);
        masked(without(value, &self.found).into_owned())
    }

    /// A text with masks where something was found.
    fn text<'t>(&mut self, text: &'t [u8]) -> Cow<'t, [u8]> {
        match self.look(&Column { field: None, text: true }, text) {
            Becomes::Text(masked) => Cow::Owned(masked),
            _ => Cow::Borrowed(text),
        }
    }

    /// A line of `COPY .. TO STDOUT`, which is text.
    fn copied(&mut self, body: &[u8], rows: &Rows<'_>) -> Result<(), Reason> {
        if matches!(rows.whose, Whose::Column(..)) {
            // Which of its columns names somebody is not told apart.
            return Err(Reason::Subject);
        }
        let lines = body.iter().filter(|b| **b == b'\n').count();
        for _ in 0..lines.max(1) {
            self.count()?;
        }
        let line = self.text(body);
        self.write(b'd', &line)
    }

    /// An error or notice: texts, each behind its letter, up to a zero.
    fn told(&mut self, kind: u8, body: &[u8]) -> Result<(), Reason> {
        let start = self.looked.out.len();
        self.write(kind, &[])?;
        let mut rest = body;
        while let Some((letter, after)) = rest.split_first()
            && *letter != 0
        {
            let end = after.iter().position(|b| *b == 0).ok_or(Reason::Malformed)?;
            let (text, after) = after.split_at_checked(end).ok_or(Reason::Malformed)?;
            let text = self.text(text);
            self.looked.out.push(*letter);
            self.looked.out.extend_from_slice(&text);
            self.looked.out.push(0);
            rest = after.get(1..).unwrap_or_default();
        }
        self.looked.out.push(0);
        self.close(start)
    }
}

/// What is found in a value, or in a line of cells with tabs between them, apart from the cells that are tokens: most of many
/// rows, and 26 letters of 32 in which hardly anything that is looked for can be written.
fn scan_beside_tokens(text: &[u8], tokens: Option<&TokenForm>, out: &mut Vec<Finding>) {
    let mut scan = |from: usize, to: usize| {
        let first = out.len();
        inspect::scan(text.get(from..to).unwrap_or_default(), out);
        for finding in out.iter_mut().skip(first) {
            (finding.start, finding.end) = (finding.start + from, finding.end + from);
        }
    };
    let (mut from, mut at) = (0, 0);
    for cell in text.split(|b| *b == b'\t') {
        let bare = cell.strip_suffix(b"\n").unwrap_or(cell);
        if tokens.is_some_and(|form| form.is(bare)) {
            scan(from, at);
            from = at + bare.len();
        }
        at += cell.len() + 1;
    }
    scan(from, text.len());
}

fn outcome(outcomes: &[Option<Treatment>], used: &Use) -> Option<Treatment> {
    outcomes.get(usize::from(used.group)).copied().flatten()
}

/// The first message: its kind, its body, and what stands behind it.
fn message(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let size = usize::try_from(u32::from_be_bytes(*length)).ok()?.checked_sub(4)?;
    let (body, after) = rest.split_at_checked(size)?;
    Some((*kind, body, after))
}

#[cfg(test)]
mod tests;
