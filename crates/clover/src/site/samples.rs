//! Entries that the auditor has opened: chosen by a later checkpoint, so that neither side picks them. Form:
//! `docs/formats/samples.md`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use data_encoding::BASE64;
use gateway::{Enclave, enclave};
use ledger::detail::Detail;
use ledger::merkle::{self, Hash, TreeHead};
use ledger::note::{Note, Verifier};
use ledger::site::SiteEntry;
use ledger::{Entry, sha256};

use super::{Site, newest_round};

/// Most entries of one request, and of one minute.
const COUNT_MAX: u64 = 64;

/// A request as it was signed.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    origin: String,
    from: u64,
    to: u64,
    count: u64,
    head: TreeHead,
}

/// Opens samples for the auditor whose key this is.
pub struct Samples {
    site: Arc<Site>,
    enclave: Arc<Enclave>,
    auditor: Verifier,
    /// The minute, and how many entries were opened in it.
    opened: Mutex<(u64, u64)>,
}

/// The status of a request that is not answered, and why.
type Refusal = (u16, &'static str);

impl Samples {
    /// Samples of a site.
    #[must_use]
    pub fn new(site: Arc<Site>, enclave: Arc<Enclave>, auditor: Verifier) -> Self {
        Self { site, enclave, auditor, opened: Mutex::default() }
    }

    /// Answers a request: a status, and a line of JSON for each entry.
    #[must_use]
    pub fn answer(&self, request: &[u8]) -> (u16, String) {
        match self.open(request) {
            Ok(lines) => (200, lines),
            Err((status, why)) => (status, format!("{why}\n")),
        }
    }

    fn open(&self, request: &[u8]) -> Result<String, Refusal> {
        let wish = self.read(request)?;
        let member = self.site.members.iter().find(|m| m.enrolled.origin == wish.origin);
        // The key service's log has nothing to open.
        let member = member.filter(|m| Arc::ptr_eq(&m.log, &self.enclave.log_handle()));
        member.ok_or((404, "no such gateway"))?;
        self.counted(&wish)
            .map_err(|_| (422, "the checkpoint is not of this site's log or does not count the entries"))?;
        self.take(wish.count)?;
        let indices = choice(&wish);
        let entry = SiteEntry::Sample {
            origin: wish.origin.clone(),
            size: wish.head.size,
            indices: indices.iter().copied().collect(),
        };
        let broken = |_| (503, "the entries cannot be opened now");
        // INVARIANT: what the auditor saw is on record before they see it.
        let _ = self.site.record(&entry).map_err(broken)?;
        let lines: Result<Vec<String>> = indices.iter().map(|index| self.line(*index)).collect();
        lines.map(|lines| lines.concat()).map_err(broken)
    }

    fn read(&self, request: &[u8]) -> Result<Wish, Refusal> {
        let malformed = (400, "not a request as docs/formats/samples.md has it");
        let text = std::str::from_utf8(request).map_err(|_| malformed)?;
        let note: Note = text.parse().map_err(|_| malformed)?;
        let signed = note.verify(std::slice::from_ref(&self.auditor));
        signed
            .ok()
            .filter(|v| v.signed_by(&self.auditor).is_some())
            .ok_or((403, "not signed by the auditor"))?;
        let wish = parse(note.unverified_text()).ok_or(malformed)?;
        if wish.from >= wish.to || wish.count == 0 || wish.count > COUNT_MAX {
            return Err(malformed);
        }
        Ok(wish)
    }

    /// Whether the checkpoint that chooses is this site's, and newer than the entries it chooses from.
    fn counted(&self, wish: &Wish) -> Result<()> {
        let own = self.site.log.head()?.head;
        let proof = self.site.log.prove_consistency(wish.head.size, own.size)?;
        merkle::verify_consistency(&proof, &wish.head, &own)?;
        // Sizes never fall from round to round: the newest counts what any does.
        let round = newest_round(&self.site.log, wish.head.size)?;
        let counted = round.iter().any(|l| l.origin == wish.origin && l.size >= wish.to);
        if counted { Ok(()) } else { anyhow::bail!("no round counts the entries") }
    }

    fn take(&self, count: u64) -> Result<(), Refusal> {
        let minute = enclave::now().0.0 / 60;
        let mut opened = self.opened.lock().map_err(|_| (503, "the entries cannot be opened now"))?;
        if opened.0 != minute {
            *opened = (minute, 0);
        }
        if opened.1 + count > COUNT_MAX {
            return Err((429, "at most 64 entries are opened in a minute"));
        }
        opened.1 += count;
        Ok(())
    }

    fn line(&self, index: u64) -> Result<String> {
        let log = self.enclave.log();
        let flow = Entry::decode(&log.entry(index)?)?.draft.flow;
        let record = log.detail(index)?;
        let mut line = serde_json::json!({ "index": index });
        if let Some(line) = line.as_object_mut() {
            if !record.is_empty() {
                let detail = Detail::read(&record)?;
                let key = detail.entry_key(&flow, &self.enclave.keys().epoch(detail.epoch())?)?;
                line.insert("detail".to_owned(), BASE64.encode(&record).into());
                line.insert("entry_key".to_owned(), BASE64.encode(key.bytes()).into());
            }
            if let Some(payload) = self.enclave.kept().get(index) {
                line.insert("payload".to_owned(), BASE64.encode(&payload).into());
            }
        }
        Ok(format!("{line}\n"))
    }
}

fn parse(text: &str) -> Option<Wish> {
    let lines: Vec<&str> = text.lines().collect();
    let ["clover sample request v1", origin, range, checkpoint] = lines.as_slice() else { return None };
    let number = |t: &str| t.parse::<u64>().ok().filter(|n| n.to_string() == t);
    let range: Vec<&str> = range.split(' ').collect();
    let [from, to, count] = range.as_slice() else { return None };
    let (size, root) = checkpoint.split_once(' ')?;
    let root: Hash = root.parse().ok()?;
    let head = TreeHead { size: number(size)?, root };
    Some(Wish {
        origin: (*origin).to_owned(),
        from: number(from)?,
        to: number(to)?,
        count: number(count)?,
        head,
    })
}

/// The indices that the checkpoint chooses.
fn choice(wish: &Wish) -> BTreeSet<u64> {
    let one = |n: u64| {
        let mut text = b"clover sample v1\0".to_vec();
        text.extend_from_slice(wish.origin.as_bytes());
        text.push(0);
        text.extend_from_slice(wish.head.root.as_bytes());
        for number in [wish.from, wish.to, n] {
            text.extend_from_slice(&number.to_be_bytes());
        }
        let hash = sha256(&text);
        let first = hash.bytes().first_chunk::<8>().map_or(0, |b| u64::from_be_bytes(*b));
        wish.from + first % (wish.to - wish.from)
    };
    (0..wish.count).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        let head = TreeHead { size: 9, root: Hash::from_bytes([7; 32]) };
        Wish { origin: "ledger.p/s/gw".to_owned(), from: 3, to: 1003, count: 8, head }
    }

    #[test]
    fn another_checkpoint_or_range_chooses_other_entries() {
        let chosen = choice(&wish());
        assert!(chosen.iter().all(|i| (3..1003).contains(i)) && chosen.len() > 4);
        assert_eq!(chosen, choice(&wish()));
        let other = TreeHead { size: 9, root: Hash::from_bytes([8; 32]) };
        assert_ne!(chosen, choice(&Wish { head: other, ..wish() }));
        assert_ne!(chosen, choice(&Wish { to: 1004, ..wish() }));
    }

    #[test]
    fn a_request_of_another_form_is_not_read() {
        let good = format!("clover sample request v1\nledger.p/s/gw\n3 1003 8\n9 {}\n", wish().head.root);
        assert_eq!(parse(&good), Some(wish()));
        for (from, to) in
            [(" v1", " v2"), ("3 1003", "03 1003"), ("8\n9", "8 1\n9"), ("9 ", "9"), ("3 1003 8\n", "")]
        {
            assert_eq!(parse(&good.replacen(from, to, 1)), None, "{from}");
        }
    }
}
