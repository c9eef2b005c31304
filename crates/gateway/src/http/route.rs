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
use model::lanes::Way;
use model::{Country, Direction, FlowId, Name, Purpose, Reason, SubjectId, Tag, Treatment, UnixSeconds};
use tracing::field::Empty;
use tracing::{Instrument, Span};
use vault::control::Exhausted;

use super::answer::{self, Answer, Sender};
use super::body;
use super::head;
use super::query::QUERY_MAX;
use super::records;
use super::serve::Gateway;
use crate::enclave::{self, Held, Live};
use crate::metrics::Labels;
use crate::passage::{self, Ground, Named, Paid, claimed};
use crate::seen::Seen;

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

impl Gateway {
    /// Answers a question that somebody asks through the console, from the address that they ask it from. It goes the same
    /// road, and what is begun comes to its end on the ledger whether or not anybody waits for it.
    pub async fn ask(self: Arc<Self>, session: Session, peer: IpAddr, request: Request<Bytes>) -> Answer {
        let begun = tokio::spawn(async move {
            let (parts, body) = request.into_parts();
            let path = if parts.uri.query().is_some() { "" } else { parts.uri.path() };
            let wanted = Ok((&parts.method, path, Ok(body)));
            answer(&self, (&session, peer), &Seen::default(), &parts.headers, wanted).await
        });
        begun.await.unwrap_or_else(|_| answer::broken(&vault::BorderClosed::Stopped))
    }
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
            (&Method::GET, "/v1/me/export") => self.own_export().await,
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
        claimed(word).ok_or(Reason::Request)
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
        let parsed = |header| self.header(header)?.map(Name::parse).transpose().map_err(|_| Reason::Request);
        let named = match (parsed(GRANT)?, parsed(CASE)?) {
            (Some(_), Some(_)) => return Err(Reason::Request),
            (Some(id), None) => Named::Grant(id),
            (None, Some(id)) => Named::Case(id),
            (None, None) => return self.flow_of(lane),
        };
        let serving = self.gateway.enclave.serving(self.actor, &named, self.now, self.now)?;
        serving.ground.name.iter().for_each(|id| self.seen.ground(id));
        Ok(serving.ground)
    }

    /// What a service's ground is: the flow registered for the lane.
    fn flow_of(&self, lane: Option<&Name>) -> Result<Ground, Reason> {
        let me = self.actor.actor().ok_or(Reason::Evidence)?;
        let service = matches!(self.actor.who(), Who::Service(_));
        let flow = lane.filter(|_| service).and_then(|l| crate::Enclave::flow_of(self.live, l, Some(me)));
        Ok(flow.map_or(Ground::none(), |f| Ground::flow(&self.gateway.enclave, &f)))
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
            statement: None,
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
        let ground = Ground { name, ..Ground::none() };
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
        match passage::refuse(&self.gateway.enclave, refused).await {
            Ok(witnessed) => match left.filter(|_| witnessed.reason == Reason::Privacy) {
                Some(left) => answer::exhausted(&left, witnessed.index),
                None => answer::refused(witnessed.reason, self.sender(lane), witnessed.index),
            },
            Err(Held::Unsealed(e)) => unsealed(&e),
            Err(Held::Closed(e)) => answer::broken(&e),
            Err(Held::Refused(_)) => answer::broken(&vault::BorderClosed::Stopped),
        }
    }

    /// Asks policy, and has the intent of releasing at most so many bytes be on the ledger, where policy demands that, before
    /// anything is opened.
    ///
    /// # Errors
    /// [`Refused`]; then nothing was opened.
    pub(super) async fn decide<'p>(&'p self, ask: &Ask<'p>, most: u64) -> Result<Permitted<'p>, Refused> {
        passage::decide(&self.gateway.enclave, &self.live.road, ask, most, &self.session.places()).await
    }

    /// Takes what a payload needs from the amount of its ground.
    ///
    /// # Errors
    /// As [`Paid::of`].
    pub(super) async fn pay(&self, ground: &Ground, treated: Treated) -> Result<Paid, Refused> {
        Paid::of(&self.gateway.enclave, ground, treated).await
    }

    /// Records a payload and opens it with its receipt.
    pub(super) async fn record(&self, lane: &Name, paid: Paid) -> Result<(Bytes, u64), Answer> {
        let enclave = &self.gateway.enclave;
        let (body, index) = match paid.release(enclave, &self.session.places()).await {
            Ok((body, index)) => (Bytes::from(body), index),
            Err(Held::Refused(refused)) => return Err(self.refuse(lane, *refused).await),
            Err(Held::Unsealed(e)) => return Err(unsealed(&e)),
            Err(Held::Closed(e)) => return Err(self.closed(lane, e)),
        };
        enclave.kept().keep(index, &body);
        self.count_one(lane, "released", Reason::None);
        enclave.metrics().seconds.observe(self.started.elapsed().as_secs_f64());
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
