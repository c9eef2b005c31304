//! `clover serve` and `clover status`.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use super::output::Output;
use super::telemetry;
use crate::assemble;
use crate::config::Config;
use crate::error::CommandError;
use crate::layout::Layout;

/// Bytes of a status answer that are read.
const STATUS_MAX: u64 = 64 << 10;

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
    let text = ask(config.control)?;
    let status: serde_json::Value = serde_json::from_str(&text).context("the answer is no status")?;
    let field = |name: &str| {
        status.get(name).map_or(String::new(), |v| v.as_str().map_or(v.to_string(), str::to_owned))
    };
    let why = if field("why") == "null" { String::new() } else { format!(" ({})", field("why")) };
    let lines = format!(
        "border     {}{why}\nentries    {} durable, {} published\npeople     {}\nrulebook   {}\nwitnesses  {}",
        field("border"),
        field("entries"),
        field("published"),
        field("people"),
        field("rulebook"),
        field("witnesses"),
    );
    let lines = lines + &shadowed(&status);
    output.data(&lines, &status);
    Ok(if field("border") == "open" { ExitCode::SUCCESS } else { ExitCode::from(1) })
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

fn ask(address: std::net::SocketAddr) -> Result<String> {
    let exchange = || {
        let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("GET /status HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.take(STATUS_MAX).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|source| CommandError::NoAnswer { address, source })?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).context("no HTTP answer")
}
