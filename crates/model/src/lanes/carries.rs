//! What a lane carries: formats of bodies, and what compresses them.

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Ndjson,
    /// A table (RFC 4180) whose first line names the columns.
    Csv,
    /// Fields of a form, as a URL spells them.
    #[serde(rename = "form")]
    UrlEncoded,
    /// Parts, each a text (RFC 7578).
    Multipart,
    /// A table of Apache Parquet. What leaves of it is NDJSON: a treated column has no longer its type.
    Parquet,
}

impl Form {
    /// The media type, without parameters.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::UrlEncoded => "application/x-www-form-urlencoded",
            Self::Multipart => "multipart/form-data",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// Whether a row has no depth: columns, fields or parts, each with a text.
    #[must_use]
    pub const fn is_flat(self) -> bool {
        matches!(self, Self::Csv | Self::UrlEncoded | Self::Multipart)
    }
}

/// What compresses a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coding {
    /// gzip (RFC 1952).
    Gzip,
    /// Brotli (RFC 7932).
    Br,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Coding {
    /// The word in HTTP.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Br => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// What lanes open that say nothing of it.
pub(super) fn gzip() -> Vec<Coding> {
    vec![Coding::Gzip]
}

/// One format, or several.
#[derive(serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Forms {
    One(Form),
    Several(Vec<Form>),
}

impl Default for Forms {
    fn default() -> Self {
        Self::One(Form::Json)
    }
}

impl Forms {
    pub(super) fn list(self) -> Vec<Form> {
        match self {
            Self::One(form) => vec![form],
            Self::Several(forms) => forms,
        }
    }
}

/// Whether a pointer names a member of the root.
pub(super) fn flat(pointer: &str) -> bool {
    pointer
        .strip_prefix('/')
        .is_some_and(|name| !name.is_empty() && !name.contains('/') && !name.starts_with('*'))
}
