//! Deciding again: the recorded facts, put to Cedar as `docs/formats/policies.md` says.

mod memo;
mod same;
mod world;

use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, RestrictedExpression, Schema,
    ValidationMode, Validator,
};

pub(crate) use memo::{Memo, Question};

use self::{
    same::Sameness,
    world::{Assessed, Names, World},
};
use crate::{
    codes::Treatment,
    facts::{Evidence, Facts, Group, PrincipalKind},
    report::Rule,
    rulebook::Programme,
};

/// A rule that is broken, and how.
pub(crate) type Problem = (Rule, String);

/// The policies of one rulebook, ready to decide.
pub(crate) struct Judge {
    schema: Schema,
    policies: PolicySet,
    names: Names,
    sameness: Sameness,
}

/// Why policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JudgeError {
    #[error("the schema cannot be read")]
    Schema,
    #[error("the policies cannot be read")]
    Policies,
    #[error("the policies do not fit the schema")]
    Validation,
    #[error("a name is not one of Cedar")]
    Name,
}

/// A question that cannot be put is a refusal.
#[derive(Debug)]
pub(crate) struct Unaskable;

impl Judge {
    pub(crate) fn new(schema: &str, policies: &str) -> Result<Self, JudgeError> {
        let text = schema;
        let schema = Schema::from_str(text).map_err(|_| JudgeError::Schema)?;
        let policies = PolicySet::from_str(policies).map_err(|_| JudgeError::Policies)?;
        let result = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        if !result.validation_passed() {
            return Err(JudgeError::Validation);
        }
        let names = Names::new().map_err(|_| JudgeError::Name)?;
        let sameness = Sameness::of(text, &policies);
        Ok(Self { schema, policies, names, sameness })
    }

    /// Which facts its policies cannot tell apart.
    pub(crate) fn sameness(&self) -> &Sameness {
        &self.sameness
    }

    /// What is wrong with an answer that was released on these facts.
    pub(crate) fn released(&self, programme: &Programme, facts: &Facts<'_>) -> Vec<Problem> {
        let released = |text: String| (Rule::Release, text);
        match facts.principal.kind {
            PrincipalKind::Operator => vec![released("it answers an operator, who asks nothing".into())],
            PrincipalKind::Subject if self.allows_self_access(programme, facts) => Vec::new(),
            PrincipalKind::Subject => vec![released("the policies refuse the person's own reading".into())],
            PrincipalKind::Employee | PrincipalKind::Service => {
                let mut problems = Vec::new();
                if facts.groups.iter().all(|group| group.outcome.is_none()) {
                    problems.push(released("it was released though no group of fields crosses".into()));
                }
                for (number, group) in facts.groups.iter().enumerate() {
                    let Some(treatment) = group.outcome else { continue };
                    if !facts.ladder.contains(&treatment) {
                        let word = treatment.word();
                        problems.push(released(format!("group {number}: `{word}` is not in its ladder")));
                    }
                    if !self.allows(programme, facts, group, treatment, Assessed::AsRecorded) {
                        let (word, class) = (treatment.word(), group.class.word());
                        problems.push(released(format!(
                            "group {number}: the policies refuse {class} in `{word}`"
                        )));
                    }
                }
                problems
            }
        }
    }

    /// What is wrong with a refusal for policy on these facts.
    pub(crate) fn refused(&self, programme: &Programme, facts: &Facts<'_>) -> Vec<Problem> {
        let allowed = |text: String| (Rule::Refusal, text);
        match facts.principal.kind {
            PrincipalKind::Operator => Vec::new(),
            PrincipalKind::Subject if self.allows_self_access(programme, facts) => {
                vec![allowed("the policies allow the person's own reading".into())]
            }
            PrincipalKind::Subject => Vec::new(),
            PrincipalKind::Employee | PrincipalKind::Service => {
                let mut problems = Vec::new();
                for (number, group) in facts.groups.iter().enumerate() {
                    if let Some(treatment) = self.first_step(programme, facts, group, Assessed::AsRecorded) {
                        let word = treatment.word();
                        problems.push(allowed(format!("group {number}: the policies allow `{word}`")));
                    }
                }
                problems
            }
        }
    }

    /// What is wrong with a refusal for an assessment on these facts.
    pub(crate) fn refused_for_assessment(&self, programme: &Programme, facts: &Facts<'_>) -> Vec<Problem> {
        let mut problems = self.refused(programme, facts);
        let would = |group: &Group<'_>| self.first_step(programme, facts, group, Assessed::Open).is_some();
        let asks = matches!(facts.principal.kind, PrincipalKind::Employee | PrincipalKind::Service);
        if !(asks && facts.groups.iter().any(would)) {
            let text = "the policies refuse it whatever an assessment says";
            problems.push((Rule::Refusal, text.into()));
        }
        problems
    }

    /// The first step of the ladder that a group of fields may cross in.
    fn first_step(
        &self,
        programme: &Programme,
        facts: &Facts<'_>,
        group: &Group<'_>,
        assessed: Assessed,
    ) -> Option<Treatment> {
        let allows = |step: &Treatment| self.allows(programme, facts, group, *step, assessed);
        facts.ladder.iter().copied().find(allows)
    }

    /// Whether one group of fields may cross in one treatment. What cannot be asked may not.
    fn allows(
        &self,
        programme: &Programme,
        facts: &Facts<'_>,
        group: &Group<'_>,
        treatment: Treatment,
        assessed: Assessed,
    ) -> bool {
        let Some(action) = action(facts, treatment) else { return false };
        let ask = || {
            let world = World::new(&self.names, programme, facts, Some(group), assessed)?;
            self.ask_group(world, facts, action)
        };
        ask().unwrap_or(false)
    }

    fn ask_group(&self, world: World<'_>, facts: &Facts<'_>, action: &str) -> Result<bool, Unaskable> {
        let context = match action {
            "releaseAggregate" => world.aggregate_context(facts)?,
            "exportField" | "exportFieldPseudonymised" => world.transfer_context(facts)?,
            _ => world.row_context(facts)?,
        };
        let (principal, resource) = (world.principal(facts), world.field(facts));
        self.ask(principal, action, resource, context, world)
    }

    fn allows_self_access(&self, programme: &Programme, facts: &Facts<'_>) -> bool {
        let ask = || {
            let world = World::new(&self.names, programme, facts, None, Assessed::AsRecorded)?;
            let context = world.self_context(facts)?;
            let (principal, resource) = (world.principal(facts), world.record(facts));
            self.ask(principal, "selfAccess", resource, context, world)
        };
        ask().unwrap_or(false)
    }

    fn ask(
        &self,
        principal: EntityUid,
        action: &str,
        resource: EntityUid,
        context: Vec<(String, RestrictedExpression)>,
        world: World<'_>,
    ) -> Result<bool, Unaskable> {
        let entities =
            Entities::from_entities(world.into_entities(), Some(&self.schema)).map_err(|_| Unaskable)?;
        let context = Context::from_pairs(context).map_err(|_| Unaskable)?;
        let action = self.names.action(action);
        let request =
            Request::new(principal, action, resource, context, Some(&self.schema)).map_err(|_| Unaskable)?;
        let response = Authorizer::new().is_authorized(&request, &self.policies, &entities);
        let silent = response.diagnostics().errors().next().is_none();
        Ok(response.decision() == Decision::Allow && silent)
    }
}

/// The action of a treatment; a treatment without one is never allowed.
fn action(facts: &Facts<'_>, treatment: Treatment) -> Option<&'static str> {
    let flow =
        facts.principal.kind == PrincipalKind::Service && matches!(facts.evidence, Some(Evidence::Flow(_)));
    Some(match treatment {
        Treatment::Plain if flow => "exportField",
        Treatment::Plain => "releasePlain",
        Treatment::Pseudonymised if flow => "exportFieldPseudonymised",
        Treatment::Pseudonymised => "releasePseudonymised",
        Treatment::Generalised => "releaseGeneralised",
        Treatment::Masked => "releaseMasked",
        Treatment::Aggregate => "releaseAggregate",
        Treatment::DifferentiallyPrivate => return None,
    })
}
