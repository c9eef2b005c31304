//! Opening entries that nobody could foresee (`docs/formats/samples.md`).

mod detail;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::PathBuf,
};

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use self::detail::{DETAIL_BYTES_MAX, open_actor};
use crate::{
    bundle::ENTRY_BYTES_MAX,
    codes::{Class, Kind},
    cosign::SigningKey,
    fetch::Fetcher,
    hash::{Hash, leaf_hash, root_from_proof, sha256},
    header::Header,
    nodes::Nodes,
    note::VerifierKey,
    scan::{Identifier, scan},
    siteleaf::Role,
    sitelog::{FolderError, MirroredLog, Site, State},
};

/// The most that one request may ask for.
const COUNT_MAX: u64 = 64;
/// Of an answer; payloads come along.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// What to open.
#[derive(Clone, Debug)]
pub struct SampleOptions {
    /// A mirror's folder.
    pub mirror: PathBuf,
    /// The site's base URL.
    pub base: String,
    /// Certificates to trust, if the base is `https`.
    pub certificates: Option<PathBuf>,
    /// The key of the site log.
    pub site: VerifierKey,
    /// Only this gateway, by the origin of its log.
    pub gateway: Option<String>,
    /// How many entries of each gateway, at most 64.
    pub count: u64,
}

/// Why nothing was opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The mirror's folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// More than a request may ask for, or none.
    #[error("a request asks for 1 to 64 entries")]
    Count,
    /// The site cannot be asked.
    #[error("the site cannot be asked: {0}")]
    Ask(String),
    /// No runtime for the request.
    #[error("cannot start")]
    Start(#[source] io::Error),
}

/// What was asked of one gateway's log, and what came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SampleReport {
    /// Origin of the log.
    pub origin: String,
    /// Entries that the choice fell on.
    pub chosen: u64,
    /// Of them, those without a detail record: there is nothing to open.
    pub without_detail: u64,
    /// Detail records that are those of the entries, and whose section of the actor opened.
    pub opened: u64,
    /// Payloads that are those of the details, of the length of the headers.
    pub payloads_checked: u64,
    /// Of them, those that were searched: what released no restricted data.
    pub payloads_scanned: u64,
    /// Payloads that the site does not hold any more. A rising share is a finding.
    pub not_held: u64,
    /// What does not hold.
    pub findings: Vec<String>,
}

impl fmt::Display for SampleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "log         {}", self.origin.escape_debug())?;
        writeln!(f, "chosen      {}, {} of them without a detail", self.chosen, self.without_detail)?;
        writeln!(f, "opened      {}", self.opened)?;
        writeln!(
            f,
            "payloads    {} checked, {} searched, {} not held",
            self.payloads_checked, self.payloads_scanned, self.not_held
        )?;
        self.findings.iter().try_for_each(|finding| writeln!(f, "finding     {}", finding.escape_debug()))?;
        writeln!(f, "findings    {}", self.findings.len())
    }
}

/// Chooses entries of every gateway, asks the site to open them, and checks what it gives.
///
/// # Errors
/// If the mirror's folder cannot be used, or the site cannot be asked. What is wrong with an answer is a finding.
pub fn run_sample(options: &SampleOptions, auditor: &SigningKey) -> Result<Vec<SampleReport>, SampleError> {
    if !(1..=COUNT_MAX).contains(&options.count) {
        return Err(SampleError::Count);
    }
    let site = Site::open(&options.mirror, &options.site)?;
    let state = site.state()?;
    let ask = |error: crate::fetch::FetchError| SampleError::Ask(error.to_string());
    let fetcher = Fetcher::new(&options.base, options.certificates.as_deref(), false).map_err(ask)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(SampleError::Start)?;
    let mut reports = Vec::new();
    for enrolled in state.enrolled.iter().filter(|log| log.role == Role::Gateway) {
        if options.gateway.as_ref().is_some_and(|origin| *origin != enrolled.origin) {
            continue;
        }
        let log = site.open_log(enrolled)?;
        let Some(request) = Request::new(&site, &state, &log, options.count)? else { continue };
        let text = request.text();
        let note = format!("{text}\n{}", auditor.line(&text, 0));
        let answer =
            fetcher.post("samples", "text/plain; charset=utf-8", note.into_bytes(), ANSWER_BYTES_MAX);
        let answer = runtime.block_on(answer).map_err(ask)?;
        if answer.status != 200 {
            return Err(SampleError::Ask(format!("it answered with status {}", answer.status)));
        }
        reports.push(request.check(&log, &answer.body)?);
    }
    match &options.gateway {
        Some(origin) if reports.is_empty() => Err(FolderError::NotEnrolled(origin.clone()).into()),
        _ => Ok(reports),
    }
}

/// The entries of one gateway's log that a request would open now.
pub(crate) struct Choice {
    pub(crate) origin: String,
    /// Entries that the choice is made from, counted from 0.
    pub(crate) of: u64,
    /// Size of the site log's checkpoint that chooses.
    pub(crate) size: u64,
    pub(crate) indices: BTreeSet<u64>,
}

/// On which entries the choice falls under the site log's newest checkpoint; none if no round counts any.
pub(crate) fn choice(
    site: &Site,
    state: &State,
    log: &MirroredLog,
    count: u64,
) -> Result<Option<Choice>, FolderError> {
    let request = Request::new(site, state, log, count.clamp(1, COUNT_MAX))?;
    Ok(request.map(|request| Choice {
        indices: request.choice(),
        origin: request.origin,
        of: request.to,
        size: request.size,
    }))
}

/// What is asked of one log.
struct Request {
    origin: String,
    from: u64,
    to: u64,
    count: u64,
    /// Size and root of the site log's checkpoint.
    size: u64,
    root: Hash,
}

impl Request {
    /// Of all entries that the newest round counts; none if it counts none.
    fn new(site: &Site, state: &State, log: &MirroredLog, count: u64) -> Result<Option<Self>, FolderError> {
        let origin = log.checkpoint.origin.clone();
        let to = state.line(&origin).map_or(0, |(_, line)| line.size);
        if to > log.checkpoint.size {
            return Err(FolderError::NotCounted { origin, index: to });
        }
        let checkpoint = &site.log.checkpoint;
        let request = Self { origin, from: 0, to, count, size: checkpoint.size, root: checkpoint.root };
        Ok((to > 0).then_some(request))
    }

    fn text(&self) -> String {
        let Self { origin, from, to, count, size, root } = self;
        format!("clover sample request v1\n{origin}\n{from} {to} {count}\n{size} {}\n", BASE64.encode(root))
    }

    /// The indices on which the choice falls.
    fn choice(&self) -> BTreeSet<u64> {
        let index = |n: u64| {
            let mut bytes = b"clover sample v1\0".to_vec();
            bytes.extend_from_slice(self.origin.as_bytes());
            bytes.push(0);
            bytes.extend_from_slice(&self.root);
            [self.from, self.to, n].iter().for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
            let [a, b, c, d, e, f, g, h, ..] = sha256(&bytes);
            let draw = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            self.from + draw.checked_rem(self.to - self.from).unwrap_or(0)
        };
        (0..self.count).map(index).collect()
    }

    /// Checks an answer against the entries that are held.
    fn check(&self, log: &MirroredLog, answer: &[u8]) -> Result<SampleReport, FolderError> {
        let choice = self.choice();
        let mut report = SampleReport {
            origin: self.origin.clone(),
            chosen: choice.len() as u64,
            ..SampleReport::default()
        };
        let mut given: BTreeMap<u64, Opened> = BTreeMap::new();
        for line in answer.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(opened) = serde_json::from_slice::<Opened>(line) else {
                report.findings.push("a line of the answer is not of the form of the page".into());
                continue;
            };
            if !choice.contains(&opened.index) || given.contains_key(&opened.index) {
                report.findings.push(format!(
                    "the answer opens entry {}, which was not asked for or is there twice",
                    opened.index
                ));
                continue;
            }
            given.insert(opened.index, opened);
        }
        let mut nodes = Nodes::new(&log.tree);
        for index in choice {
            let entry = log.leaf(index, ENTRY_BYTES_MAX)?;
            let (size, root) = (log.checkpoint.size, log.checkpoint.root);
            let proof = nodes.inclusion(index, size)?;
            if root_from_proof(leaf_hash(&entry, &mut Vec::new()), index, size, &proof) != Some(root) {
                return Err(FolderError::Root(self.origin.clone()));
            }
            let wrong = |why: &str| format!("entry {index}: {why}");
            match (Header::parse(&entry), given.get(&index)) {
                (Err(error), _) => report.findings.push(wrong(&error.to_string())),
                (Ok(_), None) => report.findings.push(wrong("the answer leaves it out")),
                (Ok((header, _)), Some(opened)) => {
                    if let Err(why) = opened.check(&header, &mut report) {
                        report.findings.push(wrong(&why));
                    }
                }
            }
        }
        Ok(report)
    }
}

/// A line of an answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opened {
    index: u64,
    detail: Option<String>,
    entry_key: Option<String>,
    payload: Option<String>,
}

/// What is read of the section of actor and request.
#[derive(Deserialize)]
struct Actor {
    /// BLAKE3 of the payload, 64 lower-case hexadecimal digits.
    content: Option<String>,
}

impl Opened {
    fn check(&self, header: &Header, report: &mut SampleReport) -> Result<(), String> {
        if header.detail == [0; 32] {
            report.without_detail += 1;
            let nothing = self.detail.is_none() && self.entry_key.is_none();
            return nothing.then_some(()).ok_or_else(|| "it has no detail, and the answer gives one".into());
        }
        let decode = |text: &Option<String>, what: &str| {
            let text = text.as_ref().ok_or_else(|| format!("the answer has no {what}"))?;
            BASE64.decode(text.as_bytes()).map_err(|_| format!("the {what} is not base64"))
        };
        let detail = decode(&self.detail, "detail")?;
        if detail.len() > DETAIL_BYTES_MAX || sha256(&detail) != header.detail {
            return Err("the detail is not the one of the header".into());
        }
        let key = decode(&self.entry_key, "entry key")?;
        let key: [u8; 32] = key.try_into().map_err(|_| "the entry key has not 32 bytes")?;
        let actor = open_actor(&detail, &header.flow, &key)?;
        let actor: Actor =
            serde_json::from_slice(&actor).map_err(|_| "the section of the actor is malformed")?;
        report.opened += 1;
        // Only what was released in one piece has a payload to compare.
        if header.kind != Kind::Answer {
            return Ok(());
        }
        if self.payload.is_none() {
            report.not_held += 1;
            return Ok(());
        }
        let payload = decode(&self.payload, "payload")?;
        if payload.len() as u64 != header.bytes {
            return Err("the payload has another length than the header says".into());
        }
        if actor.content.as_deref() != Some(blake3::hash(&payload).to_hex().as_str()) {
            return Err("the payload is not the one of the detail".into());
        }
        report.payloads_checked += 1;
        // Restricted data that the decision released, like a person's own, is allowed to look like it.
        if header.classes & Class::Restricted.bit() != 0 {
            return Ok(());
        }
        report.payloads_scanned += 1;
        let seen: Vec<String> =
            scan(&payload).iter().map(|(kind, count)| format!("{} {count}", word(*kind))).collect();
        if seen.is_empty() {
            Ok(())
        } else {
            Err(format!("the payload looks like restricted data: {}", seen.join(", ")))
        }
    }
}

fn word(kind: Identifier) -> &'static str {
    match kind {
        Identifier::Email => "mail addresses",
        Identifier::Phone => "telephone numbers",
        Identifier::Iban => "bank accounts",
        Identifier::Card => "payment cards",
        Identifier::Ipv4 | Identifier::Ipv6 => "network addresses",
        Identifier::Coordinates => "coordinates",
    }
}

/// Whether a detail record opens with a key that is no secret.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn opens(record: &[u8]) -> bool {
    record.len() <= DETAIL_BYTES_MAX && open_actor(record, &[7; 16], &[7; 32]).is_ok()
}
