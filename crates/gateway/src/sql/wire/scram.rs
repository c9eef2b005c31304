//! The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, 7677; binding `tls-server-end-point`, RFC 5929).
//!
//! No password comes here, only what verifies it. Who is not known gets an exchange of the same form and length, which no password
//! fits. `docs/decisions/2026-11-27-sql-scram.md` says why it is ours.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac, pbkdf2};
use data_encoding::BASE64;
use zeroize::Zeroize;

/// The mechanism that is tied to the TLS connection.
pub const PLUS: &str = "SCRAM-SHA-256-PLUS";
/// The one that is not.
pub const PLAIN: &str = "SCRAM-SHA-256";
/// Rounds of the hash for passwords that somebody chose.
pub const ITERATIONS: u32 = 4096;
/// Bytes that a message may have.
const MESSAGE_MAX: usize = 4096;

/// What verifies a password without telling it.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored: [u8; 32],
    server: [u8; 32],
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({} rounds)", self.iterations)
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.stored.zeroize();
        self.server.zeroize();
    }
}

impl Verifier {
    /// Of a password, whose bytes are taken as they are: those that we issue are ASCII, where SASLprep changes nothing.
    #[must_use]
    pub fn of(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Self {
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, &mut salted);
        let stored = sha256(&mac(&salted, &[b"Client Key"]));
        let server = mac(&salted, &[b"Server Key"]);
        salted.zeroize();
        Self { iterations: iterations.get(), salt: salt.to_vec(), stored, server }
    }

    /// Of a password that is random: more rounds than PostgreSQL makes would only cost time.
    #[must_use]
    pub fn of_random(password: &[u8], salt: &[u8]) -> Self {
        const ROUNDS: NonZeroU32 = NonZeroU32::new(4096).unwrap();
        Self::of(password, salt, ROUNDS)
    }

    /// From PostgreSQL's own form, `SCRAM-SHA-256$rounds:salt$stored:server`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (rounds, rest) = text.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?;
        let (salt, keys) = rest.split_once('$')?;
        let (stored, server) = keys.split_once(':')?;
        let key = |text: &str| BASE64.decode(text.as_bytes()).ok()?.try_into().ok();
        Some(Self {
            iterations: rounds.parse().ok().filter(|r| *r > 0)?,
            salt: BASE64.decode(salt.as_bytes()).ok()?,
            stored: key(stored)?,
            server: key(server)?,
        })
    }

    /// In that form, for the role's password on the server behind.
    #[must_use]
    pub fn text(&self) -> String {
        let [salt, stored, server] = [&self.salt[..], &self.stored, &self.server].map(|b| BASE64.encode(b));
        format!("SCRAM-SHA-256${}:{salt}${stored}:{server}", self.iterations)
    }

    /// For somebody who is not known: always the same salt for one name, and keys that no password has.
    #[must_use]
    pub fn mock(secret: &[u8], name: &str) -> Self {
        let part = |what: &[u8]| mac(secret, &[what, name.as_bytes()]);
        let salt = part(b"salt").iter().copied().take(16).collect();
        Self { iterations: ITERATIONS, salt, stored: part(b"stored"), server: part(b"server") }
    }
}

/// Why a proof is none. Nobody outside learns which of these it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// Not a message of this exchange.
    #[error("a message of the sign-in is not of its form")]
    Form,
    /// It names a mechanism or binding that was not offered.
    #[error("the sign-in asks for a mechanism that was not offered")]
    Mechanism,
    /// The client believes that we cannot tie the sign-in to the connection: somebody in between said so.
    #[error("the sign-in was offered tied to its connection, and the client was told otherwise")]
    Downgrade,
    /// Tied to another connection, or to none where that is demanded.
    #[error("the sign-in is not tied to this connection")]
    Binding,
    /// The proof is not that of the password.
    #[error("the password is not right")]
    Proof,
}

/// What a client's messages are held against.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// The digest of our certificate, where there is one.
    pub end_point: Option<&'a [u8]>,
    /// Whether a sign-in must be tied to it.
    pub demanded: bool,
}

/// An exchange of which the first half is done.
#[derive(Debug)]
pub struct Exchange {
    verifier: Verifier,
    /// What `c=` must say.
    bound: String,
    nonce: String,
    /// The messages so far, joined as the proof covers them.
    so_far: String,
}

/// Takes the client's first message, and returns the answer.
///
/// # Errors
/// When it is none, or asks for what was not offered.
pub fn first(
    mechanism: &str,
    message: &[u8],
    binding: Binding<'_>,
    nonce: &str,
    verifier: Verifier,
) -> Result<(Exchange, String), ScramError> {
    let message = text(message)?;
    let plus = match (mechanism, binding.end_point) {
        (PLUS, Some(end_point)) => Some(end_point),
        (PLAIN, _) if !binding.demanded => None,
        (PLAIN, _) => return Err(ScramError::Binding),
        _ => return Err(ScramError::Mechanism),
    };
    let (flag, rest) = message.split_once(',').ok_or(ScramError::Form)?;
    match (flag, plus) {
        ("p=tls-server-end-point", Some(_)) | ("n", None) => {}
        ("y", None) if binding.end_point.is_none() => {}
        ("y", None) => return Err(ScramError::Downgrade),
        _ => return Err(ScramError::Mechanism),
    }
    // Nobody signs in as one and acts as another.
    let bare = rest.strip_prefix(',').ok_or(ScramError::Form)?;
    let (name, theirs) = bare.split_once(',').ok_or(ScramError::Form)?;
    // The name is that of the startup message, as with PostgreSQL; what this one says is not looked at. Extensions are not known.
    let theirs = theirs.strip_prefix("r=").filter(|n| printable(n)).ok_or(ScramError::Form)?;
    if !name.starts_with("n=") {
        return Err(ScramError::Form);
    }
    let mut bound = format!("{flag},,").into_bytes();
    bound.extend_from_slice(plus.unwrap_or_default());
    let nonce = format!("{theirs}{nonce}");
    let answer = format!("r={nonce},s={},i={}", BASE64.encode(&verifier.salt), verifier.iterations);
    let so_far = format!("{bare},{answer}");
    Ok((Exchange { verifier, bound: BASE64.encode(&bound), nonce, so_far }, answer))
}

impl Exchange {
    /// Takes the client's last message, and returns what proves to it that we know the verifier.
    ///
    /// # Errors
    /// When it proves nothing.
    pub fn last(self, message: &[u8]) -> Result<String, ScramError> {
        let message = text(message)?;
        let (unproved, proof) = message.rsplit_once(",p=").ok_or(ScramError::Form)?;
        let mut proof: [u8; 32] =
            BASE64.decode(proof.as_bytes()).ok().and_then(|p| p.try_into().ok()).ok_or(ScramError::Form)?;
        let (bound, nonce) = unproved.split_once(",r=").ok_or(ScramError::Form)?;
        let bound = bound.strip_prefix("c=").ok_or(ScramError::Form)?;
        if verify_slices_are_equal(bound.as_bytes(), self.bound.as_bytes()).is_err() {
            return Err(ScramError::Binding);
        }
        if verify_slices_are_equal(nonce.as_bytes(), self.nonce.as_bytes()).is_err() {
            return Err(ScramError::Proof);
        }
        let whole = format!("{},{unproved}", self.so_far);
        let signature = mac(&self.verifier.stored, &[whole.as_bytes()]);
        proof.iter_mut().zip(signature).for_each(|(p, s)| *p ^= s);
        verify_slices_are_equal(&sha256(&proof), &self.verifier.stored).map_err(|_| ScramError::Proof)?;
        Ok(format!("v={}", BASE64.encode(&mac(&self.verifier.server, &[whole.as_bytes()]))))
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    let text = std::str::from_utf8(message).map_err(|_| ScramError::Form)?;
    if text.len() <= MESSAGE_MAX { Ok(text) } else { Err(ScramError::Form) }
}

fn printable(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|b| matches!(b, 0x21..=0x7e) && b != b',')
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|p| context.update(p));
    bytes(context.sign().as_ref())
}

fn sha256(input: &[u8]) -> [u8; 32] {
    bytes(digest::digest(&digest::SHA256, input).as_ref())
}

fn bytes(from: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.iter_mut().zip(from).for_each(|(o, f)| *o = *f);
    out
}

#[cfg(test)]
mod tests {
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

    use super::*;

    const FREE: Binding<'_> = Binding { end_point: None, demanded: false };
    const TIED: Binding<'_> = Binding { end_point: Some(b"certificate"), demanded: false };
    const DEMANDED: Binding<'_> = Binding { end_point: Some(b"certificate"), demanded: true };

    fn pencil() -> Verifier {
        let salt = BASE64.decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        Verifier::of(b"pencil", &salt, NonZeroU32::new(4096).unwrap())
    }

    /// The example of RFC 7677.
    #[test]
    fn the_exchange_of_the_rfc_is_ours() {
        let nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let (exchange, answer) =
            first(PLAIN, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", FREE, nonce, pencil()).unwrap();
        assert_eq!(
            answer,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let proof = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(
            exchange.last(proof.as_bytes()).unwrap(),
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }

    fn signed(
        password: &[u8],
        theirs: ChannelBinding,
        mechanism: &str,
        ours: Binding<'_>,
    ) -> Result<(), ScramError> {
        let mut client = ScramSha256::new(password, theirs);
        let (exchange, answer) = first(mechanism, client.message(), ours, "nonce", pencil())?;
        client.update(answer.as_bytes()).unwrap();
        let last = exchange.last(client.message())?;
        client.finish(last.as_bytes()).unwrap();
        Ok(())
    }

    #[test]
    fn another_library_signs_in_with_and_without_a_binding() {
        let tied = || ChannelBinding::tls_server_end_point(b"certificate".to_vec());
        assert_eq!(signed(b"pencil", ChannelBinding::unsupported(), PLAIN, FREE), Ok(()));
        assert_eq!(signed(b"pencil", ChannelBinding::unsupported(), PLAIN, TIED), Ok(()));
        assert_eq!(signed(b"pencil", ChannelBinding::unrequested(), PLAIN, FREE), Ok(()));
        assert_eq!(signed(b"pencil", tied(), PLUS, DEMANDED), Ok(()));
        assert_eq!(signed(b"pencils", tied(), PLUS, TIED), Err(ScramError::Proof));
        assert_eq!(signed(b"pencil", tied(), PLUS, FREE), Err(ScramError::Mechanism));
        assert_eq!(signed(b"pencil", tied(), PLAIN, TIED), Err(ScramError::Mechanism));
        assert_eq!(signed(b"pencil", ChannelBinding::unsupported(), PLUS, TIED), Err(ScramError::Mechanism));
    }

    #[test]
    fn a_sign_in_of_another_connection_or_of_none_is_refused() {
        let other = ChannelBinding::tls_server_end_point(b"another".to_vec());
        assert_eq!(signed(b"pencil", other, PLUS, TIED), Err(ScramError::Binding));
        assert_eq!(
            signed(b"pencil", ChannelBinding::unsupported(), PLAIN, DEMANDED),
            Err(ScramError::Binding)
        );
        assert_eq!(signed(b"pencil", ChannelBinding::unrequested(), PLAIN, TIED), Err(ScramError::Downgrade));
    }

    #[test]
    fn a_proof_is_good_for_one_exchange_only() {
        let mut client = ScramSha256::new(b"pencil", ChannelBinding::unsupported());
        let opening = client.message().to_vec();
        let (exchange, answer) = first(PLAIN, &opening, FREE, "one", pencil()).unwrap();
        client.update(answer.as_bytes()).unwrap();
        let proof = client.message().to_vec();
        exchange.last(&proof).unwrap();
        let (again, _) = first(PLAIN, &opening, FREE, "two", pencil()).unwrap();
        assert_eq!(again.last(&proof), Err(ScramError::Proof));
    }

    #[test]
    fn what_is_no_message_of_the_exchange_is_refused() {
        for message in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=",
            "n,,n=u,r=",
            "n,a=x,n=u,r=x",
            "n,,m=1,n=u,r=x",
            "n,,n=u,r=x,y=1",
            "n,,r=x,n=u",
        ] {
            let refused = first(PLAIN, message.as_bytes(), FREE, "n", pencil()).unwrap_err();
            assert_eq!(refused, ScramError::Form, "{message}");
        }
        let long = format!("n,,n=u,r={}", "x".repeat(MESSAGE_MAX));
        assert_eq!(first(PLAIN, long.as_bytes(), FREE, "n", pencil()).unwrap_err(), ScramError::Form);
        for message in ["", "c=biws,r=xn", "c=biws,p=AA==", "c=biws,r=xn,p=AA==", "r=xn,c=biws,p="] {
            let (exchange, _) = first(PLAIN, b"n,,n=u,r=x", FREE, "n", pencil()).unwrap();
            assert_eq!(exchange.last(message.as_bytes()), Err(ScramError::Form), "{message}");
        }
    }

    #[test]
    fn a_verifier_has_the_form_of_the_server_and_tells_nothing() {
        let text = postgres_protocol::password::scram_sha_256(b"pencil");
        let verifier = Verifier::parse(&text).unwrap();
        assert_eq!(verifier.text(), text);
        assert_eq!(format!("{verifier:?}"), "Verifier(4096 rounds)");
        let mock = Verifier::mock(b"secret", "mallory");
        assert_eq!((mock.salt.len(), mock.iterations), (verifier.salt.len(), verifier.iterations));
        assert_eq!(mock, Verifier::mock(b"secret", "mallory"));
        assert_ne!(mock.salt, Verifier::mock(b"secret", "alice").salt);
        for bad in ["", "md5abc", "SCRAM-SHA-256$0:AA==$AA==:AA==", "SCRAM-SHA-256$1:AA==$AA==:AA=="] {
            assert!(Verifier::parse(bad).is_none(), "{bad}");
        }
    }
}
