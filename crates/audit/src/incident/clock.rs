//! Which time counts.

use serde::{Deserialize, Serialize};

/// Three clocks, each the greatest value that was ever seen of it.
///
/// None of them is trusted alone. The time since something is the greatest that any of them says: to stop it
/// somebody must hold all three, the auditor's machine, the site's log and the auditor's running process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// The machine's clock, in Unix seconds.
    pub wall: u64,
    /// The newest time in the mirrored site log, in Unix seconds; 0 if none was seen.
    pub ledger: u64,
    /// Seconds that `watch` counted with a steady clock while it ran.
    pub running: u64,
}

impl Clock {
    /// The greater of each of the clocks.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            wall: self.wall.max(other.wall),
            ledger: self.ledger.max(other.ledger),
            running: self.running.max(other.running),
        }
    }

    /// Seconds since `then`: the most that any clock says.
    #[must_use]
    pub fn since(self, then: Self) -> u64 {
        // A clock that had shown nothing then cannot say how long ago that was.
        let ledger = if then.ledger == 0 { 0 } else { self.ledger.saturating_sub(then.ledger) };
        let (wall, running) =
            (self.wall.saturating_sub(then.wall), self.running.saturating_sub(then.running));
        wall.max(ledger).max(running)
    }

    /// Whether no clock of `other` is ahead of this one.
    pub(super) fn follows(self, other: Self) -> bool {
        self.max(other) == self
    }
}
