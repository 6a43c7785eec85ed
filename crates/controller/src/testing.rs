//! Builders for tests: one tenant, one profile and one policy, all valid until a test changes them.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::client::Body;

use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_core::action::Action;
use secret_rotation_core::action::Permission;
use secret_rotation_core::approval::Approval;
use secret_rotation_core::authorise::Tenant;
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::maintenance_window::Windows;
use secret_rotation_core::names::{
    Arn, Namespace, ObjectKey, ObjectName, ProfileName, Region, SecretName, Uid,
};
use secret_rotation_core::operation::Operation;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::pin::ClusterId;
use secret_rotation_core::policy::{
    Backoff, CircuitBreaker, DeletionRemedy, Detection, DisabledReporting, Mode, OverdueRemedy,
    Policy, Remediation, Reporting, StuckRemedy, Suspension,
};
use secret_rotation_core::profile::{NamePattern, NamespaceRule, Profile, RateLimit};
use secret_rotation_core::secret::{Rotation, Secret};
use secret_rotation_core::selector::{Matcher, Selector};
use secret_rotation_core::time::ServerTime;

use crate::aws_connections::Connections;
use crate::clock::ServerClock;
use crate::context::{Context, Queues};
use crate::evaluations::Evaluations;
use crate::events::EventRecorder;
use crate::kubernetes::admission;
use crate::kubernetes::reads::Reader;
use crate::lease::{Elector, LeaseNote};
use crate::metrics::Metrics;
use crate::operation::locks::SecretLocks;
use crate::operation::look_failures::LookFailures;
use crate::options::SecretLabel;
use crate::policy::written_status::WrittenStatuses;
use crate::published_statuses::PublishedStatuses;
use crate::read_health::ReadHealth;
use crate::shutdown;
use crate::stability::SharedStability;
use crate::store::Store;
use crate::sweep::SweepStore;

/// A self-signed certificate for `localhost` and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) chain: String,
    pub(crate) key: String,
}

pub(crate) fn signed() -> Signed {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let made = made.expect("a certificate");
    Signed {
        chain: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    }
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub(crate) fn bound_policy() -> BoundPolicy {
    BoundPolicy {
        tenant: tenant(),
        profile: profile(),
        policy: policy(),
    }
}

pub(crate) fn region() -> Region {
    Region::parse("eu-west-1").expect("a region")
}

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey {
        namespace: Namespace::parse("team").expect("a namespace"),
        name: ObjectName::parse(name).expect("a name"),
    }
}

/// Returns a manual rotation of a policy, which has not begun.
pub(crate) fn operation(policy: &str) -> Operation {
    let object = serde_json::json!({
        "apiVersion": "secretrotation.dev/v1alpha1",
        "kind": "SecretRotationOperation",
        "metadata": {"name": "by-hand", "namespace": "team", "uid": "by-hand", "creationTimestamp": "2026-11-01T00:00:00Z"},
        "spec": {
            "policyRef": {"name": policy},
            "secret": {"name": "team/db", "region": "eu-west-1"},
            "action": "Rotate",
            "expect": {"currentVersionId": "v1"},
            "reason": "a test",
        },
    });
    let object = serde_json::from_value::<SecretRotationOperation>(object);
    let operation = object.expect("an operation").to_core();
    operation.expect("it can be understood")
}

/// Returns a secret without any details, as a list shows it.
pub(crate) fn observation(name: &str) -> Observation {
    Observation::listed(Secret {
        arn: Arn::parse(format!(
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:{name}-AbCdEf"
        ))
        .expect("an ARN"),
        name: SecretName::parse(name).expect("a name"),
        labels: BTreeMap::new(),
        rotation: Rotation::NotConfigured,
        last_changed: None,
        last_rotated: None,
        next_rotation: None,
        created: None,
        deleted: None,
        owning_service: None,
        external_type: None,
        primary_region: None,
        replicas: BTreeMap::new(),
        tags: BTreeMap::new(),
    })
}

fn tenant() -> Tenant {
    Tenant {
        namespace: Namespace::parse("team").expect("a namespace"),
        labels: BTreeMap::new(),
    }
}

fn profile() -> Profile {
    Profile {
        name: ProfileName::parse("default").expect("a name"),
        account: None,
        regions: [region()].into(),
        allowed_namespaces: NamespaceRule {
            names: ["team".to_owned()].into(),
            labels: None,
        },
        allowed_secrets: vec![NamePattern::parse("*").expect("a pattern")],
        allowed_actions: BTreeSet::from([Permission::Rotate, Permission::ClearPending]),
        approval_required_for: std::collections::BTreeSet::new(),
        suspension: Suspension::Active,
        deletion_requested: None,
        min_check_interval: Duration::from_mins(1),
        max_concurrent_per_function: 1,
        rate_limit: RateLimit {
            reads_per_second: 20,
            writes_per_second: 2,
        },
        event_queue: None,
    }
}

/// Returns an operation on a secret of its own, which has not begun.
pub(crate) fn operation_on(name: &str, action: Action) -> Operation {
    let object = serde_json::json!({
        "apiVersion": "secretrotation.dev/v1alpha1",
        "kind": "SecretRotationOperation",
        "metadata": {"name": name, "namespace": "team", "uid": name, "creationTimestamp": "2026-11-23T09:00:00Z"},
        "spec": {
            "policyRef": {"name": "payments"},
            "secret": {"arn": format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/{name}-AbCdEf")},
            "action": action.name(),
            "expect": {"currentVersionId": "v1", "pendingVersionId": "v2"},
            "reason": "stuck",
        },
    });
    let object: SecretRotationOperation = serde_json::from_value(object).expect("an operation");
    object.to_core().expect("a valid operation")
}

pub(crate) fn policy() -> Policy {
    Policy {
        key: key("payments"),
        uid: Uid::parse("policy-uid").expect("a UID"),
        created: ServerTime::new("2026-11-01T00:00:00Z".parse().expect("a time")),
        deletion_requested: None,
        profile: ProfileName::parse("default").expect("a name"),
        regions: None,
        selector: Selector {
            include: vec![Matcher {
                name_prefix: Some("team/".to_owned()),
                ..Matcher::default()
            }],
            exclude: Vec::new(),
            max_secrets: 1000,
        },
        mode: Mode::Remediate,
        suspension: Suspension::Active,
        retry_requested: None,
        check_interval: Duration::from_mins(5),
        detection: Detection {
            stuck_after: Duration::from_hours(6),
            overdue_after: Duration::from_hours(1),
            max_age: None,
            expiry: None,
            rotation_disabled: DisabledReporting::Report,
            scheduled_for_deletion: Reporting::Report,
        },
        remediation: Remediation {
            stuck: StuckRemedy::Recover,
            overdue: OverdueRemedy::Rotate,
            deletion: DeletionRemedy::Report,
            approval: Approval::NotRequired,
            windows: Windows::default(),
            confirm_after: Duration::from_mins(5),
            max_concurrent: 5,
            max_attempts: 3,
            attempt_window: Duration::from_hours(24),
            backoff: Backoff {
                initial: Duration::from_mins(15),
                max: Duration::from_hours(4),
            },
            breaker: CircuitBreaker {
                stuck_percent: 40,
                min_stuck: 5,
            },
        },
    }
}

/// Returns the shared state of a replica that has seen no events yet. Its API server fails every request.
pub(crate) fn context() -> Context {
    let client = Client::new(tower::service_fn(fails), "default");
    let server_clock = Arc::new(ServerClock::default());
    let identity = "replica".to_owned();
    let note = Arc::<LeaseNote>::default();
    let (_, leadership) = Elector::new(
        client.clone(),
        "default",
        identity.clone(),
        Arc::clone(&server_clock),
        Arc::clone(&note),
    );
    let metrics = Metrics::new(10, SecretLabel::Name).expect("metrics");
    Context {
        recorder: EventRecorder::new(client.clone(), identity.clone()),
        identity,
        reader: Reader::new(client.clone(), Vec::new()),
        connections: Connections::new(Arc::clone(&metrics), Arc::<ReadHealth>::default()),
        cluster: ClusterId::from_uid("a1b2c3d4-0000-0000-0000-000000000000").expect("a UID"),
        store: Store::new(0),
        sweeps: SweepStore::default(),
        stability: SharedStability::default(),
        evaluations: Evaluations::default(),
        published_statuses: PublishedStatuses::default(),
        written_statuses: WrittenStatuses::default(),
        locks: SecretLocks::default(),
        admission: admission::AdmissionView::new(note),
        look_failures: LookFailures::default(),
        queues: Queues::default(),
        leadership,
        shutdown: shutdown::channel().1,
        server_clock,
        metrics,
        client,
    }
}

async fn fails(_: http::Request<Body>) -> Result<http::Response<Body>, Infallible> {
    let answer = http::Response::builder().status(500).body(Body::empty());
    Ok(answer.expect("an answer"))
}
