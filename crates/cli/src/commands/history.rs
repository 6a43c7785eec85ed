//! `history`: lists operations that have ended, newest first.

use std::cmp::Reverse;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt as _;
use secret_rotation_api::conditions::{ConditionType, find};
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::time::Time;

use crate::CommandError;
use crate::app::App;
use crate::aws::SecretId;
use crate::ui::duration;
use crate::ui::manifest::{self, Format};
use crate::ui::output;
use crate::ui::style::{Severity, Style};
use crate::ui::table::{Cell, Table};

/// List operations that have ended, newest first.
#[derive(Args, Clone, Debug)]
pub struct HistoryArgs {
    /// List only operations on this secret: its name, or its ARN with or without its six-character suffix.
    #[arg(value_name = "SECRET", value_parser = SecretId::parse)]
    pub secret: Option<SecretId>,

    /// List only operations of this policy.
    #[arg(short, long, value_name = "POLICY")]
    pub policy: Option<String>,

    /// List operations of all namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,

    /// Output format: wide adds columns; json and yaml print the operations themselves.
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Prints operations that have ended.
pub(crate) async fn run(app: &App, args: &HistoryArgs) -> Result<ExitCode, CommandError> {
    let cluster = app.cluster().await?;
    let scope = cluster.scope(args.all_namespaces);
    let mut operations: Vec<SecretRotationOperation> = cluster.list(scope.as_deref()).await?;
    operations.retain(|operation| is_wanted(operation, args));
    operations.sort_by_key(|one| Reverse((end(one), one.name_any())));
    match args.output {
        Some(Format::Json) => output::print(&manifest::json(&operations, false)?)?,
        Some(Format::Yaml) => output::print(&manifest::yaml(&operations, false)?)?,
        Some(Format::Wide) | None if operations.is_empty() => {
            output::note("No operations have ended.");
        }
        format => {
            let wide = format == Some(Format::Wide);
            let table = table(&operations, wide, args.all_namespaces, cluster.now());
            output::print(&table.render(Style::of_stdout(false)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn is_wanted(operation: &SecretRotationOperation, args: &HistoryArgs) -> bool {
    let policy = &operation.spec.policy_ref.name;
    operation.succeeded().is_some()
        && args
            .secret
            .as_ref()
            .is_none_or(|secret| is_about(operation, secret))
        && args
            .policy
            .as_ref()
            .is_none_or(|wanted| policy.as_str() == wanted)
}

fn is_about(operation: &SecretRotationOperation, secret: &SecretId) -> bool {
    let status = operation.status.as_ref();
    let arn = operation.spec.secret.arn.as_deref();
    let arn = arn.or_else(|| status.and_then(|status| status.arn.as_deref()));
    operation
        .secret_and_region()
        .is_some_and(|(name, region)| secret.means(&name, &region, arn))
}

/// Returns when the operation ended, by AWS time or, if that is not recorded, by API server time.
fn end(operation: &SecretRotationOperation) -> Option<Timestamp> {
    let status = operation.status.as_ref()?;
    let written = status.completion_time.as_ref().and_then(Time::timestamp);
    let complete = find(&status.conditions, ConditionType::Complete);
    written.or_else(|| complete.map(|complete| complete.last_transition_time.0))
}

fn table(
    operations: &[SecretRotationOperation],
    wide: bool,
    namespaces: bool,
    now: Option<Timestamp>,
) -> Table {
    let mut titles = vec!["NAME", "ACTION", "SECRET", "RESULT", "BY", "TOOK"];
    if namespaces {
        titles.insert(0, "NAMESPACE");
    }
    if wide {
        titles.extend(["DECIDED-BY", "MESSAGE"]);
    }
    titles.push("AGE");
    let mut table = Table::new(&titles);
    for operation in operations {
        table.push(row(operation, wide, namespaces, now));
    }
    table
}

fn row(
    operation: &SecretRotationOperation,
    wide: bool,
    namespaces: bool,
    now: Option<Timestamp>,
) -> Vec<Cell> {
    let nothing = || "-".to_owned();
    let spec = &operation.spec;
    let severity = if operation.succeeded() == Some(true) {
        Severity::Good
    } else {
        Severity::Bad
    };
    let by = spec.requested_by.as_ref().map(ToString::to_string);
    let mut cells: Vec<Cell> = vec![
        operation.name_any().into(),
        spec.action.name().into(),
        operation
            .secret_and_region()
            .map_or_else(nothing, |(name, _)| name)
            .into(),
        Cell::colored(severity, operation.phase()),
        by.unwrap_or_else(|| format!("{:?}", spec.trigger)).into(),
        took(operation).unwrap_or_else(nothing).into(),
    ];
    if namespaces {
        cells.insert(0, operation.namespace().unwrap_or_default().into());
    }
    if wide {
        let decision = spec.decision.as_ref();
        cells.push(
            decision
                .map_or_else(nothing, |decision| decision.by.to_string())
                .into(),
        );
        cells.push(operation.message().into());
    }
    let end = end(operation).zip(now);
    cells.push(
        end.map_or_else(nothing, |(then, now)| duration::since(then, now))
            .into(),
    );
    cells
}

/// Returns the time from the first request to AWS to the end.
fn took(operation: &SecretRotationOperation) -> Option<String> {
    let start = operation
        .status
        .as_ref()?
        .start_time
        .as_ref()?
        .timestamp()?;
    Some(duration::length(end(operation)?.duration_since(start)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn an_ended_operation_is_listed_with_its_requester_and_its_duration() {
        let mut operations = testing::operations();
        let all = HistoryArgs {
            secret: None,
            policy: Some("payments".to_owned()),
            all_namespaces: false,
            output: None,
        };
        operations.retain(|operation| is_wanted(operation, &all));
        let plain = Style {
            unicode: true,
            color: false,
        };
        assert_eq!(
            table(&operations, false, false, testing::now()).render(plain),
            "NAME                 ACTION           SECRET         RESULT      BY       TOOK    AGE\n\
             payments-old0000000  ClearAndRotate   payments/old   Succeeded   Policy   6m30s   23h\n"
                .replace("payments-old0000000  ", "payments-old0000000   ")
                .replace("NAME                 ", "NAME                  ")
        );
    }
}
