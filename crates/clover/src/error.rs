//! What can go wrong on the command line itself. Errors of the parts explain themselves.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use model::Explain;

/// A command that cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// A rule stands against it.
    #[error("{0}")]
    Rule(&'static str),
    /// A name that the rulebook does not have.
    #[error("the rulebook names no {kind} `{name}`")]
    Unknown {
        /// What kind of thing.
        kind: &'static str,
        /// As given.
        name: String,
    },
    /// A folder that was to be new.
    #[error("`{0}` is not empty; a programme is made in a new folder")]
    NotEmpty(PathBuf),
    /// A folder that somebody else uses.
    #[error("another process has `{0}` open")]
    InUse(PathBuf),
    /// A signed rulebook that is not the one in force.
    #[error("the rulebook was changed after its activation")]
    NotActivated,
    /// No enclave runs.
    #[error("nobody answers on `{address}`")]
    NoAnswer {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A file or folder that cannot be used.
    #[error("cannot use `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No console answers.
    #[error("no console answers on `{address}`")]
    NoConsole {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// A sign-in that the console refuses.
    #[error("the console refuses ({status}): {why}")]
    SignIn {
        /// The status of its answer.
        status: u16,
        /// Its public words.
        why: String,
    },
    /// No SQL gateway answers.
    #[error("no SQL gateway answers on `{address}`")]
    NoGateway {
        /// Where.
        address: String,
    },
    /// A statement that the SQL gateway or the database does not carry out.
    #[error("not done ({code}): {why}")]
    Query {
        /// SQLSTATE.
        code: String,
        /// Its public words.
        why: String,
    },
    /// A request for access that a rule is against, or that concerns others.
    #[error("not done ({status}): {why}")]
    AccessRefused {
        /// The status of the answer.
        status: u16,
        /// The rule, in public words.
        why: String,
    },
    /// Nobody has signed in.
    #[error("nobody has signed in here")]
    NoSession,
    /// A table of countries that cannot be used.
    #[error("the table of countries `{path}` cannot be used: {why}")]
    Location {
        /// Which.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// Key files that do not fit one another.
    #[error("`{seed}` does not belong to `trust/{vkey}.vkey`")]
    OtherKey {
        /// The secret half.
        seed: PathBuf,
        /// The public half.
        vkey: String,
    },
    /// A log that belongs to another gateway.
    #[error("the log's key is that of `{found}`, not of `{wanted}`")]
    OtherLog {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// A log that is shorter than somebody remembers.
    #[error("the log `{log}` has `{found}` entries, but {who} knows `{known}`")]
    OlderLog {
        /// Its origin.
        log: String,
        /// Entries found.
        found: u64,
        /// Entries that were there.
        known: u64,
        /// Who says so.
        who: String,
    },
    /// A log that is another than the one that was signed.
    #[error("the log `{log}` is not the one that {who} knows")]
    ForkedLog {
        /// Its origin.
        log: String,
        /// Who says so.
        who: String,
    },
    /// A policy of witnesses that cannot be used.
    #[error("the policy of witnesses `{path}` cannot be used: {why}")]
    Policy {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A rulebook that the running enclave does not take.
    #[error("the running enclave does not take the rulebook: {why}")]
    NotTaken {
        /// Why.
        why: String,
    },
    /// What is to be done about a person, and the running enclave does not do.
    #[error("the running enclave does not do it: {why}")]
    NotDone {
        /// Why.
        why: String,
    },
    /// No prover beside this program.
    #[error("there is no `clover-prove` beside this program")]
    NoProver,
    /// A kept order about a country that does not count.
    #[error("the order `{path}` about a suspension does not count: {why}")]
    Suspension {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A mirror on this machine that does not run.
    #[error("the local mirror cannot be started: {why}")]
    Mirror {
        /// Why.
        why: String,
    },
}

impl CommandError {
    /// A file or folder that cannot be used.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

impl Explain for CommandError {
    fn code(&self) -> &'static str {
        match self {
            Self::Rule(_) | Self::Unknown { .. } => VALUE.0,
            Self::NotEmpty(_) | Self::InUse(_) | Self::File { .. } => FILE.0,
            Self::NotActivated => "CLV-0102",
            Self::NoAnswer { .. } => "CLV-0604",
            Self::NoConsole { .. } | Self::SignIn { .. } | Self::NoSession => "CLV-0706",
            Self::AccessRefused { .. } => "CLV-0407",
            Self::NoGateway { .. } | Self::Query { .. } => "CLV-0611",
            Self::Location { .. } => "CLV-0705",
            Self::OtherKey { .. } | Self::OtherLog { .. } => "CLV-0605",
            Self::OlderLog { .. } | Self::ForkedLog { .. } => "CLV-0203",
            Self::Policy { .. } | Self::Mirror { .. } => "CLV-0606",
            Self::NoProver => "CLV-0607",
            Self::NotTaken { .. } => "CLV-0609",
            Self::NotDone { .. } => "CLV-0610",
            Self::Suspension { .. } => "CLV-0608",
        }
    }
    fn fix(&self) -> &'static str {
        match self {
            Self::Rule(_) | Self::Unknown { .. } => VALUE.1,
            Self::NotEmpty(_) => "name a new folder with --dir",
            Self::InUse(_) => "stop the other process first; one process uses a folder at a time",
            Self::File { .. } => FILE.1,
            Self::NotActivated => "run `clover rulebook activate`",
            Self::NoAnswer { .. } => "start the enclave with `clover serve`, or name its folder with --dir",
            Self::NoConsole { .. } => {
                "name the console with --console and its roots with --ca; see docs/signin.md"
            }
            Self::SignIn { .. } => "the console's log says why; see docs/signin.md",
            Self::AccessRefused { .. } => {
                "docs/formats/access.md has the rules, access.toml of the rulebook the procedures"
            }
            Self::NoSession => "run `clover signin`",
            Self::NoGateway { .. } => "name the SQL gateway with --gateway; see docs/sql.md",
            Self::Query { .. } => "do what the message asks; docs/sql.md says what a statement may be",
            Self::Location { .. } => {
                "name a whole table of countries in MaxMind's format under [location], or remove it"
            }
            Self::OtherKey { .. } | Self::OtherLog { .. } => {
                "put back the files of this enclave; keys of one are of no use to another"
            }
            Self::OlderLog { .. } | Self::ForkedLog { .. } => {
                "restore the newest copy of the whole folder, or the entries from a mirror (`clover ledger rebuild --from`)"
            }
            Self::Suspension { .. } => {
                "put the file back as it was signed, or have operator and auditor sign a new order with `clover suspend`"
            }
            Self::Policy { .. } => "see docs/formats/witness.md; a quorum of at least one witness is needed",
            Self::NotTaken { .. } => {
                "the rulebook that was in force still is; do what the message asks, and activate again"
            }
            Self::NotDone { .. } => "do what the message asks, and give the command again",
            Self::NoProver => "install `clover-prove` beside `clover`; nothing is proved without it",
            Self::Mirror { .. } => {
                "install `clover-audit` beside `clover`, or remove [mirror] and name other witnesses in trust/policy"
            }
        }
    }
    fn public(&self) -> &'static str {
        "the request cannot be answered now"
    }
}

/// Code and remedy of a value on the command line that cannot be used.
pub(crate) const VALUE: (&str, &str) = ("CLV-0601", "`--help` behind the command says what each value is");
/// Code and remedy of files that have problems, each with its own remedy.
pub(crate) const PROBLEMS: (&str, &str) =
    ("CLV-0602", "mend each; `clover config check` and `clover rulebook check` tell all at once");
/// Code and remedy of a path that cannot be used.
pub(crate) const FILE: (&str, &str) =
    ("CLV-0603", "check the path, its permissions and the space on its disk");

/// An error with all that is behind it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(e) = source {
        text.push_str(&format!(": {e}"));
        source = e.source();
    }
    text
}
