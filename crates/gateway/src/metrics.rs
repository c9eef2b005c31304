//! What a gateway counts. Labels are lanes, outcomes and reasons: never a person, an address or a path.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Labels of a crossing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Labels {
    /// The lane's name, as declared; "unknown" for anything else.
    pub lane: String,
    /// `released` or `refused`.
    pub outcome: &'static str,
    /// Why it was refused, or `none`.
    pub reason: &'static str,
}

/// The gateway's metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Crossings by lane and outcome.
    pub crossings: Family<Labels, Counter>,
    /// Payload bytes released.
    pub released_bytes: Counter,
    /// Values withheld because personal data was found in them.
    pub findings: Counter,
    /// Seconds from request to receipt.
    pub seconds: Histogram,
    /// Requests that named nobody known.
    pub strangers: Counter,
    /// Records removed because their collection keeps them no longer.
    pub expired: Counter,
}

impl Metrics {
    /// Registers them.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            crossings: Family::default(),
            released_bytes: Counter::default(),
            findings: Counter::default(),
            seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            strangers: Counter::default(),
            expired: Counter::default(),
        };
        registry.register(
            "clover_crossings",
            "Crossings by lane, outcome and reason",
            metrics.crossings.clone(),
        );
        registry.register("clover_released_bytes", "Payload bytes released", metrics.released_bytes.clone());
        registry.register("clover_findings", "Values withheld by inspection", metrics.findings.clone());
        registry.register(
            "clover_crossing_seconds",
            "Seconds from request to receipt",
            metrics.seconds.clone(),
        );
        registry.register("clover_strangers", "Requests that named nobody known", metrics.strangers.clone());
        let help = "Records removed because their collection keeps them no longer";
        registry.register("clover_expired_records", help, metrics.expired.clone());
        metrics
    }
}

/// What a proposed rulebook would have decided, read whenever somebody asks for the metrics.
pub struct ShadowGroups(Box<dyn Fn() -> [(&'static str, u64); 4] + Send + Sync>);

impl std::fmt::Debug for ShadowGroups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShadowGroups")
    }
}

impl ShadowGroups {
    /// Counts by what they are counted under.
    #[must_use]
    pub fn new(counts: impl Fn() -> [(&'static str, u64); 4] + Send + Sync + 'static) -> Self {
        Self(Box::new(counts))
    }
}

impl Collector for ShadowGroups {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Groups of fields by what a proposed rulebook would have decided of them";
        let kind = MetricType::Counter;
        let mut metric = encoder.encode_descriptor("clover_shadow_groups", help, None, kind)?;
        for (word, count) in (self.0)() {
            let labels = [("change", word)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
        }
        Ok(())
    }
}
