//! The engine: facts in, facts with outcomes out.

use std::collections::BTreeSet;

use cedar_policy::{Authorizer, Context, Entities, EntityId, EntityUid, PolicySet, Request};
use model::assessments::Assessments;
use model::facts::{Evidence, Facts, Group, PrincipalKind};
use model::programme::Programme;
use model::rulebook::Rulebook;
use model::{Problems, Treatment};

use crate::action::{Action, Shape};
use crate::duty::Duty;
use crate::load::{self, Loaded};
use crate::world::{BuildError, Ground, Types, World};
use callers::{Callers, Known};
use narrowed::Narrowed;

mod callers;
mod narrowed;
mod probe;
#[cfg(test)]
mod tests;

/// What was decided, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The facts, each group with its outcome.
    pub facts: Facts,
    /// The ids of the policies that decided, sorted: permits of what crosses, guardrails of what does not.
    pub policies: Vec<String>,
    /// What must be done besides, sorted: the duties of every permit that decided.
    pub duties: Vec<Duty>,
    /// Whether a question could not be evaluated. What could not be evaluated was not permitted.
    pub errors: bool,
    /// Nothing crosses, and something would if every assessment of a country let everything cross.
    pub assessment: bool,
}

/// A validated rulebook, ready to decide. It holds no state but the entities of its latest callers, which change no answer.
///
/// ```
/// # use std::{fs, path::Path};
/// use model::facts::{Evidence, Facts, Group, Principal, PrincipalKind};
/// use model::{Country, DataClass, Digest, Purpose, Tag, Treatment, UnixSeconds, id::Name, rulebook::Rulebook};
///
/// # let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/starter");
/// # let files = fs::read_dir(folder)?.map(|f| {
/// #     let path = f?.path();
/// #     Ok((path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path)?))
/// # }).collect::<std::io::Result<_>>()?;
/// let rulebook = Rulebook::parse(&files, |_| Digest::new([0; 32]))?;
/// let engine = policy::Engine::new(&rulebook)?;
///
/// let ireland = Country::parse("IE")?;
/// let decision = engine.decide(Facts {
///     principal: Principal {
///         kind: PrincipalKind::Employee,
///         tag: Tag::new([1; 16]),
///         country: ireland,
///         employer: Name::parse("acme-eu")?,
///         seat: ireland,
///         qualified: true,
///         teams: vec![],
///         device_managed: true,
///         device_attested: true,
///         strong: true,
///     },
///     now: UnixSeconds::parse("2026-11-22T10:00:00Z")?,
///     purpose: Purpose::Research,
///     dataset: Name::parse("video")?,
///     rows: 10,
///     subjects: 10,
///     subject: None,
///     k: 50,
///     evidence: Evidence::None,
///     ladder: vec![Treatment::Plain, Treatment::Aggregate],
///     groups: [DataClass::Public, DataClass::Restricted]
///         .map(|class| Group { class, lists: vec![], fields: 1, outcome: None })
///         .to_vec(),
/// });
/// let outcomes: Vec<_> = decision.facts.groups.iter().map(|g| g.outcome).collect();
/// assert_eq!(outcomes, [Some(Treatment::Plain), Some(Treatment::Aggregate)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Engine {
    programme: Programme,
    assessments: Assessments,
    types: Types,
    loaded: Loaded,
    authorizer: Authorizer,
    callers: Callers,
    narrowed: Narrowed,
}

/// The answer to one question.
struct Answer {
    allowed: bool,
    policies: BTreeSet<String>,
    error: bool,
}

impl Engine {
    /// Validates the policies of a rulebook strictly, and slices them by action and kind of principal.
    ///
    /// # Errors
    /// Every problem at once: syntax, a missing or doubled `@id`, an unknown duty, anything that strict
    /// validation reports (its warnings too), and a schema that does not take what the facts give.
    pub fn new(rulebook: &Rulebook) -> Result<Self, Problems> {
        let mut problems = load::check_places(&rulebook.programme);
        let types = problems.keep("clover.cedarschema", "report this", Types::new());
        let Some(types) = types else { return Err(problems) };
        let loaded = match load::load(rulebook, &types) {
            Ok(loaded) => loaded,
            Err(found) => {
                problems.extend(found);
                return Err(problems);
            }
        };
        let (programme, assessments) = (rulebook.programme.clone(), rulebook.assessments.clone());
        let (callers, narrowed) = (Callers::default(), Narrowed::default());
        let authorizer = Authorizer::new();
        let engine = Self { programme, assessments, types, loaded, authorizer, callers, narrowed };
        problems.extend(engine.probe());
        problems.or(engine)
    }

    /// Decides every group: the first treatment of the ladder that is permitted, or none. Outcomes that the
    /// facts already have are not looked at.
    #[must_use]
    pub fn decide(&self, facts: Facts) -> Decision {
        let decision = self.decide_on(self.ground(), facts);
        let nothing = |d: &Decision| d.facts.groups.iter().all(|g| g.outcome.is_none());
        if decision.errors || !nothing(&decision) || !self.abroad(&decision.facts) {
            return decision;
        }
        // Asked once more, for the reason that the caller is told; what crosses stays what was decided above.
        let open = self.decide_on(Ground { assessments: None, ..self.ground() }, decision.facts.clone());
        Decision { assessment: !open.errors && !nothing(&open), ..decision }
    }

    fn ground(&self) -> Ground<'_> {
        Ground { types: &self.types, programme: &self.programme, assessments: Some(&self.assessments) }
    }

    /// Whether a country outside the region has a part in it: others have no assessment that could matter.
    fn abroad(&self, facts: &Facts) -> bool {
        let outside = |country| !self.programme.in_region(country);
        let flow = matches!(&facts.evidence, Evidence::Flow(flow) if outside(flow.destination));
        flow || outside(facts.principal.country)
    }

    fn decide_on(&self, ground: Ground<'_>, mut facts: Facts) -> Decision {
        let mut groups = std::mem::take(&mut facts.groups);
        let mut policies = BTreeSet::new();
        let mut duties = BTreeSet::new();
        let mut errors = false;
        let mut world = World::new(ground, &facts);
        match self.callers.entities(world.caller(), || self.entities(&mut world)) {
            Ok(known) => {
                for group in &mut groups {
                    let (outcome, answer) = self.first_permitted(&world, &known, &facts, group);
                    group.outcome = outcome;
                    errors |= answer.error;
                    if outcome.is_some() {
                        let named = answer.policies.iter().filter_map(|p| self.loaded.duties.get(p));
                        duties.extend(named.flatten().copied());
                    }
                    policies.extend(answer.policies);
                }
            }
            Err(_) => {
                groups.iter_mut().for_each(|g| g.outcome = None);
                errors = true;
            }
        }
        facts.groups = groups;
        Decision {
            facts,
            policies: policies.into_iter().collect(),
            duties: duties.into_iter().collect(),
            errors,
            assessment: false,
        }
    }

    /// Whether a person may read their own record. Only a principal of kind subject may; groups are not
    /// looked at. What cannot be evaluated is not permitted.
    #[must_use]
    pub fn self_access(&self, facts: &Facts) -> bool {
        if facts.principal.kind != PrincipalKind::Subject {
            return false;
        }
        self.own(facts).is_ok_and(|answer| answer.allowed)
    }

    /// The same, apart from what cannot be evaluated, which is `None`.
    #[must_use]
    pub(crate) fn own_reading(&self, facts: &Facts) -> Option<bool> {
        let answer = self.own(facts).ok().filter(|answer| !answer.error)?;
        Some(facts.principal.kind == PrincipalKind::Subject && answer.allowed)
    }

    /// Whether no policy names, and no schema lists, an entity whose id is a tag.
    pub(crate) fn names_no_tag(&self) -> bool {
        self.loaded.names_no_tag
    }

    fn own(&self, facts: &Facts) -> Result<Answer, BuildError> {
        let mut world = World::new(self.ground(), facts);
        let entities = self.entities(&mut world)?;
        let kind = PrincipalKind::Subject;
        self.ask(Action::SelfAccess, kind, &world, world.record(), world.context(Shape::Own)?, &entities)
    }

    fn entities(&self, world: &mut World<'_>) -> Result<Entities, BuildError> {
        world.entities(&self.loaded.schema, |shared, build| self.callers.shared(shared, build))
    }

    /// Walks the ladder. When nothing is permitted, the answer holds the guardrails of every step.
    fn first_permitted(
        &self,
        world: &World<'_>,
        known: &Known,
        facts: &Facts,
        group: &Group,
    ) -> (Option<Treatment>, Answer) {
        let mut refused = Answer { allowed: false, policies: BTreeSet::new(), error: false };
        let field = || world.with_field(&known.entities, group, &self.loaded.schema);
        let entities = match known.with_field(group, field) {
            Ok(entities) => entities,
            Err(_) => return (None, Answer { error: true, ..refused }),
        };
        for treatment in &facts.ladder {
            let Some(action) = Action::of(*treatment, facts) else { continue };
            match self.treat(action, world, facts.principal.kind, &entities) {
                Ok(answer) if answer.allowed => {
                    return (Some(*treatment), Answer { error: refused.error, ..answer });
                }
                Ok(answer) => {
                    refused.policies.extend(answer.policies);
                    refused.error |= answer.error;
                }
                Err(_) => refused.error = true,
            }
        }
        (None, refused)
    }

    fn treat(
        &self,
        action: Action,
        world: &World<'_>,
        kind: PrincipalKind,
        entities: &Entities,
    ) -> Result<Answer, BuildError> {
        self.ask(action, kind, world, world.field(), world.context(action.shape())?, entities)
    }

    fn ask(
        &self,
        action: Action,
        kind: PrincipalKind,
        world: &World<'_>,
        resource: EntityUid,
        context: Context,
        entities: &Entities,
    ) -> Result<Answer, BuildError> {
        let slices = &self.loaded.slices;
        let slice = self.narrowed.of(slices, &self.types.team, (action, kind), world.teams());
        self.ask_set(&*slice.ok_or(BuildError::Evidence)?, action, world, resource, context, entities)
    }

    // INVARIANT: allowed only when Cedar allows and reports no error (rule of docs/formats/policies.md).
    fn ask_set(
        &self,
        set: &PolicySet,
        action: Action,
        world: &World<'_>,
        resource: EntityUid,
        context: Context,
        entities: &Entities,
    ) -> Result<Answer, BuildError> {
        let principal = world.asker().ok_or(BuildError::Evidence)?;
        let action =
            EntityUid::from_type_name_and_id(self.types.action.clone(), EntityId::new(action.word()));
        let schema = Some(&self.loaded.schema);
        let request = Request::new(principal, action, resource, context, schema).map_err(Box::new)?;
        let response = self.authorizer.is_authorized(&request, set, entities);
        let error = response.diagnostics().errors().next().is_some();
        Ok(Answer {
            allowed: response.decision() == cedar_policy::Decision::Allow && !error,
            policies: response.diagnostics().reason().map(ToString::to_string).collect(),
            error,
        })
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("programme", &self.programme.name).finish_non_exhaustive()
    }
}
