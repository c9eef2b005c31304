//! The entities and contexts of one request, as the table of `docs/formats/policies.md`.

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map},
    str::FromStr,
};

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use data_encoding::HEXLOWER;
use jiff::Timestamp;

use super::Unaskable;
use crate::{
    codes::{Treatment, purpose_word},
    facts::{Approver, Case, Evidence, Facts, Flow, Grant, Group, PrincipalKind},
    header::Tag,
    rulebook::{Programme, Standing},
};

type Result<T> = std::result::Result<T, Unaskable>;
type Pairs = Vec<(String, RestrictedExpression)>;

macro_rules! names {
    ($($field:ident = $name:literal,)+) => {
        /// The entity types, parsed once.
        pub(super) struct Names {
            $($field: EntityTypeName,)+
        }

        impl Names {
            pub(super) fn new() -> Result<Self> {
                Ok(Self { $($field: EntityTypeName::from_str(concat!("Clover::", $name)).map_err(|_| Unaskable)?,)+ })
            }
        }
    };
}

names! {
    action = "Action",
    basis = "Basis",
    case = "Case",
    case_kind = "CaseKind",
    class = "DataClass",
    country = "Country",
    dataset = "Dataset",
    employee = "Employee",
    employer = "Employer",
    field = "Field",
    flow = "Flow",
    grant = "Grant",
    incident = "Incident",
    list = "FieldList",
    purpose = "Purpose",
    record = "SubjectRecord",
    region = "Region",
    service = "Service",
    subject = "DataSubject",
    team = "Team",
}

impl Names {
    pub(super) fn action(&self, name: &str) -> EntityUid {
        uid(&self.action, name)
    }
}

/// Which assessments a request is put with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assessed {
    /// Those of the rulebook.
    AsRecorded,
    /// As if all of them let everything cross.
    Open,
}

/// The entities of one request; nothing else is in the store.
pub(super) struct World<'n> {
    names: &'n Names,
    region: EntityUid,
    entities: HashMap<EntityUid, Entity>,
}

impl<'n> World<'n> {
    pub(super) fn new(
        names: &'n Names,
        programme: &Programme,
        facts: &Facts<'_>,
        group: Option<&Group<'_>>,
        assessed: Assessed,
    ) -> Result<Self> {
        let region = uid(&names.region, &programme.region);
        let mut world = Self { names, region, entities: HashMap::new() };
        world.put(world.region.clone(), [], [])?;
        world.countries(programme, facts, assessed)?;
        world.put_principal(facts)?;
        world.put_dataset(facts.dataset)?;
        if let Some(subject) = &facts.subject {
            world.put_subject(subject)?;
        }
        match &facts.evidence {
            Some(Evidence::Grant(grant)) => world.put_grant(programme, facts, grant)?,
            Some(Evidence::Case(case)) => world.put_case(programme, facts, case)?,
            Some(Evidence::Flow(flow)) => world.put_flow(facts, flow)?,
            None => {}
        }
        if let Some(group) = group {
            world.put_field(facts, group)?;
        }
        Ok(world)
    }

    pub(super) fn into_entities(self) -> impl Iterator<Item = Entity> {
        self.entities.into_values()
    }

    pub(super) fn principal(&self, facts: &Facts<'_>) -> EntityUid {
        let kind = match facts.principal.kind {
            PrincipalKind::Employee | PrincipalKind::Operator => &self.names.employee,
            PrincipalKind::Service => &self.names.service,
            PrincipalKind::Subject => &self.names.subject,
        };
        tagged(kind, &facts.principal.tag)
    }

    /// The one field that stands for the group.
    pub(super) fn field(&self, facts: &Facts<'_>) -> EntityUid {
        uid(&self.names.field, facts.dataset)
    }

    /// The principal's own record.
    pub(super) fn record(&self, facts: &Facts<'_>) -> EntityUid {
        tagged(&self.names.record, &facts.principal.tag)
    }

    pub(super) fn row_context(&self, facts: &Facts<'_>) -> Result<Pairs> {
        let mut context = self.common_context(facts)?;
        context.extend(reader_context(facts)?);
        context.push(("rows".into(), long(facts.rows)?));
        context.push(("subjects".into(), long(facts.subjects)?));
        if let Some(subject) = &facts.subject {
            context.push(("subject".into(), entity(tagged(&self.names.subject, subject))));
        }
        match &facts.evidence {
            Some(Evidence::Grant(grant)) => {
                context.push(("grant".into(), entity(tagged(&self.names.grant, &grant.id))));
            }
            Some(Evidence::Case(case)) => {
                context.push(("case".into(), entity(tagged(&self.names.case, &case.id))));
            }
            Some(Evidence::Flow(_)) | None => {}
        }
        Ok(context)
    }

    pub(super) fn aggregate_context(&self, facts: &Facts<'_>) -> Result<Pairs> {
        let mut context = self.common_context(facts)?;
        context.extend(reader_context(facts)?);
        context.push(("k".into(), long(facts.k)?));
        Ok(context)
    }

    pub(super) fn transfer_context(&self, facts: &Facts<'_>) -> Result<Pairs> {
        let Some(Evidence::Flow(flow)) = &facts.evidence else { return Err(Unaskable) };
        let mut context = self.common_context(facts)?;
        context.push(("rows".into(), long(facts.rows)?));
        context.push(("flow".into(), entity(uid(&self.names.flow, flow.name))));
        context.push(("destination".into(), self.country(flow.destination)));
        context.push(("basis".into(), entity(uid(&self.names.basis, flow.basis))));
        Ok(context)
    }

    pub(super) fn self_context(&self, facts: &Facts<'_>) -> Result<Pairs> {
        let strong = RestrictedExpression::new_bool(facts.principal.strong);
        Ok(vec![("now".into(), datetime(facts.now)?), ("strongAuth".into(), strong)])
    }

    fn common_context(&self, facts: &Facts<'_>) -> Result<Pairs> {
        let purpose = purpose_word(facts.purpose).ok_or(Unaskable)?;
        let purpose = entity(uid(&self.names.purpose, purpose));
        Ok(vec![("now".into(), datetime(facts.now)?), ("purpose".into(), purpose)])
    }

    /// Adds an entity; the first of an id stays, which is the principal's own.
    fn put<const A: usize, const P: usize>(
        &mut self,
        uid: EntityUid,
        attributes: [(&str, RestrictedExpression); A],
        parents: [EntityUid; P],
    ) -> Result<()> {
        let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.put_all(uid, attributes, parents.into_iter().collect())
    }

    fn put_all(
        &mut self,
        uid: EntityUid,
        attributes: HashMap<String, RestrictedExpression>,
        parents: HashSet<EntityUid>,
    ) -> Result<()> {
        if let hash_map::Entry::Vacant(place) = self.entities.entry(uid) {
            let entity = Entity::new(place.key().clone(), attributes, parents).map_err(|_| Unaskable)?;
            place.insert(entity);
        }
        Ok(())
    }

    fn countries(&mut self, programme: &Programme, facts: &Facts<'_>, assessed: Assessed) -> Result<()> {
        for code in countries_of(programme, facts) {
            let standing = match assessed {
                Assessed::AsRecorded => programme.assessments.standing(code, facts.now),
                Assessed::Open => Standing::OPEN,
            };
            let flag = |set: &BTreeSet<String>| RestrictedExpression::new_bool(set.contains(code));
            let mut attributes = HashMap::from([
                ("heightened".to_owned(), flag(&programme.heightened)),
                ("destination".to_owned(), flag(&programme.destinations)),
                ("adequate".to_owned(), RestrictedExpression::new_bool(standing.is_adequate())),
            ]);
            for treatment in [1, 2, 4, 8, 16, 32].into_iter().filter_map(Treatment::from_code) {
                let lets = RestrictedExpression::new_bool(standing.lets(treatment));
                attributes.insert(treatment.attribute().to_owned(), lets);
            }
            let inside = programme.countries.contains(code);
            let parents = inside.then(|| self.region.clone()).into_iter().collect();
            self.put_all(uid(&self.names.country, code), attributes, parents)?;
        }
        Ok(())
    }

    fn put_principal(&mut self, facts: &Facts<'_>) -> Result<()> {
        let principal = &facts.principal;
        if principal.kind == PrincipalKind::Subject {
            self.put_subject(&principal.tag)?;
            let subject = entity(tagged(&self.names.subject, &principal.tag));
            return self.put(self.record(facts), [("subject", subject)], []);
        }
        let employer = uid(&self.names.employer, principal.employer);
        self.put(employer.clone(), [("seat", self.country(principal.seat))], [])?;
        let mut teams = HashSet::new();
        for team in &principal.teams {
            let team = uid(&self.names.team, team);
            self.put(team.clone(), [], [])?;
            teams.insert(team);
        }
        let service = principal.kind == PrincipalKind::Service;
        let (whose, qualified) = if service { ("operator", "attested") } else { ("employer", "trained") };
        let attributes = [
            (whose.to_owned(), entity(employer)),
            ("location".to_owned(), self.country(principal.country)),
            (qualified.to_owned(), RestrictedExpression::new_bool(principal.qualified)),
        ];
        self.put_all(self.principal(facts), attributes.into(), teams)
    }

    /// An employee who is named by evidence; if it is the principal, the principal's attributes hold.
    fn put_employee(&mut self, facts: &Facts<'_>, tag: &Tag, country: &str) -> Result<EntityUid> {
        let uid_of = tagged(&self.names.employee, tag);
        let attributes = [
            ("employer", entity(uid(&self.names.employer, facts.principal.employer))),
            ("location", self.country(country)),
            ("trained", RestrictedExpression::new_bool(true)),
        ];
        self.put(uid_of.clone(), attributes, [])?;
        Ok(uid_of)
    }

    fn put_subject(&mut self, tag: &Tag) -> Result<EntityUid> {
        let subject = tagged(&self.names.subject, tag);
        self.put(subject.clone(), [("home", entity(self.region.clone()))], [])?;
        Ok(subject)
    }

    fn put_dataset(&mut self, name: &str) -> Result<EntityUid> {
        let dataset = uid(&self.names.dataset, name);
        self.put(dataset.clone(), [("region", entity(self.region.clone()))], [])?;
        Ok(dataset)
    }

    fn put_list(&mut self, name: &str) -> Result<EntityUid> {
        let list = uid(&self.names.list, name);
        self.put(list.clone(), [], [])?;
        Ok(list)
    }

    /// Somebody who approved: of them the employer is known, too.
    fn put_approver(
        &mut self,
        programme: &Programme,
        approver: &Approver<'_>,
    ) -> Result<RestrictedExpression> {
        let employer = uid(&self.names.employer, approver.employer);
        self.put(employer.clone(), [("seat", self.country(programme.seat(approver.employer)))], [])?;
        let uid_of = tagged(&self.names.employee, &approver.tag);
        let attributes = [
            ("employer", entity(employer)),
            ("location", self.country(approver.country)),
            ("trained", RestrictedExpression::new_bool(true)),
        ];
        self.put(uid_of.clone(), attributes, [])?;
        Ok(entity(uid_of))
    }

    fn put_grant(&mut self, programme: &Programme, facts: &Facts<'_>, grant: &Grant<'_>) -> Result<()> {
        let purpose = purpose_word(grant.purpose).ok_or(Unaskable)?;
        let holder = self.put_employee(facts, &grant.holder, grant.approver.country)?;
        let approver = self.put_approver(programme, &grant.approver)?;
        let mut attributes = HashMap::from([
            ("holder".to_owned(), entity(holder)),
            ("approver".to_owned(), approver),
            ("purpose".to_owned(), entity(uid(&self.names.purpose, purpose))),
            ("dataset".to_owned(), entity(self.put_dataset(grant.dataset)?)),
            ("notBefore".to_owned(), datetime(grant.not_before)?),
            ("notAfter".to_owned(), datetime(grant.not_after)?),
        ]);
        if let Some(second) = &grant.second {
            attributes.insert("second".to_owned(), self.put_approver(programme, second)?);
        }
        if let Some(incident) = &grant.incident {
            let incident = tagged(&self.names.incident, incident);
            self.put(incident.clone(), [], [])?;
            attributes.insert("incident".to_owned(), entity(incident));
        }
        if let Some(fields) = grant.fields {
            attributes.insert("fields".to_owned(), entity(self.put_list(fields)?));
        }
        if let Some(subject) = &grant.subject {
            attributes.insert("subject".to_owned(), entity(self.put_subject(subject)?));
        }
        self.put_all(tagged(&self.names.grant, &grant.id), attributes, HashSet::new())
    }

    fn put_case(&mut self, programme: &Programme, facts: &Facts<'_>, case: &Case<'_>) -> Result<()> {
        let engineer = self.put_employee(facts, &case.engineer, case.approver.country)?;
        let approver = self.put_approver(programme, &case.approver)?;
        let attributes = [
            ("engineer", entity(engineer)),
            ("approver", approver),
            ("kind", entity(uid(&self.names.case_kind, case.kind))),
            ("subject", entity(self.put_subject(&case.subject)?)),
            ("fields", entity(self.put_list(case.fields)?)),
            ("approvedAt", datetime(case.approved_at)?),
            ("open", RestrictedExpression::new_bool(case.open)),
        ];
        self.put(tagged(&self.names.case, &case.id), attributes, [])
    }

    fn put_flow(&mut self, facts: &Facts<'_>, flow: &Flow<'_>) -> Result<()> {
        let sink = tagged(&self.names.service, &flow.sink);
        let attributes = [
            ("operator", entity(uid(&self.names.employer, facts.principal.employer))),
            ("location", self.country(flow.destination)),
            ("attested", RestrictedExpression::new_bool(false)),
        ];
        self.put(sink.clone(), attributes, [])?;
        let attributes = [
            ("sink", entity(sink)),
            ("fields", entity(self.put_list(flow.fields)?)),
            ("destination", self.country(flow.destination)),
            ("basis", entity(uid(&self.names.basis, flow.basis))),
            ("active", RestrictedExpression::new_bool(flow.active)),
        ];
        self.put(uid(&self.names.flow, flow.name), attributes, [])
    }

    fn put_field(&mut self, facts: &Facts<'_>, group: &Group<'_>) -> Result<()> {
        let mut parents = HashSet::from([self.put_dataset(facts.dataset)?]);
        for list in &group.lists {
            parents.insert(self.put_list(list)?);
        }
        let attributes = [
            ("class".to_owned(), entity(uid(&self.names.class, group.class.word()))),
            ("region".to_owned(), entity(self.region.clone())),
        ];
        self.put_all(self.field(facts), attributes.into(), parents)
    }

    fn country(&self, code: &str) -> RestrictedExpression {
        entity(uid(&self.names.country, code))
    }
}

/// The countries that a request speaks of: the principal's, its employer's, and that of the evidence.
pub(super) fn countries_of<'f>(programme: &'f Programme, facts: &'f Facts<'_>) -> Vec<&'f str> {
    let mut all = vec![facts.principal.country, facts.principal.seat];
    let approvers = match &facts.evidence {
        Some(Evidence::Grant(grant)) => [Some(grant.approver), grant.second],
        Some(Evidence::Case(case)) => [Some(case.approver), None],
        Some(Evidence::Flow(flow)) => {
            all.push(flow.destination);
            [None, None]
        }
        None => [None, None],
    };
    all.extend(approvers.into_iter().flatten().flat_map(|a| [a.country, programme.seat(a.employer)]));
    all
}

/// The device and sign-in of whoever reads.
fn reader_context(facts: &Facts<'_>) -> Result<Pairs> {
    let device = RestrictedExpression::new_record([
        ("managed".to_owned(), RestrictedExpression::new_bool(facts.principal.device_managed)),
        ("attested".to_owned(), RestrictedExpression::new_bool(facts.principal.device_attested)),
    ])
    .map_err(|_| Unaskable)?;
    let strong = RestrictedExpression::new_bool(facts.principal.strong);
    Ok(vec![("device".into(), device), ("mfa".into(), strong)])
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn tagged(kind: &EntityTypeName, tag: &Tag) -> EntityUid {
    uid(kind, &HEXLOWER.encode(tag))
}

fn entity(uid: EntityUid) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid)
}

fn long(number: u64) -> Result<RestrictedExpression> {
    i64::try_from(number).map(RestrictedExpression::new_long).map_err(|_| Unaskable)
}

/// Cedar takes dates as text, to the year 9999.
fn datetime(seconds: u64) -> Result<RestrictedExpression> {
    let seconds = i64::try_from(seconds).map_err(|_| Unaskable)?;
    let time = Timestamp::from_second(seconds).map_err(|_| Unaskable)?;
    Ok(RestrictedExpression::new_datetime(time.to_string()))
}
