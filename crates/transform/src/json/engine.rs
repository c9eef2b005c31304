//! The walk: one pass over the text, one place in the bindings, one run of bytes not yet copied.

use super::bindings::{Bindings, Place, Step};
use super::error::{ErrorKind, JsonError};
use super::lex::{byte, literal, number, skip_space, stray, string};
use super::names::{Mark, Names};
use super::shape::{Entry, Followed, Seen, Shape};
use super::{Form, Limits, NameVerdict, Outcome, Scalar, Stop, Verdict, Visitor};

/// The walk recurses; this bounds the stack whatever the caller asks.
const DEPTH_MAX: usize = 512;

/// Names keep 31-bit positions.
const BYTES_MAX: usize = 1 << 30;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

pub(super) fn run<V: Visitor>(
    input: &[u8],
    form: Form,
    bindings: &Bindings,
    limits: &Limits,
    visitor: &mut V,
    out: &mut Vec<u8>,
) -> Result<Outcome, JsonError> {
    check_size(input, limits)?;
    let before = out.len();
    out.reserve(input.len());
    let walked = walk(input, form, bindings, limits, visitor, out);
    if let Err(error) = walked {
        out.truncate(before);
        // Whatever else is wrong with it: a document that is no text is refused as that.
        return Err(match std::str::from_utf8(input) {
            Ok(_) => error,
            Err(error) => JsonError::new(ErrorKind::NotUtf8, error.valid_up_to()),
        });
    }
    walked
}

fn walk<V: Visitor>(
    input: &[u8],
    form: Form,
    bindings: &Bindings,
    limits: &Limits,
    visitor: &mut V,
    out: &mut Vec<u8>,
) -> Result<Outcome, JsonError> {
    let mut engine = Engine {
        text: input,
        run: 0,
        out,
        bindings,
        depth_max: limits.depth.min(DEPTH_MAX),
        limits,
        visitor,
        names: Names::new(),
        shapes: bindings.places().map(|_| Shape::default()).collect(),
        scratch: Vec::new(),
        outcome: Outcome::default(),
    };
    match form {
        Form::Json => engine.json()?,
        Form::Ndjson => engine.ndjson(input)?,
    }
    engine.text = input;
    engine.flush(input.len());
    Ok(engine.outcome)
}

fn check_size(input: &[u8], limits: &Limits) -> Result<(), JsonError> {
    if input.len() > limits.bytes.min(BYTES_MAX) {
        return Err(JsonError::new(ErrorKind::TooLarge, limits.bytes));
    }
    if input.starts_with(BYTE_ORDER_MARK) {
        return Err(JsonError::new(ErrorKind::ByteOrderMark, 0));
    }
    Ok(())
}

struct Engine<'a, V> {
    /// The text up to the end of the current record; positions are those of the whole input.
    text: &'a [u8],
    /// Start of the bytes that stay but are not yet copied.
    run: usize,
    out: &'a mut Vec<u8>,
    bindings: &'a Bindings,
    depth_max: usize,
    limits: &'a Limits,
    visitor: &'a mut V,
    names: Names,
    /// By place.
    shapes: Vec<Shape>,
    scratch: Vec<u8>,
    outcome: Outcome,
}

/// Where a value stands, which decides what removing it takes along.
#[derive(Clone, Copy)]
enum Slot {
    Root,
    Element,
    Member {
        /// What separates this member from what stands before: the position of its comma, or
        /// that after the opening brace.
        cut: usize,
        /// A comma stands at `cut`.
        comma: bool,
        /// An earlier member of this object stayed, so the comma is needed.
        joined: bool,
    },
}

/// An open object.
struct Object {
    place: Place,
    depth: usize,
    mark: Mark,
    shape: Shape,
    /// How far the object has followed its shape; `None` once it has left it.
    seen: Option<Seen>,
}

/// A value's end, and whether it stayed.
type Passed = (usize, bool);

impl<'a, V: Visitor> Engine<'a, V> {
    fn json(&mut self) -> Result<(), JsonError> {
        let at = skip_space(self.text, 0);
        let end = match byte(self.text, at) {
            0 if at >= self.text.len() => return Err(JsonError::new(ErrorKind::Empty, at)),
            b'[' if self.bindings.opens(Place::ROOT) => self.array(Place::ROOT, at, 0, true)?,
            _ => self.record(at)?,
        };
        self.ended(end)
    }

    fn ndjson(&mut self, input: &'a [u8]) -> Result<(), JsonError> {
        if input.trim_ascii().is_empty() {
            return Err(JsonError::new(ErrorKind::Empty, 0));
        }
        let mut start = 0;
        while let Some(rest) = input.get(start..).filter(|rest| !rest.is_empty()) {
            let end = memchr::memchr(b'\n', rest).map_or(input.len(), |offset| start + offset);
            self.text = input.get(..end).unwrap_or_default();
            let at = skip_space(self.text, start);
            if at >= end {
                return Err(JsonError::new(ErrorKind::EmptyRecord, start));
            }
            let value_end = self.record(at)?;
            self.ended(value_end)?;
            start = end + 1;
        }
        Ok(())
    }

    fn record(&mut self, at: usize) -> Result<usize, JsonError> {
        let index = self.enter(at)?;
        self.names.clear();
        let (end, _) = self.value(Place::ROOT, Slot::Root, at, 0)?;
        self.stopped(at, |visitor| visitor.leave_record(index))?;
        Ok(end)
    }

    fn enter(&mut self, at: usize) -> Result<u64, JsonError> {
        let index = self.outcome.records;
        if index >= self.limits.records {
            return Err(JsonError::new(ErrorKind::TooManyRecords, at));
        }
        self.outcome.records += 1;
        self.stopped(at, |visitor| visitor.enter_record(index))?;
        Ok(index)
    }

    fn ended(&self, end: usize) -> Result<(), JsonError> {
        let end = skip_space(self.text, end);
        if end < self.text.len() { Err(JsonError::new(ErrorKind::TrailingBytes, end)) } else { Ok(()) }
    }

    /// Walks one value; `place` is `UNBOUND` inside a subtree that is already being removed.
    #[inline(always)]
    fn value(&mut self, place: Place, slot: Slot, at: usize, depth: usize) -> Result<Passed, JsonError> {
        let first = byte(self.text, at);
        if first == b'{' || first == b'[' {
            if place != Place::UNBOUND && !self.bindings.opens(place) {
                return Err(JsonError::new(ErrorKind::ContainerAtField, at));
            }
            if place != Place::UNBOUND {
                self.join(slot);
            }
            let end = match first {
                b'{' => self.object(place, at, depth)?,
                _ => self.array(place, at, depth, false)?,
            };
            return Ok((end, true));
        }
        let (scalar, end) = self.scalar(at, first)?;
        if place == Place::UNBOUND {
            return Ok((end, true));
        }
        self.settle(place, slot, scalar, at, end)
    }

    fn object(&mut self, place: Place, open: usize, depth: usize) -> Result<usize, JsonError> {
        self.descend(open, depth)?;
        let mut at = skip_space(self.text, open + 1);
        if byte(self.text, at) == b'}' {
            return Ok(at + 1);
        }
        // Taken out while this object is open: with `**` an object inside may be at the same place.
        let shape = self.shapes.get_mut(place.index()).map(std::mem::take).unwrap_or_default();
        let mark = self.names.open();
        let mut object = Object { place, depth, mark, shape, seen: Some(Seen::NOTHING) };
        let (mut cut, mut comma, mut joined, mut count) = (open + 1, false, false, 0);
        loop {
            count += 1;
            if count > self.limits.members {
                return Err(JsonError::new(ErrorKind::TooManyMembers, at));
            }
            let slot = Slot::Member { cut, comma, joined };
            let (end, stayed) = self.member(&mut object, slot, at)?;
            joined |= stayed;
            at = skip_space(self.text, end);
            match byte(self.text, at) {
                b',' => {
                    (cut, comma) = (at, true);
                    at = skip_space(self.text, at + 1);
                }
                b'}' => break,
                _ => return Err(stray(self.text, at, ErrorKind::ExpectedCommaOrEnd)),
            }
        }
        if object.seen.is_none() && !self.names.close(self.text, mark) {
            return Err(JsonError::new(ErrorKind::DuplicateName, open));
        }
        object.shape.close();
        if let Some(shape) = self.shapes.get_mut(place.index()) {
            *shape = object.shape;
        }
        Ok(at + 1)
    }

    #[inline(always)]
    fn member(&mut self, object: &mut Object, slot: Slot, at: usize) -> Result<Passed, JsonError> {
        let text = self.text;
        let expected = object.seen.as_mut().and_then(|seen| object.shape.follow(text, at, seen));
        let (step, value) = match expected {
            Some(followed) if followed.step.wild => self.wild_again(object, followed)?,
            Some(followed) => (followed.step, followed.end),
            None => self.name(object, at)?,
        };
        let value = skip_space(text, value);
        if step.place != Place::UNBOUND {
            return self.value(step.place, slot, value, object.depth + 1);
        }
        let (end, stayed) = self.value(Place::UNBOUND, slot, value, object.depth + 1)?;
        if object.place == Place::UNBOUND {
            return Ok((end, stayed));
        }
        // A wild name that the visitor dropped is counted where it was asked.
        self.outcome.dropped_unbound += u64::from(!step.wild);
        self.remove(slot, value, end);
        Ok((end, false))
    }

    /// Reads a name that was not expected; returns its step and the position after its colon.
    fn name(&mut self, object: &mut Object, at: usize) -> Result<(Step, usize), JsonError> {
        let text = self.text;
        if let Some(seen) = object.seen.take() {
            self.leave_shape(object, seen)?;
        }
        if byte(text, at) != b'"' {
            return Err(stray(text, at, ErrorKind::ExpectedName));
        }
        let spelled = string(text, at + 1)?;
        let name = self.names.name(text, at + 1, spelled.end, spelled.escaped)?;
        if !self.names.insert(text, object.mark, name) {
            return Err(JsonError::new(ErrorKind::DuplicateName, at));
        }
        let colon = skip_space(text, spelled.end + 1);
        if byte(text, colon) != b':' {
            return Err(stray(text, colon, ErrorKind::ExpectedColon));
        }
        if object.place == Place::UNBOUND {
            return Ok((Step::NOWHERE, colon + 1));
        }
        let step = self.bindings.member(object.place, name.print, self.names.bytes(text, name));
        object.shape.learn(Entry::new(text, at, spelled.end, colon + 1, spelled.escaped, step));
        if step.wild {
            return Ok((self.wild_step(step, at + 1, spelled.end, spelled.escaped)?, colon + 1));
        }
        Ok((step, colon + 1))
    }

    /// From here on the object is searched for twins in the plain way, so the names that it had
    /// in common with its shape must be known.
    #[inline(never)]
    fn leave_shape(&mut self, object: &mut Object, seen: Seen) -> Result<(), JsonError> {
        for entry in object.shape.leave(seen) {
            let (start, end) = entry.name();
            let name = self.names.name(self.text, start, end, entry.escaped)?;
            self.names.insert(self.text, object.mark, name);
        }
        Ok(())
    }

    /// Asks about a name that no pointer writes, and that was expected.
    #[inline(never)]
    fn wild_again(&mut self, object: &Object, followed: Followed) -> Result<(Step, usize), JsonError> {
        let Some(entry) = object.shape.entry(followed.index) else {
            return Ok((Step::NOWHERE, followed.end));
        };
        let (start, end) = entry.name();
        Ok((self.wild_step(followed.step, start, end, entry.escaped)?, followed.end))
    }

    /// Asks about a name that no pointer writes.
    #[inline(never)]
    fn wild_step(&mut self, step: Step, start: usize, end: usize, escaped: bool) -> Result<Step, JsonError> {
        let raw = self.text.get(start..end).unwrap_or_default();
        match self.stopped(start, |visitor| visitor.wild_name(raw, escaped))? {
            NameVerdict::Keep => Ok(step),
            NameVerdict::Drop => {
                self.outcome.dropped += 1;
                Ok(Step { place: Place::UNBOUND, wild: true })
            }
        }
    }

    fn array(&mut self, place: Place, open: usize, depth: usize, records: bool) -> Result<usize, JsonError> {
        self.descend(open, depth)?;
        let mut at = skip_space(self.text, open + 1);
        if byte(self.text, at) == b']' {
            return Ok(at + 1);
        }
        let mut count = 0;
        loop {
            if count >= self.limits.members && !records {
                return Err(JsonError::new(ErrorKind::TooManyMembers, at));
            }
            let index = if records { Some(self.enter(at)?) } else { None };
            let end = self.element(place, count, at, depth)?;
            if let Some(index) = index {
                self.stopped(at, |visitor| visitor.leave_record(index))?;
            }
            count += 1;
            at = skip_space(self.text, end);
            match byte(self.text, at) {
                b',' => at = skip_space(self.text, at + 1),
                b']' => break,
                _ => return Err(stray(self.text, at, ErrorKind::ExpectedCommaOrEnd)),
            }
        }
        Ok(at + 1)
    }

    #[inline(always)]
    fn element(&mut self, place: Place, index: usize, at: usize, depth: usize) -> Result<usize, JsonError> {
        let to = self.bindings.element(place, index);
        let (end, _) = self.value(to, Slot::Element, at, depth + 1)?;
        if to == Place::UNBOUND && place != Place::UNBOUND {
            self.outcome.dropped_unbound += 1;
            self.remove(Slot::Element, at, end);
        }
        Ok(end)
    }

    #[inline(always)]
    fn descend(&self, open: usize, depth: usize) -> Result<(), JsonError> {
        if depth >= self.depth_max { Err(JsonError::new(ErrorKind::TooDeep, open)) } else { Ok(()) }
    }

    #[inline(always)]
    fn scalar(&self, at: usize, first: u8) -> Result<(Scalar<'a>, usize), JsonError> {
        let text = self.text;
        match first {
            b'"' => {
                let spelled = string(text, at + 1)?;
                let raw = text.get(at + 1..spelled.end).unwrap_or_default();
                Ok((Scalar::String { raw, escaped: spelled.escaped }, spelled.end + 1))
            }
            b'-' | b'0'..=b'9' => {
                let end = number(text, at)?;
                Ok((Scalar::Number(text.get(at..end).unwrap_or_default()), end))
            }
            b't' => Ok((Scalar::Bool(true), literal(text, at, b"true")?)),
            b'f' => Ok((Scalar::Bool(false), literal(text, at, b"false")?)),
            b'n' => Ok((Scalar::Null, literal(text, at, b"null")?)),
            _ => Err(stray(text, at, ErrorKind::ExpectedValue)),
        }
    }

    /// Asks about a bound scalar and carries the answer out.
    #[inline(always)]
    fn settle(
        &mut self,
        place: Place,
        slot: Slot,
        scalar: Scalar<'a>,
        at: usize,
        end: usize,
    ) -> Result<Passed, JsonError> {
        let Some(field) = self.bindings.field(place) else {
            if matches!(slot, Slot::Root) {
                return Err(JsonError::new(ErrorKind::RootUnbound, at));
            }
            self.outcome.dropped_unbound += 1;
            self.remove(slot, at, end);
            return Ok((end, false));
        };
        self.scratch.clear();
        match self.visitor.scalar(field, scalar, &mut self.scratch) {
            Ok(Verdict::Keep) => {
                self.outcome.kept += 1;
                self.join(slot);
                Ok((end, true))
            }
            Ok(verdict) => self.carry_out(verdict, slot, at, end),
            Err(stop) => Err(JsonError::new(ErrorKind::Stopped(stop), at)),
        }
    }

    /// Out of line, so that values that stay are passed in few registers.
    #[inline(never)]
    fn carry_out(
        &mut self,
        verdict: Verdict,
        slot: Slot,
        at: usize,
        end: usize,
    ) -> Result<Passed, JsonError> {
        if verdict == Verdict::Drop {
            self.outcome.dropped += 1;
            self.remove(slot, at, end);
            return Ok((end, false));
        }
        if self.scratch.is_empty() {
            return Err(JsonError::new(ErrorKind::EmptyReplacement, at));
        }
        self.outcome.replaced += 1;
        self.join(slot);
        self.flush(at);
        self.out.extend_from_slice(&self.scratch);
        self.run = end;
        Ok((end, true))
    }

    /// The value at `slot` stays: takes away its comma if nothing before it stayed.
    #[inline(always)]
    fn join(&mut self, slot: Slot) {
        if let Slot::Member { cut, comma: true, joined: false } = slot {
            self.flush(cut);
            self.run = cut + 1;
        }
    }

    /// The value at `slot`, from `at` to `end`, goes.
    fn remove(&mut self, slot: Slot, at: usize, end: usize) {
        if let Slot::Member { cut, .. } = slot {
            self.flush(cut);
        } else {
            self.flush(at);
            self.out.extend_from_slice(b"null");
        }
        self.run = end;
    }

    /// Copies the run up to `end`. Runs may span NDJSON records: positions are those of the
    /// whole input, and the text of a record begins with all records before it.
    #[inline(always)]
    fn flush(&mut self, end: usize) {
        if let Some(kept) = self.text.get(self.run..end) {
            self.out.extend_from_slice(kept);
            self.run = end;
        }
    }

    #[inline(always)]
    fn stopped<T>(&mut self, at: usize, ask: impl FnOnce(&mut V) -> Result<T, Stop>) -> Result<T, JsonError> {
        ask(self.visitor).map_err(|stop| JsonError::new(ErrorKind::Stopped(stop), at))
    }
}
