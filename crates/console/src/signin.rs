//! People sign in: in a browser or on a device through the identity provider (OpenID Connect), or with a local account.
//!
//! Every way ends in [`Signin::open`]: the actor must be on record as an employee, and gets a session token of the
//! enclave's own key. A browser holds it in a cookie, the command line in a file. `POST /signout` ends it everywhere at
//! once. Nothing here decides what a session may do. Start reading at [`router`].

mod browser;
pub mod claims;
mod device;
mod local;
mod page;
mod pending;
pub mod provider;
pub mod settings;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use crossing::credential::SignedIn;
use crossing::credential::token::{SESSION_SECONDS_MAX, issue_session};
use crossing::identify::{Session, Who};
use http::header::{AUTHORIZATION, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use ledger::note::Signer;
use model::{ActorId, Country, Explain, SessionId, SubjectId, UnixSeconds};
use serde_json::json;
use vault::{Accounts, EndedSessions};

use crate::web::{COOKIE, Caller, refusal};
use pending::{Pending, Throttle};
use provider::Provider;

/// Most sign-ins in browsers that wait for their return.
const BROWSERS_MAX: usize = 4096;
/// Most sign-ins on devices that are waited for.
const DEVICES_MAX: usize = 64;
/// Attempts of one address in a minute; several people may share one.
const ATTEMPTS_PER_MINUTE: u32 = 60;

/// Tells whether an actor is on record as an employee.
pub type OnRecord = Box<dyn Fn(&ActorId, UnixSeconds) -> bool + Send + Sync>;

/// Tells the handle of an account name, whether or not there is such a person.
pub type HandleOf = Box<dyn Fn(&str) -> Option<SubjectId> + Send + Sync>;

/// People whose data it is, as they sign in.
pub struct People {
    /// Their accounts, under their handles; if they serve here.
    pub accounts: Option<Accounts>,
    /// The handle of an account name, whether or not there is such a person.
    pub handle: HandleOf,
    /// Whether the vault holds somebody of this handle.
    pub known: Box<dyn Fn(&SubjectId) -> bool + Send + Sync>,
}

/// What is needed to sign people in.
pub struct Parts {
    /// The programme.
    pub programme: String,
    /// The enclave's session key.
    pub key: Signer,
    /// How long a session lasts, in seconds.
    pub session_seconds: u64,
    /// Ends sessions.
    pub ended: EndedSessions,
    /// Whether an actor is on record as an employee now.
    pub on_record: OnRecord,
    /// The identity provider, if there is one.
    pub provider: Option<Provider>,
    /// Local accounts, if they serve here.
    pub accounts: Option<Accounts>,
    /// Accounts of people whose data it is.
    pub people: People,
    /// The time.
    pub clock: fn() -> UnixSeconds,
}

/// Signs people in and out.
pub struct Signin {
    parts: Parts,
    browsers: Pending<browser::Waiting>,
    devices: Pending<device::Waiting>,
    throttle: Throttle,
    /// Passphrases are stretched one at a time: each costs memory and time.
    stretching: tokio::sync::Semaphore,
}

/// A session that was opened.
pub(crate) struct Opened {
    token: String,
    until: UnixSeconds,
    seconds: u64,
}

/// Somebody who signed in and may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// The operator has no record of them.
    #[error("whoever signed in is not on record as an employee")]
    NotOnRecord,
    /// No token could be made.
    #[error("no session token could be made")]
    Key,
}

impl Explain for NotOpened {
    fn code(&self) -> &'static str {
        match self {
            Self::NotOnRecord => "CLV-0704",
            Self::Key => "CLV-0203",
        }
    }
    fn fix(&self) -> &'static str {
        "put them on record with `clover actor add`, under the id that `signin.claims.actor` gives"
    }
    fn public(&self) -> &'static str {
        "you are not on record here"
    }
}

impl Signin {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            browsers: Pending::holding(BROWSERS_MAX),
            devices: Pending::holding(DEVICES_MAX),
            throttle: Throttle::per_minute(ATTEMPTS_PER_MINUTE),
            stretching: tokio::sync::Semaphore::new(1),
        }
    }

    fn now(&self) -> UnixSeconds {
        (self.parts.clock)()
    }

    /// Opens a session for somebody whose sign-in counts. The only place where one is made.
    fn open(&self, session: &Session) -> Result<Opened, NotOpened> {
        let now = self.now();
        match &session.who {
            Who::Employee(id) if (self.parts.on_record)(id, now) => {}
            Who::Subject(id) if (self.parts.people.known)(id) => {}
            _ => return Err(NotOpened::NotOnRecord),
        }
        let mut id = [0; 16];
        vault::keys::random(&mut id).map_err(|_| NotOpened::Key)?;
        let signed_in = SignedIn { id: SessionId::new(id), since: now };
        let seconds = self.parts.session_seconds.min(SESSION_SECONDS_MAX);
        let until = now.plus(seconds);
        let token = issue_session(&self.parts.programme, session, signed_in, until, &self.parts.key);
        let token = token.map_err(|_| NotOpened::Key)?;
        tracing::info!("somebody signed in");
        Ok(Opened { token, until, seconds })
    }
}

/// The routes.
pub fn router(signin: Arc<Signin>) -> Router {
    Router::new()
        .route("/signin", get(browser::begin))
        .route("/signin/callback", get(browser::back))
        .route("/signin/done", get(page::done))
        .route("/signin/device", post(device::begin))
        .route("/signin/device/token", post(device::token))
        .route("/signin/local", get(local::form).post(local::sign_in))
        .route("/signin/local/enrol", get(local::enrolment).post(local::begin))
        .route("/signin/local/confirm", post(local::confirm))
        .route("/signin/person", get(local::form).post(local::sign_in))
        .route("/signin/person/enrol", get(local::enrolment).post(local::begin))
        .route("/signin/person/confirm", post(local::confirm))
        .route("/signout", post(sign_out))
        .route("/session", get(session))
        .with_state(signin)
}

impl Opened {
    /// A browser gets the cookie and goes on to where it is told; whoever asks for JSON gets the token.
    fn answer(&self, headers: &HeaderMap, to: &'static str) -> Response {
        if wants_json(headers) {
            return Json(json!({ "token": self.token, "until": self.until.rfc3339() })).into_response();
        }
        let cookie = cookie(COOKIE, &self.token, self.seconds);
        (StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (http::header::LOCATION, to.to_owned())])
            .into_response()
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    headers.get(http::header::ACCEPT).is_some_and(|a| a.as_bytes() == b"application/json")
}

/// A cookie for this host alone, over TLS alone, out of reach of scripts, not sent along from other sites but when a
/// person follows a link.
fn cookie(name: &str, value: &str, seconds: u64) -> String {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}")
}

/// Tells a stranger what they may read, and the log the rest.
fn refused(error: &(impl Explain + 'static), status: StatusCode) -> Response {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(code = error.code(), error = %error, cause, "a sign-in is refused");
    refusal(status, error.public())
}

/// Ends the session for every listener, durably, before anybody is told so.
async fn sign_out(State(signin): State<Arc<Signin>>, caller: Caller, headers: HeaderMap) -> Response {
    let Some(signed_in) = caller.signed_in else {
        return refusal(StatusCode::BAD_REQUEST, "there is no session; a certificate ends by its own date");
    };
    let (asked, until) = (Arc::clone(&signin), caller.not_after);
    // Written where it may wait for the disk.
    let ended = tokio::task::spawn_blocking(move || {
        let now = asked.now();
        asked.parts.ended.end(signed_in.id, until.max(now.plus(SESSION_SECONDS_MAX)), now)
    });
    if !matches!(ended.await, Ok(Ok(()))) {
        tracing::error!("the end of a session could not be written; it has ended until this process does");
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "signed out, but not on record: sign out again");
    }
    let answer = Json(json!({ "signed": "out" }));
    if headers.contains_key(AUTHORIZATION) {
        return answer.into_response();
    }
    let gone = (SET_COOKIE, cookie(COOKIE, "", 0));
    // What a form of a page asked for is a page. Nothing that was shown stays with the browser.
    if caller.form.is_some() && !headers.contains_key(crate::web::REQUEST_HEADER) {
        let clear = (http::HeaderName::from_static("clear-site-data"), "\"cache\"".to_owned());
        let to = (http::header::LOCATION, "/?done=out".to_owned());
        return (StatusCode::SEE_OTHER, [gone, to, clear]).into_response();
    }
    ([gone], answer).into_response()
}

/// Who the caller is to us, and where.
async fn session(caller: Caller) -> Response {
    let session = &caller.session;
    let (kind, id) = match &session.who {
        Who::Employee(id) => ("employee", id.as_str()),
        Who::Service(id) => ("service", id.as_str()),
        Who::Subject(id) => ("subject", id.as_str()),
    };
    let place = session.place();
    let text = |c: Option<Country>| c.map(|c| c.to_string());
    Json(json!({
        "kind": kind,
        "id": id,
        "country": text(session.country),
        "device_country": text(session.device_country),
        "network": text(session.network),
        "place": if place == Country::UNKNOWN { None } else { Some(place.to_string()) },
        "device_managed": session.device_managed,
        "device_attested": session.device_attested,
        "strong": session.strong,
        "until": caller.not_after.rfc3339(),
        "signed_in": caller.signed_in.is_some(),
    }))
    .into_response()
}
