//! The deterministic part of CBOR that the formats use (RFC 8949 §4.2.1).
//!
//! The reader takes only what an encoder of that section would have written, so that "decode, encode again
//! and compare" needs no second pass: shortest integers and lengths, definite lengths, ascending keys.

/// Why bytes are not the facts of an entry.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum CborError {
    #[error("they end too early")]
    Short,
    #[error("they go on after their end")]
    Long,
    #[error("a number or length is not in its shortest form")]
    NotShortest,
    #[error("a value is not of the type it should be")]
    Type,
    #[error("a text is not UTF-8")]
    Text,
    #[error("keys are not ascending")]
    KeyOrder,
    #[error("key `{1}` of {0} is unknown")]
    UnknownKey(&'static str, u64),
    #[error("key `{1}` of {0} is absent")]
    AbsentKey(&'static str, u64),
    #[error("the {0} is unknown or out of range")]
    Value(&'static str),
    #[error("the {0} are not ascending and distinct")]
    Order(&'static str),
}

type Result<T> = std::result::Result<T, CborError>;

const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;

/// What is still to be read.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Checks that nothing follows.
    pub(crate) fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(CborError::Long) }
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64> {
        self.head(UNSIGNED)
    }

    pub(crate) fn boolean(&mut self) -> Result<bool> {
        match self.rest.split_first() {
            Some((&byte @ (FALSE | TRUE), rest)) => {
                self.rest = rest;
                Ok(byte == TRUE)
            }
            Some(_) => Err(CborError::Type),
            None => Err(CborError::Short),
        }
    }

    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let length = self.head(TEXT)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| CborError::Text)
    }

    /// A byte string of exactly `N` bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let length = self.head(BYTES)?;
        self.take(length)?.try_into().map_err(|_| CborError::Type)
    }

    /// A byte string of at most `longest` bytes.
    pub(crate) fn byte_string(&mut self, longest: usize) -> Result<&'a [u8]> {
        let length = self.head(BYTES)?;
        let bytes = self.take(length)?;
        if bytes.len() > longest { Err(CborError::Value("length of a byte string")) } else { Ok(bytes) }
    }

    pub(crate) fn array(&mut self) -> Result<u64> {
        self.head(ARRAY)
    }

    pub(crate) fn map(&mut self) -> Result<Keys> {
        Ok(Keys { left: self.head(MAP)?, last: None })
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let length = usize::try_from(length).map_err(|_| CborError::Short)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(CborError::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The argument of the next item, which must be of this major type and in its shortest form.
    fn head(&mut self, major: u8) -> Result<u64> {
        let (&first, rest) = self.rest.split_first().ok_or(CborError::Short)?;
        if first >> 5 != major {
            return Err(CborError::Type);
        }
        self.rest = rest;
        let (value, least) = match first & 0x1f {
            small @ 0..24 => return Ok(u64::from(small)),
            24 => (u64::from(u8::from_be_bytes(self.chunk()?)), 24),
            25 => (u64::from(u16::from_be_bytes(self.chunk()?)), 1 << 8),
            26 => (u64::from(u32::from_be_bytes(self.chunk()?)), 1 << 16),
            27 => (u64::from_be_bytes(self.chunk()?), 1 << 32),
            _ => return Err(CborError::Type),
        };
        if value < least { Err(CborError::NotShortest) } else { Ok(value) }
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (chunk, rest) = self.rest.split_first_chunk::<N>().ok_or(CborError::Short)?;
        self.rest = rest;
        Ok(*chunk)
    }
}

/// The keys of a map, which are unsigned integers and ascend.
pub(crate) struct Keys {
    left: u64,
    last: Option<u64>,
}

impl Keys {
    /// Reads the next key, or `None` after the last value.
    pub(crate) fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<u64>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let key = reader.unsigned()?;
        if self.last.is_some_and(|last| key <= last) {
            return Err(CborError::KeyOrder);
        }
        self.last = Some(key);
        Ok(Some(key))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn longer_forms_of_a_number_are_refused() {
        for (bytes, expected) in [
            (&[0x17_u8][..], Ok(23)),
            (&[0x18, 0x17], Err(CborError::NotShortest)),
            (&[0x18, 0x18], Ok(24)),
            (&[0x19, 0x00, 0xff], Err(CborError::NotShortest)),
            (&[0x19, 0x01, 0x00], Ok(256)),
            (&[0x1a, 0x00, 0x00, 0xff, 0xff], Err(CborError::NotShortest)),
            (&[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], Err(CborError::NotShortest)),
            (&[0x1b, 0, 0, 0, 1, 0, 0, 0, 0], Ok(1 << 32)),
            (&[0x1c], Err(CborError::Type)),
            (&[0x1f], Err(CborError::Type)),
            (&[0x20], Err(CborError::Type)),
            (&[0x18], Err(CborError::Short)),
            (&[], Err(CborError::Short)),
        ] {
            assert_eq!(Reader::new(bytes).unsigned(), expected, "{bytes:x?}");
        }
    }

    #[test]
    fn indefinite_lengths_are_refused() {
        assert_eq!(Reader::new(&[0x7f, 0x61, 0x61, 0xff]).text(), Err(CborError::Type));
        assert_eq!(Reader::new(&[0x9f, 0xff]).array(), Err(CborError::Type));
        assert!(Reader::new(&[0xbf, 0xff]).map().is_err());
    }

    proptest! {
        #[test]
        fn it_reads_what_another_encoder_wrote(number: u64, text in ".{0,40}") {
            let mut bytes = Vec::new();
            ciborium::into_writer(&(number, &text), &mut bytes).unwrap();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.array(), Ok(2));
            prop_assert_eq!(reader.unsigned(), Ok(number));
            prop_assert_eq!(reader.text(), Ok(&*text));
            prop_assert_eq!(reader.end(), Ok(()));
        }
    }
}
