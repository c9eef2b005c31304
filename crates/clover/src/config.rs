//! `enclave.toml`: where things listen and how much they take. No rule stands here: those are in the rulebook.

mod people;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Name, Problems};

pub use people::{Console, Signin};

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The site, as the programme names it.
    pub site: Name,
    /// This gateway's name, a part of its log's origin.
    pub gateway: Name,
    /// The gateway's TLS listener.
    pub listen: SocketAddr,
    /// A listener in the clear, loopback only.
    pub cleartext: Option<SocketAddr>,
    /// The names under which callers ask the gateway; its own addresses are added.
    pub hosts: Vec<String>,
    /// Status and metrics; loopback only.
    pub control: SocketAddr,
    /// Threads that serve requests.
    pub workers: usize,
    /// Most connections.
    pub connections_max: usize,
    /// Longest wait for a request's head.
    pub head_timeout: Duration,
    /// Longest wait for a service behind.
    pub upstream_timeout: Duration,
    /// How often the public tree is published.
    pub publish_every: Duration,
    /// Where the site's logs are offered to auditors and anyone else; loopback only.
    pub logs: SocketAddr,
    /// Bytes of released payloads that are held for the auditor's samples.
    pub samples_bytes: usize,
    /// Where a local mirror listens that `clover serve` starts; `None` when others witness.
    pub mirror: Option<SocketAddr>,
    /// What people use in a browser; `None` when nobody signs in here.
    pub console: Option<Console>,
    /// A table of the countries of networks (MaxMind's format), for addresses that the programme does not declare.
    pub mmdb: Option<PathBuf>,
    /// Services inside, by the names that lanes use.
    pub upstreams: BTreeMap<String, SocketAddr>,
    /// Destinations outside, by the names that lanes use: address and certificate name.
    pub destinations: BTreeMap<String, (SocketAddr, String)>,
    /// Where traces are sent (OpenTelemetry over HTTP), if anywhere.
    pub traces: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    site: String,
    gateway: RawGateway,
    control: RawControl,
    #[serde(default)]
    ledger: RawLedger,
    site_logs: RawLogs,
    mirror: Option<RawMirror>,
    console: Option<people::RawConsole>,
    signin: Option<people::RawSignin>,
    #[serde(default)]
    location: people::RawLocation,
    #[serde(default)]
    upstreams: BTreeMap<String, String>,
    #[serde(default)]
    destinations: BTreeMap<String, RawDestination>,
    #[serde(default)]
    telemetry: RawTelemetry,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGateway {
    name: String,
    listen: String,
    cleartext_listen: Option<String>,
    #[serde(default = "hosts")]
    hosts: Vec<String>,
    #[serde(default = "workers")]
    workers: usize,
    #[serde(default = "connections_max")]
    connections_max: usize,
    #[serde(default = "head_timeout_ms")]
    head_timeout_ms: u64,
    #[serde(default = "upstream_timeout_ms")]
    upstream_timeout_ms: u64,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawControl {
    listen: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLedger {
    #[serde(default = "publish_every_ms")]
    publish_every_ms: u64,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLogs {
    listen: String,
    #[serde(default = "samples_bytes")]
    samples_bytes: usize,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMirror {
    listen: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDestination {
    address: String,
    name: String,
}

#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawTelemetry {
    otlp_endpoint: Option<String>,
}

impl Default for RawLedger {
    fn default() -> Self {
        Self { publish_every_ms: publish_every_ms() }
    }
}

/// The names on the certificate that `clover init` makes.
fn hosts() -> Vec<String> {
    ["localhost", "clover.local"].map(str::to_owned).into()
}
fn workers() -> usize {
    2
}
fn connections_max() -> usize {
    4096
}
fn head_timeout_ms() -> u64 {
    10_000
}
fn upstream_timeout_ms() -> u64 {
    10_000
}
fn publish_every_ms() -> u64 {
    250
}
fn samples_bytes() -> usize {
    64 << 20
}

/// What `clover init` writes. Ports are free to change.
#[must_use]
pub fn starter(site: &str) -> String {
    format!(
        "# Where this enclave listens and how much it takes. Rules stand in the rulebook.\n\
         site = \"{site}\"\n\n\
         [gateway]\n\
         name = \"gw-1\"\n\
         listen = \"127.0.0.1:8443\"\n\
         # cleartext_listen = \"127.0.0.1:8080\"   # loopback only; callers then need a token\n\
         hosts = {:?}\n\
         workers = {}\n\
         connections_max = {}\n\
         head_timeout_ms = {}\n\
         upstream_timeout_ms = {}\n\n\
         [control]\n\
         listen = \"127.0.0.1:8444\"\n\n\
         [ledger]\n\
         publish_every_ms = {}\n\n\
         [site_logs]\n\
         listen = \"127.0.0.1:8445\"\n\
         samples_bytes = {}\n\n\
         # A mirror on this machine proves nothing to anybody else. Remove it when trust/policy names others.\n\
         [mirror]\n\
         listen = \"127.0.0.1:8446\"\n\n\
         # What people use, over TLS: they sign in here, with local accounts or through [signin] (docs/signin.md).\n\
         [console]\n\
         listen = \"127.0.0.1:8447\"\n\
         hosts = {:?}\n\
         session_hours = 8\n\
         local_accounts = true\n\n\
         [upstreams]\n\
         video-service = \"127.0.0.1:7001\"\n\n\
         [destinations.us-safety-desk]\n\
         address = \"127.0.0.1:7002\"\n\
         name = \"us-safety-desk.example\"\n",
        hosts(),
        workers(),
        connections_max(),
        head_timeout_ms(),
        upstream_timeout_ms(),
        publish_every_ms(),
        samples_bytes(),
        hosts()
    )
}

const ADDRESS: &str = "use an address and a port, as 127.0.0.1:8443";

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string());
        match problems.keep(
            &path.display().to_string(),
            "run `clover init`, or name the right folder with --dir",
            text,
        ) {
            Some(text) => Self::parse(&text),
            None => Err(problems),
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut p = Problems::default();
        let raw: Result<Raw, _> = toml::from_str(text).map_err(|e| placed(&e, text));
        let Some(raw) = p.keep("enclave.toml", "compare with what `clover init` writes", raw) else {
            return Err(p);
        };
        let site = p.keep("enclave.toml: site", "name a site of the programme", Name::parse(&raw.site));
        let gateway =
            p.keep("enclave.toml: gateway.name", "choose another name", Name::parse(&raw.gateway.name));
        let listen =
            p.keep("enclave.toml: gateway.listen", ADDRESS, raw.gateway.listen.parse::<SocketAddr>());
        let control =
            p.keep("enclave.toml: control.listen", ADDRESS, raw.control.listen.parse::<SocketAddr>());
        let cleartext = raw.gateway.cleartext_listen.as_ref();
        let cleartext =
            cleartext.map(|t| p.keep("enclave.toml: gateway.cleartext_listen", ADDRESS, t.parse()));
        let logs = p.keep("enclave.toml: site_logs.listen", ADDRESS, raw.site_logs.listen.parse());
        let mirror = raw.mirror.as_ref();
        let mirror = mirror.map(|m| p.keep("enclave.toml: mirror.listen", ADDRESS, m.listen.parse()));
        for (key, local) in [
            ("gateway.cleartext_listen", cleartext.flatten()),
            ("control.listen", control),
            ("site_logs.listen", logs),
            ("mirror.listen", mirror.flatten()),
        ] {
            if local.is_some_and(|a: SocketAddr| !a.ip().is_loopback()) {
                p.add(format!("enclave.toml: {key}"), "not loopback, and not encrypted", "use 127.0.0.1");
            }
        }
        let console = people::check(raw.console, raw.signin, &mut p);
        let (upstreams, destinations) = services(raw.upstreams, raw.destinations, &mut p);
        for (key, n) in [("workers", raw.gateway.workers), ("connections_max", raw.gateway.connections_max)] {
            if n == 0 {
                p.add(format!("enclave.toml: gateway.{key}"), "nothing could be served", "use 1 or more");
            }
        }
        if gateway.as_ref().is_some_and(|g| ["site", "keys"].contains(&g.as_str())) {
            p.add("enclave.toml: gateway.name", "the site's own logs have this name", "choose another name");
        }
        let (Some(site), Some(gateway), Some(listen), Some(control), Some(logs)) =
            (site, gateway, listen, control, logs)
        else {
            return Err(p);
        };
        p.or(Self {
            site,
            gateway,
            listen,
            cleartext: cleartext.flatten(),
            hosts: raw.gateway.hosts,
            control,
            workers: raw.gateway.workers,
            connections_max: raw.gateway.connections_max,
            head_timeout: Duration::from_millis(raw.gateway.head_timeout_ms),
            upstream_timeout: Duration::from_millis(raw.gateway.upstream_timeout_ms),
            publish_every: Duration::from_millis(raw.ledger.publish_every_ms.max(10)),
            logs,
            samples_bytes: raw.site_logs.samples_bytes,
            mirror: mirror.flatten(),
            console,
            mmdb: raw.location.mmdb_file,
            upstreams,
            destinations,
            traces: raw.telemetry.otlp_endpoint,
        })
    }
}

/// Services inside, and destinations outside with the names on their certificates.
type Services = (BTreeMap<String, SocketAddr>, BTreeMap<String, (SocketAddr, String)>);

fn services(
    inside: BTreeMap<String, String>,
    outside: BTreeMap<String, RawDestination>,
    p: &mut Problems,
) -> Services {
    let (mut upstreams, mut destinations) = (BTreeMap::new(), BTreeMap::new());
    for (name, text) in inside {
        if let Some(a) = p.keep(&format!("enclave.toml: upstreams.{name}"), ADDRESS, text.parse()) {
            upstreams.insert(name, a);
        }
    }
    for (name, d) in outside {
        if let Some(a) = p.keep(&format!("enclave.toml: destinations.{name}"), ADDRESS, d.address.parse()) {
            destinations.insert(name, (a, d.name));
        }
    }
    (upstreams, destinations)
}

/// What is wrong, in one line with its place.
fn placed(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|s| text.get(..s.start));
    let line = before.map_or(1, |t| t.matches('\n').count() + 1);
    format!("line {line}: {}", error.message().replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_init_writes_is_a_valid_configuration() {
        let config = Config::parse(&starter("dublin-1")).unwrap();
        assert_eq!(config.listen.port(), 8443);
        assert!(config.cleartext.is_none());
    }

    #[test]
    fn every_problem_is_told_at_once_and_unknown_keys_are_errors() {
        let bad =
            starter("dublin-1").replace("127.0.0.1:8443", "here").replace("127.0.0.1:8444", "0.0.0.0:1");
        let problems = Config::parse(&bad).unwrap_err();
        assert_eq!(problems.list().len(), 2, "{problems}");
        assert!(Config::parse(&format!("{}\n[gatway]\n", starter("x"))).is_err());
    }
}
