//! How metrics are made and registered.

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts,
    Registry,
};

use super::{PREFIX, ROTATION_BUCKETS};

/// Makes metrics and registers them.
pub(super) struct Maker<'a> {
    pub(super) registry: &'a Registry,
}

impl Maker<'_> {
    pub(super) fn register<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        collector: C,
    ) -> prometheus::Result<C> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    pub(super) fn counter(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.register(IntCounterVec::new(
            Opts::new(name, help).namespace(PREFIX),
            labels,
        )?)
    }

    pub(super) fn gauge(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(
            Opts::new(name, help).namespace(PREFIX),
            labels,
        )?)
    }

    pub(super) fn float_gauge(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<GaugeVec> {
        self.register(GaugeVec::new(
            Opts::new(name, help).namespace(PREFIX),
            labels,
        )?)
    }

    pub(super) fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> prometheus::Result<HistogramVec> {
        let options = HistogramOpts::new(name, help)
            .namespace(PREFIX)
            .buckets(buckets.to_vec());
        self.register(HistogramVec::new(options, labels)?)
    }

    pub(super) fn rotation_duration(&self) -> prometheus::Result<Histogram> {
        let help = "Time from start of a rotation to promotion to AWSCURRENT";
        let options = HistogramOpts::new("rotation_duration_seconds", help).namespace(PREFIX);
        self.register(Histogram::with_opts(
            options.buckets(ROTATION_BUCKETS.to_vec()),
        )?)
    }

    /// Named as client-go names it, so that common dashboards find it.
    pub(super) fn leader(&self) -> prometheus::Result<IntGaugeVec> {
        let help = "Whether this replica holds the lease (1) or not (0)";
        self.register(IntGaugeVec::new(
            Opts::new("leader_election_master_status", help),
            &["name"],
        )?)
    }

    pub(super) fn custom_endpoint(&self) -> prometheus::Result<Gauge> {
        let help = "Whether AWS calls go to a custom endpoint";
        self.register(Gauge::with_opts(
            Opts::new("custom_endpoint", help).namespace(PREFIX),
        )?)
    }

    pub(super) fn build_info(&self) -> prometheus::Result<()> {
        let info = self.gauge(
            "build_info",
            "Build information of the running controller",
            &["version", "revision", "rustc"],
        )?;
        let revision = option_env!("SECRET_ROTATION_REVISION").unwrap_or("unknown");
        let rustc = option_env!("SECRET_ROTATION_RUSTC").unwrap_or("unknown");
        info.with_label_values(&[env!("CARGO_PKG_VERSION"), revision, rustc])
            .set(1);
        Ok(())
    }
}
