//! Why keys cannot be used.

use std::path::PathBuf;

use model::Explain;

/// What a service said, or what kept us from asking it.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why keys cannot be used. It names files and versions, never keys, and never a secret that opens them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A key file cannot be read or written.
    #[error("cannot use the key file `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key file has other content.
    #[error("`{}` is not a key file", .0.display())]
    Form(PathBuf),
    /// A key file was changed, or a part of it is lost.
    #[error("the key file `{}` is damaged", .0.display())]
    Damaged(PathBuf),
    /// A wrapped key does not open: another region's, another person's, or changed.
    #[error("a wrapped key does not open with this region's key")]
    Wrapped,
    /// A wrapped key names a version of the region's key that is not there.
    #[error("version {0} of the region's key is not there: it was retired, or never made")]
    Version(u32),
    /// The newest version wraps what comes next.
    #[error("version {0} of the region's key is the newest, and cannot be retired")]
    Newest(u32),
    /// The service has a key of this name already.
    #[error("the key service `{0}` has this region key already, and it is never replaced")]
    Exists(&'static str),
    /// The service does not answer.
    #[error("the key service `{service}` does not answer")]
    Down {
        /// Which.
        service: &'static str,
        /// Why.
        source: Cause,
    },
    /// The service answers, and does not do it.
    #[error("the key service `{service}` refuses: {why}")]
    Refused {
        /// Which.
        service: &'static str,
        /// What it said.
        why: String,
    },
    /// What is to open the service does not.
    #[error("the {what} in `{}` does not open the region's key", place.display())]
    Secret {
        /// Passphrase, PIN or token.
        what: &'static str,
        /// In which file it lies.
        place: PathBuf,
    },
    /// The random source of the system gave nothing.
    #[error("the system gives no random bytes")]
    Random,
}

impl Explain for KeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Down { .. } => "CLV-0212",
            Self::Secret { .. } | Self::Refused { .. } | Self::Exists(_) => "CLV-0213",
            _ => "CLV-0211",
        }
    }
    fn fix(&self) -> &'static str {
        match self {
            Self::Down { .. } => {
                "bring the key service back; nothing was lost, and Clover asks it again by itself"
            }
            Self::Secret { .. } => {
                "name the right file under [keys] in enclave.toml; a token locks after a few wrong PINs"
            }
            Self::Exists(_) => {
                "name another key under [keys], or remove the old one there if nothing is wrapped by it"
            }
            Self::Refused { .. } => "docs/keys.md has what the service must allow to Clover",
            Self::Version(_) => "restore the version in the key service; without it what it wrapped is noise",
            Self::Damaged(_) => "restore the key file from its protected copy",
            Self::Newest(_) => "run `clover keys rotate` first",
            _ => "check that the folder `keys` is this enclave's and readable by its user only",
        }
    }
    fn public(&self) -> &'static str {
        "the request cannot be answered now"
    }
}
