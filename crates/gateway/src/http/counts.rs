//! The vault's own lane for counts: people by the values of one field, as the rulebook lets counts of a dataset leave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use crossing::{Ask, Counted, Guarded, NoisyQuestion, Permitted, Refused, Treated};
use model::{Name, Reason, SubjectId, Treatment};
use transform::aggregate::Member;
use transform::dp::Grouped;
use transform::dp::bound::VALUES_MAX;
use vault::control::{ChangeError, Charged, Exhausted, Spend, SpendError, StoreError};
use vault::records::RecordError;

use super::answer::Answer;
use super::query::{ANSWER_MAX, Wanted};
use super::route::{Context, own_name};
use crate::Enclave;
use crate::passage::Paid;

/// Most values that are counted apart.
const GROUPS_MAX: usize = 10_000;
/// Most records of one person that are looked at for a value.
const LOOKED_AT: usize = 100;
/// A count names nobody, so all that asks for one treatment is this.
const COUNTED: &[Treatment] = &[Treatment::Aggregate];

/// `POST /v1/count`: people by the values of one field.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCount {
    dataset: String,
    by: String,
}

/// Where the values of a field are found in people's records.
#[derive(Clone)]
struct Values {
    collection: Name,
    keys: Vec<String>,
}

/// People with one value.
#[derive(Default)]
struct Group {
    people: u64,
    /// Who they are, where a guard asks.
    who: Vec<SubjectId>,
}

/// A count that is not told, and what is left to be learned where that is why.
struct Untold {
    refused: Refused,
    exhausted: Option<Exhausted>,
}

impl From<Refused> for Untold {
    fn from(refused: Refused) -> Self {
        Self { refused, exhausted: None }
    }
}

type Told<T> = Result<T, Box<Untold>>;

fn untold<T>(refused: Refused) -> Told<T> {
    Err(Box::new(refused.into()))
}

/// Why nothing was counted: the reason to record, and what a budget says.
type Why = (Reason, Option<Exhausted>);

impl Context<'_> {
    pub(super) async fn count(&self, body: Result<Bytes, Reason>) -> Answer {
        let name = match own_name("count") {
            Ok(name) => name,
            Err(answer) => return *answer,
        };
        match self.count_through(&name, body).await {
            Ok(Ok(paid)) => self.release(&name, Ok(paid)).await,
            Ok(Err(untold)) => self.refuse_telling(&name, untold.refused, untold.exhausted).await,
            Err(reason) => self.refuse_early(&name, reason).await,
        }
    }

    async fn count_through(&self, name: &Name, body: Result<Bytes, Reason>) -> Result<Told<Paid>, Reason> {
        let raw: RawCount = serde_json::from_slice(&body?).map_err(|_| Reason::Request)?;
        let rulebook = self.live.road.rulebook();
        let dataset = Name::parse(&raw.dataset).map_err(|_| Reason::Request)?;
        let wanted = Wanted::new(&rulebook.catalogue, &raw.dataset, std::slice::from_ref(&raw.by));
        let wanted = wanted.ok_or(Reason::Request)?;
        let purpose = self.purpose()?;
        let ground = self.ground(None)?;
        let base = self.ask(name, &dataset, &wanted.selection, purpose, &ground);
        // How many people there are is told by no entry: with the groups that are shown it would tell of those that are not.
        let people_max = u32::try_from(VALUES_MAX).unwrap_or(u32::MAX);
        let ask = Ask { ladder: COUNTED, rows_max: 10_000, people_max, ..base };
        let permitted = match self.live.road.decide(&ask) {
            Ok(permitted) => permitted,
            Err(refused) => return Ok(untold(refused)),
        };
        let field = rulebook.catalogue.find(&format!("{dataset}.{}", raw.by));
        let field = field.and_then(|i| rulebook.catalogue.field(i));
        let (Some(collection), Some(field)) = (wanted.collections.first().cloned(), field) else {
            return Err(Reason::Request);
        };
        let keys = std::iter::once(&field.key).chain(&field.also).cloned().collect();
        let values = Values { collection, keys };
        let treated = match permitted.question() {
            Some(question) => self.with_noise(permitted, question, values).await,
            None => self.without_noise(permitted, values).await,
        };
        Ok(match treated {
            Ok(treated) => self.pay(&ground, treated).await.or_else(untold),
            Err(untold) => Err(untold),
        })
    }

    /// Groups of enough people, which a guard lets pass where the dataset has one.
    async fn without_noise(&self, permitted: Permitted<'_>, values: Values) -> Told<Treated> {
        let Ok(_turn) = self.gateway.counting.acquire().await else {
            return untold(permitted.refuse(Reason::Upstream));
        };
        let guard = permitted.guarded();
        let enclave = Arc::clone(&self.gateway.enclave);
        let groups = tokio::task::spawn_blocking(move || groups(&enclave, &values, guard)).await;
        let groups = match groups {
            Ok(Ok(Some(groups))) => groups,
            Ok(Ok(None)) => return untold(permitted.refuse(Reason::Limit)),
            _ => return untold(permitted.refuse(Reason::Upstream)),
        };
        let counts = groups.iter().map(|(value, group)| (value.clone(), group.people)).collect();
        match permitted.count(counts) {
            Ok(Counted::Free(treated)) => Ok(*treated),
            Ok(Counted::Guarded(guarded)) => self.guarded(*guarded, groups).await.or_else(untold),
            Err(refused) => untold(refused),
        }
    }

    async fn guarded(
        &self,
        guarded: Guarded,
        mut groups: BTreeMap<String, Group>,
    ) -> Result<Treated, Refused> {
        let told: Vec<_> = guarded.groups().iter().filter_map(|group| groups.remove(group)).collect();
        let (recipient, dataset, k) =
            (guarded.recipient().to_owned(), guarded.dataset().clone(), guarded.k());
        let enclave = Arc::clone(&self.gateway.enclave);
        let passed = tokio::task::spawn_blocking(move || {
            let member = |person: &SubjectId| {
                Member::of(enclave.keys().guarded_tag(&recipient, &dataset, person).bytes())
            };
            let members: Vec<BTreeSet<Member>> =
                told.iter().map(|group| group.who.iter().map(member).collect()).collect();
            enclave.control().guard(&recipient, &dataset, &members, k)
        });
        match passed.await {
            Ok(Ok(passed)) => guarded.pass(&passed),
            Ok(Err(StoreError::Change(ChangeError::Guard(_)))) => Err(guarded.refuse(Reason::Difference)),
            _ => Err(guarded.refuse(Reason::Upstream)),
        }
    }

    /// An answer with noise, charged for before it can be read.
    async fn with_noise(
        &self,
        permitted: Permitted<'_>,
        question: NoisyQuestion,
        values: Values,
    ) -> Told<Treated> {
        let charged = match self.charge(&question, values).await {
            Ok(charged) => charged,
            Err((reason, exhausted)) => {
                return Err(Box::new(Untold { refused: permitted.refuse(reason), exhausted }));
            }
        };
        permitted.noised(&question, charged.released(), charged.took()).or_else(untold)
    }

    async fn charge(&self, question: &NoisyQuestion, values: Values) -> Result<Charged, Why> {
        let now = self.now;
        let (asked, enclave) = (question.clone(), Arc::clone(&self.gateway.enclave));
        let known = tokio::task::spawn_blocking(move || enclave.control().affords(&spend(&asked), now));
        if let Some(charged) = done(known.await)?.map_err(|e| why(&e))? {
            return Ok(charged);
        }
        let nobody = (Reason::Upstream, None);
        let Ok(_turn) = self.gateway.counting.acquire().await else { return Err(nobody) };
        let (asked, enclave) = (question.clone(), Arc::clone(&self.gateway.enclave));
        let charged = tokio::task::spawn_blocking(move || {
            let people = grouped(&enclave, &values)?;
            enclave.control().charge(&spend(&asked), now, &mut || asked.draw(&people)).map_err(|e| why(&e))
        });
        done(charged.await)?
    }
}

/// What a thread gave.
fn done<T>(joined: Result<T, tokio::task::JoinError>) -> Result<T, Why> {
    joined.map_err(|_| (Reason::Upstream, None))
}

fn spend(question: &NoisyQuestion) -> Spend<'_> {
    Spend {
        recipient: question.recipient(),
        dataset: question.dataset(),
        query: question.query(),
        limits: question.limits(),
        cost: question.cost(),
    }
}

/// A reason for the record. What the store does not say is no word about budgets.
fn why(error: &SpendError) -> Why {
    match error {
        SpendError::Exhausted(exhausted) => (Reason::Privacy, Some(*exhausted)),
        SpendError::Store(error) => {
            tracing::error!(error = %error, "a noisy count was not charged for, and not told");
            (Reason::Upstream, None)
        }
        _ => (Reason::Upstream, None),
    }
}

/// People by value: each person once, by their first record of the collection that has the field. Inside the region; only
/// numbers of large groups leave. `None` when there are too many values to be groups.
fn groups(
    enclave: &Enclave,
    values: &Values,
    who: bool,
) -> Result<Option<BTreeMap<String, Group>>, RecordError> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let few = scan(enclave, values, &mut |person, value| {
        let group = groups.entry(value).or_default();
        group.people += 1;
        group.who.extend(who.then(|| person.clone()));
        groups.len() <= GROUPS_MAX
    })?;
    Ok(few.then_some(groups))
}

/// The same for noise, in which each person counts in one group.
fn grouped(enclave: &Enclave, values: &Values) -> Result<Grouped, Why> {
    let mut people = Vec::new();
    let few = scan(enclave, values, &mut |_, value| {
        people.push((people.len(), value));
        people.len() <= VALUES_MAX
    });
    match few {
        Ok(true) => Grouped::new(people, 1).map_err(|_| (Reason::Limit, None)),
        Ok(false) => Err((Reason::Limit, None)),
        Err(_) => Err((Reason::Upstream, None)),
    }
}

/// Goes through everybody, as long as `take` wants more. Whether it wanted all.
fn scan(
    enclave: &Enclave,
    values: &Values,
    take: &mut dyn FnMut(&SubjectId, String) -> bool,
) -> Result<bool, RecordError> {
    let records = enclave.records();
    for person in records.people() {
        let person = person?;
        let sealed = records.keys_of(enclave.keys(), &person)?;
        let collection = values.collection.as_str();
        let found = records.collection(&person, &sealed, collection, LOOKED_AT, ANSWER_MAX)?;
        let value = found.iter().find_map(|json| value_of(json, &values.keys));
        if !take(person.subject(), value.unwrap_or_else(|| "unknown".to_owned())) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The value of the first of these keys that a record has, if it is one word, number or truth.
fn value_of(json: &[u8], keys: &[String]) -> Option<String> {
    let record: serde_json::Value = serde_json::from_slice(json).ok()?;
    let value = keys.iter().find_map(|k| record.get(k))?;
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}
