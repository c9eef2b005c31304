//! Rulebooks: a folder of text files and a manifest that operator and auditor signed.

mod access;
mod assessments;
mod catalogue;
mod lanes;
mod programme;

use std::{
    collections::BTreeMap,
    fs, io,
    sync::{Arc, Mutex, PoisonError},
};

pub(crate) use access::Procedures;
pub(crate) use assessments::{Assessments, Standing};
pub(crate) use catalogue::Catalogue;
pub(crate) use lanes::{Lanes, Noise, ShortName};
pub(crate) use programme::{Holder, Programme};

use crate::{
    decide::Judge,
    hash::{Hash, sha256},
    note::{NOTE_BYTES_MAX, VerifierKey, open},
    tree::{ReadError, Tree, hex, hex_of},
};

/// No file of a rulebook comes near it.
pub(crate) const FILE_BYTES_MAX: u64 = 16 << 20;
pub(crate) const MANIFEST: &str = "manifest.note";
/// What the operator proves of the policies. It is signed with them and decides nothing.
const PROPERTIES: &str = "properties.cedar";
const ASSESSMENTS: &str = "assessments.toml";
const FIRST_LINE: &str = "clover-rulebook/v1";

/// A rulebook that both have signed and that can be read.
pub(crate) struct Rulebook {
    pub(crate) programme: Programme,
    pub(crate) catalogue: Catalogue,
    pub(crate) lanes: Lanes,
    /// Who approves what.
    pub(crate) procedures: Procedures,
    /// Absent when nothing is to be decided again.
    pub(crate) judge: Option<Judge>,
}

/// A rulebook, or the file that is wrong and what is wrong with it.
type Loaded = Result<Arc<Rulebook>, (String, String)>;

/// The rulebooks of a tree, each read once, when an entry first names it.
pub(crate) struct Rulebooks<'t> {
    tree: &'t Tree,
    signers: [&'t VerifierKey; 2],
    redecide: bool,
    known: Mutex<BTreeMap<Hash, Loaded>>,
}

/// A log that names more rulebooks than this has each further one read whenever it is named.
const KNOWN_MAX: usize = 10_000;

impl<'t> Rulebooks<'t> {
    pub(crate) fn new(tree: &'t Tree, signers: [&'t VerifierKey; 2], redecide: bool) -> Self {
        Self { tree, signers, redecide, known: Mutex::default() }
    }

    /// The operator's key and the auditor's.
    pub(crate) fn signers(&self) -> [&'t VerifierKey; 2] {
        self.signers
    }

    /// The rulebook of this digest, or what is wrong with it.
    pub(crate) fn find(&self, digest: &Hash) -> Loaded {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(digest) {
            return known.clone();
        }
        let found = self.load(digest).map(Arc::new);
        if known.len() < KNOWN_MAX {
            known.insert(*digest, found.clone());
        }
        found
    }

    fn load(&self, digest: &Hash) -> Result<Rulebook, (String, String)> {
        let folder = format!("rulebook/{}", hex_of(digest));
        let files = self.signed_files(&folder, digest)?;
        let problem = |name: &str, text: String| (format!("{folder}/{name}"), text);
        let text = |name: &str| {
            let bytes = files.get(name).ok_or_else(|| problem(name, "it is not in the rulebook".into()))?;
            std::str::from_utf8(bytes).map_err(|_| problem(name, "it is not UTF-8".into()))
        };
        let mut programme = Programme::parse(text("programme.toml")?)
            .map_err(|error| problem("programme.toml", error.to_string()))?;
        // A programme without destinations may do without: then nothing crosses.
        if files.contains_key(ASSESSMENTS) || !programme.destinations.is_empty() {
            programme.assessments = Assessments::parse(text(ASSESSMENTS)?)
                .map_err(|error| problem(ASSESSMENTS, error.to_string()))?;
        }
        if let Some(inside) =
            programme.assessments.countries().find(|code| programme.countries.contains(*code))
        {
            return Err(problem(ASSESSMENTS, format!("`{inside}` is inside the region")));
        }
        let catalogue = Catalogue::parse(text("catalogue.toml")?)
            .map_err(|error| problem("catalogue.toml", error.to_string()))?;
        let lanes =
            Lanes::parse(text("lanes.toml")?).map_err(|error| problem("lanes.toml", error.to_string()))?;
        let procedures = Procedures::parse(text("access.toml")?)
            .map_err(|error| problem("access.toml", error.to_string()))?;
        let schema = text("clover.cedarschema")?;
        let mut policies = String::new();
        for name in files.keys().filter(|name| name.ends_with(".cedar") && *name != PROPERTIES) {
            policies.push_str(text(name)?);
            policies.push('\n');
        }
        let judge = if self.redecide {
            Some(Judge::new(schema, &policies).map_err(|error| problem("*.cedar", error.to_string()))?)
        } else {
            None
        };
        Ok(Rulebook { programme, catalogue, lanes, procedures, judge })
    }

    /// Reads the files that the signed manifest names, and refuses any that is missing, altered or extra.
    fn signed_files(
        &self,
        folder: &str,
        digest: &Hash,
    ) -> Result<BTreeMap<String, Vec<u8>>, (String, String)> {
        let path = format!("{folder}/{MANIFEST}");
        let at_manifest = |text: String| (path.clone(), text);
        let mut note = Vec::new();
        self.tree.read(&path, NOTE_BYTES_MAX, &mut note).map_err(|error| at_manifest(unread(&error)))?;
        let manifest = open(&note, &self.signers).map_err(|error| at_manifest(error.to_string()))?;
        if sha256(manifest.as_bytes()) != *digest {
            return Err(at_manifest("it is the manifest of another rulebook".into()));
        }
        let named = named_files(manifest).ok_or_else(|| at_manifest("it is malformed".into()))?;
        let mut files = BTreeMap::new();
        for (name, hash) in named {
            let path = format!("{folder}/{name}");
            let mut bytes = Vec::new();
            match self.tree.read(&path, FILE_BYTES_MAX, &mut bytes) {
                Err(error) => return Err((path, unread(&error))),
                Ok(()) if sha256(&bytes) != hash => return Err((path, "it is not the signed file".into())),
                Ok(()) => files.insert(name.to_owned(), bytes),
            };
        }
        match self.extra(folder, &files) {
            Ok(None) => Ok(files),
            Ok(Some(name)) => Err((format!("{folder}/{name}"), "the manifest does not name it".into())),
            Err(error) => Err((folder.to_owned(), format!("it cannot be listed: {error}"))),
        }
    }

    fn extra(&self, folder: &str, files: &BTreeMap<String, Vec<u8>>) -> io::Result<Option<String>> {
        for item in fs::read_dir(self.tree.path(folder))? {
            let item = item?;
            let name = item.file_name().to_string_lossy().into_owned();
            if !item.file_type()?.is_file() || (name != MANIFEST && !files.contains_key(&name)) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

fn unread(error: &ReadError) -> String {
    match error {
        ReadError::Missing => "it is missing".into(),
        ReadError::TooLong => "it is longer than it may be".into(),
        ReadError::Unreadable(error) => format!("it cannot be read: {error}"),
    }
}

/// The names and hashes of a manifest, or `None` if a line is not as it must be.
pub(crate) fn named_files(manifest: &str) -> Option<Vec<(&str, Hash)>> {
    let mut lines = manifest.strip_suffix('\n')?.split('\n');
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let mut files: Vec<(&str, Hash)> = Vec::new();
    for line in lines {
        let (hash, name) = line.split_once(' ')?;
        let ascends = files.last().is_none_or(|(last, _)| *last < name);
        if !ascends || !name_is_good(name) {
            return None;
        }
        files.push((name, hex(hash)?));
    }
    Some(files)
}

fn name_is_good(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && !name.starts_with('.') && name != MANIFEST && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_plain_files_in_ascending_order() {
        let hash = "00".repeat(32);
        let manifest = |names: &[&str]| {
            let lines: String = names.iter().map(|name| format!("{hash} {name}\n")).collect();
            format!("{FIRST_LINE}\n{lines}")
        };
        assert_eq!(named_files(&manifest(&["a.cedar", "b.toml"])).map(|files| files.len()), Some(2));
        for names in
            [&["b", "a"][..], &["a", "a"], &["../a"], &["a/b"], &[".."], &[""], &["a b"], &["manifest.note"]]
        {
            assert!(named_files(&manifest(names)).is_none(), "{names:?}");
        }
        assert!(named_files("clover-rulebook/v2\n").is_none());
        assert!(named_files(&format!("{FIRST_LINE}\n{} a\n", "0A".repeat(32))).is_none());
        assert!(named_files(&format!("{FIRST_LINE}\n{hash} a")).is_none());
    }
}
