//! The mirror's configuration file.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::ServerConfig;
use serde::Deserialize;

use super::site::is_ours;
use crate::{
    cosign::{KeyKind, SeedError, SigningKey},
    note::{KeyError, VerifierKey},
    tls,
};

/// No configuration comes near it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the mirror follows, and with which keys it signs.
#[derive(Debug)]
pub struct MirrorConfig {
    pub(crate) listen: SocketAddr,
    /// It answers over TLS.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Networks are safe by other means.
    pub(crate) cleartext: bool,
    pub(crate) folder: PathBuf,
    pub(crate) mirror: Option<SigningKey>,
    pub(crate) witness: Option<SigningKey>,
    pub(crate) sites: Vec<SiteConfig>,
    /// Keys of strangers' logs, which are witnessed and not mirrored.
    pub(crate) strangers: Vec<VerifierKey>,
}

/// A site to follow.
#[derive(Debug)]
pub(crate) struct SiteConfig {
    /// Its folder within the mirror's; none if it is the only site.
    pub(crate) name: Option<String>,
    pub(crate) base: String,
    pub(crate) certificates: Option<PathBuf>,
    pub(crate) key: VerifierKey,
    pub(crate) operator: VerifierKey,
    pub(crate) auditor: VerifierKey,
    pub(crate) map_check: bool,
}

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read `{}`", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// Not the TOML that it should be.
    #[error("cannot understand the configuration: {0}")]
    Form(String),
    /// A verifier key is not good.
    #[error("cannot use the key in `{}`", .0.display())]
    Key(PathBuf, #[source] KeyError),
    /// A seed is not good.
    #[error("cannot use the seed in `{}`", .0.display())]
    Seed(PathBuf, #[source] SeedError),
    /// Others could read along.
    #[error(
        "`{0}` is not a loopback address: add `[tls]`, or say `cleartext = true` if the network is safe by other means"
    )]
    Cleartext(SocketAddr),
    /// No certificate can be shown.
    #[error("cannot use the certificate `{}` and its key: {}", .0.display(), .1)]
    Certificate(PathBuf, String),
    /// What is there does not fit together.
    #[error("{0}")]
    Contradiction(&'static str),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    listen: SocketAddr,
    #[serde(default)]
    cleartext: bool,
    tls: Option<RawTls>,
    folder: PathBuf,
    keys: RawKeys,
    #[serde(default)]
    site: Vec<RawSite>,
    #[serde(default)]
    log: Vec<RawLog>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    certificate_file: PathBuf,
    key_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKeys {
    mirror: Option<RawKey>,
    witness: Option<RawKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    seed: PathBuf,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSite {
    name: Option<String>,
    base: String,
    ca_file: Option<PathBuf>,
    site_vkey: PathBuf,
    operator_vkey: PathBuf,
    auditor_vkey: PathBuf,
    #[serde(default = "yes")]
    map_check: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    vkey: PathBuf,
}

fn yes() -> bool {
    true
}

impl MirrorConfig {
    /// Reads the file and all keys that it names. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// If a file cannot be read, or what it says cannot be.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let raw: Raw = toml::from_str(&text).map_err(|error| ConfigError::Form(error.to_string()))?;
        let at = path.parent().unwrap_or(Path::new(""));
        if !raw.listen.ip().is_loopback() && !raw.cleartext && raw.tls.is_none() {
            return Err(ConfigError::Cleartext(raw.listen));
        }
        let tls = raw.tls.map(|tls| shown(at, &tls)).transpose()?;
        let mirror = raw.keys.mirror.map(|key| signer(at, &key)).transpose()?;
        let witness = raw.keys.witness.map(|key| signer(at, &key)).transpose()?;
        let sites = raw.site.into_iter().map(|site| site_config(at, site)).collect::<Result<Vec<_>, _>>()?;
        let strangers: Vec<VerifierKey> =
            raw.log.iter().map(|log| key(at, &log.vkey)).collect::<Result<_, _>>()?;
        let (listen, cleartext, folder) = (raw.listen, raw.cleartext, at.join(raw.folder));
        let config = Self { listen, tls, cleartext, folder, mirror, witness, sites, strangers };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |what| Err(ConfigError::Contradiction(what));
        if self.sites.is_empty() && self.strangers.is_empty() {
            return wrong("there is neither a `[[site]]` to follow nor a `[[log]]` to witness");
        }
        if !self.sites.is_empty() && self.mirror.is_none() {
            return wrong("`[[site]]` needs the key `keys.mirror`");
        }
        if !self.strangers.is_empty() && self.witness.is_none() {
            return wrong("`[[log]]` needs the key `keys.witness`");
        }
        if let (Some(mirror), Some(witness)) = (&self.mirror, &self.witness)
            && (mirror.same_key(witness) || mirror.name() == witness.name())
        {
            return wrong(
                "mirror and witness need two keys and two names: their cosignatures mean two things",
            );
        }
        let mut names: Vec<_> = self.sites.iter().map(|site| site.name.as_deref()).collect();
        names.sort_unstable();
        if names.len() > 1 && (names.contains(&None) || !names.is_sorted_by(|left, right| left < right)) {
            return wrong("several sites need a `name` each, and no two the same");
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if names.iter().flatten().any(|name| name.is_empty() || !name.chars().all(plain) || is_ours(name)) {
            return wrong("the `name` of a site has other characters than a-z, 0-9 and `-`, or is reserved");
        }
        let mut origins: Vec<_> = self.sites.iter().map(|site| site.key.name()).collect();
        origins.extend(self.strangers.iter().map(VerifierKey::name));
        origins.sort_unstable();
        if !origins.is_sorted_by(|left, right| left < right) {
            return wrong("a log stands in the configuration twice");
        }
        if self.sites.iter().any(|site| site.operator.same_key(&site.auditor)) {
            return wrong("the operator's key and the auditor's key are the same");
        }
        Ok(())
    }
}

fn shown(at: &Path, raw: &RawTls) -> Result<Arc<ServerConfig>, ConfigError> {
    let (certificate, key) = (at.join(&raw.certificate_file), at.join(&raw.key_file));
    tls::server(&certificate, &key).map_err(|why| ConfigError::Certificate(certificate, why))
}

fn site_config(at: &Path, raw: RawSite) -> Result<SiteConfig, ConfigError> {
    Ok(SiteConfig {
        name: raw.name,
        base: raw.base,
        certificates: raw.ca_file.map(|path| at.join(path)),
        key: key(at, &raw.site_vkey)?,
        operator: key(at, &raw.operator_vkey)?,
        auditor: key(at, &raw.auditor_vkey)?,
        map_check: raw.map_check,
    })
}

fn signer(at: &Path, raw: &RawKey) -> Result<SigningKey, ConfigError> {
    let path = at.join(&raw.seed);
    SigningKey::read(&raw.name, KeyKind::Cosigner, &path).map_err(|error| ConfigError::Seed(path, error))
}

fn key(at: &Path, path: &Path) -> Result<VerifierKey, ConfigError> {
    let path = at.join(path);
    VerifierKey::parse(&read(&path)?).map_err(|error| ConfigError::Key(path, error))
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |error| ConfigError::Read(path.to_owned(), error);
    if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    fs::read_to_string(path).map_err(failed)
}
