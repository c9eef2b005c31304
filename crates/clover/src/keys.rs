//! The key service of an enclave, as its configuration says, and where the secret lies that opens it.
//!
//! A secret is read from a file, or from a credential that systemd gives to the service; never from an argument or a
//! variable.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use console::api::Rewrap;
use gateway::Enclave;
use model::Name;
use tokio::sync::watch;
use vault::keys::rewrap::{self, Older, Rewrapped};
use vault::keys::sealed::{Cost, make_passphrase};
use vault::keys::{self, KeyError, RegionKeys, Sealed, SecretFile, Terms, Token, Transit, token, transit};
use vault::{KeyService, Records};

use crate::authority;
use crate::config::{Config, Service};
use crate::layout::Layout;

/// How often a running enclave looks whether a rewrap is asked for.
const LOOK: Duration = Duration::from_millis(500);
/// The names of systemd credentials.
const PASSPHRASE: &str = "clover-region";
const PIN: &str = "clover-pin";
const TOKEN: &str = "clover-token";

/// What every status says of a passphrase that lies beside the key.
pub const BESIDE: &str = "the passphrase lies beside the key";

/// A credential that systemd gives to this process (`LoadCredential=`).
fn credential(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY")?;
    Some(Path::new(&folder).join(name)).filter(|path| path.exists())
}

/// The file that is configured, or the credential.
fn secret(layout: &Layout, file: Option<&PathBuf>, what: &'static str, name: &str) -> Option<SecretFile> {
    let path = file.map(|file| layout.file(file)).or_else(|| credential(name))?;
    Some(SecretFile { what, path })
}

/// As [`secret`], where there must be one.
fn demanded(layout: &Layout, file: Option<&PathBuf>, what: &'static str, name: &str) -> SecretFile {
    // Without one the credential's own name is told as what is missing.
    secret(layout, file, what, name).unwrap_or_else(|| SecretFile { what, path: name.into() })
}

/// The passphrase of a sealed file, and whether it lies beside the key.
fn passphrase(layout: &Layout, file: Option<&PathBuf>) -> (SecretFile, bool) {
    match secret(layout, file, "passphrase", PASSPHRASE) {
        Some(secret) => (secret, false),
        None => (keys::beside(&layout.keys()), true),
    }
}

fn token_of(layout: &Layout, service: &Service) -> Option<token::Settings> {
    let Service::Pkcs11 { module, token, key, pin_file } = service else { return None };
    let pin = demanded(layout, pin_file.as_ref(), "PIN", PIN);
    Some(token::Settings { module: module.clone(), token: token.clone(), key: key.clone(), pin })
}

fn transit_of(layout: &Layout, service: &Service) -> Result<Option<transit::Settings>> {
    let Service::OpenBao { address, mount, key, token_file, ca_file, timeout } = service else {
        return Ok(None);
    };
    Ok(Some(transit::Settings {
        address: address.clone(),
        mount: mount.clone(),
        key: key.clone(),
        token: demanded(layout, token_file.as_ref(), "token", TOKEN),
        tls: authority::client_config(&layout.file(ca_file), None)?,
        timeout: *timeout,
    }))
}

/// Makes the region's key where the configuration says, and the root secret under it.
///
/// # Errors
/// When there is one already, or the service refuses.
pub fn create(layout: &Layout, config: &Config) -> Result<()> {
    match &config.keys.service {
        Service::File { passphrase_file } => match passphrase(layout, passphrase_file.as_ref()) {
            (beside, true) => {
                make_passphrase(&beside.path)?;
                Sealed::create(&layout.keys(), &beside, Cost::RANDOM)?;
            }
            (secret, false) => Sealed::create(&layout.keys(), &secret, Cost::PERSON)?,
        },
        service => {
            if let Some(settings) = token_of(layout, service) {
                Token::create(&settings)?;
            } else if let Some(settings) = transit_of(layout, service)? {
                Transit::create(&settings)?;
            }
        }
    }
    Ok(KeyService::create_with(service(layout, config)?.as_ref(), &layout.keys())?)
}

/// The key service of an enclave.
///
/// # Errors
/// When it does not answer, or its secret is wrong.
pub fn service(layout: &Layout, config: &Config) -> Result<Arc<dyn RegionKeys>> {
    let service = &config.keys.service;
    if let Some(settings) = token_of(layout, service) {
        return Ok(Arc::new(Token::open(settings)?));
    }
    if let Some(settings) = transit_of(layout, service)? {
        return Ok(Arc::new(Transit::open(&settings)?));
    }
    Ok(Arc::new(sealed(layout, config)?))
}

/// The sealed file of an enclave.
///
/// # Errors
/// When it does not open.
pub fn sealed(layout: &Layout, config: &Config) -> Result<Sealed, KeyError> {
    let file = match &config.keys.service {
        Service::File { passphrase_file } => passphrase_file.as_ref(),
        _ => None,
    };
    Sealed::open(&layout.keys(), passphrase(layout, file).0)
}

/// Opens the keys of an enclave.
///
/// # Errors
/// When the service does not open the root secret.
pub fn open(layout: &Layout, config: &Config, programme: &Name) -> Result<KeyService> {
    let terms = Terms { lease: config.keys.lease, ..Terms::default() };
    let service = service(layout, config)?;
    Ok(KeyService::open_with(service, &layout.keys(), programme.as_str(), terms, keys::clock())?)
}

/// As [`open`], for commands that have not read the configuration.
///
/// # Errors
/// As there.
pub fn load(layout: &Layout, programme: &Name) -> Result<KeyService> {
    open(layout, &Config::load(&layout.config())?, programme)
}

/// What a status says of how the key is kept, if there is something to say.
#[must_use]
pub fn remark(layout: &Layout, config: &Config) -> Option<&'static str> {
    match &config.keys.service {
        Service::File { passphrase_file } => passphrase(layout, passphrase_file.as_ref()).1.then_some(BESIDE),
        _ => None,
    }
}

/// Ends a rotation that was begun and did not end, before anybody is served.
///
/// # Errors
/// When store or service refuse.
pub fn go_on(layout: &Layout, records: &Records, keys: &KeyService) -> Result<()> {
    if !rewrap::is_due(&layout.keys()) {
        return Ok(());
    }
    tracing::info!(people = records.count(), "a rotation of the region's key did not end: going on with it");
    // Nobody is on the way in here yet; whether others share the store is what counts.
    let done = rewrap::run(records, keys, Older::IfSettled, |_| {})?;
    put_down(&done);
    Ok(())
}

/// Puts into the log what came of a rewrap.
fn put_down(done: &Rewrapped) {
    let (version, people, broken) = (done.version.number(), done.people, done.broken);
    tracing::info!(version, people, "keys were wrapped anew");
    if broken > 0 {
        tracing::warn!(broken, "keys of people do not open, so no version of the region's key is destroyed");
    }
}

/// How far a running enclave is with a rewrap; nothing if none was asked for.
pub type Rewrapping = Arc<Mutex<Option<Rewrap>>>;

/// What a running enclave shows of its key, and how far a rewrap is, which it takes up from now on.
#[must_use]
pub fn shown(
    layout: &Layout,
    config: &Config,
    enclave: &Arc<Enclave>,
    stop: &watch::Receiver<bool>,
) -> (Option<&'static str>, Rewrapping) {
    let rewrapping = Rewrapping::default();
    tokio::spawn(follow(Arc::clone(enclave), layout.keys(), Arc::clone(&rewrapping), stop.clone()));
    (remark(layout, config), rewrapping)
}

/// Takes up a rewrap that is asked for while the enclave serves, until it is told to stop. Older versions are destroyed once
/// nobody is on the way into the store; where others share it, by `clover keys rewrap` while all are stopped.
async fn follow(enclave: Arc<Enclave>, folder: PathBuf, shown: Rewrapping, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.changed() => return,
        }
        if !rewrap::is_due(&folder) {
            continue;
        }
        let (enclave, shown) = (Arc::clone(&enclave), Arc::clone(&shown));
        if let Err(e) = tokio::task::spawn_blocking(move || round(&enclave, &shown)).await {
            tracing::error!(error = %e, "the thread that wraps keys anew panicked");
        }
    }
}

/// Wraps everything by the newest version, unless this was done.
fn round(enclave: &Enclave, shown: &Mutex<Option<Rewrap>>) {
    let tell = |told: Rewrap| *shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    let told = shown.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default();
    let newest = match enclave.keys().service().versions() {
        Ok(versions) => versions.last().map_or(0, |version| version.number()),
        Err(e) => return tell(Rewrap { why: Some(e.to_string()), ..told }),
    };
    if told.done && told.version == newest && (told.broken > 0 || !enclave.records().is_settled()) {
        return tell(Rewrap { why: None, ..told });
    }
    let begun = Rewrap { version: newest, ..Rewrap::default() };
    let each = |looked| tell(Rewrap { looked, ..begun.clone() });
    match rewrap::run(enclave.records(), enclave.keys(), Older::IfSettled, each) {
        Ok(done) => {
            put_down(&done);
            let (version, broken) = (done.version.number(), done.broken);
            let looked = enclave.records().count();
            tell(Rewrap { version, looked, done: true, ended: done.ended, broken, why: None });
        }
        Err(e) => {
            tracing::error!(error = %e, "keys could not be wrapped anew; it will be tried again");
            tell(Rewrap { why: Some(e.to_string()), ..begun });
        }
    }
}
