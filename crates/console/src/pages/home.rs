//! The door: where somebody goes from here, in which language, and what there is not.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::{LOCATION, SET_COOKIE};
use maud::html;

use super::Pages;
use super::layout::{self, Page};
use super::reader::{Reader, Viewer};
use super::words::{COOKIE, Language};

/// A year.
const REMEMBERED: u64 = 31_536_000;

/// `GET /`.
pub(super) async fn home(reader: Reader) -> Response {
    let l = reader.language;
    match &reader.viewer {
        Viewer::Staff(staff) if staff.oversees && reader.note.is_none() => {
            Redirect::to("/overview").into_response()
        }
        Viewer::Staff(_) if reader.note.is_none() => Redirect::to("/requests").into_response(),
        Viewer::Subject(_) if reader.note.is_none() => Redirect::to("/my-data").into_response(),
        _ => {
            let body = html! {
                p.lead { (l.t("home-lead")) }
                div.doors {
                    a.door href="/signin" { strong { (l.t("home-staff")) } span { (l.t("home-staff-more")) } }
                    a.door href="/signin/person" { strong { (l.t("home-person")) } span { (l.t("home-person-more")) } }
                    a.door href="/public" { strong { (l.t("home-public")) } span { (l.t("home-public-more")) } }
                }
                p.quiet { (l.t("home-audit")) }
            };
            layout::page(&reader, Page { title: l.t("home-title"), scripts: &[], body })
        }
    }
}

#[derive(serde::Deserialize)]
pub(super) struct Chosen {
    to: String,
    #[serde(default)]
    back: String,
}

/// `GET /language`: remembers a choice and goes back, to a page of this console and nowhere else.
pub(super) async fn language(Query(chosen): Query<Chosen>) -> Response {
    let Some(language) = Language::parse(&chosen.to) else {
        return (StatusCode::BAD_REQUEST, "no such language\n").into_response();
    };
    let cookie =
        format!("{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={REMEMBERED}", language.tag());
    (StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, back(&chosen.back).to_owned())]).into_response()
}

/// A path of this console; the door for everything else.
fn back(path: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.');
    let own = path.starts_with('/') && !path.contains("//") && path.len() <= 200 && path.bytes().all(plain);
    if own { path } else { "/" }
}

/// Every other path.
pub(super) async fn unknown(State(_): State<Arc<Pages>>, reader: Reader) -> Response {
    layout::not_found(&reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_another_host() {
        assert_eq!(back("/requests/r-1"), "/requests/r-1");
        for bad in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/a//b",
            "javascript:alert(1)",
            "/%2f%2fevil",
            "/a?b=https://evil",
            "\u{2f}\u{5c}evil",
            "/a\r\nset-cookie: x",
        ] {
            assert_eq!(back(bad), "/", "{bad}");
        }
    }
}
