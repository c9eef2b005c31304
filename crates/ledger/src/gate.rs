//! The border's gate: open only while independent cosigners keep up with the log.
//!
//! The gate knows how long ago the newest checkpoint was sent out that the quorum of the trust policy
//! then cosigned. Green, amber and red follow from that age alone; red refuses new crossings. It has
//! no clock: [`Now`] comes with every call. There is no switch that leaves it open; what lifts red for
//! some minutes is [`Gate::lift`]. Start reading at [`Gate`].
//!
//! Two clocks are read. The monotonic one measures age, from when a round of requests *began*, so
//! that a cosignature that arrives late is as old as it is. The wall clock and the cosigner's own time
//! only speak against a cosignature, never for it: one that is far from our time does not count, and
//! one that the wall clock ran away from, as on a machine that slept while the monotonic clock stood,
//! is forgotten for good. Within that minute someone on the way to a witness could answer with an
//! older cosignature of the same checkpoint: the connection to the witness must rule that out.

use crate::sequencer::Receipt;

/// Most seconds that a cosignature's time may be away from ours, either way.
pub const APART_SECONDS_MAX: u64 = 60;

/// Longest lift of red, in milliseconds: 30 minutes.
pub const LIFT_MILLIS_MAX: u64 = 30 * 60 * 1000;

/// Highest limit for red, in seconds: beyond an hour the gate would be a switch to leave it open.
pub const RED_SECONDS_MAX: u64 = 3600;

/// The border's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Cosigners keep up: crossings go ahead.
    Green,
    /// They are late: only what the caller's policy lets pass now.
    Amber,
    /// They are missing: no new crossing.
    Red,
    /// They are missing, and the border override holds: crossings within the region only.
    Lifted,
}

/// How old the newest cosigned checkpoint may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    green_seconds: u64,
    red_seconds: u64,
}

/// Both clocks, read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never goes back, from any start.
    pub mono_ms: u64,
    /// Seconds since 1970, as far as this machine knows.
    pub unix_s: u64,
}

/// One round of requests for cosignatures: what was sent, and when it began. Only [`Gate::begin`]
/// makes one, and it counts once.
///
/// ```compile_fail,E0451
/// let round = ledger::gate::Round { size: 1, began_ms: u64::MAX };
/// ```
///
/// The passing twin:
///
/// ```
/// # use ledger::gate::{Gate, Now, Round};
/// fn round(gate: &mut Gate, now: Now) -> Round { gate.begin(1, now) }
/// ```
#[derive(Debug)]
pub struct Round {
    size: u64,
    began_ms: u64,
}

/// The limits are out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limits of `{green}` and `{red}` seconds are not 1 <= green <= red <= {RED_SECONDS_MAX}")]
pub struct LimitsError {
    green: u64,
    red: u64,
}

/// A cosigned checkpoint does not count, and the state is as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ignored {
    /// Its tree is smaller than one that was cosigned before.
    #[error("the cosigned checkpoint has the size `{size}`, and one of `{before}` was cosigned before")]
    Smaller {
        /// Its size.
        size: u64,
        /// The largest size so far.
        before: u64,
    },
    /// Its time is more than [`APART_SECONDS_MAX`] away from ours: one of the clocks is wrong.
    #[error(
        "the cosignature's time `{time}` is more than `{APART_SECONDS_MAX}` seconds away from ours, `{ours}`"
    )]
    ClocksApart {
        /// Time of the cosignature, in seconds since 1970.
        time: u64,
        /// Our time, in seconds since 1970.
        ours: u64,
    },
}

/// Red is not lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LiftError {
    /// Nothing to lift: an override is not kept in store.
    #[error("the border is not red")]
    NotRed,
    /// The end is not in the future.
    #[error("the override would end before it begins")]
    Ended,
    /// The end is more than [`LIFT_MILLIS_MAX`] away.
    #[error("an override of `{millis}` milliseconds is above the limit of `{LIFT_MILLIS_MAX}`")]
    TooLong {
        /// The length asked for.
        millis: u64,
    },
}

/// The border's state machine.
///
/// ```
/// use ledger::gate::{Gate, Limits, Now, State};
///
/// let mut gate = Gate::new(Limits::new(2, 10)?);
/// let at = |mono_ms| Now { mono_ms, unix_s: 1_700_000_000 + mono_ms / 1000 };
/// assert_eq!(gate.state(at(0)), State::Red);
///
/// gate.committed(40, at(0));
/// let round = gate.begin(40, at(100));
/// // The policy's quorum answers; the time is that of `Policy::cosigned_at`.
/// gate.cosigned(round, 1_700_000_000, at(150))?;
/// assert_eq!(gate.state(at(2_100)), State::Green);
/// assert_eq!(gate.state(at(2_101)), State::Amber);
/// assert_eq!(gate.state(at(10_101)), State::Red);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Gate {
    limits: Limits,
    /// Latest monotonic time seen: should the clock go back nevertheless, nothing gets younger.
    seen_ms: u64,
    committed: u64,
    cosigned: u64,
    fresh: Option<Fresh>,
    lifted_until_ms: Option<u64>,
}

/// The youngest cosigned checkpoint that counts.
#[derive(Debug, Clone, Copy)]
struct Fresh {
    began_ms: u64,
    received_ms: u64,
    /// The quorum's time, in seconds since 1970.
    time: u64,
}

impl Gate {
    /// A gate that has seen nothing, and is red.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, seen_ms: 0, committed: 0, cosigned: 0, fresh: None, lifted_until_ms: None }
    }

    /// The log holds that many entries durably.
    pub fn committed(&mut self, size: u64, now: Now) {
        self.advance(now);
        self.committed = self.committed.max(size);
    }

    /// Begins a round: call this *before* the checkpoint of that size goes out to the witnesses. A
    /// log at rest asks again for the same size.
    #[must_use = "the round is what a cosignature is counted for"]
    pub fn begin(&mut self, size: u64, now: Now) -> Round {
        self.committed(size, now);
        Round { size, began_ms: self.seen_ms }
    }

    /// The quorum has cosigned the checkpoint of that round; `time` is that of
    /// [`Policy::cosigned_at`](crate::policy::Policy::cosigned_at), in seconds since 1970. Rounds may
    /// overlap and end in any order.
    ///
    /// # Errors
    ///
    /// [`Ignored`] when it does not count. A smaller tree from a round that another one overtook is
    /// merely late; anything else deserves an alarm, because the log or a clock went wrong.
    pub fn cosigned(&mut self, round: Round, time: u64, now: Now) -> Result<(), Ignored> {
        self.advance(now);
        if round.size < self.cosigned {
            return Err(Ignored::Smaller { size: round.size, before: self.cosigned });
        }
        // A round of another gate cannot have begun after the latest time seen here.
        let began_ms = round.began_ms.min(self.seen_ms);
        let fresh = Fresh { began_ms, received_ms: self.seen_ms, time };
        if !fresh.agrees_with(self.seen_ms, now.unix_s) {
            return Err(Ignored::ClocksApart { time, ours: now.unix_s });
        }
        self.forget_if_clock_jumped(now.unix_s);
        self.cosigned = round.size;
        if self.fresh.is_none_or(|before| before.began_ms <= began_ms) {
            self.fresh = Some(fresh);
        }
        if self.by_age() == State::Green {
            self.lifted_until_ms = None;
        }
        Ok(())
    }

    /// The state now. Ask before each crossing, and before each extension of a stream.
    ///
    /// It notes what it sees: a jump of the wall clock ends the freshness of what was cosigned
    /// before it, and the end of an override is its end, whatever the clocks say later.
    #[must_use = "red refuses crossings only if someone looks"]
    pub fn state(&mut self, now: Now) -> State {
        self.advance(now);
        self.forget_if_clock_jumped(now.unix_s);
        let state = self.by_age();
        if state == State::Green || self.lifted_until_ms.is_some_and(|end| end <= self.seen_ms) {
            self.lifted_until_ms = None;
        }
        match (state, self.lifted_until_ms) {
            (State::Red, Some(_)) => State::Lifted,
            (state, _) => state,
        }
    }

    /// Lifts red until the monotonic time `until_ms`: the border override, for crossings within the
    /// region only. It ends by itself, and also when the gate is green again.
    ///
    /// That two people of different companies asked for it is the caller's to check. That it was
    /// logged first is shown by the receipt of its entry, which is spent here: to lift red again or
    /// longer takes another entry.
    ///
    /// # Errors
    ///
    /// [`LiftError`] when the gate is not red or the time is not within the next 30 minutes.
    pub fn lift(&mut self, until_ms: u64, now: Now, logged: Receipt) -> Result<(), LiftError> {
        drop(logged);
        if !matches!(self.state(now), State::Red | State::Lifted) {
            return Err(LiftError::NotRed);
        }
        let millis = until_ms.saturating_sub(self.seen_ms);
        if millis == 0 {
            return Err(LiftError::Ended);
        }
        if millis > LIFT_MILLIS_MAX {
            return Err(LiftError::TooLong { millis });
        }
        self.lifted_until_ms = Some(until_ms);
        Ok(())
    }

    /// Ends a lift before its time.
    pub const fn end_lift(&mut self) {
        self.lifted_until_ms = None;
    }

    /// When the lift ends, as monotonic time, if one was granted and has not been seen to end.
    #[must_use]
    pub const fn lifted_until_ms(&self) -> Option<u64> {
        self.lifted_until_ms
    }

    /// How long ago the round began in which the newest checkpoint that counts was cosigned.
    #[must_use]
    pub fn age_ms(&self, now: Now) -> Option<u64> {
        let now_ms = self.seen_ms.max(now.mono_ms);
        self.fresh.map(|fresh| now_ms.saturating_sub(fresh.began_ms))
    }

    /// How many durable entries no quorum has cosigned yet.
    #[must_use]
    pub const fn uncosigned(&self) -> u64 {
        self.committed.saturating_sub(self.cosigned)
    }

    fn advance(&mut self, now: Now) {
        self.seen_ms = self.seen_ms.max(now.mono_ms);
    }

    fn forget_if_clock_jumped(&mut self, unix_s: u64) {
        self.fresh = self.fresh.filter(|fresh| fresh.agrees_with(self.seen_ms, unix_s));
    }

    fn by_age(&self) -> State {
        let Some(fresh) = self.fresh else { return State::Red };
        let age_ms = self.seen_ms.saturating_sub(fresh.began_ms);
        match age_ms {
            age if age <= self.limits.green_seconds * 1000 => State::Green,
            age if age <= self.limits.red_seconds * 1000 => State::Amber,
            _ => State::Red,
        }
    }
}

impl Fresh {
    /// Whether the wall clock, less what the monotonic clock counted since the cosignature arrived,
    /// is still about the time that the cosigner wrote.
    fn agrees_with(&self, mono_ms: u64, unix_s: u64) -> bool {
        let since_ms = mono_ms.saturating_sub(self.received_ms);
        // Whole seconds of the one clock against milliseconds of the other: either rounding will do.
        let earliest = i128::from(unix_s) - i128::from(since_ms.div_ceil(1000));
        let latest = i128::from(unix_s) - i128::from(since_ms / 1000);
        let (time, apart) = (i128::from(self.time), i128::from(APART_SECONDS_MAX));
        earliest <= time + apart && latest >= time - apart
    }
}

impl Limits {
    /// Green up to an age of `green` seconds, red beyond `red` seconds, amber between.
    ///
    /// # Errors
    ///
    /// [`LimitsError`] unless 1 <= green <= red <= 3600.
    pub const fn new(green: u64, red: u64) -> Result<Self, LimitsError> {
        if green == 0 || green > red || red > RED_SECONDS_MAX {
            return Err(LimitsError { green, red });
        }
        Ok(Self { green_seconds: green, red_seconds: red })
    }
}

impl State {
    /// The word for it, as in metrics and status pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Amber => "amber",
            Self::Red => "red",
            Self::Lifted => "lifted",
        }
    }
}

#[cfg(test)]
mod tests;
