//! A client that sends what it is told to, byte by byte.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use gateway::sql::wire::frame::Frames;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::frontend;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::world::World;

/// A message as tag and body.
pub(crate) type Message = (u8, Vec<u8>);

pub(crate) struct Raw {
    pub(crate) stream: TlsStream<TcpStream>,
    buffer: BytesMut,
    pub(crate) key: (u32, Vec<u8>),
}

/// TLS with a client certificate, or a name of the protocol.
pub(crate) fn connector(world: &World, certificate: bool, alpn: Option<&[u8]>) -> TlsConnector {
    let builder =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(world.authority.roots());
    let mut config = if certificate {
        let (certificate, key) = world.authority.issue("service");
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        builder.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = alpn.into_iter().map(<[u8]>::to_vec).collect();
    TlsConnector::from(Arc::new(config))
}

pub(crate) async fn tcp(world: &World) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A frame of a client's.
pub(crate) fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend_from_slice(body);
    out
}

pub(crate) fn query(text: &str) -> Vec<u8> {
    frame(b'Q', format!("{text}\0").as_bytes())
}

/// Parse, bind, describe and execute, without an end.
pub(crate) fn extended(text: &str) -> Vec<u8> {
    [
        frame(b'P', format!("\0{text}\0\0\0").as_bytes()),
        frame(b'B', b"\0\0\0\0\0\0\0\0"),
        frame(b'D', b"P\0"),
        frame(b'E', b"\0\0\0\0\0"),
    ]
    .concat()
}

pub(crate) const SYNC: [u8; 5] = [b'S', 0, 0, 0, 4];

pub(crate) fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    let mut out = u32::try_from(body.len() + 4).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(&body);
    out
}

impl Raw {
    /// With TLS and nothing more.
    pub(crate) async fn tls(world: &World, certificate: bool) -> Self {
        let mut stream = tcp(world).await;
        stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'S');
        let stream = connector(world, certificate, None)
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
            .unwrap();
        Self { stream, buffer: BytesMut::new(), key: (0, vec![]) }
    }

    /// Signed in as `alice@case-1`.
    pub(crate) async fn signed_in(world: &World) -> Self {
        let mut raw = Self::tls(world, false).await;
        raw.send(&startup(196_608, &[("user", "alice@case-1"), ("database", "clover")])).await;
        raw.scram(b"pencil", "SCRAM-SHA-256", ChannelBinding::unsupported()).await;
        raw.until_ready().await;
        raw
    }

    /// Goes through SCRAM, up to the server's last word.
    pub(crate) async fn scram(
        &mut self,
        password: &[u8],
        mechanism: &str,
        binding: ChannelBinding,
    ) -> Vec<Message> {
        let asked = self.next().await.unwrap();
        assert_eq!((asked.0, &asked.1[..4]), (b'R', &[0, 0, 0, 10][..]));
        let mut scram = ScramSha256::new(password, binding);
        let mut out = BytesMut::new();
        frontend::sasl_initial_response(mechanism, scram.message(), &mut out).unwrap();
        self.send(&out).await;
        let challenge = match self.next().await {
            Some((b'R', challenge)) => challenge,
            other => return other.into_iter().collect(),
        };
        scram.update(&challenge[4..]).unwrap();
        out.clear();
        frontend::sasl_response(scram.message(), &mut out).unwrap();
        self.send(&out).await;
        match self.next().await {
            Some((b'R', proved)) => {
                scram.finish(&proved[4..]).unwrap();
                vec![]
            }
            other => other.into_iter().collect(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next message, or the end.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let reading = async {
            loop {
                let mut frames = Frames::of(&self.buffer);
                if let Some((tag, body)) = frames.next() {
                    let message = (tag, body.to_vec());
                    let left = frames.rest().len();
                    let _ = self.buffer.split_to(self.buffer.len() - left);
                    return Some(message);
                }
                match self.stream.read_buf(&mut self.buffer).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), reading).await.expect("no message and no end")
    }

    /// Whether nothing comes while something else happens.
    pub(crate) async fn is_silent_during(&mut self, other: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            _ = self.next() => false,
            () = other => true,
        }
    }

    /// All messages up to `Z`, or the end.
    pub(crate) async fn until_ready(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            if message.0 == b'K' {
                self.key = (u32::from_be_bytes(message.1[..4].try_into().unwrap()), message.1[4..].to_vec());
            }
            let last = message.0 == b'Z';
            messages.push(message);
            if last {
                break;
            }
        }
        messages
    }

    /// All messages to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message);
        }
        messages
    }

    /// What is answered to a query, in short.
    pub(crate) async fn ask(&mut self, bytes: &[u8]) -> String {
        self.send(bytes).await;
        short(&self.until_ready().await)
    }
}

/// Tags, with what tells something: codes of errors, tags of ends, states.
pub(crate) fn short(messages: &[Message]) -> String {
    let one = |(tag, body): &Message| match tag {
        b'E' | b'N' => format!("{}:{}", char::from(*tag), field(body, b'C')),
        b'C' | b'Z' => {
            format!("{}:{}", char::from(*tag), String::from_utf8_lossy(body).trim_end_matches('\0'))
        }
        tag => char::from(*tag).to_string(),
    };
    messages.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// A field of an error.
pub(crate) fn field(body: &[u8], field: u8) -> String {
    let fields = body.split(|b| *b == 0);
    fields
        .into_iter()
        .find(|f| f.first() == Some(&field))
        .map_or(String::new(), |f| String::from_utf8_lossy(&f[1..]).into_owned())
}
