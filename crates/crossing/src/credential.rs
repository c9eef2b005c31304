//! What a caller shows of themselves: a client certificate, a token, or both, read into a [`Session`].
//!
//! [`spiffe`] writes and reads the names, [`certificate`] finds one in a verified certificate, [`token`] signs them
//! and verifies them. No clock and no file: the time is an argument, and which sessions have ended is told by
//! [`access::Ended`]. Start reading at [`token::Tokens`].

pub mod certificate;
pub mod spiffe;
pub mod token;

use model::{SessionId, UnixSeconds};

pub use token::{BadToken, Tokens};

use crate::identify::Session;

/// A credential that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What it says. The country of the network address is not in it.
    pub session: Session,
    /// It serves until then, exclusive.
    pub not_after: UnixSeconds,
    /// The sign-in it comes from, if it comes from one.
    pub signed_in: Option<SignedIn>,
}

/// A person's sign-in, which ends at its expiry or when they sign out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedIn {
    /// Its name.
    pub id: SessionId,
    /// When it began.
    pub since: UnixSeconds,
}

impl Shown {
    /// A certificate and a token shown together: both must be of the same actor, and what they say of the place
    /// stays side by side, so that a disagreement is seen. The device is the certificate's, where the key lives.
    #[must_use]
    pub fn with_token(self, token: Self) -> Option<Self> {
        let (device, person) = (self.session, token.session);
        if device.who != person.who {
            return None;
        }
        let places = [person.country, person.device_country, device.country, device.device_country];
        let mut places = places.into_iter().flatten();
        let first = places.next();
        // Places that differ are no place.
        let place = if places.all(|p| Some(p) == first) { first } else { None };
        let session = Session {
            country: place,
            device_country: place,
            network: None,
            device_managed: device.device_managed,
            device_attested: device.device_attested,
            strong: device.strong || person.strong,
            who: person.who,
        };
        Some(Self { session, not_after: self.not_after.min(token.not_after), signed_in: token.signed_in })
    }

    /// The same actor, of whom nothing else is believed: something was shown beside that does not fit. They are known,
    /// so what they try is recorded; they are nowhere, so nothing is released.
    #[must_use]
    pub fn doubted(self) -> Self {
        Self { session: Session::bare(self.session.who), ..self }
    }
}

#[cfg(test)]
mod tests {
    use model::Country;

    use super::*;

    fn shown(name: &str, until: u64) -> Shown {
        let session = spiffe::read("demo", name).unwrap();
        Shown { session, not_after: UnixSeconds(until), signed_in: None }
    }

    #[test]
    fn a_certificate_and_a_token_together_must_agree_on_the_actor_and_the_place() {
        let device = || shown("spiffe://demo/employee/mei/at/SG/device/managed-attested", 200);
        let both = device().with_token(shown("spiffe://demo/employee/mei/at/SG/auth/mfa", 100)).unwrap();
        assert_eq!(both.not_after, UnixSeconds(100));
        assert!(both.session.strong && both.session.device_attested);
        let at = |network: &str, shown: &Shown| {
            let network = Some(Country::parse(network).unwrap());
            Session { network, ..shown.session.clone() }.place()
        };
        assert_eq!(at("SG", &both).as_str(), "SG");
        assert_eq!(at("IE", &both), Country::UNKNOWN);
        let travelled = device().with_token(shown("spiffe://demo/employee/mei/at/IE/auth/mfa", 100)).unwrap();
        assert_eq!(at("IE", &travelled), Country::UNKNOWN);
        assert_eq!(at("SG", &travelled), Country::UNKNOWN);
        let other = shown("spiffe://demo/employee/mei/at/SG/device-at/IE", 100);
        let other = device().with_token(other).unwrap();
        assert_eq!(at("SG", &other), Country::UNKNOWN);
        assert!(device().with_token(shown("spiffe://demo/employee/ana/at/SG", 100)).is_none());
        let doubted = device().doubted();
        assert_eq!(doubted.session.who, device().session.who);
        assert_eq!(at("SG", &doubted), Country::UNKNOWN);
        assert!(!doubted.session.device_managed && !doubted.session.device_attested);
    }
}
