//! What a running gateway needs: the road under the live rulebook, and the vault's parts.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use crossing::identify::{self, NotIdentified, Session, VerifiedActor, Who};
use crossing::inward::Import;
use crossing::seal::{PersonSeal, SealError, Sealing};
use crossing::{
    Border, InForce, Intent, Passing, Permitted, Receipts, Recording, Refused, Road, Sealed, SealedRefusal,
    Selection, Treated,
};
use ledger::{Entry, Receipt, SecretKey, Submission};
use model::lanes::Lane;
use model::{Country, Digest, Explain, FlowId, Name, Reason, SubjectId, Tag, UnixSeconds};
use tokio::sync::{oneshot, watch};
use vault::keys::TagKey;
use vault::records::{Arrived, RecordError, Renewal};
use vault::{Border as Written, BorderClosed, Control, KeyService, Log, Media, Records};

use crate::inside::Sums;
use crate::kept::Kept;
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
            let selection = Selection::of_lane(&rulebook.catalogue, lane)?;
            lanes.insert(name.to_string(), LiveLane { lane: lane.clone(), selection });
        }
        let nothing = Selection::new(&rulebook.catalogue, &[], None)?;
        Ok(Self { road, lanes, nothing })
    }
}

/// Tells the country of an address that the programme does not declare.
pub type Elsewhere = Box<dyn Fn(IpAddr) -> Option<Country> + Send + Sync>;

/// What an enclave is made of.
pub struct Parts {
    /// The rulebook in force.
    pub live: Live,
    /// Records of people.
    pub records: Arc<Records>,
    /// Media of people.
    pub media: Arc<Media>,
    /// The key service.
    pub keys: Arc<KeyService>,
    /// Actors, grants and cases.
    pub control: Arc<Control>,
    /// The gateway's log.
    pub log: Arc<Log>,
    /// The key service's log.
    pub key_log: Arc<Log>,
    /// Counters.
    pub metrics: Metrics,
    /// How open the border is, whenever it is asked.
    pub border: Box<dyn Fn() -> Border + Send + Sync>,
    /// The country of an address for which the programme declares no network, where the operator has a table.
    pub elsewhere: Elsewhere,
    /// Bytes of released payloads that are held for the auditor's samples.
    pub samples_bytes: usize,
}

/// Everything behind the gateways of one process.
pub struct Enclave {
    live: ArcSwap<Live>,
    records: Arc<Records>,
    media: Arc<Media>,
    keys: Arc<KeyService>,
    control: Arc<Control>,
    log: Arc<Log>,
    key_log: Arc<Log>,
    metrics: Metrics,
    border: Box<dyn Fn() -> Border + Send + Sync>,
    elsewhere: Elsewhere,
    in_force: Arc<InForce>,
    look: watch::Sender<u64>,
    kept: Kept,
    inside: Sums,
    epoch: Mutex<Option<(u32, Arc<SecretKey>)>>,
    people: Mutex<HashMap<SubjectId, (UnixSeconds, PersonKey)>>,
    since: OnceLock<UnixSeconds>,
    witnesses: OnceLock<String>,
}

/// Of a person's keys, what crossings need.
#[derive(Clone)]
pub struct PersonKey {
    /// Makes their tags.
    pub tags: TagKey,
    /// Opens their sections of details.
    pub detail: SecretKey,
}

impl PersonKey {
    fn seal(&self, at: UnixSeconds) -> PersonSeal {
        PersonSeal { tag: self.tags.at(at), key: self.detail.clone() }
    }
}

/// An entry that waits for its log.
pub type Waiting = oneshot::Receiver<Result<Receipt, BorderClosed>>;

/// A crossing whose entry and use of keys wait for their logs.
pub struct Queued {
    entry: Waiting,
    key_use: Option<Waiting>,
}

impl Queued {
    /// Waits for both.
    ///
    /// # Errors
    /// [`BorderClosed`] when one of them is not durable; then nothing may leave.
    pub async fn receipts(self) -> Result<Receipts, BorderClosed> {
        let key_use = match self.key_use {
            Some(waiting) => Some(waiting.await.unwrap_or(Err(BorderClosed::Stopped))?),
            None => None,
        };
        let entry = self.entry.await.unwrap_or(Err(BorderClosed::Stopped))?;
        Ok(Receipts { entry, key_use })
    }
}

/// Why a payload is not on its way.
#[derive(Debug)]
pub enum Held {
    /// Its country was suspended or its rulebook replaced meanwhile.
    Refused(Box<Refused>),
    /// It cannot be sealed.
    Unsealed(SealError),
    /// Its entry cannot be queued.
    Closed(BorderClosed),
}

/// Why people who came are not in the vault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotAdmitted {
    /// Their entry cannot be sealed.
    #[error("the entry of the import could not be sealed")]
    Sealed(#[from] SealError),
    /// Their entry cannot be recorded.
    #[error(transparent)]
    Border(#[from] BorderClosed),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] RecordError),
}

impl NotAdmitted {
    fn explained(&self) -> Option<&dyn Explain> {
        match self {
            Self::Sealed(_) => None,
            Self::Border(e) => Some(e),
            Self::Store(e) => Some(e),
        }
    }
}

impl Explain for NotAdmitted {
    fn code(&self) -> &'static str {
        self.explained().map_or("CLV-0301", Explain::code)
    }
    fn fix(&self) -> &'static str {
        self.explained().map_or("check the key service: `clover keys status`", Explain::fix)
    }
    fn public(&self) -> &'static str {
        "nobody was brought in"
    }
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
    pub fn new(parts: Parts) -> Self {
        let in_force = Arc::clone(parts.live.road.in_force());
        Self {
            look: watch::Sender::new(0),
            in_force,
            live: ArcSwap::from_pointee(parts.live),
            records: parts.records,
            media: parts.media,
            keys: parts.keys,
            control: parts.control,
            log: parts.log,
            key_log: parts.key_log,
            metrics: parts.metrics,
            border: parts.border,
            elsewhere: parts.elsewhere,
            kept: Kept::new(parts.samples_bytes),
            inside: Sums::default(),
            epoch: Mutex::default(),
            people: Mutex::default(),
            since: OnceLock::new(),
            witnesses: OnceLock::new(),
        }
    }

    /// Takes note of who witnesses the site, in words for people.
    pub fn witnessed(&self, by: String) {
        // The first word stands: the policy is read once, at the start.
        let _ = self.witnesses.set(by);
    }

    /// Who witnesses the site, in words for people.
    #[must_use]
    pub fn witnesses(&self) -> &str {
        self.witnesses.get().map_or("not independently witnessed", String::as_str)
    }

    /// How open the border is now.
    #[must_use]
    pub fn border(&self) -> Border {
        (self.border)()
    }

    /// The country that a network address speaks for: what the signed programme declares, else the operator's table.
    #[must_use]
    pub fn network_of(&self, address: IpAddr) -> Option<Country> {
        self.network_in(&self.live(), address)
    }

    /// The same under a rulebook.
    #[must_use]
    pub fn network_in(&self, live: &Live, address: IpAddr) -> Option<Country> {
        // An IPv4 caller of an IPv6 listener is an IPv4 caller.
        let address = address.to_canonical();
        let declared = live.road.rulebook().programme.country_of(address);
        declared.or_else(|| (self.elsewhere)(address))
    }

    /// The gateway's log, to hold on to.
    #[must_use]
    pub fn log_handle(&self) -> Arc<Log> {
        Arc::clone(&self.log)
    }

    /// The key service's log, to hold on to.
    #[must_use]
    pub fn key_log_handle(&self) -> Arc<Log> {
        Arc::clone(&self.key_log)
    }

    /// Released payloads that are held for samples.
    #[must_use]
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    fn queue(&self, recording: Recording) -> Result<Queued, BorderClosed> {
        let key_use = recording.key_use.map(|s| self.key_log.submit(s)).transpose()?;
        Ok(Queued { entry: self.log.submit(recording.entry)?, key_use })
    }

    /// Seals a payload and queues its entry, unless its country, or one of those that its caller's address and credentials
    /// speak for, was suspended or its rulebook replaced meanwhile, or nobody has asked for long whether it was.
    ///
    /// # Errors
    /// [`Held`]; then nothing leaves.
    pub fn send(&self, treated: Treated, places: &[Country]) -> Result<(Sealed, Queued), Held> {
        // INVARIANT: neither a suspension nor an activation is recorded between the look and the queue, so that none has
        // a release behind it which it stops.
        let passing = self.in_force.passing();
        let treated = match treated.past(&passing) {
            Ok(treated) => match self.stopped(&passing, places) {
                Some(reason) => Err(treated.refuse(reason)),
                None => Ok(treated),
            },
            refused => refused,
        };
        let treated = treated.map_err(|refused| Held::Refused(Box::new(refused)))?;
        let (sealed, recording) = self.seal(treated).map_err(Held::Unsealed)?;
        let queued = self.queue(recording).map_err(Held::Closed)?;
        drop(passing);
        Ok((sealed, queued))
    }

    /// Why nothing of a caller's from these places may go on now.
    fn stopped(&self, passing: &Passing<'_>, places: &[Country]) -> Option<Reason> {
        if passing.stops_any(places) {
            return Some(Reason::Suspended);
        }
        (!self.control.is_fresh()).then_some(Reason::Rulebook)
    }

    /// Seals the intent of a crossing, which releases at most so many bytes, and queues its entry, unless the crossing may not go
    /// on.
    ///
    /// # Errors
    /// Why not.
    pub fn send_intent(
        &self,
        permitted: &Permitted<'_>,
        bytes: u64,
        places: &[Country],
    ) -> Result<(Intent, Queued), Reason> {
        // INVARIANT: as with `send`.
        let passing = self.in_force.passing();
        if let Some(reason) = permitted.stopped(&passing).or_else(|| self.stopped(&passing, places)) {
            return Err(reason);
        }
        let sealed = self.sealing(permitted.at(), |sealing| permitted.intend(bytes, sealing));
        let (intent, recording) = sealed.map_err(|e| {
            tracing::error!(error = %e, "an intent could not be sealed; nothing was opened");
            Reason::Border
        })??;
        let queued = self.queue(recording).map_err(|_| Reason::Border)?;
        drop(passing);
        Ok((intent, queued))
    }

    /// Seals a refusal and queues its entry.
    ///
    /// # Errors
    /// [`Held`], but not as refused.
    pub fn send_refusal(&self, refused: Refused) -> Result<(SealedRefusal, Queued), Held> {
        // INVARIANT: as with `send`.
        let passing = self.in_force.passing();
        let (sealed, recording) = self.seal_refusal(refused.past(&passing)).map_err(Held::Unsealed)?;
        let queued = self.queue(recording).map_err(Held::Closed)?;
        drop(passing);
        Ok((sealed, queued))
    }

    /// Suspends a country, queues the entry that says so, and has connections to it cut.
    ///
    /// # Errors
    /// [`BorderClosed`] when the entry cannot be queued. The country is suspended all the same.
    pub fn suspend(&self, country: Country, order: Submission) -> Result<Waiting, BorderClosed> {
        let queued = self.in_force.suspend(country, || self.log.submit(order));
        self.look_again();
        queued
    }

    /// Lets a country pass again, after the entry that says so is durable.
    pub fn lift(&self, country: Country) {
        self.in_force.lift(country);
        self.look_again();
    }

    /// Puts another rulebook in force and queues the entry that says so. If the entry does not become durable,
    /// [`Enclave::put_back`] what was in force before.
    ///
    /// # Errors
    /// [`BorderClosed`] when the entry cannot be queued. Then nothing has changed.
    pub fn replace(&self, live: Arc<Live>, activation: Submission) -> Result<Waiting, BorderClosed> {
        let digest = live.road.rulebook().digest;
        let queued = self.in_force.replace(digest, || {
            let queued = self.log.submit(activation)?;
            self.live.store(live);
            Ok(queued)
        })?;
        self.look_again();
        Ok(queued)
    }

    /// Undoes an activation that is not on record.
    pub fn put_back(&self, live: Arc<Live>) {
        // Nobody knows now: the store says that another one is in force.
        self.in_force.unknown();
        self.live.store(live);
    }

    /// What is in force, whichever rulebook a crossing began under.
    #[must_use]
    pub fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// Has every open connection look whether what it stands on still is.
    pub fn look_again(&self) {
        self.look.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Changes whenever connections are to look again.
    #[must_use]
    pub fn looks(&self) -> watch::Receiver<u64> {
        self.look.subscribe()
    }

    /// The rulebook in force.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// When the log began: the time of its first entry, once that is published.
    #[must_use]
    pub fn since(&self) -> Option<UnixSeconds> {
        if let Some(since) = self.since.get() {
            return Some(*since);
        }
        let (leaf, _) = self.log.prove(0).ok()?;
        let since = Entry::decode(&leaf).ok()?.draft.time;
        Some(*self.since.get_or_init(|| since))
    }

    /// The records.
    #[must_use]
    pub fn records(&self) -> &Arc<Records> {
        &self.records
    }

    /// Media of people.
    #[must_use]
    pub fn media(&self) -> &Arc<Media> {
        &self.media
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &Arc<KeyService> {
        &self.keys
    }

    /// Actors, grants and cases.
    #[must_use]
    pub fn control(&self) -> &Arc<Control> {
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
    pub fn identify(
        &self,
        live: &Live,
        session: &Session,
        now: UnixSeconds,
    ) -> Result<VerifiedActor, NotIdentified> {
        let programme = &live.road.rulebook().programme;
        match &session.who {
            Who::Subject(subject) => {
                let tag = self.tag_of(subject, now).ok_or(NotIdentified::Disagree)?;
                identify::identify_subject(session, programme, tag)
            }
            Who::Employee(id) | Who::Service(id) => {
                let record = self.control.actor(id, now).map_err(|_| NotIdentified::Disagree)?;
                identify::identify(session, &record, programme, self.keys.actor_tag(id))
            }
        }
    }

    /// A person's keys; people whom the vault does not hold have keys of the region's.
    ///
    /// # Errors
    /// When the store or the keys refuse.
    pub fn person(&self, subject: &SubjectId, now: UnixSeconds) -> Result<PersonKey, BoxError> {
        if let Ok(people) = self.people.lock()
            && let Some((since, keys)) = people.get(subject)
            && *since <= now
            && now.0 - since.0 < KEY_LEASE
        {
            return Ok(keys.clone());
        }
        let keys = match self.records.person(subject)? {
            Some(person) => self.records.keys_of(&self.keys, &person)?,
            None => self.keys.unregistered(subject),
        };
        let keys = PersonKey { tags: keys.tags, detail: keys.detail };
        if let Ok(mut people) = self.people.lock() {
            if people.len() >= PEOPLE_MAX {
                people.clear();
            }
            people.insert(subject.clone(), (now, keys.clone()));
        }
        Ok(keys)
    }

    /// Forgets a person's keys, which were destroyed.
    pub fn forget(&self, subject: &SubjectId) {
        if let Ok(mut people) = self.people.lock() {
            people.remove(subject);
        }
    }

    /// A person's tag on a day, if their keys are to be had.
    #[must_use]
    pub fn tag_of(&self, subject: &SubjectId, now: UnixSeconds) -> Option<Tag> {
        self.person(subject, now).ok().map(|p| p.tags.at(now))
    }

    /// One value for all entries of a day: a key keeps what it prepared for its first use.
    fn epoch_key(&self, now: UnixSeconds) -> Result<(u32, Arc<SecretKey>), BoxError> {
        let epoch = now.day();
        let mut current = self.epoch.lock().map_err(|_| "the epoch key's lock is poisoned")?;
        if let Some((n, key)) = current.as_ref()
            && *n == epoch
        {
            return Ok((epoch, Arc::clone(key)));
        }
        let key = Arc::new(self.keys.epoch(epoch)?);
        *current = Some((epoch, Arc::clone(&key)));
        Ok((epoch, key))
    }

    /// Seals an entry of that time with this enclave's keys.
    ///
    /// # Errors
    /// [`SealError`]; then nothing leaves, and nobody enters.
    pub fn sealing<T>(
        &self,
        at: UnixSeconds,
        run: impl FnOnce(Sealing<'_>) -> Result<T, SealError>,
    ) -> Result<T, SealError> {
        let (now, nanos) = now();
        let (epoch, epoch_key) = self.epoch_key(at).map_err(SealError::Person)?;
        let mut starved = false;
        let mut random = |bytes: &mut [u8]| starved |= vault::keys::random(bytes).is_err();
        let mut resolve = |subject: &SubjectId| self.person(subject, now).map(|keys| keys.seal(at));
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
    pub fn seal(&self, treated: Treated) -> Result<(Sealed, Recording), SealError> {
        self.sealing(treated.at(), |s| treated.seal(s))
    }

    /// Seals a refusal.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal_refusal(&self, refused: Refused) -> Result<(SealedRefusal, Recording), SealError> {
        self.sealing(refused.at(), |s| refused.seal(s))
    }

    /// Has people who came be seen, once the entry that names them is on the ledger; `bytes` is what their files had.
    /// Returns the entry's place. Blocks.
    ///
    /// # Errors
    /// [`NotAdmitted`]; then none of them is visible.
    pub fn admit(
        &self,
        site: Country,
        dataset: &Name,
        arrived: &[Arrived],
        bytes: u64,
    ) -> Result<u64, NotAdmitted> {
        let records = arrived.iter().fold(0u32, |n, a| n.saturating_add(a.records));
        let people = arrived.iter().map(|a| (a.tags(), a.detail()));
        let (digest, receipt) = self.importing(site, dataset, people, records, bytes)?;
        self.records.admit(arrived, &digest, &receipt)?;
        Ok(receipt.index())
    }

    /// Has people who are here already be as they came again, once the entry that names them is on the ledger. Returns its
    /// place. Blocks.
    ///
    /// # Errors
    /// [`NotAdmitted`]; then some of them may be as they came, and the others as they were.
    pub fn renew(
        &self,
        site: Country,
        dataset: &Name,
        renewals: &[Renewal],
        bytes: u64,
    ) -> Result<u64, NotAdmitted> {
        let records = renewals.iter().fold(0u32, |n, one| n.saturating_add(one.records()));
        let people = renewals.iter().map(|one| (one.tags(), one.detail()));
        let (digest, receipt) = self.importing(site, dataset, people, records, bytes)?;
        self.records.renew(renewals, &digest, &receipt, now().0)?;
        Ok(receipt.index())
    }

    /// Puts an import on the ledger.
    fn importing<'p>(
        &self,
        site: Country,
        dataset: &Name,
        people: impl Iterator<Item = (&'p TagKey, &'p SecretKey)>,
        records: u32,
        bytes: u64,
    ) -> Result<(Digest, Receipt), NotAdmitted> {
        let (now, _) = now();
        let people: Vec<PersonSeal> =
            people.map(|(tags, key)| PersonSeal { tag: tags.at(now), key: key.clone() }).collect();
        // INVARIANT: no activation is recorded between the look at the rulebook and the queue.
        let passing = self.in_force.passing();
        let live = self.live();
        let rulebook = live.road.rulebook();
        let entry = Import {
            flow: self.flow_id().map_err(RecordError::from)?,
            now,
            rulebook: rulebook.digest,
            programme: &rulebook.programme.name,
            operator: self.keys.operator_tag(),
            site,
            dataset,
            people: &people,
            records,
            bytes,
        };
        let submission = self.sealing(now, |s| entry.seal(s))?;
        let digest = submission.entry();
        let queued = self.log.submit(submission)?;
        drop(passing);
        let receipt = queued.blocking_recv().unwrap_or(Err(BorderClosed::Stopped))?;
        Ok((digest, receipt))
    }

    /// What services inside did that is not on the ledger yet.
    pub(crate) fn inside(&self) -> &Sums {
        &self.inside
    }

    /// Why no service inside may work with records now, if anything is against it.
    pub(crate) fn inside_closed(&self, now: UnixSeconds) -> Option<BorderClosed> {
        match self.log.border() {
            Written::Closed(why) => Some(why),
            _ if self.inside.late(now) => Some(BorderClosed::NotWritten),
            _ => None,
        }
    }

    /// Writes what services inside did to the ledger: of each minute that is over, or all there is. Blocks.
    ///
    /// # Errors
    /// When it cannot be written: it is kept for the next time.
    pub fn sum_up(&self, all: bool) -> Result<(), BoxError> {
        let (mut sums, _in_hand) = self.inside.take(now().0, all);
        while let Some(sum) = sums.pop() {
            let written = self.flow_id().map_err(BoxError::from).and_then(|flow| {
                let entry = sum.entry(flow, now().0)?;
                Ok(self.log.submit_and_wait(entry)?)
            });
            if let Err(e) = written {
                sums.push(sum);
                self.inside.back(sums);
                return Err(e);
            }
        }
        Ok(())
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
