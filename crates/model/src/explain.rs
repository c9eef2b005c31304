//! One error, three readers: whoever searches for its code, the operator, and the stranger outside.

/// What an error says to each of its readers. Response writers accept only this, so a new error is
/// silent to strangers until someone chooses its public words.
pub trait Explain: std::error::Error {
    /// Stable and searchable, with a page in `docs/errors/`.
    fn code(&self) -> &'static str;
    /// The operator's next step.
    fn fix(&self) -> &'static str;
    /// What the remote peer may read: no ids, no addresses, no data.
    fn public(&self) -> &'static str;
}
