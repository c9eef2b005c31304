//! Where media of people lie: files of this machine, or an S3-compatible store.

use std::path::PathBuf;

use model::Problems;

#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMedia {
    folder: Option<PathBuf>,
    s3: Option<RawS3>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawS3 {
    endpoint: String,
    bucket: String,
    #[serde(default = "region")]
    region: String,
    access_key_file: PathBuf,
    secret_key_file: PathBuf,
    ca_file: PathBuf,
}

fn region() -> String {
    "us-east-1".to_owned()
}

/// Where media lie. Paths are relative to the enclave's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media {
    /// In files below a folder.
    Files(PathBuf),
    /// In a bucket.
    S3 {
        /// `https://host:port`.
        endpoint: String,
        /// The bucket.
        bucket: String,
        /// Its region, as the store calls it.
        region: String,
        /// The file with the name of the key that signs.
        access_key_file: PathBuf,
        /// The file with that key.
        secret_key_file: PathBuf,
        /// Whom to trust as the server.
        ca_file: PathBuf,
    },
}

pub(super) fn check(raw: RawMedia, p: &mut Problems) -> Option<Media> {
    let place = "enclave.toml: vault.media";
    match (raw.folder, raw.s3) {
        (folder, None) => Some(Media::Files(folder.unwrap_or_else(|| "media".into()))),
        (Some(_), Some(_)) => {
            p.add(place, "a folder and a bucket are named", "keep one of them");
            None
        }
        (None, Some(RawS3 { endpoint, bucket, region, access_key_file, secret_key_file, ca_file })) => {
            if !endpoint.starts_with("https://") {
                p.add(
                    format!("{place}.s3.endpoint"),
                    "nobody is asked in the clear",
                    "use https://host:port",
                );
            }
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
            if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) {
                p.add(
                    format!("{place}.s3.bucket"),
                    "no bucket has this name",
                    "use 3 to 63 letters, digits, `-` and `.`",
                );
            }
            Some(Media::S3 { endpoint, bucket, region, access_key_file, secret_key_file, ca_file })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, starter};
    use super::*;

    #[test]
    fn media_lie_in_files_unless_a_bucket_is_named_and_nobody_is_asked_in_the_clear() {
        let with = |table: &str| {
            let text = format!("{}\n{table}", starter("dublin-1"));
            Config::parse(&text).map(|c| c.media).map_err(|p| p.to_string())
        };
        assert_eq!(with("").unwrap(), Media::Files("media".into()));
        let s3 = |endpoint: &str, bucket: &str| {
            format!(
                "[vault.media.s3]\nendpoint = \"{endpoint}\"\nbucket = \"{bucket}\"\naccess_key_file = \"a\"\n\
                 secret_key_file = \"s\"\nca_file = \"ca.pem\""
            )
        };
        assert!(matches!(with(&s3("https://s3.example", "media")).unwrap(), Media::S3 { .. }));
        for (wrong, why) in [
            (s3("http://s3.example", "media"), "in the clear"),
            (s3("https://s3.example", "a/b"), "no bucket"),
            (format!("[vault.media]\nfolder = \"m\"\n{}", s3("https://s3.example", "media")), "keep one"),
            ("[vault.media.s3]\nbucket = \"media\"".to_owned(), "endpoint"),
        ] {
            let said = with(&wrong).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }
}
