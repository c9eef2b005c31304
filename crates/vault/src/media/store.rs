//! Where objects lie: files of this machine, or an S3-compatible store. A thread of its own speaks, since whoever asks may
//! have no runtime.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use futures_util::StreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Place;
use object_store::{
    BackoffConfig, Error, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig,
};
use rustls::ClientConfig;
use tokio::runtime::{Builder, Runtime};

use super::MediaError;
use super::http::Https;
use crate::keys::SecretFile;

/// How long the store may take for one object, tries and all.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Objects that are listed at a time.
const LISTED: usize = 1_000;
/// How often it is tried again.
const RETRIES: usize = 3;

/// An S3-compatible store and how it is asked. Its address is https: nobody is asked in the clear.
#[derive(Clone)]
pub struct S3 {
    /// `https://host:port`.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// Its region, as the store calls it.
    pub region: String,
    /// The name of the key that signs.
    pub access_key: SecretFile,
    /// The key.
    pub secret_key: SecretFile,
    /// Whom to trust as the server.
    pub tls: Arc<ClientConfig>,
}

/// What a bucket is called in reports, whoever reads it: `s3://host:port/bucket`.
#[must_use]
pub fn called(endpoint: &str, bucket: &str) -> String {
    let host = endpoint.trim_start_matches("https://").trim_end_matches('/');
    format!("s3://{host}/{bucket}")
}

/// Media of people, in one store.
pub struct Media {
    store: Arc<dyn ObjectStore>,
    /// Given up without a wait when this is dropped, which may be on a thread of another runtime.
    runtime: Option<Runtime>,
}

impl Drop for Media {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Media {
    /// Files below a folder, which is made. What is written is flushed before it counts.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn local(folder: &Path) -> Result<Self, MediaError> {
        std::fs::create_dir_all(folder).map_err(|e| MediaError::Store(e.into()))?;
        let files = LocalFileSystem::new_with_prefix(folder).map_err(refused)?;
        Self::over(Arc::new(files.with_fsync(true).with_automatic_cleanup(true)))
    }

    /// A bucket.
    ///
    /// # Errors
    /// [`MediaError::Settings`] when it cannot be asked so; [`MediaError::Keys`] when its keys cannot be read.
    pub fn s3(s3: &S3) -> Result<Self, MediaError> {
        if !s3.endpoint.starts_with("https://") {
            return Err(MediaError::Settings("its address is not https://host:port".to_owned()));
        }
        let backoff = BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() };
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: TIMEOUT, backoff };
        let store = AmazonS3Builder::new()
            .with_endpoint(&s3.endpoint)
            .with_bucket_name(&s3.bucket)
            .with_region(&s3.region)
            .with_access_key_id(s3.access_key.read()?.as_str())
            .with_secret_access_key(s3.secret_key.read()?.as_str())
            .with_retry(retry)
            .with_http_connector(Https::new(Arc::clone(&s3.tls)));
        Self::over(Arc::new(store.build().map_err(|e| MediaError::Settings(e.to_string()))?))
    }

    fn over(store: Arc<dyn ObjectStore>) -> Result<Self, MediaError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("media").enable_all().build();
        Ok(Self { store, runtime: Some(runtime.map_err(|e| MediaError::Store(e.into()))?) })
    }

    fn wait<T: Send + 'static>(
        &self,
        run: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, MediaError> {
        let runtime = self.runtime.as_ref().ok_or(MediaError::Late)?;
        let (sender, receiver) = sync_channel(1);
        runtime.spawn(async move {
            let _ = sender.send(tokio::time::timeout(TIMEOUT, run).await);
        });
        // The thread keeps the time; it is waited for a little longer.
        match receiver.recv_timeout(TIMEOUT + Duration::from_millis(500)) {
            Ok(Ok(done)) => done.map_err(refused),
            Ok(Err(_)) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(MediaError::Late)
            }
        }
    }

    /// Writes an object where none is; says whether there was none.
    pub(super) fn create(&self, place: Place, bytes: Vec<u8>) -> Result<bool, MediaError> {
        let store = Arc::clone(&self.store);
        self.wait(async move {
            match store.put_opts(&place, PutPayload::from(bytes), PutMode::Create.into()).await {
                Ok(_) => Ok(true),
                Err(Error::AlreadyExists { .. }) => Ok(false),
                Err(e) => Err(e),
            }
        })
    }

    pub(super) fn length(&self, place: Place) -> Result<Option<u64>, MediaError> {
        let store = Arc::clone(&self.store);
        self.wait(async move { there(store.head(&place).await.map(|meta| meta.size)) })
    }

    /// An object of at most so many bytes.
    pub(super) fn read(&self, place: Place, most: usize) -> Result<Option<Vec<u8>>, MediaError> {
        let store = Arc::clone(&self.store);
        let read = self.wait(async move {
            let Some(object) = there(store.get(&place).await)? else { return Ok(None) };
            if usize::try_from(object.meta.size).map_or(true, |size| size > most) {
                return Ok(Some(Err(MediaError::Form)));
            }
            Ok(Some(Ok(object.bytes().await?.to_vec())))
        })?;
        read.transpose()
    }

    pub(super) fn delete_below(&self, folder: Place) -> Result<u64, MediaError> {
        let store = Arc::clone(&self.store);
        self.wait(async move {
            let mut all = store.list(Some(&folder));
            let mut deleted = 0;
            while let Some(object) = all.next().await {
                there(store.delete(&object?.location).await)?;
                deleted += 1;
            }
            Ok(deleted)
        })
    }
}

/// Objects of a bucket, whoever wrote them, to read.
pub struct Bucket(Media);

/// An object as it is at one moment.
#[derive(Debug, Clone)]
pub struct Object {
    place: Place,
    /// Its bytes.
    pub length: u64,
    /// How the store tells it from what may be written in its place.
    tag: Option<String>,
}

impl Bucket {
    /// A bucket.
    ///
    /// # Errors
    /// As [`Media::s3`].
    pub fn open(s3: &S3) -> Result<Self, MediaError> {
        Media::s3(s3).map(Self)
    }

    /// Names and lengths behind a name, in their order, some at a time; empty at the end.
    ///
    /// # Errors
    /// What the store says.
    pub fn list(&self, after: Option<&str>) -> Result<Vec<(String, u64)>, MediaError> {
        let (store, after) = (Arc::clone(&self.0.store), after.map(Place::parse).transpose());
        let after = after.map_err(|e| MediaError::Store(Box::new(e)))?;
        self.0.wait(async move {
            let all = match &after {
                Some(after) => store.list_with_offset(None, after),
                None => store.list(None),
            };
            let mut page: Vec<(String, u64)> = Vec::new();
            let mut all = all.take(LISTED);
            while let Some(object) = all.next().await {
                let object = object?;
                page.push((object.location.to_string(), object.size));
            }
            Ok(page)
        })
    }

    /// At most so many bytes of an object from a place on.
    ///
    /// # Errors
    /// What the store says.
    pub fn read(&self, name: &str, from: u64, most: usize) -> Result<Vec<u8>, MediaError> {
        let (store, place) = (Arc::clone(&self.0.store), Place::parse(name));
        let place = place.map_err(|e| MediaError::Store(Box::new(e)))?;
        let range = from..from.saturating_add(most as u64);
        self.0.wait(async move { Ok(store.get_range(&place, range).await?.to_vec()) })
    }

    /// An object as it is now; `None` if there is none.
    ///
    /// # Errors
    /// What the store says.
    pub fn object(&self, name: &str) -> Result<Option<Object>, MediaError> {
        let (store, place) = (Arc::clone(&self.0.store), Place::parse(name));
        let place = place.map_err(|e| MediaError::Store(Box::new(e)))?;
        self.0.wait(async move {
            let found = there(store.head(&place).await)?;
            Ok(found.map(|meta| Object { place, length: meta.size, tag: meta.e_tag }))
        })
    }

    /// At most so many bytes of an object from a place on, as long as it is still the same.
    ///
    /// # Errors
    /// What the store says, also when another was written in its place.
    pub fn part(&self, object: &Object, from: u64, most: usize) -> Result<Vec<u8>, MediaError> {
        let (store, place) = (Arc::clone(&self.0.store), object.place.clone());
        let range = from..from.saturating_add(most as u64).min(object.length);
        let same =
            GetOptions { if_match: object.tag.clone(), range: Some(range.into()), ..GetOptions::default() };
        self.0.wait(async move { Ok(store.get_opts(&place, same).await?.bytes().await?.to_vec()) })
    }

    /// Listing and reading as calls that say in words what is wrong: what a sweep of its objects takes.
    #[expect(clippy::type_complexity, reason = "the two calls have no names that could be written")]
    pub fn calls(
        &self,
    ) -> (impl Fn(Option<&str>) -> Listed + Sync, impl Fn(&str, u64, usize) -> Part + Sync) {
        (
            |after: Option<&str>| self.list(after).map_err(|e| in_words(&e)),
            |name: &str, from, most| self.read(name, from, most).map_err(|e| in_words(&e)),
        )
    }
}

/// Names and lengths, or why there are none.
pub type Listed = Result<Vec<(String, u64)>, String>;
/// Bytes of an object, or why there are none.
pub type Part = Result<Vec<u8>, String>;

/// An error with all that stands behind it.
fn in_words(error: &MediaError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// `None` for what is not there.
fn there<T>(done: Result<T, Error>) -> Result<Option<T>, Error> {
    match done {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

fn refused(error: Error) -> MediaError {
    MediaError::Store(Box::new(error))
}
