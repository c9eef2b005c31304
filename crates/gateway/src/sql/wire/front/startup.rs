//! The first message, which has no tag: what a client asks for before it is anybody.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::super::super::gate::{self, Ceilings};
use super::super::frame::{Body, put};
use super::FrontError;

/// The longest startup message, as PostgreSQL has it.
const STARTUP_MAX: usize = 10_000;
const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
/// The newest minor version of protocol 3.
const MINOR: u32 = 2;
/// The longest name of a user or database, and the longest secret.
const NAME_MAX: usize = 256;

/// Who comes, and on what ground: `alice@case-4711`. The last `@` parts them, since the first part may be an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct User {
    /// Who.
    pub actor: String,
    /// The grant's name.
    pub ground: String,
}

impl User {
    /// Reads a user's name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (actor, ground) = name.rsplit_once('@')?;
        let fits =
            |part: &str| !part.is_empty() && part.len() <= NAME_MAX && !part.contains(char::is_control);
        (fits(actor) && fits(ground)).then(|| Self { actor: actor.to_owned(), ground: ground.to_owned() })
    }
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.actor, self.ground)
    }
}

/// What came first.
pub(super) enum First {
    /// TLS, with what of it was read already.
    Tls(Bytes),
    Cancel(u32, Bytes),
    Startup(Startup),
}

pub(super) struct Startup {
    pub(super) user: User,
    pub(super) database: String,
    pub(super) settings: Vec<(String, String)>,
    pub(super) long_keys: bool,
    /// A newer version than ours was asked for, or options that are not known.
    newer: bool,
    options: Vec<String>,
    /// What cannot be asked for.
    refused: Option<&'static str>,
}

/// Reads the first message, and not a byte more: what follows it may be TLS.
pub(super) async fn first<S>(stream: &mut S, clear: bool) -> Result<First, FrontError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Encryption by GSSAPI and by TLS may be asked for, one after the other.
    for _ in 0..3 {
        let mut head = [0; 8];
        stream.read_exact(&mut head).await?;
        let mut read = Body(&head);
        let (length, code) = (read.long()?, read.long()?);
        // The first bytes of a handshake. As a length they would be far too much.
        if clear && head.starts_with(&[0x16, 0x03]) {
            return Ok(First::Tls(Bytes::copy_from_slice(&head)));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(8..=STARTUP_MAX).contains(&length) {
            return Err(FrontError::Message);
        }
        let mut body = vec![0; length - 8];
        stream.read_exact(&mut body).await?;
        match code {
            TLS if clear && body.is_empty() => {
                stream.write_all(b"S").await?;
                stream.flush().await?;
                return Ok(First::Tls(Bytes::new()));
            }
            GSS if clear && body.is_empty() => {
                stream.write_all(b"N").await?;
                stream.flush().await?;
            }
            CANCEL => {
                let mut body = Body(&body);
                let id = body.long()?;
                let secret =
                    Some(body.0).filter(|s| (4..=NAME_MAX).contains(&s.len())).ok_or(FrontError::Message)?;
                return Ok(First::Cancel(id, Bytes::copy_from_slice(secret)));
            }
            // In the clear nobody looks at who it is.
            _ if clear && code >> 16 == 3 => return Err(FrontError::Cleartext),
            _ if code >> 16 == 3 => return parse(code & 0xffff, &body).map(First::Startup),
            _ => return Err(FrontError::Message),
        }
    }
    Err(FrontError::Message)
}

fn parse(minor: u32, body: &[u8]) -> Result<Startup, FrontError> {
    let mut body = Body(body);
    let (mut user, mut database, mut refused) = (None, None, None);
    let (mut settings, mut options): (Vec<(String, String)>, Vec<String>) = (vec![], vec![]);
    loop {
        let name = body.text()?;
        if name.is_empty() {
            break;
        }
        let value = body.text()?;
        match name {
            "user" => user = Some(value),
            "database" => database = Some(value),
            "replication" => refused = Some("nothing is replicated through here: leave out `replication`"),
            "options" if !value.is_empty() => {
                refused = Some("the server takes no options from clients: leave out `options`")
            }
            "options" => {}
            // The encoding is ours in any case; this is what libpq says where no locale is set.
            "client_encoding" if value.eq_ignore_ascii_case("SQL_ASCII") => {}
            _ if name.starts_with("_pq_.") => options.push(name.to_owned()),
            _ => settings.push((name.to_owned(), value.to_owned())),
        }
    }
    body.end()?;
    let user = user.and_then(User::parse);
    if user.is_none() {
        refused = Some("the user's name is who you are and your grant: `alice@case-4711`");
    }
    let user = user.unwrap_or(User { actor: String::new(), ground: String::new() });
    // As with PostgreSQL, a database is named after the user unless it is named: here that is the ground's.
    let database = database.unwrap_or(&user.ground).to_owned();
    if database.len() > NAME_MAX || database.contains(char::is_control) {
        refused = Some("the database's name is too long");
    }
    Ok(Startup { user, database, settings, long_keys: minor >= 2, newer: minor > MINOR, options, refused })
}

impl Startup {
    /// Checks what is asked for, and leaves the settings that go to the server behind.
    pub(super) fn check(&self, ceilings: &Ceilings) -> Result<(), FrontError> {
        if let Some(text) = self.refused {
            return Err(FrontError::Startup(text));
        }
        for (name, value) in &self.settings {
            gate::startup(name, value, ceilings).map_err(|refusal| FrontError::Startup(refusal.text))?;
        }
        Ok(())
    }

    /// Tells which version of the protocol is spoken, and which options are not known, if that is not what was asked for.
    pub(super) async fn negotiate<S: AsyncWrite + Unpin>(&self, stream: &mut S) -> io::Result<()> {
        if !self.newer && self.options.is_empty() {
            return Ok(());
        }
        let minor = if self.long_keys { MINOR } else { 0 };
        let mut body = BytesMut::new();
        body.put_u32(3 << 16 | minor);
        body.put_u32(u32::try_from(self.options.len()).unwrap_or(0));
        for option in &self.options {
            body.put_slice(option.as_bytes());
            body.put_u8(0);
        }
        let mut out = BytesMut::new();
        put(&mut out, b'v', &[&body]);
        stream.write_all(&out).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(pairs: &str) -> Startup {
        parse(0, format!("{pairs}\0").replace(' ', "\0").as_bytes()).unwrap()
    }

    #[test]
    fn a_users_name_is_who_and_on_what_ground() {
        let user = User::parse("alice@clover.example@case-4711").unwrap();
        assert_eq!((user.actor.as_str(), user.ground.as_str()), ("alice@clover.example", "case-4711"));
        for bad in ["alice", "@case", "alice@", "", "a\nb@c"] {
            assert!(User::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_startup_asks_for_nothing_that_a_client_must_not_set() {
        let ceilings = Ceilings { statement_timeout_ms: Some(1000) };
        for good in [
            "user a@b ",
            "user a@b database d client_encoding UTF8 application_name psql DateStyle ISO ",
            "user a@b client_encoding SQL_ASCII options  statement_timeout 1s ",
        ] {
            parsed(good).check(&ceilings).unwrap();
        }
        for bad in [
            "user a ",
            "database d ",
            "user a@b replication true ",
            "user a@b replication database ",
            "user a@b options -crole=x ",
            "user a@b client_encoding SJIS ",
            "user a@b role postgres ",
            "user a@b session_authorization postgres ",
            "user a@b statement_timeout 0 ",
            "user a@b search_path raw ",
        ] {
            assert!(matches!(parsed(bad).check(&ceilings), Err(FrontError::Startup(_))), "{bad}");
        }
        assert!(
            parse(0, b"user\0a@b\0\0x").is_err()
                && parse(0, b"user\0a@b\0").is_err()
                && parse(0, b"user\0").is_err()
        );
    }
}
