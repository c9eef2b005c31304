//! From a request to its crossing, and from a receipt to the answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use crossing::identify::{Session, VerifiedActor, Who};
use crossing::{Ask, Border, Permitted, Refused, Selection, Treated};
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::{Body, Incoming};
use model::facts::{Evidence, FlowFacts};
use model::lanes::{Flow, Way};
use model::procedures::Amount;
use model::{Country, Direction, FlowId, Name, Purpose, Reason, SubjectId, Tag, Treatment, UnixSeconds};
use tracing::field::Empty;
use tracing::{Instrument, Span};
use vault::control::{Exhausted, TakeError, Ticket};

use super::answer::{self, Answer, Sender};
use super::body;
use super::head;
use super::query::QUERY_MAX;
use super::records;
use super::seen::Seen;
use super::serve::Gateway;
use crate::enclave::{self, Held, Live};
use crate::metrics::Labels;

const PURPOSE: &str = "clover-purpose";
const GRANT: &str = "clover-grant";
const CASE: &str = "clover-case";
pub(super) const SUBJECT: &str = "clover-subject";

/// The treatments that a row-level request would accept.
pub(super) const ROWS: &[Treatment] = &[Treatment::Plain, Treatment::Pseudonymised];

/// What is known about a request before any lane looks at it.
pub(super) struct Context<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) live: &'a Live,
    pub(super) session: &'a Session,
    pub(super) seen: &'a Seen,
    pub(super) actor: &'a VerifiedActor,
    pub(super) now: UnixSeconds,
    pub(super) border: Border,
    pub(super) flow: FlowId,
    pub(super) headers: &'a HeaderMap,
    pub(super) started: Instant,
}

/// A ground for a request: what policy sees, and its name for the sealed detail.
pub(super) struct Ground {
    pub(super) evidence: Evidence,
    pub(super) name: Option<Name>,
    /// How much may cross on it in all, where it is a grant or case.
    pub(super) amount: Option<Amount>,
}

impl Ground {
    /// Most bytes of one crossing, likewise.
    pub(super) fn bytes_max(&self, most: u64) -> u64 {
        self.amount.map_or(most, |a| most.min(a.bytes))
    }

    /// Most rows of one crossing: as many as its way takes, and no more than the ground gives in all.
    pub(super) fn rows_max(&self, most: u32) -> u32 {
        self.amount.map_or(most, |a| most.min(u32::try_from(a.rows).unwrap_or(u32::MAX)))
    }
}

/// A payload, with what it took of its ground's amount.
pub(super) struct Paid {
    treated: Treated,
    ticket: Option<Ticket>,
}

impl Paid {
    /// A payload on a ground without an amount: a registered flow, public data, one's own record.
    pub(super) fn free(treated: Treated) -> Self {
        Self { treated, ticket: None }
    }
}

/// Answers one request of a session, inside a span that names the lane and the outcome and nobody.
pub(super) async fn handle(
    gateway: &Gateway,
    session: &Session,
    peer: IpAddr,
    seen: &Seen,
    request: Request<Incoming>,
) -> Answer {
    let span = tracing::debug_span!("crossing", lane = Empty, outcome = Empty, reason = Empty);
    let (parts, body) = request.into_parts();
    // A query would be a second place for parameters, and one that is logged.
    let path = if parts.uri.query().is_some() { "" } else { parts.uri.path() };
    let checked = head::check(&parts, gateway.hosts());
    let run = async {
        // The body first: whatever is decided from, time and place included, is looked at after it is here.
        let wanted = match checked {
            Ok(()) => Ok((&parts.method, path, receive(gateway, &parts, path, body).await)),
            Err(reason) => Err(reason),
        };
        answer(gateway, (session, peer), seen, &parts.headers, wanted).await
    };
    run.instrument(span).await
}

/// Records that somebody known sent what is no HTTP. They have their answer already; there was no request that
/// could have released anything.
pub(super) async fn unreadable(gateway: &Gateway, session: &Session, peer: IpAddr, seen: &Seen) {
    let _ = answer(gateway, (session, peer), seen, &HeaderMap::new(), Err(Reason::Malformed)).await;
}

/// A caller's body, whole and in time, where one is expected; elsewhere there must be none.
async fn receive(gateway: &Gateway, parts: &Parts, path: &str, body: Incoming) -> Result<Bytes, Reason> {
    let mut of_lane = false;
    let max = match (&parts.method, path) {
        (method, path) if records::body_max(method, path).is_some() => {
            records::body_max(method, path).unwrap_or_default()
        }
        (&Method::POST, "/v1/read" | "/v1/count") => QUERY_MAX,
        (&Method::POST, path) => {
            let live = gateway.enclave.live();
            let lane = path.strip_prefix("/out/").and_then(|name| live.lanes.get(name));
            of_lane = lane.is_some();
            lane.map_or(0, |l| usize::try_from(l.lane.body_bytes_max).unwrap_or(usize::MAX))
        }
        _ => 0,
    };
    if max == 0 {
        // Nothing of it could be checked.
        return if body.is_end_stream() { Ok(Bytes::new()) } else { Err(Reason::Request) };
    }
    let read = async {
        // What compresses it is the lane's to say.
        if of_lane {
            body::raw(&parts.headers, body, max).await
        } else {
            body::read(&parts.headers, body, max).await
        }
    };
    tokio::time::timeout(gateway.body_timeout(), read).await.unwrap_or(Err(Reason::Limit))
}

async fn answer(
    gateway: &Gateway,
    (session, peer): (&Session, IpAddr),
    seen: &Seen,
    headers: &HeaderMap,
    wanted: Result<(&Method, &str, Result<Bytes, Reason>), Reason>,
) -> Answer {
    let (now, _) = enclave::now();
    let enclave = &gateway.enclave;
    // INVARIANT: one rulebook for the place, the person and the decision, however long the body took.
    let live = enclave.live();
    let session = &Session { network: enclave.network_in(&live, peer), ..session.clone() };
    let Ok(actor) = enclave.identify(&live, session, now) else {
        enclave.metrics().strangers.inc();
        return answer::stranger(StatusCode::FORBIDDEN, "nobody of this programme");
    };
    let flow = match enclave.flow_id() {
        Ok(flow) => flow,
        Err(e) => return answer::broken(&e),
    };
    let started = Instant::now();
    let border = enclave.border();
    let context =
        Context { gateway, live: &live, session, seen, actor: &actor, now, border, flow, headers, started };
    // Who is nowhere, as a person reading their own record is, is where address or credential say: the road sees only
    // the place on which all agree.
    let suspended = |places: &[Country]| enclave.in_force().passing().stops_any(places);
    if suspended(&session.places()) && !suspended(&[context.place()]) {
        return context.refuse_unknown(Reason::Suspended).await;
    }
    match wanted {
        Ok((method, path, body)) => context.route(method, path, body).await,
        Err(reason) => context.refuse_unknown(reason).await,
    }
}

impl Context<'_> {
    async fn route(&self, method: &Method, path: &str, body: Result<Bytes, Reason>) -> Answer {
        let lane = |prefix| path.strip_prefix(prefix).and_then(|name| self.live.lanes.get(name));
        match (method, path) {
            (&Method::POST, "/v1/read") => self.read(body).await,
            (&Method::POST, "/v1/count") => self.count(body).await,
            (&Method::GET, "/v1/me/crossings") => self.own().await,
            (method, path) if records::body_max(method, path).is_some() => {
                self.records(method, path, body).await
            }
            _ => match (lane("/lanes/"), lane("/out/")) {
                (Some(lane), _) => self.reverse(lane, method, body).await,
                (None, Some(lane)) => self.forward(lane, method, body).await,
                (None, None) => self.refuse_unknown(Reason::Unknown).await,
            },
        }
    }

    pub(super) fn header(&self, name: &str) -> Result<Option<&str>, Reason> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_| Reason::Request),
            _ => Err(Reason::Request),
        }
    }

    /// The purpose that the request names. Those that no person may claim are not accepted.
    pub(super) fn purpose(&self) -> Result<Purpose, Reason> {
        let word = self.header(PURPOSE)?.ok_or(Reason::Request)?;
        match Purpose::parse(word) {
            Ok(Purpose::SelfAccess | Purpose::Migration | Purpose::Operation) | Err(_) => {
                Err(Reason::Request)
            }
            Ok(purpose) => Ok(purpose),
        }
    }

    pub(super) fn subject(&self) -> Result<Option<(SubjectId, Tag)>, Reason> {
        let Some(text) = self.header(SUBJECT)? else { return Ok(None) };
        let subject = SubjectId::parse(text).map_err(|_| Reason::Request)?;
        self.with_tag(subject).map(Some)
    }

    pub(super) fn with_tag(&self, subject: SubjectId) -> Result<(SubjectId, Tag), Reason> {
        let tag = self.gateway.enclave.tag_of(&subject, self.now).ok_or(Reason::Subject)?;
        Ok((subject, tag))
    }

    /// The grant or case that the request names; a service's ground is the flow registered for the lane.
    pub(super) fn ground(&self, lane: Option<&Name>) -> Result<Ground, Reason> {
        let (control, keys) = (self.gateway.enclave.control(), self.gateway.enclave.keys());
        let named = |header| self.header(header).map(|v| v.map(Name::parse).transpose());
        let grant = named(GRANT)?.map_err(|_| Reason::Request)?;
        let case = named(CASE)?.map_err(|_| Reason::Request)?;
        let Some(me) = self.actor.actor() else { return Err(Reason::Evidence) };
        let tag = |id: &model::ActorId| keys.actor_tag(id);
        let name = |id: &Name| keys.evidence_tag(id);
        let person = |s: &SubjectId| self.gateway.enclave.tag_of(s, self.now);
        match (grant, case) {
            (Some(_), Some(_)) => Err(Reason::Request),
            (Some(id), None) => {
                let grant = control.grant(&id, self.now).map_err(|_| Reason::Evidence)?;
                grant.usable(me, self.now).map_err(|_| Reason::Evidence)?;
                let facts = grant.facts(name, tag, person).ok_or(Reason::Evidence)?;
                self.seen.ground(&id);
                Ok(Ground { evidence: Evidence::Grant(facts), name: Some(id), amount: Some(grant.amount) })
            }
            (None, Some(id)) => {
                let case = control.case(&id, self.now).map_err(|_| Reason::Evidence)?;
                case.usable(me, self.now).map_err(|_| Reason::Evidence)?;
                let subject = person(&case.subject).ok_or(Reason::Subject)?;
                let facts = case.facts(name, tag, subject, self.now).ok_or(Reason::Evidence)?;
                self.seen.ground(&id);
                Ok(Ground { evidence: Evidence::Case(facts), name: Some(id), amount: Some(case.amount) })
            }
            (None, None) => {
                let service = matches!(self.actor.who(), Who::Service(_));
                let flow =
                    lane.filter(|_| service).and_then(|l| crate::Enclave::flow_of(self.live, l, Some(me)));
                let none = Ground { evidence: Evidence::None, name: None, amount: None };
                Ok(flow.map_or(none, |f| self.flow_ground(&f)))
            }
        }
    }

    pub(super) fn flow_ground(&self, flow: &Flow) -> Ground {
        let facts = FlowFacts {
            name: flow.name.clone(),
            sink: self.gateway.enclave.keys().actor_tag(&flow.sink),
            fields: flow.fields.clone(),
            destination: flow.destination,
            basis: flow.basis,
            active: flow.active,
        };
        Ground { evidence: Evidence::Flow(facts), name: Some(flow.name.clone()), amount: None }
    }

    /// An ask of this context; callers set what differs.
    pub(super) fn ask<'a>(
        &'a self,
        lane: &'a Name,
        dataset: &'a Name,
        selection: &'a Selection,
        purpose: Purpose,
        ground: &'a Ground,
    ) -> Ask<'a> {
        Ask {
            flow: self.flow,
            now: self.now,
            border: self.border,
            actor: self.actor,
            purpose,
            lane,
            direction: Direction::Outward,
            destination: self.actor.principal().country,
            dataset,
            selection,
            subject: None,
            evidence: ground.evidence.clone(),
            evidence_name: ground.name.as_ref(),
            ladder: ROWS,
            rows_max: 1,
            people_max: 1,
        }
    }

    /// Records a refusal that came before a decision could be asked for. The person named in a header sees it.
    pub(super) async fn refuse_early(&self, lane: &Name, reason: Reason) -> Answer {
        let subject = self.subject().ok().flatten();
        self.refuse_about(lane, reason, subject).await
    }

    /// As [`Self::refuse_early`], about the person that the body names.
    pub(super) async fn refuse_about(
        &self,
        lane: &Name,
        reason: Reason,
        subject: Option<(SubjectId, Tag)>,
    ) -> Answer {
        let named = |header| self.header(header).ok().flatten().and_then(|text| Name::parse(text).ok());
        let name = named(GRANT).or_else(|| named(CASE));
        let ground = Ground { evidence: Evidence::None, name, amount: None };
        let purpose = self.purpose().unwrap_or(Purpose::Operation);
        let ask = Ask { subject, ..self.ask(lane, lane, &self.live.nothing, purpose, &ground) };
        let refused = self.live.road.refuse(&ask, reason);
        self.refuse(lane, refused).await
    }

    /// Records a refusal of what is for no lane.
    async fn refuse_unknown(&self, reason: Reason) -> Answer {
        match Name::parse("unknown") {
            Ok(name) => self.refuse_early(&name, reason).await,
            Err(_) => answer::stranger(StatusCode::NOT_FOUND, "no such lane, path or method"),
        }
    }

    /// Whose body a lane inspects: reverse lanes that of the service behind, all others the caller's.
    fn sender(&self, lane: &Name) -> Sender {
        let reverse = self.live.lanes.get(lane.as_str()).is_some_and(|l| l.lane.way == Way::Reverse);
        if reverse { Sender::Behind } else { Sender::Caller }
    }

    /// Whether the caller is who they were, where they were.
    pub(super) fn still_caller(&self, now: UnixSeconds) -> bool {
        let then = self.gateway.enclave.identify(self.live, self.session, now);
        then.is_ok_and(|actor| actor.principal() == self.actor.principal())
    }

    /// Whether actor, place and ground are what they were, after something was waited for.
    pub(super) fn still(&self, lane: &Name, ground: &Ground) -> bool {
        let (now, _) = enclave::now();
        if now == self.now {
            return true;
        }
        let Ok(actor) = self.gateway.enclave.identify(self.live, self.session, now) else { return false };
        let then = Context { actor: &actor, now, ..*self };
        actor.principal() == self.actor.principal()
            && then.ground(Some(lane)).is_ok_and(|g| g.evidence == ground.evidence)
    }

    /// Records a refusal, then tells it.
    pub(super) async fn refuse(&self, lane: &Name, refused: Refused) -> Answer {
        self.refuse_telling(lane, refused, None).await
    }

    /// The same, with what is left of a privacy budget where that is why.
    pub(super) async fn refuse_telling(
        &self,
        lane: &Name,
        refused: Refused,
        left: Option<Exhausted>,
    ) -> Answer {
        let reason = refused.reason();
        self.count_one(lane, "refused", reason);
        let (sealed, queued) = match self.gateway.enclave.send_refusal(refused) {
            Ok(sent) => sent,
            Err(Held::Unsealed(e)) => return unsealed(&e),
            Err(Held::Closed(e)) => return answer::broken(&e),
            Err(Held::Refused(_)) => return answer::broken(&vault::BorderClosed::Stopped),
        };
        match queued.receipts().await {
            Ok(receipts) => match sealed.release(&receipts) {
                Ok(witnessed) => match left.filter(|_| witnessed.reason == Reason::Privacy) {
                    Some(left) => answer::exhausted(&left, witnessed.index),
                    None => answer::refused(witnessed.reason, self.sender(lane), witnessed.index),
                },
                Err(_) => answer::broken(&vault::BorderClosed::Stopped),
            },
            Err(e) => answer::broken(&e),
        }
    }

    /// Asks policy, and has the intent of releasing at most so many bytes be on the ledger, where policy demands that, before
    /// anything is opened.
    ///
    /// # Errors
    /// [`Refused`]; then nothing was opened.
    pub(super) async fn decide<'p>(&'p self, ask: &Ask<'p>, most: u64) -> Result<Permitted<'p>, Refused> {
        let mut permitted = self.live.road.decide(ask)?;
        if !permitted.needs_intent() {
            return Ok(permitted);
        }
        let sent = self.gateway.enclave.send_intent(&permitted, most, &self.session.places());
        let recorded = match sent {
            Ok((intent, queued)) => queued.receipts().await.map(|receipts| (intent, receipts)),
            Err(reason) => return Err(permitted.refuse(reason)),
        };
        match recorded {
            Ok((intent, receipts)) if permitted.intended(&intent, &receipts).is_ok() => Ok(permitted),
            _ => Err(permitted.refuse(Reason::Border)),
        }
    }

    /// Takes what a payload needs from the amount of its ground, durably, before anything of it is recorded.
    ///
    /// # Errors
    /// [`Refused`] when the amount is spent, or nobody can say whether it is.
    pub(super) async fn pay(&self, ground: &Ground, treated: Treated) -> Result<Paid, Refused> {
        let Some((name, amount)) = ground.name.clone().zip(ground.amount) else {
            return Ok(Paid::free(treated));
        };
        let (rows, bytes) = (u64::from(treated.rows()), treated.bytes());
        let enclave = Arc::clone(&self.gateway.enclave);
        let people: Vec<Tag> = treated.people().iter().map(|s| enclave.keys().counted_tag(s)).collect();
        let taken = tokio::task::spawn_blocking(move || {
            enclave.control().take(&name, &amount, rows, bytes, &people, 0)
        });
        match taken.await {
            Ok(Ok(ticket)) => Ok(Paid { treated, ticket: Some(ticket) }),
            Ok(Err(TakeError::Spent(_))) => Err(treated.refuse(Reason::Budget)),
            _ => Err(treated.refuse(Reason::Evidence)),
        }
    }

    /// Seals a payload, records it, and opens it with its receipt: the one exit. What it took is given back if it does
    /// not come to that.
    pub(super) async fn record(&self, lane: &Name, paid: Paid) -> Result<(Bytes, u64), Answer> {
        let Paid { treated, ticket } = paid;
        let done = self.record_through(lane, treated).await;
        if let (Err(_), Some(ticket)) = (&done, ticket) {
            self.gateway.enclave.control().give_back(ticket);
        }
        done
    }

    async fn record_through(&self, lane: &Name, treated: Treated) -> Result<(Bytes, u64), Answer> {
        let enclave = &self.gateway.enclave;
        let findings = treated.findings();
        let (sealed, queued) = match enclave.send(treated, &self.session.places()) {
            Ok(sent) => sent,
            Err(Held::Refused(refused)) => return Err(self.refuse(lane, *refused).await),
            Err(Held::Unsealed(e)) => return Err(unsealed(&e)),
            Err(Held::Closed(e)) => return Err(self.closed(lane, e)),
        };
        let receipts = queued.receipts().await.map_err(|e| self.closed(lane, e))?;
        let index = receipts.entry.index();
        let payload = sealed.release(&receipts).map_err(|e| {
            tracing::error!(error = %e, "a receipt did not fit its payload");
            self.closed(lane, vault::BorderClosed::Stopped)
        })?;
        let body = Bytes::from(payload.into_bytes());
        enclave.kept().keep(index, &body);
        self.count_one(lane, "released", Reason::None);
        let metrics = enclave.metrics();
        metrics.released_bytes.inc_by(body.len() as u64);
        metrics.findings.inc_by(u64::from(findings));
        metrics.seconds.observe(self.started.elapsed().as_secs_f64());
        Ok((body, index))
    }

    /// Records and answers.
    pub(super) async fn release(&self, lane: &Name, paid: Result<Paid, Refused>) -> Answer {
        match paid {
            Ok(paid) => {
                let media_type = paid.treated.media_type();
                match self.record(lane, paid).await {
                    Ok((body, index)) => answer::released(body, index, &media_type),
                    Err(answer) => answer,
                }
            }
            Err(refused) => self.refuse(lane, refused).await,
        }
    }

    fn closed(&self, lane: &Name, why: vault::BorderClosed) -> Answer {
        self.count_one(lane, "refused", Reason::Border);
        answer::broken(&why)
    }

    fn count_one(&self, lane: &Name, outcome: &'static str, reason: Reason) {
        let labels = Labels { lane: lane.to_string(), outcome, reason: reason.word() };
        self.gateway.enclave.metrics().crossings.get_or_create(&labels).inc();
        Span::current()
            .record("lane", lane.as_str())
            .record("outcome", outcome)
            .record("reason", reason.word());
    }

    /// Where the caller is.
    pub(super) fn place(&self) -> Country {
        self.actor.principal().country
    }
}

/// The name of a lane of the gateway itself.
pub(super) fn own_name(text: &'static str) -> Result<Name, Box<Answer>> {
    Name::parse(text)
        .map_err(|_| Box::new(answer::stranger(StatusCode::NOT_FOUND, "no such lane, path or method")))
}

fn unsealed(error: &crossing::seal::SealError) -> Answer {
    tracing::error!(error = %error, "a crossing could not be sealed; nothing was released");
    answer::broken(&vault::BorderClosed::Stopped)
}
