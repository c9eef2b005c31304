//! The text that certifies that rows are gone, and what a later one repeats of it (`docs/formats/migration.md`).

use std::fmt::Write as _;
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use ledger::migration::{Amount, Stage};
use ledger::sha256;
use vault::disk::replace_file;

use crate::book::Book;
use crate::error::MigrateError;
use crate::evidence::Held;
use crate::plan::Open;
use crate::record::{Said, now};
use crate::sweeping::{Looked, Swept};

/// How the line begins that says by which certificate the source was last looked into.
const SEEN: &str = "source seen by ";
const LOOKED_AT_SOURCE: &str = "looked into source ";
const KNOWN_AT_SOURCE: &str = "known source ";

/// A certificate.
#[derive(Debug, serde::Serialize)]
pub struct Certificate {
    /// Where it lies.
    pub file: PathBuf,
    /// Its SHA-256, which stands on the ledger.
    pub sha256: String,
    /// What is open.
    pub open: u64,
}

/// Writes a certificate and takes down that its sets are destroyed. Where the source was not looked into: the digest and time of the
/// certificate for which it was.
pub(crate) async fn issue(
    book: Book<'_>,
    swept: &Swept,
    manifest: &[u8; 32],
    sets: &[(String, Amount)],
    seen: Option<&(String, u64)>,
) -> Result<Certificate, MigrateError> {
    let (plan, ledger) = (book.plan, book.ledger()?);
    let text = text(book, swept, manifest, sets, seen)?;
    let digest = *sha256(text.as_bytes()).bytes();
    let hex = HEXLOWER.encode(&digest);
    let name = format!("{}-{}.certificate", plan.name, hex.get(..16).unwrap_or_default());
    let file = ledger.records.join(name);
    replace_file(&file, text.as_bytes()).map_err(|e| MigrateError::file(&file, e))?;
    let open = plan.open.len() as u64;
    let until = plan.open.iter().filter_map(Open::until).max().unwrap_or(0);
    let said = Said { evidence: Some(digest), open: (open, until), ..Said::default() };
    let stages: Vec<_> = sets
        .iter()
        .map(|(set, amount)| (set.as_str(), Stage::Destroyed, Said { amount: *amount, ..said }))
        .collect();
    book.take_down(&stages).await?;
    Ok(Certificate { file, sha256: hex, open })
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn text(
    book: Book<'_>,
    swept: &Swept,
    manifest: &[u8; 32],
    sets: &[(String, Amount)],
    seen: Option<&(String, u64)>,
) -> Result<String, MigrateError> {
    let (plan, programme) = (book.plan, &book.ledger()?.programme);
    let source = &plan.source;
    let mut text = format!(
        "clover/migration-certificate v1\nprogramme {programme}\nmigration {}\nsource {} {} {}\nmanifest {}\n",
        plan.name,
        source.site,
        source.country,
        quoted(&source.owner),
        HEXLOWER.encode(manifest)
    );
    if let Some((certificate, time)) = seen {
        let _ = writeln!(text, "{SEEN}{certificate} time {time}");
    }
    for (set, amount) in sets {
        let _ = writeln!(text, "destroyed {set} rows {}", amount.rows);
    }
    for (set, count) in &swept.looked_for {
        let _ = writeln!(text, "looked for {set} identifiers {count}");
    }
    for looked in &swept.places {
        let what = if looked.at_source { LOOKED_AT_SOURCE } else { "looked into " };
        let _ =
            writeln!(text, "{what}{} places {} bytes {}", quoted(&looked.place), looked.count, looked.bytes);
    }
    for open in &plan.open {
        let _ = writeln!(text, "open {} owner {} due {}", quoted(&open.what), quoted(&open.owner), open.due);
    }
    for left in &swept.left {
        let what = if left.at_source { KNOWN_AT_SOURCE } else { "known " };
        let _ = writeln!(text, "{what}{} {}", quoted(&left.place), quoted(&left.what));
    }
    let _ = writeln!(text, "time {}", now().0);
    Ok(text)
}

/// A certificate that is on file and on record.
pub(crate) struct Earlier {
    sha256: String,
    text: String,
}

impl Earlier {
    /// The one with this digest.
    pub(crate) fn of(book: Book<'_>, digest: &[u8; 32]) -> Result<Self, MigrateError> {
        let (path, bytes) = book.evidence(digest, "-", "certificate")?;
        let other = |why| MigrateError::State(format!("{}: {why}", path.display()));
        if sha256(&bytes).bytes() != digest {
            return Err(other("it was changed after it was issued"));
        }
        let text = String::from_utf8(bytes).map_err(|_| other("it is no text"))?;
        Ok(Self { sha256: HEXLOWER.encode(digest), text })
    }

    /// By which certificate the source was last looked into, and when that was.
    pub(crate) fn seen(&self) -> Result<(String, u64), MigrateError> {
        let number = |text: &str| text.parse().map_err(|_| unreadable());
        if let Some(rest) = self.lines(SEEN).next() {
            let (certificate, time) = rest.split_once(" time ").ok_or_else(unreadable)?;
            return Ok((certificate.to_owned(), number(time)?));
        }
        let time = self.lines("time ").next_back().ok_or_else(unreadable)?;
        Ok((self.sha256.clone(), number(time)?))
    }

    /// Where the source was looked into.
    pub(crate) fn looked(&self) -> Result<Vec<Looked>, MigrateError> {
        let looked = |line: &str| {
            let (place, rest) = word(line)?;
            let (count, bytes) = rest.strip_prefix(" places ")?.split_once(" bytes ")?;
            Some(Looked { place, count: count.parse().ok()?, bytes: bytes.parse().ok()?, at_source: true })
        };
        self.lines(LOOKED_AT_SOURCE).map(|line| looked(line).ok_or_else(unreadable)).collect()
    }

    /// What was met at the source, and somebody answered for.
    pub(crate) fn known(&self) -> Result<Vec<Held>, MigrateError> {
        let known = |line: &str| {
            let (place, rest) = word(line)?;
            let (why, _) = word(rest.strip_prefix(' ')?)?;
            Some(Held { place, why })
        };
        self.lines(KNOWN_AT_SOURCE).map(|line| known(line).ok_or_else(unreadable)).collect()
    }

    fn lines<'t>(&'t self, begins: &'t str) -> impl DoubleEndedIterator<Item = &'t str> {
        self.text.lines().filter_map(move |line| line.strip_prefix(begins))
    }
}

fn unreadable() -> MigrateError {
    MigrateError::State(
        "the earlier certificate is not of this form: it was issued by another version".into(),
    )
}

/// The text at the start of a line, as JSON writes it, and what stands behind.
fn word(line: &str) -> Option<(String, &str)> {
    let mut words = serde_json::Deserializer::from_str(line).into_iter::<String>();
    let word = words.next()?.ok()?;
    Some((word, line.get(words.byte_offset()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earlier(text: &str) -> Earlier {
        Earlier { sha256: "aa".into(), text: text.into() }
    }

    #[test]
    fn what_a_certificate_says_of_the_source_is_read_as_it_was_written() {
        let first = earlier(
            "source singapore SG \"A \\\"B\\\"\"\nlooked into source \"sg \\\"1\\\" tables\" places 3 bytes 44\nlooked into \"dumps\" places 1 bytes 2\n\
             known source \"sg slot a\" \"it keeps \\\"all\\\"\"\nknown \"dumps\" \"x\"\ntime 99\n",
        );
        let place = "sg \"1\" tables".to_owned();
        assert_eq!(first.looked().unwrap(), [Looked { place, count: 3, bytes: 44, at_source: true }]);
        let held = Held { place: "sg slot a".into(), why: "it keeps \"all\"".into() };
        assert_eq!(first.known().unwrap(), [held]);
        assert_eq!(first.seen().unwrap(), ("aa".to_owned(), 99));
        // One that repeats another names that one.
        let second = earlier("source seen by bb time 7\ntime 99\n");
        assert_eq!(second.seen().unwrap(), ("bb".to_owned(), 7));
        for bad in
            ["looked into source \"a\" places x bytes 1\n", "looked into source \"a places 1 bytes 1\n"]
        {
            assert!(earlier(bad).looked().is_err(), "{bad}");
        }
        assert!(earlier("").seen().is_err() && earlier("known source \"a\"\n").known().is_err());
    }
}
