//! `clover serve` and `clover status`.

use std::process::ExitCode;

use anyhow::{Context, Result};

use super::output::Output;
use super::telemetry;
use crate::config::Config;
use crate::layout::Layout;
use crate::{assemble, control};

pub(super) fn serve(layout: &Layout, output: &Output) -> Result<()> {
    let config = Config::load(&layout.config())?;
    let runtime = match config.workers {
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        n => tokio::runtime::Builder::new_multi_thread().worker_threads(n).enable_all().build()?,
    };
    runtime.block_on(async {
        let _telemetry = telemetry::start(config.traces.as_deref())?;
        let assembled = assemble::open(layout)?;
        let control = config.control;
        let ready = |address: std::net::SocketAddr, witnesses: &str| {
            let text = format!(
                "serving on https://{address}, status on http://{control}/status; witnesses: {witnesses}"
            );
            let (gateway, control) = (address.to_string(), control.to_string());
            output.data(
                &text,
                &serde_json::json!({ "gateway": gateway, "control": control, "witnesses": witnesses }),
            );
        };
        assemble::serve(layout, assembled, ready).await
    })
}

/// Asks the running enclave. 0 when the border is open, 1 when it is closed or nobody answers.
pub(super) fn status(layout: &Layout, output: &Output) -> Result<ExitCode> {
    let config = Config::load(&layout.config())?;
    let text = control::ask(config.control, "/status")?;
    let status: serde_json::Value = serde_json::from_str(&text).context("the answer is no status")?;
    let field = |name: &str| {
        status.get(name).map_or(String::new(), |v| v.as_str().map_or(v.to_string(), str::to_owned))
    };
    let why = if field("why") == "null" { String::new() } else { format!(" ({})", field("why")) };
    let list = |name: &str| {
        let all = status.get(name).and_then(|v| v.as_array());
        all.into_iter().flatten().filter_map(|v| v.as_str()).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut lines = format!(
        "border     {}{why}\nentries    {} durable, {} published\npeople     {}\nrulebook   {}\nwitnesses  {}\nrequests   {}\nkeys       {}",
        field("border"),
        field("entries"),
        field("published"),
        field("people"),
        field("rulebook"),
        field("witnesses"),
        requests(&status),
        keys(&status),
    ) + &notices(&status)
        + &residency(&status)
        + &shadowed(&status);
    if !list("suspended").is_empty() {
        lines.push_str(&format!("\nsuspended  {}", list("suspended").join(", ")));
    }
    for (n, line) in list("expiries").iter().enumerate() {
        lines.push_str(&format!("\n{:10} {line}", if n == 0 { "ending" } else { "" }));
    }
    output.data(&lines, &status);
    Ok(if field("border") == "open" { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Where requests are kept, and what is wrong with that if anything is.
fn requests(status: &serde_json::Value) -> String {
    let field = |name: &str| status.pointer(&format!("/control_store/{name}")).and_then(|v| v.as_str());
    let why = field("why").map_or(String::new(), |why| format!(" ({why})"));
    format!("{}{why}", field("kind").unwrap_or_default())
}

/// Where the region's key lies, what everybody should know of that, and what is wrong with it if anything is.
fn keys(status: &serde_json::Value) -> String {
    let field = |name: &str| status.pointer(&format!("/keys/{name}")).and_then(|v| v.as_str());
    let version = status.pointer("/keys/version").and_then(serde_json::Value::as_u64).unwrap_or_default();
    let remarks: Vec<&str> = ["remark", "why"].into_iter().filter_map(field).collect();
    let told = if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join("; ")) };
    format!("{}, version {version}{told}", field("service").unwrap_or_default())
}

/// How notices fare, if anybody is told.
fn notices(status: &serde_json::Value) -> String {
    let Some(notices) = status.get("notices") else { return String::new() };
    let number = |name: &str| notices.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
    let failing: Vec<&str> = notices
        .get("failing")
        .and_then(serde_json::Value::as_array)
        .map_or_else(Vec::new, |names| names.iter().filter_map(serde_json::Value::as_str).collect());
    let failing =
        if failing.is_empty() { String::new() } else { format!("; not taken by {}", failing.join(", ")) };
    let (delivered, waiting, lost) = (number("delivered"), number("waiting"), number("undelivered"));
    format!("\nnotices    {delivered} delivered, {waiting} waiting, {lost} not delivered{failing}")
}

/// Findings about where data lies, if any stand.
fn residency(status: &serde_json::Value) -> String {
    let Some(residency) = status.get("residency") else { return String::new() };
    let number = |name: &str| residency.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
    match (residency.get("why").and_then(serde_json::Value::as_str), number("open")) {
        (Some(why), _) => format!("\nresidency  incidents are not known: {why}"),
        (None, 0) => String::new(),
        (None, open) => {
            format!(
                "\nresidency  {open} incidents, {} overdue: `clover residency incidents`",
                number("overdue")
            )
        }
    }
}

/// What a proposed rulebook would have decided, if one is asked beside the one in force.
fn shadowed(status: &serde_json::Value) -> String {
    let Some(shadow) = status.get("shadow").filter(|s| s.is_object()) else { return String::new() };
    let of = |key: &str| shadow.get(key).and_then(serde_json::Value::as_u64).unwrap_or_default();
    let rulebook = shadow.get("rulebook").and_then(serde_json::Value::as_str).unwrap_or_default();
    format!(
        "\nshadow     {rulebook}: {} groups of fields the same, {} wider, {} narrower, {} not decided",
        of("same"),
        of("wider"),
        of("narrower"),
        of("errors"),
    )
}
