//! The frame of every page, and the few pages that say why there is none.

use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_LANGUAGE, VARY};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets;
use super::reader::{Reader, Viewer};
use super::words::Language;

/// The mark: four leaves, drawn by us.
const MARK: &str = r#"<svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false"><g fill="currentColor"><path d="M15 15C9 16 3 13 4 8c1-4 7-4 8-1 4 0 4 5 3 8z"/><path d="M17 15c-1-6 2-12 7-11 4 1 4 7 1 8 0 4-5 4-8 3z"/><path d="M17 17c6-1 12 2 11 7-1 4-7 4-8 1-4 0-4-5-3-8z"/><path d="M15 17c1 6-2 12-7 11-4-1-4-7-1-8 0-4 5-4 8-3z"/></g></svg>"#;

/// What a page is.
pub(super) struct Page<'a> {
    /// Its title, in the reader's words.
    pub(super) title: &'a str,
    /// Scripts that it works with, by their names.
    pub(super) scripts: &'a [&'static str],
    /// What it shows.
    pub(super) body: Markup,
}

fn link(reader: &Reader, path: &'static str, word: &str) -> Markup {
    let here = if path == "/" { reader.path == "/" } else { reader.path.starts_with(path) };
    html! { li { a href=(path) aria-current=[here.then_some("page")] { (word) } } }
}

fn navigation(reader: &Reader) -> Markup {
    let l = reader.language;
    html! {
        nav aria-label=(l.t("nav-label")) {
            ul {
                @match &reader.viewer {
                    Viewer::Staff(staff) => {
                        @if staff.oversees { (link(reader, "/overview", l.t("nav-overview"))) }
                        (link(reader, "/requests", l.t("nav-requests")))
                        (link(reader, "/ledger", l.t("nav-ledger")))
                        @if staff.oversees { (link(reader, "/rulebook", l.t("nav-rulebook"))) }
                    }
                    Viewer::Subject(_) => { (link(reader, "/my-data", l.t("nav-mine"))) }
                    Viewer::Nobody | Viewer::Stranger => {}
                }
                (link(reader, "/public", l.t("nav-public")))
            }
        }
    }
}

fn account(reader: &Reader) -> Markup {
    let l = reader.language;
    html! {
        div.account {
            @match &reader.viewer {
                Viewer::Staff(staff) => { span.who { (staff.name) } }
                Viewer::Subject(_) => { span.who { (l.t("account-you")) } }
                Viewer::Stranger => { span.who { (l.t("account-stranger")) } }
                Viewer::Nobody => {}
            }
            @if matches!(reader.viewer, Viewer::Nobody) {
                a.button.quiet href="/signin" { (l.t("sign-in")) }
            } @else if reader.signed_in {
                form method="post" action="/signout" { (reader.token()) button.quiet { (l.t("sign-out")) } }
            }
            form.language method="get" action="/language" {
                input type="hidden" name="back" value=(reader.path);
                @for other in Language::ALL {
                    @if other != l {
                        button.quiet name="to" value=(other.tag()) lang=(other.tag()) { (other.name()) }
                    }
                }
            }
        }
    }
}

/// A page in its frame.
pub(super) fn page(reader: &Reader, page: Page<'_>) -> Response {
    framed(reader, StatusCode::OK, page)
}

fn framed(reader: &Reader, status: StatusCode, page: Page<'_>) -> Response {
    let l = reader.language;
    let markup = html! {
        (DOCTYPE)
        html lang=(l.tag()) {
            (head(page.title, &[&["console.js"], page.scripts].concat()))
            body {
                a.skip href="#main" { (l.t("skip")) }
                header.top {
                    a.brand href="/" { (PreEscaped(MARK)) span { "Clover" } }
                    (navigation(reader))
                    (account(reader))
                }
                main id="main" tabindex="-1" {
                    @if let Some(note) = &reader.note { p.note role="status" { (l.t(note.0)) } }
                    h1 { (page.title) }
                    (page.body)
                }
                footer.bottom { p { (l.t("footer")) " " (reader.programme) } }
            }
        }
    };
    let headers = [(CONTENT_LANGUAGE, l.tag()), (VARY, "Accept-Language, Cookie")];
    (status, headers, Html(markup.into_string())).into_response()
}

/// A page for whoever is not signed in yet: the frame without anybody's name, and without script.
pub(crate) fn bare(l: Language, title: &str, body: Markup) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang=(l.tag()) {
            (head(title, &[]))
            body {
                a.skip href="#main" { (l.t("skip")) }
                header.top { a.brand href="/" { (PreEscaped(MARK)) span { "Clover" } } }
                main id="main" tabindex="-1" { h1 { (title) } (body) }
                footer.bottom { p { (l.t("footer")) } }
            }
        }
    };
    let headers = [(CONTENT_LANGUAGE, l.tag()), (VARY, "Accept-Language, Cookie")];
    (headers, Html(markup.into_string())).into_response()
}

fn head(title: &str, scripts: &[&'static str]) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · Clover" }
            link rel="icon" href=(assets::path("mark.svg")) type="image/svg+xml";
            link rel="stylesheet" href=(assets::path("console.css"));
            @for script in scripts { script type="module" src=(assets::path(script)) {} }
        }
    }
}

/// A page that says why there is none.
pub(super) fn refusal(reader: &Reader, status: StatusCode, title: &'static str, why: &str) -> Response {
    let l = reader.language;
    let body = html! {
        div.empty {
            p { (why) }
            p {
                @if matches!(reader.viewer, Viewer::Nobody) { a.button href="/signin" { (l.t("sign-in")) } }
                @else { a.button href="/" { (l.t("go-home")) } }
            }
        }
    };
    framed(reader, status, Page { title: l.t(title), scripts: &[], body })
}

/// Nobody is signed in.
pub(super) fn sign_in_first(reader: &Reader) -> Response {
    let l = reader.language;
    refusal(reader, StatusCode::UNAUTHORIZED, "signin-first-title", l.t("signin-first"))
}

/// Somebody is signed in, and this is not theirs to see.
pub(super) fn not_yours(reader: &Reader) -> Response {
    refusal(reader, StatusCode::FORBIDDEN, "not-yours-title", reader.language.t("not-yours"))
}

/// There is no such thing, or it concerns others: nobody learns which.
pub(super) fn not_found(reader: &Reader) -> Response {
    refusal(reader, StatusCode::NOT_FOUND, "not-found-title", reader.language.t("not-found"))
}

/// Something does not answer.
pub(super) fn unavailable(reader: &Reader) -> Response {
    refusal(reader, StatusCode::SERVICE_UNAVAILABLE, "unavailable-title", reader.language.t("unavailable"))
}
