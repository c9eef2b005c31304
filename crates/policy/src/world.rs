//! The small world that one request is decided in: entities and contexts built from facts and rulebook.
//!
//! Nothing but what `docs/formats/policies.md` lists is in it. Whoever stands in two roles is one entity,
//! and what is known of the principal beats what is assumed of others: the first insertion stays.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::{
    Context, ContextCreationError, Entities, Entity, EntityAttrEvaluationError, EntityId, EntityTypeName,
    EntityUid, ExpressionConstructionError, ParseErrors, RequestValidationError, RestrictedExpression,
    Schema, entities_errors::EntitiesError,
};
use model::assessments::{Assessments, Standing};
use model::facts::{
    Approver, CaseFacts, Evidence, Facts, FlowFacts, GrantFacts, Group, Principal, PrincipalKind,
};
use model::programme::Programme;
use model::{Country, Name, Tag, Treatment, UnixSeconds};

use crate::action::Shape;

/// Why a request could not be built. It ends as "evaluation error": nothing is permitted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("an attribute of an entity cannot be built")]
    Attribute(#[from] Box<EntityAttrEvaluationError>),
    #[error("the entities do not fit the schema")]
    Entities(#[from] Box<EntitiesError>),
    #[error("a record of the context cannot be built")]
    Record(#[from] Box<ExpressionConstructionError>),
    #[error("the context cannot be built")]
    Context(#[from] Box<ContextCreationError>),
    #[error("the request does not fit the schema")]
    Request(#[from] Box<RequestValidationError>),
    #[error("the action takes evidence that is not there")]
    Evidence,
}

macro_rules! types {
    ($($field:ident = $name:literal),+ $(,)?) => {
        /// The schema's entity types, parsed once.
        #[derive(Debug)]
        pub(crate) struct Types { $(pub(crate) $field: EntityTypeName),+ }

        impl Types {
            pub(crate) fn new() -> Result<Self, Box<ParseErrors>> {
                Ok(Self { $($field: concat!("Clover::", $name).parse().map_err(Box::new)?),+ })
            }
        }
    };
}

types! {
    action = "Action",
    basis = "Basis",
    case = "Case",
    case_kind = "CaseKind",
    country = "Country",
    data_class = "DataClass",
    data_subject = "DataSubject",
    dataset = "Dataset",
    employee = "Employee",
    employer = "Employer",
    field = "Field",
    field_list = "FieldList",
    flow = "Flow",
    grant = "Grant",
    incident = "Incident",
    purpose = "Purpose",
    region = "Region",
    service = "Service",
    subject_record = "SubjectRecord",
    team = "Team",
}

impl Types {
    /// The type of a kind of principal; operators ask nothing.
    pub(crate) fn of(&self, kind: PrincipalKind) -> Option<&EntityTypeName> {
        match kind {
            PrincipalKind::Employee => Some(&self.employee),
            PrincipalKind::Service => Some(&self.service),
            PrincipalKind::Subject => Some(&self.data_subject),
            PrincipalKind::Operator => None,
        }
    }
}

type Attributes = Vec<(&'static str, RestrictedExpression)>;

/// What of a rulebook a world is built from.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) types: &'a Types,
    pub(crate) programme: &'a Programme,
    /// `None`: as if every assessment let everything cross.
    pub(crate) assessments: Option<&'a Assessments>,
}

/// What of the facts stands in the entities: who asks, of what and whom, on what ground, between which of the moments at
/// which an assessment begins or ends.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    principal: Principal,
    dataset: Name,
    subject: Option<Tag>,
    evidence: Evidence,
    /// `None`: as if every assessment let everything cross.
    era: Option<usize>,
}

/// An entity that many requests share: the rulebook and the era say all of it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Common {
    Country(Country),
    /// With its seat.
    Employer(Name, Country),
    Team(Name),
    List(Name),
    Dataset(Name),
}

impl Common {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Employer(one, _), Self::Employer(other, _)) => one == other,
            _ => self == other,
        }
    }
}

/// What of a request's entities others share, and in which era.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shared {
    all: Vec<Common>,
    era: Option<usize>,
}

/// All entities of one request but the field that is asked for.
pub(crate) struct World<'a> {
    types: &'a Types,
    programme: &'a Programme,
    assessments: Option<&'a Assessments>,
    facts: &'a Facts,
    shared: Vec<Common>,
    entities: BTreeMap<EntityUid, Entity>,
}

impl<'a> World<'a> {
    pub(crate) fn new(ground: Ground<'a>, facts: &'a Facts) -> Self {
        let Ground { types, programme, assessments } = ground;
        Self { types, programme, assessments, facts, shared: vec![], entities: BTreeMap::new() }
    }

    fn era(&self) -> Option<usize> {
        self.assessments.map(|a| a.era(self.facts.now))
    }

    /// Everything that the entities are built from, but for the rulebook.
    pub(crate) fn caller(&self) -> Caller {
        let facts = self.facts;
        Caller {
            principal: facts.principal.clone(),
            dataset: facts.dataset.clone(),
            subject: facts.subject,
            evidence: facts.evidence.clone(),
            era: self.era(),
        }
    }

    // INVARIANT: of the facts, only what stands in `Caller` is read here and below, and of the moment only its era: who
    // remembers the entities of a caller relies on it. What else a request holds is in its context.
    fn fill(&mut self) -> Result<(), BuildError> {
        let facts = self.facts;
        self.principal()?;
        self.dataset(&facts.dataset);
        if let Some(tag) = facts.subject {
            self.subject(tag)?;
        }
        match &facts.evidence {
            Evidence::None => Ok(()),
            Evidence::Grant(grant) => self.grant(grant),
            Evidence::Case(case) => self.case(case),
            Evidence::Flow(flow) => self.flow(flow),
        }
    }

    /// The principal, if their kind may ask at all.
    pub(crate) fn asker(&self) -> Option<EntityUid> {
        Some(uid(self.types.of(self.facts.principal.kind)?, &self.facts.principal.tag.to_string()))
    }

    /// The teams of the principal.
    pub(crate) fn teams(&self) -> &[Name] {
        &self.facts.principal.teams
    }

    /// The field that stands for a group.
    pub(crate) fn field(&self) -> EntityUid {
        uid(&self.types.field, self.facts.dataset.as_str())
    }

    /// The principal's own record.
    pub(crate) fn record(&self) -> EntityUid {
        uid(&self.types.subject_record, &self.facts.principal.tag.to_string())
    }

    /// All entities but the field of a group, checked against the schema: the same for every group and moment. Those
    /// that others share are what `share` returns, which may be what its function builds or built before.
    pub(crate) fn entities(
        &mut self,
        schema: &Schema,
        share: impl FnOnce(Shared, &dyn Fn() -> Result<Entities, BuildError>) -> Result<Entities, BuildError>,
    ) -> Result<Entities, BuildError> {
        self.fill()?;
        self.shared.sort_unstable();
        let shared = Shared { all: std::mem::take(&mut self.shared), era: self.era() };
        let key = shared.clone();
        let built = share(key, &|| self.build(&shared.all, schema))?;
        let own = std::mem::take(&mut self.entities).into_values();
        Ok(built.add_entities(own, Some(schema)).map_err(Box::new)?)
    }

    fn build(&self, shared: &[Common], schema: &Schema) -> Result<Entities, BuildError> {
        let types = self.types;
        let region = Entity::new_no_attrs(self.region(), HashSet::new());
        let mut all = vec![region];
        for one in shared {
            let uid = self.uid_of(one);
            let (attributes, parent) = match one {
                Common::Country(country) => self.standing(*country),
                Common::Employer(_, seat) => (vec![("seat", entity(uid_of_country(types, *seat)))], None),
                Common::Dataset(_) => (vec![("region", entity(self.region()))], None),
                Common::Team(_) | Common::List(_) => (vec![], None),
            };
            all.push(made(uid, attributes, parent)?);
        }
        Ok(Entities::from_entities(all, Some(schema)).map_err(Box::new)?)
    }

    fn uid_of(&self, one: &Common) -> EntityUid {
        match one {
            Common::Country(country) => uid_of_country(self.types, *country),
            Common::Employer(name, _) => uid(&self.types.employer, name.as_str()),
            Common::Team(name) => uid(&self.types.team, name.as_str()),
            Common::List(name) => uid(&self.types.field_list, name.as_str()),
            Common::Dataset(name) => uid(&self.types.dataset, name.as_str()),
        }
    }

    /// These entities with the field of a group, which alone is checked again.
    pub(crate) fn with_field(
        &self,
        entities: &Entities,
        group: &Group,
        schema: &Schema,
    ) -> Result<Entities, BuildError> {
        let mut more = Vec::with_capacity(group.lists.len() + 1);
        let mut parents = HashSet::from([uid(&self.types.dataset, self.facts.dataset.as_str())]);
        for list in &group.lists {
            let list = uid(&self.types.field_list, list.as_str());
            if entities.get(&list).is_none() {
                more.push(Entity::new_no_attrs(list.clone(), HashSet::new()));
            }
            parents.insert(list);
        }
        let class = uid(&self.types.data_class, group.class.word());
        let attributes = [("class", entity(class)), ("region", entity(self.region()))];
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value));
        more.push(Entity::new(self.field(), HashMap::from(attributes), parents).map_err(Box::new)?);
        Ok(entities.clone().add_entities(more, Some(schema)).map_err(Box::new)?)
    }

    /// The context of a shape.
    pub(crate) fn context(&self, shape: Shape) -> Result<Context, BuildError> {
        let mut pairs = vec![("now", time(self.facts.now))];
        match shape {
            Shape::Rows => {
                pairs.extend(self.person()?);
                pairs.push(("rows", RestrictedExpression::new_long(self.facts.rows.into())));
                pairs.push(("subjects", RestrictedExpression::new_long(self.facts.subjects.into())));
                if let Some(tag) = self.facts.subject {
                    pairs.push(("subject", entity(uid(&self.types.data_subject, &tag.to_string()))));
                }
                match &self.facts.evidence {
                    Evidence::Grant(g) => {
                        pairs.push(("grant", entity(uid(&self.types.grant, &g.id.to_string()))));
                    }
                    Evidence::Case(c) => {
                        pairs.push(("case", entity(uid(&self.types.case, &c.id.to_string()))))
                    }
                    Evidence::Flow(_) | Evidence::None => {}
                }
            }
            Shape::Counts => {
                pairs.extend(self.person()?);
                pairs.push(("k", RestrictedExpression::new_long(self.facts.k.into())));
            }
            Shape::Transfer => pairs.extend(self.transfer()?),
            Shape::Own => {
                pairs.push(("strongAuth", RestrictedExpression::new_bool(self.facts.principal.strong)));
            }
        }
        let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value));
        Ok(Context::from_pairs(pairs).map_err(Box::new)?)
    }

    fn person(&self) -> Result<Attributes, BuildError> {
        let principal = &self.facts.principal;
        let device = RestrictedExpression::new_record([
            ("managed".to_owned(), RestrictedExpression::new_bool(principal.device_managed)),
            ("attested".to_owned(), RestrictedExpression::new_bool(principal.device_attested)),
        ])
        .map_err(Box::new)?;
        Ok(vec![
            ("purpose", self.purpose()),
            ("device", device),
            ("mfa", RestrictedExpression::new_bool(principal.strong)),
        ])
    }

    fn transfer(&self) -> Result<Attributes, BuildError> {
        let Evidence::Flow(flow) = &self.facts.evidence else { return Err(BuildError::Evidence) };
        Ok(vec![
            ("purpose", self.purpose()),
            ("rows", RestrictedExpression::new_long(self.facts.rows.into())),
            ("flow", entity(uid(&self.types.flow, flow.name.as_str()))),
            ("destination", entity(uid(&self.types.country, flow.destination.as_str()))),
            ("basis", entity(uid(&self.types.basis, flow.basis.word()))),
        ])
    }

    fn purpose(&self) -> RestrictedExpression {
        entity(uid(&self.types.purpose, self.facts.purpose.word()))
    }

    fn region(&self) -> EntityUid {
        uid(&self.types.region, self.programme.region.as_str())
    }

    fn add(
        &mut self,
        uid: EntityUid,
        attributes: Attributes,
        parents: impl IntoIterator<Item = EntityUid>,
    ) -> Result<EntityUid, BuildError> {
        if !self.entities.contains_key(&uid) {
            let entity = made(uid.clone(), attributes, parents)?;
            self.entities.insert(uid.clone(), entity);
        }
        Ok(uid)
    }

    fn share(&mut self, one: Common) -> EntityUid {
        let uid = self.uid_of(&one);
        if !self.shared.iter().any(|known| known.is(&one)) {
            self.shared.push(one);
        }
        uid
    }

    fn country(&mut self, country: Country) -> EntityUid {
        self.share(Common::Country(country))
    }

    fn standing(&self, country: Country) -> (Attributes, Option<EntityUid>) {
        let holds = |list: &[Country]| RestrictedExpression::new_bool(list.contains(&country));
        let standing = self.assessments.map_or(Standing::OPEN, |a| a.standing(country, self.facts.now));
        let mut attributes = vec![
            ("heightened", holds(&self.programme.heightened)),
            ("destination", holds(&self.programme.destinations)),
            ("adequate", RestrictedExpression::new_bool(standing.adequate)),
        ];
        let lets = |t: &Treatment| (t.word(), RestrictedExpression::new_bool(standing.lets(*t)));
        attributes.extend(Treatment::ALL.iter().map(lets));
        (attributes, self.programme.in_region(country).then(|| self.region()))
    }

    fn employer(&mut self) -> EntityUid {
        let principal = &self.facts.principal;
        self.country(principal.seat);
        self.share(Common::Employer(principal.employer.clone(), principal.seat))
    }

    fn list(&mut self, name: &Name) -> EntityUid {
        self.share(Common::List(name.clone()))
    }

    fn dataset(&mut self, name: &Name) -> EntityUid {
        self.share(Common::Dataset(name.clone()))
    }

    fn subject(&mut self, tag: Tag) -> Result<EntityUid, BuildError> {
        let home = entity(self.region());
        self.add(uid(&self.types.data_subject, &tag.to_string()), vec![("home", home)], [])
    }

    fn principal(&mut self) -> Result<(), BuildError> {
        let principal = &self.facts.principal;
        let location = self.country(principal.country);
        let employer = self.employer();
        let mut teams = Vec::new();
        for team in &principal.teams {
            teams.push(self.share(Common::Team(team.clone())));
        }
        match principal.kind {
            PrincipalKind::Employee => {
                self.employee(principal.tag, employer, location, principal.qualified, teams)?;
            }
            PrincipalKind::Service => {
                self.service(principal.tag, employer, location, principal.qualified, teams)?;
            }
            PrincipalKind::Subject => {
                let subject = self.subject(principal.tag)?;
                self.add(self.record(), vec![("subject", entity(subject))], [])?;
            }
            PrincipalKind::Operator => {}
        }
        Ok(())
    }

    fn employee(
        &mut self,
        tag: Tag,
        employer: EntityUid,
        location: EntityUid,
        trained: bool,
        teams: Vec<EntityUid>,
    ) -> Result<EntityUid, BuildError> {
        let attributes = vec![
            ("employer", entity(employer)),
            ("location", entity(location)),
            ("trained", RestrictedExpression::new_bool(trained)),
        ];
        self.add(uid(&self.types.employee, &tag.to_string()), attributes, teams)
    }

    fn service(
        &mut self,
        tag: Tag,
        operator: EntityUid,
        location: EntityUid,
        attested: bool,
        teams: Vec<EntityUid>,
    ) -> Result<EntityUid, BuildError> {
        let attributes = vec![
            ("operator", entity(operator)),
            ("location", entity(location)),
            ("attested", RestrictedExpression::new_bool(attested)),
        ];
        self.add(uid(&self.types.service, &tag.to_string()), attributes, teams)
    }

    /// A person named by evidence: of whom nothing else is known than where they approved.
    fn other(&mut self, tag: Tag, country: Country) -> Result<EntityUid, BuildError> {
        let location = self.country(country);
        let employer = self.employer();
        self.employee(tag, employer, location, true, vec![])
    }

    /// Somebody who approved: of them the employer is known, too, and where it sits as the programme has it.
    fn approver(&mut self, approver: &Approver) -> Result<EntityUid, BuildError> {
        let location = self.country(approver.country);
        let seat = self.programme.employers.get(&approver.employer).copied().unwrap_or(Country::UNKNOWN);
        self.country(seat);
        let employer = self.share(Common::Employer(approver.employer.clone(), seat));
        self.employee(approver.tag, employer, location, true, vec![])
    }

    fn grant(&mut self, grant: &GrantFacts) -> Result<(), BuildError> {
        let mut attributes = vec![
            ("holder", entity(self.other(grant.holder, grant.approver.country)?)),
            ("approver", entity(self.approver(&grant.approver)?)),
            ("purpose", entity(uid(&self.types.purpose, grant.purpose.word()))),
            ("dataset", entity(self.dataset(&grant.dataset))),
            ("notBefore", time(grant.not_before)),
            ("notAfter", time(grant.not_after)),
        ];
        if let Some(second) = &grant.second {
            attributes.push(("second", entity(self.approver(second)?)));
        }
        if let Some(tag) = grant.incident {
            attributes.push((
                "incident",
                entity(self.add(uid(&self.types.incident, &tag.to_string()), vec![], [])?),
            ));
        }
        if let Some(fields) = &grant.fields {
            attributes.push(("fields", entity(self.list(fields))));
        }
        if let Some(tag) = grant.subject {
            attributes.push(("subject", entity(self.subject(tag)?)));
        }
        self.add(uid(&self.types.grant, &grant.id.to_string()), attributes, [])?;
        Ok(())
    }

    fn case(&mut self, case: &CaseFacts) -> Result<(), BuildError> {
        let attributes = vec![
            ("engineer", entity(self.other(case.engineer, case.approver.country)?)),
            ("approver", entity(self.approver(&case.approver)?)),
            ("kind", entity(uid(&self.types.case_kind, case.kind.word()))),
            ("subject", entity(self.subject(case.subject)?)),
            ("fields", entity(self.list(&case.fields))),
            ("approvedAt", time(case.approved_at)),
            ("open", RestrictedExpression::new_bool(case.open)),
        ];
        self.add(uid(&self.types.case, &case.id.to_string()), attributes, [])?;
        Ok(())
    }

    fn flow(&mut self, flow: &FlowFacts) -> Result<(), BuildError> {
        let destination = self.country(flow.destination);
        let operator = self.employer();
        // A flow has no approver: of a sink that does not ask itself, only its destination is known.
        let sink = self.service(flow.sink, operator, destination.clone(), false, vec![])?;
        let attributes = vec![
            ("sink", entity(sink)),
            ("fields", entity(self.list(&flow.fields))),
            ("destination", entity(destination)),
            ("basis", entity(uid(&self.types.basis, flow.basis.word()))),
            ("active", RestrictedExpression::new_bool(flow.active)),
        ];
        self.add(uid(&self.types.flow, flow.name.as_str()), attributes, [])?;
        Ok(())
    }
}

fn uid(name: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id))
}

fn uid_of_country(types: &Types, country: Country) -> EntityUid {
    uid(&types.country, country.as_str())
}

fn made(
    uid: EntityUid,
    attributes: Attributes,
    parents: impl IntoIterator<Item = EntityUid>,
) -> Result<Entity, BuildError> {
    let attributes = attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(Entity::new(uid, attributes, parents.into_iter().collect()).map_err(Box::new)?)
}

fn entity(uid: EntityUid) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid)
}

/// A moment as Cedar reads it. One that no calendar holds is no datetime, and building the request errs.
fn time(t: UnixSeconds) -> RestrictedExpression {
    RestrictedExpression::new_datetime(t.rfc3339())
}
