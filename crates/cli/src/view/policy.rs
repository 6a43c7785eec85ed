//! Policies with their operations: one row per secret that a policy reports or that an operation is working on.
//!
//! A status counts healthy secrets and does not list them, and so does this view.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use secret_rotation_api::conditions::{ConditionStatus, ConditionType, find};
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::{FindingStatus, SecretRotationPolicy, Summary, SuspendedBy};
use secret_rotation_api::time::Time;

use crate::ui::duration;
use crate::ui::style::{Severity, Style};

/// A policy and the secrets that it reports.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PolicyView {
    pub(crate) policy: SecretRotationPolicy,
    /// Reported secrets in the order of the policy, worst first, then others with an operation in progress.
    pub(crate) rows: Vec<Row>,
}

/// One secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The secret and its policy.
    pub(crate) key: Key,
    /// Its state; `None` if it is not among the findings.
    pub(crate) state: Option<String>,
    /// The time since which it is in this state.
    pub(crate) since: Option<Timestamp>,
    /// The time since which it could not be read: everything else is as of then.
    pub(crate) unseen: Option<Timestamp>,
    /// The message of the finding.
    pub(crate) message: String,
    /// The version with AWSCURRENT.
    pub(crate) current: Option<String>,
    /// The version of the unfinished rotation.
    pub(crate) pending: Option<String>,
    /// Attempts within `attemptWindow`.
    pub(crate) attempts: Option<i64>,
    /// What is being done about it.
    pub(crate) activity: Activity,
}

/// A secret and the policy that reports it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) policy: String,
    pub(crate) secret: String,
    pub(crate) region: String,
}

/// What is being done about a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// An operation is in progress.
    Operation {
        name: String,
        action: &'static str,
        phase: String,
        next: Option<Timestamp>,
    },
    /// Nothing, for this reason.
    Blocked {
        reason: String,
        until: Option<Timestamp>,
    },
    /// The next attempt is due at this time.
    Due(Timestamp),
    /// Nothing is reported.
    Nothing,
}

impl PolicyView {
    /// Returns all policies sorted by name, each with its rows.
    pub(crate) fn all(
        policies: &[SecretRotationPolicy],
        operations: &[SecretRotationOperation],
    ) -> Vec<Self> {
        let mut views: Vec<_> = policies
            .iter()
            .map(|policy| Self::of(policy, operations))
            .collect();
        views.sort_by_key(|view| (view.namespace(), view.policy.name_any()));
        views
    }

    fn of(policy: &SecretRotationPolicy, operations: &[SecretRotationOperation]) -> Self {
        let own: Vec<_> = operations
            .iter()
            .filter(|operation| !operation.is_finished() && operation.belongs_to(policy))
            .collect();
        let findings = policy.status.iter().flat_map(|status| &status.findings);
        let mut rows: Vec<_> = findings
            .map(|finding| Row::of_finding(policy, finding, &own))
            .collect();
        let listed: BTreeSet<_> = rows.iter().map(|row| row.key.clone()).collect();
        let others = own.iter().filter_map(|operation| {
            let row = Row::of_operation(policy, operation)?;
            (!listed.contains(&row.key)).then_some(row)
        });
        rows.extend(others);
        Self {
            policy: policy.clone(),
            rows,
        }
    }

    /// Returns its namespace.
    pub(crate) fn namespace(&self) -> String {
        self.policy.namespace().unwrap_or_default()
    }

    /// Returns namespace and name.
    pub(crate) fn title(&self) -> String {
        format!("{}/{}", self.namespace(), self.policy.name_any())
    }

    /// Returns its mode, and whether it is suspended.
    pub(crate) fn mode(&self) -> String {
        let mode = self.policy.spec.mode;
        match self.policy.suspended_by() {
            Some(SuspendedBy::Policy) => format!("{mode:?} (suspended)"),
            Some(SuspendedBy::Profile) => format!("{mode:?} (profile suspended)"),
            None => format!("{mode:?}"),
        }
    }

    /// Returns status and reason of a condition; [`ConditionStatus::Unknown`] before the first check.
    pub(crate) fn condition(&self, kind: ConditionType) -> (ConditionStatus, String) {
        let conditions = self.policy.status.as_ref().map(|status| &status.conditions);
        conditions
            .and_then(|conditions| find(conditions, kind))
            .map_or_else(
                || (ConditionStatus::Unknown, String::new()),
                |found| (status_of(found), found.reason.clone()),
            )
    }

    /// Returns the number of selected secrets, if it is known.
    pub(crate) fn selected(&self) -> Option<i64> {
        let summary = self.policy.status.as_ref()?.summary.as_ref()?;
        Some(summary.selected.value())
    }

    /// Returns the numbers of secrets by state, healthy first, without zeros.
    pub(crate) fn counts(&self) -> Vec<(&'static str, i64)> {
        let summary = self
            .policy
            .status
            .as_ref()
            .and_then(|status| status.summary.as_ref());
        summary.map(counts).unwrap_or_default()
    }

    /// Returns the time of the last check.
    pub(crate) fn checked(&self) -> Option<Timestamp> {
        self.policy
            .status
            .as_ref()?
            .last_check_time
            .as_ref()?
            .timestamp()
    }

    /// Returns the number of unhealthy secrets that the status does not list.
    pub(crate) fn omitted(&self) -> i64 {
        let status = self.policy.status.as_ref();
        status
            .and_then(|status| status.findings_omitted)
            .map_or(0, secret_rotation_api::count::Count::value)
    }

    /// Returns whether several rows have this name, so that the region must be shown.
    pub(crate) fn is_ambiguous(&self, secret: &str) -> bool {
        self.rows
            .iter()
            .filter(|row| row.key.secret == secret)
            .count()
            > 1
    }
}

fn counts(summary: &Summary) -> Vec<(&'static str, i64)> {
    [
        ("Healthy", summary.healthy),
        ("Rotating", summary.rotating),
        ("Stuck", summary.stuck),
        ("Broken", summary.broken),
        ("Expiring", summary.expiring),
        ("Overdue", summary.overdue),
        ("TooOld", summary.too_old),
        ("ScheduledForDeletion", summary.scheduled_for_deletion),
        ("NotFound", summary.not_found),
        ("Disabled", summary.disabled),
        ("Unknown", summary.unknown),
        ("Ineligible", summary.ineligible),
    ]
    .into_iter()
    .map(|(state, count)| (state, count.value()))
    .filter(|(_, count)| *count > 0)
    .collect()
}

/// Returns the status of a condition. A status that Kubernetes does not define counts as unknown.
pub(crate) fn status_of(condition: &Condition) -> ConditionStatus {
    ConditionStatus::parse(&condition.status).unwrap_or(ConditionStatus::Unknown)
}

/// Returns the number of secrets in each state with a symbol, such as `✖ 1 stuck`.
pub(crate) fn state_counts(view: &PolicyView, style: Style) -> Vec<(Severity, String)> {
    let counts = view.counts().into_iter().map(|(state, count)| {
        let severity = Severity::of_state(state);
        (
            severity,
            format!("{} {count} {}", style.symbol(severity), words(state)),
        )
    });
    counts.collect()
}

/// Converts `ScheduledForDeletion` to `scheduled for deletion`.
fn words(state: &str) -> String {
    let mut words = String::new();
    for letter in state.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

impl Row {
    fn of_finding(
        policy: &SecretRotationPolicy,
        finding: &FindingStatus,
        operations: &[&SecretRotationOperation],
    ) -> Self {
        let text = |text: &Option<_>| text.as_ref().map(ToString::to_string);
        Self {
            key: Key {
                namespace: policy.namespace().unwrap_or_default(),
                policy: policy.name_any(),
                secret: finding.name.to_string(),
                region: finding.region.to_string(),
            },
            state: Some(finding.state.to_string()),
            since: finding.since.as_ref().and_then(Time::timestamp),
            unseen: finding.unseen_since.as_ref().and_then(Time::timestamp),
            message: finding.message.to_string(),
            current: text(&finding.current_version_id),
            pending: text(&finding.pending_version_id),
            attempts: finding
                .attempts
                .map(secret_rotation_api::count::Count::value),
            activity: Activity::about(finding, operations),
        }
    }

    /// Returns the row of a secret with an operation but without a finding.
    fn of_operation(
        policy: &SecretRotationPolicy,
        operation: &SecretRotationOperation,
    ) -> Option<Self> {
        let (secret, region) = operation.secret_and_region()?;
        Some(Self {
            key: Key {
                namespace: policy.namespace().unwrap_or_default(),
                policy: policy.name_any(),
                secret,
                region,
            },
            state: None,
            since: None,
            unseen: None,
            message: String::new(),
            current: None,
            pending: None,
            attempts: None,
            activity: Activity::by(operation),
        })
    }

    /// Returns its state, and for how long it could not be confirmed, such as `Stuck (unseen 120m)`.
    pub(crate) fn state_text(&self, now: Option<Timestamp>) -> Option<String> {
        let state = self.state.clone()?;
        let Some(unseen) = self.unseen else {
            return Some(state);
        };
        let age = now.map_or_else(String::new, |now| {
            format!(" {}", duration::since(unseen, now))
        });
        Some(format!("{state} (unseen{age})"))
    }
}

impl Activity {
    fn about(finding: &FindingStatus, operations: &[&SecretRotationOperation]) -> Self {
        let key = (finding.name.to_string(), finding.region.to_string());
        let named = finding.operation.as_deref();
        let at_work = operations
            .iter()
            .find(|operation| Some(operation.name_any().as_str()) == named)
            .or_else(|| {
                operations
                    .iter()
                    .find(|one| one.secret_and_region().as_ref() == Some(&key))
            });
        let until = finding.next_attempt_time.as_ref().and_then(Time::timestamp);
        match (at_work, &finding.blocked_by, until) {
            (Some(operation), _, _) => Self::by(operation),
            (None, Some(reason), until) => Self::Blocked {
                reason: reason.to_string(),
                until,
            },
            (None, None, Some(until)) => Self::Due(until),
            (None, None, None) => Self::Nothing,
        }
    }

    fn by(operation: &SecretRotationOperation) -> Self {
        let next = operation
            .status
            .as_ref()
            .and_then(|status| status.next_step_time.as_ref());
        Self::Operation {
            name: operation.name_any(),
            action: operation.spec.action.name(),
            phase: operation.phase().to_owned(),
            next: next.and_then(Time::timestamp),
        }
    }

    /// Returns the phase of the operation or the reason why nothing is done, which `explain` explains.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Operation { phase, .. } => Some(phase),
            Self::Blocked { reason, .. } => Some(reason),
            Self::Due(_) | Self::Nothing => None,
        }
    }

    /// Formats it in a few words.
    pub(crate) fn summary(&self, now: Option<Timestamp>) -> Option<String> {
        let wait = |then: &Option<Timestamp>| {
            let wait = then
                .zip(now)
                .and_then(|(then, now)| duration::until(then, now));
            wait.map_or_else(String::new, |wait| format!(", next in {wait}"))
        };
        match self {
            Self::Operation {
                action,
                phase,
                next,
                ..
            } => Some(format!("{action}: {phase}{}", wait(next))),
            Self::Blocked { reason, until } => Some(format!("{reason}{}", wait(until))),
            Self::Due(then) => {
                let wait = now.and_then(|now| duration::until(*then, now));
                Some(wait.map_or_else(|| "due".to_owned(), |wait| format!("due in {wait}")))
            }
            Self::Nothing => None,
        }
    }
}
