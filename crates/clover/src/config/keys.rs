//! The key service: where the region's key lies, and how long opened keys serve.

use std::path::PathBuf;
use std::time::Duration;

use model::Problems;

/// Longest lease of an opened key: what was erased elsewhere ends with it.
const LEASE_MAX: u64 = 3600;

#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKeys {
    #[serde(default)]
    service: RawService,
    lease_seconds: Option<u64>,
    passphrase_file: Option<PathBuf>,
    pkcs11: Option<RawPkcs11>,
    openbao: Option<RawOpenBao>,
}

#[derive(serde::Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum RawService {
    #[default]
    File,
    Pkcs11,
    OpenBao,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPkcs11 {
    module: PathBuf,
    token: String,
    #[serde(default = "key")]
    key: String,
    pin_file: Option<PathBuf>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOpenBao {
    address: String,
    #[serde(default = "mount")]
    mount: String,
    #[serde(default = "key")]
    key: String,
    token_file: Option<PathBuf>,
    ca_file: PathBuf,
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
}

fn key() -> String {
    "clover-region".to_owned()
}
fn mount() -> String {
    "transit".to_owned()
}
fn timeout_ms() -> u64 {
    2_000
}

/// The key service of an enclave. Paths are relative to its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// For how long a person's opened key serves.
    pub lease: Duration,
    /// Where the region's key lies.
    pub service: Service,
}

/// Where a region's key lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// In a file that a passphrase opens.
    File {
        /// The file with the passphrase; `None` for the system's credential, or what lies beside the key.
        passphrase_file: Option<PathBuf>,
    },
    /// In a token.
    Pkcs11 {
        /// The library of its maker.
        module: PathBuf,
        /// Its label.
        token: String,
        /// The label of the key.
        key: String,
        /// The file with the PIN; `None` for the system's credential.
        pin_file: Option<PathBuf>,
    },
    /// In OpenBao.
    OpenBao {
        /// `https://host:port`.
        address: String,
        /// Where the transit engine is mounted.
        mount: String,
        /// The name of the key.
        key: String,
        /// The file with the token; `None` for the system's credential.
        token_file: Option<PathBuf>,
        /// Whom to trust.
        ca_file: PathBuf,
        /// Longest wait for an answer.
        timeout: Duration,
    },
}

pub(super) fn check(raw: RawKeys, p: &mut Problems) -> Option<Keys> {
    let lease = raw.lease_seconds.unwrap_or(60);
    if lease > LEASE_MAX {
        p.add("enclave.toml: keys.lease_seconds", "opened keys would serve for too long", "use 0 to 3600");
    }
    let tables = [
        (RawService::Pkcs11, raw.pkcs11.is_some(), "pkcs11"),
        (RawService::OpenBao, raw.openbao.is_some(), "openbao"),
    ];
    for (service, given, name) in tables {
        match (raw.service == service, given) {
            (true, false) => {
                p.add("enclave.toml: keys.service", "nothing says where it is", format!("add [keys.{name}]"))
            }
            (false, true) => p.add(
                format!("enclave.toml: keys.{name}"),
                "the key does not lie there",
                format!("write service = \"{name}\", or remove the table"),
            ),
            _ => {}
        }
    }
    if raw.service != RawService::File && raw.passphrase_file.is_some() {
        p.add("enclave.toml: keys.passphrase_file", "only a sealed file has a passphrase", "remove it");
    }
    let service = match raw.service {
        RawService::File => Some(Service::File { passphrase_file: raw.passphrase_file }),
        RawService::Pkcs11 => raw.pkcs11.map(|t| token(t, p)),
        RawService::OpenBao => raw.openbao.map(|t| transit(t, p)),
    };
    service.map(|service| Keys { lease: Duration::from_secs(lease), service })
}

fn token(raw: RawPkcs11, p: &mut Problems) -> Service {
    let labels = [("token", &raw.token), ("key", &raw.key)];
    for (name, _) in labels.iter().filter(|(_, label)| label.is_empty() || label.len() > 32) {
        p.add(
            format!("enclave.toml: keys.pkcs11.{name}"),
            "no label has this length",
            "use 1 to 32 characters",
        );
    }
    if !raw.module.is_absolute() {
        let fix = "name the library of the token's maker by its whole path";
        p.add("enclave.toml: keys.pkcs11.module", "the system would look for it in many places", fix);
    }
    Service::Pkcs11 { module: raw.module, token: raw.token, key: raw.key, pin_file: raw.pin_file }
}

fn transit(raw: RawOpenBao, p: &mut Problems) -> Service {
    if !raw.address.starts_with("https://") {
        let fix = "use https://host:port";
        p.add("enclave.toml: keys.openbao.address", "keys would be sent in the clear", fix);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    for (name, word, more) in [("mount", &raw.mount, "/"), ("key", &raw.key, "")] {
        if word.is_empty() || !word.chars().all(|c| plain(c) || more.contains(c)) {
            let fix = "use letters, digits, `-`, `_`, `.`";
            p.add(format!("enclave.toml: keys.openbao.{name}"), "it becomes part of a path", fix);
        }
    }
    if !(100..=60_000).contains(&raw.timeout_ms) {
        p.add("enclave.toml: keys.openbao.timeout_ms", "no such wait is of use", "use 100 to 60000");
    }
    Service::OpenBao {
        address: raw.address,
        mount: raw.mount,
        key: raw.key,
        token_file: raw.token_file,
        ca_file: raw.ca_file,
        timeout: Duration::from_millis(raw.timeout_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, starter};
    use super::*;

    #[test]
    fn a_key_service_is_described_where_it_is_named_and_nowhere_else() {
        let with = |keys: &str| {
            let plain = "service = \"file\"\nlease_seconds = 60\n";
            Config::parse(&starter("dublin-1").replace(plain, &format!("{keys}\n")))
                .map_err(|p| p.to_string())
        };
        let plain = Config::parse(&starter("dublin-1")).unwrap().keys;
        assert_eq!(plain.service, Service::File { passphrase_file: None });
        assert_eq!(plain.lease, Duration::from_secs(60));
        let hsm = "[keys.pkcs11]\nmodule = \"/usr/lib/softhsm/libsofthsm2.so\"\ntoken = \"clover\"";
        let bao = "[keys.openbao]\naddress = \"https://bao.example:8200\"\nca_file = \"bao.pem\"";
        let token = with(&format!("service = \"pkcs11\"\nlease_seconds = 0\n{hsm}")).unwrap().keys;
        assert!(matches!(token.service, Service::Pkcs11 { key, .. } if key == "clover-region"));
        assert_eq!(token.lease, Duration::ZERO);
        let transit = with(&format!("service = \"openbao\"\n{bao}")).unwrap().keys;
        assert!(matches!(transit.service, Service::OpenBao { mount, .. } if mount == "transit"));
        for (wrong, why) in [
            ("service = \"pkcs11\"".to_owned(), "nothing says where it is"),
            (hsm.to_owned(), "the key does not lie there"),
            (format!("service = \"openbao\"\npassphrase_file = \"p\"\n{bao}"), "only a sealed file"),
            (format!("service = \"openbao\"\n{}", bao.replace("https", "http")), "in the clear"),
            (format!("service = \"openbao\"\n{bao}\nkey = \"a/b\""), "part of a path"),
            (format!("service = \"openbao\"\n{bao}\ntimeout_ms = 1"), "no such wait"),
            (format!("service = \"openbao\"\n{bao}\ntoken = \"s.1\""), "unknown field"),
            (format!("service = \"pkcs11\"\n{}", hsm.replace("/usr/lib/softhsm/", "")), "many places"),
            ("lease_seconds = 3601".to_owned(), "too long"),
            ("passphrase = \"p\"".to_owned(), "unknown field"),
        ] {
            let said = with(&wrong).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }
}
