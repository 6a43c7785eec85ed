//! Changes line by line, for pipes and logs: a time, what it is about, and what is so now.

use std::collections::BTreeMap;
use std::process::ExitCode;

use tokio::sync::mpsc;

use super::feed::{Feed, News, Scope};
use super::screen::first_look;
use crate::cluster::Cluster;
use crate::overview::{PolicyView, Row};
use crate::sheet::whole;
use crate::{Failure, output};

/// Room for news that nobody has looked at yet.
const BACKLOG: usize = 64;

/// What is so, by what it is about.
type Facts = BTreeMap<String, String>;

/// Prints a line for each change until nobody reads any more, or the process is ended.
pub(crate) async fn run(cluster: &Cluster, scope: Scope) -> Result<ExitCode, Failure> {
    first_look(cluster, &scope).await?;
    let (sender, mut news) = mpsc::channel(BACKLOG);
    let _feed = Feed::start(cluster, &scope, &sender);
    let (mut policies, mut operations) = (None, None);
    let (mut told, mut lost) = (Facts::new(), false);
    while let Some(news) = news.recv().await {
        let mut lines = Vec::new();
        match news {
            News::Policies(all) => policies = Some(all),
            News::Operations(all) => operations = Some(all),
            News::Lost(failure) if !lost => {
                lost = true;
                lines.push(format!("connection lost: {}", failure.sentence()));
            }
            News::Alive if lost => {
                lost = false;
                lines.push("connected again".to_owned());
            }
            News::Lost(_) | News::Alive => {}
        }
        if let (Some(policies), Some(operations)) = (&policies, &operations) {
            let now = facts(&PolicyView::all(policies, operations));
            lines.extend(changes(&told, &now));
            told = now;
        }
        let time = cluster.now().map_or_else(|| "-".to_owned(), whole);
        for line in lines {
            if !output::print_open(&format!("{time} {line}\n"))? {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is so of each policy and of each secret that it reports. Nothing in it moves with time alone.
fn facts(views: &[PolicyView]) -> Facts {
    let mut facts = Facts::new();
    for view in views {
        facts.insert(view.title(), of_policy(view));
        for row in &view.rows {
            let about = format!("{} {} in {}", view.title(), row.key.secret, row.key.region);
            facts.insert(about, of_secret(row));
        }
    }
    facts
}

fn of_policy(view: &PolicyView) -> String {
    let verdict = |kind| {
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
        verdict("Ready"),
        verdict("Healthy"),
        counts.join(", ")
    )
}

fn of_secret(row: &Row) -> String {
    let state = row.state.as_deref().unwrap_or("not reported");
    match row.doing.words(None) {
        Some(words) => format!("{state}; {words}"),
        None => state.to_owned(),
    }
}

/// A sentence for each fact that is new, different or gone.
fn changes(before: &Facts, now: &Facts) -> Vec<String> {
    let changed = now
        .iter()
        .filter(|(about, fact)| before.get(*about) != Some(fact))
        .map(|(about, fact)| format!("{about}: {fact}"));
    let gone = before
        .keys()
        .filter(|about| !now.contains_key(*about))
        .map(|about| format!("{about}: not reported any more"));
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_first_lines_tell_everything() {
        let now = facts(&PolicyView::all(
            &[testing::payments()],
            &testing::operations(),
        ));
        let expected = "\
team-payments/payments: Remediate; Ready=True Succeeded; Healthy=False RotationStuck; Healthy: 11, Rotating: 1, Stuck: 2, Overdue: 1
team-payments/payments payments/api-key in eu-west-1: not reported; Rotate: Verifying
team-payments/payments payments/batch in eu-west-1: Rotating
team-payments/payments payments/db/main in eu-west-1: Stuck; ClearAndRotate: Settling
team-payments/payments payments/ledger in eu-central-1: Overdue; ObserveOnly
team-payments/payments payments/ledger in eu-west-1: Stuck; OutsideWindow";
        assert_eq!(changes(&Facts::new(), &now).join("\n"), expected);
    }

    #[test]
    fn later_lines_tell_what_has_changed() {
        let before = facts(&PolicyView::all(
            &[testing::payments()],
            &testing::operations(),
        ));
        assert_eq!(changes(&before, &before), Vec::<String>::new());
        let now = facts(&PolicyView::all(&[testing::payments()], &[]));
        assert_eq!(
            changes(&before, &now),
            [
                "team-payments/payments payments/db/main in eu-west-1: Stuck",
                "team-payments/payments payments/api-key in eu-west-1: not reported any more",
            ]
        );
    }
}
