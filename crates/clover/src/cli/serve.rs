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
        "border     {}{why}\nentries    {} durable, {} published\npeople     {}\nrulebook   {}\nwitnesses  {}",
        field("border"),
        field("entries"),
        field("published"),
        field("people"),
        field("rulebook"),
        field("witnesses"),
    );
    if !list("suspended").is_empty() {
        lines.push_str(&format!("\nsuspended  {}", list("suspended").join(", ")));
    }
    for (n, line) in list("expiries").iter().enumerate() {
        lines.push_str(&format!("\n{:10} {line}", if n == 0 { "ending" } else { "" }));
    }
    output.data(&lines, &status);
    Ok(if field("border") == "open" { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
