//! Bodies: whole, capped, decoded, or refused.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use model::Reason;

/// Reads a body of at most `max` bytes, before and after decoding.
///
/// # Errors
/// The reason of the refusal: over the limit, or not readable.
pub(super) async fn read(headers: &HeaderMap, body: Incoming, max: usize) -> Result<Bytes, Reason> {
    // Two statements about the length are one too many (RFC 9112 §6.3).
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return Err(Reason::Malformed);
    }
    let collected = Limited::new(body, max).collect().await;
    let bytes =
        collected.map_err(|e| if e.is::<LengthLimitError>() { Reason::Limit } else { Reason::Upstream })?;
    let bytes = bytes.to_bytes();
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    match (encodings.next().map(|v| v.as_bytes()), encodings.next()) {
        (None | Some(b"identity"), None) => Ok(bytes),
        (Some(b"gzip"), None) => gunzip(&bytes, max),
        _ => Err(Reason::Malformed),
    }
}

fn gunzip(bytes: &[u8], max: usize) -> Result<Bytes, Reason> {
    let mut out = Vec::new();
    let mut decoder = GzDecoder::new(bytes);
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    decoder.by_ref().take(limit).read_to_end(&mut out).map_err(|_| Reason::Malformed)?;
    if out.len() > max {
        return Err(Reason::Limit);
    }
    // Bytes behind the member would be seen by others and not by us.
    if decoder.into_inner().is_empty() { Ok(out.into()) } else { Err(Reason::Malformed) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn zip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
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
