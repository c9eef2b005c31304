//! `/access/…`: the office over HTTP. What is refused says by which rule, in public words; a request that concerns others
//! is as good as none.

use std::collections::BTreeMap;
use std::sync::Arc;

use access::Wanted;
use access::quality::Quality;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use model::{Explain, Name};
use serde::{Deserialize, Serialize};
use vault::control::{ChangeError, ControlError, StoreError};

use super::shown::Shown;
use super::{Act, Office, OfficeError};
use crate::web::{Caller, refusal};

/// Seconds that numbers about approvers look back.
const QUALITY_SECONDS: u64 = 90 * 86_400;

/// The API's description, for programs.
const OPENAPI: &str = include_str!("openapi.json");

/// The routes.
pub fn router(office: Arc<Office>) -> Router {
    Router::new()
        .route("/access/requests", post(ask).get(inbox))
        .route("/access/requests/{id}", get(show))
        .route("/access/requests/{id}/{act}", post(act))
        .route("/access/decoys", post(decoy))
        .route("/access/incidents", post(open))
        .route("/access/incidents/{id}/close", post(close))
        .route("/access/quality", get(quality))
        .route("/access/openapi.json", get(openapi))
        .with_state(office)
}

#[derive(Deserialize)]
struct Asked {
    /// A name of the requester's choice; drawn without it.
    #[serde(default)]
    id: Option<Name>,
    #[serde(flatten)]
    wanted: Wanted,
}

/// A body of JSON. What it holds is repeated in no answer.
struct Form<T>(T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        match Json::from_request(request, state).await {
            Ok(Json(form)) => Ok(Self(form)),
            Err(_) => Err(refusal(
                StatusCode::BAD_REQUEST,
                "the body is not JSON as /access/openapi.json describes",
            )),
        }
    }
}

type Answer = Result<Response, Refusal>;

/// A refusal with its status and rule.
struct Refusal(OfficeError);

impl From<OfficeError> for Refusal {
    fn from(e: OfficeError) -> Self {
        Self(e)
    }
}

#[derive(Serialize)]
struct Refused {
    refused: &'static str,
    why: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, refused, why) = match &self.0 {
            OfficeError::Nobody => (StatusCode::FORBIDDEN, "policy", self.0.to_string()),
            OfficeError::Unseen => (StatusCode::NOT_FOUND, "unknown", self.0.to_string()),
            OfficeError::Incident => (StatusCode::CONFLICT, "rule", self.0.to_string()),
            OfficeError::Control(ControlError::Store(StoreError::Change(e))) => match e {
                ChangeError::NotAllowed(rule) => (StatusCode::CONFLICT, "rule", rule.to_string()),
                ChangeError::Exists(_) | ChangeError::Missing(_) | ChangeError::Over(_) => {
                    (StatusCode::CONFLICT, "rule", e.to_string())
                }
                _ => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "it was not recorded, so it was not done".into(),
                ),
            },
            OfficeError::Control(e) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", e.public().to_owned())
            }
            OfficeError::Random => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the request cannot be answered now".into())
            }
        };
        if status == StatusCode::SERVICE_UNAVAILABLE {
            tracing::error!(error = %chain(&self.0), "a request for access was not served");
        }
        (status, Json(Refused { refused, why })).into_response()
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        text.push_str(": ");
        text.push_str(&e.to_string());
        cause = e.source();
    }
    text
}

/// Runs what waits for a disk where waiting holds nobody up.
async fn waiting<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, OfficeError> + Send + 'static,
) -> Result<T, OfficeError> {
    tokio::task::spawn_blocking(run).await.unwrap_or(Err(OfficeError::Random))
}

fn named(text: &str) -> Result<Name, OfficeError> {
    Name::parse(text).map_err(|_| OfficeError::Unseen)
}

async fn ask(State(office): State<Arc<Office>>, caller: Caller, Form(asked): Form<Asked>) -> Answer {
    let request = waiting(move || {
        let me = office.member(&caller.session)?;
        office.ask(&me, asked.id, asked.wanted).map(|r| Shown::of(&r, (office.clock)()))
    });
    Ok((StatusCode::CREATED, Json(request.await?)).into_response())
}

/// A request in somebody's name that must be refused.
#[derive(Deserialize)]
struct Decoy {
    whose: model::ActorId,
    #[serde(flatten)]
    asked: Asked,
}

async fn decoy(State(office): State<Arc<Office>>, caller: Caller, Form(decoy): Form<Decoy>) -> Answer {
    let request = waiting(move || {
        let me = office.member(&caller.session)?;
        office
            .decoy(&me, &decoy.whose, decoy.asked.id, decoy.asked.wanted)
            .map(|r| Shown::of(&r, (office.clock)()))
    });
    Ok((StatusCode::CREATED, Json(request.await?)).into_response())
}

async fn inbox(State(office): State<Arc<Office>>, caller: Caller) -> Answer {
    let inbox = waiting(move || Ok(office.inbox(&office.member(&caller.session)?)));
    Ok(Json(inbox.await?).into_response())
}

async fn show(State(office): State<Arc<Office>>, caller: Caller, Path(id): Path<String>) -> Answer {
    let shown = waiting(move || {
        let me = office.member(&caller.session)?;
        office.request(&me, &named(&id)?).map(|r| Shown::of(&r, (office.clock)()))
    });
    Ok(Json(shown.await?).into_response())
}

async fn act(
    State(office): State<Arc<Office>>,
    caller: Caller,
    Path((id, word)): Path<(String, String)>,
) -> Answer {
    let act = Act::parse(&word).ok_or(OfficeError::Unseen)?;
    let shown = waiting(move || {
        let me = office.member(&caller.session)?;
        office.act(&me, &named(&id)?, act).map(|r| Shown::of(&r, (office.clock)()))
    });
    Ok(Json(shown.await?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opened {
    id: Name,
}

async fn open(State(office): State<Arc<Office>>, caller: Caller, Form(opened): Form<Opened>) -> Answer {
    waiting(move || {
        let me = office.member(&caller.session)?;
        office.open_incident(&me, &opened.id)
    })
    .await?;
    Ok(StatusCode::CREATED.into_response())
}

async fn close(State(office): State<Arc<Office>>, caller: Caller, Path(id): Path<String>) -> Answer {
    waiting(move || {
        let me = office.member(&caller.session)?;
        office.close_incident(&me, &named(&id)?)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The numbers of one approver.
#[derive(Serialize)]
struct ShownApprover {
    approved: u64,
    denied: u64,
    rate_percent: Option<u64>,
    median_seconds: Option<u64>,
    decoys_approved: u64,
    decoys_denied: u64,
}

#[derive(Serialize)]
struct ShownQuality {
    requests: u64,
    granted: u64,
    denied: u64,
    timed_out: u64,
    approvers: BTreeMap<String, ShownApprover>,
    repeated_pairs: Vec<(String, String, u64)>,
}

impl From<Quality> for ShownQuality {
    fn from(q: Quality) -> Self {
        let approver = |a: &access::quality::Approver| ShownApprover {
            approved: a.approved,
            denied: a.denied,
            rate_percent: a.rate_percent(),
            median_seconds: a.median_seconds(),
            decoys_approved: a.decoys_approved,
            decoys_denied: a.decoys_denied,
        };
        let name = |id: &model::ActorId| id.as_str().to_owned();
        Self {
            requests: q.requests,
            granted: q.granted,
            denied: q.denied,
            timed_out: q.timed_out,
            approvers: q.approvers.iter().map(|(id, a)| (name(id), approver(a))).collect(),
            repeated_pairs: q.pairs.iter().map(|(by, of, n)| (name(by), name(of), *n)).collect(),
        }
    }
}

async fn quality(State(office): State<Arc<Office>>, caller: Caller) -> Answer {
    let numbers = waiting(move || {
        let me = office.member(&caller.session)?;
        let from = model::UnixSeconds((office.clock)().0.saturating_sub(QUALITY_SECONDS));
        office.quality(&me, from).map(ShownQuality::from)
    });
    Ok(Json(numbers.await?).into_response())
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}
