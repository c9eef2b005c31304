//! What every key service does for a region: it keeps the region's key, in versions, and wraps others with it.
//!
//! A wrapped key is bound to its context and names its version (`docs/formats/keys.md`). The region's key itself
//! is given to nobody: with hardware or a service it is not in this process at all.

use ledger::SecretKey;

use super::KeyError;

/// First byte of a wrapped key.
const FORM: u8 = 1;
/// Nonce, ciphertext of 32 bytes, tag of 16.
pub(crate) const BODY: usize = 12 + 32 + 16;
const LENGTH: usize = 1 + 4 + BODY;
/// In front of every context, so that what a key service wraps for others is none of ours.
const LABEL: &[u8] = b"clover region key v1\0";

/// A version of the region's key: 1, 2, 3 and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u32);

impl Version {
    /// The first.
    pub const FIRST: Self = Self(1);

    /// A version by its number, which is not 0.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The version that a wrapped key names.
    ///
    /// # Errors
    /// [`KeyError::Wrapped`] when it is no wrapped key.
    pub fn of(wrapped: &[u8]) -> Result<Self, KeyError> {
        Ok(Wrapped::read(wrapped)?.version)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The one that follows; `None` after the last that a number can name.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }

    /// The one before.
    #[must_use]
    pub const fn before(self) -> Option<Self> {
        Self::new(self.0 - 1)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Keeps the key of a region.
pub trait RegionKeys: Send + Sync {
    /// `file`, `pkcs11` or `openbao`.
    fn service(&self) -> &'static str;

    /// Whether an answer may take long, as over a network.
    fn waits(&self) -> bool;

    /// The versions that are there, oldest first, at least one. The last is the newest, which wraps.
    ///
    /// # Errors
    /// [`KeyError`] when the service does not say so.
    fn versions(&self) -> Result<Vec<Version>, KeyError>;

    /// Wraps a key by the newest version, for this context alone.
    ///
    /// # Errors
    /// [`KeyError`] when the service does not do it.
    fn wrap(&self, context: &[u8], key: &SecretKey) -> Result<Vec<u8>, KeyError>;

    /// Opens what [`RegionKeys::wrap`] made for the same context.
    ///
    /// # Errors
    /// [`KeyError::Wrapped`] when it does not open, [`KeyError::Version`] when its version is not there, and others
    /// when the service does not answer.
    fn open(&self, context: &[u8], wrapped: &[u8]) -> Result<SecretKey, KeyError>;

    /// Makes a new version, which is the newest from then on. Older ones still open.
    ///
    /// # Errors
    /// [`KeyError`]; then the newest is what it was.
    fn rotate(&self) -> Result<Version, KeyError>;

    /// Destroys this version and all before it: what they wrapped is noise from then on.
    ///
    /// # Errors
    /// [`KeyError::Newest`] when it is the newest; others when the service does not do it.
    fn retire(&self, through: Version) -> Result<(), KeyError>;
}

/// What the seal of a wrapped key is bound to.
pub(crate) fn bound(context: &[u8]) -> Vec<u8> {
    [LABEL, context].concat()
}

/// A wrapped key in its parts.
pub(crate) struct Wrapped {
    pub(crate) version: Version,
    /// Nonce, ciphertext and tag.
    pub(crate) body: [u8; BODY],
}

impl Wrapped {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, KeyError> {
        let parts = || {
            let rest = bytes.strip_prefix(&[FORM])?;
            let (version, body) = rest.split_first_chunk::<4>()?;
            let version = Version::new(u32::from_be_bytes(*version))?;
            Some(Self { version, body: body.try_into().ok()? })
        };
        parts().ok_or(KeyError::Wrapped)
    }

    /// The bytes that are stored. `None` when the body has another length.
    pub(crate) fn write(version: Version, body: &[u8]) -> Option<Vec<u8>> {
        if body.len() != BODY {
            return None;
        }
        let mut out = Vec::with_capacity(LENGTH);
        out.push(FORM);
        out.extend_from_slice(&version.0.to_be_bytes());
        out.extend_from_slice(body);
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_has_one_form_and_one_length() {
        let wrapped = Wrapped::write(Version(7), &[9; BODY]).unwrap();
        assert_eq!(wrapped.len(), LENGTH);
        assert_eq!(wrapped[..5], [1, 0, 0, 0, 7]);
        assert_eq!(Version::of(&wrapped).unwrap(), Version(7));
        for wrong in [&wrapped[1..], &wrapped[..LENGTH - 1], &[&wrapped[..], &[0]].concat(), &[]] {
            assert!(Version::of(wrong).is_err());
        }
        let none = [&[1, 0, 0, 0, 0][..], &[9; BODY]].concat();
        assert!(Version::of(&none).is_err(), "there is no version 0");
        assert!(Wrapped::write(Version(1), &[0; BODY - 1]).is_none());
    }
}
