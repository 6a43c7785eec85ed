//! `status`: shows policies and their secrets, once or live.

mod exit_code;
mod tree;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Args;
use kube::ResourceExt as _;
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;

use crate::CommandError;
use crate::app::App;
use crate::kubernetes::Cluster;
use crate::live;
use crate::ui::manifest::{self, Format};
use crate::ui::output;
use crate::ui::style::Style;
use crate::view::policy::PolicyView;

/// Show policies and their secrets; live with --watch.
#[derive(Args, Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub struct StatusArgs {
    /// Policy to show; by default all of the namespace.
    #[arg(value_name = "POLICY")]
    pub name: Option<String>,

    /// Show policies of all namespaces.
    #[arg(short = 'A', long, conflicts_with = "name")]
    pub all_namespaces: bool,

    /// Show changes until interrupted: a live view on a terminal, else a line per change.
    #[arg(short, long, conflicts_with_all = ["output", "exit_code"])]
    pub watch: bool,

    /// Output format: wide adds columns; json and yaml print the policies themselves.
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,

    /// Exit with 0 if everything is healthy, 1 if something is not, 3 if the state is unknown.
    #[arg(long)]
    pub exit_code: bool,

    /// Use only ASCII characters.
    #[arg(long)]
    pub ascii: bool,
}

/// Shows policies and their secrets.
pub(crate) async fn run(app: &App, args: &StatusArgs) -> Result<ExitCode, CommandError> {
    match show(app, args).await {
        // With --exit-code, 1 means that something is unhealthy.
        Err(failure) if args.exit_code => Err(failure.with_exit_code(exit_code::CANNOT_TELL)),
        outcome => outcome,
    }
}

async fn show(app: &App, args: &StatusArgs) -> Result<ExitCode, CommandError> {
    let cluster = app.cluster().await?;
    let style = Style::of_stdout(args.ascii);
    if args.watch {
        let scope = live::Scope {
            namespace: cluster.scope(args.all_namespaces),
            name: args.name.clone(),
        };
        return if io::stdout().is_terminal() {
            live::screen(&cluster, scope, style).await
        } else {
            live::plain(&cluster, scope).await
        };
    }
    let policies = policies(&cluster, args).await?;
    match args.output {
        Some(Format::Json) => output::print(&manifest::json(&policies, args.name.is_some())?)?,
        Some(Format::Yaml) => output::print(&manifest::yaml(&policies, args.name.is_some())?)?,
        Some(Format::Wide) | None => print_tree(&cluster, &policies, args, style).await?,
    }
    let code = if args.exit_code {
        exit_code::of(&policies)
    } else {
        0
    };
    Ok(ExitCode::from(code))
}

async fn policies(
    cluster: &Cluster,
    args: &StatusArgs,
) -> Result<Vec<SecretRotationPolicy>, CommandError> {
    if let Some(name) = &args.name {
        return Ok(vec![cluster.get(name).await?]);
    }
    let scope = cluster.scope(args.all_namespaces);
    let mut policies: Vec<SecretRotationPolicy> = cluster.list(scope.as_deref()).await?;
    policies.sort_by_key(|policy| (policy.namespace(), policy.name_any()));
    Ok(policies)
}

async fn print_tree(
    cluster: &Cluster,
    policies: &[SecretRotationPolicy],
    args: &StatusArgs,
    style: Style,
) -> Result<(), CommandError> {
    if policies.is_empty() {
        // Like kubectl: nothing on standard output, and no error.
        output::note(&none_found(cluster.scope(args.all_namespaces).as_deref()));
        return Ok(());
    }
    let scope = cluster.scope(args.all_namespaces);
    let operations: Vec<SecretRotationOperation> = cluster.list(scope.as_deref()).await?;
    let views = PolicyView::all(policies, &operations);
    let wide = args.output == Some(Format::Wide);
    output::print(&tree::render(&views, wide, style, cluster.now()))
}

/// Describes that a namespace, or the cluster, has no policies.
fn none_found(namespace: Option<&str>) -> String {
    namespace.map_or_else(
        || "No policies found.".to_owned(),
        |namespace| {
            format!("No policies found in namespace {namespace}; use -A for all namespaces.")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_without_policies_is_reported_with_the_flag_for_all_namespaces() {
        assert_eq!(
            none_found(Some("default")),
            "No policies found in namespace default; use -A for all namespaces."
        );
        assert_eq!(none_found(None), "No policies found.");
    }
}
