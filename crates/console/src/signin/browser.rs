//! Authorisation code with PKCE, state and nonce, in a browser.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{COOKIE as COOKIES, LOCATION, SET_COOKIE};
use http::{HeaderMap, StatusCode};

use super::pending::{PENDING_SECONDS, random_name};
use super::provider::{Expected, ProviderError};
use super::{Signin, claims, cookie, refused};
use crate::web::{Peer, refusal};

/// Binds a sign-in to the browser that began it: nobody can have another's browser finish theirs.
const BINDING: &str = "__Host-clover-signin";
/// Longest code or state that is read.
const WORD_MAX: usize = 2048;

/// A sign-in that waits for the browser's return.
pub(super) struct Waiting {
    binding: String,
    expected: Expected,
}

/// `GET /signin`: sends the browser to the provider.
pub(super) async fn begin(State(signin): State<Arc<Signin>>, peer: Peer) -> Response {
    let Some(provider) = &signin.parts.provider else {
        return Redirect::to("/signin/local").into_response();
    };
    if !signin.throttle.take(peer.address, signin.now()) {
        return refusal(StatusCode::TOO_MANY_REQUESTS, "too many attempts; wait a minute");
    }
    let begun = match provider.begin().await {
        Ok(begun) => begun,
        Err(e) => return refused(&e, StatusCode::SERVICE_UNAVAILABLE),
    };
    let Some(binding) = random_name() else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "nobody can sign in now");
    };
    let waiting = Waiting { binding: binding.clone(), expected: begun.expected };
    if signin.browsers.put(begun.state, waiting, signin.now()).is_none() {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "too many people sign in at once; try again");
    }
    let headers = [(LOCATION, begun.url), (SET_COOKIE, cookie(BINDING, &binding, PENDING_SECONDS))];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// What the provider gives the browser to bring.
#[derive(serde::Deserialize)]
pub(super) struct Brought {
    state: Option<String>,
    code: Option<String>,
    /// RFC 9207: which provider it comes from.
    iss: Option<String>,
    error: Option<String>,
}

/// `GET /signin/callback`: the browser's return. A state serves once, whatever comes of it.
pub(super) async fn back(
    State(signin): State<Arc<Signin>>,
    Query(brought): Query<Brought>,
    headers: HeaderMap,
) -> Response {
    let unknown = || refusal(StatusCode::BAD_REQUEST, "no such sign-in was begun here; sign in again");
    let Some(provider) = &signin.parts.provider else { return unknown() };
    let Some(state) = brought.state.filter(|s| s.len() <= WORD_MAX) else { return unknown() };
    let Some(waiting) = signin.browsers.take(&state, signin.now()) else { return unknown() };
    if !is_bound(&headers, &waiting.binding) {
        return unknown();
    }
    if brought.iss.is_some_and(|iss| iss != provider.settings().issuer) {
        return refused(&ProviderError::Token("it is of another issuer"), StatusCode::FORBIDDEN);
    }
    let code = brought.code.filter(|c| c.len() <= WORD_MAX && brought.error.is_none());
    let Some(code) = code else { return refused(&ProviderError::Nobody, StatusCode::FORBIDDEN) };
    let claims = match provider.finish(code, waiting.expected).await {
        Ok(claims) => claims,
        Err(e @ ProviderError::Unusable(_)) => return refused(&e, StatusCode::SERVICE_UNAVAILABLE),
        Err(e) => return refused(&e, StatusCode::FORBIDDEN),
    };
    let Some(session) = claims::session(&claims, &provider.settings().names) else {
        return refused(&super::NotOpened::NotOnRecord, StatusCode::FORBIDDEN);
    };
    match signin.open(&session) {
        Ok(opened) => opened.answer(&HeaderMap::new(), "/signin/done"),
        Err(e) => refused(&e, StatusCode::FORBIDDEN),
    }
}

fn is_bound(headers: &HeaderMap, binding: &str) -> bool {
    let lines = headers.get_all(COOKIES).iter().filter_map(|v| v.to_str().ok());
    let mut found = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == BINDING);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => value == binding,
        _ => false,
    }
}
