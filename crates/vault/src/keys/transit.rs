//! The region's key in OpenBao's transit engine, over HTTPS: made there, not exportable, and asked for each use.
//!
//! Keys are wrapped with `aes256-gcm96` and associated data. Nobody is asked in the clear, not on this machine either.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use http::{Method, StatusCode};
use ledger::SecretKey;
use rustls::ClientConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

use self::client::{Answer, Client};
use super::KeyError;
use super::files::SecretFile;
use super::region::{RegionKeys, Version, Wrapped, bound};

mod client;

const SERVICE: &str = "openbao";
/// The kind of key that serves: AES-256-GCM with a nonce of 96 bits.
const KIND: &str = "aes256-gcm96";
/// Longest reason of the server that is passed on.
const WHY_MAX: usize = 200;

/// Where the transit engine is, and how it is asked.
#[derive(Clone)]
pub struct Settings {
    /// `https://host:port`.
    pub address: String,
    /// Where the engine is mounted.
    pub mount: String,
    /// The name of the region's key there.
    pub key: String,
    /// The token that may use it.
    pub token: SecretFile,
    /// Whom to trust as the server.
    pub tls: Arc<ClientConfig>,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

/// A transit engine with the region's key.
pub struct Transit {
    client: Client,
    mount: String,
    key: String,
}

/// What the engine says of a key.
#[derive(Deserialize)]
struct Known {
    #[serde(rename = "type")]
    kind: String,
    exportable: bool,
    derived: bool,
    latest_version: u32,
    min_decryption_version: u32,
    keys: BTreeMap<u32, Value>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: String,
}

impl Drop for Decrypted {
    fn drop(&mut self) {
        self.plaintext.zeroize();
    }
}

impl Transit {
    /// Makes the region's key in an engine that has none of this name. Explicit, never a side effect.
    ///
    /// # Errors
    /// [`KeyError::Exists`] when it has one; others when the engine refuses or does not answer.
    pub fn create(settings: &Settings) -> Result<(), KeyError> {
        let transit = Self::reach(settings)?;
        if transit.ask(Method::GET, "keys", "", None)?.status != StatusCode::NOT_FOUND {
            return Err(KeyError::Exists(SERVICE));
        }
        let body = json!({ "type": KIND, "exportable": false, "allow_plaintext_backup": false });
        transit.done(Method::POST, "keys", "", &body)?;
        transit.known().map(|_| ())
    }

    /// Reaches the engine and checks that it has the region's key, and gives it to nobody.
    ///
    /// # Errors
    /// [`KeyError::Secret`] when the token is not good for it, [`KeyError::Down`] when nobody answers.
    pub fn open(settings: &Settings) -> Result<Self, KeyError> {
        let transit = Self::reach(settings)?;
        transit.known()?;
        Ok(transit)
    }

    fn reach(settings: &Settings) -> Result<Self, KeyError> {
        let client = Client::new(settings)?;
        Ok(Self { client, mount: settings.mount.clone(), key: settings.key.clone() })
    }

    /// Asks `<mount>/<what>/<key><behind>`. A token that does not serve, and a server that does not work, are errors.
    fn ask(
        &self,
        method: Method,
        what: &str,
        behind: &str,
        body: Option<&Value>,
    ) -> Result<Answer, KeyError> {
        let path = format!("/v1/{}/{what}/{}{behind}", self.mount, self.key);
        self.client.ask(method, &path, body)
    }

    /// Asks for something that must be done.
    fn done(&self, method: Method, what: &str, behind: &str, body: &Value) -> Result<Answer, KeyError> {
        let answer = self.ask(method, what, behind, Some(body))?;
        if answer.status.is_success() { Ok(answer) } else { Err(refused(&answer)) }
    }

    fn known(&self) -> Result<Known, KeyError> {
        let answer = self.ask(Method::GET, "keys", "", None)?;
        if !answer.status.is_success() {
            return Err(refused(&answer));
        }
        let known: Known = read(&answer)?;
        let why = if known.kind != KIND {
            "the key is of another kind than aes256-gcm96"
        } else if known.exportable {
            "the key can be exported: it must not leave the service"
        } else if known.derived {
            "the key is a derived one: contexts are bound as associated data"
        } else {
            return Ok(known);
        };
        Err(KeyError::Refused { service: SERVICE, why: why.to_owned() })
    }

    /// Why a ciphertext was not opened: the engine has one status for all reasons.
    fn why(&self, version: Version) -> KeyError {
        match self.known() {
            Ok(known)
                if known.keys.contains_key(&version.number())
                    && version.number() >= known.min_decryption_version =>
            {
                KeyError::Wrapped
            }
            Ok(_) => KeyError::Version(version.number()),
            Err(e) => e,
        }
    }
}

impl RegionKeys for Transit {
    fn service(&self) -> &'static str {
        SERVICE
    }

    fn waits(&self) -> bool {
        true
    }

    fn versions(&self) -> Result<Vec<Version>, KeyError> {
        let known = self.known()?;
        let first = known.min_decryption_version.max(1);
        let all: Vec<Version> =
            known.keys.range(first..=known.latest_version).filter_map(|(n, _)| Version::new(*n)).collect();
        if all.is_empty() { Err(unreadable()) } else { Ok(all) }
    }

    fn wrap(&self, context: &[u8], key: &SecretKey) -> Result<Vec<u8>, KeyError> {
        let plaintext = Zeroizing::new(BASE64.encode(key.bytes()));
        let body = json!({ "plaintext": *plaintext, "associated_data": BASE64.encode(&bound(context)) });
        let sealed: Encrypted = read(&self.done(Method::POST, "encrypt", "", &body)?)?;
        let parts = || {
            let (version, text) = sealed.ciphertext.strip_prefix("vault:v")?.split_once(':')?;
            let version = Version::new(version.parse().ok()?)?;
            Wrapped::write(version, &BASE64.decode(text.as_bytes()).ok()?)
        };
        parts().ok_or_else(unreadable)
    }

    fn open(&self, context: &[u8], wrapped: &[u8]) -> Result<SecretKey, KeyError> {
        let wrapped = Wrapped::read(wrapped)?;
        let ciphertext = format!("vault:v{}:{}", wrapped.version, BASE64.encode(&wrapped.body));
        let body = json!({ "ciphertext": ciphertext, "associated_data": BASE64.encode(&bound(context)) });
        let answer = self.ask(Method::POST, "decrypt", "", Some(&body))?;
        match answer.status {
            StatusCode::BAD_REQUEST => return Err(self.why(wrapped.version)),
            status if !status.is_success() => return Err(refused(&answer)),
            _ => {}
        }
        let opened: Decrypted = read(&answer)?;
        let key = Zeroizing::new(BASE64.decode(opened.plaintext.as_bytes()).map_err(|_| unreadable())?);
        key.as_slice().try_into().map(SecretKey::new).map_err(|_| KeyError::Wrapped)
    }

    fn rotate(&self) -> Result<Version, KeyError> {
        let before = self.known()?.latest_version;
        self.done(Method::POST, "keys", "/rotate", &json!({}))?;
        let after = self.known()?.latest_version;
        Version::new(after).filter(|_| after > before).ok_or_else(unreadable)
    }

    fn retire(&self, through: Version) -> Result<(), KeyError> {
        let known = self.known()?;
        let next = through.next().filter(|next| next.number() <= known.latest_version);
        let next = next.ok_or(KeyError::Newest(through.number()))?.number();
        // Refused first, and then destroyed: a crash in between leaves less behind and not more.
        let least = json!({ "min_decryption_version": next, "min_encryption_version": next });
        self.done(Method::POST, "keys", "/config", &least)?;
        self.done(Method::POST, "keys", "/trim", &json!({ "min_available_version": next }))?;
        Ok(())
    }
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, KeyError> {
    let envelope: Result<Envelope<T>, _> = serde_json::from_slice(&answer.body);
    envelope.map(|e| e.data).map_err(|_| unreadable())
}

fn unreadable() -> KeyError {
    KeyError::Refused { service: SERVICE, why: "its answer is not one of a transit engine".to_owned() }
}

/// What the server says, or its status.
fn refused(answer: &Answer) -> KeyError {
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let first = said.pointer("/errors/0").and_then(Value::as_str).filter(|why| !why.is_empty());
    let short =
        |why: &str| why.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(WHY_MAX).collect();
    let why = first.map_or_else(|| format!("status {}", answer.status.as_u16()), short);
    KeyError::Refused { service: SERVICE, why }
}
