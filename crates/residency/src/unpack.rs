//! Looks into what is packed: streams and archives, nested, with bounds on depth, on what they expand to and on memory.
//!
//! The bytes of a container are always searched as they are, too: a wrong head costs nothing. What cannot be opened, is
//! cut short or expands beyond the bound is told, and never passed over. Start at [`look`].

mod dump;
mod tar;
#[cfg(test)]
mod tests;
mod zip;

use std::io::{self, BufRead, BufReader, Cursor, Read};

use crate::scan::{Hit, Scanner, Stream};

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;
/// Bytes of a container that are held for its decoder.
const HELD: usize = 64 << 10;
/// Bytes at the front by which a container is known.
const HEAD: usize = 512;

/// How far containers are followed.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Containers within one another.
    pub depth: usize,
    /// Bytes that all containers of one file may expand to.
    pub expansion: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { depth: 6, expansion: 64 << 30 }
    }
}

/// What is told while bytes are looked at.
pub trait Sink {
    /// A canary stands in the file, or in something packed in it: `inside` names the way there.
    fn hit(&mut self, inside: &str, hit: Hit);
    /// Something could not be looked into.
    fn blind(&mut self, inside: &str, why: &str);
    /// So many bytes were searched.
    fn searched(&mut self, bytes: u64);
}

/// Looks at all bytes of a reader, and at what is packed in them.
pub fn look(scanner: &Scanner, bounds: Bounds, reader: &mut dyn Read, sink: &mut dyn Sink) {
    Looking { scanner, bounds, left: bounds.expansion, sink }.look(reader, 0, "");
}

struct Looking<'a> {
    scanner: &'a Scanner,
    bounds: Bounds,
    /// What may still be expanded.
    left: u64,
    sink: &'a mut dyn Sink,
}

/// Kinds of containers, by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Gzip,
    Zlib,
    Zstd,
    Zip,
    Tar,
    Dump,
    /// Known, and not opened.
    Closed(&'static str),
}

impl Container {
    fn of(head: &[u8]) -> Option<Self> {
        const CLOSED: &[(&[u8], &str)] = &[
            (b"BZh", "bzip2"),
            (b"\xfd7zXZ\0", "xz"),
            (b"7z\xbc\xaf\x27\x1c", "7z"),
            (b"\x04\x22\x4d\x18", "lz4"),
            (b"Rar!\x1a\x07", "rar"),
            (b"age-encryption.org/", "age"),
            (b"-----BEGIN PGP MESSAGE", "PGP"),
            (b"LUKS\xba\xbe", "LUKS"),
            (b"Salted__", "OpenSSL"),
        ];
        let begins = |magic: &[u8]| head.starts_with(magic);
        if begins(b"\x1f\x8b\x08") {
            Some(Self::Gzip)
        } else if begins(b"\x28\xb5\x2f\xfd") || matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) {
            Some(Self::Zstd)
        } else if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") {
            Some(Self::Zip)
        } else if begins(b"PGDMP") && !matches!(head.get(10), Some(3 | 5)) {
            // In dumps of the formats for tar and folders the table of contents stands alone, as plain text.
            Some(Self::Dump)
        } else if head.get(257..262) == Some(b"ustar") {
            Some(Self::Tar)
        } else if matches!(head, [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..]) {
            Some(Self::Zlib)
        } else {
            CLOSED.iter().find(|(magic, _)| begins(magic)).map(|(_, name)| Self::Closed(name))
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
            Self::Zip => "zip",
            Self::Tar => "tar",
            Self::Dump => "pg_dump",
            Self::Closed(name) => name,
        }
    }
}

/// The first bytes of a reader, and the reader with them still to come.
fn peek<R: Read>(mut reader: R) -> (Vec<u8>, io::Chain<Cursor<Vec<u8>>, R>) {
    let mut head = Vec::with_capacity(HEAD);
    // An error comes again when the rest is read.
    let _ = reader.by_ref().take(HEAD as u64).read_to_end(&mut head);
    (head.clone(), Cursor::new(head).chain(reader))
}

fn below(inside: &str, name: &str) -> String {
    if inside.is_empty() { name.to_owned() } else { format!("{inside}/{name}") }
}

impl Looking<'_> {
    /// Searches a reader's bytes, and opens it if it is a container.
    fn look(&mut self, reader: &mut dyn Read, depth: usize, inside: &str) {
        let (head, rest) = peek(reader);
        let Some(container) = Container::of(&head) else {
            let mut tap = self.tap(rest, inside);
            self.end(&mut tap, inside);
            return;
        };
        let mut tap = BufReader::with_capacity(HELD, self.tap(rest, inside));
        self.open(container, &mut tap, depth, inside);
        // Whatever the decoder left is searched as it is.
        self.end(tap.get_mut(), inside);
    }

    /// Opens what was searched already, if it is a container: a member of an archive.
    fn member(&mut self, reader: &mut dyn Read, depth: usize, inside: &str) {
        let (head, rest) = peek(reader);
        if let Some(container) = Container::of(&head) {
            self.open(container, &mut BufReader::with_capacity(HELD, rest), depth, inside);
        }
    }

    fn open(&mut self, container: Container, reader: &mut dyn BufRead, depth: usize, inside: &str) {
        let inside = below(inside, container.name());
        if let Container::Closed(_) = container {
            return self.sink.blind(&inside, "this kind of container is not opened");
        }
        if depth >= self.bounds.depth {
            return self.sink.blind(&inside, "containers within containers beyond the bound are not opened");
        }
        let depth = depth + 1;
        match container {
            Container::Gzip => self.look(&mut flate2::bufread::MultiGzDecoder::new(reader), depth, &inside),
            Container::Zlib => self.zlib(reader, depth, &inside),
            Container::Zstd => self.look(&mut Zstd { source: Some(reader), decoder: None }, depth, &inside),
            Container::Zip => zip::open(self, reader, depth, &inside),
            Container::Tar => tar::open(self, reader, depth, &inside),
            Container::Dump => dump::open(self, reader, depth, &inside),
            Container::Closed(_) => {}
        }
    }

    /// Two bytes are no proof: what does not even begin to expand is taken for something else.
    fn zlib(&mut self, reader: &mut dyn BufRead, depth: usize, inside: &str) {
        let mut decoder = flate2::bufread::ZlibDecoder::new(reader);
        let mut first = [0; 1];
        if matches!(decoder.read(&mut first), Ok(n) if n > 0) {
            self.look(&mut first.as_slice().chain(decoder), depth, inside);
        }
    }

    fn tap<R: Read>(&self, reader: R, inside: &str) -> Tap<R> {
        let left = if inside.is_empty() { u64::MAX } else { self.left };
        Tap { reader, stream: self.scanner.stream(), bytes: 0, left, hits: Vec::new() }
    }

    /// Reads a tap to its end, and tells what it saw.
    fn end<R: Read>(&mut self, tap: &mut Tap<R>, inside: &str) {
        let mut piece = vec![0; PIECE];
        loop {
            match tap.read(&mut piece) {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.sink.blind(inside, &format!("it cannot be read to its end: {e}"));
                    break;
                }
            }
            tap.hits.drain(..).for_each(|hit| self.sink.hit(inside, hit));
        }
        tap.finish();
        tap.hits.drain(..).for_each(|hit| self.sink.hit(inside, hit));
        self.sink.searched(tap.bytes);
        if !inside.is_empty() {
            self.left = self.left.saturating_sub(tap.bytes);
        }
    }
}

/// Searches what is read through it.
struct Tap<R> {
    reader: R,
    stream: Stream,
    bytes: u64,
    /// What may still be read.
    left: u64,
    /// Told when whoever reads comes to its end.
    hits: Vec<Hit>,
}

/// Hits that wait in a tap; a decoder reads at most its buffer between two looks, but an archive reads on.
const HITS_MAX: usize = 1 << 16;

impl<R: Read> Tap<R> {
    fn finish(&mut self) {
        let hits = &mut self.hits;
        self.stream.finish(&mut |hit| hits.push(hit));
    }
}

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(into)?;
        // INVARIANT: whoever reads, an archive or a decoder, nothing expands beyond the bound.
        let left = self.left.checked_sub(n as u64);
        self.left = left.ok_or_else(|| io::Error::other("it expands beyond the bound"))?;
        let hits = &mut self.hits;
        let mut keep = |hit| {
            if hits.len() < HITS_MAX {
                hits.push(hit);
            }
        };
        self.stream.feed(into.get(..n).unwrap_or_default(), &mut keep);
        self.bytes += n as u64;
        Ok(n)
    }
}

type Decoder<R> = ruzstd::decoding::StreamingDecoder<R, ruzstd::decoding::FrameDecoder>;

/// Frames of zstd, one behind the other.
struct Zstd<R: BufRead> {
    source: Option<R>,
    decoder: Option<Box<Decoder<R>>>,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(decoder) = &mut self.decoder {
                let n = decoder.read(into)?;
                if n > 0 {
                    return Ok(n);
                }
            }
            if let Some(decoder) = self.decoder.take() {
                self.source = Some(decoder.into_inner());
            }
            let Some(mut source) = self.source.take() else { return Ok(0) };
            if !next_frame(&mut source)? {
                return Ok(0);
            }
            let decoder = Decoder::new(source).map_err(|e| io::Error::other(e.to_string()))?;
            self.decoder = Some(Box::new(decoder));
        }
    }
}

/// Passes over frames that hold nothing, and says whether another comes.
fn next_frame(source: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let head = source.fill_buf()?;
        if head.is_empty() {
            return Ok(false);
        }
        if !matches!(head, [0x50..=0x5f, ..]) {
            return Ok(true);
        }
        let mut skippable = [0; 8];
        source.read_exact(&mut skippable)?;
        let [.., a, b, c, d] = skippable;
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        if io::copy(&mut source.take(length), &mut io::sink())? < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
