//! Frames of the write-ahead log: one batch of entries with their details and tag lists, whole or not
//! at all. Byte form: `docs/formats/wal.md`. No IO here.

use crate::merkle::Hash;

const MAGIC: &[u8; 4] = b"CLVB";
/// Length of a frame's head in bytes.
pub const HEAD_LEN: usize = 52;
/// Longest body of a frame in bytes; a committer starts a new batch before it.
pub const FRAME_MAX: usize = 4 << 20;

/// One entry as the write-ahead log keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct Logged {
    /// The leaf, in its place.
    pub leaf: Vec<u8>,
    /// The sealed detail record; may be empty.
    pub detail: Vec<u8>,
    /// The tag list, if there is one.
    pub side: Option<(Hash, Vec<u8>)>,
}

impl std::fmt::Debug for Logged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Logged({} + {} bytes)", self.leaf.len(), self.detail.len())
    }
}

impl Logged {
    /// Bytes that it adds to a frame.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        let side = self.side.as_ref().map_or(0, |(_, bytes)| bytes.len() + Hash::LEN);
        self.leaf.len() + self.detail.len() + side + 12
    }
}

/// One batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Index of its first entry.
    pub first: u64,
    /// Its entries.
    pub entries: Vec<Logged>,
}

/// Why no frame could be read at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No frame begins here: the end of the log, or what an older use of the segment left.
    #[error("no frame of the log begins here")]
    End,
    /// A frame begins here that was not written whole.
    #[error("a frame of the log is torn")]
    Torn,
}

/// Appends one batch as a frame.
pub fn encode(first: u64, entries: &[Logged], out: &mut Vec<u8>) {
    let start = out.len();
    out.reserve(HEAD_LEN + entries.iter().map(Logged::frame_len).sum::<usize>());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&first.to_be_bytes());
    out.extend_from_slice(&len32(entries.len()));
    out.extend_from_slice(&[0; 4 + 32]);
    for e in entries {
        let side = e.side.as_ref().map_or(&[][..], |(_, bytes)| bytes);
        out.extend_from_slice(&len32(e.leaf.len()));
        out.extend_from_slice(&len32(e.detail.len()));
        out.extend_from_slice(&len32(side.len()));
        if let Some((root, _)) = &e.side {
            out.extend_from_slice(root.as_bytes());
        }
        out.extend_from_slice(&e.leaf);
        out.extend_from_slice(&e.detail);
        out.extend_from_slice(side);
    }
    let body = out.len() - start - HEAD_LEN;
    if let Some(slot) = out.get_mut(start + 16..start + 20) {
        slot.copy_from_slice(&len32(body));
    }
    let sum = checksum(out.get(start..).unwrap_or_default());
    if let (Some(slot), Some(sum)) = (out.get_mut(start + 20..start + HEAD_LEN), sum) {
        slot.copy_from_slice(&sum);
    }
}

fn len32(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes()
}

/// BLAKE3 over the body and the first 20 bytes of the head: as strong as SHA-256, and several times as fast on what
/// is as long as a frame.
fn checksum(frame: &[u8]) -> Option<[u8; 32]> {
    let mut sum = blake3::Hasher::new();
    // The body first: the hash is fastest on what begins at its start.
    sum.update(frame.get(HEAD_LEN..)?);
    sum.update(frame.get(..20)?);
    Some(*sum.finalize().as_bytes())
}

/// Takes pieces off a slice.
struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn u32(&mut self) -> Option<usize> {
        let bytes = self.bytes(4)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(bytes)).ok()
    }
}

/// Reads the frame at the start of `bytes`, which must begin with the entry `expected`.
/// Returns the batch and the frame's length.
///
/// # Errors
/// [`FrameError::End`] when no such frame begins here; [`FrameError::Torn`] when one begins but its
/// checksum does not hold.
pub fn decode(bytes: &[u8], expected: u64) -> Result<(Batch, usize), FrameError> {
    let head = bytes.get(..HEAD_LEN).ok_or(FrameError::End)?;
    let mut cut = Cut(head);
    if cut.bytes(4) != Some(MAGIC) {
        return Err(FrameError::End);
    }
    let first = cut.bytes(8).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
    if first != Some(expected) {
        return Err(FrameError::End);
    }
    let count = cut.u32().ok_or(FrameError::Torn)?;
    let body = cut.u32().filter(|n| *n <= FRAME_MAX).ok_or(FrameError::Torn)?;
    let frame = bytes.get(..HEAD_LEN + body).ok_or(FrameError::Torn)?;
    if checksum(frame).as_ref().map(<[u8; 32]>::as_slice) != head.get(20..) {
        return Err(FrameError::Torn);
    }
    let mut cut = Cut(frame.get(HEAD_LEN..).ok_or(FrameError::Torn)?);
    let mut entries = Vec::with_capacity(count.min(65_536));
    for _ in 0..count {
        entries.push(logged(&mut cut).ok_or(FrameError::Torn)?);
    }
    if !cut.0.is_empty() {
        return Err(FrameError::Torn);
    }
    Ok((Batch { first: expected, entries }, HEAD_LEN + body))
}

/// Whether a whole frame of an entry after `expected` lies anywhere in `bytes`.
///
/// A frame is written only when the one before it is flushed. So if `expected` cannot be read at the start of
/// `bytes` and this is true, it was damaged later, and not torn by a crash.
#[must_use]
pub fn later_frame(bytes: &[u8], expected: u64) -> bool {
    bytes.windows(MAGIC.len()).enumerate().filter(|(_, four)| four == MAGIC).any(|(at, _)| {
        let rest = bytes.get(at..).unwrap_or_default();
        let first = rest.get(4..12).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
        first.is_some_and(|first| first > expected && decode(rest, first).is_ok())
    })
}

fn logged(cut: &mut Cut<'_>) -> Option<Logged> {
    let (leaf, detail, side) = (cut.u32()?, cut.u32()?, cut.u32()?);
    let root = if side > 0 { Some(Hash::from_bytes(cut.bytes(32)?.try_into().ok()?)) } else { None };
    let (leaf, detail) = (cut.bytes(leaf)?.to_vec(), cut.bytes(detail)?.to_vec());
    let side = cut.bytes(side)?.to_vec();
    Some(Logged { leaf, detail, side: root.map(|r| (r, side)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Logged> {
        let side = Some((Hash::from_bytes([3; 32]), vec![4; 80]));
        vec![
            Logged { leaf: vec![1; 300], detail: vec![2; 120], side: None },
            Logged { leaf: vec![5; 256], detail: Vec::new(), side },
        ]
    }

    #[test]
    fn a_frame_reads_back_and_tells_its_length() {
        let mut bytes = Vec::new();
        encode(7, &sample(), &mut bytes);
        let length = bytes.len();
        bytes.extend_from_slice(&[0; 100]);
        assert_eq!(decode(&bytes, 7).unwrap(), (Batch { first: 7, entries: sample() }, length));
    }

    #[test]
    fn a_frame_cut_or_changed_at_any_byte_is_not_read() {
        let mut bytes = Vec::new();
        encode(7, &sample(), &mut bytes);
        for i in 0..bytes.len() {
            assert!(decode(&bytes[..i], 7).is_err(), "cut at {i}");
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert!(decode(&changed, 7).is_err(), "changed at {i}");
        }
    }

    #[test]
    fn a_frame_behind_a_damaged_one_shows_the_damage() {
        let mut bytes = Vec::new();
        encode(7, &sample(), &mut bytes);
        let second = bytes.len();
        encode(9, &sample(), &mut bytes);
        bytes[60] ^= 1;
        assert_eq!(decode(&bytes, 7), Err(FrameError::Torn));
        assert!(later_frame(&bytes, 7), "entry 9 is whole");
        assert!(!later_frame(&bytes[..bytes.len() - 1], 7), "entry 9 is torn too");
        assert!(!later_frame(&bytes[second..], 9), "not behind itself");
    }

    #[test]
    fn what_an_older_use_of_the_segment_left_is_the_end() {
        let mut bytes = Vec::new();
        encode(7, &sample(), &mut bytes);
        assert_eq!(decode(&bytes, 9), Err(FrameError::End));
        assert_eq!(decode(&[0; 4096], 9), Err(FrameError::End));
    }
}
