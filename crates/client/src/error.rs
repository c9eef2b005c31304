//! Why something was not done.

/// Why something was not done. It repeats nothing of a record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A certificate or key cannot be read.
    #[error("a certificate or key cannot be read: {0}")]
    File(String),
    /// They, or the names, cannot be used.
    #[error("the connection cannot be made as it is set up")]
    Settings(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The enclave does not answer. What was asked for may have been done: read it again.
    #[error("the enclave does not answer")]
    Connection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It does not answer in time. What was asked for may have been done: read it again.
    #[error("the enclave does not answer in time")]
    Time,
    /// The rulebook does not let this service do this; the refusal is on the ledger.
    #[error("refused, on the record: {why}")]
    Refused {
        /// The entry that records it, if there is one.
        entry: Option<u64>,
        /// In the enclave's words.
        why: String,
    },
    /// Somebody else was quicker, or the person is here already. Nothing was done.
    #[error("it is not as was expected; nothing was done")]
    Conflict,
    /// The enclave did not do it, and says why. Nothing was done.
    #[error("not done ({code}): {why}")]
    Undone {
        /// The code of the error, as `docs/errors` explains it.
        code: String,
        /// In the enclave's words.
        why: String,
    },
    /// The enclave cannot do anything now: its ledger, store or keys are closed. Try again later.
    #[error("the enclave is closed now: {why}")]
    Closed {
        /// In the enclave's words.
        why: String,
    },
    /// The answer is of another form than this client knows.
    #[error("the enclave's answer has another form")]
    Form,
}
