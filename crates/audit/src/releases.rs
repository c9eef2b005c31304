//! The key service's log: each leaf alone, and in its place. `flows.rs` matches it with the entries.

use std::io;

use crate::{
    entries::{check_time, short_id},
    flows::Flows,
    keyleaf::{KEY_LEAF_BYTES, KeyLeaf, KeyLeafError},
    report::Report,
    walk::{Follow, Look, check_place, readable},
};

/// Looks at each release alone.
pub(crate) struct ReleaseLooker;

impl Look for ReleaseLooker {
    type Seen = Result<KeyLeaf, KeyLeafError>;
    const LEAF_BYTES_MAX: usize = KEY_LEAF_BYTES;
    const BUNDLES_AT_ONCE: u64 = 64;

    fn look(&self, _index: u64, leaf: &[u8]) -> Self::Seen {
        KeyLeaf::parse(leaf)
    }
}

/// What is carried from release to release.
pub(crate) struct ReleaseFollower<'s> {
    number: u16,
    log: [u8; 8],
    time: Option<u64>,
    flows: &'s mut Flows,
}

impl<'s> ReleaseFollower<'s> {
    /// Follows the log of this origin, which has the number `number` among the flows.
    pub(crate) fn new(origin: &str, number: u16, flows: &'s mut Flows) -> Self {
        Self { number, log: short_id(origin), time: None, flows }
    }
}

impl Follow<Result<KeyLeaf, KeyLeafError>> for ReleaseFollower<'_> {
    fn follow(
        &mut self,
        index: u64,
        seen: Result<KeyLeaf, KeyLeafError>,
        report: &mut Report,
    ) -> io::Result<()> {
        let Some(leaf) = readable(index, seen, report) else { return Ok(()) };
        check_place(index, self.log, leaf.log, leaf.sequence, report);
        check_time(index, self.time, leaf.time, report);
        self.time = Some(leaf.time);
        self.flows.release(self.number, index, &leaf)
    }
}
