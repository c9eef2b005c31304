//! Local accounts: a passphrase and a code of an authenticator. Forms, from a page or the command line.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::{IntoResponse, Response};
use crossing::identify::{Session, Who};
use http::{HeaderMap, StatusCode};
use model::{ActorId, Country};
use serde_json::json;
use vault::Accounts;
use vault::accounts::AccountError;
use vault::accounts::state::Attested;

use super::{Signin, page, refused, wants_json};
use crate::web::{Peer, refusal};

/// What a form holds. Nothing of it is ever printed.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    actor: String,
    #[serde(default)]
    passphrase: String,
    /// The code of the authenticator.
    #[serde(default)]
    code: String,
    /// The code of an enrolment.
    #[serde(default)]
    enrolment: String,
}

/// Runs one attempt where it may take its time, one at a time. A form that cannot be read is refused without a
/// word of it.
async fn attempt<T: Send + 'static>(
    signin: &Arc<Signin>,
    peer: &Peer,
    form: Result<Form<Shown>, FormRejection>,
    run: impl FnOnce(&Accounts, &ActorId, &Shown, model::UnixSeconds) -> Result<T, AccountError> + Send + 'static,
) -> Result<(ActorId, T), Response> {
    let Form(shown) = form.map_err(|e| refusal(e.status(), "the form cannot be read"))?;
    let now = signin.now();
    if !signin.throttle.take(peer.address, now) {
        return Err(refusal(StatusCode::TOO_MANY_REQUESTS, "too many attempts; wait a minute"));
    }
    if signin.parts.accounts.is_none() {
        return Err(refusal(StatusCode::NOT_FOUND, "there are no local accounts here"));
    }
    // A name that is none is as wrong as any other.
    let Ok(actor) = ActorId::parse(shown.actor.trim()) else {
        return Err(refused(&AccountError::Missing, StatusCode::FORBIDDEN));
    };
    let closed = || refusal(StatusCode::SERVICE_UNAVAILABLE, "nobody can sign in now");
    let Ok(_one) = signin.stretching.acquire().await else { return Err(closed()) };
    let held = Arc::clone(signin);
    let running = tokio::task::spawn_blocking(move || {
        let accounts = held.parts.accounts.as_ref().ok_or(AccountError::Missing)?;
        run(accounts, &actor, &shown, now).map(|done| (actor, done))
    });
    match running.await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(e @ (AccountError::Refused(_) | AccountError::Missing))) => {
            Err(refused(&e, StatusCode::FORBIDDEN))
        }
        Ok(Err(e)) => Err(refused(&e, StatusCode::INTERNAL_SERVER_ERROR)),
        Err(_) => Err(closed()),
    }
}

/// `POST /signin/local`: passphrase and code.
pub(super) async fn sign_in(
    State(signin): State<Arc<Signin>>,
    peer: Peer,
    headers: HeaderMap,
    form: Result<Form<Shown>, FormRejection>,
) -> Response {
    let run = |accounts: &Accounts, actor: &ActorId, s: &Shown, now| {
        accounts.sign_in(actor, &s.passphrase, s.code.trim(), now)
    };
    match attempt(&signin, &peer, form, run).await {
        Ok((actor, attested)) => open(&signin, actor, &attested, &headers),
        Err(answer) => answer,
    }
}

/// `POST /signin/local/enrol`: the one-time code and a passphrase for the authenticator's secret.
pub(super) async fn begin(
    State(signin): State<Arc<Signin>>,
    peer: Peer,
    headers: HeaderMap,
    form: Result<Form<Shown>, FormRejection>,
) -> Response {
    let run = |accounts: &Accounts, actor: &ActorId, s: &Shown, now| {
        accounts.begin(actor, &s.enrolment, &s.passphrase, now)
    };
    match attempt(&signin, &peer, form, run).await {
        Ok((_, secret)) if wants_json(&headers) => {
            Json(json!({ "secret": secret.base32, "address": secret.uri })).into_response()
        }
        Ok((actor, secret)) => page::secret(&actor, &secret),
        Err(answer) => answer,
    }
}

/// `POST /signin/local/confirm`: a first code of the authenticator. The account serves from then on, and its owner is
/// signed in.
pub(super) async fn confirm(
    State(signin): State<Arc<Signin>>,
    peer: Peer,
    headers: HeaderMap,
    form: Result<Form<Shown>, FormRejection>,
) -> Response {
    let run = |accounts: &Accounts, actor: &ActorId, s: &Shown, now| {
        accounts.confirm(actor, &s.enrolment, s.code.trim(), now)
    };
    match attempt(&signin, &peer, form, run).await {
        Ok((actor, attested)) => open(&signin, actor, &attested, &headers),
        Err(answer) => answer,
    }
}

fn open(signin: &Signin, actor: ActorId, attested: &Attested, headers: &HeaderMap) -> Response {
    let session = Session {
        country: attested.country.as_deref().and_then(|c| Country::parse(c).ok()),
        device_managed: attested.device,
        device_attested: attested.device,
        // A passphrase and an authenticator: two factors.
        strong: true,
        ..Session::bare(Who::Employee(actor))
    };
    match signin.open(&session) {
        Ok(opened) => opened.answer(headers),
        Err(e) => refused(&e, StatusCode::FORBIDDEN),
    }
}
