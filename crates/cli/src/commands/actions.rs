//! Manual operations: what `rotate`, `clear`, `promote`, `undo`, `revert`, `restore` and `release` share.
//!
//! Each of them prints what will happen and what it expects, then creates an operation. The controller decides whether
//! the operation may run and whether the expectations still hold.

mod args;
mod follow;
mod preconditions;
mod preview;
mod target;

use std::process::ExitCode;

use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use secret_rotation_api::approval::Approval;
use secret_rotation_api::duration::BoundedDuration;
use secret_rotation_api::operation::{
    Action, PolicyReference, SecretReference, SecretRotationOperation, SecretRotationOperationSpec,
    Trigger,
};
use secret_rotation_api::policy::SecretRotationPolicy;
use uuid::Uuid;

use crate::CommandError;
use crate::app::App;
use crate::kubernetes::{Cluster, type_and_name};
use crate::ui::manifest;
use crate::ui::output;

pub(crate) use self::args::ActionArgs;
use self::args::DryRun;
use self::target::Target;

/// The namespace of the UUIDs at the end of the names of manual operations.
const NAME_NAMESPACE: Uuid = Uuid::from_u128(0x6d1f_0c52_9ab3_5e70_8f44_1c26_d7e9_3b08);

/// Equal operations that have ended, at most, before a name is used again.
const MAX_EQUAL_OPERATIONS: usize = 1_000;

/// Creates an operation, and with `--wait` follows it to its end.
///
/// # Errors
///
/// Returns an error if the secret, its policy or its versions are unknown, if the API server refuses the operation, or
/// if the operation fails.
pub(super) async fn request(
    app: &App,
    args: &ActionArgs,
    action: Action,
    confirm_after: Option<&str>,
) -> Result<ExitCode, CommandError> {
    let cluster = app.cluster().await?;
    let policies: Vec<SecretRotationPolicy> = cluster.list(Some(cluster.namespace())).await?;
    let operations: Vec<SecretRotationOperation> = cluster.list(Some(cluster.namespace())).await?;
    let target = target::find(&cluster, args, &policies).await?;
    preview::reject_mismatch(action, &target)?;
    let expect = preconditions::gather(action, args, &target, &operations).await?;
    let user = cluster.whoami().await?;
    let spec = SecretRotationOperationSpec {
        policy_ref: PolicyReference {
            name: target.policy.name_any().into(),
            uid: target.policy.uid().map(Into::into),
        },
        secret: SecretReference {
            name: Some(target.secret.clone().into()),
            region: Some(target.region.clone().into()),
            arn: None,
        },
        action,
        expect: Some(expect),
        reason: args
            .reason
            .clone()
            .unwrap_or_else(|| format!("requested by {user} on the command line"))
            .into(),
        trigger: Trigger::Manual,
        approval: Approval::default(),
        requested_by: Some(user.into()),
        deadline: BoundedDuration::default(),
        ttl_after_finished: BoundedDuration::default(),
        decision: None,
        confirm_after: confirm_after.map_or_else(BoundedDuration::default, Into::into),
    };
    output::note(&preview::describe(&target, &spec));
    let operation = build(&cluster, &target, spec, &operations);
    create(&cluster, operation, args, &operations).await
}

/// Builds the operation, with the first name that no ended operation has.
fn build(
    cluster: &Cluster,
    target: &Target,
    spec: SecretRotationOperationSpec,
    operations: &[SecretRotationOperation],
) -> SecretRotationOperation {
    let ended = |name: &str| {
        let known = operations.iter().find(|one| one.name_any() == name);
        known.is_some_and(SecretRotationOperation::is_finished)
    };
    let names = (1..=MAX_EQUAL_OPERATIONS).map(|number| name(target, &spec, number));
    let mut names = names.skip_while(|name| ended(name));
    let name = names.next().unwrap_or_else(|| name(target, &spec, 0));
    SecretRotationOperation {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(cluster.namespace().to_owned()),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    }
}

/// Returns `<policy>-manual-<8 digits>`. Equal requests get equal names, and so the same operation.
fn name(target: &Target, spec: &SecretRotationOperationSpec, number: usize) -> String {
    let what = format!(
        "{}/{}/{}/{:?}/{:?}/{number}",
        target.policy.uid().unwrap_or_default(),
        target.region,
        target.secret,
        spec.action,
        spec.expect,
    );
    let digits = Uuid::new_v5(&NAME_NAMESPACE, what.as_bytes())
        .simple()
        .to_string();
    let digits = digits.get(..8).unwrap_or_default();
    format!("{}-manual-{digits}", target.policy.name_any())
}

async fn create(
    cluster: &Cluster,
    operation: SecretRotationOperation,
    args: &ActionArgs,
    operations: &[SecretRotationOperation],
) -> Result<ExitCode, CommandError> {
    let name = operation.name_any();
    let title = type_and_name::<SecretRotationOperation>(&name);
    if args.dry_run == Some(DryRun::Client) {
        output::print(&manifest::yaml(&[operation], true)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let server = args.dry_run == Some(DryRun::Server);
    let exists = operations.iter().any(|one| one.name_any() == name);
    // An operation created since the list was read is the same request too: its name is derived from the request.
    let created = !exists && cluster.create(&operation, server).await?.is_some();
    let verb = match (created, server) {
        (true, true) => "created (server dry run)",
        (true, false) => "created",
        (false, _) => "unchanged, it is in progress already",
    };
    output::print(&format!("{title} {verb}\n"))?;
    if !created && args.reason.is_some() {
        output::note("warning: the operation keeps its first reason; this one is not recorded");
    }
    if server || !args.wait.wait {
        return Ok(ExitCode::SUCCESS);
    }
    follow::run(cluster, &name, args.wait.timeout).await
}
