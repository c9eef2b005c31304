//! Forward lanes: a service inside calls out, and its request carries data out. Only to named destinations.

use bytes::Bytes;
use crossing::Ask;
use crossing::identify::{self, VerifiedActor};
use http::Method;
use http::StatusCode;
use model::lanes::{Flow, Way};
use model::{Reason, UnixSeconds};

use super::answer::{self, Answer};
use super::reverse::limits;
use super::route::Context;
use super::upstream::{Call, Upstream};
use crate::enclave::{self, LiveLane};
use crate::passage::{Ground, Paid};

impl Context<'_> {
    pub(super) async fn forward(
        &self,
        lane: &LiveLane,
        method: &Method,
        body: Result<Bytes, Reason>,
    ) -> Answer {
        let name = &lane.lane.name;
        if lane.lane.way != Way::Forward || method.as_str() != lane.lane.method {
            return self.refuse_early(name, Reason::Unknown).await;
        }
        let Some(flow) = crate::Enclave::flow_of(self.live, name, None) else {
            return self.refuse_early(name, Reason::Evidence).await;
        };
        // Only the service that the flow names may send, and only from inside the region.
        let programme = &self.live.road.rulebook().programme;
        let attested = self.actor.principal().qualified;
        if flow.source.as_ref() != self.actor.actor() || !programme.in_region(self.place()) || !attested {
            return self.refuse_early(name, Reason::Evidence).await;
        }
        match body {
            Ok(body) => self.send(lane, &flow, &body).await,
            Err(reason) => self.refuse_early(name, reason).await,
        }
    }

    /// The crossing's actor is the receiver: it is they who will see the data.
    async fn send(&self, lane: &LiveLane, flow: &Flow, body: &[u8]) -> Answer {
        let name = &lane.lane.name;
        let enclave = &self.gateway.enclave;
        let Some(receiver) = self.receiver(lane, flow, self.now) else {
            return self.refuse_early(name, Reason::Upstream).await;
        };
        let ground = Ground::flow(&self.gateway.enclave, flow);
        let base = self.ask(name, &lane.lane.dataset, &lane.selection, flow.purpose, &ground);
        let rows = lane.lane.rows_max;
        let (destination, ladder) = (flow.destination, &lane.lane.terms.treatments[..]);
        let ask = Ask { actor: &receiver, destination, ladder, rows_max: rows, people_max: rows, ..base };
        let permitted = match self.live.road.decide(&ask) {
            Ok(permitted) => permitted,
            Err(refused) => return self.refuse(name, refused).await,
        };
        let opened = self.opened(&lane.lane, self.headers, body).await;
        let treated = match opened {
            // A table takes its time.
            _ if !self.still_between(lane, flow, &receiver) => Err(permitted.refuse(Reason::Evidence)),
            Ok((body, format)) => permitted.treat(&body, &format, &limits(&lane.lane)),
            Err(reason) => Err(permitted.refuse(reason)),
        };
        let treated = match treated {
            Ok(treated) => treated,
            Err(refused) => return self.refuse(name, refused).await,
        };
        let media_type = treated.media_type();
        match self.record(name, Paid::free(treated)).await {
            Ok((body, index)) => {
                // What is on its way when the country is suspended is cut off: the record stands.
                let mut looks = enclave.looks();
                let cut = async {
                    while !enclave.in_force().suspended().contains(&destination) {
                        if looks.changed().await.is_err() {
                            std::future::pending::<()>().await;
                        }
                    }
                };
                tokio::select! {
                    answer = self.deliver(lane, body, &media_type, index) => answer,
                    () = cut => answer::undelivered(index),
                }
            }
            Err(answer) => answer,
        }
    }

    /// Whom a flow sends to, where the bytes will really go, by the programme's table: it must be where the flow is registered to.
    fn receiver(&self, lane: &LiveLane, flow: &Flow, now: UnixSeconds) -> Option<VerifiedActor> {
        let enclave = &self.gateway.enclave;
        let Some(Upstream::Outside { address, .. }) = self.upstream(lane) else { return None };
        let network = enclave.network_of(address.ip());
        let record = enclave.control().actor(&flow.sink, now).ok()?;
        let (programme, tag) = (&self.live.road.rulebook().programme, enclave.keys().actor_tag(&flow.sink));
        identify::receiver(&record, programme, tag, flow.destination, network).ok()
    }

    /// Whether sender and receiver are who they were, after something was waited for.
    fn still_between(&self, lane: &LiveLane, flow: &Flow, receiver: &VerifiedActor) -> bool {
        let (now, _) = enclave::now();
        let same = |then: &VerifiedActor| then.principal() == receiver.principal();
        now == self.now || self.still_caller(now) && self.receiver(lane, flow, now).as_ref().is_some_and(same)
    }

    fn upstream(&self, lane: &LiveLane) -> Option<&Upstream> {
        self.gateway.upstreams.get(lane.lane.upstream.as_str())
    }

    /// Sends what was recorded. The destination's answer does not come in: this lane has one direction.
    async fn deliver(&self, lane: &LiveLane, body: Bytes, content_type: &str, index: u64) -> Answer {
        let Some(upstream) = self.upstream(lane) else { return answer::undelivered(index) };
        let call = Call {
            method: &lane.lane.method,
            path: &lane.lane.path,
            subject: None,
            body,
            content_type,
            accept: ("application/json", "identity"),
            answer_max: 64 << 10,
        };
        match self.gateway.caller.call(upstream, call).await {
            Ok(_) => answer::delivered(StatusCode::ACCEPTED, index),
            Err(_) => answer::undelivered(index),
        }
    }
}
