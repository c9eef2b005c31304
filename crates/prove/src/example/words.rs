//! A request in words. Solvers choose names and numbers that nobody would, but the shape of the request is what counts.

use cedar_policy::{Context, Entities, Entity, EntityUid, EvalResult};
use cedar_policy_symcc::Env;

/// A name that a solver made up is cut here.
const NAME_MAX: usize = 24;
const DAY_MS: i64 = 86_400_000;

/// A line for each part of a request.
pub(super) fn of(env: &Env) -> Vec<String> {
    let teller = Teller { env, principal: env.request.principal(), region: region(env) };
    let mut lines = Vec::new();
    if let Some(action) = env.request.action() {
        lines.push(format!("action     {}", action.id().unescaped()));
    }
    if let Some(principal) = env.request.principal() {
        let told = teller.attributes(principal, &["location"]);
        lines.push(format!("principal  {}{}", name(principal), told));
        if let Some(place) = teller.place(principal) {
            lines.push(format!("place      {place}{}", teller.attributes_of_place(principal)));
        }
    }
    if let Some(resource) = env.request.resource() {
        lines.push(format!("resource   {}{}", name(resource), teller.attributes(resource, &[])));
    }
    if let Some(context) = env.request.context() {
        teller.context(context, &mut lines);
    }
    lines
}

/// The region of the data, if the resource says it.
fn region(env: &Env) -> Option<EntityUid> {
    match attribute(env.entities.get(env.request.resource()?)?, "region")? {
        EvalResult::EntityUid(region) => Some(region),
        _ => None,
    }
}

fn attribute(entity: &Entity, key: &str) -> Option<EvalResult> {
    entity.attr(key)?.ok()
}

/// Type and id; the solver likes the empty id, which is left out.
fn name(uid: &EntityUid) -> String {
    let id: String = uid.id().escaped().chars().take(NAME_MAX).collect();
    let kind = uid.type_name().basename();
    if id.is_empty() { kind.to_owned() } else { format!("{kind} `{id}`") }
}

struct Teller<'e> {
    env: &'e Env,
    principal: Option<&'e EntityUid>,
    region: Option<EntityUid>,
}

impl Teller<'_> {
    /// Attributes and groups of an entity, after a colon.
    fn attributes(&self, uid: &EntityUid, but: &[&str]) -> String {
        let Some(entity) = self.env.entities.get(uid) else { return String::new() };
        let mut told: Vec<(String, String)> = Vec::new();
        for (key, value) in entity.attrs().filter(|(key, _)| !but.contains(key)) {
            let Ok(value) = value else { continue };
            told.push((key.to_owned(), self.pair(key, &value)));
        }
        told.sort();
        let mut parts: Vec<String> = told.into_iter().map(|(_, words)| words).collect();
        parts.extend(groups(&self.env.entities, uid));
        if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
    }

    /// A country, and whether it lies in the region of the data.
    fn place(&self, whose: &EntityUid) -> Option<String> {
        let EvalResult::EntityUid(place) = attribute(self.env.entities.get(whose)?, "location")? else {
            return None;
        };
        let inside = self.region.as_ref().map(|region| self.env.entities.is_ancestor_of(region, &place));
        let side = match inside {
            Some(true) => ", inside the region of the data",
            Some(false) => ", outside the region of the data",
            None => "",
        };
        Some(format!("{}{side}", name(&place)))
    }

    fn attributes_of_place(&self, whose: &EntityUid) -> String {
        let place = self.env.entities.get(whose).and_then(|e| attribute(e, "location"));
        let Some(EvalResult::EntityUid(place)) = place else { return String::new() };
        let Some(entity) = self.env.entities.get(&place) else { return String::new() };
        let mut told: Vec<String> =
            entity.attrs().filter_map(|(key, value)| Some(self.pair(key, &value.ok()?))).collect();
        told.sort();
        if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) }
    }

    /// Plain values on one line, and what has attributes of its own on a line for each.
    fn context(&self, context: &Context, lines: &mut Vec<String>) {
        let mut keys: Vec<String> = context.clone().into_iter().map(|(key, _)| key).collect();
        keys.sort();
        let (mut plain, mut long) = (Vec::new(), Vec::new());
        for key in keys {
            match context.get(&key) {
                Some(EvalResult::EntityUid(uid)) if self.has_attributes(&uid) => {
                    long.push(format!("{key:<10} {}{}", name(&uid), self.attributes(&uid, &[])));
                }
                Some(value) => plain.push(self.pair(&key, &value)),
                None => {}
            }
        }
        lines.push(format!("context    {}", plain.join(", ")));
        lines.append(&mut long);
    }

    fn has_attributes(&self, uid: &EntityUid) -> bool {
        self.env.entities.get(uid).is_some_and(|e| e.attrs().next().is_some())
    }

    fn pair(&self, key: &str, value: &EvalResult) -> String {
        match value {
            EvalResult::Bool(true) => key.to_owned(),
            EvalResult::Bool(false) => format!("not {key}"),
            EvalResult::Record(record) => {
                let mut parts: Vec<String> = record.iter().map(|(k, v)| self.pair(k, v)).collect();
                parts.sort();
                format!("{key} ({})", parts.join(", "))
            }
            EvalResult::EntityUid(uid) if uid.type_name().basename().eq_ignore_ascii_case(key) => {
                let told = self.value(value);
                let (kind, rest) = told.split_at(uid.type_name().basename().len().min(told.len()));
                if kind.eq_ignore_ascii_case(key) { format!("{key}{rest}") } else { format!("{key} {told}") }
            }
            other => format!("{key} {}", self.value(other)),
        }
    }

    fn value(&self, value: &EvalResult) -> String {
        match value {
            EvalResult::EntityUid(uid) if Some(uid) == self.principal => "the principal".to_owned(),
            EvalResult::EntityUid(uid) => match self.place(uid) {
                Some(place) => format!("{} in {place}", name(uid)),
                None => name(uid),
            },
            EvalResult::ExtensionValue(text) => moment(text),
            other => other.to_string(),
        }
    }
}

/// Everything that an entity lies in.
fn groups(entities: &Entities, uid: &EntityUid) -> Vec<String> {
    let mut all: Vec<String> = entities.ancestors(uid).into_iter().flatten().map(name).collect();
    all.sort();
    all.into_iter().map(|group| format!("in {group}")).collect()
}

/// A moment as a date where the calendar has one.
fn moment(text: &str) -> String {
    let milliseconds = text
        .split_once("offset(duration(\"")
        .and_then(|(_, rest)| rest.split_once("ms\""))
        .and_then(|(number, _)| number.parse::<i64>().ok());
    let seconds = milliseconds.and_then(|ms| u64::try_from(ms.div_euclid(1000)).ok());
    match (milliseconds, seconds) {
        (Some(_), Some(seconds)) if seconds <= 253_402_300_799 => model::UnixSeconds(seconds).rfc3339(),
        (Some(ms), _) => format!("{} days from 1970", ms.div_euclid(DAY_MS)),
        (None, _) => text.to_owned(),
    }
}
