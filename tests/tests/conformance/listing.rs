//! `ListSecrets`: filters, order, paging, secrets that are to be deleted.

use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SortByType, SortOrderType};
use serde_json::{Value, json};

use super::account::{Account, CURRENT, PREVIOUS, idle, refusal};

const TAGGED: &str = "
secrets:
- {name: app/one, tags: {team: payments, env: prod}, created: -3d, lastChanged: -1d}
- {name: app/two, tags: {team: Payments, env: production}, created: -2d, lastChanged: -2d}
- {name: App/three, tags: {Team: web}, created: -1d, lastChanged: -3d, owningService: rds}
";

/// The names in the order in which they come.
async fn names(account: &Account, filters: &[(&str, &[&str])]) -> Vec<String> {
    let mut list = account.client.list_secrets();
    for (key, values) in filters {
        let filter = Filter::builder().key(FilterNameStringType::from(*key));
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        list = list.filters(filter.set_values(Some(values)).build());
    }
    let listed = list.send().await.unwrap();
    listed
        .secret_list()
        .iter()
        .filter_map(|secret| secret.name().map(str::to_owned))
        .collect()
}

/// API reference, SecretListEntry: labels are in `SecretVersionsToStages`; there is no `ReplicationStatus`.
#[tokio::test]
async fn an_entry_is_what_describe_shows_but_for_two_names() {
    let account = Account::with(&idle());
    let body = account.post("ListSecrets", &json!({})).await.body;
    let mut entry = body["SecretList"][0].clone();
    let stages = entry
        .as_object_mut()
        .unwrap()
        .remove("SecretVersionsToStages");
    assert_eq!(
        stages,
        Some(json!({CURRENT: ["AWSCURRENT"], PREVIOUS: ["AWSPREVIOUS"]}))
    );
    let mut described = account.described_body("app").await;
    described
        .as_object_mut()
        .unwrap()
        .remove("VersionIdsToStages");
    assert_eq!(entry, described);
}

/// API reference, Filter: prefixes, the case counts.
#[tokio::test]
async fn names_tags_and_owners_are_matched_by_prefix_with_their_case() {
    let account = Account::with(TAGGED);
    let found: [(&str, &str, &[&str]); 6] = [
        ("name", "app/", &["app/one", "app/two"]),
        ("name", "pp", &[]),
        ("tag-key", "team", &["app/one", "app/two"]),
        ("tag-value", "pay", &["app/one"]),
        ("tag-value", "prod", &["app/one", "app/two"]),
        ("owning-service", "rd", &["App/three"]),
    ];
    for (key, value, expected) in found {
        assert_eq!(
            names(&account, &[(key, &[value])]).await,
            expected,
            "{key} {value}"
        );
    }
}

/// LocalStack `test_list_secrets_filtering`, validated against AWS: a leading `!` negates; filters are ANDed, also two of
/// one key.
#[tokio::test]
async fn filters_are_negated_and_anded() {
    let account = Account::with(TAGGED);
    assert_eq!(
        names(&account, &[("name", &["!app/"])]).await,
        ["App/three"]
    );
    assert_eq!(
        names(&account, &[("tag-key", &["!Team"])]).await,
        ["app/one", "app/two"]
    );
    let two = [
        ("name", &["app/"] as &[&str]),
        ("tag-value", &["production"]),
    ];
    assert_eq!(names(&account, &two).await, ["app/two"]);
    let same_key = [("name", &["app/"] as &[&str]), ("name", &["!app/o"])];
    assert_eq!(names(&account, &same_key).await, ["app/two"]);
}

/// LocalStack `test_list_secrets_filtering`: every word begins some word of the description, whatever its case; `all` also
/// splits camel case.
#[tokio::test]
async fn descriptions_and_everything_are_searched_by_words() {
    let account = Account::with("");
    for (name, description) in [
        ("MyAppSecret", "Database password"),
        ("other", "for the app"),
    ] {
        let create = account
            .client
            .create_secret()
            .name(name)
            .description(description);
        create.send().await.unwrap();
    }
    for (key, value, expected) in [
        ("description", "data PASS", &["MyAppSecret"] as &[&str]),
        ("description", "data missing", &[]),
        ("description", "word", &[]),
        ("all", "secret", &["MyAppSecret"]),
        ("all", "app", &["MyAppSecret", "other"]),
    ] {
        assert_eq!(
            names(&account, &[(key, &[value])]).await,
            expected,
            "{key} {value}"
        );
    }
}

/// API reference, Filter and ListSecrets: at most 10 filters of at most 10 values of at most 512 characters of a set; known
/// keys; 1 to 100 results.
#[tokio::test]
async fn what_cannot_be_asked_is_an_invalid_parameter() {
    let account = Account::with(TAGGED);
    let filter = |key: &str, values: Value| json!({"Key": key, "Values": values});
    let eleven = vec![filter("name", json!(["a"])); 11];
    for request in [
        json!({"Filters": eleven}),
        json!({"Filters": [filter("name", json!(vec!["a"; 11]))]}),
        json!({"Filters": [filter("name", json!(["x".repeat(513)]))]}),
        json!({"Filters": [filter("name", json!(["a*"]))]}),
        json!({"Filters": [filter("colour", json!(["red"]))]}),
        json!({"MaxResults": 0}),
        json!({"MaxResults": 101}),
    ] {
        let answer = account.post("ListSecrets", &request).await;
        let code = answer.body["__type"].as_str().unwrap().to_owned();
        assert_eq!(
            (answer.status, code.as_str()),
            (400, "InvalidParameterException"),
            "{request}"
        );
    }
}

/// API reference, ListSecrets, `SortBy` and `SortOrder`: by the date of creation if nothing is said.
#[tokio::test]
async fn secrets_come_in_the_order_that_is_asked_for() {
    let account = Account::with(TAGGED);
    assert_eq!(
        names(&account, &[]).await,
        ["app/one", "app/two", "App/three"]
    );
    for (by, order, expected) in [
        (
            SortByType::Name,
            SortOrderType::Asc,
            ["App/three", "app/one", "app/two"],
        ),
        (
            SortByType::Name,
            SortOrderType::Desc,
            ["app/two", "app/one", "App/three"],
        ),
        (
            SortByType::LastChangedDate,
            SortOrderType::Asc,
            ["App/three", "app/two", "app/one"],
        ),
        (
            SortByType::CreatedDate,
            SortOrderType::Desc,
            ["App/three", "app/two", "app/one"],
        ),
    ] {
        let list = account.client.list_secrets().sort_by(by).sort_order(order);
        let listed = list.send().await.unwrap();
        let names: Vec<_> = listed
            .secret_list()
            .iter()
            .filter_map(|one| one.name())
            .collect();
        assert_eq!(names, expected);
    }
}

/// API reference, ListSecrets, `NextToken`: pages join to the whole; the last one has no token, not an empty one.
#[tokio::test]
async fn pages_join_to_the_whole_and_the_last_has_no_token() {
    let account = Account::with("generate: [{count: 7, name: 'app-{n}', state: healthy}]");
    let (mut found, mut sizes, mut token) = (Vec::new(), Vec::new(), Value::Null);
    loop {
        let body = account
            .post("ListSecrets", &json!({"MaxResults": 3, "NextToken": token}))
            .await
            .body;
        let page = body["SecretList"].as_array().unwrap().clone();
        sizes.push(page.len());
        found.extend(
            page.into_iter()
                .map(|secret| secret["Name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = body.get("NextToken") else {
            break;
        };
        token = next.clone();
    }
    found.sort();
    let all: Vec<_> = (1..=7).map(|number| format!("app-{number}")).collect();
    assert_eq!((found, sizes), (all, vec![3, 3, 1]));
}

/// API reference, ListSecrets, errors.
#[tokio::test]
async fn a_token_that_aws_never_gave_is_refused() {
    let account = Account::with(TAGGED);
    for garbage in ["garbage", "00", "é"] {
        let answer = refusal(
            account
                .client
                .list_secrets()
                .next_token(garbage)
                .send()
                .await,
        );
        assert_eq!(
            (answer.status, answer.code.as_str()),
            (400, "InvalidNextTokenException")
        );
    }
}

/// API reference, ListSecrets: what is deleted between two pages must not hide what is left.
#[tokio::test]
async fn a_secret_deleted_between_two_pages_makes_no_other_be_skipped() {
    let account = Account::with("generate: [{count: 6, name: 'app-{n}', state: healthy}]");
    let first = account
        .client
        .list_secrets()
        .max_results(3)
        .send()
        .await
        .unwrap();
    let gone = first.secret_list()[0].name().unwrap();
    let delete = account.client.delete_secret().secret_id(gone);
    delete
        .force_delete_without_recovery(true)
        .send()
        .await
        .unwrap();
    let rest = account
        .client
        .list_secrets()
        .next_token(first.next_token().unwrap());
    let rest = rest.send().await.unwrap();
    assert_eq!(
        (first.secret_list().len(), rest.secret_list().len()),
        (3, 3)
    );
}

/// API reference, ListSecrets, `IncludePlannedDeletion`: left out unless asked for.
#[tokio::test]
async fn secrets_to_be_deleted_are_listed_only_if_asked_for() {
    let account = Account::with("generate: [{count: 1, name: app, state: deleted}]");
    assert_eq!(names(&account, &[]).await, [] as [&str; 0]);
    let list = account.client.list_secrets().include_planned_deletion(true);
    let listed = list.send().await.unwrap();
    let [secret] = listed.secret_list() else {
        panic!("{listed:?}")
    };
    assert!(secret.name() == Some("app") && secret.deleted_date().is_some());
}

/// API reference, ListSecrets: the secrets of the account in the region that is asked.
#[tokio::test]
async fn a_region_lists_its_own_secrets() {
    let account = Account::with("secrets: [{name: here}, {name: there, region: us-east-1}]");
    assert_eq!(names(&account, &[]).await, ["here"]);
    let listed = account
        .in_region("us-east-1")
        .list_secrets()
        .send()
        .await
        .unwrap();
    let arn = listed.secret_list()[0].arn().unwrap();
    assert!(arn.starts_with("arn:aws:secretsmanager:us-east-1:111122223333:secret:there-"));
}
