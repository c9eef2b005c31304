//! Buckets of an S3-compatible store: files are loaded from them, and copies that lie in them are swept.

use std::io::{self, Cursor, Read};
use std::path::PathBuf;

use vault::keys::SecretFile;
use vault::media::{self, MediaError, Object, S3};

use crate::database::trusting;

/// Bytes that are asked for at a time.
const PART: usize = 8 << 20;

/// A bucket and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Who has it, as `https://host:port`.
    pub endpoint: String,
    /// Its name.
    pub name: String,
    /// Its region, as the store calls it.
    #[serde(default = "region")]
    pub region: String,
    /// A file with the name of the key that signs.
    pub access_key_file: PathBuf,
    /// A file with that key.
    pub secret_key_file: PathBuf,
    /// A file with the certificates to trust, as PEM.
    pub roots: PathBuf,
}

/// What a store calls its region where it has none.
fn region() -> String {
    "us-east-1".to_owned()
}

impl Bucket {
    /// What it is called in reports.
    pub(crate) fn called(&self) -> String {
        media::called(&self.endpoint, &self.name)
    }

    /// The bucket, to read.
    pub(crate) fn open(&self) -> Result<media::Bucket, String> {
        let secret = |what, path: &PathBuf| SecretFile { what, path: path.clone() };
        let settings = S3 {
            endpoint: self.endpoint.clone(),
            bucket: self.name.clone(),
            region: self.region.clone(),
            access_key: secret("access key", &self.access_key_file),
            secret_key: secret("secret key", &self.secret_key_file),
            tls: trusting(&self.roots)?,
        };
        media::Bucket::open(&settings).map_err(|e| words(&e))
    }

    /// The name of an object in it that has this place in a report.
    pub(crate) fn name_of<'p>(&self, place: &'p str) -> Option<&'p str> {
        place.strip_prefix(&self.called())?.strip_prefix('/')
    }

    /// Whether there is an object of this name.
    pub(crate) fn has(&self, name: &str) -> Result<bool, String> {
        self.open()?.object(name).map(|object| object.is_some()).map_err(|e| words(&e))
    }
}

/// An error with what stands behind it.
pub(crate) fn words(error: &MediaError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

/// An object, read part by part. It ends with an error when another is written in its place meanwhile.
pub(crate) struct Parts {
    bucket: media::Bucket,
    object: Object,
    at: u64,
    held: Cursor<Vec<u8>>,
}

impl Parts {
    pub(crate) fn new(bucket: media::Bucket, object: Object) -> Self {
        Self { bucket, object, at: 0, held: Cursor::default() }
    }
}

impl Read for Parts {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.held.read(into)?;
        if n > 0 || into.is_empty() || self.at >= self.object.length {
            return Ok(n);
        }
        let part = self.bucket.part(&self.object, self.at, PART).map_err(|e| io::Error::other(words(&e)))?;
        if part.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += part.len() as u64;
        self.held = Cursor::new(part);
        self.held.read(into)
    }
}
