//! The operator's table of countries by network (MaxMind's format), for addresses that the signed programme does not
//! declare. It is one half of the evidence of a place, and never the whole: see `docs/decisions/2026-11-22-location.md`.

use std::net::IpAddr;
use std::path::Path;

use gateway::enclave::Elsewhere;
use ledger::sha256;
use maxminddb::{Reader, path};
use model::Country;

use crate::error::CommandError;

/// Largest table that is read into memory.
const TABLE_MAX: u64 = 256 << 20;

/// Opens a table, or makes one that knows nothing where none is configured.
///
/// # Errors
/// [`CommandError::Location`] when the file is no such table: an enclave does not start with half of its evidence.
pub fn open(file: Option<&Path>) -> Result<Elsewhere, CommandError> {
    let Some(file) = file else { return Ok(Box::new(|_| None)) };
    let bad = |why: &'static str| CommandError::Location { path: file.to_owned(), why };
    let length = std::fs::metadata(file).map_err(CommandError::file(file))?.len();
    if length > TABLE_MAX {
        return Err(bad("it is larger than 256 MiB"));
    }
    let bytes = std::fs::read(file).map_err(CommandError::file(file))?;
    let digest = sha256(&bytes);
    let table = Reader::from_source(bytes).map_err(|_| bad("it is not in MaxMind's format"))?;
    let kind = table.metadata().database_type.clone();
    tracing::info!(%digest, kind, "the table of countries by network");
    Ok(Box::new(move |address| country(&table, address)))
}

/// What a table says of an address; whatever is unclear is not known, which is outside.
fn country(table: &Reader<Vec<u8>>, address: IpAddr) -> Option<Country> {
    let code: &str = table.lookup(address).ok()?.decode_path(&path!["country", "iso_code"]).ok()??;
    Country::parse(code).ok().filter(|c| *c != Country::UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str, length: u8, country: &str) -> (IpAddr, u8, Country) {
        (text.parse().unwrap(), length, Country::parse(country).unwrap())
    }

    #[test]
    fn a_table_tells_the_country_of_the_longest_prefix_and_nothing_of_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made-up.mmdb");
        let bytes = testkit::mmdb::table(&[
            network("192.0.2.0", 24, "IE"),
            network("192.0.2.128", 25, "SG"),
            network("192.0.2.200", 32, "CN"),
            network("198.51.100.0", 24, "ZZ"),
            network("2001:db8::", 32, "DE"),
        ]);
        std::fs::write(&file, &bytes).unwrap();
        let table = open(Some(&file)).unwrap();
        let of = |text: &str| table(text.parse().unwrap()).map(|c| c.to_string());
        for (address, expected) in [
            ("192.0.2.1", Some("IE")),
            ("192.0.2.129", Some("SG")),
            ("192.0.2.200", Some("CN")),
            ("192.0.2.201", Some("SG")),
            ("192.0.3.1", None),
            ("198.51.100.1", None),
            ("2001:db8::1", Some("DE")),
            ("2001:db9::1", None),
        ] {
            assert_eq!(of(address).as_deref(), expected, "{address}");
        }
        assert!(open(None).unwrap()("192.0.2.1".parse().unwrap()).is_none());
    }

    #[test]
    fn a_table_that_is_damaged_is_refused_or_knows_nothing_false() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made-up.mmdb");
        assert!(matches!(open(Some(&file)), Err(CommandError::File { .. })));
        let good = testkit::mmdb::table(&[network("192.0.2.0", 24, "IE")]);
        for length in (0..good.len()).step_by(7) {
            std::fs::write(&file, &good[..length]).unwrap();
            assert!(matches!(open(Some(&file)), Err(CommandError::Location { .. })), "{length}");
        }
        for at in (0..good.len()).step_by(3) {
            let mut bytes = good.clone();
            bytes[at] ^= 0x40;
            std::fs::write(&file, &bytes).unwrap();
            // Whatever it says, it says without falling over.
            if let Ok(table) = open(Some(&file)) {
                let _ = table("192.0.2.1".parse().unwrap());
            }
        }
    }
}
