//! What an account is and when it opens: pure, with time and random bytes as arguments.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use ledger::sha256;
use model::UnixSeconds;
use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Secret, Totp};

/// Fewest characters of a passphrase.
pub const PASSPHRASE_MIN: usize = 12;
/// Most bytes of a passphrase: hashing is dear.
pub const PASSPHRASE_MAX: usize = 256;
/// Wrong attempts after which an account is shut.
pub const ATTEMPTS_MAX: u32 = 5;
/// How long it is shut then, in seconds; with each further wrong attempt twice as long, up to a day.
pub const SHUT_SECONDS: u64 = 15 * 60;
const SHUT_SECONDS_MAX: u64 = 24 * 3600;

/// Why an attempt is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too many wrong attempts.
    #[error("the account is shut after too many wrong attempts")]
    Shut,
    /// The account was not taken by its owner yet, or was before.
    #[error("the account is not at this step")]
    Step,
    /// The enrolment code is wrong or too old.
    #[error("the enrolment code is wrong or too old")]
    Code,
    /// The passphrase is too short or too long.
    #[error("a passphrase has 12 characters or more, and 256 bytes at most")]
    Passphrase,
    /// Passphrase or changing code is wrong, or the code was used before.
    #[error("the passphrase or the code is wrong")]
    Wrong,
}

/// What the operator attests about an account's owner, as they do on certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    /// The country in which they work.
    pub country: Option<String>,
    /// Their device is managed and attested.
    pub device: bool,
}

/// An account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    attested: Attested,
    step: Step,
    failures: u32,
    shut_until: u64,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    /// Waits for its owner.
    Enrolled { code: String, until: u64 },
    /// The owner has the secret and did not show yet that their authenticator works.
    Begun { code: String, until: u64, factors: Factors },
    /// Serves.
    Active { factors: Factors },
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Factors {
    salt: [u8; 16],
    passphrase: [u8; 32],
    secret: [u8; 20],
    /// The last step of the changing code that was used: none serves twice, nor one before it.
    used: u64,
}

/// Argon2id with 19 MiB, two passes, one lane: a tenth of a second or so, and memory that an attacker must pay for, too.
pub(super) fn stretch(passphrase: &str, salt: &[u8; 16]) -> Option<[u8; 32]> {
    let params = Params::new(19 * 1024, 2, 1, Some(32)).ok()?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut out = [0; 32];
    argon.hash_password_into(passphrase.as_bytes(), salt, &mut out).ok()?;
    Some(out)
}

fn digest(code: &str) -> String {
    sha256(code.trim().to_ascii_lowercase().as_bytes()).to_string()
}

fn totp(secret: [u8; 20]) -> Option<Totp> {
    Builder::new().with_secret(Secret::new_stack(secret)).with_skew(1).build().ok()
}

impl Factors {
    /// Whether a code is right now and was not used before; it is used from here on.
    fn spend(&mut self, code: &str, now: UnixSeconds) -> bool {
        if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
            return false;
        }
        let Some(totp) = totp(self.secret) else { return false };
        match totp.check(code, now.0) {
            Some(step) if step > self.used => {
                self.used = step;
                true
            }
            _ => false,
        }
    }

    fn is_passphrase(&self, passphrase: &str) -> bool {
        passphrase.len() <= PASSPHRASE_MAX
            && stretch(passphrase, &self.salt)
                .is_some_and(|found| verify_slices_are_equal(&found, &self.passphrase).is_ok())
    }
}

impl Account {
    /// An account that waits for its owner, who shows this code.
    pub(super) fn enrolled(attested: Attested, code: &str, until: UnixSeconds) -> Self {
        let step = Step::Enrolled { code: digest(code), until: until.0 };
        Self { attested, step, failures: 0, shut_until: 0 }
    }

    pub(super) fn begin(
        &mut self,
        code: &str,
        passphrase: &str,
        secret: [u8; 20],
        salt: [u8; 16],
        now: UnixSeconds,
    ) -> Result<(), Refused> {
        self.open(now)?;
        let (known, until) = match &self.step {
            Step::Enrolled { code, until } | Step::Begun { code, until, .. } => (code.clone(), *until),
            Step::Active { .. } => return Err(Refused::Step),
        };
        if now.0 >= until || !same(&known, &digest(code)) {
            return Err(self.failed(now, Refused::Code));
        }
        if passphrase.chars().count() < PASSPHRASE_MIN || passphrase.len() > PASSPHRASE_MAX {
            return Err(Refused::Passphrase);
        }
        let passphrase = stretch(passphrase, &salt).ok_or(Refused::Passphrase)?;
        let factors = Factors { salt, passphrase, secret, used: 0 };
        self.step = Step::Begun { code: known, until, factors };
        Ok(())
    }

    pub(super) fn confirm(&mut self, code: &str, totp: &str, now: UnixSeconds) -> Result<Attested, Refused> {
        self.open(now)?;
        let Step::Begun { code: known, until, factors } = &mut self.step else { return Err(Refused::Step) };
        if now.0 >= *until || !same(known, &digest(code)) {
            return Err(self.failed(now, Refused::Code));
        }
        if !factors.spend(totp, now) {
            return Err(self.failed(now, Refused::Wrong));
        }
        self.step = Step::Active { factors: factors.clone() };
        Ok(self.succeeded())
    }

    pub(super) fn sign_in(
        &mut self,
        passphrase: &str,
        totp: &str,
        now: UnixSeconds,
    ) -> Result<Attested, Refused> {
        self.open(now)?;
        let Step::Active { factors } = &mut self.step else { return Err(Refused::Step) };
        // Both are always looked at, and a right code beside a wrong passphrase is spent: nothing tells which was wrong.
        let (known, spent) = (factors.is_passphrase(passphrase), factors.spend(totp, now));
        if known && spent { Ok(self.succeeded()) } else { Err(self.failed(now, Refused::Wrong)) }
    }

    fn open(&self, now: UnixSeconds) -> Result<(), Refused> {
        if now.0 < self.shut_until { Err(Refused::Shut) } else { Ok(()) }
    }

    fn failed(&mut self, now: UnixSeconds, why: Refused) -> Refused {
        self.failures = self.failures.saturating_add(1);
        if let Some(over) = self.failures.checked_sub(ATTEMPTS_MAX) {
            let seconds = SHUT_SECONDS.saturating_mul(1 << over.min(10)).min(SHUT_SECONDS_MAX);
            self.shut_until = now.plus(seconds).0;
        }
        why
    }

    fn succeeded(&mut self) -> Attested {
        (self.failures, self.shut_until) = (0, 0);
        self.attested.clone()
    }
}

fn same(a: &str, b: &str) -> bool {
    verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}
