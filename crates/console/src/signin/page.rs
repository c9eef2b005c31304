//! The few pages that signing in needs: plain forms, no script.

use axum::response::Response;
use http::{HeaderMap, StatusCode};
use maud::{Markup, html};
use vault::accounts::NewSecret;

use super::local::Whose;
use crate::pages::layout;
use crate::pages::words::Language;
use crate::web::{Caller, FORM_FIELD, wants_page};

/// Who reads, as far as these pages need to know.
pub(super) struct Visitor {
    language: Language,
    form: Option<String>,
}

impl Visitor {
    pub(super) fn new(headers: &HeaderMap, caller: Option<&Caller>) -> Self {
        Self { language: Language::of(headers), form: caller.and_then(|c| c.form.clone()) }
    }

    /// Somebody who is signed in already may sign in as another.
    fn token(&self) -> Markup {
        html! { @if let Some(form) = &self.form { input type="hidden" name=(FORM_FIELD) value=(form); } }
    }
}

fn field(label: &str, name: &str, kind: &str, complete: &str) -> Markup {
    let numeric = (name == "code").then_some("numeric");
    html! { label { span { (label) } input name=(name) type=(kind) autocomplete=(complete) inputmode=[numeric] required; } }
}

/// `GET /signin/done`: what the session is worth, for whoever comes from a provider. Others are sent on.
pub(super) async fn done(headers: HeaderMap, caller: Caller) -> Response {
    let l = Language::of(&headers);
    let until = caller.not_after.rfc3339();
    let body = html! {
        p { (l.fill("signin-done", &[&until])) }
        p { a.button href="/" { (l.t("signin-on")) } }
    };
    layout::bare(l, l.t("signin-done-title"), body)
}

/// The form of a local account.
pub(super) fn local(visitor: &Visitor, whose: Whose) -> Response {
    let l = visitor.language;
    let (action, enrol, title, name) = match whose {
        Whose::Actor => ("/signin/local", "/signin/local/enrol", l.t("signin-title"), l.t("signin-name")),
        Whose::Person => {
            ("/signin/person", "/signin/person/enrol", l.t("signin-person-title"), l.t("signin-person-name"))
        }
    };
    let body = html! {
        form.narrow method="post" action=(action) {
            (visitor.token())
            (field(name, "actor", "text", "username"))
            (field(l.t("signin-passphrase"), "passphrase", "password", "current-password"))
            (field(l.t("signin-code"), "code", "text", "one-time-code"))
            button { (l.t("sign-in")) }
        }
        p { a href=(enrol) { (l.t("signin-enrol-link")) } }
    };
    layout::bare(l, title, body)
}

/// The form of whoever has a code for enrolment.
pub(super) fn enrol(visitor: &Visitor, whose: Whose) -> Response {
    let l = visitor.language;
    let (action, name) = match whose {
        Whose::Actor => ("/signin/local/enrol", l.t("signin-name")),
        Whose::Person => ("/signin/person/enrol", l.t("signin-person-name")),
    };
    let body = html! {
        form.narrow method="post" action=(action) {
            (visitor.token())
            (field(name, "actor", "text", "username"))
            (field(l.t("signin-enrolment"), "enrolment", "text", "off"))
            (field(l.t("signin-new-passphrase"), "passphrase", "password", "new-password"))
            button { (l.t("signin-on")) }
        }
    };
    layout::bare(l, l.t("signin-enrol-title"), body)
}

/// The secret, for the authenticator.
pub(super) fn secret(visitor: &Visitor, whose: Whose, typed: &str, secret: &NewSecret) -> Response {
    let l = visitor.language;
    let action = match whose {
        Whose::Actor => "/signin/local/confirm",
        Whose::Person => "/signin/person/confirm",
    };
    let body = html! {
        p { (l.t("signin-secret")) }
        p { code { (secret.base32) } }
        form.narrow method="post" action=(action) {
            (visitor.token())
            input type="hidden" name="actor" value=(typed);
            (field(l.t("signin-enrolment-again"), "enrolment", "text", "off"))
            (field(l.t("signin-shown"), "code", "text", "one-time-code"))
            button { (l.t("signin-finish")) }
        }
    };
    layout::bare(l, l.t("signin-secret-title"), body)
}

/// A refused attempt: a page for whoever asks for one, in words that do not tell what was wrong.
pub(super) fn refused(headers: &HeaderMap, whose: Whose, answer: Response) -> Response {
    if !wants_page(headers) {
        return answer;
    }
    let l = Language::of(headers);
    let why = match answer.status() {
        StatusCode::FORBIDDEN => l.t("signin-refused"),
        StatusCode::TOO_MANY_REQUESTS => l.t("signin-too-many"),
        StatusCode::NOT_FOUND => l.t("signin-no-accounts"),
        _ => l.t("unavailable"),
    };
    let again = if whose == Whose::Person { "/signin/person" } else { "/signin/local" };
    let body =
        html! { p.outcome.no role="alert" { (why) } p { a.button href=(again) { (l.t("signin-again")) } } };
    let mut page = layout::bare(l, l.t("signin-refused-title"), body);
    *page.status_mut() = answer.status();
    page
}
