//! Names on credentials: SPIFFE ids whose path carries what was attested when the credential was issued.
//!
//! `spiffe://<programme>/employee/<id>/at/<CC>/device-at/<CC>/device/managed-attested/auth/mfa`, likewise
//! `service/<id>/at/<CC>` and `subject/<id>/auth/mfa`. The order of the pairs is fixed; what is absent was not attested.
//! The programme is the trust domain: a name of any other is refused.

use model::{ActorId, Country, SubjectId};

use crate::identify::{Session, Who};

/// A SPIFFE id that is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the credential's name is not of this programme")]
pub struct NotOurs;

/// Writes the SPIFFE id of a session in a programme.
#[must_use]
pub fn write(programme: &str, session: &Session) -> String {
    let (kind, id) = match &session.who {
        Who::Employee(id) => ("employee", id.as_str()),
        Who::Service(id) => ("service", id.as_str()),
        Who::Subject(id) => ("subject", id.as_str()),
    };
    let mut text = format!("spiffe://{programme}/{kind}/{id}");
    if let Some(country) = session.country {
        text.push_str(&format!("/at/{country}"));
    }
    if let Some(country) = session.device_country {
        text.push_str(&format!("/device-at/{country}"));
    }
    match (session.device_managed, session.device_attested) {
        (true, true) => text.push_str("/device/managed-attested"),
        (true, false) => text.push_str("/device/managed"),
        _ => {}
    }
    if session.strong {
        text.push_str("/auth/mfa");
    }
    text
}

/// Reads a SPIFFE id. The network's country is not in it.
///
/// # Errors
/// [`NotOurs`] for anything that [`write`] would not write.
pub fn read(programme: &str, text: &str) -> Result<Session, NotOurs> {
    let path = text.strip_prefix("spiffe://").and_then(|t| t.strip_prefix(programme)).ok_or(NotOurs)?;
    let mut parts = path.strip_prefix('/').ok_or(NotOurs)?.split('/');
    let (kind, id) = (parts.next().ok_or(NotOurs)?, parts.next().ok_or(NotOurs)?);
    let who = match kind {
        "employee" => Who::Employee(ActorId::parse(id).map_err(|_| NotOurs)?),
        "service" => Who::Service(ActorId::parse(id).map_err(|_| NotOurs)?),
        "subject" => Who::Subject(SubjectId::parse(id).map_err(|_| NotOurs)?),
        _ => return Err(NotOurs),
    };
    let mut session = Session::bare(who);
    while let (Some(key), value) = (parts.next(), parts.next()) {
        match (key, value) {
            ("at", Some(country)) => session.country = Some(Country::parse(country).map_err(|_| NotOurs)?),
            ("device-at", Some(country)) => {
                session.device_country = Some(Country::parse(country).map_err(|_| NotOurs)?);
            }
            ("device", Some("managed-attested")) => {
                (session.device_managed, session.device_attested) = (true, true);
            }
            ("device", Some("managed")) => session.device_managed = true,
            ("auth", Some("mfa")) => session.strong = true,
            _ => return Err(NotOurs),
        }
    }
    if write(programme, &session) == text { Ok(session) } else { Err(NotOurs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_was_attested_and_nothing_else_is_read() {
        let text = "spiffe://demo/employee/mei/at/SG/device/managed-attested/auth/mfa";
        let session = read("demo", text).unwrap();
        assert_eq!(session.country.unwrap().as_str(), "SG");
        assert!(session.device_attested && session.strong);
        assert_eq!(write("demo", &session), text);
        let text = "spiffe://demo/employee/mei/at/SG/device-at/IE";
        assert_eq!(write("demo", &read("demo", text).unwrap()), text);
        for bad in [
            "spiffe://other/employee/mei",
            "spiffe://demo.example/employee/mei",
            "spiffe://DEMO/employee/mei",
            "spiffe://demo@other/employee/mei",
            "spiffe://demo:443/employee/mei",
            "SPIFFE://demo/employee/mei",
            "spiffe://demo/employee/mei?x",
            "spiffe://demo/employee/mei/device-at/SG/at/SG",
            "spiffe://demo/employee/mei/auth/mfa/at/SG",
            "spiffe://demo/employee/mei/at/SG/at/IE",
            "spiffe://demo/employee/mei/at",
            "spiffe://demo/admin/mei",
            "spiffe://demo/employee/../x",
            "https://demo/employee/mei",
        ] {
            assert_eq!(read("demo", bad), Err(NotOurs), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_read_is_what_would_be_written(
            text in "(spiffe://demo/)?((employee|service|subject|at|device-at|device|auth|mfa|managed|SG|[a-z.%]{0,4})/?){0,9}"
        ) {
            if let Ok(session) = read("demo", &text) {
                proptest::prop_assert_eq!(write("demo", &session), text);
            }
        }
    }
}
