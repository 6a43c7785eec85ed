//! Creates and registers metrics.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts,
    Registry,
};

use super::leader_only::{LeaderOnly, Spoken};
use super::reference::Catalogue;
use super::{PREFIX, ROTATION_BUCKETS, SWEEP_BUCKETS};

/// Creates metrics, registers them and lists them in the catalogue.
pub(super) struct Maker<'a> {
    pub(super) registry: &'a Registry,
    pub(super) catalogue: &'a Catalogue,
    /// Shows whether this replica reports the metrics. `None` means that every replica reports them.
    pub(super) voice: Option<LeaderOnly>,
}

impl Maker<'_> {
    /// Returns a builder of metrics that only the holder of the lease reports.
    pub(super) fn for_holder(&self, voice: &LeaderOnly) -> Self {
        Self {
            voice: Some(voice.clone()),
            ..*self
        }
    }

    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        let inner = collector.clone();
        match self.voice.clone() {
            Some(voice) => self.add(Spoken { voice, inner })?,
            None => self.add(inner)?,
        }
        Ok(collector)
    }

    /// Registers a collector that nothing else refers to.
    pub(super) fn add(&self, collector: impl Collector + 'static) -> prometheus::Result<()> {
        self.catalogue.add(&collector);
        self.registry.register(Box::new(collector))
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

    pub(super) fn sweep_duration(&self) -> prometheus::Result<HistogramVec> {
        self.histogram(
            "sweep_duration_seconds",
            "Time taken by one complete sweep",
            &["profile", "region"],
            &SWEEP_BUCKETS,
        )
    }

    /// Creates the gauge. It is a vector although it has no labels, so that credentials that do not expire have no
    /// series.
    pub(super) fn credentials_expiry(&self) -> prometheus::Result<GaugeVec> {
        self.float_gauge(
            "aws_credentials_expiry_timestamp_seconds",
            "Unix time at which the current AWS credentials expire",
            &[],
        )
    }

    /// Creates the gauge, with the name that client-go uses, so that common dashboards find it.
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
