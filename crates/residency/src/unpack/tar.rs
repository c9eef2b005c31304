//! Archives of tar: the bytes of its members were searched with the archive's; members that are containers are opened.

use std::io::{self, Read};

use super::{Looking, below};

const BLOCK: usize = 512;

pub(super) fn open(looking: &mut Looking<'_>, mut reader: &mut dyn io::BufRead, depth: usize, inside: &str) {
    let mut block = [0; BLOCK];
    loop {
        match fill(reader, &mut block) {
            Ok(0) => return,
            Ok(BLOCK) => {}
            Ok(_) => return looking.sink.blind(inside, "the archive ends in the middle of a head"),
            Err(e) => return looking.sink.blind(inside, &format!("the archive cannot be read on: {e}")),
        }
        if block.iter().all(|b| *b == 0) {
            continue;
        }
        let Some(size) = size(&block) else {
            return looking.sink.blind(inside, "something else stands behind a member of the archive");
        };
        let name = name(&block);
        let mut member = reader.take(size);
        if matches!(block.get(156), Some(0 | b'0' | b'7')) {
            looking.member(&mut member, depth, &below(inside, &name));
        }
        let rest = io::copy(&mut member, &mut io::sink());
        let left = member.limit();
        reader = member.into_inner();
        if rest.is_err() || left > 0 {
            return looking.sink.blind(&below(inside, &name), "the archive ends in the middle of a member");
        }
        let padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        let mut padded = reader.take(padding);
        let _ = io::copy(&mut padded, &mut io::sink());
        reader = padded.into_inner();
    }
}

/// Reads until the block is full or there is no more.
pub(super) fn fill(reader: &mut dyn io::BufRead, block: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while let Some(free) = block.get_mut(have..).filter(|f| !f.is_empty()) {
        match reader.read(free)? {
            0 => break,
            n => have += n,
        }
    }
    Ok(have)
}

/// The member's length, if this is a head.
fn size(block: &[u8; BLOCK]) -> Option<u64> {
    let told = octal(block.get(148..156)?)?;
    let sum: u64 =
        block.iter().enumerate().map(|(n, b)| if (148..156).contains(&n) { 32 } else { u64::from(*b) }).sum();
    if sum != told {
        return None;
    }
    match block.get(124..136)? {
        // Lengths beyond eight GiB are in binary.
        [0x80, rest @ ..] => Some(rest.iter().rev().take(8).rev().fold(0, |n, b| n << 8 | u64::from(*b))),
        text => octal(text),
    }
}

fn octal(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    u64::from_str_radix(text.trim_matches([' ', '\0']), 8).ok()
}

fn name(block: &[u8; BLOCK]) -> String {
    let name = block.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name.get(..100.min(name.len())).unwrap_or_default()).into_owned()
}
