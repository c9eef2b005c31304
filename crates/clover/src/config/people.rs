//! How people sign in and where they are: `[console]`, `[signin]` and `[location]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use model::{Name, Problems};

use super::ADDRESS;

/// Longest session, in hours.
const SESSION_HOURS_MAX: u32 = 12;

/// What people use in a browser, over TLS.
#[derive(Debug, Clone)]
pub struct Console {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The names under which it is asked.
    pub hosts: Vec<String>,
    /// Most connections.
    pub connections_max: usize,
    /// How long a session lasts.
    pub session_hours: u32,
    /// Whether local accounts serve.
    pub local_accounts: bool,
    /// Whether accounts of people whose data it is serve.
    pub people_accounts: bool,
    /// Teams whose people see how the enclave fares, and put a rulebook in force.
    pub operators: Vec<Name>,
    /// The identity provider.
    pub signin: Option<Signin>,
}

/// The identity provider.
#[derive(Debug, Clone)]
pub struct Signin {
    /// Its issuer, exactly as its tokens name it.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// The file with our secret there; below the enclave's folder if it is relative.
    pub client_secret_file: Option<PathBuf>,
    /// The file with the roots that its certificate leads to.
    pub ca_file: Option<PathBuf>,
    /// Host and port under which browsers reach the console.
    pub redirect_host: String,
    /// Scopes beyond `openid`.
    pub scopes: Vec<String>,
    /// The provider may be asked over `http` on 127.0.0.0/8. For tests.
    pub loopback_http: bool,
    /// Which claims say what.
    pub names: console::signin::claims::Names,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConsole {
    listen: String,
    #[serde(default = "super::raw::hosts")]
    hosts: Vec<String>,
    #[serde(default = "connections_max")]
    connections_max: usize,
    #[serde(default = "session_hours")]
    session_hours: u32,
    #[serde(default = "local_accounts")]
    local_accounts: bool,
    #[serde(default = "local_accounts")]
    people_accounts: bool,
    #[serde(default = "operators")]
    operators: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSignin {
    issuer: String,
    client_id: String,
    client_secret_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    redirect_host: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    loopback_http_for_tests: bool,
    #[serde(default)]
    claims: RawClaims,
    #[serde(default)]
    strong: RawStrong,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawClaims {
    actor: String,
    country: Option<String>,
    device: Option<String>,
    device_country: Option<String>,
}

impl Default for RawClaims {
    fn default() -> Self {
        Self { actor: "sub".to_owned(), country: None, device: None, device_country: None }
    }
}

#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawStrong {
    amr: Vec<String>,
    acr: Vec<String>,
}

#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLocation {
    pub(super) mmdb_file: Option<PathBuf>,
}

fn connections_max() -> usize {
    512
}
fn session_hours() -> u32 {
    8
}
fn local_accounts() -> bool {
    true
}
fn operators() -> Vec<String> {
    vec!["operators".to_owned()]
}

/// Checks `[console]` and `[signin]`.
pub(super) fn check(
    console: Option<RawConsole>,
    signin: Option<RawSignin>,
    p: &mut Problems,
) -> Option<Console> {
    let signin = signin.and_then(|s| provider(s, p));
    let Some(raw) = console else {
        if signin.is_some() {
            p.add("enclave.toml: signin", "nobody can sign in without [console]", "add [console]");
        }
        return None;
    };
    let listen = p.keep("enclave.toml: console.listen", ADDRESS, raw.listen.parse());
    if raw.session_hours == 0 || raw.session_hours > SESSION_HOURS_MAX {
        p.add("enclave.toml: console.session_hours", "a session lasts 1 to 12 hours", "use 8");
    }
    if raw.connections_max == 0 {
        p.add("enclave.toml: console.connections_max", "nothing could be served", "use 1 or more");
    }
    let fix = "name teams as `clover actor add --team` does";
    let operators: Vec<_> = raw
        .operators
        .iter()
        .filter_map(|t| p.keep("enclave.toml: console.operators", fix, Name::parse(t)))
        .collect();
    Some(Console {
        listen: listen?,
        hosts: raw.hosts,
        connections_max: raw.connections_max,
        session_hours: raw.session_hours,
        local_accounts: raw.local_accounts,
        people_accounts: raw.people_accounts,
        operators,
        signin,
    })
}

fn provider(raw: RawSignin, p: &mut Problems) -> Option<Signin> {
    let before = p.list().len();
    let local = is_loopback_http(&raw.issuer);
    if !(raw.issuer.starts_with("https://") || local && raw.loopback_http_for_tests) {
        let fix = "use the https address that the provider gives as its issuer";
        p.add("enclave.toml: signin.issuer", "the provider is asked over TLS", fix);
    }
    if raw.issuer.starts_with("https://") && raw.ca_file.is_none() {
        let fix = "name a file with the roots to trust, as /etc/ssl/certs/ca-certificates.crt";
        p.add("enclave.toml: signin.ca_file", "nobody is trusted without it", fix);
    }
    let host = raw.redirect_host.parse::<http::uri::Authority>();
    if host.is_err() || raw.redirect_host.contains('@') {
        let fix = "give the host and port under which browsers reach the console";
        p.add("enclave.toml: signin.redirect_host", "this is no host", fix);
    }
    for (key, value) in [("client_id", &raw.client_id), ("claims.actor", &raw.claims.actor)] {
        if value.is_empty() {
            p.add(format!("enclave.toml: signin.{key}"), "this is empty", "see docs/signin.md");
        }
    }
    let names = console::signin::claims::Names {
        actor: raw.claims.actor,
        country: raw.claims.country,
        device: raw.claims.device,
        device_country: raw.claims.device_country,
        strong_amr: raw.strong.amr,
        strong_acr: raw.strong.acr,
    };
    (p.list().len() == before).then_some(Signin {
        issuer: raw.issuer,
        client_id: raw.client_id,
        client_secret_file: raw.client_secret_file,
        ca_file: raw.ca_file,
        redirect_host: raw.redirect_host,
        scopes: raw.scopes,
        loopback_http: raw.loopback_http_for_tests,
        names,
    })
}

fn is_loopback_http(issuer: &str) -> bool {
    let Ok(uri) = issuer.parse::<http::Uri>() else { return false };
    let host = uri.host().and_then(|h| h.parse::<std::net::IpAddr>().ok());
    uri.scheme_str() == Some("http") && host.is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::{Config, starter};

    fn with(signin: &str) -> String {
        format!("{}\n{signin}", starter("dublin-1"))
    }

    const GOOD: &str = "[signin]\nissuer = \"https://id.example\"\nclient_id = \"clover\"\nca_file = \"tls/id.pem\"\n\
                        redirect_host = \"localhost:8447\"\n";

    #[test]
    fn a_provider_is_asked_over_tls_with_roots_that_the_operator_names() {
        assert!(Config::parse(&with(GOOD)).unwrap().console.unwrap().signin.is_some());
        for (from, to, key) in [
            ("https://id.example", "http://id.example", "signin.issuer"),
            ("https://id.example", "http://127.0.0.1:1", "signin.issuer"),
            ("ca_file = \"tls/id.pem\"\n", "", "signin.ca_file"),
            ("localhost:8447", "a@localhost", "signin.redirect_host"),
            ("\"clover\"", "\"\"", "signin.client_id"),
        ] {
            let problems = Config::parse(&with(&GOOD.replace(from, to))).unwrap_err().to_string();
            assert!(problems.contains(key), "{problems}");
        }
        let local = GOOD
            .replace("https://id.example", "http://127.0.0.1:1")
            .replace("ca_file = \"tls/id.pem\"\n", "");
        assert!(Config::parse(&with(&format!("{local}loopback_http_for_tests = true\n"))).is_ok());
        let beyond = local.replace("127.0.0.1:1", "192.0.2.1:1");
        assert!(Config::parse(&with(&format!("{beyond}loopback_http_for_tests = true\n"))).is_err());
    }

    #[test]
    fn a_session_lasts_twelve_hours_at_most() {
        let hours =
            |n: u32| starter("dublin-1").replace("session_hours = 8", &format!("session_hours = {n}"));
        assert!(Config::parse(&hours(12)).is_ok());
        assert!(Config::parse(&hours(13)).is_err() && Config::parse(&hours(0)).is_err());
    }
}
