//! The few pages that signing in needs: plain forms, no script, nothing from elsewhere.

use axum::response::{Html, IntoResponse, Response};
use model::ActorId;
use vault::accounts::NewSecret;

use crate::web::Caller;

fn page(title: &str, body: &str) -> Response {
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"></head><body><main><h1>{title}</h1>{body}</main></body></html>\n"
    ))
    .into_response()
}

fn field(label: &str, name: &str, kind: &str, complete: &str) -> String {
    format!(
        "<p><label>{label}<br><input name=\"{name}\" type=\"{kind}\" autocomplete=\"{complete}\" required></label></p>"
    )
}

/// `GET /signin/done`.
pub(super) async fn done(caller: Caller) -> Response {
    let until = caller.not_after.rfc3339();
    page("Signed in", &format!("<p>This session ends at {until}, or when you sign out.</p>"))
}

/// `GET /signin/local`.
pub(super) async fn local() -> Response {
    let form = [
        field("Your name here", "actor", "text", "username"),
        field("Passphrase", "passphrase", "password", "current-password"),
        field("Code of your authenticator", "code", "text", "one-time-code"),
    ]
    .concat();
    let body = format!(
        "<form method=\"post\" action=\"/signin/local\">{form}<button>Sign in</button></form>\
         <p><a href=\"/signin/local/enrol\">I have a code for enrolment</a></p>"
    );
    page("Sign in", &body)
}

/// `GET /signin/local/enrol`.
pub(super) async fn enrol() -> Response {
    let form = [
        field("Your name here", "actor", "text", "username"),
        field("Code for enrolment, from the operator", "enrolment", "text", "off"),
        field("A new passphrase, 12 characters or more", "passphrase", "password", "new-password"),
    ]
    .concat();
    page(
        "Take your account",
        &format!("<form method=\"post\" action=\"/signin/local/enrol\">{form}<button>Go on</button></form>"),
    )
}

/// The secret, for the authenticator. An actor's name has no character that HTML reads.
pub(super) fn secret(actor: &ActorId, secret: &NewSecret) -> Response {
    let form = [
        field("Code for enrolment, once more", "enrolment", "text", "off"),
        field("The code that your authenticator shows", "code", "text", "one-time-code"),
    ]
    .concat();
    let body = format!(
        "<p>Put this secret into your authenticator (six digits, 30 seconds):</p><p><code>{}</code></p>\
         <form method=\"post\" action=\"/signin/local/confirm\"><input type=\"hidden\" name=\"actor\" value=\"{}\">\
         {form}<button>Done</button></form>",
        secret.base32,
        actor.as_str()
    );
    page("Your authenticator", &body)
}
