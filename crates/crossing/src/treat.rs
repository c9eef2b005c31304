//! Inspect and transform in one pass: each value of a payload meets its field's treatment.

mod coarse;
mod joined;
mod keys;
mod measured;
mod prose;
mod rows;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use inspect::{Finding, Known, Rule};
use model::catalogue::Kind;
use model::lanes::{Coarse, Reversible};
use model::{DataClass, SubjectId, Treatment};
use transform::json::{self, NameVerdict, Scalar, Stop, Verdict, Visitor, write_string};
use transform::mask;

use crate::select::{SUBJECT, Selection, Use};
pub(crate) use joined::Joined;
pub(crate) use keys::{For, Keys, formatted, opening};
pub(crate) use measured::{Measured, facts as measured_facts, told};
pub(crate) use prose::{Amount, Prose};
pub use rows::{Column, Rows, Whose};
pub(crate) use rows::{Looked, Reader};

/// What becomes of one field.
#[derive(Debug, Clone, Copy)]
struct FieldPlan {
    treatment: Treatment,
    class: DataClass,
    kind: Kind,
    known: Known,
    coarse: Option<Coarse>,
    reversible: Option<Reversible>,
    series: Option<u16>,
}

/// How often each rule of inspection fired, by its name: never what it found.
pub(crate) type Fired = BTreeMap<&'static str, u32>;

fn fire(fired: &mut Fired, rule: Rule) {
    let count = fired.entry(rule.id()).or_default();
    *count = count.saturating_add(1);
}

/// Longest value that counts as one word, in bytes.
const WORD_MAX: usize = 24;
/// Stops with this code when more people turn up than the decision allows.
pub(crate) const TOO_MANY_PEOPLE: u32 = 1;
/// Stops with this code when a row names nobody.
pub(crate) const NOBODY: u32 = 2;

/// Walks a payload.
pub(crate) struct Treater<'a> {
    uses: &'a [Option<Use>],
    outcomes: &'a [Option<Treatment>],
    keys: Option<Keys>,
    prose: Prose,
    pub(crate) joined: Joined,
    /// How much prose was met.
    pub(crate) texts: Amount,
    /// What is measured, if anything is.
    pub(crate) measured: Option<Measured>,
    people_max: usize,
    pub(crate) people: Vec<SubjectId>,
    seen: HashSet<SubjectId>,
    /// Whether rows must name their person, and whether this one has.
    must_name: bool,
    named: bool,
    pub(crate) findings: u32,
    /// How often each rule fired.
    pub(crate) fired: Fired,
    scratch: Vec<u8>,
    found: Vec<Finding>,
}

impl<'a> Treater<'a> {
    pub(crate) fn new(
        selection: &'a Selection,
        outcomes: &'a [Option<Treatment>],
        keys: Option<Keys>,
        (prose, joined): (Prose, Joined),
        measured: Option<Measured>,
        people_max: usize,
    ) -> Self {
        Self {
            uses: &selection.uses,
            outcomes,
            keys,
            prose,
            joined,
            texts: Amount::default(),
            measured,
            people_max,
            people: Vec::new(),
            seen: HashSet::new(),
            must_name: selection.names_people,
            named: false,
            findings: 0,
            fired: Fired::new(),
            scratch: Vec::new(),
            found: Vec::new(),
        }
    }

    /// What was decided about a field; `None` keeps it inside.
    fn plan(&self, field: u16) -> Option<FieldPlan> {
        let used = self.uses.get(usize::from(field)).copied().flatten()?;
        let treatment = self.outcomes.get(usize::from(used.group)).copied().flatten()?;
        let Use { class, kind, known, coarse, reversible, series, .. } = used;
        Some(FieldPlan { treatment, class, kind, known, coarse, reversible, series })
    }

    fn person(&mut self, value: Scalar<'_>) -> Result<Verdict, Stop> {
        let text = value.text(&mut self.scratch).and_then(|t| std::str::from_utf8(t).ok());
        let subject = text.and_then(|t| SubjectId::parse(t).ok()).ok_or(Stop(NOBODY))?;
        self.named = true;
        if let Some(measured) = &mut self.measured {
            measured.person(subject.as_str());
        }
        if self.seen.insert(subject.clone()) {
            if self.people.len() >= self.people_max {
                return Err(Stop(TOO_MANY_PEOPLE));
            }
            self.people.push(subject);
        }
        Ok(Verdict::Drop)
    }

    /// A value as it is, less the personal data that its field does not declare.
    fn plain(&mut self, plan: FieldPlan, value: Scalar<'_>, out: &mut Vec<u8>) -> Verdict {
        if plan.class == DataClass::Restricted {
            // Restricted fields are declared to hold such data, and are plain inside the region only.
            return Verdict::Keep;
        }
        self.found.clear();
        if let Scalar::Number(digits) = value {
            let found = plan.known.number(digits).filter(|f| !expected(plan.kind, f.kind));
            if found.is_none() && inspect::scan_number(digits).is_none_or(|found| expected(plan.kind, found))
            {
                return Verdict::Keep;
            }
            self.findings = self.findings.saturating_add(1);
            found.iter().for_each(|f| fire(&mut self.fired, f.rule));
            write_string(b"***", out);
            return Verdict::Replaced;
        }
        let Some(text) = value.text(&mut self.scratch) else { return Verdict::Keep };
        let slow = match self.prose {
            _ if plan.kind != Kind::Text || text.is_empty() => false,
            Prose::Inside => false,
            Prose::Slow(bounds) if text.len() <= usize::try_from(bounds.value_bytes_max).unwrap_or(0) => true,
            Prose::Withheld | Prose::Slow(_) => {
                self.texts.withheld = self.texts.withheld.saturating_add(1);
                write_string(b"***", out);
                return Verdict::Replaced;
            }
        };
        plan.known.scan(text, &mut self.found);
        if slow {
            prose::look(text, &mut self.found);
            self.texts.shown = self.texts.shown.saturating_add(1);
            self.texts.bytes = self.texts.bytes.saturating_add(text.len() as u64);
        }
        self.found.retain(|f| !expected(plan.kind, f.kind));
        self.found.iter().for_each(|f| fire(&mut self.fired, f.rule));
        let mut count = self.found.len();
        let clean = without(text, &self.found);
        // Escapes of JSON inside of what is left: whoever reads it twice finds what was written so.
        let hidden = unescaped(&clean).is_some_and(|plainer| {
            self.found.clear();
            plan.known.scan(&plainer, &mut self.found);
            if slow {
                prose::look(&plainer, &mut self.found);
            }
            self.found.retain(|f| !expected(plan.kind, f.kind));
            self.found.iter().for_each(|f| fire(&mut self.fired, f.rule));
            !self.found.is_empty()
        });
        count += if hidden { self.found.len() } else { 0 };
        if count == 0 {
            return Verdict::Keep;
        }
        self.texts.found = self.texts.found.saturating_add(u32::from(slow));
        self.findings = self.findings.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        write_string(if hidden { mask::MASK.as_bytes() } else { &clean }, out);
        Verdict::Replaced
    }

    /// A value as [`Self::plain`] leaves it, less what it makes with its neighbours.
    #[inline]
    fn plain_beside(&mut self, plan: FieldPlan, value: Scalar<'_>, out: &mut Vec<u8>) -> Verdict {
        if let Some(rule) = self.joined.next() {
            self.findings = self.findings.saturating_add(1);
            fire(&mut self.fired, rule);
            self.joined.clear();
            write_string(mask::MASK.as_bytes(), out);
            return Verdict::Replaced;
        }
        let verdict = self.plain(plan, value, out);
        match plan.series {
            // Also where something else was found in it and masked.
            Some(series) if plan.class != DataClass::Restricted => match value.text(&mut self.scratch) {
                Some(text) => self.joined.push(series, text, |found| expected(plan.kind, found)),
                None => self.joined.clear(),
            },
            _ => self.joined.clear(),
        }
        verdict
    }

    /// Has a value as it leaves measured, where the lane says so.
    fn measure(&mut self, field: u16, value: Scalar<'_>, verdict: Verdict, written: &[u8]) {
        let Some(measured) = &mut self.measured else { return };
        match (verdict, value) {
            (Verdict::Drop, _) | (Verdict::Keep, Scalar::Null) => {}
            (Verdict::Replaced, _) => measured.value(field, written, true),
            (Verdict::Keep, Scalar::Number(digits)) => measured.value(field, digits, false),
            (Verdict::Keep, Scalar::Bool(b)) => {
                measured.value(field, if b { b"true" } else { b"false" }, false)
            }
            (Verdict::Keep, value @ Scalar::String { .. }) => {
                let text = value.text(&mut self.scratch).unwrap_or_default();
                measured.value(field, text, false);
            }
        }
    }

    fn pseudonymised(&mut self, plan: FieldPlan, value: Scalar<'_>, out: &mut Vec<u8>) -> Verdict {
        if matches!(value, Scalar::Null | Scalar::Bool(_)) {
            return Verdict::Keep;
        }
        match plan.kind {
            Kind::Count | Kind::Date => {
                // A pseudonymised row tells no more than the day, whatever the lane says.
                let coarse = plan.coarse.filter(|coarse| *coarse != Coarse::Hour);
                self.generalised(FieldPlan { coarse, ..plan }, value, out)
            }
            Kind::Word if is_word(value) => self.plain(plan, value, out),
            kind => {
                let Some(keys) = &mut self.keys else { return Verdict::Drop };
                let text = match value {
                    Scalar::Number(digits) => digits,
                    _ => value.text(&mut self.scratch).unwrap_or_default(),
                };
                let label = kind.word();
                let mut token = Vec::with_capacity(40);
                keys.token(plan.class, label, plan.reversible, text, &mut token);
                write_string(&token, out);
                Verdict::Replaced
            }
        }
    }

    fn generalised(&mut self, plan: FieldPlan, value: Scalar<'_>, out: &mut Vec<u8>) -> Verdict {
        if let Some(how) = plan.coarse
            && !matches!(value, Scalar::Null)
        {
            let text = match value {
                Scalar::Number(digits) => Some(digits),
                _ => value.text(&mut self.scratch),
            };
            let text = text.and_then(|text| std::str::from_utf8(text).ok());
            let class = text.and_then(|text| coarse::class(how, text));
            write_string(class.as_deref().unwrap_or(mask::MASK).as_bytes(), out);
            return Verdict::Replaced;
        }
        match (plan.kind, value) {
            (_, Scalar::Null) => Verdict::Keep,
            // There is nothing coarser than one of two.
            (_, Scalar::Bool(_)) => {
                write_string(mask::MASK.as_bytes(), out);
                Verdict::Replaced
            }
            (Kind::Count, Scalar::Number(digits)) => {
                let exact = std::str::from_utf8(digits).ok().and_then(|t| t.parse().ok());
                let Some(exact) = exact else { return Verdict::Drop };
                out.extend_from_slice(mask::count(exact).to_string().as_bytes());
                Verdict::Replaced
            }
            (Kind::Count, _) => {
                let text = value.text(&mut self.scratch).and_then(|t| std::str::from_utf8(t).ok());
                let Some(exact) = text.and_then(|t| t.parse().ok()) else { return Verdict::Drop };
                write_string(mask::count(exact).to_string().as_bytes(), out);
                Verdict::Replaced
            }
            (Kind::Date, _) => {
                let text = value.text(&mut self.scratch).and_then(|t| std::str::from_utf8(t).ok());
                let Some(day) = text.and_then(mask::day) else { return Verdict::Drop };
                write_string(day.as_bytes(), out);
                Verdict::Replaced
            }
            _ => {
                write_string(b"***", out);
                Verdict::Replaced
            }
        }
    }
}

impl Visitor for Treater<'_> {
    fn scalar(
        &mut self,
        field: json::FieldIndex,
        value: Scalar<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Verdict, Stop> {
        if field.0 == SUBJECT {
            return self.person(value);
        }
        let Some(plan) = self.plan(field.0) else { return Ok(Verdict::Drop) };
        let verdict = match plan.treatment {
            Treatment::Plain => self.plain_beside(plan, value, out),
            Treatment::Pseudonymised => self.pseudonymised(plan, value, out),
            Treatment::Generalised => self.generalised(plan, value, out),
            Treatment::Masked => {
                write_string(b"***", out);
                Verdict::Replaced
            }
            // Aggregates and noise are made from many rows, never row by row.
            Treatment::Aggregate | Treatment::Dp => Verdict::Drop,
        };
        self.measure(field.0, value, verdict, out);
        Ok(verdict)
    }

    fn enter_record(&mut self, _index: u64) -> Result<(), Stop> {
        self.named = false;
        self.joined.clear();
        Ok(())
    }

    fn leave_record(&mut self, _index: u64) -> Result<(), Stop> {
        if let Some(measured) = &mut self.measured {
            measured.row();
        }
        if self.must_name && !self.named { Err(Stop(NOBODY)) } else { Ok(()) }
    }

    fn wild_name(&mut self, _raw: &[u8], _escaped: bool) -> Result<NameVerdict, Stop> {
        // A name that the writer chose may be anything: it does not leave.
        Ok(NameVerdict::Drop)
    }
}

/// A text with each finding masked.
fn without<'t>(text: &'t [u8], found: &[Finding]) -> Cow<'t, [u8]> {
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut clean, mut from) = (Vec::with_capacity(text.len()), 0);
    for f in found {
        if f.start >= from {
            clean.extend_from_slice(text.get(from..f.start).unwrap_or_default());
            clean.extend_from_slice(mask::MASK.as_bytes());
        }
        from = from.max(f.end);
    }
    clean.extend_from_slice(text.get(from..).unwrap_or_default());
    Cow::Owned(clean)
}

/// A text in which JSON's escapes of code points are what they stand for; `None` if it has none.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    // Nearly no value has one, and each pays for this look.
    if !text.contains(&b'\\') {
        return None;
    }
    let text = std::str::from_utf8(text).ok().filter(|text| text.contains("\\u"))?;
    let (mut out, mut units, mut rest) = (String::with_capacity(text.len()), Vec::new(), text);
    loop {
        let at = rest.find("\\u").unwrap_or(rest.len());
        let (before, escape) = rest.split_at(at);
        let unit = escape.get(2..6).and_then(|hex| u16::from_str_radix(hex, 16).ok());
        if (!before.is_empty() || unit.is_none()) && !units.is_empty() {
            out.push_str(&String::from_utf16_lossy(&units));
            units.clear();
        }
        out.push_str(before);
        match unit {
            Some(unit) => {
                units.push(unit);
                rest = escape.get(6..).unwrap_or_default();
            }
            None if escape.is_empty() => return Some(out.into_bytes()),
            None => {
                out.push_str("\\u");
                rest = escape.get(2..).unwrap_or_default();
            }
        }
    }
}

/// One short word, as lists of states and countries have: nothing that could be prose or a name with its family.
fn is_word(value: Scalar<'_>) -> bool {
    let Scalar::String { raw, escaped: false } = value else { return false };
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    raw.len() <= WORD_MAX && raw.iter().all(plain)
}

/// Whether a field of this kind is declared to hold what was found, or looks like it by nature.
fn expected(kind: Kind, found: inspect::Kind) -> bool {
    use inspect::Kind as F;
    match kind {
        Kind::Email => found == F::Email,
        Kind::Phone => found == F::Phone,
        Kind::Ip => matches!(found, F::Ipv4 | F::Ipv6),
        // Long numbers in ids, links, dates and counts pass the check digit of a card one time in ten.
        Kind::Link | Kind::Count => matches!(found, F::Card | F::Phone),
        Kind::Id => matches!(found, F::Card | F::Phone | F::AdvertisingId | F::DeviceId),
        Kind::Date => matches!(found, F::Card | F::Phone | F::BirthDate),
        Kind::Handle => found == F::Name,
        Kind::Text | Kind::Word => false,
    }
}
