//! Files with secrets: read with a limit, written whole or not at all, and for their owner alone.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::KeyError;

/// Longest passphrase, PIN or token in bytes.
const SECRET_MAX: u64 = 4096;

/// Where something lies that opens a key service. It is read when it is needed, and not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// Passphrase, PIN or token.
    pub what: &'static str,
    /// Which file.
    pub path: PathBuf,
}

impl SecretFile {
    /// Reads it, without the line's end.
    ///
    /// # Errors
    /// [`KeyError`] when it cannot be read, everybody may read it, or it is empty or too long.
    pub fn read(&self) -> Result<Zeroizing<String>, KeyError> {
        let cannot = |source| KeyError::File { path: self.path.clone(), source };
        let file = File::open(&self.path).map_err(cannot)?;
        if file.metadata().map_err(cannot)?.permissions().mode() & 0o007 != 0 {
            return Err(cannot(std::io::Error::other(
                "everybody on this machine may read it: use mode 0600",
            )));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(SECRET_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() || text.len() as u64 > SECRET_MAX {
            return Err(cannot(std::io::Error::other(format!("the {} is empty or too long", self.what))));
        }
        Ok(Zeroizing::new(secret.to_owned()))
    }

    /// That it is the wrong one.
    pub(crate) fn wrong(&self) -> KeyError {
        KeyError::Secret { what: self.what, place: self.path.clone() }
    }
}

/// Reads 32 bytes of hexadecimal.
///
/// # Errors
/// [`KeyError`] when the file is not there or holds something else.
pub fn read_seed(path: &Path) -> Result<[u8; 32], KeyError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
    let bytes = HEXLOWER.decode(text.trim().as_bytes()).map_err(|_| KeyError::Form(path.to_owned()))?;
    bytes.try_into().map_err(|_| KeyError::Form(path.to_owned()))
}

/// Writes a file that only its owner may read, durably and whole or not at all, and never replaces one.
///
/// # Errors
/// What the file system says.
pub fn write_secret(path: &Path, secret: impl AsRef<[u8]>) -> Result<(), KeyError> {
    let file = |source| KeyError::File { path: path.to_owned(), source };
    let part = part(path, secret.as_ref())?;
    // Unlike a rename, a link never replaces what is there.
    let linked = std::fs::hard_link(&part, path);
    let removed = std::fs::remove_file(&part);
    linked.and(removed).map_err(file)?;
    sync_folder(path)
}

/// Replaces a file that only its owner may read: a crash leaves the old one whole, or the new one.
///
/// # Errors
/// What the file system says.
pub(crate) fn replace_secret(path: &Path, secret: impl AsRef<[u8]>) -> Result<(), KeyError> {
    let part = part(path, secret.as_ref())?;
    std::fs::rename(&part, path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
    sync_folder(path)
}

fn part(path: &Path, secret: &[u8]) -> Result<PathBuf, KeyError> {
    let file = |source| KeyError::File { path: path.to_owned(), source };
    let part = path.with_extension("part");
    // What an earlier attempt left may have other permissions.
    match std::fs::remove_file(&part) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(file(e)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut f = options.write(true).create_new(true).mode(0o600).open(&part).map_err(file)?;
    f.write_all(secret).and_then(|()| f.sync_all()).map_err(file)?;
    Ok(part)
}

fn sync_folder(path: &Path) -> Result<(), KeyError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|f| f.sync_all());
    synced.map_err(|source| KeyError::File { path: path.to_owned(), source })
}
