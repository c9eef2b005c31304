//! A rulebook as the prover sees it: its policies by the kinds of request that can lie in their scope.

use std::sync::OnceLock;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, RequestEnv};
use cedar_policy_symcc::{CompiledPolicy, CompiledPolicySet};
use model::rulebook::{Files, PROPERTIES, Rulebook};
use model::{Digest, Problems};
use policy::scope::{Groups, can_match};
use policy::{Engine, Property, Texts};

use crate::solver::one_line;

/// What makes a counterexample easier to read. It is tried first, and proves nothing.
const BELIEVABLE: &str = r#"
    context.now >= datetime("2026-01-01") && context.now < datetime("2027-01-01") &&
    (if context has rows then context.rows >= 1 && context.rows <= 1000000 else true) &&
    (if context has subjects then context.subjects >= 1 && context.subjects <= 1000000 else true) &&
    (if context has k then context.k >= 0 && context.k <= 1000000 else true) &&
    (if context has case
     then context.case.approvedAt >= datetime("2025-12-01") && context.case.approvedAt < datetime("2027-01-01")
     else true) &&
    (if context has grant
     then context.grant.notBefore >= datetime("2025-12-01") && context.grant.notBefore < datetime("2027-01-01") &&
          context.grant.notAfter >= datetime("2025-12-01") && context.grant.notAfter < datetime("2028-01-01")
     else true)"#;

/// A checked rulebook.
#[derive(Debug)]
pub struct Book {
    /// The digest that is signed.
    pub digest: Digest,
    /// Of `properties.cedar` alone.
    pub properties_digest: Option<Digest>,
    pub(crate) files: Files,
    pub(crate) texts: Texts,
    pub(crate) kinds: Vec<Kind>,
    everything: Policy,
}

/// One kind of request: an action by a kind of principal on a kind of resource.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) env: RequestEnv,
    groups: Groups,
    guard: OnceLock<Compiled>,
}

/// A compiled set of policies, or why it cannot be compiled.
pub(crate) type Compiled = Result<CompiledPolicySet, String>;

impl Kind {
    /// As `releasePlain by Employee`.
    pub(crate) fn name(&self) -> String {
        format!("{} by {}", self.env.action().id().unescaped(), self.env.principal().basename())
    }

    /// The groups of its action.
    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }
}

impl Book {
    /// Checks a rulebook's files as `clover rulebook check` does, and reads what is to be proved.
    ///
    /// # Errors
    /// Every problem of every file at once.
    pub fn read(files: Files) -> Result<Self, Problems> {
        let rulebook = Rulebook::parse(&files, sha256)?;
        Engine::new(&rulebook)?;
        let mut texts = Texts::read(&rulebook)?;
        texts.policies.sort_by_cached_key(|p| by_number(p.id().as_ref()));
        texts.properties.sort_by_cached_key(|p| by_number(&p.id));
        let mut problems = Problems::default();
        let text = "permit (principal, action, resource);";
        let everything = Policy::parse(Some(PolicyId::new("(everything)")), text);
        let everything = problems.keep("*.cedar", "report this", everything);
        let Some(everything) = everything else { return Err(problems) };
        let kind = |env: RequestEnv| {
            Some(Kind { groups: Groups::of(env.action(), &texts.actions)?, env, guard: OnceLock::new() })
        };
        let mut kinds: Vec<Kind> = texts.schema.request_envs().filter_map(kind).collect();
        kinds.sort_by_key(Kind::name);
        let properties_digest = files.get(PROPERTIES).map(|text| sha256(text.as_bytes()));
        let digest = rulebook.digest;
        problems.or(Self { digest, properties_digest, files, texts, kinds, everything })
    }

    /// Its policies of one effect whose scope a request of a kind can lie in.
    pub(crate) fn policies(&self, kind: &Kind, effect: Effect) -> impl Iterator<Item = &Policy> {
        self.texts.policies.iter().filter(move |p| p.effect() == effect && covers(p, kind))
    }

    /// The kinds of request that can lie in a policy's scope.
    pub(crate) fn kinds_of<'b>(&'b self, policy: &Policy) -> impl Iterator<Item = &'b Kind> {
        self.kinds.iter().filter(move |kind| covers(policy, kind))
    }

    /// One permit and every guardrail but one, if one is named.
    pub(crate) fn with_guardrails(&self, kind: &Kind, permit: &Policy, but: Option<&Policy>) -> Compiled {
        let guardrails = self.policies(kind, Effect::Forbid).filter(|g| but.is_none_or(|b| b.id() != g.id()));
        self.compile(kind, std::iter::once(permit).chain(guardrails))
    }

    /// The same, of requests only whose numbers and dates somebody could believe; `None` if the schema has others.
    pub(crate) fn believable(&self, kind: &Kind, permit: &Policy) -> Option<CompiledPolicySet> {
        let text = permit.to_string();
        let text = format!("{} when {{ {BELIEVABLE} }};", text.trim_end().strip_suffix(';')?);
        let narrowed = Policy::parse(Some(permit.id().clone()), text).ok()?;
        self.with_guardrails(kind, &narrowed, None).ok()
    }

    /// What the guardrails leave open if everything is permitted.
    pub(crate) fn guard(&self, kind: &Kind) -> Compiled {
        kind.guard.get_or_init(|| self.with_guardrails(kind, &self.everything, None)).clone()
    }

    /// The same without one of them.
    pub(crate) fn guard_but(&self, kind: &Kind, but: &Policy) -> Compiled {
        self.with_guardrails(kind, &self.everything, Some(but))
    }

    /// A property's set of requests.
    pub(crate) fn requests(&self, kind: &Kind, property: &Property) -> Compiled {
        self.one(kind, &property.policy).map(CompiledPolicy::into_compiled_policyset)
    }

    /// One policy alone.
    pub(crate) fn one(&self, kind: &Kind, policy: &Policy) -> Result<CompiledPolicy, String> {
        CompiledPolicy::compile(policy, &kind.env, &self.texts.schema).map_err(|e| one_line(&e.to_string()))
    }

    /// Some policies as a set.
    pub(crate) fn compile<'p>(&self, kind: &Kind, policies: impl Iterator<Item = &'p Policy>) -> Compiled {
        let set = PolicySet::from_policies(policies.cloned()).map_err(|e| one_line(&e.to_string()))?;
        CompiledPolicySet::compile(&set, &kind.env, &self.texts.schema).map_err(|e| one_line(&e.to_string()))
    }

    /// Every policy, as a gateway has them.
    pub(crate) fn all(&self) -> Result<PolicySet, String> {
        PolicySet::from_policies(self.texts.policies.iter().cloned()).map_err(|e| one_line(&e.to_string()))
    }
}

pub(crate) fn covers(policy: &Policy, kind: &Kind) -> bool {
    can_match(policy, &kind.groups, kind.env.principal())
}

/// `G2` before `G11`, as people number them.
fn by_number(id: &str) -> (String, u64, String) {
    let letters = id.find(|c: char| c.is_ascii_digit()).unwrap_or(id.len());
    let (letters, rest) = id.split_at(letters);
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(digits);
    (letters.to_owned(), digits.parse().unwrap_or(u64::MAX), rest.to_owned())
}

fn sha256(bytes: &[u8]) -> Digest {
    let found = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut digest = [0; 32];
    digest.iter_mut().zip(found.as_ref()).for_each(|(to, from)| *to = *from);
    Digest::new(digest)
}
