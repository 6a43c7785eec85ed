//! Metrics of policies, secrets and sweeps, which only the replica that holds the lease reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

/// Whether this replica reports these metrics. Clones share the value.
#[derive(Clone, Debug, Default)]
pub(super) struct LeaderOnly(Arc<AtomicBool>);

impl LeaderOnly {
    pub(super) fn set(&self, leads: bool) {
        self.0.store(leads, Ordering::Relaxed);
    }

    pub(super) fn leads(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A collector without series while another replica holds the lease. Its counts are kept: a counter that started
/// again at 0 would hide what was counted between the last scrape and the loss of the lease.
#[derive(Clone, Debug)]
pub(super) struct ExportedByLeader<C> {
    pub(super) leader_only: LeaderOnly,
    pub(super) inner: C,
}

impl<C: Collector> Collector for ExportedByLeader<C> {
    fn desc(&self) -> Vec<&Desc> {
        self.inner.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.inner.collect();
        if !self.leader_only.leads() {
            for family in &mut families {
                family.set_metric(Vec::new());
            }
        }
        families
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounterVec, Opts, Registry, TextEncoder};

    use super::*;

    #[test]
    fn a_counter_disappears_with_the_lease_and_returns_with_its_count() {
        let counter = IntCounterVec::new(Opts::new("cleared_total", "Cleared"), &["policy"])
            .expect("well formed");
        let leader_only = LeaderOnly::default();
        let registry = Registry::new();
        registry
            .register(Box::new(ExportedByLeader {
                leader_only: leader_only.clone(),
                inner: counter.clone(),
            }))
            .expect("not registered before");
        let text = || {
            TextEncoder::new()
                .encode_to_string(&registry.gather())
                .expect("text")
        };
        counter.with_label_values(&["payments"]).inc();
        assert_eq!(text(), "");
        leader_only.set(true);
        let exported = "# HELP cleared_total Cleared\n# TYPE cleared_total counter\ncleared_total{policy=\"payments\"} 1\n";
        assert_eq!(text(), exported);
        leader_only.set(false);
        assert_eq!(text(), "");
        leader_only.set(true);
        assert_eq!(text(), exported);
    }
}
