//! Reverse lanes: outside calls in, and the answer of a service behind carries data out.

use std::borrow::Cow;

use bytes::Bytes;
use crossing::format::{self, Format, Opened};
use crossing::{Ask, Refused};
use http::{HeaderMap, Method};
use model::facts::Evidence;
use model::lanes::{Lane, SubjectFrom, Way};
use model::{Purpose, Reason};
use transform::json::Limits;

use super::answer::Answer;
use super::body;
use super::route::Context;
use super::upstream::{Call, Upstream};
use crate::enclave::LiveLane;
use crate::passage::Paid;
use crate::tables::Bounds;

/// The limits of a lane's bodies.
pub(super) fn limits(lane: &Lane) -> Limits {
    let rows = u64::from(lane.rows_max);
    Limits {
        bytes: usize::try_from(lane.body_bytes_max).unwrap_or(usize::MAX),
        depth: 32,
        members: usize::try_from(rows.max(256)).unwrap_or(usize::MAX),
        records: rows,
    }
}

/// What a lane takes of a service behind, as `accept` and `accept-encoding` say it.
fn accepts(lane: &Lane) -> (String, String) {
    let forms: Vec<_> = lane.forms.iter().map(|form| form.media_type()).collect();
    let codings: Vec<_> = lane.codings.iter().map(|coding| coding.word()).chain(["identity"]).collect();
    (forms.join(", "), codings.join(", "))
}

impl Context<'_> {
    /// A body of a lane as the road takes it: without what compressed it, and of a table its rows.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub(super) async fn opened<'b>(
        &self,
        lane: &Lane,
        headers: &HeaderMap,
        body: &'b [u8],
    ) -> Result<(Cow<'b, [u8]>, Format), Reason> {
        match format::open(lane, body::said(headers)?, body)? {
            Opened::Body(body, format) => Ok((body, format)),
            Opened::Table(table) => {
                let bounds = Bounds { bytes: limits(lane).bytes, rows: u64::from(lane.rows_max) };
                let rows = self.gateway.tables.rows(&table, bounds).await?;
                Ok((Cow::Owned(rows), Format::Ndjson))
            }
        }
    }

    pub(super) async fn reverse(
        &self,
        lane: &LiveLane,
        method: &Method,
        body: Result<Bytes, Reason>,
    ) -> Answer {
        let name = &lane.lane.name;
        if lane.lane.way != Way::Reverse || method.as_str() != lane.lane.method {
            return self.refuse_early(name, Reason::Unknown).await;
        }
        if let Err(reason) = body {
            return self.refuse_early(name, reason).await;
        }
        let paid = match self.through(lane).await {
            Ok(paid) => paid,
            Err(reason) => return self.refuse_early(name, reason).await,
        };
        self.release(name, paid).await
    }

    async fn through(&self, lane: &LiveLane) -> Result<Result<Paid, Refused>, Reason> {
        let ground = self.ground(Some(&lane.lane.name))?;
        let purpose = self.purpose()?;
        self.flow_serves(&ground.evidence, lane, purpose)?;
        let subject = match lane.lane.subject {
            SubjectFrom::Header => Some(self.subject()?.ok_or(Reason::Request)?),
            _ => None,
        };
        let people_max = if subject.is_some() { 1 } else { lane.lane.rows_max };
        let base = self.ask(&lane.lane.name, &lane.lane.dataset, &lane.selection, purpose, &ground);
        let rows_max = ground.rows_max(lane.lane.rows_max);
        let ladder = &lane.lane.terms.treatments;
        let ask = Ask { subject, ladder, rows_max, people_max, ..base };
        let most = ground.bytes_max(u64::from(lane.lane.body_bytes_max).saturating_mul(4));
        let permitted = match self.decide(&ask, most).await {
            Ok(permitted) => permitted,
            Err(refused) => return Ok(Err(refused)),
        };
        let (forms, codings) = accepts(&lane.lane);
        let call = Call {
            method: &lane.lane.method,
            path: &lane.lane.path,
            subject: ask.subject.as_ref().map(|(s, _)| s),
            body: Bytes::new(),
            content_type: "application/json",
            accept: (&forms, &codings),
            answer_max: usize::try_from(lane.lane.body_bytes_max).unwrap_or(usize::MAX),
        };
        let answer = match self.gateway.upstreams.get(lane.lane.upstream.as_str()) {
            // A destination outside is for forward lanes: a person's handle must not go there in a header.
            Some(upstream @ Upstream::Inside(_)) => self.gateway.caller.call(upstream, call).await,
            _ => Err(Reason::Upstream),
        };
        let (headers, body) = match answer {
            Ok(answer) => answer,
            Err(reason) => return Ok(Err(permitted.refuse(reason))),
        };
        let opened = self.opened(&lane.lane, &headers, &body).await;
        let treated = match opened {
            // The service behind and a table took their time.
            _ if !self.still(&lane.lane.name, &ground) => Err(permitted.refuse(Reason::Evidence)),
            Ok((body, format)) => permitted.treat(&body, &format, &limits(&lane.lane)),
            Err(reason) => Err(permitted.refuse(reason)),
        };
        Ok(match treated {
            Ok(treated) => self.pay(&ground, treated).await,
            Err(refused) => Err(refused),
        })
    }

    /// A flow serves the purpose it was registered for and no other.
    fn flow_serves(&self, evidence: &Evidence, lane: &LiveLane, purpose: Purpose) -> Result<(), Reason> {
        let Evidence::Flow(facts) = evidence else { return Ok(()) };
        let flow = crate::Enclave::flow_of(self.live, &lane.lane.name, self.actor.actor());
        match flow {
            Some(flow) if flow.name == facts.name && flow.purpose == purpose => Ok(()),
            _ => Err(Reason::Evidence),
        }
    }
}
