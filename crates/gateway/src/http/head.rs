//! What a request's head must be like before any lane looks at it: one meaning, and it is for us.

use std::net::SocketAddr;

use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use model::Reason;

/// Longest head in bytes. What is longer than the connection's buffer does not even get here.
const HEAD_MAX: usize = 32 << 10;

/// The names under which a gateway is asked; its own address is always one of them.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    pub(super) fn new(names: &[String], listen: impl IntoIterator<Item = SocketAddr>) -> Self {
        let own = listen.into_iter().map(|a| a.ip().to_string());
        Self { names: names.iter().cloned().chain(own).collect() }
    }

    fn know(&self, text: &str) -> bool {
        // A name in front of an `@` is for somebody who reads addresses differently.
        let Some(authority) = text.parse::<Authority>().ok().filter(|a| !a.as_str().contains('@')) else {
            return false;
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        self.names.iter().any(|n| n.eq_ignore_ascii_case(host))
    }
}

/// Checks a head.
///
/// # Errors
/// The reason of the refusal: too long, unknown host, a length that could be read in two ways, or a header that asks
/// others to take away what we decide on.
pub(super) fn check(parts: &Parts, hosts: &Hosts) -> Result<(), Reason> {
    let lines = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    if lines.sum::<usize>() + parts.uri.path().len() > HEAD_MAX {
        return Err(Reason::Limit);
    }
    let authority = parts.uri.authority().map(Authority::as_str);
    let mut named = parts.headers.get_all(HOST).iter().map(|h| h.to_str().unwrap_or_default()).peekable();
    let nobody = authority.is_none() && named.peek().is_none();
    let twice = parts.headers.get_all(HOST).iter().nth(1).is_some();
    if nobody || twice || !authority.into_iter().chain(named).all(|h| hosts.know(h)) {
        return Err(Reason::Unknown);
    }
    // The parser drops a `Content-Length` beside it, so that both could not be told from one (RFC 9112 §6.1).
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        return Err(Reason::Malformed);
    }
    let options = parts.headers.get_all(CONNECTION).iter().flat_map(|v| v.as_bytes().split(|b| *b == b','));
    if options.map(<[u8]>::trim_ascii).any(taken_away) {
        return Err(Reason::Malformed);
    }
    Ok(())
}

/// Whether a connection option names a header on which a decision rests (RFC 9110 §7.6.1).
fn taken_away(option: &[u8]) -> bool {
    let option = option.to_ascii_lowercase();
    option.starts_with(b"clover-")
        || matches!(option.as_slice(), b"authorization" | b"host" | b"content-length")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check_one(uri: &str, headers: &[(&str, &str)]) -> Result<(), Reason> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let hosts = Hosts::new(&["clover.example".to_owned()], ["127.0.0.1:8443".parse().unwrap()]);
        check(&request.body(()).unwrap().into_parts().0, &hosts)
    }

    #[test]
    fn only_a_head_for_us_with_one_meaning_is_taken() {
        for host in ["clover.example", "CLOVER.example:8443", "127.0.0.1:1"] {
            assert_eq!(check_one("/x", &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(check_one("https://clover.example/x", &[]), Ok(()));
        for host in
            ["other.example", "clover.example@other.example", "other@clover.example", "", "clover.example,x"]
        {
            assert_eq!(check_one("/x", &[("host", host)]), Err(Reason::Unknown), "{host}");
        }
        assert_eq!(check_one("/x", &[]), Err(Reason::Unknown));
        assert_eq!(
            check_one("/x", &[("host", "clover.example"), ("host", "clover.example")]),
            Err(Reason::Unknown)
        );
        assert_eq!(check_one("https://other.example/x", &[("host", "clover.example")]), Err(Reason::Unknown));
        let ours = ("host", "clover.example");
        assert_eq!(check_one("/x", &[ours, ("transfer-encoding", "chunked")]), Err(Reason::Malformed));
        assert_eq!(check_one("/x", &[ours, ("connection", "close, Clover-Subject")]), Err(Reason::Malformed));
        assert_eq!(check_one("/x", &[ours, ("connection", "keep-alive")]), Ok(()));
        let long = "x".repeat(HEAD_MAX);
        assert_eq!(check_one("/x", &[ours, ("x-a", &long)]), Err(Reason::Limit));
    }
}
