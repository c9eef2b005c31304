//! New keys for the auditor's machines.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;

use crate::cosign::{KeyKind, SeedError, SigningKey};

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeygenError {
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
    /// The file is there already or cannot be written; a seed is never written over.
    #[error("cannot create the seed file")]
    Create(#[source] io::Error),
    /// The name is not good.
    #[error(transparent)]
    Seed(#[from] SeedError),
}

/// Makes a key, writes its seed to a new file that only the owner can read, and returns it.
///
/// # Errors
/// If the name is not good, or the file exists or cannot be written.
pub fn keygen(name: &str, kind: KeyKind, seed_file: &Path) -> Result<SigningKey, KeygenError> {
    let mut seed = [0; 32];
    rand::fill(&mut seed).map_err(|_| KeygenError::Random)?;
    let key = SigningKey::from_seed(name, kind, &seed)?;
    write_new(seed_file, format!("{}\n", HEXLOWER.encode(&seed)).as_bytes()).map_err(KeygenError::Create)?;
    Ok(key)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    // The name is durable only with its folder.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_is_never_written_over() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("mirror.seed");
        let made = keygen("a.example/m", KeyKind::Cosigner, &path).unwrap();
        let read = SigningKey::read("a.example/m", KeyKind::Cosigner, &path).unwrap();
        assert_eq!(made.vkey(), read.vkey());
        assert!(made.same_key(&read));
        assert!(matches!(keygen("a.example/m", KeyKind::Cosigner, &path), Err(KeygenError::Create(_))));
        let again = SigningKey::read("a.example/m", KeyKind::Cosigner, &path).unwrap();
        assert_eq!(again.vkey(), made.vkey());
    }

    #[cfg(unix)]
    #[test]
    fn a_seed_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("seed");
        keygen("a", KeyKind::Cosigner, &path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(SigningKey::read("a", KeyKind::Cosigner, &path), Err(SeedError::Mode)));
        std::fs::write(&path, "00\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(SigningKey::read("a", KeyKind::Cosigner, &path), Err(SeedError::Form)));
    }
}
