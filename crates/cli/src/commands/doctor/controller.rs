//! Checks that the controller runs: its Deployment, its release, its lease.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::{Api, Client};

use super::CheckResult;

/// The controller renews its lease every 5 s and gives it up after 15 s: if it is older than this, no replica is
/// active.
const RENEWED_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// The label of the Deployment, and the prefix of the names of leases.
const NAME: &str = "secret-rotation-controller";

/// Makes all checks of the controller.
pub(super) async fn check(
    client: &Client,
    namespace: &str,
    now: Option<Timestamp>,
) -> Vec<CheckResult> {
    let mut results = deployments(client, namespace).await;
    results.extend(leases(client, namespace, now).await);
    results
}

async fn deployments(client: &Client, namespace: &str) -> Vec<CheckResult> {
    let what = "controller";
    let labelled = ListParams::default().labels(&format!("app.kubernetes.io/name={NAME}"));
    let found = Api::<Deployment>::namespaced(client.clone(), namespace)
        .list(&labelled)
        .await;
    match found {
        Err(error) => vec![CheckResult::unreadable(what, &error)],
        Ok(found) if found.items.is_empty() => vec![
            CheckResult::warn(
                what,
                format!("it has no Deployment in namespace {namespace}"),
            )
            .with_hint("set its namespace with --controller-namespace, or install it"),
        ],
        Ok(found) => found
            .iter()
            .flat_map(|one| [replicas(one), release(one)])
            .collect(),
    }
}

fn replicas(deployment: &Deployment) -> CheckResult {
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let status = deployment.status.as_ref();
    let ready = status.and_then(|status| status.ready_replicas).unwrap_or(0);
    let what = format!("Deployment {name}");
    let found = format!("{ready} of {wanted} replicas are ready");
    let hint = format!("kubectl logs deployment/{name} -n {namespace}");
    match ready {
        0 => CheckResult::failed(what, found).with_hint(hint),
        _ if ready < wanted => CheckResult::warn(what, found).with_hint(hint),
        _ => CheckResult::ok(what, found),
    }
}

/// Compares releases. The tag of the image is the release, as the chart and `deploy/` write it; a digest shows none.
fn release(deployment: &Deployment) -> CheckResult {
    let own = env!("CARGO_PKG_VERSION");
    let what = "release";
    let image = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref())
        .and_then(|pod| pod.containers.first())
        .and_then(|container| container.image.as_deref());
    let tag = image
        .and_then(|image| image.split('@').next())
        .and_then(|image| image.rsplit_once(':'))
        .map(|(_, tag)| tag.trim_start_matches('v'))
        .filter(|tag| tag.starts_with(|c: char| c.is_ascii_digit()) && !tag.contains('/'));
    match tag {
        None => CheckResult::warn(what, "the image tag of the controller shows no release"),
        Some(tag) if minor(tag) == minor(own) => {
            CheckResult::ok(what, format!("controller {tag}, plugin {own}"))
        }
        Some(tag) => CheckResult::warn(what, format!("controller {tag}, plugin {own}"))
            .with_hint("use plugin and controller of the same minor release"),
    }
}

fn minor(version: &str) -> Vec<&str> {
    version.split('.').take(2).collect()
}

async fn leases(client: &Client, namespace: &str, now: Option<Timestamp>) -> Vec<CheckResult> {
    let what = "lease";
    let found = Api::<Lease>::namespaced(client.clone(), namespace)
        .list(&ListParams::default())
        .await;
    let leases = match found {
        Err(error) => return vec![CheckResult::unreadable(what, &error)],
        Ok(leases) => leases,
    };
    let ours: Vec<_> = leases
        .iter()
        .filter(|lease| {
            lease
                .metadata
                .name
                .as_deref()
                .is_some_and(|name| name.starts_with(NAME))
        })
        .collect();
    if ours.is_empty() {
        let hint = "start the controller, or set its namespace with --controller-namespace";
        return vec![CheckResult::failed(what, "no replica has taken it yet").with_hint(hint)];
    }
    ours.into_iter()
        .map(|lease| check_lease(lease, now))
        .collect()
}

fn check_lease(lease: &Lease, now: Option<Timestamp>) -> CheckResult {
    let what = format!(
        "lease {}",
        lease.metadata.name.as_deref().unwrap_or_default()
    );
    let spec = lease.spec.as_ref();
    let holder = spec
        .and_then(|spec| spec.holder_identity.as_deref())
        .filter(|holder| !holder.is_empty());
    let renewed = spec
        .and_then(|spec| spec.renew_time.as_ref())
        .map(|time| time.0);
    let hint = "no replica is active: check the pods and the logs of the controller";
    match (holder, renewed, now) {
        (None, _, _) => CheckResult::failed(what, "no replica holds it").with_hint(hint),
        (Some(_), None, _) => CheckResult::failed(what, "it was never renewed").with_hint(hint),
        (Some(holder), Some(renewed), Some(now))
            if now.duration_since(renewed) > RENEWED_WITHIN =>
        {
            CheckResult::failed(
                what,
                format!("{holder} has not renewed it since {renewed:.0}"),
            )
            .with_hint(hint)
        }
        (Some(holder), Some(renewed), None) => CheckResult::warn(
            what,
            format!("{holder} renewed it at {renewed:.0}; the API server's time is unknown"),
        ),
        (Some(holder), Some(_), Some(_)) => CheckResult::ok(what, format!("{holder} holds it")),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
    use kube::api::ObjectMeta;
    use serde_json::json;

    use super::super::Grade;
    use super::*;

    fn lease(holder: Option<&str>, renewed: &str) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: holder.map(str::to_owned),
                renew_time: Some(MicroTime(renewed.parse().expect("a time"))),
                ..LeaseSpec::default()
            }),
        }
    }

    #[test]
    fn a_lease_is_active_while_it_is_renewed() {
        let now = "2026-11-23T10:00:00Z".parse().ok();
        let found = |holder, renewed| {
            let result = check_lease(&lease(holder, renewed), now);
            (result.grade, result.found)
        };
        assert_eq!(
            found(Some("pod-a"), "2026-11-23T09:59:50Z"),
            (Grade::Ok, "pod-a holds it".to_owned())
        );
        assert_eq!(
            found(Some("pod-a"), "2026-11-23T09:58:00Z"),
            (
                Grade::Failed,
                "pod-a has not renewed it since 2026-11-23T09:58:00Z".to_owned()
            )
        );
        assert_eq!(found(None, "2026-11-23T09:59:50Z").0, Grade::Failed);
    }

    #[test]
    fn replicas_that_are_not_ready_are_reported_with_the_command_for_their_logs() {
        let deployment = json!({
            "metadata": {"name": "controller", "namespace": "rotation"},
            "spec": {"replicas": 2, "selector": {}, "template": {}},
            "status": {"readyReplicas": 1},
        });
        let result = replicas(&serde_json::from_value(deployment).expect("a Deployment"));
        assert_eq!(
            result.to_string(),
            "warn    Deployment controller: 1 of 2 replicas are ready\n        → kubectl logs deployment/controller -n rotation\n"
        );
    }

    #[test]
    fn plugin_and_controller_are_compared_by_minor_release() {
        let grade = |image: &str| {
            let deployment = json!({"spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
            release(&serde_json::from_value(deployment).expect("a Deployment")).grade
        };
        let own = env!("CARGO_PKG_VERSION");
        assert_eq!(
            grade(&format!("registry:5000/controller:v{own}")),
            Grade::Ok
        );
        assert_eq!(grade("controller:99.1.0"), Grade::Warn);
        assert_eq!(grade("registry:5000/controller@sha256:aa"), Grade::Warn);
    }
}
