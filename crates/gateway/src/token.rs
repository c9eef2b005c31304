//! Signed tokens for callers without a client certificate: a SPIFFE id and an expiry, signed by the
//! programme's issuer, as a bearer token.

use std::collections::HashMap;
use std::sync::Mutex;

use crossing::identify::Session;
use data_encoding::BASE64URL_NOPAD;
use ledger::note::{Note, Signer, Verifier};
use model::UnixSeconds;

use crate::spiffe;

const KIND: &str = "clover-token/v1";
/// Most verified tokens remembered.
const REMEMBERED: usize = 10_000;
/// Longest token in bytes.
const TOKEN_MAX: usize = 2048;

/// A token that does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not signed by the issuer, is of another programme, or has expired")]
pub struct BadToken;

/// Issues a token.
///
/// # Errors
/// [`BadToken`] when the issuer's key refuses the text.
pub fn issue(
    programme: &str,
    session: &Session,
    not_after: UnixSeconds,
    issuer: &Signer,
) -> Result<String, BadToken> {
    let text = format!("{KIND}\nname {}\nnot-after {}\n", spiffe::write(programme, session), not_after.0);
    let mut note = Note::new(&text).map_err(|_| BadToken)?;
    note.add(issuer.sign(&text).map_err(|_| BadToken)?);
    Ok(BASE64URL_NOPAD.encode(note.to_string().as_bytes()))
}

/// Verifies tokens, and remembers those that it verified until they expire.
pub struct Tokens {
    programme: String,
    issuer: Verifier,
    known: Mutex<HashMap<String, (Session, UnixSeconds)>>,
}

impl Tokens {
    /// Accepts the tokens of one issuer.
    #[must_use]
    pub fn new(programme: &str, issuer: Verifier) -> Self {
        Self { programme: programme.to_owned(), issuer, known: Mutex::default() }
    }

    /// The session of a token.
    ///
    /// # Errors
    /// [`BadToken`], without a reason: a stranger learns nothing from it.
    pub fn session(&self, token: &str, now: UnixSeconds) -> Result<Session, BadToken> {
        if token.len() > TOKEN_MAX {
            return Err(BadToken);
        }
        let known = self.known.lock().ok().and_then(|k| k.get(token).cloned());
        let (session, not_after) = match known {
            Some(known) => known,
            None => self.verify(token)?,
        };
        if now >= not_after { Err(BadToken) } else { Ok(session) }
    }

    fn verify(&self, token: &str) -> Result<(Session, UnixSeconds), BadToken> {
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| BadToken)?;
        let note: Note = std::str::from_utf8(&bytes).map_err(|_| BadToken)?.parse().map_err(|_| BadToken)?;
        let verified = note.verify(std::slice::from_ref(&self.issuer)).map_err(|_| BadToken)?;
        let mut lines = verified.text().lines();
        let name = (lines.next() == Some(KIND)).then(|| lines.next()?.strip_prefix("name ")).flatten();
        let not_after = lines.next().and_then(|l| l.strip_prefix("not-after ")).and_then(|t| t.parse().ok());
        let (Some(name), Some(not_after), None) = (name, not_after, lines.next()) else {
            return Err(BadToken);
        };
        let session = spiffe::read(&self.programme, name).map_err(|_| BadToken)?;
        let value = (session, UnixSeconds(not_after));
        if let Ok(mut known) = self.known.lock() {
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(token.to_owned(), value.clone());
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_on_time_and_is_worth_nothing_when_changed() {
        let issuer = Signer::from_seed("demo/issuer", &[1; 32]).unwrap();
        let session = spiffe::read("demo", "spiffe://demo/service/feed/at/IE").unwrap();
        let token = issue("demo", &session, UnixSeconds(100), &issuer).unwrap();
        let tokens = Tokens::new("demo", issuer.verifier().clone());
        assert_eq!(tokens.session(&token, UnixSeconds(99)).unwrap(), session);
        assert_eq!(tokens.session(&token, UnixSeconds(100)), Err(BadToken));
        let mut changed = token.clone().into_bytes();
        changed[30] ^= 1;
        assert!(tokens.session(&String::from_utf8(changed).unwrap(), UnixSeconds(1)).is_err());
        let other = Signer::from_seed("demo/issuer", &[2; 32]).unwrap();
        let forged = issue("demo", &session, UnixSeconds(100), &other).unwrap();
        assert!(tokens.session(&forged, UnixSeconds(1)).is_err());
    }
}
