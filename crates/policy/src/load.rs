//! From policy text to sliced, validated policy sets. Whatever is wrong is told at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cedar_policy::{
    Entities, EntityId, EntityUid, ParseErrors, Policy, PolicyId, PolicySet, Schema, ValidationMode,
    Validator,
};
use model::facts::PrincipalKind;
use model::rulebook::{PROPERTIES, Rulebook};
use model::{Country, Problems};

use crate::action::Action;
use crate::duty::Duty;
use crate::property::{self, Property};
use crate::scope::{Groups, can_match};
use crate::world::Types;

const POLICIES: &str = "*.cedar";
const SCHEMA: &str = "clover.cedarschema";

/// The policies that can match, by action and kind of principal.
pub(crate) type Slices = HashMap<(Action, PrincipalKind), PolicySet>;

/// The duties of each policy that has any, by id.
pub(crate) type Duties = BTreeMap<String, BTreeSet<Duty>>;

/// A policy set that passed strict validation.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) schema: Schema,
    pub(crate) slices: Slices,
    pub(crate) duties: Duties,
    pub(crate) names_no_tag: bool,
}

/// The Cedar texts of a rulebook, each policy and property under its `@id`, strictly validated.
#[derive(Debug)]
pub struct Texts {
    /// The schema.
    pub schema: Schema,
    /// The schema's actions with their groups.
    pub actions: Entities,
    /// The policies, by id.
    pub policies: Vec<Policy>,
    /// What is to be proved of them, by id.
    pub properties: Vec<Property>,
}

impl Texts {
    /// Parses, names and validates.
    ///
    /// # Errors
    /// Every problem at once, but those of duties and of the schema's fit to the facts, which
    /// [`Engine::new`](crate::Engine::new) tells as well.
    pub fn read(rulebook: &Rulebook) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let schema = read_schema(&rulebook.schema, &mut problems);
        let policies = read_policies(POLICIES, &rulebook.policies, &mut problems);
        let named = read_policies(PROPERTIES, &rulebook.properties, &mut problems);
        let Some(schema) = schema else { return Err(problems) };
        validate(POLICIES, &schema, &policies, &mut problems);
        validate(PROPERTIES, &schema, &named, &mut problems);
        let actions = problems.keep(SCHEMA, "correct the actions", schema.action_entities());
        let Some(actions) = actions else { return Err(problems) };
        let taken = policies.iter().map(|p| p.id().to_string()).collect();
        let properties = property::read(named, &taken, &schema, &actions, &mut problems);
        problems.or(Self { schema, actions, policies, properties })
    }
}

/// Parses, names, validates and slices.
pub(crate) fn load(rulebook: &Rulebook, types: &Types) -> Result<Loaded, Problems> {
    let (texts, mut problems) = match Texts::read(rulebook) {
        Ok(texts) => (Some(texts), Problems::default()),
        Err(problems) => (None, problems),
    };
    // Duties are read once more from the text, so that theirs are told with the other problems.
    let policies = match &texts {
        Some(texts) => texts.policies.clone(),
        None => read_policies(POLICIES, &rulebook.policies, &mut Problems::default()),
    };
    let duties = read_duties(&policies, &mut problems);
    let Some(texts) = texts else { return Err(problems) };
    let slices = slice(&texts, types, &mut problems);
    let names_no_tag = !lists_tags(&rulebook.schema) && !texts.policies.iter().any(names_a_tag);
    problems.or(Loaded { schema: texts.schema, slices, duties, names_no_tag })
}

/// Entity types whose ids are tags.
const TAGGED: [&str; 7] =
    ["Employee", "Service", "DataSubject", "SubjectRecord", "Grant", "Case", "Incident"];

fn names_a_tag(policy: &Policy) -> bool {
    policy.entity_literals().iter().any(|uid| TAGGED.contains(&uid.type_name().basename()))
}

/// Whether a schema lists the ids of a type whose ids are tags.
fn lists_tags(schema: &str) -> bool {
    schema.split(';').any(|statement| {
        let words: Vec<_> = statement.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        words.contains(&"enum") && words.iter().any(|word| TAGGED.contains(word))
    })
}

/// An unknown place is outside, whatever a programme says.
pub(crate) fn check_places(programme: &model::programme::Programme) -> Problems {
    let mut problems = Problems::default();
    if programme.in_region(Country::UNKNOWN) || programme.destinations.contains(&Country::UNKNOWN) {
        problems.add("programme.toml", "`ZZ` means an unknown place, which is closed", "remove it");
    }
    problems
}

fn read_schema(text: &str, problems: &mut Problems) -> Option<Schema> {
    match Schema::from_cedarschema_str(text) {
        Ok((schema, warnings)) => {
            for warning in warnings {
                problems.add(SCHEMA, one_line(&warning), "rename one of the two");
            }
            Some(schema)
        }
        Err(e) => {
            problems.add(SCHEMA, one_line(&e), "see docs/formats/policies.md");
            None
        }
    }
}

/// Every policy under the name of its `@id`, so that decisions and problems name what people wrote.
fn read_policies(place: &str, text: &str, problems: &mut Problems) -> Vec<Policy> {
    let set = match text.parse::<PolicySet>() {
        Ok(set) => set,
        Err(errors) => {
            add_syntax_errors(place, &errors, text, problems);
            return Vec::new();
        }
    };
    for template in set.templates() {
        let why = format!("`{}` is a template, and nothing fills it in", template.id());
        problems.add(place, why, "write a policy for each case");
    }
    let mut named: BTreeMap<String, Policy> = BTreeMap::new();
    for policy in set.policies() {
        let Some(id) = policy.annotation("id").filter(|id| !id.is_empty()) else {
            let why = format!("a policy without @id: `{}`", excerpt(&policy.to_string(), 0));
            problems.add(place, why, "give it one, it stands in decisions and tests");
            continue;
        };
        if named.insert(id.to_owned(), policy.new_id(PolicyId::new(id))).is_some() {
            problems.add(place, format!("two policies with the @id `{id}`"), "rename one");
        }
    }
    named.into_values().collect()
}

fn add_syntax_errors(place: &str, errors: &ParseErrors, text: &str, problems: &mut Problems) {
    for error in errors.iter() {
        let at = miette::Diagnostic::labels(error).and_then(|mut labels| labels.next()).map(|l| l.offset());
        let near = at.map_or_else(String::new, |at| format!(" near `{}`", excerpt(text, at)));
        problems.add(place, format!("{}{near}", one_line(error)), "correct the syntax");
    }
}

fn read_duties(policies: &[Policy], problems: &mut Problems) -> Duties {
    let mut duties = Duties::new();
    for policy in policies {
        let words = policy.annotation("duty").into_iter().flat_map(|list| list.split(','));
        for word in words.map(str::trim) {
            match Duty::parse(word) {
                Some(duty) => {
                    duties.entry(policy.id().to_string()).or_default().insert(duty);
                }
                None => {
                    let known = Duty::ALL.map(Duty::word).join(", ");
                    let why = format!("`{}` names the unknown duty `{word}`", policy.id());
                    problems.add(POLICIES, why, format!("use one of {known}"));
                }
            }
        }
    }
    duties
}

/// Warnings count: a policy that can never apply is a promise that nobody keeps.
fn validate(place: &str, schema: &Schema, policies: &[Policy], problems: &mut Problems) {
    let set = PolicySet::from_policies(policies.iter().cloned());
    let Some(set) = problems.keep(place, "give each its own @id", set) else { return };
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    for error in result.validation_errors() {
        problems.add(place, one_line(error), "make it fit clover.cedarschema");
    }
    for warning in result.validation_warnings() {
        problems.add(place, one_line(warning), "correct or remove it");
    }
}

/// A policy is left out of a slice only where its scope alone makes it false, which cannot err either.
fn slice(texts: &Texts, types: &Types, problems: &mut Problems) -> Slices {
    let mut slices = Slices::new();
    for action in Action::ALL {
        let uid = EntityUid::from_type_name_and_id(types.action.clone(), EntityId::new(action.word()));
        let Some(groups) = Groups::of(&uid, &texts.actions) else {
            problems.add(SCHEMA, format!("no action `{}`", action.word()), "declare it");
            continue;
        };
        for kind in action.askers() {
            let Some(asker) = types.of(*kind) else { continue };
            let matching = texts.policies.iter().filter(|p| can_match(p, &groups, asker)).cloned();
            if let Some(s) = problems.keep(POLICIES, "rename one", PolicySet::from_policies(matching)) {
                slices.insert((action, *kind), s);
            }
        }
    }
    slices
}

fn one_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Some characters of a text from an offset on, on one line.
fn excerpt(text: &str, from: usize) -> String {
    let rest = text.get(from..).unwrap_or_default();
    let start: String = rest.chars().take(60).collect();
    one_line(&start)
}
