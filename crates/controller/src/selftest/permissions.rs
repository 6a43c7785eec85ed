//! Lists every permission that the controller needs in the cluster, and checks that it has them.
//!
//! `deploy/controller/rbac.yaml` grants exactly these permissions; a test compares the two.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::check::Check;
use crate::error::Error;
use crate::kubernetes::{admission, with_call_timeout};
use crate::options::Options;

/// Verbs on one resource.
struct Permission {
    group: &'static str,
    /// The resource, with its subresource after a slash if there is one.
    resource: &'static str,
    /// The names of objects. An empty list means every name.
    names: &'static [&'static str],
    verbs: &'static [&'static str],
    scope: PermissionScope,
}

/// Where a permission is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PermissionScope {
    /// In each watched namespace, or in all namespaces.
    Watched,
    /// For objects of the cluster.
    Cluster,
    /// In the namespace of the lease.
    Lease,
}

/// The permissions that every installation needs.
const RIGHTS: [Permission; 11] = [
    Permission {
        group: "secretrotation.dev",
        resource: "secretrotationpolicies",
        names: &[],
        verbs: &["get", "list", "watch", "automate"],
        scope: PermissionScope::Watched,
    },
    Permission {
        group: "secretrotation.dev",
        resource: "secretrotationpolicies/status",
        names: &[],
        verbs: &["patch"],
        scope: PermissionScope::Watched,
    },
    Permission {
        group: "secretrotation.dev",
        resource: "secretrotationoperations",
        names: &[],
        verbs: &[
            "get", "list", "watch", "create", "patch", "delete", "automate",
        ],
        scope: PermissionScope::Watched,
    },
    Permission {
        group: "secretrotation.dev",
        resource: "secretrotationoperations/status",
        names: &[],
        verbs: &["patch"],
        scope: PermissionScope::Watched,
    },
    Permission {
        group: "events.k8s.io",
        resource: "events",
        names: &[],
        verbs: &["create", "patch"],
        scope: PermissionScope::Watched,
    },
    Permission {
        group: "secretrotation.dev",
        resource: "awsaccessprofiles",
        names: &[],
        verbs: &["get", "list", "watch", "automate"],
        scope: PermissionScope::Cluster,
    },
    Permission {
        group: "secretrotation.dev",
        resource: "awsaccessprofiles/status",
        names: &[],
        verbs: &["patch"],
        scope: PermissionScope::Cluster,
    },
    Permission {
        group: "",
        resource: "namespaces",
        names: &[],
        verbs: &["get", "list", "watch"],
        scope: PermissionScope::Cluster,
    },
    Permission {
        group: "admissionregistration.k8s.io",
        resource: "validatingadmissionpolicies",
        names: &admission::GUARDS,
        verbs: &["get"],
        scope: PermissionScope::Cluster,
    },
    Permission {
        group: "admissionregistration.k8s.io",
        resource: "validatingadmissionpolicybindings",
        names: &admission::GUARDS,
        verbs: &["get"],
        scope: PermissionScope::Cluster,
    },
    Permission {
        group: "coordination.k8s.io",
        resource: "leases",
        names: &[],
        verbs: &["get", "create", "update"],
        scope: PermissionScope::Lease,
    },
];

/// The additional permissions for `--metrics-auth`.
const REVIEWS: [Permission; 2] = [
    Permission {
        group: "authentication.k8s.io",
        resource: "tokenreviews",
        names: &[],
        verbs: &["create"],
        scope: PermissionScope::Cluster,
    },
    Permission {
        group: "authorization.k8s.io",
        resource: "subjectaccessreviews",
        names: &[],
        verbs: &["create"],
        scope: PermissionScope::Cluster,
    },
];

/// Asks the API server about every permission, with one line for each resource and namespace.
pub(super) async fn check_all(client: &Client, options: &Options) -> Vec<Check> {
    let reviews = options.metrics_auth.then_some(&REVIEWS);
    let lease = options.lease_namespace.as_deref();
    let lease = lease.unwrap_or_else(|| client.default_namespace());
    let mut checks = Vec::new();
    for permission in RIGHTS.iter().chain(reviews.into_iter().flatten()) {
        for namespace in permission.scope.namespaces(&options.namespaces, lease) {
            checks.push(permission.check_verbs(client, namespace).await);
        }
    }
    checks
}

impl PermissionScope {
    /// Returns the namespaces to ask about. `None` means the cluster, or all namespaces.
    fn namespaces<'a>(self, watched: &'a [String], lease: &'a str) -> Vec<Option<&'a str>> {
        match self {
            Self::Cluster => vec![None],
            Self::Watched if watched.is_empty() => vec![None],
            Self::Watched => watched.iter().map(|name| Some(name.as_str())).collect(),
            Self::Lease => vec![Some(lease)],
        }
    }
}

impl Permission {
    async fn check_verbs(&self, client: &Client, namespace: Option<&str>) -> Check {
        let mut missing = Vec::new();
        for verb in self.verbs {
            match self.allows(client, namespace, verb).await {
                Ok(true) => {}
                Ok(false) => missing.push(*verb),
                Err(error) => return Check::failed(self.subject(namespace), error.to_string()),
            }
        }
        self.check(namespace, &missing)
    }

    /// Returns whether a verb is allowed on every name.
    async fn allows(
        &self,
        client: &Client,
        namespace: Option<&str>,
        verb: &str,
    ) -> Result<bool, Error> {
        let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
        let names = self.names.iter().map(|name| Some(*name));
        let names: Vec<_> = match self.names {
            [] => vec![None],
            _ => names.collect(),
        };
        for name in names {
            let review = self.review(namespace, verb, name);
            let answer = with_call_timeout(reviews.create(&PostParams::default(), &review)).await?;
            if !answer.status.is_some_and(|status| status.allowed) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn review(
        &self,
        namespace: Option<&str>,
        verb: &str,
        name: Option<&str>,
    ) -> SelfSubjectAccessReview {
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (self.resource, None),
        };
        let attributes = ResourceAttributes {
            group: Some(self.group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: subresource.map(str::to_owned),
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            verb: Some(verb.to_owned()),
            ..ResourceAttributes::default()
        };
        SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        }
    }

    fn check(&self, namespace: Option<&str>, missing: &[&str]) -> Check {
        let subject = self.subject(namespace);
        if missing.is_empty() {
            return Check::passed(subject);
        }
        let verbs = missing.join(", ");
        let what = format!(
            "may not {verbs}; bind this ServiceAccount to the roles of deploy/controller/rbac.yaml, or of the chart"
        );
        Check::failed(subject, what)
    }

    fn subject(&self, namespace: Option<&str>) -> String {
        let (verbs, resource) = (self.verbs.join(", "), self.resource);
        match namespace {
            Some(namespace) => format!("permission to {verbs} {resource} in namespace {namespace}"),
            None => format!("permission to {verbs} {resource}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// One verb on one resource, in a role of this kind.
    type Grant = [String; 5];

    #[test]
    fn the_manifests_grant_exactly_the_checked_permissions() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../deploy/controller/rbac.yaml"
        );
        let text = std::fs::read_to_string(file).expect("the manifest is there");
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("valid YAML");
        let granted: BTreeSet<Grant> = objects.iter().flat_map(granted).collect();
        let needed: BTreeSet<Grant> = RIGHTS.iter().flat_map(needed).collect();
        let only = |ours: &BTreeSet<Grant>, theirs| {
            ours.difference(theirs)
                .map(|grant| grant.join(" "))
                .collect::<Vec<_>>()
        };
        assert_eq!(only(&needed, &granted), Vec::<String>::new(), "not granted");
        assert_eq!(only(&granted, &needed), Vec::<String>::new(), "not needed");
    }

    #[test]
    fn permissions_are_checked_where_they_are_needed() {
        let watched = ["a".to_owned(), "b".to_owned()];
        assert_eq!(
            PermissionScope::Watched.namespaces(&watched, "here"),
            [Some("a"), Some("b")]
        );
        assert_eq!(PermissionScope::Watched.namespaces(&[], "here"), [None]);
        assert_eq!(
            PermissionScope::Cluster.namespaces(&watched, "here"),
            [None]
        );
        assert_eq!(
            PermissionScope::Lease.namespaces(&watched, "here"),
            [Some("here")]
        );
    }

    #[test]
    fn a_missing_permission_is_reported_with_what_to_do() {
        let line = RIGHTS[4].check(Some("team"), &["patch"]).to_string();
        assert_eq!(
            line,
            "FAILED   permission to create, patch events in namespace team: may not patch; bind this ServiceAccount to the roles of deploy/controller/rbac.yaml, or of the chart"
        );
    }

    fn granted(object: &Value) -> Vec<Grant> {
        let kind = object["kind"].as_str().unwrap_or_default();
        let mut grants = Vec::new();
        for rule in object["rules"].as_array().into_iter().flatten() {
            let mut names = texts(&rule["resourceNames"]);
            if names.is_empty() {
                names.push(String::new());
            }
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    for name in &names {
                        for verb in texts(&rule["verbs"]) {
                            let thing = [kind, &group, &resource, name, &verb];
                            grants.push(thing.map(str::to_owned));
                        }
                    }
                }
            }
        }
        grants
    }

    fn needed(permission: &Permission) -> Vec<Grant> {
        let kind = match permission.scope {
            PermissionScope::Watched | PermissionScope::Cluster => "ClusterRole",
            PermissionScope::Lease => "Role",
        };
        let names = if permission.names.is_empty() {
            &[""]
        } else {
            permission.names
        };
        let mut grants = Vec::new();
        for name in names {
            for verb in permission.verbs {
                grants.push(
                    [kind, permission.group, permission.resource, name, verb].map(str::to_owned),
                );
            }
        }
        grants
    }

    fn texts(list: &Value) -> Vec<String> {
        let texts = list.as_array().into_iter().flatten();
        texts
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    }
}
