//! Archives of zip, read from the front: packed members are opened; the others were searched with the archive's bytes.

use std::io::{self, BufRead, Read};

use flate2::bufread::DeflateDecoder;

use super::tar::fill;
use super::{Looking, below};

const HEAD: usize = 30;
/// Most bytes that stand behind a member whose length was not told before: with a mark or without.
const DESCRIPTOR: usize = 24;
/// Longest name of a member that is shown.
const NAME: usize = 200;

/// What stands before a member.
struct Head {
    flags: u16,
    method: u16,
    size: u64,
    name: String,
}

impl Head {
    const fn is_encrypted(&self) -> bool {
        self.flags & 1 != 0
    }

    /// The length stands behind the member.
    const fn is_streamed(&self) -> bool {
        self.flags & 8 != 0
    }
}

pub(super) fn open(looking: &mut Looking<'_>, reader: &mut dyn BufRead, depth: usize, inside: &str) {
    let mut behind = 0;
    loop {
        let head = match head(reader, behind) {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(e) => return looking.sink.blind(inside, &format!("the archive cannot be read on: {e}")),
        };
        let place = below(inside, &head.name);
        let deflated = head.method == 8 && !head.is_encrypted();
        if !deflated && (head.method != 0 || head.is_encrypted()) {
            let why = if head.is_encrypted() {
                "it is encrypted"
            } else {
                "it is packed by a method that is not opened"
            };
            looking.sink.blind(&place, why);
        }
        if deflated {
            let mut member = DeflateDecoder::new(&mut *reader);
            looking.look(&mut member, depth, &place);
            if io::copy(&mut member, &mut io::sink()).is_err() {
                return looking.sink.blind(inside, "what stands behind a damaged member is not opened");
            }
        } else if head.is_streamed() && head.size == 0 {
            return looking.sink.blind(&place, "its length is not told, so that what follows is not opened");
        } else {
            let mut member = (&mut *reader).take(head.size);
            if head.method == 0 && !head.is_encrypted() {
                looking.member(&mut member, depth, &place);
            }
            if io::copy(&mut member, &mut io::sink()).is_err() || member.limit() > 0 {
                return looking.sink.blind(&place, "the archive ends in the middle of a member");
            }
        }
        behind = if head.is_streamed() { DESCRIPTOR } else { 0 };
    }
}

/// The next member's head, at most so many bytes away; none at the directory that ends an archive.
fn head(reader: &mut dyn BufRead, away: usize) -> io::Result<Option<Head>> {
    let mut block = [0; HEAD];
    let mut mark = [0; 4];
    reader.read_exact(&mut mark)?;
    for step in 0..=away {
        match mark {
            [b'P', b'K', 3, 4] => break,
            [b'P', b'K', 1, 2] | [b'P', b'K', 5, 6] | [b'P', b'K', 6, 6..=8] => return Ok(None),
            _ if step == away => return Err(io::Error::other("no head of a member")),
            [_, b, c, d] => {
                let mut next = [0; 1];
                reader.read_exact(&mut next)?;
                let [next] = next;
                mark = [b, c, d, next];
            }
        }
    }
    if fill(reader, block.get_mut(4..).unwrap_or_default())? < HEAD - 4 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let number = |at: usize| match block.get(at..at + 2) {
        Some([a, b]) => u16::from_le_bytes([*a, *b]),
        _ => 0,
    };
    let long = |at: usize| u64::from(number(at)) | u64::from(number(at + 2)) << 16;
    let mut name = vec![0; usize::from(number(26))];
    let mut extra = vec![0; usize::from(number(28))];
    if fill(reader, &mut name)? < name.len() || fill(reader, &mut extra)? < extra.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    name.truncate(NAME);
    let size = match long(18) {
        0xffff_ffff => long_size(&extra).unwrap_or(0xffff_ffff),
        size => size,
    };
    Ok(Some(Head {
        flags: number(6),
        method: number(8),
        size,
        name: String::from_utf8_lossy(&name).into_owned(),
    }))
}

/// The packed length of a member beyond four GiB: the second number of the field.
fn long_size(extra: &[u8]) -> Option<u64> {
    let mut rest = extra;
    while let [a, b, c, d, after @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*c, *d]));
        let field = after.get(..length)?;
        if u16::from_le_bytes([*a, *b]) == 1 {
            return field.get(8..16)?.try_into().ok().map(u64::from_le_bytes);
        }
        rest = after.get(length..)?;
    }
    None
}
