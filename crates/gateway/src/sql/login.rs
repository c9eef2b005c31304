//! Passwords of people for the SQL gateway: made for one grant or case, short-lived, and in no file of ours.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crossing::credential::Shown;
use data_encoding::BASE32_NOPAD;
use model::UnixSeconds;
use zeroize::Zeroizing;

use super::wire::scram::Verifier;

/// How long a password opens sessions, in seconds. A session itself lasts as long as what it stands on.
pub const LOGIN_SECONDS: u64 = 900;
/// Most passwords of one person at a time.
const LOGINS_OF_ONE_MAX: usize = 16;
/// Most passwords at a time.
const LOGINS_MAX: usize = 10_000;

/// A password, as it is told once.
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
    /// Until when it opens sessions.
    pub until: UnixSeconds,
}

/// The passwords that are good now, in memory alone: another process of the site gives its own.
#[derive(Default)]
pub struct Logins(Mutex<HashMap<String, Held>>);

struct Held {
    verifier: Verifier,
    shown: Shown,
    until: UnixSeconds,
}

impl Logins {
    /// Makes a password for somebody who has shown who they are, on a ground of that name. One made before ends.
    ///
    /// `None` when the system gives no random bytes, or there are too many.
    #[must_use]
    pub fn issue(&self, shown: Shown, ground: &str, now: UnixSeconds) -> Option<Login> {
        let who = match &shown.session.who {
            crossing::identify::Who::Employee(id) | crossing::identify::Who::Service(id) => id.as_str(),
            crossing::identify::Who::Subject(_) => return None,
        };
        let (user, mut secret, mut salt) = (format!("{who}@{ground}"), Zeroizing::new([0; 20]), [0; 16]);
        vault::keys::random(secret.as_mut_slice()).ok()?;
        vault::keys::random(&mut salt).ok()?;
        let password = Zeroizing::new(BASE32_NOPAD.encode(secret.as_slice()).to_ascii_lowercase());
        let until = now.plus(LOGIN_SECONDS).min(shown.not_after);
        let verifier = Verifier::of_random(password.as_bytes(), &salt);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, login| now < login.until);
        // Nobody takes the places of others: the oldest of one's own make room.
        let mine = |login: &Held| login.shown.session.who == shown.session.who;
        while held.values().filter(|login| mine(login)).count() >= LOGINS_OF_ONE_MAX {
            let oldest = held.iter().filter(|(_, login)| mine(login)).min_by_key(|(_, login)| login.until);
            let Some(oldest) = oldest.map(|(user, _)| user.clone()) else { break };
            held.remove(&oldest);
        }
        if held.len() >= LOGINS_MAX {
            return None;
        }
        held.insert(user.clone(), Held { verifier, shown, until });
        Some(Login { user, password, until })
    }

    /// What verifies a user's password, if one is good now.
    pub(super) fn verifier(&self, user: &str, now: UnixSeconds) -> Option<Verifier> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(user).filter(|login| now < login.until).map(|login| login.verifier.clone())
    }

    /// What the one who was given it had shown.
    pub(super) fn shown(&self, user: &str, now: UnixSeconds) -> Option<Shown> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(user).filter(|login| now < login.until).map(|login| login.shown.clone())
    }
}

#[cfg(test)]
mod tests {
    use crossing::credential::spiffe;

    use super::*;

    #[test]
    fn a_password_opens_for_its_ground_and_its_time_and_the_next_one_replaces_it() {
        let session = spiffe::read("demo", "spiffe://demo/employee/mei/at/SG/auth/mfa").unwrap();
        let shown = Shown { session, not_after: UnixSeconds(10_000), signed_in: None };
        let (logins, now) = (Logins::default(), UnixSeconds(1_000));
        let first = logins.issue(shown.clone(), "case-1", now).unwrap();
        assert_eq!((first.user.as_str(), first.until), ("mei@case-1", now.plus(LOGIN_SECONDS)));
        let text = |at| logins.verifier("mei@case-1", at).map(|v| v.text());
        assert!(text(now).is_some() && logins.verifier("mei@case-2", now).is_none());
        assert!(text(first.until).is_none() && logins.shown("mei@case-1", first.until).is_none());
        let before = text(now);
        let second = logins.issue(shown.clone(), "case-1", now).unwrap();
        assert_ne!((text(now), &*second.password), (before, &*first.password));
        // It ends with what was shown for it.
        let soon = logins.issue(shown, "case-1", UnixSeconds(9_990)).unwrap();
        assert_eq!(soon.until, UnixSeconds(10_000));
    }
}
