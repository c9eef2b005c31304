//! What entries name and the tree must hold beside them: tag lists and rulebooks.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::{
    durable,
    hash::Hash,
    note::{NOTE_BYTES_MAX, VerifierKey, open},
    rulebook::{FILE_BYTES_MAX, MANIFEST, Rulebooks, named_files},
    tags::fold,
    tree::{Tree, hex_of},
};

const TAG_BYTES: usize = 16;
/// Four million people in one entry; more is refused.
const LIST_BYTES_MAX: usize = 64 << 20;
/// No rulebook comes near it.
const RULEBOOK_FILES_MAX: usize = 256;

/// Who must have signed a rulebook.
pub(crate) struct Signers {
    pub(crate) operator: VerifierKey,
    pub(crate) auditor: VerifierKey,
}

/// Why a tag list or a rulebook is not held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExtraError {
    #[error("the tag list `{0}` is refused: {1}")]
    List(String, String),
    #[error("the rulebook `{0}` is refused: {1}")]
    Rulebook(String, String),
    #[error("cannot write or read the mirror's own tree: {0}")]
    Io(#[from] io::Error),
}

/// The path of a tag list in the layout.
pub(crate) fn list_name(root: &Hash) -> String {
    format!("tags/{}", hex_of(root))
}

pub(crate) fn list_path(tree: &Path, root: &Hash) -> PathBuf {
    tree.join(list_name(root))
}

/// How long a list of `count` tags is.
pub(crate) fn list_bytes(count: u32) -> Result<usize, ExtraError> {
    let bytes = usize::try_from(count).ok().and_then(|count| count.checked_mul(TAG_BYTES));
    bytes
        .filter(|bytes| *bytes <= LIST_BYTES_MAX)
        .ok_or_else(|| ExtraError::List(String::new(), format!("{count} tags are too many")))
}

/// Whether the list is there. What is there was checked when it came, but an entry may count it otherwise.
pub(crate) fn list_is_held(path: &Path, count: u32) -> Result<bool, ExtraError> {
    match fs::metadata(path) {
        Ok(file) if file.len() == u64::from(count) * TAG_BYTES as u64 => Ok(true),
        Ok(file) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let held = file.len() / TAG_BYTES as u64;
            Err(ExtraError::List(name, format!("an entry says {count} tags, and it has {held}")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Checks a list and writes it. It is flushed with the entries that name it.
pub(crate) fn keep_list(
    temporary: &Path,
    path: &Path,
    root: &Hash,
    count: u32,
    bytes: &[u8],
) -> Result<(), ExtraError> {
    let refused = |why: &str| ExtraError::List(hex_of(root), why.to_owned());
    let (found, folded) = fold(bytes).map_err(|why| refused(&format!("it {why}")))?;
    if folded != *root {
        return Err(refused("it does not hash to its root"));
    }
    if found != u64::from(count) {
        return Err(refused(&format!("an entry says {count} tags, and it has {found}")));
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = temporary.join(format!("tags-{}", hex_of(root)));
    fs::write(&draft, bytes)?;
    Ok(fs::rename(&draft, path)?)
}

pub(crate) fn rulebook_is_held(tree: &Path, digest: &Hash) -> bool {
    tree.join(rulebook_name(digest)).is_dir()
}

fn rulebook_name(digest: &Hash) -> String {
    format!("rulebook/{}", hex_of(digest))
}

/// Fetches a rulebook, checks its signatures and files, and moves it into the tree.
pub(crate) async fn fetch_rulebook<F, E>(
    tree: &Path,
    temporary: &Path,
    digest: &Hash,
    signers: &Signers,
    fetch: impl Fn(String, usize) -> F,
) -> Result<(), E>
where
    F: Future<Output = Result<Vec<u8>, E>>,
    E: From<ExtraError>,
{
    let name = rulebook_name(digest);
    let refused = |why: String| ExtraError::Rulebook(hex_of(digest), why);
    // Two logs of a site may fetch the same rulebook at the same time.
    let draft = tempfile::Builder::new().prefix("rulebook-").tempdir_in(temporary).map_err(ExtraError::Io)?;
    let folder = draft.path().join(&name);
    fs::create_dir_all(&folder).map_err(ExtraError::Io)?;
    let note = fetch(format!("{name}/{MANIFEST}"), NOTE_BYTES_MAX as usize).await?;
    let manifest =
        open(&note, &[&signers.operator, &signers.auditor]).map_err(|error| refused(error.to_string()))?;
    let files = named_files(manifest).ok_or_else(|| refused("the manifest is malformed".into()))?;
    if files.len() > RULEBOOK_FILES_MAX {
        return Err(refused("it has too many files".into()).into());
    }
    write(&folder.join(MANIFEST), &note).map_err(ExtraError::Io)?;
    for (file, _) in files {
        let bytes = fetch(format!("{name}/{file}"), FILE_BYTES_MAX as usize).await?;
        write(&folder.join(file), &bytes).map_err(ExtraError::Io)?;
    }
    check_rulebook(draft.path(), digest, signers).map_err(refused)?;
    move_rulebook(tree, &folder, &name).map_err(ExtraError::Io)?;
    Ok(())
}

fn check_rulebook(draft: &Path, digest: &Hash, signers: &Signers) -> Result<(), String> {
    let draft = Tree::new(draft);
    let rulebooks = Rulebooks::new(&draft, [&signers.operator, &signers.auditor], false);
    rulebooks.find(digest).map(drop).map_err(|(path, why)| format!("`{path}`: {why}"))
}

fn move_rulebook(tree: &Path, folder: &Path, name: &str) -> io::Result<()> {
    durable::sync_folder(folder)?;
    let place = tree.join(name);
    let Some(above) = place.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
    fs::create_dir_all(above)?;
    if let Err(error) = fs::rename(folder, &place)
        && !place.is_dir()
    {
        return Err(error);
    }
    durable::sync_folder(above)?;
    durable::sync_folder(tree)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    File::open(path)?.sync_all()
}
