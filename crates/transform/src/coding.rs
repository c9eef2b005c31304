//! What HTTP compresses bodies with: gzip (RFC 1952), Brotli (RFC 7932) and Zstandard (RFC 8878).
//!
//! A body is opened before it is inspected, under two caps: a size, and a ratio of what comes out
//! to what went in. A body is exactly one stream: what stands behind its end is refused, since
//! readers disagree about it. So are checksums that do not hold, dictionaries, and windows
//! beyond what HTTP allows. Of `deflate` there are two readings in the wild; it is not offered.
//!
//! Brotli is opened and never written: a body that came with it goes on with another coding.

use std::io::{Read, Write};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// One coding of RFC 9110.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// As it is.
    Identity,
    /// gzip.
    Gzip,
    /// Brotli.
    Brotli,
    /// Zstandard.
    Zstd,
}

/// How large a body may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Most bytes that come out.
    pub bytes: usize,
    /// Most bytes that come out for one that went in, beyond the first 64 KiB.
    pub ratio: usize,
}

impl Default for Caps {
    /// 64 MiB, and 200: a log of one repeated line stays below, a bomb does not.
    fn default() -> Self {
        Self { bytes: 64 << 20, ratio: 200 }
    }
}

/// Why a body is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodingError {
    /// No coding that is opened here, or several.
    #[error("content coding is not one of gzip, br, zstd, identity")]
    Unknown,
    /// More than [`Caps::bytes`].
    #[error("body is longer than the limit when opened")]
    TooLarge,
    /// More than [`Caps::ratio`] allows.
    #[error("body grows more than the limit when opened")]
    Ratio,
    /// The stream is broken, ends too early, or its checksum does not hold.
    #[error("body is not a whole stream of its coding")]
    Broken,
    /// Bytes behind the end of the stream.
    #[error("bytes after the end of the stream")]
    Trailing,
    /// The stream needs a dictionary, or a window of more than 8 MiB (RFC 9659).
    #[error("stream needs a dictionary or a window that http does not allow")]
    Window,
    /// Brotli is not written.
    #[error("this coding is opened and never written")]
    NotWritten,
}

/// What comes out of a small body is not measured against the ratio.
const SMALL: usize = 64 << 10;

/// Bytes that are opened at one go, and so may be beyond a cap for a moment.
const CHUNK: usize = 64 << 10;

/// Largest window of Zstandard over HTTP (RFC 9659).
const WINDOW_MAX: u64 = 8 << 20;

impl Coding {
    /// The coding that a `Content-Encoding` names. Several, one on top of the other, are refused.
    ///
    /// # Errors
    ///
    /// [`CodingError::Unknown`].
    ///
    /// ```
    /// use transform::coding::Coding;
    ///
    /// assert_eq!(Coding::parse(" GZip "), Ok(Coding::Gzip));
    /// assert!(Coding::parse("gzip, br").is_err());
    /// ```
    pub fn parse(header: &str) -> Result<Self, CodingError> {
        let word = header.trim_matches([' ', '\t']).to_ascii_lowercase();
        match word.as_str() {
            "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "br" => Ok(Self::Brotli),
            "zstd" => Ok(Self::Zstd),
            _ => Err(CodingError::Unknown),
        }
    }

    /// The word in `Content-Encoding`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Opens a body and appends what is in it to `out`.
    ///
    /// # Errors
    ///
    /// [`CodingError`]. After an error `out` is as it was before.
    ///
    /// ```
    /// use transform::coding::{Caps, Coding};
    ///
    /// let (mut packed, mut opened) = (Vec::new(), Vec::new());
    /// Coding::Gzip.encode(b"{\"id\":7}", &mut packed)?;
    /// Coding::Gzip.decode(&packed, Caps::default(), &mut opened)?;
    /// assert_eq!(opened, b"{\"id\":7}");
    /// # Ok::<(), transform::coding::CodingError>(())
    /// ```
    pub fn decode(self, input: &[u8], caps: Caps, out: &mut Vec<u8>) -> Result<(), CodingError> {
        let before = out.len();
        let mut opened = Opened { out, before, caps, input: input.len() };
        let done = match self {
            Self::Identity => opened.push(input),
            Self::Gzip => gzip(input, &mut opened),
            Self::Brotli => brotli(input, &mut opened),
            Self::Zstd => zstd(input, &mut opened),
        };
        if done.is_err() {
            out.truncate(before);
        }
        done
    }

    /// Packs a body and appends the result to `out`. The same body gives the same bytes.
    ///
    /// # Errors
    ///
    /// [`CodingError::NotWritten`] for Brotli.
    pub fn encode(self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodingError> {
        match self {
            Self::Identity => out.extend_from_slice(input),
            Self::Gzip => {
                let mut packer = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
                // Writing to memory does not fail.
                packer.write_all(input).map_err(|_| CodingError::Broken)?;
                packer.finish().map_err(|_| CodingError::Broken)?;
            }
            Self::Brotli => return Err(CodingError::NotWritten),
            Self::Zstd => {
                ruzstd::encoding::compress(input, out, ruzstd::encoding::CompressionLevel::Fastest);
            }
        }
        Ok(())
    }
}

/// What was opened so far.
struct Opened<'a> {
    out: &'a mut Vec<u8>,
    before: usize,
    caps: Caps,
    input: usize,
}

impl Opened<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result<(), CodingError> {
        self.room(bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Refuses more than the caps allow, before it is kept.
    fn room(&self, more: usize) -> Result<(), CodingError> {
        let len = (self.out.len() - self.before).saturating_add(more);
        if len > self.caps.bytes {
            return Err(CodingError::TooLarge);
        }
        let grown = self.input.saturating_mul(self.caps.ratio).saturating_add(SMALL);
        if len > grown { Err(CodingError::Ratio) } else { Ok(()) }
    }
}

fn gzip(input: &[u8], opened: &mut Opened<'_>) -> Result<(), CodingError> {
    let mut reader = flate2::bufread::GzDecoder::new(input);
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = reader.read(&mut chunk).map_err(|_| CodingError::Broken)?;
        if read == 0 {
            break;
        }
        opened.push(chunk.get(..read).unwrap_or_default())?;
    }
    if reader.into_inner().is_empty() { Ok(()) } else { Err(CodingError::Trailing) }
}

fn brotli(input: &[u8], opened: &mut Opened<'_>) -> Result<(), CodingError> {
    let alloc = StandardAlloc::default;
    // Strict: without the windows of up to 1 GiB that RFC 7932 does not know.
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let mut chunk = vec![0; CHUNK];
    let (mut left, mut at, mut total) = (input.len(), 0, 0);
    loop {
        let (mut free, mut filled) = (chunk.len(), 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut at,
            input,
            &mut free,
            &mut filled,
            &mut chunk,
            &mut total,
            &mut state,
        );
        opened.push(chunk.get(..filled).unwrap_or_default())?;
        match result {
            BrotliResult::ResultSuccess if left == 0 => return Ok(()),
            BrotliResult::ResultSuccess => return Err(CodingError::Trailing),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => return Err(CodingError::Broken),
        }
    }
}

fn zstd(input: &[u8], opened: &mut Opened<'_>) -> Result<(), CodingError> {
    let sized = zstd_head(input)?;
    let (mut rest, mut decoder) = (input, FrameDecoder::new());
    if let Some(size) = sized {
        // Before the window for it is made.
        opened.room(usize::try_from(size).map_err(|_| CodingError::TooLarge)?)?;
    }
    decoder.init(&mut rest).map_err(|_| CodingError::Broken)?;
    let start = opened.out.len();
    let mut finished = false;
    while !finished {
        finished = decoder
            .decode_blocks(&mut rest, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|_| CodingError::Broken)?;
        opened.room(decoder.can_collect())?;
        decoder.collect_to_writer(&mut *opened.out).map_err(|_| CodingError::Broken)?;
    }
    let holds =
        decoder.get_checksum_from_data().is_none_or(|sum| decoder.get_calculated_checksum() == Some(sum));
    let whole = sized.is_none_or(|size| size == (opened.out.len() - start) as u64);
    match (holds && whole, rest.is_empty()) {
        (false, _) => Err(CodingError::Broken),
        (true, false) => Err(CodingError::Trailing),
        (true, true) => Ok(()),
    }
}

/// Checks the head of a frame (RFC 8878 §3.1.1.1); the size of its content, if it says one.
fn zstd_head(input: &[u8]) -> Result<Option<u64>, CodingError> {
    let rest = input.strip_prefix(b"\x28\xB5\x2F\xFD").ok_or(CodingError::Broken)?;
    let (descriptor, rest) = rest.split_first().ok_or(CodingError::Broken)?;
    let single = descriptor & 0x20 != 0;
    if descriptor & 0x03 != 0 {
        return Err(CodingError::Window); // a dictionary
    }
    let rest = if single {
        rest
    } else {
        let (window, rest) = rest.split_first().ok_or(CodingError::Broken)?;
        let base = 1_u64 << (10 + (window >> 3));
        if base + base / 8 * u64::from(window & 7) > WINDOW_MAX {
            return Err(CodingError::Window);
        }
        rest
    };
    let (bytes, plus) = match descriptor >> 6 {
        0 if single => (1, 0),
        0 => return Ok(None),
        1 => (2, 256),
        2 => (4, 0),
        _ => (8, 0),
    };
    let digits = rest.get(..bytes).ok_or(CodingError::Broken)?;
    let size = digits.iter().rev().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
    let size = size.saturating_add(plus);
    // A single segment is its own window.
    if single && size > WINDOW_MAX { Err(CodingError::Window) } else { Ok(Some(size)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Coding; 4] = [Coding::Identity, Coding::Gzip, Coding::Brotli, Coding::Zstd];

    /// "hello, " five times, without the last comma and space, by the reference library.
    const BROTLI: &[u8] = &[
        0x1B, 0x20, 0x00, 0xF8, 0x8D, 0x94, 0x6E, 0xDE, 0x44, 0x09, 0x52, 0x86, 0x96, 0x6C, 0x2C, 0x6F, 0x41,
        0x4F, 0x24, 0x90, 0xC7, 0x01,
    ];

    /// 2 MiB of zeros, by the same.
    const BROTLI_BOMB: &[u8] =
        &[0x9B, 0xFF, 0xFF, 0x1F, 0xF8, 0x27, 0x00, 0xE2, 0xB1, 0x40, 0x20, 0xF7, 0xFE, 0x03];

    fn decode(coding: Coding, input: &[u8]) -> Result<Vec<u8>, CodingError> {
        decode_within(coding, input, Caps { bytes: 1 << 20, ratio: 200 })
    }

    fn decode_within(coding: Coding, input: &[u8], caps: Caps) -> Result<Vec<u8>, CodingError> {
        let mut out = b"before".to_vec();
        let done = coding.decode(input, caps, &mut out);
        let opened = out.strip_prefix(b"before").unwrap().to_vec();
        assert!(done.is_ok() || opened.is_empty());
        done.map(|()| opened)
    }

    fn packed(coding: Coding, input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        coding.encode(input, &mut out).unwrap();
        out
    }

    #[test]
    fn codings_are_known_by_their_words() {
        for coding in ALL {
            assert_eq!(Coding::parse(coding.word()), Ok(coding));
        }
        assert_eq!(Coding::parse("x-GZIP"), Ok(Coding::Gzip));
        for word in ["", "deflate", "gzip,br", "gzip, gzip", "compress", "*", "gzip;q=1", "zstd\n"] {
            assert_eq!(Coding::parse(word), Err(CodingError::Unknown), "{word}");
        }
    }

    #[test]
    fn a_brotli_stream_written_elsewhere_is_opened() {
        assert_eq!(decode(Coding::Brotli, BROTLI).unwrap(), b"hello, hello, hello, hello, hello");
        assert_eq!(Coding::Brotli.encode(b"x", &mut Vec::new()), Err(CodingError::NotWritten));
    }

    #[test]
    fn a_stream_with_something_behind_it_is_refused() {
        for (coding, stream) in [
            (Coding::Gzip, packed(Coding::Gzip, b"one")),
            (Coding::Zstd, packed(Coding::Zstd, b"one")),
            (Coding::Brotli, BROTLI.to_vec()),
        ] {
            assert!(decode(coding, &stream).is_ok());
            for behind in [&b"\0"[..], b"x", &stream] {
                let long = [&stream, behind].concat();
                assert_eq!(decode(coding, &long), Err(CodingError::Trailing), "{coding:?}");
            }
            for end in 0..stream.len() {
                assert_eq!(decode(coding, &stream[..end]), Err(CodingError::Broken), "{coding:?} {end}");
            }
        }
    }

    #[test]
    fn a_wrong_checksum_or_size_is_refused() {
        let text = b"a text that is long enough to be told from another".repeat(4);
        let mut gzip = packed(Coding::Gzip, &text);
        let at = gzip.len() - 6;
        gzip[at] ^= 1;
        assert_eq!(decode(Coding::Gzip, &gzip), Err(CodingError::Broken));
        let mut zstd = packed(Coding::Zstd, &text);
        if zstd[4] & 4 != 0 {
            let at = zstd.len() - 1;
            zstd[at] ^= 1;
            assert_eq!(decode(Coding::Zstd, &zstd), Err(CodingError::Broken));
        }
        // One raw block of three bytes behind a head that promises four, and one that is right.
        let frame = |size: u8| [&[0x28, 0xB5, 0x2F, 0xFD, 0x20, size, 0x19, 0, 0][..], b"abc"].concat();
        assert_eq!(decode(Coding::Zstd, &frame(3)).unwrap(), b"abc");
        assert_eq!(decode(Coding::Zstd, &frame(4)), Err(CodingError::Broken));
    }

    #[test]
    fn a_bomb_is_refused_by_size_and_by_ratio() {
        let zeros = vec![0; 32 << 20];
        let bombs = [
            (Coding::Gzip, packed(Coding::Gzip, &zeros)),
            (Coding::Zstd, packed(Coding::Zstd, &zeros)),
            (Coding::Brotli, BROTLI_BOMB.to_vec()),
        ];
        for (coding, bomb) in bombs {
            let caps = |bytes, ratio| Caps { bytes, ratio };
            assert_eq!(decode_within(coding, &bomb, caps(1 << 20, 1 << 30)), Err(CodingError::TooLarge));
            assert_eq!(decode_within(coding, &bomb, caps(1 << 30, 100)), Err(CodingError::Ratio));
        }
        assert_eq!(decode_within(Coding::Identity, &zeros, Caps::default()).map(|o| o.len()), Ok(32 << 20));
        assert_eq!(decode(Coding::Identity, &zeros), Err(CodingError::TooLarge));
    }

    #[test]
    fn zstandard_without_bounds_is_refused_before_memory_is_taken() {
        for (head, expected) in [
            (&[0x01, 0x00, 0x07][..], CodingError::Window), // a dictionary
            (&[0x00, 0x6A], CodingError::Window),           // 10 MiB
            (&[0x00, 0xFF], CodingError::Window),           // terabytes
            (&[0xE0, 0, 0, 0, 0, 1, 0, 0, 0], CodingError::Window), // one segment of 4 GiB
            (&[0xC0, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], CodingError::TooLarge),
            (&[0xC0, 0x00, 1], CodingError::Broken),
            (&[], CodingError::Broken),
        ] {
            let frame = [b"\x28\xB5\x2F\xFD", head].concat();
            assert_eq!(decode(Coding::Zstd, &frame), Err(expected), "{head:?}");
        }
        // A frame that is skipped is no body.
        assert_eq!(decode(Coding::Zstd, b"\x50\x2A\x4D\x18\x01\0\0\0x"), Err(CodingError::Broken));
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out_again(bytes in prop::collection::vec(0..6_u8, 0..2_000)) {
            for coding in [Coding::Identity, Coding::Gzip, Coding::Zstd] {
                prop_assert_eq!(decode(coding, &packed(coding, &bytes)).unwrap(), bytes.clone());
                prop_assert_eq!(packed(coding, &bytes), packed(coding, &bytes));
            }
        }

        #[test]
        fn damaged_streams_do_not_panic_and_stay_within_the_caps(
            bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0..8_u8, raw in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let caps = Caps { bytes: 4_096, ratio: 10 };
            for coding in [Coding::Gzip, Coding::Zstd] {
                let mut stream = packed(coding, &bytes);
                let at = at.index(stream.len());
                stream[at] ^= 1 << bit;
                if let Ok(opened) = decode_within(coding, &stream, caps) {
                    prop_assert!(opened.len() <= caps.bytes);
                }
                let head = [&stream[..6.min(stream.len())], &raw].concat();
                let _ = decode_within(coding, &head, caps);
            }
            let _ = decode_within(Coding::Brotli, &raw, caps);
        }
    }
}
