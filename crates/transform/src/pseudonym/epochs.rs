//! Epochs: when keys change, and how old ones end.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::{PseudonymKey, ReversibleKey, derive_key, derive_reversible};

/// Most epochs between the oldest that is kept and the current one.
pub const KEPT_MAX: u32 = 1_200;

/// Separates the step from one epoch to the next from every other use of a secret.
const NEXT: &[u8] = b"clover/pseudonym/next-epoch/v1";

/// The secrets of all epochs that are kept, as a chain in one direction.
///
/// Each epoch's secret gives the next one by an HMAC, and none gives the one before. So the
/// secret of the oldest epoch is all that is stored: with it the keys of every later epoch can be
/// derived, and once it is replaced by its successor, the tokens of its epoch can be neither made
/// nor opened by anybody. That is how retention ends: by arithmetic, not by a flag. It holds as
/// far as copies of the stored secret are destroyed too.
///
/// ```
/// use transform::pseudonym::Epochs;
///
/// let mut epochs = Epochs::begin([7; 32]);
/// let old = epochs.key_of(1, "lab", "research", "contact").ok_or("gone")?;
/// epochs.turn()?;
/// assert_eq!(epochs.key("lab", "research", "contact").epoch(), 2);
/// assert!(epochs.key_of(1, "lab", "research", "contact").is_some(), "kept until its end");
/// epochs.forget_before(2)?;
/// assert!(epochs.key_of(1, "lab", "research", "contact").is_none(), "destroyed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Epochs {
    oldest: u32,
    current: u32,
    /// Of the oldest epoch.
    secret: Zeroizing<[u8; 32]>,
}

/// Why epochs cannot be as they were asked to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EpochError {
    /// Epochs count from 1, and the oldest is not younger than the current one.
    #[error("epochs `{oldest}` to `{current}` are no range of epochs")]
    Range {
        /// The oldest that is kept.
        oldest: u32,
        /// The current one.
        current: u32,
    },
    /// More than [`KEPT_MAX`] epochs would be kept.
    #[error("more than `{KEPT_MAX}` epochs would be kept: forget the oldest first")]
    TooMany,
    /// The current epoch and those to come cannot be forgotten.
    #[error("epoch `{0}` is not over")]
    NotOver(u32),
}

impl Epochs {
    /// The first epoch, with a secret of 256 random bits.
    #[must_use]
    pub fn begin(secret: [u8; 32]) -> Self {
        Self { oldest: 1, current: 1, secret: Zeroizing::new(secret) }
    }

    /// Epochs as they were stored: numbers, and the secret of the oldest.
    ///
    /// # Errors
    ///
    /// [`EpochError`] for numbers that cannot be.
    pub fn restore(oldest: u32, current: u32, secret: [u8; 32]) -> Result<Self, EpochError> {
        if oldest == 0 || oldest > current {
            return Err(EpochError::Range { oldest, current });
        }
        if current - oldest >= KEPT_MAX {
            return Err(EpochError::TooMany);
        }
        Ok(Self { oldest, current, secret: Zeroizing::new(secret) })
    }

    /// The oldest epoch whose tokens can still be made and opened.
    #[must_use]
    pub fn oldest(&self) -> u32 {
        self.oldest
    }

    /// The epoch that new tokens name.
    #[must_use]
    pub fn current(&self) -> u32 {
        self.current
    }

    /// The secret of the oldest epoch, for the key service to store.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Begins the next epoch.
    ///
    /// # Errors
    ///
    /// [`EpochError::TooMany`] if too many are kept.
    pub fn turn(&mut self) -> Result<u32, EpochError> {
        if self.current - self.oldest + 1 >= KEPT_MAX {
            return Err(EpochError::TooMany);
        }
        self.current = self.current.checked_add(1).ok_or(EpochError::TooMany)?;
        Ok(self.current)
    }

    /// Destroys the secrets of all epochs before `epoch`. Nothing is done for epochs that are
    /// gone already.
    ///
    /// # Errors
    ///
    /// [`EpochError::NotOver`] if the current epoch would go.
    pub fn forget_before(&mut self, epoch: u32) -> Result<(), EpochError> {
        if epoch > self.current {
            return Err(EpochError::NotOver(self.current));
        }
        while self.oldest < epoch {
            self.secret = next(&self.secret);
            self.oldest += 1;
        }
        Ok(())
    }

    /// The key for new tokens.
    #[must_use]
    pub fn key(&self, recipient: &str, purpose: &str, class: &str) -> PseudonymKey {
        derive_key(&self.secret_at(self.current), recipient, purpose, class, self.current)
    }

    /// The key of one epoch; `None` if it has not begun or is destroyed.
    #[must_use]
    pub fn key_of(&self, epoch: u32, recipient: &str, purpose: &str, class: &str) -> Option<PseudonymKey> {
        let secret = self.secret_of(epoch)?;
        Some(derive_key(&secret, recipient, purpose, class, epoch))
    }

    /// The key of one epoch for tokens that can be opened; `None` as in [`Epochs::key_of`].
    #[must_use]
    pub fn reversible_of(
        &self,
        epoch: u32,
        recipient: &str,
        purpose: &str,
        class: &str,
    ) -> Option<ReversibleKey> {
        let secret = self.secret_of(epoch)?;
        Some(derive_reversible(&secret, recipient, purpose, class, epoch))
    }

    fn secret_of(&self, epoch: u32) -> Option<Zeroizing<[u8; 32]>> {
        (self.oldest..=self.current).contains(&epoch).then(|| self.secret_at(epoch))
    }

    fn secret_at(&self, epoch: u32) -> Zeroizing<[u8; 32]> {
        (self.oldest..epoch).fold(self.secret.clone(), |secret, _| next(&secret))
    }
}

fn next(secret: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), NEXT);
    let mut next = Zeroizing::new([0; 32]);
    for (to, from) in next.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    next
}

/// Epochs, and the day on which the current one began, as an enclave keeps them.
///
/// Which epoch a day falls into and the secret of that epoch are read without changing anything, so that whoever decides
/// needs no storage. [`Calendar::tend`] then turns epochs that have begun and destroys those whose retention has ended; what it
/// leaves is to be stored.
///
/// ```
/// use transform::pseudonym::{Calendar, Rotation};
///
/// let rotation = Rotation { days: 90, kept: 1 };
/// let mut calendar = Calendar::begin([7; 32], 20_000);
/// assert_eq!(calendar.epoch(rotation, 20_089), 1);
/// assert_eq!(calendar.epoch(rotation, 20_090), 2);
/// let second = calendar.secret(2);
/// calendar.tend(rotation, 20_180)?;
/// assert_eq!((calendar.epochs().oldest(), calendar.epochs().current()), (2, 3));
/// assert!(calendar.secret(1).is_none() && calendar.secret(2) == second);
/// # Ok::<(), transform::pseudonym::EpochError>(())
/// ```
#[derive(Debug)]
pub struct Calendar {
    epochs: Epochs,
    began: u32,
}

/// Most epochs ahead of the stored one whose secret is given: beyond, a clock is wrong.
const AHEAD_MAX: u32 = 100_000;

impl Calendar {
    /// The first epoch, which begins on this day (counted from any day, always the same), with a secret of 256 random bits.
    #[must_use]
    pub fn begin(secret: [u8; 32], day: u32) -> Self {
        Self { epochs: Epochs::begin(secret), began: day }
    }

    /// As it was stored.
    ///
    /// # Errors
    ///
    /// [`EpochError`] for numbers that cannot be.
    pub fn restore(oldest: u32, current: u32, began: u32, secret: [u8; 32]) -> Result<Self, EpochError> {
        Ok(Self { epochs: Epochs::restore(oldest, current, secret)?, began })
    }

    /// The epochs that are stored.
    #[must_use]
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// The day on which the current one began.
    #[must_use]
    pub fn began(&self) -> u32 {
        self.began
    }

    /// How many epochs have begun since, on a day; a clock that is set back brings none back.
    fn due(&self, rotation: Rotation, day: u32) -> u32 {
        (day.saturating_sub(self.began) / rotation.days.max(1)).min(AHEAD_MAX)
    }

    /// The epoch of a day.
    #[must_use]
    pub fn epoch(&self, rotation: Rotation, day: u32) -> u32 {
        self.epochs.current.saturating_add(self.due(rotation, day))
    }

    /// The oldest epoch whose tokens may still be opened on a day.
    #[must_use]
    pub fn oldest(&self, rotation: Rotation, day: u32) -> u32 {
        let kept = self.epoch(rotation, day).saturating_sub(rotation.kept.min(KEPT_MAX - 2));
        self.epochs.oldest.max(kept)
    }

    /// The secret of an epoch; `None` for one that is destroyed, or too far ahead.
    #[must_use]
    pub fn secret(&self, epoch: u32) -> Option<Zeroizing<[u8; 32]>> {
        let ahead = self.epochs.current.saturating_add(AHEAD_MAX);
        (self.epochs.oldest..=ahead).contains(&epoch).then(|| self.epochs.secret_at(epoch))
    }

    /// Turns the epochs that have begun by a day, and destroys those whose retention has ended. True if anything changed.
    ///
    /// # Errors
    ///
    /// [`EpochError`] when there are no numbers left.
    pub fn tend(&mut self, rotation: Rotation, day: u32) -> Result<bool, EpochError> {
        let before = (self.epochs.oldest, self.epochs.current);
        for _ in 0..self.due(rotation, day) {
            self.forget(rotation)?;
            self.epochs.turn()?;
            self.began = self.began.saturating_add(rotation.days.max(1));
        }
        self.forget(rotation)?;
        Ok(before != (self.epochs.oldest, self.epochs.current))
    }

    fn forget(&mut self, rotation: Rotation) -> Result<(), EpochError> {
        self.epochs.forget_before(self.epochs.current.saturating_sub(rotation.kept.min(KEPT_MAX - 2)))
    }
}

impl std::fmt::Debug for Epochs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Epochs({} to {})", self.oldest, self.current)
    }
}

/// The calendar of epochs: how long each lasts, and how many old ones are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Days of one epoch. 0 counts as 1.
    pub days: u32,
    /// Epochs that stay after their end, for opening their tokens. Never more than
    /// [`KEPT_MAX`] less two.
    pub kept: u32,
}

impl Rotation {
    /// The epoch of a day, counted from the day on which the first began.
    #[must_use]
    pub fn epoch(&self, day: u32) -> u32 {
        (day / self.days.max(1)).saturating_add(1)
    }

    /// Brings epochs to where they are to be on a day: begins those that are due, destroys those
    /// whose retention has ended. A day in the past changes nothing: a clock that is set back
    /// neither brings an epoch back nor destroys one.
    ///
    /// # Errors
    ///
    /// [`EpochError`] if more epochs are due at once than can be kept.
    pub fn tend(&self, epochs: &mut Epochs, day: u32) -> Result<(), EpochError> {
        let due = self.epoch(day);
        let kept = self.kept.min(KEPT_MAX - 2);
        while epochs.current() < due {
            epochs.turn()?;
            epochs.forget_before(epochs.current().saturating_sub(kept))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(key: &PseudonymKey) -> Vec<u8> {
        let mut out = Vec::new();
        key.token("email", b"ann@example.org", &mut out);
        out
    }

    fn of(epochs: &Epochs, epoch: u32) -> Option<Vec<u8>> {
        epochs.key_of(epoch, "lab", "research", "contact").map(|key| token(&key))
    }

    #[test]
    fn an_old_epoch_gives_its_tokens_until_its_retention_ends_and_never_again() {
        let mut epochs = Epochs::begin([7; 32]);
        let first = of(&epochs, 1).unwrap();
        let rotation = Rotation { days: 30, kept: 2 };
        rotation.tend(&mut epochs, 29).unwrap();
        assert_eq!((epochs.oldest(), epochs.current()), (1, 1));
        rotation.tend(&mut epochs, 30).unwrap();
        rotation.tend(&mut epochs, 89).unwrap();
        assert_eq!((epochs.oldest(), epochs.current()), (1, 3));
        assert_eq!(of(&epochs, 1), Some(first.clone()));
        let third = of(&epochs, 3);
        rotation.tend(&mut epochs, 90).unwrap();
        assert_eq!((epochs.oldest(), epochs.current()), (2, 4));
        assert_eq!(of(&epochs, 1), None);
        assert_eq!(of(&epochs, 3), third, "the later ones stay as they were");
        // Whatever is derived from what is left, the first epoch's tokens are not among it.
        let left = *epochs.secret();
        for epoch in 1..64 {
            let again = Epochs::restore(epoch, epoch, left).unwrap();
            assert_ne!(of(&again, epoch), Some(first.clone()));
            assert_ne!(Some(token(&derive_key(&left, "lab", "research", "contact", 1))), Some(first.clone()));
        }
    }

    #[test]
    fn stored_epochs_give_the_same_keys_again() {
        let mut epochs = Epochs::begin([8; 32]);
        for _ in 0..5 {
            epochs.turn().unwrap();
        }
        epochs.forget_before(3).unwrap();
        let again = Epochs::restore(epochs.oldest(), epochs.current(), *epochs.secret()).unwrap();
        for epoch in 3..=6 {
            assert_eq!(of(&again, epoch), of(&epochs, epoch));
        }
        assert_eq!((of(&again, 2), of(&again, 7)), (None, None));
    }

    #[test]
    fn each_epoch_has_tokens_of_its_own() {
        let mut epochs = Epochs::begin([8; 32]);
        epochs.turn().unwrap();
        let tail = |epoch| of(&epochs, epoch).unwrap().split_off(5);
        assert_ne!(tail(1), tail(2));
        let open = |epoch| epochs.reversible_of(epoch, "lab", "research", "contact");
        assert!(open(1).is_some() && open(2).is_some() && open(3).is_none());
    }

    #[test]
    fn a_clock_that_is_set_back_changes_nothing() {
        let mut epochs = Epochs::begin([7; 32]);
        let rotation = Rotation { days: 30, kept: 1 };
        rotation.tend(&mut epochs, 100).unwrap();
        let before = (epochs.oldest(), epochs.current(), *epochs.secret());
        rotation.tend(&mut epochs, 10).unwrap();
        assert_eq!((epochs.oldest(), epochs.current(), *epochs.secret()), before);
    }

    #[test]
    fn what_a_calendar_gives_ahead_is_what_it_gives_once_it_was_turned() {
        let (rotation, day) = (Rotation { days: 30, kept: 2 }, 20_000);
        let mut calendar = Calendar::begin([7; 32], day);
        let ahead = calendar.secret(calendar.epoch(rotation, day + 200)).unwrap();
        assert_eq!(calendar.oldest(rotation, day + 200), 5, "whether it was tended or not");
        assert!(calendar.tend(rotation, day + 200).unwrap() && !calendar.tend(rotation, day + 200).unwrap());
        assert_eq!(
            (calendar.epochs().oldest(), calendar.epochs().current(), calendar.began()),
            (5, 7, day + 180)
        );
        assert_eq!(calendar.secret(7), Some(ahead));
        assert_eq!((calendar.secret(4), calendar.secret(u32::MAX)), (None, None));
        // Another length of epochs counts from where the current one began; a clock that is set back changes nothing.
        assert_eq!(calendar.epoch(Rotation { days: 90, kept: 2 }, day + 200), 7);
        assert_eq!((calendar.epoch(rotation, day), calendar.tend(rotation, day).unwrap()), (7, false));
    }

    #[test]
    fn impossible_epochs_are_refused() {
        for (oldest, current) in [(0, 1), (0, 0), (2, 1)] {
            assert_eq!(
                Epochs::restore(oldest, current, [0; 32]).map(drop),
                Err(EpochError::Range { oldest, current })
            );
        }
        assert_eq!(Epochs::restore(1, 1 + KEPT_MAX, [0; 32]).map(drop), Err(EpochError::TooMany));
        let mut full = Epochs::restore(1, KEPT_MAX, [0; 32]).unwrap();
        assert_eq!(full.turn(), Err(EpochError::TooMany));
        assert_eq!(full.forget_before(KEPT_MAX + 1), Err(EpochError::NotOver(KEPT_MAX)));
        let mut last = Epochs::restore(u32::MAX, u32::MAX, [0; 32]).unwrap();
        assert_eq!(last.turn(), Err(EpochError::TooMany));
        // A gap of years is walked, and what it leaves behind is destroyed on the way.
        let mut late = Epochs::begin([1; 32]);
        Rotation { days: 0, kept: u32::MAX }.tend(&mut late, 5_000).unwrap();
        assert_eq!((late.oldest(), late.current()), (5_001 - (KEPT_MAX - 2), 5_001));
    }

    #[test]
    fn debug_of_epochs_shows_numbers_only() {
        assert_eq!(format!("{:?}", Epochs::begin([5; 32])), "Epochs(1 to 1)");
    }
}
