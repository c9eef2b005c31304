//! What a request's head must be like, and what every answer's head says to a browser.

use std::net::SocketAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, StatusCode};

/// Longest path with its query.
const PATH_MAX: usize = 4096;

/// The names under which the console is asked.
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn new(names: &[String], own: SocketAddr) -> Self {
        Self(names.iter().cloned().chain([own.ip().to_string()]).collect())
    }

    fn know(&self, text: &str) -> bool {
        // A name in front of an `@` is for somebody who reads addresses differently.
        let Some(authority) = text.parse::<Authority>().ok().filter(|a| !a.as_str().contains('@')) else {
            return false;
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        self.0.iter().any(|n| n.eq_ignore_ascii_case(host))
    }
}

/// Checks a head and tells the authority that was asked, as it was written: a page from elsewhere that a browser was
/// led to by a name of its own is not served.
pub(super) fn check(parts: &Parts, hosts: &Hosts) -> Result<String, (StatusCode, &'static str)> {
    if parts.uri.path_and_query().is_some_and(|p| p.as_str().len() > PATH_MAX) {
        return Err((StatusCode::URI_TOO_LONG, "the path is too long"));
    }
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "no such method"));
    }
    let authority = parts.uri.authority().map(Authority::as_str);
    let named = parts.headers.get_all(header::HOST).iter().map(|h| h.to_str().unwrap_or_default());
    let all: Vec<&str> = authority.into_iter().chain(named).collect();
    match all.split_first() {
        Some((first, rest)) if hosts.know(first) && rest.iter().all(|h| h.eq_ignore_ascii_case(first)) => {
            Ok(first.to_ascii_lowercase())
        }
        _ => Err((StatusCode::MISDIRECTED_REQUEST, "the console is not asked under this name")),
    }
}

/// What a browser is told with every answer. A handler may have set its own; nothing may be left out.
const HARDENING: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Not `no-referrer`: a browser then says of its own forms that they come from nowhere, and they are refused.
    (header::REFERRER_POLICY, "same-origin"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// `host` is the name that was asked, if it is ours.
pub(super) fn harden(headers: &mut HeaderMap, host: Option<&str>) {
    for (name, value) in HARDENING {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // A browser would hold every other service of its own machine to TLS for a year.
    if host.is_none_or(|h| h == "localhost" || h.starts_with("localhost:")) {
        headers.remove(header::STRICT_TRANSPORT_SECURITY);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn only_a_head_that_asks_us_under_one_name_is_served() {
        let hosts = Hosts::new(&["console.example".to_owned()], "127.0.0.1:8447".parse().unwrap());
        let ask = |uri: &str, names: &[&str]| {
            let mut request = Request::builder().uri(uri);
            for name in names {
                request = request.header("host", *name);
            }
            check(&request.body(()).unwrap().into_parts().0, &hosts).map_err(|(status, _)| status.as_u16())
        };
        assert_eq!(ask("/", &["Console.example:8447"]), Ok("console.example:8447".to_owned()));
        assert_eq!(ask("/", &["127.0.0.1:8447"]), Ok("127.0.0.1:8447".to_owned()));
        assert_eq!(ask("https://console.example/", &[]), Ok("console.example".to_owned()));
        for names in
            [&[][..], &["evil.example"], &["console.example", "console.example:1"], &["a@console.example"]]
        {
            assert_eq!(ask("/", names), Err(421), "{names:?}");
        }
        assert_eq!(ask(&format!("/{}", "a".repeat(5000)), &["console.example"]), Err(414));
    }

    #[test]
    fn every_answer_tells_browsers_to_load_nothing_from_elsewhere() {
        let mut headers = HeaderMap::new();
        harden(&mut headers, Some("console.example"));
        assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
        assert!(headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
        for host in [None, Some("localhost"), Some("localhost:8447")] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=5"));
            harden(&mut headers, host);
            assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY), "{host:?}");
            assert_eq!(headers[header::CACHE_CONTROL], "max-age=5", "a handler's own stays");
        }
    }
}
