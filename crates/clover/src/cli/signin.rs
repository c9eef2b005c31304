//! `clover signin`, `clover signout`, `clover session`: a person at the command line.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::output::Output;
use crate::caller::{Body, Console, Held};
use crate::config::Config;
use crate::error::CommandError;
use crate::layout::Layout;

/// How often the console is asked whether somebody has signed in.
const POLL: Duration = Duration::from_millis(700);

#[derive(Debug, Args)]
pub(super) struct Signin {
    /// The console, as host:port; that of the enclave's folder if not given.
    #[arg(long, value_name = "HOST:PORT")]
    console: Option<String>,
    /// The file with the roots that the console's certificate leads to; the enclave's own if not given.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// With a local account, under this name; passphrase and code are read from standard input.
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Take a local account: the code for enrolment is read from standard input, too.
    #[arg(long, requires = "actor")]
    enrol: bool,
}

impl Signin {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<()> {
        let console = self.console(layout)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(async {
            match &self.actor {
                None => device(&console, output).await,
                Some(actor) if self.enrol => enrol(&console, actor, output).await,
                Some(actor) => local(&console, actor).await,
            }
        })?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        let (token, until) = text("token").zip(text("until")).context("the console gave no session")?;
        let held = Held { console, token, until: until.clone() };
        let path = held.save()?;
        output.data(
            &format!("signed in until {until}; the session lies in `{}`", path.display()),
            &json!({ "until": until, "file": path }),
        );
        Ok(())
    }

    fn console(&self, layout: &Layout) -> Result<Console> {
        let address = match &self.console {
            Some(address) => address.clone(),
            None => {
                let config = Config::load(&layout.config())?;
                let none = CommandError::Rule("this enclave has no [console]; name one with --console");
                config.console.ok_or(none)?.listen.to_string()
            }
        };
        let ca = self.ca.clone().unwrap_or_else(|| layout.tls().join("ca.pem"));
        Ok(Console { address, ca: std::path::absolute(ca)? })
    }
}

/// Through the identity provider, in a browser anywhere.
async fn device(console: &Console, output: &Output) -> Result<Value> {
    let begun = accepted(console.ask(Method::POST, "/signin/device", None, Body::None).await?)?;
    let text = |name: &str| begun.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (address, code, name) = (text("address"), text("user_code"), text("signin"));
    output.data(
        &format!("open {address} in a browser and type the code {code}"),
        &json!({ "address": address, "code": code }),
    );
    let asked = json!({ "signin": name });
    loop {
        tokio::time::sleep(POLL).await;
        let answer = console.ask(Method::POST, "/signin/device/token", None, Body::Json(&asked)).await?;
        if answer.0 != StatusCode::ACCEPTED {
            return accepted(answer);
        }
    }
}

async fn local(console: &Console, actor: &str) -> Result<Value> {
    let (passphrase, code) = (secret("passphrase")?, secret("code of your authenticator")?);
    let form = [("actor", actor), ("passphrase", &passphrase), ("code", &code)];
    accepted(console.ask(Method::POST, "/signin/local", None, Body::Form(&form)).await?)
}

async fn enrol(console: &Console, actor: &str, output: &Output) -> Result<Value> {
    let (enrolment, passphrase) = (secret("code for enrolment")?, secret("a new passphrase")?);
    let form = [("actor", actor), ("enrolment", &enrolment), ("passphrase", &passphrase)];
    let begun = accepted(console.ask(Method::POST, "/signin/local/enrol", None, Body::Form(&form)).await?)?;
    let text = |name: &str| begun.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    output.data(
        &format!("put this secret into your authenticator: {}\n{}", text("secret"), text("address")),
        &begun,
    );
    let code = secret("the code that it shows")?;
    let form = [("actor", actor), ("enrolment", &enrolment), ("code", &code)];
    accepted(console.ask(Method::POST, "/signin/local/confirm", None, Body::Form(&form)).await?)
}

/// An answer that is no refusal.
fn accepted((status, answer): (StatusCode, Value)) -> Result<Value> {
    if status.is_success() {
        return Ok(answer);
    }
    let why = answer.get("why").and_then(Value::as_str).unwrap_or("no reason").to_owned();
    Err(CommandError::SignIn { status: status.as_u16(), why }.into())
}

/// One line of standard input that a terminal does not show.
fn secret(what: &str) -> Result<String> {
    let stdin = std::io::stdin();
    let shown = if stdin.is_terminal() {
        let _ = write!(std::io::stderr(), "{what}: ");
        let shown = rustix::termios::tcgetattr(&stdin)?;
        let mut hidden = shown.clone();
        hidden.local_modes -= rustix::termios::LocalModes::ECHO;
        rustix::termios::tcsetattr(&stdin, rustix::termios::OptionalActions::Flush, &hidden)?;
        Some(shown)
    } else {
        None
    };
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if let Some(shown) = shown {
        rustix::termios::tcsetattr(&stdin, rustix::termios::OptionalActions::Flush, &shown)?;
        let _ = writeln!(std::io::stderr());
    }
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Ends the session at the console, and forgets it here.
pub(super) fn sign_out(output: &Output) -> Result<()> {
    let held = Held::load()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = held.console.ask(Method::POST, "/signout", Some(&held.token), Body::None);
    let answer = runtime.block_on(asked)?;
    // A session that does not count any more is as good as ended.
    if answer.0 != StatusCode::UNAUTHORIZED {
        accepted(answer)?;
    }
    Held::forget()?;
    output.data("signed out", &json!({ "signed": "out" }));
    Ok(())
}

/// Shows who the session is of, and the evidence of where.
pub(super) fn show(output: &Output) -> Result<()> {
    let held = Held::load()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = held.console.ask(Method::GET, "/session", Some(&held.token), Body::None);
    let session = accepted(runtime.block_on(asked)?)?;
    let text = |name: &str| session.get(name).and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let lines = format!(
        "who      {} {}\nplace    {} (token {}, device {}, network {})\nuntil    {}",
        text("kind"),
        text("id"),
        text("place"),
        text("country"),
        text("device_country"),
        text("network"),
        text("until"),
    );
    output.data(&lines, &session);
    Ok(())
}
