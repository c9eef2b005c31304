//! The name on a client certificate whose chain `rustls` has verified.

use model::UnixSeconds;
use x509_parser::extensions::GeneralName;

use super::{Shown, spiffe};

/// What a verified certificate says: it has exactly one URI, and that is a name of this programme.
///
/// A certificate of another trust domain says nothing here, whoever signed it: `spiffe://<other>/…` is refused.
#[must_use]
pub fn read(programme: &str, der: &[u8]) -> Option<Shown> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|n| match n {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => {
            let until = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
            let session = spiffe::read(programme, uri).ok()?;
            Some(Shown { session, not_after: UnixSeconds(until), signed_in: None })
        }
        _ => None,
    }
}
