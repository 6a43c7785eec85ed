//! Whether the controller runs: its Deployment, its release, its lease.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::{Api, Client};

use super::Finding;

/// The controller renews every 5 s and gives up after 15 s; beyond this nobody is at work.
const RENEWED_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// What the Deployment and the leases are labelled or called.
const NAME: &str = "secret-rotation-controller";

/// Looks at all of it.
pub(super) async fn check(
    client: &Client,
    namespace: &str,
    now: Option<Timestamp>,
) -> Vec<Finding> {
    let mut findings = deployments(client, namespace).await;
    findings.extend(leases(client, namespace, now).await);
    findings
}

async fn deployments(client: &Client, namespace: &str) -> Vec<Finding> {
    let what = "controller";
    let labelled = ListParams::default().labels(&format!("app.kubernetes.io/name={NAME}"));
    let found = Api::<Deployment>::namespaced(client.clone(), namespace)
        .list(&labelled)
        .await;
    match found {
        Err(error) => vec![Finding::unseen(what, &error)],
        Ok(found) if found.items.is_empty() => vec![
            Finding::warn(what, format!("no Deployment of it in {namespace}"))
                .advice("name its namespace with --controller-namespace, or install it"),
        ],
        Ok(found) => found
            .iter()
            .flat_map(|one| [replicas(one), release(one)])
            .collect(),
    }
}

fn replicas(deployment: &Deployment) -> Finding {
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let status = deployment.status.as_ref();
    let ready = status.and_then(|status| status.ready_replicas).unwrap_or(0);
    let what = format!("Deployment {name}");
    let seen = format!("{ready} of {wanted} replicas are ready");
    let advice = format!("kubectl logs deployment/{name}");
    match ready {
        0 => Finding::failed(what, seen).advice(advice),
        _ if ready < wanted => Finding::warn(what, seen).advice(advice),
        _ => Finding::ok(what, seen),
    }
}

/// The tag of the image is the release, as the chart and `deploy/` write it; a digest tells nothing.
fn release(deployment: &Deployment) -> Finding {
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
        None => Finding::warn(
            what,
            "the image of the controller has no release in its tag",
        ),
        Some(tag) if minor(tag) == minor(own) => {
            Finding::ok(what, format!("controller {tag}, plugin {own}"))
        }
        Some(tag) => Finding::warn(what, format!("controller {tag}, plugin {own}"))
            .advice("use plugin and controller of one minor release"),
    }
}

fn minor(version: &str) -> Vec<&str> {
    version.split('.').take(2).collect()
}

async fn leases(client: &Client, namespace: &str, now: Option<Timestamp>) -> Vec<Finding> {
    let what = "lease";
    let found = Api::<Lease>::namespaced(client.clone(), namespace)
        .list(&ListParams::default())
        .await;
    let leases = match found {
        Err(error) => return vec![Finding::unseen(what, &error)],
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
        let advice = "start the controller, or name its namespace with --controller-namespace";
        return vec![Finding::failed(what, "nobody has taken it yet").advice(advice)];
    }
    ours.into_iter().map(|lease| judge(lease, now)).collect()
}

fn judge(lease: &Lease, now: Option<Timestamp>) -> Finding {
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
    let advice = "no replica is at work: look at the pods and the log of the controller";
    match (holder, renewed, now) {
        (None, _, _) => Finding::failed(what, "nobody holds it").advice(advice),
        (Some(_), None, _) => Finding::failed(what, "it was never renewed").advice(advice),
        (Some(holder), Some(renewed), Some(now))
            if now.duration_since(renewed) > RENEWED_WITHIN =>
        {
            Finding::failed(
                what,
                format!("{holder} has not renewed it since {renewed:.0}"),
            )
            .advice(advice)
        }
        (Some(holder), Some(renewed), None) => Finding::warn(
            what,
            format!("{holder} renewed it at {renewed:.0}; the API server's time is not known"),
        ),
        (Some(holder), Some(_), Some(_)) => Finding::ok(what, format!("{holder} is at work")),
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
    fn a_lease_is_alive_while_it_is_renewed() {
        let now = "2026-11-23T10:00:00Z".parse().ok();
        let seen = |holder, renewed| {
            let finding = judge(&lease(holder, renewed), now);
            (finding.grade, finding.seen)
        };
        assert_eq!(
            seen(Some("pod-a"), "2026-11-23T09:59:50Z"),
            (Grade::Ok, "pod-a is at work".to_owned())
        );
        assert_eq!(
            seen(Some("pod-a"), "2026-11-23T09:58:00Z"),
            (
                Grade::Failed,
                "pod-a has not renewed it since 2026-11-23T09:58:00Z".to_owned()
            )
        );
        assert_eq!(seen(None, "2026-11-23T09:59:50Z").0, Grade::Failed);
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
