//! One family of metrics: its description, and everything that is derived from it.

use std::fmt::Debug;
use std::ops::Deref;

use prometheus::core::Collector;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::leader_only::{ExportedByLeader, LeaderOnly};

/// The description of a family: one row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    /// The whole name.
    pub name: &'static str,
    /// What the values mean, for people.
    pub help: &'static str,
    /// The labels, in the order in which values are given. Those of a policy start with
    /// `policy_namespace` and `policy`.
    pub labels: &'static [Label],
    /// When its first series appear.
    pub series: InitialSeries,
    /// Which replicas export it.
    pub exporter: Exporter,
    /// How stable it is for its users.
    pub stability: Stability,
    /// The upper bounds of a histogram.
    pub buckets: &'static [f64],
}

/// A label, and its values if they are known in advance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    pub name: &'static str,
    values: fn() -> Vec<&'static str>,
}

/// When the series of a family appear. A series that appears with its first event hides that event from `increase()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InitialSeries {
    /// At 0, from the start of the process: all labels are closed.
    FromStart,
    /// At 0, from the time at which their policy is known: all labels but those of the policy are closed.
    WithPolicy,
    /// With the first value.
    WithFirstValue,
}

/// Which replicas export a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exporter {
    /// Every replica reports its own values.
    EveryReplica,
    /// Only the replica that holds the lease reports it.
    Leader,
}

/// How stable a family is for its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stability {
    /// Its name, type and labels change only with the major version.
    Stable,
    /// It shows internals and may change with any version; the changelog describes the change.
    Alpha,
}

impl Label {
    /// Creates a label whose values are not known in advance.
    pub(super) const fn open(name: &'static str) -> Self {
        Self {
            name,
            values: Vec::new,
        }
    }

    /// Creates a label with a closed set of values.
    pub(super) const fn closed(name: &'static str, values: fn() -> Vec<&'static str>) -> Self {
        Self { name, values }
    }
}

impl Family {
    /// Returns the labels besides those of the policy; `None` if the family is not about policies.
    fn labels_within_policy(&self) -> Option<&'static [Label]> {
        match self.labels {
            [namespace, policy, rest @ ..]
                if (namespace.name, policy.name) == ("policy_namespace", "policy") =>
            {
                Some(rest)
            }
            _ => None,
        }
    }

    fn label_names(&self) -> Vec<&'static str> {
        self.labels.iter().map(|label| label.name).collect()
    }
}

/// Returns every combination of the values of these labels: none if one of them is open.
fn combinations(labels: &[Label]) -> Vec<Vec<&'static str>> {
    labels.iter().fold(vec![Vec::new()], |rows, label| {
        let values = (label.values)();
        rows.iter()
            .flat_map(|row| {
                values
                    .iter()
                    .map(|value| [row.as_slice(), &[*value]].concat())
            })
            .collect()
    })
}

/// The three types of families.
pub(super) trait Vector: Collector + Clone + Debug + 'static {
    /// The type, as the text format names it.
    const KIND: &'static str;

    /// Creates a vector without series.
    fn new(family: &Family) -> prometheus::Result<Self>;

    /// Creates a series at 0.
    fn start(&self, values: &[&str]);

    /// Removes a series if it exists.
    fn remove(&self, values: &[&str]);
}

impl Vector for IntCounterVec {
    const KIND: &'static str = "counter";

    fn new(family: &Family) -> prometheus::Result<Self> {
        Self::new(Opts::new(family.name, family.help), &family.label_names())
    }

    fn start(&self, values: &[&str]) {
        self.with_label_values(values).inc_by(0);
    }

    fn remove(&self, values: &[&str]) {
        let _ = self.remove_label_values(values);
    }
}

impl Vector for GaugeVec {
    const KIND: &'static str = "gauge";

    fn new(family: &Family) -> prometheus::Result<Self> {
        Self::new(Opts::new(family.name, family.help), &family.label_names())
    }

    fn start(&self, values: &[&str]) {
        self.with_label_values(values).set(0.0);
    }

    fn remove(&self, values: &[&str]) {
        let _ = self.remove_label_values(values);
    }
}

impl Vector for HistogramVec {
    const KIND: &'static str = "histogram";

    fn new(family: &Family) -> prometheus::Result<Self> {
        let options = HistogramOpts::new(family.name, family.help);
        let options = options.buckets(family.buckets.to_vec());
        Self::new(options, &family.label_names())
    }

    fn start(&self, values: &[&str]) {
        drop(self.with_label_values(values));
    }

    fn remove(&self, values: &[&str]) {
        let _ = self.remove_label_values(values);
    }
}

/// A family with its series.
#[derive(Clone, Debug)]
pub(super) struct Metric<V> {
    family: Family,
    vector: V,
}

impl<V: Vector> Metric<V> {
    pub(super) fn new(family: Family) -> prometheus::Result<Self> {
        let vector = V::new(&family)?;
        Ok(Self { family, vector })
    }
}

impl<V> Deref for Metric<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.vector
    }
}

/// The operations of a metric that do not depend on its type.
pub(super) trait AnyMetric {
    /// Returns the description.
    fn family(&self) -> &Family;

    /// Returns the type, as the text format names it.
    fn kind(&self) -> &'static str;

    /// Returns the series.
    fn collector(&self) -> &dyn Collector;

    /// Registers the metric, for the replicas that export it.
    fn register(&self, registry: &Registry, leader_only: &LeaderOnly) -> prometheus::Result<()>;

    /// Creates the series that exist from the start of the process.
    fn start(&self);

    /// Creates the series that exist with a policy.
    fn start_policy(&self, policy: [&str; 2]);

    /// Removes all series of a policy.
    fn forget_policy(&self, policy: [&str; 2]);
}

impl<V: Vector> AnyMetric for Metric<V> {
    fn family(&self) -> &Family {
        &self.family
    }

    fn kind(&self) -> &'static str {
        V::KIND
    }

    fn collector(&self) -> &dyn Collector {
        &self.vector
    }

    fn register(&self, registry: &Registry, leader_only: &LeaderOnly) -> prometheus::Result<()> {
        let inner = self.vector.clone();
        registry.register(match self.family.exporter {
            Exporter::EveryReplica => Box::new(inner),
            Exporter::Leader => Box::new(ExportedByLeader {
                leader_only: leader_only.clone(),
                inner,
            }),
        })
    }

    fn start(&self) {
        if self.family.series == InitialSeries::FromStart {
            for values in combinations(self.family.labels) {
                self.vector.start(&values);
            }
        }
    }

    fn start_policy(&self, policy: [&str; 2]) {
        let within = self.family.labels_within_policy();
        let starts = |_: &&[Label]| self.family.series == InitialSeries::WithPolicy;
        for values in combinations_within(policy, within.filter(starts)) {
            self.vector.start(&values);
        }
    }

    fn forget_policy(&self, policy: [&str; 2]) {
        for values in combinations_within(policy, self.family.labels_within_policy()) {
            self.vector.remove(&values);
        }
    }
}

fn combinations_within<'a>(policy: [&'a str; 2], labels: Option<&[Label]>) -> Vec<Vec<&'a str>> {
    let rows = labels.map(combinations).unwrap_or_default();
    let whole = |row: Vec<&'static str>| policy.into_iter().chain(row).collect();
    rows.into_iter().map(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_exist_for_each_combination_of_closed_labels() {
        let letter = Label::closed("letter", || vec!["a", "b"]);
        let digit = Label::closed("digit", || vec!["1", "2"]);
        let all = [["a", "1"], ["a", "2"], ["b", "1"], ["b", "2"]];
        assert_eq!(combinations(&[letter, digit]), all.map(Vec::from));
        assert_eq!(
            combinations(&[letter, Label::open("name")]),
            Vec::<Vec<&str>>::new()
        );
        assert_eq!(combinations(&[]), [Vec::<&str>::new()]);
    }
}
