//! The one shape of zip file that a pack has: stored, in order, without times, comments or extras.
//!
//! The reader takes only what the writer would have written, byte for byte. Nothing is ever unpacked, so a
//! small file cannot become a large one; nothing can hide between the files; and two tools cannot read it differently.

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
/// Version 2.0, no flags, stored, midnight of 1 January 1980.
const FIXED: [u8; 10] = [20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
/// Fewer than the format can count without its 64-bit extension.
pub(super) const FILES_MAX: usize = 60_000;
const NAME_BYTES_MAX: usize = 200;
/// No file of a pack comes near it.
pub(super) const FILE_BYTES_MAX: usize = 16 << 20;
/// All in all; also far below what the format can count.
pub(super) const PACK_BYTES_MAX: usize = 512 << 20;

/// Names and contents, ascending by name.
pub(super) type Files = std::collections::BTreeMap<String, Vec<u8>>;

/// Why a file is not a pack, or cannot become one.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum ZipError {
    #[error("it is too long, or has too many or too long files")]
    Long,
    #[error("a name in it is not one that a pack has")]
    Name,
    #[error("its bytes are not those of a pack")]
    Form,
}

/// Writes a pack.
pub(super) fn write(files: &Files) -> Result<Vec<u8>, ZipError> {
    let total: usize = files.iter().map(|(name, file)| 2 * name.len() + file.len() + 76).sum();
    let long = files.values().any(|file| file.len() > FILE_BYTES_MAX);
    if files.len() > FILES_MAX || total > PACK_BYTES_MAX || long {
        return Err(ZipError::Long);
    }
    if !files.keys().all(|name| name_is_good(name)) {
        return Err(ZipError::Name);
    }
    let (mut out, mut central) = (Vec::with_capacity(total + 22), Vec::new());
    for (name, file) in files {
        let mut common = FIXED.to_vec();
        common.extend(crc32(file).to_le_bytes());
        let length = u32::try_from(file.len()).map_err(|_| ZipError::Long)?.to_le_bytes();
        common.extend([length, length].as_flattened());
        common.extend(u16::try_from(name.len()).map_err(|_| ZipError::Name)?.to_le_bytes());
        common.extend([0; 2]);
        let offset = u32::try_from(out.len()).map_err(|_| ZipError::Long)?;
        out.extend(LOCAL);
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(file);
        central.extend(CENTRAL);
        central.extend([20, 0]);
        central.extend(&common);
        central.extend([0; 10]);
        central.extend(offset.to_le_bytes());
        central.extend(name.as_bytes());
    }
    let count = u16::try_from(files.len()).map_err(|_| ZipError::Long)?.to_le_bytes();
    let (start, length) = (u32::try_from(out.len()), u32::try_from(central.len()));
    let (start, length) = (start.map_err(|_| ZipError::Long)?, length.map_err(|_| ZipError::Long)?);
    out.extend(central);
    out.extend(END);
    out.extend([0; 4]);
    out.extend([count, count].as_flattened());
    out.extend(length.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    Ok(out)
}

/// Reads a pack; whatever [`write`] would have written in another way is refused.
pub(super) fn read(bytes: &[u8]) -> Result<Files, ZipError> {
    if bytes.len() > PACK_BYTES_MAX {
        return Err(ZipError::Long);
    }
    let (mut files, mut rest) = (Files::new(), bytes);
    while let Some(local) = rest.strip_prefix(&LOCAL) {
        let (name, file, after) = one(local).ok_or(ZipError::Form)?;
        if file.len() > FILE_BYTES_MAX || files.len() >= FILES_MAX {
            return Err(ZipError::Long);
        }
        let name = std::str::from_utf8(name).ok().filter(|name| name_is_good(name)).ok_or(ZipError::Name)?;
        if files.insert(name.to_owned(), file.to_vec()).is_some() {
            return Err(ZipError::Form);
        }
        rest = after;
    }
    // The checksums, the directory and the order are all compared here.
    if write(&files)? == bytes { Ok(files) } else { Err(ZipError::Form) }
}

/// The name and content of a file after its signature, and what follows.
fn one(local: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (_, lengths) = local.split_at_checked(FIXED.len() + 4)?;
    let (length, lengths) = lengths.split_first_chunk::<4>()?;
    let (_, lengths) = lengths.split_first_chunk::<4>()?;
    let (name, rest) = lengths.split_first_chunk::<2>()?;
    let (_, rest) = rest.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*name)))?;
    let (file, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    Some((name, file, rest))
}

/// Plain names in plain folders: nothing that means another place on any system.
pub(super) fn name_is_good(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let part_is_good = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
    name.len() <= NAME_BYTES_MAX && name.split('/').all(part_is_good)
}

/// CRC-32 of ISO 3309, as zip has it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        let place = usize::from((crc.to_le_bytes().first().copied().unwrap_or_default()) ^ byte);
        TABLE.get(place).copied().unwrap_or_default() ^ (crc >> 8)
    };
    !bytes.iter().fold(u32::MAX, step)
}

static TABLE: std::sync::LazyLock<Vec<u32>> = std::sync::LazyLock::new(|| {
    let bit = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    (0..256).map(|byte| (0..8).fold(byte, |crc, _| bit(crc))).collect()
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn files() -> Files {
        let file = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
        Files::from([file("a/b.txt", b"hello"), file("a/c", b""), file("z", &[7; 1000])])
    }

    #[test]
    fn the_checksum_is_the_one_of_zip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_pack_reads_back_and_no_other_bytes_do() {
        let bytes = write(&files()).unwrap();
        assert_eq!(read(&bytes), Ok(files()));
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "cut at {end}");
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_ne!(read(&changed), Ok(files()), "byte {place}");
        }
        for extra in
            [[&bytes[..], b"x"].concat(), [b"x", &bytes[..]].concat(), [&bytes[..], &bytes[..]].concat()]
        {
            assert!(read(&extra).is_err());
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in
            ["../a", "/a", "a/../b", "a//b", "a\\b", "C:a", ".a", "a/", "", "ä", "a b", &"a".repeat(201)]
        {
            let files = Files::from([(name.to_owned(), Vec::new())]);
            assert_eq!(write(&files), Err(ZipError::Name), "{name}");
            // As another tool would write it.
            let good = write(&Files::from([("x".repeat(name.len().max(1)), Vec::new())]).clone());
            let bytes: Vec<u8> = good.unwrap_or_default();
            let text = "x".repeat(name.len().max(1));
            let bad = replace(&bytes, text.as_bytes(), name.as_bytes());
            assert!(read(&bad).is_err(), "{name}");
        }
    }

    fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for place in 0..out.len().saturating_sub(from.len()) {
            if from.len() == to.len() && out[place..].starts_with(from) {
                out[place..place + to.len()].copy_from_slice(to);
            }
        }
        if out == bytes { Vec::new() } else { out }
    }

    #[test]
    fn other_tools_read_a_pack() {
        let Ok(python) = std::process::Command::new("python3").arg("--version").output() else { return };
        assert!(python.status.success());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), write(&files()).unwrap()).unwrap();
        let script = "import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; \
            print(z.namelist(), z.read('a/b.txt'))";
        let found =
            std::process::Command::new("python3").args(["-c", script]).arg(file.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "['a/b.txt', 'a/c', 'z'] b'hello'\n");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let _ = read(&[&LOCAL[..], &bytes].concat());
        }
    }
}
