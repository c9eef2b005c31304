//! Containers as they are written, for the measuring of recall and for tests: the least that other programs take.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

/// One way to pack bytes.
#[derive(Debug, Clone, Copy)]
pub struct Packing {
    /// Its name in the table of recall.
    pub name: &'static str,
    /// Packs.
    pub pack: fn(&[u8]) -> io::Result<Vec<u8>>,
}

/// Every way that is planted.
pub const PACKINGS: &[Packing] = &[
    Packing { name: "as it is", pack: |b| Ok(b.to_vec()) },
    Packing { name: "gzip", pack: gzip },
    Packing { name: "zlib", pack: zlib },
    Packing { name: "zstd", pack: |b| Ok(zstd(b)) },
    Packing { name: "zip, deflated", pack: |b| zip(&[("member.txt", b)], true) },
    Packing { name: "zip, stored", pack: |b| zip(&[("member.txt", b)], false) },
    Packing { name: "tar", pack: |b| Ok(tar(&[("member.txt", b)])) },
    Packing { name: "tar in gzip", pack: |b| gzip(&tar(&[("member.txt", b)])) },
    Packing { name: "gzip in tar in zstd", pack: |b| Ok(zstd(&tar(&[("member.gz", &gzip(b)?)]))) },
    Packing {
        name: "gzip in zip in gzip in tar",
        pack: |b| Ok(tar(&[("a.gz", &gzip(&zip(&[("b.gz", &gzip(b)?)], true)?)?)])),
    },
];

/// A stream of gzip.
///
/// # Errors
/// Never, for memory takes all.
pub fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes)?;
    out.finish()
}

/// A stream of zlib.
///
/// # Errors
/// Never, for memory takes all.
pub fn zlib(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = ZlibEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes)?;
    out.finish()
}

/// A frame of zstd.
#[must_use]
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// An archive of tar.
#[must_use]
pub fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in members {
        let mut head = [0u8; 512];
        let mut put = |at: usize, text: &[u8]| {
            for (to, from) in head.iter_mut().skip(at).zip(text) {
                *to = *from;
            }
        };
        put(0, name.as_bytes().get(..name.len().min(99)).unwrap_or_default());
        put(100, b"0000600\x000000000\x000000000\x00");
        put(124, format!("{:011o}\0{:011o}\0        0", bytes.len(), 0).as_bytes());
        put(257, b"ustar\x0000");
        let sum: u32 = head.iter().map(|b| u32::from(*b)).sum();
        for (to, from) in head.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
            *to = from;
        }
        out.extend_from_slice(&head);
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// An archive of zip, its members deflated with their length behind them, or stored.
///
/// # Errors
/// When a member is too long.
pub fn zip(members: &[(&str, &[u8])], deflated: bool) -> io::Result<Vec<u8>> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let short = |n: usize| u16::try_from(n).map(u16::to_le_bytes).map_err(io::Error::other);
    let long = |n: usize| u32::try_from(n).map(u32::to_le_bytes).map_err(io::Error::other);
    for (name, bytes) in members {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let packed = if deflated {
            let mut deflate = DeflateEncoder::new(Vec::new(), Compression::fast());
            deflate.write_all(bytes)?;
            deflate.finish()?
        } else {
            bytes.to_vec()
        };
        let (flags, method) = if deflated { (8u16, 8u16) } else { (0, 0) };
        let kind = [20u16.to_le_bytes(), flags.to_le_bytes(), method.to_le_bytes(), [0; 2], [0; 2]].concat();
        let sizes = [crc.sum().to_le_bytes(), long(packed.len())?, long(bytes.len())?].concat();
        let names = [short(name.len())?, [0; 2]].concat();
        let at = long(out.len())?;
        let before = if deflated { vec![0; 12] } else { sizes.clone() };
        out.extend([b"PK\x03\x04".as_slice(), &kind, &before, &names, name.as_bytes(), &packed].concat());
        if deflated {
            out.extend([b"PK\x07\x08".as_slice(), &sizes].concat());
        }
        let entry =
            [b"PK\x01\x02".as_slice(), &[20, 0], &kind, &sizes, &names, &[0; 10], &at, name.as_bytes()];
        directory.extend(entry.concat());
    }
    let count = short(members.len())?;
    let end = [
        b"PK\x05\x06".as_slice(),
        &[0; 4],
        &count,
        &count,
        &long(directory.len())?,
        &long(out.len())?,
        &[0; 2],
    ];
    let end = end.concat();
    out.extend(directory);
    out.extend(end);
    Ok(out)
}
