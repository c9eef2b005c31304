//! Logs and traces from `tracing`. Spans carry lanes, outcomes and numbers, never a person.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Longest wait for a collector.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Keeps telemetry running; dropping it sends what waits.
pub(super) struct Telemetry(Option<SdkTracerProvider>);

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(Err(e)) = self.0.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::warn!(error = %e, "the last traces were not sent");
        }
    }
}

/// Logs to standard error, by `CLOVER_LOG` or from `info` up; traces to an OpenTelemetry collector, if one is
/// configured (OTLP over HTTP, in the clear, for a collector on this machine).
///
/// # Errors
/// When the collector's address cannot be used or telemetry runs already.
pub(super) fn start(traces: Option<&str>) -> Result<Telemetry> {
    // The gateway's spans are made only when somebody collects them.
    // What the store of records tells about itself at each start is of no use to an operator.
    let usual = if traces.is_some() {
        "info,fjall=warn,lsm_tree=warn,gateway=debug"
    } else {
        "info,fjall=warn,lsm_tree=warn"
    };
    let filter = EnvFilter::try_from_env("CLOVER_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    // The log may lie on the disk that is full: a line that cannot be written must not end a thread.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .log_internal_errors(false);
    let provider = traces.map(provider).transpose()?;
    let spans = provider.as_ref().map(|p| tracing_opentelemetry::layer().with_tracer(p.tracer("clover")));
    tracing_subscriber::registry().with(filter).with(lines).with(spans).try_init()?;
    Ok(Telemetry(provider))
}

fn provider(endpoint: &str) -> Result<SdkTracerProvider> {
    let client =
        OnRuntime { client: Client::builder(TokioExecutor::new()).build_http(), runtime: Handle::current() };
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(endpoint)
        .with_timeout(TIMEOUT)
        .build()
        .context("cannot send traces to `telemetry.otlp_endpoint`")?;
    let resource = Resource::builder().with_service_name("clover").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// The exporter's thread has no runtime of its own, so its requests run on ours.
#[derive(Debug, Clone)]
struct OnRuntime {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let exchange = async move {
            let answer = tokio::time::timeout(TIMEOUT, client.request(request.map(Full::new))).await??;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(parts, body))
        };
        self.runtime.spawn(exchange).await?
    }
}
