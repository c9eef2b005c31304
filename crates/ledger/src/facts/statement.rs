//! Which statement of SQL a crossing answers: the digest of its text without values. Policy does not read it.

use ciborium::Value;
use model::Digest;

use super::beside::with;
use super::{FactsError, read};

pub(super) fn value(digest: &Digest) -> Value {
    Value::Bytes(digest.bytes().to_vec())
}

pub(super) fn parse(value: &Value) -> Result<Digest, FactsError> {
    let bytes = value.as_bytes().and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
    bytes.map(Digest::new).ok_or(FactsError::Shape("statement"))
}

/// Encoded facts with the digest of the statement that is asked.
///
/// # Errors
/// [`FactsError`] when these are no facts, or are too long then.
pub fn with_statement(facts: &[u8], digest: &Digest) -> Result<Vec<u8>, FactsError> {
    with(facts, 14, &value(digest))
}

/// The digest of the statement, if a statement was asked.
///
/// # Errors
/// [`FactsError`] when these are no facts.
pub fn statement(facts: &[u8]) -> Result<Option<Digest>, FactsError> {
    read(facts).map(|(_, beside)| beside.statement)
}
