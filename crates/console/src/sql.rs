//! `POST /sql/login`: a short-lived password for the SQL gateway, for people who are signed in.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use crossing::credential::Shown;
use http::header::CACHE_CONTROL;
use model::{Name, UnixSeconds};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::web::{Caller, refusal};

/// A password, as it is told once.
pub struct Issued {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
    /// Until when it opens sessions.
    pub until: UnixSeconds,
    /// Where the gateway listens, as it was told.
    pub listen: String,
}

/// Makes a password for somebody, on a grant or case of that name. Whether that serves them is asked when they connect.
pub type Issue = Box<dyn Fn(Shown, &Name) -> Option<Issued> + Send + Sync>;

/// The route.
pub fn router(issue: Issue) -> Router {
    Router::new().route("/sql/login", post(login)).with_state(Arc::new(issue))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    ground: Name,
}

async fn login(
    State(issue): State<Arc<Issue>>,
    caller: Caller,
    body: Result<Json<Asked>, axum::extract::rejection::JsonRejection>,
) -> Response {
    let Ok(Json(asked)) = body else {
        return refusal(StatusCode::BAD_REQUEST, "the body is {\"ground\": the name of a grant or case}");
    };
    let Caller { session, not_after, signed_in, .. } = caller;
    // The network is looked at anew at each connection.
    let shown =
        Shown { session: crossing::identify::Session { network: None, ..session }, not_after, signed_in };
    match issue(shown, &asked.ground) {
        Some(Issued { user, password, until, listen }) => {
            let body = serde_json::json!({
                "user": user, "password": password.as_str(), "until": until.rfc3339(), "listen": listen,
            });
            ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
        }
        None => {
            refusal(StatusCode::FORBIDDEN, "only employees and services have passwords for the SQL gateway")
        }
    }
}
