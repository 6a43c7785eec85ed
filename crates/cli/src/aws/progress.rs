//! Progress of a sweep, on standard error and only if that is a terminal.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use secret_rotation_aws::{Call, Operation};
use secret_rotation_core::names::Region;

/// Secrets per page of a list.
const PAGE: usize = 100;

/// A bar for all regions, and a line for each.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    total: ProgressBar,
    regions: BTreeMap<Region, Line>,
    all: MultiProgress,
}

/// The line of one region.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    bar: ProgressBar,
    total: ProgressBar,
    pages: Arc<AtomicUsize>,
    looks: Arc<AtomicUsize>,
}

impl Progress {
    /// Shows the regions, with nothing done yet.
    pub(crate) fn new(regions: &[Region]) -> Self {
        let target = if stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let all = MultiProgress::with_draw_target(target);
        let count = u64::try_from(regions.len()).unwrap_or(u64::MAX);
        let total = all.add(
            ProgressBar::new(count).with_style(style("{bar:24} regions {pos}/{len}  {elapsed}")),
        );
        total.enable_steady_tick(Duration::from_millis(500));
        let line = |region: &Region| {
            let bar = ProgressBar::new_spinner().with_style(style("{spinner} {prefix}  {msg}"));
            let bar = all.add(bar).with_prefix(region.to_string());
            bar.enable_steady_tick(Duration::from_millis(120));
            let line = Line {
                bar,
                total: total.clone(),
                pages: Arc::default(),
                looks: Arc::default(),
            };
            (region.clone(), line)
        };
        let regions = regions.iter().map(line).collect();
        Self {
            total,
            regions,
            all,
        }
    }

    /// Returns the line of a region.
    pub(crate) fn of(&self, region: &Region) -> Line {
        let hidden = || Line {
            bar: ProgressBar::hidden(),
            total: ProgressBar::hidden(),
            pages: Arc::default(),
            looks: Arc::default(),
        };
        self.regions.get(region).cloned().unwrap_or_else(hidden)
    }

    /// Removes everything from the screen.
    pub(crate) fn finish(&self) {
        self.total.finish_and_clear();
        // Failing to clear is harmless: it is decoration.
        let _ = self.all.clear();
    }
}

impl Line {
    /// Records one call.
    pub(crate) fn record(&self, call: &Call) {
        if call.class.is_some() {
            return;
        }
        let counter = if call.operation == Operation::ListSecrets {
            &self.pages
        } else {
            &self.looks
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.bar.set_message(self.words());
    }

    /// Marks the region as done.
    pub(crate) fn done(&self) {
        self.bar.finish_and_clear();
        self.total.inc(1);
    }

    fn words(&self) -> String {
        let pages = self.pages.load(Ordering::Relaxed);
        let looks = self.looks.load(Ordering::Relaxed);
        format!("up to {} secrets listed, {looks} described", pages * PAGE)
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_descriptions_are_counted_separately() {
        let region = Region::parse("eu-west-1").expect("a region");
        let progress = Progress::new(std::slice::from_ref(&region));
        let line = progress.of(&region);
        let call = |operation, class| Call {
            operation,
            class,
            duration: Duration::ZERO,
            retries: 0,
        };
        line.record(&call(Operation::ListSecrets, None));
        line.record(&call(Operation::ListSecrets, None));
        line.record(&call(Operation::DescribeSecret, None));
        let failed = secret_rotation_core::aws_error::ErrorClass::Denied;
        line.record(&call(Operation::DescribeSecret, Some(failed)));
        assert_eq!(line.words(), "up to 200 secrets listed, 1 described");
    }
}
