//! Operations on values and on whole secrets, as far as they touch labels and rotation.

use serde_json::json;

use super::account::{
    Account, CURRENT, Labels, PENDING, PREVIOUS, TOKEN, idle, labels, refusal, refused,
    stuck_valued,
};

const GONE: &str =
    "You can't perform this operation on the secret because it was marked for deletion.";

async fn put(account: &Account, value: &str, token: &str) -> Result<Labels, String> {
    let put = account
        .client
        .put_secret_value()
        .secret_id("app")
        .secret_string(value);
    match put.client_request_token(token).send().await {
        Ok(_) => Ok(account.labels("app").await),
        error => Err(refusal(error).code),
    }
}

/// API reference, PutSecretValue: the default label is AWSCURRENT; AWSPREVIOUS follows.
#[tokio::test]
async fn a_new_value_becomes_current() {
    let account = Account::with(&idle());
    let expected = labels([(CURRENT, "AWSPREVIOUS"), (TOKEN, "AWSCURRENT")]);
    assert_eq!(put(&account, "new", TOKEN).await, Ok(expected));
}

/// API reference, PutSecretValue, `ClientRequestToken`: the same value succeeds again, another one is refused.
#[tokio::test]
async fn a_used_token_takes_the_same_value_only() {
    let account = Account::with(&idle());
    let first = put(&account, "new", TOKEN).await;
    assert_eq!(put(&account, "new", TOKEN).await, first);
    assert_eq!(
        put(&account, "other", TOKEN).await,
        Err("ResourceExistsException".to_owned())
    );
    assert_eq!(account.labels("app").await, first.unwrap());
}

/// LocalStack recording: what is InvalidParameterException for RotateSecret is InvalidRequestException here.
#[tokio::test]
async fn a_new_value_needs_a_token() {
    let account = Account::with(&idle());
    let request = json!({"SecretId": "app", "SecretString": "new"});
    let answer = account.post("PutSecretValue", &request).await;
    assert_eq!(
        (answer.status, &answer.body["__type"]),
        (400, &json!("InvalidRequestException"))
    );
}

/// User Guide, cloudtrail_log_entries, RotationAbandoned; LocalStack recording of 2022: a new value by hand ends a pending
/// rotation; the acceptance tests of the Terraform provider unblock secrets so.
#[tokio::test]
async fn a_new_value_by_hand_abandons_the_rotation() {
    let account = Account::with(&stuck_valued("ok"));
    let expected = labels([(CURRENT, "AWSPREVIOUS"), (TOKEN, "AWSCURRENT")]);
    assert_eq!(put(&account, "new", TOKEN).await, Ok(expected));
    let rotate = account.rotate();
    assert!(rotate.send().await.is_ok());
}

/// LocalStack recording of 2022: `[AWSCURRENT, AWSPENDING]` becomes `[AWSPREVIOUS]`.
#[tokio::test]
async fn a_new_value_takes_awspending_off_the_version_before() {
    let account = Account::with(&idle().replace("[AWSCURRENT]", "[AWSCURRENT, AWSPENDING]"));
    let expected = labels([(CURRENT, "AWSPREVIOUS"), (TOKEN, "AWSCURRENT")]);
    assert_eq!(put(&account, "new", TOKEN).await, Ok(expected));
}

/// API reference, RotateSecret; User Guide, rotate-secrets_schedule: a new value counts as a rotation for the next date.
#[tokio::test]
async fn a_new_value_moves_the_next_date() {
    let account = Account::with(&idle());
    let before = account.describe("app").await.next_rotation_date.unwrap();
    put(&account, "new", TOKEN).await.unwrap();
    let after = account.describe("app").await.next_rotation_date.unwrap();
    assert!(after > before, "{after:?} is not later than {before:?}");
}

/// API reference, PutSecretValue: text or bytes, not both and not neither, at most 65,536 bytes; at most 20 labels.
#[tokio::test]
async fn values_that_cannot_be_are_invalid() {
    let account = Account::with(&idle());
    let before = account.described_body("app").await;
    let stages: Vec<_> = (0..21).map(|number| format!("mine-{number}")).collect();
    for mut request in [
        json!({"SecretString": "text", "SecretBinary": "Ynl0ZXM="}),
        json!({}),
        json!({"SecretString": "x".repeat(65_537)}),
        json!({"SecretString": "text", "VersionStages": stages}),
    ] {
        request["SecretId"] = json!("app");
        request["ClientRequestToken"] = json!(TOKEN);
        let answer = account.post("PutSecretValue", &request).await;
        assert_eq!(
            answer.status,
            400,
            "{:?}",
            request.as_object().unwrap().keys()
        );
    }
    assert_eq!(account.described_body("app").await, before);
}

/// API reference, GetSecretValue: AWSCURRENT unless said otherwise; by version or by label.
#[tokio::test]
async fn a_value_is_read_by_label_or_version() {
    let account = Account::with(&idle());
    let read = || account.client.get_secret_value().secret_id("app");
    assert_eq!(read().send().await.unwrap().version_id(), Some(CURRENT));
    let previous = read().version_stage("AWSPREVIOUS").send().await.unwrap();
    assert_eq!(previous.version_id(), Some(PREVIOUS));
    let missing = refusal(read().version_id(TOKEN).send().await);
    assert_eq!(
        (missing.status, missing.code.as_str()),
        (400, "ResourceNotFoundException")
    );
}

/// LocalStack recording of 2024-10-11: DescribeSecret works on a secret that is to be deleted, and shows its labels.
#[tokio::test]
async fn a_secret_to_be_deleted_is_still_described() {
    let account = Account::with(&stuck_valued("ok"));
    let before = account.labels("app").await;
    account.delete().send().await.unwrap();
    let described = account.describe("app").await;
    assert!(described.deleted_date.is_some());
    assert_eq!(account.labels("app").await, before);
}

/// LocalStack recording of 2026-01-29.
#[tokio::test]
async fn a_secret_to_be_deleted_refuses_every_change() {
    let account = Account::with(&stuck_valued("ok"));
    account.delete().send().await.unwrap();
    let (client, expected) = (&account.client, refused("InvalidRequestException", GONE));
    let rotate = client.rotate_secret().secret_id("app").send().await;
    assert_eq!(refusal(rotate), expected);
    let cancel = client.cancel_rotate_secret().secret_id("app").send().await;
    assert_eq!(refusal(cancel), expected);
    let update = client
        .update_secret_version_stage()
        .secret_id("app")
        .version_stage("AWSPENDING");
    let update = update.remove_from_version_id(PENDING).send().await;
    assert_eq!(refusal(update), expected);
    let untag = client
        .untag_resource()
        .secret_id("app")
        .tag_keys("team")
        .send()
        .await;
    assert_eq!(refusal(untag), expected);
    let read = client.get_secret_value().secret_id("app").send().await;
    assert_eq!(refusal(read), expected);
}

/// API reference, RestoreSecret: the date goes, the labels stay.
#[tokio::test]
async fn a_restored_secret_is_as_it_was() {
    let account = Account::with(&stuck_valued("ok"));
    let before = account.labels("app").await;
    account.delete().send().await.unwrap();
    let restored = account
        .client
        .restore_secret()
        .secret_id("app")
        .send()
        .await
        .unwrap();
    assert_eq!(restored.name(), Some("app"));
    assert_eq!(account.describe("app").await.deleted_date, None);
    assert_eq!(account.labels("app").await, before);
}

/// API reference, DeleteSecret: 7 to 30 days, 30 if left out, or at once, not both.
#[tokio::test]
async fn a_deletion_has_a_window_or_is_forced() {
    let account = Account::with(&idle());
    for refused in [
        account.delete().recovery_window_in_days(6),
        account.delete().recovery_window_in_days(31),
        account
            .delete()
            .recovery_window_in_days(7)
            .force_delete_without_recovery(true),
    ] {
        assert_eq!(
            refusal(refused.send().await).code,
            "InvalidParameterException"
        );
    }
    let deleted = account
        .delete()
        .send()
        .await
        .unwrap()
        .deletion_date
        .unwrap();
    assert_eq!(
        deleted.secs() - account.simulator.now().as_second(),
        30 * 86_400
    );
    let account = Account::with(&idle());
    account
        .delete()
        .force_delete_without_recovery(true)
        .send()
        .await
        .unwrap();
    let described = account
        .client
        .describe_secret()
        .secret_id("app")
        .send()
        .await;
    assert_eq!(refusal(described).code, "ResourceNotFoundException");
}

/// API reference, TagResource and UntagResource: removing a tag that is not there is no error.
#[tokio::test]
async fn tags_come_and_go() {
    let account = Account::with(&idle());
    let tag = aws_sdk_secretsmanager::types::Tag::builder()
        .key("team")
        .value("web")
        .build();
    account
        .client
        .tag_resource()
        .secret_id("app")
        .tags(tag.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(account.describe("app").await.tags(), [tag]);
    for _ in 0..2 {
        let untag = account
            .client
            .untag_resource()
            .secret_id("app")
            .tag_keys("team");
        untag.send().await.unwrap();
        assert_eq!(account.describe("app").await.tags, None);
    }
}
