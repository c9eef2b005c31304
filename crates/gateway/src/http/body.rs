//! Bodies: whole, capped, decoded, or refused.

use bytes::Bytes;
use crossing::format::Said;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, TRANSFER_ENCODING};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use model::Reason;
use transform::coding::{Caps, Coding, CodingError};

/// Reads a body of at most `max` bytes, as it came: a lane says how it is opened.
///
/// # Errors
/// The reason of the refusal: over the limit, or not readable.
pub(super) async fn raw(headers: &HeaderMap, body: Incoming, max: usize) -> Result<Bytes, Reason> {
    // Two statements about the length are one too many (RFC 9112 §6.3).
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return Err(Reason::Malformed);
    }
    let collected = Limited::new(body, max).collect().await;
    let bytes =
        collected.map_err(|e| if e.is::<LengthLimitError>() { Reason::Limit } else { Reason::Upstream })?;
    Ok(bytes.to_bytes())
}

/// Reads a body of at most `max` bytes for the gateway itself, before and after decoding.
///
/// # Errors
/// The reason of the refusal: over the limit, or not readable.
pub(super) async fn read(headers: &HeaderMap, body: Incoming, max: usize) -> Result<Bytes, Reason> {
    let bytes = raw(headers, body, max).await?;
    match one(headers, CONTENT_ENCODING)? {
        None | Some("identity") => Ok(bytes),
        Some("gzip") => gunzip(&bytes, max),
        Some(_) => Err(Reason::Malformed),
    }
}

/// What a sender says of its body.
///
/// # Errors
/// [`Reason::Malformed`] when it says two things.
pub(super) fn said(headers: &HeaderMap) -> Result<Said<'_>, Reason> {
    Ok(Said { content_type: one(headers, CONTENT_TYPE)?, coding: one(headers, CONTENT_ENCODING)? })
}

fn one(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Reason> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Reason::Malformed),
        _ => Err(Reason::Malformed),
    }
}

fn gunzip(bytes: &[u8], max: usize) -> Result<Bytes, Reason> {
    let (caps, mut out) = (Caps { bytes: max, ..Caps::default() }, Vec::new());
    match Coding::Gzip.decode(bytes, caps, &mut out) {
        Ok(()) => Ok(out.into()),
        Err(CodingError::TooLarge | CodingError::Ratio) => Err(Reason::Limit),
        Err(_) => Err(Reason::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        Coding::Gzip.encode(bytes, &mut packed).unwrap();
        packed
    }

    #[test]
    fn a_bomb_a_cut_and_a_tail_are_refused() {
        let small = zip(b"{}");
        assert_eq!(gunzip(&small, 10).unwrap(), "{}");
        assert_eq!(gunzip(&zip(&vec![b' '; 1 << 20]), 1000), Err(Reason::Limit));
        assert_eq!(gunzip(&small[..small.len() - 3], 10), Err(Reason::Malformed));
        assert_eq!(gunzip(&[&small[..], b"{}"].concat(), 10), Err(Reason::Malformed));
        assert_eq!(gunzip(b"{}", 10), Err(Reason::Malformed));
    }
}
