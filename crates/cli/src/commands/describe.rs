//! `describe`: shows everything known about a policy or an operation, and what to do.

use std::process::ExitCode;

use clap::Args;
use kube::ResourceExt;
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;

use crate::CommandError;
use crate::app::App;
use crate::kubernetes::{Cluster, Kind, similar_names};
use crate::ui::document::Document;
use crate::ui::output;
use crate::ui::style::Style;
use crate::view::Events;
use crate::view::operation_document;
use crate::view::policy::PolicyView;
use crate::view::policy_document;

/// Show everything known about a policy or an operation, and what to do.
#[derive(Args, Clone, Debug)]
pub struct DescribeArgs {
    /// Policy or operation; srp/NAME or sro/NAME if both have the name.
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Use only ASCII characters.
    #[arg(long)]
    pub ascii: bool,
}

/// Describes a policy, an operation, or both if both have the name.
pub(crate) async fn run(app: &App, args: &DescribeArgs) -> Result<ExitCode, CommandError> {
    let wanted = Wanted::parse(&args.name)?;
    let cluster = app.cluster().await?;
    let style = Style::of_stdout(args.ascii);
    let mut documents = Vec::new();
    // An approver may be allowed to read operations but not policies: what cannot be read must not hide the rest.
    let mut hidden = None;
    if wanted.policy {
        match cluster.find::<SecretRotationPolicy>(wanted.name).await {
            Ok(Some(policy)) => documents.push(of_policy(&cluster, &policy, style).await?),
            Ok(None) => {}
            Err(failure) if wanted.operation => hidden = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    if wanted.operation
        && let Some(operation) = cluster.find::<SecretRotationOperation>(wanted.name).await?
    {
        let events = events(&cluster, &operation).await;
        documents.push(operation_document::document(
            &operation,
            &events,
            style,
            cluster.now(),
        ));
    }
    if documents.is_empty() {
        return Err(match hidden {
            Some(failure) => failure,
            None => wanted.missing(&cluster).await,
        });
    }
    let texts: Vec<_> = documents
        .iter()
        .map(|document| document.render(style))
        .collect();
    output::print(&texts.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

async fn of_policy(
    cluster: &Cluster,
    policy: &SecretRotationPolicy,
    style: Style,
) -> Result<Document, CommandError> {
    let mut operations: Vec<SecretRotationOperation> =
        cluster.list(Some(cluster.namespace())).await?;
    operations.retain(|operation| operation.belongs_to(policy));
    let events = events(cluster, policy).await;
    let views = PolicyView::all(std::slice::from_ref(policy), &operations);
    let mut documents = views
        .iter()
        .map(|view| policy_document::document(view, &operations, &events, style, cluster.now()));
    Ok(documents.next_back().unwrap_or_default())
}

async fn events<K: Kind>(cluster: &Cluster, object: &K) -> Events {
    cluster
        .events(cluster.namespace(), &K::kind(&()), &object.name_any())
        .await
}

/// The NAME argument: a name, and which resources it can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted<'a> {
    name: &'a str,
    policy: bool,
    operation: bool,
}

impl<'a> Wanted<'a> {
    /// Parses the argument. A type is written as for kubectl: short, singular or plural, with or without the group.
    fn parse(text: &'a str) -> Result<Self, CommandError> {
        let Some((kind, name)) = text.split_once('/') else {
            return Ok(Self {
                name: text,
                policy: true,
                operation: true,
            });
        };
        let kind = kind.split('.').next().unwrap_or_default();
        let policy = ["srp", "secretrotationpolicy", "secretrotationpolicies"];
        let operation = ["sro", "secretrotationoperation", "secretrotationoperations"];
        let wanted = Self {
            name,
            policy: policy.contains(&kind),
            operation: operation.contains(&kind),
        };
        if wanted.policy || wanted.operation {
            return Ok(wanted);
        }
        Err(
            CommandError::new(format!("{kind} is neither a policy nor an operation"))
                .with_hint("write srp/NAME for a policy, sro/NAME for an operation"),
        )
    }

    async fn missing(&self, cluster: &Cluster) -> CommandError {
        if !self.operation {
            return cluster.missing::<SecretRotationPolicy>(self.name).await;
        }
        if !self.policy {
            return cluster.missing::<SecretRotationOperation>(self.name).await;
        }
        let scope = Some(cluster.namespace());
        let policies: Vec<SecretRotationPolicy> = cluster.list(scope).await.unwrap_or_default();
        let operations: Vec<SecretRotationOperation> =
            cluster.list(scope).await.unwrap_or_default();
        let names = policies.iter().map(ResourceExt::name_any);
        let names: Vec<_> = names
            .chain(operations.iter().map(ResourceExt::name_any))
            .collect();
        let what = format!(
            "neither a policy nor an operation is named {} in namespace {}",
            self.name,
            cluster.namespace()
        );
        CommandError::new(what).with_hint(similar_names(self.name, &names).map_or_else(
            || "it has none of either; select another namespace with -n".to_owned(),
            |names| format!("existing names: {names}"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_for_kubectl() {
        let both = Wanted {
            name: "a",
            policy: true,
            operation: true,
        };
        let policy = Wanted {
            operation: false,
            ..both
        };
        let operation = Wanted {
            policy: false,
            ..both
        };
        for (text, wanted) in [
            ("a", both),
            ("srp/a", policy),
            ("secretrotationpolicy.secretrotation.dev/a", policy),
            ("sro/a", operation),
            ("secretrotationoperations/a", operation),
        ] {
            assert_eq!(Wanted::parse(text), Ok(wanted), "{text}");
        }
        assert!(Wanted::parse("pod/a").is_err());
    }
}
