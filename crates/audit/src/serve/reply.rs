//! Answers and their headers.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use super::{
    layout::{Menu, head, page},
    words::EN,
};
use crate::html::escape;

const CONTENT: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

pub(super) type Reply = Response<Full<Bytes>>;

/// Status, kind and bytes.
pub(super) struct Page {
    status: StatusCode,
    kind: &'static str,
    body: Bytes,
}

/// Why somebody does not get what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    NotFound,
    NoPage,
    NoIncident,
    Method,
    Host,
    Long,
    /// What is wrong with the address.
    Input(&'static str),
    Busy,
    Failed,
}

impl Page {
    pub(super) fn html(body: String) -> Self {
        Self { status: StatusCode::OK, kind: HTML, body: body.into() }
    }

    pub(super) fn json(value: &impl serde::Serialize) -> Self {
        serde_json::to_vec_pretty(value).map_or_else(
            |_| Refused::Failed.json(),
            |bytes| Self { status: StatusCode::OK, kind: JSON, body: bytes.into() },
        )
    }

    pub(super) fn fixed(kind: &'static str, body: &'static str) -> Self {
        Self { status: StatusCode::OK, kind, body: Bytes::from_static(body.as_bytes()) }
    }

    pub(super) fn with(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With all headers that every answer has.
    pub(super) fn reply(self) -> Reply {
        let mut reply = Response::new(Full::new(self.body));
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, self.kind),
            (header::CONTENT_SECURITY_POLICY, CONTENT),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        reply
    }
}

impl Refused {
    fn status(self) -> StatusCode {
        match self {
            Self::NotFound | Self::NoPage | Self::NoIncident => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Long => StatusCode::URI_TOO_LONG,
            Self::Input(_) => StatusCode::BAD_REQUEST,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NotFound => (EN.not_found, EN.not_found_about),
            Self::NoPage => (EN.no_page, EN.no_page_about),
            Self::NoIncident => (EN.no_incident, EN.no_incident_about),
            Self::Method => (EN.bad_method, EN.bad_method_about),
            Self::Host => (EN.bad_host, EN.bad_host_about),
            Self::Long => (EN.too_long, EN.too_long_about),
            Self::Input(why) => (EN.bad_input, why),
            Self::Busy => (EN.busy, EN.busy_about),
            Self::Failed => (EN.failed, EN.failed_about),
        }
    }

    /// As a page.
    pub(super) fn page(self, site: &str) -> Page {
        let (title, about) = self.words();
        let back = format!("<p class=\"more\"><a href=\"/\">{}</a></p>\n", EN.to_overview);
        // Whoever came under another name is told nothing of the site.
        let site = if self == Self::Host { "–" } else { site };
        let main = head(title, &escape(about)) + &back;
        Page::html(page(site, Menu::None, title, &main)).with(self.status())
    }

    /// As JSON.
    pub(super) fn json(self) -> Page {
        let (title, about) = self.words();
        let body = serde_json::json!({ "error": title, "about": about }).to_string();
        Page { status: self.status(), kind: JSON, body: body.into() }
    }
}
