//! Checking a pack, offline and from its bytes alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::{
    AUDITOR_KEY, ENTRIES_MAX, EvidenceError, FORMAT, MANIFEST, MANIFEST_FIRST_LINE, MANIFEST_NOTE, Manifest,
    Named, README, SITE_CHECKPOINT, SITE_KEY,
    proofs::Link,
    zip::{self, Files},
};
use crate::{
    checkpoint::Checkpoint,
    hash::{Hash, sha256},
    header::Header,
    history::{Witnessed, date, words::Told},
    note::{VerifierKey, open},
    proof::{open_proof, verify_proof},
    quorum::Policy,
    siteleaf::{Enrolled, Role, RoundLine, SiteBody, SiteLeaf},
    tree::{hex, hex_of},
};

type Result<T> = std::result::Result<T, EvidenceError>;

/// Whom to believe. What is absent is taken from the pack, and then says so.
#[derive(Clone, Debug, Default)]
pub struct EvidenceTrust {
    /// The key of the site log.
    pub site: Option<VerifierKey>,
    /// The auditor's key.
    pub auditor: Option<VerifierKey>,
    /// The operator's key; with the auditor's it checks the rulebooks' signatures.
    pub operator: Option<VerifierKey>,
    /// A policy of witnesses (C2SP tlog-policy) whose quorum must have cosigned the site's checkpoint.
    pub policy: Option<String>,
}

/// What a pack shows.
#[derive(Clone, Debug, Serialize)]
pub struct EvidenceReport {
    /// Origin of the site log.
    pub site: String,
    /// Size of the site log.
    pub size: u64,
    /// When the pack was made, as the auditor says.
    pub made: String,
    /// Who vouches for the site's checkpoint.
    pub witnessed: Witnessed,
    /// Rulebooks that are whole.
    pub rulebooks: u64,
    /// Days whose maps are named by the site log that is proved.
    pub day_maps: Vec<String>,
    /// What is shown, each in a line.
    pub proves: Vec<String>,
    /// What is not shown, each in a line.
    pub leaves_open: Vec<String>,
    entries: Vec<Told>,
}

impl EvidenceReport {
    /// How many entries are proved.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.len()
    }
}

impl fmt::Display for EvidenceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "site        {}, {} entries", self.site.escape_debug(), self.size)?;
        writeln!(f, "made        {}", self.made.escape_debug())?;
        writeln!(f, "witnessed   {}", self.witnessed)?;
        writeln!(f, "entries     {}", self.entries.len())?;
        for entry in &self.entries {
            writeln!(f, "  {}", entry.line())?;
        }
        for day in &self.day_maps {
            writeln!(f, "day map     of {day} is in the site's log")?;
        }
        writeln!(f, "It shows:")?;
        self.proves.iter().try_for_each(|line| writeln!(f, "  - {line}"))?;
        writeln!(f, "It does not show:")?;
        self.leaves_open.iter().try_for_each(|line| writeln!(f, "  - {line}"))
    }
}

/// Checks a pack.
///
/// # Errors
/// If anything in it does not hold, is missing, or is left over: then it shows nothing.
///
/// ```
/// assert!(audit::verify_evidence(b"PK", &audit::EvidenceTrust::default()).is_err());
/// ```
pub fn verify_evidence(file: &[u8], trust: &EvidenceTrust) -> Result<EvidenceReport> {
    let files = zip::read(file).map_err(|error| EvidenceError::Form(error.to_string()))?;
    let mut pack = Pack { files: &files, used: BTreeSet::from([MANIFEST, MANIFEST_NOTE, README]) };
    let auditor = pack.key(trust.auditor.as_ref(), AUDITOR_KEY)?;
    let manifest = pack.manifest(&auditor)?;
    let site = pack.key(trust.site.as_ref(), SITE_KEY)?;
    let checkpoint = pack.checkpoint(&site, &manifest)?;
    let witnessed = witnessed(pack.get(SITE_CHECKPOINT)?, &site, trust)?;
    let leaves = pack.site_leaves(&site, &checkpoint)?;
    let (mut entries, mut rulebooks) = (Vec::new(), BTreeSet::new());
    for named in &manifest.entries {
        let header = pack.entry(named, &leaves)?;
        rulebooks.insert(header.rulebook);
        entries.push(Told::new(&named.origin, &header));
    }
    rulebooks.remove(&[0; 32]);
    for digest in &rulebooks {
        pack.rulebook(digest, &auditor, trust.operator.as_ref())?;
    }
    pack.nothing_is_left_over()?;
    let mut report = EvidenceReport {
        site: checkpoint.origin,
        size: checkpoint.size,
        made: manifest.made,
        witnessed,
        rulebooks: rulebooks.len() as u64,
        day_maps: leaves.maps,
        proves: Vec::new(),
        leaves_open: Vec::new(),
        entries,
    };
    report.explain(trust);
    Ok(report)
}

impl EvidenceReport {
    fn explain(&mut self, trust: &EvidenceTrust) {
        let mut shows = |text: &str| self.proves.push(text.to_owned());
        shows("every file is the one that the auditor's key signed");
        shows("each entry is in its gateway's log, signed by the gateway's key, which the site's log enrols");
        shows(
            "each entry is counted by a round of the site's log, so that whoever cosigned that log vouches for it",
        );
        if self.rulebooks > 0 {
            shows(
                "the rulebooks are those that the entries name, file by file, and the auditor's key signed them",
            );
        }
        let mut open = |text: &str| self.leaves_open.push(text.to_owned());
        if trust.site.is_none() {
            open("whose log it is: the site's key is the pack's own word");
        }
        if trust.auditor.is_none() {
            open("who made it: the auditor's key is the pack's own word");
        }
        if self.rulebooks > 0 && trust.operator.is_none() {
            open("that the operator signed the rulebooks: no operator's key was given");
        }
        if self.witnessed == Witnessed::No {
            open("that others saw the same log: it is not independently witnessed");
        }
        open("that there are no other entries");
        open("that the decisions were right: `clover-audit replay` decides again");
        open("whom the entries name, and what was in the payload");
    }
}

fn witnessed(note: &[u8], site: &VerifierKey, trust: &EvidenceTrust) -> Result<Witnessed> {
    let Some(text) = &trust.policy else { return Ok(Witnessed::No) };
    let policy = Policy::parse(text).map_err(|error| EvidenceError::file("policy", error.to_string()))?;
    let cosigners = policy.check(note, site);
    let cosigners = cosigners.map_err(|error| EvidenceError::file(SITE_CHECKPOINT, error.to_string()))?;
    Ok(if policy.asks() { Witnessed::by(cosigners) } else { Witnessed::No })
}

/// What the entries of the site log in the pack say.
#[derive(Default)]
struct Leaves {
    enrolled: Vec<Enrolled>,
    lines: Vec<RoundLine>,
    maps: Vec<String>,
}

/// The files, and which of them have been looked at.
struct Pack<'f> {
    files: &'f Files,
    used: BTreeSet<&'f str>,
}

impl<'f> Pack<'f> {
    fn get(&mut self, path: &str) -> Result<&'f [u8]> {
        let missing = || EvidenceError::file(path, "it is missing");
        let (name, bytes) = self.files.get_key_value(path).ok_or_else(missing)?;
        self.used.insert(name);
        Ok(bytes)
    }

    /// The key that is trusted, which must be the pack's, or else the pack's.
    fn key(&mut self, trusted: Option<&VerifierKey>, path: &str) -> Result<VerifierKey> {
        let own = self.parse_key(path)?;
        match trusted {
            Some(trusted) if *trusted != own => {
                Err(EvidenceError::file(path, "it is another key than the trusted one"))
            }
            _ => Ok(own),
        }
    }

    fn parse_key(&mut self, path: &str) -> Result<VerifierKey> {
        let text = String::from_utf8_lossy(self.get(path)?).into_owned();
        VerifierKey::parse(&text).map_err(|error| EvidenceError::file(path, error.to_string()))
    }

    /// The manifest, signed by the auditor, of just these files.
    fn manifest(&mut self, auditor: &VerifierKey) -> Result<Manifest> {
        let bytes = self.get(MANIFEST)?;
        let text = open(self.get(MANIFEST_NOTE)?, &[auditor]);
        let text = text.map_err(|error| EvidenceError::file(MANIFEST_NOTE, error.to_string()))?;
        if text != format!("{MANIFEST_FIRST_LINE}\n{}\n", HEXLOWER.encode(&sha256(bytes))) {
            return Err(EvidenceError::file(MANIFEST_NOTE, "it is of another manifest"));
        }
        let manifest: Manifest = serde_json::from_slice(bytes)
            .map_err(|_| EvidenceError::file(MANIFEST, "it is not of the form of the page"))?;
        if manifest.format != FORMAT {
            return Err(EvidenceError::file(MANIFEST, "its format is another"));
        }
        let others =
            self.files.iter().filter(|(name, _)| ![MANIFEST, MANIFEST_NOTE].contains(&name.as_str()));
        let found: BTreeMap<_, _> =
            others.map(|(name, file)| (name.clone(), HEXLOWER.encode(&sha256(file)))).collect();
        if let Some((name, _)) = found.iter().find(|(name, _)| !manifest.files.contains_key(*name)) {
            return Err(EvidenceError::file(name, "the manifest does not name it"));
        }
        match manifest.files.iter().find(|(name, digest)| found.get(*name) != Some(*digest)) {
            Some((name, _)) => {
                Err(EvidenceError::file(name, "it is missing, or not the one of the manifest"))
            }
            None if !(1..=ENTRIES_MAX).contains(&manifest.entries.len()) => {
                Err(EvidenceError::Count(manifest.entries.len()))
            }
            None => Ok(manifest),
        }
    }

    fn checkpoint(&mut self, site: &VerifierKey, manifest: &Manifest) -> Result<Checkpoint> {
        let refused = |why: String| EvidenceError::file(SITE_CHECKPOINT, why);
        let checkpoint =
            Checkpoint::open(self.get(SITE_CHECKPOINT)?, site).map_err(|error| refused(error.to_string()))?;
        if checkpoint.origin != site.name() || checkpoint.origin != manifest.site {
            return Err(refused("its origin is not that of the key and of the manifest".into()));
        }
        Ok(checkpoint)
    }

    fn site_leaves(&mut self, site: &VerifierKey, checkpoint: &Checkpoint) -> Result<Leaves> {
        let names = self.files.keys().filter(|name| name.starts_with("site/") && name.ends_with(".leaf"));
        let mut leaves = Leaves::default();
        for name in names {
            let refused = |why: String| EvidenceError::file(name, why);
            let bytes = self.get(name)?;
            let proof = self.get(&format!("{}.proof", name.trim_end_matches(".leaf")))?;
            let (shown, index) =
                open_proof(bytes, proof, site).map_err(|error| refused(error.to_string()))?;
            if shown.root != checkpoint.root || shown.size != checkpoint.size {
                return Err(refused("its proof is under another checkpoint".into()));
            }
            let leaf = SiteLeaf::parse(bytes).map_err(|error| refused(error.to_string()))?;
            let log = sha256(checkpoint.origin.as_bytes());
            if *name != format!("site/{index}.leaf")
                || leaf.sequence != index
                || log.first_chunk() != Some(&leaf.log)
            {
                return Err(refused("it is of another log or place".into()));
            }
            match leaf.body {
                SiteBody::Enrolment(logs) => leaves.enrolled.extend(logs),
                SiteBody::Round(lines) => leaves.lines.extend(lines),
                SiteBody::DayMap(map) => leaves.maps.push(date(map.day)),
                _ => {}
            }
        }
        Ok(leaves)
    }

    /// An entry that is in the gateway's log, which is enrolled, and in a round.
    fn entry(&mut self, named: &Named, leaves: &Leaves) -> Result<Header> {
        let path = |end: &str| format!("{}.{end}", named.path);
        let refused = |end: &str, why: &str| EvidenceError::file(path(end), why);
        let bytes = self.get(&path("entry"))?;
        let Some((folder, _)) = named.path.rsplit_once('/') else {
            return Err(refused("entry", "it lies nowhere"));
        };
        let key = self.parse_key(&format!("{folder}/log.vkey"))?;
        let enrolled = leaves.enrolled.iter().any(|log| {
            let same_key = VerifierKey::parse(&log.vkey).is_ok_and(|enrolled| enrolled == key);
            log.origin == named.origin && log.role == Role::Gateway && key.name() == named.origin && same_key
        });
        if !enrolled {
            return Err(refused("entry", "the site's log does not enrol the key of its log"));
        }
        let shown = verify_proof(bytes, self.get(&path("proof"))?, &key);
        let shown = shown.map_err(|error| refused("proof", &error.to_string()))?;
        if (&shown.origin, shown.index) != (&named.origin, named.index) {
            return Err(refused("proof", "it is of another entry"));
        }
        let link = Link::parse(self.get(&path("link"))?).ok_or_else(|| refused("link", "it is malformed"))?;
        let counted = leaves
            .lines
            .iter()
            .any(|line| (&line.origin, line.size, line.root) == (&link.origin, link.size, link.root));
        if link.origin != named.origin || link.index != named.index || !counted || !link.holds(bytes) {
            return Err(refused("link", "it does not lead to a round of the site's log"));
        }
        let (header, _) = Header::parse(bytes).map_err(|error| refused("entry", &error.to_string()))?;
        if sha256(named.origin.as_bytes()).first_chunk() != Some(&header.gateway) {
            return Err(refused("entry", "it is of another log than its header says"));
        }
        Ok(header)
    }

    /// A rulebook that is whole, and signed by the auditor, and the operator if the key is given.
    fn rulebook(
        &mut self,
        digest: &Hash,
        auditor: &VerifierKey,
        operator: Option<&VerifierKey>,
    ) -> Result<()> {
        let folder = format!("rulebook/{}/", hex_of(digest));
        let path = format!("{folder}manifest.note");
        let refused = |why: &str| EvidenceError::file(&path, why);
        let keys: Vec<_> = std::iter::once(auditor).chain(operator).collect();
        let text = open(self.get(&path)?, &keys).map_err(|error| refused(&error.to_string()))?;
        if sha256(text.as_bytes()) != *digest {
            return Err(refused("it is the manifest of another rulebook"));
        }
        let lines = text.strip_prefix("clover-rulebook/v1\n").and_then(|rest| rest.strip_suffix('\n'));
        for line in lines.ok_or_else(|| refused("it is malformed"))?.split('\n') {
            let (hash, name) = line.split_once(' ').ok_or_else(|| refused("it is malformed"))?;
            let path = format!("{folder}{name}");
            if hex(hash) != Some(sha256(self.get(&path)?)) {
                return Err(EvidenceError::file(path, "it is not the file that was signed"));
            }
        }
        Ok(())
    }

    fn nothing_is_left_over(&self) -> Result<()> {
        let known = |name: &str| self.used.contains(name) || name.starts_with("incident/");
        match self.files.keys().find(|name| !known(name)) {
            Some(name) => Err(EvidenceError::file(name, "it has no place in a pack")),
            None => Ok(()),
        }
    }
}
