//! Making a pack from a mirror's folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use data_encoding::HEXLOWER;

use super::{
    AUDITOR_KEY, ENTRIES_MAX, EvidenceError, EvidenceOptions, FORMAT, MANIFEST, MANIFEST_FIRST_LINE,
    MANIFEST_NOTE, Manifest, Named, README, SITE_CHECKPOINT, SITE_KEY, Selection,
    proofs::{Link, proof_file},
    zip::{self, FILE_BYTES_MAX, Files},
};
use crate::{
    bundle::{BUNDLE_BYTES_MAX, ENTRY_BYTES_MAX},
    cosign::SigningKey,
    daymap::DAY_SECONDS,
    hash::{Hash, sha256},
    header::Header,
    history::words::instant,
    nodes::Nodes,
    siteleaf::{Role, RoundLine, SITE_LEAF_BYTES_MAX, SiteBody},
    sitelog::{FolderError, MirroredLog, Site, State},
    tree::hex_of,
};

type Result<T> = std::result::Result<T, EvidenceError>;

/// Makes a pack, and signs it at `now` (Unix seconds) with the auditor's key.
///
/// # Errors
/// If the mirror's folder cannot be used, holds an entry not yet under a round of the site log, or nothing or too much was chosen.
pub fn collect_evidence(options: &EvidenceOptions, auditor: &SigningKey, now: u64) -> Result<Vec<u8>> {
    let site = Site::open(&options.mirror, &options.site)?;
    let survey = Survey::of(&site)?;
    let chosen = choose(options, &site, &survey)?;
    let mut pack = Pack {
        site: &site,
        survey: &survey,
        files: Files::new(),
        entries: Vec::new(),
        leaves: BTreeSet::new(),
    };
    pack.leaves.extend([survey.state.enrolment, survey.round()?.0]);
    for (number, (origin, indices)) in chosen.iter().enumerate() {
        pack.log(number, origin, indices)?;
    }
    pack.day_maps(&options.selection);
    pack.site_leaves()?;
    for (name, bytes) in &options.attachments {
        pack.files.insert(format!("incident/{name}"), bytes.clone());
    }
    pack.files.insert(SITE_KEY.into(), format!("{}\n", options.site.text()).into_bytes());
    pack.files.insert(AUDITOR_KEY.into(), format!("{}\n", auditor.vkey()).into_bytes());
    pack.files.insert(SITE_CHECKPOINT.into(), site.log.note.clone());
    pack.files.insert(README.into(), include_bytes!("README.txt").to_vec());
    pack.seal(auditor, now)
}

/// What one walk over the site log tells.
struct Survey {
    state: State,
    /// Places of the day-map entries.
    maps: Vec<(u64, u64)>,
}

impl Survey {
    fn of(site: &Site) -> Result<Self> {
        let (mut state, mut maps) = (State::default(), Vec::new());
        site.each(|leaf| {
            if let SiteBody::DayMap(map) = &leaf.body {
                maps.push((map.day, leaf.sequence));
            }
            state.take(leaf);
            Ok(())
        })?;
        Ok(Self { state, maps })
    }

    fn round(&self) -> Result<&(u64, Vec<RoundLine>)> {
        let nothing = || FolderError::NotCounted { origin: String::new(), index: 0 };
        Ok(self.state.round.as_ref().ok_or_else(nothing)?)
    }
}

/// The chosen entries of each log.
type Chosen = BTreeMap<String, BTreeSet<u64>>;

fn choose(options: &EvidenceOptions, site: &Site, survey: &Survey) -> Result<Chosen> {
    let mut chosen = Chosen::new();
    match &options.selection {
        Selection::Entries(entries) => {
            for (origin, index) in entries {
                chosen.entry(origin.clone()).or_default().insert(*index);
            }
        }
        Selection::Day(day) => {
            for enrolled in survey.state.enrolled.iter().filter(|log| log.role == Role::Gateway) {
                let counted = survey.state.line(&enrolled.origin).map_or(0, |(_, line)| line.size);
                let found = entries_of(&site.open_log(enrolled)?, *day, counted)?;
                chosen.insert(enrolled.origin.clone(), found);
            }
            chosen.retain(|_, indices| !indices.is_empty());
        }
    }
    let count = chosen.values().map(BTreeSet::len).sum();
    if (1..=ENTRIES_MAX).contains(&count) { Ok(chosen) } else { Err(EvidenceError::Count(count)) }
}

/// The entries of a day that a round counts.
fn entries_of(log: &MirroredLog, day: u64, counted: u64) -> Result<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    log.each(BUNDLE_BYTES_MAX, ENTRY_BYTES_MAX, |index, entry| {
        let of_day = Header::parse(entry).is_ok_and(|(header, _)| header.time / DAY_SECONDS == day);
        if of_day && index < counted && found.len() <= ENTRIES_MAX {
            found.insert(index);
        }
        Ok::<_, FolderError>(())
    })?;
    Ok(found)
}

/// A pack in the making.
struct Pack<'a> {
    site: &'a Site,
    survey: &'a Survey,
    files: Files,
    entries: Vec<Named>,
    /// Entries of the site log that go along.
    leaves: BTreeSet<u64>,
}

impl Pack<'_> {
    fn log(&mut self, number: usize, origin: &str, indices: &BTreeSet<u64>) -> Result<()> {
        let enrolled = self.survey.state.gateway(origin)?;
        let log = self.site.open_log(enrolled)?;
        let (_, line) = self.survey.state.line(origin).ok_or_else(|| not_counted(origin, 0))?;
        self.files.insert(format!("logs/{number}/log.vkey"), format!("{}\n", enrolled.vkey).into_bytes());
        let mut nodes = Nodes::new(&log.tree);
        let mut rulebooks = BTreeSet::new();
        for index in indices.iter().copied() {
            if index >= line.size || line.size > log.checkpoint.size {
                return Err(not_counted(origin, index).into());
            }
            let entry = log.leaf(index, ENTRY_BYTES_MAX)?;
            let path = format!("logs/{number}/{index}");
            let proof = nodes.inclusion(index, log.checkpoint.size).map_err(FolderError::from)?;
            self.files.insert(format!("{path}.proof"), proof_file(index, &proof, &log.note));
            let proof = nodes.inclusion(index, line.size).map_err(FolderError::from)?;
            let link = Link { origin: origin.to_owned(), size: line.size, root: line.root, index, proof };
            if !link.holds(&entry) {
                return Err(FolderError::Root(origin.to_owned()).into());
            }
            self.files.insert(format!("{path}.link"), link.to_file());
            if let Ok((header, _)) = Header::parse(&entry) {
                rulebooks.insert(header.rulebook);
            }
            self.files.insert(format!("{path}.entry"), entry);
            self.entries.push(Named { origin: origin.to_owned(), index, path });
        }
        rulebooks.remove(&[0; 32]);
        rulebooks.iter().try_for_each(|digest| self.rulebook(&log, digest))
    }

    fn rulebook(&mut self, log: &MirroredLog, digest: &Hash) -> Result<()> {
        let folder = format!("rulebook/{}", hex_of(digest));
        let path = log.tree.path(&folder);
        let unread = || FolderError::Unreadable(path.clone());
        for item in fs::read_dir(&path).map_err(|_| unread())? {
            let name = item.map_err(|_| unread())?.file_name().to_string_lossy().into_owned();
            let path = format!("{folder}/{name}");
            let mut bytes = Vec::new();
            log.tree.read(&path, FILE_BYTES_MAX as u64, &mut bytes).map_err(|_| unread())?;
            self.files.insert(path, bytes);
        }
        Ok(())
    }

    /// The day maps of the chosen day go along.
    fn day_maps(&mut self, selection: &Selection) {
        if let Selection::Day(chosen) = selection {
            let places = self.survey.maps.iter().filter(|(day, _)| day == chosen).map(|(_, place)| *place);
            self.leaves.extend(places);
        }
    }

    fn site_leaves(&mut self) -> Result<()> {
        let log = &self.site.log;
        let mut nodes = Nodes::new(&log.tree);
        for index in &self.leaves {
            let proof = nodes.inclusion(*index, log.checkpoint.size).map_err(FolderError::from)?;
            self.files.insert(format!("site/{index}.leaf"), log.leaf(*index, SITE_LEAF_BYTES_MAX)?);
            self.files.insert(format!("site/{index}.proof"), proof_file(*index, &proof, &log.note));
        }
        Ok(())
    }

    fn seal(mut self, auditor: &SigningKey, now: u64) -> Result<Vec<u8>> {
        let digest = |(name, file): (&String, &Vec<u8>)| (name.clone(), HEXLOWER.encode(&sha256(file)));
        let manifest = Manifest {
            format: FORMAT.into(),
            made: instant(now),
            site: self.site.log.checkpoint.origin.clone(),
            entries: self.entries,
            files: self.files.iter().map(digest).collect(),
        };
        let mut manifest =
            serde_json::to_vec_pretty(&manifest).map_err(|error| EvidenceError::Pack(error.to_string()))?;
        manifest.push(b'\n');
        let text = format!("{MANIFEST_FIRST_LINE}\n{}\n", HEXLOWER.encode(&sha256(&manifest)));
        let note = format!("{text}\n{}", auditor.line(&text, now));
        self.files.insert(MANIFEST.into(), manifest);
        self.files.insert(MANIFEST_NOTE.into(), note.into_bytes());
        zip::write(&self.files).map_err(|error| EvidenceError::Pack(error.to_string()))
    }
}

fn not_counted(origin: &str, index: u64) -> FolderError {
    FolderError::NotCounted { origin: origin.to_owned(), index }
}
