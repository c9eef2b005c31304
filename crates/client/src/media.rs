//! Videos, photos and other media, part by part.

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use crate::{Client, Error, Subject};

/// Longest part, in bytes.
pub const PART_MAX: usize = 8 << 20;

/// A medium that is whole. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Medium {
    /// Its name.
    #[serde(rename = "medium")]
    pub id: String,
    /// Its media type, as whoever brought it says.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its length.
    pub bytes: u64,
    /// Its parts.
    pub parts: u32,
}

/// A medium that is being brought. It is there once [`Upload::finish`] says so; one that is dropped before never was.
pub struct Upload<'c> {
    client: &'c Client,
    of: &'c Subject,
    id: String,
    bytes: u64,
    parts: u32,
}

impl Upload<'_> {
    /// Brings the next part: 1 byte to [`PART_MAX`]. After an error the same part may be brought again.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn part(&mut self, bytes: Bytes) -> Result<(), Error> {
        let length = bytes.len() as u64;
        let place = format!("/v1/records/media/{}/{}", self.id, self.parts);
        self.client.connection.ask(Method::PUT, &place, Some(self.of), &[], Some(bytes)).await?.good()?;
        self.bytes += length;
        self.parts += 1;
        Ok(())
    }

    /// Says that it is whole, and of which media type. Returns its name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn finish(self, kind: &str) -> Result<String, Error> {
        let body = json!({ "type": kind, "bytes": self.bytes, "parts": self.parts }).to_string();
        let place = format!("/v1/records/media/{}", self.id);
        self.client
            .connection
            .ask(Method::PUT, &place, Some(self.of), &[], Some(body.into()))
            .await?
            .good()?;
        Ok(self.id)
    }
}

impl Client {
    /// Begins to bring a medium.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn upload<'c>(&'c self, of: &'c Subject) -> Result<Upload<'c>, Error> {
        #[derive(Deserialize)]
        struct Begun {
            medium: String,
        }
        let answer = self.connection.ask(Method::POST, "/v1/records/media", Some(of), &[], None).await?;
        let Begun { medium: id } = answer.good()?.json()?;
        Ok(Upload { client: self, of, id, bytes: 0, parts: 0 })
    }

    /// What a person has, behind a medium: at most 1,000.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn media(&self, of: &Subject, after: Option<&str>) -> Result<Vec<Medium>, Error> {
        #[derive(Deserialize)]
        struct All {
            media: Vec<Medium>,
        }
        let headers: Vec<(&str, String)> = after.iter().map(|a| ("clover-after", (*a).to_owned())).collect();
        let answer = self.connection.ask(Method::GET, "/v1/records/media", Some(of), &headers, None).await?;
        Ok(answer.good()?.json::<All>()?.media)
    }

    /// One part of a medium, from 0 on.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn medium_part(&self, of: &Subject, id: &str, part: u32) -> Result<Bytes, Error> {
        let place = format!("/v1/records/media/{id}/{part}");
        Ok(self.connection.ask(Method::GET, &place, Some(of), &[], None).await?.good()?.body)
    }

    /// Removes a medium.
    ///
    /// # Errors
    /// [`Error`]; while a legal hold is on the person it stays.
    pub async fn remove_medium(&self, of: &Subject, id: &str) -> Result<(), Error> {
        let place = format!("/v1/records/media/{id}");
        self.connection.ask(Method::DELETE, &place, Some(of), &[], None).await?.good().map(|_| ())
    }
}
