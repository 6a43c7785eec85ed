//! `ListSecretVersionIds`: what it shows, what it omits, and how long a version without labels lives.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::account::{
    Account, CURRENT, PENDING, PREVIOUS, TOKEN, app, idle, refusal, stuck_empty, stuck_valued,
};

fn ids<const N: usize>(ids: [&str; N]) -> BTreeSet<String> {
    ids.into_iter().map(str::to_owned).collect()
}

/// A version without a label, made so many hours ago.
fn deprecated(id: &str, hours: u32) -> String {
    format!("  - {{id: {id}, created: -{hours}h}}\n")
}

/// API reference, ListSecretVersionIds and SecretVersionsListEntry.
#[tokio::test]
async fn an_entry_shows_id_labels_date_and_key() {
    let account = Account::with(&idle());
    let body = account
        .post("ListSecretVersionIds", &json!({"SecretId": "app"}))
        .await
        .body;
    let arn = account.simulator.inspect("app").unwrap().arn;
    assert_eq!((&body["ARN"], &body["Name"]), (&json!(arn), &json!("app")));
    let versions = body["Versions"].as_array().unwrap();
    let current = versions
        .iter()
        .find(|version| version["VersionId"] == CURRENT)
        .unwrap();
    assert_eq!(current["VersionStages"], json!(["AWSCURRENT"]));
    assert_eq!(current["KmsKeyIds"], json!(["DefaultEncryptionKey"]));
    assert_eq!(
        current["CreatedDate"].as_f64(),
        Some(1_795_428_000.0 - 12.0 * 86_400.0)
    );
}

/// API reference, ListSecretVersionIds, `IncludeDeprecated`; the key `VersionStages` is absent then, not empty.
#[tokio::test]
async fn versions_without_labels_are_shown_only_if_asked_for() {
    let account = Account::with(&app(&deprecated(TOKEN, 48), "ok"));
    assert_eq!(
        account.listed_versions("app", false).await,
        ids([CURRENT, PREVIOUS])
    );
    assert_eq!(
        account.listed_versions("app", true).await,
        ids([CURRENT, PREVIOUS, TOKEN])
    );
    let request = json!({"SecretId": "app", "IncludeDeprecated": true});
    let body = account.post("ListSecretVersionIds", &request).await.body;
    let versions = body["Versions"].as_array().unwrap();
    let found = versions
        .iter()
        .find(|version| version["VersionId"] == TOKEN)
        .unwrap();
    assert_eq!(found.get("VersionStages"), None);
}

/// PCS User Guide: it "can omit the AWSPENDING version even when you specify --include-deprecated". The default of the
/// switch: without a value it is omitted, with one it is not.
#[tokio::test]
async fn a_pending_version_is_omitted_as_long_as_it_has_no_value() {
    for deprecated in [false, true] {
        let account = Account::with(&stuck_empty("ok"));
        assert_eq!(
            account.listed_versions("app", deprecated).await,
            ids([CURRENT, PREVIOUS])
        );
        let account = Account::with(&stuck_valued("ok"));
        let all = ids([CURRENT, PREVIOUS, PENDING]);
        assert_eq!(account.listed_versions("app", deprecated).await, all);
    }
}

/// PCS User Guide, for a rotation that is under way: the version appears once createSecret has put a value.
#[tokio::test]
async fn a_new_pending_version_appears_with_its_value() {
    let account = Account::with(&idle());
    let rotate = account.rotate();
    rotate.client_request_token(TOKEN).send().await.unwrap();
    assert!(!account.listed_versions("app", true).await.contains(TOKEN));
    account.simulator.jump(6.0);
    assert!(account.listed_versions("app", true).await.contains(TOKEN));
}

/// API reference, ListSecretVersionIds, `NextToken` and errors.
#[tokio::test]
async fn versions_come_in_pages() {
    let versions = deprecated(TOKEN, 48) + &deprecated(&TOKEN.replace('d', "e"), 47);
    let account = Account::with(&app(&versions, "ok"));
    let (mut found, mut token) = (BTreeSet::new(), Value::Null);
    for page in 1..=2 {
        let request = json!({"SecretId": "app", "IncludeDeprecated": true, "MaxResults": 2, "NextToken": token});
        let body = account.post("ListSecretVersionIds", &request).await.body;
        let listed = body["Versions"].as_array().unwrap().clone();
        assert_eq!(listed.len(), 2);
        found.extend(
            listed
                .into_iter()
                .map(|version| version["VersionId"].to_string()),
        );
        assert_eq!(body.get("NextToken").is_some(), page == 1);
        token = body["NextToken"].clone();
    }
    assert_eq!(found.len(), 4);
    let garbage = account.client.list_secret_version_ids().secret_id("app");
    let answer = refusal(garbage.next_token("garbage").send().await);
    assert_eq!(answer.code, "InvalidNextTokenException");
}

/// API reference, ListSecretVersionIds, errors.
#[tokio::test]
async fn versions_of_a_missing_secret_are_not_found() {
    let account = Account::with("");
    let list = account.client.list_secret_version_ids().secret_id("app");
    let answer = refusal(list.send().await);
    assert_eq!(
        (answer.status, answer.code.as_str()),
        (400, "ResourceNotFoundException")
    );
}

/// User Guide, whats-in-a-secret: a version that lost its last label is kept for at least a day, and stays readable.
#[tokio::test]
async fn a_cleared_version_with_a_value_is_kept_as_deprecated() {
    let account = Account::with(&stuck_valued("ok"));
    account.clear(PENDING).send().await.unwrap();
    assert!(
        !account
            .listed_versions("app", false)
            .await
            .contains(PENDING)
    );
    assert!(account.listed_versions("app", true).await.contains(PENDING));
    let read = account
        .client
        .get_secret_value()
        .secret_id("app")
        .version_id(PENDING);
    assert_eq!(read.send().await.unwrap().version_id(), Some(PENDING));
}

/// User Guide, whats-in-a-secret: deprecated versions are removed when there are more than 100, the oldest first, never
/// within 24 hours of their creation, and never those with a label.
#[tokio::test]
async fn only_old_versions_beyond_a_hundred_are_collected() {
    for (age, left) in [(48, 100), (23, 103)] {
        let many = (0..103).map(|number| {
            let id = format!("eeeeeeee-0000-4000-8000-{number:012}");
            deprecated(&id, age)
        });
        let account = Account::with(&app(&many.collect::<String>(), "ok"));
        let put = account.client.put_secret_value().secret_id("app");
        put.secret_string("new")
            .client_request_token(TOKEN)
            .send()
            .await
            .unwrap();
        let kept = account.simulator.inspect("app").unwrap().versions;
        let labelled = kept.contains_key(CURRENT) && kept.contains_key(TOKEN);
        assert_eq!((kept.len(), labelled), (left + 2, true), "{age} hours old");
    }
}
