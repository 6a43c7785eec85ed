//! Sweeps: what they read, how often, and how they report what they could not read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use fixtures::{REGION, bound_policy, policy};
use secret_rotation_core::aws_error::{AwsError, ErrorClass};
use secret_rotation_core::engine::{Engine, SharedEngine, Sights};
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::names::{Arn, SecretName, Uid};
use secret_rotation_core::operation_index::OperationIndex;
use secret_rotation_core::profile::NamePattern;
use secret_rotation_core::selector::Matcher;
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::survey::PreviousFindings;
use secret_rotation_core::time::AwsTime;
use serde_json::{Value, json};

use super::{CURRENT, Fake, Reply, Sent, arn, date, rested, secret, stuck};
use crate::{Account, Scope, SweepPlan};

/// What the sweeps of one region know.
pub(super) struct Known(Mutex<(Engine, StabilityTracker)>);

/// What one sweep saw.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inventory {
    pub(super) time: Option<AwsTime>,
    pub(super) secrets: BTreeMap<Arn, Observation>,
    unread: BTreeMap<SecretName, AwsError>,
    pub(super) gap: Option<AwsError>,
}

impl Inventory {
    const fn is_complete(&self) -> bool {
        self.gap.is_none()
    }
}

impl SharedEngine for Known {
    fn with<T>(&self, change: impl FnOnce(&mut Sights<'_>) -> T) -> T {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (engine, stability) = &mut *known;
        change(&mut Sights {
            engine,
            stability,
            operations: &OperationIndex::default(),
        })
    }
}

impl Known {
    /// Returns an engine with one policy, which selects everything.
    pub(super) fn new() -> Self {
        let known = Self(Mutex::new((
            Engine::new(fixtures::region(REGION)),
            StabilityTracker::default(),
        )));
        let mut bound = bound_policy(policy("all"));
        bound.policy.selector.include = vec![Matcher::default()];
        bound.profile.allowed_secrets = NamePattern::parse("*").into_iter().collect();
        known.with(|sights| sights.set_policy(&Arc::new(bound), &PreviousFindings::default()));
        known
    }

    fn policy() -> Uid {
        policy("all").uid
    }

    async fn sweep(&self, account: &Account, scope: Scope) -> Inventory {
        let plan = SweepPlan {
            scope,
            policies: [Self::policy()].into(),
            is_whole: true,
            max_ages: 0,
        };
        let swept = account.sweep(&plan, self).await;
        self.with(|sights| {
            let engine = &sights.engine;
            let rows = engine.observations();
            let unread = engine.unread_names();
            Inventory {
                time: engine.time(&swept.read),
                secrets: rows.map(|seen| (seen.secret.arn.clone(), seen)).collect(),
                unread: unread
                    .map(|(name, error)| (name.clone(), error.clone()))
                    .collect(),
                gap: swept.gap,
            }
        })
    }

    pub(super) async fn everything(&self, account: &Account) -> Inventory {
        self.sweep(account, Scope::Everything).await
    }
}

/// Returns a region with `total` secrets in pages of a hundred. The first `sick` secrets are stuck.
fn region(total: usize, sick: usize) -> Fake {
    Fake::new(move |sent, _| match sent.operation.as_str() {
        "ListSecrets" => list(sent, total, sick),
        "DescribeSecret" => describe(sent),
        _ => Reply::ok(&json!({"Versions": [{"VersionId": CURRENT}]})),
    })
}

fn name(number: usize) -> String {
    format!("secret-{number:04}")
}

fn list(sent: &Sent, total: usize, sick: usize) -> Reply {
    let token = sent.body["NextToken"].as_str().unwrap_or("0");
    let begin: usize = token.parse().expect("a token");
    let end = (begin + 100).min(total);
    let labels = |number| if number < sick { stuck() } else { rested() };
    let entry = |number| secret(&name(number), "SecretVersionsToStages", &labels(number));
    let entries: Vec<Value> = (begin..end).map(entry).collect();
    let next = (end < total).then(|| end.to_string());
    Reply::ok(&json!({"SecretList": entries, "NextToken": next}))
}

fn describe(sent: &Sent) -> Reply {
    let id = sent.body["SecretId"].as_str().expect("an id");
    let name = id.rsplit(':').next().expect("a name");
    let name = name.strip_suffix("-AbCdEf").unwrap_or(name);
    Reply::ok(&secret(name, "VersionIdsToStages", &stuck()))
}

async fn everything(fake: &Fake) -> Inventory {
    Known::new().everything(&fake.account).await
}

fn names(inventory: &Inventory) -> Vec<&str> {
    let seen = inventory.secrets.values();
    seen.map(|seen| seen.secret.name.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sweep_costs_its_pages_and_two_reads_for_each_new_stuck_secret() {
    let fake = region(950, 17);
    let inventory = everything(&fake).await;
    assert!(inventory.is_complete());
    assert_eq!(
        (inventory.secrets.len(), inventory.time),
        (950, Some(date()))
    );
    assert_eq!(fake.count("ListSecrets"), 10);
    assert_eq!(fake.count("DescribeSecret"), 17);
    assert_eq!(fake.count("ListSecretVersionIds"), 17);
    assert_eq!(fake.sent().len(), 44);
}

#[tokio::test(start_paused = true)]
async fn the_versions_of_a_stuck_secret_are_read_once() {
    let fake = region(1, 1);
    let known = Known::new();
    let first = known.everything(&fake.account).await;
    let second = known.everything(&fake.account).await;
    assert_eq!(first, second);
    assert!(second.secrets[&arn("secret-0000")].versions.is_some());
    assert_eq!(fake.count("DescribeSecret"), 2);
    assert_eq!(fake.count("ListSecretVersionIds"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_plain_list_asks_for_whole_pages_and_for_deleted_secrets() {
    let fake = region(1, 0);
    everything(&fake).await;
    let expected = json!({"MaxResults": 100, "IncludePlannedDeletion": true});
    assert_eq!(fake.sent().first().map(|sent| &sent.body), Some(&expected));
}

#[tokio::test(start_paused = true)]
async fn an_empty_page_with_a_token_is_not_the_last_one() {
    let fake = Fake::new(|sent, nth| match nth {
        0 => Reply::ok(&json!({"SecretList": [], "NextToken": "0"})),
        _ => list(sent, 1, 0),
    });
    let inventory = everything(&fake).await;
    assert_eq!(names(&inventory), ["secret-0000"]);
    assert!(inventory.is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_three_times_leaves_a_gap() {
    let fake = Fake::new(|sent, nth| match nth {
        0 => list(sent, 200, 0),
        _ => Reply::raw(503, ""),
    });
    let inventory = everything(&fake).await;
    let gap = inventory.gap.map(|gap| gap.class);
    assert_eq!(gap, Some(ErrorClass::Unreachable));
    assert_eq!(inventory.secrets.len(), 100);
    assert_eq!(fake.sent().len(), 4);
    let retries: Vec<_> = fake.calls().iter().map(|call| call.retries).collect();
    assert_eq!(retries, [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_read_is_retried() {
    let fake = Fake::new(|sent, nth| match nth {
        0 => Reply::error("ThrottlingException", "Rate exceeded"),
        _ => list(sent, 1, 0),
    });
    assert!(everything(&fake).await.is_complete());
    assert_eq!(fake.sent().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_back_leaves_a_gap() {
    let fake = Fake::new(|_, _| Reply::ok(&json!({"SecretList": [], "NextToken": "again"})));
    let inventory = everything(&fake).await;
    let gap = inventory.gap.map(|gap| gap.class);
    assert_eq!(gap, Some(ErrorClass::Malformed));
    assert_eq!(fake.sent().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_entry_with_a_name_hides_no_other_secret() {
    let malformed = |entry: &'static str| {
        Fake::new(move |_, _| {
            let whole = secret("a", "SecretVersionsToStages", &rested());
            let entry: Value = serde_json::from_str(entry).expect("JSON");
            Reply::ok(&json!({"SecretList": [entry, whole]}))
        })
    };
    let inventory = everything(&malformed(r#"{"Name": "torn"}"#)).await;
    assert_eq!(names(&inventory), ["a"]);
    let unread: Vec<_> = inventory.unread.keys().map(SecretName::as_str).collect();
    assert_eq!(unread, ["torn"]);
    assert!(inventory.is_complete());
    let unnamed = everything(&malformed(r#"{"RotationEnabled": true}"#)).await;
    assert!(!unnamed.is_complete(), "it could be any secret");
}

#[tokio::test(start_paused = true)]
async fn a_malformed_entry_of_a_known_secret_keeps_its_last_observation() {
    let fake = Fake::new(|_, nth| match nth {
        0 => Reply::ok(&json!({"SecretList": [secret("a", "SecretVersionsToStages", &rested())]})),
        _ => Reply::ok(&json!({"SecretList": [{"Name": "a"}]})),
    });
    let known = Known::new();
    let first = known.everything(&fake.account).await;
    let second = known.everything(&fake.account).await;
    let seen = &second.secrets[&arn("a")];
    assert_eq!(seen.secret, first.secrets[&arn("a")].secret);
    let class = seen.unreadable.as_ref().map(|error| error.class);
    assert_eq!(class, Some(ErrorClass::Malformed));
    assert!(second.unread.is_empty() && second.is_complete());
}

/// A list entry can be newer than the last description.
#[tokio::test(start_paused = true)]
async fn the_later_of_a_list_entry_and_a_description_counts() {
    let later = |mut entry: Value| {
        entry["LastChangedDate"] = json!(1_763_500_000);
        entry
    };
    let fake = Fake::new(move |sent, nth| match (sent.operation.as_str(), nth) {
        ("ListSecrets", 0) => list(sent, 1, 0),
        ("ListSecrets", _) => {
            let stuck = secret("secret-0000", "SecretVersionsToStages", &stuck());
            Reply::ok(&json!({"SecretList": [later(stuck)]}))
        }
        _ => Reply::error("AccessDeniedException", "not authorized"),
    });
    let known = Known::new();
    known.everything(&fake.account).await;
    let second = known.everything(&fake.account).await;
    let seen = &second.secrets[&arn("secret-0000")];
    assert!(seen.unreadable.is_some());
    assert!(
        seen.secret.unfinished().is_some(),
        "the list shows it stuck"
    );
}

#[tokio::test(start_paused = true)]
async fn a_known_secret_missing_from_a_complete_list_is_looked_at() {
    let fake = Fake::new(|sent, nth| match (sent.operation.as_str(), nth) {
        ("ListSecrets", 0) => list(sent, 3, 0),
        ("ListSecrets", _) => list(sent, 1, 0),
        _ if sent.body["SecretId"] == arn("secret-0001").as_str() => describe(sent),
        ("DescribeSecret", _) => Reply::error("ResourceNotFoundException", ""),
        _ => Reply::ok(&json!({"Versions": [{"VersionId": CURRENT}]})),
    });
    let known = Known::new();
    known.everything(&fake.account).await;
    let second = known.everything(&fake.account).await;
    assert_eq!(names(&second), ["secret-0000", "secret-0001"]);
    assert!(second.is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_described_is_unreadable() {
    let fake = Fake::new(|sent, _| match sent.operation.as_str() {
        "ListSecrets" => list(sent, 2, 1),
        _ => Reply::error("AccessDeniedException", "not authorized"),
    });
    let inventory = everything(&fake).await;
    let error = inventory.secrets[&arn("secret-0000")].unreadable.clone();
    assert_eq!(error.map(|it| it.class), Some(ErrorClass::Denied));
    assert!(inventory.is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_listed_secret_that_is_gone_is_not_in_the_inventory() {
    let fake = Fake::new(|sent, _| match sent.operation.as_str() {
        "ListSecrets" => list(sent, 2, 1),
        _ => Reply::error("ResourceNotFoundException", ""),
    });
    let inventory = everything(&fake).await;
    assert_eq!(names(&inventory), ["secret-0001"]);
}

#[tokio::test(start_paused = true)]
async fn prefixes_are_filtered_by_aws_and_checked_again() {
    let fake = region(12, 0);
    let scope = Scope::Prefixes(["secret-0003", "secret-001"].map(str::to_owned).into());
    let inventory = Known::new().sweep(&fake.account, scope).await;
    let expected = ["secret-0003", "secret-0010", "secret-0011"];
    assert_eq!(names(&inventory), expected);
    let filters = json!([{"Key": "name", "Values": ["secret-0003", "secret-001"]}]);
    assert_eq!(fake.sent()[0].body["Filters"], filters);
}

async fn named(fake: &Fake, wanted: &[&str]) -> Inventory {
    let parse = |name: &&str| SecretName::parse(*name).expect("a name");
    let scope = Scope::Names(wanted.iter().map(parse).collect());
    Known::new().sweep(&fake.account, scope).await
}

fn filtered(sent: &Sent) -> &str {
    sent.body["Filters"][0]["Values"][0]
        .as_str()
        .expect("a name")
}

/// IAM gives the same answer for a secret that does not exist and for one that may not be read. A list distinguishes
/// the two.
#[tokio::test(start_paused = true)]
async fn a_name_that_is_denied_is_looked_for_in_a_list() {
    let fake = Fake::new(|sent, _| match sent.operation.as_str() {
        "ListSecrets" => {
            let entry = |name: &str| secret(name, "SecretVersionsToStages", &stuck());
            let longer = format!("{}-longer", filtered(sent));
            match filtered(sent) {
                "hidden" => Reply::ok(&json!({"SecretList": [entry(&longer), entry("hidden")]})),
                _ => Reply::ok(&json!({"SecretList": [entry(&longer)]})),
            }
        }
        _ if sent.body["SecretId"] == "a" => describe(sent),
        "DescribeSecret" => Reply::error("AccessDeniedException", "not authorized"),
        _ => Reply::ok(&json!({"Versions": []})),
    });
    let inventory = named(&fake, &["a", "hidden", "misspelt"]).await;
    assert!(inventory.is_complete(), "a refusal is an answer");
    assert_eq!(names(&inventory), ["a", "hidden"]);
    let hidden = &inventory.secrets[&arn("hidden")];
    assert!(hidden.secret.unfinished().is_some(), "from the list");
    let class = hidden.unreadable.as_ref().map(|error| error.class);
    assert_eq!(class, Some(ErrorClass::Denied));
    assert!(
        inventory.unread.is_empty(),
        "the misspelt one does not exist"
    );
}

#[tokio::test(start_paused = true)]
async fn a_denied_name_stays_unread_if_lists_are_denied_too() {
    let fake = Fake::new(|sent, _| match sent.body["SecretId"].as_str() {
        Some("a") => describe(sent),
        Some("bad") => Reply::error("ValidationException", "no such name can be"),
        _ if sent.operation == "ListSecretVersionIds" => Reply::ok(&json!({"Versions": []})),
        _ => Reply::error("AccessDeniedException", "not authorized"),
    });
    let inventory = named(&fake, &["a", "bad", "denied", "other"]).await;
    assert_eq!(names(&inventory), ["a"]);
    let unread: Vec<_> = inventory.unread.keys().map(SecretName::as_str).collect();
    assert_eq!(unread, ["bad", "denied", "other"]);
    assert!(inventory.is_complete());
    let lists = |call: &&crate::Call| call.operation.name() == "ListSecrets";
    let lists = fake.calls().iter().filter(lists).count();
    assert_eq!(lists, 1, "one denial is enough");
    let nothing = named(&fake, &["denied", "other"]).await;
    let gap = nothing.gap.map(|gap| gap.class);
    assert_eq!(gap, Some(ErrorClass::Denied), "the whole region is denied");
}

#[tokio::test(start_paused = true)]
async fn names_are_described_and_a_name_without_an_answer_is_a_gap() {
    let fake = Fake::new(|sent, _| match sent.body["SecretId"].as_str() {
        Some("gone") => Reply::error("ResourceNotFoundException", ""),
        Some("dead") => Reply::raw(503, ""),
        _ if sent.operation == "DescribeSecret" => describe(sent),
        _ => Reply::ok(&json!({"Versions": []})),
    });
    let inventory = named(&fake, &["a", "dead", "gone"]).await;
    assert_eq!(names(&inventory), ["a"]);
    let gap = inventory.gap.map(|gap| gap.class);
    assert_eq!(gap, Some(ErrorClass::Unreachable));
    assert_eq!(fake.count("ListSecrets"), 0);
}

/// Each look without an answer costs up to 16 s and three requests.
#[tokio::test(start_paused = true)]
async fn a_sweep_gives_up_on_a_region_that_stops_answering() {
    let fake = Fake::new(|sent, _| match sent.operation.as_str() {
        "ListSecrets" => list(sent, 500, 300),
        _ => Reply::Silence,
    });
    let inventory = everything(&fake).await;
    let calls = fake.calls();
    let looks = calls
        .iter()
        .filter(|call| call.operation.name() == "DescribeSecret");
    assert!(looks.count() < 24, "it would be 300");
    let gap = inventory.gap.as_ref().map(|gap| gap.class);
    assert_eq!(gap, Some(ErrorClass::Unreachable));
    let unreadable = |seen: &&Observation| seen.unreadable.is_some();
    let count = inventory.secrets.values().filter(unreadable).count();
    assert_eq!(
        (inventory.secrets.len(), count),
        (500, 300),
        "from the list"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sweep_gives_up_after_many_names_without_an_answer_but_not_after_single_ones() {
    let all: Vec<_> = (0..100).map(name).collect();
    let wanted: Vec<_> = all.iter().map(String::as_str).collect();
    let dead = Fake::new(|_, _| Reply::NoConnection);
    assert!(!named(&dead, &wanted).await.is_complete());
    assert!(dead.calls().len() < 24, "it would be 100");
    let flaky = Fake::new(|sent, _| match sent.body["SecretId"].as_str() {
        Some(name) if name.ends_with('7') => Reply::NoConnection,
        Some(_) if sent.operation == "DescribeSecret" => describe(sent),
        _ => Reply::ok(&json!({"Versions": []})),
    });
    let inventory = named(&flaky, &wanted).await;
    assert_eq!(
        (inventory.secrets.len(), inventory.is_complete()),
        (90, false)
    );
}

#[tokio::test(start_paused = true)]
async fn a_stuck_secret_whose_versions_are_denied_is_listed_as_unreadable() {
    let fake = Fake::new(|sent, _| match sent.operation.as_str() {
        "ListSecretVersionIds" => Reply::error("AccessDeniedException", "not authorized"),
        _ => describe(sent),
    });
    let inventory = named(&fake, &["a"]).await;
    let seen = &inventory.secrets[&arn("a")];
    assert!(seen.unreadable.is_some() && seen.secret.unfinished().is_some());
    assert!(inventory.is_complete());
}

/// One unfiltered list is cheaper than many filters. Secrets beyond the prefixes are dropped.
#[tokio::test(start_paused = true)]
async fn many_prefixes_are_listed_at_once_and_nothing_beyond_them_is_kept() {
    let fake = region(30, 0);
    let prefixes: BTreeSet<_> = (10..25).map(name).collect();
    let count = prefixes.len();
    let inventory = Known::new()
        .sweep(&fake.account, Scope::Prefixes(prefixes))
        .await;
    assert_eq!(inventory.secrets.len(), count);
    assert_eq!(fake.count("ListSecrets"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_can_run_as_a_task() {
    let fake = region(101, 9);
    let sweep = async move { everything(&fake).await };
    let inventory = tokio::spawn(sweep).await.expect("no panic");
    assert_eq!(inventory.secrets.len(), 101);
}
