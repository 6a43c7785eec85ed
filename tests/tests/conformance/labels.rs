//! `UpdateSecretVersionStage`: what moves, what is refused, and that a refusal changes nothing.

use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::update_secret_version_stage::{
    UpdateSecretVersionStageError, UpdateSecretVersionStageOutput,
};

use super::account::{
    Account, CURRENT, PENDING, PREVIOUS, TOKEN, app, idle, labels, refusal, refused, stuck_empty,
    stuck_valued,
};

type Updated = Result<UpdateSecretVersionStageOutput, SdkError<UpdateSecretVersionStageError>>;

async fn update(account: &Account, label: &str, remove: Option<&str>, to: Option<&str>) -> Updated {
    let update = account
        .client
        .update_secret_version_stage()
        .secret_id("app")
        .version_stage(label)
        .set_remove_from_version_id(remove.map(str::to_owned))
        .set_move_to_version_id(to.map(str::to_owned));
    update.send().await
}

/// API reference, UpdateSecretVersionStage, response elements.
#[tokio::test]
async fn the_answer_names_the_secret_and_nothing_more() {
    let account = Account::with(&stuck_empty("ok"));
    let arn = account.describe("app").await.arn;
    let answer = update(&account, "AWSPENDING", Some(PENDING), None)
        .await
        .unwrap();
    assert_eq!((answer.name(), &answer.arn), (Some("app"), &arn));
}

/// API reference, UpdateSecretVersionStage, first example.
#[tokio::test]
async fn a_label_that_is_nowhere_is_attached() {
    let account = Account::with(&idle());
    update(&account, "keep", None, Some(PREVIOUS))
        .await
        .unwrap();
    let expected = labels([(CURRENT, "AWSCURRENT"), (PREVIOUS, "AWSPREVIOUS keep")]);
    assert_eq!(account.labels("app").await, expected);
}

/// API reference, UpdateSecretVersionStage, example "move a staging label".
#[tokio::test]
async fn a_label_moves_if_both_versions_are_named() {
    let account = Account::with(&idle());
    update(&account, "keep", None, Some(PREVIOUS))
        .await
        .unwrap();
    update(&account, "keep", Some(PREVIOUS), Some(CURRENT))
        .await
        .unwrap();
    let expected = labels([(CURRENT, "AWSCURRENT keep"), (PREVIOUS, "AWSPREVIOUS")]);
    assert_eq!(account.labels("app").await, expected);
}

/// API reference, UpdateSecretVersionStage, example "remove a staging label"; LocalStack recording of 2024-01-18.
#[tokio::test]
async fn a_custom_label_is_removed_from_the_version_that_is_named() {
    let account = Account::with(&idle());
    update(&account, "keep", None, Some(PREVIOUS))
        .await
        .unwrap();
    update(&account, "keep", Some(PREVIOUS), None)
        .await
        .unwrap();
    let expected = labels([(CURRENT, "AWSCURRENT"), (PREVIOUS, "AWSPREVIOUS")]);
    assert_eq!(account.labels("app").await, expected);
}

/// PCS User Guide: `update-secret-version-stage --version-stage AWSPENDING --remove-from-version-id`.
#[tokio::test]
async fn awspending_is_removed_from_the_version_that_is_named() {
    for scenario in [stuck_empty("ok"), stuck_valued("ok")] {
        let account = Account::with(&scenario);
        update(&account, "AWSPENDING", Some(PENDING), None)
            .await
            .unwrap();
        let expected = labels([(CURRENT, "AWSCURRENT"), (PREVIOUS, "AWSPREVIOUS")]);
        assert_eq!(account.labels("app").await, expected);
    }
}

/// Terraform provider, `secret_version.go`: the text that it expects from AWS.
#[tokio::test]
async fn awscurrent_cannot_be_removed_altogether() {
    let account = Account::with(&idle());
    let before = account.labels("app").await;
    let message = "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.";
    assert_eq!(
        refusal(update(&account, "AWSCURRENT", Some(CURRENT), None).await),
        refused("InvalidParameterException", message)
    );
    assert_eq!(account.labels("app").await, before);
}

/// API reference, UpdateSecretVersionStage, `RemoveFromVersionId`: "If the label is attached and you either do not specify
/// this parameter, or the version ID does not match, then the operation fails."
#[tokio::test]
async fn a_label_does_not_move_unless_its_holder_is_named() {
    let account = Account::with(&idle());
    let before = account.labels("app").await;
    let message = format!(
        "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version {CURRENT}, so you must explicitly reference that version in RemoveFromVersionId."
    );
    assert_eq!(
        refusal(update(&account, "AWSCURRENT", None, Some(PREVIOUS)).await),
        refused("InvalidParameterException", &message)
    );
    let wrong = refusal(update(&account, "AWSCURRENT", Some(TOKEN), Some(PREVIOUS)).await);
    assert_eq!(
        (wrong.status, wrong.code.as_str()),
        (400, "InvalidParameterException")
    );
    assert_eq!(account.labels("app").await, before);
}

/// The same sentence: a removal that was meant for an older rotation cannot hit a newer one.
#[tokio::test]
async fn a_removal_that_names_another_version_is_refused_and_changes_nothing() {
    let account = Account::with(&stuck_valued("ok"));
    let before = account.described_body("app").await;
    for other in [CURRENT, PREVIOUS, TOKEN] {
        let answer = refusal(update(&account, "AWSPENDING", Some(other), None).await);
        assert_eq!(
            (answer.status, answer.code.as_str()),
            (400, "InvalidParameterException")
        );
    }
    assert_eq!(account.described_body("app").await, before);
}

/// The same sentence: what is nowhere is on no version that could be named.
#[tokio::test]
async fn removing_a_label_that_is_nowhere_is_refused() {
    let account = Account::with(&idle());
    let answer = refusal(update(&account, "AWSPENDING", Some(PENDING), None).await);
    assert_eq!(answer.status, 400);
    assert_eq!(account.labels("app").await.len(), 2);
}

/// API reference, UpdateSecretVersionStage: "If you move AWSCURRENT, Secrets Manager automatically moves the label
/// AWSPREVIOUS to the version that AWSCURRENT was removed from"; LocalStack recording of 2022-09-28.
#[tokio::test]
async fn moving_awscurrent_takes_awsprevious_along_and_nothing_else() {
    let account = Account::with(&app(
        &format!("  - {{id: {TOKEN}, labels: [mine]}}\n"),
        "ok",
    ));
    update(&account, "keep", None, Some(CURRENT)).await.unwrap();
    update(&account, "AWSCURRENT", Some(CURRENT), Some(TOKEN))
        .await
        .unwrap();
    let expected = labels([(CURRENT, "AWSPREVIOUS keep"), (TOKEN, "AWSCURRENT mine")]);
    assert_eq!(account.labels("app").await, expected);
}

/// LocalStack recording of 2022-09-28: the version carries AWSCURRENT and AWSPENDING. The User Guide says otherwise
/// (rotate-secrets_lambda-functions), so a switch stands either way.
#[tokio::test]
async fn a_promoted_pending_version_keeps_awspending_unless_the_switch_says_otherwise() {
    for (drops, after) in [(false, "AWSCURRENT AWSPENDING"), (true, "AWSCURRENT")] {
        let account = Account::with(&stuck_valued("ok"));
        account
            .simulator
            .set_quirks(|quirks| quirks.promote_drops_pending = drops);
        update(&account, "AWSCURRENT", Some(CURRENT), Some(PENDING))
            .await
            .unwrap();
        let expected = labels([(CURRENT, "AWSPREVIOUS"), (PENDING, after)]);
        assert_eq!(account.labels("app").await, expected);
    }
}

/// API reference, UpdateSecretVersionStage, `ResourceNotFoundException`; nothing may move before the target is known.
#[tokio::test]
async fn a_label_cannot_move_to_a_version_that_does_not_exist() {
    let account = Account::with(&stuck_valued("ok"));
    let before = account.described_body("app").await;
    let answer = refusal(update(&account, "AWSPENDING", Some(PENDING), Some(TOKEN)).await);
    assert_eq!(
        (answer.status, answer.code.as_str()),
        (400, "ResourceNotFoundException")
    );
    assert_eq!(account.described_body("app").await, before);
}

/// User Guide, whats-in-a-secret: a version without labels is deprecated, and can be labelled again.
#[tokio::test]
async fn awspending_can_be_put_back_on_a_cleared_version() {
    let account = Account::with(&stuck_valued("ok"));
    let before = account.labels("app").await;
    update(&account, "AWSPENDING", Some(PENDING), None)
        .await
        .unwrap();
    update(&account, "AWSPENDING", None, Some(PENDING))
        .await
        .unwrap();
    assert_eq!(account.labels("app").await, before);
}

/// User Guide, reference_limits: 20 labels on all versions of a secret.
#[tokio::test]
async fn the_twenty_first_label_of_a_secret_is_refused() {
    let account = Account::with(&idle());
    for number in 3..=20 {
        update(&account, &format!("mine-{number}"), None, Some(PREVIOUS))
            .await
            .unwrap();
    }
    let answer = refusal(update(&account, "one-too-many", None, Some(CURRENT)).await);
    assert_eq!(
        (answer.status, answer.code.as_str()),
        (400, "LimitExceededException")
    );
    update(&account, "mine-3", Some(PREVIOUS), Some(CURRENT))
        .await
        .unwrap();
}

/// LocalStack recording of 2022: AWS accepts labels of its own prefix that it does not use itself.
#[tokio::test]
async fn a_label_may_start_as_aws_labels_do() {
    let account = Account::with(&idle());
    update(&account, "AWSSOMETHING", None, Some(CURRENT))
        .await
        .unwrap();
    assert_eq!(
        account.labels("app").await[CURRENT],
        labels([("", "AWSCURRENT AWSSOMETHING")])[""]
    );
}

/// API reference, DescribeSecret, `LastChangedDate`: any modification moves it; a version keeps its own `CreatedDate`.
#[tokio::test]
async fn removing_a_label_moves_the_date_of_the_secret_and_not_of_the_version() {
    let account = Account::with(&stuck_valued("ok"));
    let created = created_date(&account, PENDING).await;
    update(&account, "AWSPENDING", Some(PENDING), None)
        .await
        .unwrap();
    let changed = account.describe("app").await.last_changed_date.unwrap();
    assert_eq!(changed.secs(), account.simulator.now().as_second());
    assert_eq!(created_date(&account, PENDING).await, created);
}

async fn created_date(account: &Account, version: &str) -> i64 {
    let list = account.client.list_secret_version_ids().secret_id("app");
    let listed = list.include_deprecated(true).send().await.unwrap();
    let found = listed
        .versions()
        .iter()
        .find(|listed| listed.version_id() == Some(version));
    found.unwrap().created_date().unwrap().secs()
}

/// Undocumented, so a switch: a custom label on a version without a value is accepted by default.
#[tokio::test]
async fn a_version_without_a_value_takes_a_label_by_default() {
    let account = Account::with(&stuck_empty("ok"));
    update(&account, "keep", None, Some(PENDING)).await.unwrap();
    assert_eq!(
        account.labels("app").await[PENDING],
        labels([("", "AWSPENDING keep")])[""]
    );
}

/// Undocumented, so a switch: putting a label where it is already does nothing by default.
#[tokio::test]
async fn putting_a_label_where_it_is_does_nothing_by_default() {
    let account = Account::with(&stuck_valued("ok"));
    let before = account.labels("app").await;
    update(&account, "AWSPENDING", Some(PENDING), Some(PENDING))
        .await
        .unwrap();
    assert_eq!(account.labels("app").await, before);
}

/// API reference, UpdateSecretVersionStage: `VersionStage` has up to 256 characters, version ids have 32 to 64.
#[tokio::test]
async fn parameters_out_of_bounds_are_invalid() {
    let account = Account::with(&idle());
    let before = account.described_body("app").await;
    let (label, short, long) = ("x".repeat(257), "x".repeat(31), "x".repeat(65));
    for (label, from, to) in [
        (label.as_str(), None, Some(CURRENT)),
        ("keep", None, Some(short.as_str())),
        ("keep", None, Some(long.as_str())),
        ("AWSPREVIOUS", Some(short.as_str()), None),
    ] {
        let answer = refusal(update(&account, label, from, to).await);
        assert_eq!(
            (answer.status, answer.code.as_str()),
            (400, "InvalidParameterException")
        );
    }
    assert_eq!(account.described_body("app").await, before);
}
