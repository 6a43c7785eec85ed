//! Changes line by line, for pipes and logs: a time, the subject, and its new state.

use std::collections::BTreeMap;
use std::process::ExitCode;

use jiff::Timestamp;
use secret_rotation_api::conditions::ConditionType;
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;
use tokio::sync::mpsc;

use super::connections::{Connections, Source};
use super::screen::read_policies;
use super::watch::{ClusterUpdate, Scope, Watches};
use crate::CommandError;
use crate::kubernetes::Cluster;
use crate::ui::document::whole_seconds;
use crate::ui::output;
use crate::view::policy::{PolicyView, Row};

/// The number of unprocessed updates.
const BACKLOG: usize = 64;

/// States by their subject.
type States = BTreeMap<String, String>;

/// Prints a line per change until standard output is closed or the process ends.
pub(crate) async fn run(cluster: &Cluster, scope: Scope) -> Result<ExitCode, CommandError> {
    read_policies(cluster, &scope).await?;
    let (sender, mut updates) = mpsc::channel(BACKLOG);
    let _watches = Watches::start(cluster, &scope, &sender);
    let mut log = ChangeLog::default();
    while let Some(one) = updates.recv().await {
        let now = cluster.now();
        let time = now.map_or_else(|| "-".to_owned(), whole_seconds);
        for line in log.take(one, now) {
            if !output::try_print(&format!("{time} {line}\n"))? {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is known, and what was printed.
#[derive(Debug, Default)]
struct ChangeLog {
    policies: Option<Vec<SecretRotationPolicy>>,
    operations: Option<Vec<SecretRotationOperation>>,
    connections: Connections,
    printed: States,
}

impl ChangeLog {
    /// Takes an update and returns a line per change. Returns nothing before both policies and operations are known.
    fn take(&mut self, change: ClusterUpdate, now: Option<Timestamp>) -> Vec<String> {
        let before = self.connections.clone();
        match change {
            ClusterUpdate::Policies(all) => {
                self.policies = Some(all);
                self.connections.found(Source::Policies);
            }
            ClusterUpdate::Operations(all) => {
                self.operations = Some(all);
                self.connections.found(Source::Operations);
            }
            ClusterUpdate::Alive => self.connections.found(Source::Server),
            ClusterUpdate::Lost(source, failure) => {
                self.connections.lost(source, now, failure.message());
            }
        }
        let mut lines = Vec::new();
        match (before.loss(), self.connections.loss()) {
            (None, Some(loss)) => lines.push(format!("connection lost: {}", loss.why)),
            (Some(_), None) => lines.push("connected again".to_owned()),
            (Some(_), Some(_)) | (None, None) => {}
        }
        if let (Some(policies), Some(operations)) = (&self.policies, &self.operations) {
            let states = states(&PolicyView::all(policies, operations));
            lines.extend(changes(&self.printed, &states));
            self.printed = states;
        }
        lines
    }
}

/// Returns the state of each policy and of each secret that it reports. It does not change with time alone.
fn states(views: &[PolicyView]) -> States {
    let mut states = States::new();
    for view in views {
        states.insert(view.title(), of_policy(view));
        for row in &view.rows {
            let about = format!("{} {} in {}", view.title(), row.key.secret, row.key.region);
            states.insert(about, of_secret(row));
        }
    }
    states
}

fn of_policy(view: &PolicyView) -> String {
    let condition = |kind| {
        let (status, reason) = view.condition(kind);
        format!("{kind}={status} {reason}").trim_end().to_owned()
    };
    let counts: Vec<_> = view
        .counts()
        .into_iter()
        .map(|(state, count)| format!("{state}: {count}"))
        .collect();
    format!(
        "{}; {}; {}; {}",
        view.mode(),
        condition(ConditionType::Ready),
        condition(ConditionType::Healthy),
        counts.join(", ")
    )
}

fn of_secret(row: &Row) -> String {
    let state = row.state.as_deref().unwrap_or("not reported");
    let unseen = row
        .unseen
        .map(|time| format!("; unseen since {}", whole_seconds(time)));
    let words = row.activity.summary(None).map(|words| format!("; {words}"));
    format!(
        "{state}{}{}",
        unseen.unwrap_or_default(),
        words.unwrap_or_default()
    )
}

/// Returns a line for each state that is new, changed or gone.
fn changes(before: &States, now: &States) -> Vec<String> {
    let changed = now
        .iter()
        .filter(|(about, state)| before.get(*about) != Some(state))
        .map(|(about, state)| format!("{about}: {state}"));
    let gone = before
        .keys()
        .filter(|about| !now.contains_key(*about))
        .map(|about| format!("{about}: no longer reported"));
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use secret_rotation_api::time::Time;
    use secret_rotation_core::time::AwsTime;

    use super::*;
    use crate::testing;

    #[test]
    fn the_first_lines_contain_everything() {
        let mut log = ChangeLog::default();
        let policies = ClusterUpdate::Policies(vec![testing::payments()]);
        assert_eq!(log.take(policies, None), Vec::<String>::new());
        let expected = "\
team-payments/payments: Remediate; Ready=True Succeeded; Healthy=False RotationStuck; Healthy: 11, Rotating: 1, Stuck: 2, Overdue: 1
team-payments/payments payments/api-key in eu-west-1: not reported; Rotate: Verifying
team-payments/payments payments/batch in eu-west-1: Rotating
team-payments/payments payments/db/main in eu-west-1: Stuck; ClearAndRotate: Settling
team-payments/payments payments/ledger in eu-central-1: Overdue; ObserveOnly
team-payments/payments payments/ledger in eu-west-1: Stuck; OutsideWindow";
        let lines = log.take(ClusterUpdate::Operations(testing::operations()), None);
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn an_unseen_secret_is_printed_with_an_absolute_time() {
        let mut unseen = testing::payments();
        let status = unseen.status.as_mut().expect("a status");
        status.findings[0].unseen_since = Some(Time::exact(AwsTime::new(
            "2026-11-23T08:00:00Z".parse().expect("a time"),
        )));
        let lines = states(&PolicyView::all(&[unseen], &[]));
        assert_eq!(
            lines["team-payments/payments payments/db/main in eu-west-1"],
            "Stuck; unseen since 2026-11-23T08:00:00Z"
        );
    }

    #[test]
    fn later_lines_contain_only_changes() {
        let mut log = ChangeLog::default();
        log.take(ClusterUpdate::Operations(testing::operations()), None);
        log.take(ClusterUpdate::Policies(vec![testing::payments()]), None);
        let again = log.take(ClusterUpdate::Policies(vec![testing::payments()]), None);
        assert_eq!(again, Vec::<String>::new());
        assert_eq!(
            log.take(ClusterUpdate::Operations(Vec::new()), None),
            [
                "team-payments/payments payments/db/main in eu-west-1: Stuck",
                "team-payments/payments payments/api-key in eu-west-1: no longer reported",
            ]
        );
    }

    #[test]
    fn a_lost_and_a_restored_connection_are_printed_once() {
        let mut log = ChangeLog::default();
        let lost = |source| ClusterUpdate::Lost(source, CommandError::new("no answer"));
        assert_eq!(
            log.take(lost(Source::Server), None),
            ["connection lost: no answer"]
        );
        assert_eq!(log.take(lost(Source::Policies), None), Vec::<String>::new());
        assert_eq!(log.take(ClusterUpdate::Alive, None), Vec::<String>::new());
        assert_eq!(
            log.take(ClusterUpdate::Policies(Vec::new()), None),
            ["connected again"]
        );
    }
}
