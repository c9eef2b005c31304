//! People's records in an enclave, for a service that works inside the region.
//!
//! The service shows its certificate, names the use that the rulebook registers for it (`[[inside]]` in `lanes.toml`), and
//! reads and writes records under their versions. What it may do, the enclave decides; what it did stands on the ledger, a
//! sum each minute. The same over plain HTTP is described by `/v1/records/openapi.json`.
//!
//! ```no_run
//! # async fn example() -> Result<(), clover_client::Error> {
//! use clover_client::{By, Client, Expect, Settings};
//!
//! let settings = Settings::new("192.0.2.7:8443".parse().unwrap(), "clover.example", "account-records")
//!     .trusting("/etc/clover/ca.pem")?
//!     .showing("/etc/account-service/service.pem", "/etc/account-service/service.key")?;
//! let client = Client::new(settings)?;
//! for person in client.find(By::Email("ann@example.org")).await? {
//!     let Some(profile) = client.get(&person, "profile", "0000000000").await? else { continue };
//!     let mut changed = profile.record.clone();
//!     changed["bioDescription"] = "on leave".into();
//!     // Refused if somebody else was quicker.
//!     client.put(&person, "profile", "0000000000", Expect::Version(profile.version), &changed).await?;
//! }
//! # Ok(()) }
//! ```

mod connection;
mod error;
mod export;
mod media;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use http::{HeaderMap, Method, StatusCode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use connection::{Answer, Connection};
pub use error::Error;
pub use export::Export;
pub use media::{Medium, PART_MAX, Upload};

/// Where the enclave is, and who asks for what.
pub struct Settings {
    address: SocketAddr,
    from: Option<IpAddr>,
    host: String,
    used: String,
    roots: Vec<CertificateDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
    key: Option<PrivateKeyDer<'static>>,
    staleness: Option<u32>,
}

impl Settings {
    /// The gateway's address, its name on its certificate, and the name of the registered use.
    #[must_use]
    pub fn new(address: SocketAddr, host: &str, used: &str) -> Self {
        let (host, used) = (host.to_owned(), used.to_owned());
        Self {
            address,
            from: None,
            host,
            used,
            roots: Vec::new(),
            chain: Vec::new(),
            key: None,
            staleness: None,
        }
    }

    /// What is only read may be so many seconds old: a site near by may serve it. Without this, everything is as it stands.
    #[must_use]
    pub fn accepting_age(mut self, seconds: u32) -> Self {
        self.staleness = Some(seconds);
        self
    }

    /// From which of the machine's own addresses: by it the enclave tells the country.
    #[must_use]
    pub fn from_address(mut self, own: IpAddr) -> Self {
        self.from = Some(own);
        self
    }

    /// The authority of the enclave's certificate, a PEM file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn trusting(mut self, authority: impl AsRef<Path>) -> Result<Self, Error> {
        self.roots = certificates(authority.as_ref())?;
        Ok(self)
    }

    /// The service's own certificate and key, PEM files.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn showing(mut self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, Error> {
        self.chain = certificates(certificate.as_ref())?;
        self.key = Some(PrivateKeyDer::from_pem_file(key).map_err(|e| Error::File(e.to_string()))?);
        Ok(self)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all = CertificateDer::pem_file_iter(path).map_err(|e| Error::File(e.to_string()))?;
    all.collect::<Result<_, _>>().map_err(|e| Error::File(e.to_string()))
}

/// The handle of a person: a keyed pseudonym, which says nothing to others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subject(String);

impl Subject {
    /// A handle that the enclave gave before. Whether anybody has it, the enclave says.
    #[must_use]
    pub fn new(handle: impl Into<String>) -> Self {
        Self(handle.into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A record.
#[derive(Clone, PartialEq)]
pub struct Record {
    /// Counts its changes, from 1.
    pub version: u64,
    /// A JSON object.
    pub record: Value,
    /// How many seconds old this may be, if a site near by served it.
    pub age: Option<u64>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Record(version {})", self.version)
    }
}

/// A record with its place, as lists and exports have it.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// In which collection.
    pub collection: String,
    /// Under which id.
    pub id: String,
    /// Counts its changes, from 1.
    pub version: u64,
    /// When it was changed last, RFC 3339.
    pub changed: String,
    /// A JSON object.
    pub record: Value,
}

impl std::fmt::Debug for Listed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listed({}/{}, version {})", self.collection, self.id, self.version)
    }
}

/// What must be there for a record to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No record.
    New,
    /// The record of this version.
    Version(u64),
    /// Either.
    Any,
}

/// One record of several that are written together.
#[derive(Clone)]
pub struct Write {
    /// In which collection.
    pub collection: String,
    /// Under which id: 1 to 64 letters, digits, `.`, `_`, `~` and `-`. It stands in paths, so it says nothing about anybody.
    pub id: String,
    /// Under which condition.
    pub expect: Expect,
    /// The record; `None` removes it.
    pub record: Option<Map<String, Value>>,
}

/// By what people are found.
#[derive(Clone, Copy)]
pub enum By<'a> {
    /// An e-mail address.
    Email(&'a str),
    /// A telephone number.
    Phone(&'a str),
    /// A user name.
    UserName(&'a str),
}

/// By what it is known where somebody lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The account's region.
    Account,
    /// They said so.
    Declared,
    /// A document was seen.
    Document,
}

/// Somebody who comes to live in the enclave.
#[derive(Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NewPerson<'a> {
    /// Their user name, from which the handle is made.
    pub user_name: &'a str,
    /// Where they live, ISO 3166-1 alpha-2, in the region.
    pub home: &'a str,
    /// By what that is known.
    pub evidence: Evidence,
    /// By which they are found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<&'a str>,
    /// By which they are found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<&'a str>,
}

/// What is known of a person besides their records.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Where they live and lived, newest last.
    pub homes: Vec<Home>,
    /// Whether a legal hold is on them: then nothing of theirs can be removed.
    pub held: bool,
    /// When they came, RFC 3339.
    pub since: String,
    /// The entry of their coming on the ledger.
    pub entry: u64,
}

/// Where somebody lives from a moment on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Home {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// From when on, RFC 3339.
    pub from: String,
    /// By what it is known.
    pub evidence: Evidence,
}

/// One part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The records.
    pub records: Vec<Listed>,
    /// Behind what the next part begins, if there is one.
    pub next: Option<String>,
}

/// An enclave, for one registered use. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Client {
    connection: Connection,
}

impl Client {
    /// Makes a client. It connects when it is first used.
    ///
    /// # Errors
    /// When certificates or names cannot be used.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self { connection: Connection::new(settings)? })
    }

    /// One record.
    ///
    /// # Errors
    /// [`Error`]; nobody with that handle is [`Error::Undone`] as well.
    pub async fn get(&self, of: &Subject, collection: &str, id: &str) -> Result<Option<Record>, Error> {
        let answer =
            self.connection.ask(Method::GET, &place(collection, Some(id)), Some(of), &[], None).await?;
        if answer.status == StatusCode::NOT_FOUND && answer.missing() {
            return Ok(None);
        }
        let answer = answer.good()?;
        let version = answer.headers.get(http::header::ETAG).and_then(|v| v.to_str().ok());
        let version = version.and_then(|v| v.trim_matches('"').parse().ok()).ok_or(Error::Form)?;
        let age = text(&answer.headers, "age").and_then(|seconds| seconds.parse().ok());
        Ok(Some(Record { version, record: answer.json()?, age }))
    }

    /// Writes a record, durably. Returns its version.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is not as expected.
    pub async fn put(
        &self,
        of: &Subject,
        collection: &str,
        id: &str,
        expect: Expect,
        record: &Value,
    ) -> Result<u64, Error> {
        let place = place(collection, Some(id));
        let body = Some(record.to_string().into());
        let answer = self.connection.ask(Method::PUT, &place, Some(of), &condition(expect), body).await?;
        versions(answer)?.first().copied().ok_or(Error::Form)
    }

    /// Removes a record, durably.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is not as expected.
    pub async fn remove(
        &self,
        of: &Subject,
        collection: &str,
        id: &str,
        expect: Expect,
    ) -> Result<(), Error> {
        let place = place(collection, Some(id));
        let answer = self.connection.ask(Method::DELETE, &place, Some(of), &condition(expect), None).await?;
        versions(answer).map(|_| ())
    }

    /// Writes and removes at most 256 records of one person, durably, all or none. Returns their versions.
    ///
    /// # Errors
    /// [`Error::Conflict`] when one is not as expected; then nothing was done.
    pub async fn batch(&self, of: &Subject, writes: &[Write]) -> Result<Vec<u64>, Error> {
        let expect = |expect: Expect| match expect {
            Expect::New => json!("new"),
            Expect::Version(version) => json!({ "version": version }),
            Expect::Any => Value::Null,
        };
        let write = |w: &Write| json!({ "collection": w.collection, "id": w.id, "expect": expect(w.expect), "record": w.record });
        let body = json!({ "writes": writes.iter().map(write).collect::<Vec<_>>() });
        versions(
            self.connection
                .ask(Method::POST, "/v1/records", Some(of), &[], Some(body.to_string().into()))
                .await?,
        )
    }

    /// A part of a person's records of one collection, behind the record `after`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list(&self, of: &Subject, collection: &str, after: Option<&str>) -> Result<Page, Error> {
        self.page(of, &place(collection, None), after).await
    }

    /// Everything of a person that the use may see, part by part: what Art. 15 and 20 of the GDPR ask for.
    #[must_use]
    pub fn export<'c>(&'c self, of: &'c Subject) -> Export<'c> {
        Export::new(self, of)
    }

    async fn page(&self, of: &Subject, place: &str, after: Option<&str>) -> Result<Page, Error> {
        let headers: Vec<(&str, String)> = after.iter().map(|a| ("clover-after", (*a).to_owned())).collect();
        let answer = self.connection.ask(Method::GET, place, Some(of), &headers, None).await?.good()?;
        let next = text(&answer.headers, "clover-next");
        let lines = answer.body.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let records = lines.map(|line| serde_json::from_slice(line).map_err(|_| Error::Form));
        Ok(Page { records: records.collect::<Result<_, _>>()?, next })
    }

    /// The people who have a value.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn find(&self, by: By<'_>) -> Result<Vec<Subject>, Error> {
        #[derive(Deserialize)]
        struct Found {
            people: Vec<Subject>,
        }
        let body = match by {
            By::Email(value) => json!({ "email": value }),
            By::Phone(value) => json!({ "phone": value }),
            By::UserName(value) => json!({ "user-name": value }),
        };
        let answer =
            self.connection.ask(Method::POST, "/v1/records/find", None, &[], Some(body.to_string().into()));
        Ok(answer.await?.good()?.json::<Found>()?.people)
    }

    /// What is known of a person besides their records.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn person(&self, of: &Subject) -> Result<Person, Error> {
        let answer = self.connection.ask(Method::GET, "/v1/records/person", Some(of), &[], None);
        answer.await?.good()?.json()
    }

    /// Brings somebody in, once that is on the ledger. Returns their handle.
    ///
    /// # Errors
    /// [`Error::Conflict`] when they are here already.
    pub async fn admit(&self, person: &NewPerson<'_>) -> Result<Subject, Error> {
        #[derive(Deserialize)]
        struct Admitted {
            subject: Subject,
        }
        let body = serde_json::to_string(person).map_err(|_| Error::Form)?;
        let answer = self.connection.ask(Method::PUT, "/v1/records/person", None, &[], Some(body.into()));
        Ok(answer.await?.good()?.json::<Admitted>()?.subject)
    }
}

fn place(collection: &str, id: Option<&str>) -> String {
    id.map_or_else(
        || format!("/v1/records/in/{collection}"),
        |id| format!("/v1/records/in/{collection}/{id}"),
    )
}

fn condition(expect: Expect) -> Vec<(&'static str, String)> {
    match expect {
        Expect::Any => Vec::new(),
        Expect::New => vec![("if-none-match", "*".to_owned())],
        Expect::Version(version) => vec![("if-match", format!("\"{version}\""))],
    }
}

fn versions(answer: Answer) -> Result<Vec<u64>, Error> {
    #[derive(Deserialize)]
    struct Written {
        versions: Vec<u64>,
    }
    Ok(answer.good()?.json::<Written>()?.versions)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
