//! Dumps of PostgreSQL in its custom format (`pg_dump -Fc`, archives 1.12 to 1.16): the packed data of each table.
//!
//! Plain dumps are text. In a dump of the directory format each file is a stream of gzip, or plain.

use std::io::{self, BufRead, BufReader, Read};

use super::{HELD, Looking, below};

/// Longest text in the table of contents.
const TEXT_MAX: usize = 64 << 20;
const DATA: u8 = 1;
const BLOBS: u8 = 3;

/// How the data is packed.
#[derive(Clone, Copy)]
enum Packing {
    None,
    Zlib,
    Zstd,
}

/// What the head says of how numbers are written.
struct Numbers {
    size: usize,
}

pub(super) fn open(looking: &mut Looking<'_>, reader: &mut dyn BufRead, depth: usize, inside: &str) {
    let head = match contents(reader) {
        Ok(head) => head,
        Err(e) => return looking.sink.blind(inside, &format!("its table of contents cannot be read: {e}")),
    };
    let Some((numbers, packing)) = head else {
        return looking.sink.blind(inside, "its data is packed by a method that is not opened");
    };
    if let Err(e) = blocks(looking, reader, &numbers, packing, depth, inside)
        // A dump ends where a block would begin.
        && e.kind() != io::ErrorKind::NotFound
    {
        looking.sink.blind(inside, &format!("its data cannot be read to the end: {e}"));
    }
}

fn blocks(
    looking: &mut Looking<'_>,
    reader: &mut dyn BufRead,
    numbers: &Numbers,
    packing: Packing,
    depth: usize,
    inside: &str,
) -> io::Result<()> {
    loop {
        if reader.fill_buf()?.is_empty() {
            return Ok(());
        }
        let kind = byte(reader)?;
        let table = numbers.read(reader)?;
        let place = below(inside, &format!("entry {table}"));
        match kind {
            DATA => packed(looking, reader, numbers, packing, depth, &place)?,
            BLOBS => {
                while numbers.read(reader)? != 0 {
                    packed(looking, reader, numbers, packing, depth, &place)?;
                }
            }
            _ => return Err(io::Error::other("a block of an unknown kind")),
        }
    }
}

/// One stream of data, in chunks that each say their length.
fn packed(
    looking: &mut Looking<'_>,
    reader: &mut dyn BufRead,
    numbers: &Numbers,
    packing: Packing,
    depth: usize,
    place: &str,
) -> io::Result<()> {
    let mut chunks = BufReader::with_capacity(HELD, Chunks { reader, numbers, left: 0, ended: false });
    match packing {
        Packing::None => looking.look(&mut chunks, depth, place),
        Packing::Zlib => looking.look(&mut flate2::bufread::ZlibDecoder::new(&mut chunks), depth, place),
        Packing::Zstd => {
            looking.look(&mut super::Zstd { source: Some(&mut chunks), decoder: None }, depth, place);
        }
    }
    io::copy(&mut chunks, &mut io::sink()).map(|_| ())
}

struct Chunks<'a> {
    reader: &'a mut dyn BufRead,
    numbers: &'a Numbers,
    left: u64,
    ended: bool,
}

impl Read for Chunks<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended {
            self.left = u64::try_from(self.numbers.read(self.reader)?).map_err(io::Error::other)?;
            self.ended = self.left == 0;
        }
        if self.ended || into.is_empty() {
            return Ok(0);
        }
        let n = self.reader.take(self.left).read(into)?;
        self.left -= n as u64;
        if n == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(n) }
    }
}

impl Numbers {
    /// A sign, and so many bytes from the lowest on.
    fn read(&self, reader: &mut dyn BufRead) -> io::Result<i64> {
        let negative = byte(reader)? != 0;
        let mut value = 0;
        for n in 0..self.size {
            value |= i64::from(byte(reader)?) << (8 * n);
        }
        Ok(if negative { -value } else { value })
    }

    /// A text, passed over; false where there is none.
    fn text(&self, reader: &mut dyn BufRead) -> io::Result<bool> {
        let Ok(length) = u64::try_from(self.read(reader)?) else { return Ok(false) };
        if length > TEXT_MAX as u64 {
            return Err(io::Error::other("a text beyond any bound"));
        }
        if io::copy(&mut reader.take(length), &mut io::sink())? < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(true)
    }
}

/// Reads head and table of contents. None where the data is packed in a way that is not opened.
fn contents(reader: &mut dyn BufRead) -> io::Result<Option<(Numbers, Packing)>> {
    let mut head = [0; 11];
    reader.read_exact(&mut head)?;
    let [.., major, minor, _, size, offset, format] = head;
    if major != 1 || !(12..=16).contains(&minor) || format != 1 || !(1..=4).contains(&size) || offset > 8 {
        return Err(io::Error::other("an archive of an unknown version or format"));
    }
    let numbers = Numbers { size: usize::from(size) };
    let packing = if minor >= 15 {
        match byte(reader)? {
            0 => Some(Packing::None),
            1 => Some(Packing::Zlib),
            3 => Some(Packing::Zstd),
            _ => None,
        }
    } else {
        Some(if numbers.read(reader)? == 0 { Packing::None } else { Packing::Zlib })
    };
    for _ in 0..7 {
        numbers.read(reader)?;
    }
    for _ in 0..3 {
        numbers.text(reader)?;
    }
    for _ in 0..numbers.read(reader)? {
        entry(reader, &numbers, minor, offset)?;
    }
    Ok(packing.map(|packing| (numbers, packing)))
}

fn entry(reader: &mut dyn BufRead, numbers: &Numbers, minor: u8, offset: u8) -> io::Result<()> {
    for _ in 0..2 {
        numbers.read(reader)?;
    }
    for _ in 0..4 {
        numbers.text(reader)?;
    }
    numbers.read(reader)?;
    // Definition, drop, copy, schema, tablespace.
    for _ in 0..5 {
        numbers.text(reader)?;
    }
    if minor >= 14 {
        numbers.text(reader)?;
    }
    if minor >= 16 {
        numbers.read(reader)?;
    }
    // Owner, and a word of old.
    for _ in 0..2 {
        numbers.text(reader)?;
    }
    while numbers.text(reader)? {}
    for _ in 0..=offset {
        byte(reader)?;
    }
    Ok(())
}

fn byte(reader: &mut dyn BufRead) -> io::Result<u8> {
    let mut one = [0; 1];
    reader.read_exact(&mut one)?;
    let [byte] = one;
    Ok(byte)
}
