use std::net::IpAddr;
use std::sync::Arc;

use access::Ended;
use crossing::credential::token::issue_session;
use crossing::credential::{Tokens, spiffe};
use http::Request;
use ledger::note::Signer;
use model::{Country, SessionId};

use super::super::Limits;
use super::*;

const ID: SessionId = SessionId::new([1; 16]);
const NAME: &str = "spiffe://demo/employee/mei/at/SG/device/managed-attested/auth/mfa";

struct Stage {
    door: Door,
    ended: Arc<Ended>,
    token: String,
}

fn stage() -> Stage {
    let key = |name: &str, seed| Signer::from_seed(name, &[seed; 32]).unwrap();
    let (operator, sessions) = (key("demo/operator", 1), key("demo/sessions", 2));
    let ended = Arc::new(Ended::default());
    let keys = (operator.verifier().clone(), sessions.verifier().clone());
    let tokens = Arc::new(Tokens::new("demo", keys.0, keys.1, Arc::clone(&ended)));
    let session = spiffe::read("demo", NAME).unwrap();
    let signed_in = SignedIn { id: ID, since: UnixSeconds(900) };
    let token = issue_session("demo", &session, signed_in, UnixSeconds(1001), &sessions).unwrap();
    let singapore = |ip: IpAddr| ip.is_loopback().then(|| Country::parse("SG").unwrap());
    let door = Door {
        tokens,
        network: Box::new(singapore),
        clock: || UnixSeconds(1000),
        hosts: Vec::new(),
        limits: Limits::default(),
    };
    Stage { door, ended, token }
}

fn peer(certificate: Option<Shown>) -> Peer {
    Peer { address: IpAddr::from([127, 0, 0, 1]), certificate }
}

fn certificate(name: &str) -> Option<Shown> {
    let session = spiffe::read("demo", name).unwrap();
    Some(Shown { session, not_after: UnixSeconds(2000), signed_in: None })
}

fn ask(
    stage: &Stage,
    peer: &Peer,
    method: &str,
    headers: &[(&str, &str)],
) -> Result<Option<Caller>, &'static str> {
    let mut request = Request::builder().method(method).uri("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    known(stage, peer, request).map(|known| known.caller)
}

fn known(stage: &Stage, peer: &Peer, request: http::request::Builder) -> Result<Known, &'static str> {
    identify(&stage.door, peer, &request.body(()).unwrap().into_parts().0, "console.example:8447")
}

#[test]
fn a_form_counts_only_with_the_field_of_its_own_session() {
    let stage = stage();
    let cookie = format!("{COOKIE}={}", stage.token);
    let form = |site: &str| {
        let request = Request::builder().method("POST").uri("/").header("cookie", cookie.as_str());
        let request = request.header("sec-fetch-site", site);
        known(
            &stage,
            &peer(None),
            request.header("content-type", "application/x-www-form-urlencoded;charset=UTF-8"),
        )
    };
    assert!(form("cross-site").is_err() && form("same-site").is_err());
    let known = form("same-origin").unwrap();
    assert!(known.owes_field);
    let caller = known.caller.unwrap();
    let field = caller.form.clone().unwrap();
    assert!(!stage.token.contains(&field));
    assert!(shows_field(&caller, format!("a=b&csrf={field}&c=d").as_bytes()));
    for bad in [
        String::new(),
        "csrf=".to_owned(),
        format!("csrf={field}x"),
        format!("xcsrf={field}"),
        format!("csrf={field}&csrf={field}"),
        format!("csrf={}", form_field("another")),
    ] {
        assert!(!shows_field(&caller, bad.as_bytes()), "{bad}");
    }
    let bare = Caller { form: None, ..caller };
    assert!(!shows_field(&bare, b"csrf="), "a caller without a cookie has no field");
}

#[test]
fn a_caller_is_known_by_cookie_token_or_certificate_and_the_network_is_filled_in() {
    let stage = stage();
    let (cookie, bearer) = (format!("a=b; {COOKIE}={}", stage.token), format!("Bearer {}", stage.token));
    for (peer, headers) in [
        (peer(None), &[("cookie", cookie.as_str())][..]),
        (peer(None), &[("authorization", bearer.as_str())]),
        (peer(certificate(NAME)), &[]),
        (peer(certificate(NAME)), &[("cookie", cookie.as_str())]),
    ] {
        let caller = ask(&stage, &peer, "GET", headers).unwrap().unwrap();
        assert_eq!(caller.session.place().as_str(), "SG");
    }
    let twice = format!("{cookie}; {COOKIE}=x");
    let other = certificate("spiffe://demo/employee/ana");
    for (peer, headers) in [
        (peer(None), &[][..]),
        (peer(None), &[("cookie", twice.as_str())]),
        (peer(None), &[("authorization", "Basic x")]),
        (peer(None), &[("authorization", bearer.as_str()), ("authorization", bearer.as_str())]),
        (peer(certificate(NAME)), &[("authorization", "Bearer x")]),
        (peer(other), &[("authorization", bearer.as_str())]),
    ] {
        assert!(ask(&stage, &peer, "GET", headers).unwrap().is_none(), "{headers:?}");
    }
    stage.ended.end(ID, UnixSeconds(1001), UnixSeconds(1000));
    assert!(ask(&stage, &peer(None), "GET", &[("cookie", &cookie)]).unwrap().is_none(), "signed out");
}

#[test]
fn a_page_from_elsewhere_cannot_use_a_cookie_or_a_certificate() {
    let stage = stage();
    let cookie = format!("{COOKIE}={}", stage.token);
    let own = ("origin", "https://console.example:8447");
    let (site, mark) = (("sec-fetch-site", "same-origin"), (REQUEST_HEADER, "1"));
    let with = |more: &[(&'static str, &'static str)]| {
        let headers = [&[("cookie", cookie.as_str())], more].concat();
        ask(&stage, &peer(None), "POST", &headers)
    };
    assert!(with(&[own, mark]).is_ok() && with(&[site, mark]).is_ok());
    for bad in [
        &[][..],
        &[mark],
        &[own],
        &[site],
        &[("origin", "https://evil.example"), mark],
        &[("origin", "http://console.example:8447"), mark],
        &[("origin", "https://console.example"), mark],
        &[("origin", "null"), mark],
        &[("sec-fetch-site", "same-site"), own, mark],
        &[("sec-fetch-site", "cross-site"), own, mark],
    ] {
        assert!(with(bad).is_err(), "{bad:?}");
    }
    let by_certificate = |headers: &[(&str, &str)]| ask(&stage, &peer(certificate(NAME)), "POST", headers);
    assert!(by_certificate(&[]).is_ok(), "no browser");
    assert!(by_certificate(&[("origin", "https://evil.example")]).is_err());
    let bearer = format!("Bearer {}", stage.token);
    assert!(ask(&stage, &peer(None), "POST", &[("authorization", &bearer)]).unwrap().is_some());
}
