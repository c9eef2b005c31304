//! Local accounts at the console, taken as their owners would; and a way for a browser on this machine to sit in another
//! country, by the starter programme's table of networks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use data_encoding::BASE32_NOPAD;
use http::Method;
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use totp_rs::{Builder, Secret};

use crate::client::Client;
use crate::world::{World, at, clover};

/// The passphrase of every account of a demo or a test.
pub const PASSPHRASE: &str = "four-leaved-clover-in-a-meadow";

/// Somebody with an account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Their name at the form: of an employee the id on record, of a person their account name.
    pub name: String,
    /// Whether it is a person whose data it is.
    pub person: bool,
    /// The secret of their authenticator, base32.
    pub secret: String,
    /// A session of theirs, as the cookie holds it.
    pub session: String,
}

/// What an authenticator with this secret shows, so many steps of 30 seconds from now.
///
/// # Errors
/// When the secret is none.
pub fn code(secret: &str, steps: i64) -> Result<String> {
    let bytes = BASE32_NOPAD.decode(secret.as_bytes()).context("the secret is no base32")?;
    let bytes = bytes.try_into().map_err(|_| anyhow::anyhow!("a secret has 20 bytes"))?;
    let totp = Builder::new().with_secret(Secret::new_stack(bytes)).build()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(totp.generate(now.checked_add_signed(steps * 30).context("no such time")?).to_string())
}

async fn posted(client: &Client, path: &str, form: &str) -> Result<Value> {
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")];
    let answer = client.send(Method::POST, path, &headers, form.to_owned()).await?;
    ensure!(answer.status.is_success(), "`{path}` answered {}: {}", answer.status, answer.text());
    Ok(answer.json())
}

async fn taken(world: &World, name: &str, person: bool, given: &str, from: IpAddr) -> Result<Account> {
    let client = Client::new(world.console, from, &world.layout.tls().join("ca.pem"), None)?;
    let below = if person { "/signin/person" } else { "/signin/local" };
    let form = format!("actor={name}&enrolment={given}&passphrase={PASSPHRASE}");
    let told = posted(&client, &format!("{below}/enrol"), &form).await?;
    let secret = told.get("secret").and_then(Value::as_str).context("no secret")?.to_owned();
    // The code of the step before, so that this one's serves for signing in.
    let form = format!("actor={name}&enrolment={given}&code={}", code(&secret, -1)?);
    let told = posted(&client, &format!("{below}/confirm"), &form).await?;
    let session = told.get("token").and_then(Value::as_str).context("no session")?.to_owned();
    Ok(Account { name: name.to_owned(), person, secret, session })
}

fn given(world: &World, line: &[&str]) -> Result<String> {
    let told: Value = serde_json::from_str(&clover(&world.layout, &[&["--json"], line].concat())?)?;
    Ok(told.get("code").and_then(Value::as_str).context("no code for enrolment")?.to_owned())
}

/// Has an employee take an account, from an address in their country.
///
/// # Errors
/// When they are not on record, or the console refuses.
pub async fn employee(world: &World, id: &str, country: &str, from: IpAddr) -> Result<Account> {
    let given = given(world, &["actor", "enrol", id, "--at", country, "--attested-device"])?;
    taken(world, id, false, &given, from).await
}

/// Has a person of the sample, counted from 0, take an account.
///
/// # Errors
/// When there is no such person, or the console refuses.
pub async fn person(world: &World, n: usize) -> Result<Account> {
    let name = world.person(n)?.user_name.clone();
    let given = given(world, &["subject", "enrol", "--subject", &name, "--at", "IE"])?;
    taken(world, &name, true, &given, at::DUBLIN).await
}

/// Listens on a free port of this machine and goes on to a listener from another address, so that whoever connects sits
/// there. It lives as long as the runtime.
///
/// # Errors
/// When no port is to be had.
pub async fn seat(to: SocketAddr, from: IpAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(carry(stream, to, from));
        }
    });
    Ok(address)
}

async fn carry(mut stream: TcpStream, to: SocketAddr, from: IpAddr) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(from, 0))?;
    let mut onward = socket.connect(to).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut onward).await?;
    Ok(())
}
