//! Who is calling: a client certificate, a bearer token, or the session cookie of a browser.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use crossing::credential::{Shown, SignedIn};
use crossing::identify::Session;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE as COOKIES, HeaderMap, ORIGIN};
use http::request::Parts;
use http::{Method, StatusCode};
use model::UnixSeconds;

use super::{Door, Peer};

/// The cookie that holds a session's token. Its prefix makes browsers hold it to this host, path and TLS.
pub const COOKIE: &str = "__Host-clover-session";
/// A request that changes something and is authenticated by a cookie must bear this header: no form can set it, and no
/// script of another origin may. A form of ours has a field instead.
pub const REQUEST_HEADER: &str = "clover-request";
/// The field that shows a form to be of a page that this session was given.
pub const FORM_FIELD: &str = "csrf";

/// Whoever is calling, verified. Take it as an argument of a handler; without one the answer is 401.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who they are and where, as far as it was attested; the network's country is filled in.
    pub session: Session,
    /// Until when the credential serves.
    pub not_after: UnixSeconds,
    /// The sign-in it comes from, if it comes from one.
    pub signed_in: Option<SignedIn>,
    /// What forms of this session's pages show in [`FORM_FIELD`], where a cookie is the credential.
    pub(crate) form: Option<String>,
}

/// What was found out about the caller of a request.
#[derive(Debug, Clone)]
pub(super) struct Identified(pub(super) Option<Caller>);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        found(parts).ok_or_else(|| {
            refusal(StatusCode::UNAUTHORIZED, "sign in, or show a client certificate or a token")
        })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Response> {
        Ok(found(parts))
    }
}

fn found(parts: &Parts) -> Option<Caller> {
    parts.extensions.get::<Identified>().and_then(|i| i.0.clone())
}

/// A refusal in public words, in the form that gateways use, too.
#[must_use]
pub fn refusal(status: StatusCode, why: &'static str) -> Response {
    let reason = match status {
        StatusCode::UNAUTHORIZED => "unidentified",
        StatusCode::FORBIDDEN => "policy",
        StatusCode::NOT_FOUND => "unknown",
        s if s.is_server_error() => "unavailable",
        _ => "request",
    };
    let body = format!(r#"{{"refused":"{reason}","why":"{why}"}}"#);
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// Who is calling, and whether their form must still show its field.
pub(super) struct Known {
    pub(super) caller: Option<Caller>,
    pub(super) owes_field: bool,
}

/// Finds out who is calling. A credential that does not count is as good as none.
///
/// # Errors
/// When a browser was made to send a request that changes something.
pub(super) fn identify(door: &Door, peer: &Peer, parts: &Parts, host: &str) -> Result<Known, &'static str> {
    let now = (door.clock)();
    let token = match bearer(&parts.headers) {
        Bearer::One(token) => Some((door.tokens.shown(token, now).ok(), false)),
        Bearer::Unclear => return Ok(Known { caller: None, owes_field: false }),
        Bearer::None => cookie(&parts.headers).map(|token| (door.tokens.shown(token, now).ok(), true)),
    };
    let by_cookie = matches!(token, Some((Some(_), true)));
    let shown = match (peer.certificate.clone(), token) {
        // A stale cookie beside a good certificate is no claim; a bad bearer token is one.
        (certificate, None | Some((None, true))) => certificate,
        (_, Some((None, false))) => None,
        (None, Some((token, _))) => token,
        (Some(certificate), Some((Some(token), _))) => certificate.with_token(token),
    };
    let shown = shown.filter(|s| now < s.not_after);
    let safe = parts.method == Method::GET || parts.method == Method::HEAD || parts.method == Method::OPTIONS;
    // A bearer token is sent on purpose; certificates and cookies are sent by browsers on their own. Nobody is led to
    // sign in as somebody else, either.
    let ambient = !matches!(bearer(&parts.headers), Bearer::One(_));
    let owes_field = !safe && ambient && same_origin(&parts.headers, host, by_cookie)?;
    let Some(Shown { session, not_after, signed_in }) = shown else {
        return Ok(Known { caller: None, owes_field: false });
    };
    let session = Session { network: (door.network)(peer.address), ..session };
    let form = by_cookie.then(|| cookie(&parts.headers).map(form_field)).flatten();
    Ok(Known { caller: Some(Caller { session, not_after, signed_in, form }), owes_field })
}

/// What a form of this session shows: nobody can make it who does not have the cookie, and it gives nothing of it away.
fn form_field(token: &str) -> String {
    let text = format!("clover form v1\n{token}");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    data_encoding::BASE64URL_NOPAD.encode(digest.as_ref())
}

/// Whether a form's body shows the field of this caller, once.
pub(super) fn shows_field(caller: &Caller, body: &[u8]) -> bool {
    let wanted = caller.form.as_deref().unwrap_or_default();
    let mut shown = body.split(|b| *b == b'&').filter_map(|pair| pair.strip_prefix(b"csrf="));
    let (first, second) = (shown.next(), shown.next());
    let same =
        |found: &[u8]| aws_lc_rs::constant_time::verify_slices_are_equal(found, wanted.as_bytes()).is_ok();
    !wanted.is_empty() && second.is_none() && first.is_some_and(same)
}

/// Whether a request comes from a page of our own, or from no page at all. Returns whether its form must show the field besides.
///
/// # Errors
/// What gives it away.
fn same_origin(headers: &HeaderMap, host: &str, by_cookie: bool) -> Result<bool, &'static str> {
    const ELSEWHERE: &str = "the request comes from another page";
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    let (site, origin) = (text("sec-fetch-site"), text(ORIGIN.as_str()));
    if site.is_some_and(|s| s != "same-origin") {
        return Err(ELSEWHERE);
    }
    let own = |o: &str| o.strip_prefix("https://").is_some_and(|o| o.eq_ignore_ascii_case(host));
    if origin.is_some_and(|o| !own(o)) {
        return Err(ELSEWHERE);
    }
    if by_cookie && site.is_none() && origin.is_none() {
        return Err("the request does not say from which page it comes");
    }
    if !by_cookie || headers.contains_key(REQUEST_HEADER) {
        return Ok(false);
    }
    let kind = text(CONTENT_TYPE.as_str()).and_then(|t| t.split(';').next()).unwrap_or_default();
    if kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(true);
    }
    Err("the request lacks the header `clover-request`")
}

enum Bearer<'a> {
    None,
    One(&'a str),
    Unclear,
}

fn bearer(headers: &HeaderMap) -> Bearer<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Bearer::None,
        (Some(value), None) => {
            let token = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer "));
            token.map_or(Bearer::Unclear, Bearer::One)
        }
        _ => Bearer::Unclear,
    }
}

/// The session cookie, if there is exactly one.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIES).iter().filter_map(|v| v.to_str().ok());
    let mut found = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE);
    match (found.next(), found.next()) {
        (Some((_, token)), None) => Some(token),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
