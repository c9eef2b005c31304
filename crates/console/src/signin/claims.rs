//! From the claims of a verified ID token to a session: who, from where, on what device, how strongly.

use std::collections::BTreeMap;

use crossing::identify::{Session, Who};
use model::{ActorId, Country};
use serde_json::Value;

/// Every claim beyond the standard ones, as it came.
#[derive(Clone, serde::Deserialize, serde::Serialize)]
pub struct AllClaims(BTreeMap<String, Value>);

impl std::fmt::Debug for AllClaims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AllClaims({})", self.0.len())
    }
}

impl openidconnect::AdditionalClaims for AllClaims {}

/// Which claims say what. A name that is not set says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The actor's id, as the operator has it on record.
    pub actor: String,
    /// The country where the person is, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// The device: `managed` or `managed-attested`.
    pub device: Option<String>,
    /// The country where the device says it is.
    pub device_country: Option<String>,
    /// Values of `amr` that show more than one factor.
    pub strong_amr: Vec<String>,
    /// Values of `acr` that show more than one factor.
    pub strong_acr: Vec<String>,
}

/// The session of whoever these claims name; `None` when they name nobody whom a record could name.
#[must_use]
pub fn session(claims: &Value, names: &Names) -> Option<Session> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let named = |name: &Option<String>| name.as_deref().and_then(text);
    let actor = ActorId::parse(text(&names.actor)?).ok()?;
    // What is no country is no evidence: the place stays unknown, which is outside.
    let country = |name: &Option<String>| named(name).and_then(|c| Country::parse(c).ok());
    let amr = claims.get("amr").and_then(Value::as_array);
    let by_amr = amr.is_some_and(|all| {
        all.iter().filter_map(Value::as_str).any(|a| names.strong_amr.iter().any(|s| s == a))
    });
    let by_acr = text("acr").is_some_and(|a| names.strong_acr.iter().any(|s| s == a));
    let device = named(&names.device);
    Some(Session {
        who: Who::Employee(actor),
        country: country(&names.country),
        device_country: country(&names.device_country),
        network: None,
        device_managed: matches!(device, Some("managed" | "managed-attested")),
        device_attested: device == Some("managed-attested"),
        strong: by_amr || by_acr,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        Names {
            actor: "sub".to_owned(),
            country: Some("country".to_owned()),
            device: Some("device".to_owned()),
            device_country: None,
            strong_amr: vec!["mfa".to_owned()],
            strong_acr: vec!["urn:two".to_owned()],
        }
    }

    #[test]
    fn claims_say_what_their_names_say_and_nothing_by_default() {
        let all =
            json!({ "sub": "mei", "country": "SG", "device": "managed-attested", "amr": ["pwd", "mfa"] });
        let found = session(&all, &names()).unwrap();
        assert_eq!(found.who, Who::Employee(ActorId::parse("mei").unwrap()));
        assert_eq!(found.country.unwrap().as_str(), "SG");
        assert!(found.strong && found.device_managed && found.device_attested);
        let bare = session(&json!({ "sub": "mei" }), &names()).unwrap();
        assert!(bare.country.is_none() && !bare.strong && !bare.device_managed);
        assert!(session(&json!({ "sub": "mei", "acr": "urn:two" }), &names()).unwrap().strong);
    }

    #[test]
    fn claims_of_another_form_are_no_evidence() {
        for who in [json!("a b"), json!(""), json!("../x"), json!(7), json!(null), json!(["mei"])] {
            assert!(session(&json!({ "sub": who }), &names()).is_none());
        }
        for country in [json!("Singapore"), json!("sg"), json!(["SG"]), json!({ "c": "SG" })] {
            let found = session(&json!({ "sub": "mei", "country": country }), &names()).unwrap();
            assert_eq!(found.country, None);
        }
        for amr in [json!("mfa"), json!(["pwd"]), json!([["mfa"]]), json!(true)] {
            assert!(!session(&json!({ "sub": "mei", "amr": amr }), &names()).unwrap().strong);
        }
        for device in [json!("MANAGED"), json!(true), json!("attested")] {
            assert!(!session(&json!({ "sub": "mei", "device": device }), &names()).unwrap().device_managed);
        }
    }
}
