//! Guards over counts without noise: who was in which group that a recipient was told of, stored before it is told.
//!
//! A guard may be larger than a row. It lies in pieces, which change together under the lock of the first, so that none is
//! ever seen beside another's. Nothing of it is removed: what was told cannot be forgotten.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use model::Name;
use serde::{Deserialize, Serialize};
use transform::aggregate::guard::Unsafe;
use transform::aggregate::{Guard, Member, Passed};

use super::Control;
use super::memory::parse;
use super::privacy::place;
use super::store::{Becomes, ChangeError, ROW_MAX, Row, StoreError, Table};

/// Most pieces of one guard. A guard of as many people as it takes, in as many sets of groups, has 2.8 MB.
const PIECES: usize = 4;
/// Most bytes of a piece.
const PIECE_MAX: usize = ROW_MAX / 4 * 3;

/// A guard as it lies.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    dataset: String,
    recipient: String,
    guard: Guard,
}

impl Kept {
    fn join(rows: &[Option<Row>], dataset: &Name, recipient: &str) -> Result<Self, ChangeError> {
        let bytes: Vec<u8> = rows.iter().flatten().flat_map(|row| row.bytes.iter().copied()).collect();
        let (dataset, recipient) = (dataset.to_string(), recipient.to_owned());
        if bytes.is_empty() {
            return Ok(Self { dataset, recipient, guard: Guard::default() });
        }
        let kept: Self = parse("guard", &bytes)?;
        let same = kept.dataset == dataset && kept.recipient == recipient;
        if same { Ok(kept) } else { Err(ChangeError::Form("guard")) }
    }

    /// The pieces. One that is not needed any more is left empty.
    fn split(&self, rows: &[Option<Row>]) -> Result<Vec<Becomes>, ChangeError> {
        let bytes = serde_json::to_vec(self).map_err(|_| ChangeError::Form("guard"))?;
        let mut pieces = bytes.chunks(PIECE_MAX).map(<[u8]>::to_vec);
        let becomes = rows.iter().map(|row| match (pieces.next(), row) {
            (Some(piece), _) => Becomes::Put(piece),
            (None, Some(_)) => Becomes::Put(Vec::new()),
            (None, None) => Becomes::Same,
        });
        let becomes = becomes.collect();
        if pieces.next().is_some() { Err(Unsafe::Full.into()) } else { Ok(becomes) }
    }
}

impl Control {
    /// Lets groups be told to a recipient together, or none of them, and keeps who is in them, durably.
    ///
    /// # Errors
    /// [`StoreError::Change`] with [`ChangeError::Guard`] when few would follow from them; else [`StoreError`].
    pub fn guard(
        &self,
        recipient: &str,
        dataset: &Name,
        groups: &[BTreeSet<Member>],
        k: NonZeroU64,
    ) -> Result<Passed, StoreError> {
        let first = place(dataset, Some(recipient));
        let keys: Vec<String> = (0..PIECES).map(|n| format!("{first}/{n}")).collect();
        let at: Vec<(Table, &str)> = keys.iter().map(|key| (Table::Guards, key.as_str())).collect();
        let mut passed = None;
        self.store.change_all(&at, &mut |rows| {
            let mut kept = Kept::join(rows, dataset, recipient)?;
            let before = kept.guard.groups();
            passed = Some(kept.guard.pass(groups, k)?);
            // What was told before is told again without a write.
            if kept.guard.groups() == before { Ok(vec![Becomes::Same; rows.len()]) } else { kept.split(rows) }
        })?;
        passed.ok_or_else(|| ChangeError::Form("guard").into())
    }
}
