//! Device authorisation (RFC 8628) for the command line. The console asks the provider, so that the command line needs
//! neither a secret nor the provider's address; it holds the name of its sign-in, which nobody guesses.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use super::pending::{Looked, PENDING_SECONDS, random_name};
use super::provider::ProviderError;
use super::{NotOpened, Opened, Signin, claims, refused};
use crate::web::{Peer, refusal};

/// A sign-in that is waited for, or its outcome.
pub(super) struct Waiting(Option<Result<Opened, StatusCode>>);

/// `POST /signin/device`: begins, and says what a person must type where.
pub(super) async fn begin(State(signin): State<Arc<Signin>>, peer: Peer) -> Response {
    let Some(provider) = &signin.parts.provider else {
        return refusal(StatusCode::NOT_FOUND, "there is no identity provider here; use a local account");
    };
    if !signin.throttle.take(peer.address, signin.now()) {
        return refusal(StatusCode::TOO_MANY_REQUESTS, "too many attempts; wait a minute");
    }
    let begun = match provider.begin_device().await {
        Ok(begun) => begun,
        Err(e) => return refused(&e, StatusCode::SERVICE_UNAVAILABLE),
    };
    let Some(name) = random_name() else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "nobody can sign in now");
    };
    if signin.devices.put(name.clone(), Waiting(None), signin.now()).is_none() {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "too many people sign in at once; try again");
    }
    let patience = begun.expires_in().min(Duration::from_secs(PENDING_SECONDS));
    let told = json!({
        "signin": name,
        "user_code": begun.user_code().secret(),
        "address": begun.verification_uri().as_str(),
        "complete_address": begun.verification_uri_complete().map(|u| u.secret().clone()),
        "seconds": patience.as_secs(),
    });
    tokio::spawn(wait(Arc::clone(&signin), name, begun, patience));
    Json(told).into_response()
}

/// Asks the provider until it says who it was; then the outcome waits for the command line.
async fn wait(
    signin: Arc<Signin>,
    name: String,
    begun: openidconnect::core::CoreDeviceAuthorizationResponse,
    patience: Duration,
) {
    let Some(provider) = &signin.parts.provider else { return };
    let outcome = match provider.finish_device(&begun, patience).await {
        Ok(claims) => match claims::session(&claims, &provider.settings().names) {
            Some(session) => signin.open(&session).map_err(|e| told(&e, StatusCode::FORBIDDEN)),
            None => Err(told(&NotOpened::NotOnRecord, StatusCode::FORBIDDEN)),
        },
        Err(e @ ProviderError::Unusable(_)) => Err(told(&e, StatusCode::SERVICE_UNAVAILABLE)),
        Err(e) => Err(told(&e, StatusCode::FORBIDDEN)),
    };
    let mut outcome = Some(outcome);
    let _ = signin.devices.look(&name, signin.now(), |waiting| {
        waiting.0 = outcome.take();
        None::<()>
    });
}

fn told(error: &(impl model::Explain + 'static), status: StatusCode) -> StatusCode {
    let _ = refused(error, status);
    status
}

/// The name of a sign-in.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    signin: String,
}

/// `POST /signin/device/token`: 202 while nobody has signed in, then the token, once.
pub(super) async fn token(
    State(signin): State<Arc<Signin>>,
    named: Result<Json<Named>, JsonRejection>,
) -> Response {
    // What cannot be read is refused without a word of it.
    let named = match named {
        Ok(Json(named)) => named,
        Err(e) => return refusal(e.status(), "the body is not of the form that is asked for"),
    };
    match signin.devices.look(&named.signin, signin.now(), |waiting| waiting.0.take()) {
        Looked::Waiting => (StatusCode::ACCEPTED, Json(json!({ "waiting": true }))).into_response(),
        Looked::Done(Ok(opened)) => {
            Json(json!({ "token": opened.token, "until": opened.until.rfc3339() })).into_response()
        }
        Looked::Done(Err(StatusCode::SERVICE_UNAVAILABLE)) => {
            refusal(StatusCode::SERVICE_UNAVAILABLE, "the identity provider cannot be used now")
        }
        Looked::Done(Err(status)) => {
            refusal(status, "the sign-in does not count, or you are not on record here")
        }
        Looked::Gone => refusal(StatusCode::NOT_FOUND, "no such sign-in waits here; begin again"),
    }
}
