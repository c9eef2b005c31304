//! What can go wrong in this crate. A finding is no error.

use std::io;
use std::path::{Path, PathBuf};

use model::Explain;

/// Work that could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResidencyError {
    /// No canaries were made, or their key file cannot be used.
    #[error("the canaries of `{path}` cannot be used: {why}")]
    Canaries {
        /// Their key file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// What was to be swept cannot even be begun with.
    #[error("cannot sweep `{target}`: {why}")]
    Target {
        /// As given, without what might be a password.
        target: String,
        /// Why.
        why: String,
    },
    /// The file of what is declared has mistakes.
    #[error("`{path}` cannot be used: {why}")]
    Declared {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The log of incidents is not whole, or has no such incident.
    #[error("the incidents in `{path}` cannot be used: {why}")]
    Incidents {
        /// The log's file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Evidence that is not sealed, or no longer what was sealed.
    #[error("nothing is deleted of incident `{incident}`: {why}")]
    Seal {
        /// Which incident.
        incident: String,
        /// Why.
        why: String,
    },
    /// The auditor's mark is missing, or is another one.
    #[error("the auditor's mark on incident `{incident}` does not count: {why}")]
    Mark {
        /// Which incident.
        incident: String,
        /// Why.
        why: String,
    },
    /// A file or folder that cannot be used.
    #[error("cannot use `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ResidencyError {
    /// For `map_err`: the error of a file.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

impl Explain for ResidencyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Canaries { .. } => "CLV-0901",
            Self::Target { .. } => "CLV-0902",
            Self::Declared { .. } => "CLV-0903",
            Self::Incidents { .. } => "CLV-0904",
            Self::Seal { .. } => "CLV-0905",
            Self::Mark { .. } => "CLV-0906",
            Self::File { .. } => "CLV-0907",
        }
    }

    fn fix(&self) -> &'static str {
        match self {
            Self::Canaries { .. } => {
                "make canaries with `clover residency canary make`, or bring their key file back"
            }
            Self::Target { .. } => {
                "see that the place is there and that you may read it; docs/residency.md lists what is swept"
            }
            Self::Declared { .. } => {
                "mend the file; `clover residency declare` writes one of what is there now, to be reviewed"
            }
            Self::Incidents { .. } => {
                "list them with `clover residency incidents`; a log that was changed is itself a finding: keep it and tell the auditor"
            }
            Self::Seal { .. } => {
                "seal what is there now with `clover residency seal`, and have the auditor mark that seal"
            }
            Self::Mark { .. } => {
                "the auditor makes it with `clover residency mark`, over the digest that `clover residency seal` printed"
            }
            Self::File { .. } => {
                "see that the path is right, that you may read and write it, and that the disk has space"
            }
        }
    }

    fn public(&self) -> &'static str {
        "the residency monitor could not do this"
    }
}
