//! Why a migration does not go on.

/// What is wrong. Nothing of a row is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The plan cannot be carried out as it stands.
    #[error("{0}")]
    Plan(String),
    /// An address, password file or certificate cannot be used.
    #[error("{end}: {why}")]
    End {
        /// `source` or `target`.
        end: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A server did not answer, or refused.
    #[error("{end}: {text}")]
    Server {
        /// `source` or `target`.
        end: &'static str,
        /// What it says of a statement of ours, without its details, which may hold values.
        text: String,
    },
    /// What a server sent is not what it should be.
    #[error("the source's changes cannot be read: {0}")]
    Stream(&'static str),
    /// The source's table is no longer what was planned.
    #[error(
        "the table {table} has changed under way: {what}. Plan again, under another name, with an empty target"
    )]
    Changed {
        /// Which.
        table: String,
        /// What is different.
        what: String,
    },
    /// It is not the time for this.
    #[error("{0}")]
    State(String),
    /// A file.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// What is wrong.
        source: std::io::Error,
    },
}

/// Classes of errors whose words may show a value: data, constraints, what functions of others raise.
const VALUES: [&str; 6] = ["22", "23", "2F", "38", "39", "P0"];

impl MigrateError {
    pub(crate) fn server(end: &'static str, error: &tokio_postgres::Error) -> Self {
        let told = error.as_db_error().map(|e| {
            let code = e.code().code();
            if !VALUES.iter().any(|class| code.starts_with(class)) {
                return format!("{} ({code})", e.message());
            }
            let place: Vec<&str> = [e.table(), e.column(), e.constraint()].into_iter().flatten().collect();
            format!("a value is refused ({code}) {}", place.join(" ")).trim_end().to_owned()
        });
        Self::Server { end, text: told.unwrap_or_else(|| error.to_string()) }
    }

    pub(crate) fn file(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::File { path: path.display().to_string(), source }
    }
}
