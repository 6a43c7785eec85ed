//! Secrets that are not like others: managed by a service, managed external, replicas.

use aws_sdk_secretsmanager::types::{RotationRulesType, StatusType};

use super::account::{Account, PENDING, PREVIOUS, TOKEN, idle, labels, refusal, stuck_valued};

fn managed() -> Account {
    Account::with("generate: [{count: 1, name: app, state: managed}]")
}

/// User Guide, service-linked-secrets and rotate-secrets_managed: the service is named, there is no function.
#[tokio::test]
async fn a_managed_secret_names_its_service_and_has_no_function() {
    let described = managed().describe("app").await;
    assert_eq!(
        (described.owning_service(), described.rotation_lambda_arn()),
        (Some("rds"), None)
    );
    assert_eq!(described.rotation_enabled, Some(true));
}

/// PCS User Guide and RDS User Guide: RotateSecret rotates a managed secret at once, without a function.
#[tokio::test]
async fn a_managed_secret_rotates_without_a_function() {
    let account = managed();
    let rotate = account.rotate();
    rotate.client_request_token(TOKEN).send().await.unwrap();
    account.simulator.jump(60.0);
    assert_eq!(
        account.labels("app").await[TOKEN],
        labels([("", "AWSCURRENT")])[""]
    );
}

/// User Guide, rotate-secrets_managed: its schedule can be changed; floci pull request 2378: a function is rejected.
#[tokio::test]
async fn a_managed_secret_takes_rules_and_no_function() {
    let account = managed();
    let rules = RotationRulesType::builder()
        .automatically_after_days(3)
        .build();
    let rotate = account.rotate().rotation_rules(rules);
    rotate.rotate_immediately(false).send().await.unwrap();
    let days = account
        .describe("app")
        .await
        .rotation_rules
        .unwrap()
        .automatically_after_days;
    assert_eq!(days, Some(3));
    let function = "arn:aws:lambda:eu-west-1:111122223333:function:mine";
    let rotate = account.rotate().rotation_lambda_arn(function);
    assert_eq!(refusal(rotate.send().await).status, 400);
    assert_eq!(account.describe("app").await.rotation_lambda_arn, None);
}

/// User Guide, rotate-secrets_managed: the service rotates its secrets by their schedule.
#[tokio::test]
async fn a_managed_secret_rotates_by_its_schedule() {
    let account = managed();
    let before = account.describe("app").await.last_rotated_date.unwrap();
    account.simulator.jump(20.0 * 86_400.0);
    assert!(account.describe("app").await.last_rotated_date.unwrap() > before);
}

/// User Guide, managed-external-secrets: the type says what it is.
#[tokio::test]
async fn a_managed_external_secret_has_a_type() {
    let account = Account::with("secrets: [{name: app, type: SalesforceClientSecret}]");
    assert_eq!(
        account.describe("app").await.r#type(),
        Some("SalesforceClientSecret")
    );
}

/// User Guide, standalone-secret: a replica names its primary's region and cannot be changed on its own.
#[tokio::test]
async fn a_replica_is_read_and_not_changed() {
    let account = Account::with(
        &stuck_valued("ok").replace("- name: app", "- name: app\n  primaryRegion: us-east-1"),
    );
    assert_eq!(
        account.describe("app").await.primary_region(),
        Some("us-east-1")
    );
    let before = account.described_body("app").await;
    let update = account.clear(PENDING);
    let rotate = account.rotate();
    for code in [
        refusal(update.send().await).code,
        refusal(rotate.send().await).code,
    ] {
        assert_eq!(code, "InvalidRequestException");
    }
    assert_eq!(account.described_body("app").await, before);
}

/// API reference, ReplicateSecretToRegions and DescribeSecret, `ReplicationStatus`; lists do not have it.
#[tokio::test]
async fn a_replicated_secret_tells_where_its_replicas_are() {
    let account = Account::with(&idle());
    account.replicate().await;
    let described = account.describe("app").await;
    let [status] = described.replication_status() else {
        panic!("{described:?}")
    };
    assert_eq!(
        (status.region(), status.status()),
        (Some("us-east-1"), Some(&StatusType::InSync))
    );
    let replica = account
        .in_region("us-east-1")
        .describe_secret()
        .secret_id("app");
    let replica = replica.send().await.unwrap();
    assert_eq!(replica.primary_region(), Some("eu-west-1"));
    let arn = described.arn.unwrap().replace("eu-west-1", "us-east-1");
    assert_eq!(replica.arn, Some(arn));
    assert_eq!(
        replica.version_ids_to_stages,
        described.version_ids_to_stages
    );
}

/// User Guide, create-manage-multi-region-secrets: what a rotation does in the primary reaches the replicas.
#[tokio::test]
async fn a_rotation_of_the_primary_reaches_its_replica() {
    let account = Account::with(&idle());
    account.replicate().await;
    let rotate = account.rotate();
    rotate.client_request_token(TOKEN).send().await.unwrap();
    account.simulator.jump(60.0);
    let replica = account
        .in_region("us-east-1")
        .describe_secret()
        .secret_id("app");
    let stages = replica.send().await.unwrap().version_ids_to_stages.unwrap();
    assert_eq!(stages[TOKEN], ["AWSCURRENT"]);
    assert!(!stages.contains_key(PREVIOUS));
}

/// API reference, DeleteSecret: a primary with replicas cannot be deleted.
#[tokio::test]
async fn a_primary_with_replicas_cannot_be_deleted() {
    let account = Account::with(&idle());
    account.replicate().await;
    let delete = account.client.delete_secret().secret_id("app").send().await;
    assert_eq!(refusal(delete).status, 400);
    assert_eq!(account.describe("app").await.deleted_date, None);
}

/// API reference, StopReplicationToReplica: called in the replica's region, it makes the replica a secret of its own.
#[tokio::test]
async fn a_promoted_replica_can_be_changed_on_its_own() {
    let account = Account::with(&idle());
    account.replicate().await;
    let there = account.in_region("us-east-1");
    let promote = there.stop_replication_to_replica().secret_id("app");
    let arn = promote.send().await.unwrap().arn.unwrap();
    assert!(arn.contains(":us-east-1:"));
    let described = there
        .describe_secret()
        .secret_id("app")
        .send()
        .await
        .unwrap();
    assert_eq!(described.primary_region, None);
    let update = there
        .update_secret_version_stage()
        .secret_id("app")
        .version_stage("mine");
    update.move_to_version_id(PREVIOUS).send().await.unwrap();
    assert!(account.describe("app").await.replication_status.is_none());
}
