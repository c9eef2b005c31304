//! Local accounts: a passphrase and a code of an authenticator. Forms, from a page or the command line.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::{IntoResponse, Response};
use crossing::identify::{Session, Who};
use http::{HeaderMap, StatusCode, Uri};
use model::{ActorId, Country, SubjectId};
use serde_json::json;
use vault::Accounts;
use vault::accounts::AccountError;
use vault::accounts::state::Attested;

use super::page::Visitor;
use super::{Signin, page, refused, wants_json};
use crate::web::{Caller, Peer, refusal};

/// Whose account a form is about: the address says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// An employee's, under their id on record.
    Actor,
    /// That of a person whose data it is, under their account name.
    Person,
}

impl Whose {
    fn of(uri: &Uri) -> Self {
        if uri.path().starts_with("/signin/person") { Self::Person } else { Self::Actor }
    }
}

/// The form to sign in with.
pub(super) async fn form(uri: Uri, headers: HeaderMap, caller: Option<Caller>) -> Response {
    page::local(&Visitor::new(&headers, caller.as_ref()), Whose::of(&uri))
}

/// The form of whoever has a code for enrolment.
pub(super) async fn enrolment(uri: Uri, headers: HeaderMap, caller: Option<Caller>) -> Response {
    page::enrol(&Visitor::new(&headers, caller.as_ref()), Whose::of(&uri))
}

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
    /// That the form is of a page of a session; looked at where the request came in.
    #[serde(default, rename = "csrf")]
    _field: String,
}

/// Runs one attempt where it may take its time, one at a time. A form that cannot be read is refused without a
/// word of it.
async fn attempt<T: Send + 'static>(
    signin: &Arc<Signin>,
    whose: Whose,
    peer: &Peer,
    form: Result<Form<Shown>, FormRejection>,
    run: impl FnOnce(&Accounts, &ActorId, &Shown, model::UnixSeconds) -> Result<T, AccountError> + Send + 'static,
) -> Result<(ActorId, T), Response> {
    let Form(shown) = form.map_err(|e| refusal(e.status(), "the form cannot be read"))?;
    let now = signin.now();
    if !signin.throttle.take(peer.address, now) {
        return Err(refusal(StatusCode::TOO_MANY_REQUESTS, "too many attempts; wait a minute"));
    }
    if accounts(signin, whose).is_none() {
        return Err(refusal(StatusCode::NOT_FOUND, "there are no local accounts here"));
    }
    // A name that is none is as wrong as any other.
    let name = shown.actor.trim();
    let id = match whose {
        Whose::Actor => ActorId::parse(name).ok(),
        Whose::Person => (signin.parts.people.handle)(name).and_then(|s| ActorId::parse(s.as_str()).ok()),
    };
    let Some(actor) = id else {
        return Err(refused(&AccountError::Missing, StatusCode::FORBIDDEN));
    };
    let closed = || refusal(StatusCode::SERVICE_UNAVAILABLE, "nobody can sign in now");
    let Ok(_one) = signin.stretching.acquire().await else { return Err(closed()) };
    let held = Arc::clone(signin);
    let running = tokio::task::spawn_blocking(move || {
        let accounts = accounts(&held, whose).ok_or(AccountError::Missing)?;
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

fn accounts(signin: &Signin, whose: Whose) -> Option<&Accounts> {
    match whose {
        Whose::Actor => signin.parts.accounts.as_ref(),
        Whose::Person => signin.parts.people.accounts.as_ref(),
    }
}

/// `POST /signin/local`: passphrase and code.
pub(super) async fn sign_in(
    State(signin): State<Arc<Signin>>,
    uri: Uri,
    peer: Peer,
    headers: HeaderMap,
    form: Result<Form<Shown>, FormRejection>,
) -> Response {
    let run = |accounts: &Accounts, actor: &ActorId, s: &Shown, now| {
        accounts.sign_in(actor, &s.passphrase, s.code.trim(), now)
    };
    let whose = Whose::of(&uri);
    match attempt(&signin, whose, &peer, form, run).await {
        Ok((actor, attested)) => open(&signin, whose, actor, &attested, &headers),
        Err(answer) => page::refused(&headers, whose, answer),
    }
}

/// `POST /signin/local/enrol`: the one-time code and a passphrase for the authenticator's secret.
pub(super) async fn begin(
    State(signin): State<Arc<Signin>>,
    uri: Uri,
    (peer, caller): (Peer, Option<Caller>),
    headers: HeaderMap,
    form: Result<Form<Shown>, FormRejection>,
) -> Response {
    let run = |accounts: &Accounts, actor: &ActorId, s: &Shown, now| {
        accounts.begin(actor, &s.enrolment, &s.passphrase, now)
    };
    let whose = Whose::of(&uri);
    // What the person typed, and not their handle, goes into the next form.
    let typed = form.as_ref().ok().map(|Form(shown)| shown.actor.trim().to_owned()).unwrap_or_default();
    match attempt(&signin, whose, &peer, form, run).await {
        Ok((_, secret)) if wants_json(&headers) => {
            Json(json!({ "secret": secret.base32, "address": secret.uri })).into_response()
        }
        Ok((_, secret)) => page::secret(&Visitor::new(&headers, caller.as_ref()), whose, &typed, &secret),
        Err(answer) => page::refused(&headers, whose, answer),
    }
}

/// `POST /signin/local/confirm`: a first code of the authenticator. The account serves from then on, and its owner is
/// signed in.
pub(super) async fn confirm(
    State(signin): State<Arc<Signin>>,
    uri: Uri,
    peer: Peer,
    headers: HeaderMap,
    form: Result<Form<Shown>, FormRejection>,
) -> Response {
    let run = |accounts: &Accounts, actor: &ActorId, s: &Shown, now| {
        accounts.confirm(actor, &s.enrolment, s.code.trim(), now)
    };
    let whose = Whose::of(&uri);
    match attempt(&signin, whose, &peer, form, run).await {
        Ok((actor, attested)) => open(&signin, whose, actor, &attested, &headers),
        Err(answer) => page::refused(&headers, whose, answer),
    }
}

fn open(signin: &Signin, whose: Whose, id: ActorId, attested: &Attested, headers: &HeaderMap) -> Response {
    let who = match whose {
        Whose::Actor => Who::Employee(id),
        Whose::Person => match SubjectId::parse(id.as_str()) {
            Ok(handle) => Who::Subject(handle),
            Err(_) => return refused(&AccountError::Missing, StatusCode::FORBIDDEN),
        },
    };
    let session = Session {
        country: attested.country.as_deref().and_then(|c| Country::parse(c).ok()),
        device_managed: attested.device,
        device_attested: attested.device,
        // A passphrase and an authenticator: two factors.
        strong: true,
        ..Session::bare(who)
    };
    match signin.open(&session) {
        Ok(opened) => opened.answer(headers, "/"),
        Err(e) => refused(&e, StatusCode::FORBIDDEN),
    }
}
