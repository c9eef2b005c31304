//! What a running gateway needs: the road under the live rulebook, and the vault's parts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use crossing::identify::{self, NotIdentified, Session, VerifiedActor, Who};
use crossing::seal::{PersonSeal, SealError, Sealing};
use crossing::{Refused, Road, Sealed, SealedRefusal, Selection, Treated};
use ledger::{SecretKey, Submission};
use model::lanes::{Lane, SubjectFrom};
use model::{FlowId, Name, SubjectId, Tag, UnixSeconds};
use vault::keys::EPOCH_SECONDS;
use vault::{Control, KeyService, Log, Records};

use crate::metrics::Metrics;

/// How long a person's keys are remembered, in seconds. An erased person's keys end with it.
const KEY_LEASE: u64 = 5;
/// Most people whose keys are remembered.
const PEOPLE_MAX: usize = 20_000;

/// A lane of the live rulebook, ready to use.
pub struct LiveLane {
    /// As declared.
    pub lane: Lane,
    /// Its pointers, compiled.
    pub selection: Selection,
}

/// A rulebook in force, with its lanes compiled.
pub struct Live {
    /// The road.
    pub road: Road,
    /// Its lanes.
    pub lanes: HashMap<String, LiveLane>,
    /// Asks for nothing: refusals of what is not known use it.
    pub nothing: Selection,
}

impl Live {
    /// Compiles the lanes of a road's rulebook.
    ///
    /// # Errors
    /// A pointer that cannot be compiled.
    pub fn new(road: Road) -> Result<Self, transform::json::BindingError> {
        let rulebook = road.rulebook();
        let mut lanes = HashMap::new();
        for (name, lane) in &rulebook.lanes.lanes {
            let subject = match &lane.subject {
                SubjectFrom::Pointer(pointer) => Some(pointer.as_str()),
                _ => None,
            };
            let selection = Selection::new(&rulebook.catalogue, &lane.bind, subject)?;
            lanes.insert(name.to_string(), LiveLane { lane: lane.clone(), selection });
        }
        let nothing = Selection::new(&rulebook.catalogue, &[], None)?;
        Ok(Self { road, lanes, nothing })
    }
}

/// Everything behind the gateways of one process.
pub struct Enclave {
    live: ArcSwap<Live>,
    records: Arc<Records>,
    keys: Arc<KeyService>,
    control: Control,
    log: Log,
    metrics: Metrics,
    epoch: Mutex<Option<(u32, SecretKey)>>,
    people: Mutex<HashMap<SubjectId, (UnixSeconds, PersonSeal)>>,
}

/// The time now, in seconds and in nanoseconds.
#[must_use]
pub fn now() -> (UnixSeconds, u64) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (UnixSeconds(since.as_secs()), u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Enclave {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        live: Live,
        records: Arc<Records>,
        keys: Arc<KeyService>,
        control: Control,
        log: Log,
        metrics: Metrics,
    ) -> Self {
        let live = ArcSwap::from_pointee(live);
        let (epoch, people) = (Mutex::default(), Mutex::default());
        Self { live, records, keys, control, log, metrics, epoch, people }
    }

    /// The rulebook in force.
    #[must_use]
    pub fn live(&self) -> arc_swap::Guard<Arc<Live>> {
        self.live.load()
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The records.
    #[must_use]
    pub fn records(&self) -> &Arc<Records> {
        &self.records
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &Arc<KeyService> {
        &self.keys
    }

    /// Actors, grants and cases.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A fresh name for a crossing.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn flow_id(&self) -> Result<FlowId, vault::keys::KeyError> {
        let mut id = [0; 16];
        vault::keys::random(&mut id)?;
        Ok(FlowId::new(id))
    }

    /// Who a session is.
    ///
    /// # Errors
    /// [`NotIdentified`] when record and credential do not fit, or nobody is on record.
    pub fn identify(&self, session: &Session, now: UnixSeconds) -> Result<VerifiedActor, NotIdentified> {
        let live = self.live();
        let programme = &live.road.rulebook().programme;
        match &session.who {
            Who::Subject(subject) => {
                let seal = self.person(subject, now).map_err(|_| NotIdentified::Disagree)?;
                identify::identify_subject(session, programme, seal.tag)
            }
            Who::Employee(id) | Who::Service(id) => {
                let record = self.control.actor(id, now).map_err(|_| NotIdentified::Disagree)?;
                identify::identify(session, &record, programme, self.keys.actor_tag(id))
            }
        }
    }

    /// A person's tag and detail key; people whom the vault does not hold have keys of the region's.
    ///
    /// # Errors
    /// When the store or the keys refuse.
    pub fn person(&self, subject: &SubjectId, now: UnixSeconds) -> Result<PersonSeal, BoxError> {
        if let Ok(people) = self.people.lock()
            && let Some((since, seal)) = people.get(subject)
            && *since <= now
            && now.0 - since.0 < KEY_LEASE
        {
            return Ok(seal.clone());
        }
        let keys = match self.records.person(subject)? {
            Some(person) => self.records.keys_of(&self.keys, &person)?,
            None => self.keys.unregistered(subject),
        };
        let seal = PersonSeal { tag: keys.tag, key: keys.detail };
        if let Ok(mut people) = self.people.lock() {
            if people.len() >= PEOPLE_MAX {
                people.clear();
            }
            people.insert(subject.clone(), (now, seal.clone()));
        }
        Ok(seal)
    }

    /// A person's tag, if their keys are to be had.
    #[must_use]
    pub fn tag_of(&self, subject: &SubjectId, now: UnixSeconds) -> Option<Tag> {
        self.person(subject, now).ok().map(|p| p.tag)
    }

    fn epoch_key(&self, now: UnixSeconds) -> Result<(u32, SecretKey), BoxError> {
        let epoch = u32::try_from(now.0 / EPOCH_SECONDS).unwrap_or(u32::MAX);
        let mut current = self.epoch.lock().map_err(|_| "the epoch key's lock is poisoned")?;
        if let Some((n, key)) = current.as_ref()
            && *n == epoch
        {
            return Ok((epoch, key.clone()));
        }
        let key = self.keys.epoch(epoch)?;
        *current = Some((epoch, key.clone()));
        Ok((epoch, key))
    }

    /// Seals with this enclave's keys.
    ///
    /// # Errors
    /// [`SealError`]; then nothing leaves, and nobody enters.
    pub fn sealing<T>(&self, run: impl FnOnce(Sealing<'_>) -> Result<T, SealError>) -> Result<T, SealError> {
        let (now, nanos) = now();
        let (epoch, epoch_key) = self.epoch_key(now).map_err(SealError::Person)?;
        let mut starved = false;
        let mut random = |bytes: &mut [u8]| starved |= vault::keys::random(bytes).is_err();
        let mut resolve = |subject: &SubjectId| self.person(subject, now);
        let sealing =
            Sealing { epoch, epoch_key: &epoch_key, nanos, resolve: &mut resolve, random: &mut random };
        let sealed = run(sealing)?;
        // Without randomness a nonce could repeat: what was sealed so is thrown away.
        if starved { Err(SealError::Person(Box::new(vault::keys::KeyError::Random))) } else { Ok(sealed) }
    }

    /// Seals a payload.
    ///
    /// # Errors
    /// [`SealError`]; then nothing leaves.
    pub fn seal(&self, treated: Treated) -> Result<(Sealed, Submission), SealError> {
        self.sealing(|s| treated.seal(s))
    }

    /// Seals a refusal.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal_refusal(&self, refused: Refused) -> Result<(SealedRefusal, Submission), SealError> {
        self.sealing(|s| refused.seal(s))
    }

    /// The name of a flow that runs on a lane to this service, if one is registered.
    #[must_use]
    pub fn flow_of(live: &Live, lane: &Name, sink: Option<&model::ActorId>) -> Option<model::lanes::Flow> {
        live.road
            .rulebook()
            .lanes
            .flows
            .iter()
            .find(|f| f.lane == *lane && sink.is_none_or(|s| f.sink == *s))
            .cloned()
    }
}
