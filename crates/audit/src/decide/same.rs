//! Which facts lead to the same decision, so that each decision is made once.
//!
//! # Why it is sound
//!
//! [`Sameness::key`] maps facts to bytes such that equal bytes have equal answers under one rulebook. All that
//! a request is built from (`docs/formats/policies.md`) stands in those bytes as it is, with two exceptions. What the
//! rulebook's assessments say depends on `now`, too: what they come to for each country of the facts stands there.
//!
//! 1. **Tags** are replaced by the order in which they first appear. A tag is only ever the id of an entity of
//!    six types. Cedar can compare such ids for equality and membership, and has no operator that orders them
//!    or looks inside. The replacement is one to one, so whatever two ids are equal stay equal, and the store
//!    of entities is the same up to names. A policy could still name one tag as a literal, and a schema could
//!    list ids: if any entity literal of those types stands in a policy, or an `enum` of them in the schema,
//!    tags are taken as they are.
//! 2. **Times** (`now`, `notBefore`, `notAfter`, `approvedAt`) are replaced by the signs of all comparisons that
//!    policies can make of them. That is done only if in every policy each of these attributes stands directly
//!    in a comparison with a literal date or another of them, or in a `durationSince` of two of them that is
//!    directly compared with a literal duration. Then every expression with a time in it lies within a
//!    comparison, whose value is given by the signs; by induction over expressions the rest cannot differ. No
//!    such comparison can be an error: dates are within the years 1 to 9999 (other facts are taken as they are), whose
//!    differences in milliseconds fit. The variable `context` must stand before an attribute, so that no
//!    record holding a time is compared as a whole.
//!
//! Left out is the number of fields of a group, and the operator's answer texts name no tag and no time.

use std::{cmp::Ordering, str::FromStr};

use cedar_policy::PolicySet;
use jiff::{Timestamp, civil};
use serde_json::{Map, Value};

use super::{Question, world::countries_of};
use crate::{
    facts::{Approver, Evidence, Facts},
    hash::{Hash, sha256},
    header::Tag,
    rulebook::Programme,
};

/// Entity types whose ids are tags.
const TAGGED: [&str; 6] = ["Employee", "Service", "DataSubject", "SubjectRecord", "Grant", "Case"];
const TIMES: [&str; 4] = ["now", "notBefore", "notAfter", "approvedAt"];
const COMPARISONS: [&str; 6] = ["<", "<=", ">", ">=", "==", "!="];
/// The last second of the year 9999, beyond which no request can be built.
const SECONDS_MAX: u64 = 253_402_300_799;

/// What of the facts a rulebook's policies can tell apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sameness {
    /// Tags may be renamed.
    renames: bool,
    /// Literals that times are compared with; absent if times are used in another way.
    bounds: Option<Bounds>,
}

/// Literal dates and durations, in milliseconds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Bounds {
    dates: Vec<i64>,
    spans: Vec<i64>,
}

impl Sameness {
    /// Looks through all policies; whatever it does not understand is taken as it is.
    pub(super) fn of(schema: &str, policies: &PolicySet) -> Self {
        let listed = schema.split(';').any(|statement| {
            let mut words = statement.split(|c: char| !c.is_alphanumeric() && c != '_');
            let is_enum = words.clone().any(|word| word == "enum");
            is_enum && words.any(|word| TAGGED.contains(&word))
        });
        let mut renames = !listed;
        let mut bounds = Some(Bounds { dates: Vec::new(), spans: vec![0] });
        for policy in policies.policies() {
            let Ok(json) = policy.to_json() else { return Self { renames: false, bounds: None } };
            renames &= !names_a_tag(&json);
            let good = bounds.as_mut().is_some_and(|bounds| bounds.read(&json).is_some());
            if !good {
                bounds = None;
            }
        }
        if let Some(bounds) = &mut bounds {
            bounds.spans.sort_unstable();
            bounds.spans.dedup();
            bounds.dates.sort_unstable();
            bounds.dates.dedup();
        }
        Self { renames, bounds }
    }

    /// Equal for facts that lead to the same answer.
    pub(crate) fn key(
        &self,
        question: Question,
        rulebook: &Hash,
        programme: &Programme,
        facts: &Facts<'_>,
    ) -> Hash {
        let mut out = Key { bytes: Vec::with_capacity(384), tags: self.renames.then(Vec::new) };
        out.bytes.push(question as u8);
        out.bytes.extend_from_slice(rulebook);
        let standing = |code| programme.assessments.standing(code, facts.now).byte();

        let countries = countries_of(programme, facts);
        out.bytes.push(u8::try_from(countries.len()).unwrap_or(u8::MAX));
        out.bytes.extend(countries.into_iter().map(standing));
        out.principal(facts);
        out.number(u64::from(facts.purpose));
        out.text(facts.dataset);
        out.number(facts.rows);
        out.number(facts.subjects);
        out.optional(facts.subject.as_ref(), Key::tag);
        out.number(facts.k);
        let times = out.evidence(facts);
        out.number(facts.ladder.len() as u64);
        facts.ladder.iter().for_each(|treatment| out.bytes.push(treatment.bit()));
        out.number(facts.groups.len() as u64);
        for group in &facts.groups {
            out.bytes.push(group.class.bit());
            out.texts(&group.lists);
            out.bytes.push(group.outcome.map_or(0, |outcome| outcome.bit()));
        }
        match &self.bounds {
            Some(bounds) if times.iter().all(|time| *time <= SECONDS_MAX) => {
                out.bytes.push(1);
                bounds.signs(&times, &mut out.bytes);
            }
            _ => {
                out.bytes.push(0);
                times.iter().for_each(|time| out.number(*time));
            }
        }
        sha256(&out.bytes)
    }
}

impl Bounds {
    /// Collects the literals of one expression; `None` if a time is used in another way.
    fn read(&mut self, value: &Value) -> Option<()> {
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.read(item)),
            Value::Object(object) => self.read_object(object),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => Some(()),
        }
    }

    fn read_object(&mut self, object: &Map<String, Value>) -> Option<()> {
        if let (1, Some((operator, operands))) = (object.len(), object.iter().next()) {
            if COMPARISONS.contains(&operator.as_str()) && self.read_comparison(operands) {
                return Some(());
            }
            match operator.as_str() {
                "Var" if operands == "context" => return None,
                "." if is_time(value_at(operands, "attr")) => return None,
                // `context` may stand here, and nowhere else.
                "." | "has" if value_at(operands, "left") == &context() => return Some(()),
                _ => {}
            }
        }
        object.values().try_for_each(|value| self.read(value))
    }

    /// Takes a comparison of times, if it is one.
    fn read_comparison(&mut self, operands: &Value) -> bool {
        let (left, right) = (value_at(operands, "left"), value_at(operands, "right"));
        if is_time_term(left) && is_time_term(right) {
            return true;
        }
        for (one, other) in [(left, right), (right, left)] {
            if let (true, Some(date)) = (is_time_term(one), literal(other, "datetime").and_then(date)) {
                self.dates.push(date);
                return true;
            }
            if let (true, Some(span)) = (is_difference(one), literal(other, "duration").and_then(span)) {
                self.spans.extend([span, -span]);
                return true;
            }
        }
        false
    }

    /// The outcome of every comparison of these times.
    fn signs(&self, times: &[u64], out: &mut Vec<u8>) {
        let millis = |time: &u64| i64::try_from(*time).unwrap_or(i64::MAX).saturating_mul(1000);
        let sign = |order: Ordering| order as i8 as u8;
        for (place, time) in times.iter().enumerate() {
            let time = millis(time);
            out.extend(self.dates.iter().map(|date| sign(time.cmp(date))));
            for other in times.iter().skip(place + 1) {
                let apart = time.saturating_sub(millis(other));
                out.extend(self.spans.iter().map(|span| sign(apart.cmp(span))));
            }
        }
    }
}

fn value_at<'v>(value: &'v Value, key: &str) -> &'v Value {
    value.get(key).unwrap_or(&Value::Null)
}

fn context() -> Value {
    serde_json::json!({ "Var": "context" })
}

fn is_time(attribute: &Value) -> bool {
    attribute.as_str().is_some_and(|name| TIMES.contains(&name))
}

/// `context.now`, or a time of the grant or the case in the context, and nothing that is computed.
fn is_time_term(value: &Value) -> bool {
    let Some(access) = only(value, ".") else { return false };
    let base = value_at(access, "left");
    let direct = *base == context();
    let evidence = only(base, ".").is_some_and(|inner| {
        let name = value_at(inner, "attr");
        *value_at(inner, "left") == context() && (name == "grant" || name == "case")
    });
    is_time(value_at(access, "attr")) && (direct || evidence)
}

fn is_difference(value: &Value) -> bool {
    let operands = only(value, "durationSince").and_then(Value::as_array);
    matches!(operands.map(Vec::as_slice), Some([one, other]) if is_time_term(one) && is_time_term(other))
}

/// The value of an object that has this key and no other.
fn only<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    value.as_object().filter(|object| object.len() == 1)?.get(key)
}

/// The text of `function("text")`.
fn literal<'v>(value: &'v Value, function: &str) -> Option<&'v str> {
    let [argument] = only(value, function)?.as_array()?.as_slice() else { return None };
    only(argument, "Value")?.as_str()
}

/// A date or a time in UTC, in milliseconds since 1970.
fn date(text: &str) -> Option<i64> {
    if text.len() == 10 {
        let day = civil::Date::from_str(text).ok()?;
        return Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond());
    }
    let plain = text.ends_with('Z') && text.contains('T');
    plain.then(|| Timestamp::from_str(text).ok()).flatten().map(Timestamp::as_millisecond)
}

/// A duration such as `1d2h3m4s5ms`, in milliseconds; negative ones are left to the exact way.
fn span(text: &str) -> Option<i64> {
    let (mut rest, mut total) = (text, 0_i64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let units = [("ms", 1), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
        let (tail, unit) =
            units.iter().find_map(|(name, unit)| tail.strip_prefix(name).map(|tail| (tail, unit)))?;
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(*unit)?)?;
        rest = tail;
    }
    Some(total)
}

/// Whether an entity literal of a tagged type stands anywhere.
fn names_a_tag(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(names_a_tag),
        Value::Object(object) => {
            let kind = object.get("type").and_then(Value::as_str).filter(|_| object.contains_key("id"));
            let tagged = kind.is_some_and(|kind| {
                let name = kind.rsplit("::").next().unwrap_or(kind);
                TAGGED.contains(&name)
            });
            tagged || object.values().any(names_a_tag)
        }
        _ => false,
    }
}

/// Bytes that no other facts have: lengths stand before all that has no fixed length.
struct Key {
    bytes: Vec<u8>,
    /// Tags in the order in which they appeared, if they are renamed.
    tags: Option<Vec<Tag>>,
}

impl Key {
    fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn texts(&mut self, texts: &[&str]) {
        self.number(texts.len() as u64);
        texts.iter().for_each(|text| self.text(text));
    }

    fn tag(&mut self, tag: &Tag) {
        let Some(tags) = &mut self.tags else { return self.bytes.extend_from_slice(tag) };
        let known = tags.iter().position(|other| other == tag);
        let place = known.unwrap_or_else(|| {
            tags.push(*tag);
            tags.len() - 1
        });
        self.number(place as u64);
    }

    fn optional<T: ?Sized>(&mut self, value: Option<&T>, put: impl Fn(&mut Self, &T)) {
        self.bytes.push(u8::from(value.is_some()));
        if let Some(value) = value {
            put(self, value);
        }
    }

    fn principal(&mut self, facts: &Facts<'_>) {
        let principal = &facts.principal;
        self.bytes.push(principal.kind as u8);
        self.tag(&principal.tag);
        for text in [principal.country, principal.employer, principal.seat] {
            self.text(text);
        }
        self.texts(&principal.teams);
        for flag in
            [principal.qualified, principal.device_managed, principal.device_attested, principal.strong]
        {
            self.bytes.push(u8::from(flag));
        }
    }

    fn approver(&mut self, approver: &Approver<'_>) {
        self.tag(&approver.tag);
        [approver.country, approver.employer].into_iter().for_each(|text| self.text(text));
    }

    /// Puts all of the evidence but its times, which it returns after `now`, and its amount, which no policy reads.
    fn evidence(&mut self, facts: &Facts<'_>) -> Vec<u64> {
        let now = facts.now;
        match &facts.evidence {
            None => {
                self.bytes.push(0);
                vec![now]
            }
            Some(Evidence::Grant(grant)) => {
                self.bytes.push(1);
                [&grant.id, &grant.holder].into_iter().for_each(|tag| self.tag(tag));
                self.approver(&grant.approver);
                self.optional(grant.second.as_ref(), Self::approver);
                self.optional(grant.incident.as_ref(), Self::tag);
                self.number(u64::from(grant.purpose));
                self.text(grant.dataset);
                self.optional(grant.fields, |key, fields| key.text(fields));
                self.optional(grant.subject.as_ref(), Self::tag);
                vec![now, grant.not_before, grant.not_after]
            }
            Some(Evidence::Case(case)) => {
                self.bytes.push(2);
                [&case.id, &case.engineer, &case.subject].into_iter().for_each(|tag| self.tag(tag));
                self.approver(&case.approver);
                [case.kind, case.fields].into_iter().for_each(|text| self.text(text));
                self.bytes.push(u8::from(case.open));
                vec![now, case.approved_at]
            }
            Some(Evidence::Flow(flow)) => {
                self.bytes.push(3);
                self.tag(&flow.sink);
                let texts = [flow.name, flow.fields, flow.destination, flow.basis];
                texts.into_iter().for_each(|text| self.text(text));
                self.bytes.push(u8::from(flow.active));
                vec![now]
            }
        }
    }
}

#[cfg(test)]
mod tests;
