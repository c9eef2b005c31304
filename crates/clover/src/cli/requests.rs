//! `clover access …`: asking for access, and deciding on it, as a person who is signed in.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::output::Output;
use crate::caller::{Body, Held};
use crate::error::CommandError;

#[derive(Debug, Subcommand)]
pub(super) enum Access {
    /// Ask for a grant, a support case or, under an open incident, break-glass.
    Request(Wanted),
    /// Show what waits for you, what you asked for, and what else concerns you.
    List,
    /// Show one request.
    Show(Named),
    /// Approve the step that waits.
    Approve(Named),
    /// Deny.
    Deny(Named),
    /// Take your own request back.
    Withdraw(Named),
    /// End a grant or case at once.
    Revoke(Named),
    /// Note that you looked at what was done under break-glass.
    Review(Named),
    /// Put a request on record that must be refused.
    Decoy {
        /// In whose name.
        #[arg(long)]
        whose: String,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Open or close an incident, without which no glass is broken.
    #[command(subcommand)]
    Incident(Incident),
    /// Show how approvers decide: time, rate, repeated pairs, decoys.
    Quality,
}

#[derive(Debug, Args)]
pub(super) struct Named {
    /// The request.
    id: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum Incident {
    /// Open one.
    Open(Named),
    /// Close it: grants under it end.
    Close(Named),
}

#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// What: grant, case or break-glass.
    #[arg(long, default_value = "grant", value_parser = ["grant", "case", "break-glass"])]
    ground: String,
    /// A name for it; drawn if not given.
    #[arg(long)]
    id: Option<String>,
    /// Why: support, safety, fraud, billing, research, legalRequest, interoperability, incident.
    #[arg(long)]
    purpose: String,
    /// The case or ticket that it is about.
    #[arg(long)]
    case: String,
    /// What the person complained about, for a case: videoNotShown, accountAccess, paymentFailed.
    #[arg(long)]
    kind: Option<String>,
    /// The open incident, for break-glass.
    #[arg(long)]
    incident: Option<String>,
    /// On which dataset.
    #[arg(long)]
    dataset: String,
    /// On this list of fields only.
    #[arg(long)]
    fields: Option<String>,
    /// On this person only.
    #[arg(long)]
    subject: Option<String>,
    /// For how many minutes from the last approval.
    #[arg(long, default_value_t = 120)]
    minutes: u64,
    /// Most rows in all.
    #[arg(long, default_value_t = 100)]
    rows: u64,
    /// Most bytes in all.
    #[arg(long, default_value_t = 1_000_000)]
    bytes: u64,
    /// Most people in all.
    #[arg(long, default_value_t = 1)]
    people: u64,
}

impl Wanted {
    fn json(&self) -> Value {
        let amount = json!({ "rows": self.rows, "bytes": self.bytes, "subjects": self.people });
        let needed = json!({
            "ground": self.ground, "purpose": self.purpose, "case": self.case, "dataset": self.dataset,
            "seconds": self.minutes.saturating_mul(60), "amount": amount,
        });
        let optional = [
            ("id", &self.id),
            ("kind", &self.kind),
            ("incident", &self.incident),
            ("fields", &self.fields),
            ("subject", &self.subject),
        ];
        let mut all = needed.as_object().cloned().unwrap_or_else(Map::new);
        all.extend(optional.into_iter().filter_map(|(k, v)| Some((k.to_owned(), json!(v.as_ref()?)))));
        Value::Object(all)
    }
}

impl Access {
    pub(super) fn run(&self, output: &Output) -> Result<()> {
        let act = |named: &Named, act: &str| {
            let path = path(&named.id, &format!("/{act}"))?;
            one(output, &ask(Method::POST, &path, Body::None)?)
        };
        match self {
            Self::Request(wanted) => {
                one(output, &ask(Method::POST, "/access/requests", Body::Json(&wanted.json()))?)
            }
            Self::Decoy { whose, wanted } => {
                let mut asked = wanted.json();
                if let Some(asked) = asked.as_object_mut() {
                    asked.insert("whose".to_owned(), json!(whose));
                }
                one(output, &ask(Method::POST, "/access/decoys", Body::Json(&asked))?)
            }
            Self::List => list(output, &ask(Method::GET, "/access/requests", Body::None)?),
            Self::Show(named) => one(output, &ask(Method::GET, &path(&named.id, "")?, Body::None)?),
            Self::Approve(named) => act(named, "approve"),
            Self::Deny(named) => act(named, "deny"),
            Self::Withdraw(named) => act(named, "withdraw"),
            Self::Revoke(named) => act(named, "revoke"),
            Self::Review(named) => act(named, "review"),
            Self::Incident(Incident::Open(named)) => {
                ask(Method::POST, "/access/incidents", Body::Json(&json!({ "id": named.id })))?;
                output.data(&format!("incident `{}` is open", named.id), &json!({ "incident": named.id }));
                Ok(())
            }
            Self::Incident(Incident::Close(named)) => {
                let id = model::Name::parse(&named.id)?;
                ask(Method::POST, &format!("/access/incidents/{id}/close"), Body::None)?;
                output.data(&format!("incident `{id}` is closed"), &json!({ "incident": named.id }));
                Ok(())
            }
            Self::Quality => quality(output, &ask(Method::GET, "/access/quality", Body::None)?),
        }
    }
}

/// Where one request is found. Its name stands in a path, so it must be one.
fn path(id: &str, rest: &str) -> Result<String> {
    Ok(format!("/access/requests/{}{rest}", model::Name::parse(id)?))
}

/// Asks with the session that is held.
fn ask(method: Method, path: &str, body: Body<'_>) -> Result<Value> {
    let held = Held::load()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (status, answer) = runtime.block_on(held.console.ask(method, path, Some(&held.token), body))?;
    if status.is_success() {
        return Ok(answer);
    }
    let why = answer.get("why").and_then(Value::as_str).unwrap_or("no reason").to_owned();
    if status == StatusCode::UNAUTHORIZED {
        return Err(CommandError::NoSession.into());
    }
    Err(CommandError::AccessRefused { status: status.as_u16(), why }.into())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("-")
}

/// One line about a request.
fn line(request: &Value) -> String {
    let until = match text(request, "serves_until") {
        "-" => String::new(),
        until => format!(", until {until}"),
    };
    format!(
        "{}  {}{until}  {} {} on {} for {}, case {}",
        text(request, "id"),
        text(request, "state"),
        text(request, "requester"),
        text(request, "ground"),
        text(request, "dataset"),
        text(request, "purpose"),
        text(request, "case"),
    )
}

fn one(output: &Output, request: &Value) -> Result<()> {
    let acts = request.get("acts").and_then(Value::as_array).context("the console's answer is no request")?;
    let mut all = line(request);
    for act in acts {
        let (what, at, by) = (text(act, "what"), text(act, "at"), text(act, "by"));
        all.push_str(&format!(
            "\n  {at}  {what} by {by} ({}, {})",
            text(act, "employer"),
            text(act, "country")
        ));
    }
    output.data(&all, request);
    Ok(())
}

fn list(output: &Output, inbox: &Value) -> Result<()> {
    let mut all = String::new();
    for (key, head) in [("to_decide", "waits for you"), ("own", "yours"), ("others", "concerns you")] {
        let requests = inbox.get(key).and_then(Value::as_array).context("the console's answer is no list")?;
        all.push_str(&format!("{head}: {}\n", requests.len()));
        requests.iter().for_each(|r| all.push_str(&format!("  {}\n", line(r))));
    }
    output.data(all.trim_end(), inbox);
    Ok(())
}

fn quality(output: &Output, numbers: &Value) -> Result<()> {
    let count = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut all = format!(
        "requests {}: granted {}, denied {}, timed out {}",
        count(numbers, "requests"),
        count(numbers, "granted"),
        count(numbers, "denied"),
        count(numbers, "timed_out"),
    );
    for (who, one) in numbers.get("approvers").and_then(Value::as_object).into_iter().flatten() {
        all.push_str(&format!(
            "\n{who}: approved {}, denied {}, half decided within {} s, decoys approved {} of {}",
            count(one, "approved"),
            count(one, "denied"),
            count(one, "median_seconds"),
            count(one, "decoys_approved"),
            count(one, "decoys_approved") + count(one, "decoys_denied"),
        ));
    }
    output.data(&all, numbers);
    Ok(())
}
